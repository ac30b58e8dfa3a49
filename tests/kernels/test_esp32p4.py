"""ESP32-P4 assembly against the reference kernels: equal bytes, at a known number of cycles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from kernels.esp32p4_calls import (
    bytes_of,
    elements,
    image,
    machine_with,
    run_reference,
    run_simulated,
    words_of,
)
from reference.reference_library import Library, compile_library

from pienn.codegen import packing
from pienn.codegen.chip_packing import body_symbols
from pienn.codegen.packing_esp32p4 import (
    Layout,
    choose_body,
    choose_depthwise_body,
    conv2d_blocks,
    depthwise_blocks,
    fully_connected_blocks,
)
from pienn.sim.machine import Machine
from pienn.sim.stops import SimulationStop


@pytest.fixture(scope="module")
def library(tool, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compile_library(tmp_path_factory.mktemp("reference") / "reference.so", cc=tool("gcc")))


def values(rng: np.random.Generator, shape: Any, rails: bool, low: int = -128) -> np.ndarray:
    if rails:
        return rng.choice(np.array([low, 127], np.int8), shape)
    return rng.integers(low, 128, shape).astype(np.int8)


def filter_of(rng: np.random.Generator, shape: Any, rails: bool) -> packing.Filter:
    """Random weights `[outputs, ...]` with shifts that bring most sums near int8."""
    outputs = packing.padded(shape[0])
    likely = int(np.log2(np.prod(shape[1:]) * 4000))
    shift = rng.integers(max(0, likely - 9), likely - 4, outputs).astype(np.uint8)
    bias = (rng.normal(size=outputs) * 40 * 2.0**shift).astype(np.int32)
    return packing.Filter(packing.block_weights(values(rng, shape, rails, -127)), bias, shift)


def window_fields(size, kernel, stride, dilation, channels, outputs, clamp, pixel_stride, gap):
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
        "y": image(*size, outputs, 0, gap),
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


def compare(library: Library, kernel: str, revision, operands, fields, packed, blocks, body, run=None) -> int:
    """Equal results; cycles of the simulated call."""
    size = bytes_of(fields["y"])
    pointers = {"weights": None, "bias": None, "shift": None, "blocks": blocks, "bodies": None}
    bodies = body_symbols("p4", kernel, [body])
    got, cycles = run_simulated(kernel, revision, operands, size, fields, pointers, run, bodies)
    pointers |= {"weights": packed.weights, "bias": packed.bias, "shift": packed.shift, "blocks": None}
    wanted = run_reference(library, kernel, operands, size, fields, pointers)
    used = elements(fields["y"])
    np.testing.assert_array_equal(got[used], wanted[used])
    view = fields["y"]
    gaps = got.reshape(view["height"], view["row_stride"])[:, view["width"] * view["pixel_stride"] :]
    assert (gaps == 0x77).all(), "written between the rows"
    return cycles


def conv2d(
    library,
    size,
    channels,
    outputs,
    kernel=(1, 1),
    stride=(1, 1),
    dilation=(1, 1),
    clamp=(-128, 127),
    revision=3,
    rails=False,
    pixel_stride=0,
    gap=0,
    packed_pixels=False,
    seed=0,
    run=None,
):
    """(body, cycles) of a conv2d_s8 that agrees with the reference."""
    rng = np.random.default_rng(seed)
    fields = window_fields(size, kernel, stride, dilation, channels, outputs, clamp, pixel_stride, gap)
    if packed_pixels:
        width = packing.padded(fields["x"]["width"] * channels)
        fields["x"] |= {"pixel_stride": channels, "row_stride": width}
    x = values(rng, bytes_of(fields["x"]), rails)
    packed = filter_of(rng, (outputs, *kernel, channels), rails)
    layout = Layout(fields["x"]["pixel_stride"], stride[1], dilation[1], clamp != (-128, 127), outputs)
    body = choose_body(kernel, channels, layout)
    blocks = conv2d_blocks(packed, body, kernel, channels)
    cycles = compare(library, "conv2d_s8", revision, [x], fields | {"groups": 1}, packed, blocks, body, run)
    return body.name, cycles


CONV2D = {
    "1x1": [{"size": (3, 5), "channels": c, "outputs": 20} for c in (5, 8, 16, 21, 32, 40, 64, 80, 128, 192)],
    "1x1 with gaps": [
        {"size": (3, 5), "channels": c, "outputs": 16, "gap": 16, "pixel_stride": 256}
        for c in (8, 16, 64, 120)
    ],
    "1x1 in steps": [
        {"size": (3, 4), "channels": c, "outputs": 16, "stride": (2, 3)}
        for c in (8, 16, 24, 32, 40, 48, 64, 72, 96)
    ],
    "3x3": [
        {"size": (3, 4), "channels": c, "outputs": 24, "kernel": (3, 3)}
        for c in (3, 8, 16, 24, 32, 40, 48, 64)
    ],
    "3x3 in steps": [
        {"size": (2, 3), "channels": c, "outputs": 8, "kernel": (3, 3), "stride": (2, 2), "gap": 32}
        for c in (8, 16, 24, 32, 64)
    ],
    "first layers": [
        {"size": (3, 35), "channels": 3, "outputs": 16, "kernel": (3, 3), "packed_pixels": True},
        {"size": (2, 1), "channels": 3, "outputs": 8, "kernel": (3, 3), "packed_pixels": True},
        {
            "size": (3, 19),
            "channels": 3,
            "outputs": 24,
            "kernel": (3, 3),
            "stride": (2, 2),
            "packed_pixels": True,
        },
        {
            "size": (5, 5),
            "channels": 1,
            "outputs": 24,
            "kernel": (10, 4),
            "stride": (2, 2),
            "packed_pixels": True,
        },
        {"size": (2, 19), "channels": 2, "outputs": 16, "kernel": (2, 2), "packed_pixels": True},
        {
            "size": (3, 19),
            "channels": 1,
            "outputs": 24,
            "kernel": (10, 4),
            "stride": (2, 2),
            "packed_pixels": True,
        },
        {
            "size": (3, 19),
            "channels": 1,
            "outputs": 24,
            "kernel": (6, 4),
            "stride": (2, 2),
            "packed_pixels": True,
        },
        *(
            {
                "size": (3, width),
                "channels": 3,
                "outputs": 8,
                "kernel": (3, 3),
                "stride": (2, 2),
                "packed_pixels": True,
            }
            for width in (1, 2, 7, 18)
        ),
    ],
    "others": [
        {"size": (2, 3), "channels": 16, "outputs": 16, "kernel": (5, 5)},
        {"size": (2, 3), "channels": 8, "outputs": 16, "kernel": (3, 2), "dilation": (2, 3)},
        {"size": (2, 3), "channels": 48, "outputs": 16, "kernel": (3, 3), "dilation": (2, 2)},
        {"size": (2, 3), "channels": 32, "outputs": 16, "kernel": (1, 7), "pixel_stride": 64},
        {"size": (4, 1), "channels": 32, "outputs": 16, "kernel": (7, 1), "pixel_stride": 64},
    ],
}


@pytest.mark.parametrize("revision", [1, 3])
@pytest.mark.parametrize("clamp", [(-128, 127), (-50, 60)])
@pytest.mark.parametrize("group", CONV2D)
def test_conv2d_agrees_with_the_reference(library, group, clamp, revision) -> None:
    for case in CONV2D[group]:
        for rails in (False, True):
            conv2d(library, **case, clamp=clamp, revision=revision, rails=rails)


@pytest.mark.parametrize(
    ("floor", "case"),
    [
        (13.6, {"size": (10, 10), "channels": 64, "outputs": 64}),
        (14.0, {"size": (7, 7), "channels": 256, "outputs": 256}),
        (14.0, {"size": (16, 16), "channels": 64, "outputs": 64, "kernel": (3, 3)}),
        (14.0, {"size": (32, 32), "channels": 16, "outputs": 16, "kernel": (3, 3)}),
        (11.5, {"size": (14, 14), "channels": 24, "outputs": 40, "kernel": (3, 3)}),
        (13.1, {"size": (14, 14), "channels": 40, "outputs": 64, "kernel": (3, 3)}),
        (12.2, {"size": (14, 14), "channels": 40, "outputs": 64}),
        (9.4, {"size": (14, 14), "channels": 16, "outputs": 64, "stride": (2, 2)}),
        (
            11.0,
            {
                "size": (48, 48),
                "channels": 3,
                "outputs": 16,
                "kernel": (3, 3),
                "stride": (2, 2),
                "packed_pixels": True,
            },
        ),
    ],
)
def test_conv2d_is_as_fast_as_promised(library, floor, case) -> None:
    _, cycles = conv2d(library, **case)
    kernel = case.get("kernel", (1, 1))
    macs = np.prod(case["size"]) * case["channels"] * case["outputs"] * np.prod(kernel)
    assert macs / cycles >= floor


def test_another_tasks_rounding_makes_revision_1_compute_a_tile_again(library) -> None:
    disturbed = []

    def run(machine: Machine, function: str, *arguments: Any) -> Any:
        plain = machine.call(function, *arguments)
        with pytest.raises(SimulationStop):
            machine.call(function, *arguments, max_instructions=plain.instructions // 2)
        machine.state("cfg")[0] = 0x60
        machine.run()
        disturbed.append(machine.instructions > plain.instructions * 5 // 4)
        return plain

    conv2d(library, (3, 4), 16, 32, (3, 3), revision=1, run=run)
    assert disturbed == [True]


def depthwise(
    library,
    size,
    channels,
    kernel=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    clamp=(-128, 127),
    revision=3,
    rails=False,
    pixel_stride=0,
    gap=0,
    seed=0,
):
    """Cycles of a depthwise_conv2d_s8 that agrees with the reference."""
    rng = np.random.default_rng(seed)
    fields = window_fields(size, kernel, stride, dilation, channels, channels, clamp, pixel_stride, gap)
    x = values(rng, bytes_of(fields["x"]), rails)
    packed = filter_of(rng, (channels, *kernel), rails)
    layout = Layout(fields["x"]["pixel_stride"], stride[1], dilation[1], clamp != (-128, 127))
    body = choose_depthwise_body(kernel, layout, dilation[0])
    blocks = depthwise_blocks(packed, body)
    return compare(library, "depthwise_conv2d_s8", revision, [x], fields, packed, blocks, body)


DEPTHWISE = {
    "3x3": [{"size": (3, w), "channels": 40} for w in (1, 2, 3, 6)],
    "3x3 in steps": [
        {"size": (2, w), "channels": 16, "stride": (s, 2)} for w in (1, 2, 3, 6) for s in (1, 2)
    ],
    "5x5": [
        {"size": (2, 4), "channels": 24, "kernel": (5, 5), "stride": (2, 2)},
        {"size": (2, 3), "channels": 16, "kernel": (5, 5), "dilation": (2, 3), "gap": 16},
    ],
    "others": [
        {"size": (2, 3), "channels": 16, "stride": (3, 3)},
        {"size": (2, 3), "channels": 16, "dilation": (2, 2), "pixel_stride": 48},
        {"size": (3, 2), "channels": 8, "kernel": (1, 7)},
        {"size": (3, 2), "channels": 20, "kernel": (7, 1), "gap": 32},
    ],
}


@pytest.mark.parametrize("revision", [1, 3])
@pytest.mark.parametrize("clamp", [(-128, 127), (-50, 60)])
@pytest.mark.parametrize("group", DEPTHWISE)
def test_depthwise_conv2d_agrees_with_the_reference(library, group, clamp, revision) -> None:
    for case in DEPTHWISE[group]:
        for rails in (False, True):
            depthwise(library, **case, clamp=clamp, revision=revision, rails=rails)


@pytest.mark.parametrize(
    ("floor", "case"),
    [
        (7.1, {"size": (28, 28), "channels": 64}),
        (7.2, {"size": (14, 14), "channels": 48, "kernel": (5, 5), "stride": (2, 2)}),
    ],
)
def test_depthwise_conv2d_is_as_fast_as_promised(library, floor, case) -> None:
    macs = np.prod(case["size"]) * case["channels"] * np.prod(case.get("kernel", (3, 3)))
    assert macs / depthwise(library, **case) >= floor


def fully_connected(library, rows, depth, columns, clamp=(-128, 127), revision=3, rails=False, seed=0):
    """Cycles of a fully_connected_s8 that agrees with the reference."""
    rng = np.random.default_rng(seed)
    stride, y_stride = packing.padded(depth), packing.padded(columns) + 16
    x = values(rng, rows * stride, rails)
    packed = filter_of(rng, (columns, depth), rails)
    fields = {
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "x_row_stride": stride,
        "y_row_stride": y_stride,
        "minimum": clamp[0],
        "maximum": clamp[1],
    }
    pointers = {"weights": None, "bias": None, "shift": None, "blocks": fully_connected_blocks(packed, depth)}
    size = rows * y_stride
    got, cycles = run_simulated("fully_connected_s8", revision, [x], size, fields, pointers)
    pointers = {"weights": packed.weights, "bias": packed.bias, "shift": packed.shift, "blocks": None}
    wanted = run_reference(library, "fully_connected_s8", [x], size, fields, pointers)
    used = slice(0, columns)
    np.testing.assert_array_equal(got.reshape(rows, -1)[:, used], wanted.reshape(rows, -1)[:, used])
    assert (got.reshape(rows, -1)[:, packing.padded(columns) :] == 0x77).all(), "written between the rows"
    return cycles


@pytest.mark.parametrize("revision", [1, 3])
def test_fully_connected_agrees_with_the_reference(library, revision) -> None:
    for rows, depth, columns in ((1, 8, 40), (1, 64, 12), (1, 80, 16), (3, 100, 33), (2, 128, 5)):
        for rails, clamp in ((False, (-128, 127)), (True, (-50, 60))):
            fully_connected(library, rows, depth, columns, clamp, revision, rails)


def test_fully_connected_is_as_fast_as_promised(library) -> None:
    assert 640 * 128 / fully_connected(library, 1, 640, 128) >= 14


def add_or_sub(library, kernel, shape, shifts, zero_points, clamp, revision, seed, in_place, gap=0):
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
    machine = machine_with(kernel, revision)
    machine.release_buffers()
    ahead = np.zeros(16, np.int8)
    first, second = (machine.buffer(np.concatenate([operand, ahead])) for operand in (a, b))
    y = first if in_place else machine.buffer(np.full(step, 0x77, np.int8))
    words = np.array(words_of(kernel, fields), np.int64) & 0xFFFFFFFF
    parameters = machine.buffer(words.astype(np.uint32), constant=True)
    cycles = machine.call(f"pienn_{kernel}_p4", first, second, y, parameters).cycles
    wanted = a.copy() if in_place else np.full(step, 0x77, np.int8)
    library.call(kernel, [a.ctypes.data, b.ctypes.data, wanted.ctypes.data], fields)
    np.testing.assert_array_equal(y.value[:step], wanted)
    return cycles


@pytest.mark.parametrize("revision", [1, 3])
@pytest.mark.parametrize("kernel", ["add_s8", "sub_s8"])
def test_add_and_sub_agree_with_the_reference(library, kernel, revision) -> None:
    seed = 0
    for shape, gap in (([1, 1, 1, 16], 0), ([2, 3, 2, 64], 16), ([1, 2, 1, 144], 0)):
        for a_shift, b_shift in ((0, 0), (1, 0), (0, 3), (6, 0), (0, 6)):
            for shift in (0, 1, 4, 22):
                for zero_points in ((0, 0, 0), (-128, -128, -128), (0, -128, 0)):
                    seed += 1
                    shifts, clamp = (a_shift, b_shift, shift), ((-128, 127), (-30, 40))[seed % 2]
                    add_or_sub(
                        library, kernel, shape, shifts, zero_points, clamp, revision, seed, seed % 4 == 0, gap
                    )


def test_add_is_as_fast_as_promised(library) -> None:
    shape = [1, 1, 1, 16384]
    cycles = add_or_sub(library, "add_s8", shape, (0, 1, 2), (0, 0, 0), (-128, 127), 3, 1, False)
    assert cycles / 16384 <= 0.37


def simple(library, kernel, operands, size, fields, revision=3, used=slice(None)) -> int:
    """Cycles of a call without constants that agrees with the reference in the `used` bytes of the result."""
    got, cycles = run_simulated(kernel, revision, operands, size, fields, {})
    wanted = run_reference(library, kernel, operands, size, fields, {})
    np.testing.assert_array_equal(got[used], wanted[used], err_msg=f"{kernel} {fields}")
    return cycles


@pytest.mark.parametrize("revision", [1, 3])
def test_averages_agree_with_the_reference(library, revision) -> None:
    rng = np.random.default_rng(revision)
    for kernel in ((1, 1), (2, 2), (3, 3), (3, 2), (8, 8), (5, 7)):
        for shift in (-5, -1, 0, 1, 2, 7):
            for zero_points in ((0, 0), (-128, -128), (-128, 0)):
                given = dict(zip(("x_zero_point", "y_zero_point"), zero_points)) | {"shift": shift}
                fields = window_fields((2, 2), kernel, (1, 2), (1, 1), 20, 20, (-128, 127), 0, 16)
                for name in ("dilation_y", "dilation_x", "padding_value", "minimum", "maximum"):
                    del fields[name]
                fields |= given | {"padding_bottom": 0, "padding_right": 0, "count_include_pad": 1}
                fields["divisor"] = int(rng.choice([0, 7, 16]))
                x = values(rng, bytes_of(fields["x"]), bool(rng.integers(2)))
                view = fields["y"]
                simple(library, "avg_pool2d_s8", [x], bytes_of(view), fields, revision, elements(view))
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
                simple(library, "mean_s8", [x], 2 * inner, fields, revision)


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


def test_copies_agree_with_the_reference_and_read_nothing_else(library) -> None:
    rng = np.random.default_rng(0)
    for number in range(100):
        shape = [*(int(n) for n in rng.integers(1, 4, 3)), int(rng.integers(1, 90))]
        strides, offsets = [], []
        for _ in "xy":
            last, gap = (1, 2)[rng.random() < 0.2], int(rng.integers(0, 20))
            steps, step = [0, 0, 0, last], shape[3] * last + gap
            for axis in (2, 1, 0):
                steps[axis], step = step, step * shape[axis]
            strides.append(steps)
            offsets.append(int(rng.integers(0, 17)))
        sizes = [1 + sum((n - 1) * s for n, s in zip(shape, steps)) for steps in strides]
        x = values(rng, sizes[0], False)
        fields = {"shape": shape, "x_strides": strides[0], "y_strides": strides[1]}
        machine = machine_with("copy_s8", 1 + number % 2 * 2)
        machine.release_buffers()
        source = machine.buffer(x, offset=offsets[0], constant=True)
        target = machine.buffer(np.full(sizes[1], 0x77, np.int8), offset=offsets[1])
        parameters = machine.buffer(np.array(words_of("copy_s8", fields), np.uint32))
        machine.call("pienn_copy_s8_p4", source, target, parameters)
        wanted = run_reference(library, "copy_s8", [x], sizes[1], fields, {})
        np.testing.assert_array_equal(target.value, wanted, err_msg=str(fields))


@pytest.mark.parametrize("revision", [1, 3])
def test_maxima_agree_with_the_reference(library, revision) -> None:
    rng = np.random.default_rng(revision)
    for width in (1, 2, 5):
        for channels in (5, 16, 20, 32, 48):
            for kernel in ((2, 2), (3, 3), (1, 1), (2, 5)):
                for stride, dilation in (((2, 2), (1, 1)), ((1, 3), (1, 2))):
                    fields = window_fields(
                        (3, width), kernel, stride, dilation, channels, channels, (0, 0), 0, 0
                    )
                    for name in ("padding_value", "minimum", "maximum"):
                        del fields[name]
                    x = values(rng, bytes_of(fields["x"]), False)
                    view = fields["y"]
                    simple(library, "max_pool2d_s8", [x], bytes_of(view), fields, revision, elements(view))


@pytest.mark.parametrize(
    ("limit", "kernel", "channels"), [(0.45, 2, 32), (0.62, 2, 64), (1.25, 3, 64), (0.47, 2, 16)]
)
def test_max_pool2d_is_as_fast_as_promised(library, limit, kernel, channels) -> None:
    """In cycles per element of the result."""
    fields = window_fields((16, 16), (kernel, kernel), (2, 2), (1, 1), channels, channels, (0, 0), 0, 0)
    for name in ("padding_value", "minimum", "maximum"):
        del fields[name]
    x = values(np.random.default_rng(0), bytes_of(fields["x"]), False)
    cycles = simple(library, "max_pool2d_s8", [x], bytes_of(fields["y"]), fields)
    print(cycles / (16 * 16 * channels))
    assert cycles / (16 * 16 * channels) <= limit


@pytest.mark.parametrize("revision", [1, 3])
def test_products_agree_with_the_reference(library, revision) -> None:
    rng = np.random.default_rng(revision)
    shape, strides = [2, 3, 2, 64], [480, 160, 80, 1]
    for shift in (0, 1, 7, 22):
        for zero_points in ((0, 0, 0), (-128, -128, -128), (0, -128, 0), (-128, 0, -128)):
            fields = dict(zip(("a_zero_point", "b_zero_point", "y_zero_point"), zero_points))
            fields |= {"shape": shape, "shift": shift, "minimum": -100, "maximum": 127}
            fields |= {f"{name}_strides": strides for name in "aby"}
            operands = [values(rng, 960, rails) for rails in (False, shift == 22)]
            simple(library, "mul_s8", operands, 960, fields, revision)


@pytest.mark.parametrize("revision", [1, 3])
def test_requantize_and_lut_agree_with_the_reference(library, revision) -> None:
    rng = np.random.default_rng(revision)
    for channels in (1, 16, 21, 64):
        view = image(2, 3, channels, 0, 16)
        x = values(rng, bytes_of(view), False)
        table = rng.integers(-128, 128, 256).astype(np.int8)
        used = elements(view)
        got, _ = run_simulated(
            "lut_s8", revision, [x], bytes_of(view), {"x": view, "y": view}, {"table": table}
        )
        np.testing.assert_array_equal(got[used], table[x[used].astype(np.int32) + 128])
        for left_shift, shift in ((0, 0), (0, 1), (0, 22), (6, 0)):
            for zero_points in ((0, 0), (-128, -128), (0, -128), (-128, 0)):
                fields = dict(zip(("x_zero_point", "y_zero_point"), zero_points))
                fields |= {"x": view, "y": view, "left_shift": left_shift, "shift": shift}
                fields |= {"minimum": -100, "maximum": 90}
                simple(library, "requantize_s8", [x], bytes_of(view), fields, revision, used)


def test_softmax_agrees_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for exponent in range(-8, 1):
        table = np.floor(32768 * np.exp(-np.arange(256) * 2.0**exponent) + 0.5).astype(np.uint16)
        for rows, channels in ((1, 1), (3, 10), (2, 77)):
            strides = channels + rng.integers(0, 5, 2)
            fields = {"rows": rows, "channels": channels}
            fields |= {"x_row_stride": int(strides[0]), "y_row_stride": int(strides[1])}
            x, size = (
                values(rng, rows * fields["x_row_stride"], channels == 10),
                rows * fields["y_row_stride"],
            )
            pointers = {"table": table}
            got, _ = run_simulated("softmax_s8", 3, [x], size, fields, pointers)
            wanted = run_reference(library, "softmax_s8", [x], size, fields, pointers)
            np.testing.assert_array_equal(got, wanted)


def test_resize_nearest_agrees_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for channels in (5, 16, 40):
        x_view, y_view = image(3, 4, channels, 64, 16), image(7, 5, channels, 0, 16)
        pointers = {
            "rows": rng.integers(0, 3, 7).astype(np.int32),
            "columns": rng.integers(0, 4, 5).astype(np.int32),
        }
        fields = {"x": x_view, "y": y_view}
        x, size, used = values(rng, bytes_of(x_view), False), bytes_of(y_view), elements(y_view)
        got, _ = run_simulated("resize_nearest_s8", 3, [x], size, fields, pointers)
        wanted = run_reference(library, "resize_nearest_s8", [x], size, fields, pointers)
        np.testing.assert_array_equal(got[used], wanted[used])
        assert (got.reshape(7, -1)[:, -16:] == 0x77).all(), "written between the rows"
