"""What the launch file asks for, recorded by stand-ins: the launch system is no part of the ROS wheels."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import pytest
import yaml
from conftest import ROOT


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


class ParameterValue:
    """A value whose type is given. A bare text launch_ros reads as YAML instead."""

    def __init__(self, value, *, value_type):
        assert isinstance(value, value_type)
        self.value = value


def as_launch_ros_gives_it(value):
    """What a parameter is when it reaches the node."""
    if isinstance(value, ParameterValue):
        return value.value
    return yaml.safe_load(value) if isinstance(value, str) else value


STAND_INS = {
    "launch": {"LaunchContext": Context, "LaunchDescription": Recorded},
    "launch.actions": {
        "DeclareLaunchArgument": DeclareLaunchArgument, "OpaqueFunction": Recorded, "RegisterEventHandler": Recorded,
    },
    "launch.event_handlers": {"OnProcessExit": Recorded},
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
    "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
    "ament_index_python": {},
    "ament_index_python.packages": {"PackageNotFoundError": PackageNotFoundError, "get_package_prefix": not_installed},
}  # fmt: skip


@pytest.fixture
def bringup(monkeypatch):
    """The launch file as a module."""
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
    actions = [action for action in bringup.graph(context) if isinstance(action, Node)]
    for action in actions:
        action.kwargs["parameters"] = [
            {name: as_launch_ros_gives_it(value) for name, value in item.items()} if isinstance(item, dict) else item
            for item in action.kwargs["parameters"]
        ]
    return {action.kwargs["executable"]: action.kwargs for action in actions}


def single(node):
    """Its parameters that are not files."""
    return {name: value for item in node["parameters"] if isinstance(item, dict) for name, value in item.items()}


def command_line(node: dict, folder: Path) -> list[str]:
    """The arguments that launch_ros gives such a node's process; parameters that are in no file it writes into one (in `folder`)."""
    line = [*node["arguments"], "--ros-args"]
    name, namespace = node["name"], node["namespace"] and "/" + node["namespace"].strip("/")
    line += ["-r", f"__node:={name}"] if name else []
    line += ["-r", f"__ns:={namespace}"] if namespace else []
    for number, item in enumerate(node["parameters"]):
        file = item
        if isinstance(item, dict):
            file = folder / f"launch_params_{node['executable']}_{number}.yaml"
            file.write_text(yaml.dump({f"{namespace}/{name}" if name else "/**": {"ros__parameters": item}}))
        line += ["--params-file", str(file)]
    for here, there in node["remappings"]:
        line += ["-r", f"{here}:={there}"]
    return line
