"""trajectory_publisher before a robot whose hand has a driver of its own: no controller of ours moves it, but where its fingers are matters."""

from __future__ import annotations

import math
import time

import pytest
import yaml
from graph_tools import ARM, ERROR, FINGER, OK, URDF, Health, Robot, chunk, now, values
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

MOTION = "trajectory_publisher: motion"
STATES = "trajectory_publisher: joint_states"
EVERY = QoSProfile(depth=200)
# The hand points down, 0.307 m before the base.
HOME = [0.0, -math.pi / 4, 0.0, -3 * math.pi / 4, 0.0, math.pi / 2, math.pi / 4]
OPEN, CLOSED = 0.04, 0.0
# Inside the open left finger; 27 mm beside the closed one.
POST = {
    "id": "post",
    "primitives": [{"type": "box", "dimensions": [0.01, 0.01, 0.1]}],
    "primitive_poses": [{"position": [0.306891, -0.044, 0.44]}],
}


class Cell:
    """The publisher, told of the arm's controller only, and an arm that goes where it is sent."""

    def __init__(self, start, probe, robot, folder, **parameters):
        self.probe, self.robot = probe, robot
        self.health = Health(probe)
        self.windows: list[JointTrajectory] = []
        self.follows = probe.node.create_subscription(
            JointTrajectory, "panda_arm_controller/joint_trajectory", self.follow, EVERY
        )
        self.chunks = probe.node.create_publisher(JointTrajectory, "action_chunk", 1)
        obstacles = folder / "obstacles.yaml"
        obstacles.write_text(yaml.safe_dump({"collision_objects": [POST]}))
        settings = {
            "joint_limits_file": "config/joint_limits.yaml",
            "controllers": {"panda_arm_controller": ARM},
            "robot_description_file": str(URDF),
            "robot_description_semantic_file": "urdf/panda.srdf",
            "obstacles_file": str(obstacles),
            "armed_at_start": True,
            # Pauses of a busy machine are not what this is about.
            "max_joint_state_age": 0.5,
            "max_clock_jump": 0.5,
            "max_tracking_error": 1.0,
            **parameters,
        }
        file = folder / "parameters.yaml"
        file.write_text(yaml.safe_dump({"trajectory_publisher": {"ros__parameters": settings}}))
        self.process = start("trajectory_publisher", "--ros-args", "--params-file", str(file))

    def follow(self, window):
        self.windows.append(window)
        self.robot.positions[:7] = list(window.points[1].positions)

    def tell(self, *finger):
        """From now on joint_states tell this of the finger, or nothing."""
        self.robot.positions[7:] = finger
        self.robot.names = [*ARM, FINGER] if finger else list(ARM)

    def propose(self):
        """A policy's word: turn joint 1 slowly, away from the post."""
        rows = [[self.robot.positions[0] + 0.02 * (k + 1), *HOME[1:]] for k in range(10)]
        self.chunks.publish(chunk(now(self.probe), rows, names=ARM))

    def proposing(self, condition, what, timeout=30.0):
        """Propose, as a policy does, until something is so."""
        sent = [0.0]

        def met():
            if time.monotonic() > sent[0] + 0.3:
                self.propose()
                sent[0] = time.monotonic()
            return condition()

        return self.probe.until(met, timeout, what)

    def says(self, task, level, *words):
        """Wait until a task is at a level, its message holding all words, while a policy proposes."""

        def told():
            status = self.health.newest(task)
            return status and status.level == level and all(word in status.message for word in words) and status

        try:
            return self.proposing(told, f"{task}: {words}")
        except BaseException:
            print(f"newest {task!r}: {self.health.newest(task)}")
            raise

    def took(self):
        status = self.health.newest(MOTION)
        return int(values(status)["chunks taken"]) if status else 0

    def refuses(self, task, *words):
        """It says so, takes what is proposed, and nothing moves."""
        self.says(task, ERROR, *words)
        before, taken = len(self.windows), self.took()
        self.proposing(lambda: self.took() >= taken + 3, "chunks that are taken")
        assert len(self.windows) == before
        return self.says(task, ERROR, *words)

    def moves(self, windows=30):
        enough = len(self.windows) + windows
        self.proposing(lambda: len(self.windows) >= enough, "windows")

    def call(self, service):
        return self.probe.call(Trigger, f"trajectory_publisher/{service}", Trigger.Request())


@pytest.fixture
def robot(probe):
    robot = Robot(probe, camera=False)
    robot.names, robot.positions = list(ARM), list(HOME)
    yield robot
    robot.stop()


def test_a_finger_with_its_own_driver_must_be_told_and_counts_where_it_is(start, probe, robot, tmp_path):
    cell = Cell(start, probe, robot, tmp_path)
    # Everything is told but the finger.
    cell.refuses(MOTION, FINGER)
    status = cell.says(STATES, ERROR, FINGER, "missing")
    assert values(status)[f"other joint '{FINGER}'"] == "?"
    # The post is in the open finger.
    cell.tell(OPEN)
    cell.refuses(MOTION, "post", "finger")
    cell.says(STATES, OK)
    # Closed it is clear of it.
    cell.tell(CLOSED)
    cell.moves()
    status = cell.says(STATES, OK)
    assert values(status)[f"other joint '{FINGER}'"] == "0.0000"
    # It is lost on the way: a stop for good, which names it.
    cell.tell()
    status = cell.says(MOTION, ERROR, FINGER, "resume")
    probe.quiet(cell.windows, 0.5, "windows")
    assert all(v == 0.0 for v in cell.windows[-1].points[-1].velocities)
    before = len(cell.windows)
    # To resume alone does not help.
    assert cell.call("resume").success
    cell.refuses(MOTION, FINGER)
    cell.tell(CLOSED)
    cell.moves()
    assert len(cell.windows) > before


def test_what_is_no_number_is_no_position(start, probe, robot, tmp_path):
    cell = Cell(start, probe, robot, tmp_path)
    cell.tell(math.nan)
    cell.refuses(MOTION, FINGER, "NaN")
    cell.tell(CLOSED)
    cell.moves()


def test_a_joint_that_nobody_tells_can_be_declared_and_not_against_what_is_told(start, probe, robot, tmp_path):
    cell = Cell(start, probe, robot, tmp_path, fixed_joints=[f"{FINGER}={CLOSED}"])
    cell.moves()
    status = cell.says(STATES, OK)
    assert values(status)[f"other joint '{FINGER}'"] == "0.0000 (parameter fixed_joints)"
    cell.tell(0.03)
    cell.says(MOTION, ERROR, FINGER, "fixed_joints", "0.0300")


def test_a_declaration_of_a_joint_that_does_not_exist_is_refused_by_name(start, probe, robot, tmp_path):
    cell = Cell(start, probe, robot, tmp_path, fixed_joints=["panda_finger=0.0"])
    cell.tell(CLOSED)
    cell.says(MOTION, ERROR, "fixed_joints", "'panda_finger'", FINGER)
    assert not cell.windows
