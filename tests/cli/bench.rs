//! `bench`: what it prints holds together.

use serde_json::Value;

use crate::book::shortfall;

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number, not {value}"))
}

#[test]
fn figures_of_a_quick_bench_are_sane_and_follow_from_each_other() {
    let arguments = ["bench", "--quick", "--workload", "w1-exact", "--json", "--repeat", "2"];
    let output = shortfall(arguments).args(["--engine", "cpu", "--engine", "cpu-f64"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["schema"], "shortfall.bench");
    assert_eq!(report["quick"], true);
    let measured = report["measurements"].as_array().unwrap();
    assert_eq!(measured.len(), 2);
    let per_path = |m: &Value| number(&m["total_seconds"]) / number(&m["paths"]);
    for m in measured {
        assert_eq!([&m["paths"], &m["repetitions"], &m["missed_brackets"]], [65_536, 2, 0]);
        assert!(number(&m["total_seconds"]) >= number(&m["pilot_seconds"]), "{m}");
        assert!(number(&m["slowest_seconds"]) >= number(&m["median_seconds"]), "{m}");
        assert!(number(&m["median_seconds"]) >= number(&m["total_seconds"]), "{m}");
        let ratio = per_path(&measured[0]) / per_path(m);
        assert!((number(&m["speed_to_cpu"]) / ratio - 1.0).abs() < 1e-12, "{m}");
        // One step of four assets; 208 instruments; one account.
        for (stage, operations) in [("simulate", 4), ("revalue", 208), ("net_and_tail", 1)] {
            let stage = &m["stages"][stage];
            assert_eq!(stage["operations"], operations * 65_536);
            let rate = number(&stage["operations"]) / number(&stage["seconds"]);
            assert!(rate > 0.0 && (number(&stage["per_second"]) / rate - 1.0).abs() < 1e-12, "{m}");
        }
        let figure = &m["first_account"];
        assert!(number(&figure["expected_shortfall"]) > 10.0 * number(&figure["standard_error"]), "{m}");
        assert!(number(&figure["standard_error"]) > 0.0, "{m}");
        // f32 is far below sampling, and f64 differs from itself by nothing.
        let distance = number(&m["check"]["largest_in_standard_errors"]);
        assert!(if m["engine"] == "cpu" { distance < 0.1 } else { distance == 0.0 }, "{m}");
        if cfg!(target_os = "linux") {
            assert!(number(&m["peak_memory_bytes"]) > 1e6, "{m}");
            assert!(number(&m["cpu_seconds"]) > 0.0, "{m}");
        }
    }
    let figures: Vec<f64> =
        measured.iter().map(|m| number(&m["first_account"]["expected_shortfall"])).collect();
    assert!((figures[0] / figures[1] - 1.0).abs() < 1e-4, "{figures:?}");
}

#[test]
fn a_bench_of_nothing_known_is_refused() {
    for arguments in [["--workload", "w9"], ["--engine", "fpga"], ["--repeat", "0"]] {
        let output = shortfall(["bench"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
    // An adapter that is not there leaves the other engines.
    let arguments = ["bench", "--quick", "--workload", "w1-exact", "--engine", "gpu:no such", "--json"];
    let output = shortfall(arguments).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("w1-exact on gpu:no such"));
}
