"""How long a busy machine has kept processes from running, by the operating system's own account.

In wall time nobody can make the machine wait for a test. What a reaction takes is then the program's own time plus the time for which its threads
(and those of the test that measures) were ready to run and did not get a processor. Linux counts the latter for every thread, exactly:
on a quiet machine it is next to nothing, and no sleep, lock or loop of a program under test can hide in it.
"""

from __future__ import annotations

import os
from pathlib import Path

HERTZ = os.sysconf("SC_CLK_TCK")


class Stalls:
    """Of these processes, from now on."""

    def __init__(self, *pids: int) -> None:
        self.pids = pids
        self.before, self.stolen = self._waited(), self._stolen()

    def seconds(self) -> float:
        """Seconds that their threads have waited for a processor since, and that the machine itself did not get one from its host."""
        now = self._waited()
        return 1e-9 * sum(now[t] - self.before.get(t, 0) for t in now) + (self._stolen() - self.stolen) / HERTZ

    def _waited(self) -> dict[str, int]:
        waited = {}
        for pid in self.pids:
            for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    waited[thread.parent.name] = int(thread.read_text().split()[1])
                except OSError:
                    continue  # it has ended meanwhile
        return waited

    @staticmethod
    def _stolen() -> int:
        return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])
