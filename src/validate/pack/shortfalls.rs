//! VaR and Expected Shortfall of books whose figures are known.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Block, Effort, number, reference, table, worse};
use crate::engine::cpu::CpuEngine;
use crate::instrument::{Kind, OptionTerms, Right, Settlement};
use crate::market::{Asset, Correlation, JumpSize, Jumps, TailGroup};
use crate::risk::TailEstimate;
use crate::scenario::Precision;
use crate::table::Row;
use crate::units::DAYS_PER_YEAR;
use crate::validate::Check;
use crate::validate::fixture::{Setup, asset, estimates, in_days, market};

/// A right estimate is off by more than so many standard errors in one of two million cases.
const SIGMAS: f64 = 5.0;
/// Losses of option books in f32 are rounded to so much of the premium: a leg's value and up to
/// four sums, each half a unit in the last place, and the dozen operations of a value.
const F32_BOOK: f64 = 16.0 / 16_777_216.0;
/// Elliptical books are linear in the log return in the limit of small returns.
const SMALLNESS: f64 = 1e-4;
const LINEAR: Kind = Kind::Perpetual(Settlement::Linear);
const INVERSE: Kind = Kind::Perpetual(Settlement::Inverse);

const MERTON: &str = include_str!("../../../tests/data/merton_linear_es.csv");
const KOU: &str = include_str!("../../../tests/data/kou_linear_es.csv");
const ELLIPTICAL: &str = include_str!("../../../tests/data/elliptical_es.csv");
const OPTION_BOOKS: &str = include_str!("../../../tests/data/option_books.json");
const OPTION_BOOKS_ES: &str = include_str!("../../../tests/data/option_books_es.csv");

pub(super) fn shortfalls(effort: Effort) -> Result<Vec<Block>, String> {
    let paths = effort.book_paths;
    let scores = [
        linear(
            "Spot, linear and inverse perpetuals, normal and Merton returns",
            "merton_linear_es.csv",
            MERTON,
            paths,
        )?,
        linear("Spot, linear and inverse perpetuals, Kou returns", "kou_linear_es.csv", KOU, paths)?,
        elliptical(paths)?,
        option_books(paths)?,
    ];
    let text = format!(
        "Books whose VaR and Expected Shortfall are known exactly or by quadrature, long and short, at several horizons and \
         confidences; {paths} paths of f32 on the CPU. A distance is the error in its own standard errors."
    );
    let rows = scores.iter().map(|score| {
        let rms = (score.squares / score.count as f64).sqrt();
        [
            score.name.to_owned(),
            score.count.to_string(),
            format!("{rms:.2}"),
            super::percent(score.relative, 2),
        ]
    });
    let head =
        ["books", "figures", "root mean square distance", "largest relative error of an Expected Shortfall"];
    let rows = rows.collect();
    let check = |score: &Scores| {
        Check::new(
            score.name,
            score.count,
            score.worst,
            SIGMAS,
            "standard errors",
            format!("worst: {}", score.place),
        )
    };
    Ok(vec![Block::Text(text), Block::Checks(scores.iter().map(check).collect()), table(head, rows)])
}

/// Distances of estimates from truths.
struct Scores {
    name: &'static str,
    count: u64,
    worst: f64,
    place: String,
    squares: f64,
    relative: f64,
}

impl Scores {
    fn new(name: &'static str) -> Self {
        Self { name, count: 0, worst: 0.0, place: String::new(), squares: 0.0, relative: 0.0 }
    }

    /// VaR and ES, with an allowance for rounding beside the standard errors.
    fn add(&mut self, place: &str, ours: &TailEstimate, [var, es]: [f64; 2], rounding: f64) {
        for (what, estimate, error, truth) in [
            ("VaR", ours.value_at_risk, ours.value_at_risk_error, var),
            ("ES", ours.expected_shortfall, ours.expected_shortfall_error, es),
        ] {
            let distance = (estimate - truth).abs() - rounding;
            // Without an error of its own an estimate must be right to the allowance.
            let z = if distance <= 0.0 { 0.0 } else { distance / error };
            self.count += 1;
            self.squares += z * z;
            if !self.worst.is_nan() && !(z <= self.worst) {
                (self.worst, self.place) = (z, format!("{what} of {place}"));
            }
        }
        self.relative = worse(self.relative, (ours.expected_shortfall / es - 1.0).abs());
    }
}

/// A row of a table of one-asset books: parameters, level and truths of long and short.
struct LinearRow {
    set: String,
    days: f64,
    alpha: f64,
    volatility: f64,
    jumps: Option<Jumps>,
    truths: [[f64; 2]; 2],
}

fn linear_row(row: &Row<'_>) -> Option<LinearRow> {
    let value = |column| number(row, column);
    let size = if row.cell("eta1").is_empty() {
        JumpSize::Merton { mean: value("mean_log_jump")?, sd: value("sd_log_jump")? }
    } else {
        let (up_rate, down_rate) = (value("eta1")?, value("eta2")?);
        JumpSize::Kou { up_probability: value("p_up")?, up_rate, down_rate }
    };
    let intensity_annual = value("lambda")?;
    let jumps = (intensity_annual > 0.0).then_some(Jumps { intensity_annual, size });
    let truth = |var, es| Some([value(var)?, value(es)?]);
    Some(LinearRow {
        set: row.text("set")?.to_owned(),
        days: value("horizon_days_365")?,
        alpha: value("alpha")?,
        volatility: value("sigma")?,
        jumps,
        truths: [truth("VaR_long", "ES_long")?, truth("VaR_short", "ES_short")?],
    })
}

fn linear(name: &'static str, file: &str, text: &str, paths: u64) -> Result<Scores, String> {
    let mut groups: BTreeMap<(String, u64), Vec<LinearRow>> = BTreeMap::new();
    for row in reference(file, text, linear_row)? {
        groups.entry((row.set.clone(), row.days.to_bits())).or_default().push(row);
    }
    let mut scores = Scores::new(name);
    let mut engine = CpuEngine::new(Precision::F32);
    for (seed, rows) in groups.into_values().enumerate() {
        let first = &rows[0];
        let jumping = Asset { own_jumps: first.jumps, ..asset(1.0, first.volatility) };
        let alphas: Vec<f64> = rows.iter().map(|row| row.alpha).collect();
        let mut setup = Setup::new(market(vec![jumping]), first.days, &alphas, seed as u64)?;
        for side in [1.0, -1.0] {
            [Kind::Spot, LINEAR, INVERSE].into_iter().for_each(|kind| setup.account(&[(0, kind, side)]));
        }
        for (account, levels) in estimates(&mut engine, &setup.job()?, paths)?.iter().enumerate() {
            for (row, ours) in rows.iter().zip(levels) {
                let side = account / 3;
                let place =
                    format!("set {}, {} days, {} {}", row.set, row.days, row.alpha, ["long", "short"][side]);
                scores.add(&place, ours, row.truths[side], 0.0);
            }
        }
    }
    Ok(scores)
}

struct EllipticalRow {
    case: String,
    weights: Vec<f64>,
    sds: Vec<f64>,
    correlation: Vec<f64>,
    nu: Option<f64>,
    alpha: f64,
    truth: [f64; 2],
}

fn elliptical_row(row: &Row<'_>) -> Option<EllipticalRow> {
    let list = |column: &str| {
        let cells = row.text(column)?.split([' ', ';']);
        cells.map(|cell| cell.parse().ok()).collect::<Option<Vec<f64>>>()
    };
    let is_t = row.text("dist")? == "t";
    Some(EllipticalRow {
        case: row.text("case")?.to_owned(),
        weights: list("weights")?,
        sds: list("horizon_vols")?,
        correlation: list("correlation")?,
        nu: if is_t { Some(number(row, "nu")?) } else { None },
        alpha: number(row, "alpha")?,
        truth: [number(row, "VaR")?, number(row, "ES")?],
    })
}

fn elliptical(paths: u64) -> Result<Scores, String> {
    let mut scores = Scores::new("Portfolios of several assets, normal and Student-t returns");
    let mut engine = CpuEngine::new(Precision::F32);
    for row in reference("elliptical_es.csv", ELLIPTICAL, elliptical_row)? {
        let day = (1.0 / DAYS_PER_YEAR).sqrt();
        let tail_group = row.nu.is_some().then_some(0);
        let of = |sd: &f64| Asset { tail_group, ..asset(1.0, SMALLNESS * sd / day) };
        let mut several = market(row.sds.iter().map(of).collect());
        several
            .tail_groups
            .extend(row.nu.map(|nu| TailGroup { name: "t".to_owned(), degrees_of_freedom: nu }));
        several.correlation =
            Correlation::new(row.sds.len(), row.correlation).map_err(|fault| fault.to_string())?;
        let mut setup = Setup::new(several, 1.0, &[row.alpha], 500)?;
        let positions: Vec<_> =
            row.weights.iter().enumerate().map(|(asset, w)| (asset, LINEAR, w / SMALLNESS)).collect();
        setup.account(&positions);
        let found = estimates(&mut engine, &setup.job()?, paths)?;
        scores.add(&format!("portfolio {} at {}", row.case, row.alpha), &found[0][0], row.truth, 0.0);
    }
    Ok(scores)
}

#[derive(Deserialize)]
struct Books {
    #[serde(rename = "F0")]
    forward: f64,
    portfolios: BTreeMap<String, Vec<Leg>>,
}

#[derive(Deserialize)]
struct Leg {
    #[serde(rename = "type")]
    kind: String,
    qty: f64,
    strike: f64,
    #[serde(rename = "T_days")]
    expiry_days: f64,
    iv: f64,
}

impl Leg {
    fn position(&self) -> Result<(usize, Kind, f64), String> {
        let european = |right| {
            Kind::Option(OptionTerms {
                right,
                strike: self.strike,
                expiry: in_days(self.expiry_days),
                settlement: Settlement::Linear,
                volatility_annual: Some(self.iv),
            })
        };
        let kind = match self.kind.as_str() {
            "C" => european(Right::Call),
            "P" => european(Right::Put),
            "U" => Kind::Spot,
            "I" => INVERSE,
            other => return Err(format!("a leg of type {other}")),
        };
        Ok((0, kind, self.qty))
    }
}

struct BookRow {
    set: String,
    days: f64,
    volatility: f64,
    jumps: Option<Jumps>,
    book: String,
    alpha: f64,
    now: f64,
    truth: [f64; 2],
}

/// Rows in dollars; `None` inside is a row in coins.
fn book_row(row: &Row<'_>) -> Option<Option<BookRow>> {
    if row.text("unit")? != "usd" {
        return Some(None);
    }
    let value = |column| number(row, column);
    let size = JumpSize::Merton { mean: value("mean_log_jump")?, sd: value("sd_log_jump")? };
    let intensity_annual = value("lambda")?;
    Some(Some(BookRow {
        set: row.text("set")?.to_owned(),
        days: value("horizon_days_365")?,
        volatility: value("sigma")?,
        jumps: (intensity_annual > 0.0).then_some(Jumps { intensity_annual, size }),
        book: row.text("portfolio")?.to_owned(),
        alpha: value("alpha")?,
        now: value("V0")?,
        truth: [value("VaR")?, value("ES")?],
    }))
}

fn option_books(paths: u64) -> Result<Scores, String> {
    const ALPHAS: [f64; 3] = [0.975, 0.99, 0.995];
    let books: Books = serde_json::from_str(OPTION_BOOKS).map_err(|error| error.to_string())?;
    let mut groups: BTreeMap<(String, u64), Vec<BookRow>> = BTreeMap::new();
    for row in reference("option_books_es.csv", OPTION_BOOKS_ES, book_row)?.into_iter().flatten() {
        groups.entry((row.set.clone(), row.days.to_bits())).or_default().push(row);
    }
    let mut scores = Scores::new("Books of options, fully revalued, Merton returns");
    let mut engine = CpuEngine::new(Precision::F32);
    for (seed, rows) in groups.into_values().enumerate() {
        let jumping = Asset { own_jumps: rows[0].jumps, ..asset(books.forward, rows[0].volatility) };
        let mut setup = Setup::new(market(vec![jumping]), rows[0].days, &ALPHAS, seed as u64)?;
        for legs in books.portfolios.values() {
            let positions: Vec<_> = legs.iter().map(Leg::position).collect::<Result<_, _>>()?;
            setup.account(&positions);
        }
        let units = setup.units()?;
        let premium = |account: usize| -> f64 {
            let holdings = setup.portfolio.accounts[account].holdings.iter();
            holdings.map(|h| (h.quantity * units[h.instrument as usize].market_value).abs()).sum()
        };
        let found = estimates(&mut engine, &setup.job()?, paths)?;
        for row in &rows {
            // A bought option loses its premium and no more; one row of the table says otherwise.
            if row.book.starts_with("long_call") && row.truth[1] > row.now * (1.0 + 1e-8) {
                continue;
            }
            let account = books.portfolios.keys().position(|name| *name == row.book);
            let level = ALPHAS.iter().position(|alpha| *alpha == row.alpha);
            let (Some(account), Some(level)) = (account, level) else {
                return Err(format!("no book {} at {}", row.book, row.alpha));
            };
            let place = format!("{}, set {}, {} days, {}", row.book, row.set, row.days, row.alpha);
            let rounding = F32_BOOK * premium(account).max(row.truth[1]);
            scores.add(&place, &found[account][level], row.truth, rounding);
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_estimate_or_none_is_the_worst() {
        let right = TailEstimate {
            expected_shortfall: 2.0,
            expected_shortfall_error: 0.1,
            value_at_risk: 1.0,
            value_at_risk_error: 0.1,
            paths: 1_000,
        };
        let worst = |estimates: &[TailEstimate]| {
            let mut scores = Scores::new("books");
            estimates.iter().for_each(|estimate| scores.add("a book", estimate, [1.0, 2.0], 0.0));
            scores.worst
        };
        assert_eq!(worst(&[right]), 0.0);
        assert!(worst(&[TailEstimate { expected_shortfall: 3.0, ..right }, right]) > SIGMAS);
        for none in [
            TailEstimate { expected_shortfall: f64::NAN, ..right },
            TailEstimate { value_at_risk: 1.1, value_at_risk_error: f64::NAN, ..right },
        ] {
            assert!(worst(&[right, none, right]).is_nan());
        }
        assert!(
            worst(&[TailEstimate { value_at_risk: 1.1, value_at_risk_error: 0.0, ..right }]).is_infinite()
        );
    }
}
