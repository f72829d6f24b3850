//! Figures as sentences.

use crate::report::{Run, by_count};
use crate::stats::Interval;
use efm_sim::tasks::Split;

/// What a split tests.
pub(super) fn about(split: &str) -> &'static str {
    match split.parse() {
        Ok(Split::Train) => "scenes that it may have been trained on",
        Ok(Split::Heldout) => "new scenes, drawn like those of training",
        Ok(Split::Novel) => "objects and goals that never came together in training",
        Ok(Split::Paraphrase) => "sentences worded like none in training",
        Ok(Split::Shifted) => "textures, light and camera poses outside of training's",
        Err(_) => "scenes that are not known here",
    }
}

/// A goal as the head of a column.
pub(super) fn goal(goal: &str) -> &str {
    match goal {
        "left" => "put left",
        "right" => "put right",
        "plate" => "on the plate",
        "push" => "push",
        other => other,
    }
}

/// How a share of successes is called.
fn how_often(rate: f64) -> &'static str {
    match rate {
        r if r >= 0.95 => "Nearly always",
        r if r >= 0.80 => "Mostly",
        r if r >= 0.60 => "More often than not",
        r if r >= 0.40 => "About every other time",
        r if r >= 0.15 => "Sometimes",
        r if r > 0.02 => "Rarely",
        _ => "Never, or nearly so",
    }
}

/// How it did on a split, and what mostly goes wrong.
pub(super) fn verdict(run: &Run) -> String {
    let Interval { low, high } = run.wilson95;
    let mut text = format!(
        "{}: {} of {}, 95 % interval {:.1} to {:.1} %.",
        how_often(run.success_rate),
        run.successes,
        run.episodes,
        100.0 * low,
        100.0 * high
    );
    let failed = run.episodes - run.successes;
    match by_count(&run.failures)[..] {
        [] => {}
        [(only, _)] => text += &format!(" Failure: {} ({failed}).", only.words()),
        [(first, n), (second, m), ..] => {
            text += &format!(" Failures: {} ({n} of {failed}), {} ({m}).", first.words(), second.words());
        }
    }
    text
}

/// Whether it listens: its own sentences against other episodes'.
pub(super) fn listens(own: &Run, shuffled: &Run) -> String {
    let so = if shuffled.wilson95.high < own.wilson95.low { "it listens" } else { "that it listens is not shown" };
    format!("Told another episode's sentence, it still does this one's task in {}: {so}.", shuffled.rate().percent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Control;
    use crate::report::tests::run;

    #[test]
    fn a_policy_listens_when_another_sentence_makes_it_fail_beyond_doubt() {
        let own = run(Split::Heldout, None, 50, &[1]);
        let failed: Vec<u64> = (0..45).collect();
        let deaf = run(Split::Heldout, Some(Control::Shuffled), 50, &[1, 2, 3]);
        let listening = run(Split::Heldout, Some(Control::Shuffled), 50, &failed);
        assert!(listens(&own, &listening).ends_with("%: it listens."));
        assert!(listens(&own, &deaf).contains("not shown"));
    }

    #[test]
    fn the_sentence_of_a_split_names_share_interval_and_the_commonest_failure() {
        let text = verdict(&run(Split::Heldout, None, 100, &[1, 2, 3, 4, 5, 6, 7]));
        assert!(text.starts_with("Mostly: 93 of 100, 95 % interval 86.3 to 96.6 %."), "{text}");
        assert!(text.ends_with("Failure: close, but not in (7)."), "{text}");
        assert!(verdict(&run(Split::Heldout, None, 3, &[])).starts_with("Nearly always"), "no failure to name");
    }

    #[test]
    fn every_split_is_explained() {
        for split in Split::ALL {
            assert_ne!(about(split.name()), about("unheard of"));
        }
    }
}
