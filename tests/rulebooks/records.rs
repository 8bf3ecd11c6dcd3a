//! Every book of `scenarios/rulebooks/examples` against the record that stands beside it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use shortfall::rulebook::{Book, ComponentResult, MarginResult, open, read_book};

/// Records are published to 10 digits and more, some computed with a normal distribution function
/// that is good to 1e-9; a wrong rule is off by far more than a part in a million.
const RELATIVE: f64 = 1e-6;
/// Where a record says zero, cancellation leaves rounding of figures up to 10^5.
const ZERO: f64 = 1e-9;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/rulebooks/examples")
}

fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).expect("the examples are there");
    let names = files.filter_map(|file| {
        let name = file.expect("a readable folder").file_name().into_string().expect("a plain name");
        name.strip_suffix(".expected.json").map(str::to_owned)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn expected(name: &str) -> Value {
    let path = folder().join(format!("{name}.expected.json"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("a readable record")).expect("JSON")
}

/// Margins a book after `change`.
fn margin(name: &str, record: &Value, change: impl Fn(&mut Book)) -> MarginResult {
    let as_of = record["as_of"].as_str().map(|date| date.parse().expect("a date"));
    let rulebook = open(record["rulebook"].as_str().expect("a rulebook"), as_of).expect("a shipped rulebook");
    let path = folder().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).expect("a readable book");
    let mut book = read_book(name, &text, &rulebook).unwrap_or_else(|faults| panic!("{name}: {faults}"));
    change(&mut book);
    rulebook.margin(&book).unwrap_or_else(|fault| panic!("{name}: {fault}"))
}

struct Comparison {
    compared: usize,
    differences: Vec<String>,
}

impl Comparison {
    fn number(&mut self, what: &str, found: f64, record: &Value) {
        let right = record.as_f64().unwrap_or_else(|| panic!("{what}: a number in the record"));
        self.compared += 1;
        let close =
            if right == 0.0 { found.abs() <= ZERO } else { (found - right).abs() <= RELATIVE * right.abs() };
        if !close {
            self.differences.push(format!("{what}: {found} and not {right}"));
        }
    }

    fn numbers(&mut self, what: &str, found: &[f64], record: &Value) {
        let right = record.as_array().expect("a list in the record");
        assert_eq!(found.len(), right.len(), "{what}");
        for (index, (found, right)) in found.iter().zip(right).enumerate() {
            self.number(&format!("{what}[{index}]"), *found, right);
        }
    }
}

fn component<'a>(result: &'a MarginResult, name: &str) -> &'a ComponentResult {
    let found = result.components.iter().find(|component| component.name == name);
    found.unwrap_or_else(|| panic!("the component {name}"))
}

fn fields(record: &Value) -> impl Iterator<Item = (&String, &Value)> {
    record.as_object().into_iter().flatten()
}

fn compare(result: &MarginResult, record: &Value) -> Comparison {
    let mut comparison = Comparison { compared: 0, differences: Vec::new() };
    let margins = [
        ("maintenance_margin", Some(result.maintenance)),
        ("initial_margin", Some(result.initial)),
        ("equity", result.equity),
    ];
    for (name, value) in margins {
        if let Some(right) = record.get(name) {
            comparison.number(name, value.expect("a margin that the record has"), right);
        }
    }
    for (name, right) in fields(&record["components"]) {
        let component = component(result, name);
        let value = component.total.or(component.parts.first().map(|part| part.1));
        comparison.number(name, value.expect("a value"), right);
    }
    for (name, parts) in fields(&record["parts"]) {
        for (entity, right) in fields(parts) {
            let part = component(result, name).parts.iter().find(|part| part.0 == *entity);
            comparison.number(name, part.unwrap_or_else(|| panic!("{name} of {entity}")).1, right);
        }
    }
    for (name, right) in fields(&record["scenarios"]) {
        let table = &component(result, name).scans[0];
        let profits: Vec<f64> = table.rows.iter().map(|row| row.profit).collect();
        comparison.numbers(name, &profits, right);
    }
    for (name, positions) in fields(&record["positions"]) {
        let table = &component(result, name).scans[0];
        for (position, right) in fields(positions) {
            let found = table.positions.iter().find(|(name, _)| name == position);
            comparison.numbers(position, &found.expect("the position").1, right);
        }
    }
    comparison
}

#[test]
fn published_records_are_reproduced() {
    let names = names();
    assert!(names.len() >= 18, "only {} records", names.len());
    for name in names {
        let record = expected(&name);
        let comparison = compare(&margin(&name, &record, |_| {}), &record);
        assert!(comparison.compared > 0, "{name}: nothing compared");
        assert!(comparison.differences.is_empty(), "{name}: {}", comparison.differences.join("\n"));
    }
}

/// The negative control: a hundred-thousandth more of every position is seen in every record.
#[test]
fn a_slightly_other_book_is_told_apart() {
    for name in names() {
        let record = expected(&name);
        let change = |book: &mut Book| {
            book.cash *= 1.001;
            book.positions.iter_mut().for_each(|position| position.quantity *= 1.0 + 1e-5);
        };
        let comparison = compare(&margin(&name, &record, change), &record);
        assert!(!comparison.differences.is_empty(), "{name}: the comparison is blind");
    }
}

/// What the venue's documentation says about each of its rulebooks, on books that are not records.
#[test]
fn margins_scale_with_the_book() {
    // Dampeners, thresholds and minimum margins do not scale; these rulebooks have none here.
    for name in [
        "derive-12",
        "derive-18",
        "derive-20",
        "derive-22",
        "derive-29",
        "derive-46",
        "okx-btc",
        "span-textbook",
        "paradex-btc",
    ] {
        let record = expected(name);
        let one = margin(name, &record, |_| {});
        let three = margin(name, &record, |book| {
            book.positions.iter_mut().for_each(|position| {
                position.quantity *= 3.0;
                position.funding *= 3.0;
            });
        });
        for (one, three) in [(one.maintenance, three.maintenance), (one.initial, three.initial)] {
            assert!((three - 3.0 * one).abs() <= RELATIVE * three.abs(), "{name}: {three} and not 3 x {one}");
        }
        assert!(one.initial >= one.maintenance && one.maintenance >= 0.0, "{name}");
    }
}
