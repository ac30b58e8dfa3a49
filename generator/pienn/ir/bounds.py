"""Interval arithmetic: what an accumulator can reach, from encodings and the actual weights."""

from __future__ import annotations

import numpy as np

INT32_MINIMUM, INT32_MAXIMUM = -(2**31), 2**31 - 1


def stored_range(zero_point: int) -> tuple[int, int]:
    """Smallest and largest X = x - zero_point."""
    return -128 - zero_point, 127 - zero_point


def rounding(shift: int) -> int:
    """The constant that makes a floor shift round half up."""
    return 1 << (shift - 1) if shift > 0 else 0


def weighted_sum(weight: np.ndarray, bias: np.ndarray, zero_point: int) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest accumulator per output channel, int64 [O].

    weight is [O, ...], bias [O], `zero_point` that of x.  Each X may be 0, so every partial sum that starts
    from the bias lies in between too, and so do the sums of windows that hang over the edge.
    """
    low, high = stored_range(zero_point)
    rows = weight.reshape(weight.shape[0], -1).astype(np.int64)
    positive = np.maximum(rows, 0).sum(axis=1)
    negative = np.minimum(rows, 0).sum(axis=1)
    start = bias.astype(np.int64)
    return start + low * positive + high * negative, start + high * positive + low * negative


def largest_partial_sum(weight: np.ndarray, zero_point: int) -> int:
    """Largest magnitude that a sum of products reaches in any order, bias left out.

    Below 2**24 float32 holds every such sum exactly, below 2**53 float64 does.
    """
    low, high = stored_range(zero_point)
    rows = np.abs(weight.reshape(weight.shape[0], -1).astype(np.int64)).sum(axis=1)
    return int(rows.max(initial=0)) * max(-low, high)
