"""What `./efm demo` does before it starts anything. That it starts what the launch file starts is in test_launch.py."""

from __future__ import annotations

import json
import os
import subprocess

from conftest import BIN, ROOT, usual
from test_launch import bringup, started  # noqa: F401 (bringup is a fixture)


def demo(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    command = [str(BIN / "efm-demo"), *arguments]
    return subprocess.run(usual(command), cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False)


def test_what_may_be_started_again_is_what_the_launch_file_says(bringup):  # noqa: F811
    by_demo = {process["executable"]: process["respawn"] for process in json.loads(demo("--print-plan").stdout)}
    by_launch = {name: node["respawn"] for name, node in started(bringup, use_respawn="true").items()}
    assert by_demo == by_launch


def test_it_refuses_to_talk_to_other_machines():
    env = {name: value for name, value in os.environ.items() if name != "ROS_AUTOMATIC_DISCOVERY_RANGE"}
    done = demo(env=env)
    assert done.returncode == 1
    assert "other machines" in done.stderr


def test_what_is_not_there_is_named_before_anything_starts():
    for arguments, culprit in [
        (["--policy", "no/such/policy"], "'no/such/policy'"),
        (["--params", "no_such.yaml"], "no_such.yaml"),
        (["--json", "no/such/folder/report.json"], "no/such/folder"),
        (["--picture", "picture.bmp"], "picture.bmp"),
    ]:
        done = demo(*arguments)
        assert done.returncode == 1, arguments
        assert culprit in done.stderr


def test_goals_in_words_are_done_through_the_graph_by_the_shipped_policy(tmp_path):
    # The main job, whole: separate processes, trained policy, real physics. Two of three allow for one failure of the policy.
    report, bag, picture = tmp_path / "report.json", tmp_path / "bag", tmp_path / "strip.png"
    command = [BIN / "efm-demo", "--goals", "3", "--seed", "0", "--json", report, "--bag", bag, "--picture", picture]
    done = subprocess.run(usual(command), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert report.exists(), done.stdout + done.stderr
    whole = json.loads(report.read_text())
    (found,) = whole["runs"]
    assert found["episodes"] == 3
    assert found["successes"] >= 2, found["outcomes"]
    assert done.returncode == (0 if found["successes"] == 3 else 1), done.stdout + done.stderr
    assert found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert whole["first_motion_seconds"] < 15.0
    assert (bag / "metadata.yaml").exists() and picture.stat().st_size > 0
    assert "goal" in done.stdout and "succeeded" in done.stdout
    # The suite calls its own healthy run healthy; how late a busy machine was does not count.
    check = [BIN / "efm-bag", "check", bag, "--min-gap", "20", "--max-ahead", "2"]
    checked = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout
