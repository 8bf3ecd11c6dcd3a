//! Are known parameters found again in simulated paths, and published ones in the published series?

use std::path::Path;

use super::{Block, number, reference, table, worse};
use crate::calibrate::chain::{Chain, Quote};
use crate::calibrate::draws::Draws;
use crate::calibrate::garch::{Form, Garch, Innovations, Start};
use crate::calibrate::laws::{Kind, Sample};
use crate::calibrate::{Parameter, chain_model};
use crate::closed_form::black::black_forward;
use crate::closed_form::special::bisect;
use crate::closed_form::{BatesLaw, BatesModel, HestonModel, OptionKind};
use crate::table::Table;
use crate::units::DAYS_PER_YEAR;
use crate::validate::Check;
use crate::validate::fixture::{asset, in_days, market};

const STEPS: usize = 4_000;
/// Standard errors allowed; a right estimator exceeds them once in four hundred.
const ALLOWED: f64 = 3.0;
/// A published figure of six digits may be off by one in its last place, relative to the figure.
const PUBLISHED: f64 = 1e-5;
const BENCHMARK: &str = "equity/dem2gbp_bollerslev_ghysels.csv";
const FITS: &str = include_str!("../../../tests/data/calibrate_garch_fits.csv");

const HESTON: HestonModel = HestonModel {
    variance: 0.2,
    mean_reversion: 3.0,
    long_variance: 0.3,
    volatility_of_variance: 1.5,
    correlation: -0.4,
};
/// Expiries of the chain, in days, and the deviation of its errors, in volatility.
const CHAIN_DAYS: [f64; 6] = [7.0, 14.0, 30.0, 60.0, 120.0, 270.0];
const CHAIN_ERROR: f64 = 0.002;

/// Truths that were simulated and what was found, in the order of the truths.
struct Recovered {
    model: &'static str,
    truths: Vec<(&'static str, f64)>,
    found: Vec<Parameter>,
}

pub(super) fn recovery(data: Option<&Path>) -> Result<Vec<Block>, String> {
    let all = [garch(), gjr(), student(), merton(), kou(), heston(), bates()];
    let all = all.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    let mut checks = Vec::new();
    for of in &all {
        let mut worst = (0.0, String::new());
        for (name, truth) in &of.truths {
            let found = of.found.iter().find(|parameter| parameter.name == *name);
            let found = found.ok_or_else(|| format!("{}: no {name}", of.model))?;
            let error = found.standard_error.unwrap_or(f64::NAN);
            let z = (found.estimate - truth) / error;
            if !f64::is_nan(worst.0) && !(z.abs() <= worst.0) {
                worst = (z.abs(), (*name).to_owned());
            }
            rows.push([
                of.model.to_owned(),
                (*name).to_owned(),
                format!("{truth}"),
                format!("{:.4e}", found.estimate),
                format!("{error:.1e}"),
                format!("{z:+.2}"),
            ]);
        }
        let n = of.truths.len() as u64;
        let note = format!("worst: {}", worst.1);
        checks.push(Check::new(of.model, n, worst.0, ALLOWED, "standard errors", note));
    }
    checks.extend(benchmark(data)?);
    let text = format!(
        "Series of {STEPS} steps simulated from known parameters, then fitted; and chains of {} expiries priced under Heston and \
         Bates, with errors of {} volatility points at every quote, then fitted. Each has one seed, and a right estimator exceeds \
         {ALLOWED} standard errors once in four hundred figures. Below them the GARCH(1,1) of the returns of the German mark \
         against the pound (Bollerslev and Ghysels 1996) against the published benchmark, where that series is at hand.",
        CHAIN_DAYS.len(),
        100.0 * CHAIN_ERROR
    );
    let head =
        ["model", "parameter", "simulated with", "estimate", "standard error", "distance, standard errors"];
    Ok(vec![Block::Text(text), table(head, rows), Block::Checks(checks)])
}

/// The published estimates and standard errors of GARCH(1,1).
fn benchmark(data: Option<&Path>) -> Result<Vec<Check>, String> {
    const NAMES: [&str; 2] = ["published GARCH estimates", "published GARCH standard errors"];
    let Some(path) = data.map(|folder| folder.join(BENCHMARK)) else {
        let why = format!("name the folder that holds `{BENCHMARK}` in SHORTFALL_DATA");
        return Ok(NAMES.map(|name| Check::skipped(name, why.clone())).to_vec());
    };
    let table = Table::read(&path).map_err(|faults| faults.to_string())?;
    let returns = table.rows_any(|row| number(row, "r_pct")).map_err(|faults| faults.to_string())?;
    let form = Form { is_asymmetric: false, innovations: Innovations::Normal, start: Start::Presample };
    let fit = form.fit(&returns, None).ok_or("too few returns")?;
    let published = reference("calibrate_garch_fits.csv", FITS, |row| {
        let is_benchmark = row.cell("model").contains("FCP");
        let name = row.text("param")?.trim_end_matches("[1]").to_owned();
        Some(if is_benchmark {
            Some((name, number(row, "published")?, number(row, "published_se")?))
        } else {
            None
        })
    })?;
    let mut worst = [0.0_f64; 2];
    let mut count = 0;
    for (name, estimate, error) in published.into_iter().flatten() {
        let found = fit.parameters.iter().find(|parameter| parameter.name == name);
        let found = found.ok_or_else(|| format!("no {name}"))?;
        worst[0] = worse(worst[0], (found.estimate / estimate - 1.0).abs());
        let ours = found.standard_error.unwrap_or(f64::NAN);
        worst[1] = worse(worst[1], (ours / error - 1.0).abs());
        count += 1;
    }
    // Standard errors are published from analytic derivatives, and ours are numerical.
    let check = |(index, bound): (usize, f64)| {
        let note = format!("{} returns", returns.len());
        Check::new(NAMES[index], count, worst[index], bound, "of the figure", note)
    };
    Ok([(0, PUBLISHED), (1, 10.0 * PUBLISHED)].map(check).to_vec())
}

fn heston() -> Result<Recovered, String> {
    of_chain("Heston on a chain", "heston", HESTON.into(), 31)
}

fn bates() -> Result<Recovered, String> {
    let model = BatesModel { heston: HESTON, intensity: 2.0, mean_log_jump: -0.12, sd_log_jump: 0.10 };
    of_chain("Bates on a chain", "bates", model, 32)
}

/// A chain priced under a model with normal errors of volatility.
fn of_chain(model: &'static str, name: &str, truth: BatesModel, seed: u64) -> Result<Recovered, String> {
    let mut draws = Draws::new(seed);
    let mut chain = Chain::default();
    for days in CHAIN_DAYS {
        let (years, expiry) = (days / DAYS_PER_YEAR, in_days(days));
        chain.forwards.insert(("X".to_owned(), expiry), 100.0);
        let unit = truth.heston.long_variance.sqrt() * years.sqrt();
        let strikes: Vec<f64> = (-10..=10).map(|i| 0.2 * f64::from(i) * unit).collect();
        let law = BatesLaw::new(truth, years).map_err(|error| error.to_string())?;
        let prices = law.out_of_the_money(&strikes).map_err(|error| error.to_string())?;
        for (k, price) in strikes.into_iter().zip(prices) {
            let kind = if k >= 0.0 { OptionKind::Call } else { OptionKind::Put };
            let sd = bisect(1e-6, 20.0, |sd| black_forward(kind, 1.0, k.exp(), sd) < price);
            let volatility = sd / years.sqrt() + CHAIN_ERROR * draws.normal();
            let volatilities = (volatility - CHAIN_ERROR, volatility + CHAIN_ERROR);
            chain.quotes.push(Quote { asset: "X".to_owned(), expiry, strike: 100.0 * k.exp(), volatilities });
        }
    }
    let fits = chain_model::fit_all(&chain, &market(vec![asset(100.0, 0.5)]), &mut |_| ());
    let found = fits.into_iter().flat_map(|fit| fit.models).find(|fit| fit.name == name);
    let found = found.ok_or_else(|| format!("{model}: no fit"))?.parameters;
    let h = truth.heston;
    let mut truths = vec![
        ("variance", h.variance),
        ("mean_reversion", h.mean_reversion),
        ("long_variance", h.long_variance),
        ("volatility_of_variance", h.volatility_of_variance),
        ("correlation", h.correlation),
    ];
    if truth.intensity > 0.0 {
        truths.extend([
            ("jump_intensity", truth.intensity),
            ("jump_mean", truth.mean_log_jump),
            ("jump_sd", truth.sd_log_jump),
        ]);
    }
    Ok(Recovered { model, truths, found })
}

fn of_garch(
    model: &'static str,
    truth: &Garch,
    form: Form,
    seed: u64,
    truths: Vec<(&'static str, f64)>,
) -> Result<Recovered, String> {
    let mut draws = Draws::new(seed);
    let mut variance = truth.omega / (1.0 - truth.persistence());
    let step = |_| {
        let z = if truth.nu.is_finite() { draws.student(truth.nu) } else { draws.normal() };
        let r = truth.mu + variance.sqrt() * z;
        variance = truth.next_variance(r, variance);
        r
    };
    let returns: Vec<f64> = (0..STEPS).map(step).collect();
    let found = form.fit(&returns, None).ok_or_else(|| format!("{model}: no fit"))?.parameters;
    Ok(Recovered { model, truths, found })
}

fn garch() -> Result<Recovered, String> {
    let truth = Garch { mu: 0.0, omega: 4e-5, alpha: 0.10, gamma: 0.0, beta: 0.85, nu: f64::INFINITY };
    let form = Form { is_asymmetric: false, innovations: Innovations::Normal, start: Start::Presample };
    of_garch("GARCH(1,1)", &truth, form, 11, vec![("omega", 4e-5), ("alpha", 0.10), ("beta", 0.85)])
}

fn gjr() -> Result<Recovered, String> {
    let truth = Garch { mu: 0.0, omega: 3e-5, alpha: 0.04, gamma: 0.10, beta: 0.86, nu: 5.0 };
    let form = Form { is_asymmetric: true, innovations: Innovations::Student, start: Start::Presample };
    let truths = vec![("omega", 3e-5), ("alpha", 0.04), ("gamma", 0.10), ("beta", 0.86), ("nu", 5.0)];
    of_garch("GJR-GARCH(1,1), Student-t", &truth, form, 12, truths)
}

/// Returns of a law, with deviations that change from step to step as a filter's do.
fn of_law(
    model: &'static str,
    kind: Kind,
    truths: Vec<(&'static str, f64)>,
    mut step: impl FnMut(f64) -> f64,
) -> Result<Recovered, String> {
    let deviations: Vec<f64> = (0..STEPS).map(|t| 0.02 * (1.0 + 0.5 * (t as f64 / 90.0).sin())).collect();
    let returns: Vec<f64> = deviations.iter().map(|d| step(*d)).collect();
    let sample = Sample { returns: &returns, deviations: &deviations };
    let found = kind.fit(sample).ok_or_else(|| format!("{model}: no fit"))?.parameters;
    Ok(Recovered { model, truths, found })
}

fn student() -> Result<Recovered, String> {
    let mut draws = Draws::new(21);
    let truths = vec![("scale", 0.9), ("nu", 4.0)];
    of_law("Student-t returns", Kind::Student, truths, |d| 0.9 * d * draws.student(4.0))
}

fn merton() -> Result<Recovered, String> {
    let mut draws = Draws::new(22);
    let truths = vec![("scale", 0.8), ("jump_intensity", 0.03), ("jump_mean", -0.05), ("jump_sd", 0.08)];
    of_law("Merton jumps", Kind::Merton, truths, |d| {
        0.8 * d * draws.normal() + draws.jumps(0.03, |draws| -0.05 + 0.08 * draws.normal())
    })
}

fn kou() -> Result<Recovered, String> {
    let mut draws = Draws::new(23);
    let truths = vec![
        ("scale", 0.7),
        ("jump_intensity", 0.04),
        ("up_probability", 0.3),
        ("up_rate", 16.0),
        ("down_rate", 9.0),
    ];
    let size = |draws: &mut Draws| {
        let is_up = draws.uniform() < 0.3;
        let exponential = -draws.uniform().ln();
        if is_up { exponential / 16.0 } else { -exponential / 9.0 }
    };
    of_law("Kou jumps", Kind::Kou, truths, |d| 0.7 * d * draws.normal() + draws.jumps(0.04, size))
}
