//! A case, and the stage on which it is played.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use ostia_port::{Address, Backend, Builder, Port};

use crate::kit::Desk;

/// One promise of the port, as a sentence and a function that holds it against a back end. It panics where the
/// promise is broken.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    /// Its file.
    pub(crate) subject: &'static str,
    /// Its sentence.
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Stage),
}

/// The list of a file's cases.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const CASES: &[crate::case::Case] = &[
            $(crate::case::Case { subject: module_path!(), name: stringify!($name), run: $name }),*
        ];
    };
}

/// How a case ends that was not played.
#[derive(Debug)]
pub(crate) enum Aside {
    /// It cannot run here, and why.
    Skipped(String),
    /// Wine is wrong here, in the way it is known to be.
    WineDiffers,
}

/// What a case is played on: one back end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stage {
    pub(crate) backend: Backend,
}

static NAMES: AtomicU32 = AtomicU32::new(0);

/// A name that nobody else has.
fn fresh_name() -> String {
    format!("ostia-conformance-{}-{}", std::process::id(), NAMES.fetch_add(1, Ordering::Relaxed))
}

impl Stage {
    pub(crate) fn builder(&self) -> Builder {
        if self.is_sim() {
            // Its transfers move what they can, as those of the real ones do: the cases ask what a receive brings.
            // Programs of chance, in `tests/simulation`, have the short ones.
            let mut options = ostia_port::sim::Options::new(1);
            options.short = 0;
            return Port::builder().sim(options);
        }
        Port::builder().backend(self.backend)
    }

    pub(crate) fn port(&self) -> Port {
        self.builder().open().expect("a back end that exists opens a port")
    }

    /// Another port of the same kernel: what the one listens to, the other may connect to.
    pub(crate) fn port_beside(&self, port: &Port) -> Port {
        self.builder().sim_beside(port).open().expect("a back end that exists opens a port")
    }

    /// A port with one berth, this thread's.
    pub(crate) fn desk(&self) -> Desk {
        Desk::new(&self.port())
    }

    /// Whether the kernel is simulated: nothing of the system is to be seen, and time passes by itself.
    pub(crate) fn is_sim(&self) -> bool {
        self.backend == Backend::Sim
    }

    pub(crate) fn is_iocp(&self) -> bool {
        self.backend == Backend::Iocp
    }

    /// As often as a back end can bear: Wine takes a hundred times as long for a call, and each turn of the simulation
    /// looks at everything.
    pub(crate) fn times(&self, times: usize) -> usize {
        match self.backend {
            Backend::Sim => times.div_ceil(20),
            Backend::Iocp if crate::kit::is_wine() => times.div_ceil(50),
            _ => times,
        }
    }

    /// Ends the case: it cannot run here.
    pub(crate) fn skip(&self, why: impl Into<String>) -> ! {
        std::panic::resume_unwind(Box::new(Aside::Skipped(why.into())))
    }

    /// Ends the case: what Wine does wrong has just been seen. On Windows that would have been a failure.
    #[cfg_attr(not(windows), expect(dead_code, reason = "Wine runs what is built for Windows"))]
    pub(crate) fn wine_differs(&self) -> ! {
        assert!(crate::kit::is_wine(), "what is known of Wine was seen on Windows");
        std::panic::resume_unwind(Box::new(Aside::WineDiffers))
    }

    /// A local address that nobody else has.
    pub(crate) fn local(&self) -> Address {
        Address::local(&fresh_name()).expect("this user may have a local address")
    }

    /// A path in the folder for temporary files that nobody else has.
    pub(crate) fn path(&self) -> PathBuf {
        std::env::temp_dir().join(fresh_name())
    }
}
