"""Each pass on small graphs in text, beside what it must make of them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from random_graphs import random_inputs

from pienn.ir import file
from pienn.ir.dialect import ConstantOp, dtype_of, shape_of
from pienn.ir.graph import Graph
from pienn.ir.interpreter import run
from pienn.passes.pipeline import PASSES, apply

GOLDEN = Path(__file__).parent / "golden"


def cases() -> list[tuple[str, str, list[str], list[str]]]:
    """Pass, title, lines before, lines after, of every case in every file."""
    found = []
    for path in sorted(GOLDEN.glob("*.mlir")):
        for text in path.read_text().split("\n\n"):
            title, *lines = text.strip().splitlines()
            middle = lines.index("=>")
            before, after = lines[:middle], lines[middle + 1 :]
            found.append((path.stem, title, before, before[1:] if after == ["unchanged"] else after))
    return found


CASES = cases()


def graph_of(lines: list[str]) -> Graph:
    """The graph of a case: arguments, operations, return; constants are small numbers, equal where types are."""
    arguments, *body, last = lines
    types = dict(re.findall(r"(%[\w.]+) = .* : (tensor<.*>)$", "\n".join(body), re.MULTILINE))
    results = [types[name] for name in last.removeprefix("return ").split(", ")]

    def port(kind: str, name: str) -> str:
        axes = ", ".join(map(str, range(kind.split(",")[0].count("x"))))
        return f'{kind} {{pienn.name = "{name}", pienn.permutation = array<i64: {axes}>}}'

    header = ", ".join(
        f"{name}: {port(kind, name[1:])}" for name, kind in re.findall(r"(%\w+): (tensor<.*?>>)", arguments)
    )
    returned = ", ".join(port(kind, f"y{number}") for number, kind in enumerate(results))
    text = f"builtin.module {{ func.func @main({header}) -> ({returned}) {{\n"
    module = file.parse(text + "\n".join(body) + f"\nfunc.{last} : {', '.join(results)}\n}}\n}}\n")
    graph = Graph(module, {}, {"name": "golden"})
    for op in graph.ops:
        if isinstance(op, ConstantOp):
            count = int(np.prod(shape_of(op.result)))
            values = (np.arange(count) * 37 + 11) % 101 - 50
            graph.weights[op.tensor_name] = values.astype(dtype_of(op.result)).reshape(shape_of(op.result))
    return graph


@pytest.mark.parametrize(
    ("name", "title", "before", "after"), CASES, ids=[f"{case[0]}: {case[1][3:]}" for case in CASES]
)
def test_pass_writes_what_it_should(name: str, title: str, before: list[str], after: list[str]) -> None:
    graph = graph_of(before)
    ((_, result),) = apply(graph, [name])
    text = [line.strip() for line in result.text().splitlines()[2:-2]]
    assert [re.sub(r"^func\.return (.*?) : .*", r"return \1", line) for line in text] == after
    inputs = random_inputs(graph, 0, batch=20)
    for expected, got in zip(run(graph, inputs), run(result, inputs)):
        np.testing.assert_array_equal(expected, got)


def test_every_pass_has_cases() -> None:
    assert {case[0] for case in CASES} == set(PASSES)
