//! The robot is where it was commanded to be when it was measured, within what it was seen to do.

use crate::monitor::{Cause, Moment, Monitor, Verdict};
use crate::streamer::StopReason;

/// See the module.
#[derive(Debug)]
pub(crate) struct Tracking;

impl Monitor for Tracking {
    fn name(&self) -> &'static str {
        "tracking"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        // The joint that is farthest beyond what it may be.
        let mut worst = None;
        for joint in 0..moment.joints.len() {
            let Some(tracked) = moment.tracked(joint) else { continue };
            let beyond = tracked.error / tracked.bound;
            if beyond > 1.0 && worst.is_none_or(|(_, _, b)| beyond > b) {
                worst = Some((joint, tracked.error, beyond));
            }
        }
        worst.map_or(Verdict::Go, |(joint, error, _)| Verdict::StopFor(Cause(StopReason::Tracking { joint, error })))
    }
}
