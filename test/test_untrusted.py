"""What comes from elsewhere has a bound: messages that no node reads to their end, packages that are tried out before they are used."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import yaml
from graph_tools import ERROR, LATCHED, MODELS, OK, URDF, WARN, Health, policy, ros
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from sensor_msgs.msg import JointState
from std_msgs.msg import String


def peak(process) -> int:
    """The most memory that a process had, MB."""
    lines = Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


def test_goals_and_reports_without_an_end_fill_nothing(start, probe):
    health = Health(probe)
    statuses = probe.hear(String, "goal_status")
    instructions = probe.hear(String, "instruction", LATCHED)
    process = start("goal_intake", *ros())
    goal = probe.node.create_publisher(String, "goal", 10)
    report = probe.node.create_publisher(String, "task_status", 10)
    probe.until(lambda: goal.get_subscription_count() and report.get_subscription_count(), what="the subscriptions")
    probe.until(lambda: instructions, what="the empty instruction")
    endless = String(data="pick the red cube " * (50_000_000 // 18))
    for _ in range(3):
        goal.publish(endless)
        report.publish(endless)
        probe.spin(0.1)
    told = health.wait("goal_intake: inputs", WARN, "'goal'", "'task_status'", "too large", "at most 65536")
    assert "too large to be read" in told.message
    goal.publish(String(data="pick the red cube"))
    probe.until(lambda: any(json.loads(s.data)["state"] == "active" for s in statuses), what="a good goal")
    probe.until(lambda: instructions[-1].data == "pick the red cube", what="its instruction")
    value = ParameterValue(type=4, string_value="x" * 2_000_000)
    request = SetParameters.Request(parameters=[Parameter(name="goal_timeout", value=value)])
    answer = probe.call(SetParameters, "goal_intake/set_parameters", request)
    assert not answer.results[0].successful and "at most" in answer.results[0].reason
    assert process.popen.poll() is None
    assert peak(process) < 1500


def test_the_publisher_reads_no_message_without_an_end(start, probe):
    health = Health(probe)
    process = start("trajectory_publisher", *ros())
    heard = [("instruction", 50_000_000), ("robot_description", 50_000_000)]
    for topic, size in heard:
        publisher = probe.node.create_publisher(String, topic, LATCHED)
        probe.until(publisher.get_subscription_count, what=f"a subscription of {topic}")
        publisher.publish(String(data="[" * size))
        probe.until(lambda: (s := health.newest("trajectory_publisher: inputs")) and f"'{topic}'" in s.message, what=topic)
    state = probe.node.create_publisher(JointState, "joint_states", 10)
    probe.until(state.get_subscription_count, what="a subscription of joint_states")
    state.publish(JointState(name=["j" * 100] * 50_000))
    health.wait("trajectory_publisher: inputs", WARN, "'joint_states'", "at most 1048576")
    assert process.popen.poll() is None
    assert peak(process) < 1500


def copied(tmp_path) -> tuple[Path, dict]:
    folder = tmp_path / "foreign"
    shutil.copytree(MODELS / "panda_drift", folder)
    return folder, yaml.safe_load((folder / "policy.yaml").read_text())


def test_a_package_that_takes_more_than_it_may_is_refused_and_the_node_stays(start, probe, tmp_path):
    folder, manifest = copied(tmp_path)
    golden = folder / manifest["golden"]["file"]
    # A worked example that means the same, and takes as much memory as it is long.
    golden.write_bytes(golden.read_bytes() + b" " * (60 << 20))
    manifest["golden"]["sha256"] = hashlib.sha256(golden.read_bytes()).hexdigest()
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest))
    health = Health(probe)
    process = start("vla_inference", *ros(**policy(folder), robot_description_file=URDF, trial_memory=32, wrong_policy="stay"))
    health.wait("vla_inference: policy", ERROR, "tried out", "32 MB of memory", "'trial_memory'")
    assert process.popen.poll() is None
    process.stop()
    health.heard.clear()
    # By the size of its files it may.
    again = start("vla_inference", *ros(**policy(folder), robot_description_file=URDF))
    health.wait("vla_inference: policy", OK, "no instruction")
    assert again.popen.poll() is None


def test_an_operator_that_has_no_end_is_refused_unless_it_is_allowed(start, probe, tmp_path):
    folder, manifest = copied(tmp_path)
    spec = next(iter(manifest["graphs"].values()))
    graph = folder / spec["file"]
    # One node more: protobuf puts parts of a message together.
    node = b"\x22\x04Loop"
    graph.write_bytes(graph.read_bytes() + b"\x3a" + bytes([len(node) + 2]) + b"\x0a" + bytes([len(node)]) + node)
    spec["sha256"] = hashlib.sha256(graph.read_bytes()).hexdigest()
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest))
    health = Health(probe)
    process = start("vla_inference", *ros(**policy(folder), robot_description_file=URDF, wrong_policy="stay"))
    health.wait("vla_inference: policy", ERROR, "'Loop'", "allow_operators")
    assert process.popen.poll() is None
    process.stop()
    health.heard.clear()
    start("vla_inference", *ros(**policy(folder), robot_description_file=URDF, allow_operators="['Loop']"))
    # Nothing reads what this one gives, so ONNX Runtime leaves it out.
    health.wait("vla_inference: policy", OK, "no instruction")
