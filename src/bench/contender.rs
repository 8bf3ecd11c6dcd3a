//! Engines to measure.

use std::fmt;

use super::workload::WorkloadName;
use crate::engine::cpu::CpuEngine;
use crate::engine::gpu::{self, AdapterKind, GpuEngine};
use crate::engine::{Engine, EngineFault};
use crate::scenario::Precision;

/// An engine that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contender {
    /// CPU, f32, the best instruction set of the processor.
    Cpu,
    /// CPU, f32, the instructions that every processor of its kind has.
    CpuBaseline,
    /// CPU, f64: the reference.
    CpuF64,
    /// A GPU by its PCI bus id or part of its name.
    Gpu(String),
}

impl Contender {
    /// All engines of this machine; software adapters only where asked for.
    pub fn present(software: bool) -> Vec<Self> {
        let mut present = vec![Self::Cpu, Self::CpuBaseline, Self::CpuF64];
        let adapters = gpu::adapters().into_iter();
        let wanted = adapters.filter(|adapter| software || adapter.kind == AdapterKind::Hardware);
        present.extend(wanted.map(|adapter| {
            Self::Gpu(if adapter.pci_bus_id.is_empty() { adapter.name } else { adapter.pci_bus_id })
        }));
        present
    }

    /// Reads `cpu`, `cpu-baseline`, `cpu-f64` or `gpu:NAME`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "cpu" => Some(Self::Cpu),
            "cpu-baseline" => Some(Self::CpuBaseline),
            "cpu-f64" => Some(Self::CpuF64),
            _ => text
                .strip_prefix("gpu:")
                .filter(|name| !name.is_empty())
                .map(|name| Self::Gpu(name.to_owned())),
        }
    }

    /// Opens it.
    pub fn open(&self) -> Result<Box<dyn Engine>, EngineFault> {
        Ok(match self {
            Self::Cpu => Box::new(CpuEngine::new(Precision::F32)),
            Self::CpuBaseline => Box::new(CpuEngine::new(Precision::F32).with_baseline_instructions()),
            Self::CpuF64 => Box::new(CpuEngine::new(Precision::F64)),
            Self::Gpu(name) => Box::new(GpuEngine::new(Some(name))?),
        })
    }
}

/// Paths of a workload on an engine: all of them, but few where a quick look is wanted, and a part
/// of the night where an engine is there to be compared with.
pub fn paths_of(name: WorkloadName, engine: &Contender, quick: bool) -> u64 {
    let is_reference = matches!(engine, Contender::CpuBaseline | Contender::CpuF64);
    match name {
        WorkloadName::Night if quick => 8_192,
        _ if quick => name.paths().min(65_536),
        WorkloadName::Night if is_reference => 65_536,
        _ => name.paths(),
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::CpuBaseline => f.write_str("cpu-baseline"),
            Self::CpuF64 => f.write_str("cpu-f64"),
            Self::Gpu(name) => write!(f, "gpu:{name}"),
        }
    }
}
