//! Bodies: rounded convex cores that a link carries or the cell holds.

use nalgebra::{Isometry3, Matrix3, Vector3};
use std::ops::Range;

/// The form of a body's core. The body is every point within [`Body::radius`] of its core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From `centre - half` to `centre + half`; a point where `half` is zero.
    Segment,
    /// A cuboid with half edges `size`.
    Box,
    /// Flat-ended, along its z axis: radius `size.x`, half length `size.z`.
    Cylinder,
    /// The convex hull of some points.
    Hull,
    /// Everything behind a plane: `half` is the unit normal, which points to the free side. Static only.
    HalfSpace,
}

/// A body in the frame of the link that carries it (the root link's for the cell).
#[derive(Debug, Clone)]
pub(crate) struct Body {
    /// Place of the link in the robot model.
    pub link: usize,
    pub kind: Kind,
    /// Centre of the core, or a point of the plane.
    pub centre: Vector3<f64>,
    /// Half of the segment, or the normal of the plane.
    pub half: Vector3<f64>,
    /// Axes of the core's frame.
    pub rotation: Matrix3<f64>,
    /// See [`Kind`].
    pub size: Vector3<f64>,
    /// Points of a hull, relative to the centre and in the core's frame: where they stand in the model's list.
    pub points: Range<usize>,
    /// Rounding, padding included.
    pub radius: f64,
    /// Radius of a ball about the centre that contains the body. Infinite for a half-space.
    pub bound: f64,
}

/// A body's core in the frame of the root link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed {
    pub centre: Vector3<f64>,
    pub half: Vector3<f64>,
    /// Only kept up to date where the kind needs it: not for segments and half-spaces.
    pub rotation: Matrix3<f64>,
}

impl Body {
    pub fn segment(link: usize, pose: &Isometry3<f64>, half_length: f64, radius: f64) -> Self {
        let half = pose * Vector3::new(0.0, 0.0, half_length);
        let bound = half_length + radius;
        Self { half, radius, bound, ..Self::at(link, Kind::Segment, pose) }
    }

    pub fn cuboid(link: usize, pose: &Isometry3<f64>, half: Vector3<f64>, radius: f64) -> Self {
        Self { size: half, radius, bound: half.norm() + radius, ..Self::at(link, Kind::Box, pose) }
    }

    pub fn cylinder(link: usize, pose: &Isometry3<f64>, wide: f64, half_length: f64, radius: f64) -> Self {
        let size = Vector3::new(wide, wide, half_length);
        Self { size, radius, bound: wide.hypot(half_length) + radius, ..Self::at(link, Kind::Cylinder, pose) }
    }

    /// `points` are those of the model's list at `range`, relative to the pose's origin.
    pub fn hull(link: usize, pose: &Isometry3<f64>, points: &[Vector3<f64>], range: Range<usize>, radius: f64) -> Self {
        let far = points.iter().map(Vector3::norm).fold(0.0, f64::max);
        Self { points: range, radius, bound: far + radius, ..Self::at(link, Kind::Hull, pose) }
    }

    /// Everything on the side of `point` that `normal` (a unit vector) does not point to.
    pub fn half_space(link: usize, point: Vector3<f64>, normal: Vector3<f64>) -> Self {
        let pose = Isometry3::translation(point.x, point.y, point.z);
        Self { half: normal, bound: f64::INFINITY, ..Self::at(link, Kind::HalfSpace, &pose) }
    }

    fn at(link: usize, kind: Kind, pose: &Isometry3<f64>) -> Self {
        Self {
            link,
            kind,
            centre: pose.translation.vector,
            half: Vector3::zeros(),
            rotation: pose.rotation.to_rotation_matrix().into_inner(),
            size: Vector3::zeros(),
            points: 0..0,
            radius: 0.0,
            bound: 0.0,
        }
    }

    /// The same body as it stands when its link has the pose.
    pub fn place(&self, rotation: &Matrix3<f64>, translation: &Vector3<f64>, placed: &mut Placed) {
        placed.centre = rotation * self.centre + translation;
        match self.kind {
            Kind::Segment | Kind::HalfSpace => placed.half = rotation * self.half,
            Kind::Box | Kind::Cylinder | Kind::Hull => placed.rotation = rotation * self.rotation,
        }
    }

    /// A body of the cell, whose link is the root, where it stands for good.
    pub fn placed_at_root(&self) -> Placed {
        Placed { centre: self.centre, half: self.half, rotation: self.rotation }
    }
}

/// A body in its place, with the points of all hulls.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub body: &'a Body,
    pub placed: &'a Placed,
    pub points: &'a [Vector3<f64>],
}

impl Seen<'_> {
    /// The point of the core that is farthest along `direction` (any length but zero). Meaningless for a half-space.
    pub fn support(&self, direction: &Vector3<f64>) -> Vector3<f64> {
        let (body, placed) = (self.body, self.placed);
        match body.kind {
            Kind::Segment => placed.centre + if placed.half.dot(direction) < 0.0 { -placed.half } else { placed.half },
            Kind::Box => {
                let local = placed.rotation.tr_mul(direction);
                placed.centre + placed.rotation * body.size.zip_map(&local, f64::copysign)
            }
            Kind::Cylinder => {
                let local = placed.rotation.tr_mul(direction);
                let wide = local.x.hypot(local.y);
                let scale = if wide > 0.0 { body.size.x / wide } else { 0.0 };
                let end = Vector3::new(local.x * scale, local.y * scale, body.size.z.copysign(local.z));
                placed.centre + placed.rotation * end
            }
            Kind::Hull => {
                let local = placed.rotation.tr_mul(direction);
                let points = &self.points[body.points.clone()];
                let (mut best, mut far) = (Vector3::zeros(), f64::NEG_INFINITY);
                for point in points {
                    let along = point.dot(&local);
                    if along > far {
                        (best, far) = (*point, along);
                    }
                }
                placed.centre + placed.rotation * best
            }
            Kind::HalfSpace => placed.centre,
        }
    }

    /// How far the body, rounding included, reaches along a unit vector. For a half-space only right along its own normal.
    pub fn reach(&self, direction: &Vector3<f64>) -> f64 {
        self.support(direction).dot(direction) + self.body.radius
    }

    /// An upper bound of the distance from the line through `point` along the unit vector `axis` to any point of the body.
    pub fn lever(&self, point: &Vector3<f64>, axis: &Vector3<f64>) -> f64 {
        let off = self.placed.centre - point;
        let from = |v: Vector3<f64>| axis.cross(&v).norm();
        match self.body.kind {
            Kind::Segment => from(off + self.placed.half).max(from(off - self.placed.half)) + self.body.radius,
            // A box twice as long as wide loses little by its ball: such bodies are small or static.
            _ => from(off) + self.body.bound,
        }
    }
}
