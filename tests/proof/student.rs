//! Student-t mixing: one variable for all assets of a group, so that their tails come together.

use shortfall::closed_form::expected_shortfall::distributions::t_copula_tail_dependence;
use shortfall::closed_form::special::{student_density, student_survival, student_upper_quantile};
use shortfall::instrument::Kind;
use shortfall::market::{Correlation, Market};
use shortfall::scenario::Precision;

use crate::fixture::{AnyCube, BOTH, DAY, Setup, asset, market, tail_group};
use crate::score::{Sample, Scores};
use crate::table::read;

const PATHS: u64 = 200_003;

/// Two groups of two assets: within a group one mixing variable, between groups none.
fn student_market(nu: [f64; 2], rho: f64) -> Market {
    let mut four = market((0..4).map(|_| asset(1.0, 0.5)).collect());
    four.tail_groups = nu.map(tail_group).to_vec();
    for (i, asset) in four.assets.iter_mut().enumerate() {
        asset.tail_group = Some(i / 2);
    }
    let one = |i: usize, j: usize| {
        if i == j {
            1.0
        } else if i / 2 == j / 2 {
            rho
        } else {
            0.0
        }
    };
    let values = (0..16).map(|k| one(k / 4, k % 4)).collect();
    four.correlation = Correlation::new(4, values).expect("positive definite");
    four
}

/// Shocks of unit variance, `[asset][path]`, from the log returns of one step.
fn shocks(market: &Market, precision: Precision, seed: u64, paths: u64) -> Vec<Vec<f64>> {
    let mut setup = Setup::new(market.clone(), 10.0, &[0.99], seed);
    setup.account(&[(0, Kind::Spot, 1.0)]);
    let job = setup.job();
    let cube = AnyCube::new(&job, precision, paths);
    let sd = 0.5 * (10.0 * DAY).sqrt();
    let shock = |asset: usize| {
        let x = cube.factor(&job, 0, asset, 0, paths);
        x.into_iter().map(|x| (x + 0.5 * sd * sd) / sd).collect()
    };
    (0..job.assets).map(shock).collect()
}

/// `E[exp(i u T)]` of a t with 3 or 5 degrees of freedom and unit variance.
fn student_characteristic(nu: f64, u: f64) -> f64 {
    let y = u.abs() * (nu - 2.0).sqrt();
    let polynomial = if nu == 3.0 { 1.0 + y } else { 1.0 + y + y * y / 3.0 };
    polynomial * (-y).exp()
}

#[test]
fn mixed_shocks_are_student() {
    let mut scores = Scores::new("Student-t shocks");
    let mut wrong = Scores::new("Student-t shocks of exchanged groups");
    let rho = 0.6;
    for (seed, precision) in BOTH.into_iter().enumerate() {
        let z = shocks(&student_market([3.0, 5.0], rho), precision, 600 + seed as u64, PATHS);
        for u in [0.2, 0.5, 1.0, 2.0, 4.0] {
            for asset in 0..4 {
                let nu = [3.0, 5.0][asset / 2];
                let cos = Sample::of(z[asset].iter().map(|z| (u * z).cos()));
                scores.add(format!("nu {nu} u {u}"), cos.mean(), cos.error(), student_characteristic(nu, u));
                wrong.add("", cos.mean(), cos.error(), student_characteristic(8.0 - nu, u));
                let sin = Sample::of(z[asset].iter().map(|z| (u * z).sin()));
                scores.add(format!("nu {nu} u {u} sin"), sin.mean(), sin.error(), 0.0);
            }
            // A sum in one group is a t again; a sum over groups is of independent ones.
            for group in 0..2 {
                let sd = (2.0 + 2.0 * rho).sqrt();
                let sum = z[2 * group].iter().zip(&z[2 * group + 1]).map(|(a, b)| (u * (a + b)).cos());
                let cos = Sample::of(sum);
                let known = student_characteristic([3.0, 5.0][group], u * sd);
                scores.add(format!("sum in group {group} u {u}"), cos.mean(), cos.error(), known);
            }
            let cos = Sample::of(z[0].iter().zip(&z[2]).map(|(a, b)| (u * (a + b)).cos()));
            let known = student_characteristic(3.0, u) * student_characteristic(5.0, u);
            scores.add(format!("sum over groups u {u}"), cos.mean(), cos.error(), known);
            let cos =
                Sample::of(z[0].iter().zip(&z[2]).map(|(a, b)| (u * a.abs()).cos() * (u * b.abs()).cos()));
            scores.add(format!("sizes over groups u {u}"), cos.mean(), cos.error(), known);
        }
        // Moments where they have standard errors: E|T| of nu 3 and 5, variance and kurtosis of 12 and 30.
        let pi = std::f64::consts::PI;
        for (asset, mean) in [(0, 2.0 / pi), (2, 4.0 / (3f64.sqrt() * pi))] {
            let size = Sample::of(z[asset].iter().map(|z| z.abs()));
            scores.add(format!("E|T| {asset}"), size.mean(), size.error(), mean);
        }
        let z = shocks(&student_market([12.0, 30.0], rho), precision, 610 + seed as u64, PATHS);
        for (asset, nu) in [(0, 12.0), (2, 30.0)] {
            let square = Sample::of(z[asset].iter().map(|z| z * z));
            scores.add(format!("variance nu {nu}"), square.mean(), square.error(), 1.0);
            let fourth = Sample::of(z[asset].iter().map(|z| z.powi(4)));
            scores.add(format!("kurtosis nu {nu}"), fourth.mean(), fourth.error(), 3.0 + 6.0 / (nu - 4.0));
            let product = Sample::of(z[asset].iter().zip(&z[asset + 1]).map(|(a, b)| a * b));
            scores.add(format!("correlation nu {nu}"), product.mean(), product.error(), rho);
        }
    }
    scores.finish();
    wrong.finish_wrong();
}

/// `P(both beyond the quantile of tail p) / p`. Given one shock `s` the other is a t with one degree
/// more, mean `rho s` and squared scale `(nu + s^2)(1 - rho^2)/(nu + 1)`; `s = q/w`.
fn joint_exceedance(nu: f64, rho: f64, p: f64) -> f64 {
    const HALVES: u32 = 2000;
    let q = student_upper_quantile(p, nu);
    let at = |w: f64| {
        if w == 0.0 {
            return 0.0;
        }
        let s = q / w;
        let scale = ((nu + s * s) * (1.0 - rho * rho) / (nu + 1.0)).sqrt();
        student_density(s, nu) * student_survival((q - rho * s) / scale, nu + 1.0) * s / w
    };
    let weight = |i: u32| if i == 0 || i == HALVES { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
    let sum: f64 = (0..=HALVES).map(|i| weight(i) * at(f64::from(i) / f64::from(HALVES))).sum();
    sum / f64::from(3 * HALVES) / p
}

#[test]
fn tails_come_together() {
    let mut scores = Scores::new("joint exceedances of a t");
    let mut wrong = Scores::new("joint exceedances without a common mixing variable");
    let mut rows = 0;
    for (seed, row) in read("t_copula_tail_dependence.csv", 21).into_iter().enumerate() {
        let (nu, rho) = (row.number("nu"), row.number("rho"));
        let limit = t_copula_tail_dependence(nu, rho).expect("valid");
        // The limit is reached like p^(2/nu).
        let at_limit = (joint_exceedance(nu, rho, 1e-12) / limit - 1.0).abs();
        assert!(nu > 8.0 || at_limit < 0.05, "{row}: {at_limit}");
        if nu <= 2.0 {
            continue;
        }
        rows += 1;
        let precision = BOTH[seed % 2];
        let z = shocks(&student_market([nu, nu], rho), precision, 700 + seed as u64, PATHS);
        for p in [0.05, 0.01, 0.001] {
            let q = student_upper_quantile(p, nu) * ((nu - 2.0) / nu).sqrt();
            for sign in [1.0, -1.0] {
                let both = |a: &[f64], b: &[f64]| {
                    Sample::of(
                        a.iter().zip(b).map(|(a, b)| f64::from(u8::from(sign * a > q && sign * b > q))),
                    )
                };
                let known = joint_exceedance(nu, rho, p) * p;
                // The binomial error of the truth: the sample's own is zero where there is no hit.
                let error = (known * (1.0 - known) / PATHS as f64).sqrt();
                let joint = both(&z[0], &z[1]);
                scores.add_rounded(
                    format!("{row} p {p} {sign}"),
                    joint.mean(),
                    error,
                    known,
                    1.0 / PATHS as f64,
                );
                wrong.add("", both(&z[0], &z[2]).mean(), error, known);
            }
        }
    }
    assert!(rows > 10);
    scores.finish();
    wrong.finish_wrong();
}
