"""target_add_model with what torch has to read: quantised once, then found in the cache by every other build."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from component_project import errors, run

from pienn import cli
from pienn.commands.arrays import to_graph, to_torch
from pienn.commands.models import Source
from pienn.errors import PiennError
from pienn.ir import file, interpreter

torch = pytest.importorskip("torch", reason="torch is not installed")

NETWORK = """\
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = torch.nn.Conv2d(2, 4, 3, padding=1)
        self.classifier = torch.nn.Linear(4 * 5 * 5, 3)

    def forward(self, x):
        return self.classifier(torch.relu(self.stem(x)).flatten(1))

def build():
    return Net()
"""
CMAKE = """\
cmake_minimum_required(VERSION 3.20)
project(user C)
add_subdirectory("{component}" pienn)
add_executable(user main.c)
# the calls
{calls}
"""
CALL = "target_add_model(user net.pt FACTORY checkpoint_networks:build CALIBRATION inputs.npz QUANTISE --no-refine)"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a factory, a state dict, an exported program, and inputs."""
    folder = tmp_path_factory.mktemp("network")
    (folder / "checkpoint_networks.py").write_text(NETWORK)
    names: dict[str, object] = {}
    exec(NETWORK, names)
    torch.manual_seed(5)
    net = names["build"]().eval()  # type: ignore[operator]
    inputs = torch.randn(16, 2, 5, 5)
    torch.save(net.state_dict(), folder / "net.pt")
    torch.export.save(torch.export.export(net, (inputs[:1],)), folder / "graph.pt2")
    np.savez(folder / "inputs.npz", x=inputs.numpy())
    np.save(folder / "scores.npy", net(inputs).detach().numpy())
    return folder


class Build:
    """A project with checkpoints, a cache, and as many build folders as a test wants."""

    def __init__(self, folder: Path, component: Path, network: Path, cmake: str, cache: Path):
        self.folder, self.component, self.cmake = folder, component, cmake
        self.environment = {**os.environ, "PIENN_CACHE_DIR": str(cache)}
        (folder / "main.c").write_text("int main(void) { return 0; }\n")
        for path in network.iterdir():
            (folder / path.name).write_bytes(path.read_bytes())

    def configure(self, calls: str, name: str) -> str:
        """Returns the place of the first call."""
        (self.folder / "CMakeLists.txt").write_text(CMAKE.format(component=self.component, calls=calls))
        options = ["-G", "Ninja", f"-DPIENN_PYTHON={sys.executable}"]
        done = run([self.cmake, "-S", str(self.folder), "-B", str(self.folder / name), *options])
        assert done.returncode == 0, done.stderr
        return f"{self.folder}/CMakeLists.txt:6: error: "

    def build(self, name: str, *targets: str) -> subprocess.CompletedProcess[str]:
        command = [self.cmake, "--build", str(self.folder / name), "--target", *targets]
        return subprocess.run(command, capture_output=True, text=True, env=self.environment)

    def steps(self, name: str, *targets: str) -> dict[str, int]:
        done = self.build(name, *targets)
        assert done.returncode == 0, done.stdout + done.stderr
        said = {"quantising": "PIE-NN: quantising ", "cached": "quantised before, from the cache"}
        said |= {"compiling": "PIE-NN: compiling ", "updating": "PIE-NN: updating "}
        return {what: done.stdout.count(text) for what, text in said.items()}


@pytest.fixture
def project(tmp_path: Path, component: Path, network: Path, tool) -> Build:
    tool("ninja")
    return Build(tmp_path, component, network, tool("cmake"), tmp_path / "the cache")


def agreement(graph_file: Path, network: Path) -> float:
    """Signal to noise of the graph's results against torch's in float, in dB."""
    graph = file.read(graph_file)
    (source,), (result,) = graph.inputs, graph.outputs
    with np.load(network / "inputs.npz") as inputs:
        (stored,) = interpreter.run(graph, [to_graph(inputs["x"], source)])
    found = (to_torch(stored, result.permutation).astype(float) - result.zero_point) * 2.0**result.exponent
    wanted = np.load(network / "scores.npy")
    return float(10 * np.log10(np.sum(wanted**2) / np.sum((found - wanted) ** 2)))


def test_checkpoints_are_quantised_once_for_all_builds(project: Build, network: Path) -> None:
    """In another build folder, and when they are touched."""
    calls = f"{CALL}\ntarget_add_model(user graph.pt2 INPUT_SHAPE 2 5 5 CALIBRATION inputs.npz QUANTISE --no-refine)"
    both = ("pienn-user-net", "pienn-user-graph")
    project.configure(calls, "one")
    assert project.steps("one", *both) == {"quantising": 2, "cached": 0, "compiling": 2, "updating": 2}
    for name in ("net", "graph"):
        assert agreement(project.folder / f"one/pienn/user/{name}/stage/{name}.pie", network) > 25

    project.configure(calls, "another build")
    assert project.steps("another build", *both) == {
        "quantising": 2,
        "cached": 2,
        "compiling": 2,
        "updating": 2,
    }
    for name in ("net.c", "net_weights.c", "graph.c", "graph_weights.c"):
        path = Path("pienn/user") / name.split(".")[0].removesuffix("_weights") / name
        first, second = (project.folder / build / path for build in ("one", "another build"))
        assert first.read_bytes() == second.read_bytes()
    assert set(project.steps("another build", *both).values()) == {0}

    os.utime(project.folder / "net.pt")
    assert project.steps("one", *both)["quantising"] == 1
    assert set(project.steps("one", *both).values()) == {0}

    rule = (project.folder / "one/pienn/user/net/stage/net.pie.d").read_text()
    for source in ("checkpoint_networks.py", "inputs.npz", "generator/pienn/frontend/quantizer.py"):
        assert f"{source} \\\n" in rule or rule.endswith(f"{source}\n"), source


def test_entries_that_were_spoilt_or_whose_sources_are_gone_are_not_used(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(checkout / "component" / "cmake")
    cache = import_module("quantise_cached")
    source = tmp_path / "checkpoint_networks.py"
    source.write_text("1")
    cache.store(tmp_path, "asked", [str(source)], b"a graph")
    assert cache.look_up(tmp_path, "asked") == (b"a graph", [str(source)])
    assert cache.look_up(tmp_path, "asked otherwise") is None
    source.write_text("2")
    assert cache.look_up(tmp_path, "asked") is None
    source.write_text("1")
    (entry,) = tmp_path.glob("*.pie")
    entry.write_bytes(b"a grap")
    assert cache.look_up(tmp_path, "asked") is None
    entry.write_bytes(b"a graph")
    source.unlink()
    assert cache.look_up(tmp_path, "asked") is None
    (tmp_path / "asked.json").write_text("{")
    assert cache.look_up(tmp_path, "asked") is None


def test_the_cache_keeps_what_was_used_last(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(checkout / "component" / "cmake")
    cache = import_module("quantise_cached")
    for number in range(cache.LARGEST_COUNT + 3):
        cache.store(tmp_path, f"n{number}", [], bytes([number]))
        for path in tmp_path.glob("*"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 10))
    assert len(list(tmp_path.glob("*.pie"))) == len(list(tmp_path.glob("*.json"))) == cache.LARGEST_COUNT
    assert cache.look_up(tmp_path, "n2") is None and cache.look_up(tmp_path, "n3") == (bytes([3]), [])


@pytest.mark.parametrize("model", ["net.pt", "graph.pt2"])
def test_the_input_shape_of_a_checkpoint_is_checked(
    network: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The factory of net.pt names no shape: there the calibration inputs must have the one asked for."""
    monkeypatch.chdir(network)
    factory = "checkpoint_networks:build" if model == "net.pt" else None
    source = Source(Path(model), factory, None, network / "inputs.npz", None, 0, ((2, 5, 6),))
    with pytest.raises(PiennError, match=r"2x5x6|2, 5, 6"):
        source.graph()


def test_an_operator_that_cannot_be_quantised_stops_the_build_with_one_line_at_the_call(
    project: Build,
) -> None:
    class Sorted(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sort(x, dim=1).values

    torch.export.save(torch.export.export(Sorted(), (torch.zeros(1, 6),)), project.folder / "sorted.pt2")
    place = project.configure("target_add_model(user sorted.pt2 QUANTISE --random 4)", "build")
    done = project.build("build", "pienn-user-sorted")
    assert done.returncode != 0 and "Traceback" not in done.stdout + done.stderr
    (line,) = errors(done.stdout + done.stderr)
    assert line.startswith(place) and "sort" in line.removeprefix(place).replace("sorted.pt2", "")


def test_every_option_of_export_reaches_the_quantiser(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(network)
    options = ["--ranges", "minmax", "--granularity", "channel", "--weight-rule", "ceil", "--no-refine"]
    options += ["--no-eighth-bit", "--no-bias-correction", "--no-equalise", "--input-shape", "2x5x5"]
    with pytest.raises(SystemExit) as stopped:
        cli.main(["export", "graph.pt2", "--calibration", "inputs.npz", "-o", "made.pie", *options])
    assert not stopped.value.code
    assert file.read(network / "made.pie").inputs[0].zero_point == 0
