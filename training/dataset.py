"""From recorded episodes to arrays that training maps into memory.

    python -m training.dataset --episodes DIR --sentences FILE --cache DIR

An episode is a rosbag2 MCAP folder (ARCHITECTURE.md, "Episodes"). One frame is made of one image of each camera, the newest
measured joint state not younger than they are, and the expert's chunk, all with the same stamp. Labels are computed here, by
forward kinematics of the chunk's joints: tool position relative to the measured tool position, in the axes of the base, and the
finger position as it is.

`--sentences` is what `efm-benchmark sentences --split train` writes: all sentences of the training split with the object and the
goal that each asks for. In training a frame gets any of those that ask for what its episode shows. An episode of another split,
or whose sentence is not among them or asks for something else, is refused: the whole run stops.

The cache holds, for N frames of E episodes and S sentences: `images_front.npy` uint8 [N, 72, 96, 3]; `images_wrist.npy` uint8
[N, 48, 64, 3]; `states.npy` float32 [N, 11] (8 joints, then tool x, y, z); `actions.npy` float32 [N, 16, 4] (dx, dy, dz, finger;
metres); `episode.npy` int32 [N]; `object.npy`, `goal.npy` int32 [E] (classes in the order of the sentences file) and
`sentence.npy` int32 [E] (the recorded one); `text.npy` float32 [S, 384], `text_object.npy`, `text_goal.npy` int32 [S];
`meta.json`. From the simulator's truth, used as auxiliary labels only: `aux.npy` float32 [N, 5] (x, y, z of the named object, x, y
of the target), `objects.npy` float32 [N, 8, 3] (every object, NaN where it is not in the scene), `plate.npy` float32 [N, 2].
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mcap.exceptions import McapError
from mcap.reader import make_reader

from training import cdr
from training.contract import BASE, CAMERAS, HORIZON, JOINTS, ROOT, STEP_NS, TIP
from training.export_encoder import SentenceEncoder
from training.kinematics import Chain

STATE_NAMES = [*JOINTS, "tool_x", "tool_y", "tool_z"]
BENCHMARK, BENCHMARK_VERSION, SPLIT = "panda_tabletop", 1, "train"


class EpisodeError(ValueError):
    """An episode that cannot be used; the text says why."""


class LeakError(ValueError):
    """An episode that must not be trained on."""


@dataclass(frozen=True)
class Sentences:
    """The sentences of the training split."""

    objects: list[str]
    goals: list[str]
    texts: list[str]
    object: list[int]
    goal: list[int]

    @staticmethod
    def read(file: Path) -> Sentences:
        """Read and check the file; ValueError names what is wrong."""
        document = json.loads(file.read_text())
        for key, wanted in (("benchmark", BENCHMARK), ("version", BENCHMARK_VERSION), ("split", SPLIT)):
            if document.get(key) != wanted:
                raise ValueError(f"{file}: {key} is {document.get(key)!r}, expected {wanted!r}")
        objects, goals = document["objects"], document["goals"]
        meaning: dict[str, tuple[int, int]] = {}
        for entry in document["sentences"]:
            if entry["object"] not in objects or entry["goal"] not in goals:
                raise ValueError(f"{file}: {entry} has an object or a goal that is not listed")
            pair = objects.index(entry["object"]), goals.index(entry["goal"])
            if meaning.setdefault(entry["sentence"], pair) != pair:
                raise ValueError(f"{file}: {entry['sentence']!r} asks for two things")
        if not meaning:
            raise ValueError(f"{file}: no sentences")
        return Sentences(objects, goals, list(meaning), [pair[0] for pair in meaning.values()], [pair[1] for pair in meaning.values()])

    def index(self, sentence: str, status: dict, where: str) -> int:
        """Number of an episode's sentence; LeakError when it may not be trained on."""
        if status.get("split") != SPLIT:
            raise LeakError(f"{where}: split {status.get('split')!r}; only {SPLIT!r} may be trained on")
        if sentence not in self.texts:
            raise LeakError(f"{where}: {sentence!r} is none of the {len(self.texts)} training sentences")
        number = self.texts.index(sentence)
        asked = self.objects[self.object[number]], self.goals[self.goal[number]]
        shown = status["object"], status["goal"]
        if asked != shown:
            raise LeakError(f"{where}: {sentence!r} asks for {asked}, but the episode shows {shown}")
        return number


@dataclass
class Episode:
    """The frames of one episode, see the module's head for shapes; `objects` by name, [n, 3] each."""

    images: dict[str, np.ndarray]
    joints: np.ndarray
    chunks: np.ndarray
    aux: np.ndarray
    objects: dict[str, np.ndarray]
    plate: np.ndarray
    sentence: str
    status: dict


def _columns(names: list[str], wanted: list[str], where: str) -> list[int]:
    missing = [name for name in wanted if name not in names]
    if missing:
        raise EpisodeError(f"{where}: no joint {missing[0]!r} among {names}")
    return [names.index(name) for name in wanted]


def read_episode(folder: Path) -> Episode:
    """Read one episode; raises EpisodeError when something is missing or contradicts itself."""
    files = sorted(folder.glob("*.mcap"))
    if not files:
        raise EpisodeError(f"{folder}: no .mcap file")
    images: dict[str, dict[int, np.ndarray]] = {camera: {} for camera in CAMERAS}
    topics = {f"observation/{camera}/image": camera for camera in CAMERAS}
    chunks: dict[int, np.ndarray] = {}
    status: dict[int, dict] = {}  # by log time
    image_log: dict[int, int] = {}  # stamp -> log time
    joint_stamps, joint_rows = [], []
    sentence, columns, chunk_columns = "", None, None
    for file in files:
        with file.open("rb") as stream:
            for _, channel, message in make_reader(stream).iter_messages(log_time_order=False):
                topic = channel.topic.lstrip("/")
                if topic == "joint_states":
                    stamp, names, positions = cdr.joint_state(message.data)
                    columns = columns or _columns(names, JOINTS, f"{folder}: joint_states")
                    joint_stamps.append(stamp)
                    joint_rows.append(positions[columns])
                elif topic in topics:
                    stamp, pixels = cdr.image(message.data)
                    if pixels.shape[:2] != CAMERAS[topics[topic]]:
                        raise EpisodeError(f"{folder}: {topic} is {pixels.shape[:2]}, expected {CAMERAS[topics[topic]]} (height, width)")
                    images[topics[topic]][stamp] = pixels
                    image_log[stamp] = message.log_time
                elif topic == "action_chunk":
                    plan = cdr.joint_trajectory(message.data)
                    chunk_columns = chunk_columns or _columns(plan.names, JOINTS, f"{folder}: action_chunk")
                    if len(plan.times) != HORIZON or plan.times != [STEP_NS * (k + 1) for k in range(HORIZON)]:
                        raise EpisodeError(f"{folder}: action_chunk has times {plan.times}, wanted {HORIZON} points 0.1 s apart")
                    chunks[plan.stamp] = plan.positions[:, chunk_columns]
                elif topic == "instruction":
                    sentence = cdr.text(message.data)
                elif topic == "task_status":
                    status[message.log_time] = json.loads(cdr.text(message.data))
    if not sentence:
        raise EpisodeError(f"{folder}: no instruction")
    if not status:
        raise EpisodeError(f"{folder}: no task_status")
    order = np.argsort(joint_stamps, kind="stable")
    joint_stamps, joint_rows = np.array(joint_stamps)[order], np.array(joint_rows)[order]
    status_times = np.array(sorted(status))
    stamps = sorted(stamp for stamp in chunks if all(stamp in pictures for pictures in images.values()))
    if not stamps:
        counts = ", ".join(f"{len(pictures)} {camera}" for camera, pictures in images.items())
        raise EpisodeError(f"{folder}: no image of each camera has a chunk of the same stamp ({counts} images, {len(chunks)} chunks)")
    last = np.searchsorted(joint_stamps, stamps, side="right") - 1
    if last[0] < 0:
        raise EpisodeError(f"{folder}: the first image is older than every joint state")
    # The status logged with the image, else the newest one before it.
    index = np.maximum(np.searchsorted(status_times, [image_log[stamp] for stamp in stamps], side="right") - 1, 0)
    truths = [status[int(time)] for time in status_times[index]]
    return Episode(
        images={camera: np.stack([pictures[stamp] for stamp in stamps]) for camera, pictures in images.items()},
        joints=joint_rows[last],
        chunks=np.stack([chunks[stamp] for stamp in stamps]),
        aux=np.array([[*truth["object_position"][:3], *truth["target"][:2]] for truth in truths], np.float32),
        objects={name: np.array([truth["objects"][name][:3] for truth in truths], np.float32) for name in truths[0]["objects"]},
        plate=np.array([truth["plate"][:2] for truth in truths], np.float32),
        sentence=sentence,
        status=status[int(status_times[-1])],
    )


def labels(chain: Chain, joints: np.ndarray, chunks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States [n, 11] and actions [n, 16, 4] (module's head) from joints [n, 8] and chunks [n, 16, 8]."""
    tool = chain.position(JOINTS, joints)
    planned = chain.position(JOINTS, chunks)
    states = np.concatenate([joints, tool], axis=1)
    actions = np.concatenate([planned - tool[:, None], chunks[:, :, 7:8]], axis=2)
    return states.astype(np.float32), actions.astype(np.float32)


def _load(folder: Path) -> tuple[Path, Episode | str]:
    try:
        return folder, read_episode(folder)
    except (EpisodeError, cdr.CdrError, McapError, KeyError, ValueError) as error:
        return folder, f"{type(error).__name__}: {error}"


def embed(texts: list[str], encoder: Path) -> np.ndarray:
    """Embeddings float32 [S, 384] by the exported encoder; about 3 ms each."""
    encode = SentenceEncoder(encoder)
    return np.stack([encode(text) for text in texts]).astype(np.float32)


def _embed(arguments: tuple[list[str], Path]) -> np.ndarray:
    return embed(*arguments)


def write_cache(cache: Path, arrays: dict[str, np.ndarray], sentences: Sentences, meta: dict, encoder: Path, workers: int = 1) -> None:
    """Write the arrays, and embed all sentences."""
    cache.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(workers) as pool:
        parts = [sentences.texts[k::workers] for k in range(workers)]
        embedded = list(pool.map(_embed, [(part, encoder) for part in parts if part]))
    text = np.empty((len(sentences.texts), embedded[0].shape[1]), np.float32)
    for k, part in enumerate(embedded):
        text[k::workers] = part
    everything = {
        **arrays,
        "text": text,
        "text_object": np.array(sentences.object, np.int32),
        "text_goal": np.array(sentences.goal, np.int32),
    }
    for name, value in everything.items():
        np.save(cache / f"{name}.npy", value)
    meta = {
        **meta, "benchmark": BENCHMARK, "version": BENCHMARK_VERSION, "split": SPLIT, "sentences": sentences.texts,
        "objects": sentences.objects, "goals": sentences.goals, "joints": JOINTS, "horizon": HORIZON, "step": STEP_NS / 1e9,
        "encoder": encoder.name,
    }  # fmt: skip
    (cache / "meta.json").write_text(json.dumps(meta, indent=1))


def complete(folder: Path | None) -> list[Path]:
    """Episode folders; one with a dot, or without metadata, is still being written."""
    if folder is None or not folder.exists():
        return []
    return sorted(item for item in folder.iterdir() if item.name[0] != "." and (item / "metadata.yaml").exists())


def build(
    episodes: Path, corrections: Path | None, sentences_file: Path, cache: Path, urdf: Path, encoder: Path, workers: int, limit: int | None
) -> None:
    """Read every episode under a folder into a cache; failed attempts and unreadable ones are left out and counted."""
    sentences = Sentences.read(sentences_file)
    demonstrations, corrected = complete(episodes)[:limit], set(complete(corrections))
    folders = [*demonstrations, *sorted(corrected)]
    if not demonstrations:
        raise SystemExit(f"{episodes}: no episodes")
    chain = Chain(urdf, BASE, TIP)
    columns: dict[str, list[np.ndarray]] = {}
    per_episode: dict[str, list] = {name: [] for name in ("episodes", "seeds", "tasks", "kinds", "object", "goal", "sentence")}
    skipped: list[str] = []
    start = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        for count, (folder, loaded) in enumerate(pool.map(_load, folders, chunksize=4), 1):
            if count % 100 == 0:
                print(f"{count}/{len(folders)} episodes, {time.monotonic() - start:.0f} s", flush=True)
            if isinstance(loaded, str):
                skipped.append(loaded)
                continue
            try:
                sentence = sentences.index(loaded.sentence, loaded.status, str(folder))
            except LeakError as error:
                raise SystemExit(str(error)) from error
            if loaded.status.get("success") is False and folder not in corrected:
                skipped.append(f"{folder}: the expert failed")
                continue
            states, actions = labels(chain, loaded.joints, loaded.chunks)
            objects = np.full((len(states), len(sentences.objects), 3), np.nan, np.float32)
            unknown = [name for name in loaded.objects if name not in sentences.objects]
            if unknown:
                raise SystemExit(f"{folder}: object {unknown[0]!r} is none of {sentences.objects}")
            for name, places in loaded.objects.items():
                objects[:, sentences.objects.index(name)] = places
            if not all(np.isfinite(values).all() for values in (states, actions, loaded.aux, loaded.plate, *loaded.objects.values())):
                skipped.append(f"{folder}: values that are not finite")
                continue
            frames = {
                **{f"images_{camera}": images for camera, images in loaded.images.items()},
                "states": states,
                "actions": actions,
                "aux": loaded.aux,
                "objects": objects,
                "plate": loaded.plate,
                "episode": np.full(len(states), len(per_episode["episodes"]), np.int32),
            }
            for name, values in frames.items():
                columns.setdefault(name, []).append(values)
            row = (
                folder.name, loaded.status.get("seed"), loaded.status.get("task"), str(loaded.status.get("kind", "?")),
                sentences.object[sentence], sentences.goal[sentence], sentence,
            )  # fmt: skip
            for values, value in zip(per_episode.values(), row, strict=True):
                values.append(value)
    for line in skipped[:10]:
        print("skipped", line, file=sys.stderr)
    if not columns:
        raise SystemExit("no usable episode")
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    for name in ("object", "goal", "sentence"):
        arrays[name] = np.array(per_episode.pop(name), np.int32)
    names = per_episode["episodes"]
    meta = {
        "frames": len(arrays["states"]),
        **per_episode,
        "corrections": sum(folder.name in set(names) for folder in corrected),
        "skipped": len(skipped),
    }
    write_cache(cache, arrays, sentences, meta, encoder, workers)
    pairs = len(set(zip(arrays["object"].tolist(), arrays["goal"].tolist(), strict=True)))
    print(
        f"{meta['frames']} frames of {len(names)} episodes ({len(skipped)} skipped), {pairs} combinations of object and goal, "
        f"{len(sentences.texts)} sentences, {time.monotonic() - start:.0f} s -> {cache}"
    )


def main() -> None:
    """Entry point of `python -m training.dataset`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=Path, required=True, help="folder that holds demonstrations")
    parser.add_argument("--corrections", type=Path, default=None, help="folder of efm-corrections: a policy acted, so failures count too")
    parser.add_argument("--sentences", type=Path, required=True, help="JSON of `efm-benchmark sentences --split train`")
    parser.add_argument("--cache", type=Path, required=True, help="folder to write")
    parser.add_argument("--urdf", type=Path, default=ROOT / "urdf/panda.urdf")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models/encoders/all-minilm-l6-v2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, default=None, help="read only so many episodes")
    arguments = parser.parse_args()
    build(
        arguments.episodes, arguments.corrections, arguments.sentences, arguments.cache, arguments.urdf, arguments.encoder,
        arguments.workers, arguments.limit,
    )  # fmt: skip


if __name__ == "__main__":
    main()
