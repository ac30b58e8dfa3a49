"""Compiler output: the assembler takes what GCC for Xtensa writes, and the code computes the right values."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from pienn.isa.assembler import assemble
from pienn.isa.object import Object

SOURCE = """
typedef signed char int8; typedef unsigned int uint32;
static const char *const names[] = {"alpha", "beta", "gamma"};
uint32 table[4] = {1, 2, 3, 0xfedcba98};

int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

int dot(const int8 *a, const int8 *b, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += (short)a[i] * (short)b[i];
    return sum;
}

uint32 choose(int x) {
    switch (x) {
    case 0: return names[1][0];
    case 1: return table[3];
    case 2: return 77777777;
    case 3: return names[2][4];
    case 4: return table[x - 2] + 1000;
    case 5: return (uint32)x << 20;
    default: return (uint32)-1;
    }
}

uint32 hash(const char *text, uint32 n) {
    uint32 value = 2166136261u;
    while (n--) { value ^= *text++; value = (value << 5) + (value >> 27); }
    return value;
}

void clear(char *at, int n) { while (n--) *at++ = 0; }
"""

OPTIONS = ("-O0", "-O2", "-Os")


def compiled(tool, folder: Path, *options: str) -> Path:
    (folder / "program.c").write_text(SOURCE)
    command = [
        tool("xtensa-lx106-elf-gcc"),
        *options,
        "-fno-ident",
        "-fno-builtin",
        "-fno-tree-loop-distribute-patterns",
        "-S",
        "program.c",
        "-o",
        "program.s",
    ]
    subprocess.run(command, cwd=folder, check=True)
    return folder / "program.s"


@pytest.mark.parametrize("option", OPTIONS)
def test_call0_code_has_the_bytes_of_the_lx106_assembler(option: str, tool, tmp_path: Path) -> None:
    path = compiled(tool, tmp_path, option, "-mabi=call0")
    subprocess.run(
        [tool("xtensa-lx106-elf-as"), "program.s", "-o", "program.o"],
        cwd=tmp_path,
        check=True,
    )
    command = [
        tool("xtensa-lx106-elf-objcopy"),
        "-O",
        "binary",
        "-j",
        ".text",
        "program.o",
        "text.bin",
    ]
    subprocess.run(command, cwd=tmp_path, check=True)
    ours = assemble(path, "esp32s3").sections[".text"].data
    assert ours.hex() == (tmp_path / "text.bin").read_bytes().hex()


def expected_hash(text: bytes) -> int:
    value = 2166136261
    for byte in text:
        value ^= byte
        value = ((value << 5) + (value >> 27)) & 0xFFFFFFFF
    return value


def check(program: Object, abi: str) -> None:
    from pienn.sim.machine import Machine

    machine = Machine("esp32s3", abi=abi)
    machine.load(program)
    generator = np.random.default_rng(1)
    a, b = (generator.integers(-128, 128, 50, dtype=np.int8) for _ in range(2))
    assert machine.call("fibonacci", 12).value == 144
    assert machine.call("dot", a, b, 50).value == int(a.astype(int) @ b.astype(int)) & 0xFFFFFFFF
    expected = [ord("b"), 0xFEDCBA98, 77777777, ord("a"), 1003, 5 << 20, 0xFFFFFFFF]
    assert [machine.call("choose", x).value for x in range(7)] == expected
    text = np.frombuffer(b"zero-overhead loops", dtype=np.int8)
    assert machine.call("hash", text, len(text)).value == expected_hash(text.tobytes())
    area = np.full(20, 9, dtype=np.uint8)
    machine.call("clear", area[:], 20)
    assert not area.any()


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("abi", ["windowed", "call0"])
def test_compiled_functions_run(option: str, abi: str, tool, tmp_path: Path) -> None:
    """Deep recursion in windowed code overflows the 64 registers and brings them back."""
    check(assemble(compiled(tool, tmp_path, option, f"-mabi={abi}"), "esp32s3"), abi)
