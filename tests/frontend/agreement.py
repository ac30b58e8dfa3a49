"""Runs a network in its first two places and demands equality of every element of every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from pienn.frontend.lowering import Lowered
from pienn.ir.interpreter import run


def to_graph_layout(stored: np.ndarray, permutation: Sequence[int]) -> np.ndarray:
    return stored.transpose(0, *(axis + 1 for axis in permutation))


def check_equal(lowered: Lowered, inputs: Sequence[torch.Tensor], hint: str = "") -> list[torch.Tensor]:
    """Oracle against interpreter, at every layer and output; the oracle's outputs."""
    oracle_taps: dict[str, torch.Tensor] = {}
    outputs = lowered.oracle(*inputs, taps=oracle_taps)
    stored = [
        to_graph_layout(oracle_taps[tensor.name].numpy(), port.permutation)
        for tensor, port in zip(lowered.program.inputs, lowered.graph.inputs)
    ]
    graph_taps: dict[str, np.ndarray] = {}
    results = run(lowered.graph, stored, taps=graph_taps)
    text = lowered.graph.text()
    names = lowered.graph.value_names()
    layers = {op.layer: graph_taps[names[op.result]] for op in lowered.graph.layers}
    assert len(layers) == len(lowered.graph.layers), f"two layers of one name\n{text}"
    for layer, tap in lowered.taps.items():
        expected = tap.in_graph_layout(oracle_taps[tap.key].numpy())
        assert np.array_equal(expected, layers[layer]), f"{layer} differs {hint}\n{text}"
    for expected, result, port in zip(outputs, results, lowered.graph.outputs):
        assert np.array_equal(to_graph_layout(expected.numpy(), port.permutation), result), (
            f"{port.name} {hint}\n{text}"
        )
    return list(outputs)


def rails(shape: Sequence[int], count: int, scale: float = 3.0) -> torch.Tensor:
    """Random inputs; some lie far outside the calibrated range, some at the rails altogether."""
    x = torch.randn(count, *shape) * scale
    if count > 2:
        x[0] = 1e6
        x[1] = -1e6
        x[2] = x[2].sign() * 1e6
    return x


def signal_to_noise(reference: torch.Tensor, stored: torch.Tensor, lowered: Lowered, index: int = 0) -> float:
    """SQNR in dB of an output against the float network."""
    encoding = lowered.program.outputs[index][1].encoding
    real = (stored.double() - encoding.zero_point) * 2.0**encoding.exponent
    noise = ((reference.double() - real) ** 2).sum()
    return float(10 * torch.log10((reference.double() ** 2).sum() / noise.clamp(min=1e-30)))
