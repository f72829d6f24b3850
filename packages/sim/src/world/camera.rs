//! Where the cameras are and how they see.

use super::{HEIGHT, WIDTH};
use nalgebra::{Matrix3, Rotation3, UnitQuaternion, Vector3};

/// A camera of the cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Camera {
    /// Opposite the robot, looking down at the table.
    Front,
    /// On the hand, looking at the fingers.
    Wrist,
}

/// How a camera is fixed to the robot or the cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mount {
    /// Link of the URDF that carries it.
    pub parent: &'static str,
    /// Position of the optical frame in the parent, m.
    pub position: [f64; 3],
    /// Rotation from the optical frame (x right, y down, z forward, as in REP 103) to the parent.
    pub rotation: UnitQuaternion<f64>,
    /// Vertical field of view, rad.
    pub fovy: f64,
}

/// A pinhole camera without distortion, in pixels; pixel centres lie at whole numbers, as in sensor_msgs/CameraInfo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intrinsics {
    /// Image width.
    pub width: u32,
    /// Image height.
    pub height: u32,
    /// Focal length along x.
    pub fx: f64,
    /// Focal length along y.
    pub fy: f64,
    /// Principal point, x.
    pub cx: f64,
    /// Principal point, y.
    pub cy: f64,
}

impl Camera {
    /// Every camera.
    pub const ALL: [Camera; 2] = [Camera::Front, Camera::Wrist];

    /// Name, as in topics: `front`, `wrist`.
    pub fn name(self) -> &'static str {
        match self {
            Camera::Front => "front",
            Camera::Wrist => "wrist",
        }
    }

    /// Optical frame, as in image headers.
    pub fn optical_frame(self) -> &'static str {
        match self {
            Camera::Front => "front_optical_frame",
            Camera::Wrist => "wrist_optical_frame",
        }
    }

    /// Where it is fixed.
    pub fn mount(self) -> Mount {
        match self {
            Camera::Front => {
                let (eye, target) = (Vector3::new(1.15, 0.0, 0.75), Vector3::new(0.42, 0.0, 0.08));
                Mount {
                    parent: "panda_link0",
                    position: eye.into(),
                    rotation: looking(target - eye, Vector3::z()),
                    fovy: 38f64.to_radians(),
                }
            }
            Camera::Wrist => {
                // The hand's z points to the fingers; "up" in the picture is away from the robot when the tool points down.
                // It sees the finger tips at its lower edge and what they will meet in its middle.
                let (eye, target) = (Vector3::new(0.08, 0.0, 0.04), Vector3::new(0.0, 0.0, 0.25));
                Mount {
                    parent: super::model::HAND_LINK,
                    position: eye.into(),
                    rotation: looking(target - eye, Vector3::x()),
                    fovy: 80f64.to_radians(),
                }
            }
        }
    }

    /// Its pinhole model at [`WIDTH`] x [`HEIGHT`].
    pub fn intrinsics(self) -> Intrinsics {
        let f = HEIGHT as f64 / 2.0 / (self.mount().fovy / 2.0).tan();
        Intrinsics {
            width: WIDTH as u32,
            height: HEIGHT as u32,
            fx: f,
            fy: f,
            cx: (WIDTH as f64 - 1.0) / 2.0,
            cy: (HEIGHT as f64 - 1.0) / 2.0,
        }
    }
}

/// Rotation of an optical frame that looks along `forward` with `up` upwards in the picture.
fn looking(forward: Vector3<f64>, up: Vector3<f64>) -> UnitQuaternion<f64> {
    let z = forward.normalize();
    let x = z.cross(&up).normalize();
    let y = z.cross(&x);
    UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(Matrix3::from_columns(&[x, y, z])))
}
