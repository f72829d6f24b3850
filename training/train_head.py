"""Train a head on the frozen encoder of a policy package.

    python -m training.train_head --family diffusion --cache DIR --encoder models/panda_tabletop_flow --run DIR --steps 6000 [--resume]

Contexts are computed once (training/contexts.py), if they are not in the cache yet. Writes into the run folder what
`training.train` writes: `checkpoint.pt` (`--resume` goes on from it), `log.csv`, `curve.png`, `run.json`. The learning rate follows a
cosine over the steps and everything random comes from the seed, so that a run that was interrupted ends in the same weights.

The figures to watch are `action mm`: how far the tool's planned positions are from the expert's on held-out episodes. `run.json`
holds the same of the package that the encoder is from, on the same frames.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from pathlib import Path

# Threads that wait sleep; see training.train. Before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from training import contexts, tokens
from training.contexts import Contexts, Package
from training.course import Course
from training.diffusion import Sampler
from training.heads import FAMILIES, HeadSettings, build
from training.tokens import Quantiles

ROWS = (1, 2, 4, 8, 16)
LOG_FIELDS = ["learning_rate", *(f"action_mm_{k}" for k in ROWS), "worst_combination_mm_4", "gripper_mm"]
PANELS = (("loss",), ("action_mm_1", "action_mm_4", "action_mm_16", "worst_combination_mm_4", "gripper_mm"))
# What the weights depend on, beside the cache and the encoder.
TERMS = (
    "family", "seed", "steps", "batch", "draws", "learning_rate", "weight_decay", "ema", "held_out",
    "horizon", "width", "hidden", "blocks", "blur", "jitter", "share",
)  # fmt: skip
# Sizes and pace of each family; options override them.
DEFAULTS = {
    "chunk_regression": {"steps": 4000, "batch": 256, "learning_rate": 1e-3, "horizon": 16, "width": 128, "hidden": 256, "blocks": 3},
    "diffusion": {"steps": 6000, "batch": 256, "learning_rate": 1e-3, "horizon": 16, "width": 128, "hidden": 256, "blocks": 3},
    "action_tokens": {"steps": 2400, "batch": 128, "learning_rate": 2e-3, "horizon": 6, "width": 128, "hidden": 256, "blocks": 2},
}


class Task:
    """What differs between the families: targets, loss, and how a chunk is made."""

    def __init__(
        self, head: nn.Module, data: Contexts, package: Package, arguments: argparse.Namespace, quantiles: Quantiles | None
    ) -> None:
        """`quantiles` are those of action tokens."""
        self.head, self.data, self.package, self.arguments, self.quantiles = head, data, package, arguments, quantiles
        self.horizon = head.settings.horizon
        if quantiles is not None:
            self.ids = tokens.encode(quantiles.forward(data.metres[:, : self.horizon])).flatten(1)
            self.soft = blurred(arguments.blur)

    def loss(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Mean loss of some frames."""
        context = self.data.draw(rows, generator)
        family = self.head.settings.family
        if family == "chunk_regression":
            return functional.l1_loss(self.head(context), self.data.actions[rows, : self.horizon])
        if family == "diffusion":
            return self._diffusion_loss(context, self.data.actions[rows, : self.horizon], generator)
        return self._token_loss(context, self.ids[rows], generator)

    def _diffusion_loss(self, context: Tensor, action: Tensor, generator: torch.Generator) -> Tensor:
        """Squared error of the noise plus that of the clean chunk, which is that of the velocity (Salimans and Ho).

        The error of the noise alone says next to nothing about the first steps of sampling, where all of x is noise.
        """
        draws = self.arguments.draws
        context, action = context.repeat(draws, 1), action.repeat(draws, 1, 1)
        t = torch.randint(self.head.settings.train_steps, (len(action),), generator=generator)
        noise = torch.randn(action.shape, generator=generator)
        signal, spread = self.head.levels(t)
        x = signal * action + spread * noise
        clean = self.head.clean(x, t.float(), context)
        # noise = (x - signal * clean) / spread: its error is that of the clean chunk times signal / spread.
        return ((clean - action).square() * (1.0 + (signal / spread).square())).mean()

    def _token_loss(self, context: Tensor, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Cross entropy against the right bin and, less, its neighbours.

        The tokens that the head is shown are off by a few bins now and then, as its own will be.
        """
        shown = ids
        if self.arguments.jitter > 0.0:
            off = (self.arguments.jitter * torch.randn(ids.shape, generator=generator)).round().long()
            off = off * (torch.rand(len(ids), 1, generator=generator) < 0.5)
            shown = (ids + off).clamp(tokens.VOCAB - tokens.BINS, tokens.VOCAB - 1)
        before = torch.cat([torch.full((len(ids), 1), tokens.FIRST), shown[:, :-1]], dim=1)
        logits = self.head(before, context)
        return functional.cross_entropy(logits.flatten(0, 1), self.soft[ids.flatten()])

    @torch.no_grad()
    def chunk(self, context: Tensor, generator: torch.Generator) -> Tensor:
        """Actions in metres [B, H, 4]."""
        family = self.head.settings.family
        if family == "action_tokens":
            values = tokens.decode(self.head.generate(context)).view(-1, self.horizon, self.head.settings.action)
            return self.quantiles.inverse(values)
        if family == "chunk_regression":
            return self.package.action_norm.inverse(self.head(context))
        sampler = Sampler(train_steps=self.head.settings.train_steps, steps=self.head.settings.train_steps)
        noise = torch.randn(sampler.draws(), len(context), self.horizon, self.head.settings.action, generator=generator)
        return self.package.action_norm.inverse(self.head.sample(sampler, context, noise))


def blurred(width: float) -> Tensor:
    """Target distribution [vocab, vocab] of every id: a bell of so many bins around it."""
    ids = torch.arange(tokens.VOCAB).float()
    weight = torch.exp(-0.5 * ((ids[:, None] - ids[None]) / max(width, 1e-3)).square())
    weight[:, : tokens.VOCAB - tokens.BINS] = 0.0
    weight[: tokens.VOCAB - tokens.BINS] = 1.0  # never asked for
    return weight / weight.sum(dim=1, keepdim=True)


def errors(planned: Tensor, wanted: Tensor, task: Tensor) -> dict[str, float]:
    """Root mean square of the tool's error in millimetres after so many rows; NaN beyond the horizon."""
    off = (planned - wanted[:, : planned.shape[1]]) * 1000.0
    squares = off[:, :, :3].square().sum(dim=2)
    distance = squares.mean(dim=0).sqrt().tolist()
    return {
        **{f"action_mm_{k}": distance[k - 1] if k <= len(distance) else math.nan for k in ROWS},
        "worst_combination_mm_4": max(squares[task == k, 3].mean().sqrt().item() for k in task.unique()),
        "gripper_mm": off[:, :, 3].abs().mean().item(),
    }


def validate(task: Task, rows: Tensor) -> dict[str, float]:
    """Errors on held-out frames with the recorded sentences."""
    task.head.eval()
    generator = torch.Generator().manual_seed(1)
    planned = torch.cat([task.chunk(task.data.context[0, part], generator) for part in rows.split(256)])
    return errors(planned, task.data.metres[rows], task.data.task[rows])


def reference(package: Package, data: Contexts, rows: Tensor) -> dict[str, float] | None:
    """The same of the package that the encoder is from, if it is a flow."""
    runner = package.manifest["runner"]
    if runner["type"] != "flow_matching":
        return None
    step = contexts.session(package.graph("step"))
    names, output = package.manifest["graphs"]["step"]["inputs"], package.manifest["graphs"]["step"]["outputs"]
    rng, count = np.random.default_rng(1), runner["steps"]
    planned = []
    for row in rows.tolist():
        x = (runner.get("noise_scale", 1.0) * rng.standard_normal((1, *data.actions.shape[1:]))).astype(np.float32)
        context = data.context[0, row : row + 1].numpy()
        for k in range(count):
            time_left = np.array([1.0 - k / count], np.float32)
            x = x - step.run(output, dict(zip(names, (x, time_left, context), strict=True)))[0] / count
        planned.append(torch.from_numpy(x))
    return errors(package.action_norm.inverse(torch.cat(planned)), data.metres[rows], data.task[rows])


def train(arguments: argparse.Namespace) -> bool:
    """Run until the steps are done (true) or the time is spent (false)."""
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    package = Package.read(arguments.encoder)
    contexts.compute(arguments.cache, package, arguments.copies)
    data = Contexts(arguments.cache, package, arguments.seed, arguments.held_out)
    torch.manual_seed(arguments.seed)
    sizes = {name: getattr(arguments, name) for name in ("family", "horizon", "width", "hidden", "blocks")}
    settings = HeadSettings(context=data.context.shape[2], action=data.actions.shape[2], **sizes)
    head = build(settings)
    quantiles = None
    if arguments.family == "action_tokens":
        quantiles = Quantiles.of(data.metres[data.train_rows, : arguments.horizon], arguments.share)
    parameters = sum(parameter.numel() for parameter in head.parameters())
    terms = {
        "cache": [*data.context.shape, round(float(data.metres.double().sum()), 3)],
        "encoder": package.hash,
        **{name: getattr(arguments, name) for name in TERMS},
    }
    course = Course(arguments, data.train_rows, head, terms, LOG_FIELDS, PANELS, arguments.weight_decay, save_every=60.0)
    picks = torch.randperm(len(data.held_rows), generator=torch.Generator().manual_seed(0))
    held = data.held_rows[picks[: arguments.validate_frames]]
    info = {
        "settings": settings.as_dict(),
        "parameters": parameters,
        **{name: getattr(arguments, name) for name in (*TERMS, "threads", "copies")},
        "cache": str(arguments.cache.resolve()),
        "encoder": package.manifest["policy"]["name"],
        "encoder_hash": package.hash,
        "train_frames": len(data.train_rows),
        "held_frames": len(data.held_rows),
        "episodes": len(data.meta["episodes"]),
        "quantiles": quantiles.as_dict() if quantiles else None,
        "reference": reference(package, data, held),
        "torch": torch.__version__,
    }
    (run / "run.json").write_text(json.dumps(info, indent=1))
    print(f"{parameters / 1e6:.2f}M parameters, {len(data.train_rows)} frames to train, {len(held)} to validate", flush=True)
    if info["reference"]:
        print("encoder's own head: " + ", ".join(f"{key} {value:.1f}" for key, value in info["reference"].items()), flush=True)
    task = Task(head, data, package, arguments, quantiles)
    judged = Task(course.average.policy, data, package, arguments, quantiles)

    def judge(_: list[float]) -> dict[str, float]:
        return {"learning_rate": course.learning_rate, **validate(judged, held)}

    def say(row: dict[str, float]) -> str:
        distances = " ".join(f"{row[f'action_mm_{k}']:.1f}" for k in ROWS)
        return f"loss {row['loss']:.4f}, {distances} mm, finger {row['gripper_mm']:.2f} mm"

    return course.go(lambda rows: task.loss(rows, course.generator)[None], judge, say)


def parser() -> argparse.ArgumentParser:
    """Options of `python -m training.train_head`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=FAMILIES, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder of `python -m training.dataset`")
    parser.add_argument("--encoder", type=Path, default=contexts.ENCODER, help="package whose encode.onnx is used")
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint, log and curve")
    parser.add_argument("--steps", type=int, default=None, help="of the whole training: the learning rate follows them")
    parser.add_argument("--minutes", type=float, default=120.0, help="stop after so long, even if steps are left (exit status 3)")
    parser.add_argument("--pause-at", type=int, default=None, help="stop at this step as if the time was spent")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--copies", type=int, default=contexts.COPIES, help="sentences a frame")
    parser.add_argument("--batch", type=int, default=None)
    parser.add_argument("--draws", type=int, default=4, help="noise samples a frame (diffusion)")
    parser.add_argument("--learning-rate", type=float, default=None)
    parser.add_argument("--weight-decay", type=float, default=1e-2)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--held-out", type=float, default=0.05)
    parser.add_argument("--validate-frames", type=int, default=768)
    parser.add_argument("--every", type=int, default=250, help="steps between log lines")
    parser.add_argument("--horizon", type=int, default=None, help="rows of a chunk, 0.1 s each")
    parser.add_argument("--width", type=int, default=None)
    parser.add_argument("--hidden", type=int, default=None)
    parser.add_argument("--blocks", type=int, default=None)
    parser.add_argument("--blur", type=float, default=1.0, help="width of a token's target in bins (action tokens)")
    parser.add_argument("--jitter", type=float, default=1.5, help="how far off shown tokens are, in bins (action tokens)")
    parser.add_argument("--share", type=float, default=0.0, help="of actions beyond each end of the bins (action tokens)")
    return parser


def parse(line: list[str] | None = None) -> argparse.Namespace:
    """Options with what the family has of its own filled in."""
    arguments = parser().parse_args(line)
    for name, value in DEFAULTS[arguments.family].items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, value)
    return arguments


def main() -> None:
    """Entry point of `python -m training.train_head`."""
    arguments = parse()
    if not train(arguments):
        print(f"the time is spent, steps are left: --resume goes on from {arguments.run}", flush=True)
        raise SystemExit(3)


if __name__ == "__main__":
    main()
