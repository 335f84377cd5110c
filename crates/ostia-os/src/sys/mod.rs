//! The one place that chooses a platform, and the only one with unsafe code.
//!
//! Every platform supplies these modules; what calls them does not know which it is:
//!
//! - `topology::detect()`: the machine's topology, of CPUs that the process may use.
//! - `affinity`: `allowed()` of the process; `current()` of this thread; `bind(set)`, which gives a `Previous` for
//!   `restore`; `parts(set)`, what one thread can be bound to at a time.
//! - `memory::Pages`: zeroed whole pages that one owner frees: `map(len, place)`, which falls back to ordinary memory
//!   and says why; `bytes`, `bytes_mut`, `prefault`, `node_of`. `memory::page_size()`.
//! - `signals`: `listen(signal)` makes the system tell us (false: it is ignored and stays so), `unlisten(signal)`
//!   undoes it; what comes is handed to `crate::signals::deliver`, on a thread where everything is allowed.
//!   `Doorbell`: what of a subscription can be polled. `ignore_broken_pipes()`.
//! - `peer`: `current()`, `Process` (a handle that outlives the number), and the ways a `Peer` is found.
//! - `limits`: `descriptors()`, `raise_descriptors()`, `locked_memory()`, `cpu_quota(allowed)`.
//! - `forks`: `watch()`, from which on `count()` counts.
//! - `timing`: `be_punctual()`, for the calling thread.

#[cfg(target_os = "linux")]
mod linux;
pub(crate) mod map;
#[cfg(windows)]
mod windows;

// The modules stand outside of it: rustfmt does not look into a macro.
cfg_select! {
    windows => {
        pub(crate) use self::windows::*;
    }
    target_os = "linux" => {
        pub(crate) use self::linux::*;
    }
    _ => {
        compile_error!("ostia-os knows Linux and Windows");
    }
}
