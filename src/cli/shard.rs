//! `shortfall shard`: simulate one shard of a plan.

use std::path::PathBuf;

use clap::Args;
use shortfall::engine::gpu::shaders_blake3;
use shortfall::scenario::DeviceChoice;
use shortfall::shard::{self, Record, Simulated};

use super::exit::{Failure, exit_codes};
use super::progress::Progress;
use super::{device, output, overrides, plan};

/// Simulate one shard of a plan; a shard that is done is left alone
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// The plan's folder
    pub folder: PathBuf,
    /// Which shard, from 0
    #[arg(long, value_name = "I")]
    pub index: u32,
    /// Where to run; see `shortfall run`
    #[arg(long, value_name = "DEVICE", value_parser = overrides::device)]
    pub device: Option<DeviceChoice>,
    /// The scenario, where it does not lie where it was planned
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,
    /// Simulate it again although it is done, and compare
    #[arg(long)]
    pub force: bool,
    /// No progress bar
    #[arg(long, short)]
    pub quiet: bool,
}

const AFTER_HELP: &str = concat!(
    "\
Examples:
  shortfall shard work --index 3
  shortfall shard work --index 3 --device cpu --force   again, and compare

A shard that was interrupted goes on where its last checkpoint was. A repetition with another
result is an alarm (code 65): the machines that made the two do not compute the same.

",
    exit_codes!()
);

/// Simulates it.
pub fn shard(arguments: &Arguments) -> Result<(), Failure> {
    let (plan, scenario, started) = plan::planned(&arguments.folder, arguments.scenario.as_ref())?;
    let Some(part) = plan.shards.get(arguments.index as usize) else {
        let last = plan.shards.len() - 1;
        return Err(Failure::Usage(format!("--index {}: the plan has shards 0 to {last}", arguments.index)));
    };
    let identity = started.identity(&scenario, Some(shaders_blake3()));
    let choice = arguments.device.as_ref().unwrap_or(&scenario.simulation.device);
    let mut engine = device::choose(choice, scenario.simulation.precision)?;
    let mut progress = Progress::new(!arguments.quiet);
    let place = (arguments.folder.as_path(), part);
    let done = shard::simulate(&scenario, &identity, place, arguments.force, engine.as_mut(), &mut progress);
    progress.finish();
    let done = done?;
    if !arguments.quiet {
        output::say(&match &done {
            Simulated::Before(_) => format!("shard {} is done already", part.index),
            Simulated::Again(_) => format!("shard {} is done again, with the same result", part.index),
            Simulated::Now(record) => told(record),
        });
    }
    Ok(())
}

fn told(record: &Record) -> String {
    let device = &record.device;
    format!(
        "shard {}: {} tails in {:.1} s on {} ({} {})",
        record.index, record.rows, record.seconds, device.engine, device.name, device.detail
    )
}
