//! How long a tick takes: `cargo run --release -p efm_safety --example tick_time`.
//!
//! A Panda with its hand, 100 Hz, a new chunk every 0.2 s; once a chunk stream that can be followed, once one that jumps about, so
//! that the time-optimal approach and the search at the limits run all the time.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/panda.rs"]
mod panda;

use efm_safety::Tick;
use panda::*;
use std::time::Instant;

const TICKS: usize = 10_000;

/// Nanoseconds of each tick.
fn run(jumpy: bool) -> Vec<u128> {
    let mut streamer = streamer();
    streamer.arm(true, at(0.0));
    let mut measured = sample(at(0.0), &HOME);
    let mut times = Vec::with_capacity(TICKS);
    let mut seed = 1u64;
    for tick in 0..TICKS {
        let t = tick as f64 * 0.01;
        if tick % 20 == 0 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let far = (seed >> 40) as f64 / (1u64 << 24) as f64 * 4.0 - 2.0;
            let wanted = |t: f64| {
                std::array::from_fn(|j| match (jumpy, j) {
                    (_, FINGER) => HOME[j],
                    (false, _) => HOME[j] + 0.3 * (t + j as f64).sin(),
                    (true, _) => HOME[j] + far,
                })
            };
            streamer.offer_chunk(&chunk_of(t, 16, 0.1, wanted), at(t)).unwrap();
        }
        measured.stamp = at(t);
        let start = Instant::now();
        let said = streamer.tick(at(t), Some((&measured, 0.0)));
        times.push(start.elapsed().as_nanos());
        if let Tick::Send(out) = said {
            measured.positions[..7].copy_from_slice(out.windows[0].positions(1));
            measured.positions[7] = out.windows[1].positions(1)[0];
        }
    }
    times
}

fn main() {
    for (name, jumpy) in [("smooth chunks", false), ("jumping chunks", true)] {
        // Every run does the same, so the least time of each tick is what it costs on a machine of its own.
        let runs: Vec<Vec<u128>> = (0..15).map(|_| run(jumpy)).collect();
        let mut times: Vec<u128> = (0..TICKS).filter_map(|i| runs.iter().map(|r| r[i]).min()).collect();
        times.sort_unstable();
        let at = |share: f64| times[(share * (times.len() - 1) as f64) as usize] as f64 / 1000.0;
        println!("{name}: p50 {:.1} us, p99 {:.1} us, max {:.1} us", at(0.5), at(0.99), at(1.0));
    }
}
