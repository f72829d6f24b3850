"""The parts of the golden file that show how numbers become motion, from what the checkpoint and the data set say.

Needs numpy and Pillow only. Nothing is read from the manifest that is written, so an error there shows.
"""

from __future__ import annotations

import math

import numpy as np

from importers.lerobot.errors import ImportFailure
from importers.lerobot.robot import Robot
from training import pictures


def replan(steps: int, horizon: int, chosen: int | None) -> tuple[int, str | None]:
    """Rows after which the policy looks again, and what there is to say about it.

    `steps` is LeRobot's `n_action_steps`, `chosen` is `--replan-steps`. LeRobot's own loop stands still while a policy infers, so there
    `n_action_steps` may be the whole chunk (the default of ACT and SmolVLA). Here the robot goes on meanwhile, and needs rows to go on
    with: then half of a chunk is executed, as LeRobot's asynchronous inference does (`chunk_size_threshold` 0.5).
    """
    if chosen is not None:
        if not 1 <= chosen <= horizon:
            raise ImportFailure(f"--replan-steps: is {chosen}; expected 1 to the rows of a chunk ({horizon})")
        note = f"replan_steps is {chosen} (--replan-steps); n_action_steps of the checkpoint is {steps}"
        return chosen, note if chosen != steps else None
    if steps < horizon or horizon == 1:
        return steps, None
    half = math.ceil(horizon / 2)
    return half, (
        f"replan_steps is {half}, half of a chunk: n_action_steps ({steps}) is all of it, and the arm would come to rest between chunks "
        "while the next one is inferred; --replan-steps N chooses another"
    )


def chunk(robot: Robot, actions: np.ndarray, replan_steps: int) -> dict:
    """The part `outgoing` of LeRobot's actions [rows, joints], in its units: positions of all joints, the first a period after the look."""
    rows = np.array(robot.scale) * np.asarray(actions, np.float64) + np.array(robot.offset)
    if robot.gripper_joint in robot.limits:
        place = robot.joints.index(robot.gripper_joint)
        rows[:, place] = np.clip(rows[:, place], *robot.limits[robot.gripper_joint])
    return {
        "joint_names": robot.joints,
        "times": [(row + 1) / robot.fps for row in range(len(rows))],
        "joints": rows.tolist(),
        "replan_steps": replan_steps,
        "gripper_joint": robot.gripper_joint or "",
    }


def cameras(sizes: dict[str, tuple[int, int]]) -> dict:
    """The part `cameras` of cameras by name (height, width).

    A data set has its pictures at the policy's size already, so another camera's is a matter of choice: the whole of it is seen.
    """
    return pictures.cameras(sizes)
