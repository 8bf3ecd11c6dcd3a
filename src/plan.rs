//! Sizes: what a run will take, before it takes it.

use std::fmt;

use crate::attribution::{self, MAX_TAIL_PATHS, WORST_PATHS, WORST_POSITIONS};
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Engine, KEPT_PATHS, Shape};
use crate::risk::{Bracket, COLUMNS, TailEstimate};
use crate::run::{self, AccountCase};
use crate::scenario::{Scenario, Selection};
use crate::shard::Part;

/// The program, its threads' stacks and buffers of files.
const PROGRAM_BYTES: u64 = 24 << 20;
/// Losses of accounts that a thread nets together in the pilot; see the CPU engine.
const PILOT_THREAD_BYTES: u64 = 18 << 20;
/// One account of one case in a report, with its texts.
const REPORT_ROW_BYTES: u64 = 800;
/// The shape of an account's losses, as numbers and as text.
const DISTRIBUTION_BYTES: u64 = 12 * COLUMNS as u64;
/// A row of the positions while it is read: its text twice, where its cells end, its holding.
const READ_ROW_BYTES: u64 = 160;
/// A tail path in a collector: 16 bytes, twice a tail, half as much again while a vector grows.
const COLLECTED_BYTES: u64 = 48;
/// Paths at the end of a tail that a collector keeps beside it.
const COLLECTOR_BYTES: u64 = 2 * 256 * 16;
/// A position's component at both levels with its name and greeks, in a case and in the report.
const COMPONENT_BYTES: usize = 2 * 2 * 320;
/// An asset and a position of a worst path, in a case and in the report.
const WORST_ASSET_BYTES: usize = 160;
const WORST_POSITION_BYTES: usize = 160;
/// What an allocator keeps beside what it was asked for: a tenth.
const SLACK: u64 = 10;

/// Shape of a part of a scenario.
pub fn shape(scenario: &Scenario, part: &Part) -> Shape {
    let levels = run::levels(scenario);
    let horizons = if levels[0].0 == levels[1].0 { 1 } else { 2 };
    let longest = levels[0].0.get().max(levels[1].0.get());
    let instruments = &scenario.portfolio.instruments;
    let mut expiries: Vec<_> = instruments.iter().filter_map(|i| i.kind.expiry()).collect();
    expiries.sort();
    expiries.dedup();
    let inside = expiries.iter().filter(|expiry| {
        crate::units::Years::between(scenario.market.as_of, **expiry).is_some_and(|y| y.get() < longest)
    });
    Shape {
        accounts: part.accounts.end - part.accounts.start,
        holdings: part.holdings,
        horizons,
        levels: levels.len() as u64,
        rows: instruments.len() as u64 * horizons,
        assets: scenario.market.assets.len() as u64,
        observations: horizons + inside.count() as u64,
    }
}

/// Memory of a run by what needs it, in bytes. The peak is [`Memory::peak`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Accounts, holdings and the program itself.
    pub book: u64,
    /// Accounts times rows in the order of the work, for every horizon.
    pub netting: u64,
    /// Paths kept of the pilot, and what it nets at a time.
    pub pilot: u64,
    /// Brackets and tails.
    pub tails: u64,
    /// Tables while the book is read, before anything else is there.
    pub reading: u64,
    /// A tile of paths and what else the engine holds.
    pub engine: u64,
    /// Tail paths that are taken apart at a time, once the tails themselves are gone.
    pub attribution: u64,
    /// Figures of all cases, and the report.
    pub results: u64,
}

/// A run that does not fit into the memory that it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the run needs {} of memory, but {} are allowed ({memory}); allow more, or divide it: `shortfall plan --shards {shards}`",
    Bytes(.memory.peak()),
    Bytes(*.allowed)
)]
pub struct TooMuchMemory {
    /// What it needs at least.
    pub memory: Memory,
    /// What it may take.
    pub allowed: u64,
    /// Shards by account that would fit.
    pub shards: u64,
}

impl Memory {
    /// Plans a part of a scenario; the engine takes as much as `allowed` leaves.
    pub fn plan(
        scenario: &Scenario,
        part: &Part,
        engine: &mut dyn Engine,
        allowed: Option<u64>,
    ) -> Result<Self, TooMuchMemory> {
        let shape = shape(scenario, part);
        let mut memory = Self::without_engine(scenario, &shape);
        let left = allowed.map_or(u64::MAX, |allowed| {
            let allowed = allowed - allowed / (SLACK + 1);
            allowed.saturating_sub(
                memory.results / 2 + memory.book + memory.netting + memory.pilot + memory.tails,
            )
        });
        memory.engine = engine.working_bytes(&shape, left);
        match allowed {
            Some(allowed) if memory.peak() > allowed => {
                let divisible = memory.netting + memory.tails + memory.results;
                let fixed = memory.peak().saturating_sub(divisible);
                let room = allowed.saturating_sub(fixed).max(1);
                Err(TooMuchMemory { memory, allowed, shards: (divisible.div_ceil(room) + 1).clamp(2, 1000) })
            }
            _ => Ok(memory),
        }
    }

    fn without_engine(scenario: &Scenario, shape: &Shape) -> Self {
        let portfolio = &scenario.portfolio;
        let text: usize = portfolio.accounts.iter().map(|a| a.name.len() + a.description.len() + 32).sum();
        let holdings: usize = portfolio.accounts.iter().map(|a| a.holdings.len()).sum();
        let book = text
            + portfolio.accounts.len() * size_of::<crate::portfolio::Account>()
            + holdings * size_of::<crate::portfolio::Holding>()
            + portfolio.instruments.len() * 2048;
        let rows = shape.accounts * run::case_count(scenario) as u64;
        let threads = rayon::current_num_threads() as u64;
        let mut memory = Self {
            book: PROGRAM_BYTES + book as u64,
            netting: shape.entries() * 12 + shape.accounts * (8 + 4 * shape.horizons),
            pilot: 0,
            tails: shape.tails_bytes() + shape.accounts * shape.levels * size_of::<Bracket>() as u64,
            reading: holdings as u64 * READ_ROW_BYTES,
            engine: 0,
            attribution: attribution_bytes(scenario, shape),
            results: attribution_result_bytes(scenario)
                + rows * (size_of::<AccountCase>() as u64 + REPORT_ROW_BYTES)
                + shape.accounts * DISTRIBUTION_BYTES
                + shape.accounts * shape.levels * 2 * size_of::<TailEstimate>() as u64,
        };
        let rare = run::levels(scenario).iter().any(|(_, c)| 64.0 / c.tail() > KEPT_PATHS as f64);
        // Rare levels let more paths go by, and keep the hundred or so largest losses of each account.
        let streamed =
            if rare { shape.accounts * shape.levels * 2 * 640 + memory.pilot_kept(shape) } else { 0 };
        memory.pilot =
            memory.pilot_kept(shape) + threads * PILOT_THREAD_BYTES + shape.entries() * 4 + streamed;
        memory
    }

    /// Bytes of the paths that a pilot keeps through a whole case.
    fn pilot_kept(&self, shape: &Shape) -> u64 {
        shape.block_cells() * 4 * (KEPT_PATHS / BLOCK as u64)
    }

    /// The most that a shard holds, which reports nothing.
    pub fn peak_of_shard(&self) -> u64 {
        let work = self.netting + self.pilot + self.tails + self.engine;
        with_slack(self.book + work.max(self.reading))
    }

    /// The most that is held at one time. Earlier cases' figures are part of the results, about
    /// half of which are there while the last case is simulated; the rest is the report.
    pub fn peak(&self) -> u64 {
        let tails = (self.tails + self.engine).max(self.attribution);
        let work = self.netting + self.pilot + tails + self.results / 2;
        with_slack(self.book + work.max(self.results).max(self.reading))
    }
}

/// Accounts whose Expected Shortfall is taken apart in a case, at most.
fn attributed(scenario: &Scenario) -> usize {
    let accounts = scenario.portfolio.accounts.len();
    match &scenario.attribution {
        Selection::None => 0,
        Selection::All | Selection::Above(_) => accounts,
        Selection::Names(names) => names.len().min(accounts),
        Selection::Top(count) => (*count).min(accounts),
    }
}

/// What taking tails apart holds at a time: collectors of twice a tail in vectors that grow by
/// doubling, a tile of the CPU engine, and the holdings once more.
fn attribution_bytes(scenario: &Scenario, shape: &Shape) -> u64 {
    let selected = attributed(scenario) as u64;
    if selected == 0 {
        return 0;
    }
    let confidences = run::levels(scenario).into_iter().map(|(_, confidence)| confidence);
    let mass = attribution::tail_paths(confidences, scenario.simulation.paths);
    let held = (selected * mass).min(MAX_TAIL_PATHS.max(mass));
    let tile = CpuEngine::new(scenario.simulation.precision).working_bytes(shape, u64::MAX);
    held * COLLECTED_BYTES + selected * shape.levels * COLLECTOR_BYTES + tile + shape.entries() * 12
}

/// The attributions of all cases and their place in a report: those of the accounts that hold most.
fn attribution_result_bytes(scenario: &Scenario) -> u64 {
    let mut holdings: Vec<usize> = scenario.portfolio.accounts.iter().map(|a| a.holdings.len()).collect();
    holdings.sort_unstable_by(|a, b| b.cmp(a));
    let selected = attributed(scenario);
    let held: usize = holdings.iter().take(selected).sum();
    let assets = scenario.market.assets.len();
    let account = WORST_PATHS * (assets * WORST_ASSET_BYTES + WORST_POSITIONS * WORST_POSITION_BYTES);
    let bytes = held * COMPONENT_BYTES + selected * account;
    bytes as u64 * run::case_count(scenario) as u64
}

fn with_slack(bytes: u64) -> u64 {
    bytes + bytes / SLACK
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "book {}, reading it {}, netting {}, pilot {}, tails {}, engine {}, attribution {}, results {}",
            Bytes(self.book),
            Bytes(self.reading),
            Bytes(self.netting),
            Bytes(self.pilot),
            Bytes(self.tails),
            Bytes(self.engine),
            Bytes(self.attribution),
            Bytes(self.results)
        )
    }
}

/// A number of bytes, shown as `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0 as f64;
        match n {
            n if n >= f64::from(1 << 30) => write!(f, "{:.2} GiB", n / f64::from(1 << 30)),
            n if n >= f64::from(1 << 20) => write!(f, "{:.0} MiB", n / f64::from(1 << 20)),
            n => write!(f, "{:.0} KiB", (n / 1024.0).ceil()),
        }
    }
}

impl Bytes {
    /// Reads `2GiB`, `512 MiB`, `1.5G`, `800M`; powers of 1024.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = text.split_at(split);
        let shift = match unit {
            "KiB" | "K" => 10,
            "MiB" | "M" => 20,
            "GiB" | "G" => 30,
            "TiB" | "T" => 40,
            _ => return None,
        };
        let number = crate::units::finite(number).filter(|x| (0.001..=1e6).contains(x))?;
        Some(Self((number * (1u64 << shift) as f64) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_and_print() {
        for (text, bytes, shown) in [
            ("2GiB", 2 << 30, "2.00 GiB"),
            ("512 MiB", 512 << 20, "512 MiB"),
            ("1.5G", 3 << 29, "1.50 GiB"),
            ("8K", 8192, "8 KiB"),
        ] {
            assert_eq!(Bytes::parse(text), Some(Bytes(bytes)), "{text}");
            assert_eq!(Bytes(bytes).to_string(), shown);
        }
        for bad in ["", "2", "GiB", "-1GiB", "2 gib", "nan GiB", "1e9T"] {
            assert_eq!(Bytes::parse(bad), None, "{bad}");
        }
    }
}
