"""The model card of the policy: what it was trained on, how, how well it does, and what it cannot do."""

from __future__ import annotations

import argparse
import csv
import json
import math
import textwrap
from collections import Counter
from pathlib import Path

from training.data import Frames

CARD = """# {name} {version}

A flow-matching policy for a Panda arm over a table. In: a front image (96x72), a wrist image (64x48), the measured joints and a
sentence; nothing else. Out: 1.6 s of tool positions and finger width. {parameters:.2f}M parameters; the sentence encoder
(`{encoder}`, pretrained, frozen, shared) not counted. It is small on purpose: it shows that the mechanism runs, and reproduces no
published system's results.

## Tasks

Benchmark `{benchmark}` {benchmark_version}: three or four of eight objects ({objects}) and a white plate stand on a table; put the
named one in the left or in the right zone, put it on the plate wherever that stands, or push it forward to the far line. That is
{all_combinations} combinations of object and goal, of which {combinations} were in the demonstrations. Places, yaw, lights, table
and camera poses vary. {sentence_count} sentences from written-out templates were seen in training. The splits: `heldout` (new
seeds), `novel` (combinations of object and goal that were never shown together), `paraphrase` (sentences that share no template
with training), `shifted` (table, lights and camera poses outside of what training has).

## Data

{episodes} demonstrations of a scripted expert in the MuJoCo simulator of this project ({kinds}), {frames} frames at 5 Hz, recorded
as rosbag2 MCAP with the graph's own topics (`efm-demonstrations`). Only attempts that succeeded were kept. In part of them the tool
was pushed off the expert's path, so that recovery is shown too. {held_frames} frames of {held_percent:.0f} % of the episodes were
held out for the figures below. All seeds are of the split `train`; a leak check runs before training (`efm-benchmark leaks`). No
real robot, no real image.

**Auxiliary labels.** In training only, side branches also had to say where every object, the plate and the target are, and which
object and which goal a sentence speaks of; those labels are the simulator's truth. At run time nothing but the two images, joints
and sentence is used.

## How it is cut

The sentence's embedding goes through one linear layer to a distribution over the eight objects and one over the four goals, and only
prototypes chosen by these go on: combinations never shown are made of parts that were. The eyes find all objects without
knowing the sentence; the sentence picks one. Half of that linear layer's training was on made-up embeddings, in which the object's
contribution (a least-squares fit to the training sentences) was exchanged for another's: this says of every object that it can have
every goal, without a sentence or a demonstration of the combinations that were left out. The other side of it: what is not one of
these objects and goals cannot be said to it.

## Training

{minutes:.0f} minutes, compilation included ({steps} steps of {batch} frames, {passes:.1f} passes over the data) on {threads} cores
of a shared CPU, bfloat16, no GPU; seed {seed}; AdamW {learning_rate:g} with a cosine over the steps, weights averaged ({ema}).
Light, colour, shading and noise of the images were varied. Flow matching with t ~ Beta(1.5, 1); the network predicts the clean
chunk and the graph returns the velocity (x - a) / t. At run time the flow starts from noise of scale {noise_scale:g} (0: always the
same chunk for the same observation). `./efm train` repeats it.

{remarks}| on held-out episodes of the training split | |
|---|---|
| named object, error of the guess | mean {object_mm:.1f} mm, median {object_median_mm:.1f} mm, 95 % within {object_p95_mm:.1f} mm |
| any object, front camera alone | {front_mm:.1f} mm |
| plate / target | {plate_mm:.1f} / {target_mm:.1f} mm |
| tool position against the expert's plan, rms after 0.1 / 0.4 / 1.6 s | {action_mm_1:.1f} / {action_mm_4:.1f} / {action_mm_16:.1f} mm |
| the same after 0.4 s, worst combination | {worst_combination_mm_4:.1f} mm |
| finger position | {gripper_mm:.2f} mm |
| object / goal told from the sentence | {object_accuracy:.1%} / {goal_accuracy:.1%} |
| the same for sentences of combinations left out (cross-validation) | {left_object:.1%} / {left_goal:.1%} |

![training](curve.png)

| step | loss | object mm | plate mm | target mm | tool after 0.4 s, mm | finger mm |
|---|---|---|---|---|---|---|
{log}

The whole log is `log.csv`.

## In closed loop

{evaluation}

## What it cannot do

- Anything but these eight objects, these goals, this arm and this table from about these two cameras.
- Several steps in one sentence, objects by relation ("the one behind the cube"), colours or words that are none of the tasks'. For
  a sentence that asks for something else it does *something*: it has no way to refuse.
- Tell left from right in every phrasing: the sentence encoder puts the two words close together.
- Turn the hand: the tool points straight down at a fixed yaw.
- Know that it failed. It is no safety function; limits are kept by what executes its chunks.

Licence: Apache-2.0. Parity of the graphs with torch on the golden example: {parity:.1e}. One chunk takes {latency:.1f} ms on one core
(ONNX Runtime {ort}), {size:.1f} MB on disk.
"""


def wilson(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a rate."""
    if episodes == 0:
        return 0.0, 1.0
    rate, square = successes / episodes, z * z / episodes
    middle = (rate + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(rate * (1 - rate) / episodes + square / (4 * episodes))
    return middle - half, middle + half


def reports(files: list[Path]) -> list[dict]:
    """The runs in the files, which `./efm eval --json` wrote."""
    found = []
    for file in files:
        found += json.loads(file.read_text())["runs"]
    return found


def evaluation_text(files: list[Path]) -> str:
    """Rates by split, control and kind of task, from the reports of `./efm eval --json`."""
    found = reports([file for file in files if file.exists()])
    if not found:
        return "Not evaluated yet: `./efm eval` fills this in."
    lines = ["| split | control | how | successes | rate | 95 % Wilson interval |", "|---|---|---|---|---|---|"]
    by_kind: list[str] = []
    for report in found:
        episodes, successes = int(report["episodes"]), int(report["successes"])
        low, high = wilson(successes, episodes)
        split, control = report.get("split") or "?", report.get("control") or "-"
        lines.append(
            f"| {split} | {control} | {report.get('how', '?')} | {successes} of {episodes} | {100 * successes / max(episodes, 1):.1f} % "
            f"| {100 * low:.1f} to {100 * high:.1f} % |"
        )
        if control != "-":
            continue
        kinds = Counter(outcome["kind"] for outcome in report.get("outcomes", []))
        done = Counter(outcome["kind"] for outcome in report.get("outcomes", []) if outcome["success"])
        for kind, count in sorted(kinds.items()):
            low, high = wilson(done[kind], count)
            rate = f"{done[kind]} of {count} | {100 * done[kind] / count:.1f} % | {100 * low:.1f} to {100 * high:.1f} %"
            by_kind.append(f"| {split} | {kind} | {rate} |")
    if by_kind:
        lines += [
            "",
            "By kind of task:",
            "",
            "| split | kind | successes | rate | 95 % Wilson interval |",
            "|---|---|---|---|---|",
            *by_kind,
        ]
    return "\n".join([
        *lines, "",
        "The seeds were never trained on. Controls: `shuffled` gives each episode another episode's sentence and scores it on its own "
        "goal; `nothing` and `random` are no policy at all. Success: released, at rest for 0.5 s, within 4 cm of the target, other "
        "objects moved less than 3 cm.",
    ])  # fmt: skip


def log_rows(run: Path) -> list[dict[str, float]]:
    """Rows of the run's log."""
    with (run / "log.csv").open() as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


def log_table(rows: list[dict[str, float]], most: int = 12) -> str:
    """At most so many rows of the log, evenly spaced, the last one among them."""
    picked = [rows[round((k + 1) * len(rows) / most) - 1] for k in range(most)] if len(rows) > most else rows
    return "\n".join(
        f"| {row['step']:.0f} | {row['loss']:.3f} | {row['object_mm']:.1f} | {row['plate_mm']:.1f} | {row['target_mm']:.1f} "
        f"| {row['action_mm_4']:.1f} | {row['gripper_mm']:.2f} |"
        for row in picked
    )


def wrapped(text: str, width: int = 132) -> str:
    """Prose filled to a width once the figures are in; headings, lists and tables stay as they are."""
    paragraphs = text.split("\n\n")
    prose = [not paragraph.lstrip("\n").startswith(("#", "|", "- ", "!")) for paragraph in paragraphs]
    return "\n\n".join(
        textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False) + "\n" * paragraph.endswith("\n")
        if is_prose
        else paragraph
        for paragraph, is_prose in zip(paragraphs, prose, strict=True)
    )


def write_card(out: Path, run: Path, info: dict, frames: Frames, arguments: argparse.Namespace, encoder: str, graphs: dict) -> dict:
    """Write `README.md`, `curve.png` and `log.csv`; returns the manifest's section `training`."""
    rows = log_rows(run)
    last = rows[-1]
    meta = frames.meta
    for name in ("curve.png", "log.csv"):
        (out / name).write_bytes((run / name).read_bytes())
    kinds = Counter(meta["kinds"])
    held_episodes = len(set(frames.episode[frames.held_rows].tolist()))
    card = CARD.format(
        name=arguments.name,
        version=arguments.version,
        parameters=info["parameters"] / 1e6,
        encoder=encoder,
        benchmark=meta["benchmark"],
        benchmark_version=meta["version"],
        objects=", ".join(meta["objects"]),
        all_combinations=len(meta["objects"]) * len(meta["goals"]),
        combinations=len(set(zip(frames.object.tolist(), frames.goal.tolist(), strict=True))),
        sentence_count=len(meta["sentences"]),
        episodes=info["episodes"],
        kinds=", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        frames=len(frames.front),
        held_frames=len(frames.held_rows),
        held_percent=100.0 * held_episodes / info["episodes"],
        minutes=last["seconds"] / 60.0,
        steps=int(last["step"]),
        passes=last["samples"] / info["train_frames"],
        noise_scale=arguments.noise_scale,
        remarks=f"{arguments.remarks}\n\n" if arguments.remarks else "",
        left_object=info["words_left_out"]["object"],
        left_goal=info["words_left_out"]["goal"],
        log=log_table(rows),
        evaluation=evaluation_text(arguments.eval),
        **{key: info[key] for key in ("batch", "threads", "seed", "learning_rate", "ema")},
        **{key: last[key] for key in last if "_mm" in key or "accuracy" in key},
        **graphs,
    )
    (out / "README.md").write_text(wrapped(card))
    return {
        "benchmark": f"{meta['benchmark']} {meta['version']}",
        "data": f"{info['episodes']} simulated demonstrations of a scripted expert, {len(frames.front)} frames",
        "auxiliary_labels": "positions of all objects, the plate and the target, and which object and goal a sentence means, from the "
        "simulator, in training only",
        "compute": f"{last['seconds'] / 60:.0f} minutes on {info['threads']} CPU cores",
        "object_error_mm": round(last["object_mm"], 2),
        "action_error_mm": {f"{0.1 * k:.1f} s": round(last[f"action_mm_{k}"], 2) for k in (1, 4, 16)},
    }
