"""A recorded demo, done again from its bag by `efm-replay`: the whole graph against its own record."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BIN, ROOT, usual

POLICY = ROOT / "models" / "panda_tabletop_flow"


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recorded") / "bag"
    command = [BIN / "efm-demo", "--goals", "1", "--seed", "3", "--bag", folder, "--json", folder.parent / "report.json"]
    done = subprocess.run(usual(command), cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert (folder / "metadata.yaml").exists(), done.stdout + done.stderr
    return folder


def replay(bag: Path, tmp_path: Path, *arguments: str | Path) -> tuple[int, dict, str]:
    """Exit code, report (empty without one) and everything that was said."""
    report = tmp_path / "report.json"
    report.unlink(missing_ok=True)
    command = [BIN / "efm-replay", bag, "--json", report, *arguments]
    done = subprocess.run(usual(command), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(report.read_text()) if report.exists() else {}, done.stdout + done.stderr


def test_every_command_is_identical_on_two_runs_and_with_one_and_two_threads(bag, tmp_path):
    for arguments in [[], [], ["--threads", "1"], ["--threads", "2"]]:
        code, report, said = replay(bag, tmp_path, *arguments)
        assert code == 0, said
        assert report["commands"] > 20 and report["identical"] == report["commands"], said
        assert report["chunks"]["commands"] > 5 and report["chunks"]["identical"] == report["chunks"]["commands"], said
        assert report["pictures"][0] == report["pictures"][1] > 10, said


def test_without_the_model_it_is_at_least_ten_times_faster_than_it_was(bag, tmp_path):
    code, report, said = replay(bag, tmp_path, "--without-model")
    assert code == 0 and report["identical"] == report["commands"] > 20, said
    assert report["recorded_s"] > 10 * (report["took_s"][0] + report["reading_s"]), said


def test_a_changed_limit_is_named_and_so_is_what_it_would_have_done(bag, tmp_path):
    params = tmp_path / "params.yaml"
    params.write_text("trajectory_publisher: {ros__parameters: {speed_scale: 0.5}}\n")
    picture = tmp_path / "both.svg"
    code, report, said = replay(bag, tmp_path, "--params", params, "--svg", picture)
    assert code == 1
    assert report["changes"] == ["parameter 'speed_scale' of trajectory_publisher: recorded 1.0, now 0.5"]
    assert report["unchanged"]["identical"] == report["unchanged"]["commands"], "without the change all is as it was"
    assert report["identical"] < report["commands"] and report["compared"]["joints"], said
    assert report["slowed"]["speed_scale"][1] > report["slowed"]["speed_scale"][0], said
    assert "panda_joint1" in picture.read_text()


def test_a_changed_byte_in_the_model_is_named(bag, tmp_path):
    package = tmp_path / "policy"
    shutil.copytree(POLICY, package)
    graph, manifest = package / "step.onnx", package / "policy.yaml"
    before = graph.read_bytes()
    graph.write_bytes(before[: len(before) // 2] + bytes([before[len(before) // 2] ^ 1]) + before[len(before) // 2 + 1 :])
    code, _, said = replay(bag, tmp_path, "--policy", package)
    assert code == 2 and "step.onnx" in said and "sha256" in said, said
    # Even where somebody has made the manifest fit.
    hashes = [hashlib.sha256(content).hexdigest() for content in (before, graph.read_bytes())]
    assert hashes[0] in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(*hashes))
    code, report, said = replay(bag, tmp_path, "--policy", package)
    assert code == 1, said
    assert any("step.onnx" in change and hashes[0] in change for change in report["changes"]), report["changes"]
    assert report["unchanged"]["identical"] == report["unchanged"]["commands"]


def test_a_bag_without_a_trace_is_refused_with_what_is_missing(bag, tmp_path):
    slice_ = tmp_path / "slice"
    command = [BIN / "efm-bag", "slice", bag, "--out", slice_, "--topic", "/joint_states"]
    subprocess.run(usual(command), check=True, capture_output=True, timeout=60)
    code, _, said = replay(slice_, tmp_path)
    assert code == 2 and "trace" in said, said
