//! The text of a price table: split into raw lines on the way in, put together on the way out.

use super::fault::{Faults, quoted};
use super::layout::Layout;
use super::{JumpModel, RESULT_COLUMNS, RowResult};
use crate::closed_form::EuropeanOption;
use std::fmt::Write;

/// Most rows of a table.
pub const ROWS_MAX: usize = 1_000_000;

/// Most bytes of a table, 512 MiB.
pub const BYTES_MAX: usize = 512 << 20;

/// A table that has been found readable.
pub(super) struct Table<'a> {
    /// Byte-order mark and comment lines, verbatim.
    preamble: &'a str,
    header: &'a str,
    newline: &'static str,
    pub(super) rows: Vec<Row<'a>>,
}

/// One option of a table.
pub(super) struct Row<'a> {
    /// Line in the file, from 1.
    pub(super) line: u64,
    /// The row as it stands in the file, without its line end.
    raw: &'a str,
    pub(super) option: EuropeanOption,
    pub(super) model: JumpModel,
}

impl<'a> Table<'a> {
    /// Reads a whole table, noting every fault; nothing is returned if the header has one.
    pub(super) fn read(input: &'a str, faults: &mut Faults) -> Option<Self> {
        if input.len() > BYTES_MAX {
            let found = format!("{} bytes", input.len());
            faults.file("size", &found, &format!("at most {BYTES_MAX} bytes; split the table"));
            return None;
        }
        let (preamble, body) = input.split_at(preamble_length(input));
        let mut records = Records::new(body, 1 + line_ends(preamble));
        let Some(header) = records.next(faults) else {
            let found = if input.is_empty() { "nothing" } else { "comments or blank lines only" };
            faults.file("the file", found, "a header and at least one row");
            return None;
        };
        let names: Vec<&str> = header.record.iter().map(str::trim).collect();
        for name in RESULT_COLUMNS {
            if names.contains(&name) {
                let found = format!("a column {name}");
                faults.line(header.line, "header", &found, "no such column: it would be written twice");
            }
        }
        let layout = Layout::recognise(&names, header.line, faults)?;
        let crlf = body[header.end..].starts_with("\r\n");
        let mut table = Self {
            preamble,
            header: header.raw,
            newline: if crlf { "\r\n" } else { "\n" },
            rows: Vec::new(),
        };
        table.read_rows(&mut records, &layout, names.len(), faults);
        Some(table)
    }

    fn read_rows(&mut self, records: &mut Records<'a>, layout: &Layout, columns: usize, faults: &mut Faults) {
        while let Some(Record { line, raw, record, .. }) = records.next(faults) {
            if records.met > ROWS_MAX + 1 {
                faults.line(line, "row", &format!("more than {ROWS_MAX} rows"), "fewer; split the table");
                return;
            }
            if record.len() != columns {
                let expected = format!("{columns}, as the header has");
                faults.line(line, "row", &format!("{} cells", record.len()), &expected);
                continue;
            }
            if let Some((option, model)) = layout.row(&record, line, faults) {
                self.rows.push(Row { line, raw, option, model });
            }
        }
        if records.met == 1 {
            faults.file("the file", "a header without rows", "at least one row");
        }
    }

    /// The table as it was read, with the results appended to each row.
    pub(super) fn write(&self, results: &[RowResult]) -> String {
        let mut text = String::with_capacity(self.preamble.len() + (self.rows.len() + 1) * 128);
        text.push_str(self.preamble);
        text.push_str(self.header);
        for name in RESULT_COLUMNS {
            text.push(',');
            text.push_str(name);
        }
        text.push_str(self.newline);
        for (row, result) in self.rows.iter().zip(results) {
            let value = significant(result.value, 15);
            let mean = significant(result.simulated.mean, 15);
            let error = significant(result.simulated.standard_error, 6);
            write!(text, "{},{value},{mean},{error}{}", row.raw, self.newline)
                .expect("writing to a String cannot fail");
        }
        text
    }
}

/// A number with so many significant digits, as a decimal where that is readable.
fn significant(number: f64, digits: usize) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let scientific = format!("{number:.*e}", digits - 1);
    let exponent = scientific.split_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
    let decimals = digits as i32 - 1 - exponent;
    if exponent >= -5 && decimals >= 0 { format!("{number:.*}", decimals as usize) } else { scientific }
}

/// One CSV record with the text it came from.
struct Record<'a> {
    line: u64,
    raw: &'a str,
    /// Where `raw` ends in the body.
    end: usize,
    record: csv::StringRecord,
}

/// CSV records with their raw text and line numbers.
struct Records<'a> {
    body: &'a str,
    reader: csv::Reader<&'a [u8]>,
    line: u64,
    counted_to: usize,
    /// Records met so far, faulty ones too.
    met: usize,
}

impl<'a> Records<'a> {
    fn new(body: &'a str, line: u64) -> Self {
        let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(body.as_bytes());
        Self { body, reader, line, counted_to: 0, met: 0 }
    }

    /// The next record that is not blank and well formed; faulty ones are noted and passed over.
    fn next(&mut self, faults: &mut Faults) -> Option<Record<'a>> {
        const LINE_ENDS: [char; 2] = ['\r', '\n'];
        loop {
            let begin = self.reader.position().byte() as usize;
            let mut record = csv::StringRecord::new();
            let more = self.reader.read_record(&mut record);
            let end = (self.reader.position().byte() as usize).min(self.body.len());
            let text = self.body.get(begin..end).unwrap_or_default();
            let raw = text.trim_start_matches(LINE_ENDS);
            let start = begin + (text.len() - raw.len());
            let raw = raw.trim_end_matches(LINE_ENDS);
            self.line += line_ends(self.body.get(self.counted_to..start).unwrap_or_default());
            self.counted_to = start.max(self.counted_to);
            let line = self.line;
            self.met += usize::from(!matches!(more, Ok(false)));
            match more {
                Ok(false) => return None,
                Ok(true) if raw.matches('"').count() % 2 == 1 => {
                    faults.line(line, "row", &quoted(raw), "every quotation mark closed");
                }
                Ok(true) => return Some(Record { line, raw, end: start + raw.len(), record }),
                Err(error) => faults.line(line, "row", &error.to_string(), "a row of comma-separated cells"),
            }
        }
    }
}

/// Length of a byte-order mark and the leading lines that start with `#`.
fn preamble_length(input: &str) -> usize {
    let mut length = if input.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    while input[length..].starts_with('#') {
        let rest = &input[length..];
        let end = rest.find(['\r', '\n']).unwrap_or(rest.len());
        let line_end = match &rest.as_bytes()[end..] {
            [b'\r', b'\n', ..] => 2,
            [] => 0,
            _ => 1,
        };
        length += end + line_end;
    }
    length
}

/// Line ends in a text: `\n`, `\r\n` or a lone `\r`.
fn line_ends(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let ends = |(i, byte): &(usize, &u8)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(i + 1) != Some(&b'\n'),
        _ => false,
    };
    bytes.iter().enumerate().filter(ends).count() as u64
}
