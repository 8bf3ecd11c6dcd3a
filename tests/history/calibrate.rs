//! `calibrate` as a user runs it: a market that `run` takes, notes on what was put right, and faults.

use shortfall::market;

use crate::data::{root, run_on, shortfall};

/// A history of one or more assets that any seed would do for: a sine in place of chance.
fn prices(days: usize, spot: f64, phase: f64) -> Vec<f64> {
    let mut price = spot;
    let step = |t: usize| {
        let x = ((t * t) as f64 * 0.7 + phase).sin() + ((t as f64) * 1.3 + phase).cos();
        price *= (0.02 * x).exp();
        price
    };
    (0..days).map(step).collect()
}

fn date(day: usize) -> String {
    let start: jiff::civil::Date = "2024-01-01".parse().unwrap();
    start.checked_add(jiff::Span::new().days(day as i64)).unwrap().to_string()
}

fn single(days: usize, spot: f64, phase: f64) -> String {
    let rows = prices(days, spot, phase).into_iter().enumerate();
    rows.fold("date,open,close\n".to_owned(), |text, (t, p)| format!("{text}{},{p},{p}\n", date(t)))
}

#[test]
fn the_shipped_history_becomes_a_market_that_run_takes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| root().join("scenarios/history").join(name).display().to_string();
    let (history, levels) = (at("crypto_daily.csv"), at("implied_levels.csv"));
    let arguments = [
        "calibrate",
        &history,
        "--implied-levels",
        &levels,
        "--as-of",
        "2026-02-04T21:33:08Z",
        "--out",
        "m.yaml",
        "--charts",
        "charts",
    ];
    let output = shortfall(&arguments, folder.path());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("SOL starts on 2020-08-11") && text.contains("common jumps"), "{text}");
    let market = market::read(&folder.path().join("m.yaml")).unwrap();
    assert_eq!(market.assets.len(), 10);
    // The close of 3 February; that of the fourth came after the instant.
    assert_eq!(market.assets[0].spot, 75770.0);
    assert!(market.common_jumps.is_some() && market.assets[0].implied_volatility.is_some());
    let chart = std::fs::read_to_string(folder.path().join("charts/BTC_quantiles.svg")).unwrap();
    assert!(chart.contains("<svg"));
    run_on("m.yaml", "BTC_USDC-PERPETUAL", 50_000.0, 1, folder.path());
}

#[test]
fn later_prices_do_not_move_an_earlier_market() {
    let folder = tempfile::tempdir().unwrap();
    let mut markets = Vec::new();
    for crash in [1.0, 0.5] {
        let mut text = single(400, 100.0, 0.3);
        text += &format!("{},1,{}\n", date(400), 100.0 * crash);
        std::fs::write(folder.path().join("AAA.csv"), text).unwrap();
        let output = shortfall(
            &["calibrate", "AAA.csv", "--as-of", &date(400), "--out", "m.yaml", "--force"],
            folder.path(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        markets.push(std::fs::read(folder.path().join("m.yaml")).unwrap());
    }
    assert_eq!(markets[0], markets[1]);
}

#[test]
fn disorder_is_put_right_and_noted() {
    let folder = tempfile::tempdir().unwrap();
    let tidy = single(400, 100.0, 0.1);
    let mut lines: Vec<&str> = tidy.lines().collect();
    lines.swap(50, 51);
    lines.push(lines[77]);
    lines.remove(200);
    std::fs::write(folder.path().join("AAA.csv"), lines.join("\n")).unwrap();
    std::fs::write(folder.path().join("BBB_daily.csv"), single(300, 5.0, 0.9)).unwrap();
    let output = shortfall(&["calibrate", "AAA.csv", "BBB_daily.csv", "--out", "m.yaml"], folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    for note in [
        "rows out of order were sorted",
        "equal rows were counted once",
        "AAA misses 1 prices inside",
        "BBB ends on",
    ] {
        assert!(text.contains(note), "{note} in {text}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn faults_name_their_place_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let good = single(400, 100.0, 0.1);
    let twice = format!("{good}{},1,17\n", date(3));
    let negative = good.replacen(&format!("{},", date(9)), &format!("{},-1,-1\n2023-01-01,", date(9)), 1);
    let cases = [
        (twice, "AAA.csv:402", "one price at a time"),
        (negative, "AAA.csv:11", "a price above zero"),
        (good.replace("close", "last"), "AAA.csv", "a ticker of capital letters"),
        (good.replace("date", "when"), "AAA.csv", "a column date, time or time_utc"),
        (single(10, 1.0, 0.0), "AAA.csv", "at least 30"),
        ("date,close\n".to_owned(), "AAA.csv", "at least one row"),
    ];
    for (text, place, expected) in cases {
        std::fs::write(folder.path().join("AAA.csv"), text).unwrap();
        let output = shortfall(&["calibrate", "AAA.csv", "--out", "m.yaml"], folder.path());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(65), "{error}");
        assert!(error.contains(place) && error.contains(expected), "{place}, {expected} in {error}");
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["AAA.csv"], "{error}");
    }
}

#[test]
fn a_chain_becomes_forwards_and_surfaces_without_the_quotes_that_contradict() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("AAA.csv"), single(400, 100.0, 0.1)).unwrap();
    let mut chain = "asset,expiry,strike,kind,forward,spot,bid_volatility,ask_volatility\n".to_owned();
    for (expiry, forward) in [("2025-03-28T08:00:00Z", 101.0), ("2025-06-27T08:00:00Z", 103.0)] {
        for strike in [70.0_f64, 80.0, 90.0, 95.0, 100.0, 105.0, 110.0, 120.0, 130.0] {
            let volatility = 0.6 + 0.2 * (strike / forward).ln().powi(2);
            let kind = if strike < forward { "P" } else { "C" };
            chain += &format!(
                "AAA,{expiry},{strike},{kind},{forward},100,{},{}\n",
                volatility - 0.005,
                volatility + 0.005
            );
            // In the money, at a volatility that would spoil the fit.
            chain += &format!(
                "AAA,{expiry},{strike},{},{forward},100,2.0,2.1\n",
                if kind == "P" { "C" } else { "P" }
            );
        }
        // A put that costs more than the one above it.
        chain += &format!("AAA,{expiry},85,P,{forward},100,1.9,2.0\n");
        chain += &format!("AAA,{expiry},88,P,{forward},100,,2.0\n");
    }
    std::fs::write(folder.path().join("chain.csv"), chain).unwrap();
    let as_of = "2025-02-04T12:00:00Z";
    let arguments = ["calibrate", "AAA.csv", "--chain", "chain.csv", "--as-of", as_of, "--out", "m.yaml"];
    let output = shortfall(&arguments, folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("quotes that contradict others were left out"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let market = market::read(&folder.path().join("m.yaml")).unwrap();
    let asset = &market.assets[0];
    assert_eq!((asset.spot, asset.forwards.len(), asset.surface.len()), (100.0, 2, 2));
    for (slice, forward) in asset.surface.iter().zip([101.0, 103.0]) {
        assert!(slice.max_error_volatility.unwrap() < 0.01, "{slice:?}");
        assert_eq!(asset.forwards.iter().find(|f| f.expiry == slice.expiry).unwrap().price, forward);
    }
    // And not over it a second time without being told.
    assert_eq!(shortfall(&arguments, folder.path()).status.code(), Some(2));
}
