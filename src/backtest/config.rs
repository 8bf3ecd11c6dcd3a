//! The file of a backtest, checked.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::book::{Book, OptionLeg};
use super::model::Model;
use super::variances::{self, Variances};
use super::volatility::{self, Choice, Forecaster};
use crate::calibrate::history::{self, History};
use crate::closed_form::black::OptionKind;
use crate::fault::Faults;
use crate::units::Confidence;
use crate::yaml::{self, At, Mapping};

/// Most books of a backtest.
const MAX_BOOKS: usize = 200;
/// Longest lookback, in steps.
const MAX_LOOKBACK: u64 = 20_000;
/// Longest horizon, in steps: a tenth of the shortest lookback and more would see it once or twice.
const MAX_HORIZON: u64 = 20;
/// Paths of a simulated day.
const PATHS: std::ops::RangeInclusive<u64> = 1_000..=10_000_000;
const USUAL_PATHS: u64 = 20_000;
/// Fewest paths in a simulated tail: below, its mean and its standard error say too little.
const LEAST_TAIL_PATHS: f64 = 20.0;

/// What to test.
#[derive(Clone, Debug)]
pub struct Backtest {
    /// Its name.
    pub name: String,
    /// Prices.
    pub history: History,
    /// The first day that gets a margin; as early as the lookback allows without it.
    pub from: Option<Date>,
    /// Confidence of VaR and ES.
    pub confidence: Confidence,
    /// Horizons in steps, each once.
    pub horizons: Vec<usize>,
    /// Steps of the past that a forecast sees.
    pub lookback: usize,
    /// Steps between two fits of parameters.
    pub refit: usize,
    /// Decay of EWMA.
    pub decay: f64,
    /// Added to the ES as a part of it: the margin is `(1 + buffer) ES`.
    pub buffer: f64,
    /// Seed of simulated critical values, and of the paths.
    pub seed: u64,
    /// Paths of a day of `monte-carlo`.
    pub paths: u64,
    /// By what `monte-carlo` forecasts volatility.
    pub volatility: Choice,
    /// A measure of each step's variance from prices within the step, `[asset][time]` like the history's
    /// prices; NaN where there is none.
    pub variances: Option<Vec<Vec<f64>>>,
    /// Models, in the order of the file.
    pub models: Vec<Model>,
    /// Books, in the order of the file.
    pub books: Vec<Book>,
    /// Days to look at one by one.
    pub crises: Vec<Crisis>,
    /// What `tune` tries.
    pub tune: Option<Grid>,
}

/// Settings to try, each with each.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The first day that is held back from the choice.
    pub held_back_from: Date,
    /// Part of the days whose loss the margin must cover, in (0, 1).
    pub coverage: f64,
    /// Models; those of the backtest without it.
    pub models: Option<Vec<Model>>,
    /// Horizons in steps; those of the backtest without it.
    pub horizons: Option<Vec<usize>>,
    /// Lookbacks, in steps.
    pub lookbacks: Vec<usize>,
    /// Decays, for the models with EWMA.
    pub decays: Vec<f64>,
    /// Confidences.
    pub confidences: Vec<Confidence>,
    /// Buffers.
    pub buffers: Vec<f64>,
}

/// A span of days with a name.
#[derive(Clone, Debug)]
pub struct Crisis {
    /// Its name.
    pub name: String,
    /// First day.
    pub from: Date,
    /// Last day.
    pub to: Date,
}

impl Backtest {
    /// The same with what was known when a day began and no more; `None` with fewer than two prices before it.
    #[must_use]
    pub fn known_on(mut self, date: Date) -> Option<Self> {
        let history = &mut self.history;
        let known = history.times.partition_point(|time| history::day(*time) < date);
        history.times.truncate(known);
        let variances = self.variances.iter_mut().flatten();
        history.prices.iter_mut().chain(variances).for_each(|values| values.truncate(known));
        (known >= 2).then_some(self)
    }
}

/// Reads and checks a file and the histories that it names.
pub fn read(path: &Path) -> Result<Backtest, Faults> {
    let expected = "a readable backtest file, such as scenarios/backtest.yaml";
    yaml::read_file(path, expected, read_backtest)
}

fn read_backtest(m: &Mapping<'_>, folder: &Path) -> Option<Backtest> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let history = m.required("history", |at| read_history(at, folder));
    let from = m.optional("from", |at| at.parsed("a date such as 2019-01-01", |t| t.parse::<Date>().ok()));
    let confidence = m.required("confidence", read_confidence);
    let horizons = m.optional("horizons", read_horizons);
    let lookback = m.required("lookback", |at| at.integer(50..=MAX_LOOKBACK));
    let refit = m.optional("refit", |at| at.integer(1..=MAX_LOOKBACK));
    let decay = m.optional("decay", read_decay);
    let buffer = m.optional("buffer", read_buffer);
    let seed = m.optional("seed", |at| at.integer(0..=u64::MAX));
    let models = m.required("models", read_models);
    let tune = m.optional("tune", |at| at.mapping(read_grid));
    let paths = m.optional("paths", |at| {
        let paths = at.integer(PATHS)?;
        let grid = tune.as_ref().and_then(Option::as_ref).map(|grid| grid.confidences.clone());
        let levels = confidence.iter().copied().chain(grid.into_iter().flatten());
        let rarest = levels.map(Confidence::tail).fold(1.0, f64::min);
        let least = (LEAST_TAIL_PATHS / rarest - 1e-6).ceil();
        if (paths as f64) < least {
            return at.fault_found(format!("{paths} paths"), format!("at least {least}, twenty in the tail"));
        }
        Some(paths)
    });
    let variances = m.optional("variances", |at| {
        Some(variances::aligned(&read_variances(at, folder)?, history.as_ref()?))
    });
    let has_variances = variances.as_ref().is_none_or(Option::is_some);
    let volatility =
        m.optional("volatility", |at| at.mapping(|m| read_volatility(m, lookback?, has_variances)));
    let assets: Vec<String> = history.as_ref().map(|h| h.assets.clone()).unwrap_or_default();
    let books = m.required("books", |at| read_books(at, &assets));
    let crises = m.optional("crises", |at| at.list(|at| at.mapping(read_crisis)));
    let lookback = usize::try_from(lookback?).ok()?;
    Some(Backtest {
        name: name?,
        history: history?,
        from: from?,
        confidence: confidence?,
        horizons: horizons?.unwrap_or_else(|| vec![1]),
        lookback,
        refit: usize::try_from(refit?.unwrap_or(20)).ok()?,
        decay: decay?.unwrap_or(crate::calibrate::ewma::DECAY),
        buffer: buffer?.unwrap_or(0.0),
        seed: seed?.unwrap_or(1),
        paths: paths?.unwrap_or(USUAL_PATHS),
        volatility: volatility?.unwrap_or_default(),
        variances: variances?,
        models: models?,
        books: books?,
        crises: crises?.unwrap_or_default(),
        tune: tune?,
    })
}

fn read_history(at: At<'_>, folder: &Path) -> Option<History> {
    let path: PathBuf = folder.join(at.text()?);
    history::read(&[path]).map_err(|faults| at.document().append(faults)).ok()
}

/// One table or several.
fn read_variances(at: At<'_>, folder: &Path) -> Option<Vec<Variances>> {
    let read = |at: At<'_>| {
        let path = folder.join(at.text()?);
        variances::read(&path).map_err(|faults| at.document().append(faults)).ok()
    };
    if at.is_list() { some(at, at.list(read)?) } else { Some(vec![read(at)?]) }
}

fn read_horizons(at: At<'_>) -> Option<Vec<usize>> {
    let mut horizons: Vec<usize> = some(at, at.list(|at| at.integer(1..=MAX_HORIZON))?)?
        .into_iter()
        .filter_map(|steps| usize::try_from(steps).ok())
        .collect();
    horizons.sort_unstable();
    let repeated = horizons.windows(2).find(|pair| pair[0] == pair[1]);
    match repeated {
        Some(pair) => at.fault_found(format!("{} twice", pair[0]), "each horizon once"),
        None => Some(horizons),
    }
}

fn read_models(at: At<'_>) -> Option<Vec<Model>> {
    let models = at.list(|at| at.one_of(&Model::NAMES).map(|index| Model::ALL[index]))?;
    match (1..models.len()).find(|i| models[..*i].contains(&models[*i])) {
        Some(index) => at.fault_found(format!("{} twice", models[index].name()), "each model once"),
        None if models.is_empty() => at.fault("at least one model"),
        None => Some(models),
    }
}

fn read_volatility(m: &Mapping<'_>, lookback: u64, has_variances: bool) -> Option<Choice> {
    let names: Vec<&str> = Forecaster::ALL.iter().map(|f| f.name()).chain(["winner"]).collect();
    let forecaster = m.required("forecaster", |at| {
        let index = at.one_of(&names)?;
        let is_ewma = names[index] == Forecaster::Ewma.name();
        if !is_ewma && lookback < volatility::LEAST_LOOKBACK as u64 {
            let expected = format!("a lookback of at least {} steps", volatility::LEAST_LOOKBACK);
            return at.fault_found(format!("{} on {lookback} steps", names[index]), expected);
        }
        if names[index] == Forecaster::HarRealised.name() && !has_variances {
            return at.fault_found(names[index].to_owned(), "the key `variances` beside it");
        }
        Some(index)
    });
    let floor = m.optional("floor", |at| at.number("a part from 0 to 1", |x| (0.0..=1.0).contains(&x)));
    let forecaster = Forecaster::ALL.get(forecaster?).copied();
    Some(Choice { forecaster, floor: floor?.unwrap_or(1.0) })
}

fn read_books(at: At<'_>, assets: &[String]) -> Option<Vec<Book>> {
    let books = at.list(|at| at.mapping(|m| read_book(m, assets)))?;
    if !(1..=MAX_BOOKS).contains(&books.len()) {
        return at.fault(format!("1 to {MAX_BOOKS} books"));
    }
    let repeated = (1..books.len()).find(|i| books[..*i].iter().any(|b| b.name == books[*i].name));
    match repeated {
        Some(index) => at.fault_found(format!("the book {} twice", books[index].name), "each book once"),
        None => Some(books),
    }
}

fn read_grid(m: &Mapping<'_>) -> Option<Grid> {
    let date = |at: At<'_>| at.parsed("a date such as 2023-01-01", |t| t.parse::<Date>().ok());
    let held_back_from = m.required("held_back_from", date);
    let coverage =
        m.required("coverage", |at| at.number("a part from 0.5 to 1", |x| (0.5..=1.0).contains(&x)));
    let models = m.optional("models", read_models);
    let horizons = m.optional("horizons", read_horizons);
    let lookbacks = m.required("lookbacks", |at| some(at, at.list(|at| at.integer(50..=MAX_LOOKBACK))?));
    let decays = m.required("decays", |at| some(at, at.list(read_decay)?));
    let confidences = m.required("confidences", |at| some(at, at.list(read_confidence)?));
    let buffers = m.required("buffers", |at| some(at, at.list(read_buffer)?));
    Some(Grid {
        held_back_from: held_back_from?,
        coverage: coverage?,
        models: models?,
        horizons: horizons?,
        lookbacks: lookbacks?.into_iter().filter_map(|n| usize::try_from(n).ok()).collect(),
        decays: decays?,
        confidences: confidences?,
        buffers: buffers?,
    })
}

/// A list of one to twenty settings.
fn some<T>(at: At<'_>, list: Vec<T>) -> Option<Vec<T>> {
    if (1..=20).contains(&list.len()) { Some(list) } else { at.fault("1 to 20 settings") }
}

fn read_confidence(at: At<'_>) -> Option<Confidence> {
    let value =
        at.number("a confidence from 0.5 to 0.9999, such as 0.99", |x| Confidence::new(x).is_some())?;
    Confidence::new(value)
}

fn read_decay(at: At<'_>) -> Option<f64> {
    at.number("a number from 0.5 to 0.9999", |x| (0.5..=0.9999).contains(&x))
}

fn read_buffer(at: At<'_>) -> Option<f64> {
    at.number("a fraction from 0 to 10", |x| (0.0..=10.0).contains(&x))
}

fn read_book(m: &Mapping<'_>, assets: &[String]) -> Option<Book> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let exposure =
        |at: At<'_>| at.number("an exposure other than 0, within 1e9", |x| x != 0.0 && x.abs() <= 1e9);
    let positions = m.optional("positions", |at| {
        let entries = at.entries(|asset, at| {
            let Some(index) = assets.iter().position(|name| name == asset) else {
                return at.fault_found(format!("the asset {asset}"), format!("one of {}", assets.join(", ")));
            };
            Some((index, exposure(at)?))
        })?;
        Some(entries.into_iter().map(|(_, position)| position).collect::<Vec<_>>())
    });
    let options = m.optional("options", |at| at.list(|at| at.mapping(|m| read_option(m, assets))));
    let book = Book {
        name: name?,
        positions: positions?.unwrap_or_default(),
        options: options?.unwrap_or_default(),
    };
    if book.assets().is_empty() {
        return m.at().fault_found("a book without positions", "`positions` or `options`");
    }
    if !book.options.is_empty() && book.assets().len() > 1 {
        return m.at().fault_found(
            format!("options in the book {} of several assets", book.name),
            "a book of options on one asset and that asset alone",
        );
    }
    Some(book)
}

fn read_option(m: &Mapping<'_>, assets: &[String]) -> Option<OptionLeg> {
    let names: Vec<&str> = assets.iter().map(String::as_str).collect();
    let asset = m.required("asset", |at| at.one_of(&names));
    let kind = m.required("kind", |at| at.one_of(&["call", "put"]));
    let moneyness =
        m.optional("moneyness", |at| at.number("strike over spot, 0.1 to 10", |x| (0.1..=10.0).contains(&x)));
    let days =
        m.required("days", |at| at.number("a tenor of 1 to 1000 days", |x| (1.0..=1000.0).contains(&x)));
    let quantity =
        m.required("quantity", |at| at.number("a quantity other than 0", |x| x != 0.0 && x.abs() <= 1e9));
    Some(OptionLeg {
        asset: asset?,
        kind: if kind? == 0 { OptionKind::Call } else { OptionKind::Put },
        moneyness: moneyness?.unwrap_or(1.0),
        days: days?,
        quantity: quantity?,
    })
}

fn read_crisis(m: &Mapping<'_>) -> Option<Crisis> {
    let date = |at: At<'_>| at.parsed("a date such as 2020-03-12", |t| t.parse::<Date>().ok());
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let (from, to) = (m.required("from", date), m.required("to", date));
    let (name, from, to) = (name?, from?, to?);
    if to < from {
        return m.at().fault_found(format!("{name} from {from} to {to}"), "an end on or after the start");
    }
    Some(Crisis { name, from, to })
}
