"""The policy network: about a million parameters, made for two CPU cores.

An image of 96x72 goes through convolutions at half resolution (48x36, never coarser: the accuracy of the keypoints decides
success), steered by the sentence embedding (FiLM). A spatial softmax turns feature maps into keypoints; from these a small
head guesses where the named object and the target are (auxiliary loss against the simulator's truth). Keypoints, guesses,
the measured state and the sentence make the context vector. The flow head turns noise into a chunk of actions given the
context.

The flow head predicts the clean chunk `a` and returns the velocity v = (x - a) / t of the straight path
x = t * noise + (1 - t) * a: the same flow, trained with the usual loss on v, but ten Euler steps of 0.1 end exactly on the
last prediction of `a`, so that no residue of the noise shakes the arm.

All inputs and outputs are normalised by the caller (policy.yaml holds the figures).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# Smallest time at which the velocity is still divided by t itself; sampling never goes below 1/steps = 0.1.
SMALLEST_TIME = 0.05


@dataclass(frozen=True)
class Settings:
    """Sizes of the network."""

    height: int = 72
    width: int = 96
    state: int = 11
    text: int = 384
    horizon: int = 16
    action: int = 4
    aux: int = 5
    channels: int = 32
    keypoints: int = 32
    context: int = 256
    flow_width: int = 256
    flow_hidden: int = 512
    flow_blocks: int = 3

    def as_dict(self) -> dict:
        """Plain dictionary, for checkpoints."""
        return asdict(self)


class FilmConv(nn.Module):
    """Convolution, batch normalisation without its own scale, scale and shift from the sentence, ReLU; residual if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dilation: int, text: int) -> None:
        """`text` is the width of the conditioning vector."""
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs, affine=False)
        self.film = nn.Linear(text, 2 * outputs)
        nn.init.normal_(self.film.weight, std=0.02)
        nn.init.zeros_(self.film.bias)
        self.residual = inputs == outputs and stride == 1

    def forward(self, features: Tensor, text: Tensor) -> Tensor:
        """Features [B, C, H, W], text [B, D]."""
        scale, shift = self.film(text)[:, :, None, None].chunk(2, dim=1)
        result = functional.relu(self.norm(self.conv(features)) * (1.0 + scale) + shift)
        return features + result if self.residual else result


class SpatialSoftmax(nn.Module):
    """Expected image coordinates, in -1..1, of each map taken as a distribution."""

    def __init__(self, height: int, width: int, maps: int) -> None:
        """`height`, `width`: size of the maps."""
        super().__init__()
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([xs.flatten(), ys.flatten()], dim=1), persistent=False)
        self.sharpness = nn.Parameter(torch.ones(1, maps, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, K, H, W] to coordinates [B, 2K]."""
        weight = (maps.float().flatten(2) * self.sharpness).softmax(dim=2)
        return (weight @ self.grid).flatten(1)


class Encoder(nn.Module):
    """Image, state and sentence embedding to the context vector and the auxiliary guesses."""

    def __init__(self, settings: Settings) -> None:
        """Build the layers."""
        super().__init__()
        width, text = settings.channels, 128
        self.text_scale = settings.text**0.5  # embeddings have unit length
        self.text = nn.Sequential(nn.Linear(settings.text, text), nn.SiLU())
        self.convs = nn.ModuleList(
            [
                FilmConv(3, 32, 5, 2, 1, text),
                FilmConv(32, width, 3, 1, 1, text),
                FilmConv(width, width, 3, 1, 2, text),
                FilmConv(width, width, 3, 1, 4, text),
                FilmConv(width, width, 3, 1, 1, text),
            ]
        )
        self.maps = nn.Conv2d(width, settings.keypoints, 1)
        self.softmax = SpatialSoftmax(settings.height // 2, settings.width // 2, settings.keypoints)
        points = 2 * settings.keypoints
        self.aux = nn.Sequential(nn.Linear(points + text, 256), nn.SiLU(), nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, settings.aux))
        self.context = nn.Sequential(
            nn.Linear(points + settings.aux + settings.state + text, 384),
            nn.SiLU(),
            nn.Linear(384, settings.context),
            nn.SiLU(),
            nn.Linear(settings.context, settings.context),
            nn.LayerNorm(settings.context),
        )

    def forward(self, image: Tensor, state: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Image [B, 3, 72, 96], state [B, 11], text [B, 384] to (context [B, 256], guesses [B, 5])."""
        words = self.text(text * self.text_scale)
        features = image
        for conv in self.convs:
            features = conv(features, words)
        points = self.softmax(self.maps(features))
        guess = self.aux(torch.cat([points, words], dim=1)).float()
        return self.context(torch.cat([points, guess, state, words], dim=1)).float(), guess


class FlowBlock(nn.Module):
    """Residual two-layer network whose input is scaled and shifted by the condition."""

    def __init__(self, width: int, hidden: int, condition: int) -> None:
        """Start as the identity."""
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulate = nn.Linear(condition, 2 * width)
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Hidden [B, width], condition [B, D]."""
        scale, shift = self.modulate(condition).chunk(2, dim=1)
        return x + self.outer(functional.silu(self.inner(self.norm(x) * (1.0 + scale) + shift)))


class FlowHead(nn.Module):
    """Velocity of the flow at x, t given the context."""

    def __init__(self, settings: Settings) -> None:
        """Build the layers."""
        super().__init__()
        size = settings.horizon * settings.action
        frequencies = torch.exp(torch.linspace(0.0, 6.0, 16)) * 1.5
        self.register_buffer("frequencies", frequencies[None], persistent=False)
        self.time = nn.Linear(32, settings.context)
        self.condition = nn.Linear(settings.context, settings.context)
        self.enter = nn.Linear(size, settings.flow_width)
        self.blocks = nn.ModuleList(
            FlowBlock(settings.flow_width, settings.flow_hidden, settings.context) for _ in range(settings.flow_blocks)
        )
        self.leave = nn.Linear(settings.flow_width, size)

    def clean(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Predict the clean chunk [B, 16, 4] from the noisy one [B, 16, 4], times [B] and context [B, 256]."""
        angle = t[:, None] * self.frequencies
        time = self.time(torch.cat([angle.sin(), angle.cos()], dim=1))
        condition = functional.silu(self.condition(context) + time)
        hidden = self.enter(x.flatten(1))
        for block in self.blocks:
            hidden = block(hidden, condition)
        return self.leave(hidden).view_as(x)

    def forward(self, x: Tensor, t: Tensor, context: Tensor) -> Tensor:
        """Velocity [B, 16, 4]; see the module's head."""
        return (x - self.clean(x, t, context)) / t.clamp_min(SMALLEST_TIME)[:, None, None]


class Policy(nn.Module):
    """Encoder and flow head."""

    def __init__(self, settings: Settings) -> None:
        """Build both parts."""
        super().__init__()
        self.settings = settings
        self.encoder = Encoder(settings)
        self.flow = FlowHead(settings)

    @torch.no_grad()
    def sample(self, context: Tensor, noise: Tensor, steps: int = 10) -> Tensor:
        """Integrate from noise [B, 16, 4] at t = 1 to a chunk at t = 0 with Euler steps, as the runtime does."""
        x = noise
        for step in range(steps):
            t = torch.full((len(x),), 1.0 - step / steps)
            x = x - self.flow(x, t, context) / steps
        return x
