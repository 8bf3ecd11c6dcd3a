//! The file of a backtest, checked.

use std::path::{Path, PathBuf};

use jiff::civil::Date;

use super::book::{Book, OptionLeg};
use super::model::Model;
use crate::calibrate::history::{self, History};
use crate::closed_form::black::OptionKind;
use crate::fault::Faults;
use crate::units::Confidence;
use crate::yaml::{self, At, Mapping};

/// Most books of a backtest.
const MAX_BOOKS: usize = 200;
/// Longest lookback, in steps.
const MAX_LOOKBACK: u64 = 20_000;

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
    /// Steps of the past that a forecast sees.
    pub lookback: usize,
    /// Steps between two fits of parameters.
    pub refit: usize,
    /// Decay of EWMA.
    pub decay: f64,
    /// Added to the ES as a part of it: the margin is `(1 + buffer) ES`.
    pub buffer: f64,
    /// Seed of simulated critical values.
    pub seed: u64,
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

/// Reads and checks a file and the histories that it names.
pub fn read(path: &Path) -> Result<Backtest, Faults> {
    let expected = "a readable backtest file, such as scenarios/backtest.yaml";
    yaml::read_file(path, expected, read_backtest)
}

fn read_backtest(m: &Mapping<'_>, folder: &Path) -> Option<Backtest> {
    let name = m.required("name", |at| at.text().map(str::to_owned));
    let history = m.required("history", |at| {
        let path: PathBuf = folder.join(at.text()?);
        history::read(&[path]).map_err(|faults| at.document().append(faults)).ok()
    });
    let from = m.optional("from", |at| at.parsed("a date such as 2019-01-01", |t| t.parse::<Date>().ok()));
    let confidence = m.required("confidence", read_confidence);
    let lookback = m.required("lookback", |at| at.integer(50..=MAX_LOOKBACK));
    let refit = m.optional("refit", |at| at.integer(1..=MAX_LOOKBACK));
    let decay = m.optional("decay", read_decay);
    let buffer = m.optional("buffer", read_buffer);
    let seed = m.optional("seed", |at| at.integer(0..=u64::MAX));
    let models = m.required("models", |at| {
        let models = at.list(|at| at.one_of(&Model::NAMES).map(|index| Model::ALL[index]))?;
        match (1..models.len()).find(|i| models[..*i].contains(&models[*i])) {
            Some(index) => at.fault_found(format!("{} twice", models[index].name()), "each model once"),
            None if models.is_empty() => at.fault("at least one model"),
            None => Some(models),
        }
    });
    let assets: Vec<String> = history.as_ref().map(|h| h.assets.clone()).unwrap_or_default();
    let books = m.required("books", |at| {
        let books = at.list(|at| at.mapping(|m| read_book(m, &assets)))?;
        if !(1..=MAX_BOOKS).contains(&books.len()) {
            return at.fault(format!("1 to {MAX_BOOKS} books"));
        }
        let repeated = (1..books.len()).find(|i| books[..*i].iter().any(|b| b.name == books[*i].name));
        match repeated {
            Some(index) => at.fault_found(format!("the book {} twice", books[index].name), "each book once"),
            None => Some(books),
        }
    });
    let crises = m.optional("crises", |at| at.list(|at| at.mapping(read_crisis)));
    let tune = m.optional("tune", |at| at.mapping(read_grid));
    let lookback = usize::try_from(lookback?).ok()?;
    Some(Backtest {
        name: name?,
        history: history?,
        from: from?,
        confidence: confidence?,
        lookback,
        refit: usize::try_from(refit?.unwrap_or(20)).ok()?,
        decay: decay?.unwrap_or(crate::calibrate::ewma::DECAY),
        buffer: buffer?.unwrap_or(0.0),
        seed: seed?.unwrap_or(1),
        models: models?,
        books: books?,
        crises: crises?.unwrap_or_default(),
        tune: tune?,
    })
}

fn read_grid(m: &Mapping<'_>) -> Option<Grid> {
    let date = |at: At<'_>| at.parsed("a date such as 2023-01-01", |t| t.parse::<Date>().ok());
    let held_back_from = m.required("held_back_from", date);
    let coverage =
        m.required("coverage", |at| at.number("a part from 0.5 to 1", |x| (0.5..=1.0).contains(&x)));
    let lookbacks = m.required("lookbacks", |at| some(at, at.list(|at| at.integer(50..=MAX_LOOKBACK))?));
    let decays = m.required("decays", |at| some(at, at.list(read_decay)?));
    let confidences = m.required("confidences", |at| some(at, at.list(read_confidence)?));
    let buffers = m.required("buffers", |at| some(at, at.list(read_buffer)?));
    Some(Grid {
        held_back_from: held_back_from?,
        coverage: coverage?,
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
