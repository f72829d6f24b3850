//! Whether one camera speaks on a topic, or several in turns.

use efm_core::{SenderId, Stamp};

/// Whoever was not heard for so long is gone, s: one camera may take the place of another then, as after a driver's restart.
const GONE: f64 = 1.0;

/// Characters of a frame's name that are looked at.
const FRAME: usize = 40;

/// Grey levels by which a picture differs in the mean from one of another camera.
const OTHER: u32 = 8;
/// Times that a picture is nearer to an earlier one than to the one before it.
const NEARER: u32 = 4;
/// Pictures that are looked back at.
const BACK: usize = 4;
/// So many returns among the last [`REMEMBERED`] pictures are no accident; a flash or a lost picture makes one or two.
const RETURNS: u32 = 3;
const REMEMBERED: u32 = 8;
/// Bytes of a picture that are compared.
const SAMPLES: usize = 1024;

/// Why pictures are of several cameras. Displays what is seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mixed {
    /// Two publishers.
    #[error("two publishers send on its topic")]
    Senders,
    /// Two frames.
    #[error("its topic has pictures of frame '{}' and of frame '{}'", .0, .1)]
    Frames(String, String),
    /// Pictures that change to and fro.
    #[error("its pictures change to and fro between different ones")]
    Pictures,
}

/// Who was heard last, and when.
#[derive(Debug, Clone, Default)]
struct Source {
    sender: SenderId,
    frame: String,
    heard: Option<Stamp>,
}

impl Source {
    fn is(&self, sender: SenderId, frame: &str) -> bool {
        self.sender == sender && self.frame == frame
    }

    /// Whether it was heard a moment ago. Time that goes back makes a new beginning.
    fn speaks(&self, now: Stamp) -> bool {
        self.heard.is_some_and(|heard| (0.0..GONE).contains(&now.seconds_since(heard)))
    }

    fn hear(&mut self, sender: SenderId, frame: &str, now: Stamp) {
        if !self.is(sender, frame) {
            self.sender = sender;
            frame.clone_into(&mut self.frame);
        }
        self.heard = Some(now);
    }
}

/// Follows who sends on a topic.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    one: Source,
    other: Source,
}

impl Sources {
    /// A picture of a publisher and a frame came.
    ///
    /// # Errors
    /// While somebody else sends as well.
    pub fn hear(&mut self, sender: SenderId, frame: &str, now: Stamp) -> Result<(), Mixed> {
        let end = frame.char_indices().nth(FRAME).map_or(frame.len(), |(end, _)| end);
        let frame = &frame[..end];
        if !self.one.is(sender, frame) {
            if self.one.speaks(now) {
                self.other.hear(sender, frame, now);
                return Err(self.words());
            }
            self.other.heard = None;
        }
        self.one.hear(sender, frame, now);
        if self.other.speaks(now) { Err(self.words()) } else { Ok(()) }
    }

    fn words(&self) -> Mixed {
        if self.one.frame == self.other.frame {
            return Mixed::Senders;
        }
        let shown = |source: &Source| source.frame.escape_debug().to_string();
        Mixed::Frames(shown(&self.one), shown(&self.other))
    }
}

/// Follows what the pictures show. A scene goes on from picture to picture; two cameras in turns return to what was.
#[derive(Debug, Clone, Default)]
pub struct Returns {
    /// The last pictures, the newest first.
    seen: Vec<Vec<u8>>,
    /// A bit a picture, the newest lowest: whether it was a return.
    returns: u32,
}

impl Returns {
    /// A picture came, as bytes of always the same number.
    ///
    /// # Errors
    /// While pictures change to and fro.
    pub fn see(&mut self, picture: &[u8]) -> Result<(), Mixed> {
        // All three colours in turns.
        let step = (picture.len() / SAMPLES).max(1);
        let step = if step.is_multiple_of(3) { step + 1 } else { step };
        let sampled = || picture.iter().step_by(step);
        let count = picture.len().div_ceil(step) as u32;
        let apart = |seen: &Vec<u8>| sampled().zip(seen).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        let step = self.seen.first().map_or(0, apart);
        let returned = step >= OTHER * count.max(1) && self.seen.iter().skip(1).any(|seen| apart(seen) * NEARER < step);
        self.returns = (self.returns << 1 | u32::from(returned)) & ((1 << REMEMBERED) - 1);
        // The oldest one's room is used again.
        let mut room =
            if self.seen.len() < BACK { Vec::with_capacity(SAMPLES * 2) } else { self.seen.pop().unwrap_or_default() };
        room.clear();
        room.extend(sampled());
        self.seen.insert(0, room);
        if self.returns.count_ones() >= RETURNS { Err(Mixed::Pictures) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: SenderId = SenderId([1; 16]);
    const B: SenderId = SenderId([2; 16]);

    fn ms(ms: i64) -> Stamp {
        Stamp::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn two_publishers_in_turns_are_refused_from_the_second_one_on_until_one_is_silent() {
        let mut sources = Sources::default();
        assert_eq!(sources.hear(A, "cam", ms(0)), Ok(()));
        assert_eq!(sources.hear(B, "cam", ms(10)), Err(Mixed::Senders));
        assert_eq!(sources.hear(A, "cam", ms(33)), Err(Mixed::Senders));
        assert_eq!(sources.hear(A, "cam", ms(900)), Err(Mixed::Senders));
        assert_eq!(sources.hear(A, "cam", ms(1010)), Ok(()));
    }

    #[test]
    fn frames_in_turns_of_one_publisher_are_told_by_name() {
        let mut sources = Sources::default();
        assert_eq!(sources.hear(A, "front", ms(0)), Ok(()));
        let told = sources.hear(A, "wrist", ms(10)).unwrap_err().to_string();
        assert!(told.contains("'front'") && told.contains("'wrist'"), "{told}");
    }

    #[test]
    fn a_driver_that_is_started_anew_is_taken_and_time_that_goes_back_is_a_beginning() {
        let mut sources = Sources::default();
        assert_eq!(sources.hear(A, "cam", ms(5000)), Ok(()));
        assert_eq!(sources.hear(B, "cam", ms(6500)), Ok(()));
        assert_eq!(sources.hear(B, "cam", ms(6533)), Ok(()));
        assert_eq!(sources.hear(A, "cam", ms(100)), Ok(()));
    }

    /// `len` bytes around a level, with some noise.
    fn picture(level: u8, noise: u64) -> Vec<u8> {
        let noisy = |i: u64| level.wrapping_add((i.wrapping_mul(noise * 2 + 1) % 3) as u8);
        (0..3000).map(noisy).collect()
    }

    fn refused(levels: &[u8]) -> usize {
        let mut returns = Returns::default();
        (0..).zip(levels).filter(|(i, level)| returns.see(&picture(**level, *i)).is_err()).count()
    }

    #[test]
    fn pictures_of_two_or_three_cameras_in_turns_are_found_and_a_moving_scene_or_a_flash_is_not() {
        assert_eq!(refused(&[40, 90, 40, 90, 40, 90, 40, 90]), 4);
        assert!(refused(&[40, 90, 150, 40, 90, 150, 40, 90, 150]) >= 3);
        assert!(refused(&[40, 40, 90, 40, 40, 90, 40, 40, 90, 40]) >= 4, "one of them is twice as fast");
        assert_eq!(refused(&[40, 41, 40, 41, 40, 41, 40, 41]), 0);
        assert_eq!(refused(&[40, 50, 60, 70, 80, 90, 100, 110, 120]), 0);
        assert_eq!(refused(&[40, 40, 250, 40, 40, 40, 40, 40]), 0, "a flash");
        assert_eq!(refused(&[40, 40, 40, 200, 200, 200, 200, 200]), 0, "the light is switched on");
        // It ends by itself.
        let mut then = [40, 90].repeat(4);
        then.extend([90; 12]);
        assert!(refused(&then) < 4 + 8);
    }
}
