//! Memory limits.

use crate::process::Place;

#[test]
fn a_limit_shrinks_tiles_without_changing_a_bit_and_refuses_what_does_not_fit() {
    let place = Place::new();
    place.done("run night/scenario.yaml --device cpu --quiet --out free");
    let shown = place.done("run night/scenario.yaml --device cpu --memory-limit 1GiB");
    assert!(shown.err.contains("planned peak memory"), "{}", shown.err);
    let refused = place.run("run night/scenario.yaml --device cpu --memory-limit 8MiB --out small");
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    assert!(refused.err.contains("8 MiB are allowed") && refused.err.contains("--shards"), "{}", refused.err);
    assert!(!place.path("small.partial").exists());
    // Just above what the message says is needed at least.
    let needed: u64 = refused.err.split("needs ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    place.done(&format!(
        "run night/scenario.yaml --device cpu --quiet --out tight --memory-limit {}MiB",
        needed + 1
    ));
    assert_eq!(place.figures("tight"), place.figures("free"));
    let manifest = std::fs::read_to_string(place.path("tight/manifest.json")).unwrap();
    assert!(manifest.contains("\"planned_peak_memory_bytes\""));
    // Taking every account's tails apart needs more, and the plan knows.
    let apart = place.run(&format!(
        "run night/scenario.yaml --device cpu --quiet --out apart --attribution all --memory-limit {}MiB",
        needed + 1
    ));
    assert_eq!(apart.code, Some(2), "{}", apart.err);
    assert!(apart.err.contains("attribution") && !place.path("apart").exists(), "{}", apart.err);
}
