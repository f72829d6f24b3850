//! From the URDF to a complete MuJoCo model.
//!
//! MuJoCo's own parser reads the URDF. What a URDF cannot say is added here: actuators, gravity compensation, contact
//! parameters, the table, the plate, the objects, marks on the table, lights and cameras. No number of the arm is repeated: efforts, ranges
//! and the fingers' mimic relation are those that the parser read.

use super::dressing::{LAMPS, PANEL, TEXTURE_SIZE, pattern};
use super::obstacle_world::{FixedBody, FixedShape};
use super::{Camera, WorldError, WorldFiles};
use crate::tasks::{FAR_LINE_X, Look, ObjectKind, PLATE_RADIUS, PLATE_THICKNESS, Shape, Texture, ZONE_HALF_SIZE, Zone};
use efm_core::reading;
use mujoco_rs::prelude::*;
use mujoco_rs::wrappers::mj_editing::{MjsBody, MjtLimited};

/// Joints of the arm, in the order of every arm vector.
pub const ARM_JOINTS: [&str; 7] =
    ["panda_joint1", "panda_joint2", "panda_joint3", "panda_joint4", "panda_joint5", "panda_joint6", "panda_joint7"];
/// The fingers; the second mimics the first.
pub const FINGER_JOINTS: [&str; 2] = ["panda_finger_joint1", "panda_finger_joint2"];
/// Bodies whose touch counts as the gripper's.
pub(super) const FINGER_LINKS: [&str; 2] = ["panda_leftfinger", "panda_rightfinger"];
/// Link that carries the wrist camera.
pub(super) const HAND_LINK: &str = "panda_hand";
/// Frame of the tool centre.
pub(super) const TOOL_LINK: &str = "panda_hand_tcp";

/// Position gains of the arm (N m/rad), as in MuJoCo Menagerie's Panda; the damping is a tenth of them.
pub(super) const ARM_KP: [f64; 7] = [4500.0, 4500.0, 3500.0, 3500.0, 2000.0, 2000.0, 2000.0];
/// Damping gain of the arm as a share of the position gain, s.
pub(super) const ARM_KV_SHARE: f64 = 0.1;
/// Position gain (N/m) and damping gain (N s/m) of each finger.
const FINGER_KP: f64 = 1500.0;
const FINGER_KV: f64 = 30.0;
/// Reflected rotor inertia, kg m^2 (arm, as in Menagerie) and kg (fingers).
const ARM_ARMATURE: f64 = 0.1;
const FINGER_ARMATURE: f64 = 0.05;

/// Sliding friction of the robot (its pads are rubber), the objects and the table. MuJoCo takes the larger of a pair.
const ROBOT_FRICTION: f64 = 1.0;
const OBJECT_FRICTION: f64 = 0.5;
const TABLE_FRICTION: f64 = 0.5;
/// Torsional (m) and rolling (m) friction of every geom.
const TORSION: f64 = 0.005;
const ROLLING: f64 = 0.0001;

/// Contact bits: the robot touches the table and the objects, not itself (self-collision is the safety layer's business and
/// the coarse capsules of neighbouring links overlap by design).
const ROBOT_BIT: i32 = 2;
const WORLD_BIT: i32 = 1;

/// What MuJoCo needs at run time, by number.
pub(super) struct Built {
    pub(super) model: MjModel,
    /// Largest actuator force of the 7 arm joints and the 2 fingers, from the URDF.
    pub(super) efforts: [f64; 9],
}

/// Builds and compiles the model.
///
/// # Errors
/// When the URDF cannot be read, lacks a joint, an effort or a mimic relation, or the completed model does not compile.
pub(super) fn build(files: &WorldFiles) -> Result<Built, WorldError> {
    let path = files.urdf.display().to_string();
    let wrong = |reason: String| WorldError::Urdf { path: path.clone(), reason };
    let text = reading::text(&files.urdf, reading::DESCRIPTION).map_err(|e| wrong(e.to_string()))?;
    let text = keep_everything(&text).ok_or_else(|| wrong("it has no <robot> element".to_owned()))?;
    let mut spec = MjSpec::from_xml_string(&text).map_err(|e| wrong(e.to_string()))?;
    set_options(&mut spec);
    let efforts = complete_robot(&mut spec, &path)?;
    add_cell(&mut spec);
    add_table_tops(&mut spec)?;
    add_plate(&mut spec);
    add_objects(&mut spec);
    add_cameras(&mut spec)?;
    let model = spec.compile().map_err(|e| WorldError::Model(e.to_string()))?;
    Ok(Built { model, efforts })
}

/// Builds and compiles the robot alone among fixed bodies: see [`super::ObstacleWorld::new`].
///
/// # Errors
/// As [`build`], and when a pair names a link that is missing.
pub(super) fn build_among(
    files: &WorldFiles,
    bodies: &[FixedBody],
    apart: &[(String, String)],
    seen: f64,
) -> Result<MjModel, WorldError> {
    let path = files.urdf.display().to_string();
    let wrong = |reason: String| WorldError::Urdf { path: path.clone(), reason };
    let text = reading::text(&files.urdf, reading::DESCRIPTION).map_err(|e| wrong(e.to_string()))?;
    let text = keep_everything(&text).ok_or_else(|| wrong("it has no <robot> element".to_owned()))?;
    // Nothing is drawn here.
    let text = text.replacen("discardvisual=\"false\"", "discardvisual=\"true\"", 1);
    let mut spec = MjSpec::from_xml_string(&text).map_err(|e| wrong(e.to_string()))?;
    set_options(&mut spec);
    complete_robot(&mut spec, &path)?;
    for geom in spec.geom_iter_mut() {
        geom.set_conaffinity(WORLD_BIT | ROBOT_BIT);
        geom.set_gap(seen / 2.0);
    }
    for body in bodies {
        let geom = spec.world_body_mut().add_geom().with_name(&body.name);
        let (kind, size) = match body.shape {
            FixedShape::Box { half } => (MjtGeomBase::mjGEOM_BOX, half),
            FixedShape::Sphere { radius } => (MjtGeomBase::mjGEOM_SPHERE, [radius, 0.0, 0.0]),
            FixedShape::Cylinder { radius, half_length } => (MjtGeomBase::mjGEOM_CYLINDER, [radius, half_length, 0.0]),
            FixedShape::Capsule { radius, half_length } => (MjtGeomBase::mjGEOM_CAPSULE, [radius, half_length, 0.0]),
            FixedShape::Plane => (MjtGeomBase::mjGEOM_PLANE, [0.0, 0.0, 1.0]),
        };
        geom.set_type(kind);
        *geom.size_mut() = size;
        *geom.pos_mut() = body.position;
        *geom.quat_mut() = body.rotation;
        set_contact(geom, TABLE_FRICTION, WORLD_BIT, ROBOT_BIT);
        // Listed from this distance on; pushed apart only where they overlap.
        geom.set_gap(seen / 2.0);
    }
    for (a, b) in apart {
        spec.add_exclude().with_bodyname1(a).with_bodyname2(b);
    }
    spec.compile().map_err(|e| WorldError::Model(e.to_string()))
}

/// MuJoCo drops a URDF's visuals and fuses its fixed links while it parses, unless its own extension element says otherwise.
fn keep_everything(urdf: &str) -> Option<String> {
    let start = urdf.find("<robot")?;
    let end = start + urdf[start..].find('>')? + 1;
    let extension = r#"<mujoco><compiler discardvisual="false" fusestatic="false"/></mujoco>"#;
    Some(format!("{}{extension}{}", &urdf[..end], &urdf[end..]))
}

fn set_options(spec: &mut MjSpec) {
    let option = spec.option_mut();
    option.timestep = super::STEP_NANOS as f64 * 1e-9;
    option.integrator = MjtIntegrator::mjINT_IMPLICITFAST as i32;
    option.cone = MjtCone::mjCONE_ELLIPTIC as i32;
    option.impratio = 10.0;
    // A diverging simulation must be seen, not silently put back to its start.
    option.disableflags |= MjtDisableBit::mjDSBL_AUTORESET as i32;
    let visual = spec.visual_mut();
    visual.quality.shadowsize = 0;
    visual.quality.offsamples = 0;
    visual.global.offwidth = super::WIDTH as i32;
    visual.global.offheight = super::HEIGHT as i32;
    // The lamps give the rest, scene by scene.
    visual.headlight.ambient = [0.0, 0.0, 0.0];
    visual.headlight.diffuse = [0.35, 0.35, 0.35];
    visual.headlight.specular = [0.05, 0.05, 0.05];
    // The visible depth range must not depend on what lies about.
    spec.stat_mut().extent = 1.5;
    spec.stat_mut().center = [0.45, 0.0, 0.1];
}

/// Actuators, gravity compensation, stiffness of the mimic relation, contact parameters. Returns the efforts.
fn complete_robot(spec: &mut MjSpec, path: &str) -> Result<[f64; 9], WorldError> {
    for geom in spec.geom_iter_mut() {
        let visual = geom.contype() == 0 && geom.conaffinity() == 0;
        if visual {
            geom.set_group(1);
        } else {
            // Not drawn: the URDF gives its own visuals.
            geom.set_group(3);
            set_contact(geom, ROBOT_FRICTION, ROBOT_BIT, WORLD_BIT);
        }
    }
    compensate_gravity(spec.world_body_mut());
    let mut efforts = [0.0; 9];
    for (i, name) in ARM_JOINTS.iter().chain(&FINGER_JOINTS).copied().enumerate() {
        let missing = |what: &str| WorldError::Urdf { path: path.to_owned(), reason: format!("joint '{name}' {what}") };
        let joint = spec.joint_mut(name).ok_or_else(|| missing("is missing"))?;
        let effort = joint.actfrcrange()[1];
        if !(effort.is_finite() && effort > 0.0) {
            return Err(missing("has no limit on its effort"));
        }
        // Gravity compensation runs through the motors, as in the real arm, so that it counts within the effort.
        joint.set_actgravcomp(true);
        joint.set_actfrclimited(MjtLimited::mjLIMITED_TRUE);
        let arm = i < 7;
        joint.set_armature(if arm { ARM_ARMATURE } else { FINGER_ARMATURE });
        let (kp, kv) = if arm { (ARM_KP[i], ARM_KP[i] * ARM_KV_SHARE) } else { (FINGER_KP, FINGER_KV) };
        efforts[i] = effort;
        let actuator = spec.add_actuator().with_name(name);
        actuator.set_trntype(MjtTrn::mjTRN_JOINT);
        actuator.set_target(name);
        actuator
            .set_to_position(mujoco_rs::wrappers::mj_editing::PositionConfig { kp, kv: Some(kv), ..Default::default() })
            .map_err(|e| WorldError::Model(e.to_string()))?;
        *actuator.forcerange_mut() = [-effort, effort];
        actuator.set_forcelimited(MjtLimited::mjLIMITED_TRUE);
    }
    // The parser makes an equality constraint of a mimic relation, softer than a spindle that drives both fingers.
    let mut coupled = false;
    for equality in spec.equality_iter_mut() {
        if equality.type_() == MjtEq::mjEQ_JOINT
            && [equality.name1(), equality.name2()] == [FINGER_JOINTS[1], FINGER_JOINTS[0]]
        {
            *equality.solref_mut() = [0.005, 1.0];
            coupled = true;
        }
    }
    if !coupled {
        let reason = format!("joint '{}' must mimic '{}'", FINGER_JOINTS[1], FINGER_JOINTS[0]);
        return Err(WorldError::Urdf { path: path.to_owned(), reason });
    }
    Ok(efforts)
}

fn compensate_gravity(body: &mut MjsBody) {
    for child in body.body_iter_mut() {
        child.set_gravcomp(1.0);
        compensate_gravity(child);
    }
}

fn set_contact<C>(geom: &mut mujoco_rs::wrappers::mj_editing::MjsGeom<C>, friction: f64, kind: i32, touches: i32) {
    geom.set_contype(kind);
    geom.set_conaffinity(touches);
    geom.set_condim(4);
    *geom.friction_mut() = [friction, TORSION, ROLLING];
    *geom.solref_mut() = [0.01, 1.0];
    *geom.solimp_mut() = [0.95, 0.99, 0.001, 0.5, 2.0];
}

/// Floor, table, marks and lights.
fn add_cell(spec: &mut MjSpec) {
    let world = spec.world_body_mut();
    let floor = world.add_geom().with_name("floor");
    floor.set_type(MjtGeomBase::mjGEOM_PLANE);
    *floor.pos_mut() = [0.0, 0.0, -0.75];
    *floor.size_mut() = [3.0, 3.0, 0.1];
    *floor.rgba_mut() = [0.30, 0.32, 0.35, 1.0];
    set_contact(floor, TABLE_FRICTION, WORLD_BIT, WORLD_BIT | ROBOT_BIT);

    let table = world.add_geom().with_name("table");
    table.set_type(MjtGeomBase::mjGEOM_BOX);
    *table.pos_mut() = [0.35, 0.0, -0.02];
    *table.size_mut() = [0.6, 0.6, 0.02];
    *table.rgba_mut() = [0.58, 0.54, 0.48, 1.0];
    set_contact(table, TABLE_FRICTION, WORLD_BIT, WORLD_BIT | ROBOT_BIT);

    for zone in Zone::ALL {
        let [x, y] = zone.centre();
        mark(world, zone.name(), [x, y], [ZONE_HALF_SIZE, ZONE_HALF_SIZE], [0.70, 0.67, 0.62, 1.0]);
    }
    mark(world, "far_line", [FAR_LINE_X, 0.0], [0.006, 0.36], [0.76, 0.74, 0.70, 1.0]);

    let look = Look::plain();
    for ((name, lamp), pos) in LAMPS.into_iter().zip(look.lamps).zip([[1.0, 0.6, 1.5], [-0.2, -0.8, 1.5]]) {
        let light = world.add_light().with_name(name);
        light.set_type(MjtLightType::mjLIGHT_DIRECTIONAL);
        light.set_castshadow(false);
        *light.pos_mut() = pos;
        *light.dir_mut() = lamp.direction;
        *light.diffuse_mut() = lamp.colour;
        *light.specular_mut() = [0.05, 0.05, 0.05];
    }
}

/// A panel for each pattern that the table can have; a scene brings at most one of them up. They are thinner than the marks.
fn add_table_tops(spec: &mut MjSpec) -> Result<(), WorldError> {
    for texture in Texture::ALL {
        let name = texture.name();
        let image = spec.add_texture().with_name(name);
        image.set_type(MjtTexture::mjTEXTURE_2D);
        let side = TEXTURE_SIZE as i32;
        image.set_width(side);
        image.set_height(side);
        image.set_nchannel(3);
        image.set_data(&pattern(texture));
        let material = spec.add_material().with_name(name);
        material.set_texture(MjtTextureRoleBase::mjTEXROLE_RGB, name);
        *material.texrepeat_mut() = [1.5, 1.5];
        let panel = spec.world_body_mut().add_geom().with_name(name);
        panel.set_type(MjtGeomBase::mjGEOM_BOX);
        *panel.pos_mut() = [0.35, 0.0, PANEL / 2.0];
        *panel.size_mut() = [0.6, 0.6, PANEL];
        panel.set_material(name);
        panel.set_contype(0);
        panel.set_conaffinity(0);
        *panel.friction_mut() = [TABLE_FRICTION, TORSION, ROLLING];
    }
    Ok(())
}

/// The plate: fixed to the table where a scene wants it.
fn add_plate(spec: &mut MjSpec) {
    let body = spec.world_body_mut().add_body().with_name("plate");
    *body.pos_mut() = [0.45, 0.0, PLATE_THICKNESS / 2.0];
    let geom = body.add_geom().with_name("plate");
    geom.set_type(MjtGeomBase::mjGEOM_CYLINDER);
    *geom.size_mut() = [PLATE_RADIUS, PLATE_THICKNESS / 2.0, 0.0];
    *geom.rgba_mut() = [0.93, 0.93, 0.95, 1.0];
    set_contact(geom, TABLE_FRICTION, WORLD_BIT, WORLD_BIT | ROBOT_BIT);
}

/// A flat visual patch on the table; nothing touches it.
fn mark(world: &mut MjsBody, name: &str, [x, y]: [f64; 2], [hx, hy]: [f64; 2], rgba: [f32; 4]) {
    let geom = world.add_geom().with_name(name);
    geom.set_type(MjtGeomBase::mjGEOM_BOX);
    *geom.pos_mut() = [x, y, 0.0];
    *geom.size_mut() = [hx, hy, 0.0006];
    *geom.rgba_mut() = rgba;
    geom.set_contype(0);
    geom.set_conaffinity(0);
    // Patches do not touch anything, but the rule on friction holds for every geom.
    *geom.friction_mut() = [TABLE_FRICTION, TORSION, ROLLING];
}

fn add_objects(spec: &mut MjSpec) {
    for kind in ObjectKind::ALL {
        let body = spec.world_body_mut().add_body().with_name(kind.name());
        *body.pos_mut() = [0.45, 0.0, kind.rest_height()];
        body.add_free_joint().with_name(kind.name());
        let geom = body.add_geom().with_name(kind.name());
        match kind.shape() {
            Shape::Box(half) => {
                geom.set_type(MjtGeomBase::mjGEOM_BOX);
                *geom.size_mut() = half;
            }
            Shape::Cylinder { radius, half_height } => {
                geom.set_type(MjtGeomBase::mjGEOM_CYLINDER);
                *geom.size_mut() = [radius, half_height, 0.0];
            }
        }
        *geom.rgba_mut() = kind.rgba();
        geom.set_mass(kind.mass());
        set_contact(geom, OBJECT_FRICTION, WORLD_BIT, WORLD_BIT | ROBOT_BIT);
    }
}

fn add_cameras(spec: &mut MjSpec) -> Result<(), WorldError> {
    for camera in Camera::ALL {
        let mount = camera.mount();
        let world = spec.world_body_mut();
        let body = world.child_mut(mount.parent).ok_or_else(|| {
            WorldError::Model(format!("link '{}' for camera '{}' is missing", mount.parent, camera.name()))
        })?;
        let eye = body.add_camera().with_name(camera.name());
        *eye.pos_mut() = mount.position;
        // MuJoCo looks along -z with y up, an optical frame along +z with y down: half a turn about x.
        let turn = mount.rotation
            * nalgebra::UnitQuaternion::from_axis_angle(&nalgebra::Vector3::x_axis(), std::f64::consts::PI);
        *eye.quat_mut() = [turn.w, turn.i, turn.j, turn.k];
        eye.set_fovy(mount.fovy.to_degrees());
    }
    Ok(())
}
