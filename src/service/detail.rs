//! Answers about one account: its margin, what it is made of, how its losses are distributed, and
//! what it was in an earlier market.

use super::api::{
    Account, Book, DISTRIBUTION_BINS, Distribution, Figures, LevelName, MarginAnswer, Revision, Revisions,
};
use super::book::Held;
use super::version::{Entry, Version};
use super::{Cancel, Desk, DeskFault, book, cube, full, lock, market};
use crate::attribution::{Attributing, Attribution};
use crate::engine::KEPT_PATHS;
use crate::instrument::{Instrument, UnitValue};
use crate::margin::greeks::{GreeksMargin, Sensitivities};
use crate::portfolio::Portfolio;
use crate::report::{AttributionResult, DriverResult, Levels, WorstPathResult};
use crate::run;
use crate::scenario::Scenario;

/// Part of the first losses below the first bin of a distribution, and above its last.
const BEYOND: f64 = 0.001;

impl Desk {
    /// An account's margin. With `detail` also what its Expected Shortfalls are made of, and its worst
    /// paths, which are simulated again.
    pub fn margin(&self, name: &str, detail: bool, cancel: &Cancel) -> Result<MarginAnswer, DeskFault> {
        self.steady(|| self.margin_once(name, detail, cancel))
    }

    fn margin_once(&self, name: &str, detail: bool, cancel: &Cancel) -> Result<MarginAnswer, DeskFault> {
        let version = self.fresh()?;
        let entry = version.entry(name)?;
        let mut answer = self.answer(&version, &entry)?;
        if detail {
            let attribution = self.attribution(&version, &entry, cancel)?;
            let path = |path| WorstPathResult::new(version.scenario(), path);
            answer.worst_paths = Some(attribution.worst_paths.iter().map(path).collect());
            let greeks = sensitivities_margin(version.scenario(), entry.held())?;
            answer.attribution =
                Some(AttributionResult::new(version.scenario(), &attribution, Some(&greeks)));
        }
        Ok(answer)
    }

    /// How an account's losses are distributed. The first and the last bin hold what lies beyond.
    pub fn distribution(
        &self,
        name: &str,
        level: LevelName,
        cancel: &Cancel,
    ) -> Result<Distribution, DeskFault> {
        self.steady(|| self.distribution_once(name, level, cancel))
    }

    fn distribution_once(
        &self,
        name: &str,
        level: LevelName,
        cancel: &Cancel,
    ) -> Result<Distribution, DeskFault> {
        let version = self.fresh()?;
        let entry = version.entry(name)?;
        let level = level as usize;
        let profits = version.profits(&entry, &self.pools, cancel)?;
        let losses = version.cube().losses(&profits, level)?;
        let mut first = losses[..losses.len().min(KEPT_PATHS as usize)].to_vec();
        first.sort_unstable_by(f32::total_cmp);
        let beyond = (BEYOND * first.len() as f64) as usize;
        let low = f64::from(first[beyond]);
        let estimate = entry.estimates()[level].expected_shortfall;
        let high = f64::from(first[first.len() - 1 - beyond]).max(estimate + 0.1 * (estimate - low).abs());
        let width = (high - low) / DISTRIBUTION_BINS as f64;
        let mut counts = vec![0; DISTRIBUTION_BINS];
        for loss in losses {
            // A cast of a negative number or of NaN is zero.
            let bin = ((f64::from(loss) - low) / width) as usize;
            counts[bin.min(DISTRIBUTION_BINS - 1)] += 1;
        }
        let figures = &entry.figures;
        Ok(Distribution {
            account: name.to_owned(),
            revision: entry.account.revision,
            currency: version.scenario().reporting_currency().to_owned(),
            market: self.stamp(&version),
            low,
            high,
            counts,
            tail: if level == 0 { figures.maintenance } else { figures.initial },
        })
    }

    /// What a revision of an account (the present one if none is given) needs in a market that is kept:
    /// computed again from its rows and numbers, on paths that are looked at when they were then.
    pub fn explain(
        &self,
        name: &str,
        revision: Option<u64>,
        version: u64,
        cancel: &Cancel,
    ) -> Result<MarginAnswer, DeskFault> {
        let account = self.revision(name, revision)?;
        let kept = self.kept_market(version)?;
        let market = market::restored(&self.base.market, &kept.numbers).map_err(DeskFault::Invalid)?;
        let scenario = Scenario { market, ..self.base.clone() };
        let hold = |name, book, at| book::hold(&scenario, name, book, at).map_err(DeskFault::Invalid);
        let held = hold(name, &account.book, "")?;
        let pins = hold("", &Book { positions: kept.pins, ..Book::default() }, "pins.")?.instruments;
        let case = self.pools.long(cancel, |_| full::case(&scenario, &held, &pins, cancel))?;
        let figures = Figures::of_case(&Levels::of(&scenario), &case);
        let worst_driver = case.driver.map(|driver| DriverResult::new(&scenario, &driver));
        let market = self.stamped(version, kept.numbers.as_of, kept.received);
        Ok(MarginAnswer { worst_driver, ..self.answer_of(&account, figures, market) })
    }

    /// What an account holds, or held in a revision that is kept.
    pub fn revision(&self, name: &str, revision: Option<u64>) -> Result<Account, DeskFault> {
        let current = self.account(name);
        match revision {
            Some(revision) if current.as_ref().map(|account| account.revision) != Ok(revision) => {
                let missing = || DeskFault::NotFound { what: "revision", name: format!("{name} {revision}") };
                self.store.revision(name, revision)?.ok_or_else(missing)
            }
            _ => current,
        }
    }

    /// Revisions of an account that are kept.
    pub fn revisions(&self, name: &str) -> Result<Revisions, DeskFault> {
        let current = self.account(name).ok().map(|account| account.revision);
        let old = lock(&self.history);
        let old = old.revisions(name).map(|(revision, until)| Revision { revision, until });
        let revisions: Vec<Revision> = old.collect();
        if current.is_none() && revisions.is_empty() {
            return Err(DeskFault::NotFound { what: "account", name: name.to_owned() });
        }
        Ok(Revisions { account: name.to_owned(), current, revisions })
    }

    fn attribution(
        &self,
        version: &Version,
        entry: &Entry,
        cancel: &Cancel,
    ) -> Result<Attribution, DeskFault> {
        let scenario = version.scenario();
        let profits = version.profits(entry, &self.pools, cancel)?;
        let tails = version.cube().tail_paths(&profits)?;
        let held = entry.held();
        let mut instruments: Vec<Instrument> = held.instruments.clone();
        let is_further = |pin: &&Instrument| !held.keys.contains(&cube::key(pin));
        instruments.extend(version.cube().pins().iter().filter(is_further).cloned());
        let value = |instrument: &Instrument| {
            let fault = |fault| DeskFault::Engine(format!("{}: {fault}", instrument.name));
            UnitValue::new(&scenario.market, instrument).map_err(fault)
        };
        let units = instruments.iter().map(value).collect::<Result<Vec<_>, _>>()?;
        let portfolio = Portfolio { accounts: vec![held.carried.clone()], instruments };
        let job = run::job_of(scenario, &scenario.market, &portfolio, &units).map_err(DeskFault::Engine)?;
        let attributing = Attributing {
            portfolio: &portfolio,
            units: &units,
            job: &job,
            estimates: entry.estimates(),
            paths: scenario.simulation.paths,
            precision: scenario.simulation.precision,
        };
        Ok(self.pools.long(cancel, |_| attributing.account(0, &tails)))
    }
}

/// The margins from sensitivities at both levels, to stand beside the Expected Shortfalls.
fn sensitivities_margin(scenario: &Scenario, held: &Held) -> Result<[GreeksMargin; 2], DeskFault> {
    let at = |level| {
        let (instruments, units) = (&held.instruments, &held.units);
        Sensitivities::new(&scenario.market, instruments, units, level, scenario.reporting_asset)
            .map(|sensitivities| sensitivities.margin(&held.carried))
            .map_err(DeskFault::Engine)
    };
    Ok([at(&scenario.margin.maintenance)?, at(&scenario.margin.initial)?])
}
