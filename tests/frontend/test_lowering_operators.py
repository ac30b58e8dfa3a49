"""Each operator through the whole front end: near the float module, and oracle equal to the graph in every element."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from agreement import check_equal, rails, signal_to_noise
from simple_quantizer import NarrowActivations, lowered
from torch import nn
from torch.nn import functional as F

Shape = tuple[int, ...]
Images = [(6, 9, 7)]
Pair = [(6, 9, 7), (6, 9, 7)]


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


class Scaled(nn.Module):
    """Arithmetic with constant tensors of a module."""

    def __init__(self, shape: Shape, function: Callable) -> None:
        super().__init__()
        self.register_buffer("constant", torch.randn(shape) + 0.5)
        self.function = function

    def forward(self, x):
        return self.function(x, self.constant)


class Attention(nn.Module):
    """Self-attention over (N, T, C), written out; the batch axis never moves."""

    def __init__(self, width: int, heads: int, fused: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.fused = fused
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        n, t, c = x.shape
        q, k, v = (
            part.reshape(n, t, self.heads, c // self.heads).transpose(1, 2)
            for part in self.qkv(x).chunk(3, -1)
        )
        if self.fused:
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            mixed = torch.softmax(q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5, -1) @ v
        return self.out(mixed.transpose(1, 2).reshape(n, t, c))


class Merged(nn.Module):
    """Linears over (N * T, C)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(12, 9)
        self.second = nn.Linear(9, 4)

    def forward(self, x):
        n, t, c = x.shape
        return self.second(F.silu(self.first(x.reshape(-1, c)) + 0.25)).view(n, t, -1)


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, 4, 1)
        self.second = nn.Conv2d(4, channels, 1)

    def forward(self, x):
        scale = self.second(F.relu(self.first(x.mean((2, 3), keepdim=True))))
        return x * F.hardsigmoid(scale)


class Case(NamedTuple):
    make: Callable[[], nn.Module]
    shapes: Sequence[Shape]
    floor: float = 22.0
    """SQNR in dB that the quantised module must reach."""


def function(made: Callable, shapes: Sequence[Shape] = tuple(Images), floor: float = 22.0) -> Case:
    return Case(lambda: Function(made), shapes, floor)


def layers(*made: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*(make() for make in made))


CASES: dict[str, Case] = {
    "conv_stride_pad": Case(lambda: nn.Conv2d(6, 5, (3, 2), (2, 1), (1, 2)), Images),
    "conv_dilated_groups": Case(lambda: nn.Conv2d(6, 9, 3, padding=2, dilation=2, groups=3), Images),
    "conv_same_even_kernel": Case(lambda: nn.Conv2d(6, 5, (4, 2), padding="same", dilation=(1, 2)), Images),
    "conv_valid": Case(lambda: nn.Conv2d(6, 5, 3, padding="valid", bias=False), Images),
    "conv_depthwise_multiplier": Case(lambda: nn.Conv2d(6, 12, 3, groups=6), Images),
    "conv1d": Case(lambda: nn.Conv1d(5, 7, 4, 2, 3, 2), [(5, 31)]),
    "conv1d_same_depthwise": Case(lambda: nn.Conv1d(5, 5, 4, padding="same", groups=5), [(5, 13)]),
    "conv_transpose": Case(lambda: nn.ConvTranspose2d(6, 4, 3, 2, 1, 1), Images),
    "conv_transpose_groups": Case(
        lambda: nn.ConvTranspose2d(6, 4, (2, 4), (3, 2), (0, 1), (1, 0), 2, dilation=(2, 1)), Images
    ),
    "conv_transpose1d": Case(lambda: nn.ConvTranspose1d(5, 6, 4, 2, 1), [(5, 11)]),
    "conv_zero_pad": Case(layers(lambda: nn.ZeroPad2d((0, 1, 2, 3)), lambda: nn.Conv2d(6, 4, 3, 2)), Images),
    "conv_crop": Case(layers(lambda: nn.ZeroPad2d((-1, 1, 2, -3)), lambda: nn.Conv2d(6, 4, 3)), Images),
    "conv_norm_relu": Case(
        layers(lambda: nn.Conv2d(6, 8, 3, bias=False), lambda: nn.BatchNorm2d(8), nn.ReLU), Images
    ),
    "conv1d_norm_relu6": Case(
        layers(lambda: nn.Conv1d(6, 8, 3), lambda: nn.BatchNorm1d(8), nn.ReLU6), [(6, 20)], 18.0
    ),
    "conv_transpose_norm": Case(
        layers(lambda: nn.ConvTranspose2d(6, 8, 3), lambda: nn.BatchNorm2d(8)), Images
    ),
    "norm_alone": Case(layers(lambda: nn.BatchNorm2d(6), nn.ReLU), Images),
    "norm_alone_1d": Case(layers(lambda: nn.BatchNorm1d(6), nn.ReLU), [(6, 8)]),
    "norm_of_vector": Case(layers(lambda: nn.BatchNorm1d(12)), [(12,)]),
    "linear_norm": Case(layers(lambda: nn.Linear(12, 9), lambda: nn.BatchNorm1d(9), nn.ReLU), [(12,)]),
    "linear_of_sequence": Case(lambda: nn.Linear(12, 9), [(5, 12)]),
    "linear_of_image": Case(lambda: nn.Linear(7, 9), Images),
    "flatten_linear": Case(
        layers(lambda: nn.Conv2d(6, 5, 3), nn.ReLU, nn.Flatten, lambda: nn.Linear(175, 11)), Images
    ),
    "flatten_relu_linear": Case(
        layers(lambda: nn.MaxPool2d(2), nn.Flatten, nn.Sigmoid, lambda: nn.Linear(72, 11)), Images
    ),
    "flatten_output": Case(layers(lambda: nn.Conv2d(6, 5, 3), nn.Flatten), Images),
    "flatten_1d": Case(
        layers(lambda: nn.Conv1d(6, 5, 3), lambda: nn.Flatten(1), lambda: nn.Linear(90, 4)), [(6, 20)]
    ),
    "add_relu": function(lambda a, b: F.relu(a + b), Pair),
    "sub_clamp": function(lambda a, b: torch.clamp(a - 3 * b, -2.5, 3.0), Pair, 18.0),
    "mul": function(lambda a, b: a * b, Pair, 18.0),
    "mul_scalars": function(lambda a: (a * 0.3 + 1.7) / 3, Images),
    "tiny_constant": function(lambda a: F.relu(a + 1e-9) * 1e9 - 3.0, Images),
    "scalar_minus": function(lambda a: 1.0 - a, Images),
    "far_apart": function(lambda a, b: a * 1e-7 + b * 1e5, Pair),
    "add_constant_channel": Case(lambda: Scaled((6, 1, 1), lambda x, c: F.relu(x + c)), Images),
    "mul_constant_whole": Case(lambda: Scaled((1, 6, 9, 7), lambda x, c: x * c), Images, 20.0),
    "constant_minus": Case(lambda: Scaled((7,), lambda x, c: c - x), Images),
    "matmul_constant": Case(lambda: Scaled((7, 4), lambda x, c: x @ c), Images),
    "mul_channel_activation": function(lambda a, b: a * b, [(6, 9, 7), (6, 1, 1)], 18.0),
    "mul_plane_activation": function(lambda a, b: a * b, [(1, 9, 7), (6, 9, 7)], 18.0),
    "mul_outer": function(lambda a, b: a * b, [(6, 1, 7), (1, 9, 1)], 18.0),
    "same_twice": function(lambda a: a * a + a, Images, 20.0),
    "relu_first": function(lambda a: F.relu(a).reshape(6, -1) if a.dim() == 3 else F.relu(a), Images),
    "relu6": function(lambda a: F.relu6(3 * a), Images, 18.0),
    "hardtanh": function(F.hardtanh, Images, 18.0),
    "leaky_relu": function(lambda a: F.leaky_relu(a, 0.1), Images),
    "prelu": Case(lambda: nn.PReLU(6, 0.2), Images),
    "prelu_shared": Case(layers(lambda: nn.PReLU(), lambda: nn.Conv2d(6, 3, 1)), Images),
    "sigmoid_tanh": function(lambda a: torch.tanh(a) + torch.sigmoid(a), Images),
    "hard_functions": function(lambda a: F.hardsigmoid(a) * F.hardswish(a), Images, 18.0),
    "silu_gelu": function(lambda a: F.silu(a) - F.gelu(a, approximate="tanh"), Images, 8.0),
    "table_then_relu": function(lambda a: F.relu(torch.tanh(a)), Images),
    "exp_abs_neg": function(lambda a: torch.exp(-torch.abs(a)), Images),
    "softplus_mish_elu": function(lambda a: F.softplus(a) + F.mish(a) + F.elu(a), Images, 18.0),
    "square": function(lambda a: a**2, Images, 18.0),
    "softmax_channels": function(lambda a: torch.softmax(a, 1), Images),
    "softmax_width": function(lambda a: torch.softmax(a, -1), Images),
    "softmax_vector": Case(layers(lambda: nn.Linear(12, 9), lambda: nn.Softmax(-1)), [(12,)]),
    "max_pool": Case(lambda: nn.MaxPool2d(3, 2, 1), Images),
    "max_pool_ceil_dilated": Case(lambda: nn.MaxPool2d((2, 3), 2, (0, 1), (2, 1), ceil_mode=True), Images),
    "max_pool1d": Case(lambda: nn.MaxPool1d(3, 2, 1), [(5, 14)]),
    "adaptive_max_pool": Case(lambda: nn.AdaptiveMaxPool2d((3, 1)), Images),
    "avg_pool_pad": Case(lambda: nn.AvgPool2d(3, 2, 1), Images),
    "avg_pool_ceil": Case(lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True), Images),
    "avg_pool_exclude_ceil": Case(
        lambda: nn.AvgPool2d((2, 3), (3, 2), (1, 1), ceil_mode=True, count_include_pad=False), Images
    ),
    "avg_pool_divisor": Case(lambda: nn.AvgPool2d(2, 3, 1, divisor_override=3), Images),
    "avg_pool1d": Case(lambda: nn.AvgPool1d(3, 2, 1, ceil_mode=True), [(5, 14)]),
    "adaptive_avg_pool": Case(
        layers(lambda: nn.AdaptiveAvgPool2d(1), nn.Flatten, lambda: nn.Linear(6, 4)), Images
    ),
    "adaptive_avg_pool_3": Case(lambda: nn.AdaptiveAvgPool2d((3, 7)), Images),
    "mean_plane": function(lambda a: a.mean((2, 3)), Images),
    "mean_height": function(lambda a: a.mean(2, keepdim=True), Images),
    "mean_channels": function(lambda a: a.mean(1), Images),
    "mean_channels_height": function(lambda a: a.mean((1, 2)), Images),
    "mean_conv_channels_width": Case(
        layers(lambda: nn.Conv2d(6, 4, 3), lambda: Function(lambda a: a.mean((1, 3)))), Images
    ),
    "mean_of_sequence": Case(
        layers(lambda: nn.Linear(12, 8), lambda: Function(lambda a: a.mean(1)), lambda: nn.Linear(8, 3)),
        [(5, 12)],
    ),
    "concat": function(lambda a, b: torch.cat([a, F.relu(b), a], 1), Pair),
    "concat_conv_height": Case(
        lambda: Function(lambda a, b: torch.cat([F.max_pool2d(a, 2), F.max_pool2d(b, 2)], 2)), Pair
    ),
    "stack": function(lambda a, b: torch.stack([a, b], 2), [(6, 7), (6, 7)]),
    "split": function(lambda a: a.split((2, 1, 3), 1)[2] - a.split((2, 1, 3), 1)[0][:, :1], Images, 20.0),
    "chunk": function(lambda a: a.chunk(2, 1)[0] * a.chunk(2, 1)[1], Images, 18.0),
    "slices": function(lambda a: a[:, 1:5, ::2, -3:], Images),
    "narrow_select": function(lambda a: a.narrow(2, 1, 4).select(3, -1), Images),
    "pads": function(lambda a: F.pad(a, (1, 2, 0, 3, 1, 0), value=0.75), Images),
    "pad_conv": Case(
        layers(lambda: nn.Conv2d(6, 4, 3), lambda: nn.ConstantPad2d((1, 0, 2, 1), -0.5)), Images
    ),
    "reshapes": function(
        lambda a: a.reshape(-1, 3, 2, 63).permute(0, 3, 1, 2).flatten(2).unsqueeze(1), Images
    ),
    "squeezes": function(lambda a: a.mean(1, keepdim=True).squeeze(1).unsqueeze(-1), Images),
    "transposed_conv_output": Case(
        layers(
            lambda: nn.Conv2d(6, 4, 3),
            lambda: Function(lambda a: a.permute(0, 2, 3, 1)),
            lambda: nn.Linear(4, 5),
        ),
        Images,
    ),
    "odd_reshape": Case(
        layers(
            lambda: nn.Conv2d(6, 4, 3),
            lambda: Function(lambda a: a.reshape(a.shape[0], 5, 4, 7)),
            lambda: nn.Conv2d(5, 3, 1),
        ),
        Images,
    ),
    "channel_shuffle": Case(
        layers(lambda: nn.Conv2d(6, 6, 1), lambda: nn.ChannelShuffle(3), lambda: nn.Conv2d(6, 3, 1)), Images
    ),
    "pixel_shuffle": Case(layers(lambda: nn.Conv2d(6, 12, 3), lambda: nn.PixelShuffle(2)), Images),
    "pixel_unshuffle": Case(layers(lambda: nn.PixelUnshuffle(2), lambda: nn.Conv2d(24, 3, 1)), [(6, 8, 6)]),
    "nearest": Case(lambda: nn.Upsample(scale_factor=2), Images),
    "nearest_odd": function(lambda a: F.interpolate(a, (13, 4)), Images),
    "nearest_factor": function(lambda a: F.interpolate(a, scale_factor=(1.7, 0.6)), Images),
    "nearest_1d": function(lambda a: F.interpolate(a, scale_factor=3.0), [(5, 6)]),
    "bilinear": function(lambda a: F.interpolate(a, (20, 5), mode="bilinear"), Images),
    "bilinear_corners": function(
        lambda a: F.interpolate(a, (17, 3), mode="bilinear", align_corners=True), Images
    ),
    "bilinear_factor": function(lambda a: F.interpolate(a, scale_factor=2.5, mode="bilinear"), Images),
    "matmul": function(lambda a, b: a @ b, [(5, 12), (12, 7)], 20.0),
    "matmul_transposed": function(
        lambda a, b: F.relu(a @ b.transpose(-2, -1)), [(3, 5, 12), (3, 7, 12)], 20.0
    ),
    "attention": Case(lambda: Attention(12, 3), [(5, 12)], 15.0),
    "attention_of_torch": Case(lambda: Attention(12, 3, fused=True), [(5, 12)], 15.0),
    "merged_batch": Case(lambda: Merged(), [(5, 12)], 20.0),
    "merged_batch_products": function(
        lambda a, b: torch.bmm(
            torch.softmax(a.flatten(0, 1), -1), b.reshape(-1, 8, 5).transpose(1, 2).transpose(1, 2)
        ).reshape(-1, 3, 7, 5),
        [(3, 7, 8), (3, 8, 5)],
    ),
    "squeeze_excite": Case(lambda: SqueezeExcite(6), Images, 18.0),
    "in_place": Case(
        layers(lambda: nn.Conv2d(6, 4, 3), lambda: nn.ReLU(inplace=True), nn.Dropout, nn.Identity), Images
    ),
    "two_outputs": function(lambda a, b: (a + b, F.relu(a) * 2), Pair),
}


def make(name: str) -> tuple[nn.Module, list[torch.Tensor]]:
    torch.manual_seed(sum(map(ord, name)))
    case = CASES[name]
    module = case.make()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.running_mean.normal_()
            part.running_var.uniform_(0.3, 2.0)
            nn.init.uniform_(part.weight, -1.5, 1.5)
            nn.init.normal_(part.bias)
    return module.eval(), [torch.randn(12, *shape) for shape in case.shapes]


@pytest.mark.parametrize("name", CASES)
def test_operator_is_near_the_float_module_and_equal_in_the_graph(name: str) -> None:
    module, calibration = make(name)
    result = lowered(module, calibration)
    outputs = check_equal(result, calibration)
    with torch.no_grad():
        reference = module(*calibration)
    references = reference if isinstance(reference, tuple) else (reference,)
    for index, expected in enumerate(references):
        assert outputs[index].shape == expected.shape
        assert signal_to_noise(expected, outputs[index], result, index) > CASES[name].floor


@pytest.mark.parametrize("name", list(CASES)[::5])
def test_saturating_tensors_are_equal_in_the_graph(name: str) -> None:
    module, calibration = make(name)
    result = lowered(module, calibration, NarrowActivations)
    check_equal(result, [rails(shape, 6) for shape in CASES[name].shapes])


@pytest.mark.parametrize(
    ("module", "shape", "order"),
    [
        (nn.Conv2d(6, 4, 3), (6, 9, 7), (1, 2, 0)),
        (nn.Sequential(nn.ZeroPad2d(1), nn.Sigmoid(), nn.Conv2d(6, 4, 3)), (6, 9, 7), (1, 2, 0)),
        (nn.Conv1d(6, 4, 3), (6, 9), (1, 0)),
        (nn.Linear(9, 4), (6, 9), (0, 1)),
        (nn.Sequential(nn.Flatten(), nn.Linear(54, 4)), (6, 9), (0, 1)),
        (nn.Sequential(nn.Unflatten(1, (6, 1)), nn.Conv2d(6, 4, (1, 3))), (6, 9), (1, 0)),
        (nn.Sequential(Function(lambda x: x.permute(0, 3, 1, 2)), nn.Conv2d(7, 4, 3)), (6, 9, 7), (0, 1, 2)),
        (nn.Sequential(Function(lambda x: x.transpose(1, 2)), nn.Conv1d(9, 4, 3)), (6, 9), (0, 1)),
        (Attention(12, 3), (5, 12), (0, 1)),
    ],
)
def test_inputs_take_the_order_that_their_first_operator_wants(
    module: nn.Module, shape: Shape, order: Shape
) -> None:
    torch.manual_seed(5)
    x = torch.randn(6, *shape)
    result = lowered(module.eval(), [x])
    check_equal(result, [x])
    assert result.graph.inputs[0].permutation == order
    transposes = [op for op in result.graph.layers if op.name == "pienn.transpose"]
    assert len(transposes) == (4 if isinstance(module, Attention) else 0)
