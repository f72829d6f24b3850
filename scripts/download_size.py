"""How much pip would download for a file of requirements, told before it does; torch for the CPU where there is no GPU and the index has it.

usage: download_size.py REQUIREMENTS CONSTRAINTS     (CONSTRAINTS is written: what chooses the smaller wheels)
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

# What comes in a build for the CPU as well, under a version that ends so.
BUILT_FOR_CPU = ("torch", "torchvision")
CPU = "+cpu"


def resolve(*requirements: str) -> list[dict] | None:
    """What pip would install for these; nothing where it cannot."""
    command = [
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--disable-pip-version-check", "--report", "-",
    ]  # fmt: skip
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    return json.loads(done.stdout)["install"]


def has_gpu() -> bool:
    """Whether there is a GPU of NVIDIA's with its driver."""
    return Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None


def named(requirements: Path) -> dict[str, str]:
    """The requirements whose packages are built for the CPU as well, by name."""
    lines = (line.split("#")[0].strip() for line in requirements.read_text().splitlines())
    found = {re.split(r"[^A-Za-z0-9_.-]", line)[0].lower(): line for line in lines if line}
    return {name: line for name, line in found.items() if name in BUILT_FOR_CPU}


def for_cpu(requirements: Path) -> tuple[list[str], str | None]:
    """Constraints that choose the builds for the CPU, and which of them the index has not."""
    constraints = []
    for name, requirement in named(requirements).items():
        usual = resolve("--no-deps", requirement)
        if usual is None:
            return [], requirement
        version = usual[0]["metadata"]["version"].split("+")[0]
        wanted = f"{name}=={version}{CPU}"
        if resolve("--no-deps", wanted) is None:
            return [], wanted
        constraints.append(wanted)
    return constraints, None


def size(url: str) -> int | None:
    """Bytes of a file; nothing where that is not told."""
    if url.startswith("file:"):
        return None
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.headers["Content-Length"])
    except (OSError, TypeError, ValueError):
        return None


def in_words(bytes_: float) -> str:
    """A size for people."""
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:.0f} MB"


def tell(packages: list[dict]) -> str:
    """How much, and the largest of it."""
    urls = {package["metadata"]["name"]: package["download_info"]["url"] for package in packages}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sizes = dict(zip(urls, pool.map(size, urls.values()), strict=True))
    known = {name: bytes_ for name, bytes_ in sizes.items() if bytes_ is not None}
    largest = sorted(known, key=lambda name: -known[name])[:4]
    unknown = len(sizes) - len(known)
    words = f"{len(sizes)} packages, {in_words(sum(known.values()))} to download (those that pip has cached are not), about twice as much on disk"
    if largest:
        words += "; the largest: " + ", ".join(f"{name} {in_words(known[name])}" for name in largest)
    return words + (f"; of {unknown} the size is not told" if unknown else "")


def main(requirements: Path, constraints: Path) -> int:
    """Tells it, and writes the constraints."""
    chosen, missing = ([], None) if has_gpu() else for_cpu(requirements)
    constraints.write_text("".join(f"{line}\n" for line in chosen))
    packages = resolve("-r", str(requirements), "-c", str(constraints))
    if packages is None:
        print("  pip cannot tell (no network, or the index lacks something); the installation says why")
        return 0
    print(f"  {tell(packages)}")
    if chosen:
        print(f"  there is no NVIDIA GPU here, and the index has builds for the CPU: {', '.join(chosen)}")
    elif missing:
        print(
            f"  there is no NVIDIA GPU here, but the index has no '{missing}': the usual build brings NVIDIA's libraries, which are not used. "
            "PIP_EXTRA_INDEX_URL may name an index that has the builds for the CPU (PyTorch has one), before this is run again"
        )
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PIP_NO_INPUT", "1")
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
