//! The volatility of one asset: EWMA, GARCH and GJR-GARCH side by side, the chosen one by Bayes's criterion.

use serde::Serialize;

use super::garch::{Form, Garch, Innovations, Start};
use super::optimise::{Parameter, criteria, minimise, standard_errors};

/// Which models may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The best of all by Bayes's criterion.
    Auto,
    /// EWMA alone.
    Ewma,
    /// GARCH alone.
    Garch,
    /// GJR-GARCH alone.
    Gjr,
}

/// A fitted model of volatility.
#[derive(Clone, Debug, Serialize)]
pub struct VolatilityFit {
    /// `ewma-t`, `gjr-normal` and so on.
    pub name: &'static str,
    /// Parameters with standard errors; `mu` and `omega` per step.
    pub parameters: Vec<Parameter>,
    /// Log-likelihood.
    pub log_likelihood: f64,
    /// Akaike's criterion.
    pub aic: f64,
    /// Bayes's criterion.
    pub bic: f64,
    /// Whether the search ended at a maximum.
    pub has_converged: bool,
    /// Deviation of each return, known before it, and of the one after the last: `[n + 1]`, per step.
    #[serde(skip)]
    pub deviations: Vec<f64>,
}

/// Fits every model that may be chosen, the best first; empty with fewer than 30 returns.
pub fn fit_all(returns: &[f64], choice: Choice, decay: f64) -> Vec<VolatilityFit> {
    let mut fits = Vec::new();
    for innovations in [Innovations::Normal, Innovations::Student] {
        if matches!(choice, Choice::Auto | Choice::Ewma) {
            fits.extend(fit_ewma(returns, decay, innovations));
        }
        for is_asymmetric in [false, true] {
            let wanted = if is_asymmetric { Choice::Gjr } else { Choice::Garch };
            if choice == Choice::Auto || choice == wanted {
                fits.extend(fit_garch(returns, Form { is_asymmetric, innovations, start: Start::Presample }));
            }
        }
    }
    fits.sort_by(|a, b| a.bic.total_cmp(&b.bic));
    fits
}

fn fit_garch(returns: &[f64], form: Form) -> Option<VolatilityFit> {
    let fit = form.fit(returns, None)?;
    let variances = fit.model.variances(returns, form.start);
    Some(VolatilityFit {
        name: form.name(),
        parameters: fit.parameters,
        log_likelihood: fit.log_likelihood,
        aic: fit.aic,
        bic: fit.bic,
        has_converged: fit.has_converged,
        deviations: variances.into_iter().map(f64::sqrt).collect(),
    })
}

/// EWMA is a GARCH without a constant, begun at the mean square; only the tail is estimated.
fn fit_ewma(returns: &[f64], decay: f64, innovations: Innovations) -> Option<VolatilityFit> {
    if returns.len() < 30 {
        return None;
    }
    let with = |nu: f64| Garch { mu: 0.0, omega: 0.0, alpha: 1.0 - decay, gamma: 0.0, beta: decay, nu };
    let likelihood = |nu: f64| with(nu).log_likelihood(returns, Start::MeanSquare);
    let (name, parameters, log_likelihood, has_converged) = match innovations {
        Innovations::Normal => ("ewma-normal", Vec::new(), likelihood(f64::INFINITY), true),
        Innovations::Student => {
            let found = minimise(&|at| -likelihood(2.0 + at[0].exp()), &[3.0_f64.ln()], &[0.4]);
            let nu = 2.0 + found.at[0].exp();
            let standard_error = standard_errors(&|at| -likelihood(at[0]), &[nu], &[nu])[0];
            let parameters = vec![Parameter { name: "nu", estimate: nu, standard_error }];
            ("ewma-t", parameters, -found.value, found.has_converged)
        }
    };
    let variances = with(f64::INFINITY).variances(returns, Start::MeanSquare);
    let (aic, bic) = criteria(log_likelihood, parameters.len(), returns.len());
    let deviations: Vec<f64> = variances.into_iter().map(f64::sqrt).collect();
    let is_right = deviations.iter().all(|d| *d > 0.0 && d.is_finite());
    is_right.then_some(VolatilityFit {
        name,
        parameters,
        log_likelihood,
        aic,
        bic,
        has_converged,
        deviations,
    })
}
