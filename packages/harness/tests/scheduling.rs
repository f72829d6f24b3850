//! How motion flows from chunk to chunk when whoever decides is slow: whole episodes of the expert, through physics and filter.

#![allow(clippy::unwrap_used)]

use efm_harness::agent::Agent;
use efm_harness::episode::{EpisodeOptions, NewGoal, run, run_watched};
use efm_harness::flow::Flow;
use efm_harness::planner::{ExpertPlanner, RobotFiles};
use efm_harness::report::EpisodeOutcome;
use efm_harness::rig::{Filter, Rig};
use efm_schedule::{Mode, OnNewGoal};
use efm_sim::Scene;
use std::path::Path;
use std::time::Duration;

fn files() -> RobotFiles {
    RobotFiles::under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
}

fn expert() -> Agent {
    Agent::Expert(Box::new(ExpertPlanner::new(&files()).unwrap()))
}

fn rig(mode: Mode, filter: Filter) -> Rig {
    Rig::scheduled(&files(), Scene::sample(0), filter, mode).unwrap()
}

fn slow(latency_ms: u64, mode: Mode) -> EpisodeOptions {
    let delay = Duration::from_millis(latency_ms);
    EpisodeOptions { delay, mode, one_at_a_time: true, time_limit: 4.0, ..EpisodeOptions::default() }
}

fn episode(latency_ms: u64, mode: Mode, filter: Filter) -> (EpisodeOutcome, Flow) {
    let mut rig = rig(mode, filter);
    let outcome = run(&mut rig, &mut expert(), Scene::sample(7), slow(latency_ms, mode)).unwrap();
    (outcome, rig.take_flow())
}

fn largest(flow: &Flow, of: impl Fn(&efm_schedule::Seam) -> f64) -> f64 {
    flow.seams.iter().map(of).fold(0.0, f64::max)
}

#[test]
fn who_is_quicker_than_the_replan_period_does_the_same_whether_one_or_many_chunks_may_be_under_way() {
    let many = EpisodeOptions { time_limit: 4.0, ..EpisodeOptions::default() };
    let mut rig = rig(Mode::Blend, Filter::Whole);
    let as_always = run(&mut rig, &mut expert(), Scene::sample(7), many).unwrap();
    let (one, _) = episode(60, Mode::Blend, Filter::Whole);
    assert_eq!((one.state_hash, one.looks), (as_always.state_hash, as_always.looks));
}

#[test]
fn a_slow_one_looks_again_when_its_chunk_has_come_and_the_arm_moves_on_meanwhile() {
    let (outcome, flow) = episode(350, Mode::Blend, Filter::Whole);
    // At 0, 0.35, ... until 4 s.
    assert_eq!(outcome.looks, 12, "{outcome:?}");
    // A chunk lasts 1.6 s: there is always one to follow.
    assert_eq!((flow.late, flow.dropped), (0, 0));
    assert!(flow.ticks > 360 && flow.idle == 0, "{flow:?}");
    // In plan time: the 30 ms that are committed come on top; where the filter slows the path down, and while the first window rests, less of it is consumed.
    assert!(flow.seams.iter().all(|s| s.delay_s > 0.18 && s.delay_s < 0.385), "{:?}", flow.seams);
    assert!(largest(&flow, |s| s.delay_s) > 0.37, "{:?}", flow.seams);
}

#[test]
fn blending_leaves_no_leap_a_queue_leaps_and_averaging_leaps_less() {
    let jump = |mode| largest(&episode(350, mode, Filter::Whole).1, |s| s.jump);
    let (blend, fifo, ensemble) =
        (jump(Mode::Blend), jump(Mode::Fifo), jump(Mode::TemporalEnsemble { m: efm_schedule::ACT_DECAY }));
    assert!(blend < 1e-9, "{blend}");
    assert!(fifo > 0.05, "{fifo}");
    assert!(ensemble < 0.7 * fifo, "{ensemble} {fifo}");
}

#[test]
fn every_mode_runs_behind_the_filter_and_without_it_and_the_same_twice() {
    for mode in Mode::ALL {
        for filter in [Filter::Whole, Filter::Off] {
            let ((one, flow), (two, _)) = (episode(200, mode, filter), episode(200, mode, filter));
            assert_eq!(one.state_hash, two.state_hash, "{mode} {filter:?}");
            assert!(flow.seams.len() > 10 && flow.ticks > 300, "{mode} {filter:?}: {flow:?}");
            assert!(!one.reason.contains("internal error"), "{mode}: {}", one.reason);
        }
    }
}

#[test]
fn who_takes_longer_than_a_chunk_lasts_leaves_the_arm_standing() {
    // A chunk may be a second old when it comes; then only its last 0.6 s are left.
    let (_, flow) = episode(950, Mode::Blend, Filter::Whole);
    assert!(flow.late > 0 && flow.idle >= flow.late, "{flow:?}");
}

#[test]
fn an_instruction_in_mid_motion_is_followed_by_the_declared_rule() {
    let time = |rule| {
        let options = EpisodeOptions { new_goal: Some(NewGoal { at: 1.5, rule }), ..slow(100, Mode::Blend) };
        let mut rig = rig(Mode::Blend, Filter::Whole);
        run_watched(&mut rig, &mut expert(), Scene::sample(7), Some("wait"), options, &mut |_| Ok(())).unwrap();
        rig.take_flow().instruction_to_motion.unwrap()
    };
    let [blend, finish, stop] = OnNewGoal::ALL.map(time);
    // The next look comes within a period of 0.2 s, its chunk 0.1 s later.
    assert!(blend <= 0.32, "{blend}");
    // A chunk of 1.6 s, of which some was over.
    assert!(finish > 0.9 && finish < 1.7, "{finish}");
    assert!(stop > 0.1 && stop < 1.0, "{stop}");
}
