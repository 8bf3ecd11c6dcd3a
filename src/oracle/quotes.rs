//! Quotes of several sources from their table.

use std::collections::BTreeMap;
use std::path::Path;

use crate::fault::Faults;
use crate::table::{Table, optional, required};
use crate::units::Years;

/// What one source says of a price.
#[derive(Clone, Debug, PartialEq)]
pub struct Quote {
    /// Who says it.
    pub source: String,
    /// The price, above zero.
    pub price: f64,
    /// Half-width of its confidence interval as a fraction: 0.001 is 10 basis points.
    pub confidence: f64,
    /// Its age.
    pub age: Years,
}

/// All quotes of one asset, in the order of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct AssetQuotes {
    /// The asset.
    pub asset: String,
    /// At least one.
    pub quotes: Vec<Quote>,
}

/// Reads a table `asset,source,price,age[,confidence]`; assets come in the order of their names. All
/// faults are reported together.
pub fn read(path: &Path) -> Result<Vec<AssetQuotes>, Faults> {
    let table = Table::read(path)?;
    let columns =
        [required("asset"), required("source"), required("price"), required("age"), optional("confidence")];
    let mut assets: BTreeMap<String, Vec<Quote>> = BTreeMap::new();
    table.rows(&columns, |row| {
        let asset = row.text("asset")?.to_owned();
        let source = row.text("source")?.to_owned();
        let price = row.number("price", "a price above zero", |x| x > 0.0 && x < 1e12);
        let age = row.parsed("age", "a duration such as 10s", Years::parse);
        let confidence =
            row.optional_number("confidence", "a fraction in [0, 1]", |x| (0.0..=1.0).contains(&x));
        let quotes = assets.entry(asset).or_default();
        if quotes.iter().any(|quote| quote.source == source) {
            return row.fault("source", format!("`{source}` twice for one asset"), "each source once");
        }
        quotes.push(Quote { source, price: price?, confidence: confidence?.unwrap_or(0.0), age: age? });
        Some(())
    })?;
    Ok(assets.into_iter().map(|(asset, quotes)| AssetQuotes { asset, quotes }).collect())
}
