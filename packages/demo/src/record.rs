//! Records what the graph says into a rosbag, on a thread of its own.

use efm_bag::{BagError, BagOptions, BagSummary, BagWriter};
use efm_core::Stamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A message on its way into the bag.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Topic.
    pub topic: Arc<str>,
    /// Its type.
    pub type_name: &'static str,
    /// CDR, with the encapsulation header.
    pub bytes: Arc<[u8]>,
    /// When it came.
    pub at: Stamp,
}

/// Hands messages to the recorder. Cheap to clone; the bag is closed when all are gone.
pub type Ear = Sender<Heard>;

/// A bag that is being written.
#[derive(Debug)]
pub struct Recorder(JoinHandle<Result<BagSummary, BagError>>);

impl Recorder {
    /// Starts a bag in the new folder `dir`.
    ///
    /// # Errors
    /// When it exists already or cannot be written.
    pub fn start(dir: &Path) -> Result<(Self, Ear), BagError> {
        let bag = BagWriter::create(dir, BagOptions::default())?;
        let (ear, heard) = channel();
        Ok((Self(std::thread::spawn(move || write(bag, &heard))), ear))
    }

    /// Waits for the bag to be complete. All its [`Ear`]s must be gone.
    ///
    /// # Errors
    /// The first thing that could not be written.
    pub fn finish(self) -> Result<BagSummary, BagError> {
        self.0.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn write(mut bag: BagWriter, heard: &Receiver<Heard>) -> Result<BagSummary, BagError> {
    for Heard { topic, type_name, bytes, at } in heard {
        bag.write_raw(&topic, type_name, "", &bytes, at)?;
    }
    bag.finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_bag::{BagReader, Encode, msgs::StringMsg};

    #[test]
    fn what_was_heard_is_in_the_bag_with_its_time() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("bag");
        let (recorder, ear) = Recorder::start(&dir).unwrap();
        for (i, text) in ["put", "push"].into_iter().enumerate() {
            let heard = Heard {
                topic: "goal".into(),
                type_name: "std_msgs/msg/String",
                bytes: StringMsg::new(text).to_cdr().into(),
                at: Stamp::from_nanos(5 + i as i64),
            };
            ear.send(heard).unwrap();
        }
        drop(ear);
        assert_eq!(recorder.finish().unwrap().messages, 2);
        let mut reader = BagReader::open(&dir).unwrap();
        let first = reader.next_message().unwrap().unwrap();
        assert_eq!((first.log_time(), first.topic()), (Stamp::from_nanos(5), "/goal"));
        assert_eq!(first.decode::<StringMsg>().unwrap().data, "put");
        assert!(Recorder::start(&dir).is_err(), "an old recording is not written over");
    }
}
