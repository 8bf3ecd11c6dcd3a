//! What survives: accounts, market versions, what both were before, and the number of the last event,
//! in one file.
//!
//! Every change is one transaction, on disk before it is acknowledged: a process killed at any moment
//! leaves all of a change or nothing of it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use redb::backends::InMemoryBackend;
use redb::{Database, Key, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::DeskFault;
use super::api::{Account, MarketUpdate, MarketVersion, Position};
use super::history::{History, Passing, What};

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const ACCOUNTS: TableDefinition<'_, &str, &str> = TableDefinition::new("accounts");
const MARKETS: TableDefinition<'_, u64, &str> = TableDefinition::new("markets");
/// What accounts held before, by name and revision.
const REVISIONS: TableDefinition<'_, (&str, u64), &str> = TableDefinition::new("revisions");
/// Markets and revisions that are no longer current, in the order in which they ceased to be.
const HISTORY: TableDefinition<'_, u64, &str> = TableDefinition::new("history");

const FORMAT: &str = "format";
/// Grows when a table changes its meaning.
const FORMAT_VERSION: &str = "1";
const LAST_EVENT: &str = "last_event";
/// Hash of the scenario's own market and simulation, on which market versions rest.
const BASE: &str = "base";

/// A market that is kept: every number that updates change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeptMarket {
    /// When the service received it.
    pub received: Timestamp,
    /// Its numbers.
    pub numbers: MarketUpdate,
    /// Instruments of accounts that expire within the horizon: they decide at which times its paths are
    /// looked at.
    #[serde(default)]
    pub pins: Vec<Position>,
}

/// All that a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Accounts by name.
    pub accounts: BTreeMap<String, Account>,
    /// Market versions.
    pub markets: BTreeMap<u64, MarketVersion>,
    /// What is no longer current.
    pub history: History,
    /// Number of the last event.
    pub last_event: u64,
    /// What the market versions rest on; nothing in a store that is new.
    pub base: Option<String>,
}

/// One change; all of it is kept, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Change<'a> {
    /// Accounts as they are now.
    pub accounts: Vec<&'a Account>,
    /// Accounts that are gone.
    pub removed: Vec<&'a str>,
    /// A new market version.
    pub market: Option<(u64, &'a KeptMarket)>,
    /// Accounts as they were until now.
    pub revised: Vec<&'a Account>,
    /// What is no longer current from now, and what is no longer kept.
    pub passing: Option<&'a Passing>,
    /// Number of the last event.
    pub last_event: u64,
    /// What market versions rest on from now.
    pub base: Option<&'a str>,
}

/// The store; without a file it is in memory.
pub struct Store(Database);

impl Store {
    /// Opens a file, made if it is not there, and reads it.
    pub fn open(path: Option<&Path>) -> Result<(Self, Contents), DeskFault> {
        let name = path.map_or("in memory".to_owned(), |path| path.display().to_string());
        let named = |error: String| DeskFault::Store(format!("{name}: {error}"));
        let database = match path {
            Some(path) => Database::create(path),
            None => Database::builder().create_with_backend(InMemoryBackend::new()),
        };
        let store = Self(database.map_err(|error| named(error.to_string()))?);
        let contents = store.read().map_err(|fault| named(fault.to_string()))?;
        Ok((store, contents))
    }

    /// Keeps a change: it is on disk when this returns.
    pub fn commit(&self, change: &Change<'_>) -> Result<(), DeskFault> {
        let transaction = self.0.begin_write().map_err(fault)?;
        {
            let mut meta = transaction.open_table(META).map_err(fault)?;
            meta.insert(FORMAT, FORMAT_VERSION).map_err(fault)?;
            meta.insert(LAST_EVENT, change.last_event.to_string().as_str()).map_err(fault)?;
            if let Some(base) = change.base {
                meta.insert(BASE, base).map_err(fault)?;
            }
            let mut accounts = transaction.open_table(ACCOUNTS).map_err(fault)?;
            for account in &change.accounts {
                accounts.insert(account.account.as_str(), json(account)?.as_str()).map_err(fault)?;
            }
            for name in &change.removed {
                accounts.remove(name).map_err(fault)?;
            }
            let mut markets = transaction.open_table(MARKETS).map_err(fault)?;
            if let Some((version, market)) = change.market {
                markets.insert(version, json(market)?.as_str()).map_err(fault)?;
            }
            let mut revisions = transaction.open_table(REVISIONS).map_err(fault)?;
            for account in &change.revised {
                let key = (account.account.as_str(), account.revision);
                revisions.insert(key, json(account)?.as_str()).map_err(fault)?;
            }
            let mut history = transaction.open_table(HISTORY).map_err(fault)?;
            for (number, old) in change.passing.iter().flat_map(|passing| &passing.added) {
                history.insert(number, json(old)?.as_str()).map_err(fault)?;
            }
            for (number, old) in change.passing.iter().flat_map(|passing| &passing.dropped) {
                history.remove(number).map_err(fault)?;
                match &old.what {
                    What::Market { version } => drop(markets.remove(version).map_err(fault)?),
                    What::Account { account, revision } => {
                        drop(revisions.remove((account.as_str(), *revision)).map_err(fault)?);
                    }
                }
            }
        }
        transaction.commit().map_err(fault)
    }

    /// A market that is kept.
    pub fn market(&self, version: u64) -> Result<Option<KeptMarket>, DeskFault> {
        let transaction = self.0.begin_read().map_err(fault)?;
        let Some(markets) = table(&transaction, MARKETS)? else { return Ok(None) };
        markets.get(version).map_err(fault)?.map(|market| parsed(market.value())).transpose()
    }

    /// What an account held before.
    pub fn revision(&self, account: &str, revision: u64) -> Result<Option<Account>, DeskFault> {
        let transaction = self.0.begin_read().map_err(fault)?;
        let Some(revisions) = table(&transaction, REVISIONS)? else { return Ok(None) };
        revisions.get((account, revision)).map_err(fault)?.map(|text| parsed(text.value())).transpose()
    }

    fn read(&self) -> Result<Contents, DeskFault> {
        let mut contents = Contents::default();
        let transaction = self.0.begin_read().map_err(fault)?;
        // Nothing was ever kept.
        let Some(meta) = table(&transaction, META)? else { return Ok(contents) };
        let text = |key: &str| -> Result<Option<String>, DeskFault> {
            Ok(meta.get(key).map_err(fault)?.map(|value| value.value().to_owned()))
        };
        match text(FORMAT)?.as_deref() {
            Some(FORMAT_VERSION) => {}
            other => {
                return Err(DeskFault::Store(format!("a store of format {other:?}, not {FORMAT_VERSION}")));
            }
        }
        contents.last_event = text(LAST_EVENT)?.and_then(|text| text.parse().ok()).unwrap_or(0);
        contents.base = text(BASE)?;
        if let Some(accounts) = table(&transaction, ACCOUNTS)? {
            for row in accounts.iter().map_err(fault)? {
                let (name, account) = row.map_err(fault)?;
                contents.accounts.insert(name.value().to_owned(), parsed(account.value())?);
            }
        }
        if let Some(markets) = table(&transaction, MARKETS)? {
            for row in markets.iter().map_err(fault)? {
                let (version, market) = row.map_err(fault)?;
                let market: KeptMarket = parsed(market.value())?;
                contents.markets.insert(version.value(), market.named(version.value()));
            }
        }
        if let Some(history) = table(&transaction, HISTORY)? {
            for row in history.iter().map_err(fault)? {
                let (number, old) = row.map_err(fault)?;
                contents.history.insert(number.value(), parsed(old.value())?);
            }
        }
        Ok(contents)
    }
}

impl KeptMarket {
    /// As lists of versions name it.
    pub fn named(&self, version: u64) -> MarketVersion {
        MarketVersion {
            version,
            as_of: self.numbers.as_of,
            received: self.received,
            source: self.numbers.source.clone().unwrap_or_default(),
        }
    }
}

/// A table; `None` where nothing was ever kept in it.
fn table<K: Key + 'static>(
    transaction: &ReadTransaction,
    table: TableDefinition<'_, K, &'static str>,
) -> Result<Option<ReadOnlyTable<K, &'static str>>, DeskFault> {
    match transaction.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(fault(error)),
    }
}

fn fault(error: impl std::fmt::Display) -> DeskFault {
    DeskFault::Store(error.to_string())
}

fn json(value: &impl Serialize) -> Result<String, DeskFault> {
    serde_json::to_string(value).map_err(fault)
}

fn parsed<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, DeskFault> {
    serde_json::from_str(text).map_err(fault)
}
