"""The cache of `training.dataset` as tensors: split, normalisation, batches, augmentation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

EPSILON = 1e-6
IMAGE_MEAN, IMAGE_STD = 0.5, 0.5


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


@dataclass
class Batch:
    """Normalised inputs and labels of B frames."""

    image: Tensor
    state: Tensor
    text: Tensor
    action: Tensor
    aux: Tensor


class Frames:
    """All frames in memory, images as bytes."""

    def __init__(self, cache: Path, seed: int, held_out: float) -> None:
        """Load a cache and split it by episode; `held_out` is the share of episodes kept for validation."""
        self.meta = json.loads((cache / "meta.json").read_text())
        self.images = torch.from_numpy(np.load(cache / "images.npy"))
        self.states = torch.from_numpy(np.load(cache / "states.npy"))
        self.actions = torch.from_numpy(np.load(cache / "actions.npy"))
        self.aux = torch.from_numpy(np.load(cache / "aux.npy"))
        self.sentence = torch.from_numpy(np.load(cache / "sentence.npy")).long()
        self.text = torch.from_numpy(np.load(cache / "text.npy"))
        self.episode = np.load(cache / "episode.npy")
        count = len(self.meta["episodes"])
        order = np.random.default_rng(seed).permutation(count)
        held = np.zeros(count, bool)
        held[order[: max(1, round(held_out * count))]] = True
        self.train_rows = torch.from_numpy(np.flatnonzero(~held[self.episode]))
        self.held_rows = torch.from_numpy(np.flatnonzero(held[self.episode]))
        rows = self.train_rows.numpy()
        self.state_norm = Normalisation.of(self.states.numpy()[rows], 1e-3)
        self.action_norm = Normalisation.of(self.actions.numpy()[rows], 1e-3)
        self.aux_norm = Normalisation.of(self.aux.numpy()[rows], 1e-2)

    def start_posture(self) -> list[float]:
        """Mean joint positions of the first frames of all episodes, robot order."""
        first = np.unique(self.episode, return_index=True)[1]
        return [round(float(v), 4) for v in self.states[torch.from_numpy(first)][:, :8].mean(dim=0)]

    def batch(self, rows: Tensor) -> Batch:
        """Normalised frames; the image tensor is NCHW in channels-last memory."""
        pixels = self.images[rows].float()
        pixels.mul_(1.0 / (255.0 * IMAGE_STD)).sub_(IMAGE_MEAN / IMAGE_STD)
        return Batch(
            image=pixels.permute(0, 3, 1, 2),
            state=self.state_norm.forward(self.states[rows]),
            text=self.text[self.sentence[rows]],
            action=self.action_norm.forward(self.actions[rows]),
            aux=self.aux_norm.forward(self.aux[rows]),
        )


def augment(batch: Batch, generator: torch.Generator) -> None:
    """Light and colour of the whole image, a little noise on state and sentence, in place.

    No shifts: a pixel is about a centimetre on the table, and the camera does not move.
    """
    size = len(batch.image)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    contrast = 1.0 + 0.08 * normal(size, 1, 1, 1)
    shade = 0.06 * normal(size, 1, 1, 1) + 0.03 * normal(size, 3, 1, 1)
    batch.image.mul_(contrast).add_(shade)
    batch.state.add_(0.01 * normal(*batch.state.shape))
    batch.text = batch.text + 0.004 * normal(*batch.text.shape)
