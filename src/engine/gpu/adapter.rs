//! Adapters: what there is, and which one to take.

use wgpu::{
    Adapter, Backends, DeviceType, Features, Instance, InstanceDescriptor, InstanceFlags,
    MemoryBudgetThresholds,
};

use crate::engine::EngineFault;

const BACKENDS: Backends = Backends::VULKAN.union(Backends::METAL).union(Backends::DX12);

/// Part of the memory that the driver says is free for us: the rest is for what it needs itself.
const MEMORY_PERCENT: u8 = 90;

/// NVIDIA's number among the makers of PCI devices. Mesa has a driver for their cards too.
const NVIDIA: u32 = 0x10DE;

/// Hardware, or a program that imitates it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdapterKind {
    /// A GPU.
    Hardware,
    /// A processor that runs shaders: right, but slower than the CPU engine.
    Software,
}

/// One adapter, as the `devices` command shows it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct AdapterSummary {
    /// Its name: `NVIDIA H100`.
    pub name: String,
    /// Hardware or software.
    pub kind: AdapterKind,
    /// `vulkan`, `metal` or `dx12`.
    pub backend: String,
    /// Driver and its version.
    pub driver: String,
    /// `0000:01:00.0`, which tells identical cards apart; empty where unknown.
    pub pci_bus_id: String,
    /// Largest storage binding in bytes.
    pub max_binding_bytes: u64,
    /// Largest buffer in bytes.
    pub max_buffer_bytes: u64,
    /// Workgroups along each side of a dispatch.
    pub max_workgroups: u32,
    /// Invocations of a workgroup.
    pub max_workgroup_size: u32,
    /// 64-bit integers in shaders.
    pub shader_int64: bool,
    /// Whether its driver is known to leave fused multiply-adds as they are: NVIDIA's own does.
    pub keeps_fused_operations: bool,
    /// Subgroup operations.
    pub subgroup: bool,
    /// Timestamps on the device.
    pub timestamp_query: bool,
}

/// All adapters, hardware first. Empty where there is no driver.
pub fn adapters() -> Vec<AdapterSummary> {
    enumerate().iter().map(summary).collect()
}

/// The hardware adapter that an automatic choice takes.
pub fn hardware() -> Option<AdapterSummary> {
    adapters().into_iter().find(|adapter| adapter.kind == AdapterKind::Hardware)
}

/// An adapter that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The first one, hardware before software.
    First,
    /// The first one whose name contains the text, or whose PCI bus id it is.
    Named(String),
    /// All hardware.
    AllHardware,
}

/// The adapters that are wanted, in that order; each is taken once.
pub(super) fn choose(wanted: &[Wanted]) -> Result<Vec<(Adapter, AdapterSummary)>, EngineFault> {
    let mut free: Vec<_> =
        enumerate().into_iter().map(|adapter| (adapter.clone(), summary(&adapter))).collect();
    if free.is_empty() {
        return Err(EngineFault::NoDevice(HOW_TO_GET_ONE.to_owned()));
    }
    let names: Vec<String> = free.iter().map(|(_, summary)| summary.label()).collect();
    let names = format!("there is {} (`shortfall devices` lists them)", names.join(", "));
    let mut taken = Vec::new();
    for wanted in wanted {
        let before = taken.len();
        let all = *wanted == Wanted::AllHardware;
        while let Some(index) = free.iter().position(|(_, summary)| wanted.matches(summary)) {
            taken.push(free.remove(index));
            if !all {
                break;
            }
        }
        if taken.len() == before {
            let missing = match wanted {
                Wanted::Named(name) if taken.iter().any(|(_, summary)| summary.matches(name)) => {
                    format!("\"{name}\" is asked for again")
                }
                Wanted::Named(name) => format!("no adapter is called \"{name}\""),
                Wanted::AllHardware => "there is no hardware adapter".to_owned(),
                Wanted::First => "more adapters are asked for than there are".to_owned(),
            };
            return Err(EngineFault::NoDevice(format!("{missing}; {names}")));
        }
    }
    Ok(taken)
}

impl Wanted {
    fn matches(&self, summary: &AdapterSummary) -> bool {
        match self {
            Self::First => true,
            Self::Named(name) => summary.matches(name),
            Self::AllHardware => summary.kind == AdapterKind::Hardware,
        }
    }
}

#[cfg(target_os = "linux")]
const HOW_TO_GET_ONE: &str = "no Vulkan driver was found; install the Vulkan loader (libvulkan1) and the GPU's driver, or mesa-vulkan-drivers for a slow software adapter, or use --device cpu";
#[cfg(not(target_os = "linux"))]
const HOW_TO_GET_ONE: &str = "no adapter was found; install the GPU's driver, or use --device cpu";

impl AdapterSummary {
    fn matches(&self, filter: &str) -> bool {
        let id = self.pci_bus_id.eq_ignore_ascii_case(filter) && !filter.is_empty();
        id || self.name.to_lowercase().contains(&filter.to_lowercase())
    }

    fn label(&self) -> String {
        if self.pci_bus_id.is_empty() {
            return self.name.clone();
        }
        format!("{} ({})", self.name, self.pci_bus_id)
    }
}

fn enumerate() -> Vec<Adapter> {
    // Without flags: no validation layers, and no complaint where they are not installed. One line
    // on stderr remains beyond our reach: Mesa's device-select layer asks for a Wayland display and
    // says so where XDG_RUNTIME_DIR is not set; NODEVICE_SELECT=1 in the environment stops it.
    let descriptor = InstanceDescriptor {
        backends: BACKENDS,
        flags: InstanceFlags::empty(),
        // A buffer beyond it is refused, and the plan takes smaller tiles, where otherwise the driver
        // might lose the device or page.
        memory_budget_thresholds: MemoryBudgetThresholds {
            for_resource_creation: Some(MEMORY_PERCENT),
            for_device_loss: None,
        },
        ..InstanceDescriptor::new_without_display_handle()
    };
    let instance = Instance::new(descriptor);
    let mut adapters = pollster::block_on(instance.enumerate_adapters(BACKENDS));
    let preference = |adapter: &Adapter| match adapter.get_info().device_type {
        DeviceType::DiscreteGpu => 0,
        DeviceType::IntegratedGpu => 1,
        DeviceType::VirtualGpu => 2,
        DeviceType::Other => 3,
        DeviceType::Cpu => 4,
    };
    adapters.sort_by_key(preference);
    adapters
}

fn summary(adapter: &Adapter) -> AdapterSummary {
    let info = adapter.get_info();
    let limits = adapter.limits();
    let features = adapter.features();
    let kind = match info.device_type {
        DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu => AdapterKind::Hardware,
        DeviceType::Other | DeviceType::Cpu => AdapterKind::Software,
    };
    AdapterSummary {
        keeps_fused_operations: info.vendor == NVIDIA && info.driver == "NVIDIA",
        name: info.name,
        kind,
        backend: format!("{:?}", info.backend).to_lowercase(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        pci_bus_id: info.device_pci_bus_id,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        max_workgroups: limits.max_compute_workgroups_per_dimension,
        max_workgroup_size: limits
            .max_compute_invocations_per_workgroup
            .min(limits.max_compute_workgroup_size_x),
        shader_int64: features.contains(Features::SHADER_INT64),
        subgroup: features.contains(Features::SUBGROUP),
        timestamp_query: features.contains(Features::TIMESTAMP_QUERY),
    }
}
