//! Numbers and names of others in words: short, whatever somebody sends.

use std::fmt::{Display, Formatter, Result};

/// A number: as it is usually written, or with a power of ten where that would take hundreds of digits. A precision holds for both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure(pub f64);

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        /// As long as nobody minds the zeros.
        const PLAIN: std::ops::Range<f64> = 1.0e-6..1.0e9;
        let Self(value) = self;
        // (Without a power of ten and with decimals, what is small is 0.0000, which is right.)
        let plain = match f.precision() {
            Some(_) => value.abs() < PLAIN.end,
            None => *value == 0.0 || PLAIN.contains(&value.abs()),
        };
        match f.precision() {
            _ if !value.is_finite() => write!(f, "{value}"),
            Some(decimals) if plain => write!(f, "{value:.decimals$}"),
            Some(decimals) => write!(f, "{value:.decimals$e}"),
            None if plain => write!(f, "{value}"),
            None => write!(f, "{value:e}"),
        }
    }
}

/// A name that somebody else gave: whole where it is one, its beginning where it is a novel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brief<'a>(pub &'a str);

impl Display for Brief<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        /// Characters.
        const MOST: usize = 80;
        match self.0.char_indices().nth(MOST) {
            None => f.write_str(self.0),
            Some((end, _)) => write!(f, "{}... ({} bytes)", &self.0[..end], self.0.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_as_usual_and_is_never_long() {
        for (value, plain, with_decimals) in [
            (0.0, "0", "0.0000"),
            (0.1, "0.1", "0.1000"),
            (-2.5, "-2.5", "-2.5000"),
            (123_456.0, "123456", "123456.0000"),
            (1.0e300, "1e300", "1.0000e300"),
            (-1.0e9, "-1e9", "-1.0000e9"),
            (1.0e-300, "1e-300", "0.0000"),
            (f64::NAN, "NaN", "NaN"),
            (f64::NEG_INFINITY, "-inf", "-inf"),
        ] {
            let figure = Figure(value);
            assert_eq!((format!("{figure}").as_str(), format!("{figure:.4}").as_str()), (plain, with_decimals));
        }
        for value in [f64::MAX, f64::MIN_POSITIVE, -f64::MAX, 4.0e-320, 0.1 + 0.2, 1.0e9 / 3.0] {
            assert!(format!("{} {:.3}", Figure(value), Figure(value)).len() < 50, "{value:e}");
        }
    }

    #[test]
    fn a_name_is_told_whole_unless_it_is_a_novel() {
        assert_eq!(format!("{}", Brief("panda_joint4")), "panda_joint4");
        let novel = "\u{e9}".repeat(1_000_000);
        let told = format!("{}", Brief(&novel));
        assert!(told.len() < 200 && told.ends_with("... (2000000 bytes)"), "{told}");
    }
}
