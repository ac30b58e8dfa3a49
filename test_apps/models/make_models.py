"""Networks of the digits example's and of DS-CNN's shape with random weights, and what they must compute.

python make_models.py write digits digits.pie            the graph file
python make_models.py vectors digits.pie digits_vectors.h --name digits
                                                         random inputs, and the interpreter's outputs
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "generator"))

from pienn.codegen.names import model_identifier  # noqa: E402
from pienn.commands.arrays import random_stored  # noqa: E402
from pienn.commands.depfile import write_depfile  # noqa: E402
from pienn.ir import file, interpreter  # noqa: E402
from pienn.ir.builder import GraphBuilder  # noqa: E402
from pienn.ir.dialect import encoding_of, shape_of  # noqa: E402
from pienn.ir.graph import Graph  # noqa: E402

INPUTS = 2
PER_LINE = 24
SEED = 7


class Layers(GraphBuilder):
    """A graph whose weights are random and whose exponents keep most values apart."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.source = np.random.default_rng(SEED)

    def filter(self, layer: str, shape: Sequence[int], x: Any, bits: int) -> tuple[list[Any], dict[str, Any]]:
        """Weight and bias, and weight exponents two apart at most; `bits` more make the result smaller."""
        weight = self.source.integers(-48, 49, shape).astype(np.int8)
        bias = self.source.integers(-500, 500, shape[0]).astype(np.int32)
        shift = round(np.log2(np.sqrt(weight[0].size) * 28 * 70 / 40)) + bits
        exponents = -shift + self.source.integers(0, 2, shape[0])
        operands = [self.constant(f"{layer}.weight", weight), self.constant(f"{layer}.bias", bias)]
        exponent = encoding_of(x).exponent
        return operands, {"weight_exponents": exponents, "exponent": exponent, "layer": layer}

    def convolution(
        self, x: Any, layer: str, outputs: int, kernel: tuple[int, int] = (1, 1), *, depthwise: bool = False,
        strides: tuple[int, int] = (1, 1), padding: Sequence[int] = (0, 0, 0, 0), zero_point: int = -128,
    ) -> Any:  # fmt: skip
        inputs = 1 if depthwise else shape_of(x)[2]
        operands, given = self.filter(layer, (outputs, *kernel, inputs), x, 0)
        groups = outputs if depthwise else 1
        return self.conv2d(
            x, *operands, strides=strides, padding=padding, groups=groups, zero_point=zero_point, **given
        )

    def classifier(self, x: Any, layer: str, outputs: int) -> Any:
        flat = self.reshape(x, shape=(int(np.prod(shape_of(x))),), layer="flatten")
        operands, given = self.filter(layer, (outputs, shape_of(flat)[0]), flat, 0)
        return self.fully_connected(flat, *operands, zero_point=0, **given)


def digits() -> Graph:
    """examples/hello_digits: separable convolution, residual, pooling."""
    b = Layers("digits")
    x = b.input("x", (8, 8, 1), -3, -128, (1, 2, 0))
    around = (1, 1, 1, 1)
    y = b.convolution(x, "stem", 16, (3, 3), padding=around)
    y = b.convolution(y, "depthwise", 16, (3, 3), depthwise=True, padding=around)
    shortcut = b.convolution(y, "pointwise", 32)
    y = b.convolution(shortcut, "residual", 32, (3, 3), padding=around, zero_point=0)
    y = b.add(y, shortcut, exponent=encoding_of(y).exponent + 1, zero_point=-128, layer="add")
    y = b.max_pool2d(y, kernel=(2, 2), strides=(2, 2), layer="pool")
    b.output("scores", b.classifier(y, "classifier", 10), (0,))
    return b.build()


def dscnn() -> Graph:
    """MLPerf Tiny's keyword spotting: 49 x 10 coefficients, four separable convolutions of 64 channels, 12 words."""
    b = Layers("dscnn")
    y = b.input("x", (49, 10, 1), -3, 0, (1, 2, 0))
    y = b.convolution(y, "stem", 64, (10, 4), strides=(2, 2), padding=(4, 1, 5, 1))
    for number in range(4):
        y = b.convolution(y, f"depthwise{number}", 64, (3, 3), depthwise=True, padding=(1, 1, 1, 1))
        y = b.convolution(y, f"pointwise{number}", 64)
    exponent = encoding_of(y).exponent
    y = b.mean(y, first_axis=0, last_axis=1, exponent=exponent - 1, zero_point=-128, layer="pool")
    b.output("scores", b.classifier(y, "classifier", 12), (0,))
    return b.build()


MODELS: dict[str, Callable[[], Graph]] = {"digits": digits, "dscnn": dscnn}


def vectors(model: Path, name: str) -> str:
    """A header with random stored inputs of a network and the interpreter's outputs."""
    graph = file.read(model)
    inputs = random_stored(graph, INPUTS, SEED)
    outputs = interpreter.run(graph, inputs)
    lines = [
        f"/* {INPUTS} inputs of {model.name} and its outputs, made by test_apps/models/make_models.py. */"
    ]
    for kind, arrays in (("inputs", inputs), ("outputs", outputs)):
        rows = arrays[0].reshape(INPUTS, -1)
        lines.append(f"static const int8_t {name}_{kind}[{INPUTS}][{rows.shape[1]}] = {{")
        for row in rows.tolist():
            pieces = [row[start : start + PER_LINE] for start in range(0, len(row), PER_LINE)]
            lines.append("    {" + ",\n     ".join(", ".join(map(str, piece)) for piece in pieces) + "},")
        lines.append("};")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write")
    write.add_argument("network", choices=list(MODELS))
    write.add_argument("output", type=Path)
    expect = commands.add_parser("vectors")
    expect.add_argument("model", type=Path)
    expect.add_argument("output", type=Path)
    expect.add_argument("--name", required=True)
    for one in (write, expect):
        one.add_argument("--depfile", type=Path, help="write there what the file was made from")
    given = parser.parse_args(arguments)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    if given.command == "write":
        file.write(MODELS[given.network](), given.output)
    else:
        given.output.write_text(vectors(given.model, model_identifier(given.name)))
    if given.depfile:
        made_from = [Path(__file__), getattr(given, "model", None)]
        write_depfile(given.depfile, given.output, made_from)


if __name__ == "__main__":
    main()
