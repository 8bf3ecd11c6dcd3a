//! Numbers as people read them.

/// A number with thousands separators: `-1,234.50`.
pub fn grouped(x: f64, decimals: usize) -> String {
    if !x.is_finite() {
        return "–".to_owned();
    }
    let text = format!("{:.decimals$}", x.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut shown = String::new();
    if x < 0.0 && text.bytes().any(|b| matches!(b, b'1'..=b'9')) {
        shown.push('-');
    }
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    if !fraction.is_empty() {
        shown.push('.');
        shown.push_str(fraction);
    }
    shown
}

/// A count with thousands separators.
pub fn count(n: u64) -> String {
    // Counts of paths and accounts stay below 2^53.
    grouped(n as f64, 0)
}

/// Decimals that show a sum of this size to about six digits, cents at most for large ones.
pub fn decimals(size: f64) -> usize {
    match size {
        size if size >= 10_000.0 => 0,
        size if size >= 100.0 => 2,
        size if size >= 1.0 => 4,
        size if size > 0.0 => 8,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        for (x, decimals, shown) in [
            (0.0, 0, "0"),
            (-0.4, 0, "0"),
            (-0.5001, 0, "-1"),
            (999.0, 0, "999"),
            (1_000.0, 0, "1,000"),
            (-1_234_567.891, 2, "-1,234,567.89"),
            (999_999.9, 0, "1,000,000"),
            (f64::NAN, 0, "–"),
            (f64::NEG_INFINITY, 2, "–"),
        ] {
            assert_eq!(grouped(x, decimals), shown, "{x}");
        }
    }
}
