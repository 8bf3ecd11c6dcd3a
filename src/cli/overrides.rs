//! Options that change a scenario, within the limits of its file.

use clap::Args;
use shortfall::scenario::{self, DeviceChoice, Precision, SELECTION, Scenario, Selection};

use super::exit::Failure;

/// Options that change the simulation of a scenario.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Instead of the scenario's own")]
pub struct Overrides {
    /// Where to run: auto, cpu, gpu, gpu:NAME for an adapter by part of its name or its bus id, gpus
    /// for all hardware GPUs, or several side by side such as cpu,gpu
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub device: Option<DeviceChoice>,
    /// Paths of each case; the most to use with --tolerance
    #[arg(long, value_name = "N", value_parser = paths, allow_negative_numbers = true)]
    pub paths: Option<u64>,
    /// Seed: the same seed gives the same figures
    #[arg(long, value_name = "N", value_parser = seed, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Time steps over the longest horizon
    #[arg(long, value_name = "N", value_parser = |t: &str| integer(t, 1, scenario::MAX_STEPS), allow_negative_numbers = true)]
    pub steps: Option<u64>,
    /// f32, or f64 on the CPU as the reference
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    pub precision: Option<Precision>,
    /// Stop once every standard error is below this fraction of its Expected Shortfall, such as 0.5%
    #[arg(long, value_name = "FRACTION", value_parser = tolerance, allow_negative_numbers = true)]
    pub tolerance: Option<f64>,
    /// Accounts whose margin is taken apart, with their worst paths: none, all, NAME[,NAME], top:N
    /// by Expected Shortfall, or above:AMOUNT of it
    #[arg(long, value_name = "ACCOUNTS", value_parser = selection, allow_hyphen_values = true)]
    pub attribution: Option<Selection>,
}

impl Overrides {
    /// Changes a checked scenario.
    pub fn apply(&self, scenario: &mut Scenario) -> Result<(), Failure> {
        select(scenario, self.attribution.as_ref())?;
        let simulation = &mut scenario.simulation;
        simulation.paths = self.paths.unwrap_or(simulation.paths);
        simulation.seed = self.seed.unwrap_or(simulation.seed);
        simulation.tolerance = self.tolerance.or(simulation.tolerance);
        simulation.precision = self.precision.unwrap_or(simulation.precision);
        if let Some(steps) = self.steps {
            simulation.steps = steps as u32;
        }
        if let Some(device) = &self.device {
            simulation.device = device.clone();
        }
        if simulation.precision == Precision::F64 && simulation.device.is_on_gpu() {
            return Err(Failure::Usage(
                "precision f64 on a GPU; use --device cpu with f64, or --precision f32".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Takes another selection of accounts to attribute, if there is one.
pub fn select(scenario: &mut Scenario, selection: Option<&Selection>) -> Result<(), Failure> {
    let Some(selection) = selection else { return Ok(()) };
    if let Some(name) = selection.unknown(&scenario.portfolio) {
        return Err(Failure::Usage(format!("--attribution {name}: no such account")));
    }
    scenario.attribution = selection.clone();
    Ok(())
}

/// Keeps the named stresses; the base case always runs, and so do stresses that the margin rules
/// name.
pub fn keep_cases(scenario: &mut Scenario, names: &[String]) -> Result<(), Failure> {
    if names.is_empty() {
        return Ok(());
    }
    let known: Vec<&str> = scenario.stresses.iter().map(|stress| stress.name.as_str()).collect();
    if let Some(name) = names.iter().find(|name| *name != "base" && !known.contains(&name.as_str())) {
        return Err(Failure::Usage(format!(
            "--case {name}: no such case; the scenario has base{}",
            known.iter().map(|name| format!(", {name}")).collect::<String>()
        )));
    }
    let needed = scenario.margin.add_ons.cases().map(|case| case.map(str::to_owned));
    let is_needed = |name: &String| needed.iter().flatten().any(|case| case == name);
    scenario.stresses.retain(|stress| names.contains(&stress.name) || is_needed(&stress.name));
    Ok(())
}

fn integer(text: &str, low: u64, high: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|n| (low..=high).contains(n));
    number.ok_or_else(|| format!("expected a whole number from {low} to {high}"))
}

/// Reads `--paths`.
pub fn paths(text: &str) -> Result<u64, String> {
    integer(text, 1, scenario::MAX_PATHS)
}

/// Reads `--seed`.
pub fn seed(text: &str) -> Result<u64, String> {
    integer(text, 0, scenario::MAX_SEED)
}

/// Reads `--device`.
pub fn device(text: &str) -> Result<DeviceChoice, String> {
    DeviceChoice::parse(text).ok_or_else(|| format!("expected {}", scenario::DEVICE))
}

/// Reads `--attribution`.
pub fn selection(text: &str) -> Result<Selection, String> {
    Selection::parse(text).ok_or_else(|| format!("expected {SELECTION}"))
}

fn precision(text: &str) -> Result<Precision, String> {
    match text {
        "f32" => Ok(Precision::F32),
        "f64" => Ok(Precision::F64),
        _ => Err("expected f32 or f64".to_owned()),
    }
}

fn tolerance(text: &str) -> Result<f64, String> {
    scenario::tolerance(text).ok_or_else(|| format!("expected {}", scenario::TOLERANCE))
}
