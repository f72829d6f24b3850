//! Which scenes may be trained on, and what the others test.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Seeds in a split.
const SIZE: u64 = 1_000_000_000;

/// A part of the benchmark; a seed belongs to exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// The only one that anything may be trained or tuned on.
    Train,
    /// Drawn like the training scenes, from seeds of its own.
    Heldout,
    /// Combinations of object and goal that training never has: each word and each object was there, never together.
    Novel,
    /// Sentences from templates that training never has.
    Paraphrase,
    /// Table textures, light and camera poses outside of what training has.
    Shifted,
}

/// There is no such split.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no split '{0}'; there are train, heldout, novel, paraphrase and shifted")]
pub struct UnknownSplit(String);

impl Split {
    /// All, in the order of their seeds.
    pub const ALL: [Split; 5] = [Split::Train, Split::Heldout, Split::Novel, Split::Paraphrase, Split::Shifted];
    /// Those that judge a policy.
    pub const EVALUATION: [Split; 4] = [Split::Heldout, Split::Novel, Split::Paraphrase, Split::Shifted];

    /// Name, as on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Heldout => "heldout",
            Split::Novel => "novel",
            Split::Paraphrase => "paraphrase",
            Split::Shifted => "shifted",
        }
    }

    /// Its seeds.
    pub const fn seeds(self) -> Range<u64> {
        let start = self as u64 * SIZE;
        start..start + SIZE
    }

    /// The split of a seed; `None` beyond the last.
    pub fn of(seed: u64) -> Option<Split> {
        Self::ALL.get(usize::try_from(seed / SIZE).ok()?).copied()
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Split {
    type Err = UnknownSplit;

    fn from_str(name: &str) -> Result<Self, UnknownSplit> {
        Self::ALL.into_iter().find(|s| s.name() == name).ok_or_else(|| UnknownSplit(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_belongs_to_exactly_one_split() {
        for split in Split::ALL {
            assert_eq!((Split::of(split.seeds().start), Split::of(split.seeds().end - 1)), (Some(split), Some(split)));
            assert_eq!(split.name().parse(), Ok(split));
        }
        assert_eq!(Split::of(Split::Shifted.seeds().end), None);
        assert!("test".parse::<Split>().unwrap_err().to_string().contains("paraphrase"));
    }
}
