//! The benchmark in small, as CI runs it.
#![allow(clippy::unwrap_used)]

use efm_bench::counting::Counting;
use efm_bench::rng::episode_seed;
use efm_bench::run::{Totals, episodes_for, run};
use efm_bench::stimulus::SCENARIOS;
use efm_bench::tally::Measured;
use efm_bench::{arm, kill, report};
use efm_harness::planner::RobotFiles;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn panda() -> arm::Panda {
    arm::panda_of(&RobotFiles::under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))).unwrap()
}

fn totals(episodes: u64, threads: usize) -> Totals {
    let mut totals = Totals::new(7, 0);
    run(&mut totals, episodes, threads, &panda(), None, None, |_| ()).unwrap();
    totals
}

/// Without what depends on the machine.
fn counted(totals: &Totals) -> Totals {
    let mut counted = totals.clone();
    let forget = |m: &mut Measured| m.time = Default::default();
    forget(&mut counted.filter);
    forget(&mut counted.panda);
    counted.scenarios.iter_mut().for_each(forget);
    counted.rivals.iter_mut().for_each(forget);
    counted
}

#[test]
fn a_hundred_thousand_adversarial_ticks_show_no_violation_and_no_allocation() {
    let totals = totals(episodes_for(100_000), 2);
    let t = &totals.filter.tally;
    println!("{}", report::table(&totals));
    assert!(t.ticks >= 100_000 && t.sent > t.ticks / 2 && t.chunks[0] > 1000, "it hardly moved: {} sent", t.sent);
    assert_eq!(t.violations.iter().sum::<u64>(), 0, "{:#?}", t.found);
    assert_eq!(t.allocations, 0);
    // The same streams do show the others' violations: the judge is not blind.
    for rival in &totals.rivals {
        assert!(rival.tally.violations[2] > 0 && rival.tally.violations[3] > 0);
    }
    let json = report::to_json(&totals);
    for key in ["ticks", "violations", "max_excess", "tick_us", "allocations_per_tick", "rivals"] {
        assert!(!json[key].is_null(), "{key}");
    }
    assert!(json["tick_us"]["p999"].as_f64().unwrap() >= json["tick_us"]["p50"].as_f64().unwrap());
}

#[test]
fn an_episode_of_every_lie_about_the_robot_shows_no_violation_and_it_moves_again() {
    let panda = panda();
    let told: Vec<&str> = SCENARIOS.iter().filter(|s| s.is_told()).map(|s| s.name).collect();
    assert!(told.len() >= 17, "{told:?}");
    for name in told {
        let mut totals = Totals::new(11, 0);
        run(&mut totals, 2, 2, &panda, Some(name), None, |_| ()).unwrap();
        let t = &totals.filter.tally;
        assert_eq!((t.total(), t.allocations), (0, 0), "{name}: {:#?}", t.found);
        // What nobody can know happens where a lie is told from the first message on, and seldom elsewhere.
        let least = if name == "always_false" { 0.02 } else { 0.3 };
        assert!(t.sent as f64 > least * t.ticks as f64, "{name}: it hardly moved: {} of {} ticks", t.sent, t.ticks);
        assert!(name == "always_false" || 4 * t.unknowable < t.starts, "{name}: {} of {}", t.unknowable, t.starts);
    }
}

#[test]
fn the_results_depend_neither_on_the_threads_nor_on_an_interruption() {
    let once = totals(5, 1);
    assert!(counted(&totals(5, 3)) == counted(&once), "three threads count something else");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.json");
    let mut part = Totals::load(&file, 7, 0).unwrap();
    run(&mut part, 2, 1, &panda(), None, Some(&file), |_| ()).unwrap();
    let mut rest = Totals::load(&file, 7, 0).unwrap();
    assert!(rest == part, "the checkpoint is not what was written");
    run(&mut rest, 5, 2, &panda(), None, Some(&file), |_| ()).unwrap();
    assert!(counted(&rest) == counted(&once), "an interrupted run counts something else");
    // Another seed or another build is not mixed in.
    assert!(Totals::load(&file, 8, 0).is_err());
    assert!(Totals::load(&file, 7, 1).is_err());
}

#[test]
fn when_the_publisher_dies_the_arm_comes_to_rest_on_the_published_tail() {
    let panda = panda();
    let mut deaths = 0;
    for i in 0..40 {
        if let Some(death) = kill::die(episode_seed(3, i), &panda, kill::Settings::default()).unwrap() {
            assert!(death.at_rest && death.off_tail < 1e-9 && death.violations == 0, "{death:?}");
            deaths += 1;
        }
    }
    assert!(deaths > 30, "{deaths}");
}
