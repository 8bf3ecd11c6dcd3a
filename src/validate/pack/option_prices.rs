//! Tables of option prices, by closed form and by simulation.

use super::{Block, Effort, reference, table, worse};
use crate::closed_form::{BatesModel, EuropeanOption, HestonModel, OptionKind};
use crate::engine::Engine;
use crate::engine::cpu::CpuEngine;
use crate::scenario::Precision;
use crate::table::Row;
use crate::units::DAYS_PER_YEAR;
use crate::validate::prices::price_table;
use crate::validate::{Check, EnginePricer};

/// Seed of all simulated prices.
const SEED: u64 = 1;
/// A right mean is off by more than so many standard errors in one of two million cases.
const SIGMAS: f64 = 5.0;
/// An option that is worth less than so much of its strike keeps only a few digits of its closed form.
const KOU_RELATIVE: f64 = 1e-9;
const RELATIVE: f64 = 1e-11;

struct Source {
    name: &'static str,
    file: &'static str,
    text: &'static str,
    relative: f64,
}

macro_rules! source {
    ($name:expr, $file:expr, $relative:expr) => {
        Source {
            name: $name,
            file: $file,
            text: include_str!(concat!("../../../tests/data/", $file)),
            relative: $relative,
        }
    };
}

const SOURCES: [Source; 4] = [
    source!("Black-Scholes, Haug (1998)", "black_prices.csv", RELATIVE),
    source!("Merton, Haug (1998)", "merton_haug_prices.csv", RELATIVE),
    source!("Merton, series in 30 digits", "merton_prices.csv", RELATIVE),
    source!("Kou (2002), Lewis's integral in 30 digits", "kou_prices.csv", KOU_RELATIVE),
];

/// Tables of models that no engine simulates: name, file, text, whether they have jumps.
const BY_TRANSFORM: [(&str, &str, &str, bool); 2] = [
    (
        "Heston, Lewis's and others' in 30 digits",
        "heston_prices.csv",
        include_str!("../../../tests/data/heston_prices.csv"),
        false,
    ),
    ("Bates, in 30 digits", "bates_prices.csv", include_str!("../../../tests/data/bates_prices.csv"), true),
];

/// Relative error of the closed form at a row.
fn transform(row: &Row<'_>, has_jumps: bool) -> Option<f64> {
    let value = |column| super::number(row, column);
    let jump = |column| if has_jumps { value(column) } else { Some(0.0) };
    let model = BatesModel {
        heston: HestonModel {
            variance: value("v0")?,
            mean_reversion: value("kappa")?,
            long_variance: value("theta")?,
            volatility_of_variance: value("sigma")?,
            correlation: value("rho")?,
        },
        intensity: jump("lambda")?,
        mean_log_jump: jump("mean_log_jump")?,
        sd_log_jump: jump("sd_log_jump")?,
    };
    let option = EuropeanOption {
        kind: if row.text("cp")? == "C" { OptionKind::Call } else { OptionKind::Put },
        spot: value("spot")?,
        strike: value("strike")?,
        rate: value("r")?,
        dividend_yield: value("q")?,
        expiry_years: if has_jumps { value("days_act365")? / DAYS_PER_YEAR } else { value("t")? },
    };
    Some(
        model
            .price(&option)
            .map_or(f64::NAN, |price| (price / value("exact").unwrap_or(f64::NAN) - 1.0).abs()),
    )
}

pub(super) fn prices(effort: Effort) -> Result<Vec<Block>, String> {
    let engine = &mut CpuEngine::new(Precision::F32);
    let mut checks = Vec::new();
    let mut rows = Vec::new();
    for source in &SOURCES {
        let found = measure(engine, source, effort.price_paths)?;
        let name = |what: &str| format!("{}: {what}", source.name);
        let count = found.rows as u64;
        checks.push(Check::new(
            &name("closed form"),
            count,
            found.closed_form,
            source.relative,
            "of the price",
            String::new(),
        ));
        if found.published > 0 {
            // One unit: Haug prints some values truncated, or rounded from slightly other inputs.
            checks.push(Check::new(
                &name("closed form against the printed digits"),
                found.published as u64,
                found.places,
                1.0 + 1e-9,
                "last places",
                String::new(),
            ));
        }
        checks.push(Check::new(
            &name("simulated, f32"),
            count,
            found.worst,
            SIGMAS,
            "standard errors",
            String::new(),
        ));
        let rms = (found.squares / found.rows as f64).sqrt();
        rows.push([
            source.name.to_owned(),
            found.rows.to_string(),
            found.published.to_string(),
            format!("{rms:.2}"),
        ]);
    }
    for (name, file, text, has_jumps) in BY_TRANSFORM {
        let errors = reference(file, text, |row| transform(row, has_jumps))?;
        let worst = errors.iter().copied().fold(0.0, worse);
        let name = format!("{name}: closed form");
        checks.push(Check::new(&name, errors.len() as u64, worst, RELATIVE, "of the price", String::new()));
    }
    let text = format!(
        "Every row of four tables, by closed form in f64 and by the engine in f32 ({} paths for each group of options that share \
         a law and an expiry, seed {SEED}); Heston and Bates, which calibration fits and no engine simulates, by closed form alone.",
        effort.price_paths
    );
    let head = [
        "table",
        "prices",
        "with published digits",
        "simulated: root mean square of the distance in standard errors",
    ];
    Ok(vec![Block::Text(text), Block::Checks(checks), table(head, rows)])
}

#[derive(Default)]
struct Measured {
    rows: usize,
    published: usize,
    closed_form: f64,
    places: f64,
    worst: f64,
    squares: f64,
}

fn measure(engine: &mut dyn Engine, source: &Source, paths: u64) -> Result<Measured, String> {
    let mut pricer = EnginePricer::new(engine, paths, SEED, |_| ());
    let priced = price_table(source.text, source.file, &mut pricer).map_err(|faults| faults.to_string())?;
    let mut all = Measured::default();
    reference(source.file, &priced, |row| {
        let value = |column| super::number(row, column);
        let (ours, exact) = (value("value")?, value("exact")?);
        let (mean, error) = (value("mc_value")?, value("mc_standard_error")?);
        all.rows += 1;
        all.closed_form = worse(all.closed_form, (ours / exact - 1.0).abs());
        let distance = (mean - exact).abs() / error;
        all.worst = worse(all.worst, distance);
        all.squares += distance * distance;
        let printed = row.cell("published");
        if let Ok(published) = printed.parse::<f64>() {
            let decimals = printed.split_once('.').map_or(0, |(_, decimals)| decimals.len());
            all.published += 1;
            all.places = worse(all.places, (ours - published).abs() * 10f64.powi(decimals as i32));
        }
        Some(())
    })?;
    Ok(all)
}
