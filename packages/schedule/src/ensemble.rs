//! Temporal ensembling: chunks that cover the same time are averaged.

use crate::rows::Rows;
use efm_core::Stamp;
use std::collections::VecDeque;

/// Chunks that are averaged at most; the oldest gives way.
pub const MAX_ENSEMBLE: usize = 32;

/// A time this close to a chunk's ends is covered: stamps are rounded to nanoseconds.
const ROUNDING_NANOS: i64 = 1_000;

#[derive(Debug)]
struct Member {
    rows: Rows,
    /// How far plan time was behind the clock at its observation, nanoseconds.
    lag: i64,
}

/// The last chunks that were put in use, oldest first.
#[derive(Debug)]
pub(crate) struct Ensemble {
    members: VecDeque<Member>,
}

impl Ensemble {
    pub fn new() -> Self {
        Self { members: VecDeque::with_capacity(MAX_ENSEMBLE) }
    }

    pub fn clear(&mut self) {
        self.members.clear();
    }

    /// Adds `rows` and puts into `mean`, which has the same times, the weighted mean of all chunks at each of them. `at` is a plan time:
    /// chunks that are over by then are forgotten. Allocates nothing.
    pub fn add(&mut self, rows: Rows, lag: i64, at: Stamp, m: f64, straight: &[bool], mean: &mut Rows) {
        self.members.retain(|member| member.rows.last >= at.offset_nanos(member.lag));
        if self.members.len() >= MAX_ENSEMBLE {
            self.members.pop_front();
        }
        self.members.push_back(Member { rows, lag });
        let older = (-m).exp();
        for row in 0..mean.len() {
            let time = mean.time_of(row).offset_nanos(-lag);
            // Which chunks count at this time, and where it lies among their rows, is the same for all joints.
            let mut covering = [None; MAX_ENSEMBLE];
            let mut weight = 1.0;
            for (member, covers) in self.members.iter().zip(&mut covering) {
                let time = time.offset_nanos(member.lag);
                let early = member.rows.first.nanos_since(time) > ROUNDING_NANOS;
                if early || time.nanos_since(member.rows.last) > ROUNDING_NANOS {
                    continue;
                }
                // The ends themselves, where rounding put it beyond them.
                let time = time.max(member.rows.first).min(member.rows.last);
                *covers = Some((weight, member.rows.place(time)));
                weight *= older;
            }
            for (joint, straight) in straight.iter().enumerate() {
                let (mut sum, mut weights) = (0.0, 0.0);
                for (member, covers) in self.members.iter().zip(&covering) {
                    let Some((weight, place)) = covers else { continue };
                    sum += weight * member.rows.at(joint, *straight, place).position;
                    weights += weight;
                }
                // The chunk itself always covers its rows.
                if weights > 0.0 {
                    mean.set(row, joint, sum / weights);
                }
            }
        }
        mean.rebuild(straight);
    }
}
