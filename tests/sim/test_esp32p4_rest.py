"""Instructions of the ESP32-P4 that the comparison with qemu leaves out."""

from __future__ import annotations

import numpy as np
import pytest

from pienn.isa.assembler import assemble
from pienn.sim.machine import Machine
from pienn.sim.native import Check


def run(body: str, *arguments: int, revision: int = 3) -> Machine:
    machine = Machine("esp32p4", revision, checks=Check(0))
    machine.load(assemble(f".text\n.global f\nf:\n{body}\nret\n", "esp32p4", revision))
    machine.call("f", *arguments)
    return machine


VALUES = [0, 1, 0x7F, 0x80, 0xFF, 0x1234, 0x8000, 0xFFFF, 0x12345678, 0x80000000, 0xFFFFFFFF, 0xDEADBEEF]


def signed(value: int, bits: int) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


@pytest.mark.parametrize(
    ("mnemonic", "meaning"),
    [
        ("c.zext.b a0", lambda a: a & 0xFF),
        ("c.sext.b a0", lambda a: signed(a, 8)),
        ("c.zext.h a0", lambda a: a & 0xFFFF),
        ("c.sext.h a0", lambda a: signed(a, 16)),
        ("c.not a0", lambda a: ~a),
        ("c.mul a0, a1", lambda a: a * 0x10003),
    ],
)
def test_short_arithmetic_of_revision_3(mnemonic: str, meaning) -> None:
    for value in VALUES:
        assert run(mnemonic, value, 0x10003).register("a0") == meaning(value) & 0xFFFFFFFF


def test_short_loads_and_stores_of_revision_3() -> None:
    body = """addi sp, sp, -16
    sw a0, 0(sp)
    mv a5, sp
    c.lbu a1, 3(a5)
    c.lhu a2, 2(a5)
    c.lh a3, 0(a5)
    c.sb a1, 0(a5)
    c.sh a2, 2(a5)
    lw a0, 0(sp)
    addi sp, sp, 16"""
    machine = run(body, 0x87658432)
    assert [machine.register(r) for r in ("a1", "a2", "a3", "a0")] == [0x87, 0x8765, 0xFFFF8432, 0x87658487]


def test_jumps_through_registers_link_the_next_instruction() -> None:
    for jump, length in (("jalr t0, 0(a1)", 4), ("jalr t0, 1(a1)", 4), ("c.jalr a1", 2), ("c.jr a1", 0)):
        machine = run(f"mv t1, ra\nlla a1, 1f\nplace: {jump}\nli a0, 1\n1: mv a2, ra\nmv ra, t1", 0)
        assert machine.register("a0") == 0
        link = machine.register("t0") if "t0" in jump else machine.register("a2")
        if length:
            assert link == machine.address_of("place") + length


def test_load_reserved_and_store_conditional() -> None:
    body = """addi sp, sp, -16
    sw zero, 0(sp)
    lr.w a1, (sp)
    addi a1, a1, 5
    sc.w a2, a1, (sp)
    sc.w a3, a1, (sp)
    lr.w.aq a4, (sp)
    addi t0, sp, 4
    sc.w.rl a5, a1, (t0)
    lw a0, 0(sp)
    addi sp, sp, 16"""
    machine = run(body)
    assert [machine.register(f"a{n}") for n in (0, 2, 3, 4, 5)] == [5, 0, 1, 5, 1]


def test_code_changed_by_the_program_runs_after_fence_i() -> None:
    body = """.option norvc
    lla a1, 1f
    lw a2, 0(a1)
    lla a1, 2f
    sw a2, 0(a1)
    fence.i
2:  li a0, 1
    j 3f
1:  li a0, 2
3:"""
    assert run(body, 0).register("a0") == 2


def test_code_changed_by_the_host_is_decoded_again() -> None:
    machine = run("li a0, 1")
    machine.write(machine.address_of("f"), assemble("c.li a0, 7\n", "esp32p4").flat())
    assert machine.call("f").value == 7


def test_an_instruction_may_lie_across_a_page() -> None:
    padding = "c.nop\n" * 2047
    machine = run(f".balign 4096\n{padding}li a0, 0x12345678\n", 0)
    assert machine.register("a0") == 0x12345678
    loop = (
        "li a0, 0\nli a1, 3\n.balign 4096\n" + padding + "1: addi a0, a0, 100\naddi a1, a1, -1\nbnez a1, 1b\n"
    )
    assert run(loop).register("a0") == 300


def test_accesses_may_lie_across_a_page() -> None:
    machine = Machine("esp32p4", checks=Check(0))
    machine.load(assemble(".global f\nf: lw a1, 0(a0)\nsw a1, 8(a0)\nmv a0, a1\nret\n", "esp32p4"))
    x = machine.buffer(np.arange(32, dtype=np.uint8), align=4096, offset=4094)
    assert machine.call("f", x).value == 0x03020100
    assert x.value[8:12].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(("mode", "wanted"), [(0, 2.0), (1, 2.0), (2, 2.0), (3, 3.0), (4, 3.0)])
def test_rounding_modes_of_the_fpu_are_those_of_fcsr(mode: int, wanted: float) -> None:
    """2.5 to an integer, by the dynamic mode: nearest even, toward zero, down, up, nearest away."""
    body = f"fsrmi {mode}\nfmv.w.x fa1, a0\nfcvt.w.s a0, fa1, dyn\nfsrmi 0"
    assert run(body, int(np.float32(2.5).view(np.uint32))).register("a0") == wanted


def test_float_flags_stick_until_they_are_cleared() -> None:
    body = """csrw fcsr, zero
    fmv.w.x fa0, a0
    fdiv.s fa1, fa0, fa0
    fsqrt.s fa2, fa0
    frflags a0
    fsflags a1, zero
    frflags a2"""
    machine = run(body, int(np.float32(-3.0).view(np.uint32)))
    assert (machine.register("a0"), machine.register("a1"), machine.register("a2")) == (0x10, 0x10, 0)
