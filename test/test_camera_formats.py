"""A publisher of each pixel format, through camera_ingest: what comes out is what OpenCV makes of it, by formulas written down here anew."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import yaml
from conftest import ROOT
from graph_tools import ERROR, MODELS, OK, WARN, Health, now, policy, ros, values
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

WIDTH, HEIGHT = 8, 6
PADDING = 5
SAID = {"8UC2": "yuyv", "8UC3": "bgr8", "8UC4": "rgba8", "16UC1": "mono12", "mono16": "mono16", "8UC1": "bayer_gbrg8"}
BAYER = [f"bayer_{pattern}{bits}" for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)]
YUV = {"uyvy": "uyvy", "yuv422": "uyvy", "yuyv": "yuyv", "yuv422_yuy2": "yuyv", "nv12": "nv12", "nv21": "nv21"}
PLAIN = {"rgb8": (3, (0, 1, 2)), "bgr8": (3, (2, 1, 0)), "rgba8": (4, (0, 1, 2)), "bgra8": (4, (2, 1, 0)), "mono8": (1, (0, 0, 0))}
GREY_BITS = {"mono16": 16, "mono14": 14, "mono12": 12, "mono10": 10}
ALL = [*PLAIN, *BAYER, *YUV, *GREY_BITS, *(name for name in SAID if name not in GREY_BITS)]


def pixel_bytes(encoding: str) -> int:
    meant = SAID.get(encoding, encoding)
    if meant in PLAIN:
        return PLAIN[meant][0]
    return 1 if meant in ("nv12", "nv21") or meant.endswith("8") and meant.startswith("bayer") else 2


def yuv(y: int, u: int, v: int) -> tuple[int, ...]:
    """BT.601, limited range, as OpenCV has it: 20 bits behind the point."""
    y, u, v = max(y - 16, 0) * 1220542 + (1 << 19), u - 128, v - 128
    channels = (y + 1673527 * v, y - 852492 * v - 409993 * u, y + 2116026 * u)
    return tuple(min(max(channel >> 20, 0), 255) for channel in channels)


def colours(encoding: str, rows: list[bytes], big: bool) -> list[tuple[int, ...]]:
    """Red, green and blue of each pixel."""
    meant = YUV.get(SAID.get(encoding, encoding), SAID.get(encoding, encoding))
    places = [(x, y) for y in range(HEIGHT) for x in range(WIDTH)]
    word = lambda x, y: int.from_bytes(rows[y][2 * x : 2 * x + 2], "big" if big else "little")  # noqa: E731
    scaled = lambda value, white: (min(value, white) * 255 + white // 2) // white  # noqa: E731
    if meant in PLAIN:
        count, order = PLAIN[meant]
        return [tuple(rows[y][x * count + at] for at in order) for x, y in places]
    if meant in GREY_BITS:
        return [(scaled(word(x, y), (1 << GREY_BITS[meant]) - 1),) * 3 for x, y in places]
    if meant in ("uyvy", "yuyv"):
        y0, y1, u, v = (1, 3, 0, 2) if meant == "uyvy" else (0, 2, 1, 3)
        four = lambda x, y: rows[y][x // 2 * 4 : x // 2 * 4 + 4]  # noqa: E731
        return [yuv(four(x, y)[y1 if x % 2 else y0], four(x, y)[u], four(x, y)[v]) for x, y in places]
    if meant in ("nv12", "nv21"):
        u, v = (0, 1) if meant == "nv12" else (1, 0)
        pair = lambda x, y: rows[HEIGHT + y // 2][x // 2 * 2 : x // 2 * 2 + 2]  # noqa: E731
        return [yuv(rows[y][x], pair(x, y)[u], pair(x, y)[v]) for x, y in places]
    pattern, deep = meant[6:10], meant.endswith("16")
    value = word if deep else lambda x, y: rows[y][x]
    colour = lambda x, y: pattern[y % 2 * 2 + x % 2]  # noqa: E731

    def mean(x: int, y: int, wanted: str) -> int:
        if colour(x, y) == wanted:
            return value(x, y)
        around = [(x + dx, y + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1)]
        # Green lies beside and above, a colour beside, above or at the corners: whichever there are.
        near = [place for place in around if colour(*place) == wanted and (wanted != "g" or place[0] == x or place[1] == y)]
        return (sum(value(*place) for place in near) + len(near) // 2) // len(near)

    inside = [(min(max(x, 1), WIDTH - 2), min(max(y, 1), HEIGHT - 2)) for x, y in places]
    means = [[mean(x, y, wanted) for wanted in "rgb"] for x, y in inside]
    return [tuple(scaled(value, 65535) if deep else value for value in pixel) for pixel in means]


def package(folder: Path, cameras: dict[str, dict]) -> Path:
    """The fixture's package with these cameras."""
    shutil.copytree(MODELS / "panda_drift", folder)
    manifest = yaml.safe_load((folder / "policy.yaml").read_text())
    [image] = manifest["observation"]["images"]
    images = [image | {"name": name, "tensor": f"image_{name}"} | more for name, more in cameras.items()]
    manifest["observation"]["images"] = images
    for graph in manifest["graphs"].values():
        if "image_front" in graph["inputs"]:
            at = graph["inputs"].index("image_front")
            graph["inputs"][at : at + 1] = [image["tensor"] for image in images]
    (folder / "policy.yaml").write_text(yaml.safe_dump(manifest))
    return folder


def test_a_publisher_of_each_format_comes_through_and_what_is_not_said_is_refused_by_the_parameter(start, probe, tmp_path):
    name = lambda encoding: f"cam_{encoding}"  # noqa: E731
    wanted = {"width": 640, "rectified": True}
    cameras = {name(encoding): {} for encoding in ALL} | {"unsaid": {}, "dark": {}, "odd": {}, "crooked": {"camera": wanted}}
    folder = package(tmp_path / "eyes", cameras)
    health = Health(probe)
    seen = {camera: probe.hear(Image, f"observation/{camera}/image") for camera in cameras}
    publishers = {camera: probe.node.create_publisher(Image, f"{camera}/image_raw", 5) for camera in cameras}
    info = probe.node.create_publisher(CameraInfo, "crooked/camera_info", qos_profile_sensor_data)
    grey = [name(encoding) for encoding in ("mono8", "mono14", "mono12", "mono10")]
    read_as = [f"{name(encoding)}:{encoding}={meant}" for encoding, meant in SAID.items()]
    start("camera_ingest", *ros(**policy(folder), grey_cameras=str([*grey, "dark"]), read_as=str(read_as), max_age=30.0))

    def picture(encoding: str, big: bool, width: int = WIDTH) -> tuple[Image, list[bytes]]:
        dice = random.Random(encoding)
        rows = HEIGHT * 3 // 2 if encoding in ("nv12", "nv21") else HEIGHT
        bare = [dice.randbytes(width * pixel_bytes(encoding)) for _ in range(rows)]
        message = Image(width=width, height=HEIGHT, encoding=encoding, is_bigendian=int(big), step=len(bare[0]) + PADDING)
        message.data = b"".join(row + b"\xa5" * PADDING for row in bare)
        message.header.stamp = now(probe)
        message.header.frame_id = encoding
        return message, bare

    big = {encoding: encoding in ("mono16", "16UC1", "bayer_rggb16") for encoding in ALL}

    def all_came() -> bool:
        for encoding in ALL:
            publishers[name(encoding)].publish(picture(encoding, big[encoding])[0])
        publishers["unsaid"].publish(picture("8UC3", False)[0])
        publishers["dark"].publish(picture("mono16", False)[0])
        publishers["odd"].publish(picture("yuv422_yuy2", False, WIDTH - 1)[0])
        publishers["crooked"].publish(picture("rgb8", False)[0])
        info.publish(CameraInfo(width=WIDTH, height=HEIGHT, d=[0.2], k=[1.0] * 9, distortion_model="plumb_bob"))
        probe.spin(0.1)
        return all(seen[name(encoding)] for encoding in ALL)

    probe.until(all_came, what="a picture of each format")
    for encoding in ALL:
        rows = picture(encoding, big[encoding])[1]
        expected = [byte for pixel in colours(encoding, rows, big[encoding]) for byte in pixel]
        came = seen[name(encoding)][-1]
        apart = [abs(a - b) for a, b in zip(came.data, expected, strict=True)]
        assert came.encoding == "rgb8" and max(apart) <= 1, f"{encoding}: {max(apart)} grey levels"

    def told(camera: str, level: bytes, *words: str):
        def status():
            all_came()
            newest = health.newest(f"camera_ingest: camera {camera}")
            return newest if newest and newest.level == level and all(word in newest.message for word in words) else None

        return probe.until(status, what=f"{camera} with {words}")

    told("unsaid", ERROR, "'unsaid'", "'8UC3'", "order of its channels", "'read_as'", "unsaid:8UC3=bgr8")
    dark = told("dark", ERROR, "'dark'", "16 bits", "'read_as'", "mono12")
    assert values(dark)["code"] == "image_scale_unknown"
    told("odd", ERROR, "'odd'", "7x6", "its width must be even")
    assert not seen["unsaid"] and not seen["dark"] and not seen["odd"]
    crooked = told("crooked", WARN, "'crooked'", "8x6", "640x6", "not rectified", "image_rect_color")
    assert values(crooked)["code"] == "camera_differs" and "with distortion" in values(crooked)["camera_info"]
    assert seen["crooked"]
    told(name("nv12"), OK)


def test_motion_jpeg_without_tables_comes_through_whatever_its_format_is_called(start, probe, tmp_path):
    names = {"jpeg": "jpeg", "mjpeg": "mjpeg", "transport": "bgr8; jpeg compressed bgr8"}
    folder = package(tmp_path / "eyes", {camera: {} for camera in names})
    seen = {camera: probe.hear(Image, f"observation/{camera}/image") for camera in names}
    topics = {camera: probe.node.create_publisher(CompressedImage, f"{camera}/image_raw/compressed", 5) for camera in names}
    start("camera_ingest", *ros(**policy(folder), transport="compressed"))
    data = (ROOT / "packages/vision/tests/data/mjpeg.jpg").read_bytes()

    def all_came() -> bool:
        for camera, form in names.items():
            message = CompressedImage(format=form, data=data)
            message.header.stamp = now(probe)
            topics[camera].publish(message)
        probe.spin(0.1)
        return all(seen.values())

    probe.until(all_came, what="a picture of each")
    assert len({bytes(pictures[0].data) for pictures in seen.values()}) == 1
