"""Kinematics of the arm, in numpy, from the project's one URDF: forward, vectorised, and inverse.

The robot is described in `urdf/panda.urdf` and nowhere else; this module parses the joints between two links and chains
their transforms. Lengths in metres, angles in radians. It shares no code with the suite's own (`packages/robot`), so that
the golden files which it makes are a second opinion.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ChainJoint:
    """One joint of the chain: its fixed transform [4, 4] and, if it moves, its type, axis [3], name and limits (lower, upper)."""

    name: str
    kind: str
    origin: np.ndarray
    axis: np.ndarray
    limits: tuple[float, float] = (-np.inf, np.inf)


def _vector(text: str | None, default: str) -> np.ndarray:
    return np.array([float(part) for part in (text or default).split()])


def _origin(element: ElementTree.Element | None) -> np.ndarray:
    """Transform of a URDF `origin`: translation, then fixed-axis roll, pitch, yaw."""
    transform = np.eye(4)
    if element is None:
        return transform
    roll, pitch, yaw = _vector(element.get("rpy"), "0 0 0")
    (cr, sr), (cp, sp), (cy, sy) = ((np.cos(angle), np.sin(angle)) for angle in (roll, pitch, yaw))
    transform[:3, :3] = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    transform[:3, 3] = _vector(element.get("xyz"), "0 0 0")
    return transform


class Chain:
    """The joints from `base` to `tip` of a URDF."""

    def __init__(self, urdf: Path, base: str, tip: str) -> None:
        """Parse the file and walk from `tip` up to `base`; raises ValueError when they are not connected."""
        by_child = {}
        for joint in ElementTree.parse(urdf).getroot().findall("joint"):
            child = joint.find("child")
            if child is not None:
                by_child[child.get("link")] = joint
        self.joints: list[ChainJoint] = []
        link = tip
        while link != base:
            if link not in by_child:
                raise ValueError(f"{urdf}: link {tip!r} does not hang on {base!r} (no joint above {link!r})")
            joint = by_child[link]
            axis = joint.find("axis")
            self.joints.append(
                ChainJoint(
                    name=joint.get("name", ""),
                    kind=joint.get("type", "fixed"),
                    origin=_origin(joint.find("origin")),
                    axis=_vector(axis.get("xyz") if axis is not None else None, "1 0 0"),
                    limits=_limits(joint),
                )
            )
            link = joint.find("parent").get("link")
        self.joints.reverse()

    def moving(self) -> list[ChainJoint]:
        """The joints that move, nearest to the base first: the order of the arguments of `jacobian` and `solve`."""
        return [joint for joint in self.joints if joint.kind != "fixed"]

    def pose(self, names: list[str], values: np.ndarray) -> np.ndarray:
        """Tip poses [..., 4, 4] in the base frame, for joint positions [..., len(names)] in the order of `names`."""
        flat = np.asarray(values, np.float64).reshape(-1, len(names))
        pose = np.broadcast_to(np.eye(4), (len(flat), 4, 4))
        for joint in self.joints:
            pose = pose @ joint.origin
            if joint.kind == "fixed":
                continue
            value = flat[:, names.index(joint.name)]
            move = np.broadcast_to(np.eye(4), (len(flat), 4, 4)).copy()
            if joint.kind == "prismatic":
                move[:, :3, 3] = value[:, None] * joint.axis
            else:
                move[:, :3, :3] = _about(joint.axis / np.linalg.norm(joint.axis), value)
            pose = pose @ move
        return pose.reshape(*np.shape(values)[:-1], 4, 4)

    def position(self, names: list[str], values: np.ndarray) -> np.ndarray:
        """Tip position [..., 3] in the base frame, for joint positions [..., len(names)] in the order of `names`."""
        return self.pose(names, values)[..., :3, 3]

    def jacobian(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pose of the tip [4, 4], and its Jacobian [6, n] (linear, then angular, in the base frame)."""
        pose, axes, origins = np.eye(4), [], []
        for joint in self.joints:
            pose = pose @ joint.origin
            if joint.kind == "fixed":
                continue
            axis = joint.axis / np.linalg.norm(joint.axis)
            axes.append(pose[:3, :3] @ axis)
            origins.append(pose[:3, 3].copy())
            move = np.eye(4)
            if joint.kind == "prismatic":
                move[:3, 3] = q[len(axes) - 1] * axis
            else:
                move[:3, :3] = _about(axis, q[len(axes) - 1 : len(axes)])[0]
            pose = pose @ move
        columns = []
        for joint, axis, origin in zip(self.moving(), axes, origins, strict=True):
            prismatic = joint.kind == "prismatic"
            columns.append(np.concatenate([axis, np.zeros(3)] if prismatic else [np.cross(axis, pose[:3, 3] - origin), axis]))
        return pose, np.stack(columns, axis=1)

    def solve(self, target: np.ndarray, near: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Joint positions whose tip is at `target` [4, 4]: those next to `near`, a little on the way to `rest` where there is freedom.

        Least change from a point on that way under the constraint of the pose: a Newton step for the pose, and in its null space back to
        the point. ValueError where it does not get there, or only beyond a limit.
        """
        wanted = near + np.clip(LEAN * (rest - near), -MOST_LEAN, MOST_LEAN)
        lower, upper = np.array([joint.limits for joint in self.moving()]).T
        q = near.copy()
        for _ in range(200):
            pose, jacobian = self.jacobian(q)
            error = np.concatenate([target[:3, 3] - pose[:3, 3], rotation_vector(target[:3, :3] @ pose[:3, :3].T)])
            inverse = np.linalg.pinv(jacobian, rcond=1e-6)
            step = inverse @ error + (wanted - q) - inverse @ (jacobian @ (wanted - q))
            if np.linalg.norm(error) < 1e-9 and np.abs(step).max() < 1e-7:
                if ((q < lower - 1e-9) | (q > upper + 1e-9)).any():
                    raise ValueError(f"the pose at {target[:3, 3].round(3)} m needs joints beyond their limits: {q.round(3)}")
                return q
            q = q + step * min(1.0, 0.3 / max(np.abs(step).max(), 1e-12))
        raise ValueError(f"no joint positions found for the pose at {target[:3, 3].round(3)} m")


# Share of the way to the rest posture that a solution goes in its null space, and the most of it (rad or m).
LEAN, MOST_LEAN = 0.035, 0.01


def _limits(joint: ElementTree.Element) -> tuple[float, float]:
    limit = joint.find("limit")
    if limit is None or joint.get("type") == "continuous":
        return -np.inf, np.inf
    return float(limit.get("lower", "0")), float(limit.get("upper", "0"))


def rotation(roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation matrix [3, 3] of URDF's fixed-axis angles: roll about x, then pitch about y, then yaw about z."""
    x, y, z = np.eye(3)
    about = [_about(axis, np.array([angle]))[0] for axis, angle in ((z, yaw), (y, pitch), (x, roll))]
    return about[0] @ about[1] @ about[2]


def rotation_vector(matrix: np.ndarray) -> np.ndarray:
    """Axis times angle [3] of a rotation matrix [3, 3]."""
    # The quaternion of the largest component is well conditioned at every angle, a half turn included.
    m = matrix
    candidates = np.array([1 + m[0, 0] + m[1, 1] + m[2, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2],
                           1 - m[0, 0] + m[1, 1] - m[2, 2], 1 - m[0, 0] - m[1, 1] + m[2, 2]])  # fmt: skip
    rows = [
        [candidates[0], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
        [m[2, 1] - m[1, 2], candidates[1], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
        [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], candidates[2], m[1, 2] + m[2, 1]],
        [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], candidates[3]],
    ]
    q = np.array(rows[int(candidates.argmax())])
    q = q / np.linalg.norm(q) * (1.0 if q[0] >= 0 else -1.0)
    sin = np.linalg.norm(q[1:])
    return np.zeros(3) if sin < 1e-15 else q[1:] / sin * 2.0 * np.arctan2(sin, q[0])


def _about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices [n, 3, 3] about a unit axis (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sin, cos = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sin * cross + (1.0 - cos) * (cross @ cross)
