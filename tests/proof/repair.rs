//! Accounts that a pilot misjudges still get the exact figure.

use std::ops::Range;

use shortfall::engine::cpu::CpuEngine;
use shortfall::engine::{Cube, DeviceReport, Engine, EngineFault, Job};
use shortfall::instrument::{Kind, SmileRule};
use shortfall::margin::{Level, MarginRules};
use shortfall::market::{Asset, Jumps, Market};
use shortfall::portfolio::Portfolio;
use shortfall::risk::{Bracket, Tail, TailEstimate, exact};
use shortfall::run::{self, Silent};
use shortfall::scenario::{DeviceChoice, Precision, Scenario, Selection, Simulation};

use crate::fixture::{BOTH, LINEAR_PERPETUAL, Setup, asset, confidence, days, market, merton};
use crate::tolerance::{ONE_PASS, REPAIRED_SHARE};

const PATHS: u64 = 100_003;
const CONFIDENCES: [f64; 2] = [0.975, 0.99];

fn scenario(market: Market, portfolio: Portfolio, precision: Precision, seed: u64) -> Scenario {
    let level = |c| Level { confidence: confidence(c), horizon: days(1.0) };
    Scenario {
        name: "a test".to_owned(),
        margin: MarginRules {
            maintenance: level(CONFIDENCES[0]),
            initial: level(CONFIDENCES[1]),
            haircuts: vec![0.0; market.assets.len()],
            ..MarginRules::default()
        },
        market,
        portfolio,
        simulation: Simulation {
            paths: PATHS,
            seed,
            steps: 1,
            exact_steps: true,
            tolerance: None,
            device: DeviceChoice::Cpu,
            precision,
            smile: SmileRule::StickyMoneyness,
        },
        stresses: Vec::new(),
        reporting_asset: None,
        attribution: Default::default(),
        inputs: Vec::new(),
    }
}

/// Sorted figures of every account, `[account][level]`, on the job's own paths.
fn sorted(job: &Job, precision: Precision) -> Vec<[TailEstimate; 2]> {
    let engine = CpuEngine::new(precision);
    let figures = |mut losses: Vec<f64>| CONFIDENCES.map(|alpha| exact(&mut losses, confidence(alpha)));
    match precision {
        Precision::F32 => {
            let cube = engine.cube_f32(job, 0..PATHS);
            engine.losses_f32(job, &cube, 0, |_, l| {
                figures(l[..PATHS as usize].iter().map(|&x| f64::from(x)).collect())
            })
        }
        Precision::F64 => {
            let cube = engine.cube_f64(job, 0..PATHS);
            engine.losses_f64(job, &cube, 0, |_, l| figures(l[..PATHS as usize].to_vec()))
        }
    }
}

/// `tolerance` from the sorted figure.
fn assert_near(ours: &[[TailEstimate; 2]], known: &[[TailEstimate; 2]], tolerance: fn(&TailEstimate) -> f64) {
    for (account, (ours, known)) in ours.iter().zip(known).enumerate() {
        for (ours, known) in ours.iter().zip(known) {
            let gap = (ours.expected_shortfall - known.expected_shortfall).abs();
            assert!(gap <= tolerance(known), "{account}: {ours:?} {known:?}");
        }
    }
}

/// Runs a scenario; the number of accounts repaired, and `[account][maintenance, initial]`.
fn figures(
    scenario: &Scenario,
    engine: &mut dyn Engine,
) -> Result<(usize, Vec<[TailEstimate; 2]>), EngineFault> {
    let outcome = run::run(scenario, engine, &mut Silent)?;
    let case = &outcome.cases[0];
    let accounts = case.accounts.as_ref().expect("the base case has accounts");
    Ok((case.repaired, accounts.iter().map(|a| [a.maintenance, a.initial]).collect()))
}

/// An asset that hardly moves, but for a jump about once in 20,000 days; another that is ordinary.
fn rarely_jumping(volatility: f64, jumps: Option<Jumps>) -> Setup {
    let quiet = Asset { own_jumps: jumps, ..asset(100.0, volatility) };
    let mut setup = Setup::new(market(vec![quiet, asset(100.0, 0.8)]), 1.0, &CONFIDENCES, 0);
    setup
        .account(&[(1, Kind::Spot, 1.0)])
        .account(&[(0, Kind::Spot, 1.0)])
        .account(&[(0, LINEAR_PERPETUAL, -1.0)])
        .account(&[(0, Kind::Spot, 1.0), (1, LINEAR_PERPETUAL, 0.00001)]);
    setup
}

/// The first seed whose pilot (8,192 paths) sees no jump.
fn seed_without_a_jump_in_the_pilot(setup: &Setup) -> u64 {
    let quiet = |seed: &u64| {
        let job = Setup { seed: *seed, ..setup.clone() }.job();
        let cube = CpuEngine::new(Precision::F32).cube_f32(&job, 0..8_192);
        let jump = |x: &f32| x.abs() > 0.3;
        !cube.factors.iter().any(|block| block[..64].iter().any(jump))
    };
    (0..100).find(quiet).expect("a pilot without a rare jump")
}

#[test]
fn a_huge_loss_that_the_pilot_did_not_see() {
    let down = merton(365.0 / 20_000.0, -2.3, 0.1);
    let up = merton(365.0 / 20_000.0, 1.2, 0.1);
    for (volatility, jumps) in [(1e-3, down), (1e-3, up), (0.0, down), (0.0, up)] {
        let setup = rarely_jumping(volatility, jumps);
        let seed = seed_without_a_jump_in_the_pilot(&setup);
        let job = Setup { seed, ..setup.clone() }.job();
        for precision in BOTH {
            let scenario = scenario(setup.market.clone(), setup.portfolio.clone(), precision, seed);
            let (repaired, ours) = figures(&scenario, &mut CpuEngine::new(precision)).expect("figures");
            let known = sorted(&job, precision);
            println!(
                "volatility {volatility} {precision}: {repaired} repaired, {:?}",
                known[1][1].expected_shortfall
            );
            assert!(repaired > 0, "nothing needed a repair");
            assert_near(&ours, &known, |e| ONE_PASS * e.expected_shortfall.abs());
        }
    }
}

/// An engine whose paths are wilder than the pilot's.
struct Wilder {
    engine: CpuEngine,
    factor: f64,
    /// The assets that are wilder.
    assets: Range<usize>,
    calls: usize,
}

impl Wilder {
    fn wild(&self, job: &Job) -> Job {
        let mut job = job.clone();
        for observation in &mut job.observations {
            for terms in &mut observation.segment.terms[self.assets.clone()] {
                terms.sd *= self.factor;
            }
        }
        job
    }
}

impl Engine for Wilder {
    fn device(&self) -> DeviceReport {
        self.engine.device()
    }

    fn tails(
        &mut self,
        job: &Job,
        brackets: &[Bracket],
        paths: Range<u64>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<Tail>, EngineFault> {
        self.calls += 1;
        let wild = self.wild(job);
        self.engine.tails(&wild, brackets, paths, progress)
    }

    fn cube(&mut self, job: &Job, paths: Range<u64>) -> Result<Cube<f32>, EngineFault> {
        self.engine.cube(&self.wild(job), paths)
    }
}

#[test]
fn a_bracket_that_missed() {
    let mut setup = rarely_jumping(0.5, None);
    setup.seed = 3;
    for factor in [1.4, 0.7] {
        for precision in BOTH {
            let mut engine = Wilder { engine: CpuEngine::new(precision), factor, assets: 0..2, calls: 0 };
            let scenario = scenario(setup.market.clone(), setup.portfolio.clone(), precision, setup.seed);
            let (repaired, ours) = figures(&scenario, &mut engine).expect("figures");
            assert_eq!(repaired, 4, "every bracket missed");
            assert!(engine.calls > 1);
            let known = sorted(&engine.wild(&setup.job()), precision);
            assert_near(&ours, &known, |e| REPAIRED_SHARE * e.expected_shortfall_error);
            // The pilot's own law is far off.
            let tame = sorted(&setup.job(), precision);
            let gap = (ours[0][0].expected_shortfall - tame[0][0].expected_shortfall).abs();
            assert!(gap > REPAIRED_SHARE * tame[0][0].expected_shortfall_error);
        }
    }
}

/// Losses that no widened bracket holds are a fault of their account alone, never a figure.
#[test]
fn a_hopeless_bracket_fails_alone() {
    let setup = rarely_jumping(0.5, None);
    let mut scenario = scenario(setup.market.clone(), setup.portfolio.clone(), Precision::F32, 3);
    scenario.attribution = Selection::All;
    // Every account but the first holds the asset that is wilder than the pilot thinks.
    let mut engine = Wilder { engine: CpuEngine::new(Precision::F32), factor: 20.0, assets: 0..1, calls: 0 };
    let outcome = run::run(&scenario, &mut engine, &mut Silent).expect("the others have figures");
    let case = &outcome.cases[0];
    let failed: Vec<usize> = case.failed.iter().map(|failed| failed.account).collect();
    assert_eq!(failed, [1, 2, 3]);
    assert!(case.failed.iter().all(|failed| failed.reason.contains("more paths")), "{:?}", case.failed);
    let accounts = case.accounts.as_ref().expect("the case has accounts");
    assert_eq!(accounts.iter().map(|account| account.account).collect::<Vec<_>>(), [0]);
    let alone = run::run(&scenario, &mut CpuEngine::new(Precision::F32), &mut Silent).expect("figures");
    let known = &alone.cases[0].accounts.as_ref().expect("figures")[0];
    assert_eq!(accounts[0].maintenance, known.maintenance);
    assert!(accounts[0].attribution.is_some());
}
