//! What made a result: versions, inputs, settings, device and times, each by hash where it is a
//! file. Two runs with one [`Manifest::run_id`] have the same figures.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::Serialize;

use super::document::{LevelResult, Levels};
use crate::engine::{DeviceReport, StageTimes};
use crate::instrument::SmileRule;
use crate::margin::{AddOns, Charge, Version};
use crate::run::Outcome;
use crate::scenario::Scenario;
use crate::shard::{FileHash, Identity};

/// Name of the manifest's form.
pub const SCHEMA: &str = "shortfall.manifest";
/// Grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// What made a result.
#[derive(Clone, Debug, Serialize)]
pub struct Manifest {
    /// `shortfall.manifest`.
    pub schema: &'static str,
    /// Version of the form.
    pub schema_version: u32,
    /// BLAKE3 over version, configuration, shaders and the contents of all inputs: what decides
    /// the figures. Neither the names of files nor the device are in it.
    pub run_id: String,
    /// Version of shortfall.
    pub shortfall_version: &'static str,
    /// BLAKE3 of the shaders, concatenated; `null` in a build without them.
    pub shaders_blake3: Option<String>,
    /// When the run started, UTC.
    pub started: String,
    /// When it finished, UTC.
    pub finished: String,
    /// Wall time of the simulation, seconds.
    pub elapsed_seconds: f64,
    /// What it ran on.
    pub device: DeviceReport,
    /// Seconds by stage that the engine spent on tails; `null` where the device does not tell.
    pub stage_seconds: Option<StageTimes>,
    /// Settings after the options of the command line.
    pub configuration: Configuration,
    /// Memory that the run was planned to take at most, in bytes.
    pub planned_peak_memory_bytes: u64,
    /// BLAKE3 of the configuration as compact JSON.
    pub configuration_blake3: String,
    /// Every file that was read, the scenario first.
    pub inputs: Vec<FileHash>,
    /// Time of each case.
    pub cases: Vec<CaseTime>,
    /// The files beside `manifest.json`; empty where no folder was written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<FileHash>,
}

/// Settings of a run that decide its figures, beside the contents of the inputs.
#[derive(Clone, Debug, Serialize)]
pub struct Configuration {
    /// Name of the scenario.
    pub scenario: String,
    /// Unit of all money.
    pub reporting_currency: String,
    /// Paths of a case, or the most under a tolerance.
    pub paths: u64,
    /// Seed of the generator.
    pub seed: u64,
    /// Time steps over the longest horizon.
    pub steps: u32,
    /// Whether one step is taken where the law at the horizon is known exactly.
    pub exact_steps: bool,
    /// Fraction of the ES.
    pub tolerance: Option<f64>,
    /// `f32` or `f64`.
    pub precision: String,
    /// `sticky_moneyness` or `sticky_strike`.
    pub smile: &'static str,
    /// Level of the maintenance margin.
    pub maintenance: LevelResult,
    /// Level of the initial margin.
    pub initial: LevelResult,
    /// Version of the margin rules.
    pub margin_rules: Version,
    /// What is charged of an estimate.
    pub charge: Charge,
    /// What is added to the model's risk.
    pub add_ons: AddOns,
    /// Least margin as a fraction of gross notional.
    pub floor: f64,
    /// Haircut of each asset.
    pub haircuts: BTreeMap<String, f64>,
    /// Cases in their order.
    pub cases: Vec<String>,
}

/// Time of one case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseTime {
    /// Its name.
    pub name: String,
    /// Paths that were simulated.
    pub paths: u64,
    /// Wall time, seconds.
    pub elapsed_seconds: f64,
}

/// A run that is about to start: its inputs are hashed before anything can change them.
pub struct Started {
    at: Timestamp,
    inputs: Vec<FileHash>,
}

/// A file that could not be read again.
#[derive(Debug, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub struct InputFault {
    path: PathBuf,
    error: io::Error,
}

impl Started {
    /// Hashes the inputs of a scenario.
    pub fn now(scenario: &Scenario) -> Result<Self, InputFault> {
        let hash = |path: &PathBuf| {
            FileHash::of(path, path.display().to_string())
                .map_err(|error| InputFault { path: path.clone(), error })
        };
        let inputs = scenario.inputs.iter().map(hash).collect::<Result<_, _>>()?;
        Ok(Self { at: Timestamp::now(), inputs })
    }

    /// What decides the figures of a scenario on these inputs. `shaders` is the BLAKE3 of the
    /// shaders.
    pub fn identity(&self, scenario: &Scenario, shaders: Option<String>) -> Identity {
        let configuration = Configuration::of(scenario);
        let configuration_blake3 = configuration.hash();
        let json = configuration.to_json();
        let shortfall_version = env!("CARGO_PKG_VERSION");
        let mut id = blake3::Hasher::new();
        let mut add = |part: &str| {
            // With its length before it, no two lists of parts read the same.
            id.update(&(part.len() as u64).to_le_bytes());
            id.update(part.as_bytes());
        };
        add(shortfall_version);
        add(&configuration_blake3);
        add(shaders.as_deref().unwrap_or_default());
        self.inputs.iter().for_each(|input| add(&input.blake3));
        Identity {
            run_id: id.finalize().to_hex().to_string(),
            shortfall_version: shortfall_version.to_owned(),
            shaders_blake3: shaders,
            configuration: serde_json::from_slice(&json).expect("JSON that was just written"),
            inputs: self.inputs.clone(),
        }
    }

    /// The manifest of the run that has just finished. `shaders` is the BLAKE3 of the shaders.
    pub fn finish(self, scenario: &Scenario, outcome: &Outcome, shaders: Option<String>) -> Manifest {
        let identity = self.identity(scenario, shaders);
        let configuration = Configuration::of(scenario);
        let time = |case: &crate::run::Case| CaseTime {
            name: case.name.clone(),
            paths: case.paths,
            elapsed_seconds: case.elapsed.as_secs_f64(),
        };
        Manifest {
            schema: SCHEMA,
            schema_version: SCHEMA_VERSION,
            run_id: identity.run_id,
            shortfall_version: env!("CARGO_PKG_VERSION"),
            shaders_blake3: identity.shaders_blake3,
            started: self.at.to_string(),
            finished: Timestamp::now().to_string(),
            elapsed_seconds: outcome.elapsed.as_secs_f64(),
            device: outcome.device.clone(),
            stage_seconds: outcome.stage_times,
            configuration_blake3: configuration.hash(),
            configuration,
            planned_peak_memory_bytes: outcome.planned_peak_memory_bytes,
            inputs: self.inputs,
            cases: outcome.cases.iter().map(time).collect(),
            outputs: Vec::new(),
        }
    }
}

impl Configuration {
    fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain fields become JSON")
    }

    fn hash(&self) -> String {
        blake3::hash(&self.to_json()).to_hex().to_string()
    }

    fn of(scenario: &Scenario) -> Self {
        let Levels { maintenance, initial } = Levels::of(scenario);
        let simulation = &scenario.simulation;
        let names = scenario.market.assets.iter().map(|asset| asset.name.clone());
        let stresses = scenario.stresses.iter().map(|stress| stress.name.clone());
        Self {
            scenario: scenario.name.clone(),
            reporting_currency: scenario.reporting_currency().to_owned(),
            paths: simulation.paths,
            seed: simulation.seed,
            steps: simulation.steps,
            exact_steps: simulation.exact_steps,
            tolerance: simulation.tolerance,
            precision: simulation.precision.to_string(),
            smile: match simulation.smile {
                SmileRule::StickyMoneyness => "sticky_moneyness",
                SmileRule::StickyStrike => "sticky_strike",
            },
            maintenance,
            initial,
            margin_rules: scenario.margin.version.clone(),
            charge: scenario.margin.charge,
            add_ons: scenario.margin.add_ons.clone(),
            floor: scenario.margin.floor,
            haircuts: names.zip(scenario.margin.haircuts.iter().copied()).collect(),
            cases: std::iter::once("base".to_owned()).chain(stresses).collect(),
        }
    }
}
