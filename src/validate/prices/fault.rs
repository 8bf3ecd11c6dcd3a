//! Collects what is wrong with a price table, all of it at once.

use crate::fault::{self, Fault};

/// Characters of a cell that a fault quotes.
const QUOTED_MAX: usize = 60;

/// Collects faults while a table is read and priced.
pub(super) struct Faults {
    file: String,
    collected: fault::Faults,
}

impl Faults {
    pub(super) fn new(file_name: &str) -> Self {
        Self { file: file_name.to_owned(), collected: fault::Faults::default() }
    }

    /// The file as a whole.
    pub(super) fn file(&mut self, what: &str, found: &str, expected: &str) {
        self.add(0, what.to_owned(), found.to_owned(), expected);
    }

    /// A cell, quoted.
    pub(super) fn cell(&mut self, line: u64, column: &str, cell: &str, expected: &str) {
        self.add(line, format!("column {column}"), quoted(cell), expected);
    }

    /// A computed figure.
    pub(super) fn result(&mut self, line: u64, column: &str, found: &str, expected: &str) {
        self.add(line, format!("column {column}"), found.to_owned(), expected);
    }

    /// A row that cannot be priced, with the reason of whoever refused it.
    pub(super) fn row(&mut self, line: u64, what: &str, reason: &str) {
        let expected = "parameters for which this row and those of its group can be priced";
        self.add(line, what.to_owned(), reason.to_owned(), expected);
    }

    /// Something about a whole line.
    pub(super) fn line(&mut self, line: u64, what: &str, found: &str, expected: &str) {
        self.add(line, what.to_owned(), found.to_owned(), expected);
    }

    pub(super) fn none_or_all(&mut self) -> Result<(), fault::Faults> {
        if self.collected.is_empty() {
            return Ok(());
        }
        self.collected.sort_by_line();
        Err(self.collected.clone())
    }

    fn add(&mut self, line: u64, field: String, found: String, expected: &str) {
        let (file, expected) = (self.file.clone(), expected.to_owned());
        self.collected.push(Fault { file, line, column: 0, field, found, expected });
    }
}

/// A cell in quotes, escaped and cut to a length that fits a line.
pub(super) fn quoted(cell: &str) -> String {
    if cell.is_empty() {
        return "nothing".to_owned();
    }
    let shown: String = cell.chars().take(QUOTED_MAX).collect();
    let more = if shown.len() < cell.len() { "..." } else { "" };
    format!("{shown:?}{more}")
}
