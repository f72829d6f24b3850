//! Tables and JSON.

use crate::rivals::RIVALS;
use crate::run::Totals;
use crate::stimulus::SCENARIOS;
use crate::tally::{Measured, Quantity};
use serde_json::{Value, json};
use std::fmt::Write;

/// One rule as JSON.
pub fn measured(m: &Measured) -> Value {
    let t = &m.tally;
    let by_quantity: serde_json::Map<String, Value> = Quantity::ALL
        .iter()
        .enumerate()
        .map(|(i, q)| {
            let mut entry = json!({ "violations": t.violations[i] });
            if i < Quantity::LIMITED {
                entry["max_excess"] = json!(t.max_excess[i]);
            }
            (q.name().to_owned(), entry)
        })
        .collect();
    json!({
        "ticks": t.ticks,
        "ticks_sent": t.sent,
        "violations": t.total(),
        "max_excess": t.worst_excess(),
        "tick_us": {
            "p50": m.time.quantile_us(0.5),
            "p99": m.time.quantile_us(0.99),
            "p999": m.time.quantile_us(0.999),
            "max": m.time.longest_us(),
        },
        "allocations_per_tick": t.allocations as f64 / t.ticks.max(1) as f64,
        "quantities": by_quantity,
        "chunks_taken": t.chunks[0],
        "chunks_refused": t.chunks[1],
        "motions": t.starts,
        "unknowable_starts": t.unknowable,
        "max_start_step": t.start_step,
        "found": t.found,
    })
}

/// A run as JSON.
pub fn to_json(totals: &Totals) -> Value {
    let mut all = measured(&totals.filter);
    all["seed"] = json!(totals.seed);
    all["episodes"] = json!(totals.episodes);
    all["panda"] = measured(&totals.panda);
    all["scenarios"] = SCENARIOS
        .iter()
        .zip(&totals.scenarios)
        .map(|(s, m)| {
            let mut one = measured(m);
            one["name"] = json!(s.name);
            one
        })
        .collect();
    all["rivals"] = RIVALS
        .iter()
        .zip(&totals.rivals)
        .map(|(name, m)| {
            let mut one = measured(m);
            one["name"] = json!(name);
            if let Some(object) = one.as_object_mut() {
                ["chunks_taken", "chunks_refused", "motions", "unknowable_starts", "max_start_step"].iter().for_each(
                    |k| {
                        object.remove(*k);
                    },
                );
            }
            one
        })
        .collect();
    all
}

/// A run as text.
pub fn table(totals: &Totals) -> String {
    let mut out = String::new();
    let rules: Vec<(&str, &Measured)> =
        std::iter::once(("this filter", &totals.filter)).chain(RIVALS.into_iter().zip(&totals.rivals)).collect();
    let mut line = |head: &str, cell: &dyn Fn(&Measured) -> String| {
        let _ = write!(out, "{head:<24}");
        for (_, m) in &rules {
            let _ = write!(out, "{:>29}", cell(m));
        }
        out.push('\n');
    };
    let million = |n: u64, m: &Measured| n as f64 * 1.0e6 / m.tally.ticks.max(1) as f64;
    line("", &|m| rules.iter().find(|r| std::ptr::eq(r.1, m)).map_or(String::new(), |r| r.0.to_owned()));
    line("ticks", &|m| m.tally.ticks.to_string());
    line("of them sent something", &|m| m.tally.sent.to_string());
    for (i, quantity) in Quantity::ALL.iter().enumerate() {
        line(&format!("{} /1e6", quantity.name()), &|m| {
            let count = million(m.tally.violations[i], m);
            if i < Quantity::LIMITED {
                format!("{count:.1} ({:+.1e})", m.tally.max_excess[i])
            } else {
                format!("{count:.1}")
            }
        });
    }
    line("tick p50/p99/p99.9 us", &|m| {
        format!("{:.1}/{:.1}/{:.1}", m.time.quantile_us(0.5), m.time.quantile_us(0.99), m.time.quantile_us(0.999))
    });
    line("allocations a tick", &|m| format!("{:.4}", m.tally.allocations as f64 / m.tally.ticks.max(1) as f64));
    let _ = writeln!(
        out,
        "Violations by million ticks; in brackets the largest excess relative to the limit, less the stated error of the\n\
         differences (negative: never reached). Chunks taken {}, refused {}; {} motions, of which {} began at a false pose that\n\
         nothing contradicted (counted apart); largest step at a start {:.3}.\n",
        totals.filter.tally.chunks[0],
        totals.filter.tally.chunks[1],
        totals.filter.tally.starts,
        totals.filter.tally.unknowable,
        totals.filter.tally.start_step
    );
    let _ = writeln!(
        out,
        "{:<14}{:>11}{:>11}{:>9}{:>12}{:>11}  violations by quantity",
        "scenario", "ticks", "sent", "motions", "unknowable", "p99 us"
    );
    for (scenario, m) in SCENARIOS.iter().zip(&totals.scenarios) {
        let t = &m.tally;
        let _ = write!(
            out,
            "{:<14}{:>11}{:>11}{:>9}{:>12}{:>11.1}  ",
            scenario.name,
            t.ticks,
            t.sent,
            t.starts,
            t.unknowable,
            m.time.quantile_us(0.99)
        );
        for (quantity, count) in Quantity::ALL.iter().zip(&t.violations).filter(|(_, n)| **n > 0) {
            let _ = write!(out, "{} {count}  ", quantity.name());
        }
        out.push('\n');
    }
    for found in &totals.filter.tally.found {
        let _ = writeln!(
            out,
            "\n{} at tick {} of {} (--episode {}):\n  {}",
            found.quantity.name(),
            found.tick,
            found.scenario,
            found.seed,
            found.what
        );
    }
    out
}
