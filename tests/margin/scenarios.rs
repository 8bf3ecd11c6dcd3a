//! Scenarios that declare margin rules, from their file to the report.

use std::path::{Path, PathBuf};

use shortfall::engine::cpu::CpuEngine;
use shortfall::margin::{Charge, Line, Margin};
use shortfall::run::{self, Outcome, Silent};
use shortfall::scenario::{self, Scenario};

const PATHS: u64 = 8192;

fn read(edit: impl Fn(String) -> String) -> Result<Scenario, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let text = std::fs::read_to_string(folder.join("margins.yaml")).expect("part of the project");
    // Paths are relative to the file.
    let text = text.replace("margins/", &format!("{}/margins/", folder.display()));
    let place = tempfile::tempdir().expect("a folder");
    let path: PathBuf = place.path().join("scenario.yaml");
    std::fs::write(&path, edit(text)).expect("a file");
    let mut scenario = scenario::read(&path).map_err(|faults| faults.to_string())?;
    scenario.simulation.paths = PATHS;
    Ok(scenario)
}

fn run(scenario: &Scenario) -> Outcome {
    run::run(scenario, &mut CpuEngine::new(scenario.simulation.precision), &mut Silent).expect("no device")
}

fn margin_of<'a>(scenario: &Scenario, outcome: &'a Outcome, case: usize, account: &str) -> &'a Margin {
    let accounts = outcome.cases[case].accounts.as_ref().expect("it ran");
    &accounts.iter().find(|a| scenario.portfolio.accounts[a.account].name == account).expect(account).margin
}

#[test]
fn every_component_shows_where_it_belongs() {
    let scenario = read(|text| text).unwrap();
    let outcome = run(&scenario);
    let line = |account, line| margin_of(&scenario, &outcome, 0, account).maintenance_lines.get(line);
    for (account, expected) in [
        ("carry", Line::Basis),
        ("carry", Line::Stablecoin),
        ("far-strangle", Line::ShortOptionMinimum),
        ("far-strangle", Line::ErrorAllowance),
        ("foundation", Line::WrongWay),
        ("long-coin", Line::WrongWay),
        ("whale", Line::LiquidationHorizon),
        ("whale", Line::LiquidationCost),
        ("whale", Line::Oracle),
        ("whale", Line::StressedWeight),
        ("whale", Line::ProcyclicalityBuffer),
    ] {
        assert!(line(account, expected) > 0.0, "{account}: {}", expected.name());
    }
    // 40,000 coins of SOL less 15 %.
    assert!((line("foundation", Line::WrongWay) - 40_000.0 * 92.1748 * 0.85).abs() < 1e-6);
    // Half of the coins that it is long of beside its collateral: 4,000,000 against 20 BTC.
    assert!((line("long-coin", Line::WrongWay) - 0.1 * 20.0 * 73_104.95).abs() < 1e-6);
    assert_eq!(line("whale", Line::WrongWay), 0.0);
    assert_eq!(line("whale", Line::Stablecoin), 0.0);
    // 5 % of 300,000 tether.
    assert!((line("carry", Line::Stablecoin) - 15_000.0).abs() < 1e-9);
    // Every margin is the sum of its lines, in every case.
    for (case, result) in outcome.cases.iter().enumerate() {
        for account in result.accounts.as_ref().expect("it ran") {
            let margin = &account.margin;
            assert_eq!(margin.maintenance_margin, margin.maintenance_lines.total(), "case {case}");
            assert_eq!(margin.initial_margin, margin.initial_lines.total(), "case {case}");
        }
    }
}

#[test]
fn stressed_cases_have_the_weight_that_the_rules_give_them() {
    let scenario = read(|text| text).unwrap();
    let outcome = run(&scenario);
    let shortfall = |case: usize| {
        outcome.cases[case].accounts.as_ref().expect("it ran")[4].maintenance.expected_shortfall
    };
    let whale = margin_of(&scenario, &outcome, 0, "whale");
    let [base, stressed, lookback] = [shortfall(0), shortfall(1), shortfall(2)];
    let lines = whale.maintenance_lines;
    let close = |found: f64, wanted: f64| (found - wanted).abs() <= 1e-9 * wanted.abs();
    assert!(close(lines.get(Line::StressedWeight), 0.25 * (stressed - base)));
    assert!(!close(lines.get(Line::StressedWeight), 0.5 * (stressed - base)), "negative control");
    // Under the stress itself there is no more to weigh.
    assert_eq!(margin_of(&scenario, &outcome, 1, "whale").maintenance_lines.get(Line::StressedWeight), 0.0);
    // The lookback asks for less than what stands already, until the stressed weight is gone.
    assert_eq!(lines.get(Line::LookbackFloor), 0.0);
    let mut without = scenario.clone();
    without.margin.add_ons.stressed = None;
    without.margin.charge = Charge::Estimate;
    let outcome = run(&without);
    let lines = margin_of(&without, &outcome, 0, "whale").maintenance_lines;
    assert!(close(base + lines.get(Line::LookbackFloor), lookback) && lookback > base);
}

#[test]
fn a_tolerance_and_an_upper_bound_go_together() {
    let mut scenario = read(|text| text).unwrap();
    scenario.stresses.clear();
    scenario.margin.add_ons = Default::default();
    scenario.simulation.paths = 1 << 20;
    scenario.simulation.tolerance = Some(0.03);
    let outcome = run(&scenario);
    assert!(outcome.cases[0].paths < 1 << 20);
    for account in outcome.cases[0].accounts.as_ref().expect("it ran") {
        let allowance = account.margin.maintenance_lines.get(Line::ErrorAllowance);
        assert!(allowance <= 1.645 * 0.03 * account.maintenance.expected_shortfall.abs());
        assert!(allowance > 0.0);
    }
}

#[test]
fn money_in_coins_is_the_same_money() {
    let dollars = read(|text| text).unwrap();
    let coins = read(|text| text.replace("margin:\n", "reporting_currency: BTC\nmargin:\n")).unwrap();
    let line = |scenario: &Scenario, line| {
        margin_of(scenario, &run(scenario), 0, "whale").maintenance_lines.get(line)
    };
    for which in [Line::LiquidationCost, Line::LiquidationHorizon, Line::Oracle, Line::Basis] {
        let (usd, btc) = (line(&dollars, which), line(&coins, which));
        assert!((btc * 73_104.95 - usd).abs() <= 1e-9 * usd, "{}: {usd} {btc}", which.name());
    }
}

#[test]
fn old_scenarios_have_expected_shortfall_alone() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenario = scenario::read(&folder.join("quickstart.yaml")).unwrap();
    scenario.simulation.paths = PATHS;
    scenario.stresses.clear();
    for account in run(&scenario).cases[0].accounts.as_ref().expect("it ran") {
        assert_eq!(account.margin.maintenance_margin, account.maintenance.expected_shortfall.max(0.0));
        let of = account.initial.expected_shortfall.max(account.margin.maintenance_margin);
        assert_eq!(account.margin.initial_margin, of);
    }
}

#[test]
fn faults_name_their_place() {
    for (from, to, wanted) in [
        ("level: 0.6", "level: 1.6", "margin.anti_procyclicality.buffer.level: found 1.6"),
        ("effective: 2026-01-15", "effective: 2026-03-01", "rules that hold from 2026-03-01"),
        ("effective: 2026-01-15", "effective: 15.1.2026", "margin.effective"),
        ("{case: ten years}", "{case: eleven years}", "the unknown stress `eleven years`"),
        ("{foundation: SOL}", "{nobody: SOL}", "the unknown account `nobody`"),
        ("{foundation: SOL}", "{foundation: FTT}", "margin.wrong_way.own_tokens.foundation"),
        ("  charge_confidence: 0.95\n", "", "charge: upper_bound alone"),
        ("charge: upper_bound ", "charge: lower_bound ", "margin.charge"),
        ("participation: 0.1", "participation: 0", "margin.liquidation.participation"),
        ("participation: 0.1", "participation: .nan", "margin.liquidation.participation"),
        ("USDC: 0.02", "USDC: -0.02", "margin.stablecoins.USDC"),
        ("USDC: 0.02", "DAI: 0.02", "the unknown key `DAI`"),
        ("total_volatility: {BTC: 0.67", "total_volatility: {BTC: 21", "total_volatility.BTC"),
    ] {
        let faults = read(|text| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
        .expect_err(to);
        assert!(faults.contains(wanted), "{to}: {faults}");
    }
    // Rules that need to know how assets trade, on a market that does not say so.
    let market = "margins/market.yaml";
    let faults =
        read(|text| text.replace(market, "market/quickstart/market.yaml")).expect_err("no liquidity");
    assert!(faults.contains("assets without `liquidity`: BTC, ETH, SOL"), "{faults}");
    assert!(faults.contains("assets without `oracle`: BTC, ETH, SOL"), "{faults}");
}
