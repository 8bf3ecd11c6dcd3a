//! What is wrong with an input, where, and what would be right.
//!
//! Readers collect every [`Fault`] before they give up, so that one run of the program shows all.

use std::fmt;

/// One fault of an input file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// File as the user named it.
    pub file: String,
    /// Line, counted from 1; 0 where a line has no meaning (a Parquet row is named in `field`).
    pub line: u64,
    /// Column, counted from 1; 0 where unknown.
    pub column: u64,
    /// The field, as a path: `simulation.paths`, `assets[2].volatility`, `row 3, quantity`.
    pub field: String,
    /// What stands there.
    pub found: String,
    /// What would be right.
    pub expected: String,
}

impl Fault {
    /// A fault of a whole file rather than of a place in it.
    pub fn of_file(file: impl fmt::Display, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            file: file.to_string(),
            line: 0,
            column: 0,
            field: String::new(),
            found: found.into(),
            expected: expected.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
            if self.column > 0 {
                write!(f, ":{}", self.column)?;
            }
        }
        write!(f, ": ")?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "found {}; expected {}", self.found, self.expected)
    }
}

/// All faults of the inputs of one command, in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    kept: Vec<Fault>,
    further: u64,
}

/// Faults kept with their text; the rest of a hopeless file is only counted.
const KEPT: usize = 1000;
/// Faults shown in full before the rest is only counted.
const SHOWN: usize = 50;

impl Faults {
    /// Adds one fault.
    pub fn push(&mut self, fault: Fault) {
        if self.kept.len() < KEPT { self.kept.push(fault) } else { self.further += 1 }
    }

    /// Adds all faults of another reader.
    pub fn append(&mut self, other: Faults) {
        self.further += other.further;
        other.kept.into_iter().for_each(|fault| self.push(fault));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many faults there are, also those that were only counted.
    pub fn count(&self) -> u64 {
        self.kept.len() as u64 + self.further
    }

    /// The first thousand faults.
    pub fn as_slice(&self) -> &[Fault] {
        &self.kept
    }

    /// Puts the faults in the order of their lines.
    pub fn sort_by_line(&mut self) {
        self.kept.sort_by_key(|fault| fault.line);
    }

    /// `value` if nothing is wrong, else all faults.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Faults> {
        match value {
            Some(value) if self.is_empty() => Ok(value),
            _ => Err(self),
        }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self { kept: vec![fault], further: 0 }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.count();
        writeln!(f, "{n} fault{} in the input:", if n == 1 { "" } else { "s" })?;
        for fault in self.kept.iter().take(SHOWN) {
            writeln!(f, "  {fault}")?;
        }
        if n > SHOWN as u64 {
            writeln!(f, "  … and {} more", n - SHOWN as u64)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
