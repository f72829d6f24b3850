//! How motion flows from chunk to chunk: what is measured of scheduling, tick by tick, before the filter.

use crate::stats::quantile;
use efm_app::publisher::motion_report::Phase;
use efm_safety::{IdleReason, StopReason};
use efm_schedule::{Mode, OnNewGoal, ReferenceStatus, Scheduler, Seam, consumed};
use serde::{Deserialize, Serialize};

/// What the ticks of an episode saw. The time before the first chunk is followed is left out: nothing can be late yet.
#[derive(Debug, Clone, Default)]
pub struct Flow {
    /// Every change from one chunk to the next.
    pub seams: Vec<Seam>,
    /// Ticks since the first chunk was followed.
    pub ticks: u64,
    /// Of these: the streamer was in a stop, or all stood still because there was nothing to follow.
    pub idle: u64,
    /// Of these: the last row of the chunk in use was over, and no plan was there for the tick.
    pub late: u64,
    /// Chunks that came too late to be followed.
    pub dropped: u64,
    /// Seconds between the rows of the last chunk.
    pub step: f64,
    /// Seconds from an instruction in mid-episode until a chunk for it was followed. What was committed by then (some 40 ms) goes on.
    pub instruction_to_motion: Option<f64>,
    counted: u64,
    begun: bool,
}

impl Flow {
    /// What was seen so far; goes on without it.
    pub(crate) fn take(&mut self) -> Self {
        let next = Self { step: self.step, counted: self.counted, begun: self.begun, ..Self::default() };
        std::mem::replace(self, next)
    }

    /// Sees what a tick of the publisher decided, where it decided anything.
    pub(crate) fn filtered(&mut self, decided: Option<&Phase>) {
        let sent =
            matches!(decided, Some(Phase::Following | Phase::Blocked(_) | Phase::Holding(_) | Phase::Stopping(_)));
        self.begun |= sent;
        let (idle, late) = match decided {
            None | Some(Phase::Following | Phase::Blocked(_)) => (false, false),
            Some(Phase::Holding(_) | Phase::NoRobot(_) | Phase::Owned(_)) => (true, false),
            Some(Phase::Stopping(reason)) => (true, *reason == StopReason::Exhausted),
            Some(Phase::Idle(reason)) => {
                (true, matches!(reason, IdleReason::NoChunk(None | Some(StopReason::Exhausted)) | IdleReason::Settling))
            }
        };
        self.count(idle, late);
    }

    /// Sees a tick without a filter.
    pub(crate) fn unfiltered(&mut self, status: ReferenceStatus) {
        let active = matches!(status, ReferenceStatus::Active { .. });
        self.begun |= active;
        self.count(!active, !active);
    }

    fn count(&mut self, idle: bool, late: bool) {
        if self.begun {
            self.ticks += 1;
            self.idle += u64::from(idle);
            self.late += u64::from(late);
        }
    }

    /// Sees what the scheduler has done in a tick.
    pub(crate) fn scheduled(&mut self, scheduler: &Scheduler) {
        self.dropped = scheduler.dropped().0;
        let (count, seam) = scheduler.seams();
        if count > self.counted {
            self.counted = count;
            self.seams.extend(seam);
        }
    }
}

/// How a quantity is spread.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Spread {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// Of values; all zero without values.
    pub fn of(mut values: Vec<f64>) -> Self {
        let mut at = |q| quantile(&mut values, q).unwrap_or(0.0);
        Self { p50: at(0.5), p95: at(0.95), max: at(1.0) }
    }
}

/// One point of a curve: how motion flowed in the episodes of a run, at one latency in one mode. Seams are those of all episodes; joints
/// are those of the arm, in radians.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleFigures {
    /// How one chunk followed another, see [`Mode`].
    pub mode: String,
    /// Simulated milliseconds from an observation until its chunk reached the streamer; the next observation was taken no sooner.
    pub latency_ms: f64,
    /// Changes from one chunk to the next, in all episodes.
    pub seams: usize,
    /// How far a new chunk was from the chunk before it, before any blending: rad.
    pub seam_gap: Spread,
    /// How far the reference leapt at a seam: rad.
    pub seam_jump: Spread,
    /// Largest jerk of the reference across a seam, of samples at 100 Hz: rad/s^3.
    pub seam_jerk: Spread,
    /// Actions that were consumed from an observation until its chunk was followed.
    pub delay_actions: Spread,
    /// Share of the ticks in which the streamer was in a stop or all stood still for want of a reference.
    pub idle: f64,
    /// Ticks of 10 ms, from the first that followed a chunk.
    pub ticks: u64,
    /// Of these: how many had no plan, because the chunk in use was over.
    pub late_ticks: u64,
    /// Chunks that came too late to be followed.
    pub dropped: u64,
    /// Chunks for which the policy was guided by the one before.
    pub guided: u64,
    /// Rule for an instruction in mid-episode, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_new_goal: Option<String>,
    /// Milliseconds from that instruction until a chunk for it was followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_to_motion_ms: Option<Spread>,
}

impl ScheduleFigures {
    /// Sums up episodes; `guided`: for how many chunks the policy was guided.
    pub fn new(mode: Mode, latency_ms: f64, flows: &[Flow], guided: u64) -> Self {
        let seams = || flows.iter().flat_map(|flow| &flow.seams);
        let spread = |of: fn(&Seam) -> f64| Spread::of(seams().map(of).collect());
        let sum = |of: fn(&Flow) -> u64| flows.iter().map(of).sum::<u64>();
        let ticks = sum(|f| f.ticks);
        let delay = |flow: &Flow| {
            let step = flow.step;
            flow.seams.iter().map(move |seam| consumed(seam.delay_s, step) as f64).collect::<Vec<_>>()
        };
        Self {
            mode: mode.name().to_owned(),
            latency_ms,
            seams: seams().count(),
            seam_gap: spread(|s| s.gap),
            seam_jump: spread(|s| s.jump),
            seam_jerk: spread(|s| s.jerk),
            delay_actions: Spread::of(flows.iter().flat_map(delay).collect()),
            idle: if ticks == 0 { 0.0 } else { sum(|f| f.idle) as f64 / ticks as f64 },
            ticks,
            late_ticks: sum(|f| f.late),
            dropped: sum(|f| f.dropped),
            guided,
            on_new_goal: None,
            instruction_to_motion_ms: None,
        }
    }

    /// With what the instruction in mid-episode came to.
    pub fn with_new_goal(mut self, rule: OnNewGoal, flows: &[Flow]) -> Self {
        let times: Vec<f64> = flows.iter().filter_map(|f| f.instruction_to_motion).map(|s| 1e3 * s).collect();
        self.on_new_goal = Some(rule.name().to_owned());
        self.instruction_to_motion_ms = (!times.is_empty()).then(|| Spread::of(times));
        self
    }

    /// The mode; says so where a policy that cannot be guided ran in one that guides.
    pub fn in_mode(&self) -> &str {
        if self.mode == Mode::Rtc.name() && self.guided == 0 { "rtc (unguided)" } else { &self.mode }
    }

    /// In a line.
    pub fn in_words(&self) -> String {
        let mode = self.in_mode();
        let new_goal = match (&self.on_new_goal, self.instruction_to_motion_ms) {
            (Some(rule), Some(ms)) => {
                format!(
                    "; {rule}: instruction to motion p50 {:.0}, p95 {:.0}, largest {:.0} ms",
                    ms.p50, ms.p95, ms.max
                )
            }
            _ => String::new(),
        };
        format!(
            "{mode} at {:.0} ms: seam jump p50 {:.1}, p95 {:.1}, largest {:.1} mrad (gap p95 {:.1}); jerk p50 {:.0}, p95 {:.0}, \
             largest {:.0} rad/s^3; idle {:.1} %; {} of {} ticks late; {} chunks dropped{new_goal}",
            self.latency_ms,
            1e3 * self.seam_jump.p50,
            1e3 * self.seam_jump.p95,
            1e3 * self.seam_jump.max,
            1e3 * self.seam_gap.p95,
            self.seam_jerk.p50,
            self.seam_jerk.p95,
            self.seam_jerk.max,
            100.0 * self.idle,
            self.late_ticks,
            self.ticks,
            self.dropped,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use efm_core::Stamp;

    fn seam(jump: f64) -> Seam {
        Seam { at: Stamp::ZERO, delay_s: 0.34, gap: 2.0 * jump, jump, jerk: 1e6 * jump }
    }

    #[test]
    fn ticks_before_the_first_chunk_are_not_late() {
        let mut flow = Flow::default();
        flow.filtered(Some(&Phase::Idle(IdleReason::NoChunk(None))));
        assert_eq!(flow.ticks, 0);
        flow.unfiltered(ReferenceStatus::Active { chunk: Stamp::ZERO, row: 0 });
        flow.unfiltered(ReferenceStatus::Exhausted);
        flow.filtered(Some(&Phase::Idle(IdleReason::NoChunk(Some(StopReason::Exhausted)))));
        // Told to stop: idle, but nobody was late.
        flow.filtered(Some(&Phase::Idle(IdleReason::Latched(StopReason::Requested))));
        flow.filtered(None);
        assert_eq!((flow.ticks, flow.idle, flow.late), (5, 3, 2));
    }

    #[test]
    fn a_point_sums_up_all_episodes() {
        let one =
            Flow { seams: vec![seam(0.01), seam(0.03)], ticks: 100, idle: 10, late: 5, step: 0.1, ..Flow::default() };
        let two =
            Flow { seams: vec![seam(0.02)], ticks: 300, idle: 0, late: 0, dropped: 2, step: 0.1, ..Flow::default() };
        let figures = ScheduleFigures::new(Mode::Fifo, 280.0, &[one, two], 0);
        assert_eq!((figures.seams, figures.ticks, figures.late_ticks, figures.dropped), (3, 400, 5, 2));
        assert_eq!((figures.seam_jump.p50, figures.seam_jump.max, figures.delay_actions.max), (0.02, 0.03, 4.0));
        assert_eq!(figures.idle, 0.025);
        assert!(figures.in_words().starts_with("fifo at 280 ms: seam jump p50 20.0"), "{}", figures.in_words());
    }

    #[test]
    fn a_policy_that_was_not_guided_is_not_passed_off_as_real_time_chunking() {
        let words = |guided| ScheduleFigures::new(Mode::Rtc, 0.0, &[], guided).in_words();
        assert!(words(0).starts_with("rtc (unguided)") && words(7).starts_with("rtc at"));
    }
}
