"""Hand-written decoding of the five message types of an episode.

The generic ROS 2 decoders for Python build an object per field and take milliseconds per image; an episode set has a
million messages. Layout: 4 bytes of encapsulation, then XCDR1 little endian, where every primitive is aligned to its size
counted from after the encapsulation; strings carry their length with the closing NUL, sequences their count.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np


class CdrError(ValueError):
    """A message that is not what its topic promises."""


class Reader:
    """A cursor over one CDR message."""

    def __init__(self, data: bytes) -> None:
        """Check the encapsulation; only little-endian CDR is read."""
        if len(data) < 4 or data[1] != 1:
            raise CdrError(f"not little-endian CDR: starts with {bytes(data[:4]).hex()}")
        self.data = memoryview(data)[4:]
        self.at = 0

    def u32(self) -> int:
        """One uint32."""
        self.at = (self.at + 3) & ~3
        (value,) = struct.unpack_from("<I", self.data, self.at)
        self.at += 4
        return value

    def u8(self) -> int:
        """One byte."""
        self.at += 1
        return self.data[self.at - 1]

    def string(self) -> str:
        """One string."""
        size = self.u32()
        raw = bytes(self.data[self.at : self.at + max(size - 1, 0)])
        self.at += size
        return raw.decode("utf-8")

    def strings(self) -> list[str]:
        """A sequence of strings."""
        return [self.string() for _ in range(self.u32())]

    def doubles(self) -> np.ndarray:
        """A sequence of float64; no copy is made."""
        count = self.u32()
        if count == 0:
            return np.empty(0)
        self.at = (self.at + 7) & ~7
        values = np.frombuffer(self.data, "<f8", count, self.at)
        self.at += 8 * count
        return values

    def stamp(self) -> int:
        """A builtin_interfaces/Time or Duration, in nanoseconds."""
        seconds = struct.unpack("<i", struct.pack("<I", self.u32()))[0]
        return seconds * 1_000_000_000 + self.u32()

    def header(self) -> int:
        """A std_msgs/Header; returns its stamp in nanoseconds."""
        stamp = self.stamp()
        self.string()
        return stamp


@dataclass(frozen=True)
class Trajectory:
    """A trajectory_msgs/JointTrajectory: stamp and times in nanoseconds, positions [points, joints]."""

    stamp: int
    names: list[str]
    positions: np.ndarray
    times: list[int]


def image(data: bytes) -> tuple[int, np.ndarray]:
    """A sensor_msgs/Image in rgb8: (stamp in nanoseconds, uint8 [height, width, 3])."""
    reader = Reader(data)
    stamp = reader.header()
    height, width = reader.u32(), reader.u32()
    encoding = reader.string()
    reader.u8()
    step, size = reader.u32(), reader.u32()
    if encoding != "rgb8" or step < 3 * width or size < step * height:
        raise CdrError(f"image is {encoding} {width}x{height}, step {step}, {size} bytes; rgb8 was expected")
    pixels = np.frombuffer(reader.data, np.uint8, step * height, reader.at).reshape(height, step)
    return stamp, pixels[:, : 3 * width].reshape(height, width, 3)


def joint_state(data: bytes) -> tuple[int, list[str], np.ndarray]:
    """A sensor_msgs/JointState: (stamp in nanoseconds, names, positions)."""
    reader = Reader(data)
    return reader.header(), reader.strings(), reader.doubles()


def joint_trajectory(data: bytes) -> Trajectory:
    """A trajectory_msgs/JointTrajectory; points must have equally many positions."""
    reader = Reader(data)
    stamp, names = reader.header(), reader.strings()
    rows, times = [], []
    for _ in range(reader.u32()):
        rows.append(reader.doubles())
        for _ in range(3):  # velocities, accelerations, effort
            reader.doubles()
        times.append(reader.stamp())
    return Trajectory(stamp, names, np.array(rows), times)


def text(data: bytes) -> str:
    """A std_msgs/String."""
    return Reader(data).string()
