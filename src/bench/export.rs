//! Workloads as files, so that other programs can do the same work: JSON, and NumPy arrays.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::workload::{Workload, WorkloadFault, WorkloadName};
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Cube, Engine, EngineFault, Job, Netting, Pilot, TailLevel};
use crate::instrument::Kind;
use crate::market::JumpSize;
use crate::risk::TailEstimate;
use crate::scenario::Precision;
use crate::units::Years;

/// Why workloads could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ExportFault {
    /// A file.
    #[error("{}: {error}", .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A workload.
    #[error("{0}")]
    Workload(#[from] WorkloadFault),
    /// The engine.
    #[error("{0}")]
    Engine(#[from] EngineFault),
}

/// Paths of the night whose profits are written.
const NIGHT_PATHS: u64 = 16_384;

/// Writes workloads into a folder:
///
/// - `w1.json` (either form of W1): paths, steps, the market, the instruments with their quantities,
///   and what the engine makes of it, with its standard error;
/// - `w2-pnl.npy`: profit of one unit of every instrument on every path, `[500][100000]`, f32, as
///   the engine simulates it; `w2-starts.npy`, `w2-row.npy`, `w2-quantity.npy`: the accounts'
///   holdings in compressed sparse rows; `w2-es.npy`: the engine's Expected Shortfall of every account;
/// - `night.json`: paths of the night, and horizon and confidence of every level; `night-pnl.npy`:
///   profits as above, but of the night's first 16,384 paths and at both horizons, `[2000][16384]`,
///   131 MB; `night-starts-H.npy`, `night-row-H.npy`, `night-quantity-H.npy`: holdings at horizon H;
///   `night-es.npy`: the engine's Expected Shortfall on exactly these paths, `[account][level]`, NaN
///   where the pilot's bracket missed and a run would simulate again. 155 MB of files, and 0.5 GB of
///   memory.
///
/// Money is in US dollars.
pub fn export(folder: &Path, workloads: &[WorkloadName]) -> Result<(), ExportFault> {
    fs::create_dir_all(folder).map_err(|error| ExportFault::Io { path: folder.to_owned(), error })?;
    for &name in workloads {
        let work = Workload::new(name)?;
        match name {
            WorkloadName::W1 | WorkloadName::W1Exact => one_account(folder, &work)?,
            WorkloadName::W2 => many_accounts(folder, &work)?,
            WorkloadName::Night => night(folder, &work)?,
        }
    }
    Ok(())
}

fn one_account(folder: &Path, work: &Workload) -> Result<(), ExportFault> {
    put_json(folder, "w1.json", &describe(work)?)
}

fn many_accounts(folder: &Path, work: &Workload) -> Result<(), ExportFault> {
    let es: Vec<f64> = estimates(&work.job, work.paths)?.iter().map(|e| shortfall(e.as_ref())).collect();
    put_array(folder, "w2-es.npy", "<f8", &[es.len()], es, f64::to_le_bytes)?;
    put_holdings(folder, ["w2-starts.npy", "w2-row.npy", "w2-quantity.npy"], &work.job.netting[0])?;
    put_profits(folder, "w2-pnl.npy", &work.job, work.paths)
}

fn night(folder: &Path, work: &Workload) -> Result<(), ExportFault> {
    let job = &work.job;
    let level = |level: &TailLevel| json!({"horizon": level.horizon, "confidence": level.confidence.get()});
    let levels: Vec<Value> = job.levels.iter().map(level).collect();
    put_json(folder, "night.json", &json!({"paths": work.paths, "levels": levels}))?;
    let es: Vec<f64> = estimates(job, NIGHT_PATHS)?.iter().map(|e| shortfall(e.as_ref())).collect();
    let shape = [job.accounts(), job.levels.len()];
    put_array(folder, "night-es.npy", "<f8", &shape, es, f64::to_le_bytes)?;
    for (horizon, netting) in job.netting.iter().enumerate() {
        let names = ["starts", "row", "quantity"].map(|name| format!("night-{name}-{horizon}.npy"));
        put_holdings(folder, names.each_ref().map(String::as_str), netting)?;
    }
    put_profits(folder, "night-pnl.npy", job, NIGHT_PATHS)
}

/// Every account at every level on the CPU in f32, `[account][level]`; none where a bracket missed.
fn estimates(job: &Job, paths: u64) -> Result<Vec<Option<TailEstimate>>, EngineFault> {
    let brackets = Pilot::new(job, paths).brackets(job, 1.0);
    let tails = CpuEngine::new(Precision::F32).tails(job, &brackets, 0..paths, &mut |_| ())?;
    Ok(super::measure::estimates(job, &brackets, &tails, paths))
}

fn shortfall(estimate: Option<&TailEstimate>) -> f64 {
    estimate.map_or(f64::NAN, |estimate| estimate.expected_shortfall)
}

/// Accounts times rows in compressed sparse rows: starts, rows, quantities.
fn put_holdings(folder: &Path, names: [&str; 3], netting: &Netting) -> Result<(), ExportFault> {
    let [starts, row, quantity] = names;
    let held = netting.row.len();
    put_array(
        folder,
        starts,
        "<u4",
        &[netting.starts.len()],
        netting.starts.iter().copied(),
        u32::to_le_bytes,
    )?;
    put_array(folder, row, "<u4", &[held], netting.row.iter().copied(), u32::to_le_bytes)?;
    let quantities = netting.quantity.iter().map(|&quantity| quantity as f32);
    put_array(folder, quantity, "<f4", &[held], quantities, f32::to_le_bytes)
}

/// Profit of one unit of every row on a job's first paths, as the engine simulates it.
fn put_profits(folder: &Path, name: &str, job: &Job, paths: u64) -> Result<(), ExportFault> {
    let cube = CpuEngine::new(Precision::F32).cube_f32(job, 0..paths);
    let (rows, paths) = (job.rows.len(), paths as usize);
    put_array(folder, name, "<f4", &[rows, paths], profits(&cube, rows, paths), f32::to_le_bytes)
}

/// Blocks of `[row][BLOCK]` as `[row][path]`.
fn profits(cube: &Cube<f32>, rows: usize, paths: usize) -> impl Iterator<Item = f32> {
    let of = move |row: usize| cube.pnl.iter().flat_map(move |block| &block[row * BLOCK..][..BLOCK]);
    (0..rows).flat_map(move |row| of(row).take(paths)).copied()
}

fn describe(work: &Workload) -> Result<Value, ExportFault> {
    let market = &work.market;
    let estimate = estimates(&work.job, work.paths)?.swap_remove(0);
    let error = estimate.as_ref().map_or(f64::NAN, |estimate| estimate.expected_shortfall_error);
    let assets: Vec<Value> = market
        .assets
        .iter()
        .map(|asset| {
            let jumps = asset.own_jumps.expect("every asset of the workload jumps");
            let JumpSize::Merton { mean, sd } = jumps.size else {
                unreachable!("the workload's jumps are normal")
            };
            json!({
                "spot": asset.spot, "volatility_annual": asset.volatility_annual,
                "jump_intensity_annual": jumps.intensity_annual, "jump_mean": mean, "jump_sd": sd,
            })
        })
        .collect();
    let correlation: Vec<Vec<f64>> = (0..assets.len())
        .map(|row| (0..assets.len()).map(|column| market.correlation.get(row, column)).collect())
        .collect();
    let account = &work.portfolio.accounts[0];
    let instruments: Vec<Value> = account
        .holdings
        .iter()
        .map(|holding| {
            let instrument = &work.portfolio.instruments[holding.instrument as usize];
            let mut value = json!({
                "name": instrument.name, "asset": instrument.asset, "quantity": holding.quantity,
                "kind": "linear",
            });
            if let Kind::Option(terms) = instrument.kind {
                value["kind"] = "option".into();
                value["sign"] = terms.right.sign().into();
                value["strike"] = terms.strike.into();
                value["volatility_annual"] = terms.volatility_annual.into();
                value["years"] = Years::between(market.as_of, terms.expiry).map(Years::get).into();
            }
            value
        })
        .collect();
    Ok(json!({
        "paths": work.paths, "steps": work.job.steps(), "horizon_years": work.job.horizons[0].get(),
        "confidence": work.job.levels[0].confidence.get(),
        "assets": assets, "correlation": correlation, "instruments": instruments,
        "expected_shortfall": shortfall(estimate.as_ref()), "standard_error": error,
    }))
}

fn put_json(folder: &Path, name: &str, value: &Value) -> Result<(), ExportFault> {
    let mut text = serde_json::to_string_pretty(value).expect("plain values become JSON");
    text.push('\n');
    put(folder, name, |out| out.write_all(text.as_bytes()))
}

fn put_array<T, const N: usize>(
    folder: &Path,
    name: &str,
    kind: &str,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
    bytes: fn(T) -> [u8; N],
) -> Result<(), ExportFault> {
    put(folder, name, |out| array(out, kind, shape, values, bytes))
}

fn put(
    folder: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), ExportFault> {
    let path = folder.join(name);
    let file = File::create(&path).map(|file| BufWriter::with_capacity(1 << 20, file));
    let done = file.and_then(|mut file| write(&mut file).and_then(|()| file.flush()));
    done.map_err(|error| ExportFault::Io { path, error })
}

/// A NumPy array, version 1.0 of its format: a line of Python, padded to 64 bytes, then the numbers.
fn array<T, const N: usize>(
    out: &mut dyn Write,
    kind: &str,
    shape: &[usize],
    values: impl IntoIterator<Item = T>,
    bytes: fn(T) -> [u8; N],
) -> io::Result<()> {
    let shape: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({shape}), }}");
    const BEFORE: usize = 10;
    let length = (BEFORE + header.len() + 1).next_multiple_of(64) - BEFORE;
    header = format!("{header:<width$}\n", width = length - 1);
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(length as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    values.into_iter().try_for_each(|value| out.write_all(&bytes(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_the_format_of_numpy() {
        let mut bytes = Vec::new();
        array(&mut bytes, "<f4", &[2, 1], [1.0f32, -2.0], f32::to_le_bytes).unwrap();
        let header = &bytes[10..bytes.len() - 8];
        assert_eq!(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])), header.len());
        assert!((header.len() + 10).is_multiple_of(64) && header.ends_with(b"\n"));
        assert!(header.starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, ), }"));
        assert_eq!(&bytes[bytes.len() - 8..], [0, 0, 128, 63, 0, 0, 0, 192]);
    }

    #[test]
    fn profits_are_laid_out_by_instrument() {
        let block = |first: usize| (0..2 * BLOCK).map(|at| (first * 1000 + at) as f32).collect::<Vec<_>>();
        let cube = Cube { factors: Vec::new(), pnl: vec![block(0), block(1)] };
        let profits: Vec<f32> = profits(&cube, 2, BLOCK + 3).collect();
        assert_eq!(profits.len(), 2 * (BLOCK + 3));
        assert_eq!(profits[BLOCK..BLOCK + 4], [1000.0, 1001.0, 1002.0, 64.0]);
        assert_eq!(profits[2 * BLOCK + 3..][..3], [1064.0, 1065.0, 1066.0]);
    }

    #[test]
    fn a_night_has_the_engines_figures_in_its_own_files() {
        let folder = tempfile::tempdir().unwrap();
        // Any book will do: the smallest workload has one account and one horizon.
        let work = Workload::new(WorkloadName::W1Exact).unwrap();
        night(folder.path(), &work).unwrap();
        let numbers = |name: &str| {
            let bytes = fs::read(folder.path().join(name)).unwrap();
            let data = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            bytes[data..].to_vec()
        };
        let words = |name: &str| -> Vec<[u8; 4]> { numbers(name).as_chunks().0.to_vec() };
        let starts: Vec<u32> = words("night-starts-0.npy").into_iter().map(u32::from_le_bytes).collect();
        assert_eq!(starts, [0, 208]);
        let profits: Vec<f32> = words("night-pnl.npy").into_iter().map(f32::from_le_bytes).collect();
        let paths = NIGHT_PATHS as usize;
        assert_eq!(profits.len(), 208 * paths);
        let mut losses = vec![0.0f64; paths];
        for (row, quantity) in words("night-row-0.npy").into_iter().zip(words("night-quantity-0.npy")) {
            let (row, quantity) = (u32::from_le_bytes(row) as usize, f32::from_le_bytes(quantity));
            for (loss, &profit) in losses.iter_mut().zip(&profits[row * paths..]) {
                *loss -= f64::from(quantity) * f64::from(profit);
            }
        }
        let exact = crate::risk::exact(&mut losses, work.job.levels[0].confidence);
        let es = f64::from_le_bytes(numbers("night-es.npy").try_into().unwrap());
        // Second order in a bin's width.
        assert!((es / exact.expected_shortfall - 1.0).abs() < 1e-4, "{es} {exact:?}");
        let levels: Value =
            serde_json::from_slice(&fs::read(folder.path().join("night.json")).unwrap()).unwrap();
        assert_eq!(levels["levels"], json!([{"horizon": 0, "confidence": 0.99}]));
    }
}
