//! What is told of the arm, without flicker: before an obstacle it creeps, stops and creeps on, tick by tick, and whoever reads that wants to know that an
//! obstacle is there. What is worse is told at once, what is better after it has lasted.

use crate::publisher::motion_report::{Phase, SlowBy};
use efm_core::Stamp;
use efm_safety::Intrusion;

/// For so long it has to be better before that is told, seconds: longer than it takes to come back to full speed after a refused step.
const LASTS: f64 = 1.0;

/// What was worse a moment ago.
#[derive(Debug, Clone, Default)]
pub struct Steady {
    blocked: Option<(Stamp, Intrusion)>,
    slow: Option<(Stamp, (f64, SlowBy))>,
}

fn lately(at: Stamp, now: Stamp) -> bool {
    (0.0..LASTS).contains(&now.seconds_since(at))
}

impl Steady {
    /// What is told in the place of what the arm does now, where that is something else.
    pub fn in_place_of(&mut self, phase: &Phase, now: Stamp) -> Option<Phase> {
        match phase {
            Phase::Blocked(intrusion) => {
                self.blocked = Some((now, *intrusion));
                None
            }
            Phase::Following => {
                let (_, intrusion) = self.blocked.filter(|(at, _)| lately(*at, now))?;
                Some(Phase::Blocked(intrusion))
            }
            // It rests, or is on the way there: the next motion is another one.
            _ => {
                self.blocked = None;
                None
            }
        }
    }

    /// What slows the arm down: a monitor that allows more and less by turns is told as one that allows less. What a human sets is told as it is.
    pub fn slow(&mut self, slow: Option<(f64, SlowBy)>, now: Stamp) -> Option<(f64, SlowBy)> {
        match slow {
            Some((_, SlowBy::Monitor(_))) => self.slow = slow.map(|slow| (now, slow)),
            Some(_) => self.slow = None,
            None => {}
        }
        slow.or_else(|| self.slow.filter(|(at, _)| lately(*at, now)).map(|(_, slow)| slow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use efm_safety::{IdleReason, StopReason};

    fn at(ms: i64) -> Stamp {
        Stamp::from_nanos((1_000 + ms) * 1_000_000)
    }

    fn near(mm: f64) -> Intrusion {
        Intrusion::TooClose { pair: 3, clearance: 1.0e-3 * mm }
    }

    /// What is told at each time of what happens then.
    fn told(happens: &[(i64, Phase)]) -> Vec<Phase> {
        let mut steady = Steady::default();
        happens.iter().map(|(ms, phase)| steady.in_place_of(phase, at(*ms)).unwrap_or_else(|| phase.clone())).collect()
    }

    #[test]
    fn before_an_obstacle_it_is_told_that_one_is_there_however_it_creeps() {
        let creeps: Vec<_> = (0..100)
            .map(|k| (10 * k, if k % 3 == 1 { Phase::Blocked(near(k as f64)) } else { Phase::Following }))
            .collect();
        let told = told(&creeps);
        assert_eq!(told[0], Phase::Following);
        assert!(told[1..].iter().all(|phase| matches!(phase, Phase::Blocked(_))));
        // With what is known of it last.
        assert_eq!(
            (&told[1], &told[3], &told[5]),
            (&Phase::Blocked(near(1.0)), &Phase::Blocked(near(1.0)), &Phase::Blocked(near(4.0)))
        );
    }

    #[test]
    fn once_the_way_is_clear_for_a_second_that_is_told() {
        let happens = [(0, Phase::Blocked(near(1.0))), (990, Phase::Following), (1010, Phase::Following)];
        assert_eq!(told(&happens), [Phase::Blocked(near(1.0)), Phase::Blocked(near(1.0)), Phase::Following]);
    }

    #[test]
    fn what_is_no_motion_along_a_chunk_is_told_at_once_and_what_comes_after_it_too() {
        for other in [
            Phase::Stopping(StopReason::Requested),
            Phase::Idle(IdleReason::Disarmed),
            Phase::Holding(None),
            Phase::Owned("arm".into()),
        ] {
            let happens = [(0, Phase::Blocked(near(1.0))), (10, other.clone()), (20, Phase::Following)];
            assert_eq!(told(&happens), [Phase::Blocked(near(1.0)), other, Phase::Following]);
        }
    }

    #[test]
    fn a_clock_that_goes_back_keeps_nothing() {
        let happens = [(5000, Phase::Blocked(near(1.0))), (0, Phase::Following)];
        assert_eq!(told(&happens)[1], Phase::Following);
    }

    #[test]
    fn a_monitor_that_slows_down_by_turns_is_told_all_the_time_and_the_operator_is_believed_at_once() {
        let mut steady = Steady::default();
        let (monitor, operator) = ((0.0, SlowBy::Monitor("m")), (0.0, SlowBy::Operator));
        assert_eq!(steady.slow(None, at(0)), None);
        for k in 0..20 {
            let now = (k % 2 == 0).then_some(monitor);
            assert_eq!(steady.slow(now, at(100 * k)), Some(monitor));
        }
        assert_eq!(steady.slow(None, at(3800)), None);
        steady.slow(Some(monitor), at(4000));
        assert_eq!(steady.slow(Some(operator), at(4010)), Some(operator));
        assert_eq!(steady.slow(None, at(4020)), None);
    }
}
