//! `shortfall devices`: what there is to run on, and what `auto` would take.

use clap::Args;
use serde::Serialize;
use shortfall::engine::DeviceReport;
use shortfall::engine::gpu::{self, AdapterKind, AdapterSummary};
use shortfall::scenario::{DeviceChoice, Precision};

use super::device;
use super::exit::Failure;
use super::output;

/// Show what there is to run on, and what `auto` would take
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Devices {
    schema: &'static str,
    schema_version: u32,
    cpu: DeviceReport,
    adapters: Vec<AdapterSummary>,
    auto: DeviceReport,
}

/// Shows them.
pub fn devices(arguments: &Arguments) -> Result<(), Failure> {
    let report = |choice| device::choose(&choice, Precision::F32).map(|engine| engine.device());
    let devices = Devices {
        schema: "shortfall.devices",
        schema_version: 1,
        cpu: report(DeviceChoice::Cpu)?,
        adapters: gpu::adapters(),
        auto: report(DeviceChoice::Auto)?,
    };
    if arguments.json {
        let mut json = serde_json::to_string_pretty(&devices).expect("plain fields become JSON");
        json.push('\n');
        return output::print(&json);
    }
    output::print(&render(&devices))
}

fn render(devices: &Devices) -> String {
    let cpu = &devices.cpu;
    let mut lines = vec![["cpu".to_owned(), cpu.name.clone(), "cpu".to_owned(), cpu.detail.clone()]];
    for adapter in &devices.adapters {
        let id = if adapter.pci_bus_id.is_empty() { &adapter.name } else { &adapter.pci_bus_id };
        let kind = if adapter.kind == AdapterKind::Hardware { "hardware" } else { "software" };
        lines.push([format!("gpu:{id}"), adapter.name.clone(), kind.to_owned(), detail(adapter)]);
    }
    let titles = ["--device", "name", "kind", "detail"];
    let width = |column: usize| {
        let cells = lines.iter().map(|line| line[column].chars().count());
        cells.chain([titles[column].len()]).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let line = |cells: [&str; 4]| {
        let padded: String = (0..3).map(|i| format!("{:<1$}  ", cells[i], widths[i])).collect();
        format!("{padded}{}", cells[3]).trim_end().to_owned() + "\n"
    };
    let mut text = line(titles);
    lines.iter().for_each(|cells| text.push_str(&line([&cells[0], &cells[1], &cells[2], &cells[3]])));
    if devices.adapters.is_empty() {
        text.push_str("no GPU adapters\n");
    }
    let hardware = devices.adapters.iter().filter(|adapter| adapter.kind == AdapterKind::Hardware).count();
    text.push_str(&format!(
        "\nside by side, sharing the paths: several of these such as cpu,gpu; `gpus` takes all hardware adapters ({hardware})\n"
    ));
    let auto = &devices.auto;
    text.push_str(&format!("auto takes {} ({}): {}\n", auto.engine, auto.name, auto.reason));
    text
}

fn detail(adapter: &AdapterSummary) -> String {
    let mut parts = vec![adapter.backend.clone(), adapter.driver.clone()];
    parts.push(format!("bindings to {} MiB", adapter.max_binding_bytes >> 20));
    for (offered, name) in [
        (adapter.shader_int64, "int64"),
        (adapter.subgroup, "subgroups"),
        (adapter.timestamp_query, "timestamps"),
    ] {
        parts.extend(offered.then(|| name.to_owned()));
    }
    parts.join(", ")
}
