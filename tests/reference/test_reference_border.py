"""pienn_quantise and pienn_dequantise equal docs/SPEC.md 1.2 in exact fractions, and the interpreter's border."""

from __future__ import annotations

import ctypes
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from reference_library import compile_library

from pienn.ir import border

SOURCE = """
#include "pienn/pienn.h"
void quantise(const float *x, int8_t *q, int32_t n, int32_t exponent, int32_t zero_point) {
    for (int32_t i = 0; i < n; i++) {
        q[i] = pienn_quantise(x[i], exponent, zero_point);
    }
}
void dequantise(const int8_t *q, float *x, int32_t n, int32_t exponent, int32_t zero_point) {
    for (int32_t i = 0; i < n; i++) {
        x[i] = pienn_dequantise(q[i], exponent, zero_point);
    }
}
"""
HEADER = "void quantise(const float *, int8_t *, int32_t, int32_t, int32_t);\n"
HEADER += "void dequantise(const int8_t *, float *, int32_t, int32_t, int32_t);\n"


@pytest.fixture(scope="module")
def library(tool, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder: Path = tmp_path_factory.mktemp("border")
    source = folder / "border.c"
    source.write_text("#include <stdint.h>\n" + HEADER + SOURCE)
    flags = ("-O2", "-fsanitize=undefined", "-fno-sanitize-recover=all")
    return ctypes.CDLL(str(compile_library(folder / "border.so", [source], flags, tool("gcc"))))


def quantise(library: ctypes.CDLL, x: np.ndarray, exponent: int, zero_point: int) -> np.ndarray:
    x = np.ascontiguousarray(x, np.float32)
    q = np.zeros(x.shape, np.int8)
    library.quantise(
        ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(q.ctypes.data), x.size, exponent, zero_point
    )
    return q


def by_definition(x: float, exponent: int, zero_point: int) -> int:
    if math.isnan(x):
        return zero_point
    if math.isinf(x):
        return 127 if x > 0 else -128
    scaled = Fraction(x) / Fraction(2) ** exponent
    return min(max(math.floor(scaled + Fraction(1, 2)) + zero_point, -128), 127)


def reals(exponent: int) -> np.ndarray:
    """Every value of int8, every half between them and its neighbours, the rails, and what is not a number."""
    steps = np.arange(-520, 521, dtype=np.float64) / 2 * 2.0**exponent
    with np.errstate(over="ignore", under="ignore"):
        near = steps.astype(np.float32)
        low, high = (np.nextafter(near, np.float32(side)) for side in (-np.inf, np.inf))
    tiny = np.float32(2.0**-149)
    limits = np.finfo(np.float32)
    special = [
        0.0,
        -0.0,
        tiny,
        -tiny,
        limits.tiny,
        -limits.tiny,
        limits.max,
        limits.min,
        np.inf,
        -np.inf,
        np.nan,
    ]
    return np.concatenate([near, low, high, np.array(special, np.float32)])


@pytest.mark.parametrize("zero_point", [0, -128])
@pytest.mark.parametrize("exponent", [-64, -63, -20, -8, -1, 0, 1, 7, 30, 62, 63])
def test_quantise_is_exact(library: ctypes.CDLL, exponent: int, zero_point: int) -> None:
    x = reals(exponent)
    q = quantise(library, x, exponent, zero_point)
    assert q.tolist() == [by_definition(float(value), exponent, zero_point) for value in x]
    assert np.array_equal(q, border.quantise(x, exponent, zero_point))


def test_quantise_equals_the_interpreter_on_random_bit_patterns(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(5)
    x = rng.integers(0, 2**32, 200_000, dtype=np.uint32).view(np.float32)
    for exponent in range(-64, 64, 9):
        for zero_point in (0, -128):
            expected = border.quantise(x, exponent, zero_point)
            assert np.array_equal(quantise(library, x, exponent, zero_point), expected), (
                exponent,
                zero_point,
            )


@pytest.mark.parametrize("zero_point", [0, -128])
def test_dequantise_is_exact_and_quantise_inverts_it(library: ctypes.CDLL, zero_point: int) -> None:
    q = np.arange(-128, 128).astype(np.int8)
    for exponent in range(-64, 64):
        x = np.zeros(256, np.float32)
        addresses = ctypes.c_void_p(q.ctypes.data), ctypes.c_void_p(x.ctypes.data)
        library.dequantise(*addresses, 256, exponent, zero_point)
        exact = (q.astype(np.float64) - zero_point) * 2.0**exponent
        assert np.array_equal(x.astype(np.float64), exact)
        assert np.array_equal(quantise(library, x, exponent, zero_point), q)


def test_a_wrong_border_would_be_seen() -> None:
    """The exact values above tell half up from half even and from truncation."""
    x = reals(-1)
    exact = [by_definition(float(value), -1, 0) for value in x]
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = np.clip(np.nan_to_num(x * 2), -1000, 1000)
    for wrong in (np.rint, np.trunc):
        assert np.clip(wrong(scaled), -128, 127).astype(int).tolist() != exact
