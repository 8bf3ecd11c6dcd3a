//! Reverse stress: the likeliest move that exhausts an account or the insurance fund, how probable
//! being exhausted is, and the cheapest deposit or trade that prevents it.
//!
//! `moves` and `patterns` make the model's density of moves (`law`) from a job, `search` finds the
//! failing move where it is largest, `book` says which moves fail. docs/reverse.md has definitions
//! and formulas.

mod book;
mod law;
mod moves;
mod patterns;
mod probability;
mod remedy;
mod search;
mod special;

pub use probability::Probability;
pub use remedy::{CostIs, Hedge, Remedy};

use std::collections::BTreeMap;

use nalgebra::DVector;
use serde::Serialize;

use self::book::{Book, Holder, Relief, Walk};
use self::moves::Coordinates;
use self::search::{Found, Search};
use crate::engine::FACTORS;
use crate::engine::cpu::CpuEngine;
use crate::instrument::Instrument;
use crate::liquidation;
use crate::run::{self, AccountCase, AnalysisFault, Silent};
use crate::scenario::Scenario;

/// Patterns of jumps that are named.
const NAMED_PATTERNS: usize = 3;
/// Ways to fail that are told.
const NAMED_WAYS: usize = 5;
/// Parts below it are not named.
const LEAST_PART: f64 = 0.001;

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// Simulated paths.
    pub paths: u64,
    /// Accounts, by their index.
    pub accounts: Vec<usize>,
    /// Size of the insurance fund, in the reporting currency, where it is looked at.
    pub fund: Option<f64>,
    /// Neediest accounts that are looked at where no account and no fund is named.
    pub top: usize,
    /// Where an account is exhausted.
    pub until: Until,
    /// Probability of being exhausted that a remedy leaves.
    pub target: f64,
    /// Instruments that may be traded, by name; without one those of the portfolio and perpetuals.
    pub hedges: Vec<String>,
    /// The stress whose case is looked at, by its index; the base case without one.
    pub case: Option<usize>,
}

/// Where an account is exhausted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Until {
    /// Its market value is this, in the reporting currency.
    Worth(f64),
    /// Its equity is today's maintenance margin.
    Maintenance,
}

/// Everything that was found. Money in the reporting currency.
#[derive(Clone, Debug, Serialize)]
pub struct Analysis {
    /// Name of the case: `base`, or a stress.
    pub case: String,
    /// Simulated paths.
    pub paths: u64,
    /// Days of the horizon, that of the maintenance margin.
    pub horizon_days: f64,
    /// Unit of all money.
    pub currency: String,
    /// Accounts and the fund.
    pub holders: Vec<Reverse>,
}

/// What exhausts one account or the fund.
#[derive(Clone, Debug, Serialize)]
pub struct Reverse {
    /// Name of the account; none for the fund.
    pub account: Option<String>,
    /// What it has today above what exhausts it.
    pub buffer: f64,
    /// Probability of being exhausted at the horizon.
    pub probability: Probability,
    /// The failing move of the largest density; none where the buffer is used up today, or where no
    /// move was found.
    pub likeliest: Option<LikelyMove>,
    /// Ways to fail by what has to happen, the most probable first: a density compares points, and in
    /// many dimensions the highest one may stand in a narrow region.
    pub ways: Vec<Way>,
    /// Mean of the factors over failing paths.
    pub mean_failing: Option<Vec<AssetMove>>,
    /// The failing path of the largest density.
    pub representative: Option<PathMove>,
    /// What prevents it; none where the probability is within the target already.
    pub remedy: Option<Remedy>,
}

/// A failing move.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LikelyMove {
    /// Buffer that is left there: nothing, or a little less.
    pub buffer: f64,
    /// Assets that move, at the horizon.
    pub assets: Vec<AssetMove>,
    /// Log of the density there over that at the mode, below zero: -8 is `exp(-8)` of it.
    pub log_density: f64,
    /// Distance from the mean in standard deviations of whole moves.
    pub mahalanobis: f64,
    /// What has to happen, given the move: patterns of jumps with their probabilities.
    pub patterns: Vec<PatternPart>,
    /// Probability of the patterns that the density tells apart.
    pub covered: f64,
}

/// A way to fail.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Way {
    /// The pattern of jumps that has to happen.
    pub pattern: String,
    /// Its part of the probability of failing, by importance sampling.
    pub part: f64,
    /// The failing move of the largest density near which it is the likeliest pattern.
    pub likeliest: LikelyMove,
}

/// Probability of a pattern of jumps, given a move.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PatternPart {
    /// Its name.
    pub pattern: String,
    /// Its probability.
    pub probability: f64,
}

/// What an asset does over the horizon.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AssetMove {
    /// Its name.
    pub asset: String,
    /// Simple return: -0.2 is -20 %.
    pub relative_move: f64,
    /// Spot price afterwards, US dollars.
    pub price: f64,
    /// Relative change of implied volatility at the reference tenor: 0.3 is +30 %.
    pub implied_volatility: f64,
    /// Change of the annualised basis: 0.01 is one point.
    pub basis: f64,
}

/// A simulated path.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathMove {
    /// Its number.
    pub path: u64,
    /// Log of the density there over that at the mode.
    pub log_density: f64,
    /// Assets that move.
    pub assets: Vec<AssetMove>,
}

/// A book with a remedy, run again on other random words.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Again {
    /// Probability of being exhausted.
    pub probability: Probability,
    /// Distance of the likeliest move that still exhausts, in standard deviations of whole moves.
    pub mahalanobis: Option<f64>,
    /// Log of its density over that at the mode.
    pub log_density: Option<f64>,
}

/// Looks at a case of a scenario on the CPU; `stage` hears what is being done.
pub fn analyse(
    scenario: &Scenario,
    options: &Options,
    stage: &mut dyn FnMut(&str),
) -> Result<Analysis, AnalysisFault> {
    let mut base = liquidation::case_alone(scenario, options.case)?;
    base.simulation.paths = base.simulation.paths.min(options.paths);
    base.simulation.tolerance = None;
    stage("margins as they are");
    let outcome = run::run(&base, &mut CpuEngine::new(base.simulation.precision), &mut Silent)?;
    let cases = liquidation::accounts(&outcome.cases[0])?;
    let mut accounts = options.accounts.clone();
    if accounts.is_empty() && options.fund.is_none() {
        accounts = (0..cases.len()).collect();
        accounts.sort_by(|&a, &b| liquidation::need(&cases[a]).total_cmp(&liquidation::need(&cases[b])));
        accounts.truncate(options.top);
    }
    let mut holders = Vec::new();
    for account in accounts {
        let name = base.portfolio.accounts[account].name.clone();
        stage(&name);
        let holder = holder(&base, account, &cases[account], options.until);
        holders.push(of(&base, options, Some(name), &holder)?);
    }
    if let Some(size) = options.fund {
        stage("insurance fund");
        let worth = cases.iter().map(|case| case.value.market_value);
        let accounts = base.portfolio.accounts.iter().cloned().zip(worth).collect();
        holders.push(of(&base, options, None, &Holder::Fund { accounts, size })?);
    }
    Ok(Analysis {
        case: options.case.map_or("base", |stress| scenario.stresses[stress].name.as_str()).to_owned(),
        paths: options.paths,
        horizon_days: base.margin.maintenance.horizon.days(),
        currency: base.reporting_currency().to_owned(),
        holders,
    })
}

fn holder(scenario: &Scenario, account: usize, case: &AccountCase, until: Until) -> Holder {
    let account = scenario.portfolio.accounts[account].clone();
    match until {
        Until::Worth(level) => Holder::Account { account, worth: case.value.market_value, level },
        Until::Maintenance => {
            Holder::Account { account, worth: case.value.equity, level: case.margin.maintenance_margin }
        }
    }
}

/// A book, its law, and what simulation and search say of it.
struct Looked {
    coordinates: Coordinates,
    law: law::Law,
    covered: f64,
    walk: Walk,
    probability: Probability,
    /// By pattern, the largest density first.
    found: Vec<Found>,
    /// Parts of the probability by pattern.
    parts: BTreeMap<String, f64>,
    mode: f64,
}

impl Looked {
    /// What was found with its pattern and that pattern's part of the probability, the largest first.
    fn by_part(&self) -> Vec<(String, f64, &Found)> {
        let mut all: Vec<(String, f64, &Found)> = Vec::new();
        // The largest density comes first: of several with one pattern it is kept.
        for found in &self.found {
            let Some((pattern, _)) = self.law.patterns(&found.z).into_iter().next() else { continue };
            if !all.iter().any(|(known, ..)| *known == pattern) {
                let part = self.parts.get(&pattern).copied().unwrap_or(0.0);
                all.push((pattern, part, found));
            }
        }
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all
    }
}

fn of(
    scenario: &Scenario,
    options: &Options,
    account: Option<String>,
    holder: &Holder,
) -> Result<Reverse, AnalysisFault> {
    let book = Book::new(scenario, holder, &[], Relief::default()).map_err(AnalysisFault::Data)?;
    let looked = look(scenario, &book, holder, options.paths, true)?;
    let moved = |factors: &[[f64; FACTORS]]| asset_moves(scenario, holder, factors);
    let last = |z: &DVector<f64>| {
        let factors = looked.coordinates.factors(z);
        moved(&factors[factors.len() - book.job.assets..])
    };
    let likely = |found: &Found| {
        let patterns = looked.law.patterns(&found.z).into_iter().take(NAMED_PATTERNS);
        let named = patterns.filter(|(_, part)| *part >= LEAST_PART);
        LikelyMove {
            buffer: book.gaps(&looked.coordinates, std::slice::from_ref(&found.z))[0],
            assets: last(&found.z),
            log_density: found.log_density - looked.mode,
            mahalanobis: looked.law.mahalanobis(&found.z),
            patterns: named.map(|(pattern, probability)| PatternPart { pattern, probability }).collect(),
            covered: looked.covered,
        }
    };
    let by_part = looked.by_part();
    let way = |(pattern, part, found): &(String, f64, &Found)| Way {
        pattern: pattern.clone(),
        part: *part,
        likeliest: likely(found),
    };
    let ways: Vec<Way> = by_part.iter().take(NAMED_WAYS).map(way).collect();
    let densest = looked.walk.failing.iter().map(|path| (looked.law.log_density(&path.z), path));
    let densest = densest.max_by(|a, b| a.0.total_cmp(&b.0));
    let representative = densest.map(|(log_density, path)| PathMove {
        path: path.path,
        log_density: log_density - looked.mode,
        assets: last(&path.z),
    });
    let remedy = match by_part.first() {
        Some((.., found)) if looked.probability.simulated > options.target => {
            let before = remedy::Before {
                scenario,
                holder,
                coordinates: &looked.coordinates,
                found,
                walk: &looked.walk,
                target: options.target,
            };
            Some(remedy::remedy(&before, &options.hedges, &|units, relief| {
                again(scenario, options, holder, (units, relief))
            })?)
        }
        _ => None,
    };
    Ok(Reverse {
        account,
        buffer: holder.now(),
        probability: looked.probability,
        likeliest: looked.found.first().map(likely),
        ways,
        mean_failing: (looked.walk.failures > 0).then(|| moved(&looked.walk.mean)),
        representative,
        remedy,
    })
}

/// A holder with some relief, on other random words.
fn again(
    scenario: &Scenario,
    options: &Options,
    holder: &Holder,
    (units, relief): (&[Instrument], Relief),
) -> Result<Again, AnalysisFault> {
    let mut scenario = scenario.clone();
    scenario.simulation.seed = scenario.simulation.seed.wrapping_add(1);
    let book = Book::new(&scenario, holder, units, relief).map_err(AnalysisFault::Data)?;
    let looked = look(&scenario, &book, holder, options.paths, false)?;
    Ok(Again {
        probability: looked.probability,
        mahalanobis: looked.found.first().map(|found| looked.law.mahalanobis(&found.z)),
        log_density: looked.found.first().map(|found| found.log_density - looked.mode),
    })
}

/// Importance sampling only where it is asked for.
fn look(
    scenario: &Scenario,
    book: &Book,
    holder: &Holder,
    paths: u64,
    is_sampled: bool,
) -> Result<Looked, AnalysisFault> {
    let market = &scenario.market;
    let coordinates = Coordinates::new(&book.job, market).map_err(AnalysisFault::Data)?;
    let (law, covered) = moves::law(&book.job, market, &coordinates).map_err(AnalysisFault::Data)?;
    let walk = book.walk(paths, &coordinates, Some(&|z| law.mahalanobis(z)));
    let mut probability = Probability::simulated(walk.failures, paths);
    let gap = |moves: &[DVector<f64>]| book.gaps(&coordinates, moves);
    let centre = law.mode();
    let mode = law.log_density(&centre);
    let mut found = Vec::new();
    let mut parts = BTreeMap::new();
    if holder.now() > 0.0 && gap(std::slice::from_ref(&centre))[0] > 0.0 {
        let mut starts: Vec<(f64, &DVector<f64>)> =
            walk.failing.iter().map(|path| (law.log_density(&path.z), &path.z)).collect();
        starts.sort_by(|a, b| b.0.total_cmp(&a.0));
        let starts: Vec<DVector<f64>> = starts.into_iter().take(STARTS).map(|(_, z)| z.clone()).collect();
        found = Search { law: &law, gap: &gap, centre }.most_likely(&starts);
    }
    if is_sampled && !found.is_empty() {
        let sampled = probability::sampled(&law, &gap, &found, scenario.simulation.seed);
        (probability.sampled, probability.sampled_error) = (Some(sampled.probability), Some(sampled.error));
        parts = sampled.patterns;
    }
    Ok(Looked { coordinates, law, covered, walk, probability, found, parts, mode })
}

/// Failing paths from which the search starts.
const STARTS: usize = 8;

fn asset_moves(scenario: &Scenario, holder: &Holder, factors: &[[f64; FACTORS]]) -> Vec<AssetMove> {
    let of = |asset: usize| {
        let [price, level, basis] = factors[asset];
        let market = &scenario.market.assets[asset];
        AssetMove {
            asset: market.name.clone(),
            relative_move: price.exp_m1(),
            price: market.spot * price.exp(),
            implied_volatility: level.exp_m1(),
            basis,
        }
    };
    let mut assets = holder.assets(scenario);
    assets.extend(scenario.reporting_asset.filter(|asset| !assets.contains(asset)));
    assets.into_iter().map(of).collect()
}
