//! Calibration and backtests: published and independently computed values, recovery of known
//! parameters, and the shipped histories.

mod data;
mod estimates;
mod statistics;
