//! Heston, Bates and Merton fitted to an option chain, beside the SVI surface that the market takes.
//!
//! Least squares on volatilities in units of half the distance of bid and ask, by Levenberg and
//! Marquardt's method from some first guesses, the best end taken. Quotes of one chain are not independent, so that
//! standard errors are too small; they tell which parameters the chain determines at all. The engine
//! simulates none of these models.

mod kind;

use jiff::Timestamp;
use rayon::prelude::*;
use serde::Serialize;

use self::kind::{Candidate, Kind, Range};
use super::chain::Chain;
use super::least_squares::{LeastSquares, Residuals, least_squares};
use super::optimise::{Parameter, criteria};
use crate::closed_form::OptionKind;
use crate::closed_form::black::black_forward;
use crate::closed_form::special::{bisect, normal_density};
use crate::market::{Asset, Market};
use crate::units::Years;

/// Fewest quotes of an asset.
const LEAST_QUOTES: usize = 20;
/// Expiries nearer than so many days are left out: their smile is the next hours' news, and one variance
/// that reverts at one speed bends all others to it.
const LEAST_DAYS: f64 = 7.0;
/// Quotes beyond so many deviations have no vega to speak of.
const FARTHEST: f64 = 3.0;
/// Added in squares to half the distance of bid and ask, 0.2 volatility points, as in the fit of SVI.
const WIDTH_FLOOR: f64 = 0.002;
/// Below it a price says nothing of its volatility.
const LEAST_VEGA: f64 = 1e-12;
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
    /// Parameters at the bound of what was searched; the errors of the others hold with these fixed.
    pub at_bounds: Vec<&'static str>,
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
    /// Whether the search ended where no step gains: at a minimum, or on a ridge that quotes do not tell from one.
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

impl Slice {
    fn at_the_money(&self) -> f64 {
        let nearest = self.points.iter().min_by(|a, b| a.k.abs().total_cmp(&b.k.abs()));
        nearest.map_or(0.5, |point| point.volatility)
    }
}

struct Point {
    k: f64,
    volatility: f64,
    width: f64,
    /// Undiscounted, over the forward.
    price: f64,
    vega: f64,
}

/// Fits every asset of the market whose chain has enough quotes. `monitor` hears what is being done.
pub fn fit_all(chain: &Chain, market: &Market, monitor: &mut dyn FnMut(&str)) -> Vec<ChainFit> {
    let fit = |asset| fit(chain, asset, market.as_of, monitor);
    market.assets.iter().filter_map(fit).collect()
}

fn fit(chain: &Chain, asset: &Asset, as_of: Timestamp, monitor: &mut dyn FnMut(&str)) -> Option<ChainFit> {
    let slices = slices(chain, asset, as_of);
    let quotes = slices.iter().map(|slice| slice.points.len()).sum();
    if quotes < LEAST_QUOTES || slices.is_empty() {
        return None;
    }
    let mut search = |kind: Kind, heston: Option<&[f64]>| {
        monitor(&format!("chain of {}: {}, {quotes} quotes", asset.name, kind.name()));
        search(&slices, kind, &kind.starts(&slices, heston))
    };
    let merton = search(Kind::Merton, None);
    let heston = search(Kind::Heston, None);
    let bates = search(Kind::Bates, heston.as_ref().map(|found| found.parameters.as_slice()));
    let found = [merton, heston, bates].into_iter().flatten().map(|found| found.model);
    let mut models: Vec<ChainModel> = found.chain(surface(&slices, asset)).collect();
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
                (k.abs() <= FARTHEST * sd).then(|| Point {
                    k,
                    volatility,
                    width: (0.5 * (ask - bid)).hypot(WIDTH_FLOOR),
                    price: black_forward(side(k), 1.0, k.exp(), sd),
                    vega: vega(k, volatility, years),
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

/// A fit, and where the search for it ended.
struct Found {
    parameters: Vec<f64>,
    model: ChainModel,
}

/// The best of the searches from several starts.
fn search(slices: &[Slice], kind: Kind, starts: &[Vec<f64>]) -> Option<Found> {
    let bounds: Vec<(f64, f64)> = kind.ranges().iter().map(Range::bounds).collect();
    let from = |start: &Vec<f64>| {
        let quotes = |distance| Quotes { slices, kind, distance };
        let near = least_squares(&quotes(Distance::Prices), start, &bounds)?;
        least_squares(&quotes(Distance::Volatilities), &near.at, &bounds)
    };
    let all: Vec<LeastSquares> = starts.par_iter().filter_map(from).collect();
    let best = all.into_iter().min_by(|a, b| a.squares.total_cmp(&b.squares))?;
    let p = kind.parameters(&best.at);
    let candidate = kind.candidate(&p);
    let parameters = kind.ranges().iter().zip(&p).zip(&best.standard_errors).map(|((range, x), error)| {
        let standard_error = error.map(|error| range.slope(*x) * error);
        Parameter { name: range.name, estimate: *x, standard_error }
    });
    let parameters: Vec<Parameter> = parameters.collect();
    let is_at_bound = |i: &usize| best.at[*i] == bounds[*i].0 || best.at[*i] == bounds[*i].1;
    let at_bounds = (0..p.len()).filter(is_at_bound).map(|i| kind.ranges()[i].name).collect();
    let volatilities: Option<Vec<Vec<f64>>> =
        slices.iter().map(|slice| model_volatilities(&candidate, slice)).collect();
    let judged = judge(kind.name(), slices, &volatilities?, parameters.len());
    let model = ChainModel {
        parameters,
        at_bounds,
        feller_ratio: candidate.feller_ratio(),
        has_converged: best.has_converged,
        ..judged
    };
    Some(Found { parameters: p, model })
}

/// Errors of a model at the quotes, in widths.
struct Quotes<'a> {
    slices: &'a [Slice],
    kind: Kind,
    distance: Distance,
}

/// How far a model is from a quote.
#[derive(Clone, Copy)]
enum Distance {
    /// Of prices over the quote's vega: a number everywhere, for the way from a first guess.
    Prices,
    /// Of volatilities.
    Volatilities,
}

impl Quotes<'_> {
    /// Of all slices, in their order on any number of threads.
    fn each<T: Send>(&self, of_slice: impl Fn(&Slice) -> Option<T> + Sync + Send) -> Option<Vec<T>> {
        self.slices.par_iter().map(of_slice).collect()
    }

    /// The model's volatility, and the vega by which an error of its price is one of volatility.
    fn at(&self, point: &Point, price: f64, years: f64) -> (f64, f64) {
        match self.distance {
            Distance::Prices => (point.volatility + (price - point.price) / point.vega, point.vega),
            Distance::Volatilities => {
                let volatility = implied_volatility(point.k, price, years);
                (volatility, vega(point.k, volatility, years))
            }
        }
    }
}

impl Residuals for Quotes<'_> {
    fn residuals(&self, at: &[f64]) -> Option<Vec<f64>> {
        let model = self.kind.candidate(&self.kind.parameters(at));
        let of_slice = |slice: &Slice| {
            let both = slice.points.iter().zip(model.prices(slice)?);
            let error = |(point, price): (&Point, f64)| {
                (self.at(point, price, slice.years).0 - point.volatility) / point.width
            };
            Some(both.map(error).collect::<Vec<f64>>())
        };
        Some(self.each(of_slice)?.concat())
    }

    fn derivatives(&self, at: &[f64]) -> Option<Vec<Vec<f64>>> {
        let parameters = self.kind.parameters(at);
        let model = self.kind.candidate(&parameters);
        let slopes: Vec<f64> =
            self.kind.ranges().iter().zip(&parameters).map(|(range, x)| range.slope(*x)).collect();
        let of_slice = |slice: &Slice| {
            let (prices, columns) = model.prices_and_derivatives(slice)?;
            let unit = |(point, price): (&Point, f64)| {
                let vega = self.at(point, price, slice.years).1;
                // A price beyond all volatilities does not move its volatility.
                if vega > LEAST_VEGA { 1.0 / (vega * point.width) } else { 0.0 }
            };
            let units: Vec<f64> = slice.points.iter().zip(prices).map(unit).collect();
            let scaled = columns.into_iter().zip(&slopes).map(|(column, slope)| {
                column.iter().zip(&units).map(|(x, unit)| x * unit * slope).collect::<Vec<f64>>()
            });
            Some(scaled.collect::<Vec<_>>())
        };
        let of_slices = self.each(of_slice)?;
        let column = |j: usize| of_slices.iter().flat_map(|columns| columns[j].iter().copied()).collect();
        Some((0..slopes.len()).map(column).collect())
    }
}

fn model_volatilities(model: &Candidate, slice: &Slice) -> Option<Vec<f64>> {
    let both = slice.log_strikes.iter().zip(model.prices(slice)?);
    Some(both.map(|(k, price)| implied_volatility(*k, price, slice.years)).collect())
}

/// Annual, of an undiscounted price over the forward, out of the money.
fn implied_volatility(k: f64, price: f64, years: f64) -> f64 {
    let strike = k.exp();
    bisect(1e-6, 20.0, |sd| black_forward(side(k), 1.0, strike, sd) < price) / years.sqrt()
}

/// Of an undiscounted price over the forward, by annual volatility.
fn vega(k: f64, volatility: f64, years: f64) -> f64 {
    let sd = volatility * years.sqrt();
    normal_density(-k / sd + 0.5 * sd) * years.sqrt()
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
        at_bounds: Vec::new(),
        feller_ratio: None,
        rmse_volatility: root((0..slices.len()).map(error_of).sum(), n),
        expiries: expiries.collect(),
        log_likelihood,
        aic,
        bic,
        has_converged: false,
    }
}
