"""Every shipped ESP32-P4 kernel source: equal bytes from our assembler and from GNU as with the generated macros."""

import subprocess
from pathlib import Path

import pytest
from pienn.isa.assembler import assemble
from pienn.isa.gnu_macros import macros
from pienn.isa.source import preprocess
from pienn.isa.target import create

ROOT = Path(__file__).resolve().parents[2]
KERNELS = sorted((ROOT / "src_asm" / "esp32p4").glob("*.S"))
INCLUDE = [ROOT / "src_asm", ROOT / "include"]


@pytest.mark.parametrize("revision", [1, 3])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda path: path.stem)
def test_kernel_has_the_bytes_of_gnu_as(kernel: Path, revision: int, tool, tmp_path: Path) -> None:
    ours = assemble(kernel, "esp32p4", revision, INCLUDE).sections[".text"].data
    assert ours
    defines = create("esp32p4", revision).predefined_macros()
    text = preprocess(kernel.read_text(encoding="utf-8"), str(kernel), INCLUDE, defines)
    (tmp_path / "pie.inc").write_text(macros("esp32p4", revision))
    (tmp_path / "kernel.s").write_text(text)
    march = "rv32imafc_zicsr_zifencei" + ("_zba_zbb_zbs" if revision == 3 else "")
    command = [tool("riscv64-unknown-elf-as"), "-mno-relax", f"-march={march}", "-mabi=ilp32f"]
    subprocess.run([*command, "pie.inc", "kernel.s", "-o", "kernel.o"], cwd=tmp_path, check=True)
    copy = [tool("riscv64-unknown-elf-objcopy"), "-O", "binary", "-j", ".text", "kernel.o", "kernel.bin"]
    subprocess.run(copy, cwd=tmp_path, check=True)
    assert (tmp_path / "kernel.bin").read_bytes() == ours
