//! Heston, Bates and Merton fitted to an option chain, beside the SVI surface that the market takes.
//!
//! Least squares on volatilities: a model's error at a quote is its price's error over the quote's
//! vega, in units of half the distance of bid and ask. Quotes of one chain are not independent, so that
//! standard errors are too small; they tell which parameters the chain determines at all. The engine
//! simulates none of these models.

use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;

use super::chain::Chain;
use super::optimise::{OUTSIDE, Parameter, criteria, minimise, standard_errors};
use crate::closed_form::black::black_forward;
use crate::closed_form::special::{bisect, normal_density};
use crate::closed_form::{BatesLaw, BatesModel, EuropeanOption, HestonModel, MertonModel, OptionKind};
use crate::market::{Asset, Market};
use crate::units::Years;

/// Fewest quotes of an asset.
const LEAST_QUOTES: usize = 20;
/// Expiries nearer than so many days are left out: their smile is the next hours' news.
const LEAST_DAYS: f64 = 1.0;
/// Quotes beyond so many deviations have no vega to speak of.
const FARTHEST: f64 = 3.0;
/// Added in squares to half the distance of bid and ask, 0.2 volatility points, as in the fit of SVI.
const WIDTH_FLOOR: f64 = 0.002;
/// Parameters of a slice of SVI.
const SVI_PARAMETERS: usize = 5;

/// What a chain says of one asset.
#[derive(Clone, Debug, Serialize)]
pub struct ChainFit {
    /// Ticker.
    pub asset: String,
    /// Quotes used, out of the money.
    pub quotes: usize,
    /// The lowest BIC first.
    pub models: Vec<ChainModel>,
}

/// One model of all expiries together; SVI is one slice for each.
#[derive(Clone, Debug, Serialize)]
pub struct ChainModel {
    /// `svi`, `merton`, `heston` or `bates`.
    pub name: &'static str,
    /// Estimates; none for SVI, whose slices are in the market. Variances are annual.
    pub parameters: Vec<Parameter>,
    /// `2 kappa theta / sigma^2`; below 1 variance reaches zero.
    pub feller_ratio: Option<f64>,
    /// Root mean square error in volatility: 0.01 is one point.
    pub rmse_volatility: f64,
    /// The same for each expiry.
    pub expiries: Vec<ExpiryError>,
    /// Log-likelihood of the quotes under normal errors.
    pub log_likelihood: f64,
    /// Akaike's criterion.
    pub aic: f64,
    /// Bayes's criterion.
    pub bic: f64,
    /// Whether the search ended at a minimum.
    pub has_converged: bool,
}

/// How far a model is from the quotes of one expiry.
#[derive(Clone, Debug, Serialize)]
pub struct ExpiryError {
    /// The expiry.
    pub expiry: Timestamp,
    /// Quotes of it.
    pub quotes: usize,
    /// Root mean square error in volatility.
    pub rmse_volatility: f64,
}

/// Quotes of one expiry.
struct Slice {
    expiry: Timestamp,
    years: f64,
    points: Vec<Point>,
    log_strikes: Vec<f64>,
}

struct Point {
    k: f64,
    volatility: f64,
    width: f64,
    /// Undiscounted, over the forward.
    price: f64,
    vega: f64,
}

/// Fits every asset of the market whose chain has enough quotes.
pub fn fit_all(chain: &Chain, market: &Market) -> Vec<ChainFit> {
    market.assets.iter().filter_map(|asset| fit(chain, asset, market.as_of)).collect()
}

fn fit(chain: &Chain, asset: &Asset, as_of: Timestamp) -> Option<ChainFit> {
    let slices = slices(chain, asset, as_of);
    let quotes = slices.iter().map(|slice| slice.points.len()).sum();
    if quotes < LEAST_QUOTES || slices.is_empty() {
        return None;
    }
    let heston = search(&slices, Kind::Heston, &Kind::Heston.first_guess(&slices));
    let mut start = heston.at.clone();
    start.extend(Kind::JUMPS);
    let mut models = vec![
        search(&slices, Kind::Merton, &Kind::Merton.first_guess(&slices)).model,
        heston.model,
        search(&slices, Kind::Bates, &start).model,
    ];
    models.extend(surface(&slices, asset));
    models.retain(|model| model.bic.is_finite());
    models.sort_by(|a, b| a.bic.total_cmp(&b.bic));
    Some(ChainFit { asset: asset.name.clone(), quotes, models })
}

fn slices(chain: &Chain, asset: &Asset, as_of: Timestamp) -> Vec<Slice> {
    let mut slices: Vec<Slice> = Vec::new();
    let forwards = chain.forwards.iter().filter(|((name, _), _)| *name == asset.name);
    for ((_, expiry), forward) in forwards {
        let Some(years) = Years::between(as_of, *expiry) else { continue };
        if years.days() < LEAST_DAYS {
            continue;
        }
        let years = years.get();
        let of_expiry = chain.quotes.iter().filter(|q| q.asset == asset.name && q.expiry == *expiry);
        let points: Vec<Point> = of_expiry
            .filter_map(|quote| {
                let (bid, ask) = quote.volatilities;
                let (k, volatility) = ((quote.strike / forward).ln(), 0.5 * (bid + ask));
                let sd = volatility * years.sqrt();
                let d1 = -k / sd + 0.5 * sd;
                (k.abs() <= FARTHEST * sd).then(|| Point {
                    k,
                    volatility,
                    width: (0.5 * (ask - bid)).hypot(WIDTH_FLOOR),
                    price: black_forward(side(k), 1.0, k.exp(), sd),
                    vega: normal_density(d1) * years.sqrt(),
                })
            })
            .collect();
        if !points.is_empty() {
            let log_strikes = points.iter().map(|point| point.k).collect();
            slices.push(Slice { expiry: *expiry, years, points, log_strikes });
        }
    }
    slices
}

/// Out of the money.
fn side(k: f64) -> OptionKind {
    if k >= 0.0 { OptionKind::Call } else { OptionKind::Put }
}

#[derive(Clone, Copy)]
enum Kind {
    Merton,
    Heston,
    Bates,
}

/// A model at a point of the search.
#[derive(Clone, Copy)]
enum Candidate {
    Merton(MertonModel),
    Bates(BatesModel),
}

impl Candidate {
    /// Undiscounted prices over the forward, out of the money; `None` where there are none.
    fn prices(&self, slice: &Slice) -> Option<Vec<f64>> {
        match self {
            Self::Bates(model) => {
                BatesLaw::new(*model, slice.years).ok()?.out_of_the_money(&slice.log_strikes).ok()
            }
            Self::Merton(model) => {
                let law = model.law(slice.years).ok()?;
                let option = |k: &f64| EuropeanOption {
                    kind: side(*k),
                    spot: 1.0,
                    strike: k.exp(),
                    rate: 0.0,
                    dividend_yield: 0.0,
                    expiry_years: slice.years,
                };
                slice.log_strikes.iter().map(|k| law.price(&option(k)).ok()).collect()
            }
        }
    }
}

impl Kind {
    /// First guess at the jumps, as coordinates of the search.
    const JUMPS: [f64; 3] = [0.0, -0.1, -2.0];

    fn name(self) -> &'static str {
        match self {
            Self::Merton => "merton",
            Self::Heston => "heston",
            Self::Bates => "bates",
        }
    }

    fn names(self) -> &'static [&'static str] {
        const BATES: [&str; 8] = [
            "variance",
            "mean_reversion",
            "long_variance",
            "volatility_of_variance",
            "correlation",
            "jump_intensity",
            "jump_mean",
            "jump_sd",
        ];
        const MERTON: [&str; 4] = ["volatility", "jump_intensity", "jump_mean", "jump_sd"];
        match self {
            Self::Merton => &MERTON,
            Self::Heston => &BATES[..5],
            Self::Bates => &BATES,
        }
    }

    fn first_guess(self, slices: &[Slice]) -> Vec<f64> {
        let at_the_money = |slice: &Slice| {
            let nearest = slice.points.iter().min_by(|a, b| a.k.abs().total_cmp(&b.k.abs()));
            nearest.map_or(0.5, |point| point.volatility)
        };
        let first = at_the_money(&slices[0]);
        let last = at_the_money(&slices[slices.len() - 1]);
        match self {
            Self::Merton => [last.ln()].into_iter().chain(Self::JUMPS).collect(),
            Self::Heston | Self::Bates => {
                vec![2.0 * first.ln(), 2.0_f64.ln(), 2.0 * last.ln(), 0.0, (-0.3_f64).atanh()]
            }
        }
    }

    /// Parameters from coordinates without bounds: logarithms of what is above zero, atanh of the
    /// correlation, the mean jump as it is.
    fn natural(self, at: &[f64]) -> Vec<f64> {
        let names = self.names().iter();
        let each = names.zip(at).map(|(name, x)| match *name {
            "correlation" => x.tanh(),
            "jump_mean" => *x,
            _ => x.exp(),
        });
        each.collect()
    }

    /// The model, if its parameters are ones that a chain could have.
    fn candidate(self, p: &[f64]) -> Option<Candidate> {
        let is_inside = self.names().iter().zip(p).all(|(name, x)| match *name {
            "correlation" => x.abs() < 0.999,
            "jump_mean" => x.abs() < 2.0,
            "jump_sd" => *x > 1e-3 && *x < 2.0,
            "jump_intensity" => *x > 1e-4 && *x < 100.0,
            "mean_reversion" => *x > 1e-3 && *x < 100.0,
            "volatility_of_variance" => *x > 1e-2 && *x < 50.0,
            _ => *x > 1e-4 && *x < 25.0,
        });
        let heston = |p: &[f64]| HestonModel {
            variance: p[0],
            mean_reversion: p[1],
            long_variance: p[2],
            volatility_of_variance: p[3],
            correlation: p[4],
        };
        is_inside.then(|| match self {
            Self::Merton => Candidate::Merton(MertonModel {
                volatility: p[0],
                intensity: p[1],
                mean_log_jump: p[2],
                sd_log_jump: p[3],
            }),
            Self::Heston => Candidate::Bates(heston(p).into()),
            Self::Bates => Candidate::Bates(BatesModel {
                heston: heston(p),
                intensity: p[5],
                mean_log_jump: p[6],
                sd_log_jump: p[7],
            }),
        })
    }
}

/// A fit, and where the search for it ended.
struct Found {
    at: Vec<f64>,
    model: ChainModel,
}

fn search(slices: &[Slice], kind: Kind, start: &[f64]) -> Found {
    let n: usize = slices.iter().map(|slice| slice.points.len()).sum();
    // The likelihood of normal errors whose size is estimated, less its constants.
    let cost = |p: &[f64]| match kind.candidate(p).and_then(|model| squares(slices, &model)) {
        Some(sum) if sum > 0.0 => 0.5 * n as f64 * (sum / n as f64).ln(),
        _ => OUTSIDE,
    };
    let steps = vec![0.3; start.len()];
    let found = minimise(&|at| cost(&kind.natural(at)), start, &steps);
    let p = kind.natural(&found.at);
    let scales: Vec<f64> = p.iter().map(|x| x.abs().max(0.02)).collect();
    let errors = standard_errors(&cost, &p, &scales);
    let named = kind.names().iter().zip(&p).zip(errors);
    let parameters: Vec<Parameter> =
        named.map(|((name, x), error)| Parameter { name, estimate: *x, standard_error: error }).collect();
    let volatilities: Option<Vec<Vec<f64>>> = kind
        .candidate(&p)
        .and_then(|model| slices.iter().map(|slice| model_volatilities(&model, slice)).collect());
    let feller_ratio = match kind.candidate(&p) {
        Some(Candidate::Bates(model)) => Some(model.heston.feller_ratio()),
        _ => None,
    };
    let count = parameters.len();
    let judged = judge(kind.name(), slices, &volatilities.unwrap_or_default(), count);
    let model = ChainModel { parameters, feller_ratio, has_converged: found.has_converged, ..judged };
    Found { at: found.at, model }
}

/// Sum of squared errors of volatility by vega, in widths.
fn squares(slices: &[Slice], model: &Candidate) -> Option<f64> {
    let of_slice = |slice: &Slice| {
        let prices = model.prices(slice)?;
        let errors = slice.points.iter().zip(prices);
        Some(
            errors
                .map(|(point, price)| ((price - point.price) / (point.vega * point.width)).powi(2))
                .sum::<f64>(),
        )
    };
    // In the order of the slices, so that the sum is the same on any number of threads.
    let all: Option<Vec<f64>> = slices.par_iter().map(of_slice).collect();
    all.map(|all| all.iter().sum())
}

fn model_volatilities(model: &Candidate, slice: &Slice) -> Option<Vec<f64>> {
    let prices = model.prices(slice)?;
    let each = slice.points.iter().zip(prices).map(|(point, price)| {
        let strike = point.k.exp();
        let sd = bisect(1e-6, 20.0, |sd| black_forward(side(point.k), 1.0, strike, sd) < price);
        sd / slice.years.sqrt()
    });
    Some(each.collect())
}

/// SVI's slices on the same quotes.
fn surface(slices: &[Slice], asset: &Asset) -> Option<ChainModel> {
    let of_slice = |slice: &Slice| {
        let svi = asset.slice(slice.expiry)?.svi;
        let volatility = |point: &Point| (svi.total_variance(point.k) / slice.years).sqrt();
        Some(slice.points.iter().map(volatility).collect())
    };
    let volatilities: Vec<Vec<f64>> = slices.iter().map(of_slice).collect::<Option<_>>()?;
    let model = judge("svi", slices, &volatilities, SVI_PARAMETERS * slices.len());
    Some(ChainModel { has_converged: true, ..model })
}

/// Errors and criteria of volatilities at all quotes; the size of the errors is one more parameter.
fn judge(name: &'static str, slices: &[Slice], volatilities: &[Vec<f64>], parameters: usize) -> ChainModel {
    let pairs = |slice: usize| {
        let found = volatilities.get(slice).map_or(&[][..], Vec::as_slice);
        slices[slice].points.iter().zip(found.iter().copied().chain(std::iter::repeat(f64::NAN)))
    };
    let root = |squares: f64, n: usize| (squares / n as f64).sqrt();
    let error_of = |slice: usize| pairs(slice).map(|(p, v)| (v - p.volatility).powi(2)).sum::<f64>();
    let expiries = (0..slices.len()).map(|index| {
        let quotes = slices[index].points.len();
        ExpiryError { expiry: slices[index].expiry, quotes, rmse_volatility: root(error_of(index), quotes) }
    });
    let n: usize = slices.iter().map(|slice| slice.points.len()).sum();
    let all = || (0..slices.len()).flat_map(pairs);
    let sum: f64 = all().map(|(p, v)| ((v - p.volatility) / p.width).powi(2)).sum();
    let widths: f64 = all().map(|(p, _)| p.width.ln()).sum();
    let log_likelihood = -0.5 * n as f64 * ((std::f64::consts::TAU * sum / n as f64).ln() + 1.0) - widths;
    let (aic, bic) = criteria(log_likelihood, parameters + 1, n);
    ChainModel {
        name,
        parameters: Vec::new(),
        feller_ratio: None,
        rmse_volatility: root((0..slices.len()).map(error_of).sum(), n),
        expiries: expiries.collect(),
        log_likelihood,
        aic,
        bic,
        has_converged: false,
    }
}
