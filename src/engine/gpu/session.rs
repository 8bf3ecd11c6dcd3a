//! One job on a device: its tables and tiles in buffers, and the tiles' work.

use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer, BufferBinding, BufferSize,
    BufferUsages,
};

use super::device::Device;
use super::layout::{self, Params, Tables, flag};
use super::pipelines::Pipelines;
use super::plan::{self, Dispatch, Needs, Plan, TAIL_WORDS, TileWork};
use super::shaders::Stage;
use crate::engine::{EngineFault, Job};
use crate::risk::{BINS, Bracket, Tail};

/// What a session keeps for comparison.
#[derive(Clone, Copy, Debug, Default)]
pub struct Habits {
    /// Losses are kept, `[account][path]`.
    pub losses: bool,
    /// Paths, curves, rows and accounts are taken in reverse order.
    pub reversed: bool,
}

/// A job in the memory of a device.
pub struct Session<'a> {
    device: &'a Device,
    pipelines: &'a Pipelines,
    tables: Tables,
    needs: Needs,
    plan: Plan,
    /// Parameters of a tile's dispatches, one every `slot` bytes.
    params: Buffer,
    slot: u64,
    factors: Buffer,
    pnl: Buffer,
    losses: Buffer,
    totals: Buffer,
    simulate: BindGroup,
    quantities: BindGroup,
    revalue: BindGroup,
    /// One for each horizon.
    net: Vec<BindGroup>,
    fold: BindGroup,
    unfolded: u64,
}

impl<'a> Session<'a> {
    /// Uploads a job. Everything that the run needs is allocated here.
    pub fn new(
        device: &'a Device,
        pipelines: &'a Pipelines,
        job: &Job,
        brackets: &[Bracket],
        plan: Plan,
        habits: Habits,
    ) -> Result<Self, EngineFault> {
        let mut tables = Tables::new(job);
        tables.params.flags |= if habits.reversed { flag::REVERSED } else { 0 };
        tables.params.flags |= if habits.losses { flag::KEEP_LOSSES } else { 0 };
        let needs = Needs::new(job, habits.losses);
        device.scoped(|| Self::allocate(device, pipelines, job, brackets, plan, needs, tables))
    }

    fn allocate(
        device: &'a Device,
        pipelines: &'a Pipelines,
        job: &Job,
        brackets: &[Bracket],
        plan: Plan,
        needs: Needs,
        tables: Tables,
    ) -> Self {
        let limits = device.raw.limits();
        let slot = (size_of::<Params>() as u64)
            .next_multiple_of(u64::from(limits.min_uniform_buffer_offset_alignment));
        let whole = TileWork { first: 0, count: plan.stride, net: true };
        let workgroups = limits.max_compute_workgroups_per_dimension;
        let most = plan::dispatches(&plan, &needs, &tables, &whole, workgroups, &mut 0);
        // Later tiles may fold at other slices.
        let slots = most.len() as u64 + plan.stride / plan.slice + 1;
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        let params = device.buffer("params", slots * slot, usage);
        let factors = device.storage("factors", plan.stride * needs.factor_bytes());
        let kept = device.storage("quantities", plan.stride * needs.quantity_bytes());
        let pnl = device.storage("pnl", plan.stride * needs.pnl_bytes());
        let losses = device.storage("losses", plan.stride * needs.loss_bytes());
        let tails = device.storage("tails", needs.tail_bytes());
        let totals = device.storage("totals", needs.tail_bytes());
        let group = |stage: Stage, buffers: &[&Buffer]| bind(device, pipelines, stage, &params, buffers);
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
        let level_horizon = device.table("level horizons", &tables.level_horizon);
        let net = job.netting.iter().map(|netting| {
            let starts = device.table("starts", &netting.starts);
            let holdings = device.table("holdings", &layout::holdings(netting));
            let buffers = [&starts, &holdings, &pnl, &bracket_table, &level_horizon, &tails, &losses];
            group(Stage::Net, &buffers)
        });
        Self {
            simulate: group(Stage::Simulate, &simulate_buffers),
            quantities: group(Stage::Quantities, &[&curves, &factors, &kept]),
            revalue: group(Stage::Revalue, &[&rows, &kept, &pnl]),
            net: net.collect(),
            fold: group(Stage::Fold, &[&tails, &totals]),
            device,
            pipelines,
            tables,
            needs,
            plan,
            slot,
            factors,
            pnl,
            losses,
            totals,
            unfolded: 0,
            params,
        }
    }

    /// Paths of a tile.
    pub fn stride(&self) -> u64 {
        self.plan.stride
    }

    /// Runs a tile and waits for it.
    pub fn tile(&mut self, work: &TileWork) -> Result<(), EngineFault> {
        let workgroups = self.workgroups();
        let dispatches =
            plan::dispatches(&self.plan, &self.needs, &self.tables, work, workgroups, &mut self.unfolded);
        self.submit(&dispatches)?;
        self.device.wait()
    }

    /// Runs a tile one dispatch at a time and says when each is done, to measure it.
    #[cfg(test)]
    pub fn tile_apart(&mut self, work: &TileWork, done: &mut dyn FnMut(Stage)) -> Result<(), EngineFault> {
        let workgroups = self.workgroups();
        let dispatches =
            plan::dispatches(&self.plan, &self.needs, &self.tables, work, workgroups, &mut self.unfolded);
        for dispatch in dispatches {
            self.submit(&[dispatch])?;
            self.device.wait()?;
            done(dispatch.stage);
        }
        Ok(())
    }

    /// All tails so far, `[account][level]`.
    pub fn tails(&mut self) -> Result<Vec<Tail>, EngineFault> {
        let fold = plan::last_fold(&self.plan, &self.needs, &self.tables, self.workgroups());
        self.submit(&[fold])?;
        self.unfolded = 0;
        let count = (self.needs.accounts * self.needs.levels) as usize;
        let words: Vec<u32> = self.device.read(&self.totals, count * TAIL_WORDS)?;
        Ok(words.chunks_exact(TAIL_WORDS).map(tail).collect())
    }

    /// Factors of the tile, `[observation][asset][factor][stride]`.
    pub fn factors(&self) -> Result<Vec<f32>, EngineFault> {
        let observations = self.needs.observations as usize;
        let all = (self.plan.stride * self.needs.factor_bytes() / 4) as usize;
        self.device.read(&self.factors, all / (observations + 1) * observations)
    }

    /// Profits of the tile, `[row][stride]`.
    pub fn pnl(&self) -> Result<Vec<f32>, EngineFault> {
        self.device.read(&self.pnl, (self.plan.stride * self.needs.pnl_bytes() / 4) as usize)
    }

    /// Losses of the tile at a horizon, `[account][stride]`.
    pub fn losses(&mut self, horizon: u32, work: &TileWork) -> Result<Vec<f32>, EngineFault> {
        let workgroups = self.workgroups();
        let net = TileWork { net: true, ..*work };
        let all = plan::dispatches(&self.plan, &self.needs, &self.tables, &net, workgroups, &mut 0);
        let of_horizon = |d: &Dispatch| d.stage == Stage::Net && d.params.horizon == horizon;
        let dispatches: Vec<Dispatch> = all.into_iter().filter(of_horizon).collect();
        self.submit(&dispatches)?;
        self.device.read(&self.losses, (self.plan.stride * self.needs.loss_bytes() / 4) as usize)
    }

    fn workgroups(&self) -> u32 {
        self.device.raw.limits().max_compute_workgroups_per_dimension
    }

    fn submit(&self, dispatches: &[Dispatch]) -> Result<(), EngineFault> {
        let mut bytes = vec![0u8; dispatches.len() * self.slot as usize];
        for (dispatch, place) in dispatches.iter().zip(bytes.chunks_mut(self.slot as usize)) {
            place[..size_of::<Params>()].copy_from_slice(bytemuck::bytes_of(&dispatch.params));
        }
        self.device.scoped(|| {
            self.device.queue.write_buffer(&self.params, 0, &bytes);
            let mut encoder =
                self.device.raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            for (index, dispatch) in dispatches.iter().enumerate() {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
                pass.set_pipeline(&self.pipelines.stage(dispatch.stage).pipeline);
                pass.set_bind_group(0, self.bindings(dispatch), &[index as u32 * self.slot as u32]);
                let [x, y, z] = dispatch.grid;
                pass.dispatch_workgroups(x, y, z);
            }
            self.device.queue.submit([encoder.finish()]);
        })
    }

    fn bindings(&self, dispatch: &Dispatch) -> &BindGroup {
        match dispatch.stage {
            Stage::Simulate => &self.simulate,
            Stage::Quantities => &self.quantities,
            Stage::Revalue => &self.revalue,
            Stage::Net => &self.net[dispatch.params.horizon as usize],
            Stage::Fold => &self.fold,
        }
    }
}

fn bind(
    device: &Device,
    pipelines: &Pipelines,
    stage: Stage,
    params: &Buffer,
    buffers: &[&Buffer],
) -> BindGroup {
    let size = BufferSize::new(size_of::<Params>() as u64);
    let params = BindingResource::Buffer(BufferBinding { buffer: params, offset: 0, size });
    let resources = std::iter::once(params).chain(buffers.iter().map(|b| b.as_entire_binding()));
    let entries: Vec<_> = resources
        .enumerate()
        .map(|(binding, resource)| BindGroupEntry { binding: binding as u32, resource })
        .collect();
    device.raw.create_bind_group(&BindGroupDescriptor {
        label: Some(stage.name()),
        layout: &pipelines.stage(stage).bindings,
        entries: &entries,
    })
}

/// A tail from its totals in pairs of words.
fn tail(words: &[u32]) -> Tail {
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
