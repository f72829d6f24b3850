"""What other ROS tools see of every node, tried on one of them: parameters, diagnostics, namespaces."""

from __future__ import annotations

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter, ParameterEvent, ParameterType, ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically


@pytest.fixture
def node(start, probe):
    process = start(
        "goal_intake", "--ros-args", "-r", "__ns:=/cell", "-p", "goal_timeout:=5", "--log-level", "warn"
    )  # fmt: skip
    probe.until(lambda: ("goal_intake", "/cell") in probe.node.get_node_names_and_namespaces(), what="the node")
    return process


def test_a_whole_number_serves_where_a_number_is_wanted(node, probe):
    answer = probe.ask(GetParameters, "/cell/goal_intake/get_parameters", GetParameters.Request(names=["goal_timeout"]))
    assert (answer.values[0].type, answer.values[0].double_value) == (ParameterType.PARAMETER_DOUBLE, 5.0)


def test_parameters_are_listed_and_described_with_range_and_whether_they_may_change(node, probe):
    listed = probe.ask(ListParameters, "/cell/goal_intake/list_parameters", ListParameters.Request())
    assert {"goal_timeout", "use_sim_time"} <= set(listed.result.names)
    request = DescribeParameters.Request(names=listed.result.names)
    described = probe.ask(DescribeParameters, "/cell/goal_intake/describe_parameters", request).descriptors
    assert all(len(descriptor.description) > 10 for descriptor in described)
    timeout = next(descriptor for descriptor in described if descriptor.name == "goal_timeout")
    assert timeout.floating_point_range[0].from_value == 0.0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("use_sim_time", ParameterValue(type=ParameterType.PARAMETER_BOOL, bool_value=True), "read-only"),
        ("goal_timeout", ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=-1.0), "'goal_timeout' is -1 s; it must be from 0 (for ever) to 86400"),
        ("goal_timeouts", ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=1.0), "did you mean 'goal_timeout'"),
    ],
)  # fmt: skip
def test_a_wrong_change_is_refused_with_the_reason(node, probe, name, value, reason):
    parameters = [Parameter(name=name, value=value)]
    request = SetParameters.Request(parameters=parameters)
    one = probe.call(SetParameters, "/cell/goal_intake/set_parameters", request).results[0]
    request = SetParametersAtomically.Request(parameters=parameters)
    other = probe.call(SetParametersAtomically, "/cell/goal_intake/set_parameters_atomically", request).result
    for result in (one, other):
        assert not result.successful
        assert reason in result.reason


def test_diagnostics_come_once_a_second_under_the_agreed_name(node, probe):
    heard = probe.hear(DiagnosticArray, "/diagnostics")
    probe.until(lambda: len(heard) >= 3, 6.0, "three diagnostics")
    for message in heard:
        assert message.header.stamp.sec > 0
        for status in message.status:
            # Two robots on one domain are told apart.
            assert status.name.startswith("/cell/goal_intake: ")
            assert status.hardware_id == "cell"


def test_under_simulated_time_diagnostics_are_stamped_by_the_clock(start, probe):
    from rosgraph_msgs.msg import Clock

    start("goal_intake", "--ros-args", "-p", "use_sim_time:=true")
    clock = probe.node.create_publisher(Clock, "/clock", 1)
    heard = probe.hear(DiagnosticArray, "/diagnostics")
    message = Clock()
    message.clock.sec = 1234

    def stamped() -> bool:
        clock.publish(message)
        return any(array.header.stamp.sec == 1234 for array in heard)

    probe.until(stamped, 10.0, "a stamp from /clock")
    assert all(array.header.stamp.sec in (0, 1234) for array in heard)


def test_a_change_is_announced_on_parameter_events_only_when_it_is_one(node, probe):
    events = probe.hear(ParameterEvent, "/parameter_events")
    same = Parameter(name="goal_timeout", value=ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=5.0))
    request = SetParameters.Request(parameters=[same])
    result = probe.call(SetParameters, "/cell/goal_intake/set_parameters", request).results[0]
    assert result.successful
    probe.spin(0.5)
    assert [event for event in events if event.node == "/cell/goal_intake"] == []
