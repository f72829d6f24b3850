#![allow(clippy::unwrap_used)]
use super::*;
use crate::entities::{Context, Entities};
use efm_config::ParameterValue as Ros;
use efm_config::given::To;
use std::path::{Path, PathBuf};

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("efm_arguments_{name}_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let file = self.0.join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|&arg| arg.to_owned()).collect()
}

fn given(args: &[&str], full_name: &str) -> Vec<(String, Ros, To)> {
    let all = sayings(&words(args)).unwrap().to(full_name);
    all.into_iter().map(|given| (given.name, given.value, given.to)).collect()
}

#[test]
fn a_parameter_for_all_nodes_is_told_from_one_by_name() {
    let args = [
        "test",
        "--ros-args",
        "-p",
        "rate:=5",
        "-p",
        "mine:name:=x",
        "-p",
        "other:name:=y",
        "--param",
        "list:=[1.5, 2.0]",
    ];
    let expected = [
        ("rate".to_owned(), Ros::Integer(5), To::Process),
        ("list".to_owned(), Ros::DoubleArray(vec![1.5, 2.0]), To::Process),
        ("name".to_owned(), Ros::String("x".to_owned()), To::Node),
    ];
    assert_eq!(given(&args, "/mine"), expected);
    assert_eq!(given(&args, "/left/mine").len(), 2, "'mine' is '/mine'");
    let context = Context::create(words(&args)).unwrap();
    let node = Entities::create(context, "mine").unwrap();
    assert_eq!(node.parameters().len(), 3);
    assert!(Context::create(words(&["test", "--ros-args", "-r", "broken"])).is_err());
}

#[test]
fn what_is_said_later_under_a_key_holds_whatever_its_type() {
    let folder = Folder::new("later");
    let first = folder.file("1.yaml", "/**: {ros__parameters: {speed: 1, list: [1, 2], arms: {left: [a]}}}\n");
    let second = folder.file("2.yaml", "/**: {ros__parameters: {speed: 0.1, list: [], arms: []}}\n");
    let args = ["test", "--ros-args", "--params-file", &first, "--params-file", &second];
    let taken = |args: &[&str]| -> Vec<(String, Ros)> {
        given(args, "/x").into_iter().map(|(name, value, _)| (name, value)).collect()
    };
    let expected = [
        ("arms.left".to_owned(), Ros::StringArray(vec!["a".to_owned()])),
        ("speed".to_owned(), Ros::Double(0.1)),
        ("list".to_owned(), Ros::NotSet),
        ("arms".to_owned(), Ros::NotSet),
    ];
    assert_eq!(taken(&args), expected);
    let by_hand = [&args[..], &["-p", "speed:=0", "-p", "list:=[0.5]"]].concat();
    assert!(taken(&by_hand).contains(&("speed".to_owned(), Ros::Integer(0))));
    assert!(taken(&by_hand).contains(&("list".to_owned(), Ros::DoubleArray(vec![0.5]))));
    // The first file again: it comes later then.
    let again = [&args[..], &["--params-file", &first]].concat();
    assert!(taken(&again).contains(&("speed".to_owned(), Ros::Integer(1))));
    assert_eq!(taken(&again).last().unwrap().0, "arms.left");
}

#[test]
fn only_what_stands_among_the_arguments_of_ros_counts() {
    let args = words(&[
        "test",
        "-p",
        "a:=1",
        "--ros-args",
        "-r",
        "-p",
        "--log-level",
        "info",
        "-p",
        "b:=1",
        "--",
        "-p",
        "c:=1",
        "--ros-args",
        "--params-file",
        "d.yaml",
        "-e",
        "-p",
        "--disable-rosout-logs",
        "-p",
    ]);
    assert_eq!(sources(&args), [("-p", "b:=1"), ("--params-file", "d.yaml")]);
}

#[test]
fn a_file_that_says_nothing_to_anybody_is_refused_and_one_that_is_empty_is_not() {
    let folder = Folder::new("nothing");
    let read = |text: &str| {
        let file = folder.file("f.yaml", text);
        sayings(&words(&["test", "--ros-args", "--params-file", &file])).map(|_| ()).map_err(|e| e.to_string())
    };
    for text in ["", "# nothing yet\n", "{}\n", "/**: {ros__parameters: {}}\n", "arm: {ros__parameters: {a: 1}}\n"] {
        assert_eq!(read(text), Ok(()), "{text}");
    }
    for text in ["controllers\n", "speed_scale\n"] {
        let error = read(text).unwrap_err();
        assert!(error.contains("f.yaml") && error.contains("ros__parameters"), "{error}");
    }
    for text in ["- a\n", "speed: 1\n", "/**: {speed: 1}\n", "left*: {ros__parameters: {a: 1}}\n"] {
        let error = read(text).unwrap_err();
        assert!(error.contains("f.yaml"), "{error}");
    }
    let twice = read("/**: {ros__parameters: {speed: 0.5, arms: {a: 1}, speed: 1}}\n").unwrap_err();
    assert!(twice.contains("'speed' of '/**' is given twice"), "{twice}");
}

#[test]
fn a_file_that_is_not_there_is_refused_by_name() {
    for file in ["/no/such/file.yaml", "/"] {
        assert!(!Path::new(file).is_file());
        let error = Context::create(words(&["test", "--ros-args", "--params-file", file])).err().unwrap();
        assert!(error.to_string().contains(file), "{error}");
    }
}
