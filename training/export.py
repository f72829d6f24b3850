"""Make a policy package (docs/policy_package.md) from a training run.

    python -m training.export --run DIR --out models/panda_tabletop_flow [--eval eval.json]

Takes the averaged weights; writes `encode.onnx`, `step.onnx`, `policy.yaml`, `golden.json` and the model card `README.md`.
Normalisation stays outside the graphs, in `policy.yaml`. The golden example is a real held-out frame; its numbers are those of
torch in float32, and ONNX Runtime must repeat them to 1e-4 or nothing is written.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import yaml
from torch import Tensor, nn

from training.data import EPSILON, IMAGE_MEAN, IMAGE_STD, Frames, Normalisation
from training.dataset import ACTION_NAMES, BASE, JOINTS, ROOT, STEP_NS, TIP
from training.export_encoder import sha256
from training.model import Policy, Settings

STEPS = 10
OPSET = 17
PARITY = 1e-4


class EncodeGraph(nn.Module):
    """The encoder without its auxiliary output."""

    def __init__(self, policy: Policy) -> None:
        """Wrap a policy."""
        super().__init__()
        self.encoder = policy.encoder

    def forward(self, image_front: Tensor, state: Tensor, text: Tensor) -> Tensor:
        """Context [1, 256]."""
        return self.encoder(image_front, state, text)[0]


def export_graph(module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], output: str, file: Path) -> None:
    """Write one graph; batch size one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), inputs, str(file), input_names=names, output_names=[output], opset_version=OPSET, dynamo=False)
    onnx.checker.check_model(str(file))


def session(file: Path) -> ort.InferenceSession:
    """Open a graph on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def rounded(values: Tensor | np.ndarray) -> list[float]:
    """Flat list of float32 values, exact when read back."""
    return [float(np.float32(v)) for v in np.asarray(values, np.float32).reshape(-1)]


def log_rows(run: Path) -> list[dict[str, float]]:
    """Rows of the run's log."""
    with (run / "log.csv").open() as stream:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(stream)]


CARD = """# {name} {version}

A flow-matching policy for a Panda arm over a table: one camera image, the measured joints and a sentence in, 1.6 s of tool
positions and finger width out. {parameters:.2f}M parameters; the sentence encoder (`{encoder}`, pretrained, frozen, shared) not
counted. It is small on purpose: it shows that the mechanism runs, and reproduces no published system's results.

## Tasks

Four objects on a table (red cube, green cylinder, blue brick, yellow puck); put one of them in the left or right zone, or push one
forward to the far line. {sentence_count} distinct sentences from written-out templates were seen in training.

## Data

{episodes} demonstrations of a scripted expert in the MuJoCo simulator of this project ({kinds}), {frames} frames at 10 Hz, recorded
as rosbag2 MCAP with the graph's own topics (`efm-demonstrations`). Only attempts that succeeded were kept. In part of them the tool
was pushed off the expert's path, so that recovery is shown too. {held_frames} frames of {held_percent:.0f} % of the episodes were held
out for the figures below. No real robot, no real image.

**Auxiliary labels.** While training, a side branch also had to say where the named object and its target are; those labels are the
simulator's truth. At run time nothing but image, joints and sentence is used.

## Training

{minutes:.0f} minutes ({steps} steps of {batch} frames, {samples:.1f} passes over the data) on {threads} cores of a shared CPU, bfloat16,
no GPU; AdamW {learning_rate:g} with a cosine, weights averaged ({ema}). Flow matching with t ~ Beta(1.5, 1); the network predicts the
clean chunk and the graph returns the velocity (x - a) / t. At run time the flow starts from noise of scale {noise_scale:g} (0: always
the same chunk for the same observation, which measured better). `./efm train` repeats it.

| on held-out episodes | |
|---|---|
| named object, error of the auxiliary guess | mean {object_mm:.1f} mm, median {object_median_mm:.1f} mm |
| target, error of the auxiliary guess | {target_mm:.1f} mm |
| tool position against the expert's plan, rms after 0.1 / 0.4 / 1.6 s | {action_mm_1:.1f} / {action_mm_4:.1f} / {action_mm_16:.1f} mm |
| finger position | {gripper_mm:.2f} mm |

![training](curve.png)

## In closed loop

{evaluation}

## What it cannot do

- Anything but these four objects, these places, this camera pose, this arm and this table: it has seen nothing else.
- Several steps in one sentence, objects by relation ("the one behind the cube"), colours or words that are none of the tasks'. For
  a sentence that asks for something else it does *something*: it has no way to refuse.
- Turn the hand: the tool points straight down at a fixed yaw.
- Know that it failed. It is no safety function; limits are kept by what executes its chunks.

Licence: Apache-2.0. Parity of the graphs with torch on the golden example: {parity:.1e}. One chunk takes {latency:.1f} ms on one core
(ONNX Runtime {ort}), {size:.1f} MB on disk.
"""


def evaluation_text(file: Path | None) -> str:
    """Rates from the report of `./efm eval --json`."""
    if file is None or not file.exists():
        return "Not evaluated yet: `./efm eval` fills this in."
    report = json.loads(file.read_text())
    episodes, successes = int(report["episodes"]), int(report["successes"])
    low, high = wilson(successes, episodes)
    return (
        f"{successes} of {episodes} in-process episodes ({100 * successes / episodes:.1f} %, 95 % Wilson interval "
        f"{100 * low:.1f} to {100 * high:.1f} %) with seeds never trained on, `./efm eval --episodes {episodes} "
        f"--seed {report.get('seed', '?')}`. Success: released, at rest for 0.5 s, within 4 cm of the target, other objects moved "
        "less than 3 cm."
    )


def wilson(successes: int, episodes: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a rate."""
    rate, square = successes / episodes, z * z / episodes
    middle = (rate + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(rate * (1 - rate) / episodes + square / (4 * episodes))
    return middle - half, middle + half


def manifest(arguments: argparse.Namespace, info: dict, hashes: dict[str, str], encoder: dict, training: dict) -> dict:
    """The content of policy.yaml."""
    state, action = info["state_norm"], info["action_norm"]
    return {
        "schema": "policy_package/1.0",
        "policy": {
            "name": arguments.name,
            "version": arguments.version,
            "family": "flow_matching",
            "license": "Apache-2.0",
            "description": "Puts or pushes one of four objects on a table, as told in a sentence.",
        },
        "robot": {"joints": JOINTS, "units": ["rad"] * 7 + ["m"], "base_link": BASE, "tip_link": TIP},
        "observation": {
            "images": [
                {
                    "name": "front",
                    "width": info["settings"]["width"],
                    "height": info["settings"]["height"],
                    "encoding": "rgb8",
                    "resize": "stretch",
                    "layout": "NCHW",
                    "mean": [IMAGE_MEAN] * 3,
                    "std": [IMAGE_STD] * 3,
                    "tensor": "image_front",
                }
            ],
            "state": {
                "tensor": "state",
                "end_effector": ["x", "y", "z"],
                "normalization": {"kind": "mean_std", "mean": state["mean"], "std": state["std"], "eps": EPSILON},
            },
            "language": {
                "tensor": "text",
                "encoder": {"name": encoder["name"], "sha256": encoder["model"]["sha256"], "dim": encoder["dim"]},
            },
        },
        "action": {
            "space": "end_effector",
            "names": ACTION_NAMES,
            "units": ["m"] * 4,
            "reference": ["relative"] * 3 + ["absolute"],
            "orientation": {"roll": math.pi, "pitch": 0.0, "yaw": 0.0},
            "gripper_joint": JOINTS[-1],
            "rest_posture": info["start_posture"],
            "horizon": info["settings"]["horizon"],
            "step": STEP_NS / 1e9,
            "normalization": {"kind": "mean_std", "mean": action["mean"], "std": action["std"], "eps": EPSILON},
        },
        "runner": {"type": "flow_matching", "steps": STEPS, "noise_scale": arguments.noise_scale},
        "graphs": {
            "encode": {
                "file": "encode.onnx",
                "sha256": hashes["encode.onnx"],
                "inputs": ["image_front", "state", "text"],
                "outputs": ["context"],
            },
            "step": {"file": "step.onnx", "sha256": hashes["step.onnx"], "inputs": ["x", "t", "context"], "outputs": ["v"]},
        },
        "execution": {"replan_steps": arguments.replan_steps},
        "golden": {"file": "golden.json", "sha256": hashes["golden.json"]},
        "training": training,
    }


def golden_run(policy: Policy, info: dict, frames: Frames, row: Tensor, noise_scale: float) -> dict:
    """One chunk by torch in float32, with everything that went in and came out."""
    state_norm, action_norm = (Normalisation.from_dict(info[key]) for key in ("state_norm", "action_norm"))
    batch = frames.batch(row)
    state = state_norm.forward(frames.states[row])
    drawn = noise_scale * np.random.default_rng(7).standard_normal((1, *batch.action.shape[1:]))
    noise = torch.from_numpy(drawn.astype(np.float32))
    with torch.no_grad():
        context, _ = policy.encoder(batch.image.contiguous(), state, batch.text)
        chunk = policy.sample(context, noise, STEPS)
    return {
        "image": batch.image.contiguous(),
        "state": state,
        "text": batch.text,
        "noise": noise,
        "context": context,
        "chunk": chunk,
        "actions": action_norm.inverse(chunk),
    }


def run_graphs(folder: Path, golden: dict) -> tuple[np.ndarray, np.ndarray, float]:
    """The same chunk by ONNX Runtime: (context, normalised chunk, milliseconds)."""
    import time

    encode, step = session(folder / "encode.onnx"), session(folder / "step.onnx")
    feeds = {"image_front": golden["image"].numpy(), "state": golden["state"].numpy(), "text": golden["text"].numpy()}
    times = []
    for _ in range(10):
        start = time.perf_counter()
        context = encode.run(["context"], feeds)[0]
        x = golden["noise"].numpy()
        for k in range(STEPS):
            t = np.array([1.0 - k / STEPS], np.float32)
            x = x - step.run(["v"], {"x": x, "t": t, "context": context})[0] / STEPS
        times.append(1000.0 * (time.perf_counter() - start))
    return context, x, min(times)


def export(arguments: argparse.Namespace) -> None:
    """Write the package, or raise when the graphs do not repeat torch."""
    run: Path = arguments.run
    info = json.loads((run / "run.json").read_text())
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    policy = Policy(Settings(**info["settings"]))
    policy.load_state_dict(saved["average"])
    policy.eval()
    frames = Frames(arguments.cache or Path(info["cache"]), info["seed"], info["held_out"])
    encoder = yaml.safe_load((arguments.encoder / "encoder.yaml").read_text())
    # A frame in the middle of a held-out episode, where the hand is at work.
    episode = frames.episode[frames.held_rows[0]]
    rows = np.flatnonzero(frames.episode == episode)
    row = torch.tensor([rows[len(rows) // 3]])
    golden = golden_run(policy, info, frames, row, arguments.noise_scale)

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        export_graph(
            EncodeGraph(policy),
            (golden["image"], golden["state"], golden["text"]),
            ["image_front", "state", "text"],
            "context",
            folder / "encode.onnx",
        )
        export_graph(policy.flow, (golden["noise"], torch.ones(1), golden["context"]), ["x", "t", "context"], "v", folder / "step.onnx")
        context, chunk, latency = run_graphs(folder, golden)
        parity = max(float(np.abs(context - golden["context"].numpy()).max()), float(np.abs(chunk - golden["chunk"].numpy()).max()))
        if not parity <= PARITY:
            raise SystemExit(f"ONNX Runtime differs from torch by {parity:.2e} on the golden frame; at most {PARITY:.0e} is allowed")
        out: Path = arguments.out
        out.mkdir(parents=True, exist_ok=True)
        for name in ("encode.onnx", "step.onnx"):
            (out / name).write_bytes((folder / name).read_bytes())

    document = {
        "sentence": frames.meta["sentences"][int(frames.sentence[row])],
        "text": rounded(golden["text"]),
        "image_front": frames.images[row].reshape(-1).tolist(),
        "joints": [float(v) for v in frames.states[row][0, : len(JOINTS)]],
        "noise": rounded(golden["noise"]),
        "context": rounded(golden["context"]),
        "actions": rounded(golden["actions"]),
    }
    (out / "golden.json").write_text(json.dumps(document) + "\n")
    (out / "curve.png").write_bytes((run / "curve.png").read_bytes())
    hashes = {name: sha256(out / name) for name in ("encode.onnx", "step.onnx", "golden.json")}

    last = log_rows(run)[-1]
    held_episodes = len(set(frames.episode[frames.held_rows].tolist()))
    training = {
        "data": f"{info['episodes']} simulated demonstrations of a scripted expert, {len(frames.images)} frames",
        "auxiliary_labels": "positions of the named object and of the target, from the simulator, in training only",
        "compute": f"{last['seconds'] / 60:.0f} minutes on {info['threads']} CPU cores",
        "object_error_mm": round(last["object_mm"], 2),
        "action_error_mm": {f"{0.1 * k:.1f} s": round(last[f"action_mm_{k}"], 2) for k in (1, 4, 16)},
    }
    text = yaml.safe_dump(manifest(arguments, info, hashes, encoder, training), sort_keys=False, width=120)
    (out / "policy.yaml").write_text(text)
    kinds = Counter(frames.meta["kinds"])
    size = sum((out / name).stat().st_size for name in ("encode.onnx", "step.onnx", "golden.json")) / 1e6
    card = CARD.format(
        name=arguments.name,
        version=arguments.version,
        parameters=info["parameters"] / 1e6,
        encoder=encoder["name"],
        sentence_count=len(frames.meta["sentences"]),
        episodes=info["episodes"],
        kinds=", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())),
        frames=len(frames.images),
        held_frames=len(frames.held_rows),
        held_percent=100.0 * held_episodes / info["episodes"],
        minutes=last["seconds"] / 60.0,
        steps=int(last["step"]),
        batch=info["batch"],
        samples=last["samples"] / info["train_frames"],
        threads=info["threads"],
        learning_rate=info["learning_rate"],
        ema=info["ema"],
        noise_scale=arguments.noise_scale,
        evaluation=evaluation_text(arguments.eval),
        parity=parity,
        latency=latency,
        ort=ort.__version__,
        size=size,
        **{key: last[key] for key in last if "_mm" in key},
    )
    (out / "README.md").write_text(card)
    print(f"{out}: parity {parity:.1e}, {latency:.2f} ms a chunk, {size:.1f} MB")


def main() -> None:
    """Entry point of `python -m training.export`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of `python -m training.train`")
    parser.add_argument("--out", type=Path, default=ROOT / "models/panda_tabletop_flow")
    parser.add_argument("--cache", type=Path, default=None, help="cache of the run, where it has moved")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models/encoders/all-minilm-l6-v2")
    parser.add_argument("--eval", type=Path, default=None, help="JSON of `./efm eval`, for the model card")
    parser.add_argument("--name", default="panda_tabletop_flow")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--replan-steps", type=int, default=2)
    parser.add_argument("--noise-scale", type=float, default=0.0, help="of the sample at t = 1; 0: deterministic, and more accurate")
    export(parser.parse_args())


if __name__ == "__main__":
    main()
