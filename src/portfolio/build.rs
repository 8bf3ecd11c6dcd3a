//! Accounts from rows, wherever the rows come from.

use std::collections::{BTreeMap, HashMap};

use super::{Account, Holding, Portfolio, STABLECOINS};
use crate::instrument::{self, Instrument, Kind, UnitValue};
use crate::market::Market;

/// Largest quantity or amount; beyond it f32 loses units of a dollar.
pub const MAX_QUANTITY: f64 = 1e15;

/// A row of positions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PositionRow<'a> {
    /// Name of the instrument.
    pub instrument: &'a str,
    /// Units, negative for a short.
    pub quantity: f64,
    /// Price at which a future was entered, in US dollars.
    pub entry_price: Option<f64>,
    /// Annual volatility of an option, instead of the surface's.
    pub implied_volatility: Option<f64>,
}

/// Why a row cannot be held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{column}: found {found}; expected {expected}")]
pub struct RowFault {
    /// Column that is wrong.
    pub column: &'static str,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl RowFault {
    fn new(column: &'static str, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { column, found: found.into(), expected: expected.into() }
    }
}

/// Makes a portfolio row by row.
pub struct Builder<'a> {
    market: &'a Market,
    accounts: BTreeMap<String, Draft>,
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
    holdings: Vec<Holding>,
}

impl<'a> Builder<'a> {
    /// No accounts yet.
    pub fn new(market: &'a Market) -> Self {
        Self { market, accounts: BTreeMap::new(), instruments: Vec::new(), index: HashMap::new() }
    }

    /// Adds an account without anything; `false` if it is there already.
    pub fn declare(&mut self, account: &str, description: &str) -> bool {
        let draft = Draft { description: description.to_owned(), ..Draft::default() };
        self.accounts.insert(account.to_owned(), draft).is_none()
    }

    /// Whether the account is there.
    pub fn has(&self, account: &str) -> bool {
        self.accounts.contains_key(account)
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there are no accounts.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// The instrument of that name, valued; its numbers are those of [`Builder::add`].
    pub fn instrument(&mut self, name: &str, volatility: Option<f64>) -> Result<u32, RowFault> {
        let given = volatility.map(f64::to_bits);
        if let Some(&index) = self.index.get(name).and_then(|named| named.get(&given)) {
            return Ok(index);
        }
        let quoted = || format!("`{name}`");
        let mut instrument = instrument::parse(name, |asset| self.market.asset_index(asset))
            .map_err(|fault| RowFault::new("instrument", quoted(), fault.to_string()))?;
        if let Kind::Option(terms) = &mut instrument.kind {
            terms.volatility_annual = volatility;
        } else if volatility.is_some() {
            let expected = "nothing: only options have one";
            return Err(RowFault::new("implied_volatility", "a volatility", expected));
        }
        let unit = UnitValue::new(self.market, &instrument)
            .map_err(|fault| RowFault::new("instrument", quoted(), fault.to_string()))?;
        Ok(self.register(given, instrument, unit))
    }

    /// Adds a quantity of an instrument to an account; what a future has made since its entry is
    /// cash, or coins that are held.
    pub fn add(&mut self, account: &str, instrument: u32, quantity: f64, entry_price: Option<f64>) {
        self.hold(account, instrument, quantity);
        let Some(entry) = entry_price else { return };
        let (of, unit) = &self.instruments[instrument as usize];
        let unrealised = unit.unrealised(entry);
        let asset = of.asset;
        self.draft(account).cash += quantity * unrealised.dollars;
        if unrealised.coins != 0.0 {
            let spot = self.spot(asset);
            self.hold(account, spot, quantity * unrealised.coins);
        }
    }

    /// Adds a row of positions, whose numbers were checked.
    pub fn position(&mut self, account: &str, row: &PositionRow<'_>) -> Result<(), RowFault> {
        let instrument = self.instrument(row.instrument, row.implied_volatility)?;
        self.add(account, instrument, row.quantity, row.entry_price);
        Ok(())
    }

    /// Adds a balance: coins of an asset, or dollars.
    pub fn balance(&mut self, account: &str, asset: &str, amount: f64) -> Result<(), RowFault> {
        if matches!(asset, "USD" | "USDC" | "USDT") {
            let draft = self.draft(account);
            draft.cash += amount;
            if let Some(coin) = STABLECOINS.iter().position(|coin| *coin == asset) {
                draft.stablecoins[coin] += amount;
            }
            return Ok(());
        }
        let Some(index) = self.market.asset_index(asset) else {
            let names: Vec<&str> = self.market.assets.iter().map(|a| a.name.as_str()).collect();
            let expected = format!("USD, USDC, USDT or one of {}", names.join(", "));
            return Err(RowFault::new("asset", format!("`{asset}`"), expected));
        };
        self.spot(index);
        *self.draft(account).balances.entry(index).or_default() += amount;
        Ok(())
    }

    /// The portfolio.
    pub fn finish(self) -> Portfolio {
        self.finish_valued().0
    }

    /// The portfolio, and the value of each of its instruments.
    pub fn finish_valued(mut self) -> (Portfolio, Vec<UnitValue>) {
        let drafts = std::mem::take(&mut self.accounts);
        let account = |(name, draft): (String, Draft)| {
            let balances: Vec<(usize, f64)> =
                draft.balances.iter().map(|(asset, amount)| (*asset, *amount)).collect();
            // Coins come first, so that a further row of positions is a further holding at the end.
            let mut holdings = Vec::with_capacity(balances.len() + draft.holdings.len());
            for &(asset, quantity) in balances.iter().filter(|(_, amount)| *amount != 0.0) {
                holdings.push(Holding { instrument: self.spot(asset), quantity });
            }
            holdings.extend_from_slice(&draft.holdings);
            let Draft { description, cash, stablecoins, .. } = draft;
            Account { name, description, cash, stablecoins, balances, holdings }
        };
        let accounts = drafts.into_iter().map(account).collect();
        let (instruments, units) = self.instruments.into_iter().unzip();
        (Portfolio { accounts, instruments }, units)
    }

    fn hold(&mut self, account: &str, instrument: u32, quantity: f64) {
        let draft = self.draft(account);
        if quantity != 0.0 {
            draft.holdings.push(Holding { instrument, quantity });
        }
    }

    /// The account of that name; millions of rows look for it, so it is named once only.
    fn draft(&mut self, account: &str) -> &mut Draft {
        if !self.accounts.contains_key(account) {
            self.accounts.insert(account.to_owned(), Draft::default());
        }
        self.accounts.get_mut(account).expect("inserted above")
    }

    /// The spot of an asset among the instruments.
    fn spot(&mut self, asset: usize) -> u32 {
        let name = self.market.assets[asset].name.as_str();
        if let Some(&index) = self.index.get(name).and_then(|named| named.get(&None)) {
            return index;
        }
        let instrument = Instrument { name: name.to_owned(), asset, kind: Kind::Spot };
        let unit = UnitValue::new(self.market, &instrument).expect("spot has no expiry and no volatility");
        self.register(None, instrument, unit)
    }

    fn register(&mut self, given: Option<u64>, instrument: Instrument, unit: UnitValue) -> u32 {
        let index = u32::try_from(self.instruments.len()).expect("row limits keep the count below 2^32");
        self.index.entry(instrument.name.clone()).or_default().insert(given, index);
        self.instruments.push((instrument, unit));
        index
    }
}
