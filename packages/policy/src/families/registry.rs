//! Which families there are.

use super::family::{Family, Section};
use super::{action_tokens, diffusion, flow_matching, recurrent, single_pass};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_yaml::{Mapping, Value};
use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock};

/// The families that every program has. A new one is one line here.
const SHIPPED: &[Entry] = &[
    Entry::of::<single_pass::SinglePassSpec>(),
    Entry::of::<flow_matching::FlowMatchingSpec>(),
    Entry::of::<diffusion::DiffusionSpec>(),
    Entry::of::<action_tokens::TokenSpec>(),
    Entry::of::<recurrent::RecurrentSpec>(),
];

/// Those that a program added.
static ADDED: RwLock<Vec<Entry>> = RwLock::new(Vec::new());

/// A family by its name.
#[derive(Clone, Copy)]
struct Entry {
    name: &'static str,
    /// Name of the type, which tells two families of one name apart.
    rust: fn() -> &'static str,
    read: fn(Mapping) -> Result<Arc<dyn Family>, String>,
    same: fn(&dyn Family, &dyn Family) -> bool,
}

impl Entry {
    const fn of<S: Section>() -> Self {
        Self { name: S::TYPE, rust: std::any::type_name::<S>, read: read::<S>, same: same::<S> }
    }

    /// All, the shipped ones first.
    fn all() -> Vec<Self> {
        let added = ADDED.read().unwrap_or_else(PoisonError::into_inner);
        SHIPPED.iter().chain(added.iter()).copied().collect()
    }
}

/// The values of a section, or what is wrong with them, with the field.
fn read<S: Section>(section: Mapping) -> Result<Arc<dyn Family>, String> {
    match serde_yaml::from_value::<S>(Value::Mapping(section.clone())) {
        Ok(family) => Ok(Arc::new(family)),
        Err(error) => Err(named::<S>(&section).unwrap_or_else(|| format!("runner: {error}"))),
    }
}

/// What is wrong with a section, after the field that it is about. Values do not know where they stood; the parser of text does.
fn named<S: Section>(section: &Mapping) -> Option<String> {
    let error = serde_yaml::from_str::<S>(&serde_yaml::to_string(section).ok()?).err()?.to_string();
    let (field, problem) = error.split_once(": ")?;
    let key = field.split(['.', '[']).next()?;
    // Its line is none of the manifest's.
    let problem = problem.rsplit_once(" at line ").map_or(problem, |(problem, _)| problem);
    section.contains_key(key).then(|| format!("runner.{field}: {problem}"))
}

fn same<S: Section>(a: &dyn Family, b: &dyn Family) -> bool {
    let (a, b): (&dyn Any, &dyn Any) = (a, b);
    a.downcast_ref::<S>().zip(b.downcast_ref::<S>()).is_some_and(|(a, b)| a == b)
}

/// Why a family was not added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the family '{name}' ({added}) cannot be added: that name belongs to {known}; choose another TYPE")]
pub struct RegisterError {
    /// Its `runner.type`.
    pub name: &'static str,
    /// The type that was to be added.
    pub added: &'static str,
    /// The type that is there.
    pub known: &'static str,
}

/// Adds a family to those that manifests can name, for the whole process. To be called where a program starts, before it reads a manifest. Adding
/// the same type again does nothing.
///
/// # Errors
/// When another family has its name.
pub fn register<S: Section>() -> Result<(), RegisterError> {
    let entry = Entry::of::<S>();
    let mut added = ADDED.write().unwrap_or_else(PoisonError::into_inner);
    match SHIPPED.iter().chain(added.iter()).find(|known| known.name == entry.name) {
        None => added.push(entry),
        Some(known) if (known.rust)() == (entry.rust)() => {}
        Some(known) => {
            return Err(RegisterError { name: entry.name, added: (entry.rust)(), known: (known.rust)() });
        }
    }
    Ok(())
}

/// What `runner.type` can be, the shipped ones first.
pub fn names() -> Vec<&'static str> {
    Entry::all().into_iter().map(|entry| entry.name).collect()
}

/// The `runner` section of a manifest: how its graphs are run.
#[derive(Clone)]
pub struct RunnerSpec {
    entry: Entry,
    family: Arc<dyn Family>,
}

impl RunnerSpec {
    /// Its `type`.
    pub fn name(&self) -> &'static str {
        self.entry.name
    }

    /// Its values, where it is of this family.
    pub fn section<S: Section>(&self) -> Option<&S> {
        let family: &dyn Any = &*self.family;
        family.downcast_ref()
    }
}

impl Deref for RunnerSpec {
    type Target = dyn Family;

    fn deref(&self) -> &Self::Target {
        &*self.family
    }
}

impl fmt::Debug for RunnerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.family.fmt(f)
    }
}

impl PartialEq for RunnerSpec {
    fn eq(&self, other: &Self) -> bool {
        (self.entry.same)(&*self.family, &*other.family)
    }
}

impl<'de> Deserialize<'de> for RunnerSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (entry, section) = deserializer.deserialize_map(Typed)?;
        let family = (entry.read)(section).map_err(D::Error::custom)?;
        Ok(Self { entry, family })
    }
}

/// Reads the family, and what else is in the section.
struct Typed;

impl<'de> Visitor<'de> for Typed {
    type Value = (Entry, Mapping);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a section with `type`")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let (mut entry, mut section) = (None, Mapping::new());
        while let Some(key) = map.next_key::<String>()? {
            if key == "type" {
                if entry.is_some() {
                    map.next_value::<IgnoredAny>()?;
                    return Err(M::Error::duplicate_field("type"));
                }
                entry = Some(map.next_value::<Entry>()?);
            } else {
                let value = map.next_value()?;
                if section.contains_key(&key) {
                    return Err(M::Error::custom(format!("duplicate field `{key}`")));
                }
                section.insert(key.into(), value);
            }
        }
        entry.map(|entry| (entry, section)).ok_or_else(|| M::Error::missing_field("type"))
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(Named)
    }
}

/// Finds a family by its name.
struct Named;

impl Visitor<'_> for Named {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a family of policies")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Entry, E> {
        let all = Entry::all();
        all.iter().find(|entry| entry.name == name).copied().ok_or_else(|| {
            let known: Vec<String> = all.iter().map(|entry| format!("`{}`", entry.name)).collect();
            E::custom(format!("unknown variant `{name}`, expected one of {}", known.join(", ")))
        })
    }
}
