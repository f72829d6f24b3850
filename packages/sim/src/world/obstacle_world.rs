//! The robot alone among fixed bodies, every contact reported: what a collision filter is judged in.
//!
//! The same URDF, motors and time step as [`super::World`]. Other than there, the robot's links touch each other as well, except the
//! pairs that are named.

use super::model::{self, ARM_JOINTS, ARM_KV_SHARE, FINGER_JOINTS};
use super::{JointState, STEP_NANOS, WorldError, WorldFiles};
use mujoco_rs::prelude::*;

/// The form of a fixed body, centred at its origin. Lengths in metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FixedShape {
    /// Half edges along x, y and z.
    Box {
        /// Half edges.
        half: [f64; 3],
    },
    /// A ball.
    Sphere {
        /// Radius.
        radius: f64,
    },
    /// Flat-ended, along z.
    Cylinder {
        /// Radius.
        radius: f64,
        /// Half the height.
        half_length: f64,
    },
    /// Round-ended, along z.
    Capsule {
        /// Radius.
        radius: f64,
        /// Half the distance between the centres of the caps.
        half_length: f64,
    },
    /// Everything below its xy plane.
    Plane,
}

/// A body that never moves.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedBody {
    /// Its name; no link has the same.
    pub name: String,
    /// Form.
    pub shape: FixedShape,
    /// In the frame of the robot's root, m.
    pub position: [f64; 3],
    /// Quaternion w, x, y, z.
    pub rotation: [f64; 4],
}

/// Two bodies that are near each other. Names of links or fixed bodies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near<'a> {
    /// One.
    pub a: &'a str,
    /// The other.
    pub b: &'a str,
    /// Metres; below zero they overlap.
    pub distance: f64,
}

/// See the module.
pub struct ObstacleWorld {
    data: MjData<Box<MjModel>>,
    joint_qpos: [usize; 9],
    joint_dof: [usize; 9],
    /// By geom.
    names: Vec<String>,
    steps: i64,
}

impl ObstacleWorld {
    /// Reads the URDF and sets the bodies around it. `apart` are pairs of links that MuJoCo shall not look at (those of an SRDF);
    /// `seen` is how near two bodies must be to be listed by [`Self::near`], m. The arm starts at zero.
    ///
    /// # Errors
    /// When the URDF is unreadable, a named link is missing, or the completed model is not valid.
    pub fn new(
        files: &WorldFiles,
        bodies: &[FixedBody],
        apart: &[(String, String)],
        seen: f64,
    ) -> Result<Self, WorldError> {
        let model = model::build_among(files, bodies, apart, seen)?;
        let id = |kind, name: &str| {
            model
                .name_to_id(kind, name)
                .ok_or_else(|| WorldError::Model(format!("'{name}' is missing from the compiled model")))
        };
        let (mut joint_qpos, mut joint_dof) = ([0; 9], [0; 9]);
        for (i, name) in ARM_JOINTS.iter().chain(&FINGER_JOINTS).enumerate() {
            let joint = id(MjtObjBase::mjOBJ_JOINT, name)?;
            joint_qpos[i] = model.jnt_qposadr()[joint] as usize;
            joint_dof[i] = model.jnt_dofadr()[joint] as usize;
        }
        let name = |kind, id: usize| model.id_to_name(kind, id).unwrap_or_default().to_owned();
        let names = (0..model.geom_bodyid().len())
            .map(|geom| match model.geom_bodyid()[geom] as usize {
                0 => name(MjtObjBase::mjOBJ_GEOM, geom),
                body => name(MjtObjBase::mjOBJ_BODY, body),
            })
            .collect();
        let mut data = MjData::new(Box::new(model));
        data.step1();
        Ok(Self { data, joint_qpos, joint_dof, names, steps: 0 })
    }

    fn set_positions(&mut self, arm: &[f64; 7], finger: f64) {
        let qpos = self.data.qpos_mut();
        for (i, place) in self.joint_qpos.iter().enumerate() {
            qpos[*place] = if i < 7 { arm[i] } else { finger };
        }
    }

    /// At rest at a configuration (rad, m), at time zero, the motors holding it.
    pub fn reset(&mut self, arm: &[f64; 7], finger: f64) {
        self.data.reset();
        self.set_positions(arm, finger);
        self.set_target(arm, &[0.0; 7], finger);
        self.steps = 0;
        self.data.step1();
    }

    /// Puts the robot at a configuration (rad, m) and finds what is near, without physics. Do not mix with [`Self::step`].
    pub fn place(&mut self, arm: &[f64; 7], finger: f64) {
        self.set_positions(arm, finger);
        self.data.forward_kinematics();
        self.data.collision();
    }

    /// What the controllers want: positions (rad) and velocities (rad/s) of the arm, position of a finger (m).
    pub fn set_target(&mut self, positions: &[f64; 7], velocities: &[f64; 7], finger: f64) {
        let ctrl = self.data.ctrl_mut();
        for i in 0..7 {
            // As in the world with objects: the servo's braking is cancelled on the way.
            ctrl[i] = positions[i] + ARM_KV_SHARE * velocities[i];
        }
        ctrl[7] = finger;
        ctrl[8] = finger;
    }

    /// One physics step of [`STEP_NANOS`].
    pub fn step(&mut self) {
        self.data.step2();
        self.data.step1();
        self.steps += 1;
    }

    /// Time since the reset, ns.
    pub fn time_nanos(&self) -> i64 {
        self.steps * STEP_NANOS
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

    /// MuJoCo's list of contacts, and of what is near without touching, at the configuration that holds now.
    pub fn near(&self) -> impl Iterator<Item = Near<'_>> {
        self.data.contact().iter().filter_map(|contact| {
            let name = |geom: i32| usize::try_from(geom).ok().and_then(|geom| self.names.get(geom));
            let [a, b] = contact.geom;
            Some(Near { a: name(a)?, b: name(b)?, distance: contact.dist })
        })
    }
}
