"""A made-up data set for the tests of training itself: discs on a table, a straight reach for the named one.

    python -m training.synthetic --cache DIR --episodes 100

It says nothing about the robot: it only has the shapes, and a task that a working pipeline learns in minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from training.dataset import CAMERAS, HORIZON, ROOT, Sentences, write_cache

OBJECTS = {"red disc": (200, 40, 40), "green disc": (40, 180, 60), "blue disc": (50, 70, 210), "yellow disc": (220, 200, 40)}
SIDES = {"left": (0.45, 0.2), "right": (0.45, -0.2)}
GOALS = [*SIDES, "plate"]
TEMPLATES = {"left": "on the left", "right": "on the right", "plate": "on the plate"}
NOVEL = {("red disc", "plate"), ("green disc", "left"), ("blue disc", "right"), ("yellow disc", "plate")}
FRAMES = 20


def _pixel(position: np.ndarray) -> tuple[float, float]:
    """Table to image: x 0.25..0.75 m down the picture, y 0.3..-0.3 m across it; in 0..1."""
    return (position[1] - 0.3) / -0.6, (position[0] - 0.25) / 0.5


def _disc(image: np.ndarray, position: tuple[float, float], colour: tuple[int, int, int], radius: float) -> None:
    height, width = image.shape[:2]
    ys, xs = np.mgrid[0:height, 0:width]
    cover = np.clip(radius + 0.5 - np.hypot(xs - position[0] * (width - 1), ys - position[1] * (height - 1)), 0.0, 1.0)[..., None]
    image[:] = image * (1.0 - cover) + np.array(colour) * cover


def _picture(size: tuple[int, int], rng: np.random.Generator, discs: list[tuple[tuple[float, float], tuple[int, int, int]]], radius: float):
    image = np.full((*size, 3), 150.0)
    for place, colour in discs:
        _disc(image, place, colour, radius)
    return np.clip(image + rng.normal(0.0, 2.0, image.shape), 0, 255).astype(np.uint8)


def sentences() -> Sentences:
    """What the made-up benchmark says; combinations in `NOVEL` are left out."""
    rows = [
        (f"{verb} the {name} {TEMPLATES[goal]}", number, index)
        for verb in ("put", "please move", "i want")
        for number, name in enumerate(OBJECTS)
        for index, goal in enumerate(GOALS)
        if (name, goal) not in NOVEL
    ]
    return Sentences(list(OBJECTS), GOALS, [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def write(cache: Path, episodes: int, encoder: Path = ROOT / "models/encoders/all-minilm-l6-v2") -> None:
    """Write a cache in the format of `training.dataset`."""
    rng = np.random.default_rng(0)
    said = sentences()
    names = ("images_front", "images_wrist", "states", "actions", "aux", "objects", "plate", "episode")
    rows: dict[str, list] = {name: [] for name in names}
    chosen = [int(rng.integers(len(said.texts))) for _ in range(episodes)]
    for episode, number in enumerate(chosen):
        which, goal = list(OBJECTS)[said.object[number]], GOALS[said.goal[number]]
        places = {name: rng.uniform([0.3, -0.25], [0.7, 0.25]) for name in OBJECTS}
        absent = rng.choice([name for name in OBJECTS if name != which])
        del places[absent]
        plate = rng.uniform([0.3, -0.25], [0.7, 0.25])
        target = plate if goal == "plate" else np.array(SIDES[goal])
        path = np.concatenate(
            [
                np.linspace([0.45, 0.0, 0.4], [*places[which], 0.02], FRAMES // 2),
                np.linspace([*places[which], 0.02], [*target, 0.1], FRAMES // 2 + HORIZON),
            ]
        )
        for frame in range(FRAMES):
            discs = [(_pixel(plate), (250, 250, 250)), *((_pixel(place), OBJECTS[name]) for name, place in places.items())]
            # The wrist camera: around the tool, five times as large.
            tool = _pixel(path[frame])
            near = [((0.5 + 5 * (u - tool[0]), 0.5 + 5 * (v - tool[1])), colour) for (u, v), colour in discs]
            future = path[frame + 1 : frame + 1 + HORIZON]
            finger = np.where(np.arange(frame + 1, frame + 1 + HORIZON) < FRAMES // 2, 0.04, 0.01)
            objects = np.full((len(OBJECTS), 3), np.nan)
            for name, place in places.items():
                objects[list(OBJECTS).index(name)] = [*place, 0.02]
            row = (
                _picture(CAMERAS["front"], rng, discs, 3.5),
                _picture(CAMERAS["wrist"], rng, near, 9.0),
                np.concatenate([rng.normal(0, 0.1, 7), [0.04], path[frame]]),
                np.concatenate([future - path[frame], finger[:, None]], axis=1),
                [*places[which], 0.02, *target],
                objects,
                plate,
                episode,
            )
            for values, value in zip(rows.values(), row, strict=True):
                values.append(value)
    kinds = {"images_front": np.uint8, "images_wrist": np.uint8, "episode": np.int32}
    arrays = {name: np.array(values, kinds.get(name, np.float32)) for name, values in rows.items()}
    arrays["sentence"] = np.array(chosen, np.int32)
    arrays["object"] = np.array([said.object[number] for number in chosen], np.int32)
    arrays["goal"] = np.array([said.goal[number] for number in chosen], np.int32)
    meta = {
        "frames": len(arrays["states"]),
        "episodes": [str(i) for i in range(episodes)],
        "seeds": list(range(episodes)),
        "kinds": ["plate" if said.goal[number] == 2 else "put" for number in chosen],
        "skipped": 0,
    }
    write_cache(cache, arrays, said, meta, encoder)


def main() -> None:
    """Entry point of `python -m training.synthetic`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--episodes", type=int, default=100)
    arguments = parser.parse_args()
    write(arguments.cache, arguments.episodes)
    print(f"{arguments.episodes} episodes -> {arguments.cache}")


if __name__ == "__main__":
    main()
