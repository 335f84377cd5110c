//! Ctrl-C and readers that go away.
//!
//! Signals are those of Unix. On Windows a console event cannot be sent to a child without being sent to the
//! test as well, so that there only the pipes are tested.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use crate::support::{Room, packed, program, scattered};

#[test]
fn a_reader_that_goes_away_is_no_failure_and_no_panic() {
    let room = Room::new();
    let table = room.table("s.keys", packed(scattered(20_000)), &[]);
    let keys: Vec<String> = scattered(5_000).map(|key| key.to_string()).collect();
    for args in [vec!["man"], vec!["completions", "bash"], vec!["inspect", &table], {
        let mut args = vec!["lookup", &table];
        args.extend(keys.iter().map(String::as_str));
        args
    }] {
        let mut child = program().args(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let status = child.wait().unwrap();
        assert_eq!((status.code(), err.as_str()), (Some(0), ""), "{}", args[0]);
    }
}

#[test]
fn an_error_that_nobody_reads_is_still_an_exit_code() {
    let room = Room::new();
    let mut child = program()
        .args(["inspect", &room.at("gone.ostia")])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let code = child.wait().unwrap().code();
    // The program may have spoken before the pipe was closed; either way it ends so.
    assert_eq!(code, Some(1));
}

#[test]
fn bulk_rows_may_be_read_in_part() {
    let room = Room::new();
    for i in 0..40 {
        room.file(&format!("in/s{i}.keys"), packed(scattered(100 + i)));
    }
    let mut child = program()
        .args(["bulk-create", &room.at("in"), "--no-file-io", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let first = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    assert!(first.starts_with('{'), "{first}");
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[cfg(unix)]
mod signals {
    use std::{
        fs::File,
        io::Write,
        process::{Child, Command},
        sync::mpsc,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::support::{HOPELESS, tree};

    /// As long as a loaded machine may take; the program itself takes a few milliseconds.
    const SOON: Duration = Duration::from_secs(2);

    fn interrupt(child: &Child) {
        // The shell's own `kill`: there is no other on some systems.
        let kill = Command::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status();
        assert!(kill.unwrap().success());
    }

    /// Asserts the end of an interrupted child, and gives its output and errors.
    #[track_caller]
    fn ends(mut child: Child, since: Instant) -> (String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut pipe) = child.stdout.take() {
            pipe.read_to_string(&mut out).unwrap();
        }
        child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        let code = child.wait().unwrap().code();
        let took = since.elapsed();
        assert_eq!(code, Some(130), "{err}");
        assert!(took < SOON, "it took {took:?}");
        (out, err)
    }

    #[test]
    fn an_interrupted_bulk_run_tells_what_it_did_and_leaves_nothing() {
        let room = Room::new();
        // The largest begins first, and never ends; the row of the bad one says that both were begun.
        room.file("in/large.keys", packed(scattered(20_000)));
        room.file("in/bad.txt", "x\n");
        let (dir, out) = (room.at("in"), room.at("out"));
        let mut child = program()
            .args(["bulk-create", &dir, "--out", &out, "--json", "--threads", "2", "--emit", "table"])
            .args(HOPELESS)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        assert!(first.contains("bad.txt") && first.contains("\"failed\""), "{first}");
        let since = Instant::now();
        interrupt(&child);
        let rest: Vec<String> = lines.map(Result::unwrap).collect();
        let (_, err) = ends(child, since);
        assert_eq!(err, "ostia: interrupted\n");
        let [large, summary] = &rest[..] else { panic!("{rest:?}") };
        assert!(large.contains("large.keys") && large.contains("\"stopped\""), "{large}");
        assert!(summary.contains("\"stopped\":1"), "{summary}");
        assert!(tree(out.as_ref()).is_empty());
    }

    #[test]
    fn a_read_that_waits_is_interrupted_at_once() {
        let room = Room::new();
        let mut child = program()
            .args(["create", "-", "--format", "lines", "--name", "a", "--out", &room.at("t")])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        // More than a pipe holds: once it is written, the program listens and reads.
        pipe.write_all(&[b'x'; 1 << 20]).unwrap();
        let since = Instant::now();
        interrupt(&child);
        let (_, err) = ends(child, since);
        assert_eq!(err, "ostia: interrupted\n");
        drop(pipe);
        assert!(tree(room.path()).is_empty());
    }

    #[test]
    fn the_second_interrupt_ends_what_does_not_look() {
        let room = Room::new();
        room.file("in/a.keys", packed(scattered(4)));
        let values = room.at("values");
        assert!(Command::new("mkfifo").arg(&values).status().unwrap().success());
        let child = program()
            // The runtime waits for no pipe; what it is asked for a second time is tested there.
            .args(["bulk-create", &room.at("in"), "--out", &room.at("t"), "--values", &values])
            .args(["--engine", "threads"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Opens only when the job has come to reading the values, where it now stays.
        let held = File::options().write(true).open(&values).unwrap();
        let id = child.id();
        let since = Instant::now();
        let (sender, ended) = mpsc::channel();
        let waiter = std::thread::spawn(move || sender.send(ends(child, since)));
        // Two that come together may count as one, so they are sent until they have had their effect.
        let mut sent = 0;
        let (_, err) = loop {
            assert!(sent < 100, "it does not end");
            let kill = Command::new("sh").args(["-c", &format!("kill -INT {id} 2>/dev/null")]).status();
            assert!(kill.unwrap().success() || sent >= 2);
            sent += 1;
            if let Ok(told) = ended.recv_timeout(Duration::from_millis(20)) {
                break told;
            }
        };
        assert!(sent >= 2, "the first interrupt must let the job end");
        assert!(err.ends_with("ostia: interrupted\n"), "{err}");
        drop(held);
        waiter.join().unwrap().unwrap();
        assert!(!room.path().join("t").exists() || tree(room.at("t").as_ref()).is_empty());
    }

    /// Runs on a terminal of its own, presses Ctrl-C once `sign` has been drawn, and gives all that was.
    fn on_a_terminal(test: &str, args: &str, sign: &str) -> Option<String> {
        let command = format!("{} {args}", env!("CARGO_BIN_EXE_ostia"));
        let script = Command::new("script")
            .args(["-qefc", &command, "/dev/null"])
            .env("TERM", "xterm")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = script else {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED {test}: there is no `script` to make a terminal with");
            return None;
        };
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut drawn, mut piece) = (Vec::new(), [0; 4096]);
        let mut since = None;
        loop {
            let count = screen.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            drawn.extend_from_slice(&piece[..count]);
            if since.is_none() && String::from_utf8_lossy(&drawn).contains(sign) {
                since = Some(Instant::now());
                keyboard.write_all(b"\x03").unwrap();
                keyboard.flush().unwrap();
            }
        }
        let code = child.wait().unwrap().code();
        let drawn = String::from_utf8_lossy(&drawn).into_owned();
        assert_eq!(code, Some(130), "{drawn}");
        assert!(since.expect("the sign was drawn").elapsed() < SOON);
        Some(drawn)
    }

    #[test]
    fn a_search_on_a_terminal_tells_its_rate_and_ends_with_ctrl_c() {
        let room = Room::new();
        let set = room.file("s.keys", packed(scattered(20_000)));
        let name = "a_search_on_a_terminal_tells_its_rate_and_ends_with_ctrl_c";
        let args = format!("create {set} --out {} {}", room.at("t"), HOPELESS.join(" "));
        let Some(drawn) = on_a_terminal(name, &args, " attempts, ") else { return };
        assert!(drawn.contains("/s") && drawn.contains("ostia: interrupted"), "{drawn:?}");
        assert!(tree(room.at("t").as_ref()).is_empty());
    }

    #[test]
    fn many_sets_on_a_terminal_tell_how_far_they_are() {
        let room = Room::new();
        room.file("in/large.keys", packed(scattered(20_000)));
        room.file("in/bad.txt", "x\n");
        let name = "many_sets_on_a_terminal_tell_how_far_they_are";
        let (dir, out) = (room.at("in"), room.at("t"));
        let args = format!("bulk-create {dir} --out {out} -t 2 --emit table {}", HOPELESS.join(" "));
        let Some(drawn) = on_a_terminal(name, &args, "1/2 sets") else { return };
        assert!(drawn.contains("1 failed") && drawn.contains("bad.txt: line 1"), "{drawn:?}");
        assert!(drawn.contains("0 of 2 sets done, 1 failed, 1 interrupted"), "{drawn:?}");
        assert!(tree(out.as_ref()).is_empty());
    }
}
