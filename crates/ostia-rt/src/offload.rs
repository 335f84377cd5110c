//! Work that may wait, on threads that are there for it: the node's one pool of offload threads.

use std::{
    io,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
};

use crate::{
    node::Node,
    runtime::Handle,
    sync::oneshot,
    task::{JoinError, JoinHandle},
};

/// Runs a function that may wait on one of the node's offload threads, and gives what it returns: a lookup of a name, a
/// library that reads by itself, a computation that cannot be cut into slices.
///
/// The threads are bounded ([`Builder::offload_threads_max`](crate::Builder::offload_threads_max)), and so is the queue
/// before them ([`Builder::offload_jobs_max`](crate::Builder::offload_jobs_max)): who comes when it is full waits, in
/// the order of coming. The function has no worker: it cannot await, and should not wait for a task that offloads.
///
/// # Errors
///
/// A [`JoinError`]: the function panicked, or was cancelled because the runtime ended before a thread had begun it. If
/// the system has no thread for it, that counts as a panic, which says so.
///
/// # Cancel safety
///
/// A function that no thread has begun is dropped, and is not run. One that runs goes on to its end, and what it
/// returns is dropped.
///
/// # Panics
///
/// On a thread of no runtime.
pub async fn offload<F, T>(function: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    offload_at(&Handle::current().some_node(), function).await
}

/// As [`offload`], begun at once, by a task: it goes on if its handle is dropped, and can be aborted as long as no
/// thread has begun with it.
///
/// # Panics
///
/// On a thread of no runtime.
#[track_caller]
pub fn spawn_blocking<F, T>(function: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Handle::current().spawn_blocking(function)
}

impl Handle {
    /// See [`spawn_blocking`].
    pub fn spawn_blocking<F, T>(&self, function: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let node = self.some_node();
        let task = async move {
            match offload_at(&node, function).await {
                Ok(value) => value,
                Err(error) => match error.into_panic() {
                    // The task ends as the function did; it has been reported already.
                    Some(panic) => panic::resume_unwind(panic),
                    None => std::future::pending().await,
                },
            }
        };
        self.spawn(task)
    }
}

/// As [`offload`], for what fails only as an `io::Error`: a panic goes on in the caller, and a function that was not
/// begun is an error.
pub(crate) async fn flat<F, T>(function: F) -> io::Result<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    offload(function).await.map_err(|error| match error.into_panic() {
        Some(panic) => panic::resume_unwind(panic),
        None => io::Error::new(io::ErrorKind::NotConnected, "the runtime has ended"),
    })
}

async fn offload_at<F, T>(node: &Arc<Node>, function: F) -> Result<T, JoinError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let permit = Arc::clone(&node.offload_room).acquire_many_owned(1).await;
    let Ok(permit) = permit else { return Err(JoinError::cancelled()) };
    let (sender, receiver) = oneshot::channel();
    let job = move || {
        // From here on it waits for no thread.
        drop(permit);
        if !sender.is_closed() {
            let result = panic::catch_unwind(AssertUnwindSafe(function));
            // Nobody may wait for it any more.
            let _ = sender.send(result.map_err(JoinError::panicked));
        }
    };
    // If the runtime ends, what was to be run is let go of, and its sender with it.
    if let Err(refused) = node.port.offload(Box::new(job))
        && refused.error.kind() != io::ErrorKind::NotConnected
    {
        let why = format!("no thread could be had: {}", refused.error);
        return Err(JoinError::panicked(Box::new(why)));
    }
    receiver.await.unwrap_or_else(|oneshot::Closed| Err(JoinError::cancelled()))
}
