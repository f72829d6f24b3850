//! ROS time: the wall clock, or `/clock` under `use_sim_time`.

use crate::alarm;
use efm_core::Stamp;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;

/// A step of `/clock` this far beyond the usual one, or any step backwards, is a jump (a restarted simulator, a looped bag).
pub const JUMP: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy)]
struct SimTime {
    now: Stamp,
    heard: Instant,
    usual_nanos: i64,
    jumps: u64,
}

/// Tells ROS time. Cheap to clone, may be asked from any thread.
#[derive(Debug, Clone)]
pub struct RosClock(Option<watch::Receiver<SimTime>>);

/// Where a simulated [`RosClock`] gets its time from.
#[derive(Debug)]
pub struct ClockFeed(watch::Sender<SimTime>);

impl RosClock {
    /// The wall clock.
    pub fn wall() -> Self {
        Self(None)
    }

    /// A clock that only moves when it is fed. It shows [`Stamp::ZERO`] before.
    pub fn simulated() -> (Self, ClockFeed) {
        let (sender, receiver) =
            watch::channel(SimTime { now: Stamp::ZERO, heard: Instant::now(), usual_nanos: 0, jumps: 0 });
        (Self(Some(receiver)), ClockFeed(sender))
    }

    /// Whether time comes from `/clock`.
    pub fn is_simulated(&self) -> bool {
        self.0.is_some()
    }

    /// The time. [`Stamp::ZERO`] under simulation before the first `/clock`.
    pub fn now(&self) -> Stamp {
        match &self.0 {
            Some(sim) => sim.borrow().now,
            None => {
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Stamp::ZERO + since
            }
        }
    }

    /// Time by which durations are measured: as [`Self::now`] when the process first asked, and on from there by the monotonic clock, so that nobody
    /// sets it (as NTP and people do the wall clock); under simulation ROS time. No stamp of a message: other processes have another one.
    pub fn steady(&self) -> Stamp {
        self.steady_at(Instant::now(), self.now())
    }

    /// The same for something that came at `at` by the monotonic clock, and at `ros_at` in ROS time.
    pub fn steady_at(&self, at: Instant, ros_at: Stamp) -> Stamp {
        static BEGAN: OnceLock<(Instant, Stamp)> = OnceLock::new();
        if self.is_simulated() {
            return ros_at;
        }
        let (began, then) = *BEGAN.get_or_init(|| (Instant::now(), Self::wall().now()));
        match at.checked_duration_since(began) {
            Some(since) => then + since,
            // It came before anybody asked.
            None => then.offset_seconds(-began.duration_since(at).as_secs_f64()),
        }
    }

    /// How long `/clock` has been silent, in monotonic time; `None` under wall time. Everything stands still meanwhile, so
    /// whoever watches over something must ask.
    pub fn silence(&self) -> Option<Duration> {
        self.0.as_ref().map(|sim| sim.borrow().heard.elapsed())
    }

    /// How often `/clock` has jumped: stepped backwards, or more than [`JUMP`] beyond its usual step. Zero under wall time.
    pub fn jumps(&self) -> u64 {
        self.0.as_ref().map_or(0, |sim| sim.borrow().jumps)
    }

    /// Ticks evenly in ROS time. Ticks that were missed are left out, not made up for. In wall time to the fraction of a millisecond
    /// where a node's work waits for it, to the millisecond in tasks of tokio.
    pub fn ticker(&self, period: Duration) -> Ticker {
        // Both kinds of ticker would spin on a period of zero.
        let period = period.max(Duration::from_micros(100));
        Ticker(match &self.0 {
            Some(sim) => Kind::Sim { sim: sim.clone(), period, next: None },
            None => {
                static COUNT: AtomicU64 = AtomicU64::new(0);
                let id = COUNT.fetch_add(1, Ordering::Relaxed);
                Kind::Wall { clock: self.clone(), id, next: Instant::now(), period, elsewhere: None }
            }
        })
    }

    /// Waits until ROS time has reached `due`; at once if it has.
    pub async fn sleep_until(&self, due: Stamp) {
        match &self.0 {
            Some(sim) => {
                if sim.clone().wait_for(|time| time.now >= due).await.is_err() {
                    std::future::pending::<()>().await; // the feed is gone: this time never comes
                }
            }
            None => {
                let left = due.nanos_since(self.now());
                tokio::time::sleep(Duration::from_nanos(u64::try_from(left).unwrap_or(0))).await;
            }
        }
    }
}

impl ClockFeed {
    /// Sets the time, as heard on `/clock`.
    pub fn set(&self, now: Stamp) {
        self.0.send_modify(|time| {
            let first = time.now == Stamp::ZERO;
            let step = now.nanos_since(time.now);
            let jumped = !first
                && (step < 0
                    || (time.usual_nanos > 0 && step > time.usual_nanos.saturating_add(JUMP.as_nanos() as i64)));
            if jumped {
                time.jumps += 1;
            } else if !first && step > 0 {
                // Follows the publisher's rate within some ten messages.
                time.usual_nanos =
                    if time.usual_nanos == 0 { step } else { time.usual_nanos + (step - time.usual_nanos) / 8 };
            }
            time.now = now;
            time.heard = Instant::now();
        });
    }
}

/// Ticks in ROS time, see [`RosClock::ticker`].
#[derive(Debug)]
pub struct Ticker(Kind);

#[derive(Debug)]
enum Kind {
    Wall {
        clock: RosClock,
        id: u64,
        next: Instant,
        period: Duration,
        /// Wakes where nobody rings alarms.
        elsewhere: Option<Pin<Box<tokio::time::Sleep>>>,
    },
    Sim {
        sim: watch::Receiver<SimTime>,
        period: Duration,
        next: Option<Stamp>,
    },
}

/// The next time on the grid of `due` that is not over at `now`; what was missed is left out.
pub fn after(due: Instant, now: Instant, period: Duration) -> Instant {
    let missed = now.saturating_duration_since(due).as_nanos() / period.as_nanos();
    due + period.saturating_mul(u32::try_from(missed).unwrap_or(u32::MAX).saturating_add(1))
}

impl Ticker {
    /// Waits for the next tick and returns the time at which it came. The first comes at once (under simulation: with the first
    /// `/clock`). When `/clock` steps backwards, ticking starts anew.
    pub async fn tick(&mut self) -> Stamp {
        match &mut self.0 {
            Kind::Wall { clock, id, next, period, elsewhere } => {
                std::future::poll_fn(|context| {
                    let now = Instant::now();
                    if now >= *next {
                        *next = after(*next, now, *period);
                        *elsewhere = None;
                        return Poll::Ready(());
                    }
                    if alarm::set(*id, *next, context.waker()) {
                        return Poll::Pending;
                    }
                    let due = *next;
                    let sleep = elsewhere.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
                    match sleep.as_mut().poll(context) {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(()) => {
                            *next = after(*next, Instant::now(), *period);
                            *elsewhere = None;
                            Poll::Ready(())
                        }
                    }
                })
                .await;
                clock.now()
            }
            Kind::Sim { sim, period, next } => {
                let due = *next;
                let is_due = |time: &SimTime| {
                    time.now > Stamp::ZERO && due.is_none_or(|due| time.now >= due || time.now < due - 2 * *period)
                };
                let Ok(now) = sim.wait_for(is_due).await.map(|time| time.now) else {
                    return std::future::pending().await; // the feed is gone: no more ticks
                };
                let period_nanos = period.as_nanos() as i64;
                *next = Some(match due {
                    // Stay on the grid as long as at most one tick is late.
                    Some(due) if now >= due && now.nanos_since(due) < period_nanos => due + *period,
                    _ => now + *period,
                });
                now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn simulated_time_stands_still_until_it_is_fed() {
        let (clock, feed) = RosClock::simulated();
        assert_eq!(clock.now(), Stamp::ZERO);
        feed.set(ms(5));
        assert_eq!(clock.now(), ms(5));
        assert!(clock.is_simulated() && clock.silence().unwrap() < Duration::from_secs(60));
        assert!(!RosClock::wall().is_simulated() && RosClock::wall().now() > ms(1_600_000_000_000));
    }

    #[test]
    fn durations_are_measured_by_a_clock_that_nobody_sets() {
        let clock = RosClock::wall();
        let (first, at) = (clock.steady(), Instant::now());
        assert!(clock.now().seconds_since(first).abs() < 60.0, "it began as the wall clock");
        // Whatever the wall clock says: that it was set.
        for set in [-3600.0, 120.0] {
            let told = clock.steady_at(at + Duration::from_secs(2), clock.now().offset_seconds(set));
            assert!((told.seconds_since(first) - 2.0).abs() < 1.0);
        }
        assert!(clock.steady_at(at - Duration::from_secs(2), Stamp::ZERO).seconds_since(first) < -1.0);
        assert!(clock.steady() >= first);
        let (clock, feed) = RosClock::simulated();
        feed.set(ms(5));
        assert_eq!((clock.steady(), clock.steady_at(at, ms(4))), (ms(5), ms(4)), "time that stands still takes none");
    }

    #[test]
    fn a_step_back_or_far_ahead_counts_as_a_jump_and_an_ordinary_one_does_not() {
        let (clock, feed) = RosClock::simulated();
        for t in [1000, 1010, 1020, 1031, 1039, 1085] {
            feed.set(ms(t));
        }
        assert_eq!(clock.jumps(), 0);
        feed.set(ms(1200));
        assert_eq!(clock.jumps(), 1);
        feed.set(ms(1199));
        assert_eq!(clock.jumps(), 2);
        feed.set(ms(1209));
        assert_eq!(clock.jumps(), 2);
    }

    /// tokio's timers would make of 0.3 ms a whole millisecond.
    #[test]
    fn a_ticker_in_wall_time_tells_fractions_of_a_millisecond_apart_and_makes_up_for_nothing() {
        let period = Duration::from_micros(300);
        alarm::block_on(async {
            let mut ticker = RosClock::wall().ticker(period);
            let begun = Instant::now();
            let mut shortest = Duration::MAX;
            for _ in 0..200 {
                let before = Instant::now();
                ticker.tick().await;
                shortest = shortest.min(before.elapsed().max(Duration::from_nanos(1)));
            }
            let lasted = begun.elapsed();
            // The first comes at once.
            assert!(lasted >= period * 198, "never more often than asked: {lasted:?}");
            assert!(shortest < Duration::from_millis(1), "{shortest:?}");
            // Ticks that nobody waited for come as one.
            std::thread::sleep(Duration::from_millis(20));
            let before = Instant::now();
            for _ in 0..10 {
                ticker.tick().await;
            }
            assert!(before.elapsed() >= period * 8, "{:?}", before.elapsed());
        });
    }

    #[tokio::test]
    async fn a_ticker_in_wall_time_also_ticks_in_a_task() {
        let period = Duration::from_millis(2);
        let mut ticker = RosClock::wall().ticker(period);
        let begun = Instant::now();
        for _ in 0..10 {
            ticker.tick().await;
        }
        assert!(begun.elapsed() >= period * 9, "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_simulated_ticker_follows_the_clock_and_starts_anew_when_it_goes_back() {
        let (clock, feed) = RosClock::simulated();
        let mut ticker = clock.ticker(Duration::from_millis(10));
        let (ticks, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let _ = ticks.send(ticker.tick().await);
            }
        });
        // (time fed, whether a tick must follow)
        for (t, due) in
            [(100, true), (105, false), (110, true), (121, true), (130, true), (170, true), (30, true), (40, true)]
        {
            feed.set(ms(t));
            tokio::task::yield_now().await;
            assert_eq!(seen.try_recv().ok(), due.then(|| ms(t)), "at {t} ms");
        }
        task.abort();
    }

    #[tokio::test]
    async fn sleeping_in_simulated_time_ends_when_the_clock_gets_there() {
        let (clock, feed) = RosClock::simulated();
        let sleeper = tokio::spawn(async move {
            clock.sleep_until(ms(50)).await;
            clock.now()
        });
        feed.set(ms(49));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        feed.set(ms(51));
        assert_eq!(sleeper.await.unwrap(), ms(51));
    }
}
