//! Reading the tables of `tests/data`.

use std::collections::BTreeMap;
use std::path::Path;

pub struct Row {
    cells: BTreeMap<String, String>,
    place: String,
}

impl Row {
    pub fn text(&self, column: &str) -> &str {
        self.cells.get(column).unwrap_or_else(|| panic!("{}: no column {column}", self.place))
    }

    pub fn number(&self, column: &str) -> f64 {
        let cell = self.text(column);
        cell.parse().unwrap_or_else(|_| panic!("{}: {column} is {cell:?}", self.place))
    }

    /// A number and the decimals it is printed with, or nothing for an empty cell.
    pub fn printed(&self, column: &str) -> Option<(f64, i32)> {
        let cell = self.text(column);
        let decimals = cell.split_once('.').map_or(0, |(_, digits)| digits.len() as i32);
        (!cell.is_empty()).then(|| (self.number(column), decimals))
    }

    /// Numbers separated by spaces or semicolons.
    pub fn numbers(&self, column: &str) -> Vec<f64> {
        let cell = self.text(column);
        cell.split([' ', ';'])
            .map(|n| n.parse().unwrap_or_else(|_| panic!("{}: {n:?}", self.place)))
            .collect()
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.place, self.cells)
    }
}

/// All rows of a table, asserting their number, so that a lost row is noticed.
pub fn read(name: &str, expected_rows: usize) -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let mut reader = csv::ReaderBuilder::new().comment(Some(b'#')).from_path(&path).expect("table opens");
    let header = reader.headers().expect("header").clone();
    let rows: Vec<Row> = reader
        .records()
        .map(|record| {
            let record = record.expect("record");
            let line = record.position().map_or(0, |p| p.line());
            let cells = header.iter().zip(&record).map(|(h, c)| (h.to_owned(), c.to_owned())).collect();
            Row { cells, place: format!("{name}:{line}") }
        })
        .collect();
    assert_eq!(rows.len(), expected_rows, "{name}");
    rows
}
