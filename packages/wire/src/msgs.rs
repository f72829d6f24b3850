//! The standard messages that the suite records, as plain structs.
//!
//! Field meanings and units are those of the ROS definitions (see [`crate::schema`] for the texts). Arrays of different
//! lengths, NaN and the like are written and read as they are: whoever uses a message judges its content.

use crate::cdr::{CdrError, CdrReader, CdrWriter, Decode, Encode, RosType};
use efm_core::{JointNames, JointSample, JointSampleError, Stamp, Trajectory, TrajectoryPoint};

/// `std_msgs/msg/Header`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// When the data was taken.
    pub stamp: Stamp,
    /// Frame of the data.
    pub frame_id: String,
}

impl Header {
    /// Of a stamp and a frame.
    pub fn new(stamp: Stamp, frame_id: impl Into<String>) -> Self {
        Self { stamp, frame_id: frame_id.into() }
    }
}

impl RosType for Header {
    const TYPE: &'static str = "std_msgs/msg/Header";
}

impl Encode for Header {
    fn encode(&self, out: &mut CdrWriter) {
        out.stamp(self.stamp);
        out.string(&self.frame_id);
    }
}

impl<'a> Decode<'a> for Header {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self { stamp: input.field("header.stamp").stamp()?, frame_id: input.field("header.frame_id").string()? })
    }
}

/// `std_msgs/msg/String`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StringMsg {
    /// The text.
    pub data: String,
}

impl StringMsg {
    /// Of a text.
    pub fn new(data: impl Into<String>) -> Self {
        Self { data: data.into() }
    }
}

impl RosType for StringMsg {
    const TYPE: &'static str = "std_msgs/msg/String";
}

impl Encode for StringMsg {
    fn encode(&self, out: &mut CdrWriter) {
        out.string(&self.data);
    }
}

impl<'a> Decode<'a> for StringMsg {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self { data: input.field("data").string()? })
    }
}

/// `sensor_msgs/msg/Image`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// Capture time and optical frame.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// For instance `rgb8`.
    pub encoding: String,
    /// Byte order of the pixels: 0 or 1.
    pub is_bigendian: u8,
    /// Bytes of a row.
    pub step: u32,
    /// `step * height` bytes, row by row from the top.
    pub data: Vec<u8>,
}

impl Image {
    /// The same image, borrowed.
    pub fn view(&self) -> ImageView<'_> {
        ImageView {
            stamp: self.header.stamp,
            frame_id: &self.header.frame_id,
            height: self.height,
            width: self.width,
            encoding: &self.encoding,
            is_bigendian: self.is_bigendian,
            step: self.step,
            data: &self.data,
        }
    }
}

impl RosType for Image {
    const TYPE: &'static str = "sensor_msgs/msg/Image";
}

impl Encode for Image {
    fn encode(&self, out: &mut CdrWriter) {
        self.view().encode(out);
    }
}

impl<'a> Decode<'a> for Image {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        ImageView::decode(input).map(ImageView::into_owned)
    }
}

/// `sensor_msgs/msg/Image` whose pixels and texts live elsewhere: no copy before the bag's own, none at all when read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageView<'a> {
    /// Capture time.
    pub stamp: Stamp,
    /// Optical frame.
    pub frame_id: &'a str,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// For instance `rgb8`.
    pub encoding: &'a str,
    /// Byte order of the pixels: 0 or 1.
    pub is_bigendian: u8,
    /// Bytes of a row.
    pub step: u32,
    /// `step * height` bytes, row by row from the top.
    pub data: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// An `rgb8` image without padding: `data` is `[height x width x 3]`.
    pub fn rgb8(stamp: Stamp, frame_id: &'a str, width: u32, height: u32, data: &'a [u8]) -> Self {
        Self { stamp, frame_id, height, width, encoding: "rgb8", is_bigendian: 0, step: width.saturating_mul(3), data }
    }

    /// A copy that owns its pixels.
    pub fn into_owned(self) -> Image {
        Image {
            header: Header::new(self.stamp, self.frame_id),
            height: self.height,
            width: self.width,
            encoding: self.encoding.to_owned(),
            is_bigendian: self.is_bigendian,
            step: self.step,
            data: self.data.to_vec(),
        }
    }
}

impl RosType for ImageView<'_> {
    const TYPE: &'static str = Image::TYPE;
}

impl Encode for ImageView<'_> {
    fn encode(&self, out: &mut CdrWriter) {
        out.stamp(self.stamp);
        out.string(self.frame_id);
        out.u32(self.height);
        out.u32(self.width);
        out.string(self.encoding);
        out.u8(self.is_bigendian);
        out.u32(self.step);
        out.byte_sequence(self.data);
    }
}

impl<'a> Decode<'a> for ImageView<'a> {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self {
            stamp: input.field("header.stamp").stamp()?,
            frame_id: input.field("header.frame_id").str()?,
            height: input.field("height").u32()?,
            width: input.field("width").u32()?,
            encoding: input.field("encoding").str()?,
            is_bigendian: input.field("is_bigendian").u8()?,
            step: input.field("step").u32()?,
            data: input.field("data").byte_sequence()?,
        })
    }
}

/// `sensor_msgs/msg/CompressedImage`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompressedImage {
    /// Capture time and optical frame.
    pub header: Header,
    /// For instance `jpeg` or `png`.
    pub format: String,
    /// The file.
    pub data: Vec<u8>,
}

impl RosType for CompressedImage {
    const TYPE: &'static str = "sensor_msgs/msg/CompressedImage";
}

impl Encode for CompressedImage {
    fn encode(&self, out: &mut CdrWriter) {
        self.header.encode(out);
        out.string(&self.format);
        out.byte_sequence(&self.data);
    }
}

impl<'a> Decode<'a> for CompressedImage {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        let view = CompressedImageView::decode(input)?;
        Ok(Self {
            header: Header::new(view.stamp, view.frame_id),
            format: view.format.to_owned(),
            data: view.data.to_vec(),
        })
    }
}

/// `sensor_msgs/msg/CompressedImage` whose texts and file live elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressedImageView<'a> {
    /// Capture time.
    pub stamp: Stamp,
    /// Optical frame.
    pub frame_id: &'a str,
    /// For instance `jpeg` or `png`.
    pub format: &'a str,
    /// The file.
    pub data: &'a [u8],
}

impl RosType for CompressedImageView<'_> {
    const TYPE: &'static str = CompressedImage::TYPE;
}

impl<'a> Decode<'a> for CompressedImageView<'a> {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self {
            stamp: input.field("header.stamp").stamp()?,
            frame_id: input.field("header.frame_id").str()?,
            format: input.field("format").str()?,
            data: input.field("data").byte_sequence()?,
        })
    }
}

/// `sensor_msgs/msg/RegionOfInterest`, a part of [`CameraInfo`]. All zero: the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RegionOfInterest {
    /// Leftmost column.
    pub x_offset: u32,
    /// Topmost row.
    pub y_offset: u32,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Whether a rectified region is to be computed.
    pub do_rectify: bool,
}

/// `sensor_msgs/msg/CameraInfo`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CameraInfo {
    /// Capture time and optical frame.
    pub header: Header,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// For instance `plumb_bob`.
    pub distortion_model: String,
    /// Distortion parameters.
    pub d: Vec<f64>,
    /// Intrinsic matrix, row-major 3x3, pixels.
    pub k: [f64; 9],
    /// Rectification, row-major 3x3.
    pub r: [f64; 9],
    /// Projection, row-major 3x4.
    pub p: [f64; 12],
    /// Camera pixels to one image pixel; 0 means 1.
    pub binning_x: u32,
    /// Camera pixels to one image pixel; 0 means 1.
    pub binning_y: u32,
    /// Part of the full image.
    pub roi: RegionOfInterest,
}

impl CameraInfo {
    /// An undistorted pinhole camera. Focal lengths and principal point in pixels.
    pub fn pinhole(header: Header, width: u32, height: u32, [fx, fy]: [f64; 2], [cx, cy]: [f64; 2]) -> Self {
        Self {
            header,
            height,
            width,
            distortion_model: "plumb_bob".to_owned(),
            d: vec![0.0; 5],
            k: [fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0],
            r: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
            p: [fx, 0.0, cx, 0.0, 0.0, fy, cy, 0.0, 0.0, 0.0, 1.0, 0.0],
            binning_x: 0,
            binning_y: 0,
            roi: RegionOfInterest::default(),
        }
    }
}

impl RosType for CameraInfo {
    const TYPE: &'static str = "sensor_msgs/msg/CameraInfo";
}

impl Encode for CameraInfo {
    fn encode(&self, out: &mut CdrWriter) {
        self.header.encode(out);
        out.u32(self.height);
        out.u32(self.width);
        out.string(&self.distortion_model);
        out.f64_sequence(&self.d);
        out.f64_array(&self.k);
        out.f64_array(&self.r);
        out.f64_array(&self.p);
        out.u32(self.binning_x);
        out.u32(self.binning_y);
        for value in [self.roi.x_offset, self.roi.y_offset, self.roi.height, self.roi.width] {
            out.u32(value);
        }
        out.u8(self.roi.do_rectify.into());
    }
}

impl<'a> Decode<'a> for CameraInfo {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self {
            header: Header::decode(input)?,
            height: input.field("height").u32()?,
            width: input.field("width").u32()?,
            distortion_model: input.field("distortion_model").string()?,
            d: input.field("d").f64_sequence()?,
            k: input.field("k").f64_array()?,
            r: input.field("r").f64_array()?,
            p: input.field("p").f64_array()?,
            binning_x: input.field("binning_x").u32()?,
            binning_y: input.field("binning_y").u32()?,
            roi: RegionOfInterest {
                x_offset: input.field("roi.x_offset").u32()?,
                y_offset: input.field("roi.y_offset").u32()?,
                height: input.field("roi.height").u32()?,
                width: input.field("roi.width").u32()?,
                do_rectify: input.field("roi.do_rectify").bool()?,
            },
        })
    }
}

/// `sensor_msgs/msg/JointState`. Radians or metres; empty arrays mean that the quantity is not given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JointState {
    /// When it was measured.
    pub header: Header,
    /// Joints.
    pub name: Vec<String>,
    /// Positions.
    pub position: Vec<f64>,
    /// Velocities.
    pub velocity: Vec<f64>,
    /// Efforts.
    pub effort: Vec<f64>,
}

impl JointState {
    /// Of a sample in the order of `joints`.
    pub fn from_sample(joints: &JointNames, sample: &JointSample) -> Self {
        Self {
            header: Header::new(sample.stamp, ""),
            name: joints.as_slice().to_vec(),
            position: sample.positions.clone(),
            velocity: sample.velocities.clone(),
            effort: Vec::new(),
        }
    }

    /// Picks joints by name; see [`JointSample::pick`].
    ///
    /// # Errors
    /// When a joint is missing, sizes disagree, or a value is not finite.
    pub fn pick(&self, joints: &JointNames) -> Result<JointSample, JointSampleError> {
        JointSample::pick(joints, self.header.stamp, &self.name, &self.position, &self.velocity)
    }
}

impl RosType for JointState {
    const TYPE: &'static str = "sensor_msgs/msg/JointState";
}

impl Encode for JointState {
    fn encode(&self, out: &mut CdrWriter) {
        self.header.encode(out);
        out.strings(&self.name);
        out.f64_sequence(&self.position);
        out.f64_sequence(&self.velocity);
        out.f64_sequence(&self.effort);
    }
}

impl<'a> Decode<'a> for JointState {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self {
            header: Header::decode(input)?,
            name: input.field("name").strings()?,
            position: input.field("position").f64_sequence()?,
            velocity: input.field("velocity").f64_sequence()?,
            effort: input.field("effort").f64_sequence()?,
        })
    }
}

// `trajectory_msgs/msg/JointTrajectory` is `efm_core::Trajectory`. Times from start beyond the range of a
// `builtin_interfaces/Duration` (68 years) saturate.
impl RosType for Trajectory {
    const TYPE: &'static str = "trajectory_msgs/msg/JointTrajectory";
}

impl Encode for Trajectory {
    fn encode(&self, out: &mut CdrWriter) {
        out.stamp(self.stamp);
        out.string(&self.frame_id);
        out.strings(&self.joint_names);
        out.count(self.points.len());
        for point in &self.points {
            out.f64_sequence(&point.positions);
            out.f64_sequence(&point.velocities);
            out.f64_sequence(&point.accelerations);
            out.f64_sequence(&point.effort);
            out.stamp(Stamp::from_nanos(point.time_from_start));
        }
    }
}

impl<'a> Decode<'a> for Trajectory {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        let Header { stamp, frame_id } = Header::decode(input)?;
        let joint_names = input.field("joint_names").strings()?;
        // Four counts and a duration.
        let count = input.field("points").count(24)?;
        let points = (0..count)
            .map(|_| {
                Ok(TrajectoryPoint {
                    positions: input.field("points.positions").f64_sequence()?,
                    velocities: input.field("points.velocities").f64_sequence()?,
                    accelerations: input.field("points.accelerations").f64_sequence()?,
                    effort: input.field("points.effort").f64_sequence()?,
                    time_from_start: input.field("points.time_from_start").stamp()?.nanos(),
                })
            })
            .collect::<Result<_, CdrError>>()?;
        Ok(Self { stamp, frame_id, joint_names, points })
    }
}

/// `diagnostic_msgs/msg/DiagnosticArray`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiagnosticArray {
    /// When it was made.
    pub header: Header,
    /// One a component.
    pub status: Vec<DiagnosticStatus>,
}

/// `diagnostic_msgs/msg/DiagnosticStatus`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DiagnosticStatus {
    /// 0 ok, 1 warning, 2 error, 3 stale.
    pub level: u8,
    /// "node: task".
    pub name: String,
    /// One line for a human.
    pub message: String,
    /// Which hardware.
    pub hardware_id: String,
    /// Keys and values (`diagnostic_msgs/msg/KeyValue`).
    pub values: Vec<(String, String)>,
}

impl RosType for DiagnosticArray {
    const TYPE: &'static str = "diagnostic_msgs/msg/DiagnosticArray";
}

impl Encode for DiagnosticArray {
    fn encode(&self, out: &mut CdrWriter) {
        self.header.encode(out);
        out.count(self.status.len());
        for status in &self.status {
            out.u8(status.level);
            out.string(&status.name);
            out.string(&status.message);
            out.string(&status.hardware_id);
            out.count(status.values.len());
            for (key, value) in &status.values {
                out.string(key);
                out.string(value);
            }
        }
    }
}

impl<'a> Decode<'a> for DiagnosticArray {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        let header = Header::decode(input)?;
        // A level and four counts at least.
        let count = input.field("status").count(17)?;
        let status = (0..count)
            .map(|_| {
                Ok(DiagnosticStatus {
                    level: input.field("status.level").u8()?,
                    name: input.field("status.name").string()?,
                    message: input.field("status.message").string()?,
                    hardware_id: input.field("status.hardware_id").string()?,
                    values: {
                        let count = input.field("status.values").count(8)?;
                        (0..count)
                            .map(|_| {
                                let key = input.field("status.values.key").string()?;
                                Ok((key, input.field("status.values.value").string()?))
                            })
                            .collect::<Result<_, CdrError>>()?
                    },
                })
            })
            .collect::<Result<_, CdrError>>()?;
        Ok(Self { header, status })
    }
}

/// `rosgraph_msgs/msg/Clock`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// The time.
    pub clock: Stamp,
}

impl RosType for Clock {
    const TYPE: &'static str = "rosgraph_msgs/msg/Clock";
}

impl Encode for Clock {
    fn encode(&self, out: &mut CdrWriter) {
        out.stamp(self.clock);
    }
}

impl<'a> Decode<'a> for Clock {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        Ok(Self { clock: input.field("clock").stamp()? })
    }
}
