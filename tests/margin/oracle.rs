//! Prices of several sources, and what it takes to push them, by hand.

use std::path::Path;
use std::process::Command;

use shortfall::margin::oracle::manipulation;
use shortfall::margin::{Line, Manipulation};
use shortfall::oracle::{
    Method, Pushes, Quote, Reason, Rules, Target, aggregate, attack, pool_cost, time_weighted,
};
use shortfall::scenario;
use shortfall::units::Years;

use crate::book::{asset, run as margins};

fn quote(source: &str, price: f64, age: &str) -> Quote {
    Quote { source: source.to_owned(), price, confidence: 0.001, age: Years::parse(age).unwrap() }
}

fn rules(method: Method) -> Rules {
    Rules { most_age: Years::parse("1m").unwrap(), most_deviation: 0.02, least_sources: 3, method }
}

#[test]
fn stale_and_outlying_quotes_are_dropped() {
    let quotes = [
        quote("a", 100.0, "1s"),
        quote("b", 101.0, "2s"),
        quote("c", 99.5, "30s"),
        quote("d", 150.0, "1s"),
        quote("e", 100.0, "2h"),
    ];
    // Fresh: 99.5, 100, 101, 150, median 100.5; 150 is out, 99.5 is 0.995 % off.
    let found = aggregate(&quotes, &rules(Method::Median)).unwrap();
    assert_eq!((found.price, found.used), (100.0, 3));
    let dropped: Vec<(&str, Reason)> = found.dropped.iter().map(|d| (d.source.as_str(), d.reason)).collect();
    assert_eq!(dropped, [("d", Reason::Outlier), ("e", Reason::Stale)]);
    // The furthest is 101, with its own tenth of a per cent.
    assert!((found.confidence - (0.01 + 0.001 * 1.01)).abs() < 1e-12);
    assert!((found.staleness_days - 30.0 / 86_400.0).abs() < 1e-12);
    assert_eq!(aggregate(&quotes, &rules(Method::Lowest)).unwrap().price, 99.5);
    assert_eq!(aggregate(&quotes, &rules(Method::Highest)).unwrap().price, 101.0);
}

#[test]
fn too_few_sources_are_no_price() {
    let quotes = [quote("a", 100.0, "1s"), quote("b", 101.0, "2s"), quote("c", 100.0, "2h")];
    let fault = aggregate(&quotes, &rules(Method::Median)).unwrap_err();
    assert_eq!((fault.left, fault.all, fault.needed), (2, 3, 3));
    assert!(aggregate(&[], &rules(Method::Median)).is_err());
    // A quorum of zero still needs a price.
    assert!(aggregate(&[], &Rules { least_sources: 0, ..rules(Method::Median) }).is_err());
}

#[test]
fn a_mean_over_time_by_hand() {
    let prices = [(0.0, 100.0), (10.0, 200.0), (16.0, 50.0)];
    // Over the last 10 of 20: 200 for 6, 50 for 4.
    assert_eq!(time_weighted(&prices, 20.0, 10.0), Some(140.0));
    // Over the last 15: 100 for 5 more.
    assert!((time_weighted(&prices, 20.0, 15.0).unwrap() - 1900.0 / 15.0).abs() < 1e-12);
    assert_eq!(time_weighted(&prices, 20.0, 25.0), None);
    assert_eq!(time_weighted(&prices, 12.0, 0.0), Some(200.0));
}

const TARGET: Target =
    Target { oracle_move: -0.19, window_seconds: 1800.0, pool: 1e7, reset_seconds: 12.0, sources: 1 };

#[test]
fn a_pool_keeps_its_product() {
    // 1,000 coins at 10,000: 10 million a side. To 1.21 times the price: s = 1.1.
    let (capital, cost) = pool_cost(1e7, 0.21);
    assert!((capital - 1e6).abs() < 1e-6);
    let coins_out = 1000.0 - 1e7 * 1000.0 / (1e7 + capital);
    assert!((cost - (capital - coins_out * 10_000.0)).abs() < 1e-6, "paid less what the coins are worth");
    // To 0.81 times: coins worth L (1/0.9 - 1) are sold.
    let (capital, cost) = pool_cost(1e7, -0.19);
    let dollars_out = 1e7 - 1e7 * 1e7 / (1e7 + capital);
    assert!((cost - (capital - dollars_out)).abs() < 1e-6);
    assert_eq!(pool_cost(1e7, 0.0), (0.0, 0.0));
}

#[test]
fn a_mean_over_time_makes_an_attack_longer_or_larger() {
    let whole = attack(&TARGET, 1800.0).unwrap();
    assert_eq!(whole.deviation, -0.19);
    assert!((whole.cost / (150.0 * pool_cost(1e7, -0.19).1) - 1.0).abs() < 1e-12);
    // Half of the window: twice the deviation. A fifth: 95 %. Less: no fall is enough.
    assert!((attack(&TARGET, 900.0).unwrap().deviation + 0.38).abs() < 1e-12);
    assert!(attack(&TARGET, 360.0).unwrap().deviation < -0.94);
    assert_eq!(attack(&TARGET, 300.0), None);
    // Without a window a block is enough; three sources cost three times as much.
    let at_once = Target { window_seconds: 0.0, ..TARGET };
    assert_eq!(attack(&at_once, 12.0).unwrap().cost, pool_cost(1e7, -0.19).1);
    let three = Target { sources: 3, ..at_once };
    assert_eq!(attack(&three, 12.0).unwrap().cost, 3.0 * attack(&at_once, 12.0).unwrap().cost);
}

const QUOTES: &str = "asset,source,price,age,confidence\nBTC,a,100,1s,0.001\nBTC,b,101,2s,0.001\nBTC,c,99.5,30s,0\n\
                      BTC,d,150,1s,0\nETH,a,10,1s,0\nETH,b,10,5m,0\n";

/// Exit code, standard output and standard error of `shortfall oracle` on these quotes.
fn run(quotes: &str, arguments: &[&str]) -> (i32, String, String) {
    let place = tempfile::tempdir().expect("a folder");
    std::fs::write(place.path().join("quotes.csv"), quotes).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_shortfall"));
    command.args(["oracle", "quotes.csv"]).args(arguments).current_dir(place.path());
    let output = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (output.status.code().expect("no signal"), text(output.stdout), text(output.stderr))
}

#[test]
fn an_asset_with_too_few_sources_has_no_price() {
    let (code, out, said) = run(QUOTES, &["--json", "--attack", "-20%", "--pool", "1e7"]);
    assert_eq!(code, 65, "{said}");
    assert!(said.contains("ETH has no price: 1 of 2 sources are left, and 3 are needed"), "{said}");
    let document: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(document["prices"][0]["price"]["price"], 100.0);
    assert_eq!(document["prices"][0]["price"]["dropped"][0]["source"], "d");
    assert!(document["prices"][1]["price"].is_null());
    // The last attack holds the wanted move for the whole window.
    assert_eq!(document["attacks"].as_array().expect("a list").last().expect("one")["deviation"], -0.2);
    assert!(run(QUOTES, &[]).1.contains("no price"));
    assert_eq!(run(QUOTES, &["--attack", "-20%"]).0, 2, "an attack needs a pool");
    let (code, _, said) = run("asset,source,price,age\nBTC,a,1,1s\nBTC,a,5,soon\nBTC,b,0,1s\n", &[]);
    assert_eq!(code, 65);
    for wanted in
        ["quotes.csv:4: price: found `0`", "quotes.csv:3: source: found", "quotes.csv:3: age: found"]
    {
        assert!(said.contains(wanted), "{wanted}: {said}");
    }
}

/// Between moves of the table, 4 % apart, a line in logarithms: its error is of the square of that, times
/// the curvature over eight.
const TABLE: f64 = 1e-3;

#[test]
fn the_largest_move_that_pays_solves_a_quadratic() {
    let pushes = Pushes::new(0.0, 12.0, 1, 0.5);
    let (exposure, pool) = (1e6_f64, 2e7);
    // Up, with s^2 = 1 + d: e (s^2 - 1) = L (s - 1)^2 / s, so e s^2 + (e - L) s + L = 0.
    let b = pool - exposure;
    let s = (b - (b * b - 4.0 * exposure * pool).sqrt()) / (2.0 * exposure);
    let up = pushes.largest_paying(exposure, pool);
    assert!((up / (s * s - 1.0) - 1.0).abs() < TABLE, "{up} {}", s * s - 1.0);
    // Down for a short: e s^2 + (e + L) s - L = 0.
    let b = pool + exposure;
    let s = ((b * b + 4.0 * exposure * pool).sqrt() - b) / (2.0 * exposure);
    let down = pushes.largest_paying(-exposure, pool);
    assert!((down / (s * s - 1.0) - 1.0).abs() < TABLE, "{down} {}", s * s - 1.0);
    // A little beyond it no longer pays, a little before it does.
    let gains = |size: f64| exposure * size - pushes.cheapest(pool, size).unwrap().cost;
    assert!(gains(1.01 * up) < 0.0 && gains(0.99 * up) > 0.0);
    // Against three sources it takes three times the exposure; a tiny one still moves a little.
    let three = Pushes::new(0.0, 12.0, 3, 0.5);
    assert!((three.largest_paying(3.0 * exposure, pool) / up - 1.0).abs() < 1e-12);
    let tiny = pushes.largest_paying(1.0, pool);
    assert!((tiny / (4.0 / pool) - 1.0).abs() < TABLE, "small costs are L d^2 / 4: {tiny}");
    assert_eq!(pushes.largest_paying(1e12, pool), 0.5, "no further than is believed");
    // A mean over time has to be pushed again and again.
    let mean = Pushes::new(1800.0, 12.0, 1, 0.5);
    assert!(mean.largest_paying(exposure, pool) < 0.05 * up);
    let attack = mean.cheapest(pool, 0.02).unwrap();
    assert_eq!((attack.seconds, attack.deviation), (1800.0, 0.02), "small moves are cheapest over all of it");
}

#[test]
fn the_charge_is_what_such_a_move_would_gain() {
    let pushes = Pushes::new(0.0, 12.0, 1, 0.5);
    let rule = Manipulation { pools: vec![Some(2e7)], pushes };
    let wanted = 1e6 * rule.pushes.largest_paying(1e6, 2e7);
    let mut exposure = asset(1e6);
    exposure.currency_price = 1.0;
    assert!((manipulation(&rule, &[exposure]) / wanted - 1.0).abs() < 1e-12);
    assert_eq!(manipulation(&rule, &[asset(0.0)]), 0.0, "a hedged book gains nothing");
    // Half the size: half of the move and less.
    assert!(manipulation(&rule, &[asset(5e5)]) < 0.25 * wanted);
    // In coins of 50,000 dollars it is the same charge, in coins.
    let mut coins = asset(1e6 / 50_000.0);
    coins.currency_price = 50_000.0;
    assert!((manipulation(&rule, &[coins]) * 50_000.0 / wanted - 1.0).abs() < 1e-12);
}

/// `scenarios/margins.yaml` with another oracle rule, in a folder of its own with these quotes.
fn with_rule(rule: &str, quotes: &str) -> Result<scenario::Scenario, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let text = std::fs::read_to_string(folder.join("margins.yaml")).expect("part of the project");
    let text = text.replace("margins/", &format!("{}/margins/", folder.display()));
    let text = text.replace("{confidence: 1.0, deviations: 3.0}", rule);
    let place = tempfile::tempdir().expect("a folder");
    std::fs::write(place.path().join("quotes.csv"), quotes).expect("a file");
    std::fs::write(place.path().join("scenario.yaml"), text).expect("a file");
    scenario::read(&place.path().join("scenario.yaml")).map_err(|faults| faults.to_string())
}

#[test]
fn margin_rules_take_the_oracle_as_it_is_declared() {
    let quotes = "asset,source,price,age,confidence\nBTC,a,100,1s,0\nBTC,b,101,2s,0\nBTC,c,100,3s,0\n\
                  ETH,a,10,1s,0\nETH,b,10,1s,0\nETH,c,10,1s,0\nSOL,a,1,1s,0\nSOL,b,1,1s,0\nSOL,c,1,9s,0.002\n";
    let rule =
        "{quotes: quotes.csv, method: median, manipulation: {window: 30m, pools: {BTC: 2e7, ETH: 1e7}}}";
    let mut found = with_rule(rule, quotes).unwrap_or_else(|faults| panic!("{faults}"));
    let oracle = found.margin.add_ons.oracle.clone().expect("it was declared");
    let quality = oracle.quality.as_ref().expect("from quotes");
    assert!((quality[0].confidence - 0.01).abs() < 1e-12 && (quality[2].confidence - 0.002).abs() < 1e-12);
    assert!((quality[2].staleness.days() * 86_400.0 - 9.0).abs() < 1e-9);
    let manipulation = oracle.manipulation.as_ref().expect("declared");
    assert_eq!(
        (manipulation.pushes.sources, manipulation.pools.clone()),
        (2, vec![Some(2e7), Some(1e7), None])
    );
    assert!(found.inputs.iter().any(|path| path.ends_with("quotes.csv")), "an input of the run");
    // Charged, and more with shallower pools.
    found.simulation.paths = 8192;
    let charged = |found: &scenario::Scenario| -> f64 {
        let accounts = margins(found).cases[0].accounts.clone().expect("it ran");
        accounts.iter().map(|a| a.margin.maintenance_lines.get(Line::OracleManipulation)).sum()
    };
    let deep = charged(&found);
    found.margin.add_ons.oracle.as_mut().unwrap().manipulation.as_mut().unwrap().pools = vec![Some(1e6); 3];
    assert!(deep > 0.0 && charged(&found) > 2.0 * deep, "{deep}");
    // All faults together.
    let faults = with_rule(
        "{quotes: quotes.csv, manipulation: {pools: {DOGE: 1}, most_move: 2}}",
        "asset,source,price,age\nBTC,a,0,1s\n",
    )
    .expect_err("three faults");
    for wanted in ["quotes.csv:2: price", "unknown asset `DOGE`", "most_move"] {
        assert!(faults.contains(wanted), "{wanted}: {faults}");
    }
    let faults = with_rule("{manipulation: {window: 30m}}", "").expect_err("no pools");
    assert!(faults.contains("assets without a pool: BTC, ETH"), "{faults}");
}
