"""One call of an ESP32-P4 kernel on the simulator, and the same call of the reference on the host."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from reference.reference_library import STRUCTS, Library

from pienn.isa.assembler import assemble
from pienn.sim.machine import Machine

SOURCES = Path(__file__).resolve().parents[2] / "src_asm" / "esp32p4"
LANES = 16
READ_AHEAD = 48


@cache
def machine_with(kernel: str, revision: int) -> Machine:
    """A machine with the kernel's code loaded."""
    machine = Machine("esp32p4", revision=revision)
    machine.load(assemble(SOURCES / f"{kernel}.S", "esp32p4", revision=revision))
    return machine


def image(height: int, width: int, channels: int, pixel_stride: int = 0, gap: int = 0) -> dict[str, int]:
    """A view as the planner lays images out: pixels padded to whole vectors."""
    pixel_stride = pixel_stride or -(-channels // LANES) * LANES
    return {
        "height": height,
        "width": width,
        "channels": channels,
        "row_stride": width * pixel_stride + gap,
        "pixel_stride": pixel_stride,
        "block_stride": LANES,
    }


def bytes_of(view: Mapping[str, int]) -> int:
    return view["height"] * view["row_stride"]


def elements(view: Mapping[str, int]) -> np.ndarray:
    """Offsets of all elements of a view."""
    y, x, c = np.ogrid[: view["height"], : view["width"], : view["channels"]]
    return y * view["row_stride"] + x * view["pixel_stride"] + c // LANES * view["block_stride"] + c % LANES


def _words(struct: type[ctypes.Structure], values: Mapping[str, Any]) -> list[int]:
    words: list[int] = []
    for field in struct._fields_:
        name, kind = field[0], field[1]
        value = values[name]
        if isinstance(value, Mapping):
            words += _words(kind, value)
        elif isinstance(value, (list, tuple)):
            words += [int(v) for v in value]
        else:
            words.append(int(value or 0))
    return words


def words_of(kernel: str, fields: Mapping[str, Any]) -> list[int]:
    """The parameter struct as 32-bit words; pointers are addresses."""
    return _words(STRUCTS[f"pienn_{kernel}_params"], fields)


def run_simulated(
    kernel: str,
    revision: int,
    operands: Sequence[np.ndarray],
    result_bytes: int,
    fields: Mapping[str, Any],
    pointers: Mapping[str, np.ndarray | None],
    run: Callable[..., Any] | None = None,
    bodies: Sequence[str] = (),
) -> tuple[np.ndarray, int]:
    """(bytes of the result's buffer, cycles). `run` replaces Machine.call; `bodies` are symbols."""
    machine = machine_with(kernel, revision)
    machine.release_buffers()
    ahead = np.full(READ_AHEAD, 0x55, np.int8)
    buffers = [machine.buffer(np.concatenate([o.ravel(), ahead]), constant=True) for o in operands]
    y = machine.buffer(np.full(result_bytes, 0x77, np.int8), name="y")
    values = dict(fields)
    for name, array in pointers.items():
        values[name] = 0
        if array is not None:
            raw = np.ascontiguousarray(array).view(np.int8).ravel()
            values[name] = machine.buffer(np.concatenate([raw, ahead]), constant=True, name=name).address
    if bodies:
        table = np.array([machine.address_of(body) for body in bodies], "<u4")
        values["bodies"] = machine.buffer(table, constant=True, name="bodies").address
    words = np.array(words_of(kernel, values), np.int64)
    parameters = machine.buffer((words & 0xFFFFFFFF).astype(np.uint32), constant=True, name="params")
    result = (run or Machine.call)(machine, f"pienn_{kernel}_p4", *buffers, y, parameters)
    return y.value, result.cycles


def run_reference(
    library: Library,
    kernel: str,
    operands: Sequence[np.ndarray],
    result_bytes: int,
    fields: Mapping[str, Any],
    pointers: Mapping[str, np.ndarray | None],
) -> np.ndarray:
    y = np.full(result_bytes, 0x77, np.int8)
    addresses = [operand.ctypes.data for operand in operands] + [y.ctypes.data]
    library.call(kernel, addresses, {**fields, **pointers})
    return y
