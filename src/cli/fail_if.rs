//! `--fail-if 'health < 1'`: a threshold that ends a run with its own exit code.

use std::str::FromStr;

use shortfall::report::document::{AccountResult, CaseResult, Document};

use super::exit::Failure;

/// Accounts of one breach that are named.
const NAMED_ACCOUNTS: usize = 20;

/// What `--help` says about the form.
pub const FORM: &str = "[CASE:] FIELD OP NUMBER, such as 'health < 1' or 'any: health < 1'";

/// A comparison of a field with a number, for the accounts of one case or of all.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    case: Selector,
    field: Field,
    comparison: Comparison,
    number: f64,
}

#[derive(Clone, Debug, PartialEq)]
enum Selector {
    Any,
    Named(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Field {
    Health,
    Equity,
    MarketValue,
    MaintenanceMargin,
    InitialMargin,
    ExpectedShortfall,
    ValueAtRisk,
}

const FIELDS: [(&str, Field); 7] = [
    ("health", Field::Health),
    ("equity", Field::Equity),
    ("market_value", Field::MarketValue),
    ("maintenance_margin", Field::MaintenanceMargin),
    ("initial_margin", Field::InitialMargin),
    ("expected_shortfall", Field::ExpectedShortfall),
    ("value_at_risk", Field::ValueAtRisk),
];

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("{what}; expected {FORM}");
        let operator = text.rfind(['<', '>']).ok_or_else(|| wrong("no < or >"))?;
        let (left, right) = text.split_at(operator);
        let (at, right) = match right[1..].strip_prefix('=') {
            Some(number) => (true, number),
            None => (false, &right[1..]),
        };
        let comparison = match (text.as_bytes()[operator], at) {
            (b'<', false) => Comparison::Below,
            (b'<', true) => Comparison::AtMost,
            (_, false) => Comparison::Above,
            (_, true) => Comparison::AtLeast,
        };
        let number = shortfall::units::finite(right)
            .ok_or_else(|| wrong(&format!("`{}` is no number", right.trim())))?;
        let (case, name) = left.rsplit_once(':').map_or((None, left), |(case, name)| (Some(case), name));
        let names: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
        let (_, field) = FIELDS
            .into_iter()
            .find(|(field, _)| *field == name.trim())
            .ok_or_else(|| format!("`{}` is not one of {}", name.trim(), names.join(", ")))?;
        let case = match case.map_or("base", str::trim) {
            "any" => Selector::Any,
            name => Selector::Named(name.to_owned()),
        };
        Ok(Self { text: text.trim().to_owned(), case, field, comparison, number })
    }
}

impl Threshold {
    /// Refuses a threshold of a case that does not run.
    pub fn check(&self, cases: &[&str]) -> Result<(), Failure> {
        match &self.case {
            Selector::Named(name) if !cases.contains(&name.as_str()) => Err(Failure::Usage(format!(
                "--fail-if '{}': no case `{name}`; this run has {}, and any",
                self.text,
                cases.join(", ")
            ))),
            _ => Ok(()),
        }
    }

    /// Lines that name what is breached; empty where nothing is. A case or an account without a
    /// result cannot be said to hold, so it counts as a breach.
    fn breaches(&self, document: &Document) -> Vec<String> {
        let selected = |case: &&CaseResult| match &self.case {
            Selector::Any => true,
            Selector::Named(name) => *name == case.name,
        };
        let mut lines = Vec::new();
        for case in document.cases.iter().filter(selected) {
            if let Some(reason) = &case.failure {
                lines.push(format!("{}: no result ({reason})", case.name));
            }
            for failed in &case.failed_accounts {
                lines.push(format!("{}: {}: no result ({})", case.name, failed.account, failed.reason));
            }
            for account in &case.accounts {
                let value = self.field.of(account);
                if self.holds(value) {
                    let name = self.field.name();
                    lines.push(format!("{}: {}: {name} is {value}", case.name, account.account));
                }
            }
        }
        lines
    }

    fn holds(&self, value: f64) -> bool {
        match self.comparison {
            Comparison::Below => value < self.number,
            Comparison::AtMost => value <= self.number,
            Comparison::Above => value > self.number,
            Comparison::AtLeast => value >= self.number,
        }
    }
}

impl Field {
    /// The value of an account. The health of one without a margin is infinite, and below zero
    /// where its equity is.
    fn of(self, account: &AccountResult) -> f64 {
        match self {
            Self::Health => account.need(),
            Self::Equity => account.equity,
            Self::MarketValue => account.market_value,
            Self::MaintenanceMargin => account.maintenance_margin,
            Self::InitialMargin => account.initial_margin,
            Self::ExpectedShortfall => account.maintenance.expected_shortfall,
            Self::ValueAtRisk => account.maintenance.value_at_risk,
        }
    }

    fn name(self) -> &'static str {
        FIELDS.iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }
}

/// An error that names every breach, if there is one.
pub fn judge(thresholds: &[Threshold], document: &Document) -> Result<(), Failure> {
    let mut text = String::new();
    for threshold in thresholds {
        let breaches = threshold.breaches(document);
        if breaches.is_empty() {
            continue;
        }
        text.push_str(&format!("--fail-if '{}': {} breached\n", threshold.text, breaches.len()));
        breaches.iter().take(NAMED_ACCOUNTS).for_each(|line| text.push_str(&format!("  {line}\n")));
        if breaches.len() > NAMED_ACCOUNTS {
            text.push_str(&format!("  … and {} more\n", breaches.len() - NAMED_ACCOUNTS));
        }
    }
    if text.is_empty() { Ok(()) } else { Err(Failure::Breached(text)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_read() {
        let read = |text: &str| text.parse::<Threshold>();
        let plain = read("health < 1").unwrap();
        assert_eq!((plain.case.clone(), plain.number), (Selector::Named("base".to_owned()), 1.0));
        assert!(plain.holds(0.99) && !plain.holds(1.0));
        assert!(read("health<=1").unwrap().holds(1.0));
        assert_eq!(read("any: equity >= -1e6").unwrap().case, Selector::Any);
        let stress = read(" vol > 2: up :initial_margin>5").unwrap();
        assert_eq!(stress.case, Selector::Named("vol > 2: up".to_owned()));
        for bad in ["", "health", "health < ", "health < x", "health < nan", "helth < 1", "health = 1", "< 1"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
