//! Rules, tails and exposures that the tests share.

use std::path::Path;

use shortfall::engine::cpu::CpuEngine;
use shortfall::instrument::Instrument;
use shortfall::margin::{
    AccountValue, AddOns, AssetExposure, AssetRisk, Exposures, MarginRules, Tails, UnitTail,
};
use shortfall::market::{Liquidity, PriceQuality};
use shortfall::portfolio::{Account, Holding, Portfolio};
use shortfall::risk::TailEstimate;
use shortfall::run::{self, Outcome, Silent};
use shortfall::scenario::{self, DeviceChoice, Scenario, Selection};
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

/// The quickstart market without fat tails, jumps, drift, basis or moving volatility.
pub fn normal(volatilities: [f64; 3]) -> Scenario {
    let mut scenario = quickstart();
    let market = &mut scenario.market;
    market.common_jumps = None;
    for (asset, volatility) in market.assets.iter_mut().zip(volatilities) {
        asset.volatility_annual = volatility;
        asset.drift_annual = 0.0;
        asset.tail_group = None;
        asset.own_jumps = None;
        asset.implied_volatility = None;
        asset.basis_volatility_annual = 0.0;
        asset.funding_rate_annual = 0.0;
    }
    scenario
}

pub fn quickstart() -> Scenario {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut scenario = scenario::read(&folder.join("quickstart.yaml")).expect("part of the project");
    scenario.simulation.paths = 65_536;
    scenario.simulation.device = DeviceChoice::Cpu;
    scenario.stresses.clear();
    scenario.attribution = Selection::All;
    scenario
}

/// One account that holds these.
pub fn hold(scenario: &mut Scenario, held: &[(&str, f64)]) {
    let market = &scenario.market;
    let instrument = |name: &str| -> Instrument {
        shortfall::instrument::parse(name, |asset| market.asset_index(asset)).expect(name)
    };
    let instruments = held.iter().map(|(name, _)| instrument(name)).collect();
    let holdings =
        (0..).zip(held).map(|(index, held)| Holding { instrument: index, quantity: held.1 }).collect();
    let account = Account { name: "one".to_owned(), holdings, ..Account::default() };
    scenario.portfolio = Portfolio { accounts: vec![account], instruments };
}

pub fn run(scenario: &Scenario) -> Outcome {
    run::run(scenario, &mut CpuEngine::new(scenario.simulation.precision), &mut Silent).expect("no device")
}
