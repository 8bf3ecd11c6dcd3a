//! Components add up to the reported Expected Shortfall, whatever the book, level, case and unit.

use shortfall::attribution::LevelAttribution;
use shortfall::report::{Document, attribution as report, manifest::Started};
use shortfall::run::AccountCase;
use shortfall::scenario::Selection;
use shortfall::scenario::{self, Precision, Scenario};

use super::book::{accounts, attribution, moved, run, scenario, sums};

/// Rounding of sums in f64, relative to the money that moves.
const SUMS: f64 = 1e-9;
/// What the one-pass estimate may miss by the interpolation in its bin, in standard errors. The
/// pilot's bracket is ten standard deviations of its order statistic wide, in 62 bins; with as few
/// paths as here a bin is a sixth of a standard error of the Value at Risk, of which the tail's
/// mean sees a fraction.
const INTERPOLATION: f64 = 0.1;
/// Rounding of an account's profit to f32, relative to the money that moves.
const F32: f64 = 2e-6;

fn all_add_up(account: &AccountCase) -> Result<(), String> {
    let attribution = attribution(account);
    let pairs = [(&account.maintenance, &attribution.maintenance), (&account.initial, &attribution.initial)];
    for (estimate, level) in pairs {
        let reported = estimate.expected_shortfall;
        for (list, sum) in sums(level).into_iter().enumerate() {
            if !((sum - reported).abs() <= SUMS * (moved(level) + reported.abs())) {
                return Err(format!("list {list}: {sum} instead of {reported}"));
            }
        }
        let error = estimate.expected_shortfall_error;
        if !(level.remainder.abs() <= INTERPOLATION * error + F32 * moved(level)) {
            return Err(format!("a remainder of {} in {reported}", level.remainder));
        }
    }
    Ok(())
}

fn check(scenario: &Scenario) {
    let outcome = run(scenario);
    for case in 0..outcome.cases.len() {
        let accounts = accounts(&outcome, case);
        assert!(!accounts.is_empty());
        for account in accounts {
            all_add_up(account).unwrap_or_else(|fault| {
                panic!(
                    "{} {}: {fault}",
                    outcome.cases[case].name, scenario.portfolio.accounts[account.account].name
                )
            });
        }
    }
}

#[test]
fn every_account_of_the_night_adds_up() {
    let scenario = scenario("scenarios/nightly.yaml", 20_000);
    assert_eq!(scenario.portfolio.accounts.len(), 40);
    check(&scenario);
}

#[test]
fn books_add_up_under_stress_in_coins_and_in_f64() {
    let mut stressed = scenario("scenarios/quickstart.yaml", 10_000);
    stressed.stresses = scenario::read("scenarios/quickstart.yaml".as_ref()).unwrap().stresses;
    assert!(!stressed.stresses.is_empty());
    check(&stressed);
    let mut coins = scenario("scenarios/quickstart.yaml", 10_000);
    coins.reporting_asset = Some(0);
    check(&coins);
    let mut doubles = scenario("scenarios/quickstart.yaml", 10_000);
    doubles.simulation.precision = Precision::F64;
    check(&doubles);
    let mut few = scenario("scenarios/quickstart.yaml", 345);
    few.simulation.seed = 3;
    check(&few);
}

#[test]
fn a_wrong_component_is_noticed() {
    let outcome = run(&scenario("scenarios/quickstart.yaml", 10_000));
    let right = &accounts(&outcome, 0)[0];
    all_add_up(right).unwrap();
    let spoil = |change: &dyn Fn(&mut LevelAttribution)| {
        let mut wrong = right.clone();
        change(&mut wrong.attribution.as_mut().unwrap().initial);
        all_add_up(&wrong)
    };
    assert!(spoil(&|level| level.by_greek[0].1.expected_shortfall *= 1.0 + 1e-6).is_err());
    assert!(spoil(&|level| level.by_asset[0].1.expected_shortfall *= -1.0).is_err());
    assert!(spoil(&|level| level.by_expiry.truncate(1)).is_err());
    assert!(spoil(&|level| level.by_position[0].by_greek[0] += 1.0).is_err());
    assert!(
        spoil(&|level| {
            let part = 0.1 * level.by_position[0].component.expected_shortfall;
            level.by_position[0].component.expected_shortfall -= part;
            level.remainder += part;
        })
        .is_err()
    );
}

#[test]
fn files_hold_the_selected_accounts_and_add_up() {
    let mut scenario = scenario("scenarios/quickstart.yaml", 10_000);
    scenario.attribution = Selection::Top(2);
    let started = Started::now(&scenario).unwrap();
    let outcome = run(&scenario);
    let document = Document::new(&scenario, &outcome, started.finish(&scenario, &outcome, None));
    let mut by_size: Vec<f64> =
        document.cases[0].accounts.iter().map(|a| a.maintenance.expected_shortfall).collect();
    by_size.sort_by(|a, b| b.total_cmp(a));
    let selected: Vec<_> = document.cases[0].accounts.iter().filter(|a| a.attribution.is_some()).collect();
    assert_eq!(selected.len(), 2);
    assert!(selected.iter().all(|account| account.maintenance.expected_shortfall >= by_size[1]));

    let mut components = Vec::new();
    report::write_components(&document, &mut components).unwrap();
    let mut reader = csv::Reader::from_reader(components.as_slice());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    for account in &selected {
        let levels = [("maintenance", &account.maintenance), ("initial", &account.initial)];
        for (level, tail) in levels {
            for by in ["position", "asset", "expiry", "greek"] {
                let wanted = [account.account.as_str(), level, by];
                let own = rows.iter().filter(|row| [&row[1], &row[2], &row[3]] == wanted);
                let parts: Vec<f64> = own.map(|row| row[5].parse().unwrap()).collect();
                assert!(parts.len() >= 2, "{wanted:?}");
                let (sum, size) = (parts.iter().sum::<f64>(), parts.iter().map(|x| x.abs()).sum::<f64>());
                assert!((sum - tail.expected_shortfall).abs() <= SUMS * size, "{wanted:?}: {sum}");
            }
        }
    }
    let mut paths = Vec::new();
    report::write_worst_paths(&document, &mut paths).unwrap();
    let mut reader = csv::Reader::from_reader(paths.as_slice());
    let losses: Vec<(String, u32, f64)> = reader
        .records()
        .map(Result::unwrap)
        .map(|row| (row[1].to_owned(), row[2].parse().unwrap(), row[4].parse().unwrap()))
        .collect();
    for account in &selected {
        let own: Vec<_> = losses.iter().filter(|row| row.0 == account.account).collect();
        assert_eq!(own.iter().map(|row| row.1).max(), Some(10));
        assert!(own.is_sorted_by(|a, b| a.2 >= b.2));
    }
    let json: serde_json::Value = serde_json::from_str(&document.to_json()).unwrap();
    let of_json = json["cases"][0]["accounts"].as_array().unwrap();
    assert_eq!(of_json.iter().filter(|account| account.get("worst_paths").is_some()).count(), 2);
}
