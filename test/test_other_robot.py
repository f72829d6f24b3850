"""README's "On your own robot" with another robot than the simulator's: six joints, no gripper, its own camera and description."""

from __future__ import annotations

import shutil

import pytest
import yaml
from builtin_interfaces.msg import Time
from conftest import ROOT
from graph_tools import ENCODERS, LATCHED, MODELS, OK, Health, Robot, image, now
from launch_tools import bringup, command_line, started
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.parameter import parameter_value_to_python
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

__all__ = ["bringup"]

ROBOTS = ROOT / "packages" / "safety" / "tests" / "robots"
JOINTS = ["pan", "lift", "elbow", "roll_1", "roll_2", "roll_3"]
HOME = [0.0, 0.4, 1.3, 0.3, 0.0, 0.0]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where somebody has the files of the robot: those that the example names."""
    robot = tmp_path / "my_robot"
    robot.mkdir()
    shutil.copy(ROBOTS / "six_joints.yaml", robot / "joint_limits.yaml")
    shutil.copy(ROBOTS / "six_joints.srdf", robot / "robot.srdf")
    shutil.copy(ROOT / "config" / "my_robot.example.yaml", tmp_path / "my_robot.yaml")
    # Processes of these tests run in the repository; a user's run in the user's folder.
    monkeypatch.setattr("conftest.ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def robot(probe):
    """Its driver: joint states, the description and a camera; it follows its controller's commands."""
    robot = Robot(probe, camera=False)
    robot.names, robot.positions = list(JOINTS), list(HOME)
    description = probe.node.create_publisher(String, "robot_description", LATCHED)
    description.publish(String(data=(ROBOTS / "six_joints.urdf").read_text()))
    pictures = probe.node.create_publisher(Image, "overhead/image_raw", 1)
    timer = probe.node.create_timer(0.05, lambda: pictures.publish(image(now(probe))))
    robot.commands = []

    def follow(command: JointTrajectory) -> None:
        robot.commands.append(command)
        order = [command.joint_names.index(joint) for joint in JOINTS]
        robot.positions = [command.points[0].positions[k] for k in order]

    probe.node.create_subscription(JointTrajectory, "arm_controller/joint_trajectory", follow, 10)
    yield robot
    timer.destroy()
    robot.stop()


def launch(start, bringup, folder, **arguments) -> dict:
    """Start what `ros2 launch` would start, as launch_ros starts it."""
    nodes = started(bringup, **arguments)
    return {name: start(name, *command_line(node, folder)) for name, node in nodes.items()}


@pytest.mark.parametrize("composed", ["false", "true"])
def test_the_example_brings_up_another_robot_which_moves_once_it_is_armed(start, bringup, probe, folder, robot, composed):
    health = Health(probe)
    # The sentence encoder of the tests lies in another folder than their packages.
    with (folder / "my_robot.yaml").open("a") as file:
        paths = f"models_path: ['{MODELS}', '{ENCODERS}']"
        file.write(f"    {paths}\ncamera_ingest:\n  ros__parameters:\n    {paths}\n")
    asked = {"policy": str(MODELS / "six_joints_drift"), "params_file": str(folder / "my_robot.yaml")}
    processes = launch(start, bringup, folder, sim="false", composed=composed, record="true", **asked)
    health.wait("camera_ingest: policy", OK)
    health.wait("vla_inference: policy", OK)
    # Nothing is left of the simulator's robot.
    for node in ["camera_ingest", "goal_intake", "vla_inference", "trajectory_publisher"]:
        names = probe.ask(ListParameters, f"/{node}/list_parameters", ListParameters.Request()).result.names
        response = probe.ask(GetParameters, f"/{node}/get_parameters", GetParameters.Request(names=names))
        held = dict(zip(names, map(parameter_value_to_python, response.values), strict=True))
        assert "panda" not in str(held), node
        if node == "trajectory_publisher":
            assert [name for name in names if name.startswith("controllers.")] == ["controllers.arm_controller"]
            assert held["armed_at_start"] is False and list(held["gripper_joints"]) == [] and held["obstacles_file"] == ""
    goal = probe.node.create_publisher(String, "goal", 1)
    chunks = probe.hear(JointTrajectory, "action_chunk")
    probe.until(lambda: goal.get_subscription_count() > 0, what="somebody to take the goal")
    goal.publish(String(data="turn to the left"))
    probe.until(lambda: len(chunks) >= 3, what="action chunks")
    assert chunks[0].joint_names == JOINTS
    still = [command for command in robot.commands if abs(command.points[-1].positions[0]) > 1e-3]
    assert not still, "it moves without having been armed"
    recorded = ["/arm_controller/joint_trajectory", "/observation/overhead/image", "/joint_states", "/action_chunk"]

    def is_heard(topic: str) -> bool:
        return "_recorder_ears" in [info.node_name for info in probe.node.get_subscriptions_info_by_topic(topic)]

    probe.until(lambda: all(map(is_heard, recorded)), what="the recorder's subscriptions")
    armed = probe.call(SetBool, "/trajectory_publisher/arm", SetBool.Request(data=True))
    assert armed.success, armed.message
    probe.until(lambda: robot.positions[0] > 0.05, what="motion of the first joint")
    assert set(robot.commands[-1].joint_names) == set(JOINTS)
    assert not [topic for topic, _ in probe.node.get_topic_names_and_types() if "panda" in topic]
    assert all(process.stop() == 0 for process in processes.values())
    # Its own camera and controller are in the recording.
    (bag,) = folder.glob("recording_*/metadata.yaml")
    held = {entry["topic_metadata"]["name"] for entry in yaml.safe_load(bag.read_text())["rosbag2_bagfile_information"]["topics_with_message_count"]}
    assert set(recorded) <= held


def test_a_robot_that_nothing_is_told_of_is_asked_for_by_the_names_of_the_parameters(start, bringup, folder):
    processes = launch(start, bringup, folder, sim="false")
    wanted = {
        "trajectory_publisher": ["'controllers.<name>' must be set", "'joint_limits_file' must be set"],
        "vla_inference": ["'policy' must be set", "'joint_limits_file' must be set"],
        "camera_ingest": ["'policy' must be set"],
    }
    for name, words in wanted.items():
        assert processes[name].code(20.0) == 1
        assert all(f"parameter {word}" in processes[name].log for word in words), name
    assert processes["goal_intake"].stop() == 0
