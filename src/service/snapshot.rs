//! All that the desk keeps as one document, and back.

use std::collections::BTreeSet;

use super::api::{MarketUpdateAnswer, Snapshot};
use super::fault::{field_fault, none};
use super::{Cancel, Desk, DeskFault, book, market};

/// Name of the document's form.
pub const SCHEMA: &str = "shortfall.service.snapshot";
/// Grows when a field changes its meaning.
pub const SCHEMA_VERSION: u32 = 1;
/// Most accounts of one snapshot.
pub const MAX_ACCOUNTS: usize = 100_000;

impl Desk {
    /// All accounts, the market, and the number of the last event.
    pub fn export(&self) -> Result<Snapshot, DeskFault> {
        let version = self.version();
        Ok(Snapshot {
            schema: SCHEMA.to_owned(),
            schema_version: SCHEMA_VERSION,
            at: self.now(),
            accounts: version.entries().values().map(|entry| entry.account.clone()).collect(),
            market: market::numbers(&version.scenario().market),
            last_event: self.events.last(),
        })
    }

    /// Puts a snapshot in the place of all that there is, as a new market version: all of it, or
    /// nothing.
    pub fn import(&self, snapshot: Snapshot, cancel: &Cancel) -> Result<MarketUpdateAnswer, DeskFault> {
        let mut faults = Vec::new();
        if (snapshot.schema.as_str(), snapshot.schema_version) != (SCHEMA, SCHEMA_VERSION) {
            let found = format!("{} {}", snapshot.schema, snapshot.schema_version);
            faults.push(field_fault("schema", found, format!("{SCHEMA} {SCHEMA_VERSION}")));
        }
        if snapshot.accounts.len() > MAX_ACCOUNTS {
            let found = format!("{} accounts", snapshot.accounts.len());
            faults.push(field_fault("accounts", found, format!("at most {MAX_ACCOUNTS}")));
        }
        none(faults)?;
        let mut faults = Vec::new();
        let mut names = BTreeSet::new();
        for (index, account) in snapshot.accounts.iter().enumerate() {
            let at = format!("accounts[{index}]");
            faults.extend(book::check_name(&account.account));
            faults.extend(book::check(&account.book, &format!("{at}.book.")));
            if !names.insert(&account.account) {
                faults.push(field_fault(at, format!("`{}` twice", account.account), "each account once"));
            }
        }
        match market::restored(&self.base.market, &snapshot.market) {
            Ok(market) => {
                none(faults)?;
                self.steady(|| self.replace_all(&snapshot.accounts, &market, cancel))
            }
            Err(more) => {
                faults.extend(more);
                Err(DeskFault::Invalid(faults))
            }
        }
    }
}
