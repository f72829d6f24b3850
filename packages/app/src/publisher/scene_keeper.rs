//! What stands around the robot according to the planning scenes that came, and what of it is not known.

use crate::publisher::planning_scene::{Change, FixedFrame, PlanningScene, Unknown};
use crate::reasons::{self, wrong};
use efm_collision::{AllowedMatrix, CollisionError, CollisionModel, Operation, SceneDiff, SceneObject, ScenePose};
use efm_core::Reason;
use efm_core::reading::beginning;
use efm_wire::Decode;
use nalgebra::Isometry3;
use std::collections::BTreeMap;

/// Messages since the last whole scene that are kept, to be told again after a new robot description; and their bytes.
const KEPT: usize = 1000;
const KEPT_BYTES: usize = 64 << 20;
/// Shapes around and on the robot: each of them costs time in every tick, half a millisecond a thousand.
const MOST_SHAPES: usize = 2000;
/// Changes of one message: where one of them cannot be made, they are made one by one.
const MOST_CHANGES: usize = 5000;
/// Frames that are known, and names of an allowed collision matrix, which has an entry for each two of them.
const MOST_FRAMES: usize = 1000;
const MOST_ALLOWED: usize = 500;
/// Troubles that are told apart.
const MOST_TROUBLES: usize = 1000;
/// Characters of a reason: names and numbers in it come from elsewhere.
const LONGEST_REASON: usize = 300;
/// Frames in frames in frames: more is a circle.
const DEEPEST: usize = 8;

/// What a failed change concerns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Concern {
    /// Messages that were not understood or are lost. Only a whole scene mends that.
    Message,
    /// The allowed collision matrix.
    Matrix,
    Object(String),
}

#[derive(Debug, Clone)]
struct Trouble {
    unknown: Unknown,
    reason: Reason,
}

/// A message.
#[derive(Debug)]
struct Kept {
    bytes: Vec<u8>,
    /// Where the joints were when it came, and the other joints.
    positions: Vec<f64>,
    others: Vec<Option<f64>>,
}

/// How it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneStatus {
    /// What is not known, where something is: motion has to wait.
    pub trouble: Option<Reason>,
    /// The scene holds an octomap, which is not checked.
    pub octomap: bool,
    /// The scene pads or scales links, which is not done.
    pub padded: bool,
}

/// Follows planning scenes, message by message.
///
/// A message is taken change by change as far as possible: what cannot be placed or understood is remembered by the object's name, and
/// [`SceneStatus::trouble`] tells it until the object is removed, is given anew, or a whole scene comes. The obstacles and held objects of the
/// file are the cell's own: a whole scene, or the removal of all objects, leaves them; changing or removing one by its name works.
#[derive(Debug, Default)]
pub struct SceneKeeper {
    /// With what the files say and nothing else.
    base: Option<CollisionModel>,
    model: Option<CollisionModel>,
    frames: BTreeMap<String, FixedFrame>,
    trouble: BTreeMap<Concern, Trouble>,
    octomap: bool,
    padded: bool,
    /// Messages since the last whole scene.
    kept: Vec<Kept>,
    kept_bytes: usize,
    forgotten: bool,
}

impl SceneKeeper {
    /// A robot was described: `base` knows it and what the files say of its cell. The scenes that came before hold for it too.
    pub fn robot(&mut self, base: CollisionModel) {
        self.model = Some(base.clone());
        self.base = Some(base);
        self.trouble.clear();
        self.frames.clear();
        if self.forgotten {
            self.lost("planning scenes came before this robot description and are not kept any more".to_owned());
        }
        let kept = std::mem::take(&mut self.kept);
        self.kept_bytes = 0;
        for Kept { bytes, positions, others } in kept {
            self.scene(bytes, positions, others);
        }
    }

    /// A message came while the joints, in the order of the model, stood at these positions, and its other joints at those (None: not known).
    pub fn scene(&mut self, bytes: Vec<u8>, positions: Vec<f64>, others: Vec<Option<f64>>) {
        match PlanningScene::from_cdr(&bytes) {
            Ok(scene) => {
                if !scene.is_diff {
                    self.kept.clear();
                    (self.kept_bytes, self.forgotten) = (0, false);
                }
                self.take(&scene, &positions, &others);
            }
            Err(error) => self.lost(error.to_string()),
        }
        self.kept_bytes += bytes.len();
        self.kept.push(Kept { bytes, positions, others });
        if self.kept.len() > KEPT || self.kept_bytes > KEPT_BYTES {
            self.kept = Vec::new();
            (self.kept_bytes, self.forgotten) = (0, true);
        }
    }

    /// Messages are lost, and why: nobody knows what they held.
    pub fn lost(&mut self, why: String) {
        let why = beginning(&why, LONGEST_REASON);
        let reason = wrong(reasons::SCENE_UNREADABLE, why, "a whole scene (is_diff: false) ends this");
        self.trouble.insert(Concern::Message, Trouble { unknown: Unknown::Shape, reason });
    }

    /// The robot and its surroundings as they are known now; `None` before a robot is.
    pub fn model(&self) -> Option<&CollisionModel> {
        self.model.as_ref()
    }

    /// How it stands.
    pub fn status(&self) -> SceneStatus {
        let trouble = self.trouble.values().next().map(|first| {
            let more = match self.trouble.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more)"),
            };
            let text = format!("the planning scene cannot be followed: {}{more}", first.reason.text);
            Reason { text: text.into(), ..first.reason.clone() }
        });
        SceneStatus { trouble, octomap: self.octomap, padded: self.padded }
    }

    fn take(&mut self, scene: &PlanningScene, positions: &[f64], others: &[Option<f64>]) {
        let (Some(base), Some(model)) = (&self.base, &self.model) else { return };
        if positions.len() != model.joints().len() || !positions.iter().all(|q| q.is_finite()) {
            let problem = format!("the joint positions {positions:?} are not those of {} joints", model.joints().len());
            return self.lost(problem);
        }
        if let Some(problem) = self.too_much(scene, model) {
            return self.lost(problem);
        }
        let mut next = if scene.is_diff || scene.robot_state_is_diff { model.clone() } else { base.clone() };
        // Of another robot's joints nothing is known here.
        let unknown = vec![None; next.others().len()];
        next.place_others(if others.len() == unknown.len() { others } else { &unknown });
        if !scene.is_diff {
            self.trouble.clear();
            self.frames.clear();
            (self.octomap, self.padded) = (false, false);
            if scene.robot_state_is_diff {
                let empty = SceneDiff { is_diff: false, robot_state_is_diff: true, ..SceneDiff::default() };
                // Leaves out only, so it cannot fail.
                let _ = empty.apply(&mut next, positions);
                put_back(base, &mut next);
            }
        }
        self.octomap |= scene.octomap;
        self.padded |= scene.padded;
        self.frames.extend(scene.frames.iter().map(|frame| (frame.name.clone(), frame.clone())));
        let changes: Vec<Change> = scene.changes.iter().map(|change| placed(change, &self.frames, &next)).collect();

        let together = diff(changes.iter(), scene.allowed.clone());
        let at_once = !changes.iter().any(clears) && together.apply(&mut next, positions).is_ok();
        let mut outcomes = Vec::new();
        if at_once {
            outcomes.resize_with(changes.len(), || Ok(()));
        } else {
            make(&changes, base, &mut next, positions, &mut outcomes);
        }
        for (change, done) in changes.iter().zip(outcomes) {
            match (done, change) {
                (_, Change::Unclear { id, unknown, reason }) => note(&mut self.trouble, id, *unknown, reason.clone()),
                (Ok(()), _) => mend(&mut self.trouble, change),
                (Err(error), _) => {
                    let (id, unknown) = match change {
                        Change::Object(object, Operation::Move) => (&object.id, Unknown::Place),
                        Change::Object(object, _) => (&object.id, Unknown::Shape),
                        Change::Held(held) => (&held.object.id, Unknown::Held),
                        Change::Unclear { id, unknown, .. } => (id, *unknown),
                    };
                    note(&mut self.trouble, id, unknown, unclear(error.to_string()));
                }
            }
        }
        if scene.allowed != AllowedMatrix::default() {
            let done = if at_once {
                Ok(())
            } else {
                diff(std::iter::empty(), scene.allowed.clone()).apply(&mut next, positions)
            };
            match done {
                Ok(()) => drop(self.trouble.remove(&Concern::Matrix)),
                Err(error) => {
                    let why = beginning(&error.to_string(), LONGEST_REASON);
                    let trouble = Trouble { unknown: Unknown::Shape, reason: unclear(why) };
                    self.trouble.insert(Concern::Matrix, trouble);
                }
            }
        }
        self.model = Some(next);
    }
}

/// Whether a change removes all obstacles.
fn clears(change: &Change) -> bool {
    matches!(change, Change::Object(object, Operation::Remove) if object.id.is_empty())
}

/// Makes changes in their order, and says of each what came of it. Where one cannot be made the others are: those before it and those behind it are made
/// together, as each making takes the time of the whole scene.
fn make(
    changes: &[Change],
    base: &CollisionModel,
    model: &mut CollisionModel,
    positions: &[f64],
    outcomes: &mut Vec<Result<(), CollisionError>>,
) {
    let done = match changes {
        [] => return,
        [Change::Unclear { .. }] => Ok(()),
        [one] => {
            let done = diff(std::iter::once(one), AllowedMatrix::default()).apply(model, positions);
            if clears(one) {
                put_back(base, model);
            }
            done
        }
        some => {
            let together = || diff(some.iter(), AllowedMatrix::default());
            if some.iter().any(clears) || together().apply(model, positions).is_err() {
                let (first, second) = some.split_at(some.len() / 2);
                make(first, base, model, positions, outcomes);
                return make(second, base, model, positions, outcomes);
            }
            return outcomes.resize_with(outcomes.len() + some.len(), || Ok(()));
        }
    };
    outcomes.push(done);
}

/// Shapes that an object has; one without any is one all the same.
fn shapes(object: &SceneObject) -> usize {
    (object.primitives.len() + object.meshes.len() + object.planes.len()).max(1)
}

impl SceneKeeper {
    /// What of a message is more than can be followed, in words. Nothing of it is taken then: what is there and not checked is told and not left out.
    fn too_much(&self, scene: &PlanningScene, model: &CollisionModel) -> Option<String> {
        let told = |change: &Change| match change {
            Change::Held(held) => shapes(&held.object),
            Change::Object(_, Operation::Remove | Operation::Move) | Change::Unclear { .. } => 0,
            Change::Object(object, _) => shapes(object),
        };
        let (known, frames) = if scene.is_diff {
            let standing =
                model.obstacles().iter().map(|object| object.shapes.len() + object.meshes.len() + object.planes.len());
            let held = model.attached().iter().map(|object| object.shapes.len() + object.meshes.len());
            (standing.chain(held).map(|shapes| shapes.max(1)).sum(), self.frames.len())
        } else {
            (0, 0)
        };
        let new = scene.changes.iter().map(told).sum::<usize>();
        [
            ("changes of objects", scene.changes.len(), MOST_CHANGES),
            ("shapes", known + new, MOST_SHAPES),
            ("fixed_frame_transforms", frames + scene.frames.len(), MOST_FRAMES),
            ("names in its allowed_collision_matrix", scene.allowed.entry_names.len(), MOST_ALLOWED),
            ("default names in its allowed_collision_matrix", scene.allowed.default_entry_names.len(), MOST_FRAMES),
        ]
        .into_iter()
        .find(|(_, found, most)| found > most)
        .map(|(what, found, most)| format!("the planning scene has {found} {what}; at most {most} are followed"))
    }
}

/// Obstacles of the file that are not there any more stand there again.
fn put_back(base: &CollisionModel, model: &mut CollisionModel) {
    for object in base.obstacles() {
        let there = model.obstacles().iter().any(|known| known.id == object.id)
            || model.attached().iter().any(|known| known.id == object.id);
        if !there {
            // It stood there before; were its name taken by now, something of that name stands there.
            let _ = model.set_obstacle(object.clone());
        }
    }
}

/// What cannot be placed or understood.
fn unclear(what: String) -> Reason {
    /// Characters: of an object with many mistakes the first few.
    const MOST: usize = 400;
    let what = if what.chars().count() > MOST { beginning(&what, MOST) } else { what };
    wrong(reasons::SCENE_UNCLEAR, what, "")
}

fn diff<'a>(changes: impl Iterator<Item = &'a Change>, allowed: AllowedMatrix) -> SceneDiff {
    let mut diff = SceneDiff { is_diff: true, robot_state_is_diff: true, allowed, ..SceneDiff::default() };
    for change in changes {
        match change {
            Change::Held(held) => diff.attached.push(held.clone()),
            Change::Object(object, operation) => diff.objects.push((object.clone(), *operation)),
            Change::Unclear { .. } => {}
        }
    }
    diff
}

/// The change in frames that the model knows.
fn placed(change: &Change, frames: &BTreeMap<String, FixedFrame>, model: &CollisionModel) -> Change {
    let mut change = change.clone();
    let (object, unknown) = match &mut change {
        Change::Object(_, Operation::Remove) | Change::Unclear { .. } => return change,
        Change::Object(object, Operation::Move) => (object, Unknown::Place),
        Change::Object(object, _) => (object, Unknown::Shape),
        Change::Held(held) => (&mut held.object, Unknown::Held),
    };
    match in_known_frame(object, frames, model) {
        Ok(()) => change,
        Err(problem) => {
            let id = object.id.clone();
            Change::Unclear { reason: problem.of(format!("object '{id}': ")), id, unknown }
        }
    }
}

fn in_known_frame(
    object: &mut SceneObject,
    frames: &BTreeMap<String, FixedFrame>,
    model: &CollisionModel,
) -> Result<(), Reason> {
    let given = object.frame_id.clone();
    for _ in 0..DEEPEST {
        if model.has_frame(&object.frame_id) {
            return Ok(());
        }
        let Some(frame) = frames.get(&object.frame_id) else { break };
        let at =
            frame.pose.isometry().map_err(|e| unclear(format!("fixed_frame_transforms of '{}': {e}", frame.name)))?;
        let pose: Isometry3<f64> = at * object.pose.isometry().map_err(|e| unclear(format!("pose: {e}")))?;
        let (p, q) = (pose.translation.vector, pose.rotation.coords);
        object.pose = ScenePose { position: [p.x, p.y, p.z], orientation: [q.x, q.y, q.z, q.w] };
        object.frame_id.clone_from(&frame.parent);
    }
    let text = format!(
        "frame '{given}' is neither the robot's root ('world') nor a link of it, and no fixed_frame_transforms leads from there to '{given}'"
    );
    Err(wrong(reasons::SCENE_UNCLEAR, text, "publish it in one of these frames"))
}

fn note(troubles: &mut BTreeMap<Concern, Trouble>, id: &str, unknown: Unknown, reason: Reason) {
    let mut concern = Concern::Object(id.to_owned());
    let reason = Reason { text: beginning(&reason.text, LONGEST_REASON).into(), ..reason };
    if troubles.len() >= MOST_TROUBLES && !troubles.contains_key(&concern) {
        // Which they are is not known any more, so only a whole scene mends it.
        concern = Concern::Message;
    }
    match troubles.get_mut(&concern) {
        // Where something is matters less than what it is.
        Some(before) if unknown == Unknown::Place => before.reason = reason,
        _ => drop(troubles.insert(concern, Trouble { unknown, reason })),
    }
}

/// A change was made: what is known by it?
fn mend(troubles: &mut BTreeMap<Concern, Trouble>, change: &Change) {
    let mut forget = |id: &str, which: &dyn Fn(Unknown) -> bool| {
        troubles.retain(|concern, trouble| match concern {
            Concern::Object(other) => !((id.is_empty() || id == other) && which(trouble.unknown)),
            _ => true,
        });
    };
    match change {
        Change::Object(object, Operation::Add) => forget(&object.id, &|unknown| unknown != Unknown::Held),
        Change::Object(object, Operation::Remove) => forget(&object.id, &|unknown| unknown != Unknown::Held),
        Change::Object(object, Operation::Move) => forget(&object.id, &|unknown| unknown == Unknown::Place),
        Change::Held(held) if held.operation == Operation::Add => forget(&held.object.id, &|_| true),
        // What is put down stands around somewhere from now on, as unknown as it was.
        Change::Held(held) if held.operation == Operation::Remove => {
            if let Some(trouble) = troubles.get_mut(&Concern::Object(held.object.id.clone()))
                && trouble.unknown == Unknown::Held
            {
                trouble.unknown = Unknown::Shape;
            }
        }
        Change::Object(..) | Change::Held(_) | Change::Unclear { .. } => {}
    }
}
