//! Monitors: what they see, and that they can slow down, refuse and stop, and nothing else.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_core::{Level, Reason};
use efm_safety::{
    Activity, IdleReason, Latch, Moment, Monitor, Occasion, OfferRefusal, PathLimit, PlanReport, StopReason, Tick,
    TrajectoryStreamer, Verdict,
};
use panda::*;
use std::sync::{Arc, Mutex};

/// Says what a function says.
struct Says<F>(F);

impl<F: FnMut(&Moment<'_>) -> Verdict> Monitor for Says<F> {
    fn name(&self) -> &'static str {
        "says"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        (self.0)(moment)
    }
}

fn says(say: impl FnMut(&Moment<'_>) -> Verdict + Send + 'static) -> Vec<Box<dyn Monitor + Send>> {
    vec![Box::new(Says(say))]
}

fn why(code: &'static str) -> Reason {
    Reason::new(code, Level::Error, "it is hot", "let it cool down")
}

fn moving(t: f64) -> [f64; 8] {
    let mut q = HOME;
    q[0] = 0.5 * t;
    q
}

/// What a tick said.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Idle(IdleReason),
    Send(Activity, PlanReport),
    Hold,
}

struct Cell {
    streamer: TrajectoryStreamer,
    recorder: Recorder,
    tick: u32,
}

impl Cell {
    fn watched_by(monitors: Vec<Box<dyn Monitor + Send>>) -> Self {
        let mut streamer = streamer();
        streamer.add_monitors(monitors);
        streamer.arm(true, at(0.0));
        Self { streamer, recorder: Recorder::new(), tick: 0 }
    }

    fn saying(say: impl FnMut(&Moment<'_>) -> Verdict + Send + 'static) -> Self {
        Self::watched_by(says(say))
    }

    fn seconds(&self) -> f64 {
        f64::from(self.tick) * 0.01
    }

    /// A chunk that goes on at a constant speed from where it is now.
    fn offer(&mut self) -> Result<(), OfferRefusal> {
        let (t, q) = (self.seconds(), self.recorder.position(at(self.seconds()), &HOME));
        let chunk = chunk_of(t, 20, 0.05, |s| {
            let mut to = moving(s - t);
            to[0] += q[0];
            to
        });
        self.streamer.offer_chunk(&chunk, at(t)).map(drop)
    }

    /// The recorder holds every window to account.
    fn tick(&mut self) -> Said {
        let now = at(self.seconds());
        let measured = sample(now, &self.recorder.position(now, &HOME));
        self.tick += 1;
        match self.streamer.tick(now, Some((&measured, 0.002))) {
            Tick::Send(out) => {
                self.recorder.take(now, &out);
                Said::Send(out.activity.clone(), out.report)
            }
            Tick::Hold => Said::Hold,
            Tick::Idle(reason) => {
                self.recorder.finish();
                self.recorder.new_motion();
                Said::Idle(reason)
            }
        }
    }

    fn run(&mut self, ticks: usize) -> Said {
        (1..ticks).for_each(|_| drop(self.tick()));
        self.tick()
    }

    /// Why it does not send anything any more.
    fn run_out(&mut self) -> IdleReason {
        for _ in 0..400 {
            if let Said::Idle(reason) = self.tick() {
                return reason;
            }
        }
        panic!("it never comes to rest");
    }
}

/// Where the arm went: nanoseconds, and the bits of positions.
type Went = Vec<(i64, [u64; 8])>;

/// What is sent in two seconds of two chunks, by what it was limited, and how far it went.
fn sent(say: impl FnMut(&Moment<'_>) -> Verdict + Send + 'static) -> (Went, Vec<PathLimit>, f64) {
    let mut cell = Cell::saying(say);
    let mut limits = Vec::new();
    for tick in 0..200 {
        if tick == 20 || tick == 60 {
            let _ = cell.offer();
        }
        if let Said::Send(_, report) = cell.tick() {
            limits.extend(report.limited);
        }
    }
    let far = cell.recorder.followed.last().map_or(0.0, |f| f.1[0]);
    (cell.recorder.followed.iter().map(|(t, p, _)| (*t, p.map(f64::to_bits))).collect(), limits, far)
}

#[test]
fn nothing_that_a_monitor_says_makes_it_faster_and_one_that_says_nothing_changes_no_bit() {
    let (without, _, far) = sent(|_| Verdict::Go);
    assert!(far > 0.5, "{far}");
    let mut without_any = Cell::watched_by(Vec::new());
    for tick in 0..200 {
        if tick == 20 || tick == 60 {
            without_any.offer().unwrap();
        }
        without_any.tick();
    }
    let bits: Went = without_any.recorder.followed.iter().map(|(t, p, _)| (*t, p.map(f64::to_bits))).collect();
    assert!(bits == without);
    for rate in [1.0, 2.0, 1.0e300, f64::INFINITY] {
        assert!(sent(move |_| Verdict::Slow(rate)).0 == without, "{rate}");
    }
    for rate in [-1.0, f64::NEG_INFINITY, 0.0, -0.0] {
        let (_, limits, far) = sent(move |_| Verdict::Slow(rate));
        assert!(far < 1e-3 && limits.contains(&PathLimit::Monitor("says")), "{rate}: {far}");
    }
    let (_, limits, half) = sent(|_| Verdict::Slow(0.5));
    assert!(half < 0.7 * far && half > 0.2, "{half} of {far}");
    assert!(limits.contains(&PathLimit::Monitor("says")));
}

#[test]
fn a_speed_that_is_no_number_and_a_panic_are_latched_stops_that_are_told_apart() {
    let broken: [fn() -> Verdict; 2] = [|| Verdict::Slow(f64::NAN), || panic!("on purpose")];
    for (say, code) in broken.into_iter().zip(["monitor_no_number", "monitor_panicked"]) {
        let from = at(0.5);
        let mut cell = Cell::saying(move |moment| {
            let breaks = moment.now >= from && moment.now < from.offset_seconds(0.05);
            if breaks { say() } else { Verdict::Go }
        });
        cell.run(20);
        cell.offer().unwrap();
        cell.run(20);
        let IdleReason::Latched(StopReason::Monitor { monitor, reason, latch }) = cell.run_out() else {
            panic!("{code}")
        };
        assert_eq!((monitor, reason.code, latch), ("says", code, Latch::UntilResume));
        assert!(matches!(cell.offer(), Err(OfferRefusal::Stopped(StopReason::Monitor { .. }))));
        // It is asked again, and goes on.
        cell.streamer.resume();
        cell.run(20);
        cell.offer().unwrap();
        assert!(matches!(cell.run(20), Said::Send(Activity::Following, _)), "{code}");
    }
}

#[test]
fn a_refusal_is_of_the_chunk_that_is_offered_and_changes_nothing() {
    let mut cell = Cell::saying(|moment| match moment.occasion {
        Occasion::Offer(_) if moment.now >= at(0.5) => Verdict::Refuse(why("hot")),
        _ => Verdict::Go,
    });
    cell.run(20);
    cell.offer().unwrap();
    cell.run(31);
    let before = cell.streamer.scheduler().has_pending();
    let refused = cell.offer().unwrap_err();
    assert_eq!(refused, OfferRefusal::Monitor { monitor: "says", reason: why("hot") });
    assert_eq!(refused.in_words(&cell.streamer.names()), "monitor 'says': it is hot; let it cool down");
    assert_eq!(cell.streamer.scheduler().has_pending(), before);
    assert!(matches!(cell.run(10), Said::Send(Activity::Following, _)));
    // What the filter itself would not take, it is not asked about.
    let old = chunk_of(-5.0, 10, 0.05, moving);
    assert!(matches!(cell.streamer.offer_chunk(&old, at(cell.seconds())), Err(OfferRefusal::Chunk(_))));
}

#[test]
fn where_a_motion_could_begin_a_refusal_and_a_stop_that_is_not_latched_let_the_chunk_wait() {
    let verdicts: [fn() -> Verdict; 2] =
        [|| Verdict::Refuse(why("hot")), || Verdict::Stop(why("hot"), Latch::UntilRest)];
    for say in verdicts {
        let mut cell = Cell::saying(move |moment| match moment.occasion {
            Occasion::Start if moment.now < at(0.5) => say(),
            _ => Verdict::Go,
        });
        cell.run(20);
        cell.offer().unwrap();
        let waits = IdleReason::Monitor { monitor: "says", reason: why("hot") };
        assert_eq!(cell.run(10), Said::Idle(waits));
        assert!(cell.streamer.latched().is_none());
        assert!(matches!(cell.run(30), Said::Send(Activity::Following, _)));
    }
}

#[test]
fn a_latched_stop_holds_until_resume_whenever_it_is_said() {
    // At an offer, where a motion could begin, and in motion.
    type When = fn(&Moment<'_>) -> bool;
    let occasions: [When; 3] = [
        |moment| matches!(moment.occasion, Occasion::Offer(_)) && moment.now > at(0.45),
        |moment| matches!(moment.occasion, Occasion::Start),
        |moment| matches!(moment.occasion, Occasion::Motion) && moment.now > at(0.45),
    ];
    for (which, when) in occasions.into_iter().enumerate() {
        let quiet = Arc::new(Mutex::new(false));
        let says_nothing = quiet.clone();
        let mut cell = Cell::saying(move |moment| match when(moment) && !*says_nothing.lock().unwrap() {
            true => Verdict::Stop(why("hot"), Latch::UntilResume),
            false => Verdict::Go,
        });
        cell.run(20);
        cell.offer().unwrap();
        cell.run(30);
        let _ = cell.offer();
        let stop = StopReason::Monitor { monitor: "says", reason: why("hot"), latch: Latch::UntilResume };
        assert_eq!(cell.run_out(), IdleReason::Latched(stop.clone()), "{which}");
        assert_eq!(stop.in_words(&cell.streamer.names()), "monitor 'says': it is hot; let it cool down; call resume");
        *quiet.lock().unwrap() = true;
        assert_eq!(cell.offer(), Err(OfferRefusal::Stopped(stop)), "{which}");
        cell.streamer.resume();
        cell.run(20);
        cell.offer().unwrap();
        assert!(matches!(cell.run(20), Said::Send(Activity::Following, _)), "{which}");
    }
}

#[test]
fn in_motion_a_refusal_is_a_stop_that_is_over_at_rest() {
    let verdicts: [fn() -> Verdict; 2] =
        [|| Verdict::Refuse(why("hot")), || Verdict::Stop(why("hot"), Latch::UntilRest)];
    for say in verdicts {
        let mut cell = Cell::saying(move |moment| match moment.occasion {
            Occasion::Motion if moment.now > at(0.45) && moment.now < at(0.5) => say(),
            _ => Verdict::Go,
        });
        cell.run(20);
        cell.offer().unwrap();
        cell.run(27);
        let stop = StopReason::Monitor { monitor: "says", reason: why("hot"), latch: Latch::UntilRest };
        assert!(matches!(cell.tick(), Said::Send(Activity::Stopping(reason), _) if reason == stop));
        // A new chunk is not followed before rest.
        assert_eq!(cell.offer(), Err(OfferRefusal::Stopped(stop.clone())));
        assert_eq!(cell.run_out(), IdleReason::NoChunk(Some(stop)));
        cell.offer().unwrap();
        assert!(matches!(cell.run(10), Said::Send(Activity::Following, _)));
    }
}

#[test]
fn of_several_the_slowest_counts_and_the_first_reason_is_told_but_a_latch_is_kept() {
    struct Named(&'static str, Verdict);
    impl Monitor for Named {
        fn name(&self) -> &'static str {
            self.0
        }
        fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
            if moment.now < at(0.45) { Verdict::Go } else { self.1.clone() }
        }
    }
    let watched_by = |says: Vec<(&'static str, Verdict)>| {
        let monitors =
            says.into_iter().map(|(name, verdict)| Box::new(Named(name, verdict)) as Box<dyn Monitor + Send>);
        let mut cell = Cell::watched_by(monitors.collect());
        cell.run(20);
        cell.offer().unwrap();
        cell.run(26);
        cell
    };
    let mut cell = watched_by(vec![("a", Verdict::Slow(0.6)), ("b", Verdict::Slow(0.2)), ("c", Verdict::Slow(0.9))]);
    assert_eq!(cell.streamer.slowed_by_monitor(), Some((0.2, "b")));
    cell.streamer.set_speed_scale(0.1).unwrap();
    cell.tick();
    assert_eq!(cell.streamer.slowed_by_monitor(), None, "the operator's scale is lower");

    let stop = |latch| Verdict::Stop(why("hot"), latch);
    let mut cell = watched_by(vec![
        ("a", Verdict::Slow(0.0)),
        ("b", stop(Latch::UntilRest)),
        ("c", stop(Latch::UntilResume)),
        ("d", stop(Latch::UntilResume)),
    ]);
    assert!(
        matches!(cell.tick(), Said::Send(Activity::Stopping(StopReason::Monitor { monitor, .. }), _) if monitor == "b")
    );
    assert!(matches!(cell.run_out(), IdleReason::Latched(StopReason::Monitor { monitor: "c", .. })));
}

#[test]
fn a_stop_of_the_filter_itself_is_told_before_that_of_a_monitor_and_is_not_made_weaker() {
    let mut cell = Cell::saying(|moment| match moment.measured {
        Err(_) => Verdict::Stop(why("hot"), Latch::UntilRest),
        Ok(_) => Verdict::Go,
    });
    cell.run(20);
    cell.offer().unwrap();
    cell.run(20);
    let none: Option<(&efm_core::JointSample, f64)> = None;
    let now = at(cell.seconds());
    let Tick::Send(out) = cell.streamer.tick(now, none) else { panic!() };
    assert_eq!(out.activity, Activity::Stopping(StopReason::JointStateMissing));
    assert_eq!(cell.streamer.latched(), None);
}

/// What a monitor saw, in short.
#[derive(Debug, Clone, Default, PartialEq)]
struct Saw {
    offers: usize,
    starts: usize,
    motions: usize,
    followed: usize,
    tracked: usize,
    commanded: usize,
    stopping: usize,
}

#[test]
fn a_moment_has_what_is_known() {
    let saw = Arc::new(Mutex::new(Saw::default()));
    let noted = saw.clone();
    let mut cell = Cell::saying(move |moment| {
        let mut saw = noted.lock().unwrap();
        assert_eq!((moment.joints, moment.limits().joints()), (&names(), &names()));
        assert!(moment.measured.is_ok_and(|measured| measured.age_s < 0.05 && measured.sample.positions.len() == 8));
        assert_eq!((moment.lost_other_joint, moment.after_a_leap), (None, false));
        saw.stopping += usize::from(moment.stopping.is_some());
        assert_eq!(moment.commanded(8, moment.now), None);
        match moment.occasion {
            Occasion::Offer(chunk) => {
                saw.offers += 1;
                assert_eq!(chunk.joints(), &names());
            }
            Occasion::Start => {
                saw.starts += 1;
                assert!(!moment.moves() && moment.rate == 0.0 && moment.tracked(0).is_none());
                assert_eq!(moment.commanded(0, moment.now), None);
            }
            Occasion::Motion => {
                saw.motions += 1;
                assert!(moment.moves() && moment.tracked(FINGER).is_none());
                assert!(moment.tracked(0).is_none_or(|tracked| tracked.error < tracked.bound));
                saw.tracked += usize::from(moment.tracked(0).is_some());
                saw.commanded += usize::from(moment.commanded(0, moment.now).is_some_and(f64::is_finite));
                saw.followed += usize::from(moment.chunk.is_some_and(|chunk| chunk.ends > chunk.observed));
            }
        }
        Verdict::Go
    });
    cell.run(20);
    assert_eq!(*saw.lock().unwrap(), Saw::default(), "at rest there is nothing to watch");
    cell.offer().unwrap();
    cell.run(30);
    cell.streamer.stop(at(cell.seconds()));
    cell.run_out();
    let saw = saw.lock().unwrap().clone();
    assert_eq!((saw.offers, saw.starts, saw.commanded), (1, 1, saw.motions));
    assert!(saw.tracked == saw.motions - 1 && saw.followed >= 30 && saw.stopping > 5, "{saw:?}");
}

#[test]
fn monitors_that_are_taken_out_are_those_that_were_added_and_go_on_elsewhere() {
    let seen = Arc::new(Mutex::new(0));
    let count = seen.clone();
    let mut cell = Cell::saying(move |_| {
        *count.lock().unwrap() += 1;
        Verdict::Go
    });
    cell.offer().unwrap();
    let mut monitors = cell.streamer.take_monitors();
    assert_eq!((monitors.len(), cell.streamer.take_monitors().len()), (1, 0));
    // The filter's own are still there.
    cell.run(20);
    let none: Option<(&efm_core::JointSample, f64)> = None;
    assert!(matches!(cell.streamer.tick(at(cell.seconds()), none), Tick::Send(out)
        if out.activity == Activity::Stopping(StopReason::JointStateMissing)));
    let mut other = Cell::watched_by(std::mem::take(&mut monitors));
    other.offer().unwrap();
    assert_eq!(*seen.lock().unwrap(), 2);
}

#[test]
fn whatever_monitors_say_every_window_keeps_what_the_filter_promises() {
    for seed in 0..40_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut cell = Cell::saying(move |_| match random() % 100 {
            0 => Verdict::Stop(why("hot"), Latch::UntilResume),
            1 => Verdict::Stop(why("hot"), Latch::UntilRest),
            2 => Verdict::Refuse(why("hot")),
            3 => Verdict::Slow(f64::NAN),
            4..=50 => Verdict::Slow(f64::from(random() % 150) / 100.0 - 0.2),
            _ => Verdict::Go,
        });
        let mut sends = 0;
        for tick in 0..600_u32 {
            if tick % 13 == 0 {
                let _ = cell.offer();
            }
            if tick % 40 == 39 {
                cell.streamer.resume();
            }
            sends += usize::from(matches!(cell.tick(), Said::Send(..)));
        }
        assert!(sends > 50, "{seed}: {sends}");
    }
}
