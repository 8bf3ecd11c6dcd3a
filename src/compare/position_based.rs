//! Margins that look at positions, not at scenarios: a part of notional.

use super::{Comparison, Estimate, Row};
use crate::instrument::{Kind, UnitValue};
use crate::portfolio::Account;

/// The static and the cross margin of an account.
pub(super) fn rows(comparison: &Comparison, account: &Account, units: &[UnitValue]) -> Vec<Row> {
    let rate = comparison.static_rate;
    let instruments = &comparison.scenario.portfolio.instruments;
    let mut gross = 0.0;
    let mut net = vec![0.0; comparison.scenario.market.assets.len()];
    let mut shorts = 0.0;
    for holding in &account.holdings {
        let index = holding.instrument as usize;
        let notional = holding.quantity * units[index].notional;
        gross += notional.abs();
        match instruments[index].kind {
            Kind::Cash => gross -= notional.abs(),
            Kind::Option(_) => shorts += (-notional).max(0.0),
            Kind::Spot | Kind::Perpetual(_) | Kind::Future(..) => net[instruments[index].asset] += notional,
        }
    }
    let net: f64 = net.iter().map(|notional| notional.abs()).sum();
    let row = |architecture: &str, note: &str, value: f64| Row {
        architecture: architecture.to_owned(),
        note: note.to_owned(),
        margin: Ok(Estimate::exact(rate * value)),
        ratio: None,
    };
    let percent = format!("{}% of ", rate * 100.0);
    vec![
        row("static", &format!("{percent}every position's notional"), gross),
        row("cross", &format!("{percent}net notional of each asset and of options sold"), net + shorts),
    ]
}
