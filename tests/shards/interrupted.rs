//! Runs that are killed, and runs that find no room.

use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

use rand::RngExt;
use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::{Cube, DeviceReport, Engine, EngineFault, Job};
use shortfall::numeric::PhiloxRng;
use shortfall::report::manifest::Started;
use shortfall::risk::{Bracket, Tail};
use shortfall::run::{self, RunFault, Silent};
use shortfall::scenario::{self, Precision};
use shortfall::shard::{Checkpoints, Part};

use crate::process::{Place, ended};

/// Kills of one test, unless `SHORTFALL_KILLS` says otherwise.
const KILLS: u32 = 30;
const RUN: &str = "run night/scenario.yaml --device cpu --quiet --checkpoint-every 0s --out";

fn kills() -> u32 {
    std::env::var("SHORTFALL_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS)
}

#[test]
fn a_run_killed_at_any_moment_goes_on_and_ends_with_the_same_bytes() {
    let place = Place::new();
    let start = Instant::now();
    place.done(&format!("{RUN} whole"));
    let length = start.elapsed();
    let whole = place.figures("whole");
    assert!(!place.path("whole.partial").exists());
    let mut rng = PhiloxRng::new(11, 0);
    let (mut killed, mut with_checkpoints) = (0, 0);
    let mut number = 0;
    while killed < kills() {
        number += 1;
        let out = format!("out-{number}");
        // Two kills in a row, then to the end: a resumed run is killed too.
        for _ in 0..2 {
            let mut child = place.command(&format!("{RUN} {out} --resume")).spawn().unwrap();
            let wait = length.mul_f64(1.1 * rng.random::<f64>());
            std::thread::sleep(wait);
            // On Unix this is SIGKILL.
            child.kill().unwrap();
            let status = child.wait().unwrap();
            killed += u32::from(!status.success());
            let partial = place.path(&format!("{out}.partial/case-000.tails"));
            with_checkpoints += u32::from(!status.success() && partial.exists());
        }
        place.done(&format!("{RUN} {out} --resume --force"));
        assert_eq!(place.figures(&out), whole, "after two kills, number {number}");
        assert!(!place.path(&format!("{out}.partial")).exists());
    }
    assert!(with_checkpoints > kills() / 5, "{with_checkpoints} of {killed} kills came after a checkpoint");
    let beside = place.names(".").into_iter().filter(|name| name.contains("replaced")).count();
    assert_eq!(beside, 0);
}

/// Killed while a checkpoint is being written: its file is there under another name, not yet whole or
/// not yet in place.
#[test]
fn a_run_killed_while_it_commits_keeps_the_checkpoint_before() {
    let place = Place::new();
    let run = |out: &str| format!("{RUN} {out} --paths 400000");
    place.done(&run("whole"));
    let partial = place.path("out.partial");
    let (mut killed, mut reached) = (0, 0);
    for _ in 0..200 {
        let mut child = place.command(&format!("{} --resume", run("out"))).spawn().unwrap();
        // Its own writing, not what the one before has left.
        let id = format!(".{}.", child.id());
        let begun = Instant::now();
        let own = || {
            let entries = std::fs::read_dir(&partial).into_iter().flatten().flatten();
            let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
            names
                .into_iter()
                .any(|name| name.contains(&id) && name.ends_with("unfinished") && name.contains("case"))
        };
        while !own() && child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(60) {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        killed += u32::from(own());
        let paths = reached_paths(&place.path("out.partial/case-000.tails"));
        assert!(paths >= reached, "a checkpoint never goes back: {paths} after {reached}");
        reached = paths;
        if killed >= 5 || reached == 400_000 {
            break;
        }
    }
    assert!(killed >= 1, "no kill came while a checkpoint was written");
    place.done(&format!("{} --resume --force", run("out")));
    assert_eq!(place.figures("out"), place.figures("whole"), "{killed} kills, the last at {reached} paths");
}

/// The CPU engine, lost after so many calls; counts the paths that it simulated.
struct Mortal {
    calls: u64,
    paths: u64,
}

impl Engine for Mortal {
    fn device(&self) -> DeviceReport {
        CpuEngine::new(Precision::F32).device()
    }

    fn tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Tail>, EngineFault> {
        if self.calls == 0 {
            return Err(EngineFault::Lost("unplugged".to_owned()));
        }
        assert!(paths.end - paths.start <= 4096, "a call is a tile where checkpoints are 0s apart");
        self.calls -= 1;
        self.paths += paths.end - paths.start;
        CpuEngine::new(Precision::F32).tails(job, brackets, paths, progress)
    }

    fn cube(&mut self, _: &Job, _: Range<u64>) -> Result<Cube<f32>, EngineFault> {
        Err(EngineFault::Lost("unplugged".to_owned()))
    }
}

#[test]
fn a_lost_device_loses_at_most_a_tile() {
    let folder = tempfile::tempdir().unwrap();
    let mut scenario = scenario::read(std::path::Path::new("scenarios/quickstart.yaml")).unwrap();
    scenario.simulation.paths = 50_003;
    let started = Started::now(&scenario).unwrap();
    let identity = started.identity(&scenario, None);
    let checkpoints = || {
        let part = Part::whole(&scenario.portfolio, scenario.simulation.paths);
        Checkpoints::of_run(folder.path(), &identity, part, Duration::ZERO).unwrap()
    };
    let mut rng = PhiloxRng::new(12, 0);
    let (mut simulated, mut losses) = (0, 0);
    let outcome = loop {
        let mut engine = Mortal { calls: rng.random_range(0..9), paths: 0 };
        let outcome = run::run_from(&scenario, &mut checkpoints(), &mut engine, &mut Silent);
        simulated += engine.paths;
        match outcome {
            Ok(outcome) => break outcome,
            Err(fault) => assert!(matches!(fault, RunFault::Engine(EngineFault::Lost(_))), "{fault}"),
        }
        losses += 1;
        assert!(losses < 200);
    };
    let of_all = scenario.simulation.paths * run::case_count(&scenario) as u64;
    let repairs: usize = outcome.cases.iter().map(|case| case.repaired).sum();
    println!("{losses} losses, {simulated} paths for {of_all}, {repairs} repairs");
    // Without a repair every path is simulated once: a lost call's paths are not counted.
    assert!(losses > 3 && repairs == 0 && simulated == of_all);
    let alone = run::run(&scenario, &mut CpuEngine::new(Precision::F32), &mut Silent).unwrap();
    for (ours, known) in outcome.cases.iter().zip(&alone.cases) {
        let figures = |case: &run::Case| {
            case.accounts.as_ref().unwrap().iter().map(|a| (a.maintenance, a.initial)).collect::<Vec<_>>()
        };
        assert_eq!(figures(ours), figures(known));
    }
}

/// Where the paths of a checkpoint end, from byte 80 of its header; 0 where there is none.
pub fn reached_paths(file: &std::path::Path) -> u64 {
    let number = |bytes: Vec<u8>| u64::from_le_bytes(bytes[80..88].try_into().unwrap());
    std::fs::read(file).map_or(0, number)
}

#[test]
fn what_was_simulated_is_not_simulated_again() {
    let place = Place::new();
    let start = Instant::now();
    let mut child = place.command(&format!("{RUN} out --paths 2000000")).spawn().unwrap();
    let tails = place.path("out.partial/case-000.tails");
    while !tails.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = reached_paths(&tails);
    assert!(before > 0 && before.is_multiple_of(4096), "{before}");
    // Without --resume the interrupted run is not thrown away by mistake.
    let careless = place.run(&format!("{RUN} out --paths 2000000"));
    assert_eq!(careless.code, Some(2), "{}", careless.err);
    assert!(careless.err.contains("--resume"), "{}", careless.err);
    // Another seed, other paths and other inputs are refused and named.
    for (options, named) in [("--seed 8", "seed 3, not 8"), ("--paths 30000", "paths 2000000, not 30000")] {
        let options =
            if options.contains("paths") { options.to_owned() } else { format!("{options} --paths 2000000") };
        let foreign = place.run(&format!("{RUN} out --resume {options}"));
        assert_eq!(foreign.code, Some(65), "{}", foreign.err);
        assert!(foreign.err.contains(named), "{}", foreign.err);
    }
    place.damage("out.partial/case-000.tails");
    let damaged = place.run(&format!("{RUN} out --resume --paths 2000000"));
    assert_eq!(damaged.code, Some(65), "{}", damaged.err);
    assert!(damaged.err.contains("case-000.tails") && damaged.err.contains("damaged"), "{}", damaged.err);
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_and_what_there_is_is_kept() {
    let place = Place::new();
    place.done(&format!("{RUN} whole"));
    // A file may have at most this many blocks of 512 bytes: a write beyond it fails as on a full
    // disk, once the signal is ignored. A case's tails are 200 kB.
    let limited = |blocks: u32, options: &str| {
        let program = env!("CARGO_BIN_EXE_shortfall");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec {program} {RUN} out {options}");
        ended(Command::new("sh").args(["-c", &script]).current_dir(place.path("")).output().unwrap())
    };
    let full = limited(100, "");
    assert_eq!(full.code, Some(74), "{}", full.err);
    assert!(full.err.contains("out.partial") && full.err.contains("--resume"), "{}", full.err);
    assert!(place.path("out.partial").exists() && !place.path("out").exists());
    assert!(!place.names("out.partial").iter().any(|name| name.contains("unfinished")));
    // A run that was further when the disk became full keeps the checkpoint that it had.
    let mut child = place.command(&format!("{RUN} out --resume")).spawn().unwrap();
    let tails = place.path("out.partial/case-000.tails");
    let start = Instant::now();
    while !tails.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = std::fs::read(&tails).unwrap();
    let full = limited(100, "--resume");
    assert_eq!(full.code, Some(74), "{}", full.err);
    assert!(full.err.contains("--resume"), "{}", full.err);
    assert_eq!(std::fs::read(&tails).unwrap(), before);
    place.done(&format!("{RUN} out --resume"));
    assert_eq!(place.figures("out"), place.figures("whole"));
}

#[test]
fn two_processes_do_not_share_a_run() {
    let place = Place::new();
    let mut first = place.command(&format!("{RUN} out --paths 4000000")).spawn().unwrap();
    let lock = place.path("out.partial/case-000.tails");
    let start = Instant::now();
    while !lock.exists() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let second = place.run(&format!("{RUN} out --resume --paths 4000000"));
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(second.code, Some(75), "{}", second.err);
    assert!(second.err.contains("another process"), "{}", second.err);
}

#[test]
fn a_tolerance_resumes_too() {
    let place = Place::new();
    let run = "run night/scenario.yaml --device cpu --quiet --checkpoint-every 0s --paths 1000000 --tolerance 3% --out";
    let start = Instant::now();
    place.done(&format!("{run} whole"));
    let length = start.elapsed();
    for (index, share) in [0.3, 0.6, 0.9].into_iter().enumerate() {
        let out = format!("out-{index}");
        let mut child = place.command(&format!("{run} {out}")).spawn().unwrap();
        std::thread::sleep(length.mul_f64(share));
        child.kill().unwrap();
        child.wait().unwrap();
        place.done(&format!("{run} {out} --resume --force"));
        assert_eq!(place.figures(&out), place.figures("whole"));
    }
}
