//! Sizes of buffers and dispatches, from what a job needs and a device allows. Pure arithmetic.

use super::layout::{Params, QUANTITIES, Tables};
use super::shaders::Stage;
use crate::engine::{BLOCK, EngineFault, FACTORS, Job};
use crate::risk::BINS;

/// Losses that one limb of a bin holds between folds: each adds less than 2^16 to a u32.
pub const FOLD_PATHS: u64 = 1 << 16;
/// Words of a bin between folds, and of a whole tail (`shaders/lib/tail.wgsl`).
pub const BIN_LIMBS: usize = 6;
pub const TAIL_WORDS: usize = (BINS + 1) * BIN_LIMBS + 2;
/// Work items of a tail when it is folded: bins, the one above, overflows.
const FOLD_PARTS: u64 = BINS as u64 + 2;
/// Paths of a `revalue` invocation.
const ROW_PATHS: u64 = 4;
/// Paths of an invocation that nets or adds legs.
pub const QUAD: u64 = 4;
/// Fours of paths in a line of a cache.
const CACHE_LINE_QUADS: u32 = 8;
/// Iterations of all loops of an invocation: lavapipe ends a loop silently after 65,535.
pub const MOST_ITERATIONS: u64 = 60_000;
/// A workgroup holds at least one path, an invocation for four of its assets.
const MOST_ASSETS: u64 = 256;
/// Path-step-assets of one dispatch: some 30 ms on an integrated GPU, which a watchdog bears.
const SIMULATE_WORK: u64 = 1 << 26;

/// Invocations of a workgroup, a multiple of every subgroup's size.
pub const WORKGROUP: u32 = 64;
/// The same where it should be large: all that share a cache on most GPUs. A compiler must leave each of so
/// many enough registers, which keeps it from taking more than help.
const MOST_WORKGROUP: u32 = 1024;
/// The same where losses are ranked.
const RANK_WORKGROUP: u32 = 256;
/// Accounts from which they are netted in large workgroups.
const MANY_ACCOUNTS: u64 = 1024;

/// What a device allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Bytes of one storage binding.
    pub binding_bytes: u64,
    /// Bytes of one buffer.
    pub buffer_bytes: u64,
    /// Workgroups along each side of a grid.
    pub workgroups: u32,
    /// Invocations of a workgroup.
    pub invocations: u32,
    /// Paths of a tile, unless something else limits them.
    pub tile_paths: u64,
    /// Bytes of all that is `[..][path]` in a tile.
    pub tile_bytes: u64,
    /// Holding-paths that are queued for an account in a cube that stays.
    pub net_work: u64,
}

/// What a job needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    pub assets: u64,
    pub observations: u64,
    pub rows: u64,
    pub curves: u64,
    pub accounts: u64,
    pub levels: u64,
    pub horizons: u64,
    /// Holdings of all accounts, and of the largest.
    pub holdings: u64,
    pub most_holdings: u64,
    pub sources: u64,
    /// Jumps of one step at most.
    pub most_jumps: u64,
    /// Whether losses are kept, `[account][path]`.
    pub losses: bool,
}

impl Needs {
    pub fn new(job: &Job, losses: bool) -> Self {
        let ends = |n: &crate::engine::Netting| n.starts.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
        let jumps = job.observations.iter().map(|o| o.segment.jump_thresholds.len());
        Self {
            assets: job.assets as u64,
            observations: job.observations.len() as u64,
            rows: job.rows.len() as u64,
            curves: job.curves.len() as u64,
            accounts: job.accounts() as u64,
            levels: job.levels.len() as u64,
            horizons: job.horizons.len() as u64,
            holdings: job.netting.iter().map(|n| n.row.len() as u64).max().unwrap_or(0),
            most_holdings: job.netting.iter().map(|n| u64::from(ends(n))).max().unwrap_or(0),
            sources: job.jump_sources.len() as u64,
            most_jumps: jumps.max().unwrap_or(0) as u64,
            losses,
        }
    }

    /// Fours of assets.
    pub fn fours(&self) -> u64 {
        self.assets.div_ceil(4)
    }

    /// Bytes of a path's factors, with one more observation in which the state rests.
    pub fn factor_bytes(&self) -> u64 {
        4 * (self.observations + 1) * self.assets * FACTORS as u64
    }

    pub fn quantity_bytes(&self) -> u64 {
        4 * self.curves * u64::from(QUANTITIES)
    }

    pub fn pnl_bytes(&self) -> u64 {
        4 * self.rows
    }

    pub fn loss_bytes(&self) -> u64 {
        if self.losses { 4 * self.accounts } else { 0 }
    }

    /// Bytes of all tails, once between folds and once in all.
    pub fn tail_bytes(&self) -> u64 {
        4 * self.accounts * self.levels * TAIL_WORDS as u64
    }

    /// Upper bound of the loop iterations of one step of one path.
    fn step_iterations(&self) -> u64 {
        // Correlation, jumps, and storing an observation.
        self.fours() + self.most_jumps * (1 + self.sources) + 6
    }
}

/// Sizes of workgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// Paths of one that simulates, each with an invocation for every four assets.
    pub simulate_paths: u32,
    /// Invocations of one that nets, and the fours of paths it takes.
    pub net: u32,
    pub net_quads: u32,
    /// Invocations of one that ranks losses.
    pub rank: u32,
    /// Invocations of any other.
    pub others: u32,
}

/// Sizes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Paths of a tile; the stride of everything that is `[..][path]`.
    pub stride: u64,
    /// Steps of one `simulate` dispatch.
    pub steps: u32,
    pub groups: Groups,
    /// Accounts of a workgroup that nets.
    pub accounts_together: u64,
}

/// Plans a run with tiles of up to `tile` paths; results do not depend on the sizes.
pub fn plan(
    needs: &Needs,
    allowed: &Allowed,
    tile: u64,
    workgroup: Option<u32>,
) -> Result<Plan, EngineFault> {
    let within = |what: &str, needed: u64, available: u64, next: &str| {
        if needed <= available {
            return Ok(());
        }
        Err(EngineFault::TooLarge { what: what.to_owned(), needed, available, next: next.to_owned() })
    };
    let groups = Groups::new(needs, allowed, workgroup);
    let accounts_together = accounts_together(needs, &groups);
    let on_cpu = "try --device cpu";
    let split = "split the accounts into several runs, or try --device cpu";
    within("a workgroup's size", groups.others.into(), allowed.invocations.into(), "try 64")?;
    within("the number of assets", needs.assets, MOST_ASSETS, on_cpu)?;
    within("loops of one step", needs.step_iterations(), MOST_ITERATIONS / 2, on_cpu)?;
    within("the largest account's holdings", needs.most_holdings, MOST_ITERATIONS, on_cpu)?;
    let most_bytes = allowed.binding_bytes.min(allowed.buffer_bytes);
    within("bytes of the accounts' tails", needs.tail_bytes(), most_bytes, split)?;
    within("bytes of the holdings", 8 * (needs.holdings + needs.accounts), most_bytes, split)?;
    let side = u64::from(allowed.workgroups);
    within("workgroups of the accounts", needs.accounts.div_ceil(accounts_together), side, split)?;
    within("workgroups of the rows", needs.rows.max(needs.curves), side * side, on_cpu)?;

    let per_path = [needs.factor_bytes(), needs.quantity_bytes(), needs.pnl_bytes(), needs.loss_bytes()];
    let largest = per_path.into_iter().max().unwrap_or(0).max(1);
    let all: u64 = per_path.into_iter().sum::<u64>().max(1);
    let block = BLOCK as u64;
    within("bytes of a block of paths", largest * block, most_bytes, on_cpu)?;
    within("bytes of a block's buffers", all * block, allowed.tile_bytes, on_cpu)?;
    let most = (most_bytes / largest)
        .min(allowed.tile_bytes / all)
        .min(side * u64::from(groups.others.min(groups.simulate_paths)));
    let wanted = tile.next_multiple_of(block);
    let stride = wanted.min(most / block * block).max(block);
    let by_loops = MOST_ITERATIONS / needs.step_iterations().max(1);
    let by_work = SIMULATE_WORK / (stride * needs.assets).max(1);
    Ok(Plan {
        stride,
        steps: by_loops.min(by_work).clamp(1, u32::MAX.into()) as u32,
        groups,
        accounts_together,
    })
}

impl Groups {
    /// Those of stages whose sizes do not matter.
    pub const SMALLEST: Self = Self { simulate_paths: 1, net: 1, net_quads: 1, rank: 1, others: 1 };

    /// Those of a job, or all of one size. Powers of two, so that those of a stage that divides them among
    /// accounts and paths come out even: no loss is taken twice or left out.
    fn new(needs: &Needs, allowed: &Allowed, wanted: Option<u32>) -> Self {
        let size = |usual: u32| {
            let most = wanted.unwrap_or(allowed.invocations.min(usual));
            1 << most.max(1).ilog2()
        };
        let (others, large) = (size(WORKGROUP), size(MOST_WORKGROUP));
        let fours = needs.fours().max(1) as u32;
        let has_many = needs.accounts >= MANY_ACCOUNTS;
        Self {
            simulate_paths: 1 << (large / fours).max(1).ilog2(),
            net: if has_many { large } else { others },
            net_quads: if has_many { CACHE_LINE_QUADS.min(large) } else { others },
            rank: size(RANK_WORKGROUP),
            others,
        }
    }

    /// Invocations of a workgroup of a stage.
    pub fn invocations(&self, stage: Stage, assets: u32) -> u32 {
        match stage {
            Stage::Simulate => self.simulate_paths * assets.div_ceil(4).max(1),
            Stage::Net => self.net,
            Stage::Rank => self.rank,
            Stage::Quantities | Stage::Revalue | Stage::Fold | Stage::AddLegs => self.others,
        }
    }
}

/// Accounts of a workgroup that nets: as many as its loops may where there are many, since they share the
/// profits in the cache.
fn accounts_together(needs: &Needs, groups: &Groups) -> u64 {
    let side_by_side = u64::from(groups.net / groups.net_quads);
    let iterations = needs.most_holdings + 1 + 5 * needs.levels;
    let rounds = if needs.accounts < MANY_ACCOUNTS { 1 } else { MOST_ITERATIONS / iterations };
    side_by_side * rounds.max(1)
}

/// One step of a tile's work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dispatch {
    pub stage: Stage,
    pub grid: [u32; 3],
    /// Of a dispatch that nets.
    pub horizon: usize,
    pub params: Params,
}

/// Work of a tile of `count` paths from `first` on.
pub struct TileWork {
    pub first: u64,
    pub count: u64,
    /// Whether their factors are there already.
    pub is_simulated: bool,
    /// Whether accounts are netted too.
    pub net: bool,
}

/// Dispatches of a tile in their order. `unfolded` counts paths in the limbs; it is kept up to date.
pub fn dispatches(
    plan: &Plan,
    needs: &Needs,
    tables: &Tables,
    work: &TileWork,
    workgroups: u32,
    unfolded: &mut u64,
) -> Vec<Dispatch> {
    let base = Params {
        first_low: work.first as u32,
        first_high: (work.first >> 32) as u32,
        paths: work.count as u32,
        stride: plan.stride as u32,
        accounts_together: plan.accounts_together as u32,
        ..tables.params
    };
    let across = work.count.div_ceil(plan.groups.others.into()) as u32;
    let mut all = Vec::new();
    let total = tables.observations.last().map_or(0, |observation| observation.step_end);
    let mut step = if work.is_simulated { total } else { 0 };
    while step < total {
        let end = (step + plan.steps).min(total);
        let observation = tables.observations.iter().position(|o| step < o.step_end).unwrap_or(0) as u32;
        let params = Params { step_start: step, step_end: end, observation, ..base };
        let groups = work.count.div_ceil(plan.groups.simulate_paths.into()) as u32;
        all.push(Dispatch { stage: Stage::Simulate, grid: [groups, 1, 1], horizon: 0, params });
        step = end;
    }
    let rows_across = work.count.div_ceil(ROW_PATHS * u64::from(plan.groups.others)) as u32;
    let stages = [(Stage::Quantities, across, needs.curves), (Stage::Revalue, rows_across, needs.rows)];
    for (stage, across, items) in stages {
        if items > 0 {
            let [y, z] = folded(items, workgroups);
            all.push(Dispatch { stage, grid: [across, y, z], horizon: 0, params: base });
        }
    }
    if !work.net || needs.accounts == 0 {
        return all;
    }
    let fold = Dispatch {
        stage: Stage::Fold,
        grid: fold_grid(needs, plan.groups.others, workgroups),
        horizon: 0,
        params: base,
    };
    let mut start = 0;
    while start < work.count {
        let end = (start + FOLD_PATHS).min(work.count);
        if *unfolded + (end - start) > FOLD_PATHS {
            all.push(fold);
            *unfolded = 0;
        }
        let grid = net_grid(needs.accounts, plan.accounts_together, &plan.groups, end - start);
        for (horizon, levels) in tables.level_ranges.iter().enumerate() {
            let params = Params {
                level_start: levels.start,
                level_end: levels.end,
                slice_start: start as u32,
                slice_end: end as u32,
                ..base
            };
            all.push(Dispatch { stage: Stage::Net, grid, horizon, params });
        }
        *unfolded += end - start;
        start = end;
    }
    all
}

/// The dispatch that folds what the last tile left.
pub fn last_fold(plan: &Plan, needs: &Needs, tables: &Tables, workgroups: u32) -> Dispatch {
    let grid = fold_grid(needs, plan.groups.others, workgroups);
    Dispatch { stage: Stage::Fold, grid, horizon: 0, params: tables.params }
}

/// Workgroups that net accounts on so many paths; a fold's paths fit into any grid.
pub fn net_grid(accounts: u64, together: u64, groups: &Groups, paths: u64) -> [u32; 3] {
    let fours = paths.div_ceil(QUAD);
    [accounts.div_ceil(together) as u32, fours.div_ceil(groups.net_quads.into()) as u32, 1]
}

/// Workgroups that rank the losses of accounts.
pub fn rank_grid(accounts: u64, workgroups: u32) -> [u32; 3] {
    let [x, y] = folded(accounts, workgroups);
    [x, y, 1]
}

/// Workgroups that fold all tails.
pub fn fold_grid(needs: &Needs, workgroup: u32, workgroups: u32) -> [u32; 3] {
    let groups = (needs.accounts * needs.levels * FOLD_PARTS).div_ceil(workgroup.into());
    let [x, y] = folded(groups, workgroups);
    [x, y, 1]
}

/// Two sides of a grid with room for so many items.
fn folded(items: u64, side: u32) -> [u32; 2] {
    let side = u64::from(side);
    let first = items.clamp(1, side);
    [first as u32, items.div_ceil(first).max(1) as u32]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::KEPT_PATHS;

    const ALLOWED: Allowed = Allowed {
        binding_bytes: 128 << 20,
        buffer_bytes: (2 << 30) - 1,
        workgroups: 65_535,
        invocations: 1024,
        tile_paths: 65_536,
        tile_bytes: 256 << 20,
        net_work: 1 << 27,
    };

    fn needs() -> Needs {
        Needs {
            assets: 12,
            observations: 2,
            rows: 700,
            curves: 60,
            accounts: 40,
            levels: 2,
            horizons: 2,
            holdings: 1400,
            most_holdings: 200,
            sources: 13,
            most_jumps: 9,
            losses: false,
        }
    }

    #[test]
    fn everything_fits_the_limits() {
        for (rows, assets, accounts) in [(1, 1, 1), (63, 2, 345), (700, 12, 40), (20_000, 64, 40_000)] {
            let needs = Needs { rows, assets, accounts, ..needs() };
            let plan = plan(&needs, &ALLOWED, ALLOWED.tile_paths, None).expect("it fits");
            assert_eq!(plan.stride % BLOCK as u64, 0);
            assert!(plan.stride >= BLOCK as u64);
            assert!(plan.stride * needs.pnl_bytes() <= ALLOWED.binding_bytes);
            assert!(plan.stride * needs.factor_bytes() <= ALLOWED.binding_bytes);
            assert!(u64::from(plan.steps) * needs.step_iterations() <= MOST_ITERATIONS);
            assert!(plan.steps >= 1);
        }
    }

    #[test]
    fn what_does_not_fit_is_named_with_numbers() {
        let refused = [
            (Needs { assets: 257, ..needs() }, "assets", 257),
            (Needs { most_holdings: 60_001, ..needs() }, "holdings", 60_001),
            (Needs { accounts: 50_000, ..needs() }, "tails", 50_000 * 2 * 392 * 4),
            (Needs { rows: 600_000, ..needs() }, "block of paths", 600_000 * 4 * 64),
        ];
        for (needs, what, amount) in refused {
            match plan(&needs, &ALLOWED, ALLOWED.tile_paths, None) {
                Err(EngineFault::TooLarge { what: named, needed, available, next }) => {
                    assert!(named.contains(what), "{named}");
                    assert_eq!(needed, amount);
                    assert!(available < needed && next.contains("--device cpu"));
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }

    #[test]
    fn workgroups_come_out_even_whatever_a_device_allows() {
        for invocations in [1, 5, 96, 128, 192, 256, 384, 900, 1024, 1536] {
            let allowed = Allowed { invocations, ..ALLOWED };
            for accounts in [1, 40_000] {
                let needs = Needs { accounts, assets: 1, ..needs() };
                let plan = plan(&needs, &allowed, ALLOWED.tile_paths, None).expect("it fits");
                let groups = plan.groups;
                for stage in Stage::ALL {
                    let size = groups.invocations(stage, 1);
                    assert!(size >= 1 && size <= invocations, "{stage:?}: {size} of {invocations}");
                }
                assert_eq!(groups.net % groups.net_quads, 0, "{groups:?}");
                assert_eq!(plan.accounts_together % u64::from(groups.net / groups.net_quads), 0, "{plan:?}");
                assert_eq!(KEPT_PATHS % (4 * u64::from(groups.rank)), 0, "{groups:?}");
            }
        }
    }

    #[test]
    fn grids_hold_all_items() {
        for items in [1, 63, 64, 65, 65_535, 65_536, 200_000] {
            let [a, b] = folded(items, 65_535);
            assert!(a <= 65_535 && b <= 65_535 && u64::from(a) * u64::from(b) >= items);
        }
    }

    #[test]
    fn limbs_are_folded_before_they_can_overflow() {
        let needs = Needs { observations: 0, ..needs() };
        let tables = Tables { level_ranges: vec![0..1, 1..2], ..Tables::empty() };
        for tile in [64, 4096, 65_536] {
            let plan = plan(&needs, &ALLOWED, tile, None).expect("it fits");
            let (mut unfolded, mut in_limbs) = (0, 0);
            for tile in 0..100 {
                let work = TileWork {
                    first: tile * plan.stride,
                    count: plan.stride - 1,
                    is_simulated: false,
                    net: true,
                };
                for dispatch in dispatches(&plan, &needs, &tables, &work, 65_535, &mut unfolded) {
                    match dispatch.stage {
                        Stage::Fold => in_limbs = 0,
                        Stage::Net if dispatch.horizon == 0 => {
                            in_limbs += u64::from(dispatch.params.slice_end - dispatch.params.slice_start);
                        }
                        _ => {}
                    }
                    assert!(in_limbs <= FOLD_PATHS);
                }
            }
            assert_eq!(unfolded, in_limbs);
        }
    }
}
