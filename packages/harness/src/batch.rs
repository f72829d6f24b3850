//! What the programs that record many training episodes share: which seeds they may use, and folders that are whole or not there.

use anyhow::{Context, Result};
use efm_sim::Split;
use std::path::{Path, PathBuf};

/// One past the last of `episodes` seeds from `first`.
///
/// # Errors
/// When they are not all training seeds.
pub fn training_seeds_end(first: u64, episodes: u64) -> Result<u64> {
    let last = first.checked_add(episodes).context("--seed plus --episodes is too large")?;
    let train = Split::Train.seeds();
    anyhow::ensure!(
        train.contains(&first) && last <= train.end,
        "seeds {first} to {last} are not all training seeds ({} to {})",
        train.start,
        train.end - 1
    );
    Ok(last)
}

/// A bag that is being recorded: it gets its place only when it is whole.
#[derive(Debug)]
pub struct Unfinished {
    /// Where it is recorded.
    pub dir: PathBuf,
    place: PathBuf,
}

impl Unfinished {
    /// The bag `name` in the folder `out`, with what an interrupted run left of it removed; `None` when it is there already.
    ///
    /// # Errors
    /// When the leftovers cannot be removed.
    pub fn begin(out: &Path, name: &str) -> Result<Option<Self>> {
        let place = out.join(name);
        if place.join("metadata.yaml").exists() {
            return Ok(None);
        }
        // A bag's file is named after its folder, so the unfinished one has the name already.
        let unfinished = Self { dir: out.join(".partial").join(name), place };
        unfinished.discard()?;
        Ok(Some(unfinished))
    }

    /// Puts the finished bag into its place.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn keep(&self) -> std::io::Result<()> {
        std::fs::rename(&self.dir, &self.place)
    }

    /// Removes it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn discard(&self) -> std::io::Result<()> {
        if self.dir.exists() { std::fs::remove_dir_all(&self.dir) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluation_seeds_are_never_recorded_for_training() {
        let train = Split::Train.seeds();
        assert_eq!(training_seeds_end(train.start, 10).unwrap(), train.start + 10);
        for (first, episodes) in [(Split::Heldout.seeds().start, 1), (train.end - 1, 2), (u64::MAX, 1)] {
            assert!(training_seeds_end(first, episodes).is_err(), "{first} {episodes}");
        }
    }

    #[test]
    fn a_bag_is_in_its_place_only_when_it_is_whole_and_is_not_made_twice() {
        let out = tempfile::tempdir().unwrap();
        let bag = Unfinished::begin(out.path(), "episode_1").unwrap().unwrap();
        std::fs::create_dir_all(&bag.dir).unwrap();
        std::fs::write(bag.dir.join("leftover"), "").unwrap();
        let bag = Unfinished::begin(out.path(), "episode_1").unwrap().unwrap();
        assert!(!bag.dir.exists() && bag.dir.ends_with("episode_1"));
        std::fs::create_dir_all(&bag.dir).unwrap();
        std::fs::write(bag.dir.join("metadata.yaml"), "").unwrap();
        bag.keep().unwrap();
        assert!(Unfinished::begin(out.path(), "episode_1").unwrap().is_none());
    }
}
