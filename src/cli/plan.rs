//! `shortfall plan`: divide a run into shards.

use std::path::PathBuf;

use clap::Args;
use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::gpu::shaders_blake3;
use shortfall::plan::{Bytes, Memory};
use shortfall::report::manifest::Started;
use shortfall::run;
use shortfall::scenario::{self, Precision, Scenario, Selection};
use shortfall::shard::{self, By, Part, Plan, PlanFault, Settings};

use super::exit::{Failure, exit_codes};
use super::output;
use super::overrides::{self, Overrides};

/// Divide a run into shards, for several processes or machines
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The scenario, a YAML file
    pub scenario: PathBuf,
    /// Number of shards
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(shard::MAX_SHARDS)))]
    pub shards: u32,
    /// By what to divide: accounts (the rule), or paths (for a few huge accounts)
    #[arg(long, value_name = "WHAT", value_parser = by, default_value = "accounts")]
    pub by: By,
    /// Folder of the plan and its shards
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    #[command(flatten)]
    pub overrides: Overrides,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall plan night/scenario.yaml --shards 4 --out work
  shortfall shard work --index 0            on each machine another one
  shortfall merge work --out results/today  once all are done

The same scenario and options give the same plan. The merged result has the bytes of one run.

",
    exit_codes!()
);

fn by(text: &str) -> Result<By, String> {
    match text {
        "accounts" => Ok(By::Accounts),
        "paths" => Ok(By::Paths),
        _ => Err("expected accounts or paths".to_owned()),
    }
}

/// Plans it.
pub fn plan(arguments: &Arguments) -> Result<(), Failure> {
    let mut scenario = scenario::read(&arguments.scenario)?;
    arguments.overrides.apply(&mut scenario)?;
    let usage = |fault: PlanFault| Failure::Usage(fault.to_string());
    if scenario.simulation.tolerance.is_some() {
        return Err(usage(PlanFault::Tolerance));
    }
    let simulation = &scenario.simulation;
    let shards = Part::divide(&scenario.portfolio, simulation.paths, arguments.shards, arguments.by);
    let place = arguments.scenario.canonicalize();
    let plan = Plan {
        schema: shard::PLAN_SCHEMA.to_owned(),
        schema_version: shard::PLAN_SCHEMA_VERSION,
        identity: identity(&scenario)?,
        scenario: place.map_err(|e| Failure::Io(format!("{}: {e}", arguments.scenario.display())))?,
        settings: Settings {
            paths: simulation.paths,
            seed: simulation.seed,
            steps: simulation.steps,
            precision: simulation.precision.to_string(),
            attribution: scenario.attribution.to_string(),
        },
        by: arguments.by,
        cases: (0..run::case_count(&scenario))
            .map(|case| run::case_name(&scenario, case).to_owned())
            .collect(),
        accounts: scenario.portfolio.accounts.len() as u64,
        shards: shards.map_err(usage)?,
    };
    plan.write(&arguments.out)?;
    output::print(&table(&scenario, &plan))
}

/// The scenario of a plan, with the settings of the plan, wherever it lies now.
pub fn planned(
    folder: &std::path::Path,
    elsewhere: Option<&PathBuf>,
) -> Result<(Plan, Scenario, Started), Failure> {
    let plan = Plan::read(folder)?;
    let mut scenario = scenario::read(elsewhere.unwrap_or(&plan.scenario))?;
    let Settings { paths, seed, steps, precision, attribution } = &plan.settings;
    overrides::select(&mut scenario, Selection::parse(attribution).as_ref())?;
    scenario.simulation.paths = *paths;
    scenario.simulation.seed = *seed;
    scenario.simulation.steps = *steps;
    scenario.simulation.precision = if precision == "f64" { Precision::F64 } else { Precision::F32 };
    scenario.simulation.tolerance = None;
    let cases = plan.cases.iter().filter(|case| *case != "base").cloned();
    scenario.stresses.retain(|stress| plan.cases.contains(&stress.name));
    overrides::keep_cases(&mut scenario, &cases.collect::<Vec<_>>())?;
    let started = Started::now(&scenario).map_err(|fault| Failure::Io(fault.to_string()))?;
    plan.check(folder, &started.identity(&scenario, Some(shaders_blake3())))?;
    Ok((plan, scenario, started))
}

/// What decides the figures of a scenario.
fn identity(scenario: &Scenario) -> Result<shard::Identity, Failure> {
    let started = Started::now(scenario).map_err(|fault| Failure::Io(fault.to_string()))?;
    Ok(started.identity(scenario, Some(shaders_blake3())))
}

fn table(scenario: &Scenario, plan: &Plan) -> String {
    let mut text = format!(
        "run {}: {} cases, {} accounts, {} paths\n\n{:>5}  {:>19}  {:>10}  {:>23}  {:>13}  {:>9}\n",
        &plan.identity.run_id[..16],
        plan.cases.len(),
        plan.accounts,
        plan.settings.paths,
        "shard",
        "accounts",
        "holdings",
        "paths",
        "account-paths",
        "memory",
    );
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    for part in &plan.shards {
        let memory = Memory::plan(scenario, part, &mut engine, None).unwrap_or_else(|fault| fault.memory);
        let accounts = part.accounts.end - part.accounts.start;
        let paths = part.paths.end - part.paths.start;
        text.push_str(&format!(
            "{:>5}  {:>19}  {:>10}  {:>23}  {:>13.3e}  {:>9}\n",
            part.index,
            format!("{}..{}", part.accounts.start, part.accounts.end),
            part.holdings,
            format!("{}..{}", part.paths.start, part.paths.end),
            (accounts * paths * plan.cases.len() as u64) as f64,
            Bytes(memory.peak_of_shard()).to_string(),
        ));
    }
    text
}
