//! The Basel Committee's traffic light (1996), for any number of days and any confidence.

use serde::Serialize;
use statrs::distribution::{Binomial, DiscreteCDF};

/// Cumulative probability at which yellow begins.
const YELLOW: f64 = 0.95;
/// Cumulative probability at which red begins.
const RED: f64 = 0.9999;
/// Multipliers of MAR32 (2019) for 5 to 10 exceptions in 250 days at 99 %; 1.5 below.
const MULTIPLIERS: [f64; 6] = [1.70, 1.76, 1.83, 1.88, 1.92, 2.00];

/// A zone of the light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    /// A right model is this good or better with probability below 95 %.
    Green,
    /// A right model is this good or better with probability from 95 to 99.99 %.
    Yellow,
    /// A right model is practically never this bad.
    Red,
}

/// What the light shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TrafficLight {
    /// The colour.
    pub zone: Zone,
    /// Probability of so many exceptions or fewer under a right model.
    pub cumulative_probability: f64,
    /// Capital multiplier of MAR32; only for 250 days at 99 %, where it is defined.
    pub multiplier: Option<f64>,
}

/// The light for `exceptions` among `observations` days; `tail` in (0, 1).
pub fn traffic_light(observations: u64, exceptions: u64, tail: f64) -> TrafficLight {
    let law = Binomial::new(tail, observations).expect("a probability");
    let cumulative_probability = law.cdf(exceptions);
    let zone = if cumulative_probability < YELLOW {
        Zone::Green
    } else if cumulative_probability < RED {
        Zone::Yellow
    } else {
        Zone::Red
    };
    let is_basel = observations == 250 && (tail - 0.01).abs() < 1e-12;
    let step = (exceptions as usize).checked_sub(5).map(|step| step.min(MULTIPLIERS.len() - 1));
    let multiplier = is_basel.then(|| step.map_or(1.5, |step| MULTIPLIERS[step]));
    TrafficLight { zone, cumulative_probability, multiplier }
}
