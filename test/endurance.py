"""The graph for a quarter of an hour: idle, moving, each node restarted and killed with -9 in motion, again and again.

usage: python3 test/endurance.py [--minutes 15] [--restarts 30] [--kills 30] [--nodes NAME...] [--real-time-factor F] [--json FILE]        (`./efm test --full` runs it)

A node that ends is started again after a moment, as `ros2 launch` with use_respawn does it. After each end the graph must come to move the arm by itself:
nobody calls a service; the goal is given again where goal_intake was ended. Before each end the cell is put into a new scene, as the demo does it. Memory, threads, descriptors and shared memory of those that stay must not grow.
On a busy machine --real-time-factor slows simulated time down, as the demo does by itself; everything may then take so much longer by the wall.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import rclpy
from conftest import Process, Probe
from graph_tools import Health, ros
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

NODES = ("camera_ingest", "goal_intake", "vla_inference", "trajectory_publisher")
POLICY = {"policy": "panda_tabletop_flow"}
STARTED_WITH = {
    "sim": {},
    "camera_ingest": POLICY,
    "goal_intake": POLICY,
    "vla_inference": POLICY,
    "trajectory_publisher": {"armed_at_start": True},
}
# The first of the held-out scenes.
SEED = 1_000_000_000
# As `ros2 launch` waits before it starts a node again; shorter, so that there is time for many.
RESPAWN_S = 0.5
# rad/s of the fastest joint: it moves, and does not only sag.
MOVES = 0.2
# So long the graph may take until the arm moves again. The policy is opened and tried out anew.
RECOVERY_S = 30.0
# What a process may have more at the end than before: pages that are touched late, caches of the middleware's.
MEMORY_MB, MAPPED_MB, THREADS, DESCRIPTORS = 24.0, 64.0, 3, 12
SHARED_MB = 64.0


def figures(pid: int) -> dict[str, float]:
    """Memory of its own, shared memory that it has mapped, threads and descriptors of a process.

    Not its proportional share (PSS): that grows when others who run the same files end.
    """
    proc = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return {
        "memory_mb": int(status["RssAnon"].split()[0]) / 1024,
        "mapped_mb": int(status["RssShmem"].split()[0]) / 1024,
        "threads": len(list((proc / "task").iterdir())),
        "descriptors": len(list((proc / "fd").iterdir())),
    }


def shared_mb() -> float:
    """What the middleware has in shared memory, of everybody."""
    files = (file.stat() for file in Path("/dev/shm").glob("*fastrtps*") if file.exists())
    return sum(file.st_blocks for file in files) * 512 / 1e6


class Graph:
    """The nodes, started again when they end."""

    def __init__(self, folder: Path, factor: float) -> None:
        self.folder, self.probe = folder, Probe()
        self.factor, self.patience = factor, RECOVERY_S / factor
        self.health = Health(self.probe)
        self.speed, self.measured = 0.0, 0
        self.probe.node.create_subscription(JointState, "joint_states", self._measured, 1)
        self.states: list[dict] = []
        self.probe.node.create_subscription(String, "goal_status", lambda m: self.states.append(json.loads(m.data)), QoSProfile(depth=50))
        self.task: dict = {}
        self.probe.node.create_subscription(String, "task_status", lambda m: self.task.update(json.loads(m.data)), 10)
        self.goal = self.probe.node.create_publisher(String, "goal", 10)
        self.given = 0
        self.processes = {name: self.start(name) for name in STARTED_WITH}
        self.probe.until(lambda: self.task, 120.0, "the simulator")

    def start(self, name: str) -> Process:
        slowed = {"publish_clock": True, "real_time_factor": self.factor} if name == "sim" else {"use_sim_time": True}
        return Process(self.folder, name, *ros(**STARTED_WITH[name], **(slowed if self.factor < 1.0 else {})))

    def _measured(self, message: JointState) -> None:
        self.measured += 1
        self.speed = max((abs(v) for v in message.velocity[:7]), default=0.0)

    def active(self) -> bool:
        told = [state for state in self.states if state["state"] != "refused"]
        return bool(told) and told[-1]["state"] in ("accepted", "active", "held")

    def look_after(self) -> None:
        """Nobody but those that are ended on purpose may end."""
        for name, process in self.processes.items():
            if process.popen.poll() is not None:
                sys.exit(f"{name} has ended by itself with {process.popen.returncode}:\n{process.log[-3000:]}")

    def moves(self, why: str, again: bool = False) -> float:
        """Wait until the arm moves; how long that took. `again`: the goal is given once more, as it ended with who keeps it."""
        begun, asked = time.monotonic(), 0.0

        def moving() -> bool:
            nonlocal asked
            self.look_after()
            if again and not self.active() and time.monotonic() > asked + 1.0:
                asked = time.monotonic()
                self.goal.publish(String(data=self.task["instruction"]))
            return self.active() and self.speed > MOVES

        try:
            self.probe.until(moving, self.patience, why)
        except BaseException:
            for name in NODES:
                print(f"-- {name}:\n{self.processes[name].log[-1500:]}")
            print([(s.name, s.message) for a in self.health.heard[-8:] for s in a.status if s.level != b"\x00"])
            raise
        finally:
            del self.health.heard[:-200], self.states[:-20]
        return time.monotonic() - begun

    def call(self, kind: type, service: str, request: object) -> None:
        # Asked again where it is not answered: one that was killed a moment ago still seems to be there. All of these may be asked twice.
        answer = self.probe.ask(kind, service, request)
        if not getattr(answer, "success", True):
            sys.exit(f"{service}: {answer.message}")

    def begin(self) -> None:
        """A new scene and its goal, from rest; returns when the arm moves."""
        self.given += 1
        self.probe.ask(Trigger, "cancel_goal", Trigger.Request())
        self.probe.until(lambda: self.speed < 0.01, self.patience, "rest")
        self.call(SetBool, "trajectory_publisher/arm", SetBool.Request(data=False))
        seed = ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=SEED + self.given)
        self.call(SetParameters, "sim/set_parameters", SetParameters.Request(parameters=[Parameter(name="seed", value=seed)]))
        self.task.clear()
        self.call(Trigger, "sim/reset", Trigger.Request())
        self.probe.until(lambda: self.task.get("seed") == SEED + self.given, self.patience, "the scene")
        # Who is armed before it has seen where the arm was put sees it leap.
        seen = self.measured
        self.probe.until(lambda: self.measured > seen + 20, self.patience, "joint states after the reset")
        self.call(Trigger, "trajectory_publisher/resume", Trigger.Request())
        self.call(SetBool, "trajectory_publisher/arm", SetBool.Request(data=True))
        self.states.clear()
        self.moves("motion", again=True)

    def end(self, name: str, how: int) -> None:
        process = self.processes[name]
        process.popen.send_signal(how)
        code = process.popen.wait(10.0)
        wanted = 0 if how == signal.SIGINT else -how
        if code != wanted:
            sys.exit(f"{name} ended with {code} instead of {wanted}:\n{process.log[-3000:]}")
        end = time.monotonic() + RESPAWN_S
        self.probe.until(lambda: time.monotonic() > end)
        if name == "goal_intake":
            self.states.clear()
        self.processes[name] = self.start(name)

    def figures(self) -> dict[str, dict[str, float]]:
        return {name: figures(process.popen.pid) for name, process in self.processes.items()}

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.look_after()
            self.probe.spin(0.2)
            del self.health.heard[:-200]

    def keep_moving(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.begin()
            self.probe.spin(4.0 / self.factor)

    def close(self) -> None:
        for process in self.processes.values():
            process.popen.send_signal(signal.SIGINT)
        for process in self.processes.values():
            process.popen.wait(10.0)
        self.probe.node.destroy_node()


def grown(before: dict, after: dict, but: str | None = None) -> dict[str, dict[str, float]]:
    """How much more everybody has who stayed."""
    return {
        name: {key: after[name][key] - value for key, value in figures.items()} for name, figures in before.items() if name != but
    }


def too_much(growth: dict[str, dict[str, float]]) -> list[str]:
    bounds = {"memory_mb": MEMORY_MB, "mapped_mb": MAPPED_MB, "threads": THREADS, "descriptors": DESCRIPTORS}
    return [f"{name}: {key} +{value:.1f}" for name, all_ in growth.items() for key, value in all_.items() if value > bounds[key]]


def run(arguments: argparse.Namespace, graph: Graph) -> dict:
    report: dict = {"shared_mb": [shared_mb()]}
    wrong: list[str] = []

    def settle(what: str, before: dict, but: str | None = None) -> None:
        growth = grown(before, graph.figures(), but)
        report[f"growth {what}"] = growth
        wrong.extend(f"{what}: {line}" for line in too_much(growth))
        worst = max((values["memory_mb"] for values in growth.values()), default=0.0)
        report["shared_mb"].append(shared_mb())
        print(f"{what}: largest growth of memory {worst:+.1f} MB, shared memory {report['shared_mb'][-1]:.0f} MB", flush=True)

    print(f"first motion after {graph.moves('the first motion', again=True):.1f} s", flush=True)
    graph.keep_moving(10.0)
    fifth = 60.0 * arguments.minutes / 5.0
    for what, passes in (("idle", graph.spin), ("moving", graph.keep_moving)):
        before = graph.figures()
        passes(fifth)
        settle(what, before)
    for kind, how, times in (("restarted", signal.SIGINT, arguments.restarts), ("killed", signal.SIGKILL, arguments.kills)):
        for name in arguments.nodes:
            before, took = graph.figures(), []
            for number in range(times):
                graph.begin()
                graph.end(name, how)
                took.append(graph.moves(f"motion after {name} was {kind} ({number + 1} of {times})", again=name == "goal_intake"))
            if took:
                report[f"{name} {kind}"] = took
                print(f"{name} {kind} {times} times: moves again after {statistics.median(took):.1f} s, {max(took):.1f} s at most", flush=True)
                settle(f"{name} {kind}", before, but=name)
    graph.keep_moving(10.0)
    if report["shared_mb"][-1] - report["shared_mb"][1] > SHARED_MB:
        wrong.append(f"shared memory: {report['shared_mb']}")
    report["wrong"] = wrong
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="of which two fifths are idle and moving; the rest takes as long as it takes")
    parser.add_argument("--restarts", type=int, default=30, help="of each node, by SIGINT")
    parser.add_argument("--kills", type=int, default=30, help="of each node, by SIGKILL")
    parser.add_argument("--nodes", nargs="+", choices=NODES, default=NODES, help="those that are ended")
    parser.add_argument("--real-time-factor", type=float, default=1.0, help="simulated seconds a second; 1: the wall's time")
    parser.add_argument("--json", type=Path, help="writes what was measured")
    arguments = parser.parse_args()
    rclpy.init()
    with tempfile.TemporaryDirectory() as folder:
        graph = Graph(Path(folder), arguments.real_time_factor)
        try:
            report = run(arguments, graph)
        finally:
            graph.close()
    rclpy.try_shutdown()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))
    for line in report["wrong"]:
        print(f"grows: {line}")
    return 1 if report["wrong"] else 0


if __name__ == "__main__":
    os.environ.setdefault("EFM_ROOT", str(Path(__file__).parent.parent))
    sys.exit(main())
