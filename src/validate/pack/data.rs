//! The data behind the figures: what it is, how good it is, how well laws fit it, and its hashes.

use std::path::{Path, PathBuf};

use super::{Block, Effort, Options, percent, table};
use crate::calibrate::history::{self, History, day};
use crate::calibrate::{self, goodness, laws, volatility};
use crate::shard::FileHash;
use crate::validate::Check;

/// Shipped histories of prices.
const HISTORIES: [&str; 2] = ["history/crypto_daily.csv", "history/sp500_daily.csv"];
/// A move of so many deviations of its own series is shown to be looked at, not refused.
const FAR: f64 = 10.0;

pub(super) fn data(scenarios: &Path) -> Result<Vec<Block>, String> {
    let mut rows = Vec::new();
    let mut notes = Vec::new();
    let mut checks = Vec::new();
    for file in HISTORIES {
        let history = read(scenarios, file)?;
        (0..history.assets.len()).for_each(|asset| rows.push(extent(file, &history, asset)));
        notes.extend(history.notes.0.iter().map(|note| format!("- `{file}`: {note}")));
        let gaps = history.notes.0.iter().filter(|note| note.contains("gaps") || note.contains("misses"));
        let name = format!("{file}: gaps and missing prices inside");
        let unit = "series with gaps";
        checks.push(Check::new(
            &name,
            history.assets.len() as u64,
            gaps.count() as f64,
            0.0,
            unit,
            String::new(),
        ));
    }
    let head = [
        "file",
        "asset",
        "first",
        "last",
        "returns",
        "unchanged",
        "deviation of a step",
        "lowest return",
        "on",
        "highest return",
        "on",
        "returns beyond ten deviations",
    ];
    let text = "Prices of the histories, as read: duplicates, rows out of order and gaps are found by the reader and noted. Returns are \
                logarithmic. Far returns are real days of crises and are kept.";
    let mut blocks = vec![Block::Text(text.to_owned()), table(head, rows), Block::Checks(checks)];
    if !notes.is_empty() {
        blocks.push(Block::Text(notes.join("\n")));
    }
    blocks.extend(snapshot(scenarios)?);
    Ok(blocks)
}

fn read(scenarios: &Path, file: &str) -> Result<History, String> {
    history::read(&[scenarios.join(file)]).map_err(|faults| faults.to_string())
}

fn extent(file: &str, history: &History, asset: usize) -> [String; 12] {
    let returns = history.log_returns(asset);
    let seen: Vec<(usize, f64)> =
        returns.iter().copied().enumerate().filter(|(_, r)| r.is_finite()).collect();
    let n = seen.len() as f64;
    let deviation = (seen.iter().map(|(_, r)| r * r).sum::<f64>() / n).sqrt();
    let end = |wanted: fn(&&(usize, f64), &&(usize, f64)) -> std::cmp::Ordering| {
        let found = seen.iter().min_by(wanted).copied().unwrap_or((0, f64::NAN));
        [percent(found.1, 1), day(history.times[found.0]).to_string()]
    };
    let [lowest, low_day] = end(|a, b| a.1.total_cmp(&b.1));
    let [highest, high_day] = end(|a, b| b.1.total_cmp(&a.1));
    let prices = &history.prices[asset];
    let date = |at: Option<usize>| at.map_or("-".to_owned(), |t| day(history.times[t]).to_string());
    [
        format!("`{file}`"),
        history.assets[asset].clone(),
        date(prices.iter().position(|p| p.is_finite())),
        date(prices.iter().rposition(|p| p.is_finite())),
        seen.len().to_string(),
        seen.iter().filter(|(_, r)| *r == 0.0).count().to_string(),
        percent(deviation, 2),
        lowest,
        low_day,
        highest,
        high_day,
        seen.iter().filter(|(_, r)| r.abs() > FAR * deviation).count().to_string(),
    ]
}

/// The market snapshot and how well its surfaces fit the quotes.
fn snapshot(scenarios: &Path) -> Result<Vec<Block>, String> {
    let read = crate::scenario::read(&scenarios.join("nightly.yaml")).map_err(|faults| faults.to_string())?;
    let market = &read.market;
    let rows = market.assets.iter().filter(|asset| !asset.surface.is_empty()).map(|asset| {
        let quotes = asset.surface.iter().filter_map(|slice| slice.rmse_volatility);
        let worst = quotes.clone().fold(f64::NAN, f64::max);
        [asset.name.clone(), asset.surface.len().to_string(), format!("{:.2}", 100.0 * worst)]
    });
    let text = format!(
        "The market snapshot of `{}` at {}: {} assets. {} Surfaces are refused when read where they allow butterfly or calendar \
         arbitrage.",
        read.name,
        market.as_of,
        market.assets.len(),
        market.source
    );
    let head = ["surface", "expiries", "largest root mean square error of an expiry, volatility points"];
    Ok(vec![Block::Text(text), table(head, rows.collect())])
}

/// How well the laws that the engine simulates fit returns.
pub(super) fn soundness(scenarios: &Path, effort: Effort) -> Result<Vec<Block>, String> {
    let history = read(scenarios, HISTORIES[0])?;
    let mut options = calibrate::Options::default();
    if effort.is_quick {
        options.volatility = volatility::Choice::Ewma;
    }
    let found = calibrate::calibrate(&history, &options, &mut |_| ()).map_err(|faults| faults.to_string())?;
    let rows = found.assets.iter().map(|fit| {
        let (model, law) = (fit.volatility.first(), fit.laws.first());
        let gap = fit.laws.get(1).zip(law).map_or(f64::NAN, |(next, best)| next.bic - best.bic);
        let normal = fit.laws.iter().find(|fit| fit.law == laws::Law::Normal);
        let over_normal = normal.zip(law).map_or(f64::NAN, |(normal, best)| normal.bic - best.bic);
        [
            fit.asset.clone(),
            fit.returns.to_string(),
            model.map_or("-", |model| model.name).to_owned(),
            law.map_or("-", |law| law.law.name()).to_owned(),
            format!("{gap:.1}"),
            format!("{over_normal:.1}"),
            format!("{:.2}", fit.goodness.anderson_darling),
            if fit.goodness.fits { "yes".to_owned() } else { "no".to_owned() },
        ]
    });
    let rows: Vec<_> = rows.collect();
    let text = format!(
        "Methods and their sources are in [methodology.md](methodology.md). Why fat tails and jumps: laws of the daily return fitted \
         to `{}` by maximum likelihood, in units of the volatility model with the lowest BIC. How much higher the \
         normal law's BIC is, the sixth column tells. An Anderson-Darling statistic above {} does not fit at 5 %: where no law fits, the margin \
         of that asset deserves a buffer, and backtests below decide.",
        HISTORIES[0],
        goodness::CRITICAL
    );
    let head = [
        "asset",
        "returns",
        "volatility",
        "law",
        "BIC of the next law above",
        "BIC of the normal law above",
        "A²",
        "fits",
    ];
    let worst =
        found.assets.iter().filter(|fit| matches!(fit.laws.first().map(|l| l.law), Some(laws::Law::Normal)));
    let check = Check::new(
        "assets for which a normal law is chosen",
        found.assets.len() as u64,
        worst.count() as f64,
        0.0,
        "assets",
        String::new(),
    );
    let mut blocks = vec![Block::Text(text), table(head, rows), Block::Checks(vec![check])];
    if let Some(first) = found.assets.first() {
        let title = format!("{}: returns against their law", first.asset);
        let svg = goodness::quantile_plot(&title, &first.probabilities);
        blocks.push(Block::Chart { file: "quantiles.svg", caption: title, svg });
    }
    Ok(blocks)
}

/// Every file that the pack read, by hash.
pub(super) fn inputs(options: &Options) -> Result<Vec<Block>, String> {
    let files = HISTORIES
        .map(PathBuf::from)
        .into_iter()
        .chain(["history/marks_2026-02.csv", "backtest.yaml", "backtest_sp500.yaml"].map(PathBuf::from));
    let mut paths: Vec<PathBuf> = files.map(|file| options.scenarios.join(file)).collect();
    for file in ["quickstart.yaml", "nightly.yaml"] {
        let read =
            crate::scenario::read(&options.scenarios.join(file)).map_err(|faults| faults.to_string())?;
        paths.extend(read.inputs);
    }
    let mut rows = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&options.scenarios).unwrap_or(&path).display().to_string();
        let hash = FileHash::of(&path, name).map_err(|error| format!("{}: {error}", path.display()))?;
        rows.push([format!("`{}`", hash.path), hash.bytes.to_string(), format!("`{}`", hash.blake3)]);
    }
    let effort = options.effort;
    let text = format!(
        "Version {}. Seeds: those of the scenario and backtest files, and those named in the sections. Paths: {} for prices, {} for \
         exact books, {} for scenarios. Reference tables of published and independently computed values are part of the program \
         (`tests/data/`, each with its source). Files by BLAKE3:",
        env!("CARGO_PKG_VERSION"),
        effort.price_paths,
        effort.book_paths,
        effort.scenario_paths
    );
    Ok(vec![Block::Text(text), table(["file", "bytes", "BLAKE3"], rows)])
}
