//! What parameter files and `-p` say, and to whom: rcl's rules.
//!
//! A key of a file names nodes: `/left/arm`; `arm` is `/arm`; `*` stands for one part of a name, `**` for any number of them, none as well.
//! Where several keys name a node, the later one holds. A key is as late as the first time that it was written, whatever the file: what is
//! written under it again is another value at the same place.
//!
//! rcl itself loses what is written again under a key where its type is another (1, then 0.5) or where it is an empty list. Here the later one
//! holds then, too: a slower speed must not be lost because somebody wrote it with a point.

use crate::ParameterValue;
use crate::Spec;
use std::collections::BTreeSet;

/// To whom something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// To this node, by its full name.
    Node,
    /// To many nodes: under a key with a wildcard.
    Many,
    /// To the process, on its command line: `-p NAME:=VALUE`.
    Process,
}

/// A parameter that is given to a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Given {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: ParameterValue,
    /// Its text, where it was written on the command line.
    pub written: Option<String>,
    /// To whom.
    pub to: To,
    /// The key that it stands under.
    pub key: String,
}

impl Given {
    /// Its value; where a text is declared and YAML read what was written on the command line as something else (`2024`, `on`, `1e3`), what was written.
    fn for_whom_declares(&self, specs: &[Spec]) -> ParameterValue {
        use ParameterValue as Ros;
        let is_scalar = matches!(self.value, Ros::NotSet | Ros::Bool(_) | Ros::Integer(_) | Ros::Double(_));
        match &self.written {
            // `[]` has no type, but is no text.
            Some(written) if is_scalar && !written.starts_with('[') && crate::declares_text(specs, &self.name) => {
                Ros::String(written.clone())
            }
            _ => self.value.clone(),
        }
    }
}

/// Whether a key of a parameter file is for a node, by the node's full name (`/left/arm`).
pub fn is_for(key: &str, full_name: &str) -> bool {
    fn parts(name: &str) -> Vec<&str> {
        name.split('/').filter(|part| !part.is_empty()).collect()
    }
    fn fit(key: &[&str], name: &[&str]) -> bool {
        match key {
            [] => name.is_empty(),
            ["**", rest @ ..] => (0..=name.len()).any(|k| fit(rest, &name[k..])),
            ["*", rest @ ..] => !name.is_empty() && fit(rest, &name[1..]),
            [part, rest @ ..] => name.first() == Some(part) && fit(rest, &name[1..]),
        }
    }
    fit(&parts(key), &parts(full_name))
}

/// Whether a key may be for several nodes.
fn is_for_many(key: &str) -> bool {
    key.contains('*')
}

fn last(name: &str) -> Option<&str> {
    name.rsplit('/').next()
}

/// Everything that is said of parameters, in the order in which it holds.
#[derive(Debug, Default)]
pub struct Sayings(Vec<(String, Vec<Said>)>);

#[derive(Debug)]
struct Said {
    name: String,
    value: ParameterValue,
    /// By `-p`: as it was written there.
    by_hand: Option<String>,
}

impl Sayings {
    /// Adds what was said next, with its text where that was on the command line (`by_hand`). Under its key it is then the last: the order within a key
    /// counts only for a list of lists that is emptied.
    pub fn add(&mut self, key: &str, name: String, value: ParameterValue, by_hand: Option<&str>) {
        let at = self.0.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
            self.0.push((key.to_owned(), Vec::new()));
            self.0.len() - 1
        });
        let under = &mut self.0[at].1;
        under.retain(|said| said.name != name);
        under.push(Said { name, value, by_hand: by_hand.map(str::to_owned) });
    }

    /// What is said to a node, by its full name; of two that have the same name the later one holds.
    pub fn to(&self, full_name: &str) -> Vec<Given> {
        let keys = self.0.iter().filter(|(key, _)| is_for(key, full_name));
        let all = keys.flat_map(|(key, said)| said.iter().map(move |said| (key, said)));
        let given = |(key, said): (&String, &Said)| Given {
            name: said.name.clone(),
            value: said.value.clone(),
            written: said.by_hand.clone(),
            to: match (is_for_many(key), said.by_hand.is_some()) {
                (false, _) => To::Node,
                (true, false) => To::Many,
                (true, true) => To::Process,
            },
            key: key.clone(),
        };
        all.map(given).collect()
    }

    /// Keys that have the node's name and are not for it, because of its namespace, where no key of that name is for it: most likely
    /// they were meant.
    pub fn missed(&self, full_name: &str) -> Vec<&str> {
        let named = |key: &&str| last(key) == last(full_name);
        let keys: Vec<_> = self.0.iter().map(|(key, _)| key.as_str()).filter(named).collect();
        if keys.iter().any(|key| is_for(key, full_name)) { Vec::new() } else { keys }
    }
}

/// What of it a node with these parameters takes, with what others of the process (`of_process`) declare: one value for a name, the last.
pub fn overrides(given: Vec<Given>, own: &[Spec], of_process: &[Spec]) -> Vec<(String, ParameterValue)> {
    let mut taken: Vec<(String, ParameterValue)> = Vec::new();
    let mut by_hand = BTreeSet::new();
    for given in given {
        let value = given.for_whom_declares(own);
        let Given { name, to, key, .. } = given;
        if to != To::Node && !crate::means_nothing_here(&name) && !crate::declares(own, &name) {
            let somebody_elses = crate::declares(of_process, &name);
            if to == To::Many && !somebody_elses {
                log::warn!(
                    "parameter '{name}' is said to many nodes (by '{key}'); this one has no such parameter{}",
                    crate::meant(own, &name)
                );
            }
            if to == To::Many || somebody_elses {
                continue;
            }
        }
        if let Some((_, before)) = taken.iter().find(|(known, _)| *known == name)
            && by_hand.contains(&name)
            && to != To::Process
            && *before != value
        {
            // A file with /** came before it, and `-p` says the same as that.
            log::warn!("parameter '{name}' of the command line does not hold: a file gives another value by '{key}'");
        }
        if to == To::Process {
            by_hand.insert(name.clone());
        }
        // At its end: what empties a list of lists comes after what it empties.
        taken.retain(|(known, _)| *known != name);
        taken.push((name, value));
    }
    taken
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ParameterValue as Ros;

    #[test]
    fn what_is_written_on_the_command_line_is_a_text_where_a_text_is_declared() {
        let specs = [
            Spec::text("policy", "", "A name."),
            Spec::double("rate", 1.0, "A rate."),
            Spec::texts("names", &[], "Names."),
        ];
        let of = |name: &str, value: Ros, written: Option<&str>| {
            let mut sayings = Sayings::default();
            sayings.add("/**", name.to_owned(), value, written);
            overrides(sayings.to("/node"), &specs, &[])[0].1.clone()
        };
        for (value, written) in [
            (Ros::Integer(7), "007"),
            (Ros::Integer(2024), "2024"),
            (Ros::Double(1000.0), "1e3"),
            (Ros::Double(f64::INFINITY), ".inf"),
            (Ros::Bool(true), "yes"),
            (Ros::NotSet, "~"),
        ] {
            assert_eq!(of("policy", value, Some(written)), Ros::String(written.to_owned()));
        }
        // What is quoted there is a text already; other types keep their value; a file's text is not known.
        assert_eq!(of("policy", Ros::String("2024".to_owned()), Some("'2024'")), Ros::String("2024".to_owned()));
        assert_eq!(of("rate", Ros::Integer(5), Some("5")), Ros::Integer(5));
        assert_eq!(of("names", Ros::Integer(5), Some("5")), Ros::Integer(5));
        assert_eq!(of("policy", Ros::Integer(2024), None), Ros::Integer(2024));
    }

    #[test]
    fn keys_are_for_nodes_as_rcl_has_it() {
        // test/test_params.py asks rclpy itself.
        for (key, yes, no) in [
            ("/**", &["/arm", "/left/arm", "/a/b/arm"][..], &[][..]),
            ("**", &["/arm", "/left/arm"], &[]),
            ("/*", &["/arm"], &["/left/arm"]),
            ("*", &["/arm"], &["/left/arm"]),
            ("arm", &["/arm"], &["/left/arm", "/armed"]),
            ("/arm", &["/arm"], &["/left/arm"]),
            ("/**/arm", &["/arm", "/left/arm", "/a/b/arm"], &["/hand", "/left/hand", "/arm/x"]),
            ("/*/arm", &["/left/arm"], &["/arm", "/a/b/arm"]),
            ("left/arm", &["/left/arm"], &["/arm", "/right/arm", "/x/left/arm"]),
            ("/left/**", &["/left/arm", "/left/a/arm", "/left"], &["/arm", "/right/arm", "/x/left/arm"]),
            ("/left/*", &["/left/arm"], &["/left/a/arm"]),
            ("/left/**/arm", &["/left/arm", "/left/a/b/arm"], &["/arm", "/left/hand"]),
            ("/**/*", &["/arm", "/left/arm"], &[]),
            ("/**/left/**", &["/left/arm", "/x/left/arm"], &["/arm"]),
            ("/*/**", &["/arm", "/left/arm"], &[]),
        ] {
            for name in yes {
                assert!(is_for(key, name), "{key} is for {name}");
            }
            for name in no {
                assert!(!is_for(key, name), "{key} is not for {name}");
            }
        }
    }

    fn said(said: &[(&str, &str, Ros)]) -> Sayings {
        let mut sayings = Sayings::default();
        said.iter().for_each(|(key, name, value)| sayings.add(key, (*name).to_owned(), value.clone(), None));
        sayings
    }

    fn value(sayings: &Sayings, full_name: &str) -> Ros {
        let specs = [Spec::double("x", 0.0, "X.")];
        let mut taken = overrides(sayings.to(full_name), &specs, &specs);
        assert_eq!(taken.len(), 1, "{taken:?}");
        taken.remove(0).1
    }

    #[test]
    fn the_later_key_holds_and_a_key_is_as_late_as_its_first_time() {
        let int = Ros::Integer;
        let by_name = [("arm", "x", int(1)), ("/**", "x", int(2))];
        assert_eq!(value(&said(&by_name), "/arm"), int(2), "not the closer one");
        let again = [("/**", "x", int(1)), ("/arm", "x", int(2)), ("/**", "x", int(3))];
        assert_eq!(value(&said(&again), "/arm"), int(2), "/** was written before /arm");
        assert_eq!(value(&said(&again), "/other"), int(3));
        // With and without a slash are two keys.
        let slashed = [("arm", "x", int(1)), ("/**", "x", int(2)), ("/arm", "x", int(3))];
        assert_eq!(value(&said(&slashed), "/arm"), int(3));
    }

    #[test]
    fn under_one_key_the_later_value_holds_whatever_its_type() {
        let slower = [("/**", "x", Ros::Integer(1)), ("/**", "x", Ros::Double(0.1))];
        assert_eq!(value(&said(&slower), "/arm"), Ros::Double(0.1));
        let none = [("/**", "x", Ros::DoubleArray(vec![1.0])), ("/**", "x", Ros::NotSet)];
        assert_eq!(value(&said(&none), "/arm"), Ros::NotSet);
    }

    #[test]
    fn what_is_said_to_many_is_no_error_and_what_is_said_to_one_is() {
        let specs = [Spec::double("x", 0.0, "X."), Spec::lists("arms", &[], "Joints.")];
        let mut sayings =
            said(&[("/**", "y", Ros::Bool(true)), ("/*", "z", Ros::Bool(true)), ("arm", "w", Ros::Bool(true))]);
        sayings.add("/**", "v".to_owned(), Ros::Bool(true), Some("true"));
        let names = |of_process: &[Spec]| -> Vec<_> {
            overrides(sayings.to("/arm"), &specs, of_process).into_iter().map(|(name, _)| name).collect()
        };
        // By the node's name, and by the command line of its process.
        assert_eq!(names(&specs), ["v", "w"]);
        assert_eq!(names(&[Spec::bool("v", false, "V.")]), ["w"], "another node of the process takes it");
        let emptied = said(&[("/**", "arms", Ros::NotSet), ("/**", "arms.left", Ros::StringArray(vec![]))]);
        assert_eq!(overrides(emptied.to("/arm"), &specs, &specs).len(), 2);
    }

    #[test]
    fn keys_that_miss_the_node_by_its_namespace_are_named() {
        let sayings = said(&[
            ("arm", "x", Ros::Integer(1)),
            ("/right/arm", "x", Ros::Integer(1)),
            ("hand", "x", Ros::Integer(1)),
        ]);
        assert_eq!(sayings.missed("/left/arm"), ["arm", "/right/arm"]);
        assert_eq!(sayings.missed("/right/arm"), [""; 0], "it has a key of its own");
        assert_eq!(sayings.missed("/arm"), [""; 0]);
        assert_eq!(sayings.missed("/left/other"), [""; 0]);
    }
}
