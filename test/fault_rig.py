"""What the tests of faults share: a publisher of trajectories in an ideal cell, and what holds of every window that it publishes."""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import yaml
from conftest import ROOT, Probe, Process
from graph_tools import ARM, FINGER, LATCHED, OK, URDF, Health, ros
from ideal_cell import HOME, MS, IdealCell, Told, Window
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from stalls import Stalls
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import SetBool, Trigger

MODES = {"wall time": None, "half speed": 0.5, "three times": 3.0}
# How far a command goes on while a joint's positions stay the same to the last bit, rad.
BLIND = 0.05
# Parameters of the publisher under test, seconds.
PERIOD, COMMITTED, WINDOW, MAX_OBSERVATION_AGE, MAX_TRACKING_ERROR = 0.01, 0.03, 0.06, 0.35, 0.2
# Beside the table stands a pillar, where the arm gets when joint 1 turns to the right.
PILLAR = {"centre": np.array([0.0, -0.5, 0.5]), "size": np.array([0.2, 0.4, 1.0])}


def limits() -> dict[str, np.ndarray]:
    """Of the arm's joints and the finger, as the files say it."""
    file = yaml.safe_load((ROOT / "config" / "joint_limits.yaml").read_text())["joint_limits"]
    urdf = {j.get("name"): j.find("limit") for j in ET.parse(URDF).getroot().iter("joint") if j.find("limit") is not None}
    names = [*ARM, FINGER]
    of = lambda key: np.array([file[name][key] for name in names])  # noqa: E731
    at = lambda key: np.array([float(urdf[name].get(key)) for name in names])  # noqa: E731
    return {
        "lower": at("lower"),
        "upper": at("upper"),
        "velocity": np.minimum(of("max_velocity"), at("velocity")),
        "acceleration": of("max_acceleration"),
        "jerk": of("max_jerk"),
    }


LIMITS = limits()


def shortest_stop(velocity: np.ndarray) -> float:
    """Seconds of the slowest joint's jerk-limited stop from a steady speed."""
    v, a, j = np.abs(velocity[:7]), LIMITS["acceleration"][:7], LIMITS["jerk"][:7]
    return float(np.where(v >= a * a / j, v / a + a / j, 2.0 * np.sqrt(v / j)).max())


def check_window(window: Window, joints: slice) -> None:
    """Finite, on the grid, at rest in the end, within every limit."""
    p, v = window.positions, window.velocities
    assert np.isfinite(p).all() and np.isfinite(v).all()
    assert window.times[0] == 0 and (np.diff(window.times) == 10 * MS).all()
    assert window.times[-1] >= 200 * MS
    assert (v[-1] == 0.0).all(), "every window ends at rest"
    of = {name: value[joints] for name, value in LIMITS.items()}
    assert (p >= of["lower"] - 1e-9).all() and (p <= of["upper"] + 1e-9).all()
    steps = [("velocity", v, 0.0), ("velocity", np.diff(p, axis=0) / PERIOD, 1e-11)]
    steps.append(("acceleration", np.diff(v, axis=0) / PERIOD, 1e-11))
    if joints.start == 0:
        steps.append(("jerk", np.diff(v, n=2, axis=0) / PERIOD**2, 1e-9))
    for name, value, rounding in steps:
        excess = np.abs(value).max(axis=0) - of[name] * (1.0 + 1e-6) - rounding
        assert (excess <= 0.0).all(), f"{name} exceeds its limit by {excess.max()}"


def check_seam(before: Window, after: Window) -> None:
    """Goes on where the one before led; or begins at rest, where the robot stands."""
    shift, off = divmod(after.stamp - before.stamp, 10 * MS)
    if shift >= 0 and off == 0:
        k = np.minimum(np.arange(3) + shift, len(before.positions) - 1)
        if np.array_equal(before.positions[k], after.positions[:3]) and np.array_equal(before.velocities[k], after.velocities[:3]):
            return
    assert before.rests_at() <= after.stamp or after.stamp < before.stamp, "a window breaks off the motion before it"
    assert (after.velocities[0] == 0.0).all() and np.array_equal(after.positions[0], after.positions[1])
    robot = after.robot[:7] if len(after.end) == 7 else after.robot[7:]
    assert np.abs(after.positions[0] - robot).max() <= 0.05, "a motion begins where the robot is not"


class Reaction(NamedTuple):
    """Seconds from a fault, by which the policy would have gone on to get faster, to the moment from which on the arm got slower, and to rest;
    and what the slowest joint alone would have needed for a stop from that speed."""

    brakes: float
    rest: float
    shortest: float

    def told(self) -> dict[str, float]:
        return {"brakes_after": self.brakes, "rest_after": self.rest, "shortest_stop": self.shortest}

    def check(self, noticed: float) -> None:
        """The fault is noticed within so many seconds. Then what is committed is followed; it stops along the path, on which a joint may need
        twice the time that it would need alone."""
        # From speeding up to slowing down takes a moment, too.
        assert self.brakes <= noticed + PERIOD + COMMITTED + 0.03
        assert self.rest <= max(self.brakes, 0.0) + 2.0 * self.shortest + 0.05


class Rig:
    """trajectory_publisher and an ideal cell around it, for all rows of one clock."""

    def __init__(self, mode: str, folder) -> None:
        self.factor, self.folder = MODES[mode], folder
        # In wall time a busy machine makes pauses by itself. What is a fault there is longer than such a pause.
        self.max_joint_state_age, self.max_clock_jump = (0.1, 0.1) if self.factor else (0.3, 0.3)
        self.probe = Probe()
        self.health = Health(self.probe)
        self.cell = IdealCell(self.factor)
        self.processes: dict[str, Process] = {}
        self.instruction = self.probe.node.create_publisher(String, "instruction", LATCHED)
        self.scale = self.probe.node.create_publisher(Float64, "speed_scale", 10)
        self.emergency = self.probe.node.create_publisher(Bool, "emergency_stop", 10)
        box = {"type": "box", "dimensions": PILLAR["size"].tolist()}
        obstacles = yaml.safe_load((ROOT / "config" / "panda_obstacles.yaml").read_text())
        obstacles["collision_objects"].append(
            {
                "id": "pillar",
                "frame_id": "world",
                "primitives": [box],
                "primitive_poses": [{"position": PILLAR["centre"].tolist()}],
            }
        )
        self.obstacles = folder / "obstacles.yaml"
        self.obstacles.write_text(yaml.safe_dump(obstacles))

    def run(self, executable: str, **parameters: object) -> Process:
        """Starts an executable, unless it runs."""
        running = self.processes.get(executable)
        if running is None or running.popen.poll() is not None:
            clock = {"use_sim_time": True} if self.factor else {}
            running = Process(self.folder, executable, *ros(**parameters, **clock))
            self.processes[executable] = running
        return running

    def end(self, executable: str) -> None:
        process = self.processes.pop(executable, None)
        if process and process.popen.poll() is None:
            # Not by force: the graph would take it for alive for many seconds, and the next one has the same name.
            process.stop()

    def close(self) -> None:
        # From here on nobody answers.
        self.cell.lockstep = False
        for name in list(self.processes):
            self.end(name)
        self.cell.stop()
        self.probe.node.destroy_node()

    def begin(self) -> None:
        """The robot stands at home, the publisher runs, is armed and knows of no fault."""
        cell = self.cell
        cell.mend()
        self.publisher = self.run(
            "trajectory_publisher",
            robot_description_file=URDF,
            obstacles_file=self.obstacles,
            max_observation_age=MAX_OBSERVATION_AGE,
            max_tracking_error=MAX_TRACKING_ERROR,
            max_joint_state_age=self.max_joint_state_age,
            max_clock_jump=self.max_clock_jump,
        )
        heard = len(cell.told)
        self.until(lambda: len(cell.told) > heard, "the publisher's first tick")
        cell.lockstep = self.factor is not None
        self.arm(False)
        self.idle()
        self.call("resume")
        self.set_scale(1.0)
        for name in cell.windows:
            cell.plug(name)
            self.probe.until(lambda name=name: self.probe.node.count_subscribers(f"{name}/joint_trajectory"), what=name)
            cell.windows[name].clear()
        cell.move_by_hand(HOME)
        # Put there at once it has jumped: for half a second its states have to agree before it is believed to be there.
        put = cell.t
        self.until(lambda: cell.t > put + 600 * MS, "half a second")
        self.arm(True)
        self.health.wait("trajectory_publisher: joint_states", OK)
        self.first = len(cell.told)
        self.mark()

    def check(self, unplugged: int = 0) -> None:
        """What holds of everything that was published; `unplugged` windows came to one controller only."""
        assert self.cell.crashed is None
        arm, hand = (list(self.cell.windows[name]) for name in self.cell.windows)
        for windows, joints in ((arm, slice(0, 7)), (hand, slice(7, 8))):
            for window in windows:
                check_window(window, joints)
            for before, after in zip(windows, windows[1:]):
                check_seam(before, after)
        stamps = [w.stamp for w in arm], [w.stamp for w in hand]
        alone = set(stamps[0]) ^ set(stamps[1])
        # Writers keep one window, so that a busy machine may lose one here and there; two that have different stamps are never fellows.
        lost = 0 if self.factor else len(arm) // 50
        assert arm and hand and len(alone) <= 1 + unplugged + lost, f"both controllers get the same stamps, but for {len(alone)}"

    # Doing and waiting.

    def until(self, condition: Callable[[], object], what: str) -> object:
        """Wait for what must happen. The deadline, by the wall, is only for what never does: times of reactions are asserted from stamps."""

        def met() -> object:
            assert self.cell.crashed is None, f"the cell has ended: {self.cell.crashed!r}"
            return condition()

        return self.probe.until(met, 60.0, what)

    def mark(self) -> None:
        """From here on it is counted how long the machine keeps us waiting."""
        self.marked = self.cell.t
        self.stalls = Stalls(os.getpid(), *(p.popen.pid for p in self.processes.values() if p.popen.poll() is None))

    @property
    def slack(self) -> float:
        """What a reaction may take longer than by itself, seconds. Nothing under /clock, which waits for the publisher; in wall time what the
        machine has kept us waiting since the fault, and a little for what is on its way between processes."""
        return 0.0 if self.factor else 0.03 + self.stalls.seconds()

    def strike(self, fault: Callable[[], object], known: Callable[[Told], bool], within: float = 0.02) -> tuple[int, int]:
        """Does what breaks something. Returns when that was, and the first tick that the publisher decided on it: what it does is to be counted from
        there on. From one to the other it may take as long as is said, and in wall time what the middleware's threads wait for on a busy machine; under
        /clock, which stands still meanwhile, three ticks."""
        self.mark()
        begun = self.cell.strike(fault, known)
        tick = self.told(begun, known).stamp
        took = (tick - begun) * 1e-9
        self.tell("known", after=took)
        assert took <= (3.5 * PERIOD if self.factor else within + 0.1 + self.slack), "the publisher learns of it late"
        return begun, tick

    def told(self, since: int, condition: Callable[[Told], bool]) -> Told:
        """Wait for the first tick since then of which the publisher tells such a thing."""
        found = lambda: next((t for t in self.cell.told[self.first :] if t.stamp >= since and condition(t)), None)  # noqa: E731
        return self.until(found, "a tick that tells it")

    def call(self, name: str) -> str:
        answer = self.probe.call(Trigger, f"trajectory_publisher/{name}", Trigger.Request())
        assert answer.success, answer.message
        return answer.message

    def arm(self, armed: bool) -> None:
        answer = self.probe.call(SetBool, "trajectory_publisher/arm", SetBool.Request(data=armed))
        assert answer.success, answer.message

    def set_scale(self, scale: float) -> int:
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=scale)
        request = SetParameters.Request(parameters=[Parameter(name="speed_scale", value=value)])
        result = self.probe.call(SetParameters, "trajectory_publisher/set_parameters", request).results[0]
        assert result.successful, result.reason
        return self.cell.t

    def idle(self) -> None:
        """Wait until the publisher has decided several times to send nothing."""
        begun = self.cell.t
        last = lambda: max([begun, *(w[-1].came for w in self.cell.windows.values() if w)])  # noqa: E731
        silent = lambda: len(self.cell.told) > 5 and self.cell.told[-5].stamp > last()  # noqa: E731
        self.until(silent, "silence")

    def silent_for(self, ticks: int) -> None:
        """So many decisions of the publisher bring no window."""
        cell, heard = self.cell, len(self.cell.told)
        # What was on its way comes within a tick or two.
        self.until(lambda: len(cell.told) >= heard + 3, "ticks")
        before = len(cell.arm)
        self.until(lambda: len(cell.told) >= heard + 3 + ticks, "ticks")
        assert len(cell.arm) == before

    def moves(self, speed: float = 0.5) -> None:
        self.until(lambda: np.abs(self.cell.v[:7]).max() > speed, f"motion at {speed} rad/s")

    def sways(self, speed: float = 0.5) -> None:
        """Follow a policy that sways; wait for speed."""
        self.cell.set(policy=sway(self.cell.t * 1e-9 + 0.1, self.cell.q))
        self.moves(speed)

    # Measuring.

    def bridged(self, since: int, upto: int) -> bool:
        """Whether the publisher never was away for longer than a window bridges: what is committed when it is back must not reach into the stop that
        it left behind. After a longer pause the arm has left the path for that stop, and finds back. Only the machine may be to blame for
        that, and never under /clock."""
        # What came of them: the machine may lose one on its way, too.
        sent = [w.stamp for w in self.cell.arm if since <= w.stamp <= upto]
        ticks = [t.stamp for t in self.cell.told if max(since, self.marked) <= t.stamp <= upto]
        longest = lambda times: max((b - a for a, b in zip(times, times[1:])), default=0) * 1e-9  # noqa: E731
        assert longest(ticks) <= 0.03 + self.slack, "the publisher makes pauses that the machine does not"
        bridged = longest(sent) <= WINDOW - COMMITTED + 1e-6
        assert bridged or not self.factor
        return bridged

    def tell(self, what: str, **seconds: float) -> None:
        print(what + ": " + ", ".join(f"{name.replace('_', ' ')} {1e3 * value:.0f} ms" for name, value in seconds.items()))

    def sent(self, upto: int | None = None) -> list[tuple[int, np.ndarray]]:
        """Times and velocities of the arm's windows at what cannot be changed any more when they are published: their second points."""
        return [(w.stamp + 10 * MS, w.velocities[1]) for w in self.cell.arm[:upto]]

    def followed(self, upto: int | None = None) -> list[tuple[int, np.ndarray]]:
        """The same, and the rest of the last window."""
        last = self.cell.arm[:upto][-1]
        return self.sent(upto) + [(last.stamp + int(t), v) for t, v in zip(last.times[2:], last.velocities[2:])]

    def reaction(self, fault: int, upto: int | None = None) -> Reaction:
        """How the arm came to rest after the fault, from what was followed of the published windows."""
        moving = [(t, v) for t, v in self.followed(upto) if t >= fault - 20 * MS and np.abs(v).max() > 0.0]
        if not moving:
            return Reaction(0.0, 0.0, 0.0)
        fastest, speed = max(moving, key=lambda tv: np.abs(tv[1]).max())
        return Reaction((fastest - fault) * 1e-9, (moving[-1][0] + 10 * MS - fault) * 1e-9, shortest_stop(speed))


def sway(begin: float, home: np.ndarray, amplitude: float = 0.4) -> Callable[[float], list[float]]:
    """To and fro with joints 1, 2 and 4, joint 1 at up to 0.8 rad/s, from rest at `begin`."""

    def at(t: float) -> list[float]:
        s = amplitude * (1.0 - math.cos(2.0 * max(t - begin, 0.0)))
        return [home[0] + s, home[1] + 0.3 * s, home[2], home[3] + 0.3 * s, *home[4:]]

    return at


def links(q: np.ndarray) -> np.ndarray:
    """Places of wrist, hand and fingertips, by the kinematics that the manufacturer publishes (modified Denavit-Hartenberg)."""
    table = [(0, 0, 0.333), (0, -1, 0), (0, 1, 0.316), (0.0825, 1, 0), (-0.0825, -1, 0.384), (0, 1, 0), (0.088, 1, 0)]
    pose, out = np.eye(4), []
    for (a, quarter, d), angle in zip(table, q):
        ca, sa = (0.0, float(quarter)) if quarter else (1.0, 0.0)
        c, s = math.cos(angle), math.sin(angle)
        step = np.array([[c, -s, 0, a], [s * ca, c * ca, -sa, -d * sa], [s * sa, c * sa, ca, d * ca], [0, 0, 0, 1]])
        pose = pose @ step
        out.append(pose[:3, 3])
    for along in (0.107, 0.107 + 0.1034):
        out.append((pose @ np.array([0, 0, along, 1]))[:3])
    return np.array(out[4:])
