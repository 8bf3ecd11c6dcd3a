//! Margins over time, and the state of the buffer from day to day.

use std::fs;
use std::path::Path;

use crate::book::{Said, json, say, shortfall};

const HISTORY: &str =
    "date,margin,stressed_margin\n2026-02-02,100,200\n2026-02-03,150,200\n2026-02-04,120,200\n";

fn procyclicality(folder: &Path, arguments: &[&str]) -> Said {
    say(shortfall(["procyclicality"]).args(arguments).current_dir(folder))
}

#[test]
fn a_history_in_parts_hands_its_state_on() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    let lines: Vec<&str> = HISTORY.lines().collect();
    fs::write(path("all.csv"), HISTORY).unwrap();
    fs::write(path("first.csv"), lines[..3].join("\n")).unwrap();
    fs::write(path("second.csv"), [lines[0], lines[3]].join("\n")).unwrap();
    let last = |arguments: &[&str]| -> (f64, serde_json::Value) {
        let said = procyclicality(place.path(), &[arguments, &["--json"]].concat());
        assert_eq!(said.code, 0, "{}", said.stderr);
        let document = json(&said);
        let all = document["treatments"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(all["name"], "all");
        let margin = all["margins"].as_array().unwrap().last().unwrap()["margin"].as_f64().unwrap();
        (margin, document["state"].clone())
    };
    let whole = last(&["all.csv", "--save-state", "whole.json"]);
    last(&["first.csv", "--save-state", "state.json"]);
    assert_eq!(last(&["second.csv", "--state", "state.json", "--save-state", "state.json"]), whole);
    assert_eq!(fs::read(path("state.json")).unwrap(), fs::read(path("whole.json")).unwrap());
    assert_ne!(last(&["second.csv"]), whole, "negative control");
    // The same day twice is not a day more.
    let said = procyclicality(place.path(), &["second.csv", "--state", "state.json"]);
    assert_eq!(said.code, 65);
    assert!(said.stderr.contains("it has to begin after it"), "{}", said.stderr);
}

#[test]
fn faults_of_a_history_come_together() {
    let place = tempfile::tempdir().expect("a folder");
    fs::write(place.path().join("m.csv"), "date,margin\n2026-02-03,-1\n2026-02-03,nan\nnever,3\n").unwrap();
    let said = procyclicality(place.path(), &["m.csv"]);
    assert_eq!(said.code, 65);
    for wanted in ["m.csv:2: margin: found", "m.csv:3: margin: found", "m.csv:4: date: found"] {
        assert!(said.stderr.contains(wanted), "{wanted}: {}", said.stderr);
    }
    assert_eq!(procyclicality(place.path(), &["m.csv", "--run-off-to", "1"]).code, 2);
}
