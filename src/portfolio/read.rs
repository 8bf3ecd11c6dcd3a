//! Accounts, positions and balances from their tables.

use std::path::PathBuf;

use super::build::{Builder, MAX_QUANTITY, PositionRow, RowFault};
use super::{Portfolio, Rows};
use crate::fault::{Fault, Faults};
use crate::market::Market;
use crate::table::{Row, Table, optional, quoted, required};

/// Files of a portfolio; each `.csv`, `.json` or `.parquet`.
#[derive(Clone, Debug)]
pub struct Sources {
    /// `account,description`; accounts come from the positions and balances without it.
    pub accounts: Option<PathBuf>,
    /// `account,instrument,quantity[,entry_price][,implied_volatility]`.
    pub positions: PathBuf,
    /// `account,asset,amount`.
    pub balances: Option<PathBuf>,
}

/// Most accounts of one run.
pub const MAX_ACCOUNTS: usize = 5_000_000;

/// What an entry price may be.
pub const ENTRY_PRICE: &str = "a price above zero, or nothing";
/// What an implied volatility may be.
pub const IMPLIED_VOLATILITY: &str = "an annual volatility in (0, 20], such as 0.65";

/// Whether a price can be that of an entry.
pub fn is_entry_price(x: f64) -> bool {
    x > 0.0 && x < 1e12
}

/// Whether a volatility can be that of an option.
pub fn is_implied_volatility(x: f64) -> bool {
    x > 0.0 && x <= 20.0
}

/// Whether a number can be a quantity or an amount.
pub fn is_quantity(x: f64) -> bool {
    x.abs() <= MAX_QUANTITY
}

/// Reads and checks a portfolio against a market. All faults of all files are reported together.
pub fn read(sources: &Sources, market: &Market) -> Result<Portfolio, Faults> {
    read_into(sources, market, &mut |_, _| ())
}

/// Reads a portfolio; `keep` is given every row that is right, with its account.
pub fn read_into(
    sources: &Sources,
    market: &Market,
    keep: &mut dyn FnMut(&str, Rows<'_>),
) -> Result<Portfolio, Faults> {
    let mut reader = Reader { builder: Builder::new(market), declared: false, keep };
    let mut faults = Faults::default();
    // Positions of unknown accounts make no sense while the accounts themselves are faulty.
    if let Some(path) = &sources.accounts {
        Table::read(path).and_then(|table| reader.read_accounts(&table))?;
    }
    if let Err(more) = Table::read(&sources.positions).and_then(|table| reader.read_positions(&table)) {
        faults.append(more);
    }
    if let Some(path) = &sources.balances
        && let Err(more) = Table::read(path).and_then(|table| reader.read_balances(&table))
    {
        faults.append(more);
    }
    let accounts = reader.builder.len();
    if accounts > MAX_ACCOUNTS {
        let (found, expected) = (format!("{accounts} accounts"), format!("at most {MAX_ACCOUNTS}"));
        let fault = Fault::of_file(sources.positions.display(), found, expected);
        faults.push(Fault { field: "account".to_owned(), ..fault });
    }
    faults.into_result(Some(reader.builder)).map(Builder::finish)
}

struct Reader<'a> {
    builder: Builder<'a>,
    /// Whether an accounts file said which accounts there are.
    declared: bool,
    keep: &'a mut dyn FnMut(&str, Rows<'_>),
}

impl Reader<'_> {
    fn read_accounts(&mut self, table: &Table) -> Result<(), Faults> {
        table.rows(&[required("account"), optional("description")], |row| {
            let name = row.text("account")?;
            let description = row.cell("description");
            if !self.builder.declare(name, description) {
                return row.fault("account", format!("the account `{name}` twice"), "each account once");
            }
            (self.keep)(name, Rows::Account { description });
            Some(())
        })?;
        self.declared = true;
        Ok(())
    }

    fn read_positions(&mut self, table: &Table) -> Result<(), Faults> {
        let columns = [
            required("account"),
            required("instrument"),
            required("quantity"),
            optional("entry_price"),
            optional("implied_volatility"),
        ];
        table.rows(&columns, |row| {
            let known = self.check_account(row);
            let volatility =
                row.optional_number("implied_volatility", IMPLIED_VOLATILITY, is_implied_volatility);
            let instrument = volatility.and_then(|volatility| {
                let name = row.text("instrument")?;
                in_row(row, self.builder.instrument(name, volatility))
            });
            let quantity = row.number("quantity", "a finite number of units", is_quantity);
            let entry_price = row.optional_number("entry_price", ENTRY_PRICE, is_entry_price);
            known?;
            let (index, quantity, entry_price) = (instrument?, quantity?, entry_price?);
            let account = row.cell("account");
            self.builder.add(account, index, quantity, entry_price);
            let (instrument, implied_volatility) = (row.cell("instrument"), volatility?);
            let position = PositionRow { instrument, quantity, entry_price, implied_volatility };
            (self.keep)(account, Rows::Position(position));
            Some(())
        })?;
        Ok(())
    }

    fn read_balances(&mut self, table: &Table) -> Result<(), Faults> {
        table.rows(&[required("account"), required("asset"), required("amount")], |row| {
            let known = self.check_account(row);
            let asset = row.text("asset")?;
            let amount = row.number("amount", "a finite amount", is_quantity);
            let account = row.cell("account");
            // Without an amount the name of the asset is still checked.
            let added = known.map(|()| self.builder.balance(account, asset, amount.unwrap_or(0.0)));
            in_row(row, added?)?;
            (self.keep)(account, Rows::Balance { asset, amount: amount? });
            Some(())
        })?;
        Ok(())
    }

    fn check_account(&self, row: &Row<'_>) -> Option<()> {
        let name = row.text("account")?;
        if self.declared && !self.builder.has(name) {
            return row.fault("account", quoted(name), "an account of the accounts file");
        }
        Some(())
    }
}

/// Notes a fault of a row in its place.
fn in_row<T>(row: &Row<'_>, result: Result<T, RowFault>) -> Option<T> {
    result.or_else(|fault| row.fault(fault.column, fault.found, fault.expected).ok_or(())).ok()
}
