//! The three-way comparison of a scenario: GPU f32 against CPU f32, CPU f32 against CPU f64, CPU f64
//! against closed forms.

use super::Check;
use crate::closed_form::special::normal_cdf;
use crate::engine::cpu::CpuEngine;
use crate::engine::{BLOCK, Cube, Engine, EngineFault, FACTORS, Job, Pilot};
use crate::instrument::{Kind, Right, Settlement, UnitValue};
use crate::market::{Jumps, Market};
use crate::risk::{Bracket, Tail, TailEstimate};
use crate::run;
use crate::scenario::{Precision, Scenario};
use crate::units::Years;

/// Paths of a cube, kept at a time.
const CUBE_PATHS: u64 = 16_384;
/// Factors and profits compared between GPU and CPU: all paths of a small scenario, some of a large.
const MOST_VALUES: u64 = 1 << 28;
/// Half a unit in the last place of f32, relative.
const EPSILON: f64 = 5.960_464_477_539_063e-8;
/// A sample mean is off by more than this many standard errors in one of two million cases.
const SIGMAS: f64 = 5.0;

/// What is compared.
pub struct Subject<'a> {
    /// The scenario; its base case is compared.
    pub scenario: &'a Scenario,
    /// The GPU, or why there is none.
    pub gpu: Result<&'a mut dyn Engine, String>,
}

/// Makes all comparisons of a scenario. `stage` hears what is being compared.
pub fn validate(subject: Subject<'_>, stage: &mut dyn FnMut(&str)) -> Result<Vec<Check>, EngineFault> {
    let scenario = subject.scenario;
    let job = run::job(scenario, &scenario.market).map_err(EngineFault::Device)?;
    let paths = scenario.simulation.paths;
    let mut single = CpuEngine::new(Precision::F32);
    stage("pilot");
    let pilot = Pilot::new(&job, paths);
    let brackets = pilot.brackets(&job, 1.0);
    let kept = 0..paths.min(CUBE_PATHS);
    stage("CPU f32");
    let cube = single.cube_f32(&job, kept.clone());
    let tails = single.tails(&job, &brackets, 0..paths, &mut |_| ())?;
    let mut checks = Vec::new();
    match subject.gpu {
        Ok(gpu) => {
            stage("GPU f32, path by path");
            checks.extend(same_paths(gpu, &single, &job, paths)?);
            stage("GPU f32, tails");
            let other = gpu.tails(&job, &brackets, 0..paths, &mut |_| ())?;
            checks.push(same_tails("GPU f32 = CPU f32: tails of all accounts", &other, &tails));
        }
        Err(why) => checks.push(Check::skipped("GPU f32 = CPU f32", why)),
    }
    stage("CPU f32, baseline instructions");
    let baseline = single.with_baseline_instructions().with_tile_blocks(7);
    checks.extend(same_cubes("CPU f32, any instruction set", &baseline.cube_f32(&job, kept.clone()), &cube));
    stage("CPU f64");
    let reference = single.cube_f64(&job, kept);
    checks.extend(close_cubes(scenario, &job, &cube, &reference));
    let mut double = CpuEngine::new(Precision::F64);
    let double_tails = double.tails(&job, &brackets, 0..paths, &mut |_| ())?;
    checks.push(close_tails(scenario, &job, &brackets, [&tails, &double_tails]));
    stage("closed forms");
    checks.push(base_values(scenario));
    checks.extend(moments(&double, scenario)?);
    Ok(checks)
}

/// Factors and profits of the GPU against the CPU, a cube at a time.
fn same_paths(
    gpu: &mut dyn Engine,
    cpu: &CpuEngine,
    job: &Job,
    paths: u64,
) -> Result<[Check; 2], EngineFault> {
    let values_per_path = (job.rows.len() + job.observations.len() * job.assets * FACTORS) as u64;
    let compared = paths.min((MOST_VALUES / values_per_path.max(1)).max(CUBE_PATHS));
    let mut counts = [(0, 0), (0, 0)];
    let mut done = 0;
    while done < compared {
        let range = done..(done + CUBE_PATHS).min(compared);
        let found = differences(&gpu.cube(job, range.clone())?, &cpu.cube_f32(job, range.clone()));
        for (count, more) in counts.iter_mut().zip(found) {
            *count = (count.0 + more.0, count.1 + more.1);
        }
        done = range.end;
    }
    Ok(checks_of_bits(&format!("GPU f32 = CPU f32, {compared} paths"), counts))
}

fn same_cubes(name: &str, a: &Cube<f32>, b: &Cube<f32>) -> [Check; 2] {
    checks_of_bits(name, differences(a, b))
}

/// How many values were compared and how many differ in any bit: of factors, of profits.
fn differences(a: &Cube<f32>, b: &Cube<f32>) -> [(u64, u64); 2] {
    [(&a.factors, &b.factors), (&a.pnl, &b.pnl)].map(|(a, b)| {
        let values: usize = b.iter().map(Vec::len).sum();
        let shape = values.abs_diff(a.iter().map(Vec::len).sum());
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        let differing = pairs.filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        (values as u64, (differing + shape) as u64)
    })
}

fn checks_of_bits(name: &str, [factors, profits]: [(u64, u64); 2]) -> [Check; 2] {
    [("factors", factors), ("profits of all instruments", profits)].map(|(what, (values, differing))| {
        let name = format!("{name}: {what}");
        Check::new(&name, values, differing as f64, 0.0, "values that differ", String::new())
    })
}

fn same_tails(name: &str, a: &[Tail], b: &[Tail]) -> Check {
    let differing = a.iter().zip(b).filter(|(a, b)| a != b).count() + a.len().abs_diff(b.len());
    Check::new(name, b.len() as u64, differing as f64, 0.0, "tails that differ", String::new())
}

/// Factors and profits in f32 against f64. The bounds follow the operations:
///
/// * A factor is a sum over the steps of terms no larger than its largest move, each with a few
///   roundings and a function good to 2 units: 8 roundings a step and asset row.
/// * A profit is `F expm1(x)` or an option: 8 roundings of the forward for the functions, and the
///   factor's own error on it.
fn close_cubes(scenario: &Scenario, job: &Job, single: &Cube<f32>, double: &Cube<f64>) -> [Check; 2] {
    let largest = |factor: usize| {
        let of_block = |block: &Vec<f64>| {
            block.chunks(BLOCK).skip(factor).step_by(FACTORS).flatten().fold(0.0, |m: f64, x| m.max(x.abs()))
        };
        double.factors.iter().map(of_block).fold(0.0, f64::max)
    };
    let roundings = 8.0 * (f64::from(job.steps()) + job.assets as f64);
    let factor_bound = roundings * EPSILON * largest(0).max(largest(1)).max(largest(2)).max(1e-3);
    let mut factor_error = 0.0f64;
    let mut profit_error = 0.0f64;
    let mut worst_row = 0;
    let prices: Vec<f64> = job
        .curves
        .iter()
        .flat_map(|curve| curve.rows.clone().map(|row| (row, curve.point)))
        .map(|(row, point)| {
            let spot = scenario.market.assets[point.asset].spot;
            let terms = &job.rows[row];
            let size = terms.option.map_or(0.0, |o| o.forward.max(o.strike));
            let unit =
                if point.settlement == Settlement::Inverse && terms.option.is_none() { 1.0 } else { spot };
            size.max(terms.u.abs()).max(terms.v.abs()).max(terms.offset.abs()).min(1e3 * unit)
        })
        .collect();
    for block in 0..double.pnl.len() {
        for (a, b) in single.factors[block].iter().zip(&double.factors[block]) {
            factor_error = factor_error.max((f64::from(*a) - b).abs());
        }
        for (row, price) in prices.iter().enumerate() {
            for lane in row * BLOCK..(row + 1) * BLOCK {
                let (a, b) = (f64::from(single.pnl[block][lane]), double.pnl[block][lane]);
                let error = (a - b).abs() / (price + b.abs());
                if !(error <= profit_error) {
                    (profit_error, worst_row) = (error, row);
                }
            }
        }
    }
    let values = |blocks: &[Vec<f64>]| blocks.iter().map(Vec::len).sum::<usize>() as u64;
    let worst = &scenario.portfolio.instruments[job.rows[worst_row].instrument as usize].name;
    let profit_bound = 32.0 * EPSILON + 2.0 * factor_bound;
    [
        Check::new(
            "CPU f32 - f64: factors",
            values(&double.factors),
            factor_error,
            factor_bound,
            "log units",
            String::new(),
        ),
        Check::new(
            "CPU f32 - f64: profits",
            values(&double.pnl),
            profit_error,
            profit_bound,
            "of the price",
            format!("worst: {worst}"),
        ),
    ]
}

fn close_tails(scenario: &Scenario, job: &Job, brackets: &[Bracket], tails: [&[Tail]; 2]) -> Check {
    let levels = job.levels.len();
    let mut worst = (0.0, String::new());
    let mut values = 0;
    for index in 0..brackets.len() {
        let estimate = |tails: &[Tail]| -> Option<TailEstimate> {
            let confidence = job.levels[index % levels].confidence;
            tails[index].estimate(&brackets[index], confidence, scenario.simulation.paths).ok()
        };
        let (Some(single), Some(double)) = (estimate(tails[0]), estimate(tails[1])) else { continue };
        values += 1;
        let difference = (single.expected_shortfall - double.expected_shortfall).abs();
        // An account without risk has no standard error; a billionth of its size stands for it.
        let error = double.expected_shortfall_error.max(1e-9 * job.scale[index / levels]).max(1e-12);
        if difference / error > worst.0 {
            worst = (difference / error, scenario.portfolio.accounts[index / levels].name.clone());
        }
    }
    let name = "CPU f32 - f64: Expected Shortfall of all accounts";
    Check::new(name, values, worst.0, 0.1, "standard errors", format!("worst: {}", worst.1))
}

/// Values of the options now against Black's formula with the complementary error function.
fn base_values(scenario: &Scenario) -> Check {
    let market = &scenario.market;
    let mut worst = (0.0, String::new());
    let mut values = 0;
    for instrument in &scenario.portfolio.instruments {
        let (Kind::Option(terms), Ok(unit)) = (instrument.kind, UnitValue::new(market, instrument)) else {
            continue;
        };
        let Some(value) = black(market, instrument.asset, &terms) else { continue };
        values += 1;
        let error = (unit.market_value - value).abs() / market.assets[instrument.asset].spot;
        if error > worst.0 {
            worst = (error, instrument.name.clone());
        }
    }
    // The engine's normal tail is good to 1e-14 relative, its value a difference of two such.
    Check::new(
        "options now = Black's formula",
        values,
        worst.0,
        1e-12,
        "of the spot price",
        format!("worst: {}", worst.1),
    )
}

fn black(market: &Market, asset: usize, terms: &crate::instrument::OptionTerms) -> Option<f64> {
    let asset = &market.assets[asset];
    let tenor = Years::between(market.as_of, terms.expiry)?.get();
    let forward = asset.forward(market.as_of, terms.expiry, market.discount_rate_annual)?;
    let k = (terms.strike / forward).ln();
    let variance = match terms.volatility_annual {
        Some(volatility) => volatility * volatility * tenor,
        None => asset.slice(terms.expiry)?.svi.total_variance(k),
    };
    let s = variance.sqrt() * asset.implied_volatility_shift.exp();
    let (d1, d2) = (-k / s + s / 2.0, -k / s - s / 2.0);
    let value = match terms.right {
        Right::Call => forward * normal_cdf(d1) - terms.strike * normal_cdf(d2),
        Right::Put => terms.strike * normal_cdf(-d2) - forward * normal_cdf(-d1),
    };
    Some(match terms.settlement {
        Settlement::Inverse => value * asset.spot / forward,
        Settlement::Linear => value * (-market.discount_rate_annual * tenor).exp(),
    })
}

/// Mean growth and variance of every asset's log return against their closed forms, without
/// Student-t mixing: with it the first does not exist, and the second has no standard error.
fn moments(engine: &CpuEngine, scenario: &Scenario) -> Result<Vec<Check>, EngineFault> {
    let mut plain = scenario.clone();
    plain.market.assets.iter_mut().for_each(|asset| asset.tail_group = None);
    plain.market.tail_groups.clear();
    let job = run::job(&plain, &plain.market).map_err(EngineFault::Device)?;
    let years = job.horizons.last().map_or(0.0, |horizon| horizon.get());
    let observation = job.observations.len() - 1;
    let cube = engine.cube_f64(&job, 0..scenario.simulation.paths.min(8 * CUBE_PATHS));
    let mut worst = [(0.0, ""), (0.0, "")];
    for (index, asset) in plain.market.assets.iter().enumerate() {
        let start = (observation * job.assets + index) * FACTORS * BLOCK;
        let x = || cube.factors.iter().flat_map(|block| &block[start..start + BLOCK]).copied();
        let variance = asset.volatility_annual.powi(2)
            + asset.own_jumps.map_or(0.0, |jumps| square_rate(&jumps, 1.0))
            + plain.market.common_jumps.map_or(0.0, |jumps| square_rate(&jumps, asset.common_jump_loading));
        let growth = score(x().map(f64::exp), (asset.drift_annual * years).exp());
        let mean = x().sum::<f64>() / x().count() as f64;
        let spread = score(x().map(|x| (x - mean) * (x - mean)), variance * years);
        for (worst, score) in worst.iter_mut().zip([growth, spread]) {
            if !(score <= worst.0) {
                *worst = (score, &asset.name);
            }
        }
    }
    let values = plain.market.assets.len() as u64;
    let check = |name: &str, worst: (f64, &str)| {
        Check::new(
            name,
            values,
            worst.0,
            SIGMAS,
            "standard errors",
            format!("worst: {}, without t mixing", worst.1),
        )
    };
    Ok(vec![
        check("CPU f64: mean growth of each asset = exp(drift)", worst[0]),
        check("CPU f64: variance of each log return", worst[1]),
    ])
}

/// Variance that a compound Poisson process adds in a year, `lambda E[(loading J)^2]`.
fn square_rate(jumps: &Jumps, loading: f64) -> f64 {
    let square = match jumps.size {
        crate::market::JumpSize::Merton { mean, sd } => mean * mean + sd * sd,
        crate::market::JumpSize::Kou { up_probability, up_rate, down_rate } => {
            2.0 * (up_probability / (up_rate * up_rate) + (1.0 - up_probability) / (down_rate * down_rate))
        }
    };
    jumps.intensity_annual * loading * loading * square
}

/// Distance of a sample mean from the truth in its own standard errors.
fn score(values: impl Iterator<Item = f64>, truth: f64) -> f64 {
    let (mut n, mut sum, mut square) = (0.0, 0.0, 0.0);
    for value in values {
        n += 1.0;
        sum += value;
        square += value * value;
    }
    let mean = sum / n;
    let error = ((square / n - mean * mean).max(0.0) / n).sqrt();
    // A certain value has no standard error; rounding of the sum stands for it.
    (mean - truth).abs() / error.max(1e-12 * truth.abs().max(1e-12))
}
