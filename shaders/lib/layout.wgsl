// What the host and the shaders share; its mirror is src/engine/gpu/layout.rs, and a test compares the two.
// The host adds MAX_ASSETS, WORKGROUP (the invocations of a workgroup) and NET_QUADS (how many fours of paths a
// workgroup nets).

/// Paths of a block.
const BLOCK: u32 = 64u;
/// Paths that a pilot has, at most, where losses are ranked on the device.
const RANKED_PATHS: u32 = 8192u;
/// Stands for "none" where an index is optional.
const NONE: u32 = 0xFFFFFFFFu;
/// Factors of one asset at an observation: log return, log shift of the volatility level, change of the basis.
const FACTORS: u32 = 3u;
/// Path quantities of a curve point: g, u, v, level, 1/level, numeraire's growth, 1/numeraire.
const QUANTITIES: u32 = 7u;
/// Laws of a jump's log size.
const MERTON: u32 = 0u;
const KOU: u32 = 1u;
/// Settlements, in the order of the host's enum.
const INVERSE: u32 = 0u;
const LINEAR: u32 = 1u;
/// Kinds of rows.
const LINEAR_ROW: u32 = 0u;
const SMILE_OPTION: u32 = 1u;
const FLAT_OPTION: u32 = 2u;
/// Bits of `Params.flags`.
const VOLATILITY_MOVES: u32 = 1u;
const BASIS_MOVES: u32 = 2u;
const REVERSED: u32 = 4u;
const KEEP_LOSSES: u32 = 8u;

/// One dispatch. Paths are counted within a tile; `first` is the tile's first path on the whole run.
struct Params {
    seed_low: u32,
    seed_high: u32,
    first_low: u32,
    first_high: u32,
    /// Paths of this tile that are wanted, and the stride of everything that is `[..][path]`.
    paths: u32,
    stride: u32,
    /// Steps of this dispatch, and the observation that the first of them leads to.
    step_start: u32,
    step_end: u32,
    observation: u32,
    observations: u32,
    sources: u32,
    curves: u32,
    rows: u32,
    accounts: u32,
    /// Accounts of a workgroup.
    accounts_together: u32,
    levels: u32,
    /// Levels of this dispatch, in the order of their horizons.
    level_start: u32,
    level_end: u32,
    /// Paths of this dispatch when it does not take the whole tile.
    slice_start: u32,
    slice_end: u32,
    numeraire: u32,
    numeraire_inverse_spot: f32,
    flags: u32,
    /// Always 0, -0 and 1, which the compiler must not know.
    zero: u32,
    minus_zero: f32,
    one: f32,
}

/// An observation: the step after its last, and where its tables start.
struct Observation {
    step_end: u32,
    terms: u32,
    thresholds: u32,
    threshold_count: u32,
}

/// Four assets' terms of a step.
struct StepTerms {
    drift: vec4<f32>,
    sd: vec4<f32>,
    decay: vec4<f32>,
    level_on_spot: vec4<f32>,
    level_alone: vec4<f32>,
    reversion: vec4<f32>,
    basis_sd: vec4<f32>,
}

/// A source of jumps. Merton: mean and sd; Kou: mean of an upward and of a downward jump.
struct Source {
    threshold: u32,
    asset: u32,
    law: u32,
    up_threshold: u32,
    first: f32,
    second: f32,
    padding_0: u32,
    padding_1: u32,
}

/// What the whole path knows of four assets.
struct AssetTerms {
    loading: vec4<f32>,
    common_shift: vec4<f32>,
    own_shift: vec4<f32>,
    mixing_group: vec4<u32>,
}

/// A curve point at an observation.
struct CurveTerms {
    observation: u32,
    asset: u32,
    settlement: u32,
    moves_volatility: u32,
    basis_years: f32,
    carry: f32,
    volatility_factor: f32,
    padding: u32,
}

/// One row of the P&L cube. Forward and strike carry the option's sign. A flat option has half its total
/// volatility in the place of `variance_a` and minus one over it in that of `variance_b`, both times its sign.
struct Row {
    u: f32,
    v: f32,
    offset: f32,
    market_value: f32,
    kind: u32,
    curve: u32,
    sign: f32,
    forward: f32,
    strike: f32,
    log_moneyness: f32,
    base: f32,
    variance_a: f32,
    variance_b: f32,
    variance_rho: f32,
    variance_m: f32,
    variance_sigma_squared: f32,
}

/// An account and its holdings.
struct Holder {
    account: u32,
    /// Index of its first two holdings.
    first_pair: u32,
    holdings: u32,
    padding: u32,
}

/// So much of a row in an account.
struct Holding {
    row: u32,
    quantity: f32,
}

/// Bins around an account's VaR.
struct BracketTerms {
    floor: f32,
    bins_per_loss: f32,
    quanta_per_loss: f32,
    padding: f32,
}

/// Index of an item whose turn it is; tests reverse the order.
fn in_order(index: u32, count: u32) -> u32 {
    return select(index, count - 1u - index, (params.flags & REVERSED) != 0u);
}

/// What the guards are made of.
fn guard_zero() -> u32 {
    return params.zero;
}

fn guard_minus_zero() -> f32 {
    return params.minus_zero;
}

fn guard_one() -> f32 {
    return params.one;
}

/// Place of a row's profit on a path in the cube `[block][row][BLOCK]`, which is the CPU's.
fn profit_place(row: u32, path: u32) -> u32 {
    return (path / BLOCK * params.rows + row) * BLOCK + path % BLOCK;
}
