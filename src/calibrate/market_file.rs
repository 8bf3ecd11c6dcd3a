//! The market file and its tables, written beside each other, whole or not at all.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Calibration;
use super::laws::Law;
use super::level::LevelFit;
use crate::fault::Faults;
use crate::market::{self, Market};

/// Rounds of leaving out quotes that contradict others.
const ROUNDS: usize = 40;
/// Log shift of the implied level at a jump, at most.
const MOST_SHIFT: f64 = 2.0;
/// Speed of return of the implied level where the history does not tell: half of a shock is gone in a month.
const ASSUMED_REVERSION: f64 = 8.0;

/// Why a market was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteFault {
    /// The system refused.
    #[error("{}: {error}", .path.display())]
    Io {
        /// On which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// The estimates make no market: the faults that reading it finds.
    #[error("{0}")]
    Market(Faults),
}

/// Writes `out` and beside it the tables that it names (`STEM_correlation.csv`, `STEM_forwards.csv`,
/// `STEM_quotes.csv`), after reading the whole back as `run` does. Quotes that the reader refuses are
/// left out, of the calibration's chain too, with a warning.
///
/// # Errors
/// Nothing is written where the market cannot be read back.
pub fn write(calibration: &mut Calibration, out: &Path) -> Result<Market, WriteFault> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |error| WriteFault::Io { path, error }
    };
    let stem = out.file_stem().and_then(|stem| stem.to_str()).unwrap_or("market").to_owned();
    let folder = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = out.file_name().and_then(|name| name.to_str()).unwrap_or("market.yaml").to_owned();
    let scratch = folder.join(format!(".{stem}.{}.partial", std::process::id()));
    fs::create_dir(&scratch).map_err(io(&scratch))?;
    let made = fill(calibration, &scratch, &stem, &name);
    let result = made.and_then(|(market, files)| {
        for file in files {
            let place = folder.join(&file);
            fs::rename(scratch.join(&file), &place).map_err(io(&place))?;
        }
        Ok(market)
    });
    // What is left there is of no use to anybody.
    let _ = fs::remove_dir_all(&scratch);
    result
}

fn fill(
    calibration: &mut Calibration,
    scratch: &Path,
    stem: &str,
    name: &str,
) -> Result<(Market, Vec<String>), WriteFault> {
    let mut dropped: BTreeSet<usize> = BTreeSet::new();
    for round in 0.. {
        let quotes: Vec<usize> = usable_quotes(calibration).filter(|q| !dropped.contains(q)).collect();
        let texts = texts(calibration, stem, name, &quotes);
        for (file, text) in &texts {
            let path = scratch.join(file);
            fs::write(&path, text).map_err(|error| WriteFault::Io { path, error })?;
        }
        let files = || texts.iter().map(|(file, _)| file.clone()).collect();
        let faults = match market::read(&scratch.join(name)) {
            Ok(market) => {
                if !dropped.is_empty() {
                    let text = format!("{} quotes that contradict others were left out", dropped.len());
                    calibration.warnings.push(text);
                    let mut index = 0..;
                    calibration.chain.quotes.retain(|_| index.next().is_none_or(|i| !dropped.contains(&i)));
                }
                return Ok((market, files()));
            }
            Err(faults) => faults,
        };
        let before = dropped.len();
        dropped.extend(refused_quotes(calibration, &faults, &quotes));
        if round >= ROUNDS || dropped.len() == before {
            return Err(WriteFault::Market(faults));
        }
    }
    unreachable!("the rounds end with a return")
}

/// Quotes of assets that have a history.
fn usable_quotes(calibration: &Calibration) -> impl Iterator<Item = usize> {
    let quotes = &calibration.chain.quotes;
    (0..quotes.len()).filter(|q| calibration.assets.iter().any(|fit| fit.asset == quotes[*q].asset))
}

/// The quotes that faults speak of: a row, or a whole expiry.
fn refused_quotes(calibration: &Calibration, faults: &Faults, quotes: &[usize]) -> Vec<usize> {
    let mut refused = Vec::new();
    for fault in faults.as_slice().iter().filter(|fault| fault.file.ends_with("_quotes.csv")) {
        // The header is the first line.
        let Some(at) = (fault.line as usize).checked_sub(2).and_then(|row| quotes.get(row)) else { continue };
        let quote = &calibration.chain.quotes[*at];
        let is_same = |q: &&usize| {
            let other = &calibration.chain.quotes[**q];
            other.asset == quote.asset && other.expiry == quote.expiry
        };
        if fault.field == "expiry" {
            refused.extend(quotes.iter().filter(is_same));
        } else {
            refused.push(*at);
        }
    }
    refused
}

fn texts(calibration: &Calibration, stem: &str, name: &str, quotes: &[usize]) -> Vec<(String, String)> {
    let mut texts = vec![(format!("{stem}_correlation.csv"), correlation_table(calibration))];
    let forwards = forwards_table(calibration);
    if let Some(text) = &forwards {
        texts.push((format!("{stem}_forwards.csv"), text.clone()));
    }
    if !quotes.is_empty() {
        let mut text = "asset,expiry,strike,bid_volatility,ask_volatility\n".to_owned();
        for quote in quotes.iter().map(|q| &calibration.chain.quotes[*q]) {
            let (bid, ask) = quote.volatilities;
            let _ = writeln!(text, "{},{},{},{bid},{ask}", quote.asset, quote.expiry, quote.strike);
        }
        texts.push((format!("{stem}_quotes.csv"), text));
    }
    let tables: Vec<String> = texts.iter().map(|(file, _)| file.clone()).collect();
    texts.push((name.to_owned(), market_text(calibration, &tables)));
    texts
}

fn correlation_table(calibration: &Calibration) -> String {
    let names: Vec<&str> = calibration.assets.iter().map(|fit| fit.asset.as_str()).collect();
    let mut text = format!("asset,{}\n", names.join(","));
    for (name, row) in names.iter().zip(&calibration.correlation) {
        let cells: Vec<String> = row.iter().map(|value| format!("{value:.6}")).collect();
        let _ = writeln!(text, "{name},{}", cells.join(","));
    }
    text
}

fn forwards_table(calibration: &Calibration) -> Option<String> {
    let known = |name: &String| calibration.assets.iter().any(|fit| fit.asset == *name);
    let forwards = calibration.chain.forwards.iter().filter(|((name, _), _)| known(name));
    let rows: Vec<String> =
        forwards.map(|((name, expiry), price)| format!("{name},{expiry},{price}\n")).collect();
    (!rows.is_empty()).then(|| format!("asset,expiry,forward\n{}", rows.concat()))
}

fn market_text(calibration: &Calibration, tables: &[String]) -> String {
    let mut text = "# Written by `shortfall calibrate`. Rates, volatilities and intensities are annual; times are UTC.\n".to_owned();
    let _ = writeln!(text, "as_of: {}", calibration.as_of);
    let span = calibration.assets.iter().map(|fit| fit.returns).max().unwrap_or(0);
    let _ = writeln!(text, "source: \"Calibrated to price histories of up to {span} returns\"");
    text.push_str("assets:\n");
    let has_tails = calibration.tail_degrees_of_freedom.is_some();
    for (index, fit) in calibration.assets.iter().enumerate() {
        let volatility = fit.next_diffusion() * calibration.steps_per_year.sqrt();
        let _ = writeln!(
            text,
            "  - name: {}\n    spot: {}\n    volatility: {}",
            fit.asset,
            fit.spot,
            rounded(volatility)
        );
        let law = fit.laws.first().map_or(Law::Normal, |fit| fit.law);
        if has_tails && matches!(law, Law::Student { .. }) {
            text.push_str("    tail_group: all\n");
        }
        if let Some(jumps) = jumps_text(calibration, law) {
            let _ = writeln!(text, "    own_jumps: {jumps}");
        }
        if let Some(common) = &calibration.common_jumps {
            let loading = common.loadings.get(index).and_then(Option::as_ref).map_or(1.0, |p| p.estimate);
            let _ = writeln!(text, "    common_jump_loading: {}", rounded(loading.clamp(-10.0, 10.0)));
        }
        if let Some(level) = calibration.levels.iter().find(|level| level.asset == fit.asset) {
            let _ = writeln!(text, "    implied_volatility: {}", level_text(calibration, level, law));
        }
        if let Some(basis) = calibration.basis.iter().find(|basis| basis.asset == fit.asset) {
            let _ = writeln!(text, "    basis_volatility: {}", rounded(basis.volatility_annual.estimate));
        }
        if let Some(funding) = calibration.funding.iter().find(|funding| funding.asset == fit.asset) {
            let _ = writeln!(text, "    funding_rate: {}", rounded(funding.recent.estimate));
        }
    }
    if let Some(nu) = &calibration.tail_degrees_of_freedom {
        let _ = writeln!(text, "tail_groups: {{all: {{degrees_of_freedom: {}}}}}", rounded(nu.estimate));
    }
    if let Some(common) = &calibration.common_jumps {
        let [intensity, mean, sd] =
            [&common.intensity_annual, &common.mean, &common.sd].map(|p| rounded(p.estimate));
        let _ =
            writeln!(text, "common_jumps: {{intensity: {intensity}, law: merton, mean: {mean}, sd: {sd}}}");
    }
    for table in tables {
        let key = table.trim_end_matches(".csv").rsplit('_').next().unwrap_or_default();
        let _ = writeln!(text, "{key}: {table}");
    }
    text
}

fn jumps_text(calibration: &Calibration, law: Law) -> Option<String> {
    match law {
        Law::Normal | Law::Student { .. } => None,
        Law::Merton { intensity, mean, sd } => {
            let [intensity, mean, sd] = [calibration.annual(intensity), mean, sd].map(rounded);
            Some(format!("{{intensity: {intensity}, law: merton, mean: {mean}, sd: {sd}}}"))
        }
        Law::Kou { intensity, up_probability, up_rate, down_rate } => {
            let [intensity, up, up_rate, down_rate] =
                [calibration.annual(intensity), up_probability, up_rate, down_rate].map(rounded);
            Some(format!(
                "{{intensity: {intensity}, law: kou, up_probability: {up}, up_rate: {up_rate}, down_rate: {down_rate}}}"
            ))
        }
    }
}

/// At a jump the level moves as it does for a move of the spot of the jump's mean size.
fn level_text(calibration: &Calibration, level: &LevelFit, law: Law) -> String {
    let own = match law {
        Law::Merton { mean, .. } => mean,
        Law::Kou { up_probability, up_rate, down_rate, .. } => {
            up_probability / up_rate - (1.0 - up_probability) / down_rate
        }
        Law::Normal | Law::Student { .. } => 0.0,
    };
    let common = calibration.common_jumps.as_ref().map_or(0.0, |jumps| jumps.mean.estimate);
    let shift = |size: f64| rounded((level.slope.estimate * size).clamp(-MOST_SHIFT, MOST_SHIFT));
    let speed = &level.mean_reversion_annual;
    let is_known = speed.standard_error.is_some_and(|error| speed.estimate > 2.0 * error);
    format!(
        "{{mean_reversion: {}, volatility: {}, spot_correlation: {}, common_jump_shift: {}, own_jump_shift: {}, reference_tenor: 30d}}",
        rounded(if is_known { speed.estimate } else { ASSUMED_REVERSION }),
        rounded(level.volatility_annual.estimate),
        rounded(level.spot_correlation.estimate.clamp(-1.0, 1.0)),
        shift(common),
        shift(own),
    )
}

/// Six significant digits: more than any estimate here has.
fn rounded(x: f64) -> f64 {
    // Plus zero: a shift of minus zero is none.
    format!("{x:.5e}").parse().unwrap_or(x) + 0.0
}
