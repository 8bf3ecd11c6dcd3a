//! A slow, plain f64 simulation: what the engine is to be, without any of its cleverness.

use shortfall::closed_form::{EuropeanOption, OptionKind};
use shortfall::validate::prices::{JumpModel, MonteCarloEstimate, MonteCarloFailure, MonteCarloPricer};

/// One exact draw of the log return per path, all options of a
/// group on the same paths.
pub struct PlainPricer {
    pub paths: u32,
    pub seed: u64,
    /// Multiplies every diffusive volatility: 1 is right, anything else is the negative control.
    pub volatility_factor: f64,
    pub calls: usize,
}

impl PlainPricer {
    pub fn new(paths: u32, seed: u64) -> Self {
        Self { paths, seed, volatility_factor: 1.0, calls: 0 }
    }
}

impl MonteCarloPricer for PlainPricer {
    fn price(
        &mut self,
        options: &[EuropeanOption],
        model: &JumpModel,
    ) -> Result<Vec<MonteCarloEstimate>, MonteCarloFailure> {
        self.calls += 1;
        let mut draws = Draws(self.seed ^ (self.calls as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let first = options[0];
        let mut sums = vec![(0.0, 0.0); options.len()];
        for _ in 0..self.paths {
            let x = log_return(model, self.volatility_factor, first.expiry_years, &mut draws);
            let price = first.forward() * x.exp();
            for (option, (sum, squares)) in options.iter().zip(&mut sums) {
                let payoff = match option.kind {
                    OptionKind::Call => (price - option.strike).max(0.0),
                    OptionKind::Put => (option.strike - price).max(0.0),
                };
                *sum += payoff;
                *squares += payoff * payoff;
            }
        }
        let n = f64::from(self.paths);
        let estimate = |(sum, squares): (f64, f64)| {
            let mean = sum / n;
            let variance = (squares / n - mean * mean).max(0.0);
            MonteCarloEstimate {
                mean: first.discount() * mean,
                standard_error: first.discount() * (variance / n).sqrt(),
            }
        };
        Ok(sums.into_iter().map(estimate).collect())
    }
}

fn log_return(model: &JumpModel, factor: f64, years: f64, draws: &mut Draws) -> f64 {
    let (volatility, compensator) = match model {
        JumpModel::Black { volatility } => (*volatility, 0.0),
        JumpModel::Merton(m) => {
            let mean_price = (m.mean_log_jump + 0.5 * m.sd_log_jump * m.sd_log_jump).exp();
            (m.volatility, m.intensity * (mean_price - 1.0))
        }
        JumpModel::Kou(k) => {
            let up = k.p_up * k.eta_up / (k.eta_up - 1.0);
            let down = (1.0 - k.p_up) * k.eta_down / (k.eta_down + 1.0);
            (k.volatility, k.intensity * (up + down - 1.0))
        }
    };
    let sd = factor * volatility * years.sqrt();
    let mut x = -0.5 * sd * sd - compensator * years + sd * draws.normal();
    match model {
        JumpModel::Black { .. } => {}
        JumpModel::Merton(m) => {
            for _ in 0..draws.poisson(m.intensity * years) {
                x += m.mean_log_jump + m.sd_log_jump * draws.normal();
            }
        }
        JumpModel::Kou(k) => {
            for _ in 0..draws.poisson(k.intensity * years) {
                let up = draws.uniform() < k.p_up;
                x += if up { draws.exponential() / k.eta_up } else { -draws.exponential() / k.eta_down };
            }
        }
    }
    x
}

/// SplitMix64 (Steele, Lea & Flood 2014).
struct Draws(u64);

impl Draws {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        ((z >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    fn normal(&mut self) -> f64 {
        let radius = (2.0 * self.exponential()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// Arrivals of a unit-rate clock before `mean`.
    fn poisson(&mut self, mean: f64) -> u32 {
        let mut clock = self.exponential();
        let mut count = 0;
        while clock < mean {
            count += 1;
            clock += self.exponential();
        }
        count
    }
}
