"""The other side of the graph tests: starts our executables and talks to them with rclpy, as a stranger's node would.

Run by `./efm test`, which sets the environment: this machine only, in a private domain.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stalls import Stalls

ROOT = Path(__file__).parent.parent
BIN = Path(os.environ.get("EFM_BIN", ROOT / "target" / "debug"))

# No lab's robot may hear these tests.
assert os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE") == "LOCALHOST", "run these tests by ./efm test"


def _raised() -> bool:
    """On a robot the controllers that these tests stand for run with priority, and what starts many nodes at once does not take their turns. Where
    this user may, so does this process; what is tested does not."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except PermissionError:
        return False
    return True


RAISED = _raised()


def usual(command: list) -> list:
    """The command at the usual priority."""
    return ["nice", "-n", "10", *command] if RAISED else list(command)


class Process:
    """One of our executables, running; its output is in `log`."""

    def __init__(self, folder: Path, executable: str, *arguments: str) -> None:
        self.name = executable
        self.file = folder / f"{executable}-{time.monotonic_ns()}.log"
        with self.file.open("wb") as output:
            # What a node keeps beyond its life (an emergency stop) is for this test only.
            self.popen = subprocess.Popen(
                usual([str(BIN / executable), *arguments]),
                cwd=ROOT,
                env={**os.environ, "XDG_STATE_HOME": str(folder)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self.file.read_text(errors="replace")

    def code(self, timeout: float) -> int:
        """Exit code; fails the test when the process does not end in time."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} has not ended within {timeout} s:\n{self.log}")

    def stop(self, sig: int = signal.SIGINT) -> int:
        """Ask it to end, as people and `ros2 launch` do; 2 s are what they grant, of its own time on a busy machine."""
        stalls, begun = Stalls(self.popen.pid), time.monotonic()
        self.popen.send_signal(sig)
        while True:
            # Before it is waited for: an ended process has no account any more.
            granted = 2.0 + stalls.seconds()
            try:
                return self.popen.wait(0.05)
            except subprocess.TimeoutExpired:
                if time.monotonic() - begun > granted:
                    pytest.fail(f"{self.name} has not ended within {granted:.1f} s:\n{self.log}")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start an executable: start("goal_intake", "--ros-args", ...). All are ended with the test."""
    processes: list[Process] = []

    def launch(executable: str, *arguments: str) -> Process:
        processes.append(Process(tmp_path, executable, *arguments))
        return processes[-1]

    yield launch
    for process in processes:
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGINT)
    for process in processes:
        try:
            process.popen.wait(3.0)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()
    for process in processes[-8:]:
        # Shown where the test has failed.
        print(f"log of {process.name}:\n{process.log[-4000:]}")


@pytest.fixture(scope="session")
def _context() -> Iterator[None]:
    import rclpy

    rclpy.init()
    yield
    rclpy.try_shutdown()


class Probe:
    """An rclpy node that waits for conditions instead of sleeping."""

    def __init__(self) -> None:
        import rclpy

        self.node = rclpy.create_node(f"probe_{time.monotonic_ns()}")
        self.late: list[tuple[float, list, object]] = []

    def _turn(self) -> None:
        """Take what has come."""
        import rclpy

        rclpy.spin_once(self.node, timeout_sec=0.02)
        now = time.monotonic()
        due = [entry for entry in self.late if entry[0] <= now]
        self.late = [entry for entry in self.late if entry[0] > now]
        for _, heard, message in due:
            heard.append(message)

    def until(self, condition: Callable[[], object], timeout: float = 30.0, what: str = "the condition") -> object:
        """Spin until the condition is true and return it; fails the test when it does not come true."""
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > end:
                pytest.fail(f"{what} did not come true within {timeout} s")
            self._turn()

    def spin(self, seconds: float) -> None:
        """Listen for a while: for what must not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._turn()

    def quiet(self, heard: list, seconds: float, what: str) -> None:
        """Wait until nothing has come for so long: what was on its way has come by then."""
        seen = [len(heard), time.monotonic()]

        def silent() -> bool:
            if len(heard) != seen[0]:
                seen[:] = [len(heard), time.monotonic()]
            return time.monotonic() - seen[1] > seconds

        self.until(silent, 30.0, f"silence of {what}")

    def hear(self, kind: type, topic: str, qos: object = 10) -> list:
        """Subscribe; the list grows with what comes.

        Nothing promises that what was published first on another topic is heard first. With EFM_LATE=S each
        topic is heard up to S seconds late, by an amount of its own: a test that relies on it fails then.
        """
        heard: list = []
        late = float(os.environ.get("EFM_LATE", "0"))
        if late == 0.0:
            take = heard.append
        else:
            lag = late * random.random()

            def take(message: object) -> None:
                self.late.append((time.monotonic() + lag, heard, message))

        self.node.create_subscription(kind, topic, take, qos)
        return heard

    def call(self, kind: type, service: str, request: object, timeout: float = 30.0) -> object:
        """Call a service and return its response."""
        client = self.node.create_client(kind, service)
        self.until(client.service_is_ready, timeout, f"service {service}")
        future = client.call_async(request)
        self.until(future.done, timeout, f"the answer of {service}")
        return future.result()

    def ask(self, kind: type, service: str, request: object) -> object:
        """As `call`, for a service that changes nothing: what is asked while one of the same name goes away is lost with it, so it is asked again."""
        client = self.node.create_client(kind, service)
        asked = []

        def answered() -> object:
            if client.service_is_ready() and (not asked or time.monotonic() > asked[-1][0] + 3.0):
                asked.append((time.monotonic(), client.call_async(request)))
            return next((future for _, future in asked if future.done()), None)

        return self.until(answered, 30.0, f"the answer of {service}").result()


@pytest.fixture
def probe(_context: None) -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.node.destroy_node()
