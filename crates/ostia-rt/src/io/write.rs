//! Writing.

use std::{future::Future, io};

use ostia_port::buf::{IoBuf, Tail};

/// What bytes are written to.
pub trait AsyncWrite: Send {
    /// Writes the front of `buffer`; how many bytes of it. Streams of this crate write all of it.
    ///
    /// # Cancel safety
    ///
    /// Each writer says what becomes of a write that is dropped. Those of this crate go on with one that has begun.
    fn write<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = (io::Result<usize>, B)> + Send;

    /// Hands on what the writer itself holds back; one that holds nothing back has nothing to do.
    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Tells the other side that nothing more comes, behind all that was written before.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;

    /// Writes all of `buffer`.
    ///
    /// # Cancel safety
    ///
    /// A part of it may have been written when it is dropped, unless `write` never writes less than all.
    fn write_all<B: IoBuf>(&mut self, mut buffer: B) -> impl Future<Output = (io::Result<()>, B)> + Send {
        async move {
            let len = buffer.init_len();
            let mut written = 0;
            while written < len {
                let (result, rest) = self.write(Tail::new(buffer, written)).await;
                buffer = rest.into_inner();
                match result {
                    Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                    Ok(more) => written += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return (Err(error), buffer),
                }
            }
            (Ok(()), buffer)
        }
    }
}

impl<W: AsyncWrite> AsyncWrite for &mut W {
    fn write<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = (io::Result<usize>, B)> + Send {
        (**self).write(buffer)
    }

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        (**self).flush()
    }

    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        (**self).shutdown()
    }

    fn write_all<B: IoBuf>(&mut self, buffer: B) -> impl Future<Output = (io::Result<()>, B)> + Send {
        (**self).write_all(buffer)
    }
}

/// Appends, and never waits.
impl AsyncWrite for Vec<u8> {
    async fn write<B: IoBuf>(&mut self, buffer: B) -> (io::Result<usize>, B) {
        self.extend_from_slice(buffer.as_bytes());
        (Ok(buffer.init_len()), buffer)
    }

    async fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}
