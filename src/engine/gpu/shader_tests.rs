//! Shaders are valid and share the host's layout, on any machine.

use wgpu::naga;

use super::layout;
use super::plan::Groups;
use super::shaders::{Dialect, Stage};

const GROUPS: Groups = Groups { simulate_paths: 4, net: 256, net_quads: 8, rank: 64, others: 64 };

fn parsed(stage: Stage, assets: u32, dialect: Dialect) -> naga::Module {
    let source = stage.source(assets, &GROUPS, dialect);
    naga::front::wgsl::parse_str(&source)
        .unwrap_or_else(|error| panic!("{}: {}", stage.name(), error.emit_to_string(&source)))
}

#[test]
fn every_stage_is_valid() {
    let folder = std::fs::read_dir("shaders").expect("the shaders stand here");
    let mut files: Vec<String> = folder
        .map(|entry| entry.expect("it can be read").file_name().to_string_lossy().into_owned())
        .filter_map(|name| name.strip_suffix(".wgsl").map(str::to_owned))
        .collect();
    files.sort();
    let mut stages: Vec<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
    stages.sort_unstable();
    assert_eq!(files, stages, "every entry file is a stage and every stage has one");
    for stage in Stage::ALL {
        let fastest = Dialect { wide_products: true, fused_guards: true };
        for (assets, dialect) in [(1, Dialect::PLAIN), (12, fastest), (256, Dialect::PLAIN)] {
            let module = parsed(stage, assets, dialect);
            let capabilities = naga::valid::Capabilities::SHADER_INT64;
            let mut validator =
                naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities);
            let checked = validator.validate(&module);
            assert!(checked.is_ok(), "{}: {checked:?}", stage.name());
            assert!(module.entry_points.iter().any(|entry| entry.name == stage.name()));
        }
    }
}

#[test]
fn an_invalid_shader_is_seen() {
    let source =
        Stage::Net.source(3, &GROUPS, Dialect::PLAIN).replace("let loss = loss_of(", "let loss = losses_of(");
    assert!(naga::front::wgsl::parse_str(&source).is_err());
}

#[test]
fn structures_are_laid_out_as_on_the_host() {
    let mut seen = std::collections::BTreeSet::new();
    for stage in Stage::ALL {
        let module = parsed(stage, 3, Dialect::PLAIN);
        for (name, size, fields) in layout::described() {
            let found = module.types.iter().find(|(_, declared)| declared.name.as_deref() == Some(name));
            let Some((_, declared)) = found else { continue };
            let naga::TypeInner::Struct { members, span } = &declared.inner else {
                panic!("{name} is no structure");
            };
            assert_eq!(*span as usize, size, "{name}");
            let members: Vec<(&str, usize)> =
                members.iter().map(|m| (m.name.as_deref().unwrap_or(""), m.offset as usize)).collect();
            assert_eq!(members, fields, "{name}");
            seen.insert(name);
        }
    }
    assert_eq!(seen.len(), layout::described().len(), "{seen:?}");
}

#[test]
fn constants_are_those_of_the_host() {
    let expected = [
        ("BLOCK", crate::engine::BLOCK as u32),
        ("RANKED_PATHS", crate::engine::KEPT_PATHS as u32),
        ("FACTORS", crate::engine::FACTORS as u32),
        ("QUANTITIES", layout::QUANTITIES),
        ("BINS", crate::risk::BINS as u32),
        ("BIN_LIMBS", super::plan::BIN_LIMBS as u32),
        ("TAIL_WORDS", super::plan::TAIL_WORDS as u32),
        ("SQUARE_SHIFT", crate::risk::SQUARE_SHIFT),
        ("QUANTA_LIMIT", crate::risk::QUANTA_LIMIT),
        ("REVERSED", layout::flag::REVERSED),
        ("KEEP_LOSSES", layout::flag::KEEP_LOSSES),
        ("VOLATILITY_MOVES", layout::flag::VOLATILITY_MOVES),
        ("BASIS_MOVES", layout::flag::BASIS_MOVES),
        ("NONE", layout::NONE),
    ];
    let module = parsed(Stage::Net, 3, Dialect::PLAIN);
    for (name, value) in expected {
        let (_, constant) = module
            .constants
            .iter()
            .find(|(_, constant)| constant.name.as_deref() == Some(name))
            .unwrap_or_else(|| panic!("{name} is not in the shaders"));
        let naga::Expression::Literal(naga::Literal::U32(found)) = module.global_expressions[constant.init]
        else {
            panic!("{name}: {:?}", module.global_expressions[constant.init]);
        };
        assert_eq!(found, value, "{name}");
    }
}
