//! A raw SVI slice through the quotes of one expiry.
//!
//! Quasi-explicit (Zeliade 2009): with `y = (k - m) / sigma` the slice is `a + d y + c sqrt(y^2 + 1)`,
//! linear in `a`, `d = rho b sigma` and `c = b sigma`, so that only `m` and `sigma` need a search. No
//! optimiser crate is used because the whole of it is the search in two dimensions below. Nothing is
//! random: the same quotes give the same slice.

use super::SviSlice;

/// One quote as the fit sees it.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// `ln(K/F)`.
    pub log_moneyness: f64,
    /// Middle of bid and ask, annual.
    pub volatility: f64,
    /// Half of ask less bid.
    pub half_width: f64,
}

/// A slice, and how far it is from the quotes' middles, in volatility.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Free of butterfly arbitrage, and of calendar arbitrage against the slice before.
    pub svi: SviSlice,
    /// Root mean square distance.
    pub rmse_volatility: f64,
    /// Largest distance.
    pub max_error_volatility: f64,
}

/// Added in squares to a half-width, 0.2 volatility points: a quote with no spread is not exact.
const WIDTH_FLOOR: f64 = 0.002;
const RHO_MOST: f64 = 0.999;
/// Lee's bound on `b (1 + |rho|)`, less what rounding may add.
const WING_MOST: f64 = 2.0 * (1.0 - 1e-9);
/// Least total variance as a part of the least that is quoted.
const LEAST_VARIANCE: f64 = 1e-3;

/// A quote in total variance; `weight` makes a small error one of volatility over its width.
struct Target {
    k: f64,
    w: f64,
    weight: f64,
}

/// The slice nearest to `points`, of which there must be at least one, that is free of arbitrage.
///
/// Each quote counts by the inverse of its squared half-width. Where the nearest slice has butterfly
/// arbitrage, the search is repeated with every candidate blended in total variance with the flat
/// slice at the mean of the quotes, by the least share that passes. Where the result falls below
/// `earlier`, its `a` is raised by the least that passes.
pub fn fit(points: &[Point], years: f64, earlier: Option<&SviSlice>) -> Fit {
    let targets: Vec<Target> = points
        .iter()
        .map(|p| {
            let per_volatility = 2.0 * p.volatility * years;
            let width = p.half_width.hypot(WIDTH_FLOOR) * per_volatility;
            Target {
                k: p.log_moneyness,
                w: p.volatility * p.volatility * years,
                weight: 1.0 / (width * width),
            }
        })
        .collect();
    let total: f64 = targets.iter().map(|t| t.weight).sum();
    let flat = targets.iter().map(|t| t.weight * t.w).sum::<f64>() / total;
    let bounds = Bounds::of(&targets);

    let slice_at = |x: [f64; 2]| bounds.holds(x).then(|| linear_fit(&targets, x[0], x[1].exp())).flatten();
    let free = search(&bounds, |x| slice_at(x).map_or(f64::INFINITY, |slice| misfit(&targets, &slice)));
    let mut slice = slice_at(free);
    if slice.is_some_and(|slice| slice.check().is_err()) {
        let passing = |x| slice_at(x).map(|slice| admissible(&slice, flat, None, 12));
        let best = search(&bounds, |x| passing(x).map_or(f64::INFINITY, |slice| misfit(&targets, &slice)));
        slice = slice_at(best);
    }
    let slice = slice.unwrap_or(SviSlice { a: flat, b: 0.0, rho: 0.0, m: 0.0, sigma: 1.0 });
    let svi = admissible(&slice, flat, earlier, 40);

    let errors = points.iter().map(|p| (svi.volatility(p.log_moneyness, years) - p.volatility).abs());
    let squares: f64 = errors.clone().map(|e| e * e).sum();
    Fit {
        svi,
        rmse_volatility: (squares / points.len() as f64).sqrt(),
        max_error_volatility: errors.fold(0.0, f64::max),
    }
}

fn misfit(targets: &[Target], slice: &SviSlice) -> f64 {
    let error = |t: &Target| t.weight * (slice.total_variance(t.k) - t.w).powi(2);
    let sum: f64 = targets.iter().map(error).sum();
    if sum.is_nan() { f64::INFINITY } else { sum }
}

/// The best `a`, `b` and `rho` for this `m` and `sigma`.
///
/// With the level taken out as a mean, `(c, d)` lies in the quadrilateral `|d| <= RHO_MOST c`,
/// `c + |d| <= WING_MOST sigma`. Least squares are convex, so that the best is the free minimum where
/// that is inside, else the best of the four edges. A slice whose least variance is too low is
/// raised; the search judges it as it then is.
fn linear_fit(targets: &[Target], m: f64, sigma: f64) -> Option<SviSlice> {
    let shape = |t: &Target| {
        let y = (t.k - m) / sigma;
        (y, y.hypot(1.0))
    };
    let (mut total, mut mean_y, mut mean_z, mut mean_w) = (0.0, 0.0, 0.0, 0.0);
    for t in targets {
        let (y, z) = shape(t);
        total += t.weight;
        mean_y += t.weight * y;
        mean_z += t.weight * z;
        mean_w += t.weight * t.w;
    }
    let (mean_y, mean_z, mean_w) = (mean_y / total, mean_z / total, mean_w / total);
    let (mut yy, mut yz, mut zz, mut yw, mut zw) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for t in targets {
        let (y, z) = shape(t);
        let (y, z, w) = (y - mean_y, z - mean_z, t.w - mean_w);
        yy += t.weight * y * y;
        yz += t.weight * y * z;
        zz += t.weight * z * z;
        yw += t.weight * y * w;
        zw += t.weight * z * w;
    }
    let cost = |(c, d): (f64, f64)| c * c * zz + 2.0 * c * d * yz + d * d * yy - 2.0 * (c * zw + d * yw);
    let wing = WING_MOST * sigma;
    let determinant = yy * zz - yz * yz;
    let inside = (determinant > 1e-14 * yy * zz)
        .then(|| ((zw * yy - yw * yz) / determinant, (yw * zz - zw * yz) / determinant))
        .filter(|&(c, d)| c >= 0.0 && d.abs() <= RHO_MOST * c && c + d.abs() <= wing);
    let on_edges = || {
        let steep = wing / (1.0 + RHO_MOST);
        let corners = [(0.0, 0.0), (steep, RHO_MOST * steep), (wing, 0.0), (steep, -RHO_MOST * steep)];
        let edge = |i: usize| {
            let (from, to) = (corners[i], corners[(i + 1) % 4]);
            let (c, d) = (to.0 - from.0, to.1 - from.1);
            let slope = c * (from.0 * zz + from.1 * yz - zw) + d * (from.0 * yz + from.1 * yy - yw);
            let curvature = c * c * zz + 2.0 * c * d * yz + d * d * yy;
            let share = if curvature > 0.0 { (-slope / curvature).clamp(0.0, 1.0) } else { 0.0 };
            (from.0 + share * c, from.1 + share * d)
        };
        (0..4).map(edge).min_by(|&x, &y| cost(x).total_cmp(&cost(y)))
    };
    let (c, d) = inside.or_else(on_edges)?;
    let lowest = LEAST_VARIANCE * targets.iter().map(|t| t.w).fold(f64::INFINITY, f64::min);
    let a = (mean_w - c * mean_z - d * mean_y).max(lowest - ((c - d) * (c + d)).max(0.0).sqrt());
    let rho = if c > 0.0 { d / c } else { 0.0 };
    let slice = SviSlice { a, b: c / sigma, rho, m, sigma };
    (a.is_finite() && slice.b.is_finite()).then_some(slice)
}

/// `slice` with the least share of the flat slice, and raised by the least, so that it passes both
/// checks. A flat slice, raised, passes always.
fn admissible(slice: &SviSlice, flat: f64, earlier: Option<&SviSlice>, halvings: u32) -> SviSlice {
    let with = |share: f64| {
        let blend = SviSlice { a: slice.a + share * (flat - slice.a), b: (1.0 - share) * slice.b, ..*slice };
        earlier.map_or(blend, |earlier| raised(blend, flat, earlier))
    };
    let whole = with(0.0);
    if whole.check().is_ok() {
        return whole;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..halvings {
        let middle = 0.5 * (low + high);
        if with(middle).check().is_ok() { high = middle } else { low = middle }
    }
    with(high)
}

fn raised(slice: SviSlice, flat: f64, earlier: &SviSlice) -> SviSlice {
    let by = |lift: f64| SviSlice { a: slice.a + lift, ..slice };
    let passes = |lift: f64| by(lift).check_after(earlier).is_ok();
    if passes(0.0) {
        return slice;
    }
    let (mut low, mut high) = (0.0, 1e-6 * flat);
    while !passes(high) && high.is_finite() {
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if passes(middle) { high = middle } else { low = middle }
    }
    by(high)
}

/// Where `m` and `sigma` are looked for, by the log-moneyness that is quoted.
struct Bounds {
    least: f64,
    span: f64,
}

impl Bounds {
    fn of(targets: &[Target]) -> Self {
        let least = targets.iter().map(|t| t.k).fold(f64::INFINITY, f64::min);
        let most = targets.iter().map(|t| t.k).fold(f64::NEG_INFINITY, f64::max);
        Self { least, span: (most - least).max(1e-3) }
    }

    fn holds(&self, [m, log_sigma]: [f64; 2]) -> bool {
        let (place, width) = ((m - self.least) / self.span, log_sigma.exp() / self.span);
        (-2.0..=3.0).contains(&place) && (1e-3..=20.0).contains(&width)
    }
}

/// The least of `cost` over `m` and `ln sigma`: descents from the best three points of a coarse grid.
fn search(bounds: &Bounds, cost: impl Fn([f64; 2]) -> f64) -> [f64; 2] {
    let mut starts: Vec<(f64, [f64; 2])> = Vec::new();
    for place in [-0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25] {
        for width in [0.02, 0.06, 0.2, 0.6, 1.8] {
            let x = [bounds.least + place * bounds.span, f64::ln(width * bounds.span)];
            starts.push((cost(x), x));
        }
    }
    starts.sort_by(|x, y| x.0.total_cmp(&y.0));
    let descend = |&(_, x): &(f64, [f64; 2])| {
        // The second descent starts anew where the first has stopped: its simplex may have collapsed.
        let (_, x) = nelder_mead(&cost, x, [0.1 * bounds.span, 0.3]);
        nelder_mead(&cost, x, [0.01 * bounds.span, 0.03])
    };
    let ends = starts.iter().take(3).map(descend);
    ends.min_by(|x, y| x.0.total_cmp(&y.0)).map_or(starts[0].1, |(_, x)| x)
}

/// Nelder and Mead (1965) in two dimensions, with the usual factors 1, 2, 1/2 and 1/2.
fn nelder_mead(cost: impl Fn([f64; 2]) -> f64, start: [f64; 2], step: [f64; 2]) -> (f64, [f64; 2]) {
    let at = |x: [f64; 2]| (cost(x), x);
    let mut simplex = [at(start), at([start[0] + step[0], start[1]]), at([start[0], start[1] + step[1]])];
    for _ in 0..400 {
        simplex.sort_by(|x, y| x.0.total_cmp(&y.0));
        let [best, good, worst] = simplex;
        let size = [0, 1].map(|i| (worst.1[i] - best.1[i]).abs().max((good.1[i] - best.1[i]).abs()));
        if size[0] < 1e-11 * step[0].abs() && size[1] < 1e-11 {
            break;
        }
        // The point on the line through the worst and the middle of the others; -1 is the worst.
        let along = |t: f64| {
            at([0, 1].map(|i| {
                let middle = 0.5 * (best.1[i] + good.1[i]);
                middle + t * (middle - worst.1[i])
            }))
        };
        let reflected = along(1.0);
        let new = if reflected.0 < best.0 {
            let expanded = along(2.0);
            if expanded.0 < reflected.0 { expanded } else { reflected }
        } else if reflected.0 < good.0 {
            reflected
        } else {
            along(if reflected.0 < worst.0 { 0.5 } else { -0.5 })
        };
        if new.0 < worst.0 {
            simplex[2] = new;
        } else {
            let halfway = |x: [f64; 2]| at([0, 1].map(|i| 0.5 * (x[i] + best.1[i])));
            simplex = [best, halfway(good.1), halfway(worst.1)];
        }
    }
    simplex.sort_by(|x, y| x.0.total_cmp(&y.0));
    simplex[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Quotes of a slice at evenly spaced log-moneyness, each off by `noise` of its number.
    fn quotes(slice: &SviSlice, years: f64, reach: f64, noise: impl Fn(usize) -> f64) -> Vec<Point> {
        (0..31)
            .map(|i| {
                let log_moneyness = reach * (i as f64 / 15.0 - 1.0);
                let volatility = slice.volatility(log_moneyness, years) + noise(i);
                Point { log_moneyness, volatility, half_width: 0.005 }
            })
            .collect()
    }

    const SLICES: [(SviSlice, f64, f64); 4] = [
        (SviSlice { a: 0.01, b: 0.1, rho: -0.3, m: 0.02, sigma: 0.15 }, 0.25, 0.6),
        (SviSlice { a: -0.06, b: 0.15, rho: 0.06, m: 0.13, sigma: 0.5 }, 0.062, 0.4),
        (SviSlice { a: 0.0004, b: 0.0163, rho: -0.5, m: 0.006, sigma: 0.042 }, 0.0012, 0.1),
        (SviSlice { a: 0.2, b: 0.3, rho: -0.7, m: 0.1, sigma: 0.4 }, 1.0, 1.2),
    ];

    #[test]
    fn the_volatilities_of_a_slice_come_back() {
        for (slice, years, reach) in SLICES {
            assert_eq!(slice.check(), Ok(()));
            let fit = fit(&quotes(&slice, years, reach, |_| 0.0), years, None);
            let (had, has) = (&slice, &fit.svi);
            for (x, y) in
                [(had.a, has.a), (had.b, has.b), (had.rho, has.rho), (had.m, has.m), (had.sigma, has.sigma)]
            {
                assert!((x - y).abs() < 1e-6, "{had:?} {has:?}");
            }
            assert!(fit.max_error_volatility < 1e-8, "{fit:?}");
        }
    }

    #[test]
    fn noise_is_averaged_out() {
        for (slice, years, reach) in SLICES {
            let noise = |i: usize| 0.005 * (2.4 * (i * i) as f64).sin();
            let fit = fit(&quotes(&slice, years, reach, noise), years, None);
            assert_eq!(fit.svi.check(), Ok(()));
            for point in quotes(&slice, years, reach, |_| 0.0) {
                let error = fit.svi.volatility(point.log_moneyness, years) - point.volatility;
                assert!(error.abs() < 0.005, "{error} at {point:?}: {fit:?}");
            }
            assert!(fit.rmse_volatility > 0.001 && fit.rmse_volatility < 0.005, "{fit:?}");
        }
    }

    #[test]
    fn tight_quotes_count_for_more() {
        let mut points = quotes(&SLICES[0].0, 0.25, 0.6, |_| 0.0);
        points[10].volatility += 0.2;
        let pulled = fit(&points, 0.25, None).rmse_volatility;
        points[10].half_width = 1.0;
        let fitted = fit(&points, 0.25, None);
        let off = fitted.svi.volatility(points[12].log_moneyness, 0.25) - points[12].volatility;
        assert!(off.abs() < 1e-4 && fitted.max_error_volatility > 0.19 && pulled < fitted.rmse_volatility);
    }

    #[test]
    fn butterfly_arbitrage_is_fitted_away() {
        // Axel Vogt's slice, as in the test of the check.
        let vogt = SviSlice { a: -0.0410, b: 0.1331, rho: 0.3060, m: 0.3586, sigma: 0.4153 };
        assert!(vogt.check().is_err());
        let fit = fit(&quotes(&vogt, 1.0, 1.2, |_| 0.0), 1.0, None);
        assert_eq!(fit.svi.check(), Ok(()));
        assert!(fit.rmse_volatility > 1e-6 && fit.rmse_volatility < 0.02, "{fit:?}");
    }

    #[test]
    fn calendar_arbitrage_is_raised_away_by_the_least() {
        let (slice, years, reach) = SLICES[0];
        let points = quotes(&slice, years, reach, |_| 0.0);
        let earlier = SviSlice { a: slice.a + 0.001, ..slice };
        let raised = fit(&points, years, Some(&earlier)).svi;
        assert_eq!(raised.check_after(&earlier), Ok(()));
        assert!((raised.a - earlier.a).abs() < 1e-6, "{raised:?}");
        let below = SviSlice { a: slice.a - 0.001, ..slice };
        assert!((fit(&points, years, Some(&below)).svi.a - slice.a).abs() < 1e-6);
    }

    #[test]
    fn absurd_quotes_give_a_slice_all_the_same() {
        for scale in [1e-3, 1.0, 300.0] {
            let points: Vec<Point> = (0..5)
                .map(|i| Point {
                    log_moneyness: scale * f64::from(i - 2),
                    volatility: if i % 2 == 0 { 20.0 } else { 1e-6 },
                    half_width: 0.0,
                })
                .collect();
            let fit = fit(&points, 1e-6, Some(&SLICES[0].0));
            assert_eq!(fit.svi.check(), Ok(()));
            assert_eq!(fit.svi.check_after(&SLICES[0].0), Ok(()));
            assert!(fit.rmse_volatility.is_finite());
        }
    }
}
