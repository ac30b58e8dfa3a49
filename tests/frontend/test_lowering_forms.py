"""The same network in other forms: decomposed, not folded, per-tensor weights, one fixed batch, int32 biases."""

from __future__ import annotations

import pytest
import torch
from agreement import check_equal, signal_to_noise
from simple_quantizer import SimpleQuantizer, converted
from test_lowering_operators import Function, make
from torch import nn
from torch.nn import functional as F
from torchao.quantization.pt2e import MinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationSpec

from pienn.frontend.capture import capture, capture_program, freeze
from pienn.frontend.lowering import lower


@pytest.fixture
def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(11)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=8),
        nn.Hardtanh(-2.0, 2.0),
        nn.ConvTranspose2d(8, 4, 2, 2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(16, 5),
        nn.Softmax(-1),
    )
    return module.eval(), torch.randn(16, 3, 10, 10)


@pytest.mark.parametrize(
    "name", ["conv_norm_relu", "softmax_channels", "bilinear", "nearest_odd", "linear_norm", "split"]
)
def test_decomposed_programs_compute_the_same(name: str) -> None:
    module, inputs = make(name)
    program = converted(module, inputs)
    expected = lower(program, "net").oracle(*inputs)
    for decomposed in (program.run_decompositions({}), program.run_decompositions()):
        result = lower(decomposed, "net")
        assert all(map(torch.equal, check_equal(result, inputs), expected))


def test_a_decomposed_network_computes_the_same(network) -> None:
    module, x = network
    program = converted(module, (x,))
    expected = lower(program, "net").oracle(x)
    result = lower(program.run_decompositions(), "net")
    assert torch.equal(check_equal(result, (x,))[0], expected[0])


class PowerOfTwo(MinMaxObserver):
    def _calculate_qparams(self, min_val, max_val):
        peak = torch.maximum(max_val.abs(), min_val.abs())
        return torch.exp2(torch.ceil(torch.log2(peak / 127))).reshape(1), torch.zeros(1, dtype=torch.int64)


def test_weights_that_are_neither_folded_nor_per_channel_are_read(network, monkeypatch) -> None:
    module, x = network
    spec = QuantizationSpec(torch.int8, PowerOfTwo.with_args(), -127, 127, torch.per_tensor_symmetric)
    monkeypatch.setattr("simple_quantizer.weight_spec", lambda axis: spec)
    prepared = prepare_pt2e(capture(module, (x,)), SimpleQuantizer())
    prepared(x)
    result = lower(freeze(convert_pt2e(prepared, fold_quantize=False), (x,)), "net")
    output = check_equal(result, (x,))[0]
    convolution = result.program.operators[0]
    assert len(set(convolution.weights.exponents)) == 1
    assert signal_to_noise(module(x).detach(), output, result) > 18


def test_a_program_with_batch_one_computes_the_same(network) -> None:
    module, x = network
    graph = capture_program(torch.export.export(module, (x[:1],)))
    prepared = prepare_pt2e(graph, SimpleQuantizer())
    for single in x.split(1):
        prepared(single)
    fixed = torch.export.export(convert_pt2e(prepared), (x[:1],))
    result = lower(fixed, "net")
    assert signal_to_noise(module(x).detach(), check_equal(result, (x,))[0], result) > 18


def test_biases_that_are_dequantised_integers_are_read() -> None:
    class Quantised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.randint(-127, 128, (4, 6), dtype=torch.int8))
            self.register_buffer("bias", torch.randint(-4000, 4000, (4,), dtype=torch.int32))

        def forward(self, x):
            q = torch.ops.quantized_decomposed
            x = q.quantize_per_tensor(x, 2.0**-5, 0, -128, 127, torch.int8)
            x = q.dequantize_per_tensor(x, 2.0**-5, 0, -128, 127, torch.int8)
            weight = q.dequantize_per_tensor(self.weight, 2.0**-7, 0, -127, 127, torch.int8)
            bias = q.dequantize_per_tensor(self.bias, 2.0**-12, 0, -(2**31), 2**31 - 1, torch.int32)
            y = q.quantize_per_tensor(F.linear(x, weight, bias), 2.0**-3, 0, -128, 127, torch.int8)
            return q.dequantize_per_tensor(y, 2.0**-3, 0, -128, 127, torch.int8)

    torch.manual_seed(2)
    module = Quantised()
    result = lower(freeze(module, (torch.randn(2, 6),)), "net")
    assert result.program.operators[0].weights.bias.tolist() == module.bias.tolist()
    check_equal(result, (torch.randn(50, 6) * 3,))


def test_a_result_that_two_readers_quantise_is_computed_once() -> None:
    module = Function(lambda x: torch.cat([part * 2 for part in F.max_pool2d(x, 2).chunk(2, 1)], 1))
    x = torch.randn(8, 4, 6, 6)
    result = lower(converted(module, (x,)), "net")
    assert [op.name for op in result.graph.layers].count("pienn.max_pool2d") == 1
    check_equal(result, (x,))


def test_layers_are_named_by_their_modules() -> None:
    module, inputs = make("squeeze_excite")
    result = lower(converted(module, inputs), "net")
    assert [op.layer for op in result.graph.layers if "reshape" not in op.layer] == [
        "mean", "first", "second", "hardsigmoid", "mul",
    ]  # fmt: skip
