"""vla_inference: proposes from fresh observations only, refuses packages that do not fit, and says why."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import ROOT
from graph_tools import (
    ARM,
    ERROR,
    FINGER,
    LATCHED,
    MODELS,
    OK,
    URDF,
    WARN,
    Health,
    Robot,
    duration,
    now,
    policy,
    ros,
    seconds,
    values,
)
from std_msgs.msg import Bool, String
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

POLICY = "vla_inference: policy"


@pytest.fixture
def robot(probe):
    robot = Robot(probe)
    yield robot
    robot.stop()


class Inference:
    def __init__(self, start, probe, folder="panda_drift", **parameters):
        self.probe = probe
        self.health = Health(probe)
        self.chunks = probe.hear(JointTrajectory, "action_chunk")
        self.instruction = probe.node.create_publisher(String, "instruction", LATCHED)
        settings = {**policy(folder), "robot_description_file": URDF, "wrong_policy": "stay", **parameters}
        self.process = start("vla_inference", *ros(**settings))

    def ask(self, text="pick the red cube"):
        self.instruction.publish(String(data=text))

    def proposes(self):
        before = len(self.chunks)
        self.probe.until(lambda: len(self.chunks) > before, what="an action chunk")

    def silent(self, duration=1.0):
        """No chunk comes any more, of five a second."""
        self.probe.quiet(self.chunks, duration, "the policy")


def test_chunks_come_at_the_replan_period_from_the_newest_observation(start, probe, robot):
    inference = Inference(start, probe)
    inference.ask()
    inference.proposes()
    probe.until(lambda: len(inference.chunks) >= 6, what="six chunks")
    stamps = [seconds(chunk.header.stamp) for chunk in inference.chunks]
    assert all(later > earlier + 0.15 for earlier, later in zip(stamps, stamps[1:]))
    chunk = inference.chunks[-1]
    assert chunk.header.frame_id == "front_optical_frame"
    assert chunk.joint_names == [*ARM, FINGER]
    assert [round(seconds(point.time_from_start), 6) for point in chunk.points] == [
        round(0.1 * (k + 1), 6) for k in range(8)
    ]
    # The policy turns joint 1 from where it was measured.
    assert chunk.points[0].positions[0] == pytest.approx(robot.positions[0] + 0.015, abs=1e-6)
    status = inference.health.wait(POLICY, OK, "proposing")
    assert float(values(status)["inference p50 ms"]) > 0.0


class Executor:
    """Tells on execution_state that a chunk is followed, without moving anything."""

    def __init__(self, probe):
        self.probe = probe
        self.publisher = probe.node.create_publisher(JointTrajectory, "execution_state", 1)
        self.chunk = None
        self.timer = probe.node.create_timer(0.01, self.tell)

    def tell(self):
        if self.chunk is None:
            return
        at = seconds(now(self.probe)) - seconds(self.chunk.header.stamp)
        message = JointTrajectory(joint_names=self.chunk.joint_names)
        message.header.stamp = self.chunk.header.stamp
        message.points = [JointTrajectoryPoint(time_from_start=duration(at + 0.01 * k)) for k in range(4)]
        self.publisher.publish(message)


def apart(old, new):
    """How far a chunk's first row is from what the chunk before has for its time, rad, over the arm's joints."""
    due = seconds(new.header.stamp) + seconds(new.points[0].time_from_start) - seconds(old.header.stamp)
    times = [seconds(point.time_from_start) for point in old.points]
    return max(
        abs(float(np.interp(due, times, [point.positions[joint] for point in old.points])) - new.points[0].positions[joint])
        for joint in range(7)
    )


def test_in_real_time_chunking_a_chunk_goes_on_from_the_one_that_is_followed(start, probe):
    robot = Robot(probe, size=(96, 72))
    robot.wrist, robot.wrist_size = True, (64, 48)
    executor = Executor(probe)
    inference = Inference(start, probe, ROOT / "models" / "panda_tabletop_flow", mode="rtc", models_path=[str(ROOT / "models")])

    def gaps(count):
        """Between chunks; the one before is told to be followed, where the executor does."""
        found, seen = [], len(inference.chunks)
        while len(found) < count:
            probe.until(lambda: len(inference.chunks) > seen, what="an action chunk")
            new, old = inference.chunks[seen], inference.chunks[seen - 1] if seen else None
            seen += 1
            if old is not None:
                found.append(apart(old, new))
            if executor.chunk is not None:
                executor.chunk = new
        return sorted(found)

    try:
        inference.ask("push the red cube to the left")
        # Nobody executes: each chunk begins where the arm stands, a fifth of a second later than the one before.
        free = gaps(8)
        assert values(inference.health.newest(POLICY))["guided chunks"] == "0"
        executor.chunk = inference.chunks[-1]
        guided = gaps(10)
        probe.until(lambda: int(values(inference.health.newest(POLICY))["guided chunks"]) >= 5, what="guided chunks")
        print(f"gaps, mrad: free {[round(1e3 * g, 1) for g in free]}, guided {[round(1e3 * g, 1) for g in guided]}")
        assert guided[len(guided) // 2] < 0.5 * free[len(free) // 2]
    finally:
        robot.stop()


def test_a_policy_that_cannot_be_guided_says_so_in_real_time_chunking(start, probe, robot):
    inference = Inference(start, probe, mode="rtc")
    inference.ask()
    inference.proposes()
    assert "cannot be guided" in inference.process.log
    assert values(inference.health.wait(POLICY, OK, "proposing"))["guided chunks"] == "0"


def test_without_an_instruction_nothing_is_proposed_and_an_empty_one_ends_it(start, probe, robot):
    inference = Inference(start, probe)
    inference.health.wait(POLICY, OK, "no instruction")
    inference.silent()
    inference.ask()
    inference.proposes()
    inference.ask("")
    inference.silent()


def test_a_malformed_instruction_is_told_and_not_followed(start, probe, robot):
    inference = Inference(start, probe)
    inference.ask("x" * 60_000)
    inference.health.wait(POLICY, ERROR, "instruction", "60000 bytes")
    inference.silent()
    inference.ask()
    inference.proposes()


def test_disabled_it_proposes_nothing(start, probe, robot):
    inference = Inference(start, probe, enabled_at_start=False)
    inference.ask()
    inference.silent()
    assert probe.call(SetBool, "vla_inference/enable", SetBool.Request(data=True)).success
    inference.proposes()


def test_a_camera_that_stops_is_named_and_nothing_is_proposed(start, probe, robot):
    inference = Inference(start, probe)
    inference.ask()
    inference.proposes()
    robot.camera = False
    inference.health.wait(POLICY, ERROR, "'front'", "silent")
    inference.silent()
    robot.camera = True
    inference.proposes()


def test_every_camera_of_the_policy_must_be_fresh_and_the_silent_one_is_named(start, probe, robot):
    inference = Inference(start, probe, "panda_drift_two")
    inference.ask()
    inference.health.wait(POLICY, ERROR, "'wrist'", "nothing received")
    inference.silent()
    robot.wrist = True
    inference.proposes()
    robot.wrist = False
    inference.health.wait(POLICY, ERROR, "'wrist'", "silent")
    inference.silent()


def test_an_observation_is_made_of_pictures_of_the_same_moment_and_dated_by_the_oldest(start, probe, robot):
    inference = Inference(start, probe, "panda_drift_two")
    robot.wrist, robot.wrist_behind = True, 0.015
    inference.ask()
    inference.proposes()
    probe.until(lambda: len(inference.chunks) >= 6, what="six chunks")
    # The wrist's picture of a pair is 15 ms behind the front's, and a front's picture comes every 30 ms.
    stamps = [seconds(chunk.header.stamp) for chunk in inference.chunks]
    steps = sorted(later - earlier for earlier, later in zip(stamps[1:], stamps[2:]))
    # On a busy machine pictures may be late here and there.
    assert steps[0] > 0.15 and steps[len(steps) // 2] < 0.35, stamps


def test_cameras_that_never_show_the_same_moment_are_used_all_the_same(start, probe, robot):
    inference = Inference(start, probe, "panda_drift_two", max_image_skew=0.001)
    robot.wrist, robot.wrist_behind = True, 0.012
    inference.ask()
    inference.proposes()


def test_images_from_the_future_are_named_and_nothing_is_proposed(start, probe, robot):
    inference = Inference(start, probe)
    robot.ahead = 3.0
    inference.ask()
    inference.health.wait(POLICY, ERROR, "'front'", "future")
    inference.silent()


def test_an_image_of_another_encoding_or_size_is_named_and_nothing_is_proposed(start, probe, robot):
    inference = Inference(start, probe)
    inference.ask()
    inference.proposes()
    robot.encoding = "mono8"
    inference.health.wait(POLICY, ERROR, "'front'", "mono8")
    robot.encoding, robot.size = "rgb8", (16, 12)
    inference.health.wait(POLICY, ERROR, "'front'", "16x12")
    inference.silent()


def test_a_frozen_camera_is_named_once_joints_move_and_a_scene_at_rest_may_stay_the_same(start, probe, robot):
    robot.frozen = bytes(8 * 6 * 3)
    inference = Inference(start, probe)
    inference.ask()
    # Without noise, as a simulator's: nothing moves, so nothing changes.
    inference.proposes()
    inference.proposes()
    robot.positions = [*robot.positions[:2], robot.positions[2] + 0.3, *robot.positions[3:]]
    inference.health.wait(POLICY, ERROR, "'front'", "frozen", "'panda_joint3'", "max_unseen_motion")
    inference.silent(0.6)
    # It sees again.
    robot.frozen = None
    inference.proposes()


def test_a_joint_missing_from_joint_states_is_named_and_nothing_is_proposed(start, probe, robot):
    inference = Inference(start, probe)
    robot.names = [name for name in robot.names if name != "panda_joint4"]
    inference.ask()
    inference.health.wait(POLICY, ERROR, "'panda_joint4'")
    inference.silent()


def test_a_signal_while_inference_runs_ends_it_in_time_with_code_0(start, probe, robot):
    inference = Inference(start, probe)
    inference.ask()
    inference.proposes()
    assert inference.process.stop() == 0, inference.process.log


def flip_a_byte(folder: Path, manifest: dict) -> None:
    graph = bytearray((folder / "policy.onnx").read_bytes())
    graph[len(graph) // 2] ^= 1
    (folder / "policy.onnx").write_bytes(bytes(graph))


def rename_a_tensor(folder: Path, manifest: dict) -> None:
    manifest["observation"]["state"]["tensor"] = "proprio"
    manifest["graphs"]["policy"]["inputs"] = ["image_front", "proprio", "text"]


def swap_joints(folder: Path, manifest: dict) -> None:
    for names in (manifest["robot"]["joints"], manifest["action"]["names"]):
        names[0], names[1] = "panda_joint2", "panda_joint1"


def wrong_unit(folder: Path, manifest: dict) -> None:
    manifest["robot"]["units"][2] = "m"
    manifest["action"]["units"][2] = "m"


def wrong_joint(folder: Path, manifest: dict) -> None:
    manifest["robot"]["joints"][6] = manifest["action"]["names"][6] = "elbow"


def wrong_camera(folder: Path, manifest: dict) -> None:
    manifest["observation"]["images"][0]["name"] = "side"


def no_encoder(folder: Path, manifest: dict) -> None:
    manifest["observation"]["language"]["encoder"]["sha256"] = "0" * 64


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (flip_a_byte, ["policy.onnx", "sha256"]),
        (rename_a_tensor, ["policy.onnx", "'proprio'"]),
        (swap_joints, ["order", "panda_joint2"]),
        (wrong_unit, ["'panda_joint3'", "rad"]),
        (wrong_joint, ["'elbow'"]),
        (wrong_camera, ["'side'"]),
        (no_encoder, ["tiny", "000000"]),
    ],
)
def test_a_package_that_does_not_fit_is_refused_by_name_and_never_proposes(start, probe, robot, tmp_path, spoil, words):
    folder = tmp_path / "spoilt"
    shutil.copytree(MODELS / "panda_drift", folder)
    manifest = yaml.safe_load((folder / "policy.yaml").read_text())
    spoil(folder, manifest)
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    inference = Inference(start, probe, folder)
    inference.ask()
    inference.health.wait(POLICY, ERROR, "refused", *words)
    inference.silent(0.5)
    assert inference.chunks == []
    assert "refused" in inference.process.log
    assert inference.process.stop() == 0, inference.process.log


def test_where_who_gives_instructions_dies_nothing_is_proposed_until_one_comes_again(start, probe, robot):
    inference = Inference(start, probe, instruction_heartbeat=0.5)
    beat = probe.node.create_publisher(Bool, "instruction_heartbeat", 10)
    probe.until(beat.get_subscription_count, what="its subscription")
    inference.ask()
    inference.proposes()
    beat.publish(Bool(data=True))
    status = inference.health.wait(POLICY, ERROR, "instruction_heartbeat", "start goal_intake again")
    assert values(status)["code"] == "supervisor_silent"
    inference.silent()
    inference.ask("push the can")
    inference.proposes()


def test_a_package_that_does_not_fit_ends_the_node_with_a_code_unless_it_is_to_stay(start, probe, robot, tmp_path):
    folder = tmp_path / "spoilt"
    shutil.copytree(MODELS / "panda_drift", folder)
    flip_a_byte(folder, {})
    inference = Inference(start, probe, folder, wrong_policy="exit")
    assert inference.process.code(30.0) == 1
    assert "refused" in inference.process.log and "policy.onnx" in inference.process.log


# The state of an arm as data sets have it, in degrees; the mean of the second joint is -20 where it turns to 1.76 rad.
IN_DEGREES = {"kind": "mean_std", "mean": [0.0, -20.0, 3.0, -120.0, 2.0, 95.0, 45.0, 0.03], "std": [9.0] * 7 + [0.01], "eps": 0.0}


def degrees(folder, **robot):
    """A package whose statistics are in degrees; the network sees nothing of it."""
    shutil.copytree(MODELS / "panda_drift", folder)
    manifest = yaml.safe_load((folder / "policy.yaml").read_text())
    manifest["observation"]["state"]["normalization"] = IN_DEGREES
    manifest["robot"] |= robot
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return folder


def test_numbers_in_degrees_are_refused_by_joint_number_and_limit_and_never_move(start, probe, robot, tmp_path):
    inference = Inference(start, probe, degrees(tmp_path / "degrees", ranges_not_compared=["panda_joint1"]))
    inference.ask()
    inference.health.wait(POLICY, ERROR, "refused", "'panda_joint2'", "-20 rad", "1.76", "degrees taken for radians")
    inference.silent(0.5)
    assert inference.chunks == []


def test_a_joint_that_is_named_passes_and_is_told_for_as_long_as_it_is_used(start, probe, robot, tmp_path):
    joints = [f"panda_joint{number}" for number in range(1, 8)]
    inference = Inference(start, probe, degrees(tmp_path / "named", ranges_not_compared=joints))
    inference.ask()
    inference.health.wait("vla_inference: ranges", WARN, "'panda_joint2'", "-20 rad", "ranges_not_compared")
    inference.proposes()
    inference.health.wait(POLICY, OK, "proposing")
    assert "'panda_joint7'" in inference.process.log


@pytest.mark.parametrize(
    ("text", "reason"), [("STOP!", "'stop'"), ("do not push the red cube", "'not'"), ("hello", "red cube"), ("push\u200b the red cube", "U+200B")]
)
def test_an_instruction_that_did_not_come_through_goal_intake_is_looked_at_as_well(start, probe, robot, tmp_path, text, reason):
    folder = shutil.copytree(MODELS / "panda_drift", tmp_path / "knowing")
    manifest = yaml.safe_load((folder / "policy.yaml").read_text())
    manifest["vocabulary"] = {"objects": {"red cube": []}}
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    inference = Inference(start, probe, folder)
    inference.ask()
    inference.proposes()
    inference.ask(text)
    inference.health.wait(POLICY, ERROR, "instruction is refused", reason)
    inference.silent(0.5)
    inference.ask()
    inference.proposes()


def test_a_robot_description_that_comes_late_or_is_broken_first_is_enough(start, probe, robot):
    inference = Inference(start, probe, robot_description_file="''")
    inference.ask()
    inference.health.wait(POLICY, ERROR, "robot_description")
    description = probe.node.create_publisher(String, "robot_description", LATCHED)
    description.publish(String(data="<robot"))
    inference.health.wait(POLICY, ERROR, "refused")
    description.publish(String(data=URDF.read_text()))
    inference.proposes()


def cores_of_threads(process):
    """The cores that each thread may run on, by its name; those that have no name of their own carry the executable's."""
    cores = {}
    for thread in Path(f"/proc/{process.popen.pid}/task").iterdir():
        status = (thread / "status").read_text()
        allowed = next(line for line in status.splitlines() if line.startswith("Cpus_allowed_list:"))
        cores.setdefault((thread / "comm").read_text().strip(), set()).add(allowed.split(":")[1].strip())
    return cores


needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core: nothing can be kept apart")


@needs_two_cores
def test_inference_keeps_to_its_cores_and_the_intake_of_messages_does_not(start, probe, robot):
    core = max(os.sched_getaffinity(0))
    inference = Inference(start, probe, inference_cores=f"[{core}]")
    inference.ask()
    inference.proposes()
    cores = cores_of_threads(inference.process)
    assert cores["inference"] == {str(core)}
    assert any(allowed != {str(core)} for name, allowed in cores.items() if name != "inference"), cores


@needs_two_cores
def test_everything_that_moves_the_robot_keeps_to_its_cores(start, probe, robot):
    core = min(os.sched_getaffinity(0))
    publisher = start("trajectory_publisher", *ros(robot_description_file=URDF, control_cores=f"[{core}]"))
    Health(probe).wait("trajectory_publisher: motion", WARN, "disarmed")
    cores = cores_of_threads(publisher)
    assert len(list(Path(f"/proc/{publisher.popen.pid}/task").iterdir())) > 3
    assert set().union(*cores.values()) == {str(core)}, cores


@pytest.mark.parametrize(
    ("executable", "parameter"), [("vla_inference", "inference_cores"), ("trajectory_publisher", "control_cores")]
)
def test_a_core_that_the_machine_does_not_have_is_named_and_the_node_does_not_start(start, executable, parameter):
    there = sorted(os.sched_getaffinity(0))
    settings = {**policy(), "robot_description_file": URDF} if executable == "vla_inference" else {"robot_description_file": URDF}
    process = start(executable, *ros(**settings, **{parameter: f"[{there[0]}, 1000]"}))
    assert process.code(30.0) == 1
    assert f"parameter '{parameter}': core 1000 is not there" in process.log and str(there) in process.log


def test_more_threads_than_cores_for_them_are_refused(start):
    core = min(os.sched_getaffinity(0))
    settings = {**policy(), "robot_description_file": URDF, "inference_cores": f"[{core}]", "threads": 2}
    process = start("vla_inference", *ros(**settings))
    assert process.code(30.0) == 1
    assert "parameter 'threads' is 2; it must be at most 1, as 'inference_cores' lists so many" in process.log
