"""Assign every tensor a view: which tensors share a storage, and which copies remain.

Two passes. Backwards, from consumers to producers: results of the network and places in a concatenation are handed to
the producers that can write there. Forwards: slices and reshapes become views of what they read, everything else gets a
storage of its own, laid out as its readers want it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from xdsl.dialects.func import ReturnOp
from xdsl.ir import Operation, SSAValue

from pienn.ir.dialect import ConcatOp, ConstantOp, PiennOp, ReshapeOp, SliceOp, is_activation, shape_of
from pienn.plan.kernels import VIEWS, addresses, kernel_of
from pienn.plan.layout import LANES, Layout, Margins
from pienn.plan.views import View


def whole_offsets(shape: Sequence[int], axis: int, start: int) -> list[int]:
    offsets = [0] * len(shape)
    offsets[axis] = start
    return offsets


def slice_view(op: SliceOp, view: View) -> View:
    parameters = op.parameters
    return view.part(parameters["offsets"], parameters["sizes"], parameters["strides"])  # pyright: ignore[reportArgumentType]


def concat_parts(op: ConcatOp, view: View) -> Iterable[tuple[int, View]]:
    """(operand index, its place in the result)."""
    axis = op.parameters["axis"]
    assert isinstance(axis, int)
    start = 0
    for index, operand in enumerate(op.operands):
        shape = shape_of(operand)
        yield index, view.part(whole_offsets(shape, axis, start), shape)
        start += shape[axis]


class Assignment:
    """Views of all activations of a function, by value; `kinds` and `sizes` (bytes) of the storages they lie in.

    `layouts`, for a chip's kernels, says how each computed tensor wants to lie; without it everything is dense.
    `margins` are what surrounds the image of a storage.
    """

    def __init__(
        self,
        arguments: Sequence[SSAValue],
        ops: Sequence[PiennOp],
        results: Sequence[SSAValue],
        layouts: Mapping[SSAValue, Layout] | None = None,
    ):
        self.views: dict[SSAValue, View] = {}
        self.kinds: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.margins: dict[str, Margins] = {}
        self.arguments, self.ops, self.results = list(arguments), list(ops), list(results)
        self.layouts = layouts
        for index, argument in enumerate(arguments):
            self.views[argument] = self._new("input", index, shape_of(argument))
        for op in ops:
            if isinstance(op, ConstantOp) and is_activation(op.result):
                self.views[op.result] = self._new("constant", op.tensor_name, shape_of(op.result))
        self._backwards()
        self._forwards()

    def _new(self, kind: str, key: int | str, shape: Sequence[int]) -> View:
        view = View.whole(f"{kind}:{key}", shape)
        self.kinds[view.storage] = kind
        self.sizes[view.storage] = view.bytes
        return view

    def _own(self, number: int, value: SSAValue) -> View:
        """A storage of the arena for one tensor."""
        view = self._new("arena", number, shape_of(value))
        if self.layouts is not None:
            layout = self.layouts[value]
            view = layout.view(view.storage)
            self.sizes[view.storage] = layout.bytes
            self.margins[view.storage] = layout.margins
        return view

    def _backwards(self) -> None:
        for index, result in enumerate(self.results):
            # An input or a constant that is a result, or a second name of a result, is copied out at the end.
            if result not in self.views:
                self.views[result] = self._new("output", index, shape_of(result))
        for number, op in reversed(list(enumerate(self.ops))):
            if isinstance(op, ConcatOp):
                if op.result not in self.views:
                    self.views[op.result] = self._own(number, op.result)
                for index, place in concat_parts(op, self.views[op.result]):
                    self._offer(op.operands[index], place)
            elif isinstance(op, ReshapeOp):
                view = self.views.get(op.result)
                if view is not None and view.contiguous:
                    self._offer(op.x, view.reshaped(shape_of(op.x)))

    def _offer(self, value: SSAValue, place: View) -> None:
        """Hand the place to the value's producer, if it can write there and all consumers can read it there."""
        producer = value.owner
        if value in self.views or not isinstance(producer, PiennOp):
            return
        if isinstance(producer, SliceOp):
            return  # better a view of its own operand, and one copy
        if not isinstance(producer, (ConcatOp, ReshapeOp)) and not addresses(
            kernel_of(producer).writes, place
        ):
            return
        if isinstance(producer, ReshapeOp) and not place.contiguous:
            return
        if not self._suits(value, place):
            return
        if all(self._readable(use.operation, place) for use in value.uses):
            self.views[value] = place

    def _suits(self, value: SSAValue, place: View) -> bool:
        """Whether a chip's kernels can work in the place: at whole vectors, with the margins that readers need."""
        if self.layouts is None:
            return True
        layout = self.layouts[value]
        aligned = place.offset % LANES == 0 and all(
            size == 1 or stride % LANES == 0 for size, stride in zip(place.shape[:-1], place.strides[:-1])
        )
        # The last vector of a pixel is written whole: what follows in the same pixel must not be in it.
        return aligned and place.shape[-1] % LANES == 0 and layout.margins.empty

    @staticmethod
    def _reshaped_with_gaps(op: SliceOp, view: View) -> bool:
        """Whether a slice with gaps is read under another shape, which may have gaps of its own elsewhere."""
        return not view.contiguous and any(isinstance(use.operation, ReshapeOp) for use in op.result.uses)

    @staticmethod
    def _readable(consumer: Operation, view: View) -> bool:
        if isinstance(consumer, ReturnOp):
            return False
        assert isinstance(consumer, PiennOp)
        return consumer.short_name in VIEWS or addresses(kernel_of(consumer).reads, view)

    def _forwards(self) -> None:
        for number, op in enumerate(self.ops):
            if op.result not in self.views and not isinstance(op, ConstantOp):
                self.views[op.result] = self._alias(op) or self._own(number, op.result)

    def _alias(self, op: PiennOp) -> View | None:
        """The bytes of its operand that a reshape or slice can be a name of; None where it needs its own."""
        if isinstance(op, ReshapeOp):
            source = self.views[op.x]
            if source.contiguous and (self.layouts is None or self.layouts[op.result].dense):
                return source.reshaped(shape_of(op.result))
        if isinstance(op, SliceOp):
            view = slice_view(op, self.views[op.x])
            borrowed = self.layouts is not None and (
                self.kinds[view.storage] != "arena"
                or not self._suits(op.result, view)
                or self._reshaped_with_gaps(op, view)
            )
            if not borrowed and all(self._readable(use.operation, view) for use in op.result.uses):
                return view
        return None
