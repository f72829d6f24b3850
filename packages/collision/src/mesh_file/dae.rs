//! Collada (`.dae`).
//!
//! As rviz and MoveIt take it: `<unit>` counts (what is drawn in centimetres becomes metres), `<up_axis>` does not, since URDFs have been written to what
//! those two show. Transforms of the scene's nodes count.

use super::{MOST_FACES, MOST_VERTICES, TriMesh};
use efm_core::reading::{MESH, beginning};
use efm_robot::xml::within_bounds;
use nalgebra::{Matrix4, Rotation3, Unit, Vector3};
use roxmltree::Node;
use std::collections::HashMap;

/// Elements of a file.
const MOST_NODES: u32 = 1_000_000;
/// Nodes within nodes.
const DEEPEST: usize = 64;
/// Numbers of one list: the corners of all triangles with a texture, a normal, a tangent and a colour each, and more.
const MOST_NUMBERS: usize = 24 * MOST_FACES;
/// Nodes that are placed, one that is used twice counted twice.
const MOST_PLACED: usize = 100_000;

pub(super) fn read(text: &str) -> Result<TriMesh, String> {
    let document = within_bounds(text, MESH, MOST_NODES)?;
    let root = document.root_element();
    if root.tag_name().name() != "COLLADA" {
        return Err(format!("its root element is <{}>, not <COLLADA>", root.tag_name().name()));
    }
    let unit = find(root, "asset").and_then(|asset| find(asset, "unit")).and_then(|unit| unit.attribute("meter"));
    let unit = match unit.map(|meter| (meter, meter.trim().parse::<f64>())) {
        None => 1.0,
        Some((_, Ok(meter))) if meter.is_finite() && meter > 0.0 => meter,
        Some((text, _)) => {
            return Err(format!("<unit meter=\"{}\"> is no number above 0", beginning(text, 40)));
        }
    };
    let ids = root.descendants().filter(Node::is_element).filter_map(|node| Some((node.attribute("id")?, node)));
    let mut file = File { ids: ids.collect(), forms: HashMap::new(), mesh: TriMesh::default(), placed: 0 };
    let at = Matrix4::new_scaling(unit);
    let scene = find(root, "scene").and_then(|scene| find(scene, "instance_visual_scene"));
    let scene = scene.and_then(|scene| file.named(scene, "url"));
    let scene = scene.or_else(|| root.descendants().find(|node| is(node, "visual_scene")));
    match scene {
        Some(scene) => {
            for node in scene.children().filter(|node| is(node, "node")) {
                file.place(node, &at, 0)?;
            }
        }
        None => {
            for geometry in root.descendants().filter(|node| is(node, "geometry")) {
                file.add(geometry, &at)?;
            }
        }
    }
    if file.mesh.faces.is_empty() {
        return Err("no triangle of it stands in its scene; export it with triangles".to_owned());
    }
    Ok(file.mesh)
}

fn is(node: &Node<'_, '_>, tag: &str) -> bool {
    node.is_element() && node.tag_name().name() == tag
}

fn find<'a, 'i>(node: Node<'a, 'i>, tag: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|inner| is(inner, tag))
}

fn line(node: Node<'_, '_>) -> u32 {
    node.document().text_pos_at(node.range().start).row
}

/// Numbers of an element's text.
fn numbers<T: std::str::FromStr>(node: Node<'_, '_>) -> Result<Vec<T>, String> {
    let mut read = Vec::new();
    for text in node.children().filter_map(|child| if child.is_text() { child.text() } else { None }) {
        for word in text.split_ascii_whitespace() {
            let number = word.parse().map_err(|_| {
                let tag = node.tag_name().name();
                format!("line {}: '{}' in <{tag}> is not the number that is wanted", line(node), beginning(word, 40))
            })?;
            if read.len() == MOST_NUMBERS {
                return Err(format!(
                    "line {}: a list has more than {MOST_NUMBERS} numbers; simplify the mesh",
                    line(node)
                ));
            }
            read.push(number);
        }
    }
    Ok(read)
}

fn several<const N: usize>(node: Node<'_, '_>) -> Result<[f64; N], String> {
    let found: Vec<f64> = numbers(node)?;
    let count = found.len();
    <[f64; N]>::try_from(found)
        .map_err(|_| format!("line {}: <{}> has {count} numbers; {N} are wanted", line(node), node.tag_name().name()))
}

/// The transform of a node: its parts in their order.
fn transform(node: Node<'_, '_>) -> Result<Matrix4<f64>, String> {
    let mut whole = Matrix4::identity();
    for part in node.children().filter(Node::is_element) {
        whole *= match part.tag_name().name() {
            "matrix" => Matrix4::from_row_slice(&several::<16>(part)?),
            "translate" => Matrix4::new_translation(&Vector3::from(several::<3>(part)?)),
            "scale" => Matrix4::new_nonuniform_scaling(&Vector3::from(several::<3>(part)?)),
            "rotate" => {
                let [x, y, z, degrees] = several(part)?;
                match Unit::try_new(Vector3::new(x, y, z), 1e-12) {
                    Some(axis) => Rotation3::from_axis_angle(&axis, degrees.to_radians()).to_homogeneous(),
                    None => Matrix4::identity(),
                }
            }
            kind @ ("lookat" | "skew") => {
                return Err(format!(
                    "line {}: <{kind}> is not read; apply the transforms and export it anew",
                    line(part)
                ));
            }
            _ => continue,
        };
    }
    Ok(whole)
}

/// Vertices and triangles of a geometry, in its own frame.
type Form = (Vec<Vector3<f64>>, Vec<[u32; 3]>);

struct File<'a, 'i> {
    ids: HashMap<&'a str, Node<'a, 'i>>,
    /// Of geometries, by place in the document.
    forms: HashMap<usize, Form>,
    mesh: TriMesh,
    placed: usize,
}

impl<'a, 'i> File<'a, 'i> {
    /// What an attribute names as `#id`.
    fn named(&self, node: Node<'a, 'i>, attribute: &str) -> Option<Node<'a, 'i>> {
        self.ids.get(node.attribute(attribute)?.strip_prefix('#')?).copied()
    }

    fn wanted(&self, node: Node<'a, 'i>, attribute: &str) -> Result<Node<'a, 'i>, String> {
        self.named(node, attribute).ok_or_else(|| {
            let (tag, name) = (node.tag_name().name(), node.attribute(attribute).unwrap_or_default());
            format!("line {}: <{tag} {attribute}=\"{}\"> names nothing in this file", line(node), beginning(name, 60))
        })
    }

    fn place(&mut self, node: Node<'a, 'i>, above: &Matrix4<f64>, depth: usize) -> Result<(), String> {
        self.placed += 1;
        if depth > DEEPEST || self.placed > MOST_PLACED {
            return Err(format!("line {}: its scene has too many nodes, or nodes within themselves", line(node)));
        }
        let at = above * transform(node)?;
        for inner in node.children().filter(Node::is_element) {
            match inner.tag_name().name() {
                "node" => self.place(inner, &at, depth + 1)?,
                "instance_node" => self.place(self.wanted(inner, "url")?, &at, depth + 1)?,
                "instance_geometry" => self.add(self.wanted(inner, "url")?, &at)?,
                "instance_controller" => {
                    let skin = find(self.wanted(inner, "url")?, "skin");
                    let skin = skin.ok_or_else(|| format!("line {}: its controller has no <skin>", line(inner)))?;
                    let bound = find(skin, "bind_shape_matrix").map(several::<16>).transpose()?;
                    let bound = bound.map_or_else(Matrix4::identity, |rows| Matrix4::from_row_slice(&rows));
                    self.add(self.wanted(skin, "source")?, &(at * bound))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A geometry where it stands.
    fn add(&mut self, geometry: Node<'a, 'i>, at: &Matrix4<f64>) -> Result<(), String> {
        let key = geometry.range().start;
        if !self.forms.contains_key(&key) {
            let form = self.form(geometry)?;
            self.forms.insert(key, form);
        }
        let (points, faces) = &self.forms[&key];
        let first = self.mesh.points.len();
        let too_many = |found: usize, most: usize| found > most;
        if too_many(first + points.len(), MOST_VERTICES) || too_many(self.mesh.faces.len() + faces.len(), MOST_FACES) {
            return Err(format!(
                "its scene has more than {MOST_VERTICES} vertices or {MOST_FACES} triangles; simplify it"
            ));
        }
        let first = u32::try_from(first).unwrap_or(u32::MAX);
        // A mirrored one is inside out otherwise.
        let mirrored = at.fixed_view::<3, 3>(0, 0).determinant() < 0.0;
        let faces = faces.iter().map(|&[a, b, c]| if mirrored { [a, c, b] } else { [a, b, c] });
        self.mesh.faces.extend(faces.map(|face| face.map(|i| i + first)));
        self.mesh.points.extend(points.iter().map(|point| (at * point.push(1.0)).xyz()));
        Ok(())
    }

    /// The positions that a `<vertices>` or an input names.
    fn positions(&self, input: Node<'a, 'i>) -> Result<Vec<Vector3<f64>>, String> {
        let mut source = self.wanted(input, "source")?;
        if is(&source, "vertices") {
            let position = source.children().find(|i| is(i, "input") && i.attribute("semantic") == Some("POSITION"));
            let position = position.ok_or_else(|| format!("line {}: its <vertices> have no POSITION", line(source)))?;
            source = self.wanted(position, "source")?;
        }
        let array = find(source, "float_array");
        let array = array.ok_or_else(|| format!("line {}: <source> has no <float_array>", line(source)))?;
        let values: Vec<f64> = numbers(array)?;
        let accessor = find(source, "technique_common").and_then(|common| find(common, "accessor"));
        let of = |name: &str, default: usize| {
            accessor.and_then(|a| a.attribute(name)).and_then(|n| n.trim().parse().ok()).unwrap_or(default)
        };
        let (stride, offset) = (of("stride", 3), of("offset", 0));
        if stride < 3 {
            return Err(format!("line {}: positions of {stride} numbers; 3 are wanted", line(source)));
        }
        let values = values.get(offset..).unwrap_or_default();
        let values = values.chunks(stride).filter(|v| v.len() >= 3);
        Ok(values.map(|v| Vector3::new(v[0], v[1], v[2])).collect())
    }

    fn form(&self, geometry: Node<'a, 'i>) -> Result<Form, String> {
        let (mut points, mut faces): Form = (Vec::new(), Vec::new());
        let Some(mesh) = geometry.children().find(|node| is(node, "mesh") || is(node, "convex_mesh")) else {
            return Ok((points, faces));
        };
        for primitive in mesh.children().filter(Node::is_element) {
            let kind = primitive.tag_name().name();
            if !["triangles", "polylist", "polygons", "trifans", "tristrips"].contains(&kind) {
                continue;
            }
            let inputs = primitive.children().filter(|node| is(node, "input"));
            let offset = |input: &Node<'_, '_>| input.attribute("offset").and_then(|n| n.trim().parse::<usize>().ok());
            let stride = inputs.clone().filter_map(|input| offset(&input)).max().unwrap_or(0).saturating_add(1);
            let vertex =
                inputs.clone().find(|input| matches!(input.attribute("semantic"), Some("VERTEX" | "POSITION")));
            let vertex = vertex.ok_or_else(|| format!("line {}: <{kind}> has no input VERTEX", line(primitive)))?;
            let (at, positions) = (offset(&vertex).unwrap_or(0), self.positions(vertex)?);
            // Of those that are used: others would make it larger than it is.
            let mut places: Vec<u32> = vec![u32::MAX; positions.len()];
            let mut corners = |list: Node<'_, '_>| -> Result<Vec<u32>, String> {
                let indices: Vec<usize> = numbers(list)?;
                let mut read = Vec::with_capacity(indices.len() / stride);
                for group in indices.chunks(stride) {
                    let Some(&index) = group.get(at) else { continue };
                    let position = positions.get(index).ok_or_else(|| {
                        format!("line {}: a triangle names vertex {index}, of {}", line(list), positions.len())
                    })?;
                    if places[index] == u32::MAX {
                        places[index] = u32::try_from(points.len()).unwrap_or(u32::MAX);
                        points.push(*position);
                    }
                    read.push(places[index]);
                }
                Ok(read)
            };
            let lists = primitive.children().filter(|node| is(node, "p"));
            match kind {
                "triangles" => {
                    for list in lists {
                        faces.extend(corners(list)?.as_chunks::<3>().0);
                    }
                }
                "polylist" => {
                    let counts: Vec<usize> = find(primitive, "vcount").map(numbers).transpose()?.unwrap_or_default();
                    let mut corners = lists.map(&mut corners).collect::<Result<Vec<_>, _>>()?.concat().into_iter();
                    for count in counts {
                        let polygon: Vec<u32> = corners.by_ref().take(count).collect();
                        if polygon.len() < count {
                            let problem = "its <vcount> counts more corners than there are";
                            return Err(format!("line {}: {problem}", line(primitive)));
                        }
                        fan(&polygon, &mut faces);
                    }
                }
                "polygons" => {
                    // Of one with holes (`ph`) the outline: the holes are filled.
                    let holed = primitive.children().filter(|node| is(node, "ph")).filter_map(|ph| find(ph, "p"));
                    for list in lists.chain(holed) {
                        fan(&corners(list)?, &mut faces);
                    }
                }
                "trifans" => {
                    for list in lists {
                        fan(&corners(list)?, &mut faces);
                    }
                }
                _ => {
                    for list in lists {
                        super::strip(&corners(list)?, &mut faces);
                    }
                }
            }
            if points.len() > MOST_VERTICES || faces.len() > MOST_FACES {
                return Err(format!(
                    "it has more than {MOST_VERTICES} vertices or {MOST_FACES} triangles; simplify it"
                ));
            }
        }
        Ok((points, faces))
    }
}

fn fan(polygon: &[u32], faces: &mut Vec<[u32; 3]>) {
    let Some((&first, others)) = polygon.split_first() else { return };
    faces.extend(others.windows(2).map(|edge| [first, edge[0], edge[1]]));
}
