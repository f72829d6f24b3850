//! Is an input fresh? The one rule for every stream that motion depends on (stage S1).
//!
//! Two clocks judge: the monotonic time since receipt tells whether the stream is alive, the message's own stamp against ROS
//! time tells whether what it shows is of now. A camera that stamps from the future is as unusable as one that stopped.

use crate::Stamp;

/// Bounds for one stream, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FreshnessBounds {
    /// Longest silence: time since the last receipt.
    pub max_silence: f64,
    /// Oldest stamp.
    pub max_age: f64,
    /// How far in the future a stamp may lie (clock skew between machines).
    pub max_future: f64,
}

/// Why a stream must not be acted upon. Displays as "<stream> ...".
#[derive(Debug, Clone, PartialEq)]
pub enum Unfresh {
    /// Nothing was received yet.
    Never,
    /// Nothing was received for so many seconds.
    Silent(f64),
    /// The last stamp is so many seconds old.
    Stale(f64),
    /// The last stamp lies so many seconds in the future.
    Future(f64),
    /// The stamp is zero: the publisher did not stamp.
    Unstamped,
}

impl std::fmt::Display for Unfresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unfresh::Never => write!(f, "nothing received yet"),
            Unfresh::Silent(s) => write!(f, "silent for {s:.2} s"),
            Unfresh::Stale(s) => write!(f, "stamped {s:.2} s in the past"),
            Unfresh::Future(s) => write!(f, "stamped {s:.2} s in the future"),
            Unfresh::Unstamped => write!(f, "without a stamp (zero)"),
        }
    }
}

impl FreshnessBounds {
    /// Judges the newest message of a stream: its stamp and the monotonic seconds since its receipt (`None`: none came).
    ///
    /// # Errors
    /// The reason why it is not fresh.
    pub fn check(&self, newest: Option<(Stamp, f64)>, now: Stamp) -> Result<(), Unfresh> {
        let (stamp, since_receipt) = newest.ok_or(Unfresh::Never)?;
        if since_receipt > self.max_silence {
            return Err(Unfresh::Silent(since_receipt));
        }
        if stamp == Stamp::ZERO {
            return Err(Unfresh::Unstamped);
        }
        let age = now.seconds_since(stamp);
        if age > self.max_age {
            return Err(Unfresh::Stale(age));
        }
        if -age > self.max_future {
            return Err(Unfresh::Future(-age));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: FreshnessBounds = FreshnessBounds { max_silence: 0.2, max_age: 0.3, max_future: 0.05 };

    #[test]
    fn a_live_and_recent_stream_is_fresh() {
        let now = Stamp::from_nanos(1_000_000_000);
        assert_eq!(BOUNDS.check(Some((now.offset_seconds(-0.1), 0.01)), now), Ok(()));
        assert_eq!(BOUNDS.check(Some((now.offset_seconds(0.04), 0.01)), now), Ok(()));
    }

    #[test]
    fn a_dead_stale_future_or_unstamped_stream_is_named_as_such() {
        let now = Stamp::from_nanos(1_000_000_000);
        assert_eq!(BOUNDS.check(None, now), Err(Unfresh::Never));
        assert!(matches!(BOUNDS.check(Some((now, 0.5)), now), Err(Unfresh::Silent(_))));
        assert!(matches!(BOUNDS.check(Some((now.offset_seconds(-0.5), 0.0)), now), Err(Unfresh::Stale(_))));
        assert!(matches!(BOUNDS.check(Some((now.offset_seconds(0.5), 0.0)), now), Err(Unfresh::Future(_))));
        assert_eq!(BOUNDS.check(Some((Stamp::ZERO, 0.0)), now), Err(Unfresh::Unstamped));
    }
}
