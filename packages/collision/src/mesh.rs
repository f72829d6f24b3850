//! Meshes as convex hulls of few points, and where they are found.

use crate::body::{Body, Seen};
use crate::cache;
use crate::convex::{Cutting, Fit, Parts};
use crate::gjk::core_distance;
use crate::mesh_file::read;
use nalgebra::{Isometry3, Vector3};
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Resolve = dyn Fn(&str) -> Result<PathBuf, String> + Send + Sync;

/// Says in which file a mesh is, given its name as the robot description or the file of obstacles writes it.
#[derive(Clone)]
pub struct MeshFiles(Arc<Resolve>);

impl MeshFiles {
    /// Names are looked up by `resolve`; its error is shown together with the name.
    pub fn new(resolve: impl Fn(&str) -> Result<PathBuf, String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(resolve))
    }
}

impl Default for MeshFiles {
    /// Paths and `file://`; of packages nothing is known.
    fn default() -> Self {
        Self::new(|name| match name.split_once("://") {
            None => Ok(PathBuf::from(name)),
            Some(("file", path)) => Ok(PathBuf::from(path)),
            Some((scheme, _)) => Err(format!("'{scheme}://' cannot be looked up here; use file:// or a path")),
        })
    }
}

impl std::fmt::Debug for MeshFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeshFiles")
    }
}

/// A convex body that contains a mesh: all points within `inflation` of the hull of `points`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hull {
    /// Where the points' origin lies in the mesh's frame.
    pub centre: Vector3<f64>,
    pub points: Vec<Vector3<f64>>,
    pub inflation: f64,
}

/// Bodies of meshes that have been made: finding them again takes far less time than making them.
#[derive(Debug, Clone, Default)]
pub(crate) struct MeshStore {
    /// Of files, by name and scale.
    files: BTreeMap<Key, Arc<Parts>>,
    /// Of vertices.
    inline: Vec<Arc<(Vec<Vector3<f64>>, Hull)>>,
}

/// A file's name, and the bits of its scale.
type Key = (String, [u64; 3]);

fn key(name: &str, scale: &Vector3<f64>) -> Key {
    (name.to_owned(), [scale.x, scale.y, scale.z].map(f64::to_bits))
}

/// How parts are made of a file.
pub(crate) struct Making<'a> {
    pub files: &'a MeshFiles,
    pub cutting: Cutting,
    /// See [`cache::parts`].
    pub cache: Option<&'a Path>,
}

impl Making<'_> {
    fn make(&self, name: &str, scale: &Vector3<f64>) -> Result<Parts, String> {
        let path = (self.files.0)(name)?;
        let mut mesh = read(&path).map_err(|problem| format!("{}: {problem}", path.display()))?;
        mesh.points.iter_mut().for_each(|point| point.component_mul_assign(scale));
        if !mesh.points.iter().flat_map(|point| point.iter()).all(|x| x.is_finite()) {
            return Err(format!("{}: with scale {:?} its vertices are not finite", path.display(), scale.as_slice()));
        }
        Ok(cache::parts(self.cache, &mesh, self.cutting))
    }
}

impl MeshStore {
    /// Forgets the hulls of vertices and hands them out, to be looked for by [`Self::around`]: what is not asked for any more goes.
    pub fn renew(&mut self) -> Self {
        Self { files: BTreeMap::new(), inline: std::mem::take(&mut self.inline) }
    }

    /// The hull of vertices, from what was there before if it is.
    pub fn around(&mut self, points: &[Vector3<f64>], before: &Self, tolerance: f64) -> Arc<(Vec<Vector3<f64>>, Hull)> {
        let known = before.inline.iter().chain(&self.inline).find(|known| known.0 == points).cloned();
        let hull = known.unwrap_or_else(|| Arc::new((points.to_vec(), Hull::around(points, tolerance))));
        self.inline.push(hull.clone());
        hull
    }

    /// Makes the parts of files that are not known yet, as many at once as there are processors. What fails is left for [`Self::parts`] to tell.
    pub fn prepare<'a>(&mut self, wanted: impl Iterator<Item = (&'a str, &'a Vector3<f64>)>, how: &Making<'_>) {
        let mut wanted: Vec<_> = wanted
            .map(|(name, scale)| (key(name, scale), *scale))
            .filter(|(key, _)| !self.files.contains_key(key))
            .collect();
        wanted.sort_by(|one, other| one.0.cmp(&other.0));
        wanted.dedup_by(|one, other| one.0 == other.0);
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(wanted.len());
        if workers < 2 {
            return;
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut made = Vec::new();
            while let Some((key, scale)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                made.extend(how.make(&key.0, scale).ok().map(|parts| (key.clone(), Arc::new(parts))));
            }
            made
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            // One that died is made up for one by one, where its panic is told.
            workers.into_iter().filter_map(|worker| worker.join().ok()).flatten().collect()
        });
        self.files.extend(made);
    }

    /// The convex parts of a file's mesh.
    pub fn parts(&mut self, name: &str, scale: &Vector3<f64>, how: &Making<'_>) -> Result<Arc<Parts>, String> {
        let key = key(name, scale);
        if let Some(known) = self.files.get(&key) {
            return Ok(known.clone());
        }
        let parts = Arc::new(how.make(name, scale)?);
        self.files.insert(key, parts.clone());
        Ok(parts)
    }

    /// Whether a mesh has more than one part.
    pub fn any_cut(&self) -> bool {
        self.files.values().any(|parts| parts.hulls.len() > 1)
    }

    /// The parts of each file, by its name and scale.
    pub fn all(&self) -> impl Iterator<Item = (&str, [f64; 3], &[Hull])> {
        self.files.iter().map(|((name, scale), parts)| (name.as_str(), scale.map(f64::from_bits), &parts.hulls[..]))
    }

    /// How closely the parts of each file follow its mesh, by name.
    pub fn fits(&self) -> impl Iterator<Item = (&str, Fit)> {
        self.files.iter().map(|((name, _), parts)| (name.as_str(), parts.fit))
    }
}

/// A point that is not among the chosen, by its distance from their hull as it was when last computed.
struct Left {
    distance: f64,
    point: usize,
}

impl PartialEq for Left {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Left {}
impl PartialOrd for Left {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Left {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.distance.total_cmp(&other.distance).then(other.point.cmp(&self.point))
    }
}

/// From a point to the hull of some points; 0 inside.
fn outside(hull: &[Vector3<f64>], point: &Vector3<f64>) -> f64 {
    let body = Body::hull(0, &Isometry3::identity(), hull, 0..hull.len(), 0.0);
    let dot = Body::segment(0, &Isometry3::translation(point.x, point.y, point.z), 0.0, 0.0);
    let (at, there) = (body.placed_at_root(), dot.placed_at_root());
    let body = Seen { body: &body, placed: &at, points: hull };
    core_distance(body, Seen { body: &dot, placed: &there, points: hull }).upper
}

impl Hull {
    /// From a point to the hull of the points, not rounded; 0 inside. In the mesh's frame.
    pub fn distance(&self, point: &Vector3<f64>) -> f64 {
        outside(&self.points, &(point - self.centre))
    }

    /// Chooses few of the points so that all are within `tolerance` of the hull of the chosen: starting with the extreme ones along some
    /// directions, always the farthest next.
    pub fn around(points: &[Vector3<f64>], tolerance: f64) -> Self {
        let low = points.iter().copied().reduce(|a, b| a.inf(&b)).unwrap_or_default();
        let high = points.iter().copied().reduce(|a, b| a.sup(&b)).unwrap_or_default();
        let centre = (low + high) / 2.0;
        let points: Vec<Vector3<f64>> = points.iter().map(|p| p - centre).collect();
        let mut chosen: Vec<usize> = Vec::new();
        for code in 0..27 {
            let direction = Vector3::new(f64::from(code % 3 - 1), f64::from(code / 3 % 3 - 1), f64::from(code / 9 - 1));
            let along = |i: &usize| points[*i].dot(&direction);
            let extreme = (0..points.len()).max_by(|i, j| along(i).total_cmp(&along(j)));
            if let Some(extreme) = extreme
                && !chosen.contains(&extreme)
                && direction != Vector3::zeros()
            {
                chosen.push(extreme);
            }
        }
        let mut hull: Vec<Vector3<f64>> = chosen.iter().map(|&i| points[i]).collect();
        let mut left: BinaryHeap<Left> = (0..points.len())
            .filter(|i| !chosen.contains(i))
            .map(|point| Left { distance: outside(&hull, &points[point]), point })
            .collect();
        // Distances only shrink: the first whose distance is up to date and still the largest is the farthest.
        let mut inflation = 0.0;
        while let Some(Left { point, .. }) = left.pop() {
            let distance = outside(&hull, &points[point]);
            if left.peek().is_some_and(|next| next.distance > distance) {
                left.push(Left { distance, point });
            } else if distance > tolerance {
                hull.push(points[point]);
            } else {
                inflation = distance;
                break;
            }
        }
        // Rounding of the distances.
        Self { centre, points: hull, inflation: inflation + 1e-9 }
    }
}
