//! Rules about what others wrote: licences, sources, and a reason for each direct dependency.

use std::process::Command;

use crate::source::File;

/// The registry that every package of `Cargo.lock` comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
/// Packages that are refused, as in `deny.toml`.
const BANNED: [&str; 4] = ["serde_yml", "openssl-sys", "libsqlite3-sys", "fast-math"];

/// Every direct dependency has its line in ARCHITECTURE.md.
pub fn dependencies_are_explained(manifest: &str, architecture: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mut in_dependencies = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = matches!(line.trim(), "[dependencies]" | "[dev-dependencies]");
        } else if let Some((name, _)) = line.split_once('=').filter(|_| in_dependencies) {
            let name = name.trim();
            if !architecture.lines().any(|l| l.starts_with('|') && l.contains(&format!("`{name}`"))) {
                broken.push(format!("{name}: no row of its own in ARCHITECTURE.md"));
            }
        }
    }
    broken
}

/// Every package comes from the registry, with a checksum, and none is banned.
pub fn packages_come_from_the_registry(lock: &str) -> Vec<String> {
    let mut broken = Vec::new();
    for package in lock.split("[[package]]").skip(1) {
        let field = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.map(|value| value.trim_matches([' ', '=', '"']).to_owned())
        };
        let name = field("name").unwrap_or_default();
        if name == env!("CARGO_PKG_NAME") {
            continue;
        }
        if field("source").as_deref() != Some(REGISTRY) {
            broken.push(format!("{name}: comes from {:?}", field("source")));
        } else if field("checksum").is_none() {
            broken.push(format!("{name}: has no checksum"));
        }
        if BANNED.contains(&name.as_str()) {
            broken.push(format!("{name}: is banned"));
        }
    }
    broken
}

/// Licences that `deny.toml` allows.
pub fn allowed_licences(deny: &str) -> Vec<String> {
    let section = deny.split("[licenses]").nth(1).unwrap_or_default();
    let list = section.split("allow = [").nth(1).unwrap_or_default();
    let list = list.split(']').next().unwrap_or_default();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with these licences.
pub fn is_met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&tokens, &mut at, allowed) && at == tokens.len()
}

fn any_of(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = all_of(tokens, at, allowed);
    while tokens.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(tokens, at, allowed);
    }
    met
}

fn all_of(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut met = one_of(tokens, at, allowed);
    while tokens.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one_of(tokens, at, allowed);
    }
    met
}

fn one_of(tokens: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(token) = tokens.get(*at) else { return false };
    *at += 1;
    if *token == "(" {
        let met = any_of(tokens, at, allowed);
        *at += 1;
        return met;
    }
    let mut licence = (*token).to_owned();
    if tokens.get(*at) == Some(&"WITH") {
        licence = format!("{licence} WITH {}", tokens.get(*at + 1).unwrap_or(&""));
        *at += 2;
    }
    allowed.contains(&licence)
}

/// Every package's licence is met by an allowed one; `packages` is `(name, expression)`.
pub fn licences_are_allowed(packages: &[(String, String)], allowed: &[String]) -> Vec<String> {
    let refused = packages.iter().filter(|(_, licence)| !is_met(licence, allowed));
    refused.map(|(name, licence)| format!("{name}: {licence:?} is not allowed by deny.toml")).collect()
}

/// Packages of this platform with their licences, as Cargo knows them without a network.
pub fn packages() -> Result<Vec<(String, String)>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let host = Command::new(&cargo).arg("-vV").output().map_err(|error| error.to_string())?;
    let host = String::from_utf8_lossy(&host.stdout).into_owned();
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let output = Command::new(&cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Ok(packages.iter().map(|package| (text(&package["name"]), text(&package["license"]))).collect())
}

/// The text of a file by its path; a check fails where it is not there.
pub fn text_of<'a>(files: &'a [File], path: &str) -> &'a str {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str()).unwrap_or_default()
}
