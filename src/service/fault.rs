//! Why the desk does not answer.

use super::api::{FieldFault, Refusal};
use crate::engine::EngineFault;
use crate::engine::resident::Halt;
use crate::plan::Bytes;

/// Why a request has no answer. Nothing was changed then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DeskFault {
    /// Fields of the request that are wrong, all of them.
    #[error("{} wrong field{}: {}", .0.len(), if .0.len() == 1 { "" } else { "s" }, listed(.0))]
    Invalid(Vec<FieldFault>),
    /// What was asked for is not there.
    #[error("no {what} `{name}`")]
    NotFound {
        /// What: `account`, `market version`.
        what: &'static str,
        /// Which.
        name: String,
    },
    /// An account of that name is there already.
    #[error("the account `{0}` is there already; replace it or patch it")]
    Exists(String),
    /// The account has changed since it was read.
    #[error("the account `{account}` has revision {found}, not {expected}; read it again")]
    Conflict {
        /// The account.
        account: String,
        /// Revision that was named.
        expected: u64,
        /// Revision that it has.
        found: u64,
    },
    /// The market is older than is allowed.
    #[error("the market is {age_seconds:.0} s old, and {limit_seconds:.0} s are allowed; send a newer one")]
    StaleMarket {
        /// Its age.
        age_seconds: f64,
        /// What is allowed.
        limit_seconds: f64,
    },
    /// It would not fit into memory.
    #[error("{what} needs {} of memory, but {} are allowed", Bytes(*.needed), Bytes(*.allowed))]
    TooLarge {
        /// What does not fit.
        what: String,
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that are allowed.
        allowed: u64,
    },
    /// Nobody waits for the answer any more.
    #[error("the request was cancelled")]
    Cancelled,
    /// The device that keeps the cube failed; if it is lost, the CPU takes its place.
    #[error("the device failed: {0}")]
    Device(EngineFault),
    /// The computation failed.
    #[error("{0}")]
    Engine(String),
    /// The store failed: nothing is acknowledged that is not kept.
    #[error("the store failed: {0}")]
    Store(String),
}

impl DeskFault {
    /// A fault of one field.
    pub fn field(field: impl Into<String>, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Invalid(vec![field_fault(field, found, expected)])
    }

    /// The fault as answers carry it.
    pub fn refusal(&self) -> Refusal {
        let (code, faults) = match self {
            Self::Invalid(faults) => ("invalid", faults.clone()),
            Self::NotFound { .. } => ("not_found", Vec::new()),
            Self::Exists(_) => ("exists", Vec::new()),
            Self::Conflict { .. } => ("conflict", Vec::new()),
            Self::StaleMarket { .. } => ("stale_market", Vec::new()),
            Self::TooLarge { .. } => ("too_large", Vec::new()),
            Self::Cancelled => ("cancelled", Vec::new()),
            Self::Device(_) => ("device", Vec::new()),
            Self::Engine(_) => ("engine", Vec::new()),
            Self::Store(_) => ("store", Vec::new()),
        };
        Refusal { code: code.to_owned(), message: self.to_string(), faults }
    }
}

impl From<EngineFault> for DeskFault {
    fn from(fault: EngineFault) -> Self {
        Self::Device(fault)
    }
}

impl From<Halt> for DeskFault {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Told => Self::Cancelled,
            Halt::Fault(fault) => Self::Device(fault),
        }
    }
}

/// Nothing where no field is wrong.
pub(super) fn none(faults: Vec<FieldFault>) -> Result<(), DeskFault> {
    if faults.is_empty() { Ok(()) } else { Err(DeskFault::Invalid(faults)) }
}

/// One field that is wrong.
pub(super) fn field_fault(
    field: impl Into<String>,
    found: impl Into<String>,
    expected: impl Into<String>,
) -> FieldFault {
    FieldFault { field: field.into(), found: found.into(), expected: expected.into() }
}

fn listed(faults: &[FieldFault]) -> String {
    const SHOWN: usize = 5;
    let one = |f: &FieldFault| format!("{}: found {}; expected {}", f.field, f.found, f.expected);
    let mut text = faults.iter().take(SHOWN).map(one).collect::<Vec<_>>().join("; ");
    if faults.len() > SHOWN {
        text.push_str(&format!("; and {} more", faults.len() - SHOWN));
    }
    text
}
