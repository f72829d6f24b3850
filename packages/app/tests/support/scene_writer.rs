//! Writes moveit_msgs/PlanningScene, field by field as its .msg files have them.
#![allow(dead_code)]

use efm_core::Stamp;
use efm_wire::cdr::CdrWriter;

/// x, y, z, then the quaternion x, y, z, w.
pub type Pose = [f64; 7];

pub fn at(x: f64, y: f64, z: f64) -> Pose {
    [x, y, z, 0.0, 0.0, 0.0, 1.0]
}

/// moveit_msgs/CollisionObject.
#[derive(Debug, Clone, Default)]
pub struct Object {
    pub id: String,
    pub frame: String,
    pub pose: Pose,
    pub primitives: Vec<(u8, Vec<f64>)>,
    pub poses: Vec<Pose>,
    pub meshes: Vec<Vec<[f64; 3]>>,
    pub mesh_poses: Vec<Pose>,
    /// a, b, c, d of `ax + by + cz + d = 0`.
    pub planes: Vec<[f64; 4]>,
    pub plane_poses: Vec<Pose>,
    pub operation: u8,
}

impl Object {
    pub fn new(id: &str, frame: &str) -> Self {
        Self { id: id.to_owned(), frame: frame.to_owned(), pose: at(0.0, 0.0, 0.0), ..Self::default() }
    }

    pub fn cube(id: &str, frame: &str) -> Self {
        Self { primitives: vec![(1, vec![0.04; 3])], poses: vec![at(0.0, 0.0, 0.0)], ..Self::new(id, frame) }
    }

    pub fn posed(self, pose: Pose) -> Self {
        Self { pose, ..self }
    }

    fn write(&self, out: &mut CdrWriter) {
        header(out, &self.frame);
        out.f64_array(&self.pose);
        out.string(&self.id);
        out.string(""); // type.key
        out.string(""); // type.db
        out.count(self.primitives.len());
        for (kind, dimensions) in &self.primitives {
            out.u8(*kind);
            out.f64_sequence(dimensions);
            out.count(0); // polygon
        }
        poses(out, &self.poses);
        out.count(self.meshes.len());
        for vertices in &self.meshes {
            out.count(1); // triangles
            (0..3).for_each(|corner| out.u32(corner));
            out.count(vertices.len());
            vertices.iter().for_each(|vertex| out.f64_array(vertex));
        }
        poses(out, &self.mesh_poses);
        out.count(self.planes.len());
        self.planes.iter().for_each(|plane| out.f64_array(plane));
        poses(out, &self.plane_poses);
        out.strings(&[]); // subframe_names
        poses(out, &[]); // subframe_poses
        out.u8(self.operation);
    }
}

/// moveit_msgs/PlanningScene.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    pub is_diff: bool,
    pub robot_state_is_diff: bool,
    pub objects: Vec<Object>,
    /// Name, parent, pose.
    pub frames: Vec<(String, String, Pose)>,
    /// Link, and what it holds.
    pub held: Vec<(String, Object)>,
    /// `link_padding`: link, and by how much.
    pub padding: Vec<(String, f64)>,
    /// Names of the allowed collision matrix, all of which may touch.
    pub allowed: Vec<String>,
    /// Rows that the allowed collision matrix lacks.
    pub rows_missing: usize,
}

impl Scene {
    pub fn diff() -> Self {
        Self { is_diff: true, robot_state_is_diff: true, ..Self::default() }
    }

    pub fn to_cdr(&self) -> Vec<u8> {
        let out = &mut CdrWriter::new();
        out.string(""); // name
        header(out, ""); // robot_state.joint_state
        out.strings(&[]);
        (0..3).for_each(|_| out.f64_sequence(&[]));
        header(out, ""); // multi_dof_joint_state
        out.strings(&[]);
        (0..3).for_each(|_| out.count(0));
        out.count(self.held.len());
        for (link, object) in &self.held {
            out.string(link);
            object.write(out);
            out.strings(&[]); // touch_links
            header(out, ""); // detach_posture
            out.strings(&[]);
            out.count(0);
            out.f64_array(&[0.0]); // weight
        }
        out.u8(self.robot_state_is_diff.into());
        out.string(""); // robot_model_name
        out.count(self.frames.len());
        for (name, parent, pose) in &self.frames {
            header(out, parent);
            out.string(name);
            out.f64_array(pose);
        }
        out.strings(&self.allowed); // allowed_collision_matrix
        out.count(self.allowed.len() - self.rows_missing);
        for _ in self.allowed.iter().skip(self.rows_missing) {
            out.byte_sequence(&vec![1; self.allowed.len()]);
        }
        out.strings(&[]);
        out.count(0);
        out.count(self.padding.len());
        for (link, padding) in &self.padding {
            out.string(link);
            out.f64_array(&[*padding]);
        }
        (0..2).for_each(|_| out.count(0)); // link_scale, object_colors
        out.count(self.objects.len());
        self.objects.iter().for_each(|object| object.write(out));
        header(out, ""); // octomap
        out.f64_array(&at(0.0, 0.0, 0.0));
        header(out, "");
        out.u8(0);
        out.string("");
        out.f64_array(&[0.0]);
        out.byte_sequence(&[]);
        out.u8(self.is_diff.into());
        out.bytes().to_vec()
    }
}

fn header(out: &mut CdrWriter, frame: &str) {
    out.stamp(Stamp::ZERO);
    out.string(frame);
}

fn poses(out: &mut CdrWriter, poses: &[Pose]) {
    out.count(poses.len());
    poses.iter().for_each(|pose| out.f64_array(pose));
}
