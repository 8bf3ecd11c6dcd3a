//! Liquidation against closed forms of one linear position in normal returns, and cascades made by hand.

use shortfall::closed_form::special::normal_cdf;
use shortfall::liquidation::{self, Analysis, Options, Rung};
use shortfall::margin::{self, Line, Manipulation, OracleRule};
use shortfall::market::{Book, Liquidity};
use shortfall::oracle::Pushes;
use shortfall::portfolio::Account;
use shortfall::scenario::{Scenario, Shock, Stress};

use crate::book::{hold, normal, quickstart, run};

const PATHS: u64 = 16_384;
const VOLATILITY: f64 = 0.9;
const COINS: f64 = 10.0;
/// Standard errors that a sampled figure may be off.
const ERRORS: f64 = 5.0;

fn options() -> Options {
    Options {
        paths: PATHS,
        checks: 8,
        top: 1,
        target_health: 1.0,
        falls: Vec::new(),
        surface: None,
        case: None,
    }
}

fn analyse(scenario: &Scenario, options: &Options) -> Analysis {
    liquidation::analyse(scenario, options, &mut |_| ()).unwrap_or_else(|fault| panic!("{fault}"))
}

/// A long of ten bitcoin, linear, with some cash.
fn long(cash: f64) -> Scenario {
    let mut scenario = normal([VOLATILITY; 3]);
    scenario.simulation.paths = PATHS;
    hold(&mut scenario, &[("BTC_USDC-PERPETUAL", COINS)]);
    scenario.portfolio.accounts[0].cash = cash;
    scenario
}

/// Margin over notional, and the return at which equity is the margin: both go with the price.
fn root(scenario: &Scenario) -> (f64, f64) {
    let notional = COINS * scenario.market.assets[0].perpetual_mark;
    let account = run(scenario).cases[0].accounts.as_ref().expect("it ran")[0].clone();
    let unit = account.margin.maintenance_margin / notional;
    (unit, (unit - account.value.equity / notional) / (1.0 - unit))
}

#[test]
fn the_liquidation_price_of_a_linear_book_has_a_closed_form() {
    let scenario = long(150_000.0);
    let (unit, wanted) = root(&scenario);
    let found = analyse(&scenario, &options());
    let account = &found.accounts[0];
    assert_eq!(account.liquidation_prices.len(), 1, "{account:?}");
    let price = &account.liquidation_prices[0];
    // Health within a thousandth: a thousandth of the margin, over how equity less margin moves.
    let slack = 2e-3 * unit / (1.0 - unit);
    assert!((price.relative_move - wanted).abs() < slack, "{price:?} {wanted}");
    assert!((price.price / scenario.market.assets[0].spot - 1.0 - price.relative_move).abs() < 1e-12);
    assert!((price.health_there.unwrap() - 1.0).abs() < 1e-3);
    assert!((price.relative_move - (wanted - unit)).abs() > slack, "negative control");
    assert_eq!(account.rung, Rung::Watch, "a health of 1.7");
}

#[test]
fn breaches_and_losses_at_the_end_have_closed_forms() {
    let scenario = long(100_000.0);
    let (_, threshold) = root(&scenario);
    let account = &analyse(&scenario, &options()).accounts[0];
    let deviation = VOLATILITY / 365f64.sqrt();
    let below = |level: f64| normal_cdf((level.ln() + 0.5 * deviation * deviation) / deviation);
    let probability = below(1.0 + threshold);
    let error = (probability * (1.0 - probability) / PATHS as f64).sqrt();
    let breach = &account.breach;
    // The threshold is itself from the margin's sample, and interpolated: a tenth of the probability.
    assert!(
        (breach.probability_at_end - probability).abs() < ERRORS * error + 0.1 * probability,
        "{breach:?} {probability}"
    );
    // On the way it is more: by the reflection principle up to about twice.
    let ratio = breach.probability / breach.probability_at_end;
    assert!((1.1..2.1).contains(&ratio), "{ratio}");
    let seldom = analyse(&scenario, &Options { checks: 2, ..options() });
    assert!(seldom.accounts[0].breach.probability < breach.probability);

    // E[(L - equity)+] is a put of Black on ten bitcoin, struck where the cash is gone.
    let scenario = long(20_000.0);
    let notional = COINS * scenario.market.assets[0].perpetual_mark;
    let strike = 1.0 - 20_000.0 / notional;
    let d = (strike.ln() + 0.5 * deviation * deviation) / deviation;
    let put = notional * (strike * normal_cdf(d) - normal_cdf(d - deviation));
    let account = &analyse(&scenario, &options()).accounts[0];
    let end = account.breach.delays.last().unwrap();
    let off = (end.loss_beyond_collateral - put).abs();
    assert!(off < ERRORS * end.standard_error, "{end:?} {put}");
    assert!((0.5 * end.loss_beyond_collateral - put).abs() > ERRORS * end.standard_error, "negative control");
    // The later it is seen, the more is lost.
    let losses: Vec<f64> = account.breach.delays.iter().map(|delay| delay.loss_beyond_collateral).collect();
    assert!(losses.len() == 4 && losses.windows(2).all(|pair| pair[0] <= pair[1]), "{losses:?}");
}

#[test]
fn trades_restore_health_and_fewer_do_not() {
    let mut scenario = normal([VOLATILITY; 3]);
    scenario.simulation.paths = PATHS;
    hold(
        &mut scenario,
        &[("BTC_USDC-PERPETUAL", 10.0), ("ETH_USDC-PERPETUAL", 300.0), ("SOL_USDC-PERPETUAL", -500.0)],
    );
    scenario.portfolio.accounts[0].cash = 90_000.0;
    let account = &analyse(&scenario, &options()).accounts[0];
    let reduction = account.reduction.as_ref().expect("it is in breach");
    assert!(reduction.is_restored && reduction.health_after.unwrap() >= 1.0, "{reduction:?}");
    let health = |part: f64| {
        let mut after = scenario.clone();
        for trade in &reduction.trades {
            let instruments = &after.portfolio.instruments;
            let index = instruments.iter().position(|i| i.name == trade.instrument).unwrap();
            after.portfolio.accounts[0].holdings[index].quantity += part * trade.quantity;
        }
        run(&after).cases[0].accounts.as_ref().expect("it ran")[0].margin.health.unwrap()
    };
    assert!((health(1.0) - reduction.health_after.unwrap()).abs() < 1e-6, "the same by a run of one's own");
    assert!(health(0.9) < 1.0, "nine tenths of the trades are too few");
    assert!(reduction.deposit_instead > 0.0);
    assert!((reduction.deposit_instead - (account.maintenance_margin - account.equity)).abs() < 1e-6);
    // A hedge is not sold off: the short of SOL offsets the longs.
    assert!(reduction.trades.iter().all(|trade| !trade.instrument.starts_with("SOL")), "{reduction:?}");
}

#[test]
fn one_liquidation_sets_off_another() {
    let mut scenario = normal([VOLATILITY; 3]);
    scenario.simulation.paths = PATHS;
    let notional = 1000.0 * scenario.market.assets[0].perpetual_mark;
    hold(&mut scenario, &[("BTC_USDC-PERPETUAL", 1000.0)]);
    let (first, second) = (scenario.portfolio.accounts[0].clone(), 0.001);
    let mut accounts: Vec<Account> = Vec::new();
    // A large account of a quarter of its notional, and a small one with a little more.
    for (name, size, cash) in [("large", 1.0, 0.25), ("small", second, 0.30)] {
        let mut account = Account { name: name.to_owned(), ..first.clone() };
        account.holdings[0].quantity *= size;
        account.cash = cash * size * notional;
        accounts.push(account);
    }
    scenario.portfolio.accounts = accounts;
    let falls = Options { falls: vec![0.02, 0.16], top: 0, ..options() };
    assert!(analyse(&scenario, &falls).cascades.is_empty(), "no liquidity, no cascade");
    let liquid = |depth: f64| Liquidity {
        daily_volume: 1e12,
        half_spread: 0.0,
        volatility_half_spread: 0.0,
        book: Some(Book { depth, band: 0.1 }),
        pool: None,
    };
    let cascades = |scenario: &mut Scenario, depth: f64| {
        scenario.market.assets.iter_mut().for_each(|asset| asset.liquidity = Some(liquid(depth)));
        analyse(scenario, &falls).cascades
    };
    let found = cascades(&mut scenario, notional);
    assert_eq!((found[0].liquidated_by_fall, found[0].liquidated, found[0].waves.len()), (0, 0, 0));
    // 84 % of the notional is sold into a book of it all within 10 %: the square-root law of a day's
    // volume of 10^12 is the cheaper route, so the price moves by 4.7 % of sqrt(6e-5).
    let one = &found[1];
    assert_eq!(one.liquidated_by_fall, 1, "{one:?}");
    let thin = {
        scenario.market.assets.iter_mut().for_each(|asset| {
            asset.liquidity = Some(Liquidity { daily_volume: 1e7, ..liquid(0.84 * notional) });
        });
        analyse(&scenario, &falls).cascades
    };
    // Now it moves by the whole band.
    assert!((thin[1].waves[0].largest_move - 0.1).abs() < 1e-9, "{:?}", thin[1]);
    assert_eq!((thin[1].liquidated_by_fall, thin[1].liquidated, thin[1].waves.len()), (1, 2, 2));
    assert!(thin[1].loss_with >= thin[1].loss_without && one.liquidated == 1, "{one:?}");
}

#[test]
fn pushing_the_oracle_to_a_liquidation_price_pays_against_a_shallow_pool() {
    let mut scenario = long(150_000.0);
    let pushed = |scenario: &mut Scenario, pool: f64| {
        let pushes = Pushes::new(0.0, 12.0, 2, 0.5);
        let manipulation = Some(Manipulation { pushes, pools: vec![Some(pool); 3] });
        scenario.margin.add_ons.oracle = Some(OracleRule { manipulation, ..OracleRule::default() });
        let account = analyse(scenario, &options()).accounts.remove(0);
        let price = account.liquidation_prices.first().expect("it has one").clone();
        (price.push.expect("within what is believed"), price.relative_move)
    };
    // Deep: healthy, and pushing it to where it fails gains less than it costs.
    let (deep, by) = pushed(&mut scenario, 1e10);
    let notional = COINS * scenario.market.assets[0].perpetual_mark;
    assert!(by < 0.0 && !deep.pays, "{deep:?} {by}");
    assert!(
        (deep.gain / (notional * by.abs()) - 1.0).abs() < 1e-9 && deep.attack.deviation == by,
        "{deep:?}"
    );
    // Shallow: the charge puts it in breach, and it would pay its owner to push the price up until it passes.
    let (shallow, by) = pushed(&mut scenario, 1.2e7);
    assert!(by > 0.0 && shallow.pays && shallow.attack.cost < shallow.gain, "{shallow:?} {by}");
}

#[test]
fn a_stress_is_looked_at_as_it_runs() {
    let mut scenario = quickstart();
    scenario.simulation.paths = PATHS;
    scenario.attribution = shortfall::scenario::Selection::None;
    let fall = vec![(0, -0.1), (1, -0.15)];
    scenario.stresses = vec![Stress { name: "fall".to_owned(), shocks: vec![Shock::Spot(fall)] }];
    let ran = run(&scenario).cases[1].accounts.clone().expect("it ran");
    let small = Options { paths: 1024, checks: 2, top: 0, case: Some(0), ..options() };
    let found = analyse(&scenario, &small);
    assert_eq!(found.case, "fall");
    let base = analyse(&scenario, &Options { case: None, ..small });
    for account in &found.accounts {
        let same = |case: &&shortfall::run::AccountCase| {
            scenario.portfolio.accounts[case.account].name == account.account
        };
        let case = ran.iter().find(same).expect("everybody ran");
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * case.value.gross_notional;
        assert!(near(account.equity, case.value.equity), "{account:?} {case:?}");
        assert!(near(account.maintenance_margin, case.margin.maintenance_margin), "{account:?} {case:?}");
    }
    let equity = |analysis: &Analysis| analysis.accounts.iter().map(|a| a.equity).sum::<f64>();
    assert!(equity(&found) < equity(&base) - 1000.0, "negative control");
}

#[test]
fn money_in_coins_is_the_same_money() {
    let scenario = long(150_000.0);
    let mut coins = scenario.clone();
    coins.reporting_asset = Some(1);
    let (dollars, coins) = (analyse(&scenario, &options()), analyse(&coins, &options()));
    assert_eq!((dollars.currency.as_str(), coins.currency.as_str()), ("USD", "ETH"));
    let spot = scenario.market.assets[1].spot;
    let (one, other) = (&dollars.accounts[0], &coins.accounts[0]);
    assert!((other.equity * spot / one.equity - 1.0).abs() < 1e-9);
    let price = other.liquidation_prices.iter().find(|price| price.asset == "BTC").expect("it has one");
    assert!((price.health_there.unwrap() - 1.0).abs() < 1e-3, "{price:?}");
    // Not the same price: in coins a dollar is at risk as well.
    assert!((0.0..1.0).contains(&other.breach.probability) && other.maintenance_margin > 0.0);
}

#[test]
fn trades_stop_where_health_is_restored() {
    let mut scenario = normal([VOLATILITY; 3]);
    scenario.simulation.paths = PATHS;
    hold(&mut scenario, &[("BTC_USDC-PERPETUAL", 10.0), ("ETH_USDC-PERPETUAL", 300.0)]);
    scenario.portfolio.accounts[0].cash = 250_000.0;
    // Closing costs more than the risk: thin markets, ETH the thinner one.
    let liquid = |daily_volume: f64| Liquidity {
        daily_volume,
        half_spread: 0.001,
        volatility_half_spread: 0.0,
        book: None,
        pool: None,
    };
    for (asset, volume) in scenario.market.assets.iter_mut().zip([1e7, 1e6, 1e7]) {
        asset.liquidity = Some(liquid(volume));
    }
    scenario.margin.add_ons.liquidation = Some(margin::Liquidation { participation: 0.1, impact: 4.0 });
    let case = run(&scenario).cases[0].accounts.as_ref().expect("it ran")[0].clone();
    let lines = case.margin.maintenance_lines;
    let added = lines.get(Line::LiquidationCost) + lines.get(Line::LiquidationHorizon);
    assert!(added > lines.get(Line::ExpectedShortfall), "add-ons dominate: {lines:?}");
    let account = &analyse(&scenario, &options()).accounts[0];
    let reduction = account.reduction.as_ref().expect("it is in breach");
    let health = reduction.health_after.expect("it has a margin");
    assert!(
        reduction.is_restored && (1.0..1.0 + 2e-3).contains(&health),
        "no more than needed: {reduction:?}"
    );
    assert!(reduction.trades[0].instrument.starts_with("ETH"), "where closing is dear: {reduction:?}");
}

#[test]
fn the_fund_says_whether_its_paths_are_enough() {
    let scenario = long(20_000.0);
    let few = analyse(&scenario, &Options { paths: 2048, top: 0, ..options() }).fund;
    assert!((few.tail_paths - 2.048).abs() < 1e-9 && !few.is_sampled_enough, "{few:?}");
    let needed = few.paths_needed.expect("it loses");
    assert!(needed >= 10_000, "{needed}");
    let more = analyse(&scenario, &Options { paths: 65_536, top: 0, checks: 2, ..options() }).fund;
    assert!(more.is_sampled_enough, "{more:?}");
    let error = more.at_end.all_error / more.at_end.all;
    let wanted = 65_536.0 * (error / 0.1) * (error / 0.1);
    assert!(more.paths_needed.unwrap() as f64 >= wanted * 0.999, "{more:?} {wanted}");
    let safe = analyse(&long(1e9), &Options { paths: 2048, top: 0, ..options() }).fund;
    assert_eq!(safe.paths_needed, None, "nothing is lost");
}
