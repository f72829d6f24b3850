//! What a camera says of itself (`camera_info`), compared with what the policy was trained with.

use efm_policy::CameraSpec;
use efm_wire::msgs::CameraInfo;
use std::fmt;

/// The topic of a camera's `camera_info`: beside that of its pictures, as image_transport has it. Of compressed ones that is the topic
/// without its last part.
pub fn topic_beside(image: &str, compressed: bool) -> String {
    let parent = |topic: &str| topic.rsplit_once('/').map_or_else(String::new, |(parent, _)| parent.to_owned());
    let base = if compressed { parent(image) } else { image.to_owned() };
    match parent(&base) {
        // `image_raw` without any namespace.
        parent if parent.is_empty() && !base.starts_with('/') => "camera_info".to_owned(),
        parent => format!("{parent}/camera_info"),
    }
}

/// Whether pictures of a topic are rectified by its name: image_proc calls them `image_rect` and `image_rect_color`.
pub fn is_of_rectified(image: &str) -> bool {
    image.split('/').any(|part| part.starts_with("image_rect"))
}

/// What a camera says of its pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Of the whole sensor, pixels; none where it says nothing.
    full: Option<(u32, u32)>,
    /// The part that is sent: left, top, width and height, pixels of the sensor; none where its size is not known.
    crop: Option<[u32; 4]>,
    /// Pixels of the sensor to one of the picture, across and down.
    binning: [u32; 2],
    /// Whether its pictures have no distortion; none where it is not calibrated.
    rectified: Option<bool>,
}

impl Said {
    /// From its message.
    pub fn of(info: &CameraInfo) -> Self {
        let full = (info.width > 0 && info.height > 0).then_some((info.width, info.height));
        let roi = &info.roi;
        let crop = if roi.width > 0 && roi.height > 0 {
            Some([roi.x_offset, roi.y_offset, roi.width, roi.height])
        } else {
            full.map(|(width, height)| [0, 0, width, height])
        };
        let identity = |i: usize, value: f64| value == f64::from(u8::from(i.is_multiple_of(4)));
        let turned =
            !info.r.iter().enumerate().all(|(i, value)| identity(i, *value)) && info.r.iter().any(|v| *v != 0.0);
        // An uncalibrated camera has zeros.
        let calibrated = info.k[0] != 0.0;
        Self {
            full,
            crop,
            binning: [info.binning_x.max(1), info.binning_y.max(1)],
            rectified: calibrated.then(|| !turned && info.d.iter().all(|value| *value == 0.0)),
        }
    }

    /// Width and height of the pictures that it belongs to, pixels.
    fn size(&self) -> Option<(u32, u32)> {
        let [_, _, width, height] = self.crop?;
        Some((width / self.binning[0], height / self.binning[1]))
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.full {
            Some((width, height)) => write!(f, "{width}x{height}")?,
            None => f.write_str("no size")?,
        }
        if let (Some(crop @ [_, _, width, height]), Some(full)) = (self.crop, self.full)
            && full != (width, height)
        {
            write!(f, ", crop {crop:?}")?;
        }
        if self.binning != [1, 1] {
            write!(f, ", binning {:?}", self.binning)?;
        }
        f.write_str(match self.rectified {
            Some(true) => ", without distortion",
            Some(false) => ", with distortion",
            None => ", not calibrated",
        })
    }
}

/// What is known of a camera.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// What the policy says of the one that it was trained with.
    pub trained: CameraSpec,
    /// Width and height of the pictures that come, pixels.
    pub picture: (u32, u32),
    /// What the camera says.
    pub said: Option<&'a Said>,
    /// Whether the pictures' topic is one of rectified ones.
    pub rectified_topic: bool,
}

/// "was" and what it is to be.
fn word(rectified: bool) -> &'static str {
    if rectified { "rectified" } else { "not rectified" }
}

impl Known<'_> {
    /// In what the camera differs from the policy's, in words, each with what would be right.
    pub fn differences(&self) -> Vec<String> {
        let mut all = Vec::new();
        let (width, height) = self.picture;
        let trained = &self.trained;
        let wanted = (trained.width.unwrap_or(width), trained.height.unwrap_or(height));
        if wanted != self.picture {
            let (w, h) = wanted;
            all.push(format!(
                "its pictures are {width}x{height}, the policy was trained with {w}x{h}: set the camera's driver to {w}x{h}"
            ));
        }
        if let (Some(crop), Some(found)) = (trained.crop, self.said.and_then(|said| said.crop))
            && crop != found
        {
            all.push(format!(
                "it shows the part {found:?} of its sensor (left, top, width, height), the policy was trained with {crop:?}: set its region of interest to {crop:?}"
            ));
        }
        if let (Some(binning), Some(said)) = (trained.binning, self.said)
            && binning != said.binning
        {
            all.push(format!(
                "its binning is {:?}, the policy was trained with {binning:?}: set it to {binning:?}",
                said.binning
            ));
        }
        if let (Some(wanted), Some(found)) = (trained.rectified, self.rectified())
            && wanted != found
        {
            let remedy = if wanted {
                "remap its topic to that of rectified pictures, as image_proc's image_rect_color"
            } else {
                "remap its topic to that of the pictures as they come from the lens, as image_raw"
            };
            all.push(format!(
                "its pictures are {}, the policy was trained with pictures that are {}: {remedy}",
                word(found),
                word(wanted)
            ));
        }
        all
    }

    /// What the policy says and cannot be compared, in words; nothing where all is known.
    pub fn unknown(&self) -> Vec<&'static str> {
        let missing = [
            ("crop", self.trained.crop.is_some() && self.said.and_then(|said| said.crop).is_none()),
            ("binning", self.trained.binning.is_some() && self.said.is_none()),
            ("whether they are rectified", self.trained.rectified.is_some() && self.rectified().is_none()),
        ];
        missing.into_iter().filter_map(|(word, missing)| missing.then_some(word)).collect()
    }

    /// A camera_info that does not belong to the pictures, in words.
    pub fn strange(&self) -> Option<String> {
        let (w, h) = self.said?.size().filter(|size| *size != self.picture)?;
        Some(format!("it belongs to pictures of {w}x{h}, and they are {}x{}", self.picture.0, self.picture.1))
    }

    fn rectified(&self) -> Option<bool> {
        if self.rectified_topic { Some(true) } else { self.said?.rectified }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_wire::msgs::{Header, RegionOfInterest};

    fn info() -> CameraInfo {
        CameraInfo::pinhole(Header::default(), 1280, 720, [900.0; 2], [640.0, 360.0])
    }

    fn known<'a>(trained: &CameraSpec, said: Option<&'a Said>, picture: (u32, u32)) -> Known<'a> {
        Known { trained: *trained, picture, said, rectified_topic: false }
    }

    #[test]
    fn the_topic_is_beside_that_of_the_pictures_whatever_they_are_called() {
        for (image, compressed, expected) in [
            ("/front/image_raw", false, "/front/camera_info"),
            ("/front/image_raw/compressed", true, "/front/camera_info"),
            ("/camera/color/image_rect_color", false, "/camera/color/camera_info"),
            ("front/image_raw", false, "front/camera_info"),
            ("/image_raw", false, "/camera_info"),
            ("image_raw", false, "camera_info"),
            ("/cam/jpg", true, "/camera_info"),
        ] {
            assert_eq!(topic_beside(image, compressed), expected, "{image}");
        }
    }

    #[test]
    fn a_policy_that_says_nothing_is_told_nothing() {
        let said = Said::of(&CameraInfo { d: vec![0.1], binning_x: 2, ..info() });
        for said in [None, Some(&said)] {
            let known = known(&CameraSpec::default(), said, (640, 480));
            assert!(known.differences().is_empty() && known.unknown().is_empty());
        }
    }

    #[test]
    fn each_difference_is_told_with_what_would_be_right() {
        let roi = RegionOfInterest { x_offset: 4, y_offset: 6, height: 700, width: 1000, do_rectify: false };
        let crooked = Said::of(&CameraInfo { d: vec![0.1, 0.0], ..info() });
        let cropped = Said::of(&CameraInfo { roi, ..info() });
        let binned = Said::of(&CameraInfo { binning_x: 2, binning_y: 2, ..info() });
        let plain = Said::of(&info());
        let spec = CameraSpec::default();
        for (spec, said, picture, words) in [
            (
                CameraSpec { width: Some(640), ..spec },
                &plain,
                (1280, 720),
                ["1280x720", "set the camera's driver to 640x720"],
            ),
            (CameraSpec { height: Some(480), ..spec }, &plain, (1280, 720), ["1280x720", "1280x480"]),
            (
                CameraSpec { rectified: Some(true), ..spec },
                &crooked,
                (1280, 720),
                ["are not rectified", "image_rect_color"],
            ),
            (CameraSpec { rectified: Some(false), ..spec }, &plain, (1280, 720), ["are rectified", "image_raw"]),
            (
                CameraSpec { crop: Some([0, 0, 1280, 720]), ..spec },
                &cropped,
                (1000, 700),
                ["[4, 6, 1000, 700]", "[0, 0, 1280, 720]"],
            ),
            (
                CameraSpec { crop: Some([4, 6, 1000, 700]), ..spec },
                &plain,
                (1280, 720),
                ["[0, 0, 1280, 720]", "set its region"],
            ),
            (CameraSpec { binning: Some([1, 1]), ..spec }, &binned, (640, 360), ["[2, 2]", "set it to [1, 1]"]),
        ] {
            let differences = known(&spec, Some(said), picture).differences();
            let [difference] = &differences[..] else { panic!("{differences:?}") };
            assert!(words.iter().all(|word| difference.contains(word)), "{difference}");
        }
    }

    #[test]
    fn what_agrees_is_no_difference() {
        let all = CameraSpec {
            width: Some(640),
            height: Some(360),
            rectified: Some(false),
            crop: Some([0, 0, 1280, 720]),
            binning: Some([2, 2]),
        };
        let said = Said::of(&CameraInfo { d: vec![0.1], binning_x: 2, binning_y: 2, ..info() });
        let known = known(&all, Some(&said), (640, 360));
        assert!(known.differences().is_empty() && known.unknown().is_empty() && known.strange().is_none());
        assert_eq!(said.to_string(), "1280x720, binning [2, 2], with distortion");
    }

    #[test]
    fn what_is_not_known_is_no_difference_but_is_told() {
        let all = CameraSpec {
            rectified: Some(true),
            crop: Some([0, 0, 2, 2]),
            binning: Some([1, 1]),
            ..CameraSpec::default()
        };
        let nothing = known(&all, None, (640, 480));
        assert!(nothing.differences().is_empty());
        assert_eq!(nothing.unknown(), ["crop", "binning", "whether they are rectified"]);
        // The name of a topic says it as well.
        assert_eq!(Known { rectified_topic: true, ..nothing }.unknown(), ["crop", "binning"]);
        // As usb_cam has it without a calibration.
        let uncalibrated = Said::of(&CameraInfo::default());
        assert_eq!(known(&all, Some(&uncalibrated), (640, 480)).unknown(), ["crop", "whether they are rectified"]);
        assert_eq!(uncalibrated.to_string(), "no size, not calibrated");
    }

    #[test]
    fn a_stereo_camera_whose_picture_is_to_be_turned_is_not_rectified() {
        let mut turned = info();
        turned.r[1] = 0.01;
        assert_eq!(Said::of(&turned).rectified, Some(false));
        assert_eq!(Said::of(&CameraInfo { r: [0.0; 9], ..info() }).rectified, Some(true));
    }

    #[test]
    fn camera_info_of_another_mode_is_seen() {
        let said = Said::of(&info());
        assert!(known(&CameraSpec::default(), Some(&said), (640, 480)).strange().unwrap().contains("1280x720"));
        assert_eq!(known(&CameraSpec::default(), Some(&said), (1280, 720)).strange(), None);
        assert_eq!(known(&CameraSpec::default(), Some(&Said::of(&CameraInfo::default())), (1, 1)).strange(), None);
    }
}
