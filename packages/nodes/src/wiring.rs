//! Wiring that several nodes share.

use efm_policy::{MANIFEST_FILE, Manifest};
use efm_robot::LimitsFile;
use efm_ros::files;
use efm_ros::r2r::std_msgs::msg::String as Text;
use efm_ros::{Latest, Node, NodeError, Params, Received, RosClock, Spec, qos};
use std::path::PathBuf;
use std::time::Instant;

/// The parameter that names a robot description file.
fn robot_description_spec() -> Spec {
    Spec::text(
        "robot_description_file",
        "",
        "URDF file of the robot. Empty: the topic robot_description is listened to (latched).",
    )
}

/// Parameters of a node that needs the robot with its limits.
pub fn robot_specs() -> Vec<Spec> {
    vec![
        robot_description_spec(),
        Spec::text("joint_limits_file", "", "File with velocity, acceleration and jerk limits, in MoveIt's format.")
            .required()
            .example(r#""config/joint_limits.yaml""#),
        Spec::double("default_jerk", 0.0, "Jerk limit of joints to which the file gives none.")
            .unit("rad/s3 or m/s3")
            .range(0.01, 1e6)
            .or_zero("that is an error"),
    ]
}

/// The joint limits from the text of `joint_limits_file`, with `default_jerk` where the file gives none.
///
/// # Errors
/// In words, when something in it is wrong.
pub fn joint_limits(params: &Params, text: &str) -> Result<LimitsFile, String> {
    let limits = LimitsFile::parse(text, &params.text("joint_limits_file"))
        .map_err(|e| format!("parameter 'joint_limits_file': {e}"))?;
    let jerk = params.double("default_jerk");
    Ok(if jerk > 0.0 { limits.with_default_jerk(jerk) } else { limits })
}

/// The robot description: from the file of the parameter, else from the topic.
///
/// # Errors
/// When the file cannot be read, or ROS refuses the subscription.
pub fn robot_description(node: &mut Node) -> Result<Latest<Text>, NodeError> {
    let named = node.params().text("robot_description_file");
    if named.is_empty() {
        return Ok(node.latest("robot_description", qos::latched_input())?);
    }
    let path = files::find(&named);
    let data = std::fs::read_to_string(&path)
        .map_err(|e| format!("parameter 'robot_description_file': cannot read '{}': {e}", path.display()))?;
    let (mut feed, latest) = Latest::slot();
    feed.put(Text { data }, node.clock());
    Ok(latest)
}

/// Tells times of receipt in seconds: monotonic, or ROS time under simulation (where ages stand still with the clock).
#[derive(Debug, Clone)]
pub struct ReceiptClock {
    clock: RosClock,
    start: Instant,
}

impl ReceiptClock {
    /// Over the node's clock.
    pub fn new(clock: &RosClock) -> Self {
        Self { clock: clock.clone(), start: Instant::now() }
    }

    /// Now.
    pub fn now(&self) -> f64 {
        if self.clock.is_simulated() {
            self.clock.now().nanos() as f64 * 1e-9
        } else {
            self.start.elapsed().as_secs_f64()
        }
    }

    /// When a message came.
    pub fn of<T>(&self, received: &Received<T>) -> f64 {
        if self.clock.is_simulated() {
            received.ros_at.nanos() as f64 * 1e-9
        } else {
            received.at.saturating_duration_since(self.start).as_secs_f64()
        }
    }
}

/// The parameters that name a policy package.
pub fn policy_specs() -> Vec<Spec> {
    vec![
        Spec::text("policy", "", "The policy package: its name within models_path, or a path to its folder.")
            .required()
            .example(r#""panda_tabletop_flow""#),
        Spec::texts("models_path", &["models"], "Folders that are searched for policy packages and sentence encoders."),
    ]
}

/// The folders of `models_path`.
pub fn models_path(params: &Params) -> Vec<PathBuf> {
    params.texts("models_path").iter().map(|folder| files::find(folder)).collect()
}

/// The folder of the policy package that the parameters name, and its manifest.
///
/// # Errors
/// A reason in words: where it was looked for, or what is wrong with the manifest.
pub fn policy_manifest(params: &Params) -> Result<(PathBuf, Manifest), String> {
    let named = params.text("policy");
    let search = models_path(params);
    let mut places: Vec<PathBuf> = search.iter().map(|folder| folder.join(&named)).collect();
    places.push(files::find(&named));
    let Some(folder) = places.iter().find(|place| place.join(MANIFEST_FILE).is_file()) else {
        let looked: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(format!("there is no {MANIFEST_FILE} for policy '{named}'; looked in: {}", looked.join(", ")));
    };
    let manifest = Manifest::read(folder).map_err(|e| e.to_string())?;
    Ok((folder.clone(), manifest))
}
