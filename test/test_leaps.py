"""The arm must not leap, whatever it is told about the robot and whoever else speaks: twelve kinds of lies, played through the graph.

`trajectory_publisher` runs as it is; the robot, its controllers, drivers and policy are the adversary's own (see `leap_rig`). A leap is a step of what the
controllers follow beyond 1.05 times a joint's velocity or acceleration limit, or a motion that begins more than 5 mrad from the true pose. Without
a lie it moves; after the lie it moves again, within 2 s or after the service that the diagnostics ask for.

Each play is a function of a seed, which chooses among cases of its kind. `EFM_LEAPS=20` plays twenty of each, with and without the lie; or by itself:
`python3 test/test_leaps.py [--plays N] [--seed S] [NUMBER ...]`.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from conftest import BIN
from leap_rig import (
    ARM,
    ASIDE,
    BALL,
    FINGER,
    HAND,
    JOINTS,
    LATCHED,
    LOWER,
    MS,
    NAMES,
    REACH,
    SECOND,
    STRANGER,
    UPPER,
    WITHIN,
    Cell,
    Play,
    Report,
    Sway,
    finger_at,
    play,
    trajectory,
    urdf,
)
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool, Float64, String
from trajectory_msgs.msg import JointTrajectory

PLAYS = int(os.environ.get("EFM_LEAPS", "2"))
TIMES = 0.05 * np.arange(1, 17)
CONTROLS = PLAYS if "EFM_LEAPS" in os.environ else 1


def false(report: Report, offsets: dict[int, float], **changes: object) -> Report:
    positions = report.positions.copy()
    for place, off in offsets.items():
        positions[place] += off
    return Report(**(vars(report) | {"positions": positions} | changes))


def some_offsets(scene: Play) -> dict[int, float]:
    """0.01 to 1 rad, of one arm joint or two."""
    r = scene.rng
    places = r.sample(range(4), r.choice([1, 1, 1, 2]))
    return {place: r.choice([-1, 1]) * 10 ** r.uniform(-2.0, 0.0) for place in places}


def nodes_told(scene: Play, words: list[str], since: int, what: str) -> None:
    """The diagnostics have told of it, in one of their lines."""
    told = lambda: any(at >= since and all(word in text for word in words) for at, _, text in scene.cell.told)  # noqa: E731
    if not scene.meets(told, 1.5):
        lines = {text for at, _, text in scene.cell.told if at >= since}
        scene.fail(f"{what}: no line of the diagnostics holds {words}; there are {sorted(lines)}")


def one_false_states(scene: Play) -> None:
    """False states at a start and in motion, two publishers of a joint, a driver that is started anew."""
    r = scene.rng
    kinds = ["several", "two", "single", "alternating", "single moving", "two alike", "restarted", "two moving", "restarted moving"]
    kinds += ["named twice", "drifted and held", "a twin while silent", "named twice moving"]
    kind = kinds[scene.seed % len(kinds)]
    moving = kind.endswith("moving")
    begin = "moving" if moving else r.choice(["first", "armed later", "after a rest", "armed anew"])
    if kind in ("drifted and held", "a twin while silent"):
        # Before the first motion nothing would contradict it.
        begin = "after a rest"
    scene.notes.append(f"{kind}, {begin}")
    cell = scene.robot()
    scene.launch(armed=begin != "armed later")
    scene.sleep(0.3)
    if begin in ("after a rest", "armed anew", "moving"):
        scene.policy(Sway())
        scene.moves("before", within=3.0)
    if begin in ("after a rest", "armed anew"):
        scene.silence()
    if begin == "armed anew":
        scene.arm(False)
        scene.arm(True)
    offsets = some_offsets(scene)
    near = r.uniform(-0.025, 0.015) if r.random() < 0.8 else r.uniform(-0.12, 0.1)
    if begin == "armed later" or moving:
        near = r.uniform(-0.02, 0.05)
    least, many = (r.choice([2, 3, 5]), 0) if kind == "several" else (1, 0)
    lasts = r.uniform(0.7, 1.2) if kind.startswith(("two", "alternating", "named")) else 0.25
    if kind == "two alike":
        offsets = {0: 0.0}
    state = {"said": 0, "ended": 0, "beat": 0}
    if kind.startswith("two"):
        # They are there before the start: nobody is asked to know of what was not yet said.
        near = r.uniform(-0.5, -0.2)
    if kind == "drifted and held":
        # The chunk comes while it is held: it has drifted for as long as it takes by then.
        near = r.uniform(-0.4, -0.1)
    early = max(abs(off) for off in offsets.values()) / 0.4 if kind == "drifted and held" else 0.0
    begun = time.time_ns() + round((max(0.06, 0.06 - near) + early) * SECOND)
    at = begun + round(near * SECOND)

    def lie(now: int, reports: list[Report]) -> list[Report]:
        report = reports[0]
        state["beat"] += 1
        if now < at - round(early * SECOND) or state["ended"]:
            return reports if not kind.startswith("restarted") or not state["ended"] else [false(report, {}, source=1)]
        if kind.startswith("restarted"):
            # One that ends and one that comes, with a gap or none.
            if now >= at + gap:
                state["ended"] = now
            return [false(report, {}, silent=True)]
        if kind.startswith("two"):
            if now >= at + round(lasts * SECOND):
                state["ended"] = now
                return reports
            pair = [report, false(report, offsets, source=1)]
            return pair if state["beat"] % 2 else pair[::-1]
        if kind.startswith("named twice"):
            if now >= at + round(lasts * SECOND):
                state["ended"] = now
                return reports
            place = next(iter(offsets))
            again = [report.positions, [report.positions[place] + offsets[place]]]
            velocities = np.concatenate([report.velocities, [0.0]])
            return [Report(0, [*report.names, report.names[place]], np.concatenate(again), velocities, report.stamp)]
        if kind == "drifted and held":
            # There and back at a speed that any joint can do.
            way = max(abs(off) for off in offsets.values()) / 0.4
            since = (now - at) * 1e-9 + way
            part = min(since / way, 1.0, (way + 0.6 - since) / way + 1.0)
            if part <= 0.0:
                state["ended"] = now
                return reports
            return [false(report, {place: part * off for place, off in offsets.items()})]
        if kind == "a twin while silent":
            if now >= at + round(lasts * SECOND):
                state["ended"] = now
                return reports
            return [false(report, offsets, source=1)]
        if kind == "alternating":
            if now >= at + round(lasts * SECOND):
                state["ended"] = now
                return reports
            return [false(report, offsets)] if state["beat"] % 2 else reports
        state["said"] += 1
        if state["said"] >= least:
            state["ended"] = now
        return [false(report, offsets)] if least > 1 or r.random() < 0.5 else [report, false(report, offsets)]

    gap = round(r.choice([0.0, 0.05, 0.15]) * SECOND)
    if scene.lie:
        cell.lie = lie
    if not moving:
        policy = Sway()
        cell.do(lambda: vars(cell).update(policy=policy, _next_chunk=begun))
    if begin == "armed later":
        scene.sleep(max(0.0, (begun - time.time_ns()) * 1e-9))
        scene.arm()
    if scene.lie:
        scene.wait(lambda: state["ended"], 5.0, "the end of the lie")
        scene.notes.append(f"off by {offsets}")
        if kind in ("two", "two moving"):
            nodes_told(scene, [NAMES[next(iter(offsets))], cell.nodes["driver0"].get_name(), cell.nodes["driver1"].get_name()], at, "two publishers")
    scene.moves("after", since=state["ended"] or begun, within=2.0 if scene.lie else 3.0)


def push(scene: Play, target: dict[int, float], speed: float = 0.3) -> None:
    """By hand, evenly, to these positions."""
    cell = scene.cell
    begun, begin = cell.clock, cell.pose.copy()
    most = max(abs(to - begin[place]) for place, to in target.items())
    until = begun + round(max(most / speed, 0.05) * SECOND)

    def hand(now: int, pose: np.ndarray) -> np.ndarray:
        part = min((now - begun) / (until - begun), 1.0)
        pose = begin.copy()
        for place, to in target.items():
            pose[place] = begin[place] + part * (to - begin[place])
        return pose

    cell.hand = hand
    scene.wait(lambda: cell.clock > until + 30 * MS, 30.0, "the robot is moved")
    let_go(cell)


def let_go(cell: Cell, controllers: tuple[str, ...] = (ARM,)) -> None:
    def job() -> None:
        cell.hand = None
        for name in controllers:
            cell.controllers[name].void.append(time.time_ns())

    cell.do(job)


def two_outside_of_limits(scene: Play) -> None:
    """The robot stands beyond a limit, by 1e-6 to 0.2 rad, at a start."""
    r = scene.rng
    pose = [r.uniform(-0.5, 0.5), r.uniform(-0.4, 0.1), r.uniform(-0.2, 0.6), 0.0, 0.02]
    kind = ["at the start", "pushed there", "two joints", "the hand too"][scene.seed % 4]
    beyond = 10 ** r.uniform(-6.0, math.log10(0.2)) if scene.seed % 3 else r.uniform(0.01, 0.05)
    places = r.sample(range(3), 2 if kind == "two joints" else 1)
    inside, outside = {}, {}
    for place in places:
        side = r.choice([-1, 1])
        limit = JOINTS[place].upper if side > 0 else JOINTS[place].lower
        inside[place], outside[place] = limit - 0.1 * side, limit + side * beyond * r.uniform(0.5, 1.0)
    scene.notes.append(f"{kind}, {', '.join(f'{NAMES[p]} at {(outside if scene.lie else inside)[p]:.6f}' for p in places)}")
    sway = {NAMES[p]: -0.4 * math.copysign(1.0, outside[p]) for p in places}
    if kind != "pushed there":
        for place in places:
            pose[place] = outside[place] if scene.lie else inside[place]
        if kind == "the hand too":
            pose[-1] = 0.04 + r.choice([1e-6, 1e-4, 9e-4]) if scene.lie else 0.03
    cell = scene.robot(pose)
    cell.resolution = 0.0
    lower, upper = np.array([j.lower for j in JOINTS]), np.array([j.upper for j in JOINTS])
    cell.wrap = lambda rows: np.clip(rows, lower, upper)
    scene.launch()
    if kind == "pushed there":
        scene.policy(Sway(sway={"roll": 0.5}))
        scene.moves("before", within=3.0)
        scene.silence()
        push(scene, outside if scene.lie else inside, speed=1.5)
        scene.sleep(0.2)
    since = time.time_ns()
    scene.policy(Sway(sway=sway))
    if not scene.lie:
        scene.moves("within limits", since, within=3.0)
        return
    scene.sleep(1.2)
    if cell.travel(since) > 0.05:
        scene.notes.append("came in by itself")
        return
    scene.notes.append("refused: " + cell.newest_told())
    scene.policy(None)
    if cell.travel(since) > 0.0:
        scene.rests()
    push(scene, inside)
    since = time.time_ns()
    scene.policy(Sway(sway=sway))
    scene.moves("back inside", since)


def three_turns(scene: Play) -> None:
    """A continuous joint over the seam; drivers and policies that wrap."""
    r = scene.rng
    side = r.choice([-1, 1])
    far = r.uniform(0.02, 0.2)
    roll = side * (math.pi - far) if scene.lie else side * r.uniform(0.2, 1.2)
    tau, half = math.tau, math.pi
    to_half = lambda q: (q + half) % tau - half  # noqa: E731
    toggles = lambda q: to_half(q) if time.time_ns() // (SECOND // 3) % 2 else q % tau  # noqa: E731
    driver = [to_half, lambda q: q % tau, lambda q: q, to_half, toggles][scene.seed % 5]
    mixed = lambda q: to_half(q) + tau * np.array([r.choice([-1, 0, 0, 1]) for _ in q])  # noqa: E731
    policy = [to_half, to_half, mixed, lambda q: q][(scene.seed // 2) % 4]
    turns = 0 if driver is not to_half else r.choice([0, 0, 1, -1])
    cell = scene.robot([0.0, -0.2, 0.2, roll + turns * tau, 0.02])
    cell.resolution = 0.0

    def wraps(_now: int, reports: list[Report]) -> list[Report]:
        for report in reports:
            report.positions[3] = driver(report.positions[3])
        return reports

    def rows_wrapped(rows: np.ndarray) -> np.ndarray:
        rows = rows.copy()
        rows[:, 3] = policy(rows[:, 3])
        return rows

    if scene.lie:
        cell.lie, cell.wrap = wraps, rows_wrapped
    amplitude = 0.7
    scene.notes.append(f"roll begins at {cell.pose[3]:.3f}, driver {scene.seed % 5}, policy {(scene.seed // 2) % 4}")
    scene.launch()
    for part, toward in enumerate((side, side, -side)):
        begun, stood = time.time_ns(), float(cell.pose[3])
        scene.policy(Sway(sway={"roll": toward * amplitude, "turn": 0.2}))
        if not scene.moves(f"part {part}", begun, within=3.0):
            return
        if scene.asked:
            scene.fail("an angle over the seam is no fault")
            return
        # To about the far side.
        scene.meets(lambda: abs(cell.pose[3] - stood) > 0.9 * amplitude, 1.5)
        scene.silence()
        path = np.array([pose[3] for t, pose in cell.log if t >= begun])
        if np.abs(path - stood).max() > amplitude + 0.1:
            scene.fail(f"roll turns the long way: by {np.abs(path - stood).max():.2f} rad where the policy asks for {amplitude}")
        if np.abs(path - stood).max() < 0.5 * amplitude:
            scene.fail(f"roll does not go over the seam: it turns by {np.abs(path - stood).max():.2f} rad where the policy asks for {amplitude}")


def post_file(scene: Play, centre: np.ndarray) -> Path:
    file = scene.folder / "obstacles.yaml"
    file.write_text(
        "collision_objects:\n  - id: post\n    frame_id: world\n    primitives: [{type: sphere, dimensions: [0.01]}]\n"
        f"    primitive_poses: [{{position: [{', '.join(str(float(c)) for c in centre)}]}}]\n"
    )
    return file


def four_fingers_of_others(scene: Play) -> None:
    """A post inside an open finger that has its own driver, and is in no controller."""
    r, kind = scene.rng, ["open", "unknown", "open the other way", "open upwards", "opens on the way", "opens in silence"][scene.seed % 6]
    scene.notes.append(kind)
    roll, joint, way = {"open the other way": (math.pi, 0, -1), "open upwards": (math.pi / 2, 1, -1)}.get(kind, (0.0, 0, 1))
    amplitude = 0.5
    begin = np.array([r.uniform(-0.5, 0.5), 0.0 if joint == 0 else 0.1, 0.0, roll, 0.0])
    # The farthest that the policy goes, with the finger closed: the post is 27 mm from the finger there, farther on.
    end = begin.copy()
    end[joint] += way * amplitude
    closed = finger_at(end)
    gap = BALL + 0.01 + r.uniform(0.025, 0.03)
    nudged = end.copy()
    nudged[joint] += way * gap / math.hypot(UPPER + LOWER + REACH, ASIDE)
    post = finger_at(nudged)
    assert abs(np.linalg.norm(post - closed) - gap) < 1e-3
    opening = r.uniform(0.036, 0.04)
    begin[4] = opening if scene.lie and not kind.startswith("opens") else 0.0
    cell = scene.robot(begin.tolist(), controllers={ARM: NAMES[:4]})
    cell.resolution = 0.0
    apart, state = r.random() < 0.5 or kind in ("unknown", "opens in silence"), {"known": kind != "unknown" or not scene.lie}

    def own_driver(_now: int, reports: list[Report]) -> list[Report]:
        whole = reports[0]
        if not apart:
            return reports
        part = lambda places, source: Report(source, [NAMES[p] for p in places], whole.positions[places], whole.velocities[places], whole.stamp)  # noqa: E731
        return [part([0, 1, 2, 3], 0), *([part([4], 1)] if state["known"] else [])]

    cell.lie = own_driver
    # A joint that nobody here moves is taken to stand for as long as it may be silent: as long as it is by default.
    scene.launch(obstacles_file=post_file(scene, post), **({"max_joint_state_age": 0.1} if kind == "opens in silence" else {}))
    begun = time.time_ns()
    policy = Sway(share=0.5, sway={NAMES[joint]: way * amplitude})
    scene.policy(policy)
    jaw = {"to": 0.0}

    def hand(now: int, pose: np.ndarray) -> np.ndarray:
        # It opens at 30 mm/s: the padding of 10 mm is for what moves as fast as that while the arm stops (docs/safety.md, "Joints that nobody here moves").
        pose[4] = cell.pose[4] + float(np.clip(jaw["to"] - cell.pose[4], -0.0005, 0.00015))
        return pose

    if not scene.lie:
        scene.moves("with a closed finger", begun, within=3.0)
        scene.meets(lambda: cell.travel(begun) > 0.95 * amplitude, 3.0)
        if cell.travel(begun) < 0.95 * amplitude:
            scene.fail(f"with a closed finger it gets only {cell.travel(begun):.2f} rad far")
        return
    if kind == "unknown":
        if scene.stays("the finger is unknown", 1.0):
            nodes_told(scene, [FINGER], begun, "an unknown joint")
    elif kind.startswith("opens"):
        scene.moves("before", begun, within=3.0)
        state["known"] = kind != "opens in silence"
        jaw["to"] = opening
        cell.hand = hand
        scene.sleep(2.0)
    else:
        scene.sleep(2.5)
    poses = [pose for t, pose in cell.log if t >= begun]
    distance = lambda pose: float(np.linalg.norm(finger_at(pose) - post)) - BALL - 0.01  # noqa: E731
    # How far the arm itself brings the finger to the post while they are closer than this: it is not the arm's that the finger opens.
    least, pressed = math.inf, 0.0
    for before, pose in zip(poses, poses[1:]):
        least = min(least, distance(pose))
        if distance(pose) < (0.002 if kind.startswith("opens") else 0.005):
            pressed += max(0.0, distance(np.append(before[:4], pose[4])) - distance(pose))
    scene.notes.append(f"least distance to the post {1e3 * least:.1f} mm, {1e3 * pressed:.2f} mm of them pressed")
    if pressed > 0.001:
        scene.fail(f"LEAP into the post: {1e3 * least:.1f} mm from it, by {1e3 * pressed:.2f} mm of the arm's")
    # The finger closes, or is known at last.
    state["known"] = True
    jaw["to"] = 0.0
    cell.hand = hand
    since = time.time_ns()
    # Away: it may have come to rest so close that it would go on into the post.
    scene.policy(Sway(share=0.5, sway={NAMES[joint]: -0.3 * way}))
    scene.moves("with a closed finger", since)


def five_parts_apart(scene: Play) -> None:
    """Arm and hand tell of themselves apart, each with the stamps of its own measurements, which are late."""
    r, kind = scene.rng, ["arm late", "hand late", "jitter", "out of order"][scene.seed % 4]
    cell = scene.robot()
    cell.resolution = 0.0
    delay = {
        "arm late": (r.uniform(0.06, 0.09), 0.0),
        "hand late": (0.0, r.uniform(0.06, 0.09)),
        "jitter": (0.09, 0.09),
        "out of order": (0.05, 0.09),
    }[kind]
    scene.notes.append(f"{kind}, arm {delay[0]:.3f} s, hand {delay[1]:.3f} s")
    lies = {"on": scene.lie}

    def apart(now: int, reports: list[Report]) -> list[Report]:
        out = []
        for source, places in enumerate(([0, 1, 2, 3], [4])):
            late = delay[source] * (r.random() if kind in ("jitter", "out of order") else 1.0) if lies["on"] else 0.0
            t = now - round(late * SECOND)
            measured = cell.truth(t)[places]
            speed = (measured - cell.truth(t - 10 * MS)[places]) / 0.01
            out.append(Report(source, [NAMES[p] for p in places], measured, speed, t))
        return out

    cell.lie = apart
    # Tight enough that 60 ms of the arm's motion are beyond it.
    scene.launch(max_tracking_error=0.05)
    begun = time.time_ns()
    scene.policy(Sway(share=0.9))
    scene.moves("apart", begun, within=3.0)
    scene.sleep(1.5)
    for _, who, text in cell.told:
        if "~/resume" in text:
            scene.fail(f"a late stamp is no fault, but it is told: {text}")
            break
    lies["on"] = False
    scene.moves("in time again")


def six_frozen_or_moved(scene: Play) -> None:
    """States that stand still with fresh stamps while the robot moves; and a robot that is moved by somebody and does not say how fast."""
    r = scene.rng
    kind = ["frozen", "moved, no velocity", "arm frozen", "moved, velocity zero", "frozen from the start", "one encoder dead", "looped"][scene.seed % 7]
    scene.notes.append(kind)
    cell = scene.robot([-1.0, 0.0, 0.1, r.uniform(-1, 1), 0.02])
    share = r.uniform(0.4, 0.8)
    policy = Sway(share=share, sway={"turn": 1.8, "lift": -0.2})
    state: dict[str, object] = {"frozen": None}

    def freezes(_now: int, reports: list[Report]) -> list[Report]:
        report = reports[0]
        if not state.get("on"):
            state["frozen"] = None
        elif state["frozen"] is None:
            state["frozen"] = report
        if kind == "one encoder dead":
            return [false(report, {0: state["frozen"].positions[0] - report.positions[0]})] if state["frozen"] else reports
        if kind == "looped":
            if not state.get("on"):
                state["loop"] = [*state.get("loop", []), report][-5:]
                return reports
            state["loop"] = [*state["loop"][1:], state["loop"][0]]
            return [false(state["loop"][0], {}, stamp=report.stamp)]
        places = [[0, 1, 2, 3], [4]] if kind == "arm frozen" else [[0, 1, 2, 3, 4]]
        out = []
        for source, these in enumerate(places):
            said = state["frozen"] if state["frozen"] is not None and source == 0 else report
            out.append(Report(source, [NAMES[p] for p in these], said.positions[these], said.velocities[these], report.stamp))
        return out

    if kind.startswith("moved"):
        cell.with_velocity = kind != "moved, no velocity"
        if kind == "moved, velocity zero":
            cell.lie = lambda _now, reports: [false(report, {}, velocities=np.zeros(len(JOINTS))) for report in reports]
        scene.launch()
        scene.sleep(0.4)
        if scene.lie:
            begin, begun = cell.pose.copy(), cell.clock
            pace = {r.choice([0, 3]): r.choice([-1, 1]) * r.uniform(0.5, 1.2)}

            def hand(now: int, pose: np.ndarray) -> np.ndarray:
                pose = begin.copy()
                for place, speed in pace.items():
                    pose[place] += speed * (now - begun) * 1e-9
                return pose

            cell.do(lambda: setattr(cell, "hand", hand))
            scene.sleep(r.uniform(0.1, 0.3))
            scene.policy(policy)
            scene.sleep(r.uniform(0.4, 0.8))
            let_go(cell)
        else:
            scene.policy(policy)
        scene.moves("let go", within=2.0 if scene.lie else 3.0)
        return
    cell.lie = freezes
    scene.launch()
    since = time.time_ns()
    if kind == "frozen from the start" and scene.lie:
        scene.sleep(0.4)
        state["on"] = True
        since, stood = time.time_ns(), cell.pose.copy()
        scene.policy(policy)
        fast = lambda: True  # noqa: E731
    else:
        scene.policy(policy)
        scene.moves("before", since, within=3.0)
        fast = lambda: abs(cell.speed[0]) > 0.95 * share * JOINTS[0].velocity  # noqa: E731
    if not scene.lie:
        return
    scene.wait(fast, 4.0, "speed")
    state["on"] = True
    frozen, stood = time.time_ns(), cell.pose.copy()
    scene.sleep(1.4)
    state["on"] = False
    path = [(t, pose) for t, pose in cell.log if t >= frozen]
    speeds = [(b[1][0] - a[1][0]) / ((b[0] - a[0]) * 1e-9) for a, b in zip(path, path[1:])]
    if kind == "frozen from the start":
        # How far it gets at all: 0.05 rad, what is under way by then, and a stop from that speed.
        blind, most = max(abs(pose[0] - stood[0]) for _, pose in path), 0.2
    else:
        # How far it goes on until it is at 0.8 of its speed: 0.05 rad, and a quarter of a second for the robot's lag, what is on its way, what is
        # committed, and a deceleration that builds up by the jerk limit.
        top = max(speeds[:5])
        braked = next((k for k, v in enumerate(speeds) if v < 0.8 * top), len(speeds))
        blind, most = abs(path[min(braked, len(path) - 1)][1][0] - stood[0]), 0.05 + 0.25 * top
    scene.notes.append(f"{blind:.3f} rad blind, at most {most:.3f}")
    if blind > most:
        scene.fail(f"LEAP in the dark: the states are frozen, and the robot goes on for {blind:.3f} rad; {most:.3f} is what it takes to notice")
    scene.moves("after")


class Grasp(Sway):
    """It holds something: the hand is commanded closed."""

    def rows(self, now: int, times: np.ndarray, cell: Cell) -> np.ndarray:
        rows = super().rows(now, times, cell)
        rows[:, -1] = self.grip
        return rows

    grip = 0.0


def seven_grip(scene: Play) -> None:
    """A fault of the arm while the hand holds something, then resume: the hand must not let go."""
    r, kind = scene.rng, ["stuck", "lost", "stop", "pushed at rest", "false state"][scene.seed % 5]
    scene.notes.append(kind)
    cell = scene.robot()
    cell.object = r.uniform(0.015, 0.025)
    cell.pose[-1] = 0.035
    scene.launch(max_joint_state_age=0.2)
    policy = Grasp()
    policy.grip = r.uniform(0.0, 0.008)
    scene.policy(policy)
    scene.moves("before", within=3.0)
    hand = cell.controllers[HAND]
    closed = lambda: hand.windows and abs(hand.windows[-1].p[-1][0] - policy.grip) < 1e-4 and hand.windows[-1].rests < time.time_ns()  # noqa: E731
    scene.wait(closed, 4.0, "the hand is closed")
    scene.sleep(0.1)
    if not scene.lie:
        scene.silence()
        scene.policy(policy)
        scene.moves("again", within=3.0)
        return
    if kind == "stuck":
        cell.stuck = {0}
        scene.meets(lambda: "~/resume" in cell.newest_told(), 3.0)
        scene.rests()
        # It is where its controllers would not have it: it holds there.
        cell.do(lambda: (cell.controllers[ARM].void.append(time.time_ns()), cell.stuck.clear()))
    elif kind == "lost":
        cell.lie = lambda _now, reports: [false(report, {}, silent=True) for report in reports]
        scene.sleep(r.uniform(0.4, 0.8))
        cell.lie = None
    elif kind == "stop":
        scene.call("stop")
        scene.rests()
        scene.call("resume")
    elif kind == "pushed at rest":
        scene.silence()
        push(scene, {0: cell.pose[0] + r.choice([-1, 1]) * r.uniform(0.08, 0.3)}, speed=r.uniform(0.2, 2.0))
        scene.policy(policy)
    else:
        said = []
        cell.lie = lambda _now, reports: [false(report, {1: 0.6}) if not said.append(1) and len(said) < 3 else report for report in reports]
        scene.sleep(0.3)
        cell.lie = None
    scene.moves("after")


def eight_late(scene: Play) -> None:
    """The publisher is kept from its processor in motion, for 20 to 130 ms at any moment; and floods, in which its decisions take long."""
    r, kind = scene.rng, ["pauses and a flood of states", "pauses and a flood of chunks", "pauses", "flood of states", "pauses, and it minds them little"][scene.seed % 5]
    scene.notes.append(kind)
    cell = scene.robot()
    scene.launch(max_clock_jump=0.3 if "little" in kind else r.choice([0.05, 0.1]))
    begun = time.time_ns()
    scene.policy(Sway(share=0.8))
    scene.moves("before", begun, within=3.0)
    if not scene.lie:
        scene.sleep(1.0)
        scene.moves("on")
        return
    pid, end = scene.process.popen.pid, threading.Event()
    # States of thousands of joints that are not ours, of two sorts in turn: all names are looked up anew each time.
    strange = [
        serialize_message(JointState(name=[f"{sort}_{k}_of_somebody_else" for k in range(10_000)], position=[0.0] * 10_000)) for sort in ("left", "right")
    ]

    def flood() -> None:
        while not end.is_set():
            if "chunks" in kind:
                policy = cell.policy
                now = time.time_ns() - 30 * MS
                rows = policy.rows(now, now + (TIMES * 1e9).astype(np.int64), cell)
                message = serialize_message(trajectory(now, [NAMES[j] for j in cell.places], rows[:, cell.places], TIMES))
                for _ in range(20):
                    cell.proposals.publish(message)
            else:
                strange.reverse()
                cell.drivers[1].publish(strange[0])
            time.sleep(0.005)

    thread = threading.Thread(target=flood, daemon=True)
    if "flood" in kind:
        thread.start()
    try:
        for _ in range(14):
            scene.sleep(r.uniform(0.08, 0.15))
            if "pauses" in kind:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(r.uniform(0.02, 0.13))
                os.kill(pid, signal.SIGCONT)
    finally:
        os.kill(pid, signal.SIGCONT)
        end.set()
        if "flood" in kind:
            thread.join()
    scene.moves("after")


def nine_others(scene: Play) -> None:
    """Somebody else on a controller's topic, and a second source of chunks that stamps further ahead."""
    r, kind = scene.rng, ["often", "chunks", "once", "is only there", "before the start", "chunks first", "policy anew", "on the hand's topic"][scene.seed % 8]
    scene.notes.append(kind)
    cell = scene.robot()
    stranger = cell.nodes["driver1"]
    other = None
    topic, places = (HAND, [4]) if "hand" in kind else (ARM, [0, 1, 2, 3])
    if kind.startswith("chunks"):
        ahead = stranger.create_publisher(JointTrajectory, "action_chunk", 10)
    elif scene.lie and kind != "policy anew":
        other = stranger.create_publisher(JointTrajectory, f"{topic}/joint_trajectory", 10)
    scene.launch()
    policy = Sway(sway={"turn": 0.5, "lift": 0.3})

    def sends(offset: float) -> int:
        now = time.time_ns() // MS * MS + STRANGER
        rows = np.repeat(cell.pose[None, places], 2, axis=0)
        rows[:, 0] += offset if topic == ARM else 0.1 * offset
        other.publish(trajectory(now, [NAMES[p] for p in places], rows, np.array([0.0, 0.4]), np.zeros(rows.shape)))
        return now

    if kind.startswith("chunks"):
        begun = time.time_ns()
        scene.policy(policy)
        scene.moves("before", begun, within=3.0)
        stood = float(cell.pose[2])
        since, end = time.time_ns(), time.time_ns() + SECOND
        goal = stood + r.choice([-1, 1]) * r.uniform(0.4, 1.0)
        while scene.lie and time.time_ns() < end:
            rows = np.repeat(cell.pose[None, :], len(TIMES), axis=0)
            rows[:, 2] = goal
            now = time.time_ns() + round(r.uniform(0.02, 0.045) * SECOND)
            ahead.publish(trajectory(now, NAMES, rows, TIMES))
            scene.sleep(0.1 if kind == "chunks" else 0.03)
        far = max((abs(pose[2] - stood) for t, pose in cell.log if t >= since), default=0.0)
        if far > 0.03:
            scene.fail(f"LEAP: another source of action chunks takes the arm: 'bend' goes {far:.2f} rad towards its goal")
        if scene.lie:
            nodes_told(scene, [stranger.get_name()], since, "a second source of chunks")
        stranger.destroy_publisher(ahead)
        scene.moves("after")
        return
    first = 0
    offset = r.choice([0.0, 0.0, 1.0, -1.0]) * r.uniform(0.005, 0.05)
    if kind == "before the start" and scene.lie:
        scene.sleep(0.3)
        first = sends(offset)
        scene.sleep(0.1)
    begun = time.time_ns()
    scene.policy(policy)
    if kind == "before the start" and scene.lie:
        for _ in range(10):
            sends(offset if r.random() < 0.5 else 0.0)
            scene.sleep(0.05)
    else:
        scene.moves("before", begun, within=3.0)
    if kind == "policy anew":
        # It ends and begins again, as another sender.
        since = time.time_ns()

        def anew() -> None:
            cell.nodes["policy"].destroy_publisher(cell.proposals)
            cell.proposals = stranger.create_publisher(JointTrajectory, "action_chunk", 10)

        cell.do(anew) if scene.lie else None
        scene.sleep(r.uniform(0.0, 0.5))
        scene.moves("after", within=WITHIN)
        if scene.asked:
            scene.fail("a policy that begins anew is no fault")
        return
    if scene.lie and kind in ("often", "once", "on the hand's topic"):
        first = sends(offset)
        for _ in range(1 if kind == "once" else 20):
            scene.sleep(r.choice([0.02, 0.05]))
            if kind != "once":
                sends(offset)
    over = time.time_ns()
    if first:
        # What the stranger does to the robot is his; that our windows are thrown between, once they could be told, is ours.
        known = first + 60 * MS
        scene.excused = lambda leap: leap.to_stranger or (not leap.switch and leap.at <= over + 500 * MS and strangers(cell, topic, leap.at)) or first <= leap.at <= known
        nodes_told(scene, [f"{topic}/joint_trajectory", stranger.get_name()], first, "another sender")
        stranger.destroy_publisher(other)
    elif scene.lie:
        nodes_told(scene, [stranger.get_name()], begun, "another publisher")
    scene.moves("after")


def strangers(cell: Cell, topic: str, t: int) -> bool:
    window = cell.controllers[topic].newest(t)
    return window is not None and window.stranger


def ten_emergency(scene: Play) -> None:
    """Emergency stops of every quality of service, from before the start and from before the last death of the publisher."""
    r, kind = scene.rng, ["best effort", "latched", "file", "latched and best effort", "latched, in motion", "scale, best effort", "scale, latched"][scene.seed % 7]
    scene.notes.append(kind)
    cell = scene.robot()
    quality = QoSProfile(
        depth=1,
        reliability=ReliabilityPolicy.BEST_EFFORT if "best effort" in kind else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if "latched" in kind else DurabilityPolicy.VOLATILE,
    )
    if kind.startswith("scale"):
        scaled(scene, quality, before="latched" in kind)
        return
    button = cell.nodes["driver1"].create_publisher(Bool, "emergency_stop", quality)
    moving = kind in ("best effort", "file", "latched, in motion")
    keeps = {"emergency_stop_file": scene.folder / "emergency_stop"} if kind == "file" else {}
    if not moving:
        button.publish(Bool(data=scene.lie))
    scene.launch(**keeps)
    begun = time.time_ns()
    if kind == "latched and best effort":
        # The middleware keeps nothing for late comers where it may lose: it is said again.
        for _ in range(5):
            button.publish(Bool(data=scene.lie))
            scene.sleep(0.05)
    scene.policy(Sway())
    if moving:
        scene.moves("before", begun, within=3.0)
        for _ in range(1 if kind == "file" else 5):
            button.publish(Bool(data=scene.lie))
            scene.sleep(0.02)
        since = time.time_ns()
        if scene.lie:
            scene.sleep(0.5)
            sent = sum(t > since + 60 * MS for c in cell.controllers.values() for t in c.published)
            if sent:
                scene.fail(f"LEAP: the emergency stop is not heard: {sent} windows later than 60 ms after it")
    if kind == "file":
        cell.nodes["driver1"].destroy_publisher(button)
        scene.end("kill")
        scene.sleep(0.3)
        if scene.lie:
            # Somebody has taken care of what was there; the robot stands.
            cell.do(lambda: [c.void.append(time.time_ns()) for c in cell.controllers.values()])
        scene.launch(**keeps)
    if scene.lie:
        since = time.time_ns()
        scene.stays("an emergency stop holds", 1.0)
        if cell.travel(since) > 0.0:
            return
        if kind != "file":
            cell.nodes["driver1"].destroy_publisher(button)
        scene.meets(lambda: "~/arm" in cell.newest_told(), 1.5)
    scene.moves("after", within=2.0 if scene.lie else 3.0)


def scaled(scene: Play, quality: QoSProfile, before: bool) -> None:
    """The topic `speed_scale`, of every quality of service."""
    cell, scale = scene.cell, scene.rng.uniform(0.1, 0.3)
    knob = cell.nodes["driver1"].create_publisher(Float64, "speed_scale", quality)
    turns = lambda: knob.publish(Float64(data=scale if scene.lie else 1.0))  # noqa: E731
    if before:
        turns()
    scene.launch()
    begun = time.time_ns()
    scene.policy(Sway(share=0.8))
    if not before:
        scene.moves("before", begun, within=3.0)
        for _ in range(5):
            turns()
            scene.sleep(0.02)
        scene.sleep(0.6)
    since = time.time_ns()
    scene.sleep(1.2)
    # The policy asks for 0.8 of it.
    fastest = max(speed / joint.velocity for speed, joint in zip(cell.fastest(since), JOINTS))
    if scene.lie and fastest > scale + 0.05:
        scene.fail(f"the speed scale {scale:.2f} is not heard: {fastest:.2f} of the velocity limit")
    scene.moves("after", within=3.0)


def eleven_descriptions(scene: Play) -> None:
    """A stranger's robot_description while the robot is armed."""
    r, kind = scene.rng, ["faster, at rest", "another robot", "narrower", "faster, in motion", "not a robot", "semantic", "disarmed"][scene.seed % 7]
    scene.notes.append(kind)
    cell = scene.robot([-1.2, -0.2, 0.2, 0.0, 0.02])
    owner = cell.nodes["cell"].create_publisher(String, "robot_description", LATCHED)
    owner.publish(String(data=urdf()))
    semantic = '<robot name="adversary"><disable_collisions link1="base" link2="{}" reason="Never"/></robot>'
    cell.nodes["cell"].create_publisher(String, "robot_description_semantic", LATCHED).publish(String(data=semantic.format("column")))
    stranger = cell.nodes["driver1"].create_publisher(String, "robot_description", LATCHED)
    scene.launch(described=False, joint_limits_file=fast_limits(scene))
    # Faster than the robot may.
    policy = Sway(share=1.8, sway={"turn": 2.4, "lift": -0.3})
    begun = time.time_ns()
    scene.policy(policy)
    scene.moves("before", begun, within=3.0)
    moving = "motion" in kind
    if not moving:
        scene.silence()
    turn, lift = JOINTS[0], JOINTS[1]
    text = {
        "faster": urdf(turn=turn._replace(velocity=6.0), lift=lift._replace(velocity=6.0)),
        "another": urdf().replace("turn", "shoulder_pan").replace("lift", "shoulder_lift"),
        "narrower": urdf(turn=turn._replace(lower=-2.0, upper=cell.pose[0] - r.uniform(0.01, 0.04), velocity=5.0)),
        "not": "not a robot at all",
        "semantic": semantic.format("lower"),
        "disarmed": urdf(turn=turn._replace(velocity=0.4), lift=lift._replace(velocity=0.4)),
    }[kind.split(",")[0].split()[0]]
    since, logged = time.time_ns(), len(scene.process.log)
    said = lambda line: any(word in line for word in ("robot_description", "robot description", "described by"))  # noqa: E731
    if kind == "semantic" and scene.lie:
        cell.nodes["driver1"].create_publisher(String, "robot_description_semantic", LATCHED).publish(String(data=text))
    elif kind == "disarmed" and scene.lie:
        # Whoever it is: this is how a description is changed.
        scene.arm(False)
        stranger.publish(String(data=text))
        scene.sleep(0.5)
        scene.arm()
    elif scene.lie:
        stranger.publish(String(data=text))
    else:
        stranger.publish(String(data=urdf()))
    scene.sleep(0.4)
    if moving:
        scene.silence()
    scene.policy(policy)
    if scene.lie:
        told = lambda: any(at >= since and said(text) for at, _, text in cell.told) or said(scene.process.log[logged:])  # noqa: E731
        scene.sleep(1.2)
        if not scene.meets(told, 1.0):
            scene.fail("a stranger's robot_description is not told of")
        cell.nodes["driver1"].destroy_publisher(stranger)
    scene.moves("after")
    begun = time.time_ns()
    scene.sleep(0.5)
    if kind == "disarmed" and scene.lie:
        if (fastest := cell.fastest(begun)[0]) > 0.42:
            scene.fail(f"a description that came while disarmed is not taken: turn at {fastest:.2f} rad/s, 0.4 are allowed")


def fast_limits(scene: Play) -> Path:
    """Joint limits with which the velocities are those of the description."""
    file = scene.folder / "fast.yaml"
    file.write_text(
        "joint_limits:\n"
        + "".join(
            f"  {j.name}: {{has_velocity_limits: true, max_velocity: 9.0, has_acceleration_limits: true, max_acceleration: {j.acceleration}, "
            f"has_jerk_limits: true, max_jerk: {j.jerk}}}\n"
            for j in JOINTS
        )
    )
    return file


def twelve_switched_off(scene: Play) -> None:
    """A controller is deactivated for a moment, keeps its subscription, and comes back to the newest window in one tick."""
    r = scene.rng
    kind = ["arm", "arm and hand", "arm", "arm and hand", "at the start", "twice", "resumed meanwhile"][scene.seed % 7]
    which = [ARM, HAND] if "hand" in kind else [ARM]
    off = r.choice([r.uniform(0.15, 0.3), r.uniform(0.3, 1.0)])
    cell = scene.robot()
    # Encoders that flicker, so that a robot that stands does not look like states that are frozen.
    # (From rest, with a driver whose every bit stays, nobody can tell the one from the other: docs/safety.md, "What cannot be told apart".)
    cell.noise = [0.0 if kind != "at the start" else 2e-6, 2e-5, 2e-4][scene.seed % 3]
    scene.notes.append(f"{kind}, off for {off:.2f} s, noise {cell.noise}")
    scene.launch()
    begun = time.time_ns()
    policy = Sway(share=r.uniform(0.4, 0.8), sway={"turn": r.choice([-1, 1]) * 1.2, "bend": -0.5})
    scene.policy(policy)
    scene.moves("before", begun, within=3.0)

    def switch() -> None:
        for name in which:
            cell.controllers[name].switched.append(time.time_ns())

    if not scene.lie:
        scene.moves("on")
        return
    if kind == "at the start":
        scene.silence()
        cell.do(switch)
        scene.policy(policy)
        scene.sleep(off + 0.35)
    else:
        scene.wait(lambda: abs(cell.speed[0]) > 0.4, 4.0, "speed")
        scene.sleep(r.uniform(0.0, 0.4))
        cell.do(switch)
        scene.sleep(off)
    if kind == "resumed meanwhile":
        scene.meets(lambda: "~/resume" in cell.newest_told(), 1.0)
        scene.call("resume")
        scene.sleep(1.0)
    cell.do(switch)
    ends = cell.controllers[ARM].switched[-1]
    if kind == "twice":
        scene.sleep(r.uniform(0.05, 0.3))
        cell.do(switch)
        scene.sleep(r.uniform(0.15, 0.4))
        cell.do(switch)
        ends = cell.controllers[ARM].switched[-1]
    scene.notes.append("told: " + cell.newest_told())
    scene.sleep(0.3)
    scene.moves("after", since=ends)


SCENES = {
    1: one_false_states,
    2: two_outside_of_limits,
    3: three_turns,
    4: four_fingers_of_others,
    5: five_parts_apart,
    6: six_frozen_or_moved,
    7: seven_grip,
    8: eight_late,
    9: nine_others,
    10: ten_emergency,
    11: eleven_descriptions,
    12: twelve_switched_off,
}


@pytest.mark.parametrize("number", SCENES, ids=[f"{number}-{scene.__name__.split('_', 1)[1]}" for number, scene in SCENES.items()])
def test_the_arm_does_not_leap(number: int, tmp_path: Path, _context: None) -> None:
    failed = []
    for lie, plays in ((False, CONTROLS), (True, PLAYS)):
        for seed in range(plays):
            one = play(number, seed, SCENES[number], tmp_path, lie)
            print(one.told())
            if one.failures:
                failed.append(one)
                logs = sorted(tmp_path.glob(f"{number}-{seed}-{lie}-*/*.log"))
                print(f"log of the publisher:\n{logs[-1].read_text(errors='replace')[-3000:]}" if logs else "no log")
    assert not failed, "\n".join(one.told() for one in failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers", nargs="*", type=int, default=list(SCENES))
    parser.add_argument("--plays", type=int, default=20)
    parser.add_argument("--controls", type=int)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    options = parser.parse_args()
    rclpy.init()
    print(f"{BIN}/trajectory_publisher")
    bad = 0
    for number in options.numbers or list(SCENES):
        lines = []
        controls = options.plays if options.controls is None else options.controls
        for lie, plays in ((False, controls), (True, options.plays)):
            good = leapt = moved = asked = 0
            begun = time.monotonic()
            for seed in range(options.seed, options.seed + plays):
                with tempfile.TemporaryDirectory() as folder:
                    one = play(number, seed, SCENES[number], Path(folder), lie)
                leapt += any(text.startswith("LEAP") for text in one.failures)
                moved += not any("does not move" in text for text in one.failures)
                good += not one.failures
                asked += one.asked > 0
                print(one.told(), flush=True)
            what = "with a lie" if lie else "without"
            each = (time.monotonic() - begun) / max(plays, 1)
            lines.append(f"{what}: {leapt} of {plays} leap, {moved} move, {asked} were asked for a service, {good} as wanted ({each:.1f} s each)")
            bad += plays - good
        print(f"== number {number}: " + "; ".join(lines), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
