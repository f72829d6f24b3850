"""LeRobot opens what `./efm dataset` writes, and finds in it what was put into the bags."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import dataset_to_policy_features

from importers.dataset import sample


def program(variable: str) -> str:
    """A program of ours, named by the environment."""
    path = os.environ.get(variable, "")
    if not Path(path).is_file():
        pytest.fail(f"{variable} names no program ('{path}'); run these tests by ./efm dataset --self-test")
    return path


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set made of the two bags of the sample."""
    folder = tmp_path_factory.mktemp("dataset")
    subprocess.run([program("EFM_SAMPLE_BAGS"), str(folder)], check=True)
    out = folder / "out"
    bags = [str(folder / "first"), str(folder / "second")]
    subprocess.run([program("EFM_DATASET"), *bags, "--out", str(out), "--joints", ",".join(sample.JOINTS)], check=True)
    return out


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of an earlier run may stand in for what is read now."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def open_dataset(root: Path, **options: object) -> LeRobotDataset:
    """As a training script does."""
    return LeRobotDataset("local/sample", root=root, **options)


def test_every_frame_holds_what_the_bags_hold(root: Path) -> None:
    dataset = open_dataset(root)
    expected = list(sample.frames())
    assert len(dataset) == len(expected)
    assert dataset.fps == sample.FPS
    assert dataset.meta.total_episodes == len(sample.EPISODES)
    for index, frame in enumerate(expected):
        item = dataset[index]
        torch.testing.assert_close(item["observation.state"], torch.from_numpy(frame.state), rtol=0, atol=1e-6)
        torch.testing.assert_close(item["action"], torch.from_numpy(frame.action), rtol=0, atol=1e-6)
        assert item["task"] == frame.task
        assert bool(item["next.success"]) == frame.success
        assert [int(item[key]) for key in ("index", "episode_index", "frame_index")] == [index, frame.episode, frame.frame]
        assert int(item["header_stamp"]) == frame.stamp
        assert float(item["timestamp"]) == np.float32(frame.frame / sample.FPS)
        for name, picture in frame.pictures.items():
            found = item[f"observation.images.{name}"]
            assert found.dtype == torch.float32
            levels = (found * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(levels, picture, err_msg=f"frame {index}, camera {name}")


def test_windows_of_time_end_at_the_borders_of_episodes(root: Path) -> None:
    horizon = 5
    windows = {"action": [i / sample.FPS for i in range(horizon)], "observation.images.front": [-1 / sample.FPS, 0]}
    dataset = open_dataset(root, delta_timestamps=windows)
    expected = list(sample.frames())
    for index, frame in enumerate(expected):
        item = dataset[index]
        inside = [index + i < len(expected) and expected[index + i].episode == frame.episode for i in range(horizon)]
        assert item["action_is_pad"].tolist() == [not there for there in inside]
        for i in range(horizon):
            if inside[i]:
                np.testing.assert_allclose(item["action"][i].numpy(), expected[index + i].action, rtol=0, atol=1e-6)
        before = expected[index - 1] if frame.frame > 0 else frame
        levels = (item["observation.images.front"] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
        np.testing.assert_array_equal(levels[0], before.pictures["front"])
        np.testing.assert_array_equal(levels[1], frame.pictures["front"])


def test_a_data_loader_gives_batches_of_all_frames(root: Path) -> None:
    loader = torch.utils.data.DataLoader(open_dataset(root), batch_size=8, shuffle=True, num_workers=0)
    seen: list[int] = []
    for batch in loader:
        count = len(batch["index"])
        assert batch["observation.state"].shape == (count, len(sample.JOINTS))
        assert batch["action"].shape == (count, len(sample.JOINTS))
        for name, (width, height) in sample.CAMERAS.items():
            assert batch[f"observation.images.{name}"].shape == (count, 3, height, width)
        assert len(batch["task"]) == count
        seen.extend(batch["index"].tolist())
    assert sorted(seen) == list(range(len(list(sample.frames()))))


def test_one_episode_is_opened_by_itself(root: Path) -> None:
    dataset = open_dataset(root, episodes=[2])
    assert [int(dataset[i]["episode_index"]) for i in range(len(dataset))] == [2] * 12
    assert dataset[11]["task"] == "push the ball"


def test_statistics_are_those_of_the_frames(root: Path) -> None:
    stats = open_dataset(root).meta.stats
    states = np.stack([frame.state for frame in sample.frames()]).astype(np.float64)
    for name, of in {"min": np.min, "max": np.max, "mean": np.mean, "std": np.std}.items():
        np.testing.assert_allclose(stats["observation.state"][name], of(states, axis=0), rtol=0, atol=1e-6)
    pictures = np.stack([frame.pictures["wrist"] for frame in sample.frames()]) / 255
    np.testing.assert_allclose(stats["observation.images.wrist"]["mean"].reshape(3), pictures.mean(axis=(0, 1, 2)), atol=1e-2)
    assert stats["observation.images.wrist"]["mean"].shape == (3, 1, 1)


def test_policies_see_state_action_and_cameras_and_nothing_else(root: Path) -> None:
    found = dataset_to_policy_features(open_dataset(root).features)
    cameras = {f"observation.images.{name}" for name in sample.CAMERAS}
    assert set(found) == {"observation.state", "action", *cameras}
