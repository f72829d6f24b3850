"""What the graph tests share: parameters of our nodes, messages, and a view of /diagnostics."""

from __future__ import annotations

import threading
from pathlib import Path

from builtin_interfaces.msg import Duration, Time
from conftest import ROOT, Probe
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
ARM = [f"panda_joint{i}" for i in range(1, 8)]
FINGER = "panda_finger_joint1"
READY = [0.0, -0.6, 0.0, -2.2, 0.0, 1.6, 0.785]
OK, WARN, ERROR, STALE = (DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE)
MODELS = ROOT / "test" / "models"
ENCODERS = ROOT / "packages" / "policy" / "tests" / "data"
URDF = ROOT / "urdf" / "panda.urdf"
# For the publisher where the pauses of a busy machine are not what a test is about: states that are late, windows that reach the robot late.
PATIENT = {"max_joint_state_age": 2.0, "max_clock_jump": 0.5, "max_future": 0.5, "max_tracking_error": 2.0}


def ros(*, files: list[Path] | None = None, **parameters: object) -> list[str]:
    """ROS arguments with these parameter files and parameters."""
    arguments = ["--ros-args", "--params-file", str(ROOT / "config" / "panda.yaml")]
    for file in files or []:
        arguments += ["--params-file", str(file)]
    for name, value in parameters.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        arguments += ["-p", f"{name}:={text}"]
    return arguments


def policy(folder: Path | str = "panda_drift") -> dict[str, object]:
    """Parameters that name a policy package of the tests."""
    return {"policy": str(folder), "models_path": f"['{MODELS}', '{ENCODERS}']"}


class Health:
    """The newest status of every task on /diagnostics, and all that were heard."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.heard: list[DiagnosticArray] = probe.hear(DiagnosticArray, "/diagnostics")

    def newest(self, name: str) -> DiagnosticStatus | None:
        for array in reversed(self.heard):
            for status in array.status:
                if status.name == name:
                    return status
        return None

    def wait(self, name: str, level: bytes, *words: str, timeout: float = 30.0) -> DiagnosticStatus:
        """Wait until a task is at a level and its message holds all words; what was so for a moment only, while this process had no turn, counts."""
        looked = len(self.heard)

        def fits(status: DiagnosticStatus) -> bool:
            return status.name == name and status.level == level and all(word in status.message for word in words)

        def told() -> DiagnosticStatus | None:
            nonlocal looked
            newest = self.newest(name)
            if newest and fits(newest):
                return newest
            since, looked = self.heard[looked:], len(self.heard)
            return next((status for array in since for status in array.status if fits(status)), None)

        try:
            return self.probe.until(told, timeout)
        except BaseException:
            print(f"newest {name!r}: {self.newest(name)}, wanted level {level} and {words}")
            raise


def values(status: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in status.values}


def now(probe: Probe, offset: float = 0.0) -> Time:
    """ROS time, moved by so many seconds."""
    nanos = probe.node.get_clock().now().nanoseconds + round(offset * 1e9)
    return Time(sec=nanos // 10**9, nanosec=nanos % 10**9)


def seconds(stamp: Time | Duration) -> float:
    return stamp.sec + stamp.nanosec * 1e-9


def earlier(stamp: Time, by: float) -> Time:
    nanos = stamp.sec * 10**9 + stamp.nanosec - round(by * 1e9)
    return Time(sec=nanos // 10**9, nanosec=nanos % 10**9)


def duration(value: float) -> Duration:
    nanos = round(value * 1e9)
    return Duration(sec=nanos // 10**9, nanosec=nanos % 10**9)


def image(stamp: Time, width: int = 64, height: int = 48, encoding: str = "rgb8") -> Image:
    channels = {"rgb8": 3, "bgr8": 3, "mono8": 1, "rgba8": 4}[encoding]
    message = Image(width=width, height=height, encoding=encoding, step=width * channels)
    message.header.stamp = stamp
    message.header.frame_id = "front_optical_frame"
    # A camera has noise: a picture that stays the same to the bit while the arm moves is one of a frozen camera. One pixel of the policy.
    data, noise = bytearray(width * height * channels), stamp.nanosec // 1_000_000 % 16
    for row in range(max(height // 6, 1)):
        begin = row * width * channels
        data[begin : begin + max(width // 8, 1) * channels] = bytes([noise]) * (max(width // 8, 1) * channels)
    message.data = bytes(data)
    return message


def joint_state(stamp: Time, names: list[str], positions: list[float]) -> JointState:
    message = JointState(name=names, position=positions, velocity=[0.0] * len(names))
    message.header.stamp = stamp
    return message


def chunk(stamp: Time, rows: list[list[float]], step: float = 0.1, names: list[str] | None = None) -> JointTrajectory:
    """An action chunk: row k is due (k + 1) steps after the stamp."""
    message = JointTrajectory(joint_names=names or [*ARM, FINGER])
    message.header.stamp = stamp
    message.points = [
        JointTrajectoryPoint(positions=row, time_from_start=duration((k + 1) * step)) for k, row in enumerate(rows)
    ]
    return message


class Robot:
    """Publishes what a robot and its camera would, on a thread of its own, until it is told otherwise.

    Positions, names and the offset of the stamps may be changed while it runs; `camera`, `wrist` and `joints` switch the streams;
    the wrist camera's stamps are `wrist_behind` seconds behind those of the front camera.
    """

    def __init__(self, probe: Probe, *, camera: bool = True, size: tuple[int, int] = (8, 6), joint_states: QoSProfile | int = 10) -> None:
        self.wrist = False
        self.wrist_behind = 0.0
        self.probe = probe
        self.names = [*ARM, FINGER, "panda_finger_joint2"]
        self.positions = [*READY, 0.04, 0.04]
        self.ahead = 0.0
        self.camera = camera
        self.joints = True
        self.encoding = "rgb8"
        # The front camera hangs: it sends its last picture under new stamps.
        self.frozen: bytes | None = None
        self.size = size
        # As the front camera's, unless said otherwise.
        self.wrist_size: tuple[int, int] | None = None
        self._states = probe.node.create_publisher(JointState, "joint_states", joint_states)
        self._images = probe.node.create_publisher(Image, "observation/front/image", 5) if camera else None
        self._wrist_images = probe.node.create_publisher(Image, "observation/wrist/image", 5) if camera else None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        beat = 0
        while not self._end.wait(0.01):
            if self.joints:
                names, positions = list(self.names), list(self.positions)
                if len(names) < len(positions):
                    # A joint that vanishes from the names takes its own position with it.
                    of = dict(zip([*ARM, FINGER, "panda_finger_joint2"], positions))
                    positions = [of[name] for name in names]
                self._states.publish(joint_state(now(self.probe), names, positions))
            if self._images and self.camera and beat % 3 == 0:
                width, height = self.size
                stamp = now(self.probe, self.ahead)
                picture = image(stamp, width, height, self.encoding)
                if self.frozen is not None:
                    picture.data = self.frozen
                self._images.publish(picture)
                if self.wrist:
                    width, height = self.wrist_size or self.size
                    self._wrist_images.publish(image(earlier(stamp, self.wrist_behind), width, height, self.encoding))
            beat += 1

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
