"""`./efm COMMAND --help` prints files of docs/help, so that it sets nothing up: they are what the programs print themselves.

`EFM_UPDATE=1` writes them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BIN, ROOT

HELP = ROOT / "docs" / "help"
UPDATE = os.environ.get("EFM_UPDATE") == "1"
PROGRAMS = {
    "demo": "efm-demo", "eval": "efm-eval", "play": "efm-play", "bag": "efm-bag", "replay": "efm-replay", "dataset": "efm-dataset",
    "policy": "efm-policy", "bench-graph": "efm-bench-graph", "bench": "efm-bench",
}  # fmt: skip
# Its parts are parts of `bench`; and those whose page a script has.
GRAPH = "bench-graph"
OF_SCRIPTS = {"train", "record", "test", "fuzz", "bench"}


def printed(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, stdin=subprocess.DEVNULL)
    return done.stdout


def parts(page: str) -> list[str]:
    """The subcommands that a page of clap's lists."""
    listed = re.search(r"^Commands:\n((?:  .*\n|\n(?=  ))+)", page, re.MULTILINE)
    names = re.findall(r"^  ([a-z][a-z-]*)", listed[1], re.MULTILINE) if listed else []
    return [name for name in names if name != "help"]


def pages() -> dict[str, str]:
    """What each file must hold, by its name."""
    found = {}
    for name, program in PROGRAMS.items():
        page = printed(str(BIN / program), "--help")
        if name not in OF_SCRIPTS | {GRAPH}:
            found[name] = page
        for part in parts(page):
            found[f"{'bench' if name == GRAPH else name}-{part}"] = printed(str(BIN / program), part, "--help")
    found["import-lerobot"] = printed(sys.executable, "-m", "importers.lerobot", "--help")
    return {f"{name}.txt": page for name, page in found.items()}


def test_the_pages_are_what_the_programs_print():
    wanted = pages()
    if UPDATE:
        HELP.mkdir(exist_ok=True)
        for old in HELP.glob("*.txt"):
            old.unlink()
        for name, page in wanted.items():
            (HELP / name).write_text(page)
    there = {file.name: file.read_text() for file in HELP.glob("*.txt")}
    assert sorted(there) == sorted(wanted), "EFM_UPDATE=1 writes docs/help anew"
    for name, page in wanted.items():
        assert there[name] == page, f"docs/help/{name} is old: EFM_UPDATE=1 writes it anew"


COMMANDS = [
    ["demo"], ["eval"], ["eval", "--graph"], ["play"], ["bag"], ["bag", "info"], ["bag", "repair"], ["replay"], ["dataset"], ["policy"],
    ["policy", "check"], ["bench"], ["bench", "safety"], ["bench", "overhead"], ["bench", "latency"], ["import"], ["import", "lerobot"],
    ["train"], ["record"], ["test"], ["fuzz"],
]  # fmt: skip


@pytest.mark.parametrize("asked", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_costs_nothing(tmp_path: Path, command: list[str], asked: str):
    # A clone in which nothing is set up, on a machine without a compiler, without pip and without a network.
    (tmp_path / "bin").mkdir()
    for tool in ("bash", "env", "cat", "dirname", "readlink", "cksum", "printf", "realpath"):
        (tmp_path / "bin" / tool).symlink_to(f"/usr/bin/{tool}")
    copy = tmp_path / "clone"
    copy.mkdir()
    (copy / "efm").write_text((ROOT / "efm").read_text())
    for name in ("scripts", "docs"):
        (copy / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["/usr/bin/bash", str(copy / "efm"), *command, asked], env={"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False, timeout=20, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "usage" in done.stdout.lower() and len(done.stdout) > 100
    assert command[-1].lstrip("-") in done.stdout or command[0] in done.stdout
    assert not (copy / ".efm").exists() and not (copy / "target").exists()
    assert done.stderr == ""


def test_a_command_that_is_misspelt_says_so_and_sets_nothing_up(tmp_path: Path):
    (tmp_path / "efm").write_text((ROOT / "efm").read_text())
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    done = subprocess.run(["/usr/bin/bash", str(tmp_path / "efm"), "dmeo"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "unknown command 'dmeo'" in done.stderr
    assert not (tmp_path / ".efm").exists()
