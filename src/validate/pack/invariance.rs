//! Does a result depend on how the work was divided?

use super::Block;
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Engine, Pilot};
use crate::risk::Tail;
use crate::run;
use crate::scenario::{Precision, Scenario};
use crate::validate::Check;

/// Blocks of paths that a tile holds.
const TILES: [usize; 3] = [1, 7, 64];
/// Blocks of the shards that the paths are divided into, over and over.
const SHARDS: [u64; 3] = [1, 5, 17];

pub(super) fn invariance(scenario: &Scenario) -> Result<Vec<Block>, String> {
    let job = run::job(scenario, &scenario.market)?;
    let paths = scenario.simulation.paths;
    let brackets = Pilot::new(&job, paths).brackets(&job, 1.0);
    let tails = |engine: &mut CpuEngine, range| {
        engine.tails(&job, &brackets, range, &mut |_| ()).map_err(|fault| fault.to_string())
    };
    let new = || CpuEngine::new(Precision::F32);
    let whole = tails(&mut new(), 0..paths)?;
    let mut checks = Vec::new();
    for blocks in TILES {
        let found = tails(&mut new().with_tile_blocks(blocks), 0..paths)?;
        checks.push(same(&format!("tiles of {blocks} blocks"), &found, &whole));
    }
    let mut merged = vec![Tail::default(); whole.len()];
    let mut shards = Vec::new();
    let (mut start, mut sizes) = (0, SHARDS.iter().cycle());
    while start < paths {
        let end = (start + sizes.next().unwrap_or(&1) * BLOCK as u64).min(paths);
        shards.push(start..end);
        start = end;
    }
    // The last first: addition in any order.
    for range in shards.iter().rev().cloned() {
        let found = tails(&mut new(), range)?;
        merged.iter_mut().zip(&found).for_each(|(tail, more)| tail.merge(more));
    }
    checks.push(same(
        &format!("{} shards, merged from the last to the first", shards.len()),
        &merged,
        &whole,
    ));
    let text = format!(
        "Tails of all accounts of `{}` at both levels, {paths} paths: integers that must be equal however the paths are divided.",
        scenario.name
    );
    Ok(vec![Block::Text(text), Block::Checks(checks)])
}

fn same(name: &str, a: &[Tail], b: &[Tail]) -> Check {
    let differing = a.iter().zip(b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len());
    Check::new(name, b.len() as u64, differing as f64, 0.0, "tails that differ", String::new())
}
