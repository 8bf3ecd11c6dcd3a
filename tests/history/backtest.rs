//! Backtests: no look into the future, known figures, the shipped histories, and the command.

use std::path::Path;

use shortfall::backtest::model::Model;
use shortfall::backtest::tune::{Setting, tune};
use shortfall::backtest::walk::{Track, walk};
use shortfall::backtest::{self, Backtest};
use shortfall::calibrate::history::day;
use shortfall::margin::procyclicality::Measures;

use crate::data::{assert_near, number, root, shortfall, table};

/// Two years of BTC and ETH from the shipped history, every model, linear and option books.
const SMALL: &str = "name: small
history: h.csv
confidence: 0.975
lookback: 250
refit: 60
models: [historical, ewma-fhs, gjr-fhs, ewma-t, ewma-normal, monte-carlo]
horizons: [1, 5]
paths: 2000
volatility: {forecaster: mean, floor: 0.5}
books:
  - {name: long, positions: {BTC: 1}}
  - {name: pair, positions: {ETH: 1, BTC: -0.5}}
  - {name: straddle, options: [{asset: BTC, kind: call, days: 30, quantity: -1}, {asset: BTC, kind: put, days: 30, quantity: -1}]}
crises: [{name: March 2020, from: 2020-03-08, to: 2020-03-16}]
";

/// `SMALL` on the first `days` of the shipped prices, each multiplied by `factor` of its row.
fn small(folder: &Path, days: usize, factor: impl Fn(usize) -> f64) -> Backtest {
    let text = std::fs::read_to_string(root().join("scenarios/history/crypto_daily.csv")).unwrap();
    let mut kept = "date,BTC,ETH\n".to_owned();
    for (row, line) in text.lines().skip(1).take(days).enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let price = |cell: &str| cell.parse::<f64>().unwrap() * factor(row);
        kept += &format!("{},{},{}\n", cells[0], price(cells[1]), price(cells[2]));
    }
    std::fs::write(folder.join("h.csv"), kept).unwrap();
    std::fs::write(folder.join("b.yaml"), SMALL).unwrap();
    backtest::read(&folder.join("b.yaml")).unwrap()
}

fn tracks(backtest: &Backtest) -> Vec<Track> {
    walk(backtest, &mut |_, _| {})
}

#[test]
fn a_jump_to_come_moves_no_earlier_figure_by_a_bit() {
    const DAYS: usize = 830;
    const JUMP: usize = 700;
    let folder = tempfile::tempdir().unwrap();
    let calm = small(folder.path(), DAYS, |_| 1.0);
    let crash = small(folder.path(), DAYS, |row| if row >= JUMP { 0.4 } else { 1.0 });
    let short = small(folder.path(), JUMP, |_| 1.0);
    let date = day(calm.history.times[JUMP]);
    let (calm, crash, short) = (tracks(&calm), tracks(&crash), tracks(&short));
    // Six models, three books, two horizons.
    assert_eq!(calm.len(), 36);
    for ((calm, crash), short) in calm.iter().zip(&crash).zip(&short) {
        // Losses over several days that reach into the crash know of it; the forecasts do not.
        let reach = calm.horizon - 1;
        let before = |track: &Track| track.days.iter().filter(|d| d.date < date).copied().collect::<Vec<_>>();
        let what = format!("{} {} {}", calm.book, calm.horizon, calm.model.name());
        assert!(before(calm).len() > 300, "{what}");
        let known = before(calm).len() - reach;
        assert_eq!(before(calm)[..known], before(crash)[..known], "{what}");
        assert_eq!(before(calm)[..known], short.days, "{what}");
        let forecasts = |track: &Track| -> Vec<_> {
            before(track).iter().map(|d| (d.value_at_risk, d.expected_shortfall, d.standard_error)).collect()
        };
        assert_eq!(forecasts(calm), forecasts(crash), "{what}");
        let on = |track: &Track| *track.days.iter().find(|d| d.date == date).unwrap();
        // The forecast for the day of the jump is the same; its loss is not.
        assert_eq!((on(calm).value_at_risk, on(calm).margin), (on(crash).value_at_risk, on(crash).margin));
        assert!((on(calm).loss - on(crash).loss).abs() > 0.01);
        // And the days after it know of it, or the test would see nothing.
        let after = |track: &Track| track.days.iter().rfind(|d| d.date > date).unwrap().expected_shortfall;
        assert_ne!(after(calm), after(crash), "{} {}", calm.book, calm.model.name());
    }
}

#[test]
fn historical_simulation_walks_to_the_figures_of_the_table() {
    let mut backtest = backtest::read(&root().join("scenarios/backtest.yaml")).unwrap();
    backtest.models = vec![Model::Historical];
    backtest.books.retain(|book| book.name == "long BTC");
    let mut checked = 0;
    for window in [250, 500] {
        backtest.lookback = window;
        let days = &tracks(&backtest)[0].days;
        for row in table("backtest_historical_simulation_points.csv") {
            let found = days.iter().find(|d| d.date.to_string() == row["date"]);
            if row["coin"] != "BTC" || row["window"] != window.to_string() || found.is_none() {
                continue;
            }
            // The table's losses are of log returns; a quantile follows the transformation.
            let percent = |log: f64| -(-log).exp_m1();
            let day = found.unwrap();
            assert_near(day.value_at_risk, percent(number(&row, "VaR99")), 0.0, 1.01e-4, &format!("{row:?}"));
            assert_near(day.loss, percent(number(&row, "realised_loss")), 0.0, 1.2e-4, &format!("{row:?}"));
            checked += 1;
        }
    }
    assert!(checked >= 7, "{checked}");
}

#[test]
fn the_shipped_backtests_find_fat_tails() {
    for (file, days) in [("backtest.yaml", 1600), ("backtest_sp500.yaml", 23_000)] {
        let mut backtest = backtest::read(&root().join("scenarios").join(file)).unwrap();
        backtest.models = vec![Model::EwmaFhs, Model::EwmaNormal];
        let outcome = backtest::run(&backtest, &mut |_, _| {});
        assert_eq!(outcome.summaries.len(), 2 * backtest.books.len());
        assert!(outcome.empty.is_empty());
        for pair in outcome.summaries.chunks(2) {
            assert!(pair[0].observations > days, "{pair:?}");
            assert_eq!(pair[0].observations, pair[1].observations);
            // A normal law is rejected everywhere, and costs less for it.
            assert!(pair[1].shortfall.z2_p_value < 0.01, "{:?}", pair[1]);
            assert!(pair[1].mean_margin < pair[0].mean_margin && pair[1].coverage < pair[0].coverage);
            assert!(pair[0].shortfall.z2_p_value > 0.01, "{:?}", pair[0]);
        }
        assert_eq!(outcome.crises.len() % 2, 0);
        assert!(outcome.crises.len() >= 2 * backtest.crises.len());
    }
}

#[test]
fn the_command_prints_and_writes() {
    let folder = tempfile::tempdir().unwrap();
    let backtest = small(folder.path(), 850, |_| 1.0);
    let output = shortfall(&["backtest", "b.yaml", "--out", "o", "--book", "straddle"], folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("straddle in crises") && text.contains("2020-03-12"),
        "{text}"
    );
    let daily = std::fs::read_to_string(folder.path().join("o/daily.csv")).unwrap();
    let rows: usize = tracks(&backtest).iter().map(|track| track.days.len()).sum();
    assert_eq!(daily.lines().count(), rows + 1);
    let summary = std::fs::read_to_string(folder.path().join("o/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["summaries"].as_array().unwrap().len(), 36);
    assert!(folder.path().join("o/margin_straddle_5_steps.svg").exists());
    assert!(std::fs::read_to_string(folder.path().join("o/margin_straddle.svg")).unwrap().contains("<svg"));
    // The same bytes again, and never over an earlier result.
    let output = shortfall(&["backtest", "b.yaml", "--out", "o"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let json = shortfall(&["backtest", "b.yaml", "--json"], folder.path());
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&json.stdout).unwrap(), summary);
}

#[test]
fn faults_of_the_file_are_reported_together() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path(), 400, |_| 1.0);
    let bad = SMALL
        .replace("confidence: 0.975", "confidence: 0.01")
        .replace("lookback: 250", "lookback: .nan")
        .replace("ewma-normal", "ewma-magic")
        .replace("positions: {BTC: 1}", "positions: {DOGE: 1}")
        .replace("ETH: 1, BTC", "ETH: 0, BTC")
        .replace("horizons: [1, 5]", "horizons: [1, 1]")
        .replace("paths: 2000", "paths: 7")
        .replace("forecaster: mean", "forecaster: oracle")
        .replace("to: 2020-03-16", "to: 2020-03-01");
    std::fs::write(folder.path().join("b.yaml"), bad).unwrap();
    let output = shortfall(&["backtest", "b.yaml"], folder.path());
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(65), "{error}");
    for part in ["confidence", "lookback", "models[4]", "horizons", "paths", "volatility.forecaster"]
        .into_iter()
        .chain(["books[0].positions", "books[1].positions.ETH", "crises[0]"])
    {
        assert!(error.contains(part), "{part} in {error}");
    }
}

#[test]
fn tuning_chooses_without_the_days_held_back() {
    let folder = tempfile::tempdir().unwrap();
    const GRID: &str = "tune: {held_back_from: 2019-09-01, coverage: 0.97, lookbacks: [200, 300], decays: [0.94, 0.99], confidences: [0.95, 0.99], buffers: [0, 0.25]}\n";
    let mut chosen = Vec::new();
    for factor in [1.0, 3.0] {
        small(folder.path(), 800, |row| if row == 700 { factor } else { 1.0 });
        let text = SMALL.replace(
            "historical, ewma-fhs, gjr-fhs, ewma-t, ewma-normal, monte-carlo",
            "historical, ewma-fhs, ewma-normal",
        );
        std::fs::write(folder.path().join("b.yaml"), text + GRID).unwrap();
        let backtest = backtest::read(&folder.path().join("b.yaml")).unwrap();
        let tuned = tune(&backtest, backtest.tune.as_ref().unwrap(), &mut |_, _| {});
        // Two horizons, lookbacks, levels and buffers, and two decays where there are any.
        assert_eq!(tuned.settings.len(), 2 * 2 * 2 * 2 * (1 + 2 + 2));
        let recommended: Vec<usize> = tuned.recommendations.iter().map(|r| r.setting.unwrap()).collect();
        let best = &tuned.settings[recommended[0]];
        assert!(best.chosen_on.coverage >= 0.97);
        assert_eq!([best.horizon, tuned.settings[recommended[1]].horizon], [1, 5]);
        let is_cheaper = |s: &&Setting| s.horizon == 1 && s.chosen_on.cost < best.chosen_on.cost;
        for other in tuned.settings.iter().filter(is_cheaper) {
            assert!(other.chosen_on.coverage < 0.97, "{other:?} is cheaper than {best:?}");
        }
        // A buffer covers no less and costs a quarter more.
        for with in tuned.settings.iter().filter(|s| s.buffer > 0.0) {
            let is_bare = |s: &&Setting| {
                (s.horizon, s.model, s.lookback, s.decay, s.confidence, s.buffer)
                    == (with.horizon, with.model, with.lookback, with.decay, with.confidence, 0.0)
            };
            let bare = tuned.settings.iter().find(is_bare).unwrap();
            assert!((with.chosen_on.cost / bare.chosen_on.cost - 1.25).abs() < 1e-12);
            assert!(with.held_back.coverage >= bare.held_back.coverage);
        }
        chosen.push((recommended, best.chosen_on, best.held_back));
    }
    // A shock in the days held back changes how the choice is judged, not the choice.
    assert_eq!((&chosen[0].0, chosen[0].1), (&chosen[1].0, chosen[1].1));
    assert_ne!(chosen[0].2, chosen[1].2);
}

#[test]
fn settings_are_those_of_separate_backtests() {
    const GRID: &str = "tune: {held_back_from: 2019-09-01, coverage: 0.97, lookbacks: [200, 300], decays: [0.94, 0.99], confidences: [0.95, 0.99], buffers: [0, 0.25]}\n";
    let folder = tempfile::tempdir().unwrap();
    small(folder.path(), 800, |_| 1.0);
    let text = SMALL.replace("ewma-normal, monte-carlo", "ewma-normal").replace("refit: 60", "refit: 100");
    std::fs::write(folder.path().join("b.yaml"), text + GRID).unwrap();
    let backtest = backtest::read(&folder.path().join("b.yaml")).unwrap();
    let grid = backtest.tune.clone().unwrap();
    let tuned = tune(&backtest, &grid, &mut |_, _| {});
    let first = |track: &Track| track.days[0].date;
    let mut longest = backtest.clone();
    longest.lookback = 300;
    let longest = tracks(&longest);
    let start = |book: &str| longest.iter().filter(|t| t.book == book).map(first).max().unwrap();
    let mut compared = 0;
    for setting in &tuned.settings {
        let mut alone = backtest.clone();
        (alone.lookback, alone.models) = (setting.lookback, vec![setting.model]);
        (alone.horizons, alone.buffer) = (vec![setting.horizon], setting.buffer);
        alone.confidence = shortfall::units::Confidence::new(setting.confidence).unwrap();
        alone.decay = setting.decay.unwrap_or(alone.decay);
        let tracks = tracks(&alone);
        for (is_held_back, score) in [(false, setting.chosen_on), (true, setting.held_back)] {
            let (mut days, mut covered, mut cost, mut rise) = (0, 0, 0.0, 0.0);
            for (track, book) in tracks.iter().zip(&backtest.books) {
                let is_in = |index: usize| {
                    let last = track.days.get(index + setting.horizon - 1).map(|day| day.date);
                    let from = track.days[index].date;
                    let is_before = last.is_some_and(|last| last < grid.held_back_from);
                    from >= start(&track.book)
                        && if is_held_back { from >= grid.held_back_from } else { is_before }
                };
                let used: Vec<_> =
                    (0..track.days.len()).filter(|i| is_in(*i)).map(|i| track.days[i]).collect();
                days += used.len();
                covered += used.iter().filter(|day| day.loss <= day.margin).count();
                let margins: Vec<f64> = used.iter().map(|day| day.margin).collect();
                cost += margins.iter().sum::<f64>() / margins.len() as f64 / book.gross() / 3.0;
                rise += Measures::of(&margins, 5).largest_rise.unwrap() / 3.0;
            }
            let what = format!("{setting:?}");
            assert_eq!((score.days, score.coverage), (days as u64, covered as f64 / days as f64), "{what}");
            // Sums in another order.
            assert_near(score.cost, cost, 1e-12, 0.0, &what);
            assert_near(score.rise, rise, 1e-12, 1e-12, &what);
            compared += 1;
        }
    }
    // Two horizons, lookbacks, levels and buffers, two decays where there are any, and two parts.
    assert_eq!(compared, 2 * 2 * 2 * 2 * 2 * (1 + 2 + 1 + 2 + 2));
    // Another lookback is not the same: the comparison sees a difference.
    let pair: Vec<&Setting> = tuned.settings.iter().filter(|s| s.model == Model::Historical).collect();
    assert!(pair.iter().any(|s| s.chosen_on != pair[0].chosen_on));
}
