//! The resident cube: profit of every instrument on every path, and the passes that answer from it.
//!
//! The factors of the paths are kept beside it: a twentieth of the cube's memory, for which a market
//! move or a new instrument costs a revaluation alone.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, RwLock};

use jiff::Timestamp;

use super::book::Held;
use super::{DeskFault, read, write};
use crate::engine::cpu::{CpuEngine, Factors, Leg, Netted, Pace, Slab};
use crate::engine::{EngineFault, Job, Pilot, pilot_paths};
use crate::instrument::{Instrument, Kind, UnitValue};
use crate::margin::UnitTail;
use crate::market::Market;
use crate::portfolio::{Account, Holding, Portfolio};
use crate::risk::{Bracket, TailCollector, TailEstimate, TailFault, TailPath, TailPaths};
use crate::run;
use crate::scenario::{Precision, Scenario};
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
    engine: CpuEngine,
    /// What was simulated.
    job: Job,
    factors: Arc<Factors>,
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
}

#[derive(Default)]
struct Rows {
    /// One place for each horizon.
    places: HashMap<Key, Vec<Place>>,
    bytes: u64,
}

/// Where a row is.
#[derive(Clone)]
struct Place {
    slab: Arc<Slab>,
    row: usize,
}

/// What an account nets, at every horizon and in order.
pub struct Legs(Vec<Vec<(Place, f64)>>);

/// An account's profits on all paths, one list a horizon.
pub type Profits = Vec<Vec<f32>>;

impl Legs {
    /// Number of legs at one horizon.
    pub fn len(&self) -> usize {
        self.0.first().map_or(0, Vec::len)
    }

    /// The legs after the first ones, if those are `first`.
    pub fn after(&self, first: &Self) -> Option<Self> {
        let same = |a: &(Place, f64), b: &(Place, f64)| {
            Arc::ptr_eq(&a.0.slab, &b.0.slab) && a.0.row == b.0.row && a.1.to_bits() == b.1.to_bits()
        };
        let rest = self.0.iter().zip(&first.0).map(|(all, first)| {
            let is_first = all.len() >= first.len() && all.iter().zip(first).all(|(a, b)| same(a, b));
            is_first.then(|| all[first.len()..].to_vec())
        });
        rest.collect::<Option<_>>().map(Self)
    }

    fn at(&self, horizon: usize) -> Vec<Leg<'_>> {
        let legs = self.0[horizon].iter();
        legs.map(|(place, quantity)| Leg { slab: &place.slab, row: place.row, quantity: *quantity }).collect()
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
    /// Prices instruments on all paths. Factors are those of `before` where the paths are the same.
    pub fn new(
        scenario: &Scenario,
        instruments: &[Instrument],
        before: Option<&Self>,
        limit: Option<u64>,
        pace: &dyn Pace,
    ) -> Result<Self, DeskFault> {
        let paths = scenario.simulation.paths;
        let engine = CpuEngine::new(Precision::F32);
        let job = job(scenario, instruments, &vec![true; instruments.len()])?;
        let factors_bytes = Factors::bytes(&job, paths);
        let mut cube = Self {
            engine,
            factors: Arc::new(Factors::default()),
            factors_bytes,
            paths,
            pins: pins(scenario, instruments),
            rows: RwLock::default(),
            asset_tails: Vec::new(),
            adding: Mutex::default(),
            limit,
            job,
        };
        // The next revaluation has the old cube and the new one side by side, and accounts in both.
        let rows = Slab::bytes(cube.job.rows.len(), paths) + LEAST_KEPT * cube.profits_bytes();
        cube.check(
            "the cube of all instruments and paths, twice while it is revalued",
            factors_bytes + 2 * rows,
        )?;
        let same = before.filter(|before| before.job.simulates_like(&cube.job));
        cube.factors = match same {
            Some(before) => Arc::clone(&before.factors),
            None => Arc::new(engine.factors(&cube.job, paths, pace).ok_or(DeskFault::Cancelled)?),
        };
        cube.add(&cube.job, instruments, pace)?;
        // The rows are in their slab.
        cube.job.rows = Vec::new();
        cube.job.curves = Vec::new();
        cube.asset_tails = match same {
            Some(before) => before.asset_tails.clone(),
            None => asset_tails(&cube.job, paths),
        };
        Ok(cube)
    }

    /// Whether another cube has the same paths.
    pub fn has_paths_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.factors, &other.factors)
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
        let is_missing = |instrument: &&Instrument| !read(&self.rows).places.contains_key(&key(instrument));
        let mut all: Vec<Instrument> = held.instruments.iter().filter(is_missing).cloned().collect();
        let mut wanted = vec![true; all.len()];
        all.extend_from_slice(&self.pins);
        wanted.resize(all.len(), false);
        let job = job(scenario, &all, &wanted)?;
        if !job.simulates_like(&self.job) {
            return Ok(false);
        }
        let more = Slab::bytes(job.rows.len(), self.paths);
        self.check("the cube with further instruments", self.bytes() + more)?;
        self.add(&job, &all, pace)?;
        Ok(true)
    }

    /// What an account nets; `None` where the cube lacks an instrument.
    pub fn legs(&self, held: &Held) -> Option<Legs> {
        let rows = read(&self.rows);
        let places: Vec<Option<&Vec<Place>>> = held.keys.iter().map(|key| rows.places.get(key)).collect();
        let at = |horizon: usize| {
            let leg = |holding: &Holding| {
                let places = places[holding.instrument as usize]?;
                Some((places[horizon].clone(), holding.quantity))
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
        Slab::bytes(self.job.horizons.len(), self.paths)
    }

    /// Instruments that are priced.
    pub fn instruments(&self) -> usize {
        read(&self.rows).places.len()
    }

    /// Profits of an account on all paths: `base`, and legs on top of it.
    pub fn profits(
        &self,
        base: Option<&Profits>,
        legs: &Legs,
        pace: &dyn Pace,
    ) -> Result<Profits, DeskFault> {
        let at = |horizon: usize| {
            let legs = legs.at(horizon);
            self.engine.netted(&self.netted(base, &legs, horizon), pace).ok_or(DeskFault::Cancelled)
        };
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
        let first = look(1.0)?;
        let (results, _) = run::repair(first.len(), first, |_, widening| look(widening))?;
        let estimates: Result<Vec<TailEstimate>, TailFault> = results.into_iter().collect();
        let estimates = estimates.map_err(|fault| EngineFault::Device(run::unrepaired(fault)))?;
        Ok(estimates.into_iter().map(|estimate| run::without_rounding(estimate, scale)).collect())
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
            let legs = legs.at(horizon);
            let account = self.netted(base, &legs, horizon);
            let levels: Vec<usize> =
                (0..results.len()).filter(|&level| self.job.levels[level].horizon == horizon).collect();
            let confidence = |level: usize| self.job.levels[level].confidence;
            let pilot = |level: usize| pilot_paths(confidence(level), self.paths);
            let most = levels.iter().map(|&level| pilot(level)).max().unwrap_or(0);
            let losses = self.engine.first_losses(&account, most);
            let bracket = |&level: &usize| {
                let first = &losses[..pilot(level)];
                Bracket::new(first, first.len(), confidence(level), widening, scale)
            };
            let brackets: Vec<Bracket> = levels.iter().map(bracket).collect();
            let tails = self.engine.netted_tails(&account, &brackets, pace).ok_or(DeskFault::Cancelled)?;
            for ((&level, bracket), tail) in levels.iter().zip(&brackets).zip(&tails) {
                results[level] = tail.estimate(bracket, confidence(level), self.paths);
            }
        }
        Ok(results)
    }

    /// The paths of an account's tails, one for each level; from its profits.
    pub fn tail_paths(&self, profits: &Profits) -> Result<Vec<TailPaths>, DeskFault> {
        let of = |level: &crate::engine::TailLevel| {
            let mass = self.paths as f64 * level.confidence.tail();
            let mut collector = TailCollector::new(mass, f64::NEG_INFINITY);
            for (path, profit) in profits[level.horizon][..self.paths as usize].iter().enumerate() {
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
    pub fn losses<'a>(&self, profits: &'a Profits, level: usize) -> impl Iterator<Item = f32> + 'a {
        let horizon = self.job.levels[level].horizon;
        profits[horizon][..self.paths as usize].iter().map(|profit| -*profit)
    }

    /// Mean profit of one unit of an account's only leg over some paths at a level.
    pub fn mean_profit(&self, legs: &Legs, level: usize, paths: &[u32]) -> f64 {
        let horizon = self.job.levels[level].horizon;
        let legs = legs.at(horizon);
        let profit = |&path: &u32| f64::from(legs[0].slab.at(legs[0].row, path as usize));
        paths.iter().map(profit).sum::<f64>() / paths.len().max(1) as f64
    }

    fn netted<'a>(&self, base: Option<&'a Profits>, legs: &'a [Leg<'a>], horizon: usize) -> Netted<'a> {
        Netted { base: base.map(|base| base[horizon].as_slice()), legs, paths: self.paths }
    }

    fn has_all(&self, held: &Held) -> bool {
        let rows = read(&self.rows);
        held.keys.iter().all(|key| rows.places.contains_key(key))
    }

    /// Prices the job's rows; its only account holds each instrument of `all` that is wanted.
    fn add(&self, job: &Job, all: &[Instrument], pace: &dyn Pace) -> Result<(), DeskFault> {
        let slab = Arc::new(self.engine.slab(job, &self.factors, pace).ok_or(DeskFault::Cancelled)?);
        let mut rows = write(&self.rows);
        rows.bytes += Slab::bytes(slab.rows(), self.paths);
        for netting in &job.netting {
            for &row in &netting.row {
                let instrument = &all[job.rows[row as usize].instrument as usize];
                let place = Place { slab: Arc::clone(&slab), row: row as usize };
                rows.places.entry(key(instrument)).or_default().push(place);
            }
        }
        Ok(())
    }

    fn check(&self, what: &str, needed: u64) -> Result<(), DeskFault> {
        match self.limit {
            Some(allowed) if needed > allowed => {
                Err(DeskFault::TooLarge { what: what.to_owned(), needed, allowed })
            }
            _ => Ok(()),
        }
    }
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
