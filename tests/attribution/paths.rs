//! The paths that are simulated again are those of the main pass, bit for bit.

use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::{BLOCK, Cube, FACTORS, Job};
use shortfall::run;
use shortfall::scenario::Precision;

use super::book::{accounts, attribution, run as run_all, scenario};

/// Factors and profits of a path as bits.
fn bits(cube: &Cube<f32>, index: usize) -> (Vec<u32>, Vec<u32>) {
    let (block, lane) = (index / BLOCK, index % BLOCK);
    let of = |values: &[f32]| values.iter().skip(lane).step_by(BLOCK).map(|x| x.to_bits()).collect();
    (of(&cube.factors[block]), of(&cube.pnl[block]))
}

/// Profits of an account's holdings at a horizon, as bits.
fn holdings(job: &Job, pnl: &[u32], horizon: usize, account: usize) -> Vec<u32> {
    let netting = &job.netting[horizon];
    let range = netting.starts[account] as usize..netting.starts[account + 1] as usize;
    netting.row[range].iter().map(|&row| pnl[row as usize]).collect()
}

#[test]
fn regenerated_paths_have_the_bits_of_the_cube() {
    let scenario = scenario("scenarios/nightly.yaml", 1000);
    let job = run::job(&scenario, &scenario.market).unwrap();
    let engine = CpuEngine::new(Precision::F32);
    // Also where the number of a path needs its high word, and across its wrap.
    for first in [0, (1 << 33) + 64 * 7, (1u64 << 32) - 64] {
        let whole = engine.cube_f32(&job, first..first + 1000);
        let order: Vec<u64> = (0..345).map(|i| first + i * 811 % 1000).collect();
        let part = job.for_accounts(&[3, 17]).with_held_rows();
        assert!(!part.rows.is_empty() && part.rows.len() < job.rows.len() / 2);
        let regenerated = engine.cube_of_f32(&job, &order);
        let of_part = engine.with_baseline_instructions().cube_of_f32(&part, &order);
        for (index, path) in order.iter().enumerate() {
            let truth = bits(&whole, (path - first) as usize);
            assert_eq!(bits(&regenerated, index), truth);
            let some = bits(&of_part, index);
            assert_eq!(some.0, truth.0);
            for horizon in 0..job.horizons.len() {
                for (account, all) in [3, 17].into_iter().enumerate() {
                    let expected = holdings(&job, &truth.1, horizon, all);
                    assert_eq!(holdings(&part, &some.1, horizon, account), expected);
                }
            }
        }
        // A path is not its neighbour's, and a different high word gives a different path.
        assert_ne!(bits(&whole, 0), bits(&whole, 1));
        assert_ne!(
            bits(&engine.cube_f32(&job, first + (1 << 34)..first + (1 << 34) + 64), 0),
            bits(&whole, 0)
        );
    }
}

#[test]
fn worst_paths_and_components_are_those_of_the_full_cube() {
    let n = 8192 + 65;
    let scenario = scenario("scenarios/quickstart.yaml", n);
    let job = run::job(&scenario, &scenario.market).unwrap();
    let engine = CpuEngine::new(Precision::F32);
    let cube = engine.cube_f32(&job, 0..n);
    let outcome = run_all(&scenario);
    let accounts = accounts(&outcome, 0);
    let losses = |level: usize| {
        let horizon = job.levels[level].horizon;
        engine.losses_f32(&job, &cube, horizon, |_, losses| losses[..n as usize].to_vec())
    };
    for level in 0..2 {
        let mass = n as f64 * job.levels[level].confidence.tail();
        let netting = &job.netting[job.levels[level].horizon];
        for (account, losses) in losses(level).iter().enumerate() {
            let mut order: Vec<usize> = (0..n as usize).collect();
            order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
            let attribution = attribution(&accounts[account]);
            if level == 0 {
                assert_eq!(attribution.worst_paths.len(), 10);
                for (path, &truth) in attribution.worst_paths.iter().zip(&order) {
                    assert_eq!(path.path, truth as u64);
                    assert_eq!(path.loss, f64::from(losses[truth]));
                    let years = job.horizons[job.levels[0].horizon].get();
                    let observation =
                        job.observations.iter().position(|o| (o.years - years).abs() < 1e-9).unwrap();
                    for asset in &path.assets {
                        let start =
                            (observation * job.assets + asset.asset) * FACTORS * BLOCK + truth % BLOCK;
                        let factor = |k: usize| f64::from(cube.factors[truth / BLOCK][start + k * BLOCK]);
                        assert_eq!(asset.return_, factor(0).exp_m1());
                        assert_eq!(asset.volatility_shift, factor(1));
                        assert_eq!(asset.basis_move, factor(2));
                    }
                    let by_asset: f64 = path.assets.iter().map(|asset| asset.loss).sum();
                    // The engine's sum is rounded to f32 at the size of the positions.
                    let close = (by_asset - path.loss).abs() <= 1e-7 * job.scale[account];
                    assert!(close, "{by_asset} {}", path.loss);
                    assert!(path.positions.is_sorted_by(|a, b| a.loss >= b.loss));
                }
            }
            // Paths that tie at the end of the tail share its weight; in the quickstart's books
            // ties are rare enough that the order of the sort says the same.
            let whole = mass as usize;
            let entries = netting.starts[account] as usize..netting.starts[account + 1] as usize;
            let level = if level == 0 { &attribution.maintenance } else { &attribution.initial };
            for (entry, position) in entries.zip(&level.by_position) {
                let row = netting.row[entry] as usize;
                let loss = |path: usize| {
                    let profit = cube.pnl[path / BLOCK][row * BLOCK + path % BLOCK];
                    -netting.quantity[entry] * f64::from(profit)
                };
                let inside: f64 = order[..whole].iter().map(|&path| loss(path)).sum();
                let truth = (inside + (mass - whole as f64) * loss(order[whole])) / mass;
                let found = position.component.expected_shortfall;
                let size: f64 = order[..whole].iter().map(|&path| loss(path).abs()).sum::<f64>() / mass;
                let close = (found - truth).abs() <= 1e-9 * size;
                assert!(close, "{} {}: {found} {truth}", account, position.instrument);
            }
        }
    }
}
