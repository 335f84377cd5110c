//! What the program says about itself.

use crate::support::ostia;

const COMMANDS: [&str; 9] =
    ["create", "bulk-create", "results", "inspect", "lookup", "verify", "bench", "completions", "man"];

#[test]
fn without_arguments_the_help_is_shown_and_the_exit_code_is_that_of_usage() {
    let ran = ostia([""; 0]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("Usage: ostia") && ran.err.contains("Exit codes: 0 done"), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn every_command_explains_itself_and_shows_an_example() {
    let all = ostia(["--help"]).done();
    for command in COMMANDS {
        assert!(all.contains(command), "{command}");
        let help = ostia([command, "--help"]).done();
        assert!(help.contains(&format!("Usage: ostia {command}")), "{help}");
        assert!(help.contains("Example"), "{command} shows no example: {help}");
        assert!(help.contains(&format!("  ostia {command}")), "{help}");
    }
    assert!(ostia(["--version"]).done().starts_with("ostia "));
}

#[test]
fn examples_in_the_help_name_sets_that_exist() {
    let mut named = 0;
    for command in COMMANDS {
        let help = ostia([command, "--help"]).done();
        for word in help.split_whitespace().filter(|word| word.starts_with("examples/keys/")) {
            let path = crate::support::examples().join(word.trim_start_matches("examples/keys/"));
            assert!(path.is_file(), "{command}: {word}");
            named += 1;
        }
    }
    assert!(named >= 3, "only {named} example sets are named");
}

#[test]
fn completions_and_the_manual_page_have_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = ostia(["completions", shell]).done();
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        assert!(script.contains("keep-order"), "{shell}");
    }
    let page = ostia(["man"]).done();
    for command in COMMANDS {
        assert!(page.contains(&format!(".TH ostia-{command}")), "{command}");
    }
    ostia(["completions", "tcsh"]).fails(2, &["tcsh", "bash, elvish, fish, powershell, zsh"]);
}

#[test]
fn unknown_names_are_answered_with_the_names_there_are() {
    let create = |option: &str, value: &str| ostia(["create", "x.keys", "--out", "t", option, value]);
    create("--kind", "chmm").fails(2, &["chmm", "no such kind", "auto, chm, halves, displace, retrieval"]);
    create("--hash", "md5")
        .fails(2, &["md5", "no such function", "fold, fold-pair", "Mulshrolate2RX", "Fnv"]);
    create("--emit", "table,cobol").fails(2, &["cobol", "no such output", "table, c, cpp, rust, python"]);
    create("--format", "xml").fails(2, &["xml", "keys, keys64, text, hex, csv, json, lines"]);
    create("--key-type", "u128").fails(2, &["u128", "no such key type", "u8, u16, u32, u64"]);
    create("--foreign", "some").fails(2, &["unchecked, fingerprint, fingerprint:BITS, exact"]);
    create("--foreign", "fingerprint:40").fails(2, &["1 to 32 bits"]);
    create("--graph", "tree").fails(2, &["peeled", "traversed"]);
    create("--header", "perhaps").fails(2, &["auto, yes, no"]);
    create("--time-limit", "soon").fails(2, &["ms, s, m or h"]);
    create("--seeds", "1,x").fails(2, &["decimal, or hexadecimal"]);
    create("--attempts", "0").fails(2, &["--attempts"]);
    ostia(["creat"]).fails(2, &["creat", "create"]);
    ostia(["create"]).fails(2, &["<KEYS>"]);
    ostia(["create", "x.keys"]).fails(2, &["--out"]);
    ostia(["bulk-create"]).fails(2, &["<DIR>"]);
    ostia(["bulk-create", "-"]).fails(2, &["--out"]);
    ostia(["bulk-create", "x", "--memory", "lots"]).fails(2, &["lots", "64M or 2G"]);
    ostia(["bulk-create", "x", "--node-policy", "any"]).fails(2, &["round-robin, least-loaded, node=N"]);
    ostia(["bulk-create", "x", "--engine", "steam"]).fails(2, &["runtime", "threads"]);
}
