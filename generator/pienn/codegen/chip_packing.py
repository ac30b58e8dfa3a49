"""What a chip's kernels read instead of the reference's constants: one rule per kernel and chip.

A rule takes the arrays and fields that the reference's struct of a call holds (`codegen.parameters`) and the range of
the input's stored values, and returns what the chip's struct holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pienn.codegen import packing_esp32p4 as p4
from pienn.codegen.packing import Filter

Arrays = dict[str, np.ndarray]
Fields = dict[str, Any]
Rule = Callable[[Arrays, Fields, tuple[int, int]], tuple[Arrays, Fields]]


def _p4_conv2d(arrays: Arrays, fields: Fields, _: tuple[int, int]) -> tuple[Arrays, Fields]:
    packed = Filter(arrays["weights"], arrays["bias"], arrays["shift"])
    window, channels = (fields["kernel_height"], fields["kernel_width"]), fields["x"]["channels"]
    clamped = fields["minimum"] > -128 or fields["maximum"] < 127
    layout = p4.Layout(fields["x"]["pixel_stride"], fields["stride_x"], fields["dilation_x"], clamped)
    blocks = p4.conv2d_blocks(packed, p4.choose_body(window, channels, layout), window, channels)
    return {"blocks": blocks}, fields


RULES: dict[tuple[str, str], Rule] = {("p4", "conv2d_s8"): _p4_conv2d}
"""(version, kernel) -> rule; kernels without one take the reference's constants."""


def chip_parameters(
    version: str, kernel: str, arrays: Arrays, fields: Fields, x_range: tuple[int, int]
) -> tuple[Arrays, Fields]:
    """The arrays and fields of a call of a chip's own kernel."""
    rule = RULES.get((version, kernel))
    return rule(arrays, fields, x_range) if rule else (arrays, fields)
