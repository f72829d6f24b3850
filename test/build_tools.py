"""What cargo says of the workspace: which executables there are, and what stands behind them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def metadata() -> dict:
    return json.loads(cargo("metadata", "--no-deps", "--format-version", "1"))


def executables() -> dict[str, str]:
    """Nodes, with the crate that each is built from; what begins with efm- is a command."""
    return {
        target["name"]: crate["name"]
        for crate in metadata()["packages"]
        for target in crate["targets"]
        if "bin" in target["kind"] and not target["name"].startswith("efm-")
    }


def behind(crate: str) -> set[str]:
    """Names of all crates that are built for a crate of the workspace, those of its tests left out."""
    tree = cargo("tree", "--locked", "--offline", "-p", crate, "-e", "normal,build", "--prefix", "none", "--format", "{p}")
    return {line.split()[0] for line in tree.splitlines() if line}
