"""The model card of the policy: what it was trained on, how, how well it does, and what it cannot do.

    python -m training.card --package models/panda_tabletop_chunk --eval heldout.json [--eval novel.json ...]

fills the section "In closed loop" of a card that is there, from the reports of `./efm eval --json`; neither the run nor its
demonstrations are needed for that.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import textwrap
from collections import Counter
from pathlib import Path

from training.data import Frames
from training.diffusion import Sampler

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


HEAD_CARD = """# {name} {version}

{what} In: a front image (96x72), a wrist image (64x48), the measured joints and a sentence; nothing else. Out:
{seconds:.1f} s of tool positions and finger width. **The head alone was trained here, on the frozen encoder of
`{package}`**: {parameters:.2f}M parameters on top of a graph that is copied byte for byte. It shows that this family of policies runs;
it reproduces no published system's results, and says little about how the families compare, as the encoder was trained together
with a flow head.

## Tasks

Benchmark `{benchmark}` {benchmark_version}, as `{package}`: its model card says what is asked, what the splits are, and what the encoder
was trained on and with which auxiliary labels.

## Data

{episodes} demonstrations of the scripted expert in the MuJoCo simulator of this project ({kinds}; seeds {first_seed} to {last_seed} of the
split `train`), {frames} frames at 5 Hz, recorded as rosbag2 MCAP (`efm-demonstrations`). {fresh} Only attempts that succeeded
were kept; in part of them the tool was pushed off the expert's path. A leak check ran before training (`efm-benchmark leaks`);
`demonstrations.jsonl` lists what was recorded. {held_frames} frames of {held_percent:.0f} % of the episodes were held out for the
figures below.

## Head and training

{how}

The context of every frame was computed once by `encode.onnx` through ONNX Runtime, with {copies} sentences a frame; pictures were not
augmented. Then {minutes:.0f} minutes ({steps} steps of {batch} frames, {passes:.0f} passes over the data) on {threads} shared CPU core,
float32, no GPU; seed {seed}; AdamW {learning_rate:g} with a cosine over the steps, weights averaged ({ema}). `./efm train --family
{family}` repeats it.

{remarks}Tool position against the expert's plan on held-out episodes, root mean square in mm after so long; the worst combination of
object and goal after 0.4 s; finger position:

| | 0.1 s | 0.2 s | 0.4 s | 0.8 s | 1.6 s | worst | finger |
|---|---|---|---|---|---|---|---|
| this head | {own} |
{reference}
![training](curve.png)

The whole log is `log.csv`.

## In closed loop

{evaluation}

## What it cannot do

- Anything but these eight objects, these goals, this arm and this table from about these two cameras.
- Several steps in one sentence, objects by relation, or anything else that is none of the tasks. It has no way to refuse.
- Turn the hand: the tool points straight down at a fixed yaw.
- Know that it failed. It is no safety function; limits are kept by what executes its chunks.

Licence: Apache-2.0. Parity of the graphs with torch on the golden example: {parity:.1e}; torch starts at the context there, as the
encoder is a graph already. One chunk takes {latency:.1f} ms on one core (ONNX Runtime {ort}); graphs of {size:.1f} MB.
"""

CLOSED_LOOP = "## In closed loop\n\n"
CANNOT = "\n\n## What it cannot do\n"
WHAT = {
    "chunk_regression": "Chunk regression for a Panda arm over a table: one pass, the whole chunk at once.",
    "diffusion": "A diffusion policy for a Panda arm over a table: a chunk is made out of noise in {sampler_steps} steps.",
    "action_tokens": "Action tokens for a Panda arm over a table: an autoregressive transformer says the chunk value by value.",
}
HOW = {
    "chunk_regression": "{blocks} residual blocks of width {width} whose inputs are scaled and shifted by the context; mean absolute "
    "error (L1) on the normalised chunk, as ACT. The package has one graph: encoder and head joined.",
    "diffusion": "{blocks} residual blocks of width {width} that take a noisy chunk, the time as a raw integer and the context. Cosine "
    "schedule of {train_steps} steps, all of them trained. The network predicts the clean chunk and the graph returns the noise (x - "
    "sqrt(abar) clean) / sqrt(1 - abar); the loss is the squared error of the noise plus that of the clean chunk, {draws} draws of time "
    "and noise a frame. At run time: {scheduler}, {sampler_steps} steps, noise of scale {noise_scale:g} at the start.",
    "action_tokens": "A decoder-only transformer of {blocks} layers, width {width}, 4 heads: {horizon} rows of 4 values are {count} "
    "tokens, row by row. 256 bins over -1 to 1 between the ends of each action in the training data ({share_text}), read back as 255 "
    "centres, as OpenVLA. The context scales and shifts the input of every layer. Cross entropy on the right bin blurred over its "
    "neighbours ({blur:g} bins); half of the sequences shown are off by {jitter:g} bins. Greedy decoding with a cache of keys and "
    "values, which repeats the whole-sequence network over 50 tokens.",
}


def write_head_card(arguments: argparse.Namespace, info: dict, frames: Frames, sampler: Sampler, graphs: dict) -> dict:
    """Write `README.md`, `curve.png` and `log.csv` of a head; returns the manifest's section `training`."""
    run, out = arguments.run, arguments.out
    last = log_rows(run)[-1]
    meta, settings, family = frames.meta, info["settings"], info["settings"]["family"]
    for name in ("curve.png", "log.csv"):
        (out / name).write_bytes((run / name).read_bytes())
    columns = ("action_mm_1", "action_mm_2", "action_mm_4", "action_mm_8", "action_mm_16", "worst_combination_mm_4", "gripper_mm")

    def figures(values: dict[str, float]) -> str:
        return " | ".join("-" if math.isnan(values[key]) else f"{values[key]:.1f}" for key in columns)

    reference = info["reference"]
    seen = encoder_seeds(arguments.encoder)
    both = len(seen & set(meta["seeds"]))
    fresh = (
        "None of them was among those that the encoder was trained on, so its context is as good here as it is in use."
        if both == 0
        else f"{both} of them were among those that the encoder was trained on, where its context is a little better than in use."
    )
    kinds = Counter(meta["kinds"])
    held_episodes = len(set(frames.episode[frames.held_rows].tolist()))
    details = {
        **info, **settings, **sampler.as_dict(), "sampler_steps": sampler.steps, "count": settings["horizon"] * settings["action"],
        "share_text": f"{100 * info['share']:g} % lie beyond each" if info["share"] else "the smallest and the largest value",
    }  # fmt: skip
    card = HEAD_CARD.format(
        name=arguments.name,
        version=arguments.version,
        what=WHAT[family].format(**details),
        how=HOW[family].format(**details),
        package=info["encoder"],
        seconds=0.1 * settings["horizon"],
        parameters=info["parameters"] / 1e6,
        benchmark=meta["benchmark"],
        benchmark_version=meta["version"],
        episodes=info["episodes"],
        kinds=", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        first_seed=min(meta["seeds"]),
        last_seed=max(meta["seeds"]),
        frames=len(frames.front),
        fresh=fresh,
        held_frames=len(frames.held_rows),
        held_percent=100.0 * held_episodes / info["episodes"],
        minutes=last["seconds"] / 60.0,
        steps=int(last["step"]),
        passes=last["samples"] / info["train_frames"],
        family=family,
        remarks=f"{arguments.remarks}\n\n" if arguments.remarks else "",
        own=figures(last),
        reference=f"| the flow head of `{info['encoder']}`, same frames | {figures(reference)} |\n" if reference else "",
        evaluation=evaluation_text(arguments.eval),
        **{key: info[key] for key in ("batch", "threads", "copies", "seed", "learning_rate", "ema")},
        **graphs,
    )
    (out / "README.md").write_text(wrapped(card))
    return {
        "benchmark": f"{meta['benchmark']} {meta['version']}",
        "encoder": f"frozen, of {info['encoder']} (its model card says what that was trained on)",
        "data": f"{info['episodes']} simulated demonstrations of a scripted expert, {len(frames.front)} frames",
        "compute": f"{last['seconds'] / 60:.0f} minutes on {info['threads']} CPU core for the head alone",
        "action_error_mm": {
            f"{0.1 * k:.1f} s": round(last[f"action_mm_{k}"], 2) for k in (1, 4, 8, 16) if not math.isnan(last[f"action_mm_{k}"])
        },
    }


def encoder_seeds(package: Path) -> set[int]:
    """Seeds of the demonstrations that the encoder was trained on, from its package."""
    file = package / "demonstrations.jsonl"
    return {int(json.loads(line)["seed"]) for line in file.read_text().splitlines()} if file.exists() else set()


def fill(package: Path, files: list[Path]) -> None:
    """Write the section "In closed loop" of a package's card anew; the rest stays."""
    card = package / "README.md"
    before, heading, rest = card.read_text().partition(CLOSED_LOOP)
    _, following, after = rest.partition(CANNOT)
    if not heading or not following:
        raise SystemExit(f"{card}: no sections {CLOSED_LOOP.strip()!r} and {CANNOT.strip()!r}")
    card.write_text(before + heading + wrapped(evaluation_text(files)) + following + after)


def main() -> None:
    """Entry point of `python -m training.card`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True, help="the policy package")
    parser.add_argument("--eval", type=Path, action="append", required=True, help="JSON of `./efm eval --json`; several")
    arguments = parser.parse_args()
    missing = [str(file) for file in arguments.eval if not file.exists()]
    if missing:
        raise SystemExit(f"{missing[0]} is not there")
    fill(arguments.package, arguments.eval)


if __name__ == "__main__":
    main()
