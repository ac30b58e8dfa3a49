"""Capture: what is normalised, and what is refused in one line that names the place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from simple_quantizer import converted, name_of
from torch import nn
from torch.nn import functional as F

from pienn.errors import PiennError
from pienn.frontend.capture import capture, capture_program, freeze
from pienn.frontend.lowering import lower


class Function(nn.Module):
    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def operators(graph: torch.fx.GraphModule) -> list[str]:
    return [name_of(node) for node in graph.graph.nodes if node.op == "call_function"]


def trained(module: nn.Module) -> nn.Module:
    """Batch norms with statistics of their own."""
    torch.manual_seed(3)
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.3, 2.0)
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)
    return module.eval()


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()), (3, 6, 5), ["conv2d", "relu"]),
        (nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)), (3, 6, 5), ["conv2d"]),
        (nn.Sequential(nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.Dropout()), (3, 6), ["conv1d"]),
        (nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Identity()), (3,), ["linear"]),
        (nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)), (3, 6, 5), ["conv_transpose2d"]),
        (nn.Sequential(nn.ReLU(inplace=True), nn.BatchNorm2d(3)), (3, 6, 5), ["relu", "conv2d"]),
        (nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(3)), (3, 5), ["linear", "conv1d"]),
        (nn.BatchNorm1d(3), (3,), ["mul", "add"]),
        (
            Function(lambda x: x.transpose(1, 2).contiguous().view(x.shape[0], -1).clone()),
            (3, 5),
            ["sym_size", "transpose", "reshape"],
        ),
    ],
)
def test_batch_norms_and_no_ops_are_gone_and_the_values_stay(module, shape, expected) -> None:
    module = trained(module)
    x = torch.randn(5, *shape)
    graph = capture(module, (x[:1],))
    assert operators(graph) == expected
    with torch.no_grad():
        assert torch.allclose(graph(x), module(x.clone()), atol=1e-4)


def test_the_module_itself_stays_as_it_is() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    module.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    capture(module, (torch.randn(2, 3, 6, 6),))
    assert module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_weights_with_nan_are_refused_by_name() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3))
    with torch.no_grad():
        module[0].weight[1, 0, 0, 0] = float("nan")
    with pytest.raises(PiennError, match=r"^0\.weight.*NaN"):
        capture(module, (torch.randn(2, 3, 6, 6),))


def test_a_model_that_fixes_the_batch_size_is_refused() -> None:
    with pytest.raises(PiennError, match="batch size 2 is baked in"):
        capture(Function(lambda x: x.reshape(2, 12)), (torch.randn(2, 3, 4),))


def test_a_program_exported_with_a_batch_of_four_is_refused() -> None:
    program = torch.export.export(nn.Conv2d(3, 4, 3), (torch.randn(4, 3, 6, 6),))
    with pytest.raises(PiennError, match="batch size 4 is baked in"):
        capture_program(program)


def test_a_program_exported_with_batch_one_is_taken() -> None:
    program = torch.export.export(nn.Conv2d(3, 4, 3), (torch.randn(1, 3, 6, 6),))
    assert operators(capture_program(program)) == ["conv2d"]


def test_a_dynamic_axis_other_than_the_batch_is_refused() -> None:
    auto = torch.export.Dim.AUTO
    program = torch.export.export(nn.ReLU(), (torch.randn(4, 3, 6),), dynamic_shapes=({0: auto, 2: auto},))
    with pytest.raises(PiennError, match="only the batch axis may be dynamic"):
        capture_program(program)


def in_place_and_read_again(x):
    part = x[:, :1]
    part.mul_(2.0)
    return x + part


def test_a_change_of_a_part_that_is_read_again_is_refused() -> None:
    with pytest.raises(PiennError, match=r"mul_.*changes a part of a tensor that is read again"):
        capture(Function(in_place_and_read_again), (torch.randn(2, 3),))


def in_place_chain(x):
    y = F.relu_(x * 2).view(-1, 6).sub_(0.5)
    return y.add_(y)


def test_in_place_operators_become_functional() -> None:
    graph = capture(Function(in_place_chain), (torch.randn(2, 2, 3),))
    x = torch.randn(4, 2, 3)
    assert operators(graph) == ["mul", "relu", "reshape", "sub", "add"]
    assert torch.equal(graph(x), in_place_chain(x))


def test_a_model_with_state_is_refused() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(3))

        def forward(self, x):
            self.seen += 1
            return x + self.seen

    with pytest.raises(PiennError, match=r"^seen: the model changes this buffer"):
        capture(Counter(), (torch.randn(2, 3),))


def test_control_flow_on_values_is_refused_in_one_line() -> None:
    with pytest.raises(PiennError, match=r"^torch\.export cannot capture the model: [^\n]*$"):
        capture(Function(lambda x: x if x.sum() > 0 else -x), (torch.randn(2, 3),))


REFUSED = {
    "layer norm": (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(4)),
        (3, 6, 6),
        r"^1: aten\.layer_norm.*\[batch, 4, 4, 4\]",
    ),
    "along the batch": (Function(lambda x: torch.softmax(x, 0)), (3, 6), "batch axis"),
    "mean of the batch": (
        Function(lambda x: x.mean(0, keepdim=True) + x),
        (3, 6),
        "axis 0 is not the batch|batch axis",
    ),
    "moved batch": (Function(lambda x: x.transpose(0, 1)), (3, 6), "batch"),
    "merged batch": (Function(lambda x: x.reshape(-1)), (3, 6), "merges the batch"),
    "pooled merged batch": (
        Function(lambda x: F.max_pool1d(x.reshape(-1, 2, 6), 2)),
        (4, 6),
        r"max_pool1d.*merges the batch with another axis: reshape it back",
    ),
    "reflect padding": (nn.ReflectionPad2d(1), (3, 6, 6), "reflection_pad2d|reflect"),
    "tile": (Function(lambda x: x.repeat(1, 2)), (3,), "aten.repeat.default"),
    "division": (Function(lambda x: x / (x + 10)), (3,), "division by constants"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_supported_is_refused_with_operator_and_layer(name: str) -> None:
    module, shape, message = REFUSED[name]
    with pytest.raises(PiennError, match=message) as caught:
        lower(converted(module, (torch.rand(4, *shape) + 0.5,)), "net")
    assert "\n" not in str(caught.value)


def test_scales_that_are_no_powers_of_two_are_refused_with_the_way_out() -> None:
    class Quantised(nn.Module):
        def forward(self, x):
            q = torch.ops.quantized_decomposed
            x = q.quantize_per_tensor(x, 0.3, 0, -128, 127, torch.int8)
            return F.relu(q.dequantize_per_tensor(x, 0.3, 0, -128, 127, torch.int8))

    import torchao.quantization.pt2e  # noqa: F401  (registers the operators)

    with pytest.raises(PiennError, match=r"scale 0\.3.*powers of two.*pienn\.quantize"):
        lower(freeze(Quantised(), (torch.randn(2, 3),)), "net")


def test_a_float_program_is_refused_as_not_quantised() -> None:
    with pytest.raises(PiennError, match="not quantised"):
        lower(freeze(nn.Conv2d(3, 4, 3), (torch.randn(2, 3, 6, 6),)), "net")
