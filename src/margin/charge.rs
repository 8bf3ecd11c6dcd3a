//! What is charged of an Expected Shortfall that has a standard error.

use super::Charge;
use crate::closed_form::special::normal_upper_quantile;
use crate::risk::TailEstimate;

impl Charge {
    /// What is added to the estimate, at least zero.
    ///
    /// # Formula
    /// `z SE` with `z` the standard normal quantile of the bound's confidence.
    pub fn allowance(self, tail: &TailEstimate) -> f64 {
        match self {
            Self::Estimate => 0.0,
            Self::UpperBound(confidence) => {
                normal_upper_quantile(confidence.tail()).max(0.0) * tail.expected_shortfall_error
            }
        }
    }
}
