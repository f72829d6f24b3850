//! Lists of what can be chosen by name: those that every program has, and those that a crate outside adds where a program starts.

use std::any::type_name;
use std::sync::{PoisonError, RwLock};

/// One of a kind: its name, and how it is made.
#[derive(Debug)]
pub struct Entry<M> {
    name: &'static str,
    /// Name of its type, which tells two of one name apart.
    rust: fn() -> &'static str,
    make: M,
}

impl<M: Copy> Clone for Entry<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Copy> Copy for Entry<M> {}

impl<M: Copy> Entry<M> {
    /// `T` under this name, made by `make`.
    pub const fn of<T>(name: &'static str, make: M) -> Self {
        Self { name, rust: type_name::<T>, make }
    }

    /// As parameters and files name it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What makes it.
    pub fn make(&self) -> M {
        self.make
    }
}

/// Why one was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} '{name}' ({added}) cannot be added: that name belongs to {known}; choose another name")]
pub struct RegisterError {
    /// What it is one of, as `"proposer"`.
    pub kind: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The type that was to be added.
    pub added: &'static str,
    /// The type that is there.
    pub known: &'static str,
}

/// There is none of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} '{name}'; there are: {}", known.join(", "))]
pub struct UnknownName {
    /// What it was to be one of.
    pub kind: &'static str,
    /// What was asked for.
    pub name: String,
    /// Those that there are.
    pub known: Vec<&'static str>,
}

/// All of one kind, for the whole process.
#[derive(Debug)]
pub struct Registry<M: 'static> {
    kind: &'static str,
    shipped: &'static [Entry<M>],
    added: RwLock<Vec<Entry<M>>>,
}

impl<M: Copy> Registry<M> {
    /// With those that every program has. `kind` is what each is, as `"proposer"`.
    pub const fn new(kind: &'static str, shipped: &'static [Entry<M>]) -> Self {
        Self { kind, shipped, added: RwLock::new(Vec::new()) }
    }

    /// Adds one. To be called where a program starts, before anything is chosen by name. Adding the same type again does nothing.
    ///
    /// # Errors
    /// When another one has its name.
    pub fn add(&self, entry: Entry<M>) -> Result<(), RegisterError> {
        let mut added = self.added.write().unwrap_or_else(PoisonError::into_inner);
        let known = self.shipped.iter().chain(added.iter()).find(|known| known.name == entry.name).copied();
        match known {
            None => added.push(entry),
            Some(known) if (known.rust)() == (entry.rust)() => {}
            Some(known) => {
                let (added, known) = ((entry.rust)(), (known.rust)());
                return Err(RegisterError { kind: self.kind, name: entry.name, added, known });
            }
        }
        Ok(())
    }

    /// The names, the shipped ones first, in the order in which they were added.
    pub fn names(&self) -> Vec<&'static str> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        self.shipped.iter().chain(added.iter()).map(Entry::name).collect()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// When there is none: which there are.
    pub fn named(&self, name: &str) -> Result<Entry<M>, UnknownName> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        let found = self.shipped.iter().chain(added.iter()).find(|entry| entry.name == name).copied();
        drop(added);
        found.ok_or_else(|| UnknownName { kind: self.kind, name: name.to_owned(), known: self.names() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    struct One;
    struct Two;

    static LIST: Registry<fn() -> u32> = Registry::new("number", &[Entry::of::<One>("one", || 1)]);

    /// One test: what is added stays added.
    #[test]
    fn names_are_known_from_their_line_on_taken_once_and_told_where_one_is_unknown() {
        assert_eq!((LIST.named("one").unwrap().make())(), 1);
        assert_eq!(LIST.named("two").unwrap_err().to_string(), "there is no number 'two'; there are: one");
        LIST.add(Entry::of::<Two>("two", || 2)).unwrap();
        // Twice is as good as once, of a shipped one too.
        LIST.add(Entry::of::<Two>("two", || 3)).unwrap();
        LIST.add(Entry::of::<One>("one", || 3)).unwrap();
        assert_eq!(LIST.names(), ["one", "two"]);
        assert_eq!((LIST.named("two").unwrap().make())(), 2);
        for (name, known) in [("one", "One"), ("two", "Two")] {
            struct Other;
            let error = LIST.add(Entry::of::<Other>(name, || 4)).unwrap_err();
            assert!(error.known.ends_with(known) && error.to_string().contains(&format!("the number '{name}'")));
        }
        assert_eq!(LIST.names().len(), 2);
    }
}
