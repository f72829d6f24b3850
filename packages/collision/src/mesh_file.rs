//! Mesh files, read as triangles.

mod dae;
mod gltf;
mod stl;

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

/// Reads a file, whose kind its name tells.
pub(crate) fn read(path: &Path) -> Result<TriMesh, String> {
    let kind = path.extension().and_then(|end| end.to_str()).unwrap_or_default().to_lowercase();
    let bytes = || reading::bytes(path, reading::MESH).map_err(|error| error.to_string());
    let mesh = match kind.as_str() {
        "stl" | "stlb" => stl::read(&bytes()?)?,
        "obj" => obj(&bytes()?)?,
        "dae" => dae::read(&String::from_utf8_lossy(&bytes()?))?,
        "gltf" | "glb" => gltf::read(&bytes()?, path.parent().unwrap_or(Path::new("")))?,
        _ => {
            return Err(
                "meshes of STL, OBJ, Collada (.dae) and glTF (.gltf, .glb) are read; convert it, or use primitives for the collision shape".into(),
            );
        }
    };
    checked(mesh)
}

/// Within bounds, and whole.
fn checked(mesh: TriMesh) -> Result<TriMesh, String> {
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

fn obj(bytes: &[u8]) -> Result<TriMesh, String> {
    let load = tobj::LoadOptions { triangulate: true, ..tobj::LoadOptions::default() };
    // Materials do not matter, so one that is missing does not either.
    let none = |_: &Path| Ok((Vec::new(), Default::default()));
    let read = tobj::load_obj_buf(&mut std::io::Cursor::new(bytes), &load, none);
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

/// The triangles of a strip.
fn strip(corners: &[u32], faces: &mut Vec<[u32; 3]>) {
    let turned = |(k, w): (usize, &[u32])| if k % 2 == 0 { [w[0], w[1], w[2]] } else { [w[1], w[0], w[2]] };
    faces.extend(corners.windows(3).enumerate().map(turned));
}

#[cfg(test)]
mod tests;
