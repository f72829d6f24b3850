//! Joint limits from the URDF and from a file in MoveIt's format; the tighter one holds.

use crate::model::{Joint, JointKind, Mimic, RobotModel, UrdfLimit};
use efm_core::reading::{self, listed, said_by_parser};
use efm_core::{JointLimits, JointNames};
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
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
    /// The file limits a joint that the robot does not have: a misspelt one would stay unlimited.
    #[error("{path}: joint '{joint}' does not exist in the robot description, whose joints are {known}")]
    NoSuchJoint {
        /// Which file.
        path: String,
        /// Which joint.
        joint: String,
        /// The joints that exist.
        known: String,
    },
    /// A joint of the set does not exist or does not move on its own.
    #[error("joint '{0}' is not an active joint of the robot description")]
    UnknownJoint(String),
    /// Neither the URDF nor the file has a limit.
    #[error("joint '{joint}' has no {limit} limit: neither the robot description nor {path} gives one (add '{key}')")]
    Missing {
        /// Which joint.
        joint: String,
        /// Which quantity.
        limit: &'static str,
        /// The key that would give it.
        key: &'static str,
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
    /// The jerk that is used where the file gives none.
    #[error("default_jerk is {0}; it must be finite and above 0, in rad/s3 (m/s3)")]
    DefaultJerk(f64),
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
    #[error("joint '{joint}': no position is left between lower limit {lower} and upper limit {upper}")]
    Empty {
        /// Which joint.
        joint: String,
        /// The highest of the lower limits.
        lower: f64,
        /// The lowest of the upper limits.
        upper: f64,
    },
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

    /// The first value that cannot limit: its key, what it is and what would be right.
    fn wrong(&self) -> Option<(&'static str, f64, &'static str)> {
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
        let mut all = positive.chain(finite.into_iter().map(|(key, value)| (key, value, "finite")));
        all.find_map(|(key, value, right)| {
            let value = value.filter(|v| !v.is_finite() || right != "finite" && *v <= 0.0)?;
            Some((key, value, right))
        })
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

/// The joints of a file; one that is listed twice is an error, where a plain map would keep the last.
#[derive(Debug, Clone, Default, PartialEq)]
struct Entries(BTreeMap<String, Entry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Joints;
        impl<'de> Visitor<'de> for Joints {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the joints, each with its limits")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut joints = BTreeMap::new();
                while let Some(joint) = map.next_key::<String>()? {
                    // The path in the message stops at the map: the joint is named here.
                    let entry =
                        map.next_value().map_err(|error| A::Error::custom(format!("joint '{joint}': {error}")))?;
                    if joints.contains_key(&joint) {
                        return Err(A::Error::custom(format!("joint '{joint}' is listed twice; keep one")));
                    }
                    joints.insert(joint, entry);
                }
                Ok(Entries(joints))
            }
        }
        deserializer.deserialize_map(Joints)
    }
}

/// A limits file in MoveIt's format (`joint_limits.yaml`), read but not yet matched with a robot.
///
/// `has_..._limits: false` makes the file silent on that quantity; without the switch, a value that is there counts. A `max_deceleration`
/// limits acceleration too, and soft limits are taken for limits: the tighter holds.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsFile {
    path: String,
    joints: BTreeMap<String, Entry>,
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
    /// When it is not YAML of that form, or a value is not a number that can limit.
    pub fn parse(yaml: &str, path: &str) -> Result<Self, LimitError> {
        #[derive(Deserialize)]
        struct Inner {
            joint_limits: Option<Entries>,
        }
        #[derive(Deserialize)]
        struct File {
            joint_limits: Option<Entries>,
            robot_description_planning: Option<Inner>,
        }
        let wrong = |source| LimitError::Yaml { path: path.to_owned(), source };
        if let Some(problem) = reading::too_many_brackets(yaml) {
            return Err(wrong(serde_yaml::Error::custom(problem)));
        }
        // An empty file is one without limits.
        let file: Option<File> = serde_yaml::from_str(yaml).map_err(wrong)?;
        let (plain, wrapped) = match file {
            Some(file) => (file.joint_limits, file.robot_description_planning.and_then(|inner| inner.joint_limits)),
            None => (None, None),
        };
        if plain.is_some() && wrapped.is_some() {
            let problem = "'joint_limits' stands at the top and in 'robot_description_planning' too; keep one";
            return Err(wrong(serde_yaml::Error::custom(problem)));
        }
        let Some(Entries(mut joints)) = plain.or(wrapped) else {
            return Err(LimitError::NoLimits { path: path.to_owned() });
        };
        for (joint, entry) in &mut joints {
            if let Some(problem) = reading::wrong_name(joint) {
                return Err(wrong(serde_yaml::Error::custom(format!("the name of a joint cannot be: {problem}"))));
            }
            entry.silence();
            if let Some((key, value, right)) = entry.wrong() {
                return Err(LimitError::Value { path: path.to_owned(), joint: joint.clone(), key, value, right });
            }
        }
        Ok(Self { path: path.to_owned(), joints, default_jerk: None })
    }

    /// Uses this jerk (rad/s3 or m/s3) for joints to which the file gives none, as older MoveIt files do. It must be stated: there is no
    /// silent default.
    #[must_use]
    pub fn with_default_jerk(mut self, jerk: f64) -> Self {
        self.default_jerk = Some(jerk);
        self
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
}

impl LimitSet {
    /// The limits of `names`: for each quantity the tightest of what the robot description and the file say. What they say of a joint that
    /// follows another (`<mimic>`) limits the one that leads.
    ///
    /// # Errors
    /// When a joint is not an active joint of the robot, the file has a joint that the robot lacks, a limit is stated by neither, the default
    /// jerk is no limit, or the position limits exclude each other.
    pub fn new(model: &RobotModel, file: &LimitsFile, names: &JointNames) -> Result<Self, LimitError> {
        if let Some(joint) = file.joints.keys().find(|joint| model.joint(joint).is_none()) {
            let known: Vec<&str> = model.joints().iter().map(|joint| joint.name.as_str()).collect();
            let known = listed(&known, "none");
            return Err(LimitError::NoSuchJoint { path: file.path.clone(), joint: joint.clone(), known });
        }
        if let Some(jerk) = file.default_jerk.filter(|jerk| !(jerk.is_finite() && *jerk > 0.0)) {
            return Err(LimitError::DefaultJerk(jerk));
        }
        let n = names.len();
        let mut set = Self { names: names.clone(), joints: Vec::with_capacity(n), continuous: Vec::with_capacity(n) };
        for name in names.iter() {
            let limits = joint_limits(model, file, name)?;
            let limited = limits.lower.is_finite() || limits.upper.is_finite();
            set.continuous.push(!limited && turns_without_end(model, name));
            set.joints.push(limits);
        }
        Ok(set)
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

fn joint_limits(model: &RobotModel, file: &LimitsFile, name: &str) -> Result<JointLimits, LimitError> {
    let Some(joint) = model.joint(name).filter(|joint| joint.is_active()) else {
        return Err(LimitError::UnknownJoint(name.to_owned()));
    };
    let mut stated = Stated::of(joint, file.joints.get(name));
    if let Some((lower, upper)) = stated.excluded() {
        return Err(LimitError::Empty { joint: name.to_owned(), lower, upper });
    }
    let missing = |limit: &'static str, key: &'static str| LimitError::Missing {
        joint: name.to_owned(),
        limit,
        key,
        path: file.path.clone(),
    };
    // What the joint needs of its own, before those that follow it have their say.
    if joint.kind != JointKind::Continuous {
        stated.lower.ok_or_else(|| missing("lower position", "min_position"))?;
        stated.upper.ok_or_else(|| missing("upper position", "max_position"))?;
    }
    stated.velocity.ok_or_else(|| missing("velocity", "max_velocity"))?;
    stated.acceleration.ok_or_else(|| missing("acceleration", "max_acceleration"))?;
    stated.jerk = stated.jerk.or(file.default_jerk);
    stated.jerk.ok_or_else(|| missing("jerk", "max_jerk"))?;
    for follower in model.joints() {
        let Some(mimic) = follower.mimic.as_ref().filter(|mimic| mimic.joint == name) else { continue };
        stated = stated.tightest(Stated::of(follower, file.joints.get(&follower.name)).of_leader(mimic));
        if let Some((lower, upper)) = stated.excluded() {
            let (joint, follower) = (name.to_owned(), follower.name.clone());
            return Err(LimitError::Follower { joint, follower, lower, upper });
        }
    }
    let rate = |limit: Option<f64>, quantity, key| {
        // A follower with an enormous multiplier leaves its leader nothing.
        limit.filter(|v| v.is_finite() && *v > 0.0).ok_or_else(|| missing(quantity, key))
    };
    Ok(JointLimits {
        lower: stated.lower.unwrap_or(f64::NEG_INFINITY),
        upper: stated.upper.unwrap_or(f64::INFINITY),
        velocity: rate(stated.velocity, "velocity", "max_velocity")?,
        acceleration: rate(stated.acceleration, "acceleration", "max_acceleration")?,
        jerk: rate(stated.jerk, "jerk", "max_jerk")?,
    })
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
