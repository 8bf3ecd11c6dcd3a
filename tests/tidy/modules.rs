//! Which module may name which, and which may name a foreign crate.

use crate::source::{File, lines_with_word};

/// Top-level modules from the bottom up: each may name those before it.
const LAYERS: &[&str] = &[
    "fault",
    "plot",
    "units",
    "numeric",
    "closed_form",
    "yaml",
    "table",
    "market",
    "oracle",
    "instrument",
    "portfolio",
    "risk",
    "margin",
    "rulebook",
    "scenario",
    "engine",
    "attribution",
    "run",
    "shard",
    "plan",
    "liquidation",
    "reverse",
    "report",
    "generate",
    "service",
    "calibrate",
    "backtest",
    "compare",
    "validate",
    "bench",
    "cli",
];
/// Modules that name no other one.
const ALONE: &[&str] = &["fault", "plot", "numeric", "closed_form"];
/// Crates, and the only places (`src/` left out) that may name them.
const CRATE_ROOMS: &[(&str, &[&str])] = &[
    ("wgpu", &["engine/gpu"]),
    ("pollster", &["engine/gpu"]),
    ("bytemuck", &["engine/gpu"]),
    ("serde_yaml", &["yaml.rs"]),
    ("argmin", &["calibrate"]),
    ("rmpfit", &["calibrate/least_squares.rs"]),
    ("nalgebra", &["calibrate", "market", "reverse"]),
    ("num_complex", &["closed_form"]),
    ("pulp", &["engine/cpu", "backtest/moves.rs"]),
    ("rayon", &["engine", "bench", "calibrate", "backtest", "plan.rs", "service/pools.rs"]),
    ("statrs", &["engine/mixing.rs", "closed_form", "calibrate", "backtest"]),
    ("smartcore", &["backtest/volatility/boosted.rs"]),
    ("parquet", &["table.rs", "report"]),
    ("blake3", &["report", "shard", "service", "engine/gpu/shaders.rs"]),
    ("redb", &["service/store.rs"]),
    ("tokio", &["service"]),
    ("axum", &["service/http"]),
    ("axum_server", &["service/http/server.rs"]),
    ("hyper_util", &["service/http/server.rs"]),
    ("tower_http", &["service/http/routes"]),
    ("utoipa_axum", &["service/http/routes"]),
    ("rustls", &["service/http/tls.rs", "service/client.rs"]),
    ("governor", &["service/http/auth.rs"]),
    ("metrics", &["service/http"]),
    ("metrics_exporter_prometheus", &["service/http/metrics.rs"]),
    ("tracing", &["service/http", "cli/serve.rs"]),
    ("tracing_subscriber", &["cli/serve.rs"]),
    ("ureq", &["service/client.rs"]),
    ("utoipa", &["service", "report"]),
    ("tempfile", &["bench"]),
    ("maud", &["report/page"]),
    ("clap", &["cli", "main.rs"]),
    ("clap_complete", &["cli", "main.rs"]),
    ("indicatif", &["cli", "main.rs"]),
    ("plotters", &["plot.rs"]),
    ("anyhow", &["cli", "main.rs"]),
];

fn is_inside(path: &str, room: &str) -> bool {
    path == room || path.strip_prefix(room).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

/// The module path of a file under `src/`: `engine/cpu/net.rs` is `engine, cpu, net`.
fn module_of(path: &str) -> Vec<&str> {
    let path = path.trim_end_matches(".rs");
    path.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
}

/// Every path of this crate that the code names, as modules from the root, with its line.
fn named_paths(file: &File) -> Vec<(usize, Vec<String>)> {
    let code = file.code();
    let here = module_of(file.in_src().unwrap_or_default());
    let mut named = Vec::new();
    for (root, is_super) in [("crate", false), ("shortfall", false), ("super", true)] {
        for (at, _) in code.match_indices(&format!("{root}::")) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut rest = &code[at + root.len() + 2..];
            let mut base: Vec<String> = Vec::new();
            if is_super {
                let mut ups = 1;
                while let Some(next) = rest.strip_prefix("super::") {
                    (rest, ups) = (next, ups + 1);
                }
                base = here[..here.len().saturating_sub(ups)].iter().map(|s| (*s).to_owned()).collect();
            }
            let line = code[..at].lines().count().max(1);
            expand(rest, &base, &mut |path| named.push((line, path)));
        }
    }
    named
}

/// Follows `a::{b::c, d}` and hands every path out.
fn expand(text: &str, base: &[String], found: &mut dyn FnMut(Vec<String>)) {
    let text = text.trim_start();
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 0;
        let mut start = 0;
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    expand(&group[start..at], base, found);
                    start = at + 1;
                }
                _ => {}
            }
            if c == '}' && depth == 0 && start == at + 1 {
                break;
            }
        }
        return;
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    if end == 0 {
        return;
    }
    let mut path = base.to_vec();
    path.push(text[..end].to_owned());
    match text[end..].strip_prefix("::") {
        Some(rest) => expand(rest, &path, found),
        None => found(path),
    }
}

/// Modules name only those below them.
pub fn arrows_point_down(files: &[File]) -> Vec<String> {
    let layer = |name: &str| LAYERS.iter().position(|layer| *layer == name);
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(path) = file.in_src() else { continue };
        let Some(&here) = module_of(path).first() else { continue };
        let Some(height) = layer(here) else {
            broken.push(format!("{}: give the module `{here}` its place in LAYERS", file.path));
            continue;
        };
        for (line, named) in named_paths(file) {
            let Some(below) = layer(&named[0]).filter(|_| named[0] != here) else { continue };
            if below > height || ALONE.contains(&here) {
                broken.push(format!("{}:{line}: `{here}` names `{}`", file.path, named[0]));
            }
        }
    }
    broken
}

/// The two engines do not know each other.
pub fn engines_are_strangers(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(path) = file.in_src() else { continue };
        let other = if is_inside(path, "engine/cpu") {
            "gpu"
        } else if is_inside(path, "engine/gpu") {
            "cpu"
        } else {
            continue;
        };
        for (line, named) in named_paths(file) {
            let is_other = named[0] == "engine" && named.get(1).is_some_and(|name| name == other);
            if is_other {
                broken.push(format!("{}:{line}: names `{}`", file.path, named.join("::")));
            }
        }
    }
    broken
}

/// Foreign crates stay in their rooms.
pub fn crates_stay_in_their_rooms(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let Some(path) = file.in_src() else { continue };
        let code = file.code();
        for (name, rooms) in CRATE_ROOMS {
            if rooms.iter().any(|room| is_inside(path, room)) {
                continue;
            }
            for line in lines_with_word(&code, name) {
                let text = code.lines().nth(line - 1).unwrap_or_default();
                if text.contains(&format!("{name}::")) || text.contains(&format!("use {name}")) {
                    broken.push(format!("{}:{line}: `{name}` belongs to {}", file.path, rooms.join(", ")));
                }
            }
        }
    }
    broken
}

#[test]
fn paths_are_followed_through_groups_and_supers() {
    let text = "use crate::{engine::{cpu, gpu::Device}, risk};\nuse super::super::margin;\nlet x = crate::units::finite(y);";
    let file = File::new("src/engine/cpu/net.rs", text);
    let named: Vec<String> = named_paths(&file).into_iter().map(|(_, path)| path.join("::")).collect();
    assert_eq!(named, ["engine::cpu", "engine::gpu::Device", "risk", "units::finite", "engine::margin"]);
}
