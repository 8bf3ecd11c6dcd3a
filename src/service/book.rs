//! Books from requests: checked, changed, and valued in a market.

use super::api::{
    Balance, Book, FieldFault, MAX_BALANCES, MAX_DESCRIPTION_BYTES, MAX_NAME_BYTES, MAX_POSITIONS, Position,
};
use super::cube::{self, Key};
use super::fault::field_fault;
use crate::engine;
use crate::instrument::{Instrument, Kind, UnitValue};
use crate::portfolio::{
    self, Account, Builder, ENTRY_PRICE, IMPLIED_VOLATILITY, Portfolio, PositionRow, RowFault,
    is_entry_price, is_implied_volatility, is_quantity,
};
use crate::scenario::Scenario;

/// Rows for each distinct one from which a book is netted again.
const ROWS_FOR_DISTINCT: usize = 2;

/// An account in a market, with its own numbering of instruments.
#[derive(Clone, Debug)]
pub struct Held {
    /// Cash, balances and holdings.
    pub account: Account,
    /// What its holdings point to.
    pub instruments: Vec<Instrument>,
    /// Value of each.
    pub units: Vec<UnitValue>,
    /// Key of each.
    pub keys: Vec<Key>,
    /// The account as engines net it: where money is coins, cash is its first holding.
    pub carried: Account,
    /// Size below which a loss is nothing, in the reporting currency.
    pub scale: f64,
}

/// What is wrong with the name of an account, if anything.
pub fn check_name(name: &str) -> Vec<FieldFault> {
    let is_right = !name.trim().is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if is_right {
        return Vec::new();
    }
    let found = format!("a name of {} bytes", name.len());
    vec![field_fault("account", found, "1 to 128 bytes without control characters or spaces at the ends")]
}

/// What is wrong with a book; `at` is the path of its fields, such as `hypothetical.`.
pub fn check(book: &Book, at: &str) -> Vec<FieldFault> {
    let mut faults = check_positions(&book.positions, &format!("{at}positions"), MAX_POSITIONS);
    faults.extend(check_balances(&book.balances, &format!("{at}balances")));
    faults.extend(check_description(&book.description, &format!("{at}description")));
    faults
}

/// What is wrong with a description.
pub fn check_description(description: &str, at: &str) -> Vec<FieldFault> {
    if description.len() <= MAX_DESCRIPTION_BYTES {
        return Vec::new();
    }
    vec![field_fault(at, format!("{} bytes", description.len()), format!("at most {MAX_DESCRIPTION_BYTES}"))]
}

/// What is wrong with rows of positions.
pub fn check_positions(rows: &[Position], at: &str, most: usize) -> Vec<FieldFault> {
    if rows.len() > most {
        return vec![field_fault(at, format!("{} rows", rows.len()), format!("at most {most}"))];
    }
    let mut faults = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let mut number = |field: &str, x: Option<f64>, is_right: fn(f64) -> bool, expected: &str| {
            if let Some(x) = x.filter(|x| !(x.is_finite() && is_right(*x))) {
                faults.push(field_fault(format!("{at}[{index}].{field}"), x.to_string(), expected));
            }
        };
        number("quantity", Some(row.quantity), is_quantity, "a finite number of units");
        number("entry_price", row.entry_price, is_entry_price, ENTRY_PRICE);
        number("implied_volatility", row.implied_volatility, is_implied_volatility, IMPLIED_VOLATILITY);
    }
    faults
}

/// What is wrong with rows of balances.
pub fn check_balances(rows: &[Balance], at: &str) -> Vec<FieldFault> {
    if rows.len() > MAX_BALANCES {
        return vec![field_fault(at, format!("{} rows", rows.len()), format!("at most {MAX_BALANCES}"))];
    }
    let mut faults = Vec::new();
    for (index, row) in rows.iter().enumerate().filter(|(_, row)| !is_quantity(row.amount)) {
        let field = format!("{at}[{index}].amount");
        faults.push(field_fault(field, row.amount.to_string(), "a finite amount"));
    }
    faults
}

/// The account of a book in a scenario's market, or every row that it cannot hold.
pub fn hold(scenario: &Scenario, name: &str, book: &Book, at: &str) -> Result<Held, Vec<FieldFault>> {
    let market = &scenario.market;
    let mut builder = Builder::new(market);
    let mut faults = Vec::new();
    let mut note = |list: &str, index: usize, result: Result<(), RowFault>| {
        if let Err(fault) = result {
            let field = format!("{at}{list}[{index}].{}", fault.column);
            faults.push(field_fault(field, fault.found, fault.expected));
        }
    };
    builder.declare(name, &book.description);
    for (index, row) in book.positions.iter().enumerate() {
        note("positions", index, builder.position(name, &position_row(row)));
    }
    for (index, row) in book.balances.iter().enumerate() {
        note("balances", index, builder.balance(name, &row.asset, row.amount));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let (mut portfolio, mut units) = builder.finish_valued();
    let account = portfolio.accounts[0].clone();
    if let Some(asset) = scenario.reporting_asset {
        portfolio.hold_cash(asset);
        let cash = UnitValue::new(market, &portfolio.instruments[units.len()]);
        units.push(cash.expect("cash has no expiry and no volatility"));
    }
    let price = scenario.reporting_asset.map_or(1.0, |asset| market.assets[asset].spot);
    let Portfolio { mut accounts, instruments } = portfolio;
    let carried = accounts.pop().expect("one account was declared");
    Ok(Held {
        account,
        keys: instruments.iter().map(cube::key).collect(),
        scale: engine::size(&carried, &units) / price,
        instruments,
        units,
        carried,
    })
}

/// The account carried into the market of another case, or why it has no value there.
pub fn carried(case: &Scenario, held: &Held) -> Result<Held, String> {
    let market = &case.market;
    let value = |instrument: &Instrument| {
        UnitValue::new(market, instrument).map_err(|fault| format!("{}: {fault}", instrument.name))
    };
    // Cash that the base case made a holding comes anew below.
    let own = held.instruments.len() - usize::from(case.reporting_asset.is_some());
    let instruments = held.instruments[..own].to_vec();
    let units = instruments.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    let portfolio = Portfolio { accounts: vec![held.account.clone()], instruments };
    let mut portfolio = portfolio.carried(market, &held.units[..own], &units).into_owned();
    if let Some(asset) = case.reporting_asset {
        portfolio.hold_cash(asset);
    }
    let Portfolio { mut accounts, instruments } = portfolio;
    let units = instruments.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    let carried = accounts.pop().expect("one account was put in");
    let price = case.reporting_asset.map_or(1.0, |asset| market.assets[asset].spot);
    Ok(Held {
        account: held.account.clone(),
        keys: instruments.iter().map(cube::key).collect(),
        scale: engine::size(&carried, &units) / price,
        instruments,
        units,
        carried,
    })
}

/// A unit of an instrument as a row.
pub fn row(instrument: &Instrument) -> Position {
    let implied_volatility = match instrument.kind {
        Kind::Option(terms) => terms.volatility_annual,
        _ => None,
    };
    Position { instrument: instrument.name.clone(), quantity: 1.0, entry_price: None, implied_volatility }
}

fn position_row(row: &Position) -> PositionRow<'_> {
    PositionRow {
        instrument: &row.instrument,
        quantity: row.quantity,
        entry_price: row.entry_price,
        implied_volatility: row.implied_volatility,
    }
}

/// The book with rows added. One whose rows have grown beyond twice the distinct ones is netted:
/// rows of one instrument, entry price and volatility become one, where the first of them stood.
pub fn added(book: &Book, positions: &[Position], balances: &[Balance]) -> Book {
    let mut book = book.clone();
    book.positions.extend_from_slice(positions);
    book.balances.extend_from_slice(balances);
    let mut keys = std::collections::HashMap::new();
    let key = |row: &Position| {
        let bits = |x: Option<f64>| x.map(f64::to_bits);
        (row.instrument.clone(), bits(row.entry_price), bits(row.implied_volatility))
    };
    let mut firsts = Vec::new();
    let numbers: Vec<u32> = (book.positions.iter().enumerate())
        .map(|(index, row)| {
            *keys.entry(key(row)).or_insert_with(|| {
                firsts.push(index);
                firsts.len() as u32 - 1
            })
        })
        .collect();
    if book.positions.len() > ROWS_FOR_DISTINCT * firsts.len() {
        let pairs = numbers.iter().zip(&book.positions).map(|(&number, row)| (number, row.quantity));
        let net = portfolio::net(pairs).into_iter();
        let row =
            |(number, quantity)| Position { quantity, ..book.positions[firsts[number as usize]].clone() };
        book.positions = net.map(row).collect();
    }
    book.balances = netted_balances(&book.balances);
    book
}

fn netted_balances(rows: &[Balance]) -> Vec<Balance> {
    let mut net: Vec<Balance> = Vec::new();
    for row in rows {
        match net.iter_mut().find(|balance| balance.asset == row.asset) {
            Some(balance) => balance.amount += row.amount,
            None => net.push(row.clone()),
        }
    }
    net
}

/// A fault of rows that follow the account's own (so many positions, so many balances), as the
/// request names them.
pub fn as_order(fault: FieldFault, own: (usize, usize)) -> FieldFault {
    for (list, name, own) in [("positions[", "orders", own.0), ("balances[", "balances", own.1)] {
        let Some((index, column)) = fault.field.strip_prefix(list).and_then(|rest| rest.split_once(']'))
        else {
            continue;
        };
        if let Some(index) = index.parse::<usize>().ok().and_then(|index| index.checked_sub(own)) {
            return FieldFault { field: format!("{name}[{index}]{column}"), ..fault };
        }
    }
    fault
}
