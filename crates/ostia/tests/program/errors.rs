//! Bad input ends in a sentence that names the file, the place and the way out, and in an exit code that is
//! not 0.

use std::fs;

use crate::support::{HOPELESS, Room, ostia, ostia_reading, packed, scattered, tree};

/// Asserts that a set is refused with exit code 1, its path, and these words; and that nothing is written.
#[track_caller]
fn refused(name: &str, bytes: impl AsRef<[u8]>, options: &[&str], parts: &[&str]) {
    let room = Room::new();
    let set = room.file(name, bytes);
    let ran = ostia([&["create", &set, "--out", &room.at("t"), "--emit", "table"], options].concat());
    ran.fails(1, &[&[set.as_str()], parts].concat());
    assert_eq!(tree(room.path()).len(), 1, "something was written");
}

#[test]
fn a_set_that_is_none_is_refused_with_its_place_and_the_way_out() {
    refused("d.txt", "7\n8\n0x7\n", &[], &["7 is at line 1 and again at line 3; remove one"]);
    refused("d.keys", packed([3, 4, 3]), &[], &["3", "offset 0", "offset 8", "remove one"]);
    refused("r.keys", [0; 7], &[], &["the length, 7,", "3 bytes left over from offset 4", "repair"]);
    refused("e.keys", "", &[], &["the input is empty"]);
    refused("e.txt", "# nobody\n\n", &[], &["there is no key"]);
    refused("w.txt", "1\n300\n", &["--key-type", "u8"], &["line 2: 300 does not fit u8", "--key-type u32"]);
    refused(
        "w.keys",
        packed([1, 2]),
        &["--key-type", "str"],
        &["packed keys are integers", "--format lines"],
    );
    refused("t.txt", "1\nten\n", &[], &["line 2: `ten` is not an integer"]);
    refused("j.json", "[1,]", &[], &["line 1, column 4"]);
    refused("c.csv", "a,b\n1,2\n", &["--column", "z"], &["no column `z`", "`a`, `b`"]);
    refused("u.bin", packed([1]), &[], &["does not tell the format", "--format"]);
    refused("n.strings", b"a\n\xff\n", &[], &["line 2", "UTF-8", "--key-type bytes"]);
}

#[test]
fn a_name_that_is_no_identifier_is_refused_with_the_way_out() {
    refused("1st.keys", packed([1]), &[], &["begins with the digit 1", "--name"]);
    refused("int.keys", packed([1]), &[], &["int", "--name"]);
    refused("self.keys", packed([1]), &[], &["self", "--name"]);
    refused("ok.keys", packed([1]), &["--name", "käse"], &["at offset 1 is not ASCII"]);
    refused("ok.keys", packed([1]), &["--name", ""], &["no letter or digit"]);
}

#[test]
fn what_is_no_file_is_refused() {
    let room = Room::new();
    fs::create_dir(room.path().join("x.keys")).unwrap();
    let create = |path: &str| ostia(["create", path, "--out", &room.at("t")]);
    create(&room.at("x.keys")).fails(1, &["x.keys: is a directory, not a key set; bulk-create"]);
    create(&room.at("gone.keys")).fails(1, &["gone.keys: cannot be read"]);
    for command in ["inspect", "lookup", "bench"] {
        ostia([command, &room.at("gone.ostia")]).fails(1, &["gone.ostia: cannot be read"]);
        ostia([command, &room.at("x.keys")]).fails(1, &["x.keys: is a directory"]);
    }
}

#[test]
fn the_standard_input_needs_a_name_and_a_format() {
    let room = Room::new();
    let out = room.at("t");
    ostia_reading(["create", "-", "--format", "text", "--out", &out], b"1\n").fails(2, &["--name"]);
    ostia_reading(["create", "-", "--name", "a", "--out", &out], b"1\n").fails(2, &["--format"]);
    ostia_reading(["create", "-", "--name", "a", "--format", "text", "--out", &out], b"1\n1\n")
        .fails(1, &["the standard input: 1 is at line 1 and again at line 2"]);
}

#[test]
fn values_must_be_as_many_as_keys() {
    let room = Room::new();
    let set = room.file("s.txt", "10\n20\n30\n");
    let values = room.file("v.txt", "1\n2\n");
    let out = room.at("t");
    let create = |options: &[&str]| ostia([&["create", &set, "--out", &out], options].concat());
    create(&["--values", &values]).fails(1, &[&values, "2 values for 3 keys"]);
    create(&["--values", &room.at("gone.txt")]).fails(1, &["gone.txt: cannot be read"]);
    create(&["--values", "column:v"]).fails(1, &[&set, "--format text has no columns"]);
    let good = room.file("w.txt", "7\n8\n9\n");
    create(&["--values", &good, "--in-place", "--foreign", "exact"]).fails(2, &["fingerprint"]);
    create(&["--in-place"]).fails(2, &["--values"]);
    create(&["--record-size", "4"]).fails(2, &["--values"]);
    assert!(!room.path().join("t").exists() || tree(out.as_ref()).is_empty());
}

#[test]
fn a_function_that_can_never_solve_a_set_fails_at_once_and_names_the_key() {
    let zero = packed([5, 6, 0, 7]);
    for function in ["MultiplyShiftR", "Mulshrolate2RX"] {
        let options = ["--kind", "chm", "--hash", function];
        refused(
            "z.keys",
            &zero,
            &options,
            &[function, "can never solve", "key 0", "choose another function"],
        );
    }
    let room = Room::new();
    let set = room.file("z.keys", &zero);
    ostia(["create", &set, "--no-file-io", "--quiet"]).done();
}

#[test]
fn limits_are_reached_with_exit_code_1_and_the_way_out() {
    let many = packed(scattered(20_000));
    let limited = |limit: [&'static str; 2]| [&HOPELESS[..], &limit].concat();
    refused("m.keys", &many, &limited(["--attempts", "3"]), &["not solved in 3 attempts", "allow more"]);
    refused("m.keys", &many, &limited(["--time-limit", "50ms"]), &["within the time limit", "more time"]);
}

#[test]
fn seeds_are_taken_as_they_are_or_refused() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(20)));
    let create = |options: &[&str]| ostia([&["create", &set, "--no-file-io"], options].concat());
    create(&["--hash", "MultiplyShiftR", "--seeds", "0x100000000"]).fails(2, &["32 bits"]);
    create(&["--kind", "chm", "--seeds", "0x100000000"]).fails(2, &["32 bits"]);
    create(&["--kind", "halves", "--seeds", "1,3,5"]).fails(2, &["two"]);
    create(&["--seeds", "0x10000000000000000"]).fails(2, &["below 2^64"]);
}

#[test]
fn options_that_contradict_each_other_are_usage() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(20)));
    let create = |options: &[&str]| ostia([&["create", &set, "--no-file-io"], options].concat());
    create(&["--kind", "displace", "--hash", "Fnv"]).fails(2, &["Fnv"]);
    create(&["--keep-order", "--any-order"]).fails(2, &["--keep-order"]);
}

#[test]
fn an_output_folder_that_is_a_file_is_refused_before_the_search() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(20_000)));
    // The search would never end.
    ostia([&["create", &set, "--out", &set], &HOPELESS[..]].concat())
        .fails(1, &["s.keys: the folder cannot be made"]);
    let inside = format!("{set}/deep");
    ostia([&["create", &set, "--out", &inside], &HOPELESS[..]].concat()).fails(1, &["cannot be made"]);
}

#[test]
fn an_output_that_cannot_be_replaced_is_named() {
    let room = Room::new();
    let set = room.file("s.keys", packed(scattered(20)));
    fs::create_dir_all(room.path().join("t/s.ostia")).unwrap();
    ostia(["create", &set, "--out", &room.at("t"), "--emit", "table"])
        .fails(1, &["s.ostia: cannot be put in place"]);
    assert_eq!(tree(room.at("t").as_ref()).len(), 0);
}

#[cfg(unix)] // Permissions and mounts are made with the commands of Unix.
mod unix {
    use std::{
        fs::Permissions,
        io::Write as _,
        os::unix::fs::PermissionsExt,
        path::Path,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::support::{Ran, program};

    /// The program as somebody whom permissions concern; `None`, loudly, when that cannot be.
    fn as_nobody(test: &str) -> Option<Command> {
        let reader = |command: &mut Command| {
            // The program itself must be within reach of that user.
            let ran = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            ran.is_ok_and(|status| status.success())
        };
        let setpriv = || {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
            command.arg(env!("CARGO_BIN_EXE_ostia"));
            command
        };
        let (probe, denied) = (tempfile::tempdir().unwrap(), Permissions::from_mode(0o0));
        fs::write(probe.path().join("f"), "").unwrap();
        fs::set_permissions(probe.path().join("f"), denied).unwrap();
        if fs::read(probe.path().join("f")).is_err() {
            return Some(program());
        }
        if reader(&mut setpriv()) {
            return Some(setpriv());
        }
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: nothing is denied to root, and setpriv cannot run the program as another"
        );
        None
    }

    fn open(path: &Path) {
        fs::set_permissions(path, Permissions::from_mode(0o777)).unwrap();
    }

    fn ran(mut command: Command, args: &[&str]) -> Ran {
        Ran::of(command.args(args).stdin(Stdio::null()).output().unwrap())
    }

    #[test]
    fn a_set_that_may_not_be_read_is_named() {
        let room = Room::new();
        open(room.path());
        let set = room.file("in/s.keys", packed(scattered(20)));
        room.file("in/good.keys", packed(scattered(20)));
        fs::set_permissions(&set, Permissions::from_mode(0o0)).unwrap();
        let name = "a_set_that_may_not_be_read_is_named";
        let Some(command) = as_nobody(name) else { return };
        ran(command, &["create", &set, "--no-file-io"]).fails(1, &["s.keys: cannot be read", "denied"]);
        let Some(command) = as_nobody(name) else { return };
        let bulk = ran(command, &["bulk-create", &room.at("in"), "--no-file-io"]);
        assert!(bulk.out.contains("1 of 2 sets done, 1 failed"), "{bulk:?}");
        bulk.fails(1, &["s.keys: cannot be read"]);
    }

    #[test]
    fn a_folder_that_may_not_be_written_to_is_named() {
        let room = Room::new();
        open(room.path());
        let set = room.file("in/s.keys", packed(scattered(20)));
        let out = room.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::set_permissions(&out, Permissions::from_mode(0o555)).unwrap();
        let name = "a_folder_that_may_not_be_written_to_is_named";
        let Some(command) = as_nobody(name) else { return };
        let why = ["out/s.ostia: no file can be made in its folder", "denied"];
        ran(command, &["create", &set, "--out", &room.at("out"), "--emit", "table"]).fails(1, &why);
        let Some(command) = as_nobody(name) else { return };
        let why = ["out: no file can be written in this folder", "denied", "--out"];
        ran(command, &["bulk-create", &room.at("in"), "--out", &room.at("out"), "--emit", "table"])
            .fails(1, &why);
        let Some(command) = as_nobody(name) else { return };
        let below = room.at("out/below");
        ran(command, &["create", &set, "--out", &below]).fails(1, &["below: the folder cannot be made"]);
    }

    #[test]
    fn a_full_disk_is_named_and_leaves_nothing() {
        let room = Room::new();
        let disk = room.path().join("disk");
        fs::create_dir(&disk).unwrap();
        // A small file system of the test's own, seen by nobody else and gone with the shell.
        let script = "mount -t tmpfs -o \"size=$SIZE\" tmpfs \"$1\" || exit 77; shift; out=\"$1\"; shift; \
                      \"$@\"; code=$?; find \"$out\" -type f | sed 's/^/left: /'; exit $code";
        let run = |size: &str, args: &[&str]| {
            let mut command = Command::new("unshare");
            command.env("SIZE", size);
            command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
            command.args([&disk, &disk]).arg(env!("CARGO_BIN_EXE_ostia")).args(args);
            command.stdin(Stdio::null()).output()
        };
        let set = room.file("in/big.keys", packed(scattered(60_000)));
        room.file("in/small.keys", packed(scattered(60)));
        let out = disk.to_str().unwrap();
        let name = "a_full_disk_is_named_and_leaves_nothing";
        match run("64k", &["create", &set, "--out", out, "--emit", "table"]) {
            Ok(output) if output.status.code() == Some(1) => {
                let ran = Ran::of(output);
                assert!(!ran.out.contains("left:"), "{ran:?}");
                ran.fails(1, &["big.ostia: cannot be written", "space"]);
            }
            Ok(output) if output.status.success() => panic!("{output:?}"),
            other => {
                let _ = writeln!(
                    std::io::stderr(),
                    "SKIPPED {name}: no file system can be mounted here: {other:?}"
                );
                return;
            }
        }
        let bulk = |size| {
            Ran::of(run(size, &["bulk-create", &room.at("in"), "--out", out, "--emit", "table"]).unwrap())
        };
        // Enough for the journal and the small one.
        let some = bulk("320k");
        assert!(some.out.contains("1 of 2 sets done, 1 failed"), "{some:?}");
        assert!(some.out.contains("left: ") && !some.out.contains("/.ostia-bulk-"), "{some:?}");
        some.fails(1, &["big.ostia: cannot be written"]);
        // Not even enough for the journal.
        bulk("64k").fails(1, &[".ostia-journal.sqlite: the disk is full"]);
    }
}
