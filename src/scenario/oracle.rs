//! The oracle rule of a scenario's margins: how far prices are trusted, and what pushing them takes.

use std::path::{Path, PathBuf};

use super::margin::{every_asset_has, fraction, multiple};
use crate::margin::{Manipulation, OracleRule};
use crate::market::{Market, PriceQuality};
use crate::oracle::{self, Method, Pushes, Rules};
use crate::units::{DAYS_PER_YEAR, Years};
use crate::yaml::{At, Mapping};

/// Names of [`Method`], in its order.
const METHODS: [&str; 3] = ["median", "lowest", "highest"];
const SECONDS_PER_YEAR: f64 = DAYS_PER_YEAR * 86_400.0;

/// Reads the mapping, and the table of quotes that it may name.
pub(super) fn read_oracle(
    m: &Mapping<'_>,
    market: &Market,
    folder: &Path,
) -> Option<(OracleRule, Option<PathBuf>)> {
    let confidence = m.optional("confidence", multiple);
    let deviations = m.optional("deviations", multiple);
    let rules = read_rules(m);
    let quotes = m.optional("quotes", |at| {
        let path = folder.join(at.text()?);
        let quality = read_quality(at, market, &path, rules.as_ref()?)?;
        Some((path, quality))
    });
    let manipulation = m.optional("manipulation", |at| {
        let sources = rules.as_ref()?.pushed_sources();
        at.mapping(|m| read_manipulation(m, market, sources))
    });
    let (file, quality) = quotes?.map_or((None, None), |(file, quality)| (Some(file), Some(quality)));
    if quality.is_none() {
        every_asset_has(m.at(), Some(market), "oracle", |asset| asset.price_quality.is_some())?;
    }
    let rule = OracleRule {
        confidence: confidence?.unwrap_or(1.0),
        deviations: deviations?.unwrap_or(3.0),
        quality,
        manipulation: manipulation?,
    };
    Some((rule, file))
}

/// How quotes become one price, with the defaults of `shortfall oracle`.
fn read_rules(m: &Mapping<'_>) -> Option<Rules> {
    let method = m.optional("method", |at| at.one_of(&METHODS));
    let most_age = m.optional("most_age", |at| at.parsed("a duration such as 1m", Years::parse));
    let most_deviation = m.optional("most_deviation", fraction);
    let least_sources = m.optional("least_sources", |at| at.integer(1..=1000));
    Some(Rules {
        method: [Method::Median, Method::Lowest, Method::Highest][method?.unwrap_or(0)],
        most_age: most_age?.unwrap_or_else(|| Years::parse("1m").expect("a duration")),
        most_deviation: most_deviation?.unwrap_or(0.02),
        least_sources: least_sources?.unwrap_or(3) as usize,
    })
}

/// Of every asset, from its quotes.
fn read_quality(at: At<'_>, market: &Market, path: &Path, rules: &Rules) -> Option<Vec<PriceQuality>> {
    let quotes = oracle::read(path).map_err(|faults| at.document().append(faults)).ok()?;
    let of = |asset: &str| {
        let Some(found) = quotes.iter().find(|quotes| quotes.asset == asset) else {
            return at.fault_found(format!("no quotes of {asset}"), "quotes of every asset of the market");
        };
        match oracle::aggregate(&found.quotes, rules) {
            Ok(price) => Some(price.quality()),
            Err(fault) => at.fault_found(format!("{asset} without a price: {fault}"), "enough fresh quotes"),
        }
    };
    let all: Vec<Option<PriceQuality>> = market.assets.iter().map(|asset| of(&asset.name)).collect();
    all.into_iter().collect()
}

fn read_manipulation(m: &Mapping<'_>, market: &Market, sources: usize) -> Option<Manipulation> {
    let seconds =
        |at: At<'_>| at.parsed("a duration such as 12s", Years::parse).map(|t| t.get() * SECONDS_PER_YEAR);
    let window = m.optional("window", seconds);
    let reset = m
        .optional("reset", |at| seconds(at).filter(|t| *t > 0.0).or_else(|| at.fault("a duration above 0s")));
    let most_move = m.optional("most_move", |at| at.number("a fraction in (0, 1)", |x| x > 0.0 && x < 1.0));
    let pools = m.optional("pools", |at| {
        at.entries(|name, at| {
            let Some(asset) = market.asset_index(name) else {
                return at.fault_found(format!("the unknown asset `{name}`"), "an asset of the market");
            };
            Some((asset, at.number("US dollars above 0", |x| x > 0.0 && x <= 1e15)?))
        })
    });
    let mut by_asset = vec![None; market.assets.len()];
    for (_, (asset, pool)) in pools?.unwrap_or_default() {
        by_asset[asset] = Some(pool);
    }
    let has = |asset: usize| {
        by_asset[asset].is_some() || market.assets[asset].liquidity.is_some_and(|l| l.pool.is_some())
    };
    let without: Vec<&str> =
        (0..by_asset.len()).filter(|&a| !has(a)).map(|a| market.assets[a].name.as_str()).collect();
    if !without.is_empty() {
        return m.at().fault_found(
            format!("assets without a pool: {}", without.join(", ")),
            "each in `pools`, or with a `pool` in its `liquidity`",
        );
    }
    let pushes =
        Pushes::new(window?.unwrap_or(1800.0), reset?.unwrap_or(12.0), sources, most_move?.unwrap_or(0.5));
    Some(Manipulation { pushes, pools: by_asset })
}
