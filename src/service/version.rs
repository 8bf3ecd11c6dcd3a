//! One version of the market: the cubes of its cases, the accounts in it, and their figures.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock};
use std::time::Instant;

use jiff::Timestamp;

use super::api::{Account, Book, Figures, Position};
use super::book::{self, Held};
use super::case::{self, Case, Net};
use super::cube::{self, Cube, LEAST_KEPT, Legs, Profits};
use super::device;
use super::kept::{CaseProfits, KeptProfits};
use super::pools::Pools;
use super::{Cancel, DeskFault, lock, read, write};
use crate::engine::resident::Keeper;
use crate::engine::{Driver, Pace};
use crate::instrument::Instrument;
use crate::margin::Tails;
use crate::report::Levels;
use crate::risk::TailEstimate;
use crate::run::Margining;
use crate::scenario::Scenario;

/// Bytes of accounts' profits that are kept where no limit is set.
const UNLIMITED_PROFITS: u64 = 2 << 30;

/// A market and the accounts in it.
pub struct Version {
    /// Its number.
    pub number: u64,
    /// When the market was received.
    pub received: Timestamp,
    /// Levels of the margins.
    pub levels: Levels,
    /// The base case, then the stresses that the margin rules look at.
    cases: Vec<Case>,
    /// Cases of the stressed weight and of the lookback floor.
    named: [Option<usize>; 2],
    /// When the cube was made.
    pub made: Instant,
    accounts: RwLock<BTreeMap<String, Arc<Entry>>>,
    kept: Mutex<KeptProfits>,
}

/// An account with its figures in a version.
pub struct Entry {
    /// Told apart from every other one.
    pub(super) id: u64,
    /// The account.
    pub account: Account,
    /// What it nets in each case, and its tails there.
    nets: Vec<Net>,
    /// Its figures.
    pub figures: Figures,
    pins: BTreeSet<Timestamp>,
    /// What costs it most, once that was asked for.
    driver: OnceLock<Option<Driver>>,
    /// Profits of a book that no account holds.
    own: Option<Arc<CaseProfits>>,
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
        let mut cases: Vec<Case> = Vec::new();
        let mut held: Vec<Vec<Held>> = Vec::new();
        let (mut planned, named) = (0, case::named(&scenario));
        for (index, scenario) in case::scenarios(&scenario).into_iter().enumerate() {
            let held_here = match held.first() {
                None => held_all(&scenario, &accounts)?,
                Some(base) => {
                    let carried = base.iter().map(|held| book::carried(&scenario, held));
                    carried.collect::<Result<_, _>>().map_err(DeskFault::Engine)?
                }
            };
            let instruments = instruments(held_here.iter());
            let before = before.and_then(|before| before.cases.get(index)).map(|before| &before.cube);
            let limit = limit.map(|limit| limit.saturating_sub(planned));
            let made = |pace: &dyn Pace| Cube::new(&keeper, &scenario, &instruments, before, limit, pace);
            let cube = pools.long(cancel, made)?;
            let more = 2 * cube.bytes();
            cases.iter_mut().for_each(|case| case.cube.leave(more));
            planned += more;
            cases.push(Case { scenario, cube });
            held.push(held_here);
        }
        keeper.free_reserve();
        // Two versions keep profits side by side while a market is revalued.
        let room = limit.map_or(UNLIMITED_PROFITS, |limit| limit.saturating_sub(planned) / 2);
        let of_account: u64 = cases.iter().map(|case| case.cube.profits_bytes()).sum();
        let version = Self {
            number,
            received,
            levels: Levels::of(&scenario),
            kept: Mutex::new(KeptProfits::new((room / of_account.max(1)).max(LEAST_KEPT))),
            cases,
            named,
            made: Instant::now(),
            accounts: RwLock::default(),
        };
        version.margin_all(accounts, held, pools, cancel)?;
        Ok(version)
    }

    /// Margins accounts, whose holdings are given by case.
    fn margin_all(
        &self,
        accounts: Vec<Account>,
        held: Vec<Vec<Held>>,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<(), DeskFault> {
        let kept = lock(&self.kept).most();
        let mut nets: Vec<Vec<Net>> = accounts.iter().map(|_| Vec::new()).collect();
        let mut profits: Vec<CaseProfits> = accounts.iter().map(|_| Vec::new()).collect();
        for (case, held) in self.cases.iter().zip(held) {
            let legs = held.iter().map(|held| case.legs(held)).collect::<Result<Vec<_>, _>>()?;
            let asked: Vec<(&Legs, f64)> =
                legs.iter().zip(&held).map(|(legs, held)| (legs, held.scale)).collect();
            let margined = pools.long(cancel, |pace| case.cube.margined(&asked, kept, pace))?;
            for (account, ((held, legs), (estimates, own))) in
                held.into_iter().zip(legs).zip(margined).enumerate()
            {
                nets[account].push(Net { held, legs, estimates });
                profits[account].extend(own);
            }
        }
        for ((account, nets), profits) in accounts.into_iter().zip(nets).zip(profits) {
            let entry = self.entry_of(account, nets);
            if profits.len() == self.cases.len() {
                lock(&self.kept).insert(&entry, Arc::new(profits));
            }
            self.insert(entry);
        }
        Ok(())
    }

    /// The base case in this market; accounts are not in its portfolio.
    pub fn scenario(&self) -> &Scenario {
        &self.cases[0].scenario
    }

    /// Profits of all instruments in the base case.
    pub fn cube(&self) -> &Cube {
        &self.cases[0].cube
    }

    /// Bytes of all cubes and factors.
    pub fn cube_bytes(&self) -> u64 {
        self.cases.iter().map(|case| case.cube.bytes()).sum()
    }

    /// What its cube is kept on.
    pub fn device(&self) -> String {
        device::named(&self.cube().device())
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
        lock(&self.kept).remove(name);
    }

    /// Instruments that decide when paths are looked at, as rows.
    pub fn pins(&self) -> Vec<Position> {
        self.cube().pins().iter().map(book::row).collect()
    }

    /// Whether the cube's paths are looked at at the right times once `name` has become `entry`.
    pub fn has_right_times(&self, name: &str, entry: Option<&Entry>) -> bool {
        let accounts = read(&self.accounts);
        let others = accounts.iter().filter(|(other, _)| *other != name).map(|(_, entry)| &**entry);
        let pins: BTreeSet<Timestamp> = others.chain(entry).flat_map(|entry| &entry.pins).copied().collect();
        pins == self.cube().pinned()
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
        let held = book::hold(self.scenario(), name, &account.book, "").map_err(DeskFault::Invalid)?;
        let Some(held) = self.in_cases(held, pools, cancel)? else { return Ok(None) };
        let (entry, profits) = self.entry_from(account, held, before, pools, cancel)?;
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
        let held = book::hold(self.scenario(), "", book, "hypothetical.").map_err(DeskFault::Invalid)?;
        let Some(held) = self.in_cases(held, pools, cancel)? else { return Ok(None) };
        let account = Account { account: String::new(), revision: 0, book: book.clone() };
        let (mut entry, profits) = self.entry_from(account, held, None, pools, cancel)?;
        entry.own = Some(profits);
        Ok(Some(entry))
    }

    /// What an account holds in each case, all of it priced; `None` where that needs other paths.
    fn in_cases(&self, held: Held, pools: &Pools, cancel: &Cancel) -> Result<Option<Vec<Held>>, DeskFault> {
        let mut all = vec![held];
        for case in &self.cases[1..] {
            all.push(case.carried(&all[0])?);
        }
        for (case, held) in self.cases.iter().zip(&all) {
            if !case.ensure(held, pools, cancel)? {
                return Ok(None);
            }
        }
        Ok(Some(all))
    }

    fn entry_from(
        &self,
        account: Account,
        held: Vec<Held>,
        before: Option<&Arc<Entry>>,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<(Entry, Arc<CaseProfits>), DeskFault> {
        let legs = self.legs(&held)?;
        let base = self.base_of(before, &legs, pools, cancel)?;
        let (mut nets, mut all) = (Vec::new(), Vec::new());
        for (index, ((case, held), legs)) in self.cases.iter().zip(held).zip(legs).enumerate() {
            let before = base.as_ref().map(|(entry, profits)| (&entry.nets[index].legs, &profits[index]));
            let profits = case.profits(&legs, before, pools, cancel)?;
            let estimates = case.estimates((&legs, held.scale), Some((&legs, &profits)), pools, cancel)?;
            nets.push(Net { held, legs, estimates });
            all.push(profits);
        }
        Ok((self.entry_of(account, nets), Arc::new(all)))
    }

    fn entry_of(&self, account: Account, nets: Vec<Net>) -> Entry {
        let held: Vec<&Held> = nets.iter().map(|net| &net.held).collect();
        let estimates: Vec<&[TailEstimate]> = nets.iter().map(|net| net.estimates.as_slice()).collect();
        Entry {
            id: ENTRIES.fetch_add(1, Ordering::Relaxed),
            own: None,
            driver: OnceLock::new(),
            figures: self.figures(held[0], &estimates),
            pins: cube::expiries(&cube::pins(self.scenario(), &held[0].instruments)),
            account,
            nets,
        }
    }

    fn legs(&self, held: &[Held]) -> Result<Vec<Legs>, DeskFault> {
        self.cases.iter().zip(held).map(|(case, held)| case.legs(held)).collect()
    }

    /// An account to whose profits further legs are added, if that is what `legs` are.
    fn base_of<'a>(
        &self,
        entry: Option<&'a Arc<Entry>>,
        legs: &[Legs],
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Option<(&'a Arc<Entry>, Arc<CaseProfits>)>, DeskFault> {
        match entry.filter(|entry| legs[0].after(entry.legs()).is_some()) {
            Some(entry) => Ok(Some((entry, self.case_profits(entry, pools, cancel)?))),
            None => Ok(None),
        }
    }

    /// Prices what is held and not priced yet in the base case; `false` where that needs other paths.
    pub fn ensure(&self, held: &Held, pools: &Pools, cancel: &Cancel) -> Result<bool, DeskFault> {
        self.cases[0].ensure(held, pools, cancel)
    }

    /// Figures of what an account would hold; `None` where its paths would be looked at at other
    /// times.
    pub fn figures_with(
        &self,
        entry: Option<&Arc<Entry>>,
        held: Held,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Option<Figures>, DeskFault> {
        let Some(held) = self.in_cases(held, pools, cancel)? else { return Ok(None) };
        let legs = self.legs(&held)?;
        let base = self.base_of(entry, &legs, pools, cancel)?;
        let mut estimates = Vec::with_capacity(self.cases.len());
        for (index, ((case, held), legs)) in self.cases.iter().zip(&held).zip(&legs).enumerate() {
            let before = base.as_ref().map(|(entry, profits)| (&entry.nets[index].legs, &profits[index]));
            estimates.push(case.estimates((legs, held.scale), before, pools, cancel)?);
        }
        let estimates: Vec<&[TailEstimate]> = estimates.iter().map(Vec::as_slice).collect();
        Ok(Some(self.figures(&held[0], &estimates)))
    }

    /// The asset that costs an account most in its tail.
    pub fn driver(&self, entry: &Entry) -> Result<Option<Driver>, DeskFault> {
        if let Some(driver) = entry.driver.get() {
            return Ok(*driver);
        }
        let own = lock(&self.kept).find(entry);
        let own = own.as_ref().map(|own| &own[0]);
        let driver = self.cube().driver(entry.legs(), entry.held(), own)?;
        Ok(*entry.driver.get_or_init(|| driver))
    }

    /// An account's profits on all paths of the base case, kept if there is room.
    pub fn profits(
        &self,
        entry: &Entry,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<impl std::ops::Deref<Target = Profits> + use<>, DeskFault> {
        self.case_profits(entry, pools, cancel).map(OfBase)
    }

    fn case_profits(
        &self,
        entry: &Entry,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Arc<CaseProfits>, DeskFault> {
        let kept = entry.own.clone().or_else(|| lock(&self.kept).find(entry));
        if let Some(profits) = kept {
            return Ok(profits);
        }
        let nets = self.cases.iter().zip(&entry.nets);
        let profits = nets.map(|(case, net)| case.profits(&net.legs, None, pools, cancel));
        let profits = Arc::new(profits.collect::<Result<Vec<_>, _>>()?);
        lock(&self.kept).insert(entry, Arc::clone(&profits));
        Ok(profits)
    }

    /// Bytes of the accounts' profits that are kept.
    pub fn profits_bytes(&self) -> u64 {
        let of_account: u64 = self.cases.iter().map(|case| case.cube.profits_bytes()).sum();
        lock(&self.kept).len() as u64 * of_account
    }

    /// Figures of an account from its estimates in each case, at both levels.
    fn figures(&self, held: &Held, estimates: &[&[TailEstimate]]) -> Figures {
        let (scenario, units, tails) = (self.scenario(), &held.units, &self.cube().asset_tails);
        let margining = Margining::new(scenario, &scenario.market, units, units, units, tails);
        let shortfalls = |case: usize| [0, 1].map(|level| estimates[case][level].expected_shortfall);
        let [stressed, lookback] = self.named.map(|case| case.map(shortfalls));
        let own = [estimates[0][0], estimates[0][1]];
        let tails = Tails { own, stressed, lookback };
        let (value, margin) = margining.of(&held.account, (&held.carried, &held.instruments), &tails);
        Figures::new(&self.levels, &value, &margin, &own[0], &own[1])
    }
}

impl Entry {
    /// What it holds.
    pub fn held(&self) -> &Held {
        &self.nets[0].held
    }

    /// What it nets in the base case.
    pub fn legs(&self) -> &Legs {
        &self.nets[0].legs
    }

    /// Its tails in the base case.
    pub fn estimates(&self) -> &[TailEstimate] {
        &self.nets[0].estimates
    }
}

/// Profits in the base case.
struct OfBase(Arc<CaseProfits>);

impl std::ops::Deref for OfBase {
    type Target = Profits;

    fn deref(&self) -> &Profits {
        &self.0[0]
    }
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
