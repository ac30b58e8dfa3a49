"""`pienn sim build`: one way to make programs for both chips, with constructors, console and source lines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from pienn.isa.source import Location
from pienn.sim import compile_esp32p4, compile_esp32s3
from pienn.sim.assembled import assembled
from pienn.sim.commands import sim
from pienn.sim.elf import read_elf
from pienn.sim.line_numbers import source_lines
from pienn.sim.line_table import line_program

COMPILERS = {"esp32p4": compile_esp32p4.COMPILER, "esp32s3": compile_esp32s3.COMPILER}
CONSTANTS = {"esp32p4": 0x4000_0000, "esp32s3": 0x4200_0000}
PROGRAM = """#include <stdio.h>
#include "answer.h"
const int table[4] = {ANSWER, 2, 3, 4};
static int ready;
__attribute__((constructor)) static void prepare(void) { ready++; }
__attribute__((constructor)) static void prepare_more(void) { ready++; }
void stop(volatile int *address);
int main(void) {
    printf("%d %d\\n", ready, table[ready - 2] + MORE);
    int command = getchar();
    if (command == 'k')
        stop((int *)16);
    if (command == 'c')
        *(volatile int *)16 = 0;
    return ready;
}
"""
KERNELS = {
    "esp32p4": ".text\n.global stop\nstop:\n    lw a0, 0(a0)\n    ret\n",
    "esp32s3": ".text\n.global stop\n.align 4\nstop:\n    entry a1, 32\n    l32i a2, a2, 0\n    retw\n",
}
STOP_LINE = {"esp32p4": 4, "esp32s3": 6}


@pytest.fixture(params=["esp32p4", "esp32s3"])
def built(request, tool, tmp_path: Path) -> tuple[str, Path]:
    target = request.param
    tool(COMPILERS[target])
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "answer.h").write_text("#define ANSWER 40\n")
    (tmp_path / "main.c").write_text(PROGRAM)
    (tmp_path / "stop.S").write_text(KERNELS[target])
    program = tmp_path / "program.elf"
    arguments = [str(tmp_path / "main.c"), str(tmp_path / "stop.S"), "-o", str(program), "--target", target]
    options = ["-I", str(tmp_path / "include"), "-D", "MORE=2"]
    done = CliRunner().invoke(sim, ["build", *arguments, *options])
    assert done.exit_code == 0, done.output
    return target, program


def run(program: Path, given: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from pienn.cli import main; main()", "sim", "run", str(program)]
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60)


def test_constructors_run_and_options_reach_the_compiler(built) -> None:
    done = run(built[1], "x")
    assert (done.stdout, done.returncode) == ("2 42\n", 2)


def test_constants_lie_in_flash(built) -> None:
    target, program = built
    assert 0 <= read_elf(program.read_bytes()).symbols["table"] - CONSTANTS[target] < 16 << 20


@pytest.mark.parametrize(("given", "file"), [("k", "stop.S"), ("c", "main.c")])
def test_a_stop_names_file_and_line(built, given: str, file: str) -> None:
    target, program = built
    done = run(program, given)
    line = STOP_LINE[target] if file == "stop.S" else 14
    assert done.returncode == 1
    assert f"{program.parent / file}:{line}" in done.stderr and "no memory" in done.stderr


def test_line_tables_are_read_as_written() -> None:
    places = [
        (0x100, "a.S", 3),
        (0x102, "a.S", 4),
        (0x106, "b.S", 900),
        (0x4000, "b.S", 1),
        (0x4003, "a.S", 7),
    ]
    lines = {address: Location(file, line) for address, file, line in places}
    found = source_lines({".debug_line": line_program(lines)}, 1)
    for address, location in lines.items():
        assert (found[address].file, found[address].line) == (location.file, location.line)
    assert 0x10A not in found and 0x3FFF not in found


def test_assembled_files_are_kept_until_a_source_changes(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PIENN_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "sources" / "one.S"
    source.parent.mkdir()
    (source.parent / "value.inc").write_text(".equ VALUE, 5\n")
    source.write_text('#include "value.inc"\none: addi a0, a0, VALUE\n')
    first = assembled(source, "esp32p4")
    (kept,) = (tmp_path / "cache").iterdir()
    assert assembled(source, "esp32p4").flat(0) == first.flat(0)
    (source.parent / "value.inc").write_text(".equ VALUE, 6\n")
    assert assembled(source, "esp32p4").flat(0) != first.flat(0)
    kept.write_bytes(b"damaged")
    (source.parent / "value.inc").write_text(".equ VALUE, 5\n")
    assert assembled(source, "esp32p4").flat(0) == first.flat(0)
