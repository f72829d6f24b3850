//! A tick does not allocate. Allocations are counted by thread: the test's own harness allocates on another.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_collision::{CollisionModel, CollisionOptions, Obstacles};
use efm_core::{ActionChunk, JointLimits, JointNames, Level, Reason};
use efm_robot::{RobotModel, Srdf};
use efm_safety::{
    Activity, CollisionSpace, ControllerSpec, Latch, Limits, Moment, Monitor, StopReason, StreamConfig, Surroundings,
    Tick, Tool, ToolBounds, TrajectoryStreamer, Verdict,
};
use panda::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // A thread that is ending has no counter any more, and is none that is asked about.
    let _ = ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
}

// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Slows down, refuses and stops by turns, for a reason that was made before with figures in it.
struct ByTurns(u64, Reason);

impl Monitor for ByTurns {
    fn name(&self) -> &'static str {
        "by_turns"
    }

    fn judge(&mut self, moment: &Moment<'_>) -> Verdict {
        self.0 += 1;
        let tracked = (0..8).filter_map(|joint| moment.tracked(joint)).fold(0.0, |most: f64, t| most.max(t.error));
        match self.0 % 400 {
            0 => Verdict::Stop(self.1.clone(), Latch::UntilRest),
            150 => Verdict::Stop(self.1.clone(), Latch::UntilResume),
            300 => Verdict::Refuse(self.1.clone()),
            1..100 => Verdict::Slow(0.7 - tracked),
            _ => Verdict::Go,
        }
    }
}

#[test]
fn a_tick_does_not_allocate_whatever_it_does() {
    let mut streamer = streamer();
    let reason = Reason::new("turn", Level::Warn, format!("it is turn {}", 1), "wait");
    streamer.add_monitors(vec![Box::new(ByTurns(0, reason))]);
    let mut watched = [0, 0];
    streamer.arm(true, at(0.0));
    let mut place = HOME;
    let mut measured = sample(at(0.0), &HOME);
    let (mut seed, mut sent, mut restarts, mut held, mut idle) = (7u64, 0, 0, 0, true);
    for tick in 0..4000 {
        let t = tick as f64 * 0.01;
        // Chunks that jump about, also into limits; a pause now and then, so that it stops and starts again.
        if tick % 15 == 0 && tick % 600 < 450 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let far = (seed >> 40) as f64 / (1u64 << 24) as f64 * 2.0 - 1.0;
            let goal: [f64; 8] = std::array::from_fn(|j| HOME[j] + far * if j == FINGER { 0.03 } else { 1.5 });
            // Latched by a joint state that was missing.
            streamer.resume();
            let _ = streamer.offer_chunk(&chunk_of(t, 16, 0.1, |_| goal), at(t));
        }
        if tick % 1000 == 777 {
            streamer.cancel(at(t));
        }
        measured.stamp = at(t);
        measured.positions.copy_from_slice(&place);
        let seen = (tick % 700 != 650).then_some((&measured, 0.001));

        // A controller is off for a while: the robot stands, and is held there.
        let off = (500..540).contains(&(tick % 1000));

        let before = ALLOCATIONS.with(Cell::get);
        match tick % 1000 {
            505 => streamer.controller_silent(0, 0.05, at(t)),
            540 => streamer.controller_speaks(0),
            _ => {}
        }
        // Now and then nothing, or only the first controller's window, leaves in time.
        if tick % 23 == 22 {
            let _ = streamer.tick(at(t), seen);
            streamer.not_sent(tick / 23 % 2);
        }
        let said = streamer.tick(at(t), seen);
        let after = ALLOCATIONS.with(Cell::get);
        assert_eq!(after, before, "tick {tick} allocated");
        if let Tick::Send(out) = said {
            let stops = matches!(out.activity, Activity::Stopping(StopReason::Monitor { .. }));
            watched[usize::from(stops)] += usize::from(stops || out.report.limited.is_some());
            held += usize::from(matches!(out.activity, Activity::Holding(_)));
            if off {
                continue;
            }
            place[..7].copy_from_slice(out.windows[0].positions(1));
            place[7] = out.windows[1].positions(1)[0];
            sent += 1;
            restarts += usize::from(idle);
            idle = false;
        } else {
            idle = true;
        }
    }
    assert!(sent > 2000 && restarts > 4 && held > 20, "{sent} {restarts} {held}");
    assert!(watched[0] > 100 && watched[1] > 20, "{watched:?}");
}

#[test]
fn a_tick_does_not_allocate_either_where_joints_move_that_no_controller_moves() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let model = RobotModel::load(format!("{root}/urdf/panda.urdf")).unwrap();
    let srdf = Srdf::load(format!("{root}/urdf/panda.srdf"), &model).unwrap();
    let cell = Obstacles::load(format!("{root}/config/panda_obstacles.yaml")).unwrap();
    let arm = JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap();
    let bodies = CollisionModel::new(&model, Some(&srdf), &arm, &cell, &CollisionOptions::default()).unwrap();
    let tool = || Tool::new(&model, "panda_leftfinger", &arm).unwrap();
    let space = CollisionSpace::new(bodies, Some(ToolBounds { tool: tool(), workspace: None, max_speed: 0.5 }));
    let around = Surroundings { space: Some(Box::new(space)), tool: Some(tool()) };
    let all = JointLimits { lower: -3.0, upper: 3.8, velocity: 2.0, acceleration: 6.0, jerk: 100.0 };
    let limits = Limits::new(arm.clone(), &[all; 7]).unwrap();
    let controllers = vec![ControllerSpec { name: "arm".into(), joints: arm.clone() }];
    let config = StreamConfig { max_tool_speed: 0.5, ..StreamConfig::default() };
    let mut streamer = TrajectoryStreamer::within(around, limits, controllers, config).unwrap();
    streamer.arm(true, at(-0.2));
    let mut measured = sample(at(0.0), &HOME[..7]);
    let (mut sent, mut lost) = (0, 0);
    for tick in -20..3000 {
        let t = f64::from(tick) * 0.01;
        if tick % 15 == 0 {
            streamer.resume();
            let row = |k: i32| {
                (0..7).map(move |j| {
                    HOME[j] + 0.4 * f64::sin(0.7 * (t + 0.1 * f64::from(k)) + j as f64) - 0.4 * f64::sin(j as f64)
                })
            };
            let rows = (1..=16).flat_map(row).collect();
            let _ = streamer.offer_chunk(&ActionChunk::new(at(t), 0.1, arm.clone(), rows).unwrap(), at(t));
        }
        measured.stamp = at(t);
        // Now it stands, now it moves, and for a moment it is lost.
        let finger = 0.02 + if tick % 200 < 100 { 0.0 } else { 0.02 * (0.3 * t).sin() };
        let others = [(tick % 500 != 400).then_some(finger)];

        let before = ALLOCATIONS.with(Cell::get);
        streamer.place_other_joints(&others);
        let said = streamer.tick(at(t), Some((&measured, 0.001)));
        let after = ALLOCATIONS.with(Cell::get);
        assert_eq!(after, before, "tick {tick} allocated");
        match said {
            Tick::Send(out) => {
                measured.positions.copy_from_slice(out.windows[0].positions(1));
                lost += usize::from(matches!(out.activity, Activity::Stopping(StopReason::OtherJointLost { .. })));
                sent += 1;
            }
            Tick::Idle(_) | Tick::Hold => {}
        }
    }
    assert!(sent > 1500 && lost > 3, "{sent} {lost}");
}
