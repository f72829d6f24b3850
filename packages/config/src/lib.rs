//! Parameters without ROS: declared with type, default, range and description; anything else is refused by name, at start-up and later.

pub mod codes;
pub mod file;
pub mod files;
pub mod given;
mod json;
pub mod pages;
mod range;
mod rules;
pub mod wrong;

pub use given::is_for;
pub use range::Range;
pub use rules::{Judge, Rule};

use efm_core::Reason;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// true or false.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number. A whole number in YAML is taken as well.
    Double(f64),
    /// Text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A list of numbers. Whole numbers are taken as well.
    Doubles(Vec<f64>),
    /// A list of whole numbers.
    Integers(Vec<i64>),
}

impl Value {
    fn type_name(&self) -> &'static str {
        match self {
            Value::Bool(_) => "a boolean",
            Value::Integer(_) => "an integer",
            Value::Double(_) => "a number",
            Value::Text(_) => "a string",
            Value::Texts(_) => "a list of strings",
            Value::Doubles(_) => "a list of numbers",
            Value::Integers(_) => "a list of integers",
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Bool(v) => write!(f, "{v}"),
            Value::Integer(v) => write!(f, "{v}"),
            Value::Double(v) => write!(f, "{v:?}"),
            Value::Text(v) => write!(f, "{v:?}"),
            Value::Texts(v) => write!(f, "{v:?}"),
            Value::Doubles(v) => write!(f, "{v:?}"),
            Value::Integers(v) => write!(f, "{v:?}"),
        }
    }
}

/// A value of a parameter as it comes from outside, before it is known what is wanted: the types of `rcl_interfaces/ParameterType`.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum ParameterValue {
    NotSet,
    Bool(bool),
    Integer(i64),
    Double(f64),
    String(String),
    BoolArray(Vec<bool>),
    ByteArray(Vec<u8>),
    IntegerArray(Vec<i64>),
    DoubleArray(Vec<f64>),
    StringArray(Vec<String>),
}

impl ParameterValue {
    fn type_name(&self) -> &'static str {
        match self {
            Self::NotSet => "not set",
            Self::Bool(_) => "boolean",
            Self::Integer(_) => "integer",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::BoolArray(_) => "boolean array",
            Self::ByteArray(_) => "byte array",
            Self::IntegerArray(_) => "integer array",
            Self::DoubleArray(_) => "double array",
            Self::StringArray(_) => "string array",
        }
    }
}

/// Declares one parameter, or, with [`Spec::lists`], a family of them.
#[derive(Debug, Clone)]
pub struct Spec {
    name: &'static str,
    description: &'static str,
    default: Value,
    family: Vec<(&'static str, &'static [&'static str])>,
    is_family: bool,
    unit: &'static str,
    range: Option<Range>,
    choices: Cow<'static, [&'static str]>,
    dynamic: bool,
    required: bool,
    example: Option<&'static str>,
    rules: Vec<Rule>,
}

impl Spec {
    /// Whether it declares the parameter of this name.
    pub(crate) fn is_of(&self, name: &str) -> bool {
        if !self.is_family {
            return self.name == name;
        }
        let key = name.strip_prefix(self.name).and_then(|rest| rest.strip_prefix('.'));
        key.is_some_and(|key| !key.is_empty() && !key.contains('.'))
    }

    /// As [`Self::is_of`]; of a family its own name as well, by which an empty list empties it.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        self.is_of(name) || self.is_family && self.name == name
    }

    fn new(name: &'static str, default: Value, description: &'static str) -> Self {
        Self {
            name,
            description,
            default,
            family: Vec::new(),
            is_family: false,
            unit: "",
            range: None,
            choices: Cow::Borrowed(&[]),
            dynamic: false,
            required: false,
            example: None,
            rules: Vec::new(),
        }
    }

    /// true or false.
    pub fn bool(name: &'static str, default: bool, description: &'static str) -> Self {
        Self::new(name, Value::Bool(default), description)
    }

    /// A whole number. See [`Self::unit`].
    pub fn integer(name: &'static str, default: i64, description: &'static str) -> Self {
        Self::new(name, Value::Integer(default), description)
    }

    /// A finite number. See [`Self::unit`].
    pub fn double(name: &'static str, default: f64, description: &'static str) -> Self {
        Self::new(name, Value::Double(default), description)
    }

    /// Text.
    pub fn text(name: &'static str, default: &str, description: &'static str) -> Self {
        Self::new(name, Value::Text(default.to_owned()), description)
    }

    /// A list of texts.
    pub fn texts(name: &'static str, default: &[&str], description: &'static str) -> Self {
        Self::new(name, Value::Texts(default.iter().map(|&s| s.to_owned()).collect()), description)
    }

    /// A list of finite numbers.
    pub fn doubles(name: &'static str, default: &[f64], description: &'static str) -> Self {
        Self::new(name, Value::Doubles(default.to_vec()), description)
    }

    /// A list of whole numbers.
    pub fn integers(name: &'static str, default: &[i64], description: &'static str) -> Self {
        Self::new(name, Value::Integers(default.to_vec()), description)
    }

    /// Lists of texts under names that the user chooses: `<name>.<key>: [..]`. Giving any of them replaces all defaults; an empty list
    /// takes its key away, and `<name>: []` all that was given before.
    pub fn lists(
        name: &'static str,
        default: &[(&'static str, &'static [&'static str])],
        description: &'static str,
    ) -> Self {
        Self { family: default.to_vec(), is_family: true, ..Self::new(name, Value::Texts(Vec::new()), description) }
    }

    /// Values from `min` to `max`, both included. For numbers, and for each number of a list.
    #[must_use]
    pub fn range(self, min: f64, max: f64) -> Self {
        Self { range: Some(Range { least: min, above: false, most: max, zero: None }), ..self }
    }

    /// Values above `min` and up to `max`, which is included.
    #[must_use]
    pub fn above(self, min: f64, max: f64) -> Self {
        Self { range: Some(Range { least: min, above: true, most: max, zero: None }), ..self }
    }

    /// Zero besides the range, which is given before, with what it means.
    #[must_use]
    pub fn or_zero(self, meaning: &'static str) -> Self {
        Self { range: self.range.map(|range| Range { zero: Some(meaning), ..range }), ..self }
    }

    /// What its numbers count or measure: "s", "rad/s". A number without unit has none.
    #[must_use]
    pub fn unit(self, unit: &'static str) -> Self {
        Self { unit, ..self }
    }

    /// A value to show, as JSON, where there is no sensible default: for the example file and the tests.
    #[must_use]
    pub fn example(self, json: &'static str) -> Self {
        Self { example: Some(json), ..self }
    }

    /// Something that must hold of it, alone or with others.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The name; of a family that under which its lists stand.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What must hold of it, alone or with others.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Its default; a family's are not told.
    pub fn default_value(&self) -> &Value {
        &self.default
    }

    /// The value to show, as JSON, for a parameter that must be set.
    pub fn needed_example(&self) -> Option<&'static str> {
        self.example.filter(|_| self.required)
    }

    /// Whether it must be set.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Its unit; empty for none.
    pub fn unit_of(&self) -> &'static str {
        self.unit
    }

    /// Only these texts.
    #[must_use]
    pub fn choices(self, choices: impl Into<Cow<'static, [&'static str]>>) -> Self {
        Self { choices: choices.into(), ..self }
    }

    /// May be changed while the node runs. Without this it is read-only once the node has started.
    #[must_use]
    pub fn dynamic(self) -> Self {
        Self { dynamic: true, ..self }
    }

    /// Has no sensible default: an empty text or list is refused.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Description with unit, range, choices and rules, for people.
    fn help(&self) -> String {
        let mut text = self.description.to_owned();
        match (self.unit, self.range) {
            ("", Some(range)) => {
                text += &format!(" {range}.").replacen(" from", " From", 1).replacen(" above", " Above", 1)
            }
            (unit, Some(range)) => text += &format!(" In {unit}, {range}."),
            ("", None) => {}
            (unit, None) => text += &format!(" In {unit}."),
        }
        let conditions = self.conditions();
        if !conditions.is_empty() {
            text += &format!(" {conditions}");
        }
        text
    }

    /// What it is for, without what is known of it otherwise.
    pub fn description(&self) -> &str {
        self.description
    }

    /// Whether it may be set while the node runs.
    pub fn is_dynamic(&self) -> bool {
        self.dynamic
    }

    /// Between which values it, or each value of its list, lies.
    pub fn range_of(&self) -> Option<Range> {
        self.range
    }

    /// Choices and rules, in words.
    pub fn conditions(&self) -> String {
        let choices = (!self.choices.is_empty()).then(|| format!("One of: {}.", self.choices.join(", ")));
        let rules = self.rules.iter().map(|rule| rule.says.to_owned()).filter(|says| !says.is_empty());
        choices.into_iter().chain(rules).collect::<Vec<_>>().join(" ")
    }

    /// Reads a value that came from outside as this parameter's type and checks it.
    fn admit(&self, name: &str, value: &ParameterValue) -> Result<Value, ParamError> {
        use ParameterValue as Ros;
        let value = match (&self.default, value) {
            (Value::Bool(_), Ros::Bool(v)) => Value::Bool(*v),
            (Value::Integer(_), Ros::Integer(v)) => Value::Integer(*v),
            (Value::Double(_), Ros::Double(v)) => Value::Double(*v),
            (Value::Double(_), Ros::Integer(v)) => Value::Double(*v as f64),
            (Value::Text(_), Ros::String(v)) => Value::Text(v.clone()),
            (Value::Texts(_), none) if is_no_list(none) => Value::Texts(vec![]),
            (Value::Doubles(_), none) if is_no_list(none) => Value::Doubles(vec![]),
            (Value::Integers(_), none) if is_no_list(none) => Value::Integers(vec![]),
            (Value::Texts(_), Ros::StringArray(v)) => Value::Texts(v.clone()),
            (Value::Doubles(_), Ros::DoubleArray(v)) => Value::Doubles(v.clone()),
            (Value::Integers(_), Ros::IntegerArray(v)) => Value::Integers(v.clone()),
            (Value::Doubles(_), Ros::IntegerArray(v)) => Value::Doubles(v.iter().map(|&v| v as f64).collect()),
            (expected, actual) => {
                return Err(ParamError::Type {
                    name: name.to_owned(),
                    expected: expected.type_name(),
                    actual: said(actual),
                    hint: how_to_write(expected, actual),
                });
            }
        };
        self.check(name, &value)?;
        Ok(value)
    }

    fn check(&self, name: &str, value: &Value) -> Result<(), ParamError> {
        let out_of_range = |value: String| {
            let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
            let wanted = self.range.map_or("a finite number".to_owned(), |range| range.to_string());
            Err(ParamError::Range { name: name.to_owned(), value, unit, wanted })
        };
        let number = |v: f64| match self.range.map_or(v.is_finite(), |range| range.contains(v)) {
            true => Ok(()),
            false => out_of_range(v.to_string()),
        };
        let whole = |v: i64| match self.range.is_none_or(|range| range.contains_whole(v)) {
            true => Ok(()),
            false => out_of_range(v.to_string()),
        };
        let missing = || ParamError::Missing { name: name.to_owned(), description: self.help() };
        let text = |v: &String| {
            if self.choices.is_empty() || self.choices.contains(&v.as_str()) {
                Ok(())
            } else {
                let choices = self.choices.join(", ");
                Err(ParamError::Choice { name: name.to_owned(), value: v.clone(), choices })
            }
        };
        match value {
            Value::Bool(_) => Ok(()),
            Value::Integer(v) => whole(*v),
            Value::Double(v) => number(*v),
            Value::Doubles(v) if v.is_empty() && self.required => Err(missing()),
            Value::Integers(v) if v.is_empty() && self.required => Err(missing()),
            Value::Integers(v) => v.iter().try_for_each(|&v| whole(v)),
            Value::Doubles(v) => v.iter().try_for_each(|&v| number(v)),
            Value::Text(v) if v.is_empty() && self.required => Err(missing()),
            Value::Text(v) => text(v),
            Value::Texts(v) if v.is_empty() && self.required && !self.is_family => Err(missing()),
            Value::Texts(v) => v.iter().try_for_each(text),
        }
    }
}

/// Why a parameter is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ParamError {
    /// Nobody declared it.
    #[error("parameter '{name}' is unknown to this node{hint}")]
    Unknown {
        /// The name.
        name: String,
        /// What was perhaps meant, and what there is.
        hint: String,
    },
    /// Wrong type.
    #[error("parameter '{name}' must be {expected}, not {actual}{hint}")]
    Type {
        /// The name.
        name: String,
        /// What it must be.
        expected: &'static str,
        /// What it was.
        actual: String,
        /// How it is written so that it is one.
        hint: String,
    },
    /// Out of range, or not a finite number.
    #[error("parameter '{name}' is {value}{unit}; it must be {wanted}")]
    Range {
        /// The name.
        name: String,
        /// What it was.
        value: String,
        /// Behind the number, with a space before it.
        unit: String,
        /// What it must be.
        wanted: String,
    },
    /// Not one of the words.
    #[error("parameter '{name}' is '{value}'; it must be one of: {choices}")]
    Choice {
        /// The name.
        name: String,
        /// What it was.
        value: String,
        /// What it may be.
        choices: String,
    },
    /// Set while the node runs, although it is read only at the start.
    #[error("parameter '{name}' is read-only while the node runs; set it at the start")]
    ReadOnly {
        /// The name.
        name: String,
    },
    /// Required, and not given.
    #[error("parameter '{name}' must be set: {description}")]
    Missing {
        /// The name.
        name: String,
        /// What it is for.
        description: String,
    },
    /// It breaks a rule, alone or with others.
    #[error("{why}")]
    Rule {
        /// The name.
        name: String,
        /// The name, the value, and what would be right.
        why: Reason,
    },
}

impl ParamError {
    /// The parameter that is refused.
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. }
            | Self::Type { name, .. }
            | Self::Range { name, .. }
            | Self::Choice { name, .. }
            | Self::ReadOnly { name }
            | Self::Missing { name, .. }
            | Self::Rule { name, .. } => name,
        }
    }
}

/// A value that came from outside, with its type.
fn said(value: &ParameterValue) -> String {
    use ParameterValue as Ros;
    let kind = value.type_name();
    match value {
        Ros::NotSet => "an empty list".to_owned(),
        Ros::Bool(v) => format!("{kind} {v}"),
        Ros::Integer(v) => format!("{kind} {v}"),
        Ros::Double(v) => format!("{kind} {v:?}"),
        Ros::String(v) => format!("{kind} {:?}", v.chars().take(60).collect::<String>()),
        _ => kind.to_owned(),
    }
}

/// How somebody who means it writes a value so that YAML reads it as what is wanted; empty where nobody knows what is meant.
fn how_to_write(wanted: &Value, value: &ParameterValue) -> String {
    use ParameterValue as Ros;
    match (wanted, value) {
        (Value::Text(_), Ros::Integer(v)) => format!("; write it in quotes: '{v}'"),
        (Value::Text(_), Ros::Bool(_) | Ros::Double(_)) => "; write it in quotes".to_owned(),
        (Value::Texts(_), Ros::String(v)) if !v.contains(['\'', '"', ',', '[', ']']) => {
            format!("; write a list: ['{}']", v.chars().take(60).collect::<String>())
        }
        (Value::Texts(_), Ros::Bool(_) | Ros::Integer(_) | Ros::Double(_)) => "; write a list: ['...']".to_owned(),
        (Value::Texts(_), Ros::BoolArray(_) | Ros::IntegerArray(_) | Ros::DoubleArray(_)) => {
            "; write each in quotes: ['...', '...']".to_owned()
        }
        (Value::Double(_) | Value::Integer(_), Ros::String(v)) if v.trim().parse::<f64>().is_ok() => {
            format!("; write it without quotes: {}", v.trim())
        }
        (Value::Integer(_), Ros::Double(v)) if v.fract() == 0.0 => format!("; write it without a point: {v:.0}"),
        (Value::Bool(_), Ros::String(_) | Ros::Integer(_)) => "; write true or false".to_owned(),
        _ => String::new(),
    }
}

/// Whether a value stands for an empty list. YAML's `[]` has no type, so ROS has no value for it; and where other nodes cannot be given
/// `[]`, people write `['']`.
fn is_no_list(value: &ParameterValue) -> bool {
    use ParameterValue as Ros;
    match value {
        Ros::NotSet => true,
        Ros::String(v) => v.is_empty(),
        Ros::StringArray(v) => v.iter().all(String::is_empty),
        Ros::ByteArray(v) => v.is_empty(),
        Ros::BoolArray(v) => v.is_empty(),
        Ros::IntegerArray(v) => v.is_empty(),
        Ros::DoubleArray(v) => v.is_empty(),
        Ros::Bool(_) | Ros::Integer(_) | Ros::Double(_) => false,
    }
}

/// The name that rclcpp and rclpy have for it.
pub const START_TYPE_DESCRIPTION_SERVICE: &str = "start_type_description_service";

/// Parameters that every node has.
pub(crate) fn common() -> Vec<Spec> {
    vec![
        Spec::bool("use_sim_time", false, "Take time from /clock instead of the wall clock."),
        Spec::bool(
            START_TYPE_DESCRIPTION_SERVICE,
            true,
            "Offer ~/get_type_description, by which tools ask what the types of this node's topics look like.",
        ),
    ]
}

/// Parameters that other tools put into files for all nodes and that mean nothing here.
fn means_nothing_here(name: &str) -> bool {
    name.starts_with("qos_overrides.")
}

fn shown(spec: &Spec) -> String {
    if spec.is_family { format!("{}.<name>", spec.name) } else { spec.name.to_owned() }
}

/// Whether one of `specs` declares the parameter of this name.
pub fn declares(specs: &[Spec], name: &str) -> bool {
    specs.iter().any(|spec| spec.concerns(name))
}

/// Whether one of `specs` declares the parameter of this name as a text.
pub(crate) fn declares_text(specs: &[Spec], name: &str) -> bool {
    specs.iter().any(|spec| spec.concerns(name) && !spec.is_family && matches!(spec.default, Value::Text(_)))
}

/// What was perhaps meant by a name that no spec declares, to be added to a sentence.
fn meant(specs: &[Spec], name: &str) -> String {
    let nearest = specs
        .iter()
        .map(|spec| (strsim::damerau_levenshtein(spec.name, name), spec))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= 1 + name.len() / 4);
    nearest.map_or(String::new(), |(_, spec)| format!(" (did you mean '{}'?)", shown(spec)))
}

/// Specs and values. Checked by construction: every value is of its type and in its range.
#[derive(Debug, Clone)]
struct Store {
    specs: Arc<[Spec]>,
    values: BTreeMap<String, Value>,
}

impl Store {
    /// With what is wrong: a parameter that is refused has no value then.
    fn new(specs: Vec<Spec>, overrides: &[(String, ParameterValue)]) -> (Self, Vec<ParamError>) {
        let mut store = Self { specs: specs.into(), values: BTreeMap::new() };
        let mut errors = Vec::new();
        // Families of which something was given.
        let mut given = BTreeSet::new();
        for (name, value) in overrides {
            if means_nothing_here(name) {
                log::warn!("parameter '{name}' has no effect on this node");
                continue;
            }
            if let Some(family) = store.specs.iter().find(|spec| spec.is_family && spec.name == name)
                && is_no_list(value)
            {
                given.insert(family.name);
                store.values.retain(|known, _| !family.is_of(known));
                continue;
            }
            let spec = store.spec_of(name);
            if let Ok(spec) = spec
                && spec.is_family
            {
                given.insert(spec.name);
            }
            match spec.and_then(|spec| Ok((spec.is_family, spec.admit(name, value)?))) {
                // None of this name.
                Ok((true, Value::Texts(texts))) if texts.is_empty() => drop(store.values.remove(name)),
                Ok((_, value)) => drop(store.values.insert(name.clone(), value)),
                Err(error) => errors.push(error),
            }
        }
        for spec in store.specs.iter() {
            let refused = |e: &ParamError| e.name() == spec.name;
            if spec.is_family {
                let prefix = format!("{}.", spec.name);
                if !given.contains(spec.name) {
                    for (key, texts) in &spec.family {
                        let texts = texts.iter().map(|&s| s.to_owned()).collect();
                        store.values.insert(format!("{prefix}{key}"), Value::Texts(texts));
                    }
                }
                let is_there = store.values.keys().any(|name| name.starts_with(&prefix));
                let is_refused = errors.iter().any(|e| spec.is_of(e.name()));
                if spec.required && !is_there && !is_refused {
                    let name = format!("{prefix}<name>");
                    errors.push(ParamError::Missing { name, description: spec.help() });
                }
            } else if !store.values.contains_key(spec.name) && !errors.iter().any(refused) {
                if let Err(error) = spec.check(spec.name, &spec.default) {
                    errors.push(error);
                }
                store.values.insert(spec.name.to_owned(), spec.default.clone());
            }
        }
        (store, errors)
    }

    fn spec_of(&self, name: &str) -> Result<&Spec, ParamError> {
        self.specs.iter().find(|spec| spec.is_of(name)).ok_or_else(|| self.unknown(name))
    }

    fn unknown(&self, name: &str) -> ParamError {
        let all: Vec<_> = self.specs.iter().map(shown).collect();
        let hint = format!("{}; it takes: {}", meant(&self.specs, name), all.join(", "));
        ParamError::Unknown { name: name.to_owned(), hint }
    }

    /// Sets all or none, while the node runs.
    fn set<'a>(
        &mut self,
        changes: impl IntoIterator<Item = (&'a str, ParameterValue)>,
    ) -> Result<Vec<String>, ParamError> {
        let mut admitted = Vec::new();
        for (name, value) in changes {
            let spec = self.spec_of(name)?;
            if value == ParameterValue::NotSet {
                // An empty list of a file; of the services' it is the wish to take the parameter away.
                let (expected, actual) = (spec.default.type_name(), "not set".to_owned());
                return Err(ParamError::Type { name: name.to_owned(), expected, actual, hint: String::new() });
            }
            let value = spec.admit(name, &value)?;
            let same = self.values.get(name) == Some(&value);
            if !same && (!spec.dynamic || spec.is_family) {
                return Err(ParamError::ReadOnly { name: name.to_owned() });
            }
            if !same {
                admitted.push((name.to_owned(), value));
            }
        }
        if admitted.is_empty() {
            return Ok(Vec::new());
        }
        let changed = admitted.iter().map(|(name, _)| name.clone()).collect();
        let mut after = self.clone();
        after.values.extend(admitted);
        let after = Params::of(after);
        if let Some(error) = rules::broken(&after, Some(&changed), &[]).into_iter().next() {
            return Err(error);
        }
        self.values = std::mem::take(&mut after.store().values);
        Ok(changed.into_iter().collect())
    }
}

/// The parameters of a node. Cheap to clone; every clone sees changes.
#[derive(Debug, Clone)]
pub struct Params {
    store: Arc<Mutex<Store>>,
    version: watch::Sender<u64>,
}

impl Params {
    /// Applies `overrides` (from files and the command line) to the declared parameters. What every node has is declared by this.
    ///
    /// # Errors
    /// Everything that is wrong, so that one start shows all of it.
    pub fn new(specs: Vec<Spec>, overrides: &[(String, ParameterValue)]) -> Result<Self, Vec<ParamError>> {
        let mut specs = specs;
        specs.extend(common());
        let (store, mut errors) = Store::new(specs, overrides);
        let params = Self::of(store);
        errors.extend(rules::broken(&params, None, &errors));
        if errors.is_empty() { Ok(params) } else { Err(errors) }
    }

    fn of(store: Store) -> Self {
        Self { store: Arc::new(Mutex::new(store)), version: watch::Sender::new(0) }
    }

    /// Sets all of these or none, as the parameter services do it. Returns what has changed, and to what.
    ///
    /// # Errors
    /// What is wrong first: a value, a parameter that is read-only, or a rule that would be broken then.
    pub fn set(&self, changes: &[(String, ParameterValue)]) -> Result<Vec<(String, Value)>, ParamError> {
        let changes = changes.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut store = self.store();
        let names = store.set(changes)?;
        let changed: Vec<_> =
            names.into_iter().filter_map(|name| store.values.get(&name).cloned().map(|value| (name, value))).collect();
        drop(store);
        if !changed.is_empty() {
            self.version.send_modify(|version| *version += 1);
        }
        Ok(changed)
    }

    /// The value of a parameter, where there is one of this name.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.store().values.get(name).cloned()
    }

    /// The names of all parameters that have a value, sorted.
    pub fn names(&self) -> Vec<String> {
        self.store().values.keys().cloned().collect()
    }

    /// The declaration of the parameter of this name.
    pub fn spec_of(&self, name: &str) -> Option<Spec> {
        self.store().spec_of(name).ok().cloned()
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // The store changes by whole values only, so it is sound even when somebody panicked while holding it.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Any parameter; panics when it was not declared, which is the node's own mistake and shows at its first start.
    fn value(&self, name: &str) -> Value {
        match self.store().values.get(name) {
            Some(value) => value.clone(),
            None => panic!("parameter '{name}' is read but was not declared"),
        }
    }

    /// A [`Spec::bool`]. This and the other readers panic when the parameter was not declared so.
    pub fn bool(&self, name: &str) -> bool {
        match self.value(name) {
            Value::Bool(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::integer`].
    pub fn integer(&self, name: &str) -> i64 {
        match self.value(name) {
            Value::Integer(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::double`].
    pub fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Double(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::text`].
    pub fn text(&self, name: &str) -> String {
        match self.value(name) {
            Value::Text(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::texts`].
    pub fn texts(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Value::Texts(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::doubles`].
    pub fn doubles(&self, name: &str) -> Vec<f64> {
        match self.value(name) {
            Value::Doubles(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::integers`].
    pub fn integers(&self, name: &str) -> Vec<i64> {
        match self.value(name) {
            Value::Integers(v) => v,
            other => panic!("parameter '{name}' was declared as {}", other.type_name()),
        }
    }

    /// A [`Spec::lists`]: keys and their lists, sorted by key.
    pub fn lists(&self, name: &str) -> Vec<(String, Vec<String>)> {
        let store = self.store();
        let declared = store.specs.iter().any(|spec| spec.is_family && spec.name == name);
        assert!(declared, "parameter '{name}' is read but was not declared as lists");
        let key = |full: &str| Some(full.strip_prefix(name)?.strip_prefix('.')?.to_owned());
        let list = |(full, value): (&String, &Value)| match value {
            Value::Texts(texts) => Some((key(full)?, texts.clone())),
            _ => None,
        };
        store.values.iter().filter_map(list).collect()
    }

    /// Puts what holds by other means than the parameter services into a dynamic parameter, for others to read; for the node that is
    /// no change. Panics when the parameter was not declared so.
    pub fn adopt(&self, name: &str, value: Value) {
        let mut store = self.store();
        let dynamic = store.specs.iter().any(|spec| spec.dynamic && !spec.is_family && spec.name == name);
        assert!(dynamic, "parameter '{name}' is adopted but was not declared as dynamic");
        store.values.insert(name.to_owned(), value);
    }

    /// Changes whenever a dynamic parameter was set.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// What `--help` shows: one paragraph a parameter.
    pub fn describe(specs: &[Spec]) -> String {
        let mut text = String::new();
        for spec in specs {
            text +=
                &format!("  {}  ({}; {})\n      {}\n", shown(spec), spec.kind(), spec.default_in_words(), spec.help());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ParameterValue as Ros;

    fn specs() -> Vec<Spec> {
        vec![
            Spec::double("rate", 100.0, "Ticks a second, Hz.").range(1.0, 500.0).dynamic(),
            Spec::integer("depth", 5, "Queue."),
            Spec::text("reliability", "best_effort", "Of the images.").choices(&["best_effort", "reliable"]),
            Spec::texts("cameras", &["front"], "Names."),
            Spec::doubles("weights", &[1.0], "Weights.").range(0.0, 1.0),
            Spec::integers("cores", &[], "Numbers of cores.").range(0.0, 7.0),
            Spec::lists("controllers", &[("arm", &["j1", "j2"])], "Joints of each controller."),
        ]
    }

    fn with(overrides: &[(&str, Ros)]) -> Result<Params, Vec<ParamError>> {
        let overrides: Vec<_> = overrides.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Params::new(specs(), &overrides)
    }

    fn refusal(overrides: &[(&str, Ros)]) -> String {
        with(overrides).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_value_of_another_type_is_refused_with_how_it_is_written() {
        use ParameterValue as Ros;
        let of = |wanted: Value, value: Ros| how_to_write(&wanted, &value);
        let text = || Value::Text(String::new());
        assert_eq!(of(text(), Ros::Integer(2024)), "; write it in quotes: '2024'");
        assert_eq!(of(text(), Ros::Bool(true)), "; write it in quotes");
        assert_eq!(of(text(), Ros::Double(1e3)), "; write it in quotes");
        assert_eq!(of(Value::Texts(vec![]), Ros::String("front".into())), "; write a list: ['front']");
        assert_eq!(of(Value::Texts(vec![]), Ros::IntegerArray(vec![1, 2])), "; write each in quotes: ['...', '...']");
        assert_eq!(of(Value::Double(0.0), Ros::String("0.5".into())), "; write it without quotes: 0.5");
        assert_eq!(of(Value::Integer(0), Ros::Double(5.0)), "; write it without a point: 5");
        assert_eq!(of(Value::Integer(0), Ros::Double(5.5)), "");
        assert_eq!(of(Value::Bool(true), Ros::Integer(1)), "; write true or false");
        assert_eq!(of(Value::Double(0.0), Ros::String("fast".into())), "");
    }

    #[test]
    fn defaults_hold_until_overridden_and_whole_numbers_serve_as_numbers() {
        let params = with(&[("rate", Ros::Integer(50)), ("weights", Ros::IntegerArray(vec![0, 1]))]).unwrap();
        assert_eq!((params.double("rate"), params.integer("depth")), (50.0, 5));
        assert_eq!(params.doubles("weights"), [0.0, 1.0]);
        assert_eq!(params.texts("cameras"), ["front"]);
        assert!(!params.bool("use_sim_time"));
    }

    #[test]
    fn a_list_of_whole_numbers_takes_no_others() {
        let params = with(&[("cores", Ros::IntegerArray(vec![2, 0]))]).unwrap();
        assert_eq!((params.integers("cores"), with(&[]).unwrap().integers("cores")), (vec![2, 0], vec![]));
        let text = refusal(&[("cores", Ros::DoubleArray(vec![1.0]))]);
        assert!(text.contains("'cores' must be a list of integers"), "{text}");
        let text = refusal(&[("cores", Ros::IntegerArray(vec![1, 8]))]);
        assert!(text.contains("'cores' is 8; it must be from 0 to 7"), "{text}");
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_name_with_what_was_probably_meant() {
        let text = refusal(&[("rat", Ros::Double(5.0))]);
        assert!(text.contains("'rat' is unknown") && text.contains("did you mean 'rate'?"), "{text}");
        let text = refusal(&[("controllers", Ros::StringArray(vec!["j".into()]))]);
        assert!(text.contains("controllers.<name>"), "{text}");
        let text = refusal(&[("zzzzzz", Ros::Bool(true))]);
        assert!(!text.contains("did you mean") && text.contains("it takes: rate, depth"), "{text}");
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let text = refusal(&[
            ("rate", Ros::Double(1000.0)),
            ("depth", Ros::String("five".into())),
            ("reliability", Ros::String("perfect".into())),
            ("weights", Ros::DoubleArray(vec![0.5, f64::NAN])),
        ]);
        for part in [
            "'rate' is 1000; it must be from 1 to 500",
            "'depth' must be an integer, not string \"five\"",
            "'reliability' is 'perfect'; it must be one of: best_effort, reliable",
            "'weights' is NaN",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert_eq!(text.lines().count(), 4, "{text}");
    }

    #[test]
    fn giving_one_list_of_a_family_replaces_its_defaults() {
        assert_eq!(
            with(&[]).unwrap().lists("controllers"),
            [("arm".to_owned(), vec!["j1".to_owned(), "j2".to_owned()])]
        );
        let params = with(&[
            ("controllers.right", Ros::StringArray(vec!["r1".into()])),
            ("controllers.left", Ros::StringArray(vec!["l1".into()])),
        ]);
        let keys: Vec<_> = params.unwrap().lists("controllers").into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["left", "right"]);
    }

    #[test]
    fn a_required_parameter_without_a_value_is_asked_for() {
        let specs = || vec![Spec::text("policy", "", "Folder of the policy package.").required()];
        let text = Params::new(specs(), &[]).unwrap_err()[0].to_string();
        assert_eq!(text, "parameter 'policy' must be set: Folder of the policy package.");
        assert!(Params::new(specs(), &[("policy".into(), Ros::String("p".into()))]).is_ok());
        let empty = Params::new(specs(), &[("policy".into(), Ros::String(String::new()))]).unwrap_err();
        assert_eq!(empty.len(), 1, "asked for once: {empty:?}");
    }

    #[test]
    fn while_running_only_dynamic_parameters_change_and_all_or_none() {
        let params = with(&[]).unwrap();
        let set = |changes: Vec<(&'static str, Ros)>| params.store().set(changes);
        assert_eq!(set(vec![("rate", Ros::Double(20.0))]).unwrap(), ["rate"]);
        assert_eq!(set(vec![("depth", Ros::Integer(5))]).unwrap(), [""; 0], "the same value is no change");
        let refused = set(vec![("rate", Ros::Double(30.0)), ("depth", Ros::Integer(6))]);
        assert_eq!(refused, Err(ParamError::ReadOnly { name: "depth".into() }));
        assert_eq!(params.double("rate"), 20.0);
        assert!(matches!(set(vec![("rate", Ros::Double(0.0))]), Err(ParamError::Range { .. })));
        let family = set(vec![("controllers.arm", Ros::StringArray(vec!["x".into()]))]);
        assert!(matches!(family, Err(ParamError::ReadOnly { .. })));
        params.adopt("rate", Value::Double(10.0));
        assert_eq!(set(vec![("rate", Ros::Double(20.0))]).unwrap(), ["rate"], "what was adopted can be set back");
    }

    #[test]
    fn an_empty_list_is_none_however_ros_hands_it_over() {
        for none in [
            Ros::NotSet,
            Ros::ByteArray(vec![]),
            Ros::BoolArray(vec![]),
            Ros::DoubleArray(vec![]),
            Ros::StringArray(vec![String::new()]),
            Ros::String(String::new()),
        ] {
            let params =
                with(&[("cameras", none.clone()), ("weights", none.clone()), ("cores", none.clone())]).unwrap();
            assert_eq!((params.texts("cameras"), params.doubles("weights")), (vec![], vec![]), "{none:?}");
            assert_eq!(params.integers("cores"), [0; 0], "{none:?}");
        }
        let text = refusal(&[("rate", Ros::NotSet), ("reliability", Ros::NotSet)]);
        assert!(text.contains("'rate' must be a number, not an empty list"), "{text}");
        assert!(text.contains("'reliability' must be a string, not an empty list"), "{text}");
        let required = vec![Spec::texts("cameras", &["front"], "Names.").required()];
        let error = Params::new(required, &[("cameras".to_owned(), Ros::NotSet)]).unwrap_err()[0].to_string();
        assert_eq!(error, "parameter 'cameras' must be set: Names.");
    }

    #[test]
    fn an_empty_list_takes_away_one_of_a_family_or_all_that_came_before() {
        let texts = |name: &str| Ros::StringArray(vec![name.to_owned()]);
        let keys = |given: &[(&str, Ros)]| -> Vec<String> {
            with(given).unwrap().lists("controllers").into_iter().map(|(key, _)| key).collect()
        };
        let (left, right) = (("controllers.left", texts("l")), ("controllers.right", texts("r")));
        assert_eq!(keys(&[left.clone(), right.clone(), ("controllers.left", Ros::NotSet)]), ["right"]);
        assert_eq!(keys(&[left.clone(), ("controllers", Ros::NotSet), right.clone()]), ["right"]);
        assert_eq!(keys(&[left, right, ("controllers", Ros::NotSet)]), [""; 0]);
        assert_eq!(keys(&[("controllers", Ros::NotSet)]), [""; 0], "the default as well");
        let required = || vec![Spec::lists("controllers", &[], "Joints of each.").required()];
        for name in ["controllers", "controllers.arm"] {
            let error = Params::new(required(), &[(name.to_owned(), Ros::NotSet)]).unwrap_err()[0].to_string();
            assert_eq!(error, "parameter 'controllers.<name>' must be set: Joints of each.");
        }
        let wrong = Params::new(required(), &[("controllers.arm".to_owned(), Ros::Integer(1))]).unwrap_err();
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        let text = refusal(&[("controllers", texts("j"))]);
        assert!(text.contains("'controllers' is unknown") && text.contains("controllers.<name>"), "{text}");
    }

    #[test]
    fn the_services_cannot_take_a_parameter_away() {
        let params = with(&[("cores", Ros::NotSet)]).unwrap();
        let refused = params.store().set([("cores", Ros::NotSet)]);
        assert!(matches!(&refused, Err(ParamError::Type { actual, .. }) if actual == "not set"), "{refused:?}");
    }

    /// A pair of which one must not be above the other, and a time that is more than the spacing of a rate.
    fn ruled() -> Vec<Spec> {
        fn ordered(params: &Params) -> Result<(), Reason> {
            let (least, most) = (params.double("least"), params.double("most"));
            if least <= most {
                return Ok(());
            }
            let remedy = format!("it must be at most 'most', which is {most}");
            Err(codes::contradict(format!("parameter 'least' is {least} m"), remedy))
        }
        const ORDERED: Rule = Rule::new("At most `most`.", &["most"], ordered, &[r#"{"least": 2.0, "most": 1.0}"#]);
        vec![
            Spec::double("least", 0.2, "Least.").unit("m").range(0.0, 10.0).dynamic().rule(ORDERED),
            Spec::double("most", 0.5, "Most.").unit("m").above(0.0, 10.0).or_zero("any").dynamic(),
            Spec::double("other", 0.5, "Other.").dynamic(),
        ]
    }

    #[test]
    fn a_rule_is_judged_at_the_start_unless_what_it_is_about_is_wrong_already() {
        let start = |given: &[(&str, Ros)]| {
            let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            Params::new(ruled(), &given).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert!(start(&[("least", Ros::Double(0.5))]).is_ok());
        let broken = start(&[("least", Ros::Double(0.6))]).unwrap_err();
        assert_eq!(broken, ["parameter 'least' is 0.6 m; it must be at most 'most', which is 0.5"]);
        for (least, most) in [(Ros::Double(f64::NAN), Ros::Double(1.0)), (Ros::Double(3.0), Ros::Bool(true))] {
            assert_eq!(start(&[("least", least), ("most", most)]).unwrap_err().len(), 1);
        }
        let both = start(&[("least", Ros::Double(3.0)), ("other", Ros::Bool(true))]).unwrap_err();
        assert_eq!(both.len(), 2, "{both:?}");
        let range = start(&[("most", Ros::Double(-0.1))]).unwrap_err();
        assert_eq!(range, ["parameter 'most' is -0.1 m; it must be above 0 and at most 10, or 0 (any)"]);
    }

    #[test]
    fn what_would_break_a_rule_is_refused_while_the_node_runs_and_both_may_change_together() {
        let params = Params::new(ruled(), &[]).unwrap();
        let set = |changes: &[(&str, f64)]| {
            let changes: Vec<_> = changes.iter().map(|(name, v)| ((*name).to_owned(), Ros::Double(*v))).collect();
            params.set(&changes).map_err(|error| error.to_string())
        };
        let refused = set(&[("least", 0.7)]).unwrap_err();
        assert_eq!(refused, "parameter 'least' is 0.7 m; it must be at most 'most', which is 0.5", "as at the start");
        // The other one of the pair is blamed by the same rule, and nothing else of the request holds.
        assert!(set(&[("other", 9.0), ("most", 0.1)]).unwrap_err().contains("'least' is 0.2"));
        assert_eq!((params.double("least"), params.double("most"), params.double("other")), (0.2, 0.5, 0.5));
        assert_eq!(set(&[("least", 2.0), ("most", 3.0)]).map(drop), Ok(()));
        assert_eq!(set(&[("other", 1.0)]).map(drop), Ok(()));
        assert_eq!((params.double("least"), params.double("most"), params.double("other")), (2.0, 3.0, 1.0));
    }

    #[test]
    fn help_says_unit_range_zero_and_rule() {
        let text = Params::describe(&ruled());
        assert!(
            text.contains(
                "  least  (a number, dynamic; default 0.2)\n      Least. In m, from 0 to 10. At most `most`."
            ),
            "{text}"
        );
        assert!(text.contains("Most. In m, above 0 and at most 10, or 0 (any)."), "{text}");
    }

    #[test]
    fn every_wrong_value_of_a_declaration_is_refused_by_name_and_its_edges_are_taken() {
        let specs = || {
            let mut all = specs();
            all.extend(ruled().into_iter().map(|spec| Spec { rules: Vec::new(), ..spec }));
            all.push(Spec::integer("priority", 2, "Priority.").range(2.0, 4.0).or_zero("none"));
            all.push(Spec::texts("words", &["a"], "Words.").choices(&["a", "b"]).required());
            all
        };
        let mut kinds = BTreeSet::new();
        for spec in specs().iter().chain(&common()) {
            for wrong in spec.wrong_values() {
                let case = format!("{} {}: {:?}", wrong.kind, wrong.name, wrong.value);
                let Err(errors) = Params::new(specs(), &[(wrong.name.clone(), wrong.value)]) else { panic!("{case}") };
                assert!(errors.len() == 1 && errors[0].to_string().contains(&format!("'{}", wrong.name)), "{case}");
                kinds.insert(wrong.kind);
            }
            for edge in spec.edges() {
                assert!(
                    Params::new(specs(), &[(spec.name.to_owned(), edge.clone())]).is_ok(),
                    "{}: {edge:?}",
                    spec.name
                );
            }
        }
        let all = ["above", "below", "choice", "empty", "infinite", "no number", "type"];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn what_other_tools_put_into_files_for_all_nodes_is_let_pass() {
        assert!(with(&[("start_type_description_service", Ros::Bool(true))]).is_ok());
    }
}
