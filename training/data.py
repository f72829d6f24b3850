"""The cache of `training.dataset` as tensors: split, normalisation, batches, augmentation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from training.model import ORIGIN, UNIT

EPSILON = 1e-6
IMAGE_MEAN, IMAGE_STD = 0.5, 0.5
# Noise pictures that augmentation picks from: drawing anew for each frame would cost a tenth of the training.
NOISES = 64


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of a vector; (v - mean) / (std + eps) forwards."""

    mean: Tensor
    std: Tensor

    @staticmethod
    def of(values: np.ndarray, smallest: float) -> Normalisation:
        """Over all leading axes; `smallest` bounds the deviation from below, for joints that hardly move."""
        flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
        std = np.maximum(flat.std(axis=0), smallest)
        return Normalisation(torch.tensor(flat.mean(axis=0)).float(), torch.tensor(std).float())

    def forward(self, values: Tensor) -> Tensor:
        """To the network's scale."""
        return (values - self.mean) / (self.std + EPSILON)

    def inverse(self, values: Tensor) -> Tensor:
        """Back to metres and radians."""
        return values * (self.std + EPSILON) + self.mean

    def as_dict(self) -> dict:
        """Lists, for checkpoints and manifests."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist()}

    @staticmethod
    def from_dict(values: dict) -> Normalisation:
        """Inverse of `as_dict`."""
        return Normalisation(torch.tensor(values["mean"]), torch.tensor(values["std"]))


def to_guess(metres: Tensor) -> Tensor:
    """Positions [..., 2 or 3] in the base frame, metres, to the unit of `training.model.Guesses`."""
    return (metres - torch.tensor(ORIGIN)[: metres.shape[-1]]) / UNIT


def split_rows(episode: np.ndarray, count: int, seed: int, held_out: float) -> tuple[Tensor, Tensor]:
    """Frames to train on and frames to validate on: each of the `count` episodes is wholly on one side."""
    order = np.random.default_rng(seed).permutation(count)
    held = np.zeros(count, bool)
    held[order[: max(1, round(held_out * count))]] = True
    return torch.from_numpy(np.flatnonzero(~held[episode])), torch.from_numpy(np.flatnonzero(held[episode]))


@dataclass
class Batch:
    """Normalised inputs and labels of B frames."""

    front: Tensor
    wrist: Tensor
    state: Tensor
    text: Tensor
    action: Tensor
    named: Tensor
    target: Tensor
    plate: Tensor
    objects: Tensor
    """All objects [B, 8, 3], zero where `present` [B, 8] is not."""
    present: Tensor


class Frames:
    """All frames in memory, images as bytes."""

    def __init__(self, cache: Path, seed: int, held_out: float) -> None:
        """Load a cache and split it by episode; `held_out` is the share of episodes kept for validation."""

        def load(name: str) -> np.ndarray:
            return np.load(cache / f"{name}.npy")

        self.meta = json.loads((cache / "meta.json").read_text())
        self.front = torch.from_numpy(load("images_front"))
        self.wrist = torch.from_numpy(load("images_wrist"))
        self.states = torch.from_numpy(load("states"))
        self.actions = torch.from_numpy(load("actions"))
        aux = torch.from_numpy(load("aux"))
        self.named, self.target = to_guess(aux[:, :3]), to_guess(aux[:, 3:])
        self.plate = to_guess(torch.from_numpy(load("plate")))
        objects = torch.from_numpy(load("objects"))
        self.present = objects.isfinite().all(dim=2)
        self.objects = torch.where(self.present[..., None], to_guess(objects), 0.0)
        self.text = torch.from_numpy(load("text"))
        self.text_object = torch.from_numpy(load("text_object")).long()
        self.text_goal = torch.from_numpy(load("text_goal")).long()
        self.episode = load("episode")
        self.object = torch.from_numpy(load("object")).long()[self.episode]
        self.goal = torch.from_numpy(load("goal")).long()[self.episode]
        self.sentence = torch.from_numpy(load("sentence")).long()[self.episode]
        self._group_sentences()
        count = len(self.meta["episodes"])
        self.train_rows, self.held_rows = split_rows(self.episode, count, seed, held_out)
        rows = self.train_rows.numpy()
        self.state_norm = Normalisation.of(self.states.numpy()[rows], 1e-3)
        self.action_norm = Normalisation.of(self.actions.numpy()[rows], 1e-3)

    def _group_sentences(self) -> None:
        """Sentences of each combination, in one row each: `groups` [objects * goals, most], `group_sizes`."""
        goals = len(self.meta["goals"])
        key = self.text_object * goals + self.text_goal
        rows = [torch.nonzero(key == k).flatten() for k in range(len(self.meta["objects"]) * goals)]
        self.group_sizes = torch.tensor([len(row) for row in rows])
        self.groups = torch.zeros(len(rows), int(self.group_sizes.max()), dtype=torch.long)
        for k, row in enumerate(rows):
            self.groups[k, : len(row)] = row

    def start_posture(self) -> list[float]:
        """Mean joint positions of the first frames of all episodes, robot order."""
        first = np.unique(self.episode, return_index=True)[1]
        return [round(float(v), 4) for v in self.states[torch.from_numpy(first)][:, :8].mean(dim=0)]

    def batch(self, rows: Tensor, generator: torch.Generator | None = None) -> Batch:
        """Normalised frames; image tensors are NCHW in channels-last memory.

        Each frame gets the sentence of its episode or, given a generator, a random one that asks for the same.
        """
        sentence = self.sentence[rows]
        if generator is not None:
            key = self.object[rows] * len(self.meta["goals"]) + self.goal[rows]
            draw = (torch.rand(len(rows), generator=generator) * self.group_sizes[key]).long()
            sentence = self.groups[key, draw]
        return Batch(
            front=_pixels(self.front[rows]),
            wrist=_pixels(self.wrist[rows]),
            state=self.state_norm.forward(self.states[rows]),
            text=self.text[sentence],
            action=self.action_norm.forward(self.actions[rows]),
            named=self.named[rows],
            target=self.target[rows],
            plate=self.plate[rows],
            objects=self.objects[rows],
            present=self.present[rows],
        )


def _pixels(images: Tensor) -> Tensor:
    return images.float().mul_(1.0 / (255.0 * IMAGE_STD)).sub_(IMAGE_MEAN / IMAGE_STD).permute(0, 3, 1, 2)


class Augmentation:
    """Light, colour and noise of the images, each camera for itself, and a little noise on the state; in place.

    Light: gain, brightness, a curve, the gain of each colour, and a soft shading across the picture. The front image is also
    shifted by up to a pixel now and then: the marks on the table shift with it, so that it looks like a camera that was
    knocked. The wrist image is not: there a pixel is some millimetres at the fingers, and nothing in sight tells.
    """

    def __init__(self, front: tuple[int, int], wrist: tuple[int, int], seed: int) -> None:
        """Heights and widths of the images."""
        generator = torch.Generator().manual_seed(seed)
        self.noise = {
            size: torch.randn(NOISES, *size, 3, generator=generator).permute(0, 3, 1, 2) for size in {front, wrist}
        }  # fmt: skip

    def __call__(self, batch: Batch, generator: torch.Generator) -> None:
        """Change the inputs of a batch."""
        batch.front = _shifted(batch.front, generator)
        self._light(batch.front, generator)
        self._light(batch.wrist, generator)
        batch.state.add_(0.004 * torch.randn(batch.state.shape, generator=generator))

    def _light(self, image: Tensor, generator: torch.Generator) -> None:
        size, _, height, width = image.shape

        def normal(*shape: int) -> Tensor:
            return torch.randn(size, *shape, generator=generator)

        field = functional.interpolate(normal(1, 3, 4), (height, width), mode="bilinear", align_corners=True)
        gain = (0.15 * normal(1, 1, 1) + 0.05 * normal(3, 1, 1)).exp()
        shading = 1.0 + 0.08 * normal(1, 1, 1) * field
        curve = 0.15 * normal(1, 1, 1)
        pick = torch.randint(NOISES, (size,), generator=generator)
        grain = 0.03 * torch.rand(size, 1, 1, 1, generator=generator)
        # On -1..1: v + c (v^2 - 1) bends the middle and keeps the ends; then gain and shading about black.
        image.addcmul_(image, image * curve).sub_(curve).add_(1.0)
        image.mul_(gain).mul_(shading).sub_(1.0).add_(0.06 * normal(1, 1, 1) + 0.02 * normal(3, 1, 1))
        image.addcmul_(self.noise[(height, width)][pick], grain).clamp_(-1.0, 1.0)


def _shifted(image: Tensor, generator: torch.Generator) -> Tensor:
    """Half of the images moved by -1, 0 or 1 pixel down and across; the border is repeated."""
    size, _, height, width = image.shape
    move = torch.randint(-1, 2, (2, size, 1), generator=generator)
    move = move * (torch.rand(1, size, 1, generator=generator) < 0.5)
    rows = (torch.arange(height) + move[0]).clamp_(0, height - 1)
    columns = (torch.arange(width) + move[1]).clamp_(0, width - 1)
    pixels = image.permute(0, 2, 3, 1)
    return pixels[torch.arange(size)[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
