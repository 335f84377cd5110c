//! Standard input and output, of processes that are started for it.
//!
//! What such a process has to say goes to its standard error; the standard output is the harness's, too.

mod common;

use std::{
    env,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    thread,
};

use common::{Either, only_once, select, turns};
use ostia_rt::{
    Runtime,
    io::{self, AsyncRead, AsyncWrite},
    offload, stdio,
};

/// Starts a test of this file with pipes for all three.
fn start(test: &str) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", test])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Gives it these bytes and the end; what came out and how.
fn feed(mut child: Child, bytes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stderr[..output.stderr.len().min(2000)]).into_owned();
    assert!(output.status.success(), "{}: {said}", output.status);
    (output.stdout, output.stderr)
}

fn lines(count: usize) -> Vec<u8> {
    (0..count).flat_map(|number| format!("line {number} of many\n").into_bytes()).collect()
}

/// One thread to offload to: a read that waits must not have it.
fn runtime() -> Runtime {
    Runtime::builder().workers_per_node(1).offload_threads_max(1).build().unwrap()
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn copies_to_standard_error() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let copied = io::copy(&mut stdio::stdin(), &mut stdio::stderr()).await.unwrap();
        stdio::stderr().flush().await.unwrap();
        // The end, and the end again.
        let (read, _) = stdio::stdin().read(Vec::with_capacity(8)).await;
        assert_eq!(read.unwrap(), 0);
        copied
    });
    assert!(runtime.block_on(task).unwrap() > 0);
}

#[test]
fn what_comes_in_goes_out_to_the_last_byte() {
    let bytes = lines(100_000);
    let (_, told) = feed(start("copies_to_standard_error"), bytes.clone());
    assert!(told == bytes, "{} bytes of {}", told.len(), bytes.len());
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn reads_with_interruptions() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let (mut stdin, mut stdout) = (stdio::stdin(), stdio::stdout());
        let mut round = 0;
        loop {
            round += 1;
            // Dropped now before, now after something has come.
            if let Either::Second((read, bytes)) =
                select(turns(round % 5), stdin.read(Vec::with_capacity(1000))).await
            {
                if read.unwrap() == 0 {
                    break;
                }
                stdout.write_all(bytes).await.0.unwrap();
            }
        }
        stdout.shutdown().await.unwrap();
        // It is not closed by that.
        stdout.write_all(b"and the end\n".as_slice()).await.0.unwrap();
    });
    runtime.block_on(task).unwrap();
}

#[test]
fn a_dropped_read_loses_nothing() {
    let bytes = lines(5000);
    let (out, _) = feed(start("reads_with_interruptions"), bytes.clone());
    let out = String::from_utf8(out).unwrap().replace("\r\n", "\n");
    let whole = String::from_utf8(bytes).unwrap() + "and the end\n";
    assert!(out.contains(&whole), "{} bytes came out", out.len());
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn waits_for_a_line() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let mut stdin = stdio::stdin();
        assert!(only_once(stdin.read(Vec::with_capacity(100))).await.is_none());
        // The one thread to offload to is free.
        let said = offload(|| b"waiting\n".to_vec()).await.unwrap();
        stdio::stderr().write_all(said).await.0.unwrap();
        let (read, line) = stdin.read(Vec::with_capacity(100)).await;
        assert_eq!((read.unwrap(), line.trim_ascii_end()), (line.len(), b"salve".as_slice()));
        // And nobody waits for the thread that reads, though it does not come back.
        assert!(only_once(stdin.read(Vec::with_capacity(100))).await.is_none());
    });
    runtime.block_on(task).unwrap();
}

#[test]
fn a_read_that_waits_keeps_nothing_else_from_being_done() {
    let mut child = start("waits_for_a_line");
    let mut told = child.stderr.take().unwrap();
    let mut first = [0; 8];
    told.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"waiting\n");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"salve\n").unwrap();
    // The pipe stays open: the process ends all the same.
    assert!(child.wait().unwrap().success());
    drop(stdin);
}
