//! Reading and writing with buffers that belong to the operation: they are given, and come back with the result.
//!
//! While an operation is under way the system may write into its buffer at any moment, so the operation owns it. Each
//! call takes a buffer by value and gives it back, also on failure:
//!
//! ```
//! use ostia_rt::io::{AsyncRead, AsyncWrite};
//!
//! /// Sends back what comes, until the end.
//! async fn echo<S: AsyncRead + AsyncWrite>(mut stream: S) -> std::io::Result<()> {
//!     let mut buffer = Vec::with_capacity(4096);
//!     loop {
//!         let (read, filled) = stream.read(buffer).await;
//!         if read? == 0 {
//!             return stream.shutdown().await;
//!         }
//!         let (written, sent) = stream.write_all(filled).await;
//!         written?;
//!         buffer = sent;
//!     }
//! }
//! ```

mod copy;
mod read;
mod write;

pub use ostia_port::buf::{Head, IoBuf, IoBufMut, Tail};

pub(crate) use self::read::no_room;
pub use self::{copy::copy, read::AsyncRead, write::AsyncWrite};
