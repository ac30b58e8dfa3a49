"""`pienn compile` and `pienn run` as a user calls them, mistakes included."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from random_graphs import random_graph, random_inputs
from test_verify import sample_graph

from pienn import cli
from pienn.commands.arrays import to_torch
from pienn.ir import file, interpreter


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stopped:
        cli.main([str(argument) for argument in arguments])
    return stopped.value.code if isinstance(stopped.value.code, int) else 0


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "my model.pie"
    file.write(sample_graph(), path)
    return path


@pytest.mark.parametrize("target", ["host", "esp32p4", "esp32s3"])
def test_compile_writes_four_files_and_a_summary(model, tmp_path, capsys, target):
    folder = tmp_path / "out"
    assert call("compile", model, "--target", target, "-o", folder, "--json", tmp_path / "c.json") == 0
    names = {"my_model.c", "my_model.h", "my_model_weights.c", "my_model_weights.h"}
    assert {path.name for path in folder.iterdir()} == names
    report = json.loads((tmp_path / "c.json").read_text())
    assert report["arena_bytes"] >= report["arena_lower_bound"] and report["tensors"]
    assert "lower bound" in capsys.readouterr().out


def test_caller_arena_leaves_no_static_one(model, tmp_path):
    assert call("compile", model, "-o", tmp_path, "--name", "net", "--arena", "caller") == 0
    assert "void net_run(" not in (tmp_path / "net.h").read_text()
    assert "static _Alignas" not in (tmp_path / "net.c").read_text()


def test_run_gives_what_the_interpreter_gives(model, tmp_path):
    graph = file.read(model)
    stored = random_inputs(graph, 3, batch=5)
    np.save(tmp_path / "x.npy", to_torch(stored[0], graph.inputs[0].permutation))
    assert call("run", model, "--input", tmp_path / "x.npy", "--output", tmp_path / "y.npy") == 0
    (expected,) = interpreter.run(graph, stored)
    assert np.array_equal(np.load(tmp_path / "y.npy"), to_torch(expected, graph.outputs[0].permutation))


def test_several_inputs_and_outputs_by_name(tmp_path):
    seed = next(
        s for s in range(100) if len(random_graph(s, 9).inputs) > 1 and len(random_graph(s, 9).outputs) > 1
    )
    graph = random_graph(seed, 9)
    file.write(graph, tmp_path / "m.pie")
    stored = random_inputs(graph, 1)
    arrays = {port.name: to_torch(array, port.permutation) for port, array in zip(graph.inputs, stored)}
    np.savez(tmp_path / "x.npz", **arrays)
    assert call("run", tmp_path / "m.pie", "--input", tmp_path / "x.npz", "--output", tmp_path / "y.npz") == 0
    results = np.load(tmp_path / "y.npz")
    for port, array in zip(graph.outputs, interpreter.run(graph, stored)):
        assert np.array_equal(results[port.name], to_torch(array, port.permutation))


MISTAKES = {
    "no file": (["run", "{m}", "--input", "{t}/none.npy"], "no such file"),
    "no model": (["compile", "{t}/none.pie", "-o", "{t}/o"], "none.pie"),
    "nothing named": (["compile", "-o", "{t}/o"], "--factory"),
    "not an array": (["run", "{m}", "--input", "{m}"], "not a .npy"),
    "wrong shape": (["run", "{m}", "--input", "{t}/wrong.npy"], "expected [batch, 5, 9, 7]"),
    "no batch axis": (["run", "{m}", "--input", "{t}/flat.npy"], "x[None]"),
    "empty": (["run", "{m}", "--input", "{t}/empty.npy"], "empty"),
    "objects": (["run", "{m}", "--input", "{t}/object.npy"], "plain arrays"),
    "bad name": (["compile", "{m}", "-o", "{t}/o", "--name", "a b"], "--name"),
    "bad output": (["run", "{m}", "--input", "{t}/good.npy", "--output", "{t}/y.txt"], ".npy"),
    "bad random": (["verify", "{m}", "--random", "0"], "--random"),
    "unknown target": (["compile", "{m}", "-o", "{t}/o", "--target", "z80"], "z80"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(model, tmp_path, capsys, mistake):
    np.save(tmp_path / "good.npy", np.zeros((1, 5, 9, 7), np.float32))
    np.save(tmp_path / "wrong.npy", np.zeros((1, 3, 9, 7), np.float32))
    np.save(tmp_path / "flat.npy", np.zeros((5, 9, 7), np.float32))
    np.save(tmp_path / "empty.npy", np.zeros((0, 5, 9, 7), np.float32))
    np.save(tmp_path / "object.npy", np.array([{}], object), allow_pickle=True)
    arguments, expected = MISTAKES[mistake]
    before = sorted(tmp_path.rglob("*"))
    assert call(*(argument.format(m=model, t=tmp_path) for argument in arguments)) == 2
    message = capsys.readouterr().err
    assert expected in message and "Traceback" not in message
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == [
        p for p in before if p.is_file()
    ]


def test_compiling_a_graph_file_never_imports_torch(model, tmp_path):
    script = (
        "import sys; from pienn import cli\n"
        "try: cli.main(sys.argv[1:])\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", script, "compile", model, "-o", tmp_path / "o"]
    subprocess.run(command, check=True)


def test_help_has_examples(capsys):
    for command in ("compile", "run", "verify", "export", "opt", "inspect", "asm", "sim"):
        assert call(command, "--help") == 0
        assert f"pienn {command}" in capsys.readouterr().out.split("Usage:", 1)[1].split("\n", 1)[1]
