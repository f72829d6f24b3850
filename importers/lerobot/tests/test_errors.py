"""What is wrong with a folder or with the options is said by name, before anything is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from importers.lerobot import __main__ as command
from importers.lerobot.errors import ImportFailure
from importers.lerobot.tests import checkpoints
from importers.lerobot.tests.conftest import ROBOT, import_checkpoint

STATISTICS = "policy_preprocessor_step_3_normalizer_processor.safetensors"
UNDONE = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"


def without(file: Path, *keys: str) -> None:
    """Take tensors out of a safetensors file."""
    tensors = load_file(file)
    for key in keys:
        del tensors[key]
    save_file(tensors, file)


def cut_short(file: Path) -> None:
    """As a download that broke off."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def resized(file: Path, key: str, shape: tuple[int, ...]) -> None:
    """Give a tensor another shape."""
    save_file(load_file(file) | {key: np.ones(shape, np.float32)}, file)


def feature(folder: Path, which: str, key: str, value: dict | None) -> None:
    """Change or remove a feature of config.json."""
    config = json.loads((folder / "config.json").read_text())
    config[which] = {k: v for k, v in config[which].items() if k != key} | ({key: value} if value else {})
    (folder / "config.json").write_text(json.dumps(config))


def step(folder: Path, name: str) -> None:
    """Add a step to the preprocessor."""
    file = folder / "policy_preprocessor.json"
    content = json.loads(file.read_text())
    content["steps"].append({"registry_name": name, "config": {}})
    file.write_text(json.dumps(content))


def vector(size: int) -> dict:
    """A vector feature."""
    return {"type": "STATE", "shape": [size]}


CASES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "no config": (lambda d: (d / "config.json").unlink(), ["config.json is missing", "pretrained_model"]),
    "no JSON": (lambda d: (d / "config.json").write_text("{"), ["config.json"]),
    "unknown type": (lambda d: checkpoints.edit(d / "config.json", type="pi0"), ["config.json", "'pi0'", "act, diffusion, smolvla"]),
    "no state": (lambda d: feature(d, "input_features", "observation.state", None), ["config.json", "lack observation.state"]),
    "other input": (lambda d: feature(d, "input_features", "observation.tactile", vector(3)), ["observation.tactile", "not supported"]),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), ["model.safetensors is missing"]),
    "weights cut short": (lambda d: cut_short(d / "model.safetensors"), ["model.safetensors", "cut short"]),
    "statistics cut short": (lambda d: cut_short(d / STATISTICS), [STATISTICS, "cut short"]),
    "statistics missing": (
        lambda d: without(d / STATISTICS, "observation.state.mean"),
        ["statistics of observation.state lack mean", "MEAN_STD"],
    ),
    "actions' statistics missing": (lambda d: without(d / UNDONE, "action.std"), ["statistics of action lack std"]),
    "statistics too short": (lambda d: resized(d / STATISTICS, "observation.state.std", (3,)), ["observation.state.std has 3 values", "4"]),
    "no statistics at all": (lambda d: (d / "policy_preprocessor.json").unlink(), ["policy_preprocessor.json is missing", "no statistics"]),
    "unknown step": (lambda d: step(d, "delta_action_processor"), ["policy_preprocessor.json", "'delta_action_processor'"]),
    "unknown setting": (lambda d: checkpoints.edit(d / "config.json", telepathy=True), ["config.json", "LeRobot 0.4.4", "telepathy"]),
    "weights missing": (
        lambda d: without(d / "model.safetensors", "model.action_head.bias"),
        ["model.safetensors", "lacks 1 weights", "action_head.bias"],
    ),
    "shape of weights": (
        lambda d: resized(d / "model.safetensors", "model.action_head.weight", (4, 5)),
        ["model.safetensors", "model.action_head.weight has shape [4, 5]", "[4, 32]"],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_folder_is_refused_by_name(tmp_path: Path, act: Path, name: str) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(act, folder)
    spoil, parts = CASES[name]
    spoil(folder)
    with pytest.raises(ImportFailure) as refusal:
        import_checkpoint(folder, tmp_path / "package")
    for part in parts:
        assert part in str(refusal.value)
    assert not (tmp_path / "package").exists()


OPTIONS = {
    "too few joints": (["--robot-joints", "a,b,c"], ["3 names", "observation.state has 4"]),
    "units": (["--units", "rad,m"], ["units", "expected 4"]),
    "unknown unit": (["--units", "deg"], ["deg", "rad or m"]),
    "rate": (["--fps", "0"], ["fps", "0.1 to 1000"]),
    "gripper": (["--gripper-joint", "thumb"], ["'thumb'"]),
    "camera": (["--camera", "observation.images.left=left"], ["observation.images.left", "observation.images.top"]),
    "camera's name": (["--camera", "observation.images.top=a/b"], ["a/b", "topic"]),
    "two cameras of one name": (["--camera", "observation.images.top=wrist"], ["two have one name"]),
    "name": (["--name", "a b"], ["--name", "a b"]),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_option_is_refused_by_name(tmp_path: Path, act: Path, name: str) -> None:
    extra, parts = OPTIONS[name]
    with pytest.raises(ImportFailure) as refusal:
        import_checkpoint(act, tmp_path / "package", *extra)
    for part in parts:
        assert part in str(refusal.value)


def test_all_that_is_not_known_of_the_robot_is_asked_for_at_once(tmp_path: Path, act: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ImportFailure) as refusal:
        command.run(command.parser().parse_args([str(act), "--out", str(tmp_path / "package"), *ROBOT[:2]]))
    for part in ("--units", "--base-link", "--tip-link", "--fps", "--robot FILE", "4 values of state"):
        assert part in str(refusal.value)
    assert "--robot-joints:" not in str(refusal.value)


def test_what_is_known_of_the_robot_may_stand_in_a_file(tmp_path: Path, act: Path) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text("joints: [a, b, c, d]\nunits: rad\nbase_link: x\ntip_link: y\nfps: 20\ncolour: red\n")
    with pytest.raises(ImportFailure, match="unknown colour"):
        import_checkpoint(act, tmp_path / "package", "--robot", str(file))


def test_another_number_of_actions_than_joints_is_refused(tmp_path: Path) -> None:
    both = checkpoints.features(48, 64, ("top",)) | {"output_features": checkpoints.features(1, 1, (), joints=7)["output_features"]}
    folder = checkpoints.act(tmp_path / "checkpoint", **both)
    with pytest.raises(ImportFailure, match="action has 7 columns, but there are 4 joints"):
        import_checkpoint(folder, tmp_path / "package")


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"beta_schedule": "sigmoid"}, ["beta_schedule", "sigmoid", "squaredcos_cap_v2"]),
    ],
)
def test_what_diffusion_cannot_do_yet_is_refused(tmp_path: Path, changes: dict, parts: list[str]) -> None:
    folder = checkpoints.diffusion(tmp_path / "checkpoint", **changes)
    with pytest.raises(ImportFailure) as refusal:
        import_checkpoint(folder, tmp_path / "package")
    for part in parts:
        assert part in str(refusal.value)


def test_smolvla_names_what_it_needs_of_its_language_model(tmp_path: Path, vlm: Path) -> None:
    folder = checkpoints.smolvla(tmp_path / "checkpoint", vlm)
    checkpoints.edit(folder / "config.json", vlm_model_name="HuggingFaceTB/SmolVLM2-500M-Video-Instruct")
    with pytest.raises(ImportFailure) as refusal:
        import_checkpoint(folder, tmp_path / "package")
    for part in ("no config.json", "SmolVLM2-500M", "--vlm DIR", "tokenizer.json"):
        assert part in str(refusal.value)
    with pytest.raises(ImportFailure, match="no text_config"):
        import_checkpoint(folder, tmp_path / "package", "--vlm", str(folder))
    checkpoints.edit(folder / "config.json", adapt_to_pi_aloha=True)
    with pytest.raises(ImportFailure, match="adapt_to_pi_aloha"):
        import_checkpoint(folder, tmp_path / "package", "--vlm", str(vlm))


def test_nothing_is_unpickled(tmp_path: Path, act: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(act, folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ImportFailure, match=r"model\.safetensors is missing"):
        import_checkpoint(folder, tmp_path / "package")
