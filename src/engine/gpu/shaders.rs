//! Shader sources, and how parts make a stage.

use super::plan::Groups;

/// Ways to write the same operations for different adapters. The bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Philox multiplies in 64 bits; otherwise in halves of 16, which every adapter has.
    pub wide_products: bool,
    /// Guards are fused operations, for drivers known to leave those alone; otherwise operations on
    /// bits, which cost an instruction more.
    pub fused_guards: bool,
}

impl Dialect {
    /// What every adapter understands.
    pub const PLAIN: Self = Self { wide_products: false, fused_guards: false };

    /// `shaders/lib/product_*.wgsl`.
    pub fn product(self) -> &'static str {
        if self.wide_products { PRODUCT_WIDE } else { PRODUCT_SPLIT }
    }

    /// `shaders/lib/guard_*.wgsl`.
    pub fn guard(self) -> &'static str {
        if self.fused_guards { GUARD_FUSED } else { GUARD_BITWISE }
    }
}

const GUARD_BITWISE: &str = include_str!("../../../shaders/lib/guard_bitwise.wgsl");
const GUARD_FUSED: &str = include_str!("../../../shaders/lib/guard_fused.wgsl");
const HOLDINGS: &str = include_str!("../../../shaders/lib/holdings.wgsl");
const LAYOUT: &str = include_str!("../../../shaders/lib/layout.wgsl");
const MATH: &str = include_str!("../../../shaders/lib/math.wgsl");
const MIXING: &str = include_str!("../../../shaders/lib/mixing.wgsl");
const NORMAL: &str = include_str!("../../../shaders/lib/normal.wgsl");
const PHILOX: &str = include_str!("../../../shaders/lib/philox.wgsl");
const PRICING: &str = include_str!("../../../shaders/lib/pricing.wgsl");
const PRODUCT_SPLIT: &str = include_str!("../../../shaders/lib/product_split.wgsl");
const PRODUCT_WIDE: &str = include_str!("../../../shaders/lib/product_wide.wgsl");
const TAIL: &str = include_str!("../../../shaders/lib/tail.wgsl");

/// A compute stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Simulate,
    Quantities,
    Revalue,
    Net,
    Rank,
    Fold,
    AddLegs,
}

impl Stage {
    pub const ALL: [Self; 7] =
        [Self::Simulate, Self::Quantities, Self::Revalue, Self::Net, Self::Rank, Self::Fold, Self::AddLegs];

    /// Name of the file and of the entry point.
    pub fn name(self) -> &'static str {
        match self {
            Self::Simulate => "simulate",
            Self::Quantities => "quantities",
            Self::Revalue => "revalue",
            Self::Net => "net",
            Self::Rank => "rank",
            Self::Fold => "fold",
            Self::AddLegs => "add_legs",
        }
    }

    /// Read-only storage buffers, which come first after the parameters.
    pub fn inputs(self) -> u32 {
        match self {
            Self::Simulate => 7,
            Self::Quantities | Self::Revalue | Self::AddLegs => 2,
            Self::Net | Self::Rank => 5,
            Self::Fold => 0,
        }
    }

    /// Storage buffers that are written.
    pub fn outputs(self) -> u32 {
        match self {
            Self::Simulate | Self::Quantities | Self::Revalue | Self::Rank | Self::AddLegs => 1,
            Self::Net | Self::Fold => 2,
        }
    }

    /// The whole source for a number of assets and sizes of workgroups. Declarations of WGSL may stand in
    /// any order.
    pub fn source(self, assets: u32, groups: &Groups, dialect: Dialect) -> String {
        let product = dialect.product();
        let guard = dialect.guard();
        let parts: &[&str] = match self {
            Self::Simulate => {
                let own = include_str!("../../../shaders/simulate.wgsl");
                &[own, LAYOUT, MIXING, guard, MATH, NORMAL, PHILOX, product]
            }
            Self::Quantities => {
                &[include_str!("../../../shaders/quantities.wgsl"), LAYOUT, guard, MATH, NORMAL]
            }
            Self::Revalue => {
                &[include_str!("../../../shaders/revalue.wgsl"), LAYOUT, PRICING, guard, MATH, NORMAL]
            }
            Self::Net => &[include_str!("../../../shaders/net.wgsl"), LAYOUT, HOLDINGS, guard, TAIL],
            Self::Rank => &[include_str!("../../../shaders/rank.wgsl"), LAYOUT, HOLDINGS, guard],
            Self::Fold => &[include_str!("../../../shaders/fold.wgsl"), LAYOUT, TAIL],
            Self::AddLegs => &[include_str!("../../../shaders/add_legs.wgsl"), LAYOUT, guard],
        };
        let constants = [
            ("MAX_ASSETS", assets),
            ("WORKGROUP", groups.invocations(self, assets)),
            ("NET_QUADS", groups.net_quads),
        ];
        let constant = |(name, value): (&str, u32)| format!("const {name}: u32 = {value}u;\n");
        format!("{}\n{}", parts.join("\n"), constants.map(constant).concat())
    }
}

/// BLAKE3 of all shader sources in all dialects, for manifests and run ids.
pub fn shaders_blake3() -> String {
    let mut hasher = blake3::Hasher::new();
    for stage in Stage::ALL {
        for fused_guards in [false, true] {
            for wide_products in [false, true] {
                hasher.update(
                    stage.source(1, &Groups::SMALLEST, Dialect { wide_products, fused_guards }).as_bytes(),
                );
            }
        }
    }
    hasher.finalize().to_hex().to_string()
}
