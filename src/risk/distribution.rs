//! The shape of an account's losses, to be looked at.

/// Columns of a distribution.
pub const COLUMNS: usize = 40;

/// How often losses fell into columns of equal width, from the smallest loss to the largest.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    /// Smallest loss.
    pub low: f64,
    /// Largest loss.
    pub high: f64,
    /// Paths in each column; a loss between two columns is in the upper one.
    pub counts: Vec<u32>,
}

impl Distribution {
    /// Sorts losses into columns; `None` where all are one number, or there are none.
    pub fn new(losses: &[f32]) -> Option<Self> {
        let (low, high) = losses.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &loss| {
            (low.min(f64::from(loss)), high.max(f64::from(loss)))
        });
        if !(high > low && high.is_finite() && low.is_finite()) {
            return None;
        }
        let mut counts = vec![0; COLUMNS];
        for &loss in losses {
            let column = (f64::from(loss) - low) / (high - low) * COLUMNS as f64;
            counts[(column as usize).min(COLUMNS - 1)] += 1;
        }
        Some(Self { low, high, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_in_its_column() {
        let losses: Vec<f32> = (0..=80).map(|n| n as f32 - 40.0).collect();
        let found = Distribution::new(&losses).unwrap();
        assert_eq!((found.low, found.high), (-40.0, 40.0));
        assert_eq!(found.counts.iter().sum::<u32>(), 81);
        // Two in each column, and the largest in the last one as well.
        assert_eq!((found.counts[0], found.counts[39]), (2, 3));
        for none in [&[][..], &[1.0; 5], &[1.0, f32::INFINITY]] {
            assert_eq!(Distribution::new(none), None);
        }
    }
}
