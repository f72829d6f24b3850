//! The simulated cell: one MuJoCo model and its state.

mod camera;
mod dressing;
mod model;
mod obstacle_world;

pub use camera::{Camera, Intrinsics, Mount};
pub use model::{ARM_JOINTS, FINGER_JOINTS};
pub use obstacle_world::{FixedBody, FixedShape, Near, ObstacleWorld};

use crate::tasks::{OBJECTS, ObjectKind, Scene};
use dressing::Dressing;
use model::{ARM_KV_SHARE, FINGER_LINKS, TOOL_LINK};
use mujoco_rs::prelude::*;
use mujoco_rs::renderer::MjRenderer;
use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// One physics step, ns.
pub const STEP_NANOS: i64 = 2_000_000;
/// Width of every picture, pixels.
pub const WIDTH: usize = 640;
/// Height of every picture, pixels.
pub const HEIGHT: usize = 480;

/// One world draws at a time: the contexts of one process share a screen in Mesa's software drawing, and two threads that drew for
/// minutes have crashed inside it. It draws with threads of its own, so little is lost.
static DRAWING: Mutex<()> = Mutex::new(());

/// Where the first of the objects hangs that are not in a scene, m: below the table. The others follow along y.
const PARKED: [f64; 3] = [0.1, -0.4, -0.3];

/// Files that a world is made from.
#[derive(Debug, Clone)]
pub struct WorldFiles {
    /// The robot's URDF.
    pub urdf: PathBuf,
}

/// Why a world could not be made or drawn.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The URDF cannot be read or lacks something.
    #[error("robot description '{path}': {reason}")]
    Urdf {
        /// File.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The completed model is not valid.
    #[error("the simulator refused the completed model: {0}")]
    Model(String),
    /// No picture.
    #[error(
        "cannot draw camera '{camera}': {reason} (headless drawing needs EGL: Debian packages libegl1 libegl-mesa0 libgl1-mesa-dri)"
    )]
    Render {
        /// Which camera.
        camera: &'static str,
        /// What is wrong.
        reason: String,
    },
}

/// Measured state of the joints: the 7 arm joints, then both fingers ([`World::joint_names`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JointState {
    /// rad, m.
    pub positions: [f64; 9],
    /// rad/s, m/s.
    pub velocities: [f64; 9],
    /// Motor torque or force during the last step, N m, N; gravity compensation included.
    pub efforts: [f64; 9],
}

/// A pose in `panda_link0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose {
    /// m.
    pub position: Vector3<f64>,
    /// From the body to the base.
    pub rotation: UnitQuaternion<f64>,
}

/// Linear and angular speed of an object, in the base's axes (linear) and the body's (angular).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Velocity {
    /// m/s.
    pub linear: Vector3<f64>,
    /// rad/s.
    pub angular: Vector3<f64>,
}

/// The cell. One a thread: pictures are drawn in the thread that drew the first.
pub struct World {
    data: MjData<Box<MjModel>>,
    /// As compiled; every scene dresses a copy.
    pristine: Box<MjModel>,
    dressing: Dressing,
    renderer: Option<MjRenderer>,
    joint_qpos: [usize; 9],
    joint_dof: [usize; 9],
    object_qpos: [usize; OBJECTS],
    object_dof: [usize; OBJECTS],
    object_geom: [usize; OBJECTS],
    finger_bodies: [usize; 2],
    tool_body: usize,
    efforts: [f64; 9],
    arm_target: [f64; 7],
    arm_velocity: [f64; 7],
    finger_target: f64,
    finger_range: [f64; 2],
    steps: i64,
}

impl World {
    /// Reads the URDF and completes it. Starts as an empty reset: arm at zero, objects at their default places.
    ///
    /// # Errors
    /// When the URDF is unreadable or lacks a needed joint, link, effort or mimic relation.
    pub fn new(files: &WorldFiles) -> Result<Self, WorldError> {
        let model::Built { model, efforts } = model::build(files)?;
        let id = |kind, name: &str| {
            model
                .name_to_id(kind, name)
                .ok_or_else(|| WorldError::Model(format!("'{name}' is missing from the compiled model")))
        };
        let mut joint_qpos = [0; 9];
        let mut joint_dof = [0; 9];
        for (i, name) in ARM_JOINTS.iter().chain(&FINGER_JOINTS).enumerate() {
            let joint = id(MjtObjBase::mjOBJ_JOINT, name)?;
            joint_qpos[i] = model.jnt_qposadr()[joint] as usize;
            joint_dof[i] = model.jnt_dofadr()[joint] as usize;
        }
        let mut object_qpos = [0; OBJECTS];
        let mut object_dof = [0; OBJECTS];
        let mut object_geom = [0; OBJECTS];
        for (i, kind) in ObjectKind::ALL.iter().enumerate() {
            let joint = id(MjtObjBase::mjOBJ_JOINT, kind.name())?;
            object_qpos[i] = model.jnt_qposadr()[joint] as usize;
            object_dof[i] = model.jnt_dofadr()[joint] as usize;
            object_geom[i] = id(MjtObjBase::mjOBJ_GEOM, kind.name())?;
        }
        let finger_bodies =
            [id(MjtObjBase::mjOBJ_BODY, FINGER_LINKS[0])?, id(MjtObjBase::mjOBJ_BODY, FINGER_LINKS[1])?];
        let tool_body = id(MjtObjBase::mjOBJ_BODY, TOOL_LINK)?;
        let finger_range = model.jnt_range()[id(MjtObjBase::mjOBJ_JOINT, FINGER_JOINTS[0])?];
        let dressing = Dressing::of(&model)?;
        let pristine = Box::new(model);
        let mut data = MjData::new(pristine.clone());
        data.step1();
        Ok(Self {
            data,
            pristine,
            dressing,
            renderer: None,
            joint_qpos,
            joint_dof,
            object_qpos,
            object_dof,
            object_geom,
            finger_bodies,
            tool_body,
            efforts,
            arm_target: [0.0; 7],
            arm_velocity: [0.0; 7],
            finger_target: 0.0,
            finger_range,
            steps: 0,
        })
    }

    /// Puts everything where `scene` says, at rest, at time zero, with the controllers holding the start. The only place where
    /// positions are written.
    pub fn reset(&mut self, scene: &Scene) {
        let mut model = self.pristine.clone();
        self.dressing.dress(&mut model, scene);
        // Copies of one model always fit.
        self.data.swap_model(model);
        self.data.reset();
        let qpos = self.data.qpos_mut();
        for i in 0..9 {
            qpos[self.joint_qpos[i]] = if i < 7 { scene.joints[i] } else { scene.finger };
        }
        for kind in ObjectKind::ALL {
            let start = self.object_qpos[kind.index()];
            let [x, y, z, yaw] = match scene.placement(kind) {
                Some(at) => [at.x, at.y, kind.rest_height(), at.yaw],
                None => [PARKED[0], PARKED[1] + 0.1 * kind.index() as f64, PARKED[2], 0.0],
            };
            let (sin, cos) = (yaw / 2.0).sin_cos();
            qpos[start..start + 7].copy_from_slice(&[x, y, z, cos, 0.0, 0.0, sin]);
        }
        self.arm_target = scene.joints;
        self.arm_velocity = [0.0; 7];
        self.finger_target = scene.finger;
        self.steps = 0;
        self.data.step1();
    }

    /// What the arm's controller wants: positions (rad) and velocities (rad/s) of the 7 joints.
    pub fn set_arm_target(&mut self, positions: &[f64; 7], velocities: &[f64; 7]) {
        self.arm_target = *positions;
        self.arm_velocity = *velocities;
    }

    /// What the hand's controller wants: position of a finger, m, kept within its range.
    pub fn set_finger_target(&mut self, position: f64) {
        self.finger_target = position.clamp(self.finger_range[0], self.finger_range[1]);
    }

    /// One physics step of [`STEP_NANOS`].
    pub fn step(&mut self) {
        let ctrl = self.data.ctrl_mut();
        for (i, ctrl) in ctrl.iter_mut().enumerate().take(7) {
            // The servo brakes with kv * velocity; asking for the wanted velocity cancels that on the way.
            *ctrl = self.arm_target[i] + ARM_KV_SHARE * self.arm_velocity[i];
        }
        ctrl[7] = self.finger_target;
        ctrl[8] = self.finger_target;
        // Second half of a step first: positions, contacts and frames are then those of the new time when we return.
        self.data.step2();
        self.data.step1();
        self.steps += 1;
    }

    /// Time since the reset, ns.
    pub fn time_nanos(&self) -> i64 {
        self.steps * STEP_NANOS
    }

    /// Names of the joints of [`Self::joint_state`].
    pub fn joint_names() -> [&'static str; 9] {
        let [a, b, c, d, e, f, g] = ARM_JOINTS;
        let [h, i] = FINGER_JOINTS;
        [a, b, c, d, e, f, g, h, i]
    }

    /// Measured joints.
    pub fn joint_state(&self) -> JointState {
        let (qpos, qvel, force) = (self.data.qpos(), self.data.qvel(), self.data.qfrc_actuator());
        JointState {
            positions: self.joint_qpos.map(|i| qpos[i]),
            velocities: self.joint_dof.map(|i| qvel[i]),
            efforts: self.joint_dof.map(|i| force[i]),
        }
    }

    /// Largest motor torque or force of each joint, N m or N: the URDF's.
    pub fn effort_limits(&self) -> [f64; 9] {
        self.efforts
    }

    /// Pose of the tool centre `panda_hand_tcp`.
    pub fn tool_pose(&self) -> Pose {
        let m = &self.data.xmat()[self.tool_body];
        let rotation = Rotation3::from_matrix_unchecked(Matrix3::from_row_slice(m));
        Pose {
            position: Vector3::from(self.data.xpos()[self.tool_body]),
            rotation: UnitQuaternion::from_rotation_matrix(&rotation),
        }
    }

    /// Velocity of the tool centre, m/s, in the base's axes.
    pub fn tool_velocity(&self) -> Vector3<f64> {
        let v = self.data.object_velocity(MjtObjBase::mjOBJ_XBODY, self.tool_body, false);
        Vector3::new(v[3], v[4], v[5])
    }

    /// Pose of an object (of its centre).
    pub fn object_pose(&self, kind: ObjectKind) -> Pose {
        let i = self.object_qpos[kind.index()];
        let q = &self.data.qpos()[i..i + 7];
        Pose {
            position: Vector3::new(q[0], q[1], q[2]),
            rotation: UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(q[3], q[4], q[5], q[6])),
        }
    }

    /// Speed of an object.
    pub fn object_velocity(&self, kind: ObjectKind) -> Velocity {
        let i = self.object_dof[kind.index()];
        let v = &self.data.qvel()[i..i + 6];
        Velocity { linear: Vector3::new(v[0], v[1], v[2]), angular: Vector3::new(v[3], v[4], v[5]) }
    }

    /// Whether a finger touches an object now.
    pub fn finger_touches(&self, kind: ObjectKind) -> bool {
        let object = self.object_geom[kind.index()] as i32;
        let bodies = self.data.model().geom_bodyid();
        self.data.contact().iter().filter(|c| c.dist <= c.includemargin).any(|c| {
            let other = match c.geom {
                [a, b] if a == object => b,
                [a, b] if b == object => a,
                _ => return false,
            };
            usize::try_from(other).is_ok_and(|g| self.finger_bodies.contains(&(bodies[g] as usize)))
        })
    }

    /// Puts everything where another world of the same scene has it, to be drawn: its positions, as of [`Self::raw_state`]. Nothing is simulated.
    ///
    /// # Panics
    /// When they are not as many as this world has.
    pub fn show(&mut self, positions: &[f64]) {
        self.data.qpos_mut().copy_from_slice(positions);
        self.data.step1();
    }

    /// Draws what a camera sees now: rgb8, [`WIDTH`] x [`HEIGHT`], row-major, top row first. `picture` is cleared and filled.
    ///
    /// # Errors
    /// When there is no OpenGL to draw with.
    pub fn render(&mut self, camera: Camera, picture: &mut Vec<u8>) -> Result<(), WorldError> {
        let failed = |reason: String| WorldError::Render { camera: camera.name(), reason };
        let _alone = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        let renderer = match &mut self.renderer {
            Some(renderer) => renderer,
            empty => {
                let new = MjRenderer::new(self.data.model(), WIDTH, HEIGHT, 0).map_err(|e| failed(e.to_string()))?;
                empty.insert(new)
            }
        };
        let id = self.data.model().name_to_id(MjtObjBase::mjOBJ_CAMERA, camera.name());
        let id = id.ok_or_else(|| failed("it is not in the model".to_owned()))?;
        renderer.set_camera(MjvCamera::new_fixed(id));
        renderer.sync_data(&mut self.data).map_err(|e| failed(e.to_string()))?;
        renderer.render().map_err(|e| failed(e.to_string()))?;
        picture.clear();
        picture.extend_from_slice(renderer.rgb_flat().unwrap_or_default());
        Ok(())
    }

    /// The compiled model, to look at.
    pub fn model(&self) -> &MjModel {
        self.data.model()
    }

    /// Every generalised position and velocity, to compare two runs bit by bit.
    pub fn raw_state(&self) -> (&[f64], &[f64]) {
        (self.data.qpos(), self.data.qvel())
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(renderer) = self.renderer.take() {
            let _alone = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
            drop(renderer);
        }
    }
}
