"""Whole programs made by the cross compiler, with console, exit code and counters."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from pienn.errors import PiennError
from pienn.sim.commands import sim
from pienn.sim.programs import Console, run_program

SOURCE = Path(__file__).with_name("programs.c")
FLAGS = [
    "-O2",
    "-march=rv32imafc",
    "-mabi=ilp32f",
    "--specs=picolibc.specs",
    "--oslib=semihost",
    "--crt0=semihost",
]
PLACES = {
    "__flash": 0x40000000,
    "__flash_size": 0x400000,
    "__ram": 0x4FF00000,
    "__ram_size": 0xC0000,
}


def build(tool, folder: Path, source: Path | str, name: str = "program") -> Path:
    """Compile a C file or text for the ESP32-P4's memory map."""
    if isinstance(source, str):
        text, source = source, folder / f"{name}.c"
        source.write_text(text)
    program = folder / f"{name}.elf"
    places = [f"-Wl,--defsym={symbol}={value:#x}" for symbol, value in PLACES.items()]
    command = [
        tool("riscv64-unknown-elf-gcc"),
        *FLAGS,
        *places,
        str(source),
        "-o",
        str(program),
        "-lm",
    ]
    subprocess.run(command, check=True)
    return program


def host_output(tool, folder: Path) -> tuple[bytes, int]:
    program = folder / "host"
    subprocess.run(
        [
            tool("gcc"),
            "-O1",
            "-ffp-contract=off",
            str(SOURCE),
            "-o",
            str(program),
            "-lm",
        ],
        check=True,
    )
    done = subprocess.run([str(program)], capture_output=True, check=False)
    return done.stdout, done.returncode


def test_sorting_hashing_floats_and_printf_print_what_the_host_prints(tool, tmp_path: Path) -> None:
    wanted, exit_code = host_output(tool, tmp_path)
    ended = run_program(
        build(tool, tmp_path, SOURCE),
        "esp32p4",
        memory="esp32p4@360",
        console=Console(),
    )
    assert ended.output.decode() == wanted.decode()
    assert ended.exit_code == exit_code == 42
    assert ended.cycles > ended.instructions > 1_000_000
    assert ended.traffic["flash"].line_fills > 0


def test_the_command_gives_console_exit_code_and_figures(tool, tmp_path: Path) -> None:
    program = build(
        tool,
        tmp_path,
        '#include <stdio.h>\nint main(void) { puts("hello"); return 3; }\n',
    )
    result = CliRunner().invoke(sim, ["run", str(program), "--json", str(tmp_path / "run.json")])
    assert (result.output, result.exit_code) == ("hello\n", 3)
    figures = json.loads((tmp_path / "run.json").read_text())
    assert figures["exit_code"] == 3 and figures["instructions"] > 100


def test_the_cycle_counter_counts(tool, tmp_path: Path) -> None:
    text = """#include <stdio.h>
    static unsigned cycles(void) { unsigned c; __asm__ volatile("csrr %0, mcycle" : "=r"(c)); return c; }
    int main(void) {
        unsigned before = cycles();
        for (volatile int i = 0; i < 100; i++) {}
        unsigned after = cycles();
        return after - before > 300 && after - before < 1500 ? 0 : 1;
    }"""
    assert run_program(build(tool, tmp_path, text), console=Console()).exit_code == 0


def test_standard_input_is_the_console(tool, tmp_path: Path) -> None:
    text = "#include <stdio.h>\nint main(void) { int c = getchar(); return c == 'x' && getchar() == 'y' ? 0 : 1; }\n"
    assert run_program(build(tool, tmp_path, text), console=Console(input=b"xy")).exit_code == 0


def test_an_endless_program_stops_at_the_limit_and_says_where(tool, tmp_path: Path) -> None:
    program = build(tool, tmp_path, "int main(void) { for (;;) {} }\n")
    result = CliRunner().invoke(sim, ["run", str(program), "--max-instructions", "20000"])
    assert result.exit_code == 1
    assert "main" in result.stderr and "instruction limit" in result.stderr


def test_a_trace_has_one_line_per_instruction(tool, tmp_path: Path) -> None:
    program = build(tool, tmp_path, "int main(void) { return 0; }\n")
    ended = run_program(program, console=Console(), trace=tmp_path / "trace.txt")
    lines = (tmp_path / "trace.txt").read_text().splitlines()
    assert (
        ended.instructions <= len(lines) <= ended.instructions + 20
    )  # the calls of the host are listed, too
    assert "sp=" in lines[0] or "sp=" in lines[1]
    assert "addi" in "".join(lines) and "ebreak" in "".join(lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"MZ", "not an ELF file"),
        (b"\x7fELF" + bytes(60), "not a little-endian 32-bit"),
        (
            b"\x7fELF\x01\x01" + bytes(10) + b"\x01\0\xf3\0" + bytes(40),
            "not a linked executable",
        ),
        (
            b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\x03\0" + bytes(40),
            "another processor",
        ),
        (b"\x7fELF\x01\x01" + bytes(10) + b"\x02\0\xf3\0" + b"\xff" * 40, "damaged"),
    ],
)
def test_a_file_that_is_no_program_is_refused_in_one_line(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.elf"
    path.write_bytes(content)
    with pytest.raises(PiennError, match=rf"bad\.elf: .*{reason}"):
        run_program(path)


def test_a_segment_of_impossible_size_is_refused(tool, tmp_path: Path) -> None:
    program = build(tool, tmp_path, "int main(void) { return 0; }\n")
    data = bytearray(program.read_bytes())
    at = int.from_bytes(data[28:32], "little")
    while data[at] != 1:  # the first segment to be loaded
        at += 32
    data[at + 20 : at + 24] = (0xFFFF0000).to_bytes(4, "little")
    program.write_bytes(data)
    with pytest.raises(PiennError, match=r"program\.elf: damaged ELF file: segment"):
        run_program(program)


def test_the_other_chip_is_refused(tool, tmp_path: Path) -> None:
    program = build(tool, tmp_path, "int main(void) { return 0; }\n")
    with pytest.raises(PiennError, match="made for the esp32p4 family"):
        run_program(program, "esp32s3")
