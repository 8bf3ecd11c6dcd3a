//! What to run: the market, the portfolio, the simulation, the margin rules and the stresses.

mod device;
mod margin;
mod oracle;
mod read;
mod selection;
mod stress;

pub use device::{DEVICE, Device, DeviceChoice};
pub use read::{MAX_PATHS, MAX_SEED, MAX_STEPS, TOLERANCE, read, read_replays, read_with, tolerance};
pub use selection::{SELECTION, Selection};
pub use stress::{Replay, Shock, Stress};

use std::path::PathBuf;

use crate::instrument::SmileRule;
use crate::margin::MarginRules;
use crate::market::Market;
use crate::portfolio::Portfolio;

/// A scenario, checked, with everything that it names.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The market.
    pub market: Market,
    /// Accounts and holdings.
    pub portfolio: Portfolio,
    /// How to simulate.
    pub simulation: Simulation,
    /// How margins are made from tails.
    pub margin: MarginRules,
    /// Stresses beside the base case.
    pub stresses: Vec<Stress>,
    /// Accounts whose Expected Shortfall is taken apart.
    pub attribution: Selection,
    /// The asset in whose coins all money is reported; US dollars without it.
    pub reporting_asset: Option<usize>,
    /// Every file that was read, the scenario first.
    pub inputs: Vec<PathBuf>,
}

impl Scenario {
    /// Unit of all money in the results: `USD`, or an asset.
    pub fn reporting_currency(&self) -> &str {
        self.reporting_asset.map_or("USD", |asset| &self.market.assets[asset].name)
    }
}

/// How to simulate.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Number of paths; the most to use where there is a tolerance.
    pub paths: u64,
    /// Seed of the counter-based generator.
    pub seed: u64,
    /// Time steps over the longest horizon.
    pub steps: u32,
    /// Take one step between observations where the law at the horizon is known exactly.
    pub exact_steps: bool,
    /// Stop once every account's ES standard error is below this fraction of its ES.
    pub tolerance: Option<f64>,
    /// Which engine.
    pub device: DeviceChoice,
    /// Precision of the engine.
    pub precision: Precision,
    /// How smiles move.
    pub smile: SmileRule,
}

/// Floating-point precision of the simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Single: the same bits on CPU and GPU.
    #[default]
    F32,
    /// Double: the reference, CPU only.
    F64,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}
