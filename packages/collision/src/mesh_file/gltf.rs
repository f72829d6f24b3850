//! glTF 2.0 (`.gltf` with its buffers beside or within it, `.glb`).
//!
//! Transforms of nodes count. glTF's own convention that y is up does not: rviz and MoveIt (by assimp) do not turn what they read either, and URDFs have
//! been written to what they show.

use super::{MOST_FACES, MOST_VERTICES, TriMesh};
use efm_core::reading::{self, beginning};
use nalgebra::{Matrix4, Quaternion, UnitQuaternion, Vector3};
use serde::Deserialize;
use std::path::Path;

const DEEPEST: usize = 64;
/// Nodes that are placed.
const MOST_PLACED: usize = 100_000;

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Root {
    scene: Option<usize>,
    scenes: Vec<Scene>,
    nodes: Vec<Branch>,
    meshes: Vec<Mesh>,
    accessors: Vec<Accessor>,
    buffer_views: Vec<View>,
    buffers: Vec<Buffer>,
    extensions_required: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scene {
    nodes: Vec<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Branch {
    children: Vec<usize>,
    mesh: Option<usize>,
    matrix: Option<[f64; 16]>,
    translation: Option<[f64; 3]>,
    rotation: Option<[f64; 4]>,
    scale: Option<[f64; 3]>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Mesh {
    primitives: Vec<Primitive>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Primitive {
    attributes: Attributes,
    indices: Option<usize>,
    mode: Option<u32>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Attributes {
    #[serde(rename = "POSITION")]
    position: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Accessor {
    buffer_view: Option<usize>,
    byte_offset: usize,
    component_type: u32,
    count: usize,
    r#type: String,
    normalized: bool,
    sparse: Option<serde_json::Value>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct View {
    buffer: usize,
    byte_offset: usize,
    byte_length: usize,
    byte_stride: Option<usize>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Buffer {
    uri: Option<String>,
}

/// Reads the bytes of a file; buffers that it names are looked for in `folder`.
pub(super) fn read(bytes: &[u8], folder: &Path) -> Result<TriMesh, String> {
    let (json, mut inner) = if bytes.starts_with(b"glTF") { chunks(bytes)? } else { (bytes, None) };
    let root: Root = serde_json::from_slice(json)
        .map_err(|error| format!("it is no glTF 2.0: {}", reading::said_by_parser(&error)))?;
    let packed = |name: &&String| name.contains("draco") || name.contains("meshopt");
    if let Some(name) = root.extensions_required.iter().find(packed) {
        let name = beginning(name, 60);
        return Err(format!("it is compressed ({name}), which is not read; export it without compression"));
    }
    let (mut buffers, mut total) = (Vec::with_capacity(root.buffers.len().min(1000)), 0);
    for (k, buffer) in root.buffers.iter().enumerate() {
        let read = match &buffer.uri {
            None => inner.take().map(<[u8]>::to_vec).ok_or_else(|| "has neither a uri nor a binary chunk".to_owned()),
            Some(uri) => fetch(uri, folder),
        };
        let read = read.map_err(|problem| format!("its buffer {k} {problem}"))?;
        total += read.len() as u64;
        if total > reading::MESH {
            return Err(format!("its buffers have more than {} bytes", reading::MESH));
        }
        buffers.push(read);
    }
    let mut file = File { root: &root, buffers, mesh: TriMesh::default(), placed: 0 };
    let all: Vec<usize> = match root.scenes.get(root.scene.unwrap_or(0)) {
        Some(scene) => scene.nodes.clone(),
        None => {
            let mut is_child = vec![false; root.nodes.len()];
            for child in root.nodes.iter().flat_map(|node| &node.children) {
                if let Some(known) = is_child.get_mut(*child) {
                    *known = true;
                }
            }
            (0..root.nodes.len()).filter(|node| !is_child[*node]).collect()
        }
    };
    for node in all {
        file.place(node, &Matrix4::identity(), 0)?;
    }
    if file.mesh.faces.is_empty() {
        return Err("no triangle of it stands in its scene; export it with triangles".to_owned());
    }
    Ok(file.mesh)
}

/// JSON and binary chunk of a `.glb`.
fn chunks(bytes: &[u8]) -> Result<(&[u8], Option<&[u8]>), String> {
    let word = |at: usize| {
        let word = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    match word(4) {
        Some(2) => {}
        Some(version) => return Err(format!("it is glTF of version {version}; 2 is read")),
        None => return Err("its header is cut off".to_owned()),
    }
    let (mut json, mut binary, mut at) = (None, None, 12);
    while let (Some(length), Some(kind)) = (word(at), word(at + 4)) {
        let chunk = (at + 8).checked_add(length as usize).and_then(|end| bytes.get(at + 8..end));
        let chunk = chunk.ok_or_else(|| format!("its chunk at byte {at} is cut off"))?;
        match kind {
            0x4E4F_534A if json.is_none() => json = Some(chunk),
            0x004E_4942 if binary.is_none() => binary = Some(chunk),
            _ => {}
        }
        at += 8 + chunk.len();
    }
    Ok((json.ok_or("it has no JSON chunk")?, binary))
}

/// The bytes that a `uri` names.
fn fetch(uri: &str, folder: &Path) -> Result<Vec<u8>, String> {
    if let Some(data) = uri.strip_prefix("data:") {
        let (kind, data) = data.split_once(',').ok_or("is a data: uri without a ','")?;
        if !kind.ends_with(";base64") {
            return Err("is a data: uri that is not base64".to_owned());
        }
        return base64(data).ok_or_else(|| "is not base64".to_owned());
    }
    let shown = beginning(uri, 80);
    if uri.contains("://") {
        return Err(format!("is '{shown}', which is not read; put it beside the file"));
    }
    let path = folder.join(percent_decoded(uri).ok_or_else(|| format!("is '{shown}', which is no path"))?);
    reading::bytes(&path, reading::MESH).map_err(|error| format!("('{shown}', beside it) cannot be read: {error}"))
}

fn percent_decoded(uri: &str) -> Option<String> {
    let mut out = Vec::with_capacity(uri.len());
    let mut bytes = uri.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let hex = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| {
        Some(u32::from(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        }))
    };
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.bytes().filter(|byte| *byte != b'=' && !byte.is_ascii_whitespace()) {
        bits = bits << 6 | value(byte)?;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(out)
}

struct File<'a> {
    root: &'a Root,
    buffers: Vec<Vec<u8>>,
    mesh: TriMesh,
    placed: usize,
}

impl File<'_> {
    fn place(&mut self, index: usize, above: &Matrix4<f64>, depth: usize) -> Result<(), String> {
        self.placed += 1;
        if depth > DEEPEST || self.placed > MOST_PLACED {
            return Err(format!("node {index}: its scene has too many nodes, or nodes within themselves"));
        }
        let root = self.root;
        let node = root.nodes.get(index).ok_or_else(|| format!("there is no node {index}, which is named"))?;
        let own = match node.matrix {
            Some(columns) => Matrix4::from_column_slice(&columns),
            None => {
                let [x, y, z, w] = node.rotation.unwrap_or([0.0, 0.0, 0.0, 1.0]);
                let turn = UnitQuaternion::try_new(Quaternion::new(w, x, y, z), 1e-9).unwrap_or_default();
                Matrix4::new_translation(&Vector3::from(node.translation.unwrap_or_default()))
                    * turn.to_homogeneous()
                    * Matrix4::new_nonuniform_scaling(&Vector3::from(node.scale.unwrap_or([1.0; 3])))
            }
        };
        let at = above * own;
        if let Some(mesh) = node.mesh {
            self.add(mesh, &at)?;
        }
        for child in &node.children {
            self.place(*child, &at, depth + 1)?;
        }
        Ok(())
    }

    fn add(&mut self, index: usize, at: &Matrix4<f64>) -> Result<(), String> {
        let root = self.root;
        let mesh = root.meshes.get(index).ok_or_else(|| format!("there is no mesh {index}, which is named"))?;
        for primitive in &mesh.primitives {
            let mode = primitive.mode.unwrap_or(4);
            let Some(position) = primitive.attributes.position.filter(|_| (4..=6).contains(&mode)) else { continue };
            let points = self.numbers(position, 3)?;
            let first = self.mesh.points.len();
            let points: Vec<Vector3<f64>> =
                points.chunks_exact(3).map(|p| (at * Vector3::new(p[0], p[1], p[2]).push(1.0)).xyz()).collect();
            let count = points.len();
            let corners: Vec<u32> = match primitive.indices {
                None => (0..u32::try_from(count).unwrap_or(0)).collect(),
                // Finite and not negative, as they were whole numbers.
                Some(indices) => self.numbers(indices, 1)?.into_iter().map(|index| index as u32).collect(),
            };
            if let Some(index) = corners.iter().find(|index| **index as usize >= count) {
                return Err(format!("a triangle of mesh {index} names a vertex beyond its {count}"));
            }
            let mut faces = Vec::new();
            match mode {
                4 => faces.extend(corners.as_chunks::<3>().0),
                5 => super::strip(&corners, &mut faces),
                _ => {
                    if let Some((&hub, others)) = corners.split_first() {
                        faces.extend(others.windows(2).map(|edge| [hub, edge[0], edge[1]]));
                    }
                }
            }
            if first + count > MOST_VERTICES || self.mesh.faces.len() + faces.len() > MOST_FACES {
                return Err(format!(
                    "it has more than {MOST_VERTICES} vertices or {MOST_FACES} triangles; simplify it"
                ));
            }
            // A mirrored one is inside out otherwise.
            let mirrored = at.fixed_view::<3, 3>(0, 0).determinant() < 0.0;
            let first = u32::try_from(first).unwrap_or(u32::MAX);
            let turned = |[a, b, c]: [u32; 3]| if mirrored { [a, c, b] } else { [a, b, c] };
            // Vertices that no triangle uses would make it larger than it is.
            let mut places = vec![u32::MAX; count];
            for face in faces {
                let face = turned(face).map(|index| {
                    let place = &mut places[index as usize];
                    if *place == u32::MAX {
                        *place = u32::try_from(self.mesh.points.len()).unwrap_or(u32::MAX);
                        self.mesh.points.push(points[index as usize]);
                    }
                    *place
                });
                debug_assert!(face.iter().all(|index| *index >= first));
                self.mesh.faces.push(face);
            }
        }
        Ok(())
    }

    /// The numbers of an accessor, `each` for one of its elements.
    fn numbers(&self, index: usize, each: usize) -> Result<Vec<f64>, String> {
        let wrong = |problem: &str| format!("accessor {index} {problem}");
        let accessor = self.root.accessors.get(index).ok_or_else(|| wrong("is named and not there"))?;
        if accessor.sparse.is_some() {
            return Err(wrong("is sparse, which is not read; export it anew without"));
        }
        if accessor.r#type != if each == 3 { "VEC3" } else { "SCALAR" } {
            let kind = beginning(&accessor.r#type, 20);
            return Err(wrong(&format!("has elements of type '{kind}', not {each} numbers each")));
        }
        // Known before anything is made of it.
        let most = if each == 3 { MOST_VERTICES } else { 3 * MOST_FACES };
        if accessor.count > most {
            return Err(wrong(&format!("has {} elements; at most {most} are read: simplify it", accessor.count)));
        }
        let view = accessor.buffer_view.ok_or_else(|| wrong("has no bufferView"))?;
        let view = self.root.buffer_views.get(view).ok_or_else(|| wrong("has a bufferView that is not there"))?;
        let buffer = self.buffers.get(view.buffer).ok_or_else(|| wrong("is of a buffer that is not there"))?;
        let end = view.byte_offset.checked_add(view.byte_length);
        let bytes = end.and_then(|end| buffer.get(view.byte_offset..end));
        let bytes = bytes.and_then(|bytes| bytes.get(accessor.byte_offset..));
        let bytes = bytes.ok_or_else(|| wrong("lies beyond its buffer"))?;
        let width = match accessor.component_type {
            5120 | 5121 => 1,
            5122 | 5123 => 2,
            5125 | 5126 => 4,
            other => return Err(wrong(&format!("has components of type {other}, which glTF does not know"))),
        };
        if each == 1 && accessor.component_type == 5126 {
            return Err(wrong("has indices that are no whole numbers"));
        }
        let stride = view.byte_stride.unwrap_or(width * each).max(width * each);
        let needed =
            accessor.count.checked_sub(1).map_or(Some(0), |more| more.checked_mul(stride)?.checked_add(width * each));
        if needed.is_none_or(|needed| needed > bytes.len()) {
            return Err(wrong(&format!("has {} elements, more than its buffer holds", accessor.count)));
        }
        let scaled = |value: f64, most: f64| if accessor.normalized { (value / most).max(-1.0) } else { value };
        let mut read = Vec::with_capacity(accessor.count * each);
        for element in 0..accessor.count {
            for component in 0..each {
                let at = element * stride + component * width;
                let b = |k: usize| bytes[at + k];
                read.push(match accessor.component_type {
                    5120 => scaled(f64::from(b(0) as i8), 127.0),
                    5121 => scaled(f64::from(b(0)), 255.0),
                    5122 => scaled(f64::from(i16::from_le_bytes([b(0), b(1)])), 32767.0),
                    5123 => scaled(f64::from(u16::from_le_bytes([b(0), b(1)])), 65535.0),
                    5125 => f64::from(u32::from_le_bytes([b(0), b(1), b(2), b(3)])),
                    _ => f64::from(f32::from_le_bytes([b(0), b(1), b(2), b(3)])),
                });
            }
        }
        Ok(read)
    }
}
