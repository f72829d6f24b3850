"""From recorded episodes to arrays that training maps into memory.

    python -m training.dataset --episodes DIR --cache DIR

An episode is a rosbag2 MCAP folder (ARCHITECTURE.md, "Episodes"). One frame is made of one image, the newest measured
joint state not younger than it, and the expert's chunk with the same stamp. Labels are computed here, by forward
kinematics of the chunk's joints: tool position relative to the measured tool position, in the axes of the base, and the
finger position as it is.

The cache holds, for N frames: `images.npy` uint8 [N, 72, 96, 3]; `states.npy` float32 [N, 11] (8 joints, then tool x, y,
z); `actions.npy` float32 [N, 16, 4] (dx, dy, dz, finger; metres); `aux.npy` float32 [N, 5] (x, y, z of the named object,
x, y of the target: the simulator's truth, used as auxiliary labels only); `episode.npy`, `sentence.npy` int32 [N];
`text.npy` float32 [sentences, 384]; `meta.json`.
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
from training.export_encoder import SentenceEncoder
from training.kinematics import Chain

JOINTS = [f"panda_joint{i}" for i in range(1, 8)] + ["panda_finger_joint1"]
BASE, TIP = "panda_link0", "panda_hand_tcp"
HORIZON = 16
STEP_NS = 100_000_000
STATE_NAMES = [*JOINTS, "tool_x", "tool_y", "tool_z"]
ACTION_NAMES = ["x", "y", "z", "gripper"]
AUX_NAMES = ["object_x", "object_y", "object_z", "target_x", "target_y"]
ROOT = Path(__file__).resolve().parent.parent


class EpisodeError(ValueError):
    """An episode that cannot be used; the text says why."""


@dataclass
class Episode:
    """The frames of one episode, see the module's head for shapes."""

    images: np.ndarray
    joints: np.ndarray
    chunks: np.ndarray
    aux: np.ndarray
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
    images: dict[int, np.ndarray] = {}
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
                elif topic == "observation/front/image":
                    stamp, pixels = cdr.image(message.data)
                    images[stamp] = pixels
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
    stamps = sorted(stamp for stamp in images if stamp in chunks)
    if not stamps:
        raise EpisodeError(f"{folder}: no image has a chunk of the same stamp ({len(images)} images, {len(chunks)} chunks)")
    last = np.searchsorted(joint_stamps, stamps, side="right") - 1
    if last[0] < 0:
        raise EpisodeError(f"{folder}: the first image is older than every joint state")
    aux = np.empty((len(stamps), 5), np.float32)
    for row, stamp in enumerate(stamps):
        # The status logged with the image, else the newest one before it.
        index = max(int(np.searchsorted(status_times, image_log[stamp], side="right")) - 1, 0)
        truth = status[int(status_times[index])]
        aux[row] = [*truth["object_position"][:3], *truth["target"][:2]]
    return Episode(
        images=np.stack([images[stamp] for stamp in stamps]),
        joints=joint_rows[last],
        chunks=np.stack([chunks[stamp] for stamp in stamps]),
        aux=aux,
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


def write_cache(
    cache: Path,
    images: np.ndarray,
    states: np.ndarray,
    actions: np.ndarray,
    aux: np.ndarray,
    episode: np.ndarray,
    sentence: np.ndarray,
    meta: dict,
    encoder: Path,
) -> None:
    """Write the arrays and embed each distinct sentence with the exported encoder."""
    cache.mkdir(parents=True, exist_ok=True)
    encode = SentenceEncoder(encoder)
    np.save(cache / "text.npy", np.stack([encode(text) for text in meta["sentences"]]).astype(np.float32))
    for name, value in (("images", images), ("states", states), ("actions", actions), ("aux", aux)):
        np.save(cache / f"{name}.npy", value)
    np.save(cache / "episode.npy", episode.astype(np.int32))
    np.save(cache / "sentence.npy", sentence.astype(np.int32))
    (cache / "meta.json").write_text(json.dumps(meta, indent=1))


def complete(folder: Path | None) -> list[Path]:
    """Episode folders; one with a dot, or without metadata, is still being written."""
    if folder is None or not folder.exists():
        return []
    return sorted(item for item in folder.iterdir() if item.name[0] != "." and (item / "metadata.yaml").exists())


def build(episodes: Path, corrections: Path | None, cache: Path, urdf: Path, encoder: Path, workers: int, limit: int | None) -> None:
    """Read every episode under a folder into a cache; failed attempts and unreadable ones are left out and counted."""
    demonstrations, corrected = complete(episodes)[:limit], set(complete(corrections))
    folders = [*demonstrations, *sorted(corrected)]
    if not demonstrations:
        raise SystemExit(f"{episodes}: no episodes")
    chain = Chain(urdf, BASE, TIP)
    parts: list[tuple[np.ndarray, ...]] = []
    sentences: dict[str, int] = {}
    names: list[str] = []
    kinds: list[str] = []
    skipped: list[str] = []
    start = time.monotonic()
    with ProcessPoolExecutor(workers) as pool:
        for count, (folder, loaded) in enumerate(pool.map(_load, folders, chunksize=4), 1):
            if isinstance(loaded, str):
                skipped.append(loaded)
                continue
            if loaded.status.get("success") is False and folder not in corrected:
                skipped.append(f"{folder}: the expert failed")
                continue
            states, actions = labels(chain, loaded.joints, loaded.chunks)
            if not (np.isfinite(states).all() and np.isfinite(actions).all() and np.isfinite(loaded.aux).all()):
                skipped.append(f"{folder}: values that are not finite")
                continue
            sentence = sentences.setdefault(loaded.sentence, len(sentences))
            size = len(states)
            parts.append((loaded.images, states, actions, loaded.aux, np.full(size, len(names)), np.full(size, sentence)))
            names.append(folder.name)
            kinds.append(str(loaded.status.get("kind", "?")))
            if count % 100 == 0:
                print(f"{count}/{len(folders)} episodes, {time.monotonic() - start:.0f} s", flush=True)
    for line in skipped[:10]:
        print("skipped", line, file=sys.stderr)
    if not parts:
        raise SystemExit("no usable episode")
    images, states, actions, aux, episode, sentence = (np.concatenate(column) for column in zip(*parts, strict=True))
    meta = {
        "frames": len(images),
        "episodes": names,
        "kinds": kinds,
        "corrections": sum(folder.name in set(names) for folder in corrected),
        "skipped": len(skipped),
        "sentences": list(sentences),
        "joints": JOINTS,
        "horizon": HORIZON,
        "step": STEP_NS / 1e9,
        "encoder": encoder.name,
    }
    write_cache(cache, images, states, actions, aux, episode, sentence, meta, encoder)
    print(
        f"{len(images)} frames of {len(names)} episodes ({len(skipped)} skipped), {len(sentences)} sentences, "
        f"{time.monotonic() - start:.0f} s -> {cache}"
    )


def main() -> None:
    """Entry point of `python -m training.dataset`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=Path, required=True, help="folder that holds demonstrations")
    parser.add_argument("--corrections", type=Path, default=None, help="folder of efm-corrections: a policy acted, so failures count too")
    parser.add_argument("--cache", type=Path, required=True, help="folder to write")
    parser.add_argument("--urdf", type=Path, default=ROOT / "urdf/panda.urdf")
    parser.add_argument("--encoder", type=Path, default=ROOT / "models/encoders/all-minilm-l6-v2")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit", type=int, default=None, help="read only so many episodes")
    arguments = parser.parse_args()
    build(
        arguments.episodes,
        arguments.corrections,
        arguments.cache,
        arguments.urdf,
        arguments.encoder,
        arguments.workers,
        arguments.limit,
    )


if __name__ == "__main__":
    main()
