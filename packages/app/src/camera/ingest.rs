//! A camera's pictures passed on, without its topics: each is put to the [`CameraStream`], and what follows is told to a [`Host`].
//!
//! The node's host is the graph; each camera has one of its own, on a thread of its own.

use crate::Failure;
use crate::camera::info::{Known, Said, is_of_rectified};
use crate::camera::{CameraStream, CameraTrouble, Picture};
use crate::reasons::{self, coded, wrong};
use crate::trace::{self, PassedOn};
use efm_core::reading::wrong_name;
use efm_core::{Level, Reason, SenderId, Stamp};
use efm_policy::CameraSpec;
use efm_wire::cdr::{CdrError, Decode};
use efm_wire::msgs::{CameraInfo, CompressedImageView, Image, ImageView};
use std::borrow::Cow;
use std::time::Duration;

/// Where a camera's pictures go.
pub trait Host {
    /// ROS time now.
    fn now(&self) -> Stamp;

    /// Passes a picture on.
    ///
    /// # Errors
    /// When it cannot be said.
    fn pass_on(&mut self, picture: &Image) -> Result<(), Failure>;

    /// Whether events are noted.
    fn notes(&self) -> bool;

    /// A picture was passed on.
    fn note(&mut self, event: &PassedOn<'_>);

    /// Health of the camera.
    fn report(&mut self, level: Level, text: String, values: Vec<(String, String)>);

    /// A line for the log.
    fn log(&mut self, level: log::Level, line: &str) {
        log::log!(level, "{line}");
    }
}

/// A camera between two messages.
#[derive(Debug)]
pub struct Ingest {
    stream: CameraStream,
    compressed: bool,
    /// What is passed on: its memory is used again and again.
    out: Image,
    /// Shortest time between two pictures that are passed on.
    spacing: Duration,
    /// The kind of trouble that was told last.
    told: Option<&'static str>,
    passed: u64,
    refused: u64,
    info: Info,
}

/// How long a camera may send pictures before its `camera_info` counts as missing, s: both begin at their own time.
const GRACE: f64 = 3.0;

/// What is known of the camera itself.
#[derive(Debug, Default)]
struct Info {
    trained: Option<CameraSpec>,
    /// Its topic; empty where nobody listens to one.
    topic: String,
    rectified_topic: bool,
    said: Option<Said>,
    /// The message that `said` is of: most cameras repeat theirs with each picture.
    message: Option<CameraInfo>,
    /// Why the last message could not be read.
    unreadable: Option<String>,
    /// When the first picture was passed on, in ROS time.
    since: Option<Stamp>,
    /// Whether that was long enough ago.
    waited: bool,
    /// Size of the pictures that it was judged with.
    judged: Option<(u32, u32)>,
    /// What is wrong, if anything.
    warning: Option<Reason>,
    /// What it is, or that nobody tells.
    words: String,
}

impl Info {
    /// Whether the camera is as the policy's was, at a time when a picture of this size came. Most pictures change nothing.
    fn judge(&mut self, camera: &str, picture: (u32, u32), now: Stamp) {
        if self.topic.is_empty() && self.trained.is_none() {
            return;
        }
        let since = *self.since.get_or_insert(now);
        let waited = self.waited || !(0.0..GRACE).contains(&now.seconds_since(since));
        if self.judged == Some(picture) && waited == self.waited {
            return;
        }
        (self.judged, self.waited) = (Some(picture), waited);
        let (said, rectified_topic) = (self.said.as_ref(), self.rectified_topic);
        let known = Known { trained: self.trained.unwrap_or_default(), picture, said, rectified_topic };
        let (differences, unknown) = (known.differences(), known.unknown());
        self.warning = if !differences.is_empty() {
            let text = format!("camera '{camera}' is passed on, but {}", differences.join("; "));
            Some(wrong(reasons::CAMERA_DIFFERS, text, ""))
        } else if waited && !unknown.is_empty() {
            let why = match said {
                None if self.topic.is_empty() => "it has no camera_info".to_owned(),
                None => format!("nobody publishes {}", self.topic),
                Some(_) => format!("{} does not tell it", self.topic),
            };
            let text = format!(
                "camera '{camera}' is passed on, but {why}, so that it is not known of its pictures: {}",
                unknown.join(", ")
            );
            let remedy = "let the camera's driver publish it, name its topic in the parameter 'camera_info', or take out of the policy's manifest what \
                          cannot be compared";
            Some(wrong(reasons::CAMERA_INFO_MISSING, text, remedy))
        } else {
            None
        };
        self.words = match (said, &self.unreadable) {
            (_, Some(problem)) => format!("{} cannot be read: {problem}", self.topic),
            (Some(said), None) => {
                let strange = known.strange().map(|strange| format!("; {strange}")).unwrap_or_default();
                format!("{said}{strange}")
            }
            (None, None) if waited && !self.topic.is_empty() => format!("nobody publishes {}", self.topic),
            (None, None) => String::new(),
        };
    }

    /// A message of `camera_info` came.
    fn hear(&mut self, message: &[u8]) {
        match CameraInfo::from_cdr(message) {
            Ok(mut info) => {
                info.header = Default::default();
                let new = self.message.as_ref() != Some(&info);
                if new || self.unreadable.is_some() {
                    self.said = Some(Said::of(&info));
                    (self.message, self.unreadable, self.judged) = (Some(info), None, None);
                }
            }
            Err(problem) => {
                (self.message, self.said, self.judged) = (None, None, None);
                self.unreadable = Some(problem.to_string());
            }
        }
    }
}

/// Time, frame and picture of a camera's message.
fn read(message: &[u8], compressed: bool) -> Result<(Stamp, &str, Picture<'_>), CdrError> {
    if compressed {
        let CompressedImageView { stamp, frame_id, format, data } = CompressedImageView::from_cdr(message)?;
        return Ok((stamp, frame_id, Picture::Compressed { format, data }));
    }
    let ImageView { stamp, frame_id, encoding, width, height, step, is_bigendian, data } =
        ImageView::from_cdr(message)?;
    Ok((stamp, frame_id, Picture::Raw { encoding, width, height, step, big_endian: is_bigendian != 0, data }))
}

impl Ingest {
    /// Of a camera that sends sensor_msgs/CompressedImage, or sensor_msgs/Image; at most `max_rate` pictures a second are passed on (0: all).
    pub fn new(stream: CameraStream, compressed: bool, max_rate: f64) -> Self {
        let (width, height) = stream.size();
        let out = Image { encoding: "rgb8".into(), width, height, step: width * 3, ..Image::default() };
        let spacing = if max_rate > 0.0 { Duration::from_secs_f64(1.0 / max_rate) } else { Duration::ZERO };
        Self { stream, compressed, out, spacing, told: None, passed: 0, refused: 0, info: Info::default() }
    }

    /// With what the policy says of the camera that it was trained with, the full name of the topic of its pictures, and that of its
    /// `camera_info` (empty: nobody listens to one).
    #[must_use]
    pub fn compared_with(mut self, trained: Option<CameraSpec>, images: &str, info: &str) -> Self {
        let (topic, rectified_topic) = (info.to_owned(), is_of_rectified(images));
        self.info = Info { trained, topic, rectified_topic, ..Info::default() };
        self
    }

    /// A message of the camera's `camera_info` came, in CDR.
    pub fn on_info(&mut self, message: &[u8]) {
        self.info.hear(message);
    }

    /// How long it waits before the next picture is looked at, after it worked so long on one.
    pub fn rest_after(&self, worked: Duration) -> Option<Duration> {
        self.spacing.checked_sub(worked).filter(|rest| !rest.is_zero())
    }

    /// A message of a publisher came, in CDR, received at this ROS time.
    ///
    /// # Errors
    /// When the picture cannot be passed on: the node is gone. What is wrong with a picture is reported.
    pub fn on_message(
        &mut self,
        host: &mut impl Host,
        message: &[u8],
        sender: SenderId,
        received: Stamp,
    ) -> Result<(), Failure> {
        let outcome = match read(message, self.compressed) {
            // It goes on with the picture, and from there with chunks.
            Ok((_, frame, _)) if wrong_name(frame).is_some() => {
                let problem = wrong_name(frame).unwrap_or_default();
                Err(CameraTrouble::Frame { camera: self.stream.name().to_owned(), problem })
            }
            Ok((stamp, frame, picture)) => {
                self.out.header.stamp = stamp;
                frame.clone_into(&mut self.out.header.frame_id);
                self.stream.comes_from(sender, frame, host.now());
                self.stream.process(stamp, host.now(), picture, &mut self.out.data)
            }
            Err(problem) => Err(CameraTrouble::Message { camera: self.stream.name().to_owned(), problem }),
        };
        if outcome.is_ok() {
            host.pass_on(&self.out)?;
            self.passed += 1;
            if let Some((_, width, height)) = self.stream.source() {
                self.info.judge(self.stream.name(), (width, height), host.now());
            }
            if host.notes() {
                let (received, published) = (received.nanos(), host.now().nanos());
                let (stamp, crc) = (self.out.header.stamp.nanos(), trace::crc(&self.out.data));
                let camera = Cow::Borrowed(self.stream.name());
                host.note(&PassedOn { camera, received, published, stamp, crc });
            }
        } else {
            self.refused += 1;
        }
        self.report(host, outcome.err().map(|trouble| trouble.reason()));
        Ok(())
    }

    /// Tells how it is. In the log there is a line where another kind of trouble begins, and one where it is over.
    fn report(&mut self, host: &mut impl Host, trouble: Option<Reason>) {
        let warning = self.info.warning.as_ref();
        let told = trouble.as_ref().or(warning);
        let mut values = vec![
            coded(told.map_or(reasons::IMAGE_PASSED_ON, |told| told.code)),
            ("images passed on".to_owned(), self.passed.to_string()),
            ("images refused".to_owned(), self.refused.to_string()),
        ];
        if let Some((encoding, width, height)) = self.stream.source() {
            values.push(("source".to_owned(), format!("{encoding} {width}x{height}")));
        }
        if !self.info.words.is_empty() {
            values.push(("camera_info".to_owned(), self.info.words.clone()));
        }
        let name = self.stream.name();
        let before = self.told;
        self.told = told.map(|told| told.code);
        let new = self.told != before;
        match (&trouble, warning) {
            (Some(trouble), _) => {
                let text = trouble.in_words();
                if new {
                    host.log(log::Level::Error, &text);
                }
                host.report(Level::Error, text, values);
            }
            (None, Some(warning)) => {
                let text = warning.in_words();
                if new {
                    host.log(log::Level::Warn, &text);
                }
                host.report(Level::Warn, text, values);
            }
            (None, None) => {
                if new {
                    host.log(log::Level::Info, &format!("camera '{name}' is well again"));
                }
                host.report(Level::Ok, format!("camera '{name}' is passed on"), values);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_core::freshness::FreshnessBounds;
    use efm_vision::ResizeMode;
    use efm_wire::cdr::Encode;
    use efm_wire::msgs::Header;

    const BOUNDS: FreshnessBounds = FreshnessBounds { max_silence: 1.0, max_age: 1.0, max_future: 0.05 };

    type Told = (Level, String, Vec<(String, String)>);

    #[derive(Default)]
    struct Camera {
        now: i64,
        passed: Vec<Image>,
        notes: Vec<(i64, i64, i64, u32)>,
        traced: bool,
        reports: Vec<Told>,
        log: Vec<(log::Level, String)>,
        gone: bool,
    }

    impl Host for Camera {
        fn now(&self) -> Stamp {
            Stamp::from_nanos(self.now)
        }

        fn pass_on(&mut self, picture: &Image) -> Result<(), Failure> {
            if self.gone {
                return Err("the node is gone".into());
            }
            // Sending takes a millisecond.
            self.now += 1_000_000;
            self.passed.push(picture.clone());
            Ok(())
        }

        fn notes(&self) -> bool {
            self.traced
        }

        fn note(&mut self, event: &PassedOn<'_>) {
            assert_eq!(event.camera, "front");
            self.notes.push((event.received, event.published, event.stamp, event.crc));
        }

        fn report(&mut self, level: Level, text: String, values: Vec<(String, String)>) {
            self.reports.push((level, text, values));
        }

        fn log(&mut self, level: log::Level, line: &str) {
            self.log.push((level, line.to_owned()));
        }
    }

    impl Camera {
        fn counts(&self) -> (&str, &str) {
            (self.value("images passed on"), self.value("images refused"))
        }

        fn value(&self, key: &str) -> &str {
            let (_, _, values) = self.reports.last().unwrap();
            values.iter().find(|(k, _)| k == key).unwrap().1.as_str()
        }
    }

    fn ingest(compressed: bool) -> Ingest {
        Ingest::new(CameraStream::new("front", 2, 2, ResizeMode::Stretch, BOUNDS).unwrap(), compressed, 0.0)
    }

    fn picture(stamp: i64, encoding: &str, width: u32) -> Vec<u8> {
        let header = Header::new(Stamp::from_nanos(stamp), "lens");
        let (step, data) = (width * 3, vec![7; width as usize * 3 * 2]);
        let image = Image { header, height: 2, width, encoding: encoding.into(), is_bigendian: 0, step, data };
        image.to_cdr()
    }

    const NOW: i64 = 5_000_000_000;
    const ONE: SenderId = SenderId([1; 16]);

    #[test]
    fn a_picture_goes_on_with_its_stamp_and_frame_and_is_counted_and_noted() {
        let (mut ingest, mut host) = (ingest(false), Camera { now: NOW, traced: true, ..Camera::default() });
        ingest.on_message(&mut host, &picture(NOW, "rgb8", 4), ONE, Stamp::from_nanos(NOW - 1)).unwrap();
        let out = &host.passed[0];
        assert_eq!((out.header.stamp.nanos(), out.header.frame_id.as_str()), (NOW, "lens"));
        assert_eq!((out.encoding.as_str(), out.width, out.height, out.step, out.data.len()), ("rgb8", 2, 2, 6, 12));
        // The time of publication is the one after it was published.
        assert_eq!(host.notes, [(NOW - 1, NOW + 1_000_000, NOW, trace::crc(&out.data))]);
        assert_eq!(host.counts(), ("1", "0"));
        let (level, text, values) = host.reports.last().unwrap();
        assert_eq!((*level, text.as_str()), (Level::Ok, "camera 'front' is passed on"));
        assert!(values.contains(&("source".to_owned(), "rgb8 4x2".to_owned())), "{values:?}");
        assert!(host.log.is_empty());
    }

    #[test]
    fn nothing_is_noted_where_nobody_traces() {
        let (mut ingest, mut host) = (ingest(false), Camera { now: NOW, ..Camera::default() });
        ingest.on_message(&mut host, &picture(NOW, "rgb8", 4), ONE, Stamp::from_nanos(NOW)).unwrap();
        assert!(host.notes.is_empty() && host.passed.len() == 1);
    }

    #[test]
    fn the_log_has_a_line_where_another_kind_of_trouble_begins_and_where_it_is_over() {
        let (mut ingest, mut host) = (ingest(false), Camera { now: NOW, ..Camera::default() });
        let good = picture(NOW, "rgb8", 4);
        let (changed, size, unreadable) =
            (reasons::IMAGE_ENCODING_CHANGED, reasons::IMAGE_SIZE_CHANGED, reasons::MESSAGE_UNREADABLE);
        let (old, ahead) = (picture(NOW - 3_000_000_000, "rgb8", 4), picture(NOW + 3_000_000_000, "rgb8", 4));
        let messages = [
            (&good, None, reasons::IMAGE_PASSED_ON),
            (&picture(NOW, "bgr8", 4), Some((log::Level::Error, "bgr8")), changed),
            (&picture(NOW, "mono8", 4), None, changed),
            (&picture(NOW, "rgb8", 8), Some((log::Level::Error, "8x2")), size),
            (&vec![1, 2, 3], Some((log::Level::Error, "cannot be read")), unreadable),
            (&good[..good.len() - 1].to_vec(), None, unreadable),
            (&old, Some((log::Level::Error, "in the past")), reasons::IMAGE_OLD),
            (&ahead, Some((log::Level::Error, "check the clocks")), reasons::IMAGE_FROM_THE_FUTURE),
            (&good, Some((log::Level::Info, "well again")), reasons::IMAGE_PASSED_ON),
            (&good, None, reasons::IMAGE_PASSED_ON),
        ];
        for (message, line, code) in messages {
            host.log.clear();
            ingest.on_message(&mut host, message, ONE, Stamp::from_nanos(NOW)).unwrap();
            // Sending must not make the next one old.
            host.now = NOW;
            let logged: Vec<_> = host.log.iter().map(|(level, _)| *level).collect();
            assert_eq!(logged, line.iter().map(|(level, _)| *level).collect::<Vec<_>>(), "{:?}", host.log);
            assert!(line.is_none_or(|(_, word)| host.log[0].1.contains(word)), "{:?}", host.log);
            assert_eq!(host.value("code"), code);
        }
        assert_eq!(host.counts(), ("3", "7"));
    }

    #[test]
    fn a_refused_picture_is_not_passed_on_and_its_reason_stays_until_a_good_one() {
        let (mut ingest, mut host) = (ingest(true), Camera { now: NOW, ..Camera::default() });
        ingest.on_message(&mut host, &picture(NOW, "rgb8", 4), ONE, Stamp::from_nanos(NOW)).unwrap();
        assert!(host.passed.is_empty() && host.notes.is_empty());
        let (level, text, _) = host.reports.last().unwrap();
        assert!(*level == Level::Error && text.contains("'front'"), "{text}");
        assert_eq!(host.counts(), ("0", "1"));
    }

    #[test]
    fn a_picture_whose_frame_is_no_name_is_refused_and_its_frame_goes_nowhere() {
        let (mut ingest, mut host) = (ingest(false), Camera { now: NOW, ..Camera::default() });
        for frame in
            ["f".repeat(30 << 20), "a\u{202e}b".to_owned(), "\u{1b}[2J".to_owned(), "a\nb".to_owned(), "a\0".to_owned()]
        {
            let header = Header::new(Stamp::from_nanos(NOW), frame);
            let image = Image {
                header,
                height: 2,
                width: 4,
                encoding: "rgb8".into(),
                is_bigendian: 0,
                step: 12,
                data: vec![7; 24],
            };
            ingest.on_message(&mut host, &image.to_cdr(), ONE, Stamp::from_nanos(NOW)).unwrap();
            let (level, text, _) = host.reports.last().unwrap();
            assert!(
                *level == Level::Error && text.contains("'front'") && text.contains("frame_id") && text.len() < 300,
                "{text}"
            );
        }
        assert!(host.passed.is_empty());
        ingest.on_message(&mut host, &picture(NOW, "rgb8", 4), ONE, Stamp::from_nanos(NOW)).unwrap();
        assert_eq!(host.counts(), ("1", "5"));
    }

    #[test]
    fn what_cannot_be_passed_on_ends_it_and_is_not_counted() {
        let (mut ingest, mut host) = (ingest(false), Camera { now: NOW, gone: true, ..Camera::default() });
        assert!(ingest.on_message(&mut host, &picture(NOW, "rgb8", 4), ONE, Stamp::from_nanos(NOW)).is_err());
        assert!(host.reports.is_empty());
    }

    /// Pictures of 4x2 pixels, one each second, each with a camera_info or without; level and text of each report.
    fn compared(trained: Option<CameraSpec>, topic: &str, infos: &[Option<&[u8]>]) -> (Vec<(Level, String)>, Camera) {
        let mut ingest = ingest(false).compared_with(trained, topic, "/front/camera_info");
        let mut host = Camera { now: NOW, ..Camera::default() };
        for (i, info) in infos.iter().enumerate() {
            host.now = NOW + i as i64 * 1_000_000_000;
            info.iter().for_each(|info| ingest.on_info(info));
            let (picture, now) = (picture(host.now, "rgb8", 4), Stamp::from_nanos(host.now));
            ingest.on_message(&mut host, &picture, ONE, now).unwrap();
        }
        (host.reports.iter().map(|(level, text, _)| (*level, text.clone())).collect(), host)
    }

    fn info(d: f64) -> Vec<u8> {
        let info = CameraInfo::pinhole(Header::default(), 4, 2, [3.0; 2], [2.0, 1.0]);
        CameraInfo { d: vec![d], ..info }.to_cdr()
    }

    #[test]
    fn a_camera_that_is_not_the_policys_is_a_warning_and_its_pictures_are_passed_on() {
        let trained = CameraSpec { rectified: Some(true), width: Some(640), ..CameraSpec::default() };
        let crooked = info(0.1);
        let (reports, host) =
            compared(Some(trained), "/front/image_raw", &[Some(&crooked), Some(&crooked), Some(&info(0.0))]);
        let (level, text) = &reports[0];
        assert_eq!(*level, Level::Warn);
        for word in ["'front'", "4x2", "640x2", "rectified", "image_rect_color"] {
            assert!(text.contains(word), "{text}");
        }
        assert!(reports[1] == reports[0] && reports[2].1.contains("640x2") && !reports[2].1.contains("rectified"));
        // Once in the log, and all three pictures.
        assert_eq!(host.log.iter().map(|(level, _)| *level).collect::<Vec<_>>(), [log::Level::Warn]);
        assert_eq!(
            (host.counts(), host.value("code"), host.value("camera_info")),
            (("3", "0"), "camera_differs", "4x2, without distortion")
        );
    }

    #[test]
    fn nobody_who_publishes_camera_info_is_told_and_is_a_warning_only_where_the_policy_says_what_it_needs() {
        let none = [None; 5];
        let (reports, host) = compared(None, "/front/image_raw", &none);
        assert!(reports.iter().all(|(level, text)| *level == Level::Ok && text == "camera 'front' is passed on"));
        assert_eq!(host.value("camera_info"), "nobody publishes /front/camera_info");
        assert!(host.log.is_empty());
        let trained = CameraSpec { rectified: Some(true), ..CameraSpec::default() };
        let (reports, host) = compared(Some(trained), "/front/image_raw", &none);
        assert_eq!(reports.iter().filter(|(level, _)| *level == Level::Ok).count(), 3, "both begin at their own time");
        let (level, text) = &reports[4];
        assert_eq!((*level, host.value("code")), (Level::Warn, "camera_info_missing"));
        for word in ["'front'", "nobody publishes /front/camera_info", "rectified", "'camera_info'"] {
            assert!(text.contains(word), "{text}");
        }
        // The name of the topic says it, and where it comes late all is well again.
        let (reports, _) = compared(Some(trained), "/front/image_rect_color", &none);
        assert!(reports.iter().all(|(level, _)| *level == Level::Ok));
        let late = info(0.0);
        let (reports, host) = compared(Some(trained), "/front/image_raw", &[None, None, None, None, Some(&late)]);
        assert_eq!((reports[3].0, reports[4].0), (Level::Warn, Level::Ok));
        assert_eq!(host.log.len(), 2);
    }

    #[test]
    fn camera_info_that_cannot_be_read_or_belongs_to_other_pictures_is_told() {
        let (reports, host) = compared(None, "/front/image_raw", &[Some(b"none")]);
        assert_eq!(reports[0].0, Level::Ok);
        assert!(host.value("camera_info").contains("cannot be read"));
        let other = CameraInfo::pinhole(Header::default(), 1280, 720, [3.0; 2], [2.0, 1.0]).to_cdr();
        let (_, host) = compared(None, "/front/image_raw", &[Some(&other)]);
        assert_eq!(
            host.value("camera_info"),
            "1280x720, without distortion; it belongs to pictures of 1280x720, and they are 4x2"
        );
    }

    #[test]
    fn between_two_pictures_it_waits_for_what_is_left_of_their_spacing() {
        let stream = CameraStream::new("front", 2, 2, ResizeMode::Stretch, BOUNDS).unwrap();
        let slow = Ingest::new(stream, false, 10.0);
        let ms = Duration::from_millis;
        assert_eq!(slow.rest_after(ms(30)), Some(ms(70)));
        assert_eq!((slow.rest_after(ms(100)), slow.rest_after(ms(150))), (None, None));
        assert_eq!(ingest(false).rest_after(ms(0)), None);
    }
}
