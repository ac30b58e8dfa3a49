"""halo_s8 writes all of the buffer but the image, and nothing else."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from reference_library import STRUCTS, compile_library, fill


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return ctypes.CDLL(str(compile_library(tmp_path_factory.mktemp("halo") / "reference.so")))


@pytest.mark.parametrize("seed", range(40))
def test_everything_around_the_image_and_nothing_else(library, seed):
    source = np.random.default_rng(seed)
    top, left, bottom, right = (int(n) for n in source.integers(0, 4, 4))
    height, width, channels = (int(n) for n in source.integers(1, 9, 3))
    value = int(source.integers(-128, 128))
    buffer = source.integers(-128, 128, (top + height + bottom + 2, left + width + right, channels)).astype(
        np.int8
    )
    inside = (slice(1 + top, 1 + top + height), slice(left, left + width))
    expected = buffer.copy()
    expected[1:-1] = value
    expected[inside] = buffer[inside]
    row_stride, row = (left + width + right) * channels, width * channels
    fields = {
        "value": value,
        "before": top * row_stride + left * channels,
        "row": row,
        "gap": row_stride - row,
        "gaps": height - 1,
        "after": right * channels + bottom * row_stride,
    }
    params = fill(STRUCTS["pienn_halo_s8_params"], fields)
    library.pienn_halo_s8_ref(None, ctypes.c_void_p(buffer[1:].ctypes.data), ctypes.byref(params))
    assert np.array_equal(buffer, expected)
