//! `shortfall run`: simulate a scenario and report its margins.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use shortfall::engine::Engine;
use shortfall::engine::gpu::shaders_blake3;
use shortfall::plan::{Bytes, Memory};
use shortfall::report::manifest::Started;
use shortfall::report::{Document, Folder, text};
use shortfall::risk::FEW_TAIL_PATHS;
use shortfall::run::{self, Outcome, RunFault, StoreFault};
use shortfall::scenario::{self, Scenario};
use shortfall::shard::{self, Checkpoints, Identity, Part};
use shortfall::units::Years;

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
    /// Go on with an interrupted run of the same scenario and the same --out
    #[arg(long, requires = "out", help_heading = "Output")]
    pub resume: bool,
    /// Time between checkpoints in DIR.partial beside the folder of --out; 0s after every tile
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2s", help_heading = "Output")]
    pub checkpoint_every: Duration,
    /// Refuse to run if more memory than this would be needed, such as 2GiB; tiles shrink to fit
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub memory_limit: Option<Bytes>,
    /// Replace an earlier result in the folder of --out, and forget an interrupted run
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
  shortfall run scenarios/nightly.yaml --out results/today --resume   after an interruption
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

fn duration(text: &str) -> Result<Duration, String> {
    let years = Years::parse(text).filter(|years| years.days() <= 1.0);
    let duration = years.map(|years| Duration::from_secs_f64(years.days() * 86_400.0));
    duration.ok_or_else(|| "expected a duration up to a day, such as 2s or 1m".to_owned())
}

fn size(text: &str) -> Result<Bytes, String> {
    Bytes::parse(text).ok_or_else(|| "expected a size such as 2GiB or 800MiB".to_owned())
}

/// Runs it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = read(arguments)?;
    let reporting = Reporting { fail_if: &arguments.fail_if, json: arguments.json, quiet: arguments.quiet };
    reporting.check(&scenario)?;
    let started = Started::now(&scenario).map_err(|fault| Failure::Io(fault.to_string()))?;
    let identity = started.identity(&scenario, Some(shaders_blake3()));
    warn_of_thin_tails(&scenario);
    let mut engine = device::choose(&scenario.simulation.device, scenario.simulation.precision)?;
    let part = Part::whole(&scenario.portfolio, scenario.simulation.paths);
    let allowed = arguments.memory_limit.map(|Bytes(bytes)| bytes);
    let memory = Memory::plan(&scenario, &part, engine.as_mut(), allowed)?;
    let kept = Kept::open(arguments, &scenario, &identity)?;
    if !arguments.quiet {
        output::say(&header(&scenario, &memory, engine.as_ref()));
    }
    let mut progress = Progress::new(!arguments.quiet);
    let (folder, mut checkpoints) =
        kept.map_or((None, None), |kept| (Some(kept.folder), Some(kept.checkpoints)));
    let outcome = match &mut checkpoints {
        Some(checkpoints) => run::run_from(&scenario, checkpoints, engine.as_mut(), &mut progress),
        None => run::run(&scenario, engine.as_mut(), &mut progress).map_err(RunFault::from),
    };
    progress.finish();
    let mut outcome = outcome.map_err(|fault| resumable(fault, arguments))?;
    outcome.planned_peak_memory_bytes = memory.peak();
    let result = reporting.report(&scenario, &outcome, started, folder);
    if let (Some(checkpoints), Ok(()) | Err(Failure::Breached(_) | Failure::Incomplete(_))) =
        (checkpoints, &result)
    {
        checkpoints.remove()?;
    }
    result
}

/// One line on what is about to run.
fn header(scenario: &Scenario, memory: &Memory, engine: &dyn Engine) -> String {
    format!(
        "{}: {} accounts, {} instruments, {} cases of {} paths on {}; planned peak memory {}",
        scenario.name,
        scenario.portfolio.accounts.len(),
        scenario.portfolio.instruments.len(),
        run::case_count(scenario),
        scenario.simulation.paths,
        engine.device().engine,
        Bytes(memory.peak()),
    )
}

/// Says how to go on after a fault.
fn resumable(fault: RunFault, arguments: &Arguments) -> Failure {
    match (fault, &arguments.out) {
        (RunFault::Store(StoreFault::Io { path, error }), Some(out)) => Failure::Io(format!(
            "{}: {error}; what was simulated is kept in {}, and --resume goes on from there",
            path.display(),
            partial(out).display()
        )),
        (fault, _) => fault.into(),
    }
}

/// Folder of the checkpoints of a result's folder.
fn partial(out: &Path) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    out.with_file_name(name)
}

/// Where the result goes, and what is kept on the way.
struct Kept {
    folder: Folder,
    checkpoints: Checkpoints,
}

impl Kept {
    fn open(
        arguments: &Arguments,
        scenario: &Scenario,
        identity: &Identity,
    ) -> Result<Option<Self>, Failure> {
        let Some(out) = &arguments.out else { return Ok(None) };
        let partial = partial(out);
        let begun = Checkpoints::exist(&partial);
        // A run that was killed after its result was in place: the result is made again from its
        // checkpoints, which takes no simulation.
        let finished = arguments.resume && begun && out.exists();
        let folder = Folder::check(out, arguments.force || finished)?;
        if begun && !arguments.resume {
            if !arguments.force {
                return Err(Failure::Usage(format!(
                    "{} holds an interrupted run; --resume goes on with it, --force forgets it",
                    partial.display()
                )));
            }
            shard::remove_checkpoints(&partial)?;
        }
        if arguments.resume && !arguments.quiet {
            output::say(&match begun {
                true => format!("going on with {}", partial.display()),
                false => format!("nothing to resume in {}: starting afresh", partial.display()),
            });
        }
        let part = Part::whole(&scenario.portfolio, scenario.simulation.paths);
        let checkpoints = Checkpoints::of_run(&partial, identity, part, arguments.checkpoint_every)?;
        Ok(Some(Self { folder, checkpoints }))
    }
}

/// What to do with an outcome.
pub struct Reporting<'a> {
    /// Thresholds to judge.
    pub fail_if: &'a [Threshold],
    /// JSON instead of the table.
    pub json: bool,
    /// No table.
    pub quiet: bool,
}

impl Reporting<'_> {
    /// Checks that the thresholds name cases of the scenario.
    pub fn check(&self, scenario: &Scenario) -> Result<(), Failure> {
        let cases: Vec<&str> =
            (0..run::case_count(scenario)).map(|case| run::case_name(scenario, case)).collect();
        self.fail_if.iter().try_for_each(|threshold| threshold.check(&cases))
    }

    /// Writes and shows an outcome, and judges it.
    pub fn report(
        &self,
        scenario: &Scenario,
        outcome: &Outcome,
        started: Started,
        folder: Option<Folder>,
    ) -> Result<(), Failure> {
        if let Some(Err(reason)) = outcome.cases.first().map(|case| &case.accounts) {
            return Err(Failure::Data(format!("the base case has no result: {reason}")));
        }
        let manifest = started.finish(scenario, outcome, Some(shaders_blake3()));
        let document = Document::new(scenario, outcome, manifest);
        if let Some(folder) = folder {
            folder.write(&document)?;
            if !self.quiet {
                output::say(&format!("wrote {}", folder.place().display()));
            }
        }
        if self.json {
            output::print(&document.to_json())?;
        } else if !self.quiet {
            output::print(&text::render(&document, output::style()))?;
        }
        fail_if::judge(self.fail_if, &document)?;
        incomplete(&document)
    }
}

/// A base case without the figures of some accounts is no success, although all others are there.
fn incomplete(document: &Document) -> Result<(), Failure> {
    let failed = document.cases.first().map_or(&[][..], |case| &case.failed_accounts);
    match failed.first() {
        None => Ok(()),
        Some(first) => Err(Failure::Incomplete(format!(
            "{} of the accounts have no result in the base case, such as {}: {}",
            failed.len(),
            first.account,
            first.reason
        ))),
    }
}

fn read(arguments: &Arguments) -> Result<Scenario, Failure> {
    let mut scenario = scenario::read(&arguments.scenario)?;
    arguments.overrides.apply(&mut scenario)?;
    overrides::keep_cases(&mut scenario, &arguments.cases)?;
    Ok(scenario)
}

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

#[cfg(test)]
mod tests {
    use shortfall::engine::cpu::CpuEngine;
    use shortfall::run::{FailedAccount, Silent};
    use shortfall::scenario::Precision;

    use super::*;

    /// An account without figures is no success, wherever its absence can be seen.
    #[test]
    fn an_account_without_figures_is_told() {
        let mut scenario = scenario::read(Path::new("scenarios/quickstart.yaml")).unwrap();
        scenario.simulation.paths = 512;
        let mut outcome = run::run(&scenario, &mut CpuEngine::new(Precision::F32), &mut Silent).unwrap();
        let report = |outcome: &Outcome, fail_if: &[Threshold]| {
            let reporting = Reporting { fail_if, json: false, quiet: true };
            reporting.report(&scenario, outcome, Started::now(&scenario).unwrap(), None)
        };
        let never = ["equity < -1e30".parse::<Threshold>().unwrap()];
        assert!(report(&outcome, &never).is_ok());
        let failed = outcome.cases[0].accounts.as_mut().unwrap().remove(2).account;
        outcome.cases[0].failed.push(FailedAccount { account: failed, reason: "no bracket".to_owned() });
        let name = &scenario.portfolio.accounts[failed].name;
        match report(&outcome, &[]) {
            Err(Failure::Incomplete(text)) => {
                assert!(text.contains(name) && text.contains("no bracket"), "{text}")
            }
            other => panic!("{other:?}"),
        }
        match report(&outcome, &never) {
            Err(Failure::Breached(text)) => assert!(text.contains(name), "{text}"),
            other => panic!("{other:?}"),
        }
        let manifest = Started::now(&scenario).unwrap().finish(&scenario, &outcome, None);
        let document = Document::new(&scenario, &outcome, manifest);
        assert_eq!(document.cases[0].failed_accounts[0].account, *name);
        let table = text::render(&document, text::Style { width: 160, colour: false });
        assert!(table.contains(&format!("  {name}: no result, no bracket\n")), "{table}");
    }
}
