#!/usr/bin/env python3
"""Records the bags of the judge: the nodes run in an ideal cell, something happens, and all that a replay needs is kept in test/judge/bags.

    eval "$(./efm env)"; python3 test/judge/record.py stop_and_resume     # exactly this one
    eval "$(./efm env)"; python3 test/judge/record.py --all

The nodes are those of EFM_BIN (target/debug). Time is the cell's own (/clock at half speed), and waits for each tick of the publisher, so that a busy
machine shows in no bag. A bag in which the recorder missed anything, or that does not replay to the last bit, is not kept.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
import yaml

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from action_msgs.msg import GoalStatus, GoalStatusArray  # noqa: E402
from conftest import BIN, ROOT, Probe, Process  # noqa: E402
from graph_tools import LATCHED, OK, Health, chunk, joint_state  # noqa: E402
from ideal_cell import MS, PANDA, Body, IdealCell, time_msg  # noqa: E402
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue  # noqa: E402
from rcl_interfaces.srv import SetParameters  # noqa: E402
from sensor_msgs.msg import Image, JointState  # noqa: E402
from std_msgs.msg import Bool, Float64, String  # noqa: E402
from std_srvs.srv import SetBool, Trigger  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

BAGS = HERE / "bags"
LEFT, RIGHT = "pick the red cube", "push the blue ball"
SIX_JOINTS = Body(
    ["pan", "lift", "elbow", "roll_1", "roll_2", "roll_3"],
    {"arm_controller": slice(0, 6)},
    [0.0, 0.4, 1.3, 0.3, 0.0, 0.0],
    "overhead",
)
# Seconds of /clock in a second.
FACTOR = 0.5
ARM_CONTROLLER = "panda_arm_controller"


class Cell(IdealCell):
    """Its camera sees something else each time."""

    def picture(self, t: int) -> Image:
        message = super().picture(t)
        random = np.random.default_rng(t // MS)
        message.data = random.integers(0, random.integers(100, 256), 8 * 6 * 3, dtype=np.uint8).tobytes()
        return message


@dataclass
class Scenario:
    """What happens, and to which nodes. Parameters are those that differ from config/panda.yaml."""

    happens: Callable[[Rig], None]
    publisher: dict = field(default_factory=dict)
    inference: dict = field(default_factory=dict)
    policy: str = "test/judge/models/turns"
    body: Body = field(default_factory=lambda: PANDA)
    # The robot description that comes on the topic; none: the nodes read urdf/panda.urdf themselves.
    urdf: str | None = None
    # Somebody else's chunks or commands are in the bag as well.
    strangers: bool = False
    base: tuple[str, ...] = ("config/panda.yaml",)


SCENARIOS: dict[str, Scenario] = {}


def scenario(**what: object) -> Callable:
    def keep(happens: Callable[[Rig], None]) -> Callable[[Rig], None]:
        SCENARIOS[happens.__name__] = Scenario(happens, **what)
        return happens

    return keep


class Rig:
    """The nodes, the cell around them, and the recorder."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario, self.folder, self.bag = scenario, folder, folder / "bag"
        self.probe = Probe()
        self.health = Health(self.probe)
        create = self.probe.node.create_publisher
        self._goals = create(String, "goal", 10)
        self.emergencies = create(Bool, "emergency_stop", 10)
        self.scales = create(Float64, "speed_scale", 10)
        self.descriptions = create(String, "robot_description", LATCHED)
        self.processes: dict[str, Process] = {}
        self.cell = Cell(FACTOR, scenario.body)
        self.cell.set(camera=True)

    def run(self, executable: str, **parameters: object) -> None:
        """Starts a node. Its parameters come from a file, as lists and numbers of one kind must."""
        own = self.folder / f"{executable}.yaml"
        own.write_text(yaml.safe_dump({executable: {"ros__parameters": {"use_sim_time": True, **parameters}}}))
        arguments = ["--ros-args"]
        for file in [] if executable == "recorder" else [ROOT / name for name in self.scenario.base]:
            arguments += ["--params-file", str(file)]
        self.processes[executable] = Process(self.folder, executable, *arguments, "--params-file", str(own))

    def begin(self) -> None:
        """All nodes run, the recorder hears them, the policy is open, the robot is armed."""
        cell, scenario = self.cell, self.scenario
        topics = [f"{name}/trace" for name in ("camera_ingest", "goal_intake", "vla_inference", "trajectory_publisher")]
        topics += [f"observation/{cell.body.camera}/image", "action_chunk", "instruction", "goal_status"]
        topics += [f"{name}/joint_trajectory" for name in cell.windows]
        self.run("recorder", topics=topics, folder=str(self.bag), zstd_level=19, min_free_mb=0)
        # Relative names: the bag is replayed in other folders.
        policy = {"policy": scenario.policy, "models_path": ["packages/policy/tests/data"]}
        robot = {} if scenario.urdf else {"robot_description_file": "urdf/panda.urdf"}
        self.run("trajectory_publisher", **robot, **scenario.publisher)
        self.run("camera_ingest", **policy)
        self.run("goal_intake", **policy)
        self.run("vla_inference", **policy, **robot, **scenario.inference)
        if scenario.urdf:
            self.describe((ROOT / scenario.urdf).read_text())
        self.until(lambda: len(cell.told) > 1, "the publisher's ticks")
        cell.set(lockstep=True)
        self.health.wait("vla_inference: policy", OK)

        def is_heard(topic: str) -> bool:
            return "_recorder_ears" in [info.node_name for info in self.probe.node.get_subscriptions_info_by_topic(topic)]

        self.until(lambda: all(map(is_heard, topics)), "the recorder's subscriptions")
        self.until(lambda: self._goals.get_subscription_count() > 0, "somebody to take the goal")
        self.until(lambda: self.emergencies.get_subscription_count() > 0, "somebody to stop")
        self.until(lambda: self.scales.get_subscription_count() > 0, "somebody to slow down")
        self.health.wait("trajectory_publisher: joint_states", OK)
        self.arm(True)

    def end(self) -> None:
        """At rest, without a goal and disarmed; all that was decided is in the traces."""
        self.call("cancel_goal", True)
        self.idle()
        self.arm(False)
        self.wait(0.4)
        self.cell.set(lockstep=False)
        for name in [*(name for name in self.processes if name != "recorder"), "recorder"]:
            self.processes.pop(name).stop()

    def close(self) -> None:
        self.cell.lockstep = False
        for process in self.processes.values():
            if process.popen.poll() is None:
                process.popen.kill()
                print(f"log of {process.name}:\n{process.log[-3000:]}")
        self.cell.stop()
        self.probe.node.destroy_node()

    # What scenarios are made of.

    def until(self, condition: Callable[[], object], what: str) -> object:
        def met() -> object:
            assert self.cell.crashed is None, f"the cell has ended: {self.cell.crashed!r}"
            for process in self.processes.values():
                assert process.popen.poll() is None, f"{process.name} has ended:\n{process.log}"
            return condition()

        return self.probe.until(met, 60.0, what)

    def wait(self, seconds: float) -> None:
        """Of the cell's time."""
        begun = self.cell.t
        self.until(lambda: self.cell.t > begun + seconds * 1e9, f"{seconds} s")

    def call(self, service: str, may_fail: bool = False) -> str:
        answer = self.probe.call(Trigger, service, Trigger.Request())
        assert answer.success or may_fail, answer.message
        return answer.message

    def arm(self, armed: bool) -> None:
        answer = self.probe.call(SetBool, "trajectory_publisher/arm", SetBool.Request(data=armed))
        assert answer.success, answer.message

    def goal(self, text: str) -> None:
        self._goals.publish(String(data=text))

    def describe(self, urdf: str) -> None:
        self.descriptions.publish(String(data=urdf))

    def scale(self, scale: float) -> None:
        """The parameter."""
        value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=scale)
        request = SetParameters.Request(parameters=[Parameter(name="speed_scale", value=value)])
        assert self.probe.call(SetParameters, "trajectory_publisher/set_parameters", request).results[0].successful

    def moves(self, speed: float = 0.2) -> None:
        """The first joint is at speed; a negative one: to the right."""
        fast = lambda: self.cell.v[0] * math.copysign(1.0, speed) > abs(speed)  # noqa: E731
        self.until(fast, f"motion at {speed} rad/s")

    def idle(self) -> None:
        """The publisher has decided several times to send nothing."""
        begun = self.cell.t
        last = lambda: max([begun, *(w[-1].came for w in self.cell.windows.values() if w)])  # noqa: E731
        self.until(lambda: self.cell.told[-1].stamp > last() + 50 * MS, "silence")

    def goes_left(self) -> None:
        """How most scenarios begin."""
        self.goal(LEFT)
        self.moves()
        self.wait(0.3)

    def somebody(self, kind: type, topic: str, name: str, qos: object = 10) -> object:
        """Another node, which publishes; known to the publisher under test."""
        node = rclpy.create_node(name)
        publisher = node.create_publisher(kind, topic, qos)
        self.until(lambda: publisher.get_subscription_count() > 0, f"somebody to listen to {topic}")
        return node, publisher

    def state(self, task: str, level: bytes, *words: str) -> None:
        self.health.wait(f"trajectory_publisher: {task}", level, *words)


# The scenarios. Each is told of in README.md, and what must be in its bag is in packages/replay/tests/judge.rs.


@scenario()
def stop_and_resume(rig: Rig) -> None:
    rig.goes_left()
    rig.call("trajectory_publisher/stop")
    rig.idle()
    rig.wait(0.3)
    rig.call("trajectory_publisher/resume")
    rig.moves()
    rig.wait(0.3)


@scenario()
def emergency_stop_and_arm(rig: Rig) -> None:
    rig.goes_left()
    rig.emergencies.publish(Bool(data=True))
    rig.idle()
    rig.wait(0.2)
    rig.cell.move_by_hand([*rig.cell.q])
    rig.wait(0.6)
    rig.arm(True)
    rig.moves()
    rig.wait(0.3)


@scenario()
def cancel(rig: Rig) -> None:
    rig.goes_left()
    rig.call("cancel_goal")
    rig.idle()
    rig.wait(0.3)


def other_goal_in_motion(rig: Rig) -> None:
    rig.goes_left()
    rig.goal(RIGHT)
    rig.moves(-0.2)
    rig.wait(0.4)


@scenario(publisher={"on_new_goal": "blend"})
def new_goal_blend(rig: Rig) -> None:
    other_goal_in_motion(rig)


@scenario(publisher={"on_new_goal": "finish_chunk"})
def new_goal_finish_chunk(rig: Rig) -> None:
    other_goal_in_motion(rig)


@scenario(publisher={"on_new_goal": "stop_first"})
def new_goal_stop_first(rig: Rig) -> None:
    other_goal_in_motion(rig)


def some_chunks(rig: Rig) -> None:
    rig.goes_left()
    rig.wait(1.2)


@scenario(policy="test/judge/models/turns_flow")
def mode_blend(rig: Rig) -> None:
    some_chunks(rig)


@scenario(publisher={"mode": "rtc"}, inference={"mode": "rtc"}, policy="test/judge/models/turns_flow")
def mode_rtc(rig: Rig) -> None:
    some_chunks(rig)


@scenario(publisher={"mode": "temporal_ensemble"})
def mode_temporal_ensemble(rig: Rig) -> None:
    some_chunks(rig)


@scenario(publisher={"mode": "fifo"})
def mode_fifo(rig: Rig) -> None:
    some_chunks(rig)


@scenario()
def clock_jump(rig: Rig) -> None:
    """Forwards, and later backwards, by no whole number of ticks."""
    rig.goes_left()
    for seconds in (0.5, -0.501234):
        rig.cell.leap(seconds)
        rig.wait(0.1)
        rig.until(lambda: abs(rig.cell.v[0]) < 1e-3, "rest")
        rig.moves()
        rig.wait(0.2)


@scenario(publisher={"obstacles_file": "test/judge/pillar.yaml"})
def obstacle(rig: Rig) -> None:
    """A pillar, to the right of the arm."""
    rig.goal(RIGHT)
    rig.moves(-0.2)
    rig.until(lambda: abs(rig.cell.v[0]) < 1e-2, "standing before the pillar")
    rig.wait(0.1)
    rig.goal(LEFT)
    rig.moves(0.2)


@scenario()
def dead_camera(rig: Rig) -> None:
    rig.goes_left()
    rig.cell.set(camera=False)
    rig.idle()
    rig.wait(0.3)
    rig.cell.set(camera=True)
    rig.moves()
    rig.wait(0.2)


@scenario(
    policy="test/models/six_joints_drift",
    body=SIX_JOINTS,
    urdf="packages/safety/tests/robots/six_joints.urdf",
    base=(),
    publisher={
        "controllers": {"arm_controller": SIX_JOINTS.joints},
        "joint_limits_file": "packages/safety/tests/robots/six_joints.yaml",
        "default_jerk": 90.0,
        "robot_description_semantic_file": "packages/safety/tests/robots/six_joints.srdf",
    },
    inference={
        "joint_limits_file": "packages/safety/tests/robots/six_joints.yaml",
        "default_jerk": 90.0,
        "cameras": ["overhead"],
    },
)
def another_robot(rig: Rig) -> None:
    rig.goal(LEFT)
    rig.moves(0.1)
    rig.wait(0.6)
    rig.call("cancel_goal")
    rig.idle()
    rig.goal(LEFT)
    rig.moves(0.1)


@scenario()
def frozen_joint_states(rig: Rig) -> None:
    """A dead encoder, as one joint's positions stay the same to the last bit."""
    rig.goes_left()
    rig.cell.set(stuck={0})
    rig.idle()
    rig.cell.set(stuck=set())
    rig.cell.move_by_hand([*rig.cell.q])
    rig.wait(0.8)
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario()
def stale_joint_states(rig: Rig) -> None:
    rig.goes_left()
    rig.cell.set(joints=False)
    rig.idle()
    rig.wait(0.2)
    rig.cell.set(joints=True)
    rig.wait(0.8)
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario()
def two_senders_of_joint_states(rig: Rig) -> None:
    """A second driver tells other positions of the same joints."""
    rig.goes_left()
    node, publisher = rig.somebody(JointState, "joint_states", "second_driver")

    def lie() -> None:
        told = rig.cell.q + 0.1
        publisher.publish(joint_state(time_msg(rig.cell.t), rig.cell.body.joints, [*told]))

    for _ in range(8):
        rig.cell.do(lie)
    rig.idle()
    node.destroy_node()
    rig.wait(1.2)
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario(strangers=True)
def two_senders_of_chunks(rig: Rig) -> None:
    """What a second policy proposes is refused, until the first one has gone."""
    rig.goes_left()
    node, publisher = rig.somebody(JointTrajectory, "action_chunk", "second_policy")
    at = rig.cell.body.home

    def propose() -> None:
        q = [*rig.cell.q]
        q[1:] = at[1:]
        rows = [[q[0] - 0.03 * (k + 1), *q[1:]] for k in range(8)]
        rig.cell.do(lambda: publisher.publish(chunk(time_msg(rig.cell.t), rows)))

    for _ in range(4):
        propose()
        rig.wait(0.1)
    rig.processes.pop("vla_inference").stop()
    rig.idle()
    for _ in range(60):
        propose()
        rig.wait(0.1)
        if rig.cell.v[0] < -0.1:
            break
    assert rig.cell.v[0] < -0.1, "the second policy is not followed"
    rig.wait(0.2)
    node.destroy_node()


@scenario(strangers=True)
def another_commander(rig: Rig) -> None:
    """Somebody else sends to the arm's controller."""
    rig.goes_left()
    node, publisher = rig.somebody(JointTrajectory, f"{ARM_CONTROLLER}/joint_trajectory", "teleoperation")
    rig.wait(0.3)

    def send() -> None:
        here = [*rig.cell.q[:7]]
        command = chunk(time_msg(rig.cell.t), [here, here], names=PANDA.joints[:7])
        for point in command.points:
            point.velocities = [0.0] * 7
        publisher.publish(command)

    rig.cell.do(send)
    rig.idle()
    rig.wait(0.8)
    node.destroy_node()
    rig.cell.move_by_hand([*rig.cell.q])
    rig.wait(0.8)
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario()
def blocked_joint(rig: Rig) -> None:
    """A joint stands still while it is commanded on; its encoder trembles, so it is alive."""
    rig.goes_left()
    rig.cell.set(stuck={0}, tremble=1e-6)
    rig.idle()
    rig.cell.set(stuck=set(), tremble=0.0)
    rig.cell.move_by_hand([*rig.cell.q])
    rig.wait(0.8)
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario()
def goal_of_somebody_else(rig: Rig) -> None:
    """A FollowJointTrajectory goal runs on the arm's controller for a while."""
    node, publisher = rig.somebody(GoalStatusArray, f"{ARM_CONTROLLER}/follow_joint_trajectory/_action/status", "planner", LATCHED)
    rig.goes_left()
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_EXECUTING)]))
    rig.idle()
    rig.cell.move_by_hand([*rig.cell.q])
    rig.wait(0.3)
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_SUCCEEDED)]))
    rig.moves()
    rig.wait(0.2)
    node.destroy_node()


@scenario()
def stops_upon_stops(rig: Rig) -> None:
    """A stop, on the way to rest an emergency stop; resume does not end that, and arming does not end the stop."""
    rig.goes_left()
    rig.call("trajectory_publisher/stop")
    rig.wait(0.05)
    rig.call("trajectory_publisher/emergency_stop")
    rig.idle()
    rig.cell.move_by_hand([*rig.cell.q])
    rig.call("trajectory_publisher/resume")
    rig.wait(0.6)
    rig.arm(True)
    rig.moves()
    rig.call("trajectory_publisher/stop")
    rig.idle()
    rig.arm(False)
    rig.arm(True)
    rig.wait(0.3)
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario(urdf="urdf/panda.urdf")
def described_while_stopped(rig: Rig) -> None:
    """Another description is no reason to go on after a stop."""
    rig.goes_left()
    rig.call("trajectory_publisher/stop")
    rig.idle()
    rig.arm(False)
    urdf = (ROOT / "urdf" / "panda.urdf").read_text()
    rig.describe(urdf.replace('velocity="2.175"', 'velocity="0.2"'))
    rig.wait(0.3)
    rig.arm(True)
    rig.wait(0.4)
    rig.call("trajectory_publisher/resume")
    rig.moves(0.15)


@scenario(publisher={"on_new_goal": "finish_chunk"})
def goals_in_a_row(rig: Rig) -> None:
    """Another goal before the first chunk is over, then another one, and the first one again."""
    rig.goal(LEFT)
    rig.moves()
    rig.goal(RIGHT)
    rig.wait(0.15)
    rig.goal(LEFT)
    rig.wait(0.1)
    rig.goal(RIGHT)
    rig.moves(-0.2)
    rig.wait(0.1)
    rig.goal(LEFT)
    rig.moves()


@scenario(publisher={"ticks_per_point": 2})
def two_decisions_a_point(rig: Rig) -> None:
    rig.goes_left()
    rig.call("trajectory_publisher/stop")
    rig.idle()
    rig.call("trajectory_publisher/resume")
    rig.moves()


@scenario()
def short_goal_of_somebody_else(rig: Rig) -> None:
    """It is over before the arm would have come to rest."""
    node, publisher = rig.somebody(GoalStatusArray, f"{ARM_CONTROLLER}/follow_joint_trajectory/_action/status", "planner", LATCHED)
    rig.goes_left()
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_EXECUTING)]))
    rig.wait(0.05)
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_SUCCEEDED)]))
    rig.wait(0.1)
    rig.moves()
    rig.wait(0.2)
    node.destroy_node()


@scenario(publisher={"tool_link": "panda_hand", "task_limits": {"ball": ["ball", "speed_scale=0.5", "max_tool_speed=0.1"]}})
def slower(rig: Rig) -> None:
    """The topic speed_scale, the parameter, and what an instruction asks to be careful with."""
    rig.goes_left()
    rig.scales.publish(Float64(data=0.3))
    rig.until(lambda: rig.cell.v[0] < 0.16, "slow motion")
    rig.scale(1.0)
    rig.moves(0.3)
    rig.goal(RIGHT)
    rig.moves(-0.1)
    rig.wait(0.4)


@scenario(publisher={"task_limits": {"ball": ["ball", "speed_scale=0.5"]}})
def faster_again(rig: Rig) -> None:
    """After an instruction that asks for care comes one that does not."""
    rig.goal(RIGHT)
    rig.moves(-0.15)
    rig.wait(0.3)
    rig.goal(LEFT)
    rig.moves(0.35)
    rig.wait(0.1)


@scenario(strangers=True)
def bad_chunks(rig: Rig) -> None:
    """Three chunks in a row with a value that is no number, from a policy that is not ours."""
    rig.processes.pop("vla_inference").stop()
    rig.goal(LEFT)
    rig.wait(0.2)
    cell = rig.cell
    begun, home = cell.t * 1e-9, [*cell.q]
    cell.set(policy=lambda t: [home[0] + 0.3 * (t - begun), *home[1:]], replan=100 * MS)
    rig.moves()
    rig.wait(0.2)
    cell.set(poison=[math.nan] * 3)
    rig.idle()
    rig.wait(0.2)
    stands, begun = [*cell.q], cell.t * 1e-9
    cell.set(policy=lambda t: [stands[0] + 0.3 * max(t - begun - 0.3, 0.0), *stands[1:]])
    rig.call("trajectory_publisher/resume")
    rig.moves()
    cell.set(policy=None)


@scenario(urdf="urdf/panda.urdf")
def another_description(rig: Rig) -> None:
    """While it is armed, a robot description that differs has to wait."""
    rig.goes_left()
    urdf = (ROOT / "urdf" / "panda.urdf").read_text()
    slow = urdf.replace('velocity="2.175"', 'velocity="0.2"')
    assert slow != urdf
    rig.describe(slow)
    rig.wait(0.4)
    rig.arm(False)
    rig.idle()
    rig.wait(0.3)
    rig.arm(True)
    rig.moves(0.15)
    rig.wait(0.3)


def replayed(bag: Path, folder: Path) -> tuple[dict, str]:
    """Report, and what was said."""
    report = folder / "replay.json"
    done = subprocess.run([BIN / "efm-replay", bag, "--json", report], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return json.loads(report.read_text()) if report.exists() else {}, done.stdout + done.stderr


def flaws(report: dict, strangers: bool) -> list[str]:
    """What a bag of the judge must not have."""
    if not report:
        return ["it cannot be replayed"]
    found = list(report["problems"])
    strange = ("missing", "outside_of_trace")
    for name in ("compared", "chunks"):
        part = report[name] or {"commands": 0, "identical": 0}
        if part["identical"] + part.get("missing", 0) != part["commands"]:
            found.append(f"{name}: {part['identical']} of {part['commands']} identical")
        found += [f"{name}: {part[what]} {what}" for what in ("additional", *(() if strangers else strange)) if part.get(what)]
    if report["pictures"][0] != report["pictures"][1]:
        found.append(f"pictures: {report['pictures']}")
    return found


def record(name: str, keep_in: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="judge_") as temporary:
        folder = Path(temporary)
        rig = Rig(SCENARIOS[name], folder)
        try:
            rig.begin()
            SCENARIOS[name].happens(rig)
            rig.end()
        finally:
            rig.close()
        (file,) = rig.bag.glob("*.mcap")
        report, said = replayed(file, folder)
        print(said)
        found = flaws(report, SCENARIOS[name].strangers)
        if found:
            print(f"{name} is not kept: {'; '.join(found)}")
            shutil.copy(file, f"/tmp/judge_failed_{name}.mcap")
            raise SystemExit(1)
        keep_in.mkdir(exist_ok=True)
        shutil.copy(file, keep_in / f"{name}.mcap")
        print(f"{name}: {file.stat().st_size / 1000:.0f} kB, {report['commands']} commands, {report['chunks'] and report['chunks']['commands']} chunks")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--all", action="store_true", help="each of them; to begin with, and then never again")
    parser.add_argument("--into", type=Path, default=BAGS, help="another folder for the bags")
    args = parser.parse_args()
    names = list(SCENARIOS) if args.all else args.names
    if not names or set(names) - set(SCENARIOS):
        parser.error(f"names of scenarios are {', '.join(SCENARIOS)}")
    rclpy.init()
    for name in names:
        record(name, args.into)
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
