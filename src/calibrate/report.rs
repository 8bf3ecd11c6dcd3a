//! A calibration as text.

use std::fmt::Write;

use super::chain_model::ChainFit;
use super::{AssetFit, Calibration, Parameter};
use crate::market::Market;

/// What was estimated, with standard errors, criteria and warnings.
pub fn text(calibration: &Calibration, market: &Market) -> String {
    let mut text = format!("market of {}, {} assets\n", calibration.as_of, calibration.assets.len());
    for note in &calibration.notes {
        let _ = writeln!(text, "note: {note}");
    }
    text.push_str("\nvolatility, annual of the next step; the chosen model has the lowest BIC\n");
    let _ = writeln!(
        text,
        "  {:6}  {:>7}  {:>10}  {:12}  {:>12}  runner-up (BIC above)",
        "asset", "returns", "volatility", "model", "log-lik"
    );
    for fit in &calibration.assets {
        volatility_line(&mut text, calibration, fit);
    }
    text.push_str("\nlaw of the return in units of that volatility; A^2 (of lower and upper tail) above 2.49 does not fit\n");
    let _ = writeln!(
        text,
        "  {:6}  {:8}  {:>7}  {:>6}  {:>5}  {:>5}  {:>6}  parameters (jumps a step, sizes in log return) ± one standard error",
        "asset", "law", "BIC gap", "A^2", "lower", "upper", "scale"
    );
    for fit in &calibration.assets {
        law_line(&mut text, fit);
    }
    shared(&mut text, calibration);
    carry(&mut text, calibration);
    surfaces(&mut text, market);
    for fit in &calibration.chain_models {
        chain_models(&mut text, fit);
    }
    for warning in &calibration.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

fn volatility_line(text: &mut String, calibration: &Calibration, fit: &AssetFit) {
    let Some(chosen) = fit.volatility.first() else { return };
    let deviation = chosen.deviations.last().copied().unwrap_or(f64::NAN);
    let annual = 100.0 * deviation * calibration.steps_per_year.sqrt();
    let runner = fit
        .volatility
        .get(1)
        .map_or(String::new(), |next| format!("{} ({:.1})", next.name, next.bic - chosen.bic));
    let _ = writeln!(
        text,
        "  {:6}  {:>7}  {annual:>8.1} %  {:12}  {:>12.2}  {runner}",
        fit.asset, fit.returns, chosen.name, chosen.log_likelihood
    );
    if !chosen.parameters.is_empty() {
        let _ = writeln!(text, "          {}", parameters(&chosen.parameters));
    }
}

fn law_line(text: &mut String, fit: &AssetFit) {
    let Some(chosen) = fit.laws.first() else { return };
    let gap = fit.laws.get(1).map_or(f64::NAN, |next| next.bic - chosen.bic);
    let _ = writeln!(
        text,
        "  {:6}  {:8}  {gap:>7.1}  {:>6.2}  {:>5.2}  {:>5.2}  {:>6.3}  {}",
        fit.asset,
        chosen.law.name(),
        fit.goodness.anderson_darling,
        fit.goodness.lower_tail,
        fit.goodness.upper_tail,
        chosen.scale,
        parameters(chosen.parameters.get(2..).unwrap_or_default()),
    );
}

fn shared(text: &mut String, calibration: &Calibration) {
    if let Some(nu) = &calibration.tail_degrees_of_freedom {
        let _ = writeln!(text, "\nshared tails: {}", parameters(std::slice::from_ref(nu)));
    }
    if let Some(common) = &calibration.common_jumps {
        let size = [common.intensity_annual.clone(), common.mean.clone(), common.sd.clone()];
        let _ = writeln!(
            text,
            "\ncommon jumps: {} {}; a year: {}",
            common.days,
            calibration.steps(),
            parameters(&size)
        );
        let loadings = calibration.assets.iter().zip(&common.loadings);
        let each = loadings.map(|(fit, loading)| match loading {
            Some(p) => format!("{} {}", fit.asset, value(p)),
            None => format!("{} 1 (too few)", fit.asset),
        });
        let _ = writeln!(text, "  loadings: {}", each.collect::<Vec<_>>().join(", "));
    }
    if calibration.assets.len() > 1 {
        let n = calibration.assets.len();
        let sum: f64 = calibration.correlation.iter().flatten().sum::<f64>() - n as f64;
        let mean = sum / (n * (n - 1)) as f64;
        let _ = writeln!(
            text,
            "\ncorrelation: mean {mean:.3}, shrunk by {:.3} toward it",
            calibration.correlation_shrinkage
        );
    }
    for level in &calibration.levels {
        let all =
            [&level.volatility_annual, &level.spot_correlation, &level.slope, &level.mean_reversion_annual];
        let all: Vec<Parameter> = all.into_iter().cloned().collect();
        let _ = writeln!(
            text,
            "\nimplied level of {} from {} moves: {}",
            level.asset,
            level.moves,
            parameters(&all)
        );
    }
}

fn carry(text: &mut String, calibration: &Calibration) {
    for basis in &calibration.basis {
        let all = [basis.volatility_annual.clone(), basis.mean_reversion_annual.clone()];
        let _ = writeln!(
            text,
            "\nbasis of {} at 50 days from {} changes over five days: mean {:.4}, {}",
            basis.asset,
            basis.changes,
            basis.mean,
            parameters(&all)
        );
    }
    for funding in &calibration.funding {
        let all = [funding.recent.clone(), funding.mean.clone(), funding.persistence.clone()];
        let _ = writeln!(
            text,
            "\nfunding of {} from {} rates, one every {} h, annual: {}, deviation {:.4}",
            funding.asset,
            funding.rates,
            funding.interval_hours,
            parameters(&all),
            funding.deviation
        );
    }
}

fn surfaces(text: &mut String, market: &Market) {
    for asset in market.assets.iter().filter(|asset| !asset.surface.is_empty()) {
        let worst = asset.surface.iter().filter_map(|s| s.rmse_volatility).fold(0.0, f64::max);
        let _ = writeln!(
            text,
            "\nsurface of {}: {} expiries by SVI, free of arbitrage; largest root mean square error {:.2} vol points",
            asset.name,
            asset.surface.len(),
            100.0 * worst
        );
    }
}

fn chain_models(text: &mut String, fit: &ChainFit) {
    let _ = writeln!(
        text,
        "\nmodels of {}'s chain, {} quotes out of the money; the market takes SVI, the engine simulates none of the others",
        fit.asset, fit.quotes
    );
    let _ = writeln!(
        text,
        "  {:7}  {:>9}  {:>10}  parameters ± one standard error (too small: quotes are not independent)",
        "model", "BIC above", "rmse, pts"
    );
    let least = fit.models.first().map_or(f64::NAN, |model| model.bic);
    for model in &fit.models {
        let _ = writeln!(
            text,
            "  {:7}  {:>9.1}  {:>10.2}  {}{}",
            model.name,
            model.bic - least,
            100.0 * model.rmse_volatility,
            parameters(&model.parameters),
            model.feller_ratio.map_or(String::new(), |ratio| format!("; Feller {ratio:.2}")),
        );
    }
    let names: Vec<String> = fit.models.iter().map(|model| format!("{:>7}", model.name)).collect();
    let _ = writeln!(text, "  {:20}  {:>6}  {}", "rmse by expiry, pts", "quotes", names.join("  "));
    let expiries = fit.models.first().map_or(&[][..], |model| model.expiries.as_slice());
    for (index, expiry) in expiries.iter().enumerate() {
        let each =
            fit.models.iter().map(|model| format!("{:>7.2}", 100.0 * model.expiries[index].rmse_volatility));
        let each: Vec<String> = each.collect();
        let _ =
            writeln!(text, "  {:20}  {:>6}  {}", expiry.expiry.to_string(), expiry.quotes, each.join("  "));
    }
}

fn parameters(all: &[Parameter]) -> String {
    all.iter().map(|p| format!("{} {}", p.name, value(p))).collect::<Vec<_>>().join(", ")
}

fn value(parameter: &Parameter) -> String {
    let digits = |x: f64| {
        if x.abs() >= 100.0 {
            1
        } else if x.abs() >= 1.0 {
            2
        } else {
            4
        }
    };
    let (x, error) = (parameter.estimate, parameter.standard_error);
    let tiny = x != 0.0 && x.abs() < 1e-3;
    match error {
        Some(error) if tiny => format!("{x:.2e} ± {error:.1e}"),
        Some(error) => format!("{x:.0$} ± {error:.0$}", digits(x)),
        None if tiny => format!("{x:.2e}"),
        None => format!("{x:.0$}", digits(x)),
    }
}
