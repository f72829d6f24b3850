"""Messages and kinematics."""

import numpy as np
import pytest

from training import cdr
from training.dataset import BASE, JOINTS, ROOT, TIP, labels
from training.kinematics import Chain
from training.tests import conftest as write


def test_an_image_is_read_as_it_was_written():
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3))
    stamp, found = cdr.image(write.image(5_200_000_001, pixels))
    assert stamp == 5_200_000_001
    np.testing.assert_array_equal(found, pixels)


def test_a_trajectory_is_read_with_names_points_and_times():
    points = np.arange(32.0).reshape(4, 8)
    found = cdr.joint_trajectory(write.trajectory(7, JOINTS, points, 100_000_000))
    assert (found.stamp, found.names) == (7, JOINTS)
    assert found.times == [100_000_000, 200_000_000, 300_000_000, 400_000_000]
    np.testing.assert_array_equal(found.positions, points)


def test_a_joint_state_is_read_whatever_the_lengths_of_the_names():
    for names in (["a", "bc", "def"], ["abcd"], ["panda_joint1", "x"]):
        values = [0.5 + k for k in range(len(names))]
        stamp, found, positions = cdr.joint_state(write.joint_state(3, names, values))
        assert (stamp, found, positions.tolist()) == (3, names, values)


def test_a_message_that_is_not_little_endian_or_not_rgb8_is_refused():
    with pytest.raises(cdr.CdrError, match="little-endian"):
        cdr.text(b"\0\0\0\0" + write.text("x")[4:])
    with pytest.raises(cdr.CdrError, match="bgr8"):
        cdr.image(write.image(0, np.zeros((4, 4, 3))).replace(b"rgb8", b"bgr8"))


def test_the_stretched_arm_reaches_where_its_maker_says():
    # All joints at zero: 0.333 + 0.316 + 0.384 m up, the flange's 0.088 m out and 0.107 m down, the tool centre 0.1034 m further down.
    tool = Chain(ROOT / "urdf/panda.urdf", BASE, TIP).position(JOINTS, np.zeros((1, 8)))[0]
    np.testing.assert_allclose(tool, [0.088, 0.0, 0.333 + 0.316 + 0.384 - 0.107 - 0.1034], atol=1e-6)


def test_labels_are_relative_to_the_tool_and_the_finger_is_absolute():
    chain = Chain(ROOT / "urdf/panda.urdf", BASE, TIP)
    rng = np.random.default_rng(0)
    joints = rng.uniform(-0.5, 0.5, (3, 8))
    chunks = rng.uniform(-0.5, 0.5, (3, 16, 8))
    chunks[:, 0] = joints
    states, actions = labels(chain, joints, chunks)
    np.testing.assert_allclose(actions[:, 0, :3], 0.0, atol=1e-6)
    np.testing.assert_allclose(actions[:, :, 3], chunks[:, :, 7], atol=1e-6)
    reached = states[:, None, 8:] + actions[:, :, :3]
    np.testing.assert_allclose(reached, chain.position(JOINTS, chunks), atol=1e-6)
