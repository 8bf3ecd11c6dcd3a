//! Cubes that stay where they were computed: what an engine must do for whoever keeps asking about
//! the same paths. The CPU keeps one in memory, a GPU in its own; both give the bits of a run.

use std::any::Any;
use std::borrow::Cow;

use super::{DeviceReport, EngineFault, Job};
use crate::risk::{Bracket, Tail};

/// What a long computation asks before each block or tile of paths.
pub trait Pace: Sync {
    /// Whether to go on; it may wait here for work that is more urgent.
    fn go_on(&self) -> bool;
}

/// Goes on to the end.
pub struct Unhurried;

impl Pace for Unhurried {
    fn go_on(&self) -> bool {
        true
    }
}

/// Why a computation has no result.
#[derive(Clone, Debug, PartialEq)]
pub enum Halt {
    /// It was told not to go on.
    Told,
    /// The engine failed.
    Fault(EngineFault),
}

impl From<EngineFault> for Halt {
    fn from(fault: EngineFault) -> Self {
        Self::Fault(fault)
    }
}

/// An engine that keeps cubes.
pub trait Keeper: Send + Sync {
    /// What it runs on.
    fn device(&self) -> DeviceReport;

    /// A fault once the device cannot be used any more.
    fn check(&self) -> Result<(), EngineFault>;

    /// Bytes that the factors of so many paths of a job take.
    fn factors_bytes(&self, job: &Job, paths: u64) -> u64;

    /// Bytes of memory that wait for the next cube.
    fn reserve_bytes(&self) -> u64 {
        0
    }

    /// Frees it: whoever has made all cubes that it needs for now says so.
    fn free_reserve(&self) {}

    /// Simulates the paths `0..paths` in f32 and keeps their factors; no rows yet.
    fn simulate(&self, job: &Job, paths: u64, pace: &dyn Pace) -> Result<Box<dyn Resident>, Halt>;
}

/// Paths, and profits of one unit of some rows on them, kept. It may be shared between threads.
pub trait Resident: Send + Sync {
    /// The same paths without rows; what they share is kept once.
    fn same_paths(&self) -> Box<dyn Resident>;

    /// Adds the rows of a job that simulates alike: the number of the first, which the others follow.
    fn add(&self, job: &Job, pace: &dyn Pace) -> Result<u32, Halt>;

    /// Profits of an account on all paths.
    fn profits(&self, account: &Netted<'_>, pace: &dyn Pace) -> Result<Profits, Halt>;

    /// Losses of an account on its first paths.
    fn first_losses(&self, account: &Netted<'_>, count: usize) -> Result<Vec<f32>, Halt>;

    /// Tails of an account at each bracket.
    fn tails(&self, account: &Netted<'_>, brackets: &[Bracket], pace: &dyn Pace) -> Result<Vec<Tail>, Halt>;

    /// Profits of a unit of a row on some paths.
    fn row_on(&self, row: u32, paths: &[usize]) -> Result<Vec<f32>, Halt>;

    /// Log returns of an asset at an observation of the job that was simulated, on some paths.
    fn log_returns_on(&self, observation: usize, asset: usize, paths: &[usize]) -> Result<Vec<f32>, Halt>;

    /// Tails of several accounts.
    fn tails_of(&self, accounts: &[Asked<'_>], pace: &dyn Pace) -> Result<Vec<Answered>, Halt> {
        let answer = |asked: &Asked<'_>| {
            if !asked.is_kept {
                return Ok((self.tails(&asked.netted, &asked.brackets, pace)?, None));
            }
            let profits = self.profits(&asked.netted, pace)?;
            let netted = Netted { base: Some(&profits), legs: &[] };
            Ok((self.tails(&netted, &asked.brackets, pace)?, Some(profits)))
        };
        accounts.iter().map(answer).collect()
    }
}

/// A quantity of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leg {
    /// Number of the row.
    pub row: u32,
    /// Units.
    pub quantity: f64,
}

/// An account on all paths at one horizon: profits that are kept, if any, and legs that come on top,
/// in their order.
#[derive(Clone, Copy)]
pub struct Netted<'a> {
    /// Profits; zero without them.
    pub base: Option<&'a Profits>,
    /// What is added.
    pub legs: &'a [Leg],
}

/// An account of several, its brackets at the horizon, and whether its profits are wanted, too.
pub struct Asked<'a> {
    /// The account.
    pub netted: Netted<'a>,
    /// One for each tail that is wanted.
    pub brackets: Vec<Bracket>,
    /// Whether its profits are wanted.
    pub is_kept: bool,
}

/// Tails of an account and, where they are wanted, its profits.
pub type Answered = (Vec<Tail>, Option<Profits>);

/// Profits of an account on all paths at one horizon, `[path]`, where its cube is.
pub enum Profits {
    /// In memory, up to a whole block of paths.
    Host(Vec<f32>),
    /// On a device with memory of its own.
    Device(Box<dyn DeviceProfits>),
}

/// Profits on a device, which knows them again.
pub trait DeviceProfits: Any + Send + Sync {
    /// The profits in memory.
    fn read(&self) -> Result<Vec<f32>, EngineFault>;
}

impl Profits {
    /// The profits in memory, on at least all paths.
    pub fn read(&self) -> Result<Cow<'_, [f32]>, EngineFault> {
        match self {
            Self::Host(profits) => Ok(Cow::Borrowed(profits)),
            Self::Device(profits) => profits.read().map(Cow::Owned),
        }
    }
}

/// Bytes of so many rows on so many paths: 4 each, whole blocks of paths.
pub fn rows_bytes(rows: usize, paths: u64) -> u64 {
    4 * rows as u64 * paths.next_multiple_of(super::BLOCK as u64)
}

/// What to say where profits of another device are given; nobody does.
pub(super) fn foreign() -> EngineFault {
    EngineFault::Device("profits of another device".to_owned())
}
