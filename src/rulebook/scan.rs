//! A book revalued in every scenario of a scan.

use super::book::{Kind, Position};
use super::evaluate::{MarginFault, ScanRow, ScanTable, State};
use super::symbol::Level;
use super::tree::Values;
use super::{Component, Reduce, Scan, Scenario, Take};
use crate::closed_form::OptionKind;
use crate::closed_form::black::black_forward;
use crate::closed_form::special::normal_cdf;

/// What is true of one scenario, as far as its formulas have come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shock {
    pub(super) price_move: f64,
    pub(super) weight: f64,
    pub(super) black: f64,
    pub(super) black_delta: f64,
    pub(super) forward: f64,
    pub(super) shocked: f64,
    pub(super) base: f64,
    pub(super) profit: f64,
}

/// The worst figure of every entity, and all scenarios.
pub(super) struct Outcome {
    pub(super) values: Values,
    pub(super) tables: Vec<ScanTable>,
}

/// An option at its base.
struct Base {
    expiry_years: f64,
    right: OptionKind,
    strike: f64,
    value: f64,
}

impl Base {
    /// Undiscounted value at another forward and volatility, and its derivative by the forward.
    fn black(&self, forward: f64, volatility: f64) -> (f64, f64) {
        if !(forward > 0.0) {
            // A put is worth its strike there, and a call nothing.
            let is_put = self.right == OptionKind::Put;
            return if is_put { (self.strike - forward, -1.0) } else { (0.0, 0.0) };
        }
        let sd = volatility * self.expiry_years.sqrt();
        let sign = if self.right == OptionKind::Call { 1.0 } else { -1.0 };
        let moneyness = (forward / self.strike).ln();
        let d1 = if sd > 0.0 { moneyness / sd + 0.5 * sd } else { moneyness * f64::INFINITY };
        let delta = if d1.is_nan() { 0.0 } else { sign * normal_cdf(sign * d1) };
        (black_forward(self.right, forward, self.strike, sd), delta)
    }
}

impl State<'_> {
    /// Runs a scan.
    pub(super) fn scan(&self, scan: &Scan, component: &Component) -> Result<Outcome, MarginFault> {
        let run = Run { state: self, scan, name: &component.name, level: component.level };
        let bases = run.bases()?;
        let entities = self.tree.count(component.level);
        let mut tables: Vec<ScanTable> = (0..entities)
            .map(|entity| ScanTable {
                entity: self.entity(component.level, entity),
                rows: Vec::with_capacity(scan.scenarios.len()),
                worst: 0,
                positions: Vec::new(),
            })
            .collect();
        let mut profits = vec![Vec::with_capacity(scan.scenarios.len()); self.book.positions.len()];
        for (index, scenario) in scan.scenarios.iter().enumerate() {
            run.scenario(index, scenario, &bases, &mut profits, &mut tables)?;
        }
        for (index, (position, profits)) in self.book.positions.iter().zip(profits).enumerate() {
            let entity = self.tree.ancestor(Level::Position, index, component.level);
            tables[entity].positions.push((position.name.clone(), profits));
        }
        for table in &mut tables {
            let worse = |a: &(usize, &ScanRow), b: &(usize, &ScanRow)| a.1.profit.total_cmp(&b.1.profit);
            table.worst = table.rows.iter().enumerate().min_by(worse).map_or(0, |(index, _)| index);
        }
        let figure = |table: &ScanTable| match scan.take {
            Take::Worst => table.rows[table.worst].profit,
            Take::Sum => table.rows.iter().map(|row| row.profit).sum(),
        };
        let worst: Vec<Option<f64>> = tables.iter().map(|table| Some(figure(table))).collect();
        let values = Values::new(&self.tree, component.level, Reduce::Sum, &worst);
        let values = match run.together(&tables)? {
            Some(book) => values.with_book(book),
            None => values,
        };
        Ok(Outcome { values, tables })
    }
}

struct Run<'a> {
    state: &'a State<'a>,
    scan: &'a Scan,
    name: &'a str,
    level: Level,
}

impl Run<'_> {
    /// Every option at its own forward and volatility; none for other positions.
    fn bases(&self) -> Result<Vec<Option<Base>>, MarginFault> {
        let base = |(index, position): (usize, &Position)| {
            let Kind::Option { expiry, right, strike, volatility } = position.kind else { return Ok(None) };
            let expiry = &self.state.book.underlyings[position.underlying].expiries[expiry];
            let expiry_years = expiry.years();
            let base = Base { expiry_years, right, strike, value: 0.0 };
            let (black, black_delta) = base.black(expiry.forward, volatility);
            let forward = expiry.forward;
            let shock = Shock { weight: 1.0, black, black_delta, forward, ..Shock::default() };
            let value =
                self.state.value(self.name, &self.scan.option, Level::Position, index, Some(&shock))?;
            Ok(Some(Base { value, ..base }))
        };
        self.state.book.positions.iter().enumerate().map(base).collect()
    }

    /// Adds one scenario to the profits of positions and the tables of entities.
    fn scenario(
        &self,
        number: usize,
        scenario: &Scenario,
        bases: &[Option<Base>],
        profits: &mut [Vec<f64>],
        tables: &mut [ScanTable],
    ) -> Result<(), MarginFault> {
        let Self { state, scan, level, .. } = *self;
        let tree = &state.tree;
        let mut shocks = Vec::with_capacity(state.book.underlyings.len());
        for underlying in 0..state.book.underlyings.len() {
            let value = |formula| state.value(self.name, formula, Level::Underlying, underlying, None);
            let (price_move, weight) = (value(&scenario.price)?, value(&scenario.weight)?);
            shocks.push(Shock { price_move, weight, ..Shock::default() });
        }
        let mut options: Vec<Option<(f64, f64)>> = vec![None; tree.count(Level::Expiry)];
        let mut sums = vec![0.0; tree.count(level)];
        // Risk arrays are finished figures, weighted already.
        let mut finished = vec![0.0; tree.count(level)];
        for (index, (position, base)) in state.book.positions.iter().zip(bases).enumerate() {
            let shock = shocks[position.underlying];
            let array = position.arrays.iter().find(|(scan, _)| scan == self.name);
            let profit = match (array, base) {
                (Some((_, losses)), _) => {
                    let profit = -position.quantity * losses.get(number).copied().unwrap_or(f64::NAN);
                    profits[index].push(profit);
                    finished[tree.ancestor(Level::Position, index, level)] += profit;
                    continue;
                }
                (None, Some(base)) => {
                    let shocked = self.option(index, base, scenario, shock)?;
                    let expiry = tree.ancestor(Level::Position, index, Level::Expiry);
                    let sums = options[expiry].get_or_insert((0.0, 0.0));
                    *sums = (sums.0 + shocked, sums.1 + base.value);
                    profits[index].push(shocked - base.value);
                    continue;
                }
                (None, None) => {
                    let formula = match position.kind {
                        Kind::Future(_) => &scan.future,
                        Kind::Perpetual => &scan.perpetual,
                        Kind::Collateral(_) | Kind::Option { .. } => &scan.collateral,
                    };
                    state.value(self.name, formula, Level::Position, index, Some(&shock))?
                }
            };
            profits[index].push(profit);
            sums[tree.ancestor(Level::Position, index, level)] += profit;
        }
        for (expiry, sum) in options.iter().enumerate() {
            let Some((shocked, base)) = *sum else { continue };
            let shock =
                Shock { shocked, base, ..shocks[tree.ancestor(Level::Expiry, expiry, Level::Underlying)] };
            let profit = state.value(self.name, &scan.expiry, Level::Expiry, expiry, Some(&shock))?;
            sums[tree.ancestor(Level::Expiry, expiry, level)] += profit;
        }
        for (entity, profit) in sums.into_iter().enumerate() {
            let shock = Shock { profit, ..shocks[tree.ancestor(level, entity, Level::Underlying)] };
            let figure =
                finished[entity] + state.value(self.name, &scan.total, level, entity, Some(&shock))?;
            tables[entity].rows.push(ScanRow {
                price_move: shock.price_move,
                volatility: scan.volatilities[scenario.volatility].0.clone(),
                weight: shock.weight,
                profit: figure,
            });
        }
        Ok(())
    }

    /// Value of an option position in a scenario.
    fn option(
        &self,
        index: usize,
        base: &Base,
        scenario: &Scenario,
        shock: Shock,
    ) -> Result<f64, MarginFault> {
        let at = |formula, shock: &Shock| {
            self.state.value(self.name, formula, Level::Position, index, Some(shock))
        };
        let forward = at(&self.scan.forward, &shock)?;
        let volatility = at(&self.scan.volatilities[scenario.volatility].1, &shock)?;
        let (black, black_delta) = base.black(forward, volatility.max(0.0));
        at(&self.scan.option, &Shock { black, black_delta, forward, ..shock })
    }

    /// The book's worst scenario where profits in one underlying offset losses in another.
    fn together(&self, tables: &[ScanTable]) -> Result<Option<f64>, MarginFault> {
        let Some(offset) = self.scan.offset.as_ref().filter(|_| self.level == Level::Underlying) else {
            return Ok(None);
        };
        let mut sums = vec![0.0; self.scan.scenarios.len()];
        for (entity, table) in tables.iter().enumerate() {
            let rate = self.state.value(self.name, offset, Level::Underlying, entity, None)?;
            for (sum, row) in sums.iter_mut().zip(&table.rows) {
                *sum += if row.profit < 0.0 { row.profit } else { rate * row.profit };
            }
        }
        Ok(Some(sums.into_iter().fold(f64::INFINITY, f64::min)))
    }
}
