//! A plan: how a run is divided. The same scenario and options give the same plan.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Identity, store};
use crate::engine::BLOCK;
use crate::portfolio::Portfolio;
use crate::run::StoreFault;

/// Name of the plan's form.
pub const SCHEMA: &str = "shortfall.plan";
/// Grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;
/// Most shards of a plan.
pub const MAX_SHARDS: u32 = 10_000;
const PLAN_FILE: &str = "plan.json";
/// Work of an account beside its holdings, in holdings.
const ACCOUNT_WEIGHT: u64 = 4;

/// A plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// `shortfall.plan`.
    pub schema: String,
    /// Version of the form.
    pub schema_version: u32,
    /// What is run.
    pub identity: Identity,
    /// Where the scenario was.
    pub scenario: PathBuf,
    /// Options that change it.
    pub settings: Settings,
    /// By what it is divided.
    pub by: By,
    /// Cases in their order.
    pub cases: Vec<String>,
    /// Accounts of the portfolio.
    pub accounts: u64,
    /// Shards; together they cover every account on every path once.
    pub shards: Vec<Part>,
}

/// Settings of the simulation after the options of the command line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Paths of a case.
    pub paths: u64,
    /// Seed of the generator.
    pub seed: u64,
    /// Time steps over the longest horizon.
    pub steps: u32,
    /// `f32` or `f64`.
    pub precision: String,
    /// Accounts to attribute when it is merged, as on the command line; changes no figure.
    #[serde(default)]
    pub attribution: String,
}

/// By what a run is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// Every shard simulates all paths for some of the accounts.
    Accounts,
    /// Every shard simulates some of the paths for all accounts.
    Paths,
}

/// One shard: some accounts on some paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its index in the plan.
    pub index: u32,
    /// Accounts, as indices into the portfolio.
    pub accounts: Range<u64>,
    /// Paths.
    pub paths: Range<u64>,
    /// Holdings of its accounts.
    pub holdings: u64,
}

/// Why a run cannot be divided like that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanFault {
    /// More shards than parts.
    #[error("{shards} shards of {available} {what}; use at most {available}")]
    TooMany {
        /// How many were asked for.
        shards: u32,
        /// How many there can be.
        available: u64,
        /// Of what.
        what: &'static str,
    },
    /// The number of paths is not known before the run.
    #[error(
        "the scenario stops at a tolerance, but a plan must know its paths; remove simulation.tolerance and set simulation.paths"
    )]
    Tolerance,
}

impl Part {
    /// All accounts on all paths.
    pub fn whole(portfolio: &Portfolio, paths: u64) -> Self {
        let holdings = portfolio.accounts.iter().map(|account| account.holdings.len() as u64).sum();
        Self { index: 0, accounts: 0..portfolio.accounts.len() as u64, paths: 0..paths, holdings }
    }

    /// Start of the names of its files.
    pub fn stem(&self) -> String {
        format!("shard-{:05}", self.index)
    }

    /// Divides a run.
    pub fn divide(portfolio: &Portfolio, paths: u64, shards: u32, by: By) -> Result<Vec<Self>, PlanFault> {
        let whole = Self::whole(portfolio, paths);
        let blocks = paths.div_ceil(BLOCK as u64);
        let (available, what) = match by {
            By::Accounts => (whole.accounts.end, "accounts"),
            By::Paths => (blocks, "blocks of 64 paths"),
        };
        let available = available.min(u64::from(MAX_SHARDS));
        if !(1..=available).contains(&u64::from(shards)) {
            return Err(PlanFault::TooMany { shards, available, what });
        }
        let ends: Vec<u64> = match by {
            By::Accounts => account_ends(portfolio, shards),
            By::Paths => {
                let end = |shard: u64| (blocks * shard / u64::from(shards) * BLOCK as u64).min(paths);
                (1..=u64::from(shards)).map(end).collect()
            }
        };
        let mut start = 0;
        let part = |(index, end): (usize, u64)| {
            let range = start..end;
            start = end;
            let (accounts, paths) = match by {
                By::Accounts => (range, whole.paths.clone()),
                By::Paths => (whole.accounts.clone(), range),
            };
            let inside = &portfolio.accounts[accounts.start as usize..accounts.end as usize];
            let holdings = inside.iter().map(|account| account.holdings.len() as u64).sum();
            Self { index: index as u32, accounts, paths, holdings }
        };
        Ok(ends.into_iter().enumerate().map(part).collect())
    }
}

/// Where the accounts of each shard end: about the same work in each, at least one account.
fn account_ends(portfolio: &Portfolio, shards: u32) -> Vec<u64> {
    let weight = |account: &crate::portfolio::Account| account.holdings.len() as u64 + ACCOUNT_WEIGHT;
    let total: u64 = portfolio.accounts.iter().map(weight).sum();
    let count = portfolio.accounts.len() as u64;
    let shards = u64::from(shards);
    let mut ends = Vec::with_capacity(shards as usize);
    let mut cumulated = 0;
    for (index, account) in portfolio.accounts.iter().enumerate() {
        cumulated += weight(account);
        let (done, begun) = (index as u64 + 1, ends.len() as u64 + 1);
        // As many accounts must be left as shards that follow.
        let full = cumulated * shards >= total * begun || count - done == shards - begun;
        if full && begun < shards {
            ends.push(done);
        }
    }
    ends.push(count);
    ends
}

impl Plan {
    /// Puts the plan into its folder. The same plan may be there already; another one is refused.
    pub fn write(&self, folder: &Path) -> Result<(), StoreFault> {
        let path = folder.join(PLAN_FILE);
        fs::create_dir_all(folder).map_err(|error| StoreFault::Io { path: folder.to_owned(), error })?;
        if path.exists() {
            let there = Self::read(folder)?;
            let same = there.settings == self.settings && there.shards == self.shards;
            if there.identity.run_id == self.identity.run_id && same {
                return Ok(());
            }
            let mut found = there.identity.differences(&self.identity);
            let (there, here) = (&there.settings.attribution, &self.settings.attribution);
            if there != here {
                found.push(format!("attribution {here}, not {there}"));
            }
            if found.is_empty() {
                found.push("divided in another way".to_owned());
            }
            return Err(StoreFault::Foreign {
                path,
                found: format!("another plan ({})", found.join("; ")),
                next: "name a new folder".to_owned(),
            });
        }
        let mut text = serde_json::to_vec_pretty(self).expect("plain fields become JSON");
        text.push(b'\n');
        store::replace(&path, |file| std::io::Write::write_all(file, &text))
    }

    /// Reads the plan of a folder.
    pub fn read(folder: &Path) -> Result<Self, StoreFault> {
        let path = folder.join(PLAN_FILE);
        let bytes = fs::read(&path).map_err(|error| StoreFault::Io { path: path.clone(), error })?;
        let damaged = |found: String| StoreFault::Damaged { path: path.clone(), found };
        let plan: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if (plan.schema.as_str(), plan.schema_version) != (SCHEMA, SCHEMA_VERSION) {
            return Err(damaged(format!("the form {} {}", plan.schema, plan.schema_version)));
        }
        let ascend = plan.shards.iter().all(|part| part.accounts.start <= part.accounts.end);
        let inside =
            |part: &Part| part.accounts.end <= plan.accounts && part.paths.end <= plan.settings.paths;
        if plan.shards.is_empty() || !ascend || !plan.shards.iter().all(inside) {
            return Err(damaged("shards outside the run".to_owned()));
        }
        Ok(plan)
    }

    /// Refuses to work on anything but what was planned.
    pub fn check(&self, folder: &Path, identity: &Identity) -> Result<(), StoreFault> {
        let differences = self.identity.differences(identity);
        if differences.is_empty() {
            return Ok(());
        }
        Err(StoreFault::Foreign {
            path: folder.join(PLAN_FILE),
            found: format!("a plan of something else: now there is {}", differences.join("; ")),
            next: "restore what was planned, or plan again in a new folder".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portfolio::{Account, Holding};

    fn portfolio(sizes: &[usize]) -> Portfolio {
        let holding = Holding { instrument: 0, quantity: 1.0 };
        let account = |&n: &usize| Account { holdings: vec![holding; n], ..Account::default() };
        Portfolio { accounts: sizes.iter().map(account).collect(), instruments: Vec::new() }
    }

    #[test]
    fn parts_cover_everything_once_and_none_is_empty() {
        for sizes in [&[1; 7][..], &[1000, 1, 1, 1, 1, 1, 1], &[1, 1, 1, 1, 1, 1, 1000], &[0; 64]] {
            let book = portfolio(sizes);
            for shards in 1..=7 {
                for by in [By::Accounts, By::Paths] {
                    let paths = 1000;
                    let parts = Part::divide(&book, paths, shards, by).unwrap();
                    assert_eq!(parts.len(), shards as usize);
                    let cells = |part: &Part| {
                        (part.accounts.end - part.accounts.start) * (part.paths.end - part.paths.start)
                    };
                    assert!(parts.iter().all(|part| cells(part) > 0), "{parts:?}");
                    assert_eq!(parts.iter().map(cells).sum::<u64>(), sizes.len() as u64 * paths);
                    assert!(parts.iter().all(|part| part.paths.start.is_multiple_of(64)));
                }
            }
        }
        let book = portfolio(&[1; 3]);
        assert!(matches!(
            Part::divide(&book, 100, 4, By::Accounts),
            Err(PlanFault::TooMany { available: 3, .. })
        ));
        assert!(matches!(
            Part::divide(&book, 100, 3, By::Paths),
            Err(PlanFault::TooMany { available: 2, .. })
        ));
    }

    #[test]
    fn account_shards_have_about_the_same_work() {
        let book = portfolio(&(0..1000).map(|i| i % 40).collect::<Vec<_>>());
        let parts = Part::divide(&book, 64, 7, By::Accounts).unwrap();
        let works = parts.iter().map(|part| part.holdings + 4 * (part.accounts.end - part.accounts.start));
        let works: Vec<u64> = works.collect();
        let (least, most) = (works.iter().min().unwrap(), works.iter().max().unwrap());
        assert!(most - least < 100, "{works:?}");
    }
}
