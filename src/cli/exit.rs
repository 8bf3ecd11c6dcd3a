//! Exit codes, and what ends a command with one of them.

use std::process::ExitCode;

use shortfall::engine::EngineFault;
use shortfall::fault::Faults;
use shortfall::plan::TooMuchMemory;
use shortfall::report::FolderFault;
use shortfall::run::{AnalysisFault, RunFault, StoreFault};
use shortfall::service::client::ClientFault;
use shortfall::service::http::ServeFault;
use shortfall::service::keys::KeyFault;

use super::output;

/// Done.
pub const DONE: u8 = 0;
/// A comparison of `validate` missed its bound.
pub const MISSED: u8 = 1;
/// A threshold of `--fail-if` is breached; everything was written.
pub const BREACHED: u8 = 10;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// The input is wrong.
pub const BAD_DATA: u8 = 65;
/// No GPU can do what was asked of one.
pub const NO_DEVICE: u8 = 69;
/// The output could not be written.
pub const IO: u8 = 74;
/// The device was lost or ran out of memory, or a service is away: the same command may succeed.
pub const TRY_AGAIN: u8 = 75;

/// The codes, for `--help`.
macro_rules! exit_codes {
    () => {
        "\
Exit codes:
    0  done
    1  a comparison of validate missed its bound
   10  a threshold of --fail-if is breached; everything was written
    2  wrong command line
   65  wrong input: every fault with its file, line and field on standard error
   69  no usable GPU, where one was asked for
   74  the output could not be written
   75  the device was lost or out of memory, or a service is busy or away: try again
  130  interrupted"
    };
}
pub(crate) use exit_codes;

/// What ends a command early.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line asks for what cannot be.
    #[error("{0}")]
    Usage(String),
    /// The input files are wrong.
    #[error("{0}")]
    Input(#[from] Faults),
    /// The input files are well-formed, but nothing can be computed from them.
    #[error("{0}")]
    Data(String),
    /// Everything was written, but some accounts have no figures.
    #[error("{0}")]
    Incomplete(String),
    /// The device did not do it.
    #[error("{0}")]
    Engine(#[from] EngineFault),
    /// The output folder cannot be written.
    #[error("{0}")]
    Folder(#[from] FolderFault),
    /// Tails on disk cannot be used or written.
    #[error("{0}")]
    Store(#[from] StoreFault),
    /// The run would take more memory than allowed.
    #[error("{0}")]
    Memory(#[from] TooMuchMemory),
    /// A running service did not answer.
    #[error("{0}")]
    Client(#[from] ClientFault),
    /// The service cannot start.
    #[error("{0}")]
    Serve(#[from] ServeFault),
    /// A file of keys cannot be used.
    #[error("{0}")]
    Keys(#[from] KeyFault),
    /// Another file cannot be read or written.
    #[error("{0}")]
    Io(String),
    /// So many comparisons missed their bounds.
    #[error("{0} of the comparisons missed their bound")]
    Missed(usize),
    /// A threshold is breached; the text names the accounts.
    #[error("{0}")]
    Breached(String),
}

impl From<AnalysisFault> for Failure {
    fn from(fault: AnalysisFault) -> Self {
        match fault {
            AnalysisFault::Data(reason) => Self::Data(reason),
            AnalysisFault::Engine(fault) => Self::Engine(fault),
        }
    }
}

impl From<RunFault> for Failure {
    fn from(fault: RunFault) -> Self {
        match fault {
            RunFault::Engine(fault) => Self::Engine(fault),
            RunFault::Store(fault) => Self::Store(fault),
        }
    }
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Input(_) | Self::Data(_) | Self::Incomplete(_) => BAD_DATA,
            Self::Engine(EngineFault::NoDevice(_) | EngineFault::TooLarge { .. }) => NO_DEVICE,
            Self::Engine(_) => TRY_AGAIN,
            Self::Folder(_) | Self::Io(_) | Self::Store(StoreFault::Io { .. }) => IO,
            Self::Store(StoreFault::Missing { .. } | StoreFault::InUse { .. }) => TRY_AGAIN,
            Self::Store(_) => BAD_DATA,
            Self::Memory(_) => USAGE,
            Self::Client(fault) => code_of_client(fault),
            Self::Serve(ServeFault::KeysNeeded(_)) => USAGE,
            Self::Serve(ServeFault::Listen { .. }) | Self::Keys(KeyFault::Io { .. }) => IO,
            Self::Serve(_) | Self::Keys(_) => BAD_DATA,
            Self::Missed(_) => MISSED,
            Self::Breached(_) => BREACHED,
        }
    }
}

/// What is busy or away may answer later.
fn code_of_client(fault: &ClientFault) -> u8 {
    match fault {
        ClientFault::Address(_) | ClientFault::ClearText(_) => USAGE,
        ClientFault::Problem(problem) if problem.status < 500 && problem.status != 429 => BAD_DATA,
        ClientFault::Certificates(_) => BAD_DATA,
        ClientFault::Problem(_) | ClientFault::Transport { .. } => TRY_AGAIN,
    }
}

/// A panic that a reader of foreign files turns into a fault is reported as that fault alone.
pub fn keep_caught_panics_quiet() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !shortfall::table::panics_are_caught() {
            report(panic);
        }
    }));
}

/// Says what went wrong on standard error, once, and gives the code.
pub fn code_of(result: Result<(), Failure>) -> ExitCode {
    let code = match result {
        Ok(()) => DONE,
        Err(failure) => {
            let text = failure.to_string();
            match &failure {
                // These name themselves in their first line.
                Failure::Input(_) | Failure::Breached(_) => output::say(text.trim_end()),
                _ => output::say(&format!("error: {}", text.trim_end())),
            }
            failure.code()
        }
    };
    code.into()
}
