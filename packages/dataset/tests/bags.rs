//! From bags to data sets: values, what is left out, and what is refused.
#![allow(clippy::unwrap_used)]

mod sample;
mod table;

use efm_bag::msgs::{CompressedImage, Header};
use efm_dataset::clock::Clock;
use efm_dataset::layout::{AskedAction, EpisodeBy};
use efm_dataset::{Options, Summary, convert};
use sample::{Message, Messages, at, text, write};
use std::path::{Path, PathBuf};

struct Made {
    _folder: tempfile::TempDir,
    out: PathBuf,
    summary: Summary,
}

fn bags(folder: &Path, all: Vec<Messages>) -> Vec<PathBuf> {
    all.into_iter().enumerate().map(|(i, messages)| write(&folder.join(format!("bag{i}")), messages)).collect()
}

fn make(all: Vec<Messages>, options: &Options) -> Made {
    let folder = tempfile::tempdir().unwrap();
    let bags = bags(folder.path(), all);
    let out = folder.path().join("out");
    let summary = convert(&bags, &out, options, &mut |_| {}).unwrap_or_else(|error| panic!("{error}"));
    Made { _folder: folder, out, summary }
}

/// The message of the refusal. Nothing may be left behind.
fn refused(all: Vec<Messages>, options: &Options) -> String {
    let folder = tempfile::tempdir().unwrap();
    let bags = bags(folder.path(), all);
    let out = folder.path().join("out");
    let error = convert(&bags, &out, options, &mut |_| {}).expect_err("it must be refused").to_string();
    assert!(!out.exists() && !folder.path().join("out.part").exists(), "something was written");
    error
}

fn abg() -> Options {
    Options { joints: Some(sample::JOINTS.map(str::to_owned).into()), ..Options::default() }
}

impl Made {
    fn data(&self) -> Vec<parquet::record::Row> {
        table::read(&self.out.join("data/chunk-000/file-000.parquet")).rows
    }

    /// First stamp in milliseconds after the beginning, frames and success of each episode.
    fn episodes(&self) -> Vec<(i64, u64, Option<bool>)> {
        let text = std::fs::read_to_string(self.out.join("meta/embodied_fm.json")).unwrap();
        let about: serde_json::Value = serde_json::from_str(&text).unwrap();
        let episode = |e: &serde_json::Value| {
            let ms = (e["first_stamp_ns"].as_i64().unwrap() - at(0).nanos()) / 1_000_000;
            (ms, e["frames"].as_u64().unwrap(), e["success"].as_bool())
        };
        about["episodes"].as_array().unwrap().iter().map(episode).collect()
    }

    fn dropped(&self, bag: usize) -> Vec<(&str, u64)> {
        self.summary.bags[bag].dropped.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
    }
}

fn close(found: &[f32], expected: impl Fn(usize) -> f64, what: &str) {
    for (joint, value) in found.iter().enumerate() {
        assert!((f64::from(*value) - expected(joint)).abs() < 1e-6, "{what}, joint {joint}: {value}");
    }
}

#[test]
fn every_frame_holds_the_newest_joint_state_the_command_for_one_period_later_and_the_pictures_of_its_moment() {
    let made = make(vec![sample::first(), sample::second()], &abg());
    let rows = made.data();
    let mut row = rows.iter().enumerate();
    for (episode, (_, first, last, task, success)) in sample::EPISODES.iter().enumerate() {
        for picture in *first..=*last {
            let (index, row) = row.next().expect("there are more frames");
            let (ms, what) = (100 * picture, format!("episode {episode}, picture {picture}"));
            // Joint states come every 20 ms, 3 ms after the full ones.
            close(&table::floats(row, "observation.state"), |j| sample::measured(j, ms - 17), &what);
            close(&table::floats(row, "action"), |j| sample::commanded(j, ms + 100), &what);
            for (camera, (name, ..)) in sample::CAMERAS.iter().enumerate() {
                let bytes = table::picture(row, &format!("observation.images.{name}"));
                let pixels = image::load_from_memory(&bytes).unwrap().into_rgb8().into_raw();
                assert!(pixels == sample::rgb(camera, picture), "{what}, {name}: other pixels");
            }
            let frame = picture - first;
            let whole = |name| table::whole(row, name);
            assert_eq!(
                [whole("index"), whole("episode_index"), whole("frame_index"), whole("header_stamp")],
                [index as i64, episode as i64, frame, at(ms).nanos()],
                "{what}"
            );
            assert_eq!(table::floats(row, "timestamp"), [(frame as f64 / 10.0) as f32], "{what}");
            let done = table::field(row, "next.success") == &parquet::record::Field::Bool(*success && picture == *last);
            assert!(done, "{what}: success");
            let tasks = ["stack the cube", "push the ball", "push the ball away"];
            assert_eq!(tasks[whole("task_index") as usize], *task, "{what}");
        }
    }
    assert!(row.next().is_none(), "there are more frames than pictures");
}

#[test]
fn what_is_left_out_is_counted_by_its_reason_and_noted_in_the_data_set() {
    let made = make(vec![sample::first(), sample::second()], &abg());
    assert_eq!(made.dropped(0), []);
    assert_eq!(made.dropped(1), [("no instruction was in force", 1)]);
    assert_eq!(made.episodes(), [(0, 12, None), (1300, 12, None), (0, 12, Some(true)), (1300, 17, Some(false))]);
    assert_eq!(made.summary.joints_left_out, ["extra"]);
    let text = std::fs::read_to_string(made.out.join("meta/embodied_fm.json")).unwrap();
    for part in ["no instruction was in force", "\"joint_states\": \"hold:0.1\"", "nearest:0.05", "\"fps\": 10"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn joints_are_those_both_measured_and_commanded_in_the_order_of_the_commands() {
    let made = make(vec![sample::first()], &Options::default());
    assert_eq!(made.summary.layout.joints.as_slice(), ["b", "a", "g"]);
    let rows = made.data();
    let state = table::floats(&rows[3], "observation.state");
    let joint = [1, 0, 2];
    close(&state, |j| sample::measured(joint[j], 283), "state");
    close(&table::floats(&rows[3], "action"), |j| sample::commanded(joint[j], 400), "action");
}

#[test]
fn a_measured_action_is_the_joint_state_nearest_to_one_period_later() {
    let made = make(vec![sample::first()], &Options { action: AskedAction::Measured, ..abg() });
    let rows = made.data();
    for row in &rows[..12] {
        let ms = 100 * table::whole(row, "frame_index");
        close(&table::floats(row, "action"), |j| sample::measured(j, ms + 103), "action");
    }
}

#[test]
fn a_late_picture_of_a_second_camera_leaves_its_frame_out_and_splits_the_episode() {
    let mut messages = sample::first();
    for (_, topic, message) in &mut messages {
        if let Message::Image(image) = message
            && *topic == "/observation/wrist/image"
            && image.header.stamp == at(1800)
        {
            image.header.stamp = at(1851);
        }
    }
    let made = make(vec![messages], &Options { min_frames: 5, ..abg() });
    assert_eq!(made.dropped(0), [("observation/wrist/image: the picture is too far away", 1)]);
    assert_eq!(made.episodes(), [(0, 12, None), (1300, 5, None), (1900, 6, None)]);
}

#[test]
fn an_instruction_in_the_midst_begins_an_episode_unless_the_bag_is_to_be_one() {
    let messages = || {
        let mut all = sample::stream(24);
        all.push(text(-140, "/instruction", "lift"));
        all.push(text(-130, "/instruction", "lift"));
        all.push(text(1150, "/instruction", "lower"));
        all
    };
    let made = make(vec![messages()], &abg());
    assert_eq!(made.episodes(), [(0, 12, None), (1200, 12, None)]);
    let made = make(vec![messages()], &Options { episode: EpisodeBy::Bag, ..abg() });
    assert_eq!(made.episodes(), [(0, 24, None)]);
    let tasks: Vec<i64> = made.data().iter().map(|row| table::whole(row, "task_index")).collect();
    assert_eq!(tasks, [[0; 12], [1; 12]].concat());
}

#[test]
fn a_command_that_was_over_before_the_instruction_came_does_not_count_unless_it_is_held_for_ever() {
    let messages = || {
        let mut all = sample::first();
        // The hand is told once, long before.
        all.retain(|(_, topic, _)| *topic != "/hand/joint_trajectory");
        all.push((-3000, "/hand/joint_trajectory", Message::Command(sample::command(&[2], -3000))));
        all
    };
    let error = refused(vec![messages()], &abg());
    assert!(error.contains("24 hand/joint_trajectory: the last command is over for too long"), "{error}");
    let rule = |rule: &str| Options { rules: vec![("hand/joint_trajectory".into(), rule.parse().unwrap())], ..abg() };
    let error = refused(vec![messages()], &rule("hold:100"));
    assert!(error.contains("24 hand/joint_trajectory: no command since the instruction"), "{error}");
    let made = make(vec![messages()], &rule("hold:inf"));
    let rows = made.data();
    let action = table::floats(&rows[5], "action");
    assert!((f64::from(action[2]) - sample::commanded(2, -2800)).abs() < 1e-6, "its last point is held: {action:?}");
}

#[test]
fn only_what_succeeded_is_kept_where_that_is_asked_for() {
    let made = make(vec![sample::first(), sample::second()], &Options { only_success: true, ..abg() });
    assert_eq!(made.episodes(), [(0, 12, Some(true))]);
    assert_eq!(made.dropped(0), [("in an episode that did not succeed", 24)]);
}

#[test]
fn a_lower_rate_takes_every_second_picture_and_a_grid_goes_over_a_missing_one() {
    let made = make(vec![sample::first()], &Options { fps: Some(5), min_frames: 4, ..abg() });
    // Picture 12 is missing; 11 and 13 are as near to the moment, and the earlier is taken. What follows is aimed at as before.
    let stamps: Vec<i64> =
        made.data().iter().map(|row| (table::whole(row, "header_stamp") - at(0).nanos()) / 100_000_000).collect();
    assert_eq!(stamps, [0, 2, 4, 6, 8, 10, 11, 14, 16, 18, 20, 22, 24]);
    assert_eq!(made.episodes().len(), 1);

    let rules = vec![("/observation/front/image".into(), "hold:0.15".parse().unwrap())];
    let made = make(vec![sample::first()], &Options { clock: Clock::Grid, rules, ..abg() });
    assert_eq!(made.episodes(), [(0, 25, None)]);
    let rows = made.data();
    let bytes = table::picture(&rows[12], "observation.images.front");
    assert!(
        image::load_from_memory(&bytes).unwrap().into_rgb8().into_raw() == sample::rgb(0, 11),
        "picture 11 is held"
    );
}

#[test]
fn a_recorder_on_another_clock_than_the_stamps_changes_nothing() {
    let mut messages = sample::second();
    for (recorded, _, _) in &mut messages {
        *recorded += 1_000_000_000;
    }
    let made = make(vec![messages], &abg());
    assert_eq!(made.episodes(), [(0, 12, Some(true)), (1300, 17, Some(false))]);
    assert!(made.summary.bags[0].notes.iter().any(|note| note.contains("clock")), "{:?}", made.summary.bags[0].notes);
}

#[test]
fn colour_jpeg_is_stored_as_it_came_and_a_grey_png_becomes_colour() {
    let jpeg = |n: u8| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::RgbImage::from_pixel(12, 8, image::Rgb([n, 20, 30]))
            .write_to(&mut bytes, image::ImageFormat::Jpeg)
            .unwrap();
        bytes.into_inner()
    };
    let grey = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::GrayImage::from_pixel(8, 6, image::Luma([77])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let mut messages = sample::first();
    for (_, topic, message) in &mut messages {
        let Message::Image(image) = message else { continue };
        let (format, data) = if topic.contains("front") { ("jpeg", jpeg(9)) } else { ("png", grey.clone()) };
        let header = Header::new(image.header.stamp, "");
        *message = Message::Compressed(CompressedImage { header, format: format.into(), data });
    }
    let made = make(vec![messages], &abg());
    let rows = made.data();
    assert_eq!(table::picture(&rows[0], "observation.images.front"), jpeg(9));
    let wrist = image::load_from_memory(&table::picture(&rows[0], "observation.images.wrist")).unwrap();
    assert_eq!(wrist.color(), image::ColorType::Rgb8);
    assert!(wrist.into_rgb8().into_raw().iter().all(|level| *level == 77));
}

#[test]
fn a_damaged_jpeg_leaves_its_moment_out_splits_the_episode_and_is_told() {
    let mut messages = sample::stream(24);
    messages.push(text(-140, "/instruction", "lift"));
    for (_, topic, message) in &mut messages {
        let Message::Image(image) = message else { continue };
        if !topic.contains("front") {
            continue;
        }
        let mut data = Vec::new();
        image::codecs::jpeg::JpegEncoder::new(&mut data)
            .encode(&image.data, image.width, image.height, image::ExtendedColorType::Rgb8)
            .unwrap();
        if image.header.stamp == at(1200) {
            data.truncate(data.len() * 9 / 10);
        }
        let header = Header::new(image.header.stamp, "");
        *message = Message::Compressed(CompressedImage { header, format: "jpeg".into(), data });
    }
    let made = make(vec![messages], &abg());
    assert_eq!(made.episodes(), [(0, 12, None), (1300, 11, None)]);
    let notes = made.summary.bags[0].notes.join("\n");
    assert!(notes.contains("front") && notes.contains("1 messages cannot be used"), "{notes}");
}

#[test]
fn bags_that_lack_something_are_refused_with_bag_and_topic() {
    let without = |topic: &str| {
        let mut messages = sample::first();
        messages.retain(|(_, name, _)| !name.contains(topic));
        messages
    };
    for (lacking, expected) in [
        ("image", vec!["bag0", "no cameras"]),
        ("joint_states", vec!["bag0", "'joint_states'", "no sensor_msgs/JointState"]),
        ("joint_trajectory", vec!["bag0", "--commands", "--action measured"]),
        ("/instruction", vec!["bag0", "'instruction'", "--task"]),
    ] {
        let error = refused(vec![without(lacking)], &Options::default());
        for part in expected {
            assert!(error.contains(part), "without {lacking}: '{part}' is not in '{error}'");
        }
    }
    let made = make(vec![without("/instruction")], &Options { task: Some("do it".into()), ..abg() });
    assert_eq!(made.summary.written.tasks, 1);
    // A second bag that lacks what the first has.
    let error = refused(vec![sample::first(), without("wrist")], &abg());
    assert!(error.contains("bag1: topic 'observation/wrist/image': no message"), "{error}");
    let error = refused(vec![sample::first(), without("hand")], &abg());
    assert!(error.contains("bag1: topic 'hand/joint_trajectory': no message"), "{error}");
}

#[test]
fn joints_of_other_names_and_pictures_of_other_sizes_are_refused_with_bag_and_topic() {
    let renamed = |from: &str| {
        let mut messages = sample::first();
        for (_, _, message) in &mut messages {
            if let Message::State(state) = message {
                state.name.iter_mut().filter(|name| *name == from).for_each(|name| *name = "other".into());
            }
        }
        messages
    };
    let error = refused(vec![sample::first(), renamed("b")], &abg());
    assert!(
        error.contains("bag1: topic 'joint_states': joint 'b' is not measured; measured are g, extra, other, a"),
        "{error}"
    );
    let options = Options { joints: Some(vec!["a".into(), "extra".into()]), ..Options::default() };
    let error = refused(vec![sample::first()], &options);
    assert!(error.contains("joint 'extra' is not commanded"), "{error}");

    let resized = |from: i64| {
        let mut messages = sample::first();
        for (_, topic, message) in &mut messages {
            if let Message::Image(image) = message
                && topic.contains("front")
                && image.header.stamp >= at(from)
            {
                (image.width, image.height, image.step) = (image.height, image.width, image.height * 3);
            }
        }
        messages
    };
    let error = refused(vec![resized(900)], &abg());
    assert!(error.contains("'observation/front/image': its pictures change from 12x8 to 8x12"), "{error}");
    let error = refused(vec![sample::first(), resized(0)], &abg());
    assert!(error.contains("bag1") && error.contains("8x12 pixels, those of the first bag 12x8"), "{error}");
}

#[test]
fn a_clock_that_was_set_back_and_a_grid_of_years_are_refused() {
    let moved = |from: i64, by: i64| {
        let mut messages = sample::first();
        for (_, _, message) in &mut messages {
            if let Message::Image(image) = message
                && image.header.stamp >= at(from)
            {
                image.header.stamp = image.header.stamp.offset_nanos(by * 1_000_000);
            }
        }
        messages
    };
    let error = refused(vec![moved(2000, -1500)], &abg());
    assert!(error.contains("'observation/front/image': its stamps go back by 1.400 s at message 19"), "{error}");
    let year = 365 * 86_400_000;
    let error = refused(vec![moved(2400, year)], &Options { clock: Clock::Grid, ..abg() });
    assert!(error.contains("its stamps span 31536002 s"), "{error}");
    let made = make(vec![moved(2400, year)], &abg());
    assert_eq!(made.episodes(), [(0, 12, None), (1300, 11, None)]);
}

#[test]
fn the_time_between_frames_is_what_fps_says_also_where_it_does_not_divide_the_cameras_rate() {
    let messages = || {
        let mut all = sample::stream(60);
        all.push(text(-140, "/instruction", "lift"));
        all
    };
    for fps in [9, 8, 7, 6, 4, 3] {
        let made = make(vec![messages()], &Options { fps: Some(fps), ..abg() });
        assert_eq!(made.episodes().len(), 1, "{fps}");
        let rows = made.data();
        let stamp = |row: &parquet::record::Row| (table::whole(row, "header_stamp") - at(0).nanos()) as f64 * 1e-9;
        for (frame, row) in rows.iter().enumerate() {
            let said = f64::from(table::floats(row, "timestamp")[0]);
            assert!((stamp(row) - said).abs() < 0.051, "{fps} a second, frame {frame}: {} for {said}", stamp(row));
        }
        assert!(rows.len() as f64 >= 5.9 * f64::from(fps) - 1.0, "{fps}: {} frames", rows.len());
    }
    // A rate that the camera has not: told and refused.
    for fps in [11, 12, 15] {
        let error = refused(vec![messages()], &Options { fps: Some(fps), ..abg() });
        assert!(error.contains("10.00 times a second") && error.contains("give a lower --fps"), "{error}");
    }
}

#[test]
fn options_that_do_not_fit_are_refused_by_name() {
    let with = |change: fn(&mut Options)| {
        let mut options = abg();
        change(&mut options);
        refused(vec![sample::first()], &options)
    };
    let error = with(|o| o.fps = Some(20));
    assert!(error.contains("10.00 times a second, fewer than the 20 frames"), "{error}");
    let error = with(|o| o.rules = vec![("nothing".into(), "hold".parse().unwrap())]);
    assert!(error.contains("--rule nothing: that topic is not used"), "{error}");
    let error = with(|o| o.rules = vec![("arm/joint_trajectory".into(), "nearest".parse().unwrap())]);
    assert!(error.contains("only hold is possible"), "{error}");
    let error = with(|o| o.cameras = vec![("front".into(), "/elsewhere".into())]);
    assert!(error.contains("'elsewhere': no message; topics of pictures are observation/front/image"), "{error}");
    let error = with(|o| o.min_frames = 100);
    assert!(error.contains("24 in an episode of fewer than 100 frames"), "{error}");
}

#[test]
fn what_an_interrupted_run_left_is_replaced_and_what_is_whole_or_somebody_elses_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let bags = bags(folder.path(), vec![sample::first()]);
    let (out, part) = (folder.path().join("out"), folder.path().join("out.part"));
    let run = || convert(&bags, &out, &abg(), &mut |_| {}).map(drop).map_err(|error| error.to_string());

    // Somebody else's folder.
    std::fs::create_dir(&part).unwrap();
    std::fs::write(part.join("thesis.txt"), "years of work").unwrap();
    assert!(run().unwrap_err().contains("out.part is there already"));
    assert!(part.join("thesis.txt").is_file() && !out.exists());
    std::fs::remove_dir_all(&part).unwrap();

    // A run that ended in the middle, as a killed one does.
    let ended = std::panic::catch_unwind(|| {
        convert(&bags, &out, &abg(), &mut |progress| {
            assert!(!matches!(progress, efm_dataset::Progress::Writing { frame: 5, .. }), "interrupted");
        })
    });
    assert!(ended.is_err() && part.is_dir() && !out.exists());
    std::fs::write(part.join("meta.left"), "half a file").unwrap();
    run().unwrap();
    assert!(!part.exists() && !out.join("meta.left").exists());
    let names = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    assert_eq!(names, ["data", "meta"]);

    assert!(run().unwrap_err().contains("out is there already"));
}
