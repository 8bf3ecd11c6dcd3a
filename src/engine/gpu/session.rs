//! One job on a device: its tables and tiles in buffers, and the tiles' work.

mod rank;

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

use rayon::prelude::*;
use wgpu::{BindGroup, Buffer, SubmissionIndex};

use super::device::Device;
use super::layout::{self, Tables, flag};
use super::pace::Pace;
use super::pipelines::Pipelines;
use super::plan::{self, Dispatch, Needs, Plan, TAIL_WORDS, TileWork};
use super::shaders::Stage;
use super::spare::Spare;
use super::stopwatch::Stopwatch;
use super::submit::{self, Slots};
use crate::engine::{EngineFault, Job, StageTimes};
use crate::risk::{BINS, Bracket, Tail};

/// What a session keeps for comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Losses are kept, `[account][path]`.
    pub losses: bool,
    /// Paths, curves, rows and accounts are taken in reverse order.
    pub reversed: bool,
}

/// What a session runs on.
#[derive(Clone, Copy)]
pub struct On<'a> {
    pub device: &'a Device,
    pub pipelines: &'a Pipelines,
    /// Its large buffers are taken from here.
    pub spare: &'a Spare,
}

/// A job in the memory of a device.
pub struct Session<'a> {
    device: &'a Device,
    pipelines: &'a Pipelines,
    tables: Tables,
    needs: Needs,
    plan: Plan,
    /// Parameters of a tile's dispatches.
    slots: Slots,
    factors: Buffer,
    pnl: Buffer,
    losses: Buffer,
    totals: Buffer,
    simulate: BindGroup,
    quantities: BindGroup,
    revalue: BindGroup,
    /// Levels by horizon; holders and holdings of each horizon.
    levels: Buffer,
    books: Vec<[Buffer; 2]>,
    /// One for each horizon.
    net: Vec<BindGroup>,
    fold: BindGroup,
    unfolded: u64,
    stopwatch: Option<Stopwatch>,
    /// Read from the stopwatch so far.
    times: StageTimes,
}

/// Submissions under way at a time: while the device works on one, the next waits behind it.
const QUEUED: usize = 2;

impl<'a> Session<'a> {
    /// Uploads a job, on factors that are there already if they are given. Everything that the run
    /// needs is allocated here, or taken from what is spare.
    pub fn new(
        on: On<'a>,
        job: &Job,
        brackets: &[Bracket],
        plan: Plan,
        habits: Habits,
        factors: Option<&Buffer>,
    ) -> Result<Self, EngineFault> {
        let mut tables = Tables::new(job);
        tables.params.flags |= if habits.reversed { flag::REVERSED } else { 0 };
        tables.params.flags |= if habits.losses { flag::KEEP_LOSSES } else { 0 };
        let mut needs = Needs::new(job, habits.losses);
        if brackets.is_empty() {
            // Nothing is sorted into tails.
            needs.levels = 0;
        }
        on.device.scoped(|| {
            let bytes = plan.stride * needs.factor_bytes();
            let own = || on.spare.storage(on.device, "factors", bytes);
            let factors = factors.cloned().unwrap_or_else(own);
            Self::allocate(on, job, brackets, plan, (needs, tables), factors)
        })
    }

    fn allocate(
        on: On<'a>,
        job: &Job,
        brackets: &[Bracket],
        plan: Plan,
        (needs, tables): (Needs, Tables),
        factors: Buffer,
    ) -> Self {
        let On { device, pipelines, spare } = on;
        let limits = device.raw.limits();
        let whole = TileWork { first: 0, count: plan.stride, is_simulated: false, net: true };
        let workgroups = limits.max_compute_workgroups_per_dimension;
        let most = plan::dispatches(&plan, &needs, &tables, &whole, workgroups, &mut 0);
        // Later tiles may fold at other slices.
        let slots = Slots::new(device, most.len() as u64 + plan.stride / plan::FOLD_PATHS + 1);
        let storage = |label, bytes| spare.storage(device, label, bytes);
        let kept = storage("quantities", plan.stride * needs.quantity_bytes());
        let pnl = storage("pnl", plan.stride * needs.pnl_bytes());
        let losses = storage("losses", plan.stride * needs.loss_bytes());
        let tails = storage("tails", needs.tail_bytes());
        let totals = storage("totals", needs.tail_bytes());
        device.clear(&[&tails, &totals]);
        let group = |stage: Stage, buffers: &[&Buffer]| {
            let buffers: Vec<_> = buffers.iter().map(|buffer| buffer.as_entire_binding()).collect();
            submit::bind(device, pipelines, stage, &slots, &buffers)
        };
        let simulate_tables = [
            device.table("observations", &tables.observations),
            device.table("step terms", &tables.step_terms),
            device.table("jump thresholds", &tables.thresholds),
            device.table("cholesky", &tables.cholesky),
            device.table("mixing", &tables.mixing),
            device.table("jump sources", &tables.sources),
            device.table("asset terms", &tables.asset_terms),
        ];
        let simulate_buffers: Vec<&Buffer> = simulate_tables.iter().chain([&factors]).collect();
        let curves = device.table("curves", &tables.curves);
        let rows = device.table("rows", &tables.rows);
        let bracket_table = device.table("brackets", &layout::brackets(brackets));
        let levels = device.table("levels", &tables.levels);
        let book = |netting| {
            let holders = device.table("holders", &layout::holders(netting));
            [holders, device.table("holdings", &layout::pairs(netting))]
        };
        let books: Vec<[Buffer; 2]> = job.netting.iter().map(book).collect();
        let net = books.iter().map(|[holders, holdings]| {
            let buffers = [holders, holdings, &pnl, &levels, &bracket_table, &tails, &losses];
            group(Stage::Net, &buffers)
        });
        Self {
            simulate: group(Stage::Simulate, &simulate_buffers),
            quantities: group(Stage::Quantities, &[&curves, &factors, &kept]),
            revalue: group(Stage::Revalue, &[&rows, &kept, &pnl]),
            net: net.collect(),
            levels,
            books,
            fold: group(Stage::Fold, &[&tails, &totals]),
            device,
            pipelines,
            tables,
            needs,
            plan,
            slots,
            factors,
            pnl,
            losses,
            totals,
            unfolded: 0,
            stopwatch: Stopwatch::new(device),
            times: StageTimes::default(),
        }
    }

    /// Paths of a tile.
    pub fn stride(&self) -> u64 {
        self.plan.stride
    }

    /// Runs a tile and waits for it.
    pub fn tile(&mut self, work: &TileWork) -> Result<(), EngineFault> {
        let submission = self.start(work)?;
        self.device.wait_for(submission)
    }

    /// Adds a range of paths to the tails, in submissions of the pace's size. The next one is queued
    /// before the last is waited for; `progress` hears how many paths are done.
    pub fn run(
        &mut self,
        paths: Range<u64>,
        pace: &mut Pace,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), EngineFault> {
        let stride = self.plan.stride;
        let mut under_way = VecDeque::with_capacity(QUEUED);
        let mut first = paths.start;
        let mut done = 0;
        let mut idle_since = Instant::now();
        loop {
            while under_way.len() < QUEUED && first < paths.end {
                let count = (paths.end - first).min(pace.paths(stride));
                let submission = self.start(&TileWork { first, count, is_simulated: false, net: true })?;
                under_way.push_back((submission, count, Instant::now()));
                first += count;
            }
            let Some((submission, count, submitted)) = under_way.pop_front() else { return Ok(()) };
            self.device.wait_for(submission)?;
            let now = Instant::now();
            // The device began when it had the work and nothing before it.
            pace.took(count, now - submitted.max(idle_since), stride);
            idle_since = now;
            done += count;
            progress(done);
        }
    }

    /// Submits a tile.
    fn start(&mut self, work: &TileWork) -> Result<SubmissionIndex, EngineFault> {
        let workgroups = self.workgroups();
        let dispatches =
            plan::dispatches(&self.plan, &self.needs, &self.tables, work, workgroups, &mut self.unfolded);
        let stages = dispatches.iter().map(|dispatch| dispatch.stage);
        if self.stopwatch.as_ref().is_some_and(|stopwatch| !stopwatch.has_room(stages)) {
            self.read_times()?;
        }
        self.submit(&dispatches)
    }

    /// All tails so far, `[account][level]`.
    pub fn tails(&mut self) -> Result<Vec<Tail>, EngineFault> {
        let fold = plan::last_fold(&self.plan, &self.needs, &self.tables, self.workgroups());
        self.submit(&[fold])?;
        self.unfolded = 0;
        self.read_times()?;
        let count = (self.needs.accounts * self.needs.levels) as usize;
        let mut tails = Vec::with_capacity(count);
        let tail_of = |words: &[u8]| tail(&bytemuck::pod_collect_to_vec::<u8, u32>(words));
        // There may be hundreds of megabytes of them.
        self.device.read_in_parts(&self.totals, count, 4 * TAIL_WORDS, |part| {
            tails.par_extend(part.par_chunks_exact(4 * TAIL_WORDS).map(tail_of));
        })?;
        Ok(tails)
    }

    /// Seconds by stage up to the last [`Session::tails`]; `None` where the device does not tell.
    pub fn stage_times(&self) -> Option<StageTimes> {
        self.stopwatch.as_ref().map(|_| self.times)
    }

    /// Reads the stopwatch, if there is one, and starts it again.
    fn read_times(&mut self) -> Result<(), EngineFault> {
        let Some(stopwatch) = &mut self.stopwatch else { return Ok(()) };
        let (ticks, bytes) = self.device.scoped(|| {
            let mut encoder =
                self.device.raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let resolved = stopwatch.resolve(&mut encoder);
            self.device.queue.submit([encoder.finish()]);
            resolved
        })?;
        let ticks: Vec<u64> = self.device.read(ticks, bytes as usize / size_of::<u64>())?;
        self.times += stopwatch.finish(&ticks);
        Ok(())
    }

    /// Ends the session, and leaves the factors and the profits of its last tile on the device.
    pub fn left(self) -> (Buffer, Buffer) {
        (self.factors, self.pnl)
    }

    /// Factors of the tile, `[observation][asset][factor][stride]`.
    pub fn factors(&self) -> Result<Vec<f32>, EngineFault> {
        let observations = self.needs.observations as usize;
        let all = (self.plan.stride * self.needs.factor_bytes() / 4) as usize;
        self.device.read(&self.factors, all / (observations + 1) * observations)
    }

    /// Profits of the tile, `[block][row][BLOCK]`.
    pub fn pnl(&self) -> Result<Vec<f32>, EngineFault> {
        self.device.read(&self.pnl, (self.plan.stride * self.needs.pnl_bytes() / 4) as usize)
    }

    /// Losses of the tile at a horizon, `[account][stride]`.
    pub fn losses(&mut self, horizon: usize, work: &TileWork) -> Result<Vec<f32>, EngineFault> {
        let workgroups = self.workgroups();
        let net = TileWork { net: true, ..*work };
        let all = plan::dispatches(&self.plan, &self.needs, &self.tables, &net, workgroups, &mut 0);
        let of_horizon = |d: &Dispatch| d.stage == Stage::Net && d.horizon == horizon;
        let dispatches: Vec<Dispatch> = all.into_iter().filter(of_horizon).collect();
        self.submit(&dispatches)?;
        self.device.read(&self.losses, (self.plan.stride * self.needs.loss_bytes() / 4) as usize)
    }

    fn workgroups(&self) -> u32 {
        self.device.raw.limits().max_compute_workgroups_per_dimension
    }

    fn submit(&mut self, dispatches: &[Dispatch]) -> Result<SubmissionIndex, EngineFault> {
        let mut stopwatch = self.stopwatch.take();
        let work: Vec<_> = dispatches.iter().map(|dispatch| (dispatch, self.bindings(dispatch))).collect();
        let submitted = submit::submit(self.device, self.pipelines, &self.slots, &work, &mut stopwatch);
        self.stopwatch = stopwatch;
        submitted
    }

    fn bindings(&self, dispatch: &Dispatch) -> &BindGroup {
        match dispatch.stage {
            Stage::Simulate => &self.simulate,
            Stage::Quantities => &self.quantities,
            Stage::Revalue => &self.revalue,
            Stage::Net => &self.net[dispatch.horizon],
            Stage::Fold => &self.fold,
            Stage::Rank | Stage::AddLegs => unreachable!("a session's own dispatches have none"),
        }
    }
}

/// A tail from its totals in pairs of words.
pub fn tail(words: &[u32]) -> Tail {
    let total = |place: usize| u64::from(words[place]) | u64::from(words[place + 1]) << 32;
    let mut tail = Tail::default();
    for (index, bin) in tail.bins.iter_mut().enumerate() {
        let place = index * plan::BIN_LIMBS;
        bin.count = total(place);
        bin.sum = total(place + 2);
        bin.square = total(place + 4);
    }
    tail.overflows = total((BINS + 1) * plan::BIN_LIMBS);
    tail
}
