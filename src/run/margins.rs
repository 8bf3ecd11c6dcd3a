//! Margins of the accounts of a case from their tails.

use std::collections::BTreeMap;

use super::{AccountCase, Carried, Case, FailedAccount, carry, case_market, value_instruments};
use crate::instrument::{Instrument, UnitValue};
use crate::margin::greeks::{GreeksMargin, Sensitivities};
use crate::margin::{self, AccountValue, Exposing, Margin, Tails, UnitTail};
use crate::market::Market;
use crate::portfolio::Account;
use crate::scenario::Scenario;

/// What margins of one case are made from.
pub struct Margining<'a> {
    scenario: &'a Scenario,
    market: &'a Market,
    /// Value of each instrument of an account before and in the case.
    base_units: &'a [UnitValue],
    units: &'a [UnitValue],
    exposing: Exposing<'a>,
}

impl<'a> Margining<'a> {
    /// `carried_units` are the values of the instruments once accounts are carried into the case;
    /// `tails` of each asset at each level, as of [`margin::AssetRisk::of`].
    pub fn new(
        scenario: &'a Scenario,
        market: &'a Market,
        base_units: &'a [UnitValue],
        units: &'a [UnitValue],
        carried_units: &'a [UnitValue],
        tails: &[[UnitTail; 2]],
    ) -> Self {
        let reporting = scenario.reporting_asset;
        let exposing = Exposing::new(&scenario.margin, market, carried_units, tails, reporting);
        Self { scenario, market, base_units, units, exposing }
    }

    /// Value and margin of an account; `carried` is the same account carried into the case, and what
    /// its holdings point to.
    pub fn of(
        &self,
        account: &Account,
        carried: (&Account, &[Instrument]),
        tails: &Tails,
    ) -> (AccountValue, Margin) {
        let value = self.value(account);
        let exposures = self.exposing.of(carried.0, carried.1);
        (value, margin::margin(&self.scenario.margin, &value, tails, &exposures))
    }

    /// Margins from sensitivities of the selected accounts, at both levels.
    pub(super) fn greeks(
        &self,
        carried: &Carried<'_>,
        selected: &[bool],
    ) -> Result<Vec<Option<[GreeksMargin; 2]>>, String> {
        if !selected.contains(&true) {
            return Ok(vec![None; selected.len()]);
        }
        let Carried { portfolio, units } = carried;
        let rules = &self.scenario.margin;
        let sensitivities = |level| {
            let reporting = self.scenario.reporting_asset;
            Sensitivities::new(self.market, &portfolio.instruments, units, level, reporting)
        };
        let levels = [sensitivities(&rules.maintenance)?, sensitivities(&rules.initial)?];
        let of = |account| [&levels[0], &levels[1]].map(|level| level.margin(account));
        let accounts = portfolio.accounts.iter().zip(selected);
        Ok(accounts.map(|(account, selected)| selected.then(|| of(account))).collect())
    }

    /// Value and margin of an account of the scenario's portfolio.
    pub(super) fn of_index(
        &self,
        account: usize,
        carried: &Carried<'_>,
        tails: &Tails,
    ) -> (AccountValue, Margin) {
        let portfolio = &carried.portfolio;
        let carried = (&portfolio.accounts[account], portfolio.instruments.as_slice());
        self.of(&self.scenario.portfolio.accounts[account], carried, tails)
    }

    fn value(&self, account: &Account) -> AccountValue {
        let mut base = account.cash;
        let mut profit = 0.0;
        let mut gross_notional = 0.0;
        for holding in &account.holdings {
            let index = holding.instrument as usize;
            base += holding.quantity * self.base_units[index].market_value;
            profit += holding.quantity * self.base_units[index].profit_to(&self.units[index]);
        }
        for holding in account.net_holdings() {
            gross_notional += holding.quantity.abs() * self.units[holding.instrument as usize].notional;
        }
        let haircut = |&(asset, amount): &(usize, f64)| {
            self.scenario.margin.haircuts[asset] * (amount * self.market.assets[asset].spot).max(0.0)
        };
        let haircuts: f64 = account.balances.iter().map(haircut).sum();
        let reporting = self.scenario.reporting_asset;
        let price = |market: &Market| reporting.map_or(1.0, |asset| market.assets[asset].spot);
        let (then, now) = (price(&self.scenario.market), price(self.market));
        let market_value = (base + profit) / now;
        AccountValue {
            market_value,
            equity: market_value - haircuts / now,
            gross_notional: gross_notional / now,
            stress_profit: market_value - base / then,
        }
    }
}

/// Margins again under the rules that look at other cases. Where a case that they name has no
/// result, no case has a margin.
pub(super) fn across_cases(
    scenario: &Scenario,
    base_units: &[UnitValue],
    cases: &mut [Case],
) -> Result<(), String> {
    let named = scenario.margin.add_ons.cases();
    if named == [None, None] {
        return Ok(());
    }
    let references = named.map(|name| name.map(|name| reference(cases, name)));
    if let Some(reason) = references.iter().flatten().find_map(|found| found.as_ref().err()) {
        cases.iter_mut().for_each(|case| case.accounts = Err(reason.clone()));
        return Ok(());
    }
    let [stressed, lookback] = references.map(|found| found.and_then(Result::ok));
    for (index, case) in cases.iter_mut().enumerate() {
        let Ok(accounts) = &mut case.accounts else { continue };
        let market = case_market(scenario, index);
        let units = value_instruments(scenario, &market)?;
        let carried = carry(scenario, &market, base_units, &units)?;
        let margining =
            Margining::new(scenario, &market, base_units, &units, &carried.units, &case.asset_tails);
        // What has no figures in a case that its margin needs has no margin.
        let known = |references: &Option<References>, account: usize| {
            references.as_ref().is_none_or(|all| all.contains_key(&account))
        };
        accounts.retain(|&AccountCase { account, .. }| {
            let is_known = known(&stressed, account) && known(&lookback, account);
            if !is_known {
                let reason = "it has no figures in a stress that the margin rules need".to_owned();
                case.failed.push(FailedAccount { account, reason });
            }
            is_known
        });
        for account in accounts {
            let of = |references: &Option<References>| references.as_ref().map(|all| all[&account.account]);
            let own = [account.maintenance, account.initial];
            let tails = Tails { own, stressed: of(&stressed), lookback: of(&lookback) };
            (account.value, account.margin) = margining.of_index(account.account, &carried, &tails);
        }
    }
    Ok(())
}

/// Expected Shortfalls at each level of the accounts of a case, by account.
type References = BTreeMap<usize, [f64; 2]>;

fn reference(cases: &[Case], name: &str) -> Result<References, String> {
    let case = cases.iter().find(|case| case.name == name);
    let case = case.ok_or_else(|| format!("the margin rules need the stress `{name}`, which did not run"))?;
    let accounts = case.accounts.as_ref();
    let accounts = accounts.map_err(|reason| {
        format!("the margin rules need the stress `{name}`, which has no result: {reason}")
    })?;
    let shortfalls = |a: &AccountCase| [&a.maintenance, &a.initial].map(|tail| tail.expected_shortfall);
    Ok(accounts.iter().map(|a| (a.account, shortfalls(a))).collect())
}
