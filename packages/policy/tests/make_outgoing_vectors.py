#!/usr/bin/env python3
"""Writes chunks as they go out, of made-up actions, by training's own kinematics into tests/data/outgoing.json. Needs numpy.

Poses all over the table, paths that bend, fingers beyond their limits: what `tests/conversion.rs` has the runtime do as well.
"""
import json
import pathlib
import sys

import numpy as np

ROOT = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))
from training import outgoing  # noqa: E402
from training.contract import BASE, HORIZON, JOINTS, TIP  # noqa: E402
from training.kinematics import Chain, rotation  # noqa: E402

LOW, HIGH = np.array([0.35, -0.25, 0.05]), np.array([0.6, 0.25, 0.4])


def case(chain, rng):
    rest = np.array(outgoing.START_POSTURE)
    start = np.eye(4)
    start[:3, :3] = rotation(np.pi + rng.normal(0, 0.01), rng.normal(0, 0.01), rng.normal(0, 0.02))
    start[:3, 3] = rng.uniform(LOW, HIGH)
    joints = rest.copy()
    joints[:7] = chain.solve(start, rest[:7], rest[:7])
    joints[7] = rng.uniform(0, 0.04)
    # There on a bent way, and on.
    to, over = rng.uniform(LOW, HIGH), rng.uniform(LOW, HIGH)
    t = np.linspace(0, 1, HORIZON + 1)[1:, None]
    at = (1 - t) ** 2 * start[:3, 3] + 2 * t * (1 - t) * over + t**2 * to
    at = start[:3, 3] + 0.6 * (at - start[:3, 3])
    actions = np.concatenate([at - start[:3, 3], rng.uniform(-0.005, 0.05, (HORIZON, 1))], axis=1)
    joints, actions = joints.round(9), actions.round(9)
    return {"joints": joints.tolist(), "actions": actions.tolist(), "outgoing": outgoing.chunk(joints, actions, rest)}


def main():
    chain, rng = Chain(ROOT / "urdf/panda.urdf", BASE, TIP), np.random.default_rng(12)
    assert JOINTS[:7] == [joint.name for joint in chain.moving()]
    cases = [case(chain, rng) for _ in range(16)]
    (pathlib.Path(__file__).parent / "data" / "outgoing.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    main()
