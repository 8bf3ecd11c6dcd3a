#![forbid(unsafe_code)]
//! Monte Carlo margin engine: Expected Shortfall under jump diffusions.

pub mod closed_form;
pub mod validate;
