//! `shortfall validate`: compare engines path by path, price a table of options, or write the
//! validation pack.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use shortfall::engine::Engine;
use shortfall::scenario::{self, DeviceChoice, Precision};
use shortfall::validate::prices::{BYTES_MAX, price_table};
use shortfall::validate::{self, Check, EnginePricer, Subject, Verdict};

use super::exit::{Failure, exit_codes};
use super::progress::Spinner;
use super::{device, output, overrides, pack};

/// Paths for each row of a price table.
const PRICE_PATHS: u64 = 1 << 20;

/// Compare the engines on a scenario, price a table of options, or write the validation pack
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The scenario to compare the engines on
    #[arg(required_unless_present_any = ["prices", "report"], conflicts_with_all = ["prices", "report"])]
    pub scenario: Option<PathBuf>,
    /// Price this table of European options by closed form and by Monte Carlo
    #[arg(long, value_name = "FILE.csv")]
    pub prices: Option<PathBuf>,
    /// Write the priced table there instead of to standard output
    #[arg(long, value_name = "FILE", requires = "prices")]
    pub out: Option<PathBuf>,
    /// Run every test and write the pack for a model-validation team; its charts go to a folder beside it
    #[arg(long, value_name = "FILE.md", num_args = 0..=1, default_missing_value = "docs/validation.md", conflicts_with_all = ["prices", "paths"])]
    pub report: Option<PathBuf>,
    /// A shorter report: fewer paths, seeds and models
    #[arg(long, requires = "report")]
    pub quick: bool,
    /// The folder of the shipped scenarios and histories that the report runs on
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    pub scenarios: PathBuf,
    /// Print the comparison as JSON
    #[arg(long, conflicts_with = "prices")]
    pub json: bool,
    /// The engine for prices, and the GPU to compare: auto, cpu, gpu or gpu:NAME
    #[arg(long, value_name = "DEVICE", value_parser = overrides::device)]
    pub device: Option<DeviceChoice>,
    /// Paths to simulate; a scenario's own without it
    #[arg(long, value_name = "N", value_parser = overrides::paths)]
    pub paths: Option<u64>,
    /// Seed of the prices
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = overrides::seed)]
    pub seed: u64,
}

const AFTER_HELP: &str = concat!(
    "\
A scenario is compared three ways: GPU f32 with CPU f32 (bit by bit, where there is an adapter; a
software adapter counts), CPU f32 with CPU f64, CPU f64 with closed forms. Each line shows the
measured error and its bound. The exit code is 1 if any bound is missed.

A price table is a CSV file whose header tells the model:
  cp,strike,spot,q,r,t,vol                                            Black-Scholes
  cp,strike,spot,q,r,t,total_vol,lambda,gamma                         Merton, as Haug tabulates it
  cp,spot,strike,q,r,days_act365,sigma,lambda,mean_log_jump,sd_log_jump   Merton
  cp,spot,strike,q,r,days_act365,sigma,lambda,p_up,eta1,eta2          Kou
Other columns and comments are kept; value, mc_value and mc_standard_error are added.

The report runs everything (option tables, exact Expected Shortfalls, engines against each other,
standard errors, calibration, backtests, sensitivities) on the shipped data and writes what it
found, misses included; the exit code is 1 if any bound is missed. SHORTFALL_DATA may name a folder
with raw series that are not shipped.

Examples:
  shortfall validate scenarios/quickstart.yaml
  shortfall validate --report
  shortfall validate --report pack.md --quick
  shortfall validate --prices options.csv --out priced.csv

",
    exit_codes!()
);

/// Validates.
pub fn validate(arguments: &Arguments) -> Result<(), Failure> {
    match (&arguments.scenario, &arguments.prices, &arguments.report) {
        (_, Some(table), _) => prices(arguments, table),
        (_, _, Some(file)) => pack::report(arguments, file),
        (Some(path), None, None) => compare(arguments, path),
        (None, None, None) => Err(Failure::Usage("a scenario, --prices FILE.csv or --report".to_owned())),
    }
}

fn prices(arguments: &Arguments, path: &Path) -> Result<(), Failure> {
    let name = path.display().to_string();
    let unreadable = |error: std::io::Error| Failure::Data(format!("{name}: {error}"));
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > BYTES_MAX as u64 {
        return Err(Failure::Data(format!(
            "{name}: {size} bytes; at most {BYTES_MAX} are read, split the table"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let choice = arguments.device.clone().unwrap_or_default();
    let mut engine = device::choose(&choice, Precision::F32)?;
    let spinner = Spinner::new("pricing");
    let paths = arguments.paths.unwrap_or(PRICE_PATHS);
    let mut pricer =
        EnginePricer::new(engine.as_mut(), paths, arguments.seed, |paths| spinner.advance(paths));
    let priced = price_table(&text, &name, &mut pricer);
    spinner.finish();
    let priced = priced?;
    match &arguments.out {
        Some(out) => {
            write_beside(out, &priced).map_err(|error| Failure::Io(format!("{}: {error}", out.display())))
        }
        None => output::print(&priced),
    }
}

/// Writes a file that is whole or not there.
pub(super) fn write_beside(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.partial", std::process::id()));
    let write = || {
        let mut file = std::fs::File::create(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().inspect_err(|_| {
        // The first error is the one to report.
        let _ = std::fs::remove_file(&beside);
    })
}

fn compare(arguments: &Arguments, path: &Path) -> Result<(), Failure> {
    let mut scenario = scenario::read(path)?;
    scenario.simulation.paths = arguments.paths.unwrap_or(scenario.simulation.paths);
    let choice = arguments.device.clone().unwrap_or_default();
    let mut gpu = gpu(&choice)?;
    let spinner = Spinner::new("comparing");
    let name = gpu.as_ref().map(|gpu| gpu.device().name).ok();
    let subject = Subject {
        scenario: &scenario,
        gpu: match &mut gpu {
            Ok(gpu) => Ok(&mut **gpu),
            Err(why) => Err(why.clone()),
        },
    };
    let checks = validate::validate(subject, &mut |stage| spinner.stage(stage));
    spinner.finish();
    let checks = checks?;
    if arguments.json {
        let document = serde_json::json!({
            "scenario": scenario.name,
            "paths": scenario.simulation.paths,
            "adapter": name,
            "checks": checks,
        });
        output::print(&format!("{document:#}\n"))?;
    } else {
        output::print(&table(&scenario.name, scenario.simulation.paths, name.as_deref(), &checks))?;
    }
    let missed = checks.iter().filter(|check| check.verdict == Verdict::Miss).count();
    if missed > 0 { Err(Failure::Missed(missed)) } else { Ok(()) }
}

/// The GPU to compare, or why there is none; a failure where one was named.
pub(super) fn gpu(choice: &DeviceChoice) -> Result<Result<Box<dyn Engine>, String>, Failure> {
    match choice {
        DeviceChoice::Cpu => Ok(Err("--device cpu".to_owned())),
        DeviceChoice::Auto => Ok(device::any_gpu(None).map_err(|fault| fault.to_string())),
        DeviceChoice::Gpu(name) => Ok(Ok(device::any_gpu(name.as_deref())?)),
        DeviceChoice::Several(_) => {
            Err(Failure::Usage("validate compares one GPU at a time: --device gpu:NAME".to_owned()))
        }
    }
}

fn table(scenario: &str, paths: u64, adapter: Option<&str>, checks: &[Check]) -> String {
    let adapter = adapter.unwrap_or("none");
    let mut text = format!("{scenario}, {paths} paths, adapter: {adapter}\n\n");
    let width = checks.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    text +=
        &format!("{:7}  {:width$}  {:>12}  {:>10}  {:>10}\n", "", "comparison", "values", "error", "bound");
    for check in checks {
        let verdict = match check.verdict {
            Verdict::Pass => "pass",
            Verdict::Miss => "MISS",
            Verdict::Skipped => "skipped",
        };
        text += &format!("{verdict:7}  {:width$}  ", check.name);
        if check.verdict == Verdict::Skipped {
            text += &format!("{}\n", check.note);
            continue;
        }
        let number = |x: f64| if x == 0.0 { "0".to_owned() } else { format!("{x:.2e}") };
        let (error, bound) = (number(check.measured), number(check.bound));
        let note = if check.note.is_empty() { String::new() } else { format!(" ({})", check.note) };
        text += &format!("{:>12}  {error:>10}  {bound:>10}  {}{note}\n", check.values, check.unit);
    }
    text
}
