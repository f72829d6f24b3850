//! `~/filter_state`: what the filter does, as numbers that plotting tools take.

use efm_core::Stamp;
use efm_safety::{PathLimit, PlanReport};
use efm_wire::msgs::JointState;

/// Names of the values, in their order. `sensor_msgs/JointState` carries named numbers in a standard message: `position[k]` is the
/// value of `name[k]`.
pub const NAMES: [&str; 12] = [
    "rate",
    "speed_scale",
    "lag_s",
    "deviation",
    "clearance",
    "blocked",
    "limited_by",
    "stops_on_path",
    "armed",
    "controllers",
    "joint_state_age_s",
    "chunk_age_s",
];

/// What a tick was decided on: by it a reaction can be told from the time that its cause took to get here.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Known {
    /// Whether motion was allowed.
    pub armed: bool,
    /// How many controllers somebody listens for.
    pub controllers: usize,
    /// Age of the joint states that the tick relied on, in seconds; `None` when there were none to rely on.
    pub joint_state_age_s: Option<f64>,
    /// Age of the observation behind the action chunk that came last, in seconds, whether it was taken or not.
    pub chunk_age_s: Option<f64>,
}

/// The message without values yet.
pub fn message() -> JointState {
    JointState { name: NAMES.map(str::to_owned).to_vec(), position: vec![0.0; NAMES.len()], ..JointState::default() }
}

/// Writes what the filter knew and did at `now`. What is not known is NaN. `limited_by`: 0 nothing, 1 velocity, 2 acceleration, 3 jerk, 4 speed of
/// the tool, 5 speed scale, 6 old observation, 7 obstacles, 8 finding back to the path, 9 a monitor.
pub fn write(report: &PlanReport, speed_scale: f64, known: &Known, now: Stamp, message: &mut JointState) {
    message.header.stamp = now;
    let limited = match report.limited {
        None => 0.0,
        Some(PathLimit::Velocity { .. }) => 1.0,
        Some(PathLimit::Acceleration { .. }) => 2.0,
        Some(PathLimit::Jerk { .. }) => 3.0,
        Some(PathLimit::ToolSpeed) => 4.0,
        Some(PathLimit::Scale) => 5.0,
        Some(PathLimit::StaleObservation) => 6.0,
        Some(PathLimit::Space) => 7.0,
        Some(PathLimit::Rejoining) => 8.0,
        Some(PathLimit::Monitor(_)) => 9.0,
    };
    let values = [
        report.rate,
        speed_scale,
        report.lag_s,
        report.deviation,
        report.clearance.unwrap_or(f64::NAN),
        f64::from(u8::from(report.refused.is_some())),
        limited,
        f64::from(u8::from(report.stops_on_path)),
        f64::from(u8::from(known.armed)),
        known.controllers as f64,
        known.joint_state_age_s.unwrap_or(f64::NAN),
        known.chunk_age_s.unwrap_or(f64::NAN),
    ];
    message.position.clear();
    message.position.extend_from_slice(&values);
}

/// How often each thing has slowed the arm down, and by how much at most: for diagnostics.
#[derive(Debug, Clone)]
pub struct Slowed {
    counts: Vec<(PathLimit, u64, f64)>,
    ticks: u64,
}

impl Default for Slowed {
    fn default() -> Self {
        // Three limits a joint and what else there is: enough for two arms without growing in a tick.
        Self { counts: Vec::with_capacity(64), ticks: 0 }
    }
}

impl Slowed {
    /// Notes a tick in which windows were sent.
    pub fn note(&mut self, report: &PlanReport) {
        self.ticks += 1;
        let Some(limit) = report.limited else { return };
        match self.counts.iter_mut().find(|c| c.0 == limit) {
            Some(count) => {
                count.1 += 1;
                count.2 = count.2.min(report.rate);
            }
            // As many as there are kinds of limits and joints; then no more.
            None => self.counts.push((limit, 1, report.rate)),
        }
    }

    /// In words, the most frequent first: what, in how many of all ticks, down to which rate.
    pub fn in_words(&self, name: impl Fn(usize) -> String) -> Vec<(String, String)> {
        let mut counts = self.counts.clone();
        counts.sort_by_key(|count| std::cmp::Reverse(count.1));
        let told = |limit: PathLimit| match limit {
            PathLimit::Velocity { joint } => format!("velocity of '{}'", name(joint)),
            PathLimit::Acceleration { joint } => format!("acceleration of '{}'", name(joint)),
            PathLimit::Jerk { joint } => format!("jerk of '{}'", name(joint)),
            PathLimit::ToolSpeed => "tool speed".to_owned(),
            PathLimit::Scale => "speed scale".to_owned(),
            PathLimit::StaleObservation => "old observation".to_owned(),
            PathLimit::Space => "obstacle, itself or workspace".to_owned(),
            PathLimit::Rejoining => "finding back to the path".to_owned(),
            PathLimit::Monitor(name) => format!("monitor '{name}'"),
        };
        let of = self.ticks.max(1);
        counts
            .into_iter()
            .map(|(limit, count, least)| {
                let share = 100.0 * count as f64 / of as f64;
                (
                    format!("slowed by {}", told(limit)),
                    format!("{count} ticks ({share:.1} %), to {:.0} %", 100.0 * least),
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_slows_the_arm_is_counted_and_named() {
        let mut slowed = Slowed::default();
        let report = |limited, rate| PlanReport { limited, rate, ..PlanReport::default() };
        slowed.note(&report(None, 1.0));
        slowed.note(&report(Some(PathLimit::Jerk { joint: 1 }), 0.4));
        slowed.note(&report(Some(PathLimit::Jerk { joint: 1 }), 0.7));
        slowed.note(&report(Some(PathLimit::ToolSpeed), 0.9));
        let words = slowed.in_words(|joint| format!("j{joint}"));
        assert_eq!(words[0], ("slowed by jerk of 'j1'".to_owned(), "2 ticks (50.0 %), to 40 %".to_owned()));
        assert_eq!(words[1].0, "slowed by tool speed");
    }

    #[test]
    fn every_name_has_a_value() {
        let mut message = message();
        let known = Known { armed: true, controllers: 2, joint_state_age_s: None, chunk_age_s: Some(0.25) };
        write(&PlanReport::default(), 0.5, &known, Stamp::ZERO, &mut message);
        assert_eq!(message.name.len(), message.position.len());
        let value = |name: &str| message.position[NAMES.iter().position(|n| *n == name).unwrap_or(NAMES.len())];
        assert_eq!((value("speed_scale"), value("armed"), value("controllers")), (0.5, 1.0, 2.0));
        assert!(value("clearance").is_nan() && value("joint_state_age_s").is_nan());
        assert_eq!(value("chunk_age_s"), 0.25);
    }
}
