"""What a robot with two cameras says, as a process of its own: every message is numbered, and when each was published is told.

    record_load.py TIMES.json [SECONDS]

Publishes until SIGTERM (or for so long), then writes {topic: [time of message 0, time of message 1, ...]} in seconds since the epoch. The number
stands in the frame id, the time in the stamp.
"""

from __future__ import annotations

import json
import signal
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import QoSProfile
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

# Topic: messages a second.
RATES = {
    "/front/image": 30,
    "/wrist/image": 30,
    "/joint_states": 500,
    "/action_chunk": 10,
    "/panda_arm_controller/joint_trajectory": 100,
}
KEPT = {"/front/image": 30, "/wrist/image": 30, "/joint_states": 500}
NUMBER = "number_%010d"


def message_of(topic: str) -> object:
    if topic.endswith("image"):
        message = Image(width=640, height=480, encoding="rgb8", step=1920)
        # As a camera's: smooth, with noise in the last bits.
        rng = np.random.default_rng(len(topic))
        y, x = np.mgrid[0:480, 0:640]
        smooth = np.stack([x * 0.3 + 20, y * 0.4 + 10, 128 + 80 * np.sin(x * 0.02) * np.cos(y * 0.03)], axis=-1)
        message.data = (smooth + rng.normal(0.0, 1.5, smooth.shape)).clip(0, 255).astype(np.uint8).tobytes()
    elif topic == "/joint_states":
        message = JointState(name=[f"panda_joint{i}" for i in range(1, 8)], position=[0.1] * 7, velocity=[0.2] * 7)
    else:
        rows = [JointTrajectoryPoint(positions=[0.1] * 8, velocities=[0.2] * 8) for _ in range(16)]
        message = JointTrajectory(joint_names=[f"panda_joint{i}" for i in range(1, 9)], points=rows)
    message.header.frame_id = NUMBER % 0
    return message


class Stream:
    """Publishes the same bytes again and again, with another number and stamp: Python would be too slow for messages."""

    def __init__(self, node, topic: str) -> None:
        message = message_of(topic)
        self.bytes = bytearray(serialize_message(message))
        self.place = self.bytes.index(b"number_") + len("number_")
        self.publisher = node.create_publisher(type(message), topic, QoSProfile(depth=KEPT.get(topic, 100)))
        self.period = 1.0 / RATES[topic]
        self.times: list[float] = []

    def publish(self) -> None:
        now = time.time()
        nanos = int(now * 1e9)
        self.bytes[4:8] = (nanos // 10**9).to_bytes(4, "little")
        self.bytes[8:12] = (nanos % 10**9).to_bytes(4, "little")
        self.bytes[self.place : self.place + 10] = b"%010d" % len(self.times)
        self.publisher.publish(bytes(self.bytes))
        self.times.append(now)


def main() -> None:
    over: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: over.append(1))
    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    node = rclpy.create_node("load")
    streams = [Stream(node, topic) for topic in RATES]
    begun = time.monotonic()
    end = begun + float(sys.argv[2]) if len(sys.argv) > 2 else float("inf")
    while not over and time.monotonic() < end:
        due = min(streams, key=lambda stream: len(stream.times) * stream.period)
        wait = begun + len(due.times) * due.period - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, 0.1))
        else:
            due.publish()
    # Late readers get what was lost on its way.
    time.sleep(0.5)
    with open(sys.argv[1], "w") as file:
        json.dump({topic: stream.times for topic, stream in zip(RATES, streams)}, file)
    rclpy.shutdown()


if __name__ == "__main__":
    main()
