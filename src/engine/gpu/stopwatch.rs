//! Timestamps of the stages, written by the device and read with the tails.

use wgpu::{
    Buffer, BufferUsages, CommandEncoder, ComputePassTimestampWrites, Features, QUERY_SIZE, QuerySet,
    QuerySetDescriptor, QueryType,
};

use super::device::Device;
use super::shaders::Stage;
use crate::engine::StageTimes;

/// Stages that are timed before the times have to be read: all that a query set holds.
const MOST_SPANS: u32 = wgpu::QUERY_SET_MAX_QUERIES / 2;

/// Times dispatches by stage.
pub struct Stopwatch {
    queries: QuerySet,
    resolved: Buffer,
    seconds_per_tick: f64,
    /// Stage of each span; its timestamps are queries `2 span` and `2 span + 1`.
    spans: Vec<Stage>,
}

impl Stopwatch {
    /// `None` where the adapter has no timestamps.
    pub fn new(device: &Device) -> Option<Self> {
        if !device.raw.features().contains(Features::TIMESTAMP_QUERY) {
            return None;
        }
        let count = 2 * MOST_SPANS;
        let descriptor = QuerySetDescriptor { label: Some("stages"), ty: QueryType::Timestamp, count };
        let usage = BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC;
        Some(Self {
            queries: device.raw.create_query_set(&descriptor),
            resolved: device.buffer("stage times", u64::from(count * QUERY_SIZE), usage),
            seconds_per_tick: f64::from(device.queue.get_timestamp_period()) * 1e-9,
            spans: Vec::new(),
        })
    }

    /// Whether a submission of these stages can be timed before the times are read.
    pub fn has_room(&self, stages: impl Iterator<Item = Stage>) -> bool {
        let mut last = None;
        let spans = stages.filter(|stage| last.replace(*stage) != Some(*stage)).count();
        self.spans.len() + spans <= MOST_SPANS as usize
    }

    /// Timestamps that a dispatch writes: where its stage begins after another, and where it ends.
    pub fn writes(
        &mut self,
        before: Option<Stage>,
        stage: Stage,
        after: Option<Stage>,
    ) -> Option<ComputePassTimestampWrites<'_>> {
        let begins = before != Some(stage);
        let ends = after != Some(stage);
        if begins {
            self.spans.push(stage);
        }
        let span = self.spans.len() as u32 - 1;
        (span < MOST_SPANS && (begins || ends)).then(|| ComputePassTimestampWrites {
            query_set: &self.queries,
            beginning_of_pass_write_index: begins.then_some(2 * span),
            end_of_pass_write_index: ends.then_some(2 * span + 1),
        })
    }

    /// Asks for the timestamps so far; they can be read from the buffer once the encoder's work is
    /// done: how many bytes.
    pub fn resolve(&self, encoder: &mut CommandEncoder) -> (&Buffer, u64) {
        let queries = 2 * self.timed();
        if queries > 0 {
            encoder.resolve_query_set(&self.queries, 0..queries, &self.resolved, 0);
        }
        (&self.resolved, u64::from(queries * QUERY_SIZE))
    }

    /// Seconds by stage from the timestamps of [`Stopwatch::resolve`]; begins again.
    pub fn finish(&mut self, ticks: &[u64]) -> StageTimes {
        let mut times = StageTimes::default();
        for (stage, ticks) in self.spans.drain(..).zip(ticks.chunks_exact(2)) {
            let seconds = ticks[1].saturating_sub(ticks[0]) as f64 * self.seconds_per_tick;
            *match stage {
                Stage::Simulate => &mut times.simulate,
                Stage::Quantities => &mut times.quantities,
                Stage::Revalue => &mut times.revalue,
                Stage::Net | Stage::Rank | Stage::AddLegs => &mut times.net,
                Stage::Fold => &mut times.fold,
            } += seconds;
        }
        times
    }

    fn timed(&self) -> u32 {
        (self.spans.len() as u32).min(MOST_SPANS)
    }
}
