//! Arguments, errors, and what is claimed of them.

/// How an error is counted.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Spacing of `f32` around the right answer.
    Ulp32,
    /// Spacing of `f64` around the right answer.
    Ulp64,
    Relative,
    Absolute,
}

impl Unit {
    fn size(self, right: f64) -> f64 {
        let power_of_two = f64::from_bits(right.to_bits() & 0x7FF0_0000_0000_0000);
        match self {
            Self::Ulp32 => power_of_two * f64::from(f32::EPSILON),
            Self::Ulp64 => power_of_two * f64::EPSILON,
            Self::Relative => right.abs(),
            Self::Absolute => 1.0,
        }
    }
}

/// The largest error that a function may have.
pub struct Claim {
    pub name: &'static str,
    pub most: f64,
    pub unit: Unit,
}

/// Holds the claim over all arguments; one wrong answer among them is seen.
#[track_caller]
pub fn holds(claim: &Claim, arguments: &[f64], got: impl Fn(f64) -> f64, right: impl Fn(f64) -> f64) {
    let Claim { name, most, unit } = *claim;
    assert!(arguments.len() > 5, "{name}: there are arguments");
    let (error, at) = worst(unit, arguments, &got, &right);
    eprintln!("{name}: {error:.3e} of {most:.3e} {unit:?} at {at:e}, {} arguments", arguments.len());
    assert!(error <= most, "{name}: error {error:e} {unit:?} at {at:e}, at most {most:e}");
    // Not in the middle, where a sweep over both signs has its 0.
    let chosen = arguments.len() / 3;
    let some = &arguments[chosen - 1..=chosen + 1];
    let wrong_at = arguments[chosen];
    let wrong = |x: f64| {
        let off = if x == wrong_at { 3.0 * most * unit.size(right(x)) } else { 0.0 };
        got(x) + off
    };
    assert!(worst(unit, some, wrong, &right).0 > most, "{name}: negative control");
}

/// The largest error and its argument. An answer that is not a number is infinitely wrong.
pub fn worst(
    unit: Unit,
    arguments: &[f64],
    got: impl Fn(f64) -> f64,
    right: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let mut worst = (0.0, arguments[0]);
    for &x in arguments {
        let (got, right) = (got(x), right(x));
        let error = if got == right { 0.0 } else { (got - right).abs() / unit.size(right) };
        if !(error <= worst.0) {
            worst = (if error.is_nan() { f64::INFINITY } else { error }, x);
        }
    }
    worst
}

/// Every so many bit patterns of positive numbers, an even grid, and both ends.
fn positive(low: f64, high: f64, bits: impl Iterator<Item = f64>) -> Vec<f64> {
    const GRID: u32 = 200_003;
    let grid = (1..GRID).map(|i| low + (high - low) * (f64::from(i) / f64::from(GRID)));
    bits.chain(grid).chain([low, high]).collect()
}

/// Positive `f32`: every 1009th of all there are between, a grid, and both ends.
pub fn sweep_f32(low: f32, high: f32) -> Vec<f64> {
    let bits = (low.to_bits()..high.to_bits()).step_by(1009).map(|bits| f64::from(f32::from_bits(bits)));
    let all = positive(low.into(), high.into(), bits);
    all.into_iter().map(|x| f64::from(x as f32)).collect()
}

/// Positive `f64`: some 400,000 of all there are between, with their low digits, and both ends.
pub fn sweep_f64(low: f64, high: f64) -> Vec<f64> {
    let stride = ((high.to_bits() - low.to_bits()) / 200_003) | 1;
    let bits = (low.to_bits()..high.to_bits()).step_by(stride as usize).map(f64::from_bits);
    positive(low, high, bits)
}

/// The arguments of both signs: `low` and `high` bound the magnitude.
pub fn both_signs(low: Vec<f64>, high: Vec<f64>) -> Vec<f64> {
    low.into_iter().map(|x| -x).chain([0.0]).chain(high).collect()
}

/// Words at which carries, signs and quadrants change, and their complements.
pub fn edge_words() -> Vec<u32> {
    let powers = (0..32).map(|k| 1u32 << k);
    let near = powers.flat_map(|power| [power - 1, power, power + 1]);
    near.chain([0xAAAA_AAAA, 0x9E37_79B9, 0x6000_0000, 0x5FFF_FFFF]).flat_map(|word| [word, !word]).collect()
}

/// Words as numbers: the edges, and every 4099th.
pub fn words() -> Vec<f64> {
    edge_words().into_iter().chain((0..u32::MAX).step_by(4099)).map(f64::from).collect()
}
