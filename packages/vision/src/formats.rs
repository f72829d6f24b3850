//! How the pixels of an image message lie in its bytes: one file a kind, and the list of them.
//!
//! A format is a [`PixelFormat`]. Whatever else is done with a picture (resizing, JPEG, thumbnails) knows red, green and blue only, so that
//! no other place names an encoding. To read one more: a `static` in the file of its kind (or a new file and a line in `KINDS`), and a
//! [`Fixture`] of its name in `tests/formats/`. A crate outside adds its own by [`Formats::with`].

mod bayer;
mod fixture;
mod floating;
mod packed;
mod sixteen_bit;
mod yuv;

pub use fixture::Fixture;
pub use packed::{MONO8, RGB8, RGBA8};

use crate::view::shorten;
use crate::{ImageView, VisionError};
use std::fmt;
use std::ops::Range;

/// How the pixels of a picture lie in its bytes.
pub trait PixelFormat: fmt::Debug + Send + Sync {
    /// What `sensor_msgs/image_encodings` calls it; the first is the name that is told, others mean the same bytes.
    fn names(&self) -> &'static [&'static str];

    /// Bytes of a row of `width` pixels without padding.
    fn row_bytes(&self, width: u32) -> u64;

    /// Rows of bytes of a picture with `height` rows of pixels: more where colours lie in planes of their own behind the grey one.
    fn byte_rows(&self, height: u32) -> u64 {
        u64::from(height)
    }

    /// Whether a picture can have these sides, in pixels. Each is from 1 to [`crate::MAX_SIDE`].
    ///
    /// # Errors
    /// What would be right, as "its width must be even".
    fn check(&self, width: u32, height: u32) -> Result<(), &'static str> {
        let _ = (width, height);
        Ok(())
    }

    /// Writes these rows of pixels as red, green and blue bytes without padding; `out` holds 3 bytes a pixel of them. Called for every
    /// frame: nothing is to be allocated. [`ImageView::row`] gives the bytes, whose number has been checked.
    fn rgb_rows(&self, image: &ImageView<'_>, rows: Range<u32>, out: &mut [u8]);

    /// Where red, green and blue lie, if they are bytes of their own in a pixel of whole bytes: such rows are resized where they lie. The
    /// result is that of [`Self::rgb_rows`] to the bit; this is for speed only.
    fn pixel(&self) -> Option<Pixel> {
        None
    }

    /// Whether its pictures have no colours.
    fn is_grey(&self) -> bool {
        self.pixel().is_some_and(Pixel::is_grey)
    }

    /// Bits of a value. Red, green and blue have eight: of more the low ones are lost.
    fn bits(&self) -> u32 {
        8
    }

    /// Whether what has this one of its names may be no picture (a mask, say), whose values must not be blurred.
    fn is_doubtful(&self, name: &str) -> bool {
        let _ = name;
        false
    }
}

/// A pixel whose red, green and blue are bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pixel {
    /// Bytes from one pixel to the next.
    pub bytes: usize,
    /// Which of them are red, green and blue.
    pub rgb: [usize; 3],
}

impl Pixel {
    /// Whether all three are one.
    pub const fn is_grey(self) -> bool {
        self.rgb[0] == self.rgb[1] && self.rgb[1] == self.rgb[2]
    }
}

/// Formats of a kind, and what is known of those of this kind that are not read.
struct Kind {
    formats: &'static [&'static dyn PixelFormat],
    /// Why a name of this kind is not read, and what to do; it stands in parentheses.
    unread: fn(&str) -> Option<&'static str>,
    /// The formats that somebody may say to be meant by a name which does not tell all.
    may_be: fn(&str) -> &'static [&'static str],
}

impl Kind {
    /// Why a name is not read. Some hints are for whatever begins so.
    fn hint(&self, name: &str) -> Option<&'static str> {
        let is_read = self.formats.iter().any(|format| format.names().contains(&name));
        (self.unread)(name).filter(|_| !is_read)
    }
}

/// One line a file.
const KINDS: [&Kind; 5] = [&packed::KIND, &sixteen_bit::KIND, &bayer::KIND, &yuv::KIND, &floating::KIND];

/// The encodings of which somebody can say what they are.
const DOUBTFUL: [&str; 6] = ["8UC1", "8UC2", "8UC3", "8UC4", "16UC1", "mono16"];

/// What somebody can say that an encoding is; nothing where its name tells it, or where it is never a picture.
pub fn may_be(encoding: &str) -> &'static [&'static str] {
    let of = |kind: &&Kind| Some((kind.may_be)(encoding)).filter(|formats| !formats.is_empty());
    KINDS.iter().find_map(of).unwrap_or_default()
}

/// The formats that are read: those of this crate and those that were added.
#[derive(Debug, Clone, Default)]
pub struct Formats {
    added: Vec<&'static dyn PixelFormat>,
    /// Names that stand for another format than the table says, or for one at all.
    said: Vec<(String, &'static dyn PixelFormat)>,
}

impl Formats {
    /// Those of this crate.
    pub const fn new() -> Self {
        Self { added: Vec::new(), said: Vec::new() }
    }

    /// And this one.
    ///
    /// # Errors
    /// When it has no name, or one that is read already.
    pub fn with(mut self, format: &'static dyn PixelFormat) -> Result<Self, VisionError> {
        let refuse = |reason: String| Err(VisionError::Format { reason });
        let Some(first) = format.names().first() else {
            return refuse(format!("{format:?} has no name; expected one of sensor_msgs/image_encodings"));
        };
        if let Some(taken) = format.names().iter().find(|name| self.get(name).is_some()) {
            return refuse(format!("'{first}' cannot be added: '{taken}' is read already"));
        }
        self.added.push(format);
        Ok(self)
    }

    /// With what somebody says that an encoding is whose name does not tell it: `8UC3` is `bgr8`, or `mono16` comes from a sensor of 12 bits
    /// (`mono12`).
    ///
    /// # Errors
    /// When it has been said already, or this encoding cannot be that: with what it can be.
    pub fn read_as(mut self, encoding: &str, meant: &str) -> Result<Self, VisionError> {
        let refuse = |reason: String| Err(VisionError::Format { reason });
        let may_be = may_be(encoding);
        if may_be.is_empty() {
            let doubtful = DOUBTFUL.join(", ");
            return refuse(format!(
                "encoding '{}' is read as its name says or not at all; it can be said what these are: {doubtful}",
                shorten(encoding)
            ));
        }
        let Some(format) = self.named(meant).filter(|_| may_be.contains(&meant)) else {
            return refuse(format!(
                "encoding '{encoding}' cannot be '{}'; it may be: {}",
                shorten(meant),
                may_be.join(", ")
            ));
        };
        if let Some((_, before)) = self.said.iter().find(|(name, _)| name == encoding) {
            let before = before.names().first().copied().unwrap_or_default();
            return refuse(format!("of encoding '{encoding}' it is said twice what it is: '{before}' and '{meant}'"));
        }
        self.said.push((encoding.to_owned(), format));
        Ok(self)
    }

    /// Whether somebody said what this encoding is.
    pub fn is_said(&self, encoding: &str) -> bool {
        self.said.iter().any(|(name, _)| name == encoding)
    }

    /// All of them, in the order in which they are told.
    pub fn iter(&self) -> impl Iterator<Item = &'static dyn PixelFormat> + '_ {
        KINDS.iter().flat_map(|kind| kind.formats).chain(&self.added).copied()
    }

    /// The one of this name.
    pub fn get(&self, name: &str) -> Option<&'static dyn PixelFormat> {
        let said = self.said.iter().find(|(said, _)| said == name).map(|(_, format)| *format);
        said.or_else(|| self.named(name))
    }

    /// The one that has this name, whatever was said.
    fn named(&self, name: &str) -> Option<&'static dyn PixelFormat> {
        self.iter().find(|format| format.names().contains(&name))
    }

    /// [`Self::get`], or why not.
    ///
    /// # Errors
    /// When there is none: with what is known of it, and the names of those that there are.
    pub fn find(&self, name: &str) -> Result<&'static dyn PixelFormat, VisionError> {
        self.get(name).ok_or_else(|| VisionError::Encoding {
            encoding: shorten(name),
            hint: KINDS.iter().find_map(|kind| kind.hint(name)).map(|hint| format!(" ({hint})")).unwrap_or_default(),
            may_be: may_be(name),
            expected: self.words(),
        })
    }

    /// "rgb8, bgr8 or mono8".
    fn words(&self) -> String {
        let names: Vec<_> = self.iter().filter_map(|format| format.names().first().copied()).collect();
        match names.as_slice() {
            [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
            names => names.concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Debug)]
    struct Named(&'static [&'static str]);

    impl PixelFormat for Named {
        fn names(&self) -> &'static [&'static str] {
            self.0
        }
        fn row_bytes(&self, width: u32) -> u64 {
            width.into()
        }
        fn check(&self, width: u32, _: u32) -> Result<(), &'static str> {
            if width.is_multiple_of(2) { Ok(()) } else { Err("its width must be even") }
        }
        fn rgb_rows(&self, _: &ImageView<'_>, _: Range<u32>, out: &mut [u8]) {
            out.fill(7);
        }
    }

    #[test]
    fn a_name_stands_for_one_format() {
        let mut names: Vec<_> = Formats::new().iter().flat_map(PixelFormat::names).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all, "{names:?}");
    }

    #[test]
    fn what_is_read_is_not_called_unread() {
        for name in Formats::new().iter().flat_map(PixelFormat::names) {
            assert_eq!(KINDS.iter().find_map(|kind| kind.hint(name)), None, "{name}");
        }
    }

    #[test]
    fn an_added_format_is_found_told_and_checked_and_others_stay_refused() {
        static NEW: Named = Named(&["half", "half_too"]);
        let formats = Formats::new().with(&NEW).unwrap();
        for name in ["half", "half_too"] {
            assert_eq!(formats.image(name, 2, 1, 2, &[0; 2]).unwrap().encoding(), "half");
        }
        let error = formats.image("half", 3, 1, 3, &[0; 3]).unwrap_err().to_string();
        assert!(error.contains("3x1 half") && error.contains("its width must be even"), "{error}");
        let error = formats.find("quarter").unwrap_err().to_string();
        assert!(
            error.contains("'quarter'")
                && error.contains("expected rgb8, bgr8, rgba8, ")
                && error.ends_with("nv21 or half"),
            "{error}"
        );
        assert!(Formats::new().find("half").is_err());
    }

    #[test]
    fn a_format_without_a_name_and_one_that_is_there_are_refused() {
        static NAMELESS: Named = Named(&[]);
        static TAKEN: Named = Named(&["new", "8UC1"]);
        static NEW: Named = Named(&["new"]);
        assert!(Formats::new().with(&NAMELESS).unwrap_err().to_string().contains("no name"));
        let error = Formats::new().with(&TAKEN).unwrap_err().to_string();
        assert!(error.contains("'new'") && error.contains("'8UC1' is read already"), "{error}");
        let error = Formats::new().with(&NEW).unwrap().with(&NEW).unwrap_err().to_string();
        assert!(error.contains("'new' is read already"), "{error}");
    }

    #[test]
    fn what_an_encoding_is_can_be_said_where_its_name_does_not_tell_it_and_nowhere_else() {
        for encoding in DOUBTFUL {
            let table = Formats::new();
            for meant in may_be(encoding) {
                let said = Formats::new().read_as(encoding, meant).unwrap();
                let (found, expected) = (said.get(encoding).unwrap(), table.get(meant).unwrap());
                assert_eq!(found.names(), expected.names());
                assert!(said.is_said(encoding) && !table.is_said(encoding));
                // As many bytes: what it is called otherwise would be refused by its size.
                let bytes =
                    if encoding.starts_with("16") || encoding == "mono16" { 2 } else { encoding[3..].parse().unwrap() };
                assert_eq!(found.row_bytes(6), 6 * bytes, "{encoding} {meant}");
            }
            let both =
                Formats::new().read_as(encoding, may_be(encoding)[0]).unwrap().read_as(encoding, may_be(encoding)[1]);
            assert!(both.unwrap_err().to_string().contains("said twice"));
        }
        // Whatever was said of another name.
        let chained = Formats::new().read_as("mono16", "mono12").unwrap().read_as("16UC1", "mono16").unwrap();
        assert_eq!(chained.get("16UC1").unwrap().names(), ["mono16"]);
        for (encoding, meant, words) in [
            ("8UC3", "mono8", ["'8UC3' cannot be 'mono8'", "bgr8, rgb8"]),
            ("8UC3", "nonsense", ["'8UC3' cannot be 'nonsense'", "bgr8, rgb8"]),
            ("rgb8", "bgr8", ["'rgb8' is read as its name says", "8UC3"]),
            ("32FC1", "mono16", ["'32FC1' is read as its name says", "16UC1"]),
        ] {
            let error = Formats::new().read_as(encoding, meant).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn encodings_that_are_not_read_are_refused_with_what_is_known_of_them() {
        for (name, part) in [
            ("16UC1", "depth"),
            ("rgb16", "16-bit colour"),
            ("8UC2", "two bytes a pixel"),
            ("8UC3", "order of its channels"),
            ("bayer_rggb32", "debayer"),
            ("yuv420", "YUV"),
            ("nv24", "YUV"),
            ("32FC1", "floating point"),
            ("", "''"),
            ("rgb", "'rgb' is not supported; expected"),
        ] {
            let error = Formats::new().find(name).unwrap_err().to_string();
            assert!(error.contains(&format!("'{name}'")) && error.contains(part), "{error}");
            assert!(error.contains("expected rgb8, bgr8, ") && error.ends_with(" or nv21"), "{error}");
        }
        let error = Formats::new().find(&"\n".repeat(1000)).unwrap_err().to_string();
        assert!(error.len() < 500 && !error.contains('\n'), "{error}");
    }
}
