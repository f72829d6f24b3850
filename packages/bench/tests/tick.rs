//! What `efm bench tick` measures is the same work each time, and what it compares with judges the same pairs.
#![allow(clippy::unwrap_used)]

use efm_bench::counting;
use efm_bench::tick::alternative::ByParry;
use efm_bench::tick::play::{Kind, Pace, Stream, play};
use efm_bench::tick::robot::Robot;
use efm_harness::planner::RobotFiles;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting;

const SHIPPED: Pace = Pace { period_s: 0.01, ticks: 1 };

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn a_stream_is_the_same_to_the_bit_again_allocates_nothing_and_keeps_parrys_clearance() {
    let panda = Robot::panda(&RobotFiles::under(root())).unwrap();
    let cell = panda.cell(120, 7).unwrap();
    assert!(cell.bodies.pairs().abs_diff(120) <= 8, "{}", cell.bodies.pairs());
    let mut parry = ByParry::new(&panda, &cell).unwrap();
    let mut hashes = vec![];
    for stream in Stream::ALL {
        let mut least = f64::INFINITY;
        let once = play(&panda, Some(&cell.bodies), SHIPPED, (stream, 1, 1500), |tick, windows, _| {
            if tick % 10 == 0 {
                least = least.min(parry.least(windows).unwrap());
            }
        })
        .unwrap();
        let again = play(&panda, Some(&cell.bodies), SHIPPED, (stream, 1, 1500), |_, _, _| ()).unwrap();
        assert_eq!((once.hash, once.sent, &once.kinds), (again.hash, again.sent, &again.kinds));
        assert_eq!(once.allocations, 0);
        assert_eq!((once.cpu.len(), once.kinds.len()), (1500, 1500));
        assert!(once.sent > 1000 && once.kinds.contains(&Kind::NewChunk));
        // The shipped clearance of 10 mm, less the play that the filter takes at its limit.
        assert!(least > 0.009, "{}: {least}", stream.name());
        // Each stream does what its name says.
        let others =
            (2..5).map(|seed| play(&panda, Some(&cell.bodies), SHIPPED, (stream, seed, 1500), |_, _, _| ()).unwrap());
        let blocked = once.blocked + others.map(|other| other.blocked).sum::<u64>();
        assert_eq!(blocked > 0, stream != Stream::Smooth, "{}: {blocked}", stream.name());
        hashes.push(once.hash);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 3, "two streams are the same");
}

#[test]
fn chains_have_the_joints_and_about_the_pairs_that_were_asked_for() {
    for joints in [1, 4, 14] {
        let robot = Robot::chain(joints).unwrap();
        let cell = robot.cell(200, 3).unwrap();
        assert_eq!(robot.home.len(), joints);
        assert!(cell.bodies.pairs().abs_diff(200) <= 8, "{joints} joints: {} pairs", cell.bodies.pairs());
        let smooth = play(&robot, Some(&cell.bodies), SHIPPED, (Stream::Smooth, 0, 500), |_, _, _| ()).unwrap();
        assert_eq!((smooth.blocked, smooth.allocations), (0, 0));
        assert!(smooth.sent > 490);
    }
}

#[test]
fn parameters_of_another_robot_are_refused_with_its_joints() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.yaml");
    let text =
        "/trajectory_publisher: {ros__parameters: {controllers: {panda_hand_controller: []}, gripper_joints: []}}";
    std::fs::write(&file, text).unwrap();
    let error = Robot::panda(&RobotFiles::under(root()).with_parameters(&[file])).map(drop).unwrap_err().to_string();
    assert!(error.contains("another robot") && error.contains("panda_finger_joint1"), "{error}");
}
