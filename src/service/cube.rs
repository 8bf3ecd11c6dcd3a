//! The resident cube: profit of every instrument on every path, and the passes that answer from it.
//!
//! The factors of the paths are kept beside it: a twentieth of the cube's memory, for which a market
//! move or a new instrument costs a revaluation alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use jiff::Timestamp;

use super::book::Held;
use super::{DeskFault, read, write};
use crate::engine::resident::{Asked, Keeper, Leg, Netted, Profits as AtHorizon, Resident, rows_bytes};
use crate::engine::{DeviceReport, Driver, DriverTail, Job, KEPT_PATHS, Pace, Pilot, pilot_paths};
use crate::instrument::{Instrument, Kind, UnitValue};
use crate::margin::UnitTail;
use crate::market::Market;
use crate::portfolio::{Account, Holding, Portfolio};
use crate::risk::{Bracket, Tail, TailCollector, TailEstimate, TailFault, TailPath, TailPaths};
use crate::run;
use crate::scenario::Scenario;
use crate::units::Years;

/// Accounts whose profits are kept at least: a what-if is one pass for them, hundreds for others.
pub const LEAST_KEPT: u64 = 16;

/// Which instrument: its name, and the volatility given with it.
pub type Key = (String, Option<u64>);

/// Key of an instrument.
pub fn key(instrument: &Instrument) -> Key {
    let volatility = match instrument.kind {
        Kind::Option(terms) => terms.volatility_annual.map(f64::to_bits),
        _ => None,
    };
    (instrument.name.clone(), volatility)
}

/// Profits of instruments on all paths of one market.
pub struct Cube {
    keeper: Arc<dyn Keeper>,
    /// What was simulated.
    job: Job,
    /// Paths, and rows of instruments on them, where they were computed.
    resident: Box<dyn Resident>,
    /// Which simulation the paths are of.
    simulation: u64,
    factors_bytes: u64,
    paths: u64,
    /// Instruments of accounts that expire on the way: they decide when paths are looked at.
    pins: Vec<Instrument>,
    rows: RwLock<Rows>,
    /// Tails of one dollar of each asset at each level.
    pub asset_tails: Vec<[UnitTail; 2]>,
    /// Held while rows are added, by who asks for them: a thread of a pool that held it could take up
    /// another piece of work that waits for it.
    pub adding: Mutex<()>,
    limit: Option<u64>,
    /// Bytes of the rows of the cube that the next revaluation makes beside this one.
    next_bytes: u64,
}

static SIMULATIONS: AtomicU64 = AtomicU64::new(0);

#[derive(Default)]
struct Rows {
    /// One row for each horizon.
    numbers: HashMap<Key, Vec<u32>>,
    bytes: u64,
}

/// What an account nets, at every horizon and in order.
pub struct Legs(Vec<Vec<Leg>>);

/// An account's profits on all paths, one list a horizon.
pub type Profits = Vec<AtHorizon>;

impl Legs {
    /// Number of legs at one horizon.
    pub fn len(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }

    /// The legs after the first ones, if those are `first`.
    pub fn after(&self, first: &Self) -> Option<Self> {
        let same = |a: &Leg, b: &Leg| a.row == b.row && a.quantity.to_bits() == b.quantity.to_bits();
        let rest = self.0.iter().zip(&first.0).map(|(all, first)| {
            let is_first = all.len() >= first.len() && all.iter().zip(first).all(|(a, b)| same(a, b));
            is_first.then(|| all[first.len()..].to_vec())
        });
        rest.collect::<Option<_>>().map(Self)
    }

    fn on<'a>(&'a self, base: Option<&'a Profits>, horizon: usize) -> Netted<'a> {
        Netted { base: base.map(|base| &base[horizon]), legs: &self.0[horizon] }
    }
}

/// Instruments that expire before the longest horizon ends.
pub fn pins(scenario: &Scenario, instruments: &[Instrument]) -> Vec<Instrument> {
    let longest = run::levels(scenario).into_iter().map(|(horizon, _)| horizon.get()).fold(0.0, f64::max);
    let is_inside = |instrument: &&Instrument| {
        let expiry = instrument.kind.expiry();
        let tenor = expiry.and_then(|expiry| Years::between(scenario.market.as_of, expiry));
        tenor.is_some_and(|tenor| tenor.get() < longest)
    };
    instruments.iter().filter(is_inside).cloned().collect()
}

/// Expiries of instruments.
pub fn expiries(instruments: &[Instrument]) -> BTreeSet<Timestamp> {
    instruments.iter().filter_map(|instrument| instrument.kind.expiry()).collect()
}

impl Cube {
    /// Prices instruments on all paths. The paths are those of `before` where they are the same.
    pub fn new(
        keeper: &Arc<dyn Keeper>,
        scenario: &Scenario,
        instruments: &[Instrument],
        before: Option<&Self>,
        limit: Option<u64>,
        pace: &dyn Pace,
    ) -> Result<Self, DeskFault> {
        let paths = scenario.simulation.paths;
        let job = job(scenario, instruments, &vec![true; instruments.len()])?;
        let factors_bytes = keeper.factors_bytes(&job, paths);
        // The next revaluation has the old cube and the new one side by side, and accounts in both.
        let rows = rows_bytes(job.rows.len(), paths) + LEAST_KEPT * rows_bytes(job.horizons.len(), paths);
        let needed = factors_bytes + 2 * rows;
        let fitting = limit.map_or(0, |limit| (paths as f64 * limit as f64 / needed as f64) as u64);
        let what = format!(
            "the cube of all instruments and {paths} paths, twice while it is revalued, (some {fitting} paths would fit)"
        );
        check(limit, &what, needed)?;
        let same = before.filter(|before| {
            Arc::ptr_eq(&before.keeper, keeper) && before.job.simulates_like(&job) && before.paths == paths
        });
        let resident = match same {
            Some(before) => before.resident.same_paths(),
            None => keeper.simulate(&job, paths, pace)?,
        };
        let simulation = match same {
            Some(before) => before.simulation,
            None => SIMULATIONS.fetch_add(1, Ordering::Relaxed),
        };
        let mut cube = Self {
            keeper: Arc::clone(keeper),
            resident,
            simulation,
            factors_bytes,
            paths,
            pins: pins(scenario, instruments),
            rows: RwLock::default(),
            asset_tails: Vec::new(),
            adding: Mutex::default(),
            limit,
            next_bytes: rows_bytes(job.rows.len(), paths),
            job,
        };
        cube.add(&cube.job, instruments, pace)?;
        // The rows are where the paths are.
        cube.job.rows = Vec::new();
        cube.job.curves = Vec::new();
        cube.asset_tails = match same {
            Some(before) => before.asset_tails.clone(),
            None => asset_tails(&cube.job, paths),
        };
        Ok(cube)
    }

    /// What it is kept on.
    pub fn device(&self) -> DeviceReport {
        self.keeper.device()
    }

    /// Whether another cube has the same paths.
    pub fn has_paths_of(&self, other: &Self) -> bool {
        self.simulation == other.simulation
    }

    /// Instruments of accounts that expire on the way.
    pub fn pins(&self) -> &[Instrument] {
        &self.pins
    }

    /// Expiries that decide when paths are looked at.
    pub fn pinned(&self) -> BTreeSet<Timestamp> {
        expiries(&self.pins)
    }

    /// Prices what an account holds and the cube does not have yet; called with `adding` held. `false`
    /// where the account needs paths that are looked at at other times.
    pub fn ensure(&self, scenario: &Scenario, held: &Held, pace: &dyn Pace) -> Result<bool, DeskFault> {
        if self.has_all(held) {
            return Ok(true);
        }
        let is_missing = |instrument: &&Instrument| !read(&self.rows).numbers.contains_key(&key(instrument));
        let mut all: Vec<Instrument> = held.instruments.iter().filter(is_missing).cloned().collect();
        let mut wanted = vec![true; all.len()];
        all.extend_from_slice(&self.pins);
        wanted.resize(all.len(), false);
        let job = job(scenario, &all, &wanted)?;
        if !job.simulates_like(&self.job) {
            return Ok(false);
        }
        let more = rows_bytes(job.rows.len(), self.paths);
        let bytes = self.bytes() + self.next_bytes + more;
        check(self.limit, "the cube with further instruments, beside the next one", bytes)?;
        self.add(&job, &all, pace)?;
        Ok(true)
    }

    /// What an account nets; `None` where the cube lacks an instrument.
    pub fn legs(&self, held: &Held) -> Option<Legs> {
        let rows = read(&self.rows);
        let numbers: Vec<Option<&Vec<u32>>> = held.keys.iter().map(|key| rows.numbers.get(key)).collect();
        let at = |horizon: usize| {
            let leg = |holding: &Holding| {
                let numbers = numbers[holding.instrument as usize]?;
                Some(Leg { row: numbers[horizon], quantity: holding.quantity })
            };
            held.carried.holdings.iter().map(leg).collect::<Option<Vec<_>>>()
        };
        (0..self.job.horizons.len()).map(at).collect::<Option<_>>().map(Legs)
    }

    /// Bytes of the rows and the factors.
    pub fn bytes(&self) -> u64 {
        read(&self.rows).bytes + self.factors_bytes
    }

    /// Bytes of one account's profits.
    pub fn profits_bytes(&self) -> u64 {
        rows_bytes(self.job.horizons.len(), self.paths)
    }

    /// Leaves so many bytes to others.
    pub fn leave(&mut self, bytes: u64) {
        self.limit = self.limit.map(|limit| limit.saturating_sub(bytes));
    }

    /// Instruments that are priced.
    pub fn instruments(&self) -> usize {
        read(&self.rows).numbers.len()
    }

    /// Profits of an account on all paths: `base`, and legs on top of it.
    pub fn profits(
        &self,
        base: Option<&Profits>,
        legs: &Legs,
        pace: &dyn Pace,
    ) -> Result<Profits, DeskFault> {
        let at = |horizon: usize| Ok(self.resident.profits(&legs.on(base, horizon), pace)?);
        (0..self.job.horizons.len()).map(at).collect()
    }

    /// Figures of an account at every level, as a run makes them.
    pub fn estimates(
        &self,
        base: Option<&Profits>,
        legs: &Legs,
        scale: f64,
        pace: &dyn Pace,
    ) -> Result<Vec<TailEstimate>, DeskFault> {
        let look = |widening: f64| self.look(base, legs, scale, widening, pace);
        finished(look(1.0)?, scale, look)
    }

    /// Figures of several accounts at every level, and profits of the first `kept` of them: one pass
    /// over the cube for all.
    pub fn margined(
        &self,
        accounts: &[(&Legs, f64)],
        kept: usize,
        pace: &dyn Pace,
    ) -> Result<Vec<(Vec<TailEstimate>, Option<Profits>)>, DeskFault> {
        let levels = self.job.levels.len();
        let mut found = vec![vec![Err(TailFault::OutsideBracket); levels]; accounts.len()];
        let mut profits: Vec<Profits> = (0..accounts.len().min(kept)).map(|_| Vec::new()).collect();
        for horizon in 0..self.job.horizons.len() {
            let asked = accounts.iter().enumerate().map(|(index, (legs, scale))| {
                let netted = legs.on(None, horizon);
                let brackets = self.brackets(&netted, horizon, *scale, 1.0)?;
                Ok(Asked { netted, brackets, is_kept: index < kept })
            });
            let asked = asked.collect::<Result<Vec<_>, DeskFault>>()?;
            let answered = self.resident.tails_of(&asked, pace)?;
            for (index, ((tails, own), asked)) in answered.into_iter().zip(&asked).enumerate() {
                self.estimate(horizon, &asked.brackets, &tails, &mut found[index]);
                if let Some(own) = own {
                    profits[index].push(own);
                }
            }
        }
        let mut profits = profits.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
        let accounts = accounts.iter().zip(found);
        let finished = accounts.map(|((legs, scale), first)| {
            let look = |widening| self.look(None, legs, *scale, widening, pace);
            Ok((finished(first, *scale, look)?, profits.next().flatten()))
        });
        finished.collect()
    }

    fn look(
        &self,
        base: Option<&Profits>,
        legs: &Legs,
        scale: f64,
        widening: f64,
        pace: &dyn Pace,
    ) -> Result<Vec<Result<TailEstimate, TailFault>>, DeskFault> {
        let mut results = vec![Err(TailFault::OutsideBracket); self.job.levels.len()];
        for horizon in 0..self.job.horizons.len() {
            let account = legs.on(base, horizon);
            let brackets = self.brackets(&account, horizon, scale, widening)?;
            let tails = self.resident.tails(&account, &brackets, pace)?;
            self.estimate(horizon, &brackets, &tails, &mut results);
        }
        Ok(results)
    }

    /// Levels at a horizon.
    fn levels_at(&self, horizon: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.job.levels.len()).filter(move |&level| self.job.levels[level].horizon == horizon)
    }

    /// Brackets of an account at the levels of a horizon, from its first paths.
    fn brackets(
        &self,
        account: &Netted<'_>,
        horizon: usize,
        scale: f64,
        widening: f64,
    ) -> Result<Vec<Bracket>, DeskFault> {
        let confidence = |level: usize| self.job.levels[level].confidence;
        let pilot = |level: usize| pilot_paths(confidence(level), self.paths);
        let most = self.levels_at(horizon).map(pilot).max().unwrap_or(0);
        let losses = self.resident.first_losses(account, most)?;
        let bracket = |level: usize| {
            let first = &losses[..pilot(level)];
            Bracket::new(first, first.len(), confidence(level), widening, scale)
        };
        Ok(self.levels_at(horizon).map(bracket).collect())
    }

    fn estimate(
        &self,
        horizon: usize,
        brackets: &[Bracket],
        tails: &[Tail],
        results: &mut [Result<TailEstimate, TailFault>],
    ) {
        for ((level, bracket), tail) in self.levels_at(horizon).zip(brackets).zip(tails) {
            results[level] = tail.estimate(bracket, self.job.levels[level].confidence, self.paths);
        }
    }

    /// The paths of an account's tails, one for each level; from its profits.
    pub fn tail_paths(&self, profits: &Profits) -> Result<Vec<TailPaths>, DeskFault> {
        let of = |level: &crate::engine::TailLevel| {
            let mass = self.paths as f64 * level.confidence.tail();
            let mut collector = TailCollector::new(mass, f64::NEG_INFINITY);
            for (path, profit) in profits[level.horizon].read()?[..self.paths as usize].iter().enumerate() {
                let loss = -f64::from(*profit);
                if loss >= collector.floor() {
                    collector.push(TailPath { path: path as u64, loss });
                }
            }
            let too_few = || DeskFault::Engine("a tail has too few losses that are numbers".to_owned());
            collector.finish().ok_or_else(too_few)
        };
        self.job.levels.iter().map(of).collect()
    }

    /// Losses on all paths at a level's horizon.
    pub fn losses(&self, profits: &Profits, level: usize) -> Result<Vec<f32>, DeskFault> {
        let profits = profits[self.job.levels[level].horizon].read()?;
        Ok(profits[..self.paths as usize].iter().map(|profit| -*profit).collect())
    }

    /// The asset that costs an account most in its tail at the maintenance level, from its first paths.
    /// `own` are its profits, where they are kept.
    pub fn driver(
        &self,
        legs: &Legs,
        held: &Held,
        own: Option<&Profits>,
    ) -> Result<Option<Driver>, DeskFault> {
        let level = self.job.levels[0];
        let Some(observation) = self.job.horizon_observation(level.horizon) else { return Ok(None) };
        let count = self.paths.min(KEPT_PATHS) as usize;
        let netted = match own {
            Some(own) => Netted { base: Some(&own[level.horizon]), legs: &[] },
            None => legs.on(None, level.horizon),
        };
        let losses = self.resident.first_losses(&netted, count)?;
        let tail = DriverTail { losses: &losses, confidence: level.confidence };
        let paths = tail.paths();
        // Paths of the tail come in their order.
        let of = |values: &[f32], path: usize| paths.binary_search(&path).map(|index| values[index]);
        let holdings = held.carried.holdings.iter().zip(&legs.0[level.horizon]).map(|(holding, leg)| {
            let asset = held.instruments[holding.instrument as usize].asset;
            Ok((asset, leg.quantity, self.resident.row_on(leg.row, &paths)?))
        });
        let holdings = holdings.collect::<Result<Vec<_>, DeskFault>>()?;
        let holdings = holdings.iter().map(|(asset, quantity, profits)| {
            (*asset, *quantity, |path| of(profits, path).unwrap_or(f32::NAN))
        });
        let returns =
            (0..self.job.assets).map(|asset| Ok(self.resident.log_returns_on(observation, asset, &paths)?));
        let returns = returns.collect::<Result<Vec<_>, DeskFault>>()?;
        let log_return = |asset: usize, path| of(&returns[asset], path).ok();
        Ok(tail.driver(self.job.assets, holdings, log_return, held.scale))
    }

    /// Mean profit of one unit of an account's only leg over some paths at a level.
    pub fn mean_profit(&self, legs: &Legs, level: usize, paths: &[usize]) -> Result<f64, DeskFault> {
        let leg = &legs.0[self.job.levels[level].horizon][0];
        let profits = self.resident.row_on(leg.row, paths)?;
        Ok(profits.iter().map(|profit| f64::from(*profit)).sum::<f64>() / paths.len().max(1) as f64)
    }

    fn has_all(&self, held: &Held) -> bool {
        let rows = read(&self.rows);
        held.keys.iter().all(|key| rows.numbers.contains_key(key))
    }

    /// Prices the job's rows; its only account holds each instrument of `all` that is wanted.
    fn add(&self, job: &Job, all: &[Instrument], pace: &dyn Pace) -> Result<(), DeskFault> {
        let first = self.resident.add(job, pace)?;
        let mut rows = write(&self.rows);
        rows.bytes += rows_bytes(job.rows.len(), self.paths);
        for netting in &job.netting {
            for &row in &netting.row {
                let instrument = &all[job.rows[row as usize].instrument as usize];
                rows.numbers.entry(key(instrument)).or_default().push(first + row);
            }
        }
        Ok(())
    }
}

fn check(limit: Option<u64>, what: &str, needed: u64) -> Result<(), DeskFault> {
    match limit {
        Some(allowed) if needed > allowed => {
            Err(DeskFault::TooLarge { what: what.to_owned(), needed, allowed })
        }
        _ => Ok(()),
    }
}

/// The figures of one account, after `look`s with wider brackets where a first one missed.
fn finished(
    first: Vec<Result<TailEstimate, TailFault>>,
    scale: f64,
    look: impl Fn(f64) -> Result<Vec<Result<TailEstimate, TailFault>>, DeskFault>,
) -> Result<Vec<TailEstimate>, DeskFault> {
    let (results, _) = run::repair(first.len(), first, |_, widening| look(widening))?;
    let estimates: Result<Vec<TailEstimate>, TailFault> = results.into_iter().collect();
    let estimates = estimates.map_err(|fault| DeskFault::Engine(run::unrepaired(fault)))?;
    Ok(estimates.into_iter().map(|estimate| run::without_rounding(estimate, scale)).collect())
}

/// Tails of one dollar of each asset at each level, from the first paths.
fn asset_tails(job: &Job, paths: u64) -> Vec<[UnitTail; 2]> {
    let pilot = Pilot::new(job, paths);
    let [maintenance, initial] = [0, 1].map(|level| pilot.unit_tails(job, level));
    maintenance.into_iter().zip(initial).map(|(a, b)| [a, b]).collect()
}

/// The job that prices instruments: one account that holds a unit of each that is wanted.
fn job(scenario: &Scenario, instruments: &[Instrument], wanted: &[bool]) -> Result<Job, DeskFault> {
    let numbers = (0u32..).zip(wanted).filter(|(_, wanted)| **wanted);
    let holdings = numbers.map(|(instrument, _)| Holding { instrument, quantity: 1.0 }).collect();
    let account = Account { holdings, ..Account::default() };
    let portfolio = Portfolio { accounts: vec![account], instruments: instruments.to_vec() };
    let units = units(&scenario.market, instruments)?;
    let job = run::job_of(scenario, &scenario.market, &portfolio, &units).map_err(DeskFault::Engine)?;
    Ok(job.with_held_rows())
}

fn units(market: &Market, instruments: &[Instrument]) -> Result<Vec<UnitValue>, DeskFault> {
    let value = |instrument: &Instrument| {
        let fault = |fault| DeskFault::Engine(format!("{}: {fault}", instrument.name));
        UnitValue::new(market, instrument).map_err(fault)
    };
    instruments.iter().map(value).collect()
}
