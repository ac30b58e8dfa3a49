"""Every shipped ESP32-P4 kernel source: equal bytes from our assembler and from GNU as with the generated macros.

Both objects are linked, because GNU as leaves differences of labels (jump tables) to the linker.
"""

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
    def run(program: str, *arguments: str) -> None:
        subprocess.run([tool(f"riscv64-unknown-elf-{program}"), *arguments], cwd=tmp_path, check=True)

    (tmp_path / "ours.o").write_bytes(assemble(kernel, "esp32p4", revision, INCLUDE).elf())
    defines = create("esp32p4", revision).predefined_macros()
    text = preprocess(kernel.read_text(encoding="utf-8"), str(kernel), INCLUDE, defines)
    (tmp_path / "pie.inc").write_text(macros("esp32p4", revision))
    (tmp_path / "kernel.s").write_text(text)
    march = "rv32imafc_zicsr_zifencei" + ("_zba_zbb_zbs" if revision == 3 else "")
    run("as", "-mno-relax", f"-march={march}", "-mabi=ilp32f", "pie.inc", "kernel.s", "-o", "gnu.o")
    images = []
    for name in ("ours", "gnu"):
        unresolved = "--unresolved-symbols=ignore-all"
        run(
            "ld",
            "-m",
            "elf32lriscv",
            "--no-relax",
            unresolved,
            "-e",
            "0",
            "-Ttext=0x4ff00000",
            f"{name}.o",
            "-o",
            name,
        )
        run("objcopy", "-O", "binary", "-j", ".text", "-j", ".rodata", "-j", ".data", name, f"{name}.bin")
        images.append((tmp_path / f"{name}.bin").read_bytes())
    assert len(images[0]) > 100 and images[0] == images[1]
