//! Which proposers there are.

use crate::inference::best_of::BestOf;
use crate::inference::engine::Setup;
use crate::inference::local::LocalPolicy;
use crate::inference::proposer::{Named, Proposer};
use efm_core::registry::{self, RegisterError, Registry, UnknownName};

/// Makes one that is not open yet.
pub type Make = fn(&Setup) -> Box<dyn Proposer>;

/// A proposer by its name.
pub type Entry = registry::Entry<Make>;

/// The proposers that every program has. A new one is one line here; the first is the default.
static LIST: Registry<Make> = Registry::new("proposer", &[entry::<LocalPolicy>(), entry::<BestOf<LocalPolicy>>()]);

const fn entry<P: Named>() -> Entry {
    Entry::of::<P>(P::NAME, |setup| Box::new(P::new(setup)))
}

/// Adds a proposer to those that the parameter `proposer` can name, for the whole process. To be called where a program starts, before
/// `vla_inference::plan()`: the parameter's choices are those that are known then. Adding the same type again does nothing.
///
/// # Errors
/// When another proposer has its name.
pub fn register<P: Named>() -> Result<(), RegisterError> {
    LIST.add(entry::<P>())
}

/// What `proposer` can be, the shipped ones first.
pub fn names() -> Vec<&'static str> {
    LIST.names()
}

/// The proposer of this name.
///
/// # Errors
/// When there is none: which there are.
pub fn named(name: &str) -> Result<Entry, UnknownName> {
    LIST.named(name)
}
