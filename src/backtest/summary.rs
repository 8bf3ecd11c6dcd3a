//! What a track comes to: coverage, cost and calm, and the tests.

use jiff::civil::Date;
use serde::Serialize;

use super::config::{Backtest, Crisis};
use super::model::Model;
use super::statistics::{
    Christoffersen, LikelihoodRatio, NullDistribution, Scores, TailShape, TrafficLight, christoffersen,
    proportion_of_failures, scores, traffic_light,
};
use super::walk::{DayFigures, Track};
use crate::calibrate::laws::{Kind, Law, Sample};
use crate::margin::procyclicality::Measures;

/// Sequences simulated for the critical values of Acerbi and Szekely.
const SIMULATIONS: u32 = 20_000;
/// Days within which the largest rise is looked for.
const RISE_DAYS: usize = 5;
/// Significance of the critical values shown.
pub const SIGNIFICANCE: f64 = 0.05;
/// Thinnest and fattest tails under which critical values are simulated; ES needs more than one.
const SHAPES: (f64, f64) = (2.1, 200.0);

/// One book under one model. Money per unit of exposure, as in the track.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Name of the book.
    pub book: String,
    /// Steps of the horizon.
    pub horizon: usize,
    /// The model.
    pub model: Model,
    /// First and last day.
    pub span: (Date, Date),
    /// Days with a margin.
    pub days: u64,
    /// Days that the tests look at: every `horizon`-th from the first, so that no two losses overlap. Tests
    /// of exceptions take them for independent.
    pub observations: u64,
    /// Days whose loss exceeded the VaR.
    pub exceptions: u64,
    /// How many a right model has on average.
    pub expected_exceptions: f64,
    /// Kupiec's test of their number.
    pub kupiec: LikelihoodRatio,
    /// Christoffersen's tests of their independence, and of both together.
    pub christoffersen: Christoffersen,
    /// The Basel light.
    pub traffic_light: TrafficLight,
    /// Acerbi and Szekely's tests of the ES.
    pub shortfall: ShortfallTest,
    /// Coverage: part of the days whose loss the margin covered.
    pub coverage: f64,
    /// Days whose loss exceeded the margin.
    pub breaches: u64,
    /// Largest loss over the margin of its day, and the day; none where the margin always covered.
    pub worst_breach: Option<(Date, f64)>,
    /// Cost: the mean margin over the book's gross exposure.
    pub mean_margin: f64,
    /// Mean of the ES's standard error over the ES, where it was simulated.
    pub relative_error: Option<f64>,
    /// Calm: how the margin moved.
    pub procyclicality: Measures,
}

/// Acerbi and Szekely's scores with what they are judged by.
#[derive(Clone, Debug, Serialize)]
pub struct ShortfallTest {
    /// The scores.
    pub scores: Scores,
    /// Mean of loss over ES on the days of exceptions; 1 for a right model.
    pub ratio: Option<f64>,
    /// Degrees of freedom of the Student-t under which critical values are simulated: those of the losses
    /// in units of the forecast; none for a normal law.
    pub degrees_of_freedom: Option<f64>,
    /// Value that a right model falls below in one history out of twenty.
    pub z1_critical: f64,
    /// Likewise.
    pub z2_critical: f64,
    /// Probability of so low a score under a right model.
    pub z1_p_value: Option<f64>,
    /// Likewise.
    pub z2_p_value: f64,
}

/// One crisis of one book under one model.
#[derive(Clone, Debug, Serialize)]
pub struct CrisisLine {
    /// Name of the crisis.
    pub crisis: String,
    /// Name of the book.
    pub book: String,
    /// Steps of the horizon.
    pub horizon: usize,
    /// The model.
    pub model: Model,
    /// The day with the largest loss, or the first day of the horizon with it.
    pub date: Date,
    /// The margin set the day before.
    pub margin: f64,
    /// The loss of the day, or of the horizon.
    pub loss: f64,
    /// The margin on the eve of the crisis.
    pub eve_margin: f64,
    /// Highest margin within it.
    pub peak_margin: f64,
}

/// Sums up a track; `None` without a day.
pub fn summarise(backtest: &Backtest, track: &Track) -> Option<Summary> {
    let days = &track.days;
    let (first, last) = (days.first()?, days.last()?);
    let gross = backtest.books.iter().find(|book| book.name == track.book)?.gross();
    let tail = backtest.confidence.tail();
    let apart: Vec<&DayFigures> = days.iter().step_by(track.horizon).collect();
    let hits: Vec<bool> = apart.iter().map(|day| day.loss > day.value_at_risk).collect();
    let (observations, exceptions) = (apart.len() as u64, hits.iter().filter(|hit| **hit).count() as u64);
    let margins: Vec<f64> = days.iter().map(|day| day.margin).collect();
    let breaches = days.iter().filter(|day| day.loss > day.margin);
    let worst = breaches.clone().max_by(|a, b| (a.loss - a.margin).total_cmp(&(b.loss - b.margin)));
    let breach_count = breaches.count() as u64;
    let procyclicality = Measures::of(&margins, RISE_DAYS);
    Some(Summary {
        book: track.book.clone(),
        horizon: track.horizon,
        model: track.model,
        span: (first.date, last.date),
        days: days.len() as u64,
        observations,
        exceptions,
        expected_exceptions: observations as f64 * tail,
        kupiec: proportion_of_failures(observations, exceptions, tail),
        christoffersen: christoffersen(&hits, tail),
        traffic_light: traffic_light(observations, exceptions, tail),
        shortfall: shortfall_test(backtest, track.model, &apart, tail),
        coverage: 1.0 - breach_count as f64 / days.len() as f64,
        breaches: breach_count,
        worst_breach: worst.map(|day| (day.date, day.loss - day.margin)),
        mean_margin: procyclicality.mean / gross,
        relative_error: relative_error(days),
        procyclicality,
    })
}

/// Mean over the days whose ES is above zero; `None` where none was simulated.
fn relative_error(days: &[DayFigures]) -> Option<f64> {
    let simulated = days.iter().filter(|day| day.expected_shortfall > 0.0);
    let errors: Vec<f64> =
        simulated.filter_map(|day| Some(day.standard_error? / day.expected_shortfall)).collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
}

fn shortfall_test(backtest: &Backtest, model: Model, days: &[&DayFigures], tail: f64) -> ShortfallTest {
    let hits = days.iter().filter(|day| day.loss > day.value_at_risk && day.expected_shortfall > 0.0);
    let ratios: Vec<f64> = hits.map(|day| day.loss / day.expected_shortfall).collect();
    let scores = scores(&ratios, days.len() as u64, tail);
    let degrees_of_freedom = match model {
        Model::EwmaNormal => None,
        _ => Some(shape_of_losses(days).clamp(SHAPES.0, SHAPES.1)),
    };
    let shape = TailShape { degrees_of_freedom, location: 0.0 };
    let null = NullDistribution::simulate(shape, days.len() as u64, tail, SIMULATIONS, backtest.seed)
        .expect("degrees of freedom and confidence are in their ranges");
    ShortfallTest {
        scores,
        ratio: scores.z1.map(|z1| 1.0 - z1),
        degrees_of_freedom,
        z1_critical: null.z1_critical(SIGNIFICANCE),
        z2_critical: null.z2_critical(SIGNIFICANCE),
        z1_p_value: scores.z1.map(|z1| null.z1_p_value(z1)),
        z2_p_value: null.z2_p_value(scores.z2),
    }
}

/// Degrees of freedom of losses in units of the VaR of their day.
fn shape_of_losses(days: &[&DayFigures]) -> f64 {
    let usable = days.iter().filter(|day| day.value_at_risk > 0.0);
    let (losses, scales): (Vec<f64>, Vec<f64>) = usable.map(|day| (day.loss, day.value_at_risk)).unzip();
    match Kind::Student.fit(Sample { returns: &losses, deviations: &scales }).map(|fit| fit.law) {
        Some(Law::Student { nu }) => nu,
        _ => SHAPES.1,
    }
}

/// The line of a crisis; `None` where the track has no day in it.
pub fn crisis_line(crisis: &Crisis, track: &Track) -> Option<CrisisLine> {
    let start = track.days.partition_point(|day| day.date < crisis.from);
    let end = track.days.partition_point(|day| day.date <= crisis.to);
    let within = track.days.get(start..end)?;
    let worst = within.iter().max_by(|a, b| a.loss.total_cmp(&b.loss))?;
    Some(CrisisLine {
        crisis: crisis.name.clone(),
        book: track.book.clone(),
        horizon: track.horizon,
        model: track.model,
        date: worst.date,
        margin: worst.margin,
        loss: worst.loss,
        // The margin of the first day was set on its eve.
        eve_margin: within[0].margin,
        peak_margin: within.iter().map(|day| day.margin).fold(0.0, f64::max),
    })
}
