"""Sums beyond the ESP32-S3's 20 bits: what `pienn prove` says, and that a network that needs them comes out right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pienn.cli import main
from pienn.commands.prove import describe
from pienn.commands.simulated import Simulated
from pienn.ir import file, interpreter
from pienn.ir.builder import GraphBuilder
from pienn.ir.graph import Graph
from pienn.passes.pipeline import pipeline
from pienn.plan.plan import plan
from pienn.plan.qacc_proof import HIGHEST, LOWEST

INPUTS, OUTPUTS, SHIFT = 256, 48, 10


def network() -> Graph:
    """Outputs 0..15: small sums; 16..31: sums that pass 20 bits on their way to the rail; 32..47: and come back."""
    weight = np.zeros((OUTPUTS, INPUTS), np.int8)
    weight[:16, ::2], weight[:16, 1::2] = 5, -5
    weight[16:32] = 40
    weight[32:, :128], weight[32:, 128:] = 120, -119
    builder = GraphBuilder("overflow")
    x = builder.input("x", (INPUTS,), exponent=-4, zero_point=0)
    w = builder.constant("w", weight)
    bias = builder.constant("b", np.arange(OUTPUTS, dtype=np.int32) * 100)
    positive = builder.requantize(x, minimum=0, exponent=-4, zero_point=0, layer="positive")
    y = builder.fully_connected(
        positive, w, bias, weight_exponents=[-6] * OUTPUTS, exponent=-10 + SHIFT, zero_point=0, layer="fc"
    )
    builder.output("y", y)
    return builder.build()


def images() -> np.ndarray:
    """Stored inputs: all at the upper rail, random ones, none."""
    rng = np.random.default_rng(0)
    return np.stack([np.full(INPUTS, 127), *rng.integers(-128, 128, (6, INPUTS)), np.zeros(INPUTS)]).astype(
        np.int8
    )


def naive(graph: Graph, x: np.ndarray) -> np.ndarray:
    """A kernel that trusts 20 bits: every MAC saturates there, for each input [batch, INPUTS]."""
    weight, bias = (array.astype(np.int64) for array in (graph.weights["w"], graph.weights["b"]))
    lanes = np.broadcast_to(bias + (1 << SHIFT - 1), (len(x), OUTPUTS))
    for k in range(INPUTS):
        products = np.maximum(x[:, k], 0).astype(np.int64)[:, None] * weight[:, k]
        lanes = np.clip(lanes + products, LOWEST, HIGHEST)
    return np.clip(lanes >> SHIFT, -128, 127).astype(np.int8)


def test_a_network_that_overflows_a_naive_kernel_is_right() -> None:
    graph, x = network(), images()
    (expected,) = interpreter.run(graph, [x])
    wrong = naive(graph, x) != expected
    assert not wrong[:, :32].any(), "small sums and harmless saturations survive a naive kernel"
    assert wrong[0, 32:].all(), "the sums that come back do not"
    (found,) = Simulated(plan(pipeline(graph, "esp32s3"), "esp32s3")).run([x])
    np.testing.assert_array_equal(found, expected)


def test_each_block_says_how_it_fits() -> None:
    (layer,) = describe(network())["layers"]
    assert [block["mode"] for block in layer["blocks"]] == ["QACC", "harmless saturation", "two digits"]
    assert layer["blocks"][0]["proof"] == "QACC, margin 2.7 bits"
    assert layer["blocks"][2]["proof"].startswith("two digits, f = ")


def test_the_command_prints_every_block(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "overflow.pie"
    file.write(network(), path)
    with pytest.raises(SystemExit) as stop:
        main(["prove", str(path), "--json", str(tmp_path / "proofs.json")])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for text in ("0..15", "16..31", "32..47", "QACC, margin", "harmless saturation", "two digits, f ="):
        assert text in printed
    assert "3 blocks: 1 QACC, 1 harmless saturation, 1 two digits; least margin in QACC" in printed
    proofs = json.loads((tmp_path / "proofs.json").read_text())
    assert proofs["totals"] == {"QACC": 1, "harmless saturation": 1, "two digits": 1, "reference": 0}
