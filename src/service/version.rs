//! One version of the market: the cube in it, the accounts in it, and their figures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Instant;

use jiff::Timestamp;

use super::api::{Account, Book, Figures, Position};
use super::book::{self, Held};
use super::cube::{self, Cube, LEAST_KEPT, Legs, Profits};
use super::device;
use super::pools::Pools;
use super::{Cancel, DeskFault, lock, read, write};
use crate::engine::Driver;
use crate::engine::resident::Keeper;
use crate::instrument::Instrument;
use crate::margin::Tails;
use crate::report::Levels;
use crate::risk::TailEstimate;
use crate::run::Margining;
use crate::scenario::Scenario;

/// Legs of a pass that is still short work: each reads 4 bytes a path and horizon.
const SHORT_LEGS: usize = 16;
/// Bytes of accounts' profits that are kept where no limit is set.
const UNLIMITED_PROFITS: u64 = 2 << 30;

/// A market and the accounts in it.
pub struct Version {
    /// Its number.
    pub number: u64,
    /// When the market was received.
    pub received: Timestamp,
    /// The base case in this market; accounts are not in its portfolio.
    pub scenario: Scenario,
    /// Levels of the margins.
    pub levels: Levels,
    /// Profits of all instruments.
    pub cube: Cube,
    /// When the cube was made.
    pub made: Instant,
    accounts: RwLock<BTreeMap<String, Arc<Entry>>>,
    kept: Mutex<KeptProfits>,
}

/// An account with its figures in a version.
pub struct Entry {
    /// Told apart from every other one.
    id: u64,
    /// The account.
    pub account: Account,
    /// What it holds.
    pub held: Held,
    /// What it nets.
    pub legs: Legs,
    /// Its tails.
    pub estimates: Vec<TailEstimate>,
    /// Its figures.
    pub figures: Figures,
    pins: BTreeSet<Timestamp>,
    /// What costs it most, once that was asked for.
    driver: OnceLock<Option<Driver>>,
    /// Profits of a book that no account holds.
    own: Option<Arc<Profits>>,
}

static ENTRIES: AtomicU64 = AtomicU64::new(0);

/// What a version is made from.
pub struct Making<'a> {
    /// Its number.
    pub number: u64,
    /// When the market was received.
    pub received: Timestamp,
    /// The base case in the market.
    pub scenario: Scenario,
    /// All accounts.
    pub accounts: Vec<Account>,
    /// Who keeps the cube.
    pub keeper: Arc<dyn Keeper>,
    /// The version before, whose paths may be the same.
    pub before: Option<&'a Version>,
    /// Most bytes.
    pub limit: Option<u64>,
}

impl Version {
    /// Revalues all instruments and margins all accounts.
    pub fn new(making: Making<'_>, pools: &Pools, cancel: &Cancel) -> Result<Self, DeskFault> {
        let Making { number, received, scenario, accounts, keeper, before, limit } = making;
        let held = held_all(&scenario, &accounts)?;
        let instruments = instruments(held.iter());
        let before = before.map(|before| &before.cube);
        let cube =
            pools.long(cancel, |pace| Cube::new(&keeper, &scenario, &instruments, before, limit, pace))?;
        // Two versions keep profits side by side while a market is revalued.
        let room = limit.map_or(UNLIMITED_PROFITS, |limit| limit.saturating_sub(2 * cube.bytes()) / 2);
        let version = Self {
            number,
            received,
            levels: Levels::of(&scenario),
            kept: Mutex::new(KeptProfits::new((room / cube.profits_bytes().max(1)).max(LEAST_KEPT))),
            scenario,
            cube,
            made: Instant::now(),
            accounts: RwLock::default(),
        };
        let legs = held.iter().map(|held| version.cube.legs(held).ok_or_else(lacking));
        let legs = legs.collect::<Result<Vec<_>, _>>()?;
        let kept = lock(&version.kept).most as usize;
        let margined = pools.long(cancel, |pace| {
            let asked: Vec<(&Legs, f64)> =
                legs.iter().zip(&held).map(|(legs, held)| (legs, held.scale)).collect();
            version.cube.margined(&asked, kept, pace)
        })?;
        for (((account, held), legs), (estimates, profits)) in
            accounts.into_iter().zip(held).zip(legs).zip(margined)
        {
            let entry = version.entry_of(account, held, legs, estimates);
            if let Some(profits) = profits {
                lock(&version.kept).insert(&entry, Arc::new(profits));
            }
            version.insert(entry);
        }
        Ok(version)
    }

    /// What its cube is kept on.
    pub fn device(&self) -> String {
        device::named(&self.cube.device())
    }

    /// An account of this version.
    pub fn entry(&self, name: &str) -> Result<Arc<Entry>, DeskFault> {
        let entry = read(&self.accounts).get(name).cloned();
        entry.ok_or_else(|| DeskFault::NotFound { what: "account", name: name.to_owned() })
    }

    /// All accounts by name.
    pub fn entries(&self) -> BTreeMap<String, Arc<Entry>> {
        read(&self.accounts).clone()
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        read(&self.accounts).len()
    }

    /// Puts an account in.
    pub fn insert(&self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        write(&self.accounts).insert(entry.account.account.clone(), Arc::clone(&entry));
        entry
    }

    /// Takes an account out.
    pub fn remove(&self, name: &str) {
        write(&self.accounts).remove(name);
        lock(&self.kept).by_name.remove(name);
    }

    /// Instruments that decide when paths are looked at, as rows.
    pub fn pins(&self) -> Vec<Position> {
        self.cube.pins().iter().map(book::row).collect()
    }

    /// Whether the cube's paths are looked at at the right times once `name` has become `entry`.
    pub fn has_right_times(&self, name: &str, entry: Option<&Entry>) -> bool {
        let accounts = read(&self.accounts);
        let others = accounts.iter().filter(|(other, _)| *other != name).map(|(_, entry)| &**entry);
        let pins: BTreeSet<Timestamp> = others.chain(entry).flat_map(|entry| &entry.pins).copied().collect();
        pins == self.cube.pinned()
    }

    /// The figures of an account in this version; `None` where its paths are looked at at other
    /// times. Rows added to those of `before` cost one pass over each.
    pub fn make_entry(
        &self,
        account: Account,
        before: Option<&Arc<Entry>>,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Option<Entry>, DeskFault> {
        let name = account.account.as_str();
        let held = book::hold(&self.scenario, name, &account.book, "").map_err(DeskFault::Invalid)?;
        if !self.ensure(&held, pools, cancel)? {
            return Ok(None);
        }
        let whole = self.cube.legs(&held).ok_or_else(lacking)?;
        let (entry, profits) = self.entry_from(account, held, whole, before, pools, cancel)?;
        lock(&self.kept).insert(&entry, profits);
        Ok(Some(entry))
    }

    /// The figures of a book that no account holds; `None` as above.
    pub fn make_hypothetical(
        &self,
        book: &Book,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Option<Entry>, DeskFault> {
        let held = book::hold(&self.scenario, "", book, "hypothetical.").map_err(DeskFault::Invalid)?;
        if !self.ensure(&held, pools, cancel)? {
            return Ok(None);
        }
        let whole = self.cube.legs(&held).ok_or_else(lacking)?;
        let account = Account { account: String::new(), revision: 0, book: book.clone() };
        let (mut entry, profits) = self.entry_from(account, held, whole, None, pools, cancel)?;
        entry.own = Some(profits);
        Ok(Some(entry))
    }

    fn entry_from(
        &self,
        account: Account,
        held: Held,
        whole: Legs,
        before: Option<&Arc<Entry>>,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<(Entry, Arc<Profits>), DeskFault> {
        let added = before.and_then(|before| Some((before, whole.after(&before.legs)?)));
        let profits = match &added {
            Some((before, added)) => {
                let base = self.profits(before, pools, cancel)?;
                on(pools, added, cancel, |pace| self.cube.profits(Some(&base), added, pace))?
            }
            None => pools.long(cancel, |pace| self.cube.profits(None, &whole, pace))?,
        };
        let none = whole.after(&whole).expect("legs begin with themselves");
        let estimates =
            pools.short(cancel, |pace| self.cube.estimates(Some(&profits), &none, held.scale, pace))?;
        Ok((self.entry_of(account, held, whole, estimates), Arc::new(profits)))
    }

    fn entry_of(&self, account: Account, held: Held, legs: Legs, estimates: Vec<TailEstimate>) -> Entry {
        Entry {
            id: ENTRIES.fetch_add(1, Ordering::Relaxed),
            own: None,
            driver: OnceLock::new(),
            figures: self.figures(&held, &estimates),
            pins: cube::expiries(&cube::pins(&self.scenario, &held.instruments)),
            account,
            held,
            legs,
            estimates,
        }
    }

    /// Prices what is held and not priced yet; `false` where that needs other paths.
    pub fn ensure(&self, held: &Held, pools: &Pools, cancel: &Cancel) -> Result<bool, DeskFault> {
        if self.cube.legs(held).is_some() {
            return Ok(true);
        }
        let _adding = lock(&self.cube.adding);
        pools.long(cancel, |pace| self.cube.ensure(&self.scenario, held, pace))
    }

    /// Figures of what an account would hold; `None` where its paths would be looked at at other
    /// times.
    pub fn figures_with(
        &self,
        entry: Option<&Arc<Entry>>,
        held: &Held,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Option<Figures>, DeskFault> {
        if !self.ensure(held, pools, cancel)? {
            return Ok(None);
        }
        let whole = self.cube.legs(held).ok_or_else(lacking)?;
        let added = entry.and_then(|entry| Some((entry, whole.after(&entry.legs)?)));
        let estimates = match added {
            Some((entry, added)) => {
                let base = self.profits(entry, pools, cancel)?;
                on(pools, &added, cancel, |pace| self.cube.estimates(Some(&base), &added, held.scale, pace))?
            }
            None => on(pools, &whole, cancel, |pace| self.cube.estimates(None, &whole, held.scale, pace))?,
        };
        Ok(Some(self.figures(held, &estimates)))
    }

    /// The asset that costs an account most in its tail.
    pub fn driver(&self, entry: &Entry) -> Option<Driver> {
        if let Some(driver) = entry.driver.get() {
            return *driver;
        }
        // A device that does not answer says so to the next question that needs it.
        let driver = self.cube.driver(&entry.legs, &entry.held).ok()?;
        *entry.driver.get_or_init(|| driver)
    }

    /// An account's profits on all paths, kept if there is room.
    pub fn profits(&self, entry: &Entry, pools: &Pools, cancel: &Cancel) -> Result<Arc<Profits>, DeskFault> {
        let kept = entry.own.clone().or_else(|| lock(&self.kept).find(entry));
        if let Some(profits) = kept {
            return Ok(profits);
        }
        let profits = pools.long(cancel, |pace| self.cube.profits(None, &entry.legs, pace))?;
        let profits = Arc::new(profits);
        lock(&self.kept).insert(entry, Arc::clone(&profits));
        Ok(profits)
    }

    /// Bytes of the accounts' profits that are kept.
    pub fn profits_bytes(&self) -> u64 {
        lock(&self.kept).by_name.len() as u64 * self.cube.profits_bytes()
    }

    /// Figures from estimates of both levels.
    fn figures(&self, held: &Held, estimates: &[TailEstimate]) -> Figures {
        let (scenario, units, tails) = (&self.scenario, &held.units, &self.cube.asset_tails);
        let margining = Margining::new(scenario, &scenario.market, units, units, units, tails);
        let tails = Tails::own(estimates[0], estimates[1]);
        let (value, margin) = margining.of(&held.account, (&held.carried, &held.instruments), &tails);
        Figures::new(&self.levels, &value, &margin, &estimates[0], &estimates[1])
    }
}

/// On the pool for work of this size.
fn on<T: Send>(
    pools: &Pools,
    legs: &Legs,
    cancel: &Cancel,
    work: impl FnOnce(&dyn crate::engine::Pace) -> T + Send,
) -> T {
    if legs.len() <= SHORT_LEGS { pools.short(cancel, work) } else { pools.long(cancel, work) }
}

fn lacking() -> DeskFault {
    DeskFault::Engine("the cube lacks an instrument that was priced".to_owned())
}

/// Every instrument of some accounts, once.
pub fn instruments<'a>(held: impl Iterator<Item = &'a Held>) -> Vec<Instrument> {
    let mut seen = HashMap::new();
    let mut all: Vec<Instrument> = Vec::new();
    for held in held {
        for (instrument, key) in held.instruments.iter().zip(&held.keys) {
            seen.entry(key.clone()).or_insert_with(|| all.push(instrument.clone()));
        }
    }
    all
}

/// Accounts in a market, or everything that it cannot hold.
fn held_all(scenario: &Scenario, accounts: &[Account]) -> Result<Vec<Held>, DeskFault> {
    let mut faults = Vec::new();
    let mut all = Vec::with_capacity(accounts.len());
    for account in accounts {
        let at = format!("{}.", account.account);
        match book::hold(scenario, &account.account, &account.book, &at) {
            Ok(held) => all.push(held),
            Err(more) => faults.extend(more),
        }
    }
    if faults.is_empty() { Ok(all) } else { Err(DeskFault::Invalid(faults)) }
}

/// Profits of the accounts that were asked about last.
struct KeptProfits {
    by_name: HashMap<String, OneKept>,
    most: u64,
    clock: u64,
}

struct OneKept {
    entry: u64,
    profits: Arc<Profits>,
    used: u64,
}

impl KeptProfits {
    fn new(most: u64) -> Self {
        Self { by_name: HashMap::new(), most, clock: 0 }
    }

    fn find(&mut self, entry: &Entry) -> Option<Arc<Profits>> {
        self.clock += 1;
        let kept = self.by_name.get_mut(&entry.account.account).filter(|kept| kept.entry == entry.id)?;
        kept.used = self.clock;
        Some(Arc::clone(&kept.profits))
    }

    fn insert(&mut self, entry: &Entry, profits: Arc<Profits>) {
        self.clock += 1;
        let one = OneKept { entry: entry.id, profits, used: self.clock };
        self.by_name.insert(entry.account.account.clone(), one);
        while self.by_name.len() as u64 > self.most {
            let oldest = self.by_name.iter().min_by_key(|(_, kept)| kept.used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            self.by_name.remove(&oldest);
        }
    }
}
