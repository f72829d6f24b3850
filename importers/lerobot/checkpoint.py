"""A LeRobot checkpoint folder as it lies there: JSON and safetensors, read without LeRobot's classes. Nothing is ever unpickled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from importers.lerobot.errors import ImportFailure

SUPPORTED = ("act", "diffusion", "smolvla")
STATE, ACTION, IMAGES = "observation.state", "action", ("observation.image", "observation.images.")
# Statistics that each normalisation needs.
NEEDED = {"MEAN_STD": ("mean", "std"), "MIN_MAX": ("min", "max"), "QUANTILES": ("q01", "q99"), "QUANTILE10": ("q10", "q90")}
# What the pipelines of the supported policies are made of. Anything else would change numbers that the package does not know about.
PREPROCESSING = {
    "rename_observations_processor",
    "to_batch_processor",
    "device_processor",
    "normalizer_processor",
    "smolvla_new_line_processor",
    "tokenizer_processor",
}
POSTPROCESSING = {"unnormalizer_processor", "device_processor"}
# Buffers in which LeRobot before 0.4 kept statistics.
OLD_BUFFERS = ("normalize_inputs.buffer_", "normalize_targets.buffer_", "unnormalize_outputs.buffer_")

Stats = dict[str, dict[str, np.ndarray]]


@dataclass
class Feature:
    """An input or output as LeRobot names it."""

    key: str
    kind: str
    shape: tuple[int, ...]


@dataclass
class Checkpoint:
    """The folder's content."""

    folder: Path
    config: dict
    preprocessor: dict[str, dict]
    postprocessor: dict[str, dict]
    inputs: list[Feature]
    action: Feature
    stats: Stats
    norm_map: dict[str, str]
    eps: float
    old: bool

    @property
    def kind(self) -> str:
        """The type of the policy."""
        return self.config["type"]

    @property
    def weights(self) -> Path:
        """The file with the weights."""
        return self.folder / "model.safetensors"

    def images(self) -> list[Feature]:
        """The cameras, in LeRobot's order, without those that SmolVLA only makes up."""
        return [f for f in self.inputs if f.kind == "VISUAL" and ".empty_camera_" not in f.key]

    def state(self) -> Feature:
        """The measured joints."""
        return next(f for f in self.inputs if f.key == STATE)

    def statistics(self, feature: Feature) -> tuple[str, dict[str, np.ndarray]]:
        """The normalisation of a feature, and its statistics as flat float64."""
        mode = self.norm_map.get(feature.kind, "IDENTITY")
        if mode == "IDENTITY":
            return mode, {}
        if mode not in NEEDED:
            raise ImportFailure(
                f"{self.folder}: normalisation {mode} of {feature.key} is not known; expected one of IDENTITY, {', '.join(NEEDED)}"
            )
        found = self.stats.get(feature.key, {})
        missing = [name for name in NEEDED[mode] if name not in found]
        if missing:
            there = ", ".join(sorted(self.stats)) or "none"
            raise ImportFailure(
                f"{self.folder}: statistics of {feature.key} lack {', '.join(missing)}, which {mode} needs "
                f"(statistics are there of: {there}). "
                "Save the processors with the data set's statistics beside the policy (policy_preprocessor.json and its safetensors)"
            )
        expected = feature.shape[0]
        values = {}
        for name in NEEDED[mode]:
            value = np.asarray(found[name], np.float64).reshape(-1)
            if value.size != expected:
                raise ImportFailure(f"{self.folder}: {feature.key}.{name} has {value.size} values; config.json says {expected}")
            if not np.isfinite(value).all():
                raise ImportFailure(f"{self.folder}: {feature.key}.{name} is not finite")
            values[name] = value
        return mode, values


def read_json(file: Path) -> dict:
    """An object, or a failure that names the file."""
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise ImportFailure(f"{file} is missing; a LeRobot checkpoint (its folder pretrained_model) has it") from None
    except (OSError, ValueError) as error:
        raise ImportFailure(f"{file}: {error}") from error
    if not isinstance(content, dict):
        raise ImportFailure(f"{file}: is not a JSON object")
    return content


def read_tensors(file: Path, prefixes: tuple[str, ...] = ("",)) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file whose names begin so."""
    if not file.is_file():
        raise ImportFailure(f"{file} is missing")
    try:
        with safe_open(str(file), framework="np") as tensors:
            return {name: tensors.get_tensor(name) for name in tensors.keys() if name.startswith(prefixes)}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ImportFailure(f"{file}: cannot be read as safetensors ({error}); is it cut short?") from error


def _features(config: dict, file: Path, which: str) -> list[Feature]:
    features = []
    for key, value in (config.get(which) or {}).items():
        try:
            features.append(Feature(key, str(value["type"]), tuple(int(side) for side in value["shape"])))
        except (TypeError, KeyError, ValueError):
            raise ImportFailure(f"{file}: {which}.{key} is not {{type, shape}}") from None
    return features


def _steps(file: Path, known: set[str]) -> dict[str, dict]:
    """The steps of a pipeline by name, refusing what the importer does not know."""
    steps = {}
    for step in read_json(file).get("steps", []):
        name = step.get("registry_name") or step.get("class", "?")
        if name not in known:
            raise ImportFailure(f"{file}: step '{name}' is not supported; expected only {', '.join(sorted(known))}")
        steps[name] = step
    device = steps.get("device_processor", {}).get("config", {})
    if device.get("float_dtype") not in (None, "float32"):
        raise ImportFailure(f"{file}: float_dtype is {device['float_dtype']}; only float32 is supported")
    return steps


def _stats(file: Path, step: dict) -> Stats:
    """The statistics of a normaliser's own file."""
    if "state_file" not in step:
        return {}
    name = step["state_file"]
    if Path(name).name != name:
        raise ImportFailure(f"{file}: state_file '{name}' is not a file beside it")
    stats: Stats = {}
    for flat, value in read_tensors(file.parent / name).items():
        key, _, stat = flat.rpartition(".")
        stats.setdefault(key, {})[stat] = value
    return stats


def _old_stats(weights: Path, features: list[Feature]) -> Stats:
    """Statistics inside the model, as LeRobot before 0.4 kept them: `normalize_inputs.buffer_observation_state.mean`."""
    dotted = {feature.key.replace(".", "_"): feature.key for feature in features}
    stats: Stats = {}
    for name, value in read_tensors(weights, OLD_BUFFERS).items():
        flat, _, stat = name.rpartition(".")
        key = flat.split("buffer_", 1)[1]
        stats.setdefault(dotted.get(key, key), {})[stat] = value
    return stats


def read(folder: Path) -> Checkpoint:
    """Read and check a checkpoint folder."""
    if not folder.is_dir():
        raise ImportFailure(f"{folder} is not a folder")
    file = folder / "config.json"
    config = read_json(file)
    kind = config.get("type")
    if kind not in SUPPORTED:
        raise ImportFailure(f"{file}: type is {kind!r}; supported are {', '.join(SUPPORTED)}")
    inputs, outputs = _features(config, file, "input_features"), _features(config, file, "output_features")
    for feature in inputs:
        if feature.key != STATE and feature.kind != "VISUAL":
            raise ImportFailure(f"{file}: input {feature.key} ({feature.kind}) is not supported; expected {STATE} and images")
        if feature.kind == "VISUAL" and (len(feature.shape) != 3 or feature.shape[0] != 3):
            raise ImportFailure(f"{file}: {feature.key} has shape {list(feature.shape)}; expected [3, height, width]")
        if feature.kind == "VISUAL" and not feature.key.startswith(IMAGES):
            raise ImportFailure(f"{file}: image {feature.key} is not called observation.images.NAME")
    if not any(f.key == STATE and len(f.shape) == 1 for f in inputs):
        raise ImportFailure(f"{file}: input_features lack {STATE} of shape [joints]")
    if [f.key for f in outputs] != [ACTION] or len(outputs[0].shape) != 1:
        raise ImportFailure(f"{file}: output_features are {[f.key for f in outputs]}; expected only {ACTION} of shape [joints]")
    if config.get("use_peft"):
        raise ImportFailure(f"{file}: use_peft is set; merge the adapter into the weights first")
    old = not (folder / "policy_preprocessor.json").is_file()
    weights = folder / "model.safetensors"
    norm_map = {str(k): str(v) for k, v in (config.get("normalization_mapping") or {}).items()}
    eps = 1e-8
    if old:
        stats, preprocessor, postprocessor = _old_stats(weights, [*inputs, *outputs]), {}, {}
        if not stats and set(norm_map.values()) - {"IDENTITY"}:
            raise ImportFailure(
                f"{folder / 'policy_preprocessor.json'} is missing, and {weights.name} holds no statistics either "
                "(normalize_inputs.buffer_*, as LeRobot before 0.4 kept them)"
            )
    else:
        preprocessor = _steps(folder / "policy_preprocessor.json", PREPROCESSING)
        postprocessor = _steps(folder / "policy_postprocessor.json", POSTPROCESSING)
        normalizer, unnormalizer = preprocessor.get("normalizer_processor", {}), postprocessor.get("unnormalizer_processor", {})
        stats = _stats(folder / "policy_preprocessor.json", normalizer)
        # What is undone counts for the actions.
        undone = _stats(folder / "policy_postprocessor.json", unnormalizer)
        stats.pop(ACTION, None)
        stats.update({ACTION: undone[ACTION]} if ACTION in undone else {})
        settings = normalizer.get("config", {})
        norm_map = {str(k): str(v) for k, v in settings.get("norm_map", norm_map).items()}
        norm_map["ACTION"] = str(unnormalizer.get("config", {}).get("norm_map", norm_map).get("ACTION", "IDENTITY"))
        eps = float(settings.get("eps", eps))
        if settings.get("normalize_observation_keys") is not None:
            raise ImportFailure(
                f"{folder / 'policy_preprocessor.json'}: normalize_observation_keys is not supported; expected all to be normalised"
            )
    return Checkpoint(folder, config, preprocessor, postprocessor, inputs, outputs[0], stats, norm_map, eps, old)
