//! The rulebooks that come with the program, and those of the user.

use std::path::Path;

use jiff::civil::Date;

use super::{Rulebook, read};
use crate::fault::{Fault, Faults};

/// Largest rulebook, in bytes.
const MAX_BYTES: u64 = 4 << 20;

macro_rules! shelf {
    ($($name:literal $date:literal;)*) => {
        /// Shipped rulebooks: name, effective date, text; the earlier version of a name first.
        const SHELF: &[(&str, &str, &str)] = &[$((
            $name,
            $date,
            include_str!(concat!("../../scenarios/rulebooks/", $name, "/", $date, ".yaml")),
        ),)*];
    };
}

shelf! {
    "aevo-pm" "2025-01-01";
    "deribit-pm" "2024-06-17";
    "deribit-pm" "2026-02-01";
    "deribit-sm" "2024-06-17";
    "derive-pm2" "2026-01-15";
    "derive-pm2-cases" "2026-01-15";
    "dydx-v4" "2025-01-01";
    "hyperliquid" "2025-01-01";
    "okx-pm" "2025-01-01";
    "paradex-pm" "2025-07-01";
    "paradex-pm" "2026-08-01";
    "span" "2000-01-01";
    "span-cme" "2000-01-01";
    "synthetix-v3" "2024-01-01";
}

/// Why there is no rulebook of a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShelfFault {
    /// Not a shipped name, not a file.
    #[error("no rulebook `{name}`: there are {}, or give the path of a file", known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Shipped names.
        known: Vec<&'static str>,
    },
    /// No version is in force then.
    #[error("{name} is not in force on {as_of}: its first version is of {first}")]
    NotYet {
        /// Its name.
        name: String,
        /// The day asked for.
        as_of: Date,
        /// When it starts.
        first: String,
    },
    /// The file is wrong.
    #[error("{0}")]
    File(#[from] Faults),
}

/// Names of the shipped rulebooks, each with its effective dates.
pub fn names() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut names: Vec<(&str, Vec<&str>)> = Vec::new();
    for (name, date, _) in SHELF {
        match names.last_mut() {
            Some((last, dates)) if last == name => dates.push(date),
            _ => names.push((name, vec![date])),
        }
    }
    names
}

/// The rulebook of a shipped name, or of a path: anything with a `/`, or ending in `.yaml`. Of a
/// shipped name the version in force on `as_of`, the latest without it.
///
/// # Errors
/// An unknown name, a day before the first version, or the faults of a file.
pub fn open(name: &str, as_of: Option<Date>) -> Result<Rulebook, ShelfFault> {
    if name.contains('/') || name.ends_with(".yaml") {
        let rulebook = read(name, &read_file(Path::new(name))?)?;
        return in_force(rulebook, as_of);
    }
    let versions = SHELF.iter().filter(|(known, ..)| *known == name);
    // Dates written as 2026-01-15 are in the order of their text.
    let asked = as_of.map(|date| date.to_string());
    let right =
        versions.clone().rfind(|(_, date, _)| asked.as_ref().is_none_or(|asked| *date <= asked.as_str()));
    match (right, versions.clone().next(), as_of) {
        (Some((_, date, text)), ..) => Ok(read(&format!("{name}/{date}.yaml"), text)?),
        (None, Some((_, first, _)), Some(as_of)) => {
            Err(ShelfFault::NotYet { name: name.to_owned(), as_of, first: (*first).to_owned() })
        }
        _ => {
            let known = names().into_iter().map(|(name, _)| name).collect();
            Err(ShelfFault::Unknown { name: name.to_owned(), known })
        }
    }
}

fn in_force(rulebook: Rulebook, as_of: Option<Date>) -> Result<Rulebook, ShelfFault> {
    match as_of {
        Some(as_of) if as_of < rulebook.effective => {
            Err(ShelfFault::NotYet { name: rulebook.name, as_of, first: rulebook.effective.to_string() })
        }
        _ => Ok(rulebook),
    }
}

/// The text of a file of at most 4 MiB: rulebooks and books are small.
pub fn read_file(path: &Path) -> Result<String, Faults> {
    let fault = |found: String, expected: &str| Fault::of_file(path.display(), found, expected);
    let size = std::fs::metadata(path).map_err(|error| fault(error.to_string(), "a readable file"))?.len();
    if size > MAX_BYTES {
        return Err(fault(format!("a file of {size} bytes"), "at most 4 MiB").into());
    }
    Ok(std::fs::read_to_string(path).map_err(|error| fault(error.to_string(), "UTF-8 text"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_rulebook_reads_and_says_who_it_is() {
        for (name, date, text) in SHELF {
            let rulebook = read(name, text).unwrap_or_else(|faults| panic!("{name} {date}: {faults}"));
            assert_eq!((rulebook.name.as_str(), rulebook.effective.to_string().as_str()), (*name, *date));
        }
    }

    #[test]
    fn the_version_in_force_is_taken() {
        let on = |date: &str| open("deribit-pm", Some(date.parse().unwrap()));
        assert_eq!(on("2026-01-31").unwrap().effective.to_string(), "2024-06-17");
        assert_eq!(on("2026-02-01").unwrap().effective.to_string(), "2026-02-01");
        assert!(matches!(on("2020-01-01"), Err(ShelfFault::NotYet { .. })));
        assert!(matches!(open("deribit", None), Err(ShelfFault::Unknown { .. })));
        assert!(matches!(open("no/such.yaml", None), Err(ShelfFault::File(_))));
    }
}
