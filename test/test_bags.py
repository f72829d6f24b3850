"""Bags go both ways between us and `rosbags`, message for message and stamp for stamp; broken ones cost no more memory than whole ones."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import BIN, ROOT, usual

if os.environ.get("EFM_ROS") == "sourced":
    # Then the Python is somebody's own.
    for module in ("rosbags", "mcap_ros2"):
        pytest.importorskip(module)

import numpy as np
import zstandard
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

BEGIN = 1_700_000_000_123_456_789
FORCE = "std_msgs/Header header\nfloat64[<=6] values\nstring<=20 unit\n"


def efm_bag(*arguments: object, memory: int | None = None) -> subprocess.CompletedProcess:
    """Run `efm-bag`, in no more than so many bytes of address space."""
    limit = None if memory is None else lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    command = [str(BIN / "efm-bag"), *map(str, arguments)]
    return subprocess.run(usual(command), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, preexec_fn=limit)


def ours(bag: Path) -> list[tuple[str, str, int, bytes]]:
    """Topic, type, time and bytes of all messages, as we read them."""
    done = efm_bag("cat", "--data", bag)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(line["topic"], line["type"], line["log_time"], bytes.fromhex(line["data"])) for line in lines]


def theirs(bag: Path) -> list[tuple[str, str, int, bytes]]:
    """The same as `rosbags` reads them."""
    with Reader(bag) as reader:
        return [(found.topic, found.msgtype, time, bytes(data)) for found, time, data in reader.messages()]


def latched() -> Qos:
    forever = QosTime(9223372036, 854775807)
    return Qos(
        QosHistory.KEEP_LAST,
        1,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL,
        forever,
        forever,
        QosLiveliness.AUTOMATIC,
        forever,
        False,
    )


def write(bag: Path, storage: StoragePlugin, mode: CompressionMode, version: int) -> None:
    """A bag with a standard type, a laboratory's own type, empty and large messages, in no order of time."""
    types = get_typestore(Stores.ROS2_JAZZY)
    types.register(get_types_from_msg(FORCE, "lab_msgs/msg/Force"))
    header, time = types.types["std_msgs/msg/Header"], types.types["builtin_interfaces/msg/Time"]
    text, force = types.types["std_msgs/msg/String"], types.types["lab_msgs/msg/Force"]
    writer = Writer(bag, version=version, storage_plugin=storage)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    noise = np.random.default_rng(0)
    with writer:
        words = writer.add_connection(
            "/instruction", text.__msgtype__, typestore=types, offered_qos_profiles=[latched()]
        )
        forces = writer.add_connection("/cell/force", force.__msgtype__, typestore=types)
        for i in range(500):
            at = BEGIN + i * 2_000_000 - (7_000_000 if i % 50 == 49 else 0)
            stamp = header(time(at // 10**9, at % 10**9), "tool")
            message = force(stamp, noise.standard_normal(i % 7), "N")
            writer.write(forces, at, types.serialize_cdr(message, force.__msgtype__))
            if i % 100 == 0:
                large = "" if i == 0 else "größer " * 20_000
                writer.write(words, at + 1, types.serialize_cdr(text(large), text.__msgtype__))


COMBINATIONS = [
    (storage, mode, version)
    for storage in (StoragePlugin.MCAP, StoragePlugin.SQLITE3)
    for mode in (CompressionMode.NONE, CompressionMode.MESSAGE, CompressionMode.FILE, CompressionMode.STORAGE)
    for version in (8, 9)
    if not (mode is CompressionMode.STORAGE and storage is StoragePlugin.SQLITE3)
]


@pytest.mark.parametrize(("storage", "mode", "version"), COMBINATIONS)
def test_what_rosbags_wrote_is_read_message_for_message_and_given_back_as_it_was(tmp_path, storage, mode, version):
    bag = tmp_path / "bag"
    write(bag, storage, mode, version)
    read, expected = ours(bag), theirs(bag)
    assert len(expected) == 505
    if storage is StoragePlugin.SQLITE3:
        assert read == expected
    # An MCAP file is read as it lies.
    assert sorted(read) == sorted(expected)

    (force, words) = json.loads(efm_bag("info", "--json", bag).stdout)["topics"]
    assert (force["name"], force["type"], force["messages"]) == ("/cell/force", "lab_msgs/msg/Force", 500)
    assert "float64[<=6] values" in force["definition"]
    assert force["definition_encoding"] == "ros2msg"
    # Into MCAP files `rosbags` writes none.
    assert force["type_hash"].startswith("RIHS01_" if storage is StoragePlugin.SQLITE3 else "")
    assert words["offered_qos"]

    # Through us and back: the same messages, definitions, hashes and profiles.
    copy = tmp_path / "copy"
    done = efm_bag("slice", bag, "--out", copy)
    assert done.returncode == 0, done.stderr
    assert sorted(theirs(copy)) == sorted(expected)
    with Reader(copy) as reader, Reader(bag) as before:
        for new, old in zip(
            sorted(reader.connections, key=lambda c: c.topic),
            sorted(before.connections, key=lambda c: c.topic),
            strict=True,
        ):
            assert (new.topic, new.msgtype, new.msgcount) == (old.topic, old.msgtype, old.msgcount)
            assert new.msgdef == old.msgdef
            if storage is StoragePlugin.SQLITE3:
                # Of MCAP bags that `rosbags` wrote only metadata.yaml knows them, and that is not read for it.
                assert new.digest == old.digest
            if old.ext.offered_qos_profiles:
                assert new.ext.offered_qos_profiles == old.ext.offered_qos_profiles
        assert [bool(c.ext.offered_qos_profiles) for c in before.connections].count(True) == 1


def test_what_we_write_is_read_by_rosbags_and_mcap_ros2(tmp_path):
    # Our own writer and our own definitions: a bag of every type of the suite, as the recorder makes it.
    bag = tmp_path / "bag"
    # `cargo test` has built it.
    make = subprocess.run([BIN / "examples" / "make_bag", bag], capture_output=True, text=True, timeout=60, check=False)
    assert make.returncode == 0, make.stderr
    read = ours(bag)
    assert sorted(read) == sorted(theirs(bag))
    types = get_typestore(Stores.EMPTY)
    with Reader(bag) as reader:
        # By the definitions that the bag itself carries.
        for found in reader.connections:
            types.register(get_types_from_msg(found.msgdef.data, found.msgtype))
        assert len(reader.connections) >= 8
        for found, _, data in reader.messages():
            types.deserialize_cdr(data, found.msgtype)
        profiles = {found.topic: found.ext.offered_qos_profiles for found in reader.connections}
        # Hashes are those that ROS gives these types.
        known = get_typestore(Stores.ROS2_JAZZY)
        for found in reader.connections:
            assert found.digest == known.hash_rihs01(found.msgtype), found.topic
    assert profiles["/instruction"][0].durability is QosDurability.TRANSIENT_LOCAL
    assert profiles["/joint_states"][0].durability is QosDurability.VOLATILE
    (file,) = bag.glob("*.mcap")
    with file.open("rb") as stream:
        decoded = list(make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages())
    assert len(decoded) == len(read)
    joints = next(message for _, channel, _, message in decoded if channel.topic == "/joint_states")
    assert len(joints.name) == len(joints.position) == 7


def test_broken_bags_are_told_in_words_and_in_bounded_memory(tmp_path):
    # Address space that the program itself needs, and a chunk of the largest size.
    memory = 900 << 20
    compressor = zstandard.ZstdCompressor().compressobj()
    packed = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(2048)) + compressor.flush()
    assert len(packed) < 100_000
    (tmp_path / "file.mcap.zstd").write_bytes(packed)
    (tmp_path / "file.db3.zstd").write_bytes(packed)
    for storage, suffix in ((StoragePlugin.MCAP, "mcap"), (StoragePlugin.SQLITE3, "db3")):
        types = get_typestore(Stores.ROS2_JAZZY)
        with Writer(tmp_path / suffix, version=9, storage_plugin=storage) as writer:
            words = writer.add_connection("/instruction", "std_msgs/msg/String", typestore=types)
            # Messages of 64 KB that become 2 GB each.
            for i in range(5):
                writer.write(words, BEGIN + i, packed)
    database = sqlite3.connect(tmp_path / "view.db3")
    database.executescript(
        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT);"
        "CREATE VIEW messages AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT 1 AS topic_id, i AS timestamp, zeroblob(1000000000) AS data FROM n;"
    )
    database.close()
    for bag, words in [
        (tmp_path / "file.mcap.zstd", "file.mcap.zstd"),
        (tmp_path / "file.db3.zstd", "file.db3.zstd"),
        (tmp_path / "mcap", "become more than"),
        (tmp_path / "db3", "become more than"),
        (tmp_path / "view.db3", "no table 'messages'"),
    ]:
        done = efm_bag("check", bag, memory=memory)
        assert done.returncode == 1, (bag, done.stdout, done.stderr)
        assert words in done.stdout + done.stderr, (bag, done.stdout, done.stderr)
        assert "panicked" not in done.stderr


def test_a_drawing_is_svg_and_a_name_that_says_otherwise_is_refused(tmp_path):
    bag = tmp_path / "bag"
    write(bag, StoragePlugin.MCAP, CompressionMode.NONE, 9)
    for name in ("x.png", "x.pdf", "x", "x.svg.png"):
        done = efm_bag("plot", bag, "--out", tmp_path / name)
        assert done.returncode == 1 and ".svg" in done.stderr and not (tmp_path / name).exists(), done.stderr
    assert efm_bag("plot", bag, "--out", tmp_path / "x.svg").returncode == 0


@pytest.mark.parametrize("command", ["repair", "slice"])
def test_a_full_disk_is_told_as_one_and_nothing_is_left_on_it(tmp_path, command):
    bag, disk = tmp_path / "bag", tmp_path / "disk"
    disk.mkdir()
    types = get_typestore(Stores.ROS2_JAZZY)
    text = types.types["std_msgs/msg/String"]
    noise = np.random.default_rng(0)
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/noise", text.__msgtype__, typestore=types)
        for i in range(100):
            data = noise.integers(33, 126, 60_000, dtype=np.uint8).tobytes().decode()
            writer.write(connection, BEGIN + i * 10_000_000, types.serialize_cdr(text(data), text.__msgtype__))
    mount = f'mount -t tmpfs -o size=2m tmpfs "{disk}" || exit 77; "$@"; code=$?; ls -A "{disk}"; exit $code'
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    arguments = [str(BIN / "efm-bag"), command, str(bag), "--out", str(disk / "copy")]
    shell = ["unshare", *user, "--mount", "sh", "-c", mount, "sh", *arguments]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("no tmpfs can be mounted here")
    assert done.returncode == 1 and "No space left on device" in done.stderr, done.stderr
    assert "compression" not in done.stderr and not done.stdout.strip(), done
