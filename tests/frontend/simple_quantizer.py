"""The least quantizer that makes programs in the accepted pattern: min-max ranges, powers of two rounded up."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
from torch.fx import GraphModule, Node
from torchao.quantization.pt2e import MinMaxObserver, PerChannelMinMaxObserver
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import QuantizationAnnotation, QuantizationSpec, Quantizer

from pienn.frontend.capture import capture, freeze
from pienn.frontend.lowering import Lowered, lower

CLAMPS = ("relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max")
MOVES = (
    "view reshape flatten unflatten squeeze unsqueeze permute transpose slice select narrow split split_with_sizes "
    "chunk unbind pad constant_pad_nd max_pool1d max_pool2d upsample_nearest1d upsample_nearest2d expand "
    "channel_shuffle pixel_shuffle pixel_unshuffle adaptive_max_pool2d movedim"
).split()


class Activations(MinMaxObserver):
    """Zero point -128 where nothing was negative; `slack` widens or narrows the range to make saturation happen."""

    slack = 0

    def _calculate_qparams(self, min_val, max_val):
        low, high = float(min_val), float(max_val)
        if low >= 0:
            exponent = math.ceil(math.log2(max(high, 1e-6) / 255))
            return torch.tensor([2.0 ** (exponent + self.slack)]), torch.tensor([-128])
        exponent = math.ceil(math.log2(max(-low, high) / 127))
        return torch.tensor([2.0 ** (exponent + self.slack)]), torch.tensor([0])


class NarrowActivations(Activations):
    slack = -2


class Channels(PerChannelMinMaxObserver):
    def _calculate_qparams(self, min_val, max_val):
        peak = torch.maximum(max_val.abs(), min_val.abs()).clamp(min=2.0**-30)
        return torch.exp2(torch.ceil(torch.log2(peak / 127))), torch.zeros_like(peak, dtype=torch.int64)


def name_of(node: Node) -> str:
    parts = str(node.target).split(".")
    return parts[1] if len(parts) > 1 else parts[0]


def weight_spec(axis: int) -> QuantizationSpec:
    return QuantizationSpec(
        torch.int8, Channels.with_args(ch_axis=axis), -127, 127, torch.per_channel_symmetric, axis
    )


class SimpleQuantizer(Quantizer):
    """Quantises every operator's inputs and result, but nothing between an operator and its clamp, and no moves."""

    def __init__(self, observer: type[Activations] = Activations) -> None:
        self.activation = QuantizationSpec(
            torch.int8, observer.with_args(), -128, 127, torch.per_tensor_affine
        )

    def annotate(self, model: GraphModule) -> GraphModule:
        for node in model.graph.nodes:
            if node.op == "placeholder":
                node.meta["quantization_annotation"] = QuantizationAnnotation(
                    {}, self.activation, _annotated=True
                )
                continue
            if node.op != "call_function" or name_of(node) in MOVES or "getitem" in str(node.target):
                continue
            name = name_of(node)
            if not isinstance(node.meta.get("val"), torch.Tensor):
                continue
            inputs: dict[Node, QuantizationSpec] = {}
            weighted = name.startswith(("conv", "linear"))
            for index, argument in enumerate(node.args):
                if not isinstance(argument, Node) or (weighted and index == 2):
                    continue
                if weighted and index == 1:
                    inputs[argument] = weight_spec(1 if "transpose" in name else 0)
                elif argument.op != "get_attr" and not (name in CLAMPS and self.fuses(argument)):
                    inputs[argument] = self.activation
            users = list(node.users)
            fused = len(users) == 1 and name_of(users[0]) in CLAMPS and self.fuses(node)
            result = None if fused else self.activation
            node.meta["quantization_annotation"] = QuantizationAnnotation(inputs, result, _annotated=True)
        return model

    @staticmethod
    def fuses(node: Node) -> bool:
        return node.op == "call_function" and name_of(node) not in MOVES and len(node.users) == 1

    def validate(self, model: GraphModule) -> None:
        pass


def converted(
    module: torch.nn.Module, example: Sequence[torch.Tensor], observer: type[Activations] = Activations
) -> torch.export.ExportedProgram:
    """The module, calibrated on `example`, as a q/dq program."""
    prepared = prepare_pt2e(capture(module, example), SimpleQuantizer(observer))
    prepared(*example)
    return freeze(convert_pt2e(prepared), example)


def lowered(
    module: torch.nn.Module, example: Sequence[torch.Tensor], observer: type[Activations] = Activations
) -> Lowered:
    """Oracle and graph of a module."""
    torch.manual_seed(random.randrange(1 << 30))
    return lower(converted(module, example, observer), "net")
