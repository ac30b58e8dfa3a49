"""The comparison with the interpreter catches defects: each of these changes to a reference kernel must be noticed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from reference_cases import CASES
from reference_library import SOURCES, compile_library

CHECK = Path(__file__).with_name("reference_check.py")
SEEDS = 80  # at most, as many as the reference itself passes; a defect ends the search


@dataclass(frozen=True)
class Defect:
    """Text `old` of a kernel, or of arithmetic.h as that kernel includes it, becomes `new`."""

    name: str
    kernel: str
    old: str
    new: str
    file: str = ""


DEFECTS = [
    Defect("truncates", "mul_s8", "(value + half) >> shift", "(value + half) / (1 << shift)", "arithmetic.h"),
    Defect("never rounds", "add_s8", "(int32_t)1 << (shift - 1)", "0", "arithmetic.h"),
    Defect(
        "rounds half down", "matmul_s8", "(int32_t)1 << (shift - 1)", "(1 << (shift - 1)) - 1", "arithmetic.h"
    ),
    Defect("rounds without a shift", "requantize_s8", "shift > 0 ?", "shift >= 0 ?", "arithmetic.h"),
    Defect(
        "wraps instead of saturating", "sub_s8", "clamp(value, INT8_MIN, INT8_MAX)", "value", "arithmetic.h"
    ),
    Defect(
        "saturates to -127",
        "prelu_s8",
        "clamp(value, INT8_MIN, INT8_MAX)",
        "clamp(value, -127, 127)",
        "arithmetic.h",
    ),
    Defect("mean truncates", "mean_s8", "quotient -= remainder < 0;", "(void)remainder;", "arithmetic.h"),
    Defect("mean ignores a left shift", "avg_pool2d_s8", "((int64_t)1 << -shift)", "1", "arithmetic.h"),
    Defect("padding reads zero", "conv2d_s8", ": p->padding_value", ": 0"),
    Defect(
        "reverses channels",
        "conv2d_s8",
        "pienn_offset(&p->x, row, column, c)",
        "pienn_offset(&p->x, row, column, (2 * group + 1) * depth - 1 - c)",
    ),
    Defect(
        "groups read the first one",
        "conv2d_s8",
        "c = group * depth; c < (group + 1) * depth",
        "c = 0; c < depth",
    ),
    Defect(
        "lets a block span groups", "conv2d_s8", "smaller((group + 1) * outputs,", "smaller(p->y.channels,"
    ),
    Defect("window starts one row late", "conv2d_s8", "- p->padding_top +", "- p->padding_top + 1 +"),
    Defect("reads beyond the right edge", "conv2d_s8", "column < p->x.width", "column <= p->x.width"),
    Defect("forgets dilation", "conv2d_s8", "kx * p->dilation_x", "kx"),
    Defect("forgets the clamp", "conv2d_s8", "p->minimum, p->maximum", "-128, 127"),
    Defect("one shift for all channels", "conv2d_s8", "p->shift[o]", "p->shift[0]"),
    Defect("one shift per block", "fully_connected_s8", "p->shift[n]", "p->shift[n / 16 * 16]"),
    Defect("drops the last input", "fully_connected_s8", "k < p->depth", "k < p->depth - 1"),
    Defect(
        "writes one output too many", "fully_connected_s8", "n < p->columns; n++", "n < p->columns + 1; n++"
    ),
    Defect("reads blocks as rows", "depthwise_conv2d_s8", "c / PIENN_LANES * block_size", "0"),
    Defect("swaps strides", "depthwise_conv2d_s8", "i * p->stride_y", "i * p->stride_x"),
    Defect("taps meet every pixel", "conv_transpose2d_s8", "distance % stride != 0 || ", ""),
    Defect("skips missing taps' zero point", "conv_transpose2d_s8", ": p->padding_value", ": 0"),
    Defect("ignores transpose_b", "matmul_s8", "p->transpose_b ? 1 :", "0 ? 1 :"),
    Defect("forgets b's zero point", "matmul_s8", "- p->b_zero_point", ""),
    Defect("adds", "sub_s8", ") - right", ") + right"),
    Defect("swaps the shifts", "add_s8", "left * (1 << p->a_shift)", "left * (1 << p->b_shift)"),
    Defect("forgets broadcasting", "add_s8", "k * t[2]", "k * u[2]"),
    Defect("negative zero side", "prelu_s8", "value >= 0", "value >= -1"),
    Defect("table off by one", "lut_s8", "+ 128]", "+ 127]"),
    Defect("divides without rounding", "softmax_s8", " + sum)", ")"),
    Defect("lets 256 wrap", "softmax_s8", "(share < 255u ? (int32_t)share : 255)", "(int32_t)share"),
    Defect("padding counts as zero", "max_pool2d_s8", "maximum = INT8_MIN", "maximum = 0"),
    Defect(
        "window one too small",
        "max_pool2d_s8",
        "kx < p->kernel_width",
        "kx < p->kernel_width - (p->kernel_width > 1)",
    ),
    Defect("counts beyond the padding", "avg_pool2d_s8", "row < bottom", "1"),
    Defect("ignores the divisor", "avg_pool2d_s8", "p->divisor ? p->divisor : count", "count"),
    Defect("mean over rows alone", "mean_s8", "p->rows * p->columns, p->shift", "p->rows, p->shift"),
    Defect(
        "swaps rows and columns",
        "resize_nearest_s8",
        "p->rows[i], p->columns[j]",
        "p->rows[i], p->columns[0]",
    ),
    Defect("no edge below", "resize_bilinear_s8", "above + 1 < p->x.height ? above + 1 : above", "above"),
    Defect(
        "weights swapped",
        "resize_bilinear_s8",
        "upper * (64 - down) + lower * down",
        "upper * down + lower * (64 - down)",
    ),
    Defect("ignores a stride", "copy_s8", "k * s[2]", "k"),
    Defect("pads with zero", "pad_s8", "(int8_t)p->value", "0"),
    Defect(
        "inverse permutation",
        "transpose_s8",
        "t[p->permutation[axis]] = p->y_strides[axis]",
        "t[axis] = p->y_strides[p->permutation[axis]]",
    ),
]


@pytest.mark.parametrize(
    "defect", DEFECTS, ids=lambda defect: f"{defect.kernel}-{defect.name}".replace(" ", "-")
)
def test_defect_is_caught(tool, tmp_path: Path, defect: Defect) -> None:
    files = {name: (SOURCES / name).read_text() for name in (f"{defect.kernel}.c", "arithmetic.h")}
    changed = defect.file or f"{defect.kernel}.c"
    assert defect.old in files[changed], "the reference has changed: plant this defect anew"
    files[changed] = files[changed].replace(defect.old, defect.new)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    source = tmp_path / f"{defect.kernel}.c"
    library = compile_library(tmp_path / "defect.so", [source], ("-O1", "-Wno-error"), tool("gcc"))
    # In a process of its own: a defect may write anywhere, and a crash is one way of being noticed.
    command = [sys.executable, CHECK, "--library", library, "--kernel", defect.kernel, "--count", str(SEEDS)]
    done = subprocess.run(command, capture_output=True, text=True)
    noticed = done.returncode < 0 or (done.returncode == 1 and f"{defect.kernel} seed" in done.stdout)
    assert noticed, f"no random call noticed it\n{done.stdout}{done.stderr}"


def test_every_kernel_has_a_planted_defect() -> None:
    assert {defect.kernel for defect in DEFECTS} == set(CASES)
