"""Mistakes in ESP32-P4 sources: one line with file, line, column, what is allowed and what to do."""

import re
from pathlib import Path

import pytest

from pienn.errors import PiennError
from pienn.isa.assembler import assemble
from pienn.isa.source import AssemblyError

MISTAKES = {
    "a register that PIE cannot name": (
        "nop\n    esp.vld.128.ip q0, a6, 16",
        "2:24: .*a6 .x16. cannot be rs1, allowed: x8-x15, x24-x31 .s0, s1, a0.*; copy it",
    ),
    "a vector register that does not exist": ("esp.zero.q q8", "1:12: .*'q8' is no vector register: .*q0-q7"),
    "an integer register in place of a vector register": ("esp.zero.q a0", "1:12: .*no vector register"),
    "an immediate out of range": (
        "esp.vld.128.ip q0, a0, 2048",
        "1:24: .*imm = 2048 is not allowed: -2048..2032 in steps of 16; use esp.vld.128.xp",
    ),
    "an immediate between two steps": ("esp.vld.128.ip q0, a0, 24", "1:24: .*nearest 16 and 32"),
    "a fused load's smaller range": (
        "esp.vmulas.s8.qacc.ld.ip q0, a0, 128, q1, q2",
        "1:34: .*128 is not allowed: -128..112 in steps of 16; use esp.vmulas.s8.qacc.ld.xp",
    ),
    "a lane number out of range": ("esp.vsmulas.s16.qacc q0, q1, 16", "1:30: .*0..15"),
    "a rounding word that does not exist": (
        "esp.vmul.s8 q0, q1, q2, up",
        "1:25: .*up. is no value of sat .*rdn, rup",
    ),
    "a missing operand": (
        "esp.vadd.s8 q0, q1",
        "1:1: .*takes 3 to 4 operands, not 2: write esp.vadd.s8 qv, qx, qy",
    ),
    "an operand too many": (
        "ret\nadd a0, a1, a2, a3",
        "2:1: .*takes 3 operands, not 4: write add rd, rs1, rs2",
    ),
    "a misspelt instruction": (
        "esp.vadds.s8 q0, q1, q2",
        "1:1: .*unknown instruction.*did you mean .*esp.vadd.s8",
    ),
    "an unknown instruction": (
        "frobnicate a0",
        "1:1: .*unknown instruction frobnicate on esp32p4 revision 3",
    ),
    "an unknown directive": (".sektion .text", "1:1: .*unknown directive .sektion: did you mean .section"),
    "a number where a register must be": ("add a0, 4(a1), a2", "1:9: .*no integer register"),
    "a register where a number must be": (
        "addi a0, a1, a2",
        "1:14: .*register a2 stands where imm must be a number",
    ),
    "a register where a label must be": (
        "bnez a0, a1",
        "1:10: .*register a1 stands where offset must be a label",
    ),
    "an addi that is too large": ("addi a0, a0, 2048", "1:14: .*-2048..2047; use li and add"),
    "a shift by the register width": ("slli a0, a0, 32", "1:14: .*0..31"),
    "a constant beyond 32 bits": ("li a0, 0x1ffffffff", "1:8: .*does not fit in 32 bits"),
    "an address where a number must be": ("addi a0, a0, f\nf: ret", "1:1: .*must be a number.*use %lo"),
    "a 16-bit form under norvc": (".option norvc\nc.addi a0, 1", "2:1: .*16-bit form: remove .option norvc"),
    "a register that a 16-bit form cannot name": (
        "c.lw t0, 4(a0)",
        "1:6: .*t0 .x5. cannot be rd, allowed: x8-x15",
    ),
    "an unknown option": (".option rcv", "1:1: .*rcv is unknown: use rvc, norvc"),
    "a hardware loop of too many bytes": (
        ".option norvc\nesp.lp.setupi 0, 5, 1f\n.space 1024\n1: nop",
        "2:1: .*1028 bytes away, allowed: 0..1022 .*; make the loop body shorter",
    ),
    "a hardware loop that ends before it starts": ("1: nop\nesp.lp.setup 0, a0, 1b", "2:1: .*stand after"),
    "a hardware loop that ends elsewhere": (
        "esp.lp.setup 0, a0, end",
        "1:1: .*must be a label of this section",
    ),
    "a hardware loop count beyond 12 bits": ("esp.lp.counti 0, 4096", "1:18: .*0..4095; split the loop"),
    "a third hardware loop": ("esp.lp.counti 2, 5", "1:15: .*id = 2 is not allowed: 0..1"),
    "a label defined twice": ("f: nop\nf: nop", "2:1: .*already defined at .*1:1: choose another"),
    "a numeric label that is not there": ("j 1b", "1:3: .*no label 1: before"),
    "a numeric label that never comes": ("nop\nj 2f", "2:1: .*no label 2: after"),
    "an unclosed parenthesis": ("li a0, (1 + 2", "1:.*closing parenthesis"),
    "a division by zero": (".set N, 0\nli a0, 4 / N", "2:8: .*division by zero"),
    "a data word that is too large": (".byte 1, 300", "1:1: .*300 does not fit in 1 byte"),
    "an alignment that is no power of two": (".balign 12", "1:9: .*not a power of two"),
    "an alignment exponent that is too large": (".p2align 32", "1:10: .*exponent.*use .balign"),
    "a macro argument that is unknown in the body": (
        ".macro m a\n add a0, a0, \\b\n.endm\nm a1",
        r"2:14: .*no argument .b; it has .a .in macro m called at .*4:1",
    ),
    "a macro argument that is unknown in the call": (
        ".macro m a\n.endm\nm c=3",
        "3:3: .*no argument 'c'; it takes a",
    ),
    "a macro argument too many": (".macro m a\n.endm\nm 1, 2", "3:6: .*too many.*it takes a"),
    "a macro argument that is required": (".macro m a:req\n.endm\nm", "3:1: .*argument a is required"),
    "a macro that calls itself": (".macro m\nm\n.endm\nm", "2:1: .*nests more than"),
    "a macro without end": ("nop\n.macro m a\nnop", "2:1: .*no .endm: add one"),
    "a condition without end": (".if 1\nnop", "1:1: .*no .endif: add one"),
    "an else without if": (".else", "1:1: .*without .if"),
    "a condition on a value that comes later": (".if N\n.endif\n.set N, 1", "1:5: .*N has no value yet"),
    "an .error directive": ('.error "P4 only"', "1:1: .*P4 only"),
    "a gap larger than any memory": (".space 1 << 40", "1:1: .*must be 0..268435456"),
    "a repetition without bound": (".rept 1 << 30\n.endr", "1:1: .*more than 1048576"),
    "a repetition less than none": (".rept 2 - 3\n.endr", "1:1: .*-1 times"),
    "data in .bss": ('.bss\n.asciz "x"', "2:1: .*holds no data"),
    "a %hi in the wrong place": ("addi a0, a0, %hi(f)\nf:", "1:1: .*%hi cannot be operand imm of addi"),
    "a header that is missing": ('nop\n#include "nowhere.h"', "2:10: .*nowhere.h"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_named_with_place_and_remedy(name: str) -> None:
    source, expected = MISTAKES[name]
    with pytest.raises(AssemblyError) as caught:
        assemble(source + "\n", "esp32p4", 3, name="kernel.S")
    message = str(caught.value)
    assert "\n" not in message
    assert re.match(r"kernel\.S:\d+:\d+: error: ", message), message
    assert re.match(r"kernel\.S:" + expected.replace(": .*", ": error: .*", 1), message), message


REVISION_1 = {
    "a saturation word": ("esp.srcmb.s8.qacc q0, a0, sat", "1:27: .*word sat needs revision 3: write 1"),
    "a saturation operand": ("esp.vadd.s8 q0, q1, q2, 1", "1:1: .*takes 3 operands, not 4"),
    "an instruction of the newer chip": (
        "nop\nsh1add a0, a1, a2",
        "2:1: .*Zba.*only on revision 3: assemble .*--revision 3",
    ),
    "a vector instruction of the newer chip": ("esp.vsl.s32 q0, q1", "1:1: .*only on revision 3"),
}


@pytest.mark.parametrize("name", REVISION_1)
def test_mistake_on_an_early_chip(name: str) -> None:
    source, expected = REVISION_1[name]
    with pytest.raises(AssemblyError, match=expected):
        assemble(source + "\n", "esp32p4", 1, name="kernel.S")


def test_all_mistakes_of_a_file_are_listed() -> None:
    with pytest.raises(AssemblyError) as caught:
        assemble("foo\nnop\naddi a0, a0, 5000\n1: j 3f\n", "esp32p4")
    assert [error.location.line for error in caught.value.errors] == [1, 3, 4]


def test_linking_names_the_user_of_an_undefined_symbol() -> None:
    object_ = assemble("nop\n    call somewhere\n", "esp32p4", name="kernel.S")
    with pytest.raises(PiennError, match=r"kernel.S:2:5: error: undefined symbol somewhere: define it"):
        object_.link(0)


def test_a_jump_beyond_reach_is_named_when_linking() -> None:
    object_ = assemble("jal far\n", "esp32p4", name="kernel.S")
    with pytest.raises(PiennError, match=r"kernel.S:1:1: error: jal: the target is 2097152 bytes away"):
        object_.link(0, {"far": 0x200000})


def test_places_survive_the_preprocessor(tmp_path: Path) -> None:
    (tmp_path / "regs.h").write_text("#pragma once\n#define POINTER a6\n#define STEP 16\n")
    source = tmp_path / "kernel.S"
    source.write_text(
        '#include "regs.h"\n/* a comment\n   of two lines */\n#ifdef POINTER\n\n'
        "    esp.vld.128.ip q0, POINTER, STEP\n#endif\n"
    )
    with pytest.raises(AssemblyError, match=re.escape(f"{source}:6:24: error: esp.vld.128.ip: a6 (x16)")):
        assemble(source, "esp32p4")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(PiennError, match="choose one of esp32p4, esp32s3"):
        assemble("nop\n", "esp32c6")
