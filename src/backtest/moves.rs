//! What a book loses under many moves of its assets at once: the arithmetic of [`Book::loss`] in lanes.

use super::book::{Book, MARK_DECAY, Mark, OptionLeg};
use crate::closed_form::black::OptionKind;
use crate::numeric::{Lanes, Real};

const LANES: usize = 8;
type Row = Lanes<f64, LANES>;
/// Below this variance to expiry an option is valued one by one: lanes divide by its root.
const LEAST_VARIANCE: f64 = 1e-16;

/// Moves of one asset over a horizon, equally likely.
pub struct Moves {
    /// Log returns, zero where there is none; whole rows of lanes.
    log_returns: Vec<f64>,
    /// Simple returns, likewise.
    returns: Vec<f64>,
    /// Which have none.
    missing: Vec<usize>,
    count: usize,
    mark: Mark,
}

impl Moves {
    /// Moves by log returns, NaN where there is none, of an asset whose options are marked at `mark`.
    pub fn new(mut log_returns: Vec<f64>, mark: Mark) -> Self {
        let count = log_returns.len();
        let missing: Vec<usize> = (0..count).filter(|j| !log_returns[*j].is_finite()).collect();
        missing.iter().for_each(|j| log_returns[*j] = 0.0);
        log_returns.resize(count.next_multiple_of(LANES), 0.0);
        let mut returns = vec![0.0; log_returns.len()];
        pulp::Arch::new().dispatch(Growth { log_returns: &log_returns, returns: &mut returns });
        Self { log_returns, returns, missing, count, mark }
    }

    /// How many, those without a return among them.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl Book {
    /// The loss under each move, positive for a loss; `moves` of every asset of the book, all equally many. A
    /// move that one of the assets lacks is left out.
    pub fn losses<'a>(&self, moves: impl Fn(usize) -> &'a Moves) -> Vec<f64> {
        let assets = self.assets();
        let Some(first) = assets.first() else { return Vec::new() };
        let mut losses = vec![0.0; moves(*first).returns.len()];
        for (asset, exposure) in &self.positions {
            losses.iter_mut().zip(&moves(*asset).returns).for_each(|(loss, r)| *loss -= exposure * r);
        }
        for leg in &self.options {
            leg.add_losses(moves(leg.asset), &mut losses);
        }
        losses.truncate(moves(*first).count);
        for asset in assets {
            moves(asset).missing.iter().for_each(|j| losses[*j] = f64::NAN);
        }
        losses.retain(|loss| loss.is_finite());
        losses
    }
}

impl OptionLeg {
    fn add_losses(&self, moves: &Moves, losses: &mut [f64]) {
        let mark = moves.mark;
        let rest = (self.tenor() - mark.years()).max(0.0);
        if mark.variance * mark.steps_per_year * rest > LEAST_VARIANCE {
            pulp::Arch::new().dispatch(Leg { leg: self, rest, moves, losses });
        } else {
            let moved = moves.log_returns.iter().map(|x| self.loss(mark.moved_by(*x)));
            losses.iter_mut().zip(moved).for_each(|(all, loss)| *all += loss);
        }
    }
}

struct Growth<'a> {
    log_returns: &'a [f64],
    returns: &'a mut [f64],
}

impl pulp::WithSimd for Growth<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let rows = self.log_returns.chunks_exact(LANES).zip(self.returns.chunks_exact_mut(LANES));
        for (log_returns, returns) in rows {
            Row::load(log_returns).expm1().store(returns);
        }
    }
}

struct Leg<'a> {
    leg: &'a OptionLeg,
    /// Years from the horizon to expiry.
    rest: f64,
    moves: &'a Moves,
    losses: &'a mut [f64],
}

impl pulp::WithSimd for Leg<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) {
        let Self { leg, rest, moves, losses } = self;
        let mark = moves.mark;
        let constant = Row::constant;
        let years = mark.steps_per_year * rest;
        let decay = MARK_DECAY.powi(mark.steps as i32);
        let (old, new) =
            (constant(years * decay * mark.variance), constant(years * (1.0 - decay) / mark.steps as f64));
        let (strike, log_strike) = (constant(leg.moneyness), constant(leg.moneyness.ln()));
        let is_put = constant(if leg.kind == OptionKind::Put { 1.0 } else { 0.0 });
        let (before, sold) = (constant(leg.value_before(mark)), constant(-leg.quantity));
        let (one, half) = (constant(1.0), constant(0.5));
        let moves = moves.log_returns.chunks_exact(LANES).zip(moves.returns.chunks_exact(LANES));
        for ((x, r), losses) in moves.zip(losses.chunks_exact_mut(LANES)) {
            let (x, spot) = (Row::load(x), one + Row::load(r));
            let sd = (old + new * (x * x)).sqrt();
            let d1 = (x - log_strike) * sd.recip() + half * sd;
            let call = spot * d1.normal_cdf() - strike * (d1 - sd).normal_cdf();
            let after = call + is_put * (strike - spot);
            (Row::load(losses) + sold * (after - before)).store(losses);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leg(kind: OptionKind, moneyness: f64, days: f64, quantity: f64) -> OptionLeg {
        OptionLeg { asset: 0, kind, moneyness, days, quantity }
    }

    #[test]
    fn losses_are_those_of_each_move_alone() {
        let book = Book {
            name: "all kinds".to_owned(),
            positions: vec![(0, 1.0), (1, -0.5)],
            options: vec![
                leg(OptionKind::Call, 1.1, 30.0, -1.0),
                leg(OptionKind::Put, 0.85, 30.0, -2.0),
                // Expired at the horizon.
                leg(OptionKind::Put, 1.0, 1.5, 1.0),
            ],
        };
        let mark = Mark { variance: 1.6e-3, steps: 2, steps_per_year: 365.0 };
        let first: Vec<f64> = (0..43).map(|j| 0.9 * f64::from(j - 21).powi(3) / 9261.0).collect();
        let mut second: Vec<f64> = first.iter().map(|x| 0.3 * x + 0.01).collect();
        second[7] = f64::NAN;
        let moves = [Moves::new(first.clone(), mark), Moves::new(second.clone(), mark)];
        let found = book.losses(|asset| &moves[asset]);
        let all = [&first, &second];
        let one_by_one = |j: usize| book.loss(|asset| mark.moved_by(all[asset][j]));
        let expected: Vec<f64> = (0..43).filter(|j| *j != 7).map(one_by_one).collect();
        assert_eq!(found.len(), 42);
        for (found, expected) in found.iter().zip(&expected) {
            // Both err by some 1e-14 of the values, which are of the order of one.
            assert!((found - expected).abs() < 1e-13, "{found} {expected}");
        }
        // Neighbouring moves differ by far more.
        assert!((found[0] - expected[1]).abs() > 1e-3);
    }
}
