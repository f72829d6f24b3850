#!/usr/bin/env python3
"""Writes the tiny policy packages of the tests into tests/data. Needs onnx, onnxruntime, numpy, Pillow, PyYAML.

They are not trained and mean nothing; they are small graphs whose answers the tests can work out by hand:

* robot: a gantry (three slides and a finger), so that the tool centre is the three slides' positions plus [0, 0, 0.1].
* encoder "tiny": a word is looked up in a table, the mean over the words is normalised to length one.
* "flow" (end-effector, 3 rows, 4 columns): context a = [0.1 * tool centre (normalised state), text[0] + mean(image)], and
  v = (x - a) / t + 0.5 in the first three columns, v = x - a in the last. Euler's method with N steps then ends at a - 0.5 / N
  whatever the noise was, and at a + (1 - 1/N)^N * (noise - a).
* "single" (joint positions, 2 rows, 4 columns): row k = (k + 1) * 0.1 * joints (normalised state) + text[1].
* "ddpm" and "ddim" (end-effector, 3 rows, 4 columns): the same context a; the graph says 0.5 x - 0.25 a + 0.01 t. Their golden chunks are computed here
  from the published formulas, in double precision.
* "tokens" (end-effector, 13 rows, 4 columns: 52 tokens): h = sin(sum of the embeddings of all tokens so far + a + 0.05 position), logits h W. The golden tokens
  are computed here over the whole sequence each time, without a cache.
* "recurrent" (joint positions, 2 rows, 4 columns): h' = 0.5 h + joints (normalised state), n' = n + 1, row k = (k + 1) * 0.1 * h' + 0.01 n + 0.05 first + text[1].
  Its golden chunks, four from an episode's beginning, are computed here in double precision.
* odd/: variants with one thing wrong each.

The chunks as they go out are worked out here from the gantry's lengths, the pictures by Pillow.
"""
import hashlib
import json
import pathlib
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import yaml
from onnx import TensorProto, helper, numpy_helper

import make_normalization_vectors
import make_outgoing_vectors

sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))
from training import pictures  # noqa: E402

DATA = pathlib.Path(__file__).parent / "data"
F, I = TensorProto.FLOAT, TensorProto.INT64
WORDS = ["[UNK]", "[CLS]", "[SEP]", "pick", "the", "red", "cube", "push", "blue", "ball"]
JOINTS = ["slide_x", "slide_y", "slide_z", "finger"]


def const(name, value, dtype=np.float32):
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def save(path, nodes, inputs, outputs, constants):
    graph = helper.make_graph(nodes, path.stem, [helper.make_tensor_value_info(*i) for i in inputs],
                              [helper.make_tensor_value_info(*o) for o in outputs], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="fixtures")
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(path, **inputs):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)


def encoder():
    folder = DATA / "encoders" / "tiny"
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=F),
        helper.make_node("Unsqueeze", ["mask", "two"], ["mask3"]),
        helper.make_node("Mul", ["words", "mask3"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "one"], ["sum"], keepdims=0),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=-1, p=2),
    ]
    save(folder / "model.onnx", nodes, [("input_ids", I, [1, "tokens"]), ("attention_mask", I, [1, "tokens"])],
         [("embedding", F, [1, 4])],
         [const("table", rng.normal(size=(len(WORDS), 4))), const("one", [1], np.int64), const("two", [2], np.int64)])
    special = lambda token, i: {"id": i, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
                                "normalized": False, "special": True}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [special(t, i) for i, t in enumerate(WORDS[:3])],
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {t: {"id": t, "ids": [WORDS.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}},
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {w: i for i, w in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1) + "\n")
    sentence = "pick the red cube"
    ids = [1] + [WORDS.index(w) for w in sentence.split()] + [2]
    embedding = run(folder / "model.onnx", input_ids=np.array([ids]), attention_mask=np.ones((1, len(ids)), np.int64))[0][0]
    golden = [{"sentence": sentence, "input_ids": ids, "embedding": embedding.tolist()}]
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    manifest = {"name": "tiny", "license": "Apache-2.0"}
    manifest |= {k: {"file": f, "sha256": sha(folder / f)}
                 for k, f in [("model", "model.onnx"), ("tokenizer", "tokenizer.json"), ("golden", "golden.json")]}
    manifest |= {"inputs": ["input_ids", "attention_mask"], "output": "embedding", "dim": 4, "max_tokens": 8}
    (folder / "encoder.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))
    return sentence, embedding, manifest


def encode_graph(path, state="state", width=4):
    ee = np.zeros((7, 4))
    ee[4, 0] = ee[5, 1] = ee[6, 2] = 0.1
    word = np.zeros((4, 4))
    word[0, 3] = 1
    nodes = [
        helper.make_node("MatMul", [state, "ee"], ["a"]),
        helper.make_node("MatMul", ["text", "word"], ["b"]),
        helper.make_node("ReduceMean", ["image_front"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "last"], ["c"]),
        helper.make_node("Sum", ["a", "b", "c"], ["context"]),
    ]
    save(path, nodes, [("image_front", F, [1, 3, 2, width]), (state, F, [1, 7]), ("text", F, [1, 4])],
         [("context", F, [1, 4])], [const("ee", ee), const("word", word), const("last", [0, 0, 0, 1])])


def step_graph(path, nan=False):
    nodes = [
        helper.make_node("Unsqueeze", ["context", "axis"], ["a"]),
        helper.make_node("Sub", ["x", "a"], ["d"]),
        helper.make_node("Div", ["d", "t"], ["over_t"]),
        helper.make_node("Add", ["over_t", "half"], ["drift"]),
        helper.make_node("Mul", ["drift", "first"], ["v0"]),
        helper.make_node("Mul", ["d", "last"], ["v1"]),
        helper.make_node("Add", ["v0", "v1"], ["sum"]),
        helper.make_node("Log", ["minus"], ["noise"]) if nan else helper.make_node("Identity", ["zero"], ["noise"]),
        helper.make_node("Add", ["sum", "noise"], ["v"]),
    ]
    unused = "zero" if nan else "minus"
    constants = [const("axis", [1], np.int64), const("half", 0.5), const("first", [1, 1, 1, 0]),
                 const("last", [0, 0, 0, 1]), const("minus", [-1]), const("zero", [0])]
    save(path, nodes, [("x", F, [1, 3, 4]), ("t", F, [1]), ("context", F, [1, 4])], [("v", F, [1, 3, 4])],
         [c for c in constants if c.name != unused])


def manifest(name, encoder_manifest, width, layout, action, runner, graphs, golden):
    image = {"name": "front", "width": width, "height": 2, "encoding": "rgb8", "resize": "stretch", "layout": layout,
             "mean": [0.5, 0.25, 0.0], "std": [0.5, 1.0, 0.25], "tensor": "image_front"}
    n = 7 if name == "flow" else 4
    return {
        "schema": "policy_package/1.0",
        "policy": {"name": name, "version": "0.0.1", "family": name, "license": "Apache-2.0", "description": "A fixture."},
        # The statistics are round numbers, too large for a finger that moves by 4 cm.
        "robot": {"joints": JOINTS, "units": ["m"] * 4, "base_link": "base", "tip_link": "tool", "ranges_not_compared": ["finger"]},
        "observation": {
            "images": [image],
            "state": {"tensor": "state", "end_effector": ["x", "y", "z"] if n == 7 else [],
                      "normalization": {"kind": "mean_std", "mean": [round(0.1 * i, 1) for i in range(n)],
                                        "std": [round(0.5 + 0.1 * i, 1) for i in range(n)], "eps": 1e-6}},
            "language": {"tensor": "text", "encoder": {"name": "tiny", "sha256": encoder_manifest["model"]["sha256"],
                                                       "dim": 4}}},
        "action": action, "runner": runner, "graphs": graphs, "execution": {"replan_steps": 2}, "golden": golden,
        "training": {"note": "not trained"},
    }


def normalized_state(m, joints):
    values = np.array(joints + ([joints[0], joints[1], joints[2] + 0.1] if m["observation"]["state"]["end_effector"] else []))
    n = m["observation"]["state"]["normalization"]
    return ((values - n["mean"]) / (np.array(n["std"]) + n["eps"])).astype(np.float32)[None]


def normalized_image(m, pixels):
    image = m["observation"]["images"][0]
    tensor = (pixels.astype(np.float32) / 255 - np.float32(image["mean"])) / np.float32(image["std"])
    return tensor.transpose(2, 0, 1)[None] if image["layout"] == "NCHW" else tensor[None]


def sent(step, rows, tools=None):
    """The part `outgoing`; `rows` are those of all chunks, `step` is that of one."""
    rows = [[float(v) for v in row] for row in rows]
    at = [[1, 0, 0, row[0], 0, 1, 0, row[1], 0, 0, 1, row[2] + 0.1] for row in rows]
    assert all(-1 <= r[0] <= 1 and -1 <= r[1] <= 1 and (tools is None or 0 <= r[2] <= 1) and 0 <= r[3] <= 0.04 for r in rows), rows
    return {"joint_names": JOINTS, "times": step, "joints": rows, "replan_steps": 2, "gripper_joint": "finger"} | ({} if tools is None else {"tools": at})


def sent_tool(joints, actions):
    """Of end-effector actions: x and y from where the tool was, z from the base (the tool hangs 0.1 m above the slide), the finger as it is."""
    actions = np.reshape(actions, (-1, 4))
    rows = [[joints[0] + x, joints[1] + y, z - 0.1, np.clip(g, 0.0, 0.04)] for x, y, z, g in actions]
    return sent([0.1 * (k + 1) for k in range(len(rows))], rows, tools=True)


def sent_joints(joints, actions, first_counts_from_it):
    """Of chunks of two rows of joint positions; slide_x counts from where it was, or not."""
    rows = []
    for at, chunk in zip(np.reshape(joints, (-1, 4)), np.reshape(actions, (-1, 2, 4)), strict=True):
        for x, y, z, g in chunk:
            rows.append([x + (at[0] if first_counts_from_it else 0.0), y, z, np.clip(g, 0.0, 0.04)])
    return sent([0.05, 0.1], rows)


def finish(folder, m, golden, outgoing):
    width = m["observation"]["images"][0]["width"]
    golden = golden | {"cameras": pictures.cameras({"front": (2, width)}), "outgoing": outgoing}
    if m["observation"]["state"]["end_effector"]:
        x, y, z, _ = golden["joints"]
        golden["observed_tools"] = [1, 0, 0, x, 0, 1, 0, y, 0, 0, 1, z + 0.1]
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    m["golden"] = {"file": "golden.json", "sha256": sha(folder / "golden.json")}
    (folder / "policy.yaml").write_text(yaml.safe_dump(m, sort_keys=False, width=120))


def flow(sentence, embedding, encoder_manifest):
    folder, rng = DATA / "flow", np.random.default_rng(2)
    encode_graph(folder / "encode.onnx")
    step_graph(folder / "step.onnx")
    action = {"space": "end_effector", "names": ["x", "y", "z", "gripper"], "units": ["m"] * 4,
              "reference": ["relative", "relative", "absolute", "absolute"],
              "orientation": {"roll": 0.0, "pitch": 0.0, "yaw": 0.0}, "gripper_joint": "finger", "horizon": 3, "step": 0.1,
              "normalization": {"kind": "mean_std", "mean": [0.0, 0.1, 0.3, 0.02], "std": [0.2, 0.1, 0.05, 0.01], "eps": 1e-6}}
    graphs = {"encode": {"file": "encode.onnx", "sha256": sha(folder / "encode.onnx"),
                         "inputs": ["image_front", "state", "text"], "outputs": ["context"]},
              "step": {"file": "step.onnx", "sha256": sha(folder / "step.onnx"), "inputs": ["x", "t", "context"],
                       "outputs": ["v"]}}
    m = manifest("flow", encoder_manifest, 4, "NCHW", action, {"type": "flow_matching", "steps": 4}, graphs, None)
    pixels = rng.integers(0, 256, (2, 4, 3))
    joints, noise = [0.1, -0.2, 0.3, 0.03], rng.normal(size=(1, 3, 4)).astype(np.float32)
    context = run(folder / "encode.onnx", image_front=normalized_image(m, pixels), state=normalized_state(m, joints),
                  text=embedding[None])[0]
    x = noise.copy()
    for k in range(4):
        v = run(folder / "step.onnx", x=x, t=np.array([1 - k / 4], np.float32), context=context)[0]
        x = (x - np.float32(0.25) * v).astype(np.float32)
    n = action["normalization"]
    actions = x[0].astype(np.float64) * (np.array(n["std"]) + n["eps"]) + n["mean"]
    finish(folder, m, {"sentence": sentence, "text": embedding.tolist(), "image_front": pixels.flatten().tolist(),
                       "joints": joints, "noise": noise.flatten().tolist(), "context": context.flatten().tolist(),
                       "actions": actions.flatten().tolist()}, sent_tool(joints, actions))
    odd = DATA / "odd"
    encode_graph(odd / "encode_renamed.onnx", state="proprio")
    encode_graph(odd / "encode_wide.onnx", width=8)
    step_graph(odd / "step_nan.onnx", nan=True)
    # Weights beside the graph, where a graph may name any file of the machine.
    model = onnx.load(folder / "encode.onnx")
    for tensor in model.graph.initializer:
        if tensor.name == "ee":
            onnx.external_data_helper.set_external_data(tensor, location="../weights.bin")
            tensor.ClearField("raw_data")
    (odd / "encode_external.onnx").write_bytes(model.SerializeToString())


def single(sentence, embedding, encoder_manifest):
    folder, rng = DATA / "single", np.random.default_rng(3)
    nodes = [
        helper.make_node("Unsqueeze", ["state", "axis"], ["row"]),
        helper.make_node("Mul", ["row", "rows"], ["a"]),
        helper.make_node("MatMul", ["text", "word"], ["b"]),
        helper.make_node("ReduceMean", ["image_front"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "flat"], ["nil"]),
        helper.make_node("Sum", ["a", "b", "nil"], ["actions"]),
    ]
    save(folder / "policy.onnx", nodes, [("image_front", F, [1, 2, 3, 3]), ("state", F, [1, 4]), ("text", F, [1, 4])],
         [("actions", F, [1, 2, 4])],
         [const("axis", [1], np.int64), const("rows", [[[0.1], [0.2]]]), const("word", [[0], [1], [0], [0]]),
          const("zero", [0]), const("flat", [1], np.int64)])
    action = {"space": "joint_position", "names": JOINTS, "units": ["m"] * 4, "reference": ["relative"] + ["absolute"] * 3,
              "gripper_joint": "finger", "horizon": 2, "step": 0.05, "normalization": {"kind": "identity"}}
    graphs = {"policy": {"file": "policy.onnx", "sha256": sha(folder / "policy.onnx"),
                         "inputs": ["image_front", "state", "text"], "outputs": ["actions"]}}
    m = manifest("single", encoder_manifest, 3, "NHWC", action, {"type": "single_pass"}, graphs, None)
    pixels, joints = rng.integers(0, 256, (2, 3, 3)), [0.1, -0.2, 0.3, 0.03]
    actions = run(folder / "policy.onnx", image_front=normalized_image(m, pixels), state=normalized_state(m, joints),
                  text=embedding[None])[0]
    finish(folder, m, {"sentence": sentence, "text": embedding.tolist(), "image_front": pixels.flatten().tolist(),
                       "joints": joints, "actions": actions.astype(np.float64).flatten().tolist()}, sent_joints(joints, actions, True))


def recurrent_graph(path, nan=False, width=4):
    nodes = [
        helper.make_node("Mul", ["h", "half"], ["kept"]),
        helper.make_node("Add", ["kept", "state"], ["remembered"]),
        # Not a number in the fourth run of an episode.
        helper.make_node("Sub", ["two", "n"], ["left"]),
        helper.make_node("Sqrt", ["left"], ["bad"]) if nan else helper.make_node("Identity", ["zero"], ["bad"]),
        helper.make_node("Mul", ["bad", "zero"], ["nothing"]),
        helper.make_node("Add", ["remembered", "nothing"], ["h_next"]),
        helper.make_node("Add", ["n", "one"], ["n_next"]),
        helper.make_node("Unsqueeze", ["remembered", "axis"], ["row"]),
        helper.make_node("Mul", ["row", "rows"], ["a"]),
        helper.make_node("MatMul", ["text", "word"], ["b"]),
        helper.make_node("ReduceMean", ["image_front"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "zero"], ["unseen"]),
        helper.make_node("Reshape", ["unseen", "flat"], ["nil"]),
        helper.make_node("Mul", ["n", "cent"], ["count"]),
        helper.make_node("Mul", ["is_first", "twentieth"], ["first"]),
        helper.make_node("Sum", ["a", "b", "nil", "count", "first"], ["actions"]),
    ]
    # One state with an open batch, as exporters leave it.
    save(path, nodes, [("image_front", F, [1, 2, 3, 3]), ("state", F, [1, 4]), ("text", F, [1, 4]), ("h", F, ["batch", width]), ("n", F, [1, 1]),
                       ("is_first", F, [1])],
         [("actions", F, [1, 2, 4]), ("h_next", F, ["batch", width]), ("n_next", F, [1, 1])],
         [const("half", 0.5), const("one", 1.0), const("two", 2.0), const("zero", [0]), const("axis", [1], np.int64), const("rows", [[[0.1], [0.2]]]),
          const("word", [[0], [1], [0], [0]]), const("flat", [1], np.int64), const("cent", 0.01), const("twentieth", 0.05)])


def recurrent(sentence, embedding, encoder_manifest):
    folder, rng = DATA / "recurrent", np.random.default_rng(8)
    recurrent_graph(folder / "policy.onnx")
    recurrent_graph(DATA / "odd" / "recurrent_nan.onnx", nan=True)
    recurrent_graph(DATA / "odd" / "recurrent_open.onnx", width="width")
    action = {"space": "joint_position", "names": JOINTS, "units": ["m"] * 4, "reference": ["absolute"] * 4,
              "gripper_joint": "finger", "horizon": 2, "step": 0.05, "normalization": {"kind": "identity"}}
    graphs = {"policy": {"file": "policy.onnx", "sha256": sha(folder / "policy.onnx"),
                         "inputs": ["image_front", "state", "text", "h", "n", "is_first"], "outputs": ["actions", "h_next", "n_next"]}}
    runner = {"type": "recurrent", "state": [{"input": "h", "output": "h_next"}, {"input": "n", "output": "n_next"}], "reset": "is_first"}
    m = manifest("recurrent", encoder_manifest, 3, "NHWC", action, runner, graphs, None)
    steps = 4
    pixels, joints = rng.integers(0, 256, (steps, 2, 3, 3)), rng.uniform(-0.5, 0.5, (steps, 4))
    h, actions = np.zeros(4), []
    for n in range(steps):
        h = 0.5 * h + normalized_state(m, joints[n].tolist())[0].astype(np.float64)
        actions.append(np.outer([0.1, 0.2], h) + 0.01 * n + 0.05 * (n == 0) + float(embedding[1]))
    finish(folder, m, {"sentence": sentence, "text": embedding.tolist(), "image_front": pixels.flatten().tolist(),
                       "joints": joints.flatten().tolist(), "actions": np.array(actions).flatten().tolist()}, sent_joints(joints, actions, False))


END_EFFECTOR = {"space": "end_effector", "names": ["x", "y", "z", "gripper"], "units": ["m"] * 4,
                "reference": ["relative", "relative", "absolute", "absolute"],
                "orientation": {"roll": 0.0, "pitch": 0.0, "yaw": 0.0}, "gripper_joint": "finger", "step": 0.1}
JOINTS_AT = [0.1, -0.2, 0.3, 0.03]


def encode_entry(folder):
    return {"file": "encode.onnx", "sha256": sha(folder / "encode.onnx"), "inputs": ["image_front", "state", "text"],
            "outputs": ["context"]}


def seen(folder, m, pixels, embedding):
    return run(folder / "encode.onnx", image_front=normalized_image(m, pixels), state=normalized_state(m, JOINTS_AT),
               text=embedding[None])[0]


def example(sentence, embedding, pixels, context, **more):
    return {"sentence": sentence, "text": embedding.tolist(), "image_front": pixels.flatten().tolist(), "joints": JOINTS_AT,
            "context": context.flatten().tolist()} | more


def abar(count):
    """squaredcos_cap_v2: products of 1 - beta."""
    f = lambda u: np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
    betas = np.array([min(1 - f((k + 1) / count) / f(k / count), 0.999) for k in range(count)])
    return np.cumprod(1 - betas), betas


def sample_ddpm(x, eps, fresh, count, clip):
    """Octo's action_heads.py."""
    bars, betas = abar(count)
    for i, k in enumerate(reversed(range(count))):
        x = (x - betas[k] / np.sqrt(1 - bars[k]) * eps(x, k)) / np.sqrt(1 - betas[k])
        if k > 0:
            x = x + np.sqrt(betas[k]) * fresh[i]
        x = np.clip(x, -clip, clip)
    return x


def sample_ddim(x, velocity, count, steps, clip):
    """Song et al., eq. 12 with sigma 0, for a network that says v = sqrt(abar) eps - sqrt(1 - abar) x0."""
    bars, _ = abar(count)
    times = [i * count // steps for i in range(steps)][::-1]
    for k, after in zip(times, [*times[1:], None]):
        signal, noise = np.sqrt(bars[k]), np.sqrt(1 - bars[k])
        clean = np.clip(signal * x - noise * velocity(x, k), -clip, clip)
        eps = (x - signal * clean) / noise
        bar = 1.0 if after is None else bars[after]
        x = np.sqrt(bar) * clean + np.sqrt(1 - bar) * eps
    return x


def diffusion(name, sentence, embedding, encoder_manifest, runner, seed):
    folder, rng = DATA / name, np.random.default_rng(seed)
    encode_graph(folder / "encode.onnx")
    nodes = [
        helper.make_node("Unsqueeze", ["context", "axis"], ["a"]),
        helper.make_node("Mul", ["a", "quarter"], ["b"]),
        helper.make_node("Mul", ["x", "half"], ["c"]),
        helper.make_node("Mul", ["t", "cent"], ["d"]),
        helper.make_node("Sub", ["c", "b"], ["e"]),
        helper.make_node("Add", ["e", "d"], ["predicted"]),
    ]
    save(folder / "step.onnx", nodes, [("x", F, [1, 3, 4]), ("t", F, [1]), ("context", F, [1, 4])], [("predicted", F, [1, 3, 4])],
         [const("axis", [1], np.int64), const("quarter", 0.25), const("half", 0.5), const("cent", 0.01)])
    action = END_EFFECTOR | {"horizon": 3, "normalization": {"kind": "min_max", "min": [-0.2, -0.1, 0.2, 0.0],
                                                               "max": [0.2, 0.3, 0.4, 0.04], "eps": 0.0}}
    graphs = {"encode": encode_entry(folder), "step": {"file": "step.onnx", "sha256": sha(folder / "step.onnx"),
                                                       "inputs": ["x", "t", "context"], "outputs": ["predicted"]}}
    m = manifest("flow", encoder_manifest, 4, "NCHW", action, runner, graphs, None)
    m["policy"]["name"] = m["policy"]["family"] = name
    pixels = rng.integers(0, 256, (2, 4, 3))
    context = seen(folder, m, pixels, embedding)
    says = lambda x, k: 0.5 * x - 0.25 * context.astype(np.float64) + 0.01 * k
    draws = runner["steps"] if runner["scheduler"] == "ddpm" else 1
    noise = rng.normal(size=(draws, 3, 4)).astype(np.float32)
    start = noise[0].astype(np.float64)
    if runner["scheduler"] == "ddpm":
        x = sample_ddpm(start, says, noise[1:].astype(np.float64), runner["steps"], runner["clip"])
    else:
        x = sample_ddim(start, says, runner["train_steps"], runner["steps"], runner["clip"])
    n = action["normalization"]
    actions = (x + 1) / 2 * (np.array(n["max"]) - n["min"]) + n["min"]
    finish(folder, m, example(sentence, embedding, pixels, context, noise=noise.flatten().tolist(), actions=actions.flatten().tolist()),
           sent_tool(JOINTS_AT, actions))


def tokens(sentence, embedding, encoder_manifest, vocab=40, bins=16, horizon=13):
    folder, rng = DATA / "tokens", np.random.default_rng(6)
    encode_graph(folder / "encode.onnx")
    table, weights = rng.normal(size=(vocab, 4)), rng.normal(size=(4, vocab))
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["word"]),
        helper.make_node("Unsqueeze", ["word", "one"], ["key"]),
        helper.make_node("Concat", ["past_key_values.0.key", "key"], ["present.0.key"], axis=2),
        helper.make_node("ReduceSum", ["present.0.key", "two"], ["all"], keepdims=0),
        helper.make_node("Cast", ["position_ids"], ["place"], to=F),
        helper.make_node("Mul", ["place", "twentieth"], ["shift"]),
        helper.make_node("Unsqueeze", ["context", "one"], ["a"]),
        helper.make_node("Unsqueeze", ["shift", "two"], ["shift3"]),
        helper.make_node("Sum", ["all", "a", "shift3"], ["sum"]),
        helper.make_node("Sin", ["sum"], ["h"]),
        helper.make_node("MatMul", ["h", "weights"], ["logits"]),
    ]
    save(folder / "decode.onnx", nodes,
         [("input_ids", I, [1, 1]), ("position_ids", I, [1, 1]), ("context", F, [1, 4]), ("past_key_values.0.key", F, [1, 1, "past", 4])],
         [("logits", F, [1, 1, vocab]), ("present.0.key", F, [1, 1, "present", 4])],
         [const("table", table), const("weights", weights), const("one", [1], np.int64), const("two", [2], np.int64),
          const("twentieth", 0.05)])
    action = END_EFFECTOR | {"horizon": horizon, "normalization": {"kind": "quantiles", "q01": [-0.2, -0.1, 0.2, 0.0],
                                                                    "q99": [0.2, 0.3, 0.4, 0.04], "eps": 0.0}}
    graphs = {"encode": encode_entry(folder),
              "decode": {"file": "decode.onnx", "sha256": sha(folder / "decode.onnx"),
                         "inputs": ["input_ids", "position_ids", "context", "past_key_values.0.key"],
                         "outputs": ["logits", "present.0.key"]}}
    runner = {"type": "action_tokens", "tokens": 4 * horizon, "vocab": vocab, "bins": bins, "centres": bins - 1, "first_token": 3,
              "cache": [{"input": "past_key_values.0.key", "output": "present.0.key"}]}
    m = manifest("flow", encoder_manifest, 4, "NCHW", action, runner, graphs, None)
    m["policy"]["name"] = m["policy"]["family"] = "tokens"
    pixels = rng.integers(0, 256, (2, 4, 3))
    context = seen(folder, m, pixels, embedding)
    sequence, values = [runner["first_token"]], []
    edges = np.linspace(-1, 1, bins)
    for k in range(4 * horizon):
        h = np.sin(table[sequence].sum(0) + context[0] + 0.05 * k)
        logits = (h @ weights)[vocab - bins:]
        # The choice must not hang on rounding.
        assert np.diff(np.sort(logits)[-2:])[0] > 1e-4
        sequence.append(vocab - bins + int(logits.argmax()))
        i = min(max(vocab - sequence[-1] - 1, 0), bins - 2)
        values.append((edges[i] + edges[i + 1]) / 2)
    odd = DATA / "odd"
    wide = onnx.load(folder / "decode.onnx")
    for value in [*wide.graph.input, *wide.graph.output]:
        if value.name.endswith(".key"):
            value.type.tensor_type.shape.dim[1].dim_param = "heads"
    odd.mkdir(exist_ok=True)
    (odd / "decode_open.onnx").write_bytes(wide.SerializeToString())
    n = action["normalization"]
    actions = (np.array(values).reshape(horizon, 4) + 1) / 2 * (np.array(n["q99"]) - n["q01"]) + n["q01"]
    assert len(set(sequence[1:])) > 4
    finish(folder, m, example(sentence, embedding, pixels, context, tokens=sequence[1:], actions=actions.flatten().tolist()),
           sent_tool(JOINTS_AT, actions))


def gantry():
    links = "".join(f'  <link name="{n}"/>\n' for n in ["base", "x", "y", "z", "tool", "left"])
    slide = lambda name, parent, child, axis, low, high: (
        f'  <joint name="{name}" type="prismatic">\n    <parent link="{parent}"/><child link="{child}"/>\n'
        f'    <axis xyz="{axis}"/><limit lower="{low}" upper="{high}" velocity="1.0" effort="10"/>\n  </joint>\n')
    joints = (slide("slide_x", "base", "x", "1 0 0", -1, 1) + slide("slide_y", "x", "y", "0 1 0", -1, 1)
              + slide("slide_z", "y", "z", "0 0 1", 0, 1) + slide("finger", "tool", "left", "0 1 0", 0, 0.04)
              + '  <joint name="mount" type="fixed">\n    <parent link="z"/><child link="tool"/>\n'
                '    <origin xyz="0 0 0.1"/>\n  </joint>\n')
    (DATA / "gantry.urdf").write_text(f'<?xml version="1.0"?>\n<robot name="gantry">\n{links}{joints}</robot>\n')


if __name__ == "__main__":
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir()
    make_normalization_vectors.main()
    make_outgoing_vectors.main()
    gantry()
    words = encoder()
    flow(*words)
    single(*words)
    ddpm = {"type": "diffusion", "scheduler": "ddpm", "train_steps": 6, "steps": 6, "schedule": "cosine", "prediction": "epsilon", "clip": 2.0}
    diffusion("ddpm", *words, ddpm, 4)
    ddim = {"type": "diffusion", "scheduler": "ddim", "train_steps": 10, "steps": 5, "schedule": "cosine", "prediction": "velocity", "clip": 1.0}
    diffusion("ddim", *words, ddim, 5)
    tokens(*words)
    recurrent(*words)
