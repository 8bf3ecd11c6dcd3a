//! The move of the largest density among those that fail: the design point of structural
//! reliability, found by the steps of Hasofer, Lind, Rackwitz and Fiessler in the curvature of the
//! density. Where the density rises into what fails, as around the size of a large jump, it is inside.

use nalgebra::DVector;

use super::law::{Law, Local};

/// Points of a ray that are looked at together, and how often the interval shrinks to one of theirs.
const POINTS: usize = 63;
const ROUNDS: usize = 5;
/// Standard deviations up to which a failing move is looked for.
const REACH: f64 = 40.0;
/// Patterns of jumps that are told apart, and starts of each that are followed.
const WAYS: usize = 10;
const FOLLOWED: usize = 2;
const MAX_STEPS: usize = 100;
const MAX_HALVINGS: usize = 14;
/// Half of a difference quotient's width, in standard deviations.
const WIDTH: f64 = 1e-4;
/// A step ends the search where the density would rise by less, in its logarithm.
const CLOSE: f64 = 1e-9;
/// Part of the rise that a step promises and has to keep.
const KEPT: f64 = 1e-4;
/// A move whose value is below zero by this part of the centre's is inside what fails.
const INSIDE: f64 = 1e-6;

/// Values of many moves; a move fails where its value is not above zero.
pub(super) type Gap<'a> = dyn Fn(&[DVector<f64>]) -> Vec<f64> + 'a;

/// A failing move.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub z: DVector<f64>,
    pub log_density: f64,
}

/// A search from the centre, which does not fail, outwards.
pub(super) struct Search<'a> {
    pub law: &'a Law,
    pub gap: &'a Gap<'a>,
    pub centre: DVector<f64>,
}

impl Search<'_> {
    /// Failing moves of the largest density, one for each pattern of jumps that makes it likely, the
    /// largest of all first; none where no ray fails. `starts` are failing moves that are known.
    pub fn most_likely(&self, starts: &[DVector<f64>]) -> Vec<Found> {
        let rays = self.law.directions().into_iter().map(|direction| &self.centre + direction * REACH);
        let steepest = self.steepest().map(|direction| &self.centre + direction * REACH);
        let edges = rays.chain(steepest).filter_map(|end| self.pull(&end, 1.0));
        let centres = self.law.centres();
        let gaps = (self.gap)(&centres);
        let inside = centres.into_iter().zip(gaps).filter(|(_, gap)| !(*gap > 0.0)).map(|(z, _)| z);
        let mut sought: Vec<Found> = edges.chain(inside).map(|z| self.found(z)).collect();
        let known = starts.iter().filter_map(|end| self.pull(end, 1.0)).map(|z| self.found(z));
        let mut known: Vec<Found> = known.collect();
        let denser = |a: &Found, b: &Found| b.log_density.total_cmp(&a.log_density);
        known.sort_by(denser);
        sought.sort_by(denser);
        // What simulated paths do comes first.
        let chosen = self.by_pattern(known.into_iter().chain(sought), FOLLOWED);
        let mut followed: Vec<Found> = chosen.into_iter().map(|start| self.follow(start)).collect();
        followed.sort_by(denser);
        self.by_pattern(followed.into_iter(), 1)
    }

    /// The first so many of each pattern, of the first patterns.
    fn by_pattern(&self, all: impl Iterator<Item = Found>, each: usize) -> Vec<Found> {
        let mut kept: Vec<(Vec<usize>, usize)> = Vec::new();
        let is_kept = |found: &Found| {
            let pattern = self.law.pattern(&found.z);
            match kept.iter_mut().find(|(known, _)| *known == pattern) {
                Some((_, count)) => {
                    *count += 1;
                    *count <= each
                }
                None => {
                    kept.push((pattern, 1));
                    kept.len() <= WAYS
                }
            }
        };
        all.filter(is_kept).collect()
    }

    fn found(&self, z: DVector<f64>) -> Found {
        Found { log_density: self.law.log_density(&z), z }
    }

    /// Where the value falls fastest for the standard deviations that it takes.
    fn steepest(&self) -> Option<DVector<f64>> {
        let gradient = self.gradient(&self.centre);
        let direction = -self.law.local(&self.centre).lift(&gradient);
        let length = -direction.dot(&gradient);
        (length > 0.0).then(|| direction / length.sqrt())
    }

    /// The first failing move from the centre towards another one, up to `reach` times as far.
    fn pull(&self, end: &DVector<f64>, reach: f64) -> Option<DVector<f64>> {
        let at = |t: f64| &self.centre + (end - &self.centre) * t;
        let (mut inside, mut outside) = (0.0, reach);
        for round in 0..ROUNDS {
            let part = |k: usize| inside + (outside - inside) * k as f64 / POINTS as f64;
            let points: Vec<DVector<f64>> = (1..=POINTS).map(|k| at(part(k))).collect();
            let first = (self.gap)(&points).iter().position(|gap| !(*gap > 0.0));
            match (first, round) {
                (Some(first), _) => (inside, outside) = (part(first), part(first + 1)),
                (None, 0) => return None,
                // Rounding at the end that failed before.
                (None, _) => break,
            }
        }
        Some(at(outside))
    }

    fn gradient(&self, z: &DVector<f64>) -> DVector<f64> {
        let widths = self.law.deviations() * WIDTH;
        let mut points = Vec::with_capacity(2 * z.len());
        for coordinate in 0..z.len() {
            for side in [widths[coordinate], -widths[coordinate]] {
                let mut point = z.clone();
                point[coordinate] += side;
                points.push(point);
            }
        }
        let gaps = (self.gap)(&points);
        DVector::from_fn(z.len(), |row, _| (gaps[2 * row] - gaps[2 * row + 1]) / (2.0 * widths[row]))
    }

    /// To a move of the largest density near by, along the edge of what fails or inside it.
    fn follow(&self, start: Found) -> Found {
        let inside = -INSIDE * self.value(&self.centre).abs();
        let mut best = start;
        for _ in 0..MAX_STEPS {
            let local = self.law.local(&best.z);
            let is_inside = !(self.value(&best.z) > inside);
            let step = self.step(&best.z, &local, is_inside);
            let Some(step) = step.filter(|step| step.rise > CLOSE) else { break };
            let mut part = 1.0;
            let tried = (0..MAX_HALVINGS).find_map(|_| {
                let z = &best.z + &step.step * part;
                let next = match step.is_free {
                    true => (!(self.value(&z) > 0.0)).then_some(z),
                    false => self.pull(&z, 1.5),
                };
                let next = next.map(|z| self.found(z));
                let kept = next.filter(|next| next.log_density > best.log_density + KEPT * part * step.rise);
                part *= 0.5;
                kept
            });
            match tried {
                Some(next) => best = next,
                None => break,
            }
        }
        best
    }

    fn value(&self, z: &DVector<f64>) -> f64 {
        (self.gap)(std::slice::from_ref(z))[0]
    }

    /// The step that raises the density most, along the edge unless the density rises inward.
    ///
    /// # Formula
    /// With `q` the slope of minus the log density, `B` its inverse curvature, `a` the slope of the
    /// value: the least of `q'd + d'B^-1 d / 2` with `a'd = 0` is `d = -B (q - l a)`,
    /// `l = a'Bq / a'Ba`. For a normal law it is the step of Hasofer and Lind. Inside, or where
    /// `l > 0`, it is `-B q`.
    fn step(&self, z: &DVector<f64>, local: &Local, is_inside: bool) -> Option<Step> {
        let downhill = -&local.gradient;
        let mut free = downhill.clone();
        let mut is_free = is_inside;
        if !is_inside {
            let slope = self.gradient(z);
            let lifted = local.lift(&slope);
            let length = slope.dot(&lifted);
            if !(length > 0.0) {
                return None;
            }
            let multiplier = lifted.dot(&downhill) / length;
            is_free = multiplier > 0.0;
            if !is_free {
                free -= &slope * multiplier;
            }
        }
        let step = -local.lift(&free);
        let rise = -downhill.dot(&step);
        Some(Step { step, rise, is_free })
    }
}

/// A step, by how much the log density rises with it to first order, and whether it may leave the edge.
struct Step {
    step: DVector<f64>,
    rise: f64,
    is_free: bool,
}

#[cfg(test)]
mod tests {
    use nalgebra::DMatrix;

    use super::*;
    use crate::reverse::law::{Ingredients, SegmentLaw};

    fn law(components: Vec<Ingredients>) -> Law {
        let names = (0..components.len()).map(|pattern| pattern.to_string()).collect();
        Law::new(vec![SegmentLaw::new(0, components, names).unwrap()])
    }

    fn normal(weight: f64, mean: [f64; 2], covariance: [f64; 4]) -> Ingredients {
        Ingredients {
            pattern: 0,
            weight,
            mean: DVector::from_row_slice(&mean),
            covariance: DMatrix::from_row_slice(2, 2, &covariance),
            jump: None,
        }
    }

    fn search(law: &Law, gap: impl Fn(&DVector<f64>) -> f64) -> Option<Found> {
        let gap = |points: &[DVector<f64>]| points.iter().map(&gap).collect();
        Search { law, gap: &gap, centre: law.mode() }.most_likely(&[]).into_iter().next()
    }

    #[test]
    fn the_nearest_point_of_a_half_plane_has_a_closed_form() {
        let (a, b) = (1.0, 2.0);
        let law = law(vec![normal(1.0, [0.0, 0.0], [1.0, 0.6, 0.6, 1.0])]);
        // a x + b y <= -c: x = -c S a / a'Sa.
        let found = search(&law, |z| 5.0 + a * z[0] + b * z[1]).unwrap();
        let scale = -5.0 / (a * a + b * b + 2.0 * a * b * 0.6);
        let wanted = [scale * (a + 0.6 * b), scale * (0.6 * a + b)];
        assert!((found.z[0] - wanted[0]).abs() < 1e-5 && (found.z[1] - wanted[1]).abs() < 1e-5, "{found:?}");
        let beta = 5.0 / (a * a + b * b + 2.0 * a * b * 0.6f64).sqrt();
        assert!((law.mahalanobis(&found.z) - beta).abs() < 1e-5);
        // Without the correlation it would be another point: negative control.
        assert!((found.z[0] + 5.0 * a / (a * a + b * b)).abs() > 0.1);
        assert!(search(&law, |_| 1.0).is_none(), "nothing fails");
    }

    #[test]
    fn the_nearest_of_several_regions_is_found() {
        let law = law(vec![normal(1.0, [0.0, 0.0], [1.0, 0.0, 0.0, 1.0])]);
        // A disc at (3, 3) of radius 1, and one at (-6, 1) of radius 1: the nearer edge is at 3.243.
        let disc = |z: &DVector<f64>, x: f64, y: f64| ((z[0] - x).powi(2) + (z[1] - y).powi(2)).sqrt() - 1.0;
        let start = [DVector::from_row_slice(&[3.2, 2.8]), DVector::from_row_slice(&[-6.0, 1.2])];
        let gap = |points: &[DVector<f64>]| {
            points.iter().map(|z| disc(z, 3.0, 3.0).min(disc(z, -6.0, 1.0))).collect()
        };
        let found = Search { law: &law, gap: &gap, centre: law.mode() }.most_likely(&start).remove(0);
        assert!((found.z.norm() - (18f64.sqrt() - 1.0)).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn an_exponential_jump_has_the_density_of_its_integral() {
        let jump = Ingredients {
            jump: Some((DVector::from_row_slice(&[-1.0, -0.5]), 4.0)),
            ..normal(1.0, [0.01, -0.02], [0.04, 0.01, 0.01, 0.09])
        };
        let plain = normal(1.0, [0.0, 0.0], [0.04, 0.01, 0.01, 0.09]);
        let (law, plain) = (law(vec![jump]), law(vec![plain]));
        for point in [[0.3, 0.1], [-0.2, 0.4], [-1.5, -0.7], [-3.0, 1.0]] {
            let z = DVector::from_row_slice(&point);
            // Simpson's rule over the size of the jump.
            let (n, most) = (4000, 8.0);
            let term = |k: usize| {
                let size = most * k as f64 / n as f64;
                let weight = if k == 0 || k == n {
                    1.0
                } else if k % 2 == 1 {
                    4.0
                } else {
                    2.0
                };
                let rest = DVector::from_row_slice(&[z[0] - 0.01 + size, z[1] + 0.02 + 0.5 * size]);
                weight * 4.0 * (-4.0 * size).exp() * plain.log_density(&rest).exp()
            };
            let integral = (0..=n).map(term).sum::<f64>() * most / n as f64 / 3.0;
            assert!((law.log_density(&z) - integral.ln()).abs() < 1e-7, "{point:?}");
            let local = law.local(&z);
            for coordinate in 0..2 {
                let mut above = z.clone();
                above[coordinate] += 1e-6;
                let slope = (law.log_density(&above) - law.log_density(&z)) / 1e-6;
                assert!((slope - local.gradient[coordinate]).abs() < 1e-3 * (1.0 + slope.abs()), "{point:?}");
            }
        }
    }
}
