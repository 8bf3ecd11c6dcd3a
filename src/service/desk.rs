//! The desk: accounts and a market, and every answer about them. Safe to share between threads.
//!
//! Readers take the version of the market that is current when they begin and never wait: a new
//! version is built aside and swapped in. Changes go one after another; each is kept by the store
//! before it is acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::api::{
    Account, AccountLine, AccountList, BatchItem, Book, Difference, Event, EventPage, Figures, MAX_ORDERS,
    MAX_POSITIONS, MAX_WHAT_IFS, MarginAnswer, MarketAnswer, MarketStamp, MarketUpdate, MarketUpdateAnswer,
    MarketVersion, MarketVersions, Patch, Status, WhatIf, WhatIfAnswer, WhatIfBatch, WhatIfBatchAnswer,
};
use super::book::{self, Held};
use super::config::{Config, Served};
use super::events::{self, Change, Events};
use super::fault::field_fault;
use super::{Cancel, DeskFault, full, market};
use crate::instrument::Instrument;
use crate::portfolio::Portfolio;
use crate::report::Levels;
use crate::scenario::Scenario;

/// The desk.
pub struct Desk {
    config: Config,
    clock: Clock,
    current: RwLock<Arc<Version>>,
    /// Markets that are kept, ascending.
    kept: Mutex<BTreeMap<u64, Kept>>,
    events: Events,
    /// Held while accounts change.
    changing: Mutex<()>,
    /// Held while the market changes.
    revaluing: Mutex<()>,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A market and the accounts in it.
struct Version {
    number: u64,
    received: Timestamp,
    /// The base case in this market; accounts are not in its portfolio.
    scenario: Scenario,
    levels: Levels,
    accounts: RwLock<BTreeMap<String, Arc<Entry>>>,
}

/// An account with its figures in a version.
struct Entry {
    account: Account,
    held: Held,
    figures: Figures,
}

/// A market that is kept.
#[derive(Clone)]
struct Kept {
    received: Timestamp,
    numbers: MarketUpdate,
}

impl Desk {
    /// Opens a desk on a scenario.
    pub fn open(served: Served) -> Result<Self, DeskFault> {
        Self::open_at(served, Arc::new(Timestamp::now))
    }

    /// Opens a desk with its own clock.
    pub fn open_at(served: Served, clock: Clock) -> Result<Self, DeskFault> {
        let Served { scenario, accounts, config } = served;
        check_scenario(&scenario)?;
        let scenario = Scenario { portfolio: Portfolio::default(), stresses: Vec::new(), ..scenario };
        let version = Version {
            number: 1,
            received: clock(),
            levels: Levels::of(&scenario),
            scenario,
            accounts: RwLock::default(),
        };
        let kept = Kept { received: version.received, numbers: market::numbers(&version.scenario.market) };
        let desk = Self {
            events: Events::new(0, config.events_kept),
            config,
            clock,
            current: RwLock::new(Arc::new(version)),
            kept: Mutex::new(BTreeMap::from([(1, kept)])),
            changing: Mutex::default(),
            revaluing: Mutex::default(),
        };
        let version = desk.version();
        let held = held_all(&version, &accounts)?;
        let among = instruments(held.iter());
        for (account, held) in accounts.into_iter().zip(held) {
            let figures = desk.figures(&version, &held, &among, &Cancel::default())?;
            version.insert(Entry { account, held, figures });
        }
        Ok(desk)
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All accounts, those that need money most first.
    pub fn accounts(&self) -> AccountList {
        let version = self.version();
        let mut entries: Vec<Arc<Entry>> = read(&version.accounts).values().cloned().collect();
        entries.sort_by(|a, b| events::need(&a.figures).total_cmp(&events::need(&b.figures)));
        AccountList {
            market: self.stamp(&version),
            currency: version.currency(),
            accounts: entries.iter().map(|entry| line(entry)).collect(),
        }
    }

    /// An account as it is kept.
    pub fn account(&self, name: &str) -> Result<Account, DeskFault> {
        self.version().entry(name).map(|entry| entry.account.clone())
    }

    /// Creates an account.
    pub fn create(&self, name: &str, book: Book, cancel: &Cancel) -> Result<MarginAnswer, DeskFault> {
        let _changing = lock(&self.changing);
        if self.version().entry(name).is_ok() {
            return Err(DeskFault::Exists(name.to_owned()));
        }
        self.put(name, 1, book, cancel)
    }

    /// Replaces all that an account holds. `revision` is the one that it must have, if any.
    pub fn replace(
        &self,
        name: &str,
        book: Book,
        revision: Option<u64>,
        cancel: &Cancel,
    ) -> Result<MarginAnswer, DeskFault> {
        let _changing = lock(&self.changing);
        let entry = self.version().entry(name)?;
        entry.expect(revision)?;
        self.put(name, entry.account.revision + 1, book, cancel)
    }

    /// Adds rows to an account. `revision` is the one that it must have, if any.
    pub fn patch(
        &self,
        name: &str,
        patch: &Patch,
        revision: Option<u64>,
        cancel: &Cancel,
    ) -> Result<MarginAnswer, DeskFault> {
        let mut faults = book::check_positions(&patch.positions, "positions", MAX_ORDERS);
        faults.extend(book::check_balances(&patch.balances, "balances"));
        none(faults)?;
        let _changing = lock(&self.changing);
        let entry = self.version().entry(name)?;
        entry.expect(revision)?;
        let mut book = book::added(&entry.account.book, &patch.positions, &patch.balances);
        if let Some(description) = &patch.description {
            book.description.clone_from(description);
        }
        self.put(name, entry.account.revision + 1, book, cancel)
    }

    /// Removes an account.
    pub fn remove(&self, name: &str) -> Result<(), DeskFault> {
        let _changing = lock(&self.changing);
        let version = self.version();
        version.entry(name)?;
        write(&version.accounts).remove(name);
        Ok(())
    }

    /// An account's margin. With `detail` also what it is made of, and its worst paths.
    pub fn margin(&self, name: &str, detail: bool, cancel: &Cancel) -> Result<MarginAnswer, DeskFault> {
        let version = self.fresh()?;
        let entry = version.entry(name)?;
        let _ = (detail, cancel);
        Ok(self.answer(&version, &entry))
    }

    /// What orders would change.
    pub fn what_if(&self, what_if: &WhatIf, cancel: &Cancel) -> Result<WhatIfAnswer, DeskFault> {
        let version = self.fresh()?;
        self.what_if_in(&version, what_if, cancel)
    }

    /// Several what-ifs in one market.
    pub fn what_ifs(&self, batch: &WhatIfBatch, cancel: &Cancel) -> Result<WhatIfBatchAnswer, DeskFault> {
        let count = batch.what_ifs.len();
        if !(1..=MAX_WHAT_IFS).contains(&count) {
            return Err(DeskFault::field("what_ifs", format!("{count} what-ifs"), "1 to 100"));
        }
        let version = self.fresh()?;
        let mut answers = Vec::with_capacity(count);
        for what_if in &batch.what_ifs {
            answers.push(match self.what_if_in(&version, what_if, cancel) {
                Ok(answer) => BatchItem { answer: Some(answer), refusal: None },
                Err(DeskFault::Cancelled) => return Err(DeskFault::Cancelled),
                Err(fault) => BatchItem { answer: None, refusal: Some(fault.refusal()) },
            });
        }
        Ok(WhatIfBatchAnswer { market: self.stamp(&version), answers })
    }

    /// The market that answers are made from.
    pub fn market(&self) -> MarketAnswer {
        let version = self.version();
        MarketAnswer { market: self.stamp(&version), numbers: market::numbers(&version.scenario.market) }
    }

    /// Markets that are kept.
    pub fn market_versions(&self) -> MarketVersions {
        let of = |(version, kept): (&u64, &Kept)| MarketVersion {
            version: *version,
            as_of: kept.numbers.as_of,
            received: kept.received,
            source: kept.numbers.source.clone().unwrap_or_default(),
        };
        MarketVersions { current: self.version().number, versions: lock(&self.kept).iter().map(of).collect() }
    }

    /// Revalues everything in a new market, and answers from it from then on.
    pub fn update_market(
        &self,
        update: &MarketUpdate,
        cancel: &Cancel,
    ) -> Result<MarketUpdateAnswer, DeskFault> {
        let start = std::time::Instant::now();
        let _revaluing = lock(&self.revaluing);
        let _changing = lock(&self.changing);
        let before = self.version();
        let market = market::updated(&before.scenario.market, update).map_err(DeskFault::Invalid)?;
        let received = (self.clock)();
        let version = Version {
            number: before.number + 1,
            received,
            scenario: Scenario { market, ..before.scenario.clone() },
            levels: before.levels,
            accounts: RwLock::default(),
        };
        let entries: Vec<Arc<Entry>> = read(&before.accounts).values().cloned().collect();
        let accounts: Vec<Account> = entries.iter().map(|entry| entry.account.clone()).collect();
        let held = held_all(&version, &accounts)?;
        let among = instruments(held.iter());
        let mut fresh = Vec::with_capacity(entries.len());
        for (account, held) in accounts.into_iter().zip(held) {
            let figures = self.figures(&version, &held, &among, cancel)?;
            fresh.push(Arc::new(Entry { account, held, figures }));
        }
        let changes = entries.iter().zip(&fresh).map(|(before, after)| Change {
            account: &after.account,
            market_version: version.number,
            before: Some(&before.figures),
            after: &after.figures,
        });
        let changes: Vec<Change<'_>> = changes.collect();
        let told = events::numbered(&changes, &self.config.warnings, received, self.events.last());
        let numbers = market::numbers(&version.scenario.market);
        lock(&self.kept).insert(version.number, Kept { received, numbers });
        for entry in &fresh {
            write(&version.accounts).insert(entry.account.account.clone(), Arc::clone(entry));
        }
        let version = Arc::new(version);
        *write(&self.current) = Arc::clone(&version);
        self.events.publish(told);
        Ok(MarketUpdateAnswer {
            market: self.stamp(&version),
            instruments: among.len() as u64,
            accounts: fresh.len() as u64,
            is_simulated: true,
            elapsed_seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// Events after number `since`, at most `most`.
    pub fn events_since(&self, since: u64, most: usize) -> EventPage {
        self.events.since(since, most)
    }

    /// The events from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// How the desk is.
    pub fn status(&self) -> Status {
        let version = self.version();
        let market = self.stamp(&version);
        Status {
            is_ready: !(self.config.refuse_stale && market.is_stale),
            market,
            device: self.device(),
            paths: version.scenario.simulation.paths,
            accounts: read(&version.accounts).len() as u64,
            instruments: 0,
            cube_age_seconds: 0.0,
            cube_bytes: 0,
            losses_bytes: 0,
            memory_limit_bytes: self.config.memory_limit,
            last_event: self.events.last(),
            computing: 0,
            is_revaluing: self.revaluing.try_lock().is_err(),
        }
    }

    fn version(&self) -> Arc<Version> {
        Arc::clone(&read(&self.current))
    }

    /// The current version, unless it is stale and that is refused.
    fn fresh(&self) -> Result<Arc<Version>, DeskFault> {
        let version = self.version();
        let stamp = self.stamp(&version);
        match self.config.market_age_limit {
            Some(limit) if self.config.refuse_stale && stamp.is_stale => Err(DeskFault::StaleMarket {
                age_seconds: stamp.age_seconds,
                limit_seconds: limit.as_secs_f64(),
            }),
            _ => Ok(version),
        }
    }

    fn stamp(&self, version: &Version) -> MarketStamp {
        let as_of = version.scenario.market.as_of;
        let age_seconds = (self.clock)().duration_since(as_of).as_secs_f64();
        let limit = self.config.market_age_limit;
        MarketStamp {
            version: version.number,
            as_of,
            received: version.received,
            age_seconds,
            is_stale: limit.is_some_and(|limit| !(age_seconds <= limit.as_secs_f64())),
        }
    }

    fn device(&self) -> String {
        use crate::engine::Engine;
        let device = crate::engine::cpu::CpuEngine::new(crate::scenario::Precision::F32).device();
        format!("{} {} ({})", device.engine, device.detail, device.name)
    }

    fn figures(
        &self,
        version: &Version,
        held: &Held,
        among: &[Instrument],
        cancel: &Cancel,
    ) -> Result<Figures, DeskFault> {
        let case = full::case(&version.scenario, held, among, cancel)?;
        Ok(Figures::of_case(&version.levels, &case))
    }

    /// Margins an account and keeps it. Called with `changing` held.
    fn put(&self, name: &str, revision: u64, book: Book, cancel: &Cancel) -> Result<MarginAnswer, DeskFault> {
        let mut faults = book::check_name(name);
        faults.extend(book::check(&book, ""));
        none(faults)?;
        let version = self.version();
        let held = book::hold(&version.scenario.market, name, &book, "").map_err(DeskFault::Invalid)?;
        let figures = self.figures(&version, &held, &version.instruments(), cancel)?;
        let account = Account { account: name.to_owned(), revision, book };
        let before = version.entry(name).ok();
        let change = Change {
            account: &account,
            market_version: version.number,
            before: before.as_ref().map(|entry| &entry.figures),
            after: &figures,
        };
        let told = events::numbered(&[change], &self.config.warnings, (self.clock)(), self.events.last());
        let entry = version.insert(Entry { account, held, figures });
        self.events.publish(told);
        Ok(self.answer(&version, &entry))
    }

    fn what_if_in(
        &self,
        version: &Version,
        what_if: &WhatIf,
        cancel: &Cancel,
    ) -> Result<WhatIfAnswer, DeskFault> {
        let mut faults = book::check_positions(&what_if.orders, "orders", MAX_ORDERS);
        faults.extend(book::check_balances(&what_if.balances, "balances"));
        let market = &version.scenario.market;
        let (entry, book) = match (&what_if.account, &what_if.hypothetical) {
            (Some(name), None) => {
                let entry = version.entry(name)?;
                let book = entry.account.book.clone();
                (Some(entry), book)
            }
            (None, Some(book)) => {
                faults.extend(book::check(book, "hypothetical."));
                (None, book.clone())
            }
            _ => {
                let expected = "either an account or a hypothetical book";
                faults.push(field_fault("account", "both, or neither", expected));
                return Err(DeskFault::Invalid(faults));
            }
        };
        none(faults)?;
        let among = version.instruments();
        let name = what_if.account.as_deref().unwrap_or_default();
        let before = match &entry {
            Some(entry) => entry.figures.clone(),
            None => {
                let held = book::hold(market, name, &book, "hypothetical.").map_err(DeskFault::Invalid)?;
                self.figures(version, &held, &among, cancel)?
            }
        };
        let mut after = book;
        let own_rows = after.positions.len();
        after.positions.extend_from_slice(&what_if.orders);
        after.balances.extend_from_slice(&what_if.balances);
        if after.positions.len() > MAX_POSITIONS + MAX_ORDERS {
            return Err(DeskFault::field("orders", format!("{} rows", after.positions.len()), "fewer"));
        }
        let held = book::hold(market, name, &after, "").map_err(|faults| {
            DeskFault::Invalid(faults.into_iter().map(|fault| book::as_order(fault, own_rows)).collect())
        })?;
        let after = self.figures(version, &held, &among, cancel)?;
        Ok(WhatIfAnswer {
            account: what_if.account.clone(),
            revision: entry.as_ref().map_or(0, |entry| entry.account.revision),
            currency: version.currency(),
            market: self.stamp(version),
            paths: after.paths(version),
            device: self.device(),
            difference: Difference::between(&before, &after),
            before,
            after,
        })
    }

    fn answer(&self, version: &Version, entry: &Entry) -> MarginAnswer {
        MarginAnswer {
            account: entry.account.account.clone(),
            revision: entry.account.revision,
            description: entry.account.book.description.clone(),
            currency: version.currency(),
            market: self.stamp(version),
            paths: version.scenario.simulation.paths,
            seed: version.scenario.simulation.seed,
            device: self.device(),
            figures: entry.figures.clone(),
            attribution: None,
            worst_paths: None,
        }
    }
}

impl Figures {
    fn paths(&self, version: &Version) -> u64 {
        version.scenario.simulation.paths
    }
}

impl Version {
    fn currency(&self) -> String {
        self.scenario.reporting_currency().to_owned()
    }

    fn entry(&self, name: &str) -> Result<Arc<Entry>, DeskFault> {
        let entry = read(&self.accounts).get(name).cloned();
        entry.ok_or_else(|| DeskFault::NotFound { what: "account", name: name.to_owned() })
    }

    fn insert(&self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        write(&self.accounts).insert(entry.account.account.clone(), Arc::clone(&entry));
        entry
    }

    fn instruments(&self) -> Vec<Instrument> {
        instruments(read(&self.accounts).values().map(|entry| &entry.held))
    }
}

impl Entry {
    fn expect(&self, revision: Option<u64>) -> Result<(), DeskFault> {
        let found = self.account.revision;
        match revision {
            Some(expected) if expected != found => {
                Err(DeskFault::Conflict { account: self.account.account.clone(), expected, found })
            }
            _ => Ok(()),
        }
    }
}

/// Every instrument of some accounts, once.
fn instruments<'a>(held: impl Iterator<Item = &'a Held>) -> Vec<Instrument> {
    let mut all: Vec<Instrument> = Vec::new();
    for instrument in held.flat_map(|held| &held.instruments) {
        if !all.contains(instrument) {
            all.push(instrument.clone());
        }
    }
    all
}

/// Accounts in a market, or everything that it cannot hold.
fn held_all(version: &Version, accounts: &[Account]) -> Result<Vec<Held>, DeskFault> {
    let mut faults = Vec::new();
    let mut all = Vec::with_capacity(accounts.len());
    for account in accounts {
        let at = format!("{}.", account.account);
        match book::hold(&version.scenario.market, &account.account, &account.book, &at) {
            Ok(held) => all.push(held),
            Err(more) => faults.extend(more),
        }
    }
    none(faults).map(|()| all)
}

fn line(entry: &Entry) -> AccountLine {
    let figures = &entry.figures;
    AccountLine {
        account: entry.account.account.clone(),
        revision: entry.account.revision,
        description: entry.account.book.description.clone(),
        positions: entry.account.book.positions.len() as u64,
        equity: figures.equity,
        maintenance_margin: figures.maintenance_margin,
        initial_margin: figures.initial_margin,
        health: figures.health,
        state: figures.state,
    }
}

/// A service has every path at hand: it has no use for a tolerance, and its precision is f32.
fn check_scenario(scenario: &Scenario) -> Result<(), DeskFault> {
    let mut faults = Vec::new();
    if scenario.simulation.tolerance.is_some() {
        faults.push(field_fault("simulation.tolerance", "a tolerance", "none: a service uses all paths"));
    }
    if scenario.simulation.precision != crate::scenario::Precision::F32 {
        faults.push(field_fault("simulation.precision", "f64", "f32"));
    }
    none(faults)
}

fn none(faults: Vec<super::api::FieldFault>) -> Result<(), DeskFault> {
    if faults.is_empty() { Ok(()) } else { Err(DeskFault::Invalid(faults)) }
}

// A panic between two changes leaves whole values behind, so a poisoned lock is as good as any.

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
