//! The paths of a tail: which they are, and how much each counts.

/// Paths with exactly the loss at the tail's end that are kept, the first by number: an atom (a
/// book that cannot lose more than its premium) may hold any number of them.
const KEPT_AT_END: usize = 256;

/// A path and its loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TailPath {
    /// Number of the path.
    pub path: u64,
    /// Loss, positive where money is lost.
    pub loss: f64,
}

/// The paths of a tail of probability mass `mass` (in paths; need not be whole).
#[derive(Clone, Debug, PartialEq)]
pub struct TailPaths {
    /// Worst first, then by number; those at the tail's end last.
    pub paths: Vec<TailPath>,
    /// Paths in the tail: `n (1 - confidence)`.
    pub mass: f64,
    /// How many paths lose more than the Value at Risk.
    above: usize,
}

impl TailPaths {
    /// Loss at the tail's end, by the order of the losses.
    pub fn value_at_risk(&self) -> f64 {
        self.paths[self.above].loss
    }

    /// Weight of a path: 1 where it loses more than the Value at Risk; the mass that is left is
    /// shared alike by those that lose exactly that. Weights add up to the mass.
    pub fn weight(&self, index: usize) -> f64 {
        if index < self.above {
            1.0
        } else {
            (self.mass - self.above as f64) / (self.paths.len() - self.above) as f64
        }
    }

    /// Mean loss of the tail: Expected Shortfall by the order of the losses.
    pub fn mean(&self) -> f64 {
        let weighted = self.paths.iter().enumerate().map(|(index, path)| self.weight(index) * path.loss);
        weighted.sum::<f64>() / self.mass
    }

    /// Index of the first path that stands for the tail's end, where a mean given the loss is
    /// taken: a twentieth of the tail, 16 paths at least, and all at the Value at Risk itself.
    pub fn end(&self) -> usize {
        let near = (self.paths.len() / 20).max(16);
        self.paths.len().saturating_sub(near).min(self.above)
    }
}

/// Keeps the worst paths of a stream in the order of their numbers, in memory of about twice the
/// tail.
#[derive(Clone, Debug)]
pub struct TailCollector {
    floor: f64,
    mass: f64,
    paths: Vec<TailPath>,
    /// Paths with exactly the loss of the floor that were let go.
    let_go: usize,
}

impl TailCollector {
    /// For a tail of `mass` paths. Losses below `floor` are left out from the start; where the
    /// tail reaches below it, [`TailCollector::finish`] says so.
    pub fn new(mass: f64, floor: f64) -> Self {
        Self { floor, mass, paths: Vec::new(), let_go: 0 }
    }

    /// Losses below it cannot be in the tail.
    pub fn floor(&self) -> f64 {
        self.floor
    }

    /// Takes a path whose loss is not below the floor.
    pub fn push(&mut self, path: TailPath) {
        self.paths.push(path);
        if self.paths.len() >= 2 * (self.rank() + KEPT_AT_END) {
            self.select();
        }
    }

    /// The tail; `None` where too few losses lay above the floor.
    pub fn finish(mut self) -> Option<TailPaths> {
        if self.paths.len() + self.let_go < self.rank() {
            return None;
        }
        let above = self.select();
        let Self { paths, mass, .. } = self;
        Some(TailPaths { paths, mass, above })
    }

    /// Place of the Value at Risk among the losses, the worst being the first.
    fn rank(&self) -> usize {
        self.mass.floor() as usize + 1
    }

    /// Keeps what can be in the tail, sorted; returns how many lie above its end so far.
    fn select(&mut self) -> usize {
        let worst_first = |a: &TailPath, b: &TailPath| b.loss.total_cmp(&a.loss).then(a.path.cmp(&b.path));
        self.paths.sort_unstable_by(worst_first);
        // Those that were let go stand at the floor, behind all that are kept.
        let end = self.paths.get(self.rank() - 1).map_or(self.floor, |path| path.loss);
        let above = self.paths.partition_point(|path| path.loss > end);
        let to = self.paths.partition_point(|path| path.loss >= end);
        if end > self.floor {
            self.let_go = 0;
        }
        self.let_go += to.saturating_sub(above + KEPT_AT_END);
        self.paths.truncate(to.min(above + KEPT_AT_END));
        self.floor = end;
        above
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::exact;
    use crate::units::Confidence;

    /// Losses in no order, each of `distinct` values about as often.
    fn losses(n: u64, distinct: u64) -> Vec<f64> {
        (0..n).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % distinct).map(|x| x as f64).collect()
    }

    fn collect(losses: &[f64], mass: f64, floor: f64) -> Option<TailPaths> {
        let mut collector = TailCollector::new(mass, floor);
        for (path, &loss) in losses.iter().enumerate() {
            if loss >= collector.floor() {
                collector.push(TailPath { path: path as u64, loss });
            }
        }
        collector.finish()
    }

    #[test]
    fn the_tail_is_that_of_a_sort() {
        for (n, confidence) in [(1, 0.99), (63, 0.5), (1000, 0.975), (100_003, 0.99), (4096, 0.9999)] {
            for distinct in [1, 3, 1 << 30] {
                let confidence = Confidence::new(confidence).unwrap();
                let losses = losses(n, distinct);
                let mass = n as f64 * confidence.tail();
                let tail = collect(&losses, mass, f64::NEG_INFINITY).unwrap();
                let sorted = exact(&mut losses.clone(), confidence);
                assert_eq!(tail.value_at_risk(), sorted.value_at_risk);
                let close =
                    (tail.mean() - sorted.expected_shortfall).abs() <= 1e-12 * (1.0 + tail.mean().abs());
                assert!(close, "{n} {distinct}: {} {}", tail.mean(), sorted.expected_shortfall);
                let weights: f64 = (0..tail.paths.len()).map(|index| tail.weight(index)).sum();
                assert!((weights / mass - 1.0).abs() < 1e-12);
                assert!(tail.paths.len() as f64 <= mass + 1.0 + KEPT_AT_END as f64);
                let from_tail = collect(&losses, mass, tail.value_at_risk()).unwrap();
                assert_eq!(from_tail, tail);
            }
        }
    }

    /// However many paths stand at the tail's end, and wherever the stream stops.
    #[test]
    fn an_atom_is_kept_in_part() {
        for n in (2000..9000).step_by(345) {
            let mass = 0.1 * n as f64;
            // One path in a hundred loses more, 80 % lose exactly 1.
            let loss = |i: usize| {
                if i % 100 == 7 { 2.0 + i as f64 } else { f64::from(u8::from(!i.is_multiple_of(5))) }
            };
            let losses: Vec<f64> = (0..n).map(loss).collect();
            let tail = collect(&losses, mass, f64::NEG_INFINITY).unwrap();
            let worse = losses.iter().filter(|loss| **loss > 1.0).count();
            assert_eq!(
                (tail.value_at_risk(), tail.above, tail.paths.len()),
                (1.0, worse, worse + KEPT_AT_END)
            );
            let first = losses.iter().position(|loss| *loss == 1.0).unwrap();
            assert_eq!(tail.paths[worse].path, first as u64);
            let sum: f64 = losses.iter().filter(|loss| **loss > 1.0).sum();
            let truth = (sum + mass - worse as f64) / mass;
            assert!((tail.mean() / truth - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn a_floor_above_the_tail_is_noticed() {
        let losses = losses(1000, 1 << 30);
        let tail = collect(&losses, 10.5, f64::NEG_INFINITY).unwrap();
        assert_eq!(collect(&losses, 10.5, tail.paths[5].loss), None);
    }
}
