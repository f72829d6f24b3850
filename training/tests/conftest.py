"""What several tests share: a made-up cache, and messages written by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from training import synthetic


class Message:
    """Writes one CDR message: the opposite of `training.cdr.Reader`, written apart from it."""

    def __init__(self) -> None:
        """Begin after the encapsulation."""
        self.data = bytearray()

    def pad(self, size: int) -> None:
        """Align to `size`."""
        self.data += b"\0" * (-len(self.data) % size)

    def u32(self, value: int) -> Message:
        """One uint32."""
        self.pad(4)
        self.data += struct.pack("<I", value)
        return self

    def u8(self, value: int) -> Message:
        """One byte."""
        self.data.append(value)
        return self

    def text(self, value: str) -> Message:
        """One string."""
        raw = value.encode() + b"\0"
        self.u32(len(raw))
        self.data += raw
        return self

    def doubles(self, values: list[float]) -> Message:
        """A sequence of float64."""
        self.u32(len(values))
        if len(values):
            self.pad(8)
            self.data += struct.pack(f"<{len(values)}d", *values)
        return self

    def header(self, stamp: int) -> Message:
        """A header with a stamp in nanoseconds."""
        return self.u32(stamp // 10**9).u32(stamp % 10**9).text("frame")

    def raw(self, values: bytes) -> Message:
        """A sequence of bytes."""
        self.u32(len(values))
        self.data += values
        return self

    def done(self) -> bytes:
        """With the encapsulation."""
        return b"\0\x01\0\0" + bytes(self.data)


def image(stamp: int, pixels: np.ndarray) -> bytes:
    """A sensor_msgs/Image in rgb8."""
    height, width = pixels.shape[:2]
    message = Message().header(stamp).u32(height).u32(width).text("rgb8").u8(0).u32(3 * width)
    return message.raw(pixels.astype(np.uint8).tobytes()).done()


def joint_state(stamp: int, names: list[str], positions: list[float]) -> bytes:
    """A sensor_msgs/JointState."""
    message = Message().header(stamp).u32(len(names))
    for name in names:
        message.text(name)
    return message.doubles(positions).doubles([]).doubles([]).done()


def trajectory(stamp: int, names: list[str], points: np.ndarray, step: int) -> bytes:
    """A trajectory_msgs/JointTrajectory with points `step` nanoseconds apart."""
    message = Message().header(stamp).u32(len(names))
    for name in names:
        message.text(name)
    message.u32(len(points))
    for k, point in enumerate(points, 1):
        message.doubles(list(point)).doubles([]).doubles([]).doubles([])
        message.u32(k * step // 10**9).u32(k * step % 10**9)
    return message.done()


def text(value: str) -> bytes:
    """A std_msgs/String."""
    return Message().text(value).done()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """The tests are small; more threads would only wait for each other."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set of twelve episodes."""
    folder = tmp_path_factory.mktemp("cache")
    synthetic.write(folder, 12)
    return folder
