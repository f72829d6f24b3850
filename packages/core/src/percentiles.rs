//! Percentiles of the last measurements, for diagnostics.

/// Keeps the last `capacity` values. Adding does not allocate.
#[derive(Debug, Clone)]
pub struct Percentiles {
    values: Vec<f64>,
    next: usize,
    capacity: usize,
}

impl Percentiles {
    /// Of the last `capacity` (at least 1) values.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self { values: Vec::with_capacity(capacity), next: 0, capacity }
    }

    /// Adds a measurement; one that is not finite is left out.
    pub fn add(&mut self, value: f64) {
        if !value.is_finite() {
            return;
        }
        if self.values.len() < self.capacity {
            self.values.push(value);
        } else {
            self.values[self.next] = value;
        }
        self.next = (self.next + 1) % self.capacity;
    }

    /// How many values are kept.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// The smallest kept value that at least the share `q` (0 to 1) of all is not above; `None` without values.
    pub fn at(&self, q: f64) -> Option<f64> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (q.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }

    /// p50 and p99 in milliseconds of values in seconds, as diagnostics show them.
    pub fn shown_ms(&self, what: &str) -> [(String, String); 2] {
        let ms = |q| self.at(q).map_or("none yet".to_owned(), |v| format!("{:.1}", v * 1e3));
        [(format!("{what} p50 ms"), ms(0.5)), (format!("{what} p99 ms"), ms(0.99))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_numbers_one_to_hundred_half_are_at_most_fifty() {
        let mut p = Percentiles::new(100);
        assert_eq!(p.at(0.5), None);
        (1..=100).rev().for_each(|v| p.add(f64::from(v)));
        assert_eq!((p.at(0.5), p.at(0.99), p.at(1.0), p.at(0.0)), (Some(50.0), Some(99.0), Some(100.0), Some(1.0)));
    }

    #[test]
    fn old_measurements_make_room_and_odd_ones_are_left_out() {
        let mut p = Percentiles::new(3);
        [9.0, f64::NAN, 1.0, 2.0, 3.0].into_iter().for_each(|v| p.add(v));
        assert_eq!((p.count(), p.at(1.0)), (3, Some(3.0)));
    }
}
