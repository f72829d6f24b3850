//! A motion goes on only while it is known where those joints stand that nobody here moves, and on which it depends what comes close.

use crate::monitor::{Cause, Moment, Monitor, Occasion, Verdict};
use crate::streamer::StopReason;

/// See the module.
#[derive(Debug)]
pub(crate) struct OtherJoints;

impl Monitor for OtherJoints {
    fn name(&self) -> &'static str {
        "other_joints"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        match (moment.occasion, moment.lost_other_joint) {
            // As with the robot's own joints: after a leap of the clock it comes to rest already.
            (Occasion::Motion, Some(other)) if !moment.after_a_leap => {
                Verdict::StopFor(Cause(StopReason::OtherJointLost { other }))
            }
            _ => Verdict::Go,
        }
    }
}
