//! moveit_msgs/PlanningScene from its bytes.
//!
//! The message is read here rather than by r2r's types, so that everything below is built and tested where nobody has moveit_msgs. Layout: the
//! .msg files of moveit_msgs 2.4 to 2.6 (Humble to Jazzy, which do not differ in it), shape_msgs, object_recognition_msgs and octomap_msgs.

use crate::reasons::{self, wrong};
use efm_collision::{AllowedMatrix, Operation, SceneAttached, SceneMesh, SceneObject, ScenePose, Solid, SolidKind};
use efm_core::Reason;
use efm_core::reading::wrong_name;
use efm_wire::cdr::CdrReader;
use efm_wire::{CdrError, Decode, RosType};

/// A frame that does not move, as the message gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct FixedFrame {
    /// Its name.
    pub name: String,
    /// The frame that its pose is given in.
    pub parent: String,
    /// Where it is.
    pub pose: ScenePose,
}

/// What of an object is not known when a change of it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// Only where it is: moving it mends that.
    Place,
    /// What it is: it has to be added again, or removed.
    Shape,
    /// What the robot holds.
    Held,
}

/// One change of the scene.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Of what the robot holds.
    Held(SceneAttached),
    /// Of what stands around.
    Object(SceneObject, Operation),
    /// One that cannot be understood, though its bytes can.
    Unclear {
        /// The object.
        id: String,
        /// What is not known for it.
        unknown: Unknown,
        /// Object, field, and what is wrong.
        reason: Reason,
    },
}

/// What of the message matters here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlanningScene {
    /// Whether it is a change of the scene before; otherwise it is all there is.
    pub is_diff: bool,
    /// The same for what the robot holds.
    pub robot_state_is_diff: bool,
    /// `fixed_frame_transforms`.
    pub frames: Vec<FixedFrame>,
    /// In the order in which they are to be done: what is held first, as MoveIt does it.
    pub changes: Vec<Change>,
    /// `allowed_collision_matrix`.
    pub allowed: AllowedMatrix,
    /// Whether it holds an octomap, which is not checked.
    pub octomap: bool,
    /// Whether `link_padding` or `link_scale` make any link greater, which is not done.
    pub padded: bool,
}

impl PlanningScene {
    /// Its ROS type.
    pub const TYPE: &'static str = "moveit_msgs/msg/PlanningScene";
}

impl RosType for PlanningScene {
    const TYPE: &'static str = Self::TYPE;
}

impl<'a> Decode<'a> for PlanningScene {
    fn decode(input: &mut CdrReader<'a>) -> Result<Self, CdrError> {
        let mut this = Self::default();
        input.field("name").str()?;
        this.robot_state(input)?;
        input.field("robot_model_name").str()?;
        for _ in 0..input.field("fixed_frame_transforms").count(64)? {
            let parent = header(input)?;
            let name = input.field("fixed_frame_transforms.child_frame_id").string()?;
            let pose = pose(input.field("fixed_frame_transforms.transform"))?;
            this.frames.push(FixedFrame { name, parent, pose });
        }
        this.allowed.entry_names = input.field("allowed_collision_matrix.entry_names").strings()?;
        for _ in 0..input.field("allowed_collision_matrix.entry_values").count(4)? {
            this.allowed.entry_values.push(bools(input)?);
        }
        this.allowed.default_entry_names = input.field("allowed_collision_matrix.default_entry_names").strings()?;
        this.allowed.default_entry_values = bools(input.field("allowed_collision_matrix.default_entry_values"))?;
        for (field, neutral) in [("link_padding", 0.0), ("link_scale", 1.0)] {
            for _ in 0..input.field(field).count(12)? {
                input.str()?;
                let [value] = input.f64_array()?;
                this.padded |= value > neutral;
            }
        }
        for _ in 0..input.field("object_colors").count(20)? {
            input.str()?;
            for _ in 0..4 {
                input.u32()?;
            }
        }
        for _ in 0..input.field("world.collision_objects").count(80)? {
            let (object, operation) = object(input)?;
            this.changes.push(understood(object, operation, Change::Object));
        }
        header(input.field("world.octomap.header"))?;
        pose(input.field("world.octomap.origin"))?;
        header(input.field("world.octomap.octomap.header"))?;
        input.field("world.octomap.octomap.binary").bool()?;
        input.field("world.octomap.octomap.id").str()?;
        input.field("world.octomap.octomap.resolution").f64_array::<1>()?;
        this.octomap = !input.field("world.octomap.octomap.data").byte_sequence()?.is_empty();
        this.is_diff = input.field("is_diff").bool()?;
        Ok(this)
    }
}

impl PlanningScene {
    fn robot_state(&mut self, input: &mut CdrReader<'_>) -> Result<(), CdrError> {
        header(input.field("robot_state.joint_state.header"))?;
        input.field("robot_state.joint_state.name").strings()?;
        for field in ["position", "velocity", "effort"] {
            input.field(field).f64_sequence()?;
        }
        header(input.field("robot_state.multi_dof_joint_state.header"))?;
        input.field("robot_state.multi_dof_joint_state.joint_names").strings()?;
        for _ in 0..input.field("robot_state.multi_dof_joint_state.transforms").count(56)? {
            input.f64_array::<7>()?;
        }
        for field in ["robot_state.multi_dof_joint_state.twist", "robot_state.multi_dof_joint_state.wrench"] {
            for _ in 0..input.field(field).count(48)? {
                input.f64_array::<6>()?;
            }
        }
        for _ in 0..input.field("robot_state.attached_collision_objects").count(100)? {
            let link_name = input.field("attached_collision_objects.link_name").string()?;
            let (object, operation) = object(input)?;
            let touch_links = input.field("attached_collision_objects.touch_links").strings()?;
            header(input.field("attached_collision_objects.detach_posture.header"))?;
            input.field("attached_collision_objects.detach_posture.joint_names").strings()?;
            for _ in 0..input.field("attached_collision_objects.detach_posture.points").count(24)? {
                for _ in 0..4 {
                    input.f64_sequence()?;
                }
                input.i32()?;
                input.u32()?;
            }
            input.field("attached_collision_objects.weight").f64_array::<1>()?;
            self.changes.push(match understood(object, operation, Change::Object) {
                Change::Object(object, operation) => {
                    Change::Held(SceneAttached { link_name, object, operation, touch_links })
                }
                Change::Unclear { id, reason, .. } => Change::Unclear { id, unknown: Unknown::Held, reason },
                held @ Change::Held(_) => held,
            });
        }
        self.robot_state_is_diff = input.field("robot_state.is_diff").bool()?;
        Ok(())
    }
}

/// The frame.
fn header(input: &mut CdrReader<'_>) -> Result<String, CdrError> {
    input.stamp()?;
    input.string()
}

fn pose(input: &mut CdrReader<'_>) -> Result<ScenePose, CdrError> {
    Ok(ScenePose { position: input.f64_array()?, orientation: input.f64_array()? })
}

fn poses(input: &mut CdrReader<'_>) -> Result<Vec<ScenePose>, CdrError> {
    let count = input.count(56)?;
    (0..count).map(|_| pose(input)).collect()
}

fn bools(input: &mut CdrReader<'_>) -> Result<Vec<bool>, CdrError> {
    let count = input.count(1)?;
    (0..count).map(|_| input.bool()).collect()
}

/// An object as the message gives it; primitives with the number of their kind.
struct RawObject {
    object: SceneObject,
    primitives: Vec<(u8, Vec<f64>)>,
}

fn object(input: &mut CdrReader<'_>) -> Result<(RawObject, u8), CdrError> {
    let mut object =
        SceneObject { frame_id: header(input.field("collision object: header"))?, ..SceneObject::default() };
    object.pose = pose(input.field("collision object: pose"))?;
    object.id = input.field("collision object: id").string()?;
    input.field("collision object: type").str()?;
    input.str()?;
    let mut primitives = Vec::new();
    for _ in 0..input.field("collision object: primitives").count(12)? {
        primitives.push((input.u8()?, input.f64_sequence()?));
        for _ in 0..input.count(12)? {
            points::<3>(input)?;
        }
    }
    object.primitive_poses = poses(input.field("collision object: primitive_poses"))?;
    for _ in 0..input.field("collision object: meshes").count(8)? {
        for _ in 0..input.count(12)? {
            points::<3>(input)?;
        }
        let vertices = input.count(24)?;
        let vertices: Result<_, _> = (0..vertices).map(|_| input.f64_array()).collect();
        object.meshes.push(SceneMesh::Vertices(vertices?));
    }
    object.mesh_poses = poses(input.field("collision object: mesh_poses"))?;
    for _ in 0..input.field("collision object: planes").count(32)? {
        object.planes.push(input.f64_array()?);
    }
    object.plane_poses = poses(input.field("collision object: plane_poses"))?;
    input.field("collision object: subframe_names").strings()?;
    poses(input.field("collision object: subframe_poses"))?;
    let operation = input.field("collision object: operation").u8()?;
    Ok((RawObject { object, primitives }, operation))
}

/// Numbers of four bytes that do not matter here.
fn points<const N: usize>(input: &mut CdrReader<'_>) -> Result<(), CdrError> {
    (0..N).try_for_each(|_| input.u32().map(|_| ()))
}

/// Brings an object into the form of [`SceneObject`], as MoveIt understands the message: a missing pose is none, an orientation of zeros is
/// upright, and the pose of an only shape in an object without one is the object's.
fn understood(raw: RawObject, operation: u8, change: impl FnOnce(SceneObject, Operation) -> Change) -> Change {
    let RawObject { mut object, primitives } = raw;
    // One that is not called what it looks like is known by what is told of it, so that it can be removed again.
    let strange = wrong_name(&object.id);
    object.id = strange.clone().unwrap_or(object.id);
    let unclear = |id: &str, unknown: Unknown, problem: String, remedy: &'static str| Change::Unclear {
        id: id.to_owned(),
        unknown,
        reason: wrong(reasons::SCENE_UNCLEAR, format!("object '{id}': {problem}"), remedy),
    };
    let Some(mut operation) = Operation::from_message(operation) else {
        let problem = format!("operation {operation} is none of add (0), remove (1), append (2), move (3)");
        return unclear(&object.id, Unknown::Shape, problem, "");
    };
    if operation == Operation::Remove {
        return change(SceneObject { id: object.id, ..SceneObject::default() }, operation);
    }
    if let Some(problem) = strange {
        return unclear(&object.id, Unknown::Shape, format!("id: {problem}"), "call it something else");
    }
    for (i, (kind, dimensions)) in primitives.into_iter().enumerate() {
        let Some(kind) = SolidKind::from_message(kind) else {
            let problem =
                format!("primitives[{i}]: type {kind} is none of box (1), sphere (2), cylinder (3), cone (4)");
            return unclear(&object.id, Unknown::Shape, problem, "a mesh can have any shape");
        };
        object.primitives.push(Solid { kind, dimensions });
    }
    let shapes = object.primitives.len() + object.meshes.len() + object.planes.len();
    let given = object.primitive_poses.len() + object.mesh_poses.len() + object.plane_poses.len();
    if operation == Operation::Move && shapes == 0 && given > 0 {
        let problem = "a move of single shapes is not understood".to_owned();
        return unclear(&object.id, Unknown::Place, problem, "move the object by its pose, or add it again");
    }
    if operation == Operation::Move && shapes > 0 {
        // MoveIt takes the poses and not the shapes; who sends both means what they show.
        operation = Operation::Add;
    }
    // Too many poses are a mistake that is found with the lengths.
    let fill = |poses: &mut Vec<ScenePose>, shapes: usize| poses.resize(shapes.max(poses.len()), ScenePose::default());
    fill(&mut object.primitive_poses, object.primitives.len());
    fill(&mut object.mesh_poses, object.meshes.len());
    fill(&mut object.plane_poses, object.planes.len());
    let own = [&mut object.primitive_poses, &mut object.mesh_poses, &mut object.plane_poses];
    let mut own: Vec<&mut ScenePose> = own.into_iter().flatten().collect();
    if let ([only], true) = (own.as_mut_slice(), object.pose == ScenePose::default()) {
        std::mem::swap(*only, &mut object.pose);
    }
    for pose in own.into_iter().chain([&mut object.pose]) {
        if pose.orientation == [0.0; 4] {
            pose.orientation = ScenePose::default().orientation;
        }
    }
    change(object, operation)
}
