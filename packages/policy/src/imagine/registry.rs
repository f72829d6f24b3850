//! Which world models there are.

use super::kinematic::Kinematic;
use super::{Imagine, Space};
use efm_core::Reason;
use efm_core::registry::{self, RegisterError, Registry, UnknownName};

/// Makes one.
pub type Make = fn(&Space) -> Result<Box<dyn Imagine>, Reason>;

/// A world model by its name.
pub type Entry = registry::Entry<Make>;

/// The world models that every program has. A new one is one line here.
static LIST: Registry<Make> = Registry::new("world model", &[entry::<Kinematic>()]);

/// A world model that can be chosen by its name.
pub trait Named: Imagine + Sized + 'static {
    /// As parameters have it.
    const NAME: &'static str;

    /// For these joints and steps.
    ///
    /// # Errors
    /// When it cannot be for them, or a file of its own does not fit.
    fn new(space: &Space) -> Result<Self, Reason>;
}

const fn entry<I: Named>() -> Entry {
    Entry::of::<I>(I::NAME, |space| Ok(Box::new(I::new(space)?)))
}

/// Adds a world model to those that can be chosen by name, for the whole process. To be called where a program starts. Adding the same type again does
/// nothing.
///
/// # Errors
/// When another one has its name.
pub fn register<I: Named>() -> Result<(), RegisterError> {
    LIST.add(entry::<I>())
}

/// The names, the shipped ones first.
pub fn names() -> Vec<&'static str> {
    LIST.names()
}

/// The world model of this name.
///
/// # Errors
/// When there is none: which there are.
pub fn named(name: &str) -> Result<Entry, UnknownName> {
    LIST.named(name)
}
