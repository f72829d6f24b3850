"""What the episodes, the training and the packages of this project have in common (ARCHITECTURE.md, "Contracts between the packages").

Nothing here needs torch or a reader of bags.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOINTS = [f"panda_joint{i}" for i in range(1, 8)] + ["panda_finger_joint1"]
BASE, TIP = "panda_link0", "panda_hand_tcp"
HORIZON = 16
STEP_NS = 100_000_000
ACTION_NAMES = ["x", "y", "z", "gripper"]
# Height and width of the pictures.
CAMERAS = {"front": (72, 96), "wrist": (48, 64)}
# Rows after which the policies look again in evaluation.
REPLAN_STEPS = 2
