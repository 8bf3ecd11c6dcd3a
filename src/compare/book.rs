//! An account of a scenario as a book of a rulebook: marks, forwards and volatilities of its market.

use crate::closed_form::OptionKind;
use crate::instrument::{Instrument, Kind, Right, Settlement, UnitValue};
use crate::portfolio::Account;
use crate::rulebook::{self, Book, Expiry, Inputs, Level, Position, Underlying};
use crate::scenario::Scenario;
use crate::units::DAYS_PER_YEAR;

/// The book of an account. `input` gives an input of a level by its name and the spot price of its
/// underlying (1 for the book); `names` are the inputs to ask for.
///
/// What futures have made since their entry is cash of the account, so that they stand at their
/// marks. An expiry of coin options is discounted by the ratio of spot to forward, one of dollar
/// options at the market's rate.
pub fn book_of(
    scenario: &Scenario,
    account: &Account,
    units: &[UnitValue],
    input: impl Fn(Level, &str, f64) -> Option<f64>,
    names: &[&str],
) -> Book {
    let inputs = |level: Level, spot: f64| -> Inputs {
        let given = names.iter().filter_map(|name| Some(((*name).to_owned(), input(level, name, spot)?)));
        given.collect()
    };
    let mut book = Book {
        name: account.name.clone(),
        cash: account.cash,
        inputs: inputs(Level::Book, 1.0),
        ..Book::default()
    };
    for holding in &account.holdings {
        let instrument = &scenario.portfolio.instruments[holding.instrument as usize];
        let unit = &units[holding.instrument as usize];
        if instrument.kind == Kind::Cash {
            book.cash += holding.quantity;
            continue;
        }
        let asset = &scenario.market.assets[instrument.asset];
        let known = book.underlyings.iter().position(|underlying| underlying.name == asset.name);
        let underlying = known.unwrap_or_else(|| {
            let (name, spot) = (asset.name.clone(), asset.spot);
            let inputs = inputs(Level::Underlying, spot);
            book.underlyings.push(Underlying { name, spot, inputs, expiries: Vec::new() });
            book.underlyings.len() - 1
        });
        let expiry = dated(instrument).map(|settlement| {
            let rate = scenario.market.discount_rate_annual;
            let mut expiry = expiry_of(instrument, unit, asset.spot, settlement, rate);
            expiry.inputs = inputs(Level::Expiry, asset.spot);
            let expiries = &mut book.underlyings[underlying].expiries;
            expiries.iter().position(|known| known.name == expiry.name).unwrap_or_else(|| {
                expiries.push(expiry);
                expiries.len() - 1
            })
        });
        let mut position = position_of(instrument, unit, holding.quantity, underlying, expiry);
        position.inputs = inputs(Level::Position, asset.spot);
        book.positions.push(position);
    }
    book
}

fn dated(instrument: &Instrument) -> Option<Settlement> {
    match instrument.kind {
        Kind::Future(settlement, _) => Some(settlement),
        Kind::Option(terms) => Some(terms.settlement),
        Kind::Cash | Kind::Spot | Kind::Perpetual(_) => None,
    }
}

fn expiry_of(
    instrument: &Instrument,
    unit: &UnitValue,
    spot: f64,
    settlement: Settlement,
    rate_annual: f64,
) -> Expiry {
    let years = unit.tenor();
    // The day of `BTC-27MAR26-80000-C`; the settlement apart, as the two discount differently.
    let day = instrument.name.split('-').nth(1).unwrap_or_default();
    let (suffix, discount) = match settlement {
        Settlement::Inverse => ("", spot / unit.forward()),
        Settlement::Linear => ("_USD", (-rate_annual * years).exp()),
    };
    Expiry {
        name: format!("{day}{suffix}"),
        seconds: years * DAYS_PER_YEAR * 86_400.0,
        forward: unit.forward(),
        discount,
        rate: if years > 0.0 { -discount.ln() / years } else { 0.0 },
        inputs: Vec::new(),
    }
}

fn position_of(
    instrument: &Instrument,
    unit: &UnitValue,
    quantity: f64,
    underlying: usize,
    expiry: Option<usize>,
) -> Position {
    let expiry = expiry.unwrap_or_default();
    let (kind, settlement) = match instrument.kind {
        Kind::Option(terms) => {
            let right = if terms.right == Right::Call { OptionKind::Call } else { OptionKind::Put };
            let volatility = unit.implied_volatility().unwrap_or_default();
            let option = rulebook::Kind::Option { expiry, right, strike: terms.strike, volatility };
            (option, terms.settlement)
        }
        Kind::Future(settlement, _) => (rulebook::Kind::Future(expiry), settlement),
        Kind::Perpetual(settlement) => (rulebook::Kind::Perpetual, settlement),
        Kind::Spot | Kind::Cash => {
            let name = instrument.name.clone();
            (rulebook::Kind::Collateral(name), Settlement::Linear)
        }
    };
    let is_future = matches!(kind, rulebook::Kind::Future(_) | rulebook::Kind::Perpetual);
    let inverse = settlement == Settlement::Inverse;
    Position {
        name: instrument.name.clone(),
        underlying,
        // Inverse futures are held in dollars of notional, rulebooks count coins.
        quantity: if is_future && inverse { quantity / unit.forward() } else { quantity },
        mark: Some(if is_future { unit.forward() } else { unit.market_value }),
        kind,
        inverse,
        entry: None,
        funding: 0.0,
        delta: None,
        inputs: Vec::new(),
        arrays: Vec::new(),
    }
}
