//! A process without free descriptors. The limit is the process's, so this is a test by itself.

#![cfg(target_os = "linux")]

use std::{
    io,
    net::{Ipv4Addr, TcpStream},
    time::{Duration, Instant},
};

use ostia_port::{Address, Backend, Batch, Class, ListenOptions, Port, op};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[test]
fn accepting_pauses_while_there_is_no_descriptor_and_goes_on_when_there_is() {
    let port = Port::builder().backend(Backend::Epoll).open().unwrap();
    let mut berth = port.berth().unwrap();
    let listener = port.listen(&Address::Ip((Ipv4Addr::LOCALHOST, 0).into()), &ListenOptions::new()).unwrap();
    let Address::Ip(address) = listener.local_address().unwrap() else { panic!("it is over IP") };
    let peers: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();

    // No descriptor is free: the lowest that is, is the limit.
    let before = getrlimit(Resource::Nofile);
    let lowest = std::os::fd::AsRawFd::as_raw_fd(&std::fs::File::open("/dev/null").unwrap());
    setrlimit(Resource::Nofile, Rlimit { current: Some(lowest as u64), maximum: before.maximum }).unwrap();

    let error = {
        let mut accept = berth.submit(op::Accept::new(&listener)).unwrap();
        let mut batch = Batch::new();
        while !accept.is_done() {
            berth.wait(&mut batch, None).unwrap();
        }
        accept.poll().expect("it has ended").0.unwrap_err()
    };
    assert_eq!((error.raw_os_error(), Class::of(&error)), (Some(libc_emfile()), Class::Transient));

    let mut accept = berth.submit(op::AcceptMany::new(&listener)).unwrap();
    let mut batch = Batch::new();
    let (began, cpu) = (Instant::now(), cpu_time());
    let mut errors = 0;
    while began.elapsed() < Duration::from_millis(300) {
        berth.wait(&mut batch, Some(Duration::from_millis(50))).unwrap();
        while let Some(item) = accept.next() {
            assert_eq!(item.unwrap_err().raw_os_error(), Some(libc_emfile()));
            errors += 1;
        }
    }
    assert_eq!(errors, 1, "the lack is told once");
    let used = cpu_time() - cpu;
    assert!(used < Duration::from_millis(100), "waiting for a descriptor took {used:?} of the CPU");
    assert!(!accept.is_done());

    setrlimit(Resource::Nofile, before).unwrap();
    let mut accepted = 0;
    while accepted < peers.len() {
        assert!(
            berth.wait(&mut batch, Some(Duration::from_secs(10))).unwrap() > 0,
            "accepting does not go on"
        );
        while let Some(item) = accept.next() {
            item.unwrap();
            accepted += 1;
        }
    }
    assert!(!accept.is_done());
}

fn libc_emfile() -> i32 {
    io::Error::from(rustix::io::Errno::MFILE).raw_os_error().expect("it has a code")
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
