//! Files and directories, on each back end.

use std::{
    error::Error,
    fs as std_fs,
    io::{self, SeekFrom, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::common::{Dice, Either, backends, on_each, only_once, pair, rounds, runtime, select, turns};
use ostia_rt::{
    fs::{self, Cursor, EntryKind, File, OpenOptions, PathError},
    io::{AsyncRead, AsyncWrite, copy},
    spawn, yield_now,
};

const BOTH: fn() -> OpenOptions = || OpenOptions::new().read(true).write(true).create(true);

/// Bytes that tell their place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place / 251 + place) as u8).collect()
}

#[test]
fn what_is_written_is_read_back_at_its_place() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::open_with(&path, BOTH()).await.unwrap();
        assert_eq!(file.path(), path);
        let (written, buffer) = file.write_at(b"salve".to_vec(), 3).await;
        assert_eq!((written.unwrap(), buffer), (5, b"salve".to_vec()));
        file.write_all_at(Vec::new(), 100).await.0.unwrap();

        let (read, bytes) = file.read_at(Vec::with_capacity(16), 0).await;
        assert_eq!((read.unwrap(), bytes.as_slice()), (8, b"\0\0\0salve".as_slice()));
        let (read, bytes) = file.read_at(bytes, 8).await;
        assert_eq!((read.unwrap(), bytes), (0, Vec::new()), "the end");
        let (read, bytes) = file.read_exact_at(Vec::with_capacity(16), 4, 3).await;
        read.unwrap();
        assert_eq!(bytes, b"alv");
        let (read, bytes) = file.read_exact_at(Vec::with_capacity(16), 4, 5).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(bytes, b"alve", "what there was");
        let (read, _) = file.read_exact_at(Vec::with_capacity(4), 0, 50).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::InvalidInput);

        file.set_size(4).await.unwrap();
        file.sync().await.unwrap();
        file.sync_data().await.unwrap();
        let said = file.metadata().await.unwrap();
        assert_eq!((said.len, said.kind), (4, EntryKind::File));
        assert_eq!(std_fs::read(&path).unwrap(), b"\0\0\0s");
    });
}

#[test]
fn whole_files_are_read_and_written_whatever_their_size() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for len in [0, 1, 4096, 256 * 1024, 3 * 1024 * 1024 + 7, 5] {
            let bytes = pattern(len);
            fs::write(&path, bytes.clone()).await.unwrap();
            assert!(std_fs::read(&path).unwrap() == bytes, "{len} bytes written");
            assert!(fs::read(&path).await.unwrap() == bytes, "{len} bytes read");
        }
    });
}

#[test]
fn files_that_do_not_say_their_length_are_read_to_their_end() {
    let path = "/proc/self/maps";
    // Under Wine it is there too, and is about another process, the one that opens files for all.
    if cfg!(windows) || !PathBuf::from(path).exists() {
        let what = "SKIPPED files_that_do_not_say_their_length_are_read_to_their_end: there is no /proc here";
        writeln!(io::stderr(), "{what}").unwrap();
        return;
    }
    on_each(move |_| async move {
        let maps = String::from_utf8(fs::read(path).await.unwrap()).unwrap();
        assert_eq!(fs::metadata(path).await.unwrap().len, 0);
        assert!(maps.len() > 1000 && maps.ends_with('\n') && maps.contains("[stack]"), "{maps}");
    });
}

#[test]
fn a_long_read_lets_the_worker_do_other_things() {
    for &backend in backends() {
        let Some(runtime) = runtime(backend, 1) else { continue };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        // Warm in the system's cache: copying it takes some milliseconds.
        std_fs::write(&path, pattern(64 * 1024 * 1024)).unwrap();
        let ticks = Arc::new(AtomicUsize::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (own, seen) = (Arc::clone(&ticks), Arc::clone(&is_over));
        let other = runtime.spawn(async move {
            while !seen.load(Ordering::Relaxed) {
                own.fetch_add(1, Ordering::Relaxed);
                yield_now().await;
            }
        });
        let reader = runtime.spawn(async move {
            let file = File::open(&path).await.unwrap();
            let buffer = Vec::with_capacity(64 * 1024 * 1024);
            let before = ticks.load(Ordering::Relaxed);
            let (read, _) = file.read_at(buffer, 0).await;
            is_over.store(true, Ordering::Relaxed);
            (read.unwrap(), ticks.load(Ordering::Relaxed) - before)
        });
        let (read, turns) = runtime.block_on(reader).unwrap();
        runtime.block_on(other).unwrap();
        assert_eq!(read, 64 * 1024 * 1024);
        assert!(turns > 16, "{backend}: the worker came to something else {turns} times");
    }
}

#[test]
fn directories_are_made_listed_and_removed() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir_all(&deep).await.unwrap();
        fs::create_dir(deep.join("d")).await.unwrap();
        assert_eq!(fs::create_dir(deep.join("d")).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs::write(deep.join("file"), b"1".to_vec()).await.unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&deep).await.unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
        names.sort_by(|one, other| one.0.cmp(&other.0));
        let names: Vec<_> =
            names.iter().map(|(name, kind)| (name.to_str().unwrap(), kind.unwrap())).collect();
        assert_eq!(names, [("d", EntryKind::Directory), ("file", EntryKind::File)]);

        fs::rename(deep.join("file"), dir.path().join("moved")).await.unwrap();
        assert_eq!(fs::read(dir.path().join("moved")).await.unwrap(), b"1");
        // What is a file is in the way of a directory.
        let blocked = fs::create_dir_all(dir.path().join("moved/deeper")).await.unwrap_err();
        assert_eq!(blocked.kind(), io::ErrorKind::NotADirectory, "{blocked}");
        let inside = PathError::of(&blocked).unwrap();
        assert_eq!(inside.path(), dir.path().join("moved/deeper"));
        let blocked = fs::create_dir_all(dir.path().join("moved")).await.unwrap_err();
        assert_eq!(blocked.kind(), io::ErrorKind::AlreadyExists, "{blocked}");
        fs::remove_file(dir.path().join("moved")).await.unwrap();
        assert!(fs::remove_dir(&deep).await.is_err(), "it is not empty");
        fs::remove_dir(deep.join("d")).await.unwrap();
        fs::remove_dir(&deep).await.unwrap();
        fs::write(dir.path().join("a/b/file"), b"1".to_vec()).await.unwrap();
        fs::remove_dir_all(dir.path().join("a")).await.unwrap();
        assert_eq!(
            fs::symlink_metadata(dir.path().join("a")).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
        assert_eq!(fs::metadata(dir.path()).await.unwrap().kind, EntryKind::Directory);
    });
}

#[test]
fn errors_name_the_file_and_keep_the_systems_code() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        let code = std_fs::File::open(&missing).unwrap_err().raw_os_error();
        let text = missing.display().to_string();
        let errors = [
            ("open", File::open(&missing).await.unwrap_err()),
            ("open", fs::read(&missing).await.unwrap_err()),
            ("remove", fs::remove_file(&missing).await.unwrap_err()),
            ("rename", fs::rename(&missing, dir.path().join("other")).await.unwrap_err()),
            ("look at", fs::metadata(&missing).await.unwrap_err()),
        ];
        for (verb, error) in errors {
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{error}");
            assert!(error.to_string().starts_with(&format!("cannot {verb} {text}")), "{error}");
            let inside = PathError::of(&error).unwrap();
            assert_eq!((inside.path(), inside.os_error().raw_os_error()), (missing.as_path(), code));
            assert!(error.source().is_none(), "the text has told it");
        }
        for error in [fs::remove_dir_all(&missing).await, fs::read_dir(&missing).await.map(drop)] {
            assert_eq!(PathError::of(&error.unwrap_err()).unwrap().path(), missing);
        }

        // Of an open file, too.
        let path = dir.path().join("file");
        let file = File::create(&path).await.unwrap();
        let (read, buffer) = file.read_at(Vec::with_capacity(7), 0).await;
        let error = read.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot read {}: ", path.display())), "{error}");
        assert!(PathError::of(&error).unwrap().os_error().raw_os_error().is_some());
        assert!(buffer.capacity() >= 7, "the buffer comes back");
        let refused = File::open_with(&path, OpenOptions::new()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
        let zero = fs::read("a\0b").await.unwrap_err();
        assert_eq!(zero.kind(), io::ErrorKind::InvalidInput);
    });
}

#[test]
fn a_file_made_new_is_refused_if_it_is_there() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let new = OpenOptions::new().write(true).create_new(true);
        File::open_with(&path, new).await.unwrap();
        assert_eq!(File::open_with(&path, new).await.unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    });
}

#[test]
fn files_are_used_inside_block_on_without_a_worker_of_its_own() {
    for &backend in backends() {
        let Some(runtime) = runtime(backend, 1) else { continue };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let read = runtime.block_on(async {
            fs::create_dir_all(dir.path().join("x/y")).await?;
            fs::write(&path, b"abc".as_slice()).await?;
            fs::read(&path).await
        });
        assert_eq!(read.unwrap(), b"abc");
    }
}

#[test]
fn a_dropped_read_is_discarded_and_the_file_goes_on() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes = pattern(512 * 1024);
        std_fs::write(&path, &bytes).unwrap();
        let file = File::open(&path).await.unwrap();
        for round in 0..100 {
            let read = file.read_at(Vec::with_capacity(bytes.len()), 0);
            // Now before it begins, now in the midst of it, now when it may have ended.
            match select(turns(round % 4), read).await {
                Either::First(()) => {}
                Either::Second((read, buffer)) => assert!(read.unwrap() == bytes.len() && buffer == bytes),
            }
        }
        assert!(file.read_to_end().await.unwrap() == bytes);
    });
}

#[test]
fn a_dropped_write_is_completed_and_later_ones_come_after_it() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::open_with(&path, BOTH()).await.unwrap();
        let len = 512 * 1024;
        for round in 0..50u8 {
            // Begun, and dropped; the later one is over the same bytes and has to win.
            drop(only_once(file.write_at(vec![round; len], 0)).await);
            // This one waits behind it, and has not begun: it never will. On Windows another worker may tell that the
            // first has ended by now; then this one begins, and is completed, too.
            drop(only_once(file.write_at(vec![255; len], 1)).await);
            let (written, _) = file.write_at(vec![round + 100; len / 2], 0).await;
            assert_eq!(written.unwrap(), len / 2);
            // It had ended before this one began.
            let now = std_fs::read(&path).unwrap();
            let dropped = if cfg!(windows) && now[len / 2] == 255 { 255 } else { round };
            assert!(now.len() == len || cfg!(windows) && now.len() == len + 1, "{}", now.len());
            assert!(now[..len / 2].iter().all(|&byte| byte == round + 100), "round {round}: the later write");
            assert!(now[len / 2..len].iter().all(|&byte| byte == dropped), "round {round}: the dropped one");
        }
    });
}

#[test]
fn whoever_waits_for_a_dropped_write_may_be_dropped_too() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::open_with(&path, BOTH()).await.unwrap();
        for round in 0..50u8 {
            drop(only_once(file.write_at(vec![round; 512 * 1024], 0)).await);
            // These wait, and give up.
            drop(only_once(file.sync()).await);
            drop(only_once(file.write_at(vec![255; 3], 0)).await);
            let tasks: Vec<_> = (0..3u8)
                .map(|part| {
                    let file = file.clone();
                    spawn(async move {
                        file.write_all_at(vec![round + part; 100], u64::from(part) * 100).await.0.unwrap();
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let now = std_fs::read(&path).unwrap();
            for part in 0..3u8 {
                let place = usize::from(part) * 100;
                assert!(now[place..place + 100].iter().all(|&byte| byte == round + part), "round {round}");
            }
        }
    });
}

#[test]
fn a_dropped_write_is_completed_also_if_its_file_is_dropped_with_it() {
    for &backend in backends() {
        let Some(runtime) = runtime(backend, 1) else { continue };
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let own = path.clone();
        let task = runtime.spawn(async move {
            let file = File::create(&own).await.unwrap();
            drop(only_once(file.write_at(vec![7; 300_000], 0)).await);
        });
        runtime.block_on(task).unwrap();
        // The runtime's end waits for operations under way that it cannot cancel; this one was handed over.
        let whole = async {
            while fs::metadata(&path).await.unwrap().len < 300_000 {
                yield_now().await;
            }
        };
        runtime.block_on(async {
            let timeout = ostia_rt::time::sleep(std::time::Duration::from_secs(30));
            assert!(
                matches!(select(whole, timeout).await, Either::First(())),
                "{backend}: it is not written"
            );
        });
        assert!(std_fs::read(&path).unwrap().iter().all(|&byte| byte == 7));
    }
}

#[test]
fn many_files_are_read_and_written_by_many_tasks() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let tasks: Vec<_> = (0..64usize)
            .map(|number| {
                let path = dir.path().join(number.to_string());
                spawn(async move {
                    let bytes = pattern(1000 * number);
                    fs::write(&path, bytes.clone()).await.unwrap();
                    assert!(fs::read(&path).await.unwrap() == bytes);
                    fs::remove_file(&path).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert!(fs::read_dir(dir.path()).await.unwrap().is_empty());
    });
}

#[test]
fn a_cursor_goes_from_place_to_place() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut cursor = Cursor::new(File::open_with(&path, BOTH()).await.unwrap());
        cursor.write_all(b"grain, oil".to_vec()).await.0.unwrap();
        assert_eq!(cursor.position(), 10);
        let (written, buffer) = cursor.write(b" and wine".to_vec()).await;
        assert_eq!((written.unwrap(), buffer.as_slice(), cursor.position()), (9, &b" and wine"[..], 19));
        assert_eq!(cursor.read(Vec::with_capacity(8)).await.0.unwrap(), 0, "the end");
        assert_eq!(cursor.position(), 19);

        assert_eq!(cursor.seek(SeekFrom::Start(7)).await.unwrap(), 7);
        let (read, bytes) = cursor.read_exact(Vec::with_capacity(16), 3).await;
        read.unwrap();
        assert_eq!((bytes.as_slice(), cursor.position()), (&b"oil"[..], 10));
        assert_eq!(cursor.seek(SeekFrom::Current(-3)).await.unwrap(), 7);
        assert_eq!(cursor.seek(SeekFrom::End(-4)).await.unwrap(), 15);
        let (read, bytes) = cursor.read(bytes).await;
        assert_eq!((read.unwrap(), bytes.as_slice(), cursor.position()), (4, &b"wine"[..], 19));

        // What fails leaves it where it was.
        assert_eq!(cursor.seek(SeekFrom::End(-4)).await.unwrap(), 15);
        let (read, _) = cursor.read_exact(Vec::with_capacity(16), 5).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        for nowhere in [SeekFrom::Current(-16), SeekFrom::End(-20)] {
            let error = cursor.seek(nowhere).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(PathError::of(&error).unwrap().path(), path);
        }
        let mut reader = Cursor::new(File::open(&path).await.unwrap());
        let (written, buffer) = reader.write(b"no".to_vec()).await;
        assert!(written.unwrap_err().to_string().starts_with("cannot write "));
        assert_eq!((buffer, reader.position(), cursor.position()), (b"no".to_vec(), 0, 15));

        // Behind the end, the file is filled up with zeros.
        cursor.set_position(21);
        cursor.write_all(b"!".to_vec()).await.0.unwrap();
        cursor.flush().await.unwrap();
        cursor.shutdown().await.unwrap();
        let whole = cursor.into_file().read_to_end().await.unwrap();
        assert_eq!(whole, b"grain, oil and wine\0\0!");
    });
}

#[test]
fn a_file_is_copied_to_a_stream_and_from_it() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("file"), dir.path().join("other"));
        let bytes = pattern(if cfg!(windows) { 300_007 } else { 3_000_007 });
        std_fs::write(&path, &bytes).unwrap();
        let (mut ours, mut theirs) = pair().await;
        let len = bytes.len() as u64;
        let writing = spawn(async move {
            let mut cursor = Cursor::new(File::create(&other).await.unwrap());
            let copied = copy(&mut theirs, &mut cursor).await.unwrap();
            assert_eq!((copied, cursor.position()), (len, len));
            other
        });
        let mut cursor = Cursor::new(File::open(&path).await.unwrap());
        assert_eq!(copy(&mut cursor, &mut ours).await.unwrap(), len);
        assert_eq!(cursor.position(), len);
        ours.shutdown().await.unwrap();
        assert!(fs::read(writing.await.unwrap()).await.unwrap() == bytes);
    });
}

#[test]
fn a_dropped_read_leaves_a_cursor_where_it_was() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let bytes = pattern(rounds(300) * 10_000);
        std_fs::write(&path, &bytes).unwrap();
        let mut cursor = Cursor::new(File::open(&path).await.unwrap());
        let mut dice = Dice::new(7);
        let mut whole = Vec::new();
        loop {
            let before = cursor.position();
            // Now before it begins, now in the midst of it, now when it may have ended.
            let read = cursor.read(Vec::with_capacity(10_000));
            let (read, part) = match select(turns(dice.below(4)), read).await {
                Either::First(()) => {
                    assert_eq!(cursor.position(), before);
                    cursor.read(Vec::with_capacity(10_000)).await
                }
                Either::Second(read) => read,
            };
            if read.unwrap() == 0 {
                break;
            }
            whole.extend_from_slice(&part);
            assert_eq!(cursor.position(), whole.len() as u64);
        }
        assert!(whole == bytes, "{} bytes of {}", whole.len(), bytes.len());
    });
}

#[test]
fn a_dropped_write_is_completed_and_the_cursor_is_behind_it() {
    on_each(|_| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let mut cursor = Cursor::new(File::open_with(&path, BOTH()).await.unwrap());
        let mut dice = Dice::new(11);
        let (mut expected, mut completed) = (Vec::new(), 0);
        for round in 0..rounds(200) {
            let part = vec![round as u8; 1 + dice.below(100_000)];
            let before = cursor.position();
            let write = cursor.write(part.clone());
            let is_told = match select(write, turns(dice.below(4))).await {
                Either::First((written, _)) => written.unwrap() == part.len(),
                Either::Second(()) => false,
            };
            // All of it or nothing, and the cursor knows.
            if cursor.position() != before {
                assert_eq!(cursor.position() - before, part.len() as u64);
                completed += usize::from(!is_told);
                expected.extend_from_slice(&part);
            } else {
                assert!(!is_told);
            }
            if dice.below(8) == 0 {
                // What reads after it finds it.
                let last = expected.len().saturating_sub(10);
                cursor.set_position(last as u64);
                let (read, end) = cursor.read(Vec::with_capacity(20)).await;
                assert_eq!((read.unwrap(), &end[..]), (expected.len() - last, &expected[last..]));
            }
        }
        // Windows may have done it before it can be dropped.
        assert!(completed > 0 || cfg!(windows), "none was dropped in the midst of it");
        assert_eq!(cursor.seek(SeekFrom::End(0)).await.unwrap(), expected.len() as u64);
        assert!(std_fs::read(&path).unwrap() == expected);
    });
}
