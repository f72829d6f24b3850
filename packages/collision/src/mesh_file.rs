//! Mesh files, read as triangles.

use efm_core::reading;
use nalgebra::Vector3;
use std::path::Path;

/// Vertices and triangles of a mesh, metres in the mesh's own frame.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct TriMesh {
    /// At least one, all finite, when it was [`read`].
    pub points: Vec<Vector3<f64>>,
    /// Places among the points. May be none: then the points are all that is known of it.
    pub faces: Vec<[u32; 3]>,
}

/// What is read at most.
const MOST_VERTICES: usize = 500_000;
const MOST_FACES: usize = 1_000_000;

fn open(path: &Path) -> Result<std::fs::File, String> {
    reading::open(path, reading::MESH).map_err(|error| error.to_string())
}

/// Reads a file, whose kind its name tells.
pub(crate) fn read(path: &Path) -> Result<TriMesh, String> {
    let kind = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
    let mesh = match kind.as_str() {
        "stl" => stl(path)?,
        "obj" => obj(path)?,
        _ => {
            return Err(
                "only STL and OBJ meshes are read; convert it, or use primitives for the collision shape".into()
            );
        }
    };
    for (found, most, what) in
        [(mesh.points.len(), MOST_VERTICES, "vertices"), (mesh.faces.len(), MOST_FACES, "triangles")]
    {
        if found > most {
            return Err(format!("it has {found} {what}; at most {most} are read: simplify it"));
        }
    }
    if let Some(point) = mesh.points.iter().find(|p| !p.iter().all(|v| v.is_finite())) {
        return Err(format!("a vertex is not finite: {point:?}"));
    }
    let count = mesh.points.len();
    if let Some(face) = mesh.faces.iter().find(|face| face.iter().any(|i| *i as usize >= count)) {
        return Err(format!("a triangle names the vertices {face:?}, of {count}"));
    }
    if mesh.points.is_empty() { Err("it has no vertices".to_owned()) } else { Ok(mesh) }
}

fn stl(path: &Path) -> Result<TriMesh, String> {
    let mut file = std::io::BufReader::new(open(path)?);
    let mesh = stl_io::read_stl(&mut file).map_err(|error| error.to_string())?;
    let points = mesh.vertices.iter().map(|v| Vector3::new(v[0].into(), v[1].into(), v[2].into())).collect();
    // The reader's own numbers fit: a file is bounded.
    let faces = mesh.faces.iter().map(|face| face.vertices.map(|i| u32::try_from(i).unwrap_or(u32::MAX))).collect();
    Ok(TriMesh { points, faces })
}

fn obj(path: &Path) -> Result<TriMesh, String> {
    let load = tobj::LoadOptions { triangulate: true, ..tobj::LoadOptions::default() };
    // Materials do not matter, so one that is missing does not either.
    let none = |_: &Path| Ok((Vec::new(), Default::default()));
    let read = tobj::load_obj_buf(&mut std::io::BufReader::new(open(path)?), &load, none);
    let (models, _) = read.map_err(|error| error.to_string())?;
    let mut mesh = TriMesh::default();
    for model in &models {
        let first = u32::try_from(mesh.points.len()).unwrap_or(u32::MAX);
        mesh.points.extend(model.mesh.positions.chunks_exact(3).map(|v| Vector3::new(v[0], v[1], v[2])));
        let faces = model.mesh.indices.chunks_exact(3);
        mesh.faces.extend(faces.map(|face| [face[0], face[1], face[2]].map(|i| i.saturating_add(first))));
    }
    Ok(mesh)
}
