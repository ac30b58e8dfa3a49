"""Calls, buffers, registers, hardware loops, modes of the ESP32-P4 and its cycle model."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.sim.machine import GUARD_BYTES, Machine
from pienn.sim.native import Check

HEAD = ".option norvc\n.text\n.global f\nf:\n"


def machine_with(body: str, revision: int = 3, memory: str = "ideal", checks: Check | None = None) -> Machine:
    machine = Machine("esp32p4", revision, memory, checks)
    machine.load(assemble(HEAD + body + "\n", "esp32p4", revision, name="kernel.S"))
    return machine


# ---------------------------------------------------------------------------------------------- calls and buffers


def test_integers_floats_and_stacked_arguments_arrive() -> None:
    body = "add a0, a0, a7\nlw t0, 0(sp)\nadd a0, a0, t0\nlw t0, 4(sp)\nadd a0, a0, t0\nfadd.s fa0, fa0, fa1\nret"
    result = machine_with(body).call("f", 1, 2.5, 0, 0, 0, 0, 0, 0, 70, -0.25, 500, 3000)
    assert result.value == 1 + 70 + 500 + 3000
    assert result.float_value == 2.25


def test_a_negative_result_is_read_signed() -> None:
    assert machine_with("neg a0, a0\nret").call("f", 5).signed == -5


def test_arrays_are_copied_in_and_back() -> None:
    array = np.arange(8, dtype=np.int16)
    machine_with("lh a1, 6(a0)\nslli a1, a1, 3\nsh a1, 0(a0)\nret").call("f", array)
    assert array.tolist() == [24, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("memory", ["SRAM", "PSRAM", "flash"])
@pytest.mark.parametrize(("align", "offset"), [(16, 0), (16, 5), (64, 0), (4096, 12)])
def test_buffers_lie_where_asked(memory: str, align: int, offset: int) -> None:
    machine = Machine("esp32p4")
    buffer = machine.buffer(np.arange(10, dtype=np.int32), memory=memory, align=align, offset=offset)
    assert buffer.address % align == offset
    assert machine.region_name(buffer.address) == memory
    assert buffer.value.tolist() == list(range(10))


def test_neighbouring_buffers_are_kept_apart_by_guard_bytes() -> None:
    machine = Machine("esp32p4")
    a, b = machine.buffer(10), machine.buffer(10)
    assert b.address >= a.address + a.size + GUARD_BYTES


def test_released_buffers_leave_their_place_to_others() -> None:
    machine = machine_with("ret")
    first = machine.buffer(1000).address
    machine.release_buffers()
    assert machine.buffer(1000).address == first


def test_a_buffer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PiennError, match="do not fit into the rest of SRAM"):
        Machine("esp32p4").buffer(1 << 20)


def test_a_second_object_sees_the_symbols_of_the_first() -> None:
    machine = machine_with("addi a0, a0, 1\nret")
    machine.load(
        assemble(
            ".global g\ng: addi sp, sp, -16\nsw ra, 0(sp)\ncall f\nlw ra, 0(sp)\naddi sp, sp, 16\nret\n",
            "esp32p4",
        )
    )
    assert machine.call("g", 41).value == 42


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(PiennError, match="nothing: no such symbol"):
        machine_with("ret").call("nothing")


def test_registers_are_poisoned_by_the_seed() -> None:
    machine = machine_with("ret")
    seen = set()
    for seed in (1, 2, 1):
        machine.call("f", seed=seed)
        seen.add((machine.register("t5"), machine.register("q3"), machine.register("xacc")))
    assert len(seen) == 2


def test_registers_by_name_and_as_lanes() -> None:
    machine = machine_with("ret")
    machine.set_register("q2", int.from_bytes(np.arange(-8, 8, dtype=np.int8).tobytes(), "little"))
    assert machine.q(2, "s8").tolist() == list(range(-8, 8))
    assert machine.q(2, "u16")[0] == 0xF9F8
    machine.set_register("s0", -1)
    assert machine.register("fp") == machine.register("x8") == 0xFFFFFFFF
    with pytest.raises(PiennError, match="no such register"):
        machine.register("a9")


# ---------------------------------------------------------------------------------------------- hardware loops


@pytest.mark.parametrize("count", [1, 2, 7, 4095])
def test_a_hardware_loop_runs_its_body_count_times(count: int) -> None:
    body = "li a1, 0\nesp.lp.setup 0, a0, 1f\naddi a1, a1, 1\n1: addi a1, a1, 2\nmv a0, a1\nret"
    assert machine_with(body, checks=Check(0)).call("f", count).value == 3 * count


def test_nested_loops_and_the_loop_with_separate_parts() -> None:
    body = """li a1, 0
    esp.lp.setupi 1, 5, 2f
    esp.lp.starti 0, 3f
    esp.lp.endi 0, 1f
    esp.lp.counti 0, 4
3:  addi a1, a1, 1
1:  addi a1, a1, 1
2:  addi a1, a1, 100
    mv a0, a1
    ret"""
    assert machine_with(body, checks=Check(0)).call("f").value == 5 * (4 * 2 + 100)


def test_loop_registers_can_be_read() -> None:
    body = "esp.lp.setupi 0, 9, 1f\ncsrr a0, 0x7c8\n1: nop\nret"
    assert machine_with(body, checks=Check(0)).call("f").value == 1
    assert (
        machine_with("esp.lp.setupi 0, 9, 1f\ncsrr a0, 0x7c8\nret\n1: nop\nret", checks=Check(0))
        .call("f")
        .value
        == 9
    )


# ---------------------------------------------------------------------------------------------- PIE modes


def rounded(value: int, shift: int, mode: int) -> int:
    """Independent of the core: exact fractions."""
    exact = np.float64(value) / 2.0**shift
    floor = int(np.floor(exact))
    half = exact - floor
    away = int(np.sign(exact) * np.floor(abs(exact) + 0.5))
    toward = int(np.sign(exact) * np.ceil(abs(exact) - 0.5))
    return {
        0: floor,
        1: int(np.ceil(exact)),
        2: int(np.sign(exact) * np.ceil(abs(exact))),
        3: int(np.trunc(exact)),
        4: away if half == 0.5 else int(np.rint(exact)),
        5: toward if half == 0.5 else int(np.rint(exact)),
        6: int(np.rint(exact)),
    }[mode]


@pytest.mark.parametrize("mode", range(7))
@pytest.mark.parametrize("by", ["CFG", "instruction"])
def test_rounding_modes(mode: int, by: str) -> None:
    suffix = "" if by == "CFG" else f", sat, {['rdn', 'rup', 'raz', 'rtz', 'rhaz', 'rhtz', 'rne'][mode]}"
    body = f"""
    esp.movx.r.cfg t3
    esp.movx.w.cfg a1
    esp.movx.w.sar a2
    esp.vld.128.ip q0, a0, 16
    esp.vld.128.ip q1, a0, -16
    esp.vmul.s8 q2, q0, q1{suffix}
    esp.vst.128.ip q2, a0, 0
    esp.movx.w.cfg t3
    ret"""
    machine = machine_with(body)
    random = np.random.default_rng(mode)
    for shift in (0, 1, 3, 6):
        x = random.integers(-11, 12, (2, 16)).astype(np.int8)
        buffer = machine.buffer(x.copy())
        machine.call("f", buffer, mode << 4 if by == "CFG" else (mode + 1) % 7 << 4, shift)
        wanted = [rounded(int(a) * int(b), shift, mode) for a, b in zip(*x, strict=True)]
        assert buffer.value[0].tolist() == np.clip(wanted, -128, 127).tolist()


def test_trunc_keeps_the_low_bits_and_sat_the_rails() -> None:
    body = "esp.vld.128.ip q0, a0, 0\nesp.vadd.s8 q1, q0, q0, {0}\nesp.vst.128.ip q1, a0, 0\nret"
    for suffix, wanted in (("trunc", [-56, 56]), ("sat", [127, -128])):
        array = np.array([100, -100] * 8, np.int8)
        machine_with(body.format(suffix)).call("f", array)
        assert array[:2].tolist() == wanted


@pytest.mark.parametrize(("cfg", "shifted"), [(0, False), (2, True), (1, False), (3, True)])
def test_misaligned_loads_by_cfg(cfg: int, shifted: bool) -> None:
    body = """esp.movx.r.cfg t3
    esp.movx.w.cfg a2
    addi a0, a0, 5
    esp.vld.128.ip q0, a0, 0
    li a2, 0
    esp.movx.w.cfg a2
    esp.vst.128.ip q0, a1, 0
    esp.movx.w.cfg t3
    ret"""
    machine = machine_with(body)
    x, out = machine.buffer(np.arange(32, dtype=np.uint8)), machine.buffer(16)
    machine.call("f", x, out, cfg)
    assert out.value[0] == (5 if shifted else 0)


def test_misaligned_stores_by_cfg() -> None:
    body = """esp.movx.r.cfg t3
    esp.movx.w.cfg a2
    esp.zero.q q0
    addi a0, a0, 3
    esp.vst.128.ip q0, a0, 0
    esp.movx.w.cfg t3
    ret"""
    for cfg, first in ((0, 0), (1, 3)):
        machine = machine_with(body)
        x = machine.buffer(np.ones(32, np.uint8))
        machine.call("f", x, 0, cfg)
        assert np.flatnonzero(x.value == 0).tolist() == list(range(first, first + 16))


def test_reading_cfg_gives_what_was_written() -> None:
    body = "esp.movx.r.cfg t3\nesp.movx.w.cfg a0\nesp.movx.r.cfg a0\nesp.movx.w.cfg t3\nret"
    assert machine_with(body).call("f", 0x62).value == 0x62


# ---------------------------------------------------------------------------------------------- cycles


def cycles_of(body: str, *, setup: str = "") -> int:
    """Cycles of `body` beyond those of the setup and the return."""
    whole = machine_with(f"{setup}\n{body}\nret", checks=Check(0))
    empty = machine_with(f"{setup}\nret", checks=Check(0))
    buffers = [m.buffer(np.zeros(256, np.uint8)) for m in (whole, empty)]
    return whole.call("f", buffers[0]).cycles - empty.call("f", buffers[1]).cycles


LOAD = "esp.vld.128.ip q0, a0, 16"


@pytest.mark.parametrize(
    ("body", "cycles"),
    [
        ("nop\n" * 8, 8),
        (f"{LOAD}\nesp.vadd.s8 q1, q0, q0", 3),
        (f"{LOAD}\nnop\nesp.vadd.s8 q1, q0, q0", 3),
        (f"{LOAD}\nesp.vst.128.ip q0, a0, 16", 2),
        ("esp.vmul.s8 q1, q0, q0\nesp.vst.128.ip q1, a0, 16", 2),
        ("esp.vmulas.s8.qacc.ld.ip q2, a0, 16, q0, q1\nesp.vmulas.s8.qacc q0, q1", 2),
        ("esp.vmulas.s8.qacc.ld.ip q2, a0, 16, q0, q1\nesp.vmulas.s8.qacc q2, q1", 3),
        ("esp.vmulas.s8.xacc q0, q1\n" * 4, 4),
        ("lw a1, 0(a0)\nadd a2, a1, a1", 3),
        ("mul a1, a2, a3\nmul a4, a2, a3", 2),
        ("fmadd.s fa0, fa1, fa2, fa0\nfmadd.s fa0, fa1, fa2, fa0", 6),
        ("fmadd.s fa0, fa1, fa2, fa0\nfmadd.s fa3, fa1, fa2, fa3\n" * 2, 7),
    ],
)
def test_issue_rules(body: str, cycles: int) -> None:
    assert cycles_of(body) == cycles


def test_a_line_is_fetched_once() -> None:
    machine = machine_with(
        "lw a1, 0(a0)\nlw a1, 4(a0)\nlw a1, 60(a0)\nlw a1, 64(a0)\nret",
        memory="esp32p4@360",
    )
    x = machine.buffer(np.zeros(128, np.uint8), align=64)
    first = machine.call("f", x)
    again = machine.call("f", x)
    assert (first.traffic["SRAM"].line_fills, again.traffic["SRAM"].line_fills) == (
        2,
        0,
    )
    assert first.cycles - again.cycles == first.traffic["SRAM"].stall_cycles > 0
    assert (again.traffic["SRAM"].reads, again.traffic["SRAM"].read_bytes) == (4, 16)


def test_external_memory_is_slower_and_the_ideal_model_counts_bytes_only() -> None:
    body = "li a2, 64\n1: esp.vld.128.ip q0, a0, 16\naddi a2, a2, -1\nbnez a2, 1b\nret"
    costs = {}
    for model, memory in itertools.product(
        ("ideal", "esp32p4@360", "esp32p4@400"), ("SRAM", "PSRAM", "flash")
    ):
        machine = machine_with(body, memory=model)
        result = machine.call("f", machine.buffer(np.zeros(1024, np.uint8), memory=memory, align=64))
        costs[model, memory] = result.cycles
        assert result.traffic[memory].read_bytes == 1024
        assert result.memory_model == model
    assert costs["ideal", "SRAM"] == costs["ideal", "PSRAM"] == costs["ideal", "flash"]
    assert costs["ideal", "SRAM"] < costs["esp32p4@360", "SRAM"] < costs["esp32p4@360", "PSRAM"]
    assert costs["esp32p4@360", "PSRAM"] < costs["esp32p4@400", "PSRAM"]


def test_counts_do_not_depend_on_the_checks() -> None:
    body = (
        "li a2, 50\n1: esp.vld.128.ip q0, a0, 16\nesp.vadd.s8 q1, q0, q0\naddi a2, a2, -1\nbnez a2, 1b\nret"
    )
    counts = set()
    for checks in (Check(0), None):
        machine = machine_with(body, memory="esp32p4@360", checks=checks)
        result = machine.call("f", machine.buffer(np.zeros(800, np.uint8), align=64))
        counts.add((result.cycles, result.instructions))
    assert len(counts) == 1


def test_single_steps_add_up_to_a_run() -> None:
    machine = machine_with("li a1, 3\n1: addi a1, a1, -1\nbnez a1, 1b\nret")
    whole = machine.call("f").cycles
    machine.call("f", before=lambda m: m.set_breakpoint("f"), checks=Check(0))
    machine.abi.begin(
        machine,
        machine.address_of("f"),
        [],
        machine.stack_top,
        np.random.default_rng(0),
    )
    machine.reset_counters()
    while not machine.step().returned:
        pass
    assert machine.cycles == whole
