//! Puts files in place, whole or not at all.
//!
//! A file is written under a temporary name in its own folder and then renamed. Under its final name it is
//! complete at every moment, whatever ends the program. What is there already is left alone when it is the
//! same, so that a build that looks at times has nothing to do.
//!
//! | a temporary is | until |
//! |---|---|
//! | there | its rename |
//! | removed by its guard | at any error, and at a panic |
//! | removed by [`sweep`], or [`Store::sweep_locked`] | after the program was killed |

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Kind, NewFile, RealDisk};

/// What a stored file is safe against.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The death of the program.
    #[default]
    Process,
    /// A loss of power as well: file and folder are synchronised, also when they were there already.
    Power,
}

/// Whose temporaries a store makes, and so who may remove what a killed one left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Temporaries {
    /// One of many that may write into a folder at a time, as `create` does: they are known by their process,
    /// and go by [`sweep`].
    #[default]
    Shared,
    /// The one that has the folder's lock: whatever is there of this kind was left behind, and goes by
    /// [`Store::sweep_locked`].
    Locked,
}

impl Temporaries {
    fn prefix(self) -> &'static str {
        match self {
            Temporaries::Shared => PREFIX,
            Temporaries::Locked => LOCKED_PREFIX,
        }
    }
}

/// What became of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stored {
    /// It is new.
    Created,
    /// It was there with other content.
    Replaced,
    /// It was there already, byte for byte, and was not touched.
    Unchanged,
}

/// Why a file was not stored.
#[derive(Debug)]
pub struct StoreError {
    /// The file, under its final name.
    pub path: PathBuf,
    /// What failed.
    pub step: Step,
    /// Why.
    pub why: io::Error,
}

/// What was being done to a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Step {
    /// Making a file in its folder.
    Create,
    /// Writing it.
    Write,
    /// Giving it its name.
    Rename,
    /// Synchronising it with the disk.
    Sync,
    /// Listing a folder.
    List,
    /// Removing a temporary.
    Remove,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        let what = match self.step {
            Step::Create => "no file can be made in its folder",
            Step::Write => "cannot be written",
            Step::Rename => "cannot be put in place",
            Step::Sync => "cannot be synchronised with the disk",
            Step::List => "cannot be listed",
            Step::Remove => "cannot be removed",
        };
        write!(f, "{path}: {what}: {}", self.why)
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.why.source()
    }
}

/// Stores files. Shared by the threads of a run.
#[derive(Debug)]
pub struct Store {
    disk: Arc<dyn Disk>,
    durability: Durability,
    temporaries: Temporaries,
}

impl Default for Store {
    fn default() -> Store {
        Store::new(Durability::default())
    }
}

impl Store {
    /// A store on the file system, one of many that may write into a folder.
    pub fn new(durability: Durability) -> Store {
        Store::with_disk(Arc::new(RealDisk), durability, Temporaries::Shared)
    }

    /// A store on a disk.
    pub fn with_disk(disk: Arc<dyn Disk>, durability: Durability, temporaries: Temporaries) -> Store {
        Store { disk, durability, temporaries }
    }

    /// Stores a file. Its folder must be there.
    ///
    /// # Errors
    /// When it cannot be written. The old file, if there was one, is as it was.
    pub fn put(&self, path: &Path, bytes: &[u8]) -> Result<Stored, StoreError> {
        let stored = match self.disk.holds(path, bytes) {
            Ok(true) => {
                self.settle(path)?;
                return Ok(Stored::Unchanged);
            }
            Ok(false) => Stored::Replaced,
            // Nothing is there, or nothing that can be read; in its way it is not, or the rename will tell.
            Err(_) => Stored::Created,
        };
        self.place(path, |file| file.write_all(bytes))?;
        Ok(stored)
    }

    /// Sees to it that a file that is as it should be is as safe as one that is stored now: whoever made it may have
    /// wished for less.
    ///
    /// # Errors
    /// When file or folder cannot be synchronised.
    pub fn settle(&self, path: &Path) -> Result<(), StoreError> {
        match self.durability {
            Durability::Process => Ok(()),
            Durability::Power => self
                .disk
                .sync(path)
                .and_then(|()| self.disk.sync_dir(folder(path)))
                .map_err(|why| StoreError { path: path.to_owned(), step: Step::Sync, why }),
        }
    }

    /// Makes a folder and those above it, as safe as what is stored in them.
    ///
    /// # Errors
    /// When one of them cannot be made, or the name of one that was made not be synchronised.
    pub fn make_folder(&self, dir: &Path) -> io::Result<()> {
        if self.durability == Durability::Process {
            return self.disk.make_dirs(dir);
        }
        let is_new = |dir: &&Path| !dir.as_os_str().is_empty() && self.disk.look(dir).is_err();
        let made: Vec<&Path> = dir.ancestors().take_while(is_new).collect();
        self.disk.make_dirs(dir)?;
        // A folder's name stands in the one above it.
        made.into_iter().try_for_each(|dir| self.disk.sync_dir(folder(dir)))
    }

    /// Removes the temporaries that earlier holders of a folder's lock left there; says which. The caller must
    /// have that lock, and nothing of its own in flight.
    ///
    /// # Errors
    /// When the folder cannot be listed, or a temporary not removed.
    pub fn sweep_locked(&self, dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
        let fail = |path: &Path, step, why| StoreError { path: path.to_owned(), step, why };
        let mut removed = Vec::new();
        for listed in self.disk.list(dir).map_err(|why| fail(dir, Step::List, why))? {
            let name = listed.name.to_str().unwrap_or_default();
            if listed.kind != Kind::File || owner(name, LOCKED_PREFIX).is_none() {
                continue;
            }
            let path = dir.join(name);
            self.disk.remove(&path).map_err(|why| fail(&path, Step::Remove, why))?;
            removed.push(path);
        }
        removed.sort();
        Ok(removed)
    }

    fn place(
        &self,
        path: &Path,
        write: impl FnOnce(&mut dyn NewFile) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let fail = |step, why| StoreError { path: path.to_owned(), step, why };
        let (mut file, temporary) = self.begin(path)?;
        write(&mut *file).map_err(|why| fail(Step::Write, why))?;
        if self.durability == Durability::Power {
            file.sync().map_err(|why| fail(Step::Sync, why))?;
        }
        // Windows renames no file that is open without leave.
        drop(file);
        self.disk.rename(&temporary.path, path).map_err(|why| fail(Step::Rename, why))?;
        temporary.placed();
        if self.durability == Durability::Power {
            self.disk.sync_dir(folder(path)).map_err(|why| fail(Step::Sync, why))?;
        }
        Ok(())
    }

    /// Makes a temporary beside `path`.
    fn begin(&self, path: &Path) -> Result<(Box<dyn NewFile>, Temporary<'_>), StoreError> {
        // One number for all stores of the process, or two of them could use one name.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let fail = |step, why| StoreError { path: path.to_owned(), step, why };
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let prefix = self.temporaries.prefix();
            let temporary = folder(path).join(format!("{prefix}{}-{number}{SUFFIX}", process::id()));
            match self.disk.create(&temporary) {
                Ok(file) => {
                    return Ok((file, Temporary { disk: &*self.disk, path: temporary, is_placed: false }));
                }
                // Left behind by a process that had our id; a sweep will see to it.
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists => {}
                Err(why) => return Err(fail(Step::Create, why)),
            }
        }
    }
}

/// A temporary that is removed unless it was put in place.
#[derive(Debug)]
struct Temporary<'d> {
    disk: &'d dyn Disk,
    path: PathBuf,
    is_placed: bool,
}

impl Temporary<'_> {
    /// It has its final name now; nothing is left to remove.
    fn placed(mut self) {
        self.is_placed = true;
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.is_placed {
            // Nothing can be done about a failure here; a sweep will find the file.
            let _ = self.disk.remove(&self.path);
        }
    }
}

/// Removes the temporaries in a folder whose process was killed; says which. Those of whoever has the folder's
/// lock are not among them.
///
/// On Linux a process that is gone has no entry in `/proc`. Elsewhere a temporary must be a day old.
///
/// # Errors
/// When the folder cannot be listed, or a temporary not removed.
pub fn sweep(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let fail = |path: &Path, step, why| StoreError { path: path.to_owned(), step, why };
    let list = |why| fail(dir, Step::List, why);
    let mut removed = Vec::new();
    for entry in fs::read_dir(dir).map_err(list)? {
        let entry = entry.map_err(list)?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| owner(name, PREFIX)) else { continue };
        if !entry.file_type().is_ok_and(|t| t.is_file()) || is_alive(pid, &entry) {
            continue;
        }
        let path = entry.path();
        match fs::remove_file(&path) {
            Ok(()) => removed.push(path),
            // Another sweep was faster.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(fail(&path, Step::Remove, why)),
        }
    }
    removed.sort();
    Ok(removed)
}

/// The process whose temporary has this name, when it is one.
fn owner(name: &str, prefix: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(prefix)?.strip_suffix(SUFFIX)?.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    (digits(pid) && digits(number)).then(|| pid.parse().ok())?
}

/// False only when it is sure that nobody writes the file any more.
fn is_alive(pid: u32, entry: &fs::DirEntry) -> bool {
    if pid == process::id() {
        return true;
    }
    // Asked at run time as well: a container may have no /proc.
    if cfg!(target_os = "linux") && Path::new("/proc/self").exists() {
        return Path::new("/proc").join(pid.to_string()).exists();
    }
    let modified = entry.metadata().and_then(|m| m.modified());
    !modified.is_ok_and(|t| SystemTime::now().duration_since(t).is_ok_and(|age| age > STRAY_AGE))
}

/// The folder that a file is in.
fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

const PREFIX: &str = ".ostia-";
const LOCKED_PREFIX: &str = ".ostia-bulk-";
const SUFFIX: &str = ".tmp";
// A day: no run stores one file for so long, and no clock is off by more without anyone noticing.
const STRAY_AGE: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::{fs::File, sync::Mutex};

    use super::*;
    use crate::disk::memory::{Call, Fault, MemoryDisk};

    fn names(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn identical_content_is_not_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.h");
        for durability in [Durability::Process, Durability::Power] {
            let store = Store::new(durability);
            let _ = fs::remove_file(&path);
            assert_eq!(store.put(&path, b"one").unwrap(), Stored::Created);
            let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
            File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
            assert_eq!(store.put(&path, b"one").unwrap(), Stored::Unchanged);
            assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), long_ago);
            assert_eq!(store.put(&path, b"two").unwrap(), Stored::Replaced);
            assert_eq!(store.put(&path, &[7; 40_000]).unwrap(), Stored::Replaced);
            assert_eq!(store.put(&path, &[7; 40_000]).unwrap(), Stored::Unchanged);
            assert_eq!(fs::read(&path).unwrap(), [7; 40_000]);
            assert_eq!(names(dir.path()), ["t.h"]);
        }
    }

    /// A disk that tells of what is synchronised, and the list of it.
    fn watched(failing: Option<Call>) -> (MemoryDisk, Arc<Mutex<Vec<PathBuf>>>) {
        let disk = MemoryDisk::new();
        let synced = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&synced);
        disk.fail(move |call, path| {
            if let Call::Sync | Call::SyncDir = call {
                list.lock().unwrap().push(path.to_owned());
            }
            (failing == Some(call)).then(|| io::ErrorKind::Other.into())
        });
        (disk, synced)
    }

    #[test]
    fn what_was_there_already_is_synchronised_when_it_is_to_survive_a_loss_of_power() {
        let (out, path) = (Path::new("out"), Path::new("out/t.h"));
        for (durability, expected) in
            [(Durability::Process, &[][..]), (Durability::Power, &[path.to_owned(), out.to_owned()])]
        {
            let (disk, synced) = watched(None);
            disk.put(path, b"one");
            let store = Store::with_disk(Arc::new(disk), durability, Temporaries::Locked);
            assert_eq!(store.put(path, b"one").unwrap(), Stored::Unchanged);
            assert_eq!(*synced.lock().unwrap(), expected, "{durability:?}");
        }
        for failing in [Call::Sync, Call::SyncDir] {
            let (disk, _) = watched(Some(failing));
            disk.put(path, b"one");
            let store = Store::with_disk(Arc::new(disk), Durability::Power, Temporaries::Locked);
            let why = store.put(path, b"one").unwrap_err();
            assert_eq!((why.step, why.path.as_path()), (Step::Sync, path), "{failing:?}");
        }
    }

    #[test]
    fn a_folder_that_is_made_is_synchronised_in_the_one_above_it() {
        let cases: &[(&str, &[&str])] =
            &[("a/b/c", &["a/b", "a"]), ("a", &[]), ("n", &["."]), ("n/m", &["n", "."]), ("/n", &["/"])];
        for (dir, expected) in cases {
            for durability in [Durability::Process, Durability::Power] {
                let (disk, synced) = watched(None);
                disk.folder("a");
                let store = Store::with_disk(Arc::new(disk.clone()), durability, Temporaries::Locked);
                store.make_folder(Path::new(dir)).unwrap();
                assert_eq!(disk.look(Path::new(dir)).unwrap().kind, Kind::Folder);
                let expected: Vec<&Path> = match durability {
                    Durability::Process => Vec::new(),
                    Durability::Power => expected.iter().map(Path::new).collect(),
                };
                assert_eq!(*synced.lock().unwrap(), expected, "{dir}, {durability:?}");
            }
        }
        let (disk, _) = watched(Some(Call::SyncDir));
        let store = Store::with_disk(Arc::new(disk), Durability::Power, Temporaries::Locked);
        assert!(store.make_folder(Path::new("n")).is_err());
        // The file system's own calls.
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n/m");
        Store::new(Durability::Power).make_folder(&path).unwrap();
        assert!(path.is_dir());
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_and_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.h");
        let store = Store::default();
        store.put(&path, b"old").unwrap();
        let why = store
            .place(&path, |file| {
                file.write_all(b"ne")?;
                Err(io::ErrorKind::StorageFull.into())
            })
            .unwrap_err();
        assert_eq!(why.step, Step::Write);
        assert!(why.to_string().starts_with(&format!("{}: cannot be written: ", path.display())), "{why}");
        assert_eq!(names(dir.path()), ["t.h"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn a_panic_leaves_no_temporary() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            store.place(&dir.path().join("t.h"), |_| panic!("on purpose"))
        }));
        assert!(panicked.is_err());
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn what_cannot_be_put_in_place_is_named_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::default();
        let path = dir.path().join("none/t.h");
        let why = store.put(&path, b"x").unwrap_err();
        assert_eq!((why.step, &why.path), (Step::Create, &path));
        assert!(why.to_string().contains("no file can be made in its folder"), "{why}");
        let path = dir.path().join("folder");
        fs::create_dir(&path).unwrap();
        let why = store.put(&path, b"x").unwrap_err();
        assert_eq!((why.step, &why.path), (Step::Rename, &path));
        assert_eq!(names(dir.path()), ["folder"]);
    }

    #[test]
    fn only_names_of_our_making_are_temporaries() {
        assert_eq!(owner(".ostia-12-0.tmp", PREFIX), Some(12));
        assert_eq!(owner(".ostia-bulk-12-0.tmp", LOCKED_PREFIX), Some(12));
        assert_eq!(owner(".ostia-bulk-12-0.tmp", PREFIX), None);
        assert_eq!(owner(".ostia-12-0.tmp", LOCKED_PREFIX), None);
        for name in ["ostia-12-0.tmp", ".ostia-12.tmp", ".ostia-a-0.tmp", ".ostia-1-.tmp", ".ostia-1-2.tmp~"]
        {
            assert_eq!(owner(name, PREFIX), None, "{name}");
        }
        assert_eq!(owner(".ostia-99999999999-1.tmp", PREFIX), None);
    }

    #[test]
    fn a_sweep_removes_what_the_dead_left_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| fs::write(dir.path().join(name), "x").unwrap();
        // Above the largest process id of any system, so nobody has it.
        let stray = format!(".ostia-{}-3.tmp", u32::MAX);
        put(&stray);
        let long_ago = SystemTime::now() - 2 * STRAY_AGE;
        File::options().write(true).open(dir.path().join(&stray)).unwrap().set_modified(long_ago).unwrap();
        let ours = format!(".ostia-{}-3.tmp", process::id());
        put(&ours);
        put("t.tmp");
        put(".ostia-notes.tmp");
        assert_eq!(sweep(dir.path()).unwrap(), [dir.path().join(stray)]);
        assert_eq!(names(dir.path()), [ours.as_str(), ".ostia-notes.tmp", "t.tmp"]);
        assert_eq!(sweep(&dir.path().join("none")).unwrap_err().step, Step::List);
    }

    #[test]
    fn whoever_has_the_lock_sweeps_its_own_kind_whatever_process_made_it() {
        let disk = MemoryDisk::new();
        let strays = [format!(".ostia-bulk-{}-3.tmp", process::id()), ".ostia-bulk-1-0.tmp".to_owned()];
        let others = [".ostia-1-0.tmp", ".ostia-bulk-1.tmp", ".ostia-lock", "a.tmp"];
        for name in strays.iter().map(String::as_str).chain(others) {
            disk.put(Path::new("out").join(name), b"x");
        }
        disk.folder("out/.ostia-bulk-7-7.tmp");
        let arc = Arc::new(disk.clone());
        let store = Store::with_disk(arc, Durability::Process, Temporaries::Locked);
        let removed = store.sweep_locked(Path::new("out")).unwrap();
        let mut expected = strays.map(|name| Path::new("out").join(name));
        expected.sort();
        assert_eq!(removed, expected);
        let left: Vec<PathBuf> = disk.files().into_keys().collect();
        assert_eq!(left, others.map(|name| Path::new("out").join(name)));
        assert_eq!(store.sweep_locked(Path::new("none")).unwrap_err().step, Step::List);

        // The rule for shared folders leaves them alone, however old.
        let dir = tempfile::tempdir().unwrap();
        let store = Store::with_disk(Arc::new(RealDisk), Durability::Process, Temporaries::Locked);
        let stray = dir.path().join(format!(".ostia-bulk-{}-3.tmp", u32::MAX));
        fs::write(&stray, "x").unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), [""; 0].map(PathBuf::from));
        assert_eq!(store.sweep_locked(dir.path()).unwrap(), [stray]);
    }

    #[test]
    fn whatever_fails_the_old_file_or_the_new_one_is_whole_and_no_temporary_stays() {
        for durability in [Durability::Process, Durability::Power] {
            // One call after another fails, by an error and by a panic, until a run has no call left to fail.
            for (failing, panics) in (0..20).flat_map(|n| [(n, false), (n, true)]) {
                let disk = MemoryDisk::new();
                disk.put("out/t.h", b"old");
                let calls = AtomicU64::new(0);
                disk.fail(move |call, _| {
                    let fails = call != Call::Remove && calls.fetch_add(1, Ordering::Relaxed) == failing;
                    let fault = || match panics {
                        true => Fault::Panic,
                        false => io::ErrorKind::StorageFull.into(),
                    };
                    fails.then(fault)
                });
                let store = Store::with_disk(Arc::new(disk.clone()), durability, Temporaries::Locked);
                let put = || store.put(Path::new("out/t.h"), b"brand new");
                let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(put));
                let files = disk.files();
                assert_eq!(files.len(), 1, "call {failing} of {durability:?}: {files:?}");
                let content = files[Path::new("out/t.h")].as_slice();
                match &ended {
                    Ok(Ok(_)) => assert_eq!(content, b"brand new"),
                    // The rename is done when the folder is synchronised.
                    Ok(Err(error)) if error.step == Step::Sync && content == b"brand new" => {
                        assert_eq!(durability, Durability::Power);
                    }
                    Err(_) if content == b"brand new" => assert_eq!(durability, Durability::Power),
                    Ok(Err(_)) | Err(_) => assert_eq!(content, b"old"),
                }
                let calls_of_a_run = if durability == Durability::Power { 6 } else { 4 };
                // That nothing can be compared is no reason not to write.
                let harmless = failing >= calls_of_a_run || failing == 0 && !panics;
                assert_eq!(matches!(ended, Ok(Ok(_))), harmless, "call {failing}: {ended:?}");
            }
        }
    }
}
