#!/usr/bin/env python3
"""Writes the policy packages of the graph tests into test/models. Needs onnx, onnxruntime, numpy, PyYAML.

"panda_drift" is not trained and understands nothing: whatever it sees and is told, it turns panda_joint1 to the left at 0.15 rad/s,
holds the other joints and leaves the fingers where they are. That is enough to see an arm move, and why it stops.
"panda_drift_two" is the same with a second camera, "wrist". "six_joints_drift" turns the first joint of another robot, the six_joints of
packages/safety/tests/robots.
"""

import hashlib
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import yaml
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).parent
POLICY_TESTS = ROOT.parent / "packages" / "policy" / "tests" / "data"
F = TensorProto.FLOAT
JOINTS = [f"panda_joint{i}" for i in range(1, 8)] + ["panda_finger_joint1"]
HORIZON, STEP, SPEED = 8, 0.1, 0.15
WIDTH, HEIGHT = 8, 6


def const(name: str, value: object, dtype: type = np.float32) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value, dtype), name)


def sha(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


PANDA = {"joints": JOINTS, "units": ["rad"] * 7 + ["m"], "base_link": "panda_link0", "tip_link": "panda_hand_tcp"}
SIX_JOINTS = {
    "joints": ["pan", "lift", "elbow", "roll_1", "roll_2", "roll_3"],
    "units": ["rad"] * 6,
    "base_link": "base",
    "tip_link": "tool",
}


def write(name: str, cameras: list[str], robot: dict = PANDA, at: tuple = (0.0, -0.6, 0.0, -2.2, 0.0, 1.6, 0.785, 0.04)) -> None:
    joints, number = robot["joints"], len(robot["joints"])
    folder = ROOT / "models" / name
    images = [f"image_{camera}" for camera in cameras]
    folder.mkdir(parents=True, exist_ok=True)
    drift = np.zeros((1, HORIZON, number))
    drift[0, :, 0] = SPEED * STEP * np.arange(1, HORIZON + 1)
    nothing = [
        node
        for tensor in (*images, "state", "text")
        for node in (
            helper.make_node("ReduceMean", [tensor], [f"{tensor}_mean"], keepdims=0),
            helper.make_node("Mul", [f"{tensor}_mean", "zero"], [f"{tensor}_nil"]),
        )
    ]
    total = helper.make_node("Sum", ["drift", *(f"{i}_nil" for i in images), "state_nil", "text_nil"], ["actions"])
    inputs = {**{i: [1, 3, HEIGHT, WIDTH] for i in images}, "state": [1, number], "text": [1, 4]}
    graph = helper.make_graph(
        [*nothing, total],
        "drift",
        [helper.make_tensor_value_info(name, F, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("actions", F, [1, HORIZON, number])],
        [const("drift", drift), const("zero", 0.0)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="fixtures")
    onnx.checker.check_model(model)
    (folder / "policy.onnx").write_bytes(model.SerializeToString())

    encoder = yaml.safe_load((POLICY_TESTS / "encoders" / "tiny" / "encoder.yaml").read_text())
    example = json.loads((POLICY_TESTS / "encoders" / "tiny" / "golden.json").read_text())[0]
    pixels = np.random.default_rng(4).integers(0, 256, (HEIGHT, WIDTH, 3))
    image = ((pixels.astype(np.float32) / 255 - 0.5) / np.float32(0.5)).transpose(2, 0, 1)[None]
    session = onnxruntime.InferenceSession(str(folder / "policy.onnx"), providers=["CPUExecutionProvider"])
    feed = {**dict.fromkeys(images, image), "state": np.array([at], np.float32)}
    feed["text"] = np.array([example["embedding"]], np.float32)
    actions = session.run(None, feed)[0]
    golden = {
        "sentence": example["sentence"],
        "text": example["embedding"],
        **dict.fromkeys(images, pixels.flatten().tolist()),
        "joints": list(at),
        "actions": actions.astype(np.float64).flatten().tolist(),
    }
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    gripper = {"gripper_joint": joints[-1]} if robot is PANDA else {}
    manifest = {
        "schema": "policy_package/1.0",
        "policy": {
            "name": name,
            "version": "0.0.1",
            "family": "fixture",
            "license": "Apache-2.0",
            "description": f"Turns {joints[0]} slowly; for tests.",
        },
        "robot": robot,
        "observation": {
            "images": [
                {
                    "name": camera,
                    "width": WIDTH,
                    "height": HEIGHT,
                    "encoding": "rgb8",
                    "resize": "stretch",
                    "layout": "NCHW",
                    "mean": [0.5] * 3,
                    "std": [0.5] * 3,
                    "tensor": f"image_{camera}",
                }
                for camera in cameras
            ],
            "state": {"tensor": "state", "end_effector": [], "normalization": {"kind": "identity"}},
            "language": {
                "tensor": "text",
                "encoder": {"name": "tiny", "sha256": encoder["model"]["sha256"], "dim": encoder["dim"]},
            },
        },
        "action": {
            "space": "joint_position",
            "names": joints,
            "units": robot["units"],
            "reference": ["relative"] * number,
            **gripper,
            "horizon": HORIZON,
            "step": STEP,
            "normalization": {"kind": "identity"},
        },
        "runner": {"type": "single_pass"},
        "graphs": {
            "policy": {
                "file": "policy.onnx",
                "sha256": sha(folder / "policy.onnx"),
                "inputs": list(inputs),
                "outputs": ["actions"],
            }
        },
        "execution": {"replan_steps": 2},
        "golden": {"file": "golden.json", "sha256": sha(folder / "golden.json")},
        "training": {"note": "not trained"},
    }
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False, width=120))


def main() -> None:
    write("panda_drift", ["front"])
    write("panda_drift_two", ["front", "wrist"])
    write("six_joints_drift", ["overhead"], SIX_JOINTS, (0.0, 0.4, 1.3, 0.3, 0.0, 0.0))


if __name__ == "__main__":
    main()
