"""From episodes to a cache, and what must not get there."""

import json
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer

from training.dataset import CAMERAS, HORIZON, JOINTS, ROOT, LeakError, Sentences, build, read_episode
from training.tests import conftest as write

STEP = 200_000_000
FILE = {
    "benchmark": "panda_tabletop",
    "version": 1,
    "split": "train",
    "objects": ["red cube", "red puck"],
    "goals": ["left", "plate"],
    "sentences": [
        {"task": "put_red_cube_left", "object": "red cube", "goal": "left", "sentence": "red cube left"},
        {"task": "put_red_cube_left", "object": "red cube", "goal": "left", "sentence": "the left one is for the red cube"},
        {"task": "put_red_puck_plate", "object": "red puck", "goal": "plate", "sentence": "red puck on the plate"},
    ],
}
STATUS = {
    "seed": 3,
    "split": "train",
    "task": "put_red_cube_left",
    "kind": "put",
    "goal": "left",
    "object": "red cube",
    "object_position": [0.4, 0.1, 0.02],
    "objects": {"red cube": [0.4, 0.1, 0.02]},
    "plate": [0.5, -0.1],
    "target": [0.48, 0.28],
    "success": True,
}


def record(folder: Path, sentence: str = "red cube left", frames: int = 3, wrist: bool = True, **status: object) -> Path:
    """An episode as the recorder writes it."""
    folder.mkdir(parents=True)
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: {}\n")
    with (folder / "0.mcap").open("wb") as stream:
        writer = Writer(stream)
        writer.start()
        channels: dict[str, int] = {}

        def put(topic: str, data: bytes, stamp: int) -> None:
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, "cdr", writer.register_schema(topic, "ros2msg", b""))
            writer.add_message(channels[topic], stamp, data, stamp)

        put("/instruction", write.text(sentence), 0)
        for k in range(frames):
            now = k * STEP
            for camera, size in CAMERAS.items():
                if camera == "front" or wrist:
                    put(f"/observation/{camera}/image", write.image(now, np.full((*size, 3), k)), now)
            # Another order of names than the policy's.
            put("/joint_states", write.joint_state(now, JOINTS[::-1], [0.1 * k] * 8), now)
            put("/action_chunk", write.trajectory(now, JOINTS, np.zeros((HORIZON, 8)), 100_000_000), now)
            put("/task_status", write.text(json.dumps({**STATUS, **status, "plate": [0.5, 0.01 * k]})), now)
        writer.finish()
    return folder


def cached(tmp_path: Path) -> Path:
    """Build a cache from the episodes under the folder."""
    sentences = tmp_path / "sentences.json"
    sentences.write_text(json.dumps(FILE))
    build(
        tmp_path / "episodes",
        None,
        sentences,
        tmp_path / "cache",
        ROOT / "urdf/panda.urdf",
        ROOT / "models/encoders/all-minilm-l6-v2",
        1,
        None,
    )
    return tmp_path / "cache"


def test_an_episode_is_read_frame_by_frame(tmp_path: Path):
    episode = read_episode(record(tmp_path / "one"))
    assert episode.images["front"].shape == (3, 72, 96, 3)
    assert episode.images["wrist"].shape == (3, 48, 64, 3)
    assert episode.images["wrist"][:, 0, 0, 0].tolist() == [0, 1, 2]
    np.testing.assert_allclose(episode.joints[:, 0], [0.0, 0.1, 0.2])
    np.testing.assert_allclose(episode.plate[:, 1], [0.0, 0.01, 0.02], atol=1e-7)
    np.testing.assert_allclose(episode.aux[0], [0.4, 0.1, 0.02, 0.48, 0.28], atol=1e-7)


def test_an_episode_without_a_wrist_camera_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="no image of each camera"):
        read_episode(record(tmp_path / "one", wrist=False))


def test_good_episodes_make_a_cache_and_failed_ones_are_left_out(tmp_path: Path):
    record(tmp_path / "episodes/a")
    record(tmp_path / "episodes/b", sentence="red puck on the plate", object="red puck", goal="plate")
    record(tmp_path / "episodes/c", success=False)
    cache = cached(tmp_path)
    meta = json.loads((cache / "meta.json").read_text())
    assert (meta["episodes"], meta["skipped"], meta["frames"]) == (["a", "b"], 1, 6)
    assert np.load(cache / "object.npy").tolist() == [0, 1]
    assert np.load(cache / "goal.npy").tolist() == [0, 1]
    assert np.load(cache / "text.npy").shape == (3, 384)
    objects = np.load(cache / "objects.npy")
    assert np.isfinite(objects[:, 0]).all()
    assert np.isnan(objects[:, 1]).all()


@pytest.mark.parametrize(
    ("planted", "message"),
    [
        ({"split": "novel"}, "novel"),
        ({"sentence": "without lifting it, get the red cube to the left"}, "none of the 3 training sentences"),
        ({"sentence": "red puck on the plate"}, "asks for"),
        ({"goal": "plate"}, "asks for"),
    ],
    ids=["another split", "a sentence that is not of training", "a sentence of another task", "a goal that was not asked for"],
)
def test_a_planted_leak_stops_everything(tmp_path: Path, planted: dict, message: str):
    record(tmp_path / "episodes/a")
    record(tmp_path / "episodes/b", **planted)
    with pytest.raises(SystemExit, match=message):
        cached(tmp_path)


def test_a_sentences_file_of_another_split_or_with_two_meanings_is_refused(tmp_path: Path):
    file = tmp_path / "sentences.json"
    file.write_text(json.dumps({**FILE, "split": "paraphrase"}))
    with pytest.raises(ValueError, match="split is 'paraphrase'"):
        Sentences.read(file)
    twice = [*FILE["sentences"], {"task": "t", "object": "red puck", "goal": "plate", "sentence": "red cube left"}]
    file.write_text(json.dumps({**FILE, "sentences": twice}))
    with pytest.raises(ValueError, match="two things"):
        Sentences.read(file)


def test_a_sentence_is_found_only_for_what_it_asks(tmp_path: Path):
    file = tmp_path / "sentences.json"
    file.write_text(json.dumps(FILE))
    sentences = Sentences.read(file)
    assert sentences.index("the left one is for the red cube", STATUS, "here") == 1
    with pytest.raises(LeakError, match="here"):
        sentences.index("red puck on the plate", STATUS, "here")
