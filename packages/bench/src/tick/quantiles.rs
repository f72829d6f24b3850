//! Quantiles of durations.

use serde_json::{Value, json};

/// Microseconds that parts of the durations do not exceed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// Half.
    pub p50: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

impl Quantiles {
    /// Of durations in nanoseconds, which are put in order; zeros where there are none.
    pub fn of(nanos: &mut [u64]) -> Self {
        nanos.sort_unstable();
        let at = |part: f64| {
            let rank = (part * nanos.len() as f64).ceil().max(1.0) as usize - 1;
            nanos.get(rank).map_or(0.0, |n| *n as f64 * 1.0e-3)
        };
        Self { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }

    /// The least of each.
    pub fn least(self, other: Self) -> Self {
        Self {
            p50: self.p50.min(other.p50),
            p99: self.p99.min(other.p99),
            p999: self.p999.min(other.p999),
            max: self.max.min(other.max),
        }
    }

    /// As numbers in microseconds.
    pub fn to_json(self) -> Value {
        json!({ "p50": self.p50, "p99": self.p99, "p999": self.p999, "max": self.max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let mut nanos: Vec<u64> = (1..=2000).rev().map(|n| n * 1000).collect();
        let found = Quantiles::of(&mut nanos);
        assert_eq!(found, Quantiles { p50: 1000.0, p99: 1980.0, p999: 1998.0, max: 2000.0 });
        let other = Quantiles { p50: 2000.0, p99: 1.0, ..found };
        assert_eq!(found.least(other), Quantiles { p99: 1.0, ..found });
        assert_eq!(Quantiles::of(&mut []).max, 0.0);
    }
}
