//! Joint limits from the URDF and from a file in MoveIt's format; the tighter one holds.

use crate::model::{Joint, JointKind, Mimic, RobotModel, UrdfLimit};
use efm_core::reading::{self, listed, said_by_parser};
use efm_core::{JointLimits, JointNames};
use serde::de::{EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::Value;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// Why there are no complete limits.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The file cannot be read.
    #[error("the joint limits '{path}' cannot be read: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not YAML, or not of the right form.
    #[error(
        "{path}: {} (wanted: joint_limits: {{<joint>: {{max_acceleration: <number>, ...}}}})",
        said_by_parser(source)
    )]
    Yaml {
        /// Which file.
        path: String,
        /// What the parser said.
        source: serde_yaml::Error,
    },
    /// The file has no `joint_limits`.
    #[error("{path}: there is no 'joint_limits', neither at the top nor in 'robot_description_planning'")]
    NoLimits {
        /// Which file.
        path: String,
    },
    /// A file of another layout, which is known.
    #[error("{path}: this is {layout}; {cure}")]
    Layout {
        /// Which file.
        path: String,
        /// Whose, and how it is told.
        layout: String,
        /// What to do.
        cure: String,
    },
    /// The file limits joints that the robot does not have: a misspelt one would stay unlimited.
    #[error(
        "{path}: joint {joint} does not exist in the robot description, whose joints are {known}; correct the name, or take it out"
    )]
    NoSuchJoint {
        /// Which file.
        path: String,
        /// Which joints, in quotes.
        joint: String,
        /// The joints that exist.
        known: String,
    },
    /// A joint of the set does not exist or does not move on its own.
    #[error("joint '{0}' is not an active joint of the robot description")]
    UnknownJoint(String),
    /// Limits that neither the URDF nor the file has: all of them, of all joints.
    #[error("{}", missing_in_words(.missing, .path))]
    Missing {
        /// What is missing.
        missing: Vec<MissingLimit>,
        /// The file of limits.
        path: String,
    },
    /// A limit is not a number that can limit.
    #[error("{path}: {key} of joint '{joint}' is {value}; it must be {right}")]
    Value {
        /// Which file.
        path: String,
        /// Which joint.
        joint: String,
        /// Which key.
        key: &'static str,
        /// What it is.
        value: f64,
        /// What would be right.
        right: &'static str,
    },
    /// What is used where the file gives none is no limit.
    #[error("{name} is {value}; it must be finite and above 0, in {unit}")]
    Default {
        /// `default_jerk` or `default_acceleration`.
        name: &'static str,
        /// What it is.
        value: f64,
        /// Of what it is given.
        unit: &'static str,
    },
    /// Several of these.
    #[error("{}", reading::all_told(.0))]
    Several(Vec<LimitError>),
    /// A joint that follows another leaves it no position.
    #[error(
        "joint '{joint}' is followed by '{follower}', whose limits leave it no position: between {lower} and {upper}; \
         mend the limits, the multiplier or the offset of '{follower}'"
    )]
    Follower {
        /// The joint that leads.
        joint: String,
        /// The joint that follows.
        follower: String,
        /// The highest of the lower limits.
        lower: f64,
        /// The lowest of the upper limits.
        upper: f64,
    },
    /// No position is left between the limits.
    #[error(
        "joint '{joint}': no position is left between lower limit {lower} and upper limit {upper}; mend min_position and max_position in {path}, or the \
         <limit> of the robot description"
    )]
    Empty {
        /// The file of limits.
        path: String,
        /// Which joint.
        joint: String,
        /// The highest of the lower limits.
        lower: f64,
        /// The lowest of the upper limits.
        upper: f64,
    },
}

/// A limit that nobody states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingLimit {
    /// Which joint.
    pub joint: String,
    /// Which quantity.
    pub limit: &'static str,
    /// The key of the file that would give it.
    pub key: &'static str,
    /// The parameter that would.
    pub parameter: Option<&'static str>,
}

/// Joints by what they lack, and what cures it.
fn missing_in_words(missing: &[MissingLimit], path: &str) -> String {
    let mut kinds: Vec<&MissingLimit> = Vec::new();
    for one in missing {
        if !kinds.iter().any(|known| known.key == one.key) {
            kinds.push(one);
        }
    }
    let told = kinds.iter().map(|kind| {
        let joints = missing.iter().filter(|one| one.key == kind.key);
        let joints: Vec<String> = joints.map(|one| format!("'{}'", one.joint)).collect();
        let (of, have) = if joints.len() == 1 { ("joint", "has") } else { ("joints", "have") };
        let or = kind.parameter.map_or(String::new(), |parameter| format!(", or set the parameter '{parameter}'"));
        format!("{of} {} {have} no {} limit (add '{}'{or})", listed(&joints, ""), kind.limit, kind.key)
    });
    format!("neither the robot description nor {path} gives these: {}", told.collect::<Vec<_>>().join("; "))
}

/// A joint of a limits file: the keys of MoveIt and of ros2_control's `joint_limits`. An unknown key is an error: a misspelt limit would be
/// none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    has_position_limits: Option<bool>,
    min_position: Option<f64>,
    max_position: Option<f64>,
    has_velocity_limits: Option<bool>,
    max_velocity: Option<f64>,
    has_acceleration_limits: Option<bool>,
    max_acceleration: Option<f64>,
    has_deceleration_limits: Option<bool>,
    max_deceleration: Option<f64>,
    has_jerk_limits: Option<bool>,
    max_jerk: Option<f64>,
    has_soft_limits: Option<bool>,
    soft_lower_limit: Option<f64>,
    soft_upper_limit: Option<f64>,
    // Known, of no meaning here.
    #[serde(rename = "has_effort_limits")]
    _has_effort_limits: Option<bool>,
    #[serde(rename = "max_effort")]
    _max_effort: Option<f64>,
    #[serde(rename = "angle_wraparound")]
    _angle_wraparound: Option<bool>,
    #[serde(rename = "k_position")]
    _k_position: Option<f64>,
    #[serde(rename = "k_velocity")]
    _k_velocity: Option<f64>,
}

impl Entry {
    /// What is switched off is as if it were not there: MoveIt's files write 0 then.
    fn silence(&mut self) {
        let off = |has: Option<bool>, values: &mut [&mut Option<f64>]| {
            if has == Some(false) {
                values.iter_mut().for_each(|value| **value = None);
            }
        };
        off(self.has_position_limits, &mut [&mut self.min_position, &mut self.max_position]);
        off(self.has_velocity_limits, &mut [&mut self.max_velocity]);
        off(self.has_acceleration_limits, &mut [&mut self.max_acceleration]);
        off(self.has_deceleration_limits, &mut [&mut self.max_deceleration]);
        off(self.has_jerk_limits, &mut [&mut self.max_jerk]);
        off(self.has_soft_limits, &mut [&mut self.soft_lower_limit, &mut self.soft_upper_limit]);
    }

    /// The values that cannot limit: key, what it is and what would be right.
    fn wrong(&self) -> Vec<(&'static str, f64, &'static str)> {
        let positive = [
            ("max_velocity", self.max_velocity),
            ("max_acceleration", self.max_acceleration),
            ("max_deceleration", self.max_deceleration),
            ("max_jerk", self.max_jerk),
        ];
        let finite = [
            ("min_position", self.min_position),
            ("max_position", self.max_position),
            ("soft_lower_limit", self.soft_lower_limit),
            ("soft_upper_limit", self.soft_upper_limit),
        ];
        let positive = positive.into_iter().map(|(key, value)| (key, value, "finite and above 0"));
        let all = positive.chain(finite.into_iter().map(|(key, value)| (key, value, "finite")));
        let wrong = all.filter_map(|(key, value, right)| {
            let value = value.filter(|v| !v.is_finite() || right != "finite" && *v <= 0.0)?;
            Some((key, value, right))
        });
        wrong.collect()
    }

    /// Values that are likely in degrees, as some tools write them.
    fn likely_degrees(&self) -> Option<(&'static str, f64)> {
        /// Radians: five turns; what no arm's joint has.
        const POSITION: f64 = 31.5;
        /// rad/s.
        const SPEED: f64 = 60.0;
        let bounds = [
            ("min_position", self.min_position, POSITION),
            ("max_position", self.max_position, POSITION),
            ("max_velocity", self.max_velocity, SPEED),
        ];
        bounds.into_iter().find_map(|(key, value, most)| Some((key, value.filter(|value| value.abs() > most)?)))
    }

    fn lower(&self) -> Option<f64> {
        larger(self.min_position, self.soft_lower_limit)
    }

    fn upper(&self) -> Option<f64> {
        smaller(self.max_position, self.soft_upper_limit)
    }

    /// Speeding up and slowing down are limited alike here, by the lower of the two.
    fn acceleration(&self) -> Option<f64> {
        smaller(self.max_acceleration, self.max_deceleration)
    }
}

/// A map of a file in its order; a key that stands twice is an error, where a plain map would keep the last.
#[derive(Debug, Clone, Default)]
struct Entries(Vec<(String, Content)>);

/// A value of a file: what is below it, or what stands there.
#[derive(Debug, Clone)]
enum Content {
    Map(Entries),
    Value(Value),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Content;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the joints, each with its limits")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
                let mut entries: Vec<(String, Content)> = Vec::new();
                let mut known: HashSet<String> = HashSet::new();
                while let Some(key) = map.next_key::<Value>()? {
                    let key = match key {
                        Value::String(key) => key,
                        Value::Number(key) => key.to_string(),
                        Value::Bool(key) => key.to_string(),
                        _ => return Err(A::Error::custom("a name is wanted before the ':'")),
                    };
                    if !known.insert(key.clone()) {
                        let key = reading::beginning(&key, 80);
                        return Err(A::Error::custom(format!("'{key}' is listed twice; keep one")));
                    }
                    let value = map.next_value().map_err(|error| {
                        // The path in the message would stop at the map: who it is of is named here.
                        let (error, key) = (error.to_string(), reading::beginning(&key, 80));
                        A::Error::custom(if error.len() < 400 { format!("'{key}': {error}") } else { error })
                    })?;
                    entries.push((key, value));
                }
                Ok(Content::Map(Entries(entries)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Content, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Content::Value(Value::Sequence(Vec::new())))
            }

            fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Content, A::Error> {
                // `!degrees 90`, `!radians 1.57`: what xacro makes of them.
                let (tag, content) = data.variant::<String>()?;
                let number = content.newtype_variant::<Value>()?;
                let number = number.as_f64().or_else(|| number.as_i64().map(|n| n as f64));
                match (tag.trim_start_matches('!'), number) {
                    ("degrees", Some(degrees)) => Ok(Content::Value(degrees.to_radians().into())),
                    ("radians" | "meters", Some(value)) => Ok(Content::Value(value.into())),
                    ("millimeters", Some(value)) => Ok(Content::Value((value * 1e-3).into())),
                    (tag, _) => {
                        let tag = reading::beginning(tag, 40);
                        Err(A::Error::custom(format!("'!{tag}' is not known; !degrees and !radians with a number are")))
                    }
                }
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
                Content::deserialize(deserializer)
            }

            fn visit_unit<E: Error>(self) -> Result<Content, E> {
                Ok(Content::Value(Value::Null))
            }

            fn visit_none<E: Error>(self) -> Result<Content, E> {
                Ok(Content::Value(Value::Null))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Content, E> {
                Ok(Content::Value(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Content, E> {
                Ok(Content::Value(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Content, E> {
                Ok(Content::Value(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
                Ok(Content::Value(value.into()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
                Ok(Content::Value(value.into()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Entries {
    fn get(&self, key: &str) -> Option<&Content> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, content)| content)
    }
}

impl Content {
    fn map(&self) -> Option<&Entries> {
        match self {
            Self::Map(entries) => Some(entries),
            Self::Value(_) => None,
        }
    }

    /// What it is, in few words.
    fn in_words(&self) -> String {
        match self {
            Self::Map(_) => "a map".to_owned(),
            Self::Value(Value::Null) => "nothing".to_owned(),
            Self::Value(Value::Sequence(_)) => "a list".to_owned(),
            Self::Value(Value::String(text)) => format!("the word '{}'", reading::beginning(text, 40)),
            Self::Value(Value::Bool(value)) => value.to_string(),
            Self::Value(Value::Number(value)) => value.to_string(),
            Self::Value(_) => "something else".to_owned(),
        }
    }

    /// The limits of a joint.
    fn entry(&self) -> Result<Entry, Vec<String>> {
        let keys = match self {
            Self::Map(keys) => keys,
            // `elbow:` and nothing behind it.
            Self::Value(Value::Null) => return Ok(Entry::default()),
            other => {
                return Err(vec![format!(
                    "is {}; its limits are wanted: {{max_acceleration: <number>, ...}}",
                    other.in_words()
                )]);
            }
        };
        let mut wrong = Vec::new();
        let mut plain = serde_yaml::Mapping::new();
        for (key, value) in &keys.0 {
            let kind = match key.as_str() {
                key if key.starts_with("has_") || key == "angle_wraparound" => "true or false",
                _ => "a number",
            };
            let Self::Value(value) = value else {
                wrong.push(format!("{key} is {}; {kind} is wanted", value.in_words()));
                continue;
            };
            let fits = match kind {
                "a number" => value.is_number(),
                _ => value.is_bool(),
            };
            if !KEYS.contains(&key.as_str()) {
                let key = reading::beginning(key, 60);
                wrong.push(format!("'{key}' is no limit; known are {}", KEYS.join(", ")));
            } else if !fits {
                wrong.push(format!("{key} is {}; {kind} is wanted", Self::Value(value.clone()).in_words()));
            } else {
                plain.insert(key.as_str().into(), value.clone());
            }
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        serde_yaml::from_value(Value::Mapping(plain)).map_err(|error| vec![said_by_parser(&error)])
    }
}

const KEYS: [&str; 19] = [
    "has_position_limits",
    "min_position",
    "max_position",
    "has_velocity_limits",
    "max_velocity",
    "has_acceleration_limits",
    "max_acceleration",
    "has_deceleration_limits",
    "max_deceleration",
    "has_jerk_limits",
    "max_jerk",
    "has_soft_limits",
    "soft_lower_limit",
    "soft_upper_limit",
    "has_effort_limits",
    "max_effort",
    "angle_wraparound",
    "k_position",
    "k_velocity",
];

/// The wrappings in which MoveIt, its launch files and ROS's parameter files put the limits.
const WRAPPINGS: [&str; 4] = ["joint_limits", "robot_description_planning", "ros__parameters", "/**"];

/// All `joint_limits` of a file that are maps or nothing, with what they lie in. Of a parameter file that is any node's, as MoveIt takes such a file
/// for several of its nodes.
fn find_limits<'a>(entries: &'a Entries, within: &str, depth: usize, found: &mut Vec<(String, &'a Content)>) {
    for (key, content) in &entries.0 {
        let place = if within.is_empty() { key.clone() } else { format!("{within}/{key}") };
        if key == "joint_limits" {
            found.push((place, content));
        } else if let Some(inner) = content.map().filter(|_| depth < 4) {
            let is_node = depth < 3 && inner.get("ros__parameters").is_some();
            // A namespace, with nodes in it.
            let holds = inner
                .0
                .iter()
                .any(|(_, content)| content.map().is_some_and(|node| node.get("ros__parameters").is_some()));
            if is_node || holds || WRAPPINGS.contains(&key.as_str()) {
                find_limits(inner, &place, depth + 1, found);
            }
        }
    }
}

/// A layout that is known, of a file that has no `joint_limits`: what it is, and what to do.
fn other_layout(entries: &Entries) -> Option<(String, String)> {
    const CURE: &str = "its positions and velocities are in the URDF already; name a file with joint_limits: {<joint>: {max_acceleration: ..., max_jerk: ...}}, \
        or an empty `joint_limits: {}` with the parameters 'default_acceleration' and 'default_jerk'";
    let told = |layout: &str| Some((layout.to_owned(), CURE.to_owned()));
    let joints = entries.0.iter().filter_map(|(_, content)| content.map());
    let all = |keys: &[&str]| {
        entries.0.len() == joints.clone().count()
            && !entries.0.is_empty()
            && joints.clone().all(|joint| keys.iter().any(|key| joint.get(key).is_some()))
    };
    if all(&["limit", "limits"]) {
        return told(
            "the layout of franka_description and openarm_description (<joint>: {limit: {lower, upper, velocity, effort}}), which their xacro reads",
        );
    }
    if all(&["lower", "upper"]) {
        return told(
            "the layout of lbr_description (iiwa) and others (<joint>: {lower, upper, velocity, effort}; of the iiwa in degrees), which their xacro reads",
        );
    }
    if all(&["max_velocity", "max_acceleration", "max_jerk", "min_position", "max_position", "has_velocity_limits"]) {
        let cure = "put 'joint_limits:' above them";
        return Some(("a list of joints without a heading".to_owned(), cure.to_owned()));
    }
    if entries.0.iter().any(|(key, _)| key.ends_with("_limits") || key.ends_with("_limits_parameters")) {
        let keys: Vec<&str> = entries.0.iter().map(|(key, _)| key.as_str()).collect();
        let layout = format!(
            "a file with {} at its top, as kortex_description and others have for their own programs",
            listed(&keys, "nothing")
        );
        return told(&layout);
    }
    None
}

/// A limits file in MoveIt's format (`joint_limits.yaml`), read but not yet matched with a robot.
///
/// `joint_limits` may stand at the top, in `robot_description_planning`, and in the `ros__parameters` of a node or of `/**`. `has_..._limits: false` makes
/// the file silent on that quantity; without the switch, a value that is there counts. A `max_deceleration` limits acceleration too, and soft limits are
/// taken for limits: the tighter holds. `!degrees 90` is understood, as xacro does.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsFile {
    path: String,
    joints: BTreeMap<String, Entry>,
    default_acceleration: Option<f64>,
    default_jerk: Option<f64>,
}

impl LimitsFile {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`LimitsFile::parse`].
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LimitError> {
        let shown = path.as_ref().display().to_string();
        match reading::text(path, reading::SETTINGS) {
            Ok(yaml) => Self::parse(&yaml, &shown),
            Err(source) => Err(LimitError::File { path: shown, source }),
        }
    }

    /// Reads the text of a file; `path` is what errors call it.
    ///
    /// # Errors
    /// When it is not YAML of that form, or values are not numbers that can limit: all of them.
    pub fn parse(yaml: &str, path: &str) -> Result<Self, LimitError> {
        let wrong = |source| LimitError::Yaml { path: path.to_owned(), source };
        let said = |problem: String| wrong(serde_yaml::Error::custom(problem));
        if let Some(problem) = reading::too_many_brackets(yaml) {
            return Err(said(problem));
        }
        // An empty file is one without limits.
        let file: Content = serde_yaml::from_str(yaml).map_err(wrong)?;
        let no_limits = || LimitError::NoLimits { path: path.to_owned() };
        let top = match &file {
            Content::Map(top) => top,
            Content::Value(Value::Null) => return Err(no_limits()),
            other => return Err(said(format!("it holds {}", other.in_words()))),
        };
        let mut found = Vec::new();
        find_limits(top, "", 0, &mut found);
        let entries = match found.as_slice() {
            [] => {
                let known =
                    other_layout(top).map(|(layout, cure)| LimitError::Layout { path: path.to_owned(), layout, cure });
                return Err(known.unwrap_or_else(no_limits));
            }
            [(_, Content::Map(entries))] => entries,
            [(_, Content::Value(Value::Null))] => &Entries::default(),
            [(place, other)] => return Err(said(format!("{place} is {}", other.in_words()))),
            [(one, _), (other, _), ..] => {
                return Err(said(format!("joint limits stand in '{one}' and in '{other}'; keep one")));
            }
        };
        let mut joints = BTreeMap::new();
        let mut problems = Vec::new();
        for (joint, content) in &entries.0 {
            if let Some(problem) = reading::wrong_name(joint) {
                problems.push(said(format!("the name of a joint cannot be: {problem}")));
                continue;
            }
            let mut entry = match content.entry() {
                Ok(entry) => entry,
                Err(several) => {
                    problems.extend(several.into_iter().map(|problem| said(format!("joint '{joint}': {problem}"))));
                    continue;
                }
            };
            entry.silence();
            for (key, value, right) in entry.wrong() {
                let (path, joint) = (path.to_owned(), joint.clone());
                problems.push(LimitError::Value { path, joint, key, value, right });
            }
            joints.insert(joint.clone(), entry);
        }
        LimitError::all(problems)?;
        Ok(Self { path: path.to_owned(), joints, default_acceleration: None, default_jerk: None })
    }

    /// Uses this jerk (rad/s3 or m/s3) for joints to which the file gives none, as most MoveIt files do. It must be stated: there is no
    /// silent default.
    #[must_use]
    pub fn with_default_jerk(mut self, jerk: f64) -> Self {
        self.default_jerk = Some(jerk);
        self
    }

    /// As [`LimitsFile::with_default_jerk`], this acceleration (rad/s2 or m/s2).
    #[must_use]
    pub fn with_default_acceleration(mut self, acceleration: f64) -> Self {
        self.default_acceleration = Some(acceleration);
        self
    }
}

impl LimitError {
    /// The errors of a list, if there are any.
    fn all(mut wrong: Vec<Self>) -> Result<(), Self> {
        match wrong.len() {
            0 => Ok(()),
            1 => Err(wrong.remove(0)),
            _ => Err(Self::Several(wrong)),
        }
    }
}

/// Limits of a joint set, in the order of its names. All finite, except positions of continuous joints.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitSet {
    /// The joints.
    pub names: JointNames,
    /// The limits of each.
    pub joints: Vec<JointLimits>,
    /// Which turn on without end, so that positions whole turns apart are the same place: continuous joints that nothing limits, and that no
    /// follower turns into something else.
    pub continuous: Vec<bool>,
    /// What a default stands in for, and what is likely a mistake: a sentence each.
    pub notes: Vec<String>,
}

impl LimitSet {
    /// The limits of `names`: for each quantity the tightest of what the robot description and the file say. What they say of a joint that
    /// follows another (`<mimic>`) limits the one that leads.
    ///
    /// # Errors
    /// When a joint is not an active joint of the robot, the file has a joint that the robot lacks, a limit is stated by neither, a
    /// default is no limit, or the position limits exclude each other. Everything that is wrong is told at once.
    pub fn new(model: &RobotModel, file: &LimitsFile, names: &JointNames) -> Result<Self, LimitError> {
        let mut wrong = Vec::new();
        let lacking: Vec<String> =
            file.joints.keys().filter(|joint| model.joint(joint).is_none()).map(|joint| format!("'{joint}'")).collect();
        if !lacking.is_empty() {
            let known: Vec<&str> = model.joints().iter().map(|joint| joint.name.as_str()).collect();
            let (joint, known) = (listed(&lacking, ""), listed(&known, "none"));
            wrong.push(LimitError::NoSuchJoint { path: file.path.clone(), joint, known });
        }
        for (name, value, unit) in [
            ("default_acceleration", file.default_acceleration, "rad/s2 (m/s2)"),
            ("default_jerk", file.default_jerk, "rad/s3 (m/s3)"),
        ] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value > 0.0)) {
                wrong.push(LimitError::Default { name, value, unit });
            }
        }
        let n = names.len();
        let (mut joints, mut continuous) = (Vec::with_capacity(n), Vec::with_capacity(n));
        let (mut missing, mut filled) = (Vec::new(), Filled::default());
        for name in names.iter() {
            match joint_limits(model, file, name, &mut missing, &mut filled) {
                Ok(Some(limits)) => {
                    let limited = limits.lower.is_finite() || limits.upper.is_finite();
                    continuous.push(!limited && turns_without_end(model, name));
                    joints.push(limits);
                }
                Ok(None) => {}
                Err(error) => wrong.push(error),
            }
        }
        if !missing.is_empty() {
            wrong.push(LimitError::Missing { missing, path: file.path.clone() });
        }
        LimitError::all(wrong)?;
        let mut notes = filled.in_words(file);
        for (joint, entry) in &file.joints {
            let turns = model.joint(joint).is_some_and(|joint| joint.kind != JointKind::Prismatic);
            if let Some((key, value)) = entry.likely_degrees().filter(|_| turns) {
                notes.push(format!(
                    "{}: {key} of joint '{joint}' is {value}: likely in degrees; radians are wanted, so divide by 57.29578, or write !degrees before it",
                    file.path
                ));
            }
        }
        Ok(Self { names: names.clone(), joints, continuous, notes })
    }

    /// [`LimitSet::new`] with a file's path.
    ///
    /// # Errors
    /// Those of [`LimitsFile::load`] and [`LimitSet::new`].
    pub fn load(model: &RobotModel, path: impl AsRef<Path>, names: &JointNames) -> Result<Self, LimitError> {
        Self::new(model, &LimitsFile::load(path)?, names)
    }

    /// [`LimitSet::new`] with a file's text; errors call it "the joint limits".
    ///
    /// # Errors
    /// Those of [`LimitsFile::parse`] and [`LimitSet::new`].
    pub fn from_model_and_yaml(model: &RobotModel, yaml: &str, names: &JointNames) -> Result<Self, LimitError> {
        Self::new(model, &LimitsFile::parse(yaml, "the joint limits")?, names)
    }

    /// How many joints.
    #[allow(clippy::len_without_is_empty)] // never empty, as JointNames
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The limits of the joint at a place of the order.
    pub fn joint(&self, place: usize) -> Option<JointLimits> {
        self.joints.get(place).copied()
    }
}

/// Whether whole turns of a joint lead back to the same place, of those that follow it as well.
fn turns_without_end(model: &RobotModel, name: &str) -> bool {
    model.joint(name).is_some_and(|joint| joint.kind == JointKind::Continuous)
        && model
            .joints()
            .iter()
            .filter_map(|follower| follower.mimic.as_ref())
            .all(|mimic| mimic.joint != name || mimic.multiplier.fract() == 0.0)
}

/// The tighter of two upper limits, where there are any.
fn smaller(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The tighter of two lower limits, where there are any.
fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// What is known of the limits of a joint: of each quantity, what anybody states.
#[derive(Debug, Clone, Copy, Default)]
struct Stated {
    lower: Option<f64>,
    upper: Option<f64>,
    velocity: Option<f64>,
    acceleration: Option<f64>,
    jerk: Option<f64>,
}

impl Stated {
    /// By the robot description and the file.
    fn of(joint: &Joint, entry: Option<&Entry>) -> Self {
        // A continuous joint needs no positions; what a URDF writes there has no meaning, what the file says has.
        let urdf = if joint.kind == JointKind::Continuous {
            UrdfLimit { lower: None, upper: None, ..joint.limit }
        } else {
            joint.limit
        };
        Self {
            lower: larger(urdf.lower, entry.and_then(Entry::lower)),
            upper: smaller(urdf.upper, entry.and_then(Entry::upper)),
            // A URDF velocity of 0 means "not given" to most readers, and a joint that may not move needs no limits.
            velocity: smaller(urdf.velocity.filter(|v| *v > 0.0), entry.and_then(|e| e.max_velocity)),
            acceleration: entry.and_then(Entry::acceleration),
            jerk: entry.and_then(|e| e.max_jerk),
        }
    }

    /// The same for the joint that this one follows: position = `multiplier` * position of that joint + `offset`.
    fn of_leader(self, mimic: &Mimic) -> Self {
        let Mimic { multiplier, offset, .. } = mimic;
        if *multiplier == 0.0 {
            return Self::default();
        }
        let back = |limit: Option<f64>| limit.map(|limit| (limit - offset) / multiplier);
        let (lower, upper) = (back(self.lower), back(self.upper));
        let (lower, upper) = if *multiplier > 0.0 { (lower, upper) } else { (upper, lower) };
        let rate = |limit: Option<f64>| limit.map(|limit| limit / multiplier.abs());
        Self {
            lower,
            upper,
            velocity: rate(self.velocity),
            acceleration: rate(self.acceleration),
            jerk: rate(self.jerk),
        }
    }

    fn tightest(self, other: Self) -> Self {
        Self {
            lower: larger(self.lower, other.lower),
            upper: smaller(self.upper, other.upper),
            velocity: smaller(self.velocity, other.velocity),
            acceleration: smaller(self.acceleration, other.acceleration),
            jerk: smaller(self.jerk, other.jerk),
        }
    }

    /// The position limits where they leave nothing.
    fn excluded(&self) -> Option<(f64, f64)> {
        let (lower, upper) = (self.lower.unwrap_or(f64::NEG_INFINITY), self.upper.unwrap_or(f64::INFINITY));
        // What is no number excludes as well.
        (lower.is_nan() || upper.is_nan() || lower >= upper).then_some((lower, upper))
    }
}

/// Joints for which a default stood in.
#[derive(Debug, Default)]
struct Filled {
    acceleration: Vec<String>,
    jerk: Vec<String>,
}

impl Filled {
    fn in_words(&self, file: &LimitsFile) -> Vec<String> {
        let told = |joints: &[String], value: Option<f64>, what: &str, parameter: &str, unit: &str| {
            let value = value.filter(|_| !joints.is_empty())?;
            Some(format!("the {what} limit of {} is {parameter}, {value} {unit}: nobody states it", listed(joints, "")))
        };
        [
            told(
                &self.acceleration,
                file.default_acceleration,
                "acceleration",
                "default_acceleration",
                "rad/s2 (m/s2)",
            ),
            told(&self.jerk, file.default_jerk, "jerk", "default_jerk", "rad/s3 (m/s3)"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// The limits of a joint; none where something is missing, which is added to the list.
fn joint_limits(
    model: &RobotModel,
    file: &LimitsFile,
    name: &str,
    missing: &mut Vec<MissingLimit>,
    filled: &mut Filled,
) -> Result<Option<JointLimits>, LimitError> {
    let Some(joint) = model.joint(name).filter(|joint| joint.is_active()) else {
        return Err(LimitError::UnknownJoint(name.to_owned()));
    };
    let mut stated = Stated::of(joint, file.joints.get(name));
    if let Some((lower, upper)) = stated.excluded() {
        return Err(LimitError::Empty { path: file.path.clone(), joint: name.to_owned(), lower, upper });
    }
    // What the joint needs of its own, before those that follow it have their say.
    if stated.acceleration.is_none() && file.default_acceleration.is_some() {
        stated.acceleration = file.default_acceleration;
        filled.acceleration.push(name.to_owned());
    }
    if stated.jerk.is_none() && file.default_jerk.is_some() {
        stated.jerk = file.default_jerk;
        filled.jerk.push(name.to_owned());
    }
    let turns = joint.kind == JointKind::Continuous;
    let before = missing.len();
    let mut needs = |there: bool, limit: &'static str, key: &'static str, parameter: Option<&'static str>| {
        if !there {
            missing.push(MissingLimit { joint: name.to_owned(), limit, key, parameter });
        }
    };
    needs(turns || stated.lower.is_some(), "lower position", "min_position", None);
    needs(turns || stated.upper.is_some(), "upper position", "max_position", None);
    needs(stated.velocity.is_some(), "velocity", "max_velocity", None);
    needs(stated.acceleration.is_some(), "acceleration", "max_acceleration", Some("default_acceleration"));
    needs(stated.jerk.is_some(), "jerk", "max_jerk", Some("default_jerk"));
    if missing.len() > before {
        return Ok(None);
    }
    for follower in model.joints() {
        let Some(mimic) = follower.mimic.as_ref().filter(|mimic| mimic.joint == name) else { continue };
        stated = stated.tightest(Stated::of(follower, file.joints.get(&follower.name)).of_leader(mimic));
        if let Some((lower, upper)) = stated.excluded() {
            let (joint, follower) = (name.to_owned(), follower.name.clone());
            return Err(LimitError::Follower { joint, follower, lower, upper });
        }
    }
    // A follower with an enormous multiplier leaves its leader nothing.
    let mut rate = |limit: Option<f64>, quantity: &'static str, key: &'static str| {
        let right = limit.filter(|v| v.is_finite() && *v > 0.0);
        if right.is_none() {
            missing.push(MissingLimit { joint: name.to_owned(), limit: quantity, key, parameter: None });
        }
        right.unwrap_or_default()
    };
    let limits = JointLimits {
        lower: stated.lower.unwrap_or(f64::NEG_INFINITY),
        upper: stated.upper.unwrap_or(f64::INFINITY),
        velocity: rate(stated.velocity, "velocity", "max_velocity"),
        acceleration: rate(stated.acceleration, "acceleration", "max_acceleration"),
        jerk: rate(stated.jerk, "jerk", "max_jerk"),
    };
    Ok((missing.len() == before).then_some(limits))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panda() -> RobotModel {
        RobotModel::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf")).unwrap()
    }

    fn one(name: &str) -> JointNames {
        JointNames::new([name]).unwrap()
    }

    fn of_joint1(yaml: &str) -> Result<JointLimits, LimitError> {
        LimitSet::from_model_and_yaml(&panda(), yaml, &one("panda_joint1")).map(|set| set.joint(0).unwrap())
    }

    #[test]
    fn an_endless_word_is_not_told_whole() {
        for text in [
            "n".repeat(2000),
            format!("joint_limits: {}", "n".repeat(20_000)),
            format!("joint_limits: {{a: {}}}", "\u{301}".repeat(9000)),
        ] {
            let told = LimitsFile::parse(&text, "limits.yaml").unwrap_err().to_string();
            assert!(told.chars().count() < 500 && told.starts_with("limits.yaml: "), "{told}");
        }
    }

    #[test]
    fn the_repositorys_own_files_give_complete_limits_in_the_order_asked_for() {
        let names = JointNames::new(["panda_finger_joint1", "panda_joint4", "panda_joint1"]).unwrap();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/joint_limits.yaml");
        let set = LimitSet::load(&panda(), path, &names).unwrap();
        let of =
            |lower, upper, velocity, acceleration, jerk| JointLimits { lower, upper, velocity, acceleration, jerk };
        let finger = of(0.0, 0.04, 0.1, 1.0, 20.0);
        let (elbow, base) = (of(-3.0718, -0.0698, 2.175, 6.25, 125.0), of(-2.8973, 2.8973, 2.175, 7.5, 150.0));
        assert_eq!(set.joints, [finger, elbow, base]);
    }

    #[test]
    fn the_tighter_source_wins_for_each_limit() {
        let file = |position: &str, velocity: f64| {
            format!(
                "joint_limits: {{panda_joint1: {{{position}, max_velocity: {velocity}, max_acceleration: 3, max_jerk: 40}}}}"
            )
        };
        let tighter = of_joint1(&file("min_position: -1, max_position: 2", 1.0)).unwrap();
        assert_eq!((tighter.lower, tighter.upper, tighter.velocity), (-1.0, 2.0, 1.0));
        let looser = of_joint1(&file("min_position: -9, max_position: 9", 9.0)).unwrap();
        assert_eq!((looser.lower, looser.upper, looser.velocity), (-2.8973, 2.8973, 2.175));
        assert_eq!((looser.acceleration, looser.jerk), (3.0, 40.0));
    }

    #[test]
    fn moveits_wrapped_form_and_its_switches_are_read() {
        let yaml = "robot_description_planning:\n  joint_limits:\n    panda_joint1:\n      has_velocity_limits: false\n      max_velocity: 0\n      has_acceleration_limits: true\n      max_acceleration: 3\n      has_jerk_limits: true\n      max_jerk: 40\n";
        assert_eq!(of_joint1(yaml).unwrap().velocity, 2.175);
        let off = yaml.replace("has_acceleration_limits: true", "has_acceleration_limits: false");
        assert!(of_joint1(&off).unwrap_err().to_string().contains("no acceleration limit"));
    }

    #[test]
    fn a_missing_limit_names_the_joint_the_key_and_the_file() {
        let names = one("panda_joint1");
        let file = LimitsFile::parse("joint_limits: {panda_joint1: {max_acceleration: 3}}", "arm.yaml").unwrap();
        let message = LimitSet::new(&panda(), &file, &names).unwrap_err().to_string();
        for part in ["panda_joint1", "jerk", "max_jerk", "arm.yaml"] {
            assert!(message.contains(part), "'{message}' should name {part}");
        }
        let stated = LimitSet::new(&panda(), &file.with_default_jerk(99.0), &names).unwrap();
        assert_eq!(stated.joints[0].jerk, 99.0);
        let message = of_joint1("joint_limits: {}").unwrap_err().to_string();
        assert!(message.contains("panda_joint1") && message.contains("acceleration"), "{message}");
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_its_joint() {
        for (yaml, said) in [
            ("joint_limits: {panda_joint1: {max_jerk: -1}}", "max_jerk of joint 'panda_joint1' is -1"),
            ("joint_limits: {panda_joint1: {max_velocity: .nan}}", "max_velocity of joint 'panda_joint1' is NaN"),
            ("joint_limits: {panda_joint1: {max_position: .inf}}", "max_position of joint 'panda_joint1' is inf"),
            ("joint_limits: [1, 2]", "the joint limits"),
            ("joint_limits: {panda_joint1: {max_jerk: fast}}", "fast"),
            ("joints: {}", "no 'joint_limits'"),
            (
                "joint_limits: {panda_joint1: {min_position: 3, max_acceleration: 1, max_jerk: 1}}",
                "no position is left",
            ),
        ] {
            let message = of_joint1(yaml).unwrap_err().to_string();
            assert!(message.contains(said), "'{message}' should say '{said}'");
        }
        let missing = LimitsFile::load("/nowhere/limits.yaml").unwrap_err().to_string();
        assert!(missing.contains("/nowhere/limits.yaml"), "{missing}");
    }

    #[test]
    fn a_joint_that_does_not_move_on_its_own_has_no_limits() {
        for joint in ["panda_joint8", "panda_finger_joint2", "panda_joint9"] {
            let error = LimitSet::from_model_and_yaml(&panda(), "joint_limits: {}", &one(joint)).unwrap_err();
            assert!(matches!(&error, LimitError::UnknownJoint(name) if name == joint), "{error}");
        }
    }

    #[test]
    fn position_limits_are_needed_by_all_but_continuous_joints() {
        let robot = |kind: &str| {
            let urdf = format!(
                "<robot name='r'><link name='a'/><link name='b'/><joint name='j' type='{kind}'><parent link='a'/><child link='b'/>\
                 <limit velocity='1' effort='1'/></joint></robot>"
            );
            let yaml = "joint_limits: {j: {max_acceleration: 1, max_jerk: 1}}";
            LimitSet::from_model_and_yaml(&RobotModel::from_urdf(&urdf).unwrap(), yaml, &one("j"))
        };
        let wheel = robot("continuous").unwrap();
        assert_eq!((wheel.joints[0].lower, wheel.joints[0].upper), (f64::NEG_INFINITY, f64::INFINITY));
        let message = robot("revolute").unwrap_err().to_string();
        assert!(message.contains("'j'") && message.contains("lower position"), "{message}");
    }
}
