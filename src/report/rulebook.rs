//! One book under one rulebook, for a person and as JSON.

use serde_json::{Value, json};

use super::number::{decimals, grouped};
use crate::rulebook::{Book, ComponentResult, LEVEL_WORDS, MarginResult, Rulebook, ScanTable};

/// The result as JSON: margins, every component with its parts, every scenario of every scan.
pub fn json(rulebook: &Rulebook, book: &Book, result: &MarginResult) -> String {
    let components: Vec<Value> = result.components.iter().map(component).collect();
    let document = json!({
        "rulebook": {
            "name": rulebook.name,
            "effective": rulebook.effective.to_string(),
            "title": rulebook.title,
            "source": rulebook.source,
        },
        "book": book.name,
        "currency": "USD",
        "maintenance_margin": result.maintenance,
        "initial_margin": result.initial,
        "equity": result.equity,
        "components": components,
    });
    format!("{document:#}\n")
}

fn component(component: &ComponentResult) -> Value {
    // A list: several positions may have one name.
    let parts: Vec<Value> =
        component.parts.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
    let mut document = json!({
        "name": component.name,
        "note": component.note,
        "unit": component.unit,
        "level": LEVEL_WORDS[component.level as usize],
        "value": component.total,
        "parts": parts,
    });
    if !component.scans.is_empty() {
        document["scans"] = component.scans.iter().map(scan).collect();
    }
    document
}

fn scan(table: &ScanTable) -> Value {
    let rows: Vec<Value> = table
        .rows
        .iter()
        .map(|row| {
            json!({
                "price_move": row.price_move,
                "volatility": row.volatility,
                "weight": row.weight,
                "profit": row.profit,
            })
        })
        .collect();
    let positions: Vec<Value> =
        table.positions.iter().map(|(name, profits)| json!({"name": name, "profits": profits})).collect();
    json!({"of": table.entity, "worst": table.worst, "scenarios": rows, "positions": positions})
}

/// The result as a table.
pub fn text(rulebook: &Rulebook, book: &Book, result: &MarginResult) -> String {
    let mut text = format!(
        "{}, in force from {} ({})\n{}: {} positions; requirements positive, money in USD\n\n",
        rulebook.title,
        rulebook.effective,
        rulebook.name,
        book.name,
        book.positions.len(),
    );
    let rows: Vec<[String; 3]> = result.components.iter().flat_map(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    for [name, value, rest] in &rows {
        let line = format!("  {name:first$}  {value:>second$}  {rest}");
        text += line.trim_end();
        text.push('\n');
    }
    text.push('\n');
    let margins = [
        ("maintenance margin", Some(result.maintenance)),
        ("initial margin", Some(result.initial)),
        ("equity", result.equity),
    ];
    for (name, value) in margins.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text += &format!("  {name:18}  {:>18}\n", shown(value));
    }
    text
}

/// A component and, where it has several, its parts.
fn rows(component: &ComponentResult) -> Vec<[String; 3]> {
    let unit = if component.unit == "USD" { String::new() } else { component.unit.clone() };
    let remark = |worst: String| {
        let parts = [unit.clone(), component.note.clone(), worst];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
    };
    let worst = |index: usize| component.scans.get(index).map_or_else(String::new, worst_scenario);
    let alone = component.parts.len() <= 1;
    let first = if alone { worst(0) } else { String::new() };
    let value = component.total.or_else(|| component.parts.first().filter(|_| alone).map(|part| part.1));
    let mut rows = vec![[component.name.clone(), value.map_or_else(String::new, shown), remark(first)]];
    if !alone {
        let parts = component.parts.iter().enumerate().filter(|(_, (_, value))| *value != 0.0);
        rows.extend(parts.map(|(index, (name, value))| [format!("  {name}"), shown(*value), worst(index)]));
    }
    rows
}

fn worst_scenario(table: &ScanTable) -> String {
    let row = &table.rows[table.worst];
    let price = match row.price_move.abs() <= 20.0 {
        true => format!("{:+.4}", row.price_move),
        false => grouped(row.price_move, 2),
    };
    format!("worst of {}: move {price}, volatility {}", table.rows.len(), row.volatility)
}

fn shown(value: f64) -> String {
    grouped(value, decimals(value.abs()).max(2))
}
