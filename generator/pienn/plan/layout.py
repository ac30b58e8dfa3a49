"""How the SIMD kernels of a chip want images to lie in memory.

Channels of a pixel fill whole vectors of 16, rows begin at a vector, and the padding of the windows that read an image
is in its buffer: a halo, filled before the image is written. An image of few channels that only convolutions read (a
network's input) is dense along its rows instead: a row of its window is then one run of bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from xdsl.ir import SSAValue

from pienn.ir.dialect import PiennOp, encoding_of, shape_of
from pienn.ir.graph import Graph
from pienn.plan.kernels import VIEWS, addresses, kernel_of
from pienn.plan.views import View, row_major

LANES = 16
FEW_CHANNELS = 4  # at most: a window's row is shorter than a vector per tap would be
WINDOWED = ("conv2d", "max_pool2d", "avg_pool2d")
IMAGES = (*WINDOWED, "resize_nearest")
"""Ops whose kernels want images in whole vectors."""
LOWEST = -128  # what a maximum ignores

# First layers that a chip's conv2d_s8 has a body for: (height, or 0 for any even one, and width of the window,
# channels, stride_x).
FIRST_LAYERS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "esp32p4": ((3, 3, 3, 1), (3, 3, 3, 2), (0, 4, 1, 2), (0, 2, 2, 1)),
}
"""The ESP32-S3 has a body for all of them."""


def whole_vectors(elements: int) -> int:
    """Rounded up to whole vectors."""
    return -(-elements // LANES) * LANES


@dataclass(frozen=True)
class Margins:
    """Pixels around an image, and what they hold."""

    top: int = 0
    left: int = 0
    bottom: int = 0
    right: int = 0
    value: int = 0

    @property
    def empty(self) -> bool:
        return not (self.top or self.left or self.bottom or self.right)

    def serves(self, other: Margins) -> bool:
        """Whether a window that needs `other` finds it here."""
        return other.empty or (
            self.value == other.value
            and self.top >= other.top
            and self.left >= other.left
            and self.bottom >= other.bottom
            and self.right >= other.right
        )

    def joined(self, other: Margins) -> Margins:
        """The margins that serve both; the values must agree where both have margins."""
        value = other.value if self.empty else self.value
        return Margins(
            max(self.top, other.top),
            max(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
            value,
        )


@dataclass(frozen=True)
class Layout:
    """Of one tensor: an image with margins, a matrix whose rows are filled up to whole vectors, or a block without
    gaps, which is filled up at its end."""

    shape: tuple[int, ...]
    pixel_stride: int | None = None
    """Bytes of a pixel, or of a row of a matrix; None for a block without gaps."""
    margins: Margins = Margins()

    @property
    def is_image(self) -> bool:
        return self.pixel_stride is not None and len(self.shape) == 3

    @property
    def row_stride(self) -> int:
        assert self.pixel_stride is not None
        return whole_vectors((self.margins.left + self.shape[1] + self.margins.right) * self.pixel_stride)

    @property
    def bytes(self) -> int:
        if not self.is_image and self.pixel_stride is not None:
            return self.shape[0] * self.pixel_stride
        if not self.is_image:
            return whole_vectors(View.whole("", self.shape).bytes)
        return (self.margins.top + self.shape[0] + self.margins.bottom) * self.row_stride

    @property
    def dense(self) -> bool:
        """No gaps between elements: another shape of the same bytes is only another name."""
        return self.margins.empty and self.view("").contiguous

    def view(self, storage: str) -> View:
        if self.pixel_stride is None:
            return View(storage, 0, self.shape, row_major(self.shape))
        if not self.is_image:
            return View(storage, 0, self.shape, (self.pixel_stride, 1))
        start = self.margins.top * self.row_stride + self.margins.left * self.pixel_stride
        return View(storage, start, self.shape, (self.row_stride, self.pixel_stride, 1))


def needed_margins(op: PiennOp, view_shape: Sequence[int]) -> Margins | None:
    """What the windows of an op read around its operand; None where no constant margin does it."""
    name, given = op.short_name, op.parameters
    if name not in WINDOWED:
        return Margins()
    padding, strides = given["padding"], given["strides"]
    kernel = shape_of(op.operands[1])[1:3] if name == "conv2d" else given["kernel"]
    dilation = given.get("dilation", (1, 1))
    assert isinstance(padding, tuple) and isinstance(strides, tuple)
    assert isinstance(kernel, tuple) and isinstance(dilation, tuple)
    after = []
    for axis in (0, 1):
        end = (shape_of(op.result)[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilation[axis] + 1
        after.append(max(0, end - padding[axis] - view_shape[axis]))
    value = LOWEST if name == "max_pool2d" else encoding_of(op.operands[0]).zero_point
    margins = Margins(padding[0], padding[1], after[0], after[1], value)
    if name == "avg_pool2d" and not margins.empty:
        within = after[0] <= padding[2] and after[1] <= padding[3]
        if not (given["divisor"] or (given["count_include_pad"] and within)):
            return None  # windows at the border have smaller divisors
    return margins


def readers(value: SSAValue) -> Iterator[PiennOp]:
    """The ops that read a value as their first operand or any other; the function's return is none."""
    for use in value.uses:
        if isinstance(use.operation, PiennOp):
            yield use.operation


def chip_layouts(graph: Graph, target: str) -> dict[SSAValue, Layout]:
    """A layout for every activation that an op computes."""
    return {op.result: _chip_layout(op, target) for op in graph.layers}


def reads_packed_pixels(op: PiennOp, target: str) -> bool:
    """Whether an op is a convolution that a chip computes from an image of few channels without gaps along its rows."""
    if op.short_name != "conv2d" or op.parameters["groups"] != 1:
        return False
    strides, dilation = op.parameters["strides"], op.parameters["dilation"]
    assert isinstance(strides, tuple) and isinstance(dilation, tuple)
    height, width, channels = shape_of(op.operands[1])[1:]
    if channels > FEW_CHANNELS or dilation[1] != 1:
        return False
    return target not in FIRST_LAYERS or any(
        known[0] in (height, height % 2) and known[1:] == (width, channels, strides[1])
        for known in FIRST_LAYERS[target]
    )


def _chip_layout(op: PiennOp, target: str) -> Layout:
    layout = wanted_layout(op, target)
    return (
        layout
        if not (writer_needs_dense(op, layout) or readers_that_need_dense(op, layout))
        else Layout(layout.shape)
    )


def writer_needs_dense(op: PiennOp, layout: Layout) -> bool:
    """Whether the kernel of an op cannot write its result in this layout."""
    return op.short_name not in VIEWS and not addresses(kernel_of(op).writes, layout.view(""))


def readers_that_need_dense(op: PiennOp, layout: Layout) -> list[PiennOp]:
    """The readers whose kernels cannot read the result of an op in this layout."""
    view = layout.view("")
    return [
        reader
        for reader in readers(op.result)
        if reader.short_name not in VIEWS and not addresses(kernel_of(reader).reads, view)
    ]


def has_odd_rows(shape: Sequence[int]) -> bool:
    """Whether a tensor is a matrix whose rows are no whole vectors."""
    return len(shape) == 2 and shape[0] > 1 and shape[1] % LANES > 0


def wanted_layout(op: PiennOp, target: str) -> Layout:
    """How an op's result lies best for those of its readers that have windows."""
    shape = shape_of(op.result)
    found = list(readers(op.result))
    only_reshaped = found and all(reader.short_name == "reshape" for reader in found)
    if has_odd_rows(shape) and not (only_reshaped and op.short_name != "fully_connected"):
        return Layout(shape, whole_vectors(shape[1]))
    if len(shape) != 3 or (op.short_name == "slice" and only_reshaped):
        return Layout(shape)
    few = (
        op.short_name not in IMAGES and found and all(reads_packed_pixels(reader, target) for reader in found)
    )
    layout = Layout(shape, shape[2] if few else whole_vectors(shape[2]))
    for reader in found:
        margins = needed_margins(reader, shape) or Margins()
        if layout.margins.empty or margins.empty or layout.margins.value == margins.value:
            layout = replace(layout, margins=layout.margins.joined(margins))
    return layout
