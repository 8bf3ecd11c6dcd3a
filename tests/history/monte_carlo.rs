//! The engine as a daily model, on histories whose law is known.

use std::fmt::Write;
use std::path::Path;

use rand::RngExt;
use shortfall::backtest::walk::{Track, walk};
use shortfall::backtest::{self, Backtest};
use shortfall::closed_form::special::normal_upper_quantile;
use shortfall::numeric::PhiloxRng;

/// Deviation of a day: small, so that simple and log returns are the same to a per cent.
const DEVIATION: f64 = 0.005;
const DAYS: usize = 700;
const PATHS: u64 = 50_000;

/// Two independent normal assets; `shock` is added to the log return of the first on a day.
fn history(folder: &Path, models: &str, books: &str, shock: impl Fn(usize) -> f64) -> Backtest {
    let mut rng = PhiloxRng::new(11, 0);
    let mut text = "date,AAA,BBB\n".to_owned();
    let (mut prices, mut date) = ([100.0, 100.0], jiff::civil::date(2020, 1, 1));
    for day in 0..DAYS {
        let _ = writeln!(text, "{date},{},{}", prices[0], prices[1]);
        let mut normal = || normal_upper_quantile(rng.random::<f64>().max(1e-15));
        let moves = [DEVIATION * normal() + shock(day), DEVIATION * normal()];
        prices.iter_mut().zip(moves).for_each(|(price, x)| *price *= f64::exp(x));
        date = date.tomorrow().unwrap();
    }
    std::fs::write(folder.join("h.csv"), text).unwrap();
    let file = format!(
        "name: simulated\nhistory: h.csv\nconfidence: 0.99\nlookback: 500\nhorizons: [1, 5]\npaths: {PATHS}\nmodels: [{models}]\nbooks:\n{books}"
    );
    std::fs::write(folder.join("b.yaml"), file).unwrap();
    backtest::read(&folder.join("b.yaml")).unwrap()
}

fn mean_shortfall(track: &Track) -> f64 {
    track.days.iter().map(|day| day.expected_shortfall).sum::<f64>() / track.days.len() as f64
}

#[test]
fn normal_assets_have_normal_margins() {
    let folder = tempfile::tempdir().unwrap();
    let books = "  - {name: one, positions: {AAA: 1}}\n  - {name: both, positions: {AAA: 1, BBB: 1}}\n  - {name: hedged, positions: {AAA: 1, BBB: -1}}\n";
    let tracks = walk(&history(folder.path(), "ewma-normal, monte-carlo", books, |_| 0.0), &mut |_, _| {});
    let of = |book: &str, horizon: usize, model: usize| {
        let is_it = |t: &&Track| t.book == book && t.horizon == horizon;
        tracks.iter().filter(is_it).nth(model).unwrap()
    };
    for day in &of("one", 1, 1).days {
        let relative = day.standard_error.unwrap() / day.expected_shortfall;
        // Of a normal ES at 99 %: the excess over the VaR has the deviation 0.0459, so 0.0459 / 0.01 / 2.665 / sqrt(n).
        let expected = 1.72 / (PATHS as f64).sqrt();
        assert!((relative / expected - 1.0).abs() < 0.4, "{relative} {expected}");
    }
    assert!(of("one", 1, 0).days.iter().all(|day| day.standard_error.is_none()));
    for book in ["one", "both", "hedged"] {
        let [closed, simulated, five] = [(1, 0), (1, 1), (5, 1)].map(|(h, m)| mean_shortfall(of(book, h, m)));
        // Returns over an EWMA deviation have a variance a few per cent above one, and a tail for it.
        assert!((0.99..1.12).contains(&(simulated / closed)), "{book}: {simulated} {closed}");
        // Two per cent of convexity in five days, and a tail that is a little thinner over five.
        assert!((five / simulated / 5f64.sqrt() - 1.0).abs() < 0.05, "{book}: {five} {simulated}");
    }
    // Independent assets: a book of both has 1.41 times the risk of one, hedged or not.
    for book in ["both", "hedged"] {
        let ratio = mean_shortfall(of(book, 1, 1)) / mean_shortfall(of("one", 1, 1));
        assert!((ratio / 2f64.sqrt() - 1.0).abs() < 0.06, "{book}: {ratio}");
    }
}

#[test]
fn own_jumps_are_found_and_margined() {
    let folder = tempfile::tempdir().unwrap();
    let books = "  - {name: long, positions: {AAA: 1}}\n  - {name: short, positions: {AAA: -1}}\n  - {name: other, positions: {BBB: 1}}\n";
    let mut means = Vec::new();
    // One day in fifty falls by 8 % more: twice as often as a loss that a 99 % margin need not cover.
    for size in [0.0, -0.08] {
        let shock = |day: usize| if day % 50 == 49 { size } else { 0.0 };
        let tracks = walk(&history(folder.path(), "monte-carlo", books, shock), &mut |_, _| {});
        let one_day: Vec<f64> = tracks.iter().filter(|t| t.horizon == 1).map(mean_shortfall).collect();
        means.push(one_day);
    }
    let [calm, jumpy] = [&means[0], &means[1]];
    // The ES of the long side is the jump's size, and a little more or less for the day around it.
    assert!((0.074..0.095).contains(&jumpy[0]), "{jumpy:?}");
    assert!(calm[0] < 0.02, "{calm:?}");
    // The short side pays for the storm that an EWMA sees after each jump, not for jumps upwards.
    assert!(jumpy[1] < 0.6 * jumpy[0], "{jumpy:?}");
    // The other asset does not jump, but shares the tail of the deviations that are wrong after one.
    assert!((jumpy[2] / calm[2] - 1.0).abs() < 0.2, "{jumpy:?} {calm:?}");
}

#[test]
fn a_floor_only_ever_raises_a_margin() {
    let folder = tempfile::tempdir().unwrap();
    // A storm of four deviations, and calm since: forecasts fall, the deviation of the whole past does not.
    let storm = |day: usize| if day < 500 { 4.0 * DEVIATION * [1.0, -1.0][day % 2] } else { 0.0 };
    let tracks = |floor: f64| {
        let books = format!(
            "  - {{name: long, positions: {{AAA: 1}}}}\n  - {{name: short, positions: {{AAA: -1}}}}\nvolatility: {{forecaster: har, floor: {floor}}}\n"
        );
        walk(&history(folder.path(), "monte-carlo", &books, storm), &mut |_, _| {})
    };
    let [none, half, whole] = [0.0, 0.5, 1.0].map(tracks);
    for ((none, half), whole) in none.iter().zip(&half).zip(&whole) {
        for ((none, half), whole) in none.days.iter().zip(&half.days).zip(&whole.days) {
            // The same random words, so that a larger deviation is a larger loss on every path.
            assert!(none.margin <= half.margin && half.margin <= whole.margin, "{none:?} {half:?} {whole:?}");
        }
        // Fits are made without the floor, or they would take it out again.
        let last =
            |track: &Track| mean_shortfall(&Track { days: track.days[100..].to_vec(), ..track.clone() });
        assert!(last(whole) > 2.0 * last(none), "{} {}", last(whole), last(none));
    }
}
