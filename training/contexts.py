"""The context of every frame by the encoder of a policy package that is already trained: what heads are trained on.

    python -m training.contexts --cache DIR --encoder models/panda_tabletop_flow

Reads a cache of `training.dataset` and writes `contexts.npy` (float32 [C, N, 256]) and `contexts.json` beside it. Copy 0 of a frame
is with the sentence of its episode, the others are with random ones that ask for the same. `encode.onnx` is run by ONNX Runtime, so a
head learns from what the robot will give it, and states and actions are normalised as the package of the encoder says.

The demonstrations should not be those that the encoder was trained on: there its context is a little better than it will ever
be on the robot.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
import yaml
from torch import Tensor

from training.data import EPSILON, Frames, Normalisation, split_rows
from training.dataset import ROOT
from training.export_encoder import sha256

ENCODER = ROOT / "models/panda_tabletop_flow"
COPIES = 2


@dataclass(frozen=True)
class Package:
    """What heads need of the package whose encoder they stand on."""

    folder: Path
    manifest: dict
    state_norm: Normalisation
    action_norm: Normalisation
    hash: str
    """Of encode.onnx."""

    @staticmethod
    def read(folder: Path) -> Package:
        """Read the manifest; ValueError when the encoder is of another kind than this code knows."""
        manifest = yaml.safe_load((folder / "policy.yaml").read_text())
        norms = []
        for section in (manifest["observation"]["state"], manifest["action"]):
            values = section["normalization"]
            if values["kind"] != "mean_std" or values["eps"] != EPSILON:
                raise ValueError(f"{folder}: normalization {values['kind']} with eps {values['eps']}; wanted mean_std with {EPSILON}")
            norms.append(Normalisation.from_dict(values))
        graph = manifest["graphs"]["encode"]
        if len(graph["outputs"]) != 1:
            raise ValueError(f"{folder}: the encoder gives {graph['outputs']}; wanted one context")
        return Package(folder, manifest, norms[0], norms[1], sha256(folder / graph["file"]))

    def graph(self, name: str) -> Path:
        """File of a graph."""
        return self.folder / self.manifest["graphs"][name]["file"]


def session(file: Path) -> ort.InferenceSession:
    """Open a graph on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def observations(frames: Frames, rows: Tensor, sentence: Tensor, package: Package) -> dict[str, np.ndarray]:
    """Inputs of the encoder for some frames with the sentences of these numbers."""
    batch = frames.batch(rows)
    values = (batch.front, batch.wrist, package.state_norm.forward(frames.states[rows]), frames.text[sentence])
    return {
        name: np.ascontiguousarray(value.numpy())
        for name, value in zip(("image_front", "image_wrist", "state", "text"), values, strict=True)
    }


def compute(cache: Path, package: Package, copies: int = COPIES, seed: int = 0) -> None:
    """Write the contexts, unless the same are there."""
    frames = Frames(cache, seed, 0.05)
    count = len(frames.states)
    wanted = {
        "encoder": package.hash,
        "frames": [count, round(float(frames.states.double().sum()), 3)],
        "copies": copies,
        "seed": seed,
    }
    described = cache / "contexts.json"
    if described.exists() and json.loads(described.read_text()) == wanted:
        print(f"the contexts of {count} frames are there", flush=True)
        return
    encode = session(package.graph("encode"))
    output = package.manifest["graphs"]["encode"]["outputs"]
    generator = torch.Generator().manual_seed(seed)
    key = frames.object * len(frames.meta["goals"]) + frames.goal
    result: np.ndarray | None = None
    start = time.monotonic()
    for copy in range(copies):
        sentence = frames.sentence
        if copy > 0:
            sentence = frames.groups[key, (torch.rand(count, generator=generator) * frames.group_sizes[key]).long()]
        for part in torch.arange(count).split(256):
            inputs = observations(frames, part, sentence[part], package)
            for k, row in enumerate(part.tolist()):
                # The graph's batch size is one.
                context = encode.run(output, {name: value[k : k + 1] for name, value in inputs.items()})[0][0]
                if result is None:
                    result = np.empty((copies, count, len(context)), np.float32)
                result[copy, row] = context
        print(f"contexts: copy {copy + 1} of {copies}, {time.monotonic() - start:.0f} s", flush=True)
    assert result is not None
    np.save(cache / "contexts.npy", result)
    described.write_text(json.dumps(wanted))


class Contexts:
    """Contexts and the chunks that belong to them, without the pictures."""

    def __init__(self, cache: Path, package: Package, seed: int, held_out: float) -> None:
        """Load what `compute` wrote, split by episode as `Frames` does."""
        if json.loads((cache / "contexts.json").read_text())["encoder"] != package.hash:
            raise SystemExit(f"{cache}: the contexts are of another encoder than {package.folder}")
        self.meta = json.loads((cache / "meta.json").read_text())
        self.context = torch.from_numpy(np.load(cache / "contexts.npy"))
        self.metres = torch.from_numpy(np.load(cache / "actions.npy"))
        self.actions = package.action_norm.forward(self.metres)
        episode = np.load(cache / "episode.npy")
        goals = len(self.meta["goals"])
        self.task = torch.from_numpy((np.load(cache / "object.npy").astype(np.int64) * goals + np.load(cache / "goal.npy"))[episode])
        self.train_rows, self.held_rows = split_rows(episode, len(self.meta["episodes"]), seed, held_out)

    def draw(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """One of the contexts of each frame [B, 256]."""
        copy = torch.randint(len(self.context), (len(rows),), generator=generator)
        return self.context[copy, rows]


def main() -> None:
    """Entry point of `python -m training.contexts`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, required=True, help="folder of `python -m training.dataset`")
    parser.add_argument("--encoder", type=Path, default=ENCODER, help="package whose encode.onnx is used")
    parser.add_argument("--copies", type=int, default=COPIES, help="sentences a frame")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    compute(arguments.cache, Package.read(arguments.encoder), arguments.copies, arguments.seed)


if __name__ == "__main__":
    main()
