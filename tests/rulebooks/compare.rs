//! The same books under every architecture.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use shortfall::compare::{self, Compared, Comparison, Estimate, SHORTFALL};
use shortfall::engine::cpu::CpuEngine;
use shortfall::run::{self, Silent};

/// Enough for a pilot, and one block more.
const PATHS: u64 = 8192 + 64;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/compare.yaml")
}

fn read() -> Comparison {
    let mut comparison = compare::read(&file()).unwrap_or_else(|faults| panic!("{faults}"));
    comparison.scenario.simulation.paths = PATHS;
    comparison
}

fn compared(comparison: &Comparison) -> Vec<Compared> {
    let mut engine = CpuEngine::new(comparison.scenario.simulation.precision);
    compare::compare(comparison, &mut engine, &mut Silent).expect("the CPU does not fail")
}

fn margin(compared: &Compared, architecture: &str) -> Result<Estimate, String> {
    let row = compared.rows.iter().find(|row| row.architecture == architecture);
    row.unwrap_or_else(|| panic!("the row {architecture}")).margin.clone()
}

fn account<'a>(all: &'a [Compared], name: &str) -> &'a Compared {
    all.iter().find(|compared| compared.account == name).unwrap_or_else(|| panic!("the account {name}"))
}

#[test]
fn the_simulated_row_is_the_margin_of_a_run() {
    let comparison = read();
    let all = compared(&comparison);
    let mut scenario = comparison.scenario.clone();
    scenario.stresses.clear();
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    let outcome = run::run(&scenario, &mut engine, &mut Silent).expect("it runs");
    let cases = outcome.cases[0].accounts.as_ref().expect("accounts");
    assert_eq!(all.len(), cases.len() + 1);
    for (compared, case) in all.iter().zip(cases) {
        // Same seed, same paths: not close but equal, whatever other accounts are simulated with it.
        let found = margin(compared, SHORTFALL).expect("a margin");
        assert_eq!(found.value, case.maintenance.expected_shortfall, "{}", compared.account);
        assert_eq!(found.error, Some(case.maintenance.expected_shortfall_error));
    }
}

/// Linear books have margins that can be written down.
#[test]
fn rows_of_a_linear_book_are_known() {
    let comparison = read();
    let all = compared(&comparison);
    let book = account(&all, "long-perpetuals");
    let market = &comparison.scenario.market;
    let price = |asset: &str| market.assets[market.asset_index(asset).expect("listed")].perpetual_mark;
    let spot = |asset: &str| market.assets[market.asset_index(asset).expect("listed")].spot;
    // 1,000,000 dollars of BTC, 300 ETH, 5,000 SOL, and 79.4 ETH of collateral. What the inverse
    // perpetual has made since its entry at 75,900 are coins: a debt, as the mark is lower.
    let debt = spot("BTC") * 1e6 * (1.0 / price("BTC") - 1.0 / 75_900.0);
    assert!(debt > 0.0);
    let long = 1e6 + 300.0 * price("ETH") + 5_000.0 * price("SOL") + 79.4 * spot("ETH");
    let close = |found: f64, right: f64| (found - right).abs() <= 1e-9 * right.abs();
    for (name, notional) in [("static", long + debt), ("cross", long - debt)] {
        let found = margin(book, name).expect("a margin").value;
        assert!(close(found, 0.1 * notional), "{name}: {found}");
        assert!(!close(found, 0.1 * notional + 0.1), "negative control");
    }
    // A long book sums what falls together: the scan of 12 % of each asset, and no credit. The coins owed
    // are a spread against the perpetual, at 0.2 %.
    let coins = 1e6 / price("BTC") * spot("BTC") - debt;
    let scan = 0.12 * (coins + 379.4 * spot("ETH") + 5_000.0 * spot("SOL")) + 0.002 * debt;
    let found = margin(book, "span").expect("a margin").value;
    assert!(close(found, scan), "{found} and not {scan}");
    // Twice the range at 35 % is less than the range, three times at 33 % just less: the same figure.
    assert!(close(margin(book, "span-cme").expect("a margin").value, scan));
}

#[test]
fn what_cannot_be_margined_says_why() {
    let all = compared(&read());
    let why = |book: &str, rulebook: &str| margin(account(&all, book), rulebook).expect_err("no margin");
    assert!(why("long-perpetuals", "deribit-pm").contains("SOL"));
    assert!(why("short-strangle", "aevo-pm").contains("BTC"));
    assert!(why("short-strangle", "okx-pm").contains("volatility"));
    assert!(why("short-strangle", "hyperliquid").contains("option"));
    assert!(why("all accounts", "okx-pm").contains("short-strangle"));
}

#[test]
fn offsets_only_help() {
    let all = compared(&read());
    for compared in &all {
        let [whole, isolated] = [SHORTFALL, "isolated"].map(|name| margin(compared, name).expect("a margin"));
        // Expected Shortfall is subadditive, on the same paths exactly but for bins of the tails.
        assert!(whole.value <= isolated.value * 1.001, "{}: {whole:?} {isolated:?}", compared.account);
        for row in &compared.rows {
            let Ok(margin) = &row.margin else { continue };
            assert!(margin.value.is_finite() && margin.value >= 0.0, "{row:?}");
            let right = margin.value / whole.value;
            assert!((row.ratio.expect("a ratio") - right).abs() <= 1e-12 * right, "{row:?}");
        }
    }
    // A basis trade falls by nothing when prices fall: what nets within an asset costs little.
    let basis = account(&all, "basis-trade");
    let [fixed, whole] = ["static", SHORTFALL].map(|name| margin(basis, name).expect("a margin").value);
    assert!(whole < 0.05 * fixed, "{whole} {fixed}");
}

#[test]
fn every_fault_of_a_comparison_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("c.yaml");
    let text = std::fs::read_to_string(file()).expect("the shipped file");
    let scenarios = file().parent().expect("a folder").display().to_string();
    let text = text
        .replace("scenario: quickstart.yaml", &format!("scenario: {scenarios}/quickstart.yaml"))
        .replace("crises: market", &format!("crises: {scenarios}/market"))
        .replace("static_rate: 10%", "static_rate: much")
        .replace("accounts: [market-maker", "accounts: [nobody")
        .replace("okx-pm: {}", "okx: {}")
        .replace("paradex-pm: {}", "paradex-pm: {mood: 1}")
        .replace("history/crypto_daily.csv", "no-such.csv");
    std::fs::write(&path, text).expect("written");
    let faults = compare::read(&path).expect_err("faults").to_string();
    for part in
        ["accounts[0]", "static_rate", "no-such.csv", "no rulebook `okx`", "rulebooks.paradex-pm.mood"]
    {
        assert!(faults.contains(part), "{part} in {faults}");
    }
    assert!(faults.starts_with("5 faults"), "{faults}");
}

#[test]
fn the_command_prints_a_table_json_and_charts() {
    let folder = tempfile::tempdir().expect("a folder");
    let plots = folder.path().join("charts");
    let mut command = Command::cargo_bin("shortfall").expect("the binary");
    command
        .args(["compare", "--json", "--device", "cpu", "--paths", "8256", "--plots"])
        .arg(&plots)
        .arg(file());
    let output = command.output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let rows = document["accounts"][0]["architectures"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["margin"].is_number() != row["why_not"].is_string()), "{rows:?}");
    let charts = std::fs::read_dir(&plots).expect("the folder").count();
    assert_eq!(charts, document["accounts"].as_array().expect("accounts").len());
}
