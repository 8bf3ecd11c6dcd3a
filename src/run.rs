//! A scenario run: the base case and every stress, from tails to margins.

mod analysis_fault;
mod margins;
mod monitor;
mod store_fault;

pub use analysis_fault::AnalysisFault;
pub use margins::Margining;
pub use monitor::{Monitor, Silent, Stage};
pub use store_fault::StoreFault;

use std::borrow::Cow;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::attribution::{Attributing, Attribution};
use crate::engine::{
    self, BLOCK, DeviceReport, Driver, Engine, EngineFault, Job, JobInput, Pilot, StageTimes,
};
use crate::instrument::{UnitValue, ValueFault};
use crate::margin::greeks::GreeksMargin;
use crate::margin::{AccountValue, Margin, Tails, UnitTail};
use crate::market::Market;
use crate::portfolio::Portfolio;
use crate::risk::{Bracket, Distribution, Tail, TailEstimate, TailFault};
use crate::scenario::Scenario;
use crate::units::{Confidence, Years};

/// Paths of the first look under a tolerance; each further look doubles the paths.
const FIRST_PATHS: u64 = 65_536;
/// Each repair widens the brackets by this factor.
const WIDENING: f64 = 4.0;
const MAX_REPAIRS: i32 = 6;
/// Losses below this part of an account's size are rounding.
const ROUNDING: f64 = 1e-9;

/// Everything that a run found. Money in the scenario's reporting currency.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The base case first, then the stresses in the order of the scenario.
    pub cases: Vec<Case>,
    /// What it ran on.
    pub device: DeviceReport,
    /// Wall time of all cases.
    pub elapsed: Duration,
    /// Seconds by stage that the engine spent on tails; `None` where the device does not tell.
    pub stage_times: Option<StageTimes>,
    /// Memory that the run was planned to take at most, in bytes.
    pub planned_peak_memory_bytes: u64,
}

/// One case: the market as it is, or after a stress.
#[derive(Clone, Debug)]
pub struct Case {
    /// `base`, or the stress's name.
    pub name: String,
    /// Paths that were simulated.
    pub paths: u64,
    /// Time steps of a path.
    pub steps: u32,
    /// Accounts whose bracket missed and that were simulated again.
    pub repaired: usize,
    /// Wall time.
    pub elapsed: Duration,
    /// Tails of one dollar of each asset at each level; estimated from the pilot's paths.
    pub asset_tails: Vec<[UnitTail; 2]>,
    /// Accounts in the order of the portfolio, or why the case has none.
    pub accounts: Result<Vec<AccountCase>, String>,
    /// Accounts of which nothing is known in this case; they are not among the others.
    pub failed: Vec<FailedAccount>,
}

/// An account without figures in a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAccount {
    /// Index into the portfolio's accounts.
    pub account: usize,
    /// Why.
    pub reason: String,
}

/// One account in one case.
#[derive(Clone, Debug)]
pub struct AccountCase {
    /// Index into the portfolio's accounts.
    pub account: usize,
    /// What it is worth.
    pub value: AccountValue,
    /// Tail at the level of the maintenance margin.
    pub maintenance: TailEstimate,
    /// Tail at the level of the initial margin.
    pub initial: TailEstimate,
    /// Its margin.
    pub margin: Margin,
    /// What costs most in the tail of the maintenance level; estimated from the pilot's paths.
    pub driver: Option<Driver>,
    /// The shape of its losses at the horizon of the maintenance margin, on the pilot's paths; base
    /// case only.
    pub distribution: Option<Distribution>,
    /// What its Expected Shortfall is made of, where it was asked for.
    pub attribution: Option<Attribution>,
    /// Margins from sensitivities at the levels of both margins, likewise.
    pub greeks: Option<[GreeksMargin; 2]>,
}

/// A case whose tails are wanted.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    /// Its index: the base case is 0.
    pub case: usize,
    /// What to simulate.
    pub job: &'a Job,
    /// Brackets, `[account][level]`.
    pub brackets: &'a [Bracket],
}

/// Where tails come from: simulated now (the default), kept on the way, or read back.
pub trait Source {
    /// Tails of the case that exist, `[account][level]`, and up to which path they reach.
    fn start(&mut self, work: &Work<'_>) -> Result<(Vec<Tail>, u64), RunFault> {
        Ok((vec![Tail::default(); work.brackets.len()], 0))
    }

    /// Adds a range of paths to them; `progress` hears how many of the range are done.
    fn add(
        &mut self,
        work: &Work<'_>,
        engine: &mut dyn Engine,
        tails: &mut [Tail],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RunFault> {
        Ok(engine.add_tails(work.job, work.brackets, paths, tails, progress)?)
    }
}

/// Simulates everything now and keeps nothing.
pub struct Direct;

impl Source for Direct {}

/// What ends a run.
#[derive(Debug, thiserror::Error)]
pub enum RunFault {
    /// The device.
    #[error("{0}")]
    Engine(#[from] EngineFault),
    /// Tails on disk.
    #[error("{0}")]
    Store(#[from] StoreFault),
}

/// Runs the base case and every stress. A stress that has no result fails alone; a device fault
/// ends the run.
pub fn run(
    scenario: &Scenario,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Outcome, EngineFault> {
    run_from(scenario, &mut Direct, engine, monitor).map_err(|fault| match fault {
        RunFault::Engine(fault) => fault,
        RunFault::Store(fault) => unreachable!("a run that keeps nothing uses no store: {fault}"),
    })
}

/// Like [`run`], with tails from a source.
pub fn run_from(
    scenario: &Scenario,
    source: &mut dyn Source,
    engine: &mut dyn Engine,
    monitor: &mut dyn Monitor,
) -> Result<Outcome, RunFault> {
    let start = Instant::now();
    let base_units = value_instruments(scenario, &scenario.market).map_err(EngineFault::Device)?;
    let of = case_count(scenario);
    let before = engine.stage_times().unwrap_or_default();
    let mut with = With { source, engine, monitor };
    let mut cases = Vec::with_capacity(of);
    for index in 0..of {
        with.monitor.case(case_name(scenario, index), index, of, scenario.simulation.paths);
        cases.push(run_case(scenario, index, &base_units, &mut with)?);
    }
    margins::across_cases(scenario, &base_units, &mut cases).map_err(EngineFault::Device)?;
    Ok(Outcome {
        cases,
        device: with.engine.device(),
        elapsed: start.elapsed(),
        stage_times: with.engine.stage_times().map(|after| after - before),
        planned_peak_memory_bytes: 0,
    })
}

/// What a run works with.
struct With<'a> {
    source: &'a mut dyn Source,
    engine: &'a mut dyn Engine,
    monitor: &'a mut dyn Monitor,
}

/// Number of cases: the base case and the stresses.
pub fn case_count(scenario: &Scenario) -> usize {
    scenario.stresses.len() + 1
}

/// Name of a case; 0 is the base case.
pub fn case_name(scenario: &Scenario, case: usize) -> &str {
    case.checked_sub(1).map_or("base", |stress| &scenario.stresses[stress].name)
}

/// Market of a case; 0 is the base case.
pub fn case_market(scenario: &Scenario, case: usize) -> Market {
    match case.checked_sub(1) {
        None => scenario.market.clone(),
        Some(stress) => scenario.stresses[stress].apply(&scenario.market),
    }
}

/// The scenario whose base case is a case of this one: its market, and accounts with what futures have
/// made on the way. Without stresses.
pub fn moved(scenario: &Scenario, case: usize) -> Result<Scenario, String> {
    let market = case_market(scenario, case);
    let base = value_instruments(scenario, &scenario.market)?;
    let now = value_instruments(scenario, &market)?;
    let mut portfolio = scenario.portfolio.carried(&market, &base, &now).into_owned();
    for (account, before) in portfolio.accounts.iter_mut().zip(&scenario.portfolio.accounts) {
        for holding in &before.holdings {
            let (base, now) = (&base[holding.instrument as usize], &now[holding.instrument as usize]);
            account.cash += holding.quantity * base.dollars_to(now);
        }
    }
    Ok(Scenario { market, portfolio, stresses: Vec::new(), ..scenario.clone() })
}

/// Levels of a scenario's margins: maintenance, initial.
pub fn levels(scenario: &Scenario) -> [(Years, Confidence); 2] {
    [scenario.margin.maintenance, scenario.margin.initial].map(|level| (level.horizon, level.confidence))
}

/// The job of a scenario in a market, for engines and comparisons.
pub fn job(scenario: &Scenario, market: &Market) -> Result<Job, String> {
    let units = value_instruments(scenario, market)?;
    job_after(scenario, market, &units, &units).map(|(_, job)| job)
}

/// The job of a scenario's base case at other levels than those of its margins, in steps as long as
/// theirs.
pub fn job_at(scenario: &Scenario, levels: &[(Years, Confidence)]) -> Result<Job, String> {
    let longest = |levels: &[(Years, Confidence)]| levels.iter().map(|(h, _)| h.get()).fold(0.0, f64::max);
    let part = longest(levels) / longest(&self::levels(scenario));
    let mut scenario = Cow::Borrowed(scenario);
    if part != 1.0 {
        let steps = (f64::from(scenario.simulation.steps) * part - 1e-9).ceil().max(1.0) as u32;
        scenario.to_mut().simulation.steps = steps;
    }
    let scenario = &*scenario;
    let units = value_instruments(scenario, &scenario.market)?;
    let carried = carry(scenario, &scenario.market, &units, &units)?;
    job_of_levels(scenario, &scenario.market, &carried.portfolio, &carried.units, levels)
}

/// The job of a portfolio in a market; `units` are the values of its instruments there.
pub fn job_of(
    scenario: &Scenario,
    market: &Market,
    portfolio: &Portfolio,
    units: &[UnitValue],
) -> Result<Job, String> {
    job_of_levels(scenario, market, portfolio, units, &levels(scenario))
}

fn job_of_levels(
    scenario: &Scenario,
    market: &Market,
    portfolio: &Portfolio,
    units: &[UnitValue],
    levels: &[(Years, Confidence)],
) -> Result<Job, String> {
    let input = JobInput {
        market,
        portfolio,
        units,
        levels,
        seed: scenario.simulation.seed,
        steps: scenario.simulation.steps,
        exact_steps: scenario.simulation.exact_steps,
        smile: scenario.simulation.smile,
        numeraire: scenario.reporting_asset,
    };
    engine::build(&input).map_err(|fault| fault.to_string())
}

/// The portfolio carried into the market of a case, with the value of each of its instruments.
struct Carried<'a> {
    portfolio: Cow<'a, Portfolio>,
    units: Vec<UnitValue>,
}

/// A case ready to simulate: the value of each instrument of the scenario's portfolio, the
/// portfolio carried into its market, and the job.
fn prepare<'a>(
    scenario: &'a Scenario,
    market: &Market,
    base_units: &[UnitValue],
) -> Result<(Vec<UnitValue>, Carried<'a>, Job), String> {
    let units = value_instruments(scenario, market)?;
    let (carried, job) = job_after(scenario, market, base_units, &units)?;
    Ok((units, carried, job))
}

/// The job of a case; 0 is the base case.
pub fn case_job(scenario: &Scenario, case: usize) -> Result<Job, String> {
    let base_units = value_instruments(scenario, &scenario.market)?;
    prepare(scenario, &case_market(scenario, case), &base_units).map(|(.., job)| job)
}

/// The job of a case and its portfolio.
fn job_after<'a>(
    scenario: &'a Scenario,
    market: &Market,
    base: &[UnitValue],
    now: &[UnitValue],
) -> Result<(Carried<'a>, Job), String> {
    let carried = carry(scenario, market, base, now)?;
    let job = job_of(scenario, market, &carried.portfolio, &carried.units)?;
    Ok((carried, job))
}

/// The portfolio of a case and the value of each of its instruments.
fn carry<'a>(
    scenario: &'a Scenario,
    market: &Market,
    base: &[UnitValue],
    now: &[UnitValue],
) -> Result<Carried<'a>, String> {
    let mut portfolio = scenario.portfolio.carried(market, base, now);
    if let Some(asset) = scenario.reporting_asset {
        portfolio.to_mut().hold_cash(asset);
    }
    let units = value_all(&portfolio, market)?;
    Ok(Carried { portfolio, units })
}

fn value_instruments(scenario: &Scenario, market: &Market) -> Result<Vec<UnitValue>, String> {
    value_all(&scenario.portfolio, market)
}

fn value_all(portfolio: &Portfolio, market: &Market) -> Result<Vec<UnitValue>, String> {
    let value = |instrument| {
        UnitValue::new(market, instrument)
            .map_err(|fault: ValueFault| format!("{}: {fault}", instrument.name))
    };
    portfolio.instruments.iter().map(value).collect()
}

fn run_case(
    scenario: &Scenario,
    index: usize,
    base_units: &[UnitValue],
    with: &mut With<'_>,
) -> Result<Case, RunFault> {
    let start = Instant::now();
    let market = case_market(scenario, index);
    let mut case = Case {
        name: case_name(scenario, index).to_owned(),
        paths: 0,
        steps: 0,
        repaired: 0,
        elapsed: Duration::ZERO,
        asset_tails: Vec::new(),
        accounts: Ok(Vec::new()),
        failed: Vec::new(),
    };
    let (units, carried, job) = match prepare(scenario, &market, base_units) {
        Ok(prepared) => prepared,
        Err(reason) => return Ok(Case { accounts: Err(reason), ..case }),
    };
    with.monitor.stage(Stage::Pilot, 0, 2);
    let pilot = Pilot::new(&job, scenario.simulation.paths);
    with.monitor.stage(Stage::Pilot, 1, 2);
    let brackets = pilot.brackets_on(with.engine, &job);
    let work = Work { case: index, job: &job, brackets: &brackets };
    let results = estimate(scenario, &work, &pilot, with, &mut case)?;
    let estimates = known(&job, &results);
    let attributing = Attributing {
        portfolio: &carried.portfolio,
        units: &carried.units,
        job: &job,
        estimates: &estimates,
        paths: case.paths,
        precision: scenario.simulation.precision,
    };
    let mut progress = |done, of| with.monitor.stage(Stage::Attribution, done, of);
    let attributions = attributing.attribute(&scenario.attribution, &mut progress)?;
    let drivers = pilot.drivers(&job, 0);
    let distributions = if index == 0 { pilot.distributions(&job, 0) } else { vec![None; job.accounts()] };
    let [maintenance, initial] = [0, 1].map(|level| pilot.unit_tails(&job, level));
    case.asset_tails = maintenance.into_iter().zip(initial).map(|(a, b)| [a, b]).collect();
    let margining = Margining::new(scenario, &market, base_units, &units, &carried.units, &case.asset_tails);
    let levels = job.levels.len();
    let selected: Vec<bool> = attributions.iter().map(Option::is_some).collect();
    let greeks = margining.greeks(&carried, &selected).map_err(EngineFault::Device)?;
    let parts = drivers.into_iter().zip(attributions).zip(greeks).zip(distributions);
    let mut accounts = Vec::with_capacity(job.accounts());
    for (account, (((driver, attribution), greeks), distribution)) in parts.enumerate() {
        let ours = account * levels..(account + 1) * levels;
        let fault = results[ours.clone()].iter().find_map(|result| result.as_ref().err());
        let attribution = match (fault, attribution.transpose()) {
            (None, Ok(attribution)) => attribution,
            (Some(fault), _) => {
                let reason = unrepaired(*fault);
                case.failed.push(FailedAccount { account, reason });
                continue;
            }
            (None, Err(reason)) => {
                case.failed.push(FailedAccount { account, reason });
                continue;
            }
        };
        let [maintenance, initial] = [estimates[ours.start], estimates[ours.start + 1]];
        let (value, margin) = margining.of_index(account, &carried, &Tails::own(maintenance, initial));
        accounts.push(AccountCase {
            account,
            value,
            maintenance,
            initial,
            margin,
            driver,
            distribution,
            attribution,
            greeks,
        });
    }
    case.accounts = Ok(accounts);
    case.steps = job.steps();
    case.elapsed = start.elapsed();
    Ok(case)
}

/// Estimates of every account at every level, `[account][level]`.
fn estimate(
    scenario: &Scenario,
    work: &Work<'_>,
    pilot: &Pilot,
    with: &mut With<'_>,
    case: &mut Case,
) -> Result<Vec<Result<TailEstimate, TailFault>>, RunFault> {
    let most = scenario.simulation.paths;
    let tolerance = scenario.simulation.tolerance;
    let (mut tails, mut done) = with.source.start(work)?;
    with.monitor.done(done);
    let mut target = match tolerance {
        Some(_) => FIRST_PATHS.next_multiple_of(BLOCK as u64).min(most),
        None => most,
    };
    // A source that is further than a look was not precise enough at that look.
    while target < done {
        target = (2 * target).min(most);
    }
    loop {
        if target > done {
            let monitor = &mut *with.monitor;
            let mut progress = |paths| monitor.done(done + paths);
            with.source.add(work, with.engine, &mut tails, done..target, &mut progress)?;
        }
        done = target;
        case.paths = done;
        let results = estimates(work.job, work.brackets, &tails, done);
        let precise = tolerance.is_none_or(|tolerance| all_within(work.job, &results, tolerance));
        if done == most || precise {
            let again = |missed: &[usize], widening: f64| {
                let part = work.job.for_accounts(missed);
                let brackets = pilot.brackets(&part, widening);
                let mut progress = |paths| with.monitor.stage(Stage::Repair, paths, done);
                let tails = with.engine.tails(&part, &brackets, 0..done, &mut progress)?;
                Ok::<_, EngineFault>(estimates(&part, &brackets, &tails, done))
            };
            let (results, repaired) = repair(work.job.levels.len(), results, again)?;
            case.repaired = repaired;
            return Ok(results);
        }
        target = (2 * done).min(most);
    }
}

fn estimates(
    job: &Job,
    brackets: &[Bracket],
    tails: &[Tail],
    paths: u64,
) -> Vec<Result<TailEstimate, TailFault>> {
    let confidence = |index: usize| job.levels[index % job.levels.len()].confidence;
    let pairs = tails.iter().zip(brackets).enumerate();
    pairs.map(|(index, (tail, bracket))| tail.estimate(bracket, confidence(index), paths)).collect()
}

fn all_within(job: &Job, results: &[Result<TailEstimate, TailFault>], tolerance: f64) -> bool {
    results.iter().enumerate().all(|(index, result)| match result {
        // A loss far below an account's size is no figure whose precision matters.
        Ok(e) if is_rounding(e, job.scale[index / job.levels.len()]) => true,
        Ok(e) => e.expected_shortfall_error <= tolerance * e.expected_shortfall.abs(),
        Err(_) => true,
    })
}

/// Whether an estimate is nothing beside the account's size; an account without size has none.
fn is_rounding(estimate: &TailEstimate, scale: f64) -> bool {
    estimate.expected_shortfall.abs().max(estimate.value_at_risk.abs()) <= ROUNDING * scale || scale == 0.0
}

/// The estimates that there are; the figures of an account without one are no numbers.
fn known(job: &Job, results: &[Result<TailEstimate, TailFault>]) -> Vec<TailEstimate> {
    let size = |index: usize| job.scale[index / job.levels.len()];
    let estimate = |(index, result): (usize, &Result<TailEstimate, TailFault>)| match result {
        Ok(estimate) => without_rounding(*estimate, size(index)),
        Err(_) => TailEstimate {
            expected_shortfall: f64::NAN,
            expected_shortfall_error: f64::NAN,
            value_at_risk: f64::NAN,
            value_at_risk_error: f64::NAN,
            paths: 0,
        },
    };
    results.iter().enumerate().map(estimate).collect()
}

/// An account that cannot lose has an Expected Shortfall of zero, and no health of 10^38.
pub fn without_rounding(estimate: TailEstimate, scale: f64) -> TailEstimate {
    if !is_rounding(&estimate, scale) {
        return estimate;
    }
    TailEstimate {
        expected_shortfall: 0.0,
        expected_shortfall_error: 0.0,
        value_at_risk: 0.0,
        value_at_risk_error: 0.0,
        paths: estimate.paths,
    }
}

/// Looks again at accounts whose bracket missed, with wider brackets, until none is left. `again`
/// estimates some accounts with brackets that much wider. Those that no bracket holds keep their fault,
/// see [`unrepaired`]. Also returns how many had missed.
pub fn repair<E>(
    levels: usize,
    mut results: Vec<Result<TailEstimate, TailFault>>,
    mut again: impl FnMut(&[usize], f64) -> Result<Vec<Result<TailEstimate, TailFault>>, E>,
) -> Result<(Vec<Result<TailEstimate, TailFault>>, usize), E> {
    let mut repaired = 0;
    for attempt in 1..=MAX_REPAIRS {
        let missed: Vec<usize> = (0..results.len() / levels)
            .filter(|a| results[a * levels..(a + 1) * levels].iter().any(Result::is_err))
            .collect();
        if missed.is_empty() {
            break;
        }
        repaired = repaired.max(missed.len());
        let estimates = again(&missed, WIDENING.powi(attempt))?;
        for (&account, estimates) in missed.iter().zip(estimates.chunks(levels)) {
            results[account * levels..(account + 1) * levels].copy_from_slice(estimates);
        }
    }
    Ok((results, repaired))
}

/// Why an account has no figures after all repairs.
pub fn unrepaired(fault: TailFault) -> String {
    format!("{fault} (after {MAX_REPAIRS} repetitions); use more paths")
}
