//! The model's density of moves: for each segment of the horizon a mixture of normal laws, and of
//! normal laws with one exponential jump.

use std::f64::consts::TAU;

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};

use super::probability::Normals;
use super::special::{log_normal_cdf_scaled, mills};

/// Curvature that an exponential jump takes off the density's along its direction, at most.
const MOST_FLAT: f64 = 0.999;

/// The density of a whole move: segments are independent of each other.
pub(super) struct Law {
    segments: Vec<SegmentLaw>,
}

/// The density of the moves of one segment.
pub(super) struct SegmentLaw {
    /// Its first coordinate in a whole move.
    first: usize,
    shapes: Vec<Shape>,
    components: Vec<Component>,
    /// What has to happen, by pattern; [`Component::pattern`] points here.
    patterns: Vec<String>,
    mean: DVector<f64>,
    total: Cholesky<f64, Dyn>,
}

/// A covariance, which components share.
struct Shape {
    covariance: DMatrix<f64>,
    /// Inverse of its lower Cholesky factor: what makes it the identity.
    whitening: DMatrix<f64>,
    log_determinant: f64,
}

/// One law of a mixture.
struct Component {
    pattern: usize,
    weight: f64,
    shape: usize,
    mean: DVector<f64>,
    /// The mean, whitened.
    white: DVector<f64>,
    /// Log of the weight and of the normal density's constant.
    log_constant: f64,
    jump: Option<Exponential>,
}

/// An exponential jump on top of a normal law.
struct Exponential {
    direction: DVector<f64>,
    /// The direction, whitened.
    white: DVector<f64>,
    /// Squared length of that.
    length: f64,
    rate: f64,
}

/// What a component is made of.
pub(super) struct Ingredients {
    pub pattern: usize,
    /// Its probability.
    pub weight: f64,
    pub mean: DVector<f64>,
    pub covariance: DMatrix<f64>,
    /// Direction of an exponential jump, and its rate.
    pub jump: Option<(DVector<f64>, f64)>,
}

/// The density around a move.
pub(super) struct Local {
    pub log_density: f64,
    pub gradient: DVector<f64>,
    /// Inverse curvature of the most responsible component of each segment.
    blocks: Vec<(usize, DMatrix<f64>)>,
}

impl Local {
    /// The inverse curvature times a vector.
    pub fn lift(&self, vector: &DVector<f64>) -> DVector<f64> {
        let mut lifted = DVector::zeros(vector.len());
        for (first, block) in &self.blocks {
            let part = block * vector.rows(*first, block.nrows());
            lifted.rows_mut(*first, block.nrows()).copy_from(&part);
        }
        lifted
    }
}

impl Shape {
    /// `None` where it is not positive definite.
    fn new(covariance: DMatrix<f64>) -> Option<Self> {
        let root = Cholesky::new(covariance.clone())?.unpack();
        let log_determinant = 2.0 * root.diagonal().iter().map(|x| x.ln()).sum::<f64>();
        let n = root.nrows();
        let whitening = root.solve_lower_triangular(&DMatrix::identity(n, n))?;
        Some(Self { covariance, whitening, log_determinant })
    }
}

impl Component {
    fn new(shape: usize, of: &Shape, from: Ingredients) -> Self {
        let Ingredients { pattern, weight, mean, jump, .. } = from;
        let log_constant = weight.ln() - 0.5 * (mean.len() as f64 * TAU.ln() + of.log_determinant);
        let jump = jump.map(|(direction, rate)| {
            let white = &of.whitening * &direction;
            Exponential { direction, length: white.norm_squared(), white, rate }
        });
        let white = &of.whitening * &mean;
        Self { pattern, weight, shape, mean, white, log_constant, jump }
    }

    /// At a whitened move.
    ///
    /// # Formula
    /// With `r = z - mean`, `S` the precision and an exponential jump of rate `q` along `l`:
    /// `ln p = ln c - r'Sr/2 + ln q + ln(2 pi / a)/2 + t^2/2 + ln Phi(t)`, `a = l'Sl`,
    /// `t = (l'Sr - q)/sqrt(a)`.
    fn log_density(&self, white: &DVector<f64>) -> f64 {
        let square: f64 = white.iter().zip(self.white.iter()).map(|(z, mean)| (z - mean) * (z - mean)).sum();
        let jump = self.jump.as_ref().map_or(0.0, |jump| jump.log_factor(self.position(jump, white)));
        self.log_constant - 0.5 * square + jump
    }

    /// `t` of the formula.
    fn position(&self, jump: &Exponential, white: &DVector<f64>) -> f64 {
        let along = white.iter().zip(self.white.iter()).zip(jump.white.iter());
        let along: f64 = along.map(|((z, mean), l)| (z - mean) * l).sum();
        (along - jump.rate) / jump.length.sqrt()
    }

    /// Slope of the log density in whitened coordinates.
    fn slope(&self, white: &DVector<f64>) -> DVector<f64> {
        let mut slope = &self.white - white;
        if let Some(jump) = &self.jump {
            let (along, _) = jump.slopes(self.position(jump, white));
            slope += &jump.white * (along / jump.length.sqrt());
        }
        slope
    }

    /// Inverse of minus the second derivatives of the log density: by Sherman and Morrison the
    /// covariance, and more along the jump.
    fn inverse_curvature(&self, shape: &Shape, white: &DVector<f64>) -> DMatrix<f64> {
        let Some(jump) = &self.jump else { return shape.covariance.clone() };
        let (_, curvature) = jump.slopes(self.position(jump, white));
        let flat = curvature.clamp(0.0, MOST_FLAT);
        let more = flat / (jump.length * (1.0 - flat));
        &shape.covariance + &jump.direction * jump.direction.transpose() * more
    }
}

impl Exponential {
    fn log_factor(&self, t: f64) -> f64 {
        self.rate.ln() + 0.5 * (TAU / self.length).ln() + log_normal_cdf_scaled(t)
    }

    /// First and second derivative of `t^2/2 + ln Phi(t)`: `t + r` and `1 - r (t + r)`, `r = phi/Phi`.
    fn slopes(&self, t: f64) -> (f64, f64) {
        let ratio = 1.0 / mills(-t);
        let first = if t < -1e4 { -1.0 / t } else { t + ratio };
        (first, 1.0 - ratio * first)
    }
}

impl SegmentLaw {
    /// A mixture; `None` where a covariance is not positive definite.
    pub fn new(first: usize, ingredients: Vec<Ingredients>, patterns: Vec<String>) -> Option<Self> {
        let mut shapes: Vec<Shape> = Vec::new();
        let mut components = Vec::with_capacity(ingredients.len());
        for from in ingredients {
            let known = shapes.iter().position(|shape| shape.covariance == from.covariance);
            let shape = match known {
                Some(shape) => shape,
                None => {
                    shapes.push(Shape::new(from.covariance.clone())?);
                    shapes.len() - 1
                }
            };
            components.push(Component::new(shape, &shapes[shape], from));
        }
        let weights: Vec<f64> = components.iter().map(|component| component.weight).collect();
        let all: f64 = weights.iter().sum();
        let jumped = |c: &Component| {
            c.jump.as_ref().map_or(c.mean.clone(), |jump| &c.mean + &jump.direction * (1.0 / jump.rate))
        };
        let n = components.first()?.mean.len();
        let mean = components
            .iter()
            .zip(&weights)
            .fold(DVector::zeros(n), |sum, (c, w)| sum + jumped(c) * (w / all));
        let mut total = DMatrix::zeros(n, n);
        for (component, weight) in components.iter().zip(&weights) {
            let off = jumped(component) - &mean;
            let mut second = &shapes[component.shape].covariance + &off * off.transpose();
            if let Some(jump) = &component.jump {
                second += &jump.direction * jump.direction.transpose() * (1.0 / (jump.rate * jump.rate));
            }
            total += second * (weight / all);
        }
        Some(Self { first, shapes, components, patterns, mean, total: Cholesky::new(total)? })
    }

    fn part(&self, z: &DVector<f64>) -> DVector<f64> {
        z.rows(self.first, self.mean.len()).into_owned()
    }

    /// A move as each shape whitens it.
    fn whitened(&self, part: &DVector<f64>) -> Vec<DVector<f64>> {
        self.shapes.iter().map(|shape| &shape.whitening * part).collect()
    }

    /// Log density, and the log density of each component with its weight.
    fn log_densities(&self, part: &DVector<f64>) -> (f64, Vec<f64>) {
        self.of_whitened(&self.whitened(part))
    }

    fn of_whitened(&self, white: &[DVector<f64>]) -> (f64, Vec<f64>) {
        let logs: Vec<f64> = self.components.iter().map(|c| c.log_density(&white[c.shape])).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (most + logs.iter().map(|log| (log - most).exp()).sum::<f64>().ln(), logs)
    }

    fn draw(&self, random: &mut Normals) -> DVector<f64> {
        let mut at = random.uniform() * self.components.iter().map(|component| component.weight).sum::<f64>();
        let picked = self.components.iter().find(|component| {
            at -= component.weight;
            at < 0.0
        });
        let component = picked.or(self.components.last()).expect("a law has components");
        let root =
            Cholesky::new(self.shapes[component.shape].covariance.clone()).expect("factored before").unpack();
        let mut z = &component.mean + root * random.vector(self.mean.len());
        if let Some(jump) = &component.jump {
            z += &jump.direction * (-random.uniform().ln() / jump.rate);
        }
        z
    }

    /// The move of the largest density among the centres of the components.
    fn mode(&self) -> DVector<f64> {
        let mut centres: Vec<&DVector<f64>> = Vec::new();
        for component in &self.components {
            if !centres.contains(&&component.mean) {
                centres.push(&component.mean);
            }
        }
        let density = |z: &&DVector<f64>| self.log_densities(z).0;
        let scored = centres.into_iter().map(|z| (density(&z), z));
        scored.max_by(|a, b| a.0.total_cmp(&b.0)).map_or_else(|| self.mean.clone(), |(_, z)| z.clone())
    }
}

impl Law {
    /// Segments in the order of time.
    pub fn new(segments: Vec<SegmentLaw>) -> Self {
        Self { segments }
    }

    /// Log of the density, over all coordinates of a move.
    pub fn log_density(&self, z: &DVector<f64>) -> f64 {
        self.segments.iter().map(|segment| segment.log_densities(&segment.part(z)).0).sum()
    }

    /// Density, slope and curvature at a move.
    pub fn local(&self, z: &DVector<f64>) -> Local {
        let mut local = Local { log_density: 0.0, gradient: DVector::zeros(z.len()), blocks: Vec::new() };
        for segment in &self.segments {
            let part = segment.part(z);
            let white = segment.whitened(&part);
            let (log_density, logs) = segment.of_whitened(&white);
            local.log_density += log_density;
            let mut slopes: Vec<DVector<f64>> = white.iter().map(|z| DVector::zeros(z.len())).collect();
            let mut most: Option<(f64, &Component)> = None;
            for (component, log) in segment.components.iter().zip(&logs) {
                let share = (log - log_density).exp();
                if share > 1e-12 {
                    slopes[component.shape] += component.slope(&white[component.shape]) * share;
                }
                if most.is_none_or(|(largest, _)| share > largest) {
                    most = Some((share, component));
                }
            }
            let mut gradient = DVector::zeros(part.len());
            for (shape, slope) in segment.shapes.iter().zip(&slopes) {
                gradient += shape.whitening.tr_mul(slope);
            }
            local.gradient.rows_mut(segment.first, part.len()).copy_from(&gradient);
            if let Some((_, component)) = most {
                let shape = &segment.shapes[component.shape];
                let block = component.inverse_curvature(shape, &white[component.shape]);
                local.blocks.push((segment.first, block));
            }
        }
        local
    }

    /// Where the density is largest.
    pub fn mode(&self) -> DVector<f64> {
        let parts: Vec<f64> =
            self.segments.iter().flat_map(|segment| segment.mode().data.as_vec().clone()).collect();
        DVector::from_vec(parts)
    }

    /// Centres of the patterns of each segment, the other segments at their modes.
    pub fn centres(&self) -> Vec<DVector<f64>> {
        let mode = self.mode();
        let mut centres = Vec::new();
        for segment in &self.segments {
            let mut seen = vec![false; segment.patterns.len()];
            for component in &segment.components {
                if !std::mem::replace(&mut seen[component.pattern], true) {
                    let mut centre = mode.clone();
                    centre.rows_mut(segment.first, component.mean.len()).copy_from(&component.mean);
                    centres.push(centre);
                }
            }
        }
        centres
    }

    /// Distance from the mean in standard deviations, by the covariance of whole moves, jumps and
    /// mixing included.
    pub fn mahalanobis(&self, z: &DVector<f64>) -> f64 {
        let square = |segment: &SegmentLaw| {
            let off = segment.part(z) - &segment.mean;
            off.dot(&segment.total.solve(&off))
        };
        self.segments.iter().map(square).sum::<f64>().sqrt()
    }

    /// Standard deviations of the coordinates.
    pub fn deviations(&self) -> DVector<f64> {
        let of = |segment: &SegmentLaw| {
            let l = segment.total.l();
            (0..l.nrows()).map(|row| l.row(row).norm()).collect::<Vec<f64>>()
        };
        DVector::from_vec(self.segments.iter().flat_map(of).collect())
    }

    /// Directions in which moves are looked for, one standard deviation long: each coordinate with
    /// what the others do on average beside it, and each exponential jump.
    pub fn directions(&self) -> Vec<DVector<f64>> {
        let n = self.segments.iter().map(|segment| segment.mean.len()).sum();
        let mut directions = Vec::new();
        for segment in &self.segments {
            let l = segment.total.l();
            let covariance = &l * l.transpose();
            let mut add = |part: DVector<f64>| {
                let mut whole = DVector::zeros(n);
                whole.rows_mut(segment.first, part.len()).copy_from(&part);
                directions.push(whole);
            };
            for coordinate in 0..l.nrows() {
                let column = covariance.column(coordinate) / covariance[(coordinate, coordinate)].sqrt();
                add(-column.clone());
                add(column);
            }
            let mut seen = vec![false; segment.patterns.len()];
            for component in &segment.components {
                if std::mem::replace(&mut seen[component.pattern], true) {
                    continue;
                }
                match &component.jump {
                    Some(jump) => add(&jump.direction * (1.0 / jump.rate)),
                    None if component.pattern > 0 => add(&component.mean - &segment.mean),
                    None => {}
                }
            }
        }
        directions
    }

    /// The pattern of the likeliest component of each segment.
    pub fn pattern(&self, z: &DVector<f64>) -> Vec<usize> {
        let of = |segment: &SegmentLaw| {
            let (_, logs) = segment.log_densities(&segment.part(z));
            let likeliest = (0..logs.len()).max_by(|&a, &b| logs[a].total_cmp(&logs[b]));
            likeliest.map_or(0, |likeliest| segment.components[likeliest].pattern)
        };
        self.segments.iter().map(of).collect()
    }

    /// A move at random.
    pub fn draw(&self, random: &mut Normals) -> DVector<f64> {
        let parts = self.segments.iter().flat_map(|segment| segment.draw(random).data.as_vec().clone());
        DVector::from_vec(parts.collect())
    }

    /// In each segment the component that is likeliest at a move, around that move.
    pub fn around(&self, z: &DVector<f64>) -> Self {
        let of = |segment: &SegmentLaw| {
            let part = segment.part(z);
            let (_, logs) = segment.log_densities(&part);
            let likeliest = (0..logs.len()).max_by(|&a, &b| logs[a].total_cmp(&logs[b])).unwrap_or(0);
            let covariance = segment.shapes[segment.components[likeliest].shape].covariance.clone();
            let moved = Ingredients { pattern: 0, weight: 1.0, mean: part, covariance, jump: None };
            let law = SegmentLaw::new(segment.first, vec![moved], vec![String::new()]);
            law.expect("its covariance was factored before")
        };
        Self { segments: self.segments.iter().map(of).collect() }
    }

    /// Multiplications that a density takes.
    pub fn multiplications(&self) -> usize {
        let of = |segment: &SegmentLaw| {
            let n = segment.mean.len();
            segment.shapes.len() * n * n + 2 * segment.components.len() * n
        };
        self.segments.iter().map(of).sum()
    }

    /// Probability of what has to happen, given a move: patterns of jumps, the likeliest first. Of
    /// the segment in which the move is least likely.
    pub fn patterns(&self, z: &DVector<f64>) -> Vec<(String, f64)> {
        let score = |segment: &SegmentLaw| {
            segment.log_densities(&segment.part(z)).0 - segment.log_densities(&segment.mode()).0
        };
        let scored = self.segments.iter().map(|segment| (score(segment), segment));
        let Some((_, segment)) = scored.min_by(|a, b| a.0.total_cmp(&b.0)) else { return Vec::new() };
        let (log_density, logs) = segment.log_densities(&segment.part(z));
        let mut shares = vec![0.0; segment.patterns.len()];
        for (component, log) in segment.components.iter().zip(&logs) {
            shares[component.pattern] += (log - log_density).exp();
        }
        let mut named: Vec<(String, f64)> = segment.patterns.iter().cloned().zip(shares).collect();
        named.sort_by(|a, b| b.1.total_cmp(&a.1));
        named
    }
}
