//! `results.parquet`: the columns of `results.csv`; a number that does not exist is null.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use super::document::{AccountResult, CaseResult, Document};
use super::rows::{self, Cell, Column};

/// Rows of a row group: some hundred megabytes of cells at most.
const GROUP_ROWS: usize = 1 << 20;

/// Writes the rows of a document.
pub fn write<W: Write + Send>(document: &Document, output: W) -> Result<(), ParquetError> {
    let columns = rows::columns();
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(output, schema(&columns)?, Arc::new(properties))?;
    let rows: Vec<_> = rows::rows(document).collect();
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = writer.next_row_group()?;
        for column in &columns {
            let mut cells = group.next_column()?.expect("the schema has every column");
            write_column(&mut cells, column, rows)?;
            cells.close()?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

fn schema(columns: &[Column]) -> Result<Arc<Type>, ParquetError> {
    let field = |column: &Column| {
        let (physical, logical) = match column.cell {
            Cell::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Cell::Count(_) => (Physical::INT64, None),
            Cell::Number(_) => (Physical::DOUBLE, None),
        };
        let field = Type::primitive_type_builder(column.name, physical);
        field.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build().map(Arc::new)
    };
    let fields = columns.iter().map(field).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder("results").with_fields(fields).build()?))
}

fn write_column(
    writer: &mut SerializedColumnWriter<'_>,
    column: &Column,
    rows: &[(&CaseResult, &AccountResult)],
) -> Result<usize, ParquetError> {
    match column.cell {
        Cell::Text(text) => {
            let cells = rows.iter().map(|(case, account)| text(case, account));
            let (values, present) =
                split(cells.map(|cell| cell.map(|text| ByteArray::from(text.into_bytes()))));
            writer.typed::<ByteArrayType>().write_batch(&values, Some(&present), None)
        }
        Cell::Count(count) => {
            // Counts of paths stay below 2^36.
            let (values, present) = split(rows.iter().map(|(case, _)| Some(count(case) as i64)));
            writer.typed::<Int64Type>().write_batch(&values, Some(&present), None)
        }
        Cell::Number(number) => {
            let (values, present) = split(rows.iter().map(|(_, account)| number(account)));
            writer.typed::<DoubleType>().write_batch(&values, Some(&present), None)
        }
    }
}

/// Values that exist, and for every row 1 where one does.
fn split<T>(cells: impl Iterator<Item = Option<T>>) -> (Vec<T>, Vec<i16>) {
    let mut values = Vec::new();
    let present = cells.map(|cell| i16::from(cell.map(|cell| values.push(cell)).is_some())).collect();
    (values, present)
}
