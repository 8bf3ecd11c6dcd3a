//! The record of a finished shard: written last, so that a record means that its tails are there.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Part, store};
use crate::engine::DeviceReport;
use crate::run::StoreFault;

/// Name of the record's form.
pub const SCHEMA: &str = "shortfall.shard";
/// Grows when a field changes its meaning or goes.
pub const SCHEMA_VERSION: u32 = 1;

/// What a shard has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// `shortfall.shard`.
    pub schema: String,
    /// Version of the form.
    pub schema_version: u32,
    /// The run that it belongs to.
    pub run_id: String,
    /// Its index in the plan.
    pub index: u32,
    /// Its accounts, as indices into the portfolio.
    pub accounts: Range<u64>,
    /// Its paths.
    pub paths: Range<u64>,
    /// Tails in its files.
    pub rows: u64,
    /// Its cases.
    pub cases: Vec<CaseRecord>,
    /// What it ran on.
    pub device: DeviceReport,
    /// Wall time.
    pub seconds: f64,
}

/// One case of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseRecord {
    /// Its name.
    pub name: String,
    /// Hash at the end of its tails; `null` for a case without a result.
    pub tails_blake3: Option<String>,
}

impl Record {
    /// File of a shard's record.
    pub fn path(folder: &Path, part: &Part) -> PathBuf {
        folder.join(format!("{}.json", part.stem()))
    }

    /// Puts the record into its place.
    pub fn write(&self, folder: &Path, part: &Part) -> Result<(), StoreFault> {
        let mut text = serde_json::to_vec_pretty(self).expect("plain fields become JSON");
        text.push(b'\n');
        store::replace(&Self::path(folder, part), |file| file.write_all(&text))
    }

    /// The record of a shard, if it is finished; one of another run or another part is refused.
    pub fn read(folder: &Path, part: &Part, run_id: &str) -> Result<Option<Self>, StoreFault> {
        let path = Self::path(folder, part);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreFault::Io { path, error }),
        };
        let damaged = |found: String| StoreFault::Damaged { path: path.clone(), found };
        let record: Self = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if (record.schema.as_str(), record.schema_version) != (SCHEMA, SCHEMA_VERSION) {
            return Err(damaged(format!("the form {} {}", record.schema, record.schema_version)));
        }
        let here = (record.index, &record.accounts, &record.paths);
        let found = if record.run_id != run_id {
            format!("the record of another run ({}, not {run_id})", record.run_id)
        } else if here != (part.index, &part.accounts, &part.paths) {
            "the record of another shard".to_owned()
        } else {
            return Ok(Some(record));
        };
        let next = format!("remove it and run shard {} again", part.index);
        Err(StoreFault::Foreign { path, found, next })
    }
}
