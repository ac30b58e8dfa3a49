"""Where the graph's values are, and how a tensor gets into the memory order that an operator wants."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from xdsl.ir import SSAValue

from pienn.errors import PiennError
from pienn.frontend.layout import Atom, Layout, Shape, Tap, product
from pienn.frontend.operators import Tensor
from pienn.ir.builder import GraphBuilder

LARGEST_RANK = 4


@dataclass(frozen=True)
class Held:
    """A tensor in the graph: its value, the shape that value has, and where torch's elements lie in it."""

    value: SSAValue
    shape: Shape
    layout: Layout


@dataclass
class Placement:
    """One graph in the making: which values there are, and how to have them in another order."""

    builder: GraphBuilder
    held: dict[Tensor, Held] = field(default_factory=dict)
    taps: dict[str, Tap] = field(default_factory=dict)
    constants: dict[Tensor, np.ndarray] = field(default_factory=dict)
    _moved: dict[tuple[Tensor, Shape, Shape], SSAValue] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def arranged(self, tensor: Tensor, order: Sequence[int], shape: Shape | None = None) -> SSAValue:
        """A tensor with whole torch axes in the given order, in a shape (default: one graph axis each)."""
        if tensor not in self.held:
            return self._constant(tensor, tuple(order), shape)
        held = self.hold(tensor)
        target = held.layout.atoms(order)
        wanted = tuple(held.layout.shape[axis] for axis in order) if shape is None else shape
        return self.with_memory(tensor, target, wanted)

    def hold(self, tensor: Tensor) -> Held:
        """Where a tensor is; a constant is stored now, channels last."""
        if tensor not in self.held:
            order = channels_last(len(tensor.shape))
            shape = tuple(tensor.shape[axis] for axis in order)
            value = self._constant(tensor, order, None)
            self.held[tensor] = Held(value, shape, Layout.ordered(tensor.shape, order))
        return self.held[tensor]

    def _constant(self, tensor: Tensor, order: Shape, shape: Shape | None) -> SSAValue:
        """A constant activation, stored as its user wants it."""
        array = self.constants[tensor].transpose(order)
        array = array if shape is None else array.reshape(shape)
        self.check_rank(tensor.name, array.shape)
        key = (tensor, order, array.shape)
        if key not in self._moved:
            name = self.name(tensor.name)
            value = self.builder.constant(name, array, tensor.exponent, tensor.zero_point, layer=name)
            self._moved[key] = value
        return self._moved[key]

    def with_memory(self, tensor: Tensor, target: Sequence[Atom], shape: Shape) -> SSAValue:
        held = self.hold(tensor)
        value, at = held.value, held.shape
        self.check_rank(tensor.name, shape)
        if held.layout.memory == tuple(target) and at == shape:
            return value
        positions = tuple(held.layout.memory.index(atom) for atom in target)
        key = (tensor, positions, shape)
        if key not in self._moved:
            value, at = self._transposed(tensor.name, value, at, held.layout.memory, target)
            if at != shape:
                value = self.builder.reshape(value, shape=shape, layer=self.name(f"{tensor.name}.reshape"))
            self._moved[key] = value
        return self._moved[key]

    def _transposed(
        self, name: str, value: SSAValue, shape: Shape, source: Sequence[Atom], target: Sequence[Atom]
    ) -> tuple[SSAValue, Shape]:
        """Move atoms, those that stay together as one axis; more than four pieces go one piece at a time."""
        pieces = pieces_of(source, target)
        if len(pieces) == 1:
            return value, shape
        if len(pieces) > LARGEST_RANK:
            front = pieces[0]
            rest = [atom for atom in source if atom not in front]
            nearer = [*front, *rest]
            value, shape = self._transposed(name, value, shape, source, nearer)
            for piece in pieces[1:-1]:
                front = [*front, *piece]
                further = [*front, *(atom for atom in source if atom not in front)]
                value, shape = self._transposed(name, value, shape, nearer, further)
                nearer = further
            return value, shape
        ordered = sorted(pieces, key=lambda piece: list(source).index(piece[0]))
        grouped = tuple(product(piece) for piece in ordered)
        if shape != grouped:
            value = self.builder.reshape(value, shape=grouped, layer=self.name(f"{name}.reshape"))
        permutation = tuple(ordered.index(piece) for piece in pieces)
        value = self.builder.transpose(value, permutation=permutation, layer=self.name(f"{name}.transpose"))
        return value, tuple(grouped[axis] for axis in permutation)

    def leading(self, tensor: Tensor, memory: Sequence[Atom], size: int) -> Shape:
        """The graph axes before a last one of `size`: as they are if that serves, else one, or none for a vector."""
        held = self.hold(tensor)
        if len(tensor.shape) == 1:
            return ()
        if held.layout.memory == tuple(memory) and held.shape[-1] == size:
            return held.shape[:-1]
        return (product(memory) // size,)

    def constant(self, name: str, array: np.ndarray) -> SSAValue:
        """A weight or table under a name of its own."""
        return self.builder.constant(self.name(name), np.ascontiguousarray(array))

    def done(self, result: Tensor, value: SSAValue, shape: Shape, layout: Layout) -> None:
        """Record an operator's result."""
        self.held[result] = Held(value, shape, layout)
        order = layout.axis_order()
        if order is not None and tuple(result.shape[axis] for axis in order) != shape:
            order = None
        self.taps[result.name] = Tap(result.name, layout.sizes(), layout.positions(), shape, order)

    def ordered(self, result: Tensor, value: SSAValue, order: Sequence[int]) -> None:
        """Record a result whose graph axes are whole torch axes in this order; a graph shape of another rank is
        reshaped when somebody needs it."""
        shape = tuple(int(size) for size in value.type.get_shape())  # type: ignore[attr-defined]
        self.done(result, value, shape, Layout.ordered(result.shape, order))

    def name(self, name: str) -> str:
        """A layer name that is still free."""
        candidate, number = name, 1
        while candidate in self.names:
            number += 1
            candidate = f"{name}_{number}"
        self.names.add(candidate)
        return candidate

    def check_rank(self, name: str, shape: Shape) -> None:
        """Raise PiennError where the graph has no room for so many axes."""
        if len(shape) > LARGEST_RANK:
            raise PiennError(
                f"{name}: a tensor of shape {list(shape)} has more than {LARGEST_RANK} axes besides the batch"
            )


def pieces_of(source: Sequence[Atom], target: Sequence[Atom]) -> list[list[Atom]]:
    """The target cut into the longest runs that also follow each other in the source."""
    place = {atom: index for index, atom in enumerate(source)}
    pieces: list[list[Atom]] = []
    for atom in target:
        if pieces and place[pieces[-1][-1]] + 1 == place[atom]:
            pieces[-1].append(atom)
        else:
            pieces.append([atom])
    return pieces or [[]]


def channels_last(rank: int) -> Shape:
    """The axes of an image or sequence `(C, ...)` in the order of the graph."""
    return (*range(1, rank), 0)
