//! Correlation of diffusive shocks: positive semidefinite, or refused with the nearest that is.

use std::fmt;

use nalgebra::{DMatrix, SymmetricEigen};

/// A correlation matrix: symmetric, unit diagonal, positive semidefinite.
#[derive(Clone, Debug, PartialEq)]
pub struct Correlation {
    n: usize,
    /// Row-major, `[n][n]`.
    values: Vec<f64>,
}

/// Why a matrix is no correlation matrix.
#[derive(Clone, Debug, PartialEq)]
pub enum CorrelationFault {
    /// An entry that is not finite or not in [-1, 1].
    Entry(usize, usize, f64),
    /// A diagonal entry that is not one.
    Diagonal(usize, f64),
    /// Two mirrored entries that differ.
    Asymmetric(usize, usize),
    /// A negative eigenvalue; with the nearest correlation matrix (Higham 2002).
    NotPositive {
        /// The smallest eigenvalue.
        eigenvalue: f64,
        /// The nearest correlation matrix in the Frobenius norm.
        nearest: Correlation,
    },
}

impl fmt::Display for CorrelationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entry(row, column, value) => write!(f, "{value} in row {}, column {}", row + 1, column + 1),
            Self::Diagonal(row, value) => write!(f, "{value} on the diagonal in row {}", row + 1),
            Self::Asymmetric(row, column) => {
                write!(f, "different values at ({0}, {1}) and ({1}, {0})", row + 1, column + 1)
            }
            Self::NotPositive { eigenvalue, .. } => {
                write!(f, "a matrix that is not positive semidefinite (smallest eigenvalue {eigenvalue:.3e})")
            }
        }
    }
}

/// An eigenvalue above `-n * ROUNDING` is zero that was printed with a few decimals.
const ROUNDING: f64 = 1e-6;
const HIGHAM_ITERATIONS: usize = 500;
const HIGHAM_TOLERANCE: f64 = 1e-12;

impl Correlation {
    /// Checks a row-major matrix.
    pub fn new(n: usize, values: Vec<f64>) -> Result<Self, CorrelationFault> {
        assert_eq!(values.len(), n * n, "a square matrix was promised by the reader");
        for row in 0..n {
            for column in 0..n {
                let value = values[row * n + column];
                if !(value.abs() <= 1.0) {
                    return Err(CorrelationFault::Entry(row, column, value));
                }
                if !((value - values[column * n + row]).abs() <= 1e-9) {
                    return Err(CorrelationFault::Asymmetric(row, column));
                }
            }
            if !((values[row * n + row] - 1.0).abs() <= 1e-9) {
                return Err(CorrelationFault::Diagonal(row, values[row * n + row]));
            }
        }
        let candidate = Self { n, values };
        let eigenvalue = candidate.smallest_eigenvalue();
        if eigenvalue < -(n as f64) * ROUNDING {
            return Err(CorrelationFault::NotPositive { eigenvalue, nearest: candidate.nearest() });
        }
        Ok(candidate)
    }

    /// No correlation between `n` assets.
    pub fn identity(n: usize) -> Self {
        Self { n, values: DMatrix::<f64>::identity(n, n).as_slice().to_vec() }
    }

    /// Number of assets.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are no assets.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Correlation of two assets.
    pub fn get(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.n + column]
    }

    /// `(1 - weight)` times this plus `weight` times a matrix of `toward` off the diagonal, made
    /// positive semidefinite if the target is not.
    pub fn blend(&self, toward: f64, weight: f64) -> Self {
        let mut values = self.values.clone();
        for row in 0..self.n {
            for column in 0..self.n {
                if row != column {
                    let value = &mut values[row * self.n + column];
                    *value += weight * (toward - *value);
                }
            }
        }
        Self { n: self.n, values }.nearest()
    }

    /// Lower Cholesky factor, row-major `[n][n]`; rows of dependent assets are completed with
    /// zeros, so a correlation of exactly one is allowed.
    pub fn cholesky(&self) -> Vec<f64> {
        let n = self.n;
        let mut lower = vec![0.0; n * n];
        for row in 0..n {
            for column in 0..=row {
                let dot: f64 = (0..column).map(|j| lower[row * n + j] * lower[column * n + j]).sum();
                let rest = self.get(row, column) - dot;
                lower[row * n + column] = if row == column {
                    rest.max(0.0).sqrt()
                } else if lower[column * n + column] > ROUNDING {
                    rest / lower[column * n + column]
                } else {
                    0.0
                };
            }
            // A semidefinite row loses a little length to rounding; shocks must have unit variance.
            let length = lower[row * n..=row * n + row].iter().map(|x| x * x).sum::<f64>().sqrt();
            lower[row * n..=row * n + row].iter_mut().for_each(|x| *x /= length);
        }
        lower
    }

    /// The nearest correlation matrix (Higham 2002: alternating projections with Dykstra's
    /// correction).
    pub fn nearest(&self) -> Self {
        let n = self.n;
        let mut y = DMatrix::from_row_slice(n, n, &self.values);
        let mut correction = DMatrix::<f64>::zeros(n, n);
        for _ in 0..HIGHAM_ITERATIONS {
            let shifted = &y - &correction;
            let eigen = SymmetricEigen::new(shifted.clone());
            let positive = DMatrix::from_diagonal(&eigen.eigenvalues.map(|x| x.max(0.0)));
            let projected = &eigen.eigenvectors * positive * eigen.eigenvectors.transpose();
            correction = &projected - shifted;
            let mut next = (&projected + projected.transpose()) * 0.5;
            next.fill_diagonal(1.0);
            let change = (&next - &y).norm();
            y = next;
            if change < HIGHAM_TOLERANCE {
                break;
            }
        }
        let values = y.iter().map(|x| x.clamp(-1.0, 1.0)).collect();
        Self { n, values }
    }

    fn smallest_eigenvalue(&self) -> f64 {
        let matrix = DMatrix::from_row_slice(self.n, self.n, &self.values);
        SymmetricEigen::new(matrix).eigenvalues.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indefinite_matrix_is_refused_and_the_nearest_is_offered() {
        // Higham (2002), section 4: the nearest has off-diagonals 0.7607, 0.1573, 0.7607.
        let values = vec![1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0, 1.0];
        let Err(CorrelationFault::NotPositive { eigenvalue, nearest }) = Correlation::new(3, values) else {
            panic!("an indefinite matrix passed");
        };
        assert!((eigenvalue + 0.4142).abs() < 1e-4);
        assert!((nearest.get(0, 1) - 0.7607).abs() < 1e-4);
        assert!((nearest.get(0, 2) - 0.1573).abs() < 1e-4);
        assert!(Correlation::new(3, nearest.values).is_ok());
    }

    #[test]
    fn bad_entries_are_named() {
        assert!(matches!(
            Correlation::new(2, vec![1.0, f64::NAN, 0.0, 1.0]),
            Err(CorrelationFault::Entry(0, 1, _))
        ));
        assert!(matches!(
            Correlation::new(2, vec![1.0, 0.5, 0.4, 1.0]),
            Err(CorrelationFault::Asymmetric(..))
        ));
        assert!(matches!(
            Correlation::new(2, vec![0.9, 0.5, 0.5, 1.0]),
            Err(CorrelationFault::Diagonal(0, _))
        ));
    }

    #[test]
    fn cholesky_rebuilds_the_matrix_also_at_correlation_one() {
        for rho in [0.3, 1.0, -1.0] {
            let matrix = Correlation::new(2, vec![1.0, rho, rho, 1.0]).unwrap();
            let l = matrix.cholesky();
            assert!((l[2] * l[0] - rho).abs() < 1e-12);
            assert!((l[2] * l[2] + l[3] * l[3] - 1.0).abs() < 1e-12);
        }
    }
}
