//! Whole episodes in one process: through physics, controllers, streamer, cameras and policy.

#![allow(clippy::unwrap_used)]

use efm_harness::agent::{Agent, PolicyAgent};
use efm_harness::control::Control;
use efm_harness::episode::{EpisodeOptions, run, run_watched};
use efm_harness::evaluate::{Actor, Plan, Settings, evaluate};
use efm_harness::failure::Category;
use efm_harness::planner::{ExpertPlanner, RobotFiles};
use efm_harness::random::RandomPlanner;
use efm_harness::report::{EpisodeOutcome, Run, Subject};
use efm_harness::rig::Rig;
use efm_harness::strip::{film, worth_a_look};
use efm_schedule::Mode;
use efm_sim::Scene;
use efm_sim::tasks::Split;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files() -> RobotFiles {
    RobotFiles::under(&root())
}

fn rig() -> Rig {
    Rig::new(&files(), Scene::sample(0)).unwrap()
}

fn policy() -> Agent {
    let models = root().join("models");
    Agent::Policy(Box::new(
        PolicyAgent::open(&models.join("panda_tabletop_flow"), &[models], &files(), Mode::Blend).unwrap(),
    ))
}

fn random() -> Agent {
    Agent::Random(Box::new(RandomPlanner::new(&files()).unwrap()))
}

fn settings(episodes: usize, jobs: usize, time_limit: f64) -> Settings {
    let options = EpisodeOptions { time_limit, ..EpisodeOptions::default() };
    Settings {
        files: files(),
        models: root().join("models"),
        episodes,
        jobs,
        options,
        filter: efm_harness::rig::Filter::Whole,
    }
}

fn plan(actor: Actor, control: Option<Control>) -> Plan {
    let subject = Subject {
        policy: format!("{actor:?}"),
        policy_sha256: None,
        split: Split::Heldout,
        control,
        how: "in-process".into(),
        seed: 40_000,
    };
    Plan { actor, subject }
}

#[test]
fn the_expert_does_every_task_through_the_real_streamer() {
    // It fails in about one scene in thirty (a push that presses against something, an object dropped out of reach), so each task
    // has two scenes.
    let mut agent = Agent::Expert(Box::new(ExpertPlanner::new(&files()).unwrap()));
    let mut rig = rig();
    let mut tried: BTreeMap<String, Vec<EpisodeOutcome>> = BTreeMap::new();
    for split in [Split::Heldout, Split::Novel] {
        for seed in (split.seeds().start + 10_000..).take(400) {
            let scene = Scene::sample(seed);
            let of_task = tried.entry(scene.task.name()).or_default();
            if of_task.len() < 2 {
                of_task.push(run(&mut rig, &mut agent, scene, EpisodeOptions::default()).unwrap());
            }
        }
    }
    assert_eq!(tried.len(), 32, "{:?}", tried.keys());
    for outcomes in tried.values() {
        assert!(outcomes.len() == 2 && outcomes.iter().any(|o| o.success && o.failure.is_none()), "{outcomes:?}");
    }
    let failed: Vec<_> = tried.values().flatten().filter(|o| !o.success).collect();
    assert!(failed.len() <= 6 && failed.iter().all(|o| o.failure.is_some()), "{failed:?}");
}

#[test]
fn whoever_does_nothing_does_not_succeed_and_has_not_reached_the_object() {
    let mut rig = rig();
    for seed in (Split::Heldout.seeds().start..).take(4) {
        let outcome = run(&mut rig, &mut Agent::Nothing, Scene::sample(seed), EpisodeOptions::default()).unwrap();
        assert!(!outcome.success && outcome.seconds >= 25.0, "{outcome:?}");
        assert_eq!(outcome.failure, Some(Category::NotReached), "{outcome:?}");
    }
}

#[test]
fn random_chunks_are_taken_by_the_streamer_and_move_the_arm_through_the_workspace() {
    let (mut rig, mut agent) = (rig(), random());
    let options = EpisodeOptions { time_limit: 10.0, ..EpisodeOptions::default() };
    let (mut low, mut high) = ([9.0_f64; 3], [-9.0_f64; 3]);
    for seed in (Split::Heldout.seeds().start..).take(3) {
        let mut watch = |rig: &mut Rig| {
            let at = rig.cell().world().tool_pose().position;
            for axis in 0..3 {
                low[axis] = low[axis].min(at[axis]);
                high[axis] = high[axis].max(at[axis]);
            }
            Ok(())
        };
        let scene = Scene::sample(seed);
        let outcome = run_watched(&mut rig, &mut agent, scene.clone(), None, options, &mut watch).unwrap();
        let again = run(&mut rig, &mut random(), scene, options).unwrap();
        assert_eq!(outcome, again, "whoever runs it, and whatever ran before");
    }
    assert!(high[0] - low[0] > 0.15 && high[1] - low[1] > 0.25 && low[2] < 0.15, "{low:?} {high:?}");
}

#[test]
fn the_shipped_policy_does_the_same_for_the_same_seed_bit_by_bit_whatever_ran_before() {
    let options = EpisodeOptions { time_limit: 4.0, ..EpisodeOptions::default() };
    let seed = Split::Heldout.seeds().start;
    let mut agent = policy();
    let mut rig = rig();
    let first = run(&mut rig, &mut agent, Scene::sample(seed), options).unwrap();
    run(&mut rig, &mut agent, Scene::sample(seed + 1), options).unwrap();
    let again = run(&mut rig, &mut agent, Scene::sample(seed), options).unwrap();
    assert_eq!(first, again);
    let (mut fresh_agent, mut fresh_rig) = (policy(), Rig::new(&files(), Scene::sample(5)).unwrap());
    assert_eq!(first, run(&mut fresh_rig, &mut fresh_agent, Scene::sample(seed), options).unwrap());
}

#[test]
fn another_sentence_changes_what_the_shipped_policy_does_and_not_what_it_is_judged_by() {
    let options = EpisodeOptions { time_limit: 4.0, ..EpisodeOptions::default() };
    let scene = Scene::sample(Split::Heldout.seeds().start + 1);
    let (mut rig, mut agent) = (rig(), policy());
    let other = "this is about something else";
    let own = run(&mut rig, &mut agent, scene.clone(), options).unwrap();
    let told = run_watched(&mut rig, &mut agent, scene, Some(other), options, &mut |_| Ok(())).unwrap();
    assert_ne!(own.state_hash, told.state_hash);
    assert_eq!((told.goal.as_str(), told.original_goal.as_deref()), (other, Some(own.goal.as_str())));
    assert_eq!((&told.task, &told.object), (&own.task, &own.object));
}

#[test]
fn an_evaluation_is_the_same_on_one_worker_and_on_three() {
    let plans = [plan(Actor::Random, Some(Control::Random)), plan(Actor::Expert, None)];
    let outcomes = |jobs: usize| -> Vec<Run> {
        let mut heard = 0;
        let runs = evaluate(&settings(3, jobs, 6.0), &plans, &mut |progress, _| {
            heard += 1;
            assert_eq!((progress.done, progress.total), (heard, 6));
        });
        assert_eq!(heard, 6);
        runs.unwrap()
    };
    let (one, three) = (outcomes(1), outcomes(3));
    for (a, b) in one.iter().zip(&three) {
        assert_eq!((&a.policy, &a.outcomes), (&b.policy, &b.outcomes));
        assert_eq!(a.outcomes.iter().map(|o| o.seed - 1_000_040_000).collect::<Vec<_>>(), [0, 1, 2]);
    }
    assert_eq!((one.len(), one[1].policy.as_str()), (2, "Expert"));
}

#[test]
fn a_film_strip_shows_the_very_episode_that_was_counted() {
    let (settings, plans) = (settings(2, 2, 5.0), [plan(Actor::Random, None)]);
    let runs = evaluate(&settings, &plans, &mut |_, _| ()).unwrap();
    let wanted: Vec<_> = worth_a_look(&runs[0], 1)
        .into_iter()
        .map(|episode| (plans[0].clone(), 0, episode, runs[0].outcomes[episode].clone()))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let strips = film(&settings, &wanted, folder.path(), &|_| ()).unwrap();
    assert!(!strips.is_empty() && strips.iter().all(|s| s.same), "{strips:?}");
    assert_eq!((strips[0].times.len(), strips[0].times[0]), (6, 0.0));
    let sheet = image::open(folder.path().join(&strips[0].file)).unwrap().to_rgb8();
    let mean = |x: u32, y: u32| sheet.view_mean(x, y);
    // Six pictures with something on them; the first and the last differ.
    assert!((0..6).all(|i| (20.0..235.0).contains(&mean(i % 3 * 215, i / 3 * 162))), "a picture is missing");
    let differ = (0..160).flat_map(|y| (0..213).map(move |x| (x, y))).filter(|(x, y)| {
        let (a, b) = (sheet.get_pixel(*x, *y).0, sheet.get_pixel(x + 430, y + 162).0);
        a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > 40)
    });
    assert!(differ.count() > 100);
}

trait ViewMean {
    fn view_mean(&self, left: u32, top: u32) -> f64;
}

impl ViewMean for image::RgbImage {
    fn view_mean(&self, left: u32, top: u32) -> f64 {
        let pixels = (top..top + 160).flat_map(|y| (left..left + 213).map(move |x| (x, y)));
        pixels.map(|(x, y)| f64::from(self.get_pixel(x, y).0[1])).sum::<f64>() / (160.0 * 213.0)
    }
}

#[test]
fn the_shipped_policy_succeeds_on_most_scenes_it_never_saw() {
    // A dozen scenes only: `./efm eval` judges on hundreds. At 85 % the chance of fewer than 7 of 12 is about one in 200, and the
    // same scenes come out the same each time.
    let mut agent = policy();
    let mut rig = rig();
    let scenes = (Split::Heldout.seeds().start + 20_000..).take(12).map(Scene::sample);
    let successes = scenes
        .filter(|scene| run(&mut rig, &mut agent, scene.clone(), EpisodeOptions::default()).unwrap().success)
        .count();
    assert!(successes >= 7, "{successes} of 12");
}
