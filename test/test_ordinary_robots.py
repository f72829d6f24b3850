"""trajectory_publisher with robots as they are bought: whose joint states come slowly, without speeds (NaN, as joint_state_broadcaster writes them where the
hardware does not tell) or without stamps. Each must begin to move and go on."""

from __future__ import annotations

import math
import threading

import pytest
from builtin_interfaces.msg import Time
from graph_tools import ARM, FINGER, OK, READY, URDF, WARN, Health, chunk, joint_state, now, ros, seconds
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

MOTION = "trajectory_publisher: motion"
STATES = "trajectory_publisher: joint_states"
NAN = float("nan")


class Driver:
    """Goes where it is sent, and tells so every so many seconds."""

    def __init__(self, probe, every: float, *, speeds: str = "NaN", stamped: bool = True) -> None:
        self.probe, self.every, self.speeds, self.stamped = probe, every, speeds, stamped
        self.newest: JointTrajectory | None = None
        self.windows = 0
        self.telling = True
        probe.node.create_subscription(JointTrajectory, "panda_arm_controller/joint_trajectory", self._take, QoSProfile(depth=200))
        # Who moves the hand is there, and does what it does.
        probe.hear(JointTrajectory, "panda_hand_controller/joint_trajectory")
        self._states = probe.node.create_publisher(JointState, "joint_states", 10)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _take(self, message: JointTrajectory) -> None:
        self.newest, self.windows = message, self.windows + 1

    def where(self) -> list[float]:
        window = self.newest
        if window is None:
            return list(READY)
        into = seconds(now(self.probe)) - seconds(window.header.stamp)
        passed = [point for point in window.points if seconds(point.time_from_start) <= into]
        return list((passed or window.points[:1])[-1].positions)

    def _run(self) -> None:
        while not self._end.wait(self.every):
            if not self.telling:
                continue
            names = [*ARM, FINGER, "panda_finger_joint2"]
            message = joint_state(now(self.probe) if self.stamped else Time(), names, [*self.where(), 0.04, 0.04])
            unknown = [NAN] * len(names)
            message.velocity = unknown if self.speeds == "NaN" else []
            message.effort = unknown
            self._states.publish(message)

    def stop(self) -> None:
        self._end.set()
        self._thread.join()


@pytest.fixture
def driver(probe):
    drivers: list[Driver] = []

    def make(*arguments, **named) -> Driver:
        drivers.append(Driver(probe, *arguments, **named))
        return drivers[0]

    yield make
    for one in drivers:
        one.stop()


class Sway:
    """A policy: a chunk every 0.2 s."""

    def __init__(self, probe) -> None:
        self.probe, self.begun = probe, seconds(now(probe))
        self.chunks = probe.node.create_publisher(JointTrajectory, "action_chunk", 1)
        self.timer = probe.node.create_timer(0.2, self.propose)

    def propose(self) -> None:
        stamp = now(self.probe)
        way = lambda t: 0.25 * (1.0 - math.cos(1.2 * t))  # noqa: E731
        t = seconds(stamp) - self.begun
        rows = [[READY[0] + way(t + 0.1 * (k + 1)), *READY[1:], 0.04] for k in range(16)]
        self.chunks.publish(chunk(stamp, rows))


# Pauses of a busy machine are not what this is about, but for the age of joint states.
SETTINGS = {"robot_description_file": URDF, "armed_at_start": True, "max_clock_jump": 0.5, "max_tracking_error": 2.0}


@pytest.mark.parametrize(
    ("every", "told", "settings"),
    [
        (0.01, {"speeds": "NaN"}, {"max_joint_state_age": 0.5}),
        (0.1, {"speeds": "NaN"}, {}),
        (0.1, {"stamped": False, "speeds": "none"}, {"joint_state_stamps": "receipt"}),
    ],
    ids=["speeds and efforts that are NaN", "10 Hz", "no stamps"],
)
def test_it_moves_and_goes_on(start, probe, driver, every, told, settings):
    robot, health = driver(every, **told), Health(probe)
    start("trajectory_publisher", *ros(**SETTINGS, **settings))
    health.wait(STATES, OK, "fresh")
    policy = Sway(probe)
    try:
        probe.until(lambda: abs(robot.where()[0] - READY[0]) > 0.3, 10.0, what="a motion")
    finally:
        print(health.newest(MOTION), health.newest(STATES))
    # On and on: two seconds and more of windows, and nothing to complain of.
    enough = robot.windows + 200
    probe.until(lambda: robot.windows > enough, what="windows")
    assert health.newest(MOTION).level in (OK, WARN), health.newest(MOTION)
    assert "resume" not in health.newest(MOTION).message
    policy.timer.cancel()
