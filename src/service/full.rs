//! Figures from the first path to the last, as `run` makes them: for what the cube cannot answer,
//! and to compare it with.

use std::ops::Range;

use super::api::Figures;
use super::book::Held;
use super::{Cancel, DeskFault};
use crate::engine::cpu::CpuEngine;
use crate::engine::{Engine, EngineFault};
use crate::instrument::Instrument;
use crate::margin::{AccountValue, Margin};
use crate::portfolio::Portfolio;
use crate::report::{Levels, TailResult};
use crate::risk::{Tail, TailEstimate};
use crate::run::{self, AccountCase, RunFault, Silent, Source, Work};
use crate::scenario::Scenario;

/// Paths between two looks at the flag.
const LOOK_PATHS: u64 = 1 << 16;

/// The base case of one account; stresses of the scenario are those that its margin rules look at. `among` are the instruments of all accounts: those that expire on
/// the way decide at which times every path is looked at.
pub fn case(
    scenario: &Scenario,
    held: &Held,
    among: &[Instrument],
    cancel: &Cancel,
) -> Result<AccountCase, DeskFault> {
    let mut instruments = held.instruments.clone();
    instruments.extend(among.iter().filter(|i| !held.instruments.contains(i)).cloned());
    let portfolio = Portfolio { accounts: vec![held.account.clone()], instruments };
    let scenario = Scenario { portfolio, ..scenario.clone() };
    let mut engine = CpuEngine::new(scenario.simulation.precision);
    let outcome = run::run_from(&scenario, &mut Cancellable(cancel), &mut engine, &mut Silent);
    if cancel.is_cancelled() {
        return Err(DeskFault::Cancelled);
    }
    let mut outcome = outcome.map_err(|fault| DeskFault::Engine(fault.to_string()))?;
    let case = outcome.cases.swap_remove(0);
    let account = case.accounts.map_err(DeskFault::Engine)?.pop();
    let failed = || case.failed.into_iter().next().map_or_else(String::new, |failed| failed.reason);
    account.ok_or_else(|| DeskFault::Engine(failed()))
}

/// Simulates everything now, unless it is cancelled.
struct Cancellable<'a>(&'a Cancel);

impl Source for Cancellable<'_> {
    fn add(
        &mut self,
        work: &Work<'_>,
        engine: &mut dyn Engine,
        tails: &mut [Tail],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), RunFault> {
        let mut first = paths.start;
        while first < paths.end {
            if self.0.is_cancelled() {
                return Err(EngineFault::Device("cancelled".to_owned()).into());
            }
            let end = (first + LOOK_PATHS).min(paths.end);
            engine.add_tails(work.job, work.brackets, first..end, tails, &mut |_| ())?;
            first = end;
            progress(first - paths.start);
        }
        Ok(())
    }
}

impl Figures {
    /// Figures of an account at a scenario's levels.
    pub fn new(
        levels: &Levels,
        value: &AccountValue,
        margin: &Margin,
        maintenance: &TailEstimate,
        initial: &TailEstimate,
    ) -> Self {
        Self {
            market_value: value.market_value,
            equity: value.equity,
            gross_notional: value.gross_notional,
            maintenance: TailResult::new(&levels.maintenance, maintenance),
            initial: TailResult::new(&levels.initial, initial),
            maintenance_margin: margin.maintenance_margin,
            initial_margin: margin.initial_margin,
            maintenance_components: margin.maintenance_lines,
            initial_components: margin.initial_lines,
            health: margin.health.filter(|health| health.is_finite()),
            state: margin.state.into(),
        }
    }

    /// Figures of a run's account.
    pub fn of_case(levels: &Levels, case: &AccountCase) -> Self {
        Self::new(levels, &case.value, &case.margin, &case.maintenance, &case.initial)
    }
}
