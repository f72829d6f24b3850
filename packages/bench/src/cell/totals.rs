//! What many runs came to.

use crate::cell::play::{Contact, GoalOutcome, Outcome, PATIENCE};
use crate::histogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Examples kept of each kind.
const KEPT: usize = 200;

/// A run with undeclared contacts.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Touched {
    /// `--run`.
    pub seed: u64,
    /// With physics.
    pub physics: bool,
    /// What touched what.
    pub contacts: Vec<Contact>,
}

/// A needless stop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Needless {
    /// `--run`.
    pub seed: u64,
    /// With physics.
    pub physics: bool,
    /// Which goal of the run, from 0.
    pub goal: usize,
    /// What is known of it.
    #[serde(flatten)]
    pub outcome: GoalOutcome,
}

/// Everything counted.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// Runs.
    pub runs: u64,
    /// Of them with physics.
    pub physics: u64,
    /// Goals that were set.
    pub goals: u64,
    /// Of them those whose expert's motion is clear.
    pub clear: u64,
    /// Of them those that are held against the filter.
    pub judged: u64,
    /// Of them those first seen while the arm moved.
    pub judged_moving: u64,
    /// Judged goals that were not reached in time.
    pub needless: u64,
    /// Of them those first seen while the arm moved.
    pub needless_moving: u64,
    /// Clear goals of policies that plan anew, and those of them that were late.
    pub planned_anew: [u64; 2],
    /// Goals that were reached.
    pub reached: u64,
    /// Goals on whose way the filter refused something and that were not reached.
    pub blocked: u64,
    /// Goals on whose way the filter refused something.
    pub refused: u64,
    /// Undeclared contacts that MuJoCo saw, in runs with physics and without, and that parry saw at commanded positions; each pair
    /// once a run.
    pub contacts: [u64; 3],
    /// Smallest distance that MuJoCo saw with physics and without, that parry saw, and that less the filter's least distance, metres.
    pub least: [f64; 4],
    /// Seed of the run that came closest to its least distance at its commanded positions.
    pub closest_run: u64,
    /// Seconds of the runs' own time.
    pub seconds: f64,
    /// Ratios of the time taken to the expert's, of judged goals that were reached.
    pub ratios: Vec<f64>,
    /// Ticks that sent something.
    pub time: Histogram,
    /// Oddities.
    pub odd: BTreeMap<String, u64>,
    /// Runs with contacts.
    pub touched: Vec<Touched>,
    /// Needless stops.
    pub stops: Vec<Needless>,
}

impl Totals {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { least: [f64::INFINITY; 4], ..Self::default() }
    }

    /// Counts a run.
    pub fn add(&mut self, run: Outcome) {
        self.runs += 1;
        self.physics += u64::from(run.physics);
        self.seconds += run.seconds;
        self.time.merge(&run.time);
        for (what, count) in &run.odd {
            *self.odd.entry(what.clone()).or_default() += count;
        }
        for contact in &run.contacts {
            let kind = if contact.judge == "parry" { 2 } else { usize::from(!run.physics) };
            self.contacts[kind] += 1;
        }
        let kind = usize::from(!run.physics);
        self.least[kind] = self.least[kind].min(run.least_mujoco);
        self.least[2] = self.least[2].min(run.least_parry);
        if run.least_spare < self.least[3] {
            (self.least[3], self.closest_run) = (run.least_spare, run.seed);
        }
        for (number, goal) in run.goals.into_iter().enumerate() {
            let moving = u64::from(!goal.from_rest);
            self.goals += 1;
            self.clear += u64::from(goal.clear);
            self.judged += u64::from(goal.judged);
            self.planned_anew[0] += u64::from(goal.planned_anew);
            self.planned_anew[1] += u64::from(goal.planned_anew && goal.is_late());
            self.judged_moving += u64::from(goal.judged) * moving;
            self.reached += u64::from(goal.took_s.is_some());
            self.refused += u64::from(goal.blocked_s > 0.0);
            self.blocked += u64::from(goal.blocked_s > 0.0 && goal.took_s.is_none());
            if let (true, Some(took)) = (goal.judged, goal.took_s) {
                self.ratios.push(took / goal.expert_s);
            }
            if goal.is_needless() {
                self.needless += 1;
                self.needless_moving += moving;
                if self.stops.len() < KEPT {
                    self.stops.push(Needless { seed: run.seed, physics: run.physics, goal: number, outcome: goal });
                }
            }
        }
        if !run.contacts.is_empty() && self.touched.len() < KEPT {
            self.touched.push(Touched { seed: run.seed, physics: run.physics, contacts: run.contacts });
        }
    }

    /// Undeclared contacts, by whichever judge.
    pub fn touches(&self) -> u64 {
        self.contacts.iter().sum()
    }

    /// Share of judged goals that were stopped needlessly.
    pub fn needless_share(&self) -> f64 {
        self.needless as f64 / self.judged.max(1) as f64
    }

    fn ratio(&self, part: f64) -> f64 {
        let mut sorted = self.ratios.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(((sorted.len().max(1) - 1) as f64 * part).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// As JSON.
    pub fn to_json(&self, seed: u64) -> Value {
        let metres = |v: f64| if v.is_finite() { json!(v) } else { Value::Null };
        json!({
            "seed": seed,
            "runs": self.runs,
            "runs_physics": self.physics,
            "simulated_s": self.seconds,
            "goals": self.goals,
            "clear_goals": self.clear,
            "judged_goals": self.judged,
            "judged_moving": self.judged_moving,
            "needless": self.needless,
            "needless_moving": self.needless_moving,
            "needless_share": self.needless_share(),
            "planned_anew": { "clear": self.planned_anew[0], "late": self.planned_anew[1] },
            "goals_reached": self.reached,
            "goals_refused": self.refused,
            "blocked_goals": self.blocked,
            "undeclared_contacts": self.touches(),
            "contacts": {
                "mujoco_physics": self.contacts[0], "mujoco_command": self.contacts[1], "parry_command": self.contacts[2],
            },
            "least_clearance": {
                "mujoco_physics": metres(self.least[0]), "mujoco_command": metres(self.least[1]),
                "parry_command": metres(self.least[2]), "parry_command_less_d_min": metres(self.least[3]),
                "closest_run": self.closest_run,
            },
            "time_ratio": { "p50": self.ratio(0.5), "p90": self.ratio(0.9), "p99": self.ratio(0.99) },
            "ticks": self.time.count(),
            "tick_us": {
                "p50": self.time.quantile_us(0.5), "p99": self.time.quantile_us(0.99),
                "p999": self.time.quantile_us(0.999), "max": self.time.longest_us(),
            },
            "odd": self.odd,
            "touched": self.touched,
            "needless_stops": self.stops,
        })
    }

    /// As text.
    pub fn table(&self) -> String {
        let mm = |v: f64| if v.is_finite() { format!("{:.2} mm", 1e3 * v) } else { "not near".to_owned() };
        let mut out = String::new();
        let mut line = |what: &str, value: String| out += &format!("{what:<48}{value}\n");
        line("runs (with physics)", format!("{} ({})", self.runs, self.physics));
        line("simulated", format!("{:.0} s", self.seconds));
        line(
            "undeclared contacts",
            format!(
                "{} (MuJoCo, physics {}; MuJoCo, command {}; parry, command {})",
                self.touches(),
                self.contacts[0],
                self.contacts[1],
                self.contacts[2]
            ),
        );
        line(
            "least distance: physics; command; parry",
            format!("{}; {}; {}", mm(self.least[0]), mm(self.least[1]), mm(self.least[2])),
        );
        line(
            "least distance less d_min, command, parry",
            format!("{} (--run {})", mm(self.least[3]), self.closest_run),
        );
        line("goals", self.goals.to_string());
        line("  reached", self.reached.to_string());
        line("  something refused on the way", format!("{}, of them not reached {}", self.refused, self.blocked));
        line("  clear", format!("{}, of them judged {}", self.clear, self.judged));
        line(
            "needless stops",
            format!(
                "{} = {:.2} % of judged (seen at rest: {} of {}; in motion: {} of {})",
                self.needless,
                100.0 * self.needless_share(),
                self.needless - self.needless_moving,
                self.judged - self.judged_moving,
                self.needless_moving,
                self.judged_moving
            ),
        );
        line(
            "  not judged: late with a policy that plans anew",
            format!("{} of {}", self.planned_anew[1], self.planned_anew[0]),
        );
        line(
            "time over the expert's, p50/p90/p99",
            format!("{:.2}/{:.2}/{:.2} (allowed {PATIENCE})", self.ratio(0.5), self.ratio(0.9), self.ratio(0.99)),
        );
        line(
            "tick p50/p99/p99.9/max us",
            format!(
                "{:.0}/{:.0}/{:.0}/{:.0}",
                self.time.quantile_us(0.5),
                self.time.quantile_us(0.99),
                self.time.quantile_us(0.999),
                self.time.longest_us()
            ),
        );
        for (what, count) in &self.odd {
            line("odd", format!("{count} x {what}"));
        }
        for run in &self.touched {
            for c in &run.contacts {
                let physics = if run.physics { " --physics" } else { "" };
                out += &format!(
                    "contact: --run {}{physics}: {} sees '{}' and '{}' at {:.3} s, {:.2} mm\n",
                    run.seed,
                    c.judge,
                    c.pair.0,
                    c.pair.1,
                    c.at_s,
                    1e3 * c.distance
                );
            }
        }
        for stop in self.stops.iter().take(20) {
            let (o, physics) = (&stop.outcome, if stop.physics { " --physics" } else { "" });
            out += &format!(
                "needless: --run {}{physics}, goal {}: expert {:.2} s, spare {:.1} mm, from rest {}, blocked {:.2} s, {}\n",
                stop.seed,
                stop.goal,
                o.expert_s,
                1e3 * o.spare_m,
                o.from_rest,
                o.blocked_s,
                o.why
            );
        }
        out
    }
}
