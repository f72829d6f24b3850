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
import json
import os
from pathlib import Path

# Threads that wait sleep: on a machine that does other things too, spinning costs more than it gains. Before torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from torch import Tensor
from torch.nn import functional

from training.course import Course
from training.data import Augmentation, Batch, Frames
from training.model import UNIT, Guesses, Policy, Settings
from training.words import accuracy, cross_validate, train_words

LOG_FIELDS = [
    "flow_loss", "aux_loss", "learning_rate",
    "object_mm", "object_median_mm", "object_p95_mm", "front_mm", "all_objects_mm", "plate_mm", "target_mm",
    "action_mm_1", "action_mm_2", "action_mm_4", "action_mm_8", "action_mm_16", "worst_combination_mm_4", "gripper_mm",
    "object_accuracy", "goal_accuracy",
]  # fmt: skip
PANELS = (
    ("flow_loss", "aux_loss"),
    ("object_mm", "front_mm", "plate_mm", "target_mm"),
    ("action_mm_1", "action_mm_4", "action_mm_16", "worst_combination_mm_4"),
)
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


def train(arguments: argparse.Namespace) -> bool:
    """Run until the steps are done (true) or the time is spent (false)."""
    run: Path = arguments.run
    run.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    frames = Frames(arguments.cache, arguments.seed, arguments.held_out)
    policy = network(frames, arguments.seed)
    settings = policy.settings
    parameters = sum(parameter.numel() for parameter in policy.parameters())
    augment = Augmentation(tuple(frames.front.shape[1:3]), tuple(frames.wrist.shape[1:3]), arguments.seed)
    # What the weights depend on; a run is only gone on with when it is the same.
    terms = {
        "cache": [frames.meta["frames"], len(frames.meta["episodes"]), len(frames.text), round(float(frames.states.double().sum()), 3)],
        **{name: getattr(arguments, name) for name in TERMS},
    }  # fmt: skip
    course = Course(arguments, frames.train_rows, policy, terms, LOG_FIELDS, PANELS, weight_decay=1e-4, save_every=120.0)
    average, generator = course.average, course.generator
    if arguments.init and not course.resumed:
        saved = torch.load(arguments.init, weights_only=True)
        policy.load_state_dict(saved["average"])
        average.policy.load_state_dict(saved["average"])
    encoder = compiled(policy.encoder) if arguments.compile else policy.encoder

    picks = torch.randperm(len(frames.held_rows), generator=torch.Generator().manual_seed(0))
    held = frames.held_rows[picks[: arguments.validate_frames]]
    classes = (frames.text, frames.text_object, frames.text_goal)
    if course.resumed:
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

    def losses(rows: Tensor) -> Tensor:
        batch = frames.batch(rows, generator)
        augment(batch, generator)
        keep_what = (torch.rand(arguments.batch, 1, generator=generator) < 0.5).float()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.bf16):
            context, guesses = encoder(batch.front, batch.wrist, batch.state, batch.text, keep_what)
        flow = flow_loss(policy, context, batch.action, arguments.draws, generator)
        aux = aux_loss(guesses, batch)
        return torch.stack([flow + arguments.aux_weight * aux, flow, aux])

    def judge(means: list[float]) -> dict[str, float]:
        rates = {"flow_loss": means[1], "aux_loss": means[2], "learning_rate": course.learning_rate}
        return {**rates, **validate(average.policy, frames, held)}

    def say(row: dict[str, float]) -> str:
        return (
            f"loss {row['loss']:.4f} (flow {row['flow_loss']:.4f} aux {row['aux_loss']:.4f})  object {row['object_mm']:.1f} mm (median "
            f"{row['object_median_mm']:.1f}, 95 % {row['object_p95_mm']:.1f}; front {row['front_mm']:.1f})  plate {row['plate_mm']:.1f}  "
            f"target {row['target_mm']:.1f} mm  action {row['action_mm_1']:.1f}/{row['action_mm_4']:.1f}/{row['action_mm_16']:.1f} mm (worst "
            f"combination {row['worst_combination_mm_4']:.1f})  gripper {row['gripper_mm']:.2f} mm"
        )

    return course.go(losses, judge, say)


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
