"""Scaled dot-product attention, written out as the matrix products and the softmax that quantisation works on."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch.fx import GraphModule, Node

from pienn.frontend.exported import refusal

aten = torch.ops.aten


def write_out_attention(graph: GraphModule, node: Node) -> None:
    """softmax(scale * q @ k^T + mask) @ v, the scale applied to q; causal or random masks are refused."""
    query, key, value = (cast("Node", node.args[place]) for place in range(3))
    mask, dropout, causal = (
        node.args[place] if len(node.args) > place else node.kwargs.get(name)
        for place, name in ((3, "attn_mask"), (4, "dropout_p"), (5, "is_causal"))
    )
    if causal or dropout or node.kwargs.get("enable_gqa"):
        raise refusal(node, "causal masks, dropout and grouped queries are not supported")
    given = node.kwargs.get("scale")
    scale = float(given) if isinstance(given, (int, float)) else 1 / math.sqrt(query.meta["val"].shape[-1])

    def call(target: Any, *operands: Any) -> Node:
        result = graph.graph.call_function(target, operands)
        result.meta = {key: item for key, item in node.meta.items() if key != "val"}
        values = [operand.meta["val"] if isinstance(operand, Node) else operand for operand in operands]
        result.meta["val"] = target(*values)
        return result

    with graph.graph.inserting_before(node):
        scaled = call(aten.mul.Tensor, query, scale)
        scores = call(aten.matmul.default, scaled, call(aten.transpose.int, key, -2, -1))
        if isinstance(mask, Node):
            scores = call(aten.add.Tensor, scores, mask)
        weights = call(aten.softmax.int, scores, -1)
        result = call(aten.matmul.default, weights, value)
    node.replace_all_uses_with(result)
    graph.graph.erase_node(node)
