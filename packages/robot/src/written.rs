//! What the text of a URDF says, element by element.
//!
//! All of it is looked at before anything is refused: a description with ten mistakes is told with ten, each with its element and its line.

use crate::model::{Inertial, JointKind, Link, Mimic, ModelError, UrdfLimit, bad};
use crate::shape::{Primitive, Shape, merge_capsules};
use efm_core::reading::{self, beginning};
use nalgebra::{Isometry3, Matrix3, Translation3, Unit, UnitQuaternion, Vector3};
use roxmltree::{Document, Node};
use std::collections::HashMap;
use std::f64::consts::TAU;

/// Metres, radians and factors beyond this are mistakes, and would overflow when multiplied.
const LARGEST: f64 = 1e9;

/// Attributes that hold so many numbers, by element: `true` for those that must not be enormous.
const NUMBERS: &[(&str, &str, usize, bool)] = &[
    ("origin", "xyz", 3, true),
    ("origin", "rpy", 3, true),
    ("axis", "xyz", 3, true),
    ("limit", "lower", 1, false),
    ("limit", "upper", 1, false),
    ("limit", "velocity", 1, false),
    ("limit", "effort", 1, false),
    ("safety_controller", "soft_lower_limit", 1, false),
    ("safety_controller", "soft_upper_limit", 1, false),
    ("mimic", "multiplier", 1, true),
    ("mimic", "offset", 1, true),
    ("dynamics", "damping", 1, false),
    ("dynamics", "friction", 1, false),
    ("box", "size", 3, true),
    ("sphere", "radius", 1, true),
    ("cylinder", "radius", 1, true),
    ("cylinder", "length", 1, true),
    ("capsule", "radius", 1, true),
    ("capsule", "length", 1, true),
    ("mesh", "scale", 3, true),
    ("mass", "value", 1, true),
    ("inertia", "ixx", 1, true),
    ("inertia", "ixy", 1, true),
    ("inertia", "ixz", 1, true),
    ("inertia", "iyy", 1, true),
    ("inertia", "iyz", 1, true),
    ("inertia", "izz", 1, true),
    ("color", "rgba", 4, true),
];

/// Elements within elements that are looked through.
const DEEPEST: usize = 64;

/// Elements of which a joint has one at most.
const ONCE: &[&str] = &["parent", "child", "origin", "axis", "limit", "mimic", "dynamics", "safety_controller"];

/// What no arm's description means, in the units of URDF: more is likely another unit.
mod likely {
    use std::f64::consts::TAU;

    /// Position of a turning joint, radians: five turns.
    pub const ANGLE: f64 = 5.0 * TAU;
    /// Speed of a turning joint, rad/s.
    pub const TURNING: f64 = 60.0;
    /// Position of a sliding joint, metres.
    pub const SLIDE: f64 = 15.0;
    /// Speed of a sliding joint, m/s.
    pub const SLIDING: f64 = 15.0;
    /// A place or a size, metres.
    pub const LENGTH: f64 = 15.0;
    /// A link, kilograms.
    pub const MASS: f64 = 5000.0;
}

/// A joint before its links are looked up.
#[derive(Debug)]
pub(crate) struct WrittenJoint {
    pub name: String,
    pub line: u32,
    pub kind: JointKind,
    /// What it is, where it has more than one axis: planar or floating.
    pub loose: Option<&'static str>,
    pub parent: String,
    pub child: String,
    pub origin: Isometry3<f64>,
    pub axis: Unit<Vector3<f64>>,
    pub limit: UrdfLimit,
    pub damping: f64,
    pub mimic: Option<Mimic>,
}

/// What could be read of a description, and what could not.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub name: String,
    pub links: Vec<Link>,
    pub joints: Vec<WrittenJoint>,
    pub wrong: Vec<ModelError>,
    pub notes: Vec<String>,
}

/// Reads all links and joints.
pub(crate) fn read(document: &Document<'_>) -> Written {
    let mut this = Written::default();
    if let Some(deep) = too_deep(document) {
        let problem = format!("line {}: more than {DEEPEST} elements within each other", line(deep));
        this.wrong.push(ModelError::Urdf(problem));
        return this;
    }
    let root = document.root_element();
    this.name = root.attribute("name").unwrap_or_default().to_owned();
    let mut colours: HashMap<&str, [f64; 4]> = HashMap::new();
    for material in root.children().filter(|node| node.has_tag_name("material")) {
        let colour = child(material, "color").and_then(|colour| numbers(colour, "rgba"));
        if let (Some(name), Some(colour)) = (material.attribute("name"), colour) {
            colours.insert(name, colour);
        }
    }
    // Name and first line, by element.
    let mut seen: HashMap<(&str, &str), u32> = HashMap::new();
    for node in root.children().filter(Node::is_element) {
        let element = match node.tag_name().name() {
            "link" => "link",
            "joint" => "joint",
            _ => continue,
        };
        let Some(name) = node.attribute("name").filter(|name| !name.is_empty()) else {
            let problem = format!("the {element} in line {} has no name; give it one: name=\"...\"", line(node));
            this.wrong.push(ModelError::Urdf(problem));
            continue;
        };
        if let Some(problem) = reading::wrong_name(name) {
            this.wrong.push(ModelError::Urdf(format!("the name of a {element} cannot be: {problem}")));
            continue;
        }
        if let Some(first) = seen.insert((element, name), line(node)) {
            let problem =
                format!("line {}: the name is used twice (line {first} has it too); rename one of them", line(node));
            this.wrong.push(bad(element, name, problem));
            continue;
        }
        let mut problems = Vec::new();
        for inner in node.descendants().filter(Node::is_element) {
            check_numbers(inner, &mut problems);
        }
        if element == "link" {
            let link = read_link(node, name, &colours, &mut problems, &mut this.notes);
            this.links.push(link);
        } else {
            let joint = read_joint(node, name, &mut problems, &mut this.notes);
            this.joints.push(joint);
        }
        this.wrong.extend(problems.into_iter().map(|problem| bad(element, name, problem)));
    }
    this
}

/// The first element that lies too deep: what looks through elements may call itself.
fn too_deep<'a, 'i>(document: &'a Document<'i>) -> Option<Node<'a, 'i>> {
    let mut node = document.root_element();
    let mut depth = 0;
    loop {
        if depth > DEEPEST {
            return Some(node);
        }
        if let Some(child) = node.first_element_child() {
            (node, depth) = (child, depth + 1);
            continue;
        }
        while node.next_sibling_element().is_none() {
            node = node.parent_element()?;
            depth = depth.checked_sub(1)?;
        }
        node = node.next_sibling_element()?;
    }
}

fn line(node: Node<'_, '_>) -> u32 {
    node.document().text_pos_at(node.range().start).row
}

fn child<'a, 'i>(node: Node<'a, 'i>, tag: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|inner| inner.has_tag_name(tag))
}

/// So many finite numbers of an attribute. What is there and is none was told by [`check_numbers`].
fn numbers<const N: usize>(node: Node<'_, '_>, attribute: &str) -> Option<[f64; N]> {
    let mut read = [0.0; N];
    let mut words = node.attribute(attribute)?.split_whitespace();
    for value in &mut read {
        *value = words.next()?.parse().ok().filter(|value: &f64| value.is_finite())?;
    }
    words.next().is_none().then_some(read)
}

fn number(node: Node<'_, '_>, attribute: &str) -> Option<f64> {
    numbers::<1>(node, attribute).map(|[value]| value)
}

fn check_numbers(node: Node<'_, '_>, problems: &mut Vec<String>) {
    let tag = node.tag_name().name();
    for (_, attribute, count, bounded) in NUMBERS.iter().filter(|(element, ..)| *element == tag) {
        let Some(text) = node.attribute(*attribute) else { continue };
        let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().unwrap_or(f64::NAN)).collect();
        let most = if *bounded { LARGEST } else { f64::MAX };
        if numbers.len() != *count || !numbers.iter().all(|n| n.abs() <= most) {
            let what = if *count == 1 { "a finite number".to_owned() } else { format!("{count} finite numbers") };
            let bound = if *bounded { format!(" (at most {LARGEST:e})") } else { String::new() };
            let hint = if text.contains("${") || text.contains("$(") { ": expand this xacro first" } else { "" };
            let text = beginning(text, 60);
            problems.push(format!("line {}: {tag} {attribute}=\"{text}\" is not {what}{bound}{hint}", line(node)));
        }
    }
}

/// Notes a number that is likely given in another unit.
fn note_unit(owner: &str, node: Node<'_, '_>, what: &str, value: f64, most: f64, unit: &str, notes: &mut Vec<String>) {
    if value.abs() <= most {
        return;
    }
    let other = match unit {
        "rad" => "degrees; URDF wants radians, so divide by 57.29578",
        "rad/s" => "degrees a second; URDF wants rad/s, so divide by 57.29578",
        "m" => "millimetres; URDF wants metres, so divide by 1000",
        "m/s" => "millimetres a second; URDF wants m/s, so divide by 1000",
        _ => "grams; URDF wants kilograms, so divide by 1000",
    };
    notes.push(format!("{owner}, line {}: {what} {value} {unit} is likely in {other}", line(node)));
}

fn read_pose(owner: &str, node: Node<'_, '_>, notes: &mut Vec<String>) -> Isometry3<f64> {
    let Some(origin) = child(node, "origin") else { return Isometry3::identity() };
    let [x, y, z] = numbers(origin, "xyz").unwrap_or_default();
    let [roll, pitch, yaw] = numbers(origin, "rpy").unwrap_or_default();
    for value in [x, y, z] {
        note_unit(owner, origin, "origin xyz", value, likely::LENGTH, "m", notes);
    }
    for value in [roll, pitch, yaw] {
        note_unit(owner, origin, "origin rpy", value, 1.01 * TAU, "rad", notes);
    }
    Isometry3::from_parts(Translation3::new(x, y, z), UnitQuaternion::from_euler_angles(roll, pitch, yaw))
}

fn read_link(
    node: Node<'_, '_>,
    name: &str,
    colours: &HashMap<&str, [f64; 4]>,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Link {
    let (mut collisions, mut visuals) = (Vec::new(), Vec::new());
    let owner = format!("link '{name}'");
    for part in node.children().filter(|part| part.has_tag_name("collision")) {
        collisions.extend(read_primitive(&owner, part, None, problems, notes));
    }
    for part in node.children().filter(|part| part.has_tag_name("visual")) {
        let colour = child(part, "material").and_then(|material| match child(material, "color") {
            Some(own) => numbers(own, "rgba"),
            None => colours.get(material.attribute("name").unwrap_or_default()).copied(),
        });
        visuals.extend(read_primitive(&owner, part, colour, problems, notes));
    }
    let inertial = child(node, "inertial").and_then(|part| read_inertial(&owner, part, problems, notes));
    let (collisions, visuals) = (merge_capsules(collisions), merge_capsules(visuals));
    Link { name: name.to_owned(), inertial, collisions, visuals, parent_joint: None }
}

fn read_inertial(
    owner: &str,
    node: Node<'_, '_>,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Option<Inertial> {
    let (mass, inertia) = (child(node, "mass"), child(node, "inertia"));
    if mass.and_then(|mass| mass.attribute("value")).is_none() {
        problems.push(format!("line {}: its <inertial> has no <mass value=\"...\"/>, in kg", line(node)));
    }
    let Some(inertia) = inertia else {
        problems.push(format!("line {}: its <inertial> has no <inertia ixx=\"...\" .../>, in kg m2", line(node)));
        return None;
    };
    let mass = number(mass?, "value")?;
    let [xx, xy, xz, yy, yz, zz] = ["ixx", "ixy", "ixz", "iyy", "iyz", "izz"].map(|attribute| {
        if inertia.attribute(attribute).is_none() {
            problems.push(format!("line {}: its <inertia> has no {attribute}, in kg m2", line(inertia)));
        }
        number(inertia, attribute).unwrap_or_default()
    });
    if mass < 0.0 {
        problems.push(format!(
            "line {}: mass {mass} is negative; mass and inertia must be finite, and the mass not negative",
            line(node)
        ));
    }
    note_unit(owner, node, "mass", mass, likely::MASS, "kg", notes);
    let origin = read_pose(owner, node, notes);
    let inertia = Matrix3::new(xx, xy, xz, xy, yy, yz, xz, yz, zz);
    // A frame without mass.
    (mass > 0.0).then_some(Inertial { origin, mass, inertia })
}

fn read_primitive(
    owner: &str,
    node: Node<'_, '_>,
    colour: Option<[f64; 4]>,
    problems: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Option<Primitive> {
    const SHAPES: [&str; 5] = ["box", "cylinder", "sphere", "capsule", "mesh"];
    let what = node.tag_name().name();
    let shape = child(node, "geometry")
        .and_then(|geometry| geometry.children().find(|shape| SHAPES.contains(&shape.tag_name().name())));
    let Some(form) = shape else {
        let problem = "has no <geometry> with a box, a cylinder, a sphere, a capsule or a mesh";
        problems.push(format!("line {}: its <{what}> {problem}; give it one, or take it out", line(node)));
        return None;
    };
    let kind = form.tag_name().name();
    let attributes: &[&str] = match kind {
        "box" => &["size"],
        "sphere" => &["radius"],
        "mesh" => &["filename"],
        _ => &["radius", "length"],
    };
    for attribute in attributes.iter().filter(|attribute| form.attribute(**attribute).is_none_or(str::is_empty)) {
        problems.push(format!("line {}: its {kind} has no {attribute}; give {attribute}=\"...\"", line(form)));
    }
    let shape = match kind {
        "box" => Shape::Box { size: Vector3::from(numbers::<3>(form, "size")?) },
        "cylinder" => Shape::Cylinder { radius: number(form, "radius")?, length: number(form, "length")? },
        "capsule" => Shape::Capsule { radius: number(form, "radius")?, length: number(form, "length")? },
        "sphere" => Shape::Sphere { radius: number(form, "radius")? },
        _ => Shape::Mesh {
            filename: form.attribute("filename").filter(|name| !name.is_empty())?.to_owned(),
            scale: Vector3::from(numbers::<3>(form, "scale").unwrap_or([1.0; 3])),
        },
    };
    let sizes: &[f64] = match &shape {
        Shape::Box { size } => size.as_slice(),
        Shape::Sphere { radius } => &[*radius],
        Shape::Capsule { radius, length } | Shape::Cylinder { radius, length } => &[*radius, *length],
        Shape::Mesh { scale, .. } if scale.iter().any(|factor| *factor == 0.0) => &[0.0],
        Shape::Mesh { .. } => &[],
    };
    if sizes.iter().any(|size| *size <= 0.0) {
        problems.push(format!("line {}: the sizes of {shape:?} must be finite and positive", line(form)));
        return None;
    }
    for size in sizes {
        note_unit(owner, form, &format!("the size of its {kind}"), *size, likely::LENGTH, "m", notes);
    }
    Some(Primitive { origin: read_pose(owner, node, notes), shape, colour })
}

fn read_joint(node: Node<'_, '_>, name: &str, problems: &mut Vec<String>, notes: &mut Vec<String>) -> WrittenJoint {
    let all = |tag: &'static str| node.children().filter(move |n| n.is_element() && n.has_tag_name(tag));
    let owner = format!("joint '{name}'");
    for twice in ONCE.iter().filter(|tag| all(tag).count() > 1) {
        problems.push(format!("line {}: it has more than one <{twice}>; keep one", line(node)));
    }
    const KINDS: &str = "revolute, continuous, prismatic and fixed are";
    let mut loose = None;
    let kind = match node.attribute("type") {
        Some("revolute") => Some(JointKind::Revolute),
        Some("continuous") => Some(JointKind::Continuous),
        Some("prismatic") => Some(JointKind::Prismatic),
        Some("fixed") => Some(JointKind::Fixed),
        Some(of_several @ ("planar" | "floating")) => {
            loose = Some(if of_several == "planar" { "planar" } else { "floating" });
            Some(JointKind::Fixed)
        }
        None => {
            problems.push(format!("line {}: it has no type (revolute, continuous, prismatic or fixed)", line(node)));
            None
        }
        Some(other) => {
            let other = beginning(other, 40);
            problems.push(format!("line {}: type '{other}' is not supported; {KINDS}", line(node)));
            None
        }
    };
    let end = |tag: &'static str, problems: &mut Vec<String>| {
        let link = all(tag).next().and_then(|node| node.attribute("link")).filter(|link| !link.is_empty());
        if link.is_none() {
            problems.push(format!("line {}: it has no <{tag} link=\"...\"/>", line(node)));
        }
        link.map(str::to_owned)
    };
    let (parent, link) = (end("parent", problems), end("child", problems));
    let mimic = all("mimic").next();
    if let Some(mimic) = mimic.filter(|mimic| mimic.attribute("joint").is_none_or(str::is_empty)) {
        problems.push(format!("line {}: its <mimic> does not say which joint it follows (joint=\"...\")", line(mimic)));
    }
    let mimic = mimic.and_then(|mimic| {
        let joint = mimic.attribute("joint").filter(|joint| !joint.is_empty())?.to_owned();
        let (multiplier, offset) = (number(mimic, "multiplier"), number(mimic, "offset"));
        Some(Mimic { joint, multiplier: multiplier.unwrap_or(1.0), offset: offset.unwrap_or(0.0) })
    });
    let limit = read_limit(node, problems).unwrap_or_default();
    let written = all("axis").next().map_or(Some([1.0, 0.0, 0.0]), |axis| match axis.attribute("xyz") {
        Some(_) => numbers(axis, "xyz"),
        None => Some([1.0, 0.0, 0.0]),
    });
    let axis = match written.map(|axis| Unit::try_new(Vector3::from(axis), 1e-9)) {
        Some(Some(axis)) => axis,
        Some(None) if kind != Some(JointKind::Fixed) => {
            let axis = written.unwrap_or_default();
            problems.push(format!("line {}: axis {axis:?} has no direction; a unit vector is wanted", line(node)));
            Vector3::x_axis()
        }
        _ => Vector3::x_axis(),
    };
    let damping = all("dynamics").next().and_then(|dynamics| number(dynamics, "damping")).unwrap_or(0.0);
    if damping < 0.0 {
        problems.push(format!("line {}: damping {damping} must be finite and not negative", line(node)));
    }
    if let (Some(limits), Some(kind)) = (child(node, "limit"), kind) {
        let (place, speed) = match kind {
            JointKind::Prismatic => (("m", likely::SLIDE), ("m/s", likely::SLIDING)),
            _ => (("rad", likely::ANGLE), ("rad/s", likely::TURNING)),
        };
        if matches!(kind, JointKind::Revolute | JointKind::Prismatic) {
            for (what, value) in [("limit lower", limit.lower), ("limit upper", limit.upper)] {
                note_unit(&owner, limits, what, value.unwrap_or(0.0), place.1, place.0, notes);
            }
        }
        if kind != JointKind::Fixed {
            note_unit(&owner, limits, "limit velocity", limit.velocity.unwrap_or(0.0), speed.1, speed.0, notes);
        }
    }
    let origin = read_pose(&owner, node, notes);
    // What is missing is told; what is there is kept, so that nothing seems to hang nowhere because of it.
    let kind = kind.unwrap_or(JointKind::Fixed);
    let (parent, child) = (parent.unwrap_or_default(), link.unwrap_or_default());
    let (name, line) = (name.to_owned(), line(node));
    WrittenJoint { name, line, kind, loose, parent, child, origin, axis, limit, damping, mimic }
}

fn read_limit(joint: Node<'_, '_>, problems: &mut Vec<String>) -> Option<UrdfLimit> {
    let mut limit = UrdfLimit::default();
    let (node, safety) = (child(joint, "limit"), child(joint, "safety_controller"));
    if let Some(node) = node {
        limit = UrdfLimit {
            lower: number(node, "lower"),
            upper: number(node, "upper"),
            velocity: number(node, "velocity"),
            effort: number(node, "effort"),
        };
        if node.attribute("velocity").is_none() {
            let problem = "its <limit> has no velocity, which URDF requires (0 leaves it to the file of joint limits)";
            problems.push(format!("line {}: {problem}", line(node)));
        }
        for (what, value) in [("velocity", limit.velocity), ("effort", limit.effort)] {
            if let Some(value) = value.filter(|v| *v < 0.0) {
                problems.push(format!("line {}: limit {what} {value} is negative; it must be 0 or above", line(node)));
            }
        }
    }
    if let Some(safety) = safety {
        let (low, high) = (number(safety, "soft_lower_limit"), number(safety, "soft_upper_limit"));
        limit.lower = limit.lower.map_or(low, |l| Some(low.map_or(l, |soft| soft.max(l))));
        limit.upper = limit.upper.map_or(high, |l| Some(high.map_or(l, |soft| soft.min(l))));
    }
    if let (Some(lower), Some(upper)) = (limit.lower, limit.upper)
        && lower > upper
    {
        let problem = format!("lower limit {lower} is above upper limit {upper}; exchange them");
        problems.push(format!("line {}: {problem}", line(joint)));
    }
    (node.is_some() || safety.is_some()).then_some(limit)
}
