//! Collision and visual primitives of a link.

use nalgebra::{Isometry3, Point3, Vector3};

/// The form of a primitive. Cylinders and capsules lie along the z axis of their own frame, centred at its origin.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// All points within `radius` of a segment of `length` (the caps come on top of the length).
    Capsule {
        /// Metres.
        radius: f64,
        /// Distance between the centres of the caps, metres.
        length: f64,
    },
    /// A ball.
    Sphere {
        /// Metres.
        radius: f64,
    },
    /// A cuboid, centred at the origin of its frame.
    Box {
        /// Full edge lengths along x, y and z, metres.
        size: Vector3<f64>,
    },
    /// A cylinder with flat ends.
    Cylinder {
        /// Metres.
        radius: f64,
        /// Metres.
        length: f64,
    },
    /// A mesh file; its contents are not read here.
    Mesh {
        /// As the URDF writes it, usually `package://...`.
        filename: String,
        /// Scale along x, y and z.
        scale: Vector3<f64>,
    },
}

/// A shape in its place on a link, with the colour that it is drawn in.
#[derive(Debug, Clone, PartialEq)]
pub struct Primitive {
    /// Pose of the shape's frame in the link's frame.
    pub origin: Isometry3<f64>,
    /// The form.
    pub shape: Shape,
    /// Red, green, blue, opacity from 0 to 1, where the URDF gives a colour (visuals only).
    pub colour: Option<[f64; 4]>,
}

impl Primitive {
    /// The segment (in the link's frame) and the radius of the smallest capsule around a capsule or sphere, and of a capsule that
    /// contains a box or cylinder. `None` for a mesh, whose extent is unknown here.
    ///
    /// For a box the capsule lies along the longest edge and its radius is half the diagonal of the opposite face; for a cylinder it
    /// is the cylinder with balls at its ends. Both contain the shape.
    pub fn enclosing_capsule(&self) -> Option<(Point3<f64>, Point3<f64>, f64)> {
        let (half, radius) = match &self.shape {
            Shape::Capsule { radius, length } | Shape::Cylinder { radius, length } => {
                (Vector3::z() * (length / 2.0), *radius)
            }
            Shape::Sphere { radius } => (Vector3::zeros(), *radius),
            Shape::Box { size } => {
                let longest = size.imax();
                let mut half = Vector3::zeros();
                half[longest] = size[longest] / 2.0;
                let face = (size.norm_squared() - size[longest] * size[longest]).max(0.0).sqrt();
                (half, face / 2.0)
            }
            Shape::Mesh { .. } => return None,
        };
        Some((self.origin * Point3::from(-half), self.origin * Point3::from(half), radius))
    }
}

/// Recognises capsules: a URDF that all readers understand writes one as a cylinder with a sphere of the same radius at either end.
/// Everything else is kept, in its order.
pub(crate) fn merge_capsules(primitives: Vec<Primitive>) -> Vec<Primitive> {
    /// Two numbers that a URDF wrote with the same intent, metres.
    const SAME: f64 = 1e-6;
    let mut used = vec![false; primitives.len()];
    let mut capsules: Vec<(usize, Primitive)> = Vec::new();
    for (i, cylinder) in primitives.iter().enumerate() {
        let Shape::Cylinder { radius, length } = cylinder.shape else { continue };
        let cap_at = |end: f64, used: &[bool]| {
            let centre = cylinder.origin * Point3::new(0.0, 0.0, end);
            primitives.iter().enumerate().position(|(j, other)| {
                !used[j]
                    && matches!(other.shape, Shape::Sphere { radius: r } if (r - radius).abs() < SAME)
                    && (other.origin.translation.vector - centre.coords).norm() < SAME
                    && other.colour == cylinder.colour
            })
        };
        let (Some(low), Some(high)) = (cap_at(-length / 2.0, &used), cap_at(length / 2.0, &used)) else { continue };
        if low == high {
            continue;
        }
        for part in [i, low, high] {
            used[part] = true;
        }
        let shape = Shape::Capsule { radius, length };
        capsules.push((i, Primitive { origin: cylinder.origin, shape, colour: cylinder.colour }));
    }
    let mut capsules = capsules.into_iter().peekable();
    let mut merged = Vec::with_capacity(primitives.len());
    for (i, primitive) in primitives.into_iter().enumerate() {
        if capsules.peek().is_some_and(|(place, _)| *place == i) {
            merged.extend(capsules.next().map(|(_, capsule)| capsule));
        } else if !used[i] {
            merged.push(primitive);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Translation3, UnitQuaternion};

    fn at(x: f64, y: f64, z: f64, shape: Shape) -> Primitive {
        Primitive { origin: Translation3::new(x, y, z).into(), shape, colour: None }
    }

    #[test]
    fn a_cylinder_with_a_sphere_at_both_ends_is_a_capsule() {
        let turned = Isometry3::from_parts(
            Translation3::new(0.1, 0.0, 0.2),
            UnitQuaternion::from_euler_angles(std::f64::consts::FRAC_PI_2, 0.0, 0.0),
        );
        let cylinder = Primitive { origin: turned, shape: Shape::Cylinder { radius: 0.05, length: 0.3 }, colour: None };
        let ball = Shape::Sphere { radius: 0.05 };
        let parts = vec![
            at(0.1, 0.15, 0.2, ball.clone()),
            cylinder,
            at(0.1, -0.15, 0.2, ball),
            at(0.0, 0.0, 0.0, Shape::Sphere { radius: 0.01 }),
        ];
        let merged = merge_capsules(parts);
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[0].shape, Shape::Capsule { radius: 0.05, length: 0.3 });
        assert_eq!(merged[1].shape, Shape::Sphere { radius: 0.01 });
    }

    #[test]
    fn a_cylinder_with_one_cap_or_a_cap_of_another_size_stays_a_cylinder() {
        let cylinder = at(0.0, 0.0, 0.0, Shape::Cylinder { radius: 0.05, length: 0.3 });
        let parts = vec![
            cylinder,
            at(0.0, 0.0, 0.15, Shape::Sphere { radius: 0.05 }),
            at(0.0, 0.0, -0.15, Shape::Sphere { radius: 0.04 }),
        ];
        assert_eq!(merge_capsules(parts.clone()), parts);
    }

    #[test]
    fn the_enclosing_capsule_of_a_box_contains_its_corners() {
        let size = Vector3::new(0.2, 0.6, 0.1);
        let (a, b, radius) = at(1.0, 2.0, 3.0, Shape::Box { size }).enclosing_capsule().unwrap();
        for corner in 0..8 {
            let sign = |bit: usize| if corner >> bit & 1 == 0 { -0.5 } else { 0.5 };
            let p = Point3::new(1.0 + sign(0) * size.x, 2.0 + sign(1) * size.y, 3.0 + sign(2) * size.z);
            let t = ((p - a).dot(&(b - a)) / (b - a).norm_squared()).clamp(0.0, 1.0);
            assert!((p - (a + (b - a) * t)).norm() <= radius + 1e-12);
        }
    }
}
