"""Numbers that are no positions of the robot's joints are refused before anything is written, whatever was said about their unit."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from importers.lerobot import __main__ as command
from importers.lerobot import ranges
from importers.lerobot import robot as robots
from importers.lerobot.errors import ImportFailure

CASES = json.loads((Path(__file__).parents[3] / "packages/policy/tests/data/ranges.json").read_text())
JOINTS = {
    "shoulder_pan": (-1.92, 1.92),
    "shoulder_lift": (-1.75, 1.75),
    "elbow_flex": (-1.69, 1.69),
    "wrist_flex": (-1.66, 1.66),
    "wrist_roll": (-2.74, 2.84),
    "gripper": (-0.17, 1.75),
}
DEGREES = [("mean", [3.1, -20.0, 35.2, 60.4, -2.0, 12.0]), ("std", [18.0, 42.0, 31.0, 14.0, 22.0, 11.0])]


def stat(value: dict | None) -> ranges.Stat | None:
    """Of a case."""
    return ranges.Stat(value["kind"], *value["of"]) if value else None


def column(joint: dict) -> ranges.Column:
    """Of a case."""
    stats = {name: stat(joint.get(name)) for name in ("state", "action", "change")}
    given = {name: joint[name] for name in ("seen", "done", "rest", "waived") if name in joint}
    return ranges.Column(joint["name"], joint["unit"], tuple(joint["limits"]) or None, **stats, **given)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_runtime_says_the_same(case: dict) -> None:
    problems, waived = ranges.compare([column(joint) for joint in case["joints"]])
    assert [problem.joint for problem in problems] == case["refused"]
    assert [problem.joint for problem in waived] == case["waived"]
    told = [str(problem) for problem in problems + waived]
    for part in case["says"]:
        assert any(part in text for text in told), told


def urdf(folder: Path) -> Path:
    """Of an SO-101, as far as it is looked at."""
    joint = '<joint name="{}" type="revolute"><limit lower="{}" upper="{}" velocity="1" effort="1"/></joint>'
    text = "".join(joint.format(name, *limits) for name, limits in JOINTS.items())
    file = folder / "so101.urdf"
    file.write_text(f'<robot name="so101"><link name="base"/>{text}</robot>')
    return file


def gather(*extra: str) -> robots.Robot:
    """The robot of these options, for a checkpoint of six joints."""
    feature = SimpleNamespace(shape=(6,))
    checkpoint = SimpleNamespace(state=lambda: feature, action=feature, images=list)
    robot = ["--robot-joints", ",".join(JOINTS), "--units", "rad", "--base-link", "base", "--tip-link", "tip", "--fps", "30"]
    return robots.gather(command.parser().parse_args(["checkpoint", "--out", "out", *robot, *extra]), checkpoint)


def checked(robot: robots.Robot, factor: float = 1.0) -> list[str]:
    """What is said of the data set in degrees, times a factor."""
    statistics = ("MEAN_STD", {name: factor * np.asarray(values) for name, values in DEGREES})
    return ranges.check(ranges.columns(robot, [statistics, statistics]))


@pytest.mark.parametrize("described", [True, False], ids=["with --urdf", "without"])
def test_degrees_without_the_flag_are_refused_and_with_it_they_pass(tmp_path: Path, described: bool) -> None:
    description = ["--urdf", str(urdf(tmp_path))] if described else []
    with pytest.raises(ImportFailure, match=r"shoulder_lift.* is -20 rad.*degrees taken for radians"):
        checked(gather(*description))
    assert checked(gather(*description, "--lerobot-units", "degrees")) == []


def test_a_flag_that_declares_a_unit_is_compared_too(tmp_path: Path) -> None:
    flags = ["--urdf", str(urdf(tmp_path)), "--lerobot-units", "degrees"]
    with pytest.raises(ImportFailure, match="radians taken for degrees"):
        checked(gather(*flags), np.pi / 180.0)


def test_only_what_names_the_joint_passes_and_it_is_told(tmp_path: Path) -> None:
    description = ["--urdf", str(urdf(tmp_path))]
    with pytest.raises(ImportFailure, match="shoulder_pan"):
        checked(gather(*description, "--ranges-not-compared", "gripper"))
    robot = gather(*description, "--ranges-not-compared", ",".join(JOINTS))
    assert robot.ranges_not_compared == list(JOINTS)
    assert [name in note for name, note in zip(JOINTS, checked(robot), strict=True)] == [True] * 6
    with pytest.raises(ImportFailure, match="'thumb' is not one of"):
        gather(*description, "--ranges-not-compared", "thumb")


def test_the_worked_example_is_compared_where_nothing_is_normalised(tmp_path: Path) -> None:
    robot = gather("--urdf", str(urdf(tmp_path)))
    nothing = [("IDENTITY", {})] * 2
    assert ranges.check(ranges.columns(robot, nothing, [0.0] * 6, [0.1] * 12)) == []
    with pytest.raises(ImportFailure, match=r"elbow_flex.*worked example"):
        ranges.check(ranges.columns(robot, nothing, [0.0] * 6, [0.0, 0.0, 90.0, 0.0, 0.0, 0.0] * 2))


def test_another_robots_description_is_refused_by_joint(tmp_path: Path) -> None:
    file = urdf(tmp_path)
    file.write_text(file.read_text().replace("elbow_flex", "elbow"))
    with pytest.raises(ImportFailure, match="has no joint 'elbow_flex'"):
        gather("--urdf", str(file))
    file.write_text(file.read_text().replace('name="elbow"', 'name="elbow_flex"').replace("revolute", "prismatic"))
    with pytest.raises(ImportFailure, match=r"'shoulder_pan' is in rad, but .* prismatic"):
        gather("--urdf", str(file))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("place", ["first", "second", "seen", "done", "rest"])
def test_what_is_no_number_is_refused_by_joint(bad: float, place: str) -> None:
    good = [ranges.Column(name, "rad", limits, state=ranges.Stat("min_max", -0.5, 0.5)) for name, limits in JOINTS.items()]
    joint = good[2]
    # Nothing passes it, not even an override.
    joint.waived = True
    if place in ("first", "second"):
        joint.action = ranges.Stat("mean_std", *((bad, 0.1) if place == "first" else (0.0, bad)))
    else:
        setattr(joint, place, bad if place == "rest" else [0.1, bad])
    with pytest.raises(ImportFailure, match=r"'elbow_flex': a .*(nan|inf) rad, but it must be a finite number"):
        ranges.check(good)
