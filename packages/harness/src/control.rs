//! Controls: what a success rate is worth shows only beside what is reached without the policy, or without listening.

use efm_sim::tasks::Task;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::str::FromStr;

/// A control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Control {
    /// The policy hears another episode's sentence and is judged by the episode's own: what it does without listening.
    Shuffled,
    /// Random chunks: what is reached by moving at all.
    Random,
    /// Never moves: what is reached by the scenes alone.
    Nothing,
}

impl Control {
    /// All.
    pub const ALL: [Control; 3] = [Control::Shuffled, Control::Random, Control::Nothing];

    /// Name, as on the command line and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Control::Shuffled => "shuffled",
            Control::Random => "random",
            Control::Nothing => "nothing",
        }
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Control {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|c| c.name() == name);
        found.ok_or_else(|| format!("there is no control '{name}'; there are nothing, random and shuffled"))
    }
}

/// Sentences cannot be exchanged among fewer than two episodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the control 'shuffled' gives every episode another one's sentence, so it needs at least two episodes")]
pub struct TooFew;

/// For each episode the place of the episode whose sentence it gets.
///
/// It is a derangement: every sentence is given once, and no episode keeps its own. Nor does an episode get the sentence of
/// another one that asks for the same task (which would make the control meaningless), unless a task is asked for in more than
/// half of all episodes; then as few do as is possible.
///
/// Drawn in two steps. The episodes are sorted by task (tasks and episodes of a task in random order) and the sentences
/// moved on by the size of the largest group, which keeps every promise: a group is a run of neighbours no longer than that. Then
/// many random pairs exchange their sentences wherever no promise is broken by it.
///
/// # Errors
/// With fewer than two episodes.
pub fn derangement<T: Copy + Eq + Hash>(tasks: &[T], seed: u64) -> Result<Vec<usize>, TooFew> {
    /// Exchanges that are tried, for each episode.
    const MIXING: usize = 30;
    let n = tasks.len();
    if n < 2 {
        return Err(TooFew);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..n).collect();
    order.shuffle(&mut rng);
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of: HashMap<T, usize> = HashMap::new();
    for episode in order {
        let group = *group_of.entry(tasks[episode]).or_insert(groups.len());
        if group == groups.len() {
            groups.push(Vec::new());
        }
        groups[group].push(episode);
    }
    let largest = groups.iter().map(Vec::len).max().unwrap_or(0);
    let by_task: Vec<usize> = groups.into_iter().flatten().collect();
    // Where all ask for the same, moving on by one is all that can be done.
    let step = if largest == n { 1 } else { largest };
    let mut given = vec![0; n];
    for (place, episode) in by_task.iter().enumerate() {
        given[*episode] = by_task[(place + step) % n];
    }
    let same = |a: usize, b: usize| usize::from(tasks[a] == tasks[b]);
    for _ in 0..MIXING * n {
        let (a, b) = (rng.random_range(0..n), rng.random_range(0..n));
        let (for_a, for_b) = (given[b], given[a]);
        let worse = same(a, for_a) + same(b, for_b) > same(a, for_b) + same(b, for_a);
        if a != b && for_a != a && for_b != b && !worse {
            given.swap(a, b);
        }
    }
    Ok(given)
}

/// The sentences that episodes get under [`Control::Shuffled`], drawn by [`derangement`] with the first episode's seed.
///
/// # Errors
/// With fewer than two episodes.
pub fn shuffled_sentences(scenes: &[efm_sim::Scene]) -> Result<Vec<String>, TooFew> {
    let tasks: Vec<Task> = scenes.iter().map(|s| s.task).collect();
    let seed = scenes.first().map_or(0, |s| s.seed);
    Ok(derangement(&tasks, seed)?.into_iter().map(|from| scenes[from].sentence.clone()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nobody_keeps_the_own_sentence_and_every_sentence_is_given_once(
            tasks in prop::collection::vec(0_u8..6, 2..60), seed: u64,
        ) {
            let given = derangement(&tasks, seed).unwrap();
            let mut places = given.clone();
            places.sort_unstable();
            prop_assert_eq!(places, (0..tasks.len()).collect::<Vec<_>>());
            prop_assert!(given.iter().enumerate().all(|(i, from)| i != *from), "{:?}", given);
        }

        #[test]
        fn a_sentence_for_the_same_task_is_given_only_where_it_cannot_be_helped(
            tasks in prop::collection::vec(0_u8..4, 2..40), seed: u64,
        ) {
            let given = derangement(&tasks, seed).unwrap();
            let same = given.iter().enumerate().filter(|(i, from)| tasks[*i] == tasks[**from]).count();
            let largest = (0..4).map(|t| tasks.iter().filter(|x| **x == t).count()).max().unwrap();
            // The largest group has so many sentences more than there are episodes outside of it.
            prop_assert_eq!(same, (2 * largest).saturating_sub(tasks.len()));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_exchange_and_another_seed_another() {
        let tasks: Vec<usize> = (0..100).map(|i| i % 24).collect();
        assert_eq!(derangement(&tasks, 7), derangement(&tasks, 7));
        assert_ne!(derangement(&tasks, 7), derangement(&tasks, 8));
    }

    #[test]
    fn the_sentences_of_a_task_go_to_many_other_tasks() {
        // Without mixing, a group's sentences would all go to one or two neighbours.
        let tasks: Vec<usize> = (0..480).map(|i| i % 24).collect();
        let given = derangement(&tasks, 1).unwrap();
        let to: std::collections::HashSet<_> =
            given.iter().enumerate().filter(|(_, from)| tasks[**from] == 0).map(|(i, _)| tasks[i]).collect();
        assert!(to.len() >= 8, "{to:?}");
    }

    #[test]
    fn one_episode_alone_cannot_exchange_anything() {
        assert_eq!(derangement(&[1], 0), Err(TooFew));
        assert_eq!(derangement::<u8>(&[], 0), Err(TooFew));
    }

    #[test]
    fn controls_are_named_as_in_json() {
        for control in Control::ALL {
            assert_eq!(control.name().parse(), Ok(control));
            assert_eq!(serde_json::to_value(control).unwrap(), control.name());
        }
        assert!("expert".parse::<Control>().unwrap_err().contains("shuffled"));
    }
}
