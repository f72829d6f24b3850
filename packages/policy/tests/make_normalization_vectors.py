"""Writes data/normalization.json: what the published normalisations make of a few vectors, and back.

Needs numpy only. Each function is the published one, transcribed to numpy in float64, by its repository (commit), file and function:

- LeRobot 0.4.4 (huggingface/lerobot), lerobot/processor/normalize_processor.py, _NormalizationMixin._apply_transform
- openpi (Physical-Intelligence/openpi, 15a9616), src/openpi/transforms.py, Normalize and Unnormalize
- Octo (octo-models/octo, 241fb35), octo/data/utils/data_utils.py, normalize_action_and_proprio; octo/model/octo_model.py, sample_actions;
  octo/utils/gym_wrappers.py, NormalizeProprio.normalize
- OpenVLA (openvla/openvla, c8f03f4), prismatic/vla/datasets/rlds/utils/data_utils.py, normalize_action_and_proprio;
  prismatic/models/vlas/openvla.py, predict_action
"""

import json
from pathlib import Path

import numpy as np


def lerobot_mean_std(x, s, inverse):
    mean, std = s["mean"], s["std"]
    denom = std + 1e-8
    if inverse:
        return x * std + mean
    return (x - mean) / denom


def lerobot_min_max(x, s, inverse):
    min_val, max_val = s["min"], s["max"]
    denom = max_val - min_val
    denom = np.where(denom == 0, 1e-8, denom)
    if inverse:
        return (x + 1) / 2 * denom + min_val
    return 2 * (x - min_val) / denom - 1


def lerobot_quantiles(x, s, inverse):
    q01, q99 = s["q01"], s["q99"]
    denom = q99 - q01
    denom = np.where(denom == 0, 1e-8, denom)
    if inverse:
        return (x + 1.0) * denom / 2.0 + q01
    return 2.0 * (x - q01) / denom - 1.0


def openpi_mean_std(x, s, inverse):
    if inverse:
        return x * (s["std"] + 1e-6) + s["mean"]
    return (x - s["mean"]) / (s["std"] + 1e-6)


def openpi_quantiles(x, s, inverse):
    q01, q99 = s["q01"], s["q99"]
    if inverse:
        return (x + 1.0) / 2.0 * (q99 - q01 + 1e-6) + q01
    return (x - q01) / (q99 - q01 + 1e-6) * 2.0 - 1.0


def octo_normal(x, s, inverse):
    if inverse:
        return np.where(s["mask"], (x * s["std"]) + s["mean"], x)
    return np.where(s["mask"], (x - s["mean"]) / (s["std"] + 1e-8), x)


def octo_bounds(x, s, inverse):
    low, high = s["q01"], s["q99"]  # p01 and p99 there
    if inverse:
        return np.where(s["mask"], (x + 1) * (high - low) / 2 + low, x)
    return np.where(s["mask"], np.clip(2 * (x - low) / (high - low + 1e-8) - 1, -1, 1), x)


def openvla_bounds_q99(x, s, inverse):
    low, high = s["q01"], s["q99"]
    if inverse:
        return np.where(s["mask"], 0.5 * (x + 1) * (high - low) + low, x)
    return np.where(s["mask"], np.clip(2 * (x - low) / (high - low + 1e-8) - 1, -1, 1), x)


def openvla_bounds(x, s, inverse):
    return openvla_bounds_q99(x, {"q01": s["min"], "q99": s["max"], "mask": s["mask"]}, inverse)


MASK = [True, True, True, False]
# The last column never moved: constant columns are common in the checkpoints of LeRobot and openpi.
MEAN_STD = {"mean": [0.31, -1.2, 4.0e-4, 0.02], "std": [0.21, 0.9, 3.0e-5, 0.0]}
MIN_MAX = {"min": [-0.7, -3.1, -2.0e-4, 0.02], "max": [0.9, 2.7, 3.0e-4, 0.02]}
QUANTILES = {"q01": [-0.65, -2.9, -1.7e-4, 0.02], "q99": [0.82, 2.5, 2.6e-4, 0.02]}

CASES = [
    ("LeRobot MEAN_STD", lerobot_mean_std, {"kind": "mean_std", **MEAN_STD, "eps": 1e-8, "unnormalize_eps": 0.0}),
    ("LeRobot MIN_MAX", lerobot_min_max, {"kind": "min_max", **MIN_MAX, "eps": 1e-8, "eps_rule": "zero_range"}),
    ("LeRobot QUANTILES", lerobot_quantiles, {"kind": "quantiles", **QUANTILES, "eps": 1e-8, "eps_rule": "zero_range"}),
    ("openpi z-score", openpi_mean_std, {"kind": "mean_std", **MEAN_STD, "eps": 1e-6}),
    ("openpi quantiles", openpi_quantiles, {"kind": "quantiles", **QUANTILES, "eps": 1e-6}),
    ("Octo normal", octo_normal, {"kind": "mean_std", **MEAN_STD, "eps": 1e-8, "unnormalize_eps": 0.0, "mask": MASK}),
    ("Octo bounds", octo_bounds,
     {"kind": "quantiles", **QUANTILES, "eps": 1e-8, "unnormalize_eps": 0.0, "clip": True, "mask": MASK}),
    ("OpenVLA bounds", openvla_bounds,
     {"kind": "min_max", **MIN_MAX, "eps": 1e-8, "unnormalize_eps": 0.0, "clip": True, "mask": MASK}),
    ("OpenVLA bounds_q99", openvla_bounds_q99,
     {"kind": "quantiles", **QUANTILES, "eps": 1e-8, "unnormalize_eps": 0.0, "clip": True, "mask": MASK}),
]

PHYSICAL = [[0.31, -1.2, 4.0e-4, 0.02], [0.5, 1.7, -1.0e-4, 0.02], [-2.0, 6.0, 9.0e-4, 0.021], [0.0, 0.0, 0.0, 0.0]]
NORMALIZED = [[0.0, 0.0, 0.0, 0.0], [1.0, -1.0, 0.5, -0.25], [-1.7, 2.3, 0.998, 1.0], [0.003, -0.4, -5.0, 0.6]]


def main():
    cases = []
    for name, formula, manifest in CASES:
        stats = {key: np.array(value) for key, value in manifest.items() if isinstance(value, list)}
        cases.append({
            "name": name, "normalization": manifest,
            "physical": PHYSICAL, "normalized": formula(np.array(PHYSICAL), stats, False).tolist(),
            "given": NORMALIZED, "unnormalized": formula(np.array(NORMALIZED), stats, True).tolist(),
        })
    file = Path(__file__).parent / "data" / "normalization.json"
    file.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


if __name__ == "__main__":
    main()
