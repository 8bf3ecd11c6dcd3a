//! Models of a whole option chain, as a user fits them: one drawn from known parameters, and the shipped one.

use std::path::Path;

use assert_cmd::Command;
use jiff::SignedDuration;
use serde_json::Value;
use shortfall::calibrate::chain::{Chain, Quote};
use shortfall::calibrate::chain_model;
use shortfall::calibrate::draws::Draws;
use shortfall::closed_form::black::black_forward;
use shortfall::closed_form::special::bisect;
use shortfall::closed_form::{BatesLaw, BatesModel, HestonModel, OptionKind};
use shortfall::market;

use crate::data::root;

/// Errors of quotes, in volatility.
const NOISE: f64 = 0.001;
/// By SciPy on the shipped chain: variance, mean reversion, long variance, volatility of variance, correlation.
const REFERENCE_BTC: [f64; 5] = [0.342987, 13.02152, 0.300947, 5.47946, -0.299649];
const REFERENCE_ETH: [f64; 5] = [0.817949, 23.87631, 0.516297, 8.40467, -0.237394];
const AS_OF: &str = "2026-02-04T21:33:08Z";

/// Closes of the shipped history in the last days before the chain: a short history for a short test.
fn history(coins: usize) -> String {
    let all = std::fs::read_to_string(root().join("scenarios/history/crypto_daily.csv")).unwrap();
    let is_late =
        |line: &&str| line.starts_with("date") || ("2025-10-01".."2026-02-04").contains(&&line[..10]);
    let cut = |line: &str| line.split(',').take(1 + coins).collect::<Vec<_>>().join(",") + "\n";
    all.lines().filter(is_late).map(cut).collect()
}

fn fit(chain: &Path, coins: usize) -> Value {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("history.csv"), history(coins)).unwrap();
    let mut command = Command::cargo_bin("shortfall").unwrap();
    command.args(["calibrate", "history.csv", "--volatility", "ewma", "--chain-models", "--json"]);
    command.args(["--out", "m.yaml", "--as-of", AS_OF, "--chain"]).arg(chain);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut calibration: Value = serde_json::from_slice(&output.stdout).unwrap();
    calibration["chain_models"].take()
}

fn model<'a>(fit: &'a Value, name: &str) -> &'a Value {
    let all = fit["models"].as_array().unwrap();
    all.iter().find(|model| model["name"] == name).unwrap_or_else(|| panic!("no {name} in {fit}"))
}

fn parameter(model: &Value, name: &str) -> (f64, f64) {
    let all = model["parameters"].as_array().unwrap();
    let found = all.iter().find(|parameter| parameter["name"] == name).unwrap();
    (found["estimate"].as_f64().unwrap(), found["standard_error"].as_f64().unwrap_or(f64::NAN))
}

/// Of the seeds 101 to 130 the distances in standard errors have a root mean square from 0.91 to 1.08, by parameter.
#[test]
fn a_chain_of_three_hundred_quotes_gives_its_parameters_back() {
    let heston = HestonModel {
        variance: 0.36,
        mean_reversion: 4.0,
        long_variance: 0.30,
        volatility_of_variance: 1.8,
        correlation: -0.35,
    };
    let truth = BatesModel { heston, intensity: 1.5, mean_log_jump: -0.12, sd_log_jump: 0.12 };
    let market = market::read(&root().join("scenarios/market/2026-02-04/market.yaml")).unwrap();
    let (mut chain, mut draws) = (Chain::default(), Draws::new(101));
    for days in [8, 15, 22, 50, 78, 141, 232, 323] {
        let expiry = market.as_of + SignedDuration::from_hours(24 * days);
        let years = days as f64 / 365.0;
        chain.forwards.insert(("BTC".to_owned(), expiry), 100.0);
        let unit = 0.55 * years.sqrt();
        let strikes: Vec<f64> = (-18..=18).map(|i| 0.13 * f64::from(i) * unit).collect();
        let prices = BatesLaw::new(truth, years).unwrap().out_of_the_money(&strikes).unwrap();
        for (k, price) in strikes.into_iter().zip(prices) {
            let kind = if k >= 0.0 { OptionKind::Call } else { OptionKind::Put };
            let sd = bisect(1e-6, 20.0, |sd| black_forward(kind, 1.0, k.exp(), sd) < price);
            let volatility = sd / years.sqrt() + NOISE * draws.normal();
            let (strike, volatilities) = (100.0 * k.exp(), (volatility - NOISE, volatility + NOISE));
            chain.quotes.push(Quote { asset: "BTC".to_owned(), expiry, strike, volatilities });
        }
    }
    let fits = serde_json::to_value(chain_model::fit_all(&chain, &market, &mut |_| ())).unwrap();
    assert_eq!(fits[0]["quotes"], 8 * 37, "{fits}");
    let bates = model(&fits[0], "bates");
    assert!(bates["has_converged"] == true && bates["at_bounds"] == Value::Array(vec![]), "{bates}");
    for (name, value) in [
        ("variance", heston.variance),
        ("mean_reversion", heston.mean_reversion),
        ("long_variance", heston.long_variance),
        ("volatility_of_variance", heston.volatility_of_variance),
        ("correlation", heston.correlation),
        ("jump_intensity", truth.intensity),
        ("jump_mean", truth.mean_log_jump),
        ("jump_sd", truth.sd_log_jump),
    ] {
        let (found, error) = parameter(bates, name);
        assert!((found - value).abs() <= 3.0 * error, "{name}: {found} ± {error}, drawn with {value}");
        assert!(error < 0.5 * value.abs(), "{name}: {found} ± {error} says nothing of {value}");
    }
    // What is left is the noise; Heston leaves more, and Bayes's criterion says so.
    let rmse = bates["rmse_volatility"].as_f64().unwrap();
    assert!((rmse / NOISE - 1.0).abs() < 0.15, "{rmse}");
    let heston = model(&fits[0], "heston");
    assert!(heston["bic"].as_f64().unwrap() > bates["bic"].as_f64().unwrap() + 20.0, "{heston}");
}

/// Estimates of the shipped chain against those of SciPy's `least_squares` with a characteristic function
/// (Gatheral's form, 600 points of Gauss and Legendre) and an inversion of its own, on the same quotes;
/// the sums of squares agreed in eight digits, those of Bates too.
#[test]
fn the_shipped_chain_is_fitted_as_elsewhere() {
    let fits = fit(&root().join("scenarios/history/chain_2026-02-04.csv"), 2);
    for (coin, elsewhere) in [REFERENCE_BTC, REFERENCE_ETH].into_iter().enumerate() {
        let fit = &fits[coin];
        let heston = model(fit, "heston");
        assert!(heston["has_converged"] == true, "{heston}");
        let names = ["variance", "mean_reversion", "long_variance", "volatility_of_variance", "correlation"];
        for (name, value) in names.into_iter().zip(elsewhere) {
            let (found, error) = parameter(heston, name);
            // The search ends within a fiftieth of an error; the figures are rounded.
            assert!((found - value).abs() <= 0.05 * error, "{coin} {name}: {found} ± {error}, {value}");
        }
        let rmse = |name| model(fit, name)["rmse_volatility"].as_f64().unwrap();
        assert!(rmse("svi") < 0.006 && rmse("bates") < 0.035 && rmse("heston") < 0.035, "{fit}");
        let bic = |name| model(fit, name)["bic"].as_f64().unwrap();
        assert!(bic("svi") < bic("bates") && bic("bates") < bic("heston") && bic("heston") < bic("merton"));
    }
}
