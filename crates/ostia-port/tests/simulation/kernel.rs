//! What the simulated kernel does, one thing at a time.

use std::{
    io::ErrorKind,
    net::Shutdown,
    path::Path,
    time::{Duration, Instant},
};

use ostia_port::{
    Address, Batch, Builder, Class, ListenOptions, Packet, Payload, Port, op, sim, sim::Options,
};

use crate::support::{any_ip, close, connected, end, port, port_of, run, state};

fn alone(seed: u64) -> Options {
    let mut options = Options::new(seed);
    options.alone = true;
    options
}

#[test]
fn a_timeout_of_a_year_is_over_at_once() {
    let port = port(alone(1));
    let mut berth = port.berth().unwrap();
    let year = Duration::from_secs(60 * 60 * 24 * 365);
    let (start, started) = (port.now(), Instant::now());
    let timer = berth.submit(op::Timer::after(&port, year)).unwrap();
    assert_eq!(berth.wait(&mut Batch::new(), Some(year / 2)).unwrap(), 0);
    assert!(!timer.is_done());
    end(&mut berth, timer).0.unwrap();
    assert!(port.now() - start >= year);
    assert!(started.elapsed() < Duration::from_secs(60));
    close(berth);
}

#[test]
fn a_wait_that_nothing_could_end_says_so() {
    let port = port(alone(2));
    let mut berth = port.berth().unwrap();
    let (listener, server, client) = connected(&mut berth);
    let receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(8))).unwrap();
    let error = berth.wait(&mut Batch::new(), None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Deadlock);
    assert!(error.to_string().contains("1 operations"), "{error}");
    drop((listener, server, client, receive));
    close(berth);
}

#[test]
fn bytes_arrive_whole_and_in_order_through_a_stream_with_room_for_one() {
    // Under Miri each byte costs a second.
    let piece = if cfg!(miri) { 3 } else { 100 };
    let mut options = alone(3);
    options.stream_room = 1;
    let port = port(options);
    let mut berth = port.berth().unwrap();
    let (listener, server, client) = connected(&mut berth);
    let sends: Vec<_> =
        (0..10u8).map(|number| berth.submit(op::Send::new(&client, vec![number; piece])).unwrap()).collect();
    let mut received = Vec::new();
    while received.len() < 10 * piece {
        let (result, buffer) = run(&mut berth, op::Receive::new(&server, Vec::with_capacity(64)));
        assert_eq!(result.unwrap().len, buffer.len());
        received.extend(buffer);
    }
    let expected: Vec<u8> = (0..10u8).flat_map(|number| vec![number; piece]).collect();
    assert_eq!(received, expected);
    for send in sends {
        assert_eq!(end(&mut berth, send).0.unwrap(), piece);
    }
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(run(&mut berth, op::Receive::new(&server, Vec::with_capacity(8))).0.unwrap().len, 0);
    drop((listener, server, client));
    close(berth);
}

#[test]
fn an_end_that_is_closed_with_bytes_unread_resets_the_other() {
    let port = port(alone(4));
    let mut berth = port.berth().unwrap();
    let (listener, server, client) = connected(&mut berth);
    run(&mut berth, op::Send::new(&client, b"unread".to_vec())).0.unwrap();
    drop(server);
    let error = run(&mut berth, op::Receive::new(&client, Vec::with_capacity(8))).0.unwrap_err();
    assert_eq!((error.kind(), Class::of(&error)), (ErrorKind::ConnectionReset, Class::PeerGone));
    drop((listener, client));
    close(berth);
}

#[test]
fn nobody_listening_is_refused_and_a_full_line_waits() {
    let port = port(alone(5));
    let mut berth = port.berth().unwrap();
    let listener = port.listen(&any_ip(), &ListenOptions::new().backlog(1)).unwrap();
    let address = listener.local_address().unwrap();
    assert_eq!(port.listen(&address, &ListenOptions::new()).unwrap_err().kind(), ErrorKind::AddrInUse);
    let connect = |port: &Port| op::Connect::new(port.stream(&address).unwrap(), &address).unwrap();
    let (connected, first) = run(&mut berth, connect(&port));
    connected.unwrap();
    let second = berth.submit(connect(&port)).unwrap();
    assert_eq!(berth.wait(&mut Batch::new(), Some(Duration::from_secs(60))).unwrap(), 0);
    run(&mut berth, op::Accept::new(&listener)).0.unwrap();
    end(&mut berth, second).0.unwrap();
    drop(listener);
    let error = run(&mut berth, connect(&port)).0.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    drop(first);
    close(berth);
}

#[test]
fn a_local_stream_is_found_by_its_name() {
    let port = port(alone(6));
    let mut berth = port.berth().unwrap();
    let address = Address::Local("/somewhere/name".into());
    let connect = |port: &Port| op::Connect::new(port.stream(&address).unwrap(), &address).unwrap();
    assert_eq!(run(&mut berth, connect(&port)).0.unwrap_err().kind(), ErrorKind::NotFound);
    let listener = port.listen(&address, &ListenOptions::new()).unwrap();
    let (result, client) = run(&mut berth, connect(&port));
    result.unwrap();
    let server = run(&mut berth, op::Accept::new(&listener)).0.unwrap();
    run(&mut berth, op::Send::new(&server, b"hello".as_slice())).0.unwrap();
    let received = run(&mut berth, op::ReceiveManaged::new(&client)).0.unwrap();
    assert!(b"hello".starts_with(&received) && !received.is_empty());
    drop((listener, server, client, received));
    close(berth);
}

#[test]
fn datagrams_are_cut_off_and_say_so_and_who_sent_them() {
    let port = port(alone(7));
    let mut berth = port.berth().unwrap();
    let (left, right) = (port.datagram(&any_ip()).unwrap(), port.datagram(&any_ip()).unwrap());
    let to = right.local_address().unwrap();
    for bytes in [b"a longer one".as_slice(), b"", b"fits"] {
        assert_eq!(
            run(&mut berth, op::SendTo::new(&left, bytes, Some(&to)).unwrap()).0.unwrap(),
            bytes.len()
        );
    }
    let mut receive = || run(&mut berth, op::ReceiveFrom::new(&right, Vec::with_capacity(4)));
    for (expected, truncated) in [(b"a lo".as_slice(), true), (b"", false), (b"fits", false)] {
        let (received, buffer) = receive();
        let received = received.unwrap();
        assert_eq!((&buffer[..], received.truncated), (expected, truncated));
        assert_eq!(received.from, Some(left.local_address().unwrap()));
    }
    drop((left, right));
    close(berth);
}

#[test]
fn files_keep_what_is_written_and_names_what_they_name() {
    let port = port(alone(8));
    let mut berth = port.berth().unwrap();
    let folder = std::env::temp_dir().join("folder");
    let path = |name: &str| folder.join(name);
    let open = |name: &str, options: op::OpenOptions| op::Open::new(&port, &path(name), options).unwrap();
    let write = op::OpenOptions::new().read(true).write(true).create(true);
    assert_eq!(run(&mut berth, open("one", write)).0.unwrap_err().kind(), ErrorKind::NotFound);
    run(&mut berth, op::CreateDir::new(&folder).unwrap()).0.unwrap();
    let again = run(&mut berth, op::CreateDir::new(&folder).unwrap()).0;
    assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let file = run(&mut berth, open("one", write)).0.unwrap();
    let bytes: Vec<u8> = (0..200).collect();
    assert_eq!(run(&mut berth, op::WriteAt::new(&file, bytes.clone(), 100)).0.unwrap(), 200);
    let (read, back) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(500), 50));
    assert_eq!((read.unwrap(), &back[..50], &back[50..]), (250, &[0; 50][..], &bytes[..]));
    run(&mut berth, op::SetSize::new(&file, 120)).0.unwrap();
    run(&mut berth, op::Flush::new(&file)).0.unwrap();
    run(&mut berth, op::Rename::new(&path("one"), &path("two")).unwrap()).0.unwrap();
    let metadata = run(&mut berth, op::MetadataOf::new(&path("two"), true).unwrap()).0.unwrap();
    assert_eq!((metadata.kind, metadata.len), (op::EntryKind::File, 120));
    let entries = run(&mut berth, op::ListDir::new(&folder).unwrap()).0.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.name.as_os_str()).collect::<Vec<_>>(), [Path::new("two")]);
    let full = run(&mut berth, op::RemoveDir::new(&folder).unwrap()).0;
    assert_eq!(full.unwrap_err().kind(), ErrorKind::DirectoryNotEmpty);
    run(&mut berth, op::Remove::new(&path("two")).unwrap()).0.unwrap();
    run(&mut berth, op::RemoveDir::new(&folder).unwrap()).0.unwrap();
    assert_eq!(state(&port).files, 1, "a file that is open and has no name");
    assert_eq!(run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(500), 0)).0.unwrap(), 120);
    drop(file);
    assert_eq!(state(&port).files, 0);
    close(berth);
}

#[test]
fn a_post_of_another_thread_wakes_a_sleeper() {
    let port = port(Options::new(9));
    let mut berth = port.berth().unwrap();
    let poster = std::thread::spawn({
        let port = port.clone();
        move || port.post(Payload::Word(7)).unwrap()
    });
    let mut batch = Batch::new();
    assert_eq!(berth.wait(&mut batch, None).unwrap(), 1);
    assert!(matches!(batch.drain().next(), Some(Packet::Post(Payload::Word(7)))));
    poster.join().unwrap();
    close(berth);
}

#[test]
fn what_the_kernel_does_not_give_back_is_leaked_and_counted() {
    let mut options = alone(10);
    options.stuck = 1000;
    options.poison = true;
    let port = port(options);
    let mut berth = port.berth().unwrap();
    let path = std::env::temp_dir().join("stuck");
    let create = op::OpenOptions::new().read(true).write(true).create(true);
    let file = run(&mut berth, op::Open::new(&port, &path, create).unwrap()).0.unwrap();
    let mut ticket = berth.submit(op::ReadAt::new(&file, vec![0; 64], 0)).unwrap();
    berth.wait(&mut Batch::new(), Some(Duration::from_secs(1))).unwrap();
    let report = berth.close(Duration::from_secs(5));
    assert_eq!((report.submitted, report.ended, report.cancelled, report.leaked), (2, 1, 1, 1));
    // Its hour comes during another berth's wait: the kernel still writes to memory that is still there.
    let mut other = port.berth().unwrap();
    other.wait(&mut Batch::new(), Some(Duration::from_secs(2 * 3600))).unwrap();
    assert!(ticket.poll().is_none(), "nobody is left who could tell");
    drop((file, ticket));
    let report = other.close(Duration::from_secs(5));
    assert_eq!((report.ended, report.unknown), (0, 0));
    assert_eq!(state(&port).handles, 1, "the lost operation keeps its file open");
}

#[test]
fn a_simulation_is_chosen_by_its_options() {
    let builder: Builder = Port::builder();
    let port = builder.sim(Options::rough(11)).open().unwrap();
    assert_eq!(port.backend().to_string(), "sim");
}

#[test]
fn one_operation_more_than_may_be_is_refused_whoever_had_the_slots_before() {
    for ops_max in [if cfg!(miri) { 20 } else { 1000 }, 3] {
        let port = port_of(Port::builder().sim(alone(12)).ops_max(ops_max));
        let mut berth = port.berth().unwrap();
        let mut tickets: Vec<_> = (0..ops_max).map(|_| berth.submit(op::Nop).unwrap()).collect();
        assert_eq!(berth.submit(op::Nop).unwrap_err().error.kind(), ErrorKind::WouldBlock);
        end(&mut berth, tickets.swap_remove(0)).0.unwrap();
        // A result that nobody has taken holds its slot as an operation under way does.
        tickets.push(berth.submit(op::Nop).unwrap());
        assert_eq!(berth.submit(op::Nop).unwrap_err().error.kind(), ErrorKind::WouldBlock);
        drop(tickets);
        close(berth);
    }
}

#[test]
fn ports_of_one_machine_have_one_clock_and_one_network() {
    let kernel = sim::Kernel::new(alone(20));
    let [one, other] = [(); 2].map(|()| port_of(Port::builder().kernel(&kernel)));
    let mut berth = one.berth().unwrap();
    let mut theirs = other.berth().unwrap();
    let hour = Duration::from_secs(3600);
    let before = other.now();
    let timer = berth.submit(op::Timer::after(&one, hour)).unwrap();
    end(&mut berth, timer).0.unwrap();
    assert!(other.now() - before >= hour);
    assert!(kernel.now() >= one.now());

    let listener = one.listen(&any_ip(), &ListenOptions::new()).unwrap();
    let address = listener.local_address().unwrap();
    let connect = op::Connect::new(other.stream(&address).unwrap(), &address).unwrap();
    let (result, client) = run(&mut theirs, connect);
    result.unwrap();
    let server = run(&mut berth, op::Accept::new(&listener)).0.unwrap();
    run(&mut theirs, op::Send::new(&client, b"over there".to_vec())).0.unwrap();
    let received = run(&mut berth, op::Receive::new(&server, Vec::with_capacity(1))).1;
    assert_eq!(received, b"o");
    assert_eq!((kernel.state(), state(&one)), (state(&other), kernel.state()));
    drop((listener, server, client));
    theirs.close(hour);
    close(berth);
}

fn stepped(seed: u64) -> Options {
    let mut options = Options::new(seed);
    options.stepped = true;
    options
}

#[test]
fn a_stepped_berth_sleeps_until_its_time_has_come() {
    let kernel = sim::Kernel::new(stepped(21));
    let port = port_of(Port::builder().kernel(&kernel));
    let (mut berth, mut other) = (port.berth().unwrap(), port.berth().unwrap());
    let mut batch = Batch::new();
    let hour = Duration::from_secs(3600);
    let mut timer = berth.submit(op::Timer::after(&port, hour)).unwrap();
    let begin = port.now();
    for sleeper in [&mut berth, &mut other] {
        assert!(!sim::is_asleep(sleeper));
        assert_eq!(sleeper.wait(&mut batch, None).unwrap_err().kind(), ErrorKind::WouldBlock);
        assert!(sim::is_asleep(sleeper));
    }
    assert!(port.now() - begin < Duration::from_secs(1), "no time passes by waiting");
    assert!(kernel.advance(Some(begin + hour / 2)));
    assert_eq!(port.now(), begin + hour / 2);
    assert!(sim::is_asleep(&berth) && sim::is_asleep(&other));
    assert!(kernel.advance(None));
    assert!(!sim::is_asleep(&berth) && sim::is_asleep(&other));
    assert_eq!(berth.wait(&mut batch, None).unwrap(), 1);
    timer.poll().expect("its time has come").0.unwrap();
    assert_eq!(berth.wait(&mut batch, None).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert!(!kernel.advance(None), "nothing will ever happen");
    other.close(hour);
    close(berth);
}

#[test]
fn a_stepped_berth_is_woken_by_its_bell_and_by_a_post_that_finds_no_other() {
    let kernel = sim::Kernel::new(stepped(22));
    let port = port_of(Port::builder().kernel(&kernel));
    let (mut first, mut second) = (port.berth().unwrap(), port.berth().unwrap());
    let mut batch = Batch::new();
    first.wait(&mut batch, None).unwrap_err();
    second.wait(&mut batch, None).unwrap_err();
    second.bell().ring();
    assert!(sim::is_asleep(&first) && !sim::is_asleep(&second));
    assert_eq!(second.wait(&mut batch, None).unwrap(), 0);
    second.wait(&mut batch, None).unwrap_err();
    port.post(Payload::Word(1)).unwrap();
    assert!(!sim::is_asleep(&first) && sim::is_asleep(&second), "one sleeper is woken");
    assert_eq!(first.wait(&mut batch, None).unwrap(), 1);
    // While somebody is awake nobody is woken: who is awake looks.
    port.post(Payload::Word(2)).unwrap();
    assert!(!sim::is_asleep(&first) && !sim::is_asleep(&second));
    second.close(Duration::ZERO);
    close(first);
}

#[test]
fn a_stepped_berth_that_closes_lets_time_pass_until_its_operations_have_ended() {
    let kernel = sim::Kernel::new(stepped(23));
    let port = port_of(Port::builder().kernel(&kernel));
    let mut berth = port.berth().unwrap();
    let listener = port.listen(&any_ip(), &ListenOptions::new()).unwrap();
    let accept = berth.submit(op::Accept::new(&listener)).unwrap();
    berth.wait(&mut Batch::new(), None).unwrap_err();
    drop(listener);
    drop(accept);
    close(berth);
}

#[test]
fn a_broken_berth_cannot_wait_and_what_it_has_ends_when_it_closes() {
    let port = port(alone(31));
    let mut berth = port.berth().unwrap();
    let (listener, server, client) = connected(&mut berth);
    let mut receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(8))).unwrap();
    let mut behind = berth.submit(op::Receive::new(&server, Vec::with_capacity(8))).unwrap();
    let id = receive.id();
    assert_eq!(id.berth(), berth.number());
    berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
    sim::break_berth(&berth, sim::Break::Waits);
    for timeout in [None, Some(Duration::ZERO), Some(Duration::from_secs(1))] {
        let error = berth.wait(&mut Batch::new(), timeout).unwrap_err();
        assert!(error.to_string().contains("broken"), "{error}");
    }
    let report = berth.close(Duration::from_secs(10));
    assert_eq!((report.cancelled, report.leaked), (2, 0), "{report:?}");
    for ticket in [&mut receive, &mut behind] {
        assert!(!ticket.is_lost());
        let (result, buffer) = ticket.poll().expect("it has ended");
        assert_eq!(Class::of(&result.unwrap_err()), Class::Cancelled);
        assert_eq!(buffer.capacity(), 8);
    }
    drop((listener, server, client));
}

#[test]
fn what_the_kernel_never_gives_back_is_lost_and_its_ticket_says_so() {
    let mut options = alone(32);
    // What is refused at first is still the berth's, and comes back.
    options.refuse = 0;
    let port = port(options);
    let mut berth = port.berth().unwrap();
    let (listener, server, client) = connected(&mut berth);
    let mut receive = berth.submit(op::Receive::new(&server, Vec::with_capacity(8))).unwrap();
    berth.wait(&mut Batch::new(), Some(Duration::ZERO)).unwrap();
    let mut late = berth.submit(op::Receive::new(&client, Vec::with_capacity(8))).unwrap();
    sim::break_berth(&berth, sim::Break::All);
    assert!(berth.wait(&mut Batch::new(), None).is_err());
    assert!(!receive.is_lost(), "its berth is there still");
    let (began, started) = (port.now(), Instant::now());
    let report = berth.close(Duration::from_secs(10));
    assert!(port.now() - began >= Duration::from_secs(10) && started.elapsed() < Duration::from_secs(60));
    assert_eq!((report.cancelled, report.leaked), (2, 1), "{report:?}");
    assert!(receive.is_lost() && receive.poll().is_none());
    assert!(!late.is_lost(), "the kernel never had it");
    assert_eq!(Class::of(&late.poll().expect("it has ended").0.unwrap_err()), Class::Cancelled);
    drop((listener, server, client, receive));
}
