//! VaR and ES of any loss that is a function of one log return, by quadrature over its density.
//!
//! Nothing is assumed about the shape of the loss: the set `{x : L(x) > v}` is found on the grid as
//! a union of intervals, their ends by bisection on the loss itself, and the mass and the mean
//! beyond are integrated between those ends, so no panel ever straddles the kink at VaR.

use super::{TailFigures, check_confidence};
use crate::closed_form::special::bisect;
use crate::closed_form::{ClosedFormError, MertonLaw, ReturnLaw, within};

/// Most panels of the grid.
const PANELS_MAX: usize = 200_000;

/// Components lighter than `exp(-LOG_WEIGHT_MIN)`, 1e-22, get no panels of their own.
const LOG_WEIGHT_MIN: f64 = 50.0;

/// Half-width of the grid around a component, in its standard deviations: leaves 1e-24.
const REACH_SDS: f64 = 10.2;

/// Gauss-Legendre abscissae and weights on [-1, 1], 8 points, positive half
/// (Abramowitz & Stegun 1964, table 25.4).
const GAUSS: [(f64, f64); 4] = [
    (0.183_434_642_495_649_8, 0.362_683_783_378_362),
    (0.525_532_409_916_329, 0.313_706_645_877_887_3),
    (0.796_666_477_413_626_7, 0.222_381_034_453_374_48),
    (0.960_289_856_497_536_2, 0.101_228_536_290_376_26),
];

/// How finely a loss has to be looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct LossGrid {
    /// Log returns at which the loss has a kink or a jump, such as strikes of options that expire
    /// at the horizon; the grid is cut there.
    pub kinks: Vec<f64>,
    /// Widest panel in log return, above zero: about half the standard deviation of the remaining
    /// life of the shortest option; 0.02 suits options of a few days.
    pub panel_width_max: f64,
}

/// VaR and ES of `loss(X)` where `X` is a Merton log return, in the unit of the loss.
///
/// VaR is `inf {v : P(L > v) <= 1 - alpha}`, by bisection; atoms of the law (no volatility and no
/// jump) are kept as points. About 1e-10 relative for option books.
///
/// # Errors
/// [`ClosedFormError`] for a confidence outside [0.5, 1 - 1e-9], a panel width that is not above
/// zero, a grid beyond 200,000 panels, or a loss that is not finite somewhere on it.
pub fn book_tail(
    loss: impl Fn(f64) -> f64,
    law: &MertonLaw,
    grid: &LossGrid,
    alpha: f64,
) -> Result<TailFigures, ClosedFormError> {
    check_confidence(alpha)?;
    let book = Book::new(loss, law, grid)?;
    let tail = 1.0 - alpha;
    let (least, most) = book.loss_range();
    // `bisect` would return the upper neighbour of `least` where the loss is constant.
    let value_at_risk = if book.mass_above(least) > tail {
        bisect(least, most, |v| book.mass_above(v) > tail)
    } else {
        least
    };
    let beyond = book.mean_beyond(value_at_risk);
    Ok(TailFigures { value_at_risk, expected_shortfall: value_at_risk + beyond / tail })
}

struct Book<'a, L> {
    loss: L,
    law: &'a MertonLaw,
    panels: Vec<Panel>,
    /// (loss, probability) of each component without spread.
    atoms: Vec<(f64, f64)>,
}

struct Panel {
    low: f64,
    high: f64,
    mass: f64,
    /// Loss just inside the low end, at the Gauss points, and just inside the high end.
    samples: [f64; 10],
    /// Integral of the loss times the density.
    mean: f64,
}

impl<'a, L: Fn(f64) -> f64> Book<'a, L> {
    fn new(loss: L, law: &'a MertonLaw, grid: &LossGrid) -> Result<Self, ClosedFormError> {
        let edges = panel_edges(law, grid)?;
        let continuous = |x: f64, upper: bool| continuous_mass(law, x, upper);
        let panel = |pair: &[f64]| {
            let (low, high) = (pair[0], pair[1]);
            let samples = sample_points(low, high).map(&loss);
            // The smaller tail of the two, so that far panels keep their digits.
            let mass = if low > law.mean() {
                continuous(low, true) - continuous(high, true)
            } else {
                continuous(high, false) - continuous(low, false)
            };
            let mean = gauss(low, high, |x| loss(x) * law.density(x));
            Panel { low, high, mass: mass.max(0.0), samples, mean }
        };
        let panels: Vec<Panel> = edges.windows(2).map(panel).collect();
        let still = law.components().iter().filter(|c| c.sd == 0.0);
        let atoms: Vec<(f64, f64)> = still.map(|c| (loss(c.mean), c.weight())).collect();
        let losses = panels.iter().flat_map(|p| &p.samples).chain(atoms.iter().map(|(l, _)| l));
        for &value in losses {
            within("loss", value, f64::MIN, f64::MAX, "finite at every log return of the grid")?;
        }
        Ok(Self { loss, law, panels, atoms })
    }

    fn loss_range(&self) -> (f64, f64) {
        let samples = self.panels.iter().flat_map(|p| &p.samples);
        let losses = samples.chain(self.atoms.iter().map(|(loss, _)| loss));
        losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &loss| {
            (least.min(loss), most.max(loss))
        })
    }

    /// `P(L > level)`.
    fn mass_above(&self, level: f64) -> f64 {
        let still: f64 = self.atoms.iter().filter(|(l, _)| *l > level).map(|(_, p)| p).sum();
        let spread = |panel: &Panel| match panel.side(level) {
            Side::Below => 0.0,
            Side::Above => panel.mass,
            Side::Crossed => {
                let mass = |a: f64, b: f64| {
                    continuous_mass(self.law, b, false) - continuous_mass(self.law, a, false)
                };
                self.above(panel, level).into_iter().map(|(a, b)| mass(a, b)).sum()
            }
        };
        still + self.panels.iter().map(spread).sum::<f64>()
    }

    /// `E[(L - level)+]`.
    fn mean_beyond(&self, level: f64) -> f64 {
        let still = self.atoms.iter().map(|(loss, weight)| (loss - level).max(0.0) * weight);
        let spread = |panel: &Panel| match panel.side(level) {
            Side::Below => 0.0,
            Side::Above => panel.mean - level * panel.mass,
            Side::Crossed => {
                let excess = |x: f64| ((self.loss)(x) - level) * self.law.density(x);
                self.above(panel, level).into_iter().map(|(a, b)| gauss(a, b, excess)).sum()
            }
        };
        still.sum::<f64>() + self.panels.iter().map(spread).sum::<f64>()
    }

    /// The parts of a panel where the loss exceeds `level`.
    fn above(&self, panel: &Panel, level: f64) -> Vec<(f64, f64)> {
        let points = sample_points(panel.low, panel.high);
        let mut parts = Vec::new();
        let mut start = (panel.samples[0] > level).then_some(panel.low);
        for i in 1..points.len() {
            let (was, is) = (panel.samples[i - 1] > level, panel.samples[i] > level);
            if was == is {
                continue;
            }
            let end = bisect(points[i - 1], points[i], |x| ((self.loss)(x) > level) == was);
            match start.take() {
                Some(begin) => parts.push((begin, end)),
                None => start = Some(end),
            }
        }
        parts.extend(start.map(|begin| (begin, panel.high)));
        parts
    }
}

enum Side {
    Below,
    Above,
    Crossed,
}

impl Panel {
    fn side(&self, level: f64) -> Side {
        let above = self.samples.iter().filter(|&&loss| loss > level).count();
        match above {
            0 => Side::Below,
            n if n == self.samples.len() => Side::Above,
            _ => Side::Crossed,
        }
    }
}

/// The mass of the components with spread below (or above) `x`.
fn continuous_mass(law: &MertonLaw, x: f64, upper: bool) -> f64 {
    let atom = |c: &&crate::closed_form::merton::NormalComponent| c.sd == 0.0 && (c.mean > x) == upper;
    let still: f64 = law.components().iter().filter(atom).map(|c| c.weight()).sum();
    if upper { law.survival(x) - still } else { law.cdf(x) - still }
}

/// Panel edges: half standard deviations of every component, kinks, and no panel too wide.
fn panel_edges(law: &MertonLaw, grid: &LossGrid) -> Result<Vec<f64>, ClosedFormError> {
    within("panel_width_max", grid.panel_width_max, 1e-6, 1e6, "above zero (at least 1e-6)")?;
    let likely = || law.components().iter().filter(|c| c.sd > 0.0 && c.log_weight > -LOG_WEIGHT_MIN);
    let narrowest = likely().map(|c| c.sd).fold(f64::INFINITY, f64::min);
    let steps = (2.0 * REACH_SDS).ceil() as i32;
    let mut edges: Vec<f64> =
        likely().flat_map(|c| (-steps..=steps).map(|k| c.mean + 0.5 * f64::from(k) * c.sd)).collect();
    edges.sort_by(f64::total_cmp);
    let spacing = 0.25 * narrowest;
    let mut last = f64::NEG_INFINITY;
    edges.retain(|&edge| {
        let keep = edge - last >= spacing;
        if keep {
            last = edge;
        }
        keep
    });
    let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else {
        return Ok(Vec::new());
    };
    let widest = grid.panel_width_max;
    let needed = edges.len() as f64 + (high - low) / widest;
    if needed > PANELS_MAX as f64 {
        return Err(ClosedFormError::TooManyTerms {
            formula: "the quadrature of the book",
            needed,
            limit: PANELS_MAX,
            advice: "allow wider panels, or expect fewer jumps",
        });
    }
    let mut fine: Vec<f64> = grid.kinks.iter().copied().filter(|k| *k > low && *k < high).collect();
    for pair in edges.windows(2) {
        let pieces = ((pair[1] - pair[0]) / widest).ceil().max(1.0);
        let width = (pair[1] - pair[0]) / pieces;
        fine.extend((0..pieces as usize).map(|i| pair[0] + width * i as f64));
    }
    fine.push(high);
    fine.sort_by(f64::total_cmp);
    fine.dedup();
    Ok(fine)
}

/// The ends, a hair inside so that a jump at an edge belongs to the right panel, and the Gauss points.
fn sample_points(low: f64, high: f64) -> [f64; 10] {
    let (centre, half) = (0.5 * (low + high), 0.5 * (high - low));
    let inside = 1.0 - 1e-9;
    let at = |node: f64| centre + half * node;
    let [a, b, c, d] = GAUSS.map(|(node, _)| node);
    [-inside, -d, -c, -b, -a, a, b, c, d, inside].map(at)
}

fn gauss(low: f64, high: f64, integrand: impl Fn(f64) -> f64) -> f64 {
    let (centre, half) = (0.5 * (low + high), 0.5 * (high - low));
    let pair = |(node, weight): (f64, f64)| {
        weight * (integrand(centre - half * node) + integrand(centre + half * node))
    };
    half * GAUSS.into_iter().map(pair).sum::<f64>()
}
