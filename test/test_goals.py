"""goal_intake: which goals are taken, what becomes of them."""

from __future__ import annotations

import json

import pytest
from graph_tools import LATCHED, OK, WARN, Health, ros
from std_msgs.msg import String
from std_srvs.srv import Trigger


class Desk:
    """goal_intake, running, and everything that it says."""

    def __init__(self, start, probe, **parameters):
        self.probe = probe
        self.health = Health(probe)
        self.instructions = probe.hear(String, "instruction", LATCHED)
        self.statuses = probe.hear(String, "goal_status")
        self.goal = probe.node.create_publisher(String, "goal", 10)
        self.task = probe.node.create_publisher(String, "task_status", 10)
        self.process = start("goal_intake", *ros(**parameters))
        probe.until(lambda: self.instruction() == "", what="the empty instruction at the start")
        ready = lambda: self.goal.get_subscription_count() and self.task.get_subscription_count()  # noqa: E731
        probe.until(ready, what="goal_intake's subscriptions")
        heard = lambda: probe.node.count_publishers("goal_status")  # noqa: E731
        probe.until(heard, what="goal_status")

    def instruction(self):
        return self.instructions[-1].data if self.instructions else None

    def told(self):
        return [json.loads(message.data) for message in self.statuses]

    def state(self, state):
        return next((status for status in self.told() if status["state"] == state), None)

    def give(self, text):
        self.goal.publish(String(data=text))


@pytest.fixture
def desk(start, probe):
    return Desk(start, probe)


def test_a_goal_becomes_the_instruction_and_ends_with_the_reported_success(desk, probe):
    desk.give("  put the red cube to the left ")
    probe.until(lambda: desk.instruction() == "put the red cube to the left", what="the instruction")
    probe.until(lambda: desk.state("active"), what="active")
    assert [status["state"] for status in desk.told()] == ["accepted", "active"]
    desk.task.publish(String(data=json.dumps({"instruction": "something else", "success": True})))
    desk.task.publish(String(data=json.dumps({"instruction": "put the red cube to the left", "success": False})))
    desk.task.publish(String(data="no json"))
    desk.task.publish(String(data=json.dumps({"instruction": "put the red cube to the left", "success": True})))
    done = probe.until(lambda: desk.state("succeeded"), what="succeeded")
    assert done["id"] == 1
    assert desk.instruction() == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), (" \t\n ", "empty"), ("x" * 100_000, "100000 bytes"), ("stop\x07now", "U+0007")],
    ids=["empty", "white space", "100 kB", "control character"],
)
def test_a_bad_goal_is_refused_with_its_reason_and_the_active_one_stays(desk, probe, text, reason):
    desk.give("push the ball")
    probe.until(lambda: desk.instruction() == "push the ball", what="the instruction")
    desk.give(text)
    refused = probe.until(lambda: desk.state("refused"), what="refused")
    assert reason in refused["reason"]
    assert refused["id"] is None
    status = desk.health.wait("goal_intake: goal", WARN, reason, "goal 1 is active")
    assert len(status.message) < 1000
    probe.spin(0.3)
    assert desk.instruction() == "push the ball"
    assert all(len(message.data) < 2000 for message in desk.statuses)


def test_a_goal_is_cancelled_by_the_service_and_replaced_by_a_newer_one(desk, probe):
    answer = probe.call(Trigger, "cancel_goal", Trigger.Request())
    assert not answer.success and "no goal" in answer.message
    desk.give("one")
    desk.give("two")
    probe.until(lambda: desk.instruction() == "two", what="the second instruction")
    probe.until(lambda: desk.state("replaced"), what="replaced")
    assert desk.state("replaced")["goal"] == "one"
    assert probe.call(Trigger, "cancel_goal", Trigger.Request()).success
    probe.until(lambda: desk.instruction() == "", what="the empty instruction")
    probe.until(lambda: desk.state("cancelled"), what="cancelled")
    desk.health.wait("goal_intake: goal", OK, "no goal")


def test_a_goal_that_takes_too_long_times_out(start, probe):
    desk = Desk(start, probe, goal_timeout=0.5)
    desk.give("never done")
    ended = probe.until(lambda: desk.state("timed_out"), what="timed_out")
    assert "0.5 s" in ended["reason"]
    assert desk.instruction() == ""


def test_late_listeners_hear_the_instruction_and_the_end_of_the_node_ends_the_goal(desk, probe):
    desk.give("push the ball")
    probe.until(lambda: desk.instruction() == "push the ball", what="the instruction")
    late = probe.hear(String, "instruction", LATCHED)
    probe.until(lambda: late and late[-1].data == "push the ball", what="the latched instruction")
    assert desk.process.stop() == 0, desk.process.log
    probe.until(lambda: late[-1].data == "", what="the empty instruction at the end")
