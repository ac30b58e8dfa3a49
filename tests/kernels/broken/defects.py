"""Ways to break a kernel: a change of its source, and what the checker must say about it."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pienn.component import component_folder


@dataclass(frozen=True)
class Defect:
    """`pattern` in `file` becomes `replacement` (as re.sub); `said` is found in the report."""

    name: str
    target: str
    kernel: str
    pattern: str
    replacement: str
    said: str
    file: str = ""
    revision: int = 3
    disturbed: bool = False
    """Found only when another task changes CFG in the middle of the call."""

    def sources(self, folder: Path) -> Path:
        """A copy of the chip's sources with the defect in it, below `folder`."""
        shutil.copytree(component_folder() / "src_asm", folder / "src_asm")
        path = folder / "src_asm" / self.target / (self.file or f"{self.kernel}.S")
        text, times = re.subn(self.pattern, self.replacement, path.read_text(), count=1)
        assert times == 1, f"{self.name}: {path.name} no longer has {self.pattern}"
        path.write_text(text)
        return path.parent


def _p4(
    name: str, pattern: str, replacement: str, said: str, kernel: str = "fully_connected_s8", **more
) -> Defect:
    return Defect(name, "esp32p4", kernel, pattern, replacement, said, **more)


def _s3(
    name: str, pattern: str, replacement: str, said: str, kernel: str = "fully_connected_s8", **more
) -> Defect:
    return Defect(name, "esp32s3", kernel, pattern, replacement, said, **more)


DIFFERS = "bytes differ"
OUTSIDE = "outside the declared buffers"

DEFECTS = [
    _p4("callee-saved register not restored", r"    lw s5, FRAME_FREE \+ 24\(sp\)\n", "",
        "did not restore s5",
        kernel="add_s8", file="pie.inc"),
    _p4("caller's global pointer changed", r"\.Lblock:\n", ".Lblock:\n    mv gp, a5\n", "did not restore gp"),
    _p4("stack pointer not given back", r"addi sp, sp, STACK_BYTES", "addi sp, sp, STACK_BYTES - 16",
        "did not restore sp"),
    _p4("store above the frame", r"sw a5, FRAME_ROWS", r"sw a5, FRAME_ROWS\n    sw a5, STACK_BYTES(sp)",
        "where the chip has no memory"),
    _p4("one block too many", r"addi t2, t2, 15", "addi t2, t2, 31", OUTSIDE),
    _p4("stores into the input", r"mv a5, a1", "mv a5, a0", "which is constant"),
    _p4("reads too far ahead", r"\.Lstore:\n", ".Lstore:\n    lb a7, 128(a2)\n", OUTSIDE),
    _p4("last vectors of the input left out", r"\.Lsingles:\n", ".Lsingles:\n    j .Lstore\n", DIFFERS),
    _p4("clamp forgotten", r"    esp.vsat.s8 q2, q2, t5, t6\n", "", DIFFERS),
    _p4("uninitialised register", r"    lw t6, PIENN_FULLY_CONNECTED_S8_MAXIMUM\(a2\)\n", "", DIFFERS),
    _p4("result not stored", r"    esp.vst.128.ip q2, a1, 0\n", "", "never written"),
    _p4("rounds up", r"PIE_ROUND_DOWN 0", "PIE_ROUND_DOWN 1", DIFFERS, file="pie.inc"),
    _p4("wrong shift", r"(esp.srcmb.s8.qacc \\q, \\shift, PIE_SATURATE, PIE_ROUND_DOWN)",
        r"addi \\shift, \\shift, 1\n    \1\n    addi \\shift, \\shift, -1", DIFFERS, kernel="add_s8", file="pie.inc"),
    _p4("wrong loop count", r"andi a4, s6, 3 \* PIE_BYTES", "andi a4, s6, PIE_BYTES", DIFFERS,
        kernel="add_s8", file="sum.inc"),
    _p4("one byte beyond the halo", r"    FILL t4\n", "    addi t4, t4, 1\n    FILL t4\n", OUTSIDE,
        kernel="halo_s8"),
    _p4("rounding not set", r"    li \\temporary, 0\n    esp.movx.w.cfg \\temporary\n", "", "did not finish",
        file="pie.inc", revision=1),
    _p4("rounding not given back", r"    lw \\temporary, \\slot\n    esp.movx.w.cfg \\temporary\n", "",
        "did not restore CFG",
        file="pie.inc", revision=1),
    _p4("tile kept in spite of foreign rounding", r"    bnez \\temporary, \\tile\n", "", DIFFERS,
        file="pie.inc", revision=1, disturbed=True),
    _s3("store above the frame", r"    srli a5, a5, 4\n",
        "    srli a5, a5, 4\n    s32i a9, a1, FRAME_BYTES\n", "caller's stack frame"),
    _s3("window not given back", r"    retw\n", "    l32i a0, a1, -16\n    retw\n", "never written"),
    _s3("one block too many", r"addi a5, a5, 15", "addi a5, a5, 31", OUTSIDE),
    _s3("stores into the input", r"    srli a5, a5, 4\n", "    srli a5, a5, 4\n    mov a3, a2\n", "which is constant"),
    _s3("reads too far ahead", r"\.Leven:\n", ".Leven:\n    l8ui a13, a13, 128\n", OUTSIDE),
    _s3("last vector of the input left out", r"    bbsi a14, 4, .Lodd\n", "", DIFFERS),
    _s3("clamp forgotten", r"    ee.vmin.s8 q2, q2, q7\n", "", DIFFERS),
    _s3("uninitialised register", r"    ee.vld.128.ip q7, a4, PIE_BYTES\n", "    addi a4, a4, PIE_BYTES\n",
        DIFFERS),
    _s3("result not stored", r"    ee.vst.128.ip q2, a3, PIE_BYTES\n", "    addi a3, a3, PIE_BYTES\n", "never written"),
    _s3("wrong shift", r"    ee.srcmb.s8.qacc q2, a7, 0\n.Ldone",
        "    addi a7, a7, 1\n    ee.srcmb.s8.qacc q2, a7, 0\n    addi a7, a7, -1\n.Ldone", DIFFERS),
    _s3("wrong loop count", r"srli a10, a14, 5\n    s32i", "srli a10, a14, 6\n    s32i", DIFFERS),
    _s3("second digit left out", r"bne a4, a15, .Lshifts", "j .Lshifts", DIFFERS),
    _s3("masks of further shifts ignored", r"    ee.andq \\taken, \\taken, \\mask\n", "", DIFFERS,
        file="pie.inc"),
]  # fmt: skip
