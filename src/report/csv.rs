//! `results.csv`: one row per case and account; an empty cell is a number that does not exist.

use std::io::{self, Write};

use super::document::Document;
use super::rows::{self, Cell};

/// Writes the rows of a document. Numbers read back as the same f64.
pub fn write(document: &Document, output: &mut dyn Write) -> io::Result<()> {
    let columns = rows::columns();
    let mut writer = csv::Writer::from_writer(output);
    writer.write_record(columns.iter().map(|column| column.name))?;
    for (case, account) in rows::rows(document) {
        let cells = columns.iter().map(|column| match column.cell {
            Cell::Text(text) => text(case, account).unwrap_or_default(),
            Cell::Count(count) => count(case).to_string(),
            // Debug writes the shortest text that reads back as the same number, 1e-7 for short.
            Cell::Number(number) => number(account).map_or_else(String::new, |x| format!("{x:?}")),
        });
        writer.write_record(cells)?;
    }
    writer.flush()
}
