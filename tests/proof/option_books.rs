//! Twelve books of options, fully revalued, against VaR and Expected Shortfall by quadrature: the
//! end-to-end check of everything.
//!
//! In coin units the table divides options alone by the forward and counts `U` legs as money in
//! both units. A coin profit of `F' - F0` is what a second asset pays whose price is the square of
//! the first: twice the log return, so correlation one, double volatility, and common jumps at a
//! loading of two. The coin jobs are a check of these as well.

use std::collections::BTreeMap;

use shortfall::closed_form::MertonModel;
use shortfall::instrument::{Kind, Right, Settlement};
use shortfall::market::{Asset, Correlation, Market};
use shortfall::scenario::Precision;

use crate::books::{Books, Leg, books};
use crate::fixture::{BOTH, INVERSE_PERPETUAL, Setup, asset, market, merton, option};
use crate::score::Scores;
use crate::table::{Row, read};
use crate::tolerance::{BOOK_PRINTED, F32_BOOK, F32_COLLECTED};

const PATHS: u64 = 1_000_003;

fn model(row: &Row) -> MertonModel {
    MertonModel {
        volatility: row.number("sigma"),
        intensity: row.number("lambda"),
        mean_log_jump: row.number("mean_log_jump"),
        sd_log_jump: row.number("sd_log_jump"),
    }
}

/// The asset; in coin units also the asset whose price is its square over the price now.
fn book_market(model: &MertonModel, spot: f64, coin: bool) -> Market {
    let jumps = merton(model.intensity, model.mean_log_jump, model.sd_log_jump);
    let first = asset(spot, model.volatility);
    if !coin {
        return market(vec![Asset { own_jumps: jumps, ..first }]);
    }
    let growth = |loading: f64| jumps.map_or(0.0, |j| j.size.expected_growth(loading).expect("finite"));
    let squared = Asset {
        common_jump_loading: 2.0,
        // Twice the log drift of the first: -v/2 - lambda k(1) becomes that of -4v/2 - lambda k(2).
        drift_annual: model.volatility * model.volatility
            + model.intensity * (growth(2.0) - 2.0 * growth(1.0)),
        ..asset(spot, 2.0 * model.volatility)
    };
    let mut two = market(vec![Asset { common_jump_loading: 1.0, ..first }, squared]);
    two.common_jumps = jumps;
    two.correlation = Correlation::new(2, vec![1.0; 4]).expect("correlation one");
    two
}

fn position(leg: &Leg, forward_now: f64, coin: bool) -> (usize, Kind, f64) {
    let european = |right| option(right, leg.strike, leg.expiry_days, Settlement::Linear, Some(leg.iv));
    match leg.kind.as_str() {
        "C" => (0, european(Right::Call), leg.qty),
        "P" => (0, european(Right::Put), leg.qty),
        "I" => (0, INVERSE_PERPETUAL, leg.qty),
        // Spot of the squared asset is worth `exp(x)` coins of the first.
        "U" if coin => (1, Kind::Spot, leg.qty * forward_now),
        "U" => (0, Kind::Spot, leg.qty),
        other => panic!("leg type {other}"),
    }
}

struct Group {
    setup: Setup,
    rows: Vec<Row>,
    /// What each book's options cost: the size that its losses are rounded to.
    premium: Vec<f64>,
}

/// One job for each parameter set, horizon and unit, with all books.
fn groups(books: &Books, iv_shift: f64) -> Vec<Group> {
    let mut by_key: BTreeMap<[String; 3], Vec<Row>> = BTreeMap::new();
    for row in read("option_books_es.csv", 168) {
        let key = ["set", "horizon_days_365", "unit"].map(|column| row.text(column).to_owned());
        by_key.entry(key).or_default().push(row);
    }
    let mut groups = Vec::new();
    for ([_, horizon, unit], rows) in by_key {
        let coin = unit == "coin";
        let market = book_market(&model(&rows[0]), books.forward_now, coin);
        let horizon_days = horizon.parse().expect("days");
        let mut setup = Setup::new(market, horizon_days, &[0.975, 0.99, 0.995], groups.len() as u64);
        setup.numeraire = coin.then_some(0);
        for legs in books.portfolios.values() {
            let shifted =
                legs.iter().map(|leg| Leg { iv: leg.iv + iv_shift, kind: leg.kind.clone(), ..*leg });
            let positions: Vec<_> = shifted.map(|leg| position(&leg, books.forward_now, coin)).collect();
            setup.account(&positions);
        }
        let units = setup.units();
        let unit_price = if coin { books.forward_now } else { 1.0 };
        let premium = setup.portfolio.accounts.iter().map(|account| {
            let size = |h: &shortfall::portfolio::Holding| {
                h.quantity.abs() * units[h.instrument as usize].market_value.abs()
            };
            account.holdings.iter().map(size).sum::<f64>() / unit_price
        });
        groups.push(Group { premium: premium.collect(), setup, rows });
    }
    groups
}

/// A long call can lose its premium and no more; one row of the table says otherwise.
fn is_impossible(row: &Row) -> bool {
    row.text("portfolio") == "long_call_7d" && row.number("ES") > row.number("V0") * (1.0 + BOOK_PRINTED)
}

fn compare(scores: &mut Scores, books: &Books, group: &Group, precision: Precision) -> usize {
    let estimates = group.setup.estimates(precision, PATHS);
    let mut impossible = 0;
    for row in &group.rows {
        let account = books.portfolios.keys().position(|name| name == row.text("portfolio")).expect("a book");
        let level = [0.975, 0.99, 0.995].iter().position(|&a| a == row.number("alpha")).expect("a level");
        let ours = &estimates[account][level];
        let place = format!("{row} {precision}");
        let (var, es) = (row.number("VaR"), row.number("ES"));
        let unit = if precision == Precision::F32 { F32_BOOK } else { F32_COLLECTED };
        let rounding = |truth: f64| unit * group.premium[account].max(truth) + BOOK_PRINTED * truth;
        scores.add_rounded(
            format!("{place} VaR"),
            ours.value_at_risk,
            ours.value_at_risk_error,
            var,
            rounding(var),
        );
        if is_impossible(row) {
            impossible += 1;
            assert!(ours.expected_shortfall <= row.number("V0") * (1.0 + F32_BOOK), "{place}: {ours:?}");
            continue;
        }
        let error = ours.expected_shortfall_error;
        scores.add_rounded(format!("{place} ES"), ours.expected_shortfall, error, es, rounding(es));
    }
    impossible
}

#[test]
fn option_books() {
    let books = books();
    let groups = groups(&books, 0.0);
    assert_eq!(groups.len(), 16);
    for precision in BOTH {
        let mut scores = Scores::new("option books");
        let impossible: usize =
            groups.iter().map(|group| compare(&mut scores, &books, group, precision)).sum();
        assert_eq!(impossible, 1, "rows of the table that exceed the premium");
        scores.finish();
    }
}

/// Two points of implied volatility more in every leg, or jumps a tenth rarer.
#[test]
fn wrong_books_are_seen() {
    let books = books();
    let mut scores = Scores::new("option books at another volatility");
    compare(&mut scores, &books, &groups(&books, 0.02)[1], Precision::F32);
    scores.finish_wrong();
    let mut scores = Scores::new("option books with rarer jumps");
    let mut group = groups(&books, 0.0).swap_remove(4);
    let jumps = group.setup.market.common_jumps.as_mut().or(group.setup.market.assets[0].own_jumps.as_mut());
    jumps.expect("a set with jumps").intensity_annual *= 0.9;
    compare(&mut scores, &books, &group, Precision::F32);
    scores.finish_wrong();
}
