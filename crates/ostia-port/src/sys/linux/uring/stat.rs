//! Room for what `statx` tells, while the kernel fills it in; and what it means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use io_uring::types;

use crate::op::{EntryKind, Metadata};

/// What is asked for: the kind and the mode, the size, the time of the last write.
pub(super) const MASK: u32 = libc::STATX_TYPE | libc::STATX_MODE | libc::STATX_SIZE | libc::STATX_MTIME;

/// Rooms that stay where they are; as many as were ever needed at a time.
#[derive(Default)]
pub(super) struct Rooms {
    #[expect(clippy::vec_box, reason = "the kernel has their addresses while the list grows")]
    rooms: Vec<Box<libc::statx>>,
    free: Vec<usize>,
}

impl Rooms {
    /// A room nobody uses, by its number.
    pub(super) fn take(&mut self) -> usize {
        self.free.pop().unwrap_or_else(|| {
            // SAFETY: the answer is a plain structure of numbers, which may be zero.
            self.rooms.push(Box::new(unsafe { std::mem::zeroed() }));
            self.rooms.len() - 1
        })
    }

    /// Where the kernel writes.
    pub(super) fn address(&mut self, room: usize) -> *mut types::statx {
        (&raw mut *self.rooms[room]).cast()
    }

    /// What the kernel wrote; the room is free again.
    pub(super) fn read(&mut self, room: usize) -> Metadata {
        self.free.push(room);
        metadata(&self.rooms[room])
    }

    /// The room is free again, and nothing was written.
    pub(super) fn put_back(&mut self, room: usize) {
        self.free.push(room);
    }

    /// Lets the rooms live for ever that the kernel may still write to.
    pub(super) fn leak(self) {
        for (room, memory) in self.rooms.into_iter().enumerate() {
            if !self.free.contains(&room) {
                Box::leak(memory);
            }
        }
    }
}

fn metadata(told: &libc::statx) -> Metadata {
    let kind = match u32::from(told.stx_mode) & libc::S_IFMT {
        libc::S_IFREG => EntryKind::File,
        libc::S_IFDIR => EntryKind::Directory,
        libc::S_IFLNK => EntryKind::Link,
        _ => EntryKind::Other,
    };
    let modified = (told.stx_mask & libc::STATX_MTIME != 0).then(|| {
        let part = Duration::from_nanos(told.stx_mtime.tv_nsec.into());
        let seconds = Duration::from_secs(told.stx_mtime.tv_sec.unsigned_abs());
        if told.stx_mtime.tv_sec >= 0 {
            UNIX_EPOCH.checked_add(seconds)
        } else {
            UNIX_EPOCH.checked_sub(seconds)
        }
        .and_then(|whole: SystemTime| whole.checked_add(part))
    });
    Metadata { kind, len: told.stx_size, modified: modified.flatten(), read_only: told.stx_mode & 0o222 == 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_used_again_and_the_others_stay_where_they_are() {
        let mut rooms = Rooms::default();
        let first = rooms.take();
        let address = rooms.address(first);
        let second = rooms.take();
        for _ in 0..100 {
            let more = rooms.take();
            rooms.put_back(more);
        }
        assert_eq!(rooms.rooms.len(), 3);
        assert_eq!(rooms.address(first), address);
        assert_ne!(rooms.address(second), address);
    }

    #[test]
    fn a_time_before_1970_is_a_time() {
        // SAFETY: the answer is a plain structure of numbers, which may be zero.
        let mut told: libc::statx = unsafe { std::mem::zeroed() };
        told.stx_mask = libc::STATX_MTIME;
        told.stx_mtime.tv_sec = -2;
        told.stx_mtime.tv_nsec = 500_000_000;
        assert_eq!(metadata(&told).modified, UNIX_EPOCH.checked_sub(Duration::from_millis(1500)));
        told.stx_mask = 0;
        assert_eq!(metadata(&told).modified, None);
    }
}
