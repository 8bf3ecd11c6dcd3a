//! Rules about the text of files.

use crate::source::{File, lines_with_word};

/// Above it a file deserves a look; above the second number it has to be divided.
pub const LINES_LOOK: usize = 400;
pub const LINES_MOST: usize = 600;

fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.is_rust())
}

/// Rust and WGSL files stay readable in one sitting.
pub fn files_are_short(files: &[File]) -> Vec<String> {
    let long = files.iter().filter(|file| file.is_rust() || file.path.ends_with(".wgsl"));
    let long = long.map(|file| (file, file.text.lines().count())).filter(|(_, lines)| *lines > LINES_MOST);
    long.map(|(file, lines)| format!("{}: {lines} lines, at most {LINES_MOST}", file.path)).collect()
}

/// Files between the two limits; printed, not refused.
pub fn longer_files(files: &[File]) -> Vec<String> {
    let counted = rust(files).map(|file| (file, file.text.lines().count()));
    let longer = counted.filter(|(_, lines)| (LINES_LOOK + 1..=LINES_MOST).contains(lines));
    longer.map(|(file, lines)| format!("{}: {lines} lines", file.path)).collect()
}

/// No `unwrap()` where the outside world decides: devices and scenario files.
pub fn no_unwrap_at_the_edges(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in rust(files) {
        let edge = ["src/engine/gpu", "src/scenario", "src/portfolio", "src/table.rs", "src/yaml.rs"];
        if file.in_src().is_some() && edge.iter().any(|edge| file.path.starts_with(edge)) {
            let code = file.code();
            let lines = code.lines().enumerate().filter(|(_, line)| line.contains(".unwrap()"));
            broken.extend(lines.map(|(index, _)| format!("{}:{}: unwrap()", file.path, index + 1)));
        }
    }
    broken
}

/// A lint is switched off only with a reason.
pub fn lints_are_off_for_a_reason(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in rust(files) {
        // Strings hold the reasons, so the text is read here, comments and all.
        for attribute in ["#[allow(", "#![allow(", "#[expect(", "#![expect("] {
            for (at, _) in file.text.match_indices(attribute) {
                let line_start = file.text[..at].rfind('\n').map_or(0, |i| i + 1);
                if !file.text[line_start..at].trim().is_empty() {
                    continue;
                }
                let end = file.text[at..].find(")]").map_or(file.text.len(), |i| at + i);
                if !file.text[at..end].contains("reason = ") {
                    let line = file.text[..at].lines().count() + 1;
                    broken.push(format!("{}:{line}: {attribute}...)] without a reason", file.path));
                }
            }
        }
    }
    broken
}

/// Unsafe code is forbidden in the manifest, for every target, and in the library's own words.
pub fn unsafe_code_is_forbidden(files: &[File]) -> Vec<String> {
    let asks = [("src/lib.rs", "#![forbid(unsafe_code)]"), ("Cargo.toml", "unsafe_code = \"forbid\"")];
    let missing = asks.iter().filter(|(path, text)| {
        !files.iter().any(|file| file.path == *path && file.text.lines().any(|line| line.trim() == *text))
    });
    missing.map(|(path, text)| format!("{path}: no line `{text}`")).collect()
}

/// The library does not print, and nothing is left for later.
pub fn nothing_is_left_behind(files: &[File]) -> Vec<String> {
    let printing = ["println!", "print!", "eprintln!", "eprint!"];
    let mut broken = Vec::new();
    for file in rust(files) {
        let Some(path) = file.in_src() else { continue };
        let code = file.code();
        let may_print = path.starts_with("cli/") || path == "main.rs";
        for macro_name in printing.iter().filter(|_| !may_print).chain(&["dbg!", "todo!", "unimplemented!"]) {
            let lines = lines_with_word(&code, macro_name.trim_end_matches('!'));
            let lines = lines
                .into_iter()
                .filter(|line| code.lines().nth(line - 1).is_some_and(|text| text.contains(macro_name)));
            broken.extend(lines.map(|line| format!("{}:{line}: {macro_name}", file.path)));
        }
        for word in ["TODO", "FIXME", "XXX"] {
            let lines = lines_with_word(&file.text, word).into_iter();
            broken.extend(lines.map(|line| format!("{}:{line}: {word}", file.path)));
        }
    }
    broken
}

/// No file speaks of a place on somebody's machine.
pub fn no_machine_paths(files: &[File]) -> Vec<String> {
    // In two pieces, so that this file does not name them.
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/")];
    let mut broken = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            for place in places {
                let starts = |at: usize| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '}'))
                };
                if line.match_indices(place).any(|(at, _)| starts(at)) {
                    broken.push(format!("{}:{}: {place}", file.path, index + 1));
                }
            }
        }
    }
    broken
}

/// Every scenario at hand is named by a test, so that it runs.
pub fn scenarios_are_tested(files: &[File]) -> Vec<String> {
    let tests: Vec<&File> =
        rust(files).filter(|f| f.path.starts_with("tests/") && !f.path.starts_with("tests/tidy/")).collect();
    let scenario = |file: &&File| {
        let name = file.path.strip_prefix("scenarios/").unwrap_or_default();
        name.ends_with(".yaml") && !name.contains('/')
    };
    let untested = files.iter().filter(scenario).filter(|scenario| {
        let name = scenario.path.trim_start_matches("scenarios/");
        !tests.iter().any(|test| test.text.contains(name))
    });
    untested.map(|file| format!("{}: named by no test", file.path)).collect()
}

/// Links between our own pages lead somewhere.
pub fn links_lead_somewhere(files: &[File]) -> Vec<String> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        let folder = file.path.rfind('/').map_or("", |at| &file.path[..at]);
        for (at, _) in file.text.match_indices("](") {
            let rest = &file.text[at + 2..];
            let target = &rest[..rest.find(')').unwrap_or(0)];
            let target = target.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let path = resolve(folder, target);
            let exists = files.iter().any(|f| f.path == path || f.path.starts_with(&format!("{path}/")));
            if !exists {
                broken.push(format!("{}: a link to {target}, which is not there", file.path));
            }
        }
    }
    broken
}

fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
