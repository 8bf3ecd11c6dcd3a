//! One of the markets that figures look at, with its cube: the base case, or the market after a stress
//! that the margin rules name.

use super::book::{self, Held};
use super::cube::{Cube, Legs, Profits};
use super::pools::Pools;
use super::{Cancel, DeskFault, lock};
use crate::engine::Pace;
use crate::risk::TailEstimate;
use crate::scenario::Scenario;

/// Legs of a pass that is still short work: each reads 4 bytes a path and horizon.
const SHORT_LEGS: usize = 16;

/// A market and its cube.
pub struct Case {
    /// The scenario in this market, as if it were the base case; accounts are not in its portfolio.
    pub scenario: Scenario,
    /// Profits of all instruments.
    pub cube: Cube,
}

/// An account in a case.
pub struct Net {
    /// What it holds there.
    pub held: Held,
    /// What it nets.
    pub legs: Legs,
    /// Its tails.
    pub estimates: Vec<TailEstimate>,
}

/// Legs that were netted before, and the profits that they made.
pub type Before<'a> = Option<(&'a Legs, &'a Profits)>;

/// The scenarios of all cases: of the base case, then of each stress that the margin rules name.
pub fn scenarios(base: &Scenario) -> Vec<Scenario> {
    let after = |stress: &crate::scenario::Stress| Scenario {
        market: stress.apply(&base.market),
        stresses: Vec::new(),
        ..base.clone()
    };
    std::iter::once(base.clone()).chain(base.stresses.iter().map(after)).collect()
}

/// Cases of the stressed weight and of the lookback floor, where the margin rules have them.
pub fn named(base: &Scenario) -> [Option<usize>; 2] {
    let index = |name: &str| base.stresses.iter().position(|stress| stress.name == name);
    base.margin.add_ons.cases().map(|name| name.and_then(index).map(|stress| stress + 1))
}

impl Case {
    /// What an account holds here, if this is not the base case.
    pub fn carried(&self, held: &Held) -> Result<Held, DeskFault> {
        book::carried(&self.scenario, held).map_err(DeskFault::Engine)
    }

    /// What an account nets; every instrument is priced.
    pub fn legs(&self, held: &Held) -> Result<Legs, DeskFault> {
        let lacking = || DeskFault::Engine("the cube lacks an instrument that was priced".to_owned());
        self.cube.legs(held).ok_or_else(lacking)
    }

    /// Prices what is held and not priced yet; `false` where that needs other paths.
    pub fn ensure(&self, held: &Held, pools: &Pools, cancel: &Cancel) -> Result<bool, DeskFault> {
        if self.cube.legs(held).is_some() {
            return Ok(true);
        }
        let _adding = lock(&self.cube.adding);
        pools.long(cancel, |pace| self.cube.ensure(&self.scenario, held, pace))
    }

    /// Profits of an account on all paths; rows added to those of `before` cost one pass over each.
    pub fn profits(
        &self,
        legs: &Legs,
        before: Before<'_>,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Profits, DeskFault> {
        match added(legs, before) {
            Some((base, more)) => on(pools, &more, cancel, |pace| self.cube.profits(Some(base), &more, pace)),
            None => pools.long(cancel, |pace| self.cube.profits(None, legs, pace)),
        }
    }

    /// Tails of an account at every level; likewise.
    pub fn estimates(
        &self,
        (legs, scale): (&Legs, f64),
        before: Before<'_>,
        pools: &Pools,
        cancel: &Cancel,
    ) -> Result<Vec<TailEstimate>, DeskFault> {
        let look = |base, legs, pace: &dyn Pace| self.cube.estimates(base, legs, scale, pace);
        match added(legs, before) {
            Some((base, more)) => on(pools, &more, cancel, |pace| look(Some(base), &more, pace)),
            None => on(pools, legs, cancel, |pace| look(None, legs, pace)),
        }
    }
}

/// Profits that were made before, and the legs on top of them.
fn added<'a>(legs: &Legs, before: Before<'a>) -> Option<(&'a Profits, Legs)> {
    let (first, profits) = before?;
    Some((profits, legs.after(first)?))
}

/// On the pool for work of this size.
fn on<T: Send>(pools: &Pools, legs: &Legs, cancel: &Cancel, work: impl FnOnce(&dyn Pace) -> T + Send) -> T {
    if legs.len() <= SHORT_LEGS { pools.short(cancel, work) } else { pools.long(cancel, work) }
}
