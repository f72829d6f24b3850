//! Noise that is the same everywhere for the same seed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Fills `out` with independent normal values of mean 0 and the given standard deviation: ChaCha8 seeded by `seed`, then Box and
/// Muller's transform in a pure Rust mathematical library, so that no machine's C library shows in the result.
pub fn fill_normal(seed: u64, scale: f64, out: &mut [f32]) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // 53 random bits, in (0, 1]: the logarithm must exist.
    let mut uniform = || ((rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64;
    for pair in out.chunks_mut(2) {
        let radius = (-2.0 * libm::log(uniform())).sqrt();
        let angle = std::f64::consts::TAU * uniform();
        pair[0] = (scale * radius * libm::cos(angle)) as f32;
        if let Some(second) = pair.get_mut(1) {
            *second = (scale * radius * libm::sin(angle)) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_values_forever() {
        let mut values = [0f32; 3];
        fill_normal(7, 1.0, &mut values);
        assert_eq!(values.map(f32::to_bits), PINNED, "{values:?} {:?}", values.map(f32::to_bits));
        let mut other = [0f32; 3];
        fill_normal(8, 1.0, &mut other);
        assert_ne!(values, other);
    }

    const PINNED: [u32; 3] = [1064463727, 1070991724, 3187259722];

    #[test]
    fn it_is_standard_normal_times_the_scale() {
        let mut values = vec![0f32; 40_001];
        fill_normal(1, 2.0, &mut values);
        let n = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
        let within = values.iter().filter(|v| v.abs() < 2.0).count() as f64 / n;
        // Four standard errors.
        assert!(mean.abs() < 4.0 * 2.0 / n.sqrt(), "{mean}");
        assert!((variance / 4.0 - 1.0).abs() < 4.0 * (2.0 / n).sqrt(), "{variance}");
        assert!((within - 0.6827).abs() < 4.0 * (0.6827f64 * 0.3173 / n).sqrt(), "{within}");
        fill_normal(1, 0.0, &mut values);
        assert!(values.iter().all(|v| *v == 0.0));
    }
}
