"""Whether a checkpoint's statistics can be positions of the robot's joints.

The rules are those of packages/policy/src/ranges.rs, which says why they are so.
Both are held against packages/policy/tests/data/ranges.json. Plain Python: this runs before torch is imported.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from importers.lerobot.errors import ImportFailure

if TYPE_CHECKING:
    from importers.lerobot.robot import Robot

DEGREES = 180.0 / math.pi
TURN = 2.0 * math.pi
# Less is more likely another zero than degrees.
LEAST_DEGREES = 7.0
# What was normalised ends where it should within this; fewer joints may end there by chance.
EXACTLY = 1e-3
LEAST_NORMALISED = 3


@dataclass(frozen=True)
class Stat:
    """Statistics of a column: mean_std, min_max or quantiles."""

    kind: str
    first: float
    second: float

    def interval(self, deviations: float = 3.0) -> tuple[float, float]:
        """Where all values lie, or nearly all."""
        if self.kind == "mean_std":
            return self.first - deviations * self.second, self.first + deviations * self.second
        return self.first, self.second

    def numbers(self) -> list[tuple[str, float, float]]:
        """Its numbers by name, and how far each may be beyond a limit, in widths."""
        if self.kind == "mean_std":
            return [("mean", self.first, 0.5)]
        middle = ("middle", (self.first + self.second) / 2, 0.5)
        if self.kind == "min_max":
            return [middle, ("least value", self.first, 1.5), ("largest value", self.second, 1.5)]
        return [middle, ("low quantile", self.first, 1.0), ("high quantile", self.second, 1.0)]

    def is_normalised(self) -> bool:
        """Whether these are numbers that were normalised: -1 to 1, or 0 to 1."""
        if self.kind == "mean_std" or abs(self.second - 1.0) > EXACTLY:
            return False
        return min(abs(self.first + 1.0), abs(self.first)) <= EXACTLY

    def over(self, factor: float) -> Stat:
        """Divided."""
        return Stat(self.kind, self.first / factor, self.second / factor)


@dataclass
class Problem:
    """A number that is no position of its joint."""

    joint: str
    what: str
    value: float
    unit: str
    against: str
    looks_like: str = ""

    def __str__(self) -> str:
        """As the runtime says it."""
        return (
            f"joint '{self.joint}': {self.what} is {short(self.value)} {self.unit}, but {self.against}; that looks like {self.looks_like}"
        )


@dataclass
class Column:
    """All that is known of a joint, in the robot's units."""

    name: str
    unit: str
    limits: tuple[float, float] | None = None
    waived: bool = False
    state: Stat | None = None
    action: Stat | None = None
    change: Stat | None = None
    seen: list[float] = field(default_factory=list)
    done: list[float] = field(default_factory=list)
    rest: float | None = None

    def bounds(self) -> tuple[float, float]:
        """Limits; those of a joint without any are two turns or 10 m."""
        if self.limits is not None:
            return self.limits
        return (-2 * TURN, 2 * TURN) if self.unit == "rad" else (-10.0, 10.0)

    def width(self) -> float:
        """Of the limits."""
        low, high = self.bounds()
        return max(high - low, 0.01 if self.unit == "rad" else 0.001)

    def beyond(self, value: float) -> float:
        """How far a value is beyond the limits, in their widths."""
        low, high = self.bounds()
        return max(low - value, value - high, 0.0) / self.width()

    def problem(self, what: str, value: float) -> Problem:
        """Of a number."""
        if self.limits is not None:
            against = f"its limits are {short(self.limits[0])} to {short(self.limits[1])} {self.unit}"
        elif self.unit == "rad":
            against = "a joint without limits is not wound up by more than two turns"
        else:
            against = "a joint without limits is not moved by more than 10 m"
        return Problem(self.name, what, value, self.unit, against)

    def wrong_statistic(self, of: str, stat: Stat) -> Problem | None:
        """The first statistic that no position has."""
        bounded = self.limits is not None
        for name, value, most in stat.numbers():
            allowed = most if bounded else (3.5 if most > 0.5 else 0.0)
            if self.beyond(value) > allowed:
                return self.problem(f"the {name} of its {of}", value)
        low, high = self.bounds()
        if stat.kind == "mean_std" and stat.second > (self.width() if bounded else high):
            return self.problem(f"the standard deviation of its {of}", stat.second)
        least, most = stat.interval()
        margin = max(0.1 * self.width(), 0.05 if self.unit == "rad" else 0.002)
        if bounded and most < low - margin:
            return self.problem(f"the upper end of its {of}", most)
        if bounded and least > high + margin:
            return self.problem(f"the lower end of its {of}", least)
        return None

    def not_finite(self) -> Problem | None:
        """A number that is none."""
        stats = [("states", self.state), ("actions", self.action), ("changes", self.change)]
        numbers = [(f"a statistic of its {of}", value) for of, stat in stats if stat for value in (stat.first, stat.second)]
        single = [*self.seen, *self.done, *([] if self.rest is None else [self.rest])]
        numbers += [("a number of the worked example or of the rest posture", value) for value in single]
        for what, value in numbers:
            if not math.isfinite(value):
                against, looks_like = "it must be a finite number", "a data set with samples that are none"
                return Problem(self.name, what, value, self.unit, against, looks_like)
        return None

    def wrong_change(self, stat: Stat) -> Problem | None:
        """Changes are as small as the way from limit to limit."""
        low, high = self.bounds()
        least, most = stat.interval(1.0)
        far = most if abs(most) > abs(least) else least
        return self.problem("the size of the changes by its actions", far) if abs(far) > 1.5 * max(high - low, 1e-3) else None

    def wrong_example(self) -> Problem | None:
        """What the worked example and the rest posture say."""
        worst = max(self.seen, key=self.beyond, default=None)
        if worst is not None and self.beyond(worst) > 1.0:
            return self.problem("its position in the worked example", worst)
        if self.done:
            mean = sum(self.done) / len(self.done)
            if self.beyond(mean) > 1.0:
                return self.problem("the mean of its actions in the worked example", mean)
            worst = max(self.done, key=self.beyond)
            if self.beyond(worst) > 2.0:
                return self.problem("an action of its in the worked example", worst)
        if self.rest is not None and self.beyond(self.rest) > 0.5:
            return self.problem("its place in action.rest_posture", self.rest)
        return None

    def wrong(self) -> Problem | None:
        """The first thing that is wrong with it by itself."""
        found = self.wrong_statistic("states", self.state) if self.state else None
        found = found or (self.wrong_statistic("actions", self.action) if self.action else None)
        found = found or (self.wrong_change(self.change) if self.change else None)
        return found or self.wrong_example()

    def wrong_pair(self) -> Problem | None:
        """States against actions."""
        if self.state is None or self.action is None:
            return None
        width = self.width() if self.limits is not None else TURN
        s, a = self.state.interval(), self.action.interval()
        narrow, wide = sorted((s[1] - s[0], a[1] - a[0]))
        found = self.problem("the middle of its actions", (a[0] + a[1]) / 2)
        found.against = f"its states are {short(s[0])} to {short(s[1])} and its actions {short(a[0])} to {short(a[1])} {self.unit}"
        least = 0.05 if narrow > 1e-6 * width else 1.2
        if wide > 20.0 * narrow and wide > least * width:
            factor = wide / narrow if narrow > 0 else math.inf
            found.looks_like = "another unit in one than in the other, or actions that count from the state"
            if self.unit == "rad" and 30.0 <= factor < 110.0:
                found.looks_like = "degrees in one and radians in the other"
            elif self.unit == "m" and 500.0 <= factor < 2000.0:
                found.looks_like = "millimetres in one and metres in the other"
            return found
        if max(s[0] - a[1], a[0] - s[1]) > 0.25 * width:
            found.looks_like = "actions that count from the state (relative), or another zero or unit in one than in the other"
            return found
        return None

    def largest(self) -> float:
        """Magnitude of its largest number."""
        stats = [abs(v) for s in (self.state, self.action, self.change) if s for v in s.interval(1.0)]
        return max([*stats, *map(abs, self.seen), *map(abs, self.done), abs(self.rest or 0.0)])

    def over(self, factor: float) -> Column:
        """All its numbers divided."""
        stats = {name: stat.over(factor) if (stat := getattr(self, name)) else None for name in ("state", "action", "change")}
        lists = {"seen": [v / factor for v in self.seen], "done": [v / factor for v in self.done]}
        return replace(self, **stats, **lists, rest=None if self.rest is None else self.rest / factor)


def short(value: float) -> str:
    """A number with as many digits as are read."""
    if not math.isfinite(value):
        return str(value)
    digits = 1.0 if value == 0.0 else math.floor(math.log10(abs(value)))
    text = f"{value:.{int(min(max(3.0 - digits, 0.0), 6.0))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def likeness(column: Column, far: list[Column]) -> str:
    """What the numbers of a column look like; `far` are all that were found."""
    alike = [c for c in far if c.unit == column.unit and not c.waived]

    def fits(factor: float) -> bool:
        good = sum(c.over(factor).wrong() is None for c in alike)
        return 2 * good >= len(alike) if alike else column.over(factor).wrong() is None

    stats = [s for c in alike for s in (c.state, c.action) if s is not None and s.kind != "mean_std"]
    hundred = [any(95.0 <= abs(v) <= 101.0 for v in s.interval()) for s in stats]
    if stats and all(s.first >= -101.0 and s.second <= 101.0 for s in stats) and 2 * sum(hundred) >= len(stats):
        return "LeRobot's normalised positions (-100 to 100, grippers 0 to 100)"
    if column.unit == "rad" and max(c.largest() for c in [column, *alike]) > LEAST_DEGREES and fits(DEGREES):
        return "degrees taken for radians (or LeRobot's normalised -100 to 100)"
    if column.unit == "m" and fits(100.0):
        return "centimetres taken for metres"
    if column.unit == "m" and fits(1000.0):
        return "millimetres taken for metres (or a gripper's 0 to 100)"
    return "positions of something else: another joint, another zero, or poses of the end effector"


def tiny(columns: list[Column], unit: str, factor: float) -> list[int]:
    """Joints whose positions are all so near zero that they look divided by `factor`."""
    moved = []
    for place, column in enumerate(columns):
        stat = column.state or column.action
        if stat is None or column.limits is None or column.unit != unit or column.waived:
            continue
        low, high = stat.interval(2.0)
        if high > low or high != 0.0:
            moved.append((place, factor * max(abs(high), abs(low)) <= 1.5 * max(map(abs, column.limits))))
    small = [place for place, is_small in moved if is_small]
    return small if len(small) >= (len(moved) - 1 if len(moved) >= 4 else max(len(moved), 2)) else []


def normalised(columns: list[Column]) -> list[tuple[int, str, Stat]]:
    """Joints whose numbers were normalised, as those of all of them were; but for those whose limits are these numbers."""
    for of in ("state", "action"):
        stats = [getattr(column, of) for column in columns]
        if len(stats) < LEAST_NORMALISED or not all(stat is not None and stat.is_normalised() for stat in stats):
            continue

        def apart(column: Column, stat: Stat) -> bool:
            if column.limits is None:
                return True
            return abs(stat.first - column.limits[0]) > EXACTLY or abs(stat.second - column.limits[1]) > EXACTLY

        return [(k, f"{of}s", stat) for k, (column, stat) in enumerate(zip(columns, stats, strict=True)) if apart(column, stat)]
    return []


def _of_unit_length(four: list[Column], name: str) -> bool:
    stats = [getattr(column, name) for column in four]
    if any(s is None or s.kind != "mean_std" or abs(s.first) > 1.0 for s in stats):
        return False
    return abs(sum(s.first**2 + s.second**2 for s in stats) - 1.0) < 0.005


def _rows_of_unit_length(four: list[Column]) -> bool:
    for stat in (s for c in four for s in (c.state, c.action) if s is not None):
        if stat.kind == "mean_std" or stat.first < -1.02 or stat.second > 1.02:
            return False

    def unit(rows: Callable[[Column], list[float]], tolerance: float, least: int) -> bool:
        lengths = [math.sqrt(sum(v * v for v in row)) for row in zip(*(rows(c) for c in four), strict=False)]
        return len(lengths) >= least and all(abs(length - 1.0) < tolerance for length in lengths)

    return unit(lambda c: c.done, 0.02, 2) or unit(lambda c: c.seen, 1e-3, 1)


def quaternion(columns: list[Column]) -> list[int]:
    """Places of four columns that hold a unit quaternion, behind three others."""
    n = len(columns)
    if n < 7:
        return []
    for start in sorted({3, n - 4, n - 5, 10, 11}):
        four = columns[start : start + 4]
        if start < 3 or len(four) < 4 or any(c.unit != "rad" or c.waived for c in four):
            continue
        if _of_unit_length(four, "state") or _of_unit_length(four, "action") or _rows_of_unit_length(four):
            return list(range(start, start + 4))
    return []


def compare(columns: list[Column]) -> tuple[list[Problem], list[Problem]]:
    """What is refused, and what would be of joints that are named in ranges_not_compared."""
    # With these nothing can be compared, whatever is waived.
    problems = [problem for column in columns if (problem := column.not_finite())]
    if problems:
        return problems, []
    found = [column.wrong() for column in columns]
    far = [column for column, problem in zip(columns, found, strict=True) if problem]
    for column, problem in zip(columns, found, strict=True):
        if problem:
            problem.looks_like = likeness(column, far)
    found = [problem or column.wrong_pair() for column, problem in zip(columns, found, strict=True)]
    for unit, factor, looks_like in (
        ("rad", DEGREES, "radians taken for degrees (converted once too often)"),
        ("m", 1000.0, "metres taken for millimetres (converted once too often)"),
    ):
        for place in tiny(columns, unit, factor):
            stat = columns[place].state or columns[place].action
            if found[place] is None and stat is not None:
                low, high = stat.interval(2.0)
                found[place] = columns[place].problem("the largest of its positions", high if abs(high) > abs(low) else low)
                found[place].looks_like = looks_like
    for place, of, stat in normalised(columns):
        if found[place] is None:
            problem = columns[place].problem(f"the largest value of its {of}", stat.second)
            problem.against += ", and all joints have just these numbers"
            problem.looks_like = "numbers that were normalised (-1 to 1, or 0 to 1), not positions"
            found[place] = problem
    for place in quaternion(columns):
        problem = found[place]
        if problem is None:
            stat = columns[place].state or columns[place].action
            problem = columns[place].problem("the middle of its positions", sum(stat.interval()) / 2 if stat else 0.0)
            problem.against = "it and its neighbours are four numbers whose squares sum up to 1"
            found[place] = problem
        problem.looks_like = "poses of the end effector (x, y, z and a unit quaternion), not joint positions"
    told = list(zip(columns, found, strict=True))
    return [p for c, p in told if p and not c.waived], [p for c, p in told if p and c.waived]


def limits_of(urdf: Path) -> dict[str, tuple[str, tuple[float, float] | None]]:
    """Kind and position limits of each joint of a description."""
    try:
        root = ET.parse(urdf).getroot()
    except (OSError, ET.ParseError) as error:
        raise ImportFailure(f"--urdf {urdf}: {error}") from error
    joints: dict[str, tuple[str, tuple[float, float] | None]] = {}
    for joint in root.findall("joint"):
        limit, kind = joint.find("limit"), joint.get("type", "")
        try:
            given = limit is not None and kind in ("revolute", "prismatic")
            bounds = (float(limit.get("lower", "0")), float(limit.get("upper", "0"))) if given else None
        except ValueError as error:
            raise ImportFailure(f"--urdf {urdf}: joint '{joint.get('name')}': {error}") from error
        joints[joint.get("name", "")] = (kind, bounds)
    return joints


def columns(
    robot: Robot, statistics: list[tuple[str, dict[str, list[float]]]], seen: list[float] = (), done: list[float] = ()
) -> list[Column]:
    """Of a checkpoint: LeRobot's statistics of states and of actions, and its worked example, in the robot's units."""
    kinds = {"MEAN_STD": "mean_std", "MIN_MAX": "min_max", "QUANTILES": "quantiles", "QUANTILE10": "quantiles"}
    count = len(robot.joints)

    def stat(place: int, given: tuple[str, dict[str, list[float]]]) -> Stat | None:
        mode, values = given
        if mode not in kinds:
            return None
        scale, offset = robot.scale[place], robot.offset[place]
        first, second = (float(value[place]) for value in values.values())
        if mode == "MEAN_STD":
            return Stat("mean_std", scale * first + offset, scale * second)
        return Stat(kinds[mode], scale * first + offset, scale * second + offset)

    return [
        Column(
            name=joint,
            unit=robot.units[place],
            limits=robot.limits.get(joint),
            waived=joint in robot.ranges_not_compared,
            state=stat(place, statistics[0]),
            action=stat(place, statistics[1]),
            seen=list(seen[place::count]),
            done=list(done[place::count]),
            rest=robot.rest_posture[place] if robot.rest_posture is not None else None,
        )
        for place, joint in enumerate(robot.joints)
    ]


def check(compared: list[Column]) -> list[str]:
    """Refuse what is wrong; what is waived, in words."""
    problems, waived = compare(compared)
    if problems:
        more = [problem.joint for problem in problems[3:]]
        raise ImportFailure(
            "; ".join(str(problem) for problem in problems[:3])
            + (f"; the same of {', '.join(more)}" if more else "")
            + ". Say what the data set has (--lerobot-units, or scale and offset in --robot FILE); where a joint's numbers are right as "
            "they are, name it with --ranges-not-compared"
        )
    return [f"not refused, as --ranges-not-compared names it: {problem}" for problem in waived]
