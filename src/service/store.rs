//! What survives: accounts, market versions and the number of the last event, in one file.
//!
//! Every change is one transaction, on disk before it is acknowledged: a process killed at any moment
//! leaves all of a change or nothing of it.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::DeskFault;
use super::api::{Account, MarketUpdate};

const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const ACCOUNTS: TableDefinition<'_, &str, &str> = TableDefinition::new("accounts");
const MARKETS: TableDefinition<'_, u64, &str> = TableDefinition::new("markets");

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
}

/// All that a store holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// Accounts by name.
    pub accounts: BTreeMap<String, Account>,
    /// Market versions.
    pub markets: BTreeMap<u64, KeptMarket>,
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
    /// Market versions that are no longer kept.
    pub dropped: Vec<u64>,
    /// Number of the last event.
    pub last_event: u64,
    /// What market versions rest on from now.
    pub base: Option<&'a str>,
}

/// The store; without a file it keeps nothing.
pub struct Store(Option<Database>);

impl Store {
    /// Opens a file, made if it is not there, and reads it.
    pub fn open(path: Option<&Path>) -> Result<(Self, Contents), DeskFault> {
        let Some(path) = path else { return Ok((Self(None), Contents::default())) };
        let named = |error: String| DeskFault::Store(format!("{}: {error}", path.display()));
        let database = Database::create(path).map_err(|error| named(error.to_string()))?;
        let store = Self(Some(database));
        let contents = store.read().map_err(|fault| named(fault.to_string()))?;
        Ok((store, contents))
    }

    /// Keeps a change: it is on disk when this returns.
    pub fn commit(&self, change: &Change<'_>) -> Result<(), DeskFault> {
        let Some(database) = &self.0 else { return Ok(()) };
        let transaction = database.begin_write().map_err(fault)?;
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
            for version in &change.dropped {
                markets.remove(version).map_err(fault)?;
            }
        }
        transaction.commit().map_err(fault)
    }

    fn read(&self) -> Result<Contents, DeskFault> {
        let mut contents = Contents::default();
        let Some(database) = &self.0 else { return Ok(contents) };
        let transaction = database.begin_read().map_err(fault)?;
        let meta = match transaction.open_table(META) {
            Ok(meta) => meta,
            // Nothing was ever kept.
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(contents),
            Err(error) => return Err(fault(error)),
        };
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
        for row in transaction.open_table(ACCOUNTS).map_err(fault)?.iter().map_err(fault)? {
            let (name, account) = row.map_err(fault)?;
            contents.accounts.insert(name.value().to_owned(), parsed(account.value())?);
        }
        for row in transaction.open_table(MARKETS).map_err(fault)?.iter().map_err(fault)? {
            let (version, market) = row.map_err(fault)?;
            contents.markets.insert(version.value(), parsed(market.value())?);
        }
        Ok(contents)
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
