"""Denoising diffusion as the runtime does it: the cosine schedule, DDPM and DDIM steps, and the whole sampling loop.

With beta_k the noise of step k, a_k = 1 - beta_k and abar_k = a_0 * ... * a_k, a clean chunk is seen at time k as
x = sqrt(abar_k) * clean + sqrt(1 - abar_k) * eps. Times are the raw integers 0 (least noise) to T - 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

SCHEDULERS = ("ddpm", "ddim")
PREDICTIONS = ("epsilon", "sample", "velocity")


@dataclass(frozen=True)
class Sampler:
    """The section `runner` of a diffusion package, without its type."""

    scheduler: str = "ddpm"
    train_steps: int = 20
    steps: int = 20
    schedule: str = "cosine"
    prediction: str = "epsilon"
    clip: float = 5.0
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what the runtime would refuse."""
        if self.scheduler not in SCHEDULERS or self.prediction not in PREDICTIONS or self.schedule != "cosine":
            raise ValueError(f"{self}: no such scheduler, prediction or schedule")
        if self.scheduler == "ddpm" and self.steps != self.train_steps:
            raise ValueError("ddpm goes through every step of the training")

    def as_dict(self) -> dict:
        """For policy.yaml."""
        return {"type": "diffusion", **asdict(self)}

    def times(self) -> list[int]:
        """The times at which the network is asked, in order: evenly spaced, rounded down, ending at 0."""
        return [i * self.train_steps // self.steps for i in reversed(range(self.steps))]

    def draws(self) -> int:
        """How many noise chunks a run takes: x at the start and, for DDPM, one for each step but the last."""
        return self.steps if self.scheduler == "ddpm" else 1


def cosine_betas(steps: int) -> Tensor:
    """Noise of every step [T], float64: "squaredcos_cap_v2" (Nichol and Dhariwal)."""

    def level(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2.0) ** 2

    betas = [min(1.0 - level((k + 1) / steps) / level(k / steps), 0.999) for k in range(steps)]
    return torch.tensor(betas, dtype=torch.float64)


def to_epsilon(output: Tensor, x: Tensor, abar: float, prediction: str) -> Tensor:
    """The noise in x, from what the network gives."""
    if prediction == "sample":
        return (x - math.sqrt(abar) * output) / math.sqrt(1.0 - abar)
    if prediction == "velocity":
        return math.sqrt(abar) * output + math.sqrt(1.0 - abar) * x
    return output


def ddpm_step(x: Tensor, epsilon: Tensor, beta: float, abar: float, z: Tensor | None, clip: float) -> Tensor:
    """One ancestral step (Octo's); `z` is None in the last one."""
    a = 1.0 - beta
    x = (x - (1.0 - a) / math.sqrt(1.0 - abar) * epsilon) / math.sqrt(a)
    if z is not None:
        x = x + math.sqrt(beta) * z
    return x.clamp(-clip, clip)


def ddim_step(x: Tensor, epsilon: Tensor, abar: float, abar_next: float, clip: float) -> Tensor:
    """One deterministic step (eta = 0) to the noise level `abar_next`, which is 1 after the last."""
    clean = ((x - math.sqrt(1.0 - abar) * epsilon) / math.sqrt(abar)).clamp(-clip, clip)
    epsilon = (x - math.sqrt(abar) * clean) / math.sqrt(1.0 - abar)
    return math.sqrt(abar_next) * clean + math.sqrt(1.0 - abar_next) * epsilon


def sample(sampler: Sampler, network: Callable[[Tensor, Tensor], Tensor], noise: Tensor) -> Tensor:
    """From noise [draws, B, ...] to a chunk [B, ...]; `network` takes x and the time, float32 [1].

    `noise[0]` is x at the start, scaled already; `noise[1:]` are the DDPM steps' own, in order of use.
    """
    betas = cosine_betas(sampler.train_steps)
    abars = (1.0 - betas).cumprod(0)
    x, times = noise[0], sampler.times()
    for i, time in enumerate(times):
        abar = float(abars[time])
        epsilon = to_epsilon(network(x, torch.tensor([float(time)])), x, abar, sampler.prediction)
        if sampler.scheduler == "ddpm":
            x = ddpm_step(x, epsilon, float(betas[time]), abar, noise[i + 1] if time > 0 else None, sampler.clip)
        else:
            following = float(abars[times[i + 1]]) if i + 1 < len(times) else 1.0
            x = ddim_step(x, epsilon, abar, following, sampler.clip)
    return x
