//! Euler components of Expected Shortfall: means of a part of the loss over the tail's paths.

use crate::units::Confidence;

/// A part of an account's Expected Shortfall, in the unit of the losses. Parts of one kind add up
/// to the whole; one that offsets others is negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Component {
    /// Mean of the part's loss over the tail.
    pub expected_shortfall: f64,
    /// Its standard error, the uncertainty of where the tail begins included.
    pub standard_error: f64,
}

/// Sums of one part's loss over a tail's paths, from which its component follows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ComponentSums {
    /// Sum of weight times loss.
    pub loss: f64,
    /// Sum of weight times the square of the loss.
    pub square: f64,
    /// Sum of the losses of the paths at the tail's end.
    pub end: f64,
}

/// What turns sums into components: the size of the tail and of its end.
#[derive(Clone, Copy, Debug)]
pub struct TailSize {
    /// All paths of the run.
    pub paths: u64,
    /// Confidence of the tail.
    pub confidence: Confidence,
    /// How many paths stand for the tail's end.
    pub end: usize,
}

impl ComponentSums {
    /// Adds the sums of other paths.
    pub fn merge(&mut self, other: &Self) {
        self.loss += other.loss;
        self.square += other.square;
        self.end += other.end;
    }

    /// The component.
    ///
    /// # Formula
    /// `E[l 1(L > q)] / (1 - a)`. Its error to first order is that of
    /// `(l - m(q)) 1(L > q) / (1 - a)` with `m(q) = E[l | L = q]`, because a tail that begins
    /// elsewhere takes in or leaves out paths of that mean; for the whole loss, `m(q) = q` and this
    /// is the usual error of Expected Shortfall.
    pub fn component(&self, size: &TailSize) -> Component {
        let n = size.paths as f64;
        let mass = n * size.confidence.tail();
        let m = self.end / size.end as f64;
        let first = (self.loss - m * mass) / n;
        let second = (self.square - 2.0 * m * self.loss + m * m * mass) / n;
        let variance = (second - first * first).max(0.0);
        Component {
            expected_shortfall: self.loss / mass,
            standard_error: (variance / n).sqrt() / size.confidence.tail(),
        }
    }
}
