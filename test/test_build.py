"""What is built of what: a robot builds what a robot runs, and every list of executables or crates is a whole one."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
import yaml
from build_tools import ROOT, behind, executables, metadata

# The list of nodes, as `composed` has it.
LIVE = re.findall(r'Listed \{ name: "(\w+)"', (ROOT / "packages" / "nodes" / "src" / "nodes.rs").read_text())
# Simulator and file formats: a C++ library to have, C to compile, minutes of building.
HEAVY = {"mujoco-rs", "rusqlite", "libsqlite3-sys", "mcap", "parquet"}
# Pictures beyond JPEG and PNG with their colour management, and a calendar: a fifth of what a robot built.
LARGE = {"image", "moxcms", "pxfm", "gif", "jiff"}
# r2r links its generator into the nodes, where none of it runs.
GENERATOR = {"bindgen", "cexpr", "clang-sys", "prettyplease", "proc-macro2", "quote", "r2r_common", "r2r_msg_gen", "r2r_actions", "syn"}


@pytest.mark.parametrize("executable", [*LIVE, "composed"])
def test_a_live_node_stands_on_no_simulator_and_on_no_file_format(executable):
    crates = behind(executables()[executable])
    assert crates & (HEAVY | LARGE | {"ndarray"}) == set(), "`cargo tree -p efm_nodes -e normal,build -i CRATE` says by which way"
    # Nor by way of ours.
    assert crates & {"efm_bag", "efm_sim", "efm_dataset", "efm_harness"} == set()


def test_every_node_of_the_list_has_an_executable_and_every_executable_a_line():
    assert len(LIVE) >= 4
    assert {*LIVE, "composed"} == {name for name, crate in executables().items() if crate == "efm_nodes"}


def test_what_is_heavy_is_still_called_so_and_found_where_it_is_used():
    used = {
        "efm_recorder": {"rusqlite", "libsqlite3-sys", "mcap", "jiff"},
        "efm_sim_node": {"mujoco-rs"},
        "efm_dataset": {"parquet"},
        "efm_demo": {"image", "moxcms", "pxfm", "gif"},
    }
    for crate, names in used.items():
        assert names <= behind(crate), crate
    assert set().union(*used.values()) == HEAVY | LARGE


def test_what_never_runs_in_a_node_is_not_optimised_and_what_is_hot_is():
    profile = tomllib.loads((ROOT / "Cargo.toml").read_text())["profile"]["dev"]
    lowered = {name: rules["opt-level"] for name, rules in profile["package"].items() if "opt-level" in rules}
    assert profile["opt-level"] == 3
    assert GENERATOR <= behind("efm_nodes")
    assert {name for name in GENERATOR if lowered.get(name) != 0} == set(), "built twice, once of it optimised for nothing"
    # Ours that may: they read parameters and hand on messages.
    assert {name for name in lowered if name.startswith("efm_")} <= {"efm_config", "efm_nodes", "efm_ros"}
    hot = {"nalgebra", "matrixmultiply", "simba", "wide", "rsruckig", "png", "zune-jpeg", "zune-core", "ort", "tokio", "serde_json", "rand_chacha", "libm"}
    assert hot & set(lowered) == set()


def test_an_executable_of_the_graph_is_one_that_cargo_builds():
    graph = yaml.safe_load((ROOT / "config" / "graph.yaml").read_text())
    assert {process["executable"] for process in graph["processes"]} | {"composed"} == set(executables())


def configured(tmp_path, *arguments: str) -> str:
    """What CMake says; nothing is built."""
    package = tmp_path / "ament_cmake"
    package.mkdir(exist_ok=True)
    # The tests' own ROS has only half of ament_cmake.
    (package / "ament_cmakeConfig.cmake").write_text("function(ament_package)\nendfunction()\n")
    libraries = tmp_path / "lib"
    libraries.mkdir(exist_ok=True)
    for name in ["libmujoco.so", "libonnxruntime.so"]:
        (libraries / name).touch()
    command = ["cmake", "-S", ROOT, "-B", tmp_path / "build", f"-Dament_cmake_DIR={package}", f"-DEFM_LIB_DIR={libraries}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else done.stderr


def built_and_installed(tmp_path) -> tuple[dict[str, str], set[str]]:
    rules = (tmp_path / "build" / "CMakeFiles" / "cargo.dir" / "build.make").read_text()
    installed = (tmp_path / "build" / "cmake_install.cmake").read_text()
    built = {name: crate for crate, name in re.findall(r"--package (\S+) --bin (\S+)", rules)}
    return built, set(re.findall(r"target/debug/([^\"/]+)\"", installed))


def test_cmake_builds_and_installs_every_executable_that_cargo_has(tmp_path):
    said = configured(tmp_path)
    assert "Executables:" in said, said
    assert built_and_installed(tmp_path) == (executables(), set(executables()))


def test_cmake_builds_for_a_robot_only_what_is_asked_for_and_refuses_by_name_what_there_is_not(tmp_path):
    said = configured(tmp_path, f"-DEFM_EXECUTABLES={';'.join(LIVE)}")
    assert "Executables:" in said, said
    built, installed = built_and_installed(tmp_path)
    assert installed == set(LIVE) and set(built.values()) == {"efm_nodes"}
    assert "there is no executable 'camera_injest'" in configured(tmp_path, "-DEFM_EXECUTABLES=sim;camera_injest")


def test_what_is_tested_without_ros_is_every_crate_that_stands_on_no_ros():
    workspace = metadata()
    default = {crate["name"] for crate in workspace["packages"] if crate["id"] in workspace["workspace_default_members"]}
    assert default == {crate["name"] for crate in workspace["packages"] if "r2r" not in behind(crate["name"])}
