//! VaR and ES of distributions and linear positions against computed tables.

use crate::table::{Row, read};
use crate::tolerance::{FORMULA_RELATIVE, GIL_PELAEZ_RELATIVE, PRINTED_RELATIVE, close};
use shortfall::closed_form::expected_shortfall::distributions::{LinearPortfolio, t_copula_tail_dependence};
use shortfall::closed_form::expected_shortfall::{
    LinearPosition, TailLaw, TailMoments, elliptical_tail, linear_tail,
};
use shortfall::closed_form::{KouModel, MertonModel, ReturnLaw, TailFigures};

fn assert_tail(row: &Row, ours: TailFigures, columns: (&str, &str), relative: f64) {
    let (value_at_risk, shortfall) = (row.number(columns.0), row.number(columns.1));
    assert!(close(ours.value_at_risk, value_at_risk, relative), "{row}\n{columns:?} ours {ours:?}");
    assert!(close(ours.expected_shortfall, shortfall, relative), "{row}\n{columns:?} ours {ours:?}");
}

/// `nu=3` or `xi=0.25;beta=1`.
fn parameters(row: &Row) -> Vec<f64> {
    let fields = row.text("params").split(';').filter(|field| !field.is_empty());
    fields.map(|field| field.split_once('=').expect("name=value").1.parse().expect("number")).collect()
}

#[test]
fn distributions_have_their_tails() {
    for row in read("distribution_es.csv", 70) {
        let law = match (row.text("distribution"), parameters(&row).as_slice()) {
            ("normal", []) => TailLaw::Normal,
            ("student_t (unscaled)", &[nu]) => TailLaw::Student { nu },
            ("laplace", &[scale]) => TailLaw::Laplace { scale },
            ("logistic", &[scale]) => TailLaw::Logistic { scale },
            ("GPD excess (threshold 0)", &[xi, beta]) => TailLaw::GeneralisedPareto { xi, beta },
            ("lognormal loss exp(mu+sZ)", &[mu, sd]) => TailLaw::Lognormal { mu, sd },
            ("short-leg of GBM: loss=1-exp(mu+sZ)", &[mu, sd]) => TailLaw::OneMinusLognormal { mu, sd },
            other => panic!("{row}: {other:?}"),
        };
        let ours = law.tail(row.number("alpha")).expect("valid");
        assert_tail(&row, ours, ("VaR", "ES"), FORMULA_RELATIVE);
    }
}

#[test]
fn the_textbook_position_has_its_tails() {
    let sd = 10_000.0 * 0.2 / 250f64.sqrt();
    for row in read("mfe_style_es.csv", 10) {
        let (law, figure) = row.text("quantity").split_once(' ').expect("law and figure");
        let law = if law == "normal" { TailLaw::Normal } else { TailLaw::StudentUnitVariance { nu: 4.0 } };
        let ours = law.tail(row.number("alpha")).expect("valid").scaled(0.0, sd);
        let ours = if figure == "VaR" { ours.value_at_risk } else { ours.expected_shortfall };
        assert!(close(ours, row.number("calc"), PRINTED_RELATIVE), "{row}\nours {ours}");
    }
}

#[test]
fn elliptical_portfolios_scale_the_standard_tail() {
    for row in read("elliptical_es.csv", 36) {
        let (weights, sds) = (row.numbers("weights"), row.numbers("horizon_vols"));
        let correlation = row.numbers("correlation");
        let portfolio = LinearPortfolio { weights: &weights, horizon_sds: &sds, correlation: &correlation };
        let margin = match row.text("dist") {
            "normal" => TailLaw::Normal,
            _ => TailLaw::StudentUnitVariance { nu: row.number("nu") },
        };
        let sd = portfolio.sd().expect("valid");
        assert!(close(sd, row.number("portfolio_sd"), FORMULA_RELATIVE), "{row}\nours {sd}");
        let ours = elliptical_tail(&portfolio, margin, row.number("alpha")).expect("valid");
        assert_tail(&row, ours, ("VaR", "ES"), FORMULA_RELATIVE);
    }
}

#[test]
fn merton_linear_positions() {
    for row in read("merton_linear_es.csv", 30) {
        let law = merton(&row).law(row.number("horizon_days_365") / 365.0).expect("valid");
        assert!(close(law.sd(), row.number("sd_log_return"), FORMULA_RELATIVE), "{row}");
        for (position, columns) in [
            (LinearPosition::Long, ("VaR_long", "ES_long")),
            (LinearPosition::Short, ("VaR_short", "ES_short")),
            (LinearPosition::LogLong, ("VaR_loglong", "ES_loglong")),
            (LinearPosition::LogShort, ("VaR_logshort", "ES_logshort")),
        ] {
            let ours = linear_tail(&law, position, row.number("alpha")).expect("valid");
            assert_tail(&row, ours, columns, FORMULA_RELATIVE);
        }
    }
}

#[test]
fn kou_linear_positions() {
    for row in read("kou_linear_es.csv", 18) {
        let model = KouModel {
            volatility: row.number("sigma"),
            intensity: row.number("lambda"),
            p_up: row.number("p_up"),
            eta_up: row.number("eta1"),
            eta_down: row.number("eta2"),
        };
        let law = model.law(row.number("horizon_days_365") / 365.0).expect("valid");
        for (position, columns) in [
            (LinearPosition::Long, ("VaR_long", "ES_long")),
            (LinearPosition::Short, ("VaR_short", "ES_short")),
        ] {
            let ours = linear_tail(&law, position, row.number("alpha")).expect("valid");
            assert_tail(&row, ours, columns, GIL_PELAEZ_RELATIVE);
        }
    }
}

/// The partial mean has no table: its total must be the mean, and it must be the integral of the
/// distribution function, `E[X; X <= x] = x F(x) - int F`.
#[test]
fn kou_partial_mean_is_the_integral_of_the_distribution() {
    let model = KouModel { volatility: 0.45, intensity: 5.0, p_up: 0.4, eta_up: 15.0, eta_down: 10.0 };
    let law = model.law(5.0 / 365.0).expect("valid");
    let (low, high) = law.support();
    assert!((law.mean_below(high - 1e-9) - law.mean()).abs() < 1e-13);
    let x = -0.1;
    let panels = 2000;
    let width = (x - low) / f64::from(panels);
    let midpoints = (0..panels).map(|i| low + width * (f64::from(i) + 0.5));
    let integral: f64 = midpoints.map(|m| law.cdf(m)).sum::<f64>() * width;
    let expected = x * law.cdf(x) - integral;
    // The midpoint rule with panels of a hundredth of the scale of the tail.
    assert!((law.mean_below(x) / expected - 1.0).abs() < 1e-4, "{} {expected}", law.mean_below(x));
}

#[test]
fn standard_errors_of_var_and_es() {
    for row in read("es_standard_errors.csv", 12) {
        let alpha = row.number("alpha");
        let moments = match row.text("distribution").strip_prefix('t') {
            Some(nu) => TailMoments::student(nu.parse().expect("nu"), alpha).expect("valid"),
            None => TailMoments::normal(alpha).expect("valid"),
        };
        let errors = moments.standard_errors(alpha).expect("valid");
        for (ours, column) in [
            (moments.value_at_risk, "VaR"),
            (moments.tail_mean, "ES"),
            (errors.value_at_risk_root_n, "sd_VaR_root_n"),
            (errors.expected_shortfall_root_n, "sd_ES_root_n"),
        ] {
            assert!(close(ours, row.number(column), PRINTED_RELATIVE), "{row}\n{column} ours {ours}");
        }
    }
}

#[test]
fn t_copula_tails_depend() {
    for row in read("t_copula_tail_dependence.csv", 21) {
        let ours = t_copula_tail_dependence(row.number("nu"), row.number("rho")).expect("valid");
        assert!(close(ours, row.number("calc"), PRINTED_RELATIVE), "{row}\nours {ours}");
    }
}

/// 100,000 of notional over two days, both directions: figures to a tenth of a cent.
#[test]
fn merton_two_day_position_of_100_000() {
    let model = MertonModel { volatility: 0.6, intensity: 20.0, mean_log_jump: -0.03, sd_log_jump: 0.08 };
    let law = model.law(2.0 / 365.0).expect("valid");
    let figures = |position, alpha| linear_tail(&law, position, alpha).expect("valid").scaled(0.0, 1e5);
    let long = figures(LinearPosition::Long, 0.99);
    let short = figures(LinearPosition::Short, 0.99);
    let lower = figures(LinearPosition::Long, 0.975);
    for (ours, expected) in [
        (long.value_at_risk, 14_149.486),
        (long.expected_shortfall, 17_860.000),
        (short.value_at_risk, 12_480.070),
        (short.expected_shortfall, 15_880.896),
        (lower.value_at_risk, 10_466.898),
        (lower.expected_shortfall, 14_328.378),
    ] {
        assert!((ours - expected).abs() <= 0.00055, "{ours} {expected}");
    }
}

fn merton(row: &Row) -> MertonModel {
    MertonModel {
        volatility: row.number("sigma"),
        intensity: row.number("lambda"),
        mean_log_jump: row.number("mean_log_jump"),
        sd_log_jump: row.number("sd_log_jump"),
    }
}
