//! What orders would change, and which orders would change most.

use std::sync::Arc;

use super::api::{
    BatchItem, Book, Difference, Figures, Hedge, HedgeAnswer, HedgeRequest, MAX_HEDGES, MAX_ORDERS,
    MAX_WHAT_IFS, Position, WhatIf, WhatIfAnswer, WhatIfBatch, WhatIfBatchAnswer,
};
use super::book;
use super::fault::{field_fault, none};
use super::version::{Entry, Version};
use super::{Cancel, Desk, DeskFault, cube, full};
use crate::closed_form::special::golden_section;
use crate::portfolio::MAX_QUANTITY;

/// Index of the level of the initial margin.
const INITIAL: usize = 1;
/// Looks at a size between two others: each leaves 0.618 of the interval, so 24 leave a
/// hundred-thousandth.
const GOLDEN_STEPS: usize = 24;
/// Doublings of the first guess of a size, while the margin still falls there.
const DOUBLINGS: usize = 8;

/// What a question is about.
struct Subject {
    name: Option<String>,
    entry: Arc<Entry>,
}

impl Desk {
    /// What orders would change; the account stays as it is.
    pub fn what_if(&self, what_if: &WhatIf, cancel: &Cancel) -> Result<WhatIfAnswer, DeskFault> {
        self.steady(|| self.what_if_in(&*self.fresh()?, what_if, cancel))
    }

    /// Several what-ifs in one market.
    pub fn what_ifs(&self, batch: &WhatIfBatch, cancel: &Cancel) -> Result<WhatIfBatchAnswer, DeskFault> {
        let count = batch.what_ifs.len();
        if !(1..=MAX_WHAT_IFS).contains(&count) {
            let expected = format!("1 to {MAX_WHAT_IFS}");
            return Err(DeskFault::field("what_ifs", format!("{count} what-ifs"), expected));
        }
        self.steady(|| self.what_ifs_in(&*self.fresh()?, batch, cancel))
    }

    fn what_ifs_in(
        &self,
        version: &Version,
        batch: &WhatIfBatch,
        cancel: &Cancel,
    ) -> Result<WhatIfBatchAnswer, DeskFault> {
        let mut answers = Vec::with_capacity(batch.what_ifs.len());
        for what_if in &batch.what_ifs {
            answers.push(match self.what_if_in(version, what_if, cancel) {
                Ok(answer) => BatchItem { answer: Some(answer), refusal: None },
                Err(fault @ (DeskFault::Cancelled | DeskFault::Device(_))) => return Err(fault),
                Err(fault) => BatchItem { answer: None, refusal: Some(fault.refusal()) },
            });
        }
        Ok(WhatIfBatchAnswer { market: self.stamp(version), answers })
    }

    /// Which trade in one of some instruments lowers the initial margin most.
    pub fn hedge(&self, request: &HedgeRequest, cancel: &Cancel) -> Result<HedgeAnswer, DeskFault> {
        self.steady(|| self.hedge_once(request, cancel))
    }

    fn hedge_once(&self, request: &HedgeRequest, cancel: &Cancel) -> Result<HedgeAnswer, DeskFault> {
        let count = request.instruments.len();
        let mut faults = Vec::new();
        if !(1..=MAX_HEDGES).contains(&count) {
            faults.push(field_fault(
                "instruments",
                format!("{count} instruments"),
                format!("1 to {MAX_HEDGES}"),
            ));
        }
        if let Some(most) = request.most_units.filter(|most| !(*most > 0.0 && *most <= MAX_QUANTITY)) {
            faults.push(field_fault("most_units", most.to_string(), "a number above 0 and up to 10^15"));
        }
        let version = self.fresh()?;
        let subject = self.subject(&version, &request.account, &request.hypothetical, faults, cancel)?;
        let search = Search { desk: self, version: &version, subject: &subject, cancel };
        let mut hedges = Vec::with_capacity(count);
        let tail = search.tail()?;
        for (index, instrument) in request.instruments.iter().enumerate() {
            hedges.push(search.hedge(
                index,
                instrument,
                &tail,
                request.most_units.unwrap_or(MAX_QUANTITY),
            )?);
        }
        hedges.sort_by(|a, b| b.reduction.total_cmp(&a.reduction));
        Ok(HedgeAnswer {
            revision: subject.revision(),
            currency: version.scenario().reporting_currency().to_owned(),
            market: self.stamp(&version),
            paths: version.scenario().simulation.paths,
            device: version.device(),
            before: subject.entry.figures.clone(),
            account: subject.name,
            hedges,
        })
    }

    fn what_if_in(
        &self,
        version: &Version,
        what_if: &WhatIf,
        cancel: &Cancel,
    ) -> Result<WhatIfAnswer, DeskFault> {
        let mut faults = book::check_positions(&what_if.orders, "orders", MAX_ORDERS);
        faults.extend(book::check_balances(&what_if.balances, "balances"));
        let subject = self.subject(version, &what_if.account, &what_if.hypothetical, faults, cancel)?;
        let after = self.after(version, &subject, what_if, cancel)?;
        let before = subject.entry.figures.clone();
        Ok(WhatIfAnswer {
            revision: subject.revision(),
            account: subject.name,
            currency: version.scenario().reporting_currency().to_owned(),
            market: self.stamp(version),
            paths: version.scenario().simulation.paths,
            device: version.device(),
            difference: Difference::between(&before, &after),
            before,
            after,
        })
    }

    /// The account of a question, or a book that no account holds, margined.
    fn subject(
        &self,
        version: &Version,
        account: &Option<String>,
        hypothetical: &Option<Book>,
        mut faults: Vec<super::api::FieldFault>,
        cancel: &Cancel,
    ) -> Result<Subject, DeskFault> {
        let book = match (account, hypothetical) {
            (Some(name), None) => {
                none(faults)?;
                return Ok(Subject { name: Some(name.clone()), entry: version.entry(name)? });
            }
            (None, Some(book)) => book,
            _ => {
                let expected = "either an account or a hypothetical book";
                faults.push(field_fault("account", "both, or neither", expected));
                return Err(DeskFault::Invalid(faults));
            }
        };
        faults.extend(book::check(book, "hypothetical."));
        none(faults)?;
        let entry = version.make_hypothetical(book, &self.pools, cancel)?;
        let entry = entry.ok_or_else(|| {
            let expected = "instruments that expire after the horizon, or when those of accounts do";
            DeskFault::field("hypothetical.positions", "an expiry within the horizon", expected)
        })?;
        Ok(Subject { name: None, entry: Arc::new(entry) })
    }

    fn after(
        &self,
        version: &Version,
        subject: &Subject,
        what_if: &WhatIf,
        cancel: &Cancel,
    ) -> Result<Figures, DeskFault> {
        let mut book = subject.entry.account.book.clone();
        let own = (book.positions.len(), book.balances.len());
        book.positions.extend_from_slice(&what_if.orders);
        book.balances.extend_from_slice(&what_if.balances);
        let name = subject.entry.account.account.as_str();
        let held = book::hold(version.scenario(), name, &book, "").map_err(|faults| {
            DeskFault::Invalid(faults.into_iter().map(|fault| book::as_order(fault, own)).collect())
        })?;
        if let Some(figures) =
            version.figures_with(Some(&subject.entry), held.clone(), &self.pools, cancel)?
        {
            return Ok(figures);
        }
        // An order that expires within the horizon: every path is looked at at other times, as a run
        // of the book would.
        let mut among = super::version::instruments(version.entries().values().map(|entry| entry.held()));
        among = cube::pins(version.scenario(), &among);
        let case = self.pools.long(cancel, |_| full::case(version.scenario(), &held, &among, cancel))?;
        Ok(Figures::of_case(&version.levels, &case))
    }
}

impl Subject {
    fn revision(&self) -> u64 {
        if self.name.is_some() { self.entry.account.revision } else { 0 }
    }
}

/// The search for hedges of one account.
struct Search<'a> {
    desk: &'a Desk,
    version: &'a Version,
    subject: &'a Subject,
    cancel: &'a Cancel,
}

impl Search<'_> {
    /// Paths of the account's tail at the initial level.
    fn tail(&self) -> Result<Vec<usize>, DeskFault> {
        let Self { desk, version, subject, cancel } = *self;
        let profits = version.profits(&subject.entry, &desk.pools, cancel)?;
        let floor = subject.entry.estimates()[INITIAL].value_at_risk;
        let losses = version.cube().losses(&profits, INITIAL)?.into_iter().enumerate();
        Ok(losses.filter(|(_, loss)| f64::from(*loss) >= floor).map(|(path, _)| path).collect())
    }

    fn hedge(&self, index: usize, name: &str, tail: &[usize], most: f64) -> Result<Hedge, DeskFault> {
        let Self { desk, version, subject, cancel } = *self;
        let unit = Book { positions: vec![order(name, 1.0)], ..Book::default() };
        let rename = |faults: Vec<super::api::FieldFault>| {
            let rename = |fault| super::api::FieldFault { field: format!("instruments[{index}]"), ..fault };
            DeskFault::Invalid(faults.into_iter().map(rename).collect())
        };
        let held = book::hold(version.scenario(), "", &unit, "").map_err(rename)?;
        let is_priced = version.ensure(&held, &desk.pools, cancel)?;
        let legs = version.cube().legs(&held).filter(|_| is_priced).ok_or_else(|| {
            let expected = "an instrument that expires after the horizon, or when those of accounts do";
            DeskFault::field(format!("instruments[{index}]"), format!("`{name}`"), expected)
        })?;
        // The derivative of Expected Shortfall by the size: the mean loss of a unit on the tail's paths.
        let per_unit = -version.cube().mean_profit(&legs, INITIAL, tail)?;
        let (quantity, after) = self.best(name, per_unit, most)?;
        let reduction = subject.entry.figures.initial_margin - after.initial_margin;
        let is_better = reduction > 0.0;
        Ok(Hedge {
            instrument: name.to_owned(),
            per_unit,
            quantity: if is_better { quantity } else { 0.0 },
            reduction: reduction.max(0.0),
            after: if is_better { after } else { subject.entry.figures.clone() },
        })
    }

    /// The size at which the margin is lowest. Expected Shortfall is convex in the size, so that it
    /// falls up to there and rises beyond.
    fn best(&self, name: &str, per_unit: f64, most: f64) -> Result<(f64, Figures), DeskFault> {
        let sign = if per_unit > 0.0 { -1.0 } else { 1.0 };
        let at = |size: f64| self.at(name, sign * size);
        let shortfall = self.subject.entry.estimates()[INITIAL].expected_shortfall.abs();
        let guess = shortfall / per_unit.abs();
        if !(guess > 0.0 && guess.is_finite()) {
            return Ok((0.0, self.subject.entry.figures.clone()));
        }
        let mut high = guess.min(most);
        for _ in 0..DOUBLINGS {
            let (middle, end) = (at(0.5 * high)?, at(high)?);
            if !(end.initial_margin < middle.initial_margin) || high >= most {
                break;
            }
            high = (2.0 * high).min(most);
        }
        let sizes = golden_section((0.0, high), GOLDEN_STEPS, at, |figures| figures.initial_margin)?;
        let [(a, at_a), (b, at_b)] = sizes;
        let (size, figures) = if at_a.initial_margin <= at_b.initial_margin { (a, at_a) } else { (b, at_b) };
        Ok((sign * size, figures))
    }

    fn at(&self, name: &str, quantity: f64) -> Result<Figures, DeskFault> {
        let what_if = WhatIf { orders: vec![order(name, quantity)], ..WhatIf::default() };
        self.desk.after(self.version, self.subject, &what_if, self.cancel)
    }
}

fn order(instrument: &str, quantity: f64) -> Position {
    Position { instrument: instrument.to_owned(), quantity, entry_price: None, implied_volatility: None }
}
