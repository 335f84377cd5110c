//! Files of the simulated kernel: names, directories and bytes in memory.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    code, memory,
    socket::Object,
    world::{Operation, Step, World},
};
use crate::{
    op::{Entry, EntryKind, FileCall, Metadata, OpenOptions, Outcome, Request},
    sys::SysPath,
};

/// The longest file: a test that asks for more has made a mistake, and memory is what it would cost.
const FILE_LEN_MAX: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct OpenFile {
    data: u64,
    read: bool,
    write: bool,
}

#[derive(Debug, Default)]
struct Data {
    bytes: Vec<u8>,
    modified: u64,
    /// Names and open handles.
    users: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Directory,
    File(u64),
}

#[derive(Debug)]
pub(super) struct Files {
    names: BTreeMap<PathBuf, Named>,
    data: BTreeMap<u64, Data>,
    next: u64,
}

impl Default for Files {
    fn default() -> Files {
        let folder = normal(&std::env::temp_dir());
        let names = folder.ancestors().map(|folder| (folder.to_path_buf(), Named::Directory)).collect();
        Files { names, data: BTreeMap::new(), next: 1 }
    }
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

type Code = i32;

impl Files {
    /// How many files there are, named or open.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    fn is_directory(&self, path: &Path) -> bool {
        // A root is always there; so is the place from which relative paths go.
        path.parent().is_none() || self.names.get(path) == Some(&Named::Directory)
    }

    /// The path, if something may be there: in a directory that is.
    fn place(&self, path: &SysPath) -> Result<PathBuf, Code> {
        let path = normal(&path.to_path_buf());
        match path.parent() {
            Some(parent) if !self.is_directory(parent) => {
                let file = self.names.contains_key(parent);
                Err(if file { code::NO_DIRECTORY } else { code::NO_FILE })
            }
            _ => Ok(path),
        }
    }

    fn find(&self, path: &SysPath) -> Result<(PathBuf, Named), Code> {
        let path = self.place(path)?;
        if path.parent().is_none() {
            return Ok((path, Named::Directory));
        }
        let named = *self.names.get(&path).ok_or(code::NO_FILE)?;
        Ok((path, named))
    }

    fn data(&mut self, number: u64) -> &mut Data {
        self.data.get_mut(&number).expect("a file that is named or open has its bytes")
    }

    fn let_go(&mut self, number: u64) {
        let data = self.data(number);
        data.users -= 1;
        if data.users == 0 {
            self.data.remove(&number);
        }
    }

    pub(super) fn close(&mut self, file: &OpenFile) {
        self.let_go(file.data);
    }

    fn open(&mut self, path: &SysPath, options: OpenOptions, now: u64) -> Result<OpenFile, Code> {
        let place = self.place(path)?;
        let number = match self.names.get(&place).copied() {
            _ if place.parent().is_none() => return Err(code::IS_DIRECTORY),
            Some(_) if options.create_new => return Err(code::EXISTS),
            Some(Named::Directory) => return Err(code::IS_DIRECTORY),
            Some(Named::File(number)) => {
                if options.truncate {
                    self.data(number).bytes.clear();
                    self.data(number).modified = now;
                }
                number
            }
            None if options.create || options.create_new => {
                let number = self.next;
                self.next += 1;
                self.data.insert(number, Data { modified: now, users: 1, ..Data::default() });
                self.names.insert(place, Named::File(number));
                number
            }
            None => return Err(code::NO_FILE),
        };
        self.data(number).users += 1;
        Ok(OpenFile { data: number, read: options.read, write: options.write })
    }

    fn metadata(&mut self, named: Named) -> Metadata {
        let (kind, len, modified) = match named {
            Named::Directory => (EntryKind::Directory, 0, 0),
            Named::File(number) => {
                let data = self.data(number);
                (EntryKind::File, data.bytes.len() as u64, data.modified)
            }
        };
        let modified = Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(modified));
        Metadata { kind, len, modified, read_only: false }
    }

    fn rename(&mut self, source: &SysPath, target: &SysPath) -> Result<(), Code> {
        let (source, named) = self.find(source)?;
        let target = self.place(target)?;
        if source == target {
            return Ok(());
        }
        match (named, self.names.get(&target).copied()) {
            (Named::Directory, _) if target.starts_with(&source) => return Err(code::INVALID),
            (Named::Directory, Some(Named::File(_))) => return Err(code::NO_DIRECTORY),
            (Named::File(_), Some(Named::Directory)) => return Err(code::IS_DIRECTORY),
            (Named::Directory, Some(Named::Directory)) if !self.is_empty(&target) => {
                return Err(code::NOT_EMPTY);
            }
            (_, Some(Named::File(replaced))) => self.let_go(replaced),
            _ => {}
        }
        let moved: Vec<PathBuf> =
            self.names.keys().filter(|path| path.starts_with(&source)).cloned().collect();
        for path in moved {
            let named = self.names.remove(&path).expect("it was found there");
            let rest = path.strip_prefix(&source).expect("it starts with the source");
            let path = if rest.as_os_str().is_empty() { target.clone() } else { target.join(rest) };
            self.names.insert(path, named);
        }
        Ok(())
    }

    fn children<'a>(&'a self, folder: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Named)> {
        self.names.iter().filter(move |(path, _)| path.parent() == Some(folder))
    }

    fn is_empty(&self, folder: &Path) -> bool {
        self.children(folder).next().is_none()
    }

    fn remove(&mut self, path: &SysPath) -> Result<(), Code> {
        let (path, named) = self.find(path)?;
        let Named::File(number) = named else { return Err(code::IS_DIRECTORY) };
        self.names.remove(&path);
        self.let_go(number);
        Ok(())
    }

    fn remove_directory(&mut self, path: &SysPath) -> Result<(), Code> {
        let (path, named) = self.find(path)?;
        if named != Named::Directory {
            return Err(code::NO_DIRECTORY);
        }
        if !self.is_empty(&path) {
            return Err(code::NOT_EMPTY);
        }
        self.names.remove(&path);
        Ok(())
    }

    fn create_directory(&mut self, path: &SysPath) -> Result<(), Code> {
        let path = self.place(path)?;
        if path.parent().is_none() || self.names.contains_key(&path) {
            return Err(code::EXISTS);
        }
        self.names.insert(path, Named::Directory);
        Ok(())
    }

    fn list(&self, path: &SysPath) -> Result<Vec<Entry>, Code> {
        let (path, named) = self.find(path)?;
        if named != Named::Directory {
            return Err(code::NO_DIRECTORY);
        }
        let entry = |(path, named): (&PathBuf, &Named)| {
            let kind = if *named == Named::Directory { EntryKind::Directory } else { EntryKind::File };
            Entry { name: path.file_name().unwrap_or_default().to_owned(), kind: Some(kind) }
        };
        Ok(self.children(&path).map(entry).collect())
    }
}

/// As the answer of an operation.
fn step<T>(result: Result<T, Code>, value: impl FnOnce(T) -> usize) -> Step {
    match result {
        Ok(result) => Step::Done(Outcome::ok(value(result))),
        Err(code) => Step::error(code),
    }
}

impl World {
    /// What takes a path, or fills in more than a number.
    pub(super) fn file_call(&mut self, operation: &mut Operation) -> Step {
        let now = self.now;
        let lack = self.dice.chance(self.options.lack);
        let open = operation.flight.handle().map(|handle| super::number(handle.raw));
        let Some(call) = memory::call(&mut operation.flight) else { return Step::error(code::INVALID) };
        let World { files, objects, .. } = self;
        match call {
            FileCall::Open { .. } if lack => Step::error(code::DESCRIPTORS),
            FileCall::Open { path, options } => {
                step(files.open(path, *options, now), |file| objects.add(Object::File(file)) as usize)
            }
            FileCall::Metadata { path, answer, .. } => {
                let found = files.find(path).map(|(_, named)| files.metadata(named));
                step(found, |metadata| {
                    *answer = Some(metadata);
                    0
                })
            }
            FileCall::MetadataOfFile { answer } => {
                let Some(Object::File(file)) = open.map(|number| objects.get(number)) else {
                    return Step::error(code::INVALID);
                };
                *answer = Some(files.metadata(Named::File(file.data)));
                Step::Done(Outcome::ok(0))
            }
            FileCall::Rename { source, target } => step(files.rename(source, target), |()| 0),
            FileCall::Remove { path } => step(files.remove(path), |()| 0),
            FileCall::CreateDir { path } => step(files.create_directory(path), |()| 0),
            FileCall::RemoveDir { path } => step(files.remove_directory(path), |()| 0),
            FileCall::ListDir { path, answer } => step(files.list(path), |entries| {
                *answer = entries;
                0
            }),
        }
    }

    /// The bytes of the file an operation is on, if it was opened for that.
    fn opened(&mut self, operation: &Operation, write: bool) -> Result<&mut Data, Code> {
        let Object::File(file) = self.objects.get(operation.handle()) else { return Err(code::INVALID) };
        if !(if write { file.write } else { file.read }) {
            return Err(code::NOT_ALLOWED);
        }
        let number = file.data;
        Ok(self.files.data(number))
    }

    /// Reads; goes on after a short transfer, unless into slices: those may stay short.
    pub(super) fn read_at(&mut self, operation: &mut Operation) -> Step {
        let (offset, whole) = match *operation.flight.request() {
            Request::ReadAt { offset, .. } => (offset, true),
            Request::ReadVectoredAt { offset, .. } => (offset, false),
            _ => return Step::error(code::INVALID),
        };
        let room = memory::len(&operation.flight) - operation.moved;
        let bytes = match self.opened(operation, false) {
            Ok(data) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(operation.moved);
                let start = start.min(data.bytes.len());
                let end = start.saturating_add(room).min(data.bytes.len());
                data.bytes[start..end].to_vec()
            }
            Err(code) => return Step::error(code),
        };
        if bytes.is_empty() {
            return Step::Done(Outcome::ok(operation.moved));
        }
        let len = self.shortened(bytes.len());
        memory::write(&mut operation.flight, operation.moved, &bytes[..len]);
        operation.moved += len;
        if whole && len < room { Step::Again } else { Step::Done(Outcome::ok(operation.moved)) }
    }

    pub(super) fn write_at(&mut self, operation: &mut Operation) -> Step {
        let (Request::WriteAt { offset, .. } | Request::WriteVectoredAt { offset, .. }) =
            *operation.flight.request()
        else {
            return Step::error(code::INVALID);
        };
        if let Err(code) = self.opened(operation, true) {
            return Step::error(code);
        }
        let total = memory::len(&operation.flight);
        let left = total - operation.moved;
        if left == 0 {
            return Step::Done(Outcome::ok(total));
        }
        if offset.saturating_add(total as u64) > FILE_LEN_MAX {
            return Step::error(code::TOO_LARGE);
        }
        let len = self.shortened(left);
        let bytes = memory::read(&operation.flight, operation.moved, len);
        let start = offset as usize + operation.moved;
        let now = self.now;
        let Ok(data) = self.opened(operation, true) else { return Step::error(code::NOT_ALLOWED) };
        if data.bytes.len() < start + len {
            data.bytes.resize(start + len, 0);
        }
        data.bytes[start..start + len].copy_from_slice(&bytes);
        data.modified = now;
        operation.moved += len;
        if operation.moved == total { Step::Done(Outcome::ok(total)) } else { Step::Again }
    }

    pub(super) fn set_size(&mut self, operation: &Operation, size: u64) -> Step {
        let now = self.now;
        match self.opened(operation, true) {
            Ok(_) if size > FILE_LEN_MAX => Step::error(code::TOO_LARGE),
            Ok(data) => {
                data.bytes.resize(size as usize, 0);
                data.modified = now;
                Step::Done(Outcome::ok(0))
            }
            Err(code) => Step::error(code),
        }
    }

    pub(super) fn sync(&mut self, operation: &Operation) -> Step {
        match self.objects.get(operation.handle()) {
            Object::File(_) => Step::Done(Outcome::ok(0)),
            _ => Step::error(code::INVALID),
        }
    }
}
