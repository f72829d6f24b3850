"""What `ros2 launch embodied_fm bringup.launch.py` would start.

The launch system is no part of the ROS wheels, so where it is missing the launch file meets stand-ins that only record what it
asks for. Where a ROS 2 with launch is sourced, README.md says how the real thing was tried.
"""

from __future__ import annotations

import json
import subprocess
import types

import pytest
from conftest import BIN, ROOT
from launch_tools import Context, Node, bringup, single, started

__all__ = ["bringup"]


@pytest.fixture
def mine(tmp_path):
    """A parameter file of the user's."""
    file = tmp_path / "robot.yaml"
    file.write_text("trajectory_publisher: {ros__parameters: {rate: 50.0}}\n")
    return str(file)



def test_every_argument_has_a_description_and_the_agreed_name(bringup):
    names = {action.name for action in bringup.ARGUMENTS}
    assert names == {
        "namespace", "sim", "policy", "params_file", "use_sim_time", "real_time_factor", "composed", "record", "use_respawn", "log_level",
    }  # fmt: skip
    assert all(len(action.kwargs["description"]) > 10 for action in bringup.ARGUMENTS)


def test_on_a_robot_the_same_nodes_start_without_the_simulator_and_disarmed(bringup):
    simulated, real = started(bringup), started(bringup, sim="false")
    assert set(simulated) - set(real) == {"sim"}
    assert single(simulated["trajectory_publisher"])["armed_at_start"] is True
    assert single(real["trajectory_publisher"])["armed_at_start"] is False


def test_the_users_parameter_file_comes_after_the_suites_own(bringup, mine):
    for node in started(bringup, params_file=mine).values():
        files = [item for item in node["parameters"] if isinstance(item, str)]
        assert files == [str(ROOT / "config" / "panda.yaml"), mine]


@pytest.mark.parametrize("composed", ["false", "true"])
@pytest.mark.parametrize("record", ["false", "true"])
def test_a_robot_gets_nothing_that_belongs_to_the_simulators(bringup, mine, composed, record):
    for arguments in [{}, {"params_file": mine}]:
        nodes = started(bringup, sim="false", composed=composed, record=record, **arguments)
        assert "trajectory_publisher" in nodes
        for node in nodes.values():
            files = [item for item in node["parameters"] if isinstance(item, str)]
            assert files == list(arguments.values())
            assert "policy" not in single(node) and "panda" not in str(node["remappings"])
    assert single(started(bringup)["vla_inference"])["policy"].startswith("panda")


# What YAML reads as something else than a text.
ODD = ["2024", "007", "1e3", "0x1F", "yes", "off", "null", "~", ".inf", "2024-01-01", "1_000", "[a]", "a: b", "#1"]


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("composed", ["false", "true"])
def test_a_policy_may_have_a_name_that_yaml_takes_for_something_else(bringup, name, composed):
    nodes = started(bringup, policy=name, composed=composed)
    assert [single(node)["policy"] for node in nodes.values() if "policy" in single(node)] in ([name], [name] * 3)


def test_a_description_is_published_only_beside_the_simulator(bringup, monkeypatch):
    monkeypatch.setattr(bringup, "get_package_prefix", lambda _name: "/opt/ros/jazzy")
    assert "panda" in single(started(bringup)["robot_state_publisher"])["robot_description"]
    assert "robot_state_publisher" not in started(bringup, sim="false")


FILES = {
    "there is none": (None, "does not exist"),
    "a folder": ("folder", "is not a file"),
    "no text": (b"\xff\xfe\x00", "cannot be read"),
    "no YAML": (b"a: [1,\nb: {", "is not YAML"),
    "empty": (b"", "is not a mapping"),
    "only comments": (b"# later\n", "is not a mapping"),
    "a word": (b"speed_scale\n", "is not a mapping"),
    "a list": (b"- trajectory_publisher\n", "is not a mapping"),
    "parameters of nobody": (b"speed_scale: 0.1\n", "has no ros__parameters under 'speed_scale'"),
    "only the mark": (b"ros__parameters: {speed_scale: 0.1}\n", "has no ros__parameters under 'ros__parameters'"),
    "a node without the mark": (b"left: {trajectory_publisher: {speed_scale: 0.1}}\n", "under 'left/trajectory_publisher/speed_scale'"),
    "the mark over nothing": (b"trajectory_publisher:\n  ros__parameters:\n", "under 'trajectory_publisher'"),
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("sim", ["true", "false"])
def test_a_parameter_file_that_says_nothing_is_refused_before_anything_starts(bringup, tmp_path, case, sim):
    content, why = FILES[case]
    file = tmp_path / "my_robot.yaml"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(RuntimeError) as refused:
        started(bringup, params_file=str(file), sim=sim)
    assert str(file) in str(refused.value) and why in str(refused.value)
    assert "nothing was started" in str(refused.value)


def test_a_namespace_may_be_a_level_of_the_parameter_file(bringup, tmp_path):
    file = tmp_path / "my_robot.yaml"
    file.write_text("left:\n  goal_intake:\n    ros__parameters: {goal_timeout: 5.0}\n/**: {ros__parameters: {}}\n")
    assert started(bringup, params_file=str(file))


def test_the_named_parameter_files_exist(bringup):
    for node in started(bringup).values():
        for item in node["parameters"]:
            if isinstance(item, str):
                assert (ROOT / item).is_file(), item


def test_simulated_time_reaches_every_node_but_the_simulator_which_makes_it(bringup):
    nodes = started(bringup, use_sim_time="true")
    assert single(nodes["sim"])["publish_clock"] is True
    assert single(nodes["sim"])["real_time_factor"] == 1.0
    slowed = started(bringup, use_sim_time="true", real_time_factor="0.25")
    assert single(slowed["sim"])["real_time_factor"] == 0.25
    assert not any("real_time_factor" in single(node) for name, node in slowed.items() if name != "sim")
    with pytest.raises(RuntimeError, match="real_time_factor:=fast is not a number"):
        started(bringup, real_time_factor="fast")
    assert "use_sim_time" not in single(nodes["sim"])
    assert all(single(node)["use_sim_time"] is True for name, node in nodes.items() if name != "sim")


def test_the_policy_reaches_those_who_use_it(bringup):
    nodes = started(bringup, policy="/models/mine")
    assert {name for name, node in nodes.items() if single(node).get("policy") == "/models/mine"} == {
        "camera_ingest",
        "goal_intake",
        "vla_inference",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"use_sim_time": "true"},
        {"use_sim_time": "true", "real_time_factor": "0.5"},
        {"sim": "false", "namespace": "cell", "log_level": "warn"},
        {"policy": "/models/mine", "params_file": "mine"},
        {"sim": "false", "policy": "/models/mine"},
    ],
)
def test_the_demo_starts_what_the_launch_file_starts(bringup, mine, arguments):
    arguments = {name: mine if value == "mine" else value for name, value in arguments.items()}
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


class Ends:
    """A launch whose nodes end, and how that ends it."""

    def __init__(self, bringup, monkeypatch, **arguments):
        context = Context({action.name: action.kwargs["default_value"] for action in bringup.ARGUMENTS} | arguments)
        actions = bringup.graph(context)
        self.nodes = {action.kwargs["executable"]: action for action in actions if isinstance(action, Node)}
        (handler,) = [action.args[0] for action in actions if not isinstance(action, Node)]
        self.watch, self.now, self.is_shutdown = handler.kwargs["on_exit"], self.watch_began(handler), False
        monkeypatch.setattr(bringup.time, "monotonic", lambda: self.now)

    @staticmethod
    def watch_began(handler):
        return handler.kwargs["on_exit"].begun

    def end(self, executable, code, after=0.0):
        """A node has ended, seconds after it was started. How that ends the launch; None: it goes on."""
        self.now += after
        event = types.SimpleNamespace(action=self.nodes.get(executable), returncode=code, process_name=executable)
        try:
            self.watch(event, self)
        except RuntimeError as error:
            return str(error)
        return None


def test_a_node_that_dies_ends_the_launch_and_says_which_and_with_what_code(bringup, monkeypatch):
    for executable, code in [("vla_inference", 1), ("camera_ingest", 1), ("goal_intake", -9), ("sim", -11), ("trajectory_publisher", 101)]:
        told = Ends(bringup, monkeypatch).end(executable, code, 100.0)
        assert told and executable in told and str(code) in told
    launch = Ends(bringup, monkeypatch, record="true")
    assert launch.end("goal_intake", 0) is None, "it ended as it should"
    assert launch.end("recorder", 1) is None, "the others can do without"
    assert launch.end("robot_state_publisher", 1) is None
    launch.is_shutdown = True
    assert launch.end("vla_inference", 1) is None, "it ends already"
    assert "composed" in Ends(bringup, monkeypatch, composed="true").end("composed", 1)


def test_a_respawned_node_that_cannot_work_ends_the_launch_and_one_that_dies_now_and_then_does_not(bringup, monkeypatch):
    launch = Ends(bringup, monkeypatch, use_respawn="true")
    assert [launch.end("vla_inference", 1, 1.0), launch.end("vla_inference", 1, 3.0)] == [None, None]
    assert "3 times" in launch.end("vla_inference", 1, 3.0)
    launch = Ends(bringup, monkeypatch, use_respawn="true")
    assert not any(launch.end("vla_inference", 1, 60.0) for _ in range(30)), "it works for a minute each time"
    launch = Ends(bringup, monkeypatch, use_respawn="true")
    assert not any(launch.end("goal_intake", -9, 1.0) for _ in range(30)), "a signal says nothing of how it is set up"
    assert not any(launch.end(name, 1, 1.0) for name in ["goal_intake", "camera_ingest"] for _ in range(2))
    assert "sim" in launch.end("sim", -9), "that one is not started again"
