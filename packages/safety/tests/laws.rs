//! Laws of the whole filter, collisions included, on all robots of the fleet: deterministic to the bit, slower is never farther, the order of joints
//! does not matter, and what is safe already passes as it is.
#![allow(clippy::unwrap_used)]

#[path = "support/fleet.rs"]
mod fleet;

use efm_core::{ActionChunk, JointNames, JointSample, Stamp};
use efm_safety::{StreamConfig, Tick, TrajectoryStreamer};
use fleet::*;
use proptest::prelude::*;

/// What a streamer published at a tick: for each controller its name, the stamp and all rows.
type Published = Vec<(String, Stamp, Vec<Vec<f64>>)>;

/// A streamer with a robot behind it that stands where the last windows want it.
struct Stream {
    streamer: TrajectoryStreamer,
    names: JointNames,
    place: Vec<f64>,
    tick: i64,
}

impl Stream {
    fn new(robot: &Robot, names: &JointNames, config: StreamConfig) -> Self {
        let order = robot.names();
        let place = names.iter().map(|n| robot.home[order.index_of(n).unwrap()]).collect();
        Self { streamer: robot.streamer_for(names, config), names: names.clone(), place, tick: 0 }
    }

    fn now(&self) -> Stamp {
        Stamp::from_nanos(T0 + self.tick * PERIOD)
    }

    fn tick(&mut self) -> Published {
        let now = self.now();
        self.tick += 1;
        let velocities = vec![0.0; self.place.len()];
        let measured = JointSample { stamp: now, positions: self.place.clone(), velocities };
        let Tick::Send(out) = self.streamer.tick(now, Some((&measured, 0.0))) else { return Vec::new() };
        let mut published = Vec::new();
        for window in out.windows {
            for (i, name) in window.joints().iter().enumerate() {
                self.place[self.names.index_of(name).unwrap()] = window.positions(1)[i];
            }
            let rows = (0..window.len()).map(|k| [window.positions(k), window.velocities(k)].concat()).collect();
            published.push((window.controller().to_owned(), window.stamp(), rows));
        }
        published
    }

    fn at(&self, name: &str) -> f64 {
        self.place[self.names.index_of(name).unwrap()]
    }
}

/// Chunks as a seed has them, one every so many ticks: from sane to wild.
fn chunk(robot: &Robot, names: &JointNames, random: &mut Random, seconds: f64) -> ActionChunk {
    chunk_up_to(4, robot, names, random, seconds)
}

/// Of the four degrees of wildness only the first so many.
fn chunk_up_to(degrees: usize, robot: &Robot, names: &JointNames, random: &mut Random, seconds: f64) -> ActionChunk {
    let wild = [0.02, 0.1, 0.5, 2.0][random.below(degrees)];
    let to: Vec<f64> = names.iter().map(|_| random.signed()).collect();
    let jitter = if degrees > 1 { [0.0, 0.02][random.below(2)] } else { 0.0 };
    chunk_of(names, seconds, 16, 0.1, |t| {
        let along = (t - seconds) / 1.6;
        let joints = robot.home.iter().zip(&robot.expected).zip(&to);
        joints.map(|((home, l), to)| home + l[2] * (wild * to * along + jitter * (40.0 * t).sin())).collect()
    })
}

fn robots() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("six_joints"), Just("two_arms"), Just("rail_scara"), Just("coupled_gripper")]
}

/// Path that no joint turns back on, at about half of what the joints may.
fn onwards(robot: &Robot) -> impl Fn(f64) -> Vec<f64> + use<> {
    let (home, expected) = (robot.home.clone(), robot.expected.clone());
    move |t| {
        let way = gently(t) / 4.0;
        let far = |l: &[f64; 5], home: f64| {
            let room = if l[0].is_finite() { 0.4 * (l[1] - home) } else { 0.5 };
            room.min(0.4).min(l[2]).min(l[3])
        };
        home.iter().zip(&expected).map(|(home, l)| home + far(l, *home) * way.min(1.0)).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_inputs_give_the_same_windows_to_the_bit(name in robots(), seed: u64, every in 3..60_i64) {
        let robot = robot(name);
        let names = robot.names();
        let mut pair = [Stream::new(&robot, &names, robot.config()), Stream::new(&robot, &names, robot.config())];
        let mut random = Random(seed);
        let mut sent = 0;
        for k in 0..400 {
            if k % every == 0 {
                let chunk = chunk(&robot, &names, &mut random, k as f64 * DT);
                let taken = pair.each_mut().map(|s| s.streamer.offer_chunk(&chunk, s.now()));
                prop_assert_eq!(&taken[0], &taken[1]);
            }
            let scale = if random.below(40) == 0 { Some(random.signed().abs()) } else { None };
            let published = pair.each_mut().map(|s| {
                if let Some(scale) = scale {
                    s.streamer.set_speed_scale(scale).unwrap();
                }
                s.tick()
            });
            sent += published[0].len();
            // Bits, not values: 0 and -0 differ.
            let bits = |p: &Published| -> Vec<(String, Stamp, Vec<u64>)> {
                p.iter().map(|(c, t, rows)| (c.clone(), *t, rows.iter().flatten().map(|v| v.to_bits()).collect())).collect()
            };
            prop_assert_eq!(bits(&published[0]), bits(&published[1]));
        }
        prop_assert!(sent > 200);
    }

    #[test]
    fn the_order_of_the_joints_does_not_matter(name in robots(), seed: u64, every in 10..60_i64, order: u64) {
        let robot = robot(name);
        let names = robot.names();
        let (mut mixed, mut shuffle) = (names.as_slice().to_vec(), Random(order));
        (0..mixed.len()).for_each(|i| mixed.swap(i, i + shuffle.below(names.len() - i)));
        let mixed = JointNames::new(mixed).unwrap();
        let mut pair = [Stream::new(&robot, &names, robot.config()), Stream::new(&robot, &mixed, robot.config())];
        let mut random = Random(seed);
        let mut sent = 0;
        for k in 0..300 {
            if k % every == 0 {
                let chunk = chunk(&robot, &names, &mut random, k as f64 * DT);
                let _ = pair.each_mut().map(|s| s.streamer.offer_chunk(&chunk, s.now()));
            }
            let [one, other] = pair.each_mut().map(Stream::tick);
            prop_assert_eq!(&one, &other);
            sent += one.len();
        }
        prop_assert!(sent > 200);
    }

    #[test]
    fn a_lower_speed_scale_is_never_farther_on_the_path(
        name in robots(),
        scales in prop::collection::vec((0.0..1.0_f64, 0.0..1.0_f64), 12),
    ) {
        let robot = robot(name);
        let names = robot.names();
        let config = || StreamConfig { max_observation_age_s: 60.0, ..robot.config() };
        let mut pair = [Stream::new(&robot, &names, config()), Stream::new(&robot, &names, config())];
        let path = onwards(&robot);
        let chunk = chunk_of(&names, 0.0, 80, 0.05, &path);
        // What goes along the path; a hand follows as fast as it may.
        let followers: Vec<&str> = names.iter().filter(|n| !robot.grippers.contains(n)).collect();
        let mut furthest = [0.0_f64; 2];
        for k in 0..500_usize {
            let (a, b) = scales[(k / 25) % scales.len()];
            for (stream, scale) in pair.iter_mut().zip([a.min(b), a.max(b)]) {
                stream.streamer.set_speed_scale(scale).unwrap();
                if k == 0 {
                    stream.streamer.offer_chunk(&chunk, stream.now()).unwrap();
                }
                stream.tick();
            }
            for joint in &followers {
                let [slow, fast] = pair.each_ref().map(|s| s.at(joint));
                prop_assert!(slow <= fast + 1e-4, "{joint} is at {slow} instead of {fast} at most, tick {k}");
                furthest = [furthest[0].max(slow), furthest[1].max(fast)];
            }
        }
        prop_assert!(furthest[1] > 0.01);
    }

    #[test]
    fn what_is_safe_passes_as_it_is(name in robots(), seed: u64, sane: bool) {
        let robot = robot(name);
        let names = robot.names();
        let mut random = Random(seed);
        // Something that the filter made of something else, with seams, slowed down and stopped; with a lower share of the limits than the next
        // may follow with, for a stop may use all of them.
        let mut first = Stream::new(&robot, &names, StreamConfig { share: 0.8, ..robot.config() });
        let mut went = Vec::new();
        for k in 0..300 {
            if k % 20 == 0 && k < 220 {
                let degrees = if sane { 1 } else { 4 };
                let chunk = chunk_up_to(degrees, &robot, &names, &mut random, k as f64 * DT);
                let _ = first.streamer.offer_chunk(&chunk, first.now());
            }
            first.tick();
            went.push(first.place.clone());
        }
        // The same again, as a chunk.
        let config = StreamConfig { max_observation_age_s: 60.0, ..robot.config() };
        let mut again = Stream::new(&robot, &names, config);
        let rows: Vec<f64> = went[1..].concat();
        again.streamer.offer_chunk(&ActionChunk::new(at(0.0), DT, names.clone(), rows).unwrap(), at(0.0)).unwrap();
        let came: Vec<Vec<f64>> = (0..went.len())
            .map(|_| {
                again.tick();
                again.place.clone()
            })
            .collect();
        let later = if sane { 2 } else { 60 };
        let mut worst = 0.0_f64;
        for (k, row) in went.iter().enumerate().take(if sane { 297 } else { 240 }) {
            // At the same time, or up to two ticks later. What was at its limits comes later, on the same path (but a hand, which keeps to the
            // clock and not to the path).
            let off = |ends: &[Vec<f64>], s: f64| {
                let between = ends[0].iter().zip(&ends[1]).map(|(a, b)| a + (b - a) * s);
                let joints = row.iter().zip(between).zip(names.iter());
                let counts = joints.filter(|(_, name)| sane || !robot.grippers.contains(name));
                counts.map(|((p, q), _)| (p - q).abs()).fold(0.0, f64::max)
            };
            let after = came[k..].windows(2).take(later);
            let least = after.flat_map(|ends| (0..=20).map(|i| off(ends, f64::from(i) / 20.0)));
            let least = least.fold(f64::INFINITY, f64::min);
            // Some 5 mrad is what a run at all limits is off the path; 5.5 was seen once (rail_scara, seed 2277440797210463402).
            prop_assert!(least < if sane { 1e-3 } else { 7e-3 }, "off by {least} at tick {k}: {row:?} and {:?}", came[k]);
            worst = worst.max(least);
        }
        println!("{name} {sane}: {:.3} mrad", 1e3 * worst);
    }
}
