//! Reference tables of `tests/data`, the shipped histories, and the raw ones where they are at hand.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use shortfall::calibrate::history::{self, History};

/// The program, run in a folder.
pub fn shortfall(arguments: &[&str], folder: &Path) -> std::process::Output {
    Command::cargo_bin("shortfall").unwrap().args(arguments).current_dir(folder).output().unwrap()
}

/// Runs one unit of a perpetual on a market file, in so many steps of a day.
pub fn run_on(market: &str, perpetual: &str, usd: f64, steps: u32, folder: &Path) {
    let scenario = format!(
        "name: calibrated\nmarket: {market}\nportfolio: {{positions: p.csv, balances: b.csv}}\n\
         simulation: {{paths: 4096, seed: 1, steps: {steps}, device: cpu}}\nreporting_currency: USD\n\
         margin: {{maintenance: {{confidence: 0.99, horizon: 1d}}, initial: {{confidence: 0.99, horizon: 1d}}}}\n"
    );
    std::fs::write(folder.join("s.yaml"), scenario).unwrap();
    std::fs::write(folder.join("p.csv"), format!("account,instrument,quantity\na,{perpetual},1\n")).unwrap();
    std::fs::write(folder.join("b.csv"), format!("account,asset,amount\na,USD,{usd}\n")).unwrap();
    let output = shortfall(&["run", "s.yaml"], folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

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
