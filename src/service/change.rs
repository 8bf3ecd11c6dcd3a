//! Changes of accounts and markets: margined, kept by the store, swapped in, told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::api::{Account, Event, MarketUpdateAnswer};
use super::desk::Decide;
use super::events::{self, Change};
use super::store::{self, KeptMarket};
use super::version::{Entry, Making, Version};
use super::{Cancel, Desk, DeskFault, lock, market, write};
use crate::market::Market;
use crate::scenario::Scenario;

impl Desk {
    /// Changes an account: margined, kept by the store, seen by readers, told. In this order, so that
    /// nobody sees what may be lost.
    pub(super) fn change(
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
            scenario: before.scenario.clone(),
            accounts,
            before: None,
            limit: self.config.memory_limit,
        };
        let version = Version::new(making, &self.pools, cancel)?;
        let removed: Vec<&str> = if after.is_none() { vec![name] } else { Vec::new() };
        self.swap(version, after.as_slice(), &removed)
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
        self.store.commit(&store::Change {
            accounts: entry.iter().map(|entry| &entry.account).collect(),
            removed: if entry.is_none() { vec![name] } else { Vec::new() },
            last_event: told.last().map_or(self.events.last(), |event| event.sequence),
            ..store::Change::default()
        })?;
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
    pub(super) fn swap(
        &self,
        version: Version,
        changed: &[Account],
        removed: &[&str],
    ) -> Result<Arc<Version>, DeskFault> {
        let (before, after) = (self.version().entries(), version.entries());
        let changes = after.iter().map(|(name, after)| Change {
            account: &after.account,
            market_version: version.number,
            before: before.get(name).map(|before| &before.figures),
            after: &after.figures,
        });
        let told = self.numbered(&changes.collect::<Vec<_>>());
        let numbers = market::numbers(&version.scenario.market);
        let market = KeptMarket { received: version.received, numbers };
        let dropped = self.outdated(version.number);
        self.store.commit(&store::Change {
            accounts: changed.iter().collect(),
            removed: removed.to_vec(),
            market: Some((version.number, &market)),
            dropped: dropped.clone(),
            last_event: told.last().map_or(self.events.last(), |event| event.sequence),
            base: None,
        })?;
        {
            let mut kept = lock(&self.kept);
            kept.insert(version.number, market);
            dropped.iter().for_each(|version| drop(kept.remove(version)));
        }
        let version = Arc::new(version);
        *write(&self.current) = Arc::clone(&version);
        self.events.publish(told);
        Ok(version)
    }

    /// Versions that need no longer be kept once `next` is there.
    fn outdated(&self, next: u64) -> Vec<u64> {
        let kept = lock(&self.kept);
        let now = self.now();
        let successors = kept.values().skip(1).map(|kept| kept.received);
        let pairs = kept.keys().zip(successors);
        let age = |since: Timestamp| now.duration_since(since).as_secs_f64();
        let is_outdated = |since: Timestamp| age(since) > self.config.versions_kept_for.as_secs_f64();
        pairs.filter(|(v, since)| **v < next && is_outdated(*since)).map(|(version, _)| *version).collect()
    }

    fn numbered(&self, changes: &[Change<'_>]) -> Vec<Event> {
        events::numbered(changes, &self.config.warnings, self.now(), self.events.last())
    }

    /// Puts other accounts and another market in the place of all that there is.
    pub(super) fn replace_all(
        &self,
        accounts: Vec<Account>,
        market: Market,
        cancel: &Cancel,
    ) -> Result<MarketUpdateAnswer, DeskFault> {
        let start = Instant::now();
        let _revaluing = lock(&self.revaluing);
        let _changing = lock(&self.changing);
        let before = self.version();
        let making = Making {
            number: before.number + 1,
            received: self.now(),
            scenario: Scenario { market, ..self.base.clone() },
            accounts: accounts.clone(),
            before: Some(&before),
            limit: self.config.memory_limit,
        };
        let version = Version::new(making, &self.pools, cancel)?;
        let (entries, after) = (before.entries(), version.entries());
        let removed: Vec<&str> =
            entries.keys().filter(|name| !after.contains_key(*name)).map(String::as_str).collect();
        let version = self.swap(version, &accounts, &removed)?;
        Ok(self.updated(&version, &before, start))
    }
}
