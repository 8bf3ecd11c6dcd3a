//! From price histories to a market that `run` takes.

pub mod ewma;
pub mod garch;
pub mod history;
pub mod jump_test;
pub mod laws;
mod optimise;

pub use optimise::Parameter;
