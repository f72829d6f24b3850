"""A robot cell for the tests of faults: it moves exactly as it is commanded, and everything in it can be broken.

It has the clock (the wall's, or one that it publishes on /clock at some real-time factor), two controllers that follow the published windows to
the letter, joint states, a camera, and a policy that proposes chunks. All of that runs on one thread, in steps of 5 ms of ROS time;
every window that is published is kept, with the time at which it came.

Under /clock the publisher is in lock-step with the cell: where a tick of it is due, time goes on only after it has told of that tick on
~/filter_state, and time stands still for what is on its way. However busy the machine is, every tick is then made at its time and hears of the
cell as it was a step or two before.
"""

from __future__ import annotations

import queue
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from graph_tools import ARM, FINGER, READY, chunk, image, joint_state
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from trajectory_msgs.msg import JointTrajectory

BEAT = 5_000_000
MS = 1_000_000
HOME = [*READY, 0.04]


@dataclass
class Body:
    """A robot: its joints, which of them each controller has, where they stand at first, and its camera."""

    joints: list[str]
    controllers: dict[str, slice]
    home: list[float]
    camera: str
    # Joints that are told as well, and stand where the joint at this place does.
    twins: dict[str, int] = field(default_factory=dict)


PANDA = Body(
    [*ARM, FINGER],
    {"panda_arm_controller": slice(0, 7), "panda_hand_controller": slice(7, 8)},
    HOME,
    "front",
    {"panda_finger_joint2": 7},
)
# Deep enough that nothing is lost while this process is late.
EVERY = QoSProfile(depth=400)
# The publisher's tick.
TICK = 10_000_000
# How long, by the wall, time stands still under lock-step for a message that is on its way to the publisher, before each of the next ticks until
# the publisher has told that it knows. Nobody can see a message on its way; that it takes more than seconds is a fault.
ON_ITS_WAY = (0.05, 0.5, 2.0)
# A publisher that has not answered a tick after so many seconds is dead.
ANSWER = 30.0
# As ros2_control and simulators publish it.
CLOCK = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


def time_msg(nanos: int) -> Time:
    return Time(sec=nanos // 10**9, nanosec=nanos % 10**9)


class Told:
    """What the publisher told of a tick on ~/filter_state."""

    def __init__(self, message: JointState) -> None:
        self.stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.values = dict(zip(message.name, message.position))

    def __getitem__(self, name: str) -> float:
        return self.values[name]

    @property
    def newest_chunk(self) -> float:
        """Observation time of the newest chunk that had come, ns; no number before the first."""
        return self.stamp - self["chunk_age_s"] * 1e9


class Window:
    """A trajectory message, read from its bytes: at 300 a second the usual way takes too long."""

    def __init__(self, data: bytes, came: int) -> None:
        self.came = came
        # Where the robot stood then; filled in by the cell.
        self.robot = np.zeros(0)
        sec, nanosec, frame = struct.unpack_from("<iII", data, 4)
        self.stamp = sec * 10**9 + nanosec
        at = 16 + frame
        up = lambda at, to: at + (-(at - 4)) % to  # noqa: E731  # alignment counts from the end of the 4-byte encapsulation

        def number(at: int) -> tuple[int, int]:
            at = up(at, 4)
            return struct.unpack_from("<I", data, at)[0], at + 4

        names, at = number(at)
        self.names = []
        for _ in range(names):
            length, at = number(at)
            self.names.append(data[at : at + length - 1].decode())
            at += length
        count, at = number(at)
        self.positions = np.empty((count, names))
        self.velocities = np.empty((count, names))
        self.times = np.empty(count, dtype=np.int64)
        for k in range(count):
            n, at = number(at)
            assert n == names, f"point {k} has {n} positions"
            at = up(at, 8)
            self.positions[k] = np.frombuffer(data, "<f8", n, at)
            n, at = number(at + 8 * n)
            assert n == names, f"point {k} has {n} velocities"
            at = up(at, 8)
            self.velocities[k] = np.frombuffer(data, "<f8", n, at)
            a, at = number(at + 8 * n)
            e, at = number(at)
            assert a == e == 0, "neither accelerations nor efforts"
            s, ns = struct.unpack_from("<iI", data, at)
            self.times[k] = s * 10**9 + ns
            at += 8

    def at(self, t: int) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity at a time: the cubic between two points, rest after the last one."""
        period = self.times[1]
        k, rest = divmod(max(t - self.stamp, 0), period)
        if k >= len(self.times) - 1:
            return self.positions[-1], self.velocities[-1]
        h, u = period * 1e-9, rest / period
        p, q, v, w = self.positions[k], self.positions[k + 1], self.velocities[k], self.velocities[k + 1]
        d = q - p
        b, c = 3 * d - h * (2 * v + w), -2 * d + h * (v + w)
        return p + u * (h * v + u * (b + u * c)), v + u * (2 * b + 3 * u * c) / h

    def rests_at(self) -> int:
        """When its last motion is over."""
        moving = np.flatnonzero(np.abs(self.velocities).max(axis=1) > 0.0)
        return self.stamp + int(self.times[min(moving[-1] + 1, len(self.times) - 1)] if len(moving) else 0)

    @property
    def end(self) -> np.ndarray:
        return self.positions[-1]


class IdealCell:
    """See above. `factor`: seconds of /clock in a second; None for wall time."""

    def __init__(self, factor: float | None, body: Body = PANDA) -> None:
        self.factor, self.body = factor, body
        self.node = rclpy.create_node(f"cell_{time.monotonic_ns()}")
        self.t = 1_000 * 10**9 if factor else time.time_ns()
        self.windows: dict[str, list[Window]] = {name: [] for name in body.controllers}
        self.q = np.array(body.home)
        self.v = np.zeros(len(body.home))
        # What may be broken, and is whole again after `mend`.
        self.stuck: set[int] = set()
        # What the encoders of stuck joints tremble by, rad.
        self.tremble = 0.0
        self.joints = True
        self.camera = False
        self.policy: Callable[[float], list[float]] | None = None
        self.replan = 200 * MS
        self.poison: list[float] = []
        # When each of the poisoned chunks left, and the last good one.
        self.poisoned: list[int] = []
        self.proposed = 0
        # Every ~/filter_state since the last `begin` of the rig.
        self.told: list[Told] = []
        # Whether the clock waits for the publisher, see above.
        self.lockstep = False
        # Whether somebody else who must keep up with the clock does not.
        self.behind: Callable[[], bool] | None = None
        # What the publisher is to learn of next, and for how long the clock stands still for that.
        self._to_learn: Callable[[Told], bool] | None = None
        self._patience: Iterator[float] = iter(())
        self._active: dict[str, Window | None] = dict.fromkeys(body.controllers)
        self._jobs: queue.Queue[Callable[[], None]] = queue.Queue()
        self._next_chunk = 0
        self._subscriptions = {}
        for name in body.controllers:
            self._listen(name)
        self._filter = self.node.create_subscription(
            JointState, "trajectory_publisher/filter_state", lambda _: None, EVERY
        )
        # Chunks of everybody, for the observation time of the newest: the cell's own come here, too.
        self._proposals = self.node.create_subscription(JointTrajectory, "action_chunk", lambda _: None, EVERY)
        self.observed = 0
        self._clock = self.node.create_publisher(Clock, "/clock", CLOCK) if factor else None
        self._states = self.node.create_publisher(JointState, "joint_states", 10)
        self._images = self.node.create_publisher(Image, f"{body.camera}/image_raw", 5)
        self._chunks = self.node.create_publisher(JointTrajectory, "action_chunk", 10)
        self._end = threading.Event()
        self.crashed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # What a test does. Everything that touches the cell's entities happens on its thread.

    def do(self, job: Callable[[], object]) -> object:
        """Do something between two steps, and wait for it."""
        done, out = threading.Event(), []

        def run() -> None:
            out.append(job())
            done.set()

        self._jobs.put(run)
        assert done.wait(5.0), f"the cell has ended: {self.crashed!r}"
        return out[0]

    def set(self, **changes: object) -> int:
        """Change what is broken; returns the time of it."""

        def change() -> int:
            for name, value in changes.items():
                assert hasattr(self, name), name
                setattr(self, name, value)
            return self.t

        return self.do(change)

    def strike(self, fault: Callable[[], object], known: Callable[[Told], bool]) -> int:
        """Does what breaks something, and returns the time of it. Under lock-step the clock gives the publisher a moment to learn of it, until what
        it tells of a tick is `known`."""

        def struck() -> int:
            fault()
            self._to_learn, self._patience = known, iter(ON_ITS_WAY)
            return self.t

        return self.do(struck)

    def mend(self) -> None:
        self.set(stuck=set(), tremble=0.0, joints=True, behind=None, _to_learn=None, policy=None, poison=[], replan=200 * MS, _next_chunk=0)

    def move_by_hand(self, positions: list[float]) -> None:
        """The robot stands somewhere else, and its controllers hold it there."""

        def move() -> None:
            self._active = dict.fromkeys(self.body.controllers)
            self.q, self.v = np.array(positions, dtype=float), np.zeros(len(positions))

        self.do(move)

    def leap(self, seconds: float) -> tuple[int, int]:
        """The clock leaps; returns the time after it, and how many windows had come to the arm."""
        assert self.factor, "the wall clock does not leap"

        def jump() -> tuple[int, int]:
            self.t += round(seconds * 1e9)
            self._next_chunk = 0
            return self.t, len(self.arm)

        return self.do(jump)

    def unplug(self, name: str) -> None:
        """A controller goes away; to be done between two steps."""
        self.node.destroy_subscription(self._subscriptions.pop(name))
        self._active[name] = None

    def plug(self, name: str) -> None:
        self.do(lambda: self._listen(name) if name not in self._subscriptions else None)

    def propose(self, rows: list[list[float]]) -> int:
        """A chunk of these rows, observed now; returns its time."""

        def send() -> int:
            self._chunks.publish(chunk(time_msg(self.t), rows))
            return self.t

        return self.do(send)

    @property
    def tick(self) -> int:
        """Time of the newest tick of the publisher; 0 before the first."""
        return self.told[-1].stamp if self.told else 0

    @property
    def arm(self) -> list[Window]:
        return self.windows[next(iter(self.body.controllers))]

    def stop(self) -> None:
        self._end.set()
        self._thread.join()
        self.node.destroy_node()

    # Its thread.

    def _listen(self, name: str) -> None:
        self._subscriptions[name] = self.node.create_subscription(
            JointTrajectory, f"{name}/joint_trajectory", lambda _: None, EVERY, raw=True
        )

    def _run(self) -> None:
        try:
            next_beat, beat = time.monotonic(), 0
            spacing = BEAT * 1e-9 / (self.factor or 1.0)
            while not self._end.is_set():
                next_beat += spacing
                left = next_beat - time.monotonic()
                if left > 0:
                    time.sleep(left)
                elif left < -4 * spacing:
                    next_beat = time.monotonic()  # a late simulator is slow; it does not leap
                self._wait_for_others()
                self.t = self.t + BEAT if self.factor else time.time_ns()
                # Only where joint states and chunks follow at once.
                while beat % 2 == 0 and not self._jobs.empty():
                    self._jobs.get()()
                self._step(beat)
                beat += 1
        except BaseException as error:  # noqa: BLE001  # told by whoever asks next
            self.crashed = error
            raise

    def _wait_for_others(self) -> None:
        """Before the clock goes on."""
        if not self.lockstep:
            return
        if self._to_learn:
            if self._to_learn(self.told[-1]):
                self._to_learn = None
            elif self.t + BEAT >= self.told[-1].stamp + TICK:
                time.sleep(next(self._patience, 0.0))
        if self.joints and self.told[-1]["joint_state_age_s"] > 2.5e-9 * TICK:
            # Joint states get there late: give them time.
            time.sleep(0.02)
        if self.behind:
            # Not for good: it may need time to go on itself.
            self._wait(lambda: not (self.behind and self.behind()), 0.2)

    def _wait_for_tick(self) -> None:
        """As long as a tick of the publisher is due that it has not told of."""
        if not self.lockstep:
            return
        # As the ticker of our nodes has it: due a period after the one before, or when the clock went back by more than two.
        due = lambda: self.t >= self.tick + TICK or self.t < self.tick - 2 * TICK  # noqa: E731
        self._wait(lambda: not due(), ANSWER)
        assert not (due() and self.lockstep), f"the publisher has not told of its tick at {self.t * 1e-9} s"

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        end, again = time.monotonic() + seconds, time.monotonic() + 0.05
        while not condition() and self.lockstep and not self._end.is_set():
            now = time.monotonic()
            if now > end:
                return
            if now > again:
                # Best effort may lose it; the same time once more moves nothing.
                self._clock.publish(Clock(clock=time_msg(self.t)))
                again = now + 0.05
            time.sleep(0.0005)
            self._hear()

    def _hear(self) -> None:
        for name, subscription in list(self._subscriptions.items()):
            for message in taken(subscription):
                window = Window(message, self.t)
                window.robot = self.q.copy()
                self.windows[name].append(window)
                self._active[name] = window
        self.told += map(Told, taken(self._filter))
        for message in taken(self._proposals):
            self.observed = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec

    def _step(self, beat: int) -> None:
        t = self.t
        self._hear()
        if self._clock:
            self._clock.publish(Clock(clock=time_msg(t)))
            self._wait_for_tick()
        if beat % 2:
            return
        self._follow(t)
        if self.joints:
            twins = list(self.body.twins.values())
            state = joint_state(time_msg(t), [*self.body.joints, *self.body.twins], [*self.q, *self.q[twins]])
            state.velocity = [*self.v, *self.v[twins]]
            self._states.publish(state)
        if self.camera and beat % 6 == 0:
            self._images.publish(self.picture(t))
        if self.policy and t >= self._next_chunk:
            self._next_chunk = t + self.replan
            rows = [self.policy(t * 1e-9 + 0.1 * (k + 1)) for k in range(8)]
            if self.poison:
                rows[3][2] = self.poison.pop(0)
                self.poisoned.append(t)
            else:
                self.proposed = t
            self._chunks.publish(chunk(time_msg(t), rows))

    def picture(self, t: int) -> Image:
        """What the camera sees."""
        return image(time_msg(t), 8, 6)

    def _follow(self, t: int) -> None:
        wanted, speed = self.q.copy(), np.zeros(len(self.q))
        for name, joints in self.body.controllers.items():
            window = self._active[name]
            # A window of the future (the clock went back) moves nothing.
            if window and t >= window.stamp:
                wanted[joints], speed[joints] = window.at(t)
        for joint in self.stuck:
            # To and fro, so that it stays where it is.
            wanted[joint], speed[joint] = self.q[joint] + self.tremble, 0.0
        self.tremble = -self.tremble
        self.q, self.v = wanted, speed


def taken(subscription: object) -> list:
    """What has come, without the detour of an executor, which takes too long for this many messages."""
    messages = []
    with subscription.handle:
        while (found := subscription.handle.take_message(subscription.msg_type, subscription.raw)) is not None:
            messages.append(found[0])
    return messages
