//! What `core` lacks of floating point. The same on every machine: only IEEE operations are used.

/// The square root of a number that is not negative, to within a unit or two of the last place.
pub(crate) fn sqrt(x: f64) -> f64 {
    if x <= 0.0 || !x.is_finite() {
        return x.max(0.0);
    }
    // Halving the exponent is within a factor of two; Newton doubles the right digits each time.
    let mut root = f64::from_bits((x.to_bits() + (1023 << 52)) / 2);
    for _ in 0..6 {
        root = 0.5 * (root + x / root);
    }
    root
}

#[cfg(test)]
mod tests {
    use super::sqrt;

    #[test]
    fn roots_are_right_to_the_last_places() {
        for x in [1.0, 2.0, 0.25, 1e-12, 3.7e17, 0.547] {
            assert!((sqrt(x) * sqrt(x) - x).abs() <= 4.0 * f64::EPSILON * x, "{x}");
        }
        assert_eq!(sqrt(0.0), 0.0);
    }
}
