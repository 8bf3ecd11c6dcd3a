//! Fixed workloads, the same on every machine, and what engines make of them.
//!
//! The workloads are ordinary markets and books made in memory from fixed numbers, so a figure
//! measured on one machine can be held against one measured on another.

mod night;
mod workload;

pub use workload::{WORKLOADS, Workload, WorkloadFault, WorkloadName};
