//! Margin rules as a scenario declares them. Each add-on is optional.

use jiff::civil::Date;
use serde::Serialize;

use crate::market::{self, PriceQuality};
use crate::oracle::Pushes;
use crate::units::{Confidence, Years};

/// Rules that turn Expected Shortfall into margins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MarginRules {
    /// Which version of the rules this is.
    pub version: Version,
    /// Level of the maintenance margin.
    pub maintenance: Level,
    /// Level of the initial margin.
    pub initial: Level,
    /// What is charged of an estimate.
    pub charge: Charge,
    /// Least margin as a fraction of the account's gross notional: 0.01 is 1 %.
    pub floor: f64,
    /// Fraction taken off a positive balance of each asset when it counts as equity.
    pub haircuts: Vec<f64>,
    /// What is added to the model's risk.
    pub add_ons: AddOns,
}

/// A version of the rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Version {
    /// Their name.
    pub name: Option<String>,
    /// First day on which they hold, UTC.
    #[serde(serialize_with = "as_text")]
    pub effective: Option<Date>,
}

fn as_text<S: serde::Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(|date| date.to_string()).serialize(serializer)
}

fn as_number<S: serde::Serializer>(confidence: &Confidence, serializer: S) -> Result<S::Ok, S::Error> {
    confidence.get().serialize(serializer)
}

/// A confidence and a horizon (the margin period of risk).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Confidence of the Expected Shortfall.
    pub confidence: Confidence,
    /// Time over which a position is carried before it is closed.
    pub horizon: Years,
}

impl Default for Level {
    /// The mean of the worst 1 % over one day.
    fn default() -> Self {
        Self {
            confidence: Confidence::new(0.99).expect("a confidence"),
            horizon: Years::from_days(1.0).expect("a duration"),
        }
    }
}

/// What is charged of an Expected Shortfall that has a standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Charge {
    /// The estimate.
    #[default]
    Estimate,
    /// The one-sided upper bound that holds the true value with this confidence.
    UpperBound(#[serde(serialize_with = "as_number")] Confidence),
}

/// What is added to the model's risk; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AddOns {
    /// Least margin of short options.
    pub short_options: Option<ShortOptions>,
    /// Cost of closing the book and risk while it is closed.
    pub liquidation: Option<Liquidation>,
    /// Moves of futures against spot.
    pub basis: Option<Basis>,
    /// Collateral that falls when the account loses.
    pub wrong_way: Option<WrongWay>,
    /// Loss of value of USDC and USDT in a depeg: 0.05 is 5 %.
    pub stablecoins: Option<[f64; 2]>,
    /// Prices that are uncertain or old.
    pub oracle: Option<OracleRule>,
    /// Weight of stressed observations.
    pub stressed: Option<StressedWeight>,
    /// The stress whose margin is a floor: volatility of a long lookback.
    pub lookback: Option<String>,
    /// Buffer on the model's margin.
    pub buffer: Option<Buffer>,
}

/// Least margin of short options, for each coin of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ShortOptions {
    /// Fraction of the spot price.
    pub notional: f64,
    /// Fraction of the option's value.
    pub premium: f64,
}

/// How a book is closed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Liquidation {
    /// Part of a day's volume that may be traded without being the market: 0.1 is 10 %.
    pub participation: f64,
    /// Coefficient of the square-root law.
    pub impact: f64,
}

/// Moves of futures against spot, both ways.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Basis {
    /// Of the annualised basis of dated instruments: 0.1 is 10 points.
    pub shift: f64,
    /// Of a perpetual's premium: 0.002 is 20 basis points.
    pub perpetual: f64,
}

/// Collateral that falls when the account loses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct WrongWay {
    /// Charge on collateral in an asset that the account's positions are long of, as a fraction.
    pub collateral: f64,
    /// Tokens of the account's own group, `(account, asset)`: they count for nothing.
    pub own_tokens: Vec<(String, usize)>,
}

/// How much of a price's uncertainty is charged.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OracleRule {
    /// Factor on the half-width of the price's confidence interval.
    pub confidence: f64,
    /// Standard deviations that the price may have moved since it was seen.
    pub deviations: f64,
    /// By asset, from quotes of several sources; the market's own without them.
    #[serde(skip)]
    pub quality: Option<Vec<PriceQuality>>,
    /// How prices can be pushed, if that is charged.
    pub manipulation: Option<Manipulation>,
}

/// How prices can be pushed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Manipulation {
    /// What it takes.
    pub pushes: Pushes,
    /// Dollars on either side of each asset's pool; that of its `liquidity` where there is none.
    pub pools: Vec<Option<f64>>,
}

impl Manipulation {
    /// Dollars on either side of the pool that is pushed.
    pub fn pool(&self, asset: usize, liquidity: Option<market::Liquidity>) -> Option<f64> {
        self.pools[asset].or_else(|| liquidity?.pool)
    }
}

/// Weight of stressed observations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StressedWeight {
    /// The stress.
    pub case: String,
    /// Its weight: 0.25 is a quarter.
    pub weight: f64,
}

/// Buffer on the model's margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Buffer {
    /// Size of the full buffer as a fraction of the margin: 0.25 is a quarter.
    pub fraction: f64,
    /// How much of it stands today: 1 is all, 0 none. State of the venue, from
    /// [`super::procyclicality`].
    pub level: f64,
}

impl AddOns {
    /// Whether any of them looks at what an account is exposed to.
    pub fn need_exposures(&self) -> bool {
        self.short_options.is_some()
            || self.liquidation.is_some()
            || self.basis.is_some()
            || self.wrong_way.is_some()
            || self.stablecoins.is_some()
            || self.oracle.is_some()
    }

    /// Stresses that they name: of the stressed weight, of the lookback floor.
    pub fn cases(&self) -> [Option<&str>; 2] {
        [self.stressed.as_ref().map(|stressed| stressed.case.as_str()), self.lookback.as_deref()]
    }
}
