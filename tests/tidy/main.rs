//! The house rules, held by reading the sources: module arrows, rooms of foreign crates, file
//! lengths, licences. Each rule is a function from files to what breaks it, and each test shows
//! the rule a bad snippet first, so that a rule that sees nothing is noticed.

mod dependencies;
mod modules;
mod rules;
mod source;

use source::File;

type Rule = fn(&[File]) -> Vec<String>;

/// The rule holds for the project; and it finds exactly as many breaks as there are in `bad`.
fn holds(rule: Rule, bad: &[(&str, &str)], breaks: usize) {
    let control: Vec<File> = bad.iter().map(|(path, text)| File::new(path, text)).collect();
    let found = rule(&control);
    assert_eq!(found.len(), breaks, "negative control: {found:#?}");
    let files = project();
    let broken = rule(&files);
    assert!(broken.is_empty(), "{} breaks:\n{}", broken.len(), broken.join("\n"));
}

/// The files of the project; there must be some of every kind that a rule looks at.
fn project() -> Vec<File> {
    let files = source::project();
    for (kind, least) in [("src/", 40), ("tests/", 10), ("scenarios/", 10), ("docs/", 3), ("benches/", 1)] {
        let count = files.iter().filter(|file| file.path.starts_with(kind)).count();
        assert!(count >= least, "found {count} files in {kind}, expected at least {least}");
    }
    files
}

#[test]
fn arrows_point_down() {
    let bad = [
        ("src/numeric/float.rs", "use crate::units::Years; // numeric knows nobody"),
        ("src/market/mod.rs", "use crate::{table::Table, engine::Job};\nuse super::run;"),
        (
            "src/market/svi.rs",
            "#[cfg(test)]\nmod tests { use crate::run; }\n// crate::run\nconst A: &str = \"crate::run\";",
        ),
        ("src/novelty.rs", "fn unplaced() {}"),
    ];
    holds(modules::arrows_point_down, &bad, 4);
}

#[test]
fn engines_are_strangers() {
    let bad = [
        ("src/engine/cpu/net.rs", "use crate::engine::gpu::Device;\nuse super::super::gpu;"),
        ("src/engine/gpu/mod.rs", "use super::cpu::CpuEngine;"),
        ("src/engine/pilot.rs", "use super::cpu::CpuEngine;"),
    ];
    holds(modules::engines_are_strangers, &bad, 3);
}

#[test]
fn crates_stay_in_their_rooms() {
    let bad = [
        ("src/risk/tail.rs", "use wgpu::Device;\nlet bytes = bytemuck::cast_slice(&x); // nalgebra::DMatrix"),
        ("src/engine/gpu/device.rs", "use wgpu::Device;"),
        ("src/market.rs", "use nalgebra::DMatrix;"),
        ("src/marketing.rs", "use nalgebra as matrices;"),
    ];
    holds(modules::crates_stay_in_their_rooms, &bad, 3);
}

#[test]
fn files_are_short() {
    let long = "\n".repeat(rules::LINES_MOST + 1);
    holds(rules::files_are_short, &[("src/long.rs", &long), ("shaders/long.wgsl", &long)], 2);
    for file in rules::longer_files(&project()) {
        println!("worth a look, above {} lines: {file}", rules::LINES_LOOK);
    }
}

#[test]
fn no_unwrap_at_the_edges() {
    let bad = [
        ("src/scenario/read.rs", "let x = y.unwrap();\n// z.unwrap()"),
        (
            "src/engine/gpu/mod.rs",
            "let x = y\n    .unwrap();\n#[cfg(test)]\nmod t { fn f() { y.unwrap(); } }",
        ),
        ("src/numeric/word.rs", "let x = y.unwrap();"),
    ];
    holds(rules::no_unwrap_at_the_edges, &bad, 2);
}

#[test]
fn lints_are_off_for_a_reason() {
    let bad = [
        (
            "src/a.rs",
            "#[allow(dead_code)]\nfn a() {}\n#[expect(\n    dead_code,\n    reason = \"shown\"\n)]\nfn b() {}",
        ),
        ("tests/b.rs", "#![allow(clippy::all)]"),
    ];
    holds(rules::lints_are_off_for_a_reason, &bad, 2);
}

#[test]
fn unsafe_code_is_forbidden() {
    let bad = [("src/lib.rs", "// #![forbid(unsafe_code)]"), ("Cargo.toml", "[lints.rust]")];
    holds(rules::unsafe_code_is_forbidden, &bad, 2);
}

#[test]
fn nothing_is_left_behind() {
    let bad = [
        ("src/run.rs", "println!(\"a\"); dbg!(b);\n// TO\u{44}O: later"),
        ("src/cli/run.rs", "println!(\"a\"); let println = 1;"),
    ];
    holds(rules::nothing_is_left_behind, &bad, 3);
}

#[test]
fn no_machine_paths() {
    let place = concat!("/ro", "ot/here");
    let (named, relative) = (format!("see {place}"), format!("see ..{place} and x{place}"));
    holds(rules::no_machine_paths, &[("README.md", &named), ("docs/a.md", &relative)], 1);
}

#[test]
fn scenarios_are_tested() {
    let bad = [
        ("scenarios/one.yaml", ""),
        ("scenarios/two.yaml", ""),
        ("scenarios/market/deep.yaml", ""),
        ("tests/proof/scenarios.rs", "run(\"scenarios/one.yaml\")"),
        ("tests/tidy/main.rs", "\"two.yaml\""),
    ];
    holds(rules::scenarios_are_tested, &bad, 1);
}

#[test]
fn links_lead_somewhere() {
    let bad = [
        ("docs/a.md", "[here](b.md#part) [up](../src/lib.rs) [away](https://example.org) [folder](../src)"),
        ("docs/b.md", "[nowhere](c.md)"),
        ("src/lib.rs", ""),
    ];
    holds(rules::links_lead_somewhere, &bad, 1);
}

#[test]
fn dependencies_are_explained() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nserde = \"1\"\nserde_json = \"1\"\n[profile.dev]\nopt-level = 3";
    let broken = dependencies::dependencies_are_explained(manifest, "| `serde_json` | why |\n`serde`");
    assert_eq!(broken.len(), 1, "negative control: {broken:?}");
    let files = project();
    let architecture = dependencies::text_of(&files, "ARCHITECTURE.md");
    let broken =
        dependencies::dependencies_are_explained(dependencies::text_of(&files, "Cargo.toml"), architecture);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn packages_come_from_the_registry() {
    let bad = "[[package]]\nname = \"a\"\nsource = \"git+https://example.org/a\"\n\
               [[package]]\nname = \"serde_yml\"\n\
               source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"00\"\n";
    assert_eq!(dependencies::packages_come_from_the_registry(bad).len(), 2, "negative control");
    let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"))
        .expect("Cargo.lock is part of the project");
    assert!(lock.matches("[[package]]").count() > 50, "Cargo.lock names packages");
    let broken = dependencies::packages_come_from_the_registry(&lock);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn licences_are_allowed() {
    let allowed = ["MIT".to_owned(), "Apache-2.0 WITH LLVM-exception".to_owned()];
    for (expression, expected) in [
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("(MIT OR Zlib) AND BSD-3-Clause", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("", false),
    ] {
        assert_eq!(dependencies::is_met(expression, &allowed), expected, "{expression}");
    }
    let files = project();
    let allowed = dependencies::allowed_licences(dependencies::text_of(&files, "deny.toml"));
    assert!(allowed.iter().any(|licence| licence == "MIT"), "deny.toml allows licences");
    let packages = dependencies::packages().expect("cargo knows the packages that it has just built");
    assert!(packages.len() > 50, "found {} packages", packages.len());
    let broken = dependencies::licences_are_allowed(&packages, &allowed);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_changelog_knows_this_version() {
    let files = project();
    let version = concat!("## [", env!("CARGO_PKG_VERSION"), "]");
    assert!(dependencies::text_of(&files, "CHANGELOG.md").contains(version), "CHANGELOG.md has no {version}");
}
