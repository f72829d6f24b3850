//! What is sent was shown to the space in whole: every configuration to the bit, and bounds that hold between them and are no wider
//! than the motion asks for. Judged by the messages alone.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use efm_core::{JointNames, Stamp};
use efm_safety::{ControllerSpec, Intrusion, Outgoing, Space, Step, Surroundings, Tick, TrajectoryStreamer};
use panda::*;
use std::sync::{Arc, Mutex};

const DT: f64 = PERIOD as f64 * 1e-9;

struct Shown {
    q: Vec<f64>,
    seconds: f64,
    travel: Vec<f64>,
    deviation: Vec<f64>,
}

/// A chain as it was shown, from where it was taken up.
#[derive(Default)]
struct Chain {
    start: Vec<f64>,
    steps: Vec<Shown>,
}

/// Allows everything and remembers what it was shown.
struct Witness(Arc<Mutex<Vec<Chain>>>);

impl Space for Witness {
    fn begin(&mut self, positions: &[f64]) -> Result<f64, Intrusion> {
        self.resume(positions);
        Ok(1.0)
    }

    fn resume(&mut self, positions: &[f64]) {
        self.0.lock().unwrap().push(Chain { start: positions.to_vec(), steps: Vec::new() });
    }

    fn advance(&mut self, positions: &[f64], step: &Step<'_>) -> Result<f64, Intrusion> {
        let mut chains = self.0.lock().unwrap();
        let steps = &mut chains.last_mut().unwrap().steps;
        steps.push(Shown {
            q: positions.to_vec(),
            seconds: step.seconds,
            travel: step.travel.to_vec(),
            deviation: step.deviation.to_vec(),
        });
        // The third step is the closest.
        Ok(if steps.len() == 3 { 0.25 } else { 0.5 })
    }
}

/// Positions and velocities of every joint at every point of what was sent.
fn points(out: &Outgoing<'_>) -> Vec<([f64; 8], [f64; 8])> {
    (0..out.windows[0].len())
        .map(|k| {
            let join = |arm: &[f64], hand: &[f64]| std::array::from_fn(|j| if j < 7 { arm[j] } else { hand[0] });
            let (arm, hand) = (&out.windows[0], &out.windows[1]);
            (join(arm.positions(k), hand.positions(k)), join(arm.velocities(k), hand.velocities(k)))
        })
        .collect()
}

/// Checks a step of the chain, which goes from point `from` to point `to`.
fn check_step(step: &Shown, points: &[([f64; 8], [f64; 8])], from: usize, to: usize) {
    let seconds = (to - from) as f64 * DT;
    assert!((step.seconds - seconds).abs() < 1e-12);
    assert!(seconds < 0.021, "configurations lie {seconds} s apart");
    for j in 0..8 {
        let at = |k: usize| (points[k].0[j], points[k].1[j]);
        let (mut speed, mut acceleration) = (0.0_f64, 0.0_f64);
        for k in from..to {
            let ((p0, v0), (p1, v1)) = (at(k), at(k + 1));
            let rise = (p1 - p0) / DT;
            let (a0, a1) = ((6.0 * rise - 4.0 * v0 - 2.0 * v1) / DT, (2.0 * v0 + 4.0 * v1 - 6.0 * rise) / DT);
            for i in 0..=20 {
                let t = f64::from(i) / 20.0 * DT;
                let p = p0 + t * (v0 + t * (a0 / 2.0 + t * (a1 - a0) / DT / 6.0));
                let s = ((k - from) as f64 * DT + t) / seconds;
                let chord = at(from).0 + s * (at(to).0 - at(from).0);
                let allowed = 4.0 * s * (1.0 - s) * step.deviation[j];
                assert!((p - chord).abs() <= allowed + 1e-12, "joint {j} is {} off, not {allowed}", p - chord);
            }
            speed = speed.max(v0.abs()).max(v1.abs());
            if a0 * a1 < 0.0 {
                speed = speed.max((v0 + a0 * a0 / (a0 - a1) * DT / 2.0).abs());
            }
            acceleration = acceleration.max(a0.abs()).max(a1.abs());
        }
        let (travel, bow) = (speed * seconds, acceleration * seconds * seconds / 8.0);
        assert!((step.travel[j] - travel).abs() < 1e-11, "joint {j} travels {travel}, not {}", step.travel[j]);
        // Rounding of positions, by the square of the period.
        assert!((step.deviation[j] - bow).abs() < 1e-12, "joint {j} bows {bow}, not {}", step.deviation[j]);
    }
}

/// Finds the chain in what was sent and checks it; false when it is not there.
fn check(chain: &Chain, points: &[([f64; 8], [f64; 8])]) -> bool {
    let lies = |start: usize| {
        let mut k = start;
        points[start].0 == chain.start[..]
            && chain.steps.iter().all(|step| {
                k += (step.seconds / DT).round() as usize;
                k < points.len() && points[k].0 == step.q[..]
            })
    };
    // Where the robot rests at first, the last of the places where the chain may begin is its own.
    let Some(start) = (0..points.len()).rev().find(|k| lies(*k)) else { return false };
    let mut k = start;
    for step in &chain.steps {
        let to = k + (step.seconds / DT).round() as usize;
        check_step(step, points, k, to);
        k = to;
    }
    // It leads to rest, and what is sent stays there.
    for (p, v) in &points[k..] {
        assert_eq!((p, v), (&points[k].0, &[0.0; 8]));
    }
    true
}

#[test]
fn what_is_sent_was_shown_to_its_end_with_bounds_that_hold_and_are_tight() {
    let shown = Arc::new(Mutex::new(Vec::new()));
    let controllers = vec![
        ControllerSpec {
            name: "arm".into(),
            joints: JointNames::new((1..=7).map(|i| format!("panda_joint{i}"))).unwrap(),
        },
        ControllerSpec { name: "hand".into(), joints: JointNames::new(["panda_finger_joint1"]).unwrap() },
    ];
    let around = Surroundings { space: Some(Box::new(Witness(shown.clone()))), tool: None };
    let mut streamer = TrajectoryStreamer::within(around, limits(), controllers, config()).unwrap();
    streamer.arm(true, at(0.0));
    let mut recorder = Recorder::new();
    let (mut checked, mut long) = (0, 0);
    for tick in 0..400_i64 {
        let now = Stamp::from_nanos(T0 + tick * PERIOD);
        let seconds = tick as f64 * DT;
        if tick % 40 == 1 && tick < 300 {
            // To and fro, each joint in its own time; the gripper as well.
            let way = move |t: f64| {
                let mut q = HOME;
                for (j, q) in q.iter_mut().enumerate().take(7) {
                    *q += 0.15 * (1.0 - (t * (1.5 + 0.4 * j as f64)).cos());
                }
                q[FINGER] += 0.01 * (t * 3.0).sin();
                q
            };
            streamer.offer_chunk(&chunk_of(seconds, 10, 0.1, way), now).unwrap();
        }
        if tick == 310 {
            streamer.stop(now);
        }
        let measured = sample(now, &recorder.position(now, &HOME));
        if let Tick::Send(out) = streamer.tick(now, Some((&measured, 0.002))) {
            recorder.take(now, &out);
            let points = points(&out);
            if let Some(chain) = shown.lock().unwrap().last() {
                assert!(check(chain, &points), "tick {tick}: the last chain that was shown is not what is sent");
                checked += 1;
                long += usize::from(chain.steps.len() > 5);
            }
        }
        shown.lock().unwrap().clear();
    }
    assert!(checked > 250 && long > 150, "{checked} {long}");
}
