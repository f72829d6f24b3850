"""Parameter files: what they say to whom is what rclpy takes from the same files, key by key."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest
import rclpy
import yaml
from build_tools import executables
from conftest import BIN, ROOT
from graph_tools import ros
from rcl_interfaces.srv import GetParameters, ListParameters
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

NAMESPACES = ["", "/left", "/left/deep"]
# NODE stands for the node's name.
KEYS = [
    "/**", "**", "/*", "*", "NODE", "/NODE", "/**/NODE", "**/NODE", "/*/NODE", "*/NODE", "/left/NODE", "left/NODE", "/left/*", "left/*",
    "/left/**", "left/**", "/**/left/**", "/left/**/NODE", "/left/*/NODE", "/left/deep/NODE", "/left/deep/*", "/left/deep/**",
    "/*/*", "/*/*/NODE", "/**/*", "/**/*/NODE", "/*/**", "/**/**", "/NODE/**", "/left/NODE/**", "/**/deep/NODE", "/right/NODE",
    "/right/**", "/**/other", "other", "NODE_2", "/**/deep",
]  # fmt: skip
REFUSED = ["/***", "/left*", "/le*/NODE", "/**/no*", "/**NODE", "//NODE", "/left//NODE", "left/NODE/", "/", "/.*", "/[a-z]+"]


def written(folder: Path, contents: list[dict | str]) -> list[str]:
    """Parameter files with these contents, as arguments."""
    arguments = []
    for number, content in enumerate(contents):
        file = folder / f"{number}.yaml"
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        arguments += ["--params-file", str(file)]
    return arguments


def said(*lines: tuple[str, object], name: str = "goal_timeout") -> str:
    """A file that gives one parameter under several keys, in this order."""
    return "".join(f'"{key}": {{ros__parameters: {{{name}: {value}}}}}\n' for key, value in lines)


def in_namespace(namespace: str) -> list[str]:
    return ["-r", f"__ns:={namespace}"] if namespace else []


def taken_by_rclpy(name: str, arguments: list[str]) -> dict:
    """What a node of rclpy with this name and these arguments is given."""
    context = Context()
    rclpy.init(args=arguments, context=context)
    node = Node(
        name, context=context, start_parameter_services=False, enable_rosout=False,
        automatically_declare_parameters_from_overrides=True,
    )  # fmt: skip
    try:
        names = [name for name in node.get_parameters_by_prefix("") if name != "use_sim_time"]
        return {name: node.get_parameter(name).value for name in names}
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


def value(probe, node: str, *names: str) -> list:
    response = probe.ask(GetParameters, f"{node}/get_parameters", GetParameters.Request(names=names))
    return [parameter_value_to_python(value) for value in response.values]


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_each_key_is_for_the_nodes_that_rclpy_takes_it_for(start, probe, tmp_path, namespace):
    name = "trajectory_publisher"
    keys = [key.replace("NODE", name) for key in KEYS]
    # Names that the user may choose: each key says another one.
    content = {key: {"ros__parameters": {"controllers": {f"c{number}": [f"j{number}"]}}} for number, key in enumerate(keys)}
    arguments = [*ros(files=[]), *written(tmp_path, [content]), *in_namespace(namespace)]
    theirs = {name for name in taken_by_rclpy(name, arguments) if name.startswith("controllers.c")}
    start(name, *arguments)
    request = ListParameters.Request(prefixes=["controllers"])
    response = probe.ask(ListParameters, f"{namespace}/{name}/list_parameters", request)
    ours = {name for name in response.result.names if name.startswith("controllers.c")}
    told = [keys[int(name.removeprefix("controllers.c"))] for name in ours ^ theirs]
    assert not told, f"in '{namespace}' it differs for {told}"
    assert 8 < len(theirs) < len(keys)


@pytest.mark.parametrize("key", REFUSED)
def test_a_key_that_rclpy_refuses_is_refused_with_the_file(start, tmp_path, key):
    arguments = ["--ros-args", *written(tmp_path, [said((key.replace("NODE", "goal_intake"), 5.0))])]
    with pytest.raises(Exception, match="params file"):
        taken_by_rclpy("goal_intake", arguments)
    process = start("goal_intake", *arguments)
    assert process.code(20.0) == 1
    assert str(tmp_path / "0.yaml") in process.log


NAME = "goal_intake"
SEQUENCES = {
    "the later one, not the closer one": ([said((f"/{NAME}", 1.0), ("/**", 2.0))], []),
    "the later file": ([said(("/**", 1.0)), said((NAME, 2.0)), said((f"/**/{NAME}", 3.0))], []),
    "a key is as late as its first time": ([said(("/**", 1.0)), said(("/*", 2.0)), said(("/**", 3.0))], []),
    "with and without slash": ([said((NAME, 1.0), ("/**", 2.0), (f"/{NAME}", 3.0))], []),
    "without slash again": ([said((NAME, 1.0), (f"/{NAME}", 2.0)), said((NAME, 3.0))], []),
    "the command line after a file": ([said((f"/{NAME}", 1.0))], ["-p", "goal_timeout:=2.0"]),
    "the command line is /** too": ([said(("/**", 1.0), (f"/**/{NAME}", 2.0))], ["-p", "goal_timeout:=3.0"]),
    "the command line by name": ([said(("/**", 1.0))], ["-p", f"{NAME}:goal_timeout:=2.0", "-p", "goal_timeout:=3.0"]),
    "the command line by another name": ([said(("/**", 1.0))], ["-p", "other:goal_timeout:=2.0"]),
    "the command line before the file": (["", said(("/*", 4.0))], ["-p", "goal_timeout:=2.0"]),
    "a namespace as a level": (["left: {goal_intake: {ros__parameters: {goal_timeout: 1.0}}}", said(("**", 2.0))], []),
    "a level after its path": ([said((f"left/{NAME}", 1.0), (f"/left/{NAME}", 3.0)), f"left: {{{NAME}: {{ros__parameters: {{goal_timeout: 2.0}}}}}}"], []),
    "a name in a file twice": ([f"{NAME}: {{ros__parameters: {{goal_timeout: 1.0, goal_timeout: 2.0}}}}", said(("*/*", 3.0))], []),
    "nobody": ([said(("other", 1.0), ("/right/**", 2.0))], []),
}  # fmt: skip


def compared(start, probe, folder: Path, contents: list, extra: list[str], namespace: str) -> None:
    """Check that our node and rclpy's take the same value."""
    arguments = ["--ros-args", *written(folder, contents), *extra, *in_namespace(namespace)]
    theirs = taken_by_rclpy(NAME, arguments).get("goal_timeout", 60.0)
    process = start(NAME, *arguments)
    (ours,) = value(probe, f"{namespace}/{NAME}", "goal_timeout")
    assert ours == theirs, f"in '{namespace}': {contents} {extra}"
    process.stop()


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("namespace", NAMESPACES[:2])
def test_of_several_keys_the_one_holds_that_holds_for_rclpy(start, probe, tmp_path, name, namespace):
    compared(start, probe, tmp_path, *SEQUENCES[name], namespace)


def test_a_command_line_that_a_file_outdoes_as_it_does_for_rclpy_is_told(start, probe, tmp_path):
    files = written(tmp_path, [said(("/**", 1.0), (NAME, 2.0))])
    process = start(NAME, "--ros-args", *files, "-p", "goal_timeout:=3.0")
    assert value(probe, f"/{NAME}", "goal_timeout") == [2.0]
    assert "'goal_timeout' of the command line does not hold" in process.log


def test_a_file_that_is_given_again_holds_where_it_holds_for_rclpy(start, probe, tmp_path):
    files = written(tmp_path, [said(("/**", 1.0)), said(("/**", 2.0))])
    compared(start, probe, tmp_path / "..", [], [*files, *files[:2]], "")


@pytest.mark.parametrize("seed", range(8))
def test_files_put_together_by_chance_say_what_they_say_to_rclpy(start, probe, tmp_path, seed):
    chance = random.Random(seed)
    keys = [key.replace("NODE", NAME) for key in KEYS]
    contents = [
        said(*[(chance.choice(keys), float(chance.randrange(1, 100))) for _ in range(chance.randrange(1, 7))]) for _ in range(4)
    ]
    compared(start, probe, tmp_path, contents, [], chance.choice(NAMESPACES))


@pytest.mark.parametrize("key", ["/**/trajectory_publisher", "/left/**", "/*/*", "/**"])
def test_a_slow_and_disarmed_robot_is_slow_and_disarmed_whoever_is_named(start, probe, tmp_path, key):
    slow = {key: {"ros__parameters": {"speed_scale": 0.1, "armed_at_start": False}}}
    fast = {"/**/trajectory_publisher": {"ros__parameters": {"armed_at_start": True}}}
    start("trajectory_publisher", *ros(), *written(tmp_path, [fast, slow]), *in_namespace("/left"))
    assert value(probe, "/left/trajectory_publisher", "speed_scale", "armed_at_start") == [0.1, False]


def test_a_slower_speed_holds_although_it_is_of_another_type(start, probe, tmp_path):
    # rcl forgets which of two types came later; here the later value holds.
    slow = said(("/**", 1), name="speed_scale"), said(("/**", 0.1), name="speed_scale")
    start("trajectory_publisher", *ros(), *written(tmp_path, slow), *in_namespace("/a"))
    start("trajectory_publisher", *ros(), *written(tmp_path, slow[:1]), "-p", "speed_scale:=0.2", *in_namespace("/b"))
    assert value(probe, "/a/trajectory_publisher", "speed_scale") == [0.1]
    assert value(probe, "/b/trajectory_publisher", "speed_scale") == [0.2]


def test_what_is_said_to_many_nodes_stops_none_that_does_not_know_it(start, probe, tmp_path):
    content = {key: {"ros__parameters": {f"nothing_of_ours_{number}": 1}} for number, key in enumerate(["/**", "/*", "/**/goal_intake"])}
    content["/**"]["ros__parameters"]["goal_timout"] = 5.0
    process = start("goal_intake", "--ros-args", *written(tmp_path, [content]))
    assert value(probe, "/goal_intake", "goal_timeout") == [60.0]
    for number in range(3):
        assert f"'nothing_of_ours_{number}' is said to many nodes" in process.log
    assert "'goal_timout' is said to many nodes (by '/**')" in process.log and "did you mean 'goal_timeout'?" in process.log


@pytest.mark.parametrize("key", ["goal_intake", "/goal_intake"])
def test_under_its_own_name_a_parameter_that_it_does_not_know_stops_a_node(start, tmp_path, key):
    content = {"/**": {"ros__parameters": {"nothing": 1}}, key: {"ros__parameters": {"goal_timout": 5.0}}}
    process = start("goal_intake", "--ros-args", *written(tmp_path, [content]))
    assert process.code(20.0) == 1
    assert "'goal_timout' is unknown to this node (did you mean 'goal_timeout'?)" in process.log


def test_parameters_of_another_namespace_are_told(start, probe, tmp_path):
    process = start("goal_intake", "--ros-args", *written(tmp_path, [said(("goal_intake", 5.0))]), *in_namespace("/left"))
    assert value(probe, "/left/goal_intake", "goal_timeout") == [60.0]
    assert "the parameters of 'goal_intake' are not for this node, which is '/left/goal_intake'" in process.log


def test_composed_nodes_take_what_is_theirs(start, probe, tmp_path):
    content = {
        "/**": {"ros__parameters": {"goal_timeout": 5.0, "max_age": 2.0, "nothing": 1}},
        "/*/desk": {"ros__parameters": {"goal_timeout": 7.0}},
        "/left/camera_ingest": {"ros__parameters": {"max_age": 3.0}},
    }
    named = ["-p", "policy:=none", "-p", "wrong_policy:=stay", "-p", "desk:goal_timeout:=9.0", "-r", "goal_intake:__node:=desk"]
    process = start("composed", "camera_ingest", "goal_intake", "--ros-args", *written(tmp_path, [content]), *named, *in_namespace("/left"))
    assert value(probe, "/left/desk", "goal_timeout") == [7.0], "'desk' is '/desk'"
    assert value(probe, "/left/camera_ingest", "max_age") == [3.0]
    assert process.log.count("'nothing' is said to many nodes") == 2
    assert "'max_age' is said" not in process.log and "'goal_timeout' is said" not in process.log


# A value of each kind; packages/nodes/tests/parameters.rs has all of every parameter, by the function that a node calls at its start.
WRONG = [
    ("camera_ingest", ["max_rate:=0.001"], "'max_rate' is 0.001 Hz; it must be from 0.01 to 1000, or 0 (all)"),
    ("camera_ingest", ["transport:=radio"], "'transport' is 'radio'; it must be one of: raw, compressed"),
    ("camera_ingest", ["use_sim_time:=maybe"], "'use_sim_time' must be a boolean, not string \"maybe\""),
    ("goal_intake", ["stop_words:=['stop', '!?']"], "'stop_words': '!?' has no words"),
    ("goal_intake", ["goal_timeout:=.nan"], "'goal_timeout' is NaN s; it must be from 0 (for ever) to 86400"),
    ("vla_inference", ["threads:=3", "inference_cores:=[0]"], "'threads' is 3; it must be at most 1, as 'inference_cores' lists so many"),
    ("vla_inference", ["policy:=''"], "'policy' must be set"),
    ("trajectory_publisher", ["committed:=0.0"], "'committed' is 0 s; it must be from 0.0015 to 0.5"),
    ("trajectory_publisher", ["rate:=50.0", "committed:=0.02"], "'committed' is 0.02 s; with 'rate' at 50 Hz it must be at least 0.03 s"),
    ("trajectory_publisher", ["blend_time:=0.0"], "'blend_time' is 0 s; it must be from 0.001 to 2"),
    ("trajectory_publisher", ["max_tool_speed:=0.0005"], "'max_tool_speed' is 0.0005 m/s; it must be from 0.001 to 100, or 0 (any)"),
    ("trajectory_publisher", ["gripper_joints:=['thumb']"], "'gripper_joints': 'thumb' is moved by no controller"),
    ("sim", ["publish_clock:=true", "use_sim_time:=true"], "'publish_clock' is true and so is 'use_sim_time'"),
    ("sim", ["seed:=0.5"], "'seed' must be an integer"),
    ("recorder", ["topics:=['/camera_(front']"], "'topics': '/camera_(front' is not a regular expression"),
    ("recorder", ["queue_mb:=0"], "'queue_mb' is 0 MB; it must be from 1 to"),
]  # fmt: skip


def test_a_wrong_value_ends_a_node_at_its_start_by_name(start):
    # A few at a time: each needs a process, and none gets further than its parameters.
    for some in range(0, len(WRONG), 4):
        processes = [
            (start(node, *ros(policy="none"), *[part for one in given for part in ("-p", one)]), words) for node, given, words in WRONG[some : some + 4]
        ]
        for process, words in processes:
            assert process.code(30.0) == 1, words
            assert f"parameter {words}" in process.log


def test_a_value_of_the_wrong_type_is_refused_under_any_key(start, tmp_path):
    process = start("goal_intake", "--ros-args", *written(tmp_path, [said(("/*", "soon"))]))
    assert process.code(20.0) == 1
    assert "'goal_timeout' must be a number, not string \"soon\"" in process.log


@pytest.mark.parametrize("option", ["--rate=0", "--rate=nan", "--clock=-1", "--start=-1", "--delay=nan"])
def test_a_wrong_option_of_the_player_is_named(option):
    process = subprocess.run([BIN / "efm-play", "no_bag", option], capture_output=True, text=True)
    assert process.returncode == 1
    assert f"{option.partition('=')[0]} " in process.stderr and "must be" in process.stderr


def test_nodes_start_with_their_example_files(start, probe, tmp_path):
    # All but the simulator, which takes a while to draw; packages/nodes/tests/parameters.rs reads each of them.
    nodes = ["camera_ingest", "goal_intake", "vla_inference", "trajectory_publisher", "recorder"]
    for node in nodes:
        file = ROOT / "config" / "parameters" / f"{node}.yaml"
        folder = ["-p", f"folder:={tmp_path / 'bag'}"] if node == "recorder" else []
        start(node, "--ros-args", "--params-file", str(file), *folder)
    assert [value(probe, f"/{node}", "use_sim_time") for node in nodes] == [[False]] * len(nodes)


EXECUTABLES = sorted(executables())


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_a_file_that_is_not_there_or_says_nothing_to_a_node_is_refused_by_name(start, tmp_path, executable):
    nodes = ["goal_intake"] if executable == "composed" else []
    for name, content in {"missing": None, "folder": None, "word": "speed_scale\n", "flat": "speed_scale: 0.1\n"}.items():
        file = tmp_path / f"{name}.yaml"
        if name == "folder":
            file.mkdir()
        elif content:
            file.write_text(content)
        process = start(executable, *nodes, "--ros-args", "--params-file", str(file))
        assert process.code(20.0) == 1, name
        assert str(file) in process.log


def test_lists_are_emptied_by_an_empty_list_whichever_way_it_is_written(start, probe, tmp_path):
    name, key = "trajectory_publisher", "/**/trajectory_publisher"
    more = {key: {"ros__parameters": {"gripper_joints": ["a"], "controllers": {"mine": ["a"]}}}}
    ways = {
        "none": {"gripper_joints": [], "controllers": {"panda_hand_controller": []}},
        "blank": {"gripper_joints": [""], "controllers": {"panda_hand_controller": [""]}},
        "again": {"gripper_joints": [], "controllers": []},
    }
    for way, content in ways.items():
        files = [{key: {"ros__parameters": content}}]
        files = [*files, more] if way == "again" else [more, *files]
        (tmp_path / way).mkdir()
        start(name, *ros(), *written(tmp_path / way, files), *in_namespace(f"/{way}"))
    for way in ways:
        node = f"/{way}/{name}"
        listed = probe.ask(ListParameters, f"{node}/list_parameters", ListParameters.Request(prefixes=["controllers"])).result.names
        (grippers,) = value(probe, node, "gripper_joints")
        if way == "again":
            assert (list(grippers), listed) == (["a"], ["controllers.mine"])
        else:
            assert (list(grippers), listed) == ([], ["controllers.mine", "controllers.panda_arm_controller"])


@pytest.mark.parametrize("controllers", ["[]", "{arm_controller: []}", "['']", None])
def test_without_controllers_the_parameter_is_asked_for_by_name(start, tmp_path, controllers):
    content = "/**:\n  ros__parameters:\n    joint_limits_file: config/joint_limits.yaml\n"
    if controllers:
        content += f"    controllers: {controllers}\n    rate: 100.0\n"
    process = start("trajectory_publisher", "--ros-args", *written(tmp_path, [content]))
    assert process.code(20.0) == 1
    assert "parameter 'controllers.<name>' must be set" in process.log


def test_the_simulators_parameters_are_parameters_of_their_nodes():
    content = yaml.safe_load((ROOT / "config" / "panda.yaml").read_text())
    assert len(content) == 3
    for key, given in content.items():
        executable = key.removeprefix("/**/")
        described = subprocess.run([BIN / executable, "--help"], check=True, capture_output=True, text=True).stdout
        for name in given["ros__parameters"]:
            assert f"\n  {name} " in described or f"\n  {name}.<name> " in described, f"{key} has no {name}"


@pytest.mark.parametrize("text", ["2024", "007", "1e3", "0x1F", "yes", "off", "null", "~", ".inf", "2024-01-01", "1_000", "-5"])
@pytest.mark.parametrize("to", ["", "goal_intake:"])
def test_a_text_on_the_command_line_is_a_text_whatever_yaml_takes_it_for(start, probe, text, to):
    start("goal_intake", "--ros-args", "-p", f"{to}policy:={text}", "-p", "wrong_policy:=stay")
    assert value(probe, "/goal_intake", "policy") == [text]


def test_a_value_of_another_type_in_a_file_is_refused_with_how_it_is_written(start, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("goal_intake: {ros__parameters: {policy: 2024, stop_words: halt, goal_timeout: '60', trace: 1}}\n")
    node = start("goal_intake", "--ros-args", "--params-file", str(file))
    assert node.code(20.0) == 1
    for name, how in {"policy": "'2024'", "stop_words": "['halt']", "goal_timeout": "without quotes: 60", "trace": "true or false"}.items():
        [line] = [line for line in node.log.splitlines() if f"parameter '{name}'" in line]
        assert "; write" in line and how in line, line
