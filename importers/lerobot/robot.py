"""What a LeRobot checkpoint does not say about its robot: names, units, links and the rate."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from importers.lerobot.errors import ImportFailure
from importers.lerobot.ranges import limits_of

if TYPE_CHECKING:
    from importers.lerobot.checkpoint import Checkpoint, Feature

KEYS = {"joints", "units", "base_link", "tip_link", "fps", "gripper_joint", "rest_posture", "lerobot_units", "scale", "offset", "cameras"}
KEYS |= {"ranges_not_compared"}


@dataclass
class Robot:
    """The robot of a checkpoint, in the words of its URDF."""

    joints: list[str]
    units: list[str]
    base_link: str
    tip_link: str
    fps: float
    gripper_joint: str | None = None
    rest_posture: list[float] | None = None
    # Robot units = scale * LeRobot's number + offset, by joint.
    scale: list[float] = field(default_factory=list)
    offset: list[float] = field(default_factory=list)
    # Names of cameras by LeRobot's keys.
    cameras: dict[str, str] = field(default_factory=dict)
    # Position limits by joint, where the description is known.
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    # Joints whose numbers are right although they look wrong.
    ranges_not_compared: list[str] = field(default_factory=list)

    def camera(self, feature: Feature) -> str:
        """The name of a camera on the robot."""
        named = self.cameras.get(feature.key)
        if named is None:
            named = re.sub(r"[^0-9A-Za-z_]", "_", feature.key.removeprefix("observation.images.").removeprefix("observation."))
        if not re.fullmatch(r"[A-Za-z_][0-9A-Za-z_]*", named):
            raise ImportFailure(
                f"camera {feature.key}: '{named}' cannot be part of a topic name; give another with --camera {feature.key}=NAME"
            )
        return named


def _texts(value: object, key: str) -> list[str]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",")]
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ImportFailure(f"{key}: is {value!r}; expected a list of names")
    return value


def _numbers(value: object, key: str, count: int) -> list[float]:
    if isinstance(value, int | float):
        value = [value] * count
    if not isinstance(value, list) or len(value) != count or not all(isinstance(v, int | float) and math.isfinite(v) for v in value):
        raise ImportFailure(f"{key}: is {value!r}; expected {count} numbers, one a joint")
    return [float(v) for v in value]


def _limits(urdf: Path, joints: list[str], units: list[str]) -> dict[str, tuple[float, float]]:
    """Position limits of the joints that have any."""
    described, limits = limits_of(urdf), {}
    for joint, unit in zip(joints, units, strict=True):
        if joint not in described:
            raise ImportFailure(f"--urdf {urdf}: has no joint '{joint}'; it has {', '.join(sorted(described))}")
        kind, bounds = described[joint]
        expected = {"revolute": "rad", "continuous": "rad", "prismatic": "m"}.get(kind)
        if unit != expected:
            raise ImportFailure(
                f"units: joint '{joint}' is in {unit}, but in {urdf} it is {kind}; expected {expected or 'a joint that moves'}"
            )
        if bounds is not None and bounds[0] <= bounds[1]:
            limits[joint] = bounds
    return limits


def options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what the checkpoint does not."""
    group = parser.add_argument_group("the robot (a YAML file with --robot, or option by option; options win)")
    group.add_argument("--robot", type=Path, help=f"YAML with any of: {', '.join(sorted(KEYS))}")
    group.add_argument("--robot-joints", metavar="A,B,...", help="joints of the URDF, in the order of LeRobot's state and actions")
    group.add_argument("--units", metavar="rad,m,...", help="unit of each joint in the URDF: rad or m (one for all is enough)")
    group.add_argument("--base-link", help="link that the arm is mounted with")
    group.add_argument("--tip-link", help="link of the tool centre")
    group.add_argument("--fps", type=float, help="rate of the data set that the policy learned from, rows a second")
    group.add_argument("--gripper-joint", help="joint whose commands are kept within its limits")
    group.add_argument(
        "--lerobot-units",
        choices=["ros", "degrees"],
        help="degrees: the data set has degrees where the URDF has radians (default ros: the same)",
    )
    group.add_argument(
        "--urdf", type=Path, metavar="FILE", help="the robot's description: statistics are compared with its position limits"
    )
    group.add_argument(
        "--ranges-not-compared",
        metavar="A,B,...",
        help="joints whose numbers are right although they do not fit the limits; written into the package and told whenever it is used",
    )
    group.add_argument(
        "--camera", action="append", default=[], metavar="KEY=NAME", help="name of a camera here, as observation.images.top=front"
    )


def gather(arguments: argparse.Namespace, checkpoint: Checkpoint) -> Robot:
    """The robot of file and options, compared with the checkpoint. Names everything that is missing at once."""
    given: dict = {}
    if arguments.robot is not None:
        try:
            given = yaml.safe_load(arguments.robot.read_text()) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ImportFailure(f"{arguments.robot}: {error}") from error
        unknown = set(given) - KEYS if isinstance(given, dict) else {"(not a mapping)"}
        if unknown:
            raise ImportFailure(
                f"{arguments.robot}: unknown {', '.join(sorted(map(str, unknown)))}; expected any of {', '.join(sorted(KEYS))}"
            )
    named = {"joints": "robot_joints", "units": "units", "base_link": "base_link", "tip_link": "tip_link", "fps": "fps"}
    named |= {"gripper_joint": "gripper_joint", "lerobot_units": "lerobot_units", "ranges_not_compared": "ranges_not_compared"}
    for key, option in named.items():
        if getattr(arguments, option) is not None:
            given[key] = getattr(arguments, option)
    needed = {
        "joints": "--robot-joints: names of the URDF's joints, in the order of LeRobot's state",
        "units": "--units: rad or m for each",
        "base_link": "--base-link",
        "tip_link": "--tip-link",
        "fps": "--fps: rows a second of the data set",
    }
    count = checkpoint.state().shape[0]
    missing = [text for key, text in needed.items() if given.get(key) is None]
    if missing:
        raise ImportFailure(
            f"LeRobot's config does not say what the robot is called ({count} values of state, {checkpoint.action.shape[0]} of action). "
            + "Missing: "
            + "; ".join(missing)
            + ". Or put them into a file: --robot FILE"
        )
    joints = _texts(given["joints"], "joints")
    if len(joints) != count:
        raise ImportFailure(f"joints: {len(joints)} names ({', '.join(joints)}), but observation.state has {count} values")
    if checkpoint.action.shape[0] != len(joints):
        raise ImportFailure(
            f"action has {checkpoint.action.shape[0]} columns, but there are {len(joints)} joints; only actions that are positions of all "
            "joints of the state are supported"
        )
    units = _texts(given["units"], "units")
    units = units * count if len(units) == 1 else units
    if len(units) != count or set(units) - {"rad", "m"}:
        raise ImportFailure(f"units: are {', '.join(units)}; expected {count} of rad or m")
    fps = given["fps"]
    if not isinstance(fps, int | float) or not 0.1 <= fps <= 1000.0:
        raise ImportFailure(f"fps: is {fps!r}; expected 0.1 to 1000 rows a second")
    if given.get("gripper_joint") not in (None, *joints):
        raise ImportFailure(f"gripper_joint: '{given['gripper_joint']}' is not one of {', '.join(joints)}")
    not_compared = _texts(given.get("ranges_not_compared") or [], "ranges_not_compared")
    for joint in not_compared:
        if joint not in joints or not_compared.count(joint) > 1:
            raise ImportFailure(f"ranges_not_compared: '{joint}' is not one of {', '.join(joints)}, or is named twice")
    degrees = given.get("lerobot_units", "ros")
    if degrees not in ("ros", "degrees"):
        raise ImportFailure(f"lerobot_units: is {degrees!r}; expected ros or degrees")
    scale = [math.pi / 180.0 if degrees == "degrees" and unit == "rad" else 1.0 for unit in units]
    scale = _numbers(given["scale"], "scale", count) if "scale" in given else scale
    if min(scale) <= 0.0:
        raise ImportFailure(f"scale: is {scale}; expected positive numbers (turn a joint round in its URDF)")
    cameras = dict(given.get("cameras") or {})
    for pair in arguments.camera:
        key, mark, name = pair.partition("=")
        if not mark:
            raise ImportFailure(f"--camera {pair}: expected KEY=NAME")
        cameras[key] = name
    known = [image.key for image in checkpoint.images()]
    for key in cameras:
        if key not in known:
            raise ImportFailure(f"cameras: '{key}' is not a camera of the checkpoint; it has {', '.join(known) or 'none'}")
    return Robot(
        joints=joints,
        units=units,
        base_link=str(given["base_link"]),
        tip_link=str(given["tip_link"]),
        fps=float(fps),
        gripper_joint=given.get("gripper_joint"),
        rest_posture=_numbers(given["rest_posture"], "rest_posture", count) if "rest_posture" in given else None,
        scale=scale,
        offset=_numbers(given["offset"], "offset", count) if "offset" in given else [0.0] * count,
        cameras=cameras,
        limits=_limits(arguments.urdf, joints, units) if arguments.urdf is not None else {},
        ranges_not_compared=not_compared,
    )
