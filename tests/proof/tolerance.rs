//! Every tolerance of these tests, with its inequality and where it comes from.

/// `|estimate - truth| <= SIGMAS * standard error`: the thousands of figures compared here would by
/// chance break it once in a thousand choices of the seeds (a normal leaves 6e-7 beyond 5).
pub const SIGMAS: f64 = 5.0;

/// Rounding unit of f32: `|rounded - x| <= F32_UNIT * |x|`.
pub const F32_UNIT: f64 = 1.0 / 16_777_216.0;

/// `|ours - exact| <= BOOK_PRINTED * |exact|` beside the standard errors: the table of option books
/// claims about 1e-8 and prints ten digits.
pub const BOOK_PRINTED: f64 = 1e-8;

/// `|loss_f32 - loss| <= F32_BOOK * premium` for a book of few options near its worst: each leg's
/// `value - base` and each of up to four sums is rounded to F32_UNIT of the premium, and a value is
/// a product of about ten roundings.
pub const F32_BOOK: f64 = 16.0 * F32_UNIT;

/// `|collected - loss| <= F32_COLLECTED * |loss|` in either engine: a loss is rounded to f32 once when
/// it is sorted into the tail, and so is the bracket's floor.
pub const F32_COLLECTED: f64 = 2.0 * F32_UNIT;

/// `|call - put - row| <= PARITY_ROUNDINGS * unit * size`: call and put are the same out-of-the-money
/// side bit for bit, so parity loses only the roundings of the intrinsic part (a coefficient, `expm1`
/// to four units, a product, two sums) and of as many in the row that it is compared with.
pub const PARITY_ROUNDINGS: f64 = 8.0;

/// `|profit - payoff| <= PAYOFF_ROUNDINGS * unit * (price + spot)`: a coefficient, the forward on the
/// path (`exp` of a rounded sum, four units), the option's own dozen of roundings, two sums.
pub const PAYOFF_ROUNDINGS: f64 = 8.0;

/// `|profit - independent| <= REVALUATION_F32 * unit * (price now + price on the path)`: against f64
/// from the same factors. An option's value is `F phi R1 - K phi R2`; `exp` and the Mills ratio are
/// good to three units each, products and sums add half a unit each, and `d1`, rounded to `|d1|`
/// units, moves a value by `F phi(d1) s |d1|`, below a quarter of `F` for any `d1`.
pub const REVALUATION_F32: f64 = 8.0;

/// The same in f64, where the independent price has roundings of its own: `ln K - ln F` of prices near
/// 60,000 is 11 units wrong before it is divided by a standard deviation.
pub const REVALUATION_F64: f64 = 32.0;

/// `|ES_f32 - ES_f64| <= HEDGED_SHARE * standard error` on the same paths.
pub const HEDGED_SHARE: f64 = 0.1;

/// `|ES - ES sorted| <= ONE_PASS * |ES sorted|` with tens of thousands of paths: the shape inside one
/// of 64 bins is unknown, and a bin holds a few per cent of the tail.
pub const ONE_PASS: f64 = 1e-4;

/// `|error - error sorted| <= ONE_PASS_ERROR * error sorted`, for the standard error of ES.
pub const ONE_PASS_ERROR: f64 = 1e-2;

/// Half-width in standard errors of an interval that holds 95 % of a normal.
pub const INTERVAL: f64 = 1.96;

/// Share of a thousand intervals that hold the Expected Shortfall: 95 % give or take 1.5 points, two
/// standard errors of a share of a thousand.
pub const COVERED_ES: std::ops::RangeInclusive<f64> = 0.935..=0.965;

/// The same for VaR, whose error rests on an estimated density.
pub const COVERED_VAR: std::ops::RangeInclusive<f64> = 0.93..=0.97;

/// `|slope + 1/2| <= RATE_EXPONENT`: the root mean square of 400 runs is known to 3.5 % (more with a
/// fat tail), and the slope over a factor of 64 in paths to 0.012.
pub const RATE_EXPONENT: f64 = 0.05;

/// `|figure - sorted figure| <= ONE_BIN` bins: both lie in the same bin, whose edges are rounded to f32.
pub const ONE_BIN: f64 = 1.01;

/// `|ES - ES sorted| <= REPAIRED_SHARE * standard error` behind a bracket that was widened after a miss:
/// its bins are up to ten times as wide, and what they hide grows with the square.
pub const REPAIRED_SHARE: f64 = 0.1;
