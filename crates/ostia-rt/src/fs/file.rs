//! An open file.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ostia_port::{
    buf::{Head, IoBuf, IoBufMut, Tail},
    op::{self, Metadata, OpenOptions},
};

use super::{
    PathError,
    left::{Left, Write},
    with_path,
};
use crate::{driver::Operation, io::no_room};

/// A file whose length the system does not tell is read in parts that begin with so much.
const GROWTH_MIN: usize = 32 * 1024;

/// An open file. There is no shared position: each read and write says where; [`Cursor`](super::Cursor) has one.
///
/// Cheap to clone; it is closed when the last clone and the last operation are gone. It belongs to the node of the task
/// that opened it, whose workers do its operations.
///
/// ```
/// use ostia_rt::{
///     Runtime,
///     fs::{File, OpenOptions},
/// };
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("ostia-file-{}", std::process::id()));
/// let runtime = Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let options = OpenOptions::new().read(true).write(true).create(true).truncate(true);
///     let file = File::open_with(&path, options).await?;
///     let (written, _) = file.write_all_at(b"salve".as_slice(), 0).await;
///     written?;
///     let (read, bytes) = file.read_at(Vec::with_capacity(16), 2).await;
///     assert_eq!((read?, bytes.as_slice()), (3, b"lve".as_slice()));
///     ostia_rt::fs::remove_file(&path).await
/// })
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct File {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) file: ostia_port::File,
    path: PathBuf,
    pub(super) left: Left,
}

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn open(path: impl AsRef<Path>) -> io::Result<File> {
        File::open_with(path, OpenOptions::new().read(true)).await
    }

    /// Opens a file for writing: made if it is not there, emptied if it is.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn create(path: impl AsRef<Path>) -> io::Result<File> {
        File::open_with(path, OpenOptions::new().write(true).create(true).truncate(true)).await
    }

    /// Opens a file as the options say.
    ///
    /// # Errors
    ///
    /// Those of the system; `InvalidInput` for options that allow nothing, or make or empty a file that may not be
    /// written.
    ///
    /// # Cancel safety
    ///
    /// A file that was opened for a dropped future is closed; it may have been made.
    pub async fn open_with(path: impl AsRef<Path>, options: OpenOptions) -> io::Result<File> {
        let path = path.as_ref();
        let file = with_path("open", path, None, |port| op::Open::new(port, path, options)).await?;
        Ok(File { inner: Arc::new(Inner { file, path: path.to_owned(), left: Left::new() }) })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    #[cold]
    pub(super) fn wrap(&self, verb: &'static str, error: io::Error) -> io::Error {
        PathError::wrap(verb, &self.inner.path, None, error)
    }

    /// Reads at a place into `buffer`, from its beginning up to its capacity: how many bytes. Fewer than there is room
    /// for come only where the file ends, and 0 at or behind the end.
    ///
    /// A long read is done in parts, between which the worker does other things.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Cancel safety
    ///
    /// A dropped read is discarded, and its buffer with it when the system has let go of it.
    pub async fn read_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> (io::Result<usize>, B) {
        let (read, buffer) = Operation::new(op::ReadAt::new(&self.inner.file, buffer, offset)).await;
        (read.map_err(|error| self.wrap("read", error)), buffer)
    }

    /// Reads `len` bytes at a place.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` if the file ends before; what was read is in the buffer. `InvalidInput` if the buffer has less
    /// room. Otherwise as [`File::read_at`].
    ///
    /// # Cancel safety
    ///
    /// As [`File::read_at`].
    pub async fn read_exact_at<B: IoBufMut>(
        &self,
        buffer: B,
        offset: u64,
        len: usize,
    ) -> (io::Result<()>, B) {
        if buffer.capacity() < len {
            return (Err(self.wrap("read", no_room(len, buffer.capacity()))), buffer);
        }
        let (read, part) = self.read_at(Head::new(buffer, len), offset).await;
        let read = read.and_then(|read| {
            if read == len {
                return Ok(());
            }
            let why = format!("it ends {read} bytes behind {offset}, and {len} were to be read");
            Err(self.wrap("read", io::Error::new(io::ErrorKind::UnexpectedEof, why)))
        });
        (read, part.into_inner())
    }

    /// All bytes.
    ///
    /// # Errors
    ///
    /// Those of the system; `OutOfMemory` if there are more than there is memory for.
    ///
    /// # Cancel safety
    ///
    /// As [`File::read_at`].
    pub async fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let said = self.metadata().await?.len;
        // Room for one more: a read that leaves it empty has seen the end.
        let mut room = usize::try_from(said).ok().and_then(|len| len.checked_add(1)).unwrap_or(usize::MAX);
        let mut bytes = Vec::new();
        loop {
            if bytes.len() == bytes.capacity() {
                bytes.try_reserve_exact(room).map_err(|error| self.wrap("read", error.into()))?;
            }
            let (start, free) = (bytes.len(), bytes.capacity() - bytes.len());
            let (read, tail) = self.read_at(Tail::new(bytes, start), start as u64).await;
            bytes = tail.into_inner();
            let read = read?;
            // Some files, of /proc for example, say that they are empty, and come in parts.
            if read == 0 || (read < free && bytes.len() as u64 == said) {
                return Ok(bytes);
            }
            room = bytes.len().max(GROWTH_MIN);
        }
    }

    /// Writes all of `buffer` at a place; how many bytes. Behind the end, the file is filled up with zeros.
    ///
    /// # Errors
    ///
    /// Those of the system; a part may have been written.
    ///
    /// # Cancel safety
    ///
    /// A write that has begun is completed, and later writes wait for it. The worker begins it in the order in which
    /// writes are first polled; two that are under way at a time and overlap may be done in any order.
    pub async fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> (io::Result<usize>, B) {
        self.inner.left.settle().await;
        let op = op::WriteAt::new(&self.inner.file, buffer, offset);
        let (written, buffer) = Write::new(&self.inner.left, op).await;
        (written.map_err(|error| self.wrap("write", error)), buffer)
    }

    /// As [`File::write_at`]; less than all is an error.
    ///
    /// # Errors
    ///
    /// As [`File::write_at`]; `WriteZero` if the system took less.
    ///
    /// # Cancel safety
    ///
    /// As [`File::write_at`].
    pub async fn write_all_at<B: IoBuf>(&self, buffer: B, offset: u64) -> (io::Result<()>, B) {
        let len = buffer.init_len();
        let (written, buffer) = self.write_at(buffer, offset).await;
        let written = written.and_then(|written| {
            if written == len {
                return Ok(());
            }
            let why = format!("the system took {written} of {len} bytes");
            Err(self.wrap("write", io::Error::new(io::ErrorKind::WriteZero, why)))
        });
        (written, buffer)
    }

    /// Brings what was written down to the disk, and what the system knows of the file.
    ///
    /// # Errors
    ///
    /// Those of the system: also those of writes that had ended well.
    pub async fn sync(&self) -> io::Result<()> {
        self.flush(op::Flush::new(&self.inner.file)).await
    }

    /// Brings what was written down to the disk, and only what is needed to read it back.
    ///
    /// # Errors
    ///
    /// As [`File::sync`].
    pub async fn sync_data(&self) -> io::Result<()> {
        self.flush(op::Flush::data_only(&self.inner.file)).await
    }

    async fn flush(&self, op: op::Flush) -> io::Result<()> {
        self.inner.left.settle().await;
        Operation::new(op).await.0.map_err(|error| self.wrap("sync", error))
    }

    /// Cuts the file off, or fills it up with zeros.
    ///
    /// # Errors
    ///
    /// Those of the system.
    ///
    /// # Cancel safety
    ///
    /// As [`File::write_at`].
    pub async fn set_size(&self, size: u64) -> io::Result<()> {
        self.inner.left.settle().await;
        let op = op::SetSize::new(&self.inner.file, size);
        Write::new(&self.inner.left, op).await.0.map_err(|error| self.wrap("resize", error))
    }

    /// What the system says of it.
    ///
    /// # Errors
    ///
    /// Those of the system.
    pub async fn metadata(&self) -> io::Result<Metadata> {
        let asked = Operation::new(op::MetadataOfFile::new(&self.inner.file)).await.0;
        asked.map_err(|error| self.wrap("look at", error))
    }
}
