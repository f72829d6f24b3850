"""Writes the controller state that `packages/wire/src/controller_state.rs` reads in its tests, with somebody else's serialisers.

    pip install rosbags==0.11.9 mcap-ros2-support==0.6.0        # in a venv
    python make_controller_state.py FOLDER_OF_CONTROL_MSGS

The folder is `control_msgs` in a checkout of github.com/ros-controls/control_msgs (commit 20b6107). rosbags writes the bytes; mcap_ros2, which
shares no code with it, must read the same out of them.
"""

import sys
from pathlib import Path

import numpy as np
from mcap_ros2._dynamic import generate_dynamic
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

HERE = Path(__file__).parent
NAME = "control_msgs/msg/JointTrajectoryControllerState"
STORE = get_typestore(Stores.ROS2_JAZZY)


def main() -> None:
    STORE.register(get_types_from_msg((Path(sys.argv[1]) / "msg" / "JointTrajectoryControllerState.msg").read_text(), NAME))
    types = STORE.types
    zero = types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0)
    numbers = lambda *values: np.array(values, dtype="float64")  # noqa: E731
    point = lambda *q: types["trajectory_msgs/msg/JointTrajectoryPoint"](  # noqa: E731
        positions=numbers(*q), velocities=numbers(*q), accelerations=numbers(), effort=numbers(), time_from_start=zero
    )
    nothing = types["trajectory_msgs/msg/MultiDOFJointTrajectoryPoint"](
        transforms=[], velocities=[], accelerations=[], time_from_start=zero
    )
    reference = point(0.25, -1.5, 3.0e-7)
    given = {
        "header": types["std_msgs/msg/Header"](
            stamp=types["builtin_interfaces/msg/Time"](sec=12, nanosec=345), frame_id="odd"
        ),
        "joint_names": ["panda_joint1", "panda_joint2", "panda_joint3"],
        "reference": reference,
        "multi_dof_joint_names": [],
    }
    fields = [name for name, _ in STORE.fielddefs[NAME][1]]
    other = lambda name: nothing if name.startswith("multi_dof") else point(9.0, 9.0, 9.0)  # noqa: E731
    message = types[NAME](**{name: other(name) for name in fields} | given)
    data = bytes(STORE.serialize_cdr(message, NAME))
    definition, _ = STORE.generate_msgdef(NAME, ros_version=2)
    read = generate_dynamic(NAME, definition)[NAME](data)
    assert list(read.reference.positions) == list(reference.positions) and read.joint_names == given["joint_names"]
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (12, 345)
    (HERE / "controller_state.cdr").write_bytes(data)
    print(len(data), "bytes")


main()
