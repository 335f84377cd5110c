//! What every disk must do: one suite, run on each.

use std::{io::ErrorKind, path::Path};

use super::{Digest, Disk, Kind, RealDisk, TooLarge, memory::MemoryDisk};

/// Runs one test on each disk, in a folder of its own.
fn on_each(test: impl Fn(&dyn Disk, &Path)) {
    let dir = tempfile::tempdir().unwrap();
    test(&RealDisk, dir.path());
    let memory = MemoryDisk::new();
    memory.folder("root");
    test(&memory, Path::new("root"));
}

fn put(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let mut file = disk.create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync().unwrap();
}

fn names(disk: &dyn Disk, dir: &Path) -> Vec<(String, Kind)> {
    let listed = disk.list(dir).unwrap();
    let mut names: Vec<_> = listed.into_iter().map(|l| (l.name.into_string().unwrap(), l.kind)).collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    names
}

#[test]
fn what_is_written_is_read_and_listed() {
    on_each(|disk, root| {
        let path = root.join("a");
        put(disk, &path, b"abc");
        disk.make_dirs(&root.join("b/c")).unwrap();
        disk.make_dirs(&root.join("b/c")).unwrap();
        put(disk, &root.join("b/c/d"), b"");
        assert_eq!(names(disk, root), [("a".into(), Kind::File), ("b".into(), Kind::Folder)]);
        assert_eq!(names(disk, &root.join("b/c")), [("d".into(), Kind::File)]);
        assert_eq!(disk.read(&path, 3).unwrap(), b"abc");
        let looked = disk.look(&path).unwrap();
        assert_eq!((looked.kind, looked.len), (Kind::File, 3));
        let looked = disk.look(&root.join("b")).unwrap();
        assert_eq!((looked.kind, looked.len), (Kind::Folder, 0));
        disk.sync(&path).unwrap();
        disk.sync_dir(root).unwrap();
        assert_eq!(disk.read(&path, 3).unwrap(), b"abc");
    });
}

#[test]
fn what_is_not_there_is_not_found() {
    on_each(|disk, root| {
        let none = root.join("none");
        let inside = none.join("a");
        let kinds = [
            disk.list(&none).unwrap_err().kind(),
            disk.look(&none).unwrap_err().kind(),
            disk.read(&none, 10).unwrap_err().kind(),
            disk.create(&inside).unwrap_err().kind(),
            disk.rename(&none, &root.join("a")).unwrap_err().kind(),
            disk.remove(&none).unwrap_err().kind(),
            disk.holds(&none, b"").unwrap_err().kind(),
            disk.digest(&none).unwrap_err().kind(),
            disk.sync(&none).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [ErrorKind::NotFound; 9]);
        put(disk, &root.join("a"), b"x");
        assert!(disk.rename(&root.join("a"), &inside).is_err());
        assert_eq!(names(disk, root), [("a".into(), Kind::File)]);
    });
}

#[test]
fn a_name_is_taken_once() {
    on_each(|disk, root| {
        let path = root.join("a");
        put(disk, &path, b"first");
        assert_eq!(disk.create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(disk.read(&path, 10).unwrap(), b"first");
        assert!(disk.make_dirs(&path).is_err());
        assert!(disk.make_dirs(&path.join("below")).is_err());
    });
}

#[test]
fn a_rename_replaces_a_file_and_no_folder() {
    on_each(|disk, root| {
        let [new, old, folder] = ["new", "old", "folder"].map(|name| root.join(name));
        put(disk, &new, b"new");
        put(disk, &old, b"old");
        disk.make_dirs(&folder).unwrap();
        assert!(disk.rename(&new, &folder).is_err());
        disk.rename(&new, &old).unwrap();
        assert_eq!(names(disk, root), [("folder".into(), Kind::Folder), ("old".into(), Kind::File)]);
        assert_eq!(disk.read(&old, 10).unwrap(), b"new");
    });
}

#[test]
fn a_file_that_is_removed_is_gone_and_a_folder_is_not_removed() {
    on_each(|disk, root| {
        put(disk, &root.join("a"), b"x");
        disk.make_dirs(&root.join("b")).unwrap();
        disk.remove(&root.join("a")).unwrap();
        assert!(disk.remove(&root.join("b")).is_err());
        assert_eq!(names(disk, root), [("b".into(), Kind::Folder)]);
    });
}

#[test]
fn no_more_is_read_than_was_asked_for() {
    on_each(|disk, root| {
        let path = root.join("a");
        put(disk, &path, b"abcd");
        let why = disk.read(&path, 3).unwrap_err();
        assert_eq!(why.kind(), ErrorKind::FileTooLarge);
        assert_eq!(TooLarge::of(&why), Some(TooLarge { length: Some(4), most: 3 }));
        assert_eq!(disk.read(root, 3).unwrap_err().kind(), ErrorKind::IsADirectory);
    });
}

#[test]
fn a_file_holds_its_bytes_and_no_others() {
    on_each(|disk, root| {
        // Longer than what is read at a time.
        let long: Vec<u8> = (0..40_000u32).map(|i| (i % 251) as u8).collect();
        let path = root.join("a");
        put(disk, &path, &long);
        assert!(disk.holds(&path, &long).unwrap());
        assert!(!disk.holds(&path, &long[1..]).unwrap());
        let mut other = long.clone();
        *other.last_mut().unwrap() ^= 1;
        assert!(!disk.holds(&path, &other).unwrap());
        assert_eq!(disk.digest(&path).unwrap(), Digest::of(&long));
        assert_ne!(disk.digest(&path).unwrap(), Digest::of(&other));
        assert_eq!(disk.digest(&path).unwrap().len, 40_000);
        assert_eq!(disk.digest(root).unwrap_err().kind(), ErrorKind::IsADirectory);
    });
}

#[test]
fn a_file_is_written_under_the_name_it_has_by_then() {
    on_each(|disk, root| {
        let mut file = disk.create(&root.join("a")).unwrap();
        file.write_all(b"one").unwrap();
        // Windows lets nobody rename what is open; it is closed first there, as the store does it.
        if cfg!(unix) {
            disk.rename(&root.join("a"), &root.join("b")).unwrap();
            file.write_all(b" two").unwrap();
            assert_eq!(disk.read(&root.join("b"), 10).unwrap(), b"one two");
        }
    });
}

#[cfg(unix)]
#[test]
fn links_are_listed_as_links_and_followed_otherwise() {
    use std::os::unix::fs::symlink;

    let test = |disk: &dyn Disk, root: &Path| {
        let listed = names(disk, root);
        let links = ["bad", "folder-link", "link", "round"].map(|name| (name.to_owned(), Kind::Link));
        assert_eq!(listed.iter().filter(|(_, kind)| *kind == Kind::Link).cloned().collect::<Vec<_>>(), links);
        assert_eq!(disk.look(&root.join("link")).unwrap().len, 3);
        assert_eq!(disk.read(&root.join("link"), 10).unwrap(), b"abc");
        assert_eq!(disk.look(&root.join("folder-link")).unwrap().kind, Kind::Folder);
        assert_eq!(disk.look(&root.join("bad")).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(disk.look(&root.join("round")).is_err());
        disk.remove(&root.join("link")).unwrap();
        assert_eq!(disk.read(&root.join("real"), 10).unwrap(), b"abc");
    };
    let links = [("link", "real"), ("folder-link", "folder"), ("bad", "none"), ("round", "round")];

    let dir = tempfile::tempdir().unwrap();
    put(&RealDisk, &dir.path().join("real"), b"abc");
    RealDisk.make_dirs(&dir.path().join("folder")).unwrap();
    let memory = MemoryDisk::new();
    memory.put("root/real", b"abc");
    memory.folder("root/folder");
    for (link, target) in links {
        symlink(dir.path().join(target), dir.path().join(link)).unwrap();
        memory.link(Path::new("root").join(link), Path::new("root").join(target));
    }
    test(&RealDisk, dir.path());
    test(&memory, Path::new("root"));
}

#[test]
fn what_is_no_file_is_neither_read_nor_waited_for() {
    let test = |disk: &dyn Disk, path: &Path| {
        assert!(!disk.holds(path, b"").unwrap(), "{}", path.display());
        for why in [disk.read(path, 10).unwrap_err(), disk.digest(path).unwrap_err()] {
            assert_eq!(why.kind(), ErrorKind::InvalidInput, "{}", path.display());
            assert_eq!(why.to_string(), "it is not a regular file");
        }
    };
    on_each(|disk, root| {
        assert!(!disk.holds(root, b"").unwrap());
    });
    let memory = MemoryDisk::new();
    memory.other("pipe");
    memory.link("link", "pipe");
    test(&memory, Path::new("pipe"));
    test(&memory, Path::new("link"));

    #[cfg(target_os = "linux")]
    {
        use std::os::unix::{fs::symlink, net::UnixListener};

        let dir = tempfile::tempdir().unwrap();
        let [pipe, socket, link] = ["pipe", "socket", "link"].map(|name| dir.path().join(name));
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink(&pipe, &link).unwrap();
        for path in [&pipe, &socket, &link, Path::new("/dev/zero")] {
            test(&RealDisk, path);
        }
        // What has the name of an output makes way for it, and a link does, not what it leads to.
        put(&RealDisk, &dir.path().join("new"), b"new");
        RealDisk.rename(&dir.path().join("new"), &link).unwrap();
        assert!(RealDisk.holds(&link, b"new").unwrap());
        assert_eq!(RealDisk.look(&pipe).unwrap().kind, Kind::Other);
    }
}
