//! Changes of the cell at run time, as MoveIt publishes them.

use crate::error::CollisionError;
use crate::model::{CollisionModel, sorted};
use crate::obstacles::{AttachedObject, CollisionObject};
use crate::scene::SceneObject;
use nalgebra::Isometry3;
use std::collections::BTreeMap;

/// What is to be done with an object (the constants of moveit_msgs/CollisionObject).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operation {
    /// 0: adds the object, or replaces it.
    #[default]
    Add,
    /// 1: removes it; all objects where the id is empty.
    Remove,
    /// 2: adds shapes to it.
    Append,
    /// 3: only its pose changes: shapes that are given are ignored.
    Move,
}

impl Operation {
    /// From the number that a message carries.
    pub fn from_message(operation: u8) -> Option<Self> {
        [Self::Add, Self::Remove, Self::Append, Self::Move].get(usize::from(operation)).copied()
    }
}

/// A held object (moveit_msgs/AttachedCollisionObject).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneAttached {
    /// The link that it moves with.
    pub link_name: String,
    /// What it is. With [`Operation::Add`] and no shapes, the obstacle of this id is taken up where it stands.
    pub object: SceneObject,
    /// What is done: [`Operation::Move`] has no meaning here.
    pub operation: Operation,
    /// Links that it may touch.
    pub touch_links: Vec<String>,
}

/// Which names may touch (moveit_msgs/AllowedCollisionMatrix).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AllowedMatrix {
    /// Links and objects.
    pub entry_names: Vec<String>,
    /// One row a name, one value a name: whether the two may touch.
    pub entry_values: Vec<Vec<bool>>,
    /// Names for which something holds with every name that the matrix does not mention.
    pub default_entry_names: Vec<String>,
    /// What.
    pub default_entry_values: Vec<bool>,
}

/// A change of the scene: what moveit_msgs/PlanningScene carries of interest here. A node only converts the message's types.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SceneDiff {
    /// Without it the message describes the whole scene: obstacles and held objects that it does not mention are removed.
    pub is_diff: bool,
    /// `world.collision_objects` with their operations.
    pub objects: Vec<(SceneObject, Operation)>,
    /// `robot_state.attached_collision_objects`.
    pub attached: Vec<SceneAttached>,
    /// `robot_state.is_diff`.
    pub robot_state_is_diff: bool,
    /// `allowed_collision_matrix`; an empty one says nothing.
    pub allowed: AllowedMatrix,
}

impl SceneDiff {
    /// Applies the change, or nothing of it. `q` is the configuration that the scene holds for: what the robot picks up or puts down, and frames
    /// that move, are there at that moment.
    ///
    /// As MoveIt does it: what is attached disappears from the cell, what is detached returns to it where it is; the robot's state is
    /// applied before the world. To remove what does not exist is no error. A matrix replaces the one before; contacts declared in the options and in
    /// the file of obstacles and the pairs that the SRDF disables hold unless it names the pair, and links that one joint joins are never checked.
    ///
    /// # Errors
    /// What is wrong, with object and field; nothing has changed then.
    ///
    /// # Panics
    /// When `q` has another length than the model's joints.
    pub fn apply(&self, model: &mut CollisionModel, q: &[f64]) -> Result<(), CollisionError> {
        if !q.iter().all(|v| v.is_finite()) {
            let problem = "the joint positions must be finite".to_owned();
            return Err(CollisionError::Entry { place: "planning scene".to_owned(), problem });
        }
        let poses = model.poses(q);
        let matrix = self.allowed.check()?;
        model.change(|model| {
            let mut scene = Scene { poses: &poses, model };
            if !self.is_diff {
                scene.model.objects.clear();
            }
            if !self.is_diff && !self.robot_state_is_diff {
                scene.model.attached.clear();
            }
            for held in &self.attached {
                scene.apply_attached(held)?;
            }
            for (object, operation) in &self.objects {
                scene.apply_object(object, *operation)?;
            }
            if let Some((pairs, defaults)) = matrix {
                (scene.model.matrix, scene.model.matrix_defaults) = (pairs, defaults);
            }
            Ok(())
        })
    }
}

/// A model that is being changed, with the poses of its links at the moment.
struct Scene<'a> {
    poses: &'a [Isometry3<f64>],
    model: &'a mut CollisionModel,
}

impl Scene<'_> {
    fn pose(&self, what: &str, frame: &str) -> Result<Isometry3<f64>, CollisionError> {
        let link = self.link(what, frame)?;
        self.is_known(what, link, self.model.root)?;
        Ok(self.poses[link])
    }

    fn link(&self, what: &str, frame: &str) -> Result<usize, CollisionError> {
        let unknown = || CollisionError::Link { what: what.to_owned(), link: frame.to_owned() };
        self.model.frame(frame).ok_or_else(unknown)
    }

    /// Whether it is known how two links stand to each other.
    fn is_known(&self, what: &str, link: usize, other: usize) -> Result<(), CollisionError> {
        match self.model.unknown_between(link, other) {
            None => Ok(()),
            Some(joint) => Err(CollisionError::UnknownFrame {
                what: what.to_owned(),
                frame: self.model.link_name(link).to_owned(),
                joint: joint.to_owned(),
            }),
        }
    }

    fn apply_object(&mut self, given: &SceneObject, operation: Operation) -> Result<(), CollisionError> {
        let objects = &mut self.model.objects;
        if operation == Operation::Remove {
            objects.retain(|object| !given.id.is_empty() && object.id != given.id);
            return Ok(());
        }
        let mut object = given.check()?;
        // Where the frame is now: from here on the object stands.
        object.pose = self.pose(&format!("object '{}'", object.id), &object.frame_id)? * object.pose;
        object.frame_id.clear();
        let known = self.model.objects.iter().position(|known| known.id == object.id);
        let stands_in = known.and_then(|known| self.model.frame(&self.model.objects[known].frame_id));
        if let (Operation::Append, Some(link)) = (operation, stands_in) {
            self.is_known(&format!("object '{}'", object.id), link, self.model.root)?;
        }
        let known = known.map(|known| &mut self.model.objects[known]);
        match (operation, known) {
            (Operation::Move, Some(known)) => (known.pose, known.frame_id) = (object.pose, object.frame_id),
            (Operation::Move, None) => return Err(CollisionError::Object(object.id)),
            (Operation::Append, Some(known)) => {
                let link = stands_in.map(|link| self.poses[link]).unwrap_or_default();
                known.append(&object, &(link * known.pose).inv_mul(&object.pose));
            }
            (_, Some(known)) => *known = object,
            (_, None) => self.model.objects.push(object),
        }
        Ok(())
    }

    fn apply_attached(&mut self, held: &SceneAttached) -> Result<(), CollisionError> {
        let what = format!("attached object '{}'", held.object.id);
        match held.operation {
            Operation::Remove => self.put_down(held),
            Operation::Move => Err(CollisionError::Entry {
                place: format!("{what}: operation"),
                problem: "a held object cannot be moved; attach it again".to_owned(),
            }),
            Operation::Add | Operation::Append => self.take_up(held, &what),
        }
    }

    /// An empty id means all that the link holds, an empty link any.
    fn put_down(&mut self, held: &SceneAttached) -> Result<(), CollisionError> {
        let (id, link) = (&held.object.id, &held.link_name);
        let meant =
            |object: &AttachedObject| (id.is_empty() || object.id == *id) && (link.is_empty() || object.link == *link);
        let (down, kept) = std::mem::take(&mut self.model.attached).into_iter().partition(meant);
        self.model.attached = kept;
        for object in Vec::from_iter::<Vec<AttachedObject>>(down) {
            let pose = self.pose(&format!("attached object '{}'", object.id), &object.link)? * object.pose;
            let AttachedObject { id, shapes, meshes, .. } = object;
            self.model.objects.push(CollisionObject { id, pose, shapes, meshes, ..CollisionObject::default() });
        }
        Ok(())
    }

    fn take_up(&mut self, held: &SceneAttached, what: &str) -> Result<(), CollisionError> {
        let wrong = |field: &str, problem: &str| CollisionError::Entry {
            place: format!("{what}: {field}"),
            problem: problem.to_owned(),
        };
        let mut found = held.object.check()?;
        let standing = self.model.objects.iter().position(|object| object.id == found.id);
        let standing = standing.map(|place| self.model.objects.remove(place));
        if found.shapes.is_empty() && found.meshes.is_empty() && found.planes.is_empty() {
            found = standing.ok_or_else(|| wrong("object", "it has no shapes, and there is no obstacle to take up"))?;
        }
        if !found.planes.is_empty() {
            return Err(wrong("planes", "a held object has an end; give primitives or meshes"));
        }
        let (holder, frame) = (self.link(what, &held.link_name)?, self.link(what, &found.frame_id)?);
        self.is_known(what, holder, frame)?;
        let link = self.poses[holder];
        found.pose = link.inv_mul(&(self.poses[frame] * found.pose));
        let before = self.model.attached.iter().position(|object| object.id == found.id);
        let before = before.map(|place| self.model.attached.remove(place));
        let mut touch_links = held.touch_links.clone();
        if let (Operation::Append, Some(before)) = (held.operation, before) {
            let was = self.link(what, &before.link)?;
            self.is_known(what, holder, was)?;
            let was = link.inv_mul(&(self.poses[was] * before.pose));
            let AttachedObject { shapes, meshes, touch_links: touched, .. } = before;
            let old = CollisionObject { shapes, meshes, ..CollisionObject::default() };
            found.append(&old, &found.pose.inv_mul(&was));
            touch_links.extend(touched);
        }
        let CollisionObject { id, pose, shapes, meshes, .. } = found;
        let link = held.link_name.clone();
        self.model.attached.push(AttachedObject { link, id, pose, shapes, meshes, touch_links });
        Ok(())
    }
}

type Matrix = (BTreeMap<(String, String), bool>, BTreeMap<String, bool>);

impl AllowedMatrix {
    fn check(&self) -> Result<Option<Matrix>, CollisionError> {
        let wrong = |problem: String| CollisionError::Entry { place: "allowed_collision_matrix".to_owned(), problem };
        let count = self.entry_names.len();
        if self.entry_values.len() != count {
            return Err(wrong(format!("{count} names have {} rows; give one each", self.entry_values.len())));
        }
        if self.default_entry_names.len() != self.default_entry_values.len() {
            let (names, values) = (self.default_entry_names.len(), self.default_entry_values.len());
            return Err(wrong(format!("{names} default names have {values} values; give one each")));
        }
        let mut pairs = BTreeMap::new();
        for (i, (name, row)) in self.entry_names.iter().zip(&self.entry_values).enumerate() {
            if row.len() != count {
                return Err(wrong(format!("the row of '{name}' has {} values, not {count}", row.len())));
            }
            for (j, other) in self.entry_names.iter().enumerate().take(i) {
                if row[j] != self.entry_values[j][i] {
                    return Err(wrong(format!("'{name}' and '{other}' may touch in one order and not in the other")));
                }
                pairs.insert(sorted(name, other), row[j]);
            }
        }
        let defaults = self.default_entry_names.iter().cloned().zip(self.default_entry_values.iter().copied());
        let defaults: BTreeMap<String, bool> = defaults.collect();
        Ok((!pairs.is_empty() || !defaults.is_empty()).then_some((pairs, defaults)))
    }
}
