//! What deviation for how long moves an oracle, and what it costs against a pool's depth.

use serde::Serialize;

/// What an attacker is up against. Times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Move of the oracle's price that is wanted, such as to a liquidation price: -0.2 is -20 %.
    pub oracle_move: f64,
    /// Window of the time-weighted mean; 0 for a price as it is.
    pub window_seconds: f64,
    /// Dollars on either side of the constant-product pool.
    pub pool: f64,
    /// Time in which others push the pool's price back, so that it must be paid again.
    pub reset_seconds: f64,
    /// Sources that have to be pushed: half of an odd number of them and one, under a median.
    pub sources: usize,
}

/// An attack that lasts some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Attack {
    /// How long the price is held, seconds.
    pub seconds: f64,
    /// Move of the pool's price that is held: -0.2 is -20 %.
    pub deviation: f64,
    /// Dollars that are in the pools at a time.
    pub capital: f64,
    /// Dollars lost to those who push the price back, over the whole attack.
    pub cost: f64,
}

/// The attack of some duration that reaches the target; `None` where no deviation does, since a price
/// cannot fall by more than all.
///
/// # Formula
/// A deviation `d` held for `t` of a window `W` moves the mean by `d min(1, t/W)`. What it costs is
/// [`pool_cost`] for each begun time of reset and each source.
pub fn attack(target: &Target, seconds: f64) -> Option<Attack> {
    let weight = if target.window_seconds > 0.0 { (seconds / target.window_seconds).min(1.0) } else { 1.0 };
    let deviation = target.oracle_move / weight;
    if !(deviation > -1.0 && deviation.is_finite() && seconds > 0.0) {
        return None;
    }
    let times = (seconds / target.reset_seconds).ceil().max(1.0);
    let (capital, cost) = pool_cost(target.pool, deviation);
    let sources = target.sources as f64;
    Some(Attack { seconds, deviation, capital: sources * capital, cost: sources * cost * times })
}

/// What it takes to push a price, by how far, and from which exposure on it pays. Prepared once:
/// costs go with the pool's size.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pushes {
    /// Window of the time-weighted mean, seconds; 0 for a price as it is.
    pub window_seconds: f64,
    /// Time in which others push the pool's price back, seconds.
    pub reset_seconds: f64,
    /// Sources that have to be pushed.
    pub sources: usize,
    /// Moves beyond it are not believed: 0.5 is 50 %.
    pub most_move: f64,
    /// Sizes of moves, ascending up to the largest.
    #[serde(skip)]
    moves: Vec<f64>,
    /// Least ratio of exposure to pool at which a move of this size or a larger one pays, `[side][move]`,
    /// falls first.
    #[serde(skip)]
    least_ratio: [Vec<f64>; 2],
}

/// Smallest move of the table, and how many there are: 4 % from one to the next.
const SMALLEST_MOVE: f64 = 1e-5;
const MOVES: usize = 256;
/// Durations of attacks grow by this factor.
const LONGER: f64 = 1.5;

impl Pushes {
    /// `most_move` in (0, 1).
    pub fn new(window_seconds: f64, reset_seconds: f64, sources: usize, most_move: f64) -> Self {
        let growth = (most_move / SMALLEST_MOVE).powf(1.0 / (MOVES - 1) as f64);
        let moves = (0..MOVES).map(|at| SMALLEST_MOVE * growth.powi(at as i32)).collect();
        let empty = [Vec::new(), Vec::new()];
        let mut pushes =
            Self { window_seconds, reset_seconds, sources, most_move, moves, least_ratio: empty };
        pushes.least_ratio = [-1.0, 1.0].map(|side| {
            let ratio =
                |size: &f64| pushes.cheapest(1.0, side * size).map_or(f64::INFINITY, |a| a.cost / size);
            let mut ratios: Vec<f64> = pushes.moves.iter().map(ratio).collect();
            for at in (1..ratios.len()).rev() {
                ratios[at - 1] = ratios[at - 1].min(ratios[at]);
            }
            ratios
        });
        pushes
    }

    /// The cheapest attack that moves the oracle by this, over durations from one reset to the window;
    /// `None` where none does.
    pub fn cheapest(&self, pool: f64, oracle_move: f64) -> Option<Attack> {
        let Self { window_seconds, reset_seconds, sources, .. } = *self;
        let target = Target { oracle_move, window_seconds, pool, reset_seconds, sources };
        let longer = |t: &f64| Some(t * LONGER).filter(|t| *t < window_seconds);
        let durations =
            std::iter::successors(Some(reset_seconds), longer).chain([window_seconds.max(reset_seconds)]);
        durations.filter_map(|t| attack(&target, t)).min_by(|a, b| a.cost.total_cmp(&b.cost))
    }

    /// The largest move in favour of an exposure (dollars gained by a move of one; negative for a
    /// short) that gains more than it costs against a pool; 0 where none does.
    pub fn largest_paying(&self, exposure: f64, pool: f64) -> f64 {
        let ratio = exposure.abs() / pool;
        let least = &self.least_ratio[usize::from(exposure > 0.0)];
        // Costs of small moves go with their square.
        let at = least.partition_point(|needed| *needed < ratio);
        let size = match at {
            0 => self.moves[0] * ratio / least[0],
            at if at == least.len() => self.most_move,
            at if least[at].is_finite() => {
                let part = (ratio / least[at - 1]).ln() / (least[at] / least[at - 1]).ln();
                self.moves[at - 1] * (self.moves[at] / self.moves[at - 1]).powf(part)
            }
            at => self.moves[at - 1],
        };
        if size.is_finite() { size.copysign(exposure) } else { 0.0 }
    }
}

/// Dollars of a trade that moves a constant-product pool of `pool` dollars a side by `deviation`, and
/// what is lost of them when others move it back.
///
/// # Formula
/// With `s = sqrt(1 + d)`: dollars in `L (s - 1)`, coins out worth `L (1 - 1/s)` at the price of
/// before, so that `L (s + 1/s - 2)` is lost; a fall sells coins worth `L (1/s - 1)` and loses the same.
pub fn pool_cost(pool: f64, deviation: f64) -> (f64, f64) {
    let root = (1.0 + deviation).sqrt();
    let traded = if deviation >= 0.0 { root - 1.0 } else { 1.0 / root - 1.0 };
    // s + 1/s - 2 = (s - 1)^2 / s, without cancellation.
    (pool * traded, pool * (root - 1.0).powi(2) / root)
}
