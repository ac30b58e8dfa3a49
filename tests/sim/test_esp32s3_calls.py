"""The ESP32-S3 in the simulator: golden vectors, silicon reports, random code against qemu-xtensa, windows, calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from esp32s3_programs import START, make_calls
from esp32s3_random import (
    BASE,
    CPU,
    HEADER,
    differences,
    elf,
    make_program,
    run_in_qemu,
    run_in_simulator,
)

from pienn.isa.assembler import assemble
from pienn.sim.machine import Machine
from pienn.sim.memory_map import Region
from pienn.sim.native import Check, Permission, Stop
from pienn.sim.stops import Clobbered, SimulationStop
from pienn.sim.vectors import run_files

PER_PROGRAM = 200  # sequences that fit one program
ORDINARY, ALL = 1000, 20_000  # random sequences of the ordinary run, and of `pytest -m slow`
TREES = 40


def test_golden_vectors(shared: Path) -> None:
    report = run_files([shared / "vectors/s3_pie.jsonl"])
    assert report.failed == 0, "\n".join(report.lines())
    assert report.passed > 4000


def compare_with_qemu(first: int, qemu: str, folder: Path) -> None:
    """PER_PROGRAM sequences; rerun one seed: `python tests/sim/esp32s3_random.py SEED`."""
    program = make_program(list(range(first, first + PER_PROGRAM)))
    found = differences(program, run_in_qemu(qemu, program, folder), run_in_simulator(program))
    assert not found, f"{len(found)} sequences differ:\n" + "\n".join(found[:5])


@pytest.mark.parametrize("first", range(0, ORDINARY, PER_PROGRAM))
def test_random_sequences_equal_qemu(first: int, tool, tmp_path: Path) -> None:
    compare_with_qemu(first, tool("qemu-xtensa"), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(ORDINARY, ALL, PER_PROGRAM))
def test_all_random_sequences_equal_qemu(first: int, tool, tmp_path: Path) -> None:
    compare_with_qemu(first, tool("qemu-xtensa"), tmp_path)


def run_calls(seed: int, functions: int, pane_mask: int) -> tuple[Machine, bytes]:
    """The program of windowed calls in the simulator; its output."""
    calls = make_calls(seed, functions)
    machine = Machine("esp32s3", checks=Check(0))
    size = HEADER + len(calls.code) + 4095 & ~4095
    machine.map(Region("linux", "SRAM", BASE, size, Permission(7)))
    machine.write(START, calls.code)
    machine.pc = START
    machine.state("pane_mask")[0] = pane_mask
    stop = machine.run(10_000_000)
    assert stop == Stop.SYSCALL, str(machine.stop_error(stop))
    return machine, machine.read(START + calls.output_at, calls.size)


def test_windows_spill_and_fill_as_in_qemu(tool, tmp_path: Path) -> None:
    """Result and whole stack equal on a core with 32 registers, as all of qemu-xtensa's are; with the 64 of the S3 the
    results are the same, with fewer spills."""
    import subprocess

    for seed in range(TREES):
        functions = 4 + seed % 40
        path = tmp_path / "calls.elf"
        path.write_bytes(elf(make_calls(seed, functions).code))
        path.chmod(0o755)
        done = subprocess.run(
            [tool("qemu-xtensa"), "-cpu", CPU, str(path)],
            capture_output=True,
            timeout=60,
        )
        small, output = run_calls(seed, functions, pane_mask=7)
        assert output == done.stdout, f"make_calls({seed}, {functions}) differs"
        large, same = run_calls(seed, functions, pane_mask=15)
        assert same[:4] == output[:4], (
            f"make_calls({seed}, {functions}): the number of registers changes the result"
        )
        assert large.state("spills")[0] <= small.state("spills")[0]
        assert large.state("spills")[0] == large.state("fills")[0]


RECURSION = """
    .text
    .global triangle
    .align 4
triangle:                   # n + (n - 1) + ... + 1 by recursion
    entry a1, 48
    bnez a2, 1f
    retw
1:  addi a10, a2, -1
    call8 triangle
    add a2, a2, a10
    retw
"""


@pytest.mark.parametrize("checks", [Check(0), Check.MEMORY], ids=["plain", "checked"])
def test_recursion_deeper_than_the_register_file_spills_to_the_stack(
    checks: Check,
) -> None:
    machine = Machine("esp32s3", checks=checks)
    machine.load(assemble(RECURSION, "esp32s3"))
    assert machine.call("triangle", 5).value == 15
    assert machine.state("spills")[0] == 0
    assert machine.call("triangle", 100).value == 5050
    spills = int(machine.state("spills")[0])
    assert 90 <= spills <= 100
    assert machine.state("fills")[0] == spills


def test_each_window_exception_costs_its_handler() -> None:
    machine = Machine("esp32s3")
    machine.load(assemble(RECURSION, "esp32s3"))
    shallow = machine.call("triangle", 2).cycles
    per_level = machine.call("triangle", 3).cycles - shallow
    deep = machine.call("triangle", 100)
    spills, fills = int(machine.state("spills")[0]), int(machine.state("fills")[0])
    assert deep.cycles == shallow + 98 * per_level + (spills + fills) * 14


ABI = """
    .text
    .global seventh
    .align 4
seventh:
    entry a1, 32
    l32i a2, a1, 32
    retw
    .global seventh_call0
    .align 4
seventh_call0:
    l32i a2, a1, 0
    ret
    .global breaks_a12
    .align 4
breaks_a12:
    movi a12, 0
    ret
    .global out_of_bounds
    .align 4
out_of_bounds:
    entry a1, 32
    ee.vld.128.ip q0, a2, 16
    ee.vld.128.ip q0, a2, 16
    retw
"""


def test_arguments_beyond_the_sixth_lie_on_the_stack() -> None:
    for abi, function in (("windowed", "seventh"), ("call0", "seventh_call0")):
        machine = Machine("esp32s3", abi=abi)
        machine.load(assemble(ABI, "esp32s3"))
        assert machine.call(function, 1, 2, 3, 4, 5, 6, 77).value == 77


def test_clobbered_register_of_the_caller_is_named() -> None:
    machine = Machine("esp32s3", abi="call0")
    machine.load(assemble(ABI, "esp32s3"))
    with pytest.raises(Clobbered, match="a12"):
        machine.call("breaks_a12")


def test_a_load_behind_the_buffer_stops_the_run() -> None:
    machine = Machine("esp32s3")
    machine.load(assemble(ABI, "esp32s3"))
    data = machine.buffer(np.zeros(16, np.int8), name="data")
    with pytest.raises(SimulationStop, match="end of data"):
        machine.call("out_of_bounds", data)


HIGH_PRODUCTS = """
    .text
    .global high
    .align 4
high:
    entry a1, 32
    muluh a5, a2, a3
    mulsh a6, a2, a3
    s32i a5, a4, 0
    s32i a6, a4, 4
    retw
"""


def test_high_halves_of_products() -> None:
    """muluh and mulsh, which no processor of qemu-xtensa has."""
    machine = Machine("esp32s3")
    machine.load(assemble(HIGH_PRODUCTS, "esp32s3"))
    random = np.random.default_rng(3)
    for x, y in [
        (0x8000_0000, 0x8000_0000),
        (0xFFFF_FFFF, 2),
        *random.integers(0, 1 << 32, (20, 2)).tolist(),
    ]:
        out = np.zeros(2, np.uint32)
        machine.call("high", x, y, out)
        signed = [v - (1 << 32) if v >> 31 else v for v in (x, y)]
        assert out.tolist() == [
            x * y >> 32,
            signed[0] * signed[1] >> 32 & 0xFFFF_FFFF,
        ], (x, y)
        machine.release_buffers()


DIVISION = """
    .text
    .global divide
    .align 4
divide:
    entry a1, 32
    wfr f1, a2
    wfr f2, a3
    div0.s f3, f2
    nexp01.s f4, f2
    const.s f5, 1
    maddn.s f5, f4, f3
    mov.s f6, f3
    mov.s f7, f2
    nexp01.s f8, f1
    maddn.s f6, f5, f6
    const.s f5, 1
    const.s f0, 0
    neg.s f9, f8
    maddn.s f5, f4, f6
    maddn.s f0, f9, f3
    mkdadj.s f7, f1
    maddn.s f6, f5, f6
    maddn.s f9, f4, f0
    const.s f5, 1
    maddn.s f5, f4, f6
    maddn.s f0, f9, f6
    neg.s f9, f8
    maddn.s f6, f5, f6
    maddn.s f9, f4, f0
    addexpm.s f0, f7
    addexp.s f6, f7
    divn.s f0, f9, f6
    rfr a2, f0
    retw
    .global reciprocal
    .align 4
reciprocal:
    entry a1, 32
    wfr f1, a2
    recip0.s f0, f1
    const.s f2, 1
    msub.s f2, f1, f0
    maddn.s f0, f0, f2
    const.s f2, 1
    msub.s f2, f1, f0
    maddn.s f0, f0, f2
    rfr a2, f0
    retw
"""


def test_step_sequences_divide_correctly() -> None:
    machine = Machine("esp32s3")
    machine.load(assemble(DIVISION, "esp32s3"))
    random = np.random.default_rng(4)
    for _ in range(200):
        x, y = (random.standard_normal(2) * 10.0 ** random.integers(-20, 20, 2)).astype(np.float32)
        quotient = machine.call("divide", float(x), float(y)).float_value
        assert np.float32(quotient) == x / y, (x, y)
        value = machine.call("reciprocal", float(y)).float_value
        assert abs(value * float(y) - 1) < 2.0**-22, y


GUARDED = """
    .text
    .global writes_system_register
    .align 4
writes_system_register:
    entry a1, 32
    wsr.sar a2
    wsr.cpenable a2
    retw
    .global uses_pie
    .align 4
uses_pie:
    entry a1, 32
    ee.zero.accx
    retw
    .global reads_unwritten_q
    .align 4
reads_unwritten_q:
    entry a1, 32
    ee.zero.q q1
    ee.andq q2, q1, q1
    ee.orq q2, q1, q3
    retw
"""


def test_a_write_of_a_system_register_stops_a_checked_call() -> None:
    machine = Machine("esp32s3")
    machine.load(assemble(GUARDED, "esp32s3"))
    with pytest.raises(SimulationStop, match="0xe0"):
        machine.call("writes_system_register", 0)
    machine.call("writes_system_register", 9, checks=Check(0))
    assert machine.state("cpenable")[0] == 9


def test_pie_stops_where_the_coprocessor_is_off() -> None:
    """By Machine.forbid, and by the program's own CPENABLE without bit 3."""
    machine = Machine("esp32s3")
    machine.load(assemble(GUARDED, "esp32s3"))
    machine.call("uses_pie")
    machine.forbid(pie=True)
    with pytest.raises(SimulationStop, match="coprocessor"):
        machine.call("uses_pie")
    machine.forbid()
    machine.call("writes_system_register", 7, checks=Check(0))
    with pytest.raises(SimulationStop, match="coprocessor"):
        machine.call("uses_pie")


def test_an_unwritten_q_register_stops_the_run_on_request() -> None:
    machine = Machine("esp32s3", checks=Check.PIE_INIT)
    machine.load(assemble(GUARDED, "esp32s3"))
    with pytest.raises(SimulationStop, match="q3"):
        machine.call("reads_unwritten_q")


UNALIGNED = """
    .text
    .global stream
    .align 4
stream:
    entry a1, 32
    ee.ld.128.usar.ip q0, a2, 16
    ee.src.q.ld.ip q1, a2, 16, q0, q0
    retw
    .global store
    .align 4
store:
    entry a1, 32
    ee.vst.128.ip q0, a2, 16
    retw
"""


def test_dropped_address_bits_stop_the_run_on_request() -> None:
    """Instructions for unaligned streams drop them on purpose."""
    machine = Machine("esp32s3", checks=Check.TRUNCATION)
    machine.load(assemble(UNALIGNED, "esp32s3"))
    data = machine.buffer(np.arange(64, dtype=np.uint8), name="data")
    machine.call("stream", data.address + 3)
    machine.call("store", data)
    with pytest.raises(SimulationStop, match="data \\+ 3"):
        machine.call("store", data.address + 3)
    machine.call("store", data.address + 3, checks=Check(0))
    assert data.value[:16].tobytes() == machine.q(0, "u8").tobytes()
