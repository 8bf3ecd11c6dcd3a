//! `shortfall bench`: fixed workloads on every engine of this machine.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use clap::Args;
use shortfall::bench::{
    self, BenchReport, Contender, Measurement, WORKLOADS, Workload, WorkloadName, paths_of,
};

use super::exit::{Failure, exit_codes};
use super::output;
use super::progress::Spinner;

/// Measure fixed workloads on every engine of this machine
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// Fewer paths: a look within a minute
    #[arg(long)]
    pub quick: bool,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
    /// Draw a bar chart of the speeds
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Only this workload: w1, w1-exact, w2 or night; may be repeated
    #[arg(long = "workload", value_name = "NAME", value_parser = workload)]
    pub workloads: Vec<WorkloadName>,
    /// Only this engine: cpu, cpu-baseline, cpu-f64 or gpu:NAME; may be repeated
    #[arg(long = "engine", value_name = "NAME", value_parser = engine)]
    pub engines: Vec<Contender>,
    /// Software adapters as well
    #[arg(long)]
    pub software: bool,
    /// Times that each is repeated [default: 5 for w1 and w2, 1 for night and --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: Option<u32>,
    /// Write workloads as JSON and NumPy arrays for other programs instead of measuring [default: w1 and w2]
    #[arg(long, value_name = "DIR", conflicts_with_all = ["svg", "json", "engines"])]
    pub export: Option<PathBuf>,
    /// Measure in this process, and print the measurement alone
    #[arg(long, hide = true)]
    pub alone: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Workloads:
  w1        1 account: 4 spot, 4 futures, 200 options on 4 Merton assets; 1,000,000 paths, 24 steps
  w1-exact  the same in the one step that is exact
  w2        10,000 accounts x 20 positions in 500 instruments; 100,000 paths
  night     100,000 accounts, 2 million positions, 1,000 instruments, 50 assets; 1,000,000 paths

Examples:
  shortfall bench --quick                     every engine in a minute
  shortfall bench --svg bench.svg             the whole of it; the night takes minutes
  shortfall bench --workload w1 --repeat 20 --json
  shortfall bench --export files --workload night     155 MB, of 16,384 paths

Each workload runs in a process of its own on each engine, so that its peak memory is its own.

",
    exit_codes!()
);

fn workload(text: &str) -> Result<WorkloadName, String> {
    WorkloadName::parse(text).ok_or_else(|| "expected w1, w1-exact, w2 or night".to_owned())
}

fn engine(text: &str) -> Result<Contender, String> {
    Contender::parse(text).ok_or_else(|| "expected cpu, cpu-baseline, cpu-f64 or gpu:NAME".to_owned())
}

/// Measures and shows.
pub fn bench(arguments: &Arguments) -> Result<(), Failure> {
    if let Some(folder) = &arguments.export {
        let usual = [WorkloadName::W1, WorkloadName::W2];
        let workloads = if arguments.workloads.is_empty() { &usual[..] } else { &arguments.workloads };
        bench::export(folder, workloads).map_err(|fault| Failure::Io(fault.to_string()))?;
        output::say(&format!("wrote {}", folder.display()));
        return Ok(());
    }
    let workloads = if arguments.workloads.is_empty() { &WORKLOADS[..] } else { &arguments.workloads };
    let engines = match &arguments.engines[..] {
        [] => Contender::present(arguments.software),
        named => named.to_vec(),
    };
    if arguments.alone {
        return alone(workloads[0], &engines[0], arguments);
    }
    let spinner = Spinner::new("starting");
    let mut measurements = Vec::new();
    let of = workloads.len() * engines.len();
    for (index, name) in workloads.iter().enumerate() {
        for (at, engine) in engines.iter().enumerate() {
            spinner.stage(&format!("{}/{of} {name} on {engine}", index * engines.len() + at + 1));
            match in_a_process(*name, engine, arguments) {
                Ok(measurement) => measurements.push(measurement),
                // A device that cannot do one workload leaves the others.
                Err(failure) if matches!(engine, Contender::Gpu(_)) => {
                    output::say_over_bar(&failure.to_string())
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    spinner.finish();
    let report = BenchReport::new(arguments.quick, measurements);
    if let Some(path) = &arguments.svg {
        fs::write(path, report.to_svg()).map_err(|e| Failure::Io(format!("{}: {e}", path.display())))?;
    }
    output::print(&if arguments.json { report.to_json() } else { report.to_text() })
}

/// Measures one workload on one engine here.
fn alone(name: WorkloadName, engine: &Contender, arguments: &Arguments) -> Result<(), Failure> {
    let work = Workload::new(name).map_err(|fault| Failure::Data(fault.to_string()))?;
    let work = work.with_paths(paths_of(name, engine, arguments.quick));
    let usual = if arguments.quick || name == WorkloadName::Night { 1 } else { 5 };
    let measurement = bench::measure(&work, engine, arguments.repeat.unwrap_or(usual))?;
    output::print(&serde_json::to_string(&measurement).expect("plain fields become JSON"))
}

/// Measures one workload on one engine in a process of its own.
fn in_a_process(
    name: WorkloadName,
    engine: &Contender,
    arguments: &Arguments,
) -> Result<Measurement, Failure> {
    let fault = |what: String| Failure::Io(format!("measuring {name} on {engine}: {what}"));
    let program = std::env::current_exe().map_err(|error| fault(error.to_string()))?;
    let mut command = Command::new(program);
    command.args(["bench", "--alone", "--workload", name.as_str(), "--engine", &engine.to_string()]);
    if arguments.quick {
        command.arg("--quick");
    }
    if let Some(repeat) = arguments.repeat {
        command.args(["--repeat", &repeat.to_string()]);
    }
    let done = command.stdin(Stdio::null()).output().map_err(|error| fault(error.to_string()))?;
    if !done.status.success() {
        return Err(fault(String::from_utf8_lossy(&done.stderr).trim().to_owned()));
    }
    serde_json::from_slice(&done.stdout).map_err(|error| fault(error.to_string()))
}
