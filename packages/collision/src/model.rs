//! The geometry that is checked: all bodies of robot and cell, and which of them may not come close.

use crate::body::{Body, Kind, Placed, Seen};
use crate::convex::{ConvexPart, Cutting, Fit};
use crate::distance::{Gap, gap};
use crate::error::{CollisionError, kept};
use crate::kinematics::Axes;
use crate::mesh::{Hull, Making, MeshFiles, MeshStore};
use crate::obstacles::{AttachedObject, CollisionObject, Obstacles, PointMesh};
use efm_core::JointNames;
use efm_robot::{Primitive, RobotModel, Shape, Srdf, TreeKinematics};
use nalgebra::{Isometry3, Translation3, Vector3};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// How close things may come, and what may touch.
#[derive(Debug, Clone)]
pub struct CollisionOptions {
    /// The least distance that is kept (d_min), metres, 0 or more.
    pub clearance: f64,
    /// Added to every body of the robot and to what it holds, metres, 0 or more.
    pub padding: f64,
    /// Declared contacts: two names of links, obstacles or held objects, in either order, which are not checked against each other. A name that
    /// does not exist (yet) is kept for when it does: see [`CollisionModel::unknown_names`].
    pub allowed: Vec<(String, String)>,
    /// Play for pairs at their limit, metres: at the configurations that are shown they keep this much more than what they keep at every moment. What a
    /// step cannot be known to keep for lack of knowledge of the path has to be less: see [`crate::Checker::begin`].
    pub slack: f64,
    /// A step is not halved further when its motion is known to be smaller than this, metres: what is refused is closer than this to being
    /// too close.
    pub resolution: f64,
    /// Most halvings in one sweep; beyond, a step that needs one is refused. Bounds the time: a halving costs about as much as a step.
    pub max_splits: usize,
    /// A convex part of a mesh is checked as the hull of some of its points, inflated so that it contains all; by at most about this much, metres.
    pub mesh_tolerance: f64,
    /// The mesh of a file is checked as so many convex parts at most, where it is not convex; 1: always as its whole hull. (A mesh that comes as
    /// vertices, in a planning scene, always is: cutting takes longer than a scene may.)
    pub mesh_parts: usize,
    /// Folder where the convex parts of meshes are kept, by what is in the mesh; none: they are cut anew each time.
    pub mesh_cache: Option<PathBuf>,
    /// Where meshes are found.
    pub mesh_files: MeshFiles,
}

impl Default for CollisionOptions {
    fn default() -> Self {
        Self {
            clearance: 0.01,
            padding: 0.0,
            allowed: Vec::new(),
            slack: 2.5e-4,
            resolution: 5e-4,
            max_splits: 128,
            mesh_tolerance: 3e-4,
            mesh_parts: 12,
            mesh_cache: None,
            mesh_files: MeshFiles::default(),
        }
    }
}

impl CollisionOptions {
    fn making(&self) -> Making<'_> {
        let cutting = Cutting { tolerance: self.mesh_tolerance, parts: self.mesh_parts };
        Making { files: &self.mesh_files, cutting, cache: self.mesh_cache.as_deref() }
    }

    fn check(&self) -> Result<(), CollisionError> {
        for (name, value, above_zero) in [
            ("clearance", self.clearance, false),
            ("padding", self.padding, false),
            ("slack", self.slack, false),
            ("resolution", self.resolution, true),
            ("mesh_tolerance", self.mesh_tolerance, true),
        ] {
            if !value.is_finite() || value < 0.0 || above_zero && value == 0.0 {
                let wanted = if above_zero { "above 0, in metres" } else { "0 or more, in metres" };
                return Err(CollisionError::Option { name, value, wanted });
            }
        }
        Ok(())
    }
}

/// A mesh that is longer than this is likely not drawn in metres.
const LIKELY_MILLIMETRES: f64 = 15.0;

/// Something with a name that has bodies.
#[derive(Debug, Clone)]
enum Owner {
    Link(usize),
    Attached { touch: Vec<String> },
    Obstacle,
}

/// Two bodies that are kept apart.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub a: usize,
    pub b: usize,
    /// How many axes of the chains of `a` and `b`, nearest first, move them relative to each other.
    pub axes_a: usize,
    pub axes_b: usize,
    /// The link in whose frame only these axes move them.
    pub base: usize,
    /// Whether other joints, too, move them relative to each other.
    pub others: bool,
}

/// Pairs that follow each other and belong to the same two links, obstacles or held objects.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub pairs: std::ops::Range<usize>,
    /// Whose bodies they are: places among the names.
    pub owners: (usize, usize),
}

/// One axis of the chain of a body, nearest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChainLink {
    pub axis: usize,
    /// In every configuration within the limits of sliding joints; 1 for a sliding axis.
    pub lever: f64,
}

/// The bodies of a robot and of its cell, and the pairs of them that are kept apart. Built once; changes (a held object, the cell) allocate
/// and take about as long as building it.
///
/// Checked are all pairs of bodies of links that move relative to each other, what is held and what stands in the cell included, except
/// * links that one joint joins (links welded by fixed joints count as one),
/// * pairs that the SRDF disables,
/// * declared contacts ([`CollisionOptions::allowed`], `allowed_collisions` of a file of obstacles, the allowed collision matrix of a scene), and
///   a held object with its `touch_links`.
#[derive(Debug, Clone)]
pub struct CollisionModel {
    pub(crate) options: CollisionOptions,
    pub(crate) tree: TreeKinematics,
    pub(crate) axes: Axes,
    pub(crate) root: usize,
    joints: JointNames,
    link_names: Vec<String>,
    /// Collision shapes by link.
    shapes: Vec<Vec<Primitive>>,
    disabled: BTreeSet<(String, String)>,
    /// Pairs that are checked although `unchecked` or a joint between them speaks against it (`enable_collisions` of the SRDF).
    enabled: BTreeSet<(String, String)>,
    /// Links that nothing is checked against (`disable_default_collisions` of the SRDF), as MoveIt 2 has it: a default, so the scene's word goes before it.
    unchecked: BTreeSet<String>,
    /// What is likely a mistake.
    notes: BTreeSet<String>,
    /// Contacts declared in the options and the file of obstacles.
    declared: BTreeSet<(String, String)>,
    /// The scene's word on two names, and on all pairs of one name.
    pub(crate) matrix: BTreeMap<(String, String), bool>,
    pub(crate) matrix_defaults: BTreeMap<String, bool>,
    pub(crate) objects: Vec<CollisionObject>,
    pub(crate) attached: Vec<AttachedObject>,
    meshes: MeshStore,
    // What follows from the above.
    names: Vec<String>,
    /// By body: whose it is.
    pub(crate) owners: Vec<usize>,
    pub(crate) bodies: Vec<Body>,
    /// The first so many bodies move; the others stand where `standing` says, of which the first `carried` move with other joints.
    pub(crate) moving: usize,
    pub(crate) carried: usize,
    pub(crate) standing: Vec<Placed>,
    pub(crate) points: Vec<Vector3<f64>>,
    /// Chains of the moving bodies, one after the other: body i has those from `chain_starts[i]` to `chain_starts[i + 1]`.
    pub(crate) chains: Vec<ChainLink>,
    pub(crate) chain_starts: Vec<usize>,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) runs: Vec<Run>,
    /// By other joint: whether a pair depends on it, and whether it carries a body of one.
    asked: Vec<bool>,
    carries: Vec<bool>,
    /// By other joint: whether it is known where it stands.
    known: Vec<bool>,
    /// Poses of all links, the given positions being 0.
    poses_at_zero: Vec<Isometry3<f64>>,
    zeros: Vec<f64>,
    /// No two states of any model share one.
    pub(crate) revision: u64,
    /// Changes with the revision, and when other joints move.
    pub(crate) placing: u64,
}

fn next_revision() -> u64 {
    static REVISION: AtomicU64 = AtomicU64::new(1);
    REVISION.fetch_add(1, Ordering::Relaxed)
}

fn stand(body: &Body, pose: &Isometry3<f64>, placed: &mut Placed) {
    body.place(pose.rotation.to_rotation_matrix().matrix(), &pose.translation.vector, placed);
}

pub(crate) fn sorted(a: &str, b: &str) -> (String, String) {
    if a <= b { (a.to_owned(), b.to_owned()) } else { (b.to_owned(), a.to_owned()) }
}

impl CollisionModel {
    /// Collects the bodies and pairs. `joints` is the order of all positions that are given later; a joint of the robot that it lacks is one of
    /// [`CollisionModel::others`], which stand at 0 (moved into their limits) until [`CollisionModel::place_others`] says where.
    ///
    /// # Errors
    /// An option out of its range, a joint or link that does not exist, an obstacle in a moving frame, or a mesh that cannot be read: what is
    /// wrong is named.
    pub fn new(
        model: &RobotModel,
        srdf: Option<&Srdf>,
        joints: &JointNames,
        obstacles: &Obstacles,
        options: &CollisionOptions,
    ) -> Result<Self, CollisionError> {
        options.check()?;
        let mut disabled = BTreeSet::new();
        for pair in srdf.map(Srdf::disabled_pairs).unwrap_or_default() {
            disabled.insert(sorted(&pair.link1, &pair.link2));
        }
        let tree = TreeKinematics::new(model, joints).map_err(CollisionError::Joint)?;
        let others = tree.others().len();
        let declared = options.allowed.iter().chain(&obstacles.allowed);
        let mut this = Self {
            options: options.clone(),
            poses_at_zero: vec![Isometry3::identity(); tree.links()],
            zeros: vec![0.0; joints.len()],
            tree,
            axes: Axes::new(model, joints),
            root: model.link_index(&model.root().name).unwrap_or_default(),
            joints: joints.clone(),
            link_names: model.links().iter().map(|link| link.name.clone()).collect(),
            shapes: model.links().iter().map(|link| link.collisions.clone()).collect(),
            disabled,
            enabled: srdf
                .map(Srdf::enabled_pairs)
                .unwrap_or_default()
                .iter()
                .map(|p| sorted(&p.link1, &p.link2))
                .collect(),
            unchecked: srdf.map(Srdf::unchecked_links).unwrap_or_default().iter().cloned().collect(),
            notes: BTreeSet::new(),
            declared: declared.map(|(a, b)| sorted(a, b)).collect(),
            matrix: BTreeMap::new(),
            matrix_defaults: BTreeMap::new(),
            objects: Vec::new(),
            attached: Vec::new(),
            meshes: MeshStore::default(),
            names: Vec::new(),
            owners: Vec::new(),
            bodies: Vec::new(),
            moving: 0,
            carried: 0,
            standing: Vec::new(),
            points: Vec::new(),
            chains: Vec::new(),
            chain_starts: Vec::new(),
            pairs: Vec::new(),
            runs: Vec::new(),
            asked: vec![false; others],
            carries: vec![false; others],
            known: vec![false; others],
            revision: 0,
            placing: 0,
        };
        this.objects.clone_from(&obstacles.objects);
        this.attached.clone_from(&obstacles.attached);
        this.rebuild()?;
        Ok(this)
    }

    /// The order of all positions.
    pub fn joints(&self) -> &JointNames {
        &self.joints
    }

    /// The joints of the robot that are not in [`CollisionModel::joints`] and have a position of their own, nearest to the root first
    /// ([`efm_robot::other_joints`]). They stand still within a motion, wherever [`CollisionModel::place_others`] puts them.
    pub fn others(&self) -> &[String] {
        self.tree.others()
    }

    /// Whether it depends on one of the others, by its place, how close something comes: with none that is asked for and not known is
    /// there an answer. May change with what stands around and what is held.
    ///
    /// # Panics
    /// When there is no such place among them.
    pub fn asks_for(&self, other: usize) -> bool {
        self.asked[other]
    }

    /// Whether it is known where one of the others stands.
    ///
    /// # Panics
    /// As [`CollisionModel::asks_for`].
    pub fn knows(&self, other: usize) -> bool {
        self.known[other]
    }

    /// Says where the others stand, radians or metres, in their order; `None` (and what is no finite number): that is not known, and it
    /// stays where it was. Allocates nothing. What moved by less than 1e-5 since it was placed last is left there. Where more than that moved a body
    /// that is checked, a sweep that has begun has to begin anew.
    ///
    /// # Panics
    /// When there is another number of positions than of [`CollisionModel::others`].
    pub fn place_others(&mut self, positions: &[Option<f64>]) {
        /// A hundredth of a millimetre at a lever of a metre: below what encoders and descriptions know.
        const SAME: f64 = 1e-5;
        assert_eq!(positions.len(), self.known.len(), "one position for each of the others");
        let mut moved = false;
        for (other, position) in positions.iter().enumerate() {
            let position = position.filter(|p| p.is_finite());
            self.known[other] = position.is_some();
            if let Some(position) = position
                && (position - self.tree.other(other)).abs() > SAME
            {
                self.tree.place_other(other, position);
                moved |= self.carries[other];
            }
        }
        if moved {
            self.place_carried();
            self.placing = next_revision();
        }
    }

    /// How closely the convex parts of each mesh file follow it, by the name that the description gives it.
    pub fn mesh_fits(&self) -> impl Iterator<Item = (&str, Fit)> {
        self.meshes.fits()
    }

    /// The convex parts of each mesh file, by the name and scale that the description gives it: what is checked in its place.
    pub fn convex_parts(&self) -> impl Iterator<Item = (&str, [f64; 3], Vec<ConvexPart<'_>>)> {
        self.meshes.all().map(|(name, scale, hulls)| {
            let parts = hulls.iter().map(|hull| ConvexPart {
                centre: hull.centre,
                points: &hull.points,
                inflation: hull.inflation,
            });
            (name, scale, parts.collect())
        })
    }

    /// How many pairs of bodies are checked.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Pairs of links with bodies that one joint joins, which are not checked.
    pub fn adjacent_links(&self) -> Vec<(String, String)> {
        let with_bodies: Vec<usize> = (0..self.shapes.len()).filter(|link| !self.shapes[*link].is_empty()).collect();
        let pairs = with_bodies.iter().enumerate().flat_map(|(i, a)| with_bodies[i + 1..].iter().map(|b| (*a, *b)));
        let moving =
            pairs.filter(|(a, b)| self.axes.of_link[*a] != self.axes.of_link[*b] && self.axes.adjacent(*a, *b));
        moving.map(|(a, b)| (self.link_names[a].clone(), self.link_names[b].clone())).collect()
    }

    /// How many links, held objects and obstacles have bodies or might.
    pub(crate) fn owners(&self) -> usize {
        self.names.len()
    }

    /// How many bodies there are, those of the cell included.
    pub fn bodies(&self) -> usize {
        self.bodies.len()
    }

    /// Links, held objects or obstacles that the bodies of a pair belong to. A number that is no pair's gives two empty names.
    pub fn pair_names(&self, pair: usize) -> (&str, &str) {
        let name = |body: usize| self.names[self.owners[body]].as_str();
        self.pairs.get(pair).map_or(("", ""), |pair| (name(pair.a), name(pair.b)))
    }

    /// What the model was built with.
    pub fn options(&self) -> &CollisionOptions {
        &self.options
    }

    /// The obstacles, in their order.
    pub fn obstacles(&self) -> &[CollisionObject] {
        &self.objects
    }

    /// What the robot holds, in the order in which it was attached.
    pub fn attached(&self) -> &[AttachedObject] {
        &self.attached
    }

    /// What is likely a mistake in the files, as a mesh in millimetres: a sentence each.
    pub fn notes(&self) -> impl Iterator<Item = &str> {
        self.notes.iter().map(String::as_str)
    }

    /// Names in declared contacts that are neither a link nor an object at present: a misspelt one allows nothing.
    pub fn unknown_names(&self) -> Vec<&str> {
        let known = |name: &str| self.link(name).is_some() || self.names.iter().any(|n| n == name);
        let named = self.declared.iter().flat_map(|(a, b)| [a.as_str(), b.as_str()]);
        let named: BTreeSet<&str> = named.filter(|name| !known(name)).collect();
        named.into_iter().collect()
    }

    /// Joins an object to the robot's geometry, fixed to a link: it may touch `touch_links`, and is checked against everything else that moves
    /// relative to it. Shapes are in the link's frame. An obstacle of the same id is removed, a held object of that id replaced.
    ///
    /// # Errors
    /// A link that does not exist, no shapes, or a shape that cannot be used. The model is then unchanged.
    pub fn attach(
        &mut self,
        link: &str,
        id: &str,
        shapes: &[Primitive],
        touch_links: &[String],
    ) -> Result<(), CollisionError> {
        let object = AttachedObject {
            link: link.to_owned(),
            id: id.to_owned(),
            pose: Isometry3::identity(),
            shapes: shapes.to_vec(),
            meshes: Vec::new(),
            touch_links: touch_links.to_vec(),
        };
        self.change(|this| {
            this.objects.retain(|obstacle| obstacle.id != object.id);
            this.attached.retain(|held| held.id != object.id);
            this.attached.push(object);
            Ok(())
        })
    }

    /// Removes a held object from the robot's geometry; it does not become an obstacle. Whether there was one.
    pub fn detach(&mut self, id: &str) -> bool {
        let held = self.attached.iter().any(|object| object.id == id);
        // Removing cannot fail: what is left was accepted before.
        let remove = |this: &mut Self| {
            this.attached.retain(|object| object.id != id);
            Ok(())
        };
        held && self.change(remove).is_ok()
    }

    /// Adds an obstacle, or replaces the one of the same id.
    ///
    /// # Errors
    /// Its frame does not exist or moves, it has no shapes, or one that cannot be used. The model is then unchanged.
    pub fn set_obstacle(&mut self, object: CollisionObject) -> Result<(), CollisionError> {
        self.change(|this| {
            match this.objects.iter_mut().find(|known| known.id == object.id) {
                Some(known) => *known = object,
                None => this.objects.push(object),
            }
            Ok(())
        })
    }

    /// Removes an obstacle. Whether there was one.
    pub fn remove_obstacle(&mut self, id: &str) -> bool {
        let there = self.objects.iter().any(|object| object.id == id);
        let remove = |this: &mut Self| {
            this.objects.retain(|object| object.id != id);
            Ok(())
        };
        there && self.change(remove).is_ok()
    }

    /// Exchanges all obstacles at once. Held objects stay; declared contacts of `obstacles` come on top.
    ///
    /// # Errors
    /// As [`CollisionModel::set_obstacle`]. The model is then unchanged.
    pub fn replace_obstacles(&mut self, obstacles: &Obstacles) -> Result<(), CollisionError> {
        self.change(|this| {
            this.objects.clone_from(&obstacles.objects);
            this.declared.extend(obstacles.allowed.iter().map(|(a, b)| sorted(a, b)));
            Ok(())
        })
    }

    /// Changes what the rest follows from; all or nothing.
    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&mut Self) -> Result<(), CollisionError>,
    ) -> Result<(), CollisionError> {
        let mut changed = self.clone();
        change(&mut changed)?;
        changed.rebuild()?;
        *self = changed;
        Ok(())
    }

    /// Whether objects can be placed in this frame: the root (also "" and "world") or a link.
    pub fn has_frame(&self, name: &str) -> bool {
        self.frame(name).is_some()
    }

    pub(crate) fn link(&self, name: &str) -> Option<usize> {
        self.link_names.iter().position(|link| link == name)
    }

    pub(crate) fn link_name(&self, link: usize) -> &str {
        &self.link_names[link]
    }

    /// The link that a frame means: a link's name, or the root by "" or "world".
    pub(crate) fn frame(&self, name: &str) -> Option<usize> {
        self.link(name).or((name.is_empty() || name == "world").then_some(self.root))
    }

    /// Poses of all links. Allocates.
    pub(crate) fn poses(&self, q: &[f64]) -> Vec<Isometry3<f64>> {
        let mut poses = vec![Isometry3::identity(); self.tree.links()];
        self.tree.link_poses(q, &mut poses);
        poses
    }

    /// One of the others on which it depends how two links stand to each other, and of which nobody knows where it stands.
    pub(crate) fn unknown_between(&self, a: usize, b: usize) -> Option<&str> {
        let unknown = self.axes.others_between(a, b).find(|other| !self.known[*other])?;
        Some(self.others()[unknown].as_str())
    }

    fn rebuild(&mut self) -> Result<(), CollisionError> {
        let mut parts = Vec::new();
        let mut kinds = Vec::new();
        let mut wrong = Vec::new();
        self.names.clear();
        self.points.clear();
        let (padding, mut names) = (self.options.padding, Vec::new());
        let before = self.meshes.renew();
        let of_links = self.shapes.iter().flatten();
        let of_objects = self.objects.iter().flat_map(|object| &object.shapes);
        let held = self.attached.iter().flat_map(|object| &object.shapes);
        let files = of_links.chain(of_objects).chain(held).filter_map(|shape| match &shape.shape {
            Shape::Mesh { filename, scale } => Some((filename.as_str(), scale)),
            _ => None,
        });
        self.meshes.prepare(files, &self.options.making());
        for link in 0..self.shapes.len() {
            let owner = format!("link '{}'", self.link_names[link]);
            for shape in self.shapes[link].clone() {
                let added = self.add(&mut parts, names.len(), &owner, (link, &Isometry3::identity()), &shape, padding);
                kept(added, &mut wrong);
            }
            names.push(self.link_names[link].clone());
            kinds.push(Owner::Link(link));
        }
        for object in self.attached.clone() {
            let what = format!("held object '{}'", object.id);
            let missing = |link: &str| CollisionError::Link { what: what.clone(), link: link.to_owned() };
            if object.shapes.is_empty() && object.meshes.is_empty() {
                let problem = "it has no shape; give at least one".to_owned();
                wrong.push(CollisionError::Shape { owner: what.clone(), problem });
            }
            wrong.extend(object.touch_links.iter().filter(|link| self.link(link).is_none()).map(|link| missing(link)));
            let Some(link) = self.link(&object.link) else {
                wrong.push(missing(&object.link));
                continue;
            };
            for shape in &object.shapes {
                kept(self.add(&mut parts, names.len(), &what, (link, &object.pose), shape, padding), &mut wrong);
            }
            for mesh in &object.meshes {
                parts.push((names.len(), self.point_mesh(link, &object.pose, mesh, padding, &before)));
            }
            names.push(object.id);
            kinds.push(Owner::Attached { touch: object.touch_links });
        }
        for object in self.objects.clone() {
            let what = format!("object '{}'", object.id);
            let Some(frame) = self.frame(&object.frame_id) else {
                wrong.push(CollisionError::Link { what, link: object.frame_id });
                continue;
            };
            if self.axes.of_link[frame].is_some() {
                wrong.push(CollisionError::MovingFrame { object: object.id, frame: object.frame_id });
                continue;
            }
            if object.shapes.is_empty() && object.planes.is_empty() && object.meshes.is_empty() {
                let problem = "it has neither a shape nor a plane; give at least one".to_owned();
                wrong.push(CollisionError::Shape { owner: what.clone(), problem });
            }
            for shape in &object.shapes {
                kept(self.add(&mut parts, names.len(), &what, (frame, &object.pose), shape, 0.0), &mut wrong);
            }
            for mesh in &object.meshes {
                parts.push((names.len(), self.point_mesh(frame, &object.pose, mesh, 0.0, &before)));
            }
            for plane in &object.planes {
                let plane = plane.moved(&object.pose);
                let normal = plane.normal.into_inner();
                parts.push((names.len(), Body::half_space(frame, normal * -plane.offset, normal)));
            }
            names.push(object.id);
            kinds.push(Owner::Obstacle);
        }
        for (i, name) in names.iter().enumerate() {
            if names[..i].contains(name) {
                let problem = "the name is used twice (links, held objects and obstacles share one space)".to_owned();
                wrong.push(CollisionError::Shape { owner: format!("object '{name}'"), problem });
            }
        }
        CollisionError::all(wrong)?;
        self.names = names;
        self.settle(parts, &kinds);
        Ok(())
    }

    /// Orders the bodies, prepares their chains and chooses the pairs.
    fn settle(&mut self, mut parts: Vec<(usize, Body)>, kinds: &[Owner]) {
        // What moves first, then what others may move; otherwise in the order of the owners.
        let carried = |body: &Body| self.axes.of_link[body.link].is_none() && self.axes.is_carried(body.link);
        parts.sort_by_key(|(_, body)| (self.axes.of_link[body.link].is_none(), !carried(body)));
        self.moving = parts.iter().filter(|(_, body)| self.axes.of_link[body.link].is_some()).count();
        self.carried = parts.iter().filter(|(_, body)| carried(body)).count();
        (self.owners, self.bodies) = parts.into_iter().unzip();
        self.chains.clear();
        self.chain_starts.clear();
        for body in &self.bodies {
            self.chain_starts.push(self.chains.len());
            self.chains.extend(self.axes.chain(body.link).map(|axis| ChainLink { axis, lever: f64::INFINITY }));
        }
        self.chain_starts.push(self.chains.len());
        self.standing.clear();
        self.standing.extend(self.bodies[self.moving..].iter().map(Body::placed_at_root));
        self.place_carried();
        let at_zero = &self.poses_at_zero;
        for (body, placed) in self.bodies[self.moving..].iter().zip(&mut self.standing).skip(self.carried) {
            stand(body, &at_zero[body.link], placed);
        }
        self.pairs.clear();
        for a in 0..self.moving {
            for b in a + 1..self.bodies.len() {
                let (one, other) = (&self.bodies[a], &self.bodies[b]);
                let together = self.axes.of_link[one.link] == self.axes.of_link[other.link];
                if together || self.may_touch(self.owners[a], self.owners[b], kinds) {
                    continue;
                }
                let (axes_a, axes_b, base) = self.axes.apart(one.link, other.link, self.root);
                let others = self.axes.others_between(one.link, other.link).next().is_some();
                self.pairs.push(Pair { a, b, axes_a, axes_b, base, others });
            }
        }
        let whose = |pair: &Pair| (self.owners[pair.a], self.owners[pair.b]);
        if self.meshes.any_cut() {
            // So that many parts are passed over at once.
            self.pairs.sort_by_key(whose);
        }
        self.runs.clear();
        for (i, pair) in self.pairs.iter().enumerate() {
            match self.runs.last_mut() {
                Some(run) if run.owners == whose(pair) => run.pairs.end = i + 1,
                _ => self.runs.push(Run { pairs: i..i + 1, owners: whose(pair) }),
            }
        }
        self.asked.fill(false);
        self.carries.fill(false);
        for pair in &self.pairs {
            let (a, b) = (self.bodies[pair.a].link, self.bodies[pair.b].link);
            self.axes.others_between(a, b).for_each(|other| self.asked[other] = true);
            self.axes.carriers(a).chain(self.axes.carriers(b)).for_each(|other| self.carries[other] = true);
        }
        self.revision = next_revision();
        self.placing = self.revision;
    }

    /// Puts everything where the other joints have it. Allocates nothing.
    fn place_carried(&mut self) {
        self.tree.link_poses(&self.zeros, &mut self.poses_at_zero);
        let at_zero = &self.poses_at_zero;
        let carried = &self.bodies[self.moving..self.moving + self.carried];
        for (body, placed) in carried.iter().zip(&mut self.standing) {
            stand(body, &at_zero[body.link], placed);
        }
        for (body, start) in self.bodies[..self.moving].iter().zip(&self.chain_starts) {
            let mut links = self.chains[*start..].iter_mut();
            self.axes.levers(body, &self.points, at_zero, |_, lever| {
                // Every axis of the chain has its place.
                if let Some(link) = links.next() {
                    link.lever = lever;
                }
            });
        }
    }

    fn may_touch(&self, a: usize, b: usize, kinds: &[Owner]) -> bool {
        let (one, other) = (self.names[a].as_str(), self.names[b].as_str());
        let names = sorted(one, other);
        let enabled = self.enabled.contains(&names);
        if let (Owner::Link(a), Owner::Link(b)) = (&kinds[a], &kinds[b])
            && self.axes.adjacent(*a, *b)
            && !enabled
        {
            return true;
        }
        if let Some(word) = self.matrix.get(&names) {
            return *word;
        }
        let touches = |held: &Owner, other: &Owner| match (held, other) {
            (Owner::Attached { touch, .. }, Owner::Link(link)) => touch.contains(&self.link_names[*link]),
            _ => false,
        };
        if self.declared.contains(&names)
            || self.disabled.contains(&names)
            || touches(&kinds[a], &kinds[b])
            || touches(&kinds[b], &kinds[a])
        {
            return true;
        }
        if enabled {
            return false;
        }
        let unchecked = |name: &str| self.unchecked.contains(name).then_some(true);
        let default = |name: &str| self.matrix_defaults.get(name).copied().or_else(|| unchecked(name));
        match (default(one), default(other)) {
            (Some(word), Some(other)) => word && other,
            (word, other) => word.or(other).unwrap_or(false),
        }
    }

    /// The bodies of a shape. `place`: a link, and the pose in its frame of the frame that the shape is placed in.
    fn add(
        &mut self,
        parts: &mut Vec<(usize, Body)>,
        number: usize,
        owner: &str,
        (link, at): (usize, &Isometry3<f64>),
        shape: &Primitive,
        padding: f64,
    ) -> Result<(), CollisionError> {
        let wrong = |problem: String| CollisionError::Shape { owner: owner.to_owned(), problem };
        let pose = &(at * shape.origin);
        if !pose.translation.vector.iter().chain(pose.rotation.coords.iter()).all(|v| v.is_finite()) {
            return Err(wrong(format!("the pose of {:?} is not finite", shape.shape)));
        }
        let sizes: &[f64] = match &shape.shape {
            Shape::Capsule { radius, length } | Shape::Cylinder { radius, length } => &[*radius, *length],
            Shape::Sphere { radius } => &[*radius],
            Shape::Box { size } => size.as_slice(),
            Shape::Mesh { scale, .. } => scale.as_slice(),
        };
        let positive = matches!(shape.shape, Shape::Mesh { .. }) || sizes.iter().all(|size| *size > 0.0);
        if !positive || !sizes.iter().all(|size| size.is_finite()) {
            return Err(wrong(format!("the sizes of {:?} must be finite and positive", shape.shape)));
        }
        let body = match &shape.shape {
            Shape::Capsule { radius, length } => Body::segment(link, pose, length / 2.0, radius + padding),
            Shape::Sphere { radius } => Body::segment(link, pose, 0.0, radius + padding),
            Shape::Box { size } => Body::cuboid(link, pose, size / 2.0, padding),
            Shape::Cylinder { radius, length } => Body::cylinder(link, pose, *radius, length / 2.0, padding),
            Shape::Mesh { filename, scale } => {
                let cut = self.meshes.parts(filename, scale, &self.options.making());
                let cut = cut.map_err(|problem| wrong(format!("mesh '{filename}': {problem}")))?;
                let reach = |hull: &Hull| hull.points.iter().map(|p| (p + hull.centre).abs().max()).fold(0.0, f64::max);
                let far = cut.hulls.iter().map(reach).fold(0.0, f64::max);
                if far > LIKELY_MILLIMETRES {
                    self.notes.insert(format!(
                        "{owner}: mesh '{filename}' reaches {far:.0} m far: likely drawn in millimetres; give it scale=\"0.001 0.001 0.001\""
                    ));
                }
                parts.extend(cut.hulls.iter().map(|hull| (number, self.hull(link, pose, hull, padding))));
                return Ok(());
            }
        };
        parts.push((number, body));
        Ok(())
    }

    fn point_mesh(
        &mut self,
        link: usize,
        at: &Isometry3<f64>,
        mesh: &PointMesh,
        padding: f64,
        before: &MeshStore,
    ) -> Body {
        let hull = self.meshes.around(&mesh.points, before, self.options.mesh_tolerance);
        self.hull(link, &(at * mesh.origin), &hull.1, padding)
    }

    fn hull(&mut self, link: usize, pose: &Isometry3<f64>, hull: &Hull, padding: f64) -> Body {
        let pose = pose * Translation3::from(hull.centre);
        let range = self.points.len()..self.points.len() + hull.points.len();
        self.points.extend_from_slice(&hull.points);
        Body::hull(link, &pose, &hull.points, range, hull.inflation + padding)
    }

    pub(crate) fn seen<'a>(&'a self, body: usize, placed: &'a [Placed]) -> Seen<'a> {
        Seen { body: &self.bodies[body], placed: &placed[body], points: &self.points }
    }

    /// The distance of a pair whose bodies stand as `placed`.
    pub(crate) fn gap(&self, pair: &Pair, placed: &[Placed]) -> Gap {
        gap(self.seen(pair.a, placed), self.seen(pair.b, placed))
    }

    /// A cheap lower bound of that distance.
    pub(crate) fn at_least(&self, pair: &Pair, placed: &[Placed]) -> f64 {
        let (a, b) = (&self.bodies[pair.a], &self.bodies[pair.b]);
        let apart = placed[pair.b].centre - placed[pair.a].centre;
        let from_box = |block: &Body, axes: &Placed, other: &Body| {
            let outside = axes.rotation.tr_mul(&apart).zip_map(&block.size, |x, half| x.abs() - half);
            outside.map(|x| x.max(0.0)).norm() - block.radius - other.bound
        };
        match (a.kind, b.kind) {
            (_, Kind::HalfSpace) => -apart.dot(&placed[pair.b].half) - a.bound,
            (_, Kind::Box) => from_box(b, &placed[pair.b], a),
            (Kind::Box, _) => from_box(a, &placed[pair.a], b),
            _ => apart.norm() - a.bound - b.bound,
        }
    }
}
