"""The chunk as it goes out, and pictures at the cameras' own sizes: the parts of a golden file that show how numbers become motion.

    python -m training.outgoing models/panda_tabletop_flow [...]     # puts both into packages of this training that are there

The exporters write both parts (`add`); the command puts them into the golden file of a package without running its networks, from the
`actions` and `joints` that are in it, and writes the file's new sha256 into `policy.yaml`. Of `policy.yaml` nothing else is read or
changed: what the numbers mean is what the data set's labels say (`training.dataset.labels`), so an error in the manifest shows.

- x, y, z: where the tool is to be, counted from where it was at the observation, in the axes of the base; the finger as it is.
- The tool points straight down, as in all demonstrations (the golden frame's own joints must do so too).
- A row every 0.1 s, the first 0.1 s after the observation.
- Where the tool was at the observation (`observed_tools`), by training's kinematics: the networks are repeated with it, whatever the
  robot's description says that they are repeated on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path

import numpy as np

from training import pictures
from training.contract import ACTION_NAMES, BASE, CAMERAS, JOINTS, REPLAN_STEPS, ROOT, STEP_NS, TIP
from training.kinematics import Chain, rotation, rotation_vector

URDF = ROOT / "urdf/panda.urdf"
# Roll, pitch and yaw of the tool in all demonstrations.
TOOL_DOWN = (np.pi, 0.0, 0.0)
# How far from that the tool of a golden frame may point, rad.
NEARLY_DOWN = 0.1


def chunk(joints: np.ndarray, actions: np.ndarray, rest: np.ndarray, replan_steps: int = REPLAN_STEPS, urdf: Path = URDF) -> dict:
    """The part `outgoing` of one chunk.

    `joints` [8] are those of the observation, `actions` [rows, 4] un-normalised (dx, dy, dz, finger; m), `rest` [8] the posture that
    the arm leans to.
    """
    chain = Chain(urdf, BASE, TIP)
    arm = [joint.name for joint in chain.moving()]
    places = [JOINTS.index(name) for name in arm]
    finger = next(joint for joint in Chain(urdf, BASE, "panda_leftfinger").moving() if joint.name == JOINTS[-1])
    joints = np.asarray(joints, np.float64)
    start = chain.pose(JOINTS, joints)
    down = rotation(*TOOL_DOWN)
    turned = np.linalg.norm(rotation_vector(start[:3, :3] @ down.T))
    if turned > NEARLY_DOWN:
        raise ValueError(f"the tool of the golden frame points {turned:.2f} rad away from straight down")
    rows, tools, near = [], [], joints[places]
    for action in np.asarray(actions, np.float64).reshape(-1, len(ACTION_NAMES)):
        target = np.eye(4)
        target[:3, :3] = down
        target[:3, 3] = start[:3, 3] + action[:3]
        near = chain.solve(target, near, np.asarray(rest, np.float64)[places])
        row = joints.copy()
        row[places] = near
        row[JOINTS.index(finger.name)] = np.clip(action[3], *finger.limits)
        rows.append(row)
        tools.append(chain.pose(JOINTS, row)[:3].reshape(-1))
    return {
        "joint_names": JOINTS,
        "times": [(row + 1) * STEP_NS / 1e9 for row in range(len(rows))],
        "joints": np.round(rows, 9).tolist(),
        "tools": np.round(tools, 9).tolist(),
        "replan_steps": replan_steps,
        "gripper_joint": finger.name,
        "rest_posture": [float(v) for v in rest],
    }


def add(document: dict, rest: list[float], replan_steps: int = REPLAN_STEPS) -> dict:
    """Put all parts into the content of a golden file of this training; gives it back.

    A chunk that the arm cannot do has no such part, and that is said: `./efm policy check` then says so, too.
    """
    actions = np.reshape(document["actions"], (-1, len(ACTION_NAMES)))
    document["cameras"] = pictures.cameras(CAMERAS)
    seen = Chain(URDF, BASE, TIP).pose(JOINTS, np.array(document["joints"], np.float64))
    document["observed_tools"] = np.round(seen[:3].reshape(-1), 9).tolist()
    try:
        document["outgoing"] = chunk(np.array(document["joints"]), actions, np.array(rest), replan_steps)
    except ValueError as error:
        print(f"the golden file gets no part 'outgoing': {error}; choose another golden frame", file=sys.stderr)
    return document


def complete(package: Path, rest: list[float]) -> None:
    """Put both parts into the golden file of a package that is there."""
    golden, manifest = package / "golden.json", package / "policy.yaml"
    before = hashlib.sha256(golden.read_bytes()).hexdigest()
    content = (json.dumps(add(json.loads(golden.read_text()), rest)) + "\n").encode()
    text, found = re.subn(before, hashlib.sha256(content).hexdigest(), manifest.read_text())
    if found != 1:
        raise SystemExit(f"{manifest} does not name the sha256 of {golden} ({before}) once")
    golden.write_bytes(content)
    manifest.write_text(text)
    print(f"{golden}: {len(content) / 1e6:.2f} MB")


# Mean of the first frames of all demonstrations (`Frames.start_posture`), as the shipped policies were trained.
START_POSTURE = [-0.0, -0.7859, 0.0001, -2.3568, 0.0001, 1.5707, 0.7849, 0.04]


def main() -> None:
    """Entry point of `python -m training.outgoing`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, nargs="+", metavar="PACKAGE", help="folder of a package that this training made")
    for package in parser.parse_args().packages:
        complete(package, START_POSTURE)


if __name__ == "__main__":
    main()
