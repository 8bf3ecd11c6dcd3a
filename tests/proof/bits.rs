//! The f32 figures are the same bits however the work is cut.

use rayon::ThreadPoolBuilder;
use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::{BLOCK, Engine, Job};
use shortfall::instrument::{Kind, Right, Settlement};
use shortfall::market::{Asset, Correlation};
use shortfall::risk::{Bracket, Tail};
use shortfall::scenario::Precision;

use crate::fixture::{
    INVERSE_PERPETUAL, LINEAR_PERPETUAL, Setup, asset, brackets, in_days, kou, levels, market, merton,
    moving_volatility, option, tail_group,
};

const PATHS: u64 = 20_037;

/// Everything at once: a mixed asset, own and common jumps, levels, bases, two horizons, options that
/// expire inside, 37 accounts.
fn setup(seed: u64) -> Setup {
    let mut three = market(vec![
        Asset { own_jumps: merton(40.0, -0.03, 0.06), common_jump_loading: 1.0, ..asset(60_000.0, 0.6) },
        Asset { own_jumps: kou(25.0, 0.4, 25.0, 20.0), common_jump_loading: 1.2, ..asset(2_000.0, 0.9) },
        Asset { tail_group: Some(0), common_jump_loading: 0.7, ..asset(150.0, 1.1) },
    ]);
    three.tail_groups = vec![tail_group(3.7)];
    three.common_jumps = merton(30.0, -0.04, 0.05);
    three.correlation =
        Correlation::new(3, vec![1.0, 0.8, 0.5, 0.8, 1.0, 0.6, 0.5, 0.6, 1.0]).expect("positive");
    for asset in &mut three.assets {
        asset.implied_volatility = Some(moving_volatility(6.0, 1.3, -0.5));
        asset.basis_volatility_annual = 0.2;
    }
    let mut setup = Setup::new(three, 5.0, &[0.99, 0.975], seed);
    setup.levels.extend(levels(1.0, &[0.99]));
    setup.steps = 5;
    let spots = [60_000.0, 2_000.0, 150.0];
    let mut kinds: Vec<(usize, Kind)> = Vec::new();
    for (asset, spot) in spots.into_iter().enumerate() {
        kinds.extend([Kind::Spot, LINEAR_PERPETUAL, INVERSE_PERPETUAL].map(|kind| (asset, kind)));
        kinds.push((asset, Kind::Future(Settlement::Inverse, in_days(60.0))));
        for (i, strike) in [0.8, 0.95, 1.0, 1.1, 1.3].into_iter().enumerate() {
            let right = if i % 2 == 0 { Right::Put } else { Right::Call };
            for days in [3.0, 5.0, 45.0] {
                kinds.push((asset, option(right, strike * spot, days, Settlement::Linear, Some(0.8))));
            }
        }
    }
    for account in 0..37usize {
        let holds = |(index, &(asset, kind)): (usize, &(usize, Kind))| {
            let quantity = ((index * 7 + account * 13) % 11) as f64 - 5.0;
            ((index + account) % 3 == 0).then_some((asset, kind, quantity * 1e4 / spots[asset]))
        };
        let positions: Vec<_> = kinds.iter().enumerate().filter_map(holds).collect();
        setup.account(&positions);
    }
    setup
}

fn run(engine: &mut CpuEngine, job: &Job, brackets: &[Bracket], cuts: &[u64]) -> Vec<Tail> {
    let mut whole = vec![Tail::default(); brackets.len()];
    for cut in cuts.windows(2) {
        let part = engine.tails(job, brackets, cut[0]..cut[1], &mut |_| ()).expect("no faults");
        whole.iter_mut().zip(&part).for_each(|(whole, part)| whole.merge(part));
    }
    whole
}

/// `parts` ranges of whole blocks, of different sizes.
fn cuts(parts: u64) -> Vec<u64> {
    let mut cuts: Vec<u64> =
        (0..parts).map(|i| (PATHS * i * i / (parts * parts)).next_multiple_of(BLOCK as u64)).collect();
    cuts.push(PATHS);
    cuts
}

#[test]
fn tails_are_the_same_bits() {
    let setup = setup(51);
    let job = setup.job();
    let brackets = brackets(&job, PATHS);
    let engine = CpuEngine::new(Precision::F32);
    let tails = |engine: CpuEngine, parts| run(&mut engine.clone(), &job, &brackets, &cuts(parts));
    let reference = tails(engine, 1);
    let counts: u64 = reference.iter().flat_map(|t| &t.bins).map(|bin| bin.count).sum();
    assert!(counts > 1000, "tails without losses compare nothing");
    assert!(tails(engine, 1) == reference, "a repeated run");
    for tile_blocks in [1, 7, 64] {
        assert!(tails(engine.with_tile_blocks(tile_blocks), 1) == reference, "tiles of {tile_blocks}");
    }
    assert!(tails(engine.with_baseline_instructions(), 1) == reference, "baseline instructions");
    for parts in [2, 7] {
        assert!(tails(engine, parts) == reference, "{parts} ranges");
    }
    for threads in [1, 2, 3] {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        assert!(pool.install(|| tails(engine, 1)) == reference, "{threads} threads");
        let odd = engine.with_tile_blocks(7).with_baseline_instructions();
        assert!(pool.install(|| tails(odd, 2)) == reference, "{threads} threads and all else changed");
    }
    // Negative control: one seed further.
    let other = Job { seed: job.seed + 1, ..job.clone() };
    assert!(run(&mut engine.clone(), &other, &brackets, &cuts(1)) != reference);
    let other = Job { seed: job.seed ^ (1 << 40), ..job.clone() };
    assert!(run(&mut engine.clone(), &other, &brackets, &cuts(1)) != reference, "the seed's high word");
}

/// Some accounts alone have the tails, and the brackets, that they have among all.
#[test]
fn accounts_alone_are_the_same_bits() {
    let setup = setup(52);
    let job = setup.job();
    let all_brackets = brackets(&job, PATHS);
    let mut engine = CpuEngine::new(Precision::F32);
    let all = run(&mut engine, &job, &all_brackets, &cuts(1));
    let some = [0, 5, 6, 23, 36];
    let part = job.for_accounts(&some);
    let part_brackets = brackets(&part, PATHS);
    let tails = run(&mut engine, &part, &part_brackets, &cuts(1));
    let levels = job.levels.len();
    let pick = |account: usize| account * levels..(account + 1) * levels;
    for (index, &account) in some.iter().enumerate() {
        assert!(part_brackets[pick(index)] == all_brackets[pick(account)], "brackets of {account}");
        assert!(tails[pick(index)] == all[pick(account)], "tails of {account}");
    }
    assert!(tails[pick(1)] != all[pick(6)], "two accounts differ");
}

/// The cube itself: factors and profits over instruction sets, and where a range starts.
#[test]
fn cubes_are_the_same_bits() {
    let job = setup(53).job();
    let engine = CpuEngine::new(Precision::F32);
    let bits = |blocks: &[Vec<f32>]| -> Vec<u32> { blocks.iter().flatten().map(|x| x.to_bits()).collect() };
    let whole = engine.cube_f32(&job, 0..4096);
    let baseline = engine.with_baseline_instructions().cube_f32(&job, 0..4096);
    assert!(bits(&whole.factors) == bits(&baseline.factors));
    assert!(bits(&whole.pnl) == bits(&baseline.pnl));
    let later = engine.cube_f32(&job, 1024..4096);
    assert!(bits(&whole.pnl[16..]) == bits(&later.pnl));
    assert!(bits(&whole.pnl[15..63]) != bits(&later.pnl));
    assert!(whole.factors.iter().chain(&whole.pnl).flatten().all(|x| x.is_finite()));
}
