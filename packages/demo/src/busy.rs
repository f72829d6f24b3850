//! How busy this machine is, and how fast simulated time may run on it.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// CPU cores that the whole graph of a demo takes at real-time speed: simulator, nodes and recording, 0.9 measured.
pub const GRAPH_CORES: f64 = 1.0;
/// CPU cores that must be free for the wall's time: what must be done by a time comes in bursts. With fewer the graph's time is simulated, which waits for
/// the simulator.
pub const REAL_TIME_CORES: f64 = 1.5;
/// The fastest simulated time.
const FASTEST: f64 = 0.9;
/// Slower than this nobody would wait for it, and what measures time by the wall (discovery, services, supervisors) no longer gets its turn.
pub const SLOWEST: f64 = 0.1;
/// How long the machine is looked at: long against the slices in which a scheduler hands out time.
pub const LOOK: Duration = Duration::from_millis(1000);

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Busy {
    /// CPU cores that there are for this program, beside everything else that runs.
    pub free: f64,
    /// CPU cores of the machine.
    pub cores: usize,
}

/// How time runs in a demo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// By the wall clock.
    Real,
    /// By `/clock`, so many simulated seconds a second; below 1.
    Slowed(f64),
}

impl Speed {
    /// Simulated seconds a second.
    pub fn factor(self) -> f64 {
        match self {
            Self::Real => 1.0,
            Self::Slowed(factor) => factor,
        }
    }

    /// So much time of the wall, for what may take `simulated`.
    pub fn wall(self, simulated: Duration) -> Duration {
        simulated.div_f64(self.factor())
    }
}

impl Busy {
    /// Computes on all cores for `look` and counts the CPU time that it got.
    pub fn measure(look: Duration) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let began = Instant::now();
        let free = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(|| share(look))).collect();
            // One that could not run has had no time.
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).sum()
        });
        log::debug!("{free:.2} of {cores} CPU cores are free, measured in {:?}", began.elapsed());
        Self { free, cores }
    }

    /// How fast simulated time may run, so that the graph keeps up with it.
    ///
    /// # Errors
    /// When the machine is too busy for any speed: why, with the factor.
    pub fn speed(self) -> Result<Speed, String> {
        let Self { free, cores } = self;
        if free >= REAL_TIME_CORES {
            return Ok(Speed::Real);
        }
        let factor = free / GRAPH_CORES;
        if factor >= SLOWEST {
            let factor = factor.min(FASTEST);
            // In steps that can be read; downwards, but for what a floating-point number cannot say.
            return Ok(Speed::Slowed((factor * 50.0 + 1e-9).floor() / 50.0));
        }
        Err(format!(
            "this machine is too busy: {free:.2} of {cores} CPU cores are free, and the graph takes {GRAPH_CORES:.1}, so it would run at {factor:.3} of real \
             time (at least {SLOWEST} is needed); end what else runs ('top' shows it), or force it with --real-time-factor"
        ))
    }

    /// In words, where the graph is slowed.
    pub fn told(self, speed: Speed) -> Option<String> {
        let Self { free, cores } = self;
        let Speed::Slowed(factor) = speed else { return None };
        Some(format!(
            "this machine is busy: {free:.2} of {cores} CPU cores are free, and the graph takes {GRAPH_CORES:.1} and more in bursts, so simulated time runs at {factor:.2} of real \
             time"
        ))
    }
}

/// CPU time of a thread that only computes, over the time that passed.
fn share(look: Duration) -> f64 {
    let cpu = || {
        let now = clock_gettime(ClockId::ThreadCPUTime);
        now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
    };
    let (began, before) = (Instant::now(), cpu());
    while began.elapsed() < look {
        std::hint::spin_loop();
    }
    (cpu() - before) / began.elapsed().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn speed(free: f64) -> Result<Speed, String> {
        Busy { free, cores: 2 }.speed()
    }

    #[test]
    fn time_is_slowed_by_what_others_take_and_never_hurried() {
        assert_eq!(speed(16.0), Ok(Speed::Real));
        assert_eq!(speed(REAL_TIME_CORES), Ok(Speed::Real));
        assert_eq!(speed(0.99 * REAL_TIME_CORES), Ok(Speed::Slowed(FASTEST)));
        assert_eq!(speed(0.5 * GRAPH_CORES), Ok(Speed::Slowed(0.5)));
        assert_eq!(speed(0.499 * GRAPH_CORES), Ok(Speed::Slowed(0.48)), "downwards");
        let told = Busy { free: 0.5, cores: 2 }.told(Speed::Slowed(0.5)).unwrap();
        assert!(told.contains("0.50 of 2") && told.contains("0.50 of real time"), "{told}");
        assert_eq!(Busy { free: 2.0, cores: 2 }.told(Speed::Real), None);
    }

    #[test]
    fn a_machine_that_is_too_busy_is_told_with_its_factor() {
        assert!(speed(1.001 * SLOWEST * GRAPH_CORES).is_ok());
        let text = speed(0.05 * GRAPH_CORES).unwrap_err();
        assert!(text.contains("too busy") && text.contains("0.050 of real time"), "{text}");
        assert!(speed(0.0).is_err() && speed(f64::NAN).is_err());
    }

    #[test]
    fn what_may_take_some_simulated_time_may_take_longer_by_the_wall() {
        assert_eq!(Speed::Slowed(0.25).wall(Duration::from_secs(5)), Duration::from_secs(20));
        assert_eq!(Speed::Real.wall(Duration::from_secs(5)), Duration::from_secs(5));
    }

    /// However busy the machine is: between nothing and everything.
    #[test]
    fn the_machine_is_measured() {
        let busy = Busy::measure(Duration::from_millis(100));
        assert!(busy.free > 0.0 && busy.free <= busy.cores as f64 + 0.01, "{busy:?}");
    }
}
