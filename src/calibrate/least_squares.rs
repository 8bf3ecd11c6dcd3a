//! Least squares within bounds: Levenberg and Marquardt's method by rmpfit.

use rmpfit::{MPConfig, MPError, MPFitter, MPMaxFev, MPPar, MPResult, MPSide, MPSuccess};

/// A step that changes the sum of squares by less than this part of it ends the search, also on a ridge:
/// of 500 residuals it changes the log-likelihood by 2.5e-4, which is a fiftieth of a standard error.
const SUM_TOLERANCE: f64 = 1e-6;
/// So does one that moves the point by less than this part of its distance from the origin.
const POINT_TOLERANCE: f64 = 1e-8;
/// Most evaluations of one search for each coordinate.
const EVALUATIONS: usize = 100;
/// A step cut short at a bound looks like the end: the search starts again there until that gains less
/// than this part of the sum.
const RESTARTS: usize = 4;
const GAIN: f64 = 1e-5;
/// Residual of a point that has none, so large that the search turns back.
const OUTSIDE: f64 = 1e6;

/// Where a search ended.
#[derive(Clone, Debug)]
pub struct LeastSquares {
    /// The point.
    pub at: Vec<f64>,
    /// Sum of squared residuals.
    pub squares: f64,
    /// Standard errors of the coordinates by `s^2 (J'J)^-1`, those of coordinates at a bound held fixed;
    /// none for these and where the residuals do not tell.
    pub standard_errors: Vec<Option<f64>>,
    /// Whether the last search ended by a tolerance.
    pub has_converged: bool,
}

/// What is minimised.
pub trait Residuals {
    /// At a point, always as many; `None` where there are none.
    fn residuals(&self, at: &[f64]) -> Option<Vec<f64>>;

    /// Their derivatives, a column for each coordinate.
    fn derivatives(&self, at: &[f64]) -> Option<Vec<Vec<f64>>>;
}

/// Minimises the sum of squares from `start`, each coordinate within its bounds. `None` where there are
/// no residuals at the start or fewer than coordinates.
pub fn least_squares(
    residuals: &dyn Residuals,
    start: &[f64],
    bounds: &[(f64, f64)],
) -> Option<LeastSquares> {
    let mut at: Vec<f64> = start.iter().zip(bounds).map(|(x, (low, high))| x.clamp(*low, *high)).collect();
    let count = residuals.residuals(&at)?.len();
    let mut problem = Problem { residuals, count, parameters: parameters(bounds), config: config(at.len()) };
    let mut last = f64::INFINITY;
    for restart in 0..=RESTARTS {
        let status = problem.mpfit(&mut at).ok()?;
        let squares: f64 = status.resid.iter().map(|r| r * r).sum();
        if restart == RESTARTS || !(squares < (1.0 - GAIN) * last) {
            let freedom = count as f64 - (status.n_free - status.n_pegged) as f64;
            let size = (squares / freedom.max(1.0)).sqrt();
            let is_pegged = |i: usize| at[i] == bounds[i].0 || at[i] == bounds[i].1;
            let error = |(i, error): (usize, &f64)| (!is_pegged(i) && *error > 0.0).then_some(size * error);
            let standard_errors = status.xerror.iter().enumerate().map(error).collect();
            let has_converged = matches!(
                status.success,
                MPSuccess::Chi | MPSuccess::Par | MPSuccess::Both | MPSuccess::Dir | MPSuccess::Ftol
            );
            return Some(LeastSquares { at, squares, standard_errors, has_converged });
        }
        last = squares;
    }
    None
}

fn parameters(bounds: &[(f64, f64)]) -> Vec<MPPar> {
    let one = |(low, high): &(f64, f64)| MPPar {
        limited_low: true,
        limit_low: *low,
        limited_up: true,
        limit_up: *high,
        side: MPSide::User,
        ..MPPar::new()
    };
    bounds.iter().map(one).collect()
}

fn config(coordinates: usize) -> MPConfig {
    MPConfig {
        ftol: SUM_TOLERANCE,
        xtol: POINT_TOLERANCE,
        max_fev: MPMaxFev::Limited(EVALUATIONS * coordinates),
        ..MPConfig::new()
    }
}

struct Problem<'a> {
    residuals: &'a dyn Residuals,
    count: usize,
    parameters: Vec<MPPar>,
    config: MPConfig,
}

impl MPFitter for Problem<'_> {
    fn eval(&mut self, at: &[f64], deviates: &mut [f64]) -> MPResult<()> {
        let found = self.residuals.residuals(at).filter(|all| all.iter().all(|r| r.is_finite()));
        match found {
            Some(found) => deviates.copy_from_slice(&found),
            None => deviates.fill(OUTSIDE),
        }
        Ok(())
    }

    fn jacobian(
        &mut self,
        at: &[f64],
        deviates: &mut [f64],
        columns: &mut [Option<Vec<f64>>],
    ) -> MPResult<()> {
        self.eval(at, deviates)?;
        let found = self.residuals.derivatives(at).ok_or(MPError::Eval)?;
        for (column, found) in columns.iter_mut().zip(found) {
            if let Some(column) = column {
                column.copy_from_slice(&found);
            }
        }
        Ok(())
    }

    fn number_of_points(&self) -> usize {
        self.count
    }

    fn config(&self) -> &MPConfig {
        &self.config
    }

    fn parameters(&self) -> &[MPPar] {
        &self.parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: (f64, f64) = (-10.0, 10.0);

    struct Given<R, D>(R, D);

    impl<R: Fn(&[f64]) -> Option<Vec<f64>>, D: Fn(&[f64]) -> Vec<Vec<f64>>> Residuals for Given<R, D> {
        fn residuals(&self, at: &[f64]) -> Option<Vec<f64>> {
            (self.0)(at)
        }

        fn derivatives(&self, at: &[f64]) -> Option<Vec<Vec<f64>>> {
            Some((self.1)(at))
        }
    }

    /// A line through points: estimates and errors as by the normal equations.
    #[test]
    fn a_line_has_the_errors_of_the_normal_equations() {
        let y = [1.1, 1.9, 3.2, 3.8, 5.1];
        let residuals = |at: &[f64]| Some((0..5).map(|i| at[0] + at[1] * i as f64 - y[i]).collect());
        let derivatives = |_: &[f64]| vec![vec![1.0; 5], (0..5).map(f64::from).collect()];
        let line = Given(residuals, derivatives);
        let found = least_squares(&line, &[0.3, 0.4], &[FREE, FREE]).expect("a line");
        // Sums: n 5, x 10, xx 30, y 15.1, xy 40.1; slope 9.9/10, intercept 3.02 - 1.98.
        assert!((found.at[0] - 1.04).abs() < 1e-7 && (found.at[1] - 0.99).abs() < 1e-7, "{found:?}");
        let sigma = (found.squares / 3.0).sqrt();
        for (error, unit) in found.standard_errors.iter().zip([(30.0_f64 / 50.0).sqrt(), 0.1_f64.sqrt()]) {
            assert!((error.expect("inside") / (sigma * unit) - 1.0).abs() < 1e-6, "{found:?}");
        }
        assert!(found.has_converged);
    }

    /// Rosenbrock's valley, free and where a bound cuts it off.
    #[test]
    fn a_bound_is_kept_and_its_coordinate_has_no_error() {
        let residuals = |at: &[f64]| Some(vec![10.0 * (at[1] - at[0] * at[0]), 1.0 - at[0], 0.1]);
        let derivatives = |at: &[f64]| vec![vec![-20.0 * at[0], -1.0, 0.0], vec![10.0, 0.0, 0.0]];
        let valley = Given(residuals, derivatives);
        let free = least_squares(&valley, &[-1.2, 1.0], &[FREE, FREE]).expect("a valley");
        assert!((free.at[0] - 1.0).abs() < 1e-4 && (free.at[1] - 1.0).abs() < 2e-4, "{free:?}");
        let cut = least_squares(&valley, &[-1.2, 1.0], &[(-10.0, 0.5), FREE]).expect("a valley");
        assert!(cut.at[0] == 0.5 && (cut.at[1] - 0.25).abs() < 1e-4, "{cut:?}");
        assert!(cut.standard_errors[0].is_none() && cut.standard_errors[1].is_some(), "{cut:?}");
    }

    /// Where there are no residuals the search turns back.
    #[test]
    fn points_without_residuals_are_avoided() {
        let residuals = |at: &[f64]| (at[0] < 2.0).then(|| vec![at[0] - 1.9, 0.5 * (at[0] - 1.9)]);
        let ramp = Given(residuals, |_: &[f64]| vec![vec![1.0, 0.5]]);
        let found = least_squares(&ramp, &[-8.0], &[FREE]).expect("a start");
        assert!((found.at[0] - 1.9).abs() < 1e-6, "{found:?}");
        assert!(least_squares(&ramp, &[3.0], &[FREE]).is_none());
    }
}
