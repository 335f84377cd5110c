//! In the steady state an operation allocates nothing. The counter is the process's allocator, so this is a test by
//! itself.

#![cfg(target_os = "linux")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    net::Ipv4Addr,
    sync::atomic::{AtomicU64, Ordering},
};

use ostia_port::{Address, Backend, Batch, Berth, ListenOptions, Port, Ticket, op};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are handed on.
        unsafe { System.realloc(memory, layout, len) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn end<O: op::Op>(berth: &mut Berth, batch: &mut Batch, ticket: &mut Ticket<O>) -> (O::Out, O::Back) {
    loop {
        if let Some((result, back)) = ticket.poll() {
            return (result.unwrap_or_else(|error| panic!("an operation failed: {error}")), back);
        }
        berth.wait(batch, None).unwrap();
    }
}

#[test]
fn no_operation_allocates_in_the_steady_state() {
    let port = Port::builder().backend(Backend::Epoll).open().unwrap();
    let mut berth = port.berth().unwrap();
    let mut batch = Batch::new();
    let batch = &mut batch;
    let listener = port.listen(&Address::Ip((Ipv4Addr::LOCALHOST, 0).into()), &ListenOptions::new()).unwrap();
    let address = listener.local_address().unwrap();
    let mut accept = berth.submit(op::Accept::new(&listener)).unwrap();
    let mut connect =
        berth.submit(op::Connect::new(port.stream(&address).unwrap(), &address).unwrap()).unwrap();
    let ours = end(&mut berth, batch, &mut connect).1;
    let theirs = end(&mut berth, batch, &mut accept).0;
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), [1; 4096]).unwrap();
    let mut open = berth
        .submit(op::Open::new(&port, path.path(), op::OpenOptions::new().read(true).write(true)).unwrap())
        .unwrap();
    let file = end(&mut berth, batch, &mut open).0;
    let socket = port.datagram(&Address::Ip((Ipv4Addr::LOCALHOST, 0).into())).unwrap();
    let to = socket.local_address().unwrap();

    let mut buffers = vec![Vec::with_capacity(64), vec![7; 64]];
    let (mut block, mut datagram) = (Vec::with_capacity(4096), vec![9; 32]);
    let mut counted = 0;
    for round in 0..300 {
        if round == 100 {
            counted = ALLOCATIONS.load(Ordering::Relaxed);
        }
        let (room, full) = (buffers.remove(0), buffers.remove(0));
        let mut receive = berth.submit(op::Receive::new(&theirs, room)).unwrap();
        let mut send = berth.submit(op::Send::new(&ours, full)).unwrap();
        let (received, room) = end(&mut berth, batch, &mut receive);
        assert_eq!(received.len, 64);
        buffers.push(end(&mut berth, batch, &mut send).1);
        buffers.insert(0, room);
        let mut managed = berth.submit(op::ReceiveManaged::new(&ours)).unwrap();
        let mut send = berth.submit(op::Send::new(&theirs, &b"answer"[..])).unwrap();
        assert_eq!(end(&mut berth, batch, &mut managed).0.len(), 6);
        end(&mut berth, batch, &mut send);
        let mut read = berth.submit(op::ReadAt::new(&file, block, 0)).unwrap();
        block = end(&mut berth, batch, &mut read).1;
        let mut write = berth.submit(op::WriteAt::new(&file, block, 0)).unwrap();
        block = end(&mut berth, batch, &mut write).1;
        let mut send = berth.submit(op::SendTo::new(&socket, datagram, Some(&to)).unwrap()).unwrap();
        datagram = end(&mut berth, batch, &mut send).1;
        let mut receive = berth.submit(op::ReceiveFrom::new(&socket, datagram)).unwrap();
        datagram = end(&mut berth, batch, &mut receive).1;
        let mut receive = berth.submit(op::Receive::new(&ours, std::mem::take(&mut block))).unwrap();
        receive.cancel();
        block = loop {
            if let Some((result, back)) = receive.poll() {
                result.unwrap_err();
                break back;
            }
            berth.wait(batch, None).unwrap();
        };
        let mut nop = berth.submit(op::Nop).unwrap();
        end(&mut berth, batch, &mut nop);
    }
    let counted = ALLOCATIONS.load(Ordering::Relaxed) - counted;
    assert_eq!(counted, 0, "allocations in 200 rounds");
}
