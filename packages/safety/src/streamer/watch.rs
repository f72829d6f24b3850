//! Asks the monitors, and does what they say.

use super::*;
use crate::monitor::{InUse, Moment};

impl TrajectoryStreamer {
    /// Adds monitors, which are asked after those that there are, in this order.
    pub fn add_monitors(&mut self, monitors: Vec<Box<dyn Monitor + Send>>) {
        self.monitors.extend(monitors.into_iter().map(Watch::of));
    }

    /// Takes out all that were added, with what they know: for a streamer that takes the place of this one.
    pub fn take_monitors(&mut self) -> Vec<Box<dyn Monitor + Send>> {
        self.monitors.drain(self.shipped..).map(Watch::into_monitor).collect()
    }

    /// The added monitor that keeps what is sent below its own speed, and at which part of it, where that is less than what is set.
    pub fn slowed_by_monitor(&self) -> Option<(f64, &'static str)> {
        self.slowed.filter(|_| self.motion.is_some())
    }

    /// What is set, and as which limit it counts.
    fn set_pace(&self) -> (f64, PathLimit) {
        (self.speed_scale.min(self.task.speed_scale), PathLimit::Scale)
    }

    fn ask(
        &mut self,
        now: Stamp,
        occasion: Occasion<'_>,
        measured: Result<Measured<'_>, Untold>,
        believed: bool,
    ) -> Heard {
        let mut heard = Heard::nothing(self.set_pace());
        // Apart from the rest for as long as they look at it.
        let mut monitors = std::mem::take(&mut self.monitors);
        let motion = self.motion.as_ref();
        let moment = Moment {
            now,
            occasion,
            joints: self.limits.joints(),
            measured,
            chunk: self
                .scheduler
                .in_use()
                .zip(self.scheduler.ends_at())
                .map(|((observed, _), ends)| InUse { observed, ends }),
            rate: if motion.is_some() { self.plan.report().rate } else { 0.0 },
            stopping: motion.and_then(|motion| motion.stop.as_ref()),
            lost_other_joint: self.unknown_other_joint(),
            after_a_leap: self.resync_until.is_some_and(|until| now < until),
            limits: &self.limits,
            plan: motion.map(|_| &self.plan),
            follows: believed.then(|| self.hold.follows()),
        };
        for watch in &mut monitors {
            heard.ask(watch, &moment);
        }
        self.monitors = monitors;
        heard
    }

    /// What keeps a measured state for who is asked between two ticks.
    pub(super) fn note_seen(&mut self, now: Stamp, state: Result<&Measured<'_>, &Untold>) {
        let (sample, age, at) = &mut self.seen;
        *at = now;
        *age = state.map(|measured| measured.age_s).map_err(|untold| *untold);
        if let Ok(measured) = state {
            sample.stamp = measured.sample.stamp;
            sample.positions.copy_from_slice(&measured.sample.positions);
            sample.velocities.copy_from_slice(&measured.sample.velocities);
        }
    }

    /// Whether a chunk that is usable may be taken.
    pub(super) fn ask_about(&mut self, chunk: &ActionChunk, now: Stamp) -> Result<(), OfferRefusal> {
        let (sample, age_s, at) = self.seen.clone();
        let age_s = age_s.map(|age_s| age_s + now.seconds_since(at).max(0.0));
        let heard = self.ask(now, Occasion::Offer(chunk), age_s.map(|age_s| (&sample, age_s).into()), false);
        let refused = heard.refuse.map(|(monitor, reason)| OfferRefusal::Monitor { monitor, reason });
        let stopped = heard.stop.clone().map(OfferRefusal::Stopped);
        self.stop_for(heard.stop, heard.latch, now);
        stopped.or(refused).map_or(Ok(()), Err)
    }

    /// Whether a motion may begin, as far as monitors are asked, and how fast.
    pub(super) fn may_begin(&mut self, now: Stamp, measured: Measured<'_>) -> Result<(f64, PathLimit), IdleReason> {
        let heard = self.ask(now, Occasion::Start, Ok(measured), false);
        if heard.stop.is_some() {
            self.stop_for(heard.stop, heard.latch, now);
            return Err(self.idle_reason());
        }
        match heard.refuse {
            Some((monitor, reason)) => Err(IdleReason::Monitor { monitor, reason }),
            None => Ok(heard.pace),
        }
    }

    /// Watches a motion. How fast it may be, and what keeps it below its own speed.
    pub(super) fn watch_motion(
        &mut self,
        now: Stamp,
        measured: Result<Measured<'_>, Untold>,
        believed: bool,
    ) -> (f64, PathLimit) {
        let heard = self.ask(now, Occasion::Motion, measured, believed);
        self.stop_for(heard.stop, heard.latch, now);
        self.slowed = match heard.pace {
            (rate, PathLimit::Monitor(name)) => Some((rate, name)),
            _ => None,
        };
        heard.pace
    }

    /// The first stop that was asked for, and the first that is latched.
    fn stop_for(&mut self, stop: Option<StopReason>, latch: Option<StopReason>, now: Stamp) {
        for reason in [stop, latch].into_iter().flatten() {
            match reason {
                StopReason::Tracking { .. } => self.stop_off_command(reason, now),
                reason => self.begin_stop(reason, now),
            }
        }
    }
}
