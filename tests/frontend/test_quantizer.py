"""Where the quantizer puts int8, and with which encodings."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

import pienn
from pienn.errors import PiennError
from pienn.frontend.comparison import sqnr
from pienn.frontend.model import QuantizedModel


def encodings(model: QuantizedModel) -> dict[str, tuple[int, int]]:
    """(exponent, zero point) of every tensor of the integer program, by name."""
    program = model.lowered.program
    tensors = [*program.inputs, *(operator.result for operator in program.operators)]
    return {tensor.name: tuple(tensor.encoding) for tensor in tensors}


def quantised(
    module: nn.Module, *shape: int, low: float = -2.0, high: float = 2.0, **options
) -> QuantizedModel:
    generator = torch.Generator().manual_seed(5)
    inputs = low + (high - low) * torch.rand(64, *shape, generator=generator)
    return pienn.quantize(module.eval(), inputs, refine=False, **options)


class Net(nn.Module):
    """A module around one function, with a convolution, a linear and a batch norm to use."""

    def __init__(self, function, channels: int = 3) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 5)
        self.function = function
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1, 1)
            self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.function(self, x)


def test_never_negative_tensors_use_the_eighth_bit():
    model = quantised(Net(lambda n, x: n.conv(x).relu()), 3, 8, 8)
    assert encodings(model)["x"][1] == 0
    assert {z for name, (_, z) in encodings(model).items() if name != "x"} == {-128}


def test_eighth_bit_can_be_forbidden():
    model = quantised(Net(lambda n, x: n.conv(x).relu()), 3, 8, 8, eighth_bit=False)
    assert {z for _, z in encodings(model).values()} == {0}


def test_unsigned_inputs_are_recognised_from_calibration():
    module = Net(lambda n, x: n.conv(x))
    assert encodings(quantised(module, 3, 8, 8, low=0.0))["x"] == (-7, -128)
    assert encodings(quantised(module, 3, 8, 8, low=-1.0))["x"][1] == 0


def test_values_that_happen_to_be_positive_keep_zero_point_0():
    """Only the operator's kind proves that a value is never negative; a convolution's result may be."""
    module = Net(lambda n, x: n.conv(x))
    with torch.no_grad():
        module.conv.bias.fill_(50.0)
    assert encodings(quantised(module, 3, 8, 8))["conv"][1] == 0


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6(), nn.Hardtanh(0, 3)])
def test_clamps_are_fused_into_the_operator_before_them(activation):
    model = quantised(Net(lambda n, x: activation(n.norm(n.conv(x)))), 3, 8, 8)
    assert [type(operator).__name__ for operator in model.lowered.program.operators] == ["Convolution"]


def test_a_result_that_others_read_is_not_fused():
    def residual(n, x):
        y = n.conv(x)
        return y.relu() + y

    kinds = [type(o).__name__ for o in quantised(Net(residual), 3, 8, 8).lowered.program.operators]
    assert kinds == ["Convolution", "Requantize", "Binary"]


def test_shape_operators_and_max_pool_keep_the_encoding():
    def moves(n, x):
        y = functional.max_pool2d(n.conv(x).relu(), 2)
        return torch.flatten(y.permute(0, 2, 3, 1)[:, :, 1:], 1)

    found = encodings(quantised(Net(moves), 3, 8, 8))
    assert len({encoding for name, encoding in found.items() if name != "x"}) == 1


def test_concat_operands_share_one_encoding_or_keep_their_own():
    def joined(n, x):
        y = n.conv(x)
        return torch.cat([y, 9.0 * y.sigmoid(), functional.max_pool2d(y, 3, 1, 1)], 1)

    shared = quantised(Net(joined), 3, 8, 8).lowered.program.operators
    own = quantised(Net(joined), 3, 8, 8, concat="own").lowered.program.operators
    assert "Requantize" not in [type(o).__name__ for o in shared]
    assert "Requantize" in [type(o).__name__ for o in own]


def test_softmax_has_its_fixed_encoding_behind_any_concat():
    def joined(n, x):
        y = n.fc(functional.adaptive_avg_pool2d(n.conv(x), 1).flatten(1))
        return torch.cat([y.softmax(1), y], 1)

    model = quantised(Net(joined), 3, 8, 8)
    softmax = next(o for o in model.lowered.program.operators if type(o).__name__ == "Softmax")
    assert tuple(softmax.result.encoding) == (-8, -128)


NETWORKS = {
    "conv_bn_relu": lambda n, x: n.norm(n.conv(x)).relu(),
    "residual": lambda n, x: (n.conv(x) + n.norm(n.conv(x))).relu(),
    "product": lambda n, x: n.conv(x) * n.conv(x).sigmoid(),
    "difference": lambda n, x: n.conv(x) - n.norm(n.conv(x)),
    "scalar": lambda n, x: (2.5 * n.conv(x) + 1.0) / 3.0,
    "table": lambda n, x: functional.gelu(functional.hardswish(n.conv(x))),
    "pools": lambda n, x: functional.avg_pool2d(functional.max_pool2d(n.conv(x), 2, 1), 3),
    "head": lambda n, x: n.fc(functional.adaptive_avg_pool2d(n.conv(x).relu(), 1).flatten(1)),
    "mean_axes": lambda n, x: n.fc(n.conv(x).mean((2, 3))),
    "upsampled": lambda n, x: functional.interpolate(n.conv(x), scale_factor=2, mode="bilinear"),
    "split": lambda n, x: (lambda a, b: torch.cat([b, a.relu()], 1))(*n.conv(x).split(4, 1)),
    "matmul": lambda n, x: n.conv(x).flatten(2) @ n.conv(x).flatten(2).transpose(1, 2),
    "lone_norm": lambda n, x: n.norm(functional.max_pool2d(n.conv(x), 2)),
    "softmax": lambda n, x: n.fc(n.conv(x).mean((2, 3))).softmax(-1),
    "stack": lambda n, x: torch.stack([n.conv(x).relu(), n.norm(n.conv(x))], 1).flatten(1, 2),
    "attention": lambda n, x: functional.scaled_dot_product_attention(*[n.conv(x).flatten(2)] * 3),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_quantised_network_stays_close_to_float(name):
    module = Net(NETWORKS[name]).eval()
    model = quantised(module, 3, 10, 10)
    x = -2.0 + 4.0 * torch.rand(16, 3, 10, 10, generator=torch.Generator().manual_seed(6))
    with torch.no_grad():
        expected = module(x)
    measured = sqnr(expected, model(x))
    assert measured > 24.0, f"{name}: {measured:.1f} dB"
    assert abs(measured - model.output_sqnr) < 4.0


class Sequence(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv = nn.Conv1d(4, 6, 5, stride=2, padding=2)
        self.norm = nn.BatchNorm1d(6)
        self.up = nn.ConvTranspose2d(6, 3, 3, stride=2)
        self.slope = nn.PReLU(6)
        self.fc = nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(6), nn.LeakyReLU())

    def forward(self, x):
        y = self.slope(self.norm(self.conv(x)))
        return self.fc(y), self.up(y[..., None, :])


def test_sequences_transposed_convolutions_and_several_outputs():
    module = Sequence().eval()
    inputs = torch.randn(48, 4, 14, generator=torch.Generator().manual_seed(3))
    model = pienn.quantize(module, inputs)
    with torch.no_grad():
        for expected, measured in zip(module(inputs[:8]), model(inputs[:8])):
            assert sqnr(expected, measured) > 25.0


def test_tiny_weights_and_large_biases_still_fit_the_integers():
    """Channels whose weights are 2^-40 of the others, and a bias of 2^30 units, must not leave 32 bits."""
    module = Net(lambda n, x: n.conv(x))
    with torch.no_grad():
        module.conv.weight[0] *= 2.0**-40
        module.conv.weight[1] = 0.0
        module.conv.weight[2] *= 2.0**-34
        module.conv.bias[1:3] = torch.tensor([3.0, -1.5])
    x = torch.randn(32, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    model = pienn.quantize(module.eval(), x)
    with torch.no_grad():
        assert sqnr(module(x), model(x)) > 30.0


def test_the_users_module_is_not_changed():
    module = Net(lambda n, x: n.norm(n.conv(x)).relu()).eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    pienn.quantize(module, torch.randn(32, 3, 8, 8), bias_correction=True)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


def test_training_mode_is_refused():
    with pytest.raises(PiennError, match=r"eval\(\)"):
        pienn.quantize(Net(lambda n, x: n.conv(x)).train(), torch.randn(4, 3, 8, 8))


def test_weights_that_depend_on_the_input_are_refused():
    module = Net(lambda n, x: functional.linear(x.flatten(2), x.flatten(2)[0]))
    with pytest.raises(PiennError, match="weight"):
        quantised(module, 3, 4, 4)
