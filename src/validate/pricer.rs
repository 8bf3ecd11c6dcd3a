//! European options priced by an engine: one asset, one step to the expiry, the mean payoff.

use jiff::{Timestamp, ToSpan};

use super::fixture;
use super::prices::{JumpModel, MonteCarloEstimate, MonteCarloFailure, MonteCarloPricer};
use crate::closed_form::{EuropeanOption, OptionKind};
use crate::engine::{self, BLOCK, Engine, Job, JobInput};
use crate::instrument::{Instrument, Kind, OptionTerms, Right, Settlement, SmileRule, UnitValue};
use crate::market::{Asset, Forward, JumpSize, Jumps, Market};
use crate::portfolio::Portfolio;
use crate::units::{Confidence, Years};

/// Paths that are kept at a time.
const CHUNK: u64 = 1 << 16;
/// Volatility at which options are carried before their expiry: so small that an option out of the
/// money is worth nothing now, and its profit in f32 is its payoff.
const CARRYING_VOLATILITY: f64 = 1e-4;

/// Prices by simulation on an engine.
pub struct EnginePricer<'a> {
    engine: &'a mut dyn Engine,
    paths: u64,
    seed: u64,
    progress: Box<dyn FnMut(u64) + 'a>,
}

impl<'a> EnginePricer<'a> {
    /// A pricer that simulates so many paths for each group of options. `progress` hears how many
    /// path are done.
    pub fn new(engine: &'a mut dyn Engine, paths: u64, seed: u64, progress: impl FnMut(u64) + 'a) -> Self {
        Self { engine, paths: paths.next_multiple_of(BLOCK as u64), seed, progress: Box::new(progress) }
    }

    /// Means over all paths. The standard error counts one path more than was seen, which pays one
    /// standard deviation of the spot: an option that no path reached is not known exactly.
    fn simulate(&mut self, job: &Job, spot: f64) -> Result<Vec<MonteCarloEstimate>, MonteCarloFailure> {
        let mut payoffs = vec![Sums::default(); job.rows.len()];
        let mut growth = Sums::default();
        let mut done = 0;
        while done < self.paths {
            let end = (done + CHUNK).min(self.paths);
            let cube = self.engine.cube(job, done..end);
            let cube = cube.map_err(|fault| MonteCarloFailure { reason: fault.to_string() })?;
            for (factors, pnl) in cube.factors.iter().zip(&cube.pnl) {
                growth.add(factors[..BLOCK].iter().map(|&x| f64::from(x).exp_m1()));
                for (sums, profits) in payoffs.iter_mut().zip(pnl.chunks(BLOCK)) {
                    sums.add(profits.iter().map(|&profit| f64::from(profit)));
                }
            }
            (self.progress)(end - done);
            done = end;
        }
        let n = self.paths as f64;
        let unseen = spot * growth.variance(n).sqrt();
        let estimate = |(row, payoff): (&engine::RowTerms, Sums)| {
            let variance = payoff.variance(n) + unseen * unseen / n;
            let mean = row.market_value + payoff.sum / n;
            (row.instrument, MonteCarloEstimate { mean, standard_error: (variance / n).sqrt() })
        };
        let mut estimates: Vec<_> = job.rows.iter().zip(payoffs).map(estimate).collect();
        estimates.sort_by_key(|(instrument, _)| *instrument);
        Ok(estimates.into_iter().map(|(_, estimate)| estimate).collect())
    }
}

/// Sum and sum of squares.
#[derive(Clone, Copy, Default)]
struct Sums {
    sum: f64,
    square: f64,
}

impl Sums {
    fn add(&mut self, values: impl Iterator<Item = f64>) {
        for value in values {
            self.sum += value;
            self.square += value * value;
        }
    }

    fn variance(&self, n: f64) -> f64 {
        (self.square / n - (self.sum / n).powi(2)).max(0.0)
    }
}

impl MonteCarloPricer for EnginePricer<'_> {
    fn price(
        &mut self,
        options: &[EuropeanOption],
        model: &JumpModel,
    ) -> Result<Vec<MonteCarloEstimate>, MonteCarloFailure> {
        let first = &options[0];
        let as_of = fixture::AS_OF;
        let nanoseconds = first.expiry_years * 365.0 * 86_400.0 * 1e9;
        let out_of_range = || MonteCarloFailure { reason: "an expiry of more than 290 years".to_owned() };
        if !(nanoseconds < i64::MAX as f64) {
            return Err(out_of_range());
        }
        let expiry = as_of.checked_add((nanoseconds as i64).nanoseconds()).map_err(|_| out_of_range())?;
        if expiry == as_of {
            let payoff = |option: &EuropeanOption| match option.kind {
                OptionKind::Call => (option.spot - option.strike).max(0.0),
                OptionKind::Put => (option.strike - option.spot).max(0.0),
            };
            let certain = |option| MonteCarloEstimate { mean: payoff(option), standard_error: 0.0 };
            return Ok(options.iter().map(certain).collect());
        }
        let job =
            job(options, model, as_of, expiry, self.seed).map_err(|reason| MonteCarloFailure { reason })?;
        let discount = first.discount();
        let discounted = |e: MonteCarloEstimate| MonteCarloEstimate {
            mean: discount * e.mean,
            standard_error: discount * e.standard_error,
        };
        Ok(self.simulate(&job, first.spot)?.into_iter().map(discounted).collect())
    }
}

fn job(
    options: &[EuropeanOption],
    model: &JumpModel,
    as_of: Timestamp,
    expiry: Timestamp,
    seed: u64,
) -> Result<Job, String> {
    let market = market(&options[0], model, expiry);
    let instrument = |option: &EuropeanOption| Instrument {
        name: format!("{:?} {}", option.kind, option.strike),
        asset: 0,
        kind: Kind::Option(OptionTerms {
            right: if option.kind == OptionKind::Call { Right::Call } else { Right::Put },
            strike: option.strike,
            expiry,
            settlement: Settlement::Linear,
            volatility_annual: Some(CARRYING_VOLATILITY),
        }),
    };
    let instruments: Vec<Instrument> = options.iter().map(instrument).collect();
    let value = |instrument| UnitValue::new(&market, instrument).map_err(|fault| fault.to_string());
    let units = instruments.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    let horizon = Years::between(as_of, expiry).expect("the expiry lies after");
    let confidence = Confidence::new(0.99).expect("a confidence");
    let input = JobInput {
        market: &market,
        portfolio: &Portfolio { accounts: Vec::new(), instruments },
        units: &units,
        levels: &[(horizon, confidence)],
        seed,
        steps: 1,
        exact_steps: true,
        smile: SmileRule::StickyMoneyness,
        numeraire: None,
    };
    engine::build(&input).map_err(|fault| fault.to_string())
}

/// A market without discounting whose spot drifts to the forward; the price is discounted at the end.
fn market(option: &EuropeanOption, model: &JumpModel, expiry: Timestamp) -> Market {
    let (volatility_annual, own_jumps) = match *model {
        JumpModel::Black { volatility } => (volatility, None),
        JumpModel::Merton(m) => (
            m.volatility,
            Some(Jumps {
                intensity_annual: m.intensity,
                size: JumpSize::Merton { mean: m.mean_log_jump, sd: m.sd_log_jump },
            }),
        ),
        JumpModel::Kou(k) => {
            let size = JumpSize::Kou { up_probability: k.p_up, up_rate: k.eta_up, down_rate: k.eta_down };
            (k.volatility, Some(Jumps { intensity_annual: k.intensity, size }))
        }
    };
    fixture::market(vec![Asset {
        drift_annual: option.rate - option.dividend_yield,
        own_jumps,
        forwards: vec![Forward { expiry, price: option.forward() }],
        ..fixture::asset(option.spot, volatility_annual)
    }])
}
