//! Margin rulebooks of venues as data: effective-dated files in a small declarative language, and
//! what a book needs under them.
//!
//! A [`Rulebook`] is a list of components, each a formula at a level of the book or a scan over
//! scenarios, and the formulas of its two margins. `docs/rulebooks.md` describes the language.

mod book;
mod evaluate;
mod formula;
mod read;
mod read_book;
mod scan;
mod shelf;
mod symbol;
mod tree;

pub use book::{Book, Expiry, Greeks, Inputs, Kind, Position, Underlying, greeks};
pub use evaluate::{ComponentResult, MarginFault, MarginResult, ScanRow, ScanTable};
pub use read::read;
pub use read_book::read_book;
pub use shelf::{ShelfFault, names, open, read_file};
pub use symbol::{Given, LEVEL_WORDS, Level, Shocked};

use jiff::civil::Date;

use formula::{Formula, Rows};

/// Kinds of positions, as books and rulebooks name them.
const KIND_WORDS: [&str; 4] = ["option", "future", "perpetual", "collateral"];

/// A margin rulebook, checked.
#[derive(Clone, Debug)]
pub struct Rulebook {
    /// Its name: `derive-pm2`.
    pub name: String,
    /// The first day on which it holds.
    pub effective: Date,
    /// One line: whose rules, and which.
    pub title: String,
    /// Where its numbers come from.
    pub source: String,
    parameters: Vec<ByAsset<f64>>,
    tables: Vec<ByAsset<Rows>>,
    inputs: Vec<Input>,
    /// Whether positions pay in the coin where a book does not say.
    inverse: bool,
    /// Kinds of positions that it has rules for, by their words in [`KIND_WORDS`].
    covers: Vec<usize>,
    components: Vec<Component>,
    margins: Margins,
}

impl Rulebook {
    /// Names of the inputs that a book may give.
    pub fn inputs(&self) -> Vec<&str> {
        self.inputs.iter().map(|input| input.name.as_str()).collect()
    }

    /// The level at which a book gives an input; `None` for a name that is none.
    pub fn input_level(&self, name: &str) -> Option<Level> {
        self.inputs.iter().find(|input| input.name == name).map(|input| input.level)
    }
}

/// Something that may differ by asset.
#[derive(Clone, Debug)]
struct ByAsset<T> {
    name: String,
    default: Option<T>,
    assets: Vec<(String, T)>,
}

impl<T> ByAsset<T> {
    fn of(&self, asset: &str) -> Option<&T> {
        self.assets.iter().find(|(name, _)| name == asset).map(|(_, value)| value).or(self.default.as_ref())
    }
}

/// A number that a book may give.
#[derive(Clone, Debug)]
struct Input {
    name: String,
    level: Level,
    /// What it is where the book gives none; a book must give it without one.
    default: Option<Formula>,
}

/// A named part of the margin.
#[derive(Clone, Debug)]
struct Component {
    name: String,
    note: String,
    unit: String,
    level: Level,
    reduce: Reduce,
    what: What,
}

/// How values of a finer level become one of a coarser level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduce {
    Sum,
    Max,
    Min,
    /// Not at all: seen at its own level and finer ones only.
    Each,
}

#[derive(Clone, Debug)]
enum What {
    Formula { condition: Option<Formula>, formula: Formula },
    Scan(Box<Scan>),
}

/// Scenarios, and how everything is revalued in them.
#[derive(Clone, Debug)]
struct Scan {
    scenarios: Vec<Scenario>,
    /// Shocked volatilities by name.
    volatilities: Vec<(String, Formula)>,
    /// Shocked forward of an option.
    forward: Formula,
    /// Value of an option position at `black` and `shocked_forward`.
    option: Formula,
    /// Profit of an expiry's options from `shocked` and `base`.
    expiry: Formula,
    future: Formula,
    perpetual: Formula,
    collateral: Formula,
    /// The figure of a scenario from `pnl`.
    total: Formula,
    /// Which figure of all scenarios counts.
    take: Take,
    /// Profits in one underlying offset losses in another, scenario by scenario, at this rate.
    offset: Option<Formula>,
}

/// What a scan gives of its scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Take {
    Worst,
    Sum,
}

#[derive(Clone, Debug)]
struct Scenario {
    price: Formula,
    weight: Formula,
    /// Index into [`Scan::volatilities`].
    volatility: usize,
}

#[derive(Clone, Debug)]
struct Margins {
    maintenance: Formula,
    initial: Formula,
    equity: Option<Formula>,
}
