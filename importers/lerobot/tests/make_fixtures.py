"""Writes packages/policy/tests/data/lerobot_{act,diffusion,smolvla}: imported checkpoints with random weights, for tests without torch.

Run it as `.efm/import/bin/python -m importers.lerobot.tests.make_fixtures`. Graphs may come out in other bytes with another torch.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from importers.lerobot.tests import checkpoints
from importers.lerobot.tests.conftest import ROOT, import_checkpoint

DATA = ROOT / "packages/policy/tests/data"


def main() -> None:
    """Write all three."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        import_checkpoint(checkpoints.act(folder / "act"), DATA / "lerobot_act")
        import_checkpoint(
            checkpoints.diffusion(folder / "diffusion", crop_shape=(24, 32), **checkpoints.features(32, 40, ("top",))),
            DATA / "lerobot_diffusion",
        )
        vlm = checkpoints.vlm(folder / "vlm")
        import_checkpoint(checkpoints.smolvla(folder / "smolvla", vlm), DATA / "lerobot_smolvla", "--vlm", str(vlm))


if __name__ == "__main__":
    main()
