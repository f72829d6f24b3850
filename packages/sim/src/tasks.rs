//! The benchmark `panda_tabletop`: what stands on the table, what is asked and in which words, how it looks, which of it may be
//! trained on, and whether it was done.
//!
//! A seed decides everything, the [`Split`] included. What belongs to which split is fixed: whoever changes it, or anything else
//! that a seed decides, raises [`BENCHMARK_VERSION`] (a test holds fingerprints of the scenes against it).

mod look;
mod referee;
mod scene;
mod sentences;
mod split;

pub use look::{CameraShift, Lamp, Look, Surface, Texture};
pub use referee::{Failure, Referee, Verdict};
pub use scene::{Placement, READY, Scene};
pub use sentences::{sentences, template_count};
pub use split::{Split, UnknownSplit};

/// Name of the benchmark.
pub const BENCHMARK: &str = "panda_tabletop";
/// Its version: figures of different versions cannot be compared.
pub const BENCHMARK_VERSION: u32 = 1;

/// Where pushed objects go: the line x = this, m.
pub const FAR_LINE_X: f64 = 0.64;
/// Half the side of a zone's mark, m.
pub const ZONE_HALF_SIZE: f64 = 0.06;
/// Radius and thickness of the plate, m.
pub const PLATE_RADIUS: f64 = 0.055;
/// See [`PLATE_RADIUS`].
pub const PLATE_THICKNESS: f64 = 0.004;
/// How near the target an object's centre must come (in the plane), m.
pub const TARGET_RADIUS: f64 = 0.04;
/// How far any other object may move, m.
pub const OTHERS_MAY_MOVE: f64 = 0.03;
/// An episode that has not succeeded by then has failed, s.
pub const TIME_LIMIT: f64 = 25.0;

/// What an object looks like, colour aside; two objects have each shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// 4 cm cube.
    Cube,
    /// Disc, radius 2.4 cm, height 2.2 cm.
    Puck,
    /// 6 x 3.5 x 3.5 cm, long side along x.
    Brick,
    /// Upright, radius 2 cm, height 5 cm.
    Cylinder,
}

/// One of the objects. Two have each shape and two have each colour, so that neither word alone says which one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A red [`Form::Cube`].
    RedCube,
    /// A red [`Form::Puck`].
    RedPuck,
    /// A yellow [`Form::Cube`].
    YellowCube,
    /// A yellow [`Form::Puck`].
    YellowPuck,
    /// A blue [`Form::Brick`].
    BlueBrick,
    /// A blue [`Form::Cylinder`].
    BlueCylinder,
    /// A green [`Form::Brick`].
    GreenBrick,
    /// A green [`Form::Cylinder`].
    GreenCylinder,
}

/// Shape of an object, m.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shape {
    /// Half sizes.
    Box([f64; 3]),
    /// Upright.
    Cylinder {
        /// Radius.
        radius: f64,
        /// Half the height.
        half_height: f64,
    },
}

/// How many kinds of object there are.
pub const OBJECTS: usize = 8;

impl ObjectKind {
    /// All, in the order of every array of objects.
    pub const ALL: [ObjectKind; OBJECTS] = [
        ObjectKind::RedCube,
        ObjectKind::RedPuck,
        ObjectKind::YellowCube,
        ObjectKind::YellowPuck,
        ObjectKind::BlueBrick,
        ObjectKind::BlueCylinder,
        ObjectKind::GreenBrick,
        ObjectKind::GreenCylinder,
    ];

    /// Place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Identifier, as in the model and in JSON.
    pub fn name(self) -> &'static str {
        [
            "red_cube",
            "red_puck",
            "yellow_cube",
            "yellow_puck",
            "blue_brick",
            "blue_cylinder",
            "green_brick",
            "green_cylinder",
        ][self.index()]
    }

    /// As people say it.
    pub fn words(self) -> &'static str {
        [
            "red cube",
            "red puck",
            "yellow cube",
            "yellow puck",
            "blue brick",
            "blue cylinder",
            "green brick",
            "green cylinder",
        ][self.index()]
    }

    /// Its form.
    pub fn form(self) -> Form {
        match self {
            ObjectKind::RedCube | ObjectKind::YellowCube => Form::Cube,
            ObjectKind::RedPuck | ObjectKind::YellowPuck => Form::Puck,
            ObjectKind::BlueBrick | ObjectKind::GreenBrick => Form::Brick,
            ObjectKind::BlueCylinder | ObjectKind::GreenCylinder => Form::Cylinder,
        }
    }

    /// Shape.
    pub fn shape(self) -> Shape {
        match self.form() {
            Form::Cube => Shape::Box([0.02, 0.02, 0.02]),
            Form::Cylinder => Shape::Cylinder { radius: 0.02, half_height: 0.025 },
            Form::Brick => Shape::Box([0.03, 0.0175, 0.0175]),
            Form::Puck => Shape::Cylinder { radius: 0.024, half_height: 0.011 },
        }
    }

    /// Half extents along its own x, y, z, m.
    pub fn half_extents(self) -> [f64; 3] {
        match self.shape() {
            Shape::Box(half) => half,
            Shape::Cylinder { radius, half_height } => [radius, radius, half_height],
        }
    }

    /// Height of its centre when it stands on the table, m.
    pub fn rest_height(self) -> f64 {
        self.half_extents()[2]
    }

    /// kg.
    pub fn mass(self) -> f64 {
        match self.form() {
            Form::Puck => 0.05,
            Form::Cube | Form::Brick | Form::Cylinder => 0.06,
        }
    }

    /// Colour.
    pub fn rgba(self) -> [f32; 4] {
        match self {
            ObjectKind::RedCube | ObjectKind::RedPuck => [0.85, 0.10, 0.10, 1.0],
            ObjectKind::YellowCube | ObjectKind::YellowPuck => [0.95, 0.80, 0.08, 1.0],
            ObjectKind::BlueBrick | ObjectKind::BlueCylinder => [0.12, 0.25, 0.85, 1.0],
            ObjectKind::GreenBrick | ObjectKind::GreenCylinder => [0.10, 0.62, 0.20, 1.0],
        }
    }
}

/// A marked square on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Zone {
    /// On the robot's left, +y.
    Left,
    /// On the robot's right, -y.
    Right,
}

impl Zone {
    /// Both.
    pub const ALL: [Zone; 2] = [Zone::Left, Zone::Right];

    /// Centre on the table, m.
    pub fn centre(self) -> [f64; 2] {
        match self {
            Zone::Left => [0.48, 0.28],
            Zone::Right => [0.48, -0.28],
        }
    }

    /// Identifier of its mark.
    pub fn name(self) -> &'static str {
        match self {
            Zone::Left => "zone_left",
            Zone::Right => "zone_right",
        }
    }

    /// As people say it.
    pub fn words(self) -> &'static str {
        match self {
            Zone::Left => "left",
            Zone::Right => "right",
        }
    }
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Task {
    /// Pick the object up and place it in the zone.
    Put {
        /// Which object.
        object: ObjectKind,
        /// Where.
        zone: Zone,
    },
    /// Pick the object up and place it on the plate, wherever that stands.
    PutOnPlate {
        /// Which object.
        object: ObjectKind,
    },
    /// Push the object straight away from the robot to the far line.
    Push {
        /// Which object.
        object: ObjectKind,
    },
}

/// What every object can be asked for, in the order of [`Task::all`].
pub const GOALS: [&str; 4] = ["left", "right", "plate", "push"];

impl Task {
    /// Every combination of object and goal.
    pub fn all() -> impl Iterator<Item = Task> {
        ObjectKind::ALL.into_iter().flat_map(|object| {
            let put = Zone::ALL.into_iter().map(move |zone| Task::Put { object, zone });
            put.chain([Task::PutOnPlate { object }, Task::Push { object }])
        })
    }

    /// The object that the task is about.
    pub fn object(self) -> ObjectKind {
        match self {
            Task::Put { object, .. } | Task::PutOnPlate { object } | Task::Push { object } => object,
        }
    }

    /// The kind of task, in a word.
    pub fn kind(self) -> &'static str {
        match self {
            Task::Put { .. } => "put",
            Task::PutOnPlate { .. } => "plate",
            Task::Push { .. } => "push",
        }
    }

    /// What is wanted of the object: one of [`GOALS`].
    pub fn goal(self) -> &'static str {
        match self {
            Task::Put { zone, .. } => zone.words(),
            Task::PutOnPlate { .. } => "plate",
            Task::Push { .. } => "push",
        }
    }

    /// Identifier: `put_red_cube_left`, `put_red_puck_plate`, `push_blue_brick`.
    pub fn name(self) -> String {
        match self {
            Task::Push { object } => format!("push_{}", object.name()),
            other => format!("put_{}_{}", other.object().name(), other.goal()),
        }
    }

    /// Whether this object and this goal never come together in training: [`Split::Novel`] is made of these. Every object has one
    /// such goal and every goal two such objects of different shape and colour, so that each word is heard and each object is
    /// handled in training.
    pub fn is_novel(self) -> bool {
        let goal = match self.object() {
            ObjectKind::RedPuck | ObjectKind::BlueBrick => "left",
            ObjectKind::YellowPuck | ObjectKind::GreenBrick => "right",
            ObjectKind::YellowCube | ObjectKind::BlueCylinder => "plate",
            ObjectKind::RedCube | ObjectKind::GreenCylinder => "push",
        };
        self.goal() == goal
    }

    /// Where the object's centre shall be in the plane, m, given where it and the plate started.
    pub fn target(self, start: [f64; 2], plate: [f64; 2]) -> [f64; 2] {
        match self {
            Task::Put { zone, .. } => zone.centre(),
            Task::PutOnPlate { .. } => plate,
            Task::Push { .. } => [FAR_LINE_X, start[1]],
        }
    }

    /// Height of what the object shall stand on in the end, above the table, m.
    pub fn support(self) -> f64 {
        match self {
            Task::PutOnPlate { .. } => PLATE_THICKNESS,
            Task::Put { .. } | Task::Push { .. } => 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn a_quarter_of_the_combinations_is_held_out_and_every_object_and_goal_is_trained() {
        let all: Vec<Task> = Task::all().collect();
        let novel: Vec<Task> = all.iter().copied().filter(|t| t.is_novel()).collect();
        assert_eq!((all.len(), novel.len()), (32, 8));
        for object in ObjectKind::ALL {
            assert_eq!(novel.iter().filter(|t| t.object() == object).count(), 1, "{object:?}");
        }
        for goal in GOALS {
            let held: Vec<_> = novel.iter().filter(|t| t.goal() == goal).map(|t| t.object()).collect();
            assert_eq!(held.len(), 2, "{goal}");
            assert_ne!(held[0].form(), held[1].form(), "{goal}");
            assert_ne!(held[0].rgba(), held[1].rgba(), "{goal}");
        }
    }

    #[test]
    fn neither_the_shape_nor_the_colour_alone_says_which_object_is_meant() {
        let (mut forms, mut colours) = (HashMap::new(), HashMap::new());
        for kind in ObjectKind::ALL {
            *forms.entry(kind.form()).or_insert(0) += 1;
            *colours.entry(kind.rgba().map(f32::to_bits)).or_insert(0) += 1;
        }
        assert!(forms.values().chain(colours.values()).all(|n| *n == 2), "{forms:?} {colours:?}");
    }
}
