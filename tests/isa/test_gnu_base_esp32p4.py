"""Base RISC-V sources give the bytes that GNU as (Debian's riscv64-unknown-elf-as) gives."""

import itertools
import random
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pienn.isa.assembler import assemble

MARCH = "rv32imafc_zicsr_zifencei_zba_zbb_zbs"


def gnu_text(tool, folder: Path, source: str) -> bytes:
    (folder / "a.s").write_text(source)
    command = [
        tool("riscv64-unknown-elf-as"),
        "-mno-relax",
        f"-march={MARCH}",
        "-mabi=ilp32f",
        "a.s",
        "-o",
        "a.o",
    ]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr + source
    copy = [tool("riscv64-unknown-elf-objcopy"), "-O", "binary", "-j", ".text", "a.o", "a.bin"]
    subprocess.run(copy, cwd=folder, check=True)
    return (folder / "a.bin").read_bytes()


def our_text(source: str) -> bytes:
    return assemble(source, "esp32p4", 3).sections[".text"].data


REGISTERS = ["x0", "ra", "sp", "s0", "a0", "a5", "a6", "t6"]
NUMBERS = [
    -2048,
    -513,
    -512,
    -496,
    -33,
    -32,
    -16,
    -1,
    0,
    1,
    3,
    4,
    8,
    16,
    31,
    32,
    124,
    128,
    252,
    256,
    496,
    1020,
    2047,
]
BIG = [0, 1, -1, 31, 32, -33, 2047, 2048, -2049, 4096, 0x1F000, 0x20000, 0x12345678, 0x7FFFFFFF, 0x80000000,
       0xFFFFFFFF, 0xFFFFF800, 0x1F001, -4096, -131072]  # fmt: skip
SINGLE = """nop; ret; ebreak; ecall; fence; fence rw, w; fence.i; fence.tso; wfi; mret; unimp; c.nop; c.ebreak
fadd.s f1, f2, f3; fadd.s f1, f2, f3, rne; fmadd.s f1, f2, f3, f4; fsqrt.s f1, f2; fmv.s f1, f2; fabs.s f1, f2
fneg.s f3, f4; fsrm a0; fscsr a0; frcsr a0; fsflagsi 3; feq.s a0, f1, f2; fgt.s a0, f1, f2; fclass.s a0, f1
amoadd.w.aqrl a0, a1, (a2); amoswap.w a0, a1, 0(a2); lr.w.aq a0, (a1); sc.w.rl a0, a1, (a2)
lui a0, %hi(0x12345678); addi a0, a0, %lo(0x12345fff); lw a0, %lo(0x12345fff)(a1); c.addi a0, 3
c.lui a0, 0xfffe1; c.addi4spn a0, sp, 16; c.lwsp a0, 4(sp); c.flwsp fa0, 8(sp); c.j .; c.beqz a0, .
csrw 0x7f2, a1; csrwi 0x7f2, 1; csrsi 0x7f2, 1; csrr a0, mstatus; csrrc a0, mscratch, a1; rdcycle a0; rdinstreth a1
sh1add a0, a1, a2; sh3add a0, a1, a2; andn a0, a1, a2; clz a0, a1; ctz a0, a1; cpop a0, a1; max a0, a1, a2
minu a0, a1, a2; sext.b a0, a1; sext.h a0, a1; zext.h a0, a1; rol a0, a1, a2; rori a0, a1, 7; orc.b a0, a1
rev8 a0, a1; bclr a0, a1, a2; bexti a0, a1, 9; binvi a0, a1, 31; bset a0, a1, a2; fcvt.w.s a0, f3
fcvt.w.s a0, f3, rtz; fcvt.wu.s a0, f3; fcvt.s.w f3, a0; fmv.w.x f1, a0; fmv.x.w a0, f1; fmv.x.s a0, f1
la a0, 0x12345; la a1, 5
mulhsu a0, a1, a2; divu a0, a1, a2; rem a0, a1, a2; sgt a0, a1, a2; zext.b a0, a1; neg a0, a1; sltz a0, a1"""


def forms() -> list[str]:
    """Statements that walk through the borders between 32-bit and 16-bit forms."""
    lines = [line for row in SINGLE.splitlines() for line in row.split(";")]
    for name in "add sub and or xor sll slt mul".split():
        lines += [f"{name} {a}, {b}, {c}" for a, b, c in itertools.product(REGISTERS, repeat=3)]
    for name in "addi andi xori slti".split():
        lines += [f"{name} {a}, {b}, {n}" for a, b in itertools.product(REGISTERS, repeat=2) for n in NUMBERS]
    for name in "slli srli srai".split():
        lines += [
            f"{name} {a}, {b}, {n}" for a, b in itertools.product(REGISTERS, repeat=2) for n in (0, 1, 31)
        ]
    for name in "lw sw lb sb lhu".split():
        lines += [f"{name} {a}, {n}({b})" for a, b in itertools.product(REGISTERS, repeat=2) for n in NUMBERS]
    for name in "flw fsw".split():
        lines += [
            f"{name} {a}, {n}({b})" for a in ("f0", "f8", "f15", "f31") for b in REGISTERS for n in NUMBERS
        ]
    for a in REGISTERS:
        lines += [f"li {a}, {n}" for n in BIG]
        lines += [f"lui {a}, {n}" for n in (0, 1, 31, 32, 0xFFFE0, 0xFFFDF, 0xFFFFF)]
        lines += [f"jr {a}", f"jalr {a}", f"jr 8({a})", f"jr {a}, 8"]
        for b in REGISTERS:
            lines += [
                f"jalr {a}, 4({b})",
                f"jalr {a}, {b}",
                f"mv {a}, {b}",
                f"not {a}, {b}",
                f"add {a}, {b}, 5",
            ]
    return lines


def test_every_form_near_the_16_bit_borders(tool, tmp_path: Path) -> None:
    lines = forms()
    ours, theirs = our_text("\n".join(lines) + "\n"), gnu_text(tool, tmp_path, "\n".join(lines) + "\n")
    if ours != theirs:  # name the statements: assemble them one by one up to the first difference
        for line in lines:
            one = our_text(line + "\n")
            assert one == theirs[: len(one)], f"{line}: ours {one.hex()}, GNU as {theirs[:4].hex()}"
            theirs = theirs[len(one) :]
    assert len(ours) > 10_000


BRANCHES = ["beq", "bne", "blt", "bge", "bltu", "bgeu", "bgt", "bleu"]


def random_program(seed: int) -> str:
    """Labels, branches near and far, alignment, options, address pairs and gaps."""
    generator = random.Random(seed)
    choose = generator.choice
    registers = ["a0", "a1", "s0", "t0", "x0", "a5", "sp", "ra", "t6"]
    count = choose([5, 20, 60, 200, 700])
    labels = [f"L{i}" for i in range(max(1, count // 8))]
    where: dict[int, list[str]] = {}
    for label in labels:
        where.setdefault(generator.randrange(count), []).append(label)
    lines = [".globl L0" if generator.random() < 0.3 else ""]
    depth = 0
    for place in range(count):
        lines += [label + ":" for label in where.get(place, ())]
        kind, label = generator.random(), choose(labels)
        a, b, c = (choose(registers) for _ in range(3))
        if generator.random() < 0.1:
            lines.append(f"{generator.randrange(3)}:")
        if kind < 0.12:
            lines.append(f"{choose(BRANCHES)} {a}, {b}, {label}")
        elif kind < 0.2:
            lines.append(f"{choose(['beqz', 'bnez', 'bltz', 'bgez', 'blez', 'bgtz'])} {a}, {label}")
        elif kind < 0.24:
            lines.append(f"{choose(['j', 'jal', 'jal t0,', 'call', 'tail'])} {label}")
        elif kind < 0.27:
            lines.append(f".option {choose(['rvc', 'norvc'])}")
        elif kind < 0.29:
            pop = bool(depth) and generator.random() < 0.5
            depth += -1 if pop else 1
            lines.append(".option " + ("pop" if pop else "push"))
        elif kind < 0.33:
            lines.append(
                choose([".align 2", ".p2align 4", ".align 1", ".balign 8", ".balign 16,,5", ".p2align 3"])
            )
        elif kind < 0.35:
            lines.append(f".space {choose([2, 4, 40, 300])}")
        elif kind < 0.37:
            lines.append(f"la {choose(registers[:4])}, {label}")
        elif kind < 0.45:
            lines.append(f"li {a}, {choose(BIG)}")
        elif kind < 0.5:
            lines.append(
                f"{choose(['lw', 'sw', 'lb', 'sb', 'lhu'])} {a}, {choose([0, 4, 8, 64, -4, 124, 128])}({b})"
            )
        elif kind < 0.54:
            lines.append(choose([f"beqz {a}, external", "j external", f"bne {a}, {b}, external"]))
        elif kind < 0.58:
            lines.append(f"bnez {a}, {generator.randrange(3)}f")
        elif kind < 0.8:
            lines.append(f"{choose(['add', 'sub', 'and', 'or', 'xor', 'mul'])} {a}, {b}, {c}")
        else:
            lines.append(f"{choose(['addi', 'andi'])} {a}, {choose([a, b])}, {generator.randrange(-40, 40)}")
    return "\n".join([*lines, "0:", "1:", "2:"]) + "\n"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 10**9))
def test_random_programs_with_labels_and_alignment(tool, tmp_path_factory, seed: int) -> None:
    source = random_program(seed)
    expected = gnu_text(tool, tmp_path_factory.mktemp("gnu"), source)
    assert our_text(source) == expected, f"random_program({seed}) differs"


MACROS = """
.set LIMIT, 3
.equ STEP, LIMIT * 4 + (1 << 2) / 2
.macro twice a, b=5, rest:vararg
    addi \\a, \\a, \\b
    .ifnb \\rest
    .irp r, \\rest
    addi \\r, \\r, 1
    .endr
    .endif
local\\@: bnez \\a, local\\@
.endm
.macro nested n
    .if \\n
    li a0, \\n
    nested "(\\n - 1)"
    .endif
.endm
start:
    twice a0
    twice a1, 7
    twice b=9, a=a2
    twice a3, 1, a4, a5
    nested 3
    .rept LIMIT
    addi a0, a0, STEP
    .endr
    .irpc d, 123
    li a\\d, \\d
    .endr
    .ifdef LIMIT
    .ifndef NOTHING
    li t0, 'A'
    .else
    li t0, 'B'
    .endif
    .elseif 1
    li t0, 99
    .endif
    .ifc a0,a0
    li t1, -1 & 0x7f ^ 3 | 8
    .endif
end: nop; nop; nop
end2:
1:  j 1f
1:  j 1b
    j 1b
    .word 1, 2, -3, 'x'
    .byte 1, 0x7f, 0377
    .half 513, -1
    .ascii "ab\\n\\101\\x42"
    .asciz "zero"
    .string "a;b#c//d"
    .balign 4
    .float 1.5, -2.25e3
    .dword 0x123456789
    .fill 3, 2, 0x55
    .zero 5
    .p2align 2
    ret
"""


def test_macros_conditions_and_data(tool, tmp_path: Path) -> None:
    assert our_text(MACROS) == gnu_text(tool, tmp_path, MACROS)


def test_sections_and_relocations_link_to_the_same_image(tool, tmp_path: Path) -> None:
    """Our object and GNU's, both linked by GNU ld, and our own link: three equal images."""
    source = """
        .globl f, g, table
        .weak maybe
    f:  la a0, table
        lui a1, %hi(table + 8)
        lw a2, %lo(table + 8)(a1)
        sw a2, %lo(table)(a1)
    1:  auipc a3, %pcrel_hi(words)
        lw a4, %pcrel_lo(1b)(a3)
        sw a4, table, t0
        call g
        beqz a0, g
        j g
        ret
        .section .text.g, "ax", @progbits
        .p2align 2
    g:  tail f
        bnez a1, f
        lw a0, words
        .section .rodata
        .p2align 3
    words: .word f, g, table + 4, 5
        .data
    table: .word words, 7, table - 2
        .bss
        .p2align 4
    space: .space 20
        .type f, @function
        .size f, 60
    """
    ours = assemble(source, "esp32p4", 3)
    (tmp_path / "ours.o").write_bytes(ours.elf())
    (tmp_path / "a.s").write_text(source)
    assembler = [tool("riscv64-unknown-elf-as"), "-mno-relax", f"-march={MARCH}", "-mabi=ilp32f"]
    subprocess.run([*assembler, "a.s", "-o", "gnu.o"], cwd=tmp_path, check=True)
    script = (
        "SECTIONS { . = 0x4ff00000; .text : { *(.text) } .text.g : { *(.text.g) } .rodata : { *(.rodata) } "
    )
    script += ".data : { *(.data) } .bss : { *(.bss) } }"
    (tmp_path / "link.ld").write_text(script)
    images = []
    for name in ("ours", "gnu"):
        link = [tool("riscv64-unknown-elf-ld"), "-m", "elf32lriscv", "--no-relax", "-T", "link.ld", "-e", "f"]
        subprocess.run([*link, f"{name}.o", "-o", f"{name}.elf"], cwd=tmp_path, check=True)
        copy = [tool("riscv64-unknown-elf-objcopy"), "-O", "binary", f"{name}.elf", f"{name}.bin"]
        subprocess.run(copy, cwd=tmp_path, check=True)
        images.append((tmp_path / f"{name}.bin").read_bytes())
    assert images[0] == images[1]
    image = ours.link(0x4FF00000)
    assert image.flat().rstrip(b"\0") == images[1].rstrip(b"\0")
    listing = subprocess.run(
        [tool("riscv64-unknown-elf-nm"), "gnu.elf"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    for address, name in re.findall(r"^([0-9a-f]+) \w (f|g|table|words|space)$", listing, re.M):
        assert image.symbols[name] == int(address, 16)


@pytest.mark.parametrize("option", ["rvc", "norvc"])
def test_alignment_under_norvc_is_named_in_a_warning(option: str) -> None:
    source = f"c.nop\n.option {option}\n.p2align 2\nadd a0, a1, a2\n"
    warnings = assemble(source, "esp32p4").warnings
    assert len(warnings) == (1 if option == "norvc" else 0)
