//! Every kind of wrong value of a declaration, for tests that have each of them refused by name.

use crate::ParameterValue as Ros;
use crate::{Range, Spec, Value};

/// A value that a declaration does not allow.
#[derive(Debug, Clone, PartialEq)]
pub struct Wrong {
    /// What is wrong with it.
    pub kind: &'static str,
    /// The parameter.
    pub name: String,
    /// The value.
    pub value: Ros,
}

/// Values of every type that ROS has, an empty list of each included.
fn of_all_types() -> Vec<Ros> {
    vec![
        Ros::NotSet,
        Ros::Bool(true),
        Ros::Integer(1),
        Ros::Double(1.0),
        Ros::String("word".to_owned()),
        Ros::ByteArray(vec![1]),
        Ros::BoolArray(vec![true]),
        Ros::IntegerArray(vec![1]),
        Ros::DoubleArray(vec![1.0]),
        Ros::StringArray(vec!["word".to_owned()]),
    ]
}

/// Whether a value is of a type that is taken for the declared one. Written down once more, apart from the code that it tests.
fn is_taken_for(declared: &Value, value: &Ros) -> bool {
    let is_list = matches!(declared, Value::Texts(_) | Value::Doubles(_) | Value::Integers(_));
    match value {
        Ros::NotSet => is_list,
        Ros::Bool(_) => matches!(declared, Value::Bool(_)),
        Ros::Integer(_) => matches!(declared, Value::Integer(_) | Value::Double(_)),
        Ros::Double(_) => matches!(declared, Value::Double(_)),
        Ros::String(_) => matches!(declared, Value::Text(_)),
        Ros::ByteArray(_) | Ros::BoolArray(_) => false,
        Ros::IntegerArray(_) => matches!(declared, Value::Integers(_) | Value::Doubles(_)),
        Ros::DoubleArray(_) => matches!(declared, Value::Doubles(_)),
        Ros::StringArray(_) => matches!(declared, Value::Texts(_)),
    }
}

impl Spec {
    /// Its name, or for a family that of one of it.
    fn one_name(&self) -> String {
        if self.is_family { format!("{}.one", self.name) } else { self.name.to_owned() }
    }

    /// Values that it refuses, of every kind that there is: of another type, below, above, no number, empty, another word. What contradicts
    /// other parameters is listed with its rules ([`Self::rules`]).
    pub fn wrong_values(&self) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let mut add = |kind, value| wrong.push(Wrong { kind, name: self.one_name(), value });
        of_all_types().into_iter().filter(|value| !is_taken_for(&self.default, value)).for_each(|v| add("type", v));
        let as_default = |number: f64| match self.default {
            Value::Double(_) => Some(Ros::Double(number)),
            Value::Doubles(_) => Some(Ros::DoubleArray(vec![number])),
            _ => None,
        };
        for (kind, number) in self.wrong_numbers() {
            as_default(number).into_iter().for_each(|value| add(kind, value));
        }
        for (kind, number) in self.wrong_whole_numbers() {
            match self.default {
                Value::Integer(_) => add(kind, Ros::Integer(number)),
                Value::Integers(_) => add(kind, Ros::IntegerArray(vec![number])),
                _ => {}
            }
        }
        match self.default {
            Value::Text(_) if self.required => add("empty", Ros::String(String::new())),
            Value::Texts(_) if self.required && !self.is_family => {
                add("empty", Ros::StringArray(vec![]));
                add("empty", Ros::NotSet);
            }
            Value::Doubles(_) if self.required => add("empty", Ros::DoubleArray(vec![])),
            Value::Integers(_) if self.required => add("empty", Ros::IntegerArray(vec![])),
            _ => {}
        }
        if let Some(first) = self.choices.first() {
            let others = [format!("{first} "), first.to_uppercase(), "no such word".to_owned(), String::new()];
            for other in others {
                match self.default {
                    Value::Text(_) => add("choice", Ros::String(other)),
                    // An empty text alone is an empty list.
                    Value::Texts(_) => add("choice", Ros::StringArray(vec![(*first).to_owned(), other])),
                    _ => {}
                }
            }
        }
        wrong
    }

    fn wrong_numbers(&self) -> Vec<(&'static str, f64)> {
        let mut numbers = vec![
            ("no number", f64::NAN),
            ("no number", -f64::NAN),
            ("infinite", f64::INFINITY),
            ("infinite", f64::NEG_INFINITY),
        ];
        let Some(range) = self.range else { return numbers };
        numbers.extend([("above", range.most.next_up()), ("above", 2.0 * range.most.abs() + 1.0)]);
        numbers.extend([("below", range.least.next_down()), ("below", range.least - 1.0)]);
        if range.above {
            numbers.push(("below", range.least));
        }
        if range.least > 0.0 {
            numbers.extend([0.0, -0.0, -range.least, 0.5 * range.least].map(|number| ("below", number)));
        }
        numbers.retain(|(_, number)| range.zero.is_none() || *number != 0.0);
        numbers
    }

    fn wrong_whole_numbers(&self) -> Vec<(&'static str, i64)> {
        let Some(range) = self.range else { return Vec::new() };
        let (least, most) = (range.least.ceil() as i64, range.most.floor() as i64);
        let mut numbers = vec![("above", most.saturating_add(1)), ("above", i64::MAX)];
        numbers.extend([least.saturating_sub(1), least.saturating_sub(1000), i64::MIN].map(|number| ("below", number)));
        numbers.retain(|(_, number)| range.zero.is_none() || *number != 0);
        numbers
    }

    /// Numbers at the ends of what it takes, and its zero; none, where it is no number or has no range.
    pub fn edges(&self) -> Vec<Ros> {
        let Some(range) = self.range else { return Vec::new() };
        let mut edges = vec![if range.above { range.least.next_up() } else { range.least }, range.most];
        edges.extend(range.zero.map(|_| 0.0));
        let value = |number: f64| match self.default {
            Value::Integer(_) => Some(Ros::Integer(number as i64)),
            Value::Double(_) => Some(Ros::Double(number)),
            Value::Integers(_) => Some(Ros::IntegerArray(vec![number as i64])),
            Value::Doubles(_) => Some(Ros::DoubleArray(vec![number])),
            _ => None,
        };
        edges.into_iter().filter_map(value).collect()
    }
}

impl Spec {
    /// Some value that it takes, chosen by `chance` (from 0 to 1, below 1); none, where only the user knows one: a text, a list.
    pub fn some_value(&self, chance: f64) -> Option<Ros> {
        if let Value::Bool(_) = self.default {
            return Some(Ros::Bool(chance < 0.5));
        }
        if let (Value::Text(_), Some(last)) = (&self.default, self.choices.len().checked_sub(1)) {
            let place = ((chance * self.choices.len() as f64) as usize).min(last);
            return Some(Ros::String(self.choices[place].to_owned()));
        }
        let range = self.range?;
        // A fifth of them are the ends, and zero; the others are as often small as large.
        let edges = self.edges();
        if chance < 0.2 {
            return edges.into_iter().nth((chance * 15.0) as usize % edges_of(&range));
        }
        let (part, least) = ((chance - 0.2) / 0.8, if range.above { range.least.next_up() } else { range.least });
        let number = if least > 0.0 {
            (least * (range.most / least).powf(part)).clamp(least, range.most)
        } else {
            least + part * (range.most - least)
        };
        match self.default {
            Value::Integer(_) => Some(Ros::Integer(number as i64)),
            Value::Double(_) => Some(Ros::Double(number)),
            _ => None,
        }
    }
}

fn edges_of(range: &Range) -> usize {
    2 + usize::from(range.zero.is_some())
}
