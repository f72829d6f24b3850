//! SRDF: groups, named states, and pairs of links that need no collision check.

use crate::model::RobotModel;
use crate::xml::{self, Unread};
use efm_core::reading;
use roxmltree::Node;
use std::collections::HashSet;
use std::path::Path;

/// Why a semantic description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SrdfError {
    /// The file cannot be read.
    #[error("the semantic description '{path}' cannot be read: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// What a file holds cannot be used.
    #[error("'{path}': {source}")]
    InFile {
        /// Which file.
        path: String,
        /// What is wrong with it.
        source: Box<SrdfError>,
    },
    /// Not XML.
    #[error("the semantic description is not well-formed XML: {}", efm_core::reading::said_by_parser(.0))]
    Xml(#[from] roxmltree::Error),
    /// XML, but no SRDF of this robot.
    #[error("line {line} of the semantic description: {problem}")]
    Line {
        /// Which line, from 1.
        line: u32,
        /// What is wrong.
        problem: String,
    },
}

/// Groups within groups.
const DEEPEST: usize = 64;

/// A named set of joints.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The joints that move on their own, in the order from the root of the robot outwards.
    pub joints: Vec<String>,
    /// Base and tip link of the chain, when the group is one.
    pub chain: Option<(String, String)>,
}

/// Named positions of a group's joints.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// The group.
    pub group: String,
    /// Joint and position (radians or metres), as written.
    pub positions: Vec<(String, f64)>,
}

/// Two links between which collisions are not checked.
#[derive(Debug, Clone, PartialEq)]
pub struct DisabledPair {
    /// A link.
    pub link1: String,
    /// Another.
    pub link2: String,
    /// Why, as written ("Adjacent", "Never", ...).
    pub reason: String,
}

/// The semantic description of a robot; all its links and joints exist in the [`RobotModel`] that it was read for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Srdf {
    groups: Vec<Group>,
    states: Vec<GroupState>,
    disabled: Vec<DisabledPair>,
    /// Both orders of each disabled pair.
    disabled_names: HashSet<(String, String)>,
}

impl Srdf {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or as [`Srdf::parse`].
    pub fn load(path: impl AsRef<Path>, model: &RobotModel) -> Result<Self, SrdfError> {
        let path = path.as_ref();
        let shown = || path.display().to_string();
        let xml =
            reading::text(path, reading::DESCRIPTION).map_err(|source| SrdfError::File { path: shown(), source })?;
        Self::parse(&xml, model).map_err(|error| SrdfError::InFile { path: shown(), source: Box::new(error) })
    }

    /// Reads the text of an SRDF (`robot_description_semantic`). Elements that are not groups, states or disabled collisions are ignored.
    ///
    /// # Errors
    /// When it is not XML, an attribute is missing, or a link, joint or group does not exist; the line is named.
    pub fn parse(xml: &str, model: &RobotModel) -> Result<Self, SrdfError> {
        let document = xml::document(xml).map_err(|unread| match unread {
            Unread::Xml(error) => SrdfError::Xml(error),
            Unread::Bounds(problem) => SrdfError::Line { line: 1, problem },
        })?;
        let root = document.root_element();
        if !root.has_tag_name("robot") {
            return Err(at(root, format!("the root element is <{}>, not <robot>", root.tag_name().name())));
        }
        let mut srdf = Self::default();
        let nodes: Vec<Node<'_, '_>> =
            root.children().filter(|n| n.has_tag_name("group") && n.attribute("name").is_some()).collect();
        for node in root.children().filter(|n| n.has_tag_name("group")) {
            let name = attribute(node, "name")?;
            if srdf.group(name).is_some() {
                return Err(at(node, format!("group '{name}' is defined twice; keep one")));
            }
            let (joints, done) = (HashSet::new(), HashSet::new());
            let mut members = Members { model, nodes: &nodes, joints, chain: None, open: Vec::new(), done };
            members.add_group(node, name)?;
            let Members { joints, chain, .. } = members;
            // In the order of the tree, whatever the order of the file.
            let joints = model.joints_root_first().filter(|j| j.is_active() && joints.contains(j.name.as_str()));
            let joints = joints.map(|joint| joint.name.clone()).collect();
            srdf.groups.push(Group { name: name.to_owned(), joints, chain });
        }
        for node in root.children().filter(|n| n.has_tag_name("group_state")) {
            srdf.read_state(node, model)?;
        }
        for node in root.children().filter(|n| n.has_tag_name("disable_collisions")) {
            let (link1, link2) = (link(node, "link1", model)?.to_owned(), link(node, "link2", model)?.to_owned());
            srdf.disabled_names.insert((link1.clone(), link2.clone()));
            srdf.disabled_names.insert((link2.clone(), link1.clone()));
            let reason = node.attribute("reason").unwrap_or_default().to_owned();
            srdf.disabled.push(DisabledPair { link1, link2, reason });
        }
        Ok(srdf)
    }

    fn read_state(&mut self, node: Node<'_, '_>, model: &RobotModel) -> Result<(), SrdfError> {
        let (name, group) = (attribute(node, "name")?.to_owned(), attribute(node, "group")?.to_owned());
        if self.group(&group).is_none() {
            return Err(at(node, format!("state '{name}' is of group '{group}', which does not exist")));
        }
        let mut positions = Vec::new();
        for joint in node.children().filter(|n| n.has_tag_name("joint")) {
            let joint_name = attribute(joint, "name")?;
            if model.joint(joint_name).is_none() {
                return Err(at(joint, format!("joint '{joint_name}' does not exist in the robot description")));
            }
            let text = attribute(joint, "value")?;
            match text.trim().parse::<f64>() {
                Ok(value) if value.is_finite() => positions.push((joint_name.to_owned(), value)),
                _ => return Err(at(joint, format!("value=\"{text}\" of joint '{joint_name}' is not a finite number"))),
            }
        }
        self.states.push(GroupState { name, group, positions });
        Ok(())
    }

    /// All groups, in the order of the file.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A group by name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// All named states, in the order of the file.
    pub fn states(&self) -> &[GroupState] {
        &self.states
    }

    /// A named state of a group.
    pub fn state(&self, group: &str, name: &str) -> Option<&GroupState> {
        self.states.iter().find(|state| state.group == group && state.name == name)
    }

    /// The pairs of links that need no collision check.
    pub fn disabled_pairs(&self) -> &[DisabledPair] {
        &self.disabled
    }

    /// Whether two links need no collision check, in either order.
    pub fn is_disabled(&self, link1: &str, link2: &str) -> bool {
        self.disabled_names.contains(&(link1.to_owned(), link2.to_owned()))
    }
}

impl GroupState {
    /// Position of a joint in this state.
    pub fn position(&self, joint: &str) -> Option<f64> {
        self.positions.iter().find(|(name, _)| name == joint).map(|(_, position)| *position)
    }

    /// The positions of all joints of `names` in their order.
    ///
    /// # Errors
    /// The first joint that the state does not mention.
    pub fn in_order_of<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Result<Vec<f64>, String> {
        names.into_iter().map(|name| self.position(name).ok_or_else(|| name.to_owned())).collect()
    }
}

/// Collects what belongs to a group.
struct Members<'a, 'x, 'i> {
    model: &'a RobotModel,
    nodes: &'a [Node<'x, 'i>],
    joints: HashSet<&'a str>,
    chain: Option<(String, String)>,
    /// Groups that are being collected, against rings.
    open: Vec<String>,
    /// Groups that have been collected: without this, groups of groups could take forever.
    done: HashSet<String>,
}

impl Members<'_, '_, '_> {
    /// As MoveIt reads it: a link brings its parent joint, a chain the joints along it, a subgroup all of its own.
    fn add_group(&mut self, group: Node<'_, '_>, name: &str) -> Result<(), SrdfError> {
        if self.open.iter().any(|open| open == name) {
            return Err(at(group, format!("group '{name}' contains itself")));
        }
        if self.done.contains(name) {
            return Ok(());
        }
        if self.open.len() == DEEPEST {
            return Err(at(group, format!("group '{name}' is the last of more than {DEEPEST} groups within groups")));
        }
        self.open.push(name.to_owned());
        for member in group.children().filter(Node::is_element) {
            match member.tag_name().name() {
                "chain" => {
                    let (base, tip) = (link(member, "base_link", self.model)?, link(member, "tip_link", self.model)?);
                    let Some(way) = self.model.joints_between(base, tip) else {
                        return Err(at(member, format!("link '{tip}' is not below link '{base}'")));
                    };
                    self.joints.extend(way.iter().map(|joint| joint.name.as_str()));
                    if self.open.len() == 1 {
                        self.chain = Some((base.to_owned(), tip.to_owned()));
                    }
                }
                "link" => {
                    let name = link(member, "name", self.model)?;
                    let carrier = self.model.link(name).and_then(|link| link.parent_joint);
                    self.joints.extend(carrier.map(|joint| self.model.joints()[joint].name.as_str()));
                }
                "joint" => {
                    let name = attribute(member, "name")?;
                    let Some(joint) = self.model.joint(name) else {
                        return Err(at(member, format!("joint '{name}' does not exist in the robot description")));
                    };
                    self.joints.insert(&joint.name);
                }
                "group" => {
                    let name = attribute(member, "name")?;
                    let Some(&sub) = self.nodes.iter().find(|node| node.attribute("name") == Some(name)) else {
                        return Err(at(member, format!("group '{name}' does not exist")));
                    };
                    self.add_group(sub, name)?;
                }
                // Passive joints do not move on their own; anything else is not of this format's version.
                _ => {}
            }
        }
        self.done.extend(self.open.pop());
        Ok(())
    }
}

fn at(node: Node<'_, '_>, problem: String) -> SrdfError {
    SrdfError::Line { line: node.document().text_pos_at(node.range().start).row, problem }
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, SrdfError> {
    node.attribute(name).ok_or_else(|| at(node, format!("<{}> has no attribute '{name}'", node.tag_name().name())))
}

fn link<'a>(node: Node<'a, '_>, name: &str, model: &RobotModel) -> Result<&'a str, SrdfError> {
    let link = attribute(node, name)?;
    match model.link(link) {
        Some(_) => Ok(link),
        None => Err(at(node, format!("link '{link}' does not exist in the robot description"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Chain, TreeKinematics};
    use efm_core::JointNames;
    use nalgebra::{Isometry3, Point3};
    use proptest::prelude::*;
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4};
    use std::sync::LazyLock;

    fn panda() -> RobotModel {
        RobotModel::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf")).unwrap()
    }

    static PANDA: LazyLock<(RobotModel, Srdf)> = LazyLock::new(|| {
        let model = panda();
        let srdf = pandas(&model);
        (model, srdf)
    });

    fn pandas(model: &RobotModel) -> Srdf {
        Srdf::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.srdf"), model).unwrap()
    }

    #[test]
    fn the_pandas_groups_are_the_chain_the_hand_and_both() {
        let model = panda();
        let srdf = pandas(&model);
        let arm = srdf.group("panda_arm").unwrap();
        let (base, tip) = arm.chain.clone().unwrap();
        let chain = Chain::new(&model, &base, &tip).unwrap();
        assert_eq!(arm.joints, chain.joint_names().as_slice());
        assert_eq!(srdf.group("hand").unwrap().joints, ["panda_finger_joint1"]);
        let both = &srdf.group("panda_arm_hand").unwrap().joints;
        assert_eq!(both.len(), 8);
        assert_eq!(both[7], "panda_finger_joint1");
    }

    #[test]
    fn the_ready_state_is_given_for_every_joint_of_its_group() {
        let model = panda();
        let srdf = pandas(&model);
        let ready = srdf.state("panda_arm", "ready").unwrap();
        let q = ready.in_order_of(srdf.group("panda_arm").unwrap().joints.iter().map(String::as_str)).unwrap();
        assert_eq!(q, [0.0, -FRAC_PI_4, 0.0, -3.0 * FRAC_PI_4, 0.0, FRAC_PI_2, FRAC_PI_4]);
        assert_eq!(srdf.state("hand", "open").unwrap().position("panda_finger_joint1"), Some(0.035));
        assert_eq!(srdf.state("hand", "close").unwrap().position("panda_finger_joint2"), Some(0.0));
        assert_eq!(ready.in_order_of(["panda_finger_joint1"]), Err("panda_finger_joint1".to_owned()));
    }

    #[test]
    fn neighbours_are_not_checked_and_distant_links_are() {
        let model = panda();
        let srdf = pandas(&model);
        for joint in model.joints() {
            let (parent, child) = (&model.links()[joint.parent], &model.links()[joint.child]);
            if !parent.collisions.is_empty() && !child.collisions.is_empty() {
                assert!(srdf.is_disabled(&parent.name, &child.name), "{} {}", parent.name, child.name);
                assert!(srdf.is_disabled(&child.name, &parent.name));
            }
        }
        assert!(!srdf.is_disabled("panda_link0", "panda_hand"));
        assert!(!srdf.is_disabled("panda_link1", "panda_link7"));
    }

    #[test]
    fn no_checked_pair_of_the_panda_touches_in_the_ready_pose() {
        let model = panda();
        let srdf = pandas(&model);
        let names = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
        let tree = TreeKinematics::new(&model, &names).unwrap();
        let ready = srdf.state("panda_arm_hand", "ready").unwrap().in_order_of(names.iter()).unwrap();
        let mut poses = vec![Isometry3::identity(); tree.links()];
        tree.link_poses(&ready, &mut poses);
        for (i, one) in model.links().iter().enumerate() {
            for (j, other) in model.links().iter().enumerate().skip(i + 1) {
                if !srdf.is_disabled(&one.name, &other.name) {
                    let clearance = clearance(&model, &poses, i, j);
                    assert!(clearance > 0.005, "{} and {}: {clearance}", one.name, other.name);
                }
            }
        }
    }

    /// Least distance between the capsules of two links: sampled along the one, exact on the other. Infinite without shapes.
    fn clearance(model: &RobotModel, poses: &[Isometry3<f64>], i: usize, j: usize) -> f64 {
        let capsules = |link: usize| -> Vec<(Point3<f64>, Point3<f64>, f64)> {
            let own = model.links()[link].collisions.iter().filter_map(|c| c.enclosing_capsule());
            own.map(|(a, b, r)| (poses[link] * a, poses[link] * b, r)).collect()
        };
        let mut least = f64::INFINITY;
        for (a, b, r) in capsules(i) {
            for (c, d, s) in capsules(j) {
                for k in 0..=40 {
                    let p = a + (b - a) * (f64::from(k) / 40.0);
                    let along = d - c;
                    let t = (p - c).dot(&along) / along.norm_squared().max(1e-12);
                    least = least.min((p - (c + along * t.clamp(0.0, 1.0))).norm() - r - s);
                }
            }
        }
        least
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn a_pair_that_is_said_never_to_touch_never_does(shares in prop::collection::vec(0.0..1.0_f64, 8)) {
            let (model, srdf) = &*PANDA;
            let names = JointNames::new(srdf.group("panda_arm_hand").unwrap().joints.clone()).unwrap();
            let within = |(name, share): (&str, f64)| {
                let limit = model.joint(name).unwrap().limit;
                let (lower, upper) = (limit.lower.unwrap(), limit.upper.unwrap());
                lower + (upper - lower) * share
            };
            let q: Vec<f64> = names.iter().zip(shares).map(within).collect();
            let tree = TreeKinematics::new(model, &names).unwrap();
            let mut poses = vec![Isometry3::identity(); tree.links()];
            tree.link_poses(&q, &mut poses);
            for pair in srdf.disabled_pairs().iter().filter(|pair| pair.reason == "Never") {
                // Links 1 and 3 meet at the shoulder, whatever the posture: "never" is said of their real shapes.
                if (pair.link1.as_str(), pair.link2.as_str()) == ("panda_link1", "panda_link3") {
                    continue;
                }
                let place = |link: &str| model.link_index(link).unwrap();
                let clearance = clearance(model, &poses, place(&pair.link1), place(&pair.link2));
                prop_assert!(clearance > 0.0, "{} and {}: {clearance}", pair.link1, pair.link2);
            }
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let model = panda();
        for (body, said) in [
            ("<disable_collisions link1='panda_link0' link2='elbow'/>", "link 'elbow' does not exist"),
            ("<disable_collisions link1='panda_link0'/>", "no attribute 'link2'"),
            ("<group name='g'><chain base_link='panda_hand' tip_link='panda_link0'/></group>", "not below"),
            ("<group name='g'><joint name='knee'/></group>", "joint 'knee' does not exist"),
            ("<group name='g'><group name='h'/></group>", "group 'h' does not exist"),
            ("<group name='g'><group name='g'/></group>", "contains itself"),
            ("<group/>", "no attribute 'name'"),
            ("<group_state name='s' group='h'/>", "group 'h', which does not exist"),
            (
                "<group name='g'/><group_state name='s' group='g'><joint name='panda_joint1' value='up'/></group_state>",
                "value=\"up\"",
            ),
        ] {
            let error = Srdf::parse(&format!("<robot name='panda'>\n{body}</robot>"), &model).unwrap_err().to_string();
            assert!(error.starts_with("line 2 ") && error.contains(said), "'{error}' should say '{said}'");
        }
        assert!(matches!(Srdf::parse("<robot", &model), Err(SrdfError::Xml(_))));
        assert!(Srdf::parse("<urdf/>", &model).unwrap_err().to_string().contains("<urdf>"));
    }
}
