//! The same books under every architecture: a table, JSON, and bars.

use serde_json::{Value, json};

use super::{Compared, Comparison, MarginLevel, Row, SHORTFALL};
use crate::plot::{self, Bar};
use crate::report::number::{decimals, grouped};

fn level(comparison: &Comparison) -> &'static str {
    match comparison.level {
        MarginLevel::Maintenance => "maintenance",
        MarginLevel::Initial => "initial",
    }
}

fn confidence_and_horizon(comparison: &Comparison) -> String {
    let margin = &comparison.scenario.margin;
    let level = match comparison.level {
        MarginLevel::Maintenance => margin.maintenance,
        MarginLevel::Initial => margin.initial,
    };
    format!("{} over {}", level.confidence, level.horizon)
}

/// The comparison as JSON.
pub fn json(comparison: &Comparison, all: &[Compared]) -> String {
    let row = |row: &Row| {
        let margin = row.margin.as_ref();
        json!({
            "architecture": row.architecture,
            "note": row.note,
            "margin": margin.ok().map(|margin| margin.value),
            "standard_error": margin.ok().and_then(|margin| margin.error),
            "ratio_to_portfolio_es": row.ratio,
            "why_not": margin.err(),
        })
    };
    let accounts: Vec<Value> = all
        .iter()
        .map(|compared| {
            let rows: Vec<Value> = compared.rows.iter().map(row).collect();
            json!({"account": compared.account, "architectures": rows})
        })
        .collect();
    let document = json!({
        "name": comparison.name,
        "scenario": comparison.scenario.name,
        "as_of": comparison.scenario.market.as_of.to_string(),
        "level": level(comparison),
        "currency": "USD",
        "paths": comparison.scenario.simulation.paths,
        "seed": comparison.scenario.simulation.seed,
        "accounts": accounts,
    });
    format!("{document:#}\n")
}

/// The comparison as a table for each account.
pub fn text(comparison: &Comparison, all: &[Compared]) -> String {
    let mut text = format!(
        "{}: market of {}, {} margin, ES {}\nmoney in USD; ± one standard error; ratio to the {SHORTFALL}\n",
        comparison.name,
        comparison.scenario.market.as_of,
        level(comparison),
        confidence_and_horizon(comparison),
    );
    for compared in all {
        text += &format!("\n{}\n", compared.account);
        let lines: Vec<[String; 5]> = compared.rows.iter().map(line).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let [name, margin, error, ratio] = [0, 1, 2, 3].map(width);
        for [a, b, c, d, rest] in &lines {
            let line = format!("  {a:name$}  {b:>margin$} {c:error$}  {d:>ratio$}  {rest}");
            text += line.trim_end();
            text.push('\n');
        }
    }
    text
}

fn line(row: &Row) -> [String; 5] {
    let shown = |x: f64, size: f64| grouped(x, decimals(size.abs()).min(2));
    let name = row.architecture.clone();
    match &row.margin {
        Ok(margin) => {
            let error = margin.error.map_or_else(String::new, |e| format!("± {}", shown(e, margin.value)));
            let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            [name, shown(margin.value, margin.value), error, ratio, row.note.clone()]
        }
        Err(why) => [name, "–".to_owned(), String::new(), String::new(), format!("no margin: {why}")],
    }
}

/// Bars of one account's margins, as SVG; architectures without a margin are left out.
pub fn bars(compared: &Compared) -> String {
    let bars: Vec<Bar<'_>> = compared
        .rows
        .iter()
        .filter_map(|row| {
            let margin = row.margin.as_ref().ok()?;
            Some(Bar { name: &row.architecture, value: margin.value, error: margin.error.unwrap_or(0.0) })
        })
        .collect();
    plot::bars(&format!("{}: margin by architecture", compared.account), "margin, USD", &bars)
}
