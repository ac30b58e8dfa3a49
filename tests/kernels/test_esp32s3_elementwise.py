"""ESP32-S3 kernels that move, add, average and compare bytes, against the reference: equal bytes, known cycles."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.esp32p4_calls import bytes_of, elements, image, run_reference, words_of
from kernels.esp32s3_calls import machine_with, run_simulated, values, window_fields
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


def add_or_sub(library, kernel, shape, shifts, zero_points, clamp, seed, in_place, gap=0) -> int:
    """Cycles of an add_s8 or sub_s8 that agrees with the reference; rows of the last axis are `gap` bytes apart."""
    rng = np.random.default_rng(seed)
    strides, step = [0, 0, 0, 1], shape[3] + gap
    for axis in (2, 1, 0):
        strides[axis], step = step, step * shape[axis]
    a, b = values(rng, step, seed % 3 == 0), values(rng, step, seed % 3 == 0)
    fields = {
        "shape": shape,
        "a_strides": strides,
        "b_strides": [strides[0], strides[1], strides[2] * (seed % 2), 1],
        "y_strides": strides,
        "minimum": clamp[0],
        "maximum": clamp[1],
        **dict(zip(("a_shift", "b_shift", "shift"), shifts)),
        **dict(zip(("a_zero_point", "b_zero_point", "y_zero_point"), zero_points)),
    }
    machine = machine_with(kernel)
    machine.release_buffers()
    ahead = np.zeros(16, np.int8)
    first, second = (machine.buffer(np.concatenate([operand, ahead])) for operand in (a, b))
    y = first if in_place else machine.buffer(np.full(step, 0x77, np.int8))
    words = np.array(words_of(kernel, fields), np.int64) & 0xFFFFFFFF
    parameters = machine.buffer(words.astype(np.uint32), constant=True)
    cycles = machine.call(f"pienn_{kernel}_s3", first, second, y, parameters).cycles
    wanted = a.copy() if in_place else np.full(step, 0x77, np.int8)
    library.call(kernel, [a.ctypes.data, b.ctypes.data, wanted.ctypes.data], fields)
    np.testing.assert_array_equal(y.value[:step], wanted, err_msg=f"{kernel} {seed} {fields}")
    return cycles


@pytest.mark.parametrize("kernel", ["add_s8", "sub_s8"])
def test_add_and_sub_agree_with_the_reference(library, kernel) -> None:
    seed = 0
    for shape, gap in (([1, 1, 1, 16], 0), ([2, 3, 2, 64], 16), ([1, 2, 1, 144], 0)):
        for a_shift, b_shift in ((0, 0), (1, 0), (0, 3), (6, 0), (0, 6)):
            for shift in (0, 1, 4, 11, 12, 14, 15, 16, 22):
                for zero_points in ((0, 0, 0), (-128, -128, -128), (0, -128, 0), (0, 0, -128)):
                    seed += 1
                    shifts, clamp = (a_shift, b_shift, shift), ((-128, 127), (-30, 40))[seed % 2]
                    add_or_sub(library, kernel, shape, shifts, zero_points, clamp, seed, seed % 4 == 0, gap)


def test_add_is_as_fast_as_promised(library) -> None:
    shape = [1, 1, 1, 16384]
    cycles = add_or_sub(library, "add_s8", shape, (0, 1, 2), (0, 0, 0), (-128, 127), 1, False)
    assert cycles / 16384 <= 0.36


def window(kernel, channels, stride=(1, 2), size=(2, 2), drop=()) -> dict:
    """Fields of a window over an image, those of a convolution less `drop`."""
    fields = window_fields(size, kernel, stride, (1, 1), channels, channels, (-128, 127), 0, 16)
    return {name: value for name, value in fields.items() if name not in drop}


def test_averages_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    drop = ("dilation_y", "dilation_x", "padding_value", "minimum", "maximum")
    for kernel in ((1, 1), (2, 2), (3, 3), (3, 2), (8, 8), (5, 7), (64, 64), (45, 91)):
        for shift in (-5, -1, 0, 1, 2, 7):
            for zero_points in ((0, 0), (-128, -128), (-128, 0)):
                given = dict(zip(("x_zero_point", "y_zero_point"), zero_points)) | {"shift": shift}
                fields = window(kernel, 20, drop=drop) | given
                fields |= {"padding_bottom": 0, "padding_right": 0, "count_include_pad": 1}
                fields["divisor"] = int(rng.choice([0, 7, 16]))
                x = values(rng, bytes_of(fields["x"]), bool(rng.integers(2)))
                if rng.integers(4) == 0:
                    x[:] = rng.choice([-128, 127])
                view = fields["y"]
                simple(library, "avg_pool2d_s8", [x], bytes_of(view), fields, elements(view))
                rows, columns, inner = *kernel, 32
                fields = {
                    "outer": 2,
                    "rows": rows,
                    "columns": columns,
                    "inner": inner,
                    "x_outer_stride": rows * columns * inner + 16,
                    "x_row_stride": columns * inner,
                    "x_column_stride": inner,
                    "y_outer_stride": inner,
                } | given
                x = values(rng, 2 * (rows * columns * inner + 16), False)
                simple(library, "mean_s8", [x], 2 * inner, fields)


def image_fields(channels, gap, **others) -> dict:
    """Fields of an elementwise kernel over two images; rows are `gap` bytes apart."""
    return {"x": image(3, 2, channels, 0, gap), "y": image(3, 2, channels, 0, 16 - gap), **others}


def test_requantised_and_looked_up_images_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    table = values(rng, 256, False)
    for channels in (16, 31, 80):
        for left_shift, shift in ((0, 0), (1, 0), (6, 0), (0, 1), (0, 5), (0, 8), (0, 9), (0, 10), (0, 22)):
            for zero_points in ((0, 0), (-128, -128), (-128, 0), (0, -128)):
                fields = image_fields(channels, int(rng.choice([0, 16])), left_shift=left_shift, shift=shift)
                view, x = fields["y"], values(rng, bytes_of(fields["x"]), bool(rng.integers(2)))
                scale = dict(zip(("x_zero_point", "y_zero_point"), zero_points))
                scale |= (
                    {"minimum": -100, "maximum": 90} if rng.integers(2) else {"minimum": -128, "maximum": 127}
                )
                simple(library, "requantize_s8", [x], bytes_of(view), fields | scale, elements(view))
        fields = image_fields(channels, 16)
        x = values(rng, bytes_of(fields["x"]), False)
        got, _ = run_simulated(
            "lut_s8", [x], np.zeros(bytes_of(fields["y"]), np.int8), fields, {"table": table}
        )
        used = elements(fields["y"])
        np.testing.assert_array_equal(got[used], table[x[elements(fields["x"])].astype(int) + 128])


def test_products_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for shift in (0, 3, 7, 11, 12, 15, 16, 17, 22):
        for zero_points in ((0, 0, 0), (-128, -128, -128), (0, -128, 0), (-128, 0, -128)):
            strides = [320, 160, 80, 1]
            fields = {"shape": [2, 2, 2, 64], "a_strides": strides, "b_strides": [0, 160, 0, 1]}
            fields |= {
                "y_strides": strides,
                "shift": shift,
                "minimum": -128,
                "maximum": int(rng.choice([90, 127])),
            }
            fields |= dict(zip(("a_zero_point", "b_zero_point", "y_zero_point"), zero_points))
            a, b = (values(rng, 640, bool(rng.integers(2))) for _ in "ab")
            simple(library, "mul_s8", [a, b], 640, fields)


def test_softmax_agrees_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for exponent in (-6, -3, 0):
        table = np.floor(32768 * np.exp(-np.arange(256) * 2.0**exponent) + 0.5).astype(np.uint16)
        for channels in (1, 2, 10, 1000):
            fields = {"rows": 3, "channels": channels, "x_row_stride": channels + 1, "y_row_stride": channels}
            x = values(rng, 3 * (channels + 1), bool(rng.integers(2)))
            got, _ = run_simulated(
                "softmax_s8", [x], np.zeros(3 * channels, np.int8), fields, {"table": table}
            )
            wanted = run_reference(library, "softmax_s8", [x], 3 * channels, fields, {"table": table})
            np.testing.assert_array_equal(got, wanted, err_msg=str(fields))


def test_nearest_pixels_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for channels in (8, 16, 40):
        fields = {"x": image(3, 4, channels, 0, 16), "y": image(5, 7, channels)}
        x, view = values(rng, bytes_of(fields["x"]), False), fields["y"]
        pointers = {
            "rows": rng.integers(0, 3, 5).astype(np.int32),
            "columns": rng.integers(0, 4, 7).astype(np.int32),
        }
        size = bytes_of(view)
        got, _ = run_simulated("resize_nearest_s8", [x], np.full(size, 0x77, np.int8), fields, pointers)
        wanted = run_reference(library, "resize_nearest_s8", [x], size, fields, pointers)
        np.testing.assert_array_equal(got[elements(view)], wanted[elements(view)])


def test_transposed_boxes_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        shape, order = [int(n) for n in rng.integers(1, 6, 4)], [int(n) for n in rng.permutation(4)]
        fields = {"shape": shape, "permutation": order}
        sizes = []
        for name, extents in (("x", shape), ("y", [shape[axis] for axis in order])):
            steps = random_strides(rng, extents)
            fields[f"{name}_strides"] = steps
            sizes.append(1 + sum((n - 1) * s for n, s in zip(extents, steps)))
        simple(library, "transpose_s8", [values(rng, sizes[0], False)], sizes[1], fields)
