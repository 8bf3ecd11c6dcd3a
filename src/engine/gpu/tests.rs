//! The GPU engine against the CPU engine in f32: every bit of factors, profits, losses and tails.

use std::path::Path;

use super::*;
use crate::engine::Pilot;
use crate::engine::cpu::CpuEngine;
use crate::generate::{self, Night};
use crate::market::{JumpSize, Market};
use crate::run;
use crate::scenario::{self, Precision, Scenario};

/// Path counts around blocks, subgroups, and the limit of a fold.
const COUNTS: [u64; 6] = [1, 63, 64, 65, 345, 65_537];

pub fn engine(options: GpuOptions) -> Option<GpuEngine> {
    match GpuEngine::with_options(options) {
        Ok(engine) => {
            eprintln!("adapter: {:?}", engine.adapter());
            Some(engine)
        }
        Err(fault @ EngineFault::NoDevice(_)) => {
            assert!(std::env::var("REQUIRE_GPU").as_deref() != Ok("1"), "REQUIRE_GPU=1, but {fault}");
            eprintln!("skipped: {fault}");
            None
        }
        Err(fault) => panic!("{fault}"),
    }
}

pub fn quickstart() -> Scenario {
    scenario::read(Path::new("scenarios/quickstart.yaml")).expect("the example is valid")
}

fn nightly() -> Scenario {
    scenario::read(Path::new("scenarios/nightly.yaml")).expect("the example is valid")
}

pub fn job(scenario: &Scenario) -> Job {
    run::job(scenario, &scenario.market).expect("the example has a job")
}

/// How many numbers were compared, and how many differ in any bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Comparison {
    factors: [u64; 2],
    pnl: [u64; 2],
    losses: [u64; 2],
    tails: [u64; 2],
}

impl Comparison {
    fn add(&mut self, other: Self) {
        let pairs = [
            (&mut self.factors, other.factors),
            (&mut self.pnl, other.pnl),
            (&mut self.losses, other.losses),
            (&mut self.tails, other.tails),
        ];
        for (sum, more) in pairs {
            sum[0] += more[0];
            sum[1] += more[1];
        }
    }

    #[track_caller]
    fn assert_same(&self) {
        eprintln!("compared and different: {self:?}");
        for [compared, different] in [self.factors, self.pnl, self.losses, self.tails] {
            assert!(compared > 0 && different == 0, "{self:?}");
        }
    }
}

fn differing(gpu: &[f32], cpu: &[f32]) -> [u64; 2] {
    assert_eq!(gpu.len(), cpu.len());
    let different = gpu.iter().zip(cpu).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
    [gpu.len() as u64, different as u64]
}

/// Runs both engines; `cpu_job` is the same job unless the comparison itself is tested.
fn compare(gpu: &mut GpuEngine, gpu_job: &Job, cpu_job: &Job, paths: Range<u64>) -> Comparison {
    let mut comparison = Comparison::default();
    let cpu = CpuEngine::new(Precision::F32);
    let expected = cpu.cube_f32(cpu_job, paths.clone());
    let cube = gpu.cube(gpu_job, paths.clone()).expect("the job runs");
    assert_eq!(cube.factors.len(), expected.factors.len());
    let mut sum = |of: fn(&mut Comparison) -> &mut [u64; 2], more: [u64; 2]| {
        let place = of(&mut comparison);
        place[0] += more[0];
        place[1] += more[1];
    };
    for (gpu, cpu) in cube.factors.iter().zip(&expected.factors) {
        sum(|c| &mut c.factors, differing(gpu, cpu));
    }
    for (gpu, cpu) in cube.pnl.iter().zip(&expected.pnl) {
        sum(|c| &mut c.pnl, differing(gpu, cpu));
    }
    for horizon in 0..cpu_job.horizons.len() {
        let all = cpu.losses_f32(cpu_job, &expected, horizon, |account, losses| {
            differing(&cube.losses[horizon][account], losses)
        });
        all.into_iter().for_each(|more| sum(|c| &mut c.losses, more));
    }
    comparison.add(compare_tails(gpu, gpu_job, cpu_job, paths));
    comparison
}

fn compare_tails(gpu: &mut GpuEngine, gpu_job: &Job, cpu_job: &Job, paths: Range<u64>) -> Comparison {
    let brackets = Pilot::new(cpu_job, 8192).brackets(cpu_job, 1.0);
    let mut cpu = CpuEngine::new(Precision::F32);
    let expected = cpu.tails(cpu_job, &brackets, paths.clone(), &mut |_| ()).expect("the CPU has no faults");
    let mut done = 0;
    let tails =
        gpu.tails(gpu_job, &brackets, paths.clone(), &mut |paths| done = paths).expect("the job runs");
    assert_eq!(done, paths.end - paths.start);
    assert_eq!(tails.len(), expected.len());
    let different = tails.iter().zip(&expected).filter(|(gpu, cpu)| gpu != cpu).count();
    Comparison { tails: [tails.len() as u64, different as u64], ..Comparison::default() }
}

#[test]
fn quickstart_is_the_same_on_any_number_of_paths() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let job = job(&quickstart());
    let mut all = Comparison::default();
    for paths in COUNTS {
        all.add(compare(&mut gpu, &job, &job, 0..paths));
    }
    all.assert_same();
}

#[test]
fn sizes_order_and_variants_do_not_matter() {
    let job = job(&quickstart());
    let split = GpuOptions { dialect: Some(Dialect::PLAIN), ..GpuOptions::default() };
    let mut variants = vec![split.clone(), GpuOptions { reversed: true, ..GpuOptions::default() }];
    for workgroup in [32, 128, 256] {
        variants.push(GpuOptions { workgroup: Some(workgroup), ..GpuOptions::default() });
    }
    for tile_paths in [64, 192, 4096, 65_536] {
        variants.push(GpuOptions { tile_paths: Some(tile_paths), ..GpuOptions::default() });
    }
    variants.push(GpuOptions { reversed: true, workgroup: Some(256), tile_paths: Some(320), ..split });
    let mut all = Comparison::default();
    for options in variants {
        let Some(mut gpu) = engine(options) else { return };
        all.add(compare(&mut gpu, &job, &job, 64..64 + 1345));
    }
    all.assert_same();
}

#[test]
fn large_tiles_are_folded_in_time() {
    let Some(mut gpu) = engine(GpuOptions { tile_paths: Some(1 << 17), ..GpuOptions::default() }) else {
        return;
    };
    let job = job(&quickstart());
    let comparison = compare_tails(&mut gpu, &job, &job, 0..(1 << 18) + 345);
    assert!(comparison.tails[0] > 0 && comparison.tails[1] == 0, "{comparison:?}");
}

#[test]
fn submissions_that_change_their_size_are_the_same() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let job = job(&quickstart());
    // No device is done within a microsecond, so every submission is smaller than the one before.
    let hurried = Pace::finding(std::time::Duration::ZERO..=std::time::Duration::from_micros(1));
    gpu.pace = Some((Needs::new(&job, false), hurried.clone()));
    let comparison = compare_tails(&mut gpu, &job, &job, 0..20_011);
    assert!(comparison.tails[0] > 0 && comparison.tails[1] == 0, "{comparison:?}");
    let (_, now) = gpu.pace.as_ref().expect("a run leaves its pace");
    assert!(*now != hurried && now.paths(1 << 20) < 4096, "{now:?}");
}

/// More submissions than timestamps fit, so that they are read on the way.
#[test]
fn stages_are_timed_by_the_device() {
    let Some(mut gpu) = engine(GpuOptions { tile_paths: Some(64), ..GpuOptions::default() }) else { return };
    let job = job(&quickstart());
    let start = std::time::Instant::now();
    let comparison = compare_tails(&mut gpu, &job, &job, 0..40_000);
    assert_eq!(comparison.tails[1], 0, "{comparison:?}");
    let Some(times) = gpu.stage_times() else {
        assert!(!gpu.adapter().timestamp_query);
        return;
    };
    eprintln!("{times:?}");
    assert!(times.by_name().iter().all(|(_, seconds)| *seconds > 0.0), "{times:?}");
    assert!(times.total() < start.elapsed().as_secs_f64(), "{times:?}");
    // Half the work again adds to it.
    compare_tails(&mut gpu, &job, &job, 0..20_000);
    let more = gpu.stage_times().expect("as before") - times;
    assert!(more.simulate > 0.0 && more.net > 0.0, "{more:?}");
}

#[test]
fn nightly_and_its_stresses_are_the_same() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let scenario = nightly();
    let mut all = compare(&mut gpu, &job(&scenario), &job(&scenario), 0..1345);
    for stress in &scenario.stresses {
        let market = stress.apply(&scenario.market);
        let job = run::job(&scenario, &market).expect("the stress has a job");
        all.add(compare(&mut gpu, &job, &job, 0..345));
    }
    all.assert_same();
}

#[test]
fn every_dynamic_is_the_same() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let base = quickstart();
    let jobs = [
        ("one step", with(&base, |s| s.simulation.exact_steps = true)),
        ("24 steps", with(&base, |s| s.simulation.exact_steps = false)),
        ("exact with normal shocks", normal_and_exact(&base)),
        ("no jumps", with(&base, |s| without_jumps(&mut s.market))),
        ("Kou jumps, often", with(&base, |s| kou(&mut s.market))),
        ("two groups of tails", with(&base, |s| two_groups(&mut s.market))),
        ("still volatility and basis", with(&base, |s| still(&mut s.market))),
        ("reported in a coin", with(&base, |s| s.reporting_asset = Some(0))),
        ("reported in another coin", with(&base, |s| s.reporting_asset = Some(1))),
        ("another seed", with(&base, |s| s.simulation.seed = 0xFEDC_BA98_7654_3210)),
    ];
    let mut all = Comparison::default();
    for (name, job) in &jobs {
        eprintln!("{name}: {} steps", job.steps());
        let comparison = compare(&mut gpu, job, job, 0..1345);
        comparison.assert_same();
        all.add(comparison);
    }
    all.assert_same();
}

#[test]
fn paths_beyond_32_bits_are_the_same() {
    let Some(mut gpu) = engine(GpuOptions { tile_paths: Some(192), ..GpuOptions::default() }) else { return };
    let job = job(&quickstart());
    let start = (1u64 << 32) - 128;
    compare(&mut gpu, &job, &job, start..start + 345).assert_same();
}

/// Several workgroups of accounts, and paths that are several invocations.
#[test]
fn many_assets_and_accounts_are_the_same() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let night = Night { accounts: 1200, positions: 9000, instruments: 150, assets: 21, seed: 3, paths: 345 };
    let folder = tempfile::tempdir().expect("there is room");
    generate::generate(&night, folder.path()).expect("it can be written");
    let scenario = scenario::read(&folder.path().join("scenario.yaml")).expect("it is valid");
    let job = job(&scenario);
    assert!(job.accounts() > 1100 && job.assets == 21, "{} accounts", job.accounts());
    compare(&mut gpu, &job, &job, 0..345).assert_same();
    compare_brackets(&mut gpu, &job, 345);
}

#[test]
fn the_pilot_has_the_same_brackets() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    for job in [job(&quickstart()), job(&nightly())] {
        for run in [100_000, 5001, 99] {
            compare_brackets(&mut gpu, &job, run);
        }
    }
}

fn compare_brackets(gpu: &mut GpuEngine, job: &Job, run: u64) {
    let pilot = Pilot::new(job, run);
    let paths = run.min(KEPT_PATHS) as usize;
    let ranks: Vec<_> =
        job.levels.iter().map(|level| LevelRanks::new(level.confidence, paths, 1.0)).collect();
    let mut rank = |ranks: &[LevelRanks]| {
        let ranked = gpu.rank(job, paths as u64, ranks).expect("the device ranks");
        ranked.expect("a pilot fits into a tile")
    };
    let ranked = rank(&ranks);
    let scales = job.scale.iter().flat_map(|scale| job.levels.iter().map(move |_| *scale));
    let brackets: Vec<_> =
        ranked.iter().zip(scales).map(|(ranked, scale)| Bracket::around(ranked, 1.0, scale)).collect();
    assert_eq!(brackets, pilot.brackets(job, 1.0));
    // Other ranks are other losses.
    let others: Vec<_> = ranks.iter().map(|rank| LevelRanks { inside: rank.inside / 2, ..*rank }).collect();
    assert_ne!(rank(&others), ranked);
    assert_eq!(pilot.brackets_on(gpu, job), brackets);
}

#[test]
fn many_steps_take_many_dispatches() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let job = with(&quickstart(), |s| {
        s.simulation.exact_steps = false;
        s.simulation.steps = 8001;
    });
    let needs = Needs::new(&job, false);
    let plan = plan::plan(&needs, &gpu.allowed(), 192, None).expect("it fits");
    assert!(plan.steps < job.steps(), "{plan:?}");
    compare(&mut gpu, &job, &job, 0..129).assert_same();
}

#[test]
fn the_comparison_sees_differences() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let right = job(&quickstart());
    let mut seed = right.clone();
    seed.seed ^= 1 << 40;
    let all_differ = compare(&mut gpu, &seed, &right, 0..345);
    assert!(all_differ.factors[1] > all_differ.factors[0] / 2 && all_differ.tails[1] > 0, "{all_differ:?}");
    // One constant by one unit in the last place of f32.
    let mut constant = right.clone();
    let strike = constant.rows.iter_mut().find_map(|row| row.option.as_mut()).expect("an option is held");
    strike.strike = f64::from(f32::from_bits((strike.strike as f32).to_bits() + 1));
    let one_row = compare(&mut gpu, &constant, &right, 0..345);
    assert_eq!(one_row.factors[1], 0);
    assert!(one_row.pnl[1] > 0 && one_row.pnl[1] <= 384, "{one_row:?}");
    let mut quantity = right.clone();
    quantity.netting[0].quantity[0] *= 1.0001;
    let one_account = compare(&mut gpu, &quantity, &right, 0..345);
    assert_eq!(one_account.pnl[1], 0);
    assert!(one_account.losses[1] > 0, "{one_account:?}");
}

#[test]
fn a_lost_device_is_a_fault() {
    let Some(mut gpu) = engine(GpuOptions { tile_paths: Some(64), ..GpuOptions::default() }) else { return };
    let job = job(&quickstart());
    let brackets = Pilot::new(&job, 8192).brackets(&job, 1.0);
    let raw = gpu.device.raw.clone();
    let mut tiles = 0;
    let result = gpu.tails(&job, &brackets, 0..640, &mut |_| {
        tiles += 1;
        if tiles == 3 {
            raw.destroy();
        }
    });
    assert!(matches!(result, Err(EngineFault::Lost(_))), "{result:?}");
    assert!(matches!(gpu.tails(&job, &brackets, 0..64, &mut |_| ()), Err(EngineFault::Lost(_))));
    assert!(matches!(gpu.cube(&job, 0..64), Err(EngineFault::Lost(_))));
    // A new device of the same adapter works.
    let Some(mut fresh) = engine(GpuOptions::default()) else { return };
    compare(&mut fresh, &job, &job, 0..64).assert_same();
}

#[test]
fn several_devices_share_the_paths() {
    let small = || GpuOptions { tile_paths: Some(512), ..GpuOptions::default() };
    let (Some(first), Some(second)) = (engine(small()), engine(small())) else { return };
    let scenario = quickstart();
    let job = job(&scenario);
    let paths = 40_003;
    let brackets = Pilot::new(&job, paths).brackets(&job, 1.0);
    let mut cpu = CpuEngine::new(Precision::F32);
    let expected = cpu.tails(&job, &brackets, 0..paths, &mut |_| ()).expect("the CPU has no faults");
    let lost = first.device.raw.clone();
    let engines: Vec<Box<dyn Engine>> = vec![Box::new(first), Box::new(second), Box::new(cpu)];
    let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = std::sync::Arc::clone(&heard);
    let mut several = crate::engine::Several::new(engines, move |text| {
        told.lock().expect("nobody panics").push(text.to_owned());
    });
    assert!(several.tails(&job, &brackets, 0..paths, &mut |_| ()).expect("the job runs") == expected);
    assert_eq!(heard.lock().expect("nobody panics").len(), 0);
    // One is lost in the middle of its work; the others do it.
    let mut calls = 0;
    let tails = several.tails(&job, &brackets, 0..paths, &mut |_| {
        calls += 1;
        if calls == 2 {
            lost.destroy();
        }
    });
    assert!(tails.expect("two are left") == expected);
    let heard = heard.lock().expect("nobody panics");
    assert!(heard.len() == 1 && heard[0].contains("the device was lost"), "{heard:?}");
    assert!(several.device().reason.contains("the device was lost"), "{:?}", several.device());
}

#[test]
fn an_adapter_is_taken_once() {
    let Some(gpu) = engine(GpuOptions::default()) else { return };
    let name = Wanted::Named(gpu.adapter().name.clone());
    let count = adapters().iter().filter(|adapter| adapter.name == gpu.adapter().name).count();
    assert_eq!(GpuEngine::several(&vec![name.clone(); count]).expect("they are there").len(), count);
    match GpuEngine::several(&vec![name; count + 1]) {
        Err(EngineFault::NoDevice(text)) => assert!(text.contains("asked for again"), "{text}"),
        other => panic!("{:?}", other.map(|engines| engines.len())),
    }
}

#[test]
fn a_tail_that_overflows_is_the_same() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let job = job(&quickstart());
    // Quanta so small that large losses do not fit, bins so narrow that most are beyond.
    let mut brackets = Pilot::new(&job, 8192).brackets(&job, 1.0);
    for bracket in &mut brackets {
        bracket.quanta_per_loss *= 4096.0;
        bracket.bins_per_loss *= 1e12;
    }
    let mut cpu = CpuEngine::new(Precision::F32);
    let expected = cpu.tails(&job, &brackets, 0..4096, &mut |_| ()).expect("the CPU has no faults");
    let tails = gpu.tails(&job, &brackets, 0..4096, &mut |_| ()).expect("the job runs");
    assert_eq!(tails, expected);
    assert!(tails.iter().any(|tail| tail.overflows > 0));
}

#[test]
fn an_unknown_adapter_is_a_fault() {
    match GpuEngine::new(Some("no adapter has this name")) {
        Err(EngineFault::NoDevice(text)) => eprintln!("{text}"),
        Err(fault) => panic!("{fault}"),
        Ok(_) => panic!("an adapter was found"),
    }
}

/// A scenario with one thing changed.
fn with(scenario: &Scenario, change: impl FnOnce(&mut Scenario)) -> Job {
    let mut scenario = scenario.clone();
    change(&mut scenario);
    job(&scenario)
}

fn normal_and_exact(scenario: &Scenario) -> Job {
    with(scenario, |scenario| {
        scenario.simulation.exact_steps = true;
        scenario.market.assets.iter_mut().for_each(|asset| asset.tail_group = None);
    })
}

fn without_jumps(market: &mut Market) {
    market.common_jumps = None;
    market.assets.iter_mut().for_each(|asset| asset.own_jumps = None);
}

fn kou(market: &mut Market) {
    let size = JumpSize::Kou { up_probability: 0.3, up_rate: 25.0, down_rate: 15.0 };
    let assets = market.assets.iter_mut().filter_map(|asset| asset.own_jumps.as_mut());
    for jumps in assets.chain(market.common_jumps.as_mut()) {
        jumps.size = size;
        jumps.intensity_annual *= 500.0;
    }
}

fn two_groups(market: &mut Market) {
    let mut other = market.tail_groups[0].clone();
    other.degrees_of_freedom = 2.5;
    market.tail_groups.push(other);
    market.assets[1].tail_group = Some(1);
    market.assets[2].tail_group = None;
}

fn still(market: &mut Market) {
    for asset in &mut market.assets {
        asset.basis_volatility_annual = 0.0;
        if let Some(dynamics) = &mut asset.implied_volatility {
            dynamics.volatility_annual = 0.0;
        }
    }
}

/// Timings, not a test: `cargo test --release --lib gpu::tests::timing -- --ignored --nocapture`.
/// Processor time stands beside wall time, because a software adapter shares its cores.
#[test]
#[ignore = "a measurement"]
fn timing() {
    let Some(mut gpu) = engine(GpuOptions::default()) else { return };
    let mut cpu = CpuEngine::new(Precision::F32);
    for (name, scenario, paths) in [("quickstart", quickstart(), 1 << 17), ("nightly", nightly(), 1 << 14)] {
        let job = job(&scenario);
        let brackets = Pilot::new(&job, paths).brackets(&job, 1.0);
        let engines: [(&str, &mut dyn Engine); 2] = [("gpu", &mut gpu), ("cpu", &mut cpu)];
        for (which, engine) in engines {
            for run in 0..2 {
                let before = engine.stage_times().unwrap_or_default();
                let (start, processor) = (std::time::Instant::now(), processor_seconds());
                engine.tails(&job, &brackets, 0..paths, &mut |_| ()).expect("the job runs");
                let (wall, processor) = (start.elapsed().as_secs_f64(), processor_seconds() - processor);
                let rows = job.rows.len();
                let stages = engine.stage_times().map(|after| after - before);
                eprintln!(
                    "{name} {which} run {run}: {paths} paths, {rows} rows, {wall:.3} s wall, {processor:.2} s cpu, {stages:.2?}"
                );
            }
        }
    }
}

/// Processor time of this process; zero where it is not known.
fn processor_seconds() -> f64 {
    let Ok(stat) = std::fs::read_to_string("/proc/self/stat") else { return 0.0 };
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}
