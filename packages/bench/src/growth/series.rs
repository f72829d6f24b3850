//! The same work at several sizes, measured in turn.

use crate::growth::slope::exponent;
use crate::section::{Line, Plot, Table};
use crate::tick::quantiles::Quantiles;
use anyhow::Result;
use serde_json::{Value, json};

/// What one round of one case was.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Microseconds of each call.
    pub micros: Vec<f64>,
    /// Calls; more than there are times where one time is the mean of some.
    pub calls: u64,
    /// Allocations within all of them.
    pub allocations: u64,
}

/// One round of one case, given the number of the round.
pub type Measure<'a> = Box<dyn FnMut(u64) -> Result<Sample> + 'a>;

/// Some work at one size.
pub struct Case<'a> {
    /// Which line of the picture it belongs to.
    pub line: String,
    /// The size.
    pub size: f64,
    /// What else there is to say of it, by the columns of its group.
    pub notes: Vec<String>,
    /// Does it once.
    pub measure: Measure<'a>,
}

/// Cases that are compared with each other.
pub struct Group<'a> {
    /// Heading.
    pub title: &'static str,
    /// What a line is: a stream, a mode.
    pub line: &'static str,
    /// Name of the size.
    pub size: &'static str,
    /// Heads of [`Case::notes`].
    pub notes: Vec<&'static str>,
    /// In the order of the lines, each with growing sizes.
    pub cases: Vec<Case<'a>>,
}

/// A case, measured.
#[derive(Debug, Clone)]
pub struct Measured {
    line: String,
    size: f64,
    notes: Vec<String>,
    rounds: Vec<Quantiles>,
    each: Vec<f64>,
    allocations: f64,
}

/// A group, measured.
#[derive(Debug, Clone)]
pub struct Grown {
    title: &'static str,
    line: &'static str,
    size: &'static str,
    notes: Vec<&'static str>,
    cases: Vec<Measured>,
}

/// Of times in microseconds, which are put in order.
fn quantiles(micros: &mut [f64]) -> Quantiles {
    micros.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let rank = (part * micros.len() as f64).ceil().max(1.0) as usize - 1;
        micros.get(rank).copied().unwrap_or(0.0)
    };
    Quantiles { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
}

impl Measured {
    /// The least of each quantile over the rounds.
    pub fn best(&self) -> Quantiles {
        let none = Quantiles { p50: f64::INFINITY, p99: f64::INFINITY, p999: f64::INFINITY, max: f64::INFINITY };
        self.rounds.iter().fold(none, |least, round| least.least(*round))
    }

    /// The quantiles of each call's own least over the rounds.
    pub fn each(&self) -> Quantiles {
        quantiles(&mut self.each.clone())
    }

    /// Allocations a call.
    pub fn allocations(&self) -> f64 {
        self.allocations
    }

    /// By how much the worst round is above the best, as a part of the best.
    fn spread(&self, of: fn(&Quantiles) -> f64) -> f64 {
        let worst = self.rounds.iter().map(of).fold(0.0, f64::max);
        worst / of(&self.best()) - 1.0
    }
}

impl Group<'_> {
    /// Measures all cases in turn, so many rounds; each must have as many times in every round.
    ///
    /// # Errors
    /// From the cases.
    pub fn measure(mut self, rounds: u64) -> Result<Grown> {
        let mut found: Vec<(Vec<Quantiles>, Vec<f64>, u64, u64)> =
            self.cases.iter().map(|_| Default::default()).collect();
        for round in 0..rounds {
            for (case, (quantiled, each, calls, allocations)) in self.cases.iter_mut().zip(&mut found) {
                let mut sample = (case.measure)(round)?;
                if each.is_empty() {
                    each.clone_from(&sample.micros);
                }
                each.iter_mut().zip(&sample.micros).for_each(|(least, now)| *least = least.min(*now));
                quantiled.push(quantiles(&mut sample.micros));
                *calls += sample.calls;
                *allocations += sample.allocations;
            }
        }
        let measured =
            |(case, (rounds, each, calls, allocations)): (Case<'_>, (Vec<Quantiles>, Vec<f64>, u64, u64))| Measured {
                line: case.line,
                size: case.size,
                notes: case.notes,
                rounds,
                each,
                allocations: allocations as f64 / calls.max(1) as f64,
            };
        let cases = self.cases.into_iter().zip(found).map(measured).collect();
        Ok(Grown { title: self.title, line: self.line, size: self.size, notes: self.notes, cases })
    }
}

/// The exponent of the best round, and the least and the greatest of single rounds.
type Exponents = Option<(f64, f64, f64)>;

impl Grown {
    /// The cases.
    pub fn cases(&self) -> &[Measured] {
        &self.cases
    }

    fn lines(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.cases.iter().map(|case| case.line.as_str()).collect();
        names.dedup();
        names
    }

    fn of_line<'a>(&'a self, line: &'a str) -> impl Iterator<Item = &'a Measured> {
        self.cases.iter().filter(move |case| case.line == line)
    }

    fn exponents(&self, line: &str, of: fn(&Quantiles) -> f64) -> Exponents {
        let best: Vec<(f64, f64)> = self.of_line(line).map(|case| (case.size, of(&case.best()))).collect();
        let rounds = self.of_line(line).map(|case| case.rounds.len()).min().unwrap_or(0);
        let in_round = |round: usize| {
            let points: Vec<(f64, f64)> = self.of_line(line).map(|case| (case.size, of(&case.rounds[round]))).collect();
            exponent(&points)
        };
        let single: Vec<f64> = (0..rounds).filter_map(in_round).collect();
        let (low, high) = single.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), e| (l.min(*e), h.max(*e)));
        exponent(&best).map(|best| (best, low, high))
    }

    /// Times by size, and how they grow.
    pub fn tables(&self) -> [Table; 2] {
        let mut columns = vec![self.line.to_owned(), self.size.to_owned()];
        columns.extend(self.notes.iter().map(|note| (*note).to_owned()));
        columns.extend(
            ["p50, us", "p99, us", "max, us", "p50 spread, %", "p99 spread, %", "allocations a call"]
                .map(str::to_owned),
        );
        let row = |case: &Measured| {
            let best = case.best();
            let mut row = vec![case.line.clone(), format!("{:.0}", case.size)];
            row.extend(case.notes.iter().cloned());
            row.extend([best.p50, best.p99, best.max].map(micros));
            row.extend([case.spread(|q| q.p50), case.spread(|q| q.p99)].map(|part| format!("{:.0}", 100.0 * part)));
            row.push(if case.allocations == 0.0 { "0".into() } else { format!("{:.2}", case.allocations) });
            row
        };
        let grows = |line: &str| {
            let mut row = vec![line.to_owned()];
            for of in [(|q| q.p50) as fn(&Quantiles) -> f64, |q| q.p99] {
                row.push(match self.exponents(line, of) {
                    Some((best, low, high)) => format!("{best:.2} ({low:.2} to {high:.2})"),
                    None => "-".into(),
                });
            }
            row
        };
        [
            Table { title: self.title.to_owned(), columns, rows: self.cases.iter().map(row).collect() },
            Table {
                title: format!("{}: exponent (single rounds)", self.title),
                columns: [self.line, "p50", "p99"].map(str::to_owned).to_vec(),
                rows: self.lines().into_iter().map(grows).collect(),
            },
        ]
    }

    /// Median and 99th percentile over the size, both by their logarithms.
    pub fn plot(&self) -> Plot {
        let mut lines = Vec::new();
        for line in self.lines() {
            for (name, of) in [("p50", (|q| q.p50) as fn(&Quantiles) -> f64), ("p99", |q| q.p99)] {
                let points = self.of_line(line).map(|case| (case.size, of(&case.best()))).collect();
                lines.push(Line { name: format!("{line}, {name}"), points });
            }
        }
        Plot {
            title: self.title.to_owned(),
            x: self.size.to_owned(),
            y: "us a call".to_owned(),
            log_x: true,
            log_y: true,
            lines,
        }
    }

    /// Every figure.
    pub fn to_json(&self) -> Value {
        let case = |case: &Measured| {
            let notes: serde_json::Map<String, Value> = self
                .notes
                .iter()
                .zip(&case.notes)
                .map(|(name, note)| ((*name).to_owned(), note.clone().into()))
                .collect();
            json!({
                "line": case.line, "size": case.size, "notes": notes, "best_us": case.best().to_json(), "each_least_us": case.each().to_json(),
                "rounds_us": case.rounds.iter().map(|round| round.to_json()).collect::<Value>(), "allocations": case.allocations,
            })
        };
        let grows = |line: &str| {
            let of = |of| {
                self.exponents(line, of)
                    .map(|(best, low, high)| json!({ "best": best, "least": low, "greatest": high }))
            };
            json!({ "line": line, "p50": of(|q| q.p50), "p99": of(|q| q.p99) })
        };
        json!({
            "title": self.title, "size": self.size, "cases": self.cases.iter().map(case).collect::<Value>(),
            "exponents": self.lines().into_iter().map(grows).collect::<Value>(),
        })
    }
}

/// Microseconds with three digits that count.
fn micros(value: f64) -> String {
    match value {
        v if v < 1.0 => format!("{v:.3}"),
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn sizes_are_measured_in_turn_and_the_least_of_the_rounds_is_told() {
        let order = RefCell::new(Vec::new());
        let case = |size: f64| {
            let order = &order;
            let measure = move |round: u64| {
                order.borrow_mut().push((round, size));
                // The second round is twice as long.
                let micros = vec![size * (1.0 + round as f64); 10];
                Ok(Sample { micros, calls: 10, allocations: 5 })
            };
            Case { line: "work".into(), size, notes: vec![], measure: Box::new(measure) as Measure<'_> }
        };
        let group = Group { title: "t", line: "l", size: "n", notes: vec![], cases: vec![case(2.0), case(4.0)] };
        let grown = group.measure(2).unwrap();
        assert_eq!(*order.borrow(), [(0, 2.0), (0, 4.0), (1, 2.0), (1, 4.0)]);
        let [first, second] = grown.cases() else { panic!("two cases") };
        assert_eq!((first.best().p50, second.best().max, second.each().p999), (2.0, 4.0, 4.0));
        assert_eq!((first.spread(|q| q.p50), first.allocations()), (1.0, 0.5));
        let [times, exponents] = grown.tables();
        assert_eq!(times.rows[1], ["work", "4", "4.00", "4.00", "4.00", "100", "100", "0.50"]);
        assert_eq!(times.columns.len(), times.rows[0].len());
        assert_eq!(exponents.rows, [["work", "1.00 (1.00 to 1.00)", "1.00 (1.00 to 1.00)"]]);
        assert_eq!(grown.plot().lines[0].points, [(2.0, 2.0), (4.0, 4.0)]);
    }
}
