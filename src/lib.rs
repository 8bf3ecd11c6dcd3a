//! Shortfall.

#![forbid(unsafe_code)]

pub mod numeric;
