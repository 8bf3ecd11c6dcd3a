//! A device with its failures: nothing of wgpu's panics or goes unseen.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wgpu::{
    Adapter, Buffer, BufferDescriptor, BufferUsages, ErrorFilter, Features, PollType, SubmissionIndex,
};

use super::adapter::{AdapterKind, AdapterSummary};
use crate::engine::EngineFault;

/// How long a tile may take. A software adapter shares its cores with others.
const WAIT_HARDWARE: Duration = Duration::from_secs(60);
const WAIT_SOFTWARE: Duration = Duration::from_secs(600);
/// Bytes that are read back at a time.
const MOST_READ: usize = 32 << 20;
/// The smallest buffer: WGSL binds no empty array.
const LEAST_BYTES: u64 = 64;

/// An open device.
pub struct Device {
    pub(super) raw: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    pub(super) summary: AdapterSummary,
    /// Why the device was lost, and the first error outside of a scope.
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    lost: Mutex<Option<String>>,
    other: Mutex<Option<String>>,
}

impl Device {
    /// Opens an adapter with all its limits.
    pub fn open(adapter: &Adapter, summary: AdapterSummary) -> Result<Self, EngineFault> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("shortfall"),
            required_features: adapter.features() & (Features::SHADER_INT64 | Features::TIMESTAMP_QUERY),
            required_limits: adapter.limits(),
            ..wgpu::DeviceDescriptor::default()
        };
        let opened = pollster::block_on(adapter.request_device(&descriptor));
        let (raw, queue) = opened
            .map_err(|e| EngineFault::NoDevice(format!("{} could not be opened: {e}", summary.name)))?;
        let faults = Arc::new(Faults::default());
        let seen = Arc::clone(&faults);
        raw.set_device_lost_callback(move |reason, message| {
            keep_first(&seen.lost, format!("{reason:?}: {message}"));
        });
        let seen = Arc::clone(&faults);
        raw.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            keep_first(&seen.other, error.to_string());
        }));
        Ok(Self { raw, queue, summary, faults })
    }

    /// A fault if anything has gone wrong on the device. Results are believed only after it.
    pub fn check(&self) -> Result<(), EngineFault> {
        let taken =
            |slot: &Mutex<Option<String>>| slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(reason) = taken(&self.faults.lost) {
            return Err(EngineFault::Lost(reason));
        }
        taken(&self.faults.other).map_or(Ok(()), |reason| Err(EngineFault::Device(reason)))
    }

    /// Creates things, and reports what wgpu says of it.
    pub fn scoped<T>(&self, create: impl FnOnce() -> T) -> Result<T, EngineFault> {
        let internal = self.raw.push_error_scope(ErrorFilter::Internal);
        let validation = self.raw.push_error_scope(ErrorFilter::Validation);
        let memory = self.raw.push_error_scope(ErrorFilter::OutOfMemory);
        let created = create();
        let memory = pollster::block_on(memory.pop());
        let validation = pollster::block_on(validation.pop());
        let internal = pollster::block_on(internal.pop());
        self.check()?;
        if let Some(error) = memory {
            return Err(EngineFault::OutOfMemory(error.to_string()));
        }
        let Some(error) = validation.or(internal) else { return Ok(created) };
        // What a lost device makes is invalid; that it is lost it says once it has been waited for.
        let ignored = self.raw.push_error_scope(ErrorFilter::Validation);
        self.queue.submit([]);
        let _ = pollster::block_on(ignored.pop());
        self.wait()?;
        Err(EngineFault::Device(error.to_string()))
    }

    /// A storage buffer that starts with zeros.
    pub fn storage(&self, label: &str, bytes: u64) -> Buffer {
        let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
        self.buffer(label, bytes, usage)
    }

    /// A storage buffer with a table.
    pub fn table<T: bytemuck::Pod>(&self, label: &str, table: &[T]) -> Buffer {
        let buffer = self.storage(label, size_of_val(table) as u64);
        self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(table));
        buffer
    }

    /// Fills buffers with zeros.
    pub fn clear(&self, buffers: &[&Buffer]) {
        let mut encoder = self.raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        buffers.iter().for_each(|buffer| encoder.clear_buffer(buffer, 0, None));
        self.queue.submit([encoder.finish()]);
    }

    /// Copies the first bytes of a buffer to another.
    pub fn copy(&self, from: &Buffer, to: &Buffer, bytes: u64) {
        let mut encoder = self.raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        encoder.copy_buffer_to_buffer(from, 0, to, 0, Some(bytes));
        self.queue.submit([encoder.finish()]);
    }

    pub fn buffer(&self, label: &str, bytes: u64, usage: BufferUsages) -> Buffer {
        let size = bytes.max(LEAST_BYTES).next_multiple_of(16);
        self.raw.create_buffer(&BufferDescriptor {
            label: Some(label),
            size,
            usage,
            mapped_at_creation: false,
        })
    }

    /// Waits until all submitted work is done; frees what is no longer needed.
    pub fn wait(&self) -> Result<(), EngineFault> {
        self.wait_until(None)
    }

    /// Waits until a submission and all before it are done; those after it go on.
    pub fn wait_for(&self, submission: SubmissionIndex) -> Result<(), EngineFault> {
        self.wait_until(Some(submission))
    }

    fn wait_until(&self, submission_index: Option<SubmissionIndex>) -> Result<(), EngineFault> {
        let timeout = if self.summary.kind == AdapterKind::Hardware { WAIT_HARDWARE } else { WAIT_SOFTWARE };
        let answer = self.raw.poll(PollType::Wait { submission_index, timeout: Some(timeout) });
        self.check()?;
        match answer {
            Ok(_) => Ok(()),
            Err(wgpu::PollError::Timeout) => {
                // It may come back, but nothing that it still holds is believed.
                keep_first(&self.faults.lost, format!("no answer within {} s", timeout.as_secs()));
                self.check()
            }
            Err(error) => Err(EngineFault::Device(error.to_string())),
        }
    }

    /// Reads the first numbers of a buffer back.
    pub fn read<T: bytemuck::Pod>(&self, buffer: &Buffer, count: usize) -> Result<Vec<T>, EngineFault> {
        let mut numbers = Vec::with_capacity(count);
        let add = |part: &[u8]| numbers.extend(bytemuck::pod_collect_to_vec::<u8, T>(part));
        self.read_in_parts(buffer, count, size_of::<T>(), add)?;
        Ok(numbers)
    }

    /// Reads the first `count` items of `size` bytes, whole items at a time: `take` is handed one part
    /// after the other. Memory that both sides see is dear, so the parts share a small one.
    pub fn read_in_parts(
        &self,
        buffer: &Buffer,
        count: usize,
        size: usize,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), EngineFault> {
        let most = (MOST_READ / size).max(1);
        let staging = self.scoped(|| self.staging((count.min(most) * size) as u64))?;
        for first in (0..count).step_by(most) {
            let bytes = ((count - first).min(most) * size) as u64;
            self.read_through(&staging, &[(buffer, (first * size) as u64, bytes)], &mut take)?;
        }
        // Also where nothing is read, all is done.
        self.wait()
    }

    /// Reads bytes of some buffers, each from one on and so many, with one wait for all.
    pub fn read_together(&self, parts: &[(&Buffer, u64, u64)]) -> Result<Vec<u8>, EngineFault> {
        let bytes = parts.iter().map(|(.., bytes)| bytes).sum();
        let staging = self.scoped(|| self.staging(bytes))?;
        let mut read = Vec::with_capacity(bytes as usize);
        self.read_through(&staging, parts, &mut |all| read.extend_from_slice(all))?;
        Ok(read)
    }

    fn staging(&self, bytes: u64) -> Buffer {
        self.buffer("readback", bytes, BufferUsages::MAP_READ | BufferUsages::COPY_DST)
    }

    /// Copies parts of buffers, one behind the other, to memory that the host sees, and shows it.
    fn read_through(
        &self,
        staging: &Buffer,
        parts: &[(&Buffer, u64, u64)],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), EngineFault> {
        let total: u64 = parts.iter().map(|(.., bytes)| bytes).sum();
        if total == 0 {
            return self.wait();
        }
        self.scoped(|| {
            let mut encoder = self.raw.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            let mut to = 0;
            for &(buffer, first, bytes) in parts {
                encoder.copy_buffer_to_buffer(buffer, first, staging, to, Some(bytes));
                to += bytes;
            }
            self.queue.submit([encoder.finish()]);
        })?;
        let answer = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&answer);
        staging.slice(..total).map_async(wgpu::MapMode::Read, move |result| {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        });
        self.wait()?;
        let failed = |error: String| EngineFault::Device(format!("reading back failed: {error}"));
        match answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(failed(error.to_string())),
            None => return Err(EngineFault::Lost("reading back got no answer".to_owned())),
        }
        take(&staging.slice(..total).get_mapped_range().map_err(|error| failed(error.to_string()))?);
        staging.unmap();
        Ok(())
    }
}

fn keep_first(slot: &Mutex<Option<String>>, text: String) {
    slot.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
}
