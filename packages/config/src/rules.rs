//! What must hold of several parameters at once, or of one in more than its numbers.

use crate::{ParamError, Params};
use efm_core::Reason;
use std::collections::BTreeSet;

/// Says what is wrong: the text names the parameter and what it is, the remedy says what would be right.
pub type Judge = fn(&Params) -> Result<(), Reason>;

/// A rule that the parameters of a node keep. It is judged when they are read at the start, and whenever one of them is to change.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub(crate) says: &'static str,
    pub(crate) with: &'static [&'static str],
    pub(crate) judge: Judge,
    pub(crate) refuses: &'static [&'static str],
}

impl Rule {
    /// A rule of the parameter that it is given to ([`crate::Spec::rule`]) `with` others: `judge` reads no more than these. `says` is a sentence for
    /// `--help` and the page of parameters. `refuses` are sets of parameters, as JSON, that break it and nothing else: a test has each refused.
    pub const fn new(
        says: &'static str,
        with: &'static [&'static str],
        judge: Judge,
        refuses: &'static [&'static str],
    ) -> Self {
        Self { says, with, judge, refuses }
    }

    /// What is refused by it, as JSON.
    pub fn refuses(&self) -> &'static [&'static str] {
        self.refuses
    }
}

/// By which rules that concern one of `changed` (none: all of them) the parameters are refused. Where one of a rule's parameters was refused by
/// itself, as in `refused`, the rule is not asked.
pub(super) fn broken(params: &Params, changed: Option<&BTreeSet<String>>, refused: &[ParamError]) -> Vec<ParamError> {
    let specs = params.store().specs.clone();
    let named = |name: &str, spec: &str| {
        let of = |other: &str| other == spec || other.strip_prefix(spec).is_some_and(|rest| rest.starts_with('.'));
        of(name)
    };
    let mut broken = Vec::new();
    for spec in specs.iter() {
        for rule in &spec.rules {
            let concerned = || rule.with.iter().chain([&spec.name]);
            let changes =
                changed.is_none_or(|changed| changed.iter().any(|name| concerned().any(|of| named(name, of))));
            let is_refused = refused.iter().any(|error| concerned().any(|of| named(error.name(), of)));
            if changes
                && !is_refused
                && let Err(why) = (rule.judge)(params)
            {
                broken.push(ParamError::Rule { name: spec.name.to_owned(), why });
            }
        }
    }
    broken
}
