"""The player: a bag comes back onto the graph as it was."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from graph_tools import LATCHED, Health, image, now, policy, ros, seconds, values
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from std_msgs.msg import String

# Where a ROS 2 is sourced, its Python may not have it.
pytest.importorskip("rosbags")
from rosbags.rosbag2 import StoragePlugin, Writer  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402

STORE = get_typestore(Stores.ROS2_JAZZY)
LOSSY = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
BEGUN = 1_600_000_000 * 10**9


def text_bag(folder: Path, messages: list[tuple[str, float, str]], qos: dict[str, list] | None = None) -> Path:
    """A bag of texts (topic, seconds, text) by another writer than ours."""
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        for topic, at, text in messages:
            if topic not in connections:
                profiles = (qos or {}).get(topic, [])
                connections[topic] = writer.add_connection(topic, "std_msgs/msg/String", typestore=STORE, offered_qos_profiles=profiles)
            kind = STORE.types["std_msgs/msg/String"]
            data = STORE.serialize_cdr(kind(data=text), "std_msgs/msg/String")
            writer.write(connections[topic], BEGUN + round(at * 1e9), data)
    return folder


def texts(heard: list) -> list[str]:
    return [message.data for message in heard]


def test_messages_come_in_order_at_the_pace_of_the_recording_and_faster_at_a_rate(start, probe, tmp_path):
    bag = text_bag(tmp_path / "bag", [("/goal", 0.1 * i, str(i)) for i in range(31)])
    took = {}
    for rate in (1.0, 3.0):
        arrived: list[float] = []
        heard: list[str] = []

        def take(message: String) -> None:
            arrived.append(time.monotonic())
            heard.append(message.data)

        subscription = probe.node.create_subscription(String, "goal", take, 100)
        player = start("efm-play", str(bag), "--all", "--delay", "4", "--rate", str(rate))
        probe.until(lambda: len(heard) == 31, 60.0, "all messages")
        assert player.code(30.0) == 0 and "31 messages were published" in player.log
        assert heard == [str(i) for i in range(31)]
        took[rate] = arrived[-1] - arrived[0]
        probe.node.destroy_subscription(subscription)
    # Never faster than it was asked for; how much later is the machine's affair.
    assert took[1.0] > 2.8 and 0.9 < took[3.0] < took[1.0] + 5.0, took


def test_latched_topics_are_latched_again_and_lossy_ones_lossy(start, probe, tmp_path):
    recorded = tmp_path / "bag"
    latched = probe.node.create_publisher(String, "instruction", LATCHED)
    latched.publish(String(data="put the red cube left"))
    lossy = probe.node.create_publisher(String, "noise", LOSSY)
    health = Health(probe)
    recorder = start("recorder", "--ros-args", "-p", f"folder:={recorded}", "-p", "topics:=[instruction, noise]", "-p", "min_free_mb:=0")

    def both() -> bool:
        lossy.publish(String(data="n"))
        status = health.newest("recorder: recording")
        return bool(status) and values(status)["topics"] == "2" and int(values(status)["messages"]) > 5

    probe.until(both, 60.0, "a recording of both topics")
    assert recorder.stop() == 0
    probe.node.destroy_publisher(latched)
    probe.node.destroy_publisher(lossy)
    start("efm-play", str(recorded), "--remap", "instruction:=said", "--remap", "noise:=noise_again", "--loop")
    offered = {}

    def all_offered() -> bool:
        for topic in ("/said", "/noise_again"):
            for info in probe.node.get_publishers_info_by_topic(topic):
                offered[topic] = (info.qos_profile.reliability.name, info.qos_profile.durability.name)
        return len(offered) == 2

    probe.until(all_offered, 30.0, "the player's publishers")
    assert offered == {"/said": ("RELIABLE", "TRANSIENT_LOCAL"), "/noise_again": ("BEST_EFFORT", "VOLATILE")}
    noise = probe.hear(String, "noise_again", LOSSY)
    probe.until(lambda: noise, 60.0, "a message")
    late = probe.hear(String, "said", LATCHED)
    probe.until(lambda: late, 30.0, "the latched message for a late subscriber")
    assert set(texts(late)) == {"put the red cube left"}


def test_clock_runs_between_the_messages_too_and_a_recorded_one_is_left_out(start, probe, tmp_path):
    bag = text_bag(tmp_path / "bag", [("/goal", 0.0, "first"), ("/goal", 2.0, "last")])
    clock = probe.hear(Clock, "/clock", QoSProfile(depth=500))
    goals = probe.hear(String, "goal", 10)
    player = start("efm-play", str(bag), "--all", "--delay", "4", "--clock", "50")
    probe.until(lambda: len(goals) == 2, 60.0, "both messages")
    assert player.code(30.0) == 0
    times = [seconds(message.clock) - BEGUN * 1e-9 for message in clock]
    assert times == sorted(times), "it never goes back"
    assert times[0] == 0.0, "it stands at the beginning while subscribers are waited for"
    between = [t for t in times if 0.0 < t < 2.0]
    assert len(between) > 20, between


def test_a_loop_begins_again_and_ends_with_ctrl_c(start, probe, tmp_path):
    bag = text_bag(tmp_path / "bag", [("/goal", 0.0, "first"), ("/goal", 0.2, "last"), ("/other", 0.1, "between")])
    goals = probe.hear(String, "goal", 100)
    others = probe.hear(String, "other", 100)
    player = start("efm-play", str(bag), "--delay", "4", "--loop", "--topics", "goal")
    probe.until(lambda: texts(goals)[:5] == ["first", "last", "first", "last", "first"], 60.0, "three rounds")
    assert player.stop() == 0
    assert not others


def test_what_was_latched_before_the_start_is_there_and_what_was_not_is_left_out(start, probe, tmp_path):
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(9223372036, 854775807)
    profile = Qos(QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL, forever, forever, QosLiveliness.AUTOMATIC, forever, False)
    messages = [("/instruction", 0.0, "put"), ("/goal", 0.5, "early"), ("/goal", 5.0, "late")]
    bag = text_bag(tmp_path / "bag", messages, {"/instruction": [profile]})
    goals, instructions = probe.hear(String, "goal", 10), probe.hear(String, "instruction", LATCHED)
    player = start("efm-play", str(bag), "--all", "--delay", "4", "--start", "4.5")
    probe.until(lambda: goals and instructions, 60.0, "both topics")
    assert player.code(30.0) == 0
    assert texts(goals) == ["late"] and texts(instructions) == ["put"]


def test_a_node_in_simulated_time_does_with_a_bag_what_it_did_with_the_cameras(start, probe, tmp_path):
    """camera_ingest refuses pictures that are not fresh: hours later they are, in the bag's time."""
    recorded = tmp_path / "bag"
    camera = probe.node.create_publisher(Image, "front/image_raw", 10)
    recorder = start("recorder", "--ros-args", "-p", f"folder:={recorded}", "-p", "topics:=[front/image_raw]", "-p", "min_free_mb:=0")
    probe.until(lambda: camera.get_subscription_count() > 0, 30.0, "the recorder's subscription")
    stamps = []
    for _ in range(20):
        stamp = now(probe)
        stamps.append((stamp.sec, stamp.nanosec))
        camera.publish(image(stamp, 64, 48))
        probe.spin(0.1)
    assert recorder.stop() == 0
    probe.node.destroy_publisher(camera)
    # A second after the last one they are too old in wall time.
    probe.spin(1.0)
    passed = probe.hear(Image, "observation/front/image", 50)
    start("camera_ingest", *ros(use_sim_time=True, max_age=0.5, **policy()))
    probe.until(lambda: probe.node.count_subscribers("front/image_raw") > 0, 30.0, "camera_ingest")
    player = start("efm-play", str(recorded), "--delay", "4", "--clock", "200")
    probe.until(lambda: player.popen.poll() is not None, 60.0, "the end of the bag")
    came = [(message.header.stamp.sec, message.header.stamp.nanosec) for message in passed]
    assert len(came) >= 15 and set(came) <= set(stamps), f"{len(came)} of {len(stamps)}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["/no/such/bag"], ["/no/such/bag"]),
        (["BAG", "--rate", "0"], ["--rate"]),
        (["BAG", "--remap", "a=b"], ["--remap", "a=b"]),
        (["BAG", "--topics", "nothing"], ["nothing to play", "/goal"]),
        (["BAG"], ["no topic of a sensor", "--all", "/goal"]),
    ],
)
def test_wrong_arguments_are_refused_by_name(start, tmp_path, arguments, words):
    bag = text_bag(tmp_path / "bag", [("/goal", 0.0, "put")])
    player = start("efm-play", *(str(bag) if argument == "BAG" else argument for argument in arguments))
    assert player.code(30.0) == 1
    assert all(word in player.log for word in words), player.log


def test_what_would_move_a_robot_is_left_out_and_named_unless_it_is_asked_for(start, probe, tmp_path):
    """A bag of a run, played beside a robot: its cameras and joints come, its goals, commands and stops do not."""
    bag = tmp_path / "bag"
    moving = ["/goal", "/action_chunk", "/panda_arm_controller/joint_trajectory", "/emergency_stop"]
    types = {
        "/goal": "std_msgs/msg/String",
        "/action_chunk": "trajectory_msgs/msg/JointTrajectory",
        "/panda_arm_controller/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
        "/emergency_stop": "std_msgs/msg/Bool",
        "/robot_description": "std_msgs/msg/String",
    }
    text, flag = STORE.types["std_msgs/msg/String"], STORE.types["std_msgs/msg/Bool"]
    header = STORE.types["std_msgs/msg/Header"](STORE.types["builtin_interfaces/msg/Time"](1, 0), "")
    trajectory = STORE.types["trajectory_msgs/msg/JointTrajectory"](header, [], [])
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic, kind in types.items():
            message = text("hello") if "String" in kind else flag(True) if "Bool" in kind else trajectory
            connection = writer.add_connection(topic, kind, typestore=STORE)
            writer.write(connection, BEGUN, STORE.serialize_cdr(message, kind))
    player = start("efm-play", str(bag), "--delay", "0.5")
    assert player.code(30.0) == 0 and "1 messages were published" in player.log
    assert "left out" in player.log and all(topic in player.log for topic in moving)
    player = start("efm-play", str(bag), "--all", "--delay", "0.5")
    assert player.code(30.0) == 0 and "5 messages were published" in player.log and "left out" not in player.log
