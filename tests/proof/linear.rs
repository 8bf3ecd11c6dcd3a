//! Linear books whose VaR and Expected Shortfall are known: normal, Student-t, Merton and Kou
//! returns, and portfolios of several assets.

use std::collections::BTreeMap;

use shortfall::closed_form::expected_shortfall::{LossGrid, TailLaw, book_tail};
use shortfall::closed_form::special::{student_density, student_upper_quantile};
use shortfall::closed_form::{KouModel, MertonModel, TailFigures};
use shortfall::instrument::Kind;
use shortfall::market::{Correlation, Jumps, Market};
use shortfall::risk::{TailEstimate, exact};
use shortfall::scenario::Precision;

use crate::fixture::{
    AnyCube, BOTH, DAY, INVERSE_PERPETUAL, LINEAR_PERPETUAL, Setup, asset, confidence, kou, market, merton,
    tail_group,
};
use crate::score::Scores;
use crate::table::{Row, read};

const PATHS: u64 = 500_009;
/// Where there are many steps or many assets.
const FEWER_PATHS: u64 = 200_003;

fn add(scores: &mut Scores, place: &str, ours: &TailEstimate, truth: TailFigures) {
    scores.add(format!("{place} VaR"), ours.value_at_risk, ours.value_at_risk_error, truth.value_at_risk);
    let (es, error) = (ours.expected_shortfall, ours.expected_shortfall_error);
    scores.add(format!("{place} ES"), es, error, truth.expected_shortfall);
}

/// Rows of a table by parameter set and horizon: one job each.
fn groups(rows: Vec<Row>) -> Vec<Vec<Row>> {
    let mut groups: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for row in rows {
        let key = (row.text("set").to_owned(), row.text("horizon_days_365").to_owned());
        groups.entry(key).or_default().push(row);
    }
    groups.into_values().collect()
}

/// One unit of an asset at 1, long and short, in every linear instrument.
fn one_asset(jumps: Option<Jumps>, volatility: f64, rows: &[Row], seed: u64) -> Setup {
    let jumping = shortfall::market::Asset { own_jumps: jumps, ..asset(1.0, volatility) };
    let confidences: Vec<f64> = rows.iter().map(|row| row.number("alpha")).collect();
    let mut setup = Setup::new(market(vec![jumping]), rows[0].number("horizon_days_365"), &confidences, seed);
    for side in [1.0, -1.0] {
        for kind in [Kind::Spot, LINEAR_PERPETUAL, INVERSE_PERPETUAL] {
            setup.account(&[(0, kind, side)]);
        }
    }
    setup
}

fn add_rows(scores: &mut Scores, rows: &[Row], estimates: &[Vec<TailEstimate>], what: &str) {
    for (account, estimates) in estimates.iter().enumerate() {
        let side = if account < 3 { "long" } else { "short" };
        for (row, estimate) in rows.iter().zip(estimates) {
            let truth = TailFigures {
                value_at_risk: row.number(&format!("VaR_{side}")),
                expected_shortfall: row.number(&format!("ES_{side}")),
            };
            add(scores, &format!("{row} {what} account {account}"), estimate, truth);
        }
    }
}

fn merton_model(row: &Row) -> MertonModel {
    MertonModel {
        volatility: row.number("sigma"),
        intensity: row.number("lambda"),
        mean_log_jump: row.number("mean_log_jump"),
        sd_log_jump: row.number("sd_log_jump"),
    }
}

fn merton_setup(rows: &[Row], seed: u64) -> Setup {
    let model = merton_model(&rows[0]);
    let jumps = merton(model.intensity, model.mean_log_jump, model.sd_log_jump);
    one_asset(jumps, model.volatility, rows, seed)
}

#[test]
fn normal_and_merton_positions() {
    let mut scores = Scores::new("linear books, normal and Merton");
    for (seed, rows) in groups(read("merton_linear_es.csv", 30)).into_iter().enumerate() {
        let setup = merton_setup(&rows, seed as u64);
        for precision in BOTH {
            add_rows(&mut scores, &rows, &setup.estimates(precision, PATHS), &precision.to_string());
        }
        // Log returns themselves, sorted.
        let job = setup.job();
        for precision in BOTH {
            let mut x = AnyCube::new(&job, precision, FEWER_PATHS).factor(&job, 0, 0, 0, FEWER_PATHS);
            for (side, sign) in [("loglong", 1.0), ("logshort", -1.0)] {
                x.iter_mut().for_each(|x| *x = -*x);
                for row in &rows {
                    let truth = TailFigures {
                        value_at_risk: row.number(&format!("VaR_{side}")),
                        expected_shortfall: row.number(&format!("ES_{side}")),
                    };
                    let ours = exact(&mut x, confidence(row.number("alpha")));
                    add(&mut scores, &format!("{row} {precision} log {sign}"), &ours, truth);
                }
            }
        }
    }
    scores.finish();
}

#[test]
fn many_steps_have_the_law_of_one() {
    let mut scores = Scores::new("linear books, Merton in 24 steps");
    for (seed, rows) in groups(read("merton_linear_es.csv", 30)).into_iter().enumerate() {
        let setup = Setup { steps: 24, exact_steps: false, ..merton_setup(&rows, 100 + seed as u64) };
        assert_eq!(setup.job().steps(), 24);
        let precision = BOTH[seed % 2];
        add_rows(&mut scores, &rows, &setup.estimates(precision, FEWER_PATHS), "24 steps");
    }
    scores.finish();
}

/// In the coin an inverse perpetual of one dollar long loses `exp(-x) - 1` coins.
#[test]
fn inverse_perpetuals_in_the_coin() {
    let mut scores = Scores::new("inverse perpetuals in the coin");
    let grid = LossGrid { kinks: Vec::new(), panel_width_max: 0.02 };
    for (seed, rows) in groups(read("merton_linear_es.csv", 30)).into_iter().enumerate() {
        let mut setup = merton_setup(&rows, 200 + seed as u64);
        setup.numeraire = Some(0);
        let law = merton_model(&rows[0]).law(rows[0].number("horizon_days_365") * DAY).expect("valid");
        for precision in BOTH {
            let estimates = setup.estimates(precision, FEWER_PATHS);
            for (account, side) in [(2, 1.0), (5, -1.0)] {
                for (row, estimate) in rows.iter().zip(&estimates[account]) {
                    let truth = book_tail(|x| side * (-x).exp_m1(), &law, &grid, row.number("alpha"));
                    add(&mut scores, &format!("{row} {precision} {side}"), estimate, truth.expect("valid"));
                }
            }
            // The coin itself is worth one coin.
            for estimate in estimates[0].iter().chain(&estimates[3]) {
                assert!(estimate.expected_shortfall.abs() < 1e-6, "{estimate:?}");
            }
        }
    }
    scores.finish();
}

#[test]
fn kou_positions() {
    let mut scores = Scores::new("linear books, Kou");
    for (seed, rows) in groups(read("kou_linear_es.csv", 18)).into_iter().enumerate() {
        let row = &rows[0];
        let jumps = kou(row.number("lambda"), row.number("p_up"), row.number("eta1"), row.number("eta2"));
        let setup = one_asset(jumps, row.number("sigma"), &rows, 300 + seed as u64);
        for precision in BOTH {
            add_rows(&mut scores, &rows, &setup.estimates(precision, PATHS), &precision.to_string());
        }
    }
    scores.finish();
}

/// Wrong engines: jumps of 10 % more spread, of the other sign, not compensated; each must miss.
#[test]
fn a_wrong_law_is_seen() {
    let rows = groups(read("merton_linear_es.csv", 30)).into_iter().find(|r| r[0].text("set") == "M4");
    let rows = rows.expect("the set M4");
    let model = merton_model(&rows[0]);
    let compensator = model.intensity * model.mean_relative_jump();
    let wrong = [
        (merton(model.intensity, model.mean_log_jump, 1.1 * model.sd_log_jump), 0.0),
        (merton(model.intensity, model.mean_log_jump - 0.003, model.sd_log_jump), 0.0),
        (merton(model.intensity, model.mean_log_jump, model.sd_log_jump), 20.0 * compensator),
    ];
    for (jumps, drift) in wrong {
        let mut scores = Scores::new("a wrong law");
        let mut setup = one_asset(jumps, model.volatility, &rows, 7);
        setup.market.assets[0].drift_annual = drift;
        add_rows(&mut scores, &rows, &setup.estimates(Precision::F32, PATHS), "wrong");
        scores.finish_wrong();
    }
    let mut scores = Scores::new("Kou with its sides exchanged");
    let rows = groups(read("kou_linear_es.csv", 18)).swap_remove(0);
    let row = &rows[0];
    let model = KouModel {
        volatility: row.number("sigma"),
        intensity: row.number("lambda"),
        p_up: row.number("p_up"),
        eta_up: row.number("eta1"),
        eta_down: row.number("eta2"),
    };
    let jumps = kou(model.intensity, 1.0 - model.p_up, model.eta_down, model.eta_up);
    let setup = one_asset(jumps, model.volatility, &rows, 7);
    add_rows(&mut scores, &rows, &setup.estimates(Precision::F32, FEWER_PATHS), "exchanged");
    scores.finish_wrong();
}

/// VaR and ES of `1 - exp(drift + sd T)`, `T` Student-t of unit variance. With `t = q/w` the tail
/// integral runs over `0 < w < 1`, where Simpson's rule sees a smooth integrand.
fn student_long(nu: f64, drift: f64, sd: f64, alpha: f64) -> TailFigures {
    let tail = 1.0 - alpha;
    let scale = sd * ((nu - 2.0) / nu).sqrt();
    let q = student_upper_quantile(tail, nu);
    let integrand = |w: f64| {
        let t = q / w;
        if w == 0.0 { 0.0 } else { -(drift - scale * t).exp_m1() * student_density(t, nu) * t / w }
    };
    TailFigures {
        value_at_risk: -(drift - scale * q).exp_m1(),
        expected_shortfall: simpson(integrand, 0.0, 1.0) / tail,
    }
}

fn simpson(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    const HALVES: u32 = 4000;
    let h = (high - low) / f64::from(HALVES);
    let weight = |i: u32| if i == 0 || i == HALVES { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    (0..=HALVES).map(|i| weight(i) * f(low + h * f64::from(i))).sum::<f64>() * h / 3.0
}

#[test]
fn student_positions() {
    let mut scores = Scores::new("linear books, Student-t");
    let mut wrong = Scores::new("Student-t of another nu");
    for (seed, (nu, volatility, horizon)) in
        [(2.5, 0.5, 1.0), (3.0, 0.6, 1.0), (4.0, 0.8, 5.0), (6.0, 0.3, 10.0), (30.0, 1.0, 2.0)]
            .into_iter()
            .enumerate()
    {
        let mut one = market(vec![asset(1.0, volatility)]);
        one.tail_groups = vec![tail_group(nu)];
        one.assets[0].tail_group = Some(0);
        let confidences = [0.975, 0.99, 0.999];
        let mut setup = Setup::new(one, horizon, &confidences, 400 + seed as u64);
        setup.account(&[(0, Kind::Spot, 1.0)]).account(&[(0, LINEAR_PERPETUAL, -1.0)]);
        let sd = volatility * (horizon * DAY).sqrt();
        let drift = -0.5 * sd * sd;
        for precision in BOTH {
            let estimates = setup.estimates(precision, PATHS);
            for (level, alpha) in confidences.into_iter().enumerate() {
                let place = format!("nu {nu} alpha {alpha} {precision}");
                let truth = student_long(nu, drift, sd, alpha);
                add(&mut scores, &place, &estimates[0][level], truth);
                add(&mut wrong, &place, &estimates[0][level], student_long(nu * 1.1, drift, sd, alpha));
                // A short has no Expected Shortfall: E[exp] of a t does not exist. Its VaR does.
                let q = student_upper_quantile(1.0 - alpha, nu) * ((nu - 2.0) / nu).sqrt();
                let short = &estimates[1][level];
                let value_at_risk = (drift + sd * q).exp_m1();
                scores.add(
                    format!("{place} short"),
                    short.value_at_risk,
                    short.value_at_risk_error,
                    value_at_risk,
                );
            }
        }
    }
    scores.finish();
    wrong.finish_wrong();
}

/// Linear in the log returns, as the table has it, in the limit of small returns: volatilities a
/// ten-thousandth of the table's, weights ten thousand times. The curvature that remains is
/// `sum |w| sd^2 E[T^2 | tail]/2 * 1e-4`, below a tenth of a standard error.
const SMALLNESS: f64 = 1e-4;

fn elliptical_market(row: &Row, smallness: f64) -> Market {
    let sds = row.numbers("horizon_vols");
    let mut assets: Vec<_> = sds.iter().map(|sd| asset(1.0, smallness * sd / DAY.sqrt())).collect();
    let is_t = row.text("dist") == "t";
    for asset in &mut assets {
        asset.tail_group = is_t.then_some(0);
    }
    let mut several = market(assets);
    several.tail_groups = if is_t { vec![tail_group(row.number("nu"))] } else { Vec::new() };
    several.correlation = Correlation::new(sds.len(), row.numbers("correlation")).expect("a correlation");
    several
}

fn elliptical_estimate(row: &Row, several: Market, precision: Precision) -> TailEstimate {
    let mut setup = Setup::new(several, 1.0, &[row.number("alpha")], 500);
    let weights = row.numbers("weights");
    let positions: Vec<_> =
        weights.iter().enumerate().map(|(i, w)| (i, LINEAR_PERPETUAL, w / SMALLNESS)).collect();
    setup.account(&positions);
    setup.estimates(precision, FEWER_PATHS)[0][0]
}

#[test]
fn elliptical_portfolios() {
    let mut scores = Scores::new("elliptical portfolios");
    let mut wrong = Scores::new("elliptical portfolios without correlation");
    for row in read("elliptical_es.csv", 36) {
        let truth = TailFigures { value_at_risk: row.number("VaR"), expected_shortfall: row.number("ES") };
        for precision in BOTH {
            let ours = elliptical_estimate(&row, elliptical_market(&row, SMALLNESS), precision);
            add(&mut scores, &format!("{row} {precision}"), &ours, truth);
        }
        let mut uncorrelated = elliptical_market(&row, SMALLNESS);
        uncorrelated.correlation = Correlation::identity(uncorrelated.assets.len());
        add(&mut wrong, "", &elliptical_estimate(&row, uncorrelated, Precision::F32), truth);
    }
    scores.finish();
    wrong.finish_wrong();
}

/// The t's own quadrature against the closed form of a small volatility.
#[test]
fn the_student_quadrature_is_right() {
    let sd = 1e-7;
    for nu in [2.5, 3.0, 6.0, 30.0] {
        let ours = student_long(nu, 0.0, sd, 0.99);
        let known = TailLaw::StudentUnitVariance { nu }.tail(0.99).expect("valid").scaled(0.0, sd);
        assert!((ours.value_at_risk / known.value_at_risk - 1.0).abs() < 1e-5);
        assert!(
            (ours.expected_shortfall / known.expected_shortfall - 1.0).abs() < 1e-5,
            "{ours:?} {known:?}"
        );
    }
}
