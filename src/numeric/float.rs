//! What one lane must offer: bit operations and tables, from which the
//! algorithms of this module are built once for both precisions.

use super::real::Real;
use super::{exp_log, normal, option, root, trig};

/// One lane: `f32`, the engine's figure, or `f64`, its reference.
pub trait Float: Real<Word = u32, Scalar = Self> + PartialOrd {
    /// The value as `f64`, exactly.
    fn to_f64(self) -> f64;

    #[doc(hidden)]
    const TABLES: Tables<Self>;
    /// An integer of magnitude up to 2^24, exactly.
    #[doc(hidden)]
    fn from_small(n: i32) -> Self;
    /// `self * 2^n`, where `n` is the integer in the last bits of `shifted = n + TABLES.shifter`.
    #[doc(hidden)]
    fn scale_by(self, shifted: Self) -> Self;
    /// `x = m * 2^k` with `sqrt(1/2) <= m < sqrt(2)`: `(m, k, 2^-k)`.
    #[doc(hidden)]
    fn split(self) -> (Self, Self, Self);
    /// Flips the sign where the top bit of `word` is set.
    #[doc(hidden)]
    fn flip_sign(self, word: u32) -> Self;
    /// The number without the lower half of its digits, so that its square is exact.
    #[doc(hidden)]
    fn upper_half(self) -> Self;
    #[doc(hidden)]
    fn magnitude(self) -> Self;
    #[doc(hidden)]
    fn reciprocal(self) -> Self;
    #[doc(hidden)]
    fn reciprocal_root(self) -> Self;
    #[doc(hidden)]
    fn root(self) -> Self;
    /// The variable of the mills polynomial, from `t = 1 / (1 + p y)`.
    #[doc(hidden)]
    fn mills_variable(t: Self) -> Self;
    /// Improves `z`, where `N(-z) = p`, as far as this precision needs it.
    #[doc(hidden)]
    fn refine_quantile(z: Self, p: Self) -> Self;
    /// The sum of coefficients times powers, from the constant term up.
    #[doc(hidden)]
    fn polynomial(self, coefficients: &[Self]) -> Self;
    #[doc(hidden)]
    fn tail_pair(y1: Self, y2: Self) -> (Self, Self);
    #[doc(hidden)]
    fn bell_curve(self) -> Self;
}

/// The numbers that differ between precisions. Polynomials run from the constant term up.
#[doc(hidden)]
pub struct Tables<T: 'static> {
    /// 1.5 * 2^23 or 1.5 * 2^52: adding it rounds to an integer.
    pub shifter: T,
    pub log2_e: T,
    /// `ln 2` with so few digits that its product with any exponent is exact, and the rest.
    pub ln2_high: T,
    pub ln2_low: T,
    pub exp_min: T,
    pub exp_max: T,
    /// `(e^r - 1 - r) / r^2`.
    pub exp: &'static [T],
    /// `(ln(1 + f) - f + f^2 / 2) / f^3`.
    pub log: &'static [T],
    /// `sin(2 pi x) / x` in `x^2`.
    pub sin: &'static [T],
    /// `(cos(2 pi x) - 1) / x^2` in `x^2`.
    pub cos: &'static [T],
    pub mills_p: T,
    /// `R(y) / t` in the mills variable.
    pub mills: &'static [T],
    /// The quantile polynomial in `sqrt(quantile_shift - ln(4 p (1 - p))) - quantile_centre`.
    pub quantile_shift: T,
    pub quantile_centre: T,
    pub quantile: &'static [T],
    /// Beyond this the normal tail is clamped.
    pub tail_max: T,
    /// The largest `uniform`.
    pub uniform_max: T,
}

/// Horner's rule, from the highest term down.
#[inline(always)]
fn horner<T: Float>(x: T, coefficients: &[T], step: usize) -> T {
    let last = coefficients.len() - 1;
    let mut at = last - last % step;
    let mut sum = coefficients[at];
    while at > 0 {
        at -= step;
        sum = coefficients[at] + x * sum;
    }
    sum
}

/// Even and odd powers apart: half as many steps that wait for one another.
#[inline(always)]
pub(super) fn even_odd<T: Float>(x: T, coefficients: &[T]) -> T {
    let square = x * x;
    horner(square, coefficients, 2) + x * horner(square, &coefficients[1..], 2)
}

macro_rules! real_for_scalar {
    ($type:ident) => {
        impl Real for $type {
            type Word = u32;
            type Scalar = $type;
            const LANES: usize = 1;

            #[inline(always)]
            fn constant(x: f64) -> Self {
                x as $type
            }
            #[inline(always)]
            fn splat(x: Self) -> Self {
                x
            }
            #[inline(always)]
            fn lane(self, index: usize) -> Self {
                debug_assert!(index == 0);
                self
            }
            #[inline(always)]
            fn set_lane(&mut self, index: usize, x: Self) {
                debug_assert!(index == 0);
                *self = x;
            }
            #[inline(always)]
            fn load(slice: &[Self]) -> Self {
                slice[0]
            }
            #[inline(always)]
            fn store(self, slice: &mut [Self]) {
                slice[0] = self;
            }
            #[inline(always)]
            fn abs(self) -> Self {
                self.magnitude()
            }
            #[inline(always)]
            fn min(self, other: Self) -> Self {
                if self < other { self } else { other }
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other { self } else { other }
            }
            #[inline(always)]
            fn if_negative(self, then: Self, otherwise: Self) -> Self {
                if self < 0.0 { then } else { otherwise }
            }
            #[inline(always)]
            fn recip(self) -> Self {
                self.reciprocal()
            }
            #[inline(always)]
            fn rsqrt(self) -> Self {
                self.reciprocal_root()
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.root()
            }
            #[inline(always)]
            fn exp(self) -> Self {
                exp_log::exp(self)
            }
            #[inline(always)]
            fn expm1(self) -> Self {
                exp_log::expm1(self)
            }
            #[inline(always)]
            fn log(self) -> Self {
                exp_log::log(self)
            }
            #[inline(always)]
            fn log1p(self) -> Self {
                exp_log::log1p(self)
            }
            #[inline(always)]
            fn mills(self) -> Self {
                normal::mills(self)
            }
            #[inline(always)]
            fn mills_pair(y1: Self, y2: Self) -> (Self, Self) {
                Float::tail_pair(y1, y2)
            }
            #[inline(always)]
            fn bell(self) -> Self {
                Float::bell_curve(self)
            }
            #[inline(always)]
            fn exp_neg_half_square(self) -> Self {
                normal::exp_neg_half_square(self)
            }
            #[inline(always)]
            fn normal_cdf(self) -> Self {
                normal::normal_cdf(self)
            }
            #[inline(always)]
            fn uniform(word: u32) -> Self {
                exp_log::uniform(word)
            }
            #[inline(always)]
            fn neg_log_uniform(word: u32) -> Self {
                exp_log::neg_log_uniform(word)
            }
            #[inline(always)]
            fn cos_sin_turn(word: u32) -> (Self, Self) {
                trig::cos_sin_turn(word)
            }
            #[inline(always)]
            fn normal_pair(radius: u32, angle: u32) -> (Self, Self) {
                normal::normal_pair(radius, angle)
            }
            #[inline(always)]
            fn inverse_normal_cdf(word: u32) -> Self {
                normal::inverse_normal_cdf(word)
            }
        }
    };
}

real_for_scalar!(f32);
real_for_scalar!(f64);

impl Float for f32 {
    const TABLES: Tables<f32> = super::f32_tables::TABLES;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn from_small(n: i32) -> Self {
        n as f32
    }
    #[inline(always)]
    fn scale_by(self, shifted: Self) -> Self {
        f32::from_bits(self.to_bits().wrapping_add(shifted.to_bits() << 23))
    }
    #[inline(always)]
    fn split(self) -> (Self, Self, Self) {
        let bits = self.to_bits().wrapping_add(ONE_32 - SQRT_HALF_32);
        let exponent = bits >> 23;
        let m = f32::from_bits((bits & 0x007F_FFFF) + SQRT_HALF_32);
        let k = (exponent as i32 - 127) as f32;
        (m, k, f32::from_bits(254_u32.wrapping_sub(exponent) << 23))
    }
    #[inline(always)]
    fn flip_sign(self, word: u32) -> Self {
        f32::from_bits(self.to_bits() ^ (word & 0x8000_0000))
    }
    #[inline(always)]
    fn upper_half(self) -> Self {
        f32::from_bits(self.to_bits() & 0xFFFF_F000)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        f32::from_bits(self.to_bits() & 0x7FFF_FFFF)
    }
    #[inline(always)]
    fn reciprocal(self) -> Self {
        root::recip(self)
    }
    #[inline(always)]
    fn reciprocal_root(self) -> Self {
        root::rsqrt(self)
    }
    #[inline(always)]
    fn root(self) -> Self {
        root::sqrt(self)
    }
    #[inline(always)]
    fn mills_variable(t: Self) -> Self {
        t
    }
    #[inline(always)]
    fn refine_quantile(z: Self, _p: Self) -> Self {
        z
    }
    #[inline(always)]
    fn polynomial(self, coefficients: &[Self]) -> Self {
        horner(self, coefficients, 1)
    }
    #[inline(always)]
    fn tail_pair(y1: Self, y2: Self) -> (Self, Self) {
        option::tail_pair(y1, y2, option::tail_parts)
    }
    #[inline(always)]
    fn bell_curve(self) -> Self {
        option::bell(self)
    }
}

/// Bits of 1 and of the square root of 1/2.
const ONE_32: u32 = 0x3F80_0000;
const SQRT_HALF_32: u32 = 0x3F35_04F3;
const ONE_64: u64 = 0x3FF0_0000_0000_0000;
const SQRT_HALF_64: u64 = 0x3FE6_A09E_667F_3BCD;

impl Float for f64 {
    const TABLES: Tables<f64> = super::f64_tables::TABLES;

    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn from_small(n: i32) -> Self {
        f64::from(n)
    }
    #[inline(always)]
    fn scale_by(self, shifted: Self) -> Self {
        f64::from_bits(self.to_bits().wrapping_add(shifted.to_bits() << 52))
    }
    #[inline(always)]
    fn split(self) -> (Self, Self, Self) {
        let bits = self.to_bits().wrapping_add(ONE_64 - SQRT_HALF_64);
        let exponent = bits >> 52;
        let m = f64::from_bits((bits & 0x000F_FFFF_FFFF_FFFF) + SQRT_HALF_64);
        // Integer to float through the last digits of 2^52, because AVX2 has no conversion from 64 bits.
        let two_52 = f64::from_bits(0x4330_0000_0000_0000);
        let k = f64::from_bits(0x4330_0000_0000_0000 | exponent) - (two_52 + 1023.0);
        (m, k, f64::from_bits(2046_u64.wrapping_sub(exponent) << 52))
    }
    #[inline(always)]
    fn flip_sign(self, word: u32) -> Self {
        f64::from_bits(self.to_bits() ^ (u64::from(word & 0x8000_0000) << 32))
    }
    #[inline(always)]
    fn upper_half(self) -> Self {
        f64::from_bits(self.to_bits() & 0xFFFF_FFFF_F800_0000)
    }
    #[inline(always)]
    fn magnitude(self) -> Self {
        f64::from_bits(self.to_bits() & 0x7FFF_FFFF_FFFF_FFFF)
    }
    // Hardware division and square root: correctly rounded on every CPU, and f64 has no GPU twin.
    #[inline(always)]
    fn reciprocal(self) -> Self {
        1.0 / self
    }
    #[inline(always)]
    fn reciprocal_root(self) -> Self {
        1.0 / f64::sqrt(self)
    }
    #[inline(always)]
    fn root(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn mills_variable(t: Self) -> Self {
        1.0 - (t + t)
    }
    #[inline(always)]
    fn refine_quantile(z: Self, p: Self) -> Self {
        normal::halley_step(z, p)
    }
    #[inline(always)]
    fn polynomial(self, coefficients: &[Self]) -> Self {
        even_odd(self, coefficients)
    }
    #[inline(always)]
    fn tail_pair(y1: Self, y2: Self) -> (Self, Self) {
        option::tail_pair(y1, y2, option::tail_parts_f64)
    }
    #[inline(always)]
    fn bell_curve(self) -> Self {
        option::bell_f64(self)
    }
}
