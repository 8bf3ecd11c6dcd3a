//! Which accounts are attributed.

use std::fmt;

use crate::portfolio::Portfolio;
use crate::units;

/// What a selection may be.
pub const SELECTION: &str =
    "none, all, an account or several (mm-1,mm-2), top:N by Expected Shortfall, or above:AMOUNT of it";

/// Accounts whose Expected Shortfall is taken apart, in every case of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Selection {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those of these names.
    Names(Vec<String>),
    /// So many with the largest Expected Shortfall at the maintenance level of the case.
    Top(usize),
    /// Those with an Expected Shortfall above this amount of the reporting currency.
    Above(f64),
}

impl Selection {
    /// Reads what [`SELECTION`] says; whether names exist is for [`Selection::unknown`].
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match (text, text.split_once(':')) {
            ("none", _) => Some(Self::None),
            ("all", _) => Some(Self::All),
            (_, Some(("top", count))) => count.trim().parse().ok().filter(|count| *count > 0).map(Self::Top),
            (_, Some(("above", amount))) => units::finite(amount).map(Self::Above),
            _ => {
                let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
                names.iter().all(|name| !name.is_empty()).then_some(Self::Names(names))
            }
        }
    }

    /// The first name that no account has.
    pub fn unknown(&self, portfolio: &Portfolio) -> Option<&str> {
        let Self::Names(names) = self else { return None };
        let known = |name: &&String| portfolio.accounts.iter().any(|account| account.name == **name);
        names.iter().find(|name| !known(name)).map(String::as_str)
    }

    /// Indices of the accounts, ascending; `shortfall` gives the Expected Shortfall of one.
    pub fn accounts(&self, portfolio: &Portfolio, shortfall: impl Fn(usize) -> f64) -> Vec<usize> {
        let mut all: Vec<usize> = (0..portfolio.accounts.len()).collect();
        match self {
            Self::None => all.clear(),
            Self::All => {}
            Self::Names(names) => all.retain(|&account| names.contains(&portfolio.accounts[account].name)),
            Self::Top(count) => {
                all.sort_by(|&a, &b| shortfall(b).total_cmp(&shortfall(a)).then(a.cmp(&b)));
                all.truncate(*count);
                all.sort_unstable();
            }
            Self::Above(amount) => all.retain(|&account| shortfall(account) > *amount),
        }
        all
    }
}

/// As [`Selection::parse`] reads it.
impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::Names(names) => f.write_str(&names.join(",")),
            Self::Top(count) => write!(f, "top:{count}"),
            Self::Above(amount) => write!(f, "above:{amount:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::portfolio::Account;

    #[test]
    fn selections_read_and_pick() {
        let account = |name: &str| Account { name: name.to_owned(), ..Account::default() };
        let portfolio =
            Portfolio { accounts: ["a", "b", "c"].map(account).to_vec(), instruments: Vec::new() };
        let shortfall = |account: usize| [5.0, 9.0, 9.0][account];
        for (text, expected) in [
            ("none", vec![]),
            ("all", vec![0, 1, 2]),
            (" c, a", vec![0, 2]),
            ("top:1", vec![1]),
            ("top:2", vec![1, 2]),
            ("top:9", vec![0, 1, 2]),
            ("above:5", vec![1, 2]),
            ("above:-1", vec![0, 1, 2]),
        ] {
            let selection = Selection::parse(text).unwrap();
            assert_eq!(selection.unknown(&portfolio), None);
            assert_eq!(Selection::parse(&selection.to_string()), Some(selection.clone()));
            assert_eq!(selection.accounts(&portfolio, shortfall), expected, "{text}");
        }
        for bad in ["", "a,,b", "top:0", "top:x", "above:nan", "above:"] {
            assert_eq!(Selection::parse(bad), None, "{bad}");
        }
        assert_eq!(Selection::parse("a,x").unwrap().unknown(&portfolio), Some("x"));
    }
}
