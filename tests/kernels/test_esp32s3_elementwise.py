"""ESP32-S3 kernels that move, add, average and compare bytes, against the reference: equal bytes, known cycles."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.esp32p4_calls import run_reference, words_of
from kernels.esp32s3_calls import machine_with, run_simulated, values
from reference.reference_library import Library, compile_library


@pytest.fixture(scope="module")
def library(tool, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compile_library(tmp_path_factory.mktemp("reference") / "reference.so", cc=tool("gcc")))


def simple(library, kernel, operands, size, fields, used=slice(None)) -> int:
    """Cycles of a call without constants that agrees with the reference in the `used` bytes of the result."""
    got, cycles = run_simulated(kernel, operands, np.full(size, 0x77, np.int8), fields, {})
    wanted = run_reference(library, kernel, operands, size, fields, {})
    np.testing.assert_array_equal(got[used], wanted[used], err_msg=f"{kernel} {fields}")
    return cycles


def test_halos_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for unit in (1, 16):
        for _ in range(30):
            numbers = rng.integers(0, 70, 4) if unit == 1 else rng.integers(0, 9, 4) * 16
            before, row, gap, after = (int(number) for number in numbers)
            gaps = int(rng.integers(0, 4))
            fields = {"value": int(rng.integers(-128, 128)), "before": before, "row": row + unit, "gap": gap}
            fields |= {"gaps": gaps, "after": after}
            size = before + row + unit + gaps * (gap + row + unit) + after
            simple(library, "halo_s8", [np.zeros(1, np.int8)], size, fields)


def random_strides(rng, shape: list[int]) -> list[int]:
    """Strides of a box: the last axis dense, or in one case of five every other byte; rows with gaps."""
    last, gap = (1, 2)[rng.random() < 0.2], int(rng.integers(0, 20))
    strides, step = [0, 0, 0, last], shape[3] * last + gap
    for axis in (2, 1, 0):
        strides[axis], step = step, step * shape[axis]
    return strides


def test_copies_agree_with_the_reference_and_read_nothing_else(library) -> None:
    rng = np.random.default_rng(0)
    machine = machine_with("copy_s8")
    for _ in range(150):
        shape = [*(int(n) for n in rng.integers(1, 4, 3)), int(rng.integers(1, 90))]
        fields = {
            "shape": shape,
            "x_strides": random_strides(rng, shape),
            "y_strides": random_strides(rng, shape),
        }
        x, y = (
            values(rng, 1 + sum((n - 1) * s for n, s in zip(shape, fields[f"{name}_strides"])), False)
            for name in "xy"
        )
        machine.release_buffers()
        source = machine.buffer(x, offset=int(rng.integers(0, 17)), constant=True)
        target = machine.buffer(np.full(y.size, 0x77, np.int8), offset=int(rng.integers(0, 17)))
        parameters = machine.buffer(np.array(words_of("copy_s8", fields), np.uint32), constant=True)
        machine.call("pienn_copy_s8_s3", source, target, parameters)
        wanted = run_reference(library, "copy_s8", [x], y.size, fields, {})
        np.testing.assert_array_equal(target.value, wanted, err_msg=str(fields))
