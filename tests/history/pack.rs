//! The validation pack: the committed document holds what is computed now, and a miss is seen.

use std::process::Command;

use shortfall::validate::Verdict;
use shortfall::validate::pack::{Effort, Options, Section, section, titles};

use crate::data::root;

/// With the effort that the committed document was made with.
fn options() -> Options {
    let effort = if document().contains("--report --quick`") { Effort::QUICK } else { Effort::FULL };
    Options { scenarios: root().join("scenarios"), data: None, effort }
}

fn document() -> String {
    std::fs::read_to_string(root().join("docs/validation.md")).unwrap()
}

/// Lines of tables: the figures, without the words around them.
fn rows(section: &Section) -> Vec<String> {
    section.markdown("validation").lines().filter(|line| line.starts_with('|')).map(str::to_owned).collect()
}

#[test]
fn the_committed_document_holds_what_is_computed_now() {
    let document = document();
    for title in [
        "Data and its quality",
        "Expected Shortfall against exact values",
        "Calibration: parameters found again",
        "Monitoring and thresholds",
    ] {
        let section = section(title, &options()).expect("a section of this title");
        let all = rows(&section);
        assert!(all.len() > 3, "{title}: {all:?}");
        // What needs a series that is not shipped depends on whether it is at hand.
        for row in all.iter().filter(|row| !row.contains("published GARCH")) {
            let message = "write it again with `shortfall validate --report`";
            assert!(document.contains(row.as_str()), "{title}: not in docs/validation.md; {message}:\n{row}");
        }
        assert!(section.checks().all(|check| check.verdict != Verdict::Miss), "{section:?}");
    }
}

#[test]
fn the_document_has_every_section_and_its_charts() {
    let document = document();
    let headings = document.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(headings, titles().len());
    for title in titles() {
        assert!(document.contains(&format!(". {title}\n")), "{title}");
    }
    for line in document.lines().filter(|line| line.starts_with("![")) {
        let file = line.split_once("](").and_then(|(_, rest)| rest.strip_suffix(')')).expect("a link");
        assert!(root().join("docs").join(file).is_file(), "{line}");
    }
}

/// A folder whose history has a hole: the section says so.
#[test]
fn what_is_wrong_is_a_miss_and_not_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(root().join("scenarios")).arg(folder.path()).status().unwrap();
    assert!(copied.success());
    let scenarios = folder.path().join("scenarios");
    for file in ["crypto_daily.csv", "sp500_daily.csv"] {
        let text = std::fs::read_to_string(root().join("scenarios/history").join(file)).unwrap();
        let kept =
            text.lines().enumerate().filter(|(line, _)| !(500..540).contains(line)).map(|(_, line)| line);
        let kept: Vec<&str> = kept.collect();
        std::fs::write(scenarios.join("history").join(file), kept.join("\n")).unwrap();
    }
    let broken = Options { scenarios, ..options() };
    let section = section("Data and its quality", &broken).unwrap();
    let missed: Vec<_> = section.checks().filter(|check| check.verdict == Verdict::Miss).collect();
    assert_eq!(missed.len(), 2, "{section:?}");
    assert!(missed.iter().all(|check| check.name.contains("gaps")), "{missed:?}");
    assert!(section.markdown("validation").contains("| **MISS** |"));
    // No folder of scenarios at all is told before anything runs.
    let mut command = assert_cmd::Command::cargo_bin("shortfall").unwrap();
    let arguments = ["validate", "--report", "v.md"];
    let output = command.args(arguments).current_dir(&broken.scenarios).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
