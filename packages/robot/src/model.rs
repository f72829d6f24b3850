//! The URDF as a checked tree.

use crate::shape::{Primitive, Shape, merge_capsules};
use crate::written;
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
    /// A joint without any limit is no error here, but in [`crate::LimitSet`], which knows the joints that matter.
    ///
    /// # Errors
    /// When it is not XML, not a URDF, has a repeated name, an unknown link or joint, a number that is not finite, a kind of joint that
    /// no arm has (floating, planar, spherical), or when its links do not form one tree.
    pub fn from_urdf(xml: &str) -> Result<Self, ModelError> {
        let document = xml::document(xml).map_err(|unread| match unread {
            Unread::Xml(error) => error.into(),
            Unread::Bounds(problem) => ModelError::Urdf(problem),
        })?;
        if document.root_element().tag_name().name() != "robot" {
            let found = document.root_element().tag_name().name();
            return Err(ModelError::Urdf(format!("the root element is <{found}>, not <robot>")));
        }
        for element in
            document.root_element().children().filter(|node| node.has_tag_name("link") || node.has_tag_name("joint"))
        {
            if let Some(problem) = element.attribute("name").and_then(reading::wrong_name) {
                let what = element.tag_name().name();
                return Err(ModelError::Urdf(format!("the name of a {what} cannot be: {problem}")));
            }
        }
        let limits = written::limits_of(&document)?;
        let urdf =
            urdf_rs::read_from_string(xml).map_err(|e| ModelError::Urdf(efm_core::reading::said_by_parser(&e)))?;
        drop(document);

        let colours: HashMap<&str, [f64; 4]> =
            urdf.materials.iter().filter_map(|m| Some((m.name.as_str(), *m.color.as_ref()?.rgba))).collect();
        let mut links = Vec::with_capacity(urdf.links.len());
        let mut link_places = HashMap::new();
        for link in &urdf.links {
            if link_places.insert(link.name.clone(), links.len()).is_some() {
                return Err(bad("link", &link.name, "the name is used twice"));
            }
            links.push(read_link(link, &colours)?);
        }
        let mut joints = Vec::with_capacity(urdf.joints.len());
        let mut joint_places = HashMap::new();
        for joint in &urdf.joints {
            if joint_places.insert(joint.name.clone(), joints.len()).is_some() {
                return Err(bad("joint", &joint.name, "the name is used twice"));
            }
            let limit = limits.get(&joint.name).copied().unwrap_or_default();
            joints.push(read_joint(joint, limit, &link_places)?);
        }
        for joint in &joints {
            let Some(mimic) = &joint.mimic else { continue };
            match joint_places.get(&mimic.joint).map(|&i| &joints[i]) {
                None => {
                    return Err(bad("joint", &joint.name, format!("mimics '{}', which does not exist", mimic.joint)));
                }
                Some(leader) if leader.name == joint.name => {
                    return Err(bad(
                        "joint",
                        &joint.name,
                        "mimics itself; name the joint that leads, or leave out <mimic>",
                    ));
                }
                Some(leader) if !leader.is_active() => {
                    let problem = format!(
                        "mimics '{}', which is itself fixed or a follower; name the joint that leads them all",
                        mimic.joint
                    );
                    return Err(bad("joint", &joint.name, problem));
                }
                Some(_) => {}
            }
        }
        let (root, order) = grow_tree(&mut links, &joints)?;
        Ok(Self { name: urdf.name, links, joints, root, order, link_places, joint_places })
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

fn read_pose(pose: &urdf_rs::Pose) -> Option<Isometry3<f64>> {
    let ([x, y, z], [roll, pitch, yaw]) = (*pose.xyz, *pose.rpy);
    [x, y, z, roll, pitch, yaw]
        .iter()
        .all(|v| v.is_finite())
        .then(|| Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, yaw)))
}

fn read_link(link: &urdf_rs::Link, colours: &HashMap<&str, [f64; 4]>) -> Result<Link, ModelError> {
    let name = &link.name;
    let mut collisions = Vec::with_capacity(link.collision.len());
    for collision in &link.collision {
        collisions.push(read_primitive(name, &collision.origin, &collision.geometry, None)?);
    }
    let mut visuals = Vec::with_capacity(link.visual.len());
    for visual in &link.visual {
        let colour = visual.material.as_ref().and_then(|material| match &material.color {
            Some(own) => Some(*own.rgba),
            None => colours.get(material.name.as_str()).copied(),
        });
        visuals.push(read_primitive(name, &visual.origin, &visual.geometry, colour)?);
    }
    Ok(Link {
        name: name.clone(),
        inertial: read_inertial(name, &link.inertial)?,
        collisions: merge_capsules(collisions),
        visuals: merge_capsules(visuals),
        parent_joint: None,
    })
}

fn read_inertial(link: &str, inertial: &urdf_rs::Inertial) -> Result<Option<Inertial>, ModelError> {
    let i = &inertial.inertia;
    let mass = inertial.mass.value;
    let inertia = Matrix3::new(i.ixx, i.ixy, i.ixz, i.ixy, i.iyy, i.iyz, i.ixz, i.iyz, i.izz);
    if !mass.is_finite() || mass < 0.0 || inertia.iter().any(|v| !v.is_finite()) {
        return Err(bad("link", link, "mass and inertia must be finite, and the mass not negative"));
    }
    // urdf-rs gives a link without <inertial> zeros.
    if mass == 0.0 {
        return Ok(None);
    }
    let origin = read_pose(&inertial.origin).ok_or_else(|| bad("link", link, "the inertial's origin is not finite"))?;
    Ok(Some(Inertial { origin, mass, inertia }))
}

fn read_primitive(
    link: &str,
    origin: &urdf_rs::Pose,
    geometry: &urdf_rs::Geometry,
    colour: Option<[f64; 4]>,
) -> Result<Primitive, ModelError> {
    let shape = match geometry {
        urdf_rs::Geometry::Box { size } => Shape::Box { size: Vector3::from(**size) },
        urdf_rs::Geometry::Cylinder { radius, length } => Shape::Cylinder { radius: *radius, length: *length },
        urdf_rs::Geometry::Capsule { radius, length } => Shape::Capsule { radius: *radius, length: *length },
        urdf_rs::Geometry::Sphere { radius } => Shape::Sphere { radius: *radius },
        urdf_rs::Geometry::Mesh { filename, scale } => Shape::Mesh {
            filename: filename.clone(),
            scale: scale.map_or_else(|| Vector3::repeat(1.0), |s| Vector3::from(*s)),
        },
    };
    let sizes_are_right = match &shape {
        Shape::Box { size } => size.iter().all(|v| v.is_finite() && *v > 0.0),
        Shape::Sphere { radius } => radius.is_finite() && *radius > 0.0,
        Shape::Capsule { radius, length } | Shape::Cylinder { radius, length } => {
            [radius, length].iter().all(|v| v.is_finite() && **v > 0.0)
        }
        Shape::Mesh { scale, .. } => scale.iter().all(|v| v.is_finite()),
    };
    if !sizes_are_right {
        return Err(bad("link", link, format!("the sizes of {shape:?} must be finite and positive")));
    }
    let origin = read_pose(origin).ok_or_else(|| bad("link", link, "the origin of a shape is not finite"))?;
    Ok(Primitive { origin, shape, colour })
}

fn read_joint(
    joint: &urdf_rs::Joint,
    limit: UrdfLimit,
    link_places: &HashMap<String, usize>,
) -> Result<Joint, ModelError> {
    let name = &joint.name;
    let kind = match joint.joint_type {
        urdf_rs::JointType::Revolute => JointKind::Revolute,
        urdf_rs::JointType::Continuous => JointKind::Continuous,
        urdf_rs::JointType::Prismatic => JointKind::Prismatic,
        urdf_rs::JointType::Fixed => JointKind::Fixed,
        ref other => {
            let problem = format!("type {other:?} is not supported; revolute, continuous, prismatic and fixed are");
            return Err(bad("joint", name, problem));
        }
    };
    let place = |link: &str, role: &str| {
        link_places.get(link).copied().ok_or_else(|| bad("joint", name, format!("{role} link '{link}' does not exist")))
    };
    let axis = match Unit::try_new(Vector3::from(*joint.axis.xyz), 1e-9) {
        Some(axis) if axis.iter().all(|v| v.is_finite()) => axis,
        _ if kind == JointKind::Fixed => Vector3::x_axis(),
        _ => {
            let problem = format!("axis {:?} has no direction; a unit vector is wanted", joint.axis.xyz.0);
            return Err(bad("joint", name, problem));
        }
    };
    let damping = joint.dynamics.as_ref().map_or(0.0, |d| d.damping);
    if !(damping.is_finite() && damping >= 0.0) {
        return Err(bad("joint", name, format!("damping {damping} must be finite and not negative")));
    }
    let mimic = match &joint.mimic {
        None => None,
        Some(mimic) => {
            let (multiplier, offset) = (mimic.multiplier.unwrap_or(1.0), mimic.offset.unwrap_or(0.0));
            if !multiplier.is_finite() || !offset.is_finite() {
                return Err(bad("joint", name, "the mimic's multiplier and offset must be finite"));
            }
            Some(Mimic { joint: mimic.joint.clone(), multiplier, offset })
        }
    };
    Ok(Joint {
        name: name.clone(),
        kind,
        parent: place(&joint.parent.link, "parent")?,
        child: place(&joint.child.link, "child")?,
        origin: read_pose(&joint.origin).ok_or_else(|| bad("joint", name, "the origin is not finite"))?,
        axis,
        limit,
        damping,
        mimic,
    })
}

/// Finds the root and an order from it outwards; sets each link's `parent_joint`.
fn grow_tree(links: &mut [Link], joints: &[Joint]) -> Result<(usize, Vec<usize>), ModelError> {
    for (i, joint) in joints.iter().enumerate() {
        let child = &mut links[joint.child];
        if let Some(other) = child.parent_joint {
            let problem =
                format!("link '{}' is carried by '{}' and by '{}'", child.name, joints[other].name, joint.name);
            return Err(ModelError::Tree(problem));
        }
        child.parent_joint = Some(i);
    }
    let mut roots = (0..links.len()).filter(|&i| links[i].parent_joint.is_none());
    let root = roots.next().ok_or_else(|| {
        let problem =
            if links.is_empty() { "there is no link" } else { "every link is carried by another: none is the root" };
        ModelError::Tree(problem.to_owned())
    })?;
    if let Some(second) = roots.next() {
        let problem = format!("'{}' and '{}' are both carried by nothing", links[root].name, links[second].name);
        return Err(ModelError::Tree(problem));
    }
    let mut reached = vec![root];
    let mut order = Vec::with_capacity(joints.len());
    let mut next = 0;
    while next < reached.len() {
        let parent = reached[next];
        for (i, joint) in joints.iter().enumerate().filter(|(_, joint)| joint.parent == parent) {
            order.push(i);
            reached.push(joint.child);
        }
        next += 1;
    }
    // One root and one parent a link: what was not reached hangs in a ring.
    if let Some(lost) = (0..links.len()).find(|i| !reached.contains(i)) {
        return Err(ModelError::Tree(format!("link '{}' hangs in a ring of joints", links[lost].name)));
    }
    Ok((root, order))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (format!("{two}<joint name='elbow' type='floating'>{ends}</joint>"), "Floating"),
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
