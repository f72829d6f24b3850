"""What packages/dataset/tests/sample/mod.rs puts into its bags, by the same formulas, as the frames that must come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

FPS = 10
START_NS = 1_700_000_000 * 10**9
JOINTS = ["a", "b", "g"]
#: Width and height by name.
CAMERAS = {"front": (12, 8), "wrist": (8, 6)}
#: First and last picture of the bag, sentence, whether the last frame is a success.
EPISODES = [
    (0, 11, "stack the cube", False),
    (13, 24, "stack the cube", False),
    (0, 11, "push the ball", True),
    (13, 29, "push the ball away", False),
]


class Frame(NamedTuple):
    """A frame that must come out."""

    episode: int
    frame: int
    state: np.ndarray
    action: np.ndarray
    success: bool
    stamp: int
    task: str
    #: By camera, `[height, width, 3]`.
    pictures: dict[str, np.ndarray]


def measured(ms: float) -> np.ndarray:
    """Measured positions."""
    joint = np.arange(1, len(JOINTS) + 1)
    return 0.1 * joint + 0.0002 * joint * ms


def picture(camera: int, number: int) -> np.ndarray:
    """A picture of a camera."""
    width, height = list(CAMERAS.values())[camera]
    y, x, colour = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    return ((x * 7 + y * 13 + colour * 29 + number * 5 + camera * 101) % 251).astype(np.uint8)


def frames() -> Iterator[Frame]:
    """All frames, in order."""
    for episode, (first, last, task, success) in enumerate(EPISODES):
        for number in range(first, last + 1):
            ms = 100 * number
            yield Frame(
                episode=episode,
                frame=number - first,
                # Joint states come every 20 ms, 3 ms after the full ones; the newest that is not after the picture counts.
                state=measured(ms - 17).astype(np.float32),
                # What is commanded for one period later.
                action=(0.25 + measured(ms + 100)).astype(np.float32),
                success=success and number == last,
                stamp=START_NS + ms * 10**6,
                task=task,
                pictures={name: picture(i, number) for i, name in enumerate(CAMERAS)},
            )
