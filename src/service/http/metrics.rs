//! Figures for Prometheus. Each server has a registry of its own; nothing is global.

use std::time::Duration;

use metrics::{Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Upper ends of the latency histograms, seconds: fine around the promises of a millisecond for
/// reads and ten for what-ifs.
const LATENCY_SECONDS: [f64; 17] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.004, 0.006, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.5,
    5.0, 30.0,
];
const SOURCE: Metadata<'static> = Metadata::new("shortfall", Level::INFO, None);

/// The registry of a server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl Metrics {
    /// An empty registry.
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets(&LATENCY_SECONDS)
            .expect("the list of buckets is not empty")
            .build_recorder();
        let handle = recorder.handle();
        let metrics = Self { recorder, handle };
        metrics.describe();
        metrics
    }

    /// Notes an answered request; `route` is the pattern, never the path that was asked for.
    pub fn request(&self, route: &str, method: &str, status: u16, took: Duration) {
        let labels = vec![
            Label::new("route", route.to_owned()),
            Label::new("method", method.to_owned()),
            Label::new("status", status.to_string()),
        ];
        let key = Key::from_parts("shortfall_request_duration_seconds", labels);
        self.recorder.register_histogram(&key, &SOURCE).record(took.as_secs_f64());
    }

    /// Times of a stage of a kind of work.
    pub fn stage(&self, work: &'static str, stage: &'static str) -> Histogram {
        let labels = vec![Label::new("work", work), Label::new("stage", stage)];
        let key = Key::from_parts("shortfall_stage_duration_seconds", labels);
        self.recorder.register_histogram(&key, &SOURCE)
    }

    /// Counts an event of a kind.
    pub fn count(&self, name: &'static str, kind: &'static str) {
        let key = Key::from_parts(name, vec![Label::new("kind", kind)]);
        self.recorder.register_counter(&key, &SOURCE).increment(1);
    }

    /// A count that is kept elsewhere.
    pub fn total(&self, name: &'static str, count: u64) {
        self.recorder.register_counter(&Key::from_name(name), &SOURCE).absolute(count);
    }

    /// A figure that goes up and down.
    pub fn gauge(&self, name: &'static str, labels: &[(&'static str, &'static str)]) -> Gauge {
        let labels: Vec<Label> = labels.iter().map(|&(name, value)| Label::new(name, value)).collect();
        self.recorder.register_gauge(&Key::from_parts(name, labels), &SOURCE)
    }

    /// Folds samples into the histograms; between two calls they are kept one by one.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }

    /// Everything, in Prometheus's text format.
    pub fn render(&self) -> String {
        self.handle.render()
    }

    fn describe(&self) {
        let histogram = |name: &'static str, text: &'static str| {
            self.recorder.describe_histogram(name.into(), None, text.into());
        };
        let gauge = |name: &'static str, text: &'static str| {
            self.recorder.describe_gauge(name.into(), None, text.into());
        };
        histogram(
            "shortfall_request_duration_seconds",
            "Time from a request's headers to its answer, by route, method and status",
        );
        histogram(
            "shortfall_stage_duration_seconds",
            "Time of the stages of work: waiting for a turn, computing",
        );
        gauge("shortfall_queue_depth", "Requests that wait or compute, by queue");
        gauge("shortfall_subscribers", "Open subscriptions to events");
        gauge("shortfall_market_version", "Version of the market that answers use");
        gauge("shortfall_cube_age_seconds", "Time since the market of the cube became current");
        gauge("shortfall_cube_bytes", "Memory of the instrument P&L cube");
        gauge("shortfall_reserve_bytes", "Memory of earlier cubes that waits for the next one");
        gauge("shortfall_device_memory_bytes", "Memory that the service holds on its device");
        gauge("shortfall_device", "1 for the engine that computes, 0 for the other");
        gauge("shortfall_device_lost", "1 while the device is lost and the CPU has not taken its place yet");
        gauge("shortfall_accounts", "Accounts of the service");
        self.recorder.describe_counter(
            "shortfall_device_fallbacks_total".into(),
            None,
            "Devices that were lost, and whose place the CPU took".into(),
        );
        self.recorder.describe_counter(
            "shortfall_subscribers_dropped_total".into(),
            None,
            "Subscriptions that the service ended, by reason".into(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_its_bucket() {
        let metrics = Metrics::new();
        metrics.request("/v1/accounts/{account}/margin", "GET", 200, Duration::from_micros(700));
        metrics.stage("what-ifs", "wait").record(0.004);
        let text = metrics.render();
        for line in [
            "shortfall_request_duration_seconds_bucket{route=\"/v1/accounts/{account}/margin\",method=\"GET\",status=\"200\",le=\"0.0005\"} 0",
            "shortfall_request_duration_seconds_bucket{route=\"/v1/accounts/{account}/margin\",method=\"GET\",status=\"200\",le=\"0.001\"} 1",
            "shortfall_stage_duration_seconds_count{work=\"what-ifs\",stage=\"wait\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
