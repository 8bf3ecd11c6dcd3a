//! Calibration and backtests: published and independently computed values, recovery of known
//! parameters, and the shipped histories.

mod backtest;
mod calibrate;
mod carry;
mod chains;
mod data;
mod estimates;
mod hourly;
mod monte_carlo;
mod option_books;
mod pack;
mod predict;
mod recovery;
mod statistics;
