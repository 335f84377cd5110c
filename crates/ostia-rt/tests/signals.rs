//! Signals, sent to processes that are started for it, by their own numbers: so no other test is disturbed.
//!
//! What such a process has to say goes to its standard error, a line each; the standard output is the harness's.
#![cfg(target_os = "linux")]

mod common;

use std::{
    env, fs,
    future::pending,
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::process::ExitStatusExt,
    pin::Pin,
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use common::{Either, only_once, select};
use ostia_rt::{
    Runtime,
    signals::{self, Signal, Signals},
    yield_now,
};
use rustix::process::{Pid, kill_process};

type Sent = rustix::process::Signal;

const LONG: Duration = Duration::from_secs(30);

/// A process that is sent signals; ended when it is dropped.
struct Other {
    child: Child,
    told: BufReader<ChildStderr>,
}

impl Other {
    /// Starts a test of this file, on a back end.
    fn start(test: &str, backend: &str) -> Other {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", test])
            .env("OSTIA_BACKEND", backend)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap());
        Other { child, told }
    }

    #[track_caller]
    fn expect(&mut self, line: &str) {
        let mut told = String::new();
        self.told.read_line(&mut told).unwrap();
        assert_eq!(told.trim_end(), line);
    }

    fn send(&self, signal: Sent) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // Ended already, unless the test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether this process was started with signals ignored, by `nohup` or by a shell's `&`, as those that it starts are
/// then: they hear nothing of such a signal, and rightly so.
fn are_signals_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).expect("it tells of signals");
    let ignored = u64::from_str_radix(ignored.trim(), 16).expect("it is a mask");
    [Sent::INT, Sent::TERM, Sent::HUP].iter().any(|signal| ignored & 1 << (signal.as_raw() - 1) != 0)
}

/// Runs the test below with a process of its own on each back end.
fn on_each(test: &str, run: impl Fn(Other)) {
    if are_signals_ignored() {
        let why = format!("SKIPPED {test}: this process was started with signals ignored");
        writeln!(io::stderr(), "{why}").expect("stderr is there");
        return;
    }
    for &backend in common::backends() {
        // Said by the one that is skipped.
        if common::runtime(backend, 1).is_some() {
            run(Other::start(test, &backend.to_string()));
        }
    }
}

fn tell(what: &str) {
    eprintln!("{what}");
}

/// A runtime in a process that ends by itself, should the test be wrong.
fn runtime() -> Runtime {
    thread::spawn(|| {
        thread::sleep(LONG * 2);
        tell("it hangs");
        std::process::abort();
    });
    Runtime::builder().workers_per_node(1).build().unwrap()
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn hears_ctrl_c() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let mut waiting = std::pin::pin!(signals::ctrl_c());
        assert!(only_once(waiting.as_mut()).await.is_none());
        tell("ready");
        waiting.await.unwrap();
        tell("heard");
    });
    runtime.block_on(task).unwrap();
    // Nobody listens any more.
    tell("again");
    runtime.block_on(pending::<()>());
}

#[test]
fn ctrl_c_comes_to_the_task_that_waits_and_ends_the_process_when_none_does() {
    on_each("hears_ctrl_c", |mut other| {
        other.expect("ready");
        other.send(Sent::INT);
        other.expect("heard");
        other.expect("again");
        other.send(Sent::INT);
        assert_eq!(other.end().signal(), Some(Sent::INT.as_raw()));
    });
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn hears_many() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let mut signals = Signals::to([Signal::HangUp, Signal::Terminate]).unwrap();
        assert!(signals.hears(Signal::HangUp) && !signals.hears(Signal::Interrupt));
        tell("ready");
        for _ in 0..3 {
            let signal = loop {
                // A dropped wait takes nothing.
                if let Either::First(signal) = select(signals.next(), yield_now()).await {
                    break signal;
                }
            };
            tell(&signal.to_string());
        }
    });
    runtime.block_on(task).unwrap();
}

#[test]
fn signals_come_one_after_the_other() {
    on_each("hears_many", |mut other| {
        other.expect("ready");
        for (signal, name) in [(Sent::HUP, "hang-up"), (Sent::TERM, "terminate"), (Sent::HUP, "hang-up")] {
            other.send(signal);
            other.expect(name);
        }
        assert!(other.end().success());
    });
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn runs_until_a_signal() {
    let runtime = runtime();
    let handle = runtime.handle();
    let program = async {
        drop(handle.spawn(async {
            /// Tells that it was dropped.
            struct Cleans;
            impl Drop for Cleans {
                fn drop(&mut self) {
                    tell("cleaned up");
                }
            }
            let _cleans = Cleans;
            tell("ready");
            pending::<()>().await;
        }));
        pending::<()>().await;
    };
    let run = runtime.run_until_signal(program, Duration::ZERO, LONG).unwrap();
    tell(&format!("{:?}, {} cancelled", run.end, run.report.cancelled));
}

#[test]
fn a_program_that_is_asked_to_end_cleans_up_and_ends_well() {
    on_each("runs_until_a_signal", |mut other| {
        other.expect("ready");
        other.send(Sent::TERM);
        other.expect("cleaned up");
        other.expect("Err(Terminate), 1 cancelled");
        assert!(other.end().success());
    });
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn does_not_come_to_its_end() {
    let runtime = runtime();
    let task = runtime.spawn(async {
        let mut signal = signals::shutdown_signal().unwrap();
        tell("ready");
        let ending = Pin::new(&mut signal).await;
        tell(&ending.signal().to_string());
        // The one worker never comes back.
        loop {
            thread::park();
        }
    });
    runtime.block_on(task).unwrap();
}

#[test]
fn ctrl_c_once_more_ends_at_once_although_no_worker_is_there_to_hear_it() {
    on_each("does_not_come_to_its_end", |mut other| {
        other.expect("ready");
        other.send(Sent::INT);
        other.expect("interrupt");
        other.send(Sent::INT);
        assert_eq!(other.end().code(), Some(signals::EXIT_CODE));
    });
}

#[test]
fn ctrl_c_ends_at_once_also_what_another_signal_had_asked_to_end() {
    on_each("does_not_come_to_its_end", |mut other| {
        other.expect("ready");
        other.send(Sent::TERM);
        other.expect("terminate");
        other.send(Sent::INT);
        assert_eq!(other.end().code(), Some(signals::EXIT_CODE));
    });
}

#[test]
fn sigterm_once_more_ends_at_once_also_what_another_signal_had_asked_to_end() {
    for (first, name) in [(Sent::TERM, "terminate"), (Sent::INT, "interrupt"), (Sent::HUP, "hang-up")] {
        on_each("does_not_come_to_its_end", |mut other| {
            other.expect("ready");
            other.send(first);
            other.expect(name);
            // Those that come at once are taken for the same wish.
            let code = loop {
                other.send(Sent::TERM);
                match other.child.try_wait().unwrap() {
                    Some(status) => break status.code(),
                    None => thread::sleep(Duration::from_millis(20)),
                }
            };
            assert_eq!(code, Some(signals::EXIT_CODE_TERMINATED), "{name}");
        });
    }
}

/// The server that the documentation shows: it answers, and ends as it says.
#[test]
fn the_http_example_answers_until_it_is_asked_to_end() {
    // Cargo builds examples beside the tests.
    let deps = env::current_exe().unwrap();
    let http = deps.parent().unwrap().parent().unwrap().join("examples/http");
    for &backend in common::backends() {
        if common::runtime(backend, 1).is_none() {
            continue;
        }
        let mut child = Command::new(&http)
            .args(["127.0.0.1:0", "2"])
            .env("OSTIA_BACKEND", backend.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", http.display()));
        let told = BufReader::new(child.stderr.take().unwrap());
        let mut listening = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut listening).unwrap();
        let mut server = Other { child, told };
        let address =
            listening.trim_end().strip_prefix("listening on http://").expect("it says where").to_owned();
        let ask = || {
            let mut stream = TcpStream::connect(&address).unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            stream.write_all(b"GET /world HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        for _ in 0..3 {
            let answer = ask();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello, world\n"), "{answer}");
        }
        // One that is connected and asks nothing keeps it for a while, and no longer.
        let silent = TcpStream::connect(&address).unwrap();
        server.send(Sent::TERM);
        let mut told = String::new();
        server.told.read_line(&mut told).unwrap();
        assert!(told.starts_with("http: ended by terminate: "), "{told}");
        assert!(server.end().success());
        drop(silent);
    }
}
