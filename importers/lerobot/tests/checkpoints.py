"""Small checkpoints with random weights, made by LeRobot's own classes and saved as it saves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from lerobot.configs.types import FeatureType, NormalizationMode, PolicyFeature
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

JOINTS = 4
SENTENCES = ["put the red cube on the left pad", "push the green cylinder to the right\n", "stop"]


def resnet_tiny(**settings: object) -> ResNet:
    """A ResNet like torchvision's with layers of 16 to 32 channels: the smallest of theirs has 11 million weights."""
    settings.pop("weights", None)
    net = ResNet(BasicBlock, [1, 1, 1, 1], **settings)
    norm = settings.get("norm_layer", nn.BatchNorm2d)
    net.conv1, net.bn1 = nn.Conv2d(3, 16, 7, 2, 3, bias=False), norm(16)

    def block(inside: int, outside: int, stride: int) -> nn.Sequential:
        change = (
            nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), norm(outside)) if inside != outside or stride != 1 else None
        )
        return nn.Sequential(BasicBlock(inside, outside, stride, change, norm_layer=norm))

    net.layer1, net.layer2, net.layer3, net.layer4 = block(16, 16, 1), block(16, 16, 1), block(16, 32, 2), block(32, 32, 1)
    net.fc = nn.Linear(32, 10)
    return net


torchvision.models.resnet_tiny = resnet_tiny


def features(height: int, width: int, cameras: tuple[str, ...], joints: int = JOINTS) -> dict[str, Any]:
    """Inputs and outputs of a policy."""
    images = {f"observation.images.{name}": PolicyFeature(FeatureType.VISUAL, (3, height, width)) for name in cameras}
    return {
        "input_features": {"observation.state": PolicyFeature(FeatureType.STATE, (joints,)), **images},
        "output_features": {"action": PolicyFeature(FeatureType.ACTION, (joints,))},
        "device": "cpu",
    }


def statistics(config: Any, seed: int) -> dict[str, dict[str, torch.Tensor]]:
    """All kinds of statistics of every feature, as a data set's: LeRobot takes those that its modes need."""
    rng = np.random.default_rng(seed)

    def of(shape: tuple[int, ...], middle: float, spread: float) -> dict[str, torch.Tensor]:
        mean = middle + 0.3 * spread * rng.standard_normal(shape)
        std = spread * rng.uniform(0.5, 1.0, shape)
        values = {"mean": mean, "std": std, "min": mean - 2 * std, "max": mean + 2 * std, "q01": mean - 1.7 * std, "q99": mean + 1.6 * std}
        return {name: torch.from_numpy(value.astype(np.float32)) for name, value in values.items()}

    stats = {}
    for key, feature in {**config.input_features, **config.output_features}.items():
        stats[key] = of((3, 1, 1), 0.45, 0.25) if feature.type is FeatureType.VISUAL else of(tuple(feature.shape), 0.2, 0.6)
    return stats


def lively(policy: nn.Module, seed: int) -> None:
    """Random weights that let every input show: fresh ones leave norms at one, biases at zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in policy.named_parameters():
            if value.dim() <= 1:
                value.add_(0.1 * torch.randn(value.shape, generator=generator))
            elif "embed" in name:
                value.copy_(0.3 * torch.randn(value.shape, generator=generator))
        for name, value in policy.named_buffers():
            if name.endswith("running_mean"):
                value.copy_(0.1 * torch.randn(value.shape, generator=generator))
            elif name.endswith("running_var"):
                value.copy_(1.0 + 0.5 * torch.rand(value.shape, generator=generator))


def save(policy: Any, processors: tuple[Any, Any], folder: Path) -> Path:
    """As LeRobot's training saves a checkpoint."""
    policy.save_pretrained(folder)
    for processor in processors:
        processor.save_pretrained(folder)
    return folder


def act(folder: Path, seed: int = 1, backbone: str = "resnet_tiny", **changes: Any) -> Path:
    """An ACT checkpoint with two cameras."""
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors

    torch.manual_seed(seed)
    settings = {
        **features(48, 64, ("top", "wrist")),
        "chunk_size": 10,
        "n_action_steps": 6,
        "vision_backbone": backbone,
        "pretrained_backbone_weights": None,
        "dim_model": 32,
        "n_heads": 4,
        "dim_feedforward": 64,
        "n_encoder_layers": 2,
        "n_vae_encoder_layers": 1,
        "latent_dim": 8,
    }
    config = ACTConfig(**{**settings, **changes})
    policy = ACTPolicy(config).eval()
    lively(policy, seed)
    return save(policy, make_act_pre_post_processors(config, statistics(config, seed)), folder)


def diffusion(folder: Path, seed: int = 2, **changes: Any) -> Path:
    """A Diffusion Policy checkpoint with one camera and two observations."""
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.diffusion.processor_diffusion import make_diffusion_pre_post_processors

    torch.manual_seed(seed)
    settings = {
        **features(48, 64, ("top",)),
        "n_obs_steps": 2,
        "horizon": 16,
        "n_action_steps": 8,
        "vision_backbone": "resnet_tiny",
        "crop_shape": (40, 56),
        "spatial_softmax_num_keypoints": 8,
        "down_dims": (16, 32),
        "diffusion_step_embed_dim": 16,
        "n_groups": 4,
        "num_train_timesteps": 20,
    }
    config = DiffusionConfig(**{**settings, **changes})
    policy = DiffusionPolicy(config).eval()
    lively(policy, seed)
    # Fresh keypoints all lie in the middle of the picture, and half of what is made of them is cut off.
    for name, value in policy.diffusion.rgb_encoder.named_parameters():
        with torch.no_grad():
            if "pool.nets.weight" in name:
                value.mul_(20.0)
            elif name.endswith("out.weight"):
                value.mul_(3.0)
            elif name.endswith("out.bias"):
                value.add_(0.5)
    return save(policy, make_diffusion_pre_post_processors(config, statistics(config, seed)), folder)


def vlm(folder: Path) -> Path:
    """Configuration, processor and tokenizer of a tiny SmolVLM: what `--vlm` names. LeRobot would load the real one's from the hub."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, SmolVLMConfig, SmolVLMImageProcessor, SmolVLMProcessor, SmolVLMVideoProcessor

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<fake_token_around_image>", "<global-img>", "<image>", "<end_of_utterance>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    words = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=special[0],
        eos_token=special[4],
        pad_token=special[0],
        unk_token=special[0],
        model_max_length=8192,
        extra_special_tokens={"fake_image_token": special[1], "global_image_token": special[2], "image_token": special[3]},
    )
    image_processor, video = SmolVLMImageProcessor(), SmolVLMVideoProcessor()
    SmolVLMProcessor(image_processor, words, video, image_seq_len=4).save_pretrained(folder)
    small = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
    config = SmolVLMConfig(
        vision_config={**small, "num_hidden_layers": 2, "image_size": 32, "patch_size": 8},
        text_config={
            **small,
            "model_type": "llama",
            "num_hidden_layers": 3,
            "num_key_value_heads": 1,
            "head_dim": 16,
            "vocab_size": len(words),
            "max_position_embeddings": 512,
            "pad_token_id": 0,
        },
        scale_factor=2,
        image_token_id=words.convert_tokens_to_ids(special[3]),
        pad_token_id=0,
    )
    config.save_pretrained(folder)
    return folder


def smolvla(folder: Path, model: Path, seed: int = 3, **changes: Any) -> Path:
    """A SmolVLA checkpoint with two cameras."""
    from lerobot.policies.smolvla.configuration_smolvla import SmolVLAConfig
    from lerobot.policies.smolvla.modeling_smolvla import SmolVLAPolicy
    from lerobot.policies.smolvla.processor_smolvla import make_smolvla_pre_post_processors

    torch.manual_seed(seed)
    settings = {
        **features(24, 40, ("top", "wrist")),
        "chunk_size": 10,
        "n_action_steps": 10,
        "max_state_dim": 8,
        "max_action_dim": 6,
        "resize_imgs_with_padding": (32, 32),
        "tokenizer_max_length": 16,
        "vlm_model_name": str(model),
        "load_vlm_weights": False,
        "num_vlm_layers": 2,
        "self_attn_every_n_layers": 2,
        "expert_width_multiplier": 0.75,
    }
    config = SmolVLAConfig(**{**settings, **changes})
    policy = SmolVLAPolicy(config).to(torch.float32).eval()
    lively(policy, seed)
    return save(policy, make_smolvla_pre_post_processors(config, statistics(config, seed)), folder)


def normalised(mode: NormalizationMode, visual: NormalizationMode) -> dict[str, NormalizationMode]:
    """A mapping for a config."""
    return {"VISUAL": visual, "STATE": mode, "ACTION": mode}


def edit(file: Path, **changes: Any) -> None:
    """Change keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
