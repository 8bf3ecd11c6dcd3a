//! One workload on one engine: time of every stage, rates, error, memory.

use std::time::Instant;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::contender::Contender;
use super::process;
use super::workload::Workload;
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, DeviceReport, Engine, EngineFault, Job, Pilot, StageTimes};
use crate::risk::{Bracket, Tail, TailEstimate};
use crate::scenario::Precision;

/// Paths on which an engine's figures are compared with f64.
const CHECKED_PATHS: u64 = 16_384;
/// No clock sees less.
const LEAST_SECONDS: f64 = 1e-9;

/// What an engine made of a workload. Times in seconds of wall time, of the fastest repetition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// Name of the workload.
    pub workload: String,
    /// Name of the engine, as `--engine` takes it.
    pub engine: String,
    /// What it ran on.
    pub device: DeviceReport,
    /// Paths that were simulated; rates and times are of these.
    pub paths: u64,
    /// How often the whole was repeated.
    pub repetitions: u32,
    /// Brackets from the first paths.
    pub pilot_seconds: f64,
    /// Where the engine's time went; none on an adapter without timestamps.
    pub stages: Option<Stages>,
    /// All of it: pilot, paths, figures.
    pub total_seconds: f64,
    /// The median repetition.
    pub median_seconds: f64,
    /// The slowest repetition.
    pub slowest_seconds: f64,
    /// Processor time of the fastest repetition, all threads; where the system says.
    pub cpu_seconds: Option<f64>,
    /// Largest resident memory of the process while it was measured; where the system says.
    pub peak_memory_bytes: Option<u64>,
    /// Expected Shortfall of the first account at its first level, and its standard error, in US
    /// dollars.
    pub first_account: Figure,
    /// Standard errors of the mean account relative to its Expected Shortfall: 0.01 is 1 %.
    pub mean_relative_error: f64,
    /// Tails whose pilot's bracket missed; a run would simulate them again.
    pub missed_brackets: u64,
    /// How far the figures are from those of f64 on the same paths.
    pub check: Check,
}

/// The engine's stages; see [`crate::engine::StageTimes`] for what their times are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stages {
    /// Paths to the horizons; operations are steps of one asset.
    pub simulate: Stage,
    /// Profits; operations are instruments on paths, at each horizon.
    pub revalue: Stage,
    /// Losses and tails; operations are accounts on paths, at each horizon.
    pub net_and_tail: Stage,
}

/// A stage of the work.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// Time, of the fastest repetition.
    pub seconds: f64,
    /// How much it did.
    pub operations: u64,
    /// Operations in a second.
    pub per_second: f64,
}

/// An Expected Shortfall and its standard error, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Expected Shortfall.
    pub expected_shortfall: f64,
    /// Its standard error.
    pub standard_error: f64,
}

/// Distance of an engine's Expected Shortfall from that of f64 on the same paths.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Paths of the comparison.
    pub paths: u64,
    /// Largest distance of an account, in standard errors of the measured run.
    pub largest_in_standard_errors: f64,
    /// The same of the mean account.
    pub mean_in_standard_errors: f64,
}

/// Measures an engine; `repetitions` at least 1.
pub fn measure(work: &Workload, contender: &Contender, repetitions: u32) -> Result<Measurement, EngineFault> {
    let mut engine = contender.open()?;
    let engine = engine.as_mut();
    // Threads, memory and device programs are there before the clock starts.
    whole(engine, &work.job, work.paths.min(CHECKED_PATHS))?;
    process::forget_peak();
    let mut runs = Vec::with_capacity(repetitions as usize);
    for _ in 0..repetitions.max(1) {
        runs.push(whole(engine, &work.job, work.paths)?);
    }
    let peak_memory_bytes = process::peak_bytes();
    runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let (median, slowest) = (runs[runs.len() / 2].seconds, runs[runs.len() - 1].seconds);
    let run = runs.swap_remove(0);
    let check = check(engine, &work.job, &run)?;
    Ok(Measurement {
        workload: work.name.to_string(),
        engine: contender.to_string(),
        device: engine.device(),
        paths: work.paths,
        repetitions,
        pilot_seconds: run.pilot_seconds,
        stages: run.stages.map(|times| Stages::new(work, &times)),
        total_seconds: run.seconds,
        median_seconds: median,
        slowest_seconds: slowest,
        cpu_seconds: run.cpu_seconds,
        peak_memory_bytes,
        first_account: figure(&run),
        mean_relative_error: mean_relative_error(&run),
        missed_brackets: run.estimates.iter().filter(|estimate| estimate.is_none()).count() as u64,
        check,
    })
}

impl Stages {
    fn new(work: &Workload, times: &StageTimes) -> Self {
        let stage = |seconds: f64, operations: u64| {
            let operations = operations * work.paths;
            Stage { seconds, operations, per_second: operations as f64 / seconds.max(LEAST_SECONDS) }
        };
        Self {
            simulate: stage(times.simulate, work.asset_steps()),
            revalue: stage(times.quantities + times.revalue, work.rows()),
            net_and_tail: stage(times.net + times.fold, work.losses()),
        }
    }
}

/// A whole run.
struct Run {
    seconds: f64,
    pilot_seconds: f64,
    stages: Option<StageTimes>,
    cpu_seconds: Option<f64>,
    /// `[account][level]`; none where the bracket missed.
    estimates: Vec<Option<TailEstimate>>,
}

fn whole(engine: &mut dyn Engine, job: &Job, paths: u64) -> Result<Run, EngineFault> {
    let cpu_before = process::cpu_seconds();
    let start = Instant::now();
    let brackets = Pilot::new(job, paths).brackets_on(engine, job);
    let pilot_seconds = start.elapsed().as_secs_f64();
    let before = engine.stage_times();
    let tails = engine.tails(job, &brackets, 0..paths, &mut |_| ())?;
    let stages = engine.stage_times().zip(before).map(|(after, before)| after - before);
    let estimates = estimates(job, &brackets, &tails, paths);
    let seconds = start.elapsed().as_secs_f64();
    let cpu_seconds = cpu_before.zip(process::cpu_seconds()).map(|(before, after)| after - before);
    Ok(Run { seconds, pilot_seconds, stages, cpu_seconds, estimates })
}

/// Every account at every level, `[account][level]`; none where the bracket missed.
pub(super) fn estimates(
    job: &Job,
    brackets: &[Bracket],
    tails: &[Tail],
    paths: u64,
) -> Vec<Option<TailEstimate>> {
    let confidence = |index: usize| job.levels[index % job.levels.len()].confidence;
    let pairs = tails.par_iter().zip(brackets).enumerate();
    pairs.map(|(index, (tail, bracket))| tail.estimate(bracket, confidence(index), paths).ok()).collect()
}

fn figure(run: &Run) -> Figure {
    let first = run.estimates.iter().flatten().next();
    Figure {
        expected_shortfall: first.map_or(0.0, |estimate| estimate.expected_shortfall),
        standard_error: first.map_or(0.0, |estimate| estimate.expected_shortfall_error),
    }
}

fn mean_relative_error(run: &Run) -> f64 {
    let errors = run.estimates.iter().flatten().filter(|estimate| estimate.expected_shortfall > 0.0);
    mean(errors.map(|estimate| estimate.expected_shortfall_error / estimate.expected_shortfall))
}

/// Holds the engine against f64 on the first paths.
fn check(engine: &mut dyn Engine, job: &Job, run: &Run) -> Result<Check, EngineFault> {
    let paths = CHECKED_PATHS.next_multiple_of(BLOCK as u64);
    let brackets = Pilot::new(job, paths).brackets(job, 1.0);
    let of = |engine: &mut dyn Engine| {
        let tails = engine.tails(job, &brackets, 0..paths, &mut |_| ())?;
        Ok::<_, EngineFault>(estimates(job, &brackets, &tails, paths))
    };
    let own = of(engine)?;
    let reference = of(&mut CpuEngine::new(Precision::F64))?;
    let distances: Vec<f64> = own
        .iter()
        .zip(&reference)
        .zip(&run.estimates)
        .filter_map(|((own, reference), run)| {
            let distance = (own.as_ref()?.expected_shortfall - reference.as_ref()?.expected_shortfall).abs();
            let error = run.as_ref()?.expected_shortfall_error;
            (error > 0.0).then(|| distance / error)
        })
        .collect();
    Ok(Check {
        paths,
        largest_in_standard_errors: distances.iter().copied().fold(0.0, f64::max),
        mean_in_standard_errors: mean(distances.iter().copied()),
    })
}

/// Mean of some numbers; zero of none.
fn mean(numbers: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = numbers.fold((0.0, 0u64), |(sum, count), x| (sum + x, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}
