"""The graph as people write it in rclpy: the same split, topics, rates and ONNX graphs, with OpenCV and onnxruntime.

    rclpy_nodes.py camera_ingest|goal_intake|trajectory_publisher POLICY_FOLDER TIMES.json [RATE]
    rclpy_nodes.py vla_inference POLICY_FOLDER TIMES.json ENCODER_FOLDER

What it is measured against may do more; this one leaves out whatever would cost it time: no checks of what comes in, no inverse kinematics, no
collisions, no limits but a clamp of velocities. Its fast paths are on: buffers without copies where rclpy has such, arrays that are filled again,
messages made once. TIMES.json is for whoever measures.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from array import array
from pathlib import Path

import numpy as np
import rclpy
import yaml
from builtin_interfaces.msg import Duration, Time
from rclpy.executors import SingleThreadedExecutor as Executor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

# EventsExecutor (rclpy.experimental) was tried: in ROS 2 Jazzy's rclpy 7.1 it delivers none of these messages.

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=1)


def nanos(stamp: Time) -> int:
    return stamp.sec * 10**9 + stamp.nanosec


class CameraIngest(Node):
    """Pictures in the size that the policy wants."""

    def __init__(self, manifest: dict, _: dict) -> None:
        import cv2

        super().__init__("camera_ingest")
        cv2.setNumThreads(1)
        self.cv2 = cv2
        for spec in manifest["observation"]["images"]:
            self.add(spec)

    def add(self, spec: dict) -> None:
        publisher = self.create_publisher(Image, f"observation/{spec['name']}/image", RELIABLE)
        size = (spec["width"], spec["height"])
        out = Image(width=size[0], height=size[1], encoding="rgb8", step=3 * size[0])

        def on_image(message: Image) -> None:
            picture = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)
            small = self.cv2.resize(picture, size, interpolation=self.cv2.INTER_AREA)
            out.header = message.header
            out.data = array("B", small.tobytes())
            publisher.publish(out)

        self.create_subscription(Image, f"{spec['name']}/image_raw", on_image, NEWEST)


class GoalIntake(Node):
    """Goals become the instruction."""

    def __init__(self, manifest: dict, _: dict) -> None:
        super().__init__("goal_intake")
        publisher = self.create_publisher(String, "instruction", LATCHED)
        self.create_subscription(String, "goal", publisher.publish, RELIABLE)


class VlaInference(Node):
    """The newest pictures -> the policy -> action_chunk; the model runs on a thread of its own."""

    def __init__(self, manifest: dict, times: dict) -> None:
        import onnxruntime

        super().__init__("vla_inference")
        self.runs = times.setdefault("runs", [])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        file = Path(sys.argv[2]) / manifest["graphs"]["policy"]["file"]
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        observation, action = manifest["observation"], manifest["action"]
        self.specs = observation["images"]
        self.joints = manifest["robot"]["joints"]
        self.period = round(manifest["execution"]["replan_steps"] * action["step"] * 1e9)
        # (x / 255 - mean) / std = x * scale + shift
        self.scales = [(1 / (255 * np.float32(s["std"])), -np.float32(s["mean"]) / np.float32(s["std"])) for s in self.specs]
        shapes = {tensor.name: tensor.shape for tensor in self.session.get_inputs()}
        self.state_name, text = observation["state"]["tensor"], observation["language"]["tensor"]
        self.state = np.zeros([1, int(shapes[self.state_name][-1])], np.float32)
        normalization = observation["state"]["normalization"]
        self.mean = np.float32(normalization.get("mean", 0.0))
        self.std = np.float32(normalization.get("std", 1.0))
        # The sentence is embedded once a goal; which words it has makes no difference here, so they are numbers.
        encoder = Path(sys.argv[4])
        model = yaml.safe_load((encoder / "encoder.yaml").read_text())["model"]["file"]
        self.encoder = onnxruntime.InferenceSession(str(encoder / model), options, providers=["CPUExecutionProvider"])
        self.text_name, self.text = text, {}
        self.newest: dict[str, Image] = {}
        self.measured = None
        self.instruction = ""
        self.last = 0
        self.jobs: queue.Queue = queue.Queue(1)
        self.idle = True
        out = action["normalization"]
        self.out_mean, self.out_std = np.float32(out.get("mean", 0.0)), np.float32(out.get("std", 1.0))
        self.in_joints = action["space"] == "joint_position"
        self.chunk = JointTrajectory(joint_names=self.joints)
        for k in range(action["horizon"]):
            t = round((k + 1) * action["step"] * 1e9)
            self.chunk.points.append(JointTrajectoryPoint(time_from_start=Duration(sec=t // 10**9, nanosec=t % 10**9)))
        self.publisher = self.create_publisher(JointTrajectory, "action_chunk", RELIABLE)
        for spec in self.specs:
            self.hear(spec["name"])
        self.create_subscription(JointState, "joint_states", self.on_joints, NEWEST)
        self.create_subscription(String, "instruction", self.on_instruction, LATCHED)
        threading.Thread(target=self.work, daemon=True).start()

    def hear(self, camera: str) -> None:
        def on_image(message: Image) -> None:
            self.newest[camera] = message
            self.look()

        self.create_subscription(Image, f"observation/{camera}/image", on_image, NEWEST)

    def on_joints(self, message: JointState) -> None:
        if self.measured is None:
            self.places = [message.name.index(joint) for joint in self.joints]
        self.measured = message.position

    def on_instruction(self, message: String) -> None:
        if message.data == self.instruction:
            return
        tokens = np.arange(2, 2 + min(6, len(message.data)), dtype=np.int64)[None]
        feeds = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        self.text = {self.text_name: self.encoder.run(None, feeds)[0].reshape(1, -1)}
        self.instruction = message.data

    def look(self) -> None:
        if len(self.newest) < len(self.specs) or self.measured is None or not self.instruction or not self.idle:
            return
        stamps = [nanos(message.header.stamp) for message in self.newest.values()]
        if max(stamps) - min(stamps) > 20_000_000 or min(stamps) - self.last < self.period - 1_000_000:
            return
        self.last = min(stamps)
        self.idle = False
        self.jobs.put((self.last, dict(self.newest), [self.measured[place] for place in self.places]))

    def work(self) -> None:
        while True:
            stamp, pictures, joints = self.jobs.get()
            began = time.perf_counter()
            feeds = dict(self.text)
            for spec, (scale, shift) in zip(self.specs, self.scales):
                picture = np.frombuffer(pictures[spec["name"]].data, np.uint8).reshape(spec["height"], spec["width"], 3)
                feeds[spec["tensor"]] = np.ascontiguousarray((picture * scale + shift).transpose(2, 0, 1))[None]
            self.state[0, : len(joints)] = joints
            feeds[self.state_name] = (self.state - self.mean) / self.std
            actions = self.session.run(None, feeds)[0][0] * self.out_std + self.out_mean
            rows = np.tile(np.float64(joints), (len(self.chunk.points), 1))
            if self.in_joints:
                rows += actions
            for point, row in zip(self.chunk.points, rows):
                point.positions = array("d", row.tobytes())
            self.chunk.header.stamp = Time(sec=stamp // 10**9, nanosec=stamp % 10**9)
            self.runs.append((stamp, time.perf_counter() - began))
            self.publisher.publish(self.chunk)
            self.idle = True


class TrajectoryPublisher(Node):
    """The chunk as trajectories, one a tick and controller."""

    POINTS = 26

    def __init__(self, manifest: dict, times: dict) -> None:
        super().__init__("trajectory_publisher")
        self.chunks = times.setdefault("chunks", [])
        self.rows = None
        self.measured = None
        joints = manifest["robot"]["joints"]
        self.step = manifest["action"]["step"]
        self.most = np.array([2.17] * 4 + [2.6] * 3 + [0.2])
        self.ahead = np.arange(self.POINTS) / 100.0
        self.windows = []
        for controller, names in (("panda_arm_controller", joints[:7]), ("panda_hand_controller", joints[7:])):
            message = JointTrajectory(joint_names=names)
            for k in range(self.POINTS):
                t = k * 10_000_000
                message.points.append(JointTrajectoryPoint(time_from_start=Duration(sec=t // 10**9, nanosec=t % 10**9)))
            self.windows.append((self.create_publisher(JointTrajectory, f"{controller}/joint_trajectory", RELIABLE), message))
        self.told = JointState(name=["chunk_age_s"], position=[0.0])
        self.tells = self.create_publisher(JointState, "trajectory_publisher/filter_state", RELIABLE)
        self.create_subscription(JointTrajectory, "action_chunk", self.on_chunk, RELIABLE)
        self.create_subscription(JointState, "joint_states", self.on_joints, NEWEST)
        self.create_timer(1.0 / float(sys.argv[4] if len(sys.argv) > 4 else 100.0), self.tick)

    def on_chunk(self, message: JointTrajectory) -> None:
        self.observed = nanos(message.header.stamp)
        self.chunks.append((self.observed, time.time_ns()))
        self.rows = np.array([point.positions for point in message.points])

    def on_joints(self, message: JointState) -> None:
        self.measured = message.position

    def tick(self) -> None:
        if self.rows is None or self.measured is None:
            return
        now = time.time_ns()
        stamp = Time(sec=now // 10**9, nanosec=now % 10**9)
        last = len(self.rows) - 1
        at = np.clip(((now - self.observed) * 1e-9 + self.ahead) / self.step - 1.0, 0.0, last)
        low = np.minimum(at.astype(int), last - 1)
        part = (at - low)[:, None]
        positions = self.rows[low] * (1.0 - part) + self.rows[low + 1] * part
        velocities = np.zeros_like(positions)
        velocities[:-1] = np.clip(np.diff(positions, axis=0) * 100.0, -self.most, self.most)
        for (publisher, message), joints in zip(self.windows, (slice(0, 7), slice(7, 8))):
            message.header.stamp = stamp
            for point, position, velocity in zip(message.points, positions[:, joints], velocities[:, joints]):
                point.positions = array("d", position.tobytes())
                point.velocities = array("d", velocity.tobytes())
            publisher.publish(message)
        self.told.header.stamp = stamp
        self.told.position = array("d", [(now - self.observed) * 1e-9])
        self.tells.publish(self.told)


NODES = {"camera_ingest": CameraIngest, "goal_intake": GoalIntake, "vla_inference": VlaInference, "trajectory_publisher": TrajectoryPublisher}


def main() -> None:
    manifest = yaml.safe_load((Path(sys.argv[2]) / "policy.yaml").read_text())
    times: dict = {"executor": Executor.__name__}
    rclpy.init()
    node = NODES[sys.argv[1]](manifest, times)
    executor = Executor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        pass
    Path(sys.argv[3]).write_text(json.dumps(times))


if __name__ == "__main__":
    main()
