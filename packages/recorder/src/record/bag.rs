//! The bag that is being recorded: a thread writes what the queue holds, hands it to the operating system twice a second, and ends the
//! bag in order when it is asked to or the disk is nearly full.

use super::jpeg::Jpeg;
use super::queue::{Next, Queue, Waiting};
use efm_bag::{BagError, BagOptions, BagSummary, BagWriter, Definition, Definitions, OfferedQos};
use efm_core::Stamp;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// At most so much that was received is lost when the process is killed, and what was just then being written.
const FLUSH_EVERY: Duration = Duration::from_millis(500);
/// Kept for the index and the metadata of a bag whose disk is full.
const RESERVE: u64 = 8 << 20;
const COMPRESSED_IMAGE: &str = "sensor_msgs/msg/CompressedImage";

/// How a bag is recorded.
#[derive(Debug, Clone)]
pub struct RecordOptions {
    /// New folder of the bag.
    pub dir: PathBuf,
    /// Compression and splitting.
    pub bag: BagOptions,
    /// Bytes of messages that may wait to be written.
    pub queue_bytes: usize,
    /// The recording ends when the disk has fewer bytes left than this.
    pub min_free_bytes: u64,
    /// JPEG quality from 1 to 100 of `sensor_msgs/msg/Image`; none: they are recorded as they come.
    pub jpeg_quality: Option<u8>,
}

/// Why a recording cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The bag cannot be written.
    #[error(transparent)]
    Bag(#[from] BagError),
    /// There is little room.
    #[error("{}: the disk has {free_mb} MB left; recording needs more than {min_mb} MB (min_free_mb)", dir.display())]
    LittleSpace {
        /// Folder of the bag.
        dir: PathBuf,
        /// Left, MB.
        free_mb: u64,
        /// The bound, MB.
        min_mb: u64,
    },
}

/// Why a recording ended before it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// In words, naming the folder.
    pub reason: String,
}

/// A topic of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicId(usize);

/// What a recording has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Messages written.
    pub written: u64,
    /// Bytes of messages written, before compression.
    pub bytes: u64,
    /// Bytes of messages that wait.
    pub waiting_bytes: usize,
    /// Messages that were refused as the queue was full, by topic; only topics with some.
    pub lost: Vec<(String, u64)>,
    /// Messages that the bag could not take (what is no CDR, say), by topic with the reason of the last.
    pub unfit: Vec<(String, u64, String)>,
}

struct Topic {
    name: String,
    definition: Definition,
    /// rosbag2's YAML.
    qos: String,
    lost: AtomicU64,
    unfit: Mutex<Option<(u64, String)>>,
}

struct Shared {
    queue: Queue,
    topics: Mutex<Vec<Arc<Topic>>>,
    written: AtomicU64,
    bytes: AtomicU64,
    ended: OnceLock<Ended>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Writer = JoinHandle<Result<BagSummary, BagError>>;

/// A bag that is being recorded. Cheap to clone; [`Self::finish`] ends it for all.
#[derive(Clone)]
pub struct BagOfTopics {
    shared: Arc<Shared>,
    thread: Arc<Mutex<Option<Writer>>>,
}

impl std::fmt::Debug for BagOfTopics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BagOfTopics").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl BagOfTopics {
    /// Begins a bag and the thread that writes it.
    ///
    /// # Errors
    /// When the folder holds something, cannot be written, or lies on a disk that is nearly full.
    pub fn begin(options: RecordOptions) -> Result<Self, RecordError> {
        // Before anything is made: of the folder above where the new one is not there yet.
        let there = options.dir.ancestors().find(|dir| dir.exists()).unwrap_or(Path::new("."));
        if let Some(free) = free_bytes(there).filter(|&free| free < options.min_free_bytes) {
            return Err(RecordError::LittleSpace {
                dir: options.dir,
                free_mb: free >> 20,
                min_mb: options.min_free_bytes >> 20,
            });
        }
        let bag = BagWriter::create(
            &options.dir,
            BagOptions { reserve_bytes: options.bag.reserve_bytes.max(RESERVE), ..options.bag.clone() },
        )?;
        let shared = Arc::new(Shared {
            queue: Queue::new(options.queue_bytes),
            topics: Mutex::default(),
            written: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            ended: OnceLock::new(),
        });
        let writing = Writing {
            bag,
            shared: shared.clone(),
            topics: Vec::new(),
            jpeg: options.jpeg_quality.map(Jpeg::new),
            compressed: Definitions::built_in().find(COMPRESSED_IMAGE, None),
            dir: options.dir.clone(),
            min_free_bytes: options.min_free_bytes,
        };
        let thread = std::thread::Builder::new()
            .name("bag".to_owned())
            .spawn(move || writing.run())
            .map_err(|source| BagError::Io { path: options.dir, source })?;
        Ok(Self { shared, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// A further topic, with what its publishers offer.
    pub fn add_topic(&self, name: &str, definition: Definition, offered: &[OfferedQos]) -> TopicId {
        let mut topics = lock(&self.shared.topics);
        topics.push(Arc::new(Topic {
            name: name.to_owned(),
            definition,
            qos: OfferedQos::list_to_yaml(offered),
            lost: AtomicU64::new(0),
            unfit: Mutex::default(),
        }));
        TopicId(topics.len() - 1)
    }

    /// Records a message; false when it was lost because too many wait, which is counted, or because the recording has ended, which is not.
    /// For one thread at a time.
    pub fn put(&self, topic: TopicId, cdr: &[u8], received: Stamp, published: Stamp) -> bool {
        let taken = self.shared.queue.put(topic.0, cdr, received, published);
        if !taken
            && !self.shared.queue.is_closed()
            && let Some(topic) = lock(&self.shared.topics).get(topic.0)
        {
            topic.lost.fetch_add(1, Relaxed);
        }
        taken
    }

    /// Why the recording has ended although nobody asked for it.
    pub fn ended(&self) -> Option<&Ended> {
        self.shared.ended.get()
    }

    /// What it has come to.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Completes the bag with all that waits. `None` when that was done before.
    ///
    /// # Errors
    /// When it could not be completed; what was written can be read.
    pub fn finish(&self) -> Option<Result<BagSummary, BagError>> {
        self.shared.queue.close();
        let thread = lock(&self.thread).take()?;
        Some(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Shared {
    fn status(&self) -> Status {
        let topics = lock(&self.topics);
        let lost = topics.iter().map(|topic| (topic.name.clone(), topic.lost.load(Relaxed)));
        let unfit = topics.iter().filter_map(|topic| {
            let (number, reason) = lock(&topic.unfit).clone()?;
            Some((topic.name.clone(), number, reason))
        });
        Status {
            written: self.written.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            waiting_bytes: self.queue.bytes(),
            lost: lost.filter(|(_, number)| *number > 0).collect(),
            unfit: unfit.collect(),
        }
    }
}

/// The thread's side.
struct Writing {
    bag: BagWriter,
    shared: Arc<Shared>,
    /// As far as this thread knows them, with the name in the bag where pictures are compressed.
    topics: Vec<(Arc<Topic>, Option<String>)>,
    jpeg: Option<Jpeg>,
    compressed: Definition,
    dir: PathBuf,
    min_free_bytes: u64,
}

impl Writing {
    fn run(mut self) -> Result<BagSummary, BagError> {
        let outcome = self.write_all();
        let reason = match &outcome {
            Ok(reason) => reason.clone(),
            Err(error) => Some(format!("recording has ended: {error}")),
        };
        // Whatever came meanwhile is refused and counted.
        self.shared.queue.close();
        while let Next::Message(message) = self.shared.queue.next(Instant::now()) {
            if let Some(topic) = lock(&self.shared.topics).get(message.topic) {
                topic.lost.fetch_add(1, Relaxed);
            }
            self.shared.queue.done(message);
        }
        if let Some(reason) = &reason {
            self.bag.note("ended", reason.clone());
        }
        for (topic, lost) in self.shared.status().lost {
            self.bag.note(&format!("lost {topic}"), lost.to_string());
        }
        for (topic, number, reason) in self.shared.status().unfit {
            self.bag.note(&format!("unfit {topic}"), format!("{number}: {reason}"));
        }
        let finished = self.bag.finish();
        if let Some(mut reason) = reason {
            if let Err(error) = &finished {
                reason.push_str(&format!("; the bag could not be completed ({error}), `efm bag repair` does it"));
            }
            // Told last, so that whoever hears it finds the bag complete.
            let _told_once = self.shared.ended.set(Ended { reason });
        }
        outcome.and(finished)
    }

    /// Writes until the queue is closed (`None`) or something else ends the recording.
    fn write_all(&mut self) -> Result<Option<String>, BagError> {
        let mut due = Instant::now() + FLUSH_EVERY;
        loop {
            match self.shared.queue.next(due) {
                Next::Message(message) => {
                    let written = self.write(&message);
                    self.shared.queue.done(message);
                    written?;
                }
                Next::Nothing => {}
                Next::Closed => return Ok(None),
            }
            let now = Instant::now();
            if now >= due {
                self.bag.flush()?;
                due = now + FLUSH_EVERY;
                if let Some(free) = free_bytes(&self.dir).filter(|&free| free < self.min_free_bytes) {
                    return Ok(Some(format!(
                        "recording has ended: the disk of {} has {} MB left, min_free_mb is {}",
                        self.dir.display(),
                        free >> 20,
                        self.min_free_bytes >> 20
                    )));
                }
            }
            if self.bag.disk_was_full() {
                return Ok(Some(format!("recording has ended: the disk of {} is full", self.dir.display())));
            }
        }
    }

    fn write(&mut self, message: &Waiting) -> Result<(), BagError> {
        if message.topic >= self.topics.len() {
            self.learn_topics();
        }
        let Some((topic, as_jpeg)) = self.topics.get(message.topic) else { return Ok(()) };
        let (received, published) = (message.received, message.published);
        let compressed = match (&mut self.jpeg, as_jpeg) {
            (Some(jpeg), Some(name)) => jpeg.compress(&message.bytes).map(|cdr| (name, cdr)),
            _ => None,
        };
        let (length, written) = match compressed {
            Some((name, cdr)) => (cdr.len(), self.bag.write_recorded(name, &self.compressed, cdr, received, published)),
            None => {
                let cdr = &message.bytes;
                (cdr.len(), self.bag.write_recorded(&topic.name, &topic.definition, cdr, received, published))
            }
        };
        match written {
            Ok(()) => {
                self.shared.written.fetch_add(1, Relaxed);
                self.shared.bytes.fetch_add(length as u64, Relaxed);
                Ok(())
            }
            Err(error @ (BagError::Io { .. } | BagError::Mcap { .. })) => Err(error),
            // One topic that cannot be recorded does not end the others.
            Err(error) => {
                let mut unfit = lock(&topic.unfit);
                let number = unfit.as_ref().map_or(1, |(number, _)| number + 1);
                *unfit = Some((number, error.to_string()));
                Ok(())
            }
        }
    }

    fn learn_topics(&mut self) {
        let all = lock(&self.shared.topics);
        for topic in &all[self.topics.len()..] {
            let as_jpeg = (self.jpeg.is_some() && topic.definition.name == "sensor_msgs/msg/Image")
                .then(|| format!("{}/compressed", topic.name));
            for name in [Some(&topic.name), as_jpeg.as_ref()].into_iter().flatten() {
                self.bag.set_qos_yaml(name, topic.qos.clone());
            }
            self.topics.push((topic.clone(), as_jpeg));
        }
    }
}

/// What the disk of a folder has left for us; none where the system does not tell.
fn free_bytes(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    disk.f_bavail.checked_mul(disk.f_frsize)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_bag::msgs::{ImageView, StringMsg};
    use efm_bag::{BagReader, Encode, Qos};

    fn options(dir: PathBuf) -> RecordOptions {
        RecordOptions { dir, bag: BagOptions::default(), queue_bytes: 1 << 20, min_free_bytes: 0, jpeg_quality: None }
    }

    fn add(recording: &BagOfTopics, name: &str, type_name: &str, qos: Qos) -> TopicId {
        recording.add_topic(name, Definitions::built_in().find(type_name, None), &[qos.into()])
    }

    #[test]
    fn messages_are_recorded_with_both_times_and_what_was_offered() {
        let tmp = tempfile::tempdir().unwrap();
        let recording = BagOfTopics::begin(options(tmp.path().join("bag"))).unwrap();
        let topic = add(&recording, "/goal", "std_msgs/msg/String", Qos::LATCHED);
        assert!(recording.put(topic, &StringMsg::new("put").to_cdr(), Stamp::from_nanos(9), Stamp::from_nanos(5)));
        assert_eq!(recording.finish().unwrap().unwrap().messages, 1);
        assert!(recording.finish().is_none(), "it is finished once");
        let message = BagReader::open(tmp.path().join("bag")).unwrap().next_message().unwrap().unwrap();
        assert_eq!((message.log_time(), message.publish_time()), (Stamp::from_nanos(9), Stamp::from_nanos(5)));
        assert_eq!(message.offered_qos(), OfferedQos::list_to_yaml(&[Qos::LATCHED.into()]));
        assert_eq!(message.decode::<StringMsg>().unwrap().data, "put");
    }

    #[test]
    fn what_is_lost_and_what_is_unfit_is_counted_by_topic_and_noted_in_the_bag() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("bag");
        let recording = BagOfTopics::begin(RecordOptions { queue_bytes: 100, ..options(dir.clone()) }).unwrap();
        let goal = add(&recording, "/goal", "std_msgs/msg/String", Qos::DEFAULT);
        let odd = add(&recording, "/odd", "std_msgs/msg/String", Qos::DEFAULT);
        assert!(!recording.put(goal, &[0; 101], Stamp::default(), Stamp::default()));
        assert!(recording.put(odd, &[1], Stamp::default(), Stamp::default()));
        recording.finish().unwrap().unwrap();
        let status = recording.status();
        assert_eq!(status.lost, [("/goal".to_owned(), 1)]);
        assert_eq!((status.unfit[0].0.as_str(), status.unfit[0].1), ("/odd", 1));
        let metadata = std::fs::read_to_string(dir.join("metadata.yaml")).unwrap();
        assert!(metadata.contains("\"lost /goal\": \"1\"") && metadata.contains("\"unfit /odd\": \"1: "), "{metadata}");
    }

    #[test]
    fn pictures_become_jpegs_on_a_topic_of_their_own_and_others_stay() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("bag");
        let recording = BagOfTopics::begin(RecordOptions { jpeg_quality: Some(80), ..options(dir.clone()) }).unwrap();
        let image = add(&recording, "/eye/image", "sensor_msgs/msg/Image", Qos::DEFAULT);
        let pixels = [100; 8 * 8 * 3];
        let rgb = ImageView::rgb8(Stamp::from_nanos(3), "eye", 8, 8, &pixels);
        let depth = ImageView { encoding: "16UC1", ..rgb };
        assert!(recording.put(image, &rgb.to_cdr(), Stamp::from_nanos(4), Stamp::from_nanos(3)));
        assert!(recording.put(image, &depth.to_cdr(), Stamp::from_nanos(5), Stamp::from_nanos(3)));
        recording.finish().unwrap().unwrap();
        let messages: Vec<_> = BagReader::open(dir).unwrap().map(Result::unwrap).collect();
        let said: Vec<_> = messages.iter().map(|message| (message.topic(), message.type_name())).collect();
        assert_eq!(said, [("/eye/image/compressed", COMPRESSED_IMAGE), ("/eye/image", "sensor_msgs/msg/Image")]);
    }

    #[test]
    fn a_disk_with_little_room_is_refused_by_its_folder() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("bag");
        let error = BagOfTopics::begin(RecordOptions { min_free_bytes: u64::MAX, ..options(dir.clone()) }).unwrap_err();
        assert!(error.to_string().contains(&dir.display().to_string()), "{error}");
        assert!(error.to_string().contains("min_free_mb"), "{error}");
    }
}
