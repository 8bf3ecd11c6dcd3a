//! The classic margin from sensitivities beside Expected Shortfall, and where the two differ.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attribution::ComponentResult;
use super::number::{decimals, grouped};
use crate::margin::greeks::GreeksMargin;

/// A margin from sensitivities at one level.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct GreeksMarginResult {
    /// The margin: delta, vega and curvature added up.
    pub total: f64,
    /// Of spot.
    pub delta: f64,
    /// Of the level of implied volatility.
    pub vega: f64,
    /// Of what delta misses of a large move of spot.
    pub curvature: f64,
    /// Expected Shortfall less the total.
    pub difference: f64,
    /// The difference by cause; the causes add up to it.
    pub causes: Vec<Cause>,
}

/// A cause of loss under both margins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Cause {
    /// `delta`, `curvature`, `vega`, `theta`, `basis`, `funding` or `remainder`.
    pub name: String,
    /// Its part of the Expected Shortfall.
    pub expected_shortfall: f64,
    /// Its part of the margin from sensitivities.
    pub greeks_margin: f64,
    /// The first less the second.
    pub difference: f64,
}

impl GreeksMarginResult {
    /// Of a margin, beside the components of an Expected Shortfall by greek.
    pub(super) fn new(margin: &GreeksMargin, by_greek: &[ComponentResult], remainder: f64) -> Self {
        let part = |names: &[&str]| -> f64 {
            let of = by_greek.iter().filter(|component| names.contains(&component.name.as_str()));
            of.map(|component| component.expected_shortfall).sum()
        };
        let cause = |name: &str, expected_shortfall: f64, greeks_margin: f64| Cause {
            name: name.to_owned(),
            expected_shortfall,
            greeks_margin,
            difference: expected_shortfall - greeks_margin,
        };
        let causes = vec![
            cause("delta", part(&["delta"]), margin.delta),
            cause("curvature", part(&["gamma", "jump_and_higher_order"]), margin.curvature),
            cause("vega", part(&["vega"]), margin.vega),
            cause("theta", part(&["theta"]), 0.0),
            cause("basis", part(&["basis"]), 0.0),
            cause("funding", part(&["funding"]), 0.0),
            cause("remainder", remainder, 0.0),
        ];
        Self {
            total: margin.total(),
            delta: margin.delta,
            vega: margin.vega,
            curvature: margin.curvature,
            difference: causes.iter().map(|cause| cause.difference).sum(),
            causes,
        }
    }
}

/// A table of the causes.
pub(super) fn render(margin: &GreeksMarginResult) -> String {
    let shortfall: f64 = margin.causes.iter().map(|cause| cause.expected_shortfall).sum();
    let decimals = decimals(shortfall.abs().max(margin.total));
    let mut text = format!(
        "  beside a margin from sensitivities (delta, curvature, vega), by cause\n    {:<10}{:>16}{:>16}{:>16}\n",
        "", "ES", "sensitivities", "difference"
    );
    let mut line = |name: &str, numbers: [f64; 3]| {
        text.push_str(&format!("    {name:<10}"));
        numbers.iter().for_each(|x| text.push_str(&format!("{:>16}", grouped(*x, decimals))));
        text.push('\n');
    };
    let is_shown = |cause: &&Cause| cause.expected_shortfall != 0.0 || cause.greeks_margin != 0.0;
    for cause in margin.causes.iter().filter(is_shown) {
        line(&cause.name, [cause.expected_shortfall, cause.greeks_margin, cause.difference]);
    }
    line("total", [shortfall, margin.total, margin.difference]);
    text
}
