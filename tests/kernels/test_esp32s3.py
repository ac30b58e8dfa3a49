"""ESP32-S3 assembly against the reference kernels: equal bytes, at a known number of cycles."""

from __future__ import annotations

import numpy as np
import pytest
from kernels.esp32p4_calls import bytes_of, elements, run_reference
from kernels.esp32s3_calls import (
    UNWRITTEN,
    compare,
    filter_of,
    run_simulated,
    used_of,
    values,
    window_fields,
)
from reference.reference_library import Library, compile_library

from pienn.codegen.chip_packing import body_symbols
from pienn.codegen.packing_esp32s3 import (
    LARGER_BIAS,
    SMALL_BIAS,
    Layout,
    conv2d_blocks,
    depthwise_blocks,
    fully_connected_blocks,
)


@pytest.fixture(scope="module")
def library(tool, tmp_path_factory: pytest.TempPathFactory) -> Library:
    return Library(compile_library(tmp_path_factory.mktemp("reference") / "reference.so", cc=tool("gcc")))


def conv2d(
    library,
    size,
    channels,
    outputs,
    kernel=(1, 1),
    stride=(1, 1),
    dilation=(1, 1),
    clamp=(-128, 127),
    rails=False,
    large=False,
    shifts=1,
    pixel_stride=0,
    gap=0,
    y_gap=None,
    seed=0,
    packed=None,
):
    """(bodies and modes of the blocks, cycles) of a conv2d_s8 that agrees with the reference."""
    rng = np.random.default_rng(seed)
    fields = window_fields(size, kernel, stride, dilation, channels, outputs, clamp, pixel_stride, gap, y_gap)
    x = values(rng, bytes_of(fields["x"]), rails)
    if packed is None:
        packed = filter_of(rng, (outputs, *kernel, channels), rails, large, shifts)
    x_view = fields["x"]
    layout = Layout(
        x_view["pixel_stride"], stride[1], dilation[1], x_view["row_stride"] * dilation[0], size[1], outputs
    )
    chip = conv2d_blocks(packed, kernel, channels, layout, (-128, 127), clamp)
    used, bytes_of_y = used_of(fields["y"])
    cycles = compare(
        library,
        "conv2d_s8",
        [x],
        fields | {"groups": 1},
        chip.blocks,
        body_symbols("s3", "conv2d_s8", chip.bodies),
        packed,
        used,
        bytes_of_y,
    )
    return [(body, proof.mode) for body, proof in chip.chosen], cycles


CONV2D = {
    "1x1": [
        {"size": (3, 5), "channels": c, "outputs": 20} for c in (5, 8, 16, 21, 32, 40, 64, 80, 96, 128, 256)
    ],
    "1x1 with gaps": [
        {"size": (3, 5), "channels": c, "outputs": 16, "gap": 16, "pixel_stride": 256}
        for c in (8, 16, 64, 120)
    ],
    "1x1 into rows with gaps": [
        {"size": (3, width), "channels": c, "outputs": 32, "y_gap": 64}
        for c in (8, 16, 24, 32, 64, 96, 128, 256)
        for width in (1, 5)
    ],
    "1x1 in steps": [
        {"size": (3, 4), "channels": c, "outputs": 16, "stride": (2, 3)} for c in (8, 16, 64, 96)
    ],
    "3x3": [
        {"size": (3, 4), "channels": c, "outputs": 24, "kernel": (3, 3)}
        for c in (3, 8, 16, 24, 32, 40, 48, 64)
    ],
    "3x3 in steps": [
        {
            "size": (2, 3),
            "channels": c,
            "outputs": 8,
            "kernel": (3, 3),
            "stride": (2, 2),
            "gap": 32,
        }
        for c in (8, 16, 24, 32, 64)
    ],
    "others": [
        {"size": (2, 3), "channels": 16, "outputs": 16, "kernel": (5, 5)},
        {
            "size": (2, 3),
            "channels": 8,
            "outputs": 16,
            "kernel": (3, 2),
            "dilation": (2, 3),
        },
        {
            "size": (2, 3),
            "channels": 48,
            "outputs": 16,
            "kernel": (3, 3),
            "dilation": (2, 2),
        },
        {
            "size": (2, 3),
            "channels": 32,
            "outputs": 16,
            "kernel": (1, 7),
            "pixel_stride": 64,
        },
        {
            "size": (4, 1),
            "channels": 32,
            "outputs": 16,
            "kernel": (7, 1),
            "pixel_stride": 64,
        },
    ],
}


def first_layer(library, size, channels, outputs, kernel, stride, **options):
    """conv2d over pixels that are packed without gaps; rows fill whole vectors."""
    columns = (size[1] - 1) * stride[1] + kernel[1]
    return conv2d(
        library, size, channels, outputs, kernel, stride, pixel_stride=channels,
        gap=-columns * channels % 16, **options,
    )  # fmt: skip


FIRST_LAYERS = [
    *[{"size": (2, w), "channels": 3, "kernel": (3, 3), "stride": (1, 1)} for w in (1, 6, 7, 16, 17, 33)],
    *[{"size": (2, w), "channels": 3, "kernel": (3, 3), "stride": (2, 2)} for w in (1, 3, 5, 8, 9, 19)],
    *[{"size": (2, w), "channels": 3, "kernel": (3, 3), "stride": (1, 3)} for w in (1, 7)],
    *[{"size": (3, w), "channels": 1, "kernel": (10, 4), "stride": (2, 2)} for w in (1, 5, 7, 8, 17)],
    {"size": (3, 4), "channels": 1, "kernel": (5, 5), "stride": (1, 1)},
    {"size": (3, 4), "channels": 2, "kernel": (3, 2), "stride": (2, 1)},
    {"size": (2, 3), "channels": 4, "kernel": (7, 7), "stride": (2, 2)},
]


@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127), (-50, 60)])
@pytest.mark.parametrize("shifts", [1, 3])
def test_first_layers_agree_with_the_reference(library, clamp, shifts) -> None:
    bodies = set()
    for case in FIRST_LAYERS:
        for rails, large in ((False, False), (True, False), (False, True)):
            options = {"rails": rails, "large": large, "shifts": shifts}
            chosen, _ = first_layer(library, outputs=20, **case, clamp=clamp, **options)
            bodies |= {body for body, _ in chosen}
    _, _ = first_layer(library, (2, 3), 4, 16, (7, 7), (1, 1), rails=True, large=True, shifts=shifts)
    assert "PACKED_RUNS" in bodies
    assert "RUNS_OF_4_STEP_2" in bodies
    assert ("TEN_ROWS_OF_4" in bodies) == (shifts == 1)
    assert "RGB" in bodies
    assert ("RGB_STEP_6" in bodies) == (clamp != (-50, 60))


@pytest.mark.parametrize("shifts", [1, 3])
@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127)])
def test_two_pixels_of_eight_outputs_at_once_agree_with_the_reference(library, clamp, shifts) -> None:
    for outputs in (1, 5, 8):
        for width in (1, 2, 4, 6, 8, 10, 18):
            for rails in (False, True):
                chosen, _ = first_layer(
                    library,
                    (3, width),
                    3,
                    outputs,
                    (3, 3),
                    (2, 2),
                    clamp=clamp,
                    rails=rails,
                    y_gap=16,
                    shifts=shifts,
                )
                assert chosen[0][0] == ("RGB_PAIRS_STEP_6" if width % 2 == 0 else "RGB_STEP_6")


def test_the_first_layer_is_as_fast_as_promised(library) -> None:
    chosen, cycles = first_layer(library, (48, 48), 3, 16, (3, 3), (2, 2))
    print(chosen, cycles, 48 * 48 * 27 * 16 / cycles)
    assert {mode for _, mode in chosen} == {"QACC"}
    assert 48 * 48 * 27 * 16 / cycles >= 11


@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127), (-50, 60)])
@pytest.mark.parametrize("group", CONV2D)
def test_conv2d_agrees_with_the_reference(library, group, clamp) -> None:
    for case in CONV2D[group]:
        for rails in (False, True):
            conv2d(library, **case, clamp=clamp, rails=rails)


@pytest.mark.parametrize("shifts", [1, 2, 5])
@pytest.mark.parametrize("group", CONV2D)
def test_conv2d_in_two_digits_and_with_several_shifts_agrees_with_the_reference(
    library, group, shifts
) -> None:
    modes = set()
    for case in CONV2D[group]:
        for large in (False, True):
            chosen, _ = conv2d(library, **case, clamp=(-128, 100), large=large, shifts=shifts)
            modes |= {mode for _, mode in chosen}
    assert {"QACC", "two digits"} <= modes


def test_unrolled_bodies_take_blocks_of_up_to_five_shifts(library) -> None:
    for case in (
        {"size": (3, 5), "channels": 32, "outputs": 16, "y_gap": 32},
        {"size": (3, 5), "channels": 64, "outputs": 16},
        {"size": (2, 3), "channels": 16, "outputs": 16, "kernel": (3, 3)},
        {"size": (2, 3), "channels": 20, "outputs": 16, "kernel": (3, 3)},
    ):
        bodies = [conv2d(library, **case, shifts=shifts)[0][0][0] for shifts in range(1, 7)]
        assert bodies[0].startswith(("POINTWISE", "NINE_TAPS")) and bodies[5].startswith("RUNS"), bodies
        assert len(set(bodies[1:5])) == 1 and bodies[4].startswith(("POINTWISE", "NINE_TAPS")), bodies


@pytest.mark.parametrize("clamp", [(-128, 127), (-120, 125)])
@pytest.mark.parametrize("most", [16, 24])
def test_nine_taps_in_two_digits_agree_with_the_reference(library, most, clamp) -> None:
    for seed, (size, stride) in enumerate(
        [((2, 1), (1, 1)), ((3, 5), (1, 1)), ((2, 4), (2, 2)), ((1, 7), (1, 2))]
    ):
        rng = np.random.default_rng(seed)
        channels = most - 3 + seed
        for rails in (False, True):
            packed = filter_of(rng, (16, 3, 3, channels), False, True, 1)
            reach = 900 // channels
            packed.weights[:] = rng.integers(-reach, reach + 1, packed.weights.shape)
            packed.shift[:] = 12
            chosen, _ = conv2d(
                library, size, channels, 16, (3, 3), stride, clamp=clamp, rails=rails, gap=32, packed=packed
            )
            assert chosen[0][0] == f"NINE_TAPS_{most}_TWO_DIGITS"


@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127), (-120, 125)])
def test_64_channels_in_two_digits_agree_with_the_reference(library, clamp) -> None:
    for seed, (size, channels, gap) in enumerate([((1, 1), 64, 0), ((3, 5), 57, 0), ((3, 2), 64, 64)]):
        rng = np.random.default_rng(seed)
        for rails in (False, True):
            packed = filter_of(rng, (16, 1, 1, channels), False, True, 1)
            shape = packed.weights.shape
            packed.weights[:] = rng.integers(70, 128, shape) * rng.choice([-1, 1], shape)
            packed.shift[:] = 13
            chosen, _ = conv2d(
                library, size, channels, 16, clamp=clamp, rails=rails, y_gap=gap, packed=packed
            )
            assert chosen == [("POINTWISE_64_TWO_DIGITS", "two digits")]


@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127)])
def test_a_first_layer_in_two_digits_agrees_with_the_reference(library, clamp) -> None:
    for seed, width in enumerate((1, 2, 5, 18)):
        rng = np.random.default_rng(seed)
        for stride in ((1, 1), (2, 2)):
            for rails in (False, True):
                packed = filter_of(rng, (16, 3, 3, 3), rails, True, 1)
                packed.bias[:] = rng.integers(-450_000, 450_000, 16)
                packed.bias[:2] = -450_000, 450_000
                packed.weights[..., :2] = rng.integers(-127, -63, packed.weights[..., :2].shape)
                packed.shift[:] = 12
                chosen, _ = first_layer(
                    library, (3, width), 3, 16, (3, 3), stride, clamp=clamp, rails=rails, packed=packed
                )
                assert chosen == [("RGB_TWO_DIGITS", "two digits")]


def test_biases_up_to_the_limit_of_two_parts_agree_with_the_reference(library) -> None:
    for channels in (8, 16, 24, 32):
        larger = [(SMALL_BIAS + 1, "_LARGER_BIAS"), (LARGER_BIAS, "_LARGER_BIAS")] if channels == 8 else []
        for bias, body in [(SMALL_BIAS, ""), *larger, (LARGER_BIAS + 1, "_CLAMPED")]:
            for y_gap in (0, 16):
                packed = filter_of(np.random.default_rng(bias), (16, 1, 1, channels), False, False, 1)
                packed.bias[:] = np.random.default_rng(bias).integers(-bias, bias + 1, 16)
                packed.bias[:2] = -bias, bias
                chosen, _ = conv2d(library, (3, 5), channels, 16, y_gap=y_gap, packed=packed)
                assert chosen[0][0] == f"POINTWISE_{channels}{body}"


@pytest.mark.parametrize(
    ("floor", "case"),
    [
        (13.8, {"size": (10, 10), "channels": 64, "outputs": 64}),
        (14.0, {"size": (7, 7), "channels": 256, "outputs": 256}),
        (14.0, {"size": (16, 16), "channels": 64, "outputs": 64, "kernel": (3, 3)}),
        (14.0, {"size": (32, 32), "channels": 16, "outputs": 16, "kernel": (3, 3)}),
        (11.5, {"size": (14, 14), "channels": 24, "outputs": 40, "kernel": (3, 3)}),
    ],
)
def test_conv2d_is_as_fast_as_promised(library, floor, case) -> None:
    chosen, cycles = conv2d(library, **case)
    kernel = case.get("kernel", (1, 1))
    macs = np.prod(case["size"]) * case["channels"] * case["outputs"] * np.prod(kernel)
    print(case, chosen[0], cycles, macs / cycles)
    assert {mode for _, mode in chosen} == {"QACC"}
    assert macs / cycles >= floor


def depthwise(
    library,
    size,
    channels,
    kernel=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    clamp=(-128, 127),
    rails=False,
    large=False,
    shifts=1,
    pixel_stride=0,
    gap=0,
):
    """As conv2d, for depthwise_conv2d_s8."""
    rng = np.random.default_rng(0)
    fields = window_fields(size, kernel, stride, dilation, channels, channels, clamp, pixel_stride, gap)
    x = values(rng, bytes_of(fields["x"]), rails)
    packed = filter_of(rng, (channels, *kernel), rails, large, shifts)
    chip = depthwise_blocks(packed, kernel, size[1], dilation[1], (-128, 127), clamp)
    used, bytes_of_y = used_of(fields["y"])
    cycles = compare(
        library,
        "depthwise_conv2d_s8",
        [x],
        fields,
        chip.blocks,
        body_symbols("s3", "depthwise_conv2d_s8", chip.bodies),
        packed,
        used,
        bytes_of_y,
    )
    return [(body, proof.mode) for body, proof in chip.chosen], cycles


DEPTHWISE = {
    "3x3": [{"size": (3, width), "channels": c} for width in (1, 2, 3, 4, 5, 8) for c in (16, 40)],
    "3x3 in steps": [
        {
            "size": (2, width),
            "channels": 24,
            "stride": (2, 2),
            "gap": 32,
            "pixel_stride": 64,
        }
        for width in (1, 4, 5)
    ],
    "5x5": [
        {"size": (2, w), "channels": 16, "kernel": (5, 5), "stride": (s, s)}
        for w in (1, 2, 5, 6)
        for s in (1, 2)
    ],
    "others": [
        {"size": (3, 4), "channels": 20, "kernel": (1, 3)},
        {"size": (3, 4), "channels": 16, "kernel": (5, 1), "gap": 16},
        {"size": (2, 3), "channels": 16, "kernel": (7, 7)},
        {"size": (2, 3), "channels": 16, "kernel": (3, 3), "dilation": (2, 3)},
        {"size": (2, 3), "channels": 16, "kernel": (2, 2), "stride": (2, 2)},
    ],
}


@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127), (-50, 60)])
@pytest.mark.parametrize("group", DEPTHWISE)
def test_depthwise_conv2d_agrees_with_the_reference(library, group, clamp) -> None:
    for case in DEPTHWISE[group]:
        for rails in (False, True):
            depthwise(library, **case, clamp=clamp, rails=rails)


@pytest.mark.parametrize("clamp", [(-128, 127), (0, 127), (-50, 60)])
@pytest.mark.parametrize("shifts", [2, 3, 4, 7])
def test_walked_bodies_take_blocks_of_several_shifts(library, shifts, clamp) -> None:
    for case in DEPTHWISE["3x3"] + DEPTHWISE["5x5"]:
        chosen, _ = depthwise(library, **case | {"channels": 16}, clamp=clamp, shifts=shifts)
        walked = case["size"][1] > 1 and "kernel" not in case and (shifts < 7 or clamp == (-128, 127))
        assert (chosen[0][0] != "ANY_WINDOW") == walked, (case, chosen)


@pytest.mark.parametrize("shifts", [1, 3])
def test_depthwise_conv2d_in_two_digits_and_with_several_shifts_agrees_with_the_reference(
    library, shifts
) -> None:
    chosen, _ = depthwise(library, (3, 5), 48, (9, 9), large=True, rails=True, shifts=shifts)
    assert "two digits" in {mode for _, mode in chosen}
    chosen, _ = depthwise(library, (3, 5), 48, (3, 3), clamp=(-20, 90), shifts=shifts)
    assert {mode for _, mode in chosen} == {"QACC"}


@pytest.mark.parametrize(
    ("floor", "case"),
    [
        (7.2, {"size": (28, 28), "channels": 64}),
        (7.2, {"size": (14, 14), "channels": 48, "kernel": (5, 5), "stride": (2, 2)}),
    ],
)
def test_depthwise_conv2d_is_as_fast_as_promised(library, floor, case) -> None:
    chosen, cycles = depthwise(library, **case)
    macs = np.prod(case["size"]) * case["channels"] * np.prod(case.get("kernel", (3, 3)))
    print(case, chosen[0], cycles, macs / cycles)
    assert {mode for _, mode in chosen} == {"QACC"}
    assert macs / cycles >= floor


def fully_connected(
    library,
    rows,
    depth,
    columns,
    clamp=(-128, 127),
    rails=False,
    large=False,
    shifts=1,
    gap=0,
):
    """As conv2d, for fully_connected_s8."""
    rng = np.random.default_rng(0)
    x_row, y_row = -(-depth // 16) * 16 + gap, -(-columns // 16) * 16 + gap
    fields = {
        "rows": rows,
        "depth": depth,
        "columns": columns,
        "x_row_stride": x_row,
        "y_row_stride": y_row,
        "minimum": clamp[0],
        "maximum": clamp[1],
    }
    packed = filter_of(rng, (columns, depth), rails, large, shifts)
    chip = fully_connected_blocks(packed, depth, (-128, 127), clamp)
    x = values(rng, rows * x_row, rails)
    used = np.arange(rows)[:, None] * y_row + np.arange(columns)
    cycles = compare(
        library,
        "fully_connected_s8",
        [x],
        fields,
        chip.blocks,
        (),
        packed,
        used.ravel(),
        rows * y_row,
    )
    return [proof.mode for _, proof in chip.chosen], cycles


@pytest.mark.parametrize("shifts", [1, 4])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("depth", [1, 16, 17, 40, 64, 128, 250])
def test_fully_connected_agrees_with_the_reference(library, depth, large, shifts) -> None:
    for rows, columns, clamp, gap in ((1, 10, (-128, 127), 0), (3, 48, (-50, 60), 32)):
        for rails in (False, True):
            fully_connected(
                library,
                rows,
                depth,
                columns,
                clamp,
                rails and not large,
                large,
                shifts,
                gap,
            )


def test_fully_connected_is_as_fast_as_promised(library) -> None:
    modes, cycles = fully_connected(library, 1, 640, 128)
    print(modes, cycles, 640 * 128 / cycles)
    assert set(modes) == {"QACC"}
    assert 640 * 128 / cycles >= 14


def simple(library, kernel, operands, size, fields, used=slice(None)) -> int:
    """Cycles of a call without constants that agrees with the reference in the `used` bytes of the result."""
    got, cycles = run_simulated(kernel, operands, np.full(size, UNWRITTEN, np.int8), fields, {})
    wanted = run_reference(library, kernel, operands, size, fields, {})
    np.testing.assert_array_equal(got[used], wanted[used], err_msg=f"{kernel} {fields}")
    return cycles


def pool_fields(size, channels, kernel, stride, dilation=(1, 1), gap=0):
    fields = window_fields(size, kernel, stride, dilation, channels, channels, (0, 0), 0, gap)
    return {k: v for k, v in fields.items() if k not in ("padding_value", "minimum", "maximum")}


def test_maxima_agree_with_the_reference(library) -> None:
    rng = np.random.default_rng(0)
    for width in (1, 2, 5):
        for channels in (5, 16, 20, 32, 48, 64):
            for kernel in ((2, 2), (3, 3), (1, 1), (2, 5)):
                for stride, dilation in (((2, 2), (1, 1)), ((1, 3), (1, 2))):
                    fields = pool_fields(
                        (3, width),
                        channels,
                        kernel,
                        stride,
                        dilation,
                        16 * (width == 2),
                    )
                    x = values(rng, bytes_of(fields["x"]), False)
                    view = fields["y"]
                    simple(
                        library,
                        "max_pool2d_s8",
                        [x],
                        bytes_of(view),
                        fields,
                        elements(view),
                    )


def test_max_pool2d_is_as_fast_as_promised(library) -> None:
    fields = pool_fields((16, 16), 32, (2, 2), (2, 2))
    x = values(np.random.default_rng(0), bytes_of(fields["x"]), False)
    cycles = simple(library, "max_pool2d_s8", [x], bytes_of(fields["y"]), fields)
    print(cycles / (16 * 16 * 32))
    assert cycles / (16 * 16 * 32) <= 0.42


@pytest.mark.parametrize("shifts", [1, 2])
def test_a_bias_beyond_20_bits_agrees_with_the_reference(library, shifts) -> None:
    options = {"large": "carried", "shifts": shifts}
    proofs = [
        conv2d(library, (3, 3), 32, 16, (3, 3), **options)[0],
        conv2d(library, (3, 3), 24, 16, (3, 3), dilation=(1, 2), **options)[0],
        first_layer(library, (3, 3), 4, 16, (7, 7), (1, 1), **options)[0],
        depthwise(library, (3, 3), 16, (9, 9), **options)[0],
    ]
    modes, _ = fully_connected(library, 2, 200, 16, **options)
    assert {mode for chosen in proofs for _, mode in chosen} | set(modes) == {"two digits"}
