//! The tests of a sequence of forecasts against their tables.

use std::collections::HashMap;

use jiff::civil::Date;
use shortfall::backtest::statistics::{
    NullDistribution, TailShape, Zone, christoffersen, empirical_tail, non_rejection_region,
    proportion_of_failures, scores, traffic_light,
};
use shortfall::calibrate::history::{self, History, day};

use crate::data::{assert_near, number, raw, shipped, table};

/// Tables print ten to twelve significant digits.
const PRINTED: f64 = 1e-9;

#[test]
fn kupiec_agrees_with_the_table() {
    for row in table("backtest_kupiec_pof.csv") {
        let (t, x) = (number(&row, "T") as u64, number(&row, "exceptions") as u64);
        let test = proportion_of_failures(t, x, number(&row, "p"));
        assert_near(test.statistic, number(&row, "LR_pof"), PRINTED, 1e-10, &format!("{row:?}"));
        assert_near(test.p_value, number(&row, "p_value_chi2_1"), 1e-7, 0.0, &format!("{row:?}"));
    }
}

#[test]
fn kupiec_regions_are_those_of_the_paper() {
    for row in table("backtest_kupiec_nonrejection_regions.csv") {
        let (first, last) = non_rejection_region(number(&row, "T") as u64, number(&row, "p")).unwrap();
        // The paper counts the first rejected on either side.
        assert_eq!(format!("{}<N<{}", first - 1, last + 1), row["published_as_recalled"]);
    }
}

#[test]
fn christoffersen_agrees_with_the_table() {
    for row in table("backtest_christoffersen_sequences.csv") {
        let mut days = vec![false; number(&row, "T") as usize];
        row["exception_indices_0based"]
            .split_whitespace()
            .for_each(|i| days[i.parse::<usize>().unwrap()] = true);
        let test = christoffersen(&days, number(&row, "p"));
        let counts: Vec<u64> = ["n00", "n01", "n10", "n11"].iter().map(|n| number(&row, n) as u64).collect();
        assert_eq!(test.transitions.as_flattened(), counts);
        let what = format!("{row:?}");
        assert_near(test.independence.statistic, number(&row, "LR_ind"), PRINTED, 1e-10, &what);
        assert_near(test.conditional_coverage.statistic, number(&row, "LR_cc"), PRINTED, 1e-10, &what);
        assert_near(test.independence.p_value, number(&row, "p_ind_chi2_1"), 1e-7, 0.0, &what);
        assert_near(test.conditional_coverage.p_value, number(&row, "p_cc_chi2_2"), 1e-7, 0.0, &what);
    }
}

#[test]
fn the_traffic_light_is_that_of_basel() {
    for row in table("backtest_basel_traffic_light.csv") {
        let light = traffic_light(250, number(&row, "exceptions_of_250") as u64, 0.01);
        let zone = [Zone::Green, Zone::Yellow, Zone::Red]
            [["green", "yellow", "red"].iter().position(|z| *z == row["zone"]).unwrap()];
        assert_eq!(light.zone, zone);
        assert_near(
            light.cumulative_probability,
            number(&row, "cumulative_prob_at_99pct"),
            PRINTED,
            0.0,
            "cumulative",
        );
        assert_eq!(light.multiplier, Some(number(&row, "multiplier_MAR32_2019")));
    }
    // Five exceptions are yellow in 250 days at 99 %, and green in 500.
    assert_eq!(traffic_light(250, 5, 0.01).zone, Zone::Yellow);
    assert_eq!(traffic_light(500, 5, 0.01).zone, Zone::Green);
    assert_eq!(traffic_light(500, 5, 0.01).multiplier, None);
}

#[test]
fn acerbi_szekely_critical_values_are_those_of_the_table() {
    // One in ten thousand needs more of them: 400 in its tail, four times as many as the table has.
    let simulations = |significance: f64| if significance < 0.001 { 4_000_000 } else { 200_000_u32 };
    let mut laws: HashMap<String, NullDistribution> = HashMap::new();
    let mut rarest: f64 = 1.0;
    for row in table("backtest_acerbi_szekely_critical_values.csv") {
        let significance = number(&row, "significance");
        rarest = rarest.min(significance);
        let simulations = simulations(significance);
        let shape =
            TailShape { degrees_of_freedom: row["nu"].parse().ok(), location: number(&row, "location") };
        let null = laws
            .entry(format!("{shape:?} {simulations}"))
            .or_insert_with(|| NullDistribution::simulate(shape, 250, 0.025, simulations, 7).unwrap());
        // Five standard errors of both simulations together: the table's grows with sqrt(n).
        let n = number(&row, "n_sims") / f64::from(simulations);
        let error = number(&row, "Z2_mc_se") * (1.0 + n).sqrt();
        assert_near(
            null.z2_critical(significance),
            number(&row, "Z2_critical"),
            0.0,
            5.0 * error,
            &format!("{row:?}"),
        );
        // Z1 has no error of its own in the table; its spread at these levels is below Z2's.
        assert_near(
            null.z1_critical(significance),
            number(&row, "Z1_critical"),
            0.0,
            6.0 * error,
            &format!("{row:?}"),
        );
    }
    assert_eq!(rarest, 0.0001);
}

#[test]
fn critical_values_of_one_confidence_do_not_serve_another() {
    let shape = TailShape { degrees_of_freedom: Some(4.0), location: 0.0 };
    let at = |tail| NullDistribution::simulate(shape, 250, tail, 50_000, 1).unwrap().z2_critical(0.05);
    assert!(at(0.01) < at(0.025) - 0.3, "{} {}", at(0.01), at(0.025));
    // A forecast that is half of what it should be is found.
    let null = NullDistribution::simulate(shape, 1000, 0.01, 20_000, 1).unwrap();
    assert!(null.z2_p_value(scores(&[2.0; 25], 1000, 0.01).z2) < 0.001);
    assert!(null.z2_p_value(scores(&[1.0; 10], 1000, 0.01).z2) > 0.3);
}

fn losses(history: &History, coin: &str) -> Vec<f64> {
    let asset = history.assets.iter().position(|name| name == coin).unwrap();
    history.log_returns(asset).iter().map(|r| -r).collect()
}

fn index_of(history: &History, date: &str) -> usize {
    let date: Date = date.parse().unwrap();
    history.times.iter().position(|time| day(*time) == date).unwrap()
}

fn check_points(history: &History, tolerance: f64) -> usize {
    let mut checked = 0;
    for row in table("backtest_historical_simulation_points.csv") {
        let losses = losses(history, &row["coin"]);
        let (at, window) = (index_of(history, &row["date"]), number(&row, "window") as usize);
        if at <= window || !losses[at - window].is_finite() {
            continue;
        }
        let tail = |alpha| empirical_tail(&mut losses[at - window..at].to_vec(), alpha);
        let (low, high) = (tail(0.975), tail(0.99));
        let found = [
            high.value_at_risk,
            low.value_at_risk,
            low.expected_shortfall,
            high.expected_shortfall,
            losses[at],
        ];
        for (name, found) in ["VaR99", "VaR97.5", "ES97.5", "ES99", "realised_loss"].iter().zip(found) {
            assert_near(found, number(&row, name), 0.0, tolerance, &format!("{name} of {row:?}"));
        }
        checked += 1;
    }
    checked
}

#[test]
fn historical_simulation_agrees_on_the_shipped_prices() {
    // Prices of five digits: two roundings of at most 5e-5 in a return.
    assert!(check_points(&shipped("crypto_daily.csv"), 1.01e-4) >= 30);
}

#[test]
fn historical_simulation_agrees_on_the_raw_prices() {
    let Some(folder) = raw("historical simulation on raw prices") else { return };
    let files: Vec<_> =
        ["BTC", "ETH", "XRP", "LTC"].iter().map(|c| folder.join(format!("crypto_daily/{c}.csv"))).collect();
    let history = history::read(&files).unwrap();
    assert!(check_points(&history, 1e-11) >= 34);
    for row in table("backtest_historical_simulation_backtest.csv") {
        check_year(&history, &row);
    }
}

fn check_year(history: &History, row: &HashMap<String, String>) {
    let losses = losses(history, &row["coin"]);
    let window = number(row, "window") as usize;
    let is_in =
        |at: usize| row["period"] == "all" || day(history.times[at]).year().to_string() == row["period"];
    let last = index_of(history, "2026-07-20");
    let (mut n, mut above_99, mut ratios) = (0, 0, Vec::new());
    for at in (window + 1..=last).filter(|at| is_in(*at) && losses[at - window].is_finite()) {
        let past = &losses[at - window..at];
        let (low, high) =
            (empirical_tail(&mut past.to_vec(), 0.975), empirical_tail(&mut past.to_vec(), 0.99));
        n += 1;
        above_99 += u64::from(losses[at] > high.value_at_risk);
        if losses[at] > low.value_at_risk {
            ratios.push(losses[at] / low.expected_shortfall);
        }
    }
    let what = format!("{row:?}");
    assert_eq!(n, number(row, "n") as u64, "{what}");
    assert_eq!(
        (above_99, ratios.len()),
        (number(row, "exceptions_99") as u64, number(row, "exceptions_97.5") as usize),
        "{what}"
    );
    assert_near(
        proportion_of_failures(n, above_99, 0.01).statistic,
        number(row, "LR_pof_99"),
        PRINTED,
        1e-9,
        &what,
    );
    let scores = scores(&ratios, n, 0.025);
    assert_near(scores.z2, number(row, "AS_Z2_97.5"), PRINTED, 1e-9, &what);
    if let Some(z1) = scores.z1 {
        assert_near(z1, number(row, "AS_Z1_97.5"), PRINTED, 1e-9, &what);
    }
}
