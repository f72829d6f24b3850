//! A toy monitor: where a joint is measured to move fast, the arm goes at half its speed; where one moves twice as fast as that, it stops.

use efm_core::{Level, Reason};
use efm_safety::{Latch, Moment, Monitor, Verdict};

/// See the module.
#[derive(Debug, Clone)]
pub struct ToyMonitor {
    /// From this measured speed of any joint on, rad/s or m/s.
    fast: f64,
    /// Made once: a tick does not allocate, and copies of a reason are free.
    too_fast: Reason,
}

impl ToyMonitor {
    /// From this measured speed of any joint on, rad/s or m/s.
    pub fn new(fast: f64) -> Self {
        let text = format!("a joint moves at more than {} a second", 2.0 * fast);
        Self { fast, too_fast: Reason::new("joint_too_fast", Level::Error, text, "look at who moves it") }
    }
}

impl Monitor for ToyMonitor {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        // Without a joint state the filter stops by itself.
        let Ok(measured) = moment.measured else { return Verdict::Go };
        let fastest = measured.sample.velocities.iter().fold(0.0, |most: f64, speed| most.max(speed.abs()));
        match fastest {
            speed if speed > 2.0 * self.fast => Verdict::Stop(self.too_fast.clone(), Latch::UntilResume),
            speed if speed > self.fast => Verdict::Slow(0.5),
            _ => Verdict::Go,
        }
    }
}
