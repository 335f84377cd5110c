//! Reading.

use std::{future::Future, io};

use ostia_port::buf::{Head, IoBufMut, Tail};

/// What bytes are read from.
pub trait AsyncRead: Send {
    /// Reads into `buffer`, from its beginning, as much as there is and has room; waits for the first byte. How many: 0
    /// is the end. The buffer's length is what was read.
    ///
    /// # Cancel safety
    ///
    /// Each reader says what becomes of what a dropped read had read. Those of this crate keep it for the next read.
    fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = (io::Result<usize>, B)> + Send;

    /// Reads until `buffer` has `len` bytes. An error, or an end that comes before (`UnexpectedEof`), leaves in the
    /// buffer what had been read.
    ///
    /// # Cancel safety
    ///
    /// What had been read into the buffer is lost with it when this is dropped, unless the reader says otherwise: those
    /// of [`net`](crate::net) keep it.
    fn read_exact<B: IoBufMut>(
        &mut self,
        mut buffer: B,
        len: usize,
    ) -> impl Future<Output = (io::Result<()>, B)> + Send {
        async move {
            if buffer.capacity() < len {
                return (Err(no_room(len, buffer.capacity())), buffer);
            }
            let mut filled = 0;
            while filled < len {
                let room = Head::new(Tail::new(buffer, filled), len - filled);
                let (read, room) = self.read(room).await;
                buffer = room.into_inner().into_inner();
                match read {
                    Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buffer),
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buffer),
                }
            }
            (Ok(()), buffer)
        }
    }
}

pub(crate) fn no_room(len: usize, room: usize) -> io::Error {
    let why = format!("{len} bytes are to be read, and the buffer has room for {room}");
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl<R: AsyncRead> AsyncRead for &mut R {
    fn read<B: IoBufMut>(&mut self, buffer: B) -> impl Future<Output = (io::Result<usize>, B)> + Send {
        (**self).read(buffer)
    }

    fn read_exact<B: IoBufMut>(
        &mut self,
        buffer: B,
        len: usize,
    ) -> impl Future<Output = (io::Result<()>, B)> + Send {
        (**self).read_exact(buffer, len)
    }
}

/// Reads from the front of what is left, and never waits.
impl AsyncRead for &[u8] {
    async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> (io::Result<usize>, B) {
        let len = buffer.fill_from(self);
        *self = &self[len..];
        (Ok(len), buffer)
    }
}
