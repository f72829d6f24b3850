"""camera_ingest: what cameras send becomes what the policy sees, or a message that names the camera."""

from __future__ import annotations

import shutil
import struct
import zlib

import pytest
import yaml
from graph_tools import ERROR, MODELS, OK, STALE, Health, image, now, policy, ros, values
from sensor_msgs.msg import CompressedImage, Image

TASK = "camera_ingest: camera front"


class Camera:
    """A camera that is published by the test, and what comes out behind camera_ingest."""

    def __init__(self, start, probe, folder="panda_drift"):
        self.probe = probe
        self.health = Health(probe)
        self.seen = probe.hear(Image, "observation/front/image")
        self.publisher = probe.node.create_publisher(Image, "front/image_raw", 5)
        self.process = start("camera_ingest", *ros(**policy(folder)))
        probe.until(self.publisher.get_subscription_count, what="camera_ingest's subscription")
        probe.until(lambda: probe.node.count_publishers("observation/front/image"), what="the output")

    def send(self, ahead=0.0, **fields):
        message = image(now(self.probe, ahead), **fields)
        self.publisher.publish(message)
        return message

    def work(self):
        """Send good images until some come out: their form is what is kept to."""
        before = len(self.seen)

        def out():
            self.send()
            return len(self.seen) > before + 5

        self.probe.until(out, what="images of the policy")

    def refused(self, *words, code="", **fields):
        """Send bad images until diagnostics say so; nothing may come out from then on."""

        def told():
            self.send(**fields)
            status = self.health.newest(TASK)
            said = status and status.level == ERROR and all(word in status.message for word in words)
            return said and code in ("", values(status)["code"])

        self.probe.until(told, what=f"an error with {words}")
        self.probe.quiet(self.seen, 0.3, "camera_ingest")  # good images may still be on their way
        before = len(self.seen)
        for _ in range(5):
            self.send(**fields)
            self.probe.spin(0.05)
        assert len(self.seen) == before


@pytest.fixture
def camera(start, probe):
    return Camera(start, probe)


def test_images_come_out_at_the_policys_size_with_stamp_and_frame(camera, probe):
    camera.work()
    sent = camera.send()
    same = lambda: next((m for m in camera.seen if m.header.stamp == sent.header.stamp), None)  # noqa: E731
    came = probe.until(same, what="the image with the same stamp")
    assert came.header.frame_id == sent.header.frame_id
    assert (came.encoding, came.width, came.height, came.step, len(came.data)) == ("rgb8", 8, 6, 24, 144)
    camera.health.wait(TASK, OK)


def test_filter_and_border_are_those_of_the_policy(start, probe, tmp_path):
    folder = shutil.copytree(MODELS / "panda_drift", tmp_path / "squared")
    manifest = yaml.safe_load((folder / "policy.yaml").read_text())
    border = {"border": "left_top", "value": 9}
    manifest["observation"]["images"][0] |= {"height": 8, "resize": "pad", "filter": "nearest", "pad": border}
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest))
    camera = Camera(start, probe, folder)

    def out():
        message = image(now(probe))
        # Of each eight columns only the one under the middle of the policy's pixel is bright: any other filter would mix it with the rest.
        message.data = bytes(200 if x % 8 == 4 else 0 for _ in range(48) for x in range(64) for _ in range(3))
        camera.publisher.publish(message)
        return camera.seen

    came = probe.until(out, what="an image of the policy")[-1]
    assert (came.width, came.height) == (8, 8)
    assert bytes(came.data) == bytes([9] * 2 * 24 + [200] * 6 * 24)


def test_a_changed_encoding_is_refused_by_name_until_it_changes_back(camera):
    camera.work()
    camera.refused("'front'", "'rgb8'", "'mono8'", encoding="mono8")
    camera.refused("'front'", "'bgr8'", encoding="bgr8")
    camera.work()


def test_a_changed_size_is_refused_by_name(camera):
    camera.work()
    camera.refused("'front'", "64x48", "32x24", code="image_size_changed", width=32, height=24)


def test_too_few_bytes_are_refused_by_name(camera, probe):
    camera.work()

    def told():
        message = image(now(probe))
        message.data = bytes(100)
        camera.publisher.publish(message)
        status = camera.health.newest(TASK)
        return status and status.level == ERROR and "'front'" in status.message and "100 bytes" in status.message

    probe.until(told, what="an error about the bytes")


def test_grey_pictures_are_refused_for_a_colour_policy_unless_it_is_said_that_they_are_meant(start, probe, camera):
    camera.refused("'front'", "grey", "mono8", "grey_cameras", encoding="mono8")
    # It has not become what colour pictures are compared with.
    camera.work()
    assert camera.process.stop() == 0
    start("camera_ingest", *ros(**policy(), grey_cameras="['front']"))
    before = len(camera.seen)

    def out():
        camera.send(encoding="mono8")
        return len(camera.seen) > before

    probe.until(out, what="a grey image of the policy")


def test_two_cameras_on_one_topic_are_told_and_nothing_is_passed_on_until_one_is_left(camera, probe):
    camera.work()
    other = probe.node.create_publisher(Image, "front/image_raw", 5)

    def told():
        camera.send()
        probe.spin(0.02)
        other.publish(image(now(probe)))
        status = camera.health.newest(TASK)
        return status and status.level == ERROR and "two publishers" in status.message and "'front'" in status.message

    probe.until(told, what="an error about two publishers")
    probe.node.destroy_publisher(other)
    camera.work()


def test_stamps_from_the_future_are_refused_by_name(camera):
    camera.work()
    camera.refused("'front'", "future", code="image_from_the_future", ahead=2.0)
    camera.work()


def test_a_camera_that_stops_becomes_stale_and_recovers(camera):
    camera.work()
    camera.health.wait(TASK, STALE, "silent", "'front'")
    camera.work()
    camera.health.wait(TASK, OK)


def test_a_stray_first_picture_of_another_size_keeps_no_camera_out(camera):

    def stray():
        camera.send(width=32, height=24)
        camera.probe.spin(0.3)
        return camera.seen

    camera.probe.until(stray, what="the stray one")
    camera.work()
    camera.refused("'front'", "64x48", "32x24", code="image_size_changed", width=32, height=24)


def test_a_policy_that_is_not_there_is_told_and_the_node_stays_where_it_is_to(start, probe):
    health = Health(probe)
    process = start("camera_ingest", *ros(policy="no_such_policy", wrong_policy="stay", models_path="['models']"))
    status = health.wait("camera_ingest: policy", ERROR, "no_such_policy")
    assert values(status)["code"] == "policy_not_found"
    assert process.stop() == 0, process.log


def png(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """An image of one colour, as PNG."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(colour) * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")


def test_compressed_images_are_unpacked_and_damaged_ones_named(start, probe):
    health = Health(probe)
    seen = probe.hear(Image, "observation/front/image")
    publisher = probe.node.create_publisher(CompressedImage, "front/image_raw/compressed", 5)
    start("camera_ingest", *ros(**policy(), transport="compressed"))

    def send(data):
        message = CompressedImage(format="rgb8; png compressed rgb8", data=data)
        message.header.stamp = now(probe)
        publisher.publish(message)

    def out():
        send(png(64, 48, (250, 20, 30)))
        return seen

    probe.until(out, what="an image of the policy")
    assert bytes(seen[0].data) == bytes((250, 20, 30)) * 48

    def told():
        send(png(64, 48, (1, 2, 3))[:-40])
        status = health.newest(TASK)
        return status and status.level == ERROR and "'front'" in status.message

    probe.until(told, what="an error about damaged bytes")
    # One whose header promises more than it has does not become the size that others are compared with.
    before = len(seen)

    def again():
        send(png(64, 48, (1, 2, 3)))
        return len(seen) > before

    probe.until(again, what="an image after damaged ones")
