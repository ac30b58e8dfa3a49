"""Where the elements of a torch tensor lie in the graph.

A torch axis is a product of *atoms*, row-major; the graph holds the atoms in an order of its own, its memory order.
torch's permute and reshape then only regroup atoms; nothing moves until an operator needs another memory order.
Axes of size 1 have no atoms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Shape = tuple[int, ...]


class Atom:
    """A factor of an axis; compared by identity."""

    def __init__(self, size: int) -> None:
        self.size = size


Atoms = tuple[Atom, ...]


def product(atoms: Sequence[Atom]) -> int:
    """Number of elements over which the atoms run."""
    return math.prod(atom.size for atom in atoms)


@dataclass(frozen=True)
class Layout:
    """`axes`: the atoms of each torch axis (batch not counted); `memory`: all atoms, slowest first."""

    axes: tuple[Atoms, ...]
    memory: Atoms

    @classmethod
    def ordered(cls, shape: Sequence[int], order: Sequence[int]) -> Layout:
        """Whole axes in the given memory order."""
        axes = tuple((Atom(size),) if size != 1 else () for size in shape)
        return cls(axes, tuple(atom for axis in order for atom in axes[axis]))

    @property
    def shape(self) -> Shape:
        """The torch shape."""
        return tuple(product(atoms) for atoms in self.axes)

    def atoms(self, order: Sequence[int]) -> Atoms:
        """The atoms of some torch axes, in that order of axes."""
        return tuple(atom for axis in order for atom in self.axes[axis])

    def has_order(self, order: Sequence[int]) -> bool:
        """Whether the memory holds whole torch axes in this order."""
        return self.memory == self.atoms(order)

    def axis_order(self) -> Shape | None:
        """An order of whole torch axes that the memory holds, or None; channels last where there is a choice."""
        rank = len(self.axes)
        for order in ((*range(1, rank), 0), tuple(range(rank))):
            if self.has_order(order):
                return order
        place = {atom: index for index, atom in enumerate(self.memory)}
        order = tuple(
            sorted(
                range(rank),
                key=lambda axis: min([place[a] for a in self.axes[axis]], default=rank + len(place)),
            )
        )
        return order if self.has_order(order) else None

    def permuted(self, order: Sequence[int]) -> Layout:
        """After torch's permute."""
        return Layout(tuple(self.axes[axis] for axis in order), self.memory)

    def reshaped(self, shape: Sequence[int]) -> Layout | None:
        """After torch's reshape; None where the new axes do not divide the old ones evenly."""
        left = list(self.atoms(range(len(self.axes))))
        memory = list(self.memory)
        axes: list[Atoms] = []
        for size in shape:
            axis: list[Atom] = []
            missing = size
            while missing > 1:
                atom = left.pop(0)
                if missing % atom.size:
                    if atom.size % missing:
                        return None
                    parts = [Atom(missing), Atom(atom.size // missing)]
                    place = memory.index(atom)
                    memory[place : place + 1] = parts
                    left.insert(0, parts[1])
                    atom = parts[0]
                axis.append(atom)
                missing //= atom.size
            axes.append(tuple(axis))
        return Layout(tuple(axes), tuple(memory))

    def matched(self, other: Layout) -> tuple[Layout, Layout]:
        """Two layouts of one torch shape, cut into the same atoms where that is possible."""
        cuts: list[int] = []
        for mine, theirs in zip(self.axes, other.axes):
            bounds = {
                math.prod(a.size for a in atoms[i:])
                for atoms in (mine, theirs)
                for i in range(len(atoms) + 1)
            }
            ordered = sorted(bounds, reverse=True)
            if any(a % b for a, b in pairwise(ordered)):
                return self, other
            cuts += [a // b for a, b in pairwise(ordered)]
        first, second = self.reshaped(cuts), other.reshaped(cuts)
        if first is None or second is None:
            return self, other
        return first._regrouped(self.shape), second._regrouped(other.shape)

    def _regrouped(self, shape: Shape) -> Layout:
        again = self.reshaped(shape)
        assert again is not None
        return again

    def positions(self) -> Shape:
        """For each atom of the memory its position in torch's order: equal for layouts that agree after `matched`."""
        place = {atom: index for index, atom in enumerate(self.atoms(range(len(self.axes))))}
        return tuple(place[atom] for atom in self.memory)

    def sizes(self) -> Shape:
        """Sizes of all atoms in torch's order."""
        return tuple(atom.size for atom in self.atoms(range(len(self.axes))))


@dataclass(frozen=True)
class Tap:
    """How a tensor of the oracle compares with a layer of the graph."""

    key: str
    """The oracle's name of the tensor."""
    sizes: Shape
    positions: Shape
    shape: Shape
    """The graph's shape, without batch."""
    permutation: Shape | None
    """Graph axis i is torch axis permutation[i]; None where the graph's axes are no whole torch axes."""

    def in_graph_layout(self, stored: np.ndarray) -> np.ndarray:
        """The oracle's array, with batch, as the graph holds it."""
        batch = len(stored)
        axes = [position + 1 for position in self.positions]
        return stored.reshape(batch, *self.sizes).transpose(0, *axes).reshape(batch, *self.shape)

    def in_torch_layout(self, stored: np.ndarray, shape: Sequence[int]) -> np.ndarray:
        """The graph's array, with batch, in torch's layout; `shape` without batch."""
        batch = len(stored)
        sizes = [self.sizes[position] for position in self.positions]
        back = np.argsort([0, *(position + 1 for position in self.positions)])
        return stored.reshape(batch, *sizes).transpose(back).reshape(batch, *shape)
