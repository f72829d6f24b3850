"""LeRobot checkpoints (0.4.4) to policy packages: `./efm import lerobot DIR`; see docs/lerobot.md."""
