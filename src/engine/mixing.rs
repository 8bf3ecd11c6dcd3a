//! The mixing variable of a Student-t shock as a function of one random word.
//!
//! `m = sqrt((nu - 2) / chi2_nu)` is drawn by inversion: exact integer decisions (no rejection
//! loop), any real `nu > 2`. The inverse distribution function is cut into segments that halve
//! toward both tails, each a cubic through Chebyshev nodes.

use statrs::function::gamma::{gamma_lr, gamma_ur, ln_gamma};

use crate::numeric::Real;

/// Parts of each octave of probability.
const PARTS: u32 = 16;
/// Octaves of each tail: probabilities from 2^-33 to 1/2.
const OCTAVES: u32 = 32;
/// Coefficients of a segment.
pub const COEFFICIENTS: usize = 4;

/// Cubics of the mixing variable, `[segment][coefficient]`, constant term first.
#[derive(Clone, Debug, PartialEq)]
pub struct MixingTable {
    coefficients: Vec<[f64; COEFFICIENTS]>,
}

/// Where a word falls: a segment, and a position in it from 0 to 1 in units of 2^-24.
///
/// The word's first bit is the side. The others are the probability `p = t 2^-33` of being
/// farther out on that side, `t` odd: its leading bit is the octave, four more bits are the part.
#[inline(always)]
pub fn locate(word: u32) -> (usize, u32) {
    let side = word >> 31;
    let distance = if side == 0 { word } else { !word };
    let t = 2 * distance + 1;
    let zeros = t.leading_zeros();
    let normal = t << zeros;
    let part = (normal >> 27) & (PARTS - 1);
    let position = (normal << 5) >> 8;
    (((side * OCTAVES + (31 - zeros)) * PARTS + part) as usize, position)
}

/// The mixing variable of a word, from a table in the engine's precision.
#[inline(always)]
pub fn evaluate<S: Real>(table: &[[S; COEFFICIENTS]], word: u32) -> S {
    let (segment, position) = locate(word);
    let t = S::constant(f64::from(position) * (1.0 / 16_777_216.0));
    let [c0, c1, c2, c3] = table[segment];
    c0 + t * (c1 + t * (c2 + t * c3))
}

impl MixingTable {
    /// The table of `nu` degrees of freedom, above 2.
    pub fn new(nu: f64) -> Self {
        let shape = nu / 2.0;
        let mut coefficients = vec![[0.0; COEFFICIENTS]; (2 * OCTAVES * PARTS) as usize];
        // From the median outwards, each quantile starts from its neighbour.
        for side in 0..2 {
            let mut log_quantile = (shape - 1.0 / 3.0).max(0.1 * shape).ln();
            for segment in (0..(OCTAVES * PARTS)).rev() {
                let (octave, part) = (segment / PARTS, segment % PARTS);
                let mut values = [0.0; COEFFICIENTS];
                for node in 0..COEFFICIENTS {
                    let scaled = 1.0 + (f64::from(part) + chebyshev_node(node)) / f64::from(PARTS);
                    let tail = scaled * 2f64.powi(octave as i32 - 33);
                    log_quantile = invert(shape, side == 1, tail.ln(), log_quantile);
                    values[node] = ((nu - 2.0) / 2.0).sqrt() * (-0.5 * log_quantile).exp();
                }
                coefficients[(side * OCTAVES * PARTS + segment) as usize] = cubic(values);
            }
        }
        Self { coefficients }
    }

    /// The mixing variable of a word, in f64.
    pub fn at(&self, word: u32) -> f64 {
        evaluate(&self.coefficients, word)
    }

    /// The table in an engine's precision.
    pub fn rounded<S: Real>(&self) -> Vec<[S; COEFFICIENTS]> {
        self.coefficients.iter().map(|segment| segment.map(S::constant)).collect()
    }
}

/// Nodes on [0, 1], descending.
fn chebyshev_node(index: usize) -> f64 {
    let angle = (2.0 * index as f64 + 1.0) * std::f64::consts::PI / (2.0 * COEFFICIENTS as f64);
    0.5 + 0.5 * angle.cos()
}

/// The cubic through values at the Chebyshev nodes, by Newton's divided differences.
fn cubic(values: [f64; COEFFICIENTS]) -> [f64; COEFFICIENTS] {
    let mut divided = values;
    for order in 1..COEFFICIENTS {
        for index in (order..COEFFICIENTS).rev() {
            let span = chebyshev_node(index) - chebyshev_node(index - order);
            divided[index] = (divided[index] - divided[index - 1]) / span;
        }
    }
    let mut polynomial = [0.0; COEFFICIENTS];
    for index in (0..COEFFICIENTS).rev() {
        let node = chebyshev_node(index);
        for power in (1..COEFFICIENTS).rev() {
            polynomial[power] = polynomial[power - 1] - node * polynomial[power];
        }
        polynomial[0] = divided[index] - node * polynomial[0];
    }
    polynomial
}

/// Log of the gamma quantile whose tail (upper or lower) has the log probability, by Newton steps
/// on logarithms, where both tails are close to straight lines.
fn invert(shape: f64, upper: bool, log_tail: f64, start: f64) -> f64 {
    let log_gamma = ln_gamma(shape);
    let mut y = start;
    for _ in 0..60 {
        let x = y.exp();
        let tail = if upper { gamma_ur(shape, x) } else { gamma_lr(shape, x) };
        let log_density = shape * y - x - log_gamma;
        let slope = (log_density - tail.ln()).exp();
        let error = tail.ln() - log_tail;
        let step = if upper { error / slope } else { -error / slope };
        // Far from the root a full step overshoots where the curve bends.
        let step = step.clamp(-1.0, 1.0);
        y += step;
        if step.abs() < 1e-13 * (1.0 + y.abs()) {
            break;
        }
    }
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_map_to_probabilities_in_order() {
        // The segment and position name p again, to the 24 bits that a position keeps.
        for word in [0, 1, 2, 5, 63, 64, 65, 345, 1 << 20, (1 << 31) - 1, 1 << 31, u32::MAX - 3, u32::MAX] {
            let (segment, position) = locate(word);
            let (side, octave, part) = (segment as u32 / 512, segment as u32 / 16 % 32, segment as u32 % 16);
            let scaled = 1.0 + (f64::from(part) + f64::from(position) / 16_777_216.0) / 16.0;
            let p = scaled * 2f64.powi(octave as i32 - 33);
            let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
            let expected = if u < 0.5 { u } else { 1.0 - u };
            assert_eq!(side, u32::from(u >= 0.5));
            assert!((p / expected - 1.0).abs() < 1e-8, "{word}: {p} {expected}");
        }
    }

    /// A cubic through Chebyshev nodes on a sixteenth of an octave errs by `f''''/(192 * 16^4)`
    /// relative; the fourth derivative of `p^(-1/nu)` is below 4 `f` for `nu > 2`.
    const TABLE_ERROR: f64 = 4.0 / (192.0 * 65_536.0);

    #[test]
    fn the_table_inverts_the_distribution() {
        for nu in [2.1, 3.0, 4.5, 8.0, 30.0, 1000.0] {
            let table = MixingTable::new(nu).rounded::<f64>();
            for k in 0..2000u32 {
                let word = k.wrapping_mul(2_654_435_769) >> (k % 29);
                let m = evaluate(&table, word);
                let x = (nu - 2.0) / (2.0 * m * m);
                let u = (f64::from(word) + 0.5) / 4_294_967_296.0;
                let (got, expected) =
                    if u < 0.5 { (gamma_lr(nu / 2.0, x), u) } else { (gamma_ur(nu / 2.0, x), 1.0 - u) };
                // d ln p = slope * d ln x = 2 slope * d ln m, and slope < nu/2 in the lower tail, < x in the upper.
                let slope = (nu / 2.0).max(x);
                assert!(
                    (got / expected).ln().abs() < 2.0 * slope * TABLE_ERROR + 1e-10,
                    "nu {nu}, word {word}"
                );
            }
        }
    }

    #[test]
    fn the_mean_square_is_one() {
        // Midpoints of 2^18 equal cells: E[m^2] = 1 exactly; the tails beyond lose at nu = 6
        // less than (2^-18)^(1 - 2/6) of it.
        let table = MixingTable::new(6.0).rounded::<f64>();
        let n = 1u32 << 18;
        let sum: f64 = (0..n).map(|k| evaluate(&table, (k << 14) | (1 << 13)).powi(2)).sum();
        assert!((sum / f64::from(n) - 1.0).abs() < 2.5e-4, "{}", sum / f64::from(n));
    }
}
