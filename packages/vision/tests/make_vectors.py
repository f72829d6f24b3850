"""Writes data/resize.json: what Pillow, torch, OpenCV and JAX make of one picture, and the published functions that are built on them.

    pip install numpy pillow torch opencv-python-headless jax && python make_vectors.py

jax.image.resize stands for tf.image.resize with antialiasing, whose algorithm it repeats. Published functions, by repository (commit), file and name:

- openpi (Physical-Intelligence/openpi, 15a9616), packages/openpi-client/src/openpi_client/image_tools.py, resize_with_pad
- SmolVLA (huggingface/lerobot 0.4.4), lerobot/policies/smolvla/modeling_smolvla.py, resize_with_pad; prepare_images calls it with pad_value 0 on 0 to 1
- Octo and OpenVLA (kvablack/dlimp, ad72ce3), dlimp/utils.py, resize_image
"""

import json
from pathlib import Path

import cv2
import jax
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

WIDTH, HEIGHT = 17, 11


def picture():
    """Edges, a gradient and noise: rgb8 [HEIGHT, WIDTH, 3]."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [255 * ((x // 3 + y // 3) % 2), 255 * x // (WIDTH - 1), rng.integers(0, 256, x.shape)]
    return np.stack(planes, axis=-1).astype(np.uint8)


def pillow(image, width, height, how):
    # In mode F nothing is rounded between the passes.
    planes = [Image.fromarray(image[..., c].astype(np.float32)).resize((width, height), how) for c in range(3)]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def torch_interpolate(image, width, height, **how):
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].double()
    return F.interpolate(tensor, size=(height, width), **how)[0].permute(1, 2, 0).numpy()


def opencv(image, width, height, how):
    return cv2.resize(image.astype(np.float32), (width, height), interpolation=how)


def jax_resize(image, width, height, how):
    return np.asarray(jax.image.resize(image.astype(np.float32), (height, width, 3), how, antialias=True,
                                       precision=jax.lax.Precision.HIGHEST))


def openpi_resize_with_pad(image, width, height):
    cur_width, cur_height = image.shape[1], image.shape[0]
    ratio = max(cur_width / width, cur_height / height)
    resized_height = int(cur_height / ratio)
    resized_width = int(cur_width / ratio)
    resized_image = Image.fromarray(image).resize((resized_width, resized_height), resample=Image.BILINEAR)
    zero_image = Image.new(resized_image.mode, (width, height), 0)
    pad_height = max(0, int((height - resized_height) / 2))
    pad_width = max(0, int((width - resized_width) / 2))
    zero_image.paste(resized_image, (pad_width, pad_height))
    return np.asarray(zero_image)


def smolvla_resize_with_pad(image, width, height):
    img = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    cur_height, cur_width = img.shape[2:]
    ratio = max(cur_width / width, cur_height / height)
    resized_height = int(cur_height / ratio)
    resized_width = int(cur_width / ratio)
    resized_img = F.interpolate(img, size=(resized_height, resized_width), mode="bilinear", align_corners=False)
    pad_height = max(0, int(height - resized_height))
    pad_width = max(0, int(width - resized_width))
    padded_img = F.pad(resized_img, (pad_width, 0, pad_height, 0), value=0)
    return padded_img[0].permute(1, 2, 0).numpy() * 255.0


def octo_resize_image(image, width, height):
    return np.clip(np.round(jax_resize(image, width, height, "lanczos3")), 0, 255)


def main():
    image = picture()
    shrunk, enlarged, mixed = (7, 3), (23, 14), (5, 19)
    bilinear = {"mode": "bilinear", "align_corners": False}
    cases = []

    def case(name, fit, size, out):
        out = np.asarray(out, dtype=np.float64)
        assert out.shape == (size[1], size[0], 3)
        # What a byte holds at most: a lanczos or cubic kernel goes beyond.
        values = [round(v, 3) for v in np.clip(out, 0, 255).ravel().tolist()]
        cases.append({"name": name, "fit": fit, "width": size[0], "height": size[1], "values": values})

    stretch = {"mode": "stretch"}
    for size in (shrunk, enlarged, mixed):
        antialias = {**stretch, "filter": "bilinear_antialias"}
        case("Pillow BILINEAR", antialias, size, pillow(image, *size, Image.BILINEAR))
        case("torch bilinear, antialias", antialias, size, torch_interpolate(image, *size, **bilinear, antialias=True))
        case("JAX linear", antialias, size, jax_resize(image, *size, "linear"))
        case("torch bilinear", {**stretch, "filter": "bilinear"}, size, torch_interpolate(image, *size, **bilinear))
        case("OpenCV INTER_LINEAR", {**stretch, "filter": "bilinear"}, size, opencv(image, *size, cv2.INTER_LINEAR))
        case("Pillow BICUBIC", {**stretch, "filter": "bicubic_antialias"}, size, pillow(image, *size, Image.BICUBIC))
        case("Pillow LANCZOS", {**stretch, "filter": "lanczos3"}, size, pillow(image, *size, Image.LANCZOS))
        case("JAX lanczos3", {**stretch, "filter": "lanczos3"}, size, jax_resize(image, *size, "lanczos3"))
        case("Pillow NEAREST", {**stretch, "filter": "nearest"}, size, pillow(image, *size, Image.NEAREST))
        case("torch nearest-exact", {**stretch, "filter": "nearest"}, size, torch_interpolate(image, *size, mode="nearest-exact"))
    case("OpenCV INTER_AREA", {**stretch, "filter": "area"}, shrunk, opencv(image, *shrunk, cv2.INTER_AREA))
    for size in ((8, 8), (10, 3), (20, 21)):
        case("openpi resize_with_pad", {"mode": "pad", "filter": "bilinear_antialias"}, size, openpi_resize_with_pad(image, *size))
        left_top = {"border": "left_top", "value": 0}
        case("SmolVLA resize_with_pad", {"mode": "pad", "filter": "bilinear", "pad": left_top}, size, smolvla_resize_with_pad(image, *size))
        case("Octo resize_image", {**stretch, "filter": "lanczos3"}, size, octo_resize_image(image, *size))

    rows = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    source = json.dumps(image.ravel().tolist(), separators=(",", ":"))
    text = f'{{"width":{WIDTH},"height":{HEIGHT},"rgb8":{source},\n"cases":[\n{rows}\n]}}\n'
    (Path(__file__).parent / "data" / "resize.json").write_text(text)


if __name__ == "__main__":
    main()
