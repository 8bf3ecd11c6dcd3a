//! The `service` mapping of a scenario file: what the service keeps, refuses and tells.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::fault::Faults;
use crate::plan::Bytes;
use crate::portfolio::Rows;
use crate::scenario::{self, Scenario};
use crate::units::Years;
use crate::yaml::{At, Mapping};

use super::api::{Account, Balance, Book, Position};

/// Settings of the service.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// File of the store; in memory only without it.
    pub store: Option<PathBuf>,
    /// Most bytes that the cube, the factors and the accounts' losses may take.
    pub memory_limit: Option<u64>,
    /// Age of a market beyond which it is stale.
    pub market_age_limit: Option<Duration>,
    /// Whether figures from a stale market are refused; else they are flagged.
    pub refuse_stale: bool,
    /// How long a market version, and a revision of an account, is kept after the next has come.
    pub versions_kept_for: Duration,
    /// Most bytes, about, of those that are kept.
    pub versions_limit: u64,
    /// Healths that warn, the highest first.
    pub warnings: Vec<f64>,
    /// Events kept for resumption.
    pub events_kept: usize,
    /// Folder of the nightly results, as `shortfall run --out` writes it.
    pub results: Option<PathBuf>,
    /// Where to listen, `127.0.0.1:8080` by default.
    pub listen: SocketAddr,
    /// Certificate chain and private key, PEM files.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// File of API keys.
    pub keys: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store: None,
            memory_limit: None,
            market_age_limit: None,
            refuse_stale: false,
            versions_kept_for: Duration::from_secs(24 * 3600),
            versions_limit: 1 << 30,
            warnings: vec![1.5, 1.2, 1.05],
            events_kept: 10_000,
            results: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            keys: None,
        }
    }
}

/// A scenario to serve: the base case, the accounts of its files, and the settings.
#[derive(Clone, Debug)]
pub struct Served {
    /// The scenario.
    pub scenario: Scenario,
    /// The accounts of its tables, by name: what a new store starts with.
    pub accounts: Vec<Account>,
    /// The settings; the defaults without a `service` mapping.
    pub config: Config,
}

/// Reads a scenario with its `service` mapping. All faults are reported together.
pub fn read(path: &Path) -> Result<Served, Faults> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut books = std::collections::BTreeMap::<String, Book>::new();
    let mut keep = |account: &str, row: Rows<'_>| {
        let book = match books.get_mut(account) {
            Some(book) => book,
            None => books.entry(account.to_owned()).or_default(),
        };
        match row {
            Rows::Account { description } => description.clone_into(&mut book.description),
            Rows::Position(row) => book.positions.push(Position {
                instrument: row.instrument.to_owned(),
                quantity: row.quantity,
                entry_price: row.entry_price,
                implied_volatility: row.implied_volatility,
            }),
            Rows::Balance { asset, amount } => {
                book.balances.push(Balance { asset: asset.to_owned(), amount });
            }
        }
    };
    let read_service = |m: &Mapping<'_>| m.optional("service", |at| at.mapping(|m| read_config(m, folder)));
    let (scenario, config) = scenario::read_with(path, &mut keep, read_service)?;
    let accounts = books.into_iter().map(|(account, book)| Account { account, revision: 1, book });
    Ok(Served { scenario, accounts: accounts.collect(), config: config.unwrap_or_default() })
}

fn read_config(m: &Mapping<'_>, folder: &Path) -> Option<Config> {
    let default = Config::default();
    let path = |at: At<'_>| at.text().map(|text| folder.join(text));
    let duration = |at: At<'_>| {
        at.parsed("a duration above zero, such as 30s or 1d", |text| {
            Years::parse(text).filter(|y| y.get() > 0.0).map(|y| Duration::from_secs_f64(y.days() * 86_400.0))
        })
    };
    let size = |at: At<'_>| at.parsed("a size such as 8GiB", |text| Bytes::parse(text).map(|bytes| bytes.0));
    let store = m.optional("store", path);
    let memory_limit = m.optional("memory_limit", size);
    let age = m.optional("market_age_limit", duration);
    let stale = m.optional("stale_market", |at| at.one_of(&["flag", "refuse"]));
    let kept_for = m.optional("versions_kept_for", duration);
    let versions_limit = m.optional("versions_limit", size);
    let warnings = m.optional("warnings", |at| {
        at.list(|at| at.number("a health above 0 and up to 100", |x| x > 0.0 && x <= 100.0))
    });
    let events_kept = m.optional("events_kept", |at| at.integer(1..=1_000_000));
    let results = m.optional("results", path);
    let listen = m.optional("listen", |at| {
        at.parsed("an address and a port, such as 127.0.0.1:8080", |text| text.parse().ok())
    });
    let tls = m.optional("tls", |at| {
        at.mapping(|m| {
            let certificate = m.required("certificate", path);
            let key = m.required("key", path);
            Some((certificate?, key?))
        })
    });
    let keys = m.optional("keys", path);
    let mut warnings = warnings?.unwrap_or(default.warnings);
    warnings.sort_by(|a, b| b.total_cmp(a));
    Some(Config {
        store: store?,
        memory_limit: memory_limit?,
        market_age_limit: age?,
        refuse_stale: stale? == Some(1),
        versions_kept_for: kept_for?.unwrap_or(default.versions_kept_for),
        versions_limit: versions_limit?.unwrap_or(default.versions_limit),
        warnings,
        events_kept: events_kept?.map_or(default.events_kept, |n| n as usize),
        results: results?,
        listen: listen?.unwrap_or(default.listen),
        tls: tls?,
        keys: keys?,
    })
}
