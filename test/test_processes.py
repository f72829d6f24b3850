"""What holds for every process of the graph: help, refusal of wrong parameters by name, a clean end."""

from __future__ import annotations

import signal

import pytest
import yaml
from conftest import BIN, ROOT

GRAPH = yaml.safe_load((ROOT / "config" / "graph.yaml").read_text())
EXECUTABLES = sorted({process["executable"] for process in GRAPH["processes"]})


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_help_shows_parameters_with_their_descriptions(start, executable):
    process = start(executable, "--help")
    assert process.code(5.0) == 0
    assert "use_sim_time" in process.log or "Parameters" in process.log


@pytest.mark.parametrize("executable", EXECUTABLES)
def test_an_unknown_parameter_is_refused_by_name_at_the_start(start, executable):
    process = start(executable, "--ros-args", "-p", "no_such_parameter:=1")
    assert process.code(10.0) == 1
    assert "'no_such_parameter' is unknown" in process.log


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_within_two_seconds_with_code_0(start, probe, sig):
    process = start("goal_intake")
    probe.until(lambda: "goal_intake" in probe.node.get_node_names(), what="goal_intake on the graph")
    assert process.stop(sig) == 0, process.log


def test_every_process_of_the_graph_was_built():
    assert [name for name in EXECUTABLES if not (BIN / name).exists()] == []
