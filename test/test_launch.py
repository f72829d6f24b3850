"""What `ros2 launch embodied_fm bringup.launch.py` would start.

The launch system is no part of the ROS wheels, so where it is missing the launch file meets stand-ins that only record what it
asks for. Where a ROS 2 with launch is sourced, README.md says how the real thing was tried.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import types

import pytest
from conftest import BIN, ROOT


class Recorded:
    """Any launch action: keeps how it was made."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class Node(Recorded):
    pass


class DeclareLaunchArgument(Recorded):
    @property
    def name(self):
        return self.args[0]


class PackageNotFoundError(Exception):
    pass


class Context(dict):
    """Values of the launch arguments."""


class LaunchConfiguration:
    def __init__(self, name):
        self.name = name

    def perform(self, context):
        return context[self.name]


def not_installed(_name):
    raise PackageNotFoundError


STAND_INS = {
    "launch": {"LaunchContext": Context, "LaunchDescription": Recorded},
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument, "OpaqueFunction": Recorded,
    },
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
    "ament_index_python": {},
    "ament_index_python.packages": {"PackageNotFoundError": PackageNotFoundError, "get_package_prefix": not_installed},
}  # fmt: skip


@pytest.fixture
def bringup(monkeypatch):
    for name, content in STAND_INS.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    spec = importlib.util.spec_from_file_location("bringup", ROOT / "launch" / "bringup.launch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(bringup, **arguments):
    """How the nodes for these launch arguments are made, by executable."""
    context = Context({action.name: action.kwargs["default_value"] for action in bringup.ARGUMENTS} | arguments)
    actions = bringup.graph(context)
    return {action.kwargs["executable"]: action.kwargs for action in actions}


def single(node):
    """Its parameters that are not files."""
    return {name: value for item in node["parameters"] if isinstance(item, dict) for name, value in item.items()}


def test_every_argument_has_a_description_and_the_agreed_name(bringup):
    names = {action.name for action in bringup.ARGUMENTS}
    assert names == {
        "namespace", "sim", "policy", "params_file", "use_sim_time", "composed", "record", "use_respawn", "log_level",
    }  # fmt: skip
    assert all(len(action.kwargs["description"]) > 10 for action in bringup.ARGUMENTS)


def test_on_a_robot_the_same_nodes_start_without_the_simulator_and_disarmed(bringup):
    simulated, real = started(bringup), started(bringup, sim="false")
    assert set(simulated) - set(real) == {"sim"}
    assert single(simulated["trajectory_publisher"])["armed_at_start"] is True
    assert single(real["trajectory_publisher"])["armed_at_start"] is False


def test_the_users_parameter_file_comes_after_the_suites_own(bringup):
    for node in started(bringup, params_file="/my/robot.yaml").values():
        files = [item for item in node["parameters"] if isinstance(item, str)]
        assert files[-1] == "/my/robot.yaml"
        assert len(files) > 1


def test_the_named_parameter_files_exist(bringup):
    for node in started(bringup).values():
        for item in node["parameters"]:
            if isinstance(item, str):
                assert (ROOT / item).is_file(), item


def test_simulated_time_reaches_every_node_but_the_simulator_which_makes_it(bringup):
    nodes = started(bringup, use_sim_time="true")
    assert single(nodes["sim"])["publish_clock"] is True
    assert "use_sim_time" not in single(nodes["sim"])
    assert all(single(node)["use_sim_time"] is True for name, node in nodes.items() if name != "sim")


def test_the_policy_reaches_those_who_use_it(bringup):
    nodes = started(bringup, policy="/models/mine")
    assert {name for name, node in nodes.items() if single(node).get("policy") == "/models/mine"} == {
        "camera_ingest",
        "vla_inference",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"use_sim_time": "true"},
        {"sim": "false", "namespace": "cell", "log_level": "warn"},
        {"policy": "/models/mine", "params_file": "/my/robot.yaml"},
    ],
)
def test_the_demo_starts_what_the_launch_file_starts(bringup, arguments):
    options = {"params_file": "params"}
    line = [item for name, value in arguments.items() for item in (f"--{options.get(name, name).replace('_', '-')}", value)]
    plan = subprocess.run(
        [BIN / "efm-demo", "--print-plan", *line], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    launched = [
        {
            "executable": node["executable"],
            "name": node["name"],
            "namespace": node["namespace"],
            "parameters": node["parameters"],
            "remappings": dict(node["remappings"]),
            "log_level": node["arguments"][-1],
        }
        for node in started(bringup, **arguments).values()
    ]
    demo = [{key: value for key, value in process.items() if key != "respawn"} for process in json.loads(plan)]
    assert demo == launched


def test_a_recording_is_made_only_on_request_and_with_pictures_as_asked_for(bringup):
    assert "recorder" not in started(bringup)
    for record, images in {"true": "raw", "compressed": "compressed"}.items():
        recorder = started(bringup, record=record, namespace="cell")["recorder"]
        assert single(recorder)["images"] == images
        assert recorder["namespace"] == "cell" and not recorder["respawn"]


def test_composed_nodes_are_one_process_with_what_each_of_them_is_given(bringup):
    apart, together = started(bringup, policy="mine"), started(bringup, policy="mine", composed="true")
    inside = {"camera_ingest", "goal_intake", "vla_inference"}
    assert set(together) == set(apart) - inside | {"composed"}
    one = together["composed"]
    assert set(one["arguments"][: one["arguments"].index("--ros-args")]) == inside
    assert one["name"] is None, "a name would be given to all of them"
    for name in inside:
        assert (f"{name}:__node", name) in one["remappings"]
        assert single(apart[name]).items() <= single(one).items()
        assert set(file for file in apart[name]["parameters"] if isinstance(file, str)) <= set(
            file for file in one["parameters"] if isinstance(file, str)
        )
