//! `shortfall run`: simulate a scenario and report its margins.

use std::path::PathBuf;

use clap::Args;
use shortfall::engine::gpu::shaders_blake3;
use shortfall::engine::{Engine, EngineFault};
use shortfall::report::manifest::Started;
use shortfall::report::{Document, Folder, text};
use shortfall::run::{self, Outcome};
use shortfall::scenario::{self, Scenario};

use super::exit::{Failure, exit_codes};
use super::fail_if::{self, Threshold};
use super::overrides::{self, Overrides};
use super::progress::Progress;
use super::{device, output};

/// Simulate a scenario: margins of every account, now and after each stress
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The scenario, a YAML file; `shortfall init DIR` writes an example
    pub scenario: PathBuf,
    /// Run only this stress beside the base case; may be repeated
    #[arg(long = "case", value_name = "NAME")]
    pub cases: Vec<String>,
    /// Exit with code 10 if an account breaches a threshold; may be repeated
    #[arg(long, value_name = "EXPRESSION", allow_hyphen_values = true)]
    pub fail_if: Vec<Threshold>,
    /// Print the whole result as JSON on standard output instead of the table
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Write results.csv, results.parquet, summary.json and manifest.json to a new folder
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// Replace an earlier result in the folder of --out
    #[arg(long, requires = "out", help_heading = "Output")]
    pub force: bool,
    /// No table and no progress bar; faults and breaches are still shown
    #[arg(long, short, help_heading = "Output")]
    pub quiet: bool,
    #[command(flatten)]
    pub overrides: Overrides,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall run scenarios/nightly.yaml --out results/today
  shortfall run book.yaml --paths 100000 --case 'March 2020'
  shortfall run book.yaml --tolerance 0.5% --json | jq '.cases[0].accounts[].initial_margin'
  shortfall run book.yaml --quiet --fail-if 'any: health < 1' || alert

Thresholds: [CASE:] FIELD OP NUMBER
  CASE   base (the default), the name of a stress, or any
  FIELD  health, equity, market_value, maintenance_margin, initial_margin,
         expected_shortfall, value_at_risk (both at the maintenance level)
  OP     <  <=  >  >=
  A case without a result counts as a breach.

",
    exit_codes!()
);

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = read(arguments)?;
    let folder = arguments.out.as_ref().map(|place| Folder::check(place, arguments.force)).transpose()?;
    let started = Started::now(&scenario).map_err(|fault| Failure::Io(fault.to_string()))?;
    warn_of_thin_tails(&scenario);
    let mut engine = device::choose(&scenario.simulation.device, scenario.simulation.precision)?;
    let outcome = simulate(&scenario, engine.as_mut(), !arguments.quiet)?;
    if let Some(Err(reason)) = outcome.cases.first().map(|case| &case.accounts) {
        return Err(Failure::Data(format!("the base case has no result: {reason}")));
    }
    let manifest = started.finish(&scenario, &outcome, Some(shaders_blake3()));
    let document = Document::new(&scenario, &outcome, manifest);
    if let Some(folder) = folder {
        folder.write(&document)?;
        if !arguments.quiet {
            output::say(&format!("wrote {}", folder.place().display()));
        }
    }
    if arguments.json {
        output::print(&document.to_json())?;
    } else if !arguments.quiet {
        output::print(&text::render(&document, output::style()))?;
    }
    fail_if::judge(&arguments.fail_if, &document)
}

fn read(arguments: &Arguments) -> Result<Scenario, Failure> {
    let mut scenario = scenario::read(&arguments.scenario)?;
    arguments.overrides.apply(&mut scenario)?;
    overrides::keep_cases(&mut scenario, &arguments.cases)?;
    let stresses = scenario.stresses.iter().map(|stress| stress.name.as_str());
    let cases: Vec<&str> = std::iter::once("base").chain(stresses).collect();
    arguments.fail_if.iter().try_for_each(|threshold| threshold.check(&cases))?;
    Ok(scenario)
}

/// Paths in a tail below which its standard errors are themselves guesses.
const FEW_TAIL_PATHS: f64 = 10.0;

/// Says so where a run has too few paths to know its own errors.
fn warn_of_thin_tails(scenario: &Scenario) {
    let thinnest =
        run::levels(scenario).map(|(_, confidence)| confidence.tail()).into_iter().fold(1.0, f64::min);
    let in_tail = scenario.simulation.paths as f64 * thinnest;
    if in_tail < FEW_TAIL_PATHS {
        output::say(&format!(
            "warning: {} paths put {in_tail:.1} into the tail, and their standard errors mean little; use {} or more",
            scenario.simulation.paths,
            (FEW_TAIL_PATHS / thinnest).round()
        ));
    }
}

fn simulate(scenario: &Scenario, engine: &mut dyn Engine, shown: bool) -> Result<Outcome, EngineFault> {
    let mut progress = Progress::new(shown);
    let outcome = run::run(scenario, engine, &mut progress);
    progress.finish();
    outcome
}
