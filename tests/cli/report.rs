//! `report`: the page has what the run found, stands alone, and refuses what is no run.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::book::{Book, Said, json, say, shortfall};

const HOSTILE: &str = "<img src=x onerror=alert(1)> & \"friends\" | `x`";

/// A run of the example's base case and one stress, with attribution of one account.
fn ran(book: &Book) -> (PathBuf, Value) {
    let out = book.beside("result");
    let arguments = ["--case", "crash", "--attribution", "top:1", "--json", "--out"];
    let said = book.run(&[&arguments[..], &[out.to_str().unwrap()]].concat());
    assert_eq!(said.code, 0, "{}", said.stderr);
    (out, json(&said))
}

fn report(out: &std::path::Path, more: &[&str]) -> Said {
    say(shortfall(["report".as_ref(), out.as_os_str()]).args(more))
}

/// A number as the page shows it to the cent or, from 10,000 on, to the dollar.
fn shown(x: &Value) -> String {
    let x = x.as_f64().unwrap();
    let digits = match x.abs() {
        size if size >= 10_000.0 => 0,
        _ => 2,
    };
    let text = format!("{:.digits$}", x.abs());
    let (whole, fraction) =
        text.split_once('.').map_or((&*text, ""), |(whole, _)| (whole, &text[whole.len()..]));
    let groups: Vec<&str> =
        whole.as_bytes().rchunks(3).rev().map(|g| std::str::from_utf8(g).unwrap()).collect();
    groups.join(",") + fraction
}

#[test]
fn the_page_has_every_account_and_stands_alone() {
    let book = Book::new();
    let (out, document) = ran(&book);
    let said = report(&out, &[]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let page = said.stdout.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for outside in ["http:", "https:", "<script", "<link", "<img", "<iframe", "src=", "url(", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    let cases = document["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 2);
    for case in cases {
        assert!(page.contains(case["name"].as_str().unwrap()));
        for account in case["accounts"].as_array().unwrap() {
            assert!(page.contains(account["account"].as_str().unwrap()), "{account}");
            for figure in ["market_value", "equity", "maintenance_margin", "initial_margin"] {
                assert!(page.contains(&shown(&account[figure])), "{figure} of {account}");
            }
            for level in ["maintenance", "initial"] {
                let tail = &account[level];
                for figure in ["expected_shortfall", "value_at_risk"] {
                    assert!(page.contains(&shown(&tail[figure])), "{figure} of {account}");
                }
            }
        }
    }
    for needle in [
        "<!DOCTYPE html>",
        "Summary",
        "Accounts by need",
        "Loss distributions",
        "Stresses",
        "Worst paths",
        "What the Expected Shortfall is made of",
        "Run manifest",
        "prefers-color-scheme: dark",
        "@media print",
        "name=\"viewport\"",
        document["manifest"]["run_id"].as_str().unwrap(),
    ] {
        assert!(page.contains(needle), "{needle}");
    }
    for absent in ["Comparison of architectures", "Procyclicality"] {
        assert!(!page.contains(absent), "{absent} without a result");
    }
    // A chart for each account, one of the stresses, two of the attribution.
    let accounts = cases[0]["accounts"].as_array().unwrap();
    let drawn = accounts.iter().filter(|account| !account["distribution"].is_null()).count();
    assert_eq!(page.matches("<svg").count(), drawn + 3);
    for account in accounts {
        let counts = account["distribution"]["counts"].as_array().unwrap();
        assert_eq!(
            counts.iter().map(|n| n.as_u64().unwrap()).sum::<u64>(),
            2048,
            "every path is in a column"
        );
    }
    let markdown = report(&out, &["--markdown"]).stdout;
    for account in accounts {
        assert!(markdown.contains(&format!("| {} |", account["account"].as_str().unwrap())), "{markdown}");
        assert!(markdown.contains(&shown(&account["initial_margin"])), "{markdown}");
    }
}

#[test]
fn other_results_in_the_folder_have_their_sections() {
    let book = Book::new();
    let (out, _) = ran(&book);
    let comparison = r#"{"level": "initial", "currency": "USD", "accounts": [{"account": "desk", "architectures": [
        {"architecture": "SPAN", "note": "16 scenarios", "margin": 6620.0, "standard_error": null,
         "ratio_to_portfolio_es": 1.75, "why_not": null},
        {"architecture": "venue", "note": "", "margin": null, "standard_error": null,
         "ratio_to_portfolio_es": null, "why_not": "<b>no ADA</b>"}]}]}"#;
    fs::write(out.join("comparison.json"), comparison).unwrap();
    let history = r#"{"within_days": 5, "treatments": [{"name": "buffer", "days": 2, "mean": 15.0, "peak_to_trough": 2.5,
        "largest_rise": 1.5, "largest_call": 10.0, "deviation": 0.25,
        "margins": [{"date": "2026-01-01", "margin": 10.0}, {"date": "2026-01-02", "margin": 20.0}]}]}"#;
    fs::write(out.join("procyclicality.json"), history).unwrap();
    let page = report(&out, &[]).stdout;
    for needle in [
        "Comparison of architectures",
        "6,620",
        "1.75",
        "&lt;b&gt;no ADA&lt;/b&gt;",
        "Procyclicality",
        "150.0 %",
    ] {
        assert!(page.contains(needle), "{needle}");
    }
}

#[test]
fn hostile_names_stay_text() {
    let book = Book::new();
    let accounts = book.read("accounts.csv");
    let first = accounts.lines().nth(1).unwrap();
    let name = first.split(',').next().unwrap();
    let hostile = format!("{name},\"{}\"", HOSTILE.replace('"', "\"\""));
    book.replace("accounts.csv", first, &hostile);
    let (out, _) = ran(&book);
    let page = report(&out, &[]).stdout;
    assert!(!page.contains("<img"), "escaped");
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt; &amp; &quot;friends&quot; | `x`"), "{page}");
    // A name that is in Markdown's tables too.
    let summary = fs::read_to_string(out.join("summary.json")).unwrap();
    fs::write(out.join("summary.json"), summary.replacen(name, "<b>|`*_[x](y)", 3)).unwrap();
    assert_eq!(report(&out, &["--markdown"]).code, 65, "changed after the run");
}

#[test]
fn what_is_no_run_is_refused_with_every_fault() {
    let book = Book::new();
    let missing = report(&book.beside("nothing"), &[]);
    assert_eq!(missing.code, 65);
    assert!(
        missing.stderr.contains("manifest.json") && missing.stderr.contains("summary.json"),
        "{}",
        missing.stderr
    );
    let (out, _) = ran(&book);
    let page = book.beside("page.html");
    let damage = |name: &str, change: &dyn Fn(String) -> String| {
        let path = out.join(name);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, change(whole.clone())).unwrap();
        let said = report(&out, &["--out", page.to_str().unwrap()]);
        fs::write(&path, whole).unwrap();
        assert_eq!(said.code, 65, "{name}: {}", said.stderr);
        assert!(said.stderr.contains(name), "{name}: {}", said.stderr);
        assert!(!page.exists(), "nothing is half written");
    };
    damage("summary.json", &|text| text[..text.len() / 2].to_owned());
    damage("summary.json", &|text| text.replacen("\"equity\": ", "\"equity\": 1", 1));
    damage("results.csv", &|text| text + "x");
    damage("manifest.json", &|text| text.replacen("shortfall.manifest", "other", 1));
    damage("manifest.json", &|text| text.replacen("\"results.csv\"", "\"../results.csv\"", 1));
    fs::write(out.join("comparison.json"), "[]").unwrap();
    assert_eq!(report(&out, &[]).code, 65);
    fs::remove_file(out.join("comparison.json")).unwrap();
    assert_eq!(report(&out, &["--out", page.to_str().unwrap()]).code, 0);
    assert!(page.exists());
}
