"""What rclcpp and rclpy do for every node and rcl leaves to the client library: /rosout and descriptions of types."""

from __future__ import annotations

import pytest
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import String
from type_description_interfaces.srv import GetTypeDescription

LATE = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
CELL = ("--ros-args", "-r", "__ns:=/cell")


def publishers_of_rosout(probe, node: str) -> list:
    infos = probe.node.get_publishers_info_by_topic("/rosout")
    return [info for info in infos if (info.node_namespace.rstrip("/") + "/" + info.node_name) == node]


def refuse_a_goal(probe, node: str, heard) -> Log:
    """Hand in a goal that is none until its refusal is on /rosout."""
    goal = probe.node.create_publisher(String, f"{node}/goal", 10)
    told = []

    def is_told() -> bool:
        goal.publish(String(data=" "))
        told[:] = [log for log in heard if log.level == 30 and "refused" in log.msg]
        return bool(told)

    probe.until(is_told, what="the refusal on /rosout")
    return told[0]


def test_what_a_node_logs_is_heard_on_rosout_also_by_who_comes_late(start, probe):
    node = start("goal_intake", *CELL)
    probe.until(lambda: "INFO" in node.log, what="a line of its log")
    heard = probe.hear(Log, "/rosout", LATE)
    probe.until(lambda: [log for log in heard if log.name == "cell.goal_intake" and log.level == 20], what="it on /rosout")
    log = refuse_a_goal(probe, "/cell", heard)
    assert log.name == "cell.goal_intake"
    assert log.file.endswith("intake.rs") and log.line > 0 and "intake" in log.function
    assert log.stamp.sec > 1_700_000_000
    assert log.msg in node.log
    # Its message may be heard before it is known who publishes there.
    [publisher] = probe.until(lambda: publishers_of_rosout(probe, "/cell/goal_intake"), what="who publishes on /rosout")
    qos = publisher.qos_profile
    assert (qos.reliability, qos.durability) == (ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL)
    assert qos.lifespan.nanoseconds == 10_000_000_000


@pytest.mark.parametrize("logger", ["", "cell.goal_intake:="])
def test_rosout_hears_what_the_log_level_lets_through(start, probe, logger):
    node = start("goal_intake", *CELL, "--log-level", f"{logger}warn")
    heard = probe.hear(Log, "/rosout", LATE)
    probe.until(lambda: publishers_of_rosout(probe, "/cell/goal_intake"), what="the node on /rosout")
    refuse_a_goal(probe, "/cell", heard)
    assert {log.level for log in heard if log.name == "cell.goal_intake"} == {30}
    assert "INFO" not in node.log


def test_rosout_may_be_switched_off(start, probe):
    start("goal_intake", *CELL, "--disable-rosout-logs")
    probe.until(lambda: ("goal_intake", "/cell") in probe.node.get_node_names_and_namespaces(), what="the node")
    status = probe.hear(String, "/cell/goal_status")
    goal = probe.node.create_publisher(String, "/cell/goal", 10)
    probe.until(lambda: goal.publish(String(data=" ")) or status, what="a refusal")
    assert publishers_of_rosout(probe, "/cell/goal_intake") == []


def test_nodes_of_one_process_have_each_their_own_name_on_rosout(start, probe):
    start("composed", "goal_intake", "camera_ingest", *CELL, "-p", "policy:=panda_tabletop_flow")
    heard = probe.hear(Log, "/rosout", LATE)
    refuse_a_goal(probe, "/cell", heard)
    for node in ("goal_intake", "camera_ingest"):
        probe.until(lambda node=node: len(publishers_of_rosout(probe, f"/cell/{node}")) == 1, what=f"{node} on /rosout")
    assert {log.name for log in heard if "refused" in log.msg} == {"cell.goal_intake"}


def test_a_node_describes_the_types_of_its_topics(start, probe):
    start("goal_intake", *CELL)
    probe.until(lambda: probe.node.get_publishers_info_by_topic("/cell/goal_status"), what="goal_status")
    [info] = probe.node.get_publishers_info_by_topic("/cell/goal_status")
    request = GetTypeDescription.Request(type_name=info.topic_type, type_hash=str(info.topic_type_hash))
    answer = probe.ask(GetTypeDescription, "/cell/goal_intake/get_type_description", request)
    assert answer.successful, answer.failure_reason
    described = answer.type_description.type_description
    assert (described.type_name, [field.name for field in described.fields]) == ("std_msgs/msg/String", ["data"])
    unknown = GetTypeDescription.Request(type_name=info.topic_type, type_hash="RIHS01_" + 64 * "0")
    answer = probe.ask(GetTypeDescription, "/cell/goal_intake/get_type_description", unknown)
    assert not answer.successful and answer.failure_reason


def test_descriptions_of_types_may_be_switched_off(start, probe):
    start("goal_intake", *CELL, "-p", "start_type_description_service:=false")
    services = set()

    def all_there() -> bool:
        if ("goal_intake", "/cell") in probe.node.get_node_names_and_namespaces():
            services.update(name for name, _ in probe.node.get_service_names_and_types_by_node("goal_intake", "/cell"))
        # The last one that the node makes.
        return "/cell/cancel_goal" in services

    probe.until(all_there, what="the services")
    assert "/cell/goal_intake/get_parameters" in services
    probe.spin(0.5)
    assert all_there() and "/cell/goal_intake/get_type_description" not in services

