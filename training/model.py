"""The policy network: about a million and a half parameters, made for two CPU cores.

    sentence -> words -> which object (8), which goal (4)
    front 96x72, wrist 64x48 -> eyes -> keypoints of every object, and free ones
    keypoints, tool -> where each object is, where the plate is      (auxiliary labels: the simulator's truth)
    the named object, the goal -> where it shall go                  (auxiliary label)
    all of it -> context -> flow head -> 16 actions

It is cut so that a combination never seen, of an object and a goal that were seen apart, is made of parts that were all
trained. The sentence is reduced to two distributions, over prototypes of the objects (`what`) and of the goals (`how`); a
vector as wide as an embedding would tell the rest of the network which combination it is, and that would learn 24 skills
instead of 8 times 4. The eyes do not see the sentence: they find all objects in every frame, of which `what` picks
one (so that each frame teaches three or four objects, not only the one that is asked for). The place where the object shall
go is computed from where the object and the plate are and from `how`, and from nothing else.

Each eye works at half resolution (48x36 and 32x24; the accuracy of the keypoints decides success), with a branch at a quarter for
context. A spatial softmax turns feature maps into coordinates. The front camera says where an object is; the
wrist camera says where it is relative to the tool, and a learnt gate blends the two.

The flow head predicts the clean chunk `a` and returns the velocity v = (x - a) / t of the straight path
x = t * noise + (1 - t) * a: the same flow, trained with the usual loss on v, but ten Euler steps of 0.1 end exactly on the
last prediction of `a`, so that no residue of the noise shakes the arm.

Inputs and actions are normalised by the caller (policy.yaml holds the figures). Guesses are in decimetres from `ORIGIN`, in
the frame of the arm's base.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

# Smallest time at which the velocity is still divided by t itself; sampling never goes below 1/steps = 0.1.
SMALLEST_TIME = 0.05
# Factor on the logits of object and goal.
SHARPNESS = 4.0
# Where guesses count from, m, and their unit, m.
ORIGIN = (0.45, 0.0, 0.0)
UNIT = 0.1


@dataclass(frozen=True)
class Settings:
    """Sizes of the network."""

    front_height: int = 72
    front_width: int = 96
    wrist_height: int = 48
    wrist_width: int = 64
    state: int = 11
    text: int = 384
    objects: int = 8
    goals: int = 4
    horizon: int = 16
    action: int = 4
    channels: int = 32
    deep_channels: int = 48
    object_maps: int = 3
    wrist_object_maps: int = 2
    free_maps: int = 16
    word: int = 64
    context: int = 256
    flow_width: int = 256
    flow_hidden: int = 512
    flow_blocks: int = 3

    def as_dict(self) -> dict:
        """Plain dictionary, for checkpoints."""
        return asdict(self)


@dataclass
class Guesses:
    """What the auxiliary losses look at; decimetres from `ORIGIN`."""

    objects: Tensor
    """Every object [B, 8, 3], both cameras."""
    front: Tensor
    """The same by the front camera alone."""
    named: Tensor
    """The object that the sentence names [B, 3]."""
    plate: Tensor
    """The plate [B, 2]."""
    target: Tensor
    """Where the named object shall go [B, 2]."""


class Words(nn.Module):
    """Sentence embedding to logits of objects and goals.

    Linear on purpose: what it cannot express, such as "this object with that goal", it cannot learn by heart. Trained by
    `training.words`, then frozen.
    """

    def __init__(self, settings: Settings) -> None:
        """Build the layers."""
        super().__init__()
        self.scale = settings.text**0.5  # embeddings have unit length
        self.objects = settings.objects
        self.classes = nn.Linear(settings.text, settings.objects + settings.goals)

    def forward(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """As `raw`, sharpened: half an object and half another is no object."""
        objects, goals = self.raw(text)
        return SHARPNESS * objects, SHARPNESS * goals

    def raw(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Text [B, 384] to logits (objects [B, 8], goals [B, 4])."""
        logits = self.classes(text * self.scale)
        return logits[:, : self.objects], logits[:, self.objects :]


class Conv(nn.Module):
    """Convolution, batch normalisation, ReLU; residual if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        """Padded to keep the size, but for the stride."""
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, features: Tensor) -> Tensor:
        """Features [B, C, H, W]."""
        result = functional.relu(self.norm(self.conv(features)))
        return features + result if self.residual else result


class SpatialSoftmax(nn.Module):
    """Expected image coordinates, in -1..1, of each map taken as a distribution, and how sharp that is."""

    def __init__(self, height: int, width: int, maps: int) -> None:
        """`height`, `width`: size of the maps."""
        super().__init__()
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([xs.flatten(), ys.flatten()], dim=1), persistent=False)
        self.sharpness = nn.Parameter(torch.ones(1, maps, 1))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, K, H, W] to [B, K, 3]: x, y and the sum of squared weights (1 for a point, 0 for a haze)."""
        weight = (maps.float().flatten(2) * self.sharpness).softmax(dim=2)
        return torch.cat([weight @ self.grid, weight.square().sum(dim=2, keepdim=True)], dim=2)


class Eye(nn.Module):
    """Image [B, 3, H, W] to keypoints [B, K, 3]; H and W are multiples of 4."""

    def __init__(self, height: int, width: int, channels: int, deep: int, maps: int) -> None:
        """Half resolution with `channels`, and a branch at a quarter with `deep` for context."""
        super().__init__()
        self.enter = Conv(3, channels, 5, stride=2)
        self.fine = Conv(channels, channels, 3)
        self.deep = nn.Sequential(Conv(channels, deep, 3, stride=2), Conv(deep, deep, 3), Conv(deep, deep, 3, dilation=2))
        self.rise = nn.Conv2d(deep, channels, 1)
        self.leave = Conv(channels, channels, 3)
        self.maps = nn.Conv2d(channels, maps, 1)
        self.softmax = SpatialSoftmax(height // 2, width // 2, maps)

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        fine = self.fine(self.enter(image))
        deep = functional.interpolate(self.rise(self.deep(fine)), scale_factor=2.0, mode="nearest")
        return self.softmax(self.maps(self.leave(fine + deep)))


def mlp(*sizes: int) -> nn.Sequential:
    """Linear layers with SiLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class Encoder(nn.Module):
    """Images, state and sentence embedding to the context vector and the auxiliary guesses."""

    def __init__(self, settings: Settings) -> None:
        """Build the layers."""
        super().__init__()
        self.settings = s = settings
        self.words = Words(s)
        self.whats = nn.Parameter(torch.randn(s.objects, s.word))
        self.hows = nn.Parameter(torch.randn(s.goals, s.word))
        self.front = Eye(s.front_height, s.front_width, s.channels, s.deep_channels, s.objects * s.object_maps + s.free_maps)
        self.wrist = Eye(s.wrist_height, s.wrist_width, s.channels, s.deep_channels, s.objects * s.wrist_object_maps + s.free_maps)
        own, free = 3 * (s.object_maps + s.wrist_object_maps), 6 * s.free_maps
        # The same network for all objects, told which one by its prototype.
        self.place_common = nn.Linear(free + s.state, 256)
        self.place_own = nn.Linear(own + s.word, 256)
        self.place = mlp(256, 128, 7)
        self.plate = mlp(free + s.state, 128, 64, 2)
        self.target = mlp(5 + s.word, 128, 64, 2)
        self.context = nn.Sequential(
            mlp(own + free + s.state + 3 + 2 + 2 * 5 + 2 * s.word, 384, s.context),
            nn.SiLU(),
            nn.Linear(s.context, s.context),
            nn.LayerNorm(s.context),
        )
        # Normalised tool position of the state to decimetres; set from the data by `see_tool`.
        self.register_buffer("tool_scale", torch.ones(3))
        self.register_buffer("tool_shift", torch.zeros(3))

    def see_tool(self, mean: Tensor, std: Tensor) -> None:
        """Tell how the state is normalised: mean and deviation of the tool's x, y, z, metres."""
        self.tool_scale.copy_(std / UNIT)
        self.tool_shift.copy_((mean - torch.tensor(ORIGIN)) / UNIT)

    def forward(self, front: Tensor, wrist: Tensor, state: Tensor, text: Tensor, keep_what: Tensor | None = None) -> tuple[Tensor, Guesses]:
        """Front [B, 3, 72, 96], wrist [B, 3, 48, 64], state [B, 11], text [B, 384] to (context [B, 256], guesses).

        `keep_what` [B, 1] (training only) multiplies the prototype of the object on its way into the context: there it is mostly
        noise, as the guesses already say what matters.
        """
        s = self.settings
        objects, goals = self.words(text)
        chosen, goal = objects.softmax(dim=1), goals.softmax(dim=1)
        what, how = chosen @ self.whats, goal @ self.hows

        size = len(state)
        points, near = self.front(front), self.wrist(wrist)
        own_front, free_front = points.split([s.objects * s.object_maps, s.free_maps], dim=1)
        own_wrist, free_wrist = near.split([s.objects * s.wrist_object_maps, s.free_maps], dim=1)
        own = torch.cat([own_front.reshape(size, s.objects, -1), own_wrist.reshape(size, s.objects, -1)], dim=2)
        free = torch.cat([free_front.flatten(1), free_wrist.flatten(1)], dim=1)
        scene = torch.cat([free, state], dim=1)

        tool = state[:, -3:] * self.tool_scale + self.tool_shift
        prototypes = self.whats.expand(size, -1, -1)
        hidden = self.place_common(scene)[:, None] + self.place_own(torch.cat([own, prototypes], dim=2))
        far, close, gate = self.place(functional.silu(hidden)).float().split([3, 3, 1], dim=2)
        share = gate.sigmoid()
        places = (1.0 - share) * far + share * (tool[:, None] + close)
        plate = self.plate(scene).float()

        pick = chosen[:, None]
        named = (pick @ places)[:, 0]
        target = self.target(torch.cat([named, plate, how], dim=1)).float()
        to_object, to_target = named - tool, target - tool[:, :2]
        aims = torch.cat([to_object, to_target], dim=1)
        seen = (pick @ own)[:, 0]
        spoken = what if keep_what is None else what * keep_what
        # The second, saturating copy spreads the last centimetre out.
        known = [seen, scene, named, target, aims, torch.tanh(8.0 * aims), how, spoken]
        context = self.context(torch.cat(known, dim=1)).float()
        return context, Guesses(places, far, named, plate, target)


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
