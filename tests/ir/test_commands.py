"""`pienn opt` and `pienn inspect` on files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from random_graphs import random_graph, random_inputs
from test_dialect import EXPECTED, small_graph

from pienn.cli import main
from pienn.ir import file
from pienn.ir.interpreter import run


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of one command."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(stop.value.code or 0), printed.out, printed.err


def test_inspect_shows_layers_and_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write(small_graph(), tmp_path / "small.pie")
    status, out, _ = call(capsys, "inspect", tmp_path / "small.pie")
    assert status == 0
    rows = [line.split() for line in out.splitlines()]
    macs, parameters = 4 * 3 * 8 * 27, 8 * 27 + 8
    assert [
        "stem.0",
        "conv2d",
        "8x6x3",
        "<-5,",
        "0>",
        "4x3x8",
        "<-4,",
        "-128>",
        f"{macs:,}",
        str(parameters),
    ] in rows
    assert ["pool", "max_pool2d", "4x3x8", "<-4,", "-128>", "2x2x8", "<-4,", "-128>"] in rows
    assert ["2", "layers", f"{macs:,}", str(parameters)] in rows

    status, out, _ = call(capsys, "inspect", tmp_path / "small.pie", "--json", "-")
    described = json.loads(out)
    assert status == 0 and described["totals"] == {
        "layers": 2,
        "macs": macs,
        "parameters": parameters,
        "parameter_bytes": 8 * 27 + 8 * 4,
    }
    assert described["inputs"][0]["permutation"] == [1, 2, 0]
    assert [layer["name"] for layer in described["layers"]] == ["stem.0", "pool"]


def test_opt_prints_the_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write(small_graph(), tmp_path / "small.pie")
    status, out, err = call(capsys, "opt", tmp_path / "small.pie", "--pass", "dead-code", "--print-after-all")
    assert (status, out) == (0, EXPECTED)
    assert err == "// after dead-code: unchanged\n"


def test_opt_writes_a_file_that_computes_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = random_graph(22, 14, dead_code=True)
    file.write(graph, tmp_path / "a.pie")
    status, _, err = call(
        capsys,
        "opt",
        tmp_path / "a.pie",
        "-o",
        tmp_path / "b.pie",
        "--print-after-all",
        "--json",
        tmp_path / "j",
    )
    assert status == 0 and "// after dead-code\nbuiltin.module {" in err
    report = json.loads((tmp_path / "j").read_text())
    after = file.read(tmp_path / "b.pie")
    assert report["operations"] == len(after.layers) < len(graph.layers)
    assert report["passes"][0]["changed"] and report["passes"][0]["pass"] == "dead-code"
    inputs = random_inputs(graph, 0)
    for ours, theirs in zip(run(graph, inputs), run(after, inputs)):
        assert (ours == theirs).all()


def test_bad_input_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.pie").write_bytes(b"PK\x03\x04 not really")
    for command in ("inspect", "opt"):
        status, out, err = call(capsys, command, tmp_path / "bad.pie")
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {tmp_path}/bad.pie: not a graph file: ") and err.count("\n") == 1
    file.write(small_graph(), tmp_path / "small.pie")
    status, _, err = call(capsys, "opt", tmp_path / "small.pie", "--pass", "no-such-pass")
    assert status == 2 and "'no-such-pass' is no pass" in err
