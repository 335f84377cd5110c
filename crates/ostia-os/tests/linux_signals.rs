//! Signals, sent to processes that are started for it: so no other test is disturbed.
//!
//! What such a process has to say goes to its standard error, a line each; the standard output is the harness's.
#![cfg(target_os = "linux")]

use std::{
    env,
    io::{self, BufRead, BufReader},
    os::{fd::AsFd, unix::process::ExitStatusExt},
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ostia_os::signals::{Signal, Signals};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, kill_process},
};

type Sent = rustix::process::Signal;

/// A process that is sent signals; ended when it is dropped.
struct Other {
    child: Child,
    told: BufReader<ChildStderr>,
}

impl Other {
    /// Starts a test of this file, by a shell that runs `first` before.
    fn start(test: &str, first: &str) -> Other {
        let mut child = Command::new("sh")
            .args(["-c", &format!("{first} exec \"$0\" \"$@\"")])
            .arg(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", test])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let told = BufReader::new(child.stderr.take().unwrap());
        Other { child, told }
    }

    fn send(&self, signal: Sent) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    fn expect(&mut self, line: &str) {
        let mut told = String::new();
        self.told.read_line(&mut told).unwrap();
        assert_eq!(told.trim_end(), line);
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

fn tell(what: impl std::fmt::Display) {
    eprintln!("{what}");
}

/// Waits for a line from the parent.
fn told_to_go_on() {
    io::stdin().read_line(&mut String::new()).unwrap();
}

fn is_readable(signals: &Signals) -> bool {
    let mut fds = [PollFd::new(signals, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn two_subscribers() {
    let (woken, wakes) = mpsc::channel();
    // Tests may be started by `nohup`, or behind an `&`, which ignore some of them.
    let one = Signals::to(Signal::ALL).even_if_ignored().open().unwrap();
    let other =
        Signals::to([Signal::Terminate]).wake(move |signal| woken.send(signal).unwrap()).open().unwrap();
    assert!(one.hears(Signal::Interrupt) && one.hears(Signal::Terminate) && one.hears(Signal::HangUp));
    assert!(!other.hears(Signal::Interrupt));
    assert!(!is_readable(&one));
    assert_eq!(one.try_next(), None);
    let before = Instant::now();
    assert_eq!(one.wait(Some(Duration::from_millis(20))), None);
    assert!(before.elapsed() >= Duration::from_millis(20));

    tell("ready");
    assert_eq!(wakes.recv(), Ok(Signal::Terminate));
    // The other was told too, before or after: its descriptor says so.
    poll(&mut [PollFd::new(&one, PollFlags::IN)], None).unwrap();
    assert!(is_readable(&one) && is_readable(&other));
    assert_eq!(one.try_next(), Some(Signal::Terminate));
    assert!(!is_readable(&one));
    assert_eq!(other.wait(None), Some(Signal::Terminate));
    assert_eq!((one.try_next(), other.try_next()), (None, None));

    tell("now interrupt");
    assert_eq!(one.wait(None), Some(Signal::Interrupt));
    assert_eq!(other.try_next(), None);

    // What one hears alone is no longer heard without it; what both hear is.
    drop(one);
    tell("now terminate");
    assert_eq!(other.wait(None), Some(Signal::Terminate));
    let _ = other.as_fd();
    drop(other);
    tell("nobody listens");
    told_to_go_on();
}

#[test]
fn signals_come_to_every_subscriber_and_do_what_they_did_when_none_is_left() {
    let mut other = Other::start("two_subscribers", "");
    other.expect("ready");
    other.send(Sent::TERM);
    other.expect("now interrupt");
    other.send(Sent::INT);
    other.expect("now terminate");
    other.send(Sent::TERM);
    other.expect("nobody listens");
    other.send(Sent::TERM);
    assert_eq!(other.end().signal(), Some(Sent::TERM.as_raw()));
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn ignored_before() {
    let polite = Signals::to([Signal::HangUp, Signal::Terminate]).open().unwrap();
    assert!(!polite.hears(Signal::HangUp) && polite.hears(Signal::Terminate));
    tell("ready");
    assert_eq!(polite.wait(None), Some(Signal::Terminate));
    assert_eq!(polite.try_next(), None);

    let greedy = Signals::to([Signal::HangUp]).even_if_ignored().open().unwrap();
    assert!(greedy.hears(Signal::HangUp));
    tell("now hang up");
    assert_eq!(greedy.wait(None), Some(Signal::HangUp));
    assert!(!polite.hears(Signal::HangUp));
    drop(greedy);
    tell("ignored again");
    assert_eq!(polite.wait(None), Some(Signal::Terminate));
    tell("ended");
}

#[test]
fn what_the_parent_ignored_stays_ignored_unless_it_is_asked_for() {
    let mut other = Other::start("ignored_before", "trap '' HUP;");
    other.expect("ready");
    // If the first were not ignored it would end the process, or come first.
    other.send(Sent::HUP);
    other.send(Sent::TERM);
    other.expect("now hang up");
    other.send(Sent::HUP);
    other.expect("ignored again");
    other.send(Sent::HUP);
    other.send(Sent::TERM);
    other.expect("ended");
    assert!(other.end().success());
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn many_at_once() {
    // As above: a shell's `&` has interrupts ignored.
    let signals = Signals::to([Signal::Interrupt, Signal::Terminate]).even_if_ignored().open().unwrap();
    tell("ready");
    // Handlers of different signals run on different threads, in any order.
    let mut came = Vec::new();
    while !(came.contains(&Signal::Interrupt) && came.contains(&Signal::Terminate)) {
        came.push(signals.wait(None).unwrap());
    }
    assert!(came.len() <= 1001, "{}", came.len());
    assert_eq!(came.iter().filter(|&&signal| signal == Signal::Terminate).count(), 1);
    tell("ended");
}

#[test]
fn a_thousand_signals_at_once_are_told_at_least_once() {
    let mut other = Other::start("many_at_once", "");
    other.expect("ready");
    (0..1000).for_each(|_| other.send(Sent::INT));
    other.send(Sent::TERM);
    other.expect("ended");
    assert!(other.end().success());
}

#[test]
#[ignore = "the other process of the test below, which starts it"]
fn opened_and_dropped() {
    // Subscriptions come and go on several threads while signals arrive.
    let keeper = Signals::to([Signal::Interrupt]).even_if_ignored().open().unwrap();
    let kept = Signals::to([Signal::Terminate]).open().unwrap();
    tell("ready");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let short = Signals::to([Signal::Interrupt, Signal::HangUp]).wake(|_| ()).open().unwrap();
                    let _ = short.try_next();
                }
            });
        }
    });
    assert_eq!(kept.wait(None), Some(Signal::Terminate));
    assert_eq!(keeper.wait(None), Some(Signal::Interrupt));
    tell("ended");
}

#[test]
fn subscriptions_may_come_and_go_while_signals_arrive() {
    let mut other = Other::start("opened_and_dropped", "");
    other.expect("ready");
    (0..500).for_each(|_| other.send(Sent::INT));
    other.send(Sent::TERM);
    other.expect("ended");
    assert!(other.end().success());
}
