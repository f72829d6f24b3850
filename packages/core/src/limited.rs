//! What an arm is slowed down by: the numbers of `~/filter_state` and the words of all who tell of them.

/// One kind of what slows an arm down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// For machines, in `snake_case`. It is stable.
    pub code: &'static str,
    /// For people.
    pub words: &'static str,
}

const fn by(code: &'static str, words: &'static str) -> Limited {
    Limited { code, words }
}

/// By the number that `limited_by` has in `~/filter_state`. Bags have them: numbers are never given anew.
pub const LIMITED_BY: [Limited; 10] = [
    by("nothing", "nothing"),
    by("velocity", "velocity"),
    by("acceleration", "acceleration"),
    by("jerk", "jerk"),
    by("tool_speed", "speed of the tool"),
    by("speed_scale", "speed_scale"),
    by("old_observation", "old observation"),
    by("space", "obstacle, itself or workspace"),
    by("rejoining", "finding back to the path"),
    by("monitor", "a monitor"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_kinds_read_the_same() {
        for (i, one) in LIMITED_BY.iter().enumerate() {
            assert!(!one.code.is_empty() && !one.words.is_empty());
            for other in &LIMITED_BY[..i] {
                assert!(one.code != other.code && one.words != other.words, "{}", one.code);
            }
        }
    }
}
