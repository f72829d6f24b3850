//! Whether joint states agree with themselves for long enough to begin a motion on them.

use super::{Contradiction, Measured, is_jump, way};
use efm_core::Stamp;

/// States that agree at least.
const STATES: u32 = 4;
/// How many of an encoder's steps its positions may be apart at rest: it flickers between two.
const ENCODER_STEPS: f64 = 1.2;
/// Longest that a step counts as an encoder's, radians or metres.
const LARGEST_STEP: f64 = 0.01;
/// Intervals of its own for which nothing new of a joint may be told at a start.
const INTERVALS: f64 = 3.0;
/// As long at least, seconds.
const QUIET: f64 = 0.05;
/// A longer interval is a pause, seconds.
const LONGEST: f64 = 3.0;
/// After so many intervals a joint's usual one is known well enough to tell a gap.
const KNOWN: u8 = 3;
/// So often the smallest change has to be seen to be an encoder's step.
const TIMES: u32 = 5;

/// What a start asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BeliefConfig {
    /// Seconds for which states agree at least.
    pub agreement_s: f64,
    /// The same, after a jump that no joint can do: which of both poses is the true one is not known.
    pub after_jump_s: f64,
    /// How far apart positions of a joint at rest may be, radians or metres.
    pub spread: f64,
    /// A longer gap between two states begins anew, seconds.
    pub gap_s: f64,
}

/// Why a joint is not believed yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// Place of the joint in the limits' order.
    pub joint: usize,
    /// How many states agree so far.
    pub states: u32,
    /// For how long, seconds.
    pub seconds: f64,
    /// For how long they have to.
    pub needs_s: f64,
    /// What made the count begin anew, where that was a contradiction.
    pub because: Option<Contradiction>,
}

/// States of one joint that lie together, as of a joint at rest.
#[derive(Debug, Clone, Copy)]
struct Run {
    since: Stamp,
    /// The tick that saw the first.
    seen_since: Stamp,
    states: u32,
    /// Way from the first state to the least and to the greatest.
    low: f64,
    high: f64,
    first: f64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Joint {
    last: Option<(Stamp, f64)>,
    /// The tick that saw the last.
    seen: Stamp,
    /// Seconds that usually pass from one to the next; 0: not known. And how often that was seen, as far as it matters.
    usual: f64,
    intervals: u8,
    run: Option<Run>,
    /// Smallest change ever seen, and how often.
    step: Option<(f64, u32)>,
    jump: Option<Contradiction>,
    /// It was found to repeat itself, and nothing else was told of it since.
    stuck: Option<Contradiction>,
}

impl Joint {
    fn count_step(&mut self, change: f64) {
        /// Rounding of a step.
        const ALIKE: f64 = 1.1;
        if change == 0.0 || change > LARGEST_STEP {
            return;
        }
        self.step = match self.step {
            Some((step, times)) if change > step * ALIKE => Some((step, times)),
            Some((step, times)) if change * ALIKE >= step => Some((step.min(change), times.saturating_add(1))),
            _ => Some((change, 1)),
        };
    }

    /// The step of the joint's encoder, radians or metres; 0 where none was made out.
    fn encoder_step(&self) -> f64 {
        self.step.filter(|(_, times)| *times >= TIMES).map_or(0.0, |(step, _)| step)
    }

    fn doubt(&self, place: usize, config: &BeliefConfig) -> Option<Doubt> {
        self.doubt_within(place, if self.jump.is_some() { config.after_jump_s } else { config.agreement_s })
    }

    fn doubt_within(&self, place: usize, needs_s: f64) -> Option<Doubt> {
        /// Grids of ticks and messages round, seconds.
        const ROUNDING: f64 = 1.0e-6;
        let (states, seconds) = match (&self.run, self.last) {
            // By the stamps and by the ticks: stamps alone can be made up.
            (Some(run), Some((last, _))) => {
                (run.states, last.seconds_since(run.since).min(self.seen.seconds_since(run.seen_since)))
            }
            _ => (0, 0.0),
        };
        let agree = states >= STATES && seconds + ROUNDING >= needs_s;
        (!agree).then_some(Doubt { joint: place, states, seconds, needs_s, because: self.jump })
    }
}

/// Follows every joint, in motion and at rest.
#[derive(Debug)]
pub(crate) struct Belief {
    joints: Vec<Joint>,
    velocity: Vec<f64>,
    continuous: Vec<bool>,
    config: BeliefConfig,
}

impl Belief {
    /// Joints by their velocity limits (rad/s, m/s) and whether they turn on without end.
    pub fn new(velocity: &[f64], continuous: &[bool], config: BeliefConfig) -> Self {
        Self {
            joints: vec![Joint::default(); velocity.len()],
            velocity: velocity.to_vec(),
            continuous: continuous.to_vec(),
            config,
        }
    }

    /// For how many seconds nothing new was told of a joint, where that is more than three of its usual intervals (and [`QUIET`]).
    pub fn quiet(&self, now: Stamp) -> Option<f64> {
        let quiet = |joint: &Joint| {
            let seconds = now.seconds_since(joint.seen);
            (joint.last.is_some() && seconds > (INTERVALS * joint.usual).max(QUIET)).then_some(seconds)
        };
        self.joints.iter().find_map(quiet)
    }

    /// As [`Self::doubt`] after a jump that a joint cannot have done.
    pub fn doubt_as_after_jump(&self, joint: usize) -> Option<Doubt> {
        self.joints[joint].doubt_within(joint, self.config.after_jump_s)
    }

    /// Where a joint stands that is at rest: the middle of the states that agree, radians or metres.
    pub fn rests_at(&self, joint: usize) -> Option<f64> {
        let known = &self.joints[joint];
        let run = known.run.as_ref().filter(|_| known.doubt(joint, &self.config).is_none())?;
        Some(run.first + 0.5 * (run.low + run.high))
    }

    /// Takes a tick's states, whose numbers are finite. The first jump that a joint cannot have done, or what the messages in between contradicted.
    pub fn see(&mut self, now: Stamp, measured: &Measured<'_>) -> Option<Contradiction> {
        let mut found = measured.contradiction.copied();
        if let Some(contradiction) = measured.contradiction
            && let Some(joint) = self.joints.get_mut(contradiction.joint())
        {
            joint.run = None;
            joint.jump = Some(*contradiction);
        }
        let mut alive = None;
        for (place, joint) in self.joints.iter_mut().enumerate() {
            let (stamp, position) = (measured.stamp_of(place), measured.sample.positions[place]);
            let continuous = self.continuous[place];
            let mut fresh = true;
            if let Some((before, last)) = joint.last {
                let seconds = stamp.seconds_since(before);
                if stamp == before && position == last {
                    continue;
                }
                if position != last {
                    alive = Some(measured.source_of(place));
                }
                let by = way(continuous, last, position);
                joint.count_step(by.abs());
                // Stamps that stand still or go back say nothing of the time that it had: the ticks do.
                let had = seconds.max(0.0).min(now.seconds_since(joint.seen).max(0.0) + self.config.agreement_s);
                fresh = seconds > 0.0;
                let passed = now.seconds_since(joint.seen);
                // What usually comes slowly has no gap where it only comes as usual.
                let gap_s =
                    if joint.intervals >= KNOWN { self.config.gap_s.max(2.0 * joint.usual) } else { self.config.gap_s };
                if (1.0e-4..LONGEST).contains(&passed) {
                    joint.usual = if joint.usual > 0.0 { 0.9 * joint.usual + 0.1 * passed } else { passed };
                    joint.intervals = joint.intervals.saturating_add(1);
                }
                if is_jump(by, had, self.velocity[place]) {
                    let jump = Contradiction::Jump { joint: place, from: last, to: position, seconds: had };
                    joint.run = None;
                    joint.jump = Some(jump);
                    found = found.or(Some(jump));
                } else if seconds > gap_s {
                    joint.run = None;
                }
            }
            (joint.last, joint.seen) = (Some((stamp, position)), now);
            let spread = self.config.spread.max(ENCODER_STEPS * joint.encoder_step());
            let run = joint.run.get_or_insert(Run {
                since: stamp,
                seen_since: now,
                states: 0,
                low: 0.0,
                high: 0.0,
                first: position,
            });
            let off = way(continuous, run.first, position);
            (run.low, run.high) = (run.low.min(off), run.high.max(off));
            if run.high - run.low > spread {
                joint.run =
                    Some(Run { since: stamp, seen_since: now, states: 1, low: 0.0, high: 0.0, first: position });
                continue;
            }
            // A repeated or older stamp is no further witness.
            if fresh || run.states == 0 {
                run.states = run.states.saturating_add(1);
            }
            if joint.jump.is_some() && joint.doubt(place, &self.config).is_none() {
                joint.jump = None;
            }
        }
        if let Some(source) = alive {
            // One joint that is stuck among others that move is where it says, as far as anybody knows.
            let of_source =
                self.joints.iter_mut().enumerate().filter(|(place, _)| measured.source_of(*place) == source);
            of_source.for_each(|(_, joint)| joint.stuck = None);
        }
        found
    }

    /// A joint was found to repeat itself: it is not believed before its source changes.
    pub fn repeats(&mut self, contradiction: Contradiction) {
        if let Some(joint) = self.joints.get_mut(contradiction.joint()) {
            joint.stuck = Some(contradiction);
        }
    }

    /// The contradiction that a joint has not outlived yet.
    pub fn stuck(&self, joint: usize) -> Option<Contradiction> {
        self.joints[joint].stuck
    }

    /// Somebody has looked at the robot.
    pub fn looked_at(&mut self) {
        self.joints.iter_mut().for_each(|joint| joint.stuck = None);
    }

    /// Why a motion may not begin on what is known of a joint.
    pub fn doubt(&self, joint: usize) -> Option<Doubt> {
        self.joints[joint].doubt(joint, &self.config)
    }

    /// Whether a joint was somewhere else than it can have come to, and has not agreed with itself for long enough since.
    pub fn jumped(&self, joint: usize) -> bool {
        self.joints[joint].jump.is_some()
    }

    /// The step of a joint's encoder, radians or metres; 0 where none was made out.
    pub fn step(&self, joint: usize) -> f64 {
        self.joints[joint].encoder_step()
    }

    /// Forgets all states, as after a step of the clock.
    pub fn clear(&mut self) {
        for joint in &mut self.joints {
            *joint = Joint { step: joint.step, jump: joint.jump, stuck: joint.stuck, ..Joint::default() };
        }
    }
}
