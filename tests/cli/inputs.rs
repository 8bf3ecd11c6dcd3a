//! The same portfolio as CSV, JSON and Parquet gives the same figures.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;

use crate::book::{Book, json};

const TABLES: [&str; 3] = ["accounts", "positions", "balances"];
/// Columns of numbers; the others are text.
const NUMBERS: [&str; 3] = ["quantity", "entry_price", "amount"];

#[test]
fn the_form_of_a_table_does_not_matter() {
    // Sixteen digits: a reader of JSON that rounds on the way would differ in the last.
    let start = || {
        let book = Book::new();
        book.replace("positions.csv", "-12,", "-12.345678901234567,");
        book.replace("balances.csv", "14300", "16155.280855897763");
        book
    };
    let csv = accounts_of(&start());
    let book = start();
    for table in TABLES {
        let rows = read_csv(&book.read(&format!("{table}.csv")));
        book.write(&format!("{table}.json"), as_json(&rows));
        write_parquet(&book.path(&format!("{table}.parquet")), &rows);
    }
    for (from, to) in [("csv", "json"), ("json", "parquet")] {
        for table in TABLES {
            book.replace("scenario.yaml", &format!("{table}.{from}"), &format!("{table}.{to}"));
        }
        assert_eq!(accounts_of(&book), csv, "{to}");
    }
}

#[test]
fn a_changed_table_changes_the_figures() {
    let book = Book::new();
    book.replace("positions.csv", "-12,", "-13,");
    assert_ne!(accounts_of(&book), accounts_of(&Book::new()));
}

#[test]
fn faults_of_json_and_parquet_name_the_row() {
    for form in ["json", "parquet"] {
        let book = Book::new();
        let mut rows = read_csv(&book.read("positions.csv"));
        rows[3][1] = "XYZ".to_owned();
        let path = book.path(&format!("positions.{form}"));
        match form {
            "json" => std::fs::write(&path, as_json(&rows)).unwrap(),
            _ => write_parquet(&path, &rows),
        }
        book.replace("scenario.yaml", "positions.csv", &format!("positions.{form}"));
        let said = book.run(&[]);
        assert_eq!(said.code, 65);
        let place = format!("positions.{form}: row 3, instrument: found `XYZ`");
        assert!(said.stderr.contains(&place), "{}", said.stderr);
    }
}

fn accounts_of(book: &Book) -> serde_json::Value {
    let said = book.run(&["--case", "base", "--json"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    json(&said)["cases"][0]["accounts"].clone()
}

/// The header and the rows.
pub fn read_csv(text: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn as_json(rows: &[Vec<String>]) -> String {
    let object = |row: &Vec<String>| {
        let cells = rows[0].iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        let cells = cells.map(|(name, cell)| match cell.parse::<f64>() {
            Ok(number) if NUMBERS.contains(&name.as_str()) => (name.clone(), number.into()),
            _ => (name.clone(), cell.clone().into()),
        });
        serde_json::Value::Object(cells.collect())
    };
    serde_json::Value::Array(rows[1..].iter().map(object).collect()).to_string()
}

/// Text and numbers as a Parquet table.
pub fn write_parquet(path: &Path, rows: &[Vec<String>]) {
    let field = |name: &String| {
        let (physical, logical) = match NUMBERS.contains(&name.as_str()) {
            true => (Physical::DOUBLE, None),
            false => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        Arc::new(field.with_logical_type(logical).build().unwrap())
    };
    let schema = Type::group_type_builder("rows").with_fields(rows[0].iter().map(field).collect());
    let properties = Arc::new(WriterProperties::builder().build());
    let file = File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema.build().unwrap()), properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (index, name) in rows[0].iter().enumerate() {
        let cells: Vec<&str> = rows[1..].iter().map(|row| row[index].as_str()).collect();
        let present: Vec<i16> = cells.iter().map(|cell| i16::from(!cell.is_empty())).collect();
        let cells = cells.into_iter().filter(|cell| !cell.is_empty());
        let mut column = group.next_column().unwrap().unwrap();
        if NUMBERS.contains(&name.as_str()) {
            let values: Vec<f64> = cells.map(|cell| cell.parse().unwrap()).collect();
            column.typed::<DoubleType>().write_batch(&values, Some(&present), None).unwrap();
        } else {
            let values: Vec<ByteArray> = cells.map(ByteArray::from).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&present), None).unwrap();
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}
