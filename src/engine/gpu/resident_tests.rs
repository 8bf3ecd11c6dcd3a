//! The cube on the device against the CPU engine: the bits of profits, first losses and tails.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::tests::{engine, job, quickstart};
use super::*;
use crate::engine::cpu::CpuEngine;
use crate::engine::resident::{Halt, Keeper, Leg, Netted, Profits, Resident, Unhurried};
use crate::engine::{Pilot, resident};
use crate::risk::Tail;
use crate::scenario::Precision;

/// More than a fold, tiles of each size, and an odd rest.
const PATHS: u64 = 65_536 + 3 * 64 + 7;

fn keeper(options: GpuOptions) -> Option<GpuKeeper> {
    engine(options).map(GpuKeeper::new)
}

/// What the CPU has of each account and level: losses on all paths, and tails at the brackets.
struct Expected {
    job: Job,
    brackets: Vec<Bracket>,
    tails: Vec<Tail>,
    /// `[horizon][account][path]`
    losses: Vec<Vec<Vec<f32>>>,
}

impl Expected {
    fn new() -> Self {
        let job = job(&quickstart());
        let mut cpu = CpuEngine::new(Precision::F32);
        let brackets = Pilot::new(&job, PATHS).brackets(&job, 1.0);
        let tails = cpu.tails(&job, &brackets, 0..PATHS, &mut |_| ()).expect("the CPU has no faults");
        let cube = cpu.cube_f32(&job, 0..PATHS);
        let losses = |horizon| cpu.losses_f32(&job, &cube, horizon, |_, losses| losses.to_vec());
        let losses = (0..job.horizons.len()).map(losses).collect();
        Self { brackets, tails, losses, job }
    }

    /// The legs of an account at a level, when the job's rows begin at a number.
    fn legs(&self, account: usize, level: usize, first: u32) -> Vec<Leg> {
        let netting = &self.job.netting[self.job.levels[level].horizon];
        let range = netting.starts[account] as usize..netting.starts[account + 1] as usize;
        range.map(|n| Leg { row: first + netting.row[n], quantity: netting.quantity[n] }).collect()
    }

    fn assert_tails(&self, index: usize, tails: &[Tail]) {
        assert_eq!(tails, &self.tails[index..=index], "account and level {index}");
    }
}

fn read(profits: &Profits) -> Vec<f32> {
    profits.read().expect("the device is there").into_owned()
}

fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    // Zero has two signs, and no figure tells them apart.
    values.into_iter().map(|value| (value + 0.0).to_bits()).collect()
}

#[test]
fn accounts_of_a_kept_cube_are_those_of_the_pass() {
    let expected = Expected::new();
    let small = GpuOptions { tile_paths: Some(4096), ..GpuOptions::default() };
    let reversed = GpuOptions { reversed: true, workgroup: Some(128), ..small.clone() };
    for options in [GpuOptions::default(), small, reversed] {
        let Some(keeper) = keeper(options) else { return };
        let kept = keeper.simulate(&expected.job, PATHS, &Unhurried).expect("it fits");
        assert_eq!(kept.add(&expected.job, &Unhurried), Ok(0));
        for index in 0..expected.tails.len() {
            check(&expected, &*kept, index);
        }
    }
}

fn check(expected: &Expected, kept: &dyn Resident, index: usize) {
    let levels = expected.job.levels.len();
    let (account, level) = (index / levels, index % levels);
    let bracket = &expected.brackets[index..=index];
    let legs = expected.legs(account, level, 0);
    let whole = Netted { base: None, legs: &legs };
    expected.assert_tails(index, &kept.tails(&whole, bracket, &Unhurried).expect("it runs"));
    // The last leg on top of the others, and nothing on top of all.
    let (last, others) = legs.split_last().expect("every account holds something");
    let base = kept.profits(&Netted { base: None, legs: others }, &Unhurried).expect("it runs");
    let on_top = Netted { base: Some(&base), legs: std::slice::from_ref(last) };
    expected.assert_tails(index, &kept.tails(&on_top, bracket, &Unhurried).expect("it runs"));
    let all = kept.profits(&on_top, &Unhurried).expect("it runs");
    let as_it_is = Netted { base: Some(&all), legs: &[] };
    expected.assert_tails(index, &kept.tails(&as_it_is, bracket, &Unhurried).expect("it runs"));
    let losses = &expected.losses[expected.job.levels[level].horizon][account];
    assert_eq!(bits(read(&all).iter().map(|profit| -profit)), bits(losses.iter().copied()));
    for netted in [whole, on_top, as_it_is] {
        let first = kept.first_losses(&netted, 5003).expect("it runs");
        assert_eq!(bits(first), bits(losses[..5003].iter().copied()));
    }
    // Another book has another tail.
    let twice = [legs.as_slice(), &legs[..1]].concat();
    let other = kept.tails(&Netted { base: None, legs: &twice }, bracket, &Unhurried).expect("it runs");
    assert_ne!(other[0], expected.tails[index]);
}

#[test]
fn rows_may_come_in_parts_and_go_alone() {
    let Some(keeper) = keeper(GpuOptions::default()) else { return };
    let expected = Expected::new();
    let kept = keeper.simulate(&expected.job, PATHS, &Unhurried).expect("it fits");
    // The same rows twice: an account may hold some of each.
    assert_eq!(kept.add(&expected.job, &Unhurried), Ok(0));
    let rows = expected.job.rows.len() as u32;
    assert_eq!(kept.add(&expected.job, &Unhurried), Ok(rows));
    let again = kept.same_paths();
    assert_eq!(again.add(&expected.job, &Unhurried), Ok(0));
    drop(kept.same_paths());
    for index in 0..expected.tails.len() {
        let levels = expected.job.levels.len();
        let mut legs = expected.legs(index / levels, index % levels, 0);
        legs.iter_mut().step_by(2).for_each(|leg| leg.row += rows);
        let bracket = &expected.brackets[index..=index];
        let netted = Netted { base: None, legs: &legs };
        expected.assert_tails(index, &kept.tails(&netted, bracket, &Unhurried).expect("it runs"));
        let legs = expected.legs(index / levels, index % levels, 0);
        let netted = Netted { base: None, legs: &legs };
        let asked = resident::Asked { netted, brackets: bracket.to_vec(), is_kept: index % 2 == 0 };
        let mut answered = again.tails_of(&[asked], &Unhurried).expect("it runs");
        let (tails, profits) = answered.pop().expect("one account was asked about");
        expected.assert_tails(index, &tails);
        assert_eq!(profits.is_some(), index % 2 == 0);
    }
    let nowhere = [Leg { row: 2 * rows, quantity: 1.0 }];
    let missing = kept.profits(&Netted { base: None, legs: &nowhere }, &Unhurried);
    assert!(matches!(missing, Err(Halt::Fault(EngineFault::Device(_)))));
}

/// Rows that do not fit beside a tile in one go are priced in parts.
#[test]
fn many_rows_are_many_slabs() {
    let Some(keeper) = keeper(GpuOptions { tile_paths: Some(1 << 16), ..GpuOptions::default() }) else {
        return;
    };
    let expected = Expected::new();
    // 32 copies of every curve: 300 rows of 64 Ki paths are 256 KiB each, a binding holds 128 MiB there.
    let mut large = expected.job.clone();
    let rows = expected.job.rows.len();
    let copies = 2048_usize.div_ceil(rows);
    for copy in 1..copies {
        large.rows.extend_from_slice(&expected.job.rows);
        large.curves.extend(expected.job.curves.iter().cloned().map(|mut curve| {
            curve.rows = curve.rows.start + copy * rows..curve.rows.end + copy * rows;
            curve
        }));
    }
    let kept = keeper.simulate(&large, 4096, &Unhurried).expect("it fits");
    kept.add(&large, &Unhurried).expect("it fits");
    let of = |row: usize| {
        let leg = [Leg { row: row as u32, quantity: 1.0 }];
        read(&kept.profits(&Netted { base: None, legs: &leg }, &Unhurried).expect("it runs"))
    };
    for row in 0..rows {
        let first = of(row);
        assert!(first.iter().any(|profit| *profit != 0.0), "row {row}");
        assert_eq!(bits(first), bits(of((copies - 1) * rows + row)), "row {row}");
    }
}

#[test]
fn it_stops_when_told_and_says_when_it_is_lost() {
    struct After(AtomicUsize);
    impl resident::Pace for After {
        fn go_on(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) > 1
        }
    }
    let after = |tiles| After(AtomicUsize::new(tiles));
    let Some(keeper) = keeper(GpuOptions { tile_paths: Some(4096), ..GpuOptions::default() }) else { return };
    let job = job(&quickstart());
    assert_eq!(keeper.simulate(&job, PATHS, &after(3)).err(), Some(Halt::Told));
    let kept = keeper.simulate(&job, PATHS, &Unhurried).expect("it fits");
    assert_eq!(kept.add(&job, &after(3)), Err(Halt::Told));
    // Nothing of it is there.
    assert_eq!(kept.add(&job, &Unhurried), Ok(0));
    let legs = [Leg { row: 0, quantity: 1.0 }];
    let netted = Netted { base: None, legs: &legs };
    assert_eq!(kept.profits(&netted, &after(3)).err(), Some(Halt::Told));
    let profits = kept.profits(&netted, &Unhurried).expect("it runs");
    assert_eq!(keeper.check(), Ok(()));
    keeper.destroy();
    let is_lost = |halt: Option<Halt>| matches!(halt, Some(Halt::Fault(EngineFault::Lost(_))));
    let halt = kept.profits(&netted, &Unhurried).err();
    assert!(is_lost(halt.clone()), "{halt:?}");
    assert!(is_lost(kept.first_losses(&netted, 64).err()));
    assert!(is_lost(kept.add(&job, &Unhurried).err()));
    assert!(matches!(profits.read(), Err(EngineFault::Lost(_))));
    assert!(matches!(keeper.check(), Err(EngineFault::Lost(_))));
    assert!(is_lost(keeper.simulate(&job, PATHS, &Unhurried).err()));
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let Some(keeper) = keeper(GpuOptions::default()) else { return };
    let job = job(&quickstart());
    let most = keeper.most_paths();
    match keeper.simulate(&job, most + 64, &Unhurried).err() {
        Some(Halt::Fault(EngineFault::TooLarge { needed, available, next, .. })) => {
            assert_eq!(needed, 4 * (most + 64));
            assert!(available < needed && next.contains("fewer paths"), "{next}");
        }
        other => panic!("{other:?}"),
    }
}
