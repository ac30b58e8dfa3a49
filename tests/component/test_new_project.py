"""`pienn new-project`: a project that builds and checks itself, whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from component_project import run, small_graph, write_model

from pienn import cli
from pienn.commands.arrays import torch_shape
from pienn.ir import file
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph


def two_by_two() -> Graph:
    """Two inputs and two outputs, of names that C does not know."""
    b = GraphBuilder("two")
    left = b.input("left.half", (4, 4, 3), -5, 0, (1, 2, 0))
    right = b.input("while", (4, 4, 3), -5, 0, (1, 2, 0))
    both = b.add(left, right, exponent=-4, zero_point=0, layer="both")
    less = b.sub(left, right, exponent=-4, zero_point=0, layer="less")
    b.output("the.sum", both, (2, 0, 1))
    b.output("difference", less, (2, 0, 1))
    return b.build()


def write_inputs(folder: Path, graph: Graph, count: int) -> Path:
    source = np.random.default_rng(8)
    arrays = {
        port.name: source.integers(-128, 128, (count, *torch_shape(port))).astype(np.int8)
        for port in graph.inputs
    }
    path = folder / "inputs.npz"
    np.savez(path, **arrays)
    return path


def new_project(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["new-project", *map(str, arguments)])
    assert isinstance(stopped.value.code, int)
    return stopped.value.code


def build(project: Path, component: Path, cmake: str) -> subprocess.CompletedProcess[str]:
    """Build on this machine and run."""
    environment = {key: value for key, value in os.environ.items() if key != "IDF_PATH"}
    folder = project / "build-host"
    options = ["-G", "Ninja", f"-DPIENN_PYTHON={sys.executable}", f"-DPIENN_COMPONENT={component}"]
    for command in ([cmake, "-S", project, "-B", folder, *options], [cmake, "--build", folder]):
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
    (program,) = (path for path in folder.glob("*_check") if path.is_file())
    return run([str(program)])


def test_the_project_finds_matches_and_mismatches(component: Path, tmp_path: Path, tool) -> None:
    tool("ninja")
    model, project = tmp_path / "small net.pie", tmp_path / "a project"
    graph = write_model(model, 1)
    inputs = write_inputs(tmp_path, graph, 5)
    assert new_project(model, "--input", inputs, "-o", project, "--count", "2") == 0
    done = build(project, component, tool("cmake"))
    assert done.returncode == 0
    said = [re.sub(r"\d+ us", "T us", line) for line in done.stdout.splitlines()]
    assert said[:2] == ["input 0: match, T us", "input 1: match, T us"] and said[-1] == "all 2 inputs match"
    assert [line.split()[0] for line in said[2:-1]] == [
        "small_net,",
        "layer",
        "stem",
        "classifier",
        said[-2].split()[0],
    ]

    samples = project / "main" / "samples.c"
    text = samples.read_text()
    start = text.index("{", text.rindex("expected_y")) + 1
    values = [int(value) for value in re.findall(r"-?\d+", text[start:])]
    values[4] ^= 1  # element 1 of the second input
    samples.write_text(text[:start] + ", ".join(map(str, values)) + "};\n")
    done = build(project, component, tool("cmake"))
    assert done.returncode == 1
    assert f"input 1: first mismatch at element 1 of y: {values[4] ^ 1}, expected {values[4]}" in done.stdout
    assert "input 0: match" in done.stdout and "1 of 2 inputs differ" in done.stdout


def test_networks_of_several_inputs_and_outputs_are_checked(component: Path, tmp_path: Path, tool) -> None:
    tool("ninja")
    graph = two_by_two()
    file.write(graph, tmp_path / "two.pie")
    inputs = write_inputs(tmp_path, graph, 2)
    project = tmp_path / "project"
    assert new_project(tmp_path / "two.pie", "--input", inputs, "-o", project, "--target", "esp32s3") == 0
    done = build(project, component, tool("cmake"))
    assert done.returncode == 0 and done.stdout.endswith("all 2 inputs match\n")
    assert 'CONFIG_IDF_TARGET="esp32s3"' in (project / "sdkconfig.defaults").read_text()
    compile((project / "pytest_check.py").read_text(), "pytest_check.py", "exec")


# what is wrong -> what the one line says
MISTAKES = {
    "full": "is not empty: name a new folder",
    "file": "is a file",
    "nowhere": "does not exist",
    "shape": "has shape [2, 3, 5, 6], expected [batch, 3, 6, 5]",
    "name": "cannot be the model's name: give one with --name",
    "component": "is not the folder of the component",
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_nothing_is_left_of_a_project_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    model, folder = tmp_path / "model.pie", tmp_path / "project"
    inputs = write_inputs(tmp_path, write_model(model, 1), 2)
    options: list[str | Path] = []
    if mistake == "full":
        folder.mkdir()
        (folder / "mine.txt").write_text("")
    elif mistake == "file":
        folder.write_text("")
    elif mistake == "nowhere":
        folder = tmp_path / "no" / "project"
    elif mistake == "shape":
        np.savez(inputs, x=np.zeros((2, 3, 5, 6), np.int8))
    elif mistake == "name":
        options = ["--name", "7up"]
    elif mistake == "component":
        options = ["--component", tmp_path]
    before = sorted(tmp_path.rglob("*"))
    assert new_project(model, "--input", inputs, "-o", folder, *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and MISTAKES[mistake] in line
    assert sorted(tmp_path.rglob("*")) == before


def test_nothing_is_left_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tmp_path / "model.pie"
    inputs = write_inputs(tmp_path, write_model(model, 1), 2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "model.pie")

    monkeypatch.setattr(shutil, "copyfile", full)
    (tmp_path / "project").mkdir()  # an empty folder is welcome, and stays
    before = sorted(tmp_path.rglob("*"))
    assert new_project(model, "--input", inputs, "-o", tmp_path / "project") == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_large_networks_get_a_partition_that_holds_them(tmp_path: Path) -> None:
    b = GraphBuilder("large")
    x = b.input("x", (2000,), -5, 0, (0,))
    weights = np.random.default_rng(1).integers(-127, 128, (1000, 2000)).astype(np.int8)
    bias = b.constant("b", np.zeros(1000, np.int32))
    exponents = [-9] * 1000
    scores = b.fully_connected(
        x,
        b.constant("w", weights),
        bias,
        weight_exponents=exponents,
        exponent=1,
        zero_point=0,
        layer="classifier",
    )
    b.output("y", scores, (0,))
    graph = b.build()
    file.write(graph, tmp_path / "large.pie")
    inputs = write_inputs(tmp_path, graph, 1)
    assert new_project(tmp_path / "large.pie", "--input", inputs, "-o", tmp_path / "project") == 0
    rows = (tmp_path / "project" / "partitions.csv").read_text().splitlines()
    size = int(rows[-1].split(",")[-1], 16)
    assert 2_500_000 < size < 4_000_000 and size % 65536 == 0
    assert "CONFIG_ESPTOOLPY_FLASHSIZE_4MB=y" in (tmp_path / "project" / "sdkconfig.defaults").read_text()


def test_a_component_of_the_registry_is_named_with_its_version(tmp_path: Path) -> None:
    model = tmp_path / "model.pie"
    inputs = write_inputs(tmp_path, small_graph(1, 3), 1)
    write_model(model, 1)
    options = ["--component", "maker/pienn"]
    assert new_project(model, "--input", inputs, "-o", tmp_path / "project", *options) == 0
    manifest = (tmp_path / "project" / "main" / "idf_component.yml").read_text()
    assert re.search(r'^  maker/pienn: "\^\d+\.\d+\.\d+"$', manifest, re.MULTILINE)
    assert '"managed_components/maker__pienn"' in (tmp_path / "project" / "CMakeLists.txt").read_text()


def test_a_checkpoint_becomes_a_project_with_its_graph_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    program = torch.export.export(torch.nn.Sequential(torch.nn.Linear(6, 3)), (torch.zeros(1, 6),))
    torch.export.save(program, tmp_path / "net.pt2")
    np.save(tmp_path / "x.npy", np.random.default_rng(2).normal(size=(4, 6)).astype(np.float32))
    options = ["--input", tmp_path / "x.npy", "--calibration", tmp_path / "x.npy"]
    assert new_project(tmp_path / "net.pt2", *options, "-o", tmp_path / "project") == 0
    assert file.read(tmp_path / "project" / "main" / "net.pie").outputs[0].shape == (3,)
    assert "#define SAMPLES 3" in (tmp_path / "project" / "main" / "samples.h").read_text()
