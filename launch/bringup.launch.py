"""Brings up the graph that config/graph.yaml describes.

With the simulator:   ros2 launch embodied_fm bringup.launch.py
On a robot:           ros2 launch embodied_fm bringup.launch.py sim:=false params_file:=my_robot.yaml

A node that ends by itself with an exit code other than 0 ends the launch, with exit code 1, so that nobody takes half a graph for a whole one. With
use_respawn:=true it is started again after 2 s, unless it ends three times in a row within 10 s each and says why (a code above 0: a parameter or a
policy that cannot work): that ends the launch as well. A recorder that ends (a full disk) leaves the others at work.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, RegisterEventHandler
from launch.event_handlers import OnProcessExit
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

PACKAGE = "embodied_fm"
# share/embodied_fm when installed, the repository in a checkout.
SHARE = Path(__file__).absolute().parent.parent
GRAPH = yaml.safe_load((SHARE / "config" / "graph.yaml").read_text())


def word(value: object) -> str:
    """Write a default as people write it on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


DEFAULTS = {name: word(value) for name, value in GRAPH["defaults"].items()}
PARAMETERS = "ros__parameters"
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and relative topics."),
    DeclareLaunchArgument(
        "sim", default_value=DEFAULTS["sim"], choices=["true", "false"],
        description="Start the simulator. false: the same nodes meet a real robot, and start disarmed.",
    ),
    DeclareLaunchArgument(
        "policy", default_value="",
        description="Policy package: its name within the models folder, or a path to its folder. "
        f"Empty: {DEFAULTS['policy']} beside the simulator, otherwise what params_file names.",
    ),
    DeclareLaunchArgument(
        "params_file", default_value="",
        description="Parameter file of your robot; beside the simulator its values replace those of config/panda.yaml. Empty: none.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value=DEFAULTS["use_sim_time"], choices=["true", "false"],
        description="Take time from /clock, which the simulator then publishes.",
    ),
    DeclareLaunchArgument(
        "real_time_factor", default_value=DEFAULTS["real_time_factor"],
        description="Simulated seconds a second, with use_sim_time:=true: below 1 where the machine is slow or busy.",
    ),
    DeclareLaunchArgument(
        "composed", default_value="false", choices=["true", "false"],
        description="Run all nodes but trajectory_publisher in one process: less memory and CPU, the same topics.",
    ),
    DeclareLaunchArgument(
        "record", default_value="false", choices=["false", "true", "compressed"],
        description="Record the graph's topics into a new rosbag2 folder of the working directory. compressed: pictures as JPEG.",
    ),
    DeclareLaunchArgument(
        "use_respawn", default_value="false", choices=["true", "false"],
        description="Start a node again 2 s after it has died; false: a node that dies ends the launch.",
    ),
    DeclareLaunchArgument("log_level", default_value="info", choices=LOG_LEVELS, description="Log level of all nodes."),
]  # fmt: skip


# Arguments that are numbers; the others are texts or truth values.
NUMBERS = ["real_time_factor"]


def number(name: str, value: str) -> float:
    """Read a launch argument as a number."""
    try:
        return float(value)
    except ValueError:
        raise RuntimeError(f"launch argument {name}:={value} is not a number; nothing was started") from None


# A node that ends so soon (seconds, the delay of its start among them), and so often in a row, cannot work as it is set up.
SOON, OFTEN = 12.0, 3
DELAY = 2.0


class Watch:
    """Ends the launch where a node has ended that does not come back, or comes back in vain."""

    def __init__(self, respawned: dict) -> None:
        """Watch over these nodes: whether each is started again."""
        self.respawned = respawned
        self.begun = time.monotonic()
        self.ends: dict = {}

    def __call__(self, event: object, context: LaunchContext) -> None:
        """Look at a process that has ended. What is raised here ends the launch with code 1."""
        if event.returncode == 0 or context.is_shutdown or event.action not in self.respawned:
            return
        ended = f"{event.process_name} has ended with code {event.returncode}"
        if not self.respawned[event.action]:
            raise RuntimeError(f"{ended}, so the launch ends")
        # What a signal has ended may do better the next time.
        says_why = event.returncode > 0
        times, last = self.ends.get(event.action, (0, self.begun))
        now = time.monotonic()
        times = (times if now - last < SOON else 0) + 1 if says_why else 0
        self.ends[event.action] = (times, now)
        if times >= OFTEN:
            raise RuntimeError(f"{ended} {times} times in a row, and its log says why, so the launch ends")


def checked(file: str) -> str:
    """Refuse a parameter file before anything starts: launch itself only warns where there is none, and a robot would run on defaults."""

    def refuse(why: str) -> NoReturn:
        raise RuntimeError(f"params_file '{file}' {why}; nothing was started")

    path = Path(file).expanduser()
    if not path.exists():
        refuse(f"does not exist (looked for as {path.absolute()})")
    if not path.is_file():
        refuse("is not a file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        refuse(f"cannot be read: {error}")
    except yaml.YAMLError as error:
        refuse(f"is not YAML: {error}")
    wanted = f"wanted: NODE: {{{PARAMETERS}: {{NAME: VALUE}}}}"
    if not isinstance(content, dict) or not content:
        refuse(f"is not a mapping of nodes to their parameters; {wanted}")
    for key, value in content.items():
        nodes(key, value, lambda key: refuse(f"has no {PARAMETERS} under '{key}'; {wanted}"))
    return str(path)


def nodes(key: object, value: object, refuse: Callable) -> None:
    """Go through what a parameter file has under a key: parameters of a node, or nodes in a namespace."""
    if key == PARAMETERS or not isinstance(value, dict) or not value:
        refuse(key)
    if not isinstance(value.get(PARAMETERS, {}), dict):
        refuse(key)
    for name, content in value.items():
        if name != PARAMETERS:
            nodes(f"{key}/{name}", content, refuse)


def typed(value: object) -> object:
    """Keep a text a text: launch_ros reads a bare one as YAML, by which a policy named 2024 would be a number."""
    return ParameterValue(value, value_type=str) if isinstance(value, str) else value


def processes(wanted: set, composed: bool) -> list:
    """Tell what is to be started; what may share a process does so where that is asked for."""
    chosen = [process for process in GRAPH["processes"] if process["when"] in wanted]
    # What belongs to the simulator's robot is nobody else's.
    own = [process.get("sim_params", []) if "sim" in wanted else [] for process in chosen]
    chosen = [process | {"params": [*first, *process.get("params", [])]} for first, process in zip(own, chosen)]
    together = [process for process in chosen if composed and process.get("compose", False)]
    if not together:
        return chosen
    # Nodes take what they know of parameters that are for all; a name is given to one of them.
    one = {"executable": "composed", "params": [], "set": {}, "remappings": {}, "arguments": []}
    for process in together:
        one["params"] += [file for file in process["params"] if file not in one["params"]]
        one["set"] |= process.get("set", {})
        one["remappings"] |= {f"{process['executable']}:{a}": b for a, b in process.get("remappings", {}).items()}
        one["remappings"] |= {f"{process['executable']}:__node": process["name"]}
        one["arguments"].append(process["executable"])
    at = chosen.index(together[0])
    return [*chosen[:at], one, *[process for process in chosen[at:] if process not in together]]


def graph(context: LaunchContext) -> list:
    """Turn the graph file into launch actions, with the arguments' values."""
    argument = {action.name: LaunchConfiguration(action.name).perform(context) for action in ARGUMENTS}
    is_true = {name: value == "true" for name, value in argument.items()}
    argument["params_file"] = argument["params_file"] and checked(argument["params_file"])
    if is_true["sim"]:
        argument["policy"] = argument["policy"] or DEFAULTS["policy"]
    argument["images"] = "compressed" if argument["record"] == "compressed" else "raw"
    wanted = {"always", "sim" if is_true["sim"] else "robot", *(["record"] if argument["record"] != "false" else [])}

    def value_of(value: object) -> object:
        if isinstance(value, str) and value.startswith("$(") and value.endswith(")"):
            name = value[2:-1]
            if name in NUMBERS:
                return number(name, argument[name])
            return is_true[name] if argument[name] in ("true", "false") else argument[name]
        return value

    actions: list = []
    watched: dict = {}
    for process in processes(wanted, is_true["composed"]):
        parameters: list = [str(SHARE / file) for file in process["params"]]
        if argument["params_file"]:
            parameters.append(argument["params_file"])
        single = {name: value_of(value) for name, value in process.get("set", {}).items()}
        # What nobody gives is left to the files.
        single = {name: value for name, value in single.items() if value != ""}
        if process.get("sim_time", True):
            single["use_sim_time"] = is_true["use_sim_time"]
        if single:
            parameters.append({name: typed(value) for name, value in single.items()})
        actions.append(
            Node(
                package=PACKAGE,
                executable=process["executable"],
                name=process.get("name"),
                namespace=argument["namespace"],
                parameters=parameters,
                remappings=list(process.get("remappings", {}).items()),
                arguments=[*process.get("arguments", []), "--ros-args", "--log-level", argument["log_level"]],
                output="screen",
                respawn=(respawn := is_true["use_respawn"] and process.get("respawn", True)),
                respawn_delay=DELAY,
            )
        )
        if process.get("when") != "record":
            watched[actions[-1]] = respawn
    actions.append(RegisterEventHandler(OnProcessExit(on_exit=Watch(watched))))
    if is_true["sim"]:
        actions += robot_state_publisher(argument["namespace"], is_true["use_sim_time"])
    return actions


def robot_state_publisher(namespace: str, use_sim_time: bool) -> list:
    """Start it where it is installed: it shows the simulator's arm in RViz; nothing here depends on it. A robot has its own."""
    try:
        get_package_prefix("robot_state_publisher")
    except PackageNotFoundError:
        return []
    description = (SHARE / "urdf" / "panda.urdf").read_text()
    return [
        Node(
            package="robot_state_publisher",
            executable="robot_state_publisher",
            namespace=namespace,
            parameters=[{"robot_description": typed(description), "use_sim_time": use_sim_time}],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=graph)])
