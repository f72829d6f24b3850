//! SRDF: groups, named states, and pairs of links that need no collision check.

use crate::model::RobotModel;
use crate::xml::{self, Unread};
use efm_core::reading::{self, beginning};
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
    /// Several of these.
    #[error("{}", reading::all_told(.0))]
    Several(Vec<SrdfError>),
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

/// A joint that the SRDF puts between the robot and what stands around it.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualJoint {
    /// Its name.
    pub name: String,
    /// As written: fixed, floating or planar.
    pub kind: String,
    /// The frame that it stands in.
    pub parent_frame: String,
    /// The link that it carries.
    pub child_link: String,
}

/// The semantic description of a robot; all its links and joints exist in the [`RobotModel`] that it was read for. What it says of others is left out, and
/// told in [`Srdf::notes`], as MoveIt warns and goes on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Srdf {
    groups: Vec<Group>,
    states: Vec<GroupState>,
    virtual_joints: Vec<VirtualJoint>,
    disabled: Vec<DisabledPair>,
    enabled: Vec<DisabledPair>,
    /// Links that are not checked unless a pair of theirs is enabled.
    unchecked: Vec<String>,
    notes: Vec<String>,
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

    /// Reads the text of an SRDF (`robot_description_semantic`). Elements of no meaning here (end effectors, passive joints, spheres) are ignored.
    ///
    /// # Errors
    /// When it is not XML, an attribute is missing, a number is none, or a group does not exist; all that is wrong is told, each with its line. Links and
    /// joints that the robot lacks are no error: see [`Srdf::notes`].
    pub fn parse(xml: &str, model: &RobotModel) -> Result<Self, SrdfError> {
        let document = xml::document(xml).map_err(|unread| match unread {
            Unread::Xml(_) if reading::is_xacro(xml) => SrdfError::Line { line: 1, problem: XACRO.to_owned() },
            Unread::Xml(error) => SrdfError::Xml(error),
            Unread::Bounds(problem) => SrdfError::Line { line: 1, problem },
        })?;
        let root = document.root_element();
        if !root.has_tag_name("robot") {
            return Err(at(root, format!("the root element is <{}>, not <robot>", root.tag_name().name())));
        }
        if reading::is_xacro(xml) {
            return Err(at(root, XACRO.to_owned()));
        }
        let mut srdf = Self::default();
        let mut wrong = Vec::new();
        let all = |tag: &'static str| root.children().filter(move |node| node.has_tag_name(tag));
        for node in all("virtual_joint") {
            match virtual_joint(node) {
                Ok(joint) => srdf.add_virtual(node, joint, model),
                Err(error) => wrong.push(error),
            }
        }
        let nodes: Vec<Node<'_, '_>> = all("group").filter(|n| n.attribute("name").is_some()).collect();
        for node in all("group") {
            if let Err(error) = srdf.read_group(node, &nodes, model, &mut wrong) {
                wrong.push(error);
            }
        }
        for node in all("group_state") {
            if let Err(error) = srdf.read_state(node, model, &mut wrong) {
                wrong.push(error);
            }
        }
        for (tag, enabled) in [("disable_collisions", false), ("enable_collisions", true)] {
            for node in all(tag) {
                let (link1, link2) = match (attribute(node, "link1"), attribute(node, "link2")) {
                    (Ok(link1), Ok(link2)) => (link1.to_owned(), link2.to_owned()),
                    (link1, link2) => {
                        wrong.extend(link1.err().into_iter().chain(link2.err()));
                        continue;
                    }
                };
                if !srdf.knows(node, [&*link1, &*link2], model) {
                    continue;
                }
                let reason = node.attribute("reason").unwrap_or_default().to_owned();
                let pair = DisabledPair { link1, link2, reason };
                if enabled {
                    srdf.enabled.push(pair);
                } else {
                    let (link1, link2) = (pair.link1.clone(), pair.link2.clone());
                    srdf.disabled_names.insert((link1.clone(), link2.clone()));
                    srdf.disabled_names.insert((link2, link1));
                    srdf.disabled.push(pair);
                }
            }
        }
        for node in all("disable_default_collisions") {
            match attribute(node, "link").map(str::to_owned) {
                Ok(link) if srdf.knows(node, [&*link], model) => srdf.unchecked.push(link),
                Ok(_) => {}
                Err(error) => wrong.push(error),
            }
        }
        match wrong.len() {
            0 => Ok(srdf),
            1 => Err(wrong.remove(0)),
            _ => Err(SrdfError::Several(wrong)),
        }
    }

    fn note(&mut self, node: Node<'_, '_>, what: &str) {
        self.notes.push(format!("line {}: {what}", line(node)));
    }

    /// Whether the robot has these links; it is noted which it lacks.
    fn knows<const N: usize>(&mut self, node: Node<'_, '_>, links: [&str; N], model: &RobotModel) -> bool {
        let lacking: Vec<&str> = links.into_iter().filter(|link| model.link(link).is_none()).collect();
        for link in &lacking {
            let what = node.tag_name().name();
            self.note(
                node,
                &format!("<{what}>: the robot description has no link '{}'; it is left out", beginning(link, 80)),
            );
        }
        lacking.is_empty()
    }

    fn add_virtual(&mut self, node: Node<'_, '_>, joint: VirtualJoint, model: &RobotModel) {
        let VirtualJoint { name, kind, child_link, .. } = &joint;
        let root = &model.root().name;
        if kind != "fixed" {
            let what = format!(
                "virtual joint '{name}' is {kind}, and is taken for fixed: the robot is taken to stand where it is"
            );
            self.note(node, &what);
        }
        if model.link(child_link).is_none() {
            let what = format!("virtual joint '{name}' carries link '{child_link}', which the robot description lacks");
            self.note(node, &what);
        } else if child_link != root {
            let what =
                format!("virtual joint '{name}' carries link '{child_link}', but the root of the robot is '{root}'");
            self.note(node, &what);
        }
        self.virtual_joints.push(joint);
    }

    fn read_group(
        &mut self,
        node: Node<'_, '_>,
        nodes: &[Node<'_, '_>],
        model: &RobotModel,
        wrong: &mut Vec<SrdfError>,
    ) -> Result<(), SrdfError> {
        let name = attribute(node, "name")?;
        if self.group(name).is_some() {
            return Err(at(node, format!("group '{name}' is defined twice; keep one")));
        }
        let (joints, done) = (HashSet::new(), HashSet::new());
        let virtual_joints = &self.virtual_joints;
        let (open, notes) = (Vec::new(), Vec::new());
        let mut members = Members { model, nodes, virtual_joints, joints, chain: None, open, done, notes, wrong };
        members.add_group(node, name)?;
        let Members { joints, chain, notes, .. } = members;
        // In the order of the tree, whatever the order of the file.
        let joints = model.joints_root_first().filter(|j| j.is_active() && joints.contains(j.name.as_str()));
        let joints = joints.map(|joint| joint.name.clone()).collect();
        // What groups have in common is noted once.
        for note in notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.groups.push(Group { name: name.to_owned(), joints, chain });
        Ok(())
    }

    fn read_state(
        &mut self,
        node: Node<'_, '_>,
        model: &RobotModel,
        wrong: &mut Vec<SrdfError>,
    ) -> Result<(), SrdfError> {
        let (name, group) = (attribute(node, "name")?.to_owned(), attribute(node, "group")?.to_owned());
        let declared = node.parent().is_some_and(|root| {
            root.children().any(|n| n.has_tag_name("group") && n.attribute("name") == Some(&group))
        });
        if !declared {
            return Err(at(
                node,
                format!(
                    "state '{name}' is of group '{group}', which does not exist; add the group, or take the state out"
                ),
            ));
        }
        let mut positions = Vec::new();
        for joint in node.children().filter(|n| n.has_tag_name("joint")) {
            let (joint_name, text) = match (attribute(joint, "name"), attribute(joint, "value")) {
                (Ok(name), Ok(text)) => (name, text),
                (name, text) => {
                    wrong.extend(name.err().into_iter().chain(text.err()));
                    continue;
                }
            };
            if self.virtual_joints.iter().any(|joint| joint.name == joint_name) {
                continue;
            }
            let Some(value) = text.trim().parse::<f64>().ok().filter(|value| value.is_finite()) else {
                let (text, joint_name) = (beginning(text, 60), beginning(joint_name, 80));
                let problem = format!(
                    "value=\"{text}\" of joint '{joint_name}' in state '{name}' is not a finite number (rad or m)"
                );
                wrong.push(at(joint, problem));
                continue;
            };
            if model.joint(joint_name).is_none() {
                let joint_name = beginning(joint_name, 80);
                let what = format!("state '{name}': the robot description has no joint '{joint_name}'; it is left out");
                self.note(joint, &what);
                continue;
            }
            positions.push((joint_name.to_owned(), value));
        }
        self.states.push(GroupState { name, group, positions });
        Ok(())
    }

    /// What is left out, or taken otherwise than it is written: a sentence each, with its line.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The joints between the robot and what stands around it.
    pub fn virtual_joints(&self) -> &[VirtualJoint] {
        &self.virtual_joints
    }

    /// Pairs of links that are checked although [`Srdf::unchecked_links`] or their joint speaks against it.
    pub fn enabled_pairs(&self) -> &[DisabledPair] {
        &self.enabled
    }

    /// Links that are checked against nothing but what [`Srdf::enabled_pairs`] pairs them with (`disable_default_collisions`).
    pub fn unchecked_links(&self) -> &[String] {
        &self.unchecked
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

const XACRO: &str =
    "this is xacro, from which an SRDF is made first: `xacro robot.srdf.xacro > robot.srdf` (`pip install xacro`)";

/// Collects what belongs to a group.
struct Members<'a, 'x, 'i> {
    model: &'a RobotModel,
    nodes: &'a [Node<'x, 'i>],
    virtual_joints: &'a [VirtualJoint],
    joints: HashSet<&'a str>,
    chain: Option<(String, String)>,
    /// Groups that are being collected, against rings.
    open: Vec<String>,
    /// Groups that have been collected: without this, groups of groups could take forever.
    done: HashSet<String>,
    notes: Vec<String>,
    wrong: &'a mut Vec<SrdfError>,
}

impl Members<'_, '_, '_> {
    /// As MoveIt reads it: a link brings its parent joint, a chain the joints along it, a subgroup all of its own; what the robot lacks is left out.
    fn add_group(&mut self, group: Node<'_, '_>, name: &str) -> Result<(), SrdfError> {
        if self.open.iter().any(|open| open == name) {
            return Err(at(group, format!("group '{name}' contains itself; take it out of the group within")));
        }
        if self.done.contains(name) {
            return Ok(());
        }
        if self.open.len() == DEEPEST {
            return Err(at(group, format!("group '{name}' is the last of more than {DEEPEST} groups within groups")));
        }
        self.open.push(name.to_owned());
        for member in group.children().filter(Node::is_element) {
            let Err(error) = self.add(member, name) else { continue };
            if self.open.len() > 1 {
                self.open.pop();
                return Err(error);
            }
            // What is wrong within a group within this one is told where that one is read, too.
            let text = error.to_string();
            if !self.wrong.iter().any(|told| told.to_string() == text) {
                self.wrong.push(error);
            }
        }
        self.done.extend(self.open.pop());
        Ok(())
    }

    fn lacks(&mut self, member: Node<'_, '_>, group: &str, what: &str, name: &str) {
        let name = beginning(name, 80);
        let note = format!("group '{group}': the robot description has no {what} '{name}'; it is left out");
        self.notes.push(format!("line {}: {note}", line(member)));
    }

    fn add(&mut self, member: Node<'_, '_>, group: &str) -> Result<(), SrdfError> {
        match member.tag_name().name() {
            "chain" => {
                let (base, tip) = (attribute(member, "base_link")?, attribute(member, "tip_link")?);
                let lacking: Vec<&str> =
                    [base, tip].into_iter().filter(|link| self.model.link(link).is_none()).collect();
                for link in &lacking {
                    self.lacks(member, group, "link", link);
                }
                if !lacking.is_empty() {
                    return Ok(());
                }
                let Some(way) = self.model.joints_between(base, tip) else {
                    let problem = format!(
                        "group '{group}': link '{tip}' is not below link '{base}'; exchange base_link and tip_link, or name others"
                    );
                    return Err(at(member, problem));
                };
                self.joints.extend(way.iter().map(|joint| joint.name.as_str()));
                if self.open.len() == 1 {
                    self.chain = Some((base.to_owned(), tip.to_owned()));
                }
            }
            "link" => {
                let name = attribute(member, "name")?;
                let Some(link) = self.model.link(name) else {
                    self.lacks(member, group, "link", name);
                    return Ok(());
                };
                self.joints.extend(link.parent_joint.map(|joint| self.model.joints()[joint].name.as_str()));
            }
            "joint" => {
                let name = attribute(member, "name")?;
                if let Some(joint) = self.model.joint(name) {
                    self.joints.insert(&joint.name);
                } else if !self.virtual_joints.iter().any(|joint| joint.name == name) {
                    self.lacks(member, group, "joint", name);
                }
            }
            "group" => {
                let name = attribute(member, "name")?;
                let Some(&sub) = self.nodes.iter().find(|node| node.attribute("name") == Some(name)) else {
                    return Err(at(
                        member,
                        format!("group '{name}' does not exist; add it, or take it out of '{group}'"),
                    ));
                };
                self.add_group(sub, name)?;
            }
            // Passive joints do not move on their own; anything else is not of this format's version.
            _ => {}
        }
        Ok(())
    }
}

fn virtual_joint(node: Node<'_, '_>) -> Result<VirtualJoint, SrdfError> {
    let text = |name: &str| attribute(node, name).map(str::to_owned);
    let (name, kind, child_link) = (text("name")?, text("type")?, text("child_link")?);
    if !["fixed", "floating", "planar"].contains(&kind.as_str()) {
        let kind = beginning(&kind, 40);
        return Err(at(node, format!("virtual joint '{name}' has type '{kind}'; fixed, floating and planar are")));
    }
    let parent_frame = node.attribute("parent_frame").unwrap_or_default().to_owned();
    Ok(VirtualJoint { name, kind, parent_frame, child_link })
}

fn line(node: Node<'_, '_>) -> u32 {
    node.document().text_pos_at(node.range().start).row
}

fn at(node: Node<'_, '_>, problem: String) -> SrdfError {
    SrdfError::Line { line: line(node), problem }
}

fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, SrdfError> {
    let tag = node.tag_name().name();
    node.attribute(name).ok_or_else(|| at(node, format!("<{tag}> has no attribute '{name}'; give {name}=\"...\"")))
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
            ("<disable_collisions link1='panda_link0'/>", "no attribute 'link2'"),
            ("<group name='g'><chain base_link='panda_hand' tip_link='panda_link0'/></group>", "not below"),
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
