"""What others make of a camera's message: OpenCV and Pillow, for `efm-bench image`, which starts this and drives it block by block.

Needs opencv-python(-headless), numpy and Pillow. Everything is on one thread. Lines of JSON: first this program says what it runs on,
{"versions": {...}}; then for each job

    {"method": "opencv-area/lut", "kind": "rgb8" | "bgr8" | "jpeg", "files": [...], "width": 640, "height": 480, "target": 224,
     "count": 40, "tensor": null or a path}

it makes `count` tensors of the pictures in turn and answers {"nanos": [...]}, the CPU time of each; or {"error": "..."}. With `tensor`
it writes the tensor of the first file there (float32 [3, target, target] as it lies in memory) and then times as told.

A tensor is value / 127.5 - 1. What can be prepared for many pictures is prepared: outputs are reused wherever the library takes one.
"""

import gc
import io
import json
import sys
import time


def opencv(job, sources):
    """OpenCV: [imdecode,] resize, and one of several ways to a normalised tensor."""
    import cv2
    import numpy as np

    cv2.setNumThreads(1)
    _, how, form = job["method"].split("/")
    reduced = how.endswith("-reduced")
    interpolation = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR}[how.removesuffix("-reduced")]
    flags = cv2.IMREAD_REDUCED_COLOR_2 if reduced else cv2.IMREAD_COLOR
    kind, width, height, target = job["kind"], job["width"], job["height"], job["target"]
    small = np.empty((target, target, 3), np.uint8)
    floats = np.empty((target, target, 3), np.float32)
    plane = np.empty((target, target), np.uint8)
    tensor = np.empty((3, target, target), np.float32)
    scale = np.float32(1 / 127.5)
    table = (np.arange(256, dtype=np.float32) / np.float32(127.5) - 1).reshape(1, 256)
    # JPEG comes out as blue, green, red.
    swapped = kind != "rgb8"
    order = [2, 1, 0] if swapped else [0, 1, 2]
    planes = [tensor[c] for c in order]

    def blob():
        # No size given: it only converts, swaps and normalises.
        return cv2.dnn.blobFromImage(small, 1 / 127.5, mean=(127.5, 127.5, 127.5), swapRB=swapped)[0]

    def lut():
        cv2.LUT(small, table, floats)
        cv2.split(floats, planes)
        return tensor

    def numpy():
        np.multiply(small.transpose(2, 0, 1)[order], scale, out=tensor)
        return np.subtract(tensor, np.float32(1), out=tensor)

    def extract():
        for c in range(3):
            cv2.extractChannel(small, order[c], plane)
            cv2.LUT(plane, table, tensor[c])
        return tensor

    finish = {"blob": blob, "lut": lut, "numpy": numpy, "extract": extract}[form]

    def picture(i):
        pixels = np.frombuffer(sources[i], np.uint8)
        if kind == "jpeg":
            pixels = cv2.imdecode(pixels, flags)
        else:
            pixels = pixels.reshape(height, width, 3)
        cv2.resize(pixels, (target, target), dst=small, interpolation=interpolation)
        return finish()

    return picture


def pillow(job, sources):
    """Pillow: [open,] resize with an antialiased triangle, then NumPy and OpenCV's table."""
    import cv2
    import numpy as np
    from PIL import Image

    cv2.setNumThreads(1)
    _, how, variant = job["method"].split("/")
    resample = {"bilinear": Image.Resampling.BILINEAR}[how]
    kind, size, target = job["kind"], (job["width"], job["height"]), job["target"]
    gap = 2.0 if variant == "gap" else None
    table = (np.arange(256, dtype=np.float32) / np.float32(127.5) - 1).reshape(1, 256)
    floats = np.empty((target, target, 3), np.float32)
    tensor = np.empty((3, target, target), np.float32)
    planes = list(tensor)

    def picture(i):
        if kind == "jpeg":
            image = Image.open(io.BytesIO(sources[i]))
            if variant == "draft":
                image.draft("RGB", (target, target))
        else:
            image = Image.frombuffer("RGB", size, sources[i], "raw", kind[:3].upper(), 0, 1)
        small = image.resize((target, target), resample, reducing_gap=gap)
        cv2.LUT(np.asarray(small), table, floats)
        cv2.split(floats, planes)
        return tensor

    return picture


def answer(job):
    """Does a job."""
    sources = []
    for file in job["files"]:
        with open(file, "rb") as stream:
            sources.append(stream.read())
    maker = {"opencv": opencv, "pillow": pillow}[job["method"].split("/")[0]]
    picture = maker(job, sources)
    first = picture(0)
    if job["tensor"] is not None:
        with open(job["tensor"], "wb") as stream:
            stream.write(first.tobytes())
    nanos = []
    for i in range(job["count"]):
        begun = time.thread_time_ns()
        picture(i % len(sources))
        nanos.append(time.thread_time_ns() - begun)
    return {"nanos": nanos}


def main():
    """Says what it is, then does jobs until its input ends."""
    try:
        import cv2
        import numpy
        import PIL
    except ImportError as error:
        say({"error": f"{error} (it needs opencv-python-headless, numpy and pillow)"})
        return
    gc.disable()
    versions = {"Python": sys.version.split()[0], "OpenCV": cv2.__version__, "NumPy": numpy.__version__, "Pillow": PIL.__version__}
    say({"versions": versions})
    for line in sys.stdin:
        try:
            say(answer(json.loads(line)))
        except Exception as error:  # Whatever it is, the other side tells it.
            say({"error": f"{type(error).__name__}: {error}"})


def say(what):
    """Writes a line of JSON."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


main()
