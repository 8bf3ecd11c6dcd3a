//! The desk: accounts and a market, and every answer about them. Safe to share between threads.
//!
//! Readers take the version of the market that is current when they begin and never wait: a new
//! version is built aside and swapped in. Changes of accounts go one after another, and go on while a
//! market is revalued; each is kept by the store before it is acknowledged.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::broadcast;

use super::api::{
    Account, AccountLine, AccountList, Book, Event, EventPage, Figures, MAX_ORDERS, MarginAnswer,
    MarketAnswer, MarketStamp, MarketUpdate, MarketUpdateAnswer, MarketVersion, MarketVersions, Patch,
    Position, Status,
};
use super::book;
use super::change::Changed;
use super::config::{Config, Served};
use super::device::{self, Devices};
use super::events::{self, Events};
use super::fault::{field_fault, none};
use super::history::{History, Passing};
use super::pools::Pools;
use super::store::{self, KeptMarket, Store};
use super::version::{Entry, Making, Version};
use super::{Cancel, DeskFault, lock, market, read};
use crate::engine::Engine;
use crate::engine::cpu::{CpuEngine, CpuKeeper};
use crate::engine::resident::Keeper;
use crate::portfolio::Portfolio;
use crate::report::DriverResult;
use crate::scenario::{DeviceChoice, Precision, Scenario, Simulation};

/// The desk.
pub struct Desk {
    pub(super) config: Config,
    pub(super) pools: Pools,
    pub(super) devices: Devices,
    clock: Clock,
    /// The scenario in the market of its file, on which market versions rest.
    pub(super) base: Scenario,
    pub(super) current: RwLock<Arc<Version>>,
    /// Markets that are kept.
    pub(super) kept: Mutex<BTreeMap<u64, MarketVersion>>,
    /// What is no longer current and still kept.
    pub(super) history: Mutex<History>,
    pub(super) store: Store,
    pub(super) events: Events,
    /// Held while the market changes; taken before `changing`.
    pub(super) revaluing: Mutex<()>,
    /// Held while accounts change.
    pub(super) changing: Mutex<()>,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What becomes of an account: what it is then, or nothing.
pub(super) type Decide<'a> = &'a dyn Fn(Option<&Entry>) -> Result<Option<Account>, DeskFault>;

impl Desk {
    /// Opens a desk on a scenario: the accounts and the market of its store, or those of its files
    /// where the store is new.
    pub fn open(served: Served) -> Result<Self, DeskFault> {
        Self::open_at(served, Arc::new(Timestamp::now))
    }

    /// Opens a desk with its own clock.
    pub fn open_at(served: Served, clock: Clock) -> Result<Self, DeskFault> {
        Self::open_on(served, Arc::new(CpuKeeper::new("")), clock)
    }

    /// Opens a desk whose cube is kept on a device.
    pub fn open_on(served: Served, keeper: Arc<dyn Keeper>, clock: Clock) -> Result<Self, DeskFault> {
        let Served { scenario, accounts, config } = served;
        check_scenario(&scenario)?;
        let base = base_of(scenario);
        let (store, mut contents) = Store::open(config.store.as_deref())?;
        let is_new = contents.base.is_none();
        let hash = hash(&base);
        let last = contents.markets.keys().next_back().copied().unwrap_or(0);
        // Versions that rest on another scenario cannot be explained by this one.
        let is_same = contents.base.as_deref() == Some(&hash);
        let kept = if is_same { store.market(last)? } else { None };
        let is_kept = kept.is_some();
        let mut passing = Passing::default();
        if !is_kept {
            let markets = std::mem::take(&mut contents.markets).into_keys();
            passing.dropped = markets.map(|version| contents.history.dropped_market(version)).collect();
        }
        let number = if is_kept { last } else { last + 1 };
        let mut kept = kept.unwrap_or_else(|| KeptMarket {
            received: clock(),
            numbers: market::numbers(&base.market),
            pins: Vec::new(),
        });
        let market = market::restored(&base.market, &kept.numbers).map_err(DeskFault::Invalid)?;
        let accounts = if is_new { accounts } else { contents.accounts.into_values().collect() };
        let pools = Pools::new()?;
        let making = Making {
            number,
            received: kept.received,
            scenario: Scenario { market, ..base.clone() },
            accounts,
            keeper: Arc::clone(&keeper),
            before: None,
            limit: config.memory_limit,
        };
        let version = Version::new(making, &pools, &Cancel::default())?;
        let entries = version.entries();
        kept.pins = version.pins();
        let change = store::Change {
            accounts: if is_new {
                entries.values().map(|entry| &entry.account).collect()
            } else {
                Vec::new()
            },
            market: Some((number, &kept)),
            passing: Some(&passing),
            last_event: contents.last_event,
            base: Some(&hash),
            ..store::Change::default()
        };
        store.commit(&change)?;
        contents.markets.insert(number, kept.named(number));
        let mut history = contents.history;
        history.set_limits(config.versions_kept_for, config.versions_limit);
        history.pass(passing);
        Ok(Self {
            events: Events::new(contents.last_event, config.events_kept),
            devices: Devices::new(keeper),
            config,
            pools,
            clock,
            base,
            current: RwLock::new(Arc::new(version)),
            kept: Mutex::new(contents.markets),
            history: Mutex::new(history),
            store,
            revaluing: Mutex::default(),
            changing: Mutex::default(),
        })
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// All accounts, those that need money most first.
    pub fn accounts(&self) -> AccountList {
        let version = self.version();
        let mut entries: Vec<Arc<Entry>> = version.entries().into_values().collect();
        entries.sort_by(|a, b| events::need(&a.figures).total_cmp(&events::need(&b.figures)));
        AccountList {
            market: self.stamp(&version),
            currency: version.scenario().reporting_currency().to_owned(),
            accounts: entries.iter().map(|entry| line(entry)).collect(),
        }
    }

    /// An account as it is kept.
    pub fn account(&self, name: &str) -> Result<Account, DeskFault> {
        self.version().entry(name).map(|entry| entry.account.clone())
    }

    /// Creates an account.
    pub fn create(&self, name: &str, book: Book, cancel: &Cancel) -> Result<MarginAnswer, DeskFault> {
        check_account(name, &book)?;
        self.prepare(&book.positions, cancel);
        self.answered(name, cancel, &|before| match before {
            Some(_) => Err(DeskFault::Exists(name.to_owned())),
            None => {
                // A revision is never given twice while what had it is kept.
                let revision = 1 + lock(&self.history).revisions(name).map(|(n, _)| n).max().unwrap_or(0);
                Ok(Some(Account { account: name.to_owned(), revision, book: book.clone() }))
            }
        })
    }

    /// Replaces all that an account holds. `revision` is the one that it must have, if any.
    pub fn replace(
        &self,
        name: &str,
        book: Book,
        revision: Option<u64>,
        cancel: &Cancel,
    ) -> Result<MarginAnswer, DeskFault> {
        check_account(name, &book)?;
        self.prepare(&book.positions, cancel);
        self.answered(name, cancel, &|before| {
            let before = expected(before, name, revision)?;
            let revision = before.account.revision + 1;
            Ok(Some(Account { account: name.to_owned(), revision, book: book.clone() }))
        })
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
        self.prepare(&patch.positions, cancel);
        self.answered(name, cancel, &|before| {
            let before = expected(before, name, revision)?;
            let mut book = book::added(&before.account.book, &patch.positions, &patch.balances);
            if let Some(description) = &patch.description {
                book.description.clone_from(description);
            }
            check_account(name, &book)?;
            let revision = before.account.revision + 1;
            Ok(Some(Account { account: name.to_owned(), revision, book }))
        })
    }

    /// Removes an account. `revision` is the one that it must have, if any.
    pub fn remove(&self, name: &str, revision: Option<u64>) -> Result<(), DeskFault> {
        let gone = |before: Option<&Entry>| expected(before, name, revision).map(|_| None);
        self.change(name, &Cancel::default(), &gone).map(|_| ())
    }

    /// The market that answers are made from.
    pub fn market(&self) -> MarketAnswer {
        let version = self.version();
        MarketAnswer { market: self.stamp(&version), numbers: market::numbers(&version.scenario().market) }
    }

    /// A market that is kept.
    pub fn market_version(&self, version: u64) -> Result<MarketAnswer, DeskFault> {
        let kept = self.kept_market(version)?;
        let market = self.stamped(version, kept.numbers.as_of, kept.received);
        Ok(MarketAnswer { market, numbers: kept.numbers })
    }

    /// Markets that are kept.
    pub fn market_versions(&self) -> MarketVersions {
        let versions = lock(&self.kept).values().cloned().collect();
        MarketVersions { current: self.version().number, versions }
    }

    /// Revalues everything in a new market, and answers from it from then on. Other questions and
    /// changes of accounts go on meanwhile, in the market before.
    pub fn update_market(
        &self,
        update: &MarketUpdate,
        cancel: &Cancel,
    ) -> Result<MarketUpdateAnswer, DeskFault> {
        self.steady(|| self.update_once(update, cancel))
    }

    fn update_once(&self, update: &MarketUpdate, cancel: &Cancel) -> Result<MarketUpdateAnswer, DeskFault> {
        let start = Instant::now();
        let _revaluing = lock(&self.revaluing);
        let before = self.version();
        let market = market::updated(&before.scenario().market, update).map_err(DeskFault::Invalid)?;
        let making = |accounts: &BTreeMap<String, Arc<Entry>>| Making {
            number: before.number + 1,
            received: (self.clock)(),
            scenario: Scenario { market: market.clone(), ..self.base.clone() },
            accounts: accounts.values().map(|entry| entry.account.clone()).collect(),
            keeper: self.devices.keeper(),
            before: Some(&before),
            limit: self.config.memory_limit,
        };
        let margined = before.entries();
        let mut version = Version::new(making(&margined), &self.pools, cancel)?;
        let _changing = lock(&self.changing);
        let now = before.entries();
        if !self.catch_up(&version, &margined, &now, cancel)? {
            version = Version::new(making(&now), &self.pools, cancel)?;
        }
        let version = self.swap(version, &Changed::default())?;
        Ok(self.updated(&version, &before, start))
    }

    /// What a new version did.
    pub(super) fn updated(&self, version: &Version, before: &Version, start: Instant) -> MarketUpdateAnswer {
        MarketUpdateAnswer {
            market: self.stamp(version),
            instruments: version.cube().instruments() as u64,
            accounts: version.len() as u64,
            is_simulated: !version.cube().has_paths_of(before.cube()),
            elapsed_seconds: start.elapsed().as_secs_f64(),
        }
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
        let device = self.devices.status();
        Status {
            is_ready: !(self.config.refuse_stale && market.is_stale) && device.fault.is_none(),
            market,
            device: version.device(),
            engine: device.report.engine,
            device_fault: device.fault,
            device_given_up: device.given_up,
            device_fallbacks: device.fallbacks,
            paths: version.scenario().simulation.paths,
            accounts: version.len() as u64,
            instruments: version.cube().instruments() as u64,
            cube_age_seconds: version.made.elapsed().as_secs_f64(),
            cube_bytes: version.cube_bytes(),
            reserve_bytes: device.reserve_bytes,
            losses_bytes: version.profits_bytes(),
            memory_limit_bytes: self.config.memory_limit,
            last_event: self.events.last(),
            computing: self.pools.computing(),
            is_revaluing: self.revaluing.try_lock().is_err(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn version(&self) -> Arc<Version> {
        Arc::clone(&read(&self.current))
    }

    /// The current version, unless it is stale and that is refused.
    pub(super) fn fresh(&self) -> Result<Arc<Version>, DeskFault> {
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

    pub(super) fn kept_market(&self, version: u64) -> Result<KeptMarket, DeskFault> {
        let missing = || DeskFault::NotFound { what: "market version", name: version.to_string() };
        let is_kept = lock(&self.kept).contains_key(&version);
        if is_kept { self.store.market(version)?.ok_or_else(missing) } else { Err(missing()) }
    }

    pub(super) fn stamp(&self, version: &Version) -> MarketStamp {
        self.stamped(version.number, version.scenario().market.as_of, version.received)
    }

    pub(super) fn stamped(&self, version: u64, as_of: Timestamp, received: Timestamp) -> MarketStamp {
        let age_seconds = self.now().duration_since(as_of).as_secs_f64();
        let limit = self.config.market_age_limit;
        let is_stale = limit.is_some_and(|limit| !(age_seconds <= limit.as_secs_f64()));
        MarketStamp { version, as_of, received, age_seconds, is_stale }
    }

    pub(super) fn answer(&self, version: &Version, entry: &Entry) -> Result<MarginAnswer, DeskFault> {
        let driver = version.driver(entry)?;
        let worst_driver = driver.map(|driver| DriverResult::new(version.scenario(), &driver));
        Ok(MarginAnswer { worst_driver, ..self.figures_of(version, entry) })
    }

    fn figures_of(&self, version: &Version, entry: &Entry) -> MarginAnswer {
        let answer = self.answer_of(&entry.account, entry.figures.clone(), self.stamp(version));
        MarginAnswer { device: version.device(), ..answer }
    }

    pub(super) fn answer_of(&self, account: &Account, figures: Figures, market: MarketStamp) -> MarginAnswer {
        MarginAnswer {
            account: account.account.clone(),
            revision: account.revision,
            description: account.book.description.clone(),
            currency: self.base.reporting_currency().to_owned(),
            market,
            paths: self.base.simulation.paths,
            seed: self.base.simulation.seed,
            // What is not answered from a cube is computed on the CPU.
            device: device::named(&CpuEngine::new(Precision::F32).device()),
            figures,
            worst_driver: None,
            attribution: None,
            worst_paths: None,
        }
    }

    /// Prices instruments before any lock is held: others go on changing accounts meanwhile. What is
    /// wrong with the rows is found when they are added.
    fn prepare(&self, rows: &[Position], cancel: &Cancel) {
        let version = self.version();
        let book = Book { positions: rows.to_vec(), ..Book::default() };
        if let Ok(held) = book::hold(version.scenario(), "", &book, "") {
            let _ = version.ensure(&held, &self.pools, cancel);
        }
    }

    fn answered(&self, name: &str, cancel: &Cancel, decide: Decide<'_>) -> Result<MarginAnswer, DeskFault> {
        let version = self.change(name, cancel, decide)?;
        let entry = version.entry(name)?;
        // It is kept, and said to be, even where the device is lost just now.
        Ok(self.answer(&version, &entry).unwrap_or_else(|_| self.figures_of(&version, &entry)))
    }
}

fn check_account(name: &str, book: &Book) -> Result<(), DeskFault> {
    let mut faults = book::check_name(name);
    faults.extend(book::check(book, ""));
    none(faults)
}

/// The account that is there, with the revision that it must have.
fn expected<'a>(entry: Option<&'a Entry>, name: &str, revision: Option<u64>) -> Result<&'a Entry, DeskFault> {
    let entry = entry.ok_or_else(|| DeskFault::NotFound { what: "account", name: name.to_owned() })?;
    let found = entry.account.revision;
    match revision {
        Some(expected) if expected != found => {
            Err(DeskFault::Conflict { account: name.to_owned(), expected, found })
        }
        _ => Ok(entry),
    }
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
    if scenario.simulation.precision != Precision::F32 {
        faults.push(field_fault("simulation.precision", "f64", "f32"));
    }
    none(faults)
}

/// The scenario without accounts, and with those stresses alone that the margin rules look at.
fn base_of(scenario: Scenario) -> Scenario {
    let mut base = Scenario { portfolio: Portfolio::default(), ..scenario };
    let named = base.margin.add_ons.cases();
    base.stresses.retain(|stress| named.contains(&Some(stress.name.as_str())));
    base
}

/// What market versions rest on: the market of the scenario's file, its simulation, its margin rules
/// and the stresses that they look at.
fn hash(base: &Scenario) -> String {
    let Scenario { market, margin, reporting_asset, stresses, .. } = base;
    // All devices give the same bits.
    let simulation = Simulation { device: DeviceChoice::default(), ..base.simulation.clone() };
    let text = format!("{market:?} {simulation:?} {margin:?} {reporting_asset:?} {stresses:?}");
    blake3::hash(text.as_bytes()).to_string()
}
