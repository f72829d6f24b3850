"""Checks of `./efm dataset` by LeRobot itself."""
