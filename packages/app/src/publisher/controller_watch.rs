//! Whether a controller does what it is sent, by the reference that it tells itself.
//!
//! A joint_trajectory_controller tells nobody but its log when it refuses a message, and one that holds after a broken tolerance takes every message
//! and does nothing. Then its reference is not where the windows want it at that time: seen here within a tenth of a second of motion,
//! long before the robot is so far from its command that the tracking watchdog sees it.

use efm_core::{JointNames, Stamp};
use efm_safety::{ControllerSpec, Silence, VerifiedWindow, Voice};
use efm_wire::Decode;
use efm_wire::controller_state::ControllerState;
use std::collections::VecDeque;

/// So long, s, the reference has to be off: windows may come to the controller late, and it then catches up.
pub const PATIENCE: f64 = 0.1;
/// What was sent for times before the newest reference by more than this, s, is forgotten.
const HISTORY: f64 = 1.0;
/// Points farther apart, s, belong to different motions.
const GAP: f64 = 0.05;

/// A controller that does not follow. Displays with joint and figures.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("joint '{joint}' was sent to {sent:.4}, but the controller's own reference is {reference:.4}")]
pub struct NotFollowing {
    /// The joint that is farthest off.
    pub joint: String,
    /// Where it should have been at the time of the reference.
    pub sent: f64,
    /// Where the controller wanted it.
    pub reference: f64,
}

/// What a controller's state says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heard {
    /// Which controller does not follow, and how far off it is.
    pub off: Option<String>,
    /// Whether that it speaks is news.
    pub voice: Option<Voice>,
}

/// Follows all controllers of a robot.
#[derive(Debug, Clone)]
pub struct ControllerWatches(Vec<(String, ControllerWatch, Silence)>);

impl ControllerWatches {
    /// `tolerance`: radians or metres.
    pub fn new(controllers: &[ControllerSpec], tolerance: f64) -> Self {
        let watch = |c: &ControllerSpec| {
            (c.name.clone(), ControllerWatch::new(c.joints.clone(), tolerance), Silence::default())
        };
        Self(controllers.iter().map(watch).collect())
    }

    /// Windows were sent, one a controller.
    pub fn sent(&mut self, windows: &[VerifiedWindow]) {
        for ((_, watch, _), window) in self.0.iter_mut().zip(windows) {
            let point = |k| (window.stamp().offset_nanos(window.time_from_start(k)), window.positions(k));
            // Its first point is over by now.
            watch.sent((1..window.len()).map(point));
        }
    }

    /// See [`ControllerWatch::forget`].
    pub fn forget(&mut self) {
        self.0.iter_mut().for_each(|(_, watch, _)| watch.forget());
    }

    /// The state of a controller came, by its place. What cannot be read is an error in the log only.
    pub fn heard(&mut self, controller: usize, message: &[u8]) -> Heard {
        let Some((name, watch, silence)) = self.0.get_mut(controller) else { return Heard::default() };
        match ControllerState::from_cdr(message) {
            Ok(state) => Heard {
                off: watch
                    .heard(state.stamp, &state.joint_names, &state.reference)
                    .err()
                    .map(|off| format!("{name} does not follow what it is sent: {off}; its log may say why")),
                voice: silence.heard(state.stamp),
            },
            Err(error) => {
                log::debug!("topic '{name}/controller_state': {error}");
                Heard::default()
            }
        }
    }

    /// Time passes, after what came was heard; `usual_s` are the seconds between two ticks. The first controller of which silence is news, and for how
    /// many seconds it is silent.
    pub fn tick(&mut self, now: Stamp, usual_s: f64) -> Option<(usize, f64)> {
        let mut found = None;
        for (place, (name, _, silence)) in self.0.iter_mut().enumerate() {
            if let Some(Voice::Silent { silent_s, period_s }) = silence.tick(now, usual_s) {
                log::warn!(
                    "topic '{name}/controller_state' came every {:.0} ms and is silent for {:.0} ms: was the controller deactivated?",
                    1e3 * period_s,
                    1e3 * silent_s
                );
                found = found.or(Some((place, silent_s)));
            }
        }
        found
    }
}

/// Follows one controller. Joint vectors are in the order of the joints it was made for.
#[derive(Debug, Clone)]
pub struct ControllerWatch {
    joints: JointNames,
    tolerance: f64,
    /// What was sent: times in order, and for each of them a position a joint.
    times: VecDeque<Stamp>,
    positions: VecDeque<f64>,
    off_since: Option<Stamp>,
}

impl ControllerWatch {
    /// `tolerance`: radians or metres.
    pub fn new(joints: JointNames, tolerance: f64) -> Self {
        Self { joints, tolerance, times: VecDeque::new(), positions: VecDeque::new(), off_since: None }
    }

    /// A window was sent. What was sent before for times after its first point is void.
    pub fn sent<'a>(&mut self, points: impl IntoIterator<Item = (Stamp, &'a [f64])>) {
        let mut first = true;
        for (time, positions) in points {
            if std::mem::take(&mut first) {
                while self.times.back().is_some_and(|last| *last >= time) {
                    self.times.pop_back();
                }
                self.positions.truncate(self.times.len() * self.joints.len());
                while self.times.front().is_some_and(|oldest| time.seconds_since(*oldest) > HISTORY) {
                    self.times.pop_front();
                    self.positions.drain(..self.joints.len());
                }
            }
            self.times.push_back(time);
            self.positions.extend(positions);
        }
    }

    /// Somebody else moves the robot, or it begins anew: what was sent means nothing any more.
    pub fn forget(&mut self) {
        self.times.clear();
        self.positions.clear();
        self.off_since = None;
    }

    /// The controller tells its reference for a time. What it is not to be held against (times for which nothing was sent, joints that
    /// it does not name) is passed over.
    ///
    /// # Errors
    /// When it has been off for [`PATIENCE`].
    pub fn heard(&mut self, time: Stamp, names: &[String], reference: &[f64]) -> Result<(), NotFollowing> {
        let Some((k, share)) = self.place(time) else {
            self.off_since = None;
            return Ok(());
        };
        let n = self.joints.len();
        let sent = |joint: usize| {
            let (a, b) = (self.positions[k * n + joint], self.positions[(k + 1) * n + joint]);
            a + share * (b - a)
        };
        let worst = names
            .iter()
            .zip(reference)
            .filter_map(|(name, reference)| Some((name, sent(self.joints.index_of(name)?), *reference)))
            // What is no number is nowhere.
            .map(|(name, sent, reference)| (name, sent, reference, (reference - sent).abs()))
            .map(|(name, sent, reference, off)| (name, sent, reference, if off.is_nan() { f64::INFINITY } else { off }))
            .max_by(|a, b| a.3.total_cmp(&b.3));
        let Some((joint, sent, reference, _)) = worst.filter(|worst| worst.3 > self.tolerance) else {
            self.off_since = None;
            return Ok(());
        };
        let since = *self.off_since.get_or_insert(time);
        let lasts = time.seconds_since(since);
        if lasts < 0.0 {
            self.off_since = Some(time);
        }
        if lasts < PATIENCE {
            return Ok(());
        }
        self.off_since = None;
        Err(NotFollowing { joint: joint.clone(), sent, reference })
    }

    /// The point before a time, and what part of the way to the next has passed by then.
    fn place(&self, time: Stamp) -> Option<(usize, f64)> {
        let k = self.times.partition_point(|t| *t <= time).checked_sub(1)?;
        let (a, b) = (*self.times.get(k)?, *self.times.get(k + 1)?);
        let step = b.seconds_since(a);
        (step <= GAP).then(|| (k, time.seconds_since(a) / step))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TOLERANCE: f64 = 0.01;

    fn names() -> Vec<String> {
        ["b", "x", "a"].map(str::to_owned).to_vec()
    }

    /// Joint a moves at `speed`, b stands still; windows are 0.3 s long and come every 10 ms.
    struct Stream {
        watch: ControllerWatch,
        speed: f64,
    }

    fn at(ms: i64) -> Stamp {
        Stamp::from_nanos(1_000_000_000 + ms * 1_000_000)
    }

    impl Stream {
        fn new(speed: f64) -> Self {
            Self { watch: ControllerWatch::new(JointNames::new(["a", "b"]).unwrap(), TOLERANCE), speed }
        }

        fn wanted(&self, ms: i64) -> f64 {
            self.speed * 1e-3 * ms as f64
        }

        fn send(&mut self, ms: i64) {
            let points: Vec<_> = (0..30).map(|k| (at(ms + 10 * k), [self.wanted(ms + 10 * k), 7.0])).collect();
            self.watch.sent(points.iter().map(|(time, positions)| (*time, positions.as_slice())));
        }

        /// Streams for a second and a half; the controller says `reference` of a time. When it was found not to follow, in ms.
        fn run(&mut self, reference: impl Fn(&Self, i64) -> f64) -> Option<(i64, NotFollowing)> {
            (0..1500).find_map(|ms| {
                if ms % 10 == 0 {
                    self.send(ms);
                }
                let told = [7.0, 99.0, reference(self, ms)];
                self.watch.heard(at(ms), &names(), &told).err().map(|error| (ms, error))
            })
        }
    }

    #[test]
    fn a_controller_that_follows_is_never_suspected() {
        assert_eq!(Stream::new(1.0).run(|stream, ms| stream.wanted(ms)), None);
        assert_eq!(Stream::new(1.0).run(|stream, ms| stream.wanted(ms) + 0.009), None, "within the tolerance");
    }

    #[test]
    fn between_two_points_it_is_asked_for_what_lies_between() {
        // Ten milliseconds are five tolerances.
        assert_eq!(Stream::new(5.0).run(|stream, ms| stream.wanted(ms)), None);
        let (when, _) = Stream::new(5.0).run(|stream, ms| stream.wanted(ms - 5)).unwrap();
        assert!((100..=110).contains(&when), "{when}");
    }

    #[test]
    fn each_joint_is_held_against_what_it_was_sent_itself() {
        let mut watch = ControllerWatch::new(JointNames::new(["a", "b"]).unwrap(), TOLERANCE);
        let wanted = |ms: i64| [1e-3 * ms as f64, 10.0 + 2e-3 * ms as f64];
        let points: Vec<_> = (0..80).map(|k| (at(10 * k), wanted(10 * k))).collect();
        watch.sent(points.iter().map(|(time, positions)| (*time, positions.as_slice())));
        let names = ["a", "b"].map(str::to_owned);
        assert!((0..400).all(|ms| watch.heard(at(ms), &names, &wanted(ms)).is_ok()));
        let off = (400..700).find_map(|ms| watch.heard(at(ms), &names, &[wanted(ms)[0], wanted(ms)[1] - 0.05]).err());
        assert_eq!(off.unwrap().joint, "b");
    }

    #[test]
    fn what_is_told_late_is_held_against_what_was_sent_for_then() {
        let mut stream = Stream::new(1.0);
        (0..1000).step_by(10).for_each(|ms| stream.send(ms));
        let told = |ms: i64| [7.0, 99.0, 1e-3 * ms as f64];
        assert!((300..700).all(|ms| stream.watch.heard(at(ms), &names(), &told(ms)).is_ok()));
        assert!((300..700).any(|ms| stream.watch.heard(at(ms), &names(), &told(ms - 50)).is_err()));
    }

    #[test]
    fn a_clock_that_goes_back_begins_the_tenth_of_a_second_anew() {
        let mut stream = Stream::new(1.0);
        (0..600).step_by(10).for_each(|ms| stream.send(ms));
        let mut off = |ms: i64| stream.watch.heard(at(ms), &names(), &[7.0, 99.0, 9.0]).is_err();
        assert!(!(500..590).any(&mut off));
        let found = (300..500).find(|ms| off(*ms)).unwrap();
        assert!((400..=401).contains(&found), "{found}");
    }

    #[test]
    fn one_that_freezes_is_found_a_tenth_of_a_second_after_it_is_out_of_tolerance_and_its_joint_named() {
        let (when, found) = Stream::new(1.0).run(|stream, ms| stream.wanted(ms.min(500))).unwrap();
        assert!((610..=620).contains(&when), "{when}");
        assert_eq!(found.joint, "a");
        assert!((found.sent - 1e-3 * when as f64).abs() < 1e-6 && (found.reference - 0.5).abs() < 1e-9, "{found}");
    }

    #[test]
    fn one_that_refuses_from_the_beginning_is_found_and_slow_motion_only_takes_longer() {
        let (when, _) = Stream::new(1.0).run(|_, _| 0.0).unwrap();
        assert!((110..=120).contains(&when), "{when}");
        let (when, _) = Stream::new(0.02).run(|_, _| 0.0).unwrap();
        assert!((600..=610).contains(&when), "{when}");
    }

    #[test]
    fn what_is_late_for_less_than_a_tenth_of_a_second_is_forgiven_and_what_is_no_number_is_not() {
        let late = |stream: &Stream, ms: i64| stream.wanted(if (500..590).contains(&ms) { 400 } else { ms });
        assert_eq!(Stream::new(1.0).run(late), None);
        assert!(Stream::new(0.0).run(|_, _| f64::NAN).is_some());
    }

    #[test]
    fn at_rest_and_where_nothing_was_sent_nothing_is_asked() {
        let mut stream = Stream::new(1.0);
        stream.send(0);
        let told = [7.0, 99.0, 42.0];
        // Before the window, after its end, and with joints of others only.
        for ms in (-400..-1).chain(300..900) {
            assert_eq!(stream.watch.heard(at(ms), &names(), &told), Ok(()));
        }
        for ms in 0..290 {
            assert_eq!(stream.watch.heard(at(ms), &["x".to_owned()], &[42.0]), Ok(()));
        }
        // Nor in a pause between two motions.
        stream.send(2000);
        for ms in 300..2000 {
            assert_eq!(stream.watch.heard(at(ms), &names(), &told), Ok(()));
        }
        stream.watch.forget();
        for ms in 2000..2290 {
            assert_eq!(stream.watch.heard(at(ms), &names(), &told), Ok(()));
        }
    }

    #[test]
    fn what_was_sent_is_not_kept_for_ever() {
        let mut stream = Stream::new(1.0);
        for ms in (0..20_000).step_by(10) {
            stream.send(ms);
        }
        assert!(stream.watch.times.len() < 140, "{}", stream.watch.times.len());
        assert_eq!(stream.watch.positions.len(), 2 * stream.watch.times.len());
        // The clock goes back: the new axis holds.
        stream.send(-5000);
        assert_eq!(stream.watch.times.len(), 30);
    }
}
