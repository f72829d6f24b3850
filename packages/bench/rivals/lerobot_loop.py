"""LeRobot's own loop from an observation to an action, for `efm-bench lerobot`, which starts this and drives it block by block.

Needs LeRobot 0.4.4 and torch; for `make` and `hollow` also the importers of this repository on the path.

    make CHECKPOINT         an ACT checkpoint of LeRobot's default size with random weights, two cameras of 640x480, eight joints
    hollow PACKAGE OUT      a copy of a package of one pass whose network does nothing
    run CHECKPOINT THREADS  is driven by lines of JSON: first it says what it is, {"versions": {...}, "cameras": [[width, height], ...],
                            "joints": 8}; then for each job

    {"observations": [{"images": [a file of raw rgb8 a camera], "joints": [...]}], "count": 0, "hollow": false}

it gives its observations to the loop and answers {"actions": [the first action of each chunk], "whole": [], "bare": []}; or, with no
observations but a count, it makes so many chunks of those that it got last, in turn, and answers how many nanoseconds each took, wall time:
`whole` from the observation to the action, and `bare`, nothing but the network on prepared tensors, right behind it. With `hollow` there is
no network: the loop gets a chunk that lies there. Or {"error": "..."}.
"""

import gc
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

CHUNK = 100


def make(folder):
    """Makes the checkpoint: ACT's default sizes, as LeRobot trains it."""
    from importers.lerobot.tests import checkpoints

    checkpoints.act(
        Path(folder),
        backbone="resnet18",
        **checkpoints.features(480, 640, ("front", "wrist"), joints=8),
        chunk_size=CHUNK,
        n_action_steps=CHUNK,
        dim_model=512,
        n_heads=8,
        dim_feedforward=3200,
        n_encoder_layers=4,
        n_vae_encoder_layers=4,
        latent_dim=32,
    )


def hollow(package, out):
    """Copies a package, with a network that hands out a chunk of zeros whatever it gets."""
    import numpy as np
    import onnx
    import yaml
    from onnx import TensorProto, helper, numpy_helper

    package, out = Path(package), Path(out)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(package, out, ignore=shutil.ignore_patterns("*.onnx*"))
    manifest = yaml.safe_load((package / "policy.yaml").read_text())
    spec = manifest["graphs"]["policy"]
    whole = onnx.load(package / spec["file"], load_external_data=False)
    (given,) = whole.graph.output
    shape = [d.dim_value for d in given.type.tensor_type.shape.dim]
    values = {"zero": np.zeros(1, np.float32), "chunk": np.zeros(shape, np.float32), "flat": np.full(1, -1, np.int64)}
    nodes, last = [], "chunk"
    for k, entry in enumerate(whole.graph.input):
        # One value of each input, so that none is unused: as good as nothing.
        dims = len(entry.type.tensor_type.shape.dim)
        values[f"low{k}"], values[f"high{k}"] = np.zeros(dims, np.int64), np.ones(dims, np.int64)
        after = given.name if k == len(whole.graph.input) - 1 else f"sum{k}"
        nodes += [
            helper.make_node("Slice", [entry.name, f"low{k}", f"high{k}"], [f"one{k}"]),
            helper.make_node("Reshape", [f"one{k}", "flat"], [f"flat{k}"]),
            helper.make_node("Mul", [f"flat{k}", "zero"], [f"none{k}"]),
            helper.make_node("Add", [last, f"none{k}"], [after]),
        ]
        last = after
    constants = [numpy_helper.from_array(value, name) for name, value in values.items()]
    result = helper.make_tensor_value_info(given.name, TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "hollow", list(whole.graph.input), [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, out / spec["file"])
    spec["sha256"] = hashlib.sha256((out / spec["file"]).read_bytes()).hexdigest()
    spec.pop("external", None)
    (out / "policy.yaml").write_text(yaml.safe_dump(manifest, sort_keys=False))


class Loop:
    """What `lerobot-record` does with a policy, without its robot: LeRobot's own functions in the order of its `record_loop`."""

    def __init__(self, folder, threads):
        """Opens a checkpoint."""
        import torch
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.datasets.utils import build_dataset_frame
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors
        from lerobot.policies.utils import make_robot_action, prepare_observation_for_inference
        from lerobot.utils.control_utils import predict_action

        torch.set_num_threads(threads)
        self.torch, self.frame, self.robot_action = torch, build_dataset_frame, make_robot_action
        self.prepare, self.predict = prepare_observation_for_inference, predict_action
        config, self.device = PreTrainedConfig.from_pretrained(folder), torch.device("cpu")
        if config.type != "act":
            raise ValueError(f"{folder}: is of type {config.type}; only act is compared, which samples nothing")
        config.device = "cpu"
        if config.temporal_ensemble_coeff is not None:
            raise ValueError(f"{folder}: has temporal ensembling, where a call gives no first row of a chunk")
        self.policy = get_policy_class(config.type).from_pretrained(folder, config=config).eval()
        overrides = {"device_processor": {"device": "cpu"}}
        self.before, self.after = make_pre_post_processors(config, pretrained_path=str(folder), preprocessor_overrides=overrides)
        self.keys = list(config.image_features)
        self.names = [key.removeprefix("observation.images.") for key in self.keys]
        self.sizes = [config.image_features[key].shape[:0:-1] for key in self.keys]
        joints = config.robot_state_feature.shape[0]
        self.joints = [f"joint_{k}.pos" for k in range(joints)]
        numbers = {"dtype": "float32", "shape": (joints,), "names": self.joints}
        pictures = {key: {"dtype": "image", "shape": config.image_features[key].shape} for key in self.keys}
        self.features = {"observation.state": numbers, "action": numbers, **pictures}
        self.network = self.policy.model
        chunk = torch.zeros(1, config.chunk_size, joints)

        class Hollow(torch.nn.Module):
            """No network."""

            def forward(self, _batch):
                """A chunk that lies there."""
                return chunk, (None, None)

        self.nothing = Hollow()
        self.observations = []

    def read(self, observation):
        """An observation as a robot's `get_observation` returns it."""
        import numpy as np

        seen = dict(zip(self.joints, observation["joints"], strict=True))
        for name, (width, height), file in zip(self.names, self.sizes, observation["images"], strict=True):
            seen[name] = np.fromfile(file, np.uint8).reshape(height, width, 3)
        return seen

    def action(self, seen):
        """From an observation in memory to what `send_action` gets."""
        frame = self.frame(self.features, seen, prefix="observation")
        values = self.predict(frame, self.policy, self.device, self.before, self.after, use_amp=False, task="", robot_type="")
        return self.robot_action(values, self.features)

    def prepared(self, seen):
        """What the network gets."""
        frame = self.frame(self.features, seen, prefix="observation")
        with self.torch.inference_mode():
            batch = self.before(self.prepare(frame, self.device, "", ""))
            batch["observation.images"] = [batch[key] for key in self.keys]
        return batch

    def answer(self, job):
        """Does a job."""
        actions, whole, bare = [], [], []
        self.policy.model = self.nothing if job["hollow"] else self.network
        if job["observations"]:
            self.observations = [self.read(observation) for observation in job["observations"]]
            for seen in self.observations:
                self.policy.reset()
                actions.append(list(self.action(seen).values()))
        for k in range(job["count"]):
            seen = self.observations[k % len(self.observations)]
            # The queue of actions is emptied, so that every call makes a chunk.
            self.policy.reset()
            begun = time.perf_counter_ns()
            self.action(seen)
            whole.append(time.perf_counter_ns() - begun)
            if not job["hollow"]:
                batch = self.prepared(seen)
                with self.torch.inference_mode():
                    begun = time.perf_counter_ns()
                    self.network(batch)
                    bare.append(time.perf_counter_ns() - begun)
        return {"actions": actions, "whole": whole, "bare": bare}


def run(folder, threads):
    """Says what it is, then does jobs until its input ends."""
    try:
        import lerobot
        import torch

        loop = Loop(folder, int(threads))
    except Exception as error:  # Whatever it is, the other side tells it.
        say({"error": f"{type(error).__name__}: {error}"})
        return
    gc.collect()
    versions = {"Python": sys.version.split()[0], "LeRobot": lerobot.__version__, "torch": torch.__version__}
    say({"versions": versions, "cameras": loop.sizes, "joints": len(loop.joints)})
    for line in sys.stdin:
        try:
            say(loop.answer(json.loads(line)))
        except Exception as error:
            say({"error": f"{type(error).__name__}: {error}"})


def say(what):
    """Writes a line of JSON."""
    OUT.write(json.dumps(what) + "\n")
    OUT.flush()


# LeRobot may print; what it prints is not an answer.
OUT, sys.stdout = sys.stdout, sys.stderr
{"make": make, "hollow": hollow, "run": run}[sys.argv[1]](*sys.argv[2:])
