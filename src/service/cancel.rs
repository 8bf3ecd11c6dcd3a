//! A flag that ends a long computation.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set by who no longer wants an answer, looked at by who computes it between blocks of paths.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Ends the computation at its next look.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the answer is no longer wanted.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
