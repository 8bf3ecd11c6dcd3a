//! Plans, shards and merges.

use std::fs;

use crate::process::{Place, copy};

#[test]
fn any_division_has_the_bytes_of_one_run() {
    let place = Place::new();
    place.done("run night/scenario.yaml --device cpu --quiet --out whole");
    let whole = place.figures("whole");
    let other = place.done("run night/scenario.yaml --device cpu --quiet --seed 4 --out other");
    assert_ne!(place.figures("other"), whole, "figures that nothing changes prove nothing: {}", other.err);
    for by in ["accounts", "paths"] {
        for shards in [1, 2, 7] {
            let (work, out) = (format!("work-{by}-{shards}"), format!("out-{by}-{shards}"));
            let plan = place.done(&format!(
                "plan night/scenario.yaml --shards {shards} --by {by} --out {work} --device cpu"
            ));
            assert!(plan.out.contains("65 accounts") && plan.out.contains("MiB"), "{}", plan.out);
            // In any order.
            for index in (0..shards).rev() {
                place.done(&format!("shard {work} --index {index} --device cpu --quiet"));
            }
            place.done(&format!("merge {work} --out {out} --device cpu --quiet"));
            assert_eq!(place.figures(&out), whole, "{shards} shards by {by}");
        }
    }
}

#[test]
fn a_shard_twice_is_harmless_and_another_result_is_an_alarm() {
    let place = Place::new();
    place.done("plan night/scenario.yaml --shards 2 --out work --paths 8192");
    place.done("shard work --index 0 --device cpu");
    let files = place.names("work");
    let before = fs::read(place.path("work/shard-00000.json")).unwrap();
    let again = place.done("shard work --index 0 --device cpu");
    assert!(again.err.contains("done already"), "{}", again.err);
    let forced = place.done("shard work --index 0 --device cpu --force");
    assert!(forced.err.contains("the same result"), "{}", forced.err);
    assert_eq!(fs::read(place.path("work/shard-00000.json")).unwrap(), before);
    assert_eq!(place.names("work"), files, "nothing is left beside");
    // A record of another machine that computed something else.
    let record = String::from_utf8(before).unwrap();
    let at = record.find("\"tails_blake3\": \"").unwrap() + 17;
    let mut forged = record.clone().into_bytes();
    forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
    fs::write(place.path("work/shard-00000.json"), forged).unwrap();
    let alarm = place.run("shard work --index 0 --device cpu --force");
    assert_eq!(alarm.code, Some(65), "{}", alarm.err);
    assert!(alarm.err.contains("ALARM") && alarm.err.contains("shard-00000"), "{}", alarm.err);
}

#[test]
fn a_merge_takes_tails_apart_as_a_run_does() {
    let place = Place::new();
    let apart = |out: &str| ["attribution.csv", "worst_paths.csv"].map(|n| fs::read(place.path(out).join(n)));
    place.done("run night/scenario.yaml --device cpu --quiet --paths 8192 --attribution top:3 --out whole");
    let whole = apart("whole").map(Result::unwrap);
    for by in ["accounts", "paths"] {
        let work = format!("work-{by}");
        place.done(&format!(
            "plan night/scenario.yaml --shards 3 --by {by} --paths 8192 --attribution top:3 --out {work}"
        ));
        for index in 0..3 {
            place.done(&format!("shard {work} --index {index} --device cpu --quiet"));
        }
        place.done(&format!("merge {work} --device cpu --quiet --out out-{by}"));
        assert_eq!(apart(&format!("out-{by}")).map(Result::unwrap), whole, "by {by}");
    }
    // What is taken apart is chosen again when merging.
    place.done("merge work-paths --device cpu --quiet --attribution top:1 --out one");
    let one = apart("one").map(Result::unwrap);
    assert!(!one[0].is_empty() && one[0].len() < whole[0].len());
    place.done("merge work-paths --device cpu --quiet --attribution none --out none");
    assert!(apart("none").iter().all(Result::is_err));
    let unknown = place.run("merge work-paths --device cpu --attribution nobody --out nobody");
    assert_eq!(unknown.code, Some(2), "{}", unknown.err);
    assert!(unknown.err.contains("no such account"), "{}", unknown.err);
}

#[test]
fn missing_shards_are_named() {
    let place = Place::new();
    place.done("plan night/scenario.yaml --shards 7 --out work --paths 8192");
    for index in [0, 1, 3, 4, 6] {
        place.done(&format!("shard work --index {index} --device cpu --quiet"));
    }
    let merged = place.run("merge work --out out --device cpu");
    assert_eq!(merged.code, Some(75));
    assert!(merged.err.contains("shards 2, 5 are missing"), "{}", merged.err);
    assert!(!place.path("out").exists());
    let unknown = place.run("shard work --index 7");
    assert_eq!(unknown.code, Some(2), "{}", unknown.err);
}

#[test]
fn foreign_and_damaged_shards_are_refused_and_named() {
    let place = Place::new();
    for (work, options) in [("work", ""), ("seed", "--seed 9"), ("thrice", "")] {
        let shards = if work == "thrice" { 3 } else { 2 };
        place
            .done(&format!("plan night/scenario.yaml --shards {shards} --out {work} --paths 8192 {options}"));
        for index in 0..shards {
            place.done(&format!("shard {work} --index {index} --device cpu --quiet"));
        }
    }
    let refused = |name: &str, spoil: &dyn Fn(&str), expected: &[&str]| {
        copy(&place.path("work"), &place.path(name));
        spoil(name);
        let merged = place.run(&format!("merge {name} --device cpu --out out-{name}"));
        assert_eq!(merged.code, Some(65), "{name}: {}", merged.err);
        for text in expected {
            assert!(merged.err.contains(text), "{name}: {text}: {}", merged.err);
        }
        assert!(!place.path(&format!("out-{name}")).exists());
    };
    let take = |from: &str, file: &str, to: &str| {
        fs::copy(place.path(&format!("{from}/{file}")), place.path(&format!("{to}/{file}"))).unwrap();
    };
    let tails = "shard-00001.case-000.tails";
    refused("flipped", &|name| place.damage(&format!("{name}/{tails}")), &[tails, "damaged"]);
    refused(
        "cut",
        &|name| {
            let path = place.path(&format!("{name}/{tails}"));
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        },
        &[tails, "damaged"],
    );
    refused("record", &|name| take("seed", "shard-00001.json", name), &["shard-00001.json", "another run"]);
    refused("tails", &|name| take("seed", tails, name), &[tails, "another run"]);
    refused("part", &|name| take("thrice", "shard-00001.json", name), &["shard-00001.json", "another shard"]);
    refused("swapped", &|name| take("thrice", tails, name), &[tails]);
    // The plan itself against inputs that have changed since.
    let positions = place.path("night/positions.csv");
    let text = fs::read_to_string(&positions).unwrap();
    fs::write(&positions, text + "client-0000065,C01,1,\n").unwrap();
    for command in ["merge work --device cpu", "shard work --index 0 --device cpu"] {
        let changed = place.run(command);
        assert_eq!(changed.code, Some(65), "{}", changed.err);
        assert!(changed.err.contains("positions.csv"), "{}", changed.err);
    }
}

#[test]
fn plans_that_make_no_sense_are_refused() {
    let place = Place::new();
    let many = place.run("plan night/scenario.yaml --shards 66 --out work");
    assert_eq!(many.code, Some(2));
    assert!(many.err.contains("at most 65"), "{}", many.err);
    let tolerance = place.run("plan night/scenario.yaml --shards 2 --tolerance 1% --out work");
    assert_eq!(tolerance.code, Some(2));
    assert!(tolerance.err.contains("tolerance"), "{}", tolerance.err);
    place.done("plan night/scenario.yaml --shards 2 --out work");
    place.done("plan night/scenario.yaml --shards 2 --out work");
    let other = place.run("plan night/scenario.yaml --shards 3 --out work");
    assert_eq!(other.code, Some(65), "{}", other.err);
}
