//! The CPU as an engine that keeps cubes: what is kept, and rows by their numbers.

use std::sync::{Arc, PoisonError, RwLock};

use super::resident::{self, Factors, Slab, Stock};
use super::{CpuEngine, Job};
use crate::engine::resident::{Answered, Asked, Halt, Keeper, Leg, Netted, Pace, Profits, Resident, foreign};
use crate::engine::{DeviceReport, Engine, EngineFault};
use crate::risk::{Bracket, Tail};
use crate::scenario::Precision;

/// A CPU that keeps cubes, and the memory of those that are gone for those to come.
pub struct CpuKeeper {
    engine: CpuEngine,
    stock: Arc<Stock>,
    reason: String,
}

/// Paths, and profits on them.
struct Kept {
    engine: CpuEngine,
    stock: Arc<Stock>,
    paths: u64,
    /// The job that was simulated, without its rows.
    job: Arc<Job>,
    factors: Arc<Factors>,
    /// Each with the number of its first row.
    slabs: RwLock<Vec<(u32, Arc<Slab>)>>,
}

impl CpuKeeper {
    /// Keeps cubes in memory; `reason` is why it was taken, where that was not asked for.
    pub fn new(reason: &str) -> Self {
        let engine = CpuEngine::new(Precision::F32);
        Self { engine, stock: Arc::default(), reason: reason.to_owned() }
    }
}

impl Keeper for CpuKeeper {
    fn device(&self) -> DeviceReport {
        DeviceReport { reason: self.reason.clone(), ..self.engine.device() }
    }

    fn check(&self) -> Result<(), EngineFault> {
        Ok(())
    }

    fn factors_bytes(&self, job: &Job, paths: u64) -> u64 {
        Factors::bytes(job, paths)
    }

    fn reserve_bytes(&self) -> u64 {
        self.stock.bytes()
    }

    fn free_reserve(&self) {
        self.stock.clear();
    }

    fn simulate(&self, job: &Job, paths: u64, pace: &dyn Pace) -> Result<Box<dyn Resident>, Halt> {
        let factors = self.engine.factors(job, paths, pace).ok_or(Halt::Told)?;
        let job = Job { rows: Vec::new(), curves: Vec::new(), netting: Vec::new(), ..job.clone() };
        Ok(Box::new(Kept {
            engine: self.engine,
            stock: Arc::clone(&self.stock),
            paths,
            job: Arc::new(job),
            factors: Arc::new(factors),
            slabs: RwLock::default(),
        }))
    }
}

impl Resident for Kept {
    fn same_paths(&self) -> Box<dyn Resident> {
        Box::new(Self {
            engine: self.engine,
            stock: Arc::clone(&self.stock),
            paths: self.paths,
            job: Arc::clone(&self.job),
            factors: Arc::clone(&self.factors),
            slabs: RwLock::default(),
        })
    }

    /// The first rows take memory of cubes that are gone.
    fn add(&self, job: &Job, pace: &dyn Pace) -> Result<u32, Halt> {
        let stock = if self.slabs().is_empty() { Arc::clone(&self.stock) } else { Arc::default() };
        let slab = self.engine.slab(job, &self.factors, &stock, pace).ok_or(Halt::Told)?;
        let mut slabs = self.slabs.write().unwrap_or_else(PoisonError::into_inner);
        let first = slabs.last().map_or(0, |(first, slab)| first + slab.rows() as u32);
        slabs.push((first, Arc::new(slab)));
        Ok(first)
    }

    fn profits(&self, account: &Netted<'_>, pace: &dyn Pace) -> Result<Profits, Halt> {
        let slabs = self.slabs();
        let legs = legs(&slabs, account.legs)?;
        self.engine.netted(&self.netted(account, &legs)?, pace).map(Profits::Host).ok_or(Halt::Told)
    }

    fn first_losses(&self, account: &Netted<'_>, count: usize) -> Result<Vec<f32>, Halt> {
        let slabs = self.slabs();
        let legs = legs(&slabs, account.legs)?;
        Ok(self.engine.first_losses(&self.netted(account, &legs)?, count))
    }

    fn tails(&self, account: &Netted<'_>, brackets: &[Bracket], pace: &dyn Pace) -> Result<Vec<Tail>, Halt> {
        let slabs = self.slabs();
        let legs = legs(&slabs, account.legs)?;
        self.engine.netted_tails(&self.netted(account, &legs)?, brackets, pace).ok_or(Halt::Told)
    }

    fn row_on(&self, row: u32, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        let slabs = self.slabs();
        let (slab, row) = place(&slabs, row)?;
        Ok(paths.iter().map(|&path| slab.at(row, path)).collect())
    }

    fn log_returns_on(&self, observation: usize, asset: usize, paths: &[usize]) -> Result<Vec<f32>, Halt> {
        let on = |&path: &usize| self.factors.log_return(&self.job, observation, asset, path);
        Ok(paths.iter().map(on).collect())
    }

    /// One pass over the cube for all.
    fn tails_of(&self, accounts: &[Asked<'_>], pace: &dyn Pace) -> Result<Vec<Answered>, Halt> {
        let slabs = self.slabs();
        let legs = accounts.iter().map(|asked| legs(&slabs, asked.netted.legs));
        let legs = legs.collect::<Result<Vec<_>, _>>()?;
        let asked = accounts.iter().zip(&legs).map(|(asked, legs)| {
            let netted = self.netted(&asked.netted, legs)?;
            Ok(resident::Asked { netted, brackets: asked.brackets.clone(), is_kept: asked.is_kept })
        });
        let asked = asked.collect::<Result<Vec<_>, EngineFault>>()?;
        let answered = self.engine.netted_tails_of(&asked, pace).ok_or(Halt::Told)?;
        Ok(answered.into_iter().map(|(tails, profits)| (tails, profits.map(Profits::Host))).collect())
    }
}

impl Kept {
    fn slabs(&self) -> Vec<(u32, Arc<Slab>)> {
        self.slabs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn netted<'a>(
        &self,
        account: &Netted<'a>,
        legs: &'a [resident::Leg<'a>],
    ) -> Result<resident::Netted<'a>, EngineFault> {
        let base = match account.base {
            None => None,
            Some(Profits::Host(profits)) => Some(profits.as_slice()),
            Some(Profits::Device(_)) => return Err(foreign()),
        };
        Ok(resident::Netted { base, legs, paths: self.paths })
    }
}

fn legs<'a>(slabs: &'a [(u32, Arc<Slab>)], legs: &[Leg]) -> Result<Vec<resident::Leg<'a>>, EngineFault> {
    let leg = |leg: &Leg| {
        let (slab, row) = place(slabs, leg.row)?;
        Ok(resident::Leg { slab, row, quantity: leg.quantity })
    };
    legs.iter().map(leg).collect()
}

/// The slab of a row, and its place there.
fn place(slabs: &[(u32, Arc<Slab>)], row: u32) -> Result<(&Slab, usize), EngineFault> {
    let after = slabs.partition_point(|(first, _)| *first <= row);
    let found = after.checked_sub(1).map(|index| &slabs[index]);
    let found = found.map(|(first, slab)| (&**slab, (row - first) as usize));
    let lacking = || EngineFault::Device(format!("the cube has no row {row}"));
    found.filter(|(slab, row)| *row < slab.rows()).ok_or_else(lacking)
}
