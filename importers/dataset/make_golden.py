"""Makes packages/dataset/tests/data/golden.json: what LeRobot itself writes for the frames of sample.py.

Run by `.efm/import/bin/python -m importers.dataset.make_golden` from the root of the repository.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from importers.dataset import sample

GOLDEN = Path(__file__).resolve().parents[2] / "packages/dataset/tests/data/golden.json"


def features() -> dict:
    """What the data set holds."""
    joints = {"dtype": "float32", "shape": (len(sample.JOINTS),), "names": sample.JOINTS}
    images = {
        f"observation.images.{name}": {"dtype": "image", "shape": (height, width, 3), "names": ["height", "width", "channels"]}
        for name, (width, height) in sample.CAMERAS.items()
    }
    return {
        "observation.state": joints,
        "action": joints,
        "next.success": {"dtype": "bool", "shape": (1,), "names": None},
        "header_stamp": {"dtype": "int64", "shape": (1,), "names": None},
        **images,
    }


def write(root: Path) -> None:
    """Write the data set as LeRobot's own recording does."""
    dataset = LeRobotDataset.create("local/golden", sample.FPS, features(), root=root, use_videos=False, robot_type="sample")
    episode = 0
    for frame in sample.frames():
        if frame.episode != episode:
            dataset.save_episode()
            episode = frame.episode
        dataset.add_frame(
            {
                "observation.state": frame.state,
                "action": frame.action,
                "next.success": np.array([frame.success]),
                "header_stamp": np.array([frame.stamp], dtype=np.int64),
                **{f"observation.images.{name}": picture for name, picture in frame.pictures.items()},
                "task": frame.task,
            }
        )
    dataset.save_episode()
    dataset.finalize()


def columns(file: pq.ParquetFile) -> list[list[str]]:
    """Path, physical type and logical type of each column."""
    schema = file.schema
    return [[c.path, c.physical_type, c.logical_type.type] for c in (schema.column(i) for i in range(len(schema)))]


def main() -> None:
    """Make it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "golden"
        write(root)
        files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and "images" not in path.parts)
        episodes = pq.read_table(root / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
        golden = {
            "files": files,
            "info": json.loads((root / "meta/info.json").read_text()),
            "stats": json.loads((root / "meta/stats.json").read_text()),
            "columns": {path: columns(pq.ParquetFile(root / path)) for path in files if path.endswith(".parquet")},
            "tasks": pq.read_table(root / "meta/tasks.parquet").to_pylist(),
            "episodes": [{key: value for key, value in row.items() if not key.startswith("stats/")} for row in episodes],
        }
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
