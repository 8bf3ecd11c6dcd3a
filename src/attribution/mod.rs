//! What an account's Expected Shortfall is made of, and the paths that hurt it most.
//!
//! The components are Euler's: the mean of each part's loss over the tail's paths. Only those are
//! simulated again, from their counters. See docs/attribution.md for formulas and conventions.

use jiff::Timestamp;

use crate::engine::cpu::{CpuEngine, Grouping, TailSums};
use crate::engine::{EngineFault, GREEKS, Greek, Job, RowSplit};
use crate::instrument::{Kind, UnitValue};
use crate::portfolio::{Holding, Portfolio};
use crate::risk::{Component, ComponentSums, TailEstimate, TailPaths, TailSize};
use crate::scenario::{Precision, Selection};
use crate::units::Confidence;

/// Worst paths of an account.
pub const WORST_PATHS: usize = 10;
/// Positions named for each worst path: those that lost most.
pub const WORST_POSITIONS: usize = 5;
/// Tail paths held at a time, in 16 bytes each with room to sort: 512 MiB at most.
pub const MAX_TAIL_PATHS: u64 = 1 << 24;

/// What one account's losses are made of. Money in the reporting currency, losses positive.
#[derive(Clone, Debug)]
pub struct Attribution {
    /// At the level of the maintenance margin.
    pub maintenance: LevelAttribution,
    /// At the level of the initial margin.
    pub initial: LevelAttribution,
    /// The worst paths at the maintenance level's horizon, the worst first.
    pub worst_paths: Vec<WorstPath>,
}

/// Components of an account's Expected Shortfall at a level. Each list, with the remainder, adds
/// up to the reported figure.
#[derive(Clone, Debug)]
pub struct LevelAttribution {
    /// By position: net quantities, in the order of the account's first holding of each.
    pub by_position: Vec<PositionComponent>,
    /// By asset of the market, those that the account holds.
    pub by_asset: Vec<(usize, Component)>,
    /// By expiry, ascending; first what has none.
    pub by_expiry: Vec<(Option<Timestamp>, Component)>,
    /// By greek.
    pub by_greek: [(Greek, Component); GREEKS],
    /// The reported figure less the components' sum: interpolation in a bin, and rounding of the
    /// account's profit to the engine's precision.
    pub remainder: f64,
    /// Paths in the tail.
    pub tail_paths: f64,
}

/// One position's component.
#[derive(Clone, Debug)]
pub struct PositionComponent {
    /// Name of the instrument.
    pub instrument: String,
    /// Units, negative for a short.
    pub quantity: f64,
    /// The component.
    pub component: Component,
    /// The same by greek, in the order of [`Greek::ALL`].
    pub by_greek: [f64; GREEKS],
}

/// A path on which an account loses much.
#[derive(Clone, Debug)]
pub struct WorstPath {
    /// Its number: the same seed gives the same path under it, on any machine.
    pub path: u64,
    /// The account's loss.
    pub loss: f64,
    /// What each asset that the account holds did.
    pub assets: Vec<AssetMove>,
    /// The positions that lost most.
    pub positions: Vec<PositionLoss>,
}

/// What a position lost on a path.
#[derive(Clone, Debug, PartialEq)]
pub struct PositionLoss {
    /// Name of the instrument.
    pub instrument: String,
    /// Units, negative for a short.
    pub quantity: f64,
    /// The loss.
    pub loss: f64,
}

/// What an asset did on a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AssetMove {
    /// Index of the asset.
    pub asset: usize,
    /// Simple return of spot: -0.1 is -10 %.
    pub return_: f64,
    /// Shift of the log level of implied volatility at the reference tenor: 0.2 is +22 %.
    pub volatility_shift: f64,
    /// Change of the annualised basis: 0.1 is 10 points.
    pub basis_move: f64,
    /// Loss of the account's positions in it.
    pub loss: f64,
}

/// What an attribution is made from: one case of a run.
#[derive(Clone, Copy, Debug)]
pub struct Attributing<'a> {
    /// Accounts and instruments, carried into the case's market.
    pub portfolio: &'a Portfolio,
    /// Value of each instrument in the case's market.
    pub units: &'a [UnitValue],
    /// The case's job; its levels are those of the maintenance and the initial margin.
    pub job: &'a Job,
    /// The reported figures, `[account][level]`.
    pub estimates: &'a [TailEstimate],
    /// Paths that made them.
    pub paths: u64,
    /// Precision that made them.
    pub precision: Precision,
}

impl Attributing<'_> {
    /// The attribution of every account that is selected, in the order of the accounts, or why it has
    /// none. Accounts without figures are left out. `progress` hears how many paths of how many are
    /// done.
    pub fn attribute(
        &self,
        selection: &Selection,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<Option<Result<Attribution, String>>>, EngineFault> {
        let levels = self.job.levels.len();
        let is_known = |account: usize| {
            let figures = &self.estimates[account * levels..(account + 1) * levels];
            figures.iter().all(|figure| figure.expected_shortfall.is_finite())
        };
        let shortfall = |account: usize| match is_known(account) {
            true => self.estimates[account * levels].expected_shortfall,
            false => f64::NEG_INFINITY,
        };
        let mut selected = selection.accounts(self.portfolio, shortfall);
        selected.retain(|&account| is_known(account));
        let mut all = vec![None; self.portfolio.accounts.len()];
        if selected.is_empty() {
            return Ok(all);
        }
        let mass = tail_paths(self.job.levels.iter().map(|level| level.confidence), self.paths);
        if mass > MAX_TAIL_PATHS {
            return Err(EngineFault::TooLarge {
                what: "the attribution of one account's tails".to_owned(),
                needed: mass,
                available: MAX_TAIL_PATHS,
                next: "take fewer paths, a higher confidence or no attribution".to_owned(),
            });
        }
        let turns = selected.chunks((MAX_TAIL_PATHS / mass) as usize);
        let of = turns.len() as u64 * self.paths;
        for (turn, accounts) in turns.enumerate() {
            let before = turn as u64 * self.paths;
            let tails = self.tails(accounts, &mut |done| progress(before + done, of));
            for (&account, tails) in accounts.iter().zip(tails) {
                all[account] = Some(match tails {
                    Some(tails) => Ok(self.account(account, &tails)),
                    None => Err("its tail has too few losses that are numbers".to_owned()),
                });
            }
        }
        Ok(all)
    }

    /// Tails of some accounts by level; `None` where there are none.
    fn tails(&self, accounts: &[usize], progress: &mut dyn FnMut(u64)) -> Vec<Option<Vec<TailPaths>>> {
        let levels = self.job.levels.len();
        let engine = CpuEngine::new(self.precision);
        let job = self.job.for_accounts(accounts).with_held_rows();
        let floor =
            |account: usize| self.estimates[account * levels..(account + 1) * levels].iter().map(floor_below);
        let floors: Vec<f64> = accounts.iter().flat_map(|&account| floor(account)).collect();
        let mut found = engine.tail_paths(&job, &floors, self.paths, progress);
        let is_missed =
            |index: &usize| found[index * levels..(index + 1) * levels].iter().any(Option::is_none);
        let missed: Vec<usize> = (0..accounts.len()).filter(is_missed).collect();
        if !missed.is_empty() {
            let job = job.for_accounts(&missed).with_held_rows();
            let floors = vec![f64::NEG_INFINITY; missed.len() * levels];
            let mut again = engine.tail_paths(&job, &floors, self.paths, progress).into_iter();
            for index in missed {
                found[index * levels..(index + 1) * levels].fill_with(|| again.next().flatten());
            }
        }
        let mut found = found.into_iter();
        accounts.iter().map(|_| found.by_ref().take(levels).collect()).collect()
    }

    /// The attribution of an account whose tails, one for each level, are known.
    pub fn account(&self, account: usize, tails: &[TailPaths]) -> Attribution {
        let job = self.job.for_accounts(&[account]).with_net_holdings().with_held_rows();
        let groups = Groups::new(self.portfolio, account);
        let sums = |level: usize, worst: usize| {
            let splits = self.splits(&job, level);
            let grouping = Grouping {
                level,
                splits: &splits,
                assets: &groups.assets,
                expiries: &groups.expiry_of,
                expiry_count: groups.expiries.len(),
                worst,
            };
            CpuEngine::new(self.precision).decompose(&job, &tails[level], &grouping)
        };
        let (maintenance, initial) = (sums(0, WORST_PATHS), sums(1, 0));
        Attribution {
            worst_paths: self.worst_paths(&groups, &tails[0], &maintenance),
            maintenance: self.level(account, 0, &groups, &tails[0], &maintenance),
            initial: self.level(account, 1, &groups, &tails[1], &initial),
        }
    }

    /// What splits each row's profit; rows of other horizons than the level's are never asked for.
    fn splits(&self, job: &Job, level: usize) -> Vec<RowSplit> {
        let horizon = job.horizons[job.levels[level].horizon].get();
        let split = |row: &crate::engine::RowTerms| {
            let index = row.instrument as usize;
            let unit = &self.units[index];
            let perpetual = matches!(self.portfolio.instruments[index].kind, Kind::Perpetual(_));
            let funding = if perpetual { row.offset } else { 0.0 };
            match unit.sensitivity(unit.observed_years(horizon)) {
                Some(s) => RowSplit { delta: s.delta, gamma: s.gamma, variance: s.variance, funding },
                None => RowSplit { funding, ..RowSplit::default() },
            }
        };
        job.rows.iter().map(split).collect()
    }

    fn level(
        &self,
        account: usize,
        level: usize,
        groups: &Groups,
        tail: &TailPaths,
        sums: &TailSums,
    ) -> LevelAttribution {
        let levels = self.job.levels.len();
        let reported = self.estimates[account * levels + level].expected_shortfall;
        let confidence = self.job.levels[level].confidence;
        let size = TailSize { paths: self.paths, confidence, end: tail.paths.len() - tail.end() };
        let component = |sums: &ComponentSums| sums.component(&size);
        let positions = groups.holdings.iter().zip(sums.holdings.iter().zip(&sums.holding_greeks));
        let by_position: Vec<PositionComponent> = positions
            .map(|(holding, (sums, greeks))| PositionComponent {
                instrument: self.name(holding),
                quantity: holding.quantity,
                component: component(sums),
                by_greek: greeks.map(|loss| loss / tail.mass),
            })
            .collect();
        let total: f64 = by_position.iter().map(|p| p.component.expected_shortfall).sum();
        let expiries = groups.expiries.iter().copied();
        LevelAttribution {
            by_asset: groups.held.iter().map(|&asset| (asset, component(&sums.assets[asset]))).collect(),
            by_expiry: expiries.zip(sums.expiries.iter().map(component)).collect(),
            by_greek: Greek::ALL.map(|greek| (greek, component(&sums.greeks[greek as usize]))),
            remainder: reported - total,
            tail_paths: tail.mass,
            by_position,
        }
    }

    fn name(&self, holding: &Holding) -> String {
        self.portfolio.instruments[holding.instrument as usize].name.clone()
    }

    fn worst_paths(&self, groups: &Groups, tail: &TailPaths, sums: &TailSums) -> Vec<WorstPath> {
        let holdings = &groups.holdings;
        let of_path =
            |(path, regenerated): (&crate::risk::TailPath, &crate::engine::cpu::RegeneratedPath)| {
                let asset_loss = |asset: usize| {
                    let own = groups.assets.iter().zip(&regenerated.losses).filter(|(a, _)| **a == asset);
                    own.map(|(_, loss)| loss).sum()
                };
                let asset_move = |&asset: &usize| {
                    let [x, volatility_shift, basis_move] = regenerated.factors[asset];
                    AssetMove {
                        asset,
                        return_: x.exp_m1(),
                        volatility_shift,
                        basis_move,
                        loss: asset_loss(asset),
                    }
                };
                let losses = holdings.iter().zip(&regenerated.losses);
                let mut losses: Vec<(&Holding, f64)> =
                    losses.map(|(holding, &loss)| (holding, loss)).filter(|(_, loss)| *loss > 0.0).collect();
                losses.sort_by(|a, b| b.1.total_cmp(&a.1));
                let position = |&(holding, loss): &(&Holding, f64)| PositionLoss {
                    instrument: self.name(holding),
                    quantity: holding.quantity,
                    loss,
                };
                WorstPath {
                    path: path.path,
                    loss: path.loss,
                    assets: groups.held.iter().map(asset_move).collect(),
                    positions: losses.iter().take(WORST_POSITIONS).map(position).collect(),
                }
            };
        tail.paths.iter().zip(&sums.worst).map(of_path).collect()
    }
}

/// Paths of an account's tails at all levels that an attribution holds.
pub fn tail_paths(levels: impl Iterator<Item = Confidence>, paths: u64) -> u64 {
    levels.map(|confidence| (paths as f64 * confidence.tail() + 1.0).ceil() as u64).sum()
}

/// A loss surely below the exact order's Value at Risk of the same paths, whose estimate is
/// interpolated in a bin; a miss costs a second look.
fn floor_below(estimate: &TailEstimate) -> f64 {
    let TailEstimate { value_at_risk, value_at_risk_error, expected_shortfall, .. } = *estimate;
    let tail = (expected_shortfall - value_at_risk).abs();
    value_at_risk - (6.0 * value_at_risk_error).max(0.01 * tail).max(1e-6 * value_at_risk.abs())
}

/// How one account's holdings are grouped.
struct Groups {
    /// Net, each instrument once.
    holdings: Vec<Holding>,
    /// Asset of each holding.
    assets: Vec<usize>,
    /// Assets that are held, ascending.
    held: Vec<usize>,
    /// Expiries that are held, ascending.
    expiries: Vec<Option<Timestamp>>,
    /// Expiry of each holding, as an index into them.
    expiry_of: Vec<usize>,
}

impl Groups {
    fn new(portfolio: &Portfolio, account: usize) -> Self {
        let holdings = portfolio.accounts[account].net_holdings();
        let instruments = || holdings.iter().map(|h| &portfolio.instruments[h.instrument as usize]);
        let assets: Vec<usize> = instruments().map(|instrument| instrument.asset).collect();
        let mut held = assets.clone();
        held.sort_unstable();
        held.dedup();
        let expiry: Vec<Option<Timestamp>> =
            instruments().map(|instrument| instrument.kind.expiry()).collect();
        let mut expiries = expiry.clone();
        expiries.sort_unstable();
        expiries.dedup();
        let index = |expiry| expiries.binary_search(expiry).expect("every expiry was collected");
        let expiry_of = expiry.iter().map(index).collect();
        Self { holdings, assets, held, expiries, expiry_of }
    }
}
