//! What may be exhausted: its value after moves, and along simulated paths.

use nalgebra::DVector;

use super::moves::Coordinates;
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Cube, FACTORS, Job};
use crate::instrument::Instrument;
use crate::portfolio::{Account, Holding, Portfolio};
use crate::run;
use crate::scenario::{Precision, Scenario};

/// Numbers of a part of the simulation: 64 MB.
const MAX_NUMBERS: usize = 1 << 24;
/// Failing paths that are kept, those with the least distance from the mean.
const KEPT_PATHS: usize = 512;

/// Who is looked at. Money in the reporting currency.
#[derive(Clone, Debug)]
pub(super) enum Holder {
    /// An account, exhausted where what it is worth falls to `level`.
    Account { account: Account, worth: f64, level: f64 },
    /// A fund that bears the losses beyond what accounts are worth.
    Fund { accounts: Vec<(Account, f64)>, size: f64 },
}

/// What is done about it: money and quantities of instruments, one for each of the book's units.
#[derive(Clone, Debug, Default)]
pub(super) struct Relief {
    pub money: f64,
    pub quantities: Vec<f64>,
}

/// A holder with instruments of which one unit each is watched.
pub(super) struct Book {
    pub job: Job,
    engine: CpuEngine,
    holder: Holder,
    units: usize,
    relief: Relief,
}

/// What simulated paths say.
pub(super) struct Walk {
    /// Value above what exhausts, by path.
    pub gaps: Vec<f64>,
    /// Profit of one unit, `[unit][path]`.
    pub units: Vec<Vec<f32>>,
    /// Paths that fail, the nearest to the mean first; not all of many.
    pub failing: Vec<Failing>,
    pub failures: u64,
    /// Mean factors at the horizon over failing paths, `[asset]`.
    pub mean: Vec<[f64; FACTORS]>,
}

/// A path that fails.
#[derive(Clone, Debug)]
pub(super) struct Failing {
    pub path: u64,
    pub distance: f64,
    pub z: DVector<f64>,
}

impl Holder {
    /// Accounts with what they are worth.
    fn accounts(&self) -> Vec<(&Account, f64)> {
        match self {
            Self::Account { account, worth, .. } => vec![(account, *worth)],
            Self::Fund { accounts, .. } => {
                accounts.iter().map(|(account, worth)| (account, *worth)).collect()
            }
        }
    }

    /// Value above what exhausts it, where the accounts lose so much.
    fn gap(&self, losses: impl Fn(usize) -> f64) -> f64 {
        match self {
            Self::Account { worth, level, .. } => worth - losses(0) - level,
            Self::Fund { accounts, size } => {
                let beyond =
                    accounts.iter().enumerate().map(|(at, (_, worth))| (losses(at) - worth).max(0.0));
                size - beyond.sum::<f64>()
            }
        }
    }

    /// What it has now, above what exhausts it.
    pub fn now(&self) -> f64 {
        self.gap(|_| 0.0)
    }

    /// Assets that it depends on.
    pub fn assets(&self, scenario: &Scenario) -> Vec<usize> {
        let holdings = self.accounts().into_iter().flat_map(|(account, _)| &account.holdings);
        let mut assets: Vec<usize> =
            holdings.map(|h| scenario.portfolio.instruments[h.instrument as usize].asset).collect();
        assets.sort_unstable();
        assets.dedup();
        assets
    }
}

impl Book {
    /// A holder beside one unit of each instrument, with some relief of them.
    pub fn new(
        scenario: &Scenario,
        holder: &Holder,
        units: &[Instrument],
        relief: Relief,
    ) -> Result<Self, String> {
        let mut instruments = scenario.portfolio.instruments.clone();
        let mut accounts: Vec<Account> =
            holder.accounts().into_iter().map(|(account, _)| account.clone()).collect();
        for unit in units {
            let index = instruments.iter().position(|known| known == unit).unwrap_or_else(|| {
                instruments.push(unit.clone());
                instruments.len() - 1
            });
            let holdings = vec![Holding { instrument: index as u32, quantity: 1.0 }];
            accounts.push(Account { holdings, ..Account::default() });
        }
        let scenario = Scenario { portfolio: Portfolio { accounts, instruments }, ..scenario.clone() };
        let level = scenario.margin.maintenance;
        let job = run::job_at(&scenario, &[(level.horizon, level.confidence)])?.with_held_rows();
        let engine = CpuEngine::new(Precision::F32);
        Ok(Self { job, engine, holder: holder.clone(), units: units.len(), relief })
    }

    /// Values after moves, above what exhausts.
    pub fn gaps(&self, coordinates: &Coordinates, moves: &[DVector<f64>]) -> Vec<f64> {
        let losses = self.losses_after(coordinates, moves);
        (0..moves.len()).map(|at| self.gap(|account| losses[account][at])).collect()
    }

    /// Profit of one unit of each instrument after a move.
    pub fn unit_profits(&self, coordinates: &Coordinates, z: &DVector<f64>) -> Vec<f64> {
        let losses = self.losses_after(coordinates, std::slice::from_ref(z));
        losses[losses.len() - self.units..].iter().map(|losses| -losses[0]).collect()
    }

    fn losses_after(&self, coordinates: &Coordinates, moves: &[DVector<f64>]) -> Vec<Vec<f64>> {
        let entries = self.job.observations.len() * self.job.assets * FACTORS;
        let mut blocks = vec![vec![0.0; entries * BLOCK]; moves.len().div_ceil(BLOCK)];
        for (at, z) in moves.iter().enumerate() {
            let block = &mut blocks[at / BLOCK];
            for (entry, value) in coordinates.factors(z).into_iter().flatten().enumerate() {
                block[entry * BLOCK + at % BLOCK] = value;
            }
        }
        let cube = self.engine.cube_of_factors_f64(&self.job, blocks);
        self.engine.losses_f64(&self.job, &cube, 0, |_, losses| losses[..moves.len()].to_vec())
    }

    fn gap(&self, losses: impl Fn(usize) -> f64) -> f64 {
        let first = self.job.accounts() - self.units;
        let hedged = self
            .relief
            .quantities
            .iter()
            .enumerate()
            .map(|(unit, quantity)| -quantity * losses(first + unit));
        self.holder.gap(&losses) + self.relief.money + hedged.sum::<f64>()
    }

    /// Simulates `paths` paths; `distance` of a move orders failing ones, and without it none is kept.
    pub fn walk(
        &self,
        paths: u64,
        coordinates: &Coordinates,
        distance: Option<&dyn Fn(&DVector<f64>) -> f64>,
    ) -> Walk {
        let mut walk = Walk {
            gaps: Vec::with_capacity(paths as usize),
            units: vec![Vec::with_capacity(paths as usize); self.units],
            failing: Vec::new(),
            failures: 0,
            mean: vec![[0.0; FACTORS]; self.job.assets],
        };
        let width = self.job.rows.len().max(self.job.accounts()).max(1);
        let chunk = (MAX_NUMBERS / width / BLOCK * BLOCK).clamp(BLOCK, 1 << 16) as u64;
        let mut start = 0;
        while start < paths {
            let end = (start + chunk).min(paths);
            let count = (end - start) as usize;
            let cube = self.engine.cube_f32(&self.job, start..end);
            let losses = self.engine.losses_f32(&self.job, &cube, 0, |_, losses| losses[..count].to_vec());
            let first = losses.len() - self.units;
            for (unit, losses) in walk.units.iter_mut().zip(&losses[first..]) {
                unit.extend(losses.iter().map(|loss| -loss));
            }
            for at in 0..count {
                let gap = self.gap(|account| f64::from(losses[account][at]));
                walk.gaps.push(gap);
                if !(gap > 0.0) {
                    walk.failures += 1;
                    self.keep(&mut walk, &cube, (start, at), coordinates, distance);
                }
            }
            start = end;
        }
        let failures = walk.failures.max(1) as f64;
        walk.mean.iter_mut().flatten().for_each(|sum| *sum /= failures);
        sort(&mut walk.failing);
        walk
    }

    fn keep(
        &self,
        walk: &mut Walk,
        cube: &Cube<f32>,
        (start, at): (u64, usize),
        coordinates: &Coordinates,
        distance: Option<&dyn Fn(&DVector<f64>) -> f64>,
    ) {
        let factors = &cube.factors[at / BLOCK];
        let last = (self.job.observations.len() - 1) * self.job.assets * FACTORS;
        for (entry, sum) in walk.mean.iter_mut().flatten().enumerate() {
            *sum += f64::from(factors[(last + entry) * BLOCK + at % BLOCK]);
        }
        let Some(distance) = distance else { return };
        let z = coordinates.of_path(factors, at % BLOCK);
        walk.failing.push(Failing { path: start + at as u64, distance: distance(&z), z });
        if walk.failing.len() >= 2 * KEPT_PATHS {
            sort(&mut walk.failing);
        }
    }
}

fn sort(failing: &mut Vec<Failing>) {
    failing.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.path.cmp(&b.path)));
    failing.truncate(KEPT_PATHS);
}
