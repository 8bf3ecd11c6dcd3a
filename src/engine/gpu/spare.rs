//! Buffers that the sessions of an engine use one after the other: a device takes milliseconds to find
//! hundreds of megabytes and to let them go.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use wgpu::Buffer;

use super::device::Device;

/// Buffers by what they are for, none in use twice at a time.
#[derive(Default)]
pub struct Spare(Mutex<HashMap<&'static str, Buffer>>);

impl Spare {
    /// A storage buffer of at least so many bytes, with anything in it.
    pub fn storage(&self, device: &Device, label: &'static str, bytes: u64) -> Buffer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(buffer) = kept.get(label).filter(|buffer| buffer.size() >= bytes) {
            return buffer.clone();
        }
        // The smaller one goes before its successor comes.
        kept.remove(label);
        let buffer = device.storage(label, bytes);
        kept.insert(label, buffer.clone());
        buffer
    }

    /// Lets all go.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
