"""Train the policy on a cache of `training.dataset`.

    python -m training.train --cache DIR --run DIR --minutes 60 [--resume]

Writes into the run folder: `checkpoint.pt` (every two minutes and at the end; `--resume` goes on from it), `log.csv`,
`curve.png`, `run.json`. The learning rate follows a cosine over the time budget, so that the run ends when it should on any
machine; the price is that two runs of the same seed differ in their number of steps.

The figure to watch is `object mm`: how far the guess of the named object is off on held-out episodes. At 5 to 6 mm the
policy grasps; at 20 mm it does not, whatever the loss says.
"""

from __future__ import annotations

import argparse
import copy
import csv
import json
import math
import os
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from training.data import Frames, augment
from training.model import Policy, Settings

LOG_FIELDS = [
    "seconds", "step", "samples", "rate", "loss", "flow_loss", "aux_loss", "learning_rate",
    "object_mm", "object_median_mm", "target_mm", "action_mm_1", "action_mm_2", "action_mm_4", "action_mm_8", "action_mm_16",
    "gripper_mm",
]  # fmt: skip
FLOW_WEIGHT_TIME = 0.1  # the weight 1/t^2 of the velocity loss is held from here down


def flow_loss(policy: Policy, context: Tensor, action: Tensor, draws: int, generator: torch.Generator) -> Tensor:
    """Squared error of the velocity, t ~ Beta(1.5, 1) * 0.999 + 0.001, `draws` noise samples a frame.

    With v = (x - a) / t the error of v is the error of the predicted clean chunk over t.
    """
    context, action = context.repeat(draws, 1), action.repeat(draws, 1, 1)
    # The distribution function of Beta(1.5, 1) is t^1.5.
    t = torch.rand(len(action), generator=generator) ** (1.0 / 1.5) * 0.999 + 0.001
    noise = torch.randn(action.shape, generator=generator)
    wide = t[:, None, None]
    clean = policy.flow.clean(wide * noise + (1.0 - wide) * action, t, context)
    return ((clean - action).square() / wide.clamp_min(FLOW_WEIGHT_TIME).square()).mean()


@torch.no_grad()
def validate(policy: Policy, frames: Frames, rows: Tensor, steps: int = 10) -> dict[str, float]:
    """Errors in millimetres on held-out frames, in float32, sampling as the runtime does."""
    policy.eval()
    generator = torch.Generator().manual_seed(1)
    errors, aux_errors = [], []
    for part in rows.split(128):
        batch = frames.batch(part)
        context, guess = policy.encoder(batch.image, batch.state, batch.text)
        chunk = policy.sample(context, torch.randn(batch.action.shape, generator=generator), steps)
        errors.append(frames.action_norm.inverse(chunk) - frames.actions[part])
        aux_errors.append(frames.aux_norm.inverse(guess) - frames.aux[part])
    error, aux = torch.cat(errors) * 1000.0, torch.cat(aux_errors) * 1000.0
    distance = error[:, :, :3].norm(dim=2).square().mean(dim=0).sqrt()
    objects = aux[:, :3].norm(dim=1)
    return {
        "object_mm": objects.mean().item(),
        "object_median_mm": objects.median().item(),
        "target_mm": aux[:, 3:].norm(dim=1).mean().item(),
        **{f"action_mm_{k}": distance[k - 1].item() for k in (1, 2, 4, 8, 16)},
        "gripper_mm": error[:, :, 3].abs().mean().item(),
    }


def plot(log: Path, picture: Path) -> None:
    """Draw the log."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with log.open() as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    minutes = [row["seconds"] / 60.0 for row in rows]
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.6))
    for axis, keys in zip(
        axes,
        (("flow_loss", "aux_loss"), ("object_mm", "target_mm"), ("action_mm_1", "action_mm_4", "action_mm_16")),
        strict=True,
    ):
        for key in keys:
            axis.plot(minutes, [row[key] for row in rows], label=key.replace("_", " "))
        axis.set_yscale("log")
        axis.set_xlabel("minutes")
        axis.grid(alpha=0.3, which="both")
        axis.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    pyplot.close(figure)


class Average:
    """Exponential moving average of a network, buffers included."""

    def __init__(self, policy: Policy, decay: float) -> None:
        """Start at the network's own weights."""
        self.policy = copy.deepcopy(policy).eval()
        self.decay = decay
        self.pairs = [
            (mine, theirs)
            for (mine, theirs) in zip(self.policy.state_dict().values(), policy.state_dict().values(), strict=True)
            if mine.is_floating_point()
        ]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the network; faster in the first steps."""
        keep = min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_([mine for mine, _ in self.pairs], [theirs for _, theirs in self.pairs], 1.0 - keep)


def compiled(encoder: torch.nn.Module) -> torch.nn.Module:
    """The encoder through torch.compile: about five times faster in bfloat16 here; needs a C++ compiler."""
    from torch._inductor import config
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        from torch._inductor.cpp_builder import get_cpp_compiler

        get_cpp_compiler()
    except (InvalidCxxCompiler, ImportError) as error:
        print(f"no torch.compile ({type(error).__name__}): training will be several times slower", flush=True)
        return encoder
    config.cpp.threads = torch.get_num_threads()
    return torch.compile(encoder)


def train(arguments: argparse.Namespace) -> None:
    """Run until the time budget is spent."""
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    frames = Frames(arguments.cache, arguments.seed, arguments.held_out)
    policy = Policy(Settings()).to(memory_format=torch.channels_last)
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    optimizer = torch.optim.AdamW(policy.parameters(), lr=arguments.learning_rate, weight_decay=1e-4, fused=True)
    average = Average(policy, arguments.ema)
    generator = torch.Generator().manual_seed(arguments.seed)
    spent, step, cursor = 0.0, 0, 0
    order = torch.randperm(len(frames.train_rows), generator=generator)
    checkpoint = run / "checkpoint.pt"
    if arguments.resume and checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        policy.load_state_dict(saved["policy"])
        average.policy.load_state_dict(saved["average"])
        optimizer.load_state_dict(saved["optimizer"])
        generator.set_state(saved["generator"])
        spent, step, cursor, order = saved["spent"], saved["step"], saved["cursor"], saved["order"]
        print(f"resumed at {spent / 60:.1f} min, step {step}", flush=True)
    elif arguments.init:
        saved = torch.load(arguments.init, weights_only=True)
        policy.load_state_dict(saved["average"])
        average.policy.load_state_dict(saved["average"])
    encoder = compiled(policy.encoder) if arguments.compile else policy.encoder

    picks = torch.randperm(len(frames.held_rows), generator=torch.Generator().manual_seed(0))
    held = frames.held_rows[picks[: arguments.validate_frames]]
    info = {
        "settings": policy.settings.as_dict(),
        "parameters": parameters,
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        "threads": arguments.threads,
        "batch": arguments.batch,
        "draws": arguments.draws,
        "learning_rate": arguments.learning_rate,
        "ema": arguments.ema,
        "aux_weight": arguments.aux_weight,
        "held_out": arguments.held_out,
        "cache": str(arguments.cache.resolve()),
        "train_frames": len(frames.train_rows),
        "held_frames": len(frames.held_rows),
        "episodes": len(frames.meta["episodes"]),
        "state_norm": frames.state_norm.as_dict(),
        "action_norm": frames.action_norm.as_dict(),
        "aux_norm": frames.aux_norm.as_dict(),
        "start_posture": frames.start_posture(),
        "torch": torch.__version__,
    }
    (run / "run.json").write_text(json.dumps(info, indent=1))
    print(f"{parameters / 1e6:.2f}M parameters, {len(frames.train_rows)} frames to train, {len(held)} to validate", flush=True)
    log = run / "log.csv"
    if not (arguments.resume and log.exists()):
        log.write_text(",".join(LOG_FIELDS) + "\n")

    budget = arguments.minutes * 60.0
    begun = time.monotonic() - spent
    saved_at = logged_at = time.monotonic()
    sums, since = torch.zeros(3), 0

    def save() -> None:
        state = {
            "policy": policy.state_dict(), "average": average.policy.state_dict(), "optimizer": optimizer.state_dict(),
            "generator": generator.get_state(), "spent": time.monotonic() - begun, "step": step, "cursor": cursor,
            "order": order,
        }  # fmt: skip
        torch.save(state, run / "checkpoint.tmp")
        os.replace(run / "checkpoint.tmp", checkpoint)

    while True:
        spent = time.monotonic() - begun
        progress = min(spent / budget, 1.0)
        done = progress >= 1.0 or (arguments.steps is not None and step >= arguments.steps)
        if since and (done or time.monotonic() - logged_at > arguments.every):
            means = (sums / since).tolist()
            now = time.monotonic()
            rate = since * arguments.batch / (now - logged_at)
            row = {
                "seconds": spent, "step": step, "samples": step * arguments.batch, "rate": rate, "loss": means[0],
                "flow_loss": means[1], "aux_loss": means[2], "learning_rate": optimizer.param_groups[0]["lr"],
                **validate(average.policy, frames, held),
            }  # fmt: skip
            with log.open("a") as stream:
                csv.DictWriter(stream, LOG_FIELDS).writerow({key: f"{value:.6g}" for key, value in row.items()})
            print(
                f"{spent / 60:6.1f} min  step {step}  {rate:.0f}/s  loss {means[0]:.4f} (flow {means[1]:.4f} aux {means[2]:.4f})  "
                f"object {row['object_mm']:.1f} mm (median {row['object_median_mm']:.1f})  target {row['target_mm']:.1f} mm  "
                f"action {row['action_mm_1']:.1f}/{row['action_mm_4']:.1f}/{row['action_mm_16']:.1f} mm  "
                f"gripper {row['gripper_mm']:.2f} mm",
                flush=True,
            )
            plot(log, run / "curve.png")
            sums, since, logged_at = torch.zeros(3), 0, time.monotonic()
        if done or time.monotonic() - saved_at > 120.0:
            save()
            saved_at = time.monotonic()
        if done:
            break
        rate = arguments.learning_rate * min(1.0, (step + 1) / 100.0) * 0.5 * (1.0 + math.cos(math.pi * progress))
        for group in optimizer.param_groups:
            group["lr"] = max(rate, 1e-6)
        if cursor + arguments.batch > len(order):
            order, cursor = torch.randperm(len(frames.train_rows), generator=generator), 0
            if arguments.batch > len(order):
                raise SystemExit(f"only {len(order)} frames to train on: fewer than a batch of {arguments.batch}")
        batch = frames.batch(frames.train_rows[order[cursor : cursor + arguments.batch]])
        cursor += arguments.batch
        augment(batch, generator)
        policy.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
            context, guess = encoder(batch.image, batch.state, batch.text)
        flow = flow_loss(policy, context, batch.action, arguments.draws, generator)
        aux = functional.smooth_l1_loss(guess, batch.aux, beta=0.05)
        loss = flow + arguments.aux_weight * aux
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
        step += 1
        average.update(step)
        sums += torch.tensor([loss.item(), flow.item(), aux.item()])
        since += 1


def main() -> None:
    """Entry point of `python -m training.train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint, log and curve")
    parser.add_argument("--minutes", type=float, default=60.0, help="time budget")
    parser.add_argument("--steps", type=int, default=None, help="stop after so many steps, if that is earlier")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--init", type=Path, default=None, help="start from the averaged weights of another checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--draws", type=int, default=4, help="noise samples a frame")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--ema", type=float, default=0.995)
    parser.add_argument("--aux-weight", type=float, default=1.0)
    parser.add_argument("--held-out", type=float, default=0.05)
    parser.add_argument("--validate-frames", type=int, default=768)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between log lines")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
