//! From a reader to a writer.

use std::io;

use super::{AsyncRead, AsyncWrite};

/// As much as a socket usually has for one receive, and no more than a connection that copies should cost.
const BUFFER_LEN: usize = 64 * 1024;

/// Writes all that comes from `reader` to `writer`, until the reader's end; how many bytes those were. The writer is
/// neither flushed nor shut down.
///
/// # Errors
///
/// Those of the reader and of the writer.
///
/// # Cancel safety
///
/// With a reader and a writer that keep their dropped operations, as those of [`net`](crate::net) do, nothing that was
/// read is lost: it was handed to the writer, or the next read has it. How much was copied is not told.
pub async fn copy<R, W>(reader: &mut R, writer: &mut W) -> io::Result<u64>
where
    R: AsyncRead + ?Sized,
    W: AsyncWrite + ?Sized,
{
    let mut buffer = Vec::with_capacity(BUFFER_LEN);
    let mut copied = 0;
    loop {
        let read;
        (read, buffer) = reader.read(buffer).await;
        let len = read?;
        if len == 0 {
            return Ok(copied);
        }
        let written;
        (written, buffer) = writer.write_all(buffer).await;
        written?;
        copied += len as u64;
    }
}
