//! Convex parts of meshes, kept between starts: cutting takes a second a mesh.
//!
//! A file's name is the hash of the mesh and of how it is cut, so a mesh that changes is cut anew. What a file holds is believed only if it names
//! that hash, its own hash fits and every vertex of the mesh lies in a part.

use crate::convex::{Cutting, Fit, Parts};
use crate::mesh::Hull;
use crate::mesh_file::TriMesh;
use efm_core::reading;
use nalgebra::Vector3;
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::{Path, PathBuf};

/// First bytes of a file; another way of cutting has another number.
const MAGIC: &[u8] = b"efm mesh parts 1";
/// Bytes of a file at most: a thousand corners of each of a hundred parts are 2.4 MB.
const MOST: u64 = 16 << 20;

/// The parts of a mesh, from the folder if they are there; otherwise cut and put there. A folder that cannot be written to is done without.
pub(crate) fn parts(folder: Option<&Path>, mesh: &TriMesh, cutting: Cutting) -> Parts {
    let Some(folder) = folder else { return crate::convex::parts(mesh, cutting) };
    let name = name(mesh, cutting);
    let file = folder.join(format!("{name}.parts"));
    if let Some(known) = read(&file, &name).filter(|known| contains(known, mesh)) {
        return known;
    }
    let parts = crate::convex::parts(mesh, cutting);
    // Whoever cannot write cuts again.
    let _ = write(folder, &file, &name, &parts);
    parts
}

fn name(mesh: &TriMesh, cutting: Cutting) -> String {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    hash.update(cutting.tolerance.to_le_bytes());
    hash.update((cutting.parts as u64).to_le_bytes());
    hash.update((mesh.points.len() as u64).to_le_bytes());
    mesh.points.iter().flat_map(|point| point.iter()).for_each(|x| hash.update(x.to_le_bytes()));
    mesh.faces.iter().flatten().for_each(|i| hash.update(i.to_le_bytes()));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn contains(parts: &Parts, mesh: &TriMesh) -> bool {
    let within = |point: &Vector3<f64>| parts.hulls.iter().any(|hull| hull.distance(point) <= hull.inflation);
    mesh.points.iter().all(within)
}

fn write(folder: &Path, file: &Path, name: &str, parts: &Parts) -> std::io::Result<()> {
    let mut bytes = [MAGIC, name.as_bytes()].concat();
    let mut number = |x: f64| bytes.extend(x.to_le_bytes());
    [parts.fit.inflation, parts.fit.off_p99, parts.fit.off_most, parts.hulls.len() as f64]
        .into_iter()
        .for_each(&mut number);
    for hull in &parts.hulls {
        [hull.centre.x, hull.centre.y, hull.centre.z, hull.inflation, hull.points.len() as f64]
            .into_iter()
            .for_each(&mut number);
        hull.points.iter().flat_map(|point| point.iter()).for_each(|x| number(*x));
    }
    let hash = Sha256::digest(&bytes);
    bytes.extend(hash);
    std::fs::create_dir_all(folder)?;
    // Whole or not at all, whoever else does the same.
    let mut made = PathBuf::from(file);
    made.set_extension(format!("{}.new", std::process::id()));
    let done = std::fs::File::create(&made).and_then(|mut new| new.write_all(&bytes));
    done.and_then(|()| std::fs::rename(&made, file)).inspect_err(|_| {
        let _ = std::fs::remove_file(&made);
    })
}

fn read(file: &Path, name: &str) -> Option<Parts> {
    let bytes = reading::bytes(file, MOST).ok()?;
    let (bytes, hash) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
    if Sha256::digest(bytes).as_slice() != hash {
        return None;
    }
    let mut rest = bytes.strip_prefix(MAGIC)?.strip_prefix(name.as_bytes())?;
    let mut number = || {
        let (first, more) = rest.split_at_checked(8)?;
        rest = more;
        Some(f64::from_le_bytes(first.try_into().ok()?)).filter(|x| x.is_finite())
    };
    /// More than any file has room for.
    const MANY: f64 = 1e6;
    let (inflation, off_p99, off_most, count) = (number()?, number()?, number()?, number()?);
    let mut hulls = Vec::new();
    for _ in 0..count.clamp(0.0, MANY) as usize {
        let centre = Vector3::new(number()?, number()?, number()?);
        let (inflation, points) = (number()?, number()?.clamp(0.0, MANY) as usize);
        let points: Option<Vec<_>> = (0..points).map(|_| Some(Vector3::new(number()?, number()?, number()?))).collect();
        hulls.push(Hull { centre, points: points.filter(|points| !points.is_empty())?, inflation });
    }
    let fit = Fit { parts: hulls.len(), inflation, off_p99, off_most };
    (rest.is_empty() && !hulls.is_empty()).then_some(Parts { hulls, fit })
}
