//! Engines: they simulate, revalue, net, and collect tails. Nothing before them knows a device
//! exists; nothing after them knows which one ran.

pub mod cpu;
pub mod gpu;
mod greek;
mod job;
mod mixing;
mod model;
mod pilot;
pub mod resident;
mod several;
mod shape;
mod stage_times;

pub use greek::{GREEKS, Greek, RowSplit};
pub use job::{
    Curve, FACTORS, Job, JobFault, JobInput, JumpEffect, JumpLaw, JumpSource, Netting, Observation, RowTerms,
    Segment, StepTerms, build, size,
};
pub use mixing::MixingTable;
pub use pilot::{Driver, DriverTail, KEPT_PATHS, Pilot, pilot_paths};
pub use resident::{Pace, Unhurried};
pub use several::Several;
pub use shape::Shape;
pub use stage_times::StageTimes;

use std::ops::Range;

use crate::risk::{Bracket, LevelRanks, RankedLosses, Tail};
use crate::units::Confidence;

/// Paths that are simulated together: a tile is a whole number of blocks, and every range of paths
/// starts on one.
pub const BLOCK: usize = 64;

/// A level whose tail is collected: all accounts at one horizon and confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailLevel {
    /// Index of the horizon in [`Job::horizons`].
    pub horizon: usize,
    /// Confidence of the estimate.
    pub confidence: Confidence,
}

/// An engine ready to run. It may be moved to a thread of its own.
pub trait Engine: Send {
    /// What it runs on, as reports show it.
    fn device(&self) -> DeviceReport;

    /// Simulates a range of paths (whole blocks) and collects the tail of every account at every
    /// level: `[account][level]`, like the brackets. `progress` hears how many paths are done.
    fn tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Tail>, EngineFault>;

    /// Like [`Engine::tails`], added to tails that exist; they stay as they are where it fails.
    fn add_tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        tails: &mut [Tail],
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), EngineFault> {
        let more = self.tails(job, brackets, paths, progress)?;
        tails.iter_mut().zip(&more).for_each(|(tail, more)| tail.merge(more));
        Ok(())
    }

    /// Every account's losses at the ranks of each level among the first `paths` paths: `[account][level]`,
    /// for the pilot. `None` where the engine is no quicker at it than the pilot itself, or fails: whoever
    /// needs the device next hears of it.
    fn ranked(&mut self, job: &Job, paths: u64, ranks: &[LevelRanks]) -> Option<Vec<RankedLosses>> {
        let _ = (job, paths, ranks);
        None
    }

    /// Host memory that [`Engine::add_tails`] takes beside the job, its brackets and the tails, in
    /// bytes, within `allowed` where the engine can choose.
    fn working_bytes(&mut self, shape: &Shape, allowed: u64) -> u64 {
        let _ = allowed;
        shape.tails_bytes()
    }

    /// Seconds by stage since the engine was made; see [`StageTimes`] for how to read them. `None`
    /// where the device does not tell.
    fn stage_times(&self) -> Option<StageTimes> {
        None
    }

    /// Factors and profits in f32 of a range of paths (whole blocks; the last may reach beyond its
    /// end), kept for comparisons.
    fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<Cube<f32>, EngineFault>;
}

/// Factors and profits of a range of paths, kept: `factors[block]` is
/// `[observation][asset][factor][BLOCK]`, `pnl[block]` is `[row][BLOCK]`.
pub struct Cube<S> {
    /// Factors by block.
    pub factors: Vec<Vec<S>>,
    /// Profits of one unit by block.
    pub pnl: Vec<Vec<S>>,
}

/// What an engine ran on.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DeviceReport {
    /// `cpu` or `gpu`.
    pub engine: String,
    /// Name of the processor or adapter.
    pub name: String,
    /// Instruction set or driver.
    pub detail: String,
    /// Why it was taken, where the choice was automatic.
    pub reason: String,
}

impl DeviceReport {
    /// Several devices that made one result, joined by ` + `; what neighbours share stands once, but
    /// every device's name does.
    pub fn joined(reports: &[Self]) -> Self {
        let all = |field: fn(&Self) -> &str| reports.iter().map(field).collect::<Vec<&str>>();
        let join = |mut texts: Vec<&str>| {
            texts.dedup();
            texts.join(" + ")
        };
        Self {
            engine: join(all(|report| &report.engine)),
            name: all(|report| &report.name).join(" + "),
            detail: join(all(|report| &report.detail)),
            reason: join(all(|report| &report.reason)),
        }
    }
}

/// What can go wrong on a device.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineFault {
    /// No adapter to run on.
    #[error("no usable GPU: {0}")]
    NoDevice(String),
    /// The job does not fit the device.
    #[error("{what} needs {needed} but the device allows {available}; {next}")]
    TooLarge {
        /// What does not fit.
        what: String,
        /// How much it needs.
        needed: u64,
        /// How much there is.
        available: u64,
        /// What to try.
        next: String,
    },
    /// Memory on the device ran out.
    #[error("the device has no memory left ({0}); try a smaller book, another adapter or --device cpu")]
    OutOfMemory(String),
    /// The device was lost or did not answer.
    #[error("the device was lost ({0}); run again, or try --device cpu")]
    Lost(String),
    /// The driver refused something that it should not have.
    #[error("the device failed: {0}")]
    Device(String),
}
