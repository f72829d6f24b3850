"""The fault table, row by row, each started by the fault itself, in wall time and under /clock at half and at three times the speed of the wall.

What is asserted is the reaction and its time, in the clock of the mode, taken from the published windows alone; and of every window that was
published that it keeps the limits by finite differences, ends at rest, goes on from the one before and has the stamp of its fellow.
Run with `-rP` to see the times.

No time is taken by when this process got around to something: reactions are counted on the stamps of the publisher's windows, from the first tick of
which it says (on ~/filter_state) that it knew of the fault, and that tick must follow the fault itself soon. Under /clock the cell and the publisher
are in lock-step, so that the load of the machine does not matter at all; in wall time the operating system says what it cost (`stalls.py`).
"""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest
from fault_rig import BLIND, LIMITS, MAX_OBSERVATION_AGE, MAX_TRACKING_ERROR, MODES, PERIOD, PILLAR, Rig, links, sway
from graph_tools import ERROR, OK, URDF, WARN, policy, values
from ideal_cell import HOME, MS
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import Trigger

MOTION = "trajectory_publisher: motion"
POLICY = "vla_inference: policy"


@pytest.fixture(scope="module", params=MODES)
def mode(request, _context, tmp_path_factory) -> Iterator[Rig]:
    rig = Rig(request.param, tmp_path_factory.mktemp("rig"))
    yield rig
    rig.close()


@pytest.fixture
def rig(mode) -> Iterator[Rig]:
    mode.begin()
    yield mode
    if mode.publisher.popen.poll() is not None or mode.cell.crashed:
        print(mode.publisher.log)


def test_chunks_with_values_that_are_no_numbers_are_refused_and_three_in_a_row_stop_the_arm_until_resume(rig):
    cell = rig.cell
    rig.sways()
    # One between good ones is left out: what was planned goes on.
    cell.set(poison=[math.nan], poisoned=[])
    rig.until(lambda: cell.poisoned, "the poisoned chunk")
    sent = cell.proposed
    rig.until(lambda: cell.proposed > sent, "a good one")
    before = len(cell.arm)
    rig.until(lambda: len(cell.arm) > before + 10, "windows after it")
    assert rig.health.newest(MOTION).level in (OK, WARN)
    rig.moves(0.3)
    cell.set(poison=[math.nan, math.inf], poisoned=[])
    rig.until(lambda: len(cell.poisoned) == 2 and not cell.poison, "two poisoned chunks")
    third = lambda: vars(cell).update(poison=[math.nan], _next_chunk=0)  # noqa: E731
    _, tick = rig.strike(third, lambda told: len(cell.poisoned) == 3 and told.newest_chunk > cell.poisoned[2] - MS)
    rig.idle()
    reaction = rig.reaction(tick)
    rig.tell("NaN, third in a row", **reaction.told())
    reaction.check(0.0)
    rig.health.wait(MOTION, ERROR, "chunks in a row", "NaN", "~/resume")
    # It is latched: good chunks change nothing.
    sent = cell.proposed
    rig.until(lambda: cell.proposed > sent, "a good chunk")
    rig.silent_for(10)
    assert "chunks in a row" in rig.call("resume")
    rig.moves(0.1)
    rig.check()


def test_without_joint_states_the_arm_stops_and_begins_again_only_where_it_is_measured(rig):
    cell = rig.cell
    rig.sways()
    rig.mark()
    fault = cell.set(joints=False)
    rig.idle()
    lost = rig.told(fault, lambda told: math.isnan(told["joint_state_age_s"]))
    last = next(t for t in reversed(cell.told) if t.stamp < lost.stamp)
    reaction = rig.reaction(lost.stamp)
    rig.tell("joint states withheld", given_up_after=(lost.stamp - fault) * 1e-9, **reaction.told())
    assert rig.max_joint_state_age - 0.02 <= last["joint_state_age_s"] <= rig.max_joint_state_age, "it is patient for as long as it says"
    assert (lost.stamp - fault) * 1e-9 <= rig.max_joint_state_age + 0.02 + rig.slack
    reaction.check(0.0)
    rig.health.wait(MOTION, ERROR, "joint_states", "~/resume")
    # Somebody moves the robot meanwhile. It is latched though joint states are back and chunks come.
    elsewhere = [*cell.q]
    elsewhere[2] += 0.3
    cell.set(policy=None)
    cell.move_by_hand(elsewhere)
    cell.set(joints=True, policy=sway(cell.t * 1e-9 + 0.1, np.array(elsewhere)))
    rig.health.wait("trajectory_publisher: joint_states", OK)
    sent = cell.proposed
    rig.until(lambda: cell.proposed > sent, "a chunk")
    rig.silent_for(10)
    before = len(cell.arm)
    rig.call("resume")
    rig.until(lambda: len(cell.arm) > before, "windows after resume")
    assert np.abs(cell.arm[before].positions[0] - elsewhere[:7]).max() < 1e-9
    rig.moves(0.1)
    rig.check()


def test_a_chunk_beyond_every_limit_is_slowed_down_on_its_path_and_ends_inside(rig):
    cell = rig.cell
    # Two and a half radians at ten times the speed that joint 1 may have; joint 4 goes with it on a straight line.
    begin, goal = cell.t * 1e-9, LIMITS["upper"][0]
    way = lambda t: min(max(t - begin, 0.0) * 21.0, 2.5)  # noqa: E731
    wild = lambda t: [way(t), *HOME[1:3], HOME[3] + 0.1 * way(t), *HOME[4:]]  # noqa: E731
    fault, tick = rig.strike(lambda: vars(cell).update(policy=wild), lambda told: told.newest_chunk > begin * 1e9 - MS)
    rig.until(lambda: cell.q[0] > 2.49, "the end of the way")
    windows = list(cell.arm)
    # Wherever the arm gets, joint 4 has gone a tenth of joint 1's way. (The end of a window, which it only gets to when the publisher is
    # gone, is the quickest stop of each joint alone.)
    gone = np.array([w.positions[1] for w in windows])
    off = np.abs((gone[:, 3] - HOME[3]) - 0.1 * gone[:, 0]).max()
    # And on, to 30 rad beyond where joint 1 may be.
    cell.set(policy=lambda t: [goal + 30.0, *HOME[1:3], HOME[3] + 0.25, *HOME[4:]])
    rig.until(lambda: cell.q[0] > goal - 0.01, "the end of the joint's range")
    cell.set(policy=None)
    rig.idle()
    full = next(t for t, v in rig.sent(len(windows)) if abs(v[0]) > 1.9)
    first, fast = (windows[0].stamp - tick) * 1e-9 + PERIOD, (full - fault) * 1e-9
    rig.tell("beyond every limit", first_window=first, full_speed=fast)
    print(f"off the path: {1e3 * off:.2f} mrad")
    # Full speed is reached; nothing beyond it or beyond the range was published (see `check`).
    top = max(np.abs(w.velocities[:, 0]).max() for w in cell.arm)
    assert 0.9 * LIMITS["velocity"][0] <= top <= LIMITS["velocity"][0] * (1.0 + 1e-6)
    assert first <= PERIOD and fast <= 1.5 + rig.slack
    assert off < 0.005 or not rig.bridged(fault, windows[-1].stamp)
    slowed = lambda: [k for k in values(rig.health.newest(MOTION)) if k.startswith("slowed by") and "panda_joint1" in k]  # noqa: E731
    rig.until(slowed, "diagnostics that name the limit")
    rig.check()


def to_pillar(q: np.ndarray) -> float:
    outside = np.abs(links(q) - PILLAR["centre"]) - PILLAR["size"] / 2
    return float(np.linalg.norm(np.maximum(outside, 0.0), axis=1).min())


@pytest.mark.parametrize(
    ("obstacle", "joint", "rate"), [("pillar", 0, -0.8), ("table", 1, 0.6)], ids=["a pillar", "the table"]
)
def test_before_an_obstacle_the_arm_stops_and_a_chunk_that_leads_away_is_followed(rig, obstacle, joint, rate):
    cell = rig.cell
    begin = cell.t * 1e-9 + 0.1
    way = lambda t: rate * max(t - begin, 0.0)  # noqa: E731
    rig.mark()
    fault = cell.set(policy=lambda t: [q + (way(t) if j == joint else 0.0) for j, q in enumerate(HOME)])
    blocked = rig.told(round(begin * 1e9), lambda told: told["blocked"] == 1.0).stamp
    status = rig.health.wait(MOTION, WARN, "stopped before an obstacle", obstacle, timeout=60.0)
    assert "panda_" in status.message, "both bodies are named"
    # As close as it may get it still tries every new chunk, in microradians.
    still = 1e-3
    rig.until(lambda: np.abs(cell.v).max() < still, "standstill")
    rest = next(t for t, v in rig.followed() if t > blocked and np.abs(v).max() < still)
    # The way to the obstacle took as long as it had to: the arm stops near it, not long before.
    rig.tell(f"{obstacle}", blocked_after=(blocked - fault) * 1e-9, rest=(rest - blocked) * 1e-9)
    # Half a second, as a rule. A chunk that comes just while the arm brakes beside its path may make it swing back first (a known gap).
    assert (rest - blocked) * 1e-9 <= 2.0 + rig.slack
    if obstacle == "pillar":
        nearest = min(to_pillar(q) for window in cell.arm for q in window.positions)
        assert nearest > 0.01, "a wrist of no thickness would still be 1 cm away"
        assert to_pillar(cell.q[:7]) < 0.15
    else:
        lowest = min(links(q)[:, 2].min() for window in cell.arm for q in window.positions)
        assert 0.0 < lowest < 0.15
    # Not latched: away from there at once.
    before, there = len(cell.arm), cell.q.copy()
    begun = cell.t * 1e-9
    away = lambda t: [q - (0.5 * math.copysign(max(t - begun, 0.0), rate) if j == joint else 0.0) for j, q in enumerate(there)]  # noqa: E731
    turn = lambda: vars(cell).update(policy=away, _next_chunk=0, turned=cell.t)  # noqa: E731
    _, turned = rig.strike(turn, lambda told: told.newest_chunk > cell.turned - MS)
    rig.until(lambda: abs(cell.q[joint] - there[joint]) > 0.1, "motion away")
    first = next(w for w in cell.arm[before:] if np.abs(w.end - there[:7]).max() > 1e-3)
    rig.tell(f"{obstacle}", away_after=(first.stamp - turned) * 1e-9 + PERIOD)
    assert (first.stamp - turned) * 1e-9 <= 1.0 + rig.slack
    rig.check()


def next_motion(rig: Rig, since: int) -> int:
    """Wait for the next motion that begins with or after window `since`; the index of its first window."""

    def found() -> int | None:
        windows = rig.cell.arm
        rests = lambda k: (windows[k].velocities[:2] == 0.0).all()  # noqa: E731
        # Within a motion nothing moves again once it stands.
        over = lambda k: windows[k].rests_at() <= windows[k + 1].stamp + 15 * MS or windows[k + 1].stamp < windows[k].stamp  # noqa: E731
        return next((k for k in range(since, len(windows)) if rests(k) and over(k - 1)), None)

    return rig.until(found, "the next motion")


@pytest.mark.parametrize("leap", [0.03, 0.4, -0.6], ids=["a little", "forwards", "backwards"])
def test_when_the_clock_leaps_the_arm_comes_to_rest_and_the_next_chunk_goes_on(rig, leap):
    cell = rig.cell
    # Beyond what is taken for a late tick.
    leap += rig.max_clock_jump
    if not rig.factor and leap < 0.0:
        pytest.skip("the wall clock does not go back in a test")
    rig.sways()
    rig.mark()
    if rig.factor:
        fault, since = cell.leap(leap)
    else:
        # What a leap is to the publisher: it was not there for so long.
        rig.publisher.popen.send_signal(signal.SIGSTOP)
        begun = cell.t
        rig.until(lambda: cell.t > begun + round(leap * 1e9), "a stall")
        rig.publisher.popen.send_signal(signal.SIGCONT)
        fault, since = cell.t, len(cell.arm)
    again = next_motion(rig, since)
    begun = cell.arm[again]
    if leap > 0.0:
        # What was published before the leap ends at rest, perhaps meanwhile.
        reaction = rig.reaction(fault, again)
        rig.tell(f"clock {leap:+.2f} s", **reaction.told(), next_motion=(begun.came - fault) * 1e-9)
        reaction.check(rig.slack)
    else:
        # Nothing is sent on the old axis but what was on its way.
        rig.tell(f"clock {leap:+.2f} s", late_windows=1e-3 * (again - since), next_motion=(begun.came - fault) * 1e-9)
        assert again - since <= 1
    assert (begun.came - fault) * 1e-9 <= 0.5 + rig.slack, "chunks come five times a second"
    assert np.abs(begun.positions[0] - begun.robot[:7]).max() < 1e-6, "it begins where the robot is measured"
    rig.moves(0.1)
    rig.check()


@pytest.mark.parametrize("by", ["topic", "service"])
def test_an_emergency_stop_silences_it_until_it_is_armed_again(rig, by):
    cell = rig.cell
    rig.sways()
    disarmed = lambda told: told["armed"] == 0.0  # noqa: E731
    if by == "topic":
        rig.until(rig.emergency.get_subscription_count, "the publisher listens")
        fault, tick = rig.strike(lambda: rig.emergency.publish(Bool(data=True)), disarmed)
    else:
        client = rig.probe.node.create_client(Trigger, "trajectory_publisher/emergency_stop")
        rig.until(client.service_is_ready, "the service")
        answers = []
        fault, tick = rig.strike(lambda: answers.append(client.call_async(Trigger.Request())), disarmed)
        rig.until(answers[0].done, "the answer")
        assert answers[0].result().success
    rig.silent_for(30)
    last = cell.arm[-1]
    rig.tell(f"emergency stop by {by}", last_window=(last.stamp - fault) * 1e-9 + PERIOD)
    # A window's second point is due at about the tick that sends it, half a period more or less: none left in the tick that knew.
    assert (last.stamp - tick) * 1e-9 + PERIOD < 0.5 * PERIOD
    rig.health.wait(MOTION, ERROR, "emergency stop", "~/arm")
    count = len(cell.arm), len(cell.windows["panda_hand_controller"])
    rig.call("resume")
    rig.silent_for(10)
    # The brakes were on, and somebody has moved the arm.
    elsewhere = [*HOME]
    elsewhere[5] += 0.2
    cell.set(policy=None)
    cell.move_by_hand(elsewhere)
    cell.set(policy=sway(cell.t * 1e-9 + 0.1, np.array(elsewhere)))
    rig.silent_for(30)
    assert (len(cell.arm), len(cell.windows["panda_hand_controller"])) == count, "not one message until it is armed"
    rig.arm(True)
    rig.until(lambda: len(cell.arm) > count[0], "windows after arming")
    assert np.abs(cell.arm[count[0]].positions[0] - elsewhere[:7]).max() < 1e-9
    rig.moves(0.1)
    rig.check()


def test_when_one_controller_goes_away_both_stop_and_it_is_named(rig):
    cell = rig.cell
    rig.sways()
    unplug = lambda: cell.unplug("panda_hand_controller")  # noqa: E731
    _, tick = rig.strike(unplug, lambda told: told["controllers"] == 1.0)
    rig.idle()
    reaction = rig.reaction(tick)
    rig.tell("controller gone", **reaction.told())
    reaction.check(PERIOD)
    rig.health.wait(MOTION, ERROR, "panda_hand_controller", "~/resume")
    # Resuming does not help before it is back.
    rig.call("resume")
    rig.health.wait(MOTION, ERROR, "panda_hand_controller")
    rig.silent_for(20)
    alone = len(cell.arm) - len(cell.windows["panda_hand_controller"])
    cell.plug("panda_hand_controller")
    rig.call("resume")
    rig.moves(0.1)
    rig.check(alone + 2)


@pytest.mark.parametrize("tremble", [0.0, 1e-6], ids=["dead encoder", "blocked joint"])
def test_a_robot_that_does_not_follow_is_stopped_until_resume(rig, tremble):
    """Positions that stay the same to the last bit are found sooner than a joint that is merely not where it should be."""
    cell = rig.cell
    rig.sways()
    rig.mark()
    mark = len(rig.publisher.log)
    fault = cell.set(stuck={0}, tremble=tremble)
    stood = cell.q[0]
    rig.idle()
    # When the command was beyond what is allowed; the joint state of that time comes with the tick after it, or the one after that. A joint
    # that trembles may be off by half of the tolerance and by what it lags, and never by more than the tolerance, an eighth of a second later.
    bound, lag = (0.5 * MAX_TRACKING_ERROR, 0.125) if tremble else (BLIND, 0.0)
    lost = next(w for w in cell.arm if w.stamp > fault - 10 * MS and abs(w.positions[1, 0] - stood) > bound).stamp + 10 * MS
    reaction = rig.reaction(lost)
    rig.tell("joint 1 stuck" if tremble else "encoder of joint 1 dead", beyond_tolerance_after=(lost - fault) * 1e-9, **reaction.told())
    reaction.check(2.0 * PERIOD + lag + rig.slack)
    assert ("to the last bit" in rig.publisher.log[mark:]) == (tremble == 0.0)
    rig.health.wait(MOTION, ERROR, "'panda_joint1'", "~/resume")
    rig.silent_for(10)
    cell.set(stuck=set(), tremble=0.0, policy=None)
    cell.move_by_hand([*cell.q])
    before, stands = len(cell.arm), cell.q.copy()
    cell.set(policy=sway(cell.t * 1e-9 + 0.1, stands))
    rig.call("resume")
    rig.until(lambda: len(cell.arm) > before, "windows after resume")
    assert np.abs(cell.arm[before].positions[0] - stands[:7]).max() < 1e-9
    rig.moves(0.1)
    rig.check()


def test_the_speed_scale_is_lowered_by_anybody_and_raised_only_by_the_parameter(rig):
    cell = rig.cell
    # Evenly from where the robot is, so that its speed shows the scale.
    cell.set(policy=lambda t: [cell.q[0] + 0.5 * (t - cell.t * 1e-9), *HOME[1:]])
    rig.until(lambda: abs(cell.v[0] - 0.5) < 0.01, "full speed")
    rig.until(rig.scale.get_subscription_count, "the publisher listens")
    _, lowered = rig.strike(lambda: rig.scale.publish(Float64(data=0.3)), lambda told: told["speed_scale"] == 0.3)
    third = lambda v: abs(v[0]) < 0.155  # noqa: E731
    slow = rig.until(lambda: next((t for t, v in rig.sent() if t > lowered and third(v)), None), "a third of the speed")
    # More than it is, and what is no number: neither changes anything.
    refusals = rig.publisher.log.count("'speed_scale'")
    rig.scale.publish(Float64(data=0.9))
    rig.scale.publish(Float64(data=math.nan))
    rig.until(lambda: rig.publisher.log.count("'speed_scale'") > refusals, "a line in the log")
    tick = cell.tick
    rig.until(lambda: cell.tick > tick + 300 * MS, "ticks")
    assert cell.told[-1]["speed_scale"] == 0.3 and all(abs(v[0]) < 0.2 for t, v in rig.sent() if t > slow)
    rig.moves(0.1)
    raised = rig.cell.t
    rig.set_scale(1.0)
    raised = rig.told(raised, lambda told: told["speed_scale"] == 1.0).stamp
    full = lambda v: abs(v[0] - 0.5) < 0.03  # noqa: E731
    fast = rig.until(lambda: next((t for t, v in rig.sent() if t > raised and full(v)), None), "full speed again")
    rig.tell("speed scale", slow_after=(slow - lowered) * 1e-9, fast_after=(fast - raised) * 1e-9)
    assert (slow - lowered) * 1e-9 <= 0.4 + rig.slack
    assert (fast - raised) * 1e-9 <= 0.6 + rig.slack
    rig.check()


class Chain:
    """Camera, camera_ingest and vla_inference before the publisher: the policy turns joint 1 at 0.15 rad/s."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        rig.cell.set(camera=True)
        self.camera = rig.run("camera_ingest", **policy())
        self.inference = rig.run("vla_inference", robot_description_file=URDF, **policy())
        rig.instruction.publish(String(data="turn"))
        rig.until(lambda: rig.cell.v[0] > 0.13, "motion")
        # As on a machine that is quick enough, under /clock: a chunk every 0.2 s, of an image that is at most a frame old then.
        cell = rig.cell
        cell.set(behind=lambda: cell.t - cell.observed > 260 * MS)
        rig.until(lambda: cell.v[0] > 0.145 and (not rig.factor or not cell.behind()), "motion at full speed")
        rig.mark()

    def slows_down(self, fault: int) -> None:
        """From the last observation on: along the path of the last chunk, to rest by its end, and there it stays."""
        rig, cell = self.rig, self.rig.cell
        cell.set(behind=None)
        rig.idle()
        seen = cell.observed
        assert seen <= fault + 50 * MS, "nothing was observed after the fault"
        speed = lambda t: next(w for w in reversed(cell.arm) if w.stamp <= t).at(t)[1][0]  # noqa: E731
        times = range(seen + 300 * MS, cell.arm[-1].rests_at(), 20 * MS)
        speeds = [speed(t) for t in times]
        slower = max((t for t, v in zip(times, speeds) if v >= 0.14), default=times[0]) + 20 * MS
        rest = (cell.arm[-1].rests_at() - seen) * 1e-9
        rig.tell("stands by the chunk's end", observed=(seen - fault) * 1e-9, slower_after=(slower - seen) * 1e-9, rest=rest)
        # It slows down once the observation is too old, and stands at the end of the chunk, 0.8 s after the observation.
        assert (slower - seen) * 1e-9 <= MAX_OBSERVATION_AGE + 0.13 + rig.slack
        assert rest <= 0.8 + 0.15 + rig.slack
        if rig.bridged(seen, cell.arm[-1].stamp):
            after = [v for t, v in zip(times, speeds) if t >= slower]
            assert all(later <= earlier + 1e-6 for earlier, later in zip(after, after[1:])), "it only gets slower"
            assert max(abs(b - a) for a, b in zip(speeds, speeds[1:])) < 0.05, "and not at once"
        rig.silent_for(20)


def test_while_the_policy_is_stalled_the_arm_slows_down_to_rest_and_goes_on_with_it(rig):
    chain = Chain(rig)
    fault = rig.cell.t
    chain.inference.popen.send_signal(signal.SIGSTOP)
    try:
        chain.slows_down(fault)
        rig.health.wait(MOTION, ERROR, "at rest", "vla_inference", "silent")
    finally:
        chain.inference.popen.send_signal(signal.SIGCONT)
    rig.until(lambda: rig.cell.v[0] > 0.1, "motion again")
    rig.end("vla_inference")
    rig.check()


def test_without_a_camera_the_arm_slows_down_to_rest_and_the_camera_is_named(rig):
    chain = Chain(rig)
    fault = rig.cell.t
    os.kill(chain.camera.popen.pid, signal.SIGKILL)
    chain.slows_down(fault)
    rig.health.wait(POLICY, ERROR, "'front'", "silent", timeout=60.0)
    rig.health.wait(MOTION, ERROR, "at rest", "vla_inference", "silent")
    # A new one is all it needs.
    rig.end("camera_ingest")
    rig.run("camera_ingest", **policy())
    rig.until(lambda: rig.cell.v[0] > 0.1, "motion again")
    rig.end("vla_inference")
    rig.check()
