//! Concave meshes as few convex parts that together contain them.
//!
//! The cuts are those of V-HACD (Mamou, "Volumetric Hierarchical Approximate Convex Decomposition", Game Engine Gems 3, 2016) as parry does it:
//! on voxels, which say too what is inside. Each part is then the hull of what the mesh really has in its voxels: triangles clipped to them,
//! corners of voxels that are inside, and the voxels that are wholly inside. So the parts contain the surface, and what a closed mesh encloses.

use crate::mesh::Hull;
use crate::mesh_file::TriMesh;
use nalgebra::Vector3;
use parry3d_f64::glamx::DVec3;
use parry3d_f64::query::PointQuery;
use parry3d_f64::shape::TriMesh as Surface;
use parry3d_f64::transformation::try_convex_hull;
use parry3d_f64::transformation::vhacd::{VHACD, VHACDParameters};
use parry3d_f64::transformation::voxelization::{FillMode, Voxel, VoxelSet, VoxelizedVolume};
use std::collections::{HashMap, HashSet};

/// How fine meshes are cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cutting {
    /// What a hull may be rounded by to contain what it leaves out, metres.
    pub tolerance: f64,
    /// Parts of a mesh at most; with one there are only whole hulls.
    pub parts: usize,
}

/// Convex bodies that together contain a mesh.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts {
    pub hulls: Vec<Hull>,
    pub fit: Fit,
}

/// How closely convex parts follow their mesh. Metres.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fit {
    /// How many parts there are.
    pub parts: usize,
    /// What the parts are rounded by, at most, so that they contain the mesh.
    pub inflation: f64,
    /// How far the surface of the parts stands off the mesh: 99 of 100 places at most so far.
    pub off_p99: f64,
    /// ... and the farthest place that was looked at.
    pub off_most: f64,
}

/// A convex part of a mesh: everything within `inflation` of the hull of `points`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvexPart<'a> {
    /// Where the points' origin lies in the mesh's frame, metres.
    pub centre: Vector3<f64>,
    /// Corners, relative to the centre, metres.
    pub points: &'a [Vector3<f64>],
    /// Metres.
    pub inflation: f64,
}

/// A hull whose surface stands off its mesh nowhere by more than this, metres, is not cut.
const CONVEX: f64 = 3e-3;
/// Edge of a voxel that cuts are looked for with, metres: at least, and at most so many along the longest side.
const VOXEL: f64 = 1.2e-3;
const VOXELS: f64 = 80.0;
/// Places on the surface of the parts at which it is measured how far they stand off.
const PLACES: usize = 4_000;
/// Parts are joined as long as that adds less than this share of the whole hull's volume.
const ADDED: f64 = 1e-3;

/// Cuts a mesh. One that is flat, or has no triangles, is its hull; and so is one that the library cannot cut.
pub(crate) fn parts(mesh: &TriMesh, cutting: Cutting) -> Parts {
    // It asserts what it takes for granted. A hull is always right, only larger.
    std::panic::catch_unwind(|| cut(mesh, cutting)).unwrap_or_else(|_| {
        let whole = Hull::around(&mesh.points, cutting.tolerance);
        Parts { fit: Fit { parts: 1, inflation: whole.inflation, ..Fit::default() }, hulls: vec![whole] }
    })
}

fn cut(mesh: &TriMesh, cutting: Cutting) -> Parts {
    let whole = Hull::around(&mesh.points, cutting.tolerance);
    let low = mesh.points.iter().copied().reduce(|a, b| a.inf(&b)).unwrap_or_default();
    let high = mesh.points.iter().copied().reduce(|a, b| a.sup(&b)).unwrap_or_default();
    let (least, longest) = ((high - low).min(), (high - low).max());
    let alone = |whole: Hull, (off_p99, off_most): (f64, f64)| {
        let fit = Fit { parts: 1, inflation: whole.inflation, off_p99, off_most };
        Parts { hulls: vec![whole], fit }
    };
    if mesh.faces.is_empty() || least <= 1e-4 * longest {
        return alone(whole, (0.0, 0.0));
    }
    let points: Vec<DVec3> = mesh.points.iter().map(|p| DVec3::new(p.x, p.y, p.z)).collect();
    let resolution = (longest / VOXEL).clamp(16.0, VOXELS) as u32;
    let fill_mode = FillMode::FloodFill { detect_cavities: false };
    let voxels: VoxelSet = VoxelizedVolume::voxelize(&points, &mesh.faces, resolution, fill_mode, true).into();
    let inside = Inside::of(&voxels);
    let Ok(surface) = Surface::new(points.clone(), mesh.faces.clone()) else { return alone(whole, (0.0, 0.0)) };
    let off = stands_off(std::slice::from_ref(&whole), &surface, &inside);
    if cutting.parts < 2 || off.1 <= CONVEX {
        return alone(whole, off);
    }
    let parameters = VHACDParameters {
        resolution,
        fill_mode,
        concavity: 3e-4,
        // There are up to twice as many, which are joined again.
        max_convex_hulls: (cutting.parts as u32).next_power_of_two().max(2),
        ..VHACDParameters::default()
    };
    let (origin, scale) = (voxels.origin - DVec3::splat(voxels.scale / 2.0), voxels.scale);
    let found = VHACD::from_voxels(&parameters, voxels);
    let within_mesh = Corners::of(&points, &mesh.faces, origin, scale);
    let pieces = found.voxel_parts().iter().map(|part| piece(part, &points, &mesh.faces, &within_mesh));
    let pieces = joined(pieces.filter(|piece| !piece.points.is_empty()).collect(), cutting.parts);
    let mut hulls: Vec<Hull> = pieces.iter().map(|piece| piece.hull(cutting.tolerance)).collect();
    contain(&mut hulls, mesh, &inside);
    let cut_off = stands_off(&hulls, &surface, &inside);
    // Nothing won: fewer bodies are faster.
    if hulls.len() < 2 || cut_off.1 >= off.1 && cut_off.0 >= off.0 {
        return alone(whole, off);
    }
    let inflation = hulls.iter().map(|hull| hull.inflation).fold(0.0, f64::max);
    Parts { fit: Fit { parts: hulls.len(), inflation, off_p99: cut_off.0, off_most: cut_off.1 }, hulls }
}

/// Points whose hull is a part, and the hull's corners, planes (normal, offset) and volume.
struct Piece {
    points: Vec<DVec3>,
    corners: Vec<DVec3>,
    planes: Vec<(DVec3, f64)>,
    volume: f64,
}

impl Piece {
    fn of(points: Vec<DVec3>) -> Self {
        match try_convex_hull(&points) {
            Ok((corners, faces)) => {
                let faces = faces.iter().map(|face| face.map(|i| corners[i as usize]));
                let (mut six, mut planes) = (0.0, Vec::new());
                for [a, b, c] in faces {
                    six += a.dot(b.cross(c));
                    let normal = (b - a).cross(c - a).normalize_or_zero();
                    planes.push((normal, normal.dot(a)));
                }
                Self { points, volume: six / 6.0, planes, corners }
            }
            // Flat: it has no volume, and any of its points may be a corner.
            Err(_) => Self { corners: points.clone(), points, planes: Vec::new(), volume: 0.0 },
        }
    }

    fn with(&self, other: &Self) -> Self {
        Self::of([&self.corners[..], &other.corners[..]].concat())
    }

    /// All points are in it, not only those that were found to be corners.
    fn hull(&self, tolerance: f64) -> Hull {
        let corners: Vec<Vector3<f64>> = self.corners.iter().map(|p| Vector3::new(p.x, p.y, p.z)).collect();
        let mut hull = Hull::around(&corners, tolerance);
        // Few are not seen to be within all planes: rounding, or a corner that was lost.
        let beyond = |p: &&DVec3| self.planes.iter().any(|(normal, offset)| normal.dot(**p) > *offset);
        let out = |p: &DVec3| hull.distance(&Vector3::new(p.x, p.y, p.z));
        hull.inflation = self.points.iter().filter(beyond).map(out).fold(hull.inflation, f64::max) + 1e-9;
        hull
    }
}

/// What a part of the voxels holds of the mesh: of a voxel that the surface passes through its polygons there, and its corners that are inside.
fn piece(part: &VoxelSet, points: &[DVec3], faces: &[[u32; 3]], within_mesh: &Corners) -> Piece {
    let mut found = part.compute_primitive_intersections(points, faces);
    let half = part.scale / 2.0;
    let corners_of = |voxel: &Voxel| {
        let [x, y, z] =
            [voxel.coords.x, voxel.coords.y, voxel.coords.z].map(|i| usize::try_from(i).unwrap_or_default());
        (0..8).map(move |corner| [x + (corner & 1), y + (corner >> 1 & 1), z + (corner >> 2 & 1)])
    };
    let of_surface = part.voxels().iter().filter(|voxel| voxel.is_on_surface);
    let mut inside: Vec<_> = of_surface.flat_map(corners_of).filter(|corner| within_mesh.has(*corner)).collect();
    inside.sort_unstable();
    inside.dedup();
    found.extend(inside.into_iter().map(|corner| within_mesh.place(corner)));
    let cell = |voxel: &Voxel| [voxel.coords.x, voxel.coords.y, voxel.coords.z];
    let within = |voxel: &&Voxel| !voxel.is_on_surface;
    let all: HashSet<_> = part.voxels().iter().filter(within).map(cell).collect();
    // What has all its neighbours in the part is between them.
    let outer = |voxel: &&Voxel| {
        let [x, y, z] = cell(voxel);
        let next = [[x + 1, y, z], [x - 1, y, z], [x, y + 1, z], [x, y - 1, z], [x, y, z + 1], [x, y, z - 1]];
        !next.iter().all(|next| all.contains(next))
    };
    for voxel in part.voxels().iter().filter(within).filter(outer) {
        let centre = part.get_voxel_point(voxel);
        found.extend((0..8).map(|corner| {
            let side = |bit: u32| if corner >> bit & 1 == 0 { -half } else { half };
            centre + DVec3::new(side(0), side(1), side(2))
        }));
    }
    Piece::of(found)
}

/// Joins the two whose common hull adds least, until there are few enough and joining adds too much.
fn joined(pieces: Vec<Piece>, most: usize) -> Vec<Piece> {
    let whole = Piece::of(pieces.iter().flat_map(|piece| piece.corners.iter().copied()).collect()).volume;
    let added = |one: &Piece, other: &Piece| one.with(other).volume - one.volume - other.volume;
    let mut pieces: Vec<Option<Piece>> = pieces.into_iter().map(Some).collect();
    let count = pieces.len();
    let mut costs = vec![f64::INFINITY; count * count];
    let mut fresh: Vec<usize> = (0..count).collect();
    let mut left = count;
    loop {
        for &i in &fresh {
            for j in (0..count).filter(|j| *j != i) {
                let (low, high) = (i.min(j), i.max(j));
                let cost = pieces[low].as_ref().zip(pieces[high].as_ref()).map(|(one, other)| added(one, other));
                costs[high * count + low] = cost.unwrap_or(f64::INFINITY);
            }
        }
        let pairs = (0..count).flat_map(|high| (0..high).map(move |low| (low, high)));
        let cost = |(low, high): (usize, usize)| costs[high * count + low];
        let Some(best) = pairs.min_by(|a, b| cost(*a).total_cmp(&cost(*b))) else { break };
        if left < 2 || left <= most && cost(best) > ADDED * whole {
            break;
        }
        let (Some(one), Some(other)) = (pieces[best.0].take(), pieces[best.1].take()) else { break };
        let both = one.with(&other);
        pieces[best.0] = Some(Piece { points: [one.points, other.points].concat(), ..both });
        left -= 1;
        fresh = vec![best.0, best.1];
    }
    pieces.into_iter().flatten().collect()
}

/// By line of corners: where the surface crosses it, in order, and whether into the mesh (1) or out of it (-1), or the converse.
type Crossings = HashMap<[i64; 2], Vec<(f64, i32)>>;

/// Which corners of voxels a mesh encloses: those that it winds around, seen along at least two of the three axes. (Along one, a hole in a mesh that is not
/// closed has no end.)
struct Corners {
    origin: DVec3,
    scale: f64,
    /// By axis of the lines.
    crossings: [Crossings; 3],
}

impl Corners {
    fn of(points: &[DVec3], faces: &[[u32; 3]], origin: DVec3, scale: f64) -> Self {
        /// Lines pass beside corners and edges of meshes that lie on the lattice, in voxels.
        const BESIDE: [f64; 2] = [1.3e-7, 2.1e-7];
        let mut crossings: [Crossings; 3] = Default::default();
        for face in faces {
            let [a, b, c] = face.map(|i| ((points[i as usize] - origin) / scale).to_array());
            for (axis, lines) in crossings.iter_mut().enumerate() {
                let flat = |p: [f64; 3]| [p[(axis + 1) % 3] - BESIDE[0], p[(axis + 2) % 3] - BESIDE[1]];
                let [p, q, r] = [flat(a), flat(b), flat(c)];
                let area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
                if area == 0.0 {
                    continue;
                }
                let range = |i: usize| {
                    let (low, high) = (p[i].min(q[i]).min(r[i]), p[i].max(q[i]).max(r[i]));
                    low.ceil() as i64..=high.floor() as i64
                };
                for u in range(0) {
                    for v in range(1) {
                        let part = |s: [f64; 2], t: [f64; 2]| {
                            ((s[0] - u as f64) * (t[1] - v as f64) - (s[1] - v as f64) * (t[0] - u as f64)) / area
                        };
                        let (wa, wb, wc) = (part(q, r), part(r, p), part(p, q));
                        if wa >= 0.0 && wb >= 0.0 && wc >= 0.0 {
                            let at = wa * a[axis] + wb * b[axis] + wc * c[axis];
                            lines.entry([u, v]).or_default().push((at, if area > 0.0 { 1 } else { -1 }));
                        }
                    }
                }
            }
        }
        crossings.iter_mut().flat_map(HashMap::values_mut).for_each(|line| line.sort_by(|a, b| a.0.total_cmp(&b.0)));
        Self { origin, scale, crossings }
    }

    fn has(&self, corner: [usize; 3]) -> bool {
        let around = self.crossings.iter().enumerate().filter(|(axis, lines)| {
            let along = corner[*axis] as f64;
            let line = [corner[(axis + 1) % 3] as i64, corner[(axis + 2) % 3] as i64];
            let before = lines.get(&line).into_iter().flatten().take_while(|(at, _)| *at < along);
            before.map(|(_, way)| way).sum::<i32>() != 0
        });
        around.count() >= 2
    }

    fn place(&self, corner: [usize; 3]) -> DVec3 {
        self.origin + DVec3::from_array(corner.map(|i| i as f64)) * self.scale
    }
}

/// Which voxels are wholly inside.
struct Inside {
    cells: HashSet<[i64; 3]>,
    origin: DVec3,
    scale: f64,
}

impl Inside {
    fn of(voxels: &VoxelSet) -> Self {
        let within = voxels.voxels().iter().filter(|voxel| !voxel.is_on_surface);
        let cells = within.map(|voxel| [voxel.coords.x, voxel.coords.y, voxel.coords.z].map(i64::from)).collect();
        Self { cells, origin: voxels.origin, scale: voxels.scale }
    }

    fn cell(&self, point: DVec3) -> [i64; 3] {
        ((point - self.origin) / self.scale).to_array().map(|x| (x + 0.5).floor() as i64)
    }

    fn has(&self, point: DVec3) -> bool {
        self.cells.contains(&self.cell(point))
    }

    fn centre(&self, cell: [i64; 3]) -> DVec3 {
        self.origin + DVec3::from_array(cell.map(|x| x as f64)) * self.scale
    }
}

/// Rounds the parts so that they contain what lies between them: the corners of all triangles, and places on the way from the middle of each to the
/// inside next to it.
fn contain(hulls: &mut [Hull], mesh: &TriMesh, inside: &Inside) {
    let mut hold = |point: Vector3<f64>| {
        let nearest = (0..hulls.len()).map(|i| (i, hulls[i].distance(&point) - hulls[i].inflation));
        if let Some((i, out)) = nearest.min_by(|a, b| a.1.total_cmp(&b.1))
            && out > 0.0
        {
            hulls[i].inflation += out + 1e-9;
        }
    };
    mesh.points.iter().for_each(|point| hold(*point));
    for face in &mesh.faces {
        let [a, b, c] = face.map(|i| mesh.points[i as usize]);
        let middle = (a + b + c) / 3.0;
        hold(middle);
        let cell = inside.cell(DVec3::new(middle.x, middle.y, middle.z));
        for code in 0..27_i64 {
            let next = [cell[0] + code % 3 - 1, cell[1] + code / 3 % 3 - 1, cell[2] + code / 9 - 1];
            if inside.cells.contains(&next) {
                let centre = inside.centre(next);
                hold((middle + Vector3::new(centre.x, centre.y, centre.z)) / 2.0);
            }
        }
    }
}

/// How far the outside of the parts is from the mesh: 99 of 100 places, and the farthest.
fn stands_off(hulls: &[Hull], surface: &Surface, inside: &Inside) -> (f64, f64) {
    let mut faces = Vec::new();
    for (of, hull) in hulls.iter().enumerate() {
        let points: Vec<DVec3> = hull.points.iter().map(|p| DVec3::new(p.x, p.y, p.z)).collect();
        let Ok((corners, triangles)) = try_convex_hull(&points) else { continue };
        let centre = DVec3::new(hull.centre.x, hull.centre.y, hull.centre.z);
        faces.extend(triangles.iter().map(|triangle| (of, triangle.map(|i| corners[i as usize] + centre))));
    }
    let area = |[a, b, c]: &[DVec3; 3]| (*b - *a).cross(*c - *a).length() / 2.0;
    let each = faces.iter().map(|(_, face)| area(face)).sum::<f64>() / PLACES as f64;
    let (mut distances, mut owed) = (Vec::with_capacity(PLACES), 0.0);
    for (of, face) in &faces {
        owed += area(face) / each;
        let [a, b, c] = *face;
        let outward = (b - a).cross(c - a).normalize_or_zero();
        while owed >= 1.0 {
            owed -= 1.0;
            // Evenly over the face, by the two numbers of Roberts' R2 sequence.
            let n = distances.len() as f64;
            let (mut u, mut v) = ((0.5 + 0.754_877_666_246_693 * n).fract(), (0.5 + 0.569_840_290_998_053 * n).fract());
            if u + v > 1.0 {
                (u, v) = (1.0 - u, 1.0 - v);
            }
            let place = a + (b - a) * u + (c - a) * v + outward * hulls[*of].inflation;
            let point = Vector3::new(place.x, place.y, place.z);
            let hidden = hulls.iter().enumerate().any(|(i, hull)| i != *of && hull.distance(&point) <= hull.inflation);
            distances.push(if hidden || inside.has(place) {
                f64::NAN
            } else {
                surface.distance_to_local_point(place, false)
            });
        }
    }
    distances.retain(|distance| distance.is_finite());
    distances.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| distances.get((share * distances.len() as f64) as usize).copied().unwrap_or_default();
    (at(0.99), distances.last().copied().unwrap_or_default())
}
