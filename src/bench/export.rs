//! Workloads as files, so that other programs can do the same work: JSON, and NumPy arrays.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::workload::{Workload, WorkloadFault, WorkloadName};
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Cube, Engine, EngineFault, Job, Pilot};
use crate::instrument::Kind;
use crate::market::JumpSize;
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

/// Writes W1 and W2 into a folder:
///
/// - `w1.json`: paths, steps, the market, the instruments with their quantities, and what the
///   engine makes of it, with its standard error;
/// - `w2-pnl.npy`: profit of one unit of every instrument on every path, `[500][100000]`, f32, as
///   the engine simulates it; `w2-starts.npy`, `w2-row.npy`, `w2-quantity.npy`: the accounts'
///   holdings in compressed sparse rows; `w2-es.npy`: the engine's Expected Shortfall of every account.
pub fn export(folder: &Path) -> Result<(), ExportFault> {
    let put = |name: &str, write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>| {
        let path = folder.join(name);
        let file = File::create(&path).map(|file| BufWriter::with_capacity(1 << 20, file));
        let done = file.and_then(|mut file| write(&mut file).and_then(|()| file.flush()));
        done.map_err(|error| ExportFault::Io { path, error })
    };
    fs::create_dir_all(folder).map_err(|error| ExportFault::Io { path: folder.to_owned(), error })?;
    let one = Workload::new(WorkloadName::W1)?;
    let mut text = serde_json::to_string_pretty(&describe(&one)?).expect("plain values become JSON");
    text.push('\n');
    put("w1.json", &mut |out| out.write_all(text.as_bytes()))?;
    let many = Workload::new(WorkloadName::W2)?;
    let shortfalls: Vec<f64> = shortfalls(&many.job, many.paths)?.iter().map(|(es, _)| *es).collect();
    let netting = &many.job.netting[0];
    let quantities: Vec<f32> = netting.quantity.iter().map(|&quantity| quantity as f32).collect();
    put("w2-starts.npy", &mut |out| {
        array(out, "<u4", &[netting.starts.len()], &netting.starts, u32::to_le_bytes)
    })?;
    put("w2-row.npy", &mut |out| array(out, "<u4", &[netting.row.len()], &netting.row, u32::to_le_bytes))?;
    put("w2-quantity.npy", &mut |out| array(out, "<f4", &[quantities.len()], &quantities, f32::to_le_bytes))?;
    put("w2-es.npy", &mut |out| array(out, "<f8", &[shortfalls.len()], &shortfalls, f64::to_le_bytes))?;
    let paths = many.paths as usize;
    let cube = CpuEngine::new(Precision::F32).cube_f32(&many.job, 0..many.paths);
    let profits = rows(&cube, many.job.rows.len(), paths);
    put("w2-pnl.npy", &mut |out| array(out, "<f4", &[many.job.rows.len(), paths], &profits, f32::to_le_bytes))
}

/// Blocks of `[row][BLOCK]` as `[row][path]`.
fn rows(cube: &Cube<f32>, rows: usize, paths: usize) -> Vec<f32> {
    let mut profits = Vec::with_capacity(rows * paths);
    for row in 0..rows {
        let end = (row + 1) * paths;
        for block in &cube.pnl {
            let left = (end - profits.len()).min(BLOCK);
            profits.extend_from_slice(&block[row * BLOCK..][..left]);
        }
    }
    profits
}

/// Expected Shortfall and its standard error of every account on the CPU in f32.
fn shortfalls(job: &Job, paths: u64) -> Result<Vec<(f64, f64)>, EngineFault> {
    let brackets = Pilot::new(job, paths).brackets(job, 1.0);
    let tails = CpuEngine::new(Precision::F32).tails(job, &brackets, 0..paths, &mut |_| ())?;
    let estimate = |(tail, bracket): (&crate::risk::Tail, &crate::risk::Bracket)| {
        let estimate = tail.estimate(bracket, job.levels[0].confidence, paths);
        estimate.map(|e| (e.expected_shortfall, e.expected_shortfall_error))
    };
    let all: Result<Vec<_>, _> = tails.iter().zip(&brackets).map(estimate).collect();
    all.map_err(|fault| EngineFault::Device(format!("a tail could not be estimated ({fault:?})")))
}

fn describe(work: &Workload) -> Result<Value, ExportFault> {
    let market = &work.market;
    let (shortfall, error) = shortfalls(&work.job, work.paths)?[0];
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
        "expected_shortfall": shortfall, "standard_error": error,
    }))
}

/// A NumPy array, version 1.0 of its format: a line of Python, padded to 64 bytes, then the numbers.
fn array<T: Copy, const N: usize>(
    out: &mut dyn Write,
    kind: &str,
    shape: &[usize],
    values: &[T],
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
    values.iter().try_for_each(|&value| out.write_all(&bytes(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_the_format_of_numpy() {
        let mut bytes = Vec::new();
        array(&mut bytes, "<f4", &[2, 1], &[1.0f32, -2.0], f32::to_le_bytes).unwrap();
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
        let profits = rows(&cube, 2, BLOCK + 3);
        assert_eq!(profits.len(), 2 * (BLOCK + 3));
        assert_eq!(profits[BLOCK..BLOCK + 4], [1000.0, 1001.0, 1002.0, 64.0]);
        assert_eq!(profits[2 * BLOCK + 3..][..3], [1064.0, 1065.0, 1066.0]);
    }
}
