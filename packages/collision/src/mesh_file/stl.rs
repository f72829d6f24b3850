//! STL, binary and ASCII.

use super::{MOST_FACES, TriMesh};
use nalgebra::Vector3;
use std::collections::HashMap;

/// Header, and the number of triangles.
const HEAD: usize = 84;
/// A normal, three vertices, two bytes.
const TRIANGLE: usize = 50;

/// Vertices that are equal are one.
#[derive(Default)]
struct Welded {
    mesh: TriMesh,
    places: HashMap<[u32; 3], u32>,
}

impl Welded {
    fn add(&mut self, vertex: [f32; 3]) -> u32 {
        let next = u32::try_from(self.mesh.points.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry(vertex.map(f32::to_bits)).or_insert(next);
        if place == next {
            self.mesh.points.push(Vector3::from(vertex.map(f64::from)));
        }
        place
    }
}

/// Which of the two it is, its length tells: binary files may begin with "solid" as well, and ASCII ones with blank lines.
pub(super) fn read(bytes: &[u8]) -> Result<TriMesh, String> {
    let count = bytes.get(HEAD - 4..HEAD).map(|n| u32::from_le_bytes([n[0], n[1], n[2], n[3]]) as usize);
    if let Some(count) = count.filter(|count| *count > MOST_FACES && count.saturating_mul(TRIANGLE) < bytes.len()) {
        return Err(format!("it has {count} triangles; at most {MOST_FACES} are read: simplify it"));
    }
    let length = count.and_then(|count| count.checked_mul(TRIANGLE)?.checked_add(HEAD));
    if length == Some(bytes.len()) {
        return Ok(binary(&bytes[HEAD..]));
    }
    let begin = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let word = begin.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"solid"));
    let longer = length.is_some_and(|length| length < bytes.len());
    match (word, longer) {
        (true, _) if !longer || has_facets(begin) => ascii(begin),
        // What lies behind the triangles is somebody's own.
        (_, true) => Ok(binary(&bytes[HEAD..length.unwrap_or(HEAD)])),
        _ => Err(match count {
            Some(count) => format!(
                "it is no STL file: it does not begin with 'solid', and as a binary one it would have {count} triangles in {} bytes; export it anew",
                bytes.len()
            ),
            None => "it is no STL file: it is too short; export it anew".to_owned(),
        }),
    }
}

fn has_facets(text: &[u8]) -> bool {
    text.windows(5).take(4096).any(|word| word.eq_ignore_ascii_case(b"facet"))
}

fn binary(triangles: &[u8]) -> TriMesh {
    let mut welded = Welded::default();
    for triangle in triangles.chunks_exact(TRIANGLE) {
        let number =
            |at: usize| f32::from_le_bytes([triangle[at], triangle[at + 1], triangle[at + 2], triangle[at + 3]]);
        let vertex = |k: usize| [0, 4, 8].map(|offset| number(12 + 12 * k + offset));
        let face = [0, 1, 2].map(|k| welded.add(vertex(k)));
        welded.mesh.faces.push(face);
    }
    welded.mesh
}

fn ascii(text: &[u8]) -> Result<TriMesh, String> {
    let text = String::from_utf8_lossy(text);
    let (mut welded, mut face) = (Welded::default(), Vec::with_capacity(3));
    for (at, line) in text.split(['\n', '\r']).enumerate() {
        let mut words = line.split_ascii_whitespace();
        let first = words.next().unwrap_or_default();
        if first.eq_ignore_ascii_case("vertex") {
            let mut vertex = [0.0; 3];
            for value in &mut vertex {
                let word = words.next().unwrap_or_default();
                *value = word.parse().map_err(|_| {
                    let word = efm_core::reading::beginning(word, 40);
                    format!("line {}: a vertex is three numbers, and '{word}' is none", at + 1)
                })?;
            }
            face.push(welded.add(vertex));
        } else if first.eq_ignore_ascii_case("endloop") {
            let &[a, b, c] = face.as_slice() else {
                return Err(format!("line {}: a loop has {} vertices; three are wanted", at + 1, face.len()));
            };
            if welded.mesh.faces.len() == MOST_FACES {
                return Err(format!("it has more than {MOST_FACES} triangles; simplify it"));
            }
            welded.mesh.faces.push([a, b, c]);
            face.clear();
        }
    }
    if face.is_empty() { Ok(welded.mesh) } else { Err("its last loop does not end ('endloop')".to_owned()) }
}
