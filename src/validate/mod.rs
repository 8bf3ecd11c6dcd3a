//! Checks of the engine against what is known without it: other engines on the same paths, and
//! closed forms.

mod fixture;
pub mod pack;
mod pricer;
pub mod prices;
mod scenario;

pub use pricer::EnginePricer;
pub use scenario::{Subject, validate};

use serde::Serialize;

/// One comparison: a measured error and the bound that it must keep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What is compared.
    pub name: String,
    /// How many values were compared.
    pub values: u64,
    /// The largest error, or the number of differing values.
    pub measured: f64,
    /// What `measured` must not exceed.
    pub bound: f64,
    /// Unit of both: `values that differ`, `standard errors`, …
    pub unit: String,
    /// Where the largest error is, or why the comparison was not made.
    pub note: String,
    /// How it ended.
    pub verdict: Verdict,
}

/// How a comparison ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Within the bound.
    Pass,
    /// Beyond the bound.
    Miss,
    /// Not made; the note says why.
    Skipped,
}

impl Check {
    /// A comparison that was made. A NaN is a miss.
    pub fn new(name: &str, values: u64, measured: f64, bound: f64, unit: &str, note: String) -> Self {
        let verdict = if measured <= bound { Verdict::Pass } else { Verdict::Miss };
        Self { name: name.to_owned(), values, measured, bound, unit: unit.to_owned(), note, verdict }
    }

    /// A comparison that broke off: a miss, with the reason.
    pub fn failed(name: &str, why: String) -> Self {
        Self { verdict: Verdict::Miss, measured: f64::NAN, ..Self::skipped(name, why) }
    }

    /// A comparison that could not be made.
    pub fn skipped(name: &str, why: String) -> Self {
        let verdict = Verdict::Skipped;
        Self {
            name: name.to_owned(),
            values: 0,
            measured: 0.0,
            bound: 0.0,
            unit: String::new(),
            note: why,
            verdict,
        }
    }
}
