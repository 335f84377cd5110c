//! How the program ends.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | something was not solved, not found, or could not be read or stored |
//! | 2 | the command line contradicts itself |
//! | 130 | interrupted |

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

/// An end other than success.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Work failed; the reason was, or is now, told.
    Failed(Option<String>),
    /// The command line was refused.
    Usage(String),
    /// Ctrl-C.
    Interrupted,
    /// Nobody reads the output any more: `ostia ... | head` is no failure.
    BrokenPipe,
}

impl Ended {
    /// A failure with its reason.
    pub(crate) fn failed(why: impl fmt::Display) -> Ended {
        Ended::Failed(Some(why.to_string()))
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Ended::BrokenPipe,
            _ => Ended::failed(format_args!("the output could not be written: {error}")),
        }
    }
}

/// Tells the reason and gives the exit code.
pub(crate) fn code(ended: Result<(), Ended>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => ExitCode::from(told(&ended)),
    }
}

/// Ends the process at once.
pub(crate) fn now(ended: &Ended) -> ! {
    std::process::exit(told(ended).into())
}

fn told(ended: &Ended) -> u8 {
    match ended {
        Ended::BrokenPipe => 0,
        Ended::Failed(why) => {
            if let Some(why) = why {
                tell(why);
            }
            1
        }
        Ended::Usage(why) => {
            tell(format_args!(
                "{why}\nFor more information, try 'ostia --help' or 'ostia <COMMAND> --help'."
            ));
            2
        }
        Ended::Interrupted => {
            tell("interrupted");
            130
        }
    }
}

/// A line on the standard error. When nobody reads that any more, there is nobody left to tell.
pub(crate) fn tell(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "ostia: {what}");
}
