//! Parameters as JSON, for records of how a node was started.

use crate::ParameterValue as Ros;
use crate::{ParamError, Params, Spec, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

impl Params {
    /// All parameters and what they hold.
    pub fn to_json(&self) -> BTreeMap<String, Json> {
        let json = |value: &Value| match value {
            Value::Bool(v) => Json::from(*v),
            Value::Integer(v) => Json::from(*v),
            Value::Double(v) => Json::from(*v),
            Value::Text(v) => Json::from(v.clone()),
            Value::Texts(v) => Json::from(v.clone()),
            Value::Doubles(v) => Json::from(v.clone()),
            Value::Integers(v) => Json::from(v.clone()),
        };
        self.store().values.iter().map(|(name, value)| (name.clone(), json(value))).collect()
    }

    /// From what [`Self::to_json`] gave, or from a parameter file: checked against the specs like any others.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn from_json(specs: Vec<Spec>, values: &BTreeMap<String, Json>) -> Result<Self, Vec<ParamError>> {
        let list =
            |name: &str| specs.iter().find(|spec| name == spec.name || spec.is_family && name.starts_with(spec.name));
        let overrides: Vec<_> = values.iter().map(|(name, json)| (name.clone(), ros(json, list(name)))).collect();
        Self::new(specs, &overrides)
    }
}

/// As ROS would have read it. An empty list has no type of its own, so it takes the one that is wanted.
fn ros(json: &Json, wanted: Option<&Spec>) -> Ros {
    match json {
        Json::Null => Ros::NotSet,
        Json::Bool(v) => Ros::Bool(*v),
        Json::Number(v) => v.as_i64().map_or_else(|| Ros::Double(v.as_f64().unwrap_or(f64::NAN)), Ros::Integer),
        Json::String(v) => Ros::String(v.clone()),
        Json::Array(items) if items.is_empty() => match wanted.map(|spec| &spec.default) {
            Some(Value::Doubles(_)) => Ros::DoubleArray(vec![]),
            Some(Value::Integers(_)) => Ros::IntegerArray(vec![]),
            _ => Ros::StringArray(vec![]),
        },
        Json::Array(items) if items.iter().all(Json::is_i64) => {
            Ros::IntegerArray(items.iter().filter_map(Json::as_i64).collect())
        }
        Json::Array(items) if items.iter().all(Json::is_number) => {
            Ros::DoubleArray(items.iter().filter_map(Json::as_f64).collect())
        }
        Json::Array(items) if items.iter().all(Json::is_boolean) => {
            Ros::BoolArray(items.iter().filter_map(Json::as_bool).collect())
        }
        Json::Array(items) => {
            let text = |item: &Json| item.as_str().map_or_else(|| item.to_string(), str::to_owned);
            Ros::StringArray(items.iter().map(text).collect())
        }
        Json::Object(_) => Ros::NotSet,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn specs() -> Vec<Spec> {
        vec![
            Spec::double("rate", 100.0, "Hz."),
            Spec::integer("threads", 1, "Threads."),
            Spec::doubles("workspace", &[], "m."),
            Spec::integers("cores", &[], "Cores."),
            Spec::texts("gripper_joints", &["a"], "Names."),
            Spec::lists("controllers", &[], "Joints.").required(),
        ]
    }

    #[test]
    fn parameters_come_back_bit_by_bit() {
        let given = [
            ("rate".to_owned(), Ros::Double(0.1 + 0.2)),
            ("workspace".to_owned(), Ros::DoubleArray(vec![1.0, 2.5])),
            ("gripper_joints".to_owned(), Ros::StringArray(vec![])),
            ("controllers.arm".to_owned(), Ros::StringArray(vec!["j1".into(), "j2".into()])),
        ];
        let params = Params::new(specs(), &given).unwrap();
        let json = serde_json::to_string(&params.to_json()).unwrap();
        let again = Params::from_json(specs(), &serde_json::from_str(&json).unwrap()).unwrap();
        assert_eq!(again.to_json(), params.to_json());
        assert_eq!(again.double("rate").to_bits(), (0.1_f64 + 0.2).to_bits());
        assert_eq!(again.lists("controllers"), [("arm".to_owned(), vec!["j1".to_owned(), "j2".to_owned()])]);
    }

    #[test]
    fn what_is_wrong_is_named_as_at_a_start() {
        let values = BTreeMap::from([("rate".to_owned(), Json::from("fast")), ("speeed".to_owned(), Json::from(1))]);
        let errors = Params::from_json(specs(), &values).unwrap_err();
        let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|e| e.contains("'rate'")) && said.iter().any(|e| e.contains("'speeed'")), "{said:?}");
        assert!(said.iter().any(|e| e.contains("controllers")), "{said:?}");
    }
}
