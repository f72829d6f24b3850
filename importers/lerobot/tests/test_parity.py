"""Imported packages in the suite's own runtime, beside LeRobot's own select_action: the same rgb8 pictures, joints, words and noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.configs.types import NormalizationMode as Mode

from importers.lerobot.tests import checkpoints
from importers.lerobot.tests.conftest import JOINTS, LeRobot, Runtime, frame, import_checkpoint

MOST = 1e-4
TWO = [("top", 48, 64), ("wrist", 48, 64)]
ONE = [("top", 48, 64)]
SMALL = [("top", 24, 40), ("wrist", 24, 40)]


def compare(ours: Runtime, theirs: LeRobot, cameras: list[tuple[str, int, int]], draw: Callable[[int], tuple], what: str) -> float:
    """Three chunks' worth of select_action beside three chunks of ours; the largest difference of an action."""
    assert ours.parity["holds"], ours.parity
    manifest, rng = ours.manifest, np.random.default_rng(11)
    history, rows = manifest["observation"].get("history", 1), theirs.config.n_action_steps
    # Where LeRobot executes whole chunks, here half of one is: the robot goes on while the next one is made.
    horizon = manifest["action"]["horizon"]
    assert manifest["execution"]["replan_steps"] == (rows if rows < horizon else math.ceil(horizon / 2))
    theirs.policy.reset()
    seen: list[dict] = []
    worst, moved = 0.0, []
    for k, sentence in enumerate(checkpoints.SENTENCES):
        noise, given, seed = draw(k)
        expected = []
        for _ in range(rows):
            seen.append(frame(rng, cameras))
            if not expected:
                # At the start of an episode LeRobot repeats the first observation.
                last = [seen[max(0, len(seen) - history + i)] if len(seen) >= history else seen[0] for i in range(history)]
                torch.manual_seed(seed)
            expected.append(theirs.select_action(seen[-1], sentence, given))
        chunk = ours.chunk(last, noise, sentence)
        assert chunk.shape == (manifest["action"]["horizon"], len(JOINTS))
        worst = max(worst, float(np.abs(chunk[:rows] - np.stack(expected)).max()))
        # The same noise and words, but other pictures, then other joints.
        for key in ("images", "joints"):
            other = frame(rng, cameras)
            changed = ours.chunk([{**known, key: other[key]} for known in last], noise, sentence)
            moved.append(float(np.abs(changed - chunk).max()))
    print(f"{what}: at most {worst:.1e} from select_action; other pictures or joints make at least {min(moved):.1e}")
    # What is seen must move the actions by far more than what they are compared to, else the comparison says nothing.
    assert min(moved) > max(MOST, 100 * worst), "the actions hardly depend on what is seen"
    assert worst <= MOST
    return worst


def nothing(_k: int) -> tuple:
    """For policies that sample nothing."""
    return np.zeros(0), None, 0


def flow_noise(k: int) -> tuple:
    """Of SmolVLA: all columns, those without a joint too."""
    noise = torch.randn((1, 10, 6), generator=torch.Generator().manual_seed(k))
    return noise.numpy(), noise, 0


def diffusion_noise(config: object) -> Callable[[int], tuple]:
    """Of Diffusion: the first sample, then what DDPM draws from torch's own generator."""

    def draw(k: int) -> tuple:
        first = torch.randn((1, config.horizon, len(JOINTS)), generator=torch.Generator().manual_seed(k))
        steps = (config.num_inference_steps or config.num_train_timesteps) - 1 if config.noise_scheduler_type == "DDPM" else 0
        torch.manual_seed(100 + k)
        fresh = [torch.randn(first.shape) for _ in range(steps)]
        return torch.cat([first, *fresh]).numpy(), first, 100 + k

    return draw


ACT = {
    "as LeRobot makes it": {},
    "the real ResNet-18": {"backbone": "resnet18"},
    "range of state and pictures": {"normalization_mapping": checkpoints.normalised(Mode.MIN_MAX, Mode.MIN_MAX)},
    "quantiles": {"normalization_mapping": checkpoints.normalised(Mode.QUANTILES, Mode.IDENTITY)},
    "nothing normalised": {"normalization_mapping": checkpoints.normalised(Mode.IDENTITY, Mode.IDENTITY)},
    "norms first, no variational encoder": {"pre_norm": True, "use_vae": False, "feedforward_activation": "gelu"},
}


@pytest.mark.parametrize("name", ACT)
def test_act(tmp_path: Path, name: str) -> None:
    checkpoint = checkpoints.act(tmp_path / "checkpoint", **ACT[name])
    ours = Runtime(import_checkpoint(checkpoint, tmp_path / "package"), tmp_path)
    compare(ours, LeRobot(checkpoint), TWO, nothing, f"ACT, {name}")
    ours.close()


DIFFUSION = {
    "as LeRobot makes it": {},
    "DDIM in 5 of 20 steps": {"noise_scheduler_type": "DDIM", "num_inference_steps": 5, "beta_schedule": "linear"},
    "DDIM in 6 of 20 steps, not cut, the sample predicted": {
        "noise_scheduler_type": "DDIM",
        "num_inference_steps": 6,
        "clip_sample": False,
        "prediction_type": "sample",
    },
    "DDPM in 7 of 20 steps": {"num_inference_steps": 7, "beta_schedule": "scaled_linear", "clip_sample_range": 2.0},
    "100 steps, one observation, two cameras with an encoder each": {
        **checkpoints.features(48, 64, ("top", "wrist")),
        "num_train_timesteps": 100,
        "n_obs_steps": 1,
        "use_separate_rgb_encoder_per_camera": True,
    },
    "resized and cut inside": {"resize_shape": (36, 50), "crop_ratio": 0.9},
    "three observations, another crop, mean and deviation": {
        "n_obs_steps": 3,
        "crop_shape": (33, 47),
        "use_group_norm": False,
        "normalization_mapping": checkpoints.normalised(Mode.MEAN_STD, Mode.IDENTITY),
        "clip_sample_range": 3.0,
    },
}


@pytest.mark.parametrize("name", DIFFUSION)
def test_diffusion(tmp_path: Path, name: str) -> None:
    checkpoint = checkpoints.diffusion(tmp_path / "checkpoint", **DIFFUSION[name])
    ours, theirs = Runtime(import_checkpoint(checkpoint, tmp_path / "package"), tmp_path), LeRobot(checkpoint)
    cameras = TWO if "two cameras" in name else ONE
    compare(ours, theirs, cameras, diffusion_noise(theirs.config), f"Diffusion, {name}")
    ours.close()


SMOLVLA = {
    "as LeRobot makes it": {},
    "image tokens, words filled up, a longer prefix": {
        "add_image_special_tokens": True,
        "pad_language_to": "max_length",
        "prefix_length": 40,
    },
    "self attention": {"attention_mode": "self_attn"},
    "an expert with half the layers": {"num_expert_layers": 1},
    "an empty camera, fewer rows executed": {"empty_cameras": 1, "n_action_steps": 4},
    "four steps, cross attention throughout": {"num_steps": 4, "self_attn_every_n_layers": -1},
}


@pytest.mark.parametrize("name", SMOLVLA)
def test_smolvla(tmp_path: Path, vlm: Path, name: str) -> None:
    checkpoint = checkpoints.smolvla(tmp_path / "checkpoint", vlm, **SMOLVLA[name])
    ours = Runtime(import_checkpoint(checkpoint, tmp_path / "package", "--vlm", str(vlm)), tmp_path)
    compare(ours, LeRobot(checkpoint), SMALL, flow_noise, f"SmolVLA, {name}")
    ours.close()


def test_smolvla_hears_what_it_is_told(tmp_path: Path, vlm: Path) -> None:
    checkpoint = checkpoints.smolvla(tmp_path / "checkpoint", vlm)
    ours = Runtime(import_checkpoint(checkpoint, tmp_path / "package", "--vlm", str(vlm)), tmp_path)
    seen, noise = [frame(np.random.default_rng(1), SMALL)], flow_noise(0)[0]
    first, second = (ours.chunk(seen, noise, sentence) for sentence in checkpoints.SENTENCES[:2])
    assert np.abs(first - second).max() > 1e-3
    ours.close()


def test_degrees_become_radians_both_ways(tmp_path: Path) -> None:
    checkpoint = checkpoints.act(tmp_path / "checkpoint")
    # What is drawn looks like radians already.
    drawn = ("--ranges-not-compared", ",".join(JOINTS))
    package = import_checkpoint(checkpoint, tmp_path / "package", "--units", "rad", "--lerobot-units", "degrees", *drawn)
    text = (package.parents[0] / "revolute.urdf", Path(__file__).parents[3] / "packages/policy/tests/data/gantry.urdf")
    text[0].write_text(text[1].read_text().replace('type="prismatic"', 'type="revolute"'))
    ours, theirs = Runtime(package, tmp_path, urdf=text[0]), LeRobot(checkpoint)
    seen = frame(np.random.default_rng(2), TWO)
    expected = theirs.select_action(seen, "", None)
    radians = {**seen, "joints": np.radians(seen["joints"].astype(np.float64))}
    chunk = ours.chunk([radians], np.zeros(0), "go")
    assert ours.parity["holds"]
    assert np.abs(chunk[0] - np.radians(expected)).max() <= MOST * math.pi / 180
    ours.close()


def test_statistics_inside_the_model_as_before_lerobot_0_4(tmp_path: Path, act: Path) -> None:
    from safetensors.torch import load_file, save_file

    old = tmp_path / "old"
    old.mkdir()
    (old / "config.json").write_text((act / "config.json").read_text())
    weights = load_file(act / "model.safetensors")
    state = load_file(act / "policy_preprocessor_step_3_normalizer_processor.safetensors")
    for flat, value in state.items():
        key, _, stat = flat.rpartition(".")
        for place in ("unnormalize_outputs", "normalize_targets") if key == "action" else ("normalize_inputs",):
            if stat in ("mean", "std"):
                weights[f"{place}.buffer_{key.replace('.', '_')}.{stat}"] = value.clone()
    save_file(weights, old / "model.safetensors")
    ours = Runtime(import_checkpoint(old, tmp_path / "package"), tmp_path)
    # The same policy with its statistics beside it.
    compare(ours, LeRobot(act), TWO, nothing, "ACT of LeRobot before 0.4")
    ours.close()
