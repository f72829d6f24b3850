"""Actions as tokens, as OpenVLA's `action_tokenizer.py`: 256 ids at the end of the vocabulary, 255 bin centres.

A value u in -1..1 falls into bin d = 1..256 of the 256 edges linspace(-1, 1, 256) and gets the id vocab - d. Backwards an id gives
the centre number clip(vocab - id - 1, 0, 254), so that the highest bin, which holds u = 1 alone, is read as the one below it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

BINS = 256
CENTRES = BINS - 1
# The one id before the action tokens: the beginning of the sequence.
FIRST = 0
VOCAB = 1 + BINS


@dataclass(frozen=True)
class Quantiles:
    """Low and high end of every action; u = 2 (a - low) / (high - low + eps) - 1 forwards."""

    low: Tensor
    high: Tensor
    eps: float = 0.0

    @staticmethod
    def of(actions: Tensor, share: float) -> Quantiles:
        """Over all leading axes; `share` of the values lies below the low end, and as many above the high one."""
        flat = actions.reshape(-1, actions.shape[-1]).double()
        ordered = flat.sort(dim=0).values
        at = round(share * (len(flat) - 1))
        return Quantiles(ordered[at].float(), ordered[len(flat) - 1 - at].float())

    def forward(self, actions: Tensor) -> Tensor:
        """To -1..1; what lies beyond the ends stays beyond."""
        return 2.0 * (actions - self.low) / (self.high - self.low + self.eps) - 1.0

    def inverse(self, values: Tensor) -> Tensor:
        """Back to metres."""
        return 0.5 * (values + 1.0) * (self.high - self.low + self.eps) + self.low

    def as_dict(self) -> dict:
        """The section `action.normalization` of policy.yaml."""
        return {"kind": "quantiles", "q01": self.low.tolist(), "q99": self.high.tolist(), "eps": self.eps}

    @staticmethod
    def from_dict(values: dict) -> Quantiles:
        """Inverse of `as_dict`."""
        return Quantiles(torch.tensor(values["q01"]), torch.tensor(values["q99"]), values["eps"])


def edges() -> Tensor:
    """Where bins begin, float64 [256]."""
    return torch.linspace(-1.0, 1.0, BINS, dtype=torch.float64)


def centres() -> Tensor:
    """What bins stand for, float32 [255]."""
    bounds = edges()
    return (0.5 * (bounds[:-1] + bounds[1:])).float()


def encode(values: Tensor, vocab: int = VOCAB) -> Tensor:
    """Ids of values; beyond -1..1 counts as the end."""
    return vocab - torch.bucketize(values.double().clamp(-1.0, 1.0), edges(), right=True)


def decode(ids: Tensor, vocab: int = VOCAB) -> Tensor:
    """Values of ids."""
    return centres()[(vocab - ids - 1).clamp(0, CENTRES - 1)]


def best(logits: Tensor) -> Tensor:
    """The likeliest id among the last 256, for logits [..., vocab]."""
    return logits[..., -BINS:].argmax(dim=-1) + logits.shape[-1] - BINS
