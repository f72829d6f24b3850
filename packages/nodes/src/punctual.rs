//! Whether what was decided may still be sent: a look at the clock immediately before.
//!
//! A pause between decision and sending (another process's turn, a debugger, a machine that swaps) lets a window come to controllers that are on
//! another part of their way by then. ROS time tells how late it is. In wall time the monotonic clock is asked as well: ROS time may be set back
//! in the very pause.

use efm_core::Stamp;
use efm_ros::RosClock;
use std::time::Instant;

/// Asks the clock.
#[derive(Debug)]
pub struct Punctual {
    clock: RosClock,
    /// ROS time that was decided for, and the monotonic time then.
    begun: (Stamp, Instant),
}

impl Punctual {
    /// By this clock.
    pub fn new(clock: &RosClock) -> Self {
        Self { clock: clock.clone(), begun: (Stamp::ZERO, Instant::now()) }
    }

    /// Deciding begins, for ROS time `now`.
    pub fn begin(&mut self, now: Stamp) {
        self.begun = (now, Instant::now());
    }

    /// Whether `leave_by` is not over.
    pub fn is_in_time(&self, leave_by: Stamp) -> bool {
        let (decided, begun) = self.begun;
        // A simulation in lock-step waits for us: only its own time counts.
        let waited = if self.clock.is_simulated() { None } else { Some(begun.elapsed().as_secs_f64()) };
        in_time(decided, self.clock.now(), waited, leave_by)
    }
}

/// `waited`: seconds of the monotonic clock since the decision, where they count. A clock that went back since makes nothing late by itself: the next
/// tick sees it.
fn in_time(decided: Stamp, now: Stamp, waited: Option<f64>, leave_by: Stamp) -> bool {
    now <= leave_by && waited.is_none_or(|waited| waited <= leave_by.seconds_since(decided))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::Duration;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    #[test]
    fn what_is_late_by_either_clock_is_late() {
        assert!(in_time(ms(0), ms(20), Some(0.020), ms(25)));
        assert!(!in_time(ms(0), ms(26), Some(0.026), ms(25)));
        // ROS time was set back, or forth, in the pause.
        assert!(!in_time(ms(0), ms(-80), Some(0.026), ms(25)));
        assert!(!in_time(ms(0), ms(500), Some(0.001), ms(25)));
        assert!(in_time(ms(0), ms(20), None, ms(25)));
    }

    #[test]
    fn in_simulated_time_only_the_simulation_makes_late() {
        let (clock, feed) = RosClock::simulated();
        feed.set(ms(0));
        let mut punctual = Punctual::new(&clock);
        punctual.begin(ms(0));
        std::thread::sleep(Duration::from_millis(30));
        assert!(punctual.is_in_time(ms(25)));
        feed.set(ms(26));
        assert!(!punctual.is_in_time(ms(25)));
    }

    #[test]
    fn in_wall_time_a_pause_makes_late() {
        let clock = RosClock::wall();
        let mut punctual = Punctual::new(&clock);
        punctual.begin(clock.now());
        let leave_by = clock.now().offset_seconds(0.02);
        std::thread::sleep(Duration::from_millis(30));
        assert!(!punctual.is_in_time(leave_by));
    }
}
