//! Devices side by side, as a user asks for them.

use std::fs;

use crate::book::{Book, json, say, shortfall};

/// Name of the first adapter; says why it is skipped where there is none.
fn adapter() -> Option<String> {
    let devices = json(&say(&mut shortfall(["devices", "--json"])));
    let name = devices["adapters"][0]["name"].as_str().map(str::to_owned);
    if name.is_none() {
        assert!(std::env::var("REQUIRE_GPU").as_deref() != Ok("1"), "REQUIRE_GPU=1, but there is no adapter");
        eprintln!("skipped: no adapter");
    }
    name
}

#[test]
fn devices_side_by_side_give_the_rows_of_one() {
    let Some(name) = adapter() else { return };
    let book = Book::new();
    let scenario = book.path("scenario.yaml");
    let run = |device: &str, out: &str| {
        let mut command = shortfall(["run".as_ref(), scenario.as_os_str()]);
        command.args(["--paths", "20011", "--case", "base", "--device", device, "--out"]);
        let said = say(command.arg(book.beside(out)));
        (said.code, said.stderr, fs::read(book.beside(out).join("results.csv")).ok())
    };
    let (code, text, alone) = run("cpu", "alone");
    assert_eq!(code, 0, "{text}");
    for (index, device) in ["cpu,gpu".to_owned(), format!("gpu:{name},cpu")].iter().enumerate() {
        let (code, text, shared) = run(device, &format!("shared-{index}"));
        assert_eq!(code, 0, "{text}");
        assert!(shared == alone && shared.is_some(), "{device}");
        let manifest = fs::read_to_string(book.beside(&format!("shared-{index}")).join("manifest.json"));
        let manifest: serde_json::Value = serde_json::from_str(&manifest.expect("a manifest")).expect("JSON");
        let engine = manifest["device"]["engine"].as_str().unwrap_or_default();
        assert!(engine == "cpu + gpu" || engine == "gpu + cpu", "{engine}");
        assert!(manifest["stage_seconds"]["simulate"].as_f64().is_some_and(|seconds| seconds > 0.0));
    }
}

#[test]
fn choices_that_cannot_be_are_refused() {
    let book = Book::new();
    let scenario = book.path("scenario.yaml");
    for (device, code) in [("cpu,cpu", 2), ("auto,cpu", 2), ("cpu,gpu:no adapter has this name", 69)] {
        let said = say(shortfall(["run".as_ref(), scenario.as_os_str()]).args(["--device", device]));
        assert_eq!(said.code, code, "{device}: {}", said.stderr);
    }
    let said = say(shortfall(["run".as_ref(), scenario.as_os_str()]).args([
        "--device",
        "cpu,gpu",
        "--precision",
        "f64",
    ]));
    assert_eq!(said.code, 2, "{}", said.stderr);
    let said = say(shortfall(["validate".as_ref(), scenario.as_os_str()]).args(["--device", "cpu,gpu"]));
    assert_eq!(said.code, 2, "{}", said.stderr);
}
