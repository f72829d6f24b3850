//! How a scene looks: table, light, and where the cameras really are. Nothing of it touches the physics.

use super::Split;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;

/// Patterns of the table top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Texture {
    /// Streaks along x. Training.
    Wood,
    /// Fine dots. Training.
    Speckle,
    /// Squares of two shades. Shifted only.
    Checker,
    /// Tiles with joints. Shifted only.
    Tiles,
    /// Large soft blotches. Shifted only.
    Marble,
}

impl Texture {
    /// All.
    pub const ALL: [Texture; 5] = [Texture::Wood, Texture::Speckle, Texture::Checker, Texture::Tiles, Texture::Marble];
    /// Those of training.
    pub const TRAIN: [Texture; 2] = [Texture::Wood, Texture::Speckle];
    /// Those that training never has.
    pub const SHIFTED: [Texture; 3] = [Texture::Checker, Texture::Tiles, Texture::Marble];

    /// Identifier of its material.
    pub fn name(self) -> &'static str {
        match self {
            Texture::Wood => "table_wood",
            Texture::Speckle => "table_speckle",
            Texture::Checker => "table_checker",
            Texture::Tiles => "table_tiles",
            Texture::Marble => "table_marble",
        }
    }
}

/// The table top.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Surface {
    /// Pattern; `None`: plain.
    pub texture: Option<Texture>,
    /// Colour, red, green, blue in 0 to 1; a pattern is drawn in shades of it.
    pub colour: [f32; 3],
}

/// A directional lamp.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lamp {
    /// Where its light goes.
    pub direction: [f64; 3],
    /// Colour and strength, 0 to 1.
    pub colour: [f32; 3],
}

/// How far a camera is off the pose that it should have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CameraShift {
    /// In the axes of what carries it, m.
    pub position: [f64; 3],
    /// Rotation vector in the optical frame, rad.
    pub rotation: [f64; 3],
}

/// How a scene looks.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The table.
    pub table: Surface,
    /// Colour of the floor.
    pub floor: [f32; 3],
    /// Light from everywhere, red, green, blue.
    pub ambient: [f32; 3],
    /// The two lamps.
    pub lamps: [Lamp; 2],
    /// Of the front and the wrist camera.
    pub cameras: [CameraShift; 2],
}

/// Where the lamps point when nothing is varied.
const LAMPS: [[f64; 3]; 2] = [[-0.5, -0.4, -1.0], [0.4, 0.5, -1.0]];

/// What a split varies within.
struct Ranges {
    /// Brightness of the table.
    table: Range<f32>,
    /// Strength of all light together.
    light: Range<f32>,
    /// How far one lamp outshines the other.
    balance: f32,
    /// How warm or cold.
    tint: Range<f32>,
    /// How far lamps turn, as an offset of their direction.
    turn: f64,
    /// Shift of the front camera, m, and its turn, rad: at least and at most.
    shift: Range<f64>,
    rotate: Range<f64>,
}

const TRAINED: Ranges = Ranges {
    table: 0.40..0.72,
    light: 0.80..1.20,
    balance: 0.25,
    tint: 0.0..0.06,
    turn: 0.3,
    shift: 0.0..0.010,
    rotate: 0.0..0.012,
};
const SHIFTED: Ranges = Ranges {
    table: 0.28..0.82,
    light: 0.60..1.40,
    balance: 0.50,
    tint: 0.06..0.14,
    turn: 0.7,
    shift: 0.010..0.022,
    rotate: 0.012..0.026,
};
/// The wrist camera is bolted to the hand: its errors are smaller by this.
const WRIST_SHARE: f64 = 0.3;

impl Look {
    /// Nothing varied: for tests of what cameras see.
    pub fn plain() -> Self {
        let still = CameraShift { position: [0.0; 3], rotation: [0.0; 3] };
        Self {
            table: Surface { texture: None, colour: [0.58, 0.54, 0.48] },
            floor: [0.30, 0.32, 0.35],
            ambient: [0.35; 3],
            lamps: LAMPS.map(|direction| Lamp { direction, colour: [0.35; 3] }),
            cameras: [still; 2],
        }
    }

    /// Draws one for a split.
    pub(super) fn sample(rng: &mut ChaCha8Rng, split: Split) -> Self {
        let (ranges, textures): (_, &[Texture]) = match split {
            Split::Shifted => (&SHIFTED, &Texture::SHIFTED),
            Split::Train | Split::Heldout | Split::Novel | Split::Paraphrase => (&TRAINED, &Texture::TRAIN),
        };
        // In training half of the tables are plain; a shifted one never is.
        let texture = match split {
            Split::Shifted => Some(textures[rng.random_range(0..textures.len())]),
            _ if rng.random_bool(0.5) => None,
            _ => Some(textures[rng.random_range(0..textures.len())]),
        };
        let value = rng.random_range(ranges.table.clone());
        let colour: [f32; 3] = std::array::from_fn(|_| value * rng.random_range(0.86..1.0));
        let floor = rng.random_range(0.2..0.45);
        let strength = rng.random_range(ranges.light.clone());
        let warm = rng.random_range(ranges.tint.clone()) * if rng.random_bool(0.5) { 1.0 } else { -1.0 };
        let tinted = |level: f32| [level * (1.0 + warm), level, level * (1.0 - warm)];
        let balance = rng.random_range(-ranges.balance..ranges.balance);
        let mut lamps = LAMPS.map(|direction| Lamp { direction, colour: [0.0; 3] });
        for (lamp, share) in lamps.iter_mut().zip([1.0 + balance, 1.0 - balance]) {
            lamp.direction = [
                lamp.direction[0] + rng.random_range(-ranges.turn..ranges.turn),
                lamp.direction[1] + rng.random_range(-ranges.turn..ranges.turn),
                lamp.direction[2],
            ];
            lamp.colour = tinted(0.35 * strength * share);
        }
        let mut off = |share: f64| CameraShift {
            position: scaled(direction(rng), share * rng.random_range(ranges.shift.clone())),
            rotation: scaled(direction(rng), share * rng.random_range(ranges.rotate.clone())),
        };
        let cameras = [off(1.0), off(WRIST_SHARE)];
        Self {
            table: Surface { texture, colour },
            floor: [floor, floor, floor * 1.1],
            ambient: tinted(0.35 * strength),
            lamps,
            cameras,
        }
    }

    /// Colour of the marks on the table: lighter on a dark table, darker on a light one.
    pub fn marks(&self) -> [f32; 3] {
        let [r, g, b] = self.table.colour;
        if r + g + b < 3.0 * 0.6 {
            self.table.colour.map(|c| c + 0.45 * (1.0 - c))
        } else {
            self.table.colour.map(|c| 0.6 * c)
        }
    }
}

fn scaled(v: [f64; 3], by: f64) -> [f64; 3] {
    v.map(|c| c * by)
}

/// A random direction of unit length, evenly over the sphere.
fn direction(rng: &mut ChaCha8Rng) -> [f64; 3] {
    loop {
        let v: [f64; 3] = std::array::from_fn(|_| rng.random_range(-1.0..1.0));
        let length = v.iter().map(|c| c * c).sum::<f64>().sqrt();
        if (0.1..=1.0).contains(&length) {
            return v.map(|c| c / length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn length(v: [f64; 3]) -> f64 {
        v.iter().map(|c| c * c).sum::<f64>().sqrt()
    }

    #[test]
    fn what_is_shifted_was_never_trained() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..2000 {
            let trained = Look::sample(&mut rng, Split::Train);
            let shifted = Look::sample(&mut rng, Split::Shifted);
            assert!(trained.table.texture.is_none_or(|t| Texture::TRAIN.contains(&t)));
            assert!(shifted.table.texture.is_some_and(|t| Texture::SHIFTED.contains(&t)));
            for (share, camera) in [(1.0, 0), (WRIST_SHARE, 1)] {
                let [a, b] = [&trained, &shifted].map(|look| look.cameras[camera]);
                let (bound, turned) = (share * TRAINED.shift.end, share * TRAINED.rotate.end);
                assert!(length(a.position) < bound + 1e-9 && length(b.position) > bound - 1e-9, "{a:?} {b:?}");
                assert!(length(a.rotation) < turned + 1e-9 && length(b.rotation) > turned - 1e-9, "{a:?} {b:?}");
            }
        }
        const { assert!(TRAINED.tint.end <= SHIFTED.tint.start) };
    }
}
