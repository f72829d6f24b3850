//! An old observation: slower and slower, to stand still where the chunk would have ended.

use crate::monitor::{Moment, Monitor, Verdict};

/// See the module.
#[derive(Debug)]
pub(crate) struct Freshness {
    /// From this age of an observation on it is slowed down, seconds.
    max_age_s: f64,
}

impl Freshness {
    pub(crate) fn new(max_age_s: f64) -> Self {
        Self { max_age_s }
    }
}

impl Monitor for Freshness {
    fn name(&self) -> &'static str {
        "freshness"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        let Some(chunk) = moment.chunk else { return Verdict::Go };
        let late = moment.now.seconds_since(chunk.observed) - self.max_age_s;
        let left = chunk.ends.seconds_since(chunk.observed) - self.max_age_s;
        if late <= 0.0 { Verdict::Go } else { Verdict::Slow((1.0 - late / left.max(1.0e-3)).max(0.0)) }
    }
}
