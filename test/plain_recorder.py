"""The recorder to compare with: rclpy takes raw messages, `rosbags` writes them.

    plain_recorder.py FOLDER TOPIC=TYPE ...
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import rclpy
from rclpy.qos import QoSProfile
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

TYPES = {f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}": kind for kind in (Image, JointState, JointTrajectory)}


def main() -> None:
    over: list[int] = []
    signal.signal(signal.SIGINT, lambda *_: over.append(1))
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    node = rclpy.create_node("plain_recorder")
    store = get_typestore(Stores.ROS2_JAZZY)
    with Writer(Path(sys.argv[1]), version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for argument in sys.argv[2:]:
            topic, kind = argument.split("=")
            connection = writer.add_connection(topic, kind, typestore=store)

            def keep(message: bytes, connection=connection) -> None:
                writer.write(connection, time.time_ns(), message)

            node.create_subscription(TYPES[kind], topic, keep, QoSProfile(depth=50 if "image" in topic else 1000), raw=True)
        while not over:
            rclpy.spin_once(node, timeout_sec=0.1)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
