"""From reals to stored int8 values and back, to the bit (docs/SPEC.md, section 1.2)."""

from __future__ import annotations

import numpy as np


def quantise(x: np.ndarray, exponent: int, zero_point: int) -> np.ndarray:
    """Reals of any numeric dtype to stored int8; int8 input is taken as stored already.

    float64 rounds to float32 first, ties to even; then half up.  NaN becomes `zero_point`, infinities
    saturate.
    """
    if x.dtype == np.int8:
        return x.copy()
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        scaled = x.astype(np.float32) * np.float32(2.0**-exponent)
    scaled = np.clip(np.where(np.isnan(scaled), np.float32(0), scaled), np.float32(-1024), np.float32(1024))
    whole = np.floor(scaled)
    rounded = whole + (scaled - whole >= np.float32(0.5))
    return np.clip(rounded + zero_point, -128, 127).astype(np.int8)


def dequantise(q: np.ndarray, exponent: int, zero_point: int) -> np.ndarray:
    """Stored int8 to float32 reals."""
    return (q.astype(np.int16) - np.int16(zero_point)).astype(np.float32) * np.float32(2.0**exponent)
