//! Least margin of short options: a far out-of-the-money option sold short has next to no tail in a
//! model, and is worth its spot price on the day when the model is wrong.

use super::{ShortOptions, ShortStrike};

/// The least margin, in the unit of the premiums.
///
/// # Formula
/// Sum over asset, expiry and strike of the larger of calls and puts, since only one of them can
/// end in the money; of either the larger of `notional` times spot and `premium` times value.
pub fn minimum(rule: &ShortOptions, strikes: &[ShortStrike]) -> f64 {
    let side = |notional: f64, premium: f64| (rule.notional * notional).max(rule.premium * premium);
    let strike =
        |s: &ShortStrike| side(s.call_notional, s.call_premium).max(side(s.put_notional, s.put_premium));
    strikes.iter().map(strike).sum()
}
