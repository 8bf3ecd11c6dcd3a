//! Accounts, positions and balances from their tables.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::{Account, Holding, Portfolio, STABLECOINS};
use crate::fault::{Fault, Faults};
use crate::instrument::{self, Instrument, Kind, UnitValue};
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

/// Largest quantity or amount; beyond it f32 loses units of a dollar.
const MAX_QUANTITY: f64 = 1e15;
/// Most accounts of one run.
pub const MAX_ACCOUNTS: usize = 5_000_000;

/// Reads and checks a portfolio against a market. All faults of all files are reported together.
pub fn read(sources: &Sources, market: &Market) -> Result<Portfolio, Faults> {
    let mut reader = Reader {
        market,
        accounts: BTreeMap::new(),
        declared: false,
        instruments: Vec::new(),
        index: HashMap::new(),
    };
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
    if reader.accounts.len() > MAX_ACCOUNTS {
        faults.push(Fault {
            file: sources.positions.display().to_string(),
            line: 0,
            column: 0,
            field: "account".to_owned(),
            found: format!("{} accounts", reader.accounts.len()),
            expected: format!("at most {MAX_ACCOUNTS}"),
        });
    }
    faults.into_result(Some(reader)).map(Reader::finish)
}

struct Reader<'a> {
    market: &'a Market,
    accounts: BTreeMap<String, Draft>,
    /// Whether an accounts file said which accounts there are.
    declared: bool,
    instruments: Vec<(Instrument, UnitValue)>,
    /// By name, then by the volatility given with the position.
    index: HashMap<String, HashMap<Option<u64>, u32>>,
}

#[derive(Default)]
struct Draft {
    description: String,
    cash: f64,
    stablecoins: [f64; 2],
    balances: BTreeMap<usize, f64>,
    /// In the order of the rows.
    quantities: Vec<Holding>,
}

impl Reader<'_> {
    fn read_accounts(&mut self, table: &Table) -> Result<(), Faults> {
        table.rows(&[required("account"), optional("description")], |row| {
            let name = row.text("account")?;
            let draft = Draft { description: row.cell("description").to_owned(), ..Draft::default() };
            if self.accounts.insert(name.to_owned(), draft).is_some() {
                return row.fault("account", format!("the account `{name}` twice"), "each account once");
            }
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
            let volatility = row.optional_number(
                "implied_volatility",
                "an annual volatility in (0, 20], such as 0.65",
                |x| x > 0.0 && x <= 20.0,
            );
            let instrument = volatility.and_then(|volatility| self.instrument(row, volatility));
            let quantity = row.number("quantity", "a finite number of units", |x| x.abs() <= MAX_QUANTITY);
            let entry =
                row.optional_number("entry_price", "a price above zero, or nothing", |x| x > 0.0 && x < 1e12);
            known?;
            let (index, quantity, entry) = (instrument?, quantity?, entry?);
            self.add(row.cell("account"), index, quantity);
            if let Some(entry) = entry {
                let (instrument, unit) = &self.instruments[index as usize];
                let unrealised = unit.unrealised(entry);
                let asset = instrument.asset;
                self.draft(row.cell("account")).cash += quantity * unrealised.dollars;
                if unrealised.coins != 0.0 {
                    self.add_coins(row.cell("account"), asset, quantity * unrealised.coins);
                }
            }
            Some(())
        })?;
        Ok(())
    }

    fn read_balances(&mut self, table: &Table) -> Result<(), Faults> {
        table.rows(&[required("account"), required("asset"), required("amount")], |row| {
            let known = self.check_account(row);
            let name = row.text("asset")?;
            let amount = row.number("amount", "a finite amount", |x| x.abs() <= MAX_QUANTITY);
            let cash = matches!(name, "USD" | "USDC" | "USDT");
            let asset = self.market.asset_index(name);
            if asset.is_none() && !cash {
                let names: Vec<&str> = self.market.assets.iter().map(|a| a.name.as_str()).collect();
                return row.fault(
                    "asset",
                    quoted(name),
                    format!("USD, USDC, USDT or one of {}", names.join(", ")),
                );
            }
            known?;
            let amount = amount?;
            match asset {
                Some(asset) if !cash => {
                    self.add_coins(row.cell("account"), asset, amount);
                    let draft = self.draft(row.cell("account"));
                    *draft.balances.entry(asset).or_default() += amount;
                }
                _ => {
                    let draft = self.draft(row.cell("account"));
                    draft.cash += amount;
                    if let Some(coin) = STABLECOINS.iter().position(|coin| *coin == name) {
                        draft.stablecoins[coin] += amount;
                    }
                }
            }
            Some(())
        })?;
        Ok(())
    }

    fn check_account(&self, row: &Row<'_>) -> Option<()> {
        let name = row.text("account")?;
        if self.declared && !self.accounts.contains_key(name) {
            return row.fault("account", quoted(name), "an account of the accounts file");
        }
        Some(())
    }

    fn instrument(&mut self, row: &Row<'_>, volatility: Option<f64>) -> Option<u32> {
        let name = row.text("instrument")?;
        let given = volatility.map(f64::to_bits);
        if let Some(&index) = self.index.get(name).and_then(|named| named.get(&given)) {
            return Some(index);
        }
        let mut instrument = match instrument::parse(name, |asset| self.market.asset_index(asset)) {
            Ok(instrument) => instrument,
            Err(fault) => return row.fault("instrument", quoted(name), fault.to_string()),
        };
        if let Kind::Option(terms) = &mut instrument.kind {
            terms.volatility_annual = volatility;
        } else if volatility.is_some() {
            return row.fault("implied_volatility", "a volatility", "nothing: only options have one");
        }
        match UnitValue::new(self.market, &instrument) {
            Ok(unit) => Some(self.register(given, instrument, unit)),
            Err(fault) => row.fault("instrument", quoted(name), fault.to_string()),
        }
    }

    fn register(&mut self, given: Option<u64>, instrument: Instrument, unit: UnitValue) -> u32 {
        let index = u32::try_from(self.instruments.len()).expect("row limits keep the count below 2^32");
        self.index.entry(instrument.name.clone()).or_default().insert(given, index);
        self.instruments.push((instrument, unit));
        index
    }

    fn add(&mut self, account: &str, instrument: u32, quantity: f64) {
        self.draft(account).quantities.push(Holding { instrument, quantity });
    }

    /// The account of that name; millions of rows look for it, so it is named once only.
    fn draft(&mut self, account: &str) -> &mut Draft {
        if !self.accounts.contains_key(account) {
            self.accounts.insert(account.to_owned(), Draft::default());
        }
        self.accounts.get_mut(account).expect("inserted above")
    }

    fn add_coins(&mut self, account: &str, asset: usize, amount: f64) {
        let name = self.market.assets[asset].name.clone();
        let index = match self.index.get(&name).and_then(|named| named.get(&None)) {
            Some(&index) => index,
            None => {
                let instrument = Instrument { name, asset, kind: Kind::Spot };
                let unit =
                    UnitValue::new(self.market, &instrument).expect("spot has no expiry and no volatility");
                self.register(None, instrument, unit)
            }
        };
        self.add(account, index, amount);
    }

    fn finish(self) -> Portfolio {
        let accounts = self.accounts.into_iter().map(|(name, draft)| Account {
            name,
            description: draft.description,
            cash: draft.cash,
            stablecoins: draft.stablecoins,
            balances: draft.balances.into_iter().collect(),
            holdings: netted(draft.quantities),
        });
        Portfolio {
            accounts: accounts.collect(),
            instruments: self.instruments.into_iter().map(|(i, _)| i).collect(),
        }
    }
}

/// Each instrument once, ascending; its quantities added in the order in which they came.
fn netted(mut quantities: Vec<Holding>) -> Vec<Holding> {
    quantities.sort_by_key(|holding| holding.instrument);
    quantities.dedup_by(|later, kept| {
        let same = later.instrument == kept.instrument;
        if same {
            kept.quantity += later.quantity;
        }
        same
    });
    quantities.retain(|holding| holding.quantity != 0.0);
    quantities.shrink_to_fit();
    quantities
}
