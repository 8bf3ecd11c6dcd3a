//! Tables from outside (CSV, JSON, Parquet), read into rows of text that know their place.
//!
//! All three forms give the same rows: a JSON file is a list of objects whose keys are the columns.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

use crate::fault::{Fault, Faults};
use crate::units;

/// Most rows of one table; a larger book is split over files.
const MAX_ROWS: usize = 20_000_000;
/// Largest file, in bytes.
const MAX_BYTES: u64 = 4 << 30;

thread_local! {
    static PANICS_ARE_CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is inside a reader whose panics become faults: a program's panic hook need
/// not report them.
pub fn panics_are_caught() -> bool {
    PANICS_ARE_CAUGHT.get()
}

/// A table of text with one header.
pub struct Table {
    file: String,
    row_word: &'static str,
    header: Vec<String>,
    /// All cells one after the other, and where each ends: two million rows are no million texts.
    text: String,
    ends: Vec<usize>,
    rows: Vec<Cells>,
}

/// Cells of a row.
#[derive(Clone, Copy)]
struct Cells {
    line: u64,
    first: usize,
    count: usize,
}

/// A column that a reader knows.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its name in the header.
    pub name: &'static str,
    /// Whether it must be there.
    pub required: bool,
}

/// A column that must be there.
pub const fn required(name: &'static str) -> Column {
    Column { name, required: true }
}

/// A column that may be missing.
pub const fn optional(name: &'static str) -> Column {
    Column { name, required: false }
}

impl Table {
    /// Reads a file by its ending: `.csv`, `.json` or `.parquet`.
    pub fn read(path: &Path) -> Result<Self, Faults> {
        let file = path.display().to_string();
        let failed = |found: String, expected: &str| Faults::from(Fault::of_file(&file, found, expected));
        let size = std::fs::metadata(path)
            .map_err(|error| {
                failed(error.to_string(), "a readable file; paths are relative to the file that names them")
            })?
            .len();
        if size == 0 {
            return Err(failed("an empty file".to_owned(), "a header and rows"));
        }
        if size > MAX_BYTES {
            return Err(failed(format!("a file of {size} bytes"), "at most 4 GiB; split the table"));
        }
        let read_text =
            || std::fs::read_to_string(path).map_err(|error| failed(error.to_string(), "UTF-8 text"));
        let table = match path.extension().and_then(|ending| ending.to_str()) {
            Some("csv") => Self::from_csv(&file, &read_text()?)?,
            Some("json") => Self::from_json(&file, &read_text()?)?,
            Some("parquet") => Self::from_parquet(&file, path)?,
            _ => {
                return Err(failed(
                    "an unknown kind of file".to_owned(),
                    "a name ending in .csv, .json or .parquet",
                ));
            }
        };
        if table.rows.is_empty() {
            return Err(failed("a table without rows".to_owned(), "at least one row"));
        }
        Ok(table)
    }

    /// Reads CSV text; lines that start with `#` are comments.
    pub fn from_csv(file: &str, text: &str) -> Result<Self, Faults> {
        let mut reader =
            csv::ReaderBuilder::new().comment(Some(b'#')).flexible(true).from_reader(text.as_bytes());
        let fault = |line, found: String, expected: String| Fault {
            file: file.to_owned(),
            line,
            column: 0,
            field: String::new(),
            found,
            expected,
        };
        let header: Vec<String> = match reader.headers() {
            Ok(header) => header.iter().map(|name| name.trim().to_owned()).collect(),
            Err(error) => return Err(fault(1, error.to_string(), "a header".to_owned()).into()),
        };
        let mut faults = Faults::default();
        let mut table = Self::empty(file, "", header);
        let mut record = csv::StringRecord::new();
        loop {
            match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => {
                    let line = record.position().map_or(0, csv::Position::line);
                    if record.len() != table.header.len() {
                        faults.push(fault(
                            line,
                            format!("{} cells", record.len()),
                            format!("{} as in the header", table.header.len()),
                        ));
                    }
                    table.push(line, record.iter().map(str::trim));
                }
                Err(error) => {
                    let line = error.position().map_or(0, csv::Position::line);
                    faults.push(fault(line, error.to_string(), "CSV".to_owned()));
                }
            }
            if table.rows.len() > MAX_ROWS {
                faults.push(fault(0, format!("more than {MAX_ROWS} rows"), "a smaller table".to_owned()));
                break;
            }
        }
        faults.into_result(Some(table))
    }

    fn empty(file: &str, row_word: &'static str, header: Vec<String>) -> Self {
        Self {
            file: file.to_owned(),
            row_word,
            header,
            text: String::new(),
            ends: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn push<'a>(&mut self, line: u64, cells: impl Iterator<Item = &'a str>) {
        let first = self.ends.len();
        for cell in cells {
            self.text.push_str(cell);
            self.ends.push(self.text.len());
        }
        self.rows.push(Cells { line, first, count: self.ends.len() - first });
    }

    fn from_json(file: &str, text: &str) -> Result<Self, Faults> {
        type Object = serde_json::Map<String, serde_json::Value>;
        let objects: Vec<Object> = serde_json::from_str(text).map_err(|error| Fault {
            file: file.to_owned(),
            line: error.line() as u64,
            column: error.column() as u64,
            field: String::new(),
            found: format!("a JSON error ({error})"),
            expected: "a list of objects, one for each row".to_owned(),
        })?;
        let mut header: Vec<String> = Vec::new();
        for key in objects.iter().flat_map(|object| object.keys()) {
            if !header.contains(key) {
                header.push(key.clone());
            }
        }
        let cell = |value: Option<&serde_json::Value>| match value {
            None | Some(serde_json::Value::Null) => String::new(),
            Some(serde_json::Value::String(text)) => text.trim().to_owned(),
            Some(other) => other.to_string(),
        };
        let mut table = Self::empty(file, "row", header);
        for (row, object) in objects.iter().enumerate() {
            let cells: Vec<String> = table.header.iter().map(|key| cell(object.get(key))).collect();
            table.push(row as u64 + 1, cells.iter().map(String::as_str));
        }
        Ok(table)
    }

    fn from_parquet(file: &str, path: &Path) -> Result<Self, Faults> {
        let fault =
            |found: String| Faults::from(Fault::of_file(file, found, "a Parquet table of plain columns"));
        // The Parquet reader panics on some damaged files; a panic is one more kind of bad input.
        let read = || -> Result<Self, String> {
            let reader = SerializedFileReader::new(File::open(path).map_err(|e| e.to_string())?)
                .map_err(|e| e.to_string())?;
            let metadata = reader.metadata().file_metadata();
            if !(0..=MAX_ROWS as i64).contains(&metadata.num_rows()) {
                return Err(format!("{} rows", metadata.num_rows()));
            }
            let header = metadata.schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
            let mut table = Self::empty(file, "row", header);
            for (index, row) in reader.get_row_iter(None).map_err(|e| e.to_string())?.enumerate() {
                let row = row.map_err(|e| e.to_string())?;
                let cells: Vec<String> =
                    row.get_column_iter().map(|(_, field)| parquet_cell(field)).collect();
                table.push(index as u64 + 1, cells.iter().map(String::as_str));
            }
            Ok(table)
        };
        PANICS_ARE_CAUGHT.set(true);
        let outcome =
            std::panic::catch_unwind(read).unwrap_or_else(|_| Err("a damaged Parquet file".to_owned()));
        PANICS_ARE_CAUGHT.set(false);
        outcome.map_err(fault)
    }

    /// The header as read.
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Reads every row through `read`. Unknown and missing columns are faults; so is whatever
    /// `read` finds.
    pub fn rows<T>(
        &self,
        columns: &[Column],
        read: impl FnMut(&Row<'_>) -> Option<T>,
    ) -> Result<Vec<T>, Faults> {
        let faults = self.check_header(columns);
        if !faults.is_empty() {
            return Err(faults);
        }
        self.rows_any(read)
    }

    /// Like [`Table::rows`] for a table whose header the caller has checked.
    pub fn rows_any<T>(&self, mut read: impl FnMut(&Row<'_>) -> Option<T>) -> Result<Vec<T>, Faults> {
        let faults = RefCell::default();
        let rows =
            self.rows.iter().filter_map(|cells| read(&Row { table: self, cells: *cells, faults: &faults }));
        let all = rows.collect();
        faults.into_inner().into_result(Some(all))
    }

    /// A fault of a row by its number, for checks that look at several rows together.
    pub fn fault_at(&self, number: u64, column: &str, found: String, expected: &str) -> Fault {
        let (line, field) = self.place(number, column);
        Fault { file: self.file.clone(), line, column: 0, field, found, expected: expected.to_owned() }
    }

    fn place(&self, number: u64, column: &str) -> (u64, String) {
        match self.row_word {
            "" => (number, column.to_owned()),
            word => (0, format!("{word} {number}, {column}")),
        }
    }

    fn check_header(&self, columns: &[Column]) -> Faults {
        let mut faults = Faults::default();
        let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
        let line = u64::from(self.row_word.is_empty());
        let mut fault = |field: &str, found: String, expected: String| {
            faults.push(Fault {
                file: self.file.clone(),
                line,
                column: 0,
                field: field.to_owned(),
                found,
                expected,
            });
        };
        for (index, name) in self.header.iter().enumerate() {
            if !names.contains(&name.as_str()) {
                fault(
                    "header",
                    format!("the unknown column `{name}`"),
                    format!("one of {}", names.join(", ")),
                );
            } else if self.header[..index].contains(name) {
                fault("header", format!("the column `{name}` twice"), "each column once".to_owned());
            }
        }
        for column in columns {
            if column.required && !self.header.iter().any(|name| name == column.name) {
                fault(
                    "header",
                    format!("no column `{}`", column.name),
                    format!("the columns {}", names.join(", ")),
                );
            }
        }
        faults
    }
}

fn parquet_cell(field: &Field) -> String {
    match field {
        Field::Null => String::new(),
        Field::Str(text) => text.trim().to_owned(),
        Field::Double(value) => value.to_string(),
        Field::Float(value) => value.to_string(),
        other => other.to_string(),
    }
}

/// One row being read.
pub struct Row<'a> {
    table: &'a Table,
    cells: Cells,
    faults: &'a RefCell<Faults>,
}

impl Row<'_> {
    /// The line (CSV) or row (JSON, Parquet) number, from 1.
    pub fn number_in_file(&self) -> u64 {
        self.cells.line
    }

    /// Notes a fault of a cell.
    pub fn fault<T>(&self, column: &str, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        let (line, field) = self.table.place(self.cells.line, column);
        self.faults.borrow_mut().push(Fault {
            file: self.table.file.clone(),
            line,
            column: 0,
            field,
            found: found.into(),
            expected: expected.into(),
        });
        None
    }

    /// The text of a cell; empty where the column or the cell is missing.
    pub fn cell(&self, column: &str) -> &str {
        let index = self.table.header.iter().position(|name| name == column);
        let Some(index) = index.filter(|&index| index < self.cells.count) else { return "" };
        let cell = self.cells.first + index;
        let start = cell.checked_sub(1).map_or(0, |before| self.table.ends[before]);
        &self.table.text[start..self.table.ends[cell]]
    }

    /// Text that must not be empty.
    pub fn text(&self, column: &str) -> Option<&str> {
        match self.cell(column) {
            "" => self.fault(column, "nothing", "text"),
            text => Some(text),
        }
    }

    /// A finite number for which `is_right` holds.
    pub fn number(&self, column: &str, expected: &str, is_right: impl Fn(f64) -> bool) -> Option<f64> {
        let cell = self.cell(column);
        match units::finite(cell).filter(|&x| is_right(x)) {
            Some(value) => Some(value),
            None => self.fault(column, quoted(cell), expected),
        }
    }

    /// Like [`Row::number`], where the cell may be empty.
    pub fn optional_number(
        &self,
        column: &str,
        expected: &str,
        is_right: impl Fn(f64) -> bool,
    ) -> Option<Option<f64>> {
        if self.cell(column).is_empty() {
            Some(None)
        } else {
            self.number(column, expected, is_right).map(Some)
        }
    }

    /// Text that `read` understands.
    pub fn parsed<T>(&self, column: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let cell = self.cell(column);
        read(cell).or_else(|| self.fault(column, quoted(cell), expected))
    }
}

/// Text of a cell as a fault shows it, cut to a readable length.
pub fn quoted(text: &str) -> String {
    match text {
        "" => "nothing".to_owned(),
        text => format!("`{}`", text.chars().take(60).collect::<String>()),
    }
}
