"""What the tests share: LeRobot beside the runtime, on the same checkpoints."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from importers.lerobot import __main__ as command
from importers.lerobot.tests import checkpoints

ROOT = Path(__file__).resolve().parents[3]
JOINTS = ["slide_x", "slide_y", "slide_z", "finger"]
ROBOT = [
    "--robot-joints",
    ",".join(JOINTS),
    "--units",
    "m",
    "--base-link",
    "base",
    "--tip-link",
    "tool",
    "--fps",
    "10",
    "--gripper-joint",
    "finger",
    # The checkpoints' statistics are drawn, and too large for a finger that moves by 4 cm.
    "--ranges-not-compared",
    "finger",
]


def import_checkpoint(folder: Path, out: Path, *extra: str) -> Path:
    """As `./efm import lerobot` does."""
    command.run(command.parser().parse_args([str(folder), "--out", str(out), *ROBOT, *extra]))
    return out


class Runtime:
    """A package run by the suite's own runtime (packages/policy/examples/run_package.rs)."""

    def __init__(self, package: Path, scratch: Path, urdf: Path | None = None) -> None:
        """Start it."""
        limits = scratch / "limits.yaml"
        bounds = {"has_acceleration_limits": True, "max_acceleration": 5.0, "has_jerk_limits": True, "max_jerk": 50.0}
        limits.write_text(yaml.safe_dump({"joint_limits": dict.fromkeys(JOINTS, bounds)}))
        program = os.environ.get("EFM_RUN_PACKAGE", str(ROOT / "target/debug/examples/run_package"))
        if not Path(program).is_file():
            pytest.fail(f"{program} is not there; run these tests by ./efm import --self-test")
        urdf = urdf or ROOT / "packages/policy/tests/data/gantry.urdf"
        self.manifest = yaml.safe_load((package / "policy.yaml").read_text())
        self.process = subprocess.Popen(
            [program, str(package), str(urdf), str(limits)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.parity = self._answer()["parity"]

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        assert line, "the runtime ended; see its message above"
        return json.loads(line)

    def chunk(self, frames: list[dict], noise: np.ndarray, sentence: str) -> np.ndarray:
        """Rows of the chunk for observations, the oldest first: {images by camera, joints}."""
        cameras = [image["name"] for image in self.manifest["observation"]["images"]]
        query = {
            "sentence": sentence,
            "images": [np.concatenate([frame["images"][name].reshape(-1) for frame in frames]).tolist() for name in cameras],
            "joints": np.concatenate([np.asarray(frame["joints"], np.float64) for frame in frames]).tolist(),
            "noise": np.asarray(noise, np.float32).reshape(-1).tolist(),
        }
        self.process.stdin.write(json.dumps(query) + "\n")
        self.process.stdin.flush()
        return np.asarray(self._answer()["actions"]).reshape(-1, len(JOINTS))

    def close(self) -> None:
        """End it."""
        self.process.stdin.close()
        self.process.wait(timeout=60)


class LeRobot:
    """The same checkpoint run by LeRobot as its own scripts do: from_pretrained, make_pre_post_processors, select_action."""

    def __init__(self, folder: Path) -> None:
        """Load it."""
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors

        config = PreTrainedConfig.from_pretrained(str(folder))
        self.policy = get_policy_class(config.type).from_pretrained(str(folder), config=config)
        self.policy.eval()
        self.pre, self.post = make_pre_post_processors(config, pretrained_path=str(folder))
        self.config = config

    def select_action(self, frame: dict, sentence: str, noise: torch.Tensor | None) -> np.ndarray:
        """One action for one observation, un-normalised."""
        observation: dict[str, Any] = {
            f"observation.images.{name}": torch.from_numpy(image).permute(2, 0, 1).float().div(255)
            for name, image in frame["images"].items()
        }
        observation["observation.state"] = torch.from_numpy(np.asarray(frame["joints"], np.float32))
        batch = self.pre({**observation, "task": sentence})
        given = {} if noise is None else {"noise": noise}
        return self.post(self.policy.select_action(batch, **given)).numpy().reshape(-1).astype(np.float64)


def frame(rng: np.random.Generator, cameras: list[tuple[str, int, int]], joints: int = len(JOINTS)) -> dict:
    """A random observation: rgb8 pictures, and joints about the statistics of the checkpoints."""
    images = {name: rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for name, height, width in cameras}
    return {"images": images, "joints": rng.normal(0.2, 0.4, joints).astype(np.float32)}


@pytest.fixture(scope="session")
def vlm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The language model's folder."""
    return checkpoints.vlm(tmp_path_factory.mktemp("vlm"))


@pytest.fixture(scope="session")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ACT checkpoint; not to be changed."""
    return checkpoints.act(tmp_path_factory.mktemp("act"))
