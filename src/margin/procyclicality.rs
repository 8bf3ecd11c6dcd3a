//! How margins go over time: the tools of EMIR RTS 153/2013, article 28, on a history of margins,
//! and measures of what they leave.
//!
//! What a day hands on to the next is a [`BufferState`], given and returned: nothing is remembered
//! elsewhere.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// Margins of one day, as calculated before any tool. Money.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Day {
    /// The day.
    pub date: Date,
    /// Calculated margin, at least zero.
    pub margin: f64,
    /// Margin on stressed observations, if known.
    pub stressed: Option<f64>,
    /// Margin from the volatility of a long lookback, if known.
    pub lookback: Option<f64>,
}

/// How a buffer is used up and filled again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BufferRule {
    /// Size of the full buffer as a fraction of the margin: 0.25 is a quarter.
    pub fraction: f64,
    /// Margin over its reference at which the buffer begins to be used up.
    pub run_off_from: f64,
    /// Margin over its reference at which it is used up.
    pub run_off_to: f64,
    /// Days in which a change of margins counts half in the reference.
    pub half_life_days: f64,
    /// Most of the buffer that is filled again in a day: 0.05 is a twentieth.
    pub refill_per_day: f64,
}

/// What a day hands on to the next.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferState {
    /// The last day that is in it.
    pub date: Date,
    /// Exponential mean of calculated margins.
    pub reference: f64,
    /// How much of the buffer stands: 1 is all, 0 none.
    pub level: f64,
}

/// Which tools are used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tools {
    /// (a) A buffer that may be used up.
    pub buffer: Option<BufferRule>,
    /// (b) Weight of stressed observations; days without a stressed margin have none.
    pub stressed_weight: Option<f64>,
    /// (c) The margin of a long lookback as a floor.
    pub floor: bool,
}

/// Measures of a history of margins. Ratios are `None` where a margin is zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measures {
    /// Days in it.
    pub days: usize,
    /// Mean margin: what the stability costs.
    pub mean: f64,
    /// Largest margin over the smallest.
    pub peak_to_trough: Option<f64>,
    /// Largest rise within `n` days over the margin at its start: 0.5 is +50 %.
    pub largest_rise: Option<f64>,
    /// The same in money: the largest call within `n` days.
    pub largest_call: f64,
    /// Standard deviation of daily log changes.
    pub deviation: Option<f64>,
}

impl Default for BufferRule {
    /// A quarter, used up while margins rise by a quarter above their mean of about three months,
    /// filled again over twenty days.
    fn default() -> Self {
        Self {
            fraction: 0.25,
            run_off_from: 1.0,
            run_off_to: 1.25,
            half_life_days: 60.0,
            refill_per_day: 0.05,
        }
    }
}

impl BufferRule {
    /// Part of the buffer that stands at a calculated margin: linear from all of it at
    /// `run_off_from` times the reference to none at `run_off_to` times.
    pub fn run_off(&self, margin: f64, reference: f64) -> f64 {
        let ratio = margin / reference;
        if !(ratio.is_finite() && reference > 0.0) {
            return 1.0;
        }
        ((self.run_off_to - ratio) / (self.run_off_to - self.run_off_from)).clamp(0.0, 1.0)
    }

    /// One day: the state of yesterday, if there is one, and today's calculated margin give the
    /// state of today. The buffer is given up at once and filled again slowly, so that it is not
    /// rebuilt while margins still rise.
    pub fn step(&self, yesterday: Option<&BufferState>, date: Date, margin: f64) -> BufferState {
        let Some(yesterday) = yesterday else { return BufferState { date, reference: margin, level: 1.0 } };
        let allowed = self.run_off(margin, yesterday.reference);
        let keep = 0.5f64.powf(1.0 / self.half_life_days);
        BufferState {
            date,
            reference: keep * yesterday.reference + (1.0 - keep) * margin,
            level: allowed.min(yesterday.level + self.refill_per_day),
        }
    }
}

impl Tools {
    /// Charged margins of a history, and the state after it; days must ascend.
    pub fn apply(&self, history: &[Day], start: Option<BufferState>) -> (Vec<f64>, Option<BufferState>) {
        let mut state = start;
        let charged = history.iter().map(|day| {
            let mut margin = day.margin;
            if let (Some(weight), Some(stressed)) = (self.stressed_weight, day.stressed) {
                margin += weight * (stressed - margin).max(0.0);
            }
            if let Some(lookback) = day.lookback.filter(|_| self.floor) {
                margin = margin.max(lookback);
            }
            if let Some(rule) = &self.buffer {
                let today = rule.step(state.as_ref(), day.date, margin);
                margin *= 1.0 + rule.fraction * today.level;
                state = Some(today);
            }
            margin
        });
        let charged = charged.collect();
        (charged, state)
    }
}

impl Measures {
    /// Of margins of successive days; changes over `n` days, at least one.
    ///
    /// # Formula
    /// Peak to trough `max M / min M` and n-day change `max (M_t+k - M_t) / M_t` over `k <= n`
    /// (Murphy, Vasios and Vause 2014, Bank of England Financial Stability Paper 29).
    pub fn of(margins: &[f64], n: usize) -> Self {
        let fold = |f: fn(f64, f64) -> f64, start| margins.iter().copied().fold(start, f);
        let (peak, trough) = (fold(f64::max, f64::NEG_INFINITY), fold(f64::min, f64::INFINITY));
        let changes = || {
            margins.iter().enumerate().flat_map(|(start, &from)| {
                let end = start.saturating_add(n.max(1)).saturating_add(1).min(margins.len());
                margins[start + 1..end.max(start + 1)].iter().map(move |&to| (from, to))
            })
        };
        let all_positive = trough > 0.0 && peak.is_finite();
        let rise = changes().map(|(from, to)| to / from - 1.0).fold(0.0, f64::max);
        let steps: Vec<f64> = margins.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
        let mean_step = steps.iter().sum::<f64>() / steps.len() as f64;
        let variance =
            steps.iter().map(|step| (step - mean_step).powi(2)).sum::<f64>() / (steps.len() as f64 - 1.0);
        Self {
            days: margins.len(),
            mean: margins.iter().sum::<f64>() / margins.len().max(1) as f64,
            peak_to_trough: all_positive.then(|| peak / trough),
            largest_rise: all_positive.then_some(rise),
            largest_call: changes().map(|(from, to)| to - from).fold(0.0, f64::max),
            deviation: (all_positive && steps.len() > 1).then(|| variance.sqrt()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(day: i8) -> Date {
        Date::new(2026, 1, day).unwrap()
    }

    fn history(margins: &[f64]) -> Vec<Day> {
        let day = |(index, &margin): (usize, &f64)| Day {
            date: date(index as i8 + 1),
            margin,
            stressed: None,
            lookback: None,
        };
        margins.iter().enumerate().map(day).collect()
    }

    #[test]
    fn the_buffer_runs_off_linearly() {
        let rule = BufferRule::default();
        for (margin, level) in
            [(50.0, 1.0), (100.0, 1.0), (112.5, 0.5), (120.0, 0.2), (125.0, 0.0), (900.0, 0.0)]
        {
            assert!((rule.run_off(margin, 100.0) - level).abs() < 1e-12, "{margin}");
        }
        // Without a reference there is nothing to run off against.
        assert_eq!(rule.run_off(5.0, 0.0), 1.0);
    }

    #[test]
    fn a_rise_of_a_quarter_is_taken_from_the_buffer() {
        let tools = Tools { buffer: Some(BufferRule::default()), ..Tools::default() };
        let (charged, state) = tools.apply(&history(&[100.0, 125.0, 125.0]), None);
        assert_eq!(charged, [125.0, 125.0, 125.0 * (1.0 + 0.25 * state.unwrap().level)]);
        // The third day: the reference has risen by 1 - 2^(-1/60) of 25, so that a little stands again.
        let reference = 100.0 + 25.0 * (1.0 - 0.5f64.powf(1.0 / 60.0));
        assert!((state.unwrap().level - (1.25 - 125.0 / reference) / 0.25).abs() < 1e-12);
        // It is filled again by a twentieth a day at most.
        let (charged, state) = tools.apply(&history(&[100.0, 125.0, 80.0, 80.0]), None);
        assert_eq!(&charged[..3], [125.0, 125.0, 80.0 * 1.0125]);
        assert!((state.unwrap().level - 0.1).abs() < 1e-12);
    }

    #[test]
    fn a_history_in_two_parts_gives_what_it_gives_in_one() {
        let tools = Tools { buffer: Some(BufferRule::default()), ..Tools::default() };
        let all = history(&[100.0, 110.0, 140.0, 90.0, 95.0, 130.0]);
        let (whole, end) = tools.apply(&all, None);
        let (first, state) = tools.apply(&all[..3], None);
        let (second, resumed) = tools.apply(&all[3..], state);
        assert_eq!([first, second.clone()].concat(), whole);
        assert_eq!(resumed, end);
        let (forgotten, _) = tools.apply(&all[3..], None);
        assert_ne!(forgotten, second, "negative control: the state matters");
    }

    #[test]
    fn stressed_weight_and_floor() {
        let mut days = history(&[100.0, 100.0, 100.0]);
        days[0].stressed = Some(200.0);
        days[1].stressed = Some(50.0);
        days[2].lookback = Some(130.0);
        let tools = Tools { stressed_weight: Some(0.25), floor: true, buffer: None };
        assert_eq!(tools.apply(&days, None).0, [125.0, 100.0, 130.0]);
        assert_eq!(Tools::default().apply(&days, None).0, [100.0, 100.0, 100.0]);
    }

    #[test]
    fn measures_of_a_history_by_hand() {
        let measures = Measures::of(&[100.0, 80.0, 120.0, 160.0, 150.0], 1);
        assert_eq!((measures.days, measures.mean), (5, 122.0));
        assert_eq!(measures.peak_to_trough, Some(2.0));
        assert_eq!((measures.largest_rise, measures.largest_call), (Some(0.5), 40.0));
        let measures = Measures::of(&[100.0, 80.0, 120.0, 160.0, 150.0], 2);
        assert_eq!((measures.largest_rise, measures.largest_call), (Some(1.0), 80.0));
        // Margins that only fall call for nothing; one that is zero has no ratio.
        let falling = Measures::of(&[3.0, 2.0, 1.0], 5);
        assert_eq!((falling.largest_rise, falling.largest_call), (Some(0.0), 0.0));
        let zero = Measures::of(&[1.0, 0.0, 1.0], 1);
        assert_eq!((zero.peak_to_trough, zero.largest_rise, zero.deviation), (None, None, None));
        assert_eq!(Measures::of(&[5.0], 1).deviation, None);
    }
}
