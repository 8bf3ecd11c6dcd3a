//! A book from its JSON file. JSON is YAML, so that faults have lines. Keys are exactly those of the
//! file.

use jiff::Timestamp;

use super::book::{Book, Expiry, Inputs, Kind, Position, Underlying};
use super::read::SETTLEMENTS;
use super::symbol::Level;
use super::{KIND_WORDS, Rulebook, What};
use crate::closed_form::OptionKind;
use crate::fault::Faults;
use crate::units::{DAYS_PER_YEAR, Years};
use crate::yaml::{self, At, Document, Mapping};

const MAX_POSITIONS: usize = 20_000;
const MAX_UNDERLYINGS: usize = 1_000;
const MAX_EXPIRIES: usize = 1_000;
/// Longest life of an option, in seconds: a hundred years.
const MAX_SECONDS: f64 = 100.0 * DAYS_PER_YEAR * 86_400.0;
const PRICE: &str = "a price above 0 and up to 1e12, in US dollars";

/// Reads and checks a book for a rulebook, whose inputs and scans it may name; `file` is its name in
/// faults. All faults are reported together.
pub fn read_book(file: &str, text: &str, rulebook: &Rulebook) -> Result<Book, Faults> {
    let node = yaml::parse(file, text)?;
    let document = Document::new(file);
    let book = At::root(&node, &document).mapping(|m| Reader { rulebook }.book(m, file));
    document.into_faults().into_result(book)
}

struct Reader<'a> {
    rulebook: &'a Rulebook,
}

impl Reader<'_> {
    fn book(&self, m: &Mapping<'_>, file: &str) -> Option<Book> {
        // A remark of whoever typed the book in.
        let remark = m.optional("remark", |at| at.text().map(|_| ()));
        let name = m.optional("name", |at| at.text().map(str::to_owned));
        let as_of = m.optional("as_of", instant);
        let cash = m.optional("cash", amount);
        let inputs = self.inputs(m, Level::Book);
        let as_of = as_of?;
        let underlyings = m.required("underlyings", |at| {
            let all = at.entries(|name, at| at.mapping(|m| self.underlying(m, name, as_of)))?;
            let all: Vec<Underlying> = all.into_iter().map(|(_, underlying)| underlying).collect();
            within(at, all, MAX_UNDERLYINGS)
        });
        let positions = m.required("positions", |at| {
            let all = at.list(|at| at.mapping(|m| self.position(m, underlyings.as_ref()?)))?;
            within(at, all, MAX_POSITIONS)
        });
        remark?;
        Some(Book {
            name: name?.unwrap_or_else(|| file.to_owned()),
            cash: cash?.unwrap_or(0.0),
            inputs: inputs?,
            underlyings: underlyings?,
            positions: positions?,
        })
    }

    fn underlying(&self, m: &Mapping<'_>, name: &str, as_of: Option<Timestamp>) -> Option<Underlying> {
        let spot = m.required("spot", price);
        let inputs = self.inputs(m, Level::Underlying);
        let expiries = m.optional("expiries", |at| {
            let all = at.entries(|name, at| at.mapping(|m| self.expiry(m, name, as_of)))?;
            within(at, all.into_iter().map(|(_, expiry)| expiry).collect(), MAX_EXPIRIES)
        });
        let expiries = expiries?.unwrap_or_default();
        Some(Underlying { name: name.to_owned(), spot: spot?, inputs: inputs?, expiries })
    }

    fn expiry(&self, m: &Mapping<'_>, name: &str, as_of: Option<Timestamp>) -> Option<Expiry> {
        let seconds = m.optional("seconds", |at| {
            at.number("seconds from now, from 0 to a hundred years", |x| (0.0..=MAX_SECONDS).contains(&x))
        });
        let instant = m.optional("expires", |at| {
            let expires = instant(at)?;
            match as_of {
                None => at.fault_found("an instant in a book without `as_of`", "`as_of`, or `seconds`"),
                // What has expired is worth what it pays.
                Some(as_of) => {
                    Some(Years::between(as_of, expires).map_or(0.0, |years| years.days() * 86_400.0))
                }
            }
        });
        let forward = m.required("forward", price);
        let discount = m.optional("discount_factor", |at| {
            at.number("a discount factor in (0, 10]", |x| x > 0.0 && x <= 10.0)
        });
        let rate = m.optional("rate", |at| at.number("a rate per year in [-10, 10]", |x| x.abs() <= 10.0));
        let inputs = self.inputs(m, Level::Expiry);
        let seconds = match (seconds?, instant?) {
            (Some(seconds), None) | (None, Some(seconds)) => seconds,
            _ => return m.at().fault("one of `seconds` and `expires`"),
        };
        let years = seconds / (DAYS_PER_YEAR * 86_400.0);
        let (discount, rate) = match (discount?, rate?) {
            (Some(discount), Some(rate)) => (discount, rate),
            (Some(discount), None) if years > 0.0 => (discount, -discount.ln() / years),
            (Some(discount), None) => (discount, 0.0),
            (None, Some(rate)) => ((-rate * years).exp(), rate),
            (None, None) => (1.0, 0.0),
        };
        Some(Expiry { name: name.to_owned(), seconds, forward: forward?, discount, rate, inputs: inputs? })
    }

    fn position(&self, m: &Mapping<'_>, underlyings: &[Underlying]) -> Option<Position> {
        let name = m.optional("name", |at| at.text().map(str::to_owned));
        let kind = m.required("kind", |at| at.one_of(&KIND_WORDS));
        let underlying = m.required("underlying", |at| {
            let name = at.text()?;
            let found = underlyings.iter().position(|u| u.name == name);
            found.or_else(|| at.fault("one of `underlyings`"))
        });
        let quantity = m.required("quantity", amount);
        let settlement = m.optional("settlement", |at| at.one_of(&SETTLEMENTS));
        let mark = m.optional("mark", |at| {
            at.number("a price from 0 to 1e12, in US dollars", |x| (0.0..=1e12).contains(&x))
        });
        let delta = m.optional("delta", |at| at.number("a delta of one unit", |x| x.abs() <= 1e6));
        let inputs = self.inputs(m, Level::Position);
        let arrays = m.optional("arrays", |at| at.entries(|scan, at| self.array(scan, at)));
        let underlying = underlying?;
        let read = KindReader { m, underlying: &underlyings[underlying] };
        let (kind, long_name) = match kind? {
            0 => read.option(arrays.as_ref().is_some_and(Option::is_some))?,
            1 => read.future()?,
            2 => (Kind::Perpetual, format!("{}-perpetual", read.underlying.name)),
            _ => read.collateral(mark.as_ref().is_some_and(Option::is_some))?,
        };
        let is_future = matches!(kind, Kind::Future(_) | Kind::Perpetual);
        let (mut entry, mut funding) = (None, 0.0);
        if is_future {
            let given = m.optional("entry", price);
            funding = m.optional("funding", amount)?.unwrap_or(0.0);
            entry = given?;
        }
        Some(Position {
            name: name?.unwrap_or(long_name),
            underlying,
            kind,
            inverse: settlement?.map_or(self.rulebook.inverse, |index| SETTLEMENTS[index] == "inverse"),
            quantity: quantity?,
            mark: mark?,
            entry,
            funding,
            delta: delta?,
            inputs: inputs?,
            arrays: arrays?.unwrap_or_default(),
        })
    }

    fn inputs(&self, m: &Mapping<'_>, level: Level) -> Option<Inputs> {
        let given = m.optional("inputs", |at| {
            at.entries(|name, at| {
                let known = self.rulebook.inputs.iter().filter(|input| input.level == level);
                if !known.clone().any(|input| input.name == name) {
                    let known: Vec<&str> = known.map(|input| input.name.as_str()).collect();
                    let known = if known.is_empty() { "none here".to_owned() } else { known.join(", ") };
                    return at.fault_found(
                        format!("the input `{name}`"),
                        format!("an input of {}: {known}", self.rulebook.name),
                    );
                }
                amount(at)
            })
        });
        given.map(Option::unwrap_or_default)
    }

    fn array(&self, scan: &str, at: At<'_>) -> Option<Vec<f64>> {
        let found = self.rulebook.components.iter().find_map(|component| match &component.what {
            What::Scan(what) if component.name == scan => Some(what.scenarios.len()),
            _ => None,
        });
        let Some(count) = found else {
            return at.fault_found(format!("the scan `{scan}`"), format!("a scan of {}", self.rulebook.name));
        };
        let losses = at.list(amount)?;
        if losses.len() == count { Some(losses) } else { at.fault(format!("{count} losses of one unit")) }
    }
}

/// What differs by the kind of a position.
struct KindReader<'a> {
    m: &'a Mapping<'a>,
    underlying: &'a Underlying,
}

impl KindReader<'_> {
    fn expiry(&self) -> Option<usize> {
        self.m.required("expiry", |at| {
            let name = at.word()?;
            let found = self.underlying.expiries.iter().position(|expiry| expiry.name == name);
            found.or_else(|| at.fault(format!("one of the expiries of {}", self.underlying.name)))
        })
    }

    /// An option that brings its risk array needs no volatility.
    fn option(&self, has_array: bool) -> Option<(Kind, String)> {
        let expiry = self.expiry();
        let right = self.m.required("right", |at| at.one_of(&["call", "put"]));
        let strike = self.m.required("strike", price);
        let read =
            |at: At<'_>| at.number("a volatility per year from 0 to 20", |x| (0.0..=20.0).contains(&x));
        let volatility = match has_array {
            true => self.m.optional("volatility", read)?.or(Some(0.0)),
            false => self.m.required("volatility", read),
        };
        let (expiry, right, strike, volatility) = (expiry?, right?, strike?, volatility?);
        let (right, letter) = if right == 0 { (OptionKind::Call, 'C') } else { (OptionKind::Put, 'P') };
        let Underlying { name, expiries, .. } = self.underlying;
        let long_name = format!("{name}-{}-{strike}-{letter}", expiries[expiry].name);
        Some((Kind::Option { expiry, right, strike, volatility }, long_name))
    }

    fn future(&self) -> Option<(Kind, String)> {
        let expiry = self.expiry()?;
        let name = format!("{}-{}", self.underlying.name, self.underlying.expiries[expiry].name);
        Some((Kind::Future(expiry), name))
    }

    fn collateral(&self, has_mark: bool) -> Option<(Kind, String)> {
        let asset = self.m.optional("asset", |at| at.text().map(str::to_owned))?;
        let asset = asset.unwrap_or_else(|| self.underlying.name.clone());
        if asset != self.underlying.name && !has_mark {
            return self.m.at().fault("the `mark` of collateral in another asset than its underlying");
        }
        Some((Kind::Collateral(asset.clone()), asset))
    }
}

fn within<T>(at: At<'_>, all: Vec<T>, most: usize) -> Option<Vec<T>> {
    if all.len() <= most { Some(all) } else { at.fault(format!("at most {most}")) }
}

fn price(at: At<'_>) -> Option<f64> {
    at.number(PRICE, |x| x > 0.0 && x <= 1e12)
}

fn amount(at: At<'_>) -> Option<f64> {
    at.number("a number of at most 1e15 in size", |x| x.abs() <= 1e15)
}

fn instant(at: At<'_>) -> Option<Timestamp> {
    at.parsed("an instant with its zone, such as 2026-02-04T21:33:08Z", |text| text.parse().ok())
}
