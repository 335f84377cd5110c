//! A disk in memory, whose calls fail when a test says so.
//!
//! It keeps what a file system promises and the foundry relies on: names are taken once, a rename replaces in
//! one step, what was begun and not finished stays as it was left. Links are followed; a folder cannot be
//! renamed or removed.

use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fmt,
    io::{self, Write},
    path::{Component, Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Digest, Disk, Kind, Listed, Looked, NewFile, bounded, no_file};

/// What a disk is asked to do, for a script of failures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[expect(missing_docs, reason = "the names are those of the calls")]
pub enum Call {
    List,
    Look,
    Read,
    MakeDirs,
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDir,
    Holds,
    Digest,
}

/// How a call ends that does not end well.
#[derive(Debug)]
pub enum Fault {
    /// With this error. Of a write, half the bytes are there nonetheless, as when a disk is full.
    Error(io::Error),
    /// With a panic, before anything is done.
    Panic,
}

impl From<io::ErrorKind> for Fault {
    fn from(kind: io::ErrorKind) -> Fault {
        Fault::Error(kind.into())
    }
}

/// Decides before each call whether it fails.
type Script = dyn Fn(Call, &Path) -> Option<Fault> + Send + Sync;

/// A disk in memory. Relative paths begin where absolute ones do.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    tree: Arc<Mutex<Tree>>,
    script: Arc<RwLock<Option<Box<Script>>>>,
}

/// The folders by their paths; the first one's is empty.
#[derive(Default)]
struct Tree {
    folders: HashMap<PathBuf, BTreeMap<OsString, Entry>>,
}

type Content = Arc<Mutex<Vec<u8>>>;

#[derive(Clone)]
enum Entry {
    File(Content),
    Folder,
    Link(PathBuf),
    Other,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk").field("folders", &self.tree().folders.len()).finish_non_exhaustive()
    }
}

impl MemoryDisk {
    /// An empty disk on which nothing fails.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// From now on every call is first told to `script`, which may make it fail. What the test itself asks by the
    /// methods below is not told.
    pub fn fail(&self, script: impl Fn(Call, &Path) -> Option<Fault> + Send + Sync + 'static) {
        *self.script.write().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(script));
    }

    /// From now on nothing fails.
    pub fn heal(&self) {
        *self.script.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Puts a file in place, and the folders above it.
    pub fn put(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.place(path.as_ref(), Entry::File(Arc::new(Mutex::new(bytes.to_vec()))));
    }

    /// Puts a folder in place, and those above it.
    pub fn folder(&self, path: impl AsRef<Path>) {
        self.tree().make(&plain(path.as_ref())).expect("only folders are above a test's folder");
    }

    /// Puts a link in place, and the folders above it. Its target is seen from the root.
    pub fn link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) {
        self.place(path.as_ref(), Entry::Link(plain(target.as_ref())));
    }

    /// Puts something in place that is neither file nor folder.
    pub fn other(&self, path: impl AsRef<Path>) {
        self.place(path.as_ref(), Entry::Other);
    }

    /// Every file, with its bytes.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let tree = self.tree();
        let file = |dir: &Path, (name, entry): (&OsString, &Entry)| match entry {
            Entry::File(content) => Some((dir.join(name), locked(content).clone())),
            Entry::Folder | Entry::Link(_) | Entry::Other => None,
        };
        tree.folders.iter().flat_map(|(dir, all)| all.iter().filter_map(|e| file(dir, e))).collect()
    }

    fn place(&self, path: &Path, entry: Entry) {
        let (dir, name) = split(path).expect("a test's file has a name");
        let mut tree = self.tree();
        tree.make(&dir).expect("only folders are above a test's file");
        tree.folder(&dir).expect("it was made").insert(name, entry);
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        locked(&self.tree)
    }

    /// Lets the script say whether a call fails.
    fn begin(&self, call: Call, path: &Path) -> io::Result<()> {
        let script = self.script.read().unwrap_or_else(PoisonError::into_inner);
        let fault = script.as_ref().and_then(|script| script(call, path));
        drop(script);
        match fault {
            None => Ok(()),
            Some(Fault::Error(why)) => Err(why),
            Some(Fault::Panic) => panic!("{call:?} of {}: a panic on purpose", path.display()),
        }
    }

    fn content(&self, path: &Path) -> io::Result<Content> {
        match self.tree().follow(path)? {
            Entry::File(content) => Ok(content),
            Entry::Folder => Err(io::ErrorKind::IsADirectory.into()),
            Entry::Link(_) | Entry::Other => Err(no_file()),
        }
    }
}

impl Tree {
    fn folder(&mut self, dir: &Path) -> io::Result<&mut BTreeMap<OsString, Entry>> {
        if dir.as_os_str().is_empty() {
            return Ok(self.folders.entry(PathBuf::new()).or_default());
        }
        if !self.folders.contains_key(dir) {
            let is_other = split(dir).is_some_and(|(above, name)| {
                self.folders.get(&above).is_some_and(|entries| entries.contains_key(&name))
            });
            let kind = if is_other { io::ErrorKind::NotADirectory } else { io::ErrorKind::NotFound };
            return Err(kind.into());
        }
        Ok(self.folders.get_mut(dir).expect("it was there a moment ago"))
    }

    fn make(&mut self, dir: &Path) -> io::Result<()> {
        let Some((above, name)) = split(dir) else { return Ok(()) };
        self.make(&above)?;
        match self.folder(&above)?.entry(name).or_insert(Entry::Folder) {
            Entry::Folder => {}
            Entry::File(_) | Entry::Link(_) | Entry::Other => return Err(io::ErrorKind::AlreadyExists.into()),
        }
        self.folders.entry(dir.to_owned()).or_default();
        Ok(())
    }

    /// What a path leads to.
    fn follow(&mut self, path: &Path) -> io::Result<Entry> {
        let mut path = plain(path);
        // 40: as many links as Linux follows.
        for _ in 0..40 {
            let Some((dir, name)) = split(&path) else { return Ok(Entry::Folder) };
            match self.folder(&dir)?.get(&name).ok_or(io::ErrorKind::NotFound)? {
                Entry::Link(target) => path = target.clone(),
                entry => return Ok(entry.clone()),
            }
        }
        Err(io::Error::other("too many levels of links"))
    }
}

/// A path without what leads nowhere. Nothing is known of `..` after a link, so there must be none.
fn plain(path: &Path) -> PathBuf {
    let part = |part| match part {
        Component::Normal(name) => Some(name),
        Component::ParentDir => panic!("{}: a disk in memory knows no `..`", path.display()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(part).collect()
}

/// Folder and name; `None` for the first folder.
fn split(path: &Path) -> Option<(PathBuf, OsString)> {
    let mut dir = plain(path);
    let name = dir.file_name()?.to_owned();
    dir.pop();
    Some((dir, name))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is half done when a script panics: it is asked before.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    path: PathBuf,
    content: Content,
}

impl Write for MemoryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let begun = self.disk.begin(Call::Write, &self.path);
        let there = if begun.is_ok() { bytes.len() } else { bytes.len() / 2 };
        locked(&self.content).extend_from_slice(&bytes[..there]);
        begun.map(|()| there)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for MemoryFile {
    fn sync(&mut self) -> io::Result<()> {
        self.disk.begin(Call::Sync, &self.path)
    }
}

impl Disk for MemoryDisk {
    fn list(&self, dir: &Path) -> io::Result<Vec<Listed>> {
        self.begin(Call::List, dir)?;
        let kind = |entry: &Entry| match entry {
            Entry::File(_) => Kind::File,
            Entry::Folder => Kind::Folder,
            Entry::Link(_) => Kind::Link,
            Entry::Other => Kind::Other,
        };
        let mut tree = self.tree();
        let entries = tree.folder(&plain(dir))?.iter();
        // Backwards: a disk promises no order, and whoever relied on one would be found out.
        Ok(entries.rev().map(|(name, entry)| Listed { name: name.clone(), kind: kind(entry) }).collect())
    }

    fn look(&self, path: &Path) -> io::Result<Looked> {
        self.begin(Call::Look, path)?;
        Ok(match self.tree().follow(path)? {
            Entry::File(content) => Looked { kind: Kind::File, len: locked(&content).len() as u64 },
            Entry::Folder => Looked { kind: Kind::Folder, len: 0 },
            Entry::Link(_) | Entry::Other => Looked { kind: Kind::Other, len: 0 },
        })
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        self.begin(Call::Read, path)?;
        let content = self.content(path)?;
        let content = locked(&content);
        bounded(content.as_slice(), content.len() as u64, most)
    }

    fn make_dirs(&self, dir: &Path) -> io::Result<()> {
        self.begin(Call::MakeDirs, dir)?;
        self.tree().make(&plain(dir))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        self.begin(Call::Create, path)?;
        let (dir, name) = split(path).ok_or(io::ErrorKind::AlreadyExists)?;
        let content = Content::default();
        let mut tree = self.tree();
        let entries = tree.folder(&dir)?;
        if entries.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        entries.insert(name, Entry::File(content.clone()));
        drop(tree);
        Ok(Box::new(MemoryFile { disk: self.clone(), path: path.to_owned(), content }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.begin(Call::Rename, from)?;
        let (from_dir, from_name) = split(from).ok_or(io::ErrorKind::IsADirectory)?;
        let (to_dir, to_name) = split(to).ok_or(io::ErrorKind::IsADirectory)?;
        let mut tree = self.tree();
        let entry = tree.folder(&from_dir)?.get(&from_name).ok_or(io::ErrorKind::NotFound)?.clone();
        let target = tree.folder(&to_dir)?.get(&to_name);
        if matches!(entry, Entry::Folder) || matches!(target, Some(Entry::Folder)) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        tree.folder(&from_dir)?.remove(&from_name);
        tree.folder(&to_dir)?.insert(to_name, entry);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.begin(Call::Remove, path)?;
        let (dir, name) = split(path).ok_or(io::ErrorKind::IsADirectory)?;
        let mut tree = self.tree();
        let entries = tree.folder(&dir)?;
        match entries.get(&name).ok_or(io::ErrorKind::NotFound)? {
            Entry::Folder => Err(io::ErrorKind::IsADirectory.into()),
            Entry::File(_) | Entry::Link(_) | Entry::Other => {
                entries.remove(&name);
                Ok(())
            }
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.begin(Call::Sync, path)?;
        self.content(path).map(|_| ())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.begin(Call::SyncDir, dir)?;
        self.tree().folder(&plain(dir)).map(|_| ())
    }

    fn holds(&self, path: &Path, bytes: &[u8]) -> io::Result<bool> {
        self.begin(Call::Holds, path)?;
        Ok(match self.tree().follow(path)? {
            Entry::File(content) => *locked(&content) == bytes,
            Entry::Folder | Entry::Link(_) | Entry::Other => false,
        })
    }

    fn digest(&self, path: &Path) -> io::Result<Digest> {
        self.begin(Call::Digest, path)?;
        let content = self.content(path)?;
        Ok(Digest::of(&locked(&content)))
    }
}

/// A script by which about one call in `one_in` fails, with `kind`, chosen by a seed and the number of the call.
/// Calls that are made in one order fail the same way again.
pub fn seeded(
    seed: u64,
    one_in: u64,
    kind: io::ErrorKind,
) -> impl Fn(Call, &Path) -> Option<Fault> + Send + Sync {
    let calls = AtomicU64::new(0);
    move |_, _| {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.update(&number.to_le_bytes());
        let mut drawn = [0; 8];
        hasher.finalize_xof().fill(&mut drawn);
        u64::from_le_bytes(drawn).is_multiple_of(one_in).then(|| kind.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_half_of_its_bytes() {
        let disk = MemoryDisk::new();
        disk.fail(|call, _| (call == Call::Write).then(|| io::ErrorKind::StorageFull.into()));
        let mut file = disk.create(Path::new("a")).unwrap();
        assert_eq!(file.write_all(b"abcdef").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.files(), [("a".into(), b"abc".to_vec())].into());
        disk.heal();
        file.write_all(b"d").unwrap();
        assert_eq!(disk.files(), [("a".into(), b"abcd".to_vec())].into());
    }

    #[test]
    fn a_script_is_told_of_every_call_and_its_panic_harms_nothing() {
        let disk = MemoryDisk::new();
        disk.put("a", b"x");
        let heard = Arc::new(Mutex::new(Vec::new()));
        disk.fail({
            let heard = heard.clone();
            move |call, path| {
                locked(&heard).push((call, path.to_owned()));
                (call == Call::Read).then_some(Fault::Panic)
            }
        });
        let at = Path::new("a");
        disk.look(at).unwrap();
        let read = std::panic::AssertUnwindSafe(|| disk.read(at, 10));
        assert!(std::panic::catch_unwind(read).is_err());
        assert!(disk.holds(at, b"x").unwrap());
        let calls: Vec<Call> = locked(&heard).iter().map(|(call, _)| *call).collect();
        assert_eq!(calls, [Call::Look, Call::Read, Call::Holds]);
        assert!(locked(&heard).iter().all(|(_, path)| path == at));
    }

    #[test]
    fn a_seed_decides_which_calls_fail() {
        let run = |seed| {
            let disk = MemoryDisk::new();
            disk.fail(seeded(seed, 4, io::ErrorKind::Other));
            (0..1000).map(|_| disk.list(Path::new("")).is_err()).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let failed = run(1).iter().filter(|&&failed| failed).count();
        assert!((150..350).contains(&failed), "{failed}");
    }
}
