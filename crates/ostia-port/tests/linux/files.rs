//! Files by a ring.

use std::{fs, io};

use ostia_port::{
    Class, File,
    op::{self, EntryKind, OpenOptions},
};

use crate::{finish, on_each_level, pattern, run};

fn read_write() -> OpenOptions {
    OpenOptions::new().read(true).write(true)
}

#[test]
fn a_file_is_made_written_read_cut_and_removed() {
    on_each_level("files", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one");
        let missing = op::Open::new(&port, &path, read_write()).unwrap();
        assert_eq!(run(&mut berth, missing).0.unwrap_err().kind(), io::ErrorKind::NotFound);
        let file =
            run(&mut berth, op::Open::new(&port, &path, read_write().create_new(true)).unwrap()).0.unwrap();
        let again = op::Open::new(&port, &path, read_write().create_new(true)).unwrap();
        assert_eq!(run(&mut berth, again).0.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        // More than is read at a time, and not a multiple of anything.
        let bytes = pattern(1_500_001, 4);
        let (written, bytes) = run(&mut berth, op::WriteAt::new(&file, bytes, 10));
        assert_eq!(written.unwrap(), bytes.len());
        run(&mut berth, op::Flush::data_only(&file)).0.unwrap();
        run(&mut berth, op::Flush::new(&file)).0.unwrap();
        let (read, buffer) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(2_000_000), 10));
        assert_eq!(read.unwrap(), bytes.len());
        assert!(buffer == bytes, "what was read is not what was written");
        let (read, buffer) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(700_000), 500_010));
        assert_eq!(read.unwrap(), buffer.capacity());
        assert!(buffer[..] == bytes[500_000..500_000 + buffer.len()]);
        let (read, _) = run(&mut berth, op::ReadAt::new(&file, Vec::with_capacity(10), 5_000_000));
        assert_eq!(read.unwrap(), 0, "beyond the end");
        let told = run(&mut berth, op::MetadataOfFile::new(&file)).0.unwrap();
        assert_eq!((told.kind, told.len, told.read_only), (EntryKind::File, 1_500_011, false));
        assert_eq!(told.modified, Some(fs::metadata(&path).unwrap().modified().unwrap()));
        set_size(&mut berth, &file, 10);
        let moved = dir.path().join("two");
        run(&mut berth, op::Rename::new(&path, &moved).unwrap()).0.unwrap();
        let told = run(&mut berth, op::MetadataOf::new(&moved, true).unwrap()).0.unwrap();
        assert_eq!((told.kind, told.len), (EntryKind::File, 10));
        let gone = run(&mut berth, op::MetadataOf::new(&path, true).unwrap()).0.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::NotFound);
        run(&mut berth, op::Remove::new(&moved).unwrap()).0.unwrap();
        assert!(!moved.exists());
    });
}

/// A kernel that cannot do this by a ring has it done by a thread.
fn set_size(berth: &mut ostia_port::Berth, file: &File, size: u64) {
    run(berth, op::SetSize::new(file, size)).0.unwrap();
    let told = run(berth, op::MetadataOfFile::new(file)).0.unwrap();
    assert_eq!(told.len, size);
}

#[test]
fn directories_are_made_and_removed_and_links_are_followed_or_not() {
    on_each_level("directories", |builder| {
        let mut berth = builder.open().unwrap().berth().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (inner, link) = (dir.path().join("inner"), dir.path().join("link"));
        run(&mut berth, op::CreateDir::new(&inner).unwrap()).0.unwrap();
        let twice = run(&mut berth, op::CreateDir::new(&inner).unwrap()).0.unwrap_err();
        assert_eq!(twice.kind(), io::ErrorKind::AlreadyExists);
        std::os::unix::fs::symlink(&inner, &link).unwrap();
        let told =
            |berth: &mut _, follow| run(berth, op::MetadataOf::new(&link, follow).unwrap()).0.unwrap().kind;
        assert_eq!(told(&mut berth, true), EntryKind::Directory);
        assert_eq!(told(&mut berth, false), EntryKind::Link);
        let file = run(&mut berth, op::Remove::new(&inner).unwrap()).0;
        assert!(file.is_err(), "a directory is not removed as a file");
        run(&mut berth, op::RemoveDir::new(&inner).unwrap()).0.unwrap();
        assert!(!inner.exists());
    });
}

#[test]
fn slices_are_written_whole_and_read_in_their_order() {
    on_each_level("slices of files", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let open = op::Open::new(&port, &dir.path().join("f"), read_write().create(true)).unwrap();
        let file = run(&mut berth, open).0.unwrap();
        let slices: Vec<Vec<u8>> = vec![pattern(300_000, 1), Vec::new(), pattern(7, 2), pattern(100_000, 3)];
        let all = slices.concat();
        assert_eq!(run(&mut berth, op::WriteVectoredAt::new(&file, slices, 5)).0.unwrap(), all.len());
        for room in [vec![10, 20, 30], vec![350_000, 100_000]] {
            let room: Vec<Vec<u8>> = room.into_iter().map(Vec::with_capacity).collect();
            let (read, got) = run(&mut berth, op::ReadVectoredAt::new(&file, room, 5));
            let got = got.concat();
            assert_eq!(read.unwrap(), got.len());
            assert!(!got.is_empty() && got[..] == all[..got.len()]);
        }
    });
}

#[test]
fn a_file_opened_for_reading_is_not_written() {
    on_each_level("read-only files", |builder| {
        let port = builder.open().unwrap();
        let mut berth = port.berth().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, b"kept").unwrap();
        let file =
            run(&mut berth, op::Open::new(&port, &path, OpenOptions::new().read(true)).unwrap()).0.unwrap();
        let (written, bytes) = run(&mut berth, op::WriteAt::new(&file, b"lost".to_vec(), 0));
        assert_eq!(Class::of(&written.unwrap_err()), Class::Fatal);
        assert_eq!(bytes, b"lost", "the buffer comes back also then");
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        let truncated = op::Open::new(&port, &path, OpenOptions::new().write(true).truncate(true)).unwrap();
        run(&mut berth, truncated).0.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    });
}

#[test]
fn many_reads_at_a_time_each_have_their_own_bytes() {
    on_each_level("many reads", |builder| {
        let port = builder.ring_entries(4).open().unwrap();
        let mut berth = port.berth().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let bytes = pattern(1 << 20, 6);
        fs::write(&path, &bytes).unwrap();
        let file =
            run(&mut berth, op::Open::new(&port, &path, OpenOptions::new().read(true)).unwrap()).0.unwrap();
        let reads: Vec<_> = (0..200)
            .map(|number| {
                let offset = number * 5003;
                let read = op::ReadAt::new(&file, Vec::with_capacity(4096), offset as u64);
                (offset, berth.submit(read).unwrap())
            })
            .collect();
        for (offset, ticket) in reads {
            let (read, buffer) = finish(&mut berth, ticket);
            assert_eq!(read.unwrap(), 4096);
            assert!(buffer[..] == bytes[offset..offset + 4096], "at {offset}");
        }
    });
}
