//! Buffers that an operation may own: their bytes stay where they are while the value moves.

use std::{
    fmt, mem,
    ops::{Deref, DerefMut},
};

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

    /// The initialised bytes.
    fn as_bytes(&self) -> &[u8] {
        if self.init_len() == 0 {
            return &[];
        }
        // SAFETY: whoever implements this promises that so many bytes from there are initialised, and that nobody writes
        // to them as long as the value is borrowed.
        unsafe { std::slice::from_raw_parts(self.stable_ptr(), self.init_len()) }
    }
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

    /// Copies as many of these bytes to the beginning as there is room for, as if they had been received; how many.
    fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.capacity());
        let from = bytes.as_ptr();
        // SAFETY: whoever implements this promises that `capacity` bytes may be written there; they are borrowed
        // exclusively, so `bytes` are others.
        unsafe { std::ptr::copy_nonoverlapping(from, self.stable_mut_ptr(), len) };
        // SAFETY: the first `len` bytes have just been written, and there was room for them.
        unsafe { self.set_init(len) };
        len
    }
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

/// The front of a buffer: no more than so many of its bytes, or of its room. A receive into it brings at most so many.
///
/// Together with [`Tail`] it is any part: `Head::new(Tail::new(bytes, start), len)` appends at most `len` bytes.
#[derive(Debug)]
pub struct Head<B> {
    buffer: B,
    len: usize,
}

impl<B: IoBuf> Head<B> {
    /// The first `len` bytes of `buffer`, or all there are.
    pub fn new(buffer: B, len: usize) -> Head<B> {
        Head { buffer, len }
    }

    /// The whole buffer again.
    pub fn into_inner(self) -> B {
        self.buffer
    }
}

// SAFETY: the bytes are the buffer's, and not more of them.
unsafe impl<B: IoBuf> IoBuf for Head<B> {
    fn stable_ptr(&self) -> *const u8 {
        self.buffer.stable_ptr()
    }

    fn init_len(&self) -> usize {
        self.buffer.init_len().min(self.len)
    }
}

// SAFETY: as above, for the room.
unsafe impl<B: IoBufMut> IoBufMut for Head<B> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.buffer.stable_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.buffer.capacity().min(self.len)
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises that `len` bytes are initialised, and there is room for more in the buffer.
        unsafe { self.buffer.set_init(len) }
    }
}

/// To whom bytes go that are no longer used: a pool, mostly. It goes with them, so that it may be a number or a counted
/// reference.
pub trait Keeper: Send + 'static {
    /// Takes the bytes back, on whichever thread they were dropped. It should neither block nor panic: that may be in
    /// the midst of a berth's wait.
    fn take_back(&mut self, bytes: Vec<u8>);
}

/// Bytes that go to their keeper when they are dropped, also by an operation that was abandoned.
pub struct Kept<K: Keeper> {
    bytes: Vec<u8>,
    keeper: K,
}

impl<K: Keeper> Kept<K> {
    /// These bytes, until they go back to this keeper.
    pub fn new(bytes: Vec<u8>, keeper: K) -> Kept<K> {
        Kept { bytes, keeper }
    }

    /// The bytes, for good; nothing goes to the keeper.
    pub fn into_vec(mut self) -> Vec<u8> {
        mem::take(&mut self.bytes)
    }

    /// Whose they are.
    pub fn keeper(&self) -> &K {
        &self.keeper
    }
}

impl<K: Keeper> Drop for Kept<K> {
    fn drop(&mut self) {
        // Bytes that were taken out have left nothing that could be kept.
        if self.bytes.capacity() > 0 {
            self.keeper.take_back(mem::take(&mut self.bytes));
        }
    }
}

impl<K: Keeper> Deref for Kept<K> {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl<K: Keeper> DerefMut for Kept<K> {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl<K: Keeper> fmt::Debug for Kept<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("len", &self.bytes.len())
            .field("capacity", &self.bytes.capacity())
            .finish_non_exhaustive()
    }
}

// SAFETY: the bytes are a vector's, whose promise this is; only `&mut` or the drop take the vector away.
unsafe impl<K: Keeper> IoBuf for Kept<K> {
    fn stable_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn init_len(&self) -> usize {
        self.bytes.len()
    }
}

// SAFETY: as above.
unsafe impl<K: Keeper> IoBufMut for Kept<K> {
    fn stable_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    unsafe fn set_init(&mut self, len: usize) {
        // SAFETY: the caller promises that `len` bytes are initialised and fit.
        unsafe { self.bytes.set_len(len) }
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
    fn the_front_of_a_buffer_has_no_more_bytes_and_no_more_room_than_was_said() {
        let head = Head::new(b"abcdef".to_vec(), 4);
        assert_eq!((head.init_len(), head.capacity()), (4, 4));
        assert_eq!(head.into_inner(), b"abcdef");
        let head = Head::new(b"ab".to_vec().into_boxed_slice(), 4);
        assert_eq!((head.init_len(), head.capacity()), (2, 2));
        let mut bytes = Vec::with_capacity(16);
        bytes.extend_from_slice(b"abc");
        let mut part = Head::new(Tail::new(bytes, 3), 2);
        assert_eq!((part.init_len(), part.capacity()), (0, 2));
        // SAFETY: there is room for two bytes, and two are written.
        unsafe { std::ptr::copy_nonoverlapping(b"de".as_ptr(), part.stable_mut_ptr(), 2) };
        // SAFETY: those two bytes have just been written.
        unsafe { part.set_init(2) };
        assert_eq!(part.into_inner().into_inner(), b"abcde");
    }

    #[test]
    fn kept_bytes_go_to_their_keeper_once_unless_they_were_taken() {
        struct Shelf(std::sync::mpsc::Sender<Vec<u8>>);
        impl Keeper for Shelf {
            fn take_back(&mut self, bytes: Vec<u8>) {
                self.0.send(bytes).expect("the test looks");
            }
        }
        let (sender, shelf) = std::sync::mpsc::channel();
        let mut kept = Kept::new(Vec::with_capacity(64), Shelf(sender.clone()));
        kept.extend_from_slice(b"abc");
        let begin = kept.as_ptr();
        drop(kept);
        let back = shelf.try_recv().expect("they went back");
        assert_eq!((back.as_ptr(), &*back), (begin, &b"abc"[..]));
        assert!(shelf.try_recv().is_err(), "once");
        assert_eq!(Kept::new(back, Shelf(sender)).into_vec(), b"abc");
        assert!(shelf.try_recv().is_err(), "they were taken");
    }

    #[test]
    fn bytes_are_copied_in_as_far_as_there_is_room() {
        let mut boxed = vec![1; 3].into_boxed_slice();
        assert_eq!(boxed.fill_from(b"abcd"), 3);
        assert_eq!(boxed.as_bytes(), b"abc");
        let mut vector = b"xyz".to_vec();
        vector.reserve_exact(5);
        assert_eq!(vector.fill_from(b"ab"), 2);
        assert_eq!(vector, b"ab", "as after a receive");
        let mut tail = Tail::new(vector, 2);
        assert_eq!(tail.fill_from(b"cd"), 2);
        assert_eq!(tail.into_inner().as_bytes(), b"abcd");
    }

    #[test]
    #[should_panic(expected = "a part begins at 4 of 3 bytes")]
    fn a_part_cannot_begin_behind_the_end() {
        Tail::new(b"abc".to_vec(), 4);
    }
}
