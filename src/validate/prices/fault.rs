//! What can be wrong with a price table, all of it at once.

use std::fmt;

/// Faults kept with their text; the rest of a hopeless file is only counted.
const FAULTS_MAX: usize = 1000;

/// Characters of a cell that a fault quotes.
const QUOTED_MAX: usize = 60;

/// One thing wrong with a price table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTableFault {
    /// Line in the file, counted from 1; 0 is the file as a whole.
    pub line: u64,
    /// Column of the header, or what part of the row or file is concerned.
    pub column: String,
    /// What was found.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for PriceTableFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: ", self.column)?,
            line => write!(f, "line {line}, {}: ", self.column)?,
        }
        write!(f, "found {}; expected {}", self.found, self.expected)
    }
}

/// Every fault of one table; nothing was priced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceTableFaults {
    /// The file as it was named by the caller.
    pub file_name: String,
    /// The faults in the order of the lines, at most 1000.
    pub faults: Vec<PriceTableFault>,
    /// Faults beyond those kept.
    pub further: u64,
}

impl fmt::Display for PriceTableFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.faults.len() as u64 + self.further;
        let noun = if count == 1 { "fault" } else { "faults" };
        write!(f, "{}: {count} {noun}, nothing was priced", self.file_name)?;
        for fault in &self.faults {
            write!(f, "\n  {fault}")?;
        }
        if self.further > 0 {
            write!(f, "\n  and {} more", self.further)?;
        }
        Ok(())
    }
}

impl std::error::Error for PriceTableFaults {}

/// Collects faults while a table is read and priced.
pub(super) struct Faults {
    collected: PriceTableFaults,
}

impl Faults {
    pub(super) fn new(file_name: &str) -> Self {
        let file_name = file_name.to_owned();
        Self { collected: PriceTableFaults { file_name, faults: Vec::new(), further: 0 } }
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

    pub(super) fn none_or_all(&mut self) -> Result<(), PriceTableFaults> {
        if self.collected.faults.is_empty() {
            return Ok(());
        }
        self.collected.faults.sort_by_key(|fault| fault.line);
        Err(self.collected.clone())
    }

    fn add(&mut self, line: u64, column: String, found: String, expected: &str) {
        if self.collected.faults.len() < FAULTS_MAX {
            let expected = expected.to_owned();
            self.collected.faults.push(PriceTableFault { line, column, found, expected });
        } else {
            self.collected.further += 1;
        }
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
