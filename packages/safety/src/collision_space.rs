//! Obstacles, the robot itself, the workspace and the tool's speed, as one [`Space`].

use crate::limits::exceeds;
use crate::space::{Intrusion, Space, Step, Tool, Workspace};
use efm_collision::{Checker, CollisionModel, TooClose};
use efm_core::reading;
use nalgebra::Point3;

/// Bounds of the tool.
#[derive(Debug, Clone)]
pub struct ToolBounds {
    /// Which frame is bounded.
    pub tool: Tool,
    /// Where it may be.
    pub workspace: Option<Workspace>,
    /// How fast it may be, m/s; infinite for any speed.
    pub max_speed: f64,
}

/// Refuses motions that come too close to something, lead the tool out of its workspace, or move it too fast.
pub struct CollisionSpace {
    model: CollisionModel,
    checker: Checker,
    bounds: Option<ToolBounds>,
    /// Why the last configuration cannot begin a motion.
    barred: Option<Intrusion>,
    tool_at: Point3<f64>,
    /// How far outside the workspace the tool may be: as far as it was, while it comes back.
    outside: f64,
    /// Where the other joints stand, as far as it is known.
    others: Vec<Option<f64>>,
}

impl CollisionSpace {
    /// Of bodies and, perhaps, bounds of the tool. The model's joints must be the streamer's, in its order.
    pub fn new(model: CollisionModel, bounds: Option<ToolBounds>) -> Self {
        let checker = Checker::new(&model);
        let others = vec![None; model.others().len()];
        Self { model, checker, bounds, barred: None, tool_at: Point3::origin(), outside: 0.0, others }
    }

    /// The bodies.
    pub fn model(&self) -> &CollisionModel {
        &self.model
    }

    /// Changes the bodies: an obstacle comes, something is held. Allocates; what is planned is judged anew by the next tick.
    pub fn change<T>(&mut self, change: impl FnOnce(&mut CollisionModel) -> T) -> T {
        let result = change(&mut self.model);
        // What was made elsewhere was made with the others where they stood then.
        if self.model.others().len() == self.others.len() {
            self.model.place_others(&self.others);
        }
        self.checker.fit(&self.model);
        result
    }

    fn place(&mut self, positions: &[f64]) {
        if let Some(bounds) = &mut self.bounds {
            self.tool_at = bounds.tool.at(|joint| positions[joint]);
            // From outside it may only come back: what was allowed never grows within a motion.
            let outside = bounds.workspace.map_or(0.0, |w| w.outside(&self.tool_at).max(0.0));
            self.outside = self.outside.min(outside);
        }
    }
}

impl CollisionSpace {
    /// All that touch where a motion was to begin, in words, and where that is; the deepest first, as many as a person reads.
    fn touching(&self) -> Option<String> {
        /// Characters of what touches, and of the joints.
        const LONG: usize = 300;
        /// A name, characters.
        const NAME: usize = 40;
        let short = |name: &str| reading::beginning(name, NAME);
        let touching = self.checker.touching(&self.model);
        let told = touching.iter().map(|t| {
            // Bodies of any size may come from a planning scene.
            let depth = if t.depth < 10.0 { format!("{:.1} mm", 1e3 * t.depth) } else { "more than 10 m".to_owned() };
            format!("'{}' and '{}' by {depth}", short(&t.a), short(&t.b))
        });
        let joints = self.model.joints().iter().zip(self.checker.configuration());
        let at = joints.map(|(name, q)| format!("{} {q:.3}", short(name)));
        let (told, at) = (within(told, LONG), within(at, LONG / 2));
        (!touching.is_empty()).then(|| format!("bodies are in each other: {told}, at {at}"))
    }
}

/// Items, one after the other, up to so many characters, and how many more there are. At least one.
fn within(items: impl Iterator<Item = String>, most: usize) -> String {
    let (mut text, mut more) = (String::new(), 0);
    for item in items {
        if text.is_empty() {
            text = item;
        } else if more == 0 && text.len() + item.len() <= most {
            text = format!("{text}, {item}");
        } else {
            more += 1;
        }
    }
    if more > 0 { format!("{text} and {more} more") } else { text }
}

impl From<TooClose> for Intrusion {
    fn from(found: TooClose) -> Self {
        Self::TooClose { pair: found.pair, clearance: found.clearance }
    }
}

impl Space for CollisionSpace {
    fn begin(&mut self, positions: &[f64]) -> Result<f64, Intrusion> {
        // Somebody else may have moved the robot since.
        self.outside = f64::INFINITY;
        self.place(positions);
        let clearance = self.checker.begin(&self.model, positions).map(|c| c.distance).map_err(Intrusion::from);
        self.barred = clearance.err();
        clearance
    }

    fn resume(&mut self, positions: &[f64]) {
        self.place(positions);
        self.barred = self.checker.resume(&self.model, positions).err().map(Intrusion::from);
    }

    fn advance(&mut self, positions: &[f64], step: &Step<'_>) -> Result<f64, Intrusion> {
        if let Some(barred) = self.barred {
            return Err(barred);
        }
        if let Some(bounds) = &mut self.bounds {
            /// Rounding, metres.
            const SLACK: f64 = 1.0e-6;
            let tool_at = bounds.tool.at(|joint| positions[joint]);
            let travel = (tool_at - self.tool_at).norm();
            self.tool_at = tool_at;
            if exceeds(travel, bounds.max_speed * step.seconds + SLACK) {
                return Err(Intrusion::ToolSpeed { speed: travel / step.seconds });
            }
            if let Some(workspace) = &bounds.workspace {
                // Between two samples the tool swings out of the chord by L^2 / (8 R), where R is the radius of its curve: hardly below
                // 10 cm for an arm that moves along.
                const RADIUS: f64 = 0.1;
                let by = workspace.outside(&tool_at) + travel * travel / (8.0 * RADIUS);
                if exceeds(by, self.outside + SLACK) {
                    return Err(Intrusion::OutsideWorkspace { by });
                }
            }
        }
        let found = self.checker.advance_within(&self.model, positions, step.travel, step.deviation)?;
        Ok(found.distance)
    }

    fn others(&self) -> &[String] {
        self.model.others()
    }

    fn asks_for(&self, other: usize) -> bool {
        let place = |bounds: &ToolBounds| bounds.workspace.is_some() && bounds.tool.hangs_on(other);
        let speed = |bounds: &ToolBounds| bounds.max_speed.is_finite() && bounds.tool.is_bent_by(other);
        self.model.asks_for(other) || self.bounds.as_ref().is_some_and(|bounds| place(bounds) || speed(bounds))
    }

    fn place_others(&mut self, positions: &[Option<f64>]) {
        if positions.len() != self.others.len() || positions.len() != self.model.others().len() {
            return;
        }
        self.others.copy_from_slice(positions);
        self.model.place_others(positions);
        if let Some(bounds) = &mut self.bounds {
            bounds.tool.place_others(positions);
        }
    }

    fn describe(&self, intrusion: &Intrusion) -> String {
        if self.barred.as_ref() == Some(intrusion)
            && let Some(touching) = self.touching()
        {
            return touching;
        }
        match intrusion {
            Intrusion::TooClose { pair, clearance } if *pair < self.model.pairs() => {
                let (a, b) = self.model.pair_names(*pair);
                format!("'{a}' would come within {:.1} mm of '{b}'", 1e3 * clearance.max(0.0))
            }
            other => other.to_string(),
        }
    }

    fn as_collision_space(&mut self) -> Option<&mut CollisionSpace> {
        Some(self)
    }
}
