"""Make a policy package (docs/policy_package.md) from a run of `training.train_head`.

    python -m training.export_head --run DIR --out models/panda_tabletop_chunk [--eval heldout.json --eval novel.json ...]

The package is whole: it has its own copy of the encoder's graph. Chunk regression is one graph, encoder and head joined; diffusion is
`encode.onnx` and `step.onnx`; action tokens are `encode.onnx` and `decode.onnx`. The golden example is a real held-out frame: its
context is what ONNX Runtime makes of the frozen encoder, its actions are those of the head by torch in float32, and ONNX Runtime must
repeat them to 1e-4 or nothing is written.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
import yaml
from torch import Tensor, nn

from training import outgoing, tokens
from training.card import write_head_card
from training.contexts import ENCODER, Package, observations, session
from training.contract import JOINTS, REPLAN_STEPS
from training.data import Frames
from training.diffusion import Sampler, sample
from training.export import OBSERVED, OPSET, PARITY, export_graph, rounded
from training.export_encoder import sha256
from training.heads import ChunkHead, DiffusionHead, HeadSettings, TokenHead, build
from training.tokens import Quantiles

# Tokens that the cache of keys and values is tried over: longer than any chunk.
LONG = 50
DESCRIPTION = "Puts or pushes one of eight objects on a table, as told in a sentence."


@dataclass
class Golden:
    """One chunk by torch, with everything that went in and came out."""

    inputs: dict[str, np.ndarray]
    context: Tensor
    noise: Tensor
    """Flat; empty where nothing is drawn."""
    ids: Tensor
    """Tokens; empty where there are none."""
    chunk: Tensor
    """Normalised actions [1, H, 4]."""


class DecodeGraph(nn.Module):
    """One step of a `TokenHead` with the cache as flat arguments: key and value of every layer."""

    def __init__(self, head: TokenHead) -> None:
        """Wrap a head."""
        super().__init__()
        self.head = head

    def forward(self, ids: Tensor, places: Tensor, context: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """Logits [1, 1, vocab], then the longer cache."""
        logits, present = self.head.step(ids, places, context, list(zip(past[::2], past[1::2], strict=True)))
        return logits, *(tensor for pair in present for tensor in pair)


def cache_names(head: TokenHead, kind: str) -> list[str]:
    """Names of the cache tensors, in order; `kind` is past_key_values or present."""
    return [f"{kind}.{layer}.{part}" for layer in range(len(head.layers)) for part in ("key", "value")]


def export_decode(head: TokenHead, file: Path) -> None:
    """Write the graph of one decoding step; the cache grows along its third axis."""
    graph = DecodeGraph(head).eval()
    s = head.settings
    # Traced with a cache of some length, so that no dimension is taken for a constant.
    past = [torch.zeros(1, s.heads, 3, s.width // s.heads) for _ in range(2 * s.blocks)]
    inputs, outputs = cache_names(head, "past_key_values"), cache_names(head, "present")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph, (torch.zeros(1, 1, dtype=torch.long), torch.full((1, 1), 3), torch.zeros(1, s.context), *past), str(file),
            input_names=["input_ids", "position_ids", "context", *inputs], output_names=["logits", *outputs], opset_version=OPSET,
            dynamic_axes={**{name: {2: "past"} for name in inputs}, **{name: {2: "past_and_one"} for name in outputs}}, dynamo=False,
        )  # fmt: skip
    onnx.checker.check_model(str(file))


def join(encode: Path, head: Path, file: Path) -> None:
    """One graph out of two: the head takes the encoder's context."""
    first, second = onnx.load(encode), onnx.load(head)
    second = onnx.compose.add_prefix(second, "head/", rename_inputs=False, rename_outputs=False)
    # `context` is the output of the one and the input of the other: apart until they are joined.
    for value in second.graph.input:
        value.name = f"head/{value.name}"
    for node in second.graph.node:
        node.input[:] = ["head/context" if name == "context" else name for name in node.input]
    second.ir_version = first.ir_version
    merged = onnx.compose.merge_models(first, second, io_map=[("context", "head/context")])
    merged.producer_name = "embodied_fm"
    onnx.checker.check_model(merged)
    onnx.save(merged, file)


def run_tokens(decode: ort.InferenceSession, head: TokenHead, context: np.ndarray, count: int) -> tuple[list[int], np.ndarray]:
    """Decode with the cache as the runtime does: ids and all logits [count, vocab]."""
    inputs, outputs = cache_names(head, "past_key_values"), cache_names(head, "present")
    s = head.settings
    past = [np.zeros((1, s.heads, 0, s.width // s.heads), np.float32) for _ in inputs]
    said, logits, token = [], [], tokens.FIRST
    for place in range(count):
        feeds = {"input_ids": np.array([[token]]), "position_ids": np.array([[place]]), "context": context}
        found, *past = decode.run(["logits", *outputs], {**feeds, **dict(zip(inputs, past, strict=True))})
        token = int(tokens.best(torch.from_numpy(found[0, 0])))
        said.append(token)
        logits.append(found[0, 0])
    return said, np.stack(logits)


def long_parity(decode: ort.InferenceSession, head: TokenHead, context: Tensor, count: int = LONG) -> float:
    """Largest difference of the logits of a long decoding from those of torch on the whole sequence at once; other ids: infinite."""
    said, logits = run_tokens(decode, head, context.numpy(), count)
    before = torch.tensor([[tokens.FIRST, *said[:-1]]])
    with torch.no_grad():
        whole = head(before, context)[0]
    if tokens.best(whole).tolist() != said:
        return float("inf")
    return float((whole - torch.from_numpy(logits)).abs().max())


def sampled(head: DiffusionHead, sampler: Sampler, context: Tensor) -> tuple[Tensor, Tensor]:
    """Flat noise as in golden.json, and the chunk by torch."""
    s = head.settings
    drawn = np.random.default_rng(7).standard_normal((sampler.draws(), 1, s.horizon, s.action)).astype(np.float32)
    drawn[0] *= np.float32(sampler.noise_scale)
    noise = torch.from_numpy(drawn)
    return noise.flatten(), head.sample(sampler, context, noise)


def golden_run(head: nn.Module, frames: Frames, row: Tensor, package: Package, sampler: Sampler) -> Golden:
    """One chunk of a frame."""
    inputs = observations(frames, row, frames.sentence[row], package)
    outputs = package.manifest["graphs"]["encode"]["outputs"]
    context = torch.from_numpy(session(package.graph("encode")).run(outputs, inputs)[0])
    noise, ids = torch.zeros(0), torch.zeros(0, dtype=torch.long)
    with torch.no_grad():
        if isinstance(head, ChunkHead):
            chunk = head(context)
        elif isinstance(head, DiffusionHead):
            noise, chunk = sampled(head, sampler, context)
        else:
            # The whole sequence at once, again and again: apart from the cache that the graph is checked for.
            sequence = torch.tensor([[tokens.FIRST]])
            for _ in range(head.count()):
                sequence = torch.cat([sequence, tokens.best(head(sequence, context)[:, -1:])], dim=1)
            ids = sequence[0, 1:]
            chunk = tokens.decode(ids).view(1, head.settings.horizon, head.settings.action)
    return Golden(inputs, context, noise, ids, chunk)


def run_graphs(folder: Path, head: nn.Module, golden: Golden, sampler: Sampler) -> tuple[np.ndarray | None, list[int], Tensor]:
    """The same chunk by ONNX Runtime: (context, ids, normalised chunk)."""
    if isinstance(head, ChunkHead):
        return None, [], torch.from_numpy(session(folder / "policy.onnx").run(["actions"], golden.inputs)[0])
    context = session(folder / "encode.onnx").run(["context"], golden.inputs)[0]
    if isinstance(head, DiffusionHead):
        step = session(folder / "step.onnx")
        noise = golden.noise.view(sampler.draws(), *golden.chunk.shape)

        def network(x: Tensor, t: Tensor) -> Tensor:
            return torch.from_numpy(step.run(["eps"], {"x": x.numpy(), "t": t.numpy(), "context": context})[0])

        return context, [], sample(sampler, network, noise)
    said, _ = run_tokens(session(folder / "decode.onnx"), head, context, head.count())
    values = tokens.decode(torch.tensor(said)).view(golden.chunk.shape)
    return context, said, values


def write_graphs(folder: Path, head: nn.Module, golden: Golden, package: Package, sampler: Sampler) -> tuple[float, float]:
    """Write the graphs and repeat the golden run with them: (largest difference from torch, milliseconds a chunk).

    The time includes opening nothing: graphs are opened once, the fastest of some runs counts.
    """
    head = head.eval()
    if isinstance(head, ChunkHead):
        with tempfile.TemporaryDirectory() as scratch:
            part = Path(scratch) / "head.onnx"
            export_graph(head, (golden.context,), ["context"], "actions", part)
            join(package.graph("encode"), part, folder / "policy.onnx")
    else:
        (folder / "encode.onnx").write_bytes(package.graph("encode").read_bytes())
        if isinstance(head, DiffusionHead):
            x = torch.zeros_like(golden.chunk)
            export_graph(head, (x, torch.ones(1), golden.context), ["x", "t", "context"], "eps", folder / "step.onnx")
        else:
            export_decode(head, folder / "decode.onnx")
    context, said, chunk = run_graphs(folder, head, golden, sampler)
    parity = float((chunk - golden.chunk).abs().max())
    if context is not None:
        parity = max(parity, float(np.abs(context - golden.context.numpy()).max()))
    if said != golden.ids.tolist():
        parity = float("inf")
    if isinstance(head, TokenHead):
        parity = max(parity, long_parity(session(folder / "decode.onnx"), head, golden.context))
    return parity, latency(folder, head, golden, sampler)


def latency(folder: Path, head: nn.Module, golden: Golden, sampler: Sampler) -> float:
    """Milliseconds a chunk on one thread: the fastest of some runs of all graph calls, with what lies between them left out."""

    def fastest(file: str, outputs: list[str] | None, feeds: dict[str, np.ndarray]) -> float:
        graph, times = session(folder / file), []
        for _ in range(20):
            start = time.perf_counter()
            graph.run(outputs, feeds)
            times.append(1000.0 * (time.perf_counter() - start))
        return min(times)

    if isinstance(head, ChunkHead):
        return fastest("policy.onnx", None, golden.inputs)
    encode = fastest("encode.onnx", None, golden.inputs)
    context = golden.context.numpy()
    if isinstance(head, DiffusionHead):
        feeds = {"x": golden.chunk.numpy(), "t": np.ones(1, np.float32), "context": context}
        return encode + sampler.steps * fastest("step.onnx", None, feeds)
    decode, times = session(folder / "decode.onnx"), []
    for _ in range(5):
        start = time.perf_counter()
        run_tokens(decode, head, context, head.count())
        times.append(1000.0 * (time.perf_counter() - start))
    return encode + min(times)


def runner(head: nn.Module, sampler: Sampler) -> dict:
    """The section `runner`."""
    if isinstance(head, ChunkHead):
        return {"type": "single_pass"}
    if isinstance(head, DiffusionHead):
        return sampler.as_dict()
    names = zip(cache_names(head, "past_key_values"), cache_names(head, "present"), strict=True)
    return {
        "type": "action_tokens",
        "tokens": head.count(),
        "vocab": tokens.VOCAB,
        "bins": tokens.BINS,
        "centres": tokens.CENTRES,
        "first_token": tokens.FIRST,
        "cache": [{"input": past, "output": present} for past, present in names],
    }


def graphs(head: nn.Module, folder: Path) -> dict:
    """The section `graphs`."""

    def graph(file: str, inputs: list[str], outputs: list[str]) -> dict:
        return {"file": file, "sha256": sha256(folder / file), "inputs": inputs, "outputs": outputs}

    if isinstance(head, ChunkHead):
        return {"policy": graph("policy.onnx", OBSERVED, ["actions"])}
    encode = graph("encode.onnx", OBSERVED, ["context"])
    if isinstance(head, DiffusionHead):
        return {"encode": encode, "step": graph("step.onnx", ["x", "t", "context"], ["eps"])}
    inputs = ["input_ids", "position_ids", "context", *cache_names(head, "past_key_values")]
    return {"encode": encode, "decode": graph("decode.onnx", inputs, ["logits", *cache_names(head, "present")])}


def manifest(arguments: argparse.Namespace, head: nn.Module, package: Package, sampler: Sampler, info: dict, training: dict) -> dict:
    """The content of policy.yaml: that of the encoder's package but for the head."""
    document = copy.deepcopy(package.manifest)
    document["policy"] = {
        "name": arguments.name,
        "version": arguments.version,
        "family": head.settings.family,
        "license": package.manifest["policy"]["license"],
        "description": DESCRIPTION,
    }
    document["action"]["horizon"] = head.settings.horizon
    if info["quantiles"]:
        document["action"]["normalization"] = info["quantiles"]
    document["runner"] = runner(head, sampler)
    document["graphs"] = graphs(head, arguments.out)
    document["execution"] = {"replan_steps": arguments.replan_steps}
    document["golden"] = {"file": "golden.json", "sha256": sha256(arguments.out / "golden.json")}
    document["training"] = training
    return document


def export(arguments: argparse.Namespace) -> None:
    """Write the package, or raise when the graphs do not repeat torch."""
    run: Path = arguments.run
    torch.set_num_threads(1)
    info = json.loads((run / "run.json").read_text())
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    head = build(HeadSettings(**info["settings"]))
    head.load_state_dict(saved["average"])
    head.eval()
    package = Package.read(arguments.encoder)
    if package.hash != info["encoder_hash"]:
        raise SystemExit(f"{arguments.encoder}: its encoder is not the one that {run} was trained on")
    arguments.name = arguments.name or arguments.out.name
    sampler = Sampler(
        scheduler=arguments.scheduler, train_steps=head.settings.train_steps,
        steps=arguments.sampler_steps or head.settings.train_steps, noise_scale=arguments.noise_scale,
    )  # fmt: skip
    frames = Frames(arguments.cache or Path(info["cache"]), info["seed"], info["held_out"])
    # A frame in the middle of a held-out episode, where the hand is at work.
    rows = np.flatnonzero(frames.episode == frames.episode[frames.held_rows[0]])
    row = torch.tensor([rows[len(rows) // 3]])
    golden = golden_run(head, frames, row, package, sampler)
    norm = Quantiles.from_dict(info["quantiles"]) if info["quantiles"] else package.action_norm
    out: Path = arguments.out
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parity, milliseconds = write_graphs(folder, head, golden, package, sampler)
        if not parity <= PARITY:
            raise SystemExit(f"ONNX Runtime differs from torch by {parity:.2e} on the golden frame; at most {PARITY:.0e} is allowed")
        out.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.onnx"):
            (out / file.name).write_bytes(file.read_bytes())
    document = {
        "sentence": frames.meta["sentences"][int(frames.sentence[row])],
        "text": rounded(golden.inputs["text"]),
        "image_front": frames.front[row].reshape(-1).tolist(),
        "image_wrist": frames.wrist[row].reshape(-1).tolist(),
        "joints": [float(v) for v in frames.states[row][0, : len(JOINTS)]],
        "noise": rounded(golden.noise),
        # With one graph the context is inside of it.
        "context": [] if isinstance(head, ChunkHead) else rounded(golden.context),
        "actions": rounded(norm.inverse(golden.chunk)),
    }
    if isinstance(head, TokenHead):
        document["tokens"] = golden.ids.tolist()
    outgoing.add(document, frames.start_posture(), arguments.replan_steps)
    (out / "golden.json").write_text(json.dumps(document) + "\n")
    size = sum(file.stat().st_size for file in out.glob("*.onnx")) / 1e6
    measured = {"parity": parity, "latency": milliseconds, "ort": ort.__version__, "size": size}
    training = write_head_card(arguments, info, frames, sampler, measured)
    text = yaml.safe_dump(manifest(arguments, head, package, sampler, info, training), sort_keys=False, width=120)
    (out / "policy.yaml").write_text(text)
    print(f"{out}: parity {parity:.1e}, {milliseconds:.2f} ms a chunk, {size:.1f} MB")


def parser() -> argparse.ArgumentParser:
    """Options of `python -m training.export_head`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of `python -m training.train_head`")
    parser.add_argument("--out", type=Path, required=True, help="the package, such as models/panda_tabletop_chunk")
    parser.add_argument("--cache", type=Path, default=None, help="cache of the run, where it has moved")
    parser.add_argument("--encoder", type=Path, default=ENCODER, help="package whose encode.onnx the run was trained on")
    parser.add_argument("--eval", type=Path, action="append", default=[], help="JSON of `./efm eval`, for the model card; several")
    parser.add_argument("--remarks", default="", help="how the run really went, for the model card")
    parser.add_argument("--name", default="", help="of the policy (default: that of the folder)")
    parser.add_argument("--version", default="0.1.0")
    parser.add_argument("--replan-steps", type=int, default=REPLAN_STEPS)
    parser.add_argument("--scheduler", choices=("ddpm", "ddim"), default="ddpm", help="diffusion: how it is sampled")
    parser.add_argument("--sampler-steps", type=int, default=None, help="diffusion: steps of ddim (default: all)")
    parser.add_argument("--noise-scale", type=float, default=1.0, help="diffusion: of the sample at the start")
    return parser


def main() -> None:
    """Entry point of `python -m training.export_head`."""
    export(parser().parse_args())


if __name__ == "__main__":
    main()
