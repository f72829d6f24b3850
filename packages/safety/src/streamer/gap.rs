//! What is not told for a while, in motion: joint states, or another joint that must be known.
//!
//! The arm comes to rest by its verified stop. A gap that ends by itself is over then: as after a leap of the clock the next chunk is followed, from rest and only
//! where states that agree have the robot where it was commanded, as at every start. One that lasts, and one that comes again and again, is latched: somebody
//! has to look.

use super::*;

/// So many gaps within [`WITHIN`] are latched.
const REPEATED: usize = 3;
/// Seconds.
const WITHIN: f64 = 10.0;

/// The gaps of a robot.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// When what was told last was measured, while all was known.
    known: Option<Stamp>,
    /// What is not told, since that has stopped a motion.
    open: Option<StopReason>,
    /// When the last ones stopped a motion.
    began: [Option<Stamp>; REPEATED - 1],
}

impl Gaps {
    /// Somebody has looked at the robot: it counts anew.
    pub fn looked_at(&mut self) {
        *self = Self { known: self.known, ..Self::default() };
    }

    /// The clock leapt: nobody was silent for that long.
    pub fn clock_leapt(&mut self, now: Stamp) {
        self.known = Some(now);
    }

    /// Times of before mean nothing any more.
    pub fn clock_went_back(&mut self, now: Stamp) {
        self.known = self.known.map(|_| now);
        self.began = [None; REPEATED - 1];
    }

    /// One stops a motion: whether so many have within a while.
    fn begins(&mut self, reason: &StopReason, now: Stamp) -> bool {
        self.open = Some(reason.clone());
        let lately = |at: &Option<Stamp>| at.is_some_and(|at| now.seconds_since(at) <= WITHIN);
        let repeated = self.began.iter().all(lately);
        self.began.rotate_left(1);
        self.began[REPEATED - 2] = Some(now);
        repeated
    }
}

impl TrajectoryStreamer {
    /// Whether a gap that begins now, or goes on, is latched at once.
    pub(super) fn gap_latches(&mut self, reason: &StopReason, now: Stamp) -> bool {
        if !reason.is_gap() || self.gaps.open.is_some() {
            return false;
        }
        let repeated = self.gaps.begins(reason, now);
        repeated || self.lasts(now)
    }

    /// Whether nothing was told for longer than may be over by itself.
    fn lasts(&self, now: Stamp) -> bool {
        let seconds = self.gaps.known.map_or(f64::INFINITY, |known| now.seconds_since(known));
        self.config.max_joint_state_gap_s <= 0.0 || seconds > self.config.max_joint_state_gap_s
    }

    /// Before anything is decided: whether a gap is over, or lasts too long.
    pub(super) fn watch_gap(&mut self, now: Stamp, state: &Result<Measured<'_>, Untold>) {
        match state {
            Ok(measured) if self.unknown_other_joint().is_none() => {
                self.gaps.known = Some(now.offset_seconds(-measured.age_s.max(0.0)));
                self.gaps.open = None;
            }
            _ => {
                // (A clone of such a reason allocates nothing.)
                if let Some(reason) = self.gaps.open.clone().filter(|_| self.lasts(now)) {
                    self.scheduler.retire(now);
                    self.latch(reason);
                }
            }
        }
    }
}
