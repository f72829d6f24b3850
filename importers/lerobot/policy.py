"""LeRobot's own classes: the policy with its weights, and its pipelines. Only here and in the modules of the kinds is LeRobot imported."""

from __future__ import annotations

import copy
import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from importers.lerobot.checkpoint import OLD_BUFFERS, Checkpoint
from importers.lerobot.errors import ImportFailure

# Fields that must not reach for the network, a GPU or a compiler when the policy is made: the weights come from the checkpoint.
OVERRIDES = {
    "device": "cpu",
    "pretrained_backbone_weights": None,
    "load_vlm_weights": False,
    "compile_model": False,
    "push_to_hub": False,
    "rtc_config": None,
}


def _class(kind: str) -> tuple[type, type]:
    """Configuration and policy of a type; imported late, as LeRobot takes seconds to import."""
    if kind == "act":
        from lerobot.policies.act.configuration_act import ACTConfig as Config
        from lerobot.policies.act.modeling_act import ACTPolicy as Policy
    elif kind == "diffusion":
        from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig as Config
        from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy as Policy
    else:
        from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig as Config
        from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy as Policy
    return Config, Policy


def config_of(checkpoint: Checkpoint, **changes: object) -> Any:
    """LeRobot's configuration object of the checkpoint, by LeRobot's own parser."""
    from lerobot.configs.policies import PreTrainedConfig

    config_class, _ = _class(checkpoint.kind)
    known = {field.name for field in dataclasses.fields(config_class)}
    content = copy.deepcopy(checkpoint.config)
    content |= {key: value for key, value in {**OVERRIDES, **changes}.items() if key in known}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(content))
        try:
            return PreTrainedConfig.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # draccus and LeRobot's checks raise many kinds
            raise ImportFailure(f"{checkpoint.folder / 'config.json'}: LeRobot 0.4.4 does not accept it: {error}") from error


def load(checkpoint: Checkpoint, **changes: object) -> Any:
    """The policy with the weights of the checkpoint, in float32 on the CPU, ready to act."""
    config = config_of(checkpoint, **changes)
    _, policy_class = _class(checkpoint.kind)
    try:
        policy = policy_class(config)
    except Exception as error:
        raise ImportFailure(f"{checkpoint.folder / 'config.json'}: LeRobot 0.4.4 cannot make the policy: {error}") from error
    policy = policy.to(torch.float32).eval()
    file = checkpoint.weights
    if not file.is_file():
        raise ImportFailure(f"{file} is missing")
    try:
        weights = load_file(str(file))
    except (SafetensorError, OSError, ValueError) as error:
        raise ImportFailure(f"{file}: cannot be read as safetensors ({error}); is it cut short?") from error
    weights = {name: value for name, value in weights.items() if not name.startswith(OLD_BUFFERS)}
    expected = policy.state_dict()
    for name, value in weights.items():
        if name in expected and expected[name].shape != value.shape:
            raise ImportFailure(f"{file}: {name} has shape {list(value.shape)}; config.json makes it {list(expected[name].shape)}")
    missing, unexpected = policy.load_state_dict(weights, strict=False)
    # Weights that are shared are saved under one of their names.
    given = {expected[name].data_ptr() for name in weights if name in expected}
    missing = [name for name in missing if expected[name].data_ptr() not in given]
    if missing or unexpected:
        what = [f"lacks {len(missing)} weights ({missing[0]}, ...)"] if missing else []
        what += [f"has {len(unexpected)} that config.json knows nothing of ({unexpected[0]}, ...)"] if unexpected else []
        raise ImportFailure(f"{file}: {' and '.join(what)}")
    return policy


class Pipelines:
    """LeRobot's own pre- and postprocessor of a checkpoint."""

    def __init__(self, checkpoint: Checkpoint, policy: Any, tokenizer: Path | None = None) -> None:
        """Load them from the folder, or make them of the old statistics."""
        from lerobot.policies.factory import make_pre_post_processors
        from lerobot.processor import PolicyProcessorPipeline
        from lerobot.processor.converters import policy_action_to_transition, transition_to_policy_action

        if checkpoint.old:
            self.pre, self.post = make_pre_post_processors(policy.config, dataset_stats=checkpoint.stats)
            return
        overrides: dict[str, dict] = {"device_processor": {"device": "cpu"}}
        words: dict[str, dict] = {"tokenizer_processor": {"tokenizer_name": str(tokenizer)}} if tokenizer else {}
        there = {name: value for name, value in {**overrides, **words}.items() if name in checkpoint.preprocessor}
        self.pre = PolicyProcessorPipeline.from_pretrained(
            str(checkpoint.folder), config_filename="policy_preprocessor.json", overrides=there, local_files_only=True
        )
        there = {name: value for name, value in overrides.items() if name in checkpoint.postprocessor}
        self.post = PolicyProcessorPipeline.from_pretrained(
            str(checkpoint.folder),
            config_filename="policy_postprocessor.json",
            overrides=there,
            local_files_only=True,
            to_transition=policy_action_to_transition,
            to_output=transition_to_policy_action,
        )

    def batch(self, images: dict[str, np.ndarray], state: np.ndarray, sentence: str | None) -> dict:
        """What the policy is given: rgb8 pictures [height, width, 3] as LeRobot's robots give them (float, 0 to 1, channels first)."""
        observation: dict[str, Any] = {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in images.items()}
        observation = {key: value.to(torch.float32).permute(2, 0, 1).contiguous() / 255 for key, value in observation.items()}
        observation["observation.state"] = torch.from_numpy(np.asarray(state, np.float32))
        if sentence is not None:
            observation["task"] = sentence
        return self.pre(observation)

    def actions(self, normalized: torch.Tensor) -> np.ndarray:
        """Actions [rows, columns] as LeRobot sends them to its robot."""
        return np.stack([self.post(row[None]).numpy().reshape(-1) for row in normalized]).astype(np.float64)
