//! What was current once and is still kept, the oldest first: market versions and revisions of
//! accounts. What is too old goes, and the oldest go where all of it takes too much room.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::api::{Account, MarketUpdate};

/// Bytes of a row of a book or a market, about.
const ROW_BYTES: usize = 100;
/// Rows that each of them counts as besides, for its place here.
const PLACE_ROWS: usize = 4;

/// One of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Old {
    /// When the next one came.
    pub until: Timestamp,
    /// Bytes that it takes, about.
    pub bytes: u64,
    /// What it is.
    pub what: What,
}

/// Something that was current.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A market.
    Market {
        /// Its version.
        version: u64,
    },
    /// What an account held.
    Account {
        /// Its name.
        account: String,
        /// Its revision.
        revision: u64,
    },
}

/// All that is kept, by a number that grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    old: BTreeMap<u64, Old>,
    /// Until when each revision of an account was current.
    revisions: BTreeMap<(String, u64), Timestamp>,
    bytes: u64,
    kept_for: Duration,
    most_bytes: u64,
}

/// What comes to a history and what leaves it, together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Passing {
    /// What comes.
    pub added: Vec<(u64, Old)>,
    /// What leaves.
    pub dropped: Vec<(u64, Old)>,
}

impl What {
    /// A market of a version, and its bytes.
    pub fn market(version: u64, numbers: &MarketUpdate) -> (Self, u64) {
        let rows = PLACE_ROWS + numbers.assets.len() + numbers.forwards.len() + numbers.surfaces.len();
        (Self::Market { version }, (rows * ROW_BYTES) as u64)
    }

    /// What an account held, and its bytes.
    pub fn account(account: &Account) -> (Self, u64) {
        let rows = PLACE_ROWS + account.book.positions.len() + account.book.balances.len();
        let what = Self::Account { account: account.account.clone(), revision: account.revision };
        (what, (rows * ROW_BYTES + account.book.description.len()) as u64)
    }
}

impl History {
    /// How long and how much is kept from now on.
    pub fn set_limits(&mut self, kept_for: Duration, most_bytes: u64) {
        (self.kept_for, self.most_bytes) = (kept_for, most_bytes);
    }

    /// Puts back what a store kept.
    pub fn insert(&mut self, number: u64, old: Old) {
        self.bytes += old.bytes;
        if let What::Account { account, revision } = &old.what {
            self.revisions.insert((account.clone(), *revision), old.until);
        }
        self.old.insert(number, old);
    }

    /// A market version that has to go, current or not.
    pub fn dropped_market(&self, version: u64) -> (u64, Old) {
        let what = What::Market { version };
        let kept = self.old.iter().find(|(_, old)| old.what == what);
        let kept = kept.map(|(number, old)| (*number, old.clone()));
        kept.unwrap_or((u64::MAX, Old { until: Timestamp::UNIX_EPOCH, bytes: 0, what }))
    }

    /// What is added now, and what has to go then.
    pub fn passing(&self, added: impl IntoIterator<Item = (What, u64)>, now: Timestamp) -> Passing {
        let first = self.old.keys().next_back().map_or(0, |last| last + 1);
        let added = added.into_iter().map(|(what, bytes)| Old { until: now, bytes, what });
        let added: Vec<(u64, Old)> = (first..).zip(added).collect();
        let mut bytes = self.bytes + added.iter().map(|(_, old)| old.bytes).sum::<u64>();
        let age = |since: Timestamp| now.duration_since(since).as_secs_f64();
        let mut dropped = Vec::new();
        for (number, old) in &self.old {
            if !(bytes > self.most_bytes || age(old.until) > self.kept_for.as_secs_f64()) {
                break;
            }
            bytes -= old.bytes;
            dropped.push((*number, old.clone()));
        }
        Passing { added, dropped }
    }

    /// Takes note of what has come and gone.
    pub fn pass(&mut self, passing: Passing) {
        for (number, _) in passing.dropped {
            let Some(old) = self.old.remove(&number) else { continue };
            self.bytes -= old.bytes;
            if let What::Account { account, revision } = old.what {
                self.revisions.remove(&(account, revision));
            }
        }
        for (number, old) in passing.added {
            self.insert(number, old);
        }
    }

    /// Everything with its number, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = (u64, &Old)> {
        self.old.iter().map(|(number, old)| (*number, old))
    }

    /// Revisions of an account, the oldest first, and until when each was current.
    pub fn revisions(&self, name: &str) -> impl Iterator<Item = (u64, Timestamp)> + '_ {
        let of = |revision: u64| (name.to_owned(), revision);
        self.revisions.range(of(0)..=of(u64::MAX)).map(|((_, revision), until)| (*revision, *until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(revision: u64, bytes: u64) -> (What, u64) {
        (What::Account { account: "alpha".to_owned(), revision }, bytes)
    }

    fn kept(history: &History) -> Vec<u64> {
        history.revisions("alpha").map(|(revision, _)| revision).collect()
    }

    #[test]
    fn the_oldest_go_when_they_are_too_old_or_all_are_too_large() {
        let mut history = History::default();
        history.set_limits(Duration::from_secs(60), 100);
        let start: Timestamp = "2026-02-04T22:00:00Z".parse().unwrap();
        let at = |seconds: i64| start + jiff::SignedDuration::from_secs(seconds);
        let mut seen = Vec::new();
        for (seconds, number, bytes) in [(0, 1, 40), (10, 2, 40), (20, 3, 40), (71, 4, 10), (90, 5, 300)] {
            let passing = history.passing([revision(number, bytes)], at(seconds));
            history.pass(passing);
            seen.push(kept(&history));
        }
        // Three of 40 bytes are too large, at 71 s the second is 61 s old, and one that is too large by
        // itself goes with the next.
        assert_eq!(seen, [vec![1], vec![1, 2], vec![2, 3], vec![3, 4], vec![5]]);
        let passing = history.passing([], at(90));
        history.pass(passing);
        assert_eq!((kept(&history), history.bytes, history.revisions.len()), (vec![], 0, 0));
        assert_eq!(history.revisions("beta").count(), 0);
    }
}
