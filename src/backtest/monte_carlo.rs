//! The Monte Carlo engine as a model of the next days: all books of a day in one run.
//!
//! At every fit, from the lookback alone and in units of the deviation known before each step:
//!
//! - common jumps, their law and loadings as in calibration;
//! - own jumps: the other steps beyond `OWN_JUMP` deviations, if there are three;
//! - what is left is the diffusion: its scale by asset, one Student-t for all (maximum likelihood on all
//!   assets together), correlations as in calibration.
//!
//! Every day then takes the deviations known before it, not below a floor where there is one. Jumps do not grow with them. Each day has random
//! words of its own, so that errors of simulation average out over the days.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::book::Book;
use super::model::Filter;
use super::past::{Past, Tail, Tails};
use crate::calibrate::joint;
use crate::calibrate::laws::{Kind, Law, Sample};
use crate::closed_form::black::OptionKind;
use crate::engine::cpu::CpuEngine;
use crate::engine::{self, Engine, Job, JobInput, MixingTable, Pilot};
use crate::instrument::{
    Instrument, Kind as InstrumentKind, OptionTerms, Right, Settlement, SmileRule, UnitValue,
};
use crate::market::{Asset, Correlation, ImpliedVolatility, JumpSize, Jumps, Market};
use crate::portfolio::{Account, Holding, Portfolio};
use crate::risk::{Bracket, TailEstimate, TailFault};
use crate::run;
use crate::scenario::Precision;
use crate::units::{Confidence, Years};

/// A step beyond so many deviations is an own jump; a normal variable is there once in 16,000 steps.
const OWN_JUMP: f64 = 4.0;
/// Fewest jumps that make a law.
const LEAST_JUMPS: usize = 3;
/// Degrees of freedom used: under a Student-t of unit variance the 99 % ES falls again below 2.7, as
/// the variance moves into losses rarer than that, so a fatter fit would lower margins. Above the second
/// the law is taken for normal.
const DEGREES_OF_FREEDOM: (f64, f64) = (2.7, 100.0);
/// Weight of a day in the correlation relative to the day after it, as in calibration.
const CORRELATION_DECAY: f64 = 0.99;
/// Days between two words of progress.
const DAYS_TOLD: usize = 64;
/// Tenor at which the level of implied volatility is quoted; all tenors move alike here.
const TENOR_DAYS: f64 = 30.0;

/// Forecasts of all days.
struct Simulated {
    /// By step, `[book]`, then `[horizon][confidence]`; none where an asset of the book is too young.
    days: BTreeMap<usize, Vec<Option<Tails>>>,
    levels: usize,
}

impl Simulated {
    /// The forecast for the horizon that begins with step `t`.
    fn tails(&self, t: usize, book: usize, horizon: usize) -> Option<Tails> {
        let all = self.days.get(&t)?.get(book)?.as_ref()?;
        Some(all[horizon * self.levels..(horizon + 1) * self.levels].to_vec())
    }
}

/// Forecasts of all books and horizons, `[book][horizon]`, one for each step of `starts`, which is shaped
/// likewise. `filters` are those of all assets; `monitor` hears what part is done.
pub fn forecasts(
    past: &Past<'_>,
    filters: &[Filter<'_>],
    starts: &[Vec<Vec<usize>>],
    monitor: &mut dyn FnMut(f64),
) -> Vec<Vec<Vec<Option<Tails>>>> {
    let backtest = past.backtest;
    let mut assets: Vec<usize> = backtest.books.iter().flat_map(Book::assets).collect();
    assets.sort_unstable();
    assets.dedup();
    let first = assets.iter().map(|asset| filters[*asset].start()).min().unwrap_or(0);
    let mut days: Vec<usize> = starts.iter().flatten().flatten().copied().collect();
    days.retain(|t| *t >= first);
    days.sort_unstable();
    days.dedup();
    let mut fits: Vec<usize> = days.iter().map(|t| (t - first) / backtest.refit).collect();
    fits.dedup();
    let fit = |n: &usize| (*n, Dynamics::fit(past, filters, &assets, first + n * backtest.refit));
    let fits: BTreeMap<usize, Option<Dynamics>> = fits.par_iter().map(fit).collect();
    let mut simulated = BTreeMap::new();
    for part in days.chunks(DAYS_TOLD) {
        monitor(simulated.len() as f64 / days.len() as f64);
        let simulate = |t: &usize| {
            let dynamics = fits[&((t - first) / backtest.refit)].as_ref();
            (*t, dynamics.map_or_else(Vec::new, |dynamics| simulate(past, filters, dynamics, *t)))
        };
        simulated.extend(part.par_iter().map(simulate).collect::<Vec<_>>());
    }
    let simulated = Simulated { days: simulated, levels: past.confidences.len() };
    let of_book = |(b, of_book): (usize, &Vec<Vec<usize>>)| {
        let of_horizon = |(h, starts): (usize, &Vec<usize>)| -> Vec<Option<Tails>> {
            starts.iter().map(|t| simulated.tails(*t, b, h)).collect()
        };
        of_book.iter().enumerate().map(of_horizon).collect()
    };
    starts.iter().enumerate().map(of_book).collect()
}

/// What changes only where it is fitted again.
struct Dynamics {
    /// Assets with a whole lookback, ascending; all else is in their order.
    assets: Vec<usize>,
    /// Deviation of the diffusion over that of the filter.
    scales: Vec<f64>,
    own_jumps: Vec<Option<Jumps>>,
    common_jumps: Option<Jumps>,
    loadings: Vec<f64>,
    levels: Vec<ImpliedVolatility>,
    correlation: Correlation,
    mixing: Option<MixingTable>,
}

impl Dynamics {
    /// Fits to the lookback before step `t`; `None` without an asset that has one.
    fn fit(past: &Past<'_>, filters: &[Filter<'_>], assets: &[usize], t: usize) -> Option<Self> {
        let assets: Vec<usize> = assets.iter().copied().filter(|a| filters[*a].window(t).is_some()).collect();
        let window = filters[*assets.first()?].window(t)?;
        let scores: Vec<Vec<f64>> = assets
            .iter()
            .map(|a| window.clone().map(|s| past.returns[*a][s] / filters[*a].deviation(s)).collect())
            .collect();
        let returns: Vec<Vec<f64>> =
            assets.iter().map(|a| past.returns[*a][window.clone()].to_vec()).collect();
        let times = joint::common_times(&scores);
        let years = window.len() as f64 / past.steps_per_year;
        let common = joint::common_jumps(&returns, &times, years);
        let times: &[usize] = if common.is_some() { &times } else { &[] };
        let parts: Vec<Part> = scores.iter().map(|scores| Part::of(scores, times)).collect();
        let rest: Vec<Vec<f64>> = parts.iter().zip(&scores).map(|(part, z)| part.rest(z)).collect();
        let of_assets = || returns.iter().zip(&parts);
        let marks = assets.iter().map(|a| &past.marks[*a][window.start - 1..window.end]);
        Some(Self {
            scales: rest.iter().map(|scores| root_mean_square(scores)).collect(),
            own_jumps: of_assets().map(|(returns, part)| part.own_law(returns, years)).collect(),
            loadings: common.iter().flat_map(|jumps| &jumps.loadings).map(loading).collect(),
            common_jumps: common.as_ref().map(|jumps| Jumps {
                intensity_annual: jumps.intensity_annual.estimate,
                size: JumpSize::Merton { mean: jumps.mean.estimate, sd: jumps.sd.estimate },
            }),
            levels: of_assets()
                .zip(marks)
                .map(|((returns, part), marks)| level(marks, returns, part, times, past.steps_per_year))
                .collect(),
            correlation: joint::dependence(&scores, times, CORRELATION_DECAY)
                .map_or_else(|| Correlation::identity(assets.len()), |found| found.correlation),
            mixing: degrees_of_freedom(&rest).map(MixingTable::new),
            assets,
        })
    }

    /// The market before step `t`, each asset at one dollar.
    fn market(&self, past: &Past<'_>, filters: &[Filter<'_>], t: usize) -> Market {
        let asset = |(index, a): (usize, &usize)| {
            let deviation = self.scales[index] * filters[*a].forecast_deviation(t);
            let volatility_annual = deviation.max(0.0) * past.steps_per_year.sqrt();
            // It has no tail group: the job gets its mixing table from the fit, as making one costs as much as
            // a day's paths.
            Asset {
                own_jumps: self.own_jumps[index],
                common_jump_loading: self.loadings.get(index).copied().unwrap_or(1.0),
                implied_volatility: Some(self.levels[index]),
                ..Asset::diffusing(past.backtest.history.assets[*a].clone(), 1.0, volatility_annual)
            }
        };
        Market {
            as_of: past.backtest.history.times[t],
            source: String::new(),
            discount_rate_annual: 0.0,
            assets: self.assets.iter().enumerate().map(asset).collect(),
            tail_groups: Vec::new(),
            common_jumps: self.common_jumps,
            correlation: self.correlation.clone(),
        }
    }
}

/// Steps of a lookback by what they are for one asset.
struct Part {
    /// Own jumps.
    own: Vec<usize>,
    /// Neither own nor common jumps.
    rest: Vec<usize>,
}

impl Part {
    fn of(scores: &[f64], common: &[usize]) -> Self {
        let others = (0..scores.len()).filter(|s| scores[*s].is_finite() && common.binary_search(s).is_err());
        let (own, rest): (Vec<usize>, Vec<usize>) = others.partition(|s| scores[*s].abs() > OWN_JUMP);
        if own.len() >= LEAST_JUMPS {
            return Self { own, rest };
        }
        // Too few for a law: they stay in the tail of the diffusion.
        let mut all = [own, rest].concat();
        all.sort_unstable();
        Self { own: Vec::new(), rest: all }
    }

    fn rest(&self, scores: &[f64]) -> Vec<f64> {
        self.rest.iter().map(|s| scores[*s]).collect()
    }

    fn own_law(&self, returns: &[f64], years: f64) -> Option<Jumps> {
        let sizes: Vec<f64> = self.own.iter().map(|s| returns[*s]).collect();
        let n = sizes.len() as f64;
        let mean = sizes.iter().sum::<f64>() / n;
        let sd = (sizes.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let law = Jumps { intensity_annual: n / years, size: JumpSize::Merton { mean, sd } };
        (!sizes.is_empty()).then_some(law)
    }
}

fn loading(found: &Option<crate::calibrate::Parameter>) -> f64 {
    found.as_ref().map_or(1.0, |parameter| parameter.estimate.clamp(-10.0, 10.0))
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64).sqrt()
}

/// Of all assets' scores together, each of unit variance; `None` where they are as good as normal.
fn degrees_of_freedom(rest: &[Vec<f64>]) -> Option<f64> {
    let unit = |scores: &Vec<f64>| {
        let scale = root_mean_square(scores);
        scores.iter().map(move |z| z / scale).collect::<Vec<f64>>()
    };
    let pooled: Vec<f64> = rest.iter().flat_map(unit).collect();
    let ones = vec![1.0; pooled.len()];
    let fit = Kind::Student.fit(Sample { returns: &pooled, deviations: &ones })?;
    let Law::Student { nu } = fit.law else { return None };
    (nu <= DEGREES_OF_FREEDOM.1).then(|| nu.max(DEGREES_OF_FREEDOM.0))
}

/// How the volatility at which options are marked moved in the lookback: beside jumps a random walk of its
/// logarithm, correlated with the return, and its mean rise at jumps. `marks` begin one step earlier.
fn level(
    marks: &[f64],
    returns: &[f64],
    part: &Part,
    common: &[usize],
    steps_per_year: f64,
) -> ImpliedVolatility {
    let moves: Vec<f64> = marks.windows(2).map(|pair| 0.5 * (pair[1] / pair[0]).ln()).collect();
    let mean = |steps: &[usize]| {
        let known: Vec<f64> = steps.iter().map(|s| moves[*s]).filter(|x| x.is_finite()).collect();
        if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 }
    };
    let centre = mean(&part.rest);
    let known =
        part.rest.iter().filter(|s| moves[**s].is_finite()).map(|s| (moves[*s] - centre, returns[*s]));
    let pairs: Vec<(f64, f64)> = known.collect();
    let sum = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>();
    let (xx, xy, yy) = (sum(|(x, _)| x * x), sum(|(x, y)| x * y), sum(|(_, y)| y * y));
    let correlation = xy / (xx * yy).sqrt();
    let tenor = Years::from_days(TENOR_DAYS).expect("a month");
    ImpliedVolatility {
        mean_reversion_annual: 0.0,
        volatility_annual: (xx / pairs.len().max(1) as f64 * steps_per_year).sqrt(),
        spot_correlation: if correlation.is_finite() { correlation.clamp(-1.0, 1.0) } else { 0.0 },
        common_jump_shift: mean(common),
        own_jump_shift: mean(&part.own),
        reference_tenor: tenor,
        term_power: 0.0,
        minimum_tenor: tenor,
    }
}

/// Tails of all books over the horizons that begin with step `t`.
fn simulate(past: &Past<'_>, filters: &[Filter<'_>], dynamics: &Dynamics, t: usize) -> Vec<Option<Tails>> {
    let is_known = |a: &usize| {
        let place = dynamics.assets.binary_search(a).is_ok();
        place && filters[*a].window(t).is_some() && filters[*a].deviation(t) > 0.0
    };
    let books = &past.backtest.books;
    let held: Vec<usize> = (0..books.len()).filter(|b| books[*b].assets().iter().all(is_known)).collect();
    let mut all = vec![None; books.len()];
    let estimates = job(past, filters, dynamics, &held, t).map(|job| tails(&job, past.backtest.paths));
    let levels = past.confidences.len() * past.backtest.horizons.len();
    for (estimates, b) in estimates.unwrap_or_default().chunks(levels).zip(held) {
        let known = estimates.iter().map(|estimate| estimate.as_ref().ok().copied().map(Tail::from));
        all[b] = known.collect();
    }
    all
}

/// The engine's job for some of the books; `None` where there is none to do.
fn job(
    past: &Past<'_>,
    filters: &[Filter<'_>],
    dynamics: &Dynamics,
    books: &[usize],
    t: usize,
) -> Option<Job> {
    let backtest = past.backtest;
    let market = dynamics.market(past, filters, t);
    let mut portfolio = Portfolio::default();
    for book in books.iter().map(|b| &backtest.books[*b]) {
        let holdings = instruments(past, dynamics, book, t).into_iter().map(|(instrument, quantity)| {
            let place = portfolio.instruments.iter().position(|other| *other == instrument);
            let place = place.unwrap_or_else(|| {
                portfolio.instruments.push(instrument);
                portfolio.instruments.len() - 1
            });
            Holding { instrument: place as u32, quantity }
        });
        let holdings = holdings.collect();
        portfolio.accounts.push(Account { name: book.name.clone(), holdings, ..Account::default() });
    }
    let value = |instrument| UnitValue::new(&market, instrument).ok();
    let units: Vec<UnitValue> = portfolio.instruments.iter().map(value).collect::<Option<_>>()?;
    let levels: Vec<(Years, Confidence)> = backtest
        .horizons
        .iter()
        .filter_map(|steps| Years::new(*steps as f64 / past.steps_per_year))
        .flat_map(|horizon| past.confidences.iter().map(move |confidence| (horizon, *confidence)))
        .collect();
    let input = JobInput {
        market: &market,
        portfolio: &portfolio,
        units: &units,
        levels: &levels,
        seed: backtest.seed.wrapping_add(market.as_of.as_second() as u64),
        steps: *backtest.horizons.iter().max()? as u32,
        exact_steps: false,
        smile: SmileRule::StickyMoneyness,
        numeraire: None,
    };
    let mut job = engine::build(&input).ok()?;
    if let Some(mixing) = &dynamics.mixing {
        job.mixing = vec![mixing.clone()];
        job.mixing_group = vec![Some(0); job.assets];
    }
    (!books.is_empty()).then_some(job)
}

/// A book as instruments of a market in which every asset costs a dollar, with quantities.
fn instruments(past: &Past<'_>, dynamics: &Dynamics, book: &Book, t: usize) -> Vec<(Instrument, f64)> {
    let place = |asset: usize| dynamics.assets.binary_search(&asset).unwrap_or(0);
    let spot = |(asset, exposure): &(usize, f64)| {
        let name = past.backtest.history.assets[*asset].clone();
        (Instrument { name, asset: place(*asset), kind: InstrumentKind::Spot }, *exposure)
    };
    let as_of = past.backtest.history.times[t];
    let options = book.options.iter().map(|leg| {
        let terms = OptionTerms {
            right: if leg.kind == OptionKind::Call { Right::Call } else { Right::Put },
            strike: leg.moneyness,
            expiry: as_of + jiff::SignedDuration::from_secs_f64(leg.days * 86_400.0),
            settlement: Settlement::Linear,
            volatility_annual: Some((past.mark(leg.asset, t, 1).variance * past.steps_per_year).sqrt()),
        };
        let name = past.backtest.history.assets[leg.asset].clone();
        (Instrument { name, asset: place(leg.asset), kind: InstrumentKind::Option(terms) }, leg.quantity)
    });
    book.positions.iter().map(spot).chain(options).collect()
}

/// Estimates of every account at every level, `[account][level]`, as a run makes them.
fn tails(job: &Job, paths: u64) -> Vec<Result<TailEstimate, TailFault>> {
    let pilot = Pilot::new(job, paths);
    let estimate = |job: &Job, brackets: &[Bracket]| {
        let found = CpuEngine::new(Precision::F32).tails(job, brackets, 0..paths, &mut |_| {})?;
        let confidence = |index: usize| job.levels[index % job.levels.len()].confidence;
        let pairs = found.iter().zip(brackets).enumerate();
        let estimates = pairs.map(|(i, (tail, bracket))| tail.estimate(bracket, confidence(i), paths));
        Ok::<Vec<_>, engine::EngineFault>(estimates.collect())
    };
    let first = estimate(job, &pilot.brackets(job, 1.0));
    let repaired = first.and_then(|first| {
        run::repair(job.levels.len(), first, |missed, widening| {
            let part = job.for_accounts(missed);
            estimate(&part, &pilot.brackets(&part, widening))
        })
    });
    // The CPU engine has no device to lose.
    repaired.map_or_else(|_| Vec::new(), |(estimates, _)| estimates)
}
