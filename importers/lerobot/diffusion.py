"""Diffusion Policy: `encode` sees the last observations, `step` is the UNet; the scheduler of diffusers is written down in the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.transforms import functional

from importers.lerobot import policy as lerobot_policy
from importers.lerobot.checkpoint import STATE, Checkpoint
from importers.lerobot.errors import ImportFailure
from importers.lerobot.package import Observed, Parts, export, image_tensor
from importers.lerobot.robot import Robot

SCHEDULES = {"squaredcos_cap_v2": "cosine", "linear": "linear", "scaled_linear": "scaled_linear"}
SEED = 7


class Crop(nn.Module):
    """The middle of pictures of one size. torchvision's own works that out at every call, in a way that has no place in a graph."""

    def __init__(self, crop: nn.Module, height: int, width: int) -> None:
        """See where torchvision cuts."""
        super().__init__()
        places = torch.arange(height * width).reshape(1, 1, height, width)
        kept = crop(places)
        self.rows = slice(int(kept[0, 0, 0, 0]) // width, int(kept[0, 0, -1, -1]) // width + 1)
        self.columns = slice(int(kept[0, 0, 0, 0]) % width, int(kept[0, 0, -1, -1]) % width + 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Cut."""
        return pictures[..., self.rows, self.columns]


class Resize(nn.Module):
    """torchvision's resizing of pictures of one size, whose filter ONNX has not: a matrix each way, made of unit vectors."""

    def __init__(self, size: tuple[int, int], height: int, width: int) -> None:
        """See what torchvision does."""
        super().__init__()
        self.register_buffer("rows", functional.resize(torch.eye(height)[None], [size[0], height])[0])
        self.register_buffer("columns", functional.resize(torch.eye(width)[None], [size[1], width])[0].T.contiguous())

    def forward(self, pictures: Tensor) -> Tensor:
        """Resize."""
        return self.rows @ pictures @ self.columns


class Encode(nn.Module):
    """What the UNet is conditioned on, of normalised pictures and states, the oldest observation first."""

    def __init__(self, policy: Any) -> None:
        """Wrap LeRobot's policy."""
        super().__init__()
        self.diffusion = policy.diffusion
        self.history = policy.config.n_obs_steps

    def forward(self, *inputs: Tensor) -> Tensor:
        """Context [1, width] of pictures [1, history, 3, height, width], then states [1, history, joints]; a history of one has no axis."""
        inputs = inputs if self.history > 1 else tuple(value.unsqueeze(1) for value in inputs)
        *images, state = inputs
        batch = {STATE: state}
        if images:
            batch["observation.images"] = torch.stack(images, dim=2)
        return self.diffusion._prepare_global_conditioning(batch)


class Step(nn.Module):
    """The UNet: what it tells of a sample."""

    def __init__(self, policy: Any) -> None:
        """Wrap LeRobot's policy."""
        super().__init__()
        self.unet = policy.diffusion.unet

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Of the sample [1, horizon, joints] at the step of training t [1], an integer."""
        return self.unet(x, t, global_cond=context)


def runner(checkpoint: Checkpoint, config: Any) -> dict:
    """The scheduler, as diffusers makes it of LeRobot's settings."""
    file = checkpoint.folder / "config.json"
    if config.beta_schedule not in SCHEDULES:
        raise ImportFailure(f"{file}: beta_schedule is {config.beta_schedule!r}; supported are {', '.join(SCHEDULES)}")
    spec: dict = {
        "type": "diffusion",
        "scheduler": config.noise_scheduler_type.lower(),
        "train_steps": config.num_train_timesteps,
        "steps": config.num_inference_steps or config.num_train_timesteps,
        "schedule": SCHEDULES[config.beta_schedule],
    }
    if config.beta_schedule != "squaredcos_cap_v2":
        spec |= {"beta_start": config.beta_start, "beta_end": config.beta_end}
    spec["prediction"] = config.prediction_type
    ddpm = spec["scheduler"] == "ddpm"
    if config.clip_sample:
        spec |= {"clip": config.clip_sample_range, "clip_of": "clean" if ddpm else "clean_only"}
    if ddpm:
        spec["variance"] = "posterior"
    return spec


def sample(policy: Any, context: Tensor) -> tuple[np.ndarray, Tensor]:
    """One whole sample by LeRobot: the noise that it drew (the first sample, then that of each step of DDPM but the last) and its rows."""
    config = policy.config
    shape = (1, config.horizon, config.action_feature.shape[0])
    torch.manual_seed(SEED)
    rows = policy.diffusion.conditional_sample(1, global_cond=context)
    torch.manual_seed(SEED)
    steps = policy.diffusion.num_inference_steps - 1 if config.noise_scheduler_type == "DDPM" else 0
    noise = torch.cat([torch.randn(shape) for _ in range(1 + steps)])
    return noise.numpy(), rows[0]


def make(checkpoint: Checkpoint, robot: Robot, observed: Observed, scratch: Path) -> Parts:
    """Export the graphs and run the worked example with LeRobot."""
    policy = lerobot_policy.load(checkpoint)
    config = policy.config
    spec = runner(checkpoint, config)
    pipelines = lerobot_policy.Pipelines(checkpoint, policy)
    seen = [pipelines.batch(images, state, None) for images, state in zip(observed.images, observed.states, strict=True)]
    features = checkpoint.images()
    keys = [*(feature.key for feature in features), STATE]
    stacked = [torch.stack([batch[key] for batch in seen], dim=1) for key in keys]
    inputs = stacked if config.n_obs_steps > 1 else [value.squeeze(1) for value in stacked]
    names = [*(image_tensor(robot.camera(feature)) for feature in features), "state"]
    encode = Encode(policy).eval()
    with torch.no_grad():
        context = encode(*inputs)
        noise, rows = sample(policy, context)
    _, height, width = features[0].shape if features else (3, 0, 0)
    for module in policy.modules():
        # Pictures of all cameras have one size: LeRobot sees to that.
        if getattr(module, "resize", None) is not None:
            module.resize = Resize(config.resize_shape, height, width)
        if hasattr(module, "center_crop"):
            module.center_crop = Crop(module.center_crop, *(config.resize_shape or (height, width)))
    export(encode, inputs, names, ["context"], scratch / "encode.onnx")
    x, t = torch.from_numpy(noise[:1]), torch.full((1,), float(config.num_train_timesteps - 1))
    export(Step(policy), [x, t, context], ["x", "t", "context"], ["predicted"], scratch / "step.onnx")
    first = config.n_obs_steps - 1
    return Parts(
        runner=spec,
        graphs={
            "encode": {"inputs": names, "outputs": ["context"]},
            "step": {"inputs": ["x", "t", "context"], "outputs": ["predicted"]},
        },
        golden={"noise": noise, "context": {"context": context.numpy()}},
        actions=pipelines.actions(rows[first:]),
        horizon=config.horizon - first,
        replan_steps=config.n_action_steps,
        history=config.n_obs_steps,
        skip_rows=first,
    )
