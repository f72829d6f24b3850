//! Descriptions of the robot that come after the first one: what of them is another robot.

use efm_core::JointNames;
use efm_robot::RobotModel;
use efm_safety::{Limits, TrajectoryStreamer};

/// What motions rely on of a description.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Described {
    /// The joints of the robot, by name.
    joints: Vec<String>,
    /// Those that are moved, with position, velocity, acceleration and jerk limits.
    limits: Vec<(String, [f64; 5])>,
    /// Pairs of bodies that are kept apart; none: not checked.
    pairs: Option<usize>,
    /// What of the files is left out or taken otherwise than it is written.
    notes: Vec<String>,
}

impl Described {
    /// What holds now.
    pub fn of(model: &RobotModel, streamer: &mut TrajectoryStreamer) -> Self {
        let limits = limits_of(streamer.limits(), streamer.joints());
        let space = streamer.space_mut().and_then(|space| space.as_collision_space());
        Self {
            joints: model.joints().iter().map(|joint| joint.name.clone()).collect(),
            limits,
            pairs: space.map(|space| space.model().pairs()),
            notes: Vec::new(),
        }
    }

    /// What is another in `now`, in words.
    pub fn changes_to(&self, now: &Self) -> String {
        let mut found = Vec::new();
        let only = |some: &Self, others: &Self| -> Vec<String> {
            some.joints.iter().filter(|joint| !others.joints.contains(joint)).cloned().collect()
        };
        for (joints, what) in [(only(now, self), "new"), (only(self, now), "gone")] {
            if !joints.is_empty() {
                found.push(format!("{} {what}: {}", joints_of(joints.len()), listed(&joints)));
            }
        }
        let limited = |(name, limits): &&(String, [f64; 5])| {
            now.limits.iter().any(|(other, values)| other == name && values != limits)
        };
        let other: Vec<String> = self.limits.iter().filter(limited).map(|(name, _)| name.clone()).collect();
        if !other.is_empty() {
            found.push(format!("{} with other limits: {}", joints_of(other.len()), listed(&other)));
        }
        if self.pairs != now.pairs {
            let count = |pairs: Option<usize>| pairs.map_or("no".to_owned(), |pairs| pairs.to_string());
            found.push(format!("{} pairs of bodies instead of {}", count(now.pairs), count(self.pairs)));
        }
        if found.is_empty() {
            return "the same joints, limits and number of pairs of bodies; shapes or places may differ".to_owned();
        }
        found.join("; ")
    }

    /// The same with notes on its files.
    #[must_use]
    pub fn noting(mut self, notes: &[String]) -> Self {
        self.notes = notes.to_vec();
        self
    }

    /// What of the files is left out or taken otherwise than it is written, and what is likely a mistake: a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// In words.
    pub fn words(&self) -> String {
        let pairs = self.pairs.map_or("collisions are not checked".to_owned(), |n| format!("{n} pairs of bodies"));
        format!("{}, {} of them moved, {pairs}", joints_of(self.joints.len()), self.limits.len())
    }
}

fn limits_of(limits: &Limits, joints: &JointNames) -> Vec<(String, [f64; 5])> {
    let of = |j: usize| {
        let (min, max) = (limits.min_position()[j], limits.max_position()[j]);
        [min, max, limits.velocity()[j], limits.acceleration()[j], limits.jerk()[j]]
    };
    joints.iter().enumerate().map(|(j, name)| (name.to_owned(), of(j))).collect()
}

fn joints_of(number: usize) -> String {
    if number == 1 { "1 joint".to_owned() } else { format!("{number} joints") }
}

/// The first few.
fn listed(names: &[String]) -> String {
    const FEW: usize = 4;
    let shown: Vec<String> = names.iter().take(FEW).map(|name| format!("'{name}'")).collect();
    let more = if names.len() > FEW { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(joints: &[&str], limit: f64, pairs: Option<usize>) -> Described {
        let names = || joints.iter().map(|name| (*name).to_owned());
        Described {
            joints: names().collect(),
            limits: names().map(|name| (name, [0.0, 1.0, limit, 1.0, 1.0])).collect(),
            pairs,
            notes: Vec::new(),
        }
    }

    #[test]
    fn what_is_another_robot_is_told_by_joint_and_number() {
        let before = described(&["a", "b", "c"], 1.0, Some(91));
        let told = before.changes_to(&described(&["a", "b", "d"], 2.0, Some(81)));
        for words in [
            "1 joint new: 'd'",
            "1 joint gone: 'c'",
            "2 joints with other limits: 'a', 'b'",
            "81 pairs of bodies instead of 91",
        ] {
            assert!(told.contains(words), "{words}: {told}");
        }
        assert!(before.changes_to(&before.clone()).contains("shapes or places"), "nothing that can be counted");
        assert!(before.changes_to(&described(&["a", "b", "c"], 1.0, None)).contains("no pairs"));
        assert!(before.words().contains("3 joints") && before.words().contains("91 pairs"));
    }

    #[test]
    fn of_many_names_the_first_few_are_listed() {
        let names = |number: usize| -> Vec<String> { (0..number).map(|k| format!("j{k}")).collect() };
        assert_eq!(listed(&names(1)), "'j0'");
        assert_eq!(listed(&names(4)), "'j0', 'j1', 'j2', 'j3'");
        assert_eq!(listed(&names(5)), "'j0', 'j1', 'j2', 'j3', ...");
    }
}
