//! Are standard errors right, and do errors fall like the root of the number of paths?

use super::{Block, Effort, percent, table};
use crate::closed_form::MertonModel;
use crate::closed_form::expected_shortfall::{LinearPosition, linear_tail};
use crate::engine::Job;
use crate::engine::cpu::CpuEngine;
use crate::instrument::Kind;
use crate::market::{Asset, JumpSize, Jumps};
use crate::plot::{Axes, Axis, Scale, Series, Style, xy};
use crate::risk::TailEstimate;
use crate::scenario::Precision;
use crate::units::DAYS_PER_YEAR;
use crate::validate::Check;
use crate::validate::fixture::{Setup, asset, estimates, market};

const MODEL: MertonModel =
    MertonModel { volatility: 0.6, intensity: 20.0, mean_log_jump: -0.03, sd_log_jump: 0.08 };
const DAYS: f64 = 2.0;
const CONFIDENCE: f64 = 0.975;
const PATHS: u64 = 20_032;
/// Half-width in standard errors of an interval that holds `NOMINAL` of a normal.
const INTERVAL: f64 = 1.959_963_984_540_054;
const NOMINAL: f64 = 0.95;
/// Standard errors of a share of the seeds that are allowed.
const SHARE_SIGMAS: f64 = 2.5;
/// Numbers of paths whose errors are compared: 4^5 to 4^8.
const RATE_POWERS: [u32; 4] = [5, 6, 7, 8];
/// First seed of those runs.
const RATE_SEED: u64 = 10_000;
/// The root mean square of 400 runs is known to 3.5 %, so that the slope of its logarithm over a
/// factor of 64 in paths is known to 0.012; twice that of a quarter as many runs.
const RATE_BOUND: f64 = 0.05;

pub(super) fn errors(effort: Effort) -> Result<Vec<Block>, String> {
    let tail =
        MODEL.law(DAYS / DAYS_PER_YEAR).and_then(|law| linear_tail(&law, LinearPosition::Long, CONFIDENCE));
    let tail = tail.map_err(|error| error.to_string())?;
    let job = job()?;
    let (covered, mut checks) = coverage(&job, [tail.value_at_risk, tail.expected_shortfall], effort)?;
    let (slope, points) = rate(&job, tail.expected_shortfall, effort)?;
    checks.push(Check::new(
        "error of ES over number of paths: exponent + 1/2",
        points.len() as u64,
        (slope + 0.5).abs(),
        RATE_BOUND,
        "",
        format!("falls like n^{slope:.3}"),
    ));
    let text = format!(
        "One long position under Merton jumps, {DAYS} days at {}, whose VaR and Expected Shortfall are known. {} runs of {PATHS} \
         paths, each with a seed of its own: how often the interval of {INTERVAL:.2} standard errors holds the truth. Then {} runs \
         for each of {} numbers of paths.",
        percent(CONFIDENCE, 1),
        effort.seeds,
        effort.rate_seeds,
        RATE_POWERS.len()
    );
    let rows = points
        .iter()
        .map(|(paths, error)| [format!("{paths:.0}"), percent(error / tail.expected_shortfall, 3)]);
    Ok(vec![
        Block::Text(text),
        table(
            ["figure", "covered", "nominal"],
            ["VaR", "Expected Shortfall"]
                .into_iter()
                .zip(covered)
                .map(|(name, share)| [name.to_owned(), percent(share, 1), percent(NOMINAL, 1)])
                .collect(),
        ),
        Block::Checks(checks),
        table(["paths", "root mean square error of Expected Shortfall, of its value"], rows.collect()),
        chart(&points),
    ])
}

fn job() -> Result<Job, String> {
    let size = JumpSize::Merton { mean: MODEL.mean_log_jump, sd: MODEL.sd_log_jump };
    let own_jumps = Some(Jumps { intensity_annual: MODEL.intensity, size });
    let jumping = Asset { own_jumps, ..asset(1.0, MODEL.volatility) };
    let mut setup = Setup::new(market(vec![jumping]), DAYS, &[CONFIDENCE], 0)?;
    setup.account(&[(0, Kind::Spot, 1.0)]);
    setup.job()
}

fn runs(job: &Job, seeds: std::ops::Range<u64>, paths: u64) -> Result<Vec<TailEstimate>, String> {
    let mut engine = CpuEngine::new(Precision::F32);
    let mut run = |seed| Ok(estimates(&mut engine, &Job { seed, ..job.clone() }, paths)?[0][0]);
    seeds.map(&mut run).collect()
}

fn coverage(job: &Job, truth: [f64; 2], effort: Effort) -> Result<([f64; 2], Vec<Check>), String> {
    let runs = runs(job, 0..effort.seeds, PATHS)?;
    let share = |holds: &dyn Fn(&TailEstimate) -> bool| {
        runs.iter().filter(|run| holds(run)).count() as f64 / runs.len() as f64
    };
    let covered = [
        share(&|run| (run.value_at_risk - truth[0]).abs() <= INTERVAL * run.value_at_risk_error),
        share(&|run| (run.expected_shortfall - truth[1]).abs() <= INTERVAL * run.expected_shortfall_error),
    ];
    let bound = SHARE_SIGMAS * (NOMINAL * (1.0 - NOMINAL) / runs.len() as f64).sqrt();
    let check = |(name, share): (&str, f64)| {
        let (n, off) = (runs.len() as u64, (share - NOMINAL).abs());
        Check::new(name, n, off, bound, "of the runs", format!("covered in {}", percent(share, 1)))
    };
    let names = ["interval of VaR: coverage off its nominal", "interval of ES: coverage off its nominal"];
    Ok((covered, names.into_iter().zip(covered).map(check).collect()))
}

/// The exponent, and `(paths, root mean square error)`.
fn rate(job: &Job, truth: f64, effort: Effort) -> Result<(f64, Vec<(f64, f64)>), String> {
    let mut points = Vec::new();
    for power in RATE_POWERS {
        let paths = 4u64.pow(power);
        let runs = runs(job, RATE_SEED..RATE_SEED + effort.rate_seeds, paths)?;
        let square: f64 = runs.iter().map(|run| (run.expected_shortfall - truth).powi(2)).sum();
        points.push((paths as f64, (square / runs.len() as f64).sqrt()));
    }
    let n = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let (x, y) = (logs.iter().map(|p| p.0).sum::<f64>() / n, logs.iter().map(|p| p.1).sum::<f64>() / n);
    let slope = logs.iter().map(|p| (p.0 - x) * (p.1 - y)).sum::<f64>()
        / logs.iter().map(|p| (p.0 - x).powi(2)).sum::<f64>();
    Ok((slope, points))
}

fn chart(points: &[(f64, f64)]) -> Block {
    let axis = |label| Axis { label, scale: Scale::Log };
    let title = "Error of Expected Shortfall over the number of paths";
    let axes = Axes { title, x: axis("paths"), y: axis("root mean square error") };
    let (first, last) = (points[0], points[points.len() - 1]);
    let ideal = vec![first, (last.0, first.1 * (first.0 / last.0).sqrt())];
    let series = [
        Series { name: "measured", style: Style::Points, points: points.to_vec() },
        Series { name: "one over the root", style: Style::Line, points: ideal },
    ];
    Block::Chart { file: "convergence.svg", caption: title.to_owned(), svg: xy(&axes, &series, &[]) }
}
