//! Subcommands beside `run`, help and usage errors.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::book::{Book, say, shortfall};

#[test]
fn help_starts_at_once_and_documents_the_exit_codes() {
    say(&mut shortfall(["--help"]));
    let start = Instant::now();
    let said = say(&mut shortfall(["--help"]));
    let elapsed = start.elapsed();
    assert_eq!(said.code, 0);
    for line in ["run ", "validate ", "devices ", "init ", "completions ", "   65  wrong input", "  130  "] {
        assert!(said.stdout.contains(line), "{}", said.stdout);
    }
    // The bound is 50 ms; a busy machine gets ten times that before the test complains.
    assert!(elapsed < Duration::from_millis(500), "{elapsed:?}");
}

#[test]
fn every_subcommand_has_help_and_a_version() {
    for name in ["run", "validate", "bench", "report", "devices", "init", "completions"] {
        let said = say(&mut shortfall([name, "--help"]));
        assert_eq!(said.code, 0);
        assert!(said.stdout.lines().all(|line| line.chars().count() <= 100), "{}", said.stdout);
    }
    let said = say(&mut shortfall(["--version"]));
    assert_eq!(said.stdout, concat!("shortfall ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn wrong_command_lines_are_code_two() {
    let scenario = "scenarios/quickstart.yaml";
    for (arguments, needle) in [
        (vec!["simulate"], "unrecognized subcommand"),
        (vec!["run"], "<SCENARIO>"),
        (vec!["run", scenario, "--paths", "0"], "expected a whole number from 1 to 68719476736"),
        (vec!["run", scenario, "--paths", "1e6"], "expected a whole number"),
        (vec!["run", scenario, "--steps", "10001"], "from 1 to 10000"),
        (vec!["run", scenario, "--seed", "-1"], "seed"),
        (vec!["run", scenario, "--seed", "9007199254740992"], "from 0 to 9007199254740991"),
        (vec!["run", scenario, "--tolerance", "80%"], "from 0.01% to 50%"),
        (vec!["run", scenario, "--tolerance", "nan"], "from 0.01% to 50%"),
        (vec!["run", scenario, "--device", "tpu"], "expected auto, cpu, gpu, gpu:NAME"),
        (vec!["run", scenario, "--device", "gpu:"], "expected auto, cpu, gpu, gpu:NAME"),
        (vec!["run", scenario, "--precision", "f16"], "expected f32 or f64"),
        (vec!["run", scenario, "--precision", "f64", "--device", "gpu"], "precision f64 on a GPU"),
        (vec!["run", scenario, "--case", "June 2022"], "the scenario has base, March 2020, volatility up"),
        (vec!["run", scenario, "--force"], "--out"),
        (vec!["completions", "tcsh"], "possible values"),
    ] {
        let said = say(&mut shortfall(&arguments));
        assert_eq!(said.code, 2, "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(needle), "{arguments:?}: {}", said.stderr);
        assert_eq!(said.stdout, "");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_code_69() {
    let arguments = ["run", "scenarios/quickstart.yaml", "--device", "gpu:no adapter has this name"];
    let said = say(&mut shortfall(arguments));
    assert_eq!(said.code, 69, "{}", said.stderr);
    // Vulkan's drivers write to standard error as they please.
    assert!(said.stderr.contains("error: no usable GPU: "), "{}", said.stderr);
}

#[test]
fn the_example_runs_and_is_not_overwritten() {
    let book = Book::new();
    let said = book.run(&[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    for case in
        ["base:", "March 2020:", "crash:", "volatility up:", "all together:", "jumps x3:", "carry gone:"]
    {
        assert!(said.stdout.contains(&format!("\n{case}")), "no {case} in {}", said.stdout);
    }
    let before = book.read("scenario.yaml");
    let folder = book.path("");
    let again = say(&mut shortfall(["init".as_ref(), folder.as_os_str()]));
    assert_eq!(again.code, 74);
    assert!(again.stderr.contains("already holds scenario.yaml"), "{}", again.stderr);
    assert_eq!(book.read("scenario.yaml"), before);
}

#[test]
fn the_next_command_that_init_prints_works() {
    let folder = tempfile::TempDir::new().unwrap();
    let said = say(&mut shortfall(["init".as_ref(), folder.path().join("b").as_os_str()]));
    let next = said.stdout.lines().find_map(|line| line.strip_prefix("next: shortfall ")).unwrap();
    let arguments = next.split(' ').chain(["--paths", "1024", "--case", "base", "--device", "cpu"]);
    assert_eq!(say(&mut shortfall(arguments)).code, 0);
}

#[test]
fn devices_say_what_auto_takes_and_why() {
    let said = say(&mut shortfall(["devices"]));
    assert_eq!(said.code, 0);
    assert!(said.stdout.contains("cpu") && said.stdout.contains("\nauto takes "), "{}", said.stdout);
    let said = say(&mut shortfall(["devices", "--json"]));
    let devices: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(devices["schema"], "shortfall.devices");
    assert_eq!(devices["cpu"]["engine"], "cpu");
    assert!(!devices["auto"]["reason"].as_str().unwrap().is_empty());
}

#[test]
fn completions_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = say(&mut shortfall(["completions", shell]));
        assert_eq!(said.code, 0);
        assert!(said.stdout.contains("fail-if"), "{shell}");
    }
}

#[cfg(unix)]
#[test]
fn a_reader_that_leaves_early_is_no_fault() {
    for arguments in [
        vec!["run", "scenarios/quickstart.yaml", "--paths", "1024", "--device", "cpu"],
        vec!["run", "scenarios/quickstart.yaml", "--paths", "1024", "--device", "cpu", "--json"],
        vec!["completions", "bash"],
        vec!["devices"],
        vec!["--help"],
    ] {
        let mut child = shortfall(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_code_74() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = shortfall(["devices"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(74), "{}", String::from_utf8_lossy(&output.stderr));
}
