//! Runs whose driver loses the device.
#![cfg(target_os = "linux")]

use crate::layer::{Layer, software};
use crate::process::{Place, ended};

/// Submissions until the device is lost: some tiles, and a checkpoint after each.
const SUBMISSIONS: &str = "6";
/// Resumed runs that are lost again.
const LOSSES: u32 = 3;

#[test]
fn a_run_that_loses_its_device_goes_on_and_ends_with_the_same_bytes() {
    let (Some(name), Some(layer)) = (software(), Layer::new()) else { return };
    let place = Place::new();
    let run = |device: &str| {
        format!("run night/scenario.yaml --device {device} --quiet --checkpoint-every 0s --out")
    };
    place.done(&format!("{} whole", run("cpu")));
    let on_gpu = run(&format!("gpu:{name}"));
    let mut reached = 0;
    for loss in 0..LOSSES {
        let mut command = layer.below(place.command(&format!("{on_gpu} out --resume")));
        command.env("LOSE_DEVICE_AFTER", SUBMISSIONS);
        let ended = ended(command.output().unwrap());
        assert_eq!(ended.code, Some(75), "loss {loss}: {}", ended.err);
        assert!(ended.err.contains("the device was lost"), "{}", ended.err);
        let now = tails_of(&place);
        assert!(now > reached, "loss {loss} came after a tile more: {now} after {reached}");
        reached = now;
    }
    place.done(&format!("{on_gpu} out --resume"));
    assert_eq!(place.figures("out"), place.figures("whole"));
}

/// Paths of all checkpoints of the run.
fn tails_of(place: &Place) -> u64 {
    let names = place.names("out.partial").into_iter().filter(|name| name.ends_with(".tails"));
    names.map(|name| crate::interrupted::reached_paths(&place.path(&format!("out.partial/{name}")))).sum()
}
