"""Make a policy package (docs/policy_package.md) from a training run.

    python -m training.export --run DIR --out models/panda_tabletop_flow [--eval heldout.json --eval novel.json ...]

Takes the averaged weights; writes `encode.onnx`, `step.onnx`, `policy.yaml`, `golden.json` and the model card `README.md`.
Normalisation stays outside the graphs, in `policy.yaml`. The golden example is a real held-out frame; its numbers are those of
torch in float32, and ONNX Runtime must repeat them to 1e-4 or nothing is written.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import yaml
from torch import Tensor, nn

from training import outgoing
from training.card import write_card
from training.contract import ACTION_NAMES, BASE, CAMERAS, JOINTS, REPLAN_STEPS, ROOT, STEP_NS, TIP
from training.data import EPSILON, IMAGE_MEAN, IMAGE_STD, Frames, Normalisation
from training.export_encoder import sha256
from training.model import Policy, Settings
from training.vocabulary import VOCABULARY

STEPS = 10
OPSET = 17
PARITY = 1e-4
OBSERVED = ["image_front", "image_wrist", "state", "text"]


class EncodeGraph(nn.Module):
    """The encoder without its auxiliary output."""

    def __init__(self, policy: Policy) -> None:
        """Wrap a policy."""
        super().__init__()
        self.encoder = policy.encoder

    def forward(self, image_front: Tensor, image_wrist: Tensor, state: Tensor, text: Tensor) -> Tensor:
        """Context [1, 256]."""
        return self.encoder(image_front, image_wrist, state, text)[0]


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
            "description": "Puts or pushes one of eight objects on a table, as told in a sentence.",
        },
        "robot": {"joints": JOINTS, "units": ["rad"] * 7 + ["m"], "base_link": BASE, "tip_link": TIP},
        "observation": {
            "images": [
                {
                    "name": camera,
                    "width": width,
                    "height": height,
                    "encoding": "rgb8",
                    "resize": "stretch",
                    "layout": "NCHW",
                    "mean": [IMAGE_MEAN] * 3,
                    "std": [IMAGE_STD] * 3,
                    "tensor": f"image_{camera}",
                }
                for camera, (height, width) in CAMERAS.items()
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
                "inputs": OBSERVED,
                "outputs": ["context"],
            },
            "step": {"file": "step.onnx", "sha256": hashes["step.onnx"], "inputs": ["x", "t", "context"], "outputs": ["v"]},
        },
        "execution": {"replan_steps": arguments.replan_steps},
        "golden": {"file": "golden.json", "sha256": hashes["golden.json"]},
        "vocabulary": VOCABULARY,
        "training": training,
    }


def golden_run(policy: Policy, info: dict, frames: Frames, row: Tensor, noise_scale: float) -> dict:
    """One chunk by torch in float32, with everything that went in and came out."""
    state_norm, action_norm = (Normalisation.from_dict(info[key]) for key in ("state_norm", "action_norm"))
    batch = frames.batch(row)
    state = state_norm.forward(frames.states[row])
    drawn = noise_scale * np.random.default_rng(7).standard_normal((1, *batch.action.shape[1:]))
    noise = torch.from_numpy(drawn.astype(np.float32))
    inputs = {"image_front": batch.front.contiguous(), "image_wrist": batch.wrist.contiguous(), "state": state, "text": batch.text}
    with torch.no_grad():
        context, _ = policy.encoder(*inputs.values())
        chunk = policy.sample(context, noise, STEPS)
    return {"inputs": inputs, "noise": noise, "context": context, "chunk": chunk, "actions": action_norm.inverse(chunk)}


def run_graphs(folder: Path, golden: dict) -> tuple[np.ndarray, np.ndarray, float]:
    """The same chunk by ONNX Runtime: (context, normalised chunk, milliseconds)."""
    encode, step = session(folder / "encode.onnx"), session(folder / "step.onnx")
    feeds = {name: value.numpy() for name, value in golden["inputs"].items()}
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


def write_graphs(policy: Policy, golden: dict, folder: Path) -> tuple[float, float]:
    """Write both graphs and repeat the golden run with them: (largest difference from torch, milliseconds a chunk)."""
    export_graph(EncodeGraph(policy), tuple(golden["inputs"].values()), OBSERVED, "context", folder / "encode.onnx")
    export_graph(policy.flow, (golden["noise"], torch.ones(1), golden["context"]), ["x", "t", "context"], "v", folder / "step.onnx")
    context, chunk, latency = run_graphs(folder, golden)
    parity = max(float(np.abs(context - golden["context"].numpy()).max()), float(np.abs(chunk - golden["chunk"].numpy()).max()))
    return parity, latency


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
        parity, latency = write_graphs(policy, golden, folder)
        if not parity <= PARITY:
            raise SystemExit(f"ONNX Runtime differs from torch by {parity:.2e} on the golden frame; at most {PARITY:.0e} is allowed")
        out: Path = arguments.out
        out.mkdir(parents=True, exist_ok=True)
        for name in ("encode.onnx", "step.onnx"):
            (out / name).write_bytes((folder / name).read_bytes())

    document = {
        "sentence": frames.meta["sentences"][int(frames.sentence[row])],
        "text": rounded(golden["inputs"]["text"]),
        "image_front": frames.front[row].reshape(-1).tolist(),
        "image_wrist": frames.wrist[row].reshape(-1).tolist(),
        "joints": [float(v) for v in frames.states[row][0, : len(JOINTS)]],
        "noise": rounded(golden["noise"]),
        "context": rounded(golden["context"]),
        "actions": rounded(golden["actions"]),
    }
    outgoing.add(document, info["start_posture"], arguments.replan_steps)
    (out / "golden.json").write_text(json.dumps(document) + "\n")
    hashes = {name: sha256(out / name) for name in ("encode.onnx", "step.onnx", "golden.json")}
    size = sum((out / name).stat().st_size for name in ("encode.onnx", "step.onnx", "golden.json")) / 1e6
    graphs = {"parity": parity, "latency": latency, "ort": ort.__version__, "size": size}
    training = write_card(out, run, info, frames, arguments, encoder["name"], graphs)
    text = yaml.safe_dump(manifest(arguments, info, hashes, encoder, training), sort_keys=False, width=120)
    (out / "policy.yaml").write_text(text)
    print(f"{out}: parity {parity:.1e}, {latency:.2f} ms a chunk, {size:.1f} MB")


def main() -> None:
    """Entry point of `python -m training.export`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of `python -m training.train`")
    parser.add_argument("--out", type=Path, default=ROOT / "models/panda_tabletop_flow")
    parser.add_argument("--cache", type=Path, default=None, help="cache of the run, where it has moved")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models/encoders/all-minilm-l6-v2")
    parser.add_argument("--eval", type=Path, action="append", default=[], help="JSON of `./efm eval`, for the model card; several")
    parser.add_argument("--remarks", default="", help="how the run really went, for the model card")
    parser.add_argument("--name", default="panda_tabletop_flow")
    parser.add_argument("--version", default="0.2.0")
    parser.add_argument("--replan-steps", type=int, default=REPLAN_STEPS)
    parser.add_argument("--noise-scale", type=float, default=0.0, help="of the sample at t = 1; 0: deterministic, and more accurate")
    export(parser.parse_args())


if __name__ == "__main__":
    main()
