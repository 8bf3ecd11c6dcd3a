//! Changes of accounts and markets: margined, kept by the store, swapped in, told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::api::{Account, Event, MarketUpdateAnswer};
use super::desk::Decide;
use super::events::{self, Change};
use super::history::{Old, Passing, What};
use super::store::{self, KeptMarket};
use super::version::{Entry, Making, Version};
use super::{Cancel, Desk, DeskFault, lock, market, write};
use crate::market::Market;
use crate::scenario::Scenario;

/// Accounts that change together with the market.
#[derive(Default)]
pub(super) struct Changed<'a> {
    /// As they are now.
    pub accounts: &'a [Account],
    /// Those that are gone.
    pub removed: &'a [&'a str],
    /// As they were.
    pub revised: Vec<&'a Account>,
    /// Whether they take the place of all that there was.
    pub is_other_book: bool,
}

impl Desk {
    /// Changes an account: margined, kept by the store, seen by readers, told. In this order, so that
    /// nobody sees what may be lost.
    pub(super) fn change(
        &self,
        name: &str,
        cancel: &Cancel,
        decide: Decide<'_>,
    ) -> Result<Arc<Version>, DeskFault> {
        self.steady(|| self.change_once(name, cancel, decide))
    }

    fn change_once(
        &self,
        name: &str,
        cancel: &Cancel,
        decide: Decide<'_>,
    ) -> Result<Arc<Version>, DeskFault> {
        {
            let _changing = lock(&self.changing);
            let version = self.version();
            let before = version.entry(name).ok();
            let made = match decide(before.as_deref())? {
                Some(account) => version.make_entry(account, before.as_ref(), &self.pools, cancel)?.map(Some),
                None => Some(None),
            };
            if let Some(entry) = made
                && version.has_right_times(name, entry.as_ref())
            {
                self.settle(&version, name, before.as_deref(), entry)?;
                return Ok(version);
            }
        }
        // What expires within the horizon decides when paths are looked at: all of them are simulated
        // again, and that is a version of its own.
        let _revaluing = lock(&self.revaluing);
        let _changing = lock(&self.changing);
        let before = self.version();
        let entries = before.entries();
        let after = decide(entries.get(name).map(|entry| &**entry))?;
        let others = entries.values().map(|entry| &entry.account).filter(|account| account.account != name);
        let mut accounts: Vec<Account> = others.cloned().collect();
        accounts.extend(after.clone());
        let making = Making {
            number: before.number + 1,
            received: before.received,
            scenario: before.scenario().clone(),
            accounts,
            keeper: self.devices.keeper(),
            before: Some(&before),
            limit: self.config.memory_limit,
        };
        let version = Version::new(making, &self.pools, cancel)?;
        let removed: Vec<&str> = if after.is_none() { vec![name] } else { Vec::new() };
        let revised = entries.get(name).map(|entry| &entry.account);
        self.swap(
            version,
            &Changed {
                accounts: after.as_slice(),
                removed: &removed,
                revised: revised.into_iter().collect(),
                ..Changed::default()
            },
        )
    }

    /// Keeps and publishes one account.
    fn settle(
        &self,
        version: &Version,
        name: &str,
        before: Option<&Entry>,
        entry: Option<Entry>,
    ) -> Result<(), DeskFault> {
        let changes = entry.iter().map(|entry| Change {
            account: &entry.account,
            market_version: version.number,
            before: before.map(|before| &before.figures),
            after: &entry.figures,
        });
        let told = self.numbered(&changes.collect::<Vec<_>>());
        let revised = before.map(|before| &before.account);
        let passing = lock(&self.history).passing(revised.map(What::account), self.now());
        self.store.commit(&store::Change {
            accounts: entry.iter().map(|entry| &entry.account).collect(),
            removed: if entry.is_none() { vec![name] } else { Vec::new() },
            revised: revised.into_iter().collect(),
            passing: Some(&passing),
            last_event: told.last().map_or(self.events.last(), |event| event.sequence),
            ..store::Change::default()
        })?;
        self.pass(passing);
        match entry {
            Some(entry) => {
                version.insert(entry);
            }
            None => version.remove(name),
        }
        self.events.publish(told);
        Ok(())
    }

    /// Margins in a new version what changed while it was made; `false` where that needs other paths.
    pub(super) fn catch_up(
        &self,
        version: &Version,
        margined: &BTreeMap<String, Arc<Entry>>,
        now: &BTreeMap<String, Arc<Entry>>,
        cancel: &Cancel,
    ) -> Result<bool, DeskFault> {
        for (name, entry) in now {
            if margined.get(name).is_some_and(|margined| Arc::ptr_eq(margined, entry)) {
                continue;
            }
            match version.make_entry(entry.account.clone(), None, &self.pools, cancel)? {
                Some(entry) => version.insert(entry),
                None => return Ok(false),
            };
        }
        margined.keys().filter(|name| !now.contains_key(*name)).for_each(|name| version.remove(name));
        Ok(version.has_right_times("", None))
    }

    /// Keeps and publishes a version, with accounts that changed together with it. Called with both
    /// locks held.
    pub(super) fn swap(&self, version: Version, changed: &Changed<'_>) -> Result<Arc<Version>, DeskFault> {
        let current = self.version();
        let (before, after) = (current.entries(), version.entries());
        let changes = after.iter().map(|(name, after)| Change {
            account: &after.account,
            market_version: version.number,
            before: before.get(name).map(|before| &before.figures),
            after: &after.figures,
        });
        let told = self.numbered(&changes.collect::<Vec<_>>());
        let numbers = market::numbers(&version.scenario().market);
        let market = KeptMarket { received: version.received, numbers, pins: version.pins() };
        let passing = {
            let history = lock(&self.history);
            let old = What::market(current.number, &market.numbers);
            let added = changed.revised.iter().copied().map(What::account).chain([old]);
            let mut passing = history.passing(added, self.now());
            if changed.is_other_book {
                // Revisions begin anew with the accounts that came.
                let is_account = |(_, old): &(u64, &Old)| matches!(old.what, What::Account { .. });
                let gone = history.all().filter(is_account).map(|(number, old)| (number, old.clone()));
                passing.dropped.extend(gone);
            }
            passing
        };
        self.store.commit(&store::Change {
            accounts: changed.accounts.iter().collect(),
            removed: changed.removed.to_vec(),
            market: Some((version.number, &market)),
            revised: changed.revised.clone(),
            passing: Some(&passing),
            last_event: told.last().map_or(self.events.last(), |event| event.sequence),
            base: None,
        })?;
        lock(&self.kept).insert(version.number, market.named(version.number));
        self.pass(passing);
        let version = Arc::new(version);
        *write(&self.current) = Arc::clone(&version);
        self.events.publish(told);
        Ok(version)
    }

    /// Takes note of what is no longer current, and of what is no longer kept.
    fn pass(&self, passing: Passing) {
        let mut kept = lock(&self.kept);
        for (_, old) in &passing.dropped {
            if let What::Market { version } = old.what {
                kept.remove(&version);
            }
        }
        lock(&self.history).pass(passing);
    }

    fn numbered(&self, changes: &[Change<'_>]) -> Vec<Event> {
        events::numbered(changes, &self.config.warnings, self.now(), self.events.last())
    }

    /// Puts other accounts and another market in the place of all that there is.
    pub(super) fn replace_all(
        &self,
        accounts: &[Account],
        market: &Market,
        cancel: &Cancel,
    ) -> Result<MarketUpdateAnswer, DeskFault> {
        let start = Instant::now();
        let _revaluing = lock(&self.revaluing);
        let _changing = lock(&self.changing);
        let before = self.version();
        let making = Making {
            number: before.number + 1,
            received: self.now(),
            scenario: Scenario { market: market.clone(), ..self.base.clone() },
            accounts: accounts.to_vec(),
            keeper: self.devices.keeper(),
            before: Some(&before),
            limit: self.config.memory_limit,
        };
        let version = Version::new(making, &self.pools, cancel)?;
        let (entries, after) = (before.entries(), version.entries());
        let removed: Vec<&str> =
            entries.keys().filter(|name| !after.contains_key(*name)).map(String::as_str).collect();
        let changed = Changed { accounts, removed: &removed, is_other_book: true, ..Changed::default() };
        let version = self.swap(version, &changed)?;
        Ok(self.updated(&version, &before, start))
    }
}
