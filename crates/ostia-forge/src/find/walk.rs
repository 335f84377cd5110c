//! The sets of a job, a few at a time.
//!
//! In a folder the order is that of the whole paths, compared part by part, and is met without knowing them all:
//! each folder is listed whole and its names are sorted; what a folder inside it holds comes in its place. So
//! memory holds the listings on the way down, and only what is handed out is looked at.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    vec,
};

use super::{
    FindError, Found, Sources, known,
    patterns::{PatternError, Patterns},
};
use crate::{
    disk::{Disk, Kind, Listed},
    input::Format,
};

/// Finds sets, and hands them out a few at a time.
///
/// Folders inside the folder that a link leads to are not searched, so that a link to a folder above ends nowhere; files
/// behind links are sets like others. What begins with a dot is hidden, and stays so. `CMakeLists.txt` is passed over: it
/// is what CMake reads, and may be an output of ours.
///
/// Its calls wait for the disk. It may be moved from thread to thread between them.
#[derive(Debug)]
pub struct Walk {
    disk: Arc<dyn Disk>,
    format: Option<Format>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Folder(Descent),
    List(vec::IntoIter<(PathBuf, Repeated)>),
}

/// True for a path that stood in the list before.
type Repeated = bool;

/// Why there is nothing to walk through.
#[derive(Debug)]
#[non_exhaustive]
pub enum WalkError {
    /// A pattern.
    Pattern(PatternError),
    /// The folder cannot be listed.
    Folder {
        /// The folder.
        dir: PathBuf,
        /// Why.
        why: io::Error,
    },
}

impl fmt::Display for WalkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WalkError::Pattern(error) => error.fmt(f),
            WalkError::Folder { dir, why } => {
                write!(f, "{}: the folder cannot be listed: {why}", dir.display())
            }
        }
    }
}

impl std::error::Error for WalkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WalkError::Pattern(error) => error.source(),
            WalkError::Folder { why, .. } => why.source(),
        }
    }
}

impl Walk {
    /// A walk that has not begun, but for the listing of the first folder.
    ///
    /// # Errors
    /// When a pattern cannot be read, or that folder not be listed. All other trouble is a row of its own.
    pub fn new(sources: &Sources, disk: Arc<dyn Disk>) -> Result<Walk, WalkError> {
        let way = match sources {
            Sources::Folder { dir, recursive, include, exclude } => {
                let patterns = Patterns::new(include, exclude).map_err(WalkError::Pattern)?;
                let mut descent = Descent { recursive: *recursive, patterns, folders: Vec::new() };
                let listed = descent.enter(&*disk, dir.clone(), PathBuf::new());
                listed.map_err(|why| WalkError::Folder { dir: dir.clone(), why })?;
                Way::Folder(descent)
            }
            Sources::List(paths) => Way::List(marked(paths).into_iter()),
            Sources::File(path) => Way::List(vec![(path.clone(), false)].into_iter()),
        };
        Ok(Walk { disk, format: None, way })
    }

    /// Every file is read in this format, whatever its name tells. In a folder only what is named like a set is
    /// found, still.
    #[must_use]
    pub fn read_as(self, format: Option<Format>) -> Walk {
        Walk { format, ..self }
    }

    /// The next ones, at most so many; none at all when the walk is over.
    pub fn next_some(&mut self, max: usize) -> Vec<Found> {
        std::iter::from_fn(|| self.next()).take(max).collect()
    }

    fn next(&mut self) -> Option<Found> {
        let disk = &*self.disk;
        let found = match &mut self.way {
            Way::Folder(descent) => descent.next(disk),
            Way::List(paths) => {
                paths.next().map(|(path, repeated)| listed(disk, path, repeated, self.format))
            }
        };
        match (found, self.format) {
            (Some(Found { path, format: Ok(_), bytes }), Some(format)) => {
                Some(Found { path, format: Ok(format), bytes })
            }
            (found, _) => found,
        }
    }
}

/// A file of a list. Whoever wrote the list meant it, so it must be there, and must be a set.
fn listed(disk: &dyn Disk, path: PathBuf, repeated: Repeated, format: Option<Format>) -> Found {
    if repeated {
        return Found { path, format: Err(FindError::Twice), bytes: 0 };
    }
    let looked = disk.look(&path);
    let (format, bytes) = match (looked, format.or_else(|| known(&path))) {
        (Err(why), _) => (Err(FindError::Io(why)), 0),
        (Ok(looked), _) if looked.kind == Kind::Folder => (Err(FindError::ListedDirectory), 0),
        (Ok(looked), _) if looked.kind != Kind::File => (Err(FindError::ListedNotAFile), 0),
        (Ok(_), None) => (Err(FindError::UnknownFormat), 0),
        (Ok(looked), Some(format)) => (Ok(format), looked.len),
    };
    Found { path, format, bytes }
}

/// The paths, and which of them stood there before.
fn marked(paths: &[PathBuf]) -> Vec<(PathBuf, Repeated)> {
    let mut sorted: Vec<usize> = (0..paths.len()).collect();
    // Stable, so the first of equal ones stays the first.
    sorted.sort_by(|&a, &b| paths[a].cmp(&paths[b]));
    let mut marked: Vec<_> = paths.iter().map(|path| (path.clone(), false)).collect();
    for pair in sorted.windows(2) {
        marked[pair[1]].1 = paths[pair[0]] == paths[pair[1]];
    }
    marked
}

/// The way down from a folder.
#[derive(Debug)]
struct Descent {
    recursive: bool,
    patterns: Patterns,
    /// The folders that are being gone through, each inside of the one before it.
    folders: Vec<Folder>,
}

/// A folder that is being gone through.
#[derive(Debug)]
struct Folder {
    /// Where it is.
    dir: PathBuf,
    /// The way to it from the folder that is searched.
    way: PathBuf,
    /// What is left of it, the next one last.
    left: Vec<Entry>,
}

/// What may be a set, or lead to some.
#[derive(Debug)]
struct Entry {
    name: OsString,
    /// `None` for a folder that is to be entered.
    format: Option<Format>,
}

impl Descent {
    /// Lists a folder; what it holds comes next.
    fn enter(&mut self, disk: &dyn Disk, dir: PathBuf, way: PathBuf) -> io::Result<()> {
        let mut left: Vec<Entry> =
            disk.list(&dir)?.into_iter().filter_map(|listed| self.entry(&way, listed)).collect();
        left.sort_unstable_by(|a, b| b.name.cmp(&a.name));
        self.folders.push(Folder { dir, way, left });
        Ok(())
    }

    /// What an entry of a folder is to the walk; `None` when it is nothing to it.
    fn entry(&self, way: &Path, Listed { name, kind }: Listed) -> Option<Entry> {
        if name.as_encoded_bytes().starts_with(b".") || name == "CMakeLists.txt" {
            return None;
        }
        let format = known(Path::new(&name));
        let is_wanted = match format {
            Some(_) => !self.patterns.ask() || self.patterns.take(&way.join(&name)),
            // Links to folders are not followed: one to a folder above would never end.
            None => {
                self.recursive
                    && kind == Kind::Folder
                    && (!self.patterns.ask() || self.patterns.enter(&way.join(&name)))
            }
        };
        is_wanted.then_some(Entry { name, format })
    }

    fn next(&mut self, disk: &dyn Disk) -> Option<Found> {
        loop {
            let folder = self.folders.last_mut()?;
            let Some(Entry { name, format }) = folder.left.pop() else {
                self.folders.pop();
                continue;
            };
            let path = folder.dir.join(&name);
            if let Some(format) = format {
                return Some(look(disk, path, format));
            }
            let way = folder.way.join(&name);
            if let Err(why) = self.enter(disk, path.clone(), way) {
                return Some(Found { path, format: Err(FindError::Io(why)), bytes: 0 });
            }
        }
    }
}

/// What is named like a set: follows links, for what counts is what a reader would open.
fn look(disk: &dyn Disk, path: PathBuf, format: Format) -> Found {
    let (format, bytes) = match disk.look(&path) {
        Ok(looked) => match looked.kind {
            Kind::File => (Ok(format), looked.len),
            Kind::Folder => (Err(FindError::Directory), 0),
            Kind::Link | Kind::Other => (Err(FindError::NotAFile), 0),
        },
        Err(why) => (Err(FindError::Io(why)), 0),
    };
    Found { path, format, bytes }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use proptest::{collection::btree_set, prelude::*, sample::select};

    use super::*;
    use crate::disk::memory::{Call, MemoryDisk};

    const fn movable<T: Send + 'static>() {}
    const _: () = movable::<Walk>();

    fn folder(recursive: bool, include: &[&str], exclude: &[&str]) -> Sources {
        let texts = |all: &[&str]| all.iter().map(|&p| p.to_owned()).collect();
        Sources::Folder { dir: "in".into(), recursive, include: texts(include), exclude: texts(exclude) }
    }

    fn walk(disk: &MemoryDisk, sources: &Sources) -> Walk {
        Walk::new(sources, Arc::new(disk.clone())).unwrap()
    }

    /// What a walk finds: the path with `/`, and the length or what is wrong.
    fn shown(walk: &mut Walk, at_a_time: usize) -> Vec<String> {
        let mut rows = Vec::new();
        loop {
            let some = walk.next_some(at_a_time);
            assert!(some.len() <= at_a_time);
            if some.is_empty() {
                assert!(walk.next_some(at_a_time).is_empty());
                return rows;
            }
            rows.extend(some.into_iter().map(|found| {
                let path = found.path.to_str().unwrap().replace('\\', "/");
                match found.format {
                    Ok(format) => format!("{path} {} {}", format.name(), found.bytes),
                    Err(why) => format!("{path} {why}"),
                }
            }));
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_whole_paths(
            files in btree_set(
                prop::collection::vec(select(&["a", "a-1", "a.b", "B", "b", "Z", "é"][..]), 1..5),
                0..40,
            ),
            at_a_time in 1..10usize,
        ) {
            let disk = MemoryDisk::new();
            disk.folder("in");
            let mut expected = BTreeSet::new();
            for parts in &files {
                // No folder is named like a set, so a file is never in the way of one.
                let path = Path::new("in").join(parts.join("/") + ".keys");
                disk.put(&path, &vec![0; parts.len()]);
                expected.insert((path, parts.len()));
            }
            let expected: Vec<String> = expected
                .into_iter()
                .map(|(path, len)| format!("{} keys {len}", path.to_str().unwrap().replace('\\', "/")))
                .collect();
            prop_assert_eq!(shown(&mut walk(&disk, &folder(true, &[], &[])), at_a_time), expected);
        }
    }

    #[test]
    fn no_more_is_listed_and_looked_at_than_is_handed_out() {
        let disk = MemoryDisk::new();
        for dir in ["a", "b/deep", "c"] {
            for file in 0..10 {
                disk.put(format!("in/{dir}/{file}.keys"), b"1234");
            }
        }
        let calls = [Call::List, Call::Look].map(|call| (call, Arc::new(AtomicUsize::new(0))));
        let counted = calls.clone();
        disk.fail(move |call, _| {
            counted.iter().find(|(c, _)| *c == call).unwrap().1.fetch_add(1, Ordering::Relaxed);
            None
        });
        let counts = || calls.each_ref().map(|(_, count)| count.load(Ordering::Relaxed));
        let mut walk = walk(&disk, &folder(true, &[], &[]));
        assert_eq!(counts(), [1, 0]);
        assert_eq!(walk.next_some(3).len(), 3);
        assert_eq!(counts(), [2, 3]);
        assert_eq!(walk.next_some(8).len(), 8);
        assert_eq!(counts(), [4, 11]);
        assert_eq!(walk.next_some(1000).len(), 19);
        assert_eq!(counts(), [5, 30]);
    }

    #[test]
    fn patterns_choose_and_an_excluded_folder_is_not_entered() {
        let disk = MemoryDisk::new();
        for path in ["a.keys", "b.csv", "old/a.keys", "sub/a.keys", "sub/x-1.keys", "sub/deep/c.csv"] {
            disk.put(Path::new("in").join(path), b"1");
        }
        disk.folder("in/dir.keys");
        let listed = Arc::new(Mutex::new(Vec::new()));
        let heard = listed.clone();
        disk.fail(move |call, path| {
            if call == Call::List {
                heard.lock().unwrap().push(path.to_owned());
            }
            None
        });
        let find = |include: &[&str], exclude: &[&str]| {
            shown(&mut walk(&disk, &folder(true, include, exclude)), 100)
        };
        assert_eq!(
            find(&["*.keys"], &["old", "sub/x*", "dir*"]),
            ["in/a.keys keys 1", "in/sub/a.keys keys 1"]
        );
        assert!(!listed.lock().unwrap().contains(&"in/old".into()));
        assert_eq!(find(&["sub/*.csv"], &[]), [""; 0]);
        assert_eq!(find(&["sub/**/*.csv"], &[]), ["in/sub/deep/c.csv csv 1"]);
        assert_eq!(find(&["dir.*"], &[]), ["in/dir.keys is a directory, and is named like a set; rename it"]);
        let why = Walk::new(&folder(true, &["a["], &[]), Arc::new(disk.clone())).unwrap_err().to_string();
        assert!(why.contains("\"a[\""), "{why}");
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_a_row_in_its_place() {
        let disk = MemoryDisk::new();
        for path in ["a.keys", "b/x.keys", "c.keys"] {
            disk.put(Path::new("in").join(path), b"1");
        }
        disk.fail(|call, path| {
            (call == Call::List && path == "in/b").then(|| io::ErrorKind::PermissionDenied.into())
        });
        assert_eq!(
            shown(&mut walk(&disk, &folder(true, &["[ac].keys"], &[])), 1),
            ["in/a.keys keys 1", "in/b cannot be read: permission denied", "in/c.keys keys 1"]
        );
        disk.fail(|call, _| (call == Call::List).then(|| io::ErrorKind::PermissionDenied.into()));
        let why = Walk::new(&folder(true, &[], &[]), Arc::new(disk)).unwrap_err().to_string();
        assert_eq!(why, "in: the folder cannot be listed: permission denied");
    }

    #[test]
    fn a_list_is_gone_through_in_its_own_order() {
        let disk = MemoryDisk::new();
        disk.put("b.keys", b"1234");
        disk.put("a.csv", b"1");
        disk.put("notes.md", b"12");
        disk.folder("dir.keys");
        disk.other("pipe.keys");
        let paths =
            ["b.keys", "none.keys", "a.csv", "notes.md", "dir.keys", "pipe.keys", "./b.keys", "b.keys"];
        let sources = Sources::List(paths.map(PathBuf::from).into());
        let rows = shown(&mut walk(&disk, &sources), 3);
        assert_eq!(
            rows,
            [
                "b.keys keys 4",
                "none.keys cannot be read: entity not found",
                "a.csv csv 1",
                "notes.md has a name that does not tell its format; give one with --format",
                "dir.keys is a directory, not a key set; list the files in it",
                "pipe.keys is not a regular file",
                "./b.keys keys 4",
                "b.keys is in the list twice",
            ]
        );
        let rows = shown(&mut walk(&disk, &sources).read_as(Some(Format::Text)), 100);
        assert_eq!(rows[2..4], ["a.csv text 1", "notes.md text 2"]);
    }

    #[test]
    fn one_file_is_a_list_of_one() {
        let disk = MemoryDisk::new();
        disk.put("in/a.keys", b"1234");
        let one = |path: &str| shown(&mut walk(&disk, &Sources::File(path.into())), 10);
        assert_eq!(one("in/a.keys"), ["in/a.keys keys 4"]);
        assert_eq!(one("in/b.keys"), ["in/b.keys cannot be read: entity not found"]);
    }
}
