"""Several nodes in one process: the same nodes with the same topics, which end together."""

from __future__ import annotations

import signal

import pytest
from graph_tools import OK, URDF, Health, Robot, image, now, policy, ros
from rcl_interfaces.srv import ListParameters
from sensor_msgs.msg import Image
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

NODES = ["camera_ingest", "goal_intake", "vla_inference"]


@pytest.fixture
def robot(probe):
    """Joint states, and a camera whose pictures are not the policy's yet."""
    robot = Robot(probe, camera=False)
    pictures = probe.node.create_publisher(Image, "front/image_raw", 1)
    timer = probe.node.create_timer(0.05, lambda: pictures.publish(image(now(probe))))
    yield robot
    timer.destroy()
    robot.stop()


def test_composed_nodes_propose_from_a_goal_as_they_do_apart_and_end_together(start, probe, robot):
    health = Health(probe)
    chunks = probe.hear(JointTrajectory, "action_chunk")
    # For all of them: each takes what it knows. One is given by name, and another name.
    settings = {**policy(), "robot_description_file": URDF, "goal_intake:goal_timeout": 3600.0}
    process = start("composed", *NODES, *ros(**settings), "-r", "goal_intake:__node:=desk")
    names = {"camera_ingest", "desk", "vla_inference"}
    probe.until(lambda: names <= set(probe.node.get_node_names()), what="the nodes")
    goal = probe.node.create_publisher(String, "goal", 1)
    probe.until(lambda: goal.get_subscription_count() > 0, what="somebody to take the goal")
    goal.publish(String(data="pick the red cube"))
    probe.until(lambda: len(chunks) >= 3, what="action chunks")
    for name in names:
        listed = probe.ask(ListParameters, f"/{name}/list_parameters", ListParameters.Request()).result.names
        assert ("goal_timeout" in listed) == (name == "desk")
        assert ("max_image_age" in listed) == (name == "vla_inference")
        assert "policy" in listed
    health.wait("camera_ingest: policy", OK)
    health.wait("vla_inference: policy", OK, "proposing")
    assert process.stop(signal.SIGINT) == 0
    assert "[desk]: goal 1" in process.log and "[vla_inference]: policy" in process.log


def test_when_one_node_cannot_start_all_end_and_it_is_said_why(start, probe):
    process = start("composed", *NODES, *ros(**policy(), no_such_thing=1))
    assert process.code(10.0) == 1
    assert "'no_such_thing'" in process.log


@pytest.mark.parametrize(("nodes", "word"), [((), "no node is named"), (("vla_inferenc",), "unknown argument 'vla_inferenc'")])
def test_nodes_are_named_by_their_names(start, nodes, word):
    process = start("composed", *nodes, "--ros-args")
    assert process.code(10.0) == 1
    assert word in process.log and "camera_ingest" in process.log
