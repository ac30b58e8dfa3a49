"""Every reason for which a run stops, with the place that the message names."""

from __future__ import annotations

import re

import numpy as np
import pytest

from pienn.isa.assembler import assemble
from pienn.isa.table import load
from pienn.sim.machine import ALL_CHECKS, Machine
from pienn.sim.native import Check, Stop
from pienn.sim.stops import Clobbered, SimulationStop

HEAD = ".option norvc\n.text\n.global f\nf:\n"


def machine_with(body: str, revision: int = 3, checks: Check | None = None) -> Machine:
    machine = Machine("esp32p4", revision, checks=checks)
    machine.load(assemble(HEAD + body + "\n", "esp32p4", revision, name="kernel.S"))
    return machine


def stop_of(body: str, *arguments: object, checks: Check | None = None, revision: int = 3) -> SimulationStop:
    """The stop of calling `f`; arguments are sizes of buffers or numbers as ("number", n)."""
    machine = machine_with(body, revision, checks)
    values = [
        a[1] if isinstance(a, tuple) else machine.buffer(np.zeros(a, np.uint8), name="x") for a in arguments
    ]
    with pytest.raises(SimulationStop) as caught:
        machine.call("f", *values, max_instructions=10_000)
    return caught.value


def says(stop: SimulationStop, reason: Stop, *parts: str, line: int = 5) -> None:
    assert stop.reason == reason
    assert str(stop).startswith(f"kernel.S:{line}: ")
    for part in parts:
        assert part in str(stop)


def test_unknown_instruction() -> None:
    says(stop_of(".word 0x0000000b"), Stop.UNKNOWN_INSTRUCTION, "no instruction")


@pytest.mark.parametrize(("mine", "other"), [(1, 3), (3, 1)])
def test_the_other_revisions_encoding_is_unknown(mine: int, other: int) -> None:
    isa = load("esp32p4")
    word = next(
        e.match.to_bytes(4, "little")
        for i in isa.instructions.values()
        for e in i.encodings
        if e.revision == other and isa.decode(e.match.to_bytes(4, "little"), revision=mine) is None
    )
    stop = stop_of(f".word {int.from_bytes(word, 'little'):#x}", revision=mine)
    says(stop, Stop.UNKNOWN_INSTRUCTION)


def test_load_behind_a_buffer() -> None:
    says(stop_of("lw a1, 16(a0)\nret", 16), Stop.UNDECLARED, "0 bytes after the end of x")


def test_store_before_a_buffer() -> None:
    says(stop_of("sb a1, -1(a0)\nret", 16), Stop.UNDECLARED, "1 bytes before x")


def test_vector_load_that_reaches_past_a_buffer() -> None:
    says(
        stop_of("esp.vld.128.ip q0, a0, 16\nret", 15),
        Stop.UNDECLARED,
        "after the end of x",
    )


def test_memory_that_the_chip_does_not_have() -> None:
    says(stop_of("lw a1, 0(zero)\nret"), Stop.UNMAPPED, "0x0")


def test_read_of_a_byte_never_written() -> None:
    machine = machine_with("lh a1, 2(a0)\nsw a1, 0(a0)\nret")
    fresh = machine.buffer(4, name="fresh")
    with pytest.raises(SimulationStop) as caught:
        machine.call("f", fresh)
    says(caught.value, Stop.UNWRITTEN, "fresh + 2")


def test_read_of_the_stack_before_it_was_written() -> None:
    says(stop_of("lw a1, -4(sp)\nret"), Stop.UNWRITTEN, "stack")


def test_a_byte_counts_as_written_after_a_store() -> None:
    machine = machine_with("sw zero, -4(sp)\nlw a0, -4(sp)\nret")
    assert machine.call("f").value == 0


def test_store_to_a_constant_buffer() -> None:
    machine = machine_with("sb zero, 3(a0)\nret")
    constant = machine.buffer(np.ones(8, np.uint8), name="weights", constant=True)
    with pytest.raises(SimulationStop) as caught:
        machine.call("f", constant)
    says(caught.value, Stop.READ_ONLY, "weights + 3")


def test_store_to_code() -> None:
    says(
        stop_of("lla a0, f\nsw zero, 0(a0)\nret"),
        Stop.READ_ONLY,
        "section .text",
        line=6,
    )


def test_misaligned_scalar_access() -> None:
    says(stop_of("lw a1, 2(a0)\nret", 16), Stop.MISALIGNED)


def test_wide_access_to_the_tcm() -> None:
    machine = machine_with("esp.vld.128.ip q0, a0, 0\nret")
    table = machine.buffer(np.zeros(16, np.uint8), name="table", memory="TCM")
    with pytest.raises(SimulationStop) as caught:
        machine.call("f", table)
    says(caught.value, Stop.MISALIGNED, "table")


def test_vector_access_whose_address_bits_would_be_dropped_is_an_option() -> None:
    body = "li a4, 0\nesp.movx.w.cfg a4\nesp.vld.128.ip q0, a0, 16\nret"
    machine = machine_with(body)
    x = machine.buffer(np.zeros(64, np.uint8), offset=4, align=16, name="x")
    strict = ALL_CHECKS["esp32p4"] | Check.TRUNCATION
    with pytest.raises(SimulationStop) as caught:
        machine.call("f", x, checks=strict)
    says(caught.value, Stop.MISALIGNED, line=7)


def test_uninitialised_pie_register_is_an_option() -> None:
    stop = stop_of("esp.vadd.s8 q0, q1, q2\nret", checks=ALL_CHECKS["esp32p4"] | Check.PIE_INIT)
    says(stop, Stop.PIE_UNINITIALISED, "q1")
    machine = machine_with("esp.zero.q q1\nesp.vadd.s8 q0, q1, q1\nret")
    machine.call("f", checks=ALL_CHECKS["esp32p4"] | Check.PIE_INIT)


def test_accumulator_read_before_it_was_written() -> None:
    body = "esp.zero.q q0\nesp.vmulas.s8.qacc q0, q0\nret"
    says(
        stop_of(body, checks=Check.PIE_INIT),
        Stop.PIE_UNINITIALISED,
        "accumulator",
        line=6,
    )


def test_pie_where_the_chip_forbids_it() -> None:
    machine = machine_with("esp.zero.q q0\nret")
    machine.forbid(pie=True)
    with pytest.raises(SimulationStop) as caught:
        machine.call("f")
    says(caught.value, Stop.PIE_DISABLED)


@pytest.mark.parametrize("body", ["csrsi 0x7f2, 1", "csrw mtvec, a0", "csrrs a0, 0x5c0, zero"])
def test_forbidden_control_registers(body: str) -> None:
    says(stop_of(body + "\nret"), Stop.CSR, "control register")


def test_the_floating_point_control_register_is_allowed() -> None:
    assert machine_with("csrrwi a0, frm, 1\ncsrr a0, frm\ncsrwi frm, 0\nret").call("f").value == 1


LOOP = "li a0, {count}\n{pad}esp.lp.setup 0, a0, 1f\naddi a1, a1, 1\n1: {last}\nret"


@pytest.mark.parametrize(
    ("count", "pad", "last"),
    [
        (4, "", "esp.zero.q q0"),
        (4, "", "fadd.s fa0, fa0, fa0"),
        (4, ".option rvc\nc.nop\n.option norvc\n", "addi a1, a1, 1"),
        (0, "", "addi a1, a1, 1"),
        (4096, "nop\n", "addi a1, a1, 1"),
    ],
    ids=["ends on PIE", "ends on FPU", "misaligned", "count 0", "count above 12 bits"],
)
def test_hardware_loop_that_breaks_the_published_rules(count: int, pad: str, last: str) -> None:
    text = LOOP.format(count=count, pad=pad, last=last)
    stop = stop_of(text)
    assert stop.reason == Stop.LOOP_RULE
    assert re.match(r"kernel\.S:\d+: hardware loop breaks the published rules", str(stop))
    machine_with(text).call("f", checks=Check.MEMORY)  # the rules are an option


def test_a_sound_hardware_loop_passes() -> None:
    machine = machine_with("li a2, 0\n" + LOOP.format(count=5, pad="", last="addi a2, a2, 1") + "\n")
    machine.call("f")
    assert machine.register("a2") == 5


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("li s3, 1", ["s3"]),
        ("li s0, 1\nli s11, 2", ["s0", "s11"]),
        ("fmv.w.x fs4, zero", ["fs4"]),
        ("addi sp, sp, -16", ["sp"]),
        ("li a4, 0\nesp.movx.w.cfg a4\nli a4, 0x11\nesp.movx.w.cfg a4", ["CFG"]),
    ],
)
def test_clobbered_state_of_the_caller(body: str, names: list[str]) -> None:
    with pytest.raises(Clobbered) as caught:
        machine_with(body + "\nret").call("f")
    assert caught.value.names == names
    assert str(caught.value).startswith("f: did not restore " + ", ".join(names))


def test_instruction_limit() -> None:
    says(stop_of("1: j 1b"), Stop.LIMIT, "instruction limit")


def test_jump_into_nowhere() -> None:
    stop = stop_of("li a0, 0x12345678\njr a0")
    assert stop.reason == Stop.FETCH
    assert "0x12345678" in str(stop)


def test_break_and_system_call() -> None:
    says(stop_of("ebreak"), Stop.BREAK)
    says(stop_of("ecall"), Stop.SYSCALL)


def test_breakpoint_stops_before_the_instruction_and_goes_on() -> None:
    machine = machine_with("li a0, 1\nplace: li a0, 2\nret")
    machine.set_breakpoint("place")
    with pytest.raises(SimulationStop) as caught:
        machine.call("f")
    assert caught.value.reason == Stop.BREAKPOINT
    assert machine.register("a0") == 1
    assert machine.run() == Stop.RETURNED
    assert machine.register("a0") == 2
    machine.set_breakpoint("place", on=False)
    assert machine.call("f").value == 2


def test_watchpoint_stops_before_the_access_and_goes_on() -> None:
    machine = machine_with("sw a1, 4(a0)\nlw a0, 4(a0)\nret")
    x = machine.buffer(np.zeros(16, np.uint8), name="x")
    machine.watch(x.address + 6, 1)
    with pytest.raises(SimulationStop) as caught:
        machine.call("f", x, 7)
    says(caught.value, Stop.WATCHPOINT, "x + 6")
    assert not x.value.any()
    assert machine.run() == Stop.RETURNED
    assert machine.register("a0") == 7


def test_a_stop_leaves_the_state_of_before_the_instruction() -> None:
    machine = machine_with("esp.vmulas.s8.qacc.ld.ip q0, a0, 16, q0, q1\nret")
    x = machine.buffer(np.zeros(16, np.uint8), name="x")
    with pytest.raises(SimulationStop):
        machine.call("f", x.address + 16)
    before = machine.snapshot()
    assert machine.run(1) == Stop.UNDECLARED
    assert all(np.array_equal(before[name], machine.state(name)) for name in before)
