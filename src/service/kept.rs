//! Profits of accounts that are kept: a question about one of them is one pass over what it adds.

use std::collections::HashMap;
use std::sync::Arc;

use super::cube::Profits;
use super::version::Entry;

/// An account's profits in each case.
pub type CaseProfits = Vec<Profits>;

/// Profits of the accounts that were asked about last.
pub struct KeptProfits {
    by_name: HashMap<String, OneKept>,
    most: u64,
    clock: u64,
}

struct OneKept {
    entry: u64,
    profits: Arc<CaseProfits>,
    used: u64,
}

impl KeptProfits {
    /// Keeps those of so many accounts.
    pub fn new(most: u64) -> Self {
        Self { by_name: HashMap::new(), most, clock: 0 }
    }

    /// Those of an account, if they are kept.
    pub fn find(&mut self, entry: &Entry) -> Option<Arc<CaseProfits>> {
        self.clock += 1;
        let kept = self.by_name.get_mut(&entry.account.account).filter(|kept| kept.entry == entry.id)?;
        kept.used = self.clock;
        Some(Arc::clone(&kept.profits))
    }

    /// Keeps those of an account, in the place of those that were asked about least lately.
    pub fn insert(&mut self, entry: &Entry, profits: Arc<CaseProfits>) {
        self.clock += 1;
        let one = OneKept { entry: entry.id, profits, used: self.clock };
        self.by_name.insert(entry.account.account.clone(), one);
        while self.by_name.len() as u64 > self.most {
            let oldest = self.by_name.iter().min_by_key(|(_, kept)| kept.used).map(|(name, _)| name.clone());
            let Some(oldest) = oldest else { return };
            self.by_name.remove(&oldest);
        }
    }

    /// Forgets those of an account.
    pub fn remove(&mut self, name: &str) {
        self.by_name.remove(name);
    }

    /// Accounts whose profits are kept.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Accounts whose profits may be kept.
    pub fn most(&self) -> usize {
        self.most as usize
    }
}
