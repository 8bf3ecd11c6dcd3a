//! Shader sources, and how parts make a stage.

/// How Philox multiplies words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PhiloxVariant {
    /// 64-bit products where the adapter has them.
    #[default]
    Auto,
    /// 64-bit products; a fault without them.
    Wide,
    /// Products of 16-bit halves, which every adapter has.
    Split,
}

const GUARD: &str = include_str!("../../../shaders/lib/guard.wgsl");
const LAYOUT: &str = include_str!("../../../shaders/lib/layout.wgsl");
const MATH: &str = include_str!("../../../shaders/lib/math.wgsl");
const MIXING: &str = include_str!("../../../shaders/lib/mixing.wgsl");
const NORMAL: &str = include_str!("../../../shaders/lib/normal.wgsl");
const PHILOX: &str = include_str!("../../../shaders/lib/philox.wgsl");
const PHILOX_U64: &str = include_str!("../../../shaders/lib/philox_u64.wgsl");
const PRICING: &str = include_str!("../../../shaders/lib/pricing.wgsl");
const TAIL: &str = include_str!("../../../shaders/lib/tail.wgsl");

/// A compute stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Simulate,
    Quantities,
    Revalue,
    Net,
    Fold,
    AddLegs,
}

impl Stage {
    pub const ALL: [Self; 6] =
        [Self::Simulate, Self::Quantities, Self::Revalue, Self::Net, Self::Fold, Self::AddLegs];

    /// Name of the file and of the entry point.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Quantities => "quantities",
            Self::Revalue => "revalue",
            Self::Net => "net",
            Self::Fold => "fold",
            Self::AddLegs => "add_legs",
        }
    }

    /// Read-only storage buffers, which come first after the parameters.
    pub fn inputs(self) -> u32 {
        match self {
            Self::Simulate => 7,
            Self::Quantities | Self::Revalue | Self::AddLegs => 2,
            Self::Net => 5,
            Self::Fold => 0,
        }
    }

    /// Storage buffers that are written.
    pub fn outputs(self) -> u32 {
        match self {
            Self::Simulate | Self::Quantities | Self::Revalue | Self::AddLegs => 1,
            Self::Net | Self::Fold => 2,
        }
    }

    /// The whole source for a number of assets. Declarations of WGSL may stand in any order.
    pub fn source(self, assets: u32, wide: bool) -> String {
        let philox = if wide { PHILOX_U64 } else { PHILOX };
        let parts: &[&str] = match self {
            Self::Simulate => {
                &[include_str!("../../../shaders/simulate.wgsl"), LAYOUT, MIXING, GUARD, MATH, NORMAL, philox]
            }
            Self::Quantities => {
                &[include_str!("../../../shaders/quantities.wgsl"), LAYOUT, GUARD, MATH, NORMAL]
            }
            Self::Revalue => {
                &[include_str!("../../../shaders/revalue.wgsl"), LAYOUT, PRICING, GUARD, MATH, NORMAL]
            }
            Self::Net => &[include_str!("../../../shaders/net.wgsl"), LAYOUT, GUARD, TAIL],
            Self::Fold => &[include_str!("../../../shaders/fold.wgsl"), LAYOUT, TAIL],
            Self::AddLegs => &[include_str!("../../../shaders/add_legs.wgsl"), LAYOUT, GUARD],
        };
        format!("{}\nconst MAX_ASSETS: u32 = {assets}u;\n", parts.join("\n"))
    }
}

/// BLAKE3 of all shader sources in both ways of multiplying, for manifests and run ids.
pub fn shaders_blake3() -> String {
    let mut hasher = blake3::Hasher::new();
    for stage in Stage::ALL {
        hasher.update(stage.source(1, false).as_bytes());
        hasher.update(stage.source(1, true).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}
