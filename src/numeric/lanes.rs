//! Rows of lanes. Plain loops over arrays: the compiler turns each into vector
//! instructions of whatever width the calling function was compiled for.

use std::ops::{Add, Mul, Neg, Sub};

use super::float::Float;
use super::real::Real;
use super::word::WordLanes;

/// `N` numbers side by side, worked on in step; lane `i` of every result is
/// what the scalar function gives for lane `i` of the arguments, bit for bit.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(align(64))]
pub struct Lanes<T, const N: usize>(pub [T; N]);

impl<T: Float, const N: usize> Default for Lanes<T, N> {
    #[inline(always)]
    fn default() -> Self {
        Self([T::default(); N])
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident) => {
        impl<T: Float, const N: usize> $trait for Lanes<T, N> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                let mut out = self;
                for i in 0..N {
                    out.0[i] = out.0[i].$method(other.0[i]);
                }
                out
            }
        }
    };
}
operator!(Add, add);
operator!(Sub, sub);
operator!(Mul, mul);

impl<T: Float, const N: usize> Neg for Lanes<T, N> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        let mut out = self;
        for i in 0..N {
            out.0[i] = -out.0[i];
        }
        out
    }
}

macro_rules! of_one {
    ($($method:ident),*) => {
        $(#[inline(always)]
        fn $method(self) -> Self {
            let mut out = self;
            for i in 0..N {
                out.0[i] = Real::$method(out.0[i]);
            }
            out
        })*
    };
}

macro_rules! of_two {
    ($($method:ident),*) => {
        $(#[inline(always)]
        fn $method(self, other: Self) -> Self {
            let mut out = self;
            for i in 0..N {
                out.0[i] = Real::$method(out.0[i], other.0[i]);
            }
            out
        })*
    };
}

macro_rules! of_word {
    ($($method:ident),*) => {
        $(#[inline(always)]
        fn $method(word: WordLanes<N>) -> Self {
            let mut out = Self::default();
            for i in 0..N {
                out.0[i] = T::$method(word.0[i]);
            }
            out
        })*
    };
}

impl<T: Float, const N: usize> Real for Lanes<T, N> {
    type Word = WordLanes<N>;
    type Scalar = T;
    const LANES: usize = N;

    #[inline(always)]
    fn constant(x: f64) -> Self {
        Self([T::constant(x); N])
    }
    #[inline(always)]
    fn splat(x: T) -> Self {
        Self([x; N])
    }
    #[inline(always)]
    fn lane(self, index: usize) -> T {
        self.0[index]
    }
    #[inline(always)]
    fn set_lane(&mut self, index: usize, x: T) {
        self.0[index] = x;
    }
    // Whole arrays: a copy into zeroed lanes would go through the stack.
    #[inline(always)]
    fn load(slice: &[T]) -> Self {
        Self(*slice.first_chunk().expect("no fewer numbers than lanes"))
    }
    #[inline(always)]
    fn store(self, slice: &mut [T]) {
        *slice.first_chunk_mut().expect("no fewer numbers than lanes") = self.0;
    }

    of_one!(abs, recip, rsqrt, sqrt, exp, expm1, log, log1p, mills, bell, exp_neg_half_square, normal_cdf);
    of_two!(min, max);
    of_word!(uniform, neg_log_uniform, inverse_normal_cdf);

    #[inline(always)]
    fn if_negative(self, then: Self, otherwise: Self) -> Self {
        let mut out = self;
        for i in 0..N {
            out.0[i] = self.0[i].if_negative(then.0[i], otherwise.0[i]);
        }
        out
    }

    #[inline(always)]
    fn mills_pair(y1: Self, y2: Self) -> (Self, Self) {
        let mut out = (y1, y2);
        for i in 0..N {
            (out.0.0[i], out.1.0[i]) = T::mills_pair(y1.0[i], y2.0[i]);
        }
        out
    }

    #[inline(always)]
    fn cos_sin_turn(word: WordLanes<N>) -> (Self, Self) {
        let mut out = (Self::default(), Self::default());
        for i in 0..N {
            (out.0.0[i], out.1.0[i]) = T::cos_sin_turn(word.0[i]);
        }
        out
    }

    #[inline(always)]
    fn normal_pair(radius: WordLanes<N>, angle: WordLanes<N>) -> (Self, Self) {
        let mut out = (Self::default(), Self::default());
        for i in 0..N {
            (out.0.0[i], out.1.0[i]) = T::normal_pair(radius.0[i], angle.0[i]);
        }
        out
    }
}
