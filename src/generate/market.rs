//! A synthetic market: surfaces free of arbitrage by construction, a correlation of few factors.

use std::io::{self, Write};

use rand::RngExt;

use super::{Night, rounded, stream};
use crate::numeric::{PhiloxRng, Real};

/// Midnight before the first expiry but one day and eight hours.
pub const AS_OF: &str = "2026-01-07T00:00:00Z";
/// Days of each expiry after [`AS_OF`], and its name. All expire at 08:00.
pub const EXPIRIES: [(f64, &str, &str); 8] = [
    (1.0, "8JAN26", "2026-01-08"),
    (2.0, "9JAN26", "2026-01-09"),
    (9.0, "16JAN26", "2026-01-16"),
    (23.0, "30JAN26", "2026-01-30"),
    (51.0, "27FEB26", "2026-02-27"),
    (79.0, "27MAR26", "2026-03-27"),
    (170.0, "26JUN26", "2026-06-26"),
    (352.0, "25DEC26", "2026-12-25"),
];
/// Assets with options, at most.
const OPTION_ASSETS: usize = 8;
/// Assets with dated futures, at most.
const FUTURE_ASSETS: usize = 16;
/// Sectors, whose assets move together.
const SECTORS: usize = 5;

/// One asset.
pub struct SyntheticAsset {
    pub name: String,
    pub spot: f64,
    pub volatility: f64,
    /// Annualised basis of its futures.
    basis: f64,
    skew: f64,
    curvature: f64,
    jump_intensity: f64,
    loading: f64,
    funding: f64,
    market_beta: f64,
    sector_beta: f64,
    has_kou: bool,
}

/// The market before it is written.
pub struct Synthetic {
    pub assets: Vec<SyntheticAsset>,
    correlation: Vec<f64>,
}

/// Years to an expiry, which is at 08:00.
pub fn years(expiry: usize) -> f64 {
    (EXPIRIES[expiry].0 + 8.0 / 24.0) / 365.0
}

impl Synthetic {
    pub fn new(night: &Night) -> Self {
        let mut rng = PhiloxRng::new(night.seed, stream::MARKET);
        let assets: Vec<_> =
            (0..night.assets as usize).map(|index| SyntheticAsset::new(index, &mut rng)).collect();
        let n = assets.len();
        let mut correlation = vec![1.0; n * n];
        for row in 0..n {
            for column in 0..row {
                let (a, b) = (&assets[row], &assets[column]);
                let sector =
                    if row % SECTORS == column % SECTORS { a.sector_beta * b.sector_beta } else { 0.0 };
                // Own variance is at least 0.07, more than this noise can take away.
                let noise = uniform(&mut rng, -0.002, 0.002);
                let value = ((a.market_beta * b.market_beta + sector + noise) * 1e6).round() / 1e6;
                correlation[row * n + column] = value;
                correlation[column * n + row] = value;
            }
        }
        Self { assets, correlation }
    }

    /// Assets with options.
    pub fn option_assets(&self) -> usize {
        self.assets.len().min(OPTION_ASSETS)
    }

    /// Assets with dated futures.
    pub fn future_assets(&self) -> usize {
        self.assets.len().min(FUTURE_ASSETS)
    }

    pub fn write_yaml(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# A synthetic market: nothing in it is real.")?;
        writeln!(
            out,
            "as_of: {AS_OF}\nsource: synthetic, from `shortfall generate`\ndiscount_rate: 0.03\nassets:"
        )?;
        for (index, asset) in self.assets.iter().enumerate() {
            writeln!(out, "  - name: {}", asset.name)?;
            writeln!(out, "    spot: {:?}", asset.spot)?;
            writeln!(out, "    volatility: {:?}", asset.volatility)?;
            writeln!(out, "    tail_group: {}", if index < SECTORS { "majors" } else { "others" })?;
            let law = match asset.has_kou {
                true => "law: kou, up_probability: 0.45, up_rate: 14, down_rate: 11",
                false => "law: merton, mean: 0.01, sd: 0.09",
            };
            writeln!(out, "    own_jumps: {{intensity: {:?}, {law}}}", asset.jump_intensity)?;
            writeln!(out, "    common_jump_loading: {:?}", asset.loading)?;
            if index < self.option_assets() {
                writeln!(
                    out,
                    "    implied_volatility: {{mean_reversion: 8, volatility: 0.7, spot_correlation: -0.5, common_jump_shift: 0.15, own_jump_shift: 0.08, reference_tenor: 30d}}"
                )?;
            }
            if index < self.future_assets() {
                writeln!(out, "    basis_volatility: 0.07")?;
            }
            writeln!(out, "    funding_rate: {:?}", asset.funding)?;
        }
        writeln!(
            out,
            "tail_groups: {{majors: {{degrees_of_freedom: 4.2}}, others: {{degrees_of_freedom: 3.6}}}}"
        )?;
        writeln!(out, "common_jumps: {{intensity: 3, law: merton, mean: -0.06, sd: 0.11}}")?;
        writeln!(out, "correlation: correlation.csv\nforwards: forwards.csv\nsurfaces: surfaces.csv")
    }

    pub fn write_correlation(&self, out: &mut dyn Write) -> io::Result<()> {
        let names: Vec<&str> = self.assets.iter().map(|asset| asset.name.as_str()).collect();
        writeln!(out, "asset,{}", names.join(","))?;
        for (name, row) in names.iter().zip(self.correlation.chunks(names.len())) {
            let cells: Vec<String> = row.iter().map(|x| format!("{x:?}")).collect();
            writeln!(out, "{name},{}", cells.join(","))?;
        }
        Ok(())
    }

    pub fn write_forwards(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "asset,expiry,forward")?;
        for asset in &self.assets[..self.future_assets()] {
            for (expiry, (_, _, date)) in EXPIRIES.iter().enumerate() {
                writeln!(out, "{},{date}T08:00:00Z,{:?}", asset.name, asset.forward(expiry))?;
            }
        }
        Ok(())
    }

    pub fn write_surfaces(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "asset,expiry,a,b,rho,m,sigma")?;
        for asset in &self.assets[..self.option_assets()] {
            for (expiry, (_, _, date)) in EXPIRIES.iter().enumerate() {
                let [a, b, rho, m, sigma] = asset.svi(expiry).map(rounded);
                writeln!(out, "{},{date}T08:00:00Z,{a:?},{b:?},{rho:?},{m:?},{sigma:?}", asset.name)?;
            }
        }
        Ok(())
    }
}

impl SyntheticAsset {
    fn new(index: usize, rng: &mut PhiloxRng) -> Self {
        let spot = match index {
            0 => 90_000.0,
            1 => 3_000.0,
            _ => Real::exp(uniform(rng, -2.0, 6.0)),
        };
        let size = 1.0 - 1.0 / (1.0 + index as f64 / 4.0);
        Self {
            name: format!("C{:02}", index + 1),
            spot: rounded((spot * uniform(rng, 0.9, 1.1) * 1e6).round() / 1e6),
            volatility: rounded(0.4 + 0.5 * size + uniform(rng, 0.0, 0.2)),
            basis: uniform(rng, 0.0, 0.12),
            skew: uniform(rng, -0.35, 0.1),
            curvature: uniform(rng, 0.6, 1.2),
            jump_intensity: rounded(uniform(rng, 1.0, 4.0)),
            loading: rounded(1.0 + 0.8 * size + uniform(rng, -0.1, 0.1)),
            funding: rounded(uniform(rng, -0.05, 0.15)),
            market_beta: uniform(rng, 0.6, 0.88),
            sector_beta: uniform(rng, 0.1, 0.38),
            has_kou: index % 3 == 2,
        }
    }

    /// Forward price of an expiry.
    pub fn forward(&self, expiry: usize) -> f64 {
        rounded(self.spot * Real::exp(self.basis * years(expiry)))
    }

    /// At-the-money total variance: rises with expiry for any mean reversion.
    fn total_variance(&self, expiry: usize) -> f64 {
        const REVERSION: f64 = 6.0;
        let t = years(expiry);
        let near = self.volatility * self.volatility;
        let far = 1.2 * near;
        far * t + (near - far) * -Real::expm1(-REVERSION * t) / REVERSION
    }

    /// Raw SVI `a, b, rho, m, sigma` of an expiry: a slice of the surface SSVI with the power law
    /// `phi = eta / sqrt(theta (1 + theta))`. With `eta (1 + |rho|) <= 2` and rising `theta` it is
    /// free of butterfly and calendar arbitrage (Gatheral and Jacquier 2014, section 4.2).
    pub fn svi(&self, expiry: usize) -> [f64; 5] {
        let theta = self.total_variance(expiry);
        let phi = self.curvature / (theta * (1.0 + theta)).sqrt();
        let rho = self.skew;
        let flat = 1.0 - rho * rho;
        [0.5 * theta * flat, 0.5 * theta * phi, rho, -rho / phi, flat.sqrt() / phi]
    }
}

/// Uniform between two numbers.
pub fn uniform(rng: &mut PhiloxRng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.random::<f64>()
}
