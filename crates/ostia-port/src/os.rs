//! What only one system has.

/// What only Linux has: raw entries for io_uring, adopted descriptors, and how rings are set up.
#[cfg(target_os = "linux")]
pub mod linux {
    use std::{
        io,
        os::fd::{IntoRawFd, OwnedFd},
    };

    pub use io_uring;

    pub use crate::sys::linux::{
        raw::{RawDone, RawSqe},
        uring::{RingLevel, RingOptions},
    };
    use crate::{
        handle::{Foreign, Handle, Kind},
        port::{Builder, Port},
    };

    impl Port {
        /// Takes over a descriptor that was made elsewhere. It is closed when the last clone of the handle, and
        /// the last operation on it, are gone.
        ///
        /// # Errors
        ///
        /// Those of the system; the descriptor is closed then.
        pub fn adopt(&self, descriptor: OwnedFd) -> io::Result<Foreign> {
            Handle::attach(self.shared(), descriptor.into_raw_fd(), Kind::Foreign).map(Foreign)
        }
    }

    impl Builder {
        /// How the rings are set up.
        pub fn ring(mut self, options: RingOptions) -> Builder {
            self.config_mut().sys.ring = options;
            self
        }
    }
}
