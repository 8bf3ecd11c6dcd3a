//! What a run says and writes: the table, the JSON document, the output folder.

use std::fs;
use std::path::Path;

use serde_json::Value;
use shortfall::report::folder::FILES;
use shortfall::table::Table;

use crate::book::{Book, json, names, say, shortfall};

#[test]
fn the_quickstart_shows_its_table() {
    let said = say(&mut shortfall(["run", "scenarios/quickstart.yaml", "--device", "cpu"]));
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("planned peak memory") && said.stderr.lines().count() == 1,
        "{}",
        said.stderr
    );
    for needle in [
        "quickstart: market of 2026-02-04T21:33:08Z, money in USD, seed 1\n",
        "maintenance margin from ES 99% over 1d, initial margin from ES 99% over 2d; ± one standard error",
        "\nbase: 65,536 paths of 25 steps, cpu f32 (",
        "\nMarch 2020: 65,536 paths",
        "\nvolatility up: 65,536 paths",
        "\nall cases: ",
        "  account          market value        ES 99% 1d       VaR 99% 1d  maintenance  initial   equity  health  state",
        "\n  under-water            75,503  1",
    ] {
        assert!(said.stdout.contains(needle), "no `{needle}` in\n{}", said.stdout);
    }
    assert!(!said.stdout.contains('\u{1b}'), "no colour where there is no terminal");
    assert!(said.stdout.lines().all(|line| line.chars().count() <= 160), "{}", said.stdout);
}

#[test]
fn errors_from_few_paths_are_marked() {
    let book = Book::new();
    let few = book.run(&["--case", "base", "--paths", "640"]);
    assert!(few.stdout.contains("!: only 6.4 paths in the tail"), "{}", few.stdout);
    assert!(few.stdout.contains("use 1,000 paths or more"), "{}", few.stdout);
    let marked = few.stdout.lines().filter(|line| line.contains('±') && line.contains('!')).count();
    let document = json(&book.run(&["--case", "base", "--paths", "640", "--json"]));
    let accounts = document["cases"][0]["accounts"].as_array().unwrap();
    assert_eq!(marked, accounts.len(), "{}", few.stdout);
    for tail in accounts.iter().flat_map(|account| [&account["maintenance"], &account["initial"]]) {
        assert_eq!((tail["few_tail_paths"].as_bool(), tail["tail_paths"].as_f64()), (Some(true), Some(6.4)));
    }
    let enough = book.run(&["--case", "base", "--paths", "1024"]);
    assert!(!enough.stdout.contains('!'), "{}", enough.stdout);
}

#[test]
fn rows_come_by_need() {
    let book = Book::new();
    let said = book.run(&["--case", "base"]);
    let rows: Vec<&str> = said.stdout.lines().skip_while(|line| !line.starts_with("base:")).skip(2).collect();
    let names: Vec<&str> = rows.iter().filter_map(|row| row.split_whitespace().next()).collect();
    let document = json(&book.run(&["--case", "base", "--json"]));
    let mut accounts: Vec<(f64, &str)> = document["cases"][0]["accounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (a["health"].as_f64().unwrap_or(f64::INFINITY), a["account"].as_str().unwrap()))
        .collect();
    accounts.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert_eq!(names, accounts.iter().map(|(_, name)| *name).collect::<Vec<_>>());
    assert_eq!(names[0], "under-water");
}

#[test]
fn json_is_the_whole_result_and_nothing_else() {
    let book = Book::new();
    let said = book.run(&["--case", "crash", "--json"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(
        said.stderr.contains("planned peak memory") && said.stderr.lines().count() == 1,
        "{}",
        said.stderr
    );
    let document = json(&said);
    assert_eq!(document["schema"], "shortfall.result");
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["currency"], "USD");
    assert_eq!(document["as_of"], "2026-02-04T21:33:08Z");
    assert_eq!(document["device"]["engine"], "cpu");
    assert_eq!((&document["seed"], &document["paths"]), (&1.into(), &2048.into()));
    assert_eq!(document["levels"]["initial"]["horizon_days"], 2.0);
    let cases = document["cases"].as_array().unwrap();
    let names: Vec<&str> = cases.iter().map(|case| case["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["base", "crash"]);
    for case in cases {
        assert_eq!(case["paths"], 2048);
        let accounts = case["accounts"].as_array().unwrap();
        assert_eq!(accounts.len(), 6);
        accounts.iter().for_each(check_account);
        let sum = |field: &str| accounts.iter().map(|a| a[field].as_f64().unwrap()).sum::<f64>();
        let total = case["totals"]["maintenance_margin"].as_f64().unwrap();
        assert!((total - sum("maintenance_margin")).abs() <= 1e-9 * total);
    }
    let stress_profit = |case: &Value| case["accounts"][0]["stress_profit"].as_f64().unwrap();
    assert_eq!(stress_profit(&cases[0]), 0.0);
    assert_ne!(stress_profit(&cases[1]), 0.0);
    assert_eq!(document["manifest"]["configuration"]["cases"], serde_json::json!(["base", "crash"]));
}

fn check_account(account: &Value) {
    let number = |pointer: &str| {
        account.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} of {account}"))
    };
    for level in ["maintenance", "initial"] {
        let of = |field: &str| number(&format!("/{level}/{field}"));
        let (shortfall, error) = (of("expected_shortfall"), of("standard_error"));
        assert!(error > 0.0 && of("value_at_risk_standard_error") > 0.0, "{account}");
        assert!(shortfall >= of("value_at_risk"), "{account}");
        let (low, high) = (of("confidence_interval_95/low"), of("confidence_interval_95/high"));
        assert!((high - low - 3.92 * error).abs() < 1e-3 * error && low < shortfall && shortfall < high);
        assert_eq!(of("confidence"), 0.99);
    }
    let (maintenance, initial) = (number("/maintenance_margin"), number("/initial_margin"));
    assert_eq!(maintenance, number("/maintenance/expected_shortfall").max(0.0));
    assert!(initial >= maintenance);
    let equity = number("/equity");
    match account["state"].as_str().unwrap() {
        "liquidate" => assert!(equity < maintenance),
        "margin_call" => assert!(equity >= maintenance && equity < initial),
        state => assert_eq!((state, equity >= initial), ("healthy", true)),
    }
    match account["health"].as_f64() {
        Some(health) => assert!((health * maintenance - equity).abs() <= 1e-9 * equity.abs()),
        None => assert_eq!(maintenance, 0.0),
    }
    if !account["worst_driver"].is_null() {
        assert!(account["worst_driver"]["asset"].is_string());
        assert!(number("/worst_driver/share_of_loss") > 0.0 && number("/worst_driver/mean_return") > -1.0);
    }
}

#[test]
fn the_folder_holds_the_result_four_times_and_by_hash() {
    let book = Book::new();
    let out = book.beside("results/today");
    let options = ["--case", "March 2020", "--attribution", "all", "--json", "--out", out.to_str().unwrap()];
    let said = book.run(&options);
    assert_eq!(said.code, 0, "{}", said.stderr);
    let mut files = FILES.map(str::to_owned).to_vec();
    files.sort();
    assert_eq!(names(&out), files);
    assert_eq!(names(&book.beside("results")), ["today"], "nothing is left beside");
    let document = json(&said);
    assert_eq!(fs::read_to_string(out.join("summary.json")).unwrap(), said.stdout);
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap();
    check_manifest(&manifest, &out);
    assert_eq!(manifest["run_id"], document["manifest"]["run_id"]);
    let csv = cells(&out.join("results.csv"));
    let parquet = cells(&out.join("results.parquet"));
    assert_eq!(csv.len(), 12, "two cases of six accounts");
    assert_eq!(csv, parquet);
    check_cells(&csv, &document);
}

fn check_manifest(manifest: &Value, out: &Path) {
    assert_eq!(manifest["schema"], "shortfall.manifest");
    assert_eq!(manifest["shortfall_version"], env!("CARGO_PKG_VERSION"));
    for (list, folder) in [("inputs", Path::new("")), ("outputs", out)] {
        let files = manifest[list].as_array().unwrap();
        assert_eq!(files.len(), if list == "inputs" { 9 } else { 5 }, "{files:?}");
        for file in files {
            let content = fs::read(folder.join(file["path"].as_str().unwrap())).unwrap();
            assert_eq!(file["blake3"], blake3::hash(&content).to_hex().as_str());
            assert_eq!(file["bytes"], content.len());
        }
    }
    for instant in ["started", "finished"] {
        assert!(manifest[instant].as_str().unwrap().ends_with('Z'));
    }
}

/// Every row as `(column, cell)`, numbers as numbers.
fn cells(path: &Path) -> Vec<Vec<(String, String)>> {
    let table = Table::read(path).unwrap_or_else(|faults| panic!("{faults}"));
    let header = table.header().to_vec();
    table
        .rows_any(|row| {
            let cell = |name: &String| {
                let text = row.cell(name);
                let shown = text.parse::<f64>().map_or_else(|_| text.to_owned(), |x| format!("{x:?}"));
                (name.clone(), shown)
            };
            Some(header.iter().map(cell).collect())
        })
        .unwrap_or_else(|faults| panic!("{faults}"))
}

/// The rows hold exactly the numbers of the document.
fn check_cells(rows: &[Vec<(String, String)>], document: &Value) {
    let mut rows = rows.iter();
    for case in document["cases"].as_array().unwrap() {
        for account in case["accounts"].as_array().unwrap() {
            let row = rows.next().unwrap();
            let cell = |name: &str| row.iter().find(|(column, _)| column == name).unwrap().1.as_str();
            let number = |pointer: &str| account.pointer(pointer).and_then(Value::as_f64);
            assert_eq!(cell("case"), case["name"].as_str().unwrap());
            assert_eq!(cell("account"), account["account"].as_str().unwrap());
            assert_eq!(cell("state"), account["state"].as_str().unwrap());
            for (column, pointer) in [
                ("market_value", "/market_value"),
                ("equity", "/equity"),
                ("gross_notional", "/gross_notional"),
                ("stress_profit", "/stress_profit"),
                ("maintenance_expected_shortfall", "/maintenance/expected_shortfall"),
                ("maintenance_standard_error", "/maintenance/standard_error"),
                ("initial_confidence_interval_95_low", "/initial/confidence_interval_95/low"),
                ("initial_value_at_risk", "/initial/value_at_risk"),
                ("initial_value_at_risk_standard_error", "/initial/value_at_risk_standard_error"),
                ("maintenance_margin", "/maintenance_margin"),
                ("initial_margin", "/initial_margin"),
                ("health", "/health"),
                ("worst_driver_share_of_loss", "/worst_driver/share_of_loss"),
                ("worst_driver_mean_return", "/worst_driver/mean_return"),
            ] {
                assert_eq!(cell(column).parse::<f64>().ok(), number(pointer), "{column}");
            }
        }
    }
    assert!(rows.next().is_none());
}

#[test]
fn the_same_run_has_the_same_rows_and_the_same_id() {
    let run = |book: &Book, arguments: &[&str]| {
        let out = book.beside("out");
        let all = [arguments, &["--case", "base", "--quiet", "--out", out.to_str().unwrap()]].concat();
        assert_eq!(book.run(&all).code, 0);
        let manifest: Value =
            serde_json::from_str(&fs::read_to_string(out.join("manifest.json")).unwrap()).unwrap();
        let rows = fs::read_to_string(out.join("results.csv")).unwrap();
        (manifest["run_id"].as_str().unwrap().to_owned(), rows)
    };
    let (id, rows) = run(&Book::new(), &[]);
    assert_eq!(run(&Book::new(), &[]), (id.clone(), rows.clone()), "in another folder");
    let (other_id, other_rows) = run(&Book::new(), &["--seed", "2"]);
    assert!(other_id != id && other_rows != rows, "with another seed");
    let commented = Book::new();
    commented.replace("positions.csv", "-12,", "-12.5,");
    assert_ne!(run(&commented, &[]).0, id, "with another input");
}

#[test]
fn a_folder_is_never_overwritten_unasked() {
    let book = Book::new();
    let out = book.beside("out");
    let run = |arguments: &[&str]| {
        let all = [arguments, &["--case", "base", "--quiet", "--out", out.to_str().unwrap()]].concat();
        book.run(&all)
    };
    fs::create_dir(&out).unwrap();
    assert_eq!(run(&[]).code, 0, "an empty folder is as good as none");
    let before = fs::read(out.join("results.csv")).unwrap();
    let refused = run(&["--seed", "2"]);
    assert_eq!(refused.code, 74);
    assert!(refused.stderr.contains("holds an earlier result; name a new folder or add --force"));
    assert_eq!(fs::read(out.join("results.csv")).unwrap(), before);
    assert_eq!(run(&["--seed", "2", "--force"]).code, 0);
    assert_ne!(fs::read(out.join("results.csv")).unwrap(), before);
    assert_eq!(book.neighbours(), ["book", "out"]);
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let refused = run(&["--force"]);
    assert_eq!(refused.code, 74);
    assert!(refused.stderr.contains("holds files that shortfall did not write (notes.txt)"));
    assert_eq!(fs::read_to_string(out.join("notes.txt")).unwrap(), "mine");
}

#[test]
fn a_place_that_cannot_hold_a_folder_is_refused_before_the_run() {
    let book = Book::new();
    let file = book.path("accounts.csv");
    let under_file = book.path("accounts.csv/out");
    for place in [file.to_str().unwrap(), under_file.to_str().unwrap(), "/"] {
        let said = book.run(&["--case", "base", "--out", place]);
        assert_eq!(said.code, 74, "{place}: {}", said.stderr);
    }
}

#[test]
fn quiet_says_nothing() {
    let said = Book::new().run(&["--case", "base", "--quiet"]);
    assert_eq!((said.code, said.stdout.as_str(), said.stderr.as_str()), (0, "", ""));
}

#[test]
fn money_can_be_counted_in_coins() {
    let book = Book::new();
    book.replace("scenario.yaml", "reporting_currency: USD", "reporting_currency: BTC");
    let said = book.run(&["--case", "base"]);
    assert_eq!(said.code, 0, "{}", said.stderr);
    assert!(said.stdout.contains("money in BTC"), "{}", said.stdout);
}

#[test]
fn a_stress_without_a_result_fails_alone() {
    let book = Book::new();
    // Thousands of jumps a year are allowed, and a hundred times as many do not fit a step.
    book.replace("market/market.yaml", "common_jumps: {intensity: 3.6", "common_jumps: {intensity: 4000");
    book.replace("scenario.yaml", "jump_intensity: {multiply: 3.0}", "jump_intensity: {multiply: 100.0}");
    let said = book.run(&["--case", "jumps x3", "--case", "crash", "--fail-if", "jumps x3: health < -1e9"]);
    assert_eq!(said.code, 10, "{}", said.stderr);
    assert!(said.stderr.contains("jumps x3: no result ("), "{}", said.stderr);
    assert!(said.stdout.contains("\njumps x3: no result, "), "{}", said.stdout);
    assert!(said.stdout.contains("\ncrash: 2,048 paths"), "{}", said.stdout);
    let document = json(&book.run(&["--case", "jumps x3", "--json"]));
    assert!(document["cases"][1]["failure"].is_string());
    assert_eq!(document["cases"][1]["accounts"], serde_json::json!([]));
}
