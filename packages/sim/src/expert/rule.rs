//! The rule: from the state to where the tool should go and what the fingers should do.

use super::{ExpertView, Phase, half_width};
use crate::tasks::{Form, ObjectKind, Task};
use nalgebra::{Vector2, Vector3};

/// Cruising and pushing speed along each axis, m/s.
const CRUISE: f64 = 0.35;
const PUSH: f64 = 0.18;
/// Speed near the goal, m/s, and how it grows with the distance, 1/s.
const SLOWEST: f64 = 0.04;
const SLOWING: f64 = 2.5;
/// Fully open, m a finger.
const OPEN: f64 = 0.04;
/// How much further than the object's surface the fingers are told to close, m: this makes the grip.
const SQUEEZE: f64 = 0.006;
/// How far a push steers the tool aside of the object's centre at most, m, and per metre that the object is off its lane.
const STEER_MOST: f64 = 0.005;
const STEER: f64 = 0.5;
/// Half the depth of a finger pad along x, m.
const PAD: f64 = 0.010;
/// Height of the tool while pushing, m.
const PUSH_HEIGHT: f64 = 0.016;
/// Heights above the table for travelling, m.
const ABOVE: f64 = 0.12;
const CARRY: f64 = 0.13;
/// Further than this beside its lane or behind the line, an object is beyond pushing, m.
const ASTRAY: f64 = 0.03;
/// How far from the base's axis the tool goes, and how low, m.
const REACH: f64 = 0.72;
const LOWEST: f64 = 0.011;
/// Where it waits when all is done, m.
const REST: Vector3<f64> = Vector3::new(0.36, 0.0, 0.28);
/// Nearer than this to the target counts as there, m.
const THERE: f64 = 0.015;

/// State of the world in the expert's head.
#[derive(Debug, Clone, Copy)]
pub(super) struct Imagined {
    pub(super) tool: Vector3<f64>,
    pub(super) velocity: Vector3<f64>,
    pub(super) acceleration: Vector3<f64>,
    /// Where the fingers are and what they are told.
    finger: f64,
    pub(super) command: f64,
    object: Vector3<f64>,
    yaw: f64,
}

/// What to do now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Intent {
    pub(super) tool: Vector3<f64>,
    pub(super) finger: f64,
    pub(super) speed: f64,
    pub(super) phase: Phase,
}

impl Imagined {
    pub(super) fn of(view: &ExpertView) -> Self {
        Self {
            tool: view.tool,
            velocity: view.velocity,
            acceleration: Vector3::zeros(),
            finger: view.finger,
            command: view.finger,
            object: view.object,
            yaw: view.yaw,
        }
    }

    /// Where to grasp the object.
    fn grasp(&self, kind: ObjectKind) -> Vector3<f64> {
        self.object + Vector3::new(0.0, 0.0, grasp_height(kind) - kind.rest_height())
    }

    /// Whether the fingers are around the object.
    fn around(&self, kind: ObjectKind) -> bool {
        let off = self.tool - self.grasp(kind);
        off.xy().norm() < 0.02 && off.z.abs() < 0.015
    }

    /// Whether the fingers hold the object.
    fn holds(&self, kind: ObjectKind) -> bool {
        let over = self.finger - half_width(kind);
        self.around(kind) && (-0.004..0.002).contains(&over)
    }

    /// Half the object's length along x as the pads meet it, m.
    fn front(&self, kind: ObjectKind) -> f64 {
        let [hx, hy, _] = kind.half_extents();
        match kind.form() {
            // The inner edges of the pads touch the round.
            Form::Cylinder | Form::Puck => (hx * hx - push_gap(kind).powi(2)).sqrt(),
            Form::Cube | Form::Brick => {
                // A cube looks the same after each quarter turn; while it is pushed it aligns with the pads.
                let yaw = if kind.form() == Form::Cube { quarter(self.yaw) } else { self.yaw };
                hx * yaw.cos().abs() + hy.min(push_gap(kind)) * yaw.sin().abs()
            }
        }
    }

    /// What follows after the tool moved by `moved` (a held object with it, a pushed one ahead of it) while the fingers go towards
    /// `finger` by at most `step`.
    pub(super) fn follow(&mut self, task: Task, moved: Vector3<f64>, step: f64, finger: f64) {
        let kind = task.object();
        // As it was before the tool moved.
        let off = self.tool - moved - self.grasp(kind);
        let around = off.xy().norm() < 0.02 && off.z.abs() < 0.015;
        let held = around && self.finger < half_width(kind) + 0.001;
        self.command += (finger - self.command).clamp(-step, step);
        let stop = if around { half_width(kind) } else { 0.0 };
        self.finger = if self.finger >= stop - 0.004 { self.command.max(stop) } else { self.command };
        if held && self.finger < half_width(kind) + 0.001 {
            self.object += moved;
            self.object.z = self.object.z.max(kind.rest_height());
        } else {
            self.object.z = kind.rest_height();
        }
        if let Task::Push { .. } = task {
            let low = self.tool.z < 0.03 && (self.tool.y - self.object.y).abs() < 0.02;
            if low && self.tool.x < self.object.x {
                self.object.x = self.object.x.max(self.tool.x + PAD + self.front(kind));
            }
        }
    }
}

/// The nearest of four equal turns, within +-45 degrees.
fn quarter(yaw: f64) -> f64 {
    let turn = std::f64::consts::FRAC_PI_2;
    yaw - (yaw / turn).round() * turn
}

/// Opening of a finger for pushing, m: the pads (8 mm wide) touch at two places, with room for error on either side.
fn push_gap(kind: ObjectKind) -> f64 {
    match kind.form() {
        Form::Cube => 0.009,
        Form::Brick => 0.007,
        Form::Cylinder | Form::Puck => 0.0125,
    }
}

/// Height of the tool above the table when it grasps, m.
fn grasp_height(kind: ObjectKind) -> f64 {
    match kind.form() {
        Form::Cube => 0.020,
        Form::Cylinder => 0.028,
        Form::Brick => 0.018,
        Form::Puck => 0.013,
    }
}

/// The rule.
pub(super) fn intent(task: Task, target: [f64; 2], state: &Imagined) -> Intent {
    let mut intent = match task {
        Task::Put { object, .. } | Task::PutOnPlate { object } => {
            put(object, Vector2::from(target), task.support(), state)
        }
        Task::Push { object } => {
            let target = Vector2::from(target);
            let astray = (state.object.y - target.y).abs() > ASTRAY || state.object.x > target.x + ASTRAY;
            let lifted = state.object.z > object.rest_height() + 0.01;
            if astray || lifted || state.around(object) {
                // No push brings it back: pick it up.
                put(object, target, 0.0, state)
            } else {
                push(object, target, state)
            }
        }
    };
    // An object that rolled away is followed only as far as the arm reaches.
    let far = intent.tool.xy().norm();
    if far > REACH {
        intent.tool.x *= REACH / far;
        intent.tool.y *= REACH / far;
    }
    intent.tool.z = intent.tool.z.max(LOWEST);
    // Speed falls with the way that is left, so that it is nearly a function of place and stopping needs no full braking.
    intent.speed = intent.speed.min(SLOWEST + SLOWING * (intent.tool - state.tool).norm());
    intent
}

/// `support`: height of what the object shall stand on, m.
fn put(kind: ObjectKind, target: Vector2<f64>, support: f64, s: &Imagined) -> Intent {
    let grasp = s.grasp(kind);
    let off = s.tool - grasp;
    let aside = off.xy().norm();
    let to_go = target - s.object.xy();
    let width = half_width(kind);
    let down = s.object.z < kind.rest_height() + support + 0.005;

    if to_go.norm() < THERE && down {
        let near = aside < 0.03 && off.z < 0.06;
        if near && s.finger < width + 0.008 {
            let tool = with_z(s.tool.xy(), s.tool.z.min(grasp.z + 0.004));
            return Intent { tool, finger: OPEN, speed: CRUISE, phase: Phase::Release };
        }
        if near {
            return Intent { tool: with_z(s.tool.xy(), 0.16), finger: OPEN, speed: CRUISE, phase: Phase::Release };
        }
        return rest(s, OPEN);
    }

    if s.holds(kind) {
        // Down to where the object stands, however it was grasped.
        let lowest = grasp_height(kind) + support + off.z;
        let height = lowest + ((to_go.norm() - 0.012) * 2.5).clamp(0.0, CARRY - lowest);
        // Up first, then across.
        let xy = upward_first(s, target + off.xy(), height - 0.05);
        return Intent { tool: with_z(xy, height), finger: width - SQUEEZE, speed: CRUISE, phase: Phase::Carry };
    }

    let closed = ((OPEN - s.finger) / (OPEN - width)).clamp(0.0, 1.0);
    if aside < 0.008 + 0.012 * closed && off.z.abs() < 0.005 + 0.008 * closed && s.finger > width - 0.006 {
        return Intent { tool: grasp, finger: width - SQUEEZE, speed: CRUISE, phase: Phase::Grasp };
    }
    let mut height = grasp.z + ((aside - 0.006) * 2.5).clamp(0.0, (ABOVE - grasp.z).max(0.0));
    if s.finger < width + 0.008 {
        // Not open enough to go around it.
        height = height.max(grasp.z + 0.06);
    }
    let xy = upward_first(s, grasp.xy(), height - 0.02);
    Intent { tool: with_z(xy, height), finger: OPEN, speed: CRUISE, phase: Phase::Approach }
}

fn push(kind: ObjectKind, target: Vector2<f64>, s: &Imagined) -> Intent {
    let (line, finger) = (target.x, push_gap(kind));
    let reach = s.front(kind) + PAD;
    let gap = s.object.x - reach - s.tool.x;
    let aside = s.tool.y - s.object.y;
    if s.object.x > line - 0.006 {
        if s.tool.z < 0.07 && aside.abs() < 0.05 && (-0.02..0.04).contains(&gap) {
            // Back off, then up.
            let rise = ((gap - 0.010) / 0.010).clamp(0.0, 1.0) * 0.14;
            let tool = Vector3::new(s.object.x - reach - 0.03, s.tool.y, PUSH_HEIGHT + rise);
            return Intent { tool, finger, speed: CRUISE, phase: Phase::Release };
        }
        return rest(s, finger);
    }
    let low = (s.tool.z - PUSH_HEIGHT).abs() < 0.010;
    if low && aside.abs() < 0.012 && (-0.015..0.035).contains(&gap) {
        let steer = ((target.y - s.object.y) * STEER).clamp(-STEER_MOST, STEER_MOST);
        let tool = Vector3::new(line - reach + 0.006, s.object.y + steer, PUSH_HEIGHT);
        return Intent { tool, finger, speed: PUSH, phase: Phase::Push };
    }
    let behind = Vector2::new(s.object.x - reach - 0.025, s.object.y);
    let away = (s.tool.xy() - behind).norm();
    let height = PUSH_HEIGHT + ((away - 0.005) * 2.5).clamp(0.0, ABOVE - PUSH_HEIGHT);
    let xy = upward_first(s, behind, height - 0.02);
    Intent { tool: with_z(xy, height), finger, speed: CRUISE, phase: Phase::Approach }
}

/// To the waiting place, up first.
fn rest(s: &Imagined, finger: f64) -> Intent {
    let xy = upward_first(s, REST.xy(), 0.10);
    Intent { tool: with_z(xy, REST.z), finger, speed: CRUISE, phase: Phase::Rest }
}

/// Goes towards `aim` only as far as the tool is already near `height`: full way at `height` and above, none 4 cm below.
fn upward_first(s: &Imagined, aim: Vector2<f64>, height: f64) -> Vector2<f64> {
    let share = (1.0 - (height - s.tool.z) / 0.04).clamp(0.0, 1.0);
    s.tool.xy() + (aim - s.tool.xy()) * share
}

fn with_z(xy: Vector2<f64>, z: f64) -> Vector3<f64> {
    Vector3::new(xy.x, xy.y, z)
}
