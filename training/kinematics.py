"""Forward kinematics of the arm, vectorised in numpy, from the project's one URDF.

The robot is described in `urdf/panda.urdf` and nowhere else; this module parses the joints between two links and chains
their transforms. Lengths in metres, angles in radians.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ChainJoint:
    """One joint of the chain: its fixed transform [4, 4] and, if it moves, its type, axis [3] and name."""

    name: str
    kind: str
    origin: np.ndarray
    axis: np.ndarray


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
                )
            )
            link = joint.find("parent").get("link")
        self.joints.reverse()

    def position(self, names: list[str], values: np.ndarray) -> np.ndarray:
        """Tip position [..., 3] in the base frame, for joint positions [..., len(names)] in the order of `names`."""
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
        return pose[:, :3, 3].reshape(*np.shape(values)[:-1], 3)


def _about(axis: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation matrices [n, 3, 3] about a unit axis (Rodrigues' formula)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sin, cos = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + sin * cross + (1.0 - cos) * (cross @ cross)
