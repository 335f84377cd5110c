//! Files at the completion port.

use ostia_port::op::{self, OpenOptions};

use crate::kit::*;

#[test]
fn files_are_written_and_read_whole_wherever_one_asks() {
    const LEN: usize = 3 << 20;
    let (port, mut berth) = open();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
    let file = run(&mut berth, op::Open::new(&port, &path, options).expect("a path")).0.expect("a file");
    let bytes: Vec<u8> = (0..LEN).map(|place| (place % 249) as u8).collect();
    let (written, _) = run(&mut berth, op::WriteAt::new(&file, bytes.clone(), 5));
    assert_eq!(written.expect("a write"), LEN);
    let parts = vec![b"he".to_vec(), b"llo".to_vec()];
    assert_eq!(run(&mut berth, op::WriteVectoredAt::new(&file, parts, 0)).0.expect("a write"), 5);

    let (read, all) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(LEN + 100), 0));
    assert_eq!(read.expect("a read"), LEN + 5, "a read goes on to the end of the file");
    assert!(&all[..5] == b"hello" && all[5..] == bytes);
    let (read, parts) = run(&mut berth, op::ReadVectoredAt::new(&file, vec![vec![0; 4], vec![0; 4]], 1));
    assert_eq!(read.expect("a read"), 8);
    assert_eq!(parts[0], b"ello");
    assert_eq!(parts[1], bytes[..4]);
    // At the end, and beyond it.
    for offset in [LEN as u64 + 5, 1 << 33] {
        let (read, _) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(8), offset));
        assert_eq!(read.expect("the end"), 0);
    }
    assert_eq!(run(&mut berth, op::WriteAt::new(&file, Vec::new(), 0)).0.expect("no write"), 0);
    run(&mut berth, op::SetSize::new(&file, 3)).0.expect("a new size");
    run(&mut berth, op::Flush::new(&file)).0.expect("a flush");
    assert_eq!(run(&mut berth, op::MetadataOfFile::new(&file)).0.expect("metadata").len, 3);
    drop(file);
    close(port, berth);
}

#[test]
fn reads_in_parallel_each_get_their_place() {
    let (port, mut berth) = open();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let bytes: Vec<u8> = (0..64_u32 * 1024).flat_map(u32::to_le_bytes).collect();
    std::fs::write(&path, &bytes).expect("a file");
    let options = OpenOptions::new().read(true);
    let file = run(&mut berth, op::Open::new(&port, &path, options).expect("a path")).0.expect("a file");
    let mut tickets: Vec<_> = (0..64)
        .map(|place| submit(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(4096), place * 4096)))
        .collect();
    for (place, ticket) in tickets.iter_mut().enumerate() {
        let (read, part) = end(&mut berth, ticket);
        assert_eq!(read.expect("a read"), 4096);
        assert_eq!(part, bytes[place * 4096..][..4096]);
    }
    drop(file);
    close(port, berth);
}

#[test]
fn a_file_that_is_not_there_says_so_by_the_system_s_code() {
    let (port, mut berth) = open();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nothing");
    let options = OpenOptions::new().read(true);
    let opened = run(&mut berth, op::Open::new(&port, &path, options).expect("a path")).0;
    let error = opened.expect_err("it is not there");
    assert_eq!((error.kind(), error.raw_os_error()), (std::io::ErrorKind::NotFound, Some(2)));
    op::Open::new(&port, std::path::Path::new("a\0b"), options).expect_err("no path has a zero");
    close(port, berth);
}
