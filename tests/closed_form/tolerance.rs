//! Every tolerance of these tests, with its inequality and where it comes from.

/// `|ours - exact| <= PRICE_RELATIVE * exact`: the tables print 13 or more digits, and an option of
/// 1e-13 of its spot still keeps 8 of them.
pub const PRICE_RELATIVE: f64 = 1e-11;

/// `|ours - exact| <= KOU_RELATIVE * exact`: the cosine sum is exact to about 1e-15 of the strike,
/// and the cheapest option of the table is 1e-5 of its strike.
pub const KOU_RELATIVE: f64 = 1e-9;

/// `|ours - exact| <= HESTON_RELATIVE * exact`: the integrand's logarithm is a difference of terms up to
/// some hundreds, good to 1e-16 of them.
pub const HESTON_RELATIVE: f64 = 1e-11;

/// `|ours - published| <= one unit in the last printed place`: Haug prints some values truncated or
/// rounded from slightly other inputs (1.8734 for 1.87334457), and QuantLib grants him that unit.
pub fn one_unit(decimals: i32) -> f64 {
    10f64.powi(-decimals)
}

/// `|ours - exact| <= FORMULA_RELATIVE * |exact|` for closed forms against 18 digits: quantiles are
/// found to neighbouring doubles and the tail 1 - alpha keeps 12 digits at alpha = 0.9999.
pub const FORMULA_RELATIVE: f64 = 2e-12;

/// `|ours - exact| <= PRINTED_RELATIVE * |exact|`: tables printed to ten or more digits.
pub const PRINTED_RELATIVE: f64 = 1e-9;

/// `|ours - exact| <= GIL_PELAEZ_RELATIVE * |exact|`: what the Kou table claims for itself is 1e-10
/// of a probability, which near VaR is 1e-10/(1-alpha)/density-slope, some 1e-8 of the loss.
pub const GIL_PELAEZ_RELATIVE: f64 = 1e-8;

/// `|ours - exact| <= BOOK_RELATIVE * |exact|`: the book table claims about 1e-8 and prints ten digits.
pub const BOOK_RELATIVE: f64 = 1e-8;

/// Relative closeness without any absolute escape; false for NaN.
pub fn close(ours: f64, exact: f64, relative: f64) -> bool {
    (ours - exact).abs() <= relative * exact.abs()
}

#[test]
fn close_refuses_what_is_wrong() {
    assert!(close(1.0, 1.0 + 1e-12, 1e-11));
    assert!(!close(1e-20, 2e-20, 1e-11));
    assert!(!close(f64::NAN, 1.0, 1e-11));
    assert!(!close(1.0, f64::NAN, 1e-11));
    assert!(!close(0.0, 1.0, 1e-11));
}
