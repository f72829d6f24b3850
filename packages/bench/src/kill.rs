//! The publisher dies at a random moment of a sane stream: no tick and no message comes any more. The controllers (the model of
//! the real joint_trajectory_controller in `efm_sim::jtc`, at 500 Hz) go on with what they have.
//!
//! Asked of every run: the arm is at rest afterwards, it got there on the last window that was published, exactly, and no later than
//! [`FACTOR`] times the shortest jerk-limited stop of the loaded limits plus [`GRACE_S`]: that of the joint that takes longest from its top
//! speed, one number for a robot. Told beside it: how it compares with the shortest stop from the very state at the moment of death.

use crate::arm::{Bounds, Panda};
use crate::episode::{Filtered, Said};
use crate::meter::Meter;
use crate::rng::Rng;
use crate::stimulus::Stimulus;
use anyhow::{Context, Result, bail};
use efm_core::{JointNames, Stamp};
use efm_sim::jtc::{JointTrajectoryController, JtcConfig};
use rsruckig::prelude::*;
use serde_json::{Value, json};

/// How much longer than the shortest stop it may take.
pub const FACTOR: f64 = 1.2;
/// And how many seconds more.
pub const GRACE_S: f64 = 0.05;

/// Time between updates of the controllers.
const UPDATE: i64 = 2_000_000;
/// How close to the published window the command stays, radians or metres.
const ON_TAIL: f64 = 1.0e-9;

/// How one death went.
#[derive(Debug, Clone, PartialEq)]
pub struct Death {
    /// Seed of the run.
    pub seed: u64,
    /// Whether it had the Panda's limits.
    pub panda: bool,
    /// Seconds from death to rest.
    pub rest_s: f64,
    /// Seconds from death until every joint is slower than a hundredth of its velocity limit, for good.
    pub slow_s: f64,
    /// Seconds of the shortest jerk-limited stop of the loaded limits: from its top speed, of the joint that takes longest.
    pub loaded_s: f64,
    /// Seconds of the shortest jerk-limited stop from the state at death, of the slowest joint.
    pub shortest_s: f64,
    /// Seconds of the shortest way to rest that keeps what was committed by then: to the end of the committed part of the last
    /// window, and the shortest jerk-limited stop from there.
    pub shortest_committed_s: f64,
    /// Whether it was at rest in the end.
    pub at_rest: bool,
    /// Largest distance of the command from the last window, radians or metres.
    pub off_tail: f64,
    /// Violations of the stream before and after.
    pub violations: u64,
}

impl Death {
    /// Whether everything asked was kept.
    pub fn is_good(&self) -> bool {
        self.at_rest && self.off_tail <= ON_TAIL && self.violations == 0 && self.excess_loaded_s() <= 0.0
    }

    /// Seconds beyond what the loaded limits allow; negative when it was in time. A state whose acceleration still adds to its speed may take
    /// longer to stop, by any means, than one at top speed: then that is the measure.
    pub fn excess_loaded_s(&self) -> f64 {
        self.rest_s - FACTOR * self.loaded_s.max(self.shortest_s) - GRACE_S
    }

    /// Seconds beyond what would be allowed if the committed part did not count; negative when it was in time.
    pub fn excess_committed_s(&self) -> f64 {
        self.rest_s - FACTOR * self.shortest_committed_s - GRACE_S
    }

    /// Whether any filter that had committed the same could have been in time.
    pub fn is_possible(&self) -> bool {
        self.shortest_committed_s <= FACTOR * self.shortest_s + GRACE_S
    }

    /// Seconds beyond what would be allowed from the state at death; negative when it was in time for that too.
    pub fn excess_s(&self) -> f64 {
        self.rest_s - FACTOR * self.shortest_s - GRACE_S
    }
}

/// Seconds of the time-optimal stop of a joint that moves with `v` and `a`.
///
/// # Errors
/// When Ruckig finds none.
pub fn shortest_stop(v: f64, a: f64, bounds: &Bounds, joint: usize) -> Result<f64> {
    if bounds.gripper[joint] {
        return Ok(v.abs() / bounds.acceleration[joint]);
    }
    let mut otg = Ruckig::<1, ThrowErrorHandler>::new(None, 0.001);
    let mut input = InputParameter::<1>::new(None);
    input.control_interface = ControlInterface::Velocity;
    input.current_velocity[0] = v;
    // What rounding adds would be refused.
    let most = bounds.acceleration[joint];
    input.current_acceleration[0] = a.clamp(-most, most);
    input.max_acceleration[0] = most;
    input.max_jerk[0] = bounds.jerk[joint];
    let mut way = Trajectory::new(None);
    match otg.calculate(&input, &mut way) {
        Ok(_) => Ok(way.get_duration()),
        Err(error) => bail!("no shortest stop from velocity {v}, acceleration {a}: {error:?}"),
    }
}

/// Seconds of the shortest jerk-limited stop of a robot's limits: from its top speed, of the joint that takes longest.
///
/// # Errors
/// When Ruckig finds none.
pub fn longest_shortest_stop(bounds: &Bounds) -> Result<f64> {
    (0..bounds.len())
        .try_fold(0.0, |most: f64, joint| Ok(most.max(shortest_stop(bounds.velocity[joint], 0.0, bounds, joint)?)))
}

struct Controllers {
    each: Vec<JointTrajectoryController>,
    places: Vec<Vec<usize>>,
    /// Time of the last update.
    at: i64,
}

impl Controllers {
    fn new(stimulus: &Stimulus, at: i64) -> Result<Self> {
        let arm = &stimulus.arm;
        let mut each = vec![];
        for (_, places) in &arm.controllers {
            let names = JointNames::new(places.iter().map(|p| arm.bounds.names[*p].clone()))?;
            let mut made = JointTrajectoryController::new(JtcConfig::new(names));
            made.reset(&places.iter().map(|p| arm.start[*p]).collect::<Vec<_>>());
            each.push(made);
        }
        Ok(Self { each, places: arm.controllers.iter().map(|c| c.1.clone()).collect(), at })
    }

    /// Updates up to a time; each writes what it commands.
    fn run(&mut self, until: i64, mut seen: impl FnMut(i64, &[JointTrajectoryController])) {
        while self.at + UPDATE <= until {
            self.at += UPDATE;
            for controller in &mut self.each {
                controller.update(Stamp::from_nanos(self.at));
            }
            seen(self.at, &self.each);
        }
    }

    /// Whether a joint is faster than a part of its limit.
    fn moves(&self, bounds: &Bounds, part: f64) -> bool {
        self.each.iter().zip(&self.places).any(|(controller, places)| {
            places
                .iter()
                .zip(&controller.command().velocities)
                .any(|(place, v)| v.abs() > part * bounds.velocity[*place])
        })
    }
}

/// Settings that replace those of the robots.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// `StreamConfig::window_s`.
    pub window_s: Option<f64>,
    /// `StreamConfig::committed_s`.
    pub committed_s: Option<f64>,
    /// Robots with other limits than the Panda's never move.
    pub panda_only: bool,
}

/// Lets the publisher die once; `None` when the arm never moved, or is not to.
///
/// # Errors
/// When a controller refuses a message, or the run cannot be set up.
pub fn die(seed: u64, panda: &Panda, settings: Settings) -> Result<Option<Death>> {
    let mut stimulus = Stimulus::sane(seed, panda);
    if settings.panda_only && !stimulus.panda {
        return Ok(None);
    }
    let config = &mut stimulus.arm.config;
    config.committed_s = settings.committed_s.unwrap_or(config.committed_s);
    config.window_s = settings.window_s.unwrap_or(config.window_s).max(config.committed_s);
    let bounds = stimulus.arm.bounds.clone();
    let mut rng = Rng::new(seed ^ 0xDEAD);
    let (earliest, part) = (20 + rng.below(1000), rng.unit());
    let mut filtered = Filtered::new(&stimulus)?;
    let mut meter = Meter::new(seed, "kill");
    let mut controllers = Controllers::new(&stimulus, crate::stimulus::T0)?;
    let period = (stimulus.arm.config.period_s * 1.0e9) as i64;
    let committed = (stimulus.arm.config.committed_s * 1.0e9) as i64;
    let mut death = None;
    let mut published = 0;
    for tick in 0..earliest + 1500 {
        let event = stimulus.advance();
        controllers.run(event.now, |_, _| ());
        if filtered.event(event, &mut meter) == Said::Sent {
            published = event.now;
            for (controller, message) in controllers.each.iter_mut().zip(filtered.messages()) {
                controller.accept(message, Stamp::from_nanos(event.now)).context("a published message was refused")?;
            }
        }
        if tick >= earliest {
            let at = event.now + (part * period as f64) as i64;
            controllers.run(at, |_, _| ());
            // Slower than a millionth of its limit is no motion.
            if controllers.moves(&bounds, 1.0e-6) {
                death = Some(at);
                break;
            }
        }
    }
    let Some(death) = death else { return Ok(None) };

    let mut shortest_s = 0.0f64;
    for (controller, places) in controllers.each.iter().zip(&controllers.places) {
        let command = controller.command();
        for (c, place) in places.iter().enumerate() {
            shortest_s =
                shortest_s.max(shortest_stop(command.velocities[c], command.accelerations[c], &bounds, *place)?);
        }
    }
    let turn = death.max(published + committed);
    let shortest_committed_s = (turn - death) as f64 * 1.0e-9
        + filtered.checker.follower().tracks.iter().try_fold(0.0f64, |most, track| {
            let stop = |(place, v, a): (usize, f64, f64)| shortest_stop(v, a, &bounds, place);
            track.moving_at(turn).into_iter().map(stop).try_fold(most, |m, s| s.map(|s| s.max(m)))
        })?;
    // What the judge's own reading of the last window says, and what the controllers do with it.
    let mut tracks = filtered.checker.follower().tracks.clone();
    let mut command = vec![0.0; bounds.len()];
    let mut speed = command.clone();
    let mut before: Vec<Vec<f64>> = controllers.each.iter().map(|c| c.command().positions.clone()).collect();
    let (mut last_move, mut last_fast, mut off_tail) = (death, death, 0.0f64);
    let until = filtered.checker.follower().ends().max(death) + 1_000_000_000;
    let places = controllers.places.clone();
    controllers.run(until, |at, each| {
        for (i, controller) in each.iter().enumerate() {
            let now = &controller.command().positions;
            if *now != before[i] || controller.command().velocities.iter().any(|v| *v != 0.0) {
                last_move = at + UPDATE;
                before[i].copy_from_slice(now);
            }
            let fast =
                |(c, place): (usize, &usize)| controller.command().velocities[c].abs() > 0.01 * bounds.velocity[*place];
            if places[i].iter().enumerate().any(fast) {
                last_fast = at + UPDATE;
            }
            tracks[i].sample(at + UPDATE, &mut command, &mut speed);
            for (c, place) in places[i].iter().enumerate() {
                off_tail = off_tail.max((now[c] - command[*place]).abs());
            }
        }
    });
    let ends = controllers.each.iter().zip(&filtered.checker.follower().tracks).all(|(controller, track)| {
        let end = &track.p[(track.len() - 1) * track.places.len()..];
        controller.command().positions == end && controller.command().velocities.iter().all(|v| *v == 0.0)
    });
    filtered.checker.advance(until, until - death, &mut meter);
    meter.close();
    Ok(Some(Death {
        seed,
        panda: stimulus.panda,
        slow_s: (last_fast - death) as f64 * 1.0e-9,
        rest_s: (last_move - death) as f64 * 1.0e-9,
        loaded_s: longest_shortest_stop(&bounds)?,
        shortest_s,
        // Where it was over before, there was nothing left to do.
        shortest_committed_s: shortest_committed_s.min((last_move - death) as f64 * 1.0e-9),
        at_rest: ends && last_move < until - 500_000_000,
        off_tail,
        violations: meter.tally.total(),
    }))
}

/// Quantiles of a value over the deaths.
fn quantiles(deaths: &[&Death], of: impl Fn(&Death) -> f64) -> Value {
    let mut values: Vec<f64> = deaths.iter().map(|d| of(d)).collect();
    values.sort_by(f64::total_cmp);
    let at = |part: f64| values.get(((values.len().max(1) - 1) as f64 * part).round() as usize).copied();
    json!({ "min": at(0.0), "p10": at(0.1), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "max": at(1.0) })
}

/// What the deaths came to.
pub fn summary(deaths: &[Death]) -> Value {
    let part = |chosen: Vec<&Death>| {
        json!({
            "runs": chosen.len(),
            "good": chosen.iter().filter(|d| d.is_good()).count(),
            "at_rest": chosen.iter().filter(|d| d.at_rest).count(),
            "on_the_tail": chosen.iter().filter(|d| d.off_tail <= ON_TAIL).count(),
            "in_time": chosen.iter().filter(|d| d.excess_loaded_s() <= 0.0).count(),
            "in_time_from_state": chosen.iter().filter(|d| d.excess_s() <= 0.0).count(),
            "violations": chosen.iter().map(|d| d.violations).sum::<u64>(),
            "rest_s": quantiles(&chosen, |d| d.rest_s),
            "slow_s": quantiles(&chosen, |d| d.slow_s),
            "loaded_s": quantiles(&chosen, |d| d.loaded_s),
            "excess_loaded_s": quantiles(&chosen, Death::excess_loaded_s),
            "shortest_s": quantiles(&chosen, |d| d.shortest_s),
            "ratio": quantiles(&chosen, |d| d.rest_s / d.shortest_s),
            "excess_s": quantiles(&chosen, Death::excess_s),
            "possible": chosen.iter().filter(|d| d.is_possible()).count(),
            "in_time_committed": chosen.iter().filter(|d| d.excess_committed_s() <= 0.0).count(),
            "shortest_committed_s": quantiles(&chosen, |d| d.shortest_committed_s),
            "ratio_committed": quantiles(&chosen, |d| d.rest_s / d.shortest_committed_s),
            "excess_committed_s": quantiles(&chosen, Death::excess_committed_s),
        })
    };
    let mut all = part(deaths.iter().collect());
    all["panda"] = part(deaths.iter().filter(|d| d.panda).collect());
    let mut worst: Vec<&Death> = deaths.iter().filter(|d| !d.is_good()).collect();
    worst.sort_by(|a, b| b.excess_loaded_s().total_cmp(&a.excess_loaded_s()));
    all["worst"] = worst
        .iter()
        .take(10)
        .map(|d| {
            json!({ "seed": d.seed, "panda": d.panda, "rest_s": d.rest_s, "slow_s": d.slow_s, "loaded_s": d.loaded_s, "shortest_s": d.shortest_s,
                "at_rest": d.at_rest, "off_tail": d.off_tail, "violations": d.violations })
        })
        .collect();
    all
}

/// The summary as text.
pub fn table(summary: &Value) -> String {
    let mut out = String::new();
    for (name, part) in [("all", summary), ("Panda", &summary["panda"])] {
        out += &format!(
            "{name}: {} deaths in motion; at rest afterwards {}, on the published tail {}, in time {}, good {}\n  \
             within 1.2 x + 0.05 s of the shortest stop from the state at death {} (possible with what was committed: {}; if that part did not count: {})\n",
            part["runs"],
            part["at_rest"],
            part["on_the_tail"],
            part["in_time"],
            part["good"],
            part["in_time_from_state"],
            part["possible"],
            part["in_time_committed"]
        );
        for (key, label) in [
            ("rest_s", "death to rest, s"),
            ("slow_s", "death to 1 % speed, s"),
            ("loaded_s", "stop of the limits, s"),
            ("excess_loaded_s", "beyond 1.2 x + 0.05 s"),
            ("shortest_s", "shortest from state, s"),
            ("ratio", "ratio to that"),
            ("excess_s", "beyond 1.2 x + 0.05 s"),
            ("shortest_committed_s", "shortest, committed, s"),
            ("ratio_committed", "ratio to that"),
            ("excess_committed_s", "beyond 1.2 x + 0.05 s"),
        ] {
            out += &format!("  {label:<24}");
            for q in ["min", "p10", "p50", "p90", "p99", "max"] {
                out += &format!("{q} {:<10.3}", part[key][q].as_f64().unwrap_or(f64::NAN));
            }
            out.push('\n');
        }
    }
    for d in summary["worst"].as_array().into_iter().flatten() {
        out += &format!("  --death {}: {d}\n", d["seed"]);
    }
    out
}
