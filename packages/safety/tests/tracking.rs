//! How well a feasible reference is followed.
#![allow(clippy::unwrap_used)]

#[path = "support/panda.rs"]
mod panda;

use panda::*;
use std::f64::consts::TAU;

/// A smooth feasible motion of all joints, at rest at first, up to 0.5 rad/s.
fn wanted(t: f64) -> [f64; 8] {
    let mut q = HOME;
    let ease = if t < 1.0 { t * t * t * (10.0 - 15.0 * t + 6.0 * t * t) } else { 1.0 };
    for (j, q) in q.iter_mut().take(7).enumerate() {
        let f = 0.25 + 0.02 * j as f64;
        *q +=
            ease * 0.5 / (TAU * f) * ((TAU * f * t).cos() - 1.0).max(-2.0) * if j % 2 == 0 { 1.0 } else { -1.0 } * 0.9;
    }
    q[7] = if (t as i64) % 2 == 0 { 0.02 } else { 0.035 };
    q
}

struct Figures {
    error: f64,
    jerk_rms: f64,
    jerk_peak: f64,
    wanted_jerk_rms: f64,
}

fn run(replan: f64, latency: f64, noise: f64) -> Figures {
    let mut streamer = streamer();
    let mut recorder = Recorder::new();
    streamer.arm(true, at(0.0));
    let mut seed = 1u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as f64 / (1u64 << 31) as f64 * 2.0 - 1.0
    };
    let mut next = 0.0;
    for tick in 0..1000 {
        let t = tick as f64 * 0.01;
        if t >= next + latency {
            let bias: [f64; 8] = std::array::from_fn(|j| if j < 7 { noise * random() } else { 0.0 });
            let chunk = chunk_of(next, 16, 0.1, |t| {
                let mut q = wanted(t);
                q.iter_mut().zip(&bias).for_each(|(q, b)| *q += b);
                q
            });
            streamer.offer_chunk(&chunk, at(t)).unwrap();
            next += replan;
        }
        let sent = step(&mut streamer, &mut recorder, at(t));
        assert!(sent || t < latency, "nothing sent at {t}");
    }
    let (mut error, mut jerk_sum, mut jerk_peak, mut wanted_sum, mut n) = (0.0f64, 0.0, 0.0f64, 0.0, 0.0);
    let f = &recorder.followed;
    for k in 150..f.len() - 2 {
        let t = f[k].0 as f64 * 1e-9;
        for j in 0..7 {
            error = error.max((f[k].1[j] - wanted(t)[j]).abs());
            let jerk = (f[k + 1].2[j] - 2.0 * f[k].2[j] + f[k - 1].2[j]) / 1e-4;
            let h = 0.01;
            let w = |s: f64| wanted(s)[j];
            let ideal = (w(t + 2.0 * h) - 2.0 * w(t + h) + 2.0 * w(t - h) - w(t - 2.0 * h)) / (2.0 * h * h * h);
            jerk_peak = jerk_peak.max(jerk.abs());
            jerk_sum += jerk * jerk;
            wanted_sum += ideal * ideal;
            n += 1.0;
        }
    }
    Figures { error, jerk_rms: f64::sqrt(jerk_sum / n), jerk_peak, wanted_jerk_rms: f64::sqrt(wanted_sum / n) }
}

#[test]
fn a_feasible_chunk_stream_is_followed_within_milliradians_and_without_chatter() {
    for (replan, latency, noise) in
        [(0.2, 0.0, 0.0), (0.2, 0.1, 0.0), (0.1, 0.15, 0.0), (0.2, 0.1, 0.002), (0.2, 0.1, 0.01)]
    {
        let f = run(replan, latency, noise);
        println!(
            "replan {replan} latency {latency} noise {noise}: error {:.2} mrad, jerk rms {:.2} (ideal {:.2}) peak {:.1}",
            f.error * 1e3,
            f.jerk_rms,
            f.wanted_jerk_rms,
            f.jerk_peak
        );
        if noise == 0.0 {
            assert!(f.error < 0.003, "{}", f.error);
            assert!(f.jerk_rms < 2.0 * f.wanted_jerk_rms + 0.5, "{}", f.jerk_rms);
        } else {
            assert!(f.error < 1.5 * noise + 0.003, "{}", f.error);
        }
    }
}
