"""An adversary of trajectory_publisher: a robot with controllers, drivers and a policy of its own, which may all lie, and a checker of what the robot did.

Nothing here is shared with the simulator, the bench or the other rigs. The robot is written for it (`URDF`). Its controllers follow the newest window by
cubics, and its true pose is what they follow, `LAG` later. Its drivers tell that pose 100 times a second of wall time, unless a play says otherwise.

All is judged afterwards, from what came and when it was *published* (the middleware's source stamp, taken by the publisher under test as it
writes), so that this process may be late as it likes: a window that left late counts, one that was taken late does not.
"""

from __future__ import annotations

import bisect
import math
import os
import random
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rclpy
from builtin_interfaces.msg import Duration, Time
from conftest import Process
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import JointState
from stalls import Stalls
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

MS = 1_000_000
SECOND = 1_000_000_000
# The adversary's own beat; joint states go out every second one.
BEAT = 5 * MS
# By how much the robot is behind what its controllers follow.
LAG = 8 * MS
# A leap: a step of the followed reference, over a control period of 1 ms, beyond so many times the limit; or a motion that begins farther than this
# from the true pose, rad (a gripper: m).
CONTROL, SHARE, START, GRIPPER_START = MS, 1.05, 5e-3, 1e-3
# What counts as having moved, rad, and the time for it, s.
MOVED, WITHIN = 0.05, 2.0
# By this strangers, who are the adversary as well, mark the stamps of what they send: so many nanoseconds of a millisecond.
STRANGER = 123_456
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
EVERY = QoSProfile(depth=1000)
NODE = "trajectory_publisher"
MOTION = f"{NODE}: motion"


class Joint(NamedTuple):
    """Of the adversary's robot: rad or m, and s."""

    name: str
    lower: float
    upper: float
    velocity: float
    acceleration: float
    jerk: float
    # How far the policy sways, and whether it turns without end.
    sway: float
    continuous: bool = False
    gripper: bool = False


FINGER = "jaw"
JOINTS = [
    Joint("turn", -2.6, 2.6, 1.5, 5.0, 100.0, 0.5),
    Joint("lift", -1.1, 1.1, 1.2, 4.0, 80.0, 0.3),
    Joint("bend", -2.0, 2.0, 2.0, 8.0, 160.0, -0.4),
    Joint("roll", -math.inf, math.inf, 2.5, 10.0, 200.0, 0.6, continuous=True),
    Joint(FINGER, 0.0, 0.04, 0.1, 1.0, 20.0, 0.0, gripper=True),
]
NAMES = [joint.name for joint in JOINTS]
VELOCITIES = np.array([joint.velocity for joint in JOINTS])
ENDLESS = [place for place, joint in enumerate(JOINTS) if joint.continuous]
ARM, HAND = "arm", "hand"
CONTROLLERS = {ARM: NAMES[:4], HAND: [FINGER]}
# Lengths of the robot, m: of both long links, from there to the finger, and how far out the finger is at 0.
UPPER, LOWER, REACH, ASIDE, BALL = 0.25, 0.2, 0.06, 0.01, 0.015

LIMIT = '<limit lower="{0.lower}" upper="{0.upper}" velocity="{0.velocity}" effort="50"/>'
URDF = """<robot name="adversary">
<link name="base"><collision><origin xyz="0 0 0.03"/><geometry><cylinder radius="0.03" length="0.06"/></geometry></collision></link>
<link name="column"/>
<link name="upper"><collision><origin xyz="0.125 0 0"/><geometry><box size="0.19 0.04 0.04"/></geometry></collision></link>
<link name="lower"><collision><origin xyz="0.1 0 0"/><geometry><box size="0.12 0.03 0.03"/></geometry></collision></link>
<link name="wrist"><collision><geometry><sphere radius="0.015"/></geometry></collision></link>
<link name="finger"><collision><geometry><sphere radius="0.015"/></geometry></collision></link>
<joint name="turn" type="revolute"><parent link="base"/><child link="column"/><origin xyz="0 0 0.1"/><axis xyz="0 0 1"/>{turn}</joint>
<joint name="lift" type="revolute"><parent link="column"/><child link="upper"/><origin xyz="0 0 0.1"/><axis xyz="0 1 0"/>{lift}</joint>
<joint name="bend" type="revolute"><parent link="upper"/><child link="lower"/><origin xyz="0.25 0 0"/><axis xyz="0 1 0"/>{bend}</joint>
<joint name="roll" type="continuous"><parent link="lower"/><child link="wrist"/><origin xyz="0.2 0 0"/><axis xyz="1 0 0"/>
<limit velocity="2.5" effort="50"/></joint>
<joint name="jaw" type="prismatic"><parent link="wrist"/><child link="finger"/><origin xyz="0.06 0.01 0"/><axis xyz="0 1 0"/>{jaw}</joint>
</robot>
"""


def urdf(**others: Joint) -> str:
    """The robot; with other limits for some joints, where it is a stranger's."""
    joints = {joint.name: joint for joint in JOINTS} | others
    return URDF.format(**{name: LIMIT.format(joint) for name, joint in joints.items() if not joint.continuous})


def limits_file() -> str:
    lines = [
        f"  {j.name}: {{has_velocity_limits: true, max_velocity: {j.velocity}, has_acceleration_limits: true, "
        f"max_acceleration: {j.acceleration}, has_jerk_limits: true, max_jerk: {j.jerk}}}"
        for j in JOINTS
    ]
    return "joint_limits:\n" + "\n".join(lines) + "\n"


def finger_at(pose: np.ndarray) -> np.ndarray:
    """Centre of the finger's ball, m: this robot's forward kinematics, written out."""
    turn, lift, bend, roll, jaw = pose
    out = ASIDE + jaw
    # In the frame of the lower link, then of the upper, then of the column.
    point = np.array([LOWER + REACH, out * math.cos(roll), out * math.sin(roll)])
    for angle, along in ((bend, UPPER), (lift, 0.0)):
        x, y, z = point
        point = np.array([math.cos(angle) * x + math.sin(angle) * z + along, y, -math.sin(angle) * x + math.cos(angle) * z])
    x, y, z = point
    return np.array([math.cos(turn) * x - math.sin(turn) * y, math.sin(turn) * x + math.cos(turn) * y, z + 0.2])


def stamp(nanos: int) -> Time:
    return Time(sec=nanos // SECOND, nanosec=nanos % SECOND)


def trajectory(observed: int, names: list[str], rows: np.ndarray, times: np.ndarray, velocities: np.ndarray | None = None) -> JointTrajectory:
    """A message with rows at times, s after its stamp."""
    message = JointTrajectory(joint_names=names)
    message.header.stamp = stamp(observed)
    for k, (row, at) in enumerate(zip(rows, times)):
        nanos = round(at * 1e9)
        point = JointTrajectoryPoint(positions=row.tolist(), time_from_start=Duration(sec=nanos // SECOND, nanosec=nanos % SECOND))
        if velocities is not None:
            point.velocities = velocities[k].tolist()
        message.points.append(point)
    return message


class Window:
    """A trajectory_msgs/JointTrajectory, from its bytes, and when it was published."""

    def __init__(self, data: bytes, published: int) -> None:
        self.published = published
        # Set where somebody else sent it.
        self.stranger = False
        seconds, nanos, frame = struct.unpack_from("<iII", data, 4)
        self.stamp = seconds * SECOND + nanos
        at = 16 + frame

        def count() -> int:
            nonlocal at
            at += -at % 4
            at += 4
            return struct.unpack_from("<I", data, at - 4)[0]

        self.names = []
        for _ in range(count()):
            length = count()
            self.names.append(data[at : at + length - 1].decode())
            at += length
        points, n = count(), len(self.names)
        assert points > 0, "a window without points"
        # Points are as long as each other, but that the first may lack padding in front.
        base = at - (at - 4) % 8
        layout = np.dtype(
            {
                "names": ["p", "n", "v", "empty", "sec", "nanosec"],
                "formats": [("<f8", n), "<u4", ("<f8", n), ("<u4", 2), "<i4", "<u4"],
                "offsets": [8, 8 + 8 * n, 16 + 8 * n, 16 + 16 * n, 24 + 16 * n, 28 + 16 * n],
                "itemsize": 32 + 16 * n,
            }
        )
        point = np.frombuffer(data, layout, points, base)
        assert (point["n"] == n).all() and (point["empty"] == 0).all(), "positions and velocities of every joint, and nothing else"
        self.p, self.v = point["p"], point["v"]
        self.times = point["sec"].astype(np.int64) * SECOND + point["nanosec"]
        moving = np.flatnonzero(np.abs(self.v).max(axis=1) > 0.0)
        last = min(moving[-1] + 1, points - 1) if len(moving) else 0
        # When its last motion is over.
        self.rests = self.stamp + int(self.times[last])

    def at(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions and velocities at these times, ns: cubics between points, its first point before it, its last one after it."""
        since = np.clip(np.asarray(times, dtype=np.int64) - self.stamp, 0, self.times[-1])
        if len(self.times) == 1:
            return np.repeat(self.p, len(since), axis=0), np.zeros((len(since), self.p.shape[1]))
        k = np.clip(np.searchsorted(self.times, since, side="right") - 1, 0, len(self.times) - 2)
        h = ((self.times[k + 1] - self.times[k]) * 1e-9)[:, None]
        u = ((since - self.times[k]) * 1e-9)[:, None] / h
        p, q, v, w = self.p[k], self.p[k + 1], self.v[k], self.v[k + 1]
        d = q - p
        b, c = 3 * d - h * (2 * v + w), -2 * d + h * (v + w)
        return p + u * (h * v + u * (b + u * c)), v + u * (2 * b + 3 * u * c) / h


class Controller:
    """Follows the newest window, from when it was published on, while it is active."""

    def __init__(self, name: str, places: list[int]) -> None:
        self.name, self.places = name, places
        self.published: list[int] = []
        self.windows: list[Window] = []
        # When it was switched off and on again, in turn; from when on older windows are void, as somebody has moved the robot.
        self.switched: list[int] = []
        self.void: list[int] = []

    def take(self, window: Window) -> None:
        k = bisect.bisect_right(self.published, window.published)
        self.published.insert(k, window.published)
        self.windows.insert(k, window)

    def active(self, t: int) -> bool:
        return bisect.bisect_right(self.switched, t) % 2 == 0

    def newest(self, t: int, now: int | None = None) -> Window | None:
        """What it follows at a time; for a robot that is behind, by what is known of it now."""
        k, now = bisect.bisect_right(self.published, t), t if now is None else now
        voids = bisect.bisect_right(self.void, now)
        if k == 0 or not self.active(now) or (voids and self.published[k - 1] <= self.void[voids - 1]):
            return None
        return self.windows[k - 1]


@dataclass
class Report:
    """What a driver is about to say of the joints."""

    source: int
    names: list[str]
    positions: np.ndarray
    velocities: np.ndarray | None
    stamp: int
    # Whether it is left out.
    silent: bool = False


class Sway:
    """A policy: from where the robot stands to and fro, at so much of each joint's speed. It looks anew whenever the robot has stood for a while."""

    def __init__(self, share: float = 0.6, sway: dict[str, float] | None = None) -> None:
        self.amplitude = np.array([(sway or {}).get(j.name, 0.0 if sway else j.sway) for j in JOINTS])
        most = [abs(a) / 2 / j.velocity for a, j in zip(self.amplitude, JOINTS)]
        self.pace = share / max(most)
        self.begun, self.base, self.stood = None, None, 0

    def rows(self, now: int, times: np.ndarray, cell: Cell) -> np.ndarray:
        moves = np.abs(cell.speed).max() > 1e-4
        if self.begun is None or (not moves and now - max(self.stood, self.begun) > SECOND // 4):
            self.begun, self.base = now, self.home(cell)
        if moves:
            self.stood = now
        phase = self.pace * (times - self.begun) * 1e-9
        return self.base + np.outer(0.5 * (1.0 - np.cos(np.maximum(phase, 0.0))), self.amplitude)

    def home(self, cell: Cell) -> np.ndarray:
        return np.clip(cell.pose, [j.lower for j in JOINTS], [j.upper for j in JOINTS])


class Cell:
    """The robot, its controllers, drivers and policy, on a thread of their own."""

    def __init__(self, pose: list[float], sources: int = 2, controllers: dict[str, list[str]] = CONTROLLERS) -> None:
        self.controllers = {name: Controller(name, [NAMES.index(j) for j in joints]) for name, joints in controllers.items()}
        self.places = sorted(place for c in self.controllers.values() for place in c.places)
        self.pose, self.speed = np.array(pose), np.zeros(len(JOINTS))
        self.log: list[tuple[int, np.ndarray]] = []
        # Time of those who move it by hand, ns: it stands still while the machine keeps this thread waiting, as nobody is told of the robot then.
        self.clock = 0
        # What a play may change. `lie` turns what the drivers are about to say into what they say; `hand` moves the robot by
        # `clock`, whatever its controllers want; `object` is how far the gripper can close, for what it holds; `stuck` are joints that do not follow.
        self.lie: Callable[[int, list[Report]], list[Report]] | None = None
        self.hand: Callable[[int, np.ndarray], np.ndarray] | None = None
        self.object = -math.inf
        self.stuck: set[int] = set()
        self.with_velocity = True
        self.resolution = self.noise = 0.0
        self.policy: Sway | None = None
        self.replan, self.horizon, self.look = 100 * MS, 16, 40 * MS
        self.wrap: Callable[[np.ndarray], np.ndarray] = lambda rows: rows
        self.crashed: BaseException | None = None
        # The longest that the machine has kept this thread from its beat, s, since it was set to 0.
        self.late = 0.0
        self.told: list[tuple[int, str, str]] = []
        self.chunks = 0
        self._next_chunk = 0
        self._jobs: list[Callable[[], None]] = []
        quiet = {"start_parameter_services": False, "enable_rosout": False}
        tag = time.monotonic_ns()
        self.nodes = {name: rclpy.create_node(f"{name}_{tag}", **quiet) for name in ("cell", "policy", *(f"driver{k}" for k in range(sources)))}
        cell = self.nodes["cell"]
        self.windows = {
            name: cell.create_subscription(JointTrajectory, f"{name}/joint_trajectory", lambda _: None, EVERY, raw=True) for name in self.controllers
        }
        self.diagnostics = cell.create_subscription(DiagnosticArray, "/diagnostics", lambda _: None, EVERY)
        self.proposals = self.nodes["policy"].create_publisher(JointTrajectory, "action_chunk", 10)
        self.drivers = [self.nodes[f"driver{k}"].create_publisher(JointState, "joint_states", 10) for k in range(sources)]
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        self._take()
        for node in self.nodes.values():
            node.destroy_node()

    def do(self, job: Callable[[], object]) -> object:
        """Does something between two beats, and waits for it."""
        done, out = threading.Event(), []
        self._jobs.append(lambda: (out.append(job()), done.set()))
        assert done.wait(5.0), f"the adversary has ended: {self.crashed!r}"
        return out[0]

    def _run(self) -> None:
        try:
            due, beat = time.time_ns(), 0
            while not self._end.is_set():
                while (now := time.time_ns()) < due:
                    time.sleep((due - now) * 1e-9)
                self.late = max(self.late, (now - due) * 1e-9)
                if now - due > BEAT:
                    due = now
                due += BEAT
                while self._jobs:
                    self._jobs.pop(0)()
                self._take()
                now = time.time_ns()
                self._follow(now)
                if beat % 2 == 0:
                    self._tell(now)
                if self.policy and now >= self._next_chunk:
                    self._next_chunk = now + self.replan
                    self._propose(now)
                beat += 1
        except BaseException as error:  # noqa: BLE001  # told by `do`
            self.crashed = error
            raise

    def _take(self) -> None:
        for name, subscription in self.windows.items():
            for data, info in taken(subscription):
                window = Window(data, info["source_timestamp"])
                window.stranger = window.stamp % MS == STRANGER
                self.controllers[name].take(window)
        for message, _ in taken(self.diagnostics):
            self.told += [(time.time_ns(), status.name, status.message) for status in message.status if status.name.startswith(NODE)]


    def _follow(self, now: int) -> None:
        pose = self.pose.copy()
        for controller in self.controllers.values():
            window = controller.newest(now - LAG, now)
            if window is not None and now - LAG >= window.stamp:
                pose[controller.places] = window.at(np.array([now - LAG]))[0][0]
        if self.log:
            # What turns without end goes to the nearest angle that is the same; and no robot does more than this, also where what it is told comes late.
            most = 1.5 * VELOCITIES * max((now - self.log[-1][0]) * 1e-9, 1e-3)
            off = pose - self.pose
            off[ENDLESS] = np.remainder(off[ENDLESS] + math.pi, math.tau) - math.pi
            pose = self.pose + np.clip(off, -most, most)
        for place in self.stuck:
            pose[place] = self.pose[place]
        if self.log:
            self.clock += min(now - self.log[-1][0], 2 * BEAT)
        if self.hand:
            pose = self.hand(self.clock, pose)
        pose[-1] = max(pose[-1], self.object)
        if self.log:
            self.speed = (pose - self.pose) / max((now - self.log[-1][0]) * 1e-9, 1e-3)
        self.pose = pose
        self.log.append((now, pose))

    def _tell(self, now: int) -> None:
        positions = np.round(self.pose / self.resolution) * self.resolution if self.resolution else self.pose
        if self.noise:
            positions = positions + np.array([random.gauss(0.0, self.noise) for _ in positions])
        reports = [Report(0, list(NAMES), positions.copy(), self.speed.copy() if self.with_velocity else None, now)]
        if self.lie:
            reports = self.lie(now, reports)
        for report in reports:
            self.say(report)

    def say(self, report: Report) -> None:
        """On this thread, or between beats."""
        if report.silent:
            return
        message = JointState(name=report.names, position=report.positions.tolist())
        if report.velocities is not None:
            message.velocity = report.velocities.tolist()
        message.header.stamp = stamp(report.stamp)
        self.drivers[report.source].publish(message)

    def _propose(self, now: int) -> None:
        observed = now - self.look
        step = 0.05
        times = step * np.arange(1, self.horizon + 1)
        rows = self.policy.rows(now, observed + (times * 1e9).astype(np.int64), self)
        joints = self.places
        self.proposals.publish(trajectory(observed, [NAMES[j] for j in joints], self.wrap(rows)[:, joints], times))
        self.chunks += 1

    def truth(self, t: int) -> np.ndarray:
        """The true pose at a time."""
        k = bisect.bisect_left(self.log, t, key=lambda entry: entry[0])
        if k == 0 or k == len(self.log):
            return self.log[min(k, len(self.log) - 1)][1]
        (a, p), (b, q) = self.log[k - 1], self.log[k]
        return p + (q - p) * ((t - a) / (b - a))

    def stood(self, t: int) -> np.ndarray:
        """The true pose at the beat before a time: what it does from there on is not in it."""
        return self.log[max(bisect.bisect_right(self.log, t, key=lambda entry: entry[0]) - 1, 0)][1]

    def newest_told(self, name: str = MOTION, since: int = 0) -> str:
        return next((text for at, who, text in reversed(self.told) if who == name and at >= since), "")

    def fastest(self, since: int) -> np.ndarray:
        """The greatest speed of each joint since then, over a twentieth of a second or more."""
        log = [entry for entry in self.log if entry[0] >= since]
        times, path = np.array([t for t, _ in log]) * 1e-9, np.array([pose for _, pose in log])
        return (np.abs(path[10:] - path[:-10]) / (times[10:] - times[:-10])[:, None]).max(axis=0)

    def travel(self, since: int, joints: slice = slice(0, 4)) -> float:
        """How far an arm joint has been from where it was then."""
        first = bisect.bisect_left(self.log, since, key=lambda entry: entry[0])
        path = np.array([pose[joints] for _, pose in self.log[first:]])
        return float(np.ptp(path, axis=0).max()) if len(path) else 0.0



def taken(subscription: object) -> Iterator[tuple]:
    """What has come, without the detour of an executor."""
    with subscription.handle:
        while (found := subscription.handle.take_message(subscription.msg_type, subscription.raw)) is not None:
            yield found


class Leap(NamedTuple):
    at: int
    text: str
    # Whether it is where the controller went from one window to another, and whose that was.
    switch: bool
    to_stranger: bool
    from_stranger: bool


def leaps(cell: Cell) -> list[Leap]:
    """All that the robot's controllers followed, step by step. From motion to motion: where the robot stood, or was moved by somebody, or its
    controller comes back, a motion begins, and that is judged by its distance from the true pose; everything between by its steps."""
    return sorted(leap for controller in cell.controllers.values() for leap in leaps_of(controller, cell))


def leaps_of(controller: Controller, cell: Cell) -> list[Leap]:
    found: list[Leap] = []
    joints = [JOINTS[place] for place in controller.places]
    windows, end = controller.windows, cell.log[-1][0]
    if not windows:
        return found
    # Times at which something changes: what is followed from there on is one window, or nothing.
    edges = sorted({*controller.published, *controller.switched, *controller.void, end})
    edges = [t for t in edges if windows[0].published <= t <= end]
    run: list[tuple[np.ndarray, np.ndarray]] = []
    switches: list[tuple[int, bool, bool]] = []
    before: Window | None = None
    last: np.ndarray | None = None

    def judge() -> None:
        """The steps of what was followed without a break."""
        if not run:
            return
        times, p = np.concatenate([t for t, _ in run]), np.concatenate([p for _, p in run])
        h = CONTROL * 1e-9
        for n, what, unit in ((1, "velocity", ""), (2, "acceleration", "2")):
            limit = np.array([getattr(j, what) for j in joints])
            steps = np.abs(np.diff(p, n=n, axis=0)) / h**n
            over = steps > SHARE * limit + 1e-6
            for place in np.flatnonzero(over.any(axis=0)):
                # Steps that hang together are one leap.
                where = np.flatnonzero(over[:, place])
                for group in np.split(where, np.flatnonzero(np.diff(where) > 5) + 1):
                    k = group[np.argmax(steps[group, place])]
                    at = int(times[k + n])
                    near = next((s for s in switches if times[group[0]] - CONTROL <= s[0] <= at + CONTROL), None)
                    text = (
                        f"joint '{joints[place].name}' steps at {steps[k, place] / limit[place]:.2f} times its {what} limit "
                        f"({steps[k, place]:.3f} rad/s{unit}, from {p[k, place]:.5f} to {p[k + n, place]:.5f})"
                    )
                    found.append(Leap(at, text, near is not None, bool(near and near[1]), bool(near and near[2])))
        run.clear()

    for begin, until in zip(edges, edges[1:]):
        window = controller.newest(begin)
        if window is None:
            judge()
            before, last = None, None
            continue
        grid = np.arange(-(-begin // CONTROL) * CONTROL, until, CONTROL)
        if window is not before:
            if before is not None:
                switches.append((begin, window.stranger, before.stranger))
            # A window that rests goes on with the rest before it, or is a step.
            begins = before is None or (before.rests <= begin < window.rests and not window.stranger)
            if begins or stands_there(window, begin, controller.places, cell):
                judge()
                found += begins_elsewhere(window, begin, joints, controller.places, cell, last)
            before = window
        if len(grid):
            p, _ = window.at(grid)
            run.append((grid, p))
            last = p[-1]
    judge()
    return found


def stands_there(window: Window, t: int, places: list[int], cell: Cell) -> bool:
    """Whether this window is at rest where the robot stands: however far off the command was before, the robot need not move."""
    (p,), (v,) = window.at(np.array([t]))
    true, before = cell.stood(t)[places], cell.stood(t - 2 * BEAT)[places]
    off = [math.remainder(d, math.tau) if place in ENDLESS else d for place, d in zip(places, p - true)]
    return bool(np.abs(off).max() <= START and (v == 0.0).all() and np.abs(true - before).max() < 2e-4)


def begins_elsewhere(window: Window, t: int, joints: list[Joint], places: list[int], cell: Cell, last: np.ndarray | None) -> Iterator[Leap]:
    first, true = window.at(np.array([t]))[0][0], cell.stood(t)[places]
    for k, joint in enumerate(joints):
        off = first[k] - true[k]
        if joint.continuous:
            off = math.remainder(off, math.tau)
        bound = START
        if joint.gripper:
            bound = GRIPPER_START
            # A hand that holds something is not where it was commanded.
            if last is not None:
                off = first[k] - last[k]
        if abs(off) > bound:
            text = f"joint '{joint.name}': a motion begins {1e3 * off:+.1f} mrad (mm) from where the robot is (at {first[k]:.4f}, it is at {true[k]:.4f})"
            yield Leap(t, text, True, window.stranger, False)
    moving = np.abs(cell.stood(t) - cell.stood(t - 2 * BEAT))[places] / (2e-9 * BEAT)
    for k in np.flatnonzero(moving > 0.1):
        if not joints[k].gripper:
            yield Leap(t, f"joint '{joints[k].name}': a motion begins while the robot is moved at {moving[k]:.2f} rad/s", True, window.stranger, False)


@dataclass
class Play:
    """One play: a publisher, an adversary around it, and what was seen."""

    number: int
    seed: int
    lie: bool
    folder: Path
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(1000 * self.number + self.seed)
        self.process: Process | None = None
        self.cell: Cell | None = None
        self.node = rclpy.create_node(f"operator_{time.monotonic_ns()}", start_parameter_services=False, enable_rosout=False)
        self.asked = 0
        self.excused: Callable[[Leap], bool] = lambda _: False
        self.begun = time.time_ns()

    # Setting up.

    def robot(self, pose: list[float] | None = None, **options: object) -> Cell:
        r = self.rng
        home = [r.uniform(-0.6, 0.6), r.uniform(-0.4, 0.1), r.uniform(-0.2, 0.6), r.uniform(-2.0, 2.0), r.uniform(0.005, 0.035)]
        self.cell = Cell(pose or home, **options)
        self.cell.resolution = r.choice([0.0, 0.0, 1e-4])
        return self.cell

    def launch(self, armed: bool = True, described: bool = True, **parameters: object) -> Process:
        """Starts the publisher, with the adversary's robot, and waits until it hears and is heard."""
        cell, folder = self.cell, self.folder
        (folder / "robot.urdf").write_text(urdf())
        (folder / "limits.yaml").write_text(limits_file())
        lists = [f"      {name}: [{', '.join(NAMES[place] for place in c.places)}]" for name, c in cell.controllers.items()]
        grippers = [FINGER] if HAND in cell.controllers else []
        (folder / "robot.yaml").write_text(
            f"{NODE}:\n  ros__parameters:\n    joint_limits_file: {folder / 'limits.yaml'}\n    controllers:\n" + "\n".join(lists) + "\n"
            + (f"    gripper_joints: [{', '.join(grippers)}]\n" if grippers else "")
        )
        values = {"armed_at_start": armed, "max_joint_state_age": 0.3, "max_clock_jump": 0.1, "max_observation_age": 0.4}
        if described:
            values["robot_description_file"] = folder / "robot.urdf"
        arguments = ["--ros-args", "--params-file", str(folder / "robot.yaml")]
        for name, value in (values | parameters).items():
            arguments += ["-p", f"{name}:={str(value).lower() if isinstance(value, bool) else value}"]
        self.process = Process(folder, NODE, *arguments)
        self.wait(self.is_up, 20.0, "the publisher is there")
        return self.process

    def is_up(self) -> bool:
        cell = self.cell
        assert self.process.popen.poll() is None, f"the publisher has ended:\n{self.process.log}"
        topics = all(self.node.count_publishers(f"{name}/joint_trajectory") for name in cell.controllers)
        return topics and cell.proposals.get_subscription_count() > 0 and cell.drivers[0].get_subscription_count() > 0

    def end(self, how: str = "stop") -> None:
        """Ends the publisher."""
        if self.process and self.process.popen.poll() is None:
            if how == "kill":
                self.process.popen.kill()
                self.process.popen.wait()
            else:
                self.process.stop()
        self.process = None

    # Doing and waiting.

    def now(self) -> int:
        return time.time_ns()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
        assert self.cell is None or self.cell.crashed is None, f"the adversary has ended: {self.cell.crashed!r}"

    def meets(self, condition: Callable[[], object], seconds: float) -> bool:
        """Whether a condition comes true in so many seconds, and what the machine takes on top of that."""
        stalls, end = Stalls(os.getpid(), *([self.process.popen.pid] if self.process else [])), time.monotonic() + seconds
        while not condition():
            # All threads of both wait at once where the machine is too small: what they wait together is more than goes by.
            if time.monotonic() > end and time.monotonic() > end + min(stalls.seconds(), 2.0 * seconds):
                return False
            self.sleep(0.004)
        return True

    def wait(self, condition: Callable[[], object], seconds: float, what: str) -> None:
        assert self.meets(condition, seconds), f"{what}: not within {seconds} s"

    def call(self, service: str, kind: type = Trigger, **fields: object) -> tuple[bool, str]:
        client = self.node.create_client(kind, f"{NODE}/{service}")
        end = time.monotonic() + 20.0
        while not client.service_is_ready():
            assert time.monotonic() < end, f"no service {service}"
            time.sleep(0.005)
        future = client.call_async(kind.Request(**fields))
        while not future.done():
            assert time.monotonic() < end, f"no answer of {service}"
            rclpy.spin_once(self.node, timeout_sec=0.01)
        self.node.destroy_client(client)
        return future.result().success, future.result().message

    def arm(self, armed: bool = True) -> None:
        self.call("arm", SetBool, data=armed)

    def policy(self, policy: Sway | None = None) -> None:
        """From now on chunks come; without a policy no more."""
        self.cell.do(lambda: vars(self.cell).update(policy=policy, _next_chunk=0))

    def silence(self) -> None:
        """No more chunks; waits until the robot stands."""
        self.policy(None)
        self.rests()

    def rests(self, seconds: float = 4.0) -> None:
        def still() -> bool:
            windows = [c.windows[-1] for c in self.cell.controllers.values() if c.windows]
            return all(w.rests + LAG + 20 * MS < self.now() and w.published + 100 * MS < self.now() for w in windows)

        self.wait(still, seconds, "the robot comes to rest")

    # Judging.

    def fail(self, text: str) -> None:
        self.failures.append(text)

    def moves(self, what: str, since: int | None = None, within: float = WITHIN) -> bool:
        """The robot moves within 2 s, or after the service that the diagnostics ask for."""
        since = since or self.now()
        calls = 0
        deadline = within - (self.now() - since) * 1e-9
        while True:
            begun = self.now()

            def done() -> bool:
                # What was told before a call may come after it.
                asks = any(word in self.cell.newest_told(since=begun + SECOND if calls else since) for word in ("~/resume", "~/arm"))
                return self.cell.travel(max(since, begun)) > MOVED or (asks and calls < 3)

            met = self.meets(done, deadline)
            if self.cell.travel(max(since, begun)) > MOVED:
                took = (self.now() - begun) * 1e-9
                self.notes.append(f"{what}: moves after {took:.2f} s" + (f", asked for {calls} times" if calls else ""))
                return True
            if not met:
                self.fail(f"{what}: the robot does not move; it is told: {self.cell.newest_told()!r}")
                return False
            text = self.cell.newest_told(since=since)
            self.asked += 1
            calls += 1
            self.notes.append(f"asked: {text}")
            self.call("resume") if "~/resume" in text else self.arm()
            deadline = WITHIN

    def stays(self, what: str, seconds: float, most: float = 0.01) -> bool:
        """The robot stands, for so long."""
        since = self.now()
        self.sleep(seconds)
        if (far := self.cell.travel(since)) > most:
            self.fail(f"{what}: the robot moves by {far:.3f} rad")
            return False
        return True

    def finish(self) -> None:
        try:
            self.end()
        finally:
            if self.cell:
                self.cell.stop()
            self.node.destroy_node()
        if self.cell is None:
            return
        found = [leap for leap in leaps(self.cell) if not self.excused(leap)]
        for leap in found[:6]:
            self.fail(f"LEAP at {(leap.at - self.begun) * 1e-9:.3f} s: {leap.text}")
        if len(found) > 6:
            self.fail(f"LEAP: and {len(found) - 6} more")

    def told(self) -> str:
        kind = "lie" if self.lie else "control"
        return "\n".join([f"number {self.number}, seed {self.seed} ({kind}): " + ("; ".join(self.notes)), *(f"  {text}" for text in self.failures)])


def play(number: int, seed: int, scene: Callable[[Play], None], folder: Path, lie: bool = True) -> Play:
    """Plays once. A play in which the machine has kept the adversary itself from its robot for long (its drivers were silent, which is another fault than
    the one that is played) is played again, but what it has shown of leaps counts."""
    for attempt in range(3):
        run = folder / f"{number}-{seed}-{lie}-{attempt}"
        run.mkdir()
        one = Play(number, seed, lie, run)
        try:
            scene(one)
        except AssertionError as error:
            one.fail(f"{type(error).__name__}: {error}")
        finally:
            one.finish()
        leapt = [text for text in one.failures if text.startswith("LEAP")]
        void = one.failures and not leapt and one.cell and one.cell.late > 0.08
        if not void:
            break
        print(f"void: the machine was away for {one.cell.late:.2f} s in\n{one.told()}", file=sys.stderr)
    return one
