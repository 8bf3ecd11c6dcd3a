//! Every dynamics against the closed form of its characteristic function and moments.
//!
//! The joint law of all log returns, volatility levels and bases at one time is known: a Gaussian
//! part, and compound Poisson sums in which a jump at time `s` before the horizon has left
//! `exp(-kappa s)` of its shift of the level. Its characteristic function at some arguments tests
//! everything at once, correlations of jumps and levels included.

use rayon::prelude::*;
use shortfall::engine::Job;
use shortfall::instrument::Kind;
use shortfall::market::{Asset, Correlation, JumpSize, Jumps, Market};
use shortfall::scenario::Precision;

use crate::fixture::{AnyCube, BOTH, DAY, Setup, asset, days, kou, market, merton, moving_volatility};
use crate::score::{Sample, Scores};

const PATHS: u64 = 200_003;

#[derive(Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    const ONE: Self = Self { re: 1.0, im: 0.0 };

    fn turn(angle: f64) -> Self {
        Self { re: angle.cos(), im: angle.sin() }
    }

    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn times(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }

    fn scaled(self, factor: f64) -> Self {
        Self { re: self.re * factor, im: self.im * factor }
    }

    fn exp(self) -> Self {
        Self::turn(self.im).scaled(self.re.exp())
    }

    /// `a / (a - i u)`, the characteristic function of an exponential of rate `a`.
    fn exponential(rate: f64, u: f64) -> Self {
        let size = rate * rate + u * u;
        Self { re: rate * rate / size, im: rate * u / size }
    }
}

/// Arguments of one asset's log return, level and basis.
type Argument = [f64; 3];

fn jump_size(size: JumpSize, u: f64) -> Complex {
    match size {
        JumpSize::Merton { mean, sd } => Complex::turn(u * mean).scaled((-0.5 * (u * sd).powi(2)).exp()),
        JumpSize::Kou { up_probability, up_rate, down_rate } => Complex::exponential(up_rate, u)
            .scaled(up_probability)
            .plus(Complex::exponential(down_rate, -u).scaled(1.0 - up_probability)),
    }
}

/// `(1 - exp(-k t)) / k`.
fn decayed(k: f64, t: f64) -> f64 {
    if k == 0.0 { t } else { -(-k * t).exp_m1() / k }
}

fn drift(market: &Market, asset: &Asset) -> f64 {
    let growth = |jumps: Option<Jumps>, loading: f64| {
        jumps.map_or(0.0, |j| j.intensity_annual * (mean_exponential(j.size, loading) - 1.0))
    };
    asset.drift_annual
        - 0.5 * asset.volatility_annual.powi(2)
        - growth(asset.own_jumps, 1.0)
        - growth(market.common_jumps, asset.common_jump_loading)
}

/// `E[exp(c J)]`, on its own: not the engine's compensator.
fn mean_exponential(size: JumpSize, c: f64) -> f64 {
    match size {
        JumpSize::Merton { mean, sd } => (c * mean + 0.5 * c * c * sd * sd).exp(),
        JumpSize::Kou { up_probability: p, up_rate, down_rate } => {
            p / (1.0 - c / up_rate) + (1.0 - p) / (1.0 + c / down_rate)
        }
    }
}

/// Variance of `sum u x + w y + b q` from the Gaussian part.
fn gaussian_variance(market: &Market, u: &[Argument], t: f64) -> f64 {
    let mut variance = 0.0;
    for (i, a) in market.assets.iter().enumerate() {
        for (j, b) in market.assets.iter().enumerate() {
            let rho = market.correlation.get(i, j);
            variance += u[i][0] * u[j][0] * rho * a.volatility_annual * b.volatility_annual * t;
            if let Some(level) = b.implied_volatility {
                let k = level.mean_reversion_annual;
                let shared = rho * level.spot_correlation * a.volatility_annual * level.volatility_annual;
                variance += 2.0 * u[i][0] * u[j][1] * shared * decayed(k, t);
                if i == j {
                    variance += (u[j][1] * level.volatility_annual).powi(2) * decayed(2.0 * k, t);
                }
            }
        }
        variance += (u[i][2] * a.basis_volatility_annual).powi(2) * t;
    }
    variance
}

/// `(1/t) int_0^t (E[exp(i (u L J + w a exp(-kappa s)))] - 1) ds` of one source of jumps: `loads` is
/// `(argument of J, argument of each shift, its reversion)`.
fn jump_exponent(jumps: Jumps, argument: f64, shifts: &[(f64, f64)], t: f64) -> Complex {
    const HALVES: u32 = 64;
    let size = jump_size(jumps.size, argument);
    let at = |s: f64| {
        let shift: f64 = shifts.iter().map(|(w, k)| w * (-k * s).exp()).sum();
        size.times(Complex::turn(shift))
    };
    let weight = |i: u32| if i == 0 || i == HALVES { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    let points = (0..=HALVES).map(|i| at(t * f64::from(i) / f64::from(HALVES)).scaled(weight(i)));
    let mean = points.fold(Complex { re: 0.0, im: 0.0 }, Complex::plus).scaled(1.0 / f64::from(3 * HALVES));
    mean.plus(Complex::ONE.scaled(-1.0)).scaled(jumps.intensity_annual * t)
}

fn characteristic(market: &Market, u: &[Argument], t: f64) -> Complex {
    let mut exponent = Complex { re: -0.5 * gaussian_variance(market, u, t), im: 0.0 };
    let reversion = |asset: &Asset| asset.implied_volatility.map_or(0.0, |d| d.mean_reversion_annual);
    let mut common = (0.0, Vec::new());
    for (asset, u) in market.assets.iter().zip(u) {
        exponent.im += u[0] * drift(market, asset) * t;
        let shifts = asset.implied_volatility.map_or([0.0; 2], |d| [d.own_jump_shift, d.common_jump_shift]);
        if let Some(own) = asset.own_jumps {
            let shift = [(u[1] * shifts[0], reversion(asset))];
            exponent = exponent.plus(jump_exponent(own, u[0], &shift, t));
        }
        common.0 += u[0] * asset.common_jump_loading;
        common.1.push((u[1] * shifts[1], reversion(asset)));
    }
    if let Some(jumps) = market.common_jumps {
        exponent = exponent.plus(jump_exponent(jumps, common.0, &common.1, t));
    }
    exponent.exp()
}

/// Factors of every asset at one observation, `[asset][factor][path]`.
fn factors(cube: &AnyCube, job: &Job, observation: usize) -> Vec<[Vec<f64>; 3]> {
    (0..job.assets).map(|a| [0, 1, 2].map(|k| cube.factor(job, observation, a, k, PATHS))).collect()
}

fn empirical(factors: &[[Vec<f64>; 3]], u: &[Argument]) -> [Sample; 2] {
    let angle = |path: usize| -> f64 {
        let terms = factors.iter().zip(u).flat_map(|(f, u)| f.iter().zip(u));
        terms.filter(|(_, u)| **u != 0.0).map(|(values, u)| u * values[path]).sum()
    };
    let angles: Vec<f64> = (0..PATHS as usize).into_par_iter().map(angle).collect();
    [Sample::of(angles.iter().map(|a| a.cos())), Sample::of(angles.iter().map(|a| a.sin()))]
}

/// Arguments in inverse standard deviations: each factor alone near, at and beyond the scale of its
/// law, and mixed. Levels of two assets are not mixed; see `levels_of_two_assets_in_one_step`.
fn arguments(factors: &[[Vec<f64>; 3]]) -> Vec<Vec<Argument>> {
    let sd = |values: &Vec<f64>| {
        let sample = Sample::of(values.iter().copied());
        sample.error() * (PATHS as f64).sqrt()
    };
    let inverse = |sd: f64| if sd > 0.0 { 1.0 / sd } else { 0.0 };
    let scale: Vec<Argument> = factors.iter().map(|f| [0, 1, 2].map(|k| inverse(sd(&f[k])))).collect();
    let none = vec![[0.0; 3]; factors.len()];
    let mut all = Vec::new();
    for asset in 0..factors.len() {
        for factor in 0..3 {
            for multiple in [0.3, 1.0, 2.0, 5.0] {
                let mut u = none.clone();
                u[asset][factor] = multiple * scale[asset][factor];
                all.push(u);
            }
        }
        for (x, y, q) in [(1.0, 1.0, 0.0), (1.0, -1.0, 0.5), (0.5, 2.0, 0.0), (3.0, 0.7, -0.3)] {
            let mut u = none.clone();
            for (other, u) in u.iter_mut().enumerate() {
                let part = if other % 2 == 0 { x } else { -0.6 * x };
                u[0] = part * scale[other][0] / factors.len() as f64;
            }
            u[asset][1] = y * scale[asset][1];
            u[asset][2] = q * scale[asset][2];
            all.push(u);
        }
    }
    all.retain(|u| u.iter().flatten().any(|&x| x != 0.0));
    all
}

/// Compares the characteristic function, the means, the covariances that a Gaussian part and jumps
/// make, and the martingale, at the horizon.
fn compare(scores: &mut Scores, truth: &Market, setup: &Setup, precision: Precision, place: &str) {
    let job = setup.job();
    let cube = AnyCube::new(&job, precision, PATHS);
    let last = job.observations.len() - 1;
    let t = job.observations[last].years;
    let factors = factors(&cube, &job, last);
    for u in arguments(&factors) {
        let phi = characteristic(truth, &u, t);
        let [cos, sin] = empirical(&factors, &u);
        scores.add(format!("{place} {precision} cos {u:?}"), cos.mean(), cos.error(), phi.re);
        scores.add(format!("{place} {precision} sin {u:?}"), sin.mean(), sin.error(), phi.im);
    }
    for (asset, factors) in truth.assets.iter().zip(&factors) {
        let growth = Sample::of(factors[0].iter().map(|x| x.exp_m1()));
        let known = (asset.drift_annual * t).exp_m1();
        scores.add(format!("{place} {precision} martingale"), growth.mean(), growth.error(), known);
    }
    moments(scores, truth, &factors, t, &format!("{place} {precision}"));
}

/// Means and second moments of every asset's factors: jumps of mean `m` and second moment `s` add
/// `lambda t m` to the mean and `lambda t s` to the variance.
fn moments(scores: &mut Scores, market: &Market, factors: &[[Vec<f64>; 3]], t: f64, place: &str) {
    let size_moments = |size: JumpSize| match size {
        JumpSize::Merton { mean, sd } => (mean, mean * mean + sd * sd),
        JumpSize::Kou { up_probability: p, up_rate: a, down_rate: b } => {
            (p / a - (1.0 - p) / b, 2.0 * p / (a * a) + 2.0 * (1.0 - p) / (b * b))
        }
    };
    for (i, asset) in market.assets.iter().enumerate() {
        let dynamics = asset.implied_volatility;
        let k = dynamics.map_or(0.0, |d| d.mean_reversion_annual);
        let (own_shift, common_shift) =
            dynamics.map_or((0.0, 0.0), |d| (d.own_jump_shift, d.common_jump_shift));
        let mut mean = [drift(market, asset) * t, 0.0, 0.0];
        let unit = |factor: usize| {
            let mut u = vec![[0.0; 3]; market.assets.len()];
            u[i][factor] = 1.0;
            u
        };
        let mut second = [0, 1, 2].map(|factor| gaussian_variance(market, &unit(factor), t));
        let mut both = unit(0);
        both[i][1] = 1.0;
        let mut covariance = 0.5 * (gaussian_variance(market, &both, t) - second[0] - second[1]);
        let sources = [
            (asset.own_jumps, 1.0, own_shift),
            (market.common_jumps, asset.common_jump_loading, common_shift),
        ];
        for (jumps, loading, shift) in sources {
            let Some(jumps) = jumps else { continue };
            let (first, square) = size_moments(jumps.size);
            mean[0] += jumps.intensity_annual * t * loading * first;
            mean[1] += jumps.intensity_annual * shift * decayed(k, t);
            second[0] += jumps.intensity_annual * t * loading * loading * square;
            second[1] += jumps.intensity_annual * shift * shift * decayed(2.0 * k, t);
            covariance += jumps.intensity_annual * loading * first * shift * decayed(k, t);
        }
        let centred = |factor: usize| factors[i][factor].iter().map(move |v| v - mean[factor]);
        for factor in 0..3 {
            let sample = Sample::of(factors[i][factor].iter().copied());
            scores.add(format!("{place} mean {i} {factor}"), sample.mean(), sample.error(), mean[factor]);
            let sample = Sample::of(centred(factor).map(|v| v * v));
            scores.add(
                format!("{place} variance {i} {factor}"),
                sample.mean(),
                sample.error(),
                second[factor],
            );
        }
        let product = Sample::of(centred(0).zip(centred(1)).map(|(x, y)| x * y));
        scores.add(format!("{place} covariance {i}"), product.mean(), product.error(), covariance);
        let product = Sample::of(centred(0).zip(centred(2)).map(|(x, q)| x * q));
        scores.add(format!("{place} basis covariance {i}"), product.mean(), product.error(), 0.0);
    }
}

fn three_correlated() -> Correlation {
    Correlation::new(3, vec![1.0, 0.7, -0.4, 0.7, 1.0, 0.2, -0.4, 0.2, 1.0]).expect("positive definite")
}

fn three(volatilities: [f64; 3]) -> Market {
    let mut three = market(volatilities.map(|v| asset(100.0, v)).to_vec());
    three.correlation = three_correlated();
    three
}

fn with_jumps(own: [Option<Jumps>; 3], common: Option<Jumps>) -> Market {
    let mut jumping = three([0.5, 0.8, 0.3]);
    let loadings = [1.0, 1.3, -0.5];
    for (asset, (own, loading)) in jumping.assets.iter_mut().zip(own.into_iter().zip(loadings)) {
        asset.own_jumps = own;
        asset.common_jump_loading = loading;
    }
    jumping.common_jumps = common;
    jumping
}

fn with_levels(mut still: Market) -> Market {
    for (i, asset) in still.assets.iter_mut().enumerate() {
        let mut dynamics = moving_volatility([0.0, 8.0, 60.0][i], [0.8, 1.2, 1.5][i], [-0.7, 0.4, -0.95][i]);
        dynamics.common_jump_shift = [0.2, 0.1, -0.15][i];
        dynamics.own_jump_shift = [0.1, 0.3, 0.25][i];
        asset.implied_volatility = Some(dynamics);
        asset.basis_volatility_annual = [0.1, 0.0, 0.4][i];
    }
    still
}

/// Every dynamics, by name.
fn all_dynamics() -> Vec<(&'static str, Market)> {
    let own_merton = [merton(40.0, -0.02, 0.05), merton(5.0, 0.1, 0.02), merton(200.0, 0.0, 0.01)];
    let own_kou = [kou(30.0, 0.4, 25.0, 20.0), kou(10.0, 0.0, 10.0, 8.0), kou(100.0, 1.0, 60.0, 50.0)];
    let mut drifting = three([0.6, 1.2, 0.05]);
    drifting.assets[0].drift_annual = 2.0;
    drifting.assets[1].drift_annual = -1.0;
    vec![
        ("diffusion", drifting),
        ("own Merton", with_jumps(own_merton, None)),
        ("common Merton", with_jumps([None; 3], merton(60.0, -0.03, 0.04))),
        ("own Kou", with_jumps(own_kou, None)),
        ("common Kou", with_jumps([None; 3], kou(50.0, 0.3, 20.0, 15.0))),
        ("levels and bases", with_levels(three([0.6, 0.9, 0.4]))),
        ("everything", with_levels(with_jumps(own_merton, merton(80.0, -0.03, 0.04)))),
        ("everything, Kou", with_levels(with_jumps(own_kou, kou(50.0, 0.3, 20.0, 15.0)))),
    ]
}

fn setup(market: Market, steps: u32, seed: u64) -> Setup {
    let mut setup = Setup::new(market, 10.0, &[0.99], seed);
    setup.steps = steps;
    setup.exact_steps = steps == 1;
    setup.account(&[(0, Kind::Spot, 1.0)]);
    setup
}

#[test]
fn one_step_has_the_closed_form() {
    let mut scores = Scores::new("dynamics in one step");
    for (seed, (name, market)) in all_dynamics().into_iter().enumerate() {
        let setup = setup(market.clone(), 1, seed as u64);
        assert_eq!(setup.job().steps(), 1);
        for precision in BOTH {
            compare(&mut scores, &market, &setup, precision, name);
        }
    }
    scores.finish();
}

#[test]
fn many_steps_have_the_closed_form() {
    let mut scores = Scores::new("dynamics in 24 steps");
    for (seed, (name, market)) in all_dynamics().into_iter().enumerate() {
        let setup = setup(market.clone(), 24, 50 + seed as u64);
        assert_eq!(setup.job().steps(), 24);
        compare(&mut scores, &market, &setup, BOTH[seed % 2], name);
    }
    scores.finish();
}

/// Each parameter of the full dynamics a little wrong: every one must be missed by something.
#[test]
fn wrong_dynamics_are_seen() {
    type Change = (&'static str, fn(&mut Market));
    let changes: [Change; 9] = [
        ("drift", |m| m.assets[2].drift_annual += 0.2),
        ("volatility", |m| m.assets[0].volatility_annual *= 1.05),
        ("correlation", |m| m.correlation = Correlation::identity(3)),
        ("own intensity", |m| m.assets[2].own_jumps.as_mut().expect("jumps").intensity_annual *= 1.1),
        ("loading", |m| m.assets[1].common_jump_loading *= -1.0),
        ("reversion", |m| {
            m.assets[2].implied_volatility.as_mut().expect("level").mean_reversion_annual *= 1.1
        }),
        ("leverage", |m| m.assets[0].implied_volatility.as_mut().expect("level").spot_correlation *= 0.9),
        ("shift", |m| m.assets[1].implied_volatility.as_mut().expect("level").own_jump_shift *= 0.8),
        ("basis", |m| m.assets[0].basis_volatility_annual *= 1.02),
    ];
    let (_, truth) = all_dynamics().swap_remove(6);
    for (name, change) in changes {
        let mut wrong = truth.clone();
        change(&mut wrong);
        let mut scores = Scores::new(name);
        compare(&mut scores, &truth, &setup(wrong, 1, 9), Precision::F32, name);
        scores.finish_wrong();
    }
}

/// What one observation adds to the one before is independent of it and has the law of the time
/// between; a generator that repeated itself from step to step would not.
#[test]
fn increments_are_independent() {
    let (_, truth) = all_dynamics().swap_remove(2);
    let mut setup = setup(truth.clone(), 1, 77);
    setup.levels.extend(crate::fixture::levels(4.0, &[0.99]));
    let job = setup.job();
    assert_eq!(job.observations.len(), 2);
    let mut scores = Scores::new("increments");
    for precision in BOTH {
        let cube = AnyCube::new(&job, precision, PATHS);
        let (first, second) = (factors(&cube, &job, 0), factors(&cube, &job, 1));
        for (u, v) in [(4.0, 4.0), (9.0, -7.0), (-3.0, 12.0)] {
            let [u1, u2] = [u, v].map(|u| vec![[u, 0.0, 0.0], [-u, 0.0, 0.0], [0.5 * u, 0.0, 0.0]]);
            let phi = characteristic(&truth, &u1, days(4.0).get()).times(characteristic(
                &truth,
                &u2,
                days(6.0).get(),
            ));
            let angle = |path: usize| -> f64 {
                (0..3)
                    .map(|a| {
                        let (x1, x2) = (first[a][0][path], second[a][0][path]);
                        u1[a][0] * x1 + u2[a][0] * (x2 - x1)
                    })
                    .sum()
            };
            let angles: Vec<f64> = (0..PATHS as usize).map(angle).collect();
            let cos = Sample::of(angles.iter().map(|a| a.cos()));
            let sin = Sample::of(angles.iter().map(|a| a.sin()));
            scores.add(format!("cos {u} {v}"), cos.mean(), cos.error(), phi.re);
            scores.add(format!("sin {u} {v}"), sin.mean(), sin.error(), phi.im);
        }
    }
    scores.finish();
}

/// In one step the levels of two assets share a shock through their own loadings, so that their
/// covariance is `c (1 - e^-at)/a (1 - e^-bt)/b / t` where the process has `c (1 - e^-(a+b)t)/(a+b)`.
/// Each level alone, and each with any log return, is exact; this pair is what one step gives up, a
/// part of `(a - b)^2 t^2 / 12 + ...` where reversion is slow against the horizon.
#[test]
fn levels_of_two_assets_in_one_step() {
    let mut two = market(vec![asset(1.0, 0.5), asset(1.0, 0.5)]);
    two.correlation = Correlation::new(2, vec![1.0, 0.8, 0.8, 1.0]).expect("positive definite");
    let (a, b) = (20.0, 60.0);
    two.assets[0].implied_volatility = Some(moving_volatility(a, 1.0, -0.9));
    two.assets[1].implied_volatility = Some(moving_volatility(b, 1.0, -0.8));
    let (t, shared) = (10.0 * DAY, 0.9 * 0.8 * 0.8);
    let process = shared * decayed(a + b, t);
    let mut scores = Scores::new("levels of two assets");
    for (steps, known) in [(1, shared * decayed(a, t) * decayed(b, t) / t), (200, process)] {
        let setup = setup(two.clone(), steps, 800);
        let job = setup.job();
        let cube = AnyCube::new(&job, Precision::F32, PATHS);
        let [y1, y2] = [0, 1].map(|i| cube.factor(&job, 0, i, 1, PATHS));
        let product = Sample::of(y1.iter().zip(&y2).map(|(a, b)| a * b));
        scores.add(format!("{steps} steps"), product.mean(), product.error(), known);
    }
    scores.finish();
}
