//! Calibration and backtests: published and independently computed values, recovery of known
//! parameters, and the shipped histories.

mod calibrate;
mod data;
mod estimates;
mod recovery;
mod statistics;
