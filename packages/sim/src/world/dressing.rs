//! What a scene changes in the model: where the plate stands, how the table and the light look, how far the cameras are off.
//!
//! The compiled model stays as it is; every scene dresses a copy of it.

use super::{Camera, WorldError};
use crate::tasks::{CameraShift, Lamp, Look, OBJECTS, ObjectKind, PLATE_THICKNESS, Scene, Texture, Zone};
use mujoco_rs::prelude::*;
use nalgebra::{Quaternion, UnitQuaternion, Vector3};

/// Where table tops wait that are not wanted, m: below the floor.
const AWAY: f64 = -5.0;
/// Half the thickness of a table top's panel, m.
pub(super) const PANEL: f64 = 0.000_2;

/// Names of lamps, in the order of [`Look::lamps`].
pub(super) const LAMPS: [&str; 2] = ["lamp_front", "lamp_back"];

/// Numbers of what is changed.
#[derive(Debug)]
pub(super) struct Dressing {
    plate: usize,
    table: usize,
    floor: usize,
    marks: [usize; 3],
    panels: [usize; 5],
    lamps: [usize; 2],
    cameras: [usize; 2],
    objects: [usize; OBJECTS],
    object_geoms: [usize; OBJECTS],
}

impl Dressing {
    /// Finds everything in the compiled model.
    pub(super) fn of(model: &MjModel) -> Result<Self, WorldError> {
        let id = |kind, name: &str| {
            model
                .name_to_id(kind, name)
                .ok_or_else(|| WorldError::Model(format!("'{name}' is missing from the compiled model")))
        };
        let (mut panels, mut lamps, mut cameras) = ([0; 5], [0; 2], [0; 2]);
        for (slot, texture) in panels.iter_mut().zip(Texture::ALL) {
            *slot = id(MjtObjBase::mjOBJ_GEOM, texture.name())?;
        }
        for (slot, lamp) in lamps.iter_mut().zip(LAMPS) {
            *slot = id(MjtObjBase::mjOBJ_LIGHT, lamp)?;
        }
        for (slot, camera) in cameras.iter_mut().zip(Camera::ALL) {
            *slot = id(MjtObjBase::mjOBJ_CAMERA, camera.name())?;
        }
        let (mut objects, mut object_geoms) = ([0; OBJECTS], [0; OBJECTS]);
        for kind in ObjectKind::ALL {
            objects[kind.index()] = id(MjtObjBase::mjOBJ_BODY, kind.name())?;
            object_geoms[kind.index()] = id(MjtObjBase::mjOBJ_GEOM, kind.name())?;
        }
        Ok(Self {
            plate: id(MjtObjBase::mjOBJ_BODY, "plate")?,
            table: id(MjtObjBase::mjOBJ_GEOM, "table")?,
            floor: id(MjtObjBase::mjOBJ_GEOM, "floor")?,
            marks: [
                id(MjtObjBase::mjOBJ_GEOM, Zone::Left.name())?,
                id(MjtObjBase::mjOBJ_GEOM, Zone::Right.name())?,
                id(MjtObjBase::mjOBJ_GEOM, "far_line")?,
            ],
            panels,
            lamps,
            cameras,
            objects,
            object_geoms,
        })
    }

    /// Makes `model`, a fresh copy, look as `scene` says.
    pub(super) fn dress(&self, model: &mut MjModel, scene: &Scene) {
        let look = &scene.look;
        model.body_pos_mut()[self.plate] = [scene.plate[0], scene.plate[1], PLATE_THICKNESS / 2.0];
        for kind in ObjectKind::ALL {
            if scene.placement(kind).is_none() {
                // Not there: it hangs below the table, weightless and out of every camera's sight.
                model.body_gravcomp_mut()[self.objects[kind.index()]] = 1.0;
                model.geom_rgba_mut()[self.object_geoms[kind.index()]][3] = 0.0;
            }
        }
        self.paint(model, look);
        for (lamp, Lamp { direction, colour }) in self.lamps.into_iter().zip(look.lamps) {
            let length = Vector3::from(direction).norm();
            model.light_dir_mut()[lamp] = direction.map(|v| v / length);
            model.light_diffuse_mut()[lamp] = colour;
            // Two lamps share what comes from everywhere.
            model.light_ambient_mut()[lamp] = look.ambient.map(|c| c / 2.0);
        }
        for (camera, shift) in self.cameras.into_iter().zip(look.cameras) {
            self.shift(model, camera, shift);
        }
    }

    fn paint(&self, model: &mut MjModel, look: &Look) {
        let opaque = |[r, g, b]: [f32; 3]| [r, g, b, 1.0];
        model.geom_rgba_mut()[self.table] = opaque(look.table.colour);
        model.geom_rgba_mut()[self.floor] = opaque(look.floor);
        for mark in self.marks {
            model.geom_rgba_mut()[mark] = opaque(look.marks());
        }
        for (panel, texture) in self.panels.into_iter().zip(Texture::ALL) {
            let wanted = look.table.texture == Some(texture);
            model.geom_pos_mut()[panel][2] = if wanted { PANEL / 2.0 } else { AWAY };
            model.geom_rgba_mut()[panel] = opaque(look.table.colour);
        }
    }

    fn shift(&self, model: &mut MjModel, camera: usize, shift: CameraShift) {
        for (to, by) in model.cam_pos_mut()[camera].iter_mut().zip(shift.position) {
            *to += by;
        }
        let [w, x, y, z] = model.cam_quat()[camera];
        // The optical frame is MuJoCo's camera frame after half a turn about x.
        let [a, b, c] = shift.rotation;
        let turned = UnitQuaternion::from_quaternion(Quaternion::new(w, x, y, z))
            * UnitQuaternion::from_scaled_axis(Vector3::new(a, -b, -c));
        model.cam_quat_mut()[camera] = [turned.w, turned.i, turned.j, turned.k];
    }
}

/// Side of every texture, pixels.
pub(super) const TEXTURE_SIZE: usize = 256;

/// The pattern of a table top, grey values, the lightest 255: the colour comes from the scene.
pub(super) fn pattern(texture: Texture) -> Vec<u8> {
    let n = TEXTURE_SIZE;
    let grey = |x: usize, y: usize| -> f64 {
        let (u, v) = (x as f64 / n as f64, y as f64 / n as f64);
        match texture {
            // Streaks along the image's y with a slow waver.
            Texture::Wood => {
                0.86 + 0.14 * (60.0 * u + 2.0 * noise(4.0 * u, 3.0 * v, 7)).sin() * noise(24.0 * u, 3.0 * v, 3)
            }
            Texture::Speckle => 1.0 - 0.28 * f64::from(hash(x as i64 / 2, y as i64 / 2, 5) > 0.86),
            Texture::Checker => 1.0 - 0.30 * f64::from((x / 32 + y / 32).is_multiple_of(2)),
            Texture::Tiles => {
                1.0 - 0.45 * f64::from(x % 64 < 4 || y % 64 < 4) - 0.10 * hash(x as i64 / 64, y as i64 / 64, 2)
            }
            Texture::Marble => 1.0 - 0.38 * noise(5.0 * u, 5.0 * v, 11) - 0.10 * noise(17.0 * u, 17.0 * v, 13),
        }
    };
    (0..n * n).map(|i| (255.0 * grey(i % n, i / n).clamp(0.0, 1.0)).round() as u8).flat_map(|g| [g, g, g]).collect()
}

/// Evenly spread in [0, 1), a fixed function of its arguments (finaliser of SplitMix64).
fn hash(x: i64, y: i64, salt: u64) -> f64 {
    let mut h = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ salt;
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((h ^ (h >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Smooth noise in [0, 1): hashed values at whole numbers, blended between them.
fn noise(x: f64, y: f64, salt: u64) -> f64 {
    let (x0, y0) = (x.floor(), y.floor());
    let smooth = |t: f64| t * t * (3.0 - 2.0 * t);
    let (a, b) = (smooth(x - x0), smooth(y - y0));
    let at = |i: f64, j: f64| hash((x0 + i) as i64, (y0 + j) as i64, salt);
    let low = at(0.0, 0.0) + a * (at(1.0, 0.0) - at(0.0, 0.0));
    let high = at(0.0, 1.0) + a * (at(1.0, 1.0) - at(0.0, 1.0));
    low + b * (high - low)
}
