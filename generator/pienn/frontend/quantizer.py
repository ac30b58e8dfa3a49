"""Where int8 stands in a captured graph: the annotations that PT2E turns into observers.

`Pow2Quantizer` follows what `pienn.frontend.reading` accepts: every operator that computes has int8
operands and an int8 result; a relu-like clamp directly behind it is fused, so that only the clamped value
is quantised; operators that only move elements share the encoding of their operand.
"""

from __future__ import annotations

import torch
from torch.fx import GraphModule, Node

from pienn.errors import PiennError
from pienn.frontend.observers import ActivationObserver, WeightObserver
from pienn.frontend.pt2e import (
    ANNOTATION,
    QuantizationAnnotation,
    QuantizationSpec,
    Quantizer,
    SharedQuantizationSpec,
)

WEIGHTED = {"conv1d": 0, "conv2d": 0, "conv_transpose1d": 1, "conv_transpose2d": 1, "linear": 0}
"""Operators with a weight, and the axis of the weight that holds their output channels."""

CLAMPS = frozenset({"relu", "relu6", "hardtanh", "clamp", "clamp_min", "clamp_max"})

PRODUCTS = frozenset({"matmul", "bmm", "mm"})

JOINS = frozenset({"cat", "concat", "stack"})

SOFTMAX = frozenset({"softmax", "_softmax"})

ELEMENTWISE = frozenset({"add", "sub", "rsub", "mul", "div"})

TABLES_NEVER_NEGATIVE = frozenset(
    {"sigmoid", "hardsigmoid", "abs", "exp", "softplus", "square", "sqrt", "rsqrt"}
)

AVERAGES = frozenset(
    {
        "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "_adaptive_avg_pool2d",
        "mean", "upsample_bilinear2d",
    }
)  # fmt: skip

MOVES = frozenset(
    {
        "max_pool1d", "max_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d", "flatten", "view",
        "reshape", "_unsafe_view", "permute", "transpose", "t", "numpy_T", "movedim", "moveaxis", "swapaxes",
        "squeeze", "unsqueeze", "unflatten", "slice", "select", "narrow", "getitem", "pad",
        "constant_pad_nd", "upsample_nearest1d", "upsample_nearest2d", "expand", "pixel_shuffle",
        "pixel_unshuffle", "channel_shuffle", "dropout", "feature_dropout", "clone", "contiguous", "alias",
        "identity", "detach", "detach_", "lift_fresh_copy", "view_as", "to", "_to_copy",
    }
)  # fmt: skip
"""Operators whose result holds elements of their first operand (padding: and one constant)."""

LISTS = frozenset({"split", "split_with_sizes", "chunk", "unbind", "tensor_split"})


def operator_name(node: Node) -> str:
    """`conv2d` for aten.conv2d.default; `getitem` for the reading of one result of several; else ''."""
    if node.op != "call_function":
        return ""
    schema = getattr(node.target, "_schema", None)
    if schema is not None:
        return schema.name.split("::")[1]
    return str(getattr(node.target, "__name__", ""))


def layer_name(node: Node) -> str:
    """The module path that the node came from, or the node's own name."""
    stack = node.meta.get("nn_module_stack")
    path = list(stack.values())[-1][0] if stack else ""
    return path or node.name


def activations(model: GraphModule) -> set[Node]:
    """All nodes that depend on a placeholder and hold floating-point tensors, or lists of them."""
    found: set[Node] = set()
    for node in model.graph.nodes:
        value = node.meta.get("val")
        if node.op == "placeholder" and isinstance(value, torch.Tensor) and value.is_floating_point():
            found.add(node)
        elif node.op == "call_function" and any(n in found for n in node.all_input_nodes):
            if isinstance(value, torch.Tensor):
                if value.is_floating_point():
                    found.add(node)
            elif isinstance(value, (list, tuple)):
                found.add(node)
    return found


def activation_tensors(model: GraphModule) -> list[Node]:
    """The nodes of a captured or prepared graph that make one float tensor each from the inputs."""
    tensors = []
    for node in model.graph.nodes:
        value = node.meta.get("val")
        made = node.op == "placeholder" or (node.op == "call_function" and node.all_input_nodes)
        if made and isinstance(value, torch.Tensor) and value.dim() and value.is_floating_point():
            tensors.append(node)
    return tensors


def fused_clamp(node: Node) -> Node | None:
    """The relu-like clamp that is the only reader of a computing operator's result."""
    name = operator_name(node)
    if name in WEIGHTED or name in ELEMENTWISE or name in PRODUCTS:
        users = list(node.users)
        if len(users) == 1 and operator_name(users[0]) in CLAMPS:
            return users[0]
    return None


def _number(node: Node, position: int, default: float) -> float:
    value = node.args[position] if len(node.args) > position else default
    return float(value) if isinstance(value, (int, float)) else default


def never_negative(node: Node, known: dict[Node, bool]) -> bool:
    """Whether the operator's kind excludes negative results, given the same about earlier nodes."""
    name = operator_name(node)
    operands = [known.get(n, False) for n in node.all_input_nodes if n in known]
    if (
        node.op == "placeholder"
        or name in ("relu", "relu6")
        or name in SOFTMAX
        or name in TABLES_NEVER_NEGATIVE
    ):
        return True
    if name in ("hardtanh", "clamp", "clamp_min"):
        low = _number(node, 1, -1.0 if name == "hardtanh" else float("-inf"))
        return low >= 0.0 or (bool(operands) and operands[0] and name != "hardtanh")
    if name in ("pad", "constant_pad_nd"):
        value = node.args[3] if name == "pad" and len(node.args) > 3 else None
        value = node.args[2] if name == "constant_pad_nd" and len(node.args) > 2 else value
        return operands[0] and (value is None or (isinstance(value, (int, float)) and value >= 0))
    if name in ("add", "mul"):
        scalars = [a for a in node.args if isinstance(a, (int, float))]
        tensors = [a for a in node.args if isinstance(a, Node)]
        return all(known.get(t, False) for t in tensors) and all(s >= 0 for s in scalars)
    if name in MOVES or name in AVERAGES or name in LISTS or name in JOINS or name == "clamp_max":
        return bool(operands) and all(operands)
    return False


class _Groups:
    """Union-find over nodes; the representative is the member that comes first in the graph."""

    def __init__(self, order: dict[Node, int]) -> None:
        self._order = order
        self._parent: dict[Node, Node] = {}

    def find(self, node: Node) -> Node:
        while node in self._parent:
            node = self._parent[node]
        return node

    def join(self, a: Node, b: Node) -> None:
        a, b = self.find(a), self.find(b)
        if a is not b:
            first, second = (a, b) if self._order[a] < self._order[b] else (b, a)
            self._parent[second] = first


class Pow2Quantizer(Quantizer):
    """Annotates activations with `ActivationObserver` and weights with `WeightObserver`.

    `concat`: "shared" gives operands and result of a concatenation one encoding (no arithmetic at run
    time), "own" gives each its own (a requantisation per operand). Softmax keeps its fixed encoding 2^-8,
    zero point -128 and is never shared.
    """

    def __init__(self, concat: str = "shared") -> None:
        if concat not in ("shared", "own"):
            raise PiennError(f"concat must be 'shared' or 'own', not {concat!r}")
        self.concat = concat

    def transform_for_annotation(self, model: GraphModule) -> GraphModule:
        return model

    def annotate(self, model: GraphModule) -> GraphModule:
        floats = activations(model)
        order = {node: i for i, node in enumerate(model.graph.nodes)}
        groups = _Groups(order)
        quantised: list[Node] = []
        known: dict[Node, bool] = {}
        for node in model.graph.nodes:
            if node not in floats:
                continue
            known[node] = never_negative(node, known)
            name = operator_name(node)
            if name in LISTS or not node.users or fused_clamp(node) is not None:
                continue
            quantised.append(node)
            source = self._shares_with(node, name, floats)
            if source is not None:
                groups.join(source, node)
            if name in JOINS and self.concat == "shared":
                for operand in node.all_input_nodes:
                    if operator_name(groups.find(operand)) not in SOFTMAX:
                        groups.join(operand, node)
        members: dict[Node, list[Node]] = {}
        for node in quantised:
            members.setdefault(groups.find(node), []).append(node)
        for first, nodes in members.items():
            positive = all(known[n] for n in nodes)
            fixed = -8 if operator_name(first) in SOFTMAX else None
            spec = QuantizationSpec(
                dtype=torch.int8,
                quant_min=-128,
                quant_max=127,
                qscheme=torch.per_tensor_affine,
                observer_or_fake_quant_ctr=ActivationObserver.with_args(never_negative=positive, fixed=fixed),
            )
            for node in nodes:
                shared = spec if node is first else SharedQuantizationSpec(first)
                node.meta[ANNOTATION] = QuantizationAnnotation(output_qspec=shared, _annotated=True)
        self._annotate_weights(model, floats)
        return model

    @staticmethod
    def _shares_with(node: Node, name: str, floats: set[Node]) -> Node | None:
        if name not in MOVES:
            return None
        source = node.args[0]
        while isinstance(source, Node) and operator_name(source) in LISTS:
            source = source.args[0]
        return source if isinstance(source, Node) and source in floats else None

    @staticmethod
    def _annotate_weights(model: GraphModule, floats: set[Node]) -> None:
        for node in model.graph.nodes:
            axis = WEIGHTED.get(operator_name(node))
            if axis is None or node not in floats:
                continue
            weight = node.args[1]
            if not isinstance(weight, Node) or weight in floats:
                raise PiennError(
                    f"{layer_name(node)}: {operator_name(node)} with a weight that is computed from the input; "
                    "weights must be constants"
                )
            spec = QuantizationSpec(
                dtype=torch.int8,
                quant_min=-127,
                quant_max=127,
                qscheme=torch.per_channel_symmetric,
                ch_axis=axis,
                observer_or_fake_quant_ctr=WeightObserver.with_args(axis=axis),
            )
            annotation = node.meta.setdefault(ANNOTATION, QuantizationAnnotation(_annotated=True))
            annotation.input_qspec_map[weight] = spec

    def validate(self, model: GraphModule) -> None:
        """Nothing further: what is not supported is refused, with its place, when the program is read."""
