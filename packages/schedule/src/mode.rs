//! How one chunk follows another.

use crate::scheduler::SchedulerError;

/// Weight decay of temporal ensembling that ACT uses (Zhao et al. 2023, arXiv 2304.13705, section IV-C).
pub const ACT_DECAY: f64 = 0.01;

/// How a chunk that comes takes the place of the one that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Mode {
    /// The chunk's rows keep the times they were meant for: those that are over when it comes are left out. What is followed runs
    /// smoothly into it.
    #[default]
    Blend,
    /// A queue, as it is commonly written: the chunk that comes is followed at once from its first row, however long ago its
    /// observation was, and nothing is blended. To compare with.
    Fifo,
    /// As in ACT (arXiv 2304.13705): the rows keep their times, and at each row's time the reference is the mean of all chunks that
    /// cover it, with weights w_i = exp(-m i), i = 0 being the oldest. Nothing else is blended.
    TemporalEnsemble {
        /// Decay of the weights from chunk to chunk, no unit; [`ACT_DECAY`]. Zero weighs all the same.
        m: f64,
    },
    /// Real-time chunking (arXiv 2506.07339): as [`Mode::Blend`], with chunks that the policy made to go on from what is followed
    /// (see [`crate::RtcPlan`]). What the guidance left of the difference is blended.
    Rtc,
}

impl Mode {
    /// All of them, with ACT's weights.
    pub const ALL: [Mode; 4] = [Mode::Blend, Mode::Fifo, Mode::TemporalEnsemble { m: ACT_DECAY }, Mode::Rtc];

    /// The names of all.
    pub const NAMES: [&'static str; 4] =
        [Self::ALL[0].name(), Self::ALL[1].name(), Self::ALL[2].name(), Self::ALL[3].name()];

    /// Name, as in settings and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Mode::Blend => "blend",
            Mode::Fifo => "fifo",
            Mode::TemporalEnsemble { .. } => "temporal_ensemble",
            Mode::Rtc => "rtc",
        }
    }

    /// Whether a new chunk is blended over what is followed.
    pub(crate) fn blends(&self) -> bool {
        matches!(self, Mode::Blend | Mode::Rtc)
    }

    /// # Errors
    /// When the decay of the weights is negative or no number.
    pub(crate) fn check(&self) -> Result<(), SchedulerError> {
        match self {
            Mode::TemporalEnsemble { m } if !(m.is_finite() && *m >= 0.0) => Err(SchedulerError::Decay(*m)),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A mode that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scheduling mode '{0}'; there are blend, fifo, temporal_ensemble and rtc")]
pub struct UnknownMode(String);

impl std::str::FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        Mode::ALL.into_iter().find(|mode| mode.name() == name).ok_or_else(|| UnknownMode(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn modes_are_read_by_the_names_they_are_written_with() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse::<Mode>().unwrap(), mode);
        }
        assert!("fifi".parse::<Mode>().unwrap_err().to_string().contains("'fifi'"));
        assert_eq!(Mode::default(), Mode::Blend);
    }

    #[test]
    fn weights_that_are_none_are_refused() {
        for m in [-0.1, f64::NAN, f64::INFINITY] {
            assert!(Mode::TemporalEnsemble { m }.check().is_err());
        }
        assert!(Mode::TemporalEnsemble { m: 0.0 }.check().is_ok());
    }
}
