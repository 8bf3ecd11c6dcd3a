//! The lines of a margin: named amounts that add up to it.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// A line of a margin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// Expected Shortfall of the level, the estimate; below zero for a book that gains in its tail.
    ExpectedShortfall,
    /// From the estimate to its upper confidence bound.
    ErrorAllowance,
    /// Weight of stressed observations (EMIR RTS 153/2013, article 28(1)(b)).
    StressedWeight,
    /// Up to the margin of a long lookback's volatility (article 28(1)(c)).
    LookbackFloor,
    /// Up to the least fraction of gross notional, and to zero.
    Floor,
    /// Up to the least margin of short options.
    ShortOptionMinimum,
    /// Buffer that may be used up in stress (article 28(1)(a)).
    ProcyclicalityBuffer,
    /// Spread and price impact of closing the book.
    LiquidationCost,
    /// Risk carried while a large position is closed.
    LiquidationHorizon,
    /// Moves of futures against spot beyond the model's.
    Basis,
    /// Collateral that falls when the account loses.
    WrongWay,
    /// Stablecoins that may fall below a dollar.
    Stablecoin,
    /// Prices that are uncertain or old.
    Oracle,
    /// Prices that it would pay to push.
    OracleManipulation,
    /// Initial margin only: up to the maintenance margin.
    MaintenanceFloor,
}

/// Number of lines.
pub const LINES: usize = 15;

impl Line {
    /// All of them, in the order in which they are added.
    pub const ALL: [Self; LINES] = [
        Self::ExpectedShortfall,
        Self::ErrorAllowance,
        Self::StressedWeight,
        Self::LookbackFloor,
        Self::Floor,
        Self::ShortOptionMinimum,
        Self::ProcyclicalityBuffer,
        Self::LiquidationCost,
        Self::LiquidationHorizon,
        Self::Basis,
        Self::WrongWay,
        Self::Stablecoin,
        Self::Oracle,
        Self::OracleManipulation,
        Self::MaintenanceFloor,
    ];

    /// As reports name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExpectedShortfall => "expected_shortfall",
            Self::ErrorAllowance => "error_allowance",
            Self::StressedWeight => "stressed_weight",
            Self::LookbackFloor => "lookback_floor",
            Self::Floor => "floor",
            Self::ShortOptionMinimum => "short_option_minimum",
            Self::ProcyclicalityBuffer => "procyclicality_buffer",
            Self::LiquidationCost => "liquidation_cost",
            Self::LiquidationHorizon => "liquidation_horizon",
            Self::Basis => "basis",
            Self::WrongWay => "wrong_way",
            Self::Stablecoin => "stablecoin",
            Self::Oracle => "oracle",
            Self::OracleManipulation => "oracle_manipulation",
            Self::MaintenanceFloor => "maintenance_floor",
        }
    }
}

/// The lines of one margin, in the reporting currency. All are at least zero, but for the Expected
/// Shortfall.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lines([f64; LINES]);

impl Lines {
    /// A line's amount.
    pub fn get(&self, line: Line) -> f64 {
        self.0[line as usize]
    }

    /// Every line with its amount, in the order in which they are added.
    pub fn iter(&self) -> impl Iterator<Item = (Line, f64)> + '_ {
        Line::ALL.into_iter().map(|line| (line, self.get(line)))
    }

    /// The margin: the sum of all lines, in their order.
    pub fn total(&self) -> f64 {
        self.0.iter().sum()
    }

    /// Sets a line that adds an amount.
    pub(super) fn add(&mut self, line: Line, amount: f64) {
        self.0[line as usize] = amount;
    }

    /// Sets a line to what lifts the sum of the lines before it to at least `target`.
    pub(super) fn lift(&mut self, line: Line, target: f64) {
        let before: f64 = self.0[..line as usize].iter().sum();
        let mut amount = (target - before).max(0.0);
        // Rounding of the difference may leave the sum one step below.
        if before + amount < target {
            amount = amount.next_up();
        }
        self.0[line as usize] = amount;
    }
}

impl Serialize for Lines {
    /// A mapping of names to amounts, in the order in which they are added.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(LINES))?;
        for (line, amount) in self.iter() {
            map.serialize_entry(line.name(), &amount)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Lines {
    /// The mapping back; a line that is not named is zero.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = std::collections::BTreeMap::<String, f64>::deserialize(deserializer)?;
        let mut lines = Self::default();
        for (name, amount) in named {
            let line = Line::ALL.into_iter().find(|line| line.name() == name);
            let line = line.ok_or_else(|| D::Error::custom(format!("no line `{name}` of a margin")))?;
            lines.add(line, amount);
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lift_reaches_its_target() {
        for (before, target) in [(-3.3, 0.0), (0.1, 0.3), (1e16, 1.0), (1.0, 1e16), (0.7, 0.7)] {
            let mut lines = Lines::default();
            lines.add(Line::ExpectedShortfall, before);
            lines.lift(Line::Floor, target);
            assert!(lines.total() >= target && lines.get(Line::Floor) >= 0.0);
            assert!(lines.total() <= target.max(before).next_up());
        }
    }

    #[test]
    fn lines_come_back_from_their_names() {
        let mut lines = Lines::default();
        Line::ALL.into_iter().for_each(|line| lines.add(line, 0.1 + line as usize as f64));
        let text = serde_json::to_string(&lines).unwrap();
        assert_eq!(serde_json::from_str::<Lines>(&text).unwrap(), lines);
        assert!(serde_json::from_str::<Lines>(r#"{"rent": 1.0}"#).is_err());
    }

    #[test]
    fn lines_stand_at_their_numbers() {
        for (index, line) in Line::ALL.into_iter().enumerate() {
            assert_eq!(line as usize, index, "{}", line.name());
        }
    }
}
