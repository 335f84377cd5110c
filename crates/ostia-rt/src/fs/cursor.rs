//! A file with a position.

use std::io::{self, SeekFrom};

use ostia_port::{
    buf::{IoBuf, IoBufMut},
    op::{self, Op},
};

use super::{
    File,
    left::{Left, Write},
};
use crate::io::{AsyncRead, AsyncWrite};

/// A file that is read and written from one place to the next: see [`AsyncRead`] and [`AsyncWrite`].
///
/// The position is the cursor's own; another cursor of the same [`File`] has another one.
///
/// ```
/// use ostia_rt::{
///     Runtime,
///     fs::{Cursor, File},
///     io,
/// };
///
/// # fn main() -> std::io::Result<()> {
/// # let path = std::env::temp_dir().join(format!("ostia-cursor-{}", std::process::id()));
/// let runtime = Runtime::builder().workers_per_node(1).build()?;
/// runtime.block_on(async {
///     let mut log = Cursor::new(File::create(&path).await?);
///     assert_eq!(io::copy(&mut b"salve".as_slice(), &mut log).await?, 5);
///     assert_eq!(log.position(), 5);
///     let mut read = Vec::new();
///     io::copy(&mut Cursor::new(File::open(&path).await?), &mut read).await?;
///     assert_eq!(read, b"salve");
///     ostia_rt::fs::remove_file(&path).await
/// })
/// # }
/// ```
///
/// # Cancel safety
///
/// | what is dropped before its end | what becomes of the position |
/// |---|---|
/// | a read | it stays: what was read is discarded, and comes again |
/// | a write that has begun | it is behind what is written: the write is completed, and what comes later waits for it |
/// | a write that has not | it stays: nothing is written |
/// | a seek | it stays |
///
/// Whatever fails leaves it where it was.
#[derive(Debug)]
pub struct Cursor {
    file: File,
    position: u64,
}

impl Cursor {
    /// At the beginning of the file.
    pub fn new(file: File) -> Cursor {
        Cursor { file, position: 0 }
    }

    /// The place where the next read or write begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Goes to this place, which may be behind the file's end.
    pub fn set_position(&mut self, position: u64) {
        self.position = position;
    }

    /// Goes to a place that may be counted from the position, or from the end that the file has at that moment; which
    /// place that is.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if it is before the beginning; those of the system.
    pub async fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => {
                self.left().settle().await;
                self.file.metadata().await?.len.checked_add_signed(by)
            }
        };
        let Some(place) = place else {
            let why = "there is nothing before the beginning, nor behind the last place a file may have";
            return Err(self.file.wrap("seek in", io::Error::new(io::ErrorKind::InvalidInput, why)));
        };
        self.position = place;
        Ok(place)
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The file, without a position.
    pub fn into_file(self) -> File {
        self.file
    }

    fn left(&self) -> &Left {
        &self.file.inner.left
    }

    fn go(&mut self, by: usize) {
        self.position = self.position.saturating_add(by as u64);
    }
}

impl AsyncRead for Cursor {
    /// Reads as much as there is room for; fewer bytes only where the file ends.
    async fn read<B: IoBufMut>(&mut self, buffer: B) -> (io::Result<usize>, B) {
        self.left().settle().await;
        let (read, buffer) = self.file.read_at(buffer, self.position).await;
        if let Ok(read) = read {
            self.go(read);
        }
        (read, buffer)
    }

    async fn read_exact<B: IoBufMut>(&mut self, buffer: B, len: usize) -> (io::Result<()>, B) {
        self.left().settle().await;
        let (read, buffer) = self.file.read_exact_at(buffer, self.position, len).await;
        if read.is_ok() {
            self.go(len);
        }
        (read, buffer)
    }
}

impl AsyncWrite for Cursor {
    /// Writes all of it.
    async fn write<B: IoBuf>(&mut self, buffer: B) -> (io::Result<usize>, B) {
        self.left().settle().await;
        let Cursor { file, position } = self;
        let len = buffer.init_len();
        let op = op::WriteAt::new(&file.inner.file, buffer, *position);
        let mut moving = Moving { position, by: len, write: Write::new(&file.inner.left, op) };
        let (written, buffer) = (&mut moving.write).await;
        drop(moving);
        if let Ok(written) = written {
            self.go(written);
        }
        (written.map_err(|error| self.file.wrap("write", error)), buffer)
    }

    /// Waits for writes that were dropped. What is written is with the system, and not necessarily on the disk:
    /// [`File::sync`] sees to that.
    async fn flush(&mut self) -> io::Result<()> {
        self.left().settle().await;
        Ok(())
    }

    /// As `flush`: a file has nobody who could be told of its end.
    async fn shutdown(&mut self) -> io::Result<()> {
        self.flush().await
    }
}

/// A write under way. If it is dropped, the position goes where it will end.
struct Moving<'a, O: Op> {
    position: &'a mut u64,
    by: usize,
    write: Write<'a, O>,
}

impl<O: Op> Drop for Moving<'_, O> {
    fn drop(&mut self) {
        if self.write.has_begun() {
            *self.position = self.position.saturating_add(self.by as u64);
        }
    }
}

const _: fn(&mut Cursor) = |cursor| {
    fn is_send<F: Future + Send>(_: F) {}
    is_send(cursor.seek(SeekFrom::End(0)));
    is_send(cursor.read(Vec::new()));
    is_send(cursor.write(Vec::new()));
};
