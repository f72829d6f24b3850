//! The drawing of a bag shows what happened, at its time and by its name, and does not grow with the bag.
#![allow(clippy::unwrap_used)]

use efm_bag::msgs::{CompressedImage, Header, ImageView, JointState, StringMsg};
use efm_bag::plot::{COLUMNS, svg};
use efm_bag::timeline::{Timeline, Window};
use efm_bag::{BagError, BagOptions, BagWriter};
use efm_core::{Stamp, Trajectory, TrajectoryPoint};
use std::path::{Path, PathBuf};

const MS: i64 = 1_000_000;

fn at(ms: i64) -> Stamp {
    Stamp::from_nanos(1_700_000_000_000 * MS + ms * MS)
}

fn named(stamp: Stamp, values: &[(&str, f64)]) -> JointState {
    JointState {
        header: Header::new(stamp, ""),
        name: values.iter().map(|(name, _)| (*name).to_owned()).collect(),
        position: values.iter().map(|(_, value)| *value).collect(),
        velocity: vec![],
        effort: vec![],
    }
}

fn path(stamp: Stamp, steps: i64) -> Trajectory {
    let point = |k: i64| TrajectoryPoint {
        positions: vec![0.1 * k as f64],
        time_from_start: k * 100 * MS,
        ..TrajectoryPoint::default()
    };
    Trajectory {
        stamp,
        frame_id: String::new(),
        joint_names: vec!["elbow".into()],
        points: (1..=steps).map(point).collect(),
    }
}

/// Ten seconds: a camera of 20 Hz that pauses from 4 s to 5 s, chunks five times a second that come 120 ms late, a filter that is in the way of an obstacle
/// from 6 s to 7 s.
fn write(dir: &Path) -> PathBuf {
    let bag_dir = dir.join("bag");
    let mut bag = BagWriter::create(&bag_dir, BagOptions::default()).unwrap();
    let pixels: Vec<u8> = (0..32 * 24 * 3).map(|i| (i * 7) as u8).collect();
    for ms in (0..=10_000).step_by(10) {
        let now = at(ms);
        if ms == 1_000 || ms == 7_500 {
            let text = if ms == 1_000 { "put <red> & \"blue\" left" } else { "stop" };
            bag.write("instruction", &StringMsg::new(text), now).unwrap();
        }
        bag.write("joint_states", &named(now, &[("elbow", (ms as f64 * 1.0e-3).sin())]), now).unwrap();
        bag.write("arm_controller/joint_trajectory", &path(now, 3), now).unwrap();
        let slow = (6_000..7_000).contains(&ms);
        let rate = if slow { 0.25 } else { 1.0 };
        let state = [
            ("rate", rate),
            ("limited_by", if slow { 7.0 } else { 0.0 }),
            ("blocked", f64::from(u8::from(slow))),
            ("armed", f64::from(u8::from(ms >= 500))),
            ("clearance", f64::NAN),
        ];
        bag.write("trajectory_publisher/filter_state", &named(now, &state), now).unwrap();
        if ms % 50 == 0 && !(4_000..5_000).contains(&ms) {
            let image = ImageView::rgb8(now, "front", 32, 24, &pixels);
            bag.write("observation/front/image", &image, now).unwrap();
        }
        if ms % 200 == 0 {
            bag.write("action_chunk", &path(now.offset_nanos(-120 * MS), 8), now).unwrap();
        }
    }
    bag.finish().unwrap();
    bag_dir
}

#[test]
fn what_happened_is_drawn_at_its_time_and_by_its_name() {
    let tmp = tempfile::tempdir().unwrap();
    let bag = write(tmp.path());
    let drawing = svg(&Timeline::read(&bag, &Window::default(), COLUMNS).unwrap(), "a & b");
    assert!(drawing.starts_with("<svg xmlns") && drawing.contains("a &amp; b"));
    for words in [
        "put &lt;red&gt; &amp; &quot;blue&quot; left",
        "/observation/front/image",
        "20.0 Hz, 1 gaps",
        "longest 1050 ms",
        "1050 ms without a frame",
        "observed 0.880 s, came 120 ms later, ends 1.680 s",
        "25 % of the speed, limited by obstacle, itself or workspace",
        "a plan was refused",
        "disarmed",
        "slowed in 10.0 %",
        ">elbow<",
    ] {
        assert!(drawing.contains(words), "{words}");
    }
    assert_eq!(drawing.matches("data:image/png;base64,").count(), 10);
    assert_eq!(drawing.matches("class=\"chunk\"").count(), 51);
    // The filter is in the way from 6 s to 7 s of ten, the picture has 1000 columns and begins at 180.
    let refused = drawing.split("class=\"blocked\"").nth(1).unwrap();
    assert!(refused.starts_with(" x=\"780\"") && refused.contains("width=\"100\""), "{}", &refused[..80]);
    assert_eq!(
        (drawing.matches("class=\"measured\" d=").count(), drawing.matches("class=\"commanded\" d=").count()),
        (1, 1)
    );
    // Two changes of the instruction, each a line.
    assert_eq!(drawing.matches("class=\"change\"").count(), 2);
}

#[test]
fn a_window_shows_its_part_and_what_was_asked_for_before_it() {
    let tmp = tempfile::tempdir().unwrap();
    let bag = write(tmp.path());
    let window = Window { from_s: Some(2.0), to_s: Some(5.5) };
    let drawing = svg(&Timeline::read(&bag, &window, COLUMNS).unwrap(), "part");
    assert!(drawing.contains("3.5 s from 1700000002.000 s on"), "{}", &drawing[..900]);
    assert!(drawing.contains("put &lt;red&gt;") && !drawing.contains(">stop<"));
    assert!(!drawing.contains("a plan was refused") && drawing.contains("1 gaps"));
    let window = Window { from_s: Some(6.0), to_s: Some(5.0) };
    assert!(matches!(Timeline::read(&bag, &window, COLUMNS), Err(BagError::NothingToDraw(_))));
}

#[test]
fn images_and_messages_that_are_none_are_counted_and_the_rest_is_drawn() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    let pixels = [7; 12];
    // Sizes that its data do not fill, an encoding that is no picture, a JPEG that is none, a message that is cut.
    let lying = ImageView { width: 60_000, height: 60_000, step: 180_000, ..ImageView::rgb8(at(0), "", 2, 2, &pixels) };
    bag.write("a/image", &lying, at(0)).unwrap();
    let depth = ImageView { encoding: "32FC1", ..ImageView::rgb8(at(0), "", 2, 2, &pixels) };
    bag.write("b/image", &depth, at(1)).unwrap();
    let jpeg = CompressedImage { header: Header::new(at(2), ""), format: "jpeg".into(), data: vec![0xff, 0xd8, 1] };
    bag.write("c/compressed", &jpeg, at(2)).unwrap();
    bag.write_raw("joint_states", "sensor_msgs/msg/JointState", "", &[0, 1, 0, 0, 9], at(3)).unwrap();
    bag.write("d/image", &ImageView::rgb8(at(0), "", 2, 2, &pixels), at(4)).unwrap();
    bag.write("trajectory_publisher/filter_state", &named(at(5), &[("limited_by", 1.0e300), ("rate", -4.0)]), at(5))
        .unwrap();
    let odd = [("x", f64::INFINITY), ("y", f64::MAX), ("z", f64::MIN)];
    bag.write("joint_states", &named(at(6), &odd), at(6)).unwrap();
    bag.finish().unwrap();
    let drawing = svg(&Timeline::read(&dir, &Window::default(), COLUMNS).unwrap(), "odd");
    assert_eq!(drawing.matches("data:image/png;base64,").count(), 1);
    assert!(drawing.contains("4 messages are not what their type says"));
    assert!(!drawing.contains("NaN") && !drawing.contains("inf\""), "a number that is none is drawn");
}

#[test]
fn a_drawing_does_not_grow_with_its_bag() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    for i in 0..40_000 {
        bag.write("joint_states", &named(at(i), &[("elbow", (i as f64).sin())]), at(i)).unwrap();
        bag.write("action_chunk", &path(at(i), 8), at(i)).unwrap();
    }
    bag.finish().unwrap();
    let drawing = svg(&Timeline::read(&dir, &Window::default(), COLUMNS).unwrap(), "long");
    assert!(drawing.len() < 600_000, "{}", drawing.len());
    let drawn = drawing.matches("class=\"chunk\"").count();
    assert!((600..=1200).contains(&drawn) && drawing.contains(&format!("40000, {drawn} drawn")), "{drawn}");
}
