//! `--fail-if`: exit code 10 after everything was written, with the accounts named.

use crate::book::{Book, json};

#[test]
fn a_breach_is_code_ten_and_names_accounts() {
    let book = Book::new();
    let out = book.beside("out");
    let said = book.run(&["--case", "base", "--fail-if", "health < 1", "--out", out.to_str().unwrap()]);
    assert_eq!(said.code, 10, "{}", said.stderr);
    assert!(said.stderr.contains("--fail-if 'health < 1': 1 breached\n  base: under-water: health is 0."));
    assert!(out.join("manifest.json").exists(), "everything is written first");
    assert!(said.stdout.contains("under-water"), "the table is shown first");
}

#[test]
fn a_threshold_that_holds_is_code_zero() {
    let book = Book::new();
    let said = book.run(&["--case", "base", "--quiet", "--fail-if", "health < 0.01"]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
}

#[test]
fn thresholds_look_at_the_case_that_they_name() {
    let book = Book::new();
    let run = |expression: &str| book.run(&["--case", "crash", "--quiet", "--fail-if", expression]);
    assert_eq!(run("market_value < -100000").code, 0, "the base case has no such account");
    let crash = run("crash: market_value < -100000");
    assert_eq!(crash.code, 10);
    assert!(crash.stderr.contains("\n  crash: "), "{}", crash.stderr);
    let any = run("any: market_value < -100000");
    assert_eq!(any.code, 10);
    let unknown = run("June: health < 1");
    assert_eq!(unknown.code, 2);
    assert!(unknown.stderr.contains("no case `June`; this run has base, crash, and any"));
}

#[test]
fn several_thresholds_are_all_reported() {
    let book = Book::new();
    let said = book.run(&["--case", "base", "--json", "--fail-if", "health<1", "--fail-if", "equity > 0"]);
    assert_eq!(said.code, 10);
    assert!(
        said.stderr.contains("'health<1': 1 breached") && said.stderr.contains("'equity > 0': 6 breached")
    );
    assert_eq!(json(&said)["cases"][0]["accounts"].as_array().unwrap().len(), 6);
}

#[test]
fn other_expressions_are_usage_errors() {
    let book = Book::new();
    for bad in ["health", "helth < 1", "health < one", "health < nan", "health == 1", ""] {
        let said = book.run(&["--fail-if", bad]);
        assert_eq!(said.code, 2, "{bad}: {}", said.stderr);
        assert_eq!(said.stdout, "");
    }
}
