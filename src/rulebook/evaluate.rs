//! A book under a rulebook: every component at its level, and the two margins.

use super::book::{Book, Greeks, Kind, greeks};
use super::formula::{Formula, Quantities};
use super::scan::{Outcome, Shock};
use super::symbol::{Given, Level, Shocked, Symbol};
use super::tree::{ExpiryKind, Tree, Values};
use super::{Component, Expiry, KIND_WORDS, Position, Reduce, Rulebook, What};
use crate::closed_form::OptionKind;

/// The unit of what is counted in coins of its underlying.
const COINS: &str = "coins";

/// A book's margin under a rulebook. Money in US dollars unless the rulebook says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct MarginResult {
    /// Requirement to keep the book; positive is a requirement.
    pub maintenance: f64,
    /// Requirement to open it; positive is a requirement.
    pub initial: f64,
    /// What stands against them, where the rulebook says what.
    pub equity: Option<f64>,
    /// Every component in the order of the rulebook.
    pub components: Vec<ComponentResult>,
}

/// A component's value.
#[derive(Clone, Debug, PartialEq)]
pub struct ComponentResult {
    /// Its name.
    pub name: String,
    /// What it is, in the rulebook's words.
    pub note: String,
    /// Its unit.
    pub unit: String,
    /// The level at which it was computed.
    pub level: Level,
    /// Its value for the book; none for what is one number each.
    pub total: Option<f64>,
    /// Its value at its level, by the name of the entity.
    pub parts: Vec<(String, f64)>,
    /// Scenario tables, one for each entity; of scans only.
    pub scans: Vec<ScanTable>,
}

/// All scenarios of a scan for one entity.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanTable {
    /// Whose.
    pub entity: String,
    /// Scenarios in the order of the rulebook.
    pub rows: Vec<ScanRow>,
    /// Index of the worst row.
    pub worst: usize,
    /// Profit of each position by scenario, in the unit of the rulebook; options before what the
    /// rulebook does with their expiry.
    pub positions: Vec<(String, Vec<f64>)>,
}

/// One scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct ScanRow {
    /// The price move.
    pub price_move: f64,
    /// Name of the volatility shock.
    pub volatility: String,
    /// Its weight.
    pub weight: f64,
    /// Its figure: a profit, so that a loss is negative.
    pub profit: f64,
}

/// Why a rulebook cannot margin a book.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarginFault {
    /// Something that a formula needs has no value.
    #[error("{component}: {what} has no value for {entity}")]
    Missing {
        /// Whose formula.
        component: String,
        /// What is missing.
        what: String,
        /// Of which entity.
        entity: String,
    },
    /// It has no rules for a kind of position.
    #[error("no rules for a position of the kind {kind}: {position}")]
    NotCovered {
        /// The kind.
        kind: &'static str,
        /// Name of the first such position.
        position: String,
    },
    /// A formula gives no finite number.
    #[error("{component} is no finite number for {entity}")]
    NotFinite {
        /// Whose formula.
        component: String,
        /// Of which entity.
        entity: String,
    },
}

impl Rulebook {
    /// Margins a book.
    ///
    /// # Errors
    /// Where the rulebook has no rules for a position, a parameter has no value for an asset of the book, an input is missing, or a formula
    /// divides by zero.
    pub fn margin(&self, book: &Book) -> Result<MarginResult, MarginFault> {
        if let Some(position) = book.positions.iter().find(|p| !self.covers.contains(&p.kind.word())) {
            let kind = KIND_WORDS[position.kind.word()];
            return Err(MarginFault::NotCovered { kind, position: position.name.clone() });
        }
        let mut state = State::new(self, book);
        let mut components = Vec::with_capacity(self.components.len());
        for component in &self.components {
            let (values, scans) = match &component.what {
                What::Formula { condition, formula } => {
                    (state.formula(component, condition.as_ref(), formula)?, Vec::new())
                }
                What::Scan(scan) => {
                    let Outcome { values, tables } = state.scan(scan, component)?;
                    (values, tables)
                }
            };
            components.push(state.result(component, &values, scans));
            state.components.push(values);
        }
        let margin = |name: &str, formula: &Formula| state.value(name, formula, Level::Book, 0, None);
        Ok(MarginResult {
            maintenance: margin("the maintenance margin", &self.margins.maintenance)?,
            initial: margin("the initial margin", &self.margins.initial)?,
            equity: self.margins.equity.as_ref().map(|f| margin("the equity", f)).transpose()?,
            components,
        })
    }
}

/// Everything that formulas may name, at all levels.
pub(super) struct State<'a> {
    pub(super) rulebook: &'a Rulebook,
    pub(super) book: &'a Book,
    pub(super) tree: Tree,
    given: Vec<Values>,
    inputs: Vec<Values>,
    components: Vec<Values>,
}

impl<'a> State<'a> {
    fn new(rulebook: &'a Rulebook, book: &'a Book) -> Self {
        let tree = Tree::new(book);
        let given = Given::ALL.iter().map(|given| given_values(book, &tree, *given)).collect();
        let mut state = Self { rulebook, book, tree, given, inputs: Vec::new(), components: Vec::new() };
        for input in &rulebook.inputs {
            let value = |entity| {
                let own = state.inputs_of(input.level, entity).iter().find(|(name, _)| *name == input.name);
                let default = || Some(state.evaluate(input.default.as_ref()?, input.level, entity, None));
                Some(own.map(|(_, value)| *value).or_else(default).unwrap_or(f64::NAN))
            };
            let values: Vec<Option<f64>> = (0..state.tree.count(input.level)).map(value).collect();
            let values = Values::new(&state.tree, input.level, Reduce::Each, &values);
            state.inputs.push(values);
        }
        state
    }

    fn inputs_of(&self, level: Level, entity: usize) -> &[(String, f64)] {
        match level {
            Level::Position => &self.book.positions[entity].inputs,
            Level::Strike => &[],
            Level::Expiry => self.dated(entity).map_or(&[], |expiry| &expiry.inputs),
            Level::Underlying => &self.book.underlyings[entity].inputs,
            Level::Book => &self.book.inputs,
        }
    }

    fn dated(&self, expiry: usize) -> Option<&Expiry> {
        let (underlying, kind) = self.tree.expiries[expiry];
        match kind {
            ExpiryKind::Dated(index) => Some(&self.book.underlyings[underlying].expiries[index]),
            ExpiryKind::Perpetual | ExpiryKind::Collateral => None,
        }
    }

    fn formula(
        &self,
        component: &Component,
        condition: Option<&Formula>,
        formula: &Formula,
    ) -> Result<Values, MarginFault> {
        let level = component.level;
        let mut values = Vec::with_capacity(self.tree.count(level));
        for entity in 0..self.tree.count(level) {
            let counts = match condition {
                Some(condition) => self.value(&component.name, condition, level, entity, None)? != 0.0,
                None => true,
            };
            let value = || self.value(&component.name, formula, level, entity, None);
            values.push(if counts { Some(value()?) } else { None });
        }
        Ok(Values::new(&self.tree, level, component.reduce, &values))
    }

    fn result(&self, component: &Component, values: &Values, scans: Vec<ScanTable>) -> ComponentResult {
        let level = component.level;
        let parts = values.level(level).iter().enumerate();
        // Coins of different underlyings do not add up.
        let same_coin = component.unit != COINS || self.book.underlyings.len() == 1;
        let adds_up = level == Level::Book || (component.reduce != Reduce::Each && same_coin);
        ComponentResult {
            name: component.name.clone(),
            note: component.note.clone(),
            unit: component.unit.clone(),
            level,
            total: adds_up.then(|| values.at(Level::Book, 0)),
            parts: parts.map(|(entity, value)| (self.entity(level, entity), *value)).collect(),
            scans,
        }
    }

    /// A formula's value, which must be finite.
    pub(super) fn value(
        &self,
        name: &str,
        formula: &Formula,
        level: Level,
        entity: usize,
        shock: Option<&Shock>,
    ) -> Result<f64, MarginFault> {
        let value = self.evaluate(formula, level, entity, shock);
        if value.is_finite() {
            return Ok(value);
        }
        let env = Env { state: self, level, entity, shock };
        let mut missing = None;
        formula.visit(&mut |symbol| {
            if env.value(symbol).is_nan() && missing.is_none() {
                missing = Some(symbol);
            }
        });
        let (component, entity) = (name.to_owned(), self.entity(level, entity));
        Err(match missing {
            Some(symbol) => MarginFault::Missing { component, what: self.name_of(symbol), entity },
            None => MarginFault::NotFinite { component, entity },
        })
    }

    pub(super) fn evaluate(
        &self,
        formula: &Formula,
        level: Level,
        entity: usize,
        shock: Option<&Shock>,
    ) -> f64 {
        formula.evaluate(&Env { state: self, level, entity, shock })
    }

    fn name_of(&self, symbol: Symbol) -> String {
        let name = match symbol {
            Symbol::Given(given) => given.word(),
            Symbol::Parameter(index) => &self.rulebook.parameters[index].name,
            Symbol::Input(index) => &self.rulebook.inputs[index].name,
            Symbol::Component(index) => &self.rulebook.components[index].name,
            Symbol::Shocked(shocked) => shocked.word(),
        };
        format!("`{name}`")
    }

    /// Name of an entity in results.
    pub(super) fn entity(&self, level: Level, entity: usize) -> String {
        match level {
            Level::Position => self.book.positions[entity].name.clone(),
            Level::Strike => {
                let expiry = self.entity(Level::Expiry, self.tree.ancestor(level, entity, Level::Expiry));
                self.tree.strikes[entity].map_or(expiry.clone(), |strike| format!("{expiry}-{strike}"))
            }
            Level::Expiry => {
                let (underlying, kind) = self.tree.expiries[entity];
                let underlying = &self.book.underlyings[underlying];
                match kind {
                    ExpiryKind::Dated(index) => {
                        format!("{}-{}", underlying.name, underlying.expiries[index].name)
                    }
                    ExpiryKind::Perpetual => format!("{}-perpetual", underlying.name),
                    ExpiryKind::Collateral => format!("{}-collateral", underlying.name),
                }
            }
            Level::Underlying => self.book.underlyings[entity].name.clone(),
            Level::Book => "the book".to_owned(),
        }
    }

    /// The asset by whose name parameters are looked up.
    fn asset(&self, level: Level, entity: usize) -> &str {
        if level == Level::Book {
            return "";
        }
        if level == Level::Position
            && let Kind::Collateral(asset) = &self.book.positions[entity].kind
        {
            return asset;
        }
        &self.book.underlyings[self.tree.ancestor(level, entity, Level::Underlying)].name
    }
}

/// What a formula sees at one entity.
struct Env<'a> {
    state: &'a State<'a>,
    level: Level,
    entity: usize,
    shock: Option<&'a Shock>,
}

impl Quantities for Env<'_> {
    fn value(&self, symbol: Symbol) -> f64 {
        let Self { state, level, entity, shock } = *self;
        match symbol {
            Symbol::Given(given) => state.given[given as usize].at(level, entity),
            Symbol::Input(index) => state.inputs[index].at(level, entity),
            Symbol::Component(index) => state.components[index].at(level, entity),
            Symbol::Parameter(index) => {
                let parameter = &state.rulebook.parameters[index];
                parameter.of(state.asset(level, entity)).copied().unwrap_or(f64::NAN)
            }
            Symbol::Shocked(shocked) => shock.map_or(f64::NAN, |shock| match shocked {
                Shocked::Move => shock.price_move,
                Shocked::Weight => shock.weight,
                Shocked::Black => shock.black,
                Shocked::BlackDelta => shock.black_delta,
                Shocked::Forward => shock.forward,
                Shocked::ShockedValue => shock.shocked,
                Shocked::BaseValue => shock.base,
                Shocked::Profit => shock.profit,
            }),
        }
    }

    fn rows(&self, table: usize) -> &[(f64, f64)] {
        let rows = self.state.rulebook.tables[table].of(self.state.asset(self.level, self.entity));
        rows.map_or(&[], Vec::as_slice)
    }
}

/// A quantity of the book, at all levels.
fn given_values(book: &Book, tree: &Tree, given: Given) -> Values {
    let level = given.level();
    let value = |entity: usize| match level {
        Level::Position => of_position(book, &book.positions[entity], given),
        Level::Strike => of_strike(tree.strikes[entity], given),
        Level::Expiry => of_expiry(book, tree.expiries[entity], given),
        Level::Underlying => book.underlyings[entity].spot,
        Level::Book => book.cash,
    };
    let values: Vec<Option<f64>> = (0..tree.count(level)).map(|entity| Some(value(entity))).collect();
    let reduce = if given.is_additive() { Reduce::Sum } else { Reduce::Each };
    Values::new(tree, level, reduce, &values)
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

fn of_strike(strike: Option<f64>, given: Given) -> f64 {
    match given {
        Given::Strike => strike.unwrap_or(0.0),
        _ => flag(strike.is_some()),
    }
}

fn of_expiry(book: &Book, (underlying, kind): (usize, ExpiryKind), given: Given) -> f64 {
    let underlying = &book.underlyings[underlying];
    let dated = match kind {
        ExpiryKind::Dated(index) => Some(&underlying.expiries[index]),
        ExpiryKind::Perpetual | ExpiryKind::Collateral => None,
    };
    match given {
        Given::Seconds => dated.map_or(0.0, |e| e.seconds),
        Given::Days => dated.map_or(0.0, |e| e.seconds / 86_400.0),
        Given::Years => dated.map_or(0.0, Expiry::years),
        Given::Forward => dated.map_or(underlying.spot, |e| e.forward),
        Given::Discount => dated.map_or(1.0, |e| e.discount),
        Given::Rate => dated.map_or(0.0, |e| e.rate),
        Given::Dated => flag(dated.is_some()),
        Given::IsPerpetual => flag(kind == ExpiryKind::Perpetual),
        _ => flag(kind == ExpiryKind::Collateral),
    }
}

fn of_position(book: &Book, position: &Position, given: Given) -> f64 {
    let underlying = &book.underlyings[position.underlying];
    let spot = underlying.spot;
    let quantity = position.quantity;
    let (option, right, volatility) = match position.kind {
        Kind::Option { expiry, right, strike, volatility } => {
            (greeks(right, &underlying.expiries[expiry], strike, volatility), Some(right), volatility)
        }
        _ => (Greeks::default(), None, 0.0),
    };
    let price = position.mark.unwrap_or(match position.kind {
        Kind::Option { .. } => option.value,
        Kind::Future(expiry) => underlying.expiries[expiry].forward,
        Kind::Perpetual | Kind::Collateral(_) => spot,
    });
    let entry = position.entry.unwrap_or(price);
    let unit_delta = position.delta.unwrap_or(match position.kind {
        Kind::Option { .. } => option.delta,
        // Another coin than the underlying moves with it, dollar for dollar of its price.
        Kind::Collateral(_) => price / spot,
        Kind::Future(_) | Kind::Perpetual => 1.0,
    });
    match given {
        Given::IsCall => flag(right == Some(OptionKind::Call)),
        Given::IsPut => flag(right == Some(OptionKind::Put)),
        Given::IsInverse => flag(position.inverse),
        Given::IsFuture => flag(matches!(position.kind, Kind::Future(_))),
        Given::Volatility => volatility,
        Given::Price => price,
        Given::Entry => entry,
        Given::UnitDelta => unit_delta,
        Given::Quantity => quantity,
        Given::Value => match position.kind {
            Kind::Option { .. } | Kind::Collateral(_) => quantity * price,
            // An inverse future of notional `quantity price` has made `1/entry - 1/price` coins a dollar.
            _ if position.inverse => quantity * (price / entry - 1.0) * spot + position.funding,
            Kind::Future(_) | Kind::Perpetual => quantity * (price - entry) + position.funding,
        },
        Given::Delta => quantity * unit_delta,
        Given::Gamma => quantity * option.gamma,
        Given::Vega => quantity * option.vega,
        Given::Theta => quantity * option.theta,
        _ => position.funding,
    }
}
