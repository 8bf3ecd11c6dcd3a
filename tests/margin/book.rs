//! Rules, tails and exposures that the tests share.

use shortfall::margin::{
    AccountValue, AddOns, AssetExposure, AssetRisk, Exposures, MarginRules, Tails, UnitTail,
};
use shortfall::market::{Liquidity, PriceQuality};
use shortfall::risk::TailEstimate;
use shortfall::units::Years;

/// A tail of this Expected Shortfall, with a standard error of a hundredth of it.
pub fn tail(expected_shortfall: f64) -> TailEstimate {
    TailEstimate {
        expected_shortfall,
        expected_shortfall_error: 0.01 * expected_shortfall.abs(),
        value_at_risk: 0.8 * expected_shortfall,
        value_at_risk_error: 0.0,
        paths: 1000,
    }
}

pub fn tails(maintenance: f64, initial: f64) -> Tails {
    Tails::own(tail(maintenance), tail(initial))
}

pub fn rules(add_ons: AddOns) -> MarginRules {
    MarginRules { add_ons, haircuts: vec![0.0; 2], ..MarginRules::default() }
}

pub fn value(equity: f64, gross_notional: f64) -> AccountValue {
    AccountValue { market_value: equity, equity, gross_notional, stress_profit: 0.0 }
}

/// An asset of 73 % a year, which is a hundredth of 3.65^(1/2) and 0.0382 a day, with a volume of
/// 100 million a day; a dollar of it loses 10 cents in the tail, and gains 12.
pub fn asset(net_delta: f64) -> AssetExposure {
    let unit = UnitTail { long: 0.10, short: 0.12 };
    AssetExposure {
        net_delta,
        currency_price: 1.0,
        risk: AssetRisk {
            volatility_annual: 0.73,
            tails: [unit, UnitTail { long: 0.14, short: 0.17 }],
            liquidity: Some(Liquidity {
                daily_volume: 1e8,
                half_spread: 0.0005,
                volatility_half_spread: 0.0,
                book: None,
                pool: None,
            }),
            price_quality: Some(PriceQuality {
                confidence: 0.001,
                staleness: Years::parse("1h").expect("a duration"),
            }),
        },
        ..AssetExposure::default()
    }
}

pub fn of(asset: AssetExposure) -> Exposures {
    Exposures { assets: vec![asset], ..Exposures::default() }
}

/// Whether two numbers agree to rounding: some tens of operations in f64.
pub fn close(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 1e-12 * wanted.abs().max(1e-300)
}
