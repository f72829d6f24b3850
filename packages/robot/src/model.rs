//! The URDF as a checked tree.

use crate::shape::Primitive;
use crate::written::{self, WrittenJoint};
use crate::xml::{self, Unread};
use efm_core::reading;
use nalgebra::{Isometry3, Matrix3, Translation3, Unit, UnitQuaternion, Vector3};
use std::collections::HashMap;
use std::path::Path;

/// How a joint moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JointKind {
    /// Turns about its axis between position limits.
    Revolute,
    /// Turns about its axis without position limits.
    Continuous,
    /// Slides along its axis between position limits.
    Prismatic,
    /// Does not move.
    Fixed,
}

/// What the `<limit>` of a joint really says. What is absent is absent: it is neither zero nor infinity.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UrdfLimit {
    /// Lowest position, radians or metres.
    pub lower: Option<f64>,
    /// Highest position, radians or metres.
    pub upper: Option<f64>,
    /// Highest speed, radians or metres a second.
    pub velocity: Option<f64>,
    /// Highest effort, newton metres or newtons.
    pub effort: Option<f64>,
}

/// A joint that follows another: position = `multiplier` * position of `joint` + `offset`.
#[derive(Debug, Clone, PartialEq)]
pub struct Mimic {
    /// The joint that leads.
    pub joint: String,
    /// Factor.
    pub multiplier: f64,
    /// Radians or metres.
    pub offset: f64,
}

/// A joint of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Joint {
    /// Unique among the joints.
    pub name: String,
    /// How it moves.
    pub kind: JointKind,
    /// Place of the parent link in [`RobotModel::links`].
    pub parent: usize,
    /// Place of the child link in [`RobotModel::links`].
    pub child: usize,
    /// Pose of the joint's frame (= the child's at position 0) in the parent link's frame.
    pub origin: Isometry3<f64>,
    /// Axis in the joint's frame.
    pub axis: Unit<Vector3<f64>>,
    /// Limits as the URDF gives them.
    pub limit: UrdfLimit,
    /// Viscous damping, N m s/rad or N s/m; 0 where the URDF says nothing.
    pub damping: f64,
    /// Which joint it follows, if any.
    pub mimic: Option<Mimic>,
}

impl Joint {
    /// Pose of the child link in the parent link's frame at position `q` (radians or metres; ignored by a fixed joint).
    pub fn transform(&self, q: f64) -> Isometry3<f64> {
        self.origin * motion(self.kind, &self.axis, q)
    }

    /// Whether it has a position of its own: neither fixed nor following another.
    pub fn is_active(&self) -> bool {
        self.kind != JointKind::Fixed && self.mimic.is_none()
    }
}

/// The motion of a joint in its own frame.
pub(crate) fn motion(kind: JointKind, axis: &Unit<Vector3<f64>>, q: f64) -> Isometry3<f64> {
    match kind {
        JointKind::Fixed => Isometry3::identity(),
        JointKind::Prismatic => Translation3::from(axis.into_inner() * q).into(),
        JointKind::Revolute | JointKind::Continuous => {
            Isometry3::from_parts(Translation3::identity(), UnitQuaternion::from_axis_angle(axis, q))
        }
    }
}

/// Mass and its distribution.
#[derive(Debug, Clone, PartialEq)]
pub struct Inertial {
    /// Pose of the centre of mass, with the axes that `inertia` is given in, in the link's frame.
    pub origin: Isometry3<f64>,
    /// Kilograms.
    pub mass: f64,
    /// About the centre of mass, in the axes of `origin`, kg m2.
    pub inertia: Matrix3<f64>,
}

/// A rigid body of the tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Unique among the links.
    pub name: String,
    /// Absent for frames without mass.
    pub inertial: Option<Inertial>,
    /// What it may collide with; a cylinder between two equal spheres is read as one capsule.
    pub collisions: Vec<Primitive>,
    /// What it looks like.
    pub visuals: Vec<Primitive>,
    /// Place in [`RobotModel::joints`] of the joint that carries it; `None` for the root.
    pub parent_joint: Option<usize>,
}

/// Why a robot description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("the robot description '{path}' cannot be read: {source}")]
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
        source: Box<ModelError>,
    },
    /// Not XML.
    #[error("the robot description is not well-formed XML: {}", efm_core::reading::said_by_parser(.0))]
    Xml(#[from] roxmltree::Error),
    /// XML, but not a URDF.
    #[error("the robot description is not a valid URDF: {0}")]
    Urdf(String),
    /// One element is wrong.
    #[error("{element} '{name}' of the robot description: {problem}")]
    Element {
        /// "link" or "joint".
        element: &'static str,
        /// Its name.
        name: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// The links do not form one tree.
    #[error("the links of the robot description do not form one tree: {0}")]
    Tree(String),
    /// It is the source of a description.
    #[error(
        "the robot description is xacro, from which a URDF is made first: `xacro robot.urdf.xacro > robot.urdf` (`pip install xacro`, or ROS's package \
         xacro), or name the .xacro file where a file is taken: it is expanded where the program xacro is on PATH"
    )]
    Xacro,
    /// Several of these.
    #[error("{}", reading::all_told(.0))]
    Several(Vec<ModelError>),
}

impl ModelError {
    /// The errors of a list, if there are any.
    pub(crate) fn all(mut wrong: Vec<Self>) -> Result<(), Self> {
        match wrong.len() {
            0 => Ok(()),
            1 => Err(wrong.remove(0)),
            _ => Err(Self::Several(wrong)),
        }
    }
}

pub(crate) fn bad(element: &'static str, name: &str, problem: impl Into<String>) -> ModelError {
    ModelError::Element { element, name: name.to_owned(), problem: problem.into() }
}

/// A robot description that has been checked: names are unique, all numbers finite, and the links form one tree.
#[derive(Debug, Clone, PartialEq)]
pub struct RobotModel {
    name: String,
    links: Vec<Link>,
    joints: Vec<Joint>,
    root: usize,
    /// Places of the joints, parents before children.
    order: Vec<usize>,
    link_places: HashMap<String, usize>,
    joint_places: HashMap<String, usize>,
    notes: Vec<String>,
}

impl RobotModel {
    /// Reads and checks a URDF file.
    ///
    /// # Errors
    /// As [`RobotModel::from_urdf`], or when the file cannot be read.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ModelError> {
        let path = path.as_ref();
        let shown = || path.display().to_string();
        let xml =
            reading::text(path, reading::DESCRIPTION).map_err(|source| ModelError::File { path: shown(), source })?;
        Self::from_urdf(&xml).map_err(|error| ModelError::InFile { path: shown(), source: Box::new(error) })
    }

    /// Checks a URDF (the text of `robot_description`, without xacro).
    ///
    /// A joint without any limit is no error here, but in [`crate::LimitSet`], which knows the joints that matter. A planar or floating joint that
    /// nothing moves (a mobile base) is taken for fixed where it stands, and told in [`RobotModel::notes`].
    ///
    /// # Errors
    /// When it is not XML, not a URDF, has a repeated name, an unknown link or joint, a number that is not finite, a kind of joint that
    /// no arm has, or when its links do not form one tree. Everything that is wrong is told at once.
    pub fn from_urdf(xml: &str) -> Result<Self, ModelError> {
        let document = xml::document(xml).map_err(|unread| match unread {
            Unread::Xml(_) if reading::is_xacro(xml) => ModelError::Xacro,
            Unread::Xml(error) => error.into(),
            Unread::Bounds(problem) => ModelError::Urdf(problem),
        })?;
        if document.root_element().tag_name().name() != "robot" {
            let found = document.root_element().tag_name().name();
            return Err(ModelError::Urdf(format!("the root element is <{found}>, not <robot>")));
        }
        if reading::is_xacro(xml) {
            return Err(ModelError::Xacro);
        }
        let mut written = written::read(&document);
        let (mut wrong, mut notes) = (std::mem::take(&mut written.wrong), std::mem::take(&mut written.notes));
        drop(document);

        let places = |names: &mut dyn Iterator<Item = &String>| -> HashMap<String, usize> {
            names.enumerate().map(|(place, name)| (name.clone(), place)).collect()
        };
        let link_places = places(&mut written.links.iter().map(|link| &link.name));
        let joint_places = places(&mut written.joints.iter().map(|joint| &joint.name));
        // Of those whose links are there; they all are where nothing is wrong.
        let mut joints = Vec::with_capacity(written.joints.len());
        for joint in &written.joints {
            let place = |link: &str, role: &str| {
                link_places.get(link).copied().ok_or_else(|| {
                    let problem = format!(
                        "line {}: {role} link '{link}' does not exist; correct its name, or add <link name=\"{link}\"/>",
                        joint.line
                    );
                    bad("joint", &joint.name, problem)
                })
            };
            match (place(&joint.parent, "parent"), place(&joint.child, "child")) {
                (Ok(parent), Ok(child)) => joints.push(joint.placed(parent, child)),
                (parent, child) => {
                    // That none is named was told already.
                    let named = [(&joint.parent, parent.err()), (&joint.child, child.err())];
                    wrong.extend(named.into_iter().filter(|(link, _)| !link.is_empty()).filter_map(|(_, error)| error));
                }
            }
        }
        for joint in written.joints.iter().filter(|joint| joint.mimic.is_some()) {
            let leads = |name: &str| joint_places.get(name).map(|&i| &written.joints[i]);
            wrong.extend(wrong_mimic(joint, leads).map(|problem| bad("joint", &joint.name, problem)));
        }
        let carried: Vec<&str> = written.joints.iter().map(|joint| joint.child.as_str()).collect();
        let mut links = written.links;
        let (root, order) = grow_tree(&mut links, &joints, &carried, &mut wrong);
        for (joint, loose) in written.joints.iter().filter_map(|joint| Some((joint, joint.loose?))) {
            match mover_above(joint, &links, &joints) {
                Some(mover) => {
                    let problem = format!(
                        "line {}: it is {loose} and hangs on joint '{mover}', which moves; only above the arm such a joint is taken for fixed: make it fixed, \
                         or take it out with what it carries",
                        joint.line
                    );
                    wrong.push(bad("joint", &joint.name, problem));
                }
                None => notes.push(format!(
                    "joint '{}', line {}: it is {loose}, and is taken for fixed where its origin is: what it carries is taken to stand there",
                    joint.name, joint.line
                )),
            }
        }
        ModelError::all(wrong)?;
        Ok(Self { name: written.name, links, joints, root, order, link_places, joint_places, notes })
    }

    /// What is read otherwise than it is written, and what is likely a mistake: a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Name of the robot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All links, in the order of the URDF.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// All joints, in the order of the URDF.
    pub fn joints(&self) -> &[Joint] {
        &self.joints
    }

    /// The joints, each after the joint that carries its parent link.
    pub fn joints_root_first(&self) -> impl Iterator<Item = &Joint> {
        self.order.iter().map(|&i| &self.joints[i])
    }

    /// The link that nothing carries.
    pub fn root(&self) -> &Link {
        &self.links[self.root]
    }

    /// A link by name.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.link_index(name).map(|i| &self.links[i])
    }

    /// Place of a link in [`RobotModel::links`].
    pub fn link_index(&self, name: &str) -> Option<usize> {
        self.link_places.get(name).copied()
    }

    /// A joint by name.
    pub fn joint(&self, name: &str) -> Option<&Joint> {
        self.joint_places.get(name).map(|&i| &self.joints[i])
    }

    /// The joints on the way from `base` down to `tip`, nearest to the base first. `None` when a link does not exist or `tip` is not
    /// below `base`.
    pub fn joints_between(&self, base: &str, tip: &str) -> Option<Vec<&Joint>> {
        let base = self.link_index(base)?;
        let mut link = self.link_index(tip)?;
        let mut way = Vec::new();
        while link != base {
            let joint = &self.joints[self.links[link].parent_joint?];
            way.push(joint);
            link = joint.parent;
        }
        way.reverse();
        Some(way)
    }
}

impl WrittenJoint {
    fn placed(&self, parent: usize, child: usize) -> Joint {
        let Self { name, kind, origin, axis, limit, damping, mimic, .. } = self;
        // Nobody tells where the several positions of a loose joint are.
        let mimic = mimic.clone().filter(|_| self.loose.is_none());
        let (name, kind, origin, axis, limit, damping) = (name.clone(), *kind, *origin, *axis, *limit, *damping);
        Joint { name, kind, parent, child, origin, axis, limit, damping, mimic }
    }
}

/// What is wrong with what a joint follows.
fn wrong_mimic<'a>(joint: &WrittenJoint, leads: impl Fn(&str) -> Option<&'a WrittenJoint>) -> Option<String> {
    let name = &joint.mimic.as_ref()?.joint;
    let at = format!("line {}: ", joint.line);
    match leads(name) {
        None => Some(format!("{at}mimics '{name}', which does not exist; name the joint that leads")),
        Some(leader) if leader.name == joint.name => {
            Some(format!("{at}mimics itself; name the joint that leads, or leave out <mimic>"))
        }
        Some(leader) if leader.kind == JointKind::Fixed || leader.mimic.is_some() => Some(format!(
            "{at}mimics '{name}', which is itself fixed or a follower; name the joint that leads them all"
        )),
        Some(_) => None,
    }
}

/// The nearest joint above this one that moves.
fn mover_above<'a>(joint: &WrittenJoint, links: &[Link], joints: &'a [Joint]) -> Option<&'a str> {
    let mut link = joints.iter().find(|placed| placed.name == joint.name)?.parent;
    // A ring has no end.
    for _ in 0..joints.len() {
        let above = &joints[links[link].parent_joint?];
        if above.kind != JointKind::Fixed {
            return Some(&above.name);
        }
        link = above.parent;
    }
    None
}

/// The rings in which links carry each other, each with its joints.
fn wrong_rings(links: &[Link], joints: &[Joint]) -> Vec<ModelError> {
    let mut wrong = Vec::new();
    // By which link it was come by; a way that ends where it began is a ring.
    let mut seen_from = vec![None; links.len()];
    for begin in 0..links.len() {
        let (mut link, mut way) = (begin, Vec::new());
        while seen_from[link].is_none() {
            seen_from[link] = Some(begin);
            let Some(joint) = links[link].parent_joint else { break };
            way.push((link, joint));
            link = joints[joint].parent;
        }
        let ring = way.iter().position(|(other, _)| *other == link).filter(|_| seen_from[link] == Some(begin));
        let Some(ring) = ring.map(|from| &way[from..]) else { continue };
        let links: Vec<String> = ring.iter().map(|(link, _)| format!("'{}'", links[*link].name)).collect();
        let joints: Vec<String> = ring.iter().map(|(_, joint)| format!("'{}'", joints[*joint].name)).collect();
        let of = if links.len() == 1 { "link" } else { "each of the links" };
        wrong.push(ModelError::Tree(format!(
            "{of} {} hangs in a ring of joints ({}); take out one of them",
            reading::listed(&links, ""),
            reading::listed(&joints, "")
        )));
    }
    wrong
}

/// Finds the root and an order from it outwards; sets each link's `parent_joint`. `carried`: the links that any joint names as its child, also one that
/// cannot be placed.
fn grow_tree(
    links: &mut [Link],
    joints: &[Joint],
    carried: &[&str],
    wrong: &mut Vec<ModelError>,
) -> (usize, Vec<usize>) {
    for (i, joint) in joints.iter().enumerate() {
        let child = &mut links[joint.child];
        if let Some(other) = child.parent_joint {
            let (name, other) = (&child.name, &joints[other].name);
            let problem = format!("link '{name}' is carried by '{other}' and by '{}'; keep one of them", joint.name);
            wrong.push(ModelError::Tree(problem));
            continue;
        }
        child.parent_joint = Some(i);
    }
    wrong.extend(wrong_rings(links, joints));
    let roots: Vec<usize> = (0..links.len()).filter(|&i| !carried.contains(&links[i].name.as_str())).collect();
    let names: Vec<String> = roots.iter().map(|&i| format!("'{}'", links[i].name)).collect();
    const ONE: &str = "one link is wanted that carries all: join the others to it by fixed joints, or take them out";
    match names.as_slice() {
        [] if links.is_empty() => wrong.push(ModelError::Tree("there is no link; add <link name=\"...\"/>".to_owned())),
        [] => {
            let problem = "every link is carried by another: none is the root; take out the joint that closes the ring";
            wrong.push(ModelError::Tree(problem.to_owned()));
        }
        [_] => {}
        [one, other] => wrong.push(ModelError::Tree(format!("{one} and {other} are both carried by nothing; {ONE}"))),
        several => {
            wrong.push(ModelError::Tree(format!("{} are carried by nothing; {ONE}", reading::listed(several, ""))));
        }
    }
    let Some(&root) = roots.first() else { return (0, Vec::new()) };
    let mut below = vec![Vec::new(); links.len()];
    for (i, joint) in joints.iter().enumerate() {
        below[joint.parent].push(i);
    }
    let mut reached = vec![root];
    let mut known = vec![false; links.len()];
    known[root] = true;
    let mut order = Vec::with_capacity(joints.len());
    let mut next = 0;
    while next < reached.len() {
        for &i in &below[reached[next]] {
            if !std::mem::replace(&mut known[joints[i].child], true) {
                order.push(i);
                reached.push(joints[i].child);
            }
        }
        next += 1;
    }
    (root, order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Shape;

    fn panda() -> RobotModel {
        RobotModel::load(concat!(env!("CARGO_MANIFEST_DIR"), "/../../urdf/panda.urdf")).unwrap()
    }

    fn robot(body: &str) -> Result<RobotModel, ModelError> {
        RobotModel::from_urdf(&format!("<robot name=\"r\">{body}</robot>"))
    }

    fn refusal(body: &str) -> String {
        robot(body).unwrap_err().to_string()
    }

    #[test]
    fn the_panda_has_seven_arm_joints_a_finger_and_a_follower() {
        let panda = panda();
        assert_eq!(panda.root().name, "panda_link0");
        let active: Vec<&str> = panda.joints_root_first().filter(|j| j.is_active()).map(|j| j.name.as_str()).collect();
        let mut wanted: Vec<String> = (1..=7).map(|i| format!("panda_joint{i}")).collect();
        wanted.push("panda_finger_joint1".to_owned());
        assert_eq!(active, wanted);
        let follower = panda.joint("panda_finger_joint2").unwrap().mimic.clone().unwrap();
        assert_eq!((follower.joint.as_str(), follower.multiplier), ("panda_finger_joint1", 1.0));
    }

    #[test]
    fn the_pandas_identified_masses_are_read_and_its_frames_have_none() {
        let panda = panda();
        let total: f64 = panda.links().iter().filter_map(|l| l.inertial.as_ref()).map(|i| i.mass).sum();
        // Sum of the published masses of links 0 to 7, the hand and two fingers.
        assert!((total - (16.691901 + 0.73 + 2.0 * 0.015)).abs() < 1e-4, "{total}");
        assert!(panda.link("panda_hand_tcp").unwrap().inertial.is_none());
        for inertial in panda.links().iter().filter_map(|l| l.inertial.as_ref()) {
            let mut moments: Vec<f64> = inertial.inertia.symmetric_eigenvalues().iter().copied().collect();
            moments.sort_by(f64::total_cmp);
            assert!(moments[0] > 0.0, "an inertia must be positive definite: {moments:?}");
        }
    }

    #[test]
    fn the_pandas_shapes_are_capsules_and_finger_boxes() {
        let panda = panda();
        for link in panda.links() {
            let boxes = link.name.ends_with("finger");
            for shape in link.collisions.iter().map(|c| &c.shape) {
                assert_eq!(matches!(shape, Shape::Box { .. }), boxes, "{} {shape:?}", link.name);
                assert_eq!(matches!(shape, Shape::Capsule { .. }), !boxes, "{} {shape:?}", link.name);
            }
            assert_eq!(link.collisions.len(), link.visuals.len());
            assert!(link.visuals.iter().all(|v| v.colour.is_some()));
        }
        let total: usize = panda.links().iter().map(|l| l.collisions.len()).sum();
        assert_eq!(total, 17);
    }

    #[test]
    fn an_absent_limit_is_absent_and_a_written_zero_is_zero() {
        let arm = "<link name='a'/><link name='b'/><link name='c'/>\
            <joint name='j' type='prismatic'><parent link='a'/><child link='b'/><limit lower='0' upper='0.1' velocity='1' effort='1'/></joint>\
            <joint name='k' type='revolute'><parent link='b'/><child link='c'/><limit upper='1' velocity='2'/></joint>";
        let arm = robot(arm).unwrap();
        assert_eq!(arm.joint("j").unwrap().limit.lower, Some(0.0));
        let k = arm.joint("k").unwrap().limit;
        assert_eq!((k.lower, k.upper, k.velocity, k.effort), (None, Some(1.0), Some(2.0), None));
    }

    #[test]
    fn what_is_wrong_with_a_description_is_named() {
        let two = "<link name='a'/><link name='b'/>";
        let joint = |inner: &str| format!("{two}<joint name='elbow' type='revolute'>{inner}</joint>");
        let ends = "<parent link='a'/><child link='b'/>";
        for (body, said) in [
            ("<link name='a'".to_owned(), "well-formed"),
            (format!("{two}<link name='a'/>"), "link 'a'"),
            (two.to_owned(), "'a' and 'b' are both carried by nothing"),
            (joint("<parent link='a'/><child link='z'/>"), "child link 'z' does not exist"),
            (joint(&format!("{ends}<axis xyz='0 0 0'/>")), "has no direction"),
            (joint(&format!("{ends}<limit lower='nan' velocity='1'/>")), "limit lower=\"nan\""),
            (joint(&format!("{ends}<limit lower='2' upper='1' velocity='1'/>")), "above upper"),
            (joint(&format!("{ends}<limit lower='1' upper='2'/>")), "no velocity"),
            (joint(&format!("{ends}<mimic joint='wrist'/>")), "mimics 'wrist'"),
            (joint(&format!("{ends}<origin xyz='inf 0 0'/>")), "origin xyz=\"inf 0 0\" is not 3 finite numbers"),
            (format!("{two}<joint name='elbow' type='spherical'>{ends}</joint>"), "'spherical' is not supported"),
            (format!("{two}<joint type='fixed'>{ends}</joint>"), "has no name"),
            (
                format!("{two}<joint name='i' type='fixed'>{ends}</joint><joint name='k' type='fixed'>{ends}</joint>"),
                "carried by 'i' and by 'k'",
            ),
            (
                format!(
                    "<link name='c'/>{}",
                    joint("<parent link='b'/><child link='a'/>").replace(
                        "</joint>",
                        "</joint><joint name='k' type='fixed'><parent link='a'/><child link='b'/></joint>"
                    )
                ),
                "ring",
            ),
        ] {
            let message = refusal(&body);
            assert!(message.contains(said), "'{message}' should say '{said}'");
        }
        assert!(RobotModel::from_urdf("<sdf/>").unwrap_err().to_string().contains("<sdf>"));
        assert!(RobotModel::load("/nowhere/arm.urdf").unwrap_err().to_string().contains("/nowhere/arm.urdf"));
    }
}
