"""Writing a policy package: graphs, golden file, manifest."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
import yaml
from torch import Tensor, nn
from torch.onnx import JitScalarType, symbolic_helper

from importers.lerobot import outgoing, ranges
from importers.lerobot.checkpoint import Checkpoint, Feature
from importers.lerobot.errors import ImportFailure
from importers.lerobot.robot import Robot
from training.pictures import tensor_of

OPSET = 18
PARITY = 1e-4
# Outputs of `encode` with more values are left out of the golden file; the actions are compared all the same.
MOST_CONTEXT = 50_000


@dataclass
class Observed:
    """The worked example's inputs, the oldest observation first: rgb8 pictures by LeRobot's key, and LeRobot's own state."""

    images: list[dict[str, np.ndarray]]
    states: list[np.ndarray]
    sentence: str


@dataclass
class Parts:
    """What a kind of policy adds to the package."""

    runner: dict
    graphs: dict[str, dict]
    golden: dict
    # LeRobot's actions of the worked example, in its own units, [horizon, columns].
    actions: np.ndarray
    horizon: int
    replan_steps: int
    history: int = 1
    skip_rows: int = 0
    pad_columns: int = 0
    language: dict | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def sha256(content: bytes) -> str:
    """As the manifest has it."""
    return hashlib.sha256(content).hexdigest()


def image_tensor(name: str) -> str:
    """Name of a camera's tensor."""
    return tensor_of(name)


def _cumsum(g: Any, values: Any, dim: Any, dtype: Any) -> Any:
    """torch.cumsum for the exporter: sums of booleans are integers, but ONNX's CumSum takes no booleans."""
    if symbolic_helper._is_bool(values):
        values = g.op("Cast", values, to_i=onnx.TensorProto.INT64)
    if not symbolic_helper._is_none(dtype):
        values = g.op("Cast", values, to_i=JitScalarType(symbolic_helper._get_const(dtype, "i", "dtype")).onnx_type())
    return g.op("CumSum", values, g.op("Constant", value_t=torch.tensor(symbolic_helper._get_const(dim, "i", "dim"))))


torch.onnx.register_custom_op_symbolic("aten::cumsum", _cumsum, OPSET)


def export(module: nn.Module, inputs: Sequence[Tensor], names: list[str], outputs: list[str], file: Path) -> None:
    """Write one graph, batch size one, all of it in one file."""
    # The fused kernel of nn.MultiheadAttention has no counterpart in ONNX.
    torch.backends.mha.set_fastpath_enabled(False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            tuple(inputs),
            str(file),
            input_names=names,
            output_names=outputs,
            opset_version=OPSET,
            dynamo=False,
            do_constant_folding=True,
        )
    if file.stat().st_size >= 2**31:
        raise ImportFailure(f"{file.name} has {file.stat().st_size} bytes; one ONNX file holds at most 2 GiB")
    onnx.checker.check_model(str(file))


def session(file: Path) -> ort.InferenceSession:
    """Open a graph on one thread, without warnings."""
    settings = ort.SessionOptions()
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3
    return ort.InferenceSession(str(file), settings, providers=["CPUExecutionProvider"])


def example(checkpoint: Checkpoint, history: int) -> Observed:
    """Inputs for the worked example: smooth pictures, and states about the middle of what the policy knows."""
    rng = np.random.default_rng(7)
    mode, values = checkpoint.statistics(checkpoint.state())
    count = checkpoint.state().shape[0]
    middle, spread = np.zeros(count), np.full(count, 0.1)
    if mode == "MEAN_STD":
        middle, spread = values["mean"], values["std"]
    elif mode != "IDENTITY":
        low, high = values.values()
        middle, spread = (low + high) / 2, (high - low) / 4
    images, states = [], []
    for _ in range(history):
        pictures = {}
        for feature in checkpoint.images():
            _, height, width = feature.shape
            y, x = np.mgrid[0:height, 0:width]
            wave = [np.sin(x * a / width + y * b / height + c) for a, b, c in rng.uniform(1.0, 12.0, (3, 3))]
            pictures[feature.key] = np.clip(127.5 + 110.0 * np.stack(wave, -1) + rng.normal(0.0, 8.0, (height, width, 3)), 0, 255).astype(
                np.uint8
            )
        images.append(pictures)
        states.append((middle + 0.3 * spread * rng.standard_normal(count)).astype(np.float32))
    return Observed(images, states, "put the red cube on the left pad")


def _vector(checkpoint: Checkpoint, feature: Feature, robot: Robot) -> dict:
    """LeRobot's normalisation of a vector of joints, for the same vector in the robot's units: robot = scale * LeRobot's + offset."""
    mode, values = checkpoint.statistics(feature)
    scale, offset = np.asarray(robot.scale), np.asarray(robot.offset)
    if mode == "IDENTITY":
        if (scale == 1.0).all() and (offset == 0.0).all():
            return {"kind": "identity"}
        return {"kind": "mean_std", "mean": offset.tolist(), "std": scale.tolist(), "eps": 0.0}
    if mode == "MEAN_STD":
        # LeRobot divides by std + eps and multiplies by std. In the robot's units eps is scaled too: there it is put into the numbers.
        mean, std = (scale * values["mean"] + offset).tolist(), values["std"]
        # A state is never brought back.
        undone = {"unnormalize_eps": 0.0} if feature.kind == "ACTION" else {}
        if (scale == 1.0).all():
            return {"kind": "mean_std", "mean": mean, "std": std.tolist(), "eps": checkpoint.eps, **undone}
        if feature.kind == "ACTION":
            return {"kind": "mean_std", "mean": mean, "std": (scale * std).tolist(), "eps": checkpoint.eps, **undone}
        return {"kind": "mean_std", "mean": mean, "std": (scale * (std + checkpoint.eps)).tolist(), "eps": 0.0}
    low, high = (scale * value + offset for value in values.values())
    names = ("q01", "q99") if mode == "QUANTILES" else ("min", "max")
    kind = "quantiles" if mode == "QUANTILES" else "min_max"
    return {"kind": kind, names[0]: low.tolist(), names[1]: high.tolist(), "eps": checkpoint.eps, "eps_rule": "zero_range"}


def _image(checkpoint: Checkpoint, feature: Feature, robot: Robot) -> dict:
    """A camera's entry: LeRobot's normalisation of value/255 by channel as (v - mean) / std."""
    mode, values = checkpoint.statistics(feature)
    mean, std = np.zeros(3), np.ones(3)
    if mode == "MEAN_STD":
        mean, std = values["mean"], values["std"] + checkpoint.eps
    elif mode != "IDENTITY":
        low, high = values.values()
        spread = np.where(high == low, checkpoint.eps, high - low)
        mean, std = low + spread / 2, spread / 2
    name = robot.camera(feature)
    return {
        "name": name,
        "width": feature.shape[2],
        "height": feature.shape[1],
        "encoding": "rgb8",
        "resize": "stretch",
        "layout": "NCHW",
        "mean": mean.tolist(),
        "std": std.tolist(),
        "tensor": image_tensor(name),
    }


def _flat(values: np.ndarray | Tensor) -> list[float]:
    return [float(v) for v in np.asarray(values, np.float32).reshape(-1)]


def golden(checkpoint: Checkpoint, robot: Robot, observed: Observed, parts: Parts) -> dict:
    """The worked example in the robot's units."""
    scale, offset = np.asarray(robot.scale), np.asarray(robot.offset)
    content: dict = {"sentence": observed.sentence}
    for feature in checkpoint.images():
        pictures = np.stack([images[feature.key] for images in observed.images])
        content[image_tensor(robot.camera(feature))] = pictures.reshape(-1).tolist()
    content["joints"] = np.concatenate([scale * state.astype(np.float64) + offset for state in observed.states]).tolist()
    for name, value in parts.golden.items():
        if name == "context":
            content |= {key: _flat(given) if given.size <= MOST_CONTEXT else None for key, given in value.items()}
        elif name == "input_ids":
            content[name] = [int(v) for v in value]
        else:
            content[name] = _flat(value)
    content["actions"] = (scale * parts.actions + offset).reshape(-1).tolist()
    sizes = {robot.camera(feature): (feature.shape[1], feature.shape[2]) for feature in checkpoint.images()}
    content["cameras"] = outgoing.cameras(sizes)
    content["outgoing"] = outgoing.chunk(robot, parts.actions, parts.replan_steps)
    return content


def manifest(checkpoint: Checkpoint, robot: Robot, parts: Parts, name: str, hashes: dict[str, str]) -> dict:
    """The content of policy.yaml."""
    observation: dict = {
        "images": [_image(checkpoint, feature, robot) for feature in checkpoint.images()],
        "state": {"tensor": "state", "normalization": _vector(checkpoint, checkpoint.state(), robot)},
    }
    if parts.history > 1:
        observation["history"] = parts.history
    if parts.language is not None:
        observation["language"] = parts.language
    action: dict = {
        "space": "joint_position",
        "names": robot.joints,
        "units": robot.units,
        "reference": ["absolute"] * len(robot.joints),
        "horizon": parts.horizon,
        "step": 1.0 / robot.fps,
        "normalization": _vector(checkpoint, checkpoint.action, robot),
    }
    for key, value in (("skip_rows", parts.skip_rows), ("pad_columns", parts.pad_columns)):
        if value:
            action[key] = value
    if robot.gripper_joint is not None:
        action["gripper_joint"] = robot.gripper_joint
    return {
        "schema": "policy_package/1.0",
        "policy": {
            "name": name,
            "version": "0.0.0",
            "family": f"lerobot_{checkpoint.kind}",
            "license": str(checkpoint.config.get("license") or "unknown"),
            "description": f"Imported from a LeRobot checkpoint of type {checkpoint.kind}.",
        },
        "robot": {"joints": robot.joints, "units": robot.units, "base_link": robot.base_link, "tip_link": robot.tip_link}
        | ({"ranges_not_compared": robot.ranges_not_compared} if robot.ranges_not_compared else {}),
        "observation": observation,
        "action": action,
        "runner": parts.runner,
        "graphs": {role: {"file": f"{role}.onnx", "sha256": hashes[f"{role}.onnx"], **graph} for role, graph in parts.graphs.items()},
        "execution": {"replan_steps": parts.replan_steps},
        "golden": {"file": "golden.json", "sha256": hashes["golden.json"]},
        "training": {"source": "LeRobot checkpoint", "weights_sha256": hashes["model.safetensors"], "notes": parts.notes},
    }


def write(checkpoint: Checkpoint, robot: Robot, observed: Observed, parts: Parts, name: str, scratch: Path, out: Path) -> None:
    """Put the package together in `scratch`, which holds the graphs already, and move it to `out`."""
    example = golden(checkpoint, robot, observed, parts)
    vectors = [checkpoint.statistics(feature) for feature in (checkpoint.state(), checkpoint.action)]
    ranges.check(ranges.columns(robot, vectors, example["joints"], example["actions"]))
    (scratch / "golden.json").write_text(json.dumps(example))
    for file, content in parts.files.items():
        (scratch / file).write_bytes(content)
    hashes = {file.name: sha256(file.read_bytes()) for file in scratch.iterdir()}
    hashes["model.safetensors"] = sha256(checkpoint.weights.read_bytes())
    if parts.language is not None:
        tokenizer = parts.language["tokenizer"]
        tokenizer["sha256"] = hashes[tokenizer["file"]]
    content = manifest(checkpoint, robot, parts, name, hashes)
    (scratch / "policy.yaml").write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=140))
    out.mkdir(parents=True, exist_ok=True)
    for file in scratch.iterdir():
        (out / file.name).write_bytes(file.read_bytes())


def scratch_folder() -> tempfile.TemporaryDirectory[str]:
    """Where the package is put together."""
    return tempfile.TemporaryDirectory(prefix="efm-import-")
