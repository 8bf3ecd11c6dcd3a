//! The models of a chain: their parameters, bounds and coordinates, and where their search starts.

use super::{Slice, side};
use crate::closed_form::{BatesLaw, BatesModel, EuropeanOption, HestonModel, MertonModel};

#[derive(Clone, Copy)]
pub enum Kind {
    Merton,
    Heston,
    Bates,
}

/// A parameter, what a chain could ask for, and its coordinate in the search, which is of order one.
#[derive(Clone, Copy)]
pub struct Range {
    pub name: &'static str,
    least: f64,
    most: f64,
    coordinate: Coordinate,
}

#[derive(Clone, Copy)]
enum Coordinate {
    Logarithm,
    Atanh,
    Itself,
}

const fn above_zero(name: &'static str, least: f64, most: f64) -> Range {
    Range { name, least, most, coordinate: Coordinate::Logarithm }
}

const BATES: [Range; 8] = [
    above_zero("variance", 1e-4, 25.0),
    above_zero("mean_reversion", 1e-2, 100.0),
    above_zero("long_variance", 1e-4, 25.0),
    above_zero("volatility_of_variance", 1e-2, 50.0),
    Range { name: "correlation", least: -0.999, most: 0.999, coordinate: Coordinate::Atanh },
    above_zero("jump_intensity", 1e-2, 100.0),
    Range { name: "jump_mean", least: -2.0, most: 2.0, coordinate: Coordinate::Itself },
    above_zero("jump_sd", 1e-3, 2.0),
];
const MERTON: [Range; 4] = [above_zero("volatility", 1e-2, 5.0), BATES[5], BATES[6], BATES[7]];

/// First guesses at mean reversion, volatility of variance and correlation: a slow and a fast variance.
const VARIANCES: [[f64; 3]; 2] = [[2.0, 1.0, -0.3], [12.0, 4.0, -0.1]];
/// First guesses at jumps, large and rare or small and many: how many a year, mean and deviation in
/// annual volatilities.
const JUMPS: [[f64; 3]; 2] = [[1.0, -0.15, 0.25], [20.0, -0.03, 0.08]];

impl Range {
    fn coordinate(&self, x: f64) -> f64 {
        match self.coordinate {
            Coordinate::Logarithm => x.ln(),
            Coordinate::Atanh => x.atanh(),
            Coordinate::Itself => x,
        }
    }

    fn parameter(&self, at: f64) -> f64 {
        match self.coordinate {
            Coordinate::Logarithm => at.exp(),
            Coordinate::Atanh => at.tanh(),
            Coordinate::Itself => at,
        }
    }

    /// Derivative of the parameter by its coordinate.
    pub fn slope(&self, x: f64) -> f64 {
        match self.coordinate {
            Coordinate::Logarithm => x,
            Coordinate::Atanh => 1.0 - x * x,
            Coordinate::Itself => 1.0,
        }
    }

    /// Bounds of the coordinate.
    pub fn bounds(&self) -> (f64, f64) {
        (self.coordinate(self.least), self.coordinate(self.most))
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Merton => "merton",
            Self::Heston => "heston",
            Self::Bates => "bates",
        }
    }

    pub fn ranges(self) -> &'static [Range] {
        match self {
            Self::Merton => &MERTON,
            Self::Heston => &BATES[..5],
            Self::Bates => &BATES,
        }
    }

    /// Points from which the search starts, in coordinates; that of Bates from Heston's parameters.
    pub fn starts(self, slices: &[Slice], heston: Option<&[f64]>) -> Vec<Vec<f64>> {
        let (first, last) = (slices[0].at_the_money(), slices[slices.len() - 1].at_the_money());
        let variance = |[reversion, volatility, correlation]: [f64; 3]| {
            vec![first * first, reversion, last * last, volatility, correlation]
        };
        let jumps = |[intensity, mean, sd]: [f64; 3]| [intensity, mean * last, sd * last];
        let starts: Vec<Vec<f64>> = match self {
            Self::Merton => JUMPS.map(|guess| [&[last], &jumps(guess)[..]].concat()).to_vec(),
            Self::Heston => VARIANCES.map(variance).to_vec(),
            Self::Bates => {
                let both = |guess| Some([heston?, &jumps(guess)[..]].concat());
                JUMPS.into_iter().filter_map(both).collect()
            }
        };
        let coordinates =
            |start: Vec<f64>| self.ranges().iter().zip(start).map(|(range, x)| range.coordinate(x)).collect();
        starts.into_iter().map(coordinates).collect()
    }

    /// Parameters from coordinates.
    pub fn parameters(self, at: &[f64]) -> Vec<f64> {
        self.ranges().iter().zip(at).map(|(range, x)| range.parameter(*x)).collect()
    }

    /// The model of parameters.
    pub fn candidate(self, p: &[f64]) -> Candidate {
        let heston = |p: &[f64]| HestonModel {
            variance: p[0],
            mean_reversion: p[1],
            long_variance: p[2],
            volatility_of_variance: p[3],
            correlation: p[4],
        };
        match self {
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
        }
    }
}

/// A model at a point of the search.
#[derive(Clone, Copy)]
pub enum Candidate {
    Merton(MertonModel),
    Bates(BatesModel),
}

impl Candidate {
    /// Undiscounted prices over the forward, out of the money; `None` where there are none.
    pub fn prices(&self, slice: &Slice) -> Option<Vec<f64>> {
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

    /// Prices, and for each parameter, in the order of the kind's, their derivatives.
    pub fn prices_and_derivatives(&self, slice: &Slice) -> Option<(Vec<f64>, Vec<Vec<f64>>)> {
        match self {
            Self::Bates(model) => {
                let law = BatesLaw::new(*model, slice.years).ok()?;
                let (prices, gradient) = law.out_of_the_money_gradient(&slice.log_strikes).ok()?;
                Some((prices, gradient.into()))
            }
            Self::Merton(model) => {
                let of = |p: &[f64]| Kind::Merton.candidate(p).prices(slice);
                let at = [model.volatility, model.intensity, model.mean_log_jump, model.sd_log_jump];
                // The series is exact to 1e-14: central differences lose some 1e-8 by either error.
                let column = |i: usize| {
                    let step = 1e-4 * at[i].abs().max(1e-3);
                    let moved = |by: f64| {
                        let mut p = at;
                        p[i] += by;
                        of(&p)
                    };
                    let (up, down) = (moved(step)?, moved(-step)?);
                    Some(up.iter().zip(down).map(|(up, down)| (up - down) / (2.0 * step)).collect())
                };
                Some((of(&at)?, (0..at.len()).map(column).collect::<Option<_>>()?))
            }
        }
    }

    /// `2 kappa theta / sigma^2`, where variance moves.
    pub fn feller_ratio(&self) -> Option<f64> {
        match self {
            Self::Bates(model) => Some(model.heston.feller_ratio()),
            Self::Merton(_) => None,
        }
    }
}
