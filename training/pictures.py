"""A picture at a camera's own size, and what training makes of it: the part `cameras` of a golden file (docs/policy_package.md).

Resizing is Pillow's, which shares no code with the suite's own (`packages/vision`). Needs numpy and Pillow, nothing else.
"""

from __future__ import annotations

import base64

import numpy as np

try:
    from PIL import Image
except ImportError:  # Reading this module is possible without; making pictures is not.
    Image = None


def made_up(width: int, height: int, seed: int) -> np.ndarray:
    """A picture uint8 [height, width, 3] in which every way of resizing shows: waves, edges, noise, nothing dark, no two sides alike."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x * a / width + y * b / height + c) for a, b, c in rng.uniform(2.0, 14.0, (3, 3))]
    picture = 150.0 + 60.0 * np.stack(waves, -1) + rng.normal(0.0, 12.0, (height, width, 3))
    # A board of squares in the middle, and a frame: what is cut off or squeezed moves their edges.
    board = (x // max(2, width // 16) + y // max(2, height // 8)) % 2 == 0
    picture[board & (abs(x - width / 2) < width / 4)] += 35.0
    picture[:, : max(1, width // 20)] = (230, 90, 60)
    picture[:, -max(1, width // 20) :] = (60, 110, 240)
    picture[: max(1, height // 20)] = (90, 220, 80)
    picture[-max(1, height // 20) :] = (240, 210, 70)
    return np.clip(np.rint(picture), 20, 255).astype(np.uint8)


def stretched(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The whole picture at another size, aspect ratio or not, by Pillow's BILINEAR (a triangle that widens with the reduction)."""
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR))


def wide(width: int, height: int) -> tuple[int, int]:
    """Width and height of a camera that is larger than width x height, and half as wide again."""
    rows = max(height + 2, round(1.05 * height))
    return round(1.5 * rows * width / height), rows


def part(name: str, picture: np.ndarray, resized: np.ndarray) -> dict:
    """A camera's entry: its name, its picture, and the same at the policy's size, uint8 [height, width, 3], as base64, which is shorter."""
    height, width, _ = picture.shape
    return {"name": name, "width": width, "height": height, "rgb8": _base64(picture), "resized": _base64(resized)}


def tensor_of(camera: str) -> str:
    """Name of the tensor with a camera's pictures, in every package that is made here."""
    return f"image_{camera}"


def _base64(picture: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(picture, np.uint8).tobytes()).decode()


def cameras(sizes: dict[str, tuple[int, int]], seed: int = 7) -> dict:
    """The part `cameras` for cameras of these names, the whole of whose pictures is seen at these sizes (height, width)."""
    made = {}
    for place, (name, (height, width)) in enumerate(sizes.items()):
        picture = made_up(*wide(width, height), seed + place)
        made[tensor_of(name)] = part(name, picture, stretched(picture, width, height))
    return made
