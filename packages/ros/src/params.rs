//! The six parameter services of a ROS node. r2r has its own, but without ranges, read-only flags and atomic refusal.

use crate::bounds;
use crate::qos;
use efm_config::{ParameterValue as Given, Params, Spec, Value};
use futures::StreamExt;
use r2r::rcl_interfaces::msg::{
    FloatingPointRange, IntegerRange, ListParametersResult, Parameter, ParameterDescriptor, ParameterEvent,
    ParameterValue, SetParametersResult,
};
use r2r::rcl_interfaces::srv;

fn to_msg(value: Option<&Value>) -> ParameterValue {
    let mut msg = ParameterValue::default();
    let Some(value) = value else { return msg };
    msg.type_ = type_code(value);
    match value.clone() {
        Value::Bool(v) => msg.bool_value = v,
        Value::Integer(v) => msg.integer_value = v,
        Value::Double(v) => msg.double_value = v,
        Value::Text(v) => msg.string_value = v,
        Value::Texts(v) => msg.string_array_value = v,
        Value::Doubles(v) => msg.double_array_value = v,
        Value::Integers(v) => msg.integer_array_value = v,
    }
    msg
}

/// The numbers of rcl_interfaces/ParameterType.
fn type_code(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 1,
        Value::Integer(_) => 2,
        Value::Double(_) => 3,
        Value::Text(_) => 4,
        Value::Integers(_) => 7,
        Value::Doubles(_) => 8,
        Value::Texts(_) => 9,
    }
}

fn from_msg(msg: &ParameterValue) -> Given {
    use Given as Ros;
    match msg.type_ {
        1 => Ros::Bool(msg.bool_value),
        2 => Ros::Integer(msg.integer_value),
        3 => Ros::Double(msg.double_value),
        4 => Ros::String(msg.string_value.clone()),
        5 => Ros::ByteArray(msg.byte_array_value.clone()),
        6 => Ros::BoolArray(msg.bool_array_value.clone()),
        7 => Ros::IntegerArray(msg.integer_array_value.clone()),
        8 => Ros::DoubleArray(msg.double_array_value.clone()),
        9 => Ros::StringArray(msg.string_array_value.clone()),
        _ => Ros::NotSet,
    }
}

fn descriptor(name: &str, spec: Option<&Spec>) -> ParameterDescriptor {
    let Some(spec) = spec else { return ParameterDescriptor { name: name.to_owned(), ..Default::default() } };
    let mut descriptor = ParameterDescriptor {
        name: name.to_owned(),
        type_: type_code(spec.default_value()),
        description: spec.description().to_owned(),
        read_only: !spec.is_dynamic(),
        additional_constraints: spec.conditions(),
        ..Default::default()
    };
    if !spec.unit_of().is_empty() {
        descriptor.description += &format!(" In {}.", spec.unit_of());
    }
    if let Some(range) = spec.range_of().filter(|range| !range.is_plain()) {
        descriptor.additional_constraints = format!("{range}. {}", spec.conditions()).trim_end().to_owned();
    }
    match (spec.range_of().map(|range| range.ends()), spec.default_value()) {
        (Some((min, max)), Value::Integer(_) | Value::Integers(_)) => {
            descriptor.integer_range =
                vec![IntegerRange { from_value: min.ceil() as i64, to_value: max.floor() as i64, step: 1 }];
        }
        (Some((min, max)), Value::Double(_) | Value::Doubles(_)) => {
            descriptor.floating_point_range = vec![FloatingPointRange { from_value: min, to_value: max, step: 0.0 }];
        }
        _ => {}
    }
    descriptor
}

/// The names under `prefixes`, at most `depth` levels below them (0: all), as rclcpp lists them.
fn list(params: &Params, prefixes: &[String], depth: u64) -> ListParametersResult {
    let level = |rest: &str| depth == 0 || (rest.matches('.').count() as u64) < depth;
    let listed = |name: &&String| {
        if prefixes.is_empty() {
            return level(name);
        }
        prefixes.iter().any(|prefix| {
            *name == prefix
                || name.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix('.')).is_some_and(level)
        })
    };
    let mut result = ListParametersResult::default();
    for name in params.names().iter().filter(listed) {
        if let Some((prefix, _)) = name.rsplit_once('.')
            && !result.prefixes.iter().any(|known| known == prefix)
        {
            result.prefixes.push(prefix.to_owned());
        }
        result.names.push(name.clone());
    }
    result
}

/// Why a request is not looked at: texts and lists in it have no bound of their own.
fn too_large(parameters: &[Parameter]) -> Option<String> {
    let size = |p: &Parameter| {
        let value = &p.value;
        let texts = value.string_array_value.iter().map(String::len).sum::<usize>();
        let numbers = value.integer_array_value.len() + value.double_array_value.len();
        let small = value.byte_array_value.len() + value.bool_array_value.len();
        p.name.len() + value.string_value.len() + texts + 8 * numbers + small
    };
    let bytes: usize = parameters.iter().map(size).sum();
    (bytes > bounds::REQUEST).then(|| format!("the request has {bytes} bytes; at most {} are taken", bounds::REQUEST))
}

fn set(params: &Params, parameters: &[Parameter]) -> (SetParametersResult, Vec<Parameter>) {
    if let Some(reason) = too_large(parameters) {
        return (SetParametersResult { successful: false, reason }, Vec::new());
    }
    let changes: Vec<_> = parameters.iter().map(|p| (p.name.clone(), from_msg(&p.value))).collect();
    match params.set(&changes) {
        Err(error) => (SetParametersResult { successful: false, reason: error.to_string() }, Vec::new()),
        Ok(changed) => {
            let changed = changed.into_iter().map(|(name, value)| Parameter { value: to_msg(Some(&value)), name });
            (SetParametersResult { successful: true, ..Default::default() }, changed.collect())
        }
    }
}

/// Creates the node's parameter services and answers them, in tasks of the current tokio runtime.
///
/// # Errors
/// When ROS refuses a service.
pub fn serve(node: &mut crate::Node) -> Result<(), crate::NodeError> {
    let params = node.params().clone();
    let events = node.publisher::<ParameterEvent>("/parameter_events", qos::parameter_events())?;
    let (node_name, clock) = (node.full_name().to_owned(), node.clock().clone());
    let announce = {
        move |changed: Vec<Parameter>| {
            if changed.is_empty() {
                return;
            }
            let event = ParameterEvent {
                stamp: crate::convert::time(clock.now()),
                node: node_name.clone(),
                changed_parameters: changed,
                ..Default::default()
            };
            if let Err(error) = events.publish(&event) {
                log::debug!("{error}");
            }
        }
    };

    // Every service answers from `params`; a request whose client is gone is nobody's trouble.
    macro_rules! answer {
        ($kind:ident, $name:literal, |$params:ident, $request:ident| $response:expr) => {{
            let mut requests = node.service::<srv::$kind::Service>(concat!("~/", $name))?;
            let $params = params.clone();
            #[allow(unused_variables)]
            let announce = announce.clone();
            tokio::spawn(async move {
                while let Some(request) = requests.next().await {
                    let $request = &request.message;
                    let response = $response(&announce);
                    if let Err(error) = request.respond(response) {
                        log::debug!("{}: {error}", $name);
                    }
                }
            });
        }};
    }
    answer!(SetParameters, "set_parameters", |params, request| |announce: &dyn Fn(Vec<Parameter>)| {
        let results = request.parameters.iter().map(|parameter| {
            let (result, changed) = set(&params, std::slice::from_ref(parameter));
            announce(changed);
            result
        });
        srv::SetParameters::Response { results: results.collect() }
    });
    answer!(SetParametersAtomically, "set_parameters_atomically", |params, request| |announce: &dyn Fn(
        Vec<Parameter>,
    )| {
        let (result, changed) = set(&params, &request.parameters);
        announce(changed);
        srv::SetParametersAtomically::Response { result }
    });
    answer!(GetParameters, "get_parameters", |params, request| |_| {
        let values = request.names.iter().map(|name| to_msg(params.get(name).as_ref())).collect();
        srv::GetParameters::Response { values }
    });
    answer!(GetParameterTypes, "get_parameter_types", |params, request| |_| {
        let types = request.names.iter().map(|name| params.get(name).map_or(0, |value| type_code(&value))).collect();
        srv::GetParameterTypes::Response { types }
    });
    answer!(DescribeParameters, "describe_parameters", |params, request| |_| {
        let descriptors = request.names.iter().map(|name| descriptor(name, params.spec_of(name).as_ref())).collect();
        srv::DescribeParameters::Response { descriptors }
    });
    answer!(ListParameters, "list_parameters", |params, request| |_| {
        srv::ListParameters::Response { result: list(&params, &request.prefixes, request.depth) }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn params() -> Params {
        let specs = vec![
            Spec::double("rate", 100.0, "Ticks a second, Hz.").range(1.0, 500.0).dynamic(),
            Spec::text("mode", "a", "Mode.").choices(&["a", "b"]),
            Spec::lists("controllers", &[("arm", &["j1"])], "Joints of each controller."),
        ];
        Params::new(specs, &[]).unwrap()
    }

    #[test]
    fn tools_see_range_type_and_whether_it_may_change() {
        let params = params();
        let of = |name: &str| descriptor(name, params.spec_of(name).as_ref());
        let rate = of("rate");
        assert_eq!((rate.type_, rate.read_only), (3, false));
        assert_eq!((rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value), (1.0, 500.0));
        assert_eq!((of("controllers.arm").type_, of("mode").additional_constraints.as_str()), (9, "One of: a, b."));
        assert_eq!(of("nothing").type_, 0);
    }

    #[test]
    fn names_are_listed_by_prefix_and_depth() {
        let params = params();
        let names = |prefixes: &[&str], depth| {
            let prefixes: Vec<String> = prefixes.iter().map(|&s| s.to_owned()).collect();
            list(&params, &prefixes, depth).names
        };
        assert_eq!(
            names(&[], 0),
            ["controllers.arm", "mode", "rate", "start_type_description_service", "use_sim_time"]
        );
        assert_eq!(names(&[], 1), ["mode", "rate", "start_type_description_service", "use_sim_time"]);
        assert_eq!(names(&["controllers"], 1), ["controllers.arm"]);
    }

    #[test]
    fn a_refused_change_says_why_and_changes_nothing() {
        let params = params();
        let set = |v: f64| {
            let value = ParameterValue { type_: 3, double_value: v, ..Default::default() };
            set(&params, &[Parameter { name: "rate".into(), value }])
        };
        let (result, changed) = set(7000.0);
        assert!(!result.successful && result.reason.contains("from 1 to 500") && changed.is_empty());
        let (result, changed) = set(70.0);
        assert!(result.successful && changed[0].value.double_value == 70.0 && params.double("rate") == 70.0);
    }
}
