//! Reference tables of `tests/data`, the shipped histories, and the raw ones where they are at hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use shortfall::calibrate::history::{self, History};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Rows of a table of `tests/data` by column; it must have some.
pub fn table(name: &str) -> Vec<HashMap<String, String>> {
    rows(&root().join("tests/data").join(name))
}

pub fn rows(path: &Path) -> Vec<HashMap<String, String>> {
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(path).expect("a table");
    let header = reader.headers().expect("a header").clone();
    let named = |record: csv::StringRecord| {
        header.iter().zip(record.iter()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    };
    let rows: Vec<_> = reader.records().map(|record| named(record.expect("a row"))).collect();
    assert!(!rows.is_empty(), "{} has no rows", path.display());
    rows
}

pub fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column}: {}", row[column]))
}

/// The folder of raw histories, if there is one.
pub fn raw(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SHORTFALL_DATA").map(PathBuf::from);
    if folder.is_none() {
        println!("{test} skipped: SHORTFALL_DATA names no folder of raw histories");
    }
    folder
}

/// A shipped history.
pub fn shipped(name: &str) -> History {
    history::read(&[root().join("scenarios/history").join(name)]).expect("a shipped history")
}

pub fn assert_near(found: f64, expected: f64, relative: f64, absolute: f64, what: &str) {
    let allowed = relative * expected.abs() + absolute;
    assert!((found - expected).abs() <= allowed, "{what}: {found}, expected {expected} ± {allowed}");
}

/// A compressed file of the raw histories, unpacked into a folder of its own.
pub fn unpacked(path: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let name = path.file_stem().expect("a file name");
    let output = std::process::Command::new("gzip").arg("-dc").arg(path).output().expect("gzip");
    assert!(output.status.success(), "{}", path.display());
    std::fs::write(folder.path().join(name), output.stdout).expect("a file");
    folder
}
