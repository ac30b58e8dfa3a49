"""What real ESP32-S3 chips were reported to do, reproduced one report a test.

[H] dj-oyu/esp32s3-hw-mcp data/pie_examples_measured.json (05e122d; chip revision v0.2, run of 2026-09-14), the inputs
in its tools/check_examples_log.py; [Q n] espressif/qemu issue n (2026-08-02, physical silicon).
"""

from __future__ import annotations

import numpy as np
import pytest

from pienn.isa.assembler import assemble
from pienn.sim.machine import Machine
from pienn.sim.native import Check
from pienn.sim.vectors_esp32s3 import execute

U = [1000, 2000, 3000, -4000, 7000, 8000, 9000, -10000]
V = [500, -600, 700, 800, -900, 1000, 1100, 1200]
X = [100, -200, 300, -400, 500, -600, 700, -800]
RAIL = 2**39 - 1


@pytest.fixture
def chip() -> Machine:
    return Machine("esp32s3", checks=Check(0))


def run(chip: Machine, *lines: str) -> None:
    """Execute the lines."""
    code = assemble("\n".join(lines) + "\n", "esp32s3").flat()
    problems = execute(chip, code, len(lines))
    assert not problems, problems


def set_q(chip: Machine, number: int, lanes: list[int] | np.ndarray, dtype: type = np.int16) -> None:
    chip.state("q")[number] = np.array(lanes, dtype).view(np.uint8)


def signed_accx(chip: Machine) -> int:
    value = int(chip.state("accx")[0])
    return value - (1 << 40) if value >> 39 else value


@pytest.mark.parametrize(
    ("selector", "shift", "expected"),
    [
        (0, 0, [-3936, 6784, -8416, -6784]),
        (1, 0, [-13152, -3392, 10976, -3392]),
        (0, 12, [415, 97, 1293, -98]),
        (1, 12, [-3492, -49, 5346, -49]),
    ],
)
def test_complex_product_of_the_report(chip: Machine, selector: int, shift: int, expected: list[int]) -> None:
    """[H] cmul_complex_multiply_with_sar_shift"""
    set_q(chip, 0, U)
    set_q(chip, 1, V)
    chip.state("sar")[0] = shift
    run(chip, f"ee.cmul.s16 q2, q0, q1, {selector}")
    assert chip.q(2, "s16")[4 * selector : 4 * selector + 4].tolist() == expected


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (0, [600, -800, 1000, -1200, -400, 400, -400, 400]),
        (1, [400, -600, 1200, -1400, -200, 200, -200, 200]),
    ],
)
def test_radix_2_butterfly_packs_lanes_as_reported(chip: Machine, selector: int, expected: list[int]) -> None:
    """[H] r2bf_operand_lists_are_msb_first"""
    set_q(chip, 0, X)
    set_q(chip, 1, X)
    run(chip, f"ee.fft.r2bf.s16 q2, q3, q0, q1, {selector}")
    assert chip.q(2, "s16").tolist() == expected


@pytest.mark.parametrize(
    ("accumulator", "shift", "expected"),
    [
        (2**38 + 12345, 0, 2147483647),
        (2**38 + 12345, 8, 1073741872),
        (-(2**38 + 999), 5, -2147483648),
    ],
)
def test_accx_is_read_out_saturated_to_32_bits(
    chip: Machine, accumulator: int, shift: int, expected: int
) -> None:
    """[H] srs_accx_shift_and_saturation"""
    chip.state("accx")[0] = accumulator & (1 << 40) - 1
    chip.set_register("a3", shift)
    run(chip, "ee.srs.accx a2, a3, 0")
    assert int(chip.state("a")[2:3].view(np.int32)[0]) == expected


def test_accx_saturates_at_its_40_bit_rail(chip: Machine) -> None:
    """[H] accx_is_a_saturating_40_bit_accumulator: the true sum is 1638400000000"""
    set_q(chip, 0, [32000] * 8)
    run(chip, "ee.zero.accx", *["ee.vmulas.s16.accx q0, q0"] * 200)
    assert signed_accx(chip) == RAIL
    chip.set_register("a3", 9)
    run(chip, "ee.srs.accx a2, a3, 0")
    assert chip.register("a2") == 1073741823


@pytest.mark.parametrize(
    ("operand", "expected"),
    [
        (0x3FC94040, [0x00820040, 0x00C20042, 0x00A20044, 0x00E20062]),
        (0x3FC94050, [0x008A0050, 0x00CA0052, 0x00AA0054, 0x00EA006A]),
    ],
)
def test_bit_reversal_in_the_8_bit_mode(chip: Machine, operand: int, expected: list[int]) -> None:
    """[H] bitrev_operand: what an unknown width register gave is the result for 8 bits"""
    chip.state("fft_bit_width")[0] = 8
    chip.set_register("a2", operand)
    run(chip, "ee.bitrev q0, a2")
    assert chip.q(0, "u32").tolist() == expected
    assert chip.register("a2") == operand + 8


def test_complex_product_reads_before_it_writes(chip: Machine) -> None:
    """[Q 164]: the destination is the first source"""
    for destination in (0, 2):
        set_q(chip, 0, [2, 3, 4, 5, 6, 7, 8, 9])
        set_q(chip, 1, [7, 11, 13, 17, 19, 23, 29, 31])
        chip.state("sar")[0] = 0
        run(chip, f"ee.cmul.s16 q{destination}, q0, q1, 0")
        assert chip.q(destination, "s16")[:4].tolist() == [-19, 43, -33, 133]
    set_q(chip, 0, [2, 3, 4, 5, 6, 7, 8, 9])
    run(chip, "ee.cmul.s16 q0, q0, q1, 0")
    assert chip.q(0, "s16")[4:].tolist() == [6, 7, 8, 9]


def test_unsigned_lanes_saturate_at_20_ones(chip: Machine) -> None:
    """[Q 165]: 17 products of 255 * 255 exceed 20 bits"""
    set_q(chip, 0, [255] * 16, np.uint8)
    run(chip, "ee.zero.qacc", *["ee.vmulas.u8.qacc q0, q0"] * 16)
    low_lane = int.from_bytes(chip.state("qacc").tobytes()[:4], "little") & 0xFFFFF
    assert low_lane == 16 * 255 * 255
    run(chip, "ee.vmulas.u8.qacc q0, q0")
    assert chip.state("qacc").tobytes() == b"\xff" * 40


def test_indexed_load_with_index_0_reads_the_base(chip: Machine) -> None:
    """[Q 162]: not the word before it"""
    words = chip.buffer(np.array([0x11111111, 0x22222222, 0x33333333], np.uint32))
    set_q(chip, 0, [0, 1] + [0] * 6)
    set_q(chip, 1, [0] * 8)
    chip.set_register("a2", words.address + 4)
    run(chip, "ee.ldxq.32 q1, q0, a2, 2, 0", "ee.ldxq.32 q1, q0, a2, 3, 1")
    assert chip.q(1, "u32").tolist() == [0, 0, 0x22222222, 0x33333333]


def test_register_cross_shifts_take_four_bits(chip: Machine) -> None:
    """[Q 166]: as = 16 shifts as the immediate form with count 0 does"""
    random = np.random.default_rng(166)
    for dynamic, immediate in (("slcxxp", "slci"), ("srcxxp", "srci")):
        high, low = random.integers(0, 256, (2, 16), dtype=np.uint8)
        for number, value in ((0, low), (1, high), (2, low), (3, high)):
            set_q(chip, number, value, np.uint8)
        chip.set_register("a2", 16)
        chip.set_register("a3", 0)
        run(chip, f"ee.{dynamic}.2q q1, q0, a2, a3", f"ee.{immediate}.2q q3, q2, 0")
        assert chip.q(0, "u8").tolist() == chip.q(2, "u8").tolist()
        assert chip.q(1, "u8").tolist() == chip.q(3, "u8").tolist()


def test_signed_addition_saturates_at_full_twos_complement(chip: Machine) -> None:
    """[Q 161]"""
    set_q(chip, 0, [-1, -128, 120] + [0] * 13, np.int8)
    set_q(chip, 1, [-127, -1, 20] + [0] * 13, np.int8)
    run(chip, "ee.vadds.s8 q2, q0, q1")
    assert chip.q(2, "s8")[:3].tolist() == [-128, -128, 127]
