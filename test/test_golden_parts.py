"""What the exporters write into golden files besides the run of the networks: training's kinematics and pictures, LeRobot's chunks.

What the runtime makes of the same numbers is `packages/policy/tests/conversion.rs`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from importers.lerobot import outgoing as lerobot  # noqa: E402
from importers.lerobot.errors import ImportFailure  # noqa: E402
from importers.lerobot.robot import Robot  # noqa: E402
from training import outgoing, pictures  # noqa: E402
from training.contract import BASE, CAMERAS, JOINTS, TIP  # noqa: E402
from training.kinematics import Chain, rotation, rotation_vector  # noqa: E402

SHIPPED = sorted(folder for folder in (ROOT / "models").iterdir() if (folder / "golden.json").is_file())
STATED = ("joint_names", "replan_steps", "gripper_joint", "rest_posture")
REST = np.array(outgoing.START_POSTURE)


def golden(folder: Path) -> dict:
    return json.loads((folder / "golden.json").read_text())


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_shipped_chunks_are_what_training_makes_of_their_actions(folder: Path):
    stored = golden(folder)
    actions = np.reshape(stored["actions"], (-1, 4))
    made = outgoing.chunk(np.array(stored["joints"]), actions, REST)
    assert {key: made[key] for key in STATED} == {key: stored["outgoing"][key] for key in STATED}
    for key, within in (("times", 1e-12), ("joints", 1e-6), ("tools", 1e-6)):
        np.testing.assert_allclose(made[key], stored["outgoing"][key], atol=within, rtol=0)
    assert made["gripper_joint"] == JOINTS[-1]
    seen = Chain(ROOT / "urdf/panda.urdf", BASE, TIP).pose(JOINTS, np.array(stored["joints"]))[:3]
    np.testing.assert_allclose(np.reshape(stored["observed_tools"], (3, 4)), seen, atol=1e-8)
    # And what the labels mean: the tool's way from where it was, its height over the table, the finger.
    tools = np.reshape(stored["outgoing"]["tools"], (-1, 3, 4))
    start = Chain(ROOT / "urdf/panda.urdf", BASE, TIP).position(JOINTS, np.array(stored["joints"]))
    np.testing.assert_allclose(tools[:, :, 3] - start, actions[:, :3], atol=1e-6)
    np.testing.assert_allclose(tools[:, :, :3], np.broadcast_to(np.diag([1.0, -1.0, -1.0]), (len(tools), 3, 3)), atol=1e-6)
    np.testing.assert_allclose(np.array(stored["outgoing"]["joints"])[:, 7], np.clip(actions[:, 3], 0.0, 0.04), atol=1e-8)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.name)
def test_the_shipped_pictures_have_another_aspect_ratio_and_their_own_size(folder: Path):
    cameras = golden(folder)["cameras"]
    assert set(cameras) == {f"image_{camera}" for camera in CAMERAS}
    for camera, (height, width) in CAMERAS.items():
        entry = cameras[f"image_{camera}"]
        assert entry["name"] == camera
        assert abs(entry["width"] / entry["height"] - width / height) > 0.3
        assert len(base64.b64decode(entry["rgb8"])) == entry["width"] * entry["height"] * 3
        assert len(base64.b64decode(entry["resized"])) == width * height * 3


def test_every_way_of_resizing_shows_in_a_made_up_picture():
    image = pytest.importorskip("PIL.Image", reason="Pillow is in the environments of training and of the importers")
    width, height = pictures.wide(96, 72)
    picture = pictures.made_up(width, height, 3)
    right = pictures.stretched(picture, 96, 72).astype(int)
    whole = image.fromarray(picture)
    other = {
        "nearest": whole.resize((96, 72), image.Resampling.NEAREST),
        "bicubic": whole.resize((96, 72), image.Resampling.BICUBIC),
        "lanczos": whole.resize((96, 72), image.Resampling.LANCZOS),
        "area": whole.resize((96, 72), image.Resampling.BOX),
        "crop": whole.crop(((width - height * 4 // 3) // 2, 0, (width + height * 4 // 3) // 2, height)).resize((96, 72)),
    }
    for name, resized in other.items():
        assert abs(np.asarray(resized).astype(int) - right).max() > 10, name


def test_the_jacobian_is_that_of_the_pose_and_a_pose_is_found_again():
    chain, rng = Chain(ROOT / "urdf/panda.urdf", BASE, TIP), np.random.default_rng(1)
    names = [joint.name for joint in chain.moving()]
    for _ in range(10):
        q = REST[:7] + rng.uniform(-0.3, 0.3, 7)
        pose, jacobian = chain.jacobian(q)
        np.testing.assert_allclose(pose, chain.pose(names, q), atol=1e-12)
        for joint in range(7):
            step = np.zeros(7)
            step[joint] = 1e-6
            after, before = chain.pose(names, q + step), chain.pose(names, q - step)
            turned = rotation_vector(after[:3, :3] @ before[:3, :3].T)
            np.testing.assert_allclose(jacobian[:, joint], np.concatenate([after[:3, 3] - before[:3, 3], turned]) / 2e-6, atol=1e-6)
        found = chain.solve(pose, q + rng.uniform(-0.05, 0.05, 7), REST[:7])
        np.testing.assert_allclose(chain.pose(names, found), pose, atol=1e-8)
        assert abs(found - q).max() < 0.2


def test_rotations_are_those_of_urdf_at_half_turns_too():
    for angles in ((np.pi, 0, 0), (0, np.pi, 0), (0, 0, np.pi), (0.3, -0.2, 0.7), (np.pi - 1e-7, 0, 0)):
        turned = rotation(*angles)
        np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-12)
        vector = rotation_vector(turned)
        if np.count_nonzero(angles) == 1:
            np.testing.assert_allclose(abs(vector), np.abs(angles), atol=1e-9)
    # Roll about x first, then pitch about y, then yaw about z, all of the base.
    np.testing.assert_allclose(rotation(0, 0, np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(rotation(np.pi / 2, 0, np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)


def test_what_the_arm_cannot_do_is_said_and_left_out(capsys: pytest.CaptureFixture[str]):
    stored = golden(SHIPPED[0])
    far = np.reshape(stored["actions"], (-1, 4)).copy()
    far[5, 0] = 2.0
    with pytest.raises(ValueError, match="no joint positions found"):
        outgoing.chunk(np.array(stored["joints"]), far, REST)
    level = REST.copy()
    level[5] -= 1.0
    with pytest.raises(ValueError, match=r"1\.00 rad away from straight down"):
        outgoing.chunk(level, far, REST)
    if pictures.Image is not None:
        document = outgoing.add({"joints": stored["joints"], "actions": far.reshape(-1).tolist()}, REST.tolist())
        assert "outgoing" not in document
        assert "gets no part 'outgoing'" in capsys.readouterr().err


def test_both_parts_are_put_into_a_package_that_is_there(tmp_path: Path):
    pytest.importorskip("PIL.Image", reason="Pillow is in the environments of training and of the importers")
    folder = tmp_path / "old"
    shutil.copytree(SHIPPED[0], folder)
    old = {key: value for key, value in golden(folder).items() if key not in ("cameras", "observed_tools", "outgoing")}
    before = hashlib.sha256((folder / "golden.json").read_bytes()).hexdigest()
    (folder / "golden.json").write_text(json.dumps(old))
    with pytest.raises(SystemExit, match="does not name the sha256"):
        outgoing.complete(folder, REST.tolist())
    given = hashlib.sha256((folder / "golden.json").read_bytes()).hexdigest()
    manifest = (folder / "policy.yaml").read_text()
    (folder / "policy.yaml").write_text(manifest.replace(before, given))
    outgoing.complete(folder, REST.tolist())
    assert {key: value for key, value in golden(folder).items() if key in old} == old
    now = yaml.safe_load((folder / "policy.yaml").read_text())
    assert now["golden"]["sha256"] == hashlib.sha256((folder / "golden.json").read_bytes()).hexdigest()
    # Nothing else of it has changed.
    assert manifest.replace(before, now["golden"]["sha256"]) == (folder / "policy.yaml").read_text()


def robot(**changes: object) -> Robot:
    known = {"joints": ["lift", "hand"], "units": ["rad", "m"], "base_link": "base", "tip_link": "tool", "fps": 30.0}
    return Robot(**{**known, "scale": [np.pi / 180, 0.0004], "offset": [0.1, 0.0], **changes})


def test_lerobots_chunks_are_in_the_robots_units_and_at_the_data_sets_rate():
    part = lerobot.chunk(robot(), np.array([[90.0, 50.0], [-45.0, 120.0]]), 1)
    np.testing.assert_allclose(part["joints"], [[np.pi / 2 + 0.1, 0.02], [-np.pi / 4 + 0.1, 0.048]])
    np.testing.assert_allclose(part["times"], [1 / 30, 2 / 30], rtol=0, atol=1e-15)
    assert part["joint_names"] == ["lift", "hand"]
    assert part["replan_steps"] == 1
    assert part["gripper_joint"] == ""
    kept = lerobot.chunk(robot(gripper_joint="hand", limits={"hand": (0.0, 0.04)}), np.array([[90.0, 120.0]]), 1)
    assert kept["joints"][0][1] == 0.04
    assert kept["gripper_joint"] == "hand"


def test_lerobots_pictures_name_the_cameras_of_the_robot():
    pytest.importorskip("PIL.Image", reason="Pillow is in the environments of training and of the importers")
    made = lerobot.cameras({"overhead": (6, 8), "hand": (6, 8)})
    assert {tensor: entry["name"] for tensor, entry in made.items()} == {"image_overhead": "overhead", "image_hand": "hand"}


def test_a_checkpoint_that_executes_whole_chunks_looks_again_after_half():
    assert lerobot.replan(8, 15, None) == (8, None)
    assert lerobot.replan(1, 1, None) == (1, None)
    for whole, half in ((100, 50), (50, 25), (7, 4), (2, 1)):
        steps, note = lerobot.replan(whole, whole, None)
        assert steps == half
        assert note is not None
        assert f"n_action_steps ({whole})" in note
        assert "--replan-steps" in note
    assert lerobot.replan(100, 100, 100) == (100, None)
    steps, note = lerobot.replan(100, 100, 10)
    assert steps == 10
    assert note is not None
    for wrong in (0, 101, -1):
        with pytest.raises(ImportFailure, match=r"--replan-steps.*1 to the rows of a chunk \(100\)"):
            lerobot.replan(100, 100, wrong)
