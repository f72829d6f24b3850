"""The toy node of CONTRIBUTING.md: it starts, says what is worst of all diagnostics, refuses a wrong parameter and ends when it is asked to."""

from __future__ import annotations

import signal

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import String

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def test_it_says_what_is_worst_and_ends_when_it_is_asked_to(start, probe):
    toy = start("efm-toy-node")
    said = probe.hear(String, "/toy_node/worst", LATCHED)
    desk = start("goal_intake")
    probe.until(lambda: said and said[-1].data.startswith("goal_intake: "), what="the desk's health")
    health = probe.node.create_publisher(DiagnosticArray, "/diagnostics", 1)

    def told(level: bytes, message: str) -> None:
        health.publish(DiagnosticArray(status=[DiagnosticStatus(name="arm: motor", level=level, message=message)]))

    def until_told(level: bytes, message: str, words: str) -> None:
        def heard() -> bool:
            # Until it is matched with the toy nothing arrives.
            told(level, message)
            return said[-1].data.startswith(words)

        probe.until(heard, what=words)

    until_told(DiagnosticStatus.ERROR, "hot", "arm: motor: hot")
    until_told(DiagnosticStatus.WARN, "warm", "arm: motor: warm")
    # Nothing is worse than well any more; it comes first by its name.
    until_told(DiagnosticStatus.OK, "cool", "arm: motor: cool")
    assert all("toy_node: " not in message.data for message in said)
    assert toy.stop(signal.SIGINT) == 0, toy.log
    assert desk.stop(signal.SIGTERM) == 0, desk.log


def test_a_wrong_parameter_ends_it_by_name(start):
    toy = start("efm-toy-node", "--ros-args", "-p", "at_least:=7")
    assert toy.code(10.0) == 1
    assert "'at_least' is 7; it must be from 0 to 3" in toy.log
