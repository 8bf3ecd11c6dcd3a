//! Faults of what is made of several runs: liquidation, reverse stress.

use crate::engine::EngineFault;

/// Why an analysis can say nothing.
#[derive(Debug, thiserror::Error)]
pub enum AnalysisFault {
    /// The inputs do not allow it.
    #[error("{0}")]
    Data(String),
    /// The engine.
    #[error("{0}")]
    Engine(#[from] EngineFault),
}
