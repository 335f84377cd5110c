//! Buffers that an operation may own: their bytes stay where they are while the value moves.

/// Bytes to be sent.
///
/// # Safety
///
/// Until the value is dropped or changed through `&mut`, `stable_ptr` gives the same address although the value
/// itself may move, and `init_len` bytes from there are initialised and may be read from any thread.
pub unsafe trait IoBuf: Send + 'static {
    /// Where the bytes lie.
    fn stable_ptr(&self) -> *const u8;

    /// How many of them are initialised.
    fn init_len(&self) -> usize;
}

/// Room for bytes to be received.
///
/// # Safety
///
/// As [`IoBuf`]; further, `capacity` bytes from `stable_mut_ptr` may be written by any thread.
pub unsafe trait IoBufMut: IoBuf {
    /// Where the room begins: the address that `stable_ptr` gives.
    fn stable_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes there is room for.
    fn capacity(&self) -> usize;

    /// Tells the buffer what was received.
    ///
    /// # Safety
    ///
    /// The first `len` bytes are initialised, and `len` is at most the capacity.
    unsafe fn set_init(&mut self, len: usize);
}

// SAFETY: the heap allocation of a Vec does not move with it, and its first `len` bytes are initialised.
unsafe impl IoBuf for Vec<u8> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above; a Vec owns its whole capacity.
unsafe impl IoBufMut for Vec<u8> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        Vec::capacity(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises that `len` bytes are initialised and fit.
        unsafe { self.set_len(len) }
    }
}

// SAFETY: a boxed slice lies on the heap, all of it initialised.
unsafe impl IoBuf for Box<[u8]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: as above. Its length is fixed: what was received is told by the operation alone.
unsafe impl IoBufMut for Box<[u8]> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.len()
    }

    unsafe fn set_init(&mut self, _len: usize) {}
}

// SAFETY: constant bytes never move and never change.
unsafe impl IoBuf for &'static [u8] {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

// SAFETY: an Arc's bytes lie on the heap, and nobody can change them while it is shared.
unsafe impl IoBuf for std::sync::Arc<[u8]> {
    fn stable_ptr(&self) -> *const u8 {
        self.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.len()
    }
}

/// A part of a buffer, from `start` on: what is left to be sent, or the room that is left.
#[derive(Debug)]
pub struct Tail<B> {
    buffer: B,
    start: usize,
}

impl<B: IoBuf> Tail<B> {
    /// `buffer` without its first `start` bytes.
    ///
    /// # Panics
    ///
    /// If fewer bytes than `start` are initialised.
    #[track_caller]
    pub fn new(buffer: B, start: usize) -> Tail<B> {
        assert!(start <= buffer.init_len(), "a part begins at {start} of {} bytes", buffer.init_len());
        Tail { buffer, start }
    }

    /// The whole buffer again.
    pub fn into_inner(self) -> B {
        self.buffer
    }
}

// SAFETY: `start` is at most the initialised length, which cannot shrink while the buffer is inside.
unsafe impl<B: IoBuf> IoBuf for Tail<B> {
    fn stable_ptr(&self) -> *const u8 {
        // SAFETY: `start` is within the initialised bytes of the buffer.
        unsafe { self.buffer.stable_ptr().add(self.start) }
    }

    fn init_len(&self) -> usize {
        self.buffer.init_len() - self.start
    }
}

// SAFETY: as above, for the room behind `start`.
unsafe impl<B: IoBufMut> IoBufMut for Tail<B> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        // SAFETY: `start` is within the initialised bytes of the buffer.
        unsafe { self.buffer.stable_mut_ptr().add(self.start) }
    }

    fn capacity(&self) -> usize {
        self.buffer.capacity() - self.start
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: bytes before `start` were initialised already, and the caller promises `len` behind it.
        unsafe { self.buffer.set_init(self.start + len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_vector_appends_behind_what_is_there() {
        let mut bytes = Vec::with_capacity(8);
        bytes.extend_from_slice(b"abc");
        let mut part = Tail::new(bytes, 3);
        assert_eq!((part.init_len(), part.capacity()), (0, 5));
        // SAFETY: there is room for five bytes, and two are written.
        unsafe { std::ptr::copy_nonoverlapping(b"de".as_ptr(), part.stable_mut_ptr(), 2) };
        // SAFETY: those two bytes have just been written.
        unsafe { part.set_init(2) };
        assert_eq!(part.into_inner(), b"abcde");
    }

    #[test]
    #[should_panic(expected = "a part begins at 4 of 3 bytes")]
    fn a_part_cannot_begin_behind_the_end() {
        Tail::new(b"abc".to_vec(), 4);
    }
}
