//! The stages of the CPU engine one by one, and together, on one tile of paths of a real book.
//!
//! `cargo bench` measures; `cargo test --bench stages` runs each once.

use std::hint::black_box;
use std::path::Path;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};

use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::{Cube, Engine, Job, Pilot};
use shortfall::risk::{Bracket, Tail};
use shortfall::run;
use shortfall::scenario::{self, Precision};

/// As many as a tile has at most.
const PATHS: u64 = 4096;

/// A book's job, and the parts of it that isolate a stage.
struct Work {
    job: Job,
    /// No instruments: what is left is the simulation.
    simulation_alone: Job,
    /// No steps: what is left is the revaluation, on paths that stand still.
    revaluation_alone: Job,
    brackets: Vec<Bracket>,
}

impl Work {
    fn new(book: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(book);
        let scenario = scenario::read(&path).expect("the scenarios of the project have no faults");
        let job = run::job(&scenario, &scenario.market).expect("every instrument has a value");
        let mut simulation_alone = job.clone();
        simulation_alone.curves.clear();
        simulation_alone.rows.clear();
        let mut revaluation_alone = job.clone();
        for observation in &mut revaluation_alone.observations {
            observation.segment.steps = 0;
        }
        let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
        Self { job, simulation_alone, revaluation_alone, brackets }
    }

    /// Steps of one path, all assets.
    fn asset_steps(&self) -> u64 {
        u64::from(self.job.steps()) * self.job.assets as u64
    }

    fn holdings(&self) -> u64 {
        self.job.netting.iter().map(|netting| netting.row.len() as u64).sum()
    }

    /// Nets the cube and sorts the losses of every account into its tails.
    fn net_f32(&self, engine: &CpuEngine, cube: &Cube<f32>) -> Vec<Tail> {
        let visit = |horizon: usize, account: usize, losses: &mut [f32]| {
            self.collect(horizon, account, losses.iter().copied())
        };
        let of_horizon =
            |horizon| engine.losses_f32(&self.job, cube, horizon, |account, l| visit(horizon, account, l));
        (0..self.job.horizons.len()).flat_map(of_horizon).collect()
    }

    fn net_f64(&self, engine: &CpuEngine, cube: &Cube<f64>) -> Vec<Tail> {
        let visit = |horizon: usize, account: usize, losses: &mut [f64]| {
            self.collect(horizon, account, losses.iter().map(|loss| *loss as f32))
        };
        let of_horizon =
            |horizon| engine.losses_f64(&self.job, cube, horizon, |account, l| visit(horizon, account, l));
        (0..self.job.horizons.len()).flat_map(of_horizon).collect()
    }

    fn collect(&self, horizon: usize, account: usize, losses: impl Iterator<Item = f32>) -> Tail {
        let levels = &self.job.levels;
        let level = levels.iter().position(|level| level.horizon == horizon).unwrap_or(0);
        let bracket = &self.brackets[account * levels.len() + level];
        let mut tail = Tail::default();
        for excess in losses.map(|loss| loss - bracket.floor).filter(|excess| *excess >= 0.0) {
            tail.add(excess, bracket);
        }
        tail
    }
}

fn group<'a>(c: &'a mut Criterion, stage: &str, book: &str, elements: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(format!("{stage}/{book}"));
    group.throughput(Throughput::Elements(elements)).sampling_mode(SamplingMode::Flat).sample_size(10);
    group
}

fn stages(c: &mut Criterion) {
    let f32_engine = CpuEngine::new(Precision::F32);
    let f64_engine = CpuEngine::new(Precision::F64);
    for (book, file) in [("quickstart", "quickstart.yaml"), ("nightly", "nightly.yaml")] {
        let work = Work::new(file);

        // Elements: asset steps.
        let mut simulate = group(c, "simulate", book, PATHS * work.asset_steps());
        let job = &work.simulation_alone;
        simulate.bench_function("f32", |b| b.iter(|| black_box(f32_engine.cube_f32(job, 0..PATHS))));
        simulate.bench_function("f64", |b| b.iter(|| black_box(f64_engine.cube_f64(job, 0..PATHS))));
        simulate.finish();

        // Elements: revaluations of one instrument on one path.
        let mut revalue = group(c, "revalue", book, PATHS * work.job.rows.len() as u64);
        let job = &work.revaluation_alone;
        revalue.bench_function("f32", |b| b.iter(|| black_box(f32_engine.cube_f32(job, 0..PATHS))));
        revalue.bench_function("f64", |b| b.iter(|| black_box(f64_engine.cube_f64(job, 0..PATHS))));
        revalue.finish();

        // Elements: holdings of all accounts on one path.
        let mut net = group(c, "net and tail", book, PATHS * work.holdings());
        let cube = f32_engine.cube_f32(&work.job, 0..PATHS);
        net.bench_function("f32", |b| b.iter(|| black_box(work.net_f32(&f32_engine, &cube))));
        let cube = f64_engine.cube_f64(&work.job, 0..PATHS);
        net.bench_function("f64", |b| b.iter(|| black_box(work.net_f64(&f64_engine, &cube))));
        net.finish();

        // Elements: paths.
        let mut tile = group(c, "tile", book, PATHS);
        for (name, engine) in [
            ("f32", f32_engine),
            ("f32 without vector instructions", f32_engine.with_baseline_instructions()),
            ("f64", f64_engine),
        ] {
            let mut engine = engine;
            tile.bench_function(name, |b| {
                b.iter(|| engine.tails(&work.job, &work.brackets, 0..PATHS, &mut |_| ()).map(black_box))
            });
        }
        tile.finish();
    }
}

criterion_group!(benches, stages);
criterion_main!(benches);
