//! Points in ROS time.

use std::time::Duration;

/// A point in ROS time: nanoseconds since the epoch of whatever clock ROS uses (wall time, or `/clock` under simulation).
///
/// Kept apart from [`std::time::Instant`]: ROS time may jump, a monotonic clock does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(i64);

impl Stamp {
    /// The zero stamp. ROS uses it for "no stamp".
    pub const ZERO: Stamp = Stamp(0);

    /// From nanoseconds since the clock's epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From a `builtin_interfaces/Time`. A nanosecond part of 1e9 or more is carried over.
    pub const fn from_sec_nanosec(sec: i32, nanosec: u32) -> Self {
        Self(sec as i64 * 1_000_000_000 + nanosec as i64)
    }

    /// Nanoseconds since the clock's epoch.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// The two fields of a `builtin_interfaces/Time`; stamps outside its range saturate.
    pub fn to_sec_nanosec(self) -> (i32, u32) {
        let sec = self.0.div_euclid(1_000_000_000);
        if sec > i64::from(i32::MAX) {
            return (i32::MAX, 999_999_999);
        }
        if sec < i64::from(i32::MIN) {
            return (i32::MIN, 0);
        }
        (sec as i32, self.0.rem_euclid(1_000_000_000) as u32)
    }

    /// Signed time from `earlier` to `self`, in seconds.
    pub fn seconds_since(self, earlier: Stamp) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 * 1e-9
    }

    /// Signed time from `earlier` to `self`, in nanoseconds.
    pub const fn nanos_since(self, earlier: Stamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This stamp moved by `nanos` (which may be negative); saturates.
    pub const fn offset_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// This stamp moved by `seconds` (which may be negative), rounded to the nanosecond; saturates, and NaN moves nothing.
    pub fn offset_seconds(self, seconds: f64) -> Self {
        Self(self.0.saturating_add((seconds * 1e9).round() as i64))
    }
}

impl std::ops::Add<Duration> for Stamp {
    type Output = Stamp;
    fn add(self, duration: Duration) -> Stamp {
        self.offset_nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

impl std::ops::Sub<Duration> for Stamp {
    type Output = Stamp;
    fn sub(self, duration: Duration) -> Stamp {
        self.offset_nanos(-i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_trip_through_a_ros_time_message_also_before_the_epoch() {
        for nanos in [0, 1, 1_700_000_000_123_456_789, -1, -1_500_000_000] {
            let (sec, nanosec) = Stamp::from_nanos(nanos).to_sec_nanosec();
            assert_eq!(Stamp::from_sec_nanosec(sec, nanosec).nanos(), nanos);
        }
    }

    #[test]
    fn saturates_instead_of_wrapping() {
        assert_eq!(Stamp::from_nanos(i64::MAX).offset_seconds(1e30).nanos(), i64::MAX);
        assert_eq!(Stamp::from_nanos(5).offset_seconds(f64::NAN).nanos(), 5);
        assert_eq!(Stamp::from_nanos(i64::MAX).to_sec_nanosec(), (i32::MAX, 999_999_999));
    }
}
