"""Brings up the graph that config/graph.yaml describes.

With the simulator:   ros2 launch embodied_fm bringup.launch.py
On a robot:           ros2 launch embodied_fm bringup.launch.py sim:=false params_file:=my_robot.yaml
"""

from pathlib import Path

import yaml
from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

PACKAGE = "embodied_fm"
# share/embodied_fm when installed, the repository in a checkout.
SHARE = Path(__file__).absolute().parent.parent
GRAPH = yaml.safe_load((SHARE / "config" / "graph.yaml").read_text())


def word(value: object) -> str:
    """Write a default as people write it on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


DEFAULTS = {name: word(value) for name, value in GRAPH["defaults"].items()}
LOG_LEVELS = ["debug", "info", "warn", "error", "fatal"]

ARGUMENTS = [
    DeclareLaunchArgument("namespace", default_value="", description="Namespace of all nodes and relative topics."),
    DeclareLaunchArgument(
        "sim", default_value=DEFAULTS["sim"], choices=["true", "false"],
        description="Start the simulator. false: the same nodes meet a real robot, and start disarmed.",
    ),
    DeclareLaunchArgument(
        "policy", default_value=DEFAULTS["policy"],
        description="Policy package: its name within the models folder, or a path to its folder.",
    ),
    DeclareLaunchArgument(
        "params_file", default_value="",
        description="Parameter file whose values replace those of the suite's own files. Empty: none.",
    ),
    DeclareLaunchArgument(
        "use_sim_time", default_value=DEFAULTS["use_sim_time"], choices=["true", "false"],
        description="Take time from /clock, which the simulator then publishes.",
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
        description="Start a node again 2 s after it has died.",
    ),
    DeclareLaunchArgument("log_level", default_value="info", choices=LOG_LEVELS, description="Log level of all nodes."),
]  # fmt: skip


def processes(wanted: set, composed: bool) -> list:
    """Tell what is to be started; what may share a process does so where that is asked for."""
    chosen = [process for process in GRAPH["processes"] if process["when"] in wanted]
    together = [process for process in chosen if composed and process.get("compose", False)]
    if not together:
        return chosen
    # Nodes take what they know of parameters that are for all; a name is given to one of them.
    one = {"executable": "composed", "params": [], "set": {}, "remappings": {}, "arguments": []}
    for process in together:
        one["params"] += [file for file in process.get("params", []) if file not in one["params"]]
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
    argument["images"] = "compressed" if argument["record"] == "compressed" else "raw"
    wanted = {"always", "sim" if is_true["sim"] else "robot", *(["record"] if argument["record"] != "false" else [])}

    def value_of(value: object) -> object:
        if isinstance(value, str) and value.startswith("$(") and value.endswith(")"):
            name = value[2:-1]
            return is_true[name] if argument[name] in ("true", "false") else argument[name]
        return value

    actions: list = []
    for process in processes(wanted, is_true["composed"]):
        parameters: list = [str(SHARE / file) for file in process.get("params", [])]
        if argument["params_file"]:
            parameters.append(argument["params_file"])
        single = {name: value_of(value) for name, value in process.get("set", {}).items()}
        if process.get("sim_time", True):
            single["use_sim_time"] = is_true["use_sim_time"]
        if single:
            parameters.append(single)
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
                respawn=is_true["use_respawn"] and process.get("respawn", True),
                respawn_delay=2.0,
            )
        )
    actions += robot_state_publisher(argument["namespace"], is_true["use_sim_time"])
    return actions


def robot_state_publisher(namespace: str, use_sim_time: bool) -> list:
    """Start it where it is installed: it shows the arm in RViz; nothing here depends on it."""
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
            parameters=[{"robot_description": description, "use_sim_time": use_sim_time}],
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """Return what `ros2 launch` runs."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=graph)])
