"""Who is believed: two that command, two that propose, every kind of emergency stop, and strangers' robot descriptions."""

from __future__ import annotations

import json
import threading
import time

import pytest
import rclpy
from graph_tools import ERROR, LATCHED, OK, READY, URDF, WARN, Robot, chunk, now, values
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Bool, Float64, String
from std_srvs.srv import SetBool, Trigger
from test_motion import MOTION, Motion
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

SENDERS = "trajectory_publisher: senders"
EMERGENCY = "trajectory_publisher: emergency_stop"
CONNECTIONS = "trajectory_publisher: connections"
DESCRIPTION = "trajectory_publisher: robot_description"
ARM_TOPIC = "/panda_arm_controller/joint_trajectory"
HAND_TOPIC = "/panda_hand_controller/joint_trajectory"

# What the publisher says of a follower that had no turn.
STOOD_STILL = ("seems to be switched off", "joint_states are silent")

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
KINDS = {
    "best effort": BEST_EFFORT,
    "reliable": QoSProfile(depth=1),
    "latched": LATCHED,
    "latched best effort": QoSProfile(
        depth=1, reliability=ReliabilityPolicy.BEST_EFFORT, durability=DurabilityPolicy.TRANSIENT_LOCAL
    ),
}
EACH_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


class Follower:
    """A robot whose joints are where the newest window says, on a thread of its own."""

    def __init__(self, probe, topics=(ARM_TOPIC, HAND_TOPIC)):
        self.robot = Robot(probe, camera=False)
        self._node = rclpy.create_node(f"follower_{time.monotonic_ns()}")
        for place, topic in zip((slice(0, 7), slice(7, 8)), topics):
            self._node.create_subscription(JointTrajectory, topic, lambda window, p=place: self.take(window, p), 10)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def take(self, window, place):
        if window.points:
            self.robot.positions[place] = list(window.points[0].positions)

    def stop(self):
        self._executor.shutdown()
        self._thread.join(5.0)
        self._node.destroy_node()
        self.robot.stop()


@pytest.fixture
def follower(probe):
    follower = Follower(probe)
    yield follower
    follower.stop()


@pytest.fixture
def others(_context):
    """Make nodes of others: others("teleop", "/left"). All are gone with the test."""
    nodes = []

    def make(name, namespace=""):
        nodes.append(rclpy.create_node(name, namespace=namespace))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


def call(probe, service, kind=Trigger, request=None):
    return probe.call(kind, f"trajectory_publisher/{service}", request or kind.Request())


def arm(probe, armed=True):
    return call(probe, "arm", SetBool, SetBool.Request(data=armed))


def matched(probe, publisher, number=1):
    probe.until(lambda: publisher.get_subscription_count() >= number, what="a subscription")


def revives(motion):
    """On a busy machine the follower, which is this process, may stand still for a moment: that is a stop, and not what is asked here."""
    status = motion.health.newest(MOTION)
    if status and "~/resume" in status.message and any(why in status.message for why in STOOD_STILL):
        call(motion.probe, "resume")


def stopped_by(motion, *words):
    """The newest status of motion, if it is a stop whose message holds all words."""
    told = motion.health.newest(MOTION)
    return told if told and told.level == ERROR and all(word in told.message for word in words) else None


def disturbs(motion, other, *words):
    """Publish to a controller until that has stopped the robot by these words, and return the status. Once is enough; but where the follower had no turn,
    the robot rests for that, and is brought back before it can be stopped."""
    sent = [0.0]

    def stopped():
        if told := stopped_by(motion, *words):
            return told
        if time.monotonic() > sent[0] + 2.0:
            revives(motion)
            sent[0] = time.monotonic()
            other.publish(JointTrajectory())
        return None

    return motion.probe.until(stopped, what=f"a stop by {words}")


class Stream:
    """Proposes and keeps on proposing, so that the arm never runs out of chunks."""

    def __init__(self, motion, follower, by=0.2):
        self.motion, self.follower, self.by, self.sent = motion, follower, by, 0.0

    def until(self, condition, what):
        def met():
            if time.monotonic() > self.sent + 0.3:
                self.sent = time.monotonic()
                revives(self.motion)
                self.motion.send(self.follower.robot.positions, by=self.by, rows=30)
            return condition()

        return self.motion.probe.until(met, what=what)

    def moves(self, windows=20):
        enough = len(self.motion.arm) + windows
        self.until(lambda: len(self.motion.arm) > enough, "windows")


def command(positions):
    point = JointTrajectoryPoint(positions=list(positions))
    point.time_from_start.sec = 5
    return JointTrajectory(joint_names=[f"panda_joint{i}" for i in range(1, 8)], points=[point])


# Two that command the controllers.


def test_another_that_sends_to_a_controller_is_told_before_and_stops_the_robot_by_name(start, probe, follower, others):
    motion = Motion(start, probe)
    motion.ready()
    stream = Stream(motion, follower)
    stream.moves()
    node = others("teleop", "/left")
    # A second node, so that the name is found out by the message's identifier and not guessed.
    idle = others("teleop", "/right").create_publisher(JointTrajectory, ARM_TOPIC, 1)
    other = node.create_publisher(JointTrajectory, ARM_TOPIC, 1)
    stream.until(
        lambda: (s := motion.health.newest(SENDERS)) and s.level == WARN and "'/left/teleop'" in s.message,
        "a warning that it exists",
    )
    stream.moves()
    matched(probe, other)
    told = disturbs(motion, other, "'/left/teleop'", ARM_TOPIC, "~/resume")
    assert "/right" not in told.message
    motion.rests()
    motion.knows(motion.send(follower.robot.positions))
    motion.sends_nothing()
    # It is over, and the robot is resumed: it moves again.
    node.destroy_publisher(other)
    assert call(probe, "resume").success
    motion.health.wait(MOTION, WARN, "at rest")
    stream.moves()
    assert idle


def test_while_the_other_goes_on_no_resume_helps_and_once_it_is_silent_one_does(start, probe, follower, others):
    motion = Motion(start, probe)
    motion.ready()
    other = others("rqt").create_publisher(JointTrajectory, HAND_TOPIC, BEST_EFFORT)
    matched(probe, other)
    stream = Stream(motion, follower)
    stream.moves()
    disturbs(motion, other, "'/rqt'", HAND_TOPIC)
    for _ in range(3):
        assert call(probe, "resume").success
        other.publish(JointTrajectory())
        motion.health.wait(MOTION, ERROR, "'/rqt'")
        motion.knows(motion.send(follower.robot.positions))
        motion.sends_nothing()
    probe.spin(1.1)
    assert call(probe, "resume").success
    stream.moves()


def test_at_rest_and_armed_the_other_stops_it_as_well_and_before_arming_it_delays_the_start(start, probe, follower, others):
    motion = Motion(start, probe, armed_at_start=False)
    motion.health.wait(MOTION, WARN, "disarmed")
    other = others("leftover").create_publisher(JointTrajectory, ARM_TOPIC, 1)
    matched(probe, other)
    motion.health.wait(SENDERS, WARN, "'/leftover'")

    def sends():
        other.publish(JointTrajectory())
        probe.spin(0.05)

    # Disarmed: nothing of ours, so nothing is stopped.
    sends()
    assert arm(probe).success
    begun = time.monotonic()

    def refused():
        motion.send(follower.robot.positions)
        return "'/leftover'" in values(motion.health.newest(MOTION))["last refusal"]

    probe.until(refused, what="a refusal that names it")
    stream = Stream(motion, follower)
    stream.moves(1)
    assert time.monotonic() - begun > 0.8, "one second after the other's last message"
    motion.rests()
    sends()
    motion.health.wait(MOTION, ERROR, "at rest", "'/leftover'", "~/resume")


def test_a_second_trajectory_publisher_is_noticed_by_the_first(start, probe, follower):
    motion = Motion(start, probe)
    motion.ready()
    Stream(motion, follower).moves()
    Motion(start, probe)  # a second launch: the same names
    motion.health.wait(SENDERS, WARN, "'/trajectory_publisher' can send")

    def stopped():
        motion.send(follower.robot.positions)
        status = motion.health.newest(MOTION)
        return status.level == ERROR and "'/trajectory_publisher' sends on" in status.message

    probe.until(stopped, what="a stop that names the other")


def test_a_publisher_that_was_killed_and_started_anew_is_no_stranger_to_itself(start, probe, follower):
    first = Motion(start, probe)
    first.ready()
    Stream(first, follower).moves()
    first.process.popen.kill()
    second = Motion(start, probe)
    second.ready()
    Stream(second, follower).moves(50)
    assert "sends on" not in second.process.log


def test_with_remapped_topics_in_a_namespace_the_other_is_found_where_the_commands_go(start, probe, others):
    follower = Follower(probe, ("/real/arm", "/cell/panda_hand_controller/joint_trajectory"))
    arguments = ["-r", "__ns:=/cell", "-r", "panda_arm_controller/joint_trajectory:=/real/arm"]
    arguments += ["-r", "joint_states:=/joint_states", "-r", "action_chunk:=/action_chunk", "-r", "trajectory_publisher:=x"]
    from graph_tools import Health, ros

    health = Health(probe)
    start("trajectory_publisher", *ros(robot_description_file=URDF, armed_at_start=True), *arguments[:-2])
    health.wait("/cell/trajectory_publisher: joint_states", OK)
    chunks = probe.node.create_publisher(JointTrajectory, "/action_chunk", 1)
    arm_windows = probe.hear(JointTrajectory, "/real/arm", QoSProfile(depth=200))

    def moves():
        chunks.publish(chunk(now(probe), [[*READY, 0.04]] * 10))
        probe.spin(0.2)
        return len(arm_windows) > 5

    probe.until(moves, what="windows")
    # Where the topic's own name would be nobody listens: it is no conflict.
    beside = others("beside").create_publisher(JointTrajectory, "/cell/panda_arm_controller/joint_trajectory", 1)
    beside.publish(JointTrajectory())
    other = others("jog", "/real").create_publisher(JointTrajectory, "arm", 1)
    matched(probe, other, 2)
    health.wait(f"/cell/{SENDERS}", WARN, "'/real/jog'", "'/real/arm'")
    assert "beside" not in health.newest(f"/cell/{SENDERS}").message
    other.publish(JointTrajectory())
    health.wait(f"/cell/{MOTION}", ERROR, "'/real/jog'", "'/real/arm'")
    follower.stop()


def test_a_bag_whose_commands_are_played_while_armed_stops_the_robot_and_a_recorder_does_not(start, probe, follower, tmp_path):
    rosbags = pytest.importorskip("rosbags.rosbag2")
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    kind = "trajectory_msgs/msg/JointTrajectory"
    header = store.types["std_msgs/msg/Header"](stamp=store.types["builtin_interfaces/msg/Time"](sec=0, nanosec=0), frame_id="")
    empty = store.types[kind](header=header, joint_names=[], points=[])
    with rosbags.Writer(tmp_path / "bag", version=9, storage_plugin=rosbags.StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(ARM_TOPIC, kind, typestore=store)
        for beat in range(100):
            writer.write(connection, 10**9 + beat * 10**8, store.serialize_cdr(empty, kind))
    motion = Motion(start, probe)
    motion.ready()
    stream = Stream(motion, follower)
    stream.moves()
    start("recorder", "--ros-args", "-p", f"folder:={tmp_path / 'recorded'}")
    stream.until(lambda: "recorder" in probe.node.get_node_names(), "the recorder")
    stream.moves(50)
    start("efm-play", str(tmp_path / "bag"), "--all", "--delay", "4")
    stream.until(lambda: stopped_by(motion, "'/player'", ARM_TOPIC), "the stop by the player's name")


# Two that propose.


def test_one_source_of_chunks_is_held_to_and_the_other_is_refused_by_name(start, probe, follower, others):
    motion = Motion(start, probe)
    motion.ready()
    other = others("other_policy", "/lab").create_publisher(JointTrajectory, "/action_chunk", 1)
    matched(probe, other)
    stream = Stream(motion, follower, by=0.3)
    stream.moves()
    begun = follower.robot.positions[0]

    sent = [0.0]

    def both():
        # Not a flood: the follower shares this process, and a robot that does not keep up is one that does not follow.
        if time.monotonic() < sent[0] + 0.1:
            return follower.robot.positions[0] > begun + 0.3
        sent[0] = time.monotonic()
        # Stamped further ahead than ours, and the other way.
        where = follower.robot.positions
        rows = [[where[0] - 0.05 * (k + 1), *where[1:8]] for k in range(10)]
        other.publish(chunk(now(probe, 0.04), rows))
        return follower.robot.positions[0] > begun + 0.3

    stream.until(both, "motion towards what the first one proposes")
    told = motion.health.wait(SENDERS, WARN, "'/lab/other_policy'", "refused")
    assert f"'/{probe.node.get_name()}'" in told.message, "and who is followed"
    # A chunk that is taken meanwhile takes the last refusal's place.
    heard = [status for array in motion.health.heard for status in array.status if status.name == MOTION]
    assert any("'/lab/other_policy'" in values(status).get("last refusal", "") for status in heard)
    # Broken chunks of the other one do not stop the robot.
    for _ in range(5):
        other.publish(chunk(now(probe), [[float("nan")] * 8] * 3))
    stream.moves(50)
    # The first falls silent: the other one may, once it has been silent for long enough.
    silent = time.monotonic()
    motion.send(follower.robot.positions, by=0.0)
    before = follower.robot.positions[0]

    def turned():
        where = follower.robot.positions
        other.publish(chunk(now(probe), [[where[0] - 0.02 * (k + 1), *where[1:8]] for k in range(10)]))
        probe.spin(0.1)
        revives(motion)
        return follower.robot.positions[0] < before - 0.05

    probe.until(turned, what="motion towards what the second one proposes")
    assert time.monotonic() - silent > 0.9


def test_a_source_of_chunks_that_is_gone_is_not_waited_for_though_it_spoke_seldom(start, probe, follower, others):
    motion = Motion(start, probe)
    motion.ready()
    node = others("slow_policy")
    slow = node.create_publisher(JointTrajectory, "/action_chunk", 1)
    matched(probe, slow)
    for _ in range(3):
        before = len(motion.arm)
        slow.publish(chunk(now(probe), [[*follower.robot.positions[:8]]] * 20))
        probe.until(lambda before=before: len(motion.arm) > before, what="windows")
        probe.spin(3.0)
    refused = lambda: "'/slow_policy'" in values(motion.health.newest(MOTION))["last refusal"]  # noqa: E731
    stream = Stream(motion, follower)
    stream.until(refused, "a refusal: it may have something to say still")
    node.destroy_publisher(slow)
    begun = time.monotonic()
    stream.moves()
    assert time.monotonic() - begun < 6.0, "not three of its intervals"


# Every kind of emergency stop.


@EACH_KIND
def test_an_emergency_stop_of_every_kind_of_publisher_stops_the_motion(start, probe, follower, others, kind):
    motion = Motion(start, probe)
    motion.ready()
    motion.health.wait(EMERGENCY, OK, "nobody publishes")
    button = others("button", "/cell").create_publisher(Bool, "/emergency_stop", kind)
    matched(probe, button)
    motion.health.wait(EMERGENCY, OK, "'/cell/button'")
    stream = Stream(motion, follower)
    stream.moves()
    button.publish(Bool(data=True))
    motion.health.wait(MOTION, ERROR, "emergency stop", "'/cell/button'", "~/arm")
    motion.rests()
    motion.knows(motion.send(follower.robot.positions))
    motion.sends_nothing()
    assert motion.process.log.count("nothing is sent any more") == 1, "once, however many copies came"
    assert arm(probe).success
    stream.moves()


def test_an_emergency_stop_that_was_latched_before_the_node_began_holds_against_armed_at_start(start, probe, follower, others):
    button = others("button").create_publisher(Bool, "/emergency_stop", LATCHED)
    button.publish(Bool(data=True))
    motion = Motion(start, probe)
    motion.health.wait(MOTION, ERROR, "emergency stop", "'/button'")
    motion.knows(motion.send(follower.robot.positions))
    motion.sends_nothing()
    assert motion.arm == []


@EACH_KIND
def test_a_speed_scale_of_every_kind_of_publisher_is_heard(start, probe, follower, others, kind):
    early = kind.durability == DurabilityPolicy.TRANSIENT_LOCAL and kind.reliability == ReliabilityPolicy.RELIABLE
    watcher = others("watcher").create_publisher(Float64, "/speed_scale", kind)
    if early:
        watcher.publish(Float64(data=0.3))
    motion = Motion(start, probe)
    motion.ready()
    if not early:
        matched(probe, watcher)
        watcher.publish(Float64(data=0.3))
    probe.until(lambda: values(motion.health.newest(MOTION)).get("speed scale") == "0.30", what="the speed scale")


def test_goals_and_instructions_of_every_kind_of_publisher_are_heard_once_each(start, probe, others):
    start("goal_intake", "--ros-args", "-p", "goal_timeout:=0.0")
    statuses = probe.hear(String, "goal_status", QoSProfile(depth=50))
    node = others("asks")
    probe.until(lambda: probe.node.count_publishers("goal_status") == 1, what="goal_intake")
    for name, kind in KINDS.items():
        goal = node.create_publisher(String, "/goal", kind)
        matched(probe, goal)
        tried = []

        def active(name=name):
            told = [json.loads(status.data) for status in statuses]
            return [status["goal"] for status in told if status["state"] == "active" and name in status["goal"]]

        def heard(goal=goal, name=name, tried=tried, active=active):
            # Either side finds the other in its own time, so the first ones may be for nobody; each is another goal.
            tried.append(f"push the {name} cube {len(tried)} times")
            goal.publish(String(data=tried[-1]))
            probe.spin(0.3)
            return active()

        probe.until(heard, what=name)
        probe.quiet(statuses, 0.5, "goal_status")
        assert len(set(active())) == len(active()), "copies are no goals"
        node.destroy_publisher(goal)
    # A goal that was latched before is one of yesterday.
    yesterday = node.create_publisher(String, "/goal", LATCHED)
    yesterday.publish(String(data="push the old cube"))
    start("goal_intake", "--ros-args", "-r", "__node:=second", "-r", "goal_status:=second_status")
    heard = probe.hear(String, "second_status", QoSProfile(depth=50))
    matched(probe, yesterday, 3)
    probe.quiet(heard, 0.5, "second_status")
    assert heard == []


def kept(tmp_path):
    return list(tmp_path.glob("embodied_fm/*.estop"))


def test_an_emergency_stop_outlives_a_killed_process_until_it_is_armed(start, probe, follower, others, tmp_path):
    motion = Motion(start, probe)
    motion.ready()
    button = others("button").create_publisher(Bool, "/emergency_stop", BEST_EFFORT)
    matched(probe, button)
    button.publish(Bool(data=True))
    probe.until(lambda: "emergency stop (topic" in motion.process.log, what="the stop")
    motion.process.popen.kill()
    assert "'/button'" in kept(tmp_path)[0].read_text()
    # Only the dead process had heard it.
    again = Motion(start, probe)
    again.health.wait(MOTION, ERROR, "emergency stop", "'/button'", "kept in", "~/arm")
    again.health.wait(EMERGENCY, ERROR, "kept in")
    call(probe, "resume")
    arm(probe, False)
    again.knows(again.send(follower.robot.positions))
    again.sends_nothing()
    assert again.arm == [] and kept(tmp_path), "neither of these ends it"
    assert arm(probe).success
    Stream(again, follower).moves()
    assert kept(tmp_path) == []
    again.process.popen.kill()
    third = Motion(start, probe)
    third.ready()
    Stream(third, follower).moves()


def test_the_service_is_kept_too_and_each_node_has_a_file_of_its_own(start, probe, follower, tmp_path):
    motion = Motion(start, probe)
    motion.ready()
    assert call(probe, "emergency_stop").success
    (file,) = kept(tmp_path)
    assert file.name.endswith(".trajectory_publisher.estop")
    from graph_tools import ros

    left = start("trajectory_publisher", *ros(robot_description_file=URDF), "-r", "__ns:=/left")
    probe.until(lambda: ("trajectory_publisher", "/left") in probe.node.get_node_names_and_namespaces(), what="left")
    probe.spin(1.0)
    assert "from before" not in left.log


def test_a_file_that_cannot_be_written_is_told_from_the_start_and_one_that_cannot_be_read_may_hold_a_stop(start, probe, follower, tmp_path):
    motion = Motion(start, probe, emergency_stop_file="/proc/nowhere/it.estop")
    motion.health.wait(EMERGENCY, WARN, "cannot write", "/proc/nowhere", "emergency_stop_file")
    motion.ready()
    assert call(probe, "emergency_stop").success
    motion.health.wait(EMERGENCY, ERROR, "cannot write")
    motion.process.stop()
    folder = tmp_path / "a_folder"
    folder.mkdir()
    again = Motion(start, probe, emergency_stop_file=folder)
    again.health.wait(MOTION, ERROR, "emergency stop", "cannot read", "a_folder")
    assert again.arm == []


def test_without_the_heartbeat_nothing_moves_and_its_silence_is_an_emergency_stop(start, probe, follower, others):
    motion = Motion(start, probe, emergency_stop_heartbeat=0.5)
    # Armed at its start, and never heard.
    motion.health.wait(MOTION, ERROR, "emergency stop", "silent")
    refused = arm(probe)
    assert not refused.success and "never heard" in refused.message
    node = others("button")
    beat = node.create_publisher(Bool, "/emergency_stop", BEST_EFFORT)
    timer = threading.Event()

    def beats():
        while not timer.wait(0.05):
            beat.publish(Bool(data=False))

    thread = threading.Thread(target=beats, daemon=True)
    thread.start()
    motion.health.wait(EMERGENCY, ERROR, "call ~/arm")
    probe.until(lambda: arm(probe).success, what="arming")
    motion.health.wait(EMERGENCY, OK, "'/button'")
    stream = Stream(motion, follower)
    stream.moves(100)
    timer.set()
    thread.join()
    motion.health.wait(MOTION, ERROR, "emergency stop", "silent for")
    motion.rests()


# What is not matched.


def test_what_is_not_matched_is_told_on_diagnostics_by_topic_policy_and_node(start, probe, follower, others):
    motion = Motion(start, probe)
    motion.ready()
    motion.health.wait(CONNECTIONS, OK)
    node = others("odd", "/lab")
    # A subscription that asks us for more than we offer, and a publisher that offers us less than we ask for.
    node.create_subscription(JointTrajectory, "/execution_state", lambda _: None, LATCHED)
    from action_msgs.msg import GoalStatusArray

    topic = "/panda_arm_controller/follow_joint_trajectory/_action/status"
    status = node.create_publisher(GoalStatusArray, topic, QoSProfile(depth=1))
    told = motion.health.wait(CONNECTIONS, WARN, "'/lab/odd'", "'/execution_state'", f"'{topic}'", "durability")
    assert motion.process.log.count(f"topic '{topic}'") == 1, "logged once"
    # Publishers of another kind on topics of which everyone is heard are no trouble.
    node.create_publisher(Bool, "/emergency_stop", BEST_EFFORT)
    motion.health.wait(EMERGENCY, OK, "'/lab/odd'")
    assert "emergency_stop" not in told.message
    node.destroy_node()
    motion.health.wait(CONNECTIONS, OK)
    assert status


# Names that are remapped.


def subscribed(probe, topic):
    names = (info.node_name for info in probe.node.get_subscriptions_info_by_topic(topic))
    return "trajectory_publisher" in names


NAMED = "/panda_arm_controller"
STATUS = "follow_joint_trajectory/_action/status"


@pytest.mark.parametrize(
    ("remapped", "heard"),
    [
        ((), f"{NAMED}/{STATUS}"),
        ((f"{NAMED}/joint_trajectory:=/left/jtc/joint_trajectory",), f"/left/jtc/{STATUS}"),
        ((f"{NAMED[1:]}/joint_trajectory:=jtc/joint_trajectory",), f"/jtc/{STATUS}"),
        (
            (f"{NAMED}/joint_trajectory:=/left/jtc/joint_trajectory", f"{NAMED}/{STATUS}:=/elsewhere/status"),
            "/elsewhere/status",
        ),
        # To a relay: who knows what is behind it.
        ((f"{NAMED}/joint_trajectory:=/relay/input",), f"{NAMED}/{STATUS}"),
    ],
)
def test_what_a_controller_tells_is_listened_to_beside_where_it_is_commanded(start, probe, follower, remapped, heard):
    from action_msgs.msg import GoalStatus, GoalStatusArray

    motion = Motion(start, probe, remappings=remapped)
    probe.until(lambda: subscribed(probe, heard), what=f"a subscription of {heard}")
    assert [topic for topic in (f"{NAMED}/{STATUS}", f"/left/jtc/{STATUS}") if topic != heard and subscribed(probe, topic)] == []
    publisher = probe.node.create_publisher(GoalStatusArray, heard, LATCHED)
    publisher.publish(GoalStatusArray(status_list=[GoalStatus(status=GoalStatus.STATUS_EXECUTING)]))
    motion.health.wait(MOTION, WARN, "somebody else", "panda_arm_controller")


# Strangers' robot descriptions.


def latched_text(node, topic, text):
    publisher = node.create_publisher(String, topic, LATCHED)
    publisher.publish(String(data=text))
    return publisher


def test_another_robots_description_is_not_taken_while_armed_and_told_when_it_is(start, probe, follower, others):
    text = URDF.read_text()
    rsp = latched_text(others("robot_state_publisher"), "/robot_description", text)
    motion = Motion(start, probe, robot_description_file="''", armed_at_start=False)
    motion.health.wait(DESCRIPTION, OK, "pairs of bodies")
    assert arm(probe).success
    stream = Stream(motion, follower)
    stream.moves()
    # The same text of somebody else is no news.
    same = latched_text(others("twin"), "/robot_description", text)
    stranger = others("stranger", "/lab")
    slower = text.replace('velocity="2.175"', 'velocity="0.5"')
    assert slower != text
    other = latched_text(stranger, "/robot_description", slower)
    stream.until(
        lambda: (s := motion.health.newest(DESCRIPTION)) and s.level == WARN and "'/lab/stranger'" in s.message,
        "a warning",
    )
    assert "while armed" in motion.health.newest(DESCRIPTION).message
    stream.moves()
    assert arm(probe, False).success
    motion.rests()
    told = motion.health.wait(DESCRIPTION, WARN, "'/lab/stranger'", "joints with other limits", "'panda_joint1'")
    assert "twin" not in told.message
    assert arm(probe).success
    motion.health.wait(DESCRIPTION, OK, "pairs of bodies")
    stream.moves()
    assert rsp and same and other


def test_a_description_that_is_not_the_newest_any_more_is_never_taken(start, probe, follower, others):
    text = URDF.read_text()
    rsp = latched_text(others("robot_state_publisher"), "/robot_description", text)
    motion = Motion(start, probe, robot_description_file="''", armed_at_start=False)
    motion.health.wait(DESCRIPTION, OK)
    assert arm(probe).success
    node = others("stranger")
    latched_text(node, "/robot_description", text.replace('velocity="2.175"', 'velocity="0.5"'))
    motion.health.wait(DESCRIPTION, WARN, "while armed")
    rsp.publish(String(data=text))
    motion.health.wait(DESCRIPTION, OK)
    assert arm(probe, False).success
    motion.health.wait(MOTION, WARN, "disarmed")
    probe.spin(0.5)
    assert motion.health.newest(DESCRIPTION).level == OK


def test_a_robot_that_does_not_fit_and_a_semantic_description_are_told_too(start, probe, follower, others):
    text = URDF.read_text()
    srdf = (URDF.parent / "panda.srdf").read_text()
    node = others("robot_state_publisher")
    keep = [latched_text(node, "/robot_description", text), latched_text(node, "/robot_description_semantic", srdf)]
    none = "robot_description_semantic_file"
    motion = Motion(start, probe, robot_description_file="''", armed_at_start=False, **{none: "''"})
    motion.health.wait(DESCRIPTION, OK)
    assert arm(probe).success
    stranger = others("stranger")
    fewer = "\n".join(line for line in srdf.splitlines() if 'reason="Never"' not in line)
    assert fewer != srdf
    keep.append(latched_text(stranger, "/robot_description_semantic", fewer))
    motion.health.wait(DESCRIPTION, WARN, "robot_description_semantic of node '/stranger'", "while armed")
    Stream(motion, follower).moves()
    assert arm(probe, False).success
    motion.rests()
    motion.health.wait(DESCRIPTION, WARN, "'/stranger'", "pairs of bodies instead of")
    # Another robot altogether, disarmed: taken, and nothing moves.
    keep.append(latched_text(stranger, "/robot_description", '<robot name="other"><link name="base"/></robot>'))
    motion.health.wait(DESCRIPTION, WARN, "'/stranger'", "does not fit")
    assert not arm(probe).success
