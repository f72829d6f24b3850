//! Which topics are recorded, and what is asked of their publishers.

use efm_bag::{Durability, OfferedQos, Reliability};
use regex::Regex;

/// What the user asked to be recorded.
#[derive(Debug, Clone)]
pub struct Selection {
    all: bool,
    /// Fully qualified.
    names: Vec<String>,
    patterns: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl Selection {
    /// From what the user wrote: names (relative ones belong to `namespace`; `*` stands for one part), regular expressions for whole names,
    /// or `all` for every topic that is not hidden. `exclude` leaves out again, likewise.
    ///
    /// # Errors
    /// The expression that is none, and why.
    pub fn new(wanted: &[String], exclude: &[String], namespace: &str) -> Result<Self, String> {
        let mut selection = Self { all: false, names: Vec::new(), patterns: Vec::new(), exclude: Vec::new() };
        for text in wanted {
            match text.as_str() {
                "all" => selection.all = true,
                text if is_name(text) => selection.names.push(qualified(text, namespace)),
                text if has_stars(text) => selection.patterns.push(whole(&starred(text, namespace))?),
                text => selection.patterns.push(whole(text)?),
            }
        }
        for text in exclude {
            let text = match text {
                text if is_name(text) => qualified(text, namespace),
                text if has_stars(text) => starred(text, namespace),
                text => text.clone(),
            };
            selection.exclude.push(whole(&text)?);
        }
        Ok(selection)
    }

    /// Whether a topic (by its full name) is to be recorded.
    pub fn wants(&self, topic: &str) -> bool {
        let hidden = topic.split('/').any(|part| part.starts_with('_'));
        let wanted = self.names.iter().any(|name| name == topic)
            || !hidden && (self.all || self.patterns.iter().any(|pattern| pattern.is_match(topic)));
        wanted && !self.leaves_out(topic)
    }

    /// Whether a topic is to be left out, whoever asks for it.
    pub fn leaves_out(&self, topic: &str) -> bool {
        self.exclude.iter().any(|pattern| pattern.is_match(topic))
    }

    /// The topics that were asked for by name, fully qualified.
    pub fn named(&self) -> &[String] {
        &self.names
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'/'))
}

/// Whether it is a name of which some parts are `*`.
fn has_stars(text: &str) -> bool {
    let mut parts = text.strip_prefix('/').unwrap_or(text).split('/');
    text.contains('*') && parts.all(|part| part == "*" || is_name(part))
}

/// A name with `*` as a regular expression.
fn starred(text: &str, namespace: &str) -> String {
    qualified(text, namespace).replace('*', "[^/]+")
}

pub(super) fn qualified(name: &str, namespace: &str) -> String {
    if name.starts_with('/') { name.to_owned() } else { format!("{}/{name}", namespace.trim_end_matches('/')) }
}

fn whole(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| format!("'{pattern}' is not a regular expression: {error}"))
}

/// What a subscription asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Whether lost messages are sent again.
    pub reliable: bool,
    /// Whether messages from before the subscription come too.
    pub transient_local: bool,
    /// Messages that may wait.
    pub depth: usize,
}

/// Messages of pictures and point clouds that may wait: a few are as large as many others.
const DEPTH_OF_LARGE: usize = 50;
const DEPTH: usize = 1000;

impl Asked {
    /// The most that every publisher grants, so that each of them is heard.
    pub fn of(offers: &[OfferedQos], type_name: &str) -> Self {
        let large = ["sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/PointCloud2"];
        Self {
            reliable: offers.iter().all(|offer| offer.qos.reliability == Reliability::Reliable),
            transient_local: !offers.is_empty()
                && offers.iter().all(|offer| offer.qos.durability == Durability::TransientLocal),
            depth: if large.contains(&type_name) { DEPTH_OF_LARGE } else { DEPTH },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use efm_bag::Qos;

    fn selection(wanted: &[&str], exclude: &[&str]) -> Selection {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(wanted), &owned(exclude), "/cell").unwrap()
    }

    #[test]
    fn relative_names_belong_to_the_namespace_and_absolute_ones_do_not() {
        let wants = selection(&["joint_states", "/diagnostics"], &[]);
        assert!(wants.wants("/cell/joint_states") && wants.wants("/diagnostics"));
        assert!(!wants.wants("/joint_states") && !wants.wants("/cell/diagnostics"));
    }

    #[test]
    fn an_expression_must_fit_the_whole_name() {
        let wants = selection(&["/camera/.*"], &["/camera/.*/depth"]);
        assert!(wants.wants("/camera/front/image"));
        assert!(!wants.wants("/old/camera/front") && !wants.wants("/camera/front/depth"));
    }

    #[test]
    fn a_star_stands_for_one_part_of_a_name_in_the_namespace() {
        let stars = selection(&["*/joint_trajectory", "observation/*/image", "/*/speech"], &["old/*"]);
        for topic in ["/cell/arm/joint_trajectory", "/cell/observation/front/image", "/hall/speech"] {
            assert!(stars.wants(topic), "{topic}");
        }
        for topic in [
            "/arm/joint_trajectory",
            "/cell/a/arm/joint_trajectory",
            "/cell/old/joint_trajectory",
            "/cell/_a/joint_trajectory",
        ] {
            assert!(!stars.wants(topic), "{topic}");
        }
        assert!(stars.named().is_empty());
    }

    #[test]
    fn all_leaves_hidden_topics_and_excluded_ones_out() {
        let wants = selection(&["all"], &["/rosout"]);
        assert!(wants.wants("/anything"));
        assert!(!wants.wants("/rosout") && !wants.wants("/arm/_action/status"));
        assert!(selection(&["/arm/_action/status"], &[]).wants("/arm/_action/status"), "a hidden one by its name");
    }

    #[test]
    fn what_is_no_expression_is_refused_by_its_text() {
        let error = Selection::new(&["/camera/(".to_owned()], &[], "/").unwrap_err();
        assert!(error.contains("'/camera/('"), "{error}");
    }

    #[test]
    fn one_best_effort_publisher_makes_the_subscription_best_effort_and_one_volatile_one_volatile() {
        let latched = OfferedQos::from(Qos::LATCHED);
        let lossy = OfferedQos::from(Qos::CLOCK);
        let both = Asked::of(&[latched, lossy], "std_msgs/msg/String");
        assert!(!both.reliable && !both.transient_local);
        let one = Asked::of(&[latched], "sensor_msgs/msg/Image");
        assert!(one.reliable && one.transient_local && one.depth == DEPTH_OF_LARGE);
    }
}
