"""ACT: one pass. Its latent is zero when it acts, so that nothing is sampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from importers.lerobot import policy as lerobot_policy
from importers.lerobot.checkpoint import STATE, Checkpoint
from importers.lerobot.errors import ImportFailure
from importers.lerobot.package import Observed, Parts, export, image_tensor
from importers.lerobot.robot import Robot


class Whole(nn.Module):
    """The network from normalised pictures and state to normalised actions."""

    def __init__(self, policy: Any) -> None:
        """Wrap LeRobot's policy."""
        super().__init__()
        self.act = policy.model

    def forward(self, *inputs: Tensor) -> Tensor:
        """Chunk [1, chunk_size, joints] of pictures [1, 3, height, width], then the state [1, joints]."""
        *images, state = inputs
        return self.act({STATE: state, "observation.images": list(images)})[0]


def make(checkpoint: Checkpoint, robot: Robot, observed: Observed, scratch: Path) -> Parts:
    """Export the graph and run the worked example with LeRobot."""
    if not checkpoint.images():
        raise ImportFailure(f"{checkpoint.folder / 'config.json'}: no camera among input_features; ACT needs one")
    policy = lerobot_policy.load(checkpoint)
    pipelines = lerobot_policy.Pipelines(checkpoint, policy)
    batch = pipelines.batch(observed.images[0], observed.states[0], observed.sentence)
    with torch.no_grad():
        chunk = policy.predict_action_chunk(dict(batch))[0]
    keys = [feature.key for feature in checkpoint.images()]
    names = [*(image_tensor(robot.camera(feature)) for feature in checkpoint.images()), "state"]
    export(Whole(policy), [*(batch[key] for key in keys), batch[STATE]], names, ["actions"], scratch / "policy.onnx")
    config, notes = policy.config, []
    replan = config.n_action_steps
    if config.temporal_ensemble_coeff is not None:
        notes.append(
            f"LeRobot runs it with temporal ensembling (coefficient {config.temporal_ensemble_coeff}); here that is a mode of execution"
        )
    return Parts(
        runner={"type": "single_pass"},
        graphs={"policy": {"inputs": names, "outputs": ["actions"]}},
        golden={},
        actions=pipelines.actions(chunk),
        horizon=config.chunk_size,
        replan_steps=replan,
        notes=notes,
    )
