"""The plan of a graph: the calls in order, and for every tensor its bytes in arena, input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from xdsl.ir import SSAValue

from pienn.errors import PiennError
from pienn.ir.dialect import (
    ConcatOp,
    ConstantOp,
    Encoding,
    PiennOp,
    ReshapeOp,
    SliceOp,
    encoding_of,
    is_activation,
)
from pienn.ir.graph import Graph
from pienn.plan.assignment import Assignment, concat_parts, slice_view
from pienn.plan.borders import copy_reason, stage_borders
from pienn.plan.chips import chip_calls
from pienn.plan.kernels import COPY, VIEWS, Kernel, kernel_of, macs_of
from pienn.plan.layout import Margins, chip_layouts
from pienn.plan.memory import Buffer, Placement, aligned, place
from pienn.plan.views import View

TARGETS = ("host", "esp32p4", "esp32s3")


@dataclass(frozen=True)
class Tensor:
    """An activation: `first` and `last` are the calls that write and last read its bytes (-1: before, n: after all)."""

    name: str
    view: View
    encoding: Encoding
    first: int
    last: int
    alias: str | None = None


@dataclass(frozen=True)
class Part:
    """Blocks of 16 outputs: `first` and `channels` of the result, `offset` and `bytes` of the constants."""

    first: int
    channels: int
    offset: int
    bytes: int


@dataclass(frozen=True)
class Home:
    """Where the constants of a call lie (`SRAM`, `flash`, `PSRAM`), why, and the predicted cycles that it saves.

    parts: what is copied to SRAM and computed one after the other; empty where the kernel reads all constants in place.
    """

    memory: str = "SRAM"
    bytes: int = 0
    parts: tuple[Part, ...] = ()
    why: str = ""
    saved: int = 0


@dataclass(frozen=True)
class Call:
    """One kernel call; `op` is the op whose result it computes (a copy call: the op whose bytes it moves).

    version: the kernel's suffix, `ref` or the chip's own; `why` says what decided it.
    padded: the padding of the op's windows is in memory, and the first read view includes it.
    margins: of a halo call, what it writes around the image of `writes`.
    choices: what packing the constants decided, in words; home: of its constants, from `plan.constants.with_homes`.
    """

    kernel: Kernel
    op: PiennOp
    reads: tuple[View, ...]
    writes: View
    why: str
    macs: int = 0
    version: str = "ref"
    padded: bool = False
    margins: Margins | None = None
    choices: tuple[str, ...] = ()
    home: Home = Home()

    @property
    def reason(self) -> str:
        """All that was chosen for the call, and why."""
        constants = (f"constants {self.home.why}",) if self.home.why else ()
        return "; ".join((self.why, *self.choices, *constants))


def staging_storage(number: int) -> str:
    """The storage of the arena that takes the parts of the constants of call `number`."""
    return f"staged:{number}"


@dataclass(frozen=True)
class Plan:
    graph: Graph
    target: str
    calls: tuple[Call, ...]
    tensors: dict[SSAValue, Tensor]
    arena: Placement
    storages: dict[str, str]
    """Storage name -> 'input', 'output', 'constant', 'arena', or 'staging' for a buffer beside an arena in PSRAM."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Storage name -> bytes."""
    copies_out: tuple[tuple[SSAValue, int], ...] = field(default=())
    """Values that reach a result only by a copy after the last call: (value, result number)."""
    arena_memory: str = "SRAM"

    @property
    def macs(self) -> int:
        return sum(call.macs for call in self.calls)

    @property
    def sram_bytes(self) -> int:
        """Arena, constants and what is staged, as far as they lie in SRAM."""
        resident = sum(aligned(call.home.bytes) for call in self.calls if call.home.memory == "SRAM")
        return resident + (self.arena.total if self.arena_memory == "SRAM" else self.staging_bytes)

    @property
    def staging_bytes(self) -> int:
        """Of the buffer beside an arena in PSRAM that all staged layers share."""
        return max((self.sizes[name] for name, kind in self.storages.items() if kind == "staging"), default=0)

    def address(self, view: View) -> tuple[str, int]:
        """('arena', byte offset) or (storage name, byte offset)."""
        if self.storages[view.storage] == "arena":
            return "arena", self.arena.offsets[view.storage] + view.offset
        return view.storage, view.offset

    def to_json(self) -> dict[str, Any]:
        """Everything that is needed to check the plan anew."""
        rows = []
        for tensor in self.tensors.values():
            where, offset = self.address(tensor.view)
            rows.append(
                {
                    "name": tensor.name,
                    "bytes": tensor.view.bytes,
                    "memory": where,
                    "offset": offset,
                    "shape": list(tensor.view.shape),
                    "strides": list(tensor.view.strides),
                    "first": tensor.first,
                    "last": tensor.last,
                    "alias": tensor.alias,
                }
            )
        for number, call in enumerate(self.calls):
            if call.home.parts:
                storage = staging_storage(number)
                in_arena = self.storages[storage] == "arena"
                rows.append(
                    {
                        "name": storage,
                        "bytes": self.sizes[storage],
                        "memory": "arena" if in_arena else "staging",
                        "offset": self.arena.offsets[storage] if in_arena else 0,
                        "shape": [self.sizes[storage]],
                        "strides": [1],
                        "first": number,
                        "last": number,
                        "alias": None,
                    }
                )
        return {
            "target": self.target,
            "arena_bytes": self.arena.total,
            "arena_lower_bound": self.arena.lower_bound,
            "arena_optimal": self.arena.optimal,
            "arena_memory": self.arena_memory,
            "staging_bytes": self.staging_bytes,
            "sram_bytes": self.sram_bytes,
            "macs": self.macs,
            "tensors": rows,
            "calls": [
                {
                    "kernel": call.kernel.name,
                    "version": call.version,
                    "layer": call.op.layer,
                    "macs": call.macs,
                    "why": call.reason,
                    "constants": asdict(call.home),
                }
                for call in self.calls
            ],
        }


def plan(graph: Graph, target: str = "host", simd: bool = True) -> Plan:
    """Choose kernels and lay out memory; raises PiennError for an unknown target.

    simd: on a chip, whether its own kernels are called; without them the reference runs in the same layout.
    """
    if target not in TARGETS:
        raise PiennError(f"unknown target {target!r}: one of {', '.join(TARGETS)}")
    layouts = None
    if target != "host":
        graph = stage_borders(graph, target)
        layouts = chip_layouts(graph, target)
    ops = graph.ops
    arguments = [port.value for port in graph.inputs]
    results = [port.value for port in graph.outputs]
    assignment = Assignment(arguments, ops, results, layouts)
    views = assignment.views
    calls = tuple(_calls(ops, views))
    if layouts is not None:
        calls = tuple(chip_calls(calls, target, assignment, simd))
    copies_out = tuple(
        (value, index) for index, value in enumerate(results) if views[value].storage != f"output:{index}"
    )
    lifetimes = _lifetimes(calls, copies_out, views)
    views = _in_place(calls, views, lifetimes, assignment.kinds, assignment.sizes)
    calls = tuple(_moved(call, lifetimes.renamed) for call in calls)
    buffers = [
        Buffer(storage, assignment.sizes[storage], *lifetimes.spans[storage])
        for storage in dict.fromkeys(view.storage for view in views.values())
        if assignment.kinds[storage] == "arena" and storage in lifetimes.spans
    ]
    tensors = _tensors(graph, arguments, calls, views, len(calls))
    return Plan(graph, target, calls, tensors, place(buffers), assignment.kinds, assignment.sizes, copies_out)


def _calls(ops: list[PiennOp], views: Mapping[SSAValue, View]):
    """The kernel calls in program order; reshape, slice and concat give calls only for what is not a view."""
    for op in ops:
        if isinstance(op, ConstantOp):
            continue
        result = views[op.result]
        if isinstance(op, ConcatOp):
            for index, place_ in concat_parts(op, result):
                if views[op.operands[index]] != place_:
                    yield Call(
                        COPY,
                        op,
                        (views[op.operands[index]],),
                        place_,
                        f"operand {index} cannot be written in place",
                    )
        elif isinstance(op, SliceOp):
            source = slice_view(op, views[op.x])
            if source != result:
                why = copy_reason(op) or "a consumer cannot read with strides"
                yield Call(COPY, op, (source,), result, why)
        elif isinstance(op, ReshapeOp):
            source = views[op.x]
            if not (source.contiguous and source.reshaped(result.shape) == result):
                yield _reshape_copy(op, source, result)
        else:
            reads = tuple(views[operand] for operand in op.operands if is_activation(operand))
            yield Call(kernel_of(op), op, reads, result, "the one kernel of this op", macs_of(op))


def _reshape_copy(op: ReshapeOp, source: View, result: View) -> Call:
    """A copy between two shapes: one side has no gaps, so it can be seen in the other's shape."""
    if result.contiguous:
        return Call(COPY, op, (source,), result.reshaped(source.shape), "the operand has gaps")
    return Call(COPY, op, (source.reshaped(result.shape),), result, "the result has gaps")


@dataclass
class _Lifetimes:
    spans: dict[str, tuple[int, int]]
    renamed: dict[str, str] = field(default_factory=dict)


def _lifetimes(
    calls: tuple[Call, ...], copies_out: tuple[tuple[SSAValue, int], ...], views: Mapping[SSAValue, View]
):
    """First and last call of each storage."""
    spans: dict[str, tuple[int, int]] = {}

    def touch(storage: str, step: int) -> None:
        first, last = spans.get(storage, (step, step))
        spans[storage] = (min(first, step), max(last, step))

    for step, call in enumerate(calls):
        for view in (*call.reads, call.writes):
            touch(view.storage, step)
    for value, _ in copies_out:
        touch(views[value].storage, len(calls))
    return _Lifetimes(spans)


def _in_place(
    calls: tuple[Call, ...],
    views: dict[SSAValue, View],
    lifetimes: _Lifetimes,
    kinds: Mapping[str, str],
    sizes: Mapping[str, int],
) -> dict[SSAValue, View]:
    """Let a result overwrite an operand that nobody reads afterwards: two storages become one."""
    spans, renamed = lifetimes.spans, lifetimes.renamed
    for step, call in enumerate(calls):
        target = call.writes.storage
        for index in call.kernel.in_place:
            if (
                kinds[target] != "arena"
                or not _begins(calls, target, step, spans)
                or index >= len(call.reads)
            ):
                continue
            read = _moved_view(call.reads[index], renamed)
            source = read.storage
            same = read == call.writes.moved(source) and sizes[source] == sizes[target]
            if not same or kinds[source] != "arena" or spans[source][1] != step or source == target:
                continue
            others = [_moved_view(view, renamed) for i, view in enumerate(call.reads) if i != index]
            if any(other.storage == source and other != read for other in others):
                continue
            spans[source] = (spans[source][0], spans[target][1])
            del spans[target]
            renamed[target] = source
            break
    return {value: _moved_view(view, renamed) for value, view in views.items()}


def _begins(calls: tuple[Call, ...], storage: str, step: int, spans: Mapping[str, tuple[int, int]]) -> bool:
    """Whether the storage is first written by this call, or by the call before it that fills its halo."""
    first = spans[storage][0]
    return first == step or (first == step - 1 and calls[first].margins is not None)


def _moved_view(view: View, renamed: Mapping[str, str]) -> View:
    storage = view.storage
    while storage in renamed:
        storage = renamed[storage]
    return view.moved(storage)


def _moved(call: Call, renamed: Mapping[str, str]) -> Call:
    reads = tuple(_moved_view(view, renamed) for view in call.reads)
    return replace(call, reads=reads, writes=_moved_view(call.writes, renamed))


def _tensors(
    graph: Graph, arguments: list[SSAValue], calls: tuple[Call, ...], views: Mapping[SSAValue, View], end: int
) -> dict[SSAValue, Tensor]:
    """Names and lifetimes of every activation; an alias shares its storage with a tensor that was named before it."""
    names = graph.value_names()
    written: dict[SSAValue, tuple[int, int]] = {}
    for step, call in enumerate(calls):
        first, _ = written.get(call.op.result, (step, step))
        written[call.op.result] = (first, step)
    owners: dict[str, str] = {}
    tensors: dict[SSAValue, Tensor] = {}
    last_read = _last_reads(graph, written, views, end)
    for value in [*arguments, *(op.result for op in graph.ops if is_activation(op.result))]:
        view, owner = views[value], value.owner
        first = written.get(value, (-1, -1))[0]
        if isinstance(owner, PiennOp) and owner.short_name in VIEWS:
            # A concatenation begins with its first part; a slice or reshape shares its operand's bytes.
            shared = [
                tensors[operand] for operand in owner.operands if views[operand].storage == view.storage
            ]
            begins = [tensor.first for tensor in shared] + ([first] if value in written else [])
            first = min(begins) if begins else first
        alias = owners.get(view.storage)
        owners.setdefault(view.storage, names[value])
        last: int = max(last_read.get(value, first), written.get(value, (-1, -1))[1])
        tensors[value] = Tensor(names[value], view, encoding_of(value), first, last, alias)
    return tensors


def _last_reads(
    graph: Graph, written: Mapping[SSAValue, tuple[int, int]], views: Mapping[SSAValue, View], end: int
) -> dict[SSAValue, int]:
    """The last call that reads each value's bytes; a view of the same bytes passes on what its own readers do."""
    last: dict[SSAValue, int] = {port.value: end for port in graph.outputs}
    for op in reversed(graph.ops):
        if isinstance(op, ConstantOp):
            continue
        own = written.get(op.result, (-1, -1))[1]
        for operand in op.operands:
            if not is_activation(operand):
                continue
            shared = op.short_name in VIEWS and views[operand].storage == views[op.result].storage
            step = max(own, last.get(op.result, -1)) if shared else own
            last[operand] = max(last.get(operand, -1), step)
    return last
