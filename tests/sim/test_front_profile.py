"""Profile by symbol, line and instruction, and coverage of the instruction table."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.isa.table import load
from pienn.sim.commands import sim
from pienn.sim.coverage import Coverage
from pienn.sim.machine import Machine
from pienn.sim.profile import Profile

SOURCES = {
    "esp32p4": """
    .global outer, inner
outer:
    addi sp, sp, -16
    sw ra, 0(sp)
    call inner
    call inner
    lw ra, 0(sp)
    addi sp, sp, 16
    ret
inner:
    li a2, 10
again:
    esp.vld.128.ip q0, a0, 0
    esp.vadd.s8 q1, q0, q0
    addi a2, a2, -1
    bnez a2, again
    ret
""",
    "esp32s3": """
    .global outer, inner
outer:
    entry a1, 32
    mov a10, a2
    call8 inner
    mov a10, a2
    call8 inner
    retw.n
    .align 4
inner:
    entry a1, 32
    movi a3, 10
again:
    ee.vld.128.ip q0, a2, 0
    ee.vadds.s8 q1, q0, q0
    addi a3, a3, -1
    bnez a3, again
    retw.n
""",
}
LOOP_LINES = {"esp32p4": range(14, 18), "esp32s3": range(15, 19)}
TARGETS = sorted(SOURCES)


def profiled(target: str, memory: str = "ideal") -> tuple[Profile, int, int]:
    machine = Machine(target, memory=memory)
    machine.load(assemble(SOURCES[target], target, name="kernel.S"))
    for _ in range(2):  # the second call's profile does not contain the first
        result = machine.call("outer", np.zeros(64, np.int8), profile=True)
    assert result.profile is not None
    return result.profile, result.instructions, result.cycles


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("memory", ["ideal", "chip"])
def test_the_profile_adds_up_to_the_run(target: str, memory: str) -> None:
    name = {"ideal": "ideal", "chip": {"esp32p4": "esp32p4@360", "esp32s3": "esp32s3@240"}[target]}[memory]
    profile, instructions, cycles = profiled(target, name)
    for shares in (profile.by_symbol(), profile.by_line(), profile.by_mnemonic(), profile.by_extension()):
        assert sum(share.instructions for share in shares) == instructions
        assert sum(share.cycles for share in shares) == cycles
        assert [share.cycles for share in shares] == sorted((share.cycles for share in shares), reverse=True)


@pytest.mark.parametrize("target", TARGETS)
def test_counts_belong_to_their_function_and_line(target: str) -> None:
    profile, instructions, _ = profiled(target)
    symbols = {share.name: share.instructions for share in profile.by_symbol()}
    assert set(symbols) == {"outer", "inner"}  # `again` is a label inside inner
    assert symbols["outer"] == instructions - symbols["inner"] < 12
    lines = {share.name: share.instructions for share in profile.by_line()}
    for line in LOOP_LINES[target]:
        assert lines[f"kernel.S:{line}"] == 20
    stalled = next(s for s in profile.spots if "vadd" in s.mnemonic)
    assert stalled.cycles == 2 * stalled.executions  # waits for the load before it


def test_without_a_profile_there_is_none() -> None:
    machine = Machine("esp32p4")
    machine.load(assemble(SOURCES["esp32p4"], "esp32p4"))
    assert machine.call("outer", np.zeros(64, np.int8)).profile is None
    assert machine.profile().spots == ()


def test_the_report_names_what_is_hot() -> None:
    profile, _, _ = profiled("esp32p4")
    text = str(profile)
    assert "inner" in text and "kernel.S:15" in text and "esp.vadd.s8" in text and "xespv" in text
    assert any("esp.vadd.s8 q1, q0, q0" in line and "kernel.S:15" in line for line in profile.annotated())
    assert "esp.vadd.s8 q1, q0, q0" in profile._repr_html_()
    assert json.loads(json.dumps(profile.as_json()))["cycles"] == profile.cycles


@pytest.mark.parametrize("target", TARGETS)
def test_coverage_divides_the_table_into_executed_and_missing(target: str) -> None:
    coverage = profiled(target)[0].coverage()
    table = list(load(target).instructions)
    assert sorted(coverage.executed() + coverage.missing()) == sorted(table)
    assert coverage.counts[{"esp32p4": "esp.vadd.s8", "esp32s3": "ee.vadds.s8"}[target]] == 20
    assert sum(done for done, _ in coverage.by_extension().values()) == len(coverage.executed())
    assert sum(total for _, total in coverage.by_extension().values()) == len(table)
    assert str(coverage).startswith(f"{len(coverage.executed())} of {len(table)} instructions of {target}")
    assert json.loads(json.dumps(coverage.as_json()))["missing"] == coverage.missing()


def test_coverage_of_several_runs_is_joined() -> None:
    joined = Coverage("esp32p4", {"add": 2, "sub": 0}) | Coverage("esp32p4", {"add": 1, "mul": 4})
    assert joined.counts == {"add": 3, "mul": 4}
    with pytest.raises(PiennError, match="cannot be joined"):
        _ = joined | Coverage("esp32s3", {})
    with pytest.raises(PiennError, match="frobnicate: no instruction of esp32p4"):
        Coverage("esp32p4", {"frobnicate": 1})


def test_a_program_is_profiled_by_function(tool, tmp_path: Path) -> None:
    source = tmp_path / "program.c"
    source.write_text(
        "__attribute__((noinline)) int busy(int n) {\n"
        "    int s = 0; for (volatile int i = 0; i < n; i++) s += i; return s;\n"
        "}\n"
        "int main(void) { return busy(1000) != 499500; }\n"
    )
    program, figures = tmp_path / "program.elf", tmp_path / "figures.json"
    subprocess.run(
        [tool("riscv64-unknown-elf-gcc"), "-O1", "-march=rv32imafc", "-mabi=ilp32f", "--specs=picolibc.specs",
         "--oslib=semihost", "--crt0=semihost", "-Wl,--defsym=__flash=0x40000000", "-Wl,--defsym=__flash_size=0x400000",
         "-Wl,--defsym=__ram=0x4ff00000", "-Wl,--defsym=__ram_size=0xc0000", str(source), "-o", str(program)],
        check=True,
    )  # fmt: skip
    done = CliRunner().invoke(sim, ["run", str(program), "--profile", "--json", str(figures)])
    assert done.exit_code == 0, done.output
    report = done.stderr.split("symbol\n")[1].splitlines()[0]
    assert report.split()[-1] == "busy" and int(report.split()[2]) > 5000
    written = json.loads(figures.read_text())
    assert written["profile"]["symbols"][0]["name"] == "busy"
    unseen = written["cycles"] - written["profile"]["cycles"]  # of instructions that the host completes
    assert 0 <= unseen < 20 and written["profile"]["instructions"] == written["instructions"]
    assert written["traffic"]["SRAM"]["reads"] > 1000
