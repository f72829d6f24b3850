"""Small heads on the context of an encoder that is trained already: one pass, diffusion, action tokens.

All take the context [B, 256] of `encode.onnx` (training/contexts.py) and give a chunk of normalised actions [B, H, 4].

`ChunkHead` predicts the chunk in one pass. `DiffusionHead` predicts the clean chunk from a noisy one and returns the noise
eps = (x - sqrt(abar) * clean) / sqrt(1 - abar): the usual noise prediction, cut so that the last step of the sampler ends exactly on
the predicted chunk. `TokenHead` is a decoder-only transformer over the tokens of `training.tokens`, one action value each, row by row.
The context scales and shifts every layer's input, so the only thing that grows while it decodes is the cache of keys and values.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from training import tokens
from training.diffusion import Sampler, cosine_betas, sample
from training.model import FlowBlock

FAMILIES = ("chunk_regression", "diffusion", "action_tokens")


@dataclass(frozen=True)
class HeadSettings:
    """Sizes of a head."""

    family: str
    context: int = 256
    horizon: int = 16
    action: int = 4
    width: int = 192
    hidden: int = 384
    blocks: int = 3
    heads: int = 4
    train_steps: int = 20
    """Of the diffusion."""

    def as_dict(self) -> dict:
        """Plain dictionary, for checkpoints."""
        return asdict(self)


class ChunkHead(nn.Module):
    """Context to chunk in one pass."""

    def __init__(self, settings: HeadSettings) -> None:
        """Build the layers."""
        super().__init__()
        self.settings = s = settings
        self.enter = nn.Linear(s.context, s.width)
        self.blocks = nn.ModuleList(FlowBlock(s.width, s.hidden, s.context) for _ in range(s.blocks))
        self.leave = nn.Linear(s.width, s.horizon * s.action)

    def forward(self, context: Tensor) -> Tensor:
        """Actions [B, H, 4]."""
        hidden = self.enter(context)
        for block in self.blocks:
            hidden = block(hidden, context)
        return self.leave(hidden).view(-1, self.settings.horizon, self.settings.action)


class DiffusionHead(nn.Module):
    """Noise in x at time t given the context."""

    def __init__(self, settings: HeadSettings) -> None:
        """Build the layers."""
        super().__init__()
        self.settings = s = settings
        size = s.horizon * s.action
        abar = (1.0 - cosine_betas(s.train_steps)).cumprod(0)
        self.register_buffer("signal", abar.sqrt().float(), persistent=False)
        self.register_buffer("spread", (1.0 - abar).sqrt().float(), persistent=False)
        # Periods from two steps to four times the whole.
        periods = 2.0 * (2.0 * s.train_steps) ** torch.linspace(0.0, 1.0, 16)
        self.register_buffer("frequencies", (2.0 * math.pi / periods)[None], persistent=False)
        self.time = nn.Linear(32, s.context)
        self.condition = nn.Linear(s.context, s.context)
        self.enter = nn.Linear(size, s.width)
        self.blocks = nn.ModuleList(FlowBlock(s.width, s.hidden, s.context) for _ in range(s.blocks))
        self.leave = nn.Linear(s.width, size)

    def levels(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(abar) and sqrt(1 - abar) of times [B], each [B, 1, 1]."""
        whole = t.long()
        return self.signal[whole][:, None, None], self.spread[whole][:, None, None]

    def clean(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Predict the clean chunk from the noisy one [B, H, 4], times [B] and context [B, 256]."""
        angle = t[:, None] * self.frequencies
        time = self.time(torch.cat([angle.sin(), angle.cos()], dim=1))
        condition = functional.silu(self.condition(context) + time)
        hidden = self.enter(x.flatten(1))
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.leave(hidden).view_as(x)

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Noise [B, H, 4]; t [B] holds raw integers as float32."""
        signal, spread = self.levels(t)
        return (x - signal * self.clean(x, t, context)) / spread

    @torch.no_grad()
    def sample(self, sampler: Sampler, context: Tensor, noise: Tensor) -> Tensor:
        """The runtime's loop; noise [draws, B, H, 4]."""
        return sample(sampler, lambda x, t: self(x, t.expand(len(x)), context), noise)


class DecoderLayer(nn.Module):
    """Self-attention over what was said so far, then two layers; both scaled and shifted by the context."""

    def __init__(self, settings: HeadSettings) -> None:
        """Start as the identity."""
        super().__init__()
        s = settings
        self.heads = s.heads
        self.norm = nn.LayerNorm(s.width, elementwise_affine=False)
        self.modulate = nn.Linear(s.context, 4 * s.width)
        self.project = nn.Linear(s.width, 3 * s.width)
        self.join = nn.Linear(s.width, s.width)
        self.inner = nn.Linear(s.width, s.hidden)
        self.outer = nn.Linear(s.hidden, s.width)
        for layer in (self.join, self.outer):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, x: Tensor, context: Tensor, past: tuple[Tensor, Tensor] | None, mask: Tensor | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Hidden [B, n, W] to the same, and keys and values [B, heads, past + n, W / heads]; `mask` [n, past + n] is added."""
        size, count, width = x.shape
        scale, shift, scale2, shift2 = self.modulate(context)[:, None].chunk(4, dim=2)

        def split(part: Tensor) -> Tensor:
            return part.reshape(size, count, self.heads, width // self.heads).transpose(1, 2)

        query, key, value = (split(part) for part in self.project(self.norm(x) * (1.0 + scale) + shift).chunk(3, dim=2))
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        score = query @ key.transpose(2, 3) / math.sqrt(width // self.heads)
        if mask is not None:
            score = score + mask
        seen = (score.softmax(dim=3) @ value).transpose(1, 2).reshape(size, count, width)
        x = x + self.join(seen)
        x = x + self.outer(functional.silu(self.inner(self.norm(x) * (1.0 + scale2) + shift2)))
        return x, (key, value)


class TokenHead(nn.Module):
    """Logits of the next token given the context and the tokens before it."""

    # Places that have an embedding: more than are decoded, so that the cache can be tried over a long run.
    PLACES = 64

    def __init__(self, settings: HeadSettings) -> None:
        """Build the layers."""
        super().__init__()
        self.settings = s = settings
        if s.horizon * s.action > self.PLACES:
            raise ValueError(f"{s.horizon * s.action} tokens; at most {self.PLACES} have a place")
        self.words = nn.Embedding(tokens.VOCAB, s.width)
        self.places = nn.Embedding(self.PLACES, s.width)
        self.context = nn.Linear(s.context, s.width)
        self.layers = nn.ModuleList(DecoderLayer(s) for _ in range(s.blocks))
        self.norm = nn.LayerNorm(s.width)
        self.leave = nn.Linear(s.width, tokens.VOCAB)
        for table in (self.words, self.places):
            nn.init.normal_(table.weight, std=0.1)

    def count(self) -> int:
        """Tokens of a chunk."""
        return self.settings.horizon * self.settings.action

    def forward(self, ids: Tensor, context: Tensor) -> Tensor:
        """All logits [B, n, vocab] of whole sequences [B, n] at once: what training uses."""
        n = ids.shape[1]
        mask = torch.full((n, n), -math.inf).triu(1)
        x = self.words(ids) + self.places(torch.arange(n)) + self.context(context)[:, None]
        for layer in self.layers:
            x, _ = layer(x, context, None, mask)
        return self.leave(self.norm(x))

    def step(self, ids: Tensor, places: Tensor, context: Tensor, past: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, list]:
        """One token [B, 1] at one place [B, 1]: logits [B, 1, vocab] and the longer cache."""
        x = self.words(ids) + self.places(places) + self.context(context)[:, None]
        present = []
        for layer, kept in zip(self.layers, past, strict=True):
            x, pair = layer(x, context, kept, None)
            present.append(pair)
        return self.leave(self.norm(x)), present

    def nothing(self, size: int) -> list[tuple[Tensor, Tensor]]:
        """The cache before the first token."""
        s = self.settings
        empty = torch.zeros(size, s.heads, 0, s.width // s.heads)
        return [(empty, empty) for _ in self.layers]

    @torch.no_grad()
    def generate(self, context: Tensor, count: int | None = None) -> Tensor:
        """The likeliest token at every place [B, count], as the runtime decodes."""
        ids = torch.full((len(context), 1), tokens.FIRST)
        past, said = self.nothing(len(context)), []
        for place in range(count or self.count()):
            logits, past = self.step(ids, torch.full_like(ids, place), context, past)
            ids = tokens.best(logits)
            said.append(ids)
        return torch.cat(said, dim=1)


def build(settings: HeadSettings) -> ChunkHead | DiffusionHead | TokenHead:
    """A fresh head of the settings' family."""
    kinds = dict(zip(FAMILIES, (ChunkHead, DiffusionHead, TokenHead), strict=True))
    return kinds[settings.family](settings)
