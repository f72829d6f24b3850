//! Turns what cameras send into what the policy sees: rgb8 at its size, with the stamp and frame of the source.
//!
//! `<camera>/image_raw` (or `<camera>/image_raw/compressed`) -> `observation/<camera>/image`, for each camera of the policy. What
//! `<camera>/camera_info` says is compared with what the policy was trained with.
//! What it decides is in [`efm_app::camera`]; here are the topics.

use crate::trace::{self, PassedOn, Setup, Trace};
use efm_app::camera::ingest::{Host, Ingest};
use efm_app::camera::{CameraStream, READ_AS, formats_of, info};
use efm_app::reasons::{self, coded};
use efm_app::setup::{policy_manifest, policy_specs, stays_with_wrong_policy};
use efm_config::Rule;
use efm_config::codes::wrong;
use efm_core::freshness::FreshnessBounds;
use efm_core::reading::beginning;
use efm_core::{Reason, Stamp};
use efm_ros::r2r::sensor_msgs::msg::Image as ImageMessage;
use efm_ros::{Bytes, Latest, Level, Node, NodeError, Params, Plan, Publisher, RosClock, Shutdown, Spec, Task, qos};
use efm_wire::CdrOf;
use efm_wire::cdr::RosType;
use efm_wire::msgs::{CameraInfo, CompressedImage, Image};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The graph, as a camera meets it.
struct Topics {
    publisher: Publisher<ImageMessage>,
    message: CdrOf<Image>,
    health: Task,
    clock: RosClock,
    /// Of all cameras.
    trace: Arc<Mutex<Trace>>,
}

impl Topics {
    fn trace(&self) -> MutexGuard<'_, Trace> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host for Topics {
    fn now(&self) -> Stamp {
        self.clock.now()
    }

    fn pass_on(&mut self, picture: &Image) -> Result<(), NodeError> {
        self.message.write(picture);
        Ok(self.publisher.publish_cdr(&self.message)?)
    }

    fn notes(&self) -> bool {
        self.trace().is_on()
    }

    fn note(&mut self, event: &PassedOn<'_>) {
        self.trace().note(event);
    }

    fn report(&mut self, level: Level, text: String, values: Vec<(String, String)>) {
        self.health.report(level, text, values);
    }
}

/// Works on the newest picture, again and again, on a thread of its own: decoding must not hold up other cameras.
fn run(
    mut this: Ingest,
    mut topics: Topics,
    mut images: Latest<Bytes>,
    info: Option<&Latest<Bytes>>,
    shutdown: &Shutdown,
) {
    let mut heard = 0;
    while !shutdown.is_requested() {
        let received = futures::executor::block_on(images.next());
        let began = Instant::now();
        if let Some(info) = info.and_then(Latest::get).filter(|info| info.count != heard) {
            heard = info.count;
            this.on_info(&info.msg);
        }
        if let Err(error) = this.on_message(&mut topics, &received.msg, received.sender, received.ros_at) {
            log::debug!("{error}");
            return; // the node is gone
        }
        if let Some(rest) = this.rest_after(began.elapsed()) {
            std::thread::sleep(rest);
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
        Spec::texts(
            "grey_cameras",
            &[],
            "Cameras that may send grey pictures (mono8, 8UC1, grey JPEG), because the policy was trained with such. Of others they are refused.",
        ),
        Spec::texts(
            "read_as",
            &[],
            "What pictures are whose encoding does not tell it: 8UC1, 8UC2, 8UC3, 8UC4, 16UC1 and mono16 (of a sensor of 10, 12, 14 or 16 bits).",
        )
        .rule(READ_AS),
        Spec::texts(
            "camera_info",
            &[],
            "Topics of camera_info that are not beside the pictures: CAMERA=TOPIC, as front=/head/camera_info. CAMERA= listens to none.",
        )
        .rule(INFO_TOPICS),
        trace::spec(),
    ]);
    specs
}

/// The form of `camera_info`.
const INFO_TOPICS: Rule = Rule::new(
    "",
    &[],
    |params| info_topics(params).map(drop),
    &[r#"{"camera_info": ["/head/camera_info"]}"#, r#"{"camera_info": ["=/head/camera_info"]}"#],
);

/// Camera and topic.
fn info_topics(params: &Params) -> Result<Vec<(String, String)>, Reason> {
    let given = params.texts("camera_info").into_iter().filter(|text| !text.is_empty());
    let pair = |text: String| match text.split_once('=') {
        Some((camera, topic)) if !camera.is_empty() => Ok((camera.to_owned(), topic.to_owned())),
        _ => {
            let text = format!("parameter 'camera_info': '{}' has not this form", beginning(&text, 60));
            Err(wrong(text, "expected CAMERA=TOPIC, as front=/head/camera_info"))
        }
    };
    given.map(pair).collect()
}

/// The topic of a camera's `camera_info`: as the parameter says, or as the user remapped it, or beside that of the pictures wherever that was
/// remapped to.
fn info_topic(node: &Node, camera: &str, images: &str, compressed: bool) -> String {
    let said = info_topics(node.params()).unwrap_or_default().into_iter().find(|(name, _)| name == camera);
    let usual = format!("{camera}/camera_info");
    match said {
        Some((_, topic)) => topic,
        None if node.graph().is_remapped(&usual) => usual,
        None => info::topic_beside(images, compressed),
    }
}

/// Tells of cameras that a parameter names and the policy has not.
fn tell_of_strangers(params: &Params, cameras: &[&str]) {
    let mut named: Vec<(&str, String)> =
        params.texts("grey_cameras").into_iter().map(|c| ("grey_cameras", c)).collect();
    let before = |text: String, mark: char| text.split(mark).next().unwrap_or_default().to_owned();
    named.extend(params.texts("read_as").into_iter().map(|text| ("read_as", before(text, ':'))));
    named.extend(params.texts("camera_info").into_iter().map(|text| ("camera_info", before(text, '='))));
    for (parameter, camera) in named.iter().filter(|(_, name)| !name.is_empty() && !cameras.contains(&name.as_str())) {
        let (camera, cameras) = (beginning(camera, 40), cameras.join(", "));
        log::warn!("parameter '{parameter}' names camera '{camera}', which the policy has not; it has: {cameras}");
    }
}

/// The node `camera_ingest`.
pub fn plan() -> Plan {
    Plan::new("camera_ingest", specs(), |node| {
        let params = node.params().clone();
        let health = node.diagnostics().task("policy");
        let manifest = match policy_manifest(&params) {
            Ok((folder, manifest)) => {
                let text = format!("policy '{}' from {}", manifest.policy.name, folder.display());
                health.report(Level::Ok, text, [coded(reasons::POLICY_IS_KNOWN)]);
                Some(manifest)
            }
            Err(reason) if !stays_with_wrong_policy(&params) => {
                return Err(reason.of("the policy is refused: ").into());
            }
            Err(reason) => {
                let reason = reason.of("the policy is refused: ");
                log::error!("{reason}");
                health.report(Level::Error, reason.in_words(), [coded(reason.code)]);
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
        let grey = params.texts("grey_cameras");
        if let Some(manifest) = &manifest {
            tell_of_strangers(
                &params,
                &manifest.observation.images.iter().map(|i| i.name.as_str()).collect::<Vec<_>>(),
            );
        }
        let trace = Arc::new(Mutex::new(Trace::start(node, &Setup::new("camera_ingest", &params))?));
        for image in manifest.iter().flat_map(|m| &m.observation.images) {
            let name = &image.name;
            let topic = if compressed { format!("{name}/image_raw/compressed") } else { format!("{name}/image_raw") };
            let health =
                node.diagnostics().task(&format!("camera {name}")).stale_after(Duration::from_secs_f64(max_silence));
            let text = format!("camera '{name}': no image on {topic} yet");
            health.report(Level::Stale, text, [coded(reasons::IMAGE_MISSING)]);
            let stream = CameraStream::new(name, image.width, image.height, image.fit(), bounds)?
                .with_grey(grey.contains(name))
                .with_formats(formats_of(&params, name));
            let images_at = node.graph().full_name(&topic);
            let info_at = info_topic(node, name, &images_at, compressed);
            let info = if info_at.is_empty() {
                None
            } else {
                Some(node.latest_bytes(&info_at, CameraInfo::TYPE, qos::Hearing::from(qos::image_input()))?)
            };
            let info_name = if info_at.is_empty() { String::new() } else { node.graph().full_name(&info_at) };
            let ingest = Ingest::new(stream, compressed, rate).compared_with(image.camera, &images_at, &info_name);
            let topics = Topics {
                publisher: node.publisher(&format!("observation/{name}/image"), qos::image_output())?,
                message: CdrOf::new(),
                health,
                clock: node.clock().clone(),
                trace: trace.clone(),
            };
            let shutdown = node.shutdown().clone();
            let thread = std::thread::Builder::new().name(format!("camera {name}"));
            // As they came: a picture is large, and it is read once.
            let type_name = if compressed { CompressedImage::TYPE } else { Image::TYPE };
            let images = node.latest_bytes(&topic, type_name, input.clone())?;
            thread.spawn(move || run(ingest, topics, images, info.as_ref(), &shutdown))?;
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
