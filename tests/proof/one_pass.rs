//! The tail in one pass against sorting the same losses.

use shortfall::engine::cpu::CpuEngine;
use shortfall::instrument::{Kind, Right, Settlement};
use shortfall::market::{Asset, Market};
use shortfall::risk::{Bracket, TailEstimate, exact};
use shortfall::scenario::Precision;

use crate::fixture::{LINEAR_PERPETUAL, Setup, asset, brackets, confidence, market, merton, option, tails};
use crate::tolerance::{ONE_BIN, ONE_PASS, ONE_PASS_ERROR};

const SPOT: f64 = 100.0;
const CONFIDENCES: [f64; 4] = [0.9, 0.975, 0.99, 0.999];
/// Paths: odd sizes, one block more or less, and one above a pilot.
const MANY: u64 = 10_000;
const SIZES: [u64; 6] = [1, 63, 64, 65, 345, 100_001];

fn jumpy() -> Market {
    market(vec![
        Asset { own_jumps: merton(20.0, -0.1, 0.2), ..asset(SPOT, 0.6) },
        asset(SPOT, 0.8),
        // For hedges: the perpetual moves a little beside its spot.
        Asset { basis_volatility_annual: 0.15, ..asset(SPOT, 0.7) },
    ])
}

type Book = (&'static str, Vec<(usize, Kind, f64)>);

/// Books of every character, by name.
fn setup() -> (Setup, Vec<&'static str>) {
    let mut setup = Setup::new(jumpy(), 5.0, &CONFIDENCES, 41);
    let expiring = |right, strike| option(right, strike, 2.0, Settlement::Linear, Some(0.7));
    let lasting = |right, strike| option(right, strike, 30.0, Settlement::Linear, Some(0.7));
    let books: [Book; 14] = [
        ("smooth", vec![(1, Kind::Spot, 1.0), (0, LINEAR_PERPETUAL, 0.3)]),
        ("heavy jump tail", vec![(0, Kind::Spot, 12.5)]),
        ("short gamma", vec![(0, lasting(Right::Call, 105.0), -3.0), (0, lasting(Right::Put, 95.0), -3.0)]),
        // Loses its premium on most paths: an atom at the greatest loss.
        ("capped loss", vec![(0, expiring(Right::Call, 108.0), 10.0)]),
        // Pays 0.5 or nothing, with little between.
        (
            "digital-like",
            vec![(0, expiring(Right::Put, 90.0), -10.0), (0, expiring(Right::Put, 89.95), 10.0)],
        ),
        // The atom at the greatest loss has about 3 %: beyond some levels and inside others.
        ("rare digital", vec![(1, expiring(Right::Put, 90.0), -10.0), (1, expiring(Right::Put, 89.5), 10.0)]),
        ("no risk", vec![(0, Kind::Spot, 7.0), (0, LINEAR_PERPETUAL, -7.0)]),
        ("nothing", vec![]),
        (
            "only gains",
            vec![(0, Kind::Spot, 5.0), (0, LINEAR_PERPETUAL, -5.0), (1, expiring(Right::Call, 100.0), 0.01)],
        ),
        ("large", vec![(0, Kind::Spot, 3e9), (1, LINEAR_PERPETUAL, -2e9)]),
        ("tiny", vec![(0, Kind::Spot, 3e-9), (1, LINEAR_PERPETUAL, -2e-9)]),
        // Gross notional some thousand times its Expected Shortfall.
        ("hedged", vec![(2, Kind::Spot, 300.0), (2, LINEAR_PERPETUAL, -300.0)]),
        // At the horizon it gains its premium, or loses without a bound.
        (
            "short expiring strangle",
            vec![(1, expiring(Right::Call, 112.0), -4.0), (1, expiring(Right::Put, 88.0), -4.0)],
        ),
        ("covered call", vec![(0, Kind::Spot, 2.0), (0, expiring(Right::Call, 104.0), -2.0)]),
    ];
    for (_, positions) in &books {
        setup.account(positions);
    }
    (setup, books.map(|(name, _)| name).to_vec())
}

/// Relative distances: VaR in bins, ES and its error as fractions.
struct Distance {
    bins: f64,
    shortfall: f64,
    shortfall_bins: f64,
    error: f64,
}

/// `nothing` is a loss below the account's size.
fn distance(ours: &TailEstimate, sorted: &TailEstimate, bracket: &Bracket, nothing: f64) -> Distance {
    let relative = |ours: f64, known: f64| {
        let gap = (ours - known).abs();
        if gap <= nothing { 0.0 } else { gap / known.abs() }
    };
    // Losses themselves are known to f32: half a unit of the loss beside the bin.
    let rounding = f64::from(f32::EPSILON) * sorted.value_at_risk.abs();
    let gap = ((ours.value_at_risk - sorted.value_at_risk).abs() - rounding).max(0.0);
    Distance {
        bins: gap * f64::from(bracket.bins_per_loss),
        shortfall: relative(ours.expected_shortfall, sorted.expected_shortfall),
        shortfall_bins: (ours.expected_shortfall - sorted.expected_shortfall).abs()
            * f64::from(bracket.bins_per_loss),
        error: relative(ours.expected_shortfall_error, sorted.expected_shortfall_error),
    }
}

fn compare(paths: u64, alpha_of_truth: impl Fn(f64) -> f64 + Sync) -> Vec<(String, Distance)> {
    let (setup, names) = setup();
    let job = setup.job();
    let brackets = brackets(&job, paths);
    let tails = tails(&job, Precision::F32, &brackets, paths);
    let engine = CpuEngine::new(Precision::F32);
    let cube = engine.cube_f32(&job, 0..paths);
    let sorted = engine.losses_f32(&job, &cube, 0, |_, losses| {
        let mut losses: Vec<f64> = losses[..paths as usize].iter().map(|&x| f64::from(x)).collect();
        CONFIDENCES.map(|alpha| exact(&mut losses, confidence(alpha_of_truth(alpha))))
    });
    let mut all = Vec::new();
    for (account, name) in names.iter().enumerate() {
        for (level, alpha) in CONFIDENCES.into_iter().enumerate() {
            let index = account * CONFIDENCES.len() + level;
            // As a run has it; an account that holds nothing still has a bracket of this width.
            let nothing = (1e-9 * job.scale[account]).max(1e-29);
            let place = format!("{name}, {paths} paths, {alpha}");
            let ours = tails[index].estimate(&brackets[index], confidence(alpha), paths);
            let ours = ours.unwrap_or_else(|fault| panic!("{place}: {fault:?}"));
            all.push((place, distance(&ours, &sorted[account][level], &brackets[index], nothing)));
        }
    }
    all
}

#[test]
fn one_pass_is_sorting() {
    for paths in SIZES {
        let all = compare(paths, |alpha| alpha);
        let worst = |pick: fn(&Distance) -> f64| {
            let by = |a: &&(String, Distance), b: &&(String, Distance)| pick(&a.1).total_cmp(&pick(&b.1));
            let (place, distance) = all.iter().max_by(by).expect("some");
            (place, pick(distance))
        };
        let (shortfall, error) = (worst(|d| d.shortfall), worst(|d| d.error));
        let (value_at_risk, shortfall_bins) = (worst(|d| d.bins), worst(|d| d.shortfall_bins));
        println!(
            "{paths} paths: ES {shortfall:?} ({:.2} bins), VaR {:.2} bins, error {error:?}",
            shortfall_bins.1, value_at_risk.1
        );
        assert!(value_at_risk.1 <= ONE_BIN, "{value_at_risk:?}");
        if paths > MANY {
            assert!(shortfall.1 <= ONE_PASS, "{shortfall:?}");
            assert!(error.1 <= ONE_PASS_ERROR, "{error:?}");
        } else {
            // A bin is a sixty-fourth of all losses, and may hold half of a tail of two or three.
            assert!(shortfall_bins.1 <= ONE_BIN, "{shortfall_bins:?}");
        }
    }
}

/// The comparison must be able to fail: sorting at a level one path away.
#[test]
fn another_level_is_seen() {
    let all = compare(100_001, |alpha| alpha - 1e-4);
    assert!(all.iter().any(|(_, d)| d.shortfall > ONE_PASS && d.bins > 1.0));
}
