//! Known parameters are found again in simulated returns, within three standard errors.

use shortfall::calibrate::Parameter;
use shortfall::calibrate::draws::Draws;
use shortfall::calibrate::garch::{Form, Garch, Innovations, Start};
use shortfall::calibrate::laws::{Kind, LawFit, Sample};

const STEPS: usize = 4000;
/// Standard errors allowed; one seed is one draw, so a right estimator exceeds them once in four hundred.
const ALLOWED: f64 = 3.0;

fn assert_recovered(found: &[Parameter], truth: &[(&str, f64)]) {
    for (name, value) in truth {
        let found =
            found.iter().find(|p| p.name == *name).unwrap_or_else(|| panic!("no {name} in {found:?}"));
        let error = found.standard_error.unwrap_or_else(|| panic!("no standard error of {found:?}"));
        let distance = (found.estimate - value).abs() / error;
        assert!(
            distance <= ALLOWED,
            "{name}: {found:?}, simulated with {value}, {distance:.1} standard errors off"
        );
        // An error so large that anything would pass is none.
        assert!(error < 0.5 * value.abs().max(0.1), "{found:?} says nothing of {value}");
    }
}

fn simulate(model: &Garch, draws: &mut Draws) -> Vec<f64> {
    let mut variance = model.omega / (1.0 - model.persistence());
    let step = |_| {
        let z = if model.nu.is_finite() { draws.student(model.nu) } else { draws.normal() };
        let r = model.mu + variance.sqrt() * z;
        variance = model.next_variance(r, variance);
        r
    };
    (0..STEPS).map(step).collect()
}

#[test]
fn garch_is_recovered_in_any_unit() {
    let truth = Garch { mu: 0.0, omega: 4e-5, alpha: 0.10, gamma: 0.0, beta: 0.85, nu: f64::INFINITY };
    let form = Form { is_asymmetric: false, innovations: Innovations::Normal, start: Start::Presample };
    let returns = simulate(&truth, &mut Draws::new(11));
    let fit = form.fit(&returns, None).unwrap();
    assert!(fit.has_converged);
    assert_recovered(&fit.parameters, &[("omega", 4e-5), ("alpha", 0.10), ("beta", 0.85)]);
    // In per cent the parameters are the same but for their units, and so is the likelihood.
    let percent: Vec<f64> = returns.iter().map(|r| 100.0 * r).collect();
    let scaled = form.fit(&percent, None).unwrap();
    assert!((scaled.model.omega / fit.model.omega / 1e4 - 1.0).abs() < 1e-5, "{scaled:?} {fit:?}");
    let shift = STEPS as f64 * 100_f64.ln();
    assert!((scaled.log_likelihood + shift - fit.log_likelihood).abs() < 1e-6);
}

#[test]
fn gjr_with_fat_tails_is_recovered() {
    let truth = Garch { mu: 0.0, omega: 3e-5, alpha: 0.04, gamma: 0.10, beta: 0.86, nu: 5.0 };
    let form = Form { is_asymmetric: true, innovations: Innovations::Student, start: Start::Presample };
    let fit = form.fit(&simulate(&truth, &mut Draws::new(12)), None).unwrap();
    assert_recovered(
        &fit.parameters,
        &[("omega", 3e-5), ("alpha", 0.04), ("gamma", 0.10), ("beta", 0.86), ("nu", 5.0)],
    );
    // The form without asymmetry is worse by more than its one parameter is worth.
    let plain = Form { is_asymmetric: false, ..form };
    let blind = plain.fit(&simulate(&truth, &mut Draws::new(12)), None).unwrap();
    assert!(blind.bic > fit.bic + 6.0, "{} {}", blind.bic, fit.bic);
}

/// Deviations that change from step to step, as a filter's do.
fn deviations() -> Vec<f64> {
    (0..STEPS).map(|t| 0.02 * (1.0 + 0.5 * (t as f64 / 90.0).sin())).collect()
}

fn best(returns: &[f64], deviations: &[f64]) -> (Kind, LawFit) {
    let sample = Sample { returns, deviations };
    let fits = Kind::ALL.into_iter().map(|kind| (kind, kind.fit(sample).unwrap()));
    fits.min_by(|a, b| a.1.bic.total_cmp(&b.1.bic)).unwrap()
}

#[test]
fn student_tails_are_recovered_and_chosen() {
    let (mut draws, deviations) = (Draws::new(21), deviations());
    let returns: Vec<f64> = deviations.iter().map(|d| 0.9 * d * draws.student(4.0)).collect();
    let (kind, fit) = best(&returns, &deviations);
    assert_eq!(kind, Kind::Student);
    assert_recovered(&fit.parameters, &[("scale", 0.9), ("nu", 4.0)]);
}

#[test]
fn merton_jumps_are_recovered_and_chosen() {
    let (mut draws, deviations) = (Draws::new(22), deviations());
    let step = |d: &f64| 0.8 * d * draws.normal() + draws.jumps(0.03, |draws| -0.05 + 0.08 * draws.normal());
    let returns: Vec<f64> = deviations.iter().map(step).collect();
    let (kind, fit) = best(&returns, &deviations);
    assert_eq!(kind, Kind::Merton);
    assert_recovered(
        &fit.parameters,
        &[("scale", 0.8), ("jump_intensity", 0.03), ("jump_mean", -0.05), ("jump_sd", 0.08)],
    );
}

#[test]
fn kou_jumps_are_recovered_and_chosen() {
    let (mut draws, deviations) = (Draws::new(23), deviations());
    let size = |draws: &mut Draws| {
        let is_up = draws.uniform() < 0.3;
        let exponential = -draws.uniform().ln();
        if is_up { exponential / 16.0 } else { -exponential / 9.0 }
    };
    let step = |d: &f64| 0.7 * d * draws.normal() + draws.jumps(0.04, size);
    let returns: Vec<f64> = deviations.iter().map(step).collect();
    let (kind, fit) = best(&returns, &deviations);
    assert_eq!(kind, Kind::Kou);
    let truth = [
        ("scale", 0.7),
        ("jump_intensity", 0.04),
        ("up_probability", 0.3),
        ("up_rate", 16.0),
        ("down_rate", 9.0),
    ];
    assert_recovered(&fit.parameters, &truth);
}

#[test]
fn normal_returns_get_neither_tails_nor_jumps() {
    let (mut draws, deviations) = (Draws::new(24), deviations());
    let returns: Vec<f64> = deviations.iter().map(|d| d * draws.normal()).collect();
    assert_eq!(best(&returns, &deviations).0, Kind::Normal);
}
