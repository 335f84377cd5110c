//! A list through its members: adding to it needs no memory and cannot fail.

use std::{marker::PhantomData, ptr};

use crate::loom::{AtomicPtr, Ordering};

/// Which of a member's fields the list runs through.
pub(crate) trait Link {
    type Node: Sync + 'static;

    /// Belongs to the list while the node is in it.
    fn next(node: &Self::Node) -> &AtomicPtr<Self::Node>;
}

/// Anybody adds one; whoever takes takes all.
pub(crate) struct Stack<L: Link> {
    newest: AtomicPtr<L::Node>,
}

impl<L: Link> Stack<L> {
    pub(crate) fn new() -> Stack<L> {
        Stack { newest: AtomicPtr::new(ptr::null_mut()) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.newest.load(Ordering::Relaxed).is_null()
    }

    /// Adds a node, which is in no list that runs through this field.
    pub(crate) fn push(&self, node: &'static L::Node) {
        let mut newest = self.newest.load(Ordering::Relaxed);
        loop {
            L::next(node).store(newest, Ordering::Relaxed);
            let node = ptr::from_ref(node).cast_mut();
            match self.newest.compare_exchange_weak(newest, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => newest = now,
            }
        }
    }

    /// Takes all nodes, the newest first.
    pub(crate) fn take(&self) -> Taken<L> {
        Taken { next: self.newest.swap(ptr::null_mut(), Ordering::Acquire), link: PhantomData }
    }
}

impl<L: Link> std::fmt::Debug for Stack<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").finish_non_exhaustive()
    }
}

/// Nodes that were taken. Each is out of the list when it is given: it may be added again at once.
pub(crate) struct Taken<L: Link> {
    next: *mut L::Node,
    link: PhantomData<L>,
}

impl<L: Link> Taken<L> {
    /// The same, the oldest first.
    pub(crate) fn oldest_first(self) -> Taken<L> {
        let mut turned: *mut L::Node = ptr::null_mut();
        for node in self {
            L::next(node).store(turned, Ordering::Relaxed);
            turned = ptr::from_ref(node).cast_mut();
        }
        Taken { next: turned, link: PhantomData }
    }
}

impl<L: Link> Iterator for Taken<L> {
    type Item = &'static L::Node;

    fn next(&mut self) -> Option<&'static L::Node> {
        // SAFETY: only what lives for ever is pushed; taking the list, with `Acquire`, made its links ours.
        let node = unsafe { self.next.as_ref() }?;
        self.next = L::next(node).load(Ordering::Relaxed);
        Some(node)
    }
}
