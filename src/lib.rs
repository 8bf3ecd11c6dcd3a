//! **shortfall**: a Monte Carlo stress engine for margin.
//!
//! Portfolios go in, fat-tailed jump-diffusion paths are simulated, every position is revalued on
//! every path, and Expected Shortfall margins with their standard errors come out. The CPU engine
//! and the WGSL compute shaders produce the same bits in f32; the CPU in f64 is the reference.
//!
//! Data goes one way: [`scenario`] (YAML, checked) names a [`market`] and a [`portfolio`] of
//! [`instrument`]s; an [`engine`] simulates, revalues, nets and collects tails; [`risk`] turns
//! tails into figures with standard errors; [`margin`] applies the margin rules; [`run`] does it
//! for every case; [`report`] writes it down.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod attribution;
pub mod backtest;
pub mod bench;
pub mod calibrate;
pub mod closed_form;
pub mod compare;
pub mod engine;
pub mod fault;
pub mod generate;
pub mod instrument;
pub mod liquidation;
pub mod margin;
pub mod market;
pub mod numeric;
pub mod oracle;
pub mod plan;
pub mod plot;
pub mod portfolio;
pub mod report;
pub mod reverse;
pub mod risk;
pub mod rulebook;
pub mod run;
pub mod scenario;
pub mod service;
pub mod shard;
pub mod table;
pub mod units;
pub mod validate;
pub mod yaml;
