"""Source lines of ELF programs: stops and profiles name file and line, with every version of the debug format."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pienn.sim.elf import read_elf
from pienn.sim.line_numbers import source_lines
from pienn.sim.programs import Console, run_program

SOURCE = """#include <stdint.h>
static int twice(int x) {
    return 2 * x;
}
int main(void) {
    volatile int *nowhere = (volatile int *)0x10000000;
    int sum = 0;
    for (int i = 0; i < 10; i++)
        sum += twice(i);
    return *nowhere + sum;
}
"""


def compiled(tool, folder: Path, *flags: str) -> Path:
    (folder / "inner").mkdir(exist_ok=True)
    (folder / "inner" / "program.c").write_text(SOURCE)
    subprocess.run(
        [tool("riscv64-unknown-elf-gcc"), "-O0", "-march=rv32imafc", "-mabi=ilp32f", "--specs=picolibc.specs",
         "--oslib=semihost", "--crt0=semihost", "-Wl,--defsym=__flash=0x40000000", "-Wl,--defsym=__flash_size=0x400000",
         "-Wl,--defsym=__ram=0x4ff00000", "-Wl,--defsym=__ram_size=0xc0000", *flags, "inner/program.c",
         "-o", "program.elf"],
        check=True,
        cwd=folder,
    )  # fmt: skip
    return folder / "program.elf"


@pytest.mark.parametrize("version", ["2", "3", "4", "5"])
def test_a_stop_in_a_program_names_its_line(tool, tmp_path: Path, version: str) -> None:
    ended = run_program(compiled(tool, tmp_path, f"-gdwarf-{version}"), console=Console())
    assert ended.stop is not None
    assert ended.stop.startswith("inner/program.c:10: access to 0x10000000")


def test_without_debug_information_the_stop_names_the_symbol(tool, tmp_path: Path) -> None:
    ended = run_program(compiled(tool, tmp_path), console=Console())
    assert ended.stop is not None and ended.stop.startswith("main+0x")


def test_a_program_is_profiled_by_line(tool, tmp_path: Path) -> None:
    ended = run_program(compiled(tool, tmp_path, "-g"), console=Console(), profile=True)
    assert ended.profile is not None
    lines = {share.name: share.instructions for share in ended.profile.by_line()}
    assert lines["inner/program.c:3"] % 10 == 0 < lines["inner/program.c:3"]
    assert lines["inner/program.c:8"] > 11


def test_lines_agree_with_objdump(tool, tmp_path: Path) -> None:
    program = compiled(tool, tmp_path, "-g", "-ffunction-sections")
    listing = subprocess.run(
        [tool("riscv64-unknown-elf-objdump"), "--dwarf=decodedline", str(program)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = read_elf(program.read_bytes()).lines
    rows = [row.split() for row in listing.splitlines() if row.startswith("program.c ")]
    wanted = {
        int(row[2], 16): int(row[1]) for row in rows if row[1].isdigit()
    }  # the last row of an address counts
    assert len(wanted) > 10
    assert {address: lines[address].line for address in wanted} == wanted


def test_damaged_debug_information_is_left_out(tool, tmp_path: Path) -> None:
    data = compiled(tool, tmp_path, "-g").read_bytes()
    at = data.index(b".debug_line\0")
    assert read_elf(data[:at] + b".debug_none\0" + data[at + 12 :]).lines == {}
    for content in (b"\xff", b"\xff\xff\xff\xff", b"\x20\0\0\0\x05\0" + b"\xff" * 30, b"\x04\0\0\0" * 9):
        assert source_lines({".debug_line": content}, 2) == {}
