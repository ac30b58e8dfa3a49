"""A plan for a chip: padding moves into memory, and every call gets the chip's own kernel or says why not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any

from pienn.ir.dialect import encoding_of, is_activation, shape_of
from pienn.plan.assignment import Assignment
from pienn.plan.kernel_list import read_kernels
from pienn.plan.kernels import COPY, HALO
from pienn.plan.layout import LANES, WINDOWED, Margins, needed_margins, reads_packed_pixels, whole_vectors
from pienn.plan.views import View

if TYPE_CHECKING:
    from pienn.plan.plan import Call

ELEMENTWISE = ("add_s8", "sub_s8", "mul_s8", "requantize_s8", "lut_s8", "prelu_s8")


@cache
def versions(target: str) -> dict[str, str]:
    """Kernel -> suffix of the version that a chip uses, from the list of kernels."""
    return {kernel.name: kernel.p4 if target == "esp32p4" else kernel.s3 for kernel in read_kernels()}


def chip_calls(calls: Iterable[Call], target: str, assignment: Assignment, simd: bool) -> Iterator[Call]:
    """The calls with halos filled before an image is written, padded windows, whole vectors, and versions."""
    chosen = versions(target) if simd else {}
    surrounded: set[str] = set()
    for call in calls:
        margins = assignment.margins.get(call.writes.storage, Margins())
        if not margins.empty and call.writes.storage not in surrounded:
            surrounded.add(call.writes.storage)
            yield _versioned(_halo(call, margins, assignment), chosen)
        yield _versioned(_widened(_padded(call, assignment), assignment), chosen)


def _halo(call: Call, margins: Margins, assignment: Assignment) -> Call:
    """The call that fills the margins of the image which this call writes, or a part of which."""
    storage = call.writes.storage
    whole = next(
        view for view in assignment.views.values() if view.storage == storage and _is_whole(view, assignment)
    )
    return replace(
        call, kernel=HALO, reads=(), writes=whole, macs=0, why="padding in memory", margins=margins
    )


def _is_whole(view: View, assignment: Assignment) -> bool:
    """Whether a view is the image that its storage was made for."""
    margins = assignment.margins[view.storage]
    height, row_stride = view.shape[0], view.strides[0]
    return (margins.top + height + margins.bottom) * row_stride == assignment.sizes[view.storage]


def _padded(call: Call, assignment: Assignment) -> Call:
    """The call with the padding of its windows read from memory, where the margins there serve it."""
    if call.op.short_name not in WINDOWED:
        return call
    view = call.reads[0]
    needed = needed_margins(call.op, view.shape)
    if needed is None:
        return replace(call, why="reference: windows at the border average over fewer elements")
    if needed.empty:
        return replace(call, padded=True)
    found = assignment.margins.get(view.storage, Margins())
    if not found.serves(needed):
        return replace(call, why="reference: another reader wants other values around the same image")
    rows, columns = needed.top + view.shape[0] + needed.bottom, needed.left + view.shape[1] + needed.right
    start = view.offset - needed.top * view.strides[0] - needed.left * view.strides[1]
    window = View(view.storage, start, (rows, columns, view.shape[2]), view.strides)
    return replace(call, reads=(window, *call.reads[1:]), padded=True)


def _widened(call: Call, assignment: Assignment) -> Call:
    """Elementwise calls over whole vectors: the surplus lanes of a pixel are computed too, they belong to it."""
    if call.kernel.name not in ELEMENTWISE:
        return call
    views = (*call.reads, call.writes)
    shape = call.writes.shape
    channels = whole_vectors(shape[-1])
    if not all(_repeats_rows(view, shape) for view in views):
        return call
    alone = all(view.shape == shape and _fills_its_storage(view, assignment) for view in views)
    if call.kernel.name != "prelu_s8" and alone:
        size = (whole_vectors(call.writes.bytes),)
        wide = [View(view.storage, 0, size, (1,)) for view in views]
        return replace(call, reads=tuple(wide[:-1]), writes=wide[-1])
    if len(shape) in (2, 3):
        if any(prod(view.shape[:-1]) > 1 and view.strides[-2] != channels for view in views):
            return call
    elif len(shape) > 3 and shape[-1] != channels:
        return call
    wide = [View(view.storage, view.offset, (*view.shape[:-1], channels), view.strides) for view in views]
    return replace(call, reads=tuple(wide[:-1]), writes=wide[-1])


def _repeats_rows(view: View, shape: tuple[int, ...]) -> bool:
    """Whether a view has the shape of the result, or repeats whole rows of its last axis."""
    outer = (1,) * (len(shape) - len(view.shape)) + view.shape[:-1]
    return view.shape[-1] == shape[-1] and all(size in (1, full) for size, full in zip(outer, shape))


def _fills_its_storage(view: View, assignment: Assignment) -> bool:
    """Whether a view is a block without gaps that has its storage for itself, up to whole vectors."""
    alone = view.offset == 0 and assignment.sizes[view.storage] == whole_vectors(view.bytes)
    return alone and view.contiguous and assignment.kinds[view.storage] == "arena"


def _versioned(call: Call, chosen: Mapping[str, str]) -> Call:
    """The chip's version of the kernel, or the reference and the reason."""
    version = chosen.get(call.kernel.name, "ref")
    if version == "ref":
        reason = f"{call.kernel.name} has no version for this chip" if chosen else "asked for"
        return replace(call, why=f"reference: {reason}")
    reason = refusal(call, version)
    if reason is not None:
        return replace(call, why=f"reference: {reason}")
    return replace(call, version=version, why=_reason(call))


def _reason(call: Call) -> str:
    """What decided over a call of the chip's kernel."""
    if call.margins or call.kernel is COPY:
        return call.why
    if call.op.short_name == "conv2d" and call.reads[0].strides[1] % LANES:
        return "pixels packed along the row"
    margins = needed_margins(call.op, shape_of(call.op.operands[0])) if call.padded else None
    return "padding in memory" if margins is not None and not margins.empty else "the chip's kernel"


def refusal(call: Call, version: str) -> str | None:
    """Why a chip's kernel (`p4`, `s3`) cannot do this call; None where it can."""
    if call.why.startswith("reference: "):
        return call.why.removeprefix("reference: ")
    name, op = call.kernel.name, call.op
    images = [view for view in (*call.reads, call.writes) if len(view.shape) == 3]
    if name == "conv2d_s8":
        if op.parameters["groups"] != 1:
            return "groups of several channels"
        if call.reads[0].strides[1] % LANES:
            return _unserved_first_layer(call, version) or _unaligned([call.writes])
        return _unaligned(images)
    if name in ("depthwise_conv2d_s8", "max_pool2d_s8", "resize_nearest_s8"):
        return _unaligned(images)
    if name == "avg_pool2d_s8":
        return _unserved_average(call, version) or _unaligned(images)
    if name in ELEMENTWISE:
        if not all(_repeats_rows(view, call.writes.shape) for view in call.reads):
            return "an operand that is repeated along its last axis"
        if call.writes.shape[-1] % LANES:
            return "rows that are not whole vectors"
        return _unserved_shifts(call, version) or _unaligned(images)
    vectors = (call.reads[0], call.writes) if name == "fully_connected_s8" else ()
    if any(prod(view.shape[:-1]) > 1 and (view.row_stride or 1) % LANES for view in vectors):
        return "rows that are not whole vectors"
    if name == "mean_s8":
        kept: Any = op.parameters["last_axis"]
        if call.kernel.reads != "image" and prod(call.reads[0].shape[kept + 1 :]) % LANES:
            return "an average that does not keep whole vectors"
        return _unserved_average(call, version) or _unaligned(images)
    return None


def _unserved_first_layer(call: Call, version: str) -> str | None:
    """Few channels without gaps between the pixels: the window must be one of the unrolled ones."""
    view, channels = call.reads[0], call.reads[0].shape[2]
    if view.offset % LANES or view.strides[0] % LANES or view.strides[1] != channels:
        return "an image that does not begin at whole vectors"
    if not reads_packed_pixels(call.op, {"p4": "esp32p4", "s3": "esp32s3"}[version]):
        return f"few channels: this window over {channels} is not unrolled"
    return None


LARGEST_FACTOR_SHIFT = 6  # 2^6 is an int8
LARGEST_PRELU_SHIFT = 12  # 128 * 2^12 fits 20 bits
LARGEST_SUM_SHIFT = 22  # constants times 2^shift fit int32; beyond 16 all shifts give the same


def _unserved_shifts(call: Call, version: str) -> str | None:
    """Exponents of elementwise operators that are too far apart for factors of 8 bits and constants of 32."""
    op = call.op
    if call.kernel.name == "lut_s8":
        return None
    y = encoding_of(op.result).exponent
    operands = [encoding_of(value).exponent for value in op.operands if is_activation(value)]
    if call.kernel.name in ("add_s8", "sub_s8"):
        factor, shift = abs(operands[0] - operands[1]), y - min(operands)
    elif call.kernel.name == "prelu_s8":
        slope: Any = op.parameters["slope_exponent"]
        factor, shift = -slope, y - operands[0] - slope
        if version == "s3" and encoding_of(op.result).zero_point and shift > LARGEST_PRELU_SHIFT:
            return "slopes too small for 20 bits"
    elif call.kernel.name == "mul_s8":
        factor, shift = 0, y - sum(operands)
    else:
        factor, shift = operands[0] - y, y - operands[0]
    if factor > LARGEST_FACTOR_SHIFT or shift > LARGEST_SUM_SHIFT:
        return "operands whose exponents are far apart"
    return None


SMALLEST_AVERAGE_SHIFT = -5  # a factor of 2 * 2^5 is an int8
LARGEST_DIVISOR = 1 << 20  # times 2^9 fits int32
LARGEST_SUM = 4096  # elements whose sum the ESP32-S3 holds in 20 bits


def _unserved_average(call: Call, version: str) -> str | None:
    """Exponents or windows of averages that do not fit the kernels' constants."""
    op = call.op
    shift = encoding_of(op.result).exponent - encoding_of(op.operands[0]).exponent
    if call.kernel.name == "mean_s8":
        first: Any = op.parameters["first_axis"]
        last: Any = op.parameters["last_axis"]
        count = summed = prod(call.reads[0].shape[first : last + 1])
    else:
        kernel: Any = op.parameters["kernel"]
        divisor: Any = op.parameters["divisor"]
        summed = kernel[0] * kernel[1]
        count = divisor or summed
    if version == "s3" and summed > LARGEST_SUM:
        return "an average over more elements than 20 bits can sum"
    if shift < SMALLEST_AVERAGE_SHIFT or count << max(shift, 0) > LARGEST_DIVISOR:
        return "an average whose exponent or size is out of range"
    return None


def _unaligned(images: Iterable[View]) -> str | None:
    for view in images:
        if view.offset % LANES or view.strides[0] % LANES or view.strides[1] % LANES:
            return "an image that does not begin at whole vectors"
    return None
