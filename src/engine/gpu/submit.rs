//! Dispatches with their parameters and buffers, handed to the queue of a device.

use wgpu::{
    BindGroup, BindGroupDescriptor, BindGroupEntry, BindingResource, Buffer, BufferBinding, BufferSize,
    BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor, SubmissionIndex,
};

use super::device::Device;
use super::layout::Params;
use super::pipelines::Pipelines;
use super::plan::Dispatch;
use super::shaders::Stage;
use super::stopwatch::Stopwatch;
use crate::engine::EngineFault;

/// Room for the parameters of the dispatches of a submission, one every `slot` bytes.
pub struct Slots {
    buffer: Buffer,
    slot: u64,
}

impl Slots {
    pub fn new(device: &Device, count: u64) -> Self {
        let alignment = device.raw.limits().min_uniform_buffer_offset_alignment;
        let slot = (size_of::<Params>() as u64).next_multiple_of(u64::from(alignment));
        let usage = BufferUsages::UNIFORM | BufferUsages::COPY_DST;
        Self { buffer: device.buffer("params", count * slot, usage), slot }
    }
}

/// Binds a stage's buffers in their order.
pub fn bind(
    device: &Device,
    pipelines: &Pipelines,
    stage: Stage,
    slots: &Slots,
    buffers: &[BindingResource<'_>],
) -> BindGroup {
    let size = BufferSize::new(size_of::<Params>() as u64);
    let params = BindingResource::Buffer(BufferBinding { buffer: &slots.buffer, offset: 0, size });
    let entries: Vec<_> = std::iter::once(params)
        .chain(buffers.iter().cloned())
        .enumerate()
        .map(|(binding, resource)| BindGroupEntry { binding: binding as u32, resource })
        .collect();
    device.raw.create_bind_group(&BindGroupDescriptor {
        label: Some(stage.name()),
        layout: &pipelines.stage(stage).bindings,
        entries: &entries,
    })
}

/// Submits dispatches in their order, each with what is bound to it.
pub fn submit(
    device: &Device,
    pipelines: &Pipelines,
    slots: &Slots,
    work: &[(&Dispatch, &BindGroup)],
    stopwatch: &mut Option<Stopwatch>,
) -> Result<SubmissionIndex, EngineFault> {
    let mut bytes = vec![0u8; work.len() * slots.slot as usize];
    for ((dispatch, _), place) in work.iter().zip(bytes.chunks_mut(slots.slot as usize)) {
        place[..size_of::<Params>()].copy_from_slice(bytemuck::bytes_of(&dispatch.params));
    }
    device.scoped(|| {
        // On the queue this comes after the submissions that read the parameters before.
        device.queue.write_buffer(&slots.buffer, 0, &bytes);
        let mut encoder = device.raw.create_command_encoder(&CommandEncoderDescriptor::default());
        let stage = |index: usize| work.get(index).map(|(dispatch, _)| dispatch.stage);
        for (index, (dispatch, bindings)) in work.iter().enumerate() {
            let before = index.checked_sub(1).and_then(stage);
            let times = |stopwatch| Stopwatch::writes(stopwatch, before, dispatch.stage, stage(index + 1));
            let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor {
                label: Some(dispatch.stage.name()),
                timestamp_writes: stopwatch.as_mut().and_then(times),
            });
            pass.set_pipeline(&pipelines.stage(dispatch.stage).pipeline);
            pass.set_bind_group(0, *bindings, &[index as u32 * slots.slot as u32]);
            let [x, y, z] = dispatch.grid;
            pass.dispatch_workgroups(x, y, z);
        }
        device.queue.submit([encoder.finish()])
    })
}
