//! Reverse stress against regions of failure whose likeliest point is known.

use shortfall::instrument::Kind;
use shortfall::market::{Correlation, JumpSize, Jumps, TailGroup};
use shortfall::reverse::{self, Analysis, Options, Reverse, Until};
use shortfall::scenario::Scenario;

use crate::book::{hold, normal};

const PATHS: u64 = 32_768;
const DAY: f64 = 1.0 / 365.0;
/// The search stops where a step would raise the log density by less than 1e-9, which is a distance of
/// some 3e-5 standard deviations; the slopes are differences over 1e-4 of them.
const CLOSE_DEVIATIONS: f64 = 1e-3;
/// The law of the mixing variable is cut into thirteen parts: measured against Student's density at three
/// to five deviations the log density is off by 0.1, and half as much again is allowed.
const MIXING_PARTS: f64 = 0.15;
/// Standard errors that a sampled figure may be off.
const ERRORS: f64 = 5.0;

fn options() -> Options {
    Options {
        paths: PATHS,
        accounts: vec![0],
        fund: None,
        top: 1,
        until: Until::Worth(0.0),
        target: 0.001,
        hedges: Vec::new(),
        case: None,
    }
}

fn analyse(scenario: &Scenario, options: &Options) -> Analysis {
    reverse::analyse(scenario, options, &mut |_| ()).unwrap_or_else(|fault| panic!("{fault}"))
}

fn one(scenario: &Scenario) -> Reverse {
    analyse(scenario, &options()).holders.remove(0)
}

/// Log return of an asset in a move.
fn log_return(found: &Reverse, asset: &str) -> f64 {
    let likeliest = found.likeliest.as_ref().unwrap_or_else(|| panic!("a move: {found:?}"));
    likeliest.assets.iter().find(|a| a.asset == asset).expect("it moves").relative_move.ln_1p()
}

/// A long of coins of BTC and ETH by linear perpetuals, and cash.
fn long(scenario: &mut Scenario, btc: f64, eth: f64, cash: f64) -> [f64; 2] {
    hold(scenario, &[("BTC_USDC-PERPETUAL", btc), ("ETH_USDC-PERPETUAL", eth)]);
    scenario.portfolio.accounts[0].cash = cash;
    [btc * scenario.market.assets[0].perpetual_mark, eth * scenario.market.assets[1].perpetual_mark]
}

#[test]
fn a_strip_of_short_puts_fails_below_a_known_price() {
    let volatility = 0.6;
    let mut scenario = normal([volatility; 3]);
    scenario.market.assets.iter_mut().for_each(|asset| asset.forwards.clear());
    scenario.market.discount_rate_annual = 0.0;
    // Ten puts at 65,000, which expire within the horizon, and 30,000 dollars: gone below 62,000.
    hold(&mut scenario, &[("BTC_USDC-5FEB26-65000-P", -10.0), ("ETH_USDC-PERPETUAL", 1e-6)]);
    let instrument = &mut scenario.portfolio.instruments[0];
    let Kind::Option(terms) = &mut instrument.kind else { panic!("a put") };
    terms.volatility_annual = Some(volatility);
    let expiry = terms.expiry;
    scenario.portfolio.accounts[0].cash = 30_000.0;
    let found = one(&scenario);
    let spot = scenario.market.assets[0].spot;
    let years = (expiry - scenario.market.as_of).total(jiff::Unit::Second).unwrap() / (365.0 * 86_400.0);
    let deviation = volatility * years.sqrt();
    let wanted = (62_000.0 / spot).ln();
    let distance = (wanted + 0.5 * deviation * deviation) / deviation;
    let likeliest = found.likeliest.as_ref().expect("it can fail");
    assert!((likeliest.mahalanobis + distance).abs() < CLOSE_DEVIATIONS, "{likeliest:?} {distance}");
    assert!((likeliest.log_density + 0.5 * distance * distance).abs() < 1e-2, "{likeliest:?}");
    // At the horizon the price has drifted on from there, as is likeliest.
    assert!((log_return(&found, "BTC") - wanted).abs() < 1e-3, "{found:?}");
    // The exact probability of a normal law.
    let exact = shortfall::closed_form::special::normal_cdf(distance);
    let (sampled, error) = (found.probability.sampled.unwrap(), found.probability.sampled_error.unwrap());
    assert!((sampled - exact).abs() < ERRORS * error && error < 0.1 * exact, "{sampled} ± {error}, {exact}");
    assert!((1.5 * sampled - exact).abs() > ERRORS * error, "negative control");
}

/// The nearest point of `a (e^x - 1) + b (e^y - 1) = -cash` by trying all of the curve.
fn nearest([a, b]: [f64; 2], cash: f64, deviations: [f64; 2], correlation: f64) -> ([f64; 2], f64) {
    let means = deviations.map(|s| -0.5 * s * s);
    let mut best = ([0.0; 2], f64::INFINITY);
    for k in 0..2_000_000 {
        let x = -0.6 + k as f64 * 6e-7;
        let inside = 1.0 - (cash + a * x.exp_m1()) / b;
        if !(inside > 0.0) {
            continue;
        }
        let y = inside.ln();
        let (u, v) = ((x - means[0]) / deviations[0], (y - means[1]) / deviations[1]);
        let square = (u * u - 2.0 * correlation * u * v + v * v) / (1.0 - correlation * correlation);
        if square < best.1 {
            best = ([x, y], square);
        }
    }
    (best.0, best.1.sqrt())
}

#[test]
fn the_nearest_move_of_two_assets_is_the_one_of_least_mahalanobis_distance() {
    let (volatilities, correlation, cash) = ([0.6, 0.9, 0.9], 0.7, 300_000.0);
    let mut scenario = normal(volatilities);
    let rows = vec![1.0, correlation, 0.0, correlation, 1.0, 0.0, 0.0, 0.0, 1.0];
    scenario.market.correlation = Correlation::new(3, rows).unwrap();
    let notionals = long(&mut scenario, 20.0, 500.0, cash);
    let found = one(&scenario);
    let deviations = [volatilities[0], volatilities[1]].map(|s| s * DAY.sqrt());
    let (wanted, distance) = nearest(notionals, cash, deviations, correlation);
    let off = |name: &str, at: usize| (log_return(&found, name) - wanted[at]).abs() / deviations[at];
    assert!(off("BTC", 0) < CLOSE_DEVIATIONS && off("ETH", 1) < CLOSE_DEVIATIONS, "{found:?} {wanted:?}");
    let likeliest = found.likeliest.as_ref().unwrap();
    assert!((likeliest.mahalanobis - distance).abs() < CLOSE_DEVIATIONS, "{likeliest:?} {distance}");
    assert!(likeliest.buffer.abs() < 1e-3 * cash, "on the edge: {likeliest:?}");
    // Without the correlation it is another point: negative control.
    let (other, _) = nearest(notionals, cash, deviations, 0.0);
    assert!((other[0] - wanted[0]).abs() / deviations[0] > 10.0 * CLOSE_DEVIATIONS);

    // A Student-t law has ellipses of the same shape, so the same point, and less difference in density.
    scenario.market.tail_groups = vec![TailGroup { name: "all".to_owned(), degrees_of_freedom: 4.0 }];
    scenario.market.assets.iter_mut().for_each(|asset| asset.tail_group = Some(0));
    scenario.simulation.steps = 2;
    let student = one(&scenario);
    let off = |name: &str, at: usize| (log_return(&student, name) - wanted[at]).abs() / deviations[at];
    assert!(off("BTC", 0) < CLOSE_DEVIATIONS && off("ETH", 1) < CLOSE_DEVIATIONS, "{student:?} {wanted:?}");
    // Of two dimensions, scaled to a variance of one: (1 + d^2 / (nu - 2))^(-(nu + 2) / 2).
    let exact = -3.0 * (1.0 + 0.5 * distance * distance).ln();
    let found_density = student.likeliest.as_ref().unwrap().log_density;
    assert!((found_density - exact).abs() < MIXING_PARTS, "{found_density} {exact}");
    assert!((likeliest.log_density - exact).abs() > MIXING_PARTS, "negative control: the normal law");
    let probability = &student.probability;
    let errors = probability.simulated_error.hypot(probability.sampled_error.unwrap());
    assert!(
        (probability.simulated - probability.sampled.unwrap()).abs() < ERRORS * errors,
        "{probability:?}"
    );
    assert!(probability.simulated > 3.0 * found.probability.sampled.unwrap(), "fat tails fail more often");
}

#[test]
fn where_diffusion_cannot_reach_the_likeliest_move_is_a_jump() {
    let mut scenario = normal([0.3; 3]);
    let jumps = |size: JumpSize| Some(Jumps { intensity_annual: 5.0, size });
    scenario.market.assets[0].own_jumps = jumps(JumpSize::Merton { mean: -0.25, sd: 0.02 });
    let notionals = long(&mut scenario, 10.0, 0.01, 0.0);
    // A fifth of the notional is 12 daily deviations away, and nearer than the jump's size.
    scenario.portfolio.accounts[0].cash = 0.2 * notionals[0];
    let found = one(&scenario);
    let likeliest = found.likeliest.as_ref().expect("it can fail");
    assert_eq!(likeliest.patterns[0].pattern, "BTC jump", "{likeliest:?}");
    assert!(likeliest.patterns[0].probability > 0.999, "{likeliest:?}");
    // The jump's size with the drift, which its compensator raises a little.
    assert!((log_return(&found, "BTC") + 0.25).abs() < 0.005, "{likeliest:?}");
    assert!(likeliest.buffer < -0.01 * notionals[0], "inside the region, not at its edge");
    assert_eq!(found.ways[0].pattern, "BTC jump");
    assert!(found.ways[0].part > 0.98 && found.ways[0].likeliest == *likeliest, "{:?}", found.ways);
    let probability = &found.probability;
    let errors = probability.simulated_error.hypot(probability.sampled_error.unwrap());
    assert!(
        (probability.simulated - probability.sampled.unwrap()).abs() < ERRORS * errors,
        "{probability:?}"
    );
    let exact = 5.0 * DAY;
    assert!((found.probability.simulated / exact - 1.0).abs() < 0.3, "{:?}", found.probability);

    // Of a Kou jump the smallest that is enough: at the edge.
    scenario.market.assets[0].own_jumps =
        jumps(JumpSize::Kou { up_probability: 0.3, up_rate: 20.0, down_rate: 12.0 });
    let found = one(&scenario);
    let likeliest = found.likeliest.as_ref().expect("it can fail");
    assert_eq!(likeliest.patterns[0].pattern, "BTC jump down", "{likeliest:?}");
    assert!((log_return(&found, "BTC") - 0.8f64.ln()).abs() < 1e-3, "{likeliest:?}");
    let probability = &found.probability;
    let errors = probability.simulated_error.hypot(probability.sampled_error.unwrap());
    assert!(
        (probability.simulated - probability.sampled.unwrap()).abs() < ERRORS * errors,
        "{probability:?}"
    );

    // Without jumps it is a diffusion, and never seen: negative control.
    scenario.market.assets[0].own_jumps = None;
    let found = one(&scenario);
    let likeliest = found.likeliest.as_ref().expect("far away");
    assert_eq!(likeliest.patterns[0].pattern, "no jump");
    assert!(likeliest.mahalanobis > 10.0 && found.probability.simulated == 0.0, "{found:?}");
    assert!((found.probability.upper_bound.unwrap() - 3.0 / PATHS as f64).abs() < 1e-5);
}

#[test]
fn what_cannot_be_exhausted_has_no_move() {
    let mut scenario = normal([0.9; 3]);
    hold(&mut scenario, &[("BTC", 3.0)]);
    let found = one(&scenario);
    assert!(found.likeliest.is_none() && found.remedy.is_none(), "{found:?}");
    assert!(found.probability.upper_bound.is_some(), "{found:?}");
    // In debt it can.
    scenario.portfolio.accounts[0].cash = -2.9 * scenario.market.assets[0].spot;
    let found = one(&scenario);
    assert!((log_return(&found, "BTC") - (2.9f64 / 3.0).ln()).abs() < 1e-4, "{found:?}");
    // And what is exhausted today needs no move.
    scenario.portfolio.accounts[0].cash = -3.1 * scenario.market.assets[0].spot;
    let found = one(&scenario);
    assert!(
        found.likeliest.is_none() && found.buffer < 0.0 && found.probability.simulated > 0.5,
        "{found:?}"
    );
}

#[test]
fn the_fund_is_exhausted_where_all_accounts_together_lose_it() {
    let mut scenario = normal([0.8; 3]);
    let [notional, _] = long(&mut scenario, 100.0, 0.01, 0.0);
    let mut first = scenario.portfolio.accounts[0].clone();
    first.cash = 0.05 * notional;
    let mut second = shortfall::portfolio::Account { name: "two".to_owned(), ..first.clone() };
    second.holdings[0].quantity *= 2.0;
    second.cash = 0.2 * notional;
    scenario.portfolio.accounts = vec![first, second];
    // At a fall of f: f - 0.05 of one, 2 f - 0.2 of the other; together 0.10 at f = 0.35 / 3.
    let size = 0.1 * notional;
    let fund = Options { accounts: Vec::new(), fund: Some(size), ..options() };
    let found = analyse(&scenario, &fund).holders.remove(0);
    assert!(found.account.is_none() && (found.buffer - size).abs() < 1e-6 * size);
    let wanted = (1.0 - 0.35 / 3.0f64).ln();
    assert!((log_return(&found, "BTC") - wanted).abs() < 1e-4, "{found:?} {wanted}");
    let deviation = 0.8 * DAY.sqrt();
    let exact =
        shortfall::closed_form::special::normal_cdf((wanted + 0.5 * deviation * deviation) / deviation);
    let probability = &found.probability;
    assert!((probability.simulated - exact).abs() < ERRORS * probability.simulated_error, "{probability:?}");
    // A larger fund is exhausted by a larger move: negative control.
    let larger = Options { fund: Some(2.0 * size), ..fund };
    let larger = analyse(&scenario, &larger).holders.remove(0);
    assert!(log_return(&larger, "BTC") < wanted - 0.01);
}

#[test]
fn deposits_and_hedges_bring_the_probability_down_to_the_target() {
    let volatility = 0.8;
    let mut scenario = normal([volatility; 3]);
    let [notional, _] = long(&mut scenario, 10.0, 0.0001, 0.0);
    scenario.portfolio.accounts[0].cash = 0.08 * notional;
    let target = 0.005;
    let found = analyse(&scenario, &Options { target, ..options() }).holders.remove(0);
    let remedy = found.remedy.as_ref().expect("it fails too often");
    // The normal quantile of the target.
    let deviation = volatility * DAY.sqrt();
    let quantile = -shortfall::closed_form::special::normal_upper_quantile(target);
    let fall = -(quantile * deviation - 0.5 * deviation * deviation).exp_m1();
    let wanted = (fall - 0.08) * notional;
    // Error of a quantile: sqrt(p (1 - p) / n) over the density of losses.
    let density = (-0.5 * quantile * quantile).exp() / (std::f64::consts::TAU.sqrt() * deviation);
    let error = (target / PATHS as f64).sqrt() / density * notional;
    assert!((remedy.deposit - wanted).abs() < ERRORS * error, "{remedy:?} {wanted} ± {error}");
    let again = &remedy.deposit_again;
    let off = (again.probability.simulated - target).abs();
    assert!(off < ERRORS * 2f64.sqrt() * again.probability.simulated_error, "{again:?}");
    assert!(again.mahalanobis.unwrap() > found.likeliest.as_ref().unwrap().mahalanobis + 0.1, "farther out");
    // Selling coins leaves `(10 - q)` of them: at the quantile they lose what there is.
    let hedge = remedy.hedge.as_ref().expect("a perpetual does it");
    assert_eq!(hedge.instrument, "BTC_USDC-PERPETUAL");
    let coins = 10.0 * (1.0 - 0.08 / fall);
    assert!((hedge.quantity / -coins - 1.0).abs() < 0.1, "{hedge:?} {coins}");
    let again = &remedy.hedge_again.as_ref().unwrap().probability;
    assert!((again.simulated - target).abs() < ERRORS * 2f64.sqrt() * again.simulated_error, "{again:?}");
    // Where the target holds there is nothing to do.
    let enough = analyse(&scenario, &Options { target: 0.2, ..options() }).holders.remove(0);
    assert!(enough.remedy.is_none() && enough.likeliest.is_some());
    // An instrument that is none, and one that is gone too soon, are both named.
    let hedges = vec!["BTX-PERPETUAL".to_owned(), "BTC-99XXX26-1-P".to_owned()];
    let fault =
        reverse::analyse(&scenario, &Options { hedges, target, ..options() }, &mut |_| ()).unwrap_err();
    assert!(
        ["BTX-PERPETUAL", "BTC-99XXX26-1-P"].iter().all(|name| fault.to_string().contains(name)),
        "{fault}"
    );
}

#[test]
fn the_highest_density_may_stand_in_a_narrow_region() {
    // A common jump moves them all, a jump of SOL alone is wide and rare.
    let mut scenario = normal([0.3; 3]);
    let jumps = |intensity_annual: f64, size: JumpSize| Some(Jumps { intensity_annual, size });
    scenario.market.common_jumps = jumps(10.0, JumpSize::Merton { mean: -0.15, sd: 0.08 });
    scenario.market.assets[2].own_jumps =
        jumps(2.0, JumpSize::Kou { up_probability: 0.0, up_rate: 50.0, down_rate: 3.0 });
    scenario.market.assets.iter_mut().for_each(|asset| asset.common_jump_loading = 1.0);
    hold(
        &mut scenario,
        &[("BTC_USDC-PERPETUAL", 1.0), ("ETH_USDC-PERPETUAL", 35.0), ("SOL_USDC-PERPETUAL", 800.0)],
    );
    scenario.portfolio.accounts[0].cash = 35_000.0;
    let found = one(&scenario);
    // Both ways are told, with their parts of the probability, and both are seen by simulation.
    let part = |name: &str| found.ways.iter().find(|way| way.pattern == name).map_or(0.0, |way| way.part);
    assert!(part("common jump") > 0.5 && part("SOL jump down") > 0.01, "{:?}", found.ways);
    assert_eq!(found.ways[0].pattern, "common jump", "the most probable first");
    let sum: f64 = found.ways.iter().map(|way| way.part).sum();
    assert!(sum < 1.0 + 1e-9 && sum > 0.9, "{sum}");
    let probability = &found.probability;
    let errors = probability.simulated_error.hypot(probability.sampled_error.unwrap());
    assert!(
        (probability.simulated - probability.sampled.unwrap()).abs() < ERRORS * errors,
        "{probability:?}"
    );
    // In the one all fall together, in the other SOL alone.
    let moved = |name: &str, asset: &str| {
        let way = found.ways.iter().find(|way| way.pattern == name).expect("told");
        way.likeliest.assets.iter().find(|a| a.asset == asset).expect("it moves").relative_move
    };
    assert!(moved("common jump", "BTC") < -0.1 && moved("SOL jump down", "BTC") > -0.05, "{:?}", found.ways);
    assert!(moved("SOL jump down", "SOL") < -0.3, "{:?}", found.ways);
}
