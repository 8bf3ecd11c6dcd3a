//! Checked quantities: what a number means is decided once, at the edge.

use std::fmt;

/// Days in a year: crypto trades on all of them (ACT/365 fixed).
pub const DAYS_PER_YEAR: f64 = 365.0;
const SECONDS_PER_YEAR: f64 = DAYS_PER_YEAR * 86_400.0;

/// A span of time in years of 365 days; finite and at least zero.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Years(f64);

impl Years {
    /// `years` if it is finite and not negative.
    pub fn new(years: f64) -> Option<Self> {
        (years >= 0.0 && years.is_finite()).then_some(Self(years))
    }

    /// From days: `Years::from_days(1.0)` is one day.
    pub fn from_days(days: f64) -> Option<Self> {
        Self::new(days / DAYS_PER_YEAR)
    }

    /// Reads `90s`, `30m`, `4h`, `1d`, `2w`, `1.5y`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let unit = text.chars().last()?;
        let seconds = match unit {
            's' => 1.0,
            'm' => 60.0,
            'h' => 3_600.0,
            'd' => 86_400.0,
            'w' => 7.0 * 86_400.0,
            'y' => SECONDS_PER_YEAR,
            _ => return None,
        };
        let number = text[..text.len() - unit.len_utf8()].trim_end();
        let value = crate::units::finite(number)?;
        Self::new(value * seconds / SECONDS_PER_YEAR)
    }

    /// Between two instants; `None` if `to` lies before `from`.
    pub fn between(from: jiff::Timestamp, to: jiff::Timestamp) -> Option<Self> {
        let nanoseconds = to.as_nanosecond() - from.as_nanosecond();
        Self::new(nanoseconds as f64 * 1e-9 / SECONDS_PER_YEAR)
    }

    /// The number of years.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number of days.
    pub fn days(self) -> f64 {
        self.0 * DAYS_PER_YEAR
    }
}

impl fmt::Display for Years {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.days();
        // Durations come from decimal text; a millionth of a day is below any that a user writes.
        let near = |x: f64| (x - x.round()).abs() < 1e-6;
        if days == 0.0 || (days >= 1.0 && near(days)) {
            write!(f, "{:.0}d", days)
        } else if near(days * 24.0) {
            write!(f, "{:.0}h", days * 24.0)
        } else if near(days * 1440.0) {
            write!(f, "{:.0}m", days * 1440.0)
        } else {
            write!(f, "{days:.3}d")
        }
    }
}

/// A confidence level strictly between one half and one: 0.99, never 0.01.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Confidence(f64);

impl Confidence {
    /// `confidence` if it lies in [0.5, 0.9999].
    pub fn new(confidence: f64) -> Option<Self> {
        (0.5..=0.9999).contains(&confidence).then_some(Self(confidence))
    }

    /// The level itself: 0.99.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The tail's probability, `1 - confidence`.
    pub fn tail(self) -> f64 {
        1.0 - self.0
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = (self.0 * 1e8).round() / 1e6;
        write!(f, "{percent}%")
    }
}

/// A decimal number that is neither infinite nor NaN.
pub fn finite(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|x| x.is_finite())
}

/// Reads `0.5%` as 0.005 and `0.005` as itself.
pub fn fraction(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.strip_suffix('%') {
        Some(percent) => finite(percent).map(|x| x / 100.0),
        None => finite(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, days, shown) in [
            ("1d", 1.0, "1d"),
            ("4h", 1.0 / 6.0, "4h"),
            ("30m", 1.0 / 48.0, "30m"),
            ("2w", 14.0, "14d"),
            ("1y", 365.0, "365d"),
        ] {
            let years = Years::parse(text).unwrap();
            assert!((years.days() - days).abs() < 1e-12, "{text}");
            assert_eq!(years.to_string(), shown);
        }
        for bad in ["", "d", "1", "1x", "-1d", "nan d", "infd", "1é"] {
            assert!(Years::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn confidence_is_checked_in_the_positive_sense() {
        assert_eq!(Confidence::new(0.99).unwrap().to_string(), "99%");
        assert_eq!(Confidence::new(0.9975).unwrap().to_string(), "99.75%");
        for bad in [0.01, 1.0, f64::NAN, f64::INFINITY, 0.99995] {
            assert!(Confidence::new(bad).is_none(), "{bad}");
        }
    }
}
