"""What exported programs say about themselves: names of layers, sizes of axes, and whether they can be used at all."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch.fx import Node

from pienn.errors import PiennError

LONGEST_LAYER = 180


def identifier(name: str) -> str:
    """A name in the characters that graph files allow."""
    return re.sub(r"[^A-Za-z0-9_.]", "_", name)[:LONGEST_LAYER]


def layer_of(node: Node) -> str:
    """The path of the module that a node came from; with the operator's name where the module holds several."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = (str(part) for part in stack[-1][:2]) if stack else ("", "")
    operation = str(node.target).split(".")[1] if "." in str(node.target) else node.name
    leaf = "torch.nn.modules" in kind and ".container" not in kind
    return identifier(path if leaf and path else f"{path}.{operation}" if path else operation)


def refusal(node: Node, message: str) -> PiennError:
    """One line that names layer, operator and shape."""
    meta = node.meta.get("val")
    shape = "?"
    if isinstance(meta, torch.Tensor):
        shape = (
            "["
            + ", ".join("batch" if size is None else str(size) for size in map(static_size, meta.shape))
            + "]"
        )
    return PiennError(f"{layer_of(node)}: {node.target} with result {shape}: {message}")


def is_bookkeeping(node: Node) -> bool:
    """Whether a node computes a size or checks one, instead of a tensor."""
    value = node.meta.get("val")
    return isinstance(value, (torch.SymInt, torch.SymBool, int, bool)) or "_assert" in str(node.target)


def unsupported(node: Node) -> PiennError:
    """The refusal of an operator that nothing can read."""
    return refusal(node, "this operator is not supported")


def check_weights(source: torch.nn.Module | dict[str, Any]) -> None:
    """Raise PiennError for a parameter or buffer that holds NaN or infinity."""
    state = source.state_dict() if isinstance(source, torch.nn.Module) else source
    for name, tensor in state.items():
        if (
            isinstance(tensor, torch.Tensor)
            and tensor.is_floating_point()
            and not bool(torch.isfinite(tensor).all())
        ):
            raise PiennError(f"{name}: the weights hold NaN or infinity")


def check_inputs(program: torch.export.ExportedProgram) -> None:
    """Raise PiennError unless every input is a tensor whose axis 0, and no other, is dynamic or of size 1."""
    inputs = set(program.graph_signature.user_inputs)
    for node in program.graph.nodes:
        if node.op != "placeholder" or node.name not in inputs:
            continue
        meta = node.meta.get("val")
        if not isinstance(meta, torch.Tensor) or not meta.dim():
            raise PiennError(f"input {node.name}: only tensors with a batch axis are supported")
        batch, *rest = (static_size(size) for size in meta.shape)
        if batch not in (None, 1):
            raise PiennError(
                f"input {node.name}: the batch size {batch} is baked in: write -1 or x.shape[0] in reshapes, and "
                "export with a dynamic batch axis or with batch 1"
            )
        if None in rest:
            raise PiennError(
                f"input {node.name}: only the batch axis may be dynamic: fix the sizes of the others"
            )


def static_size(size: int | torch.SymInt) -> int | None:
    """The size of an axis, None where it is dynamic; export may hold a fixed size as a symbol with a value."""
    return size if isinstance(size, int) else size.node.maybe_as_int()
