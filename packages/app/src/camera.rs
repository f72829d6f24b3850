//! From a camera's messages to the picture that the policy sees, or to the reason why there is none.

pub mod info;
pub mod ingest;
mod mixed;
mod said;

pub use mixed::Mixed;
pub use said::{READ_AS, formats_of};

use crate::reasons::{self, unfresh, wrong};
use efm_core::freshness::{FreshnessBounds, Unfresh};
use efm_core::reading::beginning;
use efm_core::{Reason, SenderId, Stamp};
use efm_vision::formats::may_be;
use efm_vision::{Decoder, Fit, Formats, Resizer, VisionError};
use efm_wire::cdr::CdrError;
use mixed::{Returns, Sources};

/// Why a picture is not passed on. Displays with the camera's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CameraTrouble {
    /// The picture itself.
    #[error("camera '{camera}': {problem}")]
    Image {
        /// Which.
        camera: String,
        /// What is wrong.
        problem: VisionError,
    },
    /// What came is no message of its type.
    #[error("camera '{camera}' sends a message that cannot be read: {problem}")]
    Message {
        /// Which.
        camera: String,
        /// What is wrong.
        problem: CdrError,
    },
    /// Its frame is no name.
    #[error("camera '{camera}' sends pictures whose header.frame_id cannot be: {problem}")]
    Frame {
        /// Which.
        camera: String,
        /// What is wrong.
        problem: String,
    },
    /// Another encoding than before.
    #[error("camera '{camera}' changed its encoding from '{before}' to '{now}'")]
    Encoding {
        /// Which.
        camera: String,
        /// Of its first picture.
        before: String,
        /// Of this one.
        now: String,
    },
    /// Another size than before.
    #[error("camera '{camera}' changed its size from {}x{} to {}x{}", before.0, before.1, now.0, now.1)]
    Size {
        /// Which.
        camera: String,
        /// Width and height of its first picture.
        before: (u32, u32),
        /// Of this one.
        now: (u32, u32),
    },
    /// Without colours, for a policy that was trained with them.
    #[error("camera '{camera}' sends grey pictures ({encoding}), and the policy takes colour")]
    Grey {
        /// Which.
        camera: String,
        /// Of its pictures.
        encoding: &'static str,
    },
    /// Of more than 8 bits, which are read over their whole range unless somebody says what their sensor has.
    #[error(
        "camera '{camera}' sends grey pictures of {bits} bits ({encoding}), and it is not known which value is white"
    )]
    Scale {
        /// Which.
        camera: String,
        /// Of its pictures.
        encoding: &'static str,
        /// Of a value.
        bits: u32,
    },
    /// Pictures of several cameras.
    #[error("camera '{camera}': {mixed}")]
    Mixed {
        /// Which.
        camera: String,
        /// What is seen.
        mixed: Mixed,
    },
    /// Its stamp.
    #[error("camera '{camera}' sends images {why}")]
    Stamp {
        /// Which.
        camera: String,
        /// What is wrong.
        why: Unfresh,
    },
}

impl CameraTrouble {
    /// With its code and what to do.
    pub fn reason(&self) -> Reason {
        const CHANGE_BACK: &str =
            "nothing is passed on until it changes back (start camera_ingest anew if it is meant)";
        let (code, remedy) = match self {
            Self::Image { camera, problem: VisionError::Encoding { encoding, may_be, .. } } if !may_be.is_empty() => {
                let remedy = said::remedy(camera, encoding, may_be);
                return wrong(reasons::IMAGE_UNREADABLE, self.to_string(), remedy);
            }
            Self::Scale { camera, encoding, .. } => {
                let remedy = said::remedy(camera, encoding, may_be(encoding));
                return wrong(reasons::IMAGE_SCALE_UNKNOWN, self.to_string(), remedy);
            }
            Self::Image { .. } => (reasons::IMAGE_UNREADABLE, ""),
            Self::Frame { .. } => (reasons::IMAGE_UNREADABLE, "set the frame where the camera's driver is started"),
            Self::Message { .. } => (reasons::MESSAGE_UNREADABLE, ""),
            Self::Encoding { .. } => (reasons::IMAGE_ENCODING_CHANGED, CHANGE_BACK),
            Self::Size { .. } => (reasons::IMAGE_SIZE_CHANGED, CHANGE_BACK),
            Self::Grey { .. } => (
                reasons::IMAGE_GREY,
                "remap the camera's colour topic, or, if the policy was trained with grey pictures, name the camera in the parameter 'grey_cameras'",
            ),
            Self::Mixed { .. } => (
                reasons::IMAGES_MIXED,
                "nothing is passed on meanwhile: stop one of the cameras, or remap its topic, until a single one is left",
            ),
            Self::Stamp { camera, why } => return unfresh(format!("camera '{camera}' sends images "), why),
        };
        wrong(code, self.to_string(), remedy)
    }
}

/// A picture as it came.
#[derive(Debug, Clone, Copy)]
pub enum Picture<'a> {
    /// The fields of a sensor_msgs/Image.
    Raw {
        /// As in `sensor_msgs/image_encodings`.
        encoding: &'a str,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// Bytes a row.
        step: u32,
        /// Whether numbers of several bytes begin with the high one.
        big_endian: bool,
        /// Rows.
        data: &'a [u8],
    },
    /// The fields of a sensor_msgs/CompressedImage.
    Compressed {
        /// As the message says.
        format: &'a str,
        /// JPEG or PNG.
        data: &'a [u8],
    },
}

/// So many pictures of one form are what a camera sends; before, the form may be a stray one's, of a driver that starts.
const SETTLED: u32 = 5;
/// Before that, so many of another form in a row take its place.
const REPLACED: u32 = 3;

/// Encoding and size of pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Form {
    encoding: String,
    width: u32,
    height: u32,
    /// Pictures that had it.
    seen: u32,
}

impl Form {
    fn is(&self, encoding: &str, (width, height): (u32, u32)) -> bool {
        self.encoding == encoding && (self.width, self.height) == (width, height)
    }
}

/// The form that a camera keeps to.
#[derive(Debug, Default)]
struct Forms {
    first: Option<Form>,
    /// What may take its place, before it is settled.
    other: Option<Form>,
}

impl Forms {
    /// The form, once it is settled.
    fn settled(&self) -> Option<&Form> {
        self.first.as_ref().filter(|first| first.seen >= SETTLED)
    }

    /// A good picture has this form. Whether it is the one that is kept to.
    fn settle(&mut self, encoding: &str, size: (u32, u32)) -> bool {
        let new = || Form { encoding: encoding.to_owned(), width: size.0, height: size.1, seen: 1 };
        let Some(first) = &mut self.first else {
            self.first = Some(new());
            return true;
        };
        if first.is(encoding, size) {
            first.seen = first.seen.saturating_add(1);
            self.other = None;
            return true;
        }
        if first.seen >= SETTLED {
            return false;
        }
        match &mut self.other {
            Some(other) if other.is(encoding, size) => other.seen += 1,
            other => *other = Some(new()),
        }
        if self.other.as_ref().is_some_and(|other| other.seen >= REPLACED) {
            self.first = self.other.take();
            return true;
        }
        false
    }
}

/// One camera. The encoding and size of its first good pictures are kept to: a change means that somebody touched the camera, and what
/// the policy would see is not what it was set up with.
#[derive(Debug)]
pub struct CameraStream {
    name: String,
    bounds: FreshnessBounds,
    formats: Formats,
    resizer: Resizer,
    decoder: Decoder,
    forms: Forms,
    grey: bool,
    sources: Sources,
    returns: Returns,
    mixed: Option<Mixed>,
}

impl CameraStream {
    /// For pictures of `width` x `height`.
    ///
    /// # Errors
    /// When the size is not possible.
    pub fn new(
        name: &str,
        width: u32,
        height: u32,
        fit: impl Into<Fit>,
        bounds: FreshnessBounds,
    ) -> Result<Self, VisionError> {
        Ok(Self {
            name: name.to_owned(),
            bounds,
            formats: Formats::new(),
            resizer: Resizer::new(width, height, fit)?,
            decoder: Decoder::following(),
            forms: Forms::default(),
            grey: false,
            sources: Sources::default(),
            returns: Returns::default(),
            mixed: None,
        })
    }

    /// With the pixel formats that it reads, where they are more than those of `efm_vision`.
    #[must_use]
    pub fn with_formats(self, formats: Formats) -> Self {
        Self { formats, ..self }
    }

    /// Which may send grey pictures: the policy was trained with such.
    #[must_use]
    pub fn with_grey(self, grey: bool) -> Self {
        Self { grey, ..self }
    }

    /// Who sent the picture that is processed next, and its frame.
    pub fn comes_from(&mut self, sender: SenderId, frame: &str, now: Stamp) {
        self.mixed = self.sources.hear(sender, frame, now).err();
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Width and height of what comes out, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.resizer.width(), self.resizer.height())
    }

    /// Encoding, width and height of what it sends, once a good picture came.
    pub fn source(&self) -> Option<(&str, u32, u32)> {
        self.forms.first.as_ref().map(|first| (first.encoding.as_str(), first.width, first.height))
    }

    /// Checks a picture and writes it into `out` as rgb8 at the policy's size. `out` is resized to fit.
    ///
    /// # Errors
    /// The reason why it must not be passed on; `out` means nothing then.
    pub fn process(
        &mut self,
        stamp: Stamp,
        now: Stamp,
        picture: Picture<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CameraTrouble> {
        let camera = || self.name.clone();
        if let Some(mixed) = self.mixed.take() {
            return Err(CameraTrouble::Mixed { camera: camera(), mixed });
        }
        self.bounds
            .check(Some((stamp, 0.0)), now)
            .map_err(|why| CameraTrouble::Stamp { camera: self.name.clone(), why })?;
        let said = match picture {
            Picture::Raw { encoding, .. } => encoding,
            Picture::Compressed { format, .. } => format,
        };
        let changed = |first: &Form| CameraTrouble::Encoding {
            camera: self.name.clone(),
            before: first.encoding.clone(),
            now: beginning(said, 40),
        };
        let another = |first: &&Form| first.encoding != said;
        // Before anything else, so that a camera that changes to something unreadable is told to have changed.
        if let Some(first) = self.forms.settled().filter(another) {
            return Err(changed(first));
        }
        let other = self.forms.first.as_ref().filter(another);
        let problem = |problem| match other {
            Some(first) => changed(first),
            None => CameraTrouble::Image { camera: self.name.clone(), problem },
        };
        let view = match picture {
            Picture::Raw { encoding, width, height, step, big_endian, data } => {
                self.formats.image(encoding, width, height, step, data).map(|image| image.with_big_endian(big_endian))
            }
            Picture::Compressed { format, data } => self.decoder.decode(format, data),
        }
        .map_err(problem)?;
        let format = view.format();
        // Whoever says what its pictures are knows that they are grey.
        if format.is_grey() && !self.formats.is_said(said) {
            let trouble = if format.bits() > 8 && !may_be(said).is_empty() {
                Some(CameraTrouble::Scale { camera: camera(), encoding: view.encoding(), bits: format.bits() })
            } else {
                (!self.grey).then(|| CameraTrouble::Grey { camera: camera(), encoding: view.encoding() })
            };
            if let Some(trouble) = trouble {
                return Err(other.map_or(trouble, changed));
            }
        }
        let size = (view.width(), view.height());
        if !self.forms.settle(said, size)
            && let Some(first) = &self.forms.first
        {
            return Err(if first.encoding == said {
                CameraTrouble::Size { camera: camera(), before: (first.width, first.height), now: size }
            } else {
                changed(first)
            });
        }
        out.resize(self.resizer.output_len(), 0);
        self.resizer
            .resize(&view, out)
            .map_err(|problem| CameraTrouble::Image { camera: self.name.clone(), problem })?;
        self.returns.see(out).map_err(|mixed| CameraTrouble::Mixed { camera: self.name.clone(), mixed })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_vision::ResizeMode;

    const BOUNDS: FreshnessBounds = FreshnessBounds { max_silence: 1.0, max_age: 1.0, max_future: 0.05 };
    const NOW: Stamp = Stamp::from_nanos(5_000_000_000);

    fn stream() -> CameraStream {
        CameraStream::new("front", 2, 2, ResizeMode::Stretch, BOUNDS).unwrap()
    }

    fn raw<'a>(encoding: &'a str, width: u32, data: &'a [u8]) -> Picture<'a> {
        let step = data.len() as u32 / 4;
        Picture::Raw { encoding, width, height: 4, step, big_endian: false, data }
    }

    #[test]
    fn a_good_picture_comes_out_at_the_policys_size_in_red_green_blue() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let data = [10u8, 20, 30].repeat(16);
        stream.process(NOW, NOW, raw("bgr8", 4, &data), &mut out).unwrap();
        assert_eq!(out, [30, 20, 10].repeat(4));
        assert_eq!(stream.source(), Some(("bgr8", 4, 4)));
    }

    #[test]
    fn a_changed_encoding_is_refused_by_name_until_it_changes_back() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let (colour, grey) = (vec![1u8; 48], vec![1u8; 16]);
        stream.process(NOW, NOW, raw("rgb8", 4, &colour), &mut out).unwrap();
        for (encoding, data) in [("bgr8", &colour), ("mono8", &grey), ("nonsense", &grey)] {
            let text = stream.process(NOW, NOW, raw(encoding, 4, data), &mut out).unwrap_err().to_string();
            assert!(text.contains("'front'") && text.contains("'rgb8'") && text.contains(encoding), "{text}");
        }
        stream.process(NOW, NOW, raw("rgb8", 4, &colour), &mut out).unwrap();
    }

    #[test]
    fn a_changed_size_too_few_bytes_and_unknown_encodings_are_refused() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let data = vec![1u8; 48];
        let unknown = stream.process(NOW, NOW, raw("yuv420", 4, &data), &mut out).unwrap_err().to_string();
        assert!(unknown.contains("'front'") && unknown.contains("yuv420"), "{unknown}");
        stream.process(NOW, NOW, raw("rgb8", 4, &data), &mut out).unwrap();
        let size = stream.process(NOW, NOW, raw("rgb8", 8, &[0; 96]), &mut out).unwrap_err();
        assert!(matches!(size, CameraTrouble::Size { now: (8, 4), .. }), "{size}");
        let short =
            Picture::Raw { encoding: "rgb8", width: 4, height: 4, step: 12, big_endian: false, data: &data[..40] };
        assert!(stream.process(NOW, NOW, short, &mut out).is_err());
    }

    #[test]
    fn a_stray_first_picture_keeps_no_camera_out() {
        type Sent = (&'static str, u32);
        let strays: [&[Sent]; 6] = [
            &[("rgb8", 8)],
            &[("bgr8", 4)],
            &[("bgra8", 2)],
            &[("rgb8", 8), ("rgb8", 8)],
            &[("rgb8", 8), ("bgr8", 4), ("rgb8", 2)],
            &[("rgb8", 8), ("rgb8", 8), ("rgb8", 8), ("rgb8", 8)],
        ];
        for stray in strays {
            let (mut stream, mut out) = (stream(), Vec::new());
            let mut send = |stream: &mut CameraStream, (encoding, width): Sent| {
                let data = vec![1u8; width as usize * 16];
                let step = width * 4;
                let picture = Picture::Raw { encoding, width, height: 4, step, big_endian: false, data: &data };
                stream.process(NOW, NOW, picture, &mut out).is_ok()
            };
            stray.iter().for_each(|form| {
                send(&mut stream, *form);
            });
            let refused = (0..30).filter(|_| !send(&mut stream, ("rgb8", 4))).count();
            assert!(refused < 3, "{stray:?}: {refused}");
            assert_eq!(stream.source(), Some(("rgb8", 4, 4)));
            // And once it is settled it is kept to.
            assert!((0..30).all(|_| !send(&mut stream, ("rgb8", 8)) && !send(&mut stream, ("bgr8", 4))));
            assert!(send(&mut stream, ("rgb8", 4)), "{stray:?}");
        }
    }

    #[test]
    fn what_takes_turns_with_the_first_form_never_takes_its_place() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let (small, large) = (vec![1u8; 48], vec![1u8; 96]);
        for _ in 0..30 {
            stream.process(NOW, NOW, raw("rgb8", 4, &small), &mut out).unwrap();
            for _ in 0..2 {
                assert!(stream.process(NOW, NOW, raw("rgb8", 8, &large), &mut out).is_err());
            }
        }
    }

    #[test]
    fn grey_pictures_are_refused_for_a_colour_policy_and_are_no_first_ones() {
        let (mut stream, mut out) = (stream(), Vec::new());
        for encoding in ["mono8", "8UC1"] {
            let trouble = stream.process(NOW, NOW, raw(encoding, 4, &[9; 16]), &mut out).unwrap_err();
            let text = trouble.reason().in_words();
            assert!(text.contains("'front'") && text.contains("mono8") && text.contains("'grey_cameras'"), "{text}");
        }
        assert_eq!(stream.source(), None);
        stream.process(NOW, NOW, raw("rgb8", 4, &[1; 48]), &mut out).unwrap();
        let mut meant = self::stream().with_grey(true);
        meant.process(NOW, NOW, raw("mono8", 4, &[9; 16]), &mut out).unwrap();
        assert_eq!(out, [9; 12]);
    }

    #[test]
    fn what_a_name_does_not_tell_is_refused_by_the_parameter_that_says_it_and_read_as_it_says() {
        let mut out = Vec::new();
        for (encoding, bytes, meant, expected) in [
            ("8UC3", 3, "bgr8", [3, 2, 1]),
            ("8UC4", 4, "rgba8", [1, 2, 3]),
            ("8UC2", 2, "yuyv", [0, 255, 0]),
            ("8UC1", 1, "mono8", [1, 1, 1]),
            ("16UC1", 2, "mono12", [32, 32, 32]),
            ("mono16", 2, "mono16", [2, 2, 2]),
            ("mono16", 2, "mono10", [128, 128, 128]),
        ] {
            let data: Vec<u8> = [1u8, 2, 3, 9][..bytes].repeat(16);
            let picture =
                Picture::Raw { encoding, width: 4, height: 4, step: 4 * bytes as u32, big_endian: false, data: &data };
            // Also where grey pictures are meant: of 16 bits it is not known how bright they are.
            let grey = encoding != "8UC1";
            let text = stream().with_grey(grey).process(NOW, NOW, picture, &mut out).unwrap_err().reason().in_words();
            let parameter = if grey { format!("'read_as', as front:{encoding}=") } else { "'grey_cameras'".to_owned() };
            assert!(text.contains("'front'") && text.contains(&parameter), "{text}");
            if grey {
                assert!(text.contains(meant), "{text}");
            }
            let formats = Formats::new().read_as(encoding, meant).unwrap();
            stream().with_formats(formats).process(NOW, NOW, picture, &mut out).unwrap();
            if encoding != "8UC2" {
                assert_eq!(out[..3], expected, "{encoding} {meant}");
            }
        }
    }

    #[test]
    fn two_publishers_of_one_topic_are_told_and_refused_until_one_is_left() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let mut see = |sender: u8, frame: &str, ms: i64| {
            let now = NOW.offset_nanos(ms * 1_000_000);
            stream.comes_from(SenderId([sender; 16]), frame, now);
            stream.process(now, now, raw("rgb8", 4, &[1; 48]), &mut out).map_err(|e| e.to_string())
        };
        see(1, "cam", 0).unwrap();
        assert!(see(2, "cam", 10).unwrap_err().contains("camera 'front': two publishers send on its topic"));
        assert!(see(1, "cam", 33).is_err());
        see(1, "cam", 1100).unwrap();
        let told = see(1, "wrist", 1133).unwrap_err();
        assert!(told.contains("'cam'") && told.contains("'wrist'"), "{told}");
    }

    #[test]
    fn pictures_of_one_publisher_that_change_to_and_fro_are_refused() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let refused = (0..12i64).filter(|i| {
            let now = NOW.offset_nanos(i * 33_000_000);
            let data = [if i % 2 == 0 { 40u8 } else { 120 }; 48];
            let outcome = stream.process(now, now, raw("rgb8", 4, &data), &mut out);
            matches!(outcome, Err(CameraTrouble::Mixed { mixed: Mixed::Pictures, .. }))
        });
        assert_eq!(refused.count(), 8);
    }

    #[test]
    fn stamps_from_the_future_the_past_and_none_at_all_are_refused() {
        let (mut stream, mut out) = (stream(), Vec::new());
        let data = vec![1u8; 48];
        for (stamp, word) in
            [(NOW.offset_seconds(0.5), "future"), (NOW.offset_seconds(-2.0), "past"), (Stamp::ZERO, "without a stamp")]
        {
            let text = stream.process(stamp, NOW, raw("rgb8", 4, &data), &mut out).unwrap_err().to_string();
            assert!(text.contains("'front'") && text.contains(word), "{text}");
        }
        assert_eq!(stream.source(), None);
    }
}
