//! Operations on files and directories.

use std::{convert::Infallible, ffi::OsString, fmt, io, path::Path, sync::Arc, time::SystemTime};

use super::{Op, Outcome, Request, sealed::Sealed, stream::Slices};
use crate::{
    buf::{IoBuf, IoBufMut},
    handle::{File, Handle, Kind},
    port::{Port, Shared},
    sys::{self, SysPath},
    turn::Direction,
};

/// How a file is opened. Nothing is allowed until it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenOptions {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) create: bool,
    pub(crate) create_new: bool,
    pub(crate) truncate: bool,
}

impl OpenOptions {
    /// Nothing allowed.
    pub fn new() -> OpenOptions {
        OpenOptions::default()
    }

    /// For reading.
    pub fn read(mut self, read: bool) -> OpenOptions {
        self.read = read;
        self
    }

    /// For writing.
    pub fn write(mut self, write: bool) -> OpenOptions {
        self.write = write;
        self
    }

    /// Made if it is not there. Needs `write`.
    pub fn create(mut self, create: bool) -> OpenOptions {
        self.create = create;
        self
    }

    /// Made, and an error if it is there already. Needs `write`.
    pub fn create_new(mut self, create_new: bool) -> OpenOptions {
        self.create_new = create_new;
        self
    }

    /// Emptied if it is there. Needs `write`.
    pub fn truncate(mut self, truncate: bool) -> OpenOptions {
        self.truncate = truncate;
        self
    }
}

/// What an entry of a directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A socket, a pipe, a device.
    Other,
}

/// What the system says of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: EntryKind,
    /// How many bytes.
    pub len: u64,
    /// When it was last written, if the system knows.
    pub modified: Option<SystemTime>,
    /// Nobody may write it.
    pub read_only: bool,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory's.
    pub name: OsString,
    /// What it is, if the system said so without being asked again.
    pub kind: Option<EntryKind>,
}

/// What takes a path, or fills in more than a number. It lies in its operation; a back end or an offload thread
/// fills in the answer.
#[doc(hidden)]
#[derive(Debug)]
pub enum FileCall {
    Open { path: SysPath, options: OpenOptions },
    Metadata { path: SysPath, follow: bool, answer: Option<Metadata> },
    MetadataOfFile { answer: Option<Metadata> },
    Rename { source: SysPath, target: SysPath },
    Remove { path: SysPath },
    CreateDir { path: SysPath },
    RemoveDir { path: SysPath },
    ListDir { path: SysPath, answer: Vec<Entry> },
}

/// Opens a file.
pub struct Open {
    port: Arc<Shared>,
    call: FileCall,
}

impl Open {
    /// Opens the file at `path` for `port`.
    ///
    /// # Errors
    ///
    /// If the path is none: it has a zero byte.
    pub fn new(port: &Port, path: &Path, options: OpenOptions) -> io::Result<Open> {
        let call = FileCall::Open { path: SysPath::new(path)?, options };
        Ok(Open { port: Arc::clone(port.shared()), call })
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.call).finish()
    }
}

impl Sealed for Open {}

impl Op for Open {
    type Out = File;
    type Back = ();
    type Item = Infallible;

    fn check(&self) -> io::Result<()> {
        let FileCall::Open { options, .. } = &self.call else { return Ok(()) };
        let changes = options.create || options.create_new || options.truncate;
        if !options.write && (changes || !options.read) {
            let why = "a file is opened for reading or writing, and made or emptied only for writing";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        Ok(())
    }

    fn prepare(&mut self) -> Request {
        Request::File { call: &raw mut self.call }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<File>, ()) {
        let opened = outcome.result().and_then(|value| {
            let raw = sys::raw_of(value);
            Handle::attach(&self.port, raw, Kind::File).map(File)
        });
        (opened, ())
    }
}

/// Operations that take a path and tell nothing.
macro_rules! path_op {
    ($(#[$doc:meta])* $name:ident, $verb:literal) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name {
            call: FileCall,
        }

        impl $name {
            #[doc = concat!($verb, " `path`.")]
            ///
            /// # Errors
            ///
            /// If the path is none: it has a zero byte.
            pub fn new(path: &Path) -> io::Result<$name> {
                Ok($name { call: FileCall::$name { path: SysPath::new(path)? } })
            }
        }

        impl Sealed for $name {}

        impl Op for $name {
            type Out = ();
            type Back = ();
            type Item = Infallible;

            fn prepare(&mut self) -> Request {
                Request::File { call: &raw mut self.call }
            }

            fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
                (outcome.result().map(drop), ())
            }
        }
    };
}

path_op! {
    /// Removes a file.
    Remove, "Removes the file"
}
path_op! {
    /// Makes a directory.
    CreateDir, "Makes the directory"
}
path_op! {
    /// Removes an empty directory.
    RemoveDir, "Removes the empty directory"
}

/// Gives a file another name, and replaces what had that name.
#[derive(Debug)]
pub struct Rename {
    call: FileCall,
}

impl Rename {
    /// Renames `source` to `target`.
    ///
    /// # Errors
    ///
    /// If a path is none: it has a zero byte.
    pub fn new(source: &Path, target: &Path) -> io::Result<Rename> {
        let (source, target) = (SysPath::new(source)?, SysPath::new(target)?);
        Ok(Rename { call: FileCall::Rename { source, target } })
    }
}

impl Sealed for Rename {}

impl Op for Rename {
    type Out = ();
    type Back = ();
    type Item = Infallible;

    fn prepare(&mut self) -> Request {
        Request::File { call: &raw mut self.call }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }
}

/// Asks what is at a path.
#[derive(Debug)]
pub struct MetadataOf {
    call: FileCall,
}

impl MetadataOf {
    /// Of the file at `path`; of the one a link leads to, if `follow`.
    ///
    /// # Errors
    ///
    /// If the path is none: it has a zero byte.
    pub fn new(path: &Path, follow: bool) -> io::Result<MetadataOf> {
        Ok(MetadataOf { call: FileCall::Metadata { path: SysPath::new(path)?, follow, answer: None } })
    }
}

impl Sealed for MetadataOf {}

impl Op for MetadataOf {
    type Out = Metadata;
    type Back = ();
    type Item = Infallible;

    fn prepare(&mut self) -> Request {
        Request::File { call: &raw mut self.call }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<Metadata>, ()) {
        let FileCall::Metadata { answer, .. } = self.call else { unreachable!("`new` made it so") };
        (outcome.result().map(|_| answer.expect("a success fills in the answer")), ())
    }
}

/// Asks what an open file is.
#[derive(Debug)]
pub struct MetadataOfFile {
    handle: Handle,
    call: FileCall,
}

impl MetadataOfFile {
    /// Of `file`.
    pub fn new(file: &File) -> MetadataOfFile {
        MetadataOfFile { handle: file.0.clone(), call: FileCall::MetadataOfFile { answer: None } }
    }
}

impl Sealed for MetadataOfFile {}

impl Op for MetadataOfFile {
    type Out = Metadata;
    type Back = ();
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn prepare(&mut self) -> Request {
        Request::File { call: &raw mut self.call }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<Metadata>, ()) {
        let FileCall::MetadataOfFile { answer } = self.call else { unreachable!("`new` made it so") };
        (outcome.result().map(|_| answer.expect("a success fills in the answer")), ())
    }
}

/// Lists a directory, in no order; without the entries for itself and its parent.
#[derive(Debug)]
pub struct ListDir {
    call: FileCall,
}

impl ListDir {
    /// Lists the directory `path`.
    ///
    /// # Errors
    ///
    /// If the path is none: it has a zero byte.
    pub fn new(path: &Path) -> io::Result<ListDir> {
        Ok(ListDir { call: FileCall::ListDir { path: SysPath::new(path)?, answer: Vec::new() } })
    }
}

impl Sealed for ListDir {}

impl Op for ListDir {
    type Out = Vec<Entry>;
    type Back = ();
    type Item = Infallible;

    fn prepare(&mut self) -> Request {
        Request::File { call: &raw mut self.call }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<Vec<Entry>>, ()) {
        let FileCall::ListDir { answer, .. } = self.call else { unreachable!("`new` made it so") };
        (outcome.result().map(|_| answer), ())
    }
}

/// Brings what was written down to the disk.
#[derive(Debug)]
pub struct Flush {
    handle: Handle,
    data_only: bool,
}

impl Flush {
    /// The bytes of `file`, and what the system knows of it.
    pub fn new(file: &File) -> Flush {
        Flush { handle: file.0.clone(), data_only: false }
    }

    /// The bytes of `file`, and only what is needed to read them back.
    pub fn data_only(file: &File) -> Flush {
        Flush { handle: file.0.clone(), data_only: true }
    }
}

impl Sealed for Flush {}

impl Op for Flush {
    type Out = ();
    type Back = ();
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn prepare(&mut self) -> Request {
        Request::Sync { data_only: self.data_only }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }
}

/// Cuts a file off, or fills it up with zeros.
#[derive(Debug)]
pub struct SetSize {
    handle: Handle,
    size: u64,
}

impl SetSize {
    /// Makes `file` so many bytes long.
    pub fn new(file: &File, size: u64) -> SetSize {
        SetSize { handle: file.0.clone(), size }
    }
}

impl Sealed for SetSize {}

impl Op for SetSize {
    type Out = ();
    type Back = ();
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn prepare(&mut self) -> Request {
        Request::SetSize { size: self.size }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<()>, ()) {
        (outcome.result().map(drop), ())
    }
}

/// No file goes on behind this. The systems take greater numbers for other places: the end, or wherever the last call
/// left off.
fn check_offset(offset: u64) -> io::Result<()> {
    if i64::try_from(offset).is_err() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no file has a place {offset}")));
    }
    Ok(())
}

/// Reads from a place in a file, from the buffer's beginning up to its capacity. It is short only where the file
/// ends; 0 is the end.
#[derive(Debug)]
pub struct ReadAt<B> {
    handle: Handle,
    buffer: B,
    offset: u64,
}

impl<B: IoBufMut> ReadAt<B> {
    /// Reads from `file` at `offset` into `buffer`.
    pub fn new(file: &File, buffer: B, offset: u64) -> ReadAt<B> {
        ReadAt { handle: file.0.clone(), buffer, offset }
    }
}

impl<B> Sealed for ReadAt<B> {}

impl<B: IoBufMut> Op for ReadAt<B> {
    type Out = usize;
    type Back = B;
    type Item = Infallible;

    #[inline]
    fn check(&self) -> io::Result<()> {
        check_offset(self.offset)
    }

    #[inline]
    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    #[inline]
    fn prepare(&mut self) -> Request {
        let (buffer, len) = (self.buffer.stable_mut_ptr(), self.buffer.capacity());
        Request::ReadAt { buffer, len, offset: self.offset }
    }

    #[inline]
    fn finish(mut self, outcome: Outcome) -> (io::Result<usize>, B) {
        let read = outcome.result();
        if let Ok(len) = read {
            // SAFETY: the system wrote so many bytes from the buffer's beginning, and was given its capacity.
            unsafe { self.buffer.set_init(len) };
        }
        (read, self.buffer)
    }
}

/// Writes a buffer to a place in a file, whole.
#[derive(Debug)]
pub struct WriteAt<B> {
    handle: Handle,
    buffer: B,
    offset: u64,
}

impl<B: IoBuf> WriteAt<B> {
    /// Writes `buffer` to `file` at `offset`.
    pub fn new(file: &File, buffer: B, offset: u64) -> WriteAt<B> {
        WriteAt { handle: file.0.clone(), buffer, offset }
    }
}

impl<B> Sealed for WriteAt<B> {}

impl<B: IoBuf> Op for WriteAt<B> {
    type Out = usize;
    type Back = B;
    type Item = Infallible;

    #[inline]
    fn check(&self) -> io::Result<()> {
        check_offset(self.offset)
    }

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn prepare(&mut self) -> Request {
        let (buffer, len) = (self.buffer.stable_ptr(), self.buffer.init_len());
        Request::WriteAt { buffer, len, offset: self.offset }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<usize>, B) {
        (outcome.result(), self.buffer)
    }
}

/// Reads from a place in a file into several buffers; short where the file ends, and where the system likes.
#[derive(Debug)]
pub struct ReadVectoredAt<B> {
    handle: Handle,
    slices: Slices<B>,
    offset: u64,
}

impl<B: IoBufMut> ReadVectoredAt<B> {
    /// Reads from `file` at `offset` into `buffers`, at most [`super::SLICES_MAX`].
    pub fn new(file: &File, buffers: Vec<B>, offset: u64) -> ReadVectoredAt<B> {
        ReadVectoredAt { handle: file.0.clone(), slices: Slices::new(buffers), offset }
    }
}

impl<B> Sealed for ReadVectoredAt<B> {}

impl<B: IoBufMut> Op for ReadVectoredAt<B> {
    type Out = usize;
    type Back = Vec<B>;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn check(&self) -> io::Result<()> {
        check_offset(self.offset)?;
        self.slices.check()
    }

    fn prepare(&mut self) -> Request {
        let (slices, count) = self.slices.fill_room();
        Request::ReadVectoredAt { slices, count, offset: self.offset }
    }

    fn finish(mut self, outcome: Outcome) -> (io::Result<usize>, Vec<B>) {
        let read = outcome.result();
        if let Ok(len) = read {
            self.slices.set_init(len);
        }
        (read, self.slices.buffers)
    }
}

/// Writes several buffers to a place in a file, one after the other, whole.
#[derive(Debug)]
pub struct WriteVectoredAt<B> {
    handle: Handle,
    slices: Slices<B>,
    offset: u64,
}

impl<B: IoBuf> WriteVectoredAt<B> {
    /// Writes `buffers`, at most [`super::SLICES_MAX`], to `file` at `offset`.
    pub fn new(file: &File, buffers: Vec<B>, offset: u64) -> WriteVectoredAt<B> {
        WriteVectoredAt { handle: file.0.clone(), slices: Slices::new(buffers), offset }
    }
}

impl<B> Sealed for WriteVectoredAt<B> {}

impl<B: IoBuf> Op for WriteVectoredAt<B> {
    type Out = usize;
    type Back = Vec<B>;
    type Item = Infallible;

    fn target(&self) -> Option<(&Handle, Option<Direction>)> {
        Some((&self.handle, None))
    }

    fn check(&self) -> io::Result<()> {
        check_offset(self.offset)?;
        self.slices.check()
    }

    fn prepare(&mut self) -> Request {
        let (slices, count) = self.slices.fill_init();
        Request::WriteVectoredAt { slices, count, offset: self.offset }
    }

    fn finish(self, outcome: Outcome) -> (io::Result<usize>, Vec<B>) {
        (outcome.result(), self.slices.buffers)
    }
}
