//! Every tolerance of these tests, with its inequality and where it comes from.

/// `|estimate - truth| <= SIGMAS * standard error`: the thousands of figures compared here would by
/// chance break it once in a thousand choices of the seeds (a normal leaves 6e-7 beyond 5).
pub const SIGMAS: f64 = 5.0;

/// Rounding unit of f32: `|rounded - x| <= F32_UNIT * |x|`.
pub const F32_UNIT: f64 = 1.0 / 16_777_216.0;
