"""A made-up data set for the tests of training itself: discs on a table, a straight reach for the named one.

    python -m training.synthetic --cache DIR --episodes 100

It says nothing about the robot: it only has the shapes, and a task that a working pipeline learns in minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.dataset import HORIZON, JOINTS, ROOT, STEP_NS, write_cache

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 210), "yellow": (220, 200, 40)}
SIDES = {"left": (0.45, 0.2), "right": (0.45, -0.2)}
FRAMES = 40


def _pixel(position: np.ndarray) -> tuple[float, float]:
    """Table to image: x 0.3..0.7 m down the picture, y 0.3..-0.3 m across it."""
    return (position[1] - 0.3) / -0.6 * 95.0, (position[0] - 0.25) / 0.5 * 71.0


def _disc(image: np.ndarray, position: np.ndarray, colour: tuple[int, int, int], radius: float) -> None:
    u, v = _pixel(position)
    ys, xs = np.mgrid[0:72, 0:96]
    cover = np.clip(radius + 0.5 - np.hypot(xs - u, ys - v), 0.0, 1.0)[..., None]
    image[:] = image * (1.0 - cover) + np.array(colour) * cover


def main() -> None:
    """Write a cache in the format of `training.dataset`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=100)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    sentences = [f"put the {colour} disc on the {side}" for colour in COLOURS for side in SIDES]
    rows: dict[str, list] = {name: [] for name in ("images", "states", "actions", "aux", "episode", "sentence")}
    for episode in range(arguments.episodes):
        places = {colour: rng.uniform([0.3, -0.25], [0.7, 0.25]) for colour in COLOURS}
        number = int(rng.integers(len(sentences)))
        colour, side = list(COLOURS)[number // 2], list(SIDES)[number % 2]
        target = np.array(SIDES[side])
        path = np.concatenate(
            [
                np.linspace([0.45, 0.0, 0.4], [*places[colour], 0.02], FRAMES // 2),
                np.linspace([*places[colour], 0.02], [*target, 0.1], FRAMES // 2 + HORIZON),
            ]
        )
        for frame in range(FRAMES):
            image = np.full((72, 96, 3), 150.0)
            for name, place in places.items():
                _disc(image, place, COLOURS[name], 3.5)
            image += rng.normal(0.0, 2.0, image.shape)
            future = path[frame + 1 : frame + 1 + HORIZON]
            finger = np.where(np.arange(frame + 1, frame + 1 + HORIZON) < FRAMES // 2, 0.04, 0.01)
            rows["images"].append(np.clip(image, 0, 255).astype(np.uint8))
            rows["states"].append(np.concatenate([rng.normal(0, 0.1, 7), [0.04], path[frame]]))
            rows["actions"].append(np.concatenate([future - path[frame], finger[:, None]], axis=1))
            rows["aux"].append([*places[colour], 0.02, *target])
            rows["episode"].append(episode)
            rows["sentence"].append(number)
    meta = {
        "frames": len(rows["images"]), "episodes": [str(i) for i in range(arguments.episodes)], "kinds": ["put"] * arguments.episodes,
        "skipped": 0, "sentences": sentences, "joints": JOINTS, "horizon": HORIZON, "step": STEP_NS / 1e9,
        "encoder": "all-minilm-l6-v2",
    }  # fmt: skip
    write_cache(
        arguments.cache,
        np.stack(rows["images"]),
        np.array(rows["states"], np.float32),
        np.array(rows["actions"], np.float32),
        np.array(rows["aux"], np.float32),
        np.array(rows["episode"]),
        np.array(rows["sentence"]),
        meta,
        ROOT / "models/encoders/all-minilm-l6-v2",
    )
    print(f"{meta['frames']} frames -> {arguments.cache}")


if __name__ == "__main__":
    main()
