//! Lanes against single numbers, bit for bit, under every instruction set.

use std::marker::PhantomData;

use super::measure::edge_words;
use crate::numeric::{Float, Lanes, Real, Word, philox4x32_10};

/// Arguments of each function; odd, so that the last row is not full of fresh ones.
const COUNT: usize = 300_007;
const FUNCTIONS: usize = 19;

/// Arguments by domain.
struct Arguments<T> {
    words: [Vec<u32>; 2],
    /// Within the clamps of the exponentials and a little beyond.
    exponents: Vec<T>,
    /// `2^-60` to `2^60`, so that products of two stay in every domain.
    positive: Vec<T>,
    /// Of the normal law, from 0 up.
    magnitudes: Vec<T>,
}

fn arguments<T: Float>() -> Arguments<T> {
    let edges = edge_words();
    let draws = |stream: u32| -> Vec<u32> {
        let random = (0..COUNT as u32).map(|i| philox4x32_10([i, stream, 0, 0], [1, 2])[0]);
        random.enumerate().map(|(i, word)| *edges.get(i * (stream as usize + 1)).unwrap_or(&word)).collect()
    };
    let unit = |word: &u32| f64::from(*word) / 4_294_967_296.0;
    let (a, b, c) = (draws(0), draws(1), draws(2));
    Arguments {
        exponents: a.iter().map(|word| T::constant((unit(word) - 0.5) * 180.0)).collect(),
        positive: b.iter().map(|word| T::constant(((unit(word) - 0.5) * 120.0).exp2())).collect(),
        magnitudes: c.iter().map(|word| T::constant(unit(word) * 14.0)).collect(),
        words: [b, c],
    }
}

/// Every function of `R` over all arguments, and each lane's number. Lanes beyond the end repeat the last.
#[inline(always)]
fn every_function<R: Real>(arguments: &Arguments<R::Scalar>) -> Vec<R::Scalar> {
    let mut results = vec![R::Scalar::default(); FUNCTIONS * COUNT];
    for start in (0..COUNT).step_by(R::LANES) {
        let at = |lane: usize| (start + lane).min(COUNT - 1);
        let mut words = [R::Word::splat(0); 2];
        let [mut x, mut p, mut y] = [R::default(); 3];
        for lane in 0..R::LANES {
            words[0].set_lane(lane, arguments.words[0][at(lane)]);
            words[1].set_lane(lane, arguments.words[1][at(lane)]);
            x.set_lane(lane, arguments.exponents[at(lane)]);
            p.set_lane(lane, arguments.positive[at(lane)]);
            y.set_lane(lane, arguments.magnitudes[at(lane)]);
        }
        let (cos, sin) = R::cos_sin_turn(words[1]);
        let (first, second) = R::normal_pair(words[0], words[1]);
        let (mills1, mills2) = R::mills_pair(y, p.min(y));
        let all: [R; FUNCTIONS] = [
            x.exp(),
            x.expm1(),
            p.recip(),
            p.rsqrt(),
            p.sqrt(),
            p.log(),
            p.log1p(),
            y.mills(),
            mills1 + mills2,
            y.min(R::constant(13.0)).bell(),
            x.exp_neg_half_square(),
            x.normal_cdf(),
            R::uniform(words[0]),
            R::neg_log_uniform(words[0]),
            cos,
            sin,
            first,
            x.if_negative(second, p.max(x.abs() - y)),
            R::inverse_normal_cdf(words[0]),
        ];
        for (function, value) in all.into_iter().enumerate() {
            for lane in 0..R::LANES.min(COUNT - start) {
                results[function * COUNT + start + lane] = value.lane(lane);
            }
        }
    }
    results
}

struct Every<'a, R: Real>(&'a Arguments<R::Scalar>, PhantomData<R>);

impl<R: Real> pulp::WithSimd for Every<'_, R> {
    type Output = Vec<R::Scalar>;
    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, _: S) -> Self::Output {
        every_function::<R>(self.0)
    }
}

/// The instruction sets of this processor.
fn instruction_sets() -> Vec<pulp::Arch> {
    let mut all = vec![pulp::Arch::Scalar];
    #[cfg(target_arch = "x86_64")]
    all.extend(pulp::x86::V3::try_new().map(pulp::Arch::V3));
    all.push(pulp::Arch::new());
    eprintln!("instruction sets: {all:?}");
    all
}

fn differing<T: Float>(a: &[T], b: &[T]) -> usize {
    assert_eq!((a.len(), b.len()), (FUNCTIONS * COUNT, FUNCTIONS * COUNT));
    a.iter().zip(b).filter(|(a, b)| a.to_f64().to_bits() != b.to_f64().to_bits()).count()
}

fn lanes_are_scalars<T: Float, const N: usize>() {
    let mut arguments = arguments::<T>();
    let expected = every_function::<T>(&arguments);
    assert!(expected.iter().all(|x| x.to_f64().is_finite()));
    for instructions in instruction_sets() {
        let single = instructions.dispatch(Every::<T>(&arguments, PhantomData));
        assert_eq!(differing(&single, &expected), 0, "one lane");
        let lanes = instructions.dispatch(Every::<Lanes<T, N>>(&arguments, PhantomData));
        assert_eq!(differing(&lanes, &expected), 0, "{N} lanes");
    }
    // Negative control: one argument's neighbour is seen in the functions of that argument.
    arguments.words[0][COUNT / 2] ^= 0x100;
    let other = every_function::<Lanes<T, N>>(&arguments);
    assert!((3..=5).contains(&differing(&other, &expected)));
}

#[test]
fn lanes_of_f32_are_the_bits_of_single_numbers() {
    lanes_are_scalars::<f32, 16>();
}

#[test]
fn lanes_of_f64_are_the_bits_of_single_numbers() {
    lanes_are_scalars::<f64, 8>();
}

#[test]
fn a_row_of_one_is_a_single_number() {
    lanes_are_scalars::<f32, 1>();
}

#[test]
fn zero_of_either_sign_is_not_negative() {
    for zero in [0.0, -0.0] {
        assert_eq!(<f32 as Real>::if_negative(zero, 1.0, 2.0), 2.0);
        assert_eq!(
            Lanes::<f64, 8>::splat(f64::from(zero)).if_negative(Lanes([1.0; 8]), Lanes([2.0; 8])).0,
            [2.0; 8]
        );
    }
    assert_eq!(<f32 as Real>::if_negative(-f32::MIN_POSITIVE, 1.0, 2.0), 1.0);
}
