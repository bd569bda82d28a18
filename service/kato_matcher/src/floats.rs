//! The float operations whose last bit is pinned: the twins of `kato_service/engine/floats.py` and `equality.py`.
//!
//! Called by recall, the ensemble sums and the metrics. Rust never fuses or reorders float operations, so the same
//! expression gives the same bits as in Python.

use std::f64::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Binary logarithm of a positive normal double, by the series that `floats.py` describes; no call of libm.
pub fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = ((bits >> 52) & 0x7ff) as i32 - 1022;
    let mut mantissa = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    if mantissa < FRAC_1_SQRT_2 {
        mantissa *= 2.0;
        exponent -= 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let mut series = 1.0 / 21.0;
    for k in (1..20).rev().step_by(2) {
        series = series * z + 1.0 / f64::from(k);
    }
    f64::from(exponent) + (2.0 * s * series) * LOG2_E
}

/// `2 * common / total`, one division of exact integers; 1.0 for two empty texts.
pub fn similarity_of(common: usize, total: usize) -> f64 {
    if total == 0 { 1.0 } else { (2 * common) as f64 / total as f64 }
}

/// The least `common` in `1..=most` whose similarity reaches `threshold`, found with the expression that defines it.
///
/// None when even `most` does not reach it. The similarity grows with `common`, so a binary search is exact.
pub fn least_common(total: usize, most: usize, threshold: f64) -> Option<usize> {
    let (mut low, mut high) = (1, most + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        if similarity_of(middle, total) >= threshold {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    (low <= most).then_some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_other_twin() {
        assert_eq!(
            (FRAC_1_SQRT_2.to_string(), LOG2_E.to_string()),
            ("0.7071067811865476".into(), "1.4426950408889634".into())
        );
    }

    #[test]
    fn log2_is_exact_for_powers_of_two_and_close_elsewhere() {
        assert_eq!(log2(1.0).to_bits(), 0.0f64.to_bits());
        assert_eq!(log2(1024.0), 10.0);
        assert_eq!(log2(0.125), -3.0);
        for n in 1..2000 {
            let x = f64::from(n) / 777.0;
            assert!((log2(x) - x.log2()).abs() <= 4e-15 * x.log2().abs().max(1.0));
        }
    }

    #[test]
    fn the_least_common_is_found_by_the_expression_itself() {
        assert_eq!(least_common(100, 50, 0.14), Some(7)); // ceil(t n / 2) says 8
        assert_eq!(least_common(3, 1, 2.0 / 3.0), Some(1));
        assert_eq!(least_common(10, 4, 1.0), None);
        for total in 2..60 {
            for t in 1..=total {
                let threshold = t as f64 / total as f64;
                let plain = (1..=total / 2).find(|&l| similarity_of(l, total) >= threshold);
                assert_eq!(least_common(total, total / 2, threshold), plain);
            }
        }
    }
}
