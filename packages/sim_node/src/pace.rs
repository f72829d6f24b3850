//! Ties a simulation's own time to a clock.

use efm_core::Stamp;
use std::collections::VecDeque;

/// Behind or ahead of the clock by more than this, s, the simulation is not driven on to catch up: its time axis is moved. A stall of
/// the machine below this is made up for within milliseconds and without any seam: each command is applied at the time at which it
/// came ([`Inbox`]). Moving the axis is the last resort, because to controllers it is a leap of their clock.
pub const MAX_LAG: f64 = 0.5;
/// The same where the simulation makes the time by itself (`/clock`), s of the wall: it then waits instead of leaping, so that however busy the machine is,
/// nobody sees it run faster than it should or leap.
pub const MAX_OWN_LAG: f64 = 0.04;

/// Counts how well a simulation keeps up with its clock.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Simulated seconds.
    max_lag: f64,
    anchors: u64,
    lost: f64,
    /// Clock and simulation time at the last look.
    looked: Option<(Stamp, i64)>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Step until the simulation's time has reached the clock's.
    Step,
    /// Too far off: call it now.
    Anchor,
    /// Nothing to do yet.
    Wait,
}

impl Pace {
    /// Of a simulation that follows a clock of others.
    pub fn following() -> Self {
        Self { max_lag: MAX_LAG, anchors: 0, lost: 0.0, looked: None }
    }

    /// Of a simulation that makes the time, so many simulated seconds a second.
    pub fn own(factor: f64) -> Self {
        Self { max_lag: MAX_OWN_LAG * factor, ..Self::following() }
    }

    /// Compares the simulation's time with the clock's.
    pub fn decide(&mut self, simulation: Stamp, clock: Stamp) -> Move {
        let behind = clock.seconds_since(simulation);
        if behind.abs() > self.max_lag {
            self.anchors += 1;
            self.lost += behind.max(0.0);
            Move::Anchor
        } else if behind > 0.0 {
            Move::Step
        } else {
            Move::Wait
        }
    }

    /// How often the time axis was moved.
    pub fn anchors(&self) -> u64 {
        self.anchors
    }

    /// Seconds that were left out so far.
    pub fn lost(&self) -> f64 {
        self.lost
    }

    /// Simulated seconds per second of the clock since the last call; `None` the first time. `simulated`: nanoseconds that were
    /// simulated so far.
    pub fn factor(&mut self, clock: Stamp, simulated: i64) -> Option<f64> {
        let before = self.looked.replace((clock, simulated));
        let (then, done) = before?;
        let passed = clock.nanos_since(then);
        (passed > 0).then(|| simulated.saturating_sub(done) as f64 / passed as f64)
    }
}

/// Things that came from outside, kept until the simulation has reached the time at which they came.
#[derive(Debug, Clone)]
pub struct Inbox<T>(VecDeque<(Stamp, T)>);

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Inbox<T> {
    /// Something came, at a time of the clock.
    pub fn put(&mut self, came: Stamp, what: T) {
        self.0.push_back((came, what));
    }

    /// The next thing, in the order of coming, if it had come by `now`. What claims to have come far later than that (the clock was
    /// set back) is not waited for.
    pub fn due(&mut self, now: Stamp) -> Option<T> {
        let ahead = self.0.front()?.0.seconds_since(now);
        if ahead > 0.0 && ahead <= MAX_LAG {
            return None;
        }
        self.0.pop_front().map(|(_, what)| what)
    }
}

/// Says when something periodic is due, on the grid of its period; what was missed is left out.
#[derive(Debug, Clone)]
pub struct Every {
    period: i64,
    next: Stamp,
}

impl Every {
    /// `hertz` times a second, at once for the first time.
    pub fn hertz(hertz: f64) -> Self {
        Self { period: (1e9 / hertz).round() as i64, next: Stamp::ZERO }
    }

    /// Whether it is due at a time. Time that goes back starts it anew.
    pub fn is_due(&mut self, now: Stamp) -> bool {
        if now < self.next && self.next.nanos_since(now) <= self.period {
            return false;
        }
        let late = now.nanos_since(self.next);
        self.next = if (0..self.period).contains(&late) {
            self.next.offset_nanos(self.period)
        } else {
            now.offset_nanos(self.period)
        };
        true
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
    fn a_little_behind_is_caught_up_and_far_behind_is_left_out() {
        let mut pace = Pace::following();
        assert_eq!(pace.decide(ms(1000), ms(1490)), Move::Step);
        assert_eq!(pace.decide(ms(1000), ms(1000)), Move::Wait);
        assert_eq!(pace.decide(ms(1000), ms(2000)), Move::Anchor);
        assert_eq!(pace.decide(ms(2000), ms(1000)), Move::Anchor, "the clock was set back");
        assert_eq!((pace.anchors(), pace.lost()), (2, 1.0));
    }

    #[test]
    fn time_of_its_own_waits_soon_so_that_nobody_sees_it_leap() {
        let mut pace = Pace::own(0.5);
        assert_eq!(pace.decide(ms(1000), ms(1019)), Move::Step);
        assert_eq!(pace.decide(ms(1000), ms(1021)), Move::Anchor);
    }

    #[test]
    fn while_catching_up_every_command_is_applied_at_the_time_at_which_it_came() {
        let mut inbox = Inbox::default();
        inbox.put(ms(1010), 'a');
        inbox.put(ms(1030), 'b');
        let mut applied = Vec::new();
        for now in (1000..1050).step_by(2) {
            while let Some(what) = inbox.due(ms(now)) {
                applied.push((now, what));
            }
        }
        assert_eq!(applied, [(1010, 'a'), (1030, 'b')]);
        inbox.put(ms(9000), 'c');
        assert_eq!(inbox.due(ms(1050)), Some('c'), "the clock was set back in between");
    }

    #[test]
    fn the_factor_is_simulated_over_passed_time() {
        let mut pace = Pace::following();
        assert_eq!(pace.factor(ms(1000), 0), None);
        assert_eq!(pace.factor(ms(3000), 1_000_000_000), Some(0.5));
    }

    #[test]
    fn periods_keep_their_grid_skip_what_was_missed_and_survive_a_step_back() {
        let mut every = Every::hertz(100.0);
        let due: Vec<i64> = (1000..1040).filter(|t| every.is_due(ms(*t))).collect();
        assert_eq!(due, [1000, 1010, 1020, 1030]);
        assert!(every.is_due(ms(1055)) && !every.is_due(ms(1060)), "missed ones do not pile up");
        assert!(every.is_due(ms(10)) && !every.is_due(ms(15)) && every.is_due(ms(20)));
    }
}
