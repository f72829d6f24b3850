"""`./efm import lerobot DIR`."""

from __future__ import annotations

import argparse
import logging
import re
import sys
from pathlib import Path

from importers.lerobot import ranges
from importers.lerobot import robot as robots
from importers.lerobot.errors import ImportFailure


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(prog="efm import lerobot", description="Turns a LeRobot checkpoint folder into a policy package.")
    options.add_argument("checkpoint", type=Path, help="folder with config.json, model.safetensors, policy_preprocessor.json, ...")
    options.add_argument("--out", type=Path, required=True, help="folder of the package; sentence encoders are not needed")
    options.add_argument("--name", help="name of the policy (default: that of --out)")
    options.add_argument(
        "--vlm", type=Path, help="SmolVLA: folder with config.json, processor files and tokenizer.json of its language model (no weights)"
    )
    options.add_argument(
        "--tokenizer", type=Path, help="SmolVLA: folder with tokenizer.json, where it is not in --vlm or in the checkpoint"
    )
    options.add_argument(
        "--replan-steps",
        type=int,
        metavar="N",
        help="rows of a chunk after which the policy looks again (default: n_action_steps, or half of a chunk where that is all of it)",
    )
    robots.options(options)
    return options


def run(arguments: argparse.Namespace) -> None:
    """Import, or raise an ImportFailure. A package that is there is replaced only by a whole new one."""
    # Not for --help, whose page the tests read without the packages of this environment.
    from importers.lerobot import checkpoint as checkpoints

    checkpoint = checkpoints.read(arguments.checkpoint)
    robot = robots.gather(arguments, checkpoint)
    for feature in [*checkpoint.inputs, checkpoint.action]:
        if ".empty_camera_" not in feature.key:
            checkpoint.statistics(feature)
    # Before half a minute of imports; the worked example is compared when it is there.
    vectors = [checkpoint.statistics(feature) for feature in (checkpoint.state(), checkpoint.action)]
    for note in ranges.check(ranges.columns(robot, vectors)):
        print(f"note: {note}")
    if arguments.urdf is None:
        print("note: without --urdf the statistics are compared with each other and with two turns (10 m), not with the robot's limits")
    cameras = [robot.camera(feature) for feature in checkpoint.images()]
    if len(set(cameras)) != len(cameras):
        raise ImportFailure(f"cameras: {', '.join(cameras)}: two have one name; give others with --camera KEY=NAME")
    name = arguments.name or arguments.out.resolve().name
    if not re.fullmatch(r"[0-9A-Za-z_.-]+", name):
        raise ImportFailure(f"--name: '{name}' is not made of letters, digits, '_', '-' and '.'")

    # Torch and LeRobot take half a minute to import: only once all that can be refused without them has been looked at.
    from importers.lerobot import act, diffusion, outgoing, package, smolvla

    history = int(checkpoint.config.get("n_obs_steps", 1)) if checkpoint.kind == "diffusion" else 1
    observed = package.example(checkpoint, history)
    with package.scratch_folder() as scratch:
        folder = Path(scratch)
        if checkpoint.kind == "act":
            parts = act.make(checkpoint, robot, observed, folder)
        elif checkpoint.kind == "diffusion":
            parts = diffusion.make(checkpoint, robot, observed, folder)
        else:
            parts = smolvla.make(checkpoint, robot, observed, folder, arguments.vlm, arguments.tokenizer)
        parts.replan_steps, note = outgoing.replan(parts.replan_steps, parts.horizon, arguments.replan_steps)
        parts.notes += [note] if note else []
        package.write(checkpoint, robot, observed, parts, name, folder, arguments.out)
    for note in parts.notes:
        print(f"note: {note}")
    print(f"{arguments.out}: written; now: ./efm policy check {arguments.out} --robot URDF")


def main() -> int:
    """Exit code."""
    logging.basicConfig(level=logging.WARNING)
    try:
        run(parser().parse_args())
    except ImportFailure as failure:
        print(f"efm import: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
