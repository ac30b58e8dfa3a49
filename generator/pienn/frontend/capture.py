"""From a torch module to the float graph that quantisation starts from, and from its converted form to a program.

`capture` exports with a dynamic batch axis and normalises: batch norms folded or turned into depthwise
convolutions, no-ops removed, in-place operators made functional. Weights that hold NaN or infinity are refused.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch.fx import GraphModule, Node

from pienn.errors import PiennError
from pienn.frontend.attention import write_out_attention
from pienn.frontend.exported import check_inputs, check_weights, is_bookkeeping, layer_of, unsupported
from pienn.frontend.reading import handler_of

aten = torch.ops.aten

NOTHING = {
    aten.dropout.default,
    aten.feature_dropout.default,
    aten.alias.default,
    aten.detach.default,
    aten.contiguous.default,
    aten.clone.default,
    aten.lift_fresh_copy.default,
}
"""Operators that the normalised graph does without."""

OUTPUT_AXIS = {
    aten.conv1d.default: 0,
    aten.conv2d.default: 0,
    aten.conv1d.padding: 0,
    aten.conv2d.padding: 0,
    aten.linear.default: 0,
    aten.conv_transpose1d.default: 1,
    aten.conv_transpose2d.input: 1,
}
"""Operators that a batch norm folds into, and the axis of the weight that holds the output channels."""


def capture(module: torch.nn.Module, example: Sequence[torch.Tensor]) -> GraphModule:
    """The normalised float graph of a module; `example`: inputs with batch axis, any batch size."""
    check_weights(module)
    module = module.eval() if not module.training else copy.deepcopy(module).eval()
    pairs = tuple(tensor if len(tensor) > 1 else torch.cat([tensor, tensor]) for tensor in example)
    return capture_program(_exported(module, pairs))


def capture_program(program: torch.export.ExportedProgram) -> GraphModule:
    """The normalised float graph of an exported program with a dynamic batch axis, or with batch 1."""
    check_weights(program.state_dict)
    check_inputs(program)
    graph = program.module()
    assert isinstance(graph, GraphModule)
    _make_functional(graph)
    for node in list(graph.graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph.graph.erase_node(node)
        elif node.op == "call_function" and node.target in NOTHING:
            node.replace_all_uses_with(node.args[0])
            graph.graph.erase_node(node)
        elif node.op == "call_function" and node.target is aten.view.default:
            node.target = aten.reshape.default  # a view may have relied on a copy that is gone now
    for node in list(graph.graph.nodes):
        if node.op == "call_function" and node.target is aten.batch_norm.default:
            _replace_batch_norm(graph, node)
        elif node.op == "call_function" and node.target is aten.scaled_dot_product_attention.default:
            write_out_attention(graph, node)
    graph.graph.eliminate_dead_code()
    _check_operators(graph)
    graph.recompile()
    return graph


def freeze(converted: torch.nn.Module, example: Sequence[torch.Tensor]) -> torch.export.ExportedProgram:
    """A converted (quantised) graph as a program with dynamic batch; `example` as for `capture`."""
    pairs = tuple(tensor if len(tensor) > 1 else torch.cat([tensor, tensor]) for tensor in example)
    return _exported(converted, pairs)


def _exported(module: torch.nn.Module, example: tuple[torch.Tensor, ...]) -> torch.export.ExportedProgram:
    collection = torch.export.ShapesCollection()
    for tensor in example:
        collection[tensor] = {0: torch.export.Dim.AUTO}
    try:
        shapes = collection.dynamic_shapes(module, example)
        with torch.no_grad():
            return torch.export.export(module, example, dynamic_shapes=shapes)
    except PiennError:
        raise
    except Exception as error:  # torch.export raises many kinds; the first line says what the model did
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise PiennError(f"torch.export cannot capture the model: {reason}") from error


def _check_operators(graph: GraphModule) -> None:
    """Refuse at once what `reading` would refuse after calibration."""
    moving: set[Node] = set()
    for node in graph.graph.nodes:
        if node.op == "placeholder":
            moving.add(node)
        elif (
            node.op == "call_function"
            and not is_bookkeeping(node)
            and moving.intersection(node.all_input_nodes)
        ):
            moving.add(node)
            if handler_of(node) is None:
                raise unsupported(node)


def _make_functional(graph: GraphModule) -> None:
    """Replace in-place operators: who reads the changed tensor later reads the new result instead."""
    order = {node: place for place, node in enumerate(graph.graph.nodes)}
    for node in list(graph.graph.nodes):
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None or not schema.is_mutable:
            continue
        changed = node.args[0]
        packet = getattr(aten, schema.name.split("::")[1].removesuffix("_"), None)
        functional = getattr(packet, schema.overload_name or "default", None)
        if functional is None or functional is node.target or not isinstance(changed, Node):
            raise PiennError(f"{layer_of(node)}: the in-place operator {node.target} is not supported")
        if changed.op == "get_attr":
            raise PiennError(
                f"{changed.target}: the model changes this buffer as it runs: models have no state here"
            )
        stale = [
            alias
            for alias in _aliases(changed, node, order)
            if any(order[user] > order[node] for user in alias.users)
        ]
        if stale:
            raise PiennError(
                f"{layer_of(node)}: {node.target} changes a part of a tensor that is read again: copy it first"
            )
        node.target = functional
        for user in list(changed.users):
            if order[user] > order[node]:
                user.replace_input_with(changed, node)


def _aliases(changed: Node, change: Node, order: dict[Node, int]) -> set[Node]:
    """The other tensors that share memory with a changed one: those it is a view of, and the views of them."""

    def is_view(candidate: Node) -> bool:
        schema = getattr(candidate.target, "_schema", None)
        return schema is not None and any(result.alias_info is not None for result in schema.returns)

    base = changed
    while is_view(base) and isinstance(base.args[0], Node):
        base = base.args[0]
    family = {base}
    waiting = [base]
    while waiting:
        for user in waiting.pop().users:
            if is_view(user) and order[user] < order[change] and user not in family:
                family.add(user)
                waiting.append(user)
    return family - {changed}


def _tensor(graph: GraphModule, node: Any) -> torch.Tensor | None:
    """The parameter or buffer behind a get_attr node."""
    if not isinstance(node, Node) or node.op != "get_attr":
        return None
    found: Any = graph
    for part in str(node.target).split("."):
        found = getattr(found, part)
    return found.detach()


def _replace_batch_norm(graph: GraphModule, node: Node) -> None:
    """Fold into the convolution or linear before, else make it a depthwise 1x1 convolution, or a product and a sum."""
    x, gamma, beta, mean, variance, training, _, epsilon = (
        cast("Any", node.args[place]) for place in range(8)
    )
    if training:
        raise PiennError(f"{layer_of(node)}: batch norm is in training mode: call .eval() before export")
    running_mean, running_variance = _tensor(graph, mean), _tensor(graph, variance)
    if running_mean is None or running_variance is None or not isinstance(x, Node):
        raise PiennError(f"{layer_of(node)}: batch norm without running statistics is not supported")
    scale = torch.rsqrt(running_variance.double() + float(epsilon))  # type: ignore[arg-type]
    weight, bias = _tensor(graph, gamma), _tensor(graph, beta)
    scale = scale if weight is None else scale * weight.double()
    shift = (0.0 if bias is None else bias.double()) - running_mean.double() * scale
    if not _folded(graph, node, x, scale, shift):
        _standalone(graph, node, x, scale, shift)
    graph.graph.erase_node(node)


def _folded(graph: GraphModule, node: Node, x: Node, scale: torch.Tensor, shift: torch.Tensor) -> bool:
    arguments: list[Any] = list(x.args)
    axis = OUTPUT_AXIS.get(x.target)  # type: ignore[arg-type]
    weight = _tensor(graph, arguments[1]) if axis is not None else None
    grouped = axis == 1 and len(arguments) > 6 and arguments[6] != 1
    if weight is None or len(x.users) != 1 or grouped or weight.shape[axis or 0] != len(scale):
        return False
    if x.target is aten.linear.default and x.meta["val"].dim() != 2:
        return False
    old_bias = _tensor(graph, arguments[2]) if len(arguments) > 2 and arguments[2] is not None else None
    if len(arguments) > 2 and arguments[2] is not None and old_bias is None:
        return False
    assert axis is not None
    view = [1] * weight.dim()
    view[axis] = -1
    new_weight = (weight.double() * scale.reshape(view)).to(weight.dtype)
    new_bias = shift if old_bias is None else shift + old_bias.double() * scale
    source = str(arguments[1].target)
    with graph.graph.inserting_before(x):
        weight_node = _attribute(graph, f"{source}_folded", new_weight)
        bias_node = _attribute(graph, f"{source}_bias_folded", new_bias.to(weight.dtype))
    x.args = (arguments[0], weight_node, bias_node, *arguments[3:])
    node.replace_all_uses_with(x)
    return True


def _standalone(graph: GraphModule, node: Node, x: Node, scale: torch.Tensor, shift: torch.Tensor) -> None:
    rank = node.meta["val"].dim() - 2
    channels = len(scale)
    name = node.name
    with graph.graph.inserting_before(node):
        if rank in (1, 2):
            weight = _attribute(graph, f"{name}_weight", scale.float().reshape(channels, *(1,) * (rank + 1)))
            bias = _attribute(graph, f"{name}_bias", shift.float())
            target = aten.conv1d.default if rank == 1 else aten.conv2d.default
            arguments = (x, weight, bias, [1] * rank, [0] * rank, [1] * rank, channels)
            result = graph.graph.call_function(target, arguments)
            result.meta = dict(node.meta)
        elif rank == 0:
            factor = _attribute(graph, f"{name}_scale", scale.float())
            summand = _attribute(graph, f"{name}_shift", shift.float())
            product = graph.graph.call_function(aten.mul.Tensor, (x, factor))
            result = graph.graph.call_function(aten.add.Tensor, (product, summand))
            product.meta, result.meta = dict(node.meta), dict(node.meta)
        else:
            raise PiennError(f"{layer_of(node)}: batch norm over {rank + 2} axes is not supported")
    node.replace_all_uses_with(result)


def _attribute(graph: GraphModule, name: str, tensor: torch.Tensor) -> Node:
    """A new buffer and the node that reads it; the buffer lives in the submodule that its dotted name says."""
    owner: Any = graph
    *folders, last = name.split(".")
    for folder in folders:
        owner = getattr(owner, folder)
    number, free = 1, last
    while hasattr(owner, free):
        number += 1
        free = f"{last}_{number}"
    owner.register_buffer(free, tensor)
    node = graph.graph.get_attr(".".join([*folders, free]))
    fake = next(
        (n.meta["val"] for n in graph.graph.nodes if isinstance(n.meta.get("val"), torch.Tensor)), None
    )
    if fake is not None and hasattr(fake, "fake_mode"):
        node.meta["val"] = fake.fake_mode.from_tensor(tensor, static_shapes=True)
    return node
