//! Files and directories.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

use ostia_port::{
    Class, File, Ticket,
    op::{
        CreateDir, EntryKind, Flush, ListDir, MetadataOf, MetadataOfFile, Open, OpenOptions, ReadAt,
        ReadVectoredAt, Remove, RemoveDir, Rename, SetSize, WriteAt, WriteVectoredAt,
    },
};

use crate::{
    case::Stage,
    kit::{Desk, handles_of, pattern, room},
};

cases![
    what_is_written_is_read,
    parallel_writes_and_reads_stand_where_they_were_told,
    a_read_at_the_end_is_short_and_behind_it_empty,
    vectored_reads_and_writes_run_through_their_buffers,
    a_write_far_behind_the_end_leaves_zeros,
    a_file_is_cut_off_and_filled_up,
    metadata_tells_kind_length_and_time,
    a_rename_replaces_what_had_the_name,
    a_removed_file_is_gone,
    a_directory_is_listed_made_and_removed,
    a_path_that_is_not_there_is_not_found,
    a_file_that_exists_is_not_made_anew,
    a_file_is_emptied_when_it_is_opened_so,
    a_file_for_reading_is_not_written,
    flushing_ends_well,
    a_cancelled_read_ends_once,
    many_file_operations_at_once_all_end,
    a_file_stays_open_for_its_operations,
    names_beyond_ascii_are_kept,
    options_that_mean_nothing_are_refused,
    a_large_read_is_whole,
];

/// A directory that goes with the case.
struct Folder {
    path: PathBuf,
}

impl Folder {
    fn new(stage: &Stage, desk: &mut Desk) -> Folder {
        let path = stage.path();
        desk.ok(CreateDir::new(&path).expect("it is a path"));
        Folder { path }
    }

    fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The simulation has its own, and none here.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[track_caller]
fn open(desk: &mut Desk, path: &Path, options: OpenOptions) -> File {
    let open = Open::new(&desk.port, path, options).expect("it is a path");
    desk.ok(open).0
}

fn new_file() -> OpenOptions {
    OpenOptions::new().read(true).write(true).create_new(true)
}

fn reading() -> OpenOptions {
    OpenOptions::new().read(true)
}

#[track_caller]
fn write(desk: &mut Desk, file: &File, bytes: &[u8], offset: u64) {
    assert_eq!(desk.ok(WriteAt::new(file, bytes.to_vec(), offset)).0, bytes.len(), "writes are whole");
}

#[track_caller]
fn read(desk: &mut Desk, file: &File, len: usize, offset: u64) -> Vec<u8> {
    let (count, bytes) = desk.ok(ReadAt::new(file, room(len), offset));
    bytes[..count].to_vec()
}

fn what_is_written_is_read(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    write(&mut desk, &file, b"grain, oil and wine", 0);
    assert_eq!(read(&mut desk, &file, 3, 7), b"oil");
    drop(file);
    let file = open(&mut desk, &folder.join("file"), reading());
    let (count, bytes) = desk.ok(ReadAt::new(&file, Vec::with_capacity(64), 0));
    assert_eq!((count, &bytes[..]), (19, &b"grain, oil and wine"[..]));
}

fn parallel_writes_and_reads_stand_where_they_were_told(stage: &Stage) {
    const PIECE: usize = 4096;
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    let all = pattern(PIECE * 256);
    // Last first, all at once.
    let pieces: Vec<_> = all.chunks(PIECE).enumerate().collect();
    let mut writes: Vec<_> = pieces
        .iter()
        .rev()
        .map(|(place, piece)| desk.submit(WriteAt::new(&file, piece.to_vec(), (place * PIECE) as u64)))
        .collect();
    for write in &mut writes {
        assert_eq!(desk.end(write).0.expect("it was written"), PIECE);
    }
    let mut reads: Vec<_> = pieces
        .iter()
        .map(|(place, _)| desk.submit(ReadAt::new(&file, room(PIECE), (place * PIECE) as u64)))
        .collect();
    for (read, (_, piece)) in reads.iter_mut().zip(&pieces) {
        let (count, bytes) = desk.end(read);
        assert_eq!(count.expect("it was read"), PIECE);
        assert!(*bytes == **piece);
    }
}

fn a_read_at_the_end_is_short_and_behind_it_empty(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    assert_eq!(read(&mut desk, &file, 10, 0), b"", "an empty file");
    write(&mut desk, &file, &pattern(100), 0);
    assert_eq!(read(&mut desk, &file, 100, 90), pattern(100)[90..]);
    for offset in [100, 101, 1 << 20, 1 << 40] {
        assert_eq!(read(&mut desk, &file, 10, offset), b"", "at {offset}");
    }
}

fn vectored_reads_and_writes_run_through_their_buffers(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    let all = pattern(5000);
    let parts: Vec<Vec<u8>> =
        vec![all[..1].to_vec(), all[1..1001].to_vec(), Vec::new(), all[1001..].to_vec()];
    assert_eq!(desk.ok(WriteVectoredAt::new(&file, parts, 10)).0, 5000);
    let mut back = Vec::new();
    while back.len() < 5000 {
        let offset = 10 + back.len() as u64;
        let (count, buffers) =
            desk.ok(ReadVectoredAt::new(&file, vec![room(7), room(2000), room(10_000)], offset));
        assert!(count > 0, "the file is longer");
        back.extend_from_slice(&buffers.concat()[..count]);
    }
    assert!(back == all, "what was read differs from what was written");
    let (count, buffers) = desk.ok(ReadVectoredAt::new(&file, vec![room(64), room(64)], 5010));
    assert_eq!((count, buffers.len()), (0, 2));
}

fn a_write_far_behind_the_end_leaves_zeros(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    // Beyond what 32 bits tell, where the system can do that cheaply.
    let far: u64 = if stage.is_sim() { 100_000 } else { 5 << 30 };
    write(&mut desk, &file, b"far", far);
    assert_eq!(desk.ok(MetadataOfFile::new(&file)).0.len, far + 3);
    assert_eq!(read(&mut desk, &file, 5, far - 2), b"\0\0far");
    assert_eq!(read(&mut desk, &file, 4, 0), [0; 4]);
}

fn a_file_is_cut_off_and_filled_up(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    write(&mut desk, &file, b"abcdef", 0);
    desk.ok(SetSize::new(&file, 3));
    assert_eq!(read(&mut desk, &file, 10, 0), b"abc");
    desk.ok(SetSize::new(&file, 5));
    assert_eq!(read(&mut desk, &file, 10, 0), b"abc\0\0");
}

fn metadata_tells_kind_length_and_time(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let path = folder.join("file");
    let file = open(&mut desk, &path, new_file());
    write(&mut desk, &file, &pattern(1234), 0);
    desk.ok(Flush::new(&file));
    let by_file = desk.ok(MetadataOfFile::new(&file)).0;
    let by_path = desk.ok(MetadataOf::new(&path, true).expect("it is a path")).0;
    for found in [by_file, by_path] {
        assert_eq!((found.kind, found.len, found.read_only), (EntryKind::File, 1234, false));
        assert!(found.modified.is_some());
    }
    let found = desk.ok(MetadataOf::new(&folder.path, false).expect("it is a path")).0;
    assert_eq!(found.kind, EntryKind::Directory);
}

fn a_rename_replaces_what_had_the_name(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let (new, name) = (folder.join("new"), folder.join("name"));
    let old = open(&mut desk, &name, new_file());
    write(&mut desk, &old, b"old", 0);
    drop(old);
    let file = open(&mut desk, &new, new_file());
    write(&mut desk, &file, b"new content", 0);
    drop(file);
    desk.ok(Rename::new(&new, &name).expect("they are paths"));
    let file = open(&mut desk, &name, reading());
    assert_eq!(read(&mut desk, &file, 100, 0), b"new content");
    let open = Open::new(&desk.port, &new, reading()).expect("it is a path");
    assert_eq!(desk.run(open).0.expect_err("it has another name").kind(), ErrorKind::NotFound);
}

fn a_removed_file_is_gone(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let path = folder.join("file");
    drop(open(&mut desk, &path, new_file()));
    desk.ok(Remove::new(&path).expect("it is a path"));
    let again = desk.run(Remove::new(&path).expect("it is a path")).0;
    assert_eq!(again.expect_err("it is gone").kind(), ErrorKind::NotFound);
}

fn a_directory_is_listed_made_and_removed(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let list = |desk: &mut Desk| {
        let (entries, ()) = desk.ok(ListDir::new(&folder.path).expect("it is a path"));
        let mut names: Vec<_> = entries
            .into_iter()
            .map(|entry| (entry.name.into_string().expect("our names"), entry.kind))
            .collect();
        names.sort_by(|one, other| one.0.cmp(&other.0));
        names
    };
    assert!(list(&mut desk).is_empty(), "neither itself nor its parent");
    for number in 0..300 {
        drop(open(&mut desk, &folder.join(&format!("file {number}")), new_file()));
    }
    desk.ok(CreateDir::new(&folder.join("inside")).expect("it is a path"));
    let found = list(&mut desk);
    assert_eq!(found.len(), 301);
    for (name, kind) in &found {
        let expected = if name == "inside" { EntryKind::Directory } else { EntryKind::File };
        assert!(kind.is_none_or(|kind| kind == expected), "{name}");
    }
    let made = desk.run(CreateDir::new(&folder.join("inside")).expect("it is a path")).0;
    assert_eq!(made.expect_err("it is there").kind(), ErrorKind::AlreadyExists);
    let removed = desk.run(RemoveDir::new(&folder.path).expect("it is a path")).0;
    assert_eq!(removed.expect_err("it is not empty").kind(), ErrorKind::DirectoryNotEmpty);
    desk.ok(RemoveDir::new(&folder.join("inside")).expect("it is a path"));
    assert_eq!(list(&mut desk).len(), 300);
}

fn a_path_that_is_not_there_is_not_found(stage: &Stage) {
    let mut desk = stage.desk();
    let path = stage.path();
    let inside = path.join("inside");
    let check = |told: std::io::Result<()>| {
        let error = told.expect_err("it is not there");
        assert_eq!((error.kind(), Class::of(&error)), (ErrorKind::NotFound, Class::Fatal));
    };
    let open = Open::new(&desk.port, &path, reading()).expect("it is a path");
    check(desk.run(open).0.map(drop));
    let open = Open::new(&desk.port, &inside, new_file()).expect("it is a path");
    check(desk.run(open).0.map(drop));
    check(desk.run(MetadataOf::new(&path, true).expect("it is a path")).0.map(drop));
    check(desk.run(Remove::new(&path).expect("it is a path")).0);
    check(desk.run(RemoveDir::new(&path).expect("it is a path")).0);
    check(desk.run(CreateDir::new(&inside).expect("it is a path")).0);
    check(desk.run(ListDir::new(&path).expect("it is a path")).0.map(drop));
    check(desk.run(Rename::new(&path, &stage.path()).expect("they are paths")).0);
    assert!(Remove::new(Path::new("a\0b")).is_err(), "a path has no zero byte");
}

fn a_file_that_exists_is_not_made_anew(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let path = folder.join("file");
    let file = open(&mut desk, &path, new_file());
    write(&mut desk, &file, b"kept", 0);
    let again = Open::new(&desk.port, &path, new_file()).expect("it is a path");
    assert_eq!(desk.run(again).0.expect_err("it is there").kind(), ErrorKind::AlreadyExists);
    let same = open(&mut desk, &path, OpenOptions::new().read(true).write(true).create(true));
    assert_eq!(read(&mut desk, &same, 10, 0), b"kept");
}

fn a_file_is_emptied_when_it_is_opened_so(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let path = folder.join("file");
    let file = open(&mut desk, &path, new_file());
    write(&mut desk, &file, b"lost", 0);
    drop(file);
    let file = open(&mut desk, &path, OpenOptions::new().write(true).truncate(true));
    assert_eq!(desk.ok(MetadataOfFile::new(&file)).0.len, 0);
}

fn a_file_for_reading_is_not_written(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let path = folder.join("file");
    drop(open(&mut desk, &path, new_file()));
    let file = open(&mut desk, &path, reading());
    assert!(desk.run(WriteAt::new(&file, vec![1], 0)).0.is_err(), "it was opened for reading");
    let file = open(&mut desk, &path, OpenOptions::new().write(true));
    assert!(desk.run(ReadAt::new(&file, room(1), 0)).0.is_err(), "it was opened for writing");
}

fn flushing_ends_well(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    write(&mut desk, &file, b"to the disk", 0);
    desk.ok(Flush::data_only(&file));
    desk.ok(Flush::new(&file));
}

fn a_cancelled_read_ends_once(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    write(&mut desk, &file, &pattern(4096), 0);
    for round in 0..stage.times(500) {
        let mut read = desk.submit(ReadAt::new(&file, room(4096), 0));
        if round % 2 == 0 {
            desk.turn(Some(std::time::Duration::ZERO));
        }
        read.cancel();
        match desk.end(&mut read) {
            (Ok(count), bytes) => assert!(bytes[..count] == pattern(4096), "a read that won is whole"),
            (Err(error), _) => assert_eq!(Class::of(&error), Class::Cancelled, "{error}"),
        }
    }
    let report = desk.berth.close(std::time::Duration::from_secs(10));
    assert_eq!((report.ended, report.leaked, report.unknown), (report.submitted, 0, 0));
}

fn many_file_operations_at_once_all_end(stage: &Stage) {
    // Far more than there are threads for what has no asynchronous form.
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let mut made: Vec<Ticket<CreateDir>> = (0..300)
        .map(|number| desk.submit(CreateDir::new(&folder.join(&number.to_string())).expect("it is a path")))
        .collect();
    for ticket in &mut made {
        desk.end(ticket).0.expect("it was made");
    }
    assert!(desk.port.offload_threads_max() <= 8);
    assert_eq!(desk.ok(ListDir::new(&folder.path).expect("it is a path")).0.len(), 300);
}

fn a_file_stays_open_for_its_operations(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let path = folder.join("file");
    let file = open(&mut desk, &path, new_file());
    write(&mut desk, &file, &pattern(1 << 20), 0);
    drop(file);
    let before = handles_of(&desk.port);
    for _ in 0..20 {
        let file = open(&mut desk, &path, reading());
        let mut reads: Vec<_> =
            (0..16).map(|place| desk.submit(ReadAt::new(&file, room(1 << 16), place << 16))).collect();
        drop(file);
        for (read, piece) in reads.iter_mut().zip(pattern(1 << 20).chunks(1 << 16)) {
            let (count, bytes) = desk.end(read);
            assert!(count.is_ok_and(|count| bytes[..count] == *piece));
        }
    }
    desk.idle();
    let after = handles_of(&desk.port);
    assert!(after <= before + 4, "{before} handles before, {after} after");
}

fn names_beyond_ascii_are_kept(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    drop(open(&mut desk, &folder.join("Hafen Größe 港.txt"), new_file()));
    let (entries, ()) = desk.ok(ListDir::new(&folder.path).expect("it is a path"));
    assert_eq!(entries[0].name, "Hafen Größe 港.txt");
}

fn options_that_mean_nothing_are_refused(stage: &Stage) {
    let mut desk = stage.desk();
    let path = stage.path();
    let nothing = OpenOptions::new();
    for options in [
        nothing,
        nothing.create(true),
        nothing.read(true).truncate(true),
        nothing.read(true).create_new(true),
    ] {
        let open = Open::new(&desk.port, &path, options).expect("it is a path");
        let refused = desk.berth.submit(open).expect_err("no system could do it");
        assert_eq!(refused.error.kind(), ErrorKind::InvalidInput);
    }
    desk.idle();
}

fn a_large_read_is_whole(stage: &Stage) {
    let mut desk = stage.desk();
    let folder = Folder::new(stage, &mut desk);
    let file = open(&mut desk, &folder.join("file"), new_file());
    let all = pattern(stage.times(24 << 20) + 7);
    write(&mut desk, &file, &all, 0);
    assert!(read(&mut desk, &file, all.len() + 100, 0) == all, "what was read differs from what was written");
    assert!(read(&mut desk, &file, all.len(), 1001) == all[1001..], "from an odd place");
}
