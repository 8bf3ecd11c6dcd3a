//! Which positions belong to which strike, expiry and underlying of a book, and values at all levels.

use super::Reduce;
use super::book::{Book, Kind};
use super::formula::{least, most};
use super::symbol::{LEVELS, Level};

/// What an expiry of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiryKind {
    /// An expiry of the underlying, by its index.
    Dated(usize),
    /// Its perpetuals.
    Perpetual,
    /// Its collateral.
    Collateral,
}

/// The levels of a book, and the parent of every entity.
#[derive(Debug)]
pub struct Tree {
    /// The next coarser entity of each entity, by level; the book has none.
    parents: [Vec<usize>; 5],
    /// Underlying and kind of each expiry of the tree.
    pub expiries: Vec<(usize, ExpiryKind)>,
    /// Strike of each strike of the tree; none for what is no option.
    pub strikes: Vec<Option<f64>>,
}

impl Tree {
    /// The tree of a book: every underlying and listed expiry, held or not.
    pub fn new(book: &Book) -> Self {
        let mut expiries = Vec::new();
        for (index, underlying) in book.underlyings.iter().enumerate() {
            expiries.extend((0..underlying.expiries.len()).map(|e| (index, ExpiryKind::Dated(e))));
        }
        let mut strikes: Vec<Option<f64>> = Vec::new();
        let mut of_strike: Vec<usize> = Vec::new();
        let mut of_position = Vec::with_capacity(book.positions.len());
        let mut known = std::collections::BTreeMap::new();
        for position in &book.positions {
            let (kind, strike) = match &position.kind {
                Kind::Option { expiry, strike, .. } => (ExpiryKind::Dated(*expiry), Some(*strike)),
                Kind::Future(expiry) => (ExpiryKind::Dated(*expiry), None),
                Kind::Perpetual => (ExpiryKind::Perpetual, None),
                Kind::Collateral(_) => (ExpiryKind::Collateral, None),
            };
            let here = (position.underlying, kind);
            let expiry = expiries.iter().position(|expiry| *expiry == here).unwrap_or_else(|| {
                expiries.push(here);
                expiries.len() - 1
            });
            let mut add = || {
                strikes.push(strike);
                of_strike.push(expiry);
                strikes.len() - 1
            };
            of_position.push(match strike {
                Some(strike) => *known.entry((expiry, strike.to_bits())).or_insert_with(add),
                None => add(),
            });
        }
        let of_expiry = expiries.iter().map(|(underlying, _)| *underlying).collect();
        let of_underlying = vec![0; book.underlyings.len()];
        Self { parents: [of_position, of_strike, of_expiry, of_underlying, Vec::new()], expiries, strikes }
    }

    /// Entities of a level.
    pub fn count(&self, level: Level) -> usize {
        if level == Level::Book { 1 } else { self.parents[level as usize].len() }
    }

    /// The entity of level `to` that an entity of the finer or same level `from` lies in.
    pub fn ancestor(&self, from: Level, mut entity: usize, to: Level) -> usize {
        for level in from as usize..to as usize {
            entity = self.parents[level][entity];
        }
        entity
    }
}

/// One quantity at all levels.
#[derive(Clone, Debug)]
pub struct Values {
    levels: [Vec<f64>; 5],
}

impl Values {
    /// From values at one level: finer levels inherit, coarser ones reduce; `None` takes no part in
    /// a reduction, and a reduction of nothing is zero.
    pub fn new(tree: &Tree, level: Level, reduce: Reduce, values: &[Option<f64>]) -> Self {
        let mut levels: [Vec<f64>; 5] = Default::default();
        levels[level as usize] = values.iter().map(|value| value.unwrap_or(0.0)).collect();
        for finer in &LEVELS[..level as usize] {
            let inherit = |entity| values[tree.ancestor(*finer, entity, level)].unwrap_or(0.0);
            levels[*finer as usize] = (0..tree.count(*finer)).map(inherit).collect();
        }
        for coarser in &LEVELS[level as usize + 1..] {
            let mut reduced: Vec<Option<f64>> = vec![None; tree.count(*coarser)];
            for (entity, value) in values.iter().enumerate() {
                let Some(value) = *value else { continue };
                let slot = &mut reduced[tree.ancestor(level, entity, *coarser)];
                *slot = Some(match (reduce, *slot) {
                    (Reduce::Each, _) => f64::NAN,
                    (_, None) => value,
                    (Reduce::Sum, Some(so_far)) => so_far + value,
                    (Reduce::Max, Some(so_far)) => most(so_far, value),
                    (Reduce::Min, Some(so_far)) => least(so_far, value),
                });
            }
            levels[*coarser as usize] = reduced.iter().map(|value| value.unwrap_or(0.0)).collect();
        }
        Self { levels }
    }

    /// With another value for the book.
    pub fn with_book(mut self, value: f64) -> Self {
        self.levels[Level::Book as usize] = vec![value];
        self
    }

    /// The value of an entity.
    pub fn at(&self, level: Level, entity: usize) -> f64 {
        self.levels[level as usize][entity]
    }

    /// All values of a level.
    pub fn level(&self, level: Level) -> &[f64] {
        &self.levels[level as usize]
    }
}
