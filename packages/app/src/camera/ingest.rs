//! A camera's pictures passed on, without its topics: each is put to the [`CameraStream`], and what follows is told to a [`Host`].
//!
//! The node's host is the graph; each camera has one of its own, on a thread of its own.

use crate::Failure;
use crate::camera::{CameraStream, CameraTrouble, Picture};
use crate::reasons::{self, coded};
use crate::trace::{self, PassedOn};
use efm_core::reading::wrong_name;
use efm_core::{Level, Reason, SenderId, Stamp};
use efm_wire::cdr::{CdrError, Decode};
use efm_wire::msgs::{CompressedImageView, Image, ImageView};
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
    trouble: Option<Reason>,
    passed: u64,
    refused: u64,
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
        Self { stream, compressed, out, spacing, trouble: None, passed: 0, refused: 0 }
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
        let mut values = vec![
            coded(trouble.as_ref().map_or(reasons::IMAGE_PASSED_ON, |trouble| trouble.code)),
            ("images passed on".to_owned(), self.passed.to_string()),
            ("images refused".to_owned(), self.refused.to_string()),
        ];
        if let Some((encoding, width, height)) = self.stream.source() {
            values.push(("source".to_owned(), format!("{encoding} {width}x{height}")));
        }
        let name = self.stream.name();
        match &trouble {
            Some(trouble) => {
                let text = trouble.in_words();
                if self.trouble.as_ref().map(|before| before.code) != Some(trouble.code) {
                    host.log(log::Level::Error, &text);
                }
                host.report(Level::Error, text, values);
            }
            None => {
                if self.trouble.is_some() {
                    host.log(log::Level::Info, &format!("camera '{name}' is well again"));
                }
                host.report(Level::Ok, format!("camera '{name}' is passed on"), values);
            }
        }
        self.trouble = trouble;
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
