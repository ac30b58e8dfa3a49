"""The fewest instructions that a call can take on either chip: one issue a cycle, 16 lanes, a load fused into a MAC.

Per vector of 16 results. A convolution needs a MAC per tap and input channel; the load of the weights rides in it, the
loads of the input ride in the MACs of four weight vectors that stay in registers; starting the accumulator takes four
loads, requantising and storing one each. Depthwise MACs have two operands of their own, of which one load rides.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from pienn.ir.dialect import shape_of
from pienn.plan.layout import LANES, whole_vectors

if TYPE_CHECKING:
    from pienn.plan.plan import Call

START, FINISH = 4, 2  # load the accumulator; requantise and store
RESIDENT = 4  # weight vectors that stay in registers


def issue_bound(call: Call) -> int:
    """Cycles below which the call cannot be, however it is scheduled."""
    shape = call.writes.shape
    vectors = prod(shape[:-1]) * whole_vectors(shape[-1]) // LANES
    name = call.kernel.name
    if name in ("conv2d_s8", "fully_connected_s8"):
        *taps, channels = shape_of(call.op.operands[1])[1:]
        macs = prod(taps) * channels
        loads = prod(taps) * whole_vectors(channels) // LANES if channels >= LANES else -(-macs // LANES)
        return vectors * (macs + max(0, loads - RESIDENT) + START + FINISH)
    if name == "depthwise_conv2d_s8":
        return vectors * (2 * prod(shape_of(call.op.operands[1])[1:3]) + 1)
    if name in ("add_s8", "sub_s8"):
        return vectors * 5
    if name == "max_pool2d_s8":
        kernel = call.op.parameters["kernel"]
        assert isinstance(kernel, tuple)
        return vectors * (prod(kernel) + 1)
    if call.margins is not None:
        height, width, _ = shape
        margins, stride = call.margins, call.writes.strides[1]
        whole = (margins.top + height + margins.bottom) * (margins.left + width + margins.right)
        return (whole - height * width) * stride // LANES
    read = sum(prod(view.shape) for view in call.reads)
    return (whole_vectors(read) + whole_vectors(prod(shape))) // LANES  # each vector loaded, or stored, once
