"""trajectory_publisher: follows chunks within limits, always with an end at rest, and says why the arm stands."""

from __future__ import annotations

import time

import pytest
from action_msgs.msg import GoalStatus, GoalStatusArray
from graph_tools import (
    ARM,
    ERROR,
    FINGER,
    LATCHED,
    OK,
    PATIENT,
    READY,
    URDF,
    WARN,
    Health,
    Robot,
    chunk,
    earlier,
    now,
    ros,
    seconds,
    values,
)
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger
from trajectory_msgs.msg import JointTrajectory

MOTION = "trajectory_publisher: motion"
EVERY = QoSProfile(depth=200)


class Motion:
    """trajectory_publisher, running, and what it sends."""

    def __init__(self, start, probe, remappings=(), **parameters):
        self.probe = probe
        self.health = Health(probe)
        self.arm = probe.hear(JointTrajectory, "panda_arm_controller/joint_trajectory", EVERY)
        self.hand = probe.hear(JointTrajectory, "panda_hand_controller/joint_trajectory", EVERY)
        self.execution = probe.hear(JointTrajectory, "execution_state", EVERY)
        self.chunks = probe.node.create_publisher(JointTrajectory, "action_chunk", 1)
        self.instruction = probe.node.create_publisher(String, "instruction", LATCHED)
        self.ticks = probe.hear(JointState, "trajectory_publisher/filter_state", EVERY)
        settings = {"robot_description_file": URDF, "armed_at_start": True, **PATIENT, "max_future": 0.05, **parameters}
        renamed = [word for rule in remappings for word in ("-r", rule)]
        self.process = start("trajectory_publisher", *ros(**settings), *renamed)
        # Matching is seen by either side in its own time: an empty chunk that was refused proves the way.
        probe.until(self.refused_one, 20.0, "the refusal of an empty chunk")

    def refused_one(self):
        status = self.health.newest(MOTION)
        if status and values(status).get("chunks refused", "0") != "0":
            return True
        self.chunks.publish(JointTrajectory())
        self.probe.spin(0.1)
        return False

    def ready(self):
        """Wait until joint states are fresh and nothing but a chunk is missing."""
        self.health.wait("trajectory_publisher: joint_states", OK)
        self.health.wait(MOTION, OK, "at rest")

    def knows(self, chunk):
        """Wait until it has decided on something after this chunk came, whether it took it or not."""
        observed = seconds(chunk.header.stamp)

        def known():
            told = self.ticks and dict(zip(self.ticks[-1].name, self.ticks[-1].position))
            return told and abs(seconds(self.ticks[-1].header.stamp) - told["chunk_age_s"] - observed) < 1e-3

        self.probe.until(known, what="a decision after the chunk")

    def streams(self, start, windows=10):
        """Propose until so many windows have come, as a policy does: on a busy machine a single chunk may be too old when it comes."""
        enough, sent = len(self.arm) + windows, [0.0]

        def come():
            if time.monotonic() > sent[0] + 0.5:
                self.send(start, rows=30)
                sent[0] = time.monotonic()
            return len(self.arm) > enough

        self.probe.until(come, what="windows")

    def rests(self):
        """Wait until many decisions in a row have brought no window."""
        seen = [len(self.arm), len(self.ticks)]

        def silent():
            if len(self.arm) != seen[0]:
                seen[:] = [len(self.arm), len(self.ticks)]
            return len(self.ticks) >= seen[1] + 30

        self.probe.until(silent, what="rest")

    def sends_nothing(self):
        """Half a second of decisions brings no window."""
        before, ticks = len(self.arm), len(self.ticks)
        self.probe.until(lambda: len(self.ticks) >= ticks + 50, what="decisions")
        assert len(self.arm) == before, "at rest nothing is sent"

    def send(self, start, by=0.2, rows=10, stamp=None, **fields):
        """A chunk that turns joint 1 evenly from `start` and leaves the rest where it is."""
        positions = [[start[0] + by * (k + 1) / rows, *start[1:7], start[7]] for k in range(rows)]
        message = chunk(stamp or now(self.probe), positions, **fields)
        self.chunks.publish(message)
        return message


@pytest.fixture
def robot(probe):
    robot = Robot(probe, camera=False)
    yield robot
    robot.stop()


def check_windows(motion):
    """The rule of streaming, as a controller would like it."""
    by_stamp = {(m.header.stamp.sec, m.header.stamp.nanosec): m for m in motion.hand}
    # What one controller was sent last may be heard before what the other was.
    both, shared = [m for m in motion.arm if seconds(m.header.stamp) <= seconds(motion.hand[-1].header.stamp)], 0
    for window in motion.arm:
        assert window.joint_names == ARM
        assert all(v == 0.0 for v in window.points[-1].velocities), "every window ends at rest"
        times = [seconds(point.time_from_start) for point in window.points]
        assert times[0] == 0.0
        assert all(later - earlier == pytest.approx(0.01, abs=1e-6) for earlier, later in zip(times, times[1:]))
        assert all(len(p.positions) == len(p.velocities) == 7 and not p.accelerations for p in window.points)
        assert times[-1] >= 0.2
        shared += (window.header.stamp.sec, window.header.stamp.nanosec) in by_stamp
    # Writers keep one window: a busy machine may lose one here and there.
    assert both and shared >= len(both) - 2 - len(both) // 50, "both controllers get the same stamps"


def test_in_the_simulator_a_scripted_chunk_is_followed_and_ends_at_rest(start, probe):
    start("sim", *ros(camera_rate=0.1))
    states = probe.hear(JointState, "joint_states")
    motion = Motion(start, probe, robot_description_file="''")  # from sim's latched topic
    motion.ready()
    probe.until(lambda: states, what="joint states")
    at = dict(zip(states[-1].name, states[-1].position))
    before = [at[name] for name in [*ARM, FINGER]]
    sent = motion.send(before, by=0.3)
    joint1 = lambda: states[-1].position[states[-1].name.index("panda_joint1")]  # noqa: E731
    probe.until(lambda: abs(joint1() - before[0] - 0.3) < 0.01, what="joint 1 at its goal")
    motion.health.wait(MOTION, WARN, "at rest", "the last action chunk is over", "vla_inference")
    status = motion.health.newest(MOTION)
    assert 0.0 < float(values(status)["observation to command p50 ms"]) < 1000.0
    moved = dict(zip(states[-1].name, states[-1].velocity))
    assert abs(moved["panda_joint1"]) < 0.01
    heard = [m for m in motion.execution if m.points]
    assert heard and heard[0].header.stamp == sent.header.stamp
    check_windows(motion)
    sim = motion.health.newest("sim: physics")
    assert values(sim)["commands refused"] == "0", sim


def test_disarmed_nothing_is_published_until_it_is_armed(start, probe, robot):
    motion = Motion(start, probe, armed_at_start=False)
    motion.health.wait(MOTION, WARN, "disarmed", "~/arm")
    motion.knows(motion.send(robot.positions))
    motion.sends_nothing()
    assert motion.arm == []
    assert probe.call(SetBool, "trajectory_publisher/arm", SetBool.Request(data=True)).success
    motion.ready()
    motion.streams(robot.positions, 0)


def test_a_joint_missing_from_joint_states_is_named_and_nothing_moves(start, probe, robot):
    robot.names = [name for name in robot.names if name != "panda_joint4"]
    motion = Motion(start, probe)
    motion.health.wait(MOTION, ERROR, "'panda_joint4'", "missing")
    motion.knows(motion.send([*READY, 0.04]))
    motion.sends_nothing()
    assert motion.arm == []


def test_a_joint_that_vanishes_while_the_arm_moves_brings_it_to_rest_and_is_named(start, probe, robot):
    motion = Motion(start, probe, max_joint_state_age=0.5, max_tracking_error=5.0)  # this robot does not follow
    motion.ready()
    # Soon: one that does not follow is found to stand still as well.
    motion.streams(robot.positions, 3)
    robot.names = [name for name in robot.names if name != "panda_joint2"]
    motion.health.wait(MOTION, ERROR, "'panda_joint2'")
    motion.rests()
    motion.sends_nothing()
    check_windows(motion)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ahead": -5.0}, "old"),
        ({"ahead": 5.0}, "future"),
        ({"value": float("nan")}, "NaN"),
        ({"value": 1000.5}, "no joint reaches"),
        ({"names": [*ARM, "thumb"]}, "thumb"),
        ({"names": ARM}, "panda_finger_joint1"),
    ],
    ids=["old", "future", "not a number", "absurd", "unknown joint", "joint missing"],
)
def test_a_bad_chunk_is_refused_with_its_reason_and_nothing_moves(start, probe, robot, fields, words):
    motion = Motion(start, probe)
    motion.ready()
    names = fields.get("names", [*ARM, FINGER])
    row = [*READY, 0.04][: len(names)]
    row[3] = fields.get("value", row[3])
    motion.chunks.publish(chunk(now(probe, fields.get("ahead", 0.0)), [row] * 8, names=names))
    refused = lambda: words in values(motion.health.newest(MOTION))["last refusal"]  # noqa: E731
    probe.until(refused, what=f"a refusal with {words!r}")
    motion.sends_nothing()
    assert motion.arm == []


def test_joint_states_of_a_driver_that_publishes_them_best_effort_are_heard(start, probe):
    robot = Robot(probe, camera=False, joint_states=qos_profile_sensor_data)
    motion = Motion(start, probe)
    motion.ready()
    motion.streams(robot.positions, 0)
    robot.stop()


def test_stop_latches_until_resume(start, probe, robot):
    motion = Motion(start, probe, max_tracking_error=5.0)
    motion.ready()
    motion.streams(robot.positions)
    assert probe.call(Trigger, "trajectory_publisher/stop", Trigger.Request()).success
    motion.health.wait(MOTION, ERROR, "stopped on request", "~/resume")
    motion.rests()
    motion.knows(motion.send(robot.positions))
    motion.sends_nothing()
    assert probe.call(Trigger, "trajectory_publisher/resume", Trigger.Request()).success
    motion.streams(robot.positions)


def test_without_a_goal_the_arm_comes_to_rest_and_takes_no_chunk(start, probe, robot):
    motion = Motion(start, probe, max_tracking_error=5.0)
    motion.instruction.publish(String(data="turn"))
    motion.health.wait(MOTION, WARN, "at rest")
    motion.streams(robot.positions)
    motion.instruction.publish(String(data=""))
    motion.health.wait(MOTION, OK, "no goal")
    motion.rests()
    motion.knows(motion.send(robot.positions))
    motion.sends_nothing()
    check_windows(motion)


class Sequel:
    """The robot follows the publisher's windows exactly; one policy after another proposes."""

    def __init__(self, start, probe, robot, **parameters):
        self.motion = Motion(start, probe, **parameters)
        self.probe, self.robot = probe, robot
        self.asked = None
        self.motion.instruction.publish(String(data="one"))
        self.motion.health.wait(MOTION, WARN, "at rest")
        self.follow()
        # One at a time: none may be on its way any more that would take its place.
        self.first = self.propose(by=0.6, rows=40, every=2.0)

    def follow(self):
        """From now on the joints are where the last window says."""
        if self.motion.arm:
            self.robot.positions[:7] = list(self.motion.arm[-1].points[0].positions)

    def until(self, condition, what):
        def met():
            self.follow()
            return condition()

        return self.probe.until(met, what=what)

    def told(self):
        """Observation time of the chunk that is followed, and how far it has got; none at rest."""
        if not self.motion.execution:
            return None
        message = self.motion.execution[-1]
        stamp = seconds(message.header.stamp)
        return (stamp, seconds(message.points[0].time_from_start)) if stamp else None

    def propose(self, by=0.3, rows=20, every=0.1):
        """Send a chunk, and another one after so many seconds, until one is followed; its observation time."""
        sent = [0.0, set()]

        def followed():
            if time.monotonic() > sent[0] + every:
                sent[0] = time.monotonic()
                sent[1].add(round(seconds(self.motion.send(self.robot.positions, by=by, rows=rows).header.stamp), 6))
            told = self.told()
            return told and round(told[0], 6) in sent[1] and told

        return self.until(followed, "a chunk that is followed")[0]

    def ask(self, text="two"):
        self.asked = seconds(now(self.probe))
        self.motion.instruction.publish(String(data=text))

    def took(self):
        """Milliseconds from an instruction to motion for it, as told; none before the first."""
        told = values(self.motion.health.newest(MOTION)).get("instruction to motion p50 ms", "none yet")
        return None if told == "none yet" else float(told)


def test_another_instruction_is_blended_in_and_the_arm_goes_on_until_its_chunk_comes(start, probe, robot):
    sequel = Sequel(start, probe, robot, max_tracking_error=5.0)
    sequel.ask()
    # The chunk of before is followed on, without a stop.
    at = sequel.told()[1]
    sequel.until(lambda: sequel.told() and sequel.told()[1] > at + 0.3, "more of the old chunk")
    assert abs(sequel.told()[0] - sequel.first) < 1e-6
    # One that was made of what was seen before the instruction is not taken any more.
    late = sequel.motion.send(robot.positions, stamp=earlier(now(probe), seconds(now(probe)) - sequel.asked + 0.01))
    sequel.motion.knows(late)
    refused = lambda: "instruction" in values(sequel.motion.health.newest(MOTION))["last refusal"]  # noqa: E731
    sequel.until(refused, "the refusal")
    second = sequel.propose(by=-0.3)
    assert second > sequel.asked
    sequel.until(lambda: (sequel.took() or 0.0) > 0.0, "the time from instruction to motion")
    assert all(seconds(m.header.stamp) for m in sequel.motion.execution[5:]), "it was never at rest"
    check_windows(sequel.motion)


def test_the_chunk_in_use_can_be_finished_before_another_instruction(start, probe, robot):
    # Nor is it slowed down meanwhile because what the chunk was made of gets old.
    sequel = Sequel(start, probe, robot, max_tracking_error=5.0, max_observation_age=30.0, on_new_goal="finish_chunk")
    sequel.ask()
    second = sequel.propose(by=-0.3)
    # Four seconds long; the last chunk that comes in time takes its place: a second before its end at most.
    before = [m for m in sequel.motion.execution if abs(seconds(m.header.stamp) - sequel.first) < 1e-6]
    assert seconds(before[-1].points[-1].time_from_start) > 2.95
    assert second > sequel.asked
    check_windows(sequel.motion)


def test_the_arm_can_come_to_rest_before_another_instruction(start, probe, robot):
    sequel = Sequel(start, probe, robot, max_tracking_error=5.0, on_new_goal="stop_first")
    sequel.ask()
    second = sequel.propose(by=-0.3)
    stamps = [seconds(m.header.stamp) for m in sequel.motion.execution]
    assert 0.0 in stamps, "it was at rest in between"
    assert second > sequel.asked
    check_windows(sequel.motion)


def test_execution_state_counts_the_chunks_own_time_where_the_arm_is_slowed_down(start, probe, robot):
    sequel = Sequel(start, probe, robot, max_tracking_error=5.0, speed_scale=0.5)
    heard = sequel.motion.execution
    begun, ticks = len(heard), len(sequel.motion.ticks)
    sequel.until(lambda: len(sequel.motion.ticks) > ticks + 60, "ticks")
    of = [m for m in heard[begun:] if abs(seconds(m.header.stamp) - sequel.first) < 1e-6]
    passed = seconds(of[-1].points[0].time_from_start) - seconds(of[0].points[0].time_from_start)
    # Windows are 10 ms apart; some may be lost on the way, none is repeated.
    windows = [w for w in sequel.motion.arm if seconds(w.header.stamp) > 0.0][-len(of) :]
    clock = seconds(windows[-1].header.stamp) - seconds(windows[0].header.stamp)
    assert 0.35 * clock < passed < 0.65 * clock, (passed, clock)


def test_while_somebody_elses_goal_runs_on_a_controller_nothing_is_streamed(start, probe, robot):
    topic = "panda_arm_controller/follow_joint_trajectory/_action/status"
    publisher = probe.node.create_publisher(GoalStatusArray, topic, LATCHED)
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_EXECUTING)]))
    motion = Motion(start, probe)
    motion.health.wait(MOTION, WARN, "somebody else", "panda_arm_controller")
    motion.knows(motion.send(robot.positions))
    motion.sends_nothing()
    assert motion.arm == []
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_SUCCEEDED)]))
    motion.ready()
    motion.streams(robot.positions, 0)


def test_a_signal_ends_it_in_time_with_code_0_while_it_streams(start, probe, robot):
    motion = Motion(start, probe, max_tracking_error=5.0)
    motion.ready()
    motion.streams(robot.positions)
    assert motion.process.stop() == 0, motion.process.log
