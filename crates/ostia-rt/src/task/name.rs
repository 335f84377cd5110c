//! What a task is called, in a word that a worker can leave where others look.

use std::{
    any::type_name,
    collections::HashMap,
    marker::PhantomData,
    ptr,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicPtr, Ordering},
    },
};

/// A name that is never freed.
#[derive(Debug)]
pub(crate) enum Name {
    /// A task that was given none has the name of its future's type.
    Type(fn() -> &'static str),
    /// What it was given.
    Text(&'static str),
}

/// The name of a task that was given none.
pub(crate) struct TypeName<F>(PhantomData<F>);

impl<F> TypeName<F> {
    pub(crate) const NAME: Name = Name::Type(type_name::<F>);
}

impl Name {
    /// The one name of this text in the process: as many are kept as there are texts.
    pub(crate) fn of(text: &'static str) -> &'static Name {
        static NAMES: Mutex<Option<HashMap<&'static str, &'static Name>>> = Mutex::new(None);
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        names.get_or_insert_default().entry(text).or_insert_with(|| Box::leak(Box::new(Name::Text(text))))
    }

    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Name::Type(name) => name(),
            Name::Text(text) => text,
        }
    }
}

/// The name of what runs now, for others to read at any time.
#[derive(Debug)]
pub(crate) struct AtomicName(AtomicPtr<Name>);

impl AtomicName {
    pub(crate) const fn new() -> AtomicName {
        AtomicName(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline]
    pub(crate) fn set(&self, name: Option<&'static Name>) {
        let name = name.map_or(ptr::null_mut(), |name| ptr::from_ref(name).cast_mut());
        self.0.store(name, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> Option<&'static Name> {
        // SAFETY: only `set` stores, and what it stores lives for ever and never changes.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }
}
