"""One call of an ESP32-S3 kernel on the simulator, compared with the same call of the reference on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from kernels.esp32p4_calls import READ_AHEAD, bytes_of, elements, image, run_reference
from reference.reference_library import Library

from pienn.codegen import packing
from pienn.codegen.structs import struct_bytes
from pienn.isa.assembler import assemble
from pienn.sim.machine import Machine

SOURCES = Path(__file__).resolve().parents[2] / "src_asm" / "esp32s3"
UNWRITTEN = 0x77


@cache
def machine_with(kernel: str) -> Machine:
    """A machine with the kernel's code loaded."""
    machine = Machine("esp32s3")
    machine.load(assemble(SOURCES / f"{kernel}.S", "esp32s3"))
    return machine


def run_simulated(
    kernel: str,
    operands: Sequence[np.ndarray],
    result: np.ndarray,
    fields: Mapping[str, Any],
    pointers: Mapping[str, np.ndarray],
    in_place: bool = False,
    bodies: Sequence[str] = (),
) -> tuple[np.ndarray, int]:
    """(bytes of the result's buffer, which start as `result`; cycles). `bodies` are symbols."""
    machine = machine_with(kernel)
    machine.release_buffers()
    ahead = np.full(READ_AHEAD, 0x55, np.int8)
    if in_place:
        operands = operands[1:]
    buffers = [machine.buffer(np.concatenate([o.ravel(), ahead]), constant=True) for o in operands]
    y = machine.buffer(result, name="y")
    addresses = {}
    for name, array in pointers.items():
        raw = np.ascontiguousarray(array).view(np.int8).ravel()
        addresses[name] = machine.buffer(np.concatenate([raw, ahead]), constant=True, name=name).address
    if bodies:
        table = np.array([machine.address_of(body) for body in bodies], "<u4")
        addresses["bodies"] = machine.buffer(table, constant=True, name="bodies").address
    data = np.frombuffer(struct_bytes(kernel, addresses, fields), np.uint8)
    parameters = machine.buffer(data, constant=True, name="params")
    arguments = [*([y] if in_place else []), *buffers, y, parameters]
    cycles = machine.call(f"pienn_{kernel}_s3", *arguments).cycles
    return y.value, cycles


def compare(
    library: Library,
    kernel: str,
    operands: Sequence[np.ndarray],
    fields: Mapping[str, Any],
    blocks: np.ndarray,
    bodies: Sequence[str],
    packed: packing.Filter,
    used: np.ndarray,
    size: int,
) -> int:
    """Cycles of the chip (reads `blocks`); equal to the reference (reads `packed`) where `used` says."""
    untouched = np.full(size, UNWRITTEN, np.int8)
    got, cycles = run_simulated(kernel, operands, untouched, fields, {"blocks": blocks}, bodies=bodies)
    pointers = {
        "weights": packed.weights,
        "bias": packed.bias,
        "shift": packed.shift,
        "blocks": None,
        **({"bodies": None} if bodies else {}),
    }
    wanted = run_reference(library, kernel, operands, size, fields, pointers)
    np.testing.assert_array_equal(got[used], wanted[used])
    return cycles


def values(rng: np.random.Generator, shape: Any, rails: bool, low: int = -128, high: int = 127) -> np.ndarray:
    if rails:
        return rng.choice(np.array([low, high], np.int8), shape)
    return rng.integers(low, high + 1, shape).astype(np.int8)


def filter_of(
    rng: np.random.Generator,
    shape: Any,
    rails: bool,
    large: bool,
    shifts: int,
    depthwise: bool = False,
) -> packing.Filter:
    """Random weights `[outputs, ...]`; blocks have `shifts` different shifts. Sums of `large` ones leave 20 bits,
    those of `carried` ones by their bias alone."""
    outputs = packing.padded(shape[0])
    inputs = int(np.prod(shape[1:]))
    bound = 127 if large else int(np.clip(2**18 // (inputs * 128), 1, 127))
    weights = values(rng, shape, rails, -bound, bound)
    middle = max(shifts - 1, round(np.log2(np.sqrt(inputs) * bound * 80 / 100))) if not large else 11
    shift = (middle - rng.permutation(np.arange(outputs) % shifts)).astype(np.uint8)
    bias = (rng.normal(size=outputs) * 30 * 2.0 ** np.minimum(shift, 9)).astype(np.int32)
    if large == "carried":
        shift += 2
        bias -= np.int32(100) << shift
    return packing.Filter(packing.block_weights(weights), bias, shift)


def window_fields(
    size, kernel, stride, dilation, channels, outputs, clamp, pixel_stride, gap, y_gap=None
) -> dict[str, Any]:
    """Fields of a convolution over an image that has its padding in memory."""
    x = image(
        (size[0] - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1,
        (size[1] - 1) * stride[1] + (kernel[1] - 1) * dilation[1] + 1,
        channels,
        pixel_stride,
        gap,
    )
    return {
        "x": x,
        "y": image(*size, outputs, 0, -(-gap // 16) * 16 if y_gap is None else y_gap),
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_y": stride[0],
        "stride_x": stride[1],
        "dilation_y": dilation[0],
        "dilation_x": dilation[1],
        "padding_top": 0,
        "padding_left": 0,
        "padding_value": 0,
        "minimum": clamp[0],
        "maximum": clamp[1],
    }


def used_of(view: Mapping[str, int]) -> tuple[np.ndarray, int]:
    """Offsets to compare: all elements, and the gaps between rows, which nothing may write; and the buffer's size."""
    size = bytes_of(view)
    rows = np.arange(view["height"])[:, None] * view["row_stride"]
    gaps = rows + np.arange(view["width"] * view["pixel_stride"], view["row_stride"])
    return np.concatenate([elements(view).ravel(), gaps.ravel()]), size
