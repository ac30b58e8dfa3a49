"""A register's bits as lanes of a type: `s8` .. `u64`, `s20`, `s40`, `u40` (any width that divides it), `f32`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from pienn.errors import PiennError

_WHOLE = {8, 16, 32, 64}


def parse_lane_type(name: str) -> tuple[str, int]:
    """('s' | 'u' | 'f', bits) of a lane type's name."""
    match = re.fullmatch(r"([suf])(\d+)", name)
    kind, bits = (match[1], int(match[2])) if match else ("", 0)
    if not 0 < bits <= 64 or (kind == "f" and bits != 32):
        raise PiennError(f"lane type {name!r}: write s or u with a number of bits up to 64 (s8, u20), or f32")
    return kind, bits


def lanes_of(data: bytes, lane_type: str) -> np.ndarray:
    """The lanes of little-endian bytes, lane 0 first; widths that numpy lacks come as the next wider integer."""
    kind, bits = parse_lane_type(lane_type)
    total = 8 * len(data)
    if total % bits:
        raise PiennError(f"{total} bits are no whole number of {lane_type} lanes: choose another width")
    if kind == "f":
        return np.frombuffer(data, np.float32).copy()
    if bits in _WHOLE:
        return np.frombuffer(data, f"{'i' if kind == 's' else 'u'}{bits // 8}").copy()
    word, values = int.from_bytes(data, "little"), []
    for lane in range(total // bits):
        value = word >> lane * bits & (1 << bits) - 1
        values.append(value - (1 << bits) if kind == "s" and value >> bits - 1 else value)
    wide = 64 if bits > 32 else 32
    return np.array(values, f"{'i' if kind == 's' else 'u'}{wide // 8}")


def bytes_of(values: Sequence[float] | np.ndarray, lane_type: str, size: int) -> bytes:
    """The `size` bytes whose lanes are `values`; the reverse of `lanes_of`. A single value fills every lane."""
    kind, bits = parse_lane_type(lane_type)
    lanes, rest = divmod(8 * size, bits)
    given = np.broadcast_to(np.asarray(values), (lanes,)) if np.ndim(values) == 0 else np.asarray(values)
    if rest or given.shape != (lanes,):
        raise PiennError(f"{size} bytes hold {lanes} lanes of {lane_type}, not {given.size}")
    if kind == "f":
        return given.astype(np.float32).tobytes()
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind == "s" else (0, (1 << bits) - 1)
    word = 0
    for lane, value in enumerate(given.tolist()):
        if not low <= value <= high:
            raise PiennError(f"lane {lane} = {value} is outside {lane_type}: {low}..{high}")
        word |= (int(value) & (1 << bits) - 1) << lane * bits
    return word.to_bytes(size, "little")
