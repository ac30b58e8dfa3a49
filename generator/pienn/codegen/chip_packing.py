"""What a chip's kernels read instead of the reference's constants: one rule per kernel and chip.

A rule takes the arrays and fields that the reference's struct of a call holds (`codegen.parameters`) and the range of
the input's stored values, and returns what the chip's struct holds: arrays, fields, and where the kernel has several
bodies the symbols of those that the call runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from pienn.codegen import packing_esp32p4 as p4
from pienn.codegen import packing_esp32s3 as s3
from pienn.codegen.packing import Filter
from pienn.plan.qacc_proof import Proof

Arrays = dict[str, np.ndarray]
Fields = dict[str, Any]


class Struct(NamedTuple):
    """What a call's struct holds; `bodies` is the list that its records name offsets in, `proofs` are (body, proof) of
    each block of 16 outputs on the ESP32-S3."""

    arrays: Arrays
    fields: Fields
    bodies: tuple[str, ...] = ()
    proofs: tuple[tuple[str, Proof], ...] = ()


Rule = Callable[[Arrays, Fields, tuple[int, int]], Struct]


def body_symbols(version: str, kernel: str, bodies: Iterable[IntEnum]) -> tuple[str, ...]:
    """The names that src_asm gives them."""
    return tuple(f"pienn_{kernel}_{version}_{body.name.lower()}" for body in bodies)


def _filter(arrays: Arrays) -> Filter:
    return Filter(arrays["weights"], arrays["bias"], arrays["shift"])


def _p4_layout(fields: Fields) -> p4.Layout:
    clamped = fields["minimum"] > -128 or fields["maximum"] < 127
    outputs = fields["y"]["channels"]
    return p4.Layout(fields["x"]["pixel_stride"], fields["stride_x"], fields["dilation_x"], clamped, outputs)


def _p4_conv2d(arrays: Arrays, fields: Fields, _: tuple[int, int]) -> Struct:
    window, channels = (fields["kernel_height"], fields["kernel_width"]), fields["x"]["channels"]
    body = p4.choose_body(window, channels, _p4_layout(fields))
    blocks = p4.conv2d_blocks(_filter(arrays), body, window, channels)
    return Struct({"blocks": blocks}, fields, body_symbols("p4", "conv2d_s8", [body]))


def _column_as_row(fields: Fields) -> Fields:
    """A window of one column over an image of one column, turned: kernels are fastest along rows."""
    if fields["kernel_width"] > 1 or fields["x"]["width"] > 1 or fields["y"]["width"] > 1:
        return fields
    turned = {name: _turned(fields[name]) for name in ("x", "y")}
    for name in ("kernel", "stride", "dilation"):
        first, second = ("height", "width") if name == "kernel" else ("y", "x")
        turned |= {
            f"{name}_{first}": fields[f"{name}_{second}"],
            f"{name}_{second}": fields[f"{name}_{first}"],
        }
    return fields | turned


def _turned(view: dict[str, int]) -> dict[str, int]:
    """An image of one column as one of one row."""
    rows, stride = view["height"], view["row_stride"]
    return view | {"height": 1, "width": rows, "pixel_stride": stride, "row_stride": rows * stride}


def _p4_depthwise_conv2d(arrays: Arrays, fields: Fields, _: tuple[int, int]) -> Struct:
    fields = _column_as_row(fields)
    window = fields["kernel_height"], fields["kernel_width"]
    body = p4.choose_depthwise_body(window, _p4_layout(fields), fields["dilation_y"])
    symbols = body_symbols("p4", "depthwise_conv2d_s8", [body])
    return Struct({"blocks": p4.depthwise_blocks(_filter(arrays), body)}, fields, symbols)


def _p4_fully_connected(arrays: Arrays, fields: Fields, _: tuple[int, int]) -> Struct:
    return Struct({"blocks": p4.fully_connected_blocks(_filter(arrays), fields["depth"])}, fields)


def s3_packed(kernel: str, arrays: Arrays, fields: Fields, x_range: tuple[int, int]) -> s3.Packed | None:
    """The records of a call of the ESP32-S3's kernels with the proof of each; None for kernels without records."""
    if kernel not in ("conv2d_s8", "depthwise_conv2d_s8", "fully_connected_s8"):
        return None
    clamp = fields["minimum"], fields["maximum"]
    if kernel == "fully_connected_s8":
        return s3.fully_connected_blocks(_filter(arrays), fields["depth"], x_range, clamp)
    window = fields["kernel_height"], fields["kernel_width"]
    if kernel == "depthwise_conv2d_s8":
        width, dilation = fields["y"]["width"], fields["dilation_x"]
        return s3.depthwise_blocks(_filter(arrays), window, width, dilation, x_range, clamp)
    layout = s3.Layout(
        fields["x"]["pixel_stride"], fields["stride_x"], fields["dilation_x"],
        fields["x"]["row_stride"] * fields["dilation_y"], fields["y"]["width"], fields["y"]["channels"],
    )  # fmt: skip
    return s3.conv2d_blocks(_filter(arrays), window, fields["x"]["channels"], layout, x_range, clamp)


def _s3_records(kernel: str) -> Rule:
    def rule(arrays: Arrays, fields: Fields, x_range: tuple[int, int]) -> Struct:
        packed = s3_packed(kernel, arrays, fields, x_range)
        assert packed is not None
        return Struct(
            {"blocks": packed.blocks}, fields, body_symbols("s3", kernel, packed.bodies), tuple(packed.chosen)
        )

    return rule


RULES: dict[tuple[str, str], Rule] = {
    ("p4", "conv2d_s8"): _p4_conv2d,
    ("p4", "depthwise_conv2d_s8"): _p4_depthwise_conv2d,
    ("p4", "fully_connected_s8"): _p4_fully_connected,
    ("s3", "conv2d_s8"): _s3_records("conv2d_s8"),
    ("s3", "depthwise_conv2d_s8"): _s3_records("depthwise_conv2d_s8"),
    ("s3", "fully_connected_s8"): _s3_records("fully_connected_s8"),
}
"""(version, kernel) -> rule; kernels without one take the reference's constants."""


def chip_parameters(
    version: str, kernel: str, arrays: Arrays, fields: Fields, x_range: tuple[int, int]
) -> Struct:
    """What the struct of a call of a chip's own kernel holds."""
    rule = RULES.get((version, kernel))
    return rule(arrays, fields, x_range) if rule else Struct(arrays, fields)
