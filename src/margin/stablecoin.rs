//! Stablecoins that may fall below a dollar.

/// The charge: each positive balance loses its depeg; 0.05 is 5 %. Loans gain nothing.
pub fn charge(depegs: &[f64; 2], balances: &[f64; 2]) -> f64 {
    depegs.iter().zip(balances).map(|(depeg, balance)| depeg * balance.max(0.0)).sum()
}
