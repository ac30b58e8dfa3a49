"""The passes by name, and the order in which a compiler run applies them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pienn.errors import PiennError
from pienn.ir.graph import Graph
from pienn.ir.verifier import verify
from pienn.passes.absorb_padding import AbsorbPadding
from pienn.passes.common_constants import CommonConstants
from pienn.passes.dead_code import DeadCode
from pienn.passes.eliminate_copies import EliminateCopies
from pienn.passes.fold_constants import FoldConstants
from pienn.passes.fuse_activation import FuseActivation
from pienn.passes.graph_pass import GraphPass, run_pass
from pienn.passes.merge_requantize import MergeRequantize
from pienn.passes.sort_channels import SortChannels

PASSES: Mapping[str, type[GraphPass]] = {
    step.name: step
    for step in (
        DeadCode,
        FoldConstants,
        EliminateCopies,
        MergeRequantize,
        FuseActivation,
        AbsorbPadding,
        CommonConstants,
        SortChannels,
    )
}

DEFAULT: Sequence[str] = (
    "dead-code",
    "fold-constants",
    "eliminate-copies",
    "merge-requantize",
    "fuse-activation",
    "absorb-padding",
    "eliminate-copies",
    "common-constants",
)
"""The pipeline of every target."""

OWN: Mapping[str, Sequence[str]] = {"esp32s3": ("sort-channels",)}
"""What follows for some."""


def apply(graph: Graph, names: Sequence[str]) -> Iterator[tuple[str, Graph]]:
    """Name and graph after each pass; verified before the first and after each. Unknown names raise PiennError."""
    for name in names:
        if name not in PASSES:
            raise PiennError(f"{name[:60]!a} is no pass; there are {', '.join(PASSES)}")
    verify(graph)
    for name in names:
        graph = run_pass(graph, PASSES[name]())
        yield name, graph


def stages(graph: Graph, target: str) -> Iterator[tuple[str, Graph]]:
    """Name and graph after each pass of a target's pipeline."""
    return apply(graph, (*DEFAULT, *OWN.get(target, ())))


def pipeline(graph: Graph, target: str) -> Graph:
    """The graph after a target's pipeline; the one given stays as it is."""
    return list(stages(graph, target))[-1][1]
