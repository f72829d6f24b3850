"""SmolVLA: `encode` gives keys and values of pictures, words and state (the prefix); `step` is the action expert (velocity)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from importers.lerobot import policy as lerobot_policy
from importers.lerobot.checkpoint import STATE, Checkpoint
from importers.lerobot.errors import ImportFailure
from importers.lerobot.package import Observed, Parts, export, image_tensor
from importers.lerobot.robot import Robot

WORDS, WORDS_MASK = "observation.language.tokens", "observation.language.attention_mask"
SEED = 7


class StillEyes(nn.Module):
    """The vision tower for pictures of one size.

    The original looks up where each patch lies at every call, by operations that depend on data and have no place
    in a graph; here that is done once.
    """

    def __init__(self, vision: nn.Module, height: int, width: int) -> None:
        """Run the original once and keep the places of its patches."""
        super().__init__()
        self.patches = vision.embeddings.patch_embedding
        self.encoder = vision.encoder
        self.norm = vision.post_layernorm
        kept: list[Tensor] = []
        handle = vision.embeddings.position_embedding.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        with torch.no_grad():
            vision(pixel_values=torch.zeros(1, 3, height, width), patch_attention_mask=None)
        handle.remove()
        self.register_buffer("places", kept[0].reshape(1, -1, kept[0].shape[-1]).clone())

    @property
    def dtype(self) -> torch.dtype:
        """As LeRobot asks for it."""
        return torch.float32

    def forward(self, pixel_values: Tensor, patch_attention_mask: Tensor | None = None) -> Any:
        """Features of the patches, in the form that LeRobot expects."""
        del patch_attention_mask
        x = self.patches(pixel_values).flatten(2).transpose(1, 2) + self.places
        x = self.encoder(inputs_embeds=x, attention_mask=None)
        x = x.last_hidden_state if hasattr(x, "last_hidden_state") else x[0]
        return _Features(self.norm(x))


class _Features:
    def __init__(self, last_hidden_state: Tensor) -> None:
        self.last_hidden_state = last_hidden_state


class Encode(nn.Module):
    """The prefix: keys and values by layer, and which of its places are not filled up."""

    def __init__(self, policy: Any, keys: list[str]) -> None:
        """Wrap LeRobot's policy; `keys`: the cameras that there are."""
        super().__init__()
        self.policy, self.model, self.keys = policy, policy.model, keys

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of pictures [1, 3, height, width], state [1, joints], ids [1, tokens] and their mask [1, tokens]."""
        from lerobot.policies.smolvla.modeling_smolvla import make_att_2d_masks

        *images, state, ids, mask = inputs
        batch = {**dict(zip(self.keys, images, strict=True)), STATE: state}
        pictures, there = self.policy.prepare_images(batch)
        state = self.policy.prepare_state(batch)
        embedded, filled, blocks = self.model.embed_prefix(pictures, there, ids, mask > 0, state=state)
        filled, blocks = filled.to(torch.int64), blocks.to(torch.int64)
        attention = make_att_2d_masks(filled > 0, blocks)
        _, cache = self.model.vlm_with_expert.forward(
            attention_mask=attention,
            position_ids=torch.cumsum(filled, dim=1) - 1,
            past_key_values=None,
            inputs_embeds=[embedded, None],
            use_cache=True,
            fill_kv_cache=True,
        )
        layers = range(len(cache))
        keys = torch.cat([cache[i]["key_states"] for i in layers])
        values = torch.cat([cache[i]["value_states"] for i in layers])
        return keys, values, filled.to(torch.float32)


class Step(nn.Module):
    """The action expert: the velocity of a sample."""

    def __init__(self, policy: Any) -> None:
        """Wrap LeRobot's policy."""
        super().__init__()
        self.model = policy.model

    def forward(self, x: Tensor, t: Tensor, keys: Tensor, values: Tensor, filled: Tensor) -> Tensor:
        """Of the sample [1, chunk_size, max_action_dim] at the time t [1]."""
        cache = {i: {"key_states": keys[i : i + 1], "value_states": values[i : i + 1]} for i in range(keys.shape[0])}
        return self.model.denoise_step(prefix_pad_masks=filled > 0.5, past_key_values=cache, x_t=x, timestep=t)


def _folder(given: Path | None, checkpoint: Checkpoint, wanted: str, what: str) -> Path:
    """The first of the likely folders that has a file."""
    places = [given] if given is not None else [checkpoint.folder, Path(str(checkpoint.config.get("vlm_model_name", "")))]
    for place in places:
        if (place / wanted).is_file():
            return place
    name = checkpoint.config.get("vlm_model_name")
    looked = ", ".join(str(place) for place in places)
    raise ImportFailure(
        f"SmolVLA: no {wanted} of its language model {name!r} in {looked}; give {what} with its files from the hub "
        "(config.json, tokenizer.json, the processor's and tokenizer's other JSON files; its weights are not needed)"
    )


def _vlm(given: Path | None, checkpoint: Checkpoint) -> Path:
    """Folder with the configuration of the language model. The checkpoint's own config.json is LeRobot's, so it is not looked at there."""
    place = given if given is not None else Path(str(checkpoint.config.get("vlm_model_name", "")))
    folder = _folder(place, checkpoint, "config.json", "--vlm DIR")
    if "text_config" not in json.loads((folder / "config.json").read_text()):
        raise ImportFailure(
            f"{folder / 'config.json'}: is not that of a SmolVLM (it has no text_config); --vlm is the language model's folder"
        )
    return folder


def _language(checkpoint: Checkpoint, config: Any, tokenizer: Any) -> dict:
    """How LeRobot tokenizes, for the manifest."""
    step = checkpoint.preprocessor.get("tokenizer_processor", {}).get("config", {})
    file = checkpoint.folder / "policy_preprocessor.json"
    for key, expected in (("padding_side", "right"), ("truncation", True), ("task_key", "task")):
        if step.get(key, expected) != expected:
            raise ImportFailure(f"{file}: {key} of the tokenizer is {step[key]!r}; only {expected!r} is supported")
    if getattr(tokenizer, "truncation_side", "right") != "right":
        raise ImportFailure("the tokenizer cuts sentences on the left; only on the right is supported")
    pad = tokenizer.pad_token_id
    newline = checkpoint.old or "smolvla_new_line_processor" in checkpoint.preprocessor
    return {
        "tokenizer": {"file": "tokenizer.json"},
        "input_ids": "input_ids",
        "attention_mask": "attention_mask",
        # Behind the mask it makes no difference whether LeRobot fills up to the longest or to the most.
        "max_tokens": int(step.get("max_length", config.tokenizer_max_length)),
        "pad_id": int(pad) if pad is not None else 0,
        **({"suffix": "\n"} if newline else {}),
    }


def make(checkpoint: Checkpoint, robot: Robot, observed: Observed, scratch: Path, vlm: Path | None, words: Path | None) -> Parts:
    """Export the graphs and run the worked example with LeRobot."""
    file = checkpoint.folder / "config.json"
    if checkpoint.config.get("adapt_to_pi_aloha"):
        raise ImportFailure(f"{file}: adapt_to_pi_aloha is set; that conversion of Aloha's joints is not supported")
    if not checkpoint.images():
        raise ImportFailure(f"{file}: no camera among input_features; SmolVLA needs one")
    folder = _vlm(vlm, checkpoint)
    words = _folder(words, checkpoint, "tokenizer.json", "--tokenizer DIR") if words else None
    if words is None:
        words = folder if (folder / "tokenizer.json").is_file() else _folder(None, checkpoint, "tokenizer.json", "--tokenizer DIR")
    policy = lerobot_policy.load(checkpoint, vlm_model_name=str(folder))
    config = policy.config
    if not config.use_cache:
        raise ImportFailure(f"{file}: use_cache is false; only policies with a cache of keys and values are supported")
    pipelines = lerobot_policy.Pipelines(checkpoint, policy, words)
    batch = pipelines.batch(observed.images[0], observed.states[0], observed.sentence)
    shape = (1, config.chunk_size, config.max_action_dim)
    noise = torch.from_numpy(np.random.default_rng(SEED).standard_normal(shape).astype(np.float32))
    with torch.no_grad():
        chunk = policy.predict_action_chunk(dict(batch), noise=noise)[0]

    tokenizer = policy.model.vlm_with_expert.processor.tokenizer
    language = _language(checkpoint, config, tokenizer)
    ids = batch[WORDS][0][batch[WORDS_MASK][0]]
    filled = torch.full((1, language["max_tokens"]), language["pad_id"], dtype=torch.int64)
    filled[0, : len(ids)] = ids
    mask = (torch.arange(language["max_tokens"])[None] < len(ids)).to(torch.int64)

    features = checkpoint.images()
    vision = policy.model.vlm_with_expert.get_vlm_model()
    sizes = {config.resize_imgs_with_padding or feature.shape[:0:-1] for feature in features}
    if len(sizes) > 1:
        raise ImportFailure(f"{file}: cameras have different sizes {sorted(sizes)} and resize_imgs_with_padding is not set")
    width, height = sizes.pop()
    vision.vision_model = StillEyes(vision.vision_model, height, width)
    keys = [feature.key for feature in features]
    names = [*(image_tensor(robot.camera(feature)) for feature in features), "state", "input_ids", "attention_mask"]
    inputs = [*(batch[key] for key in keys), batch[STATE], filled, mask]
    encode = Encode(policy, keys).eval()
    context_names = ["keys", "values", "filled"]
    with torch.no_grad():
        context = encode(*inputs)
    export(encode, inputs, names, context_names, scratch / "encode.onnx")
    export(Step(policy), [noise, torch.ones(1), *context], ["x", "t", *context_names], ["v"], scratch / "step.onnx")
    return Parts(
        runner={"type": "flow_matching", "steps": config.num_steps},
        graphs={
            "encode": {"inputs": names, "outputs": context_names},
            "step": {"inputs": ["x", "t", *context_names], "outputs": ["v"]},
        },
        golden={
            "noise": noise.numpy(),
            "input_ids": ids.numpy(),
            "context": {name: value.numpy() for name, value in zip(context_names, context, strict=True)},
        },
        actions=pipelines.actions(chunk),
        horizon=config.chunk_size,
        replan_steps=config.n_action_steps,
        pad_columns=config.max_action_dim - config.action_feature.shape[0],
        language=language,
        files={"tokenizer.json": (words / "tokenizer.json").read_bytes()},
    )
