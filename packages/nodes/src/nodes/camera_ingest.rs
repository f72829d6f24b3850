//! Turns what cameras send into what the policy sees: rgb8 at its size, with the stamp and frame of the source.
//!
//! `<camera>/image_raw` (or `<camera>/image_raw/compressed`) -> `observation/<camera>/image`, for each camera of the policy.

use crate::trace::{self, PassedOn, Setup, Trace};
use efm_app::camera::{CameraStream, CameraTrouble, Picture};
use efm_app::setup::{policy_manifest, policy_specs};
use efm_core::Stamp;
use efm_core::freshness::FreshnessBounds;
use efm_ros::r2r::sensor_msgs::msg::Image as ImageMessage;
use efm_ros::{Bytes, Latest, Level, Plan, Publisher, RosClock, Shutdown, Spec, Task, qos};
use efm_wire::CdrOf;
use efm_wire::cdr::{CdrError, Decode, RosType};
use efm_wire::msgs::{CompressedImage, CompressedImageView, Image, ImageView};
use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a camera's thread works with.
struct Ingest {
    stream: CameraStream,
    publisher: Publisher<ImageMessage>,
    health: Task,
    clock: RosClock,
    shutdown: Shutdown,
    /// Of all cameras.
    trace: Arc<Mutex<Trace>>,
    /// Shortest time between two pictures that are passed on.
    spacing: Duration,
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
    /// Works on the newest picture, again and again, on a thread of its own: decoding must not hold up other cameras.
    fn run(mut self, mut images: Latest<Bytes>, compressed: bool, (width, height): (u32, u32)) {
        let mut out = Image { encoding: "rgb8".into(), width, height, step: width * 3, ..Image::default() };
        let mut message = CdrOf::new();
        let mut last_trouble: Option<CameraTrouble> = None;
        let (mut passed, mut refused) = (0u64, 0u64);
        while !self.shutdown.is_requested() {
            let received = futures::executor::block_on(images.next());
            let began = Instant::now();
            let outcome = match read(&received.msg, compressed) {
                Ok((stamp, frame, picture)) => {
                    out.header.stamp = stamp;
                    frame.clone_into(&mut out.header.frame_id);
                    self.stream.process(stamp, self.clock.now(), picture, &mut out.data)
                }
                Err(problem) => Err(CameraTrouble::Message { camera: self.stream.name().to_owned(), problem }),
            };
            match &outcome {
                Ok(()) => {
                    message.write(&out);
                    if let Err(error) = self.publisher.publish_cdr(&message) {
                        log::debug!("{error}");
                        return; // the node is gone
                    }
                    passed += 1;
                    let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
                    if trace.is_on() {
                        trace.note(&PassedOn {
                            camera: Cow::Borrowed(self.stream.name()),
                            received: received.ros_at.nanos(),
                            published: self.clock.now().nanos(),
                            stamp: out.header.stamp.nanos(),
                            crc: trace::crc(&out.data),
                        });
                    }
                }
                Err(_) => refused += 1,
            }
            let name = self.stream.name();
            let source = self.stream.source();
            let mut values = vec![
                ("images passed on".to_owned(), passed.to_string()),
                ("images refused".to_owned(), refused.to_string()),
            ];
            if let Some((encoding, width, height)) = source {
                values.push(("source".to_owned(), format!("{encoding} {width}x{height}")));
            }
            let trouble = outcome.err();
            if let Some(trouble) = &trouble {
                if last_trouble.as_ref().map(std::mem::discriminant) != Some(std::mem::discriminant(trouble)) {
                    log::error!("{trouble}");
                }
                self.health.report(Level::Error, trouble.to_string(), values);
            } else {
                if last_trouble.is_some() {
                    log::info!("camera '{name}' is well again");
                }
                self.health.report(Level::Ok, format!("camera '{name}' is passed on"), values);
            }
            last_trouble = trouble;
            if let Some(rest) = self.spacing.checked_sub(began.elapsed()) {
                std::thread::sleep(rest);
            }
        }
    }
}

/// Parameters of `camera_ingest`.
pub fn specs() -> Vec<Spec> {
    let mut specs = policy_specs();
    specs.extend([
        Spec::text("transport", "raw", "What cameras send: <camera>/image_raw or <camera>/image_raw/compressed.")
            .choices(&["raw", "compressed"]),
        Spec::text("reliability", "best_effort", "QoS of the camera subscriptions. best_effort matches every camera.")
            .choices(&["best_effort", "reliable"]),
        Spec::double("max_rate", 0.0, "Most pictures a second and camera that are passed on.")
            .unit("Hz")
            .range(0.01, 1000.0)
            .or_zero("all"),
        Spec::double("max_age", 1.0, "Oldest stamp of a picture that is passed on.").unit("s").range(0.01, 60.0),
        Spec::double("max_future", 0.05, "How far in the future a stamp may lie.").unit("s").range(0.0, 1.0),
        Spec::double("max_silence", 0.5, "A camera that is silent for longer is reported as stale.")
            .unit("s")
            .range(0.05, 60.0),
        trace::spec(),
    ]);
    specs
}

/// The node `camera_ingest`.
pub fn plan() -> Plan {
    Plan::new("camera_ingest", specs(), |node| {
        let params = node.params().clone();
        let health = node.diagnostics().task("policy");
        let manifest = match policy_manifest(&params) {
            Ok((folder, manifest)) => {
                health.ok(format!("policy '{}' from {}", manifest.policy.name, folder.display()));
                Some(manifest)
            }
            Err(reason) => {
                log::error!("the policy is refused: {reason}");
                health.error(format!("the policy is refused: {reason}"));
                None
            }
        };
        let compressed = params.text("transport") == "compressed";
        let input =
            if params.text("reliability") == "reliable" { qos::image_input_reliable() } else { qos::image_input() };
        let input = qos::Hearing::from(input).at_most(efm_ros::bounds::PICTURE);
        let max_silence = params.double("max_silence");
        let bounds =
            FreshnessBounds { max_silence, max_age: params.double("max_age"), max_future: params.double("max_future") };
        let rate = params.double("max_rate");
        let trace = Arc::new(Mutex::new(Trace::start(node, &Setup::new("camera_ingest", &params))?));
        for image in manifest.iter().flat_map(|m| &m.observation.images) {
            let (name, size) = (&image.name, (image.width, image.height));
            let topic = if compressed { format!("{name}/image_raw/compressed") } else { format!("{name}/image_raw") };
            let health =
                node.diagnostics().task(&format!("camera {name}")).stale_after(Duration::from_secs_f64(max_silence));
            health.report(Level::Stale, format!("camera '{name}': no image on {topic} yet"), [("", ""); 0]);
            let ingest = Ingest {
                stream: CameraStream::new(name, image.width, image.height, image.fit(), bounds)?,
                publisher: node.publisher(&format!("observation/{name}/image"), qos::image_output())?,
                health,
                clock: node.clock().clone(),
                shutdown: node.shutdown().clone(),
                trace: trace.clone(),
                spacing: if rate > 0.0 { Duration::from_secs_f64(1.0 / rate) } else { Duration::ZERO },
            };
            let thread = std::thread::Builder::new().name(format!("camera {name}"));
            // As they came: a picture is large, and it is read once.
            let type_name = if compressed { CompressedImage::TYPE } else { Image::TYPE };
            let images = node.latest_bytes(&topic, type_name, input.clone())?;
            thread.spawn(move || ingest.run(images, compressed, size))?;
        }
        Ok(async move {
            let mut tenth = tokio::time::interval(trace::PERIOD);
            loop {
                tenth.tick().await;
                trace.lock().unwrap_or_else(PoisonError::into_inner).flush();
            }
        })
    })
}
