//! The option books of `tests/data/option_books.json`, twelve with one account each.

use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
pub struct Books {
    #[serde(rename = "F0")]
    pub forward_now: f64,
    pub portfolios: BTreeMap<String, Vec<Leg>>,
}

#[derive(Deserialize)]
pub struct Leg {
    /// `C` and `P` options, `U` spot, `I` an inverse perpetual.
    #[serde(rename = "type")]
    pub kind: String,
    pub qty: f64,
    pub strike: f64,
    #[serde(rename = "T_days")]
    pub expiry_days: f64,
    pub iv: f64,
}

pub fn books() -> Books {
    serde_json::from_str(include_str!("../data/option_books.json")).expect("books")
}
