//! Buffers of a node: pooled by size, within a budget, and given up when nobody needs them.
//!
//! A [`Pool`] has thirteen sizes, the powers of two from 4 KiB to 16 MiB. A request gets a buffer of the smallest size
//! that has room for it, empty. Dropped, on whatever thread, the buffer goes home, and the next request of that size
//! gets the one that came home last: it is most likely in the cache.
//!
//! **The budget** is an upper bound of all bytes of the pool, those that are out and those that are kept. Is it used up
//! by kept buffers of other sizes, they are freed. Is it used up by buffers that are out, [`Pool::take`] waits for some
//! to come home and [`Pool::try_take`] gives none. Who waits is served in the order of asking, whatever the sizes: a
//! large request is not overtaken by small ones for ever. A buffer counts as its size; what a caller makes it grow by is
//! the caller's, and a buffer that was grown or taken apart is freed instead of kept.
//!
//! **Idle memory** is given up by [`Pool::trim`], which the runtime calls: what nobody needed for the time that the
//! pool was told to keep it.
//!
//! **Where the bytes lie.** Systems place a page of memory on the node of the thread that first writes to it. A fresh
//! buffer is allocated by the thread that takes it and is not written to before its first use, so if workers, offload
//! threads and the operations submitted by them alone use the pool of their node, its fresh pages come from that node,
//! and the buffer stays with that node's pool from then on. Not guaranteed is where a page lies that the process'
//! allocator had already in hand (rare above 128 KiB, where allocators ask the system), nor where it lies after a thread
//! of no node has written to it first.
//!
//! | a buffer is | leaves by |
//! |---|---|
//! | out | drop: kept, or handed to whoever waits, or freed if its size has changed |
//! | kept | a request of its size: out; `trim`, or a request that needs its room: freed |

mod store;

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use ostia_port::buf::{Keeper, Kept};

pub use self::store::Usage;
use self::store::{Class, Grant, Store, Ticket};
use crate::{loom, wake::wake};

/// A buffer that is out: a vector of bytes, empty at first, that goes home when it is dropped.
pub type Buffer = Kept<Home>;

/// The buffers of a node. Clones are the same pool.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Mutex<Store>>,
}

impl Pool {
    /// The largest buffer there is.
    pub const LEN_MAX: usize = store::LEN_MAX;

    /// An empty pool that has `budget` bytes at most, and gives up buffers that nobody needed for `keep`.
    pub fn new(budget: usize, keep: Duration) -> Pool {
        Pool { shared: Arc::new(Mutex::new(Store::new(budget, keep))) }
    }

    /// A buffer with room for `len` bytes at least, as soon as the budget has room for it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] if `len` is more than [`LEN_MAX`](Self::LEN_MAX), or if the buffer would be
    /// larger than the whole budget; [`io::ErrorKind::OutOfMemory`] if the system has no memory.
    ///
    /// # Cancel safety
    ///
    /// A dropped `take` takes nothing. It loses its place in the line.
    pub fn take(&self, len: usize) -> Take {
        let step = match self.lock().class(len) {
            Ok(class) => Step::Asks(class),
            Err(error) => Step::Fails(error),
        };
        Take { pool: self.clone(), step }
    }

    /// A buffer with room for `len` bytes at least, if the budget has room for it now and nobody waits.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn try_take(&self, len: usize) -> io::Result<Option<Buffer>> {
        let mut freed = Vec::new();
        let (class, grant) = {
            let mut store = self.lock();
            let class = store.class(len)?;
            (class, store.try_take(class, &mut freed))
        };
        drop(freed);
        grant.map(|grant| self.hand_out(class, grant)).transpose()
    }

    /// Frees what nobody needed lately. Says when to look again; never, if nothing is kept.
    ///
    /// The runtime calls this when it has nothing else to do.
    pub fn trim(&self, now: Instant) -> Option<Instant> {
        let mut freed = Vec::new();
        let next = self.lock().trim(now, &mut freed);
        // Memory is given back without the lock: that is a call of the system for large buffers.
        drop(freed);
        next
    }

    /// What the pool has, and what it has done so far.
    pub fn usage(&self) -> Usage {
        self.lock().usage()
    }

    /// Makes a buffer of what was granted.
    fn hand_out(&self, class: Class, grant: Grant) -> io::Result<Buffer> {
        let bytes = match grant {
            Grant::Kept(bytes) => bytes,
            Grant::Room => {
                let mut bytes = Vec::new();
                if bytes.try_reserve_exact(class.len()).is_err() {
                    self.give_back(class, None);
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                bytes
            }
        };
        Ok(Kept::new(bytes, Home { pool: self.clone(), class, is_out: true }))
    }

    /// The budget has the bytes of one buffer again; its memory is kept if it is there.
    fn give_back(&self, class: Class, bytes: Option<Vec<u8>>) {
        let (mut wakers, mut freed) = (Vec::new(), Vec::new());
        self.lock().give_back(class, bytes, &mut freed, &mut wakers);
        drop(freed);
        wakers.into_iter().for_each(wake);
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        loom::lock(&self.shared)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.usage()).finish()
    }
}

/// Where a [`Buffer`] goes when it is dropped.
#[derive(Debug)]
pub struct Home {
    pool: Pool,
    class: Class,
    is_out: bool,
}

impl Keeper for Home {
    fn take_back(&mut self, mut bytes: Vec<u8>) {
        bytes.clear();
        self.is_out = false;
        let unchanged = bytes.capacity() == self.class.len();
        self.pool.give_back(self.class, unchanged.then_some(bytes));
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The bytes were taken for good.
        if self.is_out {
            self.pool.give_back(self.class, None);
        }
    }
}

/// The future of [`Pool::take`].
#[must_use = "futures do nothing unless they are awaited"]
#[derive(Debug)]
pub struct Take {
    pool: Pool,
    step: Step,
}

#[derive(Debug)]
enum Step {
    /// Not polled yet.
    Asks(Class),
    /// In the line, or granted since.
    Waits(Class, Ticket),
    Fails(io::Error),
    Ended,
}

impl Future for Take {
    type Output = io::Result<Buffer>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<Buffer>> {
        let this = self.get_mut();
        // Cloned before the lock is taken, and dropped after: a waker is somebody else's code.
        let mut waker = Some(cx.waker().clone());
        let mut freed = Vec::new();
        let granted = match std::mem::replace(&mut this.step, Step::Ended) {
            Step::Asks(class) => {
                let asked = this.pool.lock().ask(class, &mut waker, &mut freed);
                match asked {
                    Ok(grant) => (class, grant),
                    Err(ticket) => {
                        this.step = Step::Waits(class, ticket);
                        return Poll::Pending;
                    }
                }
            }
            Step::Waits(class, ticket) => {
                let granted = this.pool.lock().ask_again(ticket, &mut waker);
                match granted {
                    Some(grant) => (class, grant),
                    None => {
                        this.step = Step::Waits(class, ticket);
                        return Poll::Pending;
                    }
                }
            }
            Step::Fails(error) => return Poll::Ready(Err(error)),
            Step::Ended => panic!("a future is not polled after it has ended"),
        };
        drop(freed);
        Poll::Ready(this.pool.hand_out(granted.0, granted.1))
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        if let Step::Waits(class, ticket) = self.step {
            let (mut wakers, mut freed) = (Vec::new(), Vec::new());
            let own = self.pool.lock().leave(class, ticket, &mut freed, &mut wakers);
            drop((own, freed));
            wakers.into_iter().for_each(wake);
        }
    }
}

#[cfg(test)]
mod tests;
