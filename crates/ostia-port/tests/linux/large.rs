//! Transfers of more than the kernel takes in one call.

use ostia_port::op;

use crate::{on_each_backend, run};

/// A little more than the most that a call moves, which is a page less than 2 GiB. It is never written to: so it is
/// the page of zeros again and again, and takes no memory.
const LEN: usize = (2 << 30) + 12_345;

#[test]
fn a_write_of_more_than_one_call_takes_is_whole() {
    on_each_backend("large writes", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let options = op::OpenOptions::new().write(true);
        let sink = op::Open::new(&port, std::path::Path::new("/dev/null"), options).unwrap();
        let sink = run(&mut berth, sink).0.unwrap();
        let (written, bytes) = run(&mut berth, op::WriteAt::new(&sink, vec![0_u8; LEN], 0));
        assert_eq!((written.unwrap(), bytes.len()), (LEN, LEN));
        let slices = vec![bytes, vec![0; 100]];
        let (written, _) = run(&mut berth, op::WriteVectoredAt::new(&sink, slices, 0));
        assert_eq!(written.unwrap(), LEN + 100);
    });
}
