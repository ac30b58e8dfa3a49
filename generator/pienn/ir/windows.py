"""Which elements a sliding window sees."""

from __future__ import annotations

import numpy as np


def elements_inside(
    windows: int, size: int, kernel: int, stride: int, before: int, dilation: int = 1
) -> np.ndarray:
    """How many elements of each window along one axis lie inside 0..size-1, int64 [windows].

    Window i starts at i*stride - before and takes `kernel` elements, `dilation` apart.
    """
    start = np.arange(windows, dtype=np.int64) * stride - before
    first = np.maximum(0, -(start // dilation))
    last = np.minimum(kernel, -((start - size) // dilation))
    return np.maximum(0, last - first)
