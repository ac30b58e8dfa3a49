"""The text form of the dialect: what is written reads back as the same."""

from __future__ import annotations

import io
import shutil
import subprocess

import numpy as np
import pytest
from random_graphs import random_graph
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.utils.exceptions import ParseError, VerifyException

from pienn.ir.builder import GraphBuilder
from pienn.ir.dialect import OPERATIONS
from pienn.ir.graph import Graph, new_context


def small_graph() -> Graph:
    b = GraphBuilder("small")
    x = b.input("x", (8, 6, 3), exponent=-5, zero_point=0, permutation=(1, 2, 0))
    weight = b.constant("stem.weight", np.ones((8, 3, 3, 3), np.int8))
    bias = b.constant("stem.bias", np.zeros(8, np.int32))
    y = b.conv2d(
        x,
        weight,
        bias,
        strides=(2, 2),
        padding=(1, 1, 1, 1),
        weight_exponents=[-7] * 5 + [-6, -5, -5],
        exponent=-4,
        zero_point=-128,
        layer="stem.0",
    )
    y = b.max_pool2d(y, kernel=(2, 2), strides=(2, 2), ceil_mode=True, layer="pool")
    b.output("y", y, permutation=(1, 2, 0))
    return b.build()


EXPECTED = """\
builtin.module {
  func.func @main(%x: tensor<8x6x3xi8, #pienn.quantized<-5, 0>> {pienn.name = "x", \
pienn.permutation = array<i64: 1, 2, 0>}) -> (tensor<2x2x8xi8, #pienn.quantized<-4, -128>> \
{pienn.name = "y", pienn.permutation = array<i64: 1, 2, 0>}) {
    %stem.weight = pienn.constant {name = "stem.weight"} : tensor<8x3x3x3xi8>
    %stem.bias = pienn.constant {name = "stem.bias"} : tensor<8xi32>
    %stem.0 = pienn.conv2d %x, %stem.weight, %stem.bias {strides = [2, 2], padding = [1, 1, 1, 1], \
weight_exponents = [-7 x 5, -6, -5 x 2], layer = "stem.0"} : tensor<4x3x8xi8, #pienn.quantized<-4, -128>>
    %pool = pienn.max_pool2d %stem.0 {kernel = [2, 2], strides = [2, 2], layer = "pool"} : \
tensor<2x2x8xi8, #pienn.quantized<-4, -128>>
    func.return %pool : tensor<2x2x8xi8, #pienn.quantized<-4, -128>>
  }
}
"""


def parse(text: str) -> str:
    stream = io.StringIO()
    Printer(stream=stream).print_op(Parser(new_context(), text).parse_module())
    return stream.getvalue() + "\n"


def test_text_is_as_documented_and_reads_back() -> None:
    assert small_graph().text() == EXPECTED
    assert parse(EXPECTED) == EXPECTED


def test_generic_form_reads_back_as_the_same_module() -> None:
    assert parse(small_graph().generic_text()) == EXPECTED


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-7 x 5", "-7 x 99999999999"),
        ("-7 x 5", "-7 x 0"),
        ("strides = [2, 2]", "strides = [2, 2], strides = [2, 2]"),
        ("strides = [2, 2]", "stride = [2, 2]"),
        ("%stem.weight, %stem.bias", "%pool, %stem.bias"),
        ("quantized<-4, -128>> {pienn", "quantized<-4, 3>> {pienn"),
        ("kernel = [2, 2], ", ""),
    ],
)
def test_parser_refuses(old: str, new: str) -> None:
    assert old in EXPECTED
    with pytest.raises((ParseError, VerifyException)):
        parse(EXPECTED.replace(old, new))


OPERANDS = {
    "conv2d": ["x", "weight", "bias"],
    "conv_transpose2d": ["x", "weight", "bias"],
    "fully_connected": ["x", "weight", "bias"],
    **{kind: ["a", "b"] for kind in ("matmul", "add", "sub", "mul")},
    "prelu": ["x", "slope"],
    "lut": ["x", "table"],
    "softmax": ["x", "table"],
    "resize_nearest": ["x", "tables"],
    "resize_bilinear": ["x", "rows", "row_weights", "columns", "column_weights"],
    "concat": ["xs"],
    "constant": [],
}


def test_operands_are_named_in_order() -> None:
    for operation in OPERATIONS:
        names = [name for name, _ in operation.get_irdl_definition().operands]
        assert names == OPERANDS.get(operation.name.removeprefix("pienn."), ["x"]), operation.name


def test_mlir_opt_reads_the_generic_form() -> None:
    program = shutil.which("mlir-opt-22")
    if program is None:
        pytest.skip("mlir-opt-22 is not installed (Debian: mlir-22-tools)")
    texts = [small_graph().generic_text(), *(random_graph(seed, 12).generic_text() for seed in range(12))]
    for text in texts:
        result = subprocess.run(
            [program, "--allow-unregistered-dialect", "--mlir-print-op-generic"],
            input=text,
            text=True,
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.count('"pienn.') == text.count('"pienn.')
