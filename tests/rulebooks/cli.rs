//! `shortfall margin` as a user runs it.

use assert_cmd::Command;
use serde_json::Value;

fn margin(arguments: &[&str]) -> std::process::Output {
    let mut command = Command::cargo_bin("shortfall").expect("the binary");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("margin").args(arguments);
    command.output().expect("it runs")
}

const BOOK: &str = "scenarios/rulebooks/examples/deribit-btc.json";

#[test]
fn a_book_is_margined_under_a_named_rulebook_or_a_file() {
    let named = margin(&["--rulebook", "deribit-pm", "--as-of", "2024-06-17", BOOK, "--json"]);
    assert!(named.status.success());
    let result: Value = serde_json::from_slice(&named.stdout).expect("JSON");
    assert_eq!(result["rulebook"]["effective"], "2024-06-17");
    assert!(result["maintenance_margin"].as_f64().expect("a number") > 0.0);
    let file = margin(&["--rulebook", "scenarios/rulebooks/deribit-pm/2024-06-17.yaml", BOOK, "--json"]);
    assert_eq!(named.stdout, file.stdout);
    let text = margin(&["--rulebook", "deribit-pm", BOOK]).stdout;
    let text = String::from_utf8(text).expect("UTF-8");
    assert!(text.contains("in force from 2026-02-01") && text.contains("roll_shock"), "{text}");
}

#[test]
fn what_cannot_be_done_has_its_exit_code() {
    for (arguments, code, part) in [
        (&["--list"][..], 0, ""),
        (&["--rulebook", "nobody", BOOK], 2, "derive-pm2"),
        (&["--rulebook", "deribit-pm", "--as-of", "1999-01-01", BOOK], 2, "2024-06-17"),
        (&["--rulebook", "aevo-pm", BOOK], 65, "the input `mmp_margin`"),
        (&["--rulebook", "deribit-pm", "no-such.json"], 65, "no-such.json"),
        (&["--rulebook", "hyperliquid", "scenarios/rulebooks/examples/span-cme-c100.json"], 65, "scan_range"),
        (&[], 2, "--rulebook"),
    ] {
        let output = margin(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
}
