//! Memory that lies on a chosen node.

use std::{
    fmt, io,
    ops::{Deref, DerefMut},
};

use crate::sys;

/// Where memory should lie. Nodes have the numbers of a detected [`Topology`](crate::topology::Topology).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Wherever the system puts it: mostly on the node of the thread that touches a page first.
    Anywhere,
    /// On this node while it has some, elsewhere when it has none left.
    Preferred(u32),
    /// On this node or nowhere. When the node has none left, touching a page may end the process: call
    /// [`Region::prefault`], which gives an error instead.
    Bound(u32),
}

/// The size of a page of memory, in bytes.
pub fn page_size() -> usize {
    sys::memory::page_size()
}

/// Whole pages of memory, zeroed, that start at a page's address, never move, and are freed when it is dropped.
///
/// ```
/// use ostia_os::memory::{Place, Region, page_size};
///
/// let mut region = Region::new(10_000, Place::Preferred(0))?;
/// if let Some(why) = region.refused() {
///     eprintln!("memory of node 0 cannot be had: {why}");
/// }
/// assert_eq!(region.len() % page_size(), 0);
/// region[9_999] = 1;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Platforms
///
/// Windows knows preferred nodes only: there, memory that should be bound prefers its node, and
/// [`refused`](Region::refused) says so.
pub struct Region {
    pages: sys::memory::Pages,
    refused: Option<io::Error>,
}

impl Region {
    /// Memory of at least `len` bytes, rounded up to whole pages.
    ///
    /// When the system refuses the place it is ordinary memory, and [`refused`](Region::refused) says why.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a length of 0; the system's when there is not enough memory.
    pub fn new(len: usize, place: Place) -> io::Result<Region> {
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "memory of no bytes was asked for"));
        }
        // No slice is longer than half of the addresses.
        let len = len.checked_next_multiple_of(page_size()).filter(|&len| len <= isize::MAX as usize);
        let len = len.ok_or(io::ErrorKind::OutOfMemory)?;
        let (pages, refused) = sys::memory::Pages::map(len, place)?;
        Ok(Region { pages, refused })
    }

    /// Why the memory is not placed as it should be; nothing when the system has agreed to it.
    pub fn refused(&self) -> Option<&io::Error> {
        self.refused.as_ref()
    }

    /// Has the system find memory for every page now, so that no later touch waits for it.
    ///
    /// # Errors
    ///
    /// When there is not enough memory, or none left on the node it is bound to.
    pub fn prefault(&mut self) -> io::Result<()> {
        self.pages.prefault()
    }

    /// The node that the page at `offset` lies on, or nothing when no memory was found for it yet, as it was not
    /// touched.
    ///
    /// # Errors
    ///
    /// When the system does not tell; containers often forbid the question.
    ///
    /// # Panics
    ///
    /// When `offset` is outside of the region.
    #[track_caller]
    pub fn node_of(&self, offset: usize) -> io::Result<Option<u32>> {
        assert!(offset < self.len(), "offset {offset} is outside of a region of {} bytes", self.len());
        self.pages.node_of(offset)
    }
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.pages.bytes()
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.pages.bytes_mut()
    }
}

impl AsRef<[u8]> for Region {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Region {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("len", &self.len()).field("refused", &self.refused).finish()
    }
}
