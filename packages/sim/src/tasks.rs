//! What stands on the table, what is asked, and whether it was done.

mod referee;
mod scene;
mod sentences;

pub use referee::{Failure, Referee, Verdict};
pub use scene::{EVAL_SEEDS, Placement, READY, Scene, TRAIN_SEEDS};
pub use sentences::templates;

/// Where pushed objects go: the line x = this, m.
pub const FAR_LINE_X: f64 = 0.64;
/// Half the side of a zone's mark, m.
pub const ZONE_HALF_SIZE: f64 = 0.06;
/// How near the target an object's centre must come (in the plane), m.
pub const TARGET_RADIUS: f64 = 0.04;
/// How far any other object may move, m.
pub const OTHERS_MAY_MOVE: f64 = 0.03;
/// An episode that has not succeeded by then has failed, s.
pub const TIME_LIMIT: f64 = 25.0;

/// One of the four objects; all are always on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// 4 cm cube.
    RedCube,
    /// Upright, radius 2 cm, height 5 cm.
    GreenCylinder,
    /// 6 x 3.5 x 3.5 cm, long side along x.
    BlueBrick,
    /// Disc, radius 2.4 cm, height 2.2 cm.
    YellowPuck,
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

impl ObjectKind {
    /// All, in the order of every array of objects.
    pub const ALL: [ObjectKind; 4] =
        [ObjectKind::RedCube, ObjectKind::GreenCylinder, ObjectKind::BlueBrick, ObjectKind::YellowPuck];

    /// Place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Identifier, as in the model and in JSON.
    pub fn name(self) -> &'static str {
        ["red_cube", "green_cylinder", "blue_brick", "yellow_puck"][self.index()]
    }

    /// As people say it.
    pub fn words(self) -> &'static str {
        ["red cube", "green cylinder", "blue brick", "yellow puck"][self.index()]
    }

    /// Shape.
    pub fn shape(self) -> Shape {
        match self {
            ObjectKind::RedCube => Shape::Box([0.02, 0.02, 0.02]),
            ObjectKind::GreenCylinder => Shape::Cylinder { radius: 0.02, half_height: 0.025 },
            ObjectKind::BlueBrick => Shape::Box([0.03, 0.0175, 0.0175]),
            ObjectKind::YellowPuck => Shape::Cylinder { radius: 0.024, half_height: 0.011 },
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
        [0.06, 0.06, 0.06, 0.05][self.index()]
    }

    /// Colour.
    pub fn rgba(self) -> [f32; 4] {
        [[0.85, 0.10, 0.10, 1.0], [0.10, 0.62, 0.20, 1.0], [0.12, 0.25, 0.85, 1.0], [0.95, 0.80, 0.08, 1.0]]
            [self.index()]
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
    /// Push the object straight away from the robot to the far line.
    Push {
        /// Which object.
        object: ObjectKind,
    },
}

impl Task {
    /// Every task.
    pub fn all() -> impl Iterator<Item = Task> {
        ObjectKind::ALL.into_iter().flat_map(|object| {
            let put = Zone::ALL.into_iter().map(move |zone| Task::Put { object, zone });
            put.chain(std::iter::once(Task::Push { object }))
        })
    }

    /// The object that the task is about.
    pub fn object(self) -> ObjectKind {
        match self {
            Task::Put { object, .. } | Task::Push { object } => object,
        }
    }

    /// Identifier: `put_red_cube_left`, `push_blue_brick`.
    pub fn name(self) -> String {
        match self {
            Task::Put { object, zone } => format!("put_{}_{}", object.name(), zone.words()),
            Task::Push { object } => format!("push_{}", object.name()),
        }
    }

    /// Where the object's centre shall be in the plane, m, given where it started.
    pub fn target(self, start: [f64; 2]) -> [f64; 2] {
        match self {
            Task::Put { zone, .. } => zone.centre(),
            Task::Push { .. } => [FAR_LINE_X, start[1]],
        }
    }
}
