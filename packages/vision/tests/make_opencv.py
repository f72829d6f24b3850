"""Makes `data/opencv.json`, `data/mjpeg*.jpg` and the fixtures in `formats/` of what OpenCV converts: needs opencv-python-headless, numpy and Pillow.

    python3 make_opencv.py

The pictures are noise that both sides make (`noise`); of OpenCV's result a checksum (Adler-32) and some pixels are kept. Conversions are those of
cv_bridge: YUV by its code, a mosaic by COLOR_Bayer..2RGB (OpenCV names the pattern by its second row and column), 16 bits by 255/65535.
"""

import io
import json
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

HERE = Path(__file__).parent
BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
YUV = {"uyvy": cv2.COLOR_YUV2RGB_UYVY, "yuyv": cv2.COLOR_YUV2RGB_YUYV}
PLANES = {"nv12": cv2.COLOR_YUV2RGB_NV12, "nv21": cv2.COLOR_YUV2RGB_NV21}
PACKED = {"bgr8": cv2.COLOR_BGR2RGB, "rgba8": cv2.COLOR_RGBA2RGB, "bgra8": cv2.COLOR_BGRA2RGB, "mono8": cv2.COLOR_GRAY2RGB}
BITS = {"mono16": 16, "mono14": 14, "mono12": 12, "mono10": 10}
STREAM = bytearray()


def noise(count):
    """The high bytes of Numerical Recipes' generator from 7 on."""
    state = noise.state
    while len(STREAM) < count:
        state = (state * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        STREAM.append(state >> 24)
    noise.state = state
    return np.frombuffer(bytes(STREAM[:count]), np.uint8)


noise.state = 7


def to_bytes(image, white):
    """As cv_bridge: Mat::convertTo with 255/white."""
    return cv2.convertScaleAbs(np.minimum(image, white), alpha=255.0 / white)


def convert(name, width, height, big=False):
    """The bytes of a picture in this encoding, bytes a row, and OpenCV's red, green and blue."""
    order = ">u2" if big else "<u2"
    if name in YUV:
        data = noise(width * height * 2)
        return data, width * 2, cv2.cvtColor(data.reshape(height, width, 2), YUV[name])
    if name in PLANES:
        data = noise(width * height * 3 // 2)
        return data, width, cv2.cvtColor(data.reshape(height * 3 // 2, width), PLANES[name])
    if name in PACKED:
        channels = {"bgr8": 3, "mono8": 1}.get(name, 4)
        data = noise(width * height * channels)
        return data, width * channels, cv2.cvtColor(data.reshape(height, width, channels), PACKED[name])
    if name in BITS:
        data = noise(width * height * 2)
        image = data.view(order).astype(np.uint16).reshape(height, width)
        grey = to_bytes(image, (1 << BITS[name]) - 1)
        return data, width * 2, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    pattern = BAYER[name[6:10]]
    if name.endswith("16"):
        data = noise(width * height * 2)
        image = data.view(order).astype(np.uint16).reshape(height, width)
        return data, width * 2, to_bytes(cv2.cvtColor(image, pattern), 65535)
    data = noise(width * height)
    return data, width, cv2.cvtColor(data.reshape(height, width), pattern)


def case(name, width, height, big):
    """One entry."""
    _, _, rgb = convert(name, width, height, big)
    pixels = rgb.reshape(-1, 3)
    sample = [pixels[i * 9973 % len(pixels)].tolist() for i in range(12)]
    return {"encoding": name, "width": width, "height": height, "big_endian": big, "adler32": zlib.adler32(rgb.tobytes()), "sample": sample}


def fixture(name, big=False):
    """A small picture with padded rows, as a text."""
    width, height, padding = 6, 4, 3
    data, step, rgb = convert(name, width, height, big)
    lines = [f"# Noise, converted by OpenCV {cv2.__version__}.", f"width {width}", f"height {height}", f"step {step + padding}"]
    lines += ["big_endian true"] if big else []
    lines += [f"data {row.tobytes().hex()} {'a5' * padding}" for row in data.reshape(-1, step)]
    lines += [f"rgb {row.tobytes().hex()}" for row in rgb]
    (HERE / "formats" / f"{name}.txt").write_text("\n".join(lines) + "\n")


def scene(width, height):
    """A smooth picture with an edge."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    waves = [np.sin(x / (0.09 * width) + k) * np.cos(y / (0.11 * height) - k) for k in range(3)]
    picture = 128 + 70 * np.stack(waves, -1) + 40 * ((x + y) % (width / 2) < width / 4)[..., None]
    return Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))


def uvc(file):
    """As USB cameras send it: an AVI1 segment and no Huffman tables."""
    out, at = bytearray(b"\xff\xd8\xff\xe0\x00\x10AVI1" + bytes(10)), 2
    while file[at + 1] != 0xDA:
        length = int.from_bytes(file[at + 2 : at + 4], "big") + 2
        if file[at + 1] not in (0xC4, 0xE0):
            out += file[at : at + length]
        at += length
    return bytes(out) + file[at:]


def mjpeg(name, width, height, grid):
    """A picture without tables, and pixels of what OpenCV's libjpeg makes of the same with them."""
    file = io.BytesIO()
    scene(width, height).save(file, "JPEG", quality=50, subsampling="4:2:2")
    bare = uvc(file.getvalue())
    (HERE / "data" / name).write_bytes(bare)
    rgb = cv2.cvtColor(cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    return {"file": name, "width": width, "height": height, "grid": grid, "rgb": rgb[::grid, ::grid].tobytes().hex()}


bayers = [f"bayer_{pattern}{bits}" for bits in (8, 16) for pattern in BAYER]
names = [*PACKED, *BITS, *bayers, *YUV, *PLANES]
cases = []
for name in names:
    cases.append(case(name, 640, 480, False))
    even = name in PLANES or name in YUV
    cases.append(case(name, 38 if even else 37, 24 if name in PLANES else 23, name.endswith("16")))
for name in [*BITS, *bayers, *YUV, *PLANES]:
    fixture(name, name in ("mono14", "bayer_bggr16", "bayer_grbg16"))
pictures = [mjpeg("mjpeg.jpg", 640, 480, 24), mjpeg("mjpeg_odd.jpg", 37, 23, 1)]
text = ",\n".join(json.dumps(entry) for entry in cases)
more = ",\n".join(json.dumps(entry) for entry in pictures)
(HERE / "data" / "opencv.json").write_text(f'{{"opencv": "{cv2.__version__}", "cases": [\n{text}\n], "mjpeg": [\n{more}\n]}}\n')
