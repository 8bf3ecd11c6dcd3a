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
