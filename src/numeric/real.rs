//! The arithmetic a pipeline is written in.

use std::fmt::Debug;
use std::ops::{Add, Mul, Neg, Sub};

use super::float::Float;
use super::word::Word;

/// A real number, or a row of lanes of them, with the elementary functions of
/// the engine. Errors are stated for `f32` / `f64`; a unit in the last place
/// (ulp) is the spacing of numbers around the result, 2^-23 / 2^-52 relative at
/// most. Domains are the caller's duty: nothing is checked here.
pub trait Real:
    Copy
    + Send
    + Sync
    + Debug
    + Default
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Neg<Output = Self>
    + 'static
{
    /// The random words that this type draws from, lane by lane.
    type Word: Word;
    /// The type of one lane.
    type Scalar: Float;
    /// How many lanes there are.
    const LANES: usize;

    /// The nearest representable number, in every lane.
    fn constant(x: f64) -> Self;
    /// The same number in every lane.
    fn splat(x: Self::Scalar) -> Self;
    /// The number in lane `index`.
    fn lane(self, index: usize) -> Self::Scalar;
    /// Replaces the number in lane `index`.
    fn set_lane(&mut self, index: usize, x: Self::Scalar);
    /// Reads the first `LANES` numbers of `slice`; panics where it is shorter.
    fn load(slice: &[Self::Scalar]) -> Self;
    /// Writes the lanes to the front of `slice`; panics where it is shorter.
    fn store(self, slice: &mut [Self::Scalar]);

    /// Magnitude.
    fn abs(self) -> Self;
    /// The smaller one.
    fn min(self, other: Self) -> Self;
    /// The larger one.
    fn max(self, other: Self) -> Self;
    /// `then` where `self < 0` (strictly; -0 is not below 0), else `otherwise`. Both are evaluated.
    fn if_negative(self, then: Self, otherwise: Self) -> Self;

    /// `1 / x` for `2^-125 <= x <= 2^125`. Error 1.5 ulp / correctly rounded. In `f32` beyond 2^100
    /// the last correction may be subnormal: error 2 ulp, and other bits on a device that flushes it.
    fn recip(self) -> Self;
    /// `1 / sqrt(x)` for positive normal `x`. Error 1.5 ulp / 1 ulp.
    fn rsqrt(self) -> Self;
    /// Square root for positive normal `x`, and 0 at 0. Error 2.1 ulp / correctly rounded.
    fn sqrt(self) -> Self;
    /// `e^x`. The argument is clamped to `[-86, 88]` / `[-708, 709]`, so that
    /// the result is a positive normal number: a vanishing result is 4.5e-38 / 3.3e-308, not 0.
    /// Error 1 ulp.
    fn exp(self) -> Self;
    /// `e^x - 1`, accurate near 0. Same clamp as [`exp`](Real::exp). Error 2 ulp.
    fn expm1(self) -> Self;
    /// Natural logarithm of a positive normal number. Error 1 ulp.
    fn log(self) -> Self;
    /// `ln(1 + x)` for `-1 < x <= 2^125`, accurate near 0. Error 1.5 ulp.
    fn log1p(self) -> Self;

    /// `R(y)` for `y >= 0`, the scaled normal tail: `N(-y) = exp(-y*y/2) * R(y)`, `R(0) = 1/2`.
    /// Relative error 5e-7 for `y <= 13` / 1e-14 for `y <= 38`; beyond it stays
    /// positive and decreasing, within 1e-3 of the truth.
    fn mills(self) -> Self;
    /// `R` of two arguments for the price of one reciprocal: quotients of polynomials for `y <= 13`,
    /// where the relative error is 7e-7 / 1e-14.
    fn mills_pair(y1: Self, y2: Self) -> (Self, Self);
    /// `exp(-x*x/2)` for `|x| <= 13`, plain and quick: relative error `(2 + x*x) 1.2e-7` /
    /// `(2 + x*x) 2e-16`.
    fn bell(self) -> Self;
    /// `exp(-x*x/2)` without the loss that squaring a large `x` brings.
    /// `|x|` is clamped to 13 / 37. Relative error 1.5e-7 / 4e-16.
    fn exp_neg_half_square(self) -> Self;
    /// The standard normal distribution function; `|x|` is clamped to 13 / 37.
    /// Relative error of the lower tail 6e-7 / 1e-14; below -12.9 it is subnormal in `f32`.
    fn normal_cdf(self) -> Self;

    /// `u = (k + 0.5) * 2^-32`, rounded, and in `f32` at most `1 - 2^-24`: inside (0, 1).
    fn uniform(word: Self::Word) -> Self;
    /// `-ln(u)` of `u = (k + 0.5) * 2^-32`: an exponential variate with
    /// relative accuracy (2 ulp) at both ends, from 1.16e-10 to 22.9.
    fn neg_log_uniform(word: Self::Word) -> Self;
    /// Cosine and sine of `2 * pi * (k + 0.5) * 2^-32`. Absolute error 1.5e-7 / 3e-16.
    fn cos_sin_turn(word: Self::Word) -> (Self, Self);
    /// Two independent standard normals (Box-Muller): radius from the first
    /// word, angle from the second. `|z| <= 6.77`. Absolute error 1.2e-6 / 3e-15.
    fn normal_pair(radius: Self::Word, angle: Self::Word) -> (Self, Self);
    /// The standard normal quantile of `u = (k + 0.5) * 2^-32`, `|z| <= 6.34`.
    /// Complementing the word negates the result exactly.
    /// Absolute error 2e-6 / 1e-14.
    fn inverse_normal_cdf(word: Self::Word) -> Self;
}
