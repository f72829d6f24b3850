//! What the controllers command: at every moment the newest window holds, joined by cubics; sampled every millisecond.

use crate::arm::Bounds;
use crate::meter::{Meter, UNIT};
use crate::track::{Rounding, Track, differences};

/// Time between samples of the command, in nanoseconds.
pub const SAMPLE: i64 = 1_000_000;
/// Samples kept, for states that are measured late.
pub const KEPT: usize = 1024;

/// The controllers of one robot.
#[derive(Debug, Clone)]
pub struct Follower {
    /// The window that each controller holds.
    pub tracks: Vec<Track>,
    /// Time of the next sample.
    next: i64,
    /// Samples since the command was last put elsewhere.
    chain: usize,
    /// Step of the points, in seconds: what their rounding weighs depends on it.
    step: f64,
    p: Vec<f64>,
    v: Vec<f64>,
    /// The last [`KEPT`] samples, positions of all joints each.
    ring: Vec<f64>,
    count: usize,
}

impl Follower {
    /// Controllers that hold a pose.
    pub fn new(places: impl IntoIterator<Item = Vec<usize>>, start: &[f64], now: i64, step: f64) -> Self {
        let mut made = Self {
            tracks: places.into_iter().map(Track::new).collect(),
            next: up_to_grid(now),
            chain: 0,
            step,
            p: start.to_vec(),
            v: vec![0.0; start.len()],
            ring: Vec::with_capacity(KEPT * start.len()),
            count: 0,
        };
        for _ in 0..KEPT {
            made.ring.extend_from_slice(start);
        }
        made
    }

    /// When the last of the windows ends.
    pub fn ends(&self) -> i64 {
        self.tracks.iter().map(Track::ends).max().unwrap_or(i64::MIN)
    }

    /// The command last sampled.
    pub fn command(&self) -> &[f64] {
        &self.p
    }

    /// The command `late` samples ago.
    pub fn earlier(&self, late: usize) -> &[f64] {
        let n = self.p.len();
        let slot = (self.count + KEPT - 1 - late.min(KEPT - 1)) % KEPT;
        &self.ring[slot * n..(slot + 1) * n]
    }

    /// The command at a time that is not before the last sample; says whether every joint rests there.
    pub fn command_at(&mut self, at: i64, p: &mut Vec<f64>) -> bool {
        p.clear();
        p.extend_from_slice(&self.p);
        let mut v = std::mem::take(&mut self.v);
        for track in &mut self.tracks {
            track.sample(at, p, &mut v);
        }
        let rests = v.iter().all(|v| *v == 0.0);
        self.v = v;
        rests
    }

    /// The command is put elsewhere: no difference is taken across.
    pub fn cut(&mut self) {
        self.chain = 0;
    }

    /// The clock went back to `now`: what is held goes on, moved by `by` (negative).
    pub fn rebase(&mut self, now: i64, by: i64) {
        self.tracks.iter_mut().for_each(|t| t.shift(by));
        self.next = up_to_grid(now);
        self.chain = 0;
    }

    /// Samples the command up to (not including) `now`, and holds the differences of the samples against the limits.
    pub fn advance(&mut self, now: i64, bounds: &Bounds, meter: &mut Meter) {
        let n = self.p.len();
        let over = self.ends().saturating_add(8 * SAMPLE);
        while self.next < now {
            if self.next > over && self.chain > 4 {
                // All at rest: the rest of the time is skipped.
                let left = (now - 1).saturating_sub(self.next) / SAMPLE + 1;
                self.next = self.next.saturating_add(left.saturating_mul(SAMPLE));
                for _ in 0..left.min(KEPT as i64) {
                    self.push();
                }
                return;
            }
            for track in &mut self.tracks {
                track.sample(self.next, &mut self.p, &mut self.v);
            }
            self.push();
            self.chain += 1;
            self.next = self.next.saturating_add(SAMPLE);
            if self.chain >= 4 {
                let h = SAMPLE as f64 * 1.0e-9;
                let slot = |back: usize| ((self.count + KEPT - 1 - back) % KEPT) * n;
                let (s0, s1, s2, s3) = (slot(3), slot(2), slot(1), slot(0));
                for j in 0..n {
                    let p = [self.ring[s0 + j], self.ring[s1 + j], self.ring[s2 + j], self.ring[s3 + j]];
                    if p[0] == p[3] && p[1] == p[2] && p[0] == p[1] {
                        continue;
                    }
                    // Rounding of the samples, and what that of the points leaves in the cubic between them.
                    let most = p[3].abs().max(p[0].abs());
                    let speed = bounds.velocity[j];
                    let points = Rounding::of(most, speed, self.step);
                    let e = UNIT * (4.0 * most + 8.0 * speed * self.step)
                        + points.j * h * h * h / 8.0
                        + 0.1875 * points.a * h * h;
                    meter.position(bounds, j, p[3], e, "sampled");
                    differences(p, h, e, bounds, j, meter, "sampled");
                }
            }
        }
    }

    fn push(&mut self) {
        let n = self.p.len();
        let slot = self.count % KEPT;
        self.ring[slot * n..(slot + 1) * n].copy_from_slice(&self.p);
        self.count += 1;
    }
}

fn up_to_grid(now: i64) -> i64 {
    let rest = now.rem_euclid(SAMPLE);
    if rest == 0 { now } else { now.saturating_add(SAMPLE - rest) }
}
