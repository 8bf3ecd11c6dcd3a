//! What margin rules look at beside tails: the exposures of an account, and the risk of assets.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::MarginRules;
use crate::instrument::{Instrument, Right, UnitExposure, UnitValue};
use crate::market::{Liquidity, Market, PriceQuality};
use crate::portfolio::Account;

/// Expected Shortfall of one dollar of an asset, as a fraction: 0.1 loses 10 cents in the tail.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UnitTail {
    /// Of a dollar held.
    pub long: f64,
    /// Of a dollar owed.
    pub short: f64,
}

/// Risk of one asset in the market of a case.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AssetRisk {
    /// Volatility of its log return over a year, jumps included.
    pub volatility_annual: f64,
    /// Tails at the levels of the maintenance and the initial margin.
    pub tails: [UnitTail; 2],
    /// How it trades.
    pub liquidity: Option<Liquidity>,
    /// How far its price can be trusted.
    pub price_quality: Option<PriceQuality>,
}

/// What the rules look at in one account. Money in the reporting currency.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposures {
    /// Assets that the account holds, ascending.
    pub assets: Vec<AssetExposure>,
    /// Its short options, one entry for each asset, expiry and strike.
    pub short_options: Vec<ShortStrike>,
    /// Its balances of stablecoins, `[USDC, USDT]`.
    pub stablecoins: [f64; 2],
}

/// Exposure to one asset. Money in the reporting currency.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AssetExposure {
    /// Index of the asset.
    pub asset: usize,
    /// Its risk.
    pub risk: AssetRisk,
    /// US dollars for one unit of the reporting currency.
    pub currency_price: f64,
    /// Sum of deltas: 1,000 gains 10 when spot rises by 1 %.
    pub net_delta: f64,
    /// Half-spreads of all holdings, each closed by itself.
    pub spread_cost: f64,
    /// Sum over expiries of the size of the derivative by the annualised basis, per 1.00.
    pub basis: f64,
    /// Size of the derivative by the perpetuals' premium, per 1.00.
    pub premium: f64,
    /// Value of the balance, negative for a loan.
    pub balance: f64,
    /// Fraction of a positive balance that the haircut takes.
    pub haircut: f64,
    /// Whether it is a token of the account's own group.
    pub is_own_token: bool,
}

/// Short options of one strike. Money in the reporting currency, both sides positive.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShortStrike {
    /// Spot price of the calls sold short.
    pub call_notional: f64,
    /// Their value.
    pub call_premium: f64,
    /// Spot price of the puts sold short.
    pub put_notional: f64,
    /// Their value.
    pub put_premium: f64,
}

/// What exposures of one case are made from.
pub struct Exposing<'a> {
    rules: &'a MarginRules,
    market: &'a Market,
    risks: Vec<AssetRisk>,
    units: Vec<UnitExposure>,
    /// US dollars for one unit of the reporting currency.
    price: f64,
}

impl AssetRisk {
    /// Risk of every asset of a market. `tails` is `[asset][level]`.
    pub fn of(market: &Market, tails: &[[UnitTail; 2]]) -> Vec<Self> {
        let risk = |(index, tails): (usize, &[UnitTail; 2])| Self {
            volatility_annual: market.total_volatility_annual(index),
            tails: *tails,
            liquidity: market.assets[index].liquidity,
            price_quality: market.assets[index].price_quality,
        };
        tails.iter().enumerate().map(risk).collect()
    }

    /// Standard deviation of the asset's return over some years.
    pub fn deviation(&self, years: f64) -> f64 {
        self.volatility_annual * years.sqrt()
    }
}

impl<'a> Exposing<'a> {
    /// Of instruments in a market; `tails` as of [`AssetRisk::of`], `reporting_asset` the coin in
    /// which money is reported.
    pub fn new(
        rules: &'a MarginRules,
        market: &'a Market,
        units: &[UnitValue],
        tails: &[[UnitTail; 2]],
        reporting_asset: Option<usize>,
    ) -> Self {
        Self {
            rules,
            market,
            risks: AssetRisk::of(market, tails),
            units: units.iter().map(UnitValue::exposure).collect(),
            price: reporting_asset.map_or(1.0, |asset| market.assets[asset].spot),
        }
    }

    /// Exposures of one account; nothing where no rule looks at them.
    pub fn of(&self, account: &Account, instruments: &[Instrument]) -> Exposures {
        if !self.rules.add_ons.need_exposures() {
            return Exposures::default();
        }
        debug_assert!(instruments.len() <= self.units.len(), "a value for every instrument");
        let mut assets: BTreeMap<usize, AssetExposure> = BTreeMap::new();
        let mut basis: BTreeMap<(usize, Option<Timestamp>), f64> = BTreeMap::new();
        let mut strikes: BTreeMap<(usize, Timestamp, u64), [Sold; 2]> = BTreeMap::new();
        for holding in account.net_holdings() {
            let unit = &self.units[holding.instrument as usize];
            let quantity = holding.quantity / self.price;
            let exposure = assets.entry(unit.asset).or_insert_with(|| self.asset(account, unit.asset));
            exposure.net_delta += quantity * unit.delta;
            exposure.spread_cost += self.spread_cost(unit, quantity);
            if unit.is_perpetual || unit.expiry.is_some() {
                *basis.entry((unit.asset, unit.expiry)).or_default() += quantity * unit.basis;
            }
            if let Some(terms) = unit.option {
                let strike = strikes.entry((unit.asset, terms.expiry, terms.strike.to_bits())).or_default();
                strike[usize::from(terms.right == Right::Put)].add(unit, quantity);
            }
        }
        for (asset, _) in account.balances.iter().filter(|(_, amount)| *amount != 0.0) {
            assets.entry(*asset).or_insert_with(|| self.asset(account, *asset));
        }
        for ((asset, expiry), derivative) in basis {
            let exposure = assets.get_mut(&asset).expect("its holding was seen");
            *(if expiry.is_some() { &mut exposure.basis } else { &mut exposure.premium }) += derivative.abs();
        }
        Exposures {
            assets: assets.into_values().collect(),
            short_options: strikes.values().filter_map(|[calls, puts]| short_strike(calls, puts)).collect(),
            stablecoins: account.stablecoins.map(|amount| amount / self.price),
        }
    }

    fn asset(&self, account: &Account, asset: usize) -> AssetExposure {
        let amount: f64 =
            account.balances.iter().filter(|(a, _)| *a == asset).map(|(_, amount)| amount).sum();
        let owns = |rule: &super::WrongWay| {
            rule.own_tokens.iter().any(|(name, token)| *token == asset && *name == account.name)
        };
        AssetExposure {
            asset,
            risk: self.risks[asset],
            currency_price: self.price,
            balance: amount * self.market.assets[asset].spot / self.price,
            haircut: self.rules.haircuts[asset],
            is_own_token: self.rules.add_ons.wrong_way.as_ref().is_some_and(owns),
            ..AssetExposure::default()
        }
    }

    /// Options pay the spread of their volatility, everything else that of its price.
    fn spread_cost(&self, unit: &UnitExposure, quantity: f64) -> f64 {
        let Some(liquidity) = self.risks[unit.asset].liquidity else { return 0.0 };
        let cost = match unit.option {
            Some(_) => unit.volatility_vega * liquidity.volatility_half_spread,
            None => unit.delta * liquidity.half_spread,
        };
        (quantity * cost).abs()
    }
}

/// Options of one strike and right, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sold {
    quantity: f64,
    notional: f64,
    premium: f64,
}

impl Sold {
    fn add(&mut self, unit: &UnitExposure, quantity: f64) {
        self.quantity += quantity;
        self.notional += quantity * unit.notional;
        self.premium += quantity * unit.market_value;
    }
}

fn short_strike(calls: &Sold, puts: &Sold) -> Option<ShortStrike> {
    let short = |sold: &Sold, amount: f64| if sold.quantity < 0.0 { -amount } else { 0.0 };
    (calls.quantity < 0.0 || puts.quantity < 0.0).then(|| ShortStrike {
        call_notional: short(calls, calls.notional),
        call_premium: short(calls, calls.premium),
        put_notional: short(puts, puts.notional),
        put_premium: short(puts, puts.premium),
    })
}
