//! How the program ends.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | something was not solved, not found, or could not be read or stored |
//! | 2 | the command line contradicts itself |
//! | 130 | interrupted |

use std::{fmt, io, process::ExitCode};

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
        Ok(()) | Err(Ended::BrokenPipe) => ExitCode::SUCCESS,
        Err(Ended::Failed(why)) => {
            if let Some(why) = why {
                eprintln!("ostia: {why}");
            }
            ExitCode::from(1)
        }
        Err(Ended::Usage(why)) => {
            eprintln!("ostia: {why}");
            eprintln!("For more information, try 'ostia --help' or 'ostia <COMMAND> --help'.");
            ExitCode::from(2)
        }
        Err(Ended::Interrupted) => {
            eprintln!("ostia: interrupted");
            ExitCode::from(130)
        }
    }
}
