//! Fixed workloads, the same on every machine, and what engines make of them.
//!
//! The workloads are ordinary markets and books made in memory from fixed numbers, so a figure
//! measured on one machine can be held against one measured on another.

mod contender;
mod export;
mod measure;
mod night;
mod process;
mod report;
mod workload;

pub use contender::{Contender, paths_of};
pub use export::{ExportFault, export};
pub use measure::{Check, Figure, Measurement, Stage, Stages, measure};
pub use report::{BenchReport, Entry, seconds_per_path};
pub use workload::{WORKLOADS, Workload, WorkloadFault, WorkloadName};
