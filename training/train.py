"""Train the policy on a cache of `training.dataset`.

    python -m training.train --cache DIR --run DIR --steps 7000 [--minutes 60] [--resume]

Writes into the run folder: `checkpoint.pt` (every two minutes and at the end; `--resume` goes on from it), `log.csv`,
`curve.png`, `run.json`. The learning rate follows a cosine over a fixed number of steps, and everything random comes from the
seed: the same cache, seed, steps, batch and threads on the same kind of processor give the same weights, interrupted or not.
`--minutes` only bounds the time: what is not done by then waits for `--resume`.

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

# Threads that wait sleep: on a machine that does other things too, spinning costs more than it gains. Before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor
from torch.nn import functional

from training.data import Augmentation, Batch, Frames
from training.model import UNIT, Guesses, Policy, Settings
from training.words import accuracy, cross_validate, train_words

LOG_FIELDS = [
    "seconds", "step", "samples", "rate", "loss", "flow_loss", "aux_loss", "learning_rate",
    "object_mm", "object_median_mm", "object_p95_mm", "front_mm", "all_objects_mm", "plate_mm", "target_mm",
    "action_mm_1", "action_mm_2", "action_mm_4", "action_mm_8", "action_mm_16", "worst_combination_mm_4", "gripper_mm",
    "object_accuracy", "goal_accuracy",
]  # fmt: skip
# What the weights depend on, beside the cache.
TERMS = ("seed", "steps", "batch", "draws", "learning_rate", "ema", "aux_weight", "held_out", "bf16")
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


def aux_loss(guesses: Guesses, batch: Batch) -> Tensor:
    """Distance of the guesses from the simulator's truth, squared below 2 mm: the named object counts most."""

    def distance(guess: Tensor, truth: Tensor) -> Tensor:
        return functional.smooth_l1_loss(guess, truth, beta=0.02, reduction="none").sum(dim=-1)

    present = batch.present / batch.present.sum()
    everything = (distance(guesses.objects, batch.objects) * present).sum()
    front = (distance(guesses.front, batch.objects) * present).sum()
    named, plate, target = (
        distance(guess, truth).mean()
        for guess, truth in ((guesses.named, batch.named), (guesses.plate, batch.plate), (guesses.target, batch.target))
    )
    return named + 0.5 * everything + 0.25 * front + 0.25 * plate + 0.5 * target


@torch.no_grad()
def validate(policy: Policy, frames: Frames, rows: Tensor, steps: int = 10) -> dict[str, float]:
    """Errors in millimetres on held-out frames with the recorded sentences, in float32, sampling as the runtime does."""
    policy.eval()
    generator = torch.Generator().manual_seed(1)
    found: dict[str, list[Tensor]] = {}
    for part in rows.split(128):
        batch = frames.batch(part)
        context, guesses = policy.encoder(batch.front, batch.wrist, batch.state, batch.text)
        chunk = policy.sample(context, torch.randn(batch.action.shape, generator=generator), steps)
        objects, goals = policy.encoder.words(batch.text)
        every = (guesses.objects - batch.objects).norm(dim=2)
        values = {
            "action": (frames.action_norm.inverse(chunk) - frames.actions[part]) * 1000.0,
            "object": (guesses.named - batch.named).norm(dim=1),
            "front": (guesses.front - batch.objects).norm(dim=2)[batch.present],
            "all_objects": every[batch.present],
            "plate": (guesses.plate - batch.plate).norm(dim=1),
            "target": (guesses.target - batch.target).norm(dim=1),
            "object_right": (objects.argmax(dim=1) == frames.object[part]).float(),
            "goal_right": (goals.argmax(dim=1) == frames.goal[part]).float(),
        }
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    joined = {name: torch.cat(parts) for name, parts in found.items()}
    action = joined["action"]
    squares = action[:, :, :3].square().sum(dim=2)
    distance = squares.mean(dim=0).sqrt()
    key = frames.object[rows] * len(frames.meta["goals"]) + frames.goal[rows]
    combinations = [squares[key == k, 3].mean().sqrt().item() for k in key.unique()]
    unit = 1000.0 * UNIT
    return {
        "object_mm": unit * joined["object"].mean().item(),
        "object_median_mm": unit * joined["object"].median().item(),
        "object_p95_mm": unit * joined["object"].quantile(0.95).item(),
        **{f"{name}_mm": unit * joined[name].mean().item() for name in ("front", "all_objects", "plate", "target")},
        **{f"action_mm_{k}": distance[k - 1].item() for k in (1, 2, 4, 8, 16)},
        "worst_combination_mm_4": max(combinations),
        "gripper_mm": action[:, :, 3].abs().mean().item(),
        "object_accuracy": joined["object_right"].mean().item(),
        "goal_accuracy": joined["goal_right"].mean().item(),
    }


def plot(log: Path, picture: Path) -> None:
    """Draw the log."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with log.open() as stream:
        rows = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]
    steps = [row["step"] for row in rows]
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 3.6))
    for axis, keys in zip(
        axes,
        (
            ("flow_loss", "aux_loss"),
            ("object_mm", "front_mm", "plate_mm", "target_mm"),
            ("action_mm_1", "action_mm_4", "action_mm_16", "worst_combination_mm_4"),
        ),
        strict=True,
    ):
        for key in keys:
            axis.plot(steps, [row[key] for row in rows], label=key.replace("_", " "))
        axis.set_yscale("log")
        axis.set_xlabel("steps")
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


def network(frames: Frames, seed: int) -> Policy:
    """A policy with its words trained and frozen, the rest fresh."""
    torch.manual_seed(seed)
    settings = Settings(objects=len(frames.meta["objects"]), goals=len(frames.meta["goals"]))
    policy = Policy(settings).to(memory_format=torch.channels_last)
    policy.encoder.see_tool(frames.state_norm.mean[-3:], frames.state_norm.std[-3:])
    policy.encoder.words.load_state_dict(train_words(frames.text, frames.text_object, frames.text_goal, settings, seed).state_dict())
    policy.encoder.words.requires_grad_(False)
    return policy


def step_size(arguments: argparse.Namespace, step: int) -> float:
    """Learning rate of a step: a short rise, then a cosine that ends with the last step."""
    cosine = 0.5 * (1.0 + math.cos(math.pi * step / arguments.steps))
    return max(arguments.learning_rate * min(1.0, (step + 1) / 100.0) * cosine, 1e-6)


def train(arguments: argparse.Namespace) -> bool:
    """Run until the steps are done (true) or the time is spent (false)."""
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    frames = Frames(arguments.cache, arguments.seed, arguments.held_out)
    policy = network(frames, arguments.seed)
    settings = policy.settings
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    trained = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=arguments.learning_rate, weight_decay=1e-4, fused=True)
    average = Average(policy, arguments.ema)
    augment = Augmentation(tuple(frames.front.shape[1:3]), tuple(frames.wrist.shape[1:3]), arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    spent, step, cursor = 0.0, 0, 0
    order = torch.randperm(len(frames.train_rows), generator=generator)
    checkpoint = run / "checkpoint.pt"
    # What the weights depend on; a run is only gone on with when it is the same.
    terms = {
        "cache": [frames.meta["frames"], len(frames.meta["episodes"]), len(frames.text), round(float(frames.states.double().sum()), 3)],
        **{name: getattr(arguments, name) for name in TERMS},
    }  # fmt: skip
    resumed = arguments.resume and checkpoint.exists()
    if resumed:
        saved = torch.load(checkpoint, weights_only=True)
        if saved["terms"] != terms:
            raise SystemExit(f"{checkpoint} is of another run: {saved['terms']}, not {terms}; use another --run, or leave --resume out")
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
    classes = (frames.text, frames.text_object, frames.text_goal)
    if resumed:
        left_out = json.loads((run / "run.json").read_text())["words_left_out"]
    else:
        left_out = cross_validate(*classes, settings, arguments.seed)
    on_sentences = accuracy(policy.encoder.words, *classes)
    info = {
        "settings": settings.as_dict(),
        "parameters": parameters,
        **{name: getattr(arguments, name) for name in (*TERMS, "threads")},
        "cache": str(arguments.cache.resolve()),
        "train_frames": len(frames.train_rows),
        "held_frames": len(frames.held_rows),
        "episodes": len(frames.meta["episodes"]),
        "sentences": len(frames.text),
        "words_trained": {"object": on_sentences[0], "goal": on_sentences[1]},
        "words_left_out": left_out,
        "state_norm": frames.state_norm.as_dict(),
        "action_norm": frames.action_norm.as_dict(),
        "start_posture": frames.start_posture(),
        "torch": torch.__version__,
    }  # fmt: skip
    (run / "run.json").write_text(json.dumps(info, indent=1))
    print(
        f"{parameters / 1e6:.2f}M parameters, {len(frames.train_rows)} frames to train, {len(held)} to validate; words right on "
        f"{100 * on_sentences[0]:.1f} % (object) and {100 * on_sentences[1]:.1f} % (goal) of {len(frames.text)} sentences, "
        f"{100 * left_out['object']:.1f} % and {100 * left_out['goal']:.1f} % where the combination was left out",
        flush=True,
    )
    log = run / "log.csv"
    kept = log.read_text().splitlines()[1:] if resumed and log.exists() else []
    # Rows beyond the checkpoint will come again.
    kept = [row for row in kept if float(row.split(",")[LOG_FIELDS.index("step")]) <= step]
    log.write_text("\n".join([",".join(LOG_FIELDS), *kept]) + "\n")

    begun = time.monotonic() - spent
    saved_at = logged_at = time.monotonic()
    sums, since = torch.zeros(3), 0

    def save() -> None:
        state = {
            "terms": terms, "policy": policy.state_dict(), "average": average.policy.state_dict(),
            "optimizer": optimizer.state_dict(), "generator": generator.get_state(), "spent": time.monotonic() - begun,
            "step": step, "cursor": cursor, "order": order,
        }  # fmt: skip
        torch.save(state, run / "checkpoint.tmp")
        os.replace(run / "checkpoint.tmp", checkpoint)

    if arguments.batch > len(order):
        raise SystemExit(f"only {len(order)} frames to train on: fewer than a batch of {arguments.batch}")
    while True:
        spent = time.monotonic() - begun
        finished = step >= arguments.steps
        done = finished or spent > arguments.minutes * 60.0 or step == arguments.pause_at
        if since and (done or step % arguments.every == 0):
            means = (sums / since).tolist()
            rate = since * arguments.batch / (time.monotonic() - logged_at)
            row = {
                "seconds": spent, "step": step, "samples": step * arguments.batch, "rate": rate, "loss": means[0],
                "flow_loss": means[1], "aux_loss": means[2], "learning_rate": optimizer.param_groups[0]["lr"],
                **validate(average.policy, frames, held),
            }  # fmt: skip
            with log.open("a") as stream:
                csv.DictWriter(stream, LOG_FIELDS).writerow({key: f"{value:.6g}" for key, value in row.items()})
            print(
                f"{spent / 60:6.1f} min  step {step}/{arguments.steps}  {rate:.0f}/s  loss {means[0]:.4f} (flow {means[1]:.4f} "
                f"aux {means[2]:.4f})  object {row['object_mm']:.1f} mm (median {row['object_median_mm']:.1f}, 95 % "
                f"{row['object_p95_mm']:.1f}; front {row['front_mm']:.1f})  plate {row['plate_mm']:.1f}  target {row['target_mm']:.1f} mm  "
                f"action {row['action_mm_1']:.1f}/{row['action_mm_4']:.1f}/{row['action_mm_16']:.1f} mm (worst combination "
                f"{row['worst_combination_mm_4']:.1f})  gripper {row['gripper_mm']:.2f} mm",
                flush=True,
            )
            plot(log, run / "curve.png")
            sums, since, logged_at = torch.zeros(3), 0, time.monotonic()
        if done or time.monotonic() - saved_at > 120.0:
            save()
            saved_at = time.monotonic()
        if done:
            return finished
        for group in optimizer.param_groups:
            group["lr"] = step_size(arguments, step)
        if cursor + arguments.batch > len(order):
            order, cursor = torch.randperm(len(frames.train_rows), generator=generator), 0
        batch = frames.batch(frames.train_rows[order[cursor : cursor + arguments.batch]], generator)
        cursor += arguments.batch
        augment(batch, generator)
        keep_what = (torch.rand(arguments.batch, 1, generator=generator) < 0.5).float()
        policy.train()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
            context, guesses = encoder(batch.front, batch.wrist, batch.state, batch.text, keep_what)
        flow = flow_loss(policy, context, batch.action, arguments.draws, generator)
        aux = aux_loss(guesses, batch)
        loss = flow + arguments.aux_weight * aux
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        average.update(step)
        sums += torch.tensor([loss.item(), flow.item(), aux.item()])
        since += 1


def parser() -> argparse.ArgumentParser:
    """Options of `python -m training.train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoint, log and curve")
    parser.add_argument("--steps", type=int, default=7000, help="of the whole training: the learning rate follows them")
    parser.add_argument("--minutes", type=float, default=240.0, help="stop after so long, even if steps are left (exit status 3)")
    parser.add_argument("--pause-at", type=int, default=None, help="stop at this step as if the time was spent")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--init", type=Path, default=None, help="start from the averaged weights of another checkpoint")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--draws", type=int, default=4, help="noise samples a frame")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--aux-weight", type=float, default=1.0)
    parser.add_argument("--held-out", type=float, default=0.05)
    parser.add_argument("--validate-frames", type=int, default=768)
    parser.add_argument("--every", type=int, default=250, help="steps between log lines")
    parser.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True)
    return parser


def main() -> None:
    """Entry point of `python -m training.train`."""
    arguments = parser().parse_args()
    if not train(arguments):
        print(f"the time is spent, steps are left: --resume goes on from {arguments.run}", flush=True)
        raise SystemExit(3)


if __name__ == "__main__":
    main()
