//! What a recorder needs of a bag: both times, types that nobody knows, and notes.
#![allow(clippy::unwrap_used)]

use efm_bag::{BagError, BagOptions, BagReader, BagWriter, Definition, Encode, msgs::StringMsg};
use efm_core::Stamp;

fn at(nanos: i64) -> Stamp {
    Stamp::from_nanos(nanos)
}

fn unknown() -> Definition {
    Definition { name: "cell_msgs/msg/Part".into(), text: String::new(), hash: "RIHS01_ab".into() }
}

#[test]
fn a_message_keeps_both_of_its_times_and_a_type_without_definition_its_bytes() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    let bytes = StringMsg::new("bytes").to_cdr();
    bag.write_recorded("/part", &unknown(), &bytes, at(9), at(5)).unwrap();
    bag.finish().unwrap();
    let message = BagReader::open(&dir).unwrap().next_message().unwrap().unwrap();
    assert_eq!((message.log_time(), message.publish_time()), (at(9), at(5)));
    assert_eq!((message.type_name(), &*message.schema_text(), message.data()), ("cell_msgs/msg/Part", "", &bytes[..]));
    let metadata = std::fs::read_to_string(dir.join("metadata.yaml")).unwrap();
    assert!(metadata.contains("type_description_hash: \"RIHS01_ab\""), "{metadata}");
}

#[test]
fn notes_are_custom_data_and_the_last_one_of_a_key_counts() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let mut bag = BagWriter::create(&dir, BagOptions::default()).unwrap();
    bag.note("lost /goal", "1");
    bag.note("lost /goal", "2: \"quoted\"\nand a line");
    bag.finish().unwrap();
    let text = std::fs::read_to_string(dir.join("metadata.yaml")).unwrap();
    let yaml: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
    let notes = &yaml["rosbag2_bagfile_information"]["custom_data"];
    assert_eq!(notes["lost /goal"].as_str(), Some("2: \"quoted\"\nand a line"));
}

#[test]
fn space_that_cannot_be_set_aside_is_told_with_the_folder() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("bag");
    let options = BagOptions { reserve_bytes: 1 << 62, ..BagOptions::default() };
    let error = BagWriter::create(&dir, options).unwrap_err();
    assert!(matches!(&error, BagError::Io { path, .. } if *path == dir), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
}
