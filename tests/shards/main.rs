//! Divided and interrupted runs, as real processes: whatever happens to them, the bytes of their
//! results are those of one run.

mod divided;
mod interrupted;
#[cfg(target_os = "linux")]
#[path = "../service/layer.rs"]
mod layer;
mod lost_device;
mod night;
mod process;
