"""Every shipped ESP32-S3 kernel source is one that GNU as reads: its directives, macros, labels and base instructions.

Debian's GNU as knows a smaller Xtensa core. What that core lacks (SIMD, windows, loops) stands as three bytes in its
place, and must be an instruction of our table; test_xtensa_assembler.py compares the bytes of all of them.
"""

import re
import subprocess
from pathlib import Path

import pytest

from pienn.isa import load
from pienn.isa.source import preprocess
from pienn.isa.target import create

ROOT = Path(__file__).resolve().parents[2]
KERNELS = sorted((ROOT / "src_asm" / "esp32s3").glob("*.S"))
INCLUDE = [ROOT / "src_asm", ROOT / "include"]
STAND_IN = ".macro {} operands:vararg\n.byte 0, 0, 0\n.endm\n"
UNKNOWN = re.compile(r"unknown opcode or format name '([^']+)'")


def complaints(source: str, assembler: str, folder: Path) -> str:
    (folder / "kernel.s").write_text(source)
    command = [assembler, "kernel.s", "-o", "kernel.o"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stderr


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_gnu_as_reads_the_kernel(kernel: Path, tool, tmp_path: Path) -> None:
    assembler = tool("xtensa-lx106-elf-as")
    defines = create("esp32s3", None).predefined_macros()
    text = preprocess(kernel.read_text(encoding="utf-8"), str(kernel), INCLUDE, defines)
    missing = sorted(set(UNKNOWN.findall(complaints(text, assembler, tmp_path))))
    assert set(missing) <= set(load("esp32s3").instructions)
    stand_ins = "".join(STAND_IN.format(mnemonic) for mnemonic in missing)
    assert complaints(stand_ins + text, assembler, tmp_path) == ""
