"""The recorder: nothing missing under load, and a bag that can be read whatever happens to recorder and disk.

`EFM_RECORD_SECONDS=60` records so long (default 5) and, from 30 on, lets a plain rclpy recorder record the same beside it, to compare with;
`EFM_RECORD_KILLS=100` kills so often (default 3). What is measured is printed (-rP, or -s).
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest
import rclpy
from builtin_interfaces.msg import Time
from conftest import BIN, ROOT
from graph_tools import ERROR, LATCHED, OK, Health, image, now, values
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from record_load import RATES
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

SECONDS = float(os.environ.get("EFM_RECORD_SECONDS", "5"))
KILLS = int(os.environ.get("EFM_RECORD_KILLS", "3"))
# Where a ROS 2 is sourced, its Python may not have it.
pytest.importorskip("rosbags")
from rosbags.rosbag2 import Reader  # noqa: E402
from rosbags.typesys import Stores, get_typestore  # noqa: E402

STORE = get_typestore(Stores.ROS2_JAZZY)
TICK = os.sysconf("SC_CLK_TCK")


def ros(**parameters: object) -> list[str]:
    arguments = ["--ros-args"]
    for name, value in parameters.items():
        arguments += ["-p", f"{name}:={json.dumps(value)}"]
    return arguments


def record(start, folder: Path, topics: list[str], **parameters: object):
    return start("recorder", *ros(topics=topics, folder=str(folder), **({"min_free_mb": 0} | parameters)))


class Load:
    """record_load.py, running."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "times.json"
        self.popen = subprocess.Popen([sys.executable, ROOT / "test" / "record_load.py", self.file])

    def stop(self) -> dict[str, list[float]]:
        """Ends it; when each message was published."""
        self.popen.terminate()
        assert self.popen.wait(30) == 0
        return json.loads(self.file.read_text())


@pytest.fixture
def load(tmp_path):
    load = Load(tmp_path)
    yield load
    load.popen.kill()
    load.popen.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def is_heard(health: Health, folder: Path, topics: int) -> bool:
    """Whether this recording has messages and so many topics."""
    status = health.newest("recorder: recording")
    found = values(status) if status else {}
    return found.get("folder") == str(folder) and int(found["topics"]) == topics and int(found["messages"]) > 0


def hears(health: Health, folder: Path, topics: int) -> None:
    health.probe.until(lambda: is_heard(health, folder, topics), 60.0, f"a recording of {topics} topics")


def numbers(bag: Path) -> dict[str, list[int]]:
    """The numbers of the load's messages, by topic, as they lie in the bag. One without a number counts as missing, and is shown."""
    found = defaultdict(list)
    with Reader(bag) as reader:
        for connection, at, data in reader.messages():
            if connection.topic in RATES:
                place = data.find(b"number_")
                if place < 0:
                    print(f"{bag}: {connection.topic} at {at}: {len(data)} bytes, {bytes(data[:64]).hex()}, {len(set(data))} different")
                    continue
                found[connection.topic].append(int(data[place + 7 : place + 17]))
    return found


def missing(found: list[int], last: int) -> list[int]:
    """What is not there from the first that is there up to `last`."""
    return sorted(set(range(found[0], last + 1)) - set(found)) if found else [0]


def test_two_cameras_and_a_robot_are_recorded_without_a_gap_and_with_bounded_means(start, probe, load, tmp_path):
    health = Health(probe)
    bag, plain_bag = tmp_path / "bag", tmp_path / "plain"
    recorder = record(start, bag, list(RATES))
    plain = None
    if SECONDS >= 30:
        types = {topic: "sensor_msgs/msg/Image" if "image" in topic else "trajectory_msgs/msg/JointTrajectory" for topic in RATES}
        types["/joint_states"] = "sensor_msgs/msg/JointState"
        script = [sys.executable, ROOT / "test" / "plain_recorder.py", plain_bag]
        plain = subprocess.Popen([*script, *(f"{topic}={kind}" for topic, kind in types.items())])
    hears(health, bag, len(RATES))
    processes = {"recorder": recorder.popen, **({"rclpy": plain} if plain else {})}
    began, before = time.monotonic(), {name: cpu_seconds(process.pid) for name, process in processes.items()}
    probe.spin(SECONDS)
    lasted = time.monotonic() - began
    used = {name: (cpu_seconds(process.pid) - before[name]) / lasted for name, process in processes.items()}
    peaks = {name: peak_mb(process.pid) for name, process in processes.items()}
    published = load.stop()
    # What is on its way has come by then.
    probe.spin(1.0)
    assert recorder.stop() == 0
    if plain:
        plain.send_signal(signal.SIGINT)
        plain.wait(30)
    for name, folder in {"recorder": bag, "rclpy": plain_bag}.items():
        if name not in processes:
            continue
        found = numbers(folder)
        gaps = {topic: len(missing(found[topic], len(published[topic]) - 1)) for topic in RATES}
        count = sum(map(len, found.values()))
        size = sum(file.stat().st_size for file in folder.glob("*.mcap")) / 1e6
        shutil.rmtree(folder)
        print(f"{name}: {lasted:.0f} s, {count} messages, missing {gaps}, {used[name]:.2f} cores, at most {peaks[name]:.0f} MB, bag {size:.0f} MB")
        if name == "recorder":
            assert not any(gaps.values()), gaps
            assert all(found[topic] == sorted(set(found[topic])) for topic in RATES), "each once, in order"
    assert used["recorder"] < 0.5
    assert peaks["recorder"] < 400


def test_the_bag_holds_types_definitions_and_profiles_as_they_were_offered(start, probe, tmp_path):
    latched = probe.node.create_publisher(String, "instruction", LATCHED)
    latched.publish(String(data="put the red cube left"))
    # A type that no part of the suite knows.
    lossy = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    odometry = probe.node.create_publisher(Odometry, "odometry", lossy)
    bag = tmp_path / "bag"
    recorder = record(start, bag, ["instruction", "/odo.*", "/not/there"])
    health = Health(probe)
    hears(health, bag, 2)
    # Best effort: one of them comes.
    for _ in range(20):
        odometry.publish(Odometry(child_frame_id="base"))
        probe.spin(0.05)
    assert values(health.newest("recorder: recording"))["no publisher yet"] == "/not/there"
    assert recorder.stop() == 0
    with Reader(bag) as reader:
        by_topic = {connection.topic: connection for connection in reader.connections}
        assert set(by_topic) == {"/instruction", "/odometry"}
        for topic, profile in {"/instruction": ("RELIABLE", "TRANSIENT_LOCAL"), "/odometry": ("BEST_EFFORT", "VOLATILE")}.items():
            (offered,) = by_topic[topic].ext.offered_qos_profiles
            assert (offered.reliability.name, offered.durability.name) == profile
        assert by_topic["/odometry"].digest.startswith("RIHS01_")
        definition = by_topic["/odometry"].msgdef.data
        assert "MSG: geometry_msgs/Quaternion" in definition and "MSG: builtin_interfaces/Time" in definition
        texts = [STORE.deserialize_cdr(data, c.msgtype).data for c, _, data in reader.messages([by_topic["/instruction"]])]
        frames = {STORE.deserialize_cdr(data, c.msgtype).child_frame_id for c, _, data in reader.messages([by_topic["/odometry"]])}
    assert texts == ["put the red cube left"] and frames == {"base"}


def test_pictures_are_compressed_on_request(start, probe, tmp_path):
    publisher = probe.node.create_publisher(Image, "front/image", 5)
    bag = tmp_path / "bag"
    health = Health(probe)
    recorder = record(start, bag, ["front/image"], images="compressed")
    probe.until(lambda: publisher.get_subscription_count() > 0, 30.0, "the recorder's subscription")
    stamp = now(probe)
    publisher.publish(image(stamp, 64, 48))
    hears(health, bag, 1)
    assert recorder.stop() == 0
    with Reader(bag) as reader:
        [(connection, _, data)] = reader.messages()
        message = STORE.deserialize_cdr(data, connection.msgtype)
    assert connection.topic == "/front/image/compressed" and connection.msgtype == CompressedImage.__module__.split(".")[0] + "/msg/CompressedImage"
    assert bytes(message.data[:2]) == b"\xff\xd8" and message.header.stamp.nanosec == stamp.nanosec


def test_a_recording_splits_into_files_that_are_one_bag(start, probe, load, tmp_path):
    bag = tmp_path / "bag"
    health = Health(probe)
    recorder = record(start, bag, list(RATES), max_file_mb=20)
    hears(health, bag, len(RATES))
    probe.until(lambda: len(list(bag.glob("*.mcap"))) > 2, 60.0, "three files")
    assert recorder.stop() == 0
    found = numbers(bag)
    assert all(missing(found[topic], found[topic][-1]) == [] for topic in RATES)


def listening(start, health: Health, folder: Path):
    """A recorder that hears everything, and its bag. When nodes are killed again and again, Fast DDS 2.14 in a new one now and then stands still while it
    takes leave of the dead (its threads wait for each other) or finds a port in shared memory locked: such a recorder is started again."""
    for attempt in range(5):
        bag = folder.with_name(f"{folder.name}_{attempt}")
        recorder, end = record(start, bag, list(RATES)), time.monotonic() + 15.0
        health.probe.until(lambda: is_heard(health, bag, len(RATES)) or time.monotonic() > end, 30.0)
        if is_heard(health, bag, len(RATES)):
            return bag, recorder
        print(f"{bag.name} heard nothing: {recorder.log}")
        recorder.popen.kill()
        recorder.popen.wait()
    pytest.fail("no recorder hears anything")


# After so many kills the robot is another process too: what the killed leave in its shared memory adds up.
KILLS_OF_A_ROBOT = 10


def late(killed: float, found: dict[str, list[int]], published: dict[str, list[float]]) -> list[str]:
    """What is missing of a bag, in words: anything that was published a second before the kill or earlier."""
    problems = []
    for topic, times in published.items():
        due = sum(t <= killed - 1.0 for t in times) - 1
        heard = found.get(topic, [])
        # What began to be heard within that second has nothing that is due.
        gone = [] if heard and heard[0] > due else missing(heard, due)
        if gone:
            newest = {name: f"{killed - published[name][numbers[-1]]:.2f}" for name, numbers in found.items()}
            problems.append(f"{topic}: {gone[0]} to {gone[-1]} of {due}, {len(gone)} in all; the newest of each topic is so many s old: {newest}")
    return problems


def test_after_kill_9_everything_up_to_the_last_second_is_read_back(start, probe, tmp_path):
    rng = random.Random(9)
    health = Health(probe)
    behind, problems = [], []
    for first in range(0, KILLS, KILLS_OF_A_ROBOT):
        robot = tmp_path / f"robot{first}"
        robot.mkdir()
        load = Load(robot)
        deaths: list[tuple[float, dict[str, list[int]]]] = []
        try:
            for i in range(first, min(first + KILLS_OF_A_ROBOT, KILLS)):
                bag, recorder = listening(start, health, robot / f"bag{i}")
                # So long at least that every topic has something that is due.
                probe.spin(rng.uniform(2.0, 4.0))
                killed = time.time()
                os.kill(recorder.popen.pid, signal.SIGKILL)
                recorder.popen.wait()
                mended = robot / f"mended{i}"
                subprocess.run([BIN / "efm-bag", "repair", bag, "--out", mended], check=True, capture_output=True)
                deaths.append((killed, numbers(mended)))
                shutil.rmtree(bag)
                shutil.rmtree(mended)
            published = load.stop()
        finally:
            load.popen.kill()
            load.popen.wait()
        for i, (killed, found) in enumerate(deaths, first):
            problems += [f"kill {i}: {problem}" for problem in late(killed, found, published)]
            behind += [killed - published[topic][heard[-1]] for topic, heard in found.items()]
        print(f"{first + len(deaths)} kills, {len(problems)} topics with gaps")
    behind.sort()
    print(f"{KILLS} kills: the last message of a topic in the bag was published {behind[len(behind) // 2]:.2f} s before the kill (median), {behind[-1]:.2f} s at most")
    assert not problems, "\n".join(problems)


def on_a_small_disk(folder: Path, size: str, command: list[str]) -> list[str]:
    """A command that runs with a tmpfs of that size on `folder`, which only it sees; what is on it is copied to `folder`_copy in the end."""
    script = f'mount -t tmpfs -o size={size} tmpfs "{folder}" || exit 77; "$@"; code=$?; cp -r "{folder}" "{folder}_copy"; exit $code'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh", *command]


@pytest.mark.parametrize(
    ("size", "min_free_mb", "end_on_error", "words"),
    [("60m", 0, True, "is full"), ("120m", 40, False, "min_free_mb is 40")],
    ids=["full_and_the_node_ends", "nearly_full_and_the_node_stays"],
)
def test_a_full_disk_ends_the_recording_with_a_clear_error_a_readable_bag_and_an_undisturbed_robot(
    probe, load, tmp_path, size, min_free_mb, end_on_error, words
):
    disk = tmp_path / "disk"
    disk.mkdir()
    heard = probe.hear(String, "alive")
    alive = probe.node.create_publisher(String, "alive", 10)
    health = Health(probe)
    arguments = ros(topics=list(RATES), folder=str(disk / "bag"), min_free_mb=min_free_mb, end_on_error=end_on_error)
    log = tmp_path / "log"
    with log.open("wb") as output:
        shell = subprocess.Popen(on_a_small_disk(disk, size, [str(BIN / "recorder"), *arguments]), stdout=output, stderr=subprocess.STDOUT)

    def told() -> bool:
        if shell.poll() == 77:
            pytest.skip("no tmpfs can be mounted here")
        status = health.newest("recorder: recording")
        return bool(status) and status.level == ERROR

    try:
        probe.until(told, 60.0, "the error in /diagnostics")
        assert words in health.newest("recorder: recording").message
        if not end_on_error:
            # It says so again and again, and ends when it is asked to.
            health.heard.clear()
            probe.until(told, 10.0, "the error in /diagnostics, later")
            assert shell.poll() is None
            (recorder,) = Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text().split()
            os.kill(int(recorder), signal.SIGINT)
        assert shell.wait(30) == (1 if end_on_error else 0)
    finally:
        shell.kill()
        print(log.read_text())
    assert f"the disk of {disk / 'bag'} " in log.read_text()
    # rosbags reads complete bags only: index and metadata.yaml are there.
    bag = tmp_path / "disk_copy" / "bag"
    found = numbers(bag)
    gaps = {topic: missing(found[topic], found[topic][-1]) for topic in RATES}
    assert not any(gaps.values()), gaps
    megabytes = sum(file.stat().st_size for file in bag.glob("*.mcap")) / 1e6
    print(f"disk of {size}: a bag of {megabytes:.0f} MB with {sum(map(len, found.values()))} messages")
    # Everybody else goes on.
    alive.publish(String(data="yes"))
    probe.until(lambda: heard, 10.0, "a message between others")
    assert load.popen.poll() is None
    published = load.stop()
    counted = {topic: len(times) / (times[-1] - times[0]) / RATES[topic] for topic, times in published.items()}
    assert all(0.9 < share < 1.1 for share in counted.values()), counted


def test_in_simulated_time_messages_are_dated_by_the_clock_and_latched_ones_wait_for_it(start, probe, tmp_path):
    latched = probe.node.create_publisher(String, "instruction", LATCHED)
    latched.publish(String(data="put"))
    ticking = probe.node.create_publisher(Clock, "/clock", 1)
    bag = tmp_path / "bag"
    health = Health(probe)
    recorder = record(start, bag, ["instruction"], use_sim_time=True)
    probe.until(lambda: health.newest("recorder: recording"), 30.0, "the recorder")
    # Before the first /clock nothing can be dated.
    probe.spin(1.0)
    assert values(health.newest("recorder: recording"))["messages"] == "0"
    ticks = iter(range(10**6))

    def recorded() -> bool:
        ticking.publish(Clock(clock=Time(sec=1000 + next(ticks))))
        return is_heard(health, bag, 1)

    probe.until(recorded, 60.0, "the latched message")
    assert recorder.stop() == 0
    with Reader(bag) as reader:
        [(_, at, _)] = reader.messages()
    assert 1000 <= at / 1e9 < 10**6


def test_little_room_on_the_disk_refuses_the_recording(start, tmp_path):
    recorder = record(start, tmp_path / "bag", ["goal"], min_free_mb=10**8)
    assert recorder.code(30.0) == 1
    assert "min_free_mb" in recorder.log and str(tmp_path / "bag") in recorder.log
    assert not (tmp_path / "bag").exists()


def test_an_old_recording_is_not_written_over(start, probe, tmp_path):
    health = Health(probe)
    bag = tmp_path / "bag"
    publisher = probe.node.create_publisher(String, "goal", 10)
    recorder = record(start, bag, ["goal"])
    probe.until(lambda: publisher.get_subscription_count() > 0, 30.0, "the recorder's subscription")
    publisher.publish(String(data="put"))
    hears(health, bag, 1)
    assert health.newest("recorder: recording").level == OK
    assert recorder.stop() == 0
    before = (bag / "metadata.yaml").read_bytes()
    second = record(start, bag, ["goal"])
    assert second.code(30.0) == 1 and "not an empty folder" in second.log
    assert (bag / "metadata.yaml").read_bytes() == before


def test_what_is_recorded_without_a_word_holds_what_a_post_mortem_asks_for_first(start, probe, tmp_path):
    """As `record:=true` records: by the list in config/graph.yaml."""
    asked = {"diagnostics", "arm_controller/controller_state", "planning_scene", "emergency_stop", "speed_scale", "robot_description"}
    publishers = [probe.node.create_publisher(String, topic, LATCHED) for topic in asked - {"diagnostics"}]
    other = probe.node.create_publisher(String, "weather", LATCHED)
    for publisher in [*publishers, other]:
        publisher.publish(String(data="here"))
    folder, health = tmp_path / "bag", Health(probe)
    recorder = start("recorder", *ros(folder=str(folder), min_free_mb=0))
    written = lambda: (status := health.newest("recorder: recording")) and int(values(status)["messages"]) > len(asked)  # noqa: E731
    probe.until(written, 60.0, "messages of all topics")
    assert recorder.stop() == 0
    with Reader(folder) as reader:
        topics = {name.strip("/") for name, topic in reader.topics.items() if topic.msgcount}
    assert asked <= topics and "weather" not in topics, topics


def test_another_robots_topics_are_recorded_by_the_names_that_its_nodes_were_given(start, probe, tmp_path):
    """Namespaces, remapped controllers, gripper actions and cameras: what the nodes publish and listen to, but cameras' own pictures."""
    here = {"/ur/left/scaled/joint_trajectory", "/ur/joint_states", "/ur/gripper/gripper_cmd/_action/status", "/head/color/camera_info"}
    arm = rclpy.create_node("trajectory_publisher", namespace="/cell", context=probe.node.context)
    eyes = rclpy.create_node("camera_ingest", namespace="/cell", context=probe.node.context)
    publishers = [
        arm.create_publisher(String, "/ur/left/scaled/joint_trajectory", LATCHED),
        probe.node.create_publisher(JointState, "/ur/joint_states", LATCHED),
        probe.node.create_publisher(String, "/ur/gripper/gripper_cmd/_action/status", LATCHED),
        probe.node.create_publisher(String, "/head/color/camera_info", LATCHED),
        eyes.create_publisher(Image, "/cell/observation/head/image", LATCHED),
        probe.node.create_publisher(Image, "/head/color/image_raw", LATCHED),
        probe.node.create_publisher(String, "/weather", LATCHED),
    ]
    ignore = lambda message: None  # noqa: E731
    arm.create_subscription(JointState, "/ur/joint_states", ignore, 1)
    arm.create_subscription(String, "/ur/gripper/gripper_cmd/_action/status", ignore, 1)
    eyes.create_subscription(String, "/head/color/camera_info", ignore, 1)
    eyes.create_subscription(Image, "/head/color/image_raw", ignore, 1)
    eyes.create_subscription(Image, "/wrist/image_raw", ignore, 1)
    try:
        for publisher in publishers:
            publisher.publish(publisher.msg_type())
        folder, health = tmp_path / "bag", Health(probe)
        recorder = start("recorder", *ros(folder=str(folder), min_free_mb=0), "-r", "__ns:=/cell")

        def all_there():
            status = health.newest("/cell/recorder: recording")
            told = values(status) if status else {}
            wanted = told and int(told["messages"]) > len(here)
            return told if wanted and "/cell/vla_inference" in told.get("nodes that are not there yet", "") else None

        told = probe.until(all_there, 60.0, "messages of all topics")
        assert told["listened to, and nobody publishes it"] == "/wrist/image_raw (/cell/camera_ingest)"
        assert "/cell/trajectory_publisher" not in told["nodes that are not there yet"]
        assert recorder.stop() == 0
        # What it records it says at its start.
        assert "*/joint_trajectory" in recorder.log and "/cell/trajectory_publisher" in recorder.log
    finally:
        arm.destroy_node()
        eyes.destroy_node()
    with Reader(folder) as reader:
        topics = {name for name, topic in reader.topics.items() if topic.msgcount}
    assert here | {"/cell/observation/head/image"} <= topics, topics
    assert not topics & {"/head/color/image_raw", "/weather"}, topics
