#!/usr/bin/env python3
"""Writes the policies of the judge into test/judge/models. Needs onnx, onnxruntime, numpy, PyYAML.

They are not trained. What they propose depends on everything that they are shown, and has the same bits on every processor: their graphs hold nothing
but what IEEE 754 defines to the last bit (a largest value, a sign, sums of two, products, quotients), and no sum whose order a library may choose.

"turns": joint 1 turns by at most 0.5 rad/s, to the left for "pick the red cube", to the right for "push the blue ball"; joints 4 and 6 go along. The
brightest value of the picture makes it slower, down to half of that. "turns_flow" wants the same, as a flow: v = (x - wanted) / t, which ends at what is
wanted whatever the noise was.
"""

from __future__ import annotations

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import yaml
from onnx import helper

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from make_fixtures import HEIGHT, HORIZON, PANDA, POLICY_TESTS, STEP, WIDTH, F, const, sha  # noqa: E402

AT = (0.0, -0.6, 0.0, -2.2, 0.0, 1.6, 0.785, 0.04)
# rad/s of each joint at full speed.
SPEED = (0.5, 0.0, 0.0, 0.15, 0.0, -0.1, 0.0, 0.0)
STEPS = 4


def save(path: pathlib.Path, nodes: list, inputs: dict, output: tuple, constants: list) -> None:
    info = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, path.stem, [info(name, F, shape) for name, shape in inputs.items()], [info(output[0], F, output[1])], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="fixtures")
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def run(path: pathlib.Path, **inputs: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def wanted(path: pathlib.Path, output: str) -> None:
    """The graph from an observation to what is wanted."""
    number = len(AT)
    way = np.zeros((1, HORIZON, number))
    for joint, speed in enumerate(SPEED):
        way[0, :, joint] = speed * STEP * np.arange(1, HORIZON + 1)
    nodes = [
        # The second number of the embedding tells both sentences apart.
        helper.make_node("Slice", ["text", "first", "second", "axis"], ["word"]),
        helper.make_node("Sign", ["word"], ["side"]),
        helper.make_node("Neg", ["side"], ["left"]),
        # From -1 (black) to 1 (white), and so from 1/2 to 1.
        helper.make_node("ReduceMax", ["image_front"], ["brightest"], keepdims=0),
        helper.make_node("Mul", ["brightest", "quarter"], ["some"]),
        helper.make_node("Add", ["some", "most"], ["pace"]),
        helper.make_node("ReduceMax", ["state"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
        helper.make_node("Add", ["pace", "nothing"], ["speed"]),
        helper.make_node("Mul", ["way", "speed"], ["along"]),
        helper.make_node("Mul", ["along", "left"], [output]),
    ]
    inputs = {"image_front": [1, 3, HEIGHT, WIDTH], "state": [1, number], "text": [1, 4]}
    whole = lambda name, value: const(name, [value], np.int64)  # noqa: E731
    constants = [const("way", way), const("quarter", 0.25), const("most", 0.75), const("zero", 0.0)]
    constants += [whole("first", 1), whole("second", 2), whole("axis", 1)]
    save(path, nodes, inputs, (output, [1, HORIZON, number]), constants)


def flow(path: pathlib.Path) -> None:
    shape = [1, HORIZON, len(AT)]
    nodes = [helper.make_node("Sub", ["x", "context"], ["off"]), helper.make_node("Div", ["off", "t"], ["v"])]
    save(path, nodes, {"x": shape, "t": [1], "context": shape}, ("v", shape), [])


def write(name: str, flows: bool) -> None:
    folder = HERE / "models" / name
    encoder = yaml.safe_load((POLICY_TESTS / "encoders" / "tiny" / "encoder.yaml").read_text())
    example = json.loads((POLICY_TESTS / "encoders" / "tiny" / "golden.json").read_text())[0]
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 200, (HEIGHT, WIDTH, 3))
    seen = {
        "image_front": ((pixels.astype(np.float32) / 255 - np.float32(0.5)) / np.float32(0.5)).transpose(2, 0, 1)[None],
        "state": np.array([AT], np.float32),
        "text": np.array([example["embedding"]], np.float32),
    }
    graph = folder / ("encode.onnx" if flows else "policy.onnx")
    wanted(graph, "context" if flows else "actions")
    actions = run(graph, **seen)
    golden = {"sentence": example["sentence"], "text": example["embedding"], "image_front": pixels.flatten().tolist(), "joints": list(AT)}
    entry = lambda file, inputs, outputs: {"file": file, "sha256": sha(folder / file), "inputs": inputs, "outputs": outputs}  # noqa: E731
    if flows:
        flow(folder / "step.onnx")
        noise = rng.normal(size=actions.shape).astype(np.float32)
        golden |= {"noise": noise.flatten().tolist(), "context": actions.flatten().tolist()}
        x = noise
        for k in range(STEPS):
            v = run(folder / "step.onnx", x=x, t=np.array([1 - k / STEPS], np.float32), context=actions)
            x = (x - np.float32(1 / STEPS) * v).astype(np.float32)
        actions = x
        graphs = {"encode": entry("encode.onnx", list(seen), ["context"]), "step": entry("step.onnx", ["x", "t", "context"], ["v"])}
    else:
        graphs = {"policy": entry("policy.onnx", list(seen), ["actions"])}
    golden["actions"] = actions.astype(np.float64).flatten().tolist()
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    joints = PANDA["joints"]
    picture = {"name": "front", "width": WIDTH, "height": HEIGHT, "encoding": "rgb8", "resize": "stretch", "layout": "NCHW"}
    manifest = {
        "schema": "policy_package/1.0",
        "policy": {
            "name": name,
            "version": "0.0.1",
            "family": "fixture",
            "license": "Apache-2.0",
            "description": "Turns panda_joint1, as the sentence and the picture say; for the judge.",
        },
        "robot": PANDA,
        "observation": {
            "images": [picture | {"mean": [0.5] * 3, "std": [0.5] * 3, "tensor": "image_front"}],
            "state": {"tensor": "state", "end_effector": [], "normalization": {"kind": "identity"}},
            "language": {
                "tensor": "text",
                "encoder": {"name": "tiny", "sha256": encoder["model"]["sha256"], "dim": encoder["dim"]},
            },
        },
        "action": {
            "space": "joint_position",
            "names": joints,
            "units": PANDA["units"],
            "reference": ["relative"] * len(joints),
            "gripper_joint": joints[-1],
            "horizon": HORIZON,
            "step": STEP,
            "normalization": {"kind": "identity"},
        },
        "runner": {"type": "flow_matching", "steps": STEPS} if flows else {"type": "single_pass"},
        "graphs": graphs,
        "execution": {"replan_steps": 2},
        "golden": {"file": "golden.json", "sha256": sha(folder / "golden.json")},
        "training": {"note": "not trained"},
    }
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False, width=120))


if __name__ == "__main__":
    write("turns", flows=False)
    write("turns_flow", flows=True)
