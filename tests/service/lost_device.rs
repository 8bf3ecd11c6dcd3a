//! The service in a process whose driver loses its device: a Vulkan layer stands between the two, and the
//! program knows nothing of it.
#![cfg(target_os = "linux")]

use std::process::Command;

use serde_json::{Value, json};

use crate::http_process::Process;
use crate::layer::{Layer, software};
use crate::night::Night;
use crate::server::wait_until;

fn get(url: &str, path: &str) -> (u16, String) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent.get(format!("{url}{path}")).call().expect("an answer");
    (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
}

fn json_of(url: &str, path: &str) -> Value {
    let (status, text) = get(url, path);
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn a_service_whose_driver_loses_the_device_goes_on_with_the_same_figures() {
    let (Some(name), Some(layer)) = (software(), Layer::new()) else { return };
    let night = Night::new();
    let shortfall = Command::new(env!("CARGO_BIN_EXE_shortfall"));
    let device = format!("gpu:{name}");
    let process = Process::start_by(layer.below(shortfall), &night, &["--device", &device]);
    let margin = "/v1/accounts/market-maker/margin";
    let before = json_of(&process.url, margin);
    assert!(before["device"].as_str().is_some_and(|device| device.starts_with("gpu")), "{before}");
    let what_if = || {
        let body =
            json!({"account": "market-maker", "orders": [{"instrument": "BTC-PERPETUAL", "quantity": 1e4}]});
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let request =
            agent.post(format!("{}/v1/what-ifs", process.url)).header("Content-Type", "application/json");
        let mut answer = request.send(body.to_string()).expect("an answer");
        let text = answer.body_mut().read_to_string().expect("text");
        (answer.status().as_u16(), serde_json::from_str::<Value>(&text).expect("JSON"))
    };
    let (status, asked) = what_if();
    assert_eq!(status, 200, "{asked}");
    std::fs::write(layer.switch(), "").expect("written");
    // Whoever asks meanwhile is answered from the CPU, or told to ask again.
    let (status, answer) = what_if();
    assert!(status == 200 || (status == 503 && answer["retry_after_seconds"] == 1), "{answer}");
    wait_until("the CPU takes its place", || get(&process.url, "/readyz").1.contains("degraded"));
    let (status, ready) = get(&process.url, "/readyz");
    assert!(status == 200 && ready.contains(&name) && ready.contains("lost"), "{ready}");
    let after = json_of(&process.url, margin);
    assert!(after["device"].as_str().is_some_and(|device| device.starts_with("cpu")), "{after}");
    assert_eq!(after["figures"], before["figures"]);
    let (status, again) = what_if();
    assert_eq!((status, &again["after"]), (200, &asked["after"]));
    let metrics = get(&process.url, "/metrics").1;
    assert!(metrics.contains("shortfall_device_fallbacks_total 1"), "{metrics}");
    let told = "the device was lost: the CPU took its place";
    wait_until("it is in the log", || process.log().contains(told));
    let (code, log) = process.stop();
    assert_eq!(code, Some(0), "{log}");
}
