//! The graph's time as stamps, and as names of folders.

use efm_core::Stamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time now, as ROS nodes without `use_sim_time` see it.
pub fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}

/// The time of the graph's nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub enum GraphClock {
    /// The wall clock.
    Wall,
    /// `/clock`, nanoseconds; zero before the first message.
    Simulated(Arc<AtomicI64>),
}

impl GraphClock {
    /// One that shows zero until it is told more.
    pub fn simulated() -> Self {
        Self::Simulated(Arc::default())
    }

    /// The time.
    pub fn now(&self) -> Stamp {
        match self {
            Self::Wall => now(),
            Self::Simulated(nanos) => Stamp::from_nanos(nanos.load(Ordering::Relaxed)),
        }
    }

    /// Takes over what `/clock` says; the wall clock does not listen.
    pub fn tell(&self, time: Stamp) {
        if let Self::Simulated(nanos) = self {
            nanos.store(time.nanos(), Ordering::Relaxed);
        }
    }
}

/// A stamp as the name of a folder: `2026-03-01_14-05-09`, UTC. Names sort by time.
pub fn folder_name(stamp: Stamp) -> String {
    let seconds = stamp.nanos().div_euclid(1_000_000_000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}_{:02}-{:02}-{:02}", of_day / 3600, of_day / 60 % 60, of_day % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_by_the_date() {
        // As `date -u -d @SECONDS` writes them.
        for (seconds, name) in [
            (0, "1970-01-01_00-00-00"),
            (951_782_399, "2000-02-28_23-59-59"),
            (951_782_400, "2000-02-29_00-00-00"),
            (1_772_373_909, "2026-03-01_14-05-09"),
            (4_107_542_400, "2100-03-01_00-00-00"),
        ] {
            assert_eq!(folder_name(Stamp::from_nanos(seconds * 1_000_000_000)), name);
        }
    }
}
