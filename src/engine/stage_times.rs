//! Where an engine's time goes, by stage.

use std::ops::{AddAssign, Sub};

/// Seconds that each stage kept a device busy.
///
/// How to read it: an [`super::Engine`] counts from when it was made, so the stages of a piece of
/// work are [`super::Engine::stage_times`] after it less those before it.
///
/// - On a GPU they are the device's own timestamps around each stage, read back with the tails. What
///   the host does meanwhile is not in them, and an adapter without timestamps has no times at all.
/// - On the CPU they are the time of all threads together, divided by the number of threads: they
///   add up to the wall time of a call in which no thread had to wait.
/// - Of several engines side by side they are sums over the engines, so they may exceed wall time.
///
/// Only [`super::Engine::tails`] and [`super::Engine::add_tails`] are counted, not cubes kept for
/// comparison or the pilot.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StageTimes {
    /// Paths: factors at every observation.
    pub simulate: f64,
    /// What the rows of a curve point share; on the CPU this is part of `revalue`.
    pub quantities: f64,
    /// Profit of one unit of every row.
    pub revalue: f64,
    /// Losses of the accounts, sorted into their tails.
    pub net: f64,
    /// Tails' 32-bit limbs into 64-bit totals; the CPU adds 64-bit numbers and has no such stage.
    pub fold: f64,
}

impl StageTimes {
    /// Every stage by name, in the order of the work.
    pub fn by_name(&self) -> [(&'static str, f64); 5] {
        [
            ("simulate", self.simulate),
            ("quantities", self.quantities),
            ("revalue", self.revalue),
            ("net", self.net),
            ("fold", self.fold),
        ]
    }

    /// All stages together.
    pub fn total(&self) -> f64 {
        self.by_name().iter().map(|(_, seconds)| seconds).sum()
    }
}

impl AddAssign for StageTimes {
    fn add_assign(&mut self, other: Self) {
        self.simulate += other.simulate;
        self.quantities += other.quantities;
        self.revalue += other.revalue;
        self.net += other.net;
        self.fold += other.fold;
    }
}

impl Sub for StageTimes {
    type Output = Self;
    fn sub(self, before: Self) -> Self {
        Self {
            simulate: self.simulate - before.simulate,
            quantities: self.quantities - before.quantities,
            revalue: self.revalue - before.revalue,
            net: self.net - before.net,
            fold: self.fold - before.fold,
        }
    }
}
