//! What to watch in use, and from where on to act.

use std::path::Path;

use super::{Block, percent};
use crate::backtest;
use crate::backtest::statistics::{NullDistribution, TailShape, Zone, non_rejection_region, traffic_light};
use crate::backtest::summary::SIGNIFICANCE;

/// Days of a year's window and of a long one.
const WINDOWS: [u64; 3] = [250, 500, 1_000];
/// Sequences behind a critical value.
const SIMULATIONS: u32 = 20_000;
/// Tails under which critical values of the Expected Shortfall are shown; none is normal.
const SHAPES: [Option<f64>; 2] = [Some(4.0), None];

pub(super) fn monitoring(scenarios: &Path) -> Result<Vec<Block>, String> {
    let backtest = backtest::read(&scenarios.join("backtest.yaml")).map_err(|faults| faults.to_string())?;
    let (confidence, tail) = (backtest.confidence.get(), backtest.confidence.tail());
    let mut rows = Vec::new();
    for days in WINDOWS {
        let first = |zone: Zone| (0..=days).find(|x| traffic_light(days, *x, tail).zone == zone);
        let shown = |x: Option<u64>| x.map_or("-".to_owned(), |x| x.to_string());
        let region = non_rejection_region(days, tail);
        let mut cells = vec![
            days.to_string(),
            format!("{:.1}", days as f64 * tail),
            shown(first(Zone::Yellow)),
            shown(first(Zone::Red)),
            region.map_or("-".to_owned(), |(low, high)| format!("{low} to {high}")),
        ];
        for degrees_of_freedom in SHAPES {
            let shape = TailShape { degrees_of_freedom, location: 0.0 };
            let null = NullDistribution::simulate(shape, days, tail, SIMULATIONS, backtest.seed);
            let null = null.map_err(|fault| fault.to_string())?;
            cells.push(format!("{:.2}", null.z2_critical(SIGNIFICANCE)));
        }
        rows.push(cells);
    }
    let shape =
        |nu: &Option<f64>| nu.map_or("a normal law".to_owned(), |nu| format!("a Student-t with {nu}"));
    let head = ["days", "expected exceptions", "yellow from", "red from", "Kupiec accepts"]
        .map(str::to_owned)
        .into_iter()
        .chain(SHAPES.iter().map(|nu| format!("Z2 rejects below, under {}", shape(nu))))
        .collect();
    let plan = "| watch | how | how often | act when |
|---|---|---|---|
| exceptions of VaR, for each model and group of books | `shortfall backtest` on the books in use | daily count, monthly test | yellow: look for the cause; red, or Kupiec rejects: take another model or recalibrate, and say so |
| size of losses beyond VaR | Acerbi-Szekely Z2, loss over ES on exceptions | monthly | Z2 below its critical value: raise the buffer until the cause is found |
| clustering of exceptions | Christoffersen's tests | quarterly | rejection: take a model that follows volatility |
| margin against loss of option books | the chain's marks a day later | daily | any breach of a maintenance margin |
| calibration | `shortfall calibrate`: warnings, Anderson-Darling, standard errors | weekly, and after a crisis | a law that no longer fits, or a parameter that moved by more than three standard errors |
| calm | `shortfall procyclicality`: peak over trough, largest rise in five days | monthly | beyond what the risk committee has set |
| the program | `shortfall validate` on the scenario in use, this pack | each version, each device, each driver | any missed comparison |
| data | notes of `calibrate` and `backtest` | each run | any gap, repeated row or price that two sources dispute |";
    let text = format!(
        "Thresholds for a confidence of {} follow from the tests themselves: Basel's zones by the binomial law, the counts that \
         Kupiec's test accepts at {}, and critical values of Z2 at the same level, simulated {SIMULATIONS} times for these numbers of \
         days.",
        percent(confidence, 1),
        percent(SIGNIFICANCE, 0)
    );
    Ok(vec![Block::Text(text), Block::Table(head, rows), Block::Text(plan.to_owned())])
}
