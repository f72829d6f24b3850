//! MoveIt's `.scene` files: the geometry of a planning scene as text, as rviz exports and imports it.
//!
//! The old form gives each shape its pose in the planning frame; the newer one gives the object a pose, the shapes theirs in it, and subframes behind them.
//! Which of the two it is, is told as MoveIt tells it: by the line behind the first object's name.

use crate::error::{CollisionError, kept};
use crate::obstacles::CollisionObject;
use crate::scene::{SceneMesh, SceneObject, ScenePose, Solid, SolidKind};
use efm_core::reading::beginning;

/// Shapes, subframes of an object.
const MOST_PARTS: usize = 10_000;
/// Vertices of a mesh.
const MOST_VERTICES: usize = 500_000;
/// Objects.
const MOST_OBJECTS: usize = 10_000;

fn begins_object(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("* ") || line.trim_end() == "*"
}

/// Whether a text is such a file: no YAML has these lines.
pub(crate) fn is_one(text: &str) -> bool {
    let ours = |line: &str| line.starts_with("collision_objects:") || line.starts_with("allowed_collisions:");
    text.lines().skip(1).any(|line| begins_object(line) || line.trim() == ".") && !text.lines().any(ours)
}

/// Words with the lines that they stand in.
struct Words<'a> {
    words: Vec<(usize, &'a str)>,
    next: usize,
    last: usize,
}

impl<'a> Words<'a> {
    fn next(&mut self, what: &str) -> Result<(usize, &'a str), String> {
        let found = self.words.get(self.next).copied();
        self.next += 1;
        found.ok_or_else(|| {
            format!("line {}: the file ends, or the next object begins, where {what} is wanted", self.last)
        })
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let (line, word) = self.next(what)?;
        word.parse().map_err(|_| format!("line {line}: '{}' stands where {what} is wanted", beginning(word, 40)))
    }

    fn numbers<const N: usize>(&mut self, what: &str) -> Result<[f64; N], String> {
        let mut read = [0.0; N];
        for value in &mut read {
            *value = self.number(what)?;
        }
        Ok(read)
    }

    fn pose(&mut self) -> Result<ScenePose, String> {
        let position = self.numbers("a position (x y z, m)")?;
        let orientation = self.numbers("an orientation (quaternion x y z w)")?;
        Ok(ScenePose { position, orientation })
    }

    fn count(&mut self, what: &str, most: usize) -> Result<usize, String> {
        let count = self.number(what)?;
        let line = self.words.get(self.next.saturating_sub(1)).map_or(0, |(line, _)| *line);
        if count > most {
            return Err(format!("line {line}: {what} is {count}; at most {most} are read"));
        }
        Ok(count)
    }
}

/// All objects of a file.
///
/// # Errors
/// What is wrong with it: of each object the first mistake, with its line.
pub(crate) fn read(text: &str) -> Result<Vec<CollisionObject>, CollisionError> {
    let lines: Vec<&str> = text.lines().collect();
    // The first line is the scene's name, whatever it looks like.
    let starts: Vec<usize> = (1..lines.len()).filter(|at| begins_object(lines[*at])).collect();
    let behind = |at: usize| lines.get(at + 1).map_or("", |line| line.trim());
    let with_pose = starts.first().is_some_and(|at| behind(*at).contains(' '));
    let ends = (0..lines.len()).rev().find(|at| lines[*at].trim() == ".");
    let mut wrong = Vec::new();
    let entry = |place: String, problem: String| CollisionError::Entry { place, problem };
    if starts.len() > MOST_OBJECTS {
        let problem = format!("it has {} objects; at most {MOST_OBJECTS} are read", starts.len());
        return Err(entry("scene".to_owned(), problem));
    }
    if ends.is_none() {
        let problem = format!("line {}: it does not end with a line '.'; it is cut off", lines.len());
        wrong.push(entry("scene".to_owned(), problem));
    }
    let first = starts.first().copied().unwrap_or(ends.unwrap_or(lines.len()));
    if let Some(at) = (1..first).find(|at| !lines[*at].trim().is_empty()) {
        let shown = beginning(lines[at].trim(), 40);
        let problem = format!("line {}: '{shown}' stands where '* <name of an object>' or '.' is wanted", at + 1);
        wrong.push(entry("scene".to_owned(), problem));
    }
    let mut objects: Vec<CollisionObject> = Vec::new();
    for (k, start) in starts.iter().enumerate() {
        let end = starts.get(k + 1).copied().unwrap_or(ends.unwrap_or(lines.len()).max(start + 1));
        let id = lines[*start].trim_start().trim_start_matches('*').trim();
        let words = (start + 1..end).flat_map(|at| lines[at].split_whitespace().map(move |word| (at + 1, word)));
        let mut words = Words { words: words.collect(), next: 0, last: end };
        let name = format!("object '{}'", beginning(id, 80));
        let object = read_object(id, with_pose, &mut words).map_err(|problem| entry(name.clone(), problem));
        let object = object.and_then(|object| object.check());
        let Some(object) = kept(object, &mut wrong) else { continue };
        if let Some((line, word)) = words.words.get(words.next) {
            let word = beginning(word, 40);
            let problem = format!("line {line}: '{word}' stands where '* <name of an object>' or '.' is wanted");
            wrong.push(entry(name, problem));
        } else if object.shapes.is_empty() && object.meshes.is_empty() && object.planes.is_empty() {
            wrong.push(entry(name, format!("line {}: it has no shape; give it one, or take it out", start + 1)));
        } else if objects.iter().any(|known| known.id == object.id) {
            let problem = format!("line {}: the name is used twice; rename one of them", start + 1);
            wrong.push(entry(name, problem));
        } else {
            objects.push(object);
        }
    }
    CollisionError::all(wrong)?;
    Ok(objects)
}

fn read_object(id: &str, with_pose: bool, words: &mut Words<'_>) -> Result<SceneObject, String> {
    let mut object = SceneObject { id: id.to_owned(), ..SceneObject::default() };
    if with_pose {
        object.pose = words.pose()?;
    }
    for _ in 0..words.count("the number of its shapes", MOST_PARTS)? {
        let (line, kind) = words.next("a shape")?;
        let mut solid = |kind: SolidKind, dimensions: Vec<f64>| object.primitives.push(Solid { kind, dimensions });
        // The text has the radius first, messages the height.
        match kind {
            "box" => solid(SolidKind::Box, words.numbers::<3>("a size (x y z, m)")?.to_vec()),
            "sphere" => solid(SolidKind::Sphere, words.numbers::<1>("a radius (m)")?.to_vec()),
            "cylinder" | "cone" => {
                let [radius, length] = words.numbers("a radius and a length (m)")?;
                let kind = if kind == "cone" { SolidKind::Cone } else { SolidKind::Cylinder };
                solid(kind, vec![length, radius]);
            }
            "plane" => {
                object.planes.push(words.numbers("a plane (a b c d)")?);
                object.plane_poses.push(words.pose()?);
            }
            "mesh" => {
                let vertices = words.count("the number of its vertices", MOST_VERTICES)?;
                let triangles = words.count("the number of its triangles", 2 * MOST_VERTICES)?;
                // What is there bounds what is kept, whatever is announced.
                let mut points = Vec::new();
                for _ in 0..vertices {
                    points.push(words.numbers("a vertex (x y z, m)")?);
                }
                for _ in 0..3 * triangles {
                    let index: usize = words.number("a triangle (three vertices)")?;
                    if index >= vertices {
                        return Err(format!("line {line}: a triangle of its mesh names vertex {index}, of {vertices}"));
                    }
                }
                object.meshes.push(SceneMesh::Vertices(points));
                object.mesh_poses.push(words.pose()?);
            }
            other => {
                let other = beginning(other, 40);
                return Err(format!(
                    "line {line}: shape '{other}' is not read; box, sphere, cylinder, cone, plane and mesh are"
                ));
            }
        }
        if matches!(kind, "box" | "sphere" | "cylinder" | "cone") {
            object.primitive_poses.push(words.pose()?);
        }
        words.numbers::<4>("a colour (r g b a)")?;
    }
    if with_pose {
        for _ in 0..words.count("the number of its subframes", MOST_PARTS)? {
            words.next("the name of a subframe")?;
            words.pose()?;
        }
    }
    Ok(object)
}
