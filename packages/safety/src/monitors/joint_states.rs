//! A motion goes on only while it is known where the robot is.

use crate::monitor::{Cause, Moment, Monitor, Occasion, Untold, Verdict};
use crate::streamer::StopReason;

/// See the module.
#[derive(Debug)]
pub(crate) struct JointStates;

impl Monitor for JointStates {
    fn name(&self) -> &'static str {
        "joint_states"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        match (moment.occasion, &moment.measured) {
            // After a leap of the clock it comes to rest already.
            (Occasion::Motion, Err(_)) if moment.after_a_leap => Verdict::Go,
            (Occasion::Motion, Err(Untold::Stale { age_s })) => {
                Verdict::StopFor(Cause(StopReason::JointStateStale { age_s: *age_s }))
            }
            (Occasion::Motion, Err(Untold::Missing)) => Verdict::StopFor(Cause(StopReason::JointStateMissing)),
            (Occasion::Motion, Err(Untold::Invalid)) => Verdict::StopFor(Cause(StopReason::JointStateInvalid)),
            // A start asks for more than that, and waits by itself.
            _ => Verdict::Go,
        }
    }
}
