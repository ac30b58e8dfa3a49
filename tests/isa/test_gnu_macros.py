"""The generated macros make GNU as produce the bytes that our assembler produces."""

import random
import subprocess
from pathlib import Path

import pytest

from pienn.isa import load
from pienn.isa.assembler import assemble
from pienn.isa.disassembler import instruction_text
from pienn.isa.gnu_macros import EXTENSIONS, macros


def gnu_bytes(tool, folder: Path, source: str, revision: int) -> bytes:
    (folder / "pie.inc").write_text(macros("esp32p4", revision))
    (folder / "kernel.s").write_text(source)
    command = [tool("riscv64-unknown-elf-as"), "-march=rv32imafc_zicsr_zifencei", "-mabi=ilp32f"]
    subprocess.run([*command, "pie.inc", "kernel.s", "-o", "kernel.o"], cwd=folder, check=True)
    copy = [tool("riscv64-unknown-elf-objcopy"), "-O", "binary", "-j", ".text", "kernel.o", "kernel.bin"]
    subprocess.run(copy, cwd=folder, check=True)
    return (folder / "kernel.bin").read_bytes()


@pytest.mark.parametrize("revision", [1, 3])
def test_every_pie_instruction_has_the_same_bytes(tool, tmp_path: Path, revision: int) -> None:
    isa = load("esp32p4")
    generator = random.Random(7)
    lines = [".option norelax"]
    for instruction in isa.instructions.values():
        encoding = instruction.encoding(revision)
        if instruction.extension not in EXTENSIONS or encoding is None:
            continue
        for _ in range(3):
            word = encoding.match
            for bits in encoding.fields.values():
                for bit in bits:
                    word |= generator.getrandbits(1) << bit
            decoded = isa.decode(word.to_bytes(4, "little"), revision=revision)
            assert decoded is not None and decoded[0] is instruction
            lines.append(instruction_text("esp32p4", *decoded, revision))
    source = "\n".join(lines) + "\n"
    expected = assemble(source, "esp32p4", revision).sections[".text"].data
    assert len(expected) >= 3 * 4 * 360
    assert gnu_bytes(tool, tmp_path, source, revision) == expected


KERNEL = """
.globl kernel
kernel:
    addi sp, sp, -16
    esp.lp.setup 0, a2, 1f
    esp.vld.128.ip q0, a0, 16
    esp.vld.128.ip q1, a1, 16
    esp.vmulas.s8.xacc q0, q1
1:  addi a3, a3, 1
    beqz a3, 2f
    esp.vadd.s8 q2, q0, q1, trunc
    esp.vmul.s8 q2, q0, q1, rne
    esp.vmul.s8 q2, q0, q1, trunc, rtz
    esp.srcmb.s8.qacc q2, t3, 0
2:  addi sp, sp, 16
    ret
"""


def test_a_kernel_with_loops_and_labels_has_the_same_bytes(tool, tmp_path: Path) -> None:
    expected = assemble(KERNEL, "esp32p4", 3).sections[".text"].data
    assert gnu_bytes(tool, tmp_path, KERNEL, 3) == expected


@pytest.mark.parametrize(
    "line",
    [
        "esp.vld.128.ip q0, a6, 16",
        "esp.vld.128.ip q9, a0, 16",
        "esp.vld.128.ip q0, a0, 8",
        "esp.vadd.s8 q0, q1, q2, up",
    ],
)
def test_the_macros_refuse_what_our_assembler_refuses(tool, tmp_path: Path, line: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        gnu_bytes(tool, tmp_path, line + "\n", 3)
