//! What the text of a URDF really says, before urdf-rs reads it.
//!
//! urdf-rs reads an absent limit as 0 and names neither link nor joint when something is missing or no number; a second element of a kind
//! may be dropped silently. So all that is looked at here, where errors can name the element and its line.

use crate::model::{ModelError, UrdfLimit, bad};
use roxmltree::{Document, Node};
use std::collections::HashMap;

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

/// Elements within elements that a reader without end of its stack may be given.
const DEEPEST: usize = 64;

/// Elements of which a joint has one at most.
const ONCE: &[&str] = &["parent", "child", "origin", "axis", "limit", "mimic", "dynamics", "safety_controller"];

/// Looks over the text and gives the limits that it carries, by joint. The `soft_..._limit` of a `<safety_controller>` limits as well.
pub(crate) fn limits_of(document: &Document<'_>) -> Result<HashMap<String, UrdfLimit>, ModelError> {
    if let Some(deep) = too_deep(document) {
        return Err(ModelError::Urdf(format!("line {}: more than {DEEPEST} elements within each other", line(deep))));
    }
    let mut limits = HashMap::new();
    for node in document.root_element().children().filter(Node::is_element) {
        let element = match node.tag_name().name() {
            "link" => "link",
            "joint" => "joint",
            _ => continue,
        };
        let Some(name) = node.attribute("name").filter(|name| !name.is_empty()) else {
            return Err(ModelError::Urdf(format!("the {element} in line {} has no name", line(node))));
        };
        for inner in node.descendants().filter(Node::is_element) {
            check_numbers(inner).map_err(|problem| bad(element, name, problem))?;
        }
        if element == "joint" {
            check_joint(node).map_err(|problem| bad(element, name, problem))?;
            if let Some(limit) = limit_of(node).map_err(|problem| bad(element, name, problem))? {
                limits.insert(name.to_owned(), limit);
            }
        }
    }
    Ok(limits)
}

/// The first element that lies too deep: urdf-rs reads what it does not know by calling itself.
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

fn check_numbers(node: Node<'_, '_>) -> Result<(), String> {
    let tag = node.tag_name().name();
    for (_, attribute, count, bounded) in NUMBERS.iter().filter(|(element, ..)| *element == tag) {
        let Some(text) = node.attribute(*attribute) else { continue };
        let numbers: Vec<f64> = text.split_whitespace().map(|n| n.parse().unwrap_or(f64::NAN)).collect();
        let most = if *bounded { LARGEST } else { f64::MAX };
        if numbers.len() != *count || !numbers.iter().all(|n| n.abs() <= most) {
            let what = if *count == 1 { "a finite number".to_owned() } else { format!("{count} finite numbers") };
            let bound = if *bounded { format!(" (at most {LARGEST:e})") } else { String::new() };
            return Err(format!("line {}: {tag} {attribute}=\"{text}\" is not {what}{bound}", line(node)));
        }
    }
    Ok(())
}

fn check_joint(joint: Node<'_, '_>) -> Result<(), String> {
    let all = |tag: &'static str| joint.children().filter(move |n| n.is_element() && n.has_tag_name(tag));
    if let Some(twice) = ONCE.iter().find(|tag| all(tag).count() > 1) {
        return Err(format!("line {}: it has more than one <{twice}>", line(joint)));
    }
    if joint.attribute("type").is_none() {
        return Err(format!("line {}: it has no type (revolute, continuous, prismatic or fixed)", line(joint)));
    }
    for tag in ["parent", "child"] {
        if all(tag).next().and_then(|node| node.attribute("link")).is_none() {
            return Err(format!("line {}: it has no <{tag} link=\"...\"/>", line(joint)));
        }
    }
    match all("mimic").next() {
        Some(mimic) if mimic.attribute("joint").is_none() => {
            Err(format!("line {}: its <mimic> does not say which joint it follows (joint=\"...\")", line(mimic)))
        }
        _ => Ok(()),
    }
}

fn limit_of(joint: Node<'_, '_>) -> Result<Option<UrdfLimit>, String> {
    let child = |tag: &'static str| joint.children().find(|n| n.has_tag_name(tag));
    // Numbers have been checked.
    let read =
        |node: Node<'_, '_>, attribute: &str| node.attribute(attribute).and_then(|t| t.trim().parse::<f64>().ok());
    let mut limit = UrdfLimit::default();
    let (node, safety) = (child("limit"), child("safety_controller"));
    if let Some(node) = node {
        limit = UrdfLimit {
            lower: read(node, "lower"),
            upper: read(node, "upper"),
            velocity: read(node, "velocity"),
            effort: read(node, "effort"),
        };
        if limit.velocity.is_none() {
            let problem = "its <limit> has no velocity, which URDF requires (0 leaves it to the file of joint limits)";
            return Err(format!("line {}: {problem}", line(node)));
        }
        for (what, value) in [("velocity", limit.velocity), ("effort", limit.effort)] {
            if let Some(value) = value.filter(|v| *v < 0.0) {
                return Err(format!("line {}: limit {what} {value} is negative", line(node)));
            }
        }
    }
    if let Some(safety) = safety {
        let (low, high) = (read(safety, "soft_lower_limit"), read(safety, "soft_upper_limit"));
        limit.lower = limit.lower.map_or(low, |l| Some(low.map_or(l, |soft| soft.max(l))));
        limit.upper = limit.upper.map_or(high, |l| Some(high.map_or(l, |soft| soft.min(l))));
    }
    if let (Some(lower), Some(upper)) = (limit.lower, limit.upper)
        && lower > upper
    {
        return Err(format!("line {}: lower limit {lower} is above upper limit {upper}", line(joint)));
    }
    Ok((node.is_some() || safety.is_some()).then_some(limit))
}
